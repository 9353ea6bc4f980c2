/*
 * Catalogs from answers of a real PostgreSQL 15 (testdata/pg15.txt: the answer to the query for the masks
 * below over testdata/schema.sql, in COPY's text format; `test_catalog query` prints the query).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rule.h"
#include "sl_catalog_build.h"
#include "sl_err.h"

#define SSN  1u
#define NAME 2u
#define CARD 4u
#define ODD  16u
#define ALL  (SSN | NAME | CARD | ODD)

#define LINE_MAX_BYTES (64 * 1024)

static const char *data = "testdata/pg15.txt";

#define LIST(...)                                                                                            \
	{                                                                                                    \
		.v = (const char *[]){__VA_ARGS__},                                                          \
		.nb = sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *)                           \
	}

static struct sl_mask masks[] = {
        {.name = "ssn", .columns = LIST("ssn")},
        {.name = "name", .columns = LIST("HR.People.Na?e")},
        {.name = "card", .types = LIST("card")},
        {.name = "content", .has_content = true},
        {.name = "odd", .columns = LIST("it's!_%\\x", "a.b.*"), .servers = LIST("shard_*")},
};

static struct sl_snapshot snapshot = {.masks = masks, .nb_masks = 5};

/* ---- reading the answer ---- */

static size_t unescape(char *s)
{
	char *to = s;

	for (const char *p = s; *p != '\0'; p++) {
		if (*p == '\\' && p[1] != '\0') {
			p++;
			*to++ = *p == 't' ? '\t' : *p == 'n' ? '\n' : *p == 'r' ? '\r' : *p;
		} else {
			*to++ = *p;
		}
	}
	*to = '\0';
	return (size_t)(to - s);
}

static void split(char *line, struct sl_span col[SL_CATALOG_COLUMNS])
{
	char *at = line;

	line[strcspn(line, "\n")] = '\0';
	for (int i = 0; i < SL_CATALOG_COLUMNS; i++) {
		char *one = strsep(&at, "\t");

		assert_non_null(one);
		col[i] = SL_SPAN_EMPTY;
		if (strcmp(one, "\\N") != 0)
			col[i] = sl_span(one, unescape(one));
	}
	assert_null(at);
}

/* Feeds the answer; stops at an error. `skip`: kinds of rows that are left out. */
static int feed(struct sl_catalog_builder *b, const char *skip)
{
	FILE *f = fopen(data, "r");
	char *line = malloc(LINE_MAX_BYTES);
	int rc = SL_OK, nb = 0;

	assert_non_null(f);
	assert_non_null(line);
	while (rc == SL_OK && fgets(line, LINE_MAX_BYTES, f) != NULL) {
		struct sl_span col[SL_CATALOG_COLUMNS];

		if (strchr(skip, line[0]) != NULL)
			continue;
		split(line, col);
		rc = sl_catalog_row(b, col);
		nb++;
	}
	assert_true(nb > 300);
	free(line);
	assert_int_equal(fclose(f), 0);
	return rc;
}

static struct sl_catalog *load(const char *skip)
{
	struct sl_catalog_builder *b = sl_catalog_begin(&snapshot);
	struct sl_catalog *c = NULL;

	assert_non_null(b);
	assert_int_equal(feed(b, skip), SL_OK);
	assert_int_equal(sl_catalog_end(b, &c), SL_OK);
	assert_non_null(c);
	return c;
}

static const struct sl_catalog_relation *relation(const struct sl_catalog *c, const char *name)
{
	uint32_t at = 0;

	return sl_catalog_find(c, SL_SPAN_EMPTY, sl_span_str(name), &at);
}

static void expect(const struct sl_catalog *c, const char *rel, const char *column, uint64_t hidden,
                   uint64_t derived)
{
	const struct sl_catalog_relation *r = relation(c, rel);

	if (r == NULL) {
		if (hidden != 0 || derived != 0)
			fail_msg("%s is not there", rel);
		return;
	}
	for (uint32_t i = 0; i < r->nb_columns; i++) {
		const struct sl_catalog_column *k = &r->columns[i];

		if (!sl_span_is(k->name, column))
			continue;
		if (k->hidden.w[0] != hidden || k->derived.w[0] != derived)
			fail_msg("%s.%s: hidden %llx derived %llx", rel, column,
			         (unsigned long long)k->hidden.w[0], (unsigned long long)k->derived.w[0]);
		assert_ptr_equal(sl_catalog_column(c, r->oid, k->attr), k);
		return;
	}
	fail_msg("%s.%s is not there", rel, column);
}

