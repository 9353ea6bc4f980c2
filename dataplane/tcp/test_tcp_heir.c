/* A stack whose worker has died: another one tells its peers. */
#include <stdlib.h>

#include "test_tcp_util.h"

#define CONNS 40 /* in more than one slab */

static struct sim s;
static struct host heir;
static struct end ours[CONNS], theirs[CONNS];
static struct sl_tcp_listener *listener;

static void run(uint64_t us)
{
	uint64_t end = s.now + us;

	while (s.now < end)
		sim_step(&s, end - s.now);
}

/* CONNS connections from a to b. */
static void open_all(void)
{
	const struct wire_cfg wire = {.delay_us = 1000};
	struct sl_endpoint to;

	memset(ours, 0, sizeof(ours));
	memset(theirs, 0, sizeof(theirs));
	sim_init(&s, &wire, NULL, test.seed);
	host_init(&heir, &s.wire, "10.0.0.1", NULL);
	to = (struct sl_endpoint){s.b.addr, 5432};
	assert_int_equal(sl_tcp_listen(s.b.t, &to, 0, &s.b, &listener), 0);
	for (int i = 0; i < CONNS; i++) {
		s.b.accept_end = &theirs[i];
		assert_int_equal(sl_tcp_connect(s.a.t, &to, &ours[i], s.now, &ours[i].c), 0);
		run(10000);
		assert_non_null(theirs[i].c);
		assert_int_equal(sl_tcp_write(ours[i].c, sl_span("hello", 5)), 5);
		run(10000);
	}
}

static void close_all(void)
{
	for (int i = 0; i < CONNS; i++) {
		if (theirs[i].c != NULL)
			sl_tcp_abort(theirs[i].c, s.now);
		sl_tcp_abort(ours[i].c, s.now);
	}
	wire_clear(&s.wire);
	sl_tcp_unlisten(s.b.t, listener);
	host_check_empty(&heir);
	sl_tcp_free(heir.t);
	sim_fini(&s);
}

/* From now on what is sent to a's address comes to the heir. */
static void die(void)
{
	s.wire.a = &heir;
}

static void run_heir(uint64_t us)
{
	uint64_t end = s.now + us;

	while (s.now < end) {
		s.now += 100;
		wire_deliver(&s.wire, s.now);
		sl_tcp_flush(heir.t, s.now);
		sl_tcp_tick(heir.t, s.now);
		sl_tcp_flush(s.b.t, s.now);
		sl_tcp_tick(s.b.t, s.now);
	}
}

static uint32_t reset_all(uint32_t budget)
{
	uint32_t from = 0, sent = 0;

	for (int i = 0; i < 1000 && from != UINT32_MAX; i++)
		sent += sl_tcp_reset_dead(heir.t, s.a.t, &from, budget, s.now);
	assert_int_equal(from, UINT32_MAX);
	return sent;
}

static unsigned nb_reset(void)
{
	unsigned n = 0;

	for (int i = 0; i < CONNS; i++) {
		assert_true(theirs[i].err == 0 || theirs[i].err == SL_E_TCP_RESET);
		n += theirs[i].err == SL_E_TCP_RESET;
	}
	return n;
}

static void test_all_are_told(void **state)
{
	(void)state;
	open_all();
	die();
	assert_int_equal(reset_all(7), CONNS);
	run_heir(20000);
	assert_int_equal(nb_reset(), CONNS);
	close_all();
}

/* What we sent is lost on the way: the peer asks, and the heir's answer is what it believes. */
static void test_in_flight(void **state)
{
	(void)state;
	open_all();
	for (int i = 0; i < CONNS; i += 2)
		assert_int_equal(sl_tcp_write(ours[i].c, sl_span("lost", 4)), 4);
	sl_tcp_flush(s.a.t, s.now);
	wire_clear(&s.wire);
	die();
	assert_int_equal(reset_all(1000), CONNS);
	run_heir(1500);
	assert_int_equal(nb_reset(), CONNS / 2);
	run_heir(1000000);
	assert_int_equal(nb_reset(), CONNS);
	close_all();
}

static struct sl_tcp_conn *victim(int i)
{
	return ours[i].c;
}

/* Whatever is written over it, the heir lives, and tells those that can still be made out. */
static void test_damaged(void **state)
{
	struct tcp_slab **slabs, *slab;
	struct sl_tcp_conn saved[6];
	uint32_t nb;

	(void)state;
	open_all();
	die();
	for (int i = 0; i < 6; i++)
		saved[i] = *victim(i);
	victim(0)->t = (struct sl_tcp *)(uintptr_t)16;
	victim(1)->index ^= 1;
	victim(2)->state = TCP_TIME_WAIT + 3; /* none there is */
	victim(3)->tuple.family = 9;
	victim(4)->tuple.rport = 0;
	victim(5)->in_use = false;
	assert_int_equal(reset_all(16), CONNS - 6);
	slabs = s.a.t->conn_slabs;
	slab = slabs[1];
	slabs[1] = (struct tcp_slab *)(uintptr_t)64;
	assert_int_equal(reset_all(16), TCP_CONN_SLAB - 6);
	s.a.t->conn_slabs = (struct tcp_slab **)(uintptr_t)8;
	assert_int_equal(reset_all(16), 0);
	s.a.t->conn_slabs = slabs;
	nb = s.a.t->nb_conn_slabs;
	s.a.t->nb_conn_slabs = UINT32_MAX;
	assert_int_equal(reset_all(16), TCP_CONN_SLAB - 6);
	slabs[1] = slab;
	for (int i = 0; i < 6; i++)
		*victim(i) = saved[i];
	assert_int_equal(reset_all(16), CONNS); /* beyond the last slab's bound nothing is looked at */
	s.a.t->nb_conn_slabs = nb;
	run_heir(20000);
	assert_int_equal(nb_reset(), CONNS);
	close_all();
}

/* Random bytes in the place of connections. */
static void test_noise(void **state)
{
	uint64_t seed = test.seed;
	uint8_t *saved = malloc(TCP_CONN_SLAB * tcp_conn_bytes(s.a.t));
	uint8_t *slab;
	size_t n;

	(void)state;
	assert_non_null(saved);
	open_all();
	die();
	n = TCP_CONN_SLAB * tcp_conn_bytes(s.a.t);
	slab = (uint8_t *)s.a.t->conn_slabs[0];
	memcpy(saved, slab, n);
	for (int k = 0; k < 200; k++) {
		for (size_t i = 0; i < n; i++)
			slab[i] = test_rand(&seed) % 64 == 0 ? (uint8_t)test_rand(&seed) : saved[i];
		/* The wire of the test is of one family; the net below refuses what is not. */
		for (uint32_t i = 0; i < TCP_CONN_SLAB; i++)
			tcp_conn_at(s.a.t, i)->tuple.family = test.family;
		(void)reset_all(1000);
		wire_clear(&s.wire);
	}
	memcpy(slab, saved, n);
	free(saved);
	close_all();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_all_are_told),
	        cmocka_unit_test(test_in_flight),
	        cmocka_unit_test(test_damaged),
	        cmocka_unit_test(test_noise),
	};

	if (test_setup(argc, argv) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
