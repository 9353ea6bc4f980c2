/*
 * The flow alone: streams in memory and a toy decoder, whose messages are a length byte and a body. The
 * body's first letter says what is wanted: 'd' is denied, 'h' is held, 'u' asks for an upgrade, 'x' says
 * goodbye, anything else is allowed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "sl_flow.h"

/* ---- a stream in memory ---- */

#define WIRE_MAX (4 * 1024 * 1024)

struct wire {
	uint8_t *in, *out;
	size_t in_n, in_at, out_n;
	size_t out_room; /* how much more it takes */
	size_t cut;      /* bytes a read at most */
	int end;
	int err;
	bool shut;
};

static int wire_pump(void *st)
{
	return ((struct wire *)st)->err;
}

static long wire_read(void *st, uint8_t *buf, size_t cap, int *end)
{
	struct wire *w = st;
	size_t n = w->in_n - w->in_at;

	n = n < cap ? n : cap;
	n = n < w->cut ? n : w->cut;
	if (n > 0) {
		memcpy(buf, w->in + w->in_at, n);
		w->in_at += n;
		return (long)n;
	}
	if (w->end != SL_OK && w->in_at == w->in_n && cap > 0) {
		*end = w->end;
		return -1;
	}
	return 0;
}

static size_t wire_write(void *st, struct sl_span b)
{
	struct wire *w = st;
	size_t n = b.n < w->out_room ? b.n : w->out_room;

	assert_true(w->out_n + n <= WIRE_MAX);
	memcpy(w->out + w->out_n, b.p, n);
	w->out_n += n;
	w->out_room -= n;
	return n;
}

static void wire_shutdown(void *st)
{
	((struct wire *)st)->shut = true;
}

static void wire_free(void *st)
{
	(void)st;
}

static const struct sl_stream_ops wire_ops = {wire_pump, wire_read, wire_write, wire_shutdown, wire_free};

/* ---- the toy decoder ---- */

struct toy {
	struct sl_io io;
	uint64_t cmd;
	bool parked, resumed, allowed;
};

static int toy_open(void *st, const struct sl_decoder_cfg *cfg, const struct sl_io *io)
{
	(void)cfg;
	((struct toy *)st)->io = *io;
	return SL_OK;
}

static int toy_message(struct toy *t, struct sl_span m)
{
	struct sl_event ev = {
	        .kind = SL_EV_COMMAND, .cmd = t->cmd + 1, .command.text = sl_span_sub(m, 1, m.n)};
	struct sl_verdict v;
	int rc;

	if (t->io.room(t->io.ctx, SL_TARGET) < SL_DEC_ROOM_MIN ||
	    t->io.room(t->io.ctx, SL_CLIENT) < SL_DEC_ROOM_MIN)
		return SL_AGAIN;
	if (t->resumed) {
		v.action = t->allowed ? SL_ACT_ALLOW : SL_ACT_DENY;
		t->resumed = false;
	} else {
		rc = t->io.event(t->io.ctx, &ev, &v);
		if (rc != SL_OK)
			return rc;
		t->cmd++;
	}
	if (v.action == SL_ACT_PARK)
		return SL_PARK;
	if (v.action == SL_ACT_DENY)
		return t->io.add(t->io.ctx, SL_CLIENT, SL_SPAN_LIT("no"));
	rc = t->io.pass(t->io.ctx, SL_TARGET, m);
	if (rc == SL_OK && m.p[1] == 'u') {
		rc = t->io.add(t->io.ctx, SL_CLIENT, SL_SPAN_LIT("S"));
		rc = rc == SL_OK ? t->io.upgrade(t->io.ctx, SL_CLIENT) : rc;
		rc = rc == SL_OK ? t->io.add(t->io.ctx, SL_CLIENT, SL_SPAN_LIT("inside")) : rc;
	}
	return rc;
}

static int toy_feed(void *st, enum sl_side from, struct sl_span b, size_t *consumed)
{
	struct toy *t = st;

	*consumed = 0;
	if (from == SL_TARGET) {
		size_t room = t->io.room(t->io.ctx, SL_CLIENT);

		*consumed = b.n < room ? b.n : room;
		return t->io.pass(t->io.ctx, SL_CLIENT, sl_span(b.p, *consumed));
	}
	while (*consumed < b.n) {
		struct sl_span m = sl_span(b.p + *consumed, b.n - *consumed);
		int rc;

		if (m.n < (size_t)m.p[0] + 1)
			return SL_MORE;
		m.n = (size_t)m.p[0] + 1;
		if (m.n < 2)
			return SL_E_PROTO_MALFORMED;
		rc = toy_message(t, m);
		if (rc != SL_OK)
			return rc;
		*consumed += m.n;
		if (m.p[1] == 'x')
			return SL_CLOSED;
		if (m.p[1] == 'u')
			return SL_OK;
	}
	return SL_OK;
}