/* ---- what is hidden, and what comes of it ---- */

/* What the columns of the captured database hide, by themselves and by what they are made of. */
static const struct {
	const char *relation, *column;
	uint64_t hidden, derived;
} captured[] = {
        {"people", "id", 0, 0},
        {"people", "name", NAME, 0},
        {"people", "ssn", SSN, 0},
        {"people", "card", CARD, 0},
        {"people", "mood", 0, 0},
        {"people", "tail", 0, SSN},
        {"people", "up", 0, NAME},
        {"staff", "name", NAME, 0}, /* by its parent */
        {"staff", "ssn", SSN, 0},
        {"staff", "tail", 0, SSN},
        {"staff", "office", 0, 0},
        {"parted", "ssn", SSN, 0},
        {"parted_1", "ssn", SSN, 0},
        {"parted_1", "day", 0, 0},
        {"v_copy", "id", 0, 0},
        {"v_copy", "number", SSN, 0},
        {"v_copy", "n", 0, NAME},
        {"v_copy", "t", 0, 0},
        {"v_on_v", "x", SSN, 0},
        {"v_on_v", "id", 0, 0},
        {"v_calc", "s", 0, SSN},
        {"v_calc", "nn", 0, NAME},
        {"v_calc", "c", 0, 0},
        {"v_sub", "y", 0, SSN},
        {"v_sub", "m", 0, SSN},
        {"v_sub", "i", 0, 0},
        {"v_union", "a", SSN, 0},
        {"v_union", "id", 0, 0},
        {"v_union2", "a", 0, SSN},
        {"v_union2", "id", 0, 0},
        {"v_cte", "z", SSN, 0},
        {"v_cte", "l", 0, SSN},
        {"v_cte", "id", 0, 0},
        {"v_rec", "s", 0, SSN},
        {"v_rec", "n", 0, 0},
        {"v_join", "ssn", SSN, 0},
        {"v_join", "note", 0, 0},
        {"v_join", "id", 0, 0},
        {"v_fn", "id", 0, 0},
        {"v_fn", "f", 0, ALL},
        {"v_op", "o", 0, ALL},
        {"v_row", "id", 0, 0},
        {"v_row", "whole", 0, SSN | NAME | CARD},
        {"v_row", "j", 0, SSN | NAME | CARD},
        {"v_values", "c", 0, SSN},
        {"v_func", "g", 0, 0},
        {"v_func", "s", 0, SSN},
        {"v_case", "k", 0, SSN},
        {"v_quoted", "a b {(:x \\ \"q\"", SSN, 0},
        {"v_quoted", ":resname", 0, 0},
        {"v_exists", "id", 0, 0},
        {"v_exists", "e", 0, SSN},
        {"v_agg", "all_of", 0, SSN},
        {"v_agg", "name", NAME, 0},
        {"v_agg", "n", 0, 0},
        {"mv", "m", SSN, 0},
        {"holder", "p", 0, SSN | NAME | CARD},
        {"holder", "ps", 0, SSN | NAME | CARD},
        {"holder", "note", 0, 0},
        {"cards", "c", CARD, 0},
        {"cards", "cs", CARD, 0},
        {"pg_stats", "most_common_vals", 0, ALL},
        {"pg_stats", "attname", 0, 0},
        {"pg_statistic", "stavalues1", 0, ALL},
        {"pg_attribute", "attname", 0, 0},
        {"pg_attribute", "attmissingval", 0, ALL},
        {"pg_stat_activity", "query", 0, ALL},
        {"v_text", "q", 0, ALL}, /* reads by text */
        {"v_text", "id", 0, 0},
        {"v_stat", "word", 0, ALL},
        {"v_stat", "id", 0, 0},
        {"v_on_text", "l", 0, ALL},
        {"v_on_text", "id", 0, 0},
        {"f_loop", "a", 0, 0}, /* the same database: what the relation there is */
        {"f_loop", "b", SSN, 0},
        {"f_loop", "t", 0, SSN},
        {"f_view", "i", 0, 0},
        {"f_view", "x", SSN, 0},
        {"f_view", "n", 0, NAME},
        {"plain_far", "note", 0, 0},
        {"f_shard", "id", 0, ALL & ~ODD}, /* elsewhere; "odd" trusts shard_1 */
        {"f_shard", "b", SSN, ALL & ~ODD},
        {"f_other", "id", 0, ALL},
        {"f_other", "b", SSN, ALL},
        {"f_hosts", "id", 0, ALL},
        {"f_file", "line", 0, ALL},
        {"v_loop", "z", SSN, 0},
        {"v_loop", "a", 0, 0},
        {"v_loop", "u", 0, SSN},
        {"plain", "note", 0, 0},
        {"v_clean", "note", 0, 0},
};

