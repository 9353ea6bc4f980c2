/* IPv6 (RFC 8200, RFC 4291) in, as an end host: nothing is forwarded. */
#include "net_priv.h"

#include <netinet/in.h>

#define VERSION(vtc) ((vtc) >> 28)
#define TC(vtc)      ((vtc) >> 20 & 0xff)
#define FRAG_LEN     8
#define FRAG_OFFSET  0xfff8
#define FRAG_MORE    1

#define ICMP6_PARAM       4
#define ICMP6_PARAM_FIELD 0
#define ICMP6_PARAM_CHAIN 3 /* RFC 7112 */

/* The header's own form. A length of zero is a jumbogram's (RFC 2675), or a packet of nothing. */
static int check_header(const struct rte_mbuf *m, const struct rte_ipv6_hdr *ip)
{
	uint32_t len;

	if (m->data_len < NET_IP6_LEN)
		return SL_E_NET_SHORT;
	if (VERSION(rte_be_to_cpu_32(ip->vtc_flow)) != 6)
		return SL_E_NET_IP_VERSION;
	len = rte_be_to_cpu_16(ip->payload_len);
	if (len == 0)
		return SL_E_NET_IP_HEADER;
	if (len + NET_IP6_LEN > m->pkt_len)
		return SL_E_NET_SHORT;
	return SL_OK;
}

/* ff02::1, or the group of an address of ours. */
static bool group_is_ours(const struct sl_net_shared *s, uint8_t link, const struct net_ip *group)
{
	const struct net_ip all = net_ip_all_nodes();

	if (net_ip_eq(group, &all))
		return true;
	for (uint16_t i = 0; i < s->nb_ifs; i++) {
		const struct net_if *f = &s->ifs[i];
		struct net_ip own;

		if (f->link != link || net_ip_is4(&f->addr))
			continue;
		own = net_ip_solicited_node(&f->addr);
		if (net_ip_eq(group, &own))
			return true;
	}
	return false;
}

/* A group comes in a group's frame, a station's address in a station's. An address that is not ready yet
 * only hears in its group what duplicate detection has to say. */
static int check_destination(const struct sl_net *net, struct net_pkt *p)
{
	if (net_ip_is_multicast6(&p->dst))
		return p->cast == NET_MULTICAST && group_is_ours(net->s, p->link, &p->dst) ? SL_OK
		                                                                           : SL_E_NET_IP_DST;
	p->on = net_if_on(net->s, p->link, &p->dst);
	if (p->cast != NET_UNICAST || p->on == NULL || net_ip_is4(&p->dst) || !net_if_ready(p->on))
		return SL_E_NET_IP_DST;
	return SL_OK;
}

/* No source at all is duplicate detection's, which only goes to groups (RFC 4862 5.4.2). */
static int check_source(const struct sl_net *net, struct net_pkt *p)
{
	p->claims_ours = net_if_on(net->s, p->link, &p->src) != NULL;
	if (p->claims_ours)
		return SL_OK;
	if (net_ip_is_zero(&p->src))
		return p->on == NULL ? SL_OK : SL_E_NET_IP_SRC;
	return net_ip_is4(&p->src) ? SL_E_NET_IP_SRC : net_source_check(net->s, p->link, &p->src);
}

static int check_packet(const struct sl_net *net, struct net_pkt *p, const struct rte_mbuf *m)
{
	const struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *);
	int rc = check_header(m, ip);

	if (rc != SL_OK)
		return rc;
	p->src = net_ip6(ip->src_addr);
	p->dst = net_ip6(ip->dst_addr);
	p->proto = ip->proto;
	p->ttl = ip->hop_limits;
	p->ecn = (uint8_t)(TC(rte_be_to_cpu_32(ip->vtc_flow)) & NET_ECN_MASK);
	p->l3_len = NET_IP6_LEN + (uint32_t)rte_be_to_cpu_16(ip->payload_len);
	rc = check_destination(net, p);
	return rc != SL_OK ? rc : check_source(net, p);
}

static int report_fragment(struct net_ext6 *x, uint8_t code, uint32_t at, int err)
{
	x->report_type = ICMP6_PARAM;
	x->report_code = code;
	x->report_arg = at;
	return err;
}

