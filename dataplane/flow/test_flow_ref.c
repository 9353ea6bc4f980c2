/*
 * That bytes which nobody changes go by reference, that what is sent does not depend on it, that what is
 * pinned has its bounds, and that all references are given back (teardown looks at the pool).
 */
#include "test_flow_util.h"

static uint64_t seed = 20261121;

static uint32_t random_below(uint32_t n)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(seed >> 33) % n;
}

static void assert_same(const struct wire *out, const struct wire *in)
{
	assert_int_equal(out->out_n, in->in_n);
	assert_memory_equal(out->out, in->in, in->in_n);
}

/* The reply's mbufs are those that the client's stream holds, and nobody else does any more. */
static void test_shares_the_mbufs(void **state)
{
	enum {
		NB = 10
	};
	struct bench *b = *state;
	struct sl_tcp_piece v[NB];
	int end;

	say_bulk(&b->target, NB * WIRE_PIECE);
	assert_int_equal(wire_ref_ops.peek(&b->target, v, NB, &end), NB);
	assert_int_equal(sl_flow_run(&b->flow), SL_OK);
	assert_same(&b->client, &b->target);
	assert_int_equal(b->client.ref_bytes, NB * WIRE_PIECE);
	assert_int_equal(b->client.nb_held, NB); /* though each was passed in two parts */
	for (int i = 0; i < NB; i++) {
		assert_ptr_equal(b->client.held[i], v[i].m);
		assert_int_equal(rte_mbuf_refcnt_read(v[i].m), 1);
	}
	wire_ack(&b->client);
	assert_int_equal(rte_mempool_in_use_count(test_mbufs), 0);
}

/* While the client does not read, the queue has its own references: the target's stream has given up its. */
static void test_queue_holds_them(void **state)
{
	struct bench *b = *state;
	struct sl_tcp_piece v[2];
	int end;

	b->client.out_room = 100;
	say_bulk(&b->target, 2 * WIRE_PIECE);
	assert_int_equal(wire_ref_ops.peek(&b->target, v, 2, &end), 2);
	assert_int_equal(sl_flow_run(&b->flow), SL_OK);
	assert_int_equal(b->target.nb_rx, 0);
	assert_int_equal(rte_mbuf_refcnt_read(v[0].m), 1);
	assert_int_equal(sl_buf_pinned(b->pool), 2 * v[0].m->buf_len);
	assert_int_equal(sl_buf_in_use(b->pool), 0);
	b->client.out_room = 1000;
	assert_int_equal(sl_flow_run(&b->flow), SL_OK);
	assert_int_equal(rte_mbuf_refcnt_read(v[0].m), 2); /* taken in two parts */
	b->client.out_room = SIZE_MAX / 2;
	assert_int_equal(sl_flow_run(&b->flow), SL_OK);
	assert_same(&b->client, &b->target);
	assert_int_equal(sl_buf_pinned(b->pool), 0);
}

static void test_short_is_copied(void **state)
{
	struct bench *b = *state;

	say_bulk(&b->target, SL_QUEUE_REF_MIN - 1);
	b->client.out_room = 0;
	assert_int_equal(sl_flow_run(&b->flow), SL_OK);
	assert_int_equal(sl_buf_pinned(b->pool), 0);
	assert_int_equal(sl_buf_in_use(b->pool), 1);
	assert_int_equal(rte_mempool_in_use_count(test_mbufs), 0);
	b->client.out_room = SIZE_MAX / 2;
	assert_int_equal(sl_flow_run(&b->flow), SL_OK);
	assert_same(&b->client, &b->target);
}

/* Changed bytes are written, what lies between them is referenced, and the order is kept. */
static void test_changed_bytes(void **state)
{
	struct bench *b = *state;

	say_bulk(&b->target, 20 * WIRE_PIECE);
	for (size_t i = 100; i < b->target.in_n; i += 700)
		b->target.in[i] = '#';
	assert_int_equal(sl_flow_run(&b->flow), SL_OK);
	assert_int_equal(b->client.out_n, b->target.in_n);
	for (size_t i = 0; i < b->target.in_n; i++)
		assert_int_equal(b->client.out[i], b->target.in[i] == '#' ? '*' : b->target.in[i]);
	assert_true(b->client.ref_bytes > b->target.in_n / 2);
}

