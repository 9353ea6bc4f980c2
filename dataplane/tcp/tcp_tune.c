/*
 * The size of buffers. A receive buffer starts small and grows with what the user takes in a round trip, so
 * that the window never is what limits a path; one whose user is slow stays as it is. A send buffer follows
 * the congestion window. Both are promises: memory is held only by bytes that are there.
 */
#include "tcp_priv.h"

void tcp_tune_init(struct sl_tcp_conn *c)
{
	c->rx_buf = c->t->cfg.rx_buf_bytes;
	c->tune.at_us = c->t->now_us;
}

/* Little memory is left for received bytes, or few mbufs to copy them to. */
bool tcp_rcv_pressure(const struct sl_tcp_conn *c)
{
	const struct sl_tcp *t = c->t;

	return tcp_pressure(c) || t->nb_rcv_own > t->cfg.pool->size / TCP_OWN_SHARE / 4 * 3;
}

/* ---- the round trip as the receiver sees it ---- */

/* Down at once for half of the way, up slowly: a peer that had nothing to send looks like a long path. */
static void take_sample(struct tcp_tune *u, uint32_t us)
{
	if (u->rtt_us == 0)
		u->rtt_us = us;
	else if (us < u->rtt_us)
		u->rtt_us -= (u->rtt_us - us) / 2;
	else
		u->rtt_us += (u32_min(us, 2 * u->rtt_us) - u->rtt_us) / 8;
}

/* From our own timestamp, which the first segment behind an ACK of ours brings back. */
static void by_timestamp(struct sl_tcp_conn *c, const struct tcp_seg *s, uint64_t now_us)
{
	struct tcp_tune *u = &c->tune;
	uint32_t ms = tcp_ts_now(c->ts_offset, now_us) - s->opts.ts_ecr;

	if (s->opts.ts_ecr == c->tune_ecr || s->len < c->adv_mss / 2)
		return;
	c->tune_ecr = s->opts.ts_ecr;
	if (ms <= TCP_TUNE_RTT_MAX / TCP_MS)
		take_sample(u, u32_max(ms, 1) * (uint32_t)TCP_MS);
}

/* Without timestamps: a whole window cannot come in less than a round trip. */
static void by_window(struct sl_tcp_conn *c, uint64_t now_us)
{
	struct tcp_tune *u = &c->tune;
	uint64_t us = now_us - u->turn_us;

	if (u->turn_us != 0 && seq_lt(c->rcv_nxt, u->turn_seq))
		return;
	if (u->turn_us != 0 && us <= TCP_TUNE_RTT_MAX && (u->rtt_us == 0 || us < u->rtt_us))
		u->rtt_us = u32_max((uint32_t)us, 1);
	u->turn_us = now_us;
	u->turn_seq = c->rcv_adv;
}

void tcp_tune_received(struct sl_tcp_conn *c, const struct tcp_seg *s, uint64_t now_us)
{
	if (c->rx_buf >= c->t->cfg.rx_buf_max)
		return;
	if (!c->ts_ok)
		by_window(c, now_us);
	else if (s->opts.has_ts && s->opts.ts_ecr != 0)
		by_timestamp(c, s, now_us);
}

/* ---- the receive buffer ---- */

/* What the connection's buffer may be at most, by the memory that there is: each may take a part of the rest.
 */
static uint32_t rx_limit(const struct sl_tcp_conn *c)
{
	const struct sl_tcp *t = c->t;
	uint64_t part = tcp_mem_room(c) / (TCP_RCVQ_TRUE_SHARE * TCP_TUNE_MEM_SHARE);

	return part < t->cfg.rx_buf_max ? (uint32_t)part : t->cfg.rx_buf_max;
}

/*
 * Twice of what went in a round trip keeps the path full while a lost segment is waited for; and as much
 * again as the rate has grown (to twice, in slow start), so that the window is not what ends the growth.
 */
static void grow(struct sl_tcp_conn *c, uint32_t bytes)
{
	uint32_t before = c->tune.most, more = u32_min(bytes - before, before), limit = rx_limit(c);
	uint64_t want = 2 * (uint64_t)bytes;

	want += before == 0 ? want : want * more / before;
	if (want <= limit)
		c->tune.most = bytes;
	else
		want = limit; /* tried again when there is more memory */
	if (want <= c->rx_buf)
		return;
	c->rx_buf = (uint32_t)want;
	TCP_TRACE(c, RCVBUF, c->rx_buf, c->tune.rtt_us);
}

/* What the user has taken is told by sequence numbers, so that only the end of a round trip costs anything.
 */
void tcp_tune_consumed(struct sl_tcp_conn *c)
{
	struct tcp_tune *u = &c->tune;
	uint64_t now_us = c->t->now_us, span, bytes;
	bool begun = c->tune_due_us != 0;
	uint32_t rtt, at;

	if (now_us < c->tune_due_us || c->rx_buf >= c->t->cfg.rx_buf_max)
		return;
	rtt = u->rtt_us != 0 ? u->rtt_us : c->srtt_us;
	at = c->rcv_nxt - c->rcvq.bytes;
	span = now_us - u->at_us;
	/* A user that reads seldom has not taken all of it in one round trip. */
	bytes = span > 0 ? (uint64_t)(at - u->from) * rtt / span : 0;
	u->from = at;
	u->at_us = now_us;
	c->tune_due_us = now_us + u32_max(rtt, TCP_TUNE_SPAN_MIN);
	if (!begun || span < rtt)
		return;
	/* One that leaves half of the buffer unread would not be faster with a larger one. */
	if (bytes > u->most && c->rcvq.bytes <= c->rx_buf / 2 && !tcp_rcv_pressure(c))
		grow(c, (uint32_t)bytes);
}

/* ---- the send buffer ---- */

/*
 * What is in flight and as much again as the window lets go next. Not more than the peer takes: bytes for a
 * reader that has stopped would only lie here.
 */
uint32_t tcp_tx_buf(const struct sl_tcp_conn *c)
{
	const struct sl_tcp_cfg *cfg = &c->t->cfg;
	uint64_t want = (uint64_t)(c->snd_nxt - c->snd_una) + u32_min(c->cwnd, c->snd_wnd);

	if (want <= cfg->tx_buf_bytes || tcp_pressure(c))
		return cfg->tx_buf_bytes;
	return want < cfg->tx_buf_max ? (uint32_t)want : cfg->tx_buf_max;
}
