/* Buffers follow the path: they grow where it is long and the user fast, and nowhere else. */
#include <stdio.h>

#include "test_tcp_util.h"

#define PORT  5432
#define DELAY (50 * TCP_MS) /* one way */
#define MiB   (1U << 20)

struct pair {
	struct sim s;
	struct end from, to;
	struct sl_tcp_listener *l;
};

/* Mbit/s that the wire, the pools and the patience of a run can do with 100 ms. */
static uint32_t rate(void)
{
	if (test.mss < 1460)
		return 50;
	if (test.offload)
		return 100;
	return test.mss > 1460 ? 1000 : 200;
}

static uint32_t bdp(void)
{
	return rate() * 1000 / 8 * (uint32_t)(2 * DELAY / TCP_MS);
}

static void pair_open(struct pair *p, const struct sl_tcp_cfg *tune)
{
	struct wire_cfg wire = {.delay_us = DELAY, .mbit = rate()};
	struct sl_endpoint to;

	sim_init(&p->s, &wire, tune, test.seed);
	memset(&p->from, 0, sizeof(p->from));
	memset(&p->to, 0, sizeof(p->to));
	p->from.to_send = UINT64_MAX;
	p->s.b.accept_end = &p->to;
	to = (struct sl_endpoint){p->s.b.addr, PORT};
	assert_int_equal(sl_tcp_listen(p->s.b.t, &to, 0, &p->s.b, &p->l), 0);
	assert_int_equal(sl_tcp_connect(p->s.a.t, &to, &p->from, p->s.now, &p->from.c), 0);
	p->to.shut = true;
}

static void pair_close(struct pair *p)
{
	sl_tcp_abort(p->from.c, p->s.now);
	sl_tcp_abort(p->to.c, p->s.now);
	sl_tcp_unlisten(p->s.b.t, p->l);
	sim_fini(&p->s);
}

static void check_bounds(const struct pair *p)
{
	const struct sl_tcp_conn *a = p->from.c, *b = p->to.c;

	assert_true(tx_bytes(a) <= a->t->cfg.tx_buf_max);
	if (b == NULL)
		return;
	assert_true(b->rx_buf <= b->t->cfg.rx_buf_max);
	assert_true(b->rcvq.bytes <= b->rx_buf);
	assert_true(tcp_rcv_wnd(b) <= b->t->cfg.rx_buf_max);
}

/* As long as told; the reader takes what there is, at times that are told. Returns bytes read. */
static uint64_t pair_run(struct pair *p, uint64_t us, uint64_t read_every_us, uint32_t at_most)
{
	uint64_t end = p->s.now + us, before = p->to.received, next = 0;

	while (p->s.now < end) {
		sim_step(&p->s, read_every_us != 0 ? 1000 : 100000);
		end_pump(&p->from);
		check_bounds(p);
		if (read_every_us == 0) {
			end_pump(&p->to);
		} else if (p->to.c != NULL && p->s.now >= next) {
			uint32_t n = u32_min((uint32_t)sl_tcp_readable(p->to.c), at_most);

			next = p->s.now + read_every_us;
			p->to.received += n;
			sl_tcp_consume(p->to.c, n);
		}
	}
	return p->to.received - before;
}

/* Once the buffers have grown the path is full, which it is not with what they begin with. */
static void test_path_fills(void **state)
{
	static struct pair p;
	struct sl_tcp_cfg grows = {.rx_buf_bytes = TCP_BUF_DEFAULT,
	                           .tx_buf_bytes = TCP_BUF_DEFAULT,
	                           .rx_buf_max = 2 * bdp(),
	                           .tx_buf_max = 2 * bdp()};
	struct sl_tcp_cfg fixed = {.rx_buf_bytes = TCP_BUF_DEFAULT, .tx_buf_bytes = TCP_BUF_DEFAULT};
	uint64_t second = (uint64_t)rate() * 1000000 / 8, got;

	pair_open(&p, &grows);
	(void)pair_run(&p, 2500 * TCP_MS, 0, 0);
	assert_true(p.to.c->rx_buf > bdp());
	got = pair_run(&p, TCP_S, 0, 0);
	print_message("  %u Mbit/s: %lu of %lu bytes in a second, buffer %u, round trip %u us\n", rate(),
	              (unsigned long)got, (unsigned long)second, p.to.c->rx_buf, p.to.c->tune.rtt_us);
	assert_true(got >= second / 10 * 9);
	pair_close(&p);
	pair_open(&p, &fixed);
	(void)pair_run(&p, TCP_S, 0, 0);
	got = pair_run(&p, TCP_S, 0, 0);
	assert_int_equal(p.to.c->rx_buf, TCP_BUF_DEFAULT);
	assert_true(got <= 11 * (uint64_t)TCP_BUF_DEFAULT);
	pair_close(&p);
}

