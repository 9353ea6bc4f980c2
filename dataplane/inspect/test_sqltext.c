#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sqltext.h"

#define TEXT_MAX 4096

/* The statement as it would be recorded, taken in pieces of at most max bytes. */
static const char *recorded(const char *text, uint64_t kinds, size_t max, char *out)
{
	struct statement st;
	struct statement_at at = {0};
	uint8_t buf[TEXT_MAX];
	size_t n = 0;

	assert_true(statement_set(&st, sl_span_str(text), kinds));
	for (;;) {
		struct sl_span s = statement_take(&st, &at, max, buf);

		if (s.n == 0)
			break;
		assert_true(s.n <= max);
		assert_true(n + s.n < TEXT_MAX);
		memcpy(out + n, s.p, s.n);
		n += s.n;
	}
	out[n] = '\0';
	assert_int_equal(n, st.total);
	assert_int_equal(at.done, st.total);
	return out;
}

static void test_passwords(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
	        {"ALTER ROLE a PASSWORD 'x'", "ALTER ROLE a PASSWORD '***'"},
	        {"create user a with encrypted password 'it''s' login;",
	         "create user a with encrypted password '***' login;"},
	        {"ALTER ROLE a PASSWORD/* 'no' */ -- 'x'\n E'a\\'b' VALID UNTIL 'now'",
	         "ALTER ROLE a PASSWORD/* 'no' */ -- 'x'\n '***' VALID UNTIL 'now'"},
	        {"ALTER ROLE a PASSWORD 'a'\n'b'; SELECT 'c'", "ALTER ROLE a PASSWORD '***'; SELECT 'c'"},
	        {"ALTER ROLE a PASSWORD $$x$$ LOGIN", "ALTER ROLE a PASSWORD '***' LOGIN"},
	        {"ALTER ROLE a PASSWORD $t$x$$y$t$ LOGIN", "ALTER ROLE a PASSWORD '***' LOGIN"},
	        {"ALTER ROLE a PASSWORD U&'x'", "ALTER ROLE a PASSWORD '***'"},
	        {"ALTER ROLE a PASSWORD NULL", "ALTER ROLE a PASSWORD NULL"},
	        {"ALTER ROLE a PASSWORD 'unfinished", "ALTER ROLE a PASSWORD '***'"},
	        {"CREATE USER MAPPING FOR a SERVER s OPTIONS (user 'u', password 'p')",
	         "CREATE USER MAPPING FOR a SERVER s OPTIONS (user 'u', password '***')"},
	        {"CREATE USER MAPPING FOR a SERVER s OPTIONS (\"password\" 'p')",
	         "CREATE USER MAPPING FOR a SERVER s OPTIONS (\"password\" '***')"},
	        {"CREATE SUBSCRIPTION s CONNECTION 'host=h password=p' PUBLICATION x",
	         "CREATE SUBSCRIPTION s CONNECTION '***' PUBLICATION x"},
	        {"DO $$ BEGIN ALTER ROLE a PASSWORD 'x'; END $$",
	         "DO $$ BEGIN ALTER ROLE a PASSWORD '***'; END $$"},
	        {"DO $$ BEGIN EXECUTE 'ALTER ROLE a PASSWORD ''x'' LOGIN'; END $$",
	         "DO $$ BEGIN EXECUTE 'ALTER ROLE a PASSWORD '***' LOGIN'; END $$"},
	        {"SELECT dblink_connect('host=h password=x user=u')",
	         "SELECT dblink_connect('host=h password='***' user=u')"},
	        {"SELECT dblink_connect('password = ''x y'' user=u')",
	         "SELECT dblink_connect('password = '***' user=u')"},
	        {"DO 'ALTER ROLE a PASSWORD ''secret", "DO 'ALTER ROLE a PASSWORD '***'"},
	        {"DO $$ ALTER ROLE a PASSWORD 'secret", "DO $$ ALTER ROLE a PASSWORD '***'"},
	        {"DO $b$ ALTER ROLE a PASSWORD 'x' LOGIN; $b",
	         "DO $b$ ALTER ROLE a PASSWORD '***' LOGIN; $b"},
	        {"SELECT dblink_connect('password=x')", "SELECT dblink_connect('password='***'')"},
	        {"SELECT dblink_connect('postgresql://u:secret@h:5432/d?x=a:b@c')",
	         "SELECT dblink_connect('postgresql://u:'***'@h:5432/d?x=a:b@c')"},
	        {"SELECT dblink_connect('a postgres://h:1/d postgres://:p@ss@h postgres://u@h:1 x://u:@h')",
	         "SELECT dblink_connect('a postgres://h:1/d postgres://:'***'@h postgres://u@h:1 x://u:@h')"},
	        {"ALTER SYSTEM SET primary_conninfo = 'postgres://u:secret@h/d'",
	         "ALTER SYSTEM SET primary_conninfo = 'postgres://u:'***'@h/d'"},
	        {"CREATE USER MAPPING FOR a SERVER s OPTIONS (user 'u', sslpassword 'secret')",
	         "CREATE USER MAPPING FOR a SERVER s OPTIONS (user 'u', sslpassword '***')"},
	        {"SELECT dblink_connect('sslpassword=x')", "SELECT dblink_connect('sslpassword='***'')"},
	        {"SELECT f(':', '://u:x', '://u:x /@')", "SELECT f(':', '://u:x', '://u:x /@')"},
	        /* Code is recorded with what it assigns and compares. */
	        {"DO 'begin password=''x''; execute password; end'",
	         "DO 'begin password=''x''; execute password; end'"},
	        {"create or /**/ replace procedure p() as $$ select 'password=x' $$",
	         "create or /**/ replace procedure p() as $$ select 'password=x' $$"},
	        {"DO 'begin execute ''x://u:code@''; end'", "DO 'begin execute ''x://u:code@''; end'"},
	        {"CREATE FUNCTION f() AS $$ x $$; SELECT dblink_connect('password=x')",
	         "CREATE FUNCTION f() AS $$ x $$; SELECT dblink_connect('password='***'')"},
	        /* What only looks like one hides nothing. */
	        {"CREATE TABLE t (a text DEFAULT 'password', b text DEFAULT 'x')",
	         "CREATE TABLE t (a text DEFAULT 'password', b text DEFAULT 'x')"},
	        {"CREATE TABLE \"a'password\" (x text DEFAULT 'y')",
	         "CREATE TABLE \"a'password\" (x text DEFAULT 'y')"},
	        {"ALTER TABLE t ADD mypassword text DEFAULT 'x'",
	         "ALTER TABLE t ADD mypassword text DEFAULT 'x'"},
	        {"ALTER ROLE a CONNECTION LIMIT 5; SELECT 'x'",
	         "ALTER ROLE a CONNECTION LIMIT 5; SELECT 'x'"},
	        {"ALTER TABLE t -- password\n ADD b text DEFAULT 'x'",
	         "ALTER TABLE t -- password\n ADD b text DEFAULT 'x'"},
	        {"ALTER TABLE password, 'x'", "ALTER TABLE password, 'x'"},
	};
	char out[TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t max = 4; max < 64; max += 7)
			assert_string_equal(recorded(cases[i].in, SL_SQL_BIT(SL_SQL_ALTER), max, out),
			                    cases[i].out);
	/* Only where a statement can hold one. */
	assert_string_equal(recorded("SELECT password 'x'", SL_SQL_BIT(SL_SQL_SELECT), 64, out),
	                    "SELECT password 'x'");
	assert_string_equal(recorded("", SL_SQL_BIT(SL_SQL_ALTER), 64, out), "");
}

