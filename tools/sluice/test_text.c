#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "text.h"

static void test_clean(void **state)
{
	static const struct {
		struct sl_span in;
		size_t width;
		const char *out;
	} cases[] = {
	        {SL_SPAN_LIT(""), 0, ""},
	        {SL_SPAN_LIT("plain"), 0, "plain"},
	        {SL_SPAN_LIT("a\nb\tc\rd"), 0, "a\\nb\\tc\\rd"},
	        {SL_SPAN_LIT("\033]52;c;cm0=\a"), 0, "\\x1b]52;c;cm0=\\x07"},
	        {SL_SPAN_LIT("\0\x7f"), 0, "\\x00\\x7f"},
	        {SL_SPAN_LIT("\xc2\x9b"
	                     "31m"),
	         0, "\\x9b31m"}, /* CSI as a C1 control */
	        {SL_SPAN_LIT("Zo\xc3\xab \xe2\x82\xac"), 0, "Zo\xc3\xab \xe2\x82\xac"},
	        {SL_SPAN_LIT("\xe2\x80\xae"
	                     "abc"),
	         0, "\\u{202e}abc"}, /* right-to-left override */
	        {SL_SPAN_LIT("a\xe2\x80\x8b"), 0, "a\\u{200b}"},
	        {SL_SPAN_LIT("\xff\xc3("), 0, "\\xff\\xc3("},
	        {SL_SPAN_LIT("\xc0\x9b"), 0, "\\xc0\\x9b"}, /* overlong escape */
	        {SL_SPAN_LIT("\xe0\x80\x9b"), 0, "\\xe0\\x80\\x9b"},
	        {SL_SPAN_LIT("\xed\xa0\x80"), 0, "\\xed\\xa0\\x80"}, /* surrogate */
	        {SL_SPAN_LIT("\xf4\x90\x80\x80"), 0, "\\xf4\\x90\\x80\\x80"},
	        {SL_SPAN_LIT("\xc3"), 0, "\\xc3"}, /* cut */
	        {SL_SPAN_LIT("0123456789"), 10, "0123456789"},
	        {SL_SPAN_LIT("0123456789a"), 10, "0123456..."},
	        {SL_SPAN_LIT("01234567\033"), 10, "0123456..."},
	        {SL_SPAN_LIT("\033\033\033"), 8, "\\x1b..."},
	        {SL_SPAN_LIT("abcdef"), 1, "a..."},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *s = text_clean(cases[i].in, cases[i].width);

		assert_non_null(s);
		assert_string_equal(s, cases[i].out);
		free(s);
	}
}

/* Whatever goes in, nothing that a terminal acts on comes out, and no more columns than asked for. */
static void test_random(void **state)
{
	unsigned int seed = (unsigned int)time(NULL);
	uint8_t in[64];

	(void)state;
	printf("seed %u\n", seed);
	srandom(seed);
	for (int r = 0; r < 20000; r++) {
		size_t n = (size_t)random() % sizeof(in), width = (size_t)random() % 40, columns = 0;
		char *s;

		for (size_t i = 0; i < n; i++)
			in[i] = random() % 3 == 0 ? (uint8_t)(0xc0 + random() % 64) : (uint8_t)random();
		s = text_clean(sl_span(in, n), width);
		assert_non_null(s);
		for (const char *p = s; *p != '\0'; p++) {
			assert_true((uint8_t)*p >= 0x20 && *p != 0x7f);
			if ((uint8_t)*p == 0xc2)
				assert_true((uint8_t)p[1] >= 0xa0);
			columns += ((uint8_t)*p & 0xc0) != 0x80;
		}
		assert_true(width == 0 || columns <= (width < 4 ? 4 : width));
		free(s);
	}
}

static void test_block(void **state)
{
	char *p = NULL;
	size_t n;
	FILE *f = open_memstream(&p, &n);

	(void)state;
	assert_non_null(f);
	text_block(f, "> ", SL_SPAN_LIT("a\r\n\n\033b\n"), 100);
	text_block(f, "> ", SL_SPAN_LIT("abcdef"), 3);
	text_block(f, "> ", SL_SPAN_EMPTY, 3);
	assert_int_equal(fclose(f), 0);
	assert_string_equal(p, "> a\n> \n> \\x1bb\n> abc\n> [3 more bytes]\n> \n");
	free(p);
}

static void test_table(void **state)
{
	static const char *const heads[] = {"A", "LONGER"};
	struct table *t = table_new(heads, 2);
	char *p = NULL, s[TIME_STR_MAX];
	size_t n;
	FILE *f = open_memstream(&p, &n);

	(void)state;
	assert_non_null(f);
	table_text(t, "Zo\xc3\xab");
	table_text(t, NULL);
	table_fmt(t, "%d", 7);
	table_below(t, "not the end of a row");
	table_text(t, "x\033");
	table_below(t, "as long as it likes to be, it widens no column and is not cut \033");
	table_print(t, f);
	table_free(t);
	assert_int_equal(fclose(f), 0);
	assert_string_equal(p, "A    LONGER\nZo\xc3\xab  -\n7    x\\x1b\n"
	                       "    as long as it likes to be, it widens no column and is not cut \\x1b\n");
	free(p);
	assert_string_equal(text_bytes(1023, s), "1023 B");
	assert_string_equal(text_bytes(1536, s), "1.5 KiB");
	assert_string_equal(text_bytes(UINT64_MAX, s), "16777216.0 TiB");
	assert_string_equal(text_time(0, s), "-");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_clean),
	        cmocka_unit_test(test_random),
	        cmocka_unit_test(test_block),
	        cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
