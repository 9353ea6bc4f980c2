#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "sl_yaml.h"

static struct sl_yaml_doc *parse(const char *text)
{
	struct sl_yaml_doc *docs;
	struct sl_yaml_error err;

	assert_int_equal(sl_yaml_parse(sl_span_str(text), &docs, &err), SL_OK);
	return docs;
}

static void refused(const char *text, size_t n, int code, uint32_t line, uint32_t column, const char *part)
{
	struct sl_yaml_doc *docs;
	struct sl_yaml_error err;
	int rc = sl_yaml_parse(sl_span(text, n), &docs, &err);

	if (rc != code || err.line != line || (column != 0 && err.column != column) ||
	    strstr(err.text, part) == NULL)
		fail_msg("rc %d, %u:%u: %s", rc, err.line, err.column, err.text);
	assert_null(docs);
}

static void test_tree_and_places(void **state)
{
	struct sl_yaml_doc *docs = parse("a: 1\nlist:\n  - x\n  - 'y z'\nmap: {k: v}\n---\nsecond: true\n");
	const struct sl_yaml_node *list = sl_yaml_get(docs->root, "list");

	(void)state;
	assert_string_equal(sl_yaml_get(docs->root, "a")->scalar, "1");
	assert_int_equal(list->type, SL_YAML_LIST);
	assert_int_equal(list->key_line, 2);
	assert_int_equal(list->key_column, 1);
	assert_string_equal(list->first->next->scalar, "y z");
	assert_int_equal(list->first->next->line, 4);
	assert_int_equal(list->first->next->column, 5);
	assert_true(list->first->plain);
	assert_false(list->first->next->plain);
	assert_null(list->first->next->next);
	assert_string_equal(sl_yaml_get(sl_yaml_get(docs->root, "map"), "k")->scalar, "v");
	assert_null(sl_yaml_get(docs->root, "none"));
	assert_null(sl_yaml_get(list, "a"));
	assert_non_null(docs->next);
	assert_non_null(sl_yaml_get(docs->next->root, "second"));
	assert_null(docs->next->next);
	sl_yaml_free(docs);
}

static void test_empty(void **state)
{
	struct sl_yaml_doc *docs = parse("");

	(void)state;
	assert_null(docs);
	assert_null(parse("  \n# only a comment\n"));
	docs = parse("---\n---\na: b\n");
	assert_string_equal(docs->root->scalar, "");
	assert_true(docs->root->plain);
	sl_yaml_free(docs);
	sl_yaml_free(NULL);
}

#define REFUSED(text, code, line, column, part) refused(text, sizeof(text) - 1, code, line, column, part)

static void test_refusals(void **state)
{
	(void)state;
	REFUSED("a: 1\nb: 2\na: 3\n", SL_E_POLICY_SYNTAX, 3, 1, "twice");
	REFUSED("a: &x 1\n", SL_E_POLICY_SYNTAX, 1, 4, "anchors");
	REFUSED("a: *x\n", SL_E_POLICY_SYNTAX, 1, 4, "alias");
	REFUSED("a: !!str 1\n", SL_E_POLICY_SYNTAX, 1, 4, "tags");
	REFUSED("a: &x [1]\n", SL_E_POLICY_SYNTAX, 1, 4, "anchors");
	REFUSED("a: !t {b: 1}\n", SL_E_POLICY_SYNTAX, 1, 4, "tags");
	REFUSED("? [a]\n: b\n", SL_E_POLICY_SYNTAX, 1, 3, "simple text");
	REFUSED("a: \"x\\0y\"\n", SL_E_POLICY_SYNTAX, 1, 4, "NUL");
	REFUSED("a: [1, 2\nb: 3\n", SL_E_POLICY_SYNTAX, 2, 0, "");
	REFUSED("a:\n\t- b\n", SL_E_POLICY_SYNTAX, 2, 0, "");
	REFUSED("a: \xff\n", SL_E_POLICY_SYNTAX, 1, 0, "");
	REFUSED("a: \0\n", SL_E_POLICY_SYNTAX, 1, 0, "");
	REFUSED("\xff\xfe\x61\x00", SL_E_POLICY_SYNTAX, 1, 0, "");
}

static void test_bounds(void **state)
{
	char deep[2 * SL_YAML_DEPTH_MAX + 4] = {0};
	size_t big_n = SL_YAML_BYTES_MAX + 1;
	char *big = calloc(1, big_n), *p = big;

	(void)state;
	memset(deep, '[', SL_YAML_DEPTH_MAX + 1);
	memset(deep + SL_YAML_DEPTH_MAX + 1, ']', SL_YAML_DEPTH_MAX + 1);
	refused(deep, sizeof(deep) - 2, SL_E_LIMIT, 1, 0, "deeper");
	sl_yaml_free(parse("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"));
	assert_non_null(big);
	refused(big, big_n, SL_E_LIMIT, 0, 0, "longer");
	for (int i = 0; i <= SL_YAML_MEMBERS_MAX; i++)
		p += sprintf(p, "k%d: 1\n", i);
	refused(big, (size_t)(p - big), SL_E_LIMIT, SL_YAML_MEMBERS_MAX + 1, 1, "keys");
	p = big;
	for (int i = 0; i <= SL_YAML_NODES_MAX; i++)
		p += sprintf(p, "- 1\n");
	refused(big, (size_t)(p - big), SL_E_LIMIT, SL_YAML_NODES_MAX - 2, 0, "nodes");
	free(big);
}

