/* sl_store_close() commits what waits, wherever the store's thread is when it is told to stop. */
#include "test_close.h"

#include "store_priv.h"
#include "test_util.h"

static struct sl_store *the_store;
static _Atomic bool armed, waits;

static bool is_set(const _Atomic bool *b)
{
	return atomic_load_explicit(b, memory_order_acquire);
}

/* At its next look at `stop` the thread waits until it is told to. */
void test_look(const char *function, const void *p)
{
	if (!is_set(&armed) || p != &the_store->stop || strcmp(function, "store_main") != 0)
		return;
	atomic_store(&waits, true);
	while (atomic_load_explicit(&the_store->stop, memory_order_acquire) == 0)
		nap_us(100);
}

static int last_kind(void *ctx, uint64_t number, struct sl_span rec)
{
	(void)number;
	*(uint64_t *)ctx = sl_record_get(rec, "k").u;
	return 0;
}

static void test_put_before_close(void **state)
{
	struct sl_id id = session_id(0, 1);
	uint64_t kind = 0;
	struct sl_store *s;
	struct dir d;

	(void)state;
	d = dir_make();
	s = store_up(&d);
	wait_durable(s, 0, put_record(s, 0, &id, 0, SL_REC_SESSION));
	the_store = s;
	atomic_store(&armed, true);
	for (int i = 0; i < 30000 && !is_set(&waits); i++)
		nap_us(100);
	assert_true(is_set(&waits));
	(void)put_record(s, 0, &id, 1, SL_REC_END); /* the worker's last word; then it has stopped */
	sl_store_close(s);
	atomic_store(&armed, false);
	s = store_up(&d);
	assert_int_equal(sl_store_records(s, &id, 0, last_kind, &kind), 0);
	assert_int_equal(kind, SL_REC_END); /* and not the gap of a session that lost its end */
	sl_store_close(s);
	dir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_put_before_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
