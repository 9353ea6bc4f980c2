/* Verifications that take long: what waits for their end. */
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include "test_slow.h"
#include "test_util.h"

#define NB_RECORDS 1000
#define SLOW_US    10000 /* with so many records 10 s */

struct check {
	struct sl_store *s;
	pthread_t thread;
	_Atomic bool begun;
	int rc;
	struct sl_verify_result r;
};

static void *check_thread(void *arg)
{
	struct check *c = arg;

	c->begun = true;
	c->rc = sl_store_verify(c->s, NULL, &c->r);
	return NULL;
}

static void check_start(struct check *c, struct sl_store *s)
{
	*c = (struct check){.s = s};
	record_check_us = SLOW_US;
	assert_int_equal(pthread_create(&c->thread, NULL, check_thread, c), 0);
	while (!c->begun)
		nap_us(1000);
	nap_us(100000);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* The disk takes records again: they do not wait until all is verified. */
static void test_reopen(void **state)
{
	struct sl_id id = session_id(0, 1);
	struct rlimit old, small;
	struct sl_store *s;
	struct check c;
	uint64_t n = 0, at;
	struct dir d;

	(void)state;
	d = dir_make();
	s = store_up(&d);
	for (; n < NB_RECORDS; n++)
		at = put_record(s, 0, &id, n, n == 0 ? SL_REC_SESSION : SL_REC_DATA);
	wait_durable(s, 0, at);
	check_start(&c, s);
	assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 4096;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	at = put_record(s, 0, &id, n, SL_REC_COMMAND);
	for (int i = 0; i < 5000 && !sl_store_failed(s); i++)
		nap_us(1000);
	assert_true(sl_store_failed(s));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	n = now_ms();
	wait_durable(s, 0, at);
	assert_in_range(now_ms() - n, 0, 4000);
	pthread_join(c.thread, NULL);
	record_check_us = 0;
	assert_int_equal(c.rc, SL_E_STORE_WRITE);
	sl_store_close(s);
	dir_remove(&d);
}

/* Who stops the gateway does not wait for it either; afterwards all is as before. */
static void test_bar(void **state)
{
	struct sl_id id = session_id(0, 1);
	struct sl_verify_result r;
	struct sl_store *s;
	struct check c;
	uint64_t at;
	struct dir d;

	(void)state;
	d = dir_make();
	s = store_up(&d);
	put_session(s, 0, &id, NB_RECORDS, false);
	check_start(&c, s);
	at = now_ms();
	sl_store_verify_bar(s);
	pthread_join(c.thread, NULL);
	record_check_us = 0;
	assert_in_range(now_ms() - at, 0, 2000);
	assert_int_equal(c.rc, SL_E_STORE_WRITE);
	assert_int_equal(c.r.problem[0], 0);
	sl_store_verify_unbar(s);
	id = session_id(0, 2);
	put_session(s, 0, &id, 3, false);
	assert_int_equal(sl_store_verify(s, &id, &r), SL_OK);
	sl_store_close(s);
	dir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_reopen),
	        cmocka_unit_test(test_bar),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
