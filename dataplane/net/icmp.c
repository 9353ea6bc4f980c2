/*
 * ICMP (RFC 792, RFC 1122 3.2.2): echo requests are answered, bounded in rate; errors about TCP segments of
 * ours go to TCP, which decides whether to believe them (RFC 5927). Redirects and everything else are
 * dropped. Errors of our own are bounded too.
 */
#include "net_priv.h"

#include <netinet/in.h>

#define ICMP_LEN           8
#define ICMP_ECHO_REPLY    0
#define ICMP_DEST_UNREACH  3
#define ICMP_ECHO          8
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAM_PROBLEM 12
#define ICMP_PROTO         2 /* codes of DEST_UNREACH */
#define ICMP_PORT          3
#define ICMP_FRAG_NEEDED   4
#define ICMP_NET_ADMIN     9
#define ICMP_HOST_ADMIN    10
#define ICMP_ADMIN         13
#define TCP_QUOTED_MIN     8   /* ports and sequence number */
#define ERROR_MAX          576 /* RFC 1812 4.3.2.3: a whole error */

static void put_sum(uint8_t *d, uint32_t len)
{
	uint16_t sum;

	memset(d + 2, 0, sizeof(sum));
	sum = (uint16_t)~rte_raw_cksum(d, len);
	memcpy(d + 2, &sum, sizeof(sum));
}

static void echo(struct sl_net *net, const struct net_pkt *p, struct rte_mbuf *m, uint64_t now_us)
{
	uint8_t *d = rte_pktmbuf_mtod(m, uint8_t *);

	if (!net_bucket_take(&net->echo, NET_ECHO_RATE, NET_ECHO_BURST, now_us)) {
		(void)net_drop(m, SL_E_NET_ICMP_RATE);
		return;
	}
	d[0] = ICMP_ECHO_REPLY;
	d[1] = 0;
	put_sum(d, m->data_len);
	net_mbuf_reuse(m);
	(void)net_ip_output(net, p->on, &p->src, IPPROTO_ICMP, 0, m, now_us);
}

static enum sl_net_error meaning(uint8_t type, uint8_t code)
{
	if (type == ICMP_TIME_EXCEEDED)
		return SL_NET_ERROR_EXPIRED;
	if (type == ICMP_PARAM_PROBLEM)
		return SL_NET_ERROR_PARAMETER;
	switch (code) {
	case ICMP_FRAG_NEEDED:
		return SL_NET_ERROR_TOO_BIG;
	case ICMP_PROTO:
	case ICMP_PORT:
	case ICMP_NET_ADMIN:
	case ICMP_HOST_ADMIN:
	case ICMP_ADMIN:
		return SL_NET_ERROR_REFUSED;
	default:
		return SL_NET_ERROR_UNREACHABLE;
	}
}

/* The quoted packet must be a TCP segment that we may have sent. 0, or SL_E_NET_ICMP. */
static int parse_error(const struct rte_mbuf *m, const struct net_pkt *p, struct sl_net_icmp_error *e)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
	const uint8_t *q = d + ICMP_LEN;
	uint32_t n = m->data_len;
	uint32_t hdr;

	if (n < ICMP_LEN + sizeof(struct rte_ipv4_hdr))
		return SL_E_NET_ICMP;
	hdr = (uint32_t)(q[0] & 0x0f) * 4;
	if (q[0] >> 4 != 4 || hdr < sizeof(struct rte_ipv4_hdr) || n < ICMP_LEN + hdr + TCP_QUOTED_MIN)
		return SL_E_NET_ICMP;
	if (q[9] != IPPROTO_TCP || (sl_get_be16(q + 6) & 0x1fff) != 0 ||
	    sl_get_be32(q + 12) != net_ip_host4(&p->dst))
		return SL_E_NET_ICMP;
	memset(e, 0, sizeof(*e));
	e->src = sl_addr_v4(q + 12);
	e->dst = sl_addr_v4(q + 16);
	e->sport = sl_get_be16(q + hdr);
	e->dport = sl_get_be16(q + hdr + 2);
	e->seq = sl_get_be32(q + hdr + 4);
	e->type = d[0];
	e->code = d[1];
	e->error = meaning(d[0], d[1]);
	if (e->error == SL_NET_ERROR_TOO_BIG) {
		e->mtu = sl_get_be16(d + 6);
		if (e->mtu != 0 && e->mtu < NET_IP4_MTU_MIN)
			return SL_E_NET_ICMP;
	}
	return SL_OK;
}

