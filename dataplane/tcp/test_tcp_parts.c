/* The pieces alone: cube root, range sets, rings, the timer wheel, congestion window. */
#include <stdlib.h>

#include "test_tcp_util.h"

static void test_isn(void **state)
{
	struct peer p;
	struct tcp_tuple u = {.lport = 1, .rport = 2, .family = SL_AF_INET}, v = u;

	peer_init(&p, NULL);
	v.rport = 3;
	assert_int_equal(tcp_isn(p.h.t, &u, 4000) - tcp_isn(p.h.t, &u, 0), 1000);
	assert_int_not_equal(tcp_isn(p.h.t, &u, 0), tcp_isn(p.h.t, &v, 0));
	assert_int_not_equal(tcp_ts_offset(p.h.t, &u), tcp_ts_offset(p.h.t, &v));
	peer_fini(&p);
}

static void test_cbrt(void **state)
{
	uint64_t seed = 1;

	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(tcp_cbrt(i * i * i), i);
	for (int i = 0; i < 10000; i++) {
		uint64_t x = test_rand(&seed) >> (test_rand(&seed) % 60 + 2);
		uint64_t r = tcp_cbrt(x);

		assert_true(r * r * r <= x);
		assert_true((r + 1) * (r + 1) * (r + 1) > x);
	}
}

/* Timers fire neither early nor more than a tick late, for times of all levels of the wheel. */
static void test_wheel(void **state)
{
	uint64_t seed = 11;
	struct peer p;

	peer_init(&p, NULL);
	peer_connect(&p);
	for (int i = 0; i < 2000; i++) {
		uint64_t wait = test_rand(&seed) % (UINT64_C(1) << (10 + test_rand(&seed) % 24)), due,
		         next = 0;

		due = p.now + wait;
		tcp_timer_set(p.e.c, TCP_TMR_DELACK, due);
		if (test_rand(&seed) % 3 == 0) { /* moved to later: the entry stays and is entered anew */
			due += 500000;
			tcp_timer_set(p.e.c, TCP_TMR_DELACK, due);
		}
		while (p.e.c->tmr_delack != 0) {
			next = sl_tcp_tick(p.h.t, p.now);
			assert_true(p.e.c->tmr_delack == 0 || p.now < due + TCP_MS);
			if (p.e.c->tmr_delack == 0)
				break;
			assert_true(next > p.now);
			p.now = next;
		}
		assert_true(p.now >= due);
		assert_int_equal(peer_drain(&p), 1);
	}
	peer_fini(&p);
}

/* Slow start doubles; the cubic stays flat at its plateau and grows beyond; beta is 0.7. */
static void test_cubic(void **state)
{
	struct peer p;
	struct sl_tcp_conn *c;
	uint32_t before;

	peer_init(&p, NULL);
	peer_connect(&p);
	c = p.e.c;
	c->cwnd_limited = true;
	before = c->cwnd;
	tcp_cc_acked(c, before, 0, p.now);
	assert_int_equal(c->cwnd, 2 * before);
	c->cwnd = 1000 * c->mss;
	tcp_cc_reduce(c);
	c->cwnd = c->ssthresh;
	assert_int_equal(c->cwnd, 700 * c->mss);
	c->srtt_us = 100000;
	/* K = cbrt(300 / 0.4) = 9.09 s */
	for (uint64_t t = 0; t < 9100; t += 100) {
		tcp_cc_acked(c, c->cwnd, 0, p.now + t * TCP_MS);
		c->cubic.w_est = 0;
	}
	assert_in_range(c->cubic.k_ms, 9080, 9090);
	assert_in_range(c->cwnd, 990 * c->mss, 1001 * c->mss);
	for (uint64_t t = 9100; t < 14000; t += 100) {
		tcp_cc_acked(c, c->cwnd, 0, p.now + t * TCP_MS);
		c->cubic.w_est = 0;
	}
	assert_in_range(c->cwnd, 1040 * c->mss, 1060 * c->mss); /* + 0.4 * 5^3 */
	before = c->cwnd;
	c->cwnd_limited = false; /* not used to the full: no growth */
	tcp_cc_acked(c, c->cwnd, 0, p.now + 20 * TCP_S);
	assert_int_equal(c->cwnd, before);
	peer_fini(&p);
}

static void test_new_checks(void **state)
{
	struct sl_tcp_cfg cfg = {0};
	struct sl_tcp *t;

	assert_int_equal(sl_tcp_new(&cfg, &t), SL_E_INVAL);
	sl_tcp_free(NULL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_isn),   cmocka_unit_test(test_cbrt),       cmocka_unit_test(test_wheel),
	        cmocka_unit_test(test_cubic), cmocka_unit_test(test_new_checks),
	};

	if (test_setup(argc, argv) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
