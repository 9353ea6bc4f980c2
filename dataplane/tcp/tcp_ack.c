/* What an ACK means: progress, round-trip time, the peer's window, loss and recovery. */
#include "tcp_priv.h"

static void take_rtt(struct sl_tcp_conn *c, const struct tcp_seg *s, uint64_t now_us)
{
	if (c->rtt_timing && seq_le(c->rtt_seq, s->ack)) {
		c->rtt_timing = false;
		tcp_rtt_sample(c, now_us - c->rtt_us);
	} else if (!c->rtt_timing && c->ts_ok && s->opts.has_ts && s->opts.ts_ecr != 0) {
		/* Something was sent again: only the echoed timestamp says which one is answered (RFC
		 * 7323, 4.1). */
		uint32_t ms = tcp_ts_now(c->ts_offset, now_us) - s->opts.ts_ecr;

		if (ms <= TCP_RTO_MAX / TCP_MS)
			tcp_rtt_sample(c, u32_max(ms, 1) * TCP_MS);
	}
}

/* RFC 6675 (5), RFC 6582: the first loss of this window. */
static void enter_recovery(struct sl_tcp_conn *c)
{
	tcp_cc_loss(c);
	c->ca_state = TCP_CA_RECOVERY;
	c->recover = c->snd_nxt;
	c->high_rxt = c->snd_una;
	c->lost_to = seq_max(c->lost_to, seq_min(c->snd_una + c->mss, c->snd_nxt));
}

static void leave_recovery(struct sl_tcp_conn *c)
{
	c->ca_state = TCP_CA_OPEN;
	c->dupacks = 0;
	c->lost_to = c->snd_una;
	c->high_rxt = c->snd_una;
}

static void recovery_progress(struct sl_tcp_conn *c, uint32_t acked)
{
	uint32_t gone;

	c->high_rxt = seq_max(c->high_rxt, c->snd_una);
	c->lost_to = seq_max(c->lost_to, c->snd_una);
	if (c->ca_state == TCP_CA_OPEN) {
		c->dupacks = 0;
		return;
	}
	if (seq_le(c->recover, c->snd_una)) {
		leave_recovery(c);
		return;
	}
	if (c->ca_state != TCP_CA_RECOVERY || c->sack_ok)
		return;
	/* A partial ACK: the next hole starts right here (RFC 6582, 3.2). */
	gone = acked / c->mss;
	c->dupacks = (uint8_t)(c->dupacks > gone ? c->dupacks - gone : 0);
	c->lost_to = seq_min(c->snd_una + c->mss, c->snd_nxt);
	c->high_rxt = c->snd_una;
}

/* The SACK board after the window's left edge moved; a peer that takes back what it had SACKed loses its
 * board. */
static void board_progress(struct sl_tcp_conn *c)
{
	if (tcp_ranges_find(c->sacked, c->snd_una) != NULL) {
		tcp_ranges_clear(c->t, &c->sacked);
		return;
	}
	tcp_ranges_trim(c->t, &c->sacked, c->snd_una);
}

static void writable_progress(struct sl_tcp_conn *c)
{
	uint32_t room = c->t->cfg.tx_buf_bytes - tx_bytes(c);

	if (c->want_write && !c->on_starved && room >= c->t->cfg.tx_buf_bytes / 4) {
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
		tcp_conn_time_wait(c, now_us);
		break;
	case TCP_LAST_ACK:
		tcp_conn_finish(c, SL_OK);
		break;
	default:
		break;
	}
}

static void new_ack(struct sl_tcp_conn *c, const struct tcp_seg *s, uint64_t now_us)
{
	uint32_t acked = s->ack - c->snd_una;
	bool fin = fin_sent(c) && s->ack == c->snd_nxt;

	take_rtt(c, s, now_us);
	c->snd_una = s->ack;
	tcp_sndq_drop(c, acked - (fin ? 1 : 0));
	c->rto_shift = 0;
	c->nb_rtx = 0;
	c->soft_err = 0;
	board_progress(c);
	tcp_cc_acked(c, acked, now_us); /* before: the ACK that ends a recovery does not grow the window */
	recovery_progress(c, acked);
	writable_progress(c);
	if (!c->held)
		tcp_orphan_restart(c, now_us);
	tcp_rtx_timer_update(c, true, now_us);
	if (fin)
		fin_acked(c, now_us);
}