void net_icmp_tell(struct sl_net *net, const struct net_pkt *p, const struct sl_net_icmp_error *e,
                   struct rte_mbuf *m, uint64_t now_us)
{
	const struct sl_endpoint peer = {e->dst, e->dport};
	const struct sl_endpoint ours = {e->src, e->sport};

	/* The port could not see whose it is. */
	if (p->fragment && net_reass_hand_over(net, p, &peer, &ours, m))
		return;
	rte_pktmbuf_free(m);
	net->cfg.icmp_error(net->cfg.ctx, e, now_us);
}

static void error(struct sl_net *net, const struct net_pkt *p, struct rte_mbuf *m, uint64_t now_us)
{
	struct sl_net_icmp_error e;

	if (net->cfg.icmp_error == NULL || parse_error(m, p, &e) != SL_OK) {
		(void)net_drop(m, SL_E_NET_ICMP);
		return;
	}
	net_icmp_tell(net, p, &e, m, now_us);
}

void net_icmp4_input(struct sl_net *net, const struct net_pkt *p, struct rte_mbuf *m, uint64_t now_us)
{
	/* The port makes no chains. */
	if (m->nb_segs != 1 || m->data_len < ICMP_LEN ||
	    rte_raw_cksum(rte_pktmbuf_mtod(m, const void *), m->data_len) != 0xffff) {
		(void)net_drop(m, SL_E_NET_ICMP);
		return;
	}
	switch (*rte_pktmbuf_mtod(m, const uint8_t *)) {
	case ICMP_ECHO:
		echo(net, p, m, now_us);
		break;
	case ICMP_DEST_UNREACH:
	case ICMP_TIME_EXCEEDED:
	case ICMP_PARAM_PROBLEM:
		error(net, p, m, now_us);
		break;
	default:
		(void)net_drop(m, SL_E_NET_ICMP);
		break;
	}
}

/* RFC 1122 3.2.2: not about groups, fragments or errors. Of ICMP itself nothing ends in an error of ours. */
static bool may_report(const struct net_pkt *p)
{
	return p->cast == NET_UNICAST && p->on != NULL && !p->fragment && p->proto != IPPROTO_ICMP;
}

void net_icmp4_error(struct sl_net *net, const struct net_pkt *p, uint8_t type, uint8_t code, uint64_t now_us)
{
	uint32_t quoted = RTE_MIN(p->l3_len, (uint32_t)(ERROR_MAX - NET_IP4_LEN - ICMP_LEN));
	struct rte_mbuf *m;
	uint8_t *d;

	if (!may_report(p))
		return;
	if (!net_bucket_take(&net->errors, NET_ERROR_RATE, NET_ERROR_BURST, now_us)) {
		(void)sl_fail(SL_E_NET_ICMP_RATE);
		return;
	}
	m = rte_pktmbuf_alloc(net->cfg.pool);
	d = m != NULL ? (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(ICMP_LEN + quoted)) : NULL;
	if (d == NULL) {
		(void)net_drop(m, SL_E_NET_NO_MBUF);
		return;
	}
	memset(d, 0, ICMP_LEN);
	d[0] = type;
	d[1] = code;
	memcpy(d + ICMP_LEN, p->l3, quoted);
	put_sum(d, ICMP_LEN + quoted);
	(void)net_ip_output(net, p->on, &p->src, IPPROTO_ICMP, 0, m, now_us);
}
