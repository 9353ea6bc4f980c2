/* The flow alone, with streams that are read by copy and with streams that show their mbufs. */
#include "test_flow_util.h"

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

	say_bulk(&b->target, total);
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

/* Clients that do not read hold most buffers of the worker's pool: nobody ends for it, others go on, and
 * nothing is lost when they read again. */
static void test_slow_clients_share_a_pool(void **state)
{
	enum {
		OTHERS = 8,
		TOTAL = 1024 * 1024
	};
	struct bench *b = *state, *others[OTHERS];
	struct sl_buf_pool *own[OTHERS];
	void *one;

	for (int i = 0; i < OTHERS; i++) {
		assert_int_equal(setup(&one), 0);
		others[i] = one;
		own[i] = others[i]->flow.pool;
		others[i]->flow.pool = b->pool;
		say_bulk(&others[i]->target, TOTAL);
		others[i]->client.out_room = 1000;
	}
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < OTHERS; i++)
			assert_true(sl_flow_run(&others[i]->flow) >= 0);
	}
	say_bulk(&b->target, TOTAL);
	for (int round = 0; round < 1000 && b->client.out_n < TOTAL; round++)
		assert_true(sl_flow_run(&b->flow) >= 0);
	assert_int_equal(b->client.out_n, TOTAL);
	assert_memory_equal(b->client.out, b->target.in, TOTAL);
	for (int i = 0; i < OTHERS; i++) {
		others[i]->client.out_room = SIZE_MAX / 2;
		while (others[i]->client.out_n < TOTAL)
			assert_true(sl_flow_run(&others[i]->flow) >= 0);
		assert_memory_equal(others[i]->client.out, others[i]->target.in, TOTAL);
	}
	for (int i = 0; i < OTHERS; i++) {
		assert_int_equal(sl_flow_run(&others[i]->flow), SL_OK);
		sl_flow_close(&others[i]->flow);
		others[i]->flow.pool = own[i];
		others[i]->flow.dec = NULL;
		bench_close(others[i]);
	}
}

/* Sessions that are stuck both ways (a client that pipelines and does not read: so its target does not read
 * either) leave buffers for one that is not. */
