/*
 * RACK-TLP (RFC 8985): a segment is lost when one that was sent later has arrived, and some time for
 * reordering has passed; and at the end of a flight a probe goes out instead of a wait for the timeout.
 */
#include "tcp_priv.h"

/* RACK_sent_after(), 6.2 */
static bool sent_after(uint64_t xmit1, uint32_t end1, uint64_t xmit2, uint32_t end2)
{
	return xmit1 > xmit2 || (xmit1 == xmit2 && seq_lt(end2, end1));
}

/* The smallest round-trip time of this window and the one before. */
static void note_min_rtt(struct sl_tcp_conn *c, uint32_t rtt, uint64_t now_us)
{
	struct tcp_rack *k = &c->rack;

	if (now_us - k->min_rtt_us > TCP_MIN_RTT_SPAN) {
		k->min_rtt[1] = now_us - k->min_rtt_us > 2 * TCP_MIN_RTT_SPAN ? 0 : k->min_rtt[0];
		k->min_rtt[0] = 0;
		k->min_rtt_us = now_us;
	}
	if (k->min_rtt[0] == 0 || rtt < k->min_rtt[0])
		k->min_rtt[0] = rtt;
}

uint32_t tcp_min_rtt(const struct sl_tcp_conn *c)
{
	const uint32_t *m = c->rack.min_rtt;

	if (m[0] == 0 || m[1] == 0)
		return m[0] | m[1];
	return u32_min(m[0], m[1]);
}

/* Something may answer a transmission before the last one. */
static bool ambiguous(const struct sl_tcp_conn *c, const struct tcp_sent *e, const struct tcp_acked *a,
                      uint32_t rtt)
{
	if (!(e->flags & TCP_SENT_EVER_RXT))
		return false;
	if (a->has_ts && seq_lt(a->ts_ecr, tcp_ts_now(c->ts_offset, e->xmit_us)))
		return true;
	return rtt < tcp_min_rtt(c);
}

/* 6.2, steps 1 to 3 */
void tcp_rack_delivered(struct sl_tcp_conn *c, const struct tcp_sent *e, const struct tcp_acked *a,
                        uint64_t now_us)
{
	struct tcp_rack *k = &c->rack;
	uint32_t rtt = (uint32_t)(now_us - e->xmit_us);

	if (!(e->flags & TCP_SENT_EVER_RXT)) {
		note_min_rtt(c, u32_max(rtt, 1), now_us);
		if (k->has_fack && seq_lt(e->end, k->fack)) {
			uint32_t segs = (k->fack - e->seq + tcp_smss(c) - 1) / tcp_smss(c);

			k->reordering = true;
			k->reo_segs = (uint16_t)u32_max(k->reo_segs, u32_min(segs, UINT16_MAX));
		}
	}
	if (!k->has_fack || seq_lt(k->fack, e->end))
		k->fack = e->end;
	k->has_fack = true;
	if (ambiguous(c, e, a, rtt))
		return;
	k->rtt_us = rtt;
	if (sent_after(e->xmit_us, e->end, k->xmit_us, k->end)) {
		k->xmit_us = e->xmit_us;
		k->end = e->end;
	}
}

/* Step 4: D-SACKs say that the window for reordering is too small. */
void tcp_rack_adapt(struct sl_tcp_conn *c, const struct tcp_acked *a)
{
	struct tcp_rack *k = &c->rack;

	if (k->dsack_round && seq_le(k->dsack_end, c->snd_una))
		k->dsack_round = false;
	if (!k->dsack_round && a->dsack) {
		k->dsack_round = true;
		k->dsack_end = c->snd_nxt;
		k->reo_mult = (uint8_t)u32_min(k->reo_mult + 1U, UINT8_MAX);
		k->reo_persist = TCP_REO_PERSIST;
	} else if (a->recovered && k->reo_persist > 0) {
		if (--k->reo_persist == 0)
			k->reo_mult = 1;
	}
}

/*
 * The RFC's is made of round trips, at most one. What makes packets late on a short path (a queue, a core
 * that had other work) has nothing to do with its round trips: there it also grows by time, where that was
 * seen.
 */
static uint32_t reo_wnd(const struct sl_tcp_conn *c)
{
	const struct tcp_rack *k = &c->rack;
	uint32_t mult = k->reo_mult, wnd = mult * (tcp_min_rtt(c) / 4);

	if (!k->reordering && (c->ca_state == TCP_CA_RECOVERY || c->ca_state == TCP_CA_LOSS ||
	                       c->board.sacked_segs >= TCP_DUPTHRESH))
		return 0;
	if (c->near && k->reordering)
		return u32_min(wnd + (mult - 1) * TCP_REO_NEAR_STEP, u32_max(c->srtt_us, TCP_REO_NEAR_MAX));
	return u32_min(wnd, c->srtt_us);
}

/* Time until e counts as lost; 0: now. */
static uint64_t time_left(const struct sl_tcp_conn *c, const struct tcp_sent *e, uint32_t wnd,
                          uint64_t now_us)
{
	uint64_t due = e->xmit_us + c->rack.rtt_us + wnd;

	return due > now_us ? due - now_us : 0;
}

