/* Questions about connections: pages that meet each connection once, bounded steps, traces. */
#include "test_tcp_util.h"

#include <stdlib.h>

#include "tcp_answer.h"

#define NB_CONNS 100

static void ask(struct peer *p, struct sl_msg_tcp_query q, struct sl_msg *out)
{
	memset(out, 0, sizeof(*out));
	tcp_query_answer(p->h.t, &q, 1000000, out);
}

/* Asks until the end; the connections seen. */
static uint32_t walk(struct peer *p, uint32_t limit, uint64_t *ids, uint32_t cap)
{
	struct sl_msg *m = calloc(1, sizeof(*m));
	uint64_t after = 0;
	uint32_t n = 0;

	do {
		ask(p, (struct sl_msg_tcp_query){.request = 7, .after = after, .limit = limit}, m);
		assert_int_equal(m->type, SL_MSG_TCP_PAGE);
		assert_int_equal(m->tcp_page.request, 7);
		assert_true(m->tcp_page.nb <= limit && m->tcp_page.nb <= SL_BUS_TCP_ROWS);
		assert_true(m->tcp_page.next == 0 || m->tcp_page.next > after);
		for (uint32_t i = 0; i < m->tcp_page.nb; i++) {
			assert_true(n < cap);
			ids[n++] = m->tcp_page.row[i].id;
		}
		after = m->tcp_page.next;
	} while (after != 0);
	free(m);
	return n;
}

static void test_pages(void **state)
{
	static const uint32_t limits[] = {1, 7, SL_BUS_TCP_ROWS, UINT32_MAX};
	struct sl_tcp_cfg tune = {.max_conns = NB_CONNS, .worker = 3};
	struct sl_tcp_conn *c[NB_CONNS];
	uint64_t ids[NB_CONNS];
	struct sl_endpoint to;
	struct peer p;

	peer_init(&p, &tune);
	to = peer_endpoint(&p);
	assert_int_equal(walk(&p, 5, ids, NB_CONNS), 0);
	for (uint32_t i = 0; i < NB_CONNS; i++)
		assert_int_equal(sl_tcp_connect(p.h.t, &to, &p.e, p.now, &c[i]), 0);
	for (size_t k = 0; k < sizeof(limits) / sizeof(limits[0]); k++) {
		assert_int_equal(walk(&p, limits[k], ids, NB_CONNS), NB_CONNS);
		for (uint32_t i = 0; i < NB_CONNS; i++) {
			assert_non_null(sl_tcp_find(p.h.t, ids[i]));
			assert_true(i == 0 || ids[i] != ids[i - 1]);
		}
	}
	for (uint32_t i = 0; i < NB_CONNS; i++)
		sl_tcp_abort(c[i], p.now);
	tcp_conn_reap(p.h.t);
	assert_int_equal(walk(&p, 5, ids, NB_CONNS), 0);
	peer_drain(&p);
	peer_fini(&p);
}

/* A cursor from anywhere, and a limit of none. */
static void test_odd(void **state)
{
	struct sl_msg *m = calloc(1, sizeof(*m));
	struct peer p;

	peer_init(&p, NULL);
	peer_connect(&p);
	ask(&p, (struct sl_msg_tcp_query){.after = UINT64_MAX, .limit = 5}, m);
	assert_int_equal(m->tcp_page.nb, 0);
	assert_int_equal(m->tcp_page.next, 0);
	ask(&p, (struct sl_msg_tcp_query){.limit = 0}, m);
	assert_int_equal(m->tcp_page.nb, 0);
	free(m);
	peer_fini(&p);
}

/* Steps end a walk before the end; with enough calls it comes there all the same. */
static void test_steps(void **state)
{
	struct peer p;
	uint64_t cursor = 0;
	uint32_t nb = 0, calls = 0, steps;

	peer_init(&p, NULL);
	peer_connect(&p);
	do {
		uint64_t before = cursor;

		steps = 1;
		nb += sl_tcp_next_within(p.h.t, &cursor, &steps) != NULL;
		assert_true(cursor - before <= 1);
		calls++;
	} while (steps == 0);
	assert_int_equal(nb, 1);
	assert_true(calls > 1);
	peer_fini(&p);
}

static void test_trace(void **state)
{
	struct sl_msg *m = calloc(1, sizeof(*m));
	struct sl_tcp_trace_event e[SL_TCP_TRACE_EVENTS];
	struct peer p;
	uint64_t id;
	uint32_t n;
	char text[SL_BUS_TCP_TEXT];

	peer_init(&p, NULL);
	peer_connect(&p);
	id = sl_tcp_id(p.e.c);
	n = sl_tcp_trace_read(p.h.t, id, e, SL_TCP_TRACE_EVENTS);
	assert_true(n > 0);
	ask(&p, (struct sl_msg_tcp_query){.request = 9, .trace = true, .id = id}, m);
	assert_int_equal(m->type, SL_MSG_TCP_TRACE);
	assert_int_equal(m->tcp_trace.request, 9);
	assert_true(m->tcp_trace.live);
	assert_int_equal(m->tcp_trace.row.id, id);
	assert_string_equal(m->tcp_trace.row.state, "ESTABLISHED");
	assert_int_equal(m->tcp_trace.row.mss, p.e.c->mss);
	assert_int_equal(m->tcp_trace.nb, n);
	for (uint32_t i = 0; i < n; i++) {
		assert_string_equal(m->tcp_trace.event[i].text, sl_tcp_trace_text(&e[i], text, sizeof(text)));
		assert_int_equal(m->tcp_trace.event[i].at_us, e[i].at_us + 1000000);
	}
	ask(&p, (struct sl_msg_tcp_query){.trace = true, .id = id + 1}, m);
	assert_false(m->tcp_trace.live);
	assert_int_equal(m->tcp_trace.nb, 0);
	free(m);
	peer_fini(&p);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_pages),
	        cmocka_unit_test(test_odd),
	        cmocka_unit_test(test_steps),
	        cmocka_unit_test(test_trace),
	};

	if (test_setup(argc, argv) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
