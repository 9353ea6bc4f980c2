/* The counters in virtual time, the table at its bound, and many threads at one entry. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sl_snapshot.h"
#include "sl_usage.h"

#define S      UINT64_C(1000000)
#define T0     (UINT64_C(1700000000) * S) /* 20 s into a minute */
#define MINUTE (60 * S)
#define DAY    (86400 * S)

static const struct sl_usage_time at0 = {.mono_us = 1000 * S, .wall_us = T0};

static struct sl_usage_key key(uint64_t n)
{
	return (struct sl_usage_key){n * UINT64_C(0x9e3779b97f4a7c15) + 1, n};
}

static uint32_t take(struct sl_usage *u, uint64_t n, uint32_t denials_s)
{
	uint32_t e = SL_USAGE_NONE;

	assert_int_equal(sl_usage_take(u, 0, key(n), denials_s, 0, at0, &e), SL_OK);
	return e;
}

/* ---- rate ---- */

static void test_rate_is_exact(void **state)
{
	const uint64_t interval = S * 1000 / 10; /* 10/s */
	struct sl_usage *u = sl_usage_new(1, 0);
	uint32_t e = take(u, 1, 0);
	uint64_t t = at0.mono_us;

	(void)state;
	for (int i = 0; i < 5; i++)
		assert_true(sl_usage_rate(u, e, t, interval, 5));
	assert_false(sl_usage_rate(u, e, t, interval, 5));
	assert_false(sl_usage_rate(u, e, t + 99999, interval, 5));
	assert_true(sl_usage_rate(u, e, t + 100000, interval, 5));
	assert_false(sl_usage_rate(u, e, t + 100000, interval, 5));
	sl_usage_rate_undo(u, e, interval);
	assert_true(sl_usage_rate(u, e, t + 100000, interval, 5));
	assert_false(sl_usage_rate(u, e, t + 100000, interval, 5));
	/* After a rest there is the burst again, and no more than that. */
	t += 100 * S;
	for (int i = 0; i < 5; i++)
		assert_true(sl_usage_rate(u, e, t, interval, 5));
	assert_false(sl_usage_rate(u, e, t, interval, 5));
	sl_usage_free(u);
}

/* In no stretch of time more than its rate and the burst go, whatever the arrivals are. */
static void test_rate_bound(void **state)
{
	enum {
		N = 20000,
		RATE = 50,
		BURST = 7
	};
	const uint64_t interval = S * 1000 / RATE;
	static uint64_t went[N];
	struct sl_usage *u = sl_usage_new(1, 0);
	unsigned int seed = (unsigned int)time(NULL), n = 0;
	uint32_t e = take(u, 1, 0);
	uint64_t t = at0.mono_us;

	(void)state;
	print_message("seed %u\n", seed);
	for (int i = 0; i < N; i++) {
		t += (uint64_t)(rand_r(&seed) % 8000);
		if (sl_usage_rate(u, e, t, interval, BURST))
			went[n++] = t;
	}
	for (unsigned int i = 0; i + BURST < n; i++)
		for (unsigned int k = i + BURST; k < n && k < i + BURST + 60; k++)
			assert_true((k - i + 1 - BURST) * interval <= (went[k] - went[i]) * 1000);
	/* More came than may go: the rate was used up. */
	assert_in_range(n, (t - at0.mono_us) * RATE / S - 1, (t - at0.mono_us) * RATE / S + BURST + 1);
	sl_usage_free(u);
}

/* ---- windows ---- */

