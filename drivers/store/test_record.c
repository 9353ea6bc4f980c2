#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sl_record.h"

#define RANDOM_RECORDS 2000
#define RANDOM_PAIRS   12

static int sample(uint8_t *buf, size_t cap)
{
	struct sl_record_writer w;

	sl_record_begin(&w, buf, cap, SL_REC_COMMAND, 1700000000000000, 7, 6);
	sl_record_uint(&w, "cmd", 3);
	sl_record_str(&w, "x", SL_SPAN_LIT("select 1"));
	sl_record_bin(&w, "h", SL_SPAN_LIT("\0\1\2"));
	sl_record_bool(&w, "z", true);
	sl_record_nil(&w, "ap");
	sl_record_array(&w, "pa", 3);
	sl_record_item(&w, SL_SPAN_LIT("a"));
	sl_record_item(&w, SL_SPAN_EMPTY);
	sl_record_item(&w, SL_SPAN_LIT(""));
	return sl_record_end(&w);
}

static void test_round_trip(void **state)
{
	uint8_t buf[SL_RECORD_MAX];
	struct sl_record_value v;
	struct sl_span rec, rest;
	int n = sample(buf, sizeof(buf));

	(void)state;
	assert_true(n > 0);
	rec = sl_span(buf, (size_t)n);
	assert_int_equal(sl_record_check(rec), 0);
	assert_int_equal(sl_record_get(rec, "k").u, SL_REC_COMMAND);
	assert_int_equal(sl_record_get(rec, "t").u, 1700000000000000);
	assert_int_equal(sl_record_get(rec, "n").u, 7);
	assert_int_equal(sl_record_get(rec, "cmd").u, 3);
	assert_true(sl_span_is(sl_record_get(rec, "x").s, "select 1"));
	v = sl_record_get(rec, "h");
	assert_true(v.type == SL_RV_BIN && sl_span_eq(v.s, SL_SPAN_LIT("\0\1\2")));
	assert_true(sl_record_get(rec, "z").type == SL_RV_BOOL && sl_record_get(rec, "z").u == 1);
	assert_int_equal(sl_record_get(rec, "ap").type, SL_RV_NIL);
	assert_int_equal(sl_record_get(rec, "nope").type, SL_RV_NONE);
	v = sl_record_get(rec, "pa");
	assert_true(v.type == SL_RV_ARRAY && v.nb_items == 3);
	rest = v.s;
	v = sl_record_next(&rest);
	assert_true(v.type == SL_RV_STR && sl_span_is(v.s, "a"));
	assert_int_equal(sl_record_next(&rest).type, SL_RV_NIL);
	v = sl_record_next(&rest);
	assert_true(v.type == SL_RV_STR && v.s.n == 0);
	assert_int_equal(sl_record_next(&rest).type, SL_RV_NONE);
}

/* Every prefix, and every record with a byte behind it, is refused. */
static void test_whole_only(void **state)
{
	uint8_t buf[SL_RECORD_MAX];
	int n = sample(buf, sizeof(buf));

	(void)state;
	for (int i = 0; i < n; i++)
		assert_int_equal(sl_record_check(sl_span(buf, (size_t)i)), SL_E_STORE_CORRUPT);
	buf[n] = 0xc0;
	assert_int_equal(sl_record_check(sl_span(buf, (size_t)n + 1)), SL_E_STORE_CORRUPT);
}

/* Every buffer that is too small gives SL_E_LIMIT, and nothing is written behind it. */
static void test_overflow(void **state)
{
	uint8_t buf[SL_RECORD_MAX + 1];
	int n = sample(buf, SL_RECORD_MAX);

	(void)state;
	for (int cap = 0; cap < n; cap++) {
		memset(buf, 0xee, sizeof(buf));
		assert_int_equal(sample(buf, (size_t)cap), SL_E_LIMIT);
		assert_int_equal(buf[cap], 0xee);
	}
	assert_int_equal(sample(buf, (size_t)n), n);
}

