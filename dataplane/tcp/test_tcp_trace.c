/* Ids, the walk over connections, trace rings and their archive. */
#include <stdlib.h>

#include "test_tcp_util.h"

static const char *text_of(const struct sl_tcp_trace_event *e)
{
	static char text[128];

	return sl_tcp_trace_text(e, text, sizeof(text));
}

/* Events, runs of them, the wrap of the ring, times across hours. */
static void test_ring(void **state)
{
	struct sl_tcp_trace_event e[SL_TCP_TRACE_EVENTS + 1];
	struct peer p;
	uint64_t id;
	uint32_t n;

	peer_init(&p, NULL);
	peer_connect(&p);
	id = sl_tcp_id(p.e.c);
	memset(&p.e.c->trace, 0, sizeof(p.e.c->trace));
	p.h.t->now_us = p.now;
	TCP_TRACE(p.e.c, RECOVERED, 10, 20);
	p.h.t->now_us += 5;
	TCP_TRACE(p.e.c, TX, 100, 1460);
	p.h.t->now_us += 6;
	TCP_TRACE(p.e.c, TX, 1560, 40);
	p.h.t->now_us += 2 * 3600 * TCP_S;
	TCP_TRACE(p.e.c, RTX, 100, 1460);
	n = sl_tcp_trace_read(p.h.t, id, e, SL_TCP_TRACE_EVENTS);
	assert_int_equal(n, 3);
	assert_string_equal(text_of(&e[0]), "recovered cwnd=10 ssthresh=20");
	assert_string_equal(text_of(&e[1]), "tx seq=100 bytes=1500 (2)");
	assert_string_equal(text_of(&e[2]), "rtx seq=100 bytes=1460");
	assert_int_equal(e[1].at_us - e[0].at_us, 5);
	assert_in_range(e[2].at_us - e[1].at_us, 2 * 3600 * TCP_S, 2 * 3600 * TCP_S + 1000);
	for (uint32_t i = 0; i < 100; i++)
		TCP_TRACE(p.e.c, RECOVERED, i, 0);
	n = sl_tcp_trace_read(p.h.t, id, e, SL_TCP_TRACE_EVENTS + 1);
	assert_int_equal(n, SL_TCP_TRACE_EVENTS);
	assert_int_equal(e[0].a, 100 - SL_TCP_TRACE_EVENTS);
	assert_int_equal(e[n - 1].a, 99);
	assert_int_equal(sl_tcp_trace_read(p.h.t, id, e, 2), 2);
	assert_int_equal(e[1].a, 99);
	assert_int_equal(sl_tcp_trace_read(p.h.t, id + 1, e, 2), 0);
	assert_int_equal(sl_tcp_trace_read(p.h.t, UINT64_MAX, e, 2), 0);
	peer_fini(&p);
}

/* Every row has a text that fits a small buffer, too. */
static void test_text(void **state)
{
	char small[8], text[128];

	for (uint16_t i = 0; i <= TCP_TR_COUNT; i++) {
		struct sl_tcp_trace_event e = {.event = i, .a = UINT32_MAX, .b = UINT32_MAX, .count = 9};

		for (size_t cap = 0; cap <= sizeof(small); cap++)
			assert_true(cap == 0 || strlen(sl_tcp_trace_text(&e, small, cap)) < cap);
		sl_tcp_trace_text(&e, text, sizeof(text));
		assert_true(strncmp(text, sl_tcp_trace_name(i), strlen(sl_tcp_trace_name(i))) == 0);
		assert_non_null(strstr(text, "(10)"));
	}
}

/* A reset archives the ring, which outlives the connection; an orderly close does not. */
static void test_archive(void **state)
{
	struct sl_tcp_trace_event e[SL_TCP_TRACE_EVENTS];
	struct sl_tcp_archived ar[4];
	struct peer p;
	uint64_t id;
	uint32_t n;

	peer_init(&p, NULL);
	peer_connect(&p);
	id = sl_tcp_id(p.e.c);
	assert_int_equal(sl_tcp_trace_archive(p.h.t, ar, 4), 0);
	peer_tx(&p, F_RST, p.seq, 0, NULL, 0);
	assert_int_equal(sl_tcp_trace_archive(p.h.t, ar, 4), 1);
	assert_true(ar[0].id == id);
	assert_string_equal(ar[0].state, "ESTABLISHED");
	assert_string_equal(sl_tcp_trace_name(ar[0].event), "rst_in");
	assert_int_equal(ar[0].remote.port, p.sport);
	assert_int_equal(ar[0].local.port, p.dport);
	sl_tcp_release(p.e.c);
	p.e.c = NULL;
	sl_tcp_tick(p.h.t, p.now);
	assert_null(sl_tcp_find(p.h.t, id));
	n = sl_tcp_trace_read(p.h.t, id, e, SL_TCP_TRACE_EVENTS);
	assert_true(n >= 3);
	assert_string_equal(sl_tcp_trace_name(e[n - 1].event), "failed");
	assert_string_equal(sl_tcp_trace_name(e[n - 2].event), "rst_in");
	assert_string_equal(text_of(&e[n - 1]), "failed error=tcp_reset state=ESTABLISHED");
	peer_fini(&p);
}