/* Alternating short and long parts share the buffers that they are copied to. */
static void test_copies_between_references(void **state)
{
	struct bench *b = *state;

	b->client.out_room = 0;
	say_bulk(&b->target, 100 * WIRE_PIECE);
	for (size_t i = 100; i < b->target.in_n; i += 400)
		b->target.in[i] = '#';
	while (b->target.in_at < b->target.in_n)
		assert_true(sl_flow_run(&b->flow) >= 0);
	assert_true(sl_buf_in_use(b->pool) < 8);
	b->client.out_room = SIZE_MAX / 2;
	assert_int_equal(sl_flow_run(&b->flow), SL_OK);
	assert_int_equal(b->client.out_n, b->target.in_n);
}

/* Mbufs that are mostly empty: what a queue pins by true size is bounded, the rest is copied. */
static void test_pinned_is_bounded(void **state)
{
	struct bench *b = *state;

	b->target.cut = 300;
	b->client.out_room = 0;
	say_bulk(&b->target, WIRE_MAX / 4);
	for (int i = 0; i < 200; i++)
		sl_flow_run(&b->flow);
	assert_true(sl_buf_pinned(b->pool) <= SL_QUEUE_PINNED_MAX);
	assert_true(sl_buf_pinned(b->pool) > SL_QUEUE_PINNED_MAX - 8192);
	assert_true(sl_buf_in_use(b->pool) > 0);
	assert_true(b->target.in_at >= SL_FLOW_QUEUE_SOFT && b->target.in_at < SL_FLOW_QUEUE_SOFT + 1000);
	b->client.out_room = SIZE_MAX / 2;
	while (b->client.out_n < b->target.in_n)
		assert_true(sl_flow_run(&b->flow) >= 0);
	assert_same(&b->client, &b->target);
}

static int count_shown(void *ctx, struct sl_span b)
{
	*(size_t *)ctx += b.n;
	return SL_OK;
}

/* The bound of all queues together; and what was shown is not shown again when more comes behind it. */
static void test_bound_of_all(void **state)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(test_mbufs);
	struct sl_buf_pool *p = sl_buf_pool_new(100000, 4, 1, 2 * (size_t)m->buf_len);
	struct sl_queue q = {0}, r = {0};
	struct sl_span b = sl_span(rte_pktmbuf_append(m, 1000), 1000);
	size_t shown = 0;

	(void)state;
	assert_true(sl_queue_ref(&q, p, m, b));
	assert_true(sl_queue_ref(&r, p, m, sl_span_sub(b, 0, 500)));
	assert_false(sl_queue_ref(&r, p, m, sl_span_sub(b, 500, 500)));
	assert_int_equal(rte_mbuf_refcnt_read(m), 3);
	assert_int_equal(sl_queue_show(&q, count_shown, &shown), SL_OK);
	assert_int_equal(shown, 1000);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(sl_queue_copy(&q, p, SL_SPAN_LIT("abc")), SL_OK);
		assert_int_equal(sl_queue_shown(&q), 1000 + 3 * i);
		assert_int_equal(sl_queue_show(&q, count_shown, &shown), SL_OK);
		assert_int_equal(shown, 1003 + 3 * i);
	}
	sl_queue_drop(&q, p);
	sl_queue_drop(&r, p);
	assert_int_equal(sl_buf_pinned(p), 0);
	assert_int_equal(sl_buf_in_use(p), 0);
	assert_int_equal(rte_mbuf_refcnt_read(m), 1);
	rte_pktmbuf_free(m);
	sl_buf_pool_free(p);
}

