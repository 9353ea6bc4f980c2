#include "sl_flow.h"

#include "sl_counter.h"

static struct sl_flow_leg *leg_of(struct sl_flow *f, enum sl_side side)
{
	return &f->leg[side];
}

/* ---- queues towards a side ---- */

static size_t queue_hard(const struct sl_flow *f)
{
	return SL_FLOW_QUEUE_SOFT + f->message_max + SL_BUF_SMALL;
}

/* Bytes that wait for a side. */
static size_t queued(const struct sl_flow_leg *leg)
{
	return leg->out.bytes + leg->passed.n;
}

/* Puts what was passed in a row into the queue: where it lies, or a copy. */
static int settle(struct sl_flow *f, enum sl_side to)
{
	struct sl_flow_leg *leg = leg_of(f, to);
	struct sl_span b = leg->passed;

	leg->passed = SL_SPAN_EMPTY;
	if (b.n == 0)
		return SL_OK;
	if (f->fed != NULL && sl_queue_ref(&leg->out, f->pool, f->fed, b)) {
		sl_count_n(SL_C_FLOW_REF_BYTES, b.n);
		return SL_OK;
	}
	sl_count_n(SL_C_FLOW_COPY_BYTES, b.n);
	return sl_queue_copy(&leg->out, f->pool, b);
}

static size_t queue_write(struct sl_flow *f, struct sl_flow_leg *leg, uint64_t limit)
{
	size_t n = sl_queue_write(&leg->out, f->pool, leg->stream, limit);

	leg->nb_out += n;
	return n;
}

/* ---- the barrier ---- */

static void barrier_mark(struct sl_flow *f)
{
	uint64_t number = f->host.barrier(f->host.ctx);
	uint32_t last = (f->barrier_head + f->nb_barriers - 1) % SL_FLOW_BARRIERS;

	if (number == 0 || (f->nb_barriers > 0 && f->barrier[last].number >= number))
		return;
	if (f->nb_barriers == 0 && number <= f->host.durable(f->host.ctx))
		return;
	if (f->nb_barriers == SL_FLOW_BARRIERS) {
		f->barrier[last].number = number;
		return;
	}
	last = (f->barrier_head + f->nb_barriers++) % SL_FLOW_BARRIERS;
	f->barrier[last].offset = f->target_total;
	f->barrier[last].number = number;
}

/* How many bytes of the target's queue may go now. */
static uint64_t barrier_open(struct sl_flow *f)
{
	uint64_t durable = f->host.durable(f->host.ctx);

	while (f->nb_barriers > 0 && f->barrier[f->barrier_head].number <= durable) {
		f->barrier_head = (f->barrier_head + 1) % SL_FLOW_BARRIERS;
		f->nb_barriers--;
	}
	if (f->nb_barriers == 0)
		return f->target_total - f->target_released;
	return f->barrier[f->barrier_head].offset - f->target_released;
}

bool sl_flow_at_barrier(const struct sl_flow *f)
{
	return f->nb_barriers > 0 && f->leg[SL_TARGET].out.bytes > 0;
}

/* ---- what the decoder calls ---- */

/* It cannot go on for want of something that no stream brings: the host asks again. */
static int starved(struct sl_flow *f)
{
	f->starved = true;
	return SL_AGAIN;
}

static int io_event(void *ctx, const struct sl_event *ev, struct sl_verdict *v)
{
	struct sl_flow *f = ctx;
	int rc;

	memset(v, 0, sizeof(*v));
	rc = f->host.event(f->host.ctx, ev, v);
	return rc == SL_AGAIN ? starved(f) : rc;
}

/* `bytes` more are to wait for a side. */
static int admit(struct sl_flow *f, enum sl_side to, size_t bytes)
{
	if (bytes > queue_hard(f) - queued(leg_of(f, to)))
		return sl_fail(SL_E_FLOW_QUEUE);
	if (to == SL_TARGET) {
		barrier_mark(f);
		f->target_total += bytes;
	}
	return SL_OK;
}

