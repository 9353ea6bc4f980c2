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

static int queue_put(struct sl_flow *f, enum sl_side to, struct sl_span bytes)
{
	struct sl_flow_leg *leg = leg_of(f, to);

	if (bytes.n > queue_hard(f) - leg->out_bytes)
		return sl_fail(SL_E_FLOW_QUEUE);
	while (bytes.n > 0) {
		struct sl_buf *b = leg->out_tail;
		size_t take;

		if (b == NULL || b->to == b->cap) {
			b = sl_buf_small(f->pool);
			if (b == NULL)
				return sl_fail(SL_E_NOMEM);
			if (leg->out_tail != NULL)
				leg->out_tail->next = b;
			else
				leg->out_head = b;
			leg->out_tail = b;
		}
		take = bytes.n < b->cap - b->to ? bytes.n : b->cap - b->to;
		memcpy(b->data + b->to, bytes.p, take);
		sl_buf_grew(b, take);
		leg->out_bytes += take;
		bytes.p += take;
		bytes.n -= take;
	}
	return SL_OK;
}

static void queue_drop(struct sl_flow *f, struct sl_flow_leg *leg)
{
	while (leg->out_head != NULL) {
		struct sl_buf *b = leg->out_head;

		leg->out_head = b->next;
		sl_buf_put(f->pool, b);
	}
	leg->out_tail = NULL;
	leg->out_bytes = 0;
}

/* Writes at most `limit` queued bytes to the stream. Returns how many went. */
static size_t queue_write(struct sl_flow *f, struct sl_flow_leg *leg, uint64_t limit)
{
	size_t done = 0;

	while (leg->out_head != NULL && done < limit) {
		struct sl_buf *b = leg->out_head;
		size_t n = sl_buf_len(b) < limit - done ? sl_buf_len(b) : (size_t)(limit - done);
		size_t took = leg->stream.ops->write(leg->stream.st, sl_span(b->data + b->from, n));

		b->from += took;
		done += took;
		if (took < n)
			break;
		if (sl_buf_len(b) > 0)
			break;
		leg->out_head = b->next;
		if (leg->out_head == NULL)
			leg->out_tail = NULL;
		sl_buf_put(f->pool, b);
	}
	leg->out_bytes -= done;
	leg->nb_out += done;
	return done;
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
	return f->nb_barriers > 0 && f->leg[SL_TARGET].out_bytes > 0;
}

/* ---- what the decoder calls ---- */

static int io_event(void *ctx, const struct sl_event *ev, struct sl_verdict *v)
{
	struct sl_flow *f = ctx;

	memset(v, 0, sizeof(*v));
	return f->host.event(f->host.ctx, ev, v);
}

static int io_add(void *ctx, enum sl_side to, struct sl_span bytes)
{
	struct sl_flow *f = ctx;
	int err;

	if (to == SL_TARGET)
		barrier_mark(f);
	err = queue_put(f, to, bytes);
	if (err < 0)
		return err;
	if (to == SL_TARGET)
		f->target_total += bytes.n;
	else
		f->client_tapped += bytes.n;
	return SL_OK;
}

static size_t io_room(void *ctx, enum sl_side to)
{
	struct sl_flow *f = ctx;
	size_t queued = leg_of(f, to)->out_bytes;

	return queued < SL_FLOW_QUEUE_SOFT ? SL_FLOW_QUEUE_SOFT - queued : 0;
}

/* Done when the feed is over: only then is it known which bytes came behind the request. */
static int io_upgrade(void *ctx, enum sl_side side)
{
	struct sl_flow *f = ctx;

	leg_of(f, side)->upgrade = true;
	leg_of(f, side)->clear = leg_of(f, side)->out_bytes;
	return SL_OK;
}

