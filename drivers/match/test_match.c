#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sl_match.h"

struct hits {
	uint32_t nb, last_id;
	size_t from, to;
	uint32_t stop_after;
};

static int on_hit(void *ctx, uint32_t id, size_t from, size_t to)
{
	struct hits *h = ctx;

	h->nb++;
	h->last_id = id;
	h->from = from;
	h->to = to;
	return h->stop_after != 0 && h->nb >= h->stop_after;
}

static struct sl_match_db *compile(const struct sl_match_pattern *p, uint32_t n)
{
	struct sl_match_db *db;
	char err[128];
	int bad;

	assert_int_equal(sl_match_compile(p, n, &db, &bad, err, sizeof(err)), SL_OK);
	return db;
}

static struct hits scan(const struct sl_match_db *db, struct sl_span text, uint32_t stop_after)
{
	struct hits h = {.stop_after = stop_after};
	struct sl_match_scratch *s;

	assert_int_equal(sl_match_scratch_new(db, &s), SL_OK);
	assert_int_equal(sl_match_scan(db, s, text, on_hit, &h), SL_OK);
	sl_match_scratch_free(s);
	return h;
}

static void test_flags(void **state)
{
	const struct sl_match_pattern p[] = {
	        {"sal.ary", 7, SL_MATCH_CASELESS | SL_MATCH_DOTALL | SL_MATCH_ONCE},
	        {"exact", 8, 0},
	};
	struct sl_match_db *db = compile(p, 2);
	struct hits h = scan(db, SL_SPAN_LIT("x SAL\nARY sal-ary"), 0);

	(void)state;
	assert_int_equal(h.nb, 1);
	assert_int_equal(h.last_id, 7);
	assert_int_equal(h.from, 0);
	assert_int_equal(scan(db, SL_SPAN_LIT("EXACT"), 0).nb, 0);
	assert_int_equal(scan(db, SL_SPAN_LIT("exact"), 0).last_id, 8);
	sl_match_free(db);
}

static void test_start_and_stop(void **state)
{
	const struct sl_match_pattern p = {"b+c", 3, SL_MATCH_START};
	struct sl_match_db *db = compile(&p, 1);
	struct hits h = scan(db, SL_SPAN_LIT("aabbbc"), 0);

	(void)state;
	assert_int_equal(h.from, 2);
	assert_int_equal(h.to, 6);
	assert_int_equal(scan(db, SL_SPAN_LIT("bc bc bc"), 0).nb, 3);
	assert_int_equal(scan(db, SL_SPAN_LIT("bc bc bc"), 1).nb, 1);
	sl_match_free(db);
}

static void test_no_patterns(void **state)
{
	struct sl_match_db *db = compile(NULL, 0);

	(void)state;
	assert_int_equal(scan(db, SL_SPAN_LIT("anything"), 0).nb, 0);
	sl_match_free(db);
	sl_match_free(NULL);
	sl_match_scratch_free(NULL);
}

static void test_empty_span(void **state)
{
	const struct sl_match_pattern p = {"a", 1, 0};
	struct sl_match_db *db = compile(&p, 1);

	(void)state;
	assert_int_equal(scan(db, SL_SPAN_EMPTY, 0).nb, 0);
	sl_match_free(db);
}

static void test_bad_pattern(void **state)
{
	const struct sl_match_pattern p[] = {{"good", 1, 0}, {"bad(", 2, 0}, {"good", 3, 0}};
	struct sl_match_db *db = (struct sl_match_db *)(uintptr_t)1;
	char err[128];
	int bad = 99;

	(void)state;
	assert_int_equal(sl_match_compile(p, 3, &db, &bad, err, sizeof(err)), SL_E_POLICY_PATTERN);
	assert_null(db);
	assert_int_equal(bad, 1);
	assert_true(strlen(err) > 5);
	/* matches the empty string: would match everything */
	assert_int_equal(
	        sl_match_compile(&(struct sl_match_pattern){"a*", 1, 0}, 1, &db, &bad, err, sizeof(err)),
	        SL_E_POLICY_PATTERN);
}

static void test_broken_contract_is_an_error(void **state)
{
	const struct sl_match_pattern p = {"a", 1, 0};
	struct sl_match_db *db = compile(&p, 1), *empty = compile(NULL, 0);
	struct sl_match_scratch *s;
	struct hits h = {0};

	(void)state;
	assert_int_equal(sl_match_scratch_new(empty, &s), SL_OK);
	/* a scratch of another database: never "no match" */
	assert_true(sl_match_scan(db, s, SL_SPAN_LIT("a"), on_hit, &h) < 0);
	assert_true(sl_match_scan(db, NULL, SL_SPAN_LIT("a"), on_hit, &h) < 0);
	assert_int_equal(h.nb, 0);
	sl_match_scratch_free(s);
	sl_match_free(db);
	sl_match_free(empty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_flags),       cmocka_unit_test(test_start_and_stop),
	        cmocka_unit_test(test_no_patterns), cmocka_unit_test(test_empty_span),
	        cmocka_unit_test(test_bad_pattern), cmocka_unit_test(test_broken_contract_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
