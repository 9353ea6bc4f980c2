/* Connections of the workers' stacks from outside: the API asks, a worker's answers come back, or do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "sl_log.h"
#include "test_gateway.h"

struct asked {
	struct world *w;
	const char *path;
	struct reply r;
};

static void *get_it(void *arg)
{
	struct asked *a = arg;

	a->r = as(a->w, "noc", "GET", a->path, NULL, NULL);
	return NULL;
}

/* A GET in a thread of its own, for this one is the worker; the worker's question. */
static struct sl_msg *ask_tcp(struct asked *a, pthread_t *thread, const char *path)
{
	a->path = path;
	assert_int_equal(pthread_create(thread, NULL, get_it, a), 0);
	return worker_wait(a->w, SL_MSG_TCP_QUERY);
}

static void test_tcp_list(void **state)
{
	struct asked a = {.w = *state};
	struct world *w = *state;
	pthread_t thread;
	struct sl_msg *m = ask_tcp(&a, &thread, "/v1/tcp?after=5&limit=2"), *wrong, *out;
	json_t *c;

	assert_false(m->tcp_query.trace);
	assert_int_equal(m->tcp_query.after, 5);
	assert_int_equal(m->tcp_query.limit, 2);
	/* answers to other questions, and of the wrong kind, are left */
	for (int i = 0; i < 3; i++) {
		wrong = sl_bus_worker_new(w->bus, 0);
		wrong->type = i == 2 ? SL_MSG_TCP_TRACE : SL_MSG_TCP_PAGE;
		if (i == 2)
			wrong->tcp_trace.request = m->tcp_query.request;
		else
			wrong->tcp_page.request = i == 0 ? 0 : m->tcp_query.request + 1;
		worker_send(w, wrong);
	}
	out = sl_bus_worker_new(w->bus, 0);
	out->type = SL_MSG_TCP_PAGE;
	out->tcp_page.request = m->tcp_query.request;
	out->tcp_page.next = 9;
	out->tcp_page.nb = 1;
	out->tcp_page.row[0].id = 0x0000070000000003;
	snprintf(out->tcp_page.row[0].state, sizeof(out->tcp_page.row[0].state), "ESTABLISHED");
	out->tcp_page.row[0].srtt_us = 1234;
	out->tcp_page.row[0].bytes_sent = UINT64_C(1) << 40;
	out->tcp_page.row[0].sack = true;
	sl_bus_worker_done(w->bus, 0, m);
	worker_send(w, out);
	pthread_join(thread, NULL);
	assert_int_equal(a.r.status, 200);
	assert_int_equal(json_integer_value(json_object_get(a.r.json, "workers")), 1);
	assert_int_equal(json_integer_value(json_object_get(a.r.json, "next")), 9);
	assert_int_equal(json_array_size(json_object_get(a.r.json, "connections")), 1);
	c = json_array_get(json_object_get(a.r.json, "connections"), 0);
	assert_string_equal(json_string_value(json_object_get(c, "id")), "0000070000000003");
	assert_string_equal(json_string_value(json_object_get(c, "state")), "ESTABLISHED");
	assert_int_equal(json_integer_value(json_object_get(c, "srtt_us")), 1234);
	assert_int_equal(json_integer_value(json_object_get(c, "bytes_sent")), INT64_C(1) << 40);
	assert_true(json_is_true(json_object_get(c, "sack")));
	done(&a.r);
	assert_int_equal(status_as(w, "noc", "GET", "/v1/tcp?worker=1", NULL, NULL), 400);
	assert_int_equal(status_as(w, "noc", "GET", "/v1/tcp?limit=41", NULL, NULL), 400);
	assert_int_equal(status_as(w, "noc", "GET", "/v1/tcp?limit=0", NULL, NULL), 400);
	assert_int_equal(status_as(w, "noc", "GET", "/v1/tcp?after=x", NULL, NULL), 400);
}

static void test_tcp_trace(void **state)
{
	static const char path[] = "/v1/tcp/0000070000000003/trace";
	struct asked a = {.w = *state};
	struct world *w = *state;
	pthread_t thread;
	struct sl_msg *m, *out;
	json_t *e;

	for (uint32_t nb = 0; nb < 2; nb++) { /* nothing known; of one that has ended */
		m = ask_tcp(&a, &thread, path);
		assert_true(m->tcp_query.trace);
		assert_true(m->tcp_query.id == 0x0000070000000003);
		out = sl_bus_worker_new(w->bus, 0);
		out->type = SL_MSG_TCP_TRACE;
		out->tcp_trace.request = m->tcp_query.request;
		out->tcp_trace.nb = nb;
		out->tcp_trace.event[0].at_us = 77;
		snprintf(out->tcp_trace.event[0].text, SL_BUS_TCP_TEXT, "rto rto_ms=200 tries=1");
		sl_bus_worker_done(w->bus, 0, m);
		worker_send(w, out);
		pthread_join(thread, NULL);
		assert_int_equal(a.r.status, nb == 0 ? 404 : 200);
		if (nb == 0)
			done(&a.r);
	}
	assert_true(json_is_false(json_object_get(a.r.json, "live")));
	assert_true(json_is_null(json_object_get(a.r.json, "connection")));
	e = json_array_get(json_object_get(a.r.json, "events"), 0);
	assert_int_equal(json_integer_value(json_object_get(e, "t_us")), 77);
	assert_string_equal(json_string_value(json_object_get(e, "text")), "rto rto_ms=200 tries=1");
	done(&a.r);
	/* ids that are none, and another worker's that is not there */
	assert_int_equal(status_as(w, "noc", "GET", "/v1/tcp/7/trace", NULL, NULL), 404);
	assert_int_equal(status_as(w, "noc", "GET", "/v1/tcp/0x00070000000003/trace", NULL, NULL), 404);
	assert_int_equal(status_as(w, "noc", "GET", "/v1/tcp/0100070000000003/trace", NULL, NULL), 404);
}

/* A worker that is silent, and an answer that comes too late. */
static void test_tcp_silence(void **state)
{
	struct asked a = {.w = *state};
	struct world *w = *state;
	pthread_t thread;
	uint64_t start = mg_mono_us(), request;
	struct sl_msg *m = ask_tcp(&a, &thread, "/v1/tcp");

	request = m->tcp_query.request;
	sl_bus_worker_done(w->bus, 0, m);
	pthread_join(thread, NULL);
	assert_int_equal(a.r.status, 503);
	assert_true(mg_mono_us() - start >= 900000);
	done(&a.r);
	m = sl_bus_worker_new(w->bus, 0);
	m->type = SL_MSG_TCP_PAGE;
	m->tcp_page.request = request;
	worker_send(w, m);
	assert_int_equal(status_as(w, "noc", "GET", "/v1/status", NULL, NULL), 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	        T(test_tcp_list),
	        T(test_tcp_trace),
	        T(test_tcp_silence),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
