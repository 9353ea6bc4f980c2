/* What is found out about a path: how wide it is, by slow start and its end by the round-trip time
 * (HyStart++, RFC 9406), and anew after idleness; how large a packet it takes (RFC 4821). */
#include "test_tcp_util.h"

#define SEG     ((uint32_t)tcp_smss(p->e.c))
#define RTT     (50 * TCP_MS)
#define GREW    (60 * TCP_MS) /* by more than an eighth */
#define SAMPLES 8U            /* in a round, before it is judged */
#define ROUNDS  5             /* of conservative slow start, before it is the end */

static uint8_t zeros[512 * MSS_MAX];

static void begin(struct peer *p)
{
	struct sl_tcp_cfg tune = {.tx_buf_bytes = sizeof(zeros)};

	peer_init(p, &tune);
	p->sack = true;
	p->wscale = 7;
	peer_connect(p);
}

static void fill(struct peer *p)
{
	(void)sl_tcp_write(p->e.c, sl_span(zeros, sizeof(zeros)));
	sl_tcp_flush(p->h.t, p->now);
}

/* A round trip with always more to send; each segment has its ACK. Returns by how many segments the window
 * grew. */
static uint32_t flight(struct peer *p, uint64_t rtt_us)
{
	uint32_t before = p->e.c->cwnd, n;

	fill(p);
	n = peer_drain(p);
	assert_in_range(n * SEG, before - SEG, before);
	p->now += rtt_us;
	for (uint32_t i = 0; i < n; i++) {
		p->ack += SEG;
		peer_ack(p, p->ack, UINT16_MAX, NULL, 0);
	}
	return (p->e.c->cwnd - before + SEG / 2) / SEG;
}

/* The window doubles; when the round-trip time grows, a quarter of that. */
static void test_longer_round_trips(void **state)
{
	struct peer peer, *p = &peer;
	uint32_t cwnd;

	begin(p);
	assert_int_equal(flight(p, RTT), 10);
	assert_int_equal(flight(p, RTT + TCP_MS), 20); /* that is nothing yet */
	assert_false(p->e.c->hystart.css);
	assert_in_range(flight(p, GREW), SAMPLES - 1 + 32 / 4, SAMPLES + 34 / 4);
	assert_true(p->e.c->hystart.css);
	for (int i = 1; i < ROUNDS; i++) {
		assert_false(p->e.c->hystart.done);
		cwnd = p->e.c->cwnd;
		assert_in_range(flight(p, GREW), cwnd / SEG / 4 - 1, cwnd / SEG / 4 + 1);
	}
	(void)flight(p, GREW);
	assert_true(p->e.c->hystart.done);
	assert_true(p->e.c->ssthresh <= p->e.c->cwnd); /* congestion avoidance from here on */
	assert_true(flight(p, GREW) <= 2);
	p->ack = p->e.c->snd_nxt;
	peer_drain(p);
	peer_fini(p);
}

/* When the round-trip time falls back below that of the first such round, it was jitter: on as before. */
static void test_jitter(void **state)
{
	struct peer peer, *p = &peer;
	uint32_t cwnd;

	begin(p);
	(void)flight(p, RTT);
	(void)flight(p, RTT);
	(void)flight(p, GREW);
	assert_true(p->e.c->hystart.css);
	(void)flight(p, RTT);
	assert_false(p->e.c->hystart.css);
	cwnd = p->e.c->cwnd;
	assert_in_range(flight(p, RTT), cwnd / SEG - 1, cwnd / SEG);
	assert_false(p->e.c->hystart.done);
	peer_drain(p);
	peer_fini(p);
}

/* Grows the window to 80 segments, then is silent for `rtos` retransmission timeouts and a bit. Returns the
 * segments that go at once then. */
static uint32_t burst_after(uint32_t rtos)
{
	struct peer peer, *p = &peer;
	uint32_t n;

	begin(p);
	for (int i = 0; i < 3; i++) {
		n = p->e.c->cwnd;
		assert_int_equal(sl_tcp_write(p->e.c, sl_span(zeros, n)), n);
		sl_tcp_flush(p->h.t, p->now);
		assert_true(peer_drain(p) > 0);
		p->now += RTT;
		p->ack += n;
		peer_ack(p, p->ack, UINT16_MAX, NULL, 0);
	}
	assert_int_equal(p->e.c->cwnd, 80 * SEG);
	p->now = p->e.c->last_send_us + (uint64_t)rtos * p->e.c->rto_us + 1;
	if (rtos == 0)
		p->now += RTT;
	fill(p);
	n = peer_drain(p);
	peer_fini(p);
	return n;
}

