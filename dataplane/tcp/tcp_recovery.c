/*
 * Recovery from loss: when it starts and ends, what a timeout does, and taking it back when nothing was lost
 * after all (RFC 6675, RFC 8985; RFC 6582 without SACK; F-RTO, RFC 5682; undo by timestamps, RFC 3522, and by
 * D-SACK, RFC 3708; ECN, RFC 3168).
 */
#include "tcp_priv.h"

/* A peer can let all that flies seem lost and take it back with each ACK: not again for so long, of each
 * packet that was taken back. It is a hundred times what that costs. */
#define UNDO_PAUSE_US 3U

static void undo_arm(struct sl_tcp_conn *c)
{
	struct tcp_undo *u = &c->undo;

	c->undo_armed = true;
	u->una = c->snd_una;
	u->nb_rxt = -1;
	if (c->tlp_open && c->tlp_is_rxt)
		u->nb_rxt = 1;
	u->rxt_us = 0;
	u->cwnd = c->cwnd;
	u->ssthresh = c->ssthresh;
	u->cubic = c->cubic;
}

void tcp_undo_sent_again(struct sl_tcp_conn *c, uint32_t nb_segs, uint64_t now_us)
{
	struct tcp_undo *u = &c->undo;

	if (u->rxt_us == 0)
		u->rxt_us = now_us;
	if (u->nb_rxt < 0)
		u->nb_rxt = 0;
	u->nb_rxt += (int32_t)nb_segs;
}

/* The ACK answers what was sent before the first retransmission. */
static bool answers_original(const struct sl_tcp_conn *c, const struct tcp_acked *a)
{
	return c->undo.rxt_us != 0 && a->has_ts &&
	       seq_lt(a->ts_ecr, tcp_ts_now(c->ts_offset, c->undo.rxt_us));
}

static bool undo_due(const struct sl_tcp_conn *c)
{
	return c->undo_armed && c->t->now_us >= c->undo.next_us;
}

static bool may_undo(const struct sl_tcp_conn *c, const struct tcp_acked *a)
{
	return undo_due(c) && (c->undo.nb_rxt == 0 || answers_original(c, a));
}

static void losses_back(struct sl_tcp_conn *c)
{
	c->undo.next_us = c->t->now_us + (uint64_t)tcp_sent_unlose(c) * UNDO_PAUSE_US;
}

/* The window goes back to where it was before the reduction. */
static void undo_window(struct sl_tcp_conn *c)
{
	struct tcp_undo *u = &c->undo;

	c->cwnd = u32_max(c->cwnd, u->cwnd);
	c->ssthresh = u32_max(c->ssthresh, u->ssthresh);
	c->cubic = u->cubic;
	c->undo_armed = false;
	c->cwr_due = false;
	sl_count(SL_C_TCP_SPURIOUS);
	TCP_TRACE(c, UNDO, c->cwnd, c->ssthresh);
}

/* The window is reduced, for whatever reason: the peer hears of it, and marks in what has gone out already
 * ask for nothing more (RFC 3168, 6.1.2). */
static void tell_cwr(struct sl_tcp_conn *c)
{
	c->cwr_due = c->ecn_ok;
	c->cwr_end = c->snd_nxt;
}

static void open_state(struct sl_tcp_conn *c)
{
	c->ca_state = TCP_CA_OPEN;
	c->dupacks = 0;
	c->undo.rxt_us = 0;
	c->frto = false;
}

/* SND.UNA has passed the recovery point. */
static void leave_recovery(struct sl_tcp_conn *c, struct tcp_acked *a)
{
	bool reduced = c->ca_state != TCP_CA_LOSS, undo = may_undo(c, a);

	if (undo)
		undo_window(c);
	else if (reduced)
		tcp_prr_end(c);
	a->cwnd_set = undo || reduced;
	c->undo_armed = c->undo_armed && c->undo.nb_rxt > 0; /* D-SACKs may still come */
	open_state(c);
	a->recovered = true;
	TCP_TRACE(c, RECOVERED, c->cwnd, c->ssthresh);
}

