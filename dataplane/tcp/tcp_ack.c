/* What an ACK means: progress, round-trip time, the peer's window; loss and recovery are in tcp_recovery.c.
 */
#include "tcp_priv.h"

/*
 * RFC 6298 (3): from what was sent once, by the oldest of it; else the echoed timestamp, which says which
 * transmission is answered (RFC 7323, 4.1). Such a sample also ends the back-off.
 */
static void take_rtt(struct sl_tcp_conn *c, struct tcp_acked *a, uint64_t now_us)
{
	uint64_t sent = a->first_us != 0 && !a->rxt_acked ? a->first_us : a->sack_first_us;

	if (sent != 0) {
		a->rtt_us = u32_max((uint32_t)(now_us - sent), 1);
		tcp_rtt_sample(c, now_us - sent);
	} else if (!a->advanced || !a->has_ts || !tcp_rtt_sample_ts(c, a->ts_ecr, now_us)) {
		return;
	}
	c->rto_shift = 0;
}

static void writable_progress(struct sl_tcp_conn *c)
{
	uint32_t size = tcp_tx_buf(c);

	if (c->want_write && !c->on_starved && tx_bytes(c) <= size - size / 4) {
		c->want_write = false;
		tcp_post(c, SL_TCP_EV_WRITABLE);
	}
}

/* Our FIN is acknowledged (RFC 9293, fifth check, by state). */
static void fin_acked(struct sl_tcp_conn *c, uint64_t now_us)
{
	switch (c->state) {
	case TCP_FIN_WAIT_1:
		c->state = TCP_FIN_WAIT_2;
		break;
	case TCP_CLOSING:
		if (c->ack_now) /* their FIN came in the same burst */
			(void)tcp_send_ack(c, now_us);
		tcp_conn_time_wait(c, now_us);
		break;
	case TCP_LAST_ACK:
		tcp_conn_finish(c, SL_OK);
		break;
	default:
		break;
	}
}

/* Marks that may lie far back follow, four times in each lap of the sequence numbers: behind 2 GiB they would
 * seem to lie ahead. */
static void marks_follow(struct sl_tcp_conn *c, uint32_t ack)
{
	if ((ack ^ c->snd_una) >> 30 == 0)
		return;
	c->recover = seq_max(c->recover, c->snd_una);
	c->cwr_end = seq_max(c->cwr_end, c->snd_una);
	c->snd_sml = seq_max(c->snd_sml, c->snd_una);
	c->hystart.round_end = seq_max(c->hystart.round_end, c->snd_una);
}

/* SND.UNA moves: what is acknowledged is let go. */
static void advance(struct sl_tcp_conn *c, const struct tcp_seg *s, struct tcp_acked *a, uint64_t now_us)
{
	bool fin = fin_sent(c) && s->ack == c->snd_nxt;

	a->advanced = true;
	a->acked = s->ack - c->snd_una;
	tcp_sent_ack(c, s->ack, a, now_us);
	if (s->ack < c->snd_una)
		c->una_laps++;
	marks_follow(c, s->ack);
	c->snd_una = s->ack;
	tcp_sndq_drop(c, a->acked - (fin ? 1 : 0));
	c->nb_rtx = 0;
	c->progress_us = now_us;
	c->soft = false;
	writable_progress(c);
	if (!c->held)
		tcp_orphan_restart(c, now_us);
	TCP_TRACE(c, ACKED, s->ack, a->acked);
}

/* RFC 5681, 2 */
static bool is_dup_ack(const struct sl_tcp_conn *c, const struct tcp_seg *s)
{
	return s->ack == c->snd_una && c->snd_una != c->snd_nxt && seg_len(s) == 0 &&
	       s->wnd << c->snd_shift == c->snd_wnd;
}

/*
 * The end of a persist state: what comes next is not backed off. The same where what went into the shut
 * window was dropped there: the timeout has doubled, which says nothing of the path, and the first of it goes
 * again now.
 */
static void window_grows(struct sl_tcp_conn *c, const struct tcp_seg *s, uint64_t now_us)
{
	struct tcp_sent *head = TAILQ_FIRST(&c->board.all);

	if (c->snd_una == c->snd_nxt) {
		c->rto_shift = 0;
		tcp_timer_off(c, TCP_TMR_RTX);
	} else if (c->snd_wnd == 0 && s->ack == c->snd_una && c->ca_state == TCP_CA_LOSS &&
	           c->rto_shift > 0) {
		c->rto_shift = 0;
		if (!(head->flags & (TCP_SENT_LOST | TCP_SENT_SACKED)))
			tcp_sent_lost(c, head);
		tcp_rtx_arm(c, now_us);
	}
}

static void window_update(struct sl_tcp_conn *c, const struct tcp_seg *s, uint64_t now_us)
{
	uint32_t wnd = s->wnd << c->snd_shift;

	if (seq_lt(s->ack, c->snd_una))
		return;
	/*
	 * SND.WL2 is never above SND.UNA, so that of two with the same SEQ none that comes here is older. Nor
	 * is what moves SND.UNA, though its bytes may be: they were sent again (RFC 9293 would keep the old
	 * window).
	 */
	if (s->ack == c->snd_una && seq_lt(s->seq, c->snd_wl1))
		return;
	if (wnd > c->snd_wnd)
		window_grows(c, s, now_us);
	if (wnd == 0 && c->snd_wnd != 0)
		TCP_TRACE(c, WND_SHUT, s->ack, c->snd_end - c->snd_nxt);
	if (wnd != 0 && c->snd_wnd == 0)
		TCP_TRACE(c, WND_OPEN, s->ack, wnd);
	if (wnd > c->snd_wnd)
		c->max_snd_wnd = u32_max(c->max_snd_wnd, wnd);
	c->snd_wnd = wnd;
	c->snd_wl1 = s->seq;
}