static void test_windows(void **state)
{
	struct sl_usage *u = sl_usage_new(1, 0);
	uint32_t e = take(u, 1, 0);
	uint64_t next_minute = T0 - T0 % MINUTE + MINUTE, next_day = T0 - T0 % DAY + DAY;

	(void)state;
	assert_true(sl_usage_spend(u, e, SL_ROWS_MINUTE, T0, 60, 100));
	assert_int_equal(sl_usage_left(u, e, SL_ROWS_MINUTE, T0, 100), 40);
	assert_false(sl_usage_spend(u, e, SL_ROWS_MINUTE, T0, 41, 100));
	assert_true(sl_usage_spend(u, e, SL_ROWS_MINUTE, next_minute - 1, 40, 100));
	assert_false(sl_usage_spend(u, e, SL_ROWS_MINUTE, next_minute - 1, 1, 100));
	sl_usage_give(u, e, SL_ROWS_MINUTE, next_minute - 1, 10);
	assert_int_equal(sl_usage_left(u, e, SL_ROWS_MINUTE, T0, 100), 10);
	/* The next minute begins anew; a thread whose clock is behind counts in it; what is given back of the
	 * last one is not taken from it. */
	assert_true(sl_usage_spend(u, e, SL_ROWS_MINUTE, next_minute, 100, 100));
	assert_false(sl_usage_spend(u, e, SL_ROWS_MINUTE, next_minute - 1, 1, 100));
	assert_int_equal(sl_usage_left(u, e, SL_ROWS_MINUTE, next_minute + MINUTE, 100), 100);
	/* A day is not a minute. */
	assert_true(sl_usage_spend(u, e, SL_BYTES_DAY, T0, 100, 100));
	assert_false(sl_usage_spend(u, e, SL_BYTES_DAY, next_day - 1, 1, 100));
	assert_true(sl_usage_spend(u, e, SL_BYTES_DAY, next_day, 1, 100));
	/* The clock was set back by an hour: the word is of no time at all. */
	assert_true(sl_usage_spend(u, e, SL_ROWS_MINUTE, T0 - 60 * MINUTE, 100, 100));
	sl_usage_free(u);
}

static void test_window_saturates(void **state)
{
	struct sl_usage *u = sl_usage_new(1, 0);
	uint32_t e = take(u, 1, 0);

	(void)state;
	assert_true(sl_usage_spend(u, e, SL_BYTES_DAY, T0, SL_USAGE_MAX - 1, SL_USAGE_MAX));
	assert_true(sl_usage_spend(u, e, SL_BYTES_DAY, T0, SL_USAGE_MAX, SL_USAGE_MAX));
	assert_int_equal(sl_usage_left(u, e, SL_BYTES_DAY, T0, SL_USAGE_MAX), 0);
	assert_false(sl_usage_spend(u, e, SL_BYTES_DAY, T0, 1, 1000));
	assert_int_equal(sl_usage_left(u, e, SL_BYTES_DAY, T0, 1000), 0);
	sl_usage_free(u);
}

/* ---- denials ---- */

/* No N of them within the window go uncounted, wherever they begin; none counts for longer than 1.25 of it.
 */
static void test_denials(void **state)
{
	struct sl_usage *u = sl_usage_new(1, 0);
	uint32_t e = take(u, 1, 60);

	(void)state;
	for (uint64_t shift = 0; shift < 75; shift += 1) {
		uint64_t t = T0 + shift * S + shift * 1000 * S;

		for (uint32_t i = 0; i < 10; i++)
			assert_int_equal(sl_usage_denied(u, e, t + i * 6 * S), i + 1);
		assert_in_range(sl_usage_denied(u, e, t + 60 * S + 75 * S), 1, 1);
		sl_usage_denied_reset(u, e);
	}
	for (uint32_t i = 0; i < 300; i++)
		(void)sl_usage_denied(u, e, T0);
	assert_int_equal(sl_usage_denied(u, e, T0), 255);
	/* One a window never adds up. */
	sl_usage_denied_reset(u, e);
	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(sl_usage_denied(u, e, T0 + i * 76 * S), 1);
	sl_usage_free(u);
}

/* ---- the table ---- */

static void test_take(void **state)
{
	struct sl_usage *u = sl_usage_new(2, 0);
	uint32_t a, b;

	(void)state;
	assert_int_equal(sl_usage_take(u, 0, key(1), 0, 2, at0, &a), SL_OK);
	assert_int_equal(sl_usage_take(u, 1, key(1), 0, 2, at0, &b), SL_OK);
	assert_int_equal(a, b);
	assert_int_equal(sl_usage_take(u, 1, key(1), 0, 2, at0, &b), SL_E_POLICY_LIMIT);
	assert_int_equal(sl_usage_users(u, a), 2);
	sl_usage_put(u, 0, a);
	assert_int_equal(sl_usage_take(u, 1, key(1), 0, 2, at0, &b), SL_OK);
	assert_int_equal(sl_usage_take(u, 0, key(1), 0, 0, at0, &b), SL_OK);
	assert_int_equal(sl_usage_users(u, a), 3);
	/* What worker 1 held comes free when it is gone. */
	sl_usage_worker_gone(u, 1);
	assert_int_equal(sl_usage_users(u, a), 1);
	sl_usage_free(u);
}

