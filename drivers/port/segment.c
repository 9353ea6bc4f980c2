/*
 * Packets that are larger than the wire's. What TCP gave as one large segment to a port that cannot cut it is
 * cut here, the headers repeated in front of each part as RFC 9293 would have it sent: PSH and FIN only with
 * the last bytes, CWR (RFC 3168) only with the first. What a device gave as one received packet in a chain of
 * buffers goes up when TCP can take it.
 */
#include "port_priv.h"

#include <netinet/in.h>
#include <rte_tcp.h>

#include "sl_counter.h"

#define LAST_ONLY  (RTE_TCP_FIN_FLAG | RTE_TCP_PSH_FLAG)
#define FIRST_ONLY RTE_TCP_CWR_FLAG
#define NEVER_CUT  (RTE_TCP_SYN_FLAG | RTE_TCP_RST_FLAG)

/* Copies the headers out of m; false: they are no TCP's over a whole IP packet, or not in the first segment.
 */
static bool headers_of(const struct rte_mbuf *m, const struct port_hdr *h, struct port_cut *c)
{
	uint32_t tcp_len;

	if (h->proto != IPPROTO_TCP || h->fragment || h->l4_len < sizeof(struct rte_tcp_hdr) ||
	    m->data_len < h->l4_off + sizeof(struct rte_tcp_hdr))
		return false;
	tcp_len =
	        (uint32_t)(rte_pktmbuf_mtod_offset(m, const struct rte_tcp_hdr *, h->l4_off)->data_off >> 4) *
	        4;
	if (tcp_len < sizeof(struct rte_tcp_hdr) || tcp_len > h->l4_len ||
	    h->l4_off + tcp_len > RTE_MIN((uint32_t)m->data_len, (uint32_t)PORT_CUT_HDR_MAX))
		return false;
	c->h = *h;
	c->hdr_len = (uint16_t)(h->l4_off + tcp_len);
	c->left = (uint32_t)h->l4_len - tcp_len;
	memcpy(c->hdr, rte_pktmbuf_mtod(m, const void *), c->hdr_len);
	c->seq = rte_be_to_cpu_32(((const struct rte_tcp_hdr *)(c->hdr + h->l4_off))->sent_seq);
	c->flags = ((const struct rte_tcp_hdr *)(c->hdr + h->l4_off))->tcp_flags;
	c->first = true;
	return (c->flags & NEVER_CUT) == 0;
}

/* The headers of the next n bytes, written where they go. */
static void put_headers(struct port_cut *c, uint8_t *to, uint32_t n)
{
	uint16_t behind_ip = (uint16_t)(c->hdr_len - c->h.l3_off + n);
	uint8_t mask = 0;
	struct rte_tcp_hdr *tcp;

	c->left -= n;
	if (c->left > 0)
		mask |= LAST_ONLY;
	if (!c->first)
		mask |= FIRST_ONLY;
	c->first = false;
	memcpy(to, c->hdr, c->hdr_len);
	if (c->h.v6)
		sl_put_be16(to + c->h.l3_off + 4, (uint16_t)(behind_ip - sizeof(struct rte_ipv6_hdr)));
	else
		sl_put_be16(to + c->h.l3_off + 2, behind_ip);
	tcp = (struct rte_tcp_hdr *)(to + c->h.l4_off);
	tcp->sent_seq = rte_cpu_to_be_32(c->seq);
	tcp->tcp_flags = (uint8_t)(c->flags & ~mask);
	c->seq += n;
}

/* ---- sending ---- */

bool port_cut_start(struct port_cut *c, struct rte_mbuf *m, const struct port_hdr *h)
{
	if (m->tso_segsz == 0 || !headers_of(m, h, c))
		return false;
	c->m = m;
	c->at = c->hdr_len;
	return c->left > 0;
}

struct rte_mbuf *port_cut_next(struct port_cut *c, struct rte_mempool *pool)
{
	uint32_t n = RTE_MIN(c->left, (uint32_t)c->m->tso_segsz);
	struct rte_mbuf *s;
	const uint8_t *from;
	uint8_t *d;

	if (n == 0)
		return NULL;
	s = rte_pktmbuf_alloc(pool);
	d = s != NULL ? (uint8_t *)rte_pktmbuf_append(s, (uint16_t)(c->hdr_len + n)) : NULL;
	if (d == NULL) {
		rte_pktmbuf_free(s);
		return NULL;
	}
	from = rte_pktmbuf_read(c->m, c->at, n, d + c->hdr_len);
	if (from != d + c->hdr_len)
		memcpy(d + c->hdr_len, from, n);
	put_headers(c, d, n);
	c->at += n;
	s->ol_flags = c->m->ol_flags & ~(RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL);
	s->tx_offload = c->m->tx_offload;
	s->tso_segsz = 0;
	return s;
}

/* ---- receiving ---- */

/* The last segments of a chain hold what lies behind the IP packet, if anything does. */
static void trim_chain(struct rte_mbuf *m, uint32_t len)
{
	struct rte_mbuf *s = m;
	uint32_t left = len;

	while (s->next != NULL && left > s->data_len) {
		left -= s->data_len;
		s = s->next;
	}
	if (s->next != NULL) {
		rte_pktmbuf_free(s->next);
		s->next = NULL;
	}
	s->data_len = (uint16_t)RTE_MIN(left, (uint32_t)s->data_len);
	m->pkt_len = len;
	m->nb_segs = 1;
	for (s = m; s->next != NULL; s = s->next)
		m->nb_segs++;
}

/* The device or port_verify() has said that the packet is damaged. */
static bool is_bad(const struct rte_mbuf *m)
{
	return (m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_BAD ||
	       (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_BAD;
}

bool port_rx_fix(struct rte_mbuf *m)
{
	struct port_cut c;
	struct port_hdr h;

	if (rte_pktmbuf_linearize(m) == 0)
		return true;
	if (is_bad(m)) {
		(void)sl_fail(SL_E_TCP_CSUM);
	} else if (port_parse(m, &h) && headers_of(m, &h, &c) && c.left > 0) {
		trim_chain(m, (uint32_t)h.l4_off + h.l4_len);
		return true;
	} else {
		(void)sl_fail(SL_E_PORT_RX_CHAIN);
	}
	rte_pktmbuf_free(m);
	return false;
}