static uint32_t cut(uint64_t x)
{
	return x < UINT32_MAX ? (uint32_t)x : UINT32_MAX;
}

/* What is delivered in about a round trip, as a rate. */
static void count_delivery(struct sl_tcp_conn *c, const struct tcp_acked *a, uint64_t now_us)
{
	struct tcp_stat *st = &c->stat;

	st->delivered += (a->delivered + tcp_smss(c) - 1) / tcp_smss(c);
	st->rate_bytes += a->delivered;
	if (now_us - st->rate_us < u32_max(c->srtt_us, (uint32_t)TCP_MS))
		return;
	/* Behind a pause there is nothing to measure: the next round trip is. */
	if (now_us - st->rate_us < TCP_RATE_PAUSE)
		st->delivery_rate = cut((uint64_t)st->rate_bytes * 1000000 / (now_us - st->rate_us));
	st->rate_bytes = 0;
	st->rate_us = now_us;
}

/* The congestion window after all that the ACK has told. */
static void move_window(struct sl_tcp_conn *c, const struct tcp_acked *a, uint64_t now_us)
{
	if (c->ca_state == TCP_CA_RECOVERY || c->ca_state == TCP_CA_CWR)
		tcp_prr_ack(c, a);
	else if (a->advanced && !a->cwnd_set)
		/* What SACKs had told of has made room already. */
		tcp_cc_acked(c, a->delivered, a->rtt_us, now_us);
}

/* A peer that has dropped what it had SACKed is given little time to say otherwise. */
static void watch_reneging(struct sl_tcp_conn *c, uint64_t now_us)
{
	const struct tcp_sent *head = TAILQ_FIRST(&c->board.all);
	uint64_t when = now_us + u32_max(c->srtt_us / 2, TCP_RENEGE_WAIT);

	if (head != NULL && head->flags & TCP_SENT_SACKED && when < tcp_timer_at(c, TCP_TMR_RTX))
		tcp_timer_set(c, TCP_TMR_RTX, when);
}

static void take_ack(struct sl_tcp_conn *c, const struct tcp_seg *s, uint64_t now_us)
{
	struct tcp_acked a = {
	        .prior_una = c->snd_una,
	        .ece = (s->flags & RTE_TCP_ECE_FLAG) != 0,
	        .has_ts = c->ts_ok && s->opts.has_ts && s->opts.ts_ecr != 0,
	        .ts_ecr = s->opts.ts_ecr,
	        .dup = is_dup_ack(c, s),
	};
	bool fin = fin_sent(c) && s->ack == c->snd_nxt && seq_lt(c->snd_una, s->ack), repaired;

	window_update(c, s, now_us);
	if (a.prior_una == c->snd_nxt)
		return;
	if (c->ca_state != TCP_CA_OPEN || a.ece) /* else all that is lost now is found with this ACK */
		a.lost_before = c->lost_total;
	if (seq_lt(c->snd_una, s->ack))
		advance(c, s, &a, now_us);
	if (c->sack_ok)
		tcp_sack_input(c, s, &a, now_us);
	take_rtt(c, &a, now_us);
	repaired = tcp_tlp_ack(c, s, &a) && c->ca_state == TCP_CA_OPEN;
	tcp_recovery_ack(c, &a, now_us);
	if (repaired)
		tcp_recovery_tlp_repaired(c);
	move_window(c, &a, now_us);
	count_delivery(c, &a, now_us);
	if (a.advanced)
		tcp_rtx_timer_update(c, true, now_us);
	if (a.advanced || a.sacked > 0) {
		c->nb_tlp = 0;
		tcp_tlp_schedule(c, now_us);
	}
	watch_reneging(c, now_us);
	if (fin)
		fin_acked(c, now_us);
}

/*
 * The peer lives, and says its time: TS.Recent (RFC 7323, 4.3 (2)). One that is too old to say anything (5.5)
 * gives way to that of any segment: against what fills the gap in front of this one it would count as young
 * again.
 */
static void heard(struct sl_tcp_conn *c, const struct tcp_seg *s, uint64_t now_us)
{
	uint32_t val = s->opts.ts_val;

	if (c->ts_ok && s->opts.has_ts &&
	    ((!seq_lt(val, c->ts_recent) && seq_le(s->seq, c->last_ack_sent)) ||
	     now_us - c->last_recv_us > TCP_PAWS_MAX_AGE))
		c->ts_recent = val;
	c->nb_keep = 0;
	c->last_recv_us = now_us;
}

bool tcp_ack_input(struct sl_tcp_conn *c, const struct tcp_seg *s, uint64_t now_us)
{
	if (!(s->flags & RTE_TCP_ACK_FLAG))
		return false;
	/* RFC 5961, 5.2: SND.UNA - MAX.SND.WND <= SEG.ACK <= SND.NXT */
	if (seq_lt(c->snd_nxt, s->ack) ||
	    (seq_lt(s->ack, c->snd_una) && seq_lt(s->ack, c->snd_una - c->max_snd_wnd))) {
		(void)sl_fail(SL_E_TCP_ACK);
		TCP_TRACE(c, BAD_ACK, s->ack, c->snd_nxt);
		tcp_send_challenge(c, now_us);
		return false;
	}
	heard(c, s, now_us);
	/* A peer that answers with its window shut is alive: probes to it have no limit. */
	if (c->snd_una == c->snd_nxt || s->wnd == 0)
		c->nb_rtx = 0;
	c->stat.last_ack_us = now_us;
	take_ack(c, s, now_us);
	if (c->state == TCP_CLOSED || c->state == TCP_TIME_WAIT)
		return false;
	if (c->snd_una != tx_last_seq(c))
		tcp_conn_want_out(c);
	return true;
}