static void enter_recovery(struct sl_tcp_conn *c)
{
	if (c->ca_state == TCP_CA_OPEN) {
		undo_arm(c);
		tcp_prr_start(c);
		tell_cwr(c);
	}
	/* From CWR: the window was reduced in this round already, and that is not taken back. */
	c->ca_state = TCP_CA_RECOVERY;
	c->recover = c->snd_nxt;
	c->prr.owes_rxt = true;
	sl_count(SL_C_TCP_RECOVERIES);
	TCP_TRACE(c, RECOVERY, c->cwnd, c->ssthresh);
}

/* The peer has seen congestion marked: as for a loss, but nothing is sent again (RFC 3168, 6.1.2). */
static void enter_cwr(struct sl_tcp_conn *c)
{
	tcp_prr_start(c);
	c->undo_armed = false;
	c->ca_state = TCP_CA_CWR;
	c->recover = c->snd_nxt;
}

static void take_ece(struct sl_tcp_conn *c, const struct tcp_acked *a)
{
	if (!a->ece || !c->ecn_ok)
		return;
	c->undo_armed = false;
	if (c->ca_state != TCP_CA_OPEN || seq_lt(c->snd_una, c->cwr_end))
		return;
	enter_cwr(c);
	tell_cwr(c);
	TCP_TRACE(c, ECN_ECE, c->cwnd, c->ssthresh);
}

/* NewReno (RFC 6582): the first hole is what the duplicate ACKs are about. */
static void lose_head(struct sl_tcp_conn *c)
{
	struct tcp_sent *e = TAILQ_FIRST(&c->board.all);

	if (e == NULL || e->flags & (TCP_SENT_LOST | TCP_SENT_RXT))
		return;
	if (e->end - e->seq > e->seg_bytes && tcp_sent_split(c, e, e->seq + e->seg_bytes) == NULL)
		return;
	tcp_sent_lost(c, e);
}

static void reno_ack(struct sl_tcp_conn *c, struct tcp_acked *a)
{
	uint32_t known = c->dupacks * tcp_smss(c), gone;

	if (a->dup) {
		c->dupacks = (uint8_t)u32_min(c->dupacks + 1U, UINT8_MAX);
		a->delivered += tcp_smss(c);
		TCP_TRACE(c, DUPACK, c->snd_una, 1);
	} else if (a->advanced) {
		/* What duplicate ACKs had told of is not delivered anew. */
		a->delivered = a->acked > known ? a->acked - known : u32_min(a->acked, tcp_smss(c));
		gone = a->acked / tcp_smss(c);
		c->dupacks = (uint8_t)(c->dupacks > gone ? c->dupacks - gone : 0);
	}
}

static void reno_losses(struct sl_tcp_conn *c, const struct tcp_acked *a)
{
	if (c->ca_state == TCP_CA_RECOVERY) {
		if (a->advanced) { /* a partial ACK: the next hole starts right here, and is filled at once */
			lose_head(c);
			c->prr.owes_rxt = true;
		}
		return;
	}
	/* ACKs of what a timeout sent twice look like duplicates (RFC 6582, 4.1). */
	if (c->ca_state != TCP_CA_LOSS && c->dupacks >= TCP_DUPTHRESH && seq_lt(c->recover, c->snd_una))
		lose_head(c);
}

static void find_losses(struct sl_tcp_conn *c, const struct tcp_acked *a, uint64_t now_us)
{
	uint64_t when;

	if (!c->sack_ok) {
		reno_losses(c, a);
		return;
	}
	tcp_rack_adapt(c, a);
	when = tcp_rack_detect(c, now_us);
	if (when != 0) {
		c->loss_timer = TCP_LOSS_REO;
		tcp_timer_set(c, TCP_TMR_LOSS, when);
	} else if (c->loss_timer == TCP_LOSS_REO) {
		tcp_loss_timer_off(c);
	}
}

