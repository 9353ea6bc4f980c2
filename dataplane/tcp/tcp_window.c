/* The window that is announced to the peer, and when it is told of a change. */
#include "tcp_priv.h"

/* Room for what the peer may send, as far as buffers go. */
static uint32_t room(const struct sl_tcp_conn *c)
{
	uint32_t size = c->rx_buf, used = c->rcvq.bytes;
	uint32_t n = size > used ? size - used : 0;

	if (tcp_rcv_pressure(c))
		n = u32_min(n, 2U * c->adv_mss);
	/*
	 * A peer that sees no window for long gives up (TCP_USER_TIMEOUT counts even while probes are
	 * answered): while a flow is held some stays open, as far as the quota goes.
	 */
	if (c->on_hold && used < size + TCP_HOLD_EXTRA)
		n = u32_max(n, TCP_HOLD_MSS * c->adv_mss);
	/* What the field cannot say is not there: else a peer without window scale gets an update for each
	 * read. */
	return u32_min(n, (uint32_t)UINT16_MAX << c->rcv_shift);
}

/* Never less than before, and not more by crumbs (RFC 9293, 3.8.6.2.2). */
uint32_t tcp_window_now(const struct sl_tcp_conn *c)
{
	uint32_t n = room(c), open = tcp_rcv_wnd(c);

	if (n < open + u32_min(c->rx_buf / 2, c->adv_mss))
		return open;
	return n;
}

/* The peer cannot send a full segment: it may wait for a word from us. */
static bool is_shut(const struct sl_tcp_conn *c)
{
	return tcp_rcv_wnd(c) < u32_min(c->rx_buf / 2, c->adv_mss);
}

void tcp_window_opened(struct sl_tcp_conn *c)
{
	uint32_t size = c->rx_buf, step = u32_min(size / 8, TCP_WND_STEP_MAX);
	bool again = c->no_room && (c->rcvq.bytes == 0 || !tcp_rcv_pressure(c)), shut = again || is_shut(c);

	if (!state_receives(c->state))
		return;
	c->no_room = c->no_room && !again;
	if (shut)
		step = 2U * c->adv_mss;
	step = u32_min(u32_max(step, c->adv_mss), size / 2);
	if (!again && (c->no_room || tcp_window_now(c) - tcp_rcv_wnd(c) < step))
		return;
	if (shut) /* the update may be lost, and the peer's next probe a minute away */
		c->wnd_again = TCP_WND_AGAIN;
	c->ack_now = true;
	tcp_conn_want_out(c);
}

void tcp_ack_is_sent(struct sl_tcp_conn *c, uint64_t now_us)
{
	c->ack_now = false;
	c->delack_segs = 0;
	c->last_ack_sent = c->rcv_nxt;
	c->has_dsack = false;
	if (c->wnd_again > 0) {
		c->wnd_again--;
		tcp_timer_set(c, TCP_TMR_DELACK,
		              now_us + (TCP_WND_AGAIN_US << (TCP_WND_AGAIN - 1 - c->wnd_again)));
	} else if (c->ack_again > 0) {
		c->ack_again--;
		tcp_timer_set(c, TCP_TMR_DELACK,
		              now_us + (TCP_ACK_AGAIN_US << (TCP_ACK_AGAIN - 1 - c->ack_again)));
	} else {
		tcp_timer_off(c, TCP_TMR_DELACK);
	}
}

void sl_tcp_hold(struct sl_tcp_conn *c, bool on)
{
	if (c->on_hold != on)
		TCP_TRACE(c, HOLD, on, sl_tcp_readable(c));
	c->on_hold = on;
	tcp_window_opened(c);
}
