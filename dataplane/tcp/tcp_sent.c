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

/* Posts that stand at seq or before. */
static uint32_t posts_to(const struct tcp_posts *p, uint32_t seq)
{
	uint32_t nb = 0;

	for (uint32_t end = p->nb; nb < end;) {
		uint32_t mid = (nb + end) / 2;

		if (seq_le(p->at[mid]->seq, seq))
			nb = mid + 1;
		else
			end = mid;
	}
	return nb;
}

static struct tcp_sent *last_post(const struct sl_tcp_conn *c, uint32_t seq)
{
	uint32_t nb = c->posts != NULL ? posts_to(c->posts, seq) : 0;

	return nb > 0 ? c->posts->at[nb - 1] : NULL;
}

static void post_down(struct sl_tcp_conn *c, struct tcp_sent *e)
{
	struct tcp_posts *p = c->posts;
	uint32_t i = posts_to(p, e->seq);

	e->flags &= (uint8_t)~TCP_SENT_POST;
	memmove(&p->at[i - 1], &p->at[i], (p->nb - i) * sizeof(p->at[0]));
	if (--p->nb > 0)
		return;
	c->posts = NULL;
	tcp_mem_give(c, sizeof(*p));
	tcp_pool_give(&c->t->posts, p);
}

/*
 * Without memory a search just takes longer. There are twice as many places as the largest board needs: when
 * they are full, some posts stand closer than they must, and all are set up anew. As many were set up since
 * the last time as the board needs, so that the walk for it costs little beside theirs.
 */
static void post_up(struct sl_tcp_conn *c, struct tcp_sent *e)
{
	struct tcp_posts *p = c->posts;
	uint32_t i;

	if (p == NULL) {
		p = tcp_pool_take(&c->t->posts);
		if (p == NULL)
			return;
		p->nb = 0;
		c->posts = p;
		tcp_mem_take(c, sizeof(*p));
	}
	if (p->nb == TCP_POSTS) {
		while (p->nb > 0)
			p->at[--p->nb]->flags &= (uint8_t)~TCP_SENT_POST;
	}
	i = posts_to(p, e->seq);
	memmove(&p->at[i + 1], &p->at[i], (p->nb - i) * sizeof(p->at[0]));
	p->at[i] = e;
	p->nb++;
	e->flags |= TCP_SENT_POST;
}

static void forget(struct sl_tcp_conn *c, struct tcp_sent *e)
{
	struct tcp_board *b = &c->board;

	if (e->flags & TCP_SENT_POST)
		post_down(c, e);
	if (e->flags & TCP_SENT_SACKED && b->high == e)
		b->high = NULL;
	TAILQ_REMOVE(&b->all, e, order);
	b->nb--;
	tcp_mem_give(c, sizeof(*e));
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
	tcp_mem_take(c, sizeof(*e));
}

uint32_t tcp_sent_max(const struct sl_tcp_conn *c)
{
	return u32_max(TCP_SENT_MIN, c->t->cfg.tx_buf_max / TCP_SENT_BYTES);
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
	struct tcp_sent *rest;

	if (b->nb >= tcp_sent_max(c) && e->seq != c->snd_una)
		return NULL;
	rest = tcp_pool_take(&c->t->sents);
	if (rest == NULL)
		return NULL;
	*rest = *e;
	if (e->flags & TCP_SENT_SACKED)
		b->sacked_segs -= e->nb_segs;
	rest->flags &= (uint8_t)~TCP_SENT_POST;
	e->end = seq;
	e->flags &= (uint8_t)~TCP_SENT_FIN;
	count_segs(e);
	move_start(c, rest, seq);
	TAILQ_INSERT_AFTER(&b->all, e, rest, order);
	b->nb++;
	tcp_mem_take(c, sizeof(*rest));
	if (e->flags & TCP_SENT_SACKED)
		b->sacked_segs += e->nb_segs + rest->nb_segs;
	else
		TAILQ_INSERT_AFTER(e->flags & TCP_SENT_LOST ? &b->lost : &b->flying, e, rest, state);
	return rest;
}

struct tcp_sent *tcp_sent_find(struct sl_tcp_conn *c, struct tcp_sent *from, uint32_t seq)
{
	struct tcp_sent *e = from, *post;
	uint32_t apart;