/*
 * Step 5. The list is in the order of transmission, so the walk ends at the first that still has time: its
 * time is when to look again (the RFC waits for the last one and looks at all; the result is the same).
 */
uint64_t tcp_rack_detect(struct sl_tcp_conn *c, uint64_t now_us)
{
	struct tcp_sent *e = TAILQ_FIRST(&c->board.flying);
	uint32_t wnd = e != NULL ? reo_wnd(c) : 0;

	for (; e != NULL; e = TAILQ_FIRST(&c->board.flying)) {
		uint64_t left;

		if (!sent_after(c->rack.xmit_us, c->rack.end, e->xmit_us, e->end))
			return 0;
		left = time_left(c, e, wnd, now_us);
		if (left > 0)
			return now_us + left;
		tcp_sent_lost(c, e);
	}
	return 0;
}

/* 6.3: a timeout says that the first is lost, and all that had time enough to be answered. */
void tcp_rack_timeout(struct sl_tcp_conn *c, uint64_t now_us)
{
	struct tcp_sent *e, *next, *head = TAILQ_FIRST(&c->board.all);
	uint32_t wnd = reo_wnd(c);

	if (head != NULL && !(head->flags & (TCP_SENT_LOST | TCP_SENT_SACKED)))
		tcp_sent_lost(c, head);
	for (e = TAILQ_FIRST(&c->board.flying); e != NULL; e = next) {
		next = TAILQ_NEXT(e, state);
		if (!c->sack_ok || time_left(c, e, wnd, now_us) == 0)
			tcp_sent_lost(c, e);
	}
}

/* The peer may wait with its ACK: it has got one segment, and a probe would be that segment again. */
static bool waits_for_delayed_ack(const struct sl_tcp_conn *c)
{
	const struct tcp_sent *e = TAILQ_FIRST(&c->board.all);

	return c->board.nb == 1 && e->nb_segs == 1 &&
	       !(seq_lt(c->snd_nxt, c->snd_end) && seq_lt(c->snd_nxt, c->snd_una + c->snd_wnd));
}

/* 7.2: a probe two round trips after the last thing that happened; twice that behind one without an answer.
 */
static uint64_t probe_delay(const struct sl_tcp_conn *c)
{
	uint64_t us = c->srtt_us != 0 ? 2 * (uint64_t)c->srtt_us : TCP_S;

	us += waits_for_delayed_ack(c) ? TCP_TLP_ACK_DELAY : TCP_TLP_MIN;
	return us << c->nb_tlp;
}

/*
 * The RFC probes once, at the end of a flight, and leaves any other silence to the timeout. On a short path
 * that is a thousand round trips: there probes go in recovery too, and more than one where losses are known.
 */
static bool may_probe(const struct sl_tcp_conn *c, uint64_t delay_us)
{
	bool reneged = (TAILQ_FIRST(&c->board.all)->flags & TCP_SENT_SACKED) != 0;

	if (c->nb_tlp >= TCP_TLP_MAX || c->frto || reneged || (c->ca_state == TCP_CA_LOSS && c->nb_rtx > 0))
		return false;
	if (delay_us <= TCP_TLP_AGAIN_MAX && (c->lossy || !c->tlp_open))
		return true;
	return !c->tlp_open && c->board.sacked_bytes == 0 &&
	       (c->ca_state == TCP_CA_OPEN || c->ca_state == TCP_CA_CWR);
}

void tcp_tlp_schedule(struct sl_tcp_conn *c, uint64_t now_us)
{
	uint64_t delay, rto = tcp_timer_at(c, TCP_TMR_RTX);

	if (c->loss_timer == TCP_LOSS_REO)
		return;
	delay = c->sack_ok && c->board.nb > 0 ? probe_delay(c) : 0;
	if (delay == 0 || !may_probe(c, delay)) {
		tcp_loss_timer_off(c);
		return;
	}
	c->loss_timer = TCP_LOSS_TLP;
	tcp_timer_set(c, TCP_TMR_LOSS, rto != 0 && rto < now_us + delay ? rto : now_us + delay);
}

void tcp_loss_timer_off(struct sl_tcp_conn *c)
{
	c->loss_timer = TCP_LOSS_NONE;
	tcp_timer_off(c, TCP_TMR_LOSS);
}

/* 7.4.2: what the ACK says about the probe. True: the probe repaired a loss that nobody had noticed. */
bool tcp_tlp_ack(struct sl_tcp_conn *c, const struct tcp_seg *s, const struct tcp_acked *a)
{
	if (!c->tlp_open || seq_lt(s->ack, c->tlp_end))
		return false;
	if (!c->tlp_is_rxt || a->dsack_tlp) {
		c->tlp_open = false;
		return false;
	}
	if (seq_lt(c->tlp_end, s->ack)) {
		c->tlp_open = false;
		return true;
	}
	/* A plain duplicate: both copies have arrived. */
	if (a->dup && a->sacked == 0)
		c->tlp_open = false;
	return false;
}