static int toy_resume(void *st, const struct sl_verdict *v)
{
	struct toy *t = st;

	t->resumed = true;
	t->allowed = v->action == SL_ACT_ALLOW;
	return SL_OK;
}

static int toy_inject(void *st, enum sl_inject what, const struct sl_reason *r)
{
	struct toy *t = st;

	(void)what;
	return t->io.add(t->io.ctx, SL_CLIENT, r->message);
}

static int toy_eof(void *st, enum sl_side from)
{
	(void)st;
	return from == SL_TARGET ? SL_E_PROTO_TARGET : SL_OK;
}

static void toy_close(void *st)
{
	(void)st;
}

static const struct sl_decoder toy_decoder = {
        .name = "toy",
        .state_bytes = sizeof(struct toy),
        .open = toy_open,
        .feed = toy_feed,
        .resume = toy_resume,
        .inject = toy_inject,
        .eof = toy_eof,
        .close = toy_close,
};

/* ---- the host ---- */

struct bench {
	struct wire client, target, inside; /* inside: what stands for TLS on the client's leg */
	struct toy toy;
	struct sl_flow flow;
	struct sl_buf_pool *pool;
	uint64_t recorded, durable;
	uint32_t nb_events, again; /* answer so many events with SL_AGAIN */
	uint8_t *tapped;
	size_t tapped_n;
	int upgrades;
	bool no_blocks;
};

static int host_event(void *ctx, const struct sl_event *ev, struct sl_verdict *v)
{
	struct bench *b = ctx;

	if (b->again > 0) {
		b->again--;
		return SL_AGAIN;
	}
	b->nb_events++;
	b->recorded++;
	assert_int_equal(ev->cmd, b->nb_events);
	if (ev->command.text.p[0] == 'd')
		v->action = SL_ACT_DENY;
	if (ev->command.text.p[0] == 'h')
		v->action = SL_ACT_PARK;
	return SL_OK;
}

static int host_upgrade(void *ctx, enum sl_side side)
{
	struct bench *b = ctx;

	assert_int_equal(side, SL_CLIENT);
	b->upgrades++;
	sl_flow_set_stream(&b->flow, SL_CLIENT, (struct sl_stream){&wire_ops, &b->inside});
	return SL_OK;
}

static int host_tap(void *ctx, struct sl_span bytes)
{
	struct bench *b = ctx;

	/* What the tap sees has not been sent. */
	assert_true(b->tapped_n >= b->client.out_n);
	memcpy(b->tapped + b->tapped_n, bytes.p, bytes.n);
	b->tapped_n += bytes.n;
	return SL_OK;
}

static bool host_may_feed(void *ctx)
{
	return !((struct bench *)ctx)->no_blocks;
}

static uint64_t host_barrier(void *ctx)
{
	return ((struct bench *)ctx)->recorded;
}

static uint64_t host_durable(void *ctx)
{
	return ((struct bench *)ctx)->durable;
}

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct sl_decoder_cfg cfg = {.message_max = 65536};
	struct sl_flow_host host = {
	        b, host_event, host_upgrade, host_tap, host_may_feed, host_barrier, host_durable};

	assert_non_null(b);
	b->client.in = malloc(WIRE_MAX);
	b->client.out = malloc(WIRE_MAX);
	b->inside.out = malloc(WIRE_MAX);
	b->target.in = malloc(WIRE_MAX);
	b->target.out = malloc(WIRE_MAX);
	b->tapped = malloc(WIRE_MAX);
	b->client.cut = b->target.cut = b->inside.cut = SIZE_MAX;
	b->client.out_room = b->target.out_room = b->inside.out_room = SIZE_MAX / 2;
	b->durable = UINT64_MAX;
	b->pool = sl_buf_pool_new(65536 + SL_BUF_SMALL, 128, 2);
	assert_int_equal(sl_flow_open(&b->flow, &toy_decoder, &b->toy, &cfg, &host, b->pool), 0);
	sl_flow_set_stream(&b->flow, SL_CLIENT, (struct sl_stream){&wire_ops, &b->client});
	sl_flow_set_stream(&b->flow, SL_TARGET, (struct sl_stream){&wire_ops, &b->target});
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	/* All that went to the client was tapped, in order. */
	assert_true(b->client.out_n <= b->tapped_n);
	assert_memory_equal(b->client.out, b->tapped, b->client.out_n);
	sl_flow_close(&b->flow);
	assert_int_equal(sl_buf_in_use(b->pool), 0);
	sl_buf_pool_free(b->pool);
	free(b->client.in);
	free(b->client.out);
	free(b->inside.out);
	free(b->target.in);
	free(b->target.out);
	free(b->tapped);
	free(b);
	return 0;
}