static void test_contract_breaks(void **state)
{
	struct sl_record_writer w;
	uint8_t buf[256];

	(void)state;
	sl_record_begin(&w, buf, sizeof(buf), SL_REC_END, 1, 0, 2);
	sl_record_uint(&w, "nc", 1);
	assert_int_equal(sl_record_end(&w), SL_E_LIMIT); /* a pair too few */
	sl_record_begin(&w, buf, sizeof(buf), SL_REC_END, 1, 0, 0);
	sl_record_uint(&w, "nc", 1);
	assert_int_equal(sl_record_end(&w), SL_E_LIMIT); /* one too many */
	sl_record_begin(&w, buf, sizeof(buf), SL_REC_COMMAND, 1, 0, 1);
	sl_record_array(&w, "pa", 2);
	sl_record_item(&w, SL_SPAN_EMPTY);
	assert_int_equal(sl_record_end(&w), SL_E_LIMIT); /* an item too few */
	sl_record_item(&w, SL_SPAN_EMPTY);
	sl_record_item(&w, SL_SPAN_EMPTY);
	assert_int_equal(sl_record_end(&w), SL_E_LIMIT); /* one too many */
	sl_record_begin(&w, buf, sizeof(buf), SL_REC_END, 1, 0, SL_RECORD_PAIRS_MAX);
	assert_int_equal(sl_record_end(&w), SL_E_LIMIT);
}

static void test_refused(void **state)
{
	/* k=9, t=1, n=0 stand in front where the case is about what follows */
	static const struct {
		const char *what;
		struct sl_span bytes;
	} bad[] = {
	        {"empty", {NULL, 0}},
	        {"not a map", SL_SPAN_LIT("\x93\x01\x02\x03")},
	        {"no common key", SL_SPAN_LIT("\x82\xa1k\x09\xa1t\x01")},
	        {"kind 0", SL_SPAN_LIT("\x83\xa1k\x00\xa1t\x01\xa1n\x00")},
	        {"kind 11", SL_SPAN_LIT("\x83\xa1k\x0b\xa1t\x01\xa1n\x00")},
	        {"kind is text", SL_SPAN_LIT("\x83\xa1k\xa1"
	                                     "9\xa1t\x01\xa1n\x00")},
	        {"key twice", SL_SPAN_LIT("\x84\xa1k\x09\xa1t\x01\xa1n\x00\xa1n\x00")},
	        {"key not text", SL_SPAN_LIT("\x84\xa1k\x09\xa1t\x01\xa1n\x00\x01\x00")},
	        {"empty key", SL_SPAN_LIT("\x84\xa1k\x09\xa1t\x01\xa1n\x00\xa0\x00")},
	        {"long key", SL_SPAN_LIT("\x84\xa1k\x09\xa1t\x01\xa1n\x00\xb0"
	                                 "0123456789abcdef\x00")},
	        {"key in capitals", SL_SPAN_LIT("\x84\xa1k\x09\xa1t\x01\xa1n\x00\xa1X\x00")},
	        {"negative", SL_SPAN_LIT("\x84\xa1k\x09\xa1t\x01\xa1n\x00\xa1x\xff")},
	        {"float", SL_SPAN_LIT("\x84\xa1k\x09\xa1t\x01\xa1n\x00\xa1x\xca\0\0\0\0")},
	        {"map inside", SL_SPAN_LIT("\x84\xa1k\x09\xa1t\x01\xa1n\x00\xa1x\x80")},
	        {"array in array", SL_SPAN_LIT("\x84\xa1k\x09\xa1t\x01\xa1n\x00\xa1x\x91\x90")},
	        {"ext", SL_SPAN_LIT("\x84\xa1k\x09\xa1t\x01\xa1n\x00\xa1x\xd4\x01\x00")},
	        {"uint8 of 9", SL_SPAN_LIT("\x83\xa1k\xcc\x09\xa1t\x01\xa1n\x00")},
	        {"str8 of 1", SL_SPAN_LIT("\x84\xa1k\x09\xa1t\x01\xa1n\x00\xa1x\xd9\x01"
	                                  "a")},
	        {"bin16 of 1", SL_SPAN_LIT("\x84\xa1k\x09\xa1t\x01\xa1n\x00\xa1x\xc5\x00\x01"
	                                   "a")},
	        {"str32", SL_SPAN_LIT("\x84\xa1k\x09\xa1t\x01\xa1n\x00\xa1x\xdb\x00\x00\x00\x01"
	                              "a")},
	        {"map16 of 3", SL_SPAN_LIT("\xde\x00\x03\xa1k\x09\xa1t\x01\xa1n\x00")},
	        {"array16 of 1", SL_SPAN_LIT("\x84\xa1k\x09\xa1t\x01\xa1n\x00\xa1x\xdc\x00\x01\xc0")},
	        {"array longer than the rest",
	         SL_SPAN_LIT("\x84\xa1k\x09\xa1t\x01\xa1n\x00\xa1x\xdc\xff\xff\xc0")},
	        {"text longer than the rest", SL_SPAN_LIT("\x84\xa1k\x09\xa1t\x01\xa1n\x00\xa1x\xda\xff\xff"
	                                                  "a")},
	};
	static const uint8_t good[] = "\x83\xa1n\x00\xa1t\x01\xa1k\x09"; /* in another order */

	(void)state;
	assert_int_equal(sl_record_check(sl_span(good, sizeof(good) - 1)), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (sl_record_check(bad[i].bytes) != SL_E_STORE_CORRUPT)
			fail_msg("taken: %s", bad[i].what);
	}
}