/* Keys of one shard: as many as it has entries, and no more as long as they say something. */
static void test_full(void **state)
{
	struct sl_usage *u = sl_usage_new(1, 0);
	struct sl_usage_time later = {at0.mono_us + S, T0 + S};
	uint32_t e[65];

	(void)state;
	for (uint64_t i = 0; i < 64; i++)
		assert_int_equal(
		        sl_usage_take(u, 0, (struct sl_usage_key){7, i + 1}, i == 1 ? 60 : 0, 0, at0, &e[i]),
		        SL_OK);
	assert_int_equal(sl_usage_take(u, 0, (struct sl_usage_key){7, 99}, 0, 0, at0, &e[64]), SL_E_LIMIT);
	/* Nobody at it, but each still counts something: a rate, denials, a window, a lock. */
	assert_true(sl_usage_rate(u, e[0], at0.mono_us, S * 1000, 1));
	assert_int_equal(sl_usage_denied(u, e[1], T0), 1);
	assert_true(sl_usage_spend(u, e[2], SL_ROWS_MINUTE, T0, 1, 10));
	assert_true(sl_usage_lock(u, e[3]));
	for (int i = 0; i < 4; i++)
		sl_usage_put(u, 0, e[i]);
	assert_int_equal(sl_usage_take(u, 0, (struct sl_usage_key){7, 99}, 0, 0, at0, &e[64]), SL_E_LIMIT);
	/* A second later the rate has run out. */
	assert_int_equal(sl_usage_take(u, 0, (struct sl_usage_key){7, 99}, 0, 0, later, &e[64]), SL_OK);
	assert_int_equal(e[64], e[0]);
	assert_int_equal(sl_usage_take(u, 0, (struct sl_usage_key){7, 98}, 0, 0, later, &e[64]), SL_E_LIMIT);
	later.wall_us += DAY;
	assert_int_equal(sl_usage_take(u, 0, (struct sl_usage_key){7, 98}, 0, 0, later, &e[64]), SL_OK);
	assert_int_equal(sl_usage_take(u, 0, (struct sl_usage_key){7, 97}, 0, 0, later, &e[64]), SL_OK);
	/* The lock stays. */
	assert_int_equal(sl_usage_take(u, 0, (struct sl_usage_key){7, 96}, 0, 0, later, &e[64]), SL_E_LIMIT);
	assert_int_equal(sl_usage_take(u, 0, (struct sl_usage_key){7, 4}, 0, 0, later, &e[64]), SL_OK);
	assert_true(sl_usage_locked(u, e[64]));
	assert_false(sl_usage_lock(u, e[64]));
	sl_usage_free(u);
}

/* Who makes identities chooses their names, and so their keys: 64 of them do not fill the place of another's.
 */
static void test_chosen_names(void **state)
{
	static const char issuer[] = "https://idp.example";
	struct sl_usage *u = sl_usage_new(1, 0);
	struct sl_usage_key victim = sl_usage_identity(issuer, "orders-app"), key;
	uint32_t nb = 0, entry;
	char name[64];

	(void)state;
	for (uint32_t i = 0; nb < 64; i++) {
		snprintf(name, sizeof(name), "system:serviceaccount:eve:a%u", i);
		key = sl_usage_identity(issuer, name);
		if (((key.a ^ victim.a) & (SL_USAGE_ENTRIES_MIN / 64 - 1)) != 0)
			continue;
		assert_int_equal(sl_usage_take(u, 0, key, 0, 0, at0, &entry), SL_OK);
		nb++;
	}
	assert_int_equal(sl_usage_take(u, 0, victim, 0, 0, at0, &entry), SL_OK);
	sl_usage_free(u);
}

