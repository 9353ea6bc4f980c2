/*
 * Pacing. A window that opens all at once, as in slow start or behind an ACK for much, would go out as one
 * burst: queues on the way that are shorter than the window drop the end of it, and a receiver that measures
 * what comes at a time grows its buffer too late (Linux takes what lies unread off its measure: a window that
 * comes within a tenth of a millisecond it takes for a few segments, and stays at 64 KB).
 *
 * So new bytes go at twice the rate of the window in slow start, else at 6/5 of it: it is all sent within the
 * round trip, and the ACKs that come back evenly need not wait. An initial window may always go at once (RFC
 * 6928), so that an answer to a request is not held back. The timers have milliseconds; paths
 * whose round trips are few of those are left alone. What is sent again counts, but does not wait: PRR has
 * its own measure.
 */
#include "tcp_pace.h"

#define PACE_SLACK (2 * TCP_MS) /* the timer may come so late and nothing of the rate is lost */
#define PACE_STEP  TCP_MS

/* The window as the rate has it, five times. */
static uint64_t window5(const struct sl_tcp_conn *c)
{
	return (uint64_t)c->cwnd * (c->cwnd < c->ssthresh ? 10 : 6);
}

static uint64_t time_of(const struct sl_tcp_conn *c, uint64_t bytes)
{
	return bytes * c->srtt_us * 5 / window5(c);
}

bool tcp_pace_waits(struct sl_tcp_conn *c, uint64_t now_us)
{
	uint64_t most;

	if (!tcp_paces(c) || c->pace_us <= now_us || c->probe_now)
		return false;
	/* By the window and the round-trip time of now: the last packet may have gone out at a slower rate.
	 */
	most = now_us + time_of(c, tcp_pace_bytes(c));
	if (c->pace_us > most)
		c->pace_us = most;
	/* The timer's millisecond is the next one. */
	if (c->t->paced_until_us < c->pace_us + TCP_MS)
		c->t->paced_until_us = c->pace_us + TCP_MS;
	tcp_timer_set(c, TCP_TMR_PACE, c->pace_us);
	return true;
}

void tcp_pace_sent(struct sl_tcp_conn *c, uint32_t n, uint64_t now_us)
{
	uint64_t credit, from;

	if (!tcp_paces(c))
		return;
	credit = time_of(c, tcp_cc_initial(c));
	credit = credit > PACE_SLACK ? credit : PACE_SLACK;
	from = now_us > credit ? now_us - credit : 0;
	c->pace_us = (c->pace_us > from ? c->pace_us : from) + time_of(c, n);
}

uint32_t tcp_pace_bytes(const struct sl_tcp_conn *c)
{
	uint64_t n = window5(c) * PACE_STEP / (5 * (uint64_t)c->srtt_us), least = 2 * (uint64_t)tcp_smss(c);

	return (uint32_t)(n < least ? least : n < TCP_TSO_BYTES_MAX ? n : TCP_TSO_BYTES_MAX);
}

uint64_t tcp_pace_rate(const struct sl_tcp_conn *c)
{
	return tcp_paces(c) ? window5(c) * TCP_S / (5 * (uint64_t)c->srtt_us) : 0;
}