static int io_pass(void *ctx, enum sl_side to, struct sl_span bytes)
{
	struct sl_flow *f = ctx;
	struct sl_span *row = &leg_of(f, to)->passed;
	int err = f->feeding ? admit(f, to, bytes.n) : sl_fail(SL_E_INVAL);

	if (err < 0 || bytes.n == 0)
		return err;
	if (row->n > 0 && row->p + row->n == bytes.p) {
		row->n += bytes.n;
		return SL_OK;
	}
	err = settle(f, to);
	*row = bytes;
	return err;
}

static int io_add(void *ctx, enum sl_side to, struct sl_span bytes)
{
	struct sl_flow *f = ctx;
	int err = admit(f, to, bytes.n);

	if (err == SL_OK)
		err = settle(f, to);
	return err < 0 ? err : sl_queue_copy(&leg_of(f, to)->out, f->pool, bytes);
}

static size_t io_room(void *ctx, enum sl_side to)
{
	struct sl_flow *f = ctx;
	size_t n = queued(leg_of(f, to));
	size_t most = sl_buf_short(f->pool) ? SL_FLOW_QUEUE_SHORT : SL_FLOW_QUEUE_SOFT;

	return n < most ? most - n : 0;
}

/* Done when the feed is over: only then is it known which bytes came behind the request. */
static int io_upgrade(void *ctx, enum sl_side side)
{
	struct sl_flow *f = ctx;

	leg_of(f, side)->upgrade = true;
	leg_of(f, side)->clear = queued(leg_of(f, side));
	return SL_OK;
}

static int io_upgrade_direct(void *ctx, enum sl_side side)
{
	leg_of(ctx, side)->direct = true;
	return io_upgrade(ctx, side);
}

static size_t io_channel_binding(void *ctx, enum sl_side side, uint8_t *out)
{
	struct sl_flow *f = ctx;

	return f->host.channel_binding(f->host.ctx, side, out);
}

static void *io_take(void *ctx, size_t bytes)
{
	struct sl_flow *f = ctx;
	size_t size = sl_mem_size(bytes);
	void *p;

	if (f->host.mem == NULL || size == 0 || size > f->dec->take_max - f->taken) {
		(void)starved(f);
		(void)sl_fail(SL_E_FLOW_MEMORY);
		return NULL;
	}
	p = sl_mem_take(f->host.mem, bytes);
	if (p == NULL) {
		(void)starved(f);
		(void)sl_fail(SL_E_FLOW_MEMORY);
		return NULL;
	}
	f->taken += size;
	return p;
}

static void io_give(void *ctx, void *p, size_t bytes)
{
	struct sl_flow *f = ctx;

	if (p == NULL)
		return;
	sl_mem_give(f->host.mem, p, bytes);
	f->taken -= sl_mem_size(bytes);
}

int sl_flow_open(struct sl_flow *f, const struct sl_decoder *dec, void *dec_state,
                 const struct sl_decoder_cfg *cfg, const struct sl_flow_host *host, struct sl_buf_pool *pool)
{
	f->dec = dec;
	f->dec_state = dec_state;
	f->host = *host;
	f->pool = pool;
	f->message_max = cfg->message_max;
	f->io = (struct sl_io){
	        .ctx = f,
	        .event = io_event,
	        .pass = io_pass,
	        .add = io_add,
	        .room = io_room,
	        .upgrade = io_upgrade,
	        .upgrade_direct = io_upgrade_direct,
	        .channel_binding = io_channel_binding,
	        .take = io_take,
	        .give = io_give,
	};
	return dec->open(dec_state, cfg, &f->io);
}

void sl_flow_set_stream(struct sl_flow *f, enum sl_side side, struct sl_stream s)
{
	leg_of(f, side)->stream = s;
	leg_of(f, side)->want = 0;
}

/* ---- feeding ---- */

int sl_flow_show(struct sl_flow *f)
{
	int err = settle(f, SL_CLIENT);

	if (err == SL_OK && leg_of(f, SL_CLIENT)->out.unseen > 0)
		err = sl_queue_show(&leg_of(f, SL_CLIENT)->out, f->host.tap, f->host.ctx);
	return err;
}

/*
 * Feeds the decoder with bytes of one side that lie in m (NULL: in a buffer). Returns like feed, plus
 * SL_AGAIN.
 */
