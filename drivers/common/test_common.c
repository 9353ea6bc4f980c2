#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "sl_addr.h"
#include "sl_counter.h"
#include "sl_err.h"
#include "sl_id.h"
#include "sl_log.h"
#include "sl_secret.h"
#include "sl_siphash.h"
#include "sl_span.h"
#include "sl_ticks.h"

static void test_err_table(void **state)
{
	(void)state;
	assert_string_equal(sl_err_name(SL_E_TCP_SEQ), "tcp_seq");
	assert_string_equal(sl_err_name(0), "ok");
	assert_string_equal(sl_err_name(-100000), "unknown");
	assert_int_equal(sl_err_severity(SL_E_TLS_VERIFY), 'S');
	for (int e = 1; e < SL_ERR_COUNT; e++)
		assert_true(strlen(sl_err_text(-e)) > 5);
}

static void test_counting(void **state)
{
	uint64_t before = sl_counter_err_sum(SL_E_TCP_SEQ);

	(void)state;
	assert_int_equal(sl_fail(SL_E_TCP_SEQ), SL_E_TCP_SEQ);
	sl_counters_register("test");
	assert_int_equal(sl_fail(SL_E_TCP_SEQ), SL_E_TCP_SEQ);
	assert_int_equal(sl_counter_err_sum(SL_E_TCP_SEQ), before + 2);
	sl_count_n(SL_C_RX_BYTES, 7);
	assert_int_equal(sl_counter_sum(SL_C_RX_BYTES), 7);
	assert_string_equal(sl_counter_name(SL_C_RX_BYTES), "rx_bytes");
	sl_level_set(SL_L_RX_MBUFS, 9);
	sl_level_set(SL_L_RX_MBUFS, 4);
	assert_int_equal(sl_level_sum(SL_L_RX_MBUFS), 4);
	assert_string_equal(sl_level_name(SL_L_RECORD_BLOCKS), "record_blocks");
	assert_true(strlen(sl_level_text(SL_L_RECORD_BLOCKS)) > 5);
}

static void test_addresses(void **state)
{
	static const char *const bad[] = {"10.0.0.1",    "10.0.0.1:",     "10.0.0.1:0", "10.0.0.1:65536",
	                                  "::1:80",      "[10.0.0.1]:80", "[::1]",      "10.0.0.1:+5",
	                                  "10.0.0.1: 5", ":80",           "host:80"};
	struct sl_endpoint e;
	struct sl_prefix p;
	struct sl_addr a;
	char buf[SL_ENDPOINT_STR_MAX];

	(void)state;
	assert_int_equal(sl_endpoint_parse("10.0.0.1:5432", &e), 0);
	assert_int_equal(e.port, 5432);
	assert_string_equal(sl_endpoint_str(&e, buf), "10.0.0.1:5432");
	assert_int_equal(sl_endpoint_parse("[fd00::1]:443", &e), 0);
	assert_string_equal(sl_endpoint_str(&e, buf), "[fd00::1]:443");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(sl_endpoint_parse(bad[i], &e), SL_E_INVAL);
	assert_int_equal(sl_prefix_parse("10.1.128.0/17", &p), 0);
	assert_int_equal(sl_addr_parse("10.1.200.3", &a), 0);
	assert_true(sl_prefix_has(&p, &a));
	assert_int_equal(sl_addr_parse("10.1.127.3", &a), 0);
	assert_false(sl_prefix_has(&p, &a));
	assert_int_equal(sl_prefix_parse("10.0.0.0/33", &p), SL_E_INVAL);
	assert_int_equal(sl_prefix_parse("10.0.0.0", &p), SL_E_INVAL);
	assert_int_equal(sl_prefix_parse("0.0.0.0/0", &p), 0);
	assert_true(sl_prefix_has(&p, &a));
}

