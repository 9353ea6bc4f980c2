/*
 * Received data: into the connection's ring at its own place, in order or not. What is there already stays:
 * of overlapping segments the first bytes win, so the policy and the target see one stream whatever is sent
 * later.
 */
#include "tcp_priv.h"

/* Copies payload [from, from + n) of the segment to stream offset off. Returns the number of bytes placed. */
static uint32_t copy_in(struct sl_tcp_conn *c, const struct tcp_seg *s, uint32_t from, uint64_t off,
                        uint32_t n)
{
	const struct rte_mbuf *m = s->m;
	uint32_t at = s->data_at + from, done = 0;

	while (m != NULL && at >= m->data_len) {
		at -= m->data_len;
		m = m->next;
	}
	for (; m != NULL && done < n; m = m->next, at = 0) {
		uint32_t part = u32_min(n - done, m->data_len - at);
		uint32_t put = tcp_ring_put(c->t, &c->rx, off + done,
		                            rte_pktmbuf_mtod_offset(m, const uint8_t *, at), part);

		done += put;
		if (put < part)
			break;
	}
	return done;
}

/* Where the first known range above seq starts, at most `end`. */
static uint32_t gap_end(const struct sl_tcp_conn *c, uint32_t seq, uint32_t end)
{
	for (uint32_t i = 0; c->ooo != NULL && i < c->ooo->nb; i++) {
		if (seq_lt(seq, c->ooo->r[i].start))
			return seq_min(c->ooo->r[i].start, end);
	}
	return end;
}

/*
 * Fills the gaps of [s->seq, s->seq + s->len); with `record` each filled part becomes part of the
 * out-of-order set. Returns the sequence number up to which everything is there.
 */
static uint32_t fill(struct sl_tcp_conn *c, const struct tcp_seg *s, bool record)
{
	uint32_t seq = s->seq, end = s->seq + s->len;

	while (seq_lt(seq, end)) {
		const struct tcp_range *r = tcp_ranges_find(c->ooo, seq);
		uint32_t n, done;

		if (r != NULL) {
			seq = r->end;
			continue;
		}
		n = gap_end(c, seq, end) - seq;
		done = copy_in(c, s, seq - s->seq, c->rx.tail + (seq - c->rcv_nxt), n);
		if (record && done > 0 && !tcp_ranges_add(c->t, &c->ooo, seq, seq + done))
			return seq;
		seq += done;
		if (done < n)
			break;
	}
	return seq;
}

static void advance(struct sl_tcp_conn *c, uint32_t to)
{
	const struct tcp_range *r;

	while ((r = tcp_ranges_find(c->ooo, to)) != NULL)
		to = r->end;
	c->rx.tail += to - c->rcv_nxt;
	c->bytes_received += to - c->rcv_nxt;
	c->rcv_nxt = to;
	tcp_ranges_trim(c->t, &c->ooo, to);
	if (c->ooo == NULL)
		c->nb_recent = 0;
	tcp_post(c, SL_TCP_EV_READABLE);
}

/* RFC 5681, 4.2, with quick ACKs at the start, when the peer's window is small. */
static void schedule_ack(struct sl_tcp_conn *c, uint64_t now_us)
{
	c->delack_segs++;
	if (c->quickack > 0) {
		c->quickack--;
		c->ack_now = true;
	} else if (c->delack_segs >= TCP_DELACK_SEGMENTS) {
		c->ack_now = true;
	} else if (c->tmr[TCP_TMR_DELACK] == 0) {
		tcp_timer_set(c, TCP_TMR_DELACK, now_us + TCP_DELACK);
	}
}

static void take_in_order(struct sl_tcp_conn *c, const struct tcp_seg *s, uint64_t now_us)
{
	bool had_gap = c->ooo != NULL;
	uint32_t to = fill(c, s, false);

	if (to == c->rcv_nxt && had_gap) {
		/* No memory for the bytes that all others wait for: those others go, the peer has them still.
		 */
		tcp_ranges_clear(c->t, &c->ooo);
		tcp_ring_cut(c->t, &c->rx);
		to = fill(c, s, false);
	}
	if (to != c->rcv_nxt)
		advance(c, to);
	else
		(void)sl_fail(SL_E_NOMEM);
	if (had_gap || seq_lt(to, s->seq + s->len))
		c->ack_now = true;
	else
		schedule_ack(c, now_us);
}

static void note_recent(struct sl_tcp_conn *c, uint32_t seq)
{
	memmove(&c->recent[1], &c->recent[0], (TCP_SACK_RECENT - 1) * sizeof(c->recent[0]));
	c->recent[0] = seq;
	if (c->nb_recent < TCP_SACK_RECENT)
		c->nb_recent++;
}

/* When memory is short only bytes in order are taken: they are the ones that can leave again. */
static void take_out_of_order(struct sl_tcp_conn *c, const struct tcp_seg *s, uint64_t now_us)
{
	if (tcp_pressure(c->t) || (c->ooo != NULL && c->ooo->nb == TCP_RANGES_MAX)) {
		(void)sl_fail(SL_E_TCP_OOO_LIMIT);
	} else {
		(void)fill(c, s, true);
		note_recent(c, s->seq);
	}
	/* One duplicate ACK a segment, at once: the peer counts them. */
	if (tcp_send_ack(c, now_us) < 0)
		c->ack_now = true;
}

/* RFC 9293, eighth check. */
static void fin_input(struct sl_tcp_conn *c, uint64_t now_us)
{
	c->rcv_nxt++;
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
	return c->ooo != NULL && seq_lt(seq, c->ooo->r[c->ooo->nb - 1].end);
}

void tcp_data_input(struct sl_tcp_conn *c, struct tcp_seg *s, uint64_t now_us)
{
	uint32_t end = s->seq + s->len;

	if (s->len > 0 && !c->held) {
		/* Nobody will read this: say so (RFC 9293, 3.6.1; RFC 2525, 2.17). */
		tcp_send_rst_conn(c, now_us);
		tcp_conn_finish(c, SL_E_TCP_ABORTED);
		return;
	}
	if (c->fin_ooo && seq_lt(c->fin_rcv_seq, end)) /* no byte comes behind a FIN */
		s->len = seq_lt(s->seq, c->fin_rcv_seq) ? c->fin_rcv_seq - s->seq : 0;
	if ((s->flags & RTE_TCP_FIN_FLAG) && !c->fin_ooo && s->seq + s->len == end && !data_behind(c, end)) {
		c->fin_ooo = true;
		c->fin_rcv_seq = end;
		if (end != c->rcv_nxt && s->len == 0)
			c->ack_now = true;
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
