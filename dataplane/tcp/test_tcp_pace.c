/* The window spread over the round trip: where, how evenly, and what goes at once. */
#include "test_tcp_util.h"

#include "tcp_pace.h"

#define MSS ((uint32_t)test_mss())
#define RTT (UINT64_C(100) * TCP_MS)
#define IW  (TCP_IW_SEGMENTS * MSS)

static uint8_t zeros[32 * MSS_MAX];

static void begin(struct peer *p, uint64_t rtt_us, bool pacing)
{
	struct sl_tcp_cfg tune = {.pacing = pacing, .tx_buf_bytes = sizeof(zeros)};

	peer_init(p, &tune);
	p->sack = true;
	p->wscale = 7;
	peer_connect(p);
	p->e.c->srtt_us = 0;
	tcp_rtt_sample(p->e.c, rtt_us);
	p->now += rtt_us;
}

static void write_out(struct peer *p, uint32_t nb_segs)
{
	assert_int_equal(sl_tcp_write(p->e.c, sl_span(zeros, nb_segs * MSS)), nb_segs * MSS);
	sl_tcp_flush(p->h.t, p->now);
}

static void ack_segs(struct peer *p, uint32_t n)
{
	p->ack += n * MSS;
	peer_ack(p, p->ack, UINT16_MAX, NULL, 0);
	sl_tcp_flush(p->h.t, p->now);
}

/* What goes out within the time, millisecond by millisecond. Returns how many segments; *most: in one of
 * them. */
static uint32_t run(struct peer *p, uint64_t us, uint32_t *most)
{
	uint32_t sum = 0, n;

	*most = 0;
	for (uint64_t end = p->now + us; p->now < end; sum += n) {
		peer_run(p, TCP_MS);
		n = peer_drain(p);
		*most = u32_max(*most, n);
	}
	return sum;
}

/* Slow start: ten at once, the others one by one, all within the first half of the round trip. */
static void test_spread(void **state)
{
	struct peer p;
	uint32_t n, most;

	begin(&p, RTT, true);
	write_out(&p, 30);
	assert_int_equal(peer_drain(&p), 10);
	assert_true(sl_tcp_paces(p.h.t) == false);
	p.now += RTT;
	ack_segs(&p, 10);
	n = peer_drain(&p);
	assert_in_range(n, 10, 12);
	assert_true(sl_tcp_paces(p.h.t));
	n += run(&p, RTT / 2, &most);
	assert_int_equal(n, 20);
	assert_true(most <= 2);
	assert_false(sl_tcp_paces(p.h.t));
	assert_int_equal(p.e.c->tmr_pace, 0);
	assert_int_equal(p.e.c->cwnd, 20 * MSS);
	peer_fini(&p);
}

/* Behind slow start the rate is 6/5 of the window's; and the window still is what limits. */
static void test_rate(void **state)
{
	struct peer p;
	struct sl_tcp_info info;
	uint32_t n, most;

	begin(&p, RTT, true);
	p.e.c->cwnd = p.e.c->ssthresh = 24 * MSS;
	write_out(&p, 30);
	n = peer_drain(&p);
	assert_in_range(n, 10, 12);
	sl_tcp_get_info(p.e.c, &info);
	assert_in_range(info.pacing_rate, 24 * MSS * 12 - MSS, 24 * MSS * 12);
	n += run(&p, RTT * 5 / 6, &most);
	assert_int_equal(n, 24);
	assert_true(most <= 2);
	assert_true(p.e.c->cwnd_limited);
	peer_fini(&p);
}

/* Short paths, and stacks that were not told to. */
static void test_at_once(void **state)
{
	struct peer p;

	for (int i = 0; i < 2; i++) {
		begin(&p, i == 0 ? 2 * TCP_MS : RTT, i == 0);
		p.e.c->cwnd = 24 * MSS;
		write_out(&p, 24);
		assert_int_equal(peer_drain(&p), 24);
		assert_int_equal(p.e.c->tmr_pace, 0);
		peer_fini(&p);
	}
}

/* A late timer makes up for what it has missed, but not for idleness. */
static void test_late(void **state)
{
	struct peer p;
	uint32_t n;

	begin(&p, RTT, true);
	p.e.c->cwnd = p.e.c->ssthresh = 30 * MSS;
	write_out(&p, 14);
	n = peer_drain(&p);
	p.now += RTT / 5; /* 7.2 segments' time */
	sl_tcp_tick(p.h.t, p.now);
	n += peer_drain(&p);
	assert_int_equal(n, 14);
	p.now += RTT;
	ack_segs(&p, 14);
	p.now += 100 * TCP_MS;
	p.e.c->cwnd = p.e.c->ssthresh = 30 * MSS;
	write_out(&p, 30);
	assert_in_range(peer_drain(&p), 10, 12);
	peer_fini(&p);
}

/* A wait ends as early as the rate of now has it, not as that of when it began. */
static void test_rate_rises(void **state)
{
	struct peer p;
	uint32_t n, most;

	begin(&p, 100 * RTT, true);
	p.e.c->cwnd = p.e.c->ssthresh = 16 * MSS;
	write_out(&p, 18);
	n = peer_drain(&p);
	assert_in_range(n, 10, 12);
	assert_true(p.e.c->pace_us > p.now + RTT);
	p.e.c->srtt_us = 0;
	tcp_rtt_sample(p.e.c, RTT);
	p.now += RTT;
	ack_segs(&p, 1);
	n += peer_drain(&p) + run(&p, RTT / 2, &most);
	assert_in_range(n, 16, 18);
	peer_fini(&p);
}

/* What is sent again goes when PRR lets it; a timeout's segment goes at once. */
static void test_lost(void **state)
{
	struct peer p;

	begin(&p, RTT, true);
	write_out(&p, 30);
	assert_int_equal(peer_drain(&p), 10);
	peer_run(&p, p.e.c->rto_us + 4 * RTT);
	assert_true(p.e.c->nb_rtx > 0);
	assert_true(peer_drain(&p) >= 1);
	assert_true(p.e.c->cwnd <= 2 * MSS);
	ack_segs(&p, 10);
	assert_true(peer_drain(&p) > 0);
	peer_fini(&p);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_spread),     cmocka_unit_test(test_rate),
	        cmocka_unit_test(test_at_once),    cmocka_unit_test(test_late),
	        cmocka_unit_test(test_rate_rises), cmocka_unit_test(test_lost),
	};

	if (test_setup(argc, argv) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
