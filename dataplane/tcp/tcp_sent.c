#include "tcp_priv.h"

static uint32_t bytes_of(const struct tcp_sent *e)
{
	return e->end - e->seq;
}

static void count_segs(struct tcp_sent *e)
{
	uint32_t n = (bytes_of(e) + e->seg_bytes - 1) / e->seg_bytes;

	e->nb_segs = u32_max(n, 1);
}

void tcp_sent_init(struct sl_tcp_conn *c)
{
	TAILQ_INIT(&c->board.all);
	TAILQ_INIT(&c->board.flying);
	TAILQ_INIT(&c->board.lost);
}

/* Out of the state that it is in. */
static void leave_state(struct tcp_board *b, struct tcp_sent *e)
{
	if (e->flags & TCP_SENT_SACKED) {
		b->sacked_bytes -= bytes_of(e);
		b->sacked_segs -= e->nb_segs;
		return;
	}
	if (e->flags & TCP_SENT_LOST) {
		b->lost_bytes -= bytes_of(e);
		TAILQ_REMOVE(&b->lost, e, state);
		return;
	}
	if (e->flags & TCP_SENT_RXT)
		b->rxt_bytes -= bytes_of(e);
	TAILQ_REMOVE(&b->flying, e, state);
}

static void forget(struct sl_tcp_conn *c, struct tcp_sent *e)
{
	struct tcp_board *b = &c->board;

	if (e->flags & TCP_SENT_SACKED && b->high == e)
		b->high = NULL;
	TAILQ_REMOVE(&b->all, e, order);
	b->nb--;
	tcp_pool_give(&c->t->sents, e);
}

void tcp_sent_clear(struct sl_tcp_conn *c)
{
	struct tcp_sent *e;

	while ((e = TAILQ_FIRST(&c->board.all)) != NULL) {
		leave_state(&c->board, e);
		forget(c, e);
	}
	c->board.nb_seen = 0;
}

void tcp_sent_add(struct sl_tcp_conn *c, struct tcp_sent *e, uint64_t now_us)
{
	struct tcp_board *b = &c->board;

	e->xmit_us = now_us;
	count_segs(e);
	TAILQ_INSERT_TAIL(&b->all, e, order);
	TAILQ_INSERT_TAIL(&b->flying, e, state);
	b->nb++;
}

/* Cuts the front off: [seq, ...) stays, and the piece follows. */
static void move_start(struct sl_tcp_conn *c, struct tcp_sent *e, uint32_t seq)
{
	e->seq = seq;
	if (e->piece != NULL)
		e->piece = seq_lt(seq, c->snd_end) ? tcp_sndq_find(&c->sndq, e->piece, seq) : NULL;
	count_segs(e);
}

struct tcp_sent *tcp_sent_split(struct sl_tcp_conn *c, struct tcp_sent *e, uint32_t seq)
{
	struct tcp_board *b = &c->board;
	struct tcp_sent *rest = tcp_pool_take(&c->t->sents);

	if (rest == NULL)
		return NULL;
	*rest = *e;
	if (e->flags & TCP_SENT_SACKED)
		b->sacked_segs -= e->nb_segs;
	e->end = seq;
	e->flags &= (uint8_t)~TCP_SENT_FIN;
	count_segs(e);
	move_start(c, rest, seq);
	TAILQ_INSERT_AFTER(&b->all, e, rest, order);
	b->nb++;
	if (e->flags & TCP_SENT_SACKED)
		b->sacked_segs += e->nb_segs + rest->nb_segs;
	else
		TAILQ_INSERT_AFTER(e->flags & TCP_SENT_LOST ? &b->lost : &b->flying, e, rest, state);
	return rest;
}

/* What was sent once, up to `to`, says how long it took, and behind a timeout that not all was lost. */
static void sent_once(const struct sl_tcp_conn *c, const struct tcp_sent *e, uint32_t to, struct tcp_acked *a,
                      uint64_t *first)
{
	if (*first == 0 || e->xmit_us < *first)
		*first = e->xmit_us;
	if (c->ca_state == TCP_CA_LOSS && seq_le(to, c->recover))
		a->orig_delivered = true;
}

/* The peer has it now: what that says about time and order. */
static void delivered(struct sl_tcp_conn *c, const struct tcp_sent *e, struct tcp_acked *a, bool by_sack,
                      uint64_t now_us)
{
	a->delivered += bytes_of(e);
	if (e->flags & TCP_SENT_PROBE && !(e->flags & TCP_SENT_EVER_RXT))
		tcp_pmtu_probe_done(c, true, now_us);
	if (e->flags & TCP_SENT_EVER_RXT)
		a->rxt_acked = a->rxt_acked || !by_sack;
	else
		sent_once(c, e, e->end, a, by_sack ? &a->sack_first_us : &a->first_us);
	tcp_rack_delivered(c, e, a, now_us);
}

