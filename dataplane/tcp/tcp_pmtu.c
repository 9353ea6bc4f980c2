/*
 * The path's MTU: what ICMP says of it (RFC 1191, RFC 8201), what timeouts say when ICMP is silent (RFC 4821,
 * 7.7), and the search upward with single probes of new data (RFC 4821, 7).
 *
 * path_mss is what is used; pmtu.limit is what the interface would take; while they differ, a probe goes out
 * now and then. A probe that is lost costs nothing but its repair: its loss says nothing about congestion.
 */
#include "tcp_priv.h"

#define MTU_MIN_V6      1280
#define HOLE_TIMEOUTS   3    /* in a row for the same data, before the path is suspected */
#define HOLE_STEP_BYTES 1024 /* RFC 4821, 7.2 */
#define HOLE_MIN_BYTES  536
#define PROBE_WAIT_US   (600 * TCP_S) /* after the MSS fell (RFC 8201, 4), or a search ended */
#define PROBE_SOON_US   (5 * TCP_S)   /* after timeouts: it may have been an outage */
#define PROBE_STEP      32            /* bytes: what is not worth a probe */
#define PROBE_WINDOW    8U /* segments that the window must have, so that the loss is found by ACKs */

static uint32_t ip_tcp_headers(const struct sl_tcp_conn *c)
{
	return c->tuple.family == SL_AF_INET6 ? 60 : 40;
}

static uint32_t mss_min(const struct sl_tcp_conn *c)
{
	return c->tuple.family == SL_AF_INET6 ? MTU_MIN_V6 - 60 : TCP_PMTU_MIN - 40;
}

static void mss_set(struct sl_tcp_conn *c, uint32_t mss)
{
	TCP_TRACE(c, PMTU, c->mss, mss);
	c->path_mss = (uint16_t)mss;
	tcp_conn_set_mss(c);
}

/* The path takes less than what was used. */
static void lower(struct sl_tcp_conn *c, uint32_t mss, uint64_t probe_us)
{
	struct tcp_pmtu *p = &c->pmtu;

	if (p->limit == 0)
		p->limit = c->path_mss;
	p->high = p->limit;
	p->probe = 0;
	p->first = true;
	p->next_us = probe_us;
	mss_set(c, mss);
}

void tcp_pmtu_too_big(struct sl_tcp_conn *c, uint32_t mtu, uint64_t now_us)
{
	uint32_t headers = ip_tcp_headers(c), mss = mtu > headers ? mtu - headers : 0;

	if (mtu == 0 && c->tuple.family != SL_AF_INET6) /* an old router does not say: as for a black hole */
		mss = c->path_mss > HOLE_STEP_BYTES ? HOLE_STEP_BYTES : HOLE_MIN_BYTES;
	mss = u32_max(mss, mss_min(c));
	if (mss >= c->path_mss)
		return;
	lower(c, mss, now_us + PROBE_WAIT_US);
	if (!state_synchronized(c->state))
		return;
	tcp_recovery_mtu_fell(c);
	tcp_rtx_timer_update(c, false, now_us);
	tcp_conn_want_out(c);
}

/* Timeouts in a row for a segment that smaller ones might get past. */
void tcp_pmtu_timeout(struct sl_tcp_conn *c, uint64_t now_us)
{
	const struct tcp_sent *head = TAILQ_FIRST(&c->board.all);
	uint32_t opts = c->mss - tcp_smss(c), mss, floor;

	c->pmtu.probe = 0;
	if (c->nb_rtx < HOLE_TIMEOUTS || c->nb_rtx % HOLE_TIMEOUTS != 0 || head == NULL)
		return;
	floor = c->tuple.family == SL_AF_INET6 ? mss_min(c) : HOLE_MIN_BYTES;
	mss = c->tuple.family != SL_AF_INET6 && c->mss > HOLE_STEP_BYTES ? HOLE_STEP_BYTES : floor;
	/* Small segments get through black holes: their loss is of another kind. */
	if (mss >= c->mss || head->end - head->seq <= mss - opts)
		return;
	TCP_TRACE(c, BLACK_HOLE, c->mss, mss);
	sl_count(SL_C_TCP_BLACK_HOLES);
	lower(c, mss, now_us + PROBE_SOON_US);
}

/* Size of the probe to send next, as an MSS; 0: none now. */
uint32_t tcp_pmtu_probe(const struct sl_tcp_conn *c, uint64_t now_us)
{
	const struct tcp_pmtu *p = &c->pmtu;
	uint32_t high;

	if (p->next_us == 0 || now_us < p->next_us || p->probe != 0)
		return 0;
	high = u32_min(p->high, c->peer_mss);
	if (c->ca_state != TCP_CA_OPEN || !c->sack_ok || c->board.sacked_bytes > 0 ||
	    c->cwnd < PROBE_WINDOW * tcp_smss(c) || high <= c->mss)
		return 0;
	return p->first ? high : c->mss + (high - c->mss + 1) / 2;
}

void tcp_pmtu_probe_sent(struct sl_tcp_conn *c, uint32_t mss)
{
	c->pmtu.probe = (uint16_t)mss;
}

static void search_ends(struct tcp_pmtu *p, uint64_t now_us)
{
	p->high = p->limit;
	p->first = true;
	p->next_us = now_us + PROBE_WAIT_US;
}

void tcp_pmtu_probe_done(struct sl_tcp_conn *c, bool arrived, uint64_t now_us)
{
	struct tcp_pmtu *p = &c->pmtu;
	uint16_t size = p->probe;

	if (size == 0)
		return;
	p->probe = 0;
	p->first = false;
	if (arrived)
		mss_set(c, size);
	else
		p->high = (uint16_t)(size - 1);
	if (c->path_mss >= p->limit)
		p->next_us = 0;
	else if (u32_min(p->high, c->peer_mss) < c->mss + PROBE_STEP)
		search_ends(p, now_us);
}