/* Half of the window goes for each RTO without anything sent, not below the initial one (RFC 5681, 4.1, would
 * have that at once). */
static void test_idle(void **state)
{
	assert_int_equal(burst_after(0), 80);
	assert_int_equal(burst_after(1), 40);
	assert_int_equal(burst_after(2), 20);
	assert_int_equal(burst_after(3), 10);
	assert_int_equal(burst_after(9), 10);
}

/* An IPv6 path is not narrower than 1,280 bytes (RFC 8201, 4). */
static bool at_the_least(void)
{
	return test.family == SL_AF_INET6 && test.mss < 1280;
}

/* A router took no more than three quarters of a packet, ten minutes ago. */
static uint32_t narrowed(struct peer *p)
{
	uint32_t full = SEG;

	tcp_pmtu_too_big(p->e.c, test_headers() + full * 3 / 4, p->now);
	assert_int_equal(SEG < full, !at_the_least());
	p->now += UINT64_C(600) * TCP_S + 1;
	return full;
}

/* Twelve segments are written, one goes in the size; none where nothing was narrowed. Returns where it
 * begins. */
static uint32_t probe_goes(struct peer *p, uint32_t size)
{
	uint32_t seg = SEG, nb = 0, at = 0;

	assert_int_equal(sl_tcp_write(p->e.c, sl_span(zeros, 12 * size)), 12 * size);
	sl_tcp_flush(p->h.t, p->now);
	while (peer_rx(p)) {
		if (p->got.len <= seg)
			continue;
		assert_int_equal(p->got.len, size);
		at = p->got.seq;
		nb++;
	}
	assert_int_equal(nb, at_the_least() ? 0 : 1);
	return at;
}

/* One packet of new bytes has the size that the interface takes; when it arrives the others have it, too. */
static void test_larger_packets(void **state)
{
	struct peer peer, *p = &peer;
	uint32_t full;

	begin(p);
	full = narrowed(p);
	(void)probe_goes(p, full);
	p->now += RTT;
	p->ack = p->e.c->snd_nxt;
	peer_ack(p, p->ack, UINT16_MAX, NULL, 0);
	assert_int_equal(SEG, full);
	assert_int_equal(p->e.c->pmtu.next_us, 0);
	peer_drain(p);
	peer_fini(p);
}

/* When it alone is lost its bytes go again in small segments, the window stays, and half as much is tried. */
static void test_no_larger_packets(void **state)
{
	struct peer peer, *p = &peer;
	struct tcp_range behind;
	uint32_t full, small, cwnd;

	begin(p);
	full = narrowed(p);
	small = SEG;
	behind.start = probe_goes(p, full) + full;
	behind.end = p->e.c->snd_nxt;
	cwnd = p->e.c->cwnd;
	p->now += RTT;
	p->ack = behind.start - full;
	peer_ack(p, p->ack, UINT16_MAX, &behind, 1);
	peer_run(p, RTT);
	assert_true(peer_rx(p));
	assert_int_equal(p->got.seq, p->ack);
	assert_int_equal(p->got.len, small);
	peer_drain(p);
	p->now += RTT;
	p->ack = p->e.c->snd_nxt;
	peer_ack(p, p->ack, UINT16_MAX, NULL, 0);
	assert_int_equal(SEG, small);
	assert_true(p->e.c->cwnd >= cwnd);
	assert_int_equal(p->e.c->ca_state, TCP_CA_OPEN);
	peer_drain(p);
	if (full - small >= 64) /* 32 bytes more are not worth a probe */
		(void)probe_goes(p, small + (full - small) / 2);
	peer_fini(p);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_longer_round_trips),
	        cmocka_unit_test(test_jitter),
	        cmocka_unit_test(test_idle),
	        cmocka_unit_test(test_larger_packets),
	};
	const struct CMUnitTest wider[] = {cmocka_unit_test(test_no_larger_packets)};
	int failed;

	if (test_setup(argc, argv) < 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	if (!at_the_least())
		failed += cmocka_run_group_tests(wider, NULL, NULL);
	return failed;
}
