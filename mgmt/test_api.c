/* The API from outside, by who means it ill: requests that can be read in two ways, rooms that are kept full.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "job.h"
#include "mgmt_priv.h"
#include "sl_log.h"
#include "test_gateway.h"

/* H01: a body's length is said in one way that everybody reads alike, or the connection ends: what follows is
 * never another request. */
static void test_http_length(void **state)
{
	static const char *const bad[] = {
	        "Transfer-Encoding: gzip",
	        "Transfer-Encoding: identity",
	        "Transfer-Encoding: chunked, identity",
	        "Transfer-Encoding: xchunked",
	        "Transfer-Encoding : chunked",
	        "Transfer-Encoding:\vchunked",
	        "Content-Length: +0",
	        "Content-Length: -0",
	        "Content-Length: 0x0",
	        "Content-Length: 00x",
	        "Content-Length:",
	        "Content-Length : 57",
	        "Content-Length\t: 57",
	        "Content-Length: 0, 57",
	};
	static const char *const good[] = {"Content-Length: 0", "content-length: 0 ",
	                                   "Transfer-Encoding: chunked", "transfer-encoding: Chunked"};
	static const char form[] =
	        "POST /v1/verify HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\n%s\r\n\r\n%s"
	        "GET /v1/health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
	struct world *w = *state;
	char *text, *token = token_for(w, "a", "ops");
	struct reply r;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_true(asprintf(&text, form, token, bad[i], "") > 0);
		r = raw(w, text, strlen(text));
		if (r.status != 400 || strstr(r.body, "HTTP/1.1 200 OK") != NULL)
			fail_msg("%s: %d %s", bad[i], r.status, r.body);
		done(&r);
		free(text);
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(asprintf(&text, form, token, good[i],
		                     strcasestr(good[i], "chunked") != NULL ? "0\r\n\r\n" : "") > 0);
		r = raw(w, text, strlen(text));
		if (r.status != 200 || strstr(r.body, "HTTP/1.1 200 OK") == NULL)
			fail_msg("%s: %d %s", good[i], r.status, r.body);
		done(&r);
		free(text);
	}
	free(token);
}

/* A query that is not understood whole is refused: what asks for a dry run must not become a real one. */
static void test_query_strict(void **state)
{
	static const char *const queries[] = {
	        "dry_run=1&x", "dry_run=1&=",         "dry_run",  "&dry_run=1",   "dryrun=1",
	        "DRY_RUN=1",   "dry_run=0&dry_run=1", "limit=10", "dry_run=1%00", "dry_run=1&limit=10",
	};
	struct world *w = *state;
	char text[4096], path[128];
	struct reply r;

	policy_text(w, "", text, sizeof(text));
	for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
		snprintf(path, sizeof(path), "/v1/policies?%s", queries[i]);
		r = as(w, "admins", "POST", path, YAML_TYPE, text);
		if (r.status != 400)
			fail_msg("%s: %d %s", path, r.status, r.body);
		done(&r);
	}
	assert_int_equal(status_as(w, "admins", "POST", "/v1/policies?dry_run=1&", YAML_TYPE, text), 200);
	assert_int_equal(status_of(w, "GET", "/v1/health?", NULL, NULL, NULL), 200);
	assert_int_equal(status_of(w, "GET", "/v1/health?all=1", NULL, NULL, NULL), 400);
	r = as(w, "noc", "GET", "/v1/policies/current", NULL, NULL);
	assert_int_equal(json_integer_value(json_object_get(r.json, "version")), 1);
	done(&r);
}

struct verifier {
	pthread_t thread;
	struct world *w;
	const char *text;
	_Atomic bool stop;
};

static void *verify_on(void *arg)
{
	struct verifier *v = arg;
	char got[4096];

	while (!v->stop) {
		SSL *ssl = dial(v->w);

		assert_non_null(ssl);
		while (!v->stop && SSL_write(ssl, v->text, (int)strlen(v->text)) > 0 &&
		       SSL_read(ssl, got, sizeof(got)) > 0)
			;
		hang_up(ssl);
	}
	return NULL;
}

