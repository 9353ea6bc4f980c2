/*
 * ICMP (RFC 792, RFC 1122 3.2.2): echo requests are answered, bounded in rate; errors about TCP segments of
 * ours go to TCP, which decides whether to believe them (RFC 5927). Redirects and everything else are
 * dropped.
 */
#include "net_priv.h"

#include <netinet/in.h>

#define ICMP_LEN           8
#define ICMP_ECHO_REPLY    0
#define ICMP_DEST_UNREACH  3
#define ICMP_ECHO          8
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAM_PROBLEM 12
#define ICMP_FRAG_NEEDED   4 /* code of DEST_UNREACH */
#define TCP_QUOTED_MIN     8 /* ports and sequence number */

/*
 * Token bucket kept as the time at which it was last full minus what was taken: one token is 1 /
 * NET_ICMP_RATE seconds, at most NET_ICMP_BURST of them are saved up.
 */
static bool take_token(struct sl_net *net, uint64_t now_us)
{
	const uint64_t token_us = 1000000 / NET_ICMP_RATE;
	const uint64_t full_us = token_us * NET_ICMP_BURST;
	uint64_t oldest = now_us > full_us ? now_us - full_us : 0;

	if (net->icmp_tokens_us < oldest)
		net->icmp_tokens_us = oldest;
	if (net->icmp_tokens_us + token_us > now_us)
		return false;
	net->icmp_tokens_us += token_us;
	return true;
}

static void echo(struct sl_net *net, uint32_t src, uint32_t dst, struct rte_mbuf *m, uint64_t now_us)
{
	uint8_t *d = rte_pktmbuf_mtod(m, uint8_t *);
	struct sl_addr from = net_addr_of(dst);
	struct sl_addr to = net_addr_of(src);
	uint16_t sum;

	if (!take_token(net, now_us)) {
		(void)net_drop(m, SL_E_NET_ICMP_RATE);
		return;
	}
	d[0] = ICMP_ECHO_REPLY;
	d[1] = 0;
	memset(d + 2, 0, 2);
	sum = (uint16_t)~rte_raw_cksum(d, m->data_len);
	memcpy(d + 2, &sum, sizeof(sum));
	m->ol_flags = 0; /* what was said about the request */
	(void)sl_net_output(net, m, &from, &to, IPPROTO_ICMP, 0, now_us);
}

/* The quoted packet must be a TCP segment that we may have sent. 0, or SL_E_NET_ICMP. */
static int parse_error(const struct rte_mbuf *m, uint32_t dst, struct sl_net_icmp_error *e)
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
	if (q[9] != IPPROTO_TCP || (sl_get_be16(q + 6) & 0x1fff) != 0 || sl_get_be32(q + 12) != dst)
		return SL_E_NET_ICMP;
	memset(e, 0, sizeof(*e));
	e->src = sl_addr_v4(q + 12);
	e->dst = sl_addr_v4(q + 16);
	e->sport = sl_get_be16(q + hdr);
	e->dport = sl_get_be16(q + hdr + 2);
	e->seq = sl_get_be32(q + hdr + 4);
	e->type = d[0];
	e->code = d[1];
	if (d[0] == ICMP_DEST_UNREACH && d[1] == ICMP_FRAG_NEEDED) {
		e->mtu = sl_get_be16(d + 6);
		if (e->mtu != 0 && e->mtu < NET_IP_MTU_MIN)
			return SL_E_NET_ICMP;
	}
	return SL_OK;
}

static void error(struct sl_net *net, uint32_t dst, struct rte_mbuf *m, uint64_t now_us)
{
	struct sl_net_icmp_error e;

	if (net->cfg.icmp_error == NULL || parse_error(m, dst, &e) != SL_OK) {
		(void)net_drop(m, SL_E_NET_ICMP);
		return;
	}
	rte_pktmbuf_free(m);
	net->cfg.icmp_error(net->cfg.ctx, &e, now_us);
}

void net_icmp_input(struct sl_net *net, uint32_t src, uint32_t dst, struct rte_mbuf *m, uint64_t now_us)
{
	/* The port makes no chains. */
	if (m->nb_segs != 1 || m->data_len < ICMP_LEN ||
	    rte_raw_cksum(rte_pktmbuf_mtod(m, const void *), m->data_len) != 0xffff) {
		(void)net_drop(m, SL_E_NET_ICMP);
		return;
	}
	switch (*rte_pktmbuf_mtod(m, const uint8_t *)) {
	case ICMP_ECHO:
		echo(net, src, dst, m, now_us);
		break;
	case ICMP_DEST_UNREACH:
	case ICMP_TIME_EXCEEDED:
	case ICMP_PARAM_PROBLEM:
		error(net, dst, m, now_us);
		break;
	default:
		(void)net_drop(m, SL_E_NET_ICMP);
		break;
	}
}