static int feed(struct sl_flow *f, enum sl_side from, struct rte_mbuf *m, struct sl_span bytes, size_t *used)
{
	int rc, err;

	*used = 0;
	if (!f->host.may_feed(f->host.ctx) || !sl_buf_for(f->pool, bytes.n))
		return starved(f);
	f->feeding = true;
	f->fed = m;
	rc = f->dec->feed(f->dec_state, from, bytes, used);
	err = settle(f, SL_TARGET);
	if (err == SL_OK)
		err = settle(f, SL_CLIENT);
	f->feeding = false;
	f->fed = NULL;
	if (rc < 0)
		return rc;
	if (err == SL_OK)
		err = sl_flow_show(f);
	if (err < 0)
		return err;
	if (*used > bytes.n)
		return sl_fail(SL_E_INVAL);
	leg_of(f, from)->nb_used += *used;
	leg_of(f, from)->parked = rc == SL_PARK;
	return rc;
}

/* True when the stream has bytes that were not taken. */
static bool unread(const struct sl_flow_leg *leg)
{
	struct sl_tcp_piece v;
	int end;

	return leg->stream.ops->peek != NULL && leg->stream.ops->peek(leg->stream.st, &v, 1, &end) > 0;
}

/* The leg's first bytes are TLS: those that were taken from the stream go to the layer. */
static int leg_upgrade_direct(struct sl_flow *f, enum sl_side side)
{
	struct sl_flow_leg *leg = leg_of(f, side);
	struct sl_span early = SL_SPAN_EMPTY;
	int rc;

	if (leg->clear > 0)
		return sl_fail(SL_E_INVAL);
	/* A target speaks behind us: what it has said by now was said by whoever is on the way. */
	if (side == SL_TARGET && (leg->in != NULL || unread(leg)))
		return sl_fail(SL_E_TLS_PIGGYBACK);
	if (leg->in != NULL)
		early = sl_span(leg->in->data + leg->in->from, sl_buf_len(leg->in));
	rc = f->host.upgrade(f->host.ctx, side, true, early);
	sl_buf_put(f->pool, leg->in);
	leg->in = NULL;
	return rc;
}

/*
 * Puts the layer that the decoder asked for on a leg. Bytes that came behind the request came in clear, from
 * whoever was on the wire: they are not taken over into the protected stream, they end the flow
 * (CVE-2021-23222).
 */
static int leg_upgrade_asked(struct sl_flow *f, enum sl_side side)
{
	struct sl_flow_leg *leg = leg_of(f, side);

	if ((leg->in != NULL && sl_buf_len(leg->in) > 0) || unread(leg))
		return sl_fail(SL_E_TLS_PIGGYBACK);
	if (side == SL_TARGET && leg->clear > barrier_open(f))
		return sl_fail(SL_E_FLOW_QUEUE);
	if (queue_write(f, leg, leg->clear) < leg->clear)
		return sl_fail(SL_E_FLOW_QUEUE);
	if (side == SL_TARGET)
		f->target_released += leg->clear;
	return f->host.upgrade(f->host.ctx, side, false, SL_SPAN_EMPTY);
}

/* A leg whose upgrade fails stays marked: what was meant for inside the layer never goes without it. */
static int leg_upgrade(struct sl_flow *f, enum sl_side side)
{
	struct sl_flow_leg *leg = leg_of(f, side);
	int err = leg->direct ? leg_upgrade_direct(f, side) : leg_upgrade_asked(f, side);

	if (err < 0)
		return err;
	leg->upgrade = leg->direct = false;
	return 1;
}

/* ---- input buffers ---- */

static void leg_release(struct sl_flow *f, struct sl_flow_leg *leg)
{
	if (leg->in != NULL && sl_buf_len(leg->in) == 0) {
		sl_buf_put(f->pool, leg->in);
		leg->in = NULL;
	}
}

/* The decoder needs more of a message than a small buffer holds. SL_OK, SL_AGAIN no buffer, < 0 larger than
 * any. */
