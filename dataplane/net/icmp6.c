/*
 * ICMPv6 (RFC 4443): as icmp.c does for IPv4, and neighbour discovery goes to ndp.c. Router advertisements,
 * redirects and everything else are dropped.
 */
#include "net_priv.h"

#include <netinet/in.h>

#define ICMP6_LEN        8
#define ICMP6_UNREACH    1
#define ICMP6_TOO_BIG    2
#define ICMP6_EXPIRED    3
#define ICMP6_PARAM      4
#define ICMP6_ERRORS_END 128 /* types below are errors */
#define ICMP6_ECHO       128
#define ICMP6_ECHO_REPLY 129
#define ICMP6_NS         135
#define ICMP6_NA         136
#define ICMP6_REDIRECT   137
#define UNREACH_ADMIN    1 /* codes of UNREACH */
#define UNREACH_PORT     4
#define UNREACH_POLICY   5
#define UNREACH_REJECT   6
#define TCP_QUOTED_MIN   8 /* ports and sequence number */
#define QUOTED_EXT_MAX   8 /* extension headers of a quoted packet */
#define FRAG_OFFSET      0xfff8
#define FRAG_LEN         8

uint16_t net_icmp6_sum(const struct net_ip *src, const struct net_ip *dst, const void *icmp, uint16_t len)
{
	struct {
		struct net_ip src, dst;
		rte_be32_t len;
		uint8_t zero[3], next;
	} pseudo = {*src, *dst, rte_cpu_to_be_32(len), {0}, IPPROTO_ICMPV6};
	uint32_t sum = (uint32_t)rte_raw_cksum(&pseudo, sizeof(pseudo)) + rte_raw_cksum(icmp, len);

	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void echo(struct sl_net *net, const struct net_pkt *p, struct rte_mbuf *m, uint64_t now_us)
{
	uint8_t *d = rte_pktmbuf_mtod(m, uint8_t *);
	uint16_t sum;

	if (p->on == NULL) { /* to a group: a way to find or to multiply */
		(void)net_drop(m, SL_E_NET_ICMP);
		return;
	}
	if (!net_bucket_take(&net->echo, NET_ECHO_RATE, NET_ECHO_BURST, now_us)) {
		(void)net_drop(m, SL_E_NET_ICMP_RATE);
		return;
	}
	d[0] = ICMP6_ECHO_REPLY;
	d[1] = 0;
	memset(d + 2, 0, 2);
	sum = net_icmp6_sum(&p->on->addr, &p->src, d, m->data_len);
	memcpy(d + 2, &sum, sizeof(sum));
	net_mbuf_reuse(m);
	(void)net_ip_output(net, p->on, &p->src, IPPROTO_ICMPV6, 0, m, now_us);
}

/*
 * The upper layer of a quoted packet: where it starts, and what it is in *proto; 0: not to be told, or a
 * fragment without it. Nothing is judged here: it is a packet of ours, or TCP will not know it.
 */
static uint32_t quoted_upper(const uint8_t *ip, uint32_t len, uint8_t *proto)
{
	uint32_t at = NET_IP6_LEN;

	*proto = ip[offsetof(struct rte_ipv6_hdr, proto)];
	for (int n = 0; n < QUOTED_EXT_MAX; n++) {
		if (*proto != IPPROTO_HOPOPTS && *proto != IPPROTO_ROUTING && *proto != IPPROTO_DSTOPTS &&
		    *proto != IPPROTO_FRAGMENT)
			return at;
		if (len < at + FRAG_LEN)
			return 0;
		if (*proto == IPPROTO_FRAGMENT) {
			if ((sl_get_be16(ip + at + 2) & FRAG_OFFSET) != 0)
				return 0;
			*proto = ip[at];
			at += FRAG_LEN;
		} else {
			*proto = ip[at];
			at += ((uint32_t)ip[at + 1] + 1) * 8;
		}
	}
	return 0;
}

static enum sl_net_error meaning(uint8_t type, uint8_t code)
{
	if (type == ICMP6_TOO_BIG)
		return SL_NET_ERROR_TOO_BIG;
	if (type == ICMP6_EXPIRED)
		return SL_NET_ERROR_EXPIRED;
	if (type == ICMP6_PARAM)
		return SL_NET_ERROR_PARAMETER;
	if (code == UNREACH_ADMIN || code == UNREACH_PORT || code == UNREACH_POLICY || code == UNREACH_REJECT)
		return SL_NET_ERROR_REFUSED;
	return SL_NET_ERROR_UNREACHABLE;
}

/* The quoted packet must be a TCP segment that we may have sent. 0, or SL_E_NET_ICMP. */
static int parse_error(const struct net_pkt *p, const uint8_t *d, uint32_t n, struct sl_net_icmp_error *e)
{
	const uint8_t *q = d + ICMP6_LEN;
	uint32_t mtu = sl_get_be32(d + 4);
	struct net_ip src;
	struct net_ip dst;
	uint8_t proto;
	uint32_t at;

	if (p->on == NULL || n < ICMP6_LEN + NET_IP6_LEN || q[0] >> 4 != 6)
		return SL_E_NET_ICMP;
	n -= ICMP6_LEN;
	at = quoted_upper(q, n, &proto);
	src = net_ip6(q + offsetof(struct rte_ipv6_hdr, src_addr));
	dst = net_ip6(q + offsetof(struct rte_ipv6_hdr, dst_addr));
	if (at == 0 || proto != IPPROTO_TCP || n < at + TCP_QUOTED_MIN || !net_ip_eq(&src, &p->dst) ||
	    net_ip_is4(&dst))
		return SL_E_NET_ICMP;
	memset(e, 0, sizeof(*e));
	e->src = net_addr_of(&src);
	e->dst = net_addr_of(&dst);
	e->sport = sl_get_be16(q + at);
	e->dport = sl_get_be16(q + at + 2);
	e->seq = sl_get_be32(q + at + 4);
	e->type = d[0];
	e->code = d[1];
	e->error = meaning(d[0], d[1]);
	if (e->error == SL_NET_ERROR_TOO_BIG) {
		if (mtu < NET_IP6_MTU_MIN) /* RFC 8201 4: to be ignored */
			return SL_E_NET_ICMP;
		e->mtu = (uint16_t)RTE_MIN(mtu, (uint32_t)UINT16_MAX);
	}
	return SL_OK;
}

static void error(struct sl_net *net, const struct net_pkt *p, struct rte_mbuf *m, uint64_t now_us)
{
	struct sl_net_icmp_error e;

	if (net->cfg.icmp_error == NULL ||
	    parse_error(p, rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, &e) != SL_OK) {
		(void)net_drop(m, SL_E_NET_ICMP);
		return;
	}
	net_icmp_tell(net, p, &e, m, now_us);
}

void net_icmp6_input(struct sl_net *net, const struct net_pkt *p, struct rte_mbuf *m, uint64_t now_us)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);

	/* The port makes no chains. */
	if (m->nb_segs != 1 || m->data_len < ICMP6_LEN ||
	    net_icmp6_sum(&p->src, &p->dst, d, m->data_len) != 0 ||
	    (net_ip_is_zero(&p->src) && d[0] != ICMP6_NS)) {
		(void)net_drop(m, SL_E_NET_ICMP);
		return;
	}
	if (p->claims_ours && d[0] != ICMP6_NA) {
		(void)net_drop(m, SL_E_NET_IP_SRC);
		return;
	}
	switch (d[0]) {
	case ICMP6_ECHO:
		echo(net, p, m, now_us);
		break;
	case ICMP6_UNREACH:
	case ICMP6_TOO_BIG:
	case ICMP6_EXPIRED:
	case ICMP6_PARAM:
		error(net, p, m, now_us);
		break;
	case ICMP6_NS:
	case ICMP6_NA:
		net_ndp_input(net, p, d, m->data_len, now_us);
		rte_pktmbuf_free(m);
		break;
	default:
		(void)net_drop(m, SL_E_NET_ICMP);
		break;
	}
}