/* The archive is bounded, a connection takes one place in it, and once a second at most. */
static void test_archive_bound(void **state)
{
	static struct sl_tcp_archived ar[SL_TCP_ARCHIVE + 8];
	struct peer p;
	uint64_t first = 0;

	peer_init(&p, NULL);
	for (uint32_t i = 0; i < SL_TCP_ARCHIVE + 8; i++) {
		peer_connect(&p);
		if (i == 0)
			first = sl_tcp_id(p.e.c);
		for (int k = 0; k < 5; k++)
			TCP_TRACE(p.e.c, UNDO, 1, 2);
		peer_tx(&p, F_RST, p.seq, 0, NULL, 0);
		sl_tcp_release(p.e.c);
		p.e.c = NULL;
		p.sport++;
		p.now += 10;
	}
	assert_int_equal(sl_tcp_trace_archive(p.h.t, ar, SL_TCP_ARCHIVE + 8), SL_TCP_ARCHIVE);
	assert_true(ar[0].at_us > ar[SL_TCP_ARCHIVE - 1].at_us);
	assert_int_equal(sl_tcp_trace_read_archived(p.h.t, first, NULL, 0), 0);
	for (uint32_t i = 1; i < SL_TCP_ARCHIVE; i++)
		assert_true(ar[i].id != first && ar[i].id != ar[i - 1].id);
	peer_fini(&p);
}

/* Ids are of one connection each; the walk meets each connection once. */
static void test_walk(void **state)
{
	struct sl_tcp_cfg tune = {.max_conns = 100, .worker = 3};
	struct sl_tcp_conn *c[100], *x;
	struct sl_endpoint to;
	struct peer p;
	uint64_t cursor = 0, old;
	uint32_t n = 0;

	peer_init(&p, &tune);
	to = peer_endpoint(&p);
	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(sl_tcp_connect(p.h.t, &to, &p.e, p.now, &c[i]), 0);
	while ((x = sl_tcp_next(p.h.t, &cursor)) != NULL) {
		assert_ptr_equal(sl_tcp_find(p.h.t, sl_tcp_id(x)), x);
		assert_int_equal(sl_tcp_id(x) >> 56, 3);
		n++;
	}
	assert_int_equal(n, 100);
	old = sl_tcp_id(c[7]);
	sl_tcp_abort(c[7], p.now);
	assert_int_equal(sl_tcp_connect(p.h.t, &to, &p.e, p.now, &c[7]), 0);
	assert_int_not_equal(sl_tcp_id(c[7]), old);
	assert_null(sl_tcp_find(p.h.t, old));
	for (uint32_t i = 0; i < 100; i++)
		sl_tcp_abort(c[i], p.now);
	tcp_conn_reap(p.h.t);
	cursor = 0;
	assert_null(sl_tcp_next(p.h.t, &cursor));
	peer_drain(&p);
	peer_fini(&p);
}

static void test_info(void **state)
{
	struct sl_tcp_info i;
	struct peer p;

	peer_init(&p, NULL);
	p.ts = p.sack = true;
	p.wscale = 7;
	peer_connect(&p);
	assert_int_equal(sl_tcp_write(p.e.c, SL_SPAN_LIT("0123456789")), 10);
	sl_tcp_get_info(p.e.c, &i);
	assert_int_equal(i.not_sent_bytes, 10);
	sl_tcp_flush(p.h.t, p.now);
	peer_drain(&p);
	peer_tx(&p, F_ACK | F_PSH, p.seq, p.ack, "abc", 3);
	peer_run(&p, 2000);
	peer_drain(&p);
	sl_tcp_get_info(p.e.c, &i);
	assert_string_equal(i.state, "ESTABLISHED");
	assert_true(i.id == sl_tcp_id(p.e.c) && i.passive && i.held);
	assert_int_equal(i.remote.port, p.sport);
	assert_int_equal(i.not_sent_bytes, 0);
	assert_int_equal(i.unacked_bytes, 10);
	assert_int_equal(i.rx_queue_bytes, 3);
	assert_int_equal(i.bytes_sent, 10);
	assert_int_equal(i.pmtu, p.h.mtu);
	assert_int_equal(i.mss, test_mss());
	assert_true(i.ts && i.sack && i.wscale);
	assert_int_equal(i.snd_wscale, 7);
	assert_string_equal(i.timer, "on");
	assert_in_range(i.timer_ms, 100, 200);
	assert_int_equal(i.last_snd_ms, 2);
	peer_fini(&p);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_ring),    cmocka_unit_test(test_text),
	        cmocka_unit_test(test_archive), cmocka_unit_test(test_archive_bound),
	        cmocka_unit_test(test_walk),    cmocka_unit_test(test_info),
	};

	if (test_setup(argc, argv) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