static void say(struct wire *w, const char *body)
{
	w->in[w->in_n++] = (uint8_t)strlen(body);
	memcpy(w->in + w->in_n, body, strlen(body));
	w->in_n += strlen(body);
}

static void say_raw(struct wire *w, const char *text)
{
	memcpy(w->in + w->in_n, text, strlen(text));
	w->in_n += strlen(text);
}

static void assert_out(const struct wire *w, const char *expected)
{
	assert_int_equal(w->out_n, strlen(expected));
	assert_memory_equal(w->out, expected, w->out_n);
}

static void test_passes_and_denies(void **state)
{
	struct bench *b = *state;

	say(&b->client, "one");
	say(&b->client, "drop");
	say(&b->client, "two");
	say_raw(&b->target, "reply");
	assert_int_equal(sl_flow_run(&b->flow), SL_OK);
	assert_out(&b->target, "\3one\3two");
	assert_int_equal(b->client.out_n, 7);
	assert_int_equal(b->nb_events, 3);
}

static void test_byte_by_byte(void **state)
{
	struct bench *b = *state;

	b->client.cut = 1;
	say(&b->client, "one");
	say(&b->client, "drop");
	say(&b->client, "two");
	while (sl_flow_run(&b->flow) == SL_AGAIN)
		;
	assert_out(&b->target, "\3one\3two");
	assert_out(&b->client, "no");
}

static void test_barrier(void **state)
{
	struct bench *b = *state;

	b->durable = 0;
	say(&b->client, "one");
	say(&b->client, "two");
	assert_int_equal(sl_flow_run(&b->flow), SL_AGAIN);
	assert_int_equal(b->nb_events, 2);
	assert_int_equal(b->target.out_n, 0);
	assert_true(sl_flow_at_barrier(&b->flow));
	b->durable = 1;
	assert_int_equal(sl_flow_run(&b->flow), SL_AGAIN);
	assert_out(&b->target, "\3one");
	b->durable = 2;
	assert_int_equal(sl_flow_run(&b->flow), SL_OK);
	assert_out(&b->target, "\3one\3two");
	assert_false(sl_flow_at_barrier(&b->flow));
}

static void test_barriers_merge_to_the_stricter(void **state)
{
	struct bench *b = *state;

	b->durable = 0;
	for (int i = 0; i < SL_FLOW_BARRIERS + 10; i++)
		say(&b->client, "m");
	assert_int_equal(sl_flow_run(&b->flow), SL_AGAIN);
	for (uint64_t d = 1; d < SL_FLOW_BARRIERS + 10; d++) {
		b->durable = d;
		sl_flow_run(&b->flow);
		assert_true(b->target.out_n <= 2 * d);
	}
	b->durable = SL_FLOW_BARRIERS + 10;
	assert_int_equal(sl_flow_run(&b->flow), SL_OK);
	assert_int_equal(b->target.out_n, 2 * (SL_FLOW_BARRIERS + 10));
}

static void test_hold(void **state)
{
	struct bench *b = *state;
	struct sl_verdict allow = {.action = SL_ACT_ALLOW}, deny = {.action = SL_ACT_DENY};

	say(&b->client, "one");
	say(&b->client, "hold");
	say(&b->client, "two");
	say(&b->client, "hold2");
	say_raw(&b->target, "r");
	assert_int_equal(sl_flow_run(&b->flow), SL_OK);
	assert_out(&b->target, "\3one");
	assert_out(&b->client, "r");
	assert_int_equal(sl_flow_resume(&b->flow, &allow), 0);
	assert_int_equal(sl_flow_run(&b->flow), SL_OK);
	assert_out(&b->target, "\3one\4hold\3two");
	assert_int_equal(sl_flow_resume(&b->flow, &deny), 0);
	assert_int_equal(sl_flow_run(&b->flow), SL_OK);
	assert_out(&b->target, "\3one\4hold\3two");
	assert_out(&b->client, "rno");
	assert_int_equal(b->nb_events, 4);
}

static void test_client_gone_during_hold(void **state)
{
	struct bench *b = *state;

	say(&b->client, "hold");
	assert_int_equal(sl_flow_run(&b->flow), SL_OK);
	b->client.end = SL_CLOSED;
	assert_int_equal(sl_flow_run(&b->flow), SL_CLOSED);
	assert_int_equal(b->target.out_n, 0);
}