static int leg_grow(struct sl_flow *f, struct sl_flow_leg *leg)
{
	struct sl_buf *b = leg->in, *big;

	if (b->cap > SL_BUF_SMALL)
		return sl_fail(SL_E_FLOW_MESSAGE_SIZE);
	big = sl_buf_large(f->pool);
	if (big == NULL)
		return starved(f);
	memcpy(big->data, b->data + b->from, sl_buf_len(b));
	sl_buf_grew(big, sl_buf_len(b));
	sl_buf_put(f->pool, b);
	leg->in = big;
	return SL_OK;
}

bool sl_flow_has_large(const struct sl_flow *f, enum sl_side side)
{
	const struct sl_flow_leg *leg = &f->leg[side];

	return leg->in != NULL && leg->in->cap > SL_BUF_SMALL && !leg->parked;
}

static void compact(struct sl_buf *b)
{
	memmove(b->data, b->data + b->from, sl_buf_len(b));
	b->to -= b->from;
	b->from = 0;
}

/* ---- input by copy: out of a layer, and while the decoder is parked ---- */

/* Reads what the stream has into the input buffer. SL_OK, SL_AGAIN no buffer. How the stream ended is in
 * leg->end. */
static int leg_read(struct sl_flow *f, struct sl_flow_leg *leg)
{
	struct sl_buf *b = leg->in;
	int end = SL_OK;
	long n;

	if (leg->end != SL_OK || (b != NULL && b->to == b->cap && b->from == 0))
		return SL_OK;
	if (b == NULL) {
		b = leg->in = sl_buf_small(f->pool);
		if (b == NULL)
			return starved(f);
	}
	if (b->from > 0 && b->to == b->cap)
		compact(b);
	n = leg->stream.ops->read(leg->stream.st, b->data + b->to, b->cap - b->to, &end);
	if (n > 0) {
		sl_buf_grew(b, (size_t)n);
		leg->nb_in += (uint64_t)n;
	} else if (n < 0) {
		leg->end = end;
	}
	return SL_OK;
}

/* Feeds what was read. Returns like feed; *moved tells whether that changed anything. */
static int feed_buffer(struct sl_flow *f, enum sl_side from, bool *moved)
{
	struct sl_flow_leg *leg = leg_of(f, from);
	struct sl_buf *b = leg->in;
	size_t used;
	int rc = feed(f, from, NULL, sl_span(b->data + b->from, sl_buf_len(b)), &used);

	if (rc < 0)
		return rc;
	b->from += used;
	*moved = *moved || used > 0 || leg->parked;
	if (rc == SL_MORE && !*moved && b->to == b->cap && b->from == 0) {
		rc = leg_grow(f, leg);
		*moved = rc == SL_OK;
	}
	return rc;
}

static int step_copy(struct sl_flow *f, enum sl_side from, bool *moved)
{
	struct sl_flow_leg *leg = leg_of(f, from);
	uint64_t before = leg->nb_in;
	int rc;

	if (leg->in != NULL && leg->want > leg->in->cap && leg->in->cap == SL_BUF_SMALL)
		(void)leg_grow(f, leg); /* without, the rest stays in the stream */
	rc = leg_read(f, leg);

	*moved = leg->nb_in > before;
	if (leg->in != NULL && sl_buf_len(leg->in) > 0 && !leg->parked)
		rc = feed_buffer(f, from, moved);
	leg_release(f, leg);
	return rc;
}

/* ---- input where it lies ---- */

#define FLOW_PIECES 16  /* of a stream that are looked at in one go */
#define FLOW_JOIN   512 /* what a message that is cut is shown with at first, behind what was there */

/* Pieces of a stream, and how far into them the decoder has come. */
struct pieces {
	struct sl_tcp_piece v[FLOW_PIECES];
	uint32_t nb, at;
	size_t left, done; /* bytes */
};

static void advance(struct pieces *c, size_t n)
{
	c->done += n;
	c->left -= n;
	while (n > 0) {
		struct sl_tcp_piece *p = &c->v[c->at];
		uint32_t part = n < p->len ? (uint32_t)n : p->len;

		p->off += part;
		p->len -= part;
		n -= part;
		if (p->len == 0)
			c->at++;
	}
}

static void copy_out(const struct pieces *c, uint8_t *to, size_t n)
{
	for (const struct sl_tcp_piece *p = &c->v[c->at]; n > 0; p++) {
		size_t part = n < p->len ? n : p->len;

		memcpy(to, rte_pktmbuf_mtod_offset(p->m, const uint8_t *, p->off), part);
		to += part;
		n -= part;
	}
}

