/* More messages of one worker than the management core can take: others have their turn, and nobody waits for
 * ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "test_gateway.h"

#define RING     256 /* messages each way, as the gateway has them */
#define SESSIONS 64
#define RUN_US   2000 /* a command's time at the target */
#define WAIT_US  UINT64_C(8000000)

/* Worker 1 needs no policy. */
static void second_snapshot(struct world *w)
{
	struct sl_msg *got = NULL, *m = sl_bus_worker_new(w->bus, 1);

	while (got == NULL || got->type != SL_MSG_SNAPSHOT) {
		if (got != NULL)
			sl_bus_worker_done(w->bus, 1, got);
		usleep(1000);
		got = sl_bus_worker_recv(w->bus, 1);
	}
	m->type = SL_MSG_SNAPSHOT_FREE;
	m->snapshot = got->snapshot;
	sl_bus_worker_done(w->bus, 1, got);
	sl_bus_worker_send(w->bus, 1, m);
	sl_bus_worker_kick(w->bus, 1);
}

/* A second worker, and rings of the gateway's size. */
static void two_workers(struct world *w)
{
	stop_mgmt(w);
	sl_bus_free(w->bus);
	w->bus = sl_bus_new(2, RING);
	assert_non_null(w->bus);
	start_mgmt(w);
	sl_bus_worker_done(w->bus, 0, worker_wait(w, SL_MSG_SNAPSHOT));
	second_snapshot(w);
}

static void hold(struct world *w, struct sl_id_maker *ids, uint32_t worker, struct sl_msg *m, uint32_t index)
{
	struct sl_msg_hold *h = &m->hold;

	m->type = SL_MSG_HOLD;
	m->flow = (struct sl_flow_ref){worker, index, 3};
	h->approval = h->session = sl_id_make(ids, mg_wall_us());
	h->expires_us = mg_wall_us() + 60000000;
	h->nb_needs = 1;
	h->needs[0].grant = SL_GRANT_WINDOW;
	h->needs[0].grant_s = 3600;
	snprintf(h->needs[0].rule, sizeof(h->needs[0].rule), "ask");
	snprintf(h->identity.issuer, sizeof(h->identity.issuer), "%s", w->idp.issuer);
	snprintf(h->identity.subject, sizeof(h->identity.subject), "%s", worker == 0 ? "bot" : "alice");
	h->text_n = h->text_total = 8;
	memcpy(h->text, "update t", 8);
	sl_bus_worker_send(w->bus, worker, m);
	sl_bus_worker_kick(w->bus, worker);
}

/* Somebody approves one command of the caller's, for an hour. */
static void grant(struct world *w)
{
	struct sl_msg *asked;
	char id[SL_ID_STR_MAX], path[80];

	hold(w, &w->ids, 0, sl_bus_worker_new(w->bus, 0), 0);
	asked = worker_wait(w, SL_MSG_ASKED);
	snprintf(path, sizeof(path), "/v1/approvals/%s/approve", sl_id_str(&asked->approval, id));
	sl_bus_worker_done(w->bus, 0, asked);
	assert_int_equal(status_as(w, "owners", "POST", path, NULL, NULL), 200);
	sl_bus_worker_done(w->bus, 0, worker_wait(w, SL_MSG_DECISION));
}

struct flood {
	struct world *w;
	pthread_t thread;
	struct sl_id_maker ids;
	_Atomic bool stop;
	_Atomic uint32_t nb;
	bool waits[SESSIONS];
	uint64_t ready_us[SESSIONS];
};

static void take_decisions(struct flood *f)
{
	struct sl_bus *b = f->w->bus;
	struct sl_msg *m;

	while ((m = sl_bus_worker_recv(b, 0)) != NULL) {
		if (m->type == SL_MSG_DECISION && m->decision.decision == SL_DECISION_APPROVED) {
			f->waits[m->flow.index] = false;
			f->ready_us[m->flow.index] = mg_mono_us() + RUN_US;
			f->nb++;
		}
		sl_bus_worker_done(b, 0, m);
	}
}

/* Sessions of the caller: each sends its next command when the one before was approved and has run. */
static void *flood_thread(void *arg)
{
	struct flood *f = arg;
	struct sl_msg *m;

	for (; !f->stop; usleep(100)) {
		take_decisions(f);
		for (uint32_t i = 0; i < SESSIONS; i++) {
			if (f->waits[i] || mg_mono_us() < f->ready_us[i])
				continue;
			m = sl_bus_worker_new(f->w->bus, 0);
			if (m == NULL)
				break;
			f->waits[i] = true;
			hold(f->w, &f->ids, 0, m, i);
		}
		sl_bus_worker_kick(f->w->bus, 0);
	}
	return NULL;
}

struct asker {
	struct world *w;
	pthread_t thread;
	_Atomic int status;
};

static void *ask_thread(void *arg)
{
	struct asker *a = arg;

	a->status = status_of(a->w, "GET", "/v1/health", NULL, NULL, NULL);
	return NULL;
}