static void test_client_reset_during_hold(void **state)
{
	struct bench *b = *state;

	say(&b->client, "hold");
	assert_int_equal(sl_flow_run(&b->flow), SL_OK);
	b->client.err = SL_E_TCP_RESET;
	b->client.end = SL_E_TCP_RESET;
	assert_int_equal(sl_flow_run(&b->flow), SL_E_TCP_RESET);
	assert_int_equal(b->target.out_n, 0);
}

static void test_again(void **state)
{
	struct bench *b = *state;

	b->again = 3;
	say(&b->client, "one");
	while (b->again > 0) {
		assert_int_equal(b->nb_events, 0);
		assert_int_equal(sl_flow_run(&b->flow), SL_AGAIN);
	}
	assert_int_equal(sl_flow_run(&b->flow), SL_OK);
	assert_int_equal(b->nb_events, 1);
	assert_out(&b->target, "\3one");
	b->no_blocks = true;
	say(&b->client, "two");
	assert_int_equal(sl_flow_run(&b->flow), SL_AGAIN);
	b->no_blocks = false;
	assert_int_equal(sl_flow_run(&b->flow), SL_OK);
	assert_out(&b->target, "\3one\3two");
}

/* A client that does not read closes the target's stream, in bounded memory; nothing is lost when it reads
 * again. */
static void test_slow_client(void **state)
{
	struct bench *b = *state;
	size_t total = 3 * 1024 * 1024;

	for (size_t i = 0; i < total; i++)
		b->target.in[i] = (uint8_t)(i * 7 + i / 251);
	b->target.in_n = total;
	b->client.out_room = 1000;
	for (int i = 0; i < 100; i++)
		sl_flow_run(&b->flow);
	assert_int_equal(b->client.out_n, 1000);
	assert_true(b->target.in_at < SL_FLOW_QUEUE_SOFT + 2 * SL_BUF_SMALL);
	b->client.out_room = SIZE_MAX / 2;
	while (b->client.out_n < total)
		assert_true(sl_flow_run(&b->flow) >= 0);
	assert_memory_equal(b->client.out, b->target.in, total);
}

static void test_slow_target(void **state)
{
	struct bench *b = *state;

	b->target.out_room = 10;
	for (int i = 0; i < 200000; i++)
		say(&b->client, "abc");
	for (int i = 0; i < 100; i++)
		sl_flow_run(&b->flow);
	assert_int_equal(b->target.out_n, 10);
	assert_true(b->client.in_at < SL_FLOW_QUEUE_SOFT + 2 * SL_BUF_SMALL);
	b->target.out_room = SIZE_MAX / 2;
	while (b->target.out_n < b->client.in_n)
		assert_true(sl_flow_run(&b->flow) >= 0);
	assert_memory_equal(b->target.out, b->client.in, b->client.in_n);
}

static void test_goodbye(void **state)
{
	struct bench *b = *state;

	say(&b->client, "one");
	say(&b->client, "x");
	say(&b->client, "late");
	assert_int_equal(sl_flow_run(&b->flow), SL_CLOSED);
	assert_out(&b->target, "\3one\1x");
	sl_flow_bye(&b->flow, NULL);
	assert_int_equal(sl_flow_drain(&b->flow), SL_OK);
	assert_true(b->client.shut);
}

static void test_target_dies(void **state)
{
	struct bench *b = *state;
	struct sl_reason why = {.code = SL_RSN_UNAVAILABLE, .message = SL_SPAN_LIT("gone")};

	say_raw(&b->target, "half a rep");
	b->target.end = SL_E_TCP_RESET;
	assert_int_equal(sl_flow_run(&b->flow), SL_E_TCP_RESET);
	sl_flow_bye(&b->flow, &why);
	b->client.out_room = 3;
	b->client.out_room = SIZE_MAX / 2;
	assert_int_equal(sl_flow_drain(&b->flow), SL_OK);
	assert_out(&b->client, "half a repgone");
}

/* What waits at the barrier when the session ends never runs. */
static void test_bye_drops_what_is_not_durable(void **state)
{
	struct bench *b = *state;
	struct sl_reason why = {.code = SL_RSN_SHUTDOWN, .message = SL_SPAN_LIT("bye")};

	b->durable = 0;
	say(&b->client, "one");
	assert_int_equal(sl_flow_run(&b->flow), SL_AGAIN);
	sl_flow_bye(&b->flow, &why);
	b->durable = 100;
	assert_int_equal(sl_flow_drain(&b->flow), SL_OK);
	assert_int_equal(b->target.out_n, 0);
	assert_out(&b->client, "bye");
}