static void *io_take(void *ctx, size_t bytes)
{
	struct sl_flow *f = ctx;
	size_t size = sl_mem_size(bytes);
	void *p;

	if (f->host.mem == NULL || size == 0 || size > f->dec->take_max - f->taken) {
		(void)sl_fail(SL_E_FLOW_MEMORY);
		return NULL;
	}
	p = sl_mem_take(f->host.mem, bytes);
	if (p == NULL)
		(void)sl_fail(SL_E_FLOW_MEMORY);
	else
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
	        .pass = io_add,
	        .add = io_add,
	        .room = io_room,
	        .upgrade = io_upgrade,
	        .take = io_take,
	        .give = io_give,
	};
	return dec->open(dec_state, cfg, &f->io);
}

void sl_flow_set_stream(struct sl_flow *f, enum sl_side side, struct sl_stream s)
{
	leg_of(f, side)->stream = s;
}

/* ---- moving ---- */

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
			return SL_AGAIN;
	}
	if (b->from > 0 && b->to == b->cap) {
		memmove(b->data, b->data + b->from, sl_buf_len(b));
		b->to -= b->from;
		b->from = 0;
	}
	n = leg->stream.ops->read(leg->stream.st, b->data + b->to, b->cap - b->to, &end);
	if (n > 0) {
		sl_buf_grew(b, (size_t)n);
		leg->nb_in += (uint64_t)n;
	} else if (n < 0) {
		leg->end = end;
	}
	return SL_OK;
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
		return SL_AGAIN;
	memcpy(big->data, b->data, b->to);
	sl_buf_grew(big, b->to);
	sl_buf_put(f->pool, b);
	leg->in = big;
	return SL_OK;
}

static void leg_release(struct sl_flow *f, struct sl_flow_leg *leg)
{
	if (leg->in != NULL && sl_buf_len(leg->in) == 0) {
		sl_buf_put(f->pool, leg->in);
		leg->in = NULL;
	}
}

/* Shows the tap the bytes at the end of the client's queue that it has not seen. */
static int tap_new(struct sl_flow *f)
{
	struct sl_flow_leg *leg = leg_of(f, SL_CLIENT);
	size_t skip = leg->out_bytes - f->client_tapped;

	for (struct sl_buf *b = leg->out_head; b != NULL; b = b->next) {
		size_t n = sl_buf_len(b), from = skip < n ? skip : n;
		int err;

		skip -= from;
		if (from == n)
			continue;
		err = f->host.tap(f->host.ctx, sl_span(b->data + b->from + from, n - from));
		if (err < 0)
			return err;
	}
	f->client_tapped = 0;
	return SL_OK;
}

/*
 * Puts the layer that the decoder asked for on a leg. Bytes that came behind the request came in clear, from
 * whoever was on the wire: they are not taken over into the protected stream, they end the flow
 * (CVE-2021-23222).
 */
static int leg_upgrade(struct sl_flow *f, enum sl_side side)
{
	struct sl_flow_leg *leg = leg_of(f, side);

	leg->upgrade = false;
	if (leg->in != NULL && sl_buf_len(leg->in) > 0)
		return sl_fail(SL_E_TLS_PIGGYBACK);
	if (side == SL_TARGET && leg->clear > barrier_open(f))
		return sl_fail(SL_E_FLOW_QUEUE);
	if (queue_write(f, leg, leg->clear) < leg->clear)
		return sl_fail(SL_E_FLOW_QUEUE);
	if (side == SL_TARGET)
		f->target_released += leg->clear;
	return f->host.upgrade(f->host.ctx, side);
}

/* Feeds the decoder what one side has sent. Returns like feed, plus SL_AGAIN. */
static int leg_feed(struct sl_flow *f, enum sl_side from)
{
	struct sl_flow_leg *leg = leg_of(f, from);
	size_t consumed = 0;
	int rc, err;

	if (!f->host.may_feed(f->host.ctx))
		return SL_AGAIN;
	rc = f->dec->feed(f->dec_state, from, sl_span(leg->in->data + leg->in->from, sl_buf_len(leg->in)),
	                  &consumed);
	if (rc < 0)
		return rc;
	if (consumed > sl_buf_len(leg->in))
		return sl_fail(SL_E_INVAL);
	leg->in->from += consumed;
	err = tap_new(f);
	if (err == SL_OK && leg->upgrade)
		err = leg_upgrade(f, from);
	if (err < 0)
		return err;
	leg->parked = rc == SL_PARK;
	return rc;
}

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
	err = tap_new(f);
	return err < 0 ? err : 1;
}

