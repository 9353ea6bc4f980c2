/* Segments that no connection sends: RST, the ACK of TIME_WAIT, and whatever a half-open connection says. */
#include "tcp_priv.h"

void tcp_send_bare(struct sl_tcp *t, const struct tcp_tuple *u, const struct tcp_bare *b, uint64_t now_us)
{
	struct sl_addr src = tcp_addr(u->laddr, u->family), dst = tcp_addr(u->raddr, u->family);
	uint32_t hdr_len = (uint32_t)sizeof(struct rte_tcp_hdr) + b->nb_opts;
	struct rte_mbuf *m = tcp_mbuf_alloc(t);
	uint8_t *p = m != NULL ? (uint8_t *)rte_pktmbuf_append(m, (uint16_t)hdr_len) : NULL;

	if (p == NULL) {
		rte_pktmbuf_free(m);
		(void)sl_fail(SL_E_NOMEM);
		return;
	}
	sl_put_be16(p, u->lport);
	sl_put_be16(p + 2, u->rport);
	sl_put_be32(p + 4, b->seq);
	sl_put_be32(p + 8, b->flags & RTE_TCP_ACK_FLAG ? b->ack : 0);
	p[12] = (uint8_t)(hdr_len / 4 << 4);
	p[13] = b->flags;
	sl_put_be16(p + 14, b->wnd);
	memset(p + 16, 0, 4);
	memcpy(p + sizeof(struct rte_tcp_hdr), b->opts, b->nb_opts);
	m->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
	m->ol_flags |= u->family == SL_AF_INET6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4;
	m->l4_len = hdr_len & 0xff;
	/* What the wire loses is asked for again: the result is of no use here. */
	(void)t->cfg.ops->output(t->cfg.ctx, m, &src, &dst, 0, now_us);
}

/* With a timestamp where they were agreed (RFC 7323, 3.2). */
void tcp_send_rst_conn(struct sl_tcp_conn *c, uint64_t now_us)
{
	struct tcp_bare b = {
	        .seq = c->snd_nxt, .ack = c->rcv_nxt, .flags = RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG};

	TCP_TRACE(c, RST_OUT, c->snd_nxt, c->state);
	if (c->ts_ok)
		b.nb_opts = (uint8_t)tcp_options_ts(tcp_ts_now(c->ts_offset, now_us), c->ts_recent, b.opts);
	tcp_send_bare(c->t, &c->tuple, &b, now_us);
}

/* RFC 9293, 3.5.2, group 1. Never an answer to a RST. */
void tcp_send_rst_for(struct sl_tcp *t, const struct tcp_seg *s, uint64_t now_us)
{
	struct tcp_bare b = {.flags = RTE_TCP_RST_FLAG};

	if (s->flags & RTE_TCP_RST_FLAG)
		return;
	if (s->flags & RTE_TCP_ACK_FLAG) {
		b.seq = s->ack;
	} else {
		b.ack = s->seq + seg_len(s);
		b.flags |= RTE_TCP_ACK_FLAG;
	}
	tcp_send_bare(t, &s->tuple, &b, now_us);
}

/*
 * The same for what nobody here waits for, within a rate. The rate is that of the source's bucket, not one
 * for all: from a limit that all share, one who is not on the path could read whether a 4-tuple is in use, by
 * counting how many answers are left for himself.
 */
void tcp_send_rst_closed(struct sl_tcp *t, const struct tcp_seg *s, uint64_t now_us)
{
	struct tcp_rst_bucket *b = &t->rst_bucket[tcp_source_hash(t, &s->tuple) % TCP_RST_BUCKETS];
	uint32_t now_ms = (uint32_t)(now_us / TCP_MS), passed = now_ms - b->at_ms;

	if (s->flags & RTE_TCP_RST_FLAG)
		return;
	b->spent_ms = b->spent_ms > passed ? b->spent_ms - passed : 0;
	b->at_ms = now_ms;
	if (b->spent_ms + TCP_RST_COST_MS > TCP_RST_BURST_MS) {
		(void)sl_fail(SL_E_TCP_RST_LIMIT);
		return;
	}
	b->spent_ms += TCP_RST_COST_MS;
	tcp_send_rst_for(t, s, now_us);
}

void tcp_send_tw_ack(struct sl_tcp *t, const struct tcp_tw *w, const struct tcp_seg *s, uint64_t now_us)
{
	struct tcp_bare b = {.seq = w->snd_nxt,
	                     .ack = w->rcv_nxt,
	                     .flags = RTE_TCP_ACK_FLAG,
	                     .wnd = (uint16_t)w->rcv_wnd_field};

	if (w->ts_ok)
		b.nb_opts = (uint8_t)tcp_options_ts(tcp_ts_now(w->ts_offset, now_us), w->ts_recent, b.opts);
	tcp_send_bare(t, &s->tuple, &b, now_us);
}