static void test_management(void **state)
{
	struct sl_usage *u = sl_usage_new(1, 0), *again = sl_usage_new(1, 0);
	struct sl_usage_day days[4];
	uint32_t e;

	(void)state;
	assert_int_equal(sl_usage_set_lock(u, key(5), true, at0), SL_OK);
	e = take(u, 5, 0);
	assert_true(sl_usage_locked(u, e));
	assert_int_equal(sl_usage_set_lock(u, key(5), false, at0), SL_OK);
	assert_false(sl_usage_locked(u, e));
	assert_true(sl_usage_spend(u, e, SL_ROWS_DAY, T0, 7, 10));
	assert_true(sl_usage_spend(u, e, SL_BYTES_DAY, T0, 700, 1000));
	assert_true(sl_usage_spend(u, take(u, 6, 0), SL_ROWS_MINUTE, T0, 7, 10));
	assert_int_equal(sl_usage_days(u, T0, days, 4), 1);
	assert_int_equal(sl_usage_days(u, T0 + DAY, days + 1, 3), 0);
	assert_int_equal(sl_usage_restore(again, &days[0], at0), SL_OK);
	e = take(again, 5, 0);
	assert_int_equal(sl_usage_left(again, e, SL_ROWS_DAY, T0, 10), 3);
	assert_int_equal(sl_usage_left(again, e, SL_BYTES_DAY, T0, 1000), 300);
	sl_usage_free(u);
	sl_usage_free(again);
}

/* ---- threads ---- */

enum {
	THREADS = 4,
	ROUNDS = 20000
};

struct racer {
	pthread_t thread;
	struct sl_usage *u;
	uint32_t worker, entry;
	uint64_t rows, commands, locks, denials, logins, refused, bad;
};

static void *race(void *arg)
{
	struct racer *r = arg;
	const uint64_t interval = 1000 * 1000; /* 1000/s */
	uint32_t e;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		uint64_t n = 1 + i % 3;
		int rc = sl_usage_take(r->u, r->worker, key(100 + i % 50), 0, 0, at0, &e);

		r->rows += sl_usage_spend(r->u, r->entry, SL_ROWS_DAY, T0, n, 30000) ? n : 0;
		r->commands += sl_usage_rate(r->u, r->entry, at0.mono_us + i, interval, 100);
		r->locks += sl_usage_lock(r->u, r->entry);
		(void)sl_usage_spend(r->u, r->entry, SL_BYTES_DAY, T0, 5, SL_USAGE_MAX);
		sl_usage_give(r->u, r->entry, SL_BYTES_DAY, T0, 5);
		r->refused += rc != SL_OK;
		if (rc != SL_OK)
			continue;
		r->logins++;
		r->bad += sl_usage_users(r->u, e) < 1;
		sl_usage_put(r->u, r->worker, e);
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct sl_usage *u = sl_usage_new(THREADS, 0);
	struct racer r[THREADS] = {0};
	uint64_t rows = 0, commands = 0, locks = 0, logins = 0;
	uint32_t e = take(u, 1, 0);

	(void)state;
	for (uint32_t i = 0; i < THREADS; i++) {
		r[i].u = u;
		r[i].worker = i;
		r[i].entry = e;
		assert_int_equal(pthread_create(&r[i].thread, NULL, race, &r[i]), 0);
	}
	for (uint32_t i = 0; i < THREADS; i++) {
		pthread_join(r[i].thread, NULL);
		rows += r[i].rows;
		commands += r[i].commands;
		locks += r[i].locks;
		logins += r[i].logins;
		assert_int_equal(r[i].bad, 0);
	}
	/* 20000 times 1, 2, 3 rows from 4 threads is far more than 30000: all of them went, and not one more.
	 */
	assert_int_equal(rows, 30000);
	assert_int_equal(sl_usage_left(u, e, SL_ROWS_DAY, T0, 30000), 0);
	assert_int_equal(sl_usage_left(u, e, SL_BYTES_DAY, T0, 1000), 1000);
	/* 20 ms of virtual time at 1000/s, and the burst. */
	assert_in_range(commands, 100, 120);
	assert_int_equal(locks, 1);
	assert_true(logins > 0);
	for (uint64_t i = 0; i < 50; i++)
		assert_int_equal(sl_usage_users(u, take(u, 100 + i, 0)), 1);
	sl_usage_free(u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_rate_is_exact), cmocka_unit_test(test_rate_bound),
	        cmocka_unit_test(test_windows),       cmocka_unit_test(test_window_saturates),
	        cmocka_unit_test(test_denials),       cmocka_unit_test(test_take),
	        cmocka_unit_test(test_full),          cmocka_unit_test(test_chosen_names),
	        cmocka_unit_test(test_management),    cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
