/*
 * Paths that let packets overtake each other. A sender takes what it hears to be missing for lost, sends it
 * again and slows down, the more the shorter the path is: a tolerance made of round trips (RFC 8985, 6.2)
 * does not cover what a link, a bond or a busy core adds. So where packets have been seen to come late, a gap
 * is not told for a moment (TCP_RESEQ). What fills it in time was never missing for the peer: it sees a path
 * a little longer.
 *
 * That packets come late is learned from what fills a gap: it was sent (by its timestamp) before something
 * that came before it, or the peer had not been told of the gap; from a peer without timestamps, a duplicate
 * behind a gap shows it. Each gap that stays open halves what was learned.
 */
#include "tcp_reseq.h"

static bool expects_late(const struct sl_tcp_conn *c)
{
	return c->late >= TCP_LATE_LEAST;
}

static void hide(struct sl_tcp_conn *c, uint64_t now_us)
{
	tcp_timer_set(c, TCP_TMR_RESEQ, now_us + TCP_RESEQ);
}

static void learn(struct sl_tcp_conn *c)
{
	if (c->late < TCP_LATE_MOST)
		c->late++;
}

/* One byte may be a keep-alive. */
void tcp_reseq_duplicate(struct sl_tcp_conn *c, const struct tcp_seg *s)
{
	if (c->ts_ok || !c->gap_seen || s->len <= 1)
		return;
	c->gap_seen = false;
	learn(c);
}

void tcp_reseq_out_of_order(struct sl_tcp_conn *c, const struct tcp_seg *s, bool first, uint64_t now_us)
{
	if (s->opts.has_ts && (first || seq_lt(c->ooo_ts, s->opts.ts_val)))
		c->ooo_ts = s->opts.ts_val;
	c->gap_seen = true;
	if (!first)
		return;
	if (expects_late(c))
		hide(c, now_us);
	else
		tcp_timer_off(c, TCP_TMR_RESEQ);
}

void tcp_reseq_filled(struct sl_tcp_conn *c, const struct tcp_seg *s, uint64_t now_us)
{
	bool late = tcp_reseq_hides(c) || (s->opts.has_ts && seq_lt(s->opts.ts_val, c->ooo_ts));

	if (late)
		learn(c);
	if (!c->has_ooo)
		tcp_timer_off(c, TCP_TMR_RESEQ);
	else if (late && expects_late(c)) /* behind it is the next gap, with a time of its own */
		hide(c, now_us);
}

void tcp_reseq_expired(struct sl_tcp_conn *c, uint64_t now_us)
{
	if (!c->has_ooo)
		return;
	c->late /= 2;
	TCP_TRACE(c, GAP, c->rcv_nxt, c->late);
	c->ack_now = true;
	tcp_output(c, now_us);
}
