/* Two stacks back to back over a bad wire: what goes in comes out, whatever the wire does. */
#include <stdio.h>
#include <stdlib.h>

#include "test_tcp_util.h"

#define MiB (1024 * 1024)

struct stream_case {
	const char *name;
	struct wire_cfg wire;
	struct sl_tcp_cfg tune;
	uint64_t bytes_a, bytes_b;
	uint64_t limit_us;
};

/* Until both ends have sent, received and closed. */
static void run_until_closed(struct sim *s, const struct stream_case *sc, struct end *ea, struct end *eb)
{
	uint64_t start = s->now;

	while (ea->c != NULL || eb->c != NULL || s->b.nb_accepted == 0) {
		sim_step(s, 1000000);
		end_pump(ea);
		end_pump(eb);
		if (s->now - start > sc->limit_us)
			fail_msg("%s: not done in time: %lu/%lu %lu/%lu err %d %d", sc->name,
			         (unsigned long)eb->received, (unsigned long)sc->bytes_a,
			         (unsigned long)ea->received, (unsigned long)sc->bytes_b, ea->err, eb->err);
	}
	print_message("  %-28s %8.3f s, %lu packets\n", sc->name, (double)(s->now - start) / 1e6,
	              (unsigned long)s->wire.nb_sent);
}

/* All bytes in the plain run, a quarter in the others. */
static uint64_t shorter(uint64_t bytes)
{
	return test.mss == 1460 && test.family == SL_AF_INET ? bytes : bytes / 4;
}

static void run_stream(const struct stream_case *sc, uint64_t seed)
{
	static struct sim s;
	struct end ea = {.to_send = sc->bytes_a, .tx_seed = 1}, eb = {.to_send = sc->bytes_b, .tx_seed = 2};
	struct sl_endpoint to;
	struct sl_tcp_listener *l;
	uint64_t end;

	sim_init(&s, &sc->wire, &sc->tune, seed);
	s.b.accept_end = &eb;
	to = (struct sl_endpoint){s.b.addr, 5432};
	assert_int_equal(sl_tcp_listen(s.b.t, &to, 0, &s.b, &l), 0);
	assert_int_equal(sl_tcp_connect(s.a.t, &to, &ea, s.now, &ea.c), 0);
	run_until_closed(&s, sc, &ea, &eb);
	assert_int_equal(ea.err, 0);
	assert_int_equal(eb.err, 0);
	assert_int_equal(eb.received, sc->bytes_a);
	assert_int_equal(ea.received, sc->bytes_b);
	assert_true(ea.tx_digest == eb.rx_digest);
	assert_true(eb.tx_digest == ea.rx_digest);
	end = s.now + 200 * TCP_S; /* what is left closes alone */
	while (s.now < end && sl_tcp_nb_conns(s.a.t) + sl_tcp_nb_conns(s.b.t) > 0)
		sim_step(&s, 1000000);
	sl_tcp_unlisten(s.b.t, l);
	sim_fini(&s);
}

static const struct stream_case cases[] = {
        {"clean", {.delay_us = 1000}, {0}, 4 * MiB, 3 * MiB, 20000000},
        {"one byte", {.delay_us = 1000}, {0}, 1, 1, 5000000},
        {"nothing", {.delay_us = 1000}, {0}, 0, 0, 5000000},
        {"1 % loss", {.loss = 1, .delay_us = 5000}, {0}, 2 * MiB, 2 * MiB, 300000000},
        {"5 % loss", {.loss = 5, .delay_us = 5000}, {0}, MiB, MiB, 900000000},
        {"10 % loss", {.loss = 10, .delay_us = 5000}, {0}, MiB, MiB, 3600000000},
        {"reordering", {.reorder = 10, .delay_us = 5000}, {0}, 2 * MiB, MiB, 300000000},
        {"duplicates, jitter", {.dup = 10, .delay_us = 5000, .jitter_us = 3000}, {0}, MiB, MiB, 300000000},
        {"everything",
         {.loss = 5, .dup = 5, .reorder = 5, .delay_us = 8000, .jitter_us = 4000},
         {0},
         MiB,
         MiB,
         3600000000},
        {"tiny MSS", {.loss = 1, .delay_us = 2000}, {.mss = 64}, 200000, 100000, 900000000},
        {"tiny window", {.loss = 1, .delay_us = 2000}, {.rx_buf_bytes = 512}, 100000, 100000, 3600000000},
        {"tiny buffers",
         {.loss = 1, .delay_us = 2000},
         {.rx_buf_bytes = 2048, .tx_buf_bytes = 600},
         200000,
         200000,
         3600000000},
        {"memory short", {.loss = 1, .delay_us = 2000}, {.max_total_bytes = 20 * 4096}, MiB, MiB, 3600000000},
};

static void test_streams(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct stream_case sc = cases[i];

		sc.bytes_a = shorter(sc.bytes_a);
		sc.bytes_b = shorter(sc.bytes_b);
		run_stream(&sc, test.seed + i);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_streams),
	};

	if (test_setup(argc, argv) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
