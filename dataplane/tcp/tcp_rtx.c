/* The retransmission timer (RFC 6298), the probes of a shut window, and the timer of RACK-TLP. */
#include "tcp_priv.h"

/* The timeout in force, backed off (5.5). */
uint64_t tcp_rto(const struct sl_tcp_conn *c)
{
	uint64_t rto = (uint64_t)c->rto_us << c->rto_shift;

	return rto > TCP_RTO_MAX ? TCP_RTO_MAX : rto;
}

/* Since when nothing was heard of what waits; while the window is shut, each answer is something. */
static uint64_t waits_since(const struct sl_tcp_conn *c)
{
	return c->snd_una == c->snd_nxt && c->last_recv_us > c->progress_us ? c->last_recv_us
	                                                                    : c->progress_us;
}

void tcp_rtx_arm(struct sl_tcp_conn *c, uint64_t now_us)
{
	uint64_t when = now_us + tcp_rto(c), end;

	if (c->impatient) {
		end = waits_since(c) + c->user_timeout_ms * TCP_MS;
		when = end >= when ? when : end > now_us ? end : now_us + 1;
	}
	tcp_timer_set(c, TCP_TMR_RTX, when);
}

bool tcp_rtx_hopeless(const struct sl_tcp_conn *c, uint32_t retries, uint64_t now_us)
{
	if (c->impatient)
		return now_us - waits_since(c) >= c->user_timeout_ms * TCP_MS;
	return c->nb_rtx >= retries;
}

/* Retransmission timer while something is in flight; persist timer while something waits for the peer's
 * window. */
void tcp_rtx_timer_update(struct sl_tcp_conn *c, bool restart, uint64_t now_us)
{
	bool wants = c->snd_una != c->snd_nxt;

	if (!wants && state_synchronized(c->state))
		wants = seq_lt(c->snd_nxt, tx_last_seq(c));
	if (!wants) {
		tcp_timer_off(c, TCP_TMR_RTX);
	} else if (restart || c->tmr_rtx == 0) {
		if (c->tmr_rtx == 0 && c->snd_una == c->snd_nxt)
			c->progress_us = now_us; /* it begins to wait */
		tcp_rtx_arm(c, now_us);
	}
}

void tcp_rtx_back_off(struct sl_tcp_conn *c)
{
	c->nb_rtx++;
	if (c->rto_shift < TCP_RTX_RETRIES)
		c->rto_shift++;
}

/* The peer's window takes nothing: what fits goes out, however small, or a probe. */
static void on_persist(struct sl_tcp_conn *c, uint64_t now_us)
{
	tcp_rtx_back_off(c);
	c->probe_now = true;
	tcp_rtx_arm(c, now_us);
	tcp_output(c, now_us);
	if (c->probe_now) {
		TCP_TRACE(c, PROBE, c->nb_rtx, c->snd_wnd);
		tcp_send_probe(c, now_us);
	}
	c->probe_now = false;
}

/* Of a synchronized connection. */
void tcp_rtx_expired(struct sl_tcp_conn *c, uint64_t now_us)
{
	if (tcp_rtx_hopeless(c, TCP_RTX_RETRIES, now_us)) {
		tcp_give_up(c, now_us);
		return;
	}
	if (c->snd_una == c->snd_nxt) {
		on_persist(c, now_us);
		return;
	}
	/* A probe that is due no earlier goes in the place of the timeout (RFC 8985, 7.2). */
	if (c->loss_timer == TCP_LOSS_TLP) {
		tcp_timer_off(c, TCP_TMR_LOSS);
		tcp_loss_expired(c, now_us);
		return;
	}
	sl_count(SL_C_TCP_RTO);
	tcp_rtx_back_off(c);
	TCP_TRACE(c, RTO, tcp_rto(c) / TCP_MS, c->nb_rtx);
	tcp_pmtu_timeout(c, now_us);
	tcp_recovery_timeout(c, now_us);
	tcp_rtx_arm(c, now_us);
	tcp_output(c, now_us);
}

/* A probe at the end of a flight, or the time for reordering has passed (RFC 8985). */
void tcp_loss_expired(struct sl_tcp_conn *c, uint64_t now_us)
{
	uint8_t what = c->loss_timer;

	c->loss_timer = TCP_LOSS_NONE;
	if (!state_synchronized(c->state) || c->snd_una == c->snd_nxt)
		return;
	if (what == TCP_LOSS_REO) {
		tcp_recovery_reo_timeout(c, now_us);
		tcp_output(c, now_us);
	} else if (what == TCP_LOSS_TLP) {
		tcp_send_tlp(c, now_us);
		tcp_rtx_timer_update(c, true, now_us);
	}
	tcp_tlp_schedule(c, now_us);
}