static void test_columns(void **state)
{
	struct sl_catalog *c = load("");

	(void)state;
	for (size_t i = 0; i < sizeof(captured) / sizeof(captured[0]); i++)
		expect(c, captured[i].relation, captured[i].column, captured[i].hidden, captured[i].derived);
	assert_null(relation(c, "plain"));
	assert_null(relation(c, "v_clean"));
	sl_catalog_unref(c);
}

/* The parts of long values lie in tables of their own. */
static void test_toast(void **state)
{
	struct sl_catalog *c = load("");
	char name[64];

	(void)state;
	snprintf(name, sizeof(name), "pg_toast_%u", relation(c, "people")->oid);
	assert_non_null(relation(c, name));
	expect(c, name, "chunk_data", 0, SSN | NAME | CARD);
	sl_catalog_unref(c);
}

static void test_lookups(void **state)
{
	struct sl_catalog *c = load("");
	const struct sl_catalog_relation *r = relation(c, "people");
	uint32_t at = 0;

	(void)state;
	assert_ptr_equal(sl_catalog_relation(c, r->oid), r);
	assert_null(sl_catalog_relation(c, 1));
	assert_null(sl_catalog_column(c, r->oid, 4)); /* dropped */
	assert_int_equal(r->any.w[0], SSN | NAME | CARD);
	assert_ptr_equal(sl_catalog_find(c, SL_SPAN_LIT("hr"), SL_SPAN_LIT("people"), &at), r);
	assert_null(sl_catalog_find(c, SL_SPAN_LIT("hr"), SL_SPAN_LIT("people"), &at));
	at = 0;
	assert_null(sl_catalog_find(c, SL_SPAN_LIT("public"), SL_SPAN_LIT("people"), &at));
	assert_true(sl_catalog_column(c, r->oid, 7)->generated);
	assert_int_equal(sl_catalog_name(c, SL_SPAN_LIT("ssn")).w[0], SSN);
	assert_int_equal(sl_catalog_name(c, SL_SPAN_LIT("number")).w[0], SSN);
	assert_int_equal(sl_catalog_name(c, SL_SPAN_LIT("x")).w[0], SSN);
	assert_int_equal(sl_catalog_name(c, SL_SPAN_LIT("mood")).w[0], 0);
	assert_true(sl_catalog_function(c, SL_SPAN_EMPTY, SL_SPAN_LIT("clean")));
	assert_true(sl_catalog_function(c, SL_SPAN_LIT("hr"), SL_SPAN_LIT("clean")));
	assert_false(sl_catalog_function(c, SL_SPAN_LIT("public"), SL_SPAN_LIT("clean")));
	assert_false(sl_catalog_function(c, SL_SPAN_EMPTY, SL_SPAN_LIT("lower")));
	assert_true(sl_catalog_operator(c, SL_SPAN_LIT("===")));
	assert_true(sl_catalog_knows(c, r->oid));
	assert_false(sl_catalog_knows(c, r->oid + 10000));
	assert_false(sl_catalog_knows(NULL, 1));
	assert_false(sl_catalog_operator(c, SL_SPAN_LIT("=")));
	assert_true(sl_catalog_has(c, SL_SPAN_EMPTY, SL_SPAN_LIT("plain")));
	assert_true(sl_catalog_has(c, SL_SPAN_LIT("public"), SL_SPAN_LIT("plain")));
	assert_true(sl_catalog_has(c, SL_SPAN_LIT("hr"), SL_SPAN_LIT("people")));
	assert_true(sl_catalog_has(c, SL_SPAN_LIT("pg_catalog"), SL_SPAN_LIT("pg_class")));
	assert_true(sl_catalog_has(c, SL_SPAN_LIT("information_schema"), SL_SPAN_LIT("tables")));
	assert_true(sl_catalog_has(c, SL_SPAN_LIT("pg_temp"), SL_SPAN_LIT("plain"))); /* of any session */
	assert_false(sl_catalog_has(c, SL_SPAN_LIT("hr"), SL_SPAN_LIT("plain")));
	assert_false(sl_catalog_has(c, SL_SPAN_EMPTY, SL_SPAN_LIT("later")));
	assert_false(sl_catalog_has(NULL, SL_SPAN_EMPTY, SL_SPAN_LIT("plain")));
	sl_catalog_unref(c);
	assert_null(sl_catalog_relation(NULL, 1));
	assert_null(sl_catalog_type(NULL, 1));
	assert_false(sl_catalog_function(NULL, SL_SPAN_EMPTY, SL_SPAN_LIT("x")));
}