static uint64_t random_uint(void)
{
	uint64_t v = (uint64_t)random() << 42 ^ (uint64_t)random() << 21 ^ (uint64_t)random();

	return v >> (random() % 64);
}

/* Random records come back value by value; a flipped byte never reads out of bounds (ASan) and never grows.
 */
static void test_random(void **state)
{
	unsigned int seed = (unsigned int)time(NULL);
	uint8_t buf[SL_RECORD_MAX], blob[600];

	(void)state;
	printf("seed %u\n", seed);
	srandom(seed);
	for (size_t i = 0; i < sizeof(blob); i++)
		blob[i] = (uint8_t)random();
	for (int r = 0; r < RANDOM_RECORDS; r++) {
		uint32_t nb = (uint32_t)random() % RANDOM_PAIRS;
		uint64_t u[RANDOM_PAIRS];
		struct sl_record_writer w;
		struct sl_span rec;
		char key[8];
		int n;

		sl_record_begin(&w, buf, sizeof(buf), SL_REC_NOTE, (uint64_t)r, (uint64_t)r, nb);
		for (uint32_t i = 0; i < nb; i++) {
			u[i] = random_uint();
			snprintf(key, sizeof(key), "k%u", i);
			if (i % 3 == 0)
				sl_record_uint(&w, key, u[i]);
			else if (i % 3 == 1)
				sl_record_str(&w, key, sl_span(blob, (size_t)(u[i] % sizeof(blob))));
			else
				sl_record_bin(&w, key, sl_span(blob, (size_t)(u[i] % sizeof(blob))));
		}
		n = sl_record_end(&w);
		assert_true(n > 0);
		rec = sl_span(buf, (size_t)n);
		assert_int_equal(sl_record_check(rec), 0);
		for (uint32_t i = 0; i < nb; i++) {
			struct sl_record_value v;

			snprintf(key, sizeof(key), "k%u", i);
			v = sl_record_get(rec, key);
			if (i % 3 == 0)
				assert_int_equal(v.u, u[i]);
			else
				assert_true(sl_span_eq(v.s, sl_span(blob, (size_t)(u[i] % sizeof(blob)))));
		}
		buf[random() % n] ^= (uint8_t)(1 << random() % 8);
		if (sl_record_check(rec) == SL_OK)
			assert_int_equal(sl_record_get(rec, "n").type, SL_RV_UINT);
	}
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(sl_record_kind_name(SL_REC_COMMAND), "command");
	assert_string_equal(sl_record_kind_name((enum sl_record_kind)11), "unknown");
	assert_string_equal(sl_record_key_name(SL_REC_COMMAND, SL_SPAN_LIT("sk")), "statement_kinds");
	assert_string_equal(sl_record_key_name(SL_REC_DATA, SL_SPAN_LIT("sk")), "skipped");
	assert_string_equal(sl_record_key_name(SL_REC_RESULT, SL_SPAN_LIT("o")), "tag");
	assert_null(sl_record_key_name(SL_REC_END, SL_SPAN_LIT("k")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_whole_only),
	        cmocka_unit_test(test_overflow),   cmocka_unit_test(test_contract_breaks),
	        cmocka_unit_test(test_refused),    cmocka_unit_test(test_random),
	        cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
