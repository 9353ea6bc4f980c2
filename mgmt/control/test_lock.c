/* Locks of identities, and what limits have used, on a real store: both outlive a restart. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "lock.h"
#include "sl_log.h"
#include "sl_snapshot.h"
#include "test_store.h"
#include "usage.h"

struct world {
	struct test_dir dir;
	struct event_base *base;
	struct sl_store *store;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	sl_log_set_level(SL_LOG_ERROR);
	test_dir_make(&w->dir);
	w->base = event_base_new();
	w->store = test_dir_open(&w->dir);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	sl_store_close(w->store);
	event_base_free(w->base);
	test_dir_remove(&w->dir);
	free(w);
	return 0;
}

static void who(struct sl_identity *i, const char *subject)
{
	memset(i, 0, sizeof(*i));
	snprintf(i->issuer, sizeof(i->issuer), "iss");
	snprintf(i->subject, sizeof(i->subject), "%s", subject);
	snprintf(i->name, sizeof(i->name), "%s", subject);
}

static void on_kill(void *ctx, uint32_t worker, const struct sl_msg *msg)
{
	unsigned *killed = ctx;

	assert_int_equal(msg->type, SL_MSG_KILL);
	assert_int_equal(msg->flow.generation, 0);
	assert_string_equal(msg->identity.subject, "s1");
	killed[worker]++;
}

static struct sl_usage_time now(void)
{
	return (struct sl_usage_time){mg_mono_us(), mg_wall_us()};
}

static bool is_locked(struct sl_usage *u, const char *subject)
{
	uint32_t e;
	bool locked;

	assert_int_equal(sl_usage_take(u, 0, sl_usage_identity("iss", subject), 0, 0, now(), &e), SL_OK);
	locked = sl_usage_locked(u, e);
	sl_usage_put(u, 0, e);
	return locked;
}

static void test_locks(void **state)
{
	struct world *w = *state;
	struct sl_usage *u = sl_usage_new(2, 0);
	struct sl_msg_locked m = {.denials = 3, .window_s = 60, .breaker = "Breaker/b", .wall_us = 77};
	struct sl_identity operator;
	unsigned killed[2] = {0};
	struct mg_locks *l;
	json_t *list = json_array(), *doc = NULL;
	char id[64];

	who(&m.identity, "s1");
	who(&operator, "op");
	assert_int_equal(mg_locks_new(w->store, u, 2, on_kill, killed, &l), SL_OK);
	assert_false(mg_locks_has(l, "iss", "s1"));
	mg_locks_add(l, &m);
	mg_locks_add(l, &m); /* two workers at once: still one lock */
	assert_true(mg_locks_has(l, "iss", "s1") && mg_locks_nb(l) == 1);
	assert_false(mg_locks_has(l, "other", "s1") || mg_locks_has(l, "iss", "s2"));
	assert_true(killed[0] == 2 && killed[1] == 2);
	mg_locks_free(l);
	sl_usage_free(u);
	/* After a restart it is there, and in the table. */
	u = sl_usage_new(2, 0);
	assert_int_equal(mg_locks_new(w->store, u, 2, on_kill, killed, &l), SL_OK);
	assert_true(mg_locks_has(l, "iss", "s1") && is_locked(u, "s1") && !is_locked(u, "s2"));
	mg_locks_list(l, list);
	assert_int_equal(json_array_size(list), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "breaker")),
	                    "Breaker/b");
	snprintf(id, sizeof(id), "%s", json_string_value(json_object_get(json_array_get(list, 0), "id")));
	assert_int_equal(mg_locks_release(l, "nothing", &operator, & doc), SL_E_NOTFOUND);
	assert_int_equal(mg_locks_release(l, "00000000000000000000000000000000", &operator, & doc),
	                 SL_E_NOTFOUND);
	assert_int_equal(mg_locks_release(l, id, &m.identity, &doc), SL_E_POLICY_DENIED);
	assert_int_equal(mg_locks_release(l, id, &operator, & doc), SL_OK);
	assert_string_equal(json_string_value(json_object_get(doc, "subject")), "s1");
	assert_true(!mg_locks_has(l, "iss", "s1") && !is_locked(u, "s1") && mg_locks_nb(l) == 0);
	assert_int_equal(mg_locks_release(l, id, &operator, & doc), SL_E_NOTFOUND);
	mg_locks_free(l);
	assert_int_equal(mg_locks_new(w->store, u, 2, on_kill, killed, &l), SL_OK);
	assert_int_equal(mg_locks_nb(l), 0);
	mg_locks_free(l);
	json_decref(list);
	json_decref(doc);
	sl_usage_free(u);
}