/* A partial ACK in recovery: originals still come in, so it was reordering. */
static void try_undo_partial(struct sl_tcp_conn *c, const struct tcp_acked *a)
{
	if (!undo_due(c) || !answers_original(c, a) || c->board.rxt_bytes > 0)
		return;
	losses_back(c);
	undo_window(c);
	open_state(c);
}

/*
 * After a timeout (RFC 5682, 3.1, steps 2 and 3; RFC 3522). True: it was spurious. Without SACK an ACK of
 * what was sent again says nothing of what lay behind it: that may have come before the timeout (RFC
 * 5682, 2.1).
 */
static bool try_undo_timeout(struct sl_tcp_conn *c, const struct tcp_acked *a)
{
	bool original = c->frto && a->orig_delivered && (c->sack_ok || !a->rxt_acked);

	if (!(a->advanced && may_undo(c, a)) && !original)
		return false;
	losses_back(c);
	if (c->undo_armed)
		undo_window(c);
	c->nb_rtx = 0;
	open_state(c);
	return true;
}

/* F-RTO: new data is tried before what seems lost is sent again. */
static void frto_ack(struct sl_tcp_conn *c, const struct tcp_acked *a)
{
	if (!c->frto)
		return;
	if (seq_lt(c->recover, c->snd_nxt)) {
		if (a->sacked > 0 || a->dup)
			c->frto = false; /* 3.a: the loss was real */
	} else if (a->advanced && seq_lt(c->snd_una, c->recover)) {
		c->recover = c->snd_nxt;
		c->frto_new = seq_lt(c->snd_nxt, c->snd_end) && seq_lt(c->snd_nxt, c->snd_una + c->snd_wnd);
		c->frto = c->frto_new;
	}
}

/* Without SACK. Duplicates are of the new data that F-RTO has tried (3.1, 3.a): they make room for what is
 * lost. */
static void loss_dupacks(struct sl_tcp_conn *c, const struct tcp_acked *a)
{
	if (a->advanced)
		c->dupacks = 0;
	else if (a->dup && seq_lt(c->recover, c->snd_nxt))
		c->dupacks = (uint8_t)u32_min(c->dupacks + 1U, UINT8_MAX);
}

static void loss_ack(struct sl_tcp_conn *c, struct tcp_acked *a)
{
	c->frto_new = false;
	if (try_undo_timeout(c, a))
		return;
	frto_ack(c, a);
	if (seq_le(c->recover, c->snd_una))
		leave_recovery(c, a);
	else if (!c->sack_ok)
		loss_dupacks(c, a);
}

/* What is lost goes again without blame for the window. */
static void resend_only(struct sl_tcp_conn *c)
{
	c->undo_armed = false;
	c->ca_state = TCP_CA_LOSS;
	c->recover = c->snd_nxt;
	c->frto = false;
	c->dupacks = 0;
	tcp_loss_timer_off(c);
}

/* Of all that is in flight only the probe for a larger MTU is lost (RFC 4821, 7.5). */
static bool only_probe_lost(struct sl_tcp_conn *c, uint64_t now_us)
{
	const struct tcp_sent *e = TAILQ_FIRST(&c->board.lost);

	if (!(e->flags & TCP_SENT_PROBE) || e->flags & TCP_SENT_EVER_RXT)
		return false;
	tcp_pmtu_probe_done(c, false, now_us);
	return e->end - e->seq == c->board.lost_bytes;
}

static void losses_found(struct sl_tcp_conn *c, uint64_t now_us)
{
	if (c->board.lost_bytes == 0 || (c->ca_state != TCP_CA_OPEN && c->ca_state != TCP_CA_CWR))
		return;
	if (only_probe_lost(c, now_us))
		resend_only(c);
	else
		enter_recovery(c);
}