/* Memory in both stacks that one session may take whose reader is slow: what the first buffers hold. */
static void check_slow(const struct pair *p)
{
	assert_int_equal(p->to.c->rx_buf, TCP_BUF_DEFAULT);
	assert_true(p->s.b.t->mem_used <= 3 * TCP_RCVQ_TRUE_SHARE / 2 * TCP_BUF_DEFAULT);
	assert_true(tx_bytes(p->from.c) <= 3 * TCP_BUF_DEFAULT);
}

/* A reader that takes little, one that takes all but seldom, and one that takes nothing. */
static void test_slow_reader(void **state)
{
	static struct pair p;

	pair_open(&p, NULL);
	(void)pair_run(&p, 3 * TCP_S, 20 * TCP_MS, TCP_BUF_DEFAULT / 20);
	check_slow(&p);
	pair_close(&p);
	pair_open(&p, NULL);
	(void)pair_run(&p, 5 * TCP_S, TCP_S, UINT32_MAX);
	check_slow(&p);
	pair_close(&p);
	pair_open(&p, NULL);
	(void)pair_run(&p, 3 * TCP_S, 10 * TCP_S, 0);
	check_slow(&p);
	assert_true(p.to.c->rcvq.bytes > TCP_BUF_DEFAULT - 3U * test_mss());
	pair_close(&p);
}

/* A reader that stops when the buffers have grown: both sides keep to their maximum. */
static void test_stops(void **state)
{
	static struct pair p;
	struct sl_tcp_cfg tune = {
	        .rx_buf_bytes = 65536, .tx_buf_bytes = 65536, .rx_buf_max = MiB, .tx_buf_max = MiB};
	uint32_t old;

	pair_open(&p, &tune);
	(void)pair_run(&p, 3 * TCP_S, 0, 0);
	assert_true(p.to.c->rx_buf > 65536);
	p.to.read_paused = true;
	(void)pair_run(&p, 3 * TCP_S, 0, 0);
	assert_true(p.s.b.t->mem_used <= TCP_RCVQ_TRUE_SHARE * MiB + MiB);
	old = tx_bytes(p.from.c);
	assert_true(old <= MiB);
	/* New bytes for a peer that takes none: no more than a small buffer's worth. */
	assert_true(sl_tcp_space(p.from.c) <= 65536);
	p.to.read_paused = false;
	assert_true(pair_run(&p, 2 * TCP_S, 0, 0) > 2 * MiB);
	pair_close(&p);
}

/* With little memory in all a buffer grows to a part of it only. */
static void test_memory_short(void **state)
{
	static struct pair p;
	struct sl_tcp_cfg tune = {.rx_buf_bytes = 16384,
	                          .tx_buf_bytes = TCP_BUF_DEFAULT,
	                          .rx_buf_max = 16 * MiB,
	                          .max_total_bytes = 4 * MiB};

	pair_open(&p, &tune);
	(void)pair_run(&p, 3 * TCP_S, 0, 0);
	assert_true(p.to.c->rx_buf > 16384);
	assert_true(p.to.c->rx_buf <= 4 * MiB / (TCP_RCVQ_TRUE_SHARE * TCP_TUNE_MEM_SHARE));
	pair_close(&p);
}

/* Without timestamps the receiver measures how long a window takes. The peer sends one each 40 ms. */
static void test_without_timestamps(void **state)
{
	static uint8_t zeros[MSS_MAX];
	struct sl_tcp_cfg tune = {.rx_buf_bytes = 16U * test_mss(), .rx_buf_max = 128U * test_mss()};
	struct peer p;

	peer_init(&p, &tune);
	p.wscale = 0;
	peer_connect(&p);
	for (uint32_t round = 0; round < 12; round++) {
		uint32_t edge = p.e.c->rcv_adv;

		while (p.seq + test_mss() <= edge) {
			peer_tx(&p, F_ACK, p.seq, p.ack, zeros, test_mss());
			p.seq += test_mss();
		}
		sl_tcp_consume(p.e.c, sl_tcp_readable(p.e.c));
		peer_run(&p, 40 * TCP_MS);
		(void)peer_drain(&p);
	}
	assert_true(p.e.c->tune.rtt_us >= 39 * TCP_MS && p.e.c->tune.rtt_us <= 90 * TCP_MS);
	assert_int_equal(p.e.c->rx_buf, tune.rx_buf_max);
	peer_fini(&p);
}

/* The scale is that of the largest window. */
static void test_scale(void **state)
{
	struct peer p;

	peer_init(&p, NULL);
	p.wscale = 0;
	peer_connect(&p);
	assert_int_equal(p.e.c->rx_buf, TCP_BUF_DEFAULT);
	assert_true(UINT64_C(65535) << p.e.c->rcv_shift >= TCP_RX_BUF_GROWN);
	peer_fini(&p);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_path_fills),
	        cmocka_unit_test(test_slow_reader),
	        cmocka_unit_test(test_stops),
	        cmocka_unit_test(test_memory_short),
	        cmocka_unit_test(test_without_timestamps),
	        cmocka_unit_test(test_scale),
	};

	if (test_setup(argc, argv) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