static void test_stuck_both_ways(void **state)
{
	enum {
		SESSIONS = 32,
		STUCK = 31,
	};
	struct bench *b = *state, *others[STUCK];
	struct sl_buf_pool *pool = sl_buf_pool_new(65536 + SL_BUF_SMALL, sl_buf_wanted(SESSIONS, 65536),
	                                           SESSIONS / 16 + 16, 0),
	                   *own[STUCK], *mine = b->flow.pool;
	void *one;

	for (int i = 0; i < STUCK; i++) {
		assert_int_equal(setup(&one), 0);
		others[i] = one;
		own[i] = others[i]->flow.pool;
		others[i]->flow.pool = pool;
		others[i]->client.out_room = others[i]->target.out_room = 1000;
		say_bulk(&others[i]->target, 1024 * 1024);
		for (int k = 0; k < 16; k++)
			say_long(&others[i]->client, 60000);
	}
	for (int i = 0; i < STUCK; i++) { /* one after the other: who comes first takes 256 KB each way */
		for (int round = 0; round < 50; round++)
			assert_true(sl_flow_run(&others[i]->flow) >= 0);
	}
	print_message("  %d of %d are stuck, %u buffers of %u are left\n", STUCK, SESSIONS, sl_buf_left(pool),
	              sl_buf_wanted(SESSIONS, 65536));
	b->flow.pool = pool;
	say(&b->client, "query");
	for (int round = 0; round < 1000; round++)
		assert_true(sl_flow_run(&b->flow) >= 0);
	print_message("  the one that reads has sent %zu bytes\n", b->target.out_n);
	assert_int_equal(b->target.out_n, 6);
	sl_flow_close(&b->flow);
	b->flow.pool = mine;
	b->flow.dec = NULL;
	for (int i = 0; i < STUCK; i++) {
		sl_flow_close(&others[i]->flow);
		others[i]->flow.pool = own[i];
		others[i]->flow.dec = NULL;
		bench_close(others[i]);
	}
	sl_buf_pool_free(pool);
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

/* A goodbye that is not durable yet: what waits for the target never goes. */
static void test_goodbye_that_is_overtaken(void **state)
{
	struct bench *b = *state;

	b->durable = 0;
	say(&b->client, "one");
	say(&b->client, "x");
	assert_int_equal(sl_flow_run(&b->flow), SL_AGAIN);
	sl_flow_bye(&b->flow, NULL);
	b->durable = 100;
	assert_int_equal(sl_flow_drain(&b->flow), SL_OK);
	assert_out(&b->target, "");
}

/* Nor behind one, when the session is ended for a reason. */
static void test_goodbye_and_a_reason(void **state)
{
	struct sl_reason why = {.code = SL_RSN_SHUTDOWN, .message = SL_SPAN_LIT("killed")};
	struct bench *b = *state;

	b->target.out_room = 3;
	say(&b->client, "one");
	say(&b->client, "x");
	assert_int_equal(sl_flow_run(&b->flow), SL_CLOSED);
	sl_flow_bye(&b->flow, &why);
	b->target.out_room = SIZE_MAX / 2;
	assert_int_equal(sl_flow_drain(&b->flow), SL_OK);
	assert_out(&b->target, "\3on");
}

/* A client that is slow is waited for by its stream: nothing asks again before that. */
static void test_waits_for_room(void **state)
{
	struct bench *b = *state;

	b->client.out_room = 0;
	say_bulk(&b->target, 1024 * 1024);
	while (sl_flow_run(&b->flow) == SL_AGAIN)
		;
	say(&b->client, "one");
	assert_int_equal(sl_flow_run(&b->flow), SL_OK);
	assert_out(&b->target, "");
	b->client.out_room = SIZE_MAX / 2;
	while (sl_flow_run(&b->flow) == SL_AGAIN)
		;
	assert_out(&b->target, "\3one");
}

/* What waits for the other side to speak is not asked for again before that: nothing of the host's is
 * short. */
static void test_waits_for_replies(void **state)
{
	struct bench *b = *state;

	say(&b->client, "one");
	say(&b->client, "rtwo");
	assert_int_equal(sl_flow_run(&b->flow), SL_OK);
	assert_out(&b->target, "\3one");
	b->client.end = SL_CLOSED;
	assert_int_equal(sl_flow_run(&b->flow), SL_OK);
	say_raw(&b->target, "reply");
	b->again = 1;
	assert_int_equal(sl_flow_run(&b->flow), SL_AGAIN);
	assert_int_equal(sl_flow_run(&b->flow), SL_CLOSED);
	assert_out(&b->target, "\3one\4rtwo");
	assert_out(&b->client, "reply");
}

/* What the client has sent meanwhile is read by nobody, and stays nowhere. */
static void test_bye_to_a_client_that_has_sent_more(void **state)
{
	const struct sl_reason why = {.code = SL_RSN_SHUTDOWN, .message = SL_SPAN_LIT("bye")};
	struct bench *b = *state;

	say(&b->client, "rest");
	sl_flow_bye(&b->flow, &why);
	assert_int_equal(sl_flow_drain(&b->flow), SL_OK);
	assert_int_equal(b->client.in_at, b->client.in_n);
	assert_out(&b->client, "bye");
	assert_out(&b->target, "");
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

/* What was passed before an error is recorded before it is sent, like anything else. */
static void test_error_behind_a_reply(void **state)
{
	struct bench *b = *state;

	say_raw(&b->target, "reply!rest");
	assert_int_equal(sl_flow_run(&b->flow), SL_E_PROTO_TARGET);
	assert_true(b->client.out_n <= b->tapped_n);
	sl_flow_bye(&b->flow, NULL);
	assert_int_equal(sl_flow_drain(&b->flow), SL_OK);
	assert_out(&b->client, "reply");
	assert_int_equal(b->tapped_n, 5);
}

/* Of several replies in one feed the host can tell which bytes are whose. */
static void test_show_in_a_feed(void **state)
{
	struct bench *b = *state;

	b->show_at_events = true;
	say(&b->client, "d1");
	say(&b->client, "one");
	say(&b->client, "d2");
	say(&b->client, "d3");
	assert_int_equal(sl_flow_run(&b->flow), SL_OK);
	assert_int_equal(b->nb_events, 4);
	for (size_t i = 0; i < 4; i++) {
		static const size_t want[] = {0, 2, 2, 4}; /* "no" for each that was denied */

		assert_int_equal(b->shown[i], want[i]);
	}
	assert_int_equal(b->tapped_n, 6);
	assert_out(&b->client, "nonono");
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

static void test_upgrade_direct(void **state)
{
	struct bench *b = *state;

	say_raw(&b->client, "\2Uxhello");
	assert_int_equal(sl_flow_run(&b->flow), SL_OK);
	assert_int_equal(b->upgrades, 1);
	/* The layer finds them all: what the leg had taken, and the rest where it lies. */
	assert_int_equal(b->early_n + b->client.in_n - b->client.in_at, 8);
	assert_int_equal(b->flow.leg[SL_CLIENT].nb_in, b->early_n);
	assert_null(b->flow.leg[SL_CLIENT].in);
	say(&b->inside, "ainside");
	assert_int_equal(sl_flow_run(&b->flow), SL_OK);
	assert_out(&b->target, "\7ainside");
}

/* The end of a flow whose upgrade failed: the last word goes in clear, and what was meant for inside does
 * not. */
static void ends_without_layer(struct bench *b, const char *to_target)
{
	const struct sl_reason why = {.message = SL_SPAN_LIT("bye")};

	assert_int_equal(b->upgrades, 0);
	b->tapped_n = 0; /* what the tap saw is dropped */
	sl_flow_bye(&b->flow, &why);
	assert_int_equal(sl_flow_drain(&b->flow), SL_OK);
	assert_out(&b->client, "bye");
	assert_out(&b->target, to_target);
}

static void test_upgrade_with_bytes_behind(void **state)
{
	struct bench *b = *state;

	say(&b->client, "u");
	say(&b->client, "injected");
	assert_int_equal(sl_flow_run(&b->flow), SL_E_TLS_PIGGYBACK);
	ends_without_layer(b, "\1u");
}

/* TLS that begins with the connection to the target: what came in clear before it is never read as the
 * target's. (Of a stream that shows no mbufs the layer finds it.) */
static void test_upgrade_of_the_target(void **state)
{
	const struct sl_login direct = {.tls_direct = true};
	struct bench *b = *state;

	say_raw(&b->target, "injected");
	assert_int_equal(sl_flow_login(&b->flow, &direct), SL_OK);
	if (test_by_ref) {
		assert_int_equal(sl_flow_run(&b->flow), SL_E_TLS_PIGGYBACK);
		ends_without_layer(b, "");
		return;
	}
	assert_int_equal(sl_flow_run(&b->flow), SL_OK);
	assert_int_equal(b->upgrades, 1);
	assert_out(&b->target, "");
	assert_out(&b->client, "");
	say_raw(&b->inside, "hello");
	assert_int_equal(sl_flow_run(&b->flow), SL_OK);
	assert_out(&b->inside, "login");
	assert_out(&b->client, "hello");
}

/* No session is to be had for the layer: what waits for it goes nowhere. */
static void test_upgrade_that_fails(void **state)
{
	const struct sl_login direct = {.tls_direct = true};
	struct bench *b = *state;

	b->no_layer = true;
	assert_int_equal(sl_flow_login(&b->flow, &direct), SL_OK);
	assert_int_equal(sl_flow_run(&b->flow), SL_E_NOMEM);
	ends_without_layer(b, "");
}

static void test_pool_is_bounded(void **state)
{
	struct sl_buf_pool *p = sl_buf_pool_new(100000, 2, 1, 0);
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

/* The longest message can be read with few sessions, too, while some others wait with what they had read. */
static void test_buffers_for_a_message(void **state)
{
	(void)state;
	for (size_t message = 64 * 1024; message <= 16 * 1024 * 1024; message *= 2) {
		for (uint32_t sessions = 1; sessions <= 4096; sessions *= 2) {
			struct sl_buf_pool *p = sl_buf_pool_new(message + SL_BUF_SMALL,
			                                        sl_buf_wanted(sessions, message), 16, 0);
			struct sl_buf *b[4];

			assert_non_null(p);
			for (int i = 0; i < 4; i++)
				b[i] = sl_buf_small(p);
			assert_true(sl_buf_for(p, message + SL_BUF_SMALL));
			for (int i = 0; i < 4; i++)
				sl_buf_put(p, b[i]);
			sl_buf_pool_free(p);
		}
	}
}

int main(void)
{
	int failed;

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
	        T(test_slow_clients_share_a_pool),
	        T(test_slow_target),
	        T(test_goodbye),
	        T(test_goodbye_that_is_overtaken),
	        T(test_goodbye_and_a_reason),
	        T(test_waits_for_room),
	        T(test_waits_for_replies),
	        T(test_bye_to_a_client_that_has_sent_more),
	        T(test_target_dies),
	        T(test_error_behind_a_reply),
	        T(test_show_in_a_feed),
	        T(test_bye_drops_what_is_not_durable),
	        T(test_malformed),
	        T(test_upgrade),
	        T(test_upgrade_direct),
	        T(test_upgrade_with_bytes_behind),
	        T(test_upgrade_of_the_target),
	        T(test_upgrade_that_fails),
	        cmocka_unit_test(test_pool_is_bounded),
	        cmocka_unit_test(test_buffers_for_a_message),
	};

	/* By reference the wires of so many would take all mbufs of the test. */
	const struct CMUnitTest many[] = {T(test_stuck_both_ways)};

	if (test_eal() < 0)
		return 1;
	failed = cmocka_run_group_tests_name("by copy", tests, NULL, NULL);
	failed += cmocka_run_group_tests_name("many, by copy", many, NULL, NULL);
	test_by_ref = true;
	return failed + cmocka_run_group_tests_name("by reference", tests, NULL, NULL);
}
