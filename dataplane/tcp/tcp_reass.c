/*
 * Received data: to its place in the receive queue, in order or not, and the ACK that it asks for. What is
 * there already stays: of overlapping segments the first bytes win, so the policy and the target see one
 * stream whatever is sent later.
 */
#include "tcp_priv.h"
#include "tcp_reseq.h"

void tcp_dsack_note(struct sl_tcp_conn *c, uint32_t start, uint32_t end)
{
	c->lossy = true;
	if (!c->sack_ok || !seq_lt(start, end))
		return;
	c->dsack = (struct tcp_range){start, end};
	c->has_dsack = true;
}

static void advance(struct sl_tcp_conn *c, uint32_t to)
{
	tcp_rcv_advance(c, to);
	tcp_post(c, SL_TCP_EV_READABLE);
}

/*
 * RFC 5681, 4.2, with quick ACKs at the start, when the peer's window is small. A segment without PSH is not
 * the end of what the peer has to say (RFC 9293, 3.9.1.2): when no other follows, it is the peer that waits,
 * with a window of one segment or behind a lost ACK.
 */
static void schedule_ack(struct sl_tcp_conn *c, const struct tcp_seg *s, uint64_t now_us)
{
	uint64_t when = now_us + (s->flags & RTE_TCP_PSH_FLAG ? TCP_DELACK : TCP_DELACK_MORE);

	c->delack_segs = (uint8_t)u32_min(c->delack_segs + s->parts, UINT8_MAX);
	if (c->quickack > 0) {
		c->quickack = (uint8_t)(c->quickack - u32_min(s->parts, c->quickack));
		c->ack_now = true;
	} else if (c->delack_segs >= TCP_DELACK_SEGMENTS) {
		c->ack_now = true;
	} else if (c->tmr_delack == 0 || when < tcp_timer_at(c, TCP_TMR_DELACK)) {
		/* What runs may be the last word of a window that has opened, seconds away. */
		tcp_timer_set(c, TCP_TMR_DELACK, when);
	}
}

/*
 * On a short path a lost ACK would cost a thousand round trips in the peer's timers: where something was lost
 * before, a peer that has more to say hears it again; a full segment may be in the middle of it, PSH or not.
 * One without SACK would count the duplicates.
 */
static void repeat_acks(struct sl_tcp_conn *c, const struct tcp_seg *s)
{
	bool more = !(s->flags & RTE_TCP_PSH_FLAG) || s->len >= u32_max(c->stat.rcv_mss, TCP_MSS_DEFAULT);

	more = more && !(s->flags & RTE_TCP_FIN_FLAG) && c->sack_ok && c->near && c->lossy;
	c->ack_again = more ? TCP_ACK_AGAIN : 0;
}

static void take_in_order(struct sl_tcp_conn *c, struct tcp_seg *s, uint64_t now_us)
{
	bool had_gap = c->has_ooo;
	uint32_t end = s->seq + s->len, to;

	if (c->wnd_again > 0) { /* the peer has seen that the window is open */
		c->wnd_again = 0;
		tcp_timer_off(c, TCP_TMR_DELACK);
	}
	if (had_gap) {
		const struct tcp_run *r = &c->ooo->run[0];

		if (seq_lt(r->start, end))
			tcp_dsack_note(c, r->start, seq_min(r->end, end));
		/* No memory for the bytes that all others wait for: those others go, the peer has them still.
		 */
		if (tcp_mem_room(c) < s->m->pkt_len + (uint64_t)s->m->nb_segs * s->m->buf_len)
			tcp_rcvq_cut(c);
	}
	to = tcp_rcvq_in_order(c, s);
	if (to != c->rcv_nxt) {
		advance(c, to);
		if (had_gap)
			tcp_reseq_filled(c, s, now_us);
	}
	if (seq_lt(to, end)) {
		TCP_TRACE(c, NO_MEM, end - to, 1);
		(void)sl_fail(tcp_mem_err(c));
	}
	/* Where nothing is unread no reading will make room: the peer's timeout has to try again. */
	c->no_room = seq_lt(to, end) && c->rcvq.bytes > 0;
	if (had_gap || seq_lt(to, end))
		c->ack_now = true;
	else
		schedule_ack(c, s, now_us);
}

/* One duplicate ACK at once: the peer counts them. Those without SACK count nothing else. */
static void send_dup_acks(struct sl_tcp_conn *c, const struct tcp_seg *s, uint64_t now_us)
{
	uint32_t n = c->sack_ok ? 1 : s->parts;

	while (n-- > 0) {
		if (tcp_send_ack(c, now_us) < 0)
			c->ack_now = true;
	}
}

