#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "sl_snapshot.h"

static void test_glob(void **state)
{
	static const struct {
		const char *glob, *text;
		bool match;
	} rows[] = {
	        {"", "", true},           {"", "a", false},
	        {"*", "", true},          {"*", "abc", true},
	        {"**", "abc", true},      {"?", "", false},
	        {"?", "x", true},         {"?", "xy", false},
	        {"abc", "ABC", true},     {"ABC", "abc", true},
	        {"a*c", "abbc", true},    {"a*c", "abbd", false},
	        {"a*b*c", "a1b2c", true}, {"*ab", "aab", true},
	        {"*ab*", "xxabyy", true}, {"a?c", "abc", true},
	        {"a?c", "ac", false},     {"abc", "ab", false},
	        {"ab", "abc", false},     {"*a*a*a*b", "aaaaaaa", false},
	        {"[a]", "a", false},      {"[a]", "[A]", true},
	        {"?", "ü", true},         {"??", "ü", false},
	        {"a?c", "aüc", true},     {"*?", "xü", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (sl_glob_match(rows[i].glob, sl_span_str(rows[i].text)) != rows[i].match)
			fail_msg("%s ~ %s", rows[i].glob, rows[i].text);
	}
}

static void test_glob_cost(void **state)
{
	size_t n = 1 << 20;
	char *text = malloc(n);

	(void)state;
	assert_non_null(text);
	memset(text, 'a', n);
	assert_false(sl_glob_match("*a*a*a*a*a*a*a*a*a*a*b", sl_span(text, n)));
	free(text);
}

static void test_resource_and_counts(void **state)
{
	struct sl_resource res[] = {{.name = "a"}, {.name = "shop"}};
	struct sl_snapshot s = {.refs = 1, .resources = res, .nb_resources = 2};

	(void)state;
	assert_ptr_equal(sl_snapshot_resource(&s, SL_SPAN_LIT("shop")), &res[1]);
	assert_null(sl_snapshot_resource(&s, SL_SPAN_LIT("Shop")));
	assert_null(sl_snapshot_resource(&s, SL_SPAN_EMPTY));
	assert_ptr_equal(sl_snapshot_ref(&s), &s);
	assert_false(sl_snapshot_unref(&s));
	assert_true(sl_snapshot_unref(&s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_glob),
	        cmocka_unit_test(test_glob_cost),
	        cmocka_unit_test(test_resource_and_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