/* What RFC 8200 4.5 and RFC 7112 want reported of a first fragment; a later one does not show whether it
 * belongs to an error. */
static int judge_fragment(struct net_ext6 *x, const struct net_frag *f, int rc)
{
	if (rc == SL_E_NET_IP_FRAGMENT && f->more && f->len % 8 != 0)
		return report_fragment(x, ICMP6_PARAM_FIELD, offsetof(struct rte_ipv6_hdr, payload_len), rc);
	if (rc == SL_E_NET_REASS_TINY)
		return report_fragment(x, ICMP6_PARAM_CHAIN, 0, rc);
	return rc;
}

/*
 * A fragment header. Of a whole datagram (RFC 6946) it is passed over; else the fragment is put to the
 * others, with *mine false when it was. Fragments carry TCP and ICMPv6 alone, not headers in front of them.
 */
static int fragment(struct sl_net *net, struct net_pkt *p, struct net_ext6 *x, bool *mine, uint64_t now_us)
{
	const uint8_t *ip = p->l3;
	struct rte_mbuf *whole;
	struct net_frag f;
	uint16_t place;
	int rc;

	if (p->l3_len - x->at < FRAG_LEN)
		return SL_E_NET_SHORT;
	if (x->at + FRAG_LEN > NET_IP6_LEN + NET_EXT6_BYTES_MAX)
		return SL_E_NET_IP6_EXT;
	p->fragment = true;
	place = sl_get_be16(ip + x->at + 2);
	if ((place & (FRAG_OFFSET | FRAG_MORE)) == 0) {
		x->proto = ip[x->at];
		x->proto_at = x->at;
		x->at += FRAG_LEN;
		x->rank = NET_EXT6_FRAGMENT;
		return net_ext6_walk(ip, p->l3_len, x);
	}
	if (p->on == NULL || p->claims_ours)
		return p->on == NULL ? SL_E_NET_IP_DST : SL_E_NET_IP_SRC;
	f = (struct net_frag){.id = sl_get_be32(ip + x->at + 4),
	                      .off = place & FRAG_OFFSET,
	                      .proto = ip[x->at],
	                      .more = (place & FRAG_MORE) != 0,
	                      .data = ip + x->at + FRAG_LEN,
	                      .len = p->l3_len - x->at - FRAG_LEN};
	if (f.proto != IPPROTO_TCP && f.proto != IPPROTO_ICMPV6)
		return SL_E_NET_IP_PROTO;
	rc = judge_fragment(x, &f, net_reass_add(net, p, &f, &whole, now_us));
	*mine = rc != SL_OK;
	if (whole != NULL)
		net_reass_deliver(net, p, whole, now_us);
	return rc;
}

void net_ip6_input(struct sl_net *net, struct net_pkt *p, struct rte_mbuf *m, uint64_t now_us)
{
	struct net_ext6 x = {.at = NET_IP6_LEN, .proto_at = offsetof(struct rte_ipv6_hdr, proto)};
	int rc = check_packet(net, p, m);
	bool mine = true;

	if (rc == SL_OK)
		rc = net_ip_trim(p, m);
	if (rc == SL_OK) {
		x.proto = p->proto;
		rc = net_ext6_walk(p->l3, p->l3_len, &x);
		if (rc == SL_OK && x.proto == IPPROTO_FRAGMENT)
			rc = fragment(net, p, &x, &mine, now_us);
		if (x.report_type != NET_IP6_REPORT_NONE)
			net_icmp6_error(net, p, x.report_type, x.report_code, x.report_arg, x.even_group,
			                now_us);
	}
	if (!mine) {
		rte_pktmbuf_free(m);
		return;
	}
	if (rc == SL_OK && p->on == NULL && x.proto != IPPROTO_ICMPV6)
		rc = SL_E_NET_IP_DST; /* no TCP to a group */
	if (rc == SL_OK && p->claims_ours && x.proto != IPPROTO_ICMPV6)
		rc = SL_E_NET_IP_SRC;
	if (rc != SL_OK) {
		(void)net_drop(m, rc);
		return;
	}
	p->proto = x.proto;
	(void)rte_pktmbuf_adj(m, (uint16_t)x.at);
	net_ip_deliver(net, p, m, now_us);
}