/* Locks beyond the bound hold until the gateway stops (docs/limits.md), and do not keep it from starting
 * again. */
static void test_too_many_locks(void **state)
{
	struct world *w = *state;
	struct sl_usage *u = sl_usage_new(1, 0);
	struct sl_msg_locked m = {.denials = 3, .window_s = 60, .breaker = "Breaker/b", .wall_us = 77};
	struct mg_locks *l;
	char subject[32];

	sl_log_set_level((enum sl_log_level) - 1);
	assert_int_equal(mg_locks_new(w->store, u, 0, NULL, NULL, &l), SL_OK);
	for (int i = 0; i < MG_LOCKS_MAX + 1; i++) {
		snprintf(subject, sizeof(subject), "job-%d", i);
		who(&m.identity, subject);
		mg_locks_add(l, &m);
	}
	assert_int_equal(mg_locks_nb(l), MG_LOCKS_MAX);
	mg_locks_free(l);
	assert_int_equal(mg_locks_new(w->store, u, 0, NULL, NULL, &l), SL_OK);
	assert_int_equal(mg_locks_nb(l), MG_LOCKS_MAX);
	mg_locks_free(l);
	/* One more than it takes in the store all the same: another gateway's, or another version's. */
	assert_int_equal(sl_store_put(w->store, "lock", SL_SPAN_LIT("0"),
	                              SL_SPAN_LIT("{\"issuer\":\"iss\",\"subject\":\"more\"}")),
	                 SL_OK);
	assert_int_equal(mg_locks_new(w->store, u, 0, NULL, NULL, &l), SL_OK);
	assert_int_equal(mg_locks_nb(l), MG_LOCKS_MAX);
	assert_true(is_locked(u, "more"));
	mg_locks_free(l);
	sl_usage_free(u);
	sl_log_set_level(SL_LOG_ERROR);
}

static void on_kill_of_all(void *ctx, uint32_t worker, const struct sl_msg *msg)
{
	on_kill(ctx, worker, msg);
	assert_string_equal(msg->identity.issuer, "iss");
	assert_string_equal(msg->identity.credential, "");
}

/* Who trips a breaker by a session credential is locked as who they are: all of their sessions end. */
static void test_lock_of_credential(void **state)
{
	struct world *w = *state;
	struct sl_msg_locked m = {.denials = 3, .window_s = 60, .breaker = "Breaker/b", .wall_us = 77};
	unsigned killed[2] = {0};
	struct mg_locks *l;

	who(&m.identity, "s1");
	snprintf(m.identity.credential, sizeof(m.identity.credential), "aaaaaaaaaaaa");
	assert_int_equal(mg_locks_new(w->store, NULL, 2, on_kill_of_all, killed, &l), SL_OK);
	mg_locks_add(l, &m);
	assert_true(killed[0] == 1 && killed[1] == 1);
	mg_locks_free(l);
}

static void test_usage_kept(void **state)
{
	struct world *w = *state;
	struct sl_usage_key key = {1, 2};
	struct sl_usage *u = sl_usage_new(1, 0);
	struct mg_usage *k;
	uint32_t e;

	assert_int_equal(mg_usage_new(w->base, w->store, u, &k), SL_OK);
	assert_int_equal(sl_usage_take(u, 0, key, 0, 0, now(), &e), SL_OK);
	assert_true(sl_usage_spend(u, e, SL_ROWS_DAY, mg_wall_us(), 30, 100));
	mg_usage_free(k);
	sl_usage_free(u);
	u = sl_usage_new(1, 0);
	assert_int_equal(mg_usage_new(w->base, w->store, u, &k), SL_OK);
	assert_int_equal(sl_usage_take(u, 0, key, 0, 0, now(), &e), SL_OK);
	/* Unless midnight was in between. */
	assert_true(sl_usage_left(u, e, SL_ROWS_DAY, mg_wall_us(), 100) == 70 ||
	            mg_wall_us() / 1000000 % 86400 < 10);
	mg_usage_free(k);
	sl_usage_free(u);
	/* What cannot be read does not keep the gateway from starting. */
	assert_int_equal(sl_store_put(w->store, "usage", SL_SPAN_LIT("day"), SL_SPAN_LIT("??")), SL_OK);
	u = sl_usage_new(1, 0);
	sl_log_set_level(SL_LOG_ERROR);
	assert_int_equal(mg_usage_new(w->base, w->store, u, &k), SL_OK);
	mg_usage_free(k);
	sl_usage_free(u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_locks, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_too_many_locks, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_lock_of_credential, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_usage_kept, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