static void test_values(void **state)
{
	struct sl_yaml_doc *docs =
	        parse("{t: true, f: false, y: yes, q: 'true', n: 42, neg: -1, big: 99999999999999999999, "
	              "ms: 1500ms, s: 30s, m: 2m, h: 3h, d: 1d, w: 1w, K: 4K, G: 2G, x: 1Kx, over: "
	              "99999999999999999G, e: , l: []}");
	const struct sl_yaml_node *r = docs->root;
	uint64_t v = 0;
	bool b = false;

	(void)state;
	assert_int_equal(sl_yaml_bool(sl_yaml_get(r, "t"), &b), SL_OK);
	assert_true(b);
	assert_int_equal(sl_yaml_bool(sl_yaml_get(r, "f"), &b), SL_OK);
	assert_false(b);
	assert_int_equal(sl_yaml_bool(sl_yaml_get(r, "y"), &b), SL_E_POLICY_SYNTAX);
	assert_int_equal(sl_yaml_bool(sl_yaml_get(r, "q"), &b), SL_E_POLICY_SYNTAX);
	assert_int_equal(sl_yaml_bool(NULL, &b), SL_E_POLICY_SYNTAX);
	assert_int_equal(sl_yaml_uint(sl_yaml_get(r, "n"), &v), SL_OK);
	assert_int_equal(v, 42);
	assert_int_equal(sl_yaml_uint(sl_yaml_get(r, "neg"), &v), SL_E_POLICY_SYNTAX);
	assert_int_equal(sl_yaml_uint(sl_yaml_get(r, "big"), &v), SL_E_POLICY_SYNTAX);
	assert_int_equal(sl_yaml_uint(sl_yaml_get(r, "e"), &v), SL_E_POLICY_SYNTAX);
	assert_int_equal(sl_yaml_uint(sl_yaml_get(r, "l"), &v), SL_E_POLICY_SYNTAX);
	assert_int_equal(sl_yaml_duration_s(sl_yaml_get(r, "ms"), &v), SL_OK);
	assert_int_equal(v, 2);
	assert_int_equal(sl_yaml_duration_s(sl_yaml_get(r, "s"), &v), SL_OK);
	assert_int_equal(v, 30);
	assert_int_equal(sl_yaml_duration_s(sl_yaml_get(r, "m"), &v), SL_OK);
	assert_int_equal(v, 120);
	assert_int_equal(sl_yaml_duration_s(sl_yaml_get(r, "h"), &v), SL_OK);
	assert_int_equal(v, 10800);
	assert_int_equal(sl_yaml_duration_s(sl_yaml_get(r, "d"), &v), SL_OK);
	assert_int_equal(v, 86400);
	assert_int_equal(sl_yaml_duration_s(sl_yaml_get(r, "w"), &v), SL_E_POLICY_SYNTAX);
	assert_int_equal(sl_yaml_bytes(sl_yaml_get(r, "K"), &v), SL_OK);
	assert_int_equal(v, 4096);
	assert_int_equal(sl_yaml_bytes(sl_yaml_get(r, "G"), &v), SL_OK);
	assert_int_equal(v, UINT64_C(2) << 30);
	assert_int_equal(sl_yaml_bytes(sl_yaml_get(r, "x"), &v), SL_E_POLICY_SYNTAX);
	assert_int_equal(sl_yaml_bytes(sl_yaml_get(r, "over"), &v), SL_E_POLICY_SYNTAX);
	sl_yaml_free(docs);
}

static void test_times_and_rates(void **state)
{
	static const struct {
		const char *text;
		int64_t us, ppm; /* < 0: refused */
	} cases[] = {
	        {"250us", 250, -1},
	        {"3ms", 3000, -1},
	        {"2", 2000000, -1},
	        {"2s", 2000000, -1},
	        {"1m", 60000000, -1},
	        {"1h", 3600000000, -1},
	        {"1d", 86400000000, -1},
	        {"1.5s", -1, -1},
	        {"ms", -1, -1},
	        {"30ppm", -1, 30},
	        {"1%", -1, 10000},
	        {"0.25%", -1, 2500},
	        {"0.0001%", -1, 1},
	        {"0.00001%", -1, -1},
	        {"100%", -1, 1000000},
	        {"12.3456%", -1, 123456},
	        {"1.%", -1, -1},
	        {".5%", -1, -1},
	        {"1.5", -1, -1},
	        {"1.5ppm", -1, -1},
	        {"-1%", -1, -1},
	        {"'1%'", -1, -1},
	        {"99999999999.1%", -1, -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[64];
		struct sl_yaml_doc *docs;
		const struct sl_yaml_node *n;
		uint64_t v = 0;

		snprintf(text, sizeof(text), "{v: %s}", cases[i].text);
		docs = parse(text);
		n = sl_yaml_get(docs->root, "v");
		assert_int_equal(sl_yaml_duration_us(n, &v), cases[i].us < 0 ? SL_E_POLICY_SYNTAX : SL_OK);
		assert_true(cases[i].us < 0 || v == (uint64_t)cases[i].us);
		assert_int_equal(sl_yaml_ppm(n, &v), cases[i].ppm < 0 ? SL_E_POLICY_SYNTAX : SL_OK);
		assert_true(cases[i].ppm < 0 || v == (uint64_t)cases[i].ppm);
		sl_yaml_free(docs);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_tree_and_places), cmocka_unit_test(test_empty),
	        cmocka_unit_test(test_refusals),        cmocka_unit_test(test_bounds),
	        cmocka_unit_test(test_values),          cmocka_unit_test(test_times_and_rates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