/* A message that is read whole and lies in many mbufs; what comes behind it goes by reference again. */
static void test_whole_messages(void **state)
{
	static const size_t cuts[] = {WIRE_PIECE, 300, 1000, 77};
	struct bench *b = *state;

	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		b->client.cut = cuts[i];
		for (uint16_t n = 10; n < 60000; n = (uint16_t)(n * 3)) {
			say_whole(&b->client, n);
			say_long(&b->client, 20000);
			say(&b->client, "short");
			while (b->client.in_at < b->client.in_n)
				assert_true(sl_flow_run(&b->flow) >= 0);
			assert_int_equal(sl_buf_in_use(b->pool), 0);
			wire_ack(&b->target);
		}
	}
	assert_same(&b->target, &b->client);
	assert_true(b->target.ref_bytes > b->target.out_n / 3);
}

/* However much of it lies in the first mbuf: what is shown then grows to just what a small buffer holds, or
 * past it. */
static void test_whole_message_of_any_cut(void **state)
{
	void *one;

	for (uint16_t before = 4; before < WIRE_PIECE - 4; before += 4) {
		struct bench *b;

		assert_int_equal(setup(&one), 0);
		b = one;
		say_long(&b->client, before);
		say_whole(&b->client, 60000);
		say(&b->client, "next");
		while (b->client.in_at < b->client.in_n)
			assert_true(sl_flow_run(&b->flow) >= 0);
		assert_same(&b->target, &b->client);
		bench_close(b);
	}
}

/* The same, in bytes that come one mbuf at a time. */
static void test_whole_message_slowly(void **state)
{
	struct bench *b = *state;
	size_t n;

	say_whole(&b->client, 60000);
	say(&b->client, "next");
	n = b->client.in_n;
	for (b->client.in_n = 0; b->client.in_n < n;) {
		b->client.in_n += n - b->client.in_n < 999 ? n - b->client.in_n : 999;
		assert_int_equal(sl_flow_run(&b->flow), SL_OK);
		assert_int_equal(b->client.in_at, b->client.in_n); /* the window stays open */
		if (b->client.in_n < 60000)
			assert_int_equal(b->target.out_n, 0);
	}
	assert_same(&b->target, &b->client);
	assert_int_equal(b->nb_events, 2);
}

/* Half of a long message has a large buffer, until it is whole or nobody wants it any more. */
static void test_half_message(void **state)
{
	struct bench *b = *state;
	size_t n, whole = 0;

	say_whole(&b->client, 60000);
	n = b->client.in_n;
	for (int half = 1; half >= 0; half--) {
		b->client.in_n = n - 10;
		assert_false(sl_flow_has_large(&b->flow, SL_CLIENT));
		assert_int_equal(sl_flow_run(&b->flow), SL_OK);
		assert_true(sl_flow_has_large(&b->flow, SL_CLIENT));
		assert_int_equal(b->flow.leg[SL_CLIENT].nb_used, half ? 0 : whole);
		b->client.in_n = n;
		if (half == 0)
			break;
		assert_int_equal(sl_flow_run(&b->flow), SL_OK);
		assert_false(sl_flow_has_large(&b->flow, SL_CLIENT));
		whole = n;
		say_whole(&b->client, 60000);
		n = b->client.in_n;
	}
	sl_flow_bye(&b->flow, NULL);
	assert_false(sl_flow_has_large(&b->flow, SL_CLIENT));
	assert_null(b->flow.leg[SL_CLIENT].in);
}

static void test_message_too_large(void **state)
{
	struct bench *b = *state;
	struct sl_buf_pool *small = sl_buf_pool_new(20000, 16, 2, 0), *pool = b->pool;

	b->flow.pool = small;
	say_whole(&b->client, 60000);
	assert_int_equal(sl_flow_run(&b->flow), SL_E_FLOW_MESSAGE_SIZE);
	sl_flow_bye(&b->flow, NULL);
	assert_int_equal(sl_buf_in_use(small), 0);
	sl_buf_pool_free(small);
	b->flow.pool = pool;
	assert_int_equal(b->target.out_n, 0);
}

/* A hold that lies in more than one mbuf, with much behind it: the end of the client is seen, and after the
 * decision all goes on. */