/* A decoder that could have gone on and did not wants to see more at once. */
static bool wants_more(struct sl_flow *f, enum sl_side from, int rc, size_t used)
{
	if (rc == SL_OK && used == 0)
		return io_room(f, from == SL_CLIENT ? SL_TARGET : SL_CLIENT) >= SL_DEC_ROOM_MIN;
	return rc == SL_MORE;
}

static int feed_piece(struct sl_flow *f, enum sl_side from, struct pieces *c)
{
	struct sl_tcp_piece *p = &c->v[c->at];
	size_t n = p->len < SL_BUF_SMALL ? p->len : SL_BUF_SMALL, used;
	int rc = feed(f, from, p->m, sl_span(rte_pktmbuf_mtod_offset(p->m, const uint8_t *, p->off), n),
	              &used);

	if (rc < 0)
		return rc;
	if (used < n && wants_more(f, from, rc, used)) {
		leg_of(f, from)->want = n - used + FLOW_JOIN;
		rc = SL_MORE;
	}
	advance(c, used);
	return rc;
}

/* An input buffer with room for leg->want bytes, or the largest. SL_OK, SL_AGAIN. */
static int join_ready(struct sl_flow *f, struct sl_flow_leg *leg)
{
	struct sl_buf *b = leg->in;

	if (b == NULL)
		b = leg->in = sl_buf_small(f->pool);
	if (b == NULL)
		return starved(f);
	if (leg->want > b->cap - b->from)
		compact(b);
	return leg->want > b->cap && b->cap == SL_BUF_SMALL ? leg_grow(f, leg) : SL_OK;
}

/*
 * Nothing of what was shown in one span was used: the next time it is more, or, when that was all there is,
 * it is taken from the stream, which then can tell how it ends.
 */
static int join_more(struct sl_flow_leg *leg, struct pieces *c, size_t shown, size_t tail)
{
	struct sl_buf *b = leg->in;

	/* All that a small buffer holds comes before a large one. */
	leg->want = shown < SL_BUF_SMALL && 2 * shown > SL_BUF_SMALL ? SL_BUF_SMALL : 2 * shown;
	if (tail < c->left)
		return shown == b->cap && b->cap > SL_BUF_SMALL ? sl_fail(SL_E_FLOW_MESSAGE_SIZE) : SL_MORE;
	sl_buf_grew(b, tail);
	advance(c, tail);
	return SL_MORE;
}

/* Feeds the decoder with what the leg has kept and so much of what lies behind it that it is leg->want. */
static int feed_joined(struct sl_flow *f, enum sl_side from, struct pieces *c)
{
	struct sl_flow_leg *leg = leg_of(f, from);
	size_t kept, tail, used;
	struct sl_buf *b;
	int rc = join_ready(f, leg);

	if (rc != SL_OK)
		return rc;
	b = leg->in;
	kept = sl_buf_len(b);
	tail = leg->want > kept ? leg->want - kept : 0;
	tail = tail < c->left ? tail : c->left;
	tail = tail < b->cap - b->to ? tail : b->cap - b->to;
	copy_out(c, b->data + b->to, tail);
	if (b->to + tail > b->high)
		b->high = b->to + tail;
	rc = feed(f, from, NULL, sl_span(b->data + b->from, kept + tail), &used);
	if (rc < 0)
		return rc;
	if (used == 0)
		return wants_more(f, from, rc, used) ? join_more(leg, c, kept + tail, tail) : rc;
	/* A message that is parked was whole; it may be longer than what a leg keeps otherwise. */
	leg->want = rc == SL_PARK ? kept + tail - used : 0;
	if (used < kept) {
		b->from += used;
		leg->want = kept + tail - used + (rc == SL_MORE ? FLOW_JOIN : 0);
	} else {
		b->from = b->to;
		advance(c, used - kept);
	}
	return rc;
}

/*
 * One round over what the stream shows. The decoder goes on while it takes what it is given or wants to see
 * more of it in one span than it was given.
 */
