/* Stopping: while a verification runs, in which each record takes 10 ms, more than once, and
 * too late. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "test_gateway.h"
#include "test_slow.h"

#define NB_RECORDS 1000
#define SLOW_US    10000 /* with so many records 10 s */

static void put_records(struct world *w)
{
	struct sl_id id = sl_id_make(&w->ids, mg_wall_us());
	uint64_t last = 0;

	for (uint64_t i = 0; i < NB_RECORDS; i++) {
		struct sl_record_writer rw;
		struct sl_block *b;

		while ((b = sl_store_block_get(w->store, 0)) == NULL)
			usleep(100);
		b->session = id;
		b->record = i;
		b->kind = i == 0 ? SL_REC_SESSION : SL_REC_DATA;
		sl_record_begin(&rw, b->data, sizeof(b->data), (enum sl_record_kind)b->kind, mg_wall_us(), i,
		                0);
		b->n = (uint16_t)sl_record_end(&rw);
		last = sl_store_block_put(w->store, 0, b);
		sl_store_kick(w->store, 0);
	}
	while (sl_store_durable(w->store, 0) < last)
		usleep(100);
}

static void *verify_thread(void *arg)
{
	struct world *w = arg;

	(void)status_as(w, "ops", "POST", "/v1/verify", NULL, NULL);
	return NULL;
}

static void test_stop_verifying(void **state)
{
	struct world *w = *state;
	pthread_t thread;
	uint64_t at;

	put_records(w);
	record_check_us = SLOW_US;
	assert_int_equal(pthread_create(&thread, NULL, verify_thread, w), 0);
	usleep(1000000);
	at = mg_mono_us();
	stop_mgmt(w);
	assert_in_range(mg_mono_us() - at, 0, 3000000);
	pthread_join(thread, NULL);
	record_check_us = 0;
	start_mgmt(w);
	sl_bus_worker_done(w->bus, 0, worker_wait(w, SL_MSG_SNAPSHOT));
}

static uint64_t drain_until(struct world *w)
{
	struct sl_msg *m = worker_wait(w, SL_MSG_DRAIN);
	uint64_t until = m->deadline_us;

	sl_bus_worker_done(w->bus, 0, m);
	return until;
}

/* Who asks again and again does not put the end off; who asks for less is heard. */
static void test_stop_again(void **state)
{
	struct world *w = *state;
	uint64_t first, at = mg_mono_us();

	sl_mgmt_stop(w->mgmt, 20000);
	first = drain_until(w);
	assert_in_range(first, at + 20000000, mg_mono_us() + 20000000);
	usleep(100000);
	sl_mgmt_stop(w->mgmt, 20000);
	assert_int_equal(drain_until(w), first);
	at = mg_mono_us();
	sl_mgmt_stop(w->mgmt, 5000);
	first = drain_until(w);
	assert_in_range(first, at + 5000000, mg_mono_us() + 5000000);
}

/* A stop that no worker answered in time; what one has still to say comes when the loop has ended. */
static void stop_late(struct world *w, const char *subject)
{
	struct sl_msg *m;

	sl_mgmt_stop(w->mgmt, 0);
	sl_bus_worker_done(w->bus, 0, worker_wait(w, SL_MSG_DRAIN));
	pthread_join(w->thread, NULL);
	give_back(w);
	m = sl_bus_worker_new(w->bus, 0);
	assert_non_null(m);
	m->type = SL_MSG_LOCKED;
	memset(&m->locked, 0, sizeof(m->locked));
	m->locked.denials = 3;
	m->locked.window_s = 60;
	m->locked.wall_us = mg_wall_us();
	snprintf(m->locked.breaker, sizeof(m->locked.breaker), "Breaker/b");
	snprintf(m->locked.identity.issuer, sizeof(m->locked.identity.issuer), "%s", w->idp.issuer);
	snprintf(m->locked.identity.subject, sizeof(m->locked.identity.subject), "%s", subject);
	sl_bus_worker_send(w->bus, 0, m);
	sl_mgmt_free(w->mgmt);
}

/* Who was locked while the gateway stopped is locked when it has started again. */
static void test_locked_at_the_end(void **state)
{
	struct world *w = *state;
	json_t *locks;
	struct reply r;

	stop_late(w, "bot");
	start_mgmt(w);
	sl_bus_worker_done(w->bus, 0, worker_wait(w, SL_MSG_SNAPSHOT));
	r = as(w, "ops", "GET", "/v1/locks", NULL, NULL);
	assert_int_equal(r.status, 200);
	locks = json_object_get(r.json, "locks");
	assert_int_equal(json_array_size(locks), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(locks, 0), "subject")), "bot");
	done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_stop_verifying, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_stop_again, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_locked_at_the_end, setup, teardown),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