static void test_hold_across_mbufs(void **state)
{
	struct sl_verdict allow = {.action = SL_ACT_ALLOW};
	struct bench *b = *state;

	b->client.cut = 3;
	say(&b->client, "hold");
	say_long(&b->client, 9000);
	for (int i = 0; i < 200; i++)
		sl_flow_run(&b->flow);
	assert_int_equal(b->target.out_n, 0);
	assert_int_equal(b->client.in_at, b->client.in_n);
	assert_int_equal(sl_flow_resume(&b->flow, &allow), 0);
	b->client.cut = WIRE_PIECE;
	say_long(&b->client, 9000);
	while (b->target.out_n < b->client.in_n)
		assert_true(sl_flow_run(&b->flow) >= 0);
	assert_same(&b->target, &b->client);
	assert_int_equal(b->nb_events, 3);
}

/* Bytes behind a request for TLS, in an mbuf of their own. */
static void test_piggyback_in_the_next_mbuf(void **state)
{
	struct bench *b = *state;

	b->client.cut = 2;
	say(&b->client, "u");
	say(&b->client, "injected");
	assert_int_equal(sl_flow_run(&b->flow), SL_E_TLS_PIGGYBACK);
	assert_int_equal(b->upgrades, 0);
	assert_int_equal(b->nb_events, 1);
}

/* A layer on one leg: what goes into it it reads where it lies, what comes out of it is copied. */
static void test_layer_on_one_leg(void **state)
{
	struct bench *b = *state;

	say(&b->client, "u");
	assert_int_equal(sl_flow_run(&b->flow), SL_OK);
	assert_int_equal(b->upgrades, 1);
	b->inside.out_room = 1;
	say_bulk(&b->target, 5000);
	assert_int_equal(sl_flow_run(&b->flow), SL_OK);
	assert_true(sl_buf_pinned(b->pool) > 0);
	b->inside.out_room = SIZE_MAX / 2;
	say_long(&b->inside, 5000);
	while (b->target.out_n < 2 + b->inside.in_n || b->inside.out_n < 6 + 5000)
		assert_true(sl_flow_run(&b->flow) >= 0);
	assert_memory_equal(b->inside.out + 6, b->target.in, 5000);
	assert_memory_equal(b->target.out + 2, b->inside.in, b->inside.in_n);
	assert_int_equal(b->target.ref_bytes, 0);
}

/* A session that is ended with full queues: nothing more goes to the target, the client gets what it may. */
static void test_killed(void **state)
{
	struct sl_reason why = {.code = SL_RSN_SHUTDOWN, .message = SL_SPAN_LIT("bye")};
	struct bench *b = *state;

	b->durable = 0;
	b->client.out_room = 5;
	say_long(&b->client, 9000);
	say_bulk(&b->target, 9000);
	assert_int_equal(sl_flow_run(&b->flow), SL_AGAIN);
	assert_true(sl_buf_pinned(b->pool) > 9000);
	sl_flow_bye(&b->flow, &why);
	assert_true(sl_buf_pinned(b->pool) < 9000 + 8000);
	say_bulk(&b->client, 3000);
	b->durable = 100;
	assert_int_equal(sl_flow_drain(&b->flow), SL_MORE);
	b->client.out_room = SIZE_MAX / 2;
	assert_int_equal(sl_flow_drain(&b->flow), SL_OK);
	assert_int_equal(b->client.out_n, 9003);
	assert_memory_equal(b->client.out, b->target.in, 9000);
	assert_int_equal(b->target.out_n, 0);
	/* What was not read does not make a reset of the close. */
	assert_int_equal(b->client.in_at, b->client.in_n);
}

/* Half of the mbufs are still queued when the flow is closed: teardown finds them given back. */
static void test_closed_in_the_middle(void **state)
{
	struct bench *b = *state;

	b->durable = 0;
	b->client.out_room = 2000;
	say_whole(&b->client, 30000);
	b->client.in_n -= 10;
	say_bulk(&b->target, 100000);
	assert_int_equal(sl_flow_run(&b->flow), SL_OK);
	assert_true(sl_buf_pinned(b->pool) > 0 && sl_buf_in_use(b->pool) > 0);
}