/* How many were cut, and whether what is gone could be more than a password. */
static void test_hides(void **state)
{
	static const struct {
		const char *text;
		uint32_t nb_cuts;
		bool hides;
	} cases[] = {
	        {"ALTER ROLE a LOGIN", 0, false},
	        {"ALTER ROLE a PASSWORD 'x'; ; create group b PASSWORD 'y'", 2, false},
	        {"-- first\nCREATE USER MAPPING FOR a SERVER s OPTIONS (password 'x')", 1, false},
	        {"ALTER SERVER s OPTIONS (SET password 'x')", 1, false},
	        {"ALTER SUBSCRIPTION s CONNECTION 'x'", 1, false},
	        {"CREATE ROLE a; SELECT f(password 'x')", 1, true},
	        {"SELECT f(password 'x'); CREATE ROLE a PASSWORD 'y'", 2, true},
	        {"CREATE SERVER s OPTIONS (x 'password=y')", 1, true},
	        {"CREATE FOREIGN TABLE t (a text DEFAULT f(password 'x')) SERVER s", 1, true},
	        {"DO $$ BEGIN ALTER ROLE a PASSWORD 'x'; END $$", 1, true},
	        {"DO $$; CREATE ROLE a PASSWORD 'x' $$", 1, true},
	        {"DO 'ALTER ROLE a PASSWORD ''x'''", 1, true},
	        {"SELECT dblink_connect('password=x')", 1, true},
	        {"SELECT dblink_connect('postgres://u:x@h')", 1, true},
	        {"CREATE USER MAPPING FOR a SERVER s OPTIONS (sslpassword 'x')", 1, false},
	};
	struct statement st;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(statement_set(&st, sl_span_str(cases[i].text), SL_SQL_BIT(SL_SQL_ALTER)));
		if (st.nb_cuts != cases[i].nb_cuts || st.hides != cases[i].hides)
			fail_msg("%u cuts, hides %d: %s", st.nb_cuts, st.hides, cases[i].text);
		assert_true(sl_span_is(st.text, cases[i].text));
	}
}