static void test_ids(void **state)
{
	struct sl_id_maker m = {.salt = 0xabcdef, .maker = 3};
	struct sl_id a = sl_id_make(&m, UINT64_C(1700000000000000)),
	             b = sl_id_make(&m, UINT64_C(1700000000000000)), c;
	char sa[SL_ID_STR_MAX], sb[SL_ID_STR_MAX];

	(void)state;
	sl_id_str(&a, sa);
	sl_id_str(&b, sb);
	assert_int_equal(strlen(sa), 26);
	assert_true(strcmp(sa, sb) < 0);
	assert_int_equal(sl_id_parse(sa, &c), 0);
	assert_memory_equal(&a, &c, sizeof(a));
	sa[3] = 'u';
	assert_int_equal(sl_id_parse(sa, &c), SL_E_INVAL);
	assert_int_equal(sl_id_parse("", &c), SL_E_INVAL);
	assert_int_equal(sl_id_parse("80000000000000000000000000", &c), SL_E_INVAL);
}

static void test_log_quote(void **state)
{
	char out[16];

	(void)state;
	assert_string_equal(sl_log_quote(SL_SPAN_LIT("a\n\"b\\"), out, sizeof(out)), "a\\x0a\\\"b\\\\");
	assert_string_equal(sl_log_quote(SL_SPAN_EMPTY, out, sizeof(out)), "");
	assert_true(strlen(sl_log_quote(SL_SPAN_LIT("0123456789abcdef0123"), out, sizeof(out))) <
	            sizeof(out));
}

static void test_secret(void **state)
{
	static uint8_t big[SL_SECRET_MAX + 1];
	struct sl_secret s = {0};

	(void)state;
	assert_int_equal(sl_secret_set(&s, SL_SPAN_LIT("hunter2")), 0);
	assert_true(sl_span_is(sl_secret_span(&s), "hunter2"));
	assert_int_equal(sl_secret_set(&s, sl_span(big, sizeof(big))), SL_E_LIMIT);
	assert_int_equal(s.n, 0);
	for (size_t i = 0; i < sizeof(s.b); i++)
		assert_int_equal(s.b[i], 0);
}

static void test_span_cstr(void **state)
{
	char out[5];

	(void)state;
	assert_int_equal(sl_span_cstr(SL_SPAN_LIT("abcd"), out, sizeof(out)), 4);
	assert_string_equal(out, "abcd");
	assert_int_equal(sl_span_cstr(SL_SPAN_LIT("abcde"), out, sizeof(out)), -1);
	assert_int_equal(sl_span_cstr(sl_span("a\0b", 3), out, sizeof(out)), -1);
	assert_string_equal(out, "a");
	assert_true(sl_span_eq(sl_span_sub(SL_SPAN_LIT("hello"), 1, 2), SL_SPAN_LIT("el")));
	assert_int_equal(sl_span_sub(SL_SPAN_LIT("hello"), 9, 2).n, 0);
}

/* The vectors of the SipHash paper's appendix: key 00..0f, message 00..(n-1). */
static void test_siphash(void **state)
{
	uint8_t bytes[16];
	uint64_t key[2];

	(void)state;
	for (uint8_t i = 0; i < 16; i++)
		bytes[i] = i;
	memcpy(key, bytes, 16);
	assert_true(sl_siphash(key, bytes, 0) == UINT64_C(0x726fdb47dd0e0e31));
	assert_true(sl_siphash(key, bytes, 15) == UINT64_C(0xa129ca6149be45e5));
}

/* Against a division, for the slowest and the fastest counters and some years of them. */
static void test_ticks(void **state)
{
	static const uint64_t hz[] = {1000001, 19200000, 2599998321, UINT64_C(5000000000)};

	(void)state;
	for (size_t i = 0; i < sizeof(hz) / sizeof(hz[0]); i++) {
		uint64_t scale = sl_ticks_scale(hz[i]), last = 0;

		for (uint64_t ticks = 0; ticks < UINT64_C(1) << 62; ticks += 1 + ticks / 1000) {
			uint64_t exact = (uint64_t)((unsigned __int128)ticks * 1000000 / hz[i]);
			uint64_t us = sl_ticks_us(ticks, scale);

			assert_true(us <= exact && exact - us <= 2);
			assert_true(us >= last);
			last = us;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_err_table), cmocka_unit_test(test_counting),
	        cmocka_unit_test(test_addresses), cmocka_unit_test(test_ids),
	        cmocka_unit_test(test_log_quote), cmocka_unit_test(test_secret),
	        cmocka_unit_test(test_span_cstr), cmocka_unit_test(test_siphash),
	        cmocka_unit_test(test_ticks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