static void say_script(struct bench *b)
{
	for (int i = 0; i < 40; i++) {
		char body[8] = {0};

		switch (random_below(4)) {
		case 0:
			say_whole(&b->client, (uint16_t)random_below(5000));
			break;
		case 1:
			say_long(&b->client, (uint16_t)random_below(5000));
			break;
		default:
			snprintf(body, sizeof(body), "%c%u", random_below(3) == 0 ? 'd' : 'a',
			         random_below(9999));
			say(&b->client, body);
		}
		say_bulk(&b->target, random_below(4000));
		for (uint32_t n = random_below(4); n > 0; n--)
			b->target.in[random_below((uint32_t)b->target.in_n)] = '#';
	}
}

/* One run of a script, in cuts and against readers that are random; what the two sides get is in the bench.
 */
static void run_script(struct bench *b, uint64_t script, uint64_t how)
{
	size_t client_n, target_n;

	seed = script;
	b->target.in[b->target.in_n++] = 'r';
	say_script(b);
	seed = how;
	client_n = b->client.in_n;
	target_n = b->target.in_n;
	b->client.in_n = b->target.in_n = 0;
	for (int i = 0; i < 100000 && (b->client.in_at < client_n || b->target.in_at < target_n ||
	                               sl_buf_in_use(b->pool) > 0 || sl_buf_pinned(b->pool) > 0);
	     i++) {
		uint32_t n = random_below(6000), m = random_below(6000);

		b->client.in_n += client_n - b->client.in_n < n ? client_n - b->client.in_n : n;
		b->target.in_n += target_n - b->target.in_n < m ? target_n - b->target.in_n : m;
		b->client.cut = 1 + random_below(random_below(2) ? 40 : 2000);
		b->target.cut = 1 + random_below(random_below(2) ? 40 : 2000);
		b->client.out_room = random_below(6000);
		b->target.out_room = random_below(6000);
		b->durable = random_below(4) == 0 ? b->recorded : b->durable;
		assert_true(sl_flow_run(&b->flow) >= 0);
		if (random_below(3) == 0)
			wire_ack(&b->client);
		if (random_below(3) == 0)
			wire_ack(&b->target);
	}
	assert_int_equal(b->client.in_at, client_n);
	assert_int_equal(b->target.in_at, target_n);
}

/* Bytes and events are the same, by copy and by reference, however they are cut and whoever reads slowly.
 * (Denials and replies meet in the client's queue in an order that depends on time: only their number is
 * compared.) */
static void test_same_as_by_copy(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= 60; i++) {
		void *copy, *ref;
		struct bench *b, *c;

		print_message("script %lu\n", (unsigned long)i);
		test_by_ref = false;
		setup(&copy);
		b = copy;
		b->durable = 0;
		run_script(b, i, 1000 + i);
		test_by_ref = true;
		setup(&ref);
		c = ref;
		c->durable = 0;
		run_script(c, i, 2000 + i);
		assert_int_equal(b->nb_events, c->nb_events);
		assert_int_equal(b->target.out_n, c->target.out_n);
		assert_memory_equal(b->target.out, c->target.out, b->target.out_n);
		assert_int_equal(b->client.out_n, c->client.out_n);
		assert_int_equal(b->tapped_n, c->tapped_n);
		assert_true(c->target.ref_bytes > 0 && c->client.ref_bytes > 0);
		teardown(&ref);
		teardown(&copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(test_shares_the_mbufs),
	        T(test_queue_holds_them),
	        T(test_short_is_copied),
	        T(test_changed_bytes),
	        T(test_copies_between_references),
	        T(test_pinned_is_bounded),
	        cmocka_unit_test(test_bound_of_all),
	        T(test_whole_messages),
	        T(test_whole_message_of_any_cut),
	        T(test_whole_message_slowly),
	        T(test_half_message),
	        T(test_message_too_large),
	        T(test_hold_across_mbufs),
	        T(test_piggyback_in_the_next_mbuf),
	        T(test_layer_on_one_leg),
	        T(test_killed),
	        T(test_closed_in_the_middle),
	        cmocka_unit_test(test_same_as_by_copy),
	};

	if (test_eal() < 0)
		return 1;
	test_by_ref = true;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