	if (e == NULL || seq_lt(seq, e->end))
		return e;
	post = last_post(c, seq);
	if (post != NULL && seq_lt(e->seq, post->seq))
		e = post;
	/* From here to seq there is no post. */
	apart = u32_max(TCP_POSTS_APART, 2 * tcp_sent_max(c) / TCP_POSTS);
	for (uint32_t n = 0; e != NULL && seq_le(e->end, seq); n++) {
		if (n == apart) {
			post_up(c, e);
			n = 0;
		}
		e = TAILQ_NEXT(e, order);
	}
	return e;
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
	e->flags = (e->flags & (TCP_SENT_FIN | TCP_SENT_POST)) | TCP_SENT_SACKED;
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

/*
 * To its place among the lost, in the order of sequence numbers. New losses come at the end. Retransmissions
 * that are lost again have the next lost one near them, on one side or the other: looked for on both at a
 * time, n of them cost n log n at most, in whatever order they come.
 */
static void lost_insert(struct tcp_board *b, struct tcp_sent *e)
{
	struct tcp_sent *prev = TAILQ_LAST(&b->lost, tcp_sent_list), *next = e;

	if (prev == NULL || seq_lt(prev->seq, e->seq)) {
		TAILQ_INSERT_TAIL(&b->lost, e, state);
		return;
	}
	for (prev = e;;) {
		prev = TAILQ_PREV(prev, tcp_sent_list, order);
		if (prev == NULL) {
			TAILQ_INSERT_HEAD(&b->lost, e, state);
			return;
		}
		if (prev->flags & TCP_SENT_LOST) {
			TAILQ_INSERT_AFTER(&b->lost, prev, e, state);
			return;
		}
		next = TAILQ_NEXT(next, order); /* there is a lost one behind e */
		if (next->flags & TCP_SENT_LOST) {
			TAILQ_INSERT_BEFORE(next, e, state);
			return;
		}
	}
}

void tcp_sent_lost(struct sl_tcp_conn *c, struct tcp_sent *e)
{
	struct tcp_board *b = &c->board;

	leave_state(b, e);
	e->flags = (uint8_t)((e->flags & ~TCP_SENT_RXT) | TCP_SENT_LOST);
	b->lost_bytes += bytes_of(e);
	c->lost_total += bytes_of(e);
	lost_insert(b, e);
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

/* Two lists by time of transmission, linked forward only, become one; of the same time x's come first. */
static struct tcp_sent *merge(struct tcp_sent *x, struct tcp_sent *y)
{
	struct tcp_sent *all = NULL, **end = &all;

	while (x != NULL && y != NULL) {
		struct tcp_sent **first = x->xmit_us <= y->xmit_us ? &x : &y;

		*end = *first;
		end = &(*first)->state.tqe_next;
		*first = *end;
	}
	*end = x != NULL ? x : y;
	return all;
}

/* By a merge sort, as a peer has a hand in the order in which they went out. */
uint32_t tcp_sent_unlose(struct sl_tcp_conn *c)
{
	struct tcp_board *b = &c->board;
	struct tcp_sent *run[TCP_SENT_RUNS] = {NULL}, *all = NULL, *e; /* of 1, 2, 4, ... or none */
	uint32_t i, nb = 0;

	if (TAILQ_EMPTY(&b->lost))
		return 0;
	for (; (e = TAILQ_FIRST(&b->lost)) != NULL; nb++) {
		leave_state(b, e);
		e->flags &= (uint8_t)~TCP_SENT_LOST;
		e->state.tqe_next = NULL;
		for (i = 0; i < TCP_SENT_RUNS - 1 && run[i] != NULL; i++) {
			e = merge(run[i], e);
			run[i] = NULL;
		}
		run[i] = merge(run[i], e);
	}
	for (i = 0; i < TCP_SENT_RUNS; i++)
		all = merge(run[i], all);
	all = merge(all, TAILQ_FIRST(&b->flying));
	TAILQ_INIT(&b->flying);
	for (e = all; e != NULL; e = all) {
		all = e->state.tqe_next;
		TAILQ_INSERT_TAIL(&b->flying, e, state);
	}
	return nb;
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
		e->flags = (e->flags & (TCP_SENT_FIN | TCP_SENT_POST)) | TCP_SENT_EVER_RXT;
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