/* RFC 4443 2.4 (e): not about groups (but for options that say so), errors, redirects, or nobody's. */
static bool may_report(const struct net_pkt *p, bool even_group)
{
	uint8_t proto;
	uint32_t at = quoted_upper(p->l3, p->l3_len, &proto);

	if (net_ip_is_zero(&p->src) || p->claims_ours ||
	    ((p->cast != NET_UNICAST || p->on == NULL) && !even_group))
		return false;
	if (at == 0 || at >= p->l3_len)
		return false;
	return proto != IPPROTO_ICMPV6 || (p->l3[at] >= ICMP6_ERRORS_END && p->l3[at] != ICMP6_REDIRECT);
}

/* An error about a packet to a group comes from an address that its sender can reach. */
static const struct net_if *reporter(const struct sl_net_shared *s, const struct net_pkt *p)
{
	if (p->on != NULL)
		return p->on;
	for (uint16_t i = 0; i < s->nb_ifs; i++) {
		const struct net_if *f = &s->ifs[i];

		if (f->link == p->link && !net_ip_is4(&f->addr) && net_if_ready(f) &&
		    net_ip_is_link_local(&f->addr) == net_ip_is_link_local(&p->src))
			return f;
	}
	return NULL;
}

void net_icmp6_error(struct sl_net *net, const struct net_pkt *p, uint8_t type, uint8_t code, uint32_t arg,
                     bool even_group, uint64_t now_us)
{
	uint32_t quoted = RTE_MIN(p->l3_len, (uint32_t)(NET_IP6_MTU_MIN - NET_IP6_LEN - ICMP6_LEN));
	const struct net_if *from = reporter(net->s, p);
	struct rte_mbuf *m;
	uint16_t sum;
	uint8_t *d;

	if (from == NULL || !may_report(p, even_group))
		return;
	if (!net_bucket_take(&net->errors, NET_ERROR_RATE, NET_ERROR_BURST, now_us)) {
		(void)sl_fail(SL_E_NET_ICMP_RATE);
		return;
	}
	m = rte_pktmbuf_alloc(net->cfg.pool);
	d = m != NULL ? (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(ICMP6_LEN + quoted)) : NULL;
	if (d == NULL) {
		(void)net_drop(m, SL_E_NET_NO_MBUF);
		return;
	}
	d[0] = type;
	d[1] = code;
	memset(d + 2, 0, 2);
	sl_put_be32(d + 4, arg);
	memcpy(d + ICMP6_LEN, p->l3, quoted);
	sum = net_icmp6_sum(&from->addr, &p->src, d, (uint16_t)(ICMP6_LEN + quoted));
	memcpy(d + 2, &sum, sizeof(sum));
	(void)net_ip_output(net, from, &p->src, IPPROTO_ICMPV6, 0, m, now_us);
}