static void dup_ack(struct sl_tcp_conn *c)
{
	if (c->dupacks < UINT8_MAX)
		c->dupacks++;
	if (c->ca_state != TCP_CA_OPEN)
		return;
	/* Without SACK, ACKs of what a timeout sent twice look like duplicates (RFC 6582, 4.1). */
	if (!c->sack_ok && !seq_lt(c->recover, c->snd_una))
		return;
	if (c->dupacks >= TCP_DUPTHRESH || (c->sack_ok && tcp_sack_is_lost(c, c->snd_una)))
		enter_recovery(c);
}

/* RFC 5681, 2; with SACK what counts is that the ACK tells something new (RFC 6675, 2). */
static bool is_dup_ack(const struct sl_tcp_conn *c, const struct tcp_seg *s, uint32_t newly_sacked)
{
	if (s->ack != c->snd_una || c->snd_una == c->snd_nxt)
		return false;
	if (c->sack_ok)
		return newly_sacked > 0;
	return seg_len(s) == 0 && s->wnd << c->snd_shift == c->snd_wnd;
}

static void window_update(struct sl_tcp_conn *c, const struct tcp_seg *s)
{
	uint32_t wnd = s->wnd << c->snd_shift;

	if (seq_lt(s->ack, c->snd_una))
		return;
	if (!seq_lt(c->snd_wl1, s->seq) && !(c->snd_wl1 == s->seq && seq_le(c->snd_wl2, s->ack)))
		return;
	if (wnd > c->snd_wnd && c->snd_una == c->snd_nxt) {
		/* The end of a persist state: what comes next is not backed off. */
		c->rto_shift = 0;
		tcp_timer_off(c, TCP_TMR_RTX);
	}
	c->snd_wnd = wnd;
	c->max_snd_wnd = u32_max(c->max_snd_wnd, wnd);
	c->snd_wl1 = s->seq;
	c->snd_wl2 = s->ack;
}

bool tcp_ack_input(struct sl_tcp_conn *c, const struct tcp_seg *s, uint64_t now_us)
{
	uint32_t newly_sacked = 0;

	if (!(s->flags & RTE_TCP_ACK_FLAG))
		return false;
	/* RFC 5961, 5.2: SND.UNA - MAX.SND.WND <= SEG.ACK <= SND.NXT */
	if (seq_lt(c->snd_nxt, s->ack) || seq_lt(s->ack, c->snd_una - c->max_snd_wnd)) {
		(void)sl_fail(SL_E_TCP_ACK);
		tcp_send_challenge(c, now_us);
		return false;
	}
	if (c->sack_ok && c->snd_una != c->snd_nxt)
		newly_sacked = tcp_sack_update(c, s);
	if (is_dup_ack(c, s, newly_sacked))
		dup_ack(c);
	/* A peer that answers with its window shut is alive: probes to it have no limit. */
	if (c->snd_una == c->snd_nxt || s->wnd == 0)
		c->nb_rtx = 0;
	window_update(c, s);
	if (seq_lt(c->snd_una, s->ack))
		new_ack(c, s, now_us);
	if (c->snd_una != tx_last_seq(c))
		tcp_conn_want_out(c);
	return c->state != TCP_CLOSED && c->state != TCP_TIME_WAIT;
}

/*
 * RFC 6298 (5.4 to 5.7), RFC 6675 (5.1): all in flight counts as lost, and the scoreboard is forgotten, for
 * the peer may have dropped what it had SACKed (RFC 2018, 8).
 */
void tcp_ack_timeout(struct sl_tcp_conn *c)
{
	tcp_cc_timeout(c);
	tcp_ranges_clear(c->t, &c->sacked);
	c->ca_state = TCP_CA_LOSS;
	tcp_sack_lose_all(c);
}