static void test_malformed(void **state)
{
	struct bench *b = *state;

	say(&b->client, "one");
	say(&b->client, "");
	say(&b->client, "two");
	assert_int_equal(sl_flow_run(&b->flow), SL_E_PROTO_MALFORMED);
	sl_flow_bye(&b->flow, NULL);
	assert_int_equal(sl_flow_drain(&b->flow), SL_OK);
	assert_true(b->target.out_n == 0 || b->target.out_n == 4);
}

static void test_upgrade(void **state)
{
	struct bench *b = *state;

	say(&b->client, "u");
	assert_int_equal(sl_flow_run(&b->flow), SL_OK);
	assert_int_equal(b->upgrades, 1);
	/* Each byte is on its side of the change, though one feed added both. */
	assert_out(&b->client, "S");
	assert_out(&b->inside, "inside");
}

static void test_upgrade_with_bytes_behind(void **state)
{
	struct bench *b = *state;

	say(&b->client, "u");
	say(&b->client, "injected");
	assert_int_equal(sl_flow_run(&b->flow), SL_E_TLS_PIGGYBACK);
	assert_int_equal(b->upgrades, 0);
}

static void test_pool_is_bounded(void **state)
{
	struct sl_buf_pool *p = sl_buf_pool_new(100000, 2, 1);
	struct sl_buf *a = sl_buf_small(p), *c = sl_buf_small(p), *l = sl_buf_large(p);

	(void)state;
	assert_non_null(a);
	assert_non_null(c);
	assert_non_null(l);
	assert_null(sl_buf_small(p));
	assert_null(sl_buf_large(p));
	memset(a->data, 'x', 100);
	sl_buf_grew(a, 100);
	a->from = a->to = 0;
	sl_buf_put(p, a);
	a = sl_buf_small(p);
	for (int i = 0; i < 100; i++)
		assert_int_equal(a->data[i], 0);
	sl_buf_put(p, a);
	sl_buf_put(p, c);
	sl_buf_put(p, l);
	assert_int_equal(sl_buf_in_use(p), 0);
	sl_buf_pool_free(p);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* Sizes, the bound, and kept blocks that make room for others. */
static void test_mem(void **state)
{
	enum {
		MAX = 64 * 1024
	};
	struct sl_mem *m = sl_mem_new(MAX);
	uint8_t *p, *q;

	(void)state;
	for (size_t n = 1; n <= SL_MEM_BLOCK_MAX; n += n / 7 + 1) {
		size_t size = sl_mem_size(n);

		assert_true(size >= n && (size <= n + n / 4 + 1 || size == 128));
		assert_int_equal(sl_mem_size(size), size);
	}
	assert_int_equal(sl_mem_size(SL_MEM_BLOCK_MAX + 1), 0);
	assert_null(sl_mem_take(m, SL_MEM_BLOCK_MAX + 1));
	p = sl_mem_take(m, 40000);
	assert_non_null(p);
	memset(p, 7, 40000);
	assert_null(sl_mem_take(m, 40000));
	sl_mem_give(m, p, 40000);
	assert_int_equal(sl_mem_used(m), 0);
	assert_int_equal(sl_mem_made(m), sl_mem_size(40000));
	q = sl_mem_take(m, 40000); /* the same one, cleared but for the list's link */
	assert_ptr_equal(q, p);
	for (size_t i = sizeof(void *); i < 40000; i++)
		assert_int_equal(q[i], 0);
	sl_mem_give(m, q, 40000);
	p = sl_mem_take(m, MAX); /* the kept one makes room */
	assert_non_null(p);
	assert_int_equal(sl_mem_made(m), MAX);
	sl_mem_give(m, p, MAX);
	sl_mem_give(m, NULL, 5);
	sl_mem_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_mem),
	        T(test_passes_and_denies),
	        T(test_byte_by_byte),
	        T(test_barrier),
	        T(test_barriers_merge_to_the_stricter),
	        T(test_hold),
	        T(test_client_gone_during_hold),
	        T(test_client_reset_during_hold),
	        T(test_again),
	        T(test_slow_client),
	        T(test_slow_target),
	        T(test_goodbye),
	        T(test_target_dies),
	        T(test_bye_drops_what_is_not_durable),
	        T(test_malformed),
	        T(test_upgrade),
	        T(test_upgrade_with_bytes_behind),
	        cmocka_unit_test(test_pool_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
