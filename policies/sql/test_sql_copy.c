/* COPY's options, as PostgreSQL 15 takes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sl_sql_copy.h"

/* "text|csv|binary", header, delimiter, quote, escape, NULL's text; NULL: not read. */
static const struct {
	const char *sql, *want;
} rows[] = {
        {"COPY t TO STDOUT", "text 0 09 [\\N]"},
        {"copy t (a, \"to\") to stdin;", "text 0 09 [\\N]"},
        {"COPY (SELECT a FROM t WHERE b = ')' ) TO STDOUT", "text 0 09 [\\N]"},
        {"COPY BINARY t TO STDOUT", "binary 0 09 [\\N]"},
        {"COPY t TO STDOUT BINARY", "binary 0 09 [\\N]"},
        {"COPY t TO STDOUT WITH BINARY", "binary 0 09 [\\N]"},
        {"COPY t TO STDOUT (FORMAT binary)", "binary 0 09 [\\N]"},
        {"COPY t TO STDOUT WITH (FORMAT CSV, HEADER)", "csv 1 2c 22 22 []"},
        {"COPY t TO STDOUT WITH (header off, FORMAT 'csv')", "csv 0 2c 22 22 []"},
        {"COPY t TO STDOUT (format text, delimiter '|', null '', header true)", "text 1 7c []"},
        {"COPY t TO STDOUT (DELIMITER E'\\t', NULL E'\\\\N')", "text 0 09 [\\N]"},
        {"COPY t TO STDOUT (FORMAT csv, QUOTE '''', ESCAPE '\\', NULL 'x''y')", "csv 0 2c 27 5c [x'y]"},
        {"COPY t TO STDOUT (FORMAT csv, QUOTE '~', FORCE_QUOTE (a, \"b\"), ENCODING 'UTF8')",
         "csv 0 2c 7e 7e []"},
        {"COPY t TO STDOUT (FORMAT csv, FORCE_QUOTE *, HEADER 1)", "csv 1 2c 22 22 []"},
        {"COPY t TO STDOUT CSV HEADER QUOTE AS '\"' ESCAPE '!' DELIMITER AS ';' NULL AS 'n' FORCE QUOTE a, b",
         "csv 1 3b 22 21 [n]"},
        {"COPY t TO STDOUT USING DELIMITERS '|' WITH NULL ''", "text 0 7c []"},
        {"/* c */ COPY t -- x\n TO/**/STDOUT", "text 0 09 [\\N]"},
        {"COPY t TO STDOUT (FORMAT \"csv\")", "csv 0 2c 22 22 []"},
        {"COPY t TO STDOUT (FORMAT csv, HEADER match)", NULL},
        {"COPY t TO STDOUT (FORMAT xml)", NULL},
        {"COPY t TO STDOUT (ENCODING 'LATIN1')", NULL},
        {"COPY t TO STDOUT (DELIMITER U&'\\0041')", NULL},
        {"COPY t TO STDOUT (DELIMITER $$|$$)", NULL},
        {"COPY t TO STDOUT (DELIMITER E'\\x7c')", NULL},
        {"COPY t TO STDOUT (DELIMITER 'ab')", NULL},
        {"COPY t TO STDOUT (DELIMITER '')", NULL},
        {"COPY t TO STDOUT (NULL 'a'\n'b')", NULL},
        {"COPY t TO STDOUT (FORMAT csv, NEWER on)", NULL},
        {"COPY t TO STDOUT (FORMAT csv", NULL},
        {"COPY t TO STDOUT (FORMAT csv) x", NULL},
        {"COPY t TO STDOUT WHERE a", NULL},
        {"COPY t TO '/tmp/x'", NULL},
        {"COPY t FROM STDIN", NULL},
        {"COPY t", NULL},
        {"SELECT 1", NULL},
        {"", NULL},
};

static void say(const struct sl_sql_copy *o, char *out, size_t cap)
{
	int n = snprintf(out, cap, "%s %d %02x",
	                 o->binary ? "binary"
	                 : o->csv  ? "csv"
	                           : "text",
	                 o->header, o->delimiter);

	if (o->csv)
		n += snprintf(out + n, cap - (size_t)n, " %02x %02x", o->quote, o->escape);
	snprintf(out + n, cap - (size_t)n, " [%.*s]", o->null_n, o->null);
}

static void test_options(void **state)
{
	char got[160];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t n = strlen(rows[i].sql);
		uint8_t *copy = malloc(n > 0 ? n : 1);
		struct sl_sql_copy o;
		bool read;

		assert_non_null(copy);
		memcpy(copy, rows[i].sql, n);
		read = sl_sql_copy_read(sl_span(copy, n), &o);
		say(&o, got, sizeof(got));
		if (read != (rows[i].want != NULL) || (read && strcmp(got, rows[i].want) != 0))
			fail_msg("%s: %s", rows[i].sql, read ? got : "not read");
		free(copy);
	}
}

/* Every text that ends early is read to its end, or not at all. */
static void test_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t n = 0; n < strlen(rows[i].sql); n++) {
			uint8_t *copy = malloc(n > 0 ? n : 1);
			struct sl_sql_copy o;

			assert_non_null(copy);
			memcpy(copy, rows[i].sql, n);
			(void)sl_sql_copy_read(sl_span(copy, n), &o);
			assert_true(o.null_n <= SL_SQL_COPY_NULL_MAX);
			free(copy);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_options),
	        cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