/* Viewers that verify, as often as they like, do not keep an admin from applying a policy. */
static void test_verify_and_apply(void **state)
{
	struct world *w = *state;
	struct verifier v[2 * MG_JOBS_MAX];
	char policy[4096], *text, *token = token_for(w, "eve", "noc");
	int nb = 0;

	assert_true(asprintf(&text,
	                     "GET /v1/sessions/01M7YS92ZZZZZZZZZZZZZZZZZZ/verify HTTP/1.1\r\nHost: a\r\n"
	                     "Authorization: Bearer %s\r\n\r\n",
	                     token) > 0);
	policy_text(w, "", policy, sizeof(policy));
	sl_log_set_level((enum sl_log_level) - 1);
	for (int i = 0; i < 2 * MG_JOBS_MAX; i++) {
		v[i] = (struct verifier){.w = w, .text = text};
		assert_int_equal(pthread_create(&v[i].thread, NULL, verify_on, &v[i]), 0);
	}
	usleep(100000);
	for (int i = 0; i < 40 && nb == 0; i++)
		nb += status_as(w, "admins", "POST", "/v1/policies?dry_run=1", YAML_TYPE, policy) != 200;
	for (int i = 0; i < 2 * MG_JOBS_MAX; i++) {
		v[i].stop = true;
		pthread_join(v[i].thread, NULL);
	}
	sl_log_set_level(SL_LOG_ERROR);
	free(text);
	free(token);
	assert_int_equal(nb, 0);
}

/* A message of this worker's, when the core has given one back. */
static struct sl_msg *free_message(struct world *w, uint32_t worker)
{
	struct sl_msg *m;

	for (int k = 0; k < 5000; k++) {
		m = sl_bus_worker_new(w->bus, worker);
		if (m != NULL)
			return m;
		usleep(1000);
	}
	fail_msg("worker %u: its messages are not taken", worker);
	return NULL;
}

#define RING 8

/* Anybody may ask for a cancel: those for a worker that is busy do not fill the memory. */
static void test_cancels_bounded(void **state)
{
	struct world *w = *state;
	struct sl_msg *m, *all[RING];
	void *snapshot;
	uint32_t nb = 0;

	stop_mgmt(w);
	sl_bus_free(w->bus);
	w->bus = sl_bus_new(2, RING);
	start_mgmt(w);
	sl_bus_worker_done(w->bus, 0, worker_wait(w, SL_MSG_SNAPSHOT));
	m = sl_bus_worker_recv(w->bus, 1);
	snapshot = m->snapshot;
	sl_bus_worker_done(w->bus, 1, m);
	for (uint32_t i = 0; i < 4 * MG_BACKLOG_MAX; i++) {
		m = free_message(w, 1);
		m->type = SL_MSG_CANCEL;
		m->flow.worker = 0;
		m->cancel.pid = i;
		sl_bus_worker_send(w->bus, 1, m);
		sl_bus_worker_kick(w->bus, 1);
	}
	for (uint32_t i = 0; i < RING; i++) /* all have been taken */
		all[i] = free_message(w, 1);
	for (uint32_t i = 2; i < RING; i++)
		sl_bus_worker_done(w->bus, 1, all[i]);
	for (int quiet = 0; quiet < 200; quiet++) {
		while ((m = sl_bus_worker_recv(w->bus, 0)) != NULL) {
			nb += m->type == SL_MSG_CANCEL;
			sl_bus_worker_done(w->bus, 0, m);
			sl_bus_worker_kick(w->bus, 0);
			quiet = 0;
		}
		usleep(1000);
	}
	assert_in_range(nb, RING, RING + MG_BACKLOG_MAX);
	all[0]->type = SL_MSG_SNAPSHOT_FREE;
	all[0]->snapshot = snapshot;
	sl_bus_worker_send(w->bus, 1, all[0]);
	all[1]->type = SL_MSG_STOPPED;
	sl_bus_worker_send(w->bus, 1, all[1]);
	sl_bus_worker_kick(w->bus, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	        T(test_http_length),
	        T(test_query_strict),
	        T(test_verify_and_apply),
	        T(test_cancels_bounded),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
