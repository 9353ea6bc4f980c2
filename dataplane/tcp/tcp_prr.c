/*
 * Proportional rate reduction (RFC 6937) with the slow-start bound: while the window is being reduced, what
 * may be sent follows what the peer has got, so that it is at ssthresh when the reduction ends. Also for ECN.
 */
#include "tcp_priv.h"

void tcp_prr_start(struct sl_tcp_conn *c)
{
	c->prr.delivered = 0;
	c->prr.out = 0;
	c->prr.owes_rxt = false;
	c->prr.prior_cwnd = u32_max(c->cwnd, 1);
	tcp_cc_reduce(c);
}

/* Bytes that this ACK lets go. */
static uint32_t may_send(const struct sl_tcp_conn *c, const struct tcp_acked *a, uint32_t pipe)
{
	const struct tcp_prr *p = &c->prr;
	uint64_t due = (uint64_t)p->delivered * c->ssthresh + p->prior_cwnd - 1;
	uint32_t n;

	if (pipe > c->ssthresh) {
		due /= p->prior_cwnd;
		return due > p->out ? (uint32_t)(due - p->out) : 0;
	}
	n = u32_max(p->delivered > p->out ? p->delivered - p->out : 0, a->delivered);
	if (a->advanced && c->lost_total == a->lost_before)
		n += tcp_smss(c);
	return u32_min(c->ssthresh - pipe, n);
}

void tcp_prr_ack(struct sl_tcp_conn *c, const struct tcp_acked *a)
{
	uint32_t pipe = tcp_pipe(c), n;

	if (a->delivered == 0)
		return;
	c->prr.delivered += a->delivered;
	n = may_send(c, a, pipe);
	if (c->prr.owes_rxt) /* the first retransmission goes in any case */
		n = u32_max(n, tcp_smss(c));
	c->cwnd = pipe + n;
}

void tcp_prr_end(struct sl_tcp_conn *c)
{
	c->cwnd = u32_max(c->ssthresh, tcp_smss(c));
}