static int feed_pieces(struct sl_flow *f, enum sl_side from, struct pieces *c)
{
	struct sl_flow_leg *leg = leg_of(f, from);
	size_t before;
	int rc;

	do {
		bool joined = leg->want > 0 || leg->in != NULL;

		before = c->left;
		rc = joined ? feed_joined(f, from, c) : feed_piece(f, from, c);
		if (rc < 0)
			return rc;
		leg_release(f, leg);
		if (leg->in == NULL && joined && c->left == 0)
			leg->want = 0;
	} while (c->left > 0 && !leg->upgrade && (rc == SL_MORE || (rc == SL_OK && c->left < before)));
	return rc;
}

static int step_pieces(struct sl_flow *f, enum sl_side from, bool *moved)
{
	struct sl_flow_leg *leg = leg_of(f, from);
	struct pieces c = {0};
	int rc = SL_OK, end = SL_OK;
	long nb = leg->stream.ops->peek(leg->stream.st, c.v, FLOW_PIECES, &end);
	size_t kept = leg->in != NULL ? sl_buf_len(leg->in) : 0;

	if (nb < 0 && leg->end == SL_OK)
		leg->end = end;
	for (long i = 0; i < nb; i++)
		c.left += c.v[i].len;
	c.nb = nb > 0 ? (uint32_t)nb : 0;
	if (c.left > 0 || kept > 0)
		rc = feed_pieces(f, from, &c);
	if (c.done > 0) {
		leg->stream.ops->consume(leg->stream.st, c.done);
		leg->nb_in += c.done;
	}
	*moved = c.done > 0 || leg->parked || (leg->in != NULL ? sl_buf_len(leg->in) : 0) != kept;
	return rc;
}

/* ---- moving ---- */

/* The peer sends nothing more, and what it sent last does not make a message: the decoder has the last word.
 */
static int leg_ended(struct sl_flow *f, enum sl_side from)
{
	struct sl_flow_leg *leg = leg_of(f, from);
	int err;

	if (leg->end < 0)
		return leg->end;
	err = f->dec->eof(f->dec_state, from);
	if (err < 0)
		return err;
	f->closed = true;
	err = sl_flow_show(f);
	return err < 0 ? err : 1;
}

/*
 * One step of one direction. 1 moved something; 0 nothing to do; < 0 error. *state turns SL_AGAIN when it
 * waits for something else than its stream.
 */
static int leg_step(struct sl_flow *f, enum sl_side from, int *state)
{
	struct sl_flow_leg *leg = leg_of(f, from);
	bool moved = false;
	int rc, dead;

	if (leg->stream.ops == NULL)
		return 0;
	dead = leg->stream.ops->pump(leg->stream.st);
	if (dead == SL_MORE)
		return 0;
	if (leg->upgrade) /* before anything else is read: the last step asked for it, or login */
		return leg_upgrade(f, from);
	f->starved = false;
	if (leg->stream.ops->peek == NULL || leg->parked)
		rc = step_copy(f, from, &moved);
	else
		rc = step_pieces(f, from, &moved);
	if (rc < 0)
		return rc;
	moved = moved || leg->upgrade; /* the next step puts it on */
	if (dead < 0 && leg->end == SL_OK && (leg->parked || (leg->in == NULL && !unread(leg))))
		leg->end = dead;
	if (rc == SL_CLOSED)
		f->closed = true;
	else if (rc == SL_AGAIN && f->starved)
		*state = SL_AGAIN;
	else if (rc == SL_AGAIN)
		; /* a stream tells: the one that takes no more, or the other side's, which has to speak first
		   */
	else if (leg->end != SL_OK && !moved)
		return leg_ended(f, from);
	return moved;
}

/* Writes both queues as far as they may go: to the client what the tap has seen, to the target what is
 * durable. True when something went. */
static bool flush(struct sl_flow *f)
{
	struct sl_flow_leg *client = leg_of(f, SL_CLIENT), *target = leg_of(f, SL_TARGET);
	size_t n = 0, m = 0;

	/* What waits for a layer must not go below it. */
	if (client->out.bytes > 0 && client->stream.ops != NULL && !client->upgrade)
		n = queue_write(f, client, sl_queue_shown(&client->out));
	if (target->out.bytes > 0 && target->stream.ops != NULL && !target->upgrade) {
		m = queue_write(f, target, barrier_open(f));
		f->target_released += m;
	}
	return n + m > 0;
}