static void test_types(void **state)
{
	struct sl_catalog *c = load("");
	const struct sl_catalog_relation *people = relation(c, "people"), *cards = relation(c, "cards");
	const struct sl_catalog_type *t = sl_catalog_type(c, sl_catalog_column(c, people->oid, 5)->type);

	(void)state;
	assert_int_equal(t->kind, SL_TYPE_ENUM);
	assert_true(sl_span_is(t->label, "fine"));
	t = sl_catalog_type(c, cards->columns[1].type);
	assert_int_equal(t->kind, SL_TYPE_DOMAIN);
	assert_int_equal(t->of, 25);
	t = sl_catalog_type(c, cards->columns[2].type);
	assert_int_equal(t->kind, SL_TYPE_ARRAY);
	assert_int_equal(t->of, cards->columns[1].type);
	t = sl_catalog_type(c, 3904); /* int4range */
	assert_int_equal(t->kind, SL_TYPE_RANGE);
	assert_int_equal(t->of, 23);
	t = sl_catalog_type(c, 4451); /* int4multirange */
	assert_int_equal(t->kind, SL_TYPE_MULTIRANGE);
	assert_int_equal(t->of, 3904);
	t = sl_catalog_type(c, 1009); /* text[] */
	assert_int_equal(t->kind, SL_TYPE_ARRAY);
	assert_int_equal(t->of, 25);
	assert_null(sl_catalog_type(c, 25));
	sl_catalog_unref(c);
}

/* ---- what cannot be followed ---- */

static void test_no_rules(void **state)
{
	struct sl_catalog *c = load("4");

	(void)state;
	expect(c, "people", "ssn", SSN, 0);
	assert_null(relation(c, "v_copy")); /* nothing said what it is made of */
	sl_catalog_unref(c);
}

static int row(struct sl_catalog_builder *b, const char *k, const char *a, const char *n, const char *t,
               const char *u, const char *x, const char *y)
{
	struct sl_span col[SL_CATALOG_COLUMNS] = {sl_span_str(k), sl_span_str(a), sl_span_str(n),
	                                          sl_span_str(t), sl_span_str(u), sl_span_str(x),
	                                          sl_span_str(y)};

	return sl_catalog_row(b, col);
}

static struct sl_catalog_builder *small(void)
{
	struct sl_catalog_builder *b = sl_catalog_begin(&snapshot);