static void take_out_of_order(struct sl_tcp_conn *c, const struct tcp_seg *s, uint64_t now_us)
{
	const struct tcp_run *r = tcp_rcvq_run(c, s->seq);
	bool first = !c->has_ooo;

	if (r != NULL)
		tcp_dsack_note(c, s->seq, seq_min(r->end, s->seq + s->len));
	c->lossy = true;
	c->quickack = TCP_QUICKACK_LOSS; /* the peer's window becomes small again */
	TCP_TRACE(c, OOO, s->seq, s->len);
	if (!tcp_rcvq_out_of_order(c, s) && r == NULL) {
		TCP_TRACE(c, OOO_DROP, s->seq, s->len);
		(void)sl_fail(SL_E_TCP_OOO_LIMIT);
	}
	tcp_reseq_out_of_order(c, s, first, now_us);
	if (!tcp_reseq_hides(c))
		send_dup_acks(c, s, now_us);
}

/*
 * ECN, the receiver's part (RFC 3168, 6.1.3): ECE from a CE mark on until the peer says CWR. A change is told
 * at once, so that the peer learns early which packets were marked.
 */
static void ecn_input(struct sl_tcp_conn *c, const struct tcp_seg *s)
{
	bool before = c->ece;

	if (!c->ecn_ok)
		return;
	if (s->flags & RTE_TCP_CWR_FLAG)
		c->ece = false;
	if (s->ip->ecn == TCP_ECN_CE) {
		TCP_TRACE(c, ECN_CE, s->seq, 1);
		c->ece = true;
	}
	if (c->ece != before)
		c->ack_now = true;
}

/* RFC 9293, eighth check. */
static void fin_input(struct sl_tcp_conn *c, uint64_t now_us)
{
	TCP_TRACE(c, FIN_IN, c->rcv_nxt, c->state);
	tcp_rcv_advance(c, c->rcv_nxt + 1);
	c->fin_rcvd = true;
	c->fin_ooo = false;
	c->ack_now = true;
	tcp_post(c, SL_TCP_EV_EOF);
	switch (c->state) {
	case TCP_ESTABLISHED:
		c->state = TCP_CLOSE_WAIT;
		break;
	case TCP_FIN_WAIT_1:
		c->state = TCP_CLOSING;
		break;
	case TCP_FIN_WAIT_2:
		/* The ACK goes out now: the connection is gone before the flush. A lost one is sent again
		 * from TIME_WAIT. */
		(void)tcp_send_ack(c, now_us);
		tcp_conn_time_wait(c, now_us);
		break;
	default:
		break;
	}
}

/* The peer sent bytes behind the place where it now says that they end: such a FIN is not believed. */
static bool data_behind(const struct sl_tcp_conn *c, uint32_t seq)
{
	const struct tcp_ooo *o = c->ooo;

	return o != NULL && seq_lt(seq, o->run[o->nb - 1].end);
}

void tcp_data_input(struct sl_tcp_conn *c, struct tcp_seg *s, uint64_t now_us)
{
	uint32_t end = s->seq + s->len;

	if (s->len > 0 && !c->held) {
		/* Nobody will read this: say so (RFC 9293, 3.6.1; RFC 2525, 2.17). The peer believes a RST at
		 * the place up to which it has got our bytes, which is not where ours end (RFC 5961, 3.2). */
		TCP_TRACE(c, RST_OUT, s->ack, c->state);
		tcp_send_rst_for(c->t, s, now_us);
		tcp_conn_finish(c, SL_E_TCP_ABORTED);
		return;
	}
	if (s->len > 0)
		ecn_input(c, s);
	if (c->fin_ooo && seq_lt(c->fin_rcv_seq, end)) /* no byte comes behind a FIN */
		s->len = seq_lt(s->seq, c->fin_rcv_seq) ? c->fin_rcv_seq - s->seq : 0;
	if ((s->flags & RTE_TCP_FIN_FLAG) && !c->fin_ooo && s->seq + s->len == end && !data_behind(c, end)) {
		c->fin_ooo = true;
		c->fin_rcv_seq = end;
		if (end != c->rcv_nxt && s->len == 0)
			c->ack_now = true;
	}
	if (s->len > 0) {
		TCP_TRACE(c, RX, s->seq, s->len);
		tcp_tune_received(c, s, now_us);
		repeat_acks(c, s);
	}
	if (s->len > 0 && s->seq == c->rcv_nxt)
		take_in_order(c, s, now_us);
	else if (s->len > 0)
		take_out_of_order(c, s, now_us);
	if (c->fin_ooo && c->fin_rcv_seq == c->rcv_nxt)
		fin_input(c, now_us);
	if (c->ack_now)
		tcp_conn_want_out(c);
}