static void test_too_many_passwords(void **state)
{
	static const char one[] = "ALTER ROLE a PASSWORD 'x';";
	char text[sizeof(one) * (STATEMENT_CUTS_MAX + 2)] = "";
	struct statement st;

	(void)state;
	for (int i = 0; i < STATEMENT_CUTS_MAX; i++)
		strcat(text, one);
	assert_true(statement_set(&st, sl_span_str(text), SL_SQL_BIT(SL_SQL_ALTER)));
	strcat(text, one);
	assert_false(statement_set(&st, sl_span_str(text), SL_SQL_BIT(SL_SQL_ALTER)));
}

/* What a literal with a backslash ends at is not known when the target reads backslashes: nothing behind the
 * word is recorded. */
static void test_unread_passwords(void **state)
{
	struct statement st;

	(void)state;
	assert_true(statement_set_unread(&st, SL_SPAN_LIT("")));
	assert_true(statement_set_unread(&st, SL_SPAN_LIT("ALTER ROLE a PASSWORD 'x'")));
	assert_true(statement_set_unread(&st, SL_SPAN_LIT("SELECT 'a\\'b', passwords")));
	assert_false(statement_set_unread(&st, SL_SPAN_LIT("ALTER ROLE a PassWord 'x\\'secret'")));
	assert_int_equal(st.total, sizeof("ALTER ROLE a ") - 1);
	assert_false(statement_set_unread(&st, SL_SPAN_LIT("SELECT 'x://u:p@h\\'")));
	assert_int_equal(st.total, sizeof("SELECT 'x") - 1);
	assert_false(statement_set_unread(&st, SL_SPAN_LIT("CONNECTION '\\'")));
	assert_int_equal(st.total, 0);
}

/* Time grows with the text's length, not with its square: each of these took minutes otherwise. */
static void test_linear(void **state)
{
	static const char *const bits[] = {
	        "password/*", "password--", "password ''", "$a$",           "/*", "'password'", "\"",
	        "password '", "://u:",      "'://u:p@h'",  ";create or--\n"};
	size_t n = 2000000;
	char *text = malloc(n + 16);
	struct statement st;
	clock_t start = clock();

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < 2 * sizeof(bits) / sizeof(bits[0]); i++) {
		const char *bit = bits[i / 2];
		size_t at = i % 2;

		text[0] = '\'';
		while (at < n) {
			memcpy(text + at, bit, strlen(bit));
			at += strlen(bit);
		}
		(void)statement_set(&st, sl_span(text, at), SL_SQL_BIT(SL_SQL_ALTER));
	}
	free(text);
	assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 20);
}