void tcp_sent_ack(struct sl_tcp_conn *c, uint32_t ack, struct tcp_acked *a, uint64_t now_us)
{
	struct tcp_board *b = &c->board;
	struct tcp_sent *e;

	while ((e = TAILQ_FIRST(&b->all)) != NULL && seq_le(e->end, ack)) {
		if (!(e->flags & TCP_SENT_SACKED))
			delivered(c, e, a, false, now_us);
		leave_state(b, e);
		forget(c, e);
	}
	if (e == NULL || seq_le(ack, e->seq))
		return;
	/* Only a part, of what was one packet: it stays what and where it was, but for the counts. */
	if (e->flags & TCP_SENT_SACKED) {
		b->sacked_bytes -= ack - e->seq;
		b->sacked_segs -= e->nb_segs;
	} else {
		a->delivered += ack - e->seq;
		if (e->flags & TCP_SENT_EVER_RXT)
			a->rxt_acked = true;
		else
			sent_once(c, e, ack, a, &a->first_us);
		if (e->flags & TCP_SENT_LOST)
			b->lost_bytes -= ack - e->seq;
		else if (e->flags & TCP_SENT_RXT)
			b->rxt_bytes -= ack - e->seq;
	}
	move_start(c, e, ack);
	if (e->flags & TCP_SENT_SACKED)
		b->sacked_segs += e->nb_segs;
}

/* Joins b into a, its neighbour; both are SACKed. */
static void join(struct sl_tcp_conn *c, struct tcp_sent *a, struct tcp_sent *b)
{
	a->end = b->end;
	a->nb_segs += b->nb_segs;
	a->flags |= b->flags & TCP_SENT_FIN;
	if (c->board.high == b)
		c->board.high = a;
	forget(c, b);
}

struct tcp_sent *tcp_sent_sacked(struct sl_tcp_conn *c, struct tcp_sent *e, struct tcp_acked *a,
                                 uint64_t now_us)
{
	struct tcp_board *b = &c->board;
	struct tcp_sent *prev = TAILQ_PREV(e, tcp_sent_list, order), *next = TAILQ_NEXT(e, order);

	delivered(c, e, a, true, now_us);
	a->sacked += bytes_of(e);
	leave_state(b, e);
	e->flags = (e->flags & TCP_SENT_FIN) | TCP_SENT_SACKED;
	b->sacked_bytes += bytes_of(e);
	b->sacked_segs += e->nb_segs;
	if (b->high == NULL || seq_lt(b->high->seq, e->seq))
		b->high = e;
	if (next != NULL && next->flags & TCP_SENT_SACKED)
		join(c, e, next);
	if (prev != NULL && prev->flags & TCP_SENT_SACKED) {
		join(c, prev, e);
		e = prev;
	}
	return e;
}

void tcp_sent_lost(struct sl_tcp_conn *c, struct tcp_sent *e)
{
	struct tcp_board *b = &c->board;
	struct tcp_sent *at = TAILQ_FIRST(&b->lost), *last = TAILQ_LAST(&b->lost, tcp_sent_list);

	leave_state(b, e);
	e->flags = (uint8_t)((e->flags & ~TCP_SENT_RXT) | TCP_SENT_LOST);
	b->lost_bytes += bytes_of(e);
	c->lost_total += bytes_of(e);
	/* In the order of sequence numbers. New losses come at the end, retransmissions lost again at the
	 * front. */
	if (last == NULL || seq_lt(last->seq, e->seq)) {
		TAILQ_INSERT_TAIL(&b->lost, e, state);
		return;
	}
	while (seq_lt(at->seq, e->seq))
		at = TAILQ_NEXT(at, state);
	TAILQ_INSERT_BEFORE(at, e, state);
}

void tcp_sent_again(struct sl_tcp_conn *c, struct tcp_sent *e, uint64_t now_us)
{
	struct tcp_board *b = &c->board;

	leave_state(b, e);
	e->flags = (uint8_t)((e->flags & ~TCP_SENT_LOST) | TCP_SENT_RXT | TCP_SENT_EVER_RXT);
	e->xmit_us = now_us;
	count_segs(e);
	b->rxt_bytes += bytes_of(e);
	TAILQ_INSERT_TAIL(&b->flying, e, state);
}

void tcp_sent_unlose(struct sl_tcp_conn *c)
{
	struct tcp_board *b = &c->board;
	struct tcp_sent *e, *at;

	while ((e = TAILQ_LAST(&b->lost, tcp_sent_list)) != NULL) {
		leave_state(b, e);
		e->flags &= (uint8_t)~TCP_SENT_LOST;
		at = TAILQ_FIRST(&b->flying);
		while (at != NULL && at->xmit_us < e->xmit_us)
			at = TAILQ_NEXT(at, state);
		if (at != NULL)
			TAILQ_INSERT_BEFORE(at, e, state);
		else
			TAILQ_INSERT_TAIL(&b->flying, e, state);
	}
}

void tcp_sent_renege(struct sl_tcp_conn *c)
{
	struct tcp_board *b = &c->board;
	struct tcp_sent *e;

	TAILQ_FOREACH_REVERSE(e, &b->all, tcp_sent_list, order)
	{
		if (!(e->flags & TCP_SENT_SACKED))
			continue;
		leave_state(b, e);
		e->flags = (e->flags & TCP_SENT_FIN) | TCP_SENT_EVER_RXT;
		TAILQ_INSERT_HEAD(&b->flying, e, state);
	}
	b->high = NULL;
	b->nb_seen = 0;
}

uint32_t tcp_pipe(const struct sl_tcp_conn *c)
{
	uint32_t pipe = c->snd_nxt - c->snd_una - c->board.sacked_bytes - c->board.lost_bytes;

	/* Without SACK each duplicate ACK says that some segment has arrived (RFC 6582). */
	if (!c->sack_ok)
		pipe -= u32_min(pipe, (uint32_t)c->dupacks * tcp_smss(c));
	return pipe;
}