	assert_non_null(b);
	assert_int_equal(row(b, "1", "20000", "0", "t", "s", "0", "r"), SL_OK);
	assert_int_equal(row(b, "1", "20001", "0", "v", "s", "0", "v"), SL_OK);
	assert_int_equal(row(b, "2", "20000", "1", "ssn", "text", "25", ""), SL_OK);
	assert_int_equal(row(b, "2", "20001", "1", "x", "text", "25", ""), SL_OK);
	assert_int_equal(row(b, "2", "20001", "2", "y", "text", "25", ""), SL_OK);
	return b;
}

static void test_unreadable(void **state)
{
	static const char no_table[] = "({QUERY :setOperations <> :targetList ({TARGETENTRY :expr "
	                               "{VAR :varno 1} :resno 1 :resorigtbl 0})})";
	static const char odd_kind[] =
	        "({QUERY :setOperations <> :rtable ({RTE :rtekind 77}) :targetList ({TARGETENTRY :expr "
	        "{VAR :varno 1 :varattno 1 :varlevelsup 0} :resno 1 :resorigtbl 0})})";
	static const char *const rules[] = {
	        NULL,
	        "",
	        "()",
	        "(",
	        "({QUERY})",
	        "<>",
	        "({QUERY :targetList ({TARGETENTRY})})",
	        no_table,
	        "({QUERY :targetList ()} {QUERY :targetList ()})",
	        "({QUERY :x",
	        "({QUERY :x [ 1 2",
	        ")",
	        "{",
	        "}",
	        odd_kind,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		struct sl_catalog_builder *b = small();
		struct sl_catalog *c;

		assert_int_equal(row(b, "4", "20001", "0", NULL, NULL, "0", rules[i]), SL_OK);
		assert_int_equal(sl_catalog_end(b, &c), SL_OK);
		if (relation(c, "v") == NULL)
			fail_msg("rule %zu was read: %s", i, rules[i]);
		expect(c, "v", "x", 0, ALL);
		expect(c, "v", "y", 0, ALL);
		sl_catalog_unref(c);
	}
}

/* Nesting that would overrun the stack, and a rule that is larger than what is kept. */
static void test_deep(void **state)
{
	struct sl_catalog_builder *b = small();
	struct sl_catalog *c;
	size_t n = 200000;
	char *text = malloc(n + 1);

	(void)state;
	assert_non_null(text);
	memset(text, '(', n);
	text[n] = '\0';
	assert_int_equal(row(b, "4", "20001", "0", NULL, NULL, "0", text), SL_OK);
	assert_int_equal(sl_catalog_end(b, &c), SL_OK);
	expect(c, "v", "y", 0, ALL);
	sl_catalog_unref(c);
	free(text);
}