/* Every cut of random text gives the text back, and no cut lies inside of a character. */
static void test_cuts(void **state)
{
	static const char *const bits[] = {
	        "a",         "'",  " ",  "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x90\x98",
	        "password ", "$$", "\"", "\\",       "--",           "\n",
	        "/*",        "*/"};
	char text[400], out[TEXT_MAX], whole[TEXT_MAX];

	(void)state;
	for (int round = 0; round < 2000; round++) {
		struct statement st;
		struct statement_at at = {0};
		uint8_t buf[TEXT_MAX];
		uint64_t kinds = round % 2 == 0 ? SL_SQL_BIT(SL_SQL_SELECT) : SL_SQL_BIT(SL_SQL_OPAQUE);
		size_t max = (size_t)(rand() % 40 + 8);

		text[0] = '\0';
		for (int i = rand() % 60; i > 0; i--)
			strcat(text, bits[(size_t)rand() % (sizeof(bits) / sizeof(bits[0]))]);
		recorded(text, kinds, sizeof(whole), whole);
		assert_string_equal(recorded(text, kinds, max, out), whole);
		if (kinds == SL_SQL_BIT(SL_SQL_SELECT))
			assert_string_equal(out, text);
		assert_true(statement_set(&st, sl_span_str(text), kinds));
		for (struct sl_span s; (s = statement_take(&st, &at, max, buf)).n > 0;)
			assert_int_not_equal(s.p[0] & 0xc0, 0x80);
	}
}

static void test_bad_utf8(void **state)
{
	char text[64], out[TEXT_MAX];

	(void)state;
	memset(text, 0x80, sizeof(text) - 1);
	text[63] = '\0';
	assert_string_equal(recorded(text, SL_SQL_BIT(SL_SQL_SELECT), 8, out), text);
	memset(text, 0xff, sizeof(text) - 1);
	assert_string_equal(recorded(text, SL_SQL_BIT(SL_SQL_SELECT), 8, out), text);
}

static void test_set(void **state)
{
	static const char *const allowed[] = {
	        "SET search_path TO x, y",
	        "set local work_mem = '64MB'",
	        "SET SESSION statement_timeout TO 0",
	        "SET client_encoding = 'UTF8'",
	        "SET client_encoding TO utf8;",
	        "SET client_encoding TO 'Unicode' ; ",
	        "SET client_encoding TO DEFAULT",
	        "SET NAMES 'utf-8'",
	        "SET standard_conforming_strings = on",
	        "SET standard_conforming_strings TO 'true' -- yes",
	        "SET escape_string_warning = off",
	        "SET TIME ZONE 'UTC'",
	        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
	        "SET my.role = 'x'",
	        "/* a /* b */ */ SET /**/ datestyle TO iso",
	        "RESET ALL",
	        "RESET role",
	        "SET ROLE admin",
	        "SET LOCAL SESSION AUTHORIZATION postgres",
	        "SET backslash_quote = on",
	        "SET standard_conforming_strings = off",
	        "DISCARD ALL",
	};
	static const char *const refused[] = {
	        "SET client_encoding = 'SJIS'",
	        "SET client_encoding = UTF8, SJIS",
	        "SET client_encoding = 'UTF8'\n'SJIS'",
	        "SET client_encoding = E'UTF8'",
	        "SET client_encoding = $$UTF8$$",
	        "SET client_encoding",
	        "SET Client_Encoding TO gbk",
	        "SET LOCAL client_encoding TO gbk",
	        "SET NAMES 'BIG5'",
	        "SET NAMES",
	        "SET U&\"r\\006fle\" TO x",
	        "SET",
	        "SET 'role' = x",
	        "SELECT 1",
	        "",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
		if (set_refused(sl_span_str(allowed[i])) != NULL)
			fail_msg("refused: %s", allowed[i]);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (set_refused(sl_span_str(refused[i])) == NULL)
			fail_msg("allowed: %s", refused[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_passwords),
	        cmocka_unit_test(test_hides),
	        cmocka_unit_test(test_too_many_passwords),
	        cmocka_unit_test(test_unread_passwords),
	        cmocka_unit_test(test_cuts),
	        cmocka_unit_test(test_linear),
	        cmocka_unit_test(test_bad_utf8),
	        cmocka_unit_test(test_set),
	};
	unsigned int seed = (unsigned int)time(NULL);

	printf("seed %u\n", seed);
	srand(seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