/* Does worker 1 get such a message within the time? */
static bool gets(struct world *w, enum sl_msg_type type)
{
	bool got = false;
	struct sl_msg *m;

	for (uint64_t at = mg_mono_us(); mg_mono_us() - at < WAIT_US && !got; usleep(1000)) {
		while (!got && (m = sl_bus_worker_recv(w->bus, 1)) != NULL) {
			got = m->type == type;
			sl_bus_worker_done(w->bus, 1, m);
		}
	}
	return got;
}

/* One caller's sessions keep a worker's ring full. */
static void test_others_have_their_turn(void **state)
{
	struct world *w = *state;
	struct flood f = {.w = w, .ids.salt = 9};
	struct asker a = {.w = w};
	bool asked, stopping;
	int status;

	two_workers(w);
	grant(w);
	give_back(w);
	assert_int_equal(pthread_create(&f.thread, NULL, flood_thread, &f), 0);
	while (f.nb < 4 * SESSIONS)
		usleep(1000);
	assert_int_equal(pthread_create(&a.thread, NULL, ask_thread, &a), 0);
	hold(w, &w->ids, 1, sl_bus_worker_new(w->bus, 1), 2);
	asked = gets(w, SL_MSG_ASKED);
	for (uint64_t at = mg_mono_us(); mg_mono_us() - at < WAIT_US && a.status == 0;)
		usleep(1000);
	status = a.status;
	sl_mgmt_stop(w->mgmt, 100);
	stopping = gets(w, SL_MSG_DRAIN);
	f.stop = true;
	pthread_join(f.thread, NULL);
	pthread_join(a.thread, NULL);
	pthread_join(w->thread, NULL);
	sl_mgmt_free(w->mgmt);
	start_mgmt(w);
	sl_bus_worker_done(w->bus, 0, worker_wait(w, SL_MSG_SNAPSHOT));
	second_snapshot(w);
	assert_int_equal(status, 200);
	assert_true(asked);
	assert_true(stopping);
}

/* False: no message is free for 300 ms. */
static bool login(struct world *w, uint32_t index, const char *token)
{
	struct sl_msg *m = NULL;

	for (int i = 0; i < 300 && (m = sl_bus_worker_new(w->bus, 0)) == NULL; i++)
		usleep(1000);
	if (m == NULL)
		return false;
	m->type = SL_MSG_AUTH;
	m->flow = (struct sl_flow_ref){0, index, 9};
	m->auth.session = sl_id_make(&w->ids, mg_wall_us());
	(void)sl_endpoint_parse("10.9.0.1:4000", &m->auth.client);
	snprintf(m->auth.resource, sizeof(m->auth.resource), "shop");
	m->auth.token_n = (uint32_t)strlen(token);
	memcpy(m->auth.token, token, m->auth.token_n);
	worker_send(w, m);
	return true;
}

static int64_t live_sessions(struct world *w)
{
	struct reply r = as(w, "noc", "GET", "/v1/status", NULL, NULL);
	int64_t n = json_integer_value(json_object_get(r.json, "live_sessions"));

	done(&r);
	return n;
}

/*
 * More logins than the worker reads answers, until the management core takes no more; then it learns that the
 * clients of all of them have left. What it has to say needs no message of its own: there is none.
 */
static void test_clients_left(void **state)
{
	struct world *w = *state;
	char *token = token_for(w, "bot", "agents");
	uint32_t nb = 0, taken = 0;
	struct sl_msg *m;

	assert_int_equal(status_as(w, "admins", "PUT", "/v1/credentials/shop-app", JSON_TYPE,
	                           "{\"username\":\"app\",\"password\":\"x\"}"),
	                 204);
	two_workers(w);
	assert_int_equal(status_as(w, "noc", "GET", "/v1/status", NULL, NULL), 200); /* the keys are here */
	while (login(w, nb, token))
		nb++;
	assert_in_range(nb, 2 * RING, 3 * RING);
	assert_in_range(live_sessions(w), RING, nb);
	for (uint64_t at = mg_mono_us(); taken < nb && mg_mono_us() - at < WAIT_US; usleep(1000)) {
		while ((m = sl_bus_worker_recv(w->bus, 0)) != NULL) {
			taken += m->type == SL_MSG_AUTH_OK;
			sl_bus_worker_refuse(w->bus, 0, m);
		}
		sl_bus_worker_kick(w->bus, 0);
	}
	assert_int_equal(taken, nb);
	for (int i = 0; i < 100 && live_sessions(w) > 0; i++)
		usleep(10000);
	assert_int_equal(live_sessions(w), 0);
	free(token);
}

static int both_stop(void **state)
{
	struct world *w = *state;
	struct sl_msg *m = sl_bus_worker_new(w->bus, 1);

	m->type = SL_MSG_STOPPED;
	sl_bus_worker_send(w->bus, 1, m);
	sl_bus_worker_kick(w->bus, 1);
	return teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_others_have_their_turn, setup, both_stop),
	        cmocka_unit_test_setup_teardown(test_clients_left, setup, both_stop),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