void tcp_recovery_ack(struct sl_tcp_conn *c, struct tcp_acked *a, uint64_t now_us)
{
	if (!c->sack_ok && c->ca_state != TCP_CA_LOSS)
		reno_ack(c, a);
	take_ece(c, a);
	if (c->ca_state == TCP_CA_LOSS)
		loss_ack(c, a);
	else if (c->ca_state != TCP_CA_OPEN && seq_le(c->recover, c->snd_una))
		leave_recovery(c, a);
	else if (c->ca_state == TCP_CA_RECOVERY && a->advanced)
		try_undo_partial(c, a);
	/* D-SACKs for all that was sent again: at any time until the next reduction. */
	if (undo_due(c) && c->undo.nb_rxt == 0 && a->dsack && c->ca_state != TCP_CA_LOSS) {
		losses_back(c);
		undo_window(c);
		open_state(c);
	}
	if (a->dsack_tlp) /* counted once */
		c->tlp_open = false;
	find_losses(c, a, now_us);
	losses_found(c, now_us);
}

/* The timer for reordering has run out. */
void tcp_recovery_reo_timeout(struct sl_tcp_conn *c, uint64_t now_us)
{
	struct tcp_acked a = {.prior_una = c->snd_una, .lost_before = c->lost_total};

	find_losses(c, &a, now_us);
	losses_found(c, now_us);
	if (c->ca_state == TCP_CA_RECOVERY && c->prr.owes_rxt)
		c->cwnd = tcp_pipe(c) + tcp_smss(c);
}

/* A probe has repaired a loss: the window pays for it as for any other (RFC 8985, 7.4.2). */
void tcp_recovery_tlp_repaired(struct sl_tcp_conn *c)
{
	if (c->ca_state != TCP_CA_OPEN)
		return;
	tcp_prr_start(c);
	tcp_prr_end(c);
	tell_cwr(c);
	c->undo_armed = false;
}

/* RFC 6298 (5.4 to 5.7), RFC 8985 (6.3), RFC 5682 (step 1). */
void tcp_recovery_timeout(struct sl_tcp_conn *c, uint64_t now_us)
{
	struct tcp_sent *head = TAILQ_FIRST(&c->board.all);
	bool first = c->ca_state == TCP_CA_OPEN || c->ca_state == TCP_CA_CWR;
	bool reneged = head != NULL && head->flags & TCP_SENT_SACKED;

	if (reneged) { /* the peer may drop what it had SACKed (RFC 2018, 8) */
		TCP_TRACE(c, RENEGED, c->snd_una, c->board.sacked_bytes);
		(void)sl_fail(SL_E_TCP_RENEGED);
		tcp_sent_renege(c);
	}
	/* A second timeout for the same data does not lower ssthresh again (RFC 5681, 3.1). */
	if (first || seq_le(c->recover, c->snd_una) || (c->ca_state == TCP_CA_LOSS && c->nb_rtx <= 1)) {
		undo_arm(c);
		tcp_cc_reduce(c);
		tell_cwr(c);
	}
	c->frto = !reneged && (first || c->nb_rtx > 1);
	c->frto_new = false;
	c->ca_state = TCP_CA_LOSS;
	c->recover = c->snd_nxt;
	c->tlp_open = false;
	c->nb_tlp = 0;
	c->dupacks = 0;
	tcp_loss_timer_off(c);
	tcp_rack_timeout(c, now_us);
	c->cwnd = tcp_pipe(c) + tcp_smss(c);
}

/* The path takes less: what is in flight is cut anew (RFC 1191, 6.4). */
void tcp_recovery_mtu_fell(struct sl_tcp_conn *c)
{
	uint32_t max = c->mss - tcp_options_data_len(c);
	struct tcp_sent *e, *next;

	for (e = TAILQ_FIRST(&c->board.flying); e != NULL; e = next) {
		next = TAILQ_NEXT(e, state);
		if (u32_min(e->seg_bytes, e->end - e->seq) > max)
			tcp_sent_lost(c, e);
	}
	if (c->board.lost_bytes == 0 || c->ca_state == TCP_CA_LOSS || c->ca_state == TCP_CA_RECOVERY)
		return;
	resend_only(c);
}
