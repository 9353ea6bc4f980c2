/* IPv4 (RFC 791, RFC 1122) in, as an end host: nothing is forwarded. */
#include "net_priv.h"

#include <netinet/in.h>

#define IP_FRAGMENT     0x3fff /* MF and the offset */
#define IP_MORE         0x2000
#define IP_OFFSET       0x1fff
#define IP_VERSION(v)   ((v) >> 4)
#define IP_HDR_BYTES(v) (((v)&0x0f) * 4)
#define ICMP_UNREACH    3
#define ICMP_PROTO      2

/* The header's own form. The packet's first segment holds at least the header when this returns 0. */
static int check_header(const struct rte_mbuf *m, const struct rte_ipv4_hdr *ip)
{
	uint64_t sum = m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;
	uint16_t len;

	if (m->data_len < NET_IP4_LEN)
		return SL_E_NET_SHORT;
	if (IP_VERSION(ip->version_ihl) != 4)
		return SL_E_NET_IP_VERSION;
	if (IP_HDR_BYTES(ip->version_ihl) < NET_IP4_LEN)
		return SL_E_NET_IP_HEADER;
	if (IP_HDR_BYTES(ip->version_ihl) > NET_IP4_LEN)
		return SL_E_NET_IP_OPTIONS;
	len = rte_be_to_cpu_16(ip->total_length);
	if (len < NET_IP4_LEN)
		return SL_E_NET_IP_HEADER;
	if (len > m->pkt_len)
		return SL_E_NET_SHORT;
	if (sum == RTE_MBUF_F_RX_IP_CKSUM_BAD)
		return SL_E_NET_IP_CSUM;
	if (sum == RTE_MBUF_F_RX_IP_CKSUM_UNKNOWN && rte_raw_cksum(ip, NET_IP4_LEN) != 0xffff)
		return SL_E_NET_IP_CSUM;
	return SL_OK;
}

static int check_packet(const struct sl_net *net, struct net_pkt *p, const struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	int rc = check_header(m, ip);

	if (rc != SL_OK)
		return rc;
	p->src = net_ip4(rte_be_to_cpu_32(ip->src_addr));
	p->dst = net_ip4(rte_be_to_cpu_32(ip->dst_addr));
	p->proto = ip->next_proto_id;
	p->ttl = ip->time_to_live;
	p->ecn = ip->type_of_service & NET_ECN_MASK;
	p->l3_len = rte_be_to_cpu_16(ip->total_length);
	p->fragment = (rte_be_to_cpu_16(ip->fragment_offset) & IP_FRAGMENT) != 0;
	rc = net_source_check(net->s, p->link, &p->src);
	if (rc != SL_OK)
		return rc;
	p->on = net_if_on(net->s, p->link, &p->dst);
	if (p->on == NULL || !net_if_ready(p->on))
		return SL_E_NET_IP_DST;
	return SL_OK;
}

/* A fragment; m stays with the caller. */
static int fragment(struct sl_net *net, struct net_pkt *p, uint64_t now_us)
{
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)p->l3;
	uint16_t place = rte_be_to_cpu_16(ip->fragment_offset);
	struct net_frag f = {.id = rte_be_to_cpu_16(ip->packet_id),
	                     .off = (uint16_t)((place & IP_OFFSET) * 8),
	                     .proto = p->proto,
	                     .more = (place & IP_MORE) != 0,
	                     .data = p->l3 + NET_IP4_LEN,
	                     .len = p->l3_len - NET_IP4_LEN};
	struct rte_mbuf *whole;
	int rc;

	if (p->proto != IPPROTO_TCP && p->proto != IPPROTO_ICMP)
		return SL_E_NET_IP_PROTO;
	rc = net_reass_add(net, p, &f, &whole, now_us);
	if (whole != NULL)
		net_reass_deliver(net, p, whole, now_us);
	return rc;
}

/* TTL is not looked at: RFC 1122 3.2.1.7 forbids a host to drop for it. TCP gets it. */
void net_ip4_input(struct sl_net *net, struct net_pkt *p, struct rte_mbuf *m, uint64_t now_us)
{
	int rc = check_packet(net, p, m);

	if (rc == SL_OK)
		rc = net_ip_trim(p, m);
	if (rc == SL_OK && p->fragment) {
		rc = fragment(net, p, now_us);
		rte_pktmbuf_free(m);
		if (rc != SL_OK)
			(void)sl_fail(rc);
		return;
	}
	if (rc == SL_OK && p->proto != IPPROTO_TCP && p->proto != IPPROTO_ICMP) {
		net_icmp4_error(net, p, ICMP_UNREACH, ICMP_PROTO, now_us);
		rc = SL_E_NET_IP_PROTO;
	}
	if (rc != SL_OK) {
		(void)net_drop(m, rc);
		return;
	}
	(void)rte_pktmbuf_adj(m, NET_IP4_LEN);
	net_ip_deliver(net, p, m, now_us);
}