/*
 * One step of one direction. 1 moved something; 0 nothing to do; < 0 error. *state turns SL_AGAIN when it
 * waits for something else than its stream.
 */
static int leg_step(struct sl_flow *f, enum sl_side from, int *state)
{
	struct sl_flow_leg *leg = leg_of(f, from);
	uint64_t read_before = leg->nb_in;
	size_t before;
	int rc, moved;

	if (leg->stream.ops == NULL)
		return 0;
	rc = leg->stream.ops->pump(leg->stream.st);
	if (rc == SL_MORE)
		return 0;
	if (leg_read(f, leg) == SL_AGAIN)
		*state = SL_AGAIN;
	if (rc < 0 && leg->end == SL_OK && (leg->parked || leg->in == NULL || sl_buf_len(leg->in) == 0))
		leg->end = rc;
	before = leg->in == NULL ? 0 : sl_buf_len(leg->in);
	moved = leg->nb_in > read_before;
	rc = SL_OK;
	if (before > 0 && !leg->parked) {
		rc = leg_feed(f, from);
		if (rc < 0)
			return rc;
		moved = moved || sl_buf_len(leg->in) < before || leg->parked;
		if (rc == SL_MORE && moved == 0 && leg->in->to == leg->in->cap && leg->in->from == 0) {
			rc = leg_grow(f, leg);
			if (rc < 0)
				return rc;
			moved = rc == SL_OK;
		}
	}
	leg_release(f, leg);
	if (rc == SL_CLOSED)
		f->closed = true;
	else if (rc == SL_AGAIN)
		*state = SL_AGAIN;
	else if (leg->end != SL_OK && moved == 0)
		return leg_ended(f, from);
	return moved;
}

/* Writes both queues as far as they may go. True when something went. */
static bool flush(struct sl_flow *f)
{
	struct sl_flow_leg *client = leg_of(f, SL_CLIENT), *target = leg_of(f, SL_TARGET);
	size_t n = 0, m = 0;

	if (client->out_bytes > 0 && client->stream.ops != NULL)
		n = queue_write(f, client, client->out_bytes);
	if (target->out_bytes > 0 && target->stream.ops != NULL) {
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

	f->leg[SL_CLIENT].parked = false;
	return err < 0 ? err : tap_new(f);
}

int sl_flow_login(struct sl_flow *f, const struct sl_login *l)
{
	return f->dec->login(f->dec_state, l);
}

void sl_flow_bye(struct sl_flow *f, const struct sl_reason *reason)
{
	if (reason != NULL)
		/* Not being able to say it in this state is no error: the close itself says enough. */
		(void)f->dec->inject(f->dec_state, SL_INJ_BYE, reason);
	if (tap_new(f) < 0)
		queue_drop(f, leg_of(f, SL_CLIENT));
	if (!f->closed)
		queue_drop(f, leg_of(f, SL_TARGET));
	f->nb_barriers = 0;
	f->closed = true;
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
	if (leg->out_bytes > 0)
		queue_write(f, leg, leg->out_bytes);
	if (leg->out_bytes > 0)
		return SL_MORE;
	if (!leg->shut) {
		leg->shut = true;
		leg->stream.ops->shutdown(leg->stream.st);
	}
	return leg->stream.ops->pump(leg->stream.st) == SL_MORE ? SL_MORE : SL_OK;
}

void sl_flow_close(struct sl_flow *f)
{
	f->dec->close(f->dec_state);
	for (int side = SL_CLIENT; side <= SL_TARGET; side++) {
		queue_drop(f, &f->leg[side]);
		sl_buf_put(f->pool, f->leg[side].in);
		f->leg[side].in = NULL;
	}
}
