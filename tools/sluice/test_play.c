/* The transcript and the renderer of backend messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "pg_render.h"
#include "play.h"

/* ---- building backend messages ---- */

struct bytes {
	uint8_t b[65536];
	size_t n, start;
};

static void add(struct bytes *o, const void *p, size_t n)
{
	assert_true(o->n + n <= sizeof(o->b));
	memcpy(o->b + o->n, p, n);
	o->n += n;
}

static void add16(struct bytes *o, unsigned int v)
{
	uint8_t b[2];

	sl_put_be16(b, (uint16_t)v);
	add(o, b, 2);
}

static void add32(struct bytes *o, uint32_t v)
{
	uint8_t b[4];

	sl_put_be32(b, v);
	add(o, b, 4);
}

static void begin(struct bytes *o, char type)
{
	add(o, &type, 1);
	o->start = o->n;
	add32(o, 0);
}

static void end(struct bytes *o)
{
	sl_put_be32(o->b + o->start, (uint32_t)(o->n - o->start));
}

static void add_str(struct bytes *o, const char *s)
{
	add(o, s, strlen(s) + 1);
}

static void row_description(struct bytes *o, const char *const *names, unsigned int nb, unsigned int format)
{
	begin(o, 'T');
	add16(o, nb);
	for (unsigned int i = 0; i < nb; i++) {
		add_str(o, names[i]);
		add(o, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
		add16(o, format);
	}
	end(o);
}

static void data_row(struct bytes *o, const char *const *values, unsigned int nb)
{
	begin(o, 'D');
	add16(o, nb);
	for (unsigned int i = 0; i < nb; i++) {
		add32(o, values[i] == NULL ? UINT32_MAX : (uint32_t)strlen(values[i]));
		if (values[i] != NULL)
			add(o, values[i], strlen(values[i]));
	}
	end(o);
}

static void simple(struct bytes *o, char type, const void *body, size_t n)
{
	begin(o, type);
	add(o, body, n);
	end(o);
}

static void sample(struct bytes *o)
{
	static const char *const names[] = {"id", "na\033me"};
	static const char *const one[] = {"1", "Ann"}, *const two[] = {"22", NULL};
	static const char error[] = "SERROR\0VERROR\0C42501\0Mno \033[2Jway\0Devent 01\0Hask\0";
	static const char notify[] = "\0\0\0\7chan\0hello";

	o->n = 0;
	row_description(o, names, 2, 0);
	data_row(o, one, 2);
	data_row(o, two, 2);
	simple(o, 'C', "SELECT 2", 9);
	simple(o, 'Z', "I", 1);
	simple(o, 'E', error, sizeof(error));
	simple(o, 'S', "a\0b", 4);
	simple(o, 'A', notify, sizeof(notify));
	simple(o, 'H', "\0\0\0", 3);
	simple(o, 'd', "1\t2\n", 4);
	simple(o, 'c', "", 0);
	simple(o, 'x', "??", 2);
	data_row(o, one, 2); /* of a statement described earlier */
	simple(o, 'C', "SELECT 1", 9);
}

static const char sample_text[] = "| id | na\\x1bme\n"
                                  "|----+----------\n"
                                  "| 1  | Ann\n"
                                  "| 22 | NULL\n"
                                  "|SELECT 2\n"
                                  "|ERROR 42501: no \\x1b[2Jway\n"
                                  "|DETAIL: event 01\n"
                                  "|HINT: ask\n"
                                  "|notification on chan: hello\n"
                                  "|[COPY to the caller]\n"
                                  "|1\\t2\n"
                                  "|[7 bytes]\n"
                                  "| column 1 | column 2\n"
                                  "|----------+----------\n"
                                  "| 1        | Ann\n"
                                  "|SELECT 1\n";

/* Renders in pieces of `piece` bytes (0: cut once, at `cut`). Malloc'd. */
static char *render(struct sl_span s, size_t piece, size_t cut, unsigned long rows)
{
	char *p = NULL;
	size_t n;
	FILE *f = open_memstream(&p, &n);
	struct pg_render *r;

	assert_non_null(f);
	r = pg_render_new(f, "|", rows);
	assert_non_null(r);
	if (piece == 0) {
		pg_render_feed(r, sl_span(s.p, cut));
		pg_render_feed(r, sl_span(s.p + cut, s.n - cut));
	}
	for (size_t at = 0; piece > 0 && at < s.n; at += piece)
		pg_render_feed(r, sl_span_sub(s, at, piece));
	pg_render_free(r);
	assert_int_equal(fclose(f), 0);
	return p;
}

static void test_render_cuts(void **state)
{
	static struct bytes o;
	char *p;

	(void)state;
	sample(&o);
	for (size_t cut = 0; cut <= o.n; cut++) {
		p = render(sl_span(o.b, o.n), 0, cut, 50);
		assert_string_equal(p, sample_text);
		free(p);
	}
	for (size_t piece = 1; piece < 9; piece++) {
		p = render(sl_span(o.b, o.n), piece, 0, 50);
		assert_string_equal(p, sample_text);
		free(p);
	}
}

static void expect(const struct bytes *o, unsigned long rows, const char *want)
{
	char *p = render(sl_span(o->b, o->n), o->n == 0 ? 1 : o->n, 0, rows);

	assert_string_equal(p, want);
	free(p);
}

static void test_render_bounds(void **state)
{
	static const char *const names[] = {"v"};
	static const char *const value[] = {"0123456789012345678901234567890123456789x"};
	static struct bytes o;

	(void)state;
	row_description(&o, names, 1, 0);
	for (int i = 0; i < 4; i++)
		data_row(&o, value, 1);
	simple(&o, 'C', "SELECT 4", 9);
	expect(&o, 1,
	       "| v\n|------------------------------------------\n"
	       "| 0123456789012345678901234567890123456...\n|[3 more rows]\n|SELECT 4\n");
	o.n = 0;
	row_description(&o, names, 1, 1); /* binary */
	data_row(&o, value, 1);
	expect(&o, 9,
	       "| v\n|-----------------------------------------------\n"
	       "| \\x3031323334353637383930313233343536373839...\n");
	o.n = 0;
	row_description(&o, names, 0, 0); /* a select of no columns */
	data_row(&o, value, 0);
	simple(&o, 'C', "SELECT 1", 9);
	expect(&o, 9, "|[1 more rows]\n|SELECT 1\n");
}

static void test_render_hostile(void **state)
{
	static const char *const many[] = {"a", "b", "c"};
	static struct bytes o;

	(void)state;
	add(&o, "\0garbage garbage", 16); /* no message: all that follows is only counted */
	simple(&o, 'C', "SELECT 1", 9);
	expect(&o, 9, "|[30 bytes]\n");
	o.n = 0;
	add(&o, "C\0\0\0\3", 5); /* a length below its own size */
	expect(&o, 9, "|[5 bytes]\n");
	o.n = 0;
	add(&o, "C\xff\xff\xff\xff", 5);
	expect(&o, 9, "|[5 bytes]\n");
	o.n = 0;
	add(&o, "D\x7f\xff\xff\xff", 5); /* 2 GiB announced, 9 there */
	add(&o, "abcd", 4);
	expect(&o, 9, "|[9 bytes]\n");
	o.n = 0;
	simple(&o, 'D', "\0\1\0\0\0\11x", 7); /* a value longer than the row */
	simple(&o, 'C', "SELECT 1", 8);       /* a string without an end */
	simple(&o, 'T', "\377\377", 2);       /* 65535 columns */
	simple(&o, 'E', "S", 1);
	expect(&o, 9, "|[12 bytes]\n| column 1\n|----------\n| ?\n|[13 bytes]\n|[7 bytes]\n|[6 bytes]\n");
	o.n = 0;
	data_row(&o, many, 3); /* rows that change their number of columns */
	data_row(&o, many, 1);
	expect(&o, 9,
	       "| column 1 | column 2 | column 3\n|----------+----------+----------\n"
	       "| a        | b        | c\n| column 1\n|----------\n| a\n");
}

/* Random bytes, and good messages with a byte changed: no fault (ASan), and nothing that a terminal acts on.
 */
static void test_render_random(void **state)
{
	unsigned int seed = (unsigned int)time(NULL);
	static struct bytes o;

	(void)state;
	printf("seed %u\n", seed);
	srandom(seed);
	for (int i = 0; i < 3000; i++) {
		char *p;

		sample(&o);
		for (long k = random() % 4; k >= 0; k--)
			o.b[(size_t)random() % o.n] = (uint8_t)random();
		p = render(sl_span(o.b, o.n), 1 + (size_t)random() % 300, 0, 3);
		for (const char *c = p; *c != '\0'; c++)
			assert_true(*c == '\n' || ((uint8_t)*c >= 0x20 && *c != 0x7f));
		free(p);
	}
}

static void test_skipped(void **state)
{
	static struct bytes o;
	char *p = NULL;
	size_t n;
	FILE *f = open_memstream(&p, &n);
	struct pg_render *r;

	(void)state;
	assert_non_null(f);
	r = pg_render_new(f, "|", 9);
	assert_non_null(r);
	simple(&o, 'd', "cut in the middle", 17);
	pg_render_feed(r, sl_span(o.b, 9));
	pg_render_skipped(r, 1000);
	o.n = 0;
	simple(&o, 'C', "COPY 7", 7);
	pg_render_feed(r, sl_span(o.b, o.n));
	pg_render_free(r);
	assert_int_equal(fclose(f), 0);
	assert_string_equal(p, "|[9 bytes]\n|[1000 bytes over the recording limit]\n|COPY 7\n");
	free(p);
}

/* ---- the transcript ---- */

static char *play(const char *json)
{
	json_t *list = json_loads(json, 0, NULL), *rec;
	char *p = NULL;
	size_t n, i;
	FILE *f = open_memstream(&p, &n);
	struct player *pl;

	assert_true(list != NULL && f != NULL);
	pl = player_new(f, false, 10);
	assert_non_null(pl);
	json_array_foreach(list, i, rec)
	{
		player_record(pl, rec);
	}
	player_free(pl);
	assert_int_equal(fclose(f), 0);
	json_decref(list);
	return p;
}

static void test_transcript(void **state)
{
	/* "QwAAAA1TRUxFQ1QgMQA=" is CommandComplete "SELECT 1", given in two parts */
	char *p = play("[{\"kind\":\"session\",\"n\":0,\"t_us\":1000000,\"user\":\"a\\u001bb\",\"issuer\":"
	               "\"i\",\"groups\":[\"g\",\"h\"],"
	               "\"resource\":\"shop\",\"database\":\"d\",\"client\":\"10.0.0.9:1\",\"protocol\":"
	               "\"postgres\",\"tls\":true},"
	               "{\"kind\":\"command\",\"n\":1,\"t_us\":1500000,\"cmd\":1,\"phase\":\"execute\","
	               "\"text\":\"select \",\"verdict\":\"allow\","
	               "\"policy_version\":3,\"length\":8,\"params\":[\"x\",null]},"
	               "{\"kind\":\"more\",\"n\":2,\"t_us\":1500000,\"text\":\"1\",\"last\":true},"
	               "{\"kind\":\"data\",\"n\":3,\"t_us\":1600000,\"cmd\":1,\"data\":\"QwAAAA1T\"},"
	               "{\"kind\":\"data\",\"n\":4,\"t_us\":1600000,\"cmd\":1,\"data\":\"RUxFQ1QgMQA=\"},"
	               "{\"kind\":\"command\",\"n\":5,\"t_us\":3234567,\"cmd\":2,\"phase\":\"simple\","
	               "\"text\":\"drop\\ntable x\",\"verdict\":\"deny\","
	               "\"rule\":\"no-drop\",\"message\":\"no\",\"policy_version\":3},"
	               "{\"kind\":\"command\",\"n\":6,\"t_us\":4000000,\"cmd\":3,\"text\":\"update\","
	               "\"length\":90000,"
	               "\"verdict\":\"hold\",\"approval\":\"01A\"},"
	               "{\"kind\":\"decision\",\"n\":7,\"t_us\":5000000,\"cmd\":3,\"approval\":\"01A\","
	               "\"outcome\":\"expired\"},"
	               "{\"kind\":\"note\",\"n\":8,\"t_us\":5000000,\"code\":\"c\",\"text\":\"t\"},"
	               "{\"kind\":\"data\",\"n\":9,\"t_us\":5000000,\"data\":\"***\"},"
	               "{\"kind\":\"\\u001b\",\"n\":10,\"t_us\":5000000},"
	               "{\"kind\":\"gap\",\"n\":11,\"t_us\":6000000,\"reason\":\"died\"}]");
	char *body = strstr(p, "+0.500s");

	(void)state;
	assert_non_null(strstr(p, "who       a\\x1bb (i), groups g, h\n"));
	assert_non_null(strstr(p, "where     shop, database d, by postgres\n"));
	assert_non_null(body);
	assert_string_equal(body, "+0.500s     #1 (execute) select 1\n"
	                          "            parameters $1 = 'x', $2 = NULL\n"
	                          "            ALLOWED (policy 3)\n"
	                          "            SELECT 1\n"
	                          "+2.234s     #2 \n"
	                          "            drop\n"
	                          "            table x\n"
	                          "            DENIED by rule no-drop: no (policy 3)\n"
	                          "+3.000s     #3 update\n"
	                          "            HELD, approval 01A\n"
	                          "            [statement of 90000 bytes]\n"
	                          "+4.000s     #3 NOT APPROVED: expired (approval 01A)\n"
	                          "+4.000s     note c: t\n"
	                          "            [reply data that is not base64]\n"
	                          "+4.000s     record of unknown kind \\x1b\n"
	                          "+5.000s     GAP: died\n");
	free(p);
}

/* Records that lack everything, or hold other types than they should, show as little as they have. */
static void test_transcript_odd(void **state)
{
	static const char *const kinds[] = {"session", "refused", "command", "more", "decision",
	                                    "result",  "data",    "note",    "end",  "gap"};

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		char json[512];

		snprintf(json, sizeof(json),
		         "[{\"kind\":\"%s\"},{\"kind\":\"%s\",\"text\":7,\"data\":[],\"params\":{},"
		         "\"groups\":[1],\"verdict\":{},"
		         "\"t_us\":-5,\"cmd\":\"x\"},3]",
		         kinds[i], kinds[i]);
		free(play(json));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_render_cuts),    cmocka_unit_test(test_render_bounds),
	        cmocka_unit_test(test_render_hostile), cmocka_unit_test(test_render_random),
	        cmocka_unit_test(test_skipped),        cmocka_unit_test(test_transcript),
	        cmocka_unit_test(test_transcript_odd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