/*
 * The loop is bounded: each round either moves bytes out of a bounded buffer or is the last. A flow that has
 * much to move gives way to others after a number of rounds; the host runs it again.
 */
#define RUN_ROUNDS 32

int sl_flow_run(struct sl_flow *f)
{
	int state = SL_OK;

	for (int round = 0; round < RUN_ROUNDS; round++) {
		int moved = 0;

		state = SL_OK;
		for (int side = SL_CLIENT; side <= SL_TARGET && !f->closed; side++) {
			int rc = leg_step(f, (enum sl_side)side, &state);

			if (rc < 0) {
				flush(f);
				return rc;
			}
			moved += rc;
		}
		if (flush(f))
			moved++;
		if (f->closed)
			return sl_flow_at_barrier(f) ? SL_AGAIN : SL_CLOSED;
		if (moved == 0)
			return state == SL_AGAIN || sl_flow_at_barrier(f) ? SL_AGAIN : SL_OK;
	}
	return SL_AGAIN;
}

int sl_flow_resume(struct sl_flow *f, const struct sl_verdict *v)
{
	int err = f->dec->resume(f->dec_state, v);

	f->leg[SL_CLIENT].parked = v->action == SL_ACT_PARK;
	return err < 0 ? err : sl_flow_show(f);
}

int sl_flow_login(struct sl_flow *f, const struct sl_login *l)
{
	return f->dec->login(f->dec_state, l);
}

static void leg_drop(struct sl_flow *f, struct sl_flow_leg *leg)
{
	leg->passed = SL_SPAN_EMPTY;
	sl_queue_drop(&leg->out, f->pool);
}

/* What nobody reads would make the close a reset, and that would take the last word with it. */
static void leg_discard(struct sl_flow_leg *leg)
{
	if (leg->stream.ops != NULL)
		leg->stream.ops->discard(leg->stream.st);
}

/* What was not consumed; nothing more of it will be. */
static void drop_input(struct sl_flow *f)
{
	for (int side = SL_CLIENT; side <= SL_TARGET; side++) {
		sl_buf_put(f->pool, f->leg[side].in);
		f->leg[side].in = NULL;
	}
}

void sl_flow_bye(struct sl_flow *f, const struct sl_reason *reason)
{
	if (leg_of(f, SL_CLIENT)->upgrade) /* the last word is in clear: what waits for the layer is not */
		leg_drop(f, leg_of(f, SL_CLIENT));
	leg_of(f, SL_CLIENT)->upgrade = false;
	if (reason != NULL)
		/* Not being able to say it in this state is no error: the close itself says enough. */
		(void)f->dec->inject(f->dec_state, SL_INJ_BYE, reason);
	if (sl_flow_show(f) < 0)
		leg_drop(f, leg_of(f, SL_CLIENT));
	if (!f->closed)
		leg_drop(f, leg_of(f, SL_TARGET));
	f->nb_barriers = 0;
	f->closed = true;
	leg_discard(leg_of(f, SL_TARGET));
	if (!f->feeding)
		drop_input(f);
}

int sl_flow_drain(struct sl_flow *f)
{
	struct sl_flow_leg *leg = leg_of(f, SL_CLIENT);
	int rc;

	if (leg->stream.ops == NULL)
		return SL_OK;
	rc = leg->stream.ops->pump(leg->stream.st);
	if (rc < 0)
		return rc;
	leg_discard(leg);
	queue_write(f, leg, sl_queue_shown(&leg->out));
	if (leg->out.bytes > 0)
		return SL_MORE;
	if (!leg->shut) {
		leg->shut = true;
		leg->stream.ops->shutdown(leg->stream.st);
	}
	return leg->stream.ops->pump(leg->stream.st) == SL_MORE ? SL_MORE : SL_OK;
}

void sl_flow_close(struct sl_flow *f)
{
	if (f->dec != NULL) /* it was opened */
		f->dec->close(f->dec_state);
	for (int side = SL_CLIENT; side <= SL_TARGET; side++)
		leg_drop(f, &f->leg[side]);
	drop_input(f);
}