static void test_bad_rows(void **state)
{
	static const char *const bad[][7] = {
	        {"1", "20002", "0", "t", "s", "0", "r"},    /* behind rows of a later kind */
	        {"2", "20001", "2", "z", "text", "25", ""}, /* twice */
	        {"2", "20009", "1", "z", "text", "25", ""}, /* of no relation */
	        {"0", "1", "0", NULL, NULL, "0", NULL},
	        {"13", "1", "0", NULL, NULL, "0", NULL},
	        {"x", "1", "0", NULL, NULL, "0", NULL},
	        {"3", "4294967296", "0", NULL, NULL, "0", NULL},
	        {"3", "-1", "0", NULL, NULL, "0", NULL},
	        {"3", NULL, "0", NULL, NULL, "0", NULL},
	        {"4", "20009", "0", NULL, NULL, "0", NULL},
	        {"5", "20000", "65536", NULL, NULL, "0", NULL},
	        {"9", "20009", "1", NULL, NULL, "0", NULL},
	        {"11", "20009", "1", "c", "s\x1ft", "0", "sx"},
	        {"11", "20000", "9", "c", "s\x1ft", "0", "sx"},
	        {"11", "20000", "1", "c", "s.t", "0", "sx"},
	        {"11", "20000", "1", "c", "s\x1ft", "0", "xx"},
	        {"11", "20000", "1", "c", "s\x1ft", "0", "s"},
	        {"11", "20000", "1", "c", "s\x1ft", "0", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *const *r = bad[i];
		struct sl_catalog_builder *b = small();

		if (row(b, r[0], r[1], r[2], r[3], r[4], r[5], r[6]) != SL_E_PROTO_TARGET)
			fail_msg("row %zu was taken", i);
		sl_catalog_abort(b);
	}
}

/* A chain of views that is longer than what is followed. */
static void test_chain(void **state)
{
	static const char rule[] = "({QUERY :setOperations <> :targetList ({TARGETENTRY :expr <> :resno 1 "
	                           ":resorigtbl %u :resorigcol 1 :resjunk false})})";
	enum {
		N = SL_CATALOG_PASSES_MAX + 50
	};
	struct sl_catalog_builder *b = sl_catalog_begin(&snapshot);
	char num[16], text[256];
	struct sl_catalog *c;

	(void)state;
	for (unsigned i = 0; i < N; i++) {
		snprintf(num, sizeof(num), "%u", 20000 + i);
		snprintf(text, sizeof(text), "v%u", i);
		assert_int_equal(row(b, "1", num, "0", text, "s", "0", "v"), SL_OK);
	}
	for (unsigned i = 0; i < N; i++) {
		snprintf(num, sizeof(num), "%u", 20000 + i);
		assert_int_equal(row(b, "2", num, "1", i == N - 1 ? "ssn" : "x", "text", "25", ""), SL_OK);
	}
	for (unsigned i = 0; i < N - 1; i++) { /* each on the one behind it: a pass brings one further */
		snprintf(num, sizeof(num), "%u", 20000 + i);
		snprintf(text, sizeof(text), rule, 20001 + i);
		assert_int_equal(row(b, "4", num, "0", NULL, NULL, "0", text), SL_OK);
	}
	assert_int_equal(sl_catalog_end(b, &c), SL_OK);
	assert_int_equal(relation(c, "v0")->columns[0].derived.w[0], ALL);
	sl_catalog_unref(c);
}

/* ---- the query ---- */

static void test_query(void **state)
{
	static char text[SL_CATALOG_QUERY_MAX];
	struct sl_mask many = {.columns = {.nb = 4000}};
	const char *globs[4000];
	struct sl_snapshot big = {.masks = &many, .nb_masks = 1};
	long n = sl_catalog_query(&snapshot, SL_CATALOG_RULE_MAX, text, sizeof(text));

	(void)state;
	assert_true(n > 0 && (size_t)n == strlen(text));
	assert_non_null(strstr(text, "c LIKE 'ssn' ESCAPE '!'"));
	assert_non_null(strstr(
	        text, "c LIKE 'na%e' ESCAPE '!' AND rel.r LIKE 'people' ESCAPE '!' AND rel.s LIKE 'hr' "
	              "ESCAPE '!'"));
	assert_non_null(strstr(text, "c LIKE 'it''s!!!_!%%x' ESCAPE '!'"));
	assert_non_null(strstr(text, "LIKE 'card' ESCAPE '!'"));
	assert_null(strchr(text, '\\'));
	for (int i = 0; i < 4000; i++)
		globs[i] = "a_column_with_a_longer_name";
	many.columns.v = globs;
	n = sl_catalog_query(&big, 1000, text, sizeof(text));
	assert_true(n > 0 && (size_t)n == strlen(text));
	assert_non_null(strstr(text, "WHERE (true)"));
	assert_true(sl_catalog_query(&big, 1000, text, 100) < 0);
}

int main(int argc, char **argv)
{
	static char text[SL_CATALOG_QUERY_MAX];
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_columns),  cmocka_unit_test(test_toast),
	        cmocka_unit_test(test_lookups),  cmocka_unit_test(test_types),
	        cmocka_unit_test(test_no_rules), cmocka_unit_test(test_unreadable),
	        cmocka_unit_test(test_deep),     cmocka_unit_test(test_bad_rows),
	        cmocka_unit_test(test_chain),    cmocka_unit_test(test_query),
	};

	if (argc > 1 && strcmp(argv[1], "query") == 0) {
		if (sl_catalog_query(&snapshot, SL_CATALOG_RULE_MAX, text, sizeof(text)) < 0)
			return 1;
		puts(text);
		return 0;
	}
	if (argc > 1)
		data = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
