/* Values in binary as text. The bytes of most cases were made by another implementation (psycopg 3). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "pgvalue.h"

/* In a block of its own, so that a read past the value shows. */
static long convert(uint32_t type, const char *hex, char *out, size_t cap, bool *cut)
{
	size_t n = strlen(hex) / 2;
	uint8_t *b = malloc(n > 0 ? n : 1);
	unsigned v;
	long k;

	assert_non_null(b);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(sscanf(hex + 2 * i, "%2x", &v), 1);
		b[i] = (uint8_t)v;
	}
	k = pgvalue_text(type, sl_span(b, n), out, cap, cut);
	free(b);
	return k;
}

static void is(uint32_t type, const char *hex, const char *want)
{
	char out[256];
	bool cut;
	long n = convert(type, hex, out, sizeof(out) - 1, &cut);

	if (want == NULL) {
		assert_int_equal(n, -1);
		return;
	}
	assert_true(n >= 0);
	out[n] = '\0';
	assert_string_equal(out, want);
	assert_false(cut);
	/* with less room it is the beginning of the same */
	for (size_t room = 0; room < (size_t)n; room++) {
		char *less = malloc(room + 1);

		assert_int_equal(convert(type, hex, less, room, &cut), room);
		assert_memory_equal(less, want, room);
		assert_true(cut);
		free(less);
	}
}

static void test_plain(void **state)
{
	(void)state;
	is(16, "01", "t");
	is(16, "00", "f");
	is(17, "00ff41", "\\x00ff41");
	is(17, "", "\\x");
	is(18, "41", "A");
	is(25, "6869", "hi");
	is(1043, "", "");
	is(21, "fffe", "-2");
	is(23, "0000002a", "42");
	is(23, "80000000", "-2147483648");
	is(20, "fffffffde78ee600", "-9000000000");
	is(26, "ffffffff", "4294967295");
	is(700, "3fc00000", "1.5");
	is(700, "3dcccccd", "0.1");
	is(701, "3fb999999999999a", "0.1");
	is(701, "fe37e43c8800759c", "-1e+300");
	is(701, "7ff8000000000000", "NaN");
	is(700, "ff800000", "-Infinity");
	is(2950, "123456789abcdef0123456789abcdef0", "12345678-9abc-def0-1234-56789abcdef0");
	is(114, "7b7d", "{}");
	is(3802, "017b7d", "{}");
	is(869, "022000040a010203", "10.1.2.3");
	is(869, "020800040a010203", "10.1.2.3/8");
	is(650, "0320011020010db8000000000000000000000000", "2001:db8::/32");
}

static void test_numeric(void **state)
{
	(void)state;
	is(1700, "0000000000000000", "0");
	is(1700, "0003000140000004000109291a85", "-12345.6789");
	is(1700, "0002ffff00000005000107d0", "0.00012");
	is(1700, "00010002000000000064", "10000000000");
	is(1700, "00040002000000010001000000001388", "100000000.5");
	is(1700, "0001000000000002000c", "12.00");
	is(1700, "00000000c0000000", "NaN");
	is(1700, "00000000d0000000", "Infinity");
	is(1700, "00000000f0000000", "-Infinity");
	is(1700, "0001000000000000", NULL);     /* a digit is missing */
	is(1700, "00010000000000002710", NULL); /* 10000 is none */
	is(1700, "00010000123400000001", NULL);
	is(1700, "00010000000040000001", NULL);
	is(1700, "00", NULL);
}

static void test_times(void **state)
{
	(void)state;
	is(1082, "0000265d", "2026-11-21");
	is(1082, "fff4dbf9", "0001-01-01");
	is(1082, "fff4dbf8", "0001-12-31 BC");
	is(1082, "0000003b", "2000-02-29");
	is(1082, "7fffffff", "infinity");
	is(1082, "80000000", "-infinity");
	is(1114, "fffffffffff48e50", "1999-12-31 23:59:59.25");
	is(1114, "0000000000000000", "2000-01-01 00:00:00");
	is(1114, "7fffffffffffffff", "infinity");
	is(1114, "8000000000000005", "290279-12-22 19:59:05.224197 BC");
	is(1184, "0000000000000001", "2000-01-01 00:00:00.000001+00");
	is(1083, "000000036c8bc080", "04:05:06");
	is(1083, "000000141dd76000", "24:00:00");
	is(1083, "000000141dd76001", NULL);
	is(1083, "ffffffffffffffff", NULL);
	is(1266, "000000036c966ee0ffffb2a8", "04:05:06.7+05:30");
	is(1266, "000000036c966ee000000e10", "04:05:06.7-01");
	is(1266, "000000036c966ee07fffffff", NULL);
	is(1186, "ffffffffffb3b4c00000000300000000", "3 days -00:00:05");
	is(1186, "000000141d8b14c00000000200000000", "2 days 23:59:55");
	is(1231, "0000000100000000000006a400000001000000010000000c000200000000000200011388", "{1.50}");
	is(1182, "00000001000000000000043a00000001000000010000000400000000", "{\"2000-01-01\"}");
	is(1184, "0002ea5dbb151346", "2026-01-02 03:04:05.000006+00");
	is(1186, "00000000000000000000000100000019", "2 years 1 mon 1 day");
	is(1186, "00000000000000000000000000000000", "00:00:00");
	is(1186, "80000000000000000000000000000000", NULL);
}

static void test_arrays(void **state)
{
	(void)state;
	is(1007, "00000001000000010000001700000003000000010000000400000001ffffffff0000000400000003",
	   "{1,NULL,3}");
	is(1009, "000000010000000000000019000000030000000100000001610000000362226300000000",
	   "{\"a\",\"b\\\"c\",\"\"}");
	is(1005,
	   "0000000200000000000000150000000200000001000000020000000100000002000100000002000200000002000300000"
	   "0020004",
	   "{{1,2},{3,4}}");
	is(1007, "000000000000000000000017", "{}");
	is(1007, "000000000000000000000019", NULL);                                   /* of another type */
	is(1007, "000000010000000000000017000000010000000100000004000000", NULL);     /* cut */
	is(1007, "0000000100000000000000170000000100000001000000040000000100", NULL); /* a byte behind it */
	is(1007, "00000001000000000000001700000000000000010000000400000001",
	   NULL); /* no element in a dimension */
	is(1007, "0000000700000000000000170000000100000001000000040000000100", NULL); /* seven dimensions */
	is(1007, "0000000200000000000000177fffffff000000017fffffff00000001", NULL);   /* too many */
	is(1007, "00000001000000000000001700000001000000010000000300000000", NULL);   /* no int4 */
}

static void test_unknown(void **state)
{
	(void)state;
	is(0, "00", NULL);
	is(600, "00000000000000000000000000000000", NULL);
	is(16, "0000", NULL);
	is(23, "00000000ff", NULL);
	is(20, "00000000", NULL);
	is(700, "00", NULL);
	is(701, "00000000", NULL);
	is(26, "00", NULL);
	is(1082, "00", NULL);
	is(1114, "00", NULL);
	is(1186, "00", NULL);
	is(2950, "00", NULL);
	is(3802, "02", NULL);
	is(3802, "", NULL);
	is(869, "02210004000000000000", NULL);
	is(869, "04200004ffffffff", NULL);
	is(869, "02210004ffffffff", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_plain),  cmocka_unit_test(test_numeric), cmocka_unit_test(test_times),
	        cmocka_unit_test(test_arrays), cmocka_unit_test(test_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
