/* Values under masks: each type, both formats, each action; documents by path; content; FF1's samples. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ff1.h"
#include "sl_detect.h"
#include "sl_mask.h"

enum {
	REDACT,
	LAST4,
	NIL,
	HASH,
	TOKEN,
	YEAR,
	MONTH,
	DAY,
	HOUR,
	PATHS,
	PATHS_NULL,
	PATHS_LAST4,
	CARD,
	FIRST2,
	NB
};

enum {
	BOOL = 16,
	BYTEA = 17,
	CHAR = 18,
	NAME = 19,
	INT8 = 20,
	INT2 = 21,
	INT4 = 23,
	TEXT = 25,
	OID = 26,
	JSON = 114,
	XML = 142,
	POINT = 600,
	CIDR = 650,
	FLOAT4 = 700,
	FLOAT8 = 701,
	MONEY = 790,
	MACADDR = 829,
	INET = 869,
	INT4_ARRAY = 1007,
	TEXT_ARRAY = 1009,
	BPCHAR = 1042,
	VARCHAR = 1043,
	DATE = 1082,
	TIME = 1083,
	TIMESTAMP = 1114,
	TIMESTAMPTZ = 1184,
	INTERVAL = 1186,
	TIMETZ = 1266,
	BIT = 1560,
	VARBIT = 1562,
	NUMERIC = 1700,
	RECORD = 2249,
	UUID = 2950,
	TSVECTOR = 3614,
	JSONB = 3802,
	JSONB_ARRAY = 3807,
	INT4RANGE = 3904,
	INT8RANGE = 3926,
	INT8MULTIRANGE = 4536,
	MOOD = 90001,
	MOODS = 90002,
	PHONE = 90003, /* a domain over a domain over text */
	PHONE0 = 90004,
	PERSON = 90005,
	CITEXT = 90006,
	LOOP = 90007, /* a domain over itself */
};

/* The catalog of the tests, in place of the real one. */
static const struct sl_catalog_type types[] = {
        {MOOD, 0, SL_TYPE_ENUM, SL_SPAN_LIT("sad")}, {MOODS, MOOD, SL_TYPE_ARRAY, {0}},
        {PHONE, PHONE0, SL_TYPE_DOMAIN, {0}},        {PHONE0, TEXT, SL_TYPE_DOMAIN, {0}},
        {PERSON, 0, SL_TYPE_COMPOSITE, {0}},         {CITEXT, 0, SL_TYPE_BASE, {0}},
        {LOOP, LOOP, SL_TYPE_DOMAIN, {0}},
};

const struct sl_catalog_type *sl_catalog_type(const struct sl_catalog *c, uint32_t oid)
{
	(void)c;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].oid == oid)
			return &types[i];
	return NULL;
}

static uint8_t key[SL_MASK_KEY_BYTES] = "a key of the tests, 32 bytes lon";
static const char *paths[] = {"$.ssn", "$.items[*].card", "$..token", "$.list[1]", "$.a[\"b c\"]"};
static struct sl_mask masks[NB] = {
        [REDACT] = {.action = SL_MASK_REDACT, .text = "<x>"},
        [LAST4] = {.action = SL_MASK_PARTIAL, .keep_last = 4, .text = "***"},
        [NIL] = {.action = SL_MASK_NULL, .text = "***"},
        [HASH] = {.action = SL_MASK_HASH, .key = key, .text = "***"},
        [TOKEN] = {.action = SL_MASK_TOKENISE, .key = key, .text = "***"},
        [YEAR] = {.action = SL_MASK_DATE, .unit = SL_MASK_YEAR, .text = "***"},
        [MONTH] = {.action = SL_MASK_DATE, .unit = SL_MASK_MONTH, .text = "***"},
        [DAY] = {.action = SL_MASK_DATE, .unit = SL_MASK_DAY, .text = "***"},
        [HOUR] = {.action = SL_MASK_DATE, .unit = SL_MASK_HOUR, .text = "***"},
        [PATHS] = {.action = SL_MASK_REDACT, .text = "\"x\"", .json = {paths, 5}},
        [PATHS_NULL] = {.action = SL_MASK_NULL, .text = "***", .json = {paths, 5}},
        [PATHS_LAST4] = {.action = SL_MASK_PARTIAL, .keep_last = 4, .text = "***", .json = {paths, 5}},
        [CARD] = {.action = SL_MASK_REDACT, .text = "[c]", .has_content = true},
        [FIRST2] = {.action = SL_MASK_PARTIAL, .keep_first = 2, .text = "***"},
};

static struct sl_snapshot snapshot = {.version = 7, .masks = masks, .nb_masks = NB, .nb_workers = 1};
static struct sl_match_scratch *scratches[1];
static struct sl_principal who = {.snapshot_version = 7};
static uint8_t room[65536], out[65536];

static enum sl_masked run(int32_t mask, bool derived, uint32_t type, uint8_t format, struct sl_span v,
                          size_t *n)
{
	struct sl_masker m = {&snapshot, &who, (const struct sl_catalog *)types, 0, room, sizeof(room)};
	struct sl_mask_value value = {mask, derived, format, type, SL_SPAN_LIT("col"), v};
	uint8_t *copy = malloc(v.n + 1); /* so that a read past its end is seen */
	enum sl_masked rc;

	assert_non_null(copy);
	if (v.n > 0)
		memcpy(copy, v.p, v.n);
	value.value.p = realloc(copy, v.n > 0 ? v.n : 1);
	assert_non_null(value.value.p);
	rc = sl_mask(&m, &value, out, sizeof(out), n);
	free((void *)(uintptr_t)value.value.p);
	return rc;
}

static const char pass[] = "(pass)", null[] = "(null)", refuse[] = "(refuse)";

static void expect(int32_t mask, bool derived, uint32_t type, uint8_t format, struct sl_span v,
                   struct sl_span want, const char *say)
{
	size_t n = 0;
	enum sl_masked rc = run(mask, derived, type, format, v, &n);
	const char *got = rc == SL_MASKED_PASS ? pass : rc == SL_MASKED_NULL ? null : refuse;

	if (rc != SL_MASKED_NEW ? say != got : (say != NULL || !sl_span_eq(sl_span(out, n), want))) {
		char hex[1024] = "";

		for (size_t i = 0; i < n && i < 400; i++)
			snprintf(hex + 2 * i, 3, "%02x", out[i]);
		fail_msg("mask %d type %u format %u value \"%.*s\": %s \"%.*s\" (%s), not \"%.*s\"", mask,
		         type, format, (int)v.n, (const char *)v.p, rc == SL_MASKED_NEW ? "" : got, (int)n,
		         (const char *)out, hex, say != NULL ? (int)strlen(say) : (int)want.n,
		         say != NULL ? say : (const char *)want.p);
	}
}

static const char *special(const char *want)
{
	return want == pass || want == null || want == refuse ? want : NULL;
}

static void t(int32_t mask, uint32_t type, const char *value, const char *want)
{
	expect(mask, false, type, 0, sl_span_str(value), sl_span_str(want), special(want));
}

static size_t unhex(const char *hex, uint8_t *b)
{
	size_t n = 0;
	unsigned int c;

	for (; *hex != '\0'; hex += *hex == ' ' ? 1 : 2) {
		if (*hex == ' ')
			continue;
		assert_int_equal(sscanf(hex, "%2x", &c), 1);
		b[n++] = (uint8_t)c;
	}
	return n;
}

static void b(int32_t mask, uint32_t type, const char *value, const char *want)
{
	uint8_t v[512], w[512];
	size_t n = unhex(value, v), k = special(want) != NULL ? 0 : unhex(want, w);

	expect(mask, false, type, 1, sl_span(v, n), sl_span(w, k), special(want));
}

/* Both formats of the same value. */
static void both(int32_t mask, uint32_t type, const char *text, const char *hex, const char *want,
                 const char *want_hex)
{
	t(mask, type, text, want);
	b(mask, type, hex, want_hex);
}

static void test_redact(void **state)
{
	(void)state;
	both(REDACT, TEXT, "Ann", "416e6e", "<x>", "3c783e");
	both(REDACT, VARCHAR, "", "", "<x>", "3c783e");
	both(REDACT, NAME, "n", "6e", "<x>", "3c783e");
	both(REDACT, BPCHAR, "a  ", "612020", "<x>", "3c783e");
	both(REDACT, CHAR, "a", "61", "*", "2a");
	both(REDACT, BOOL, "t", "01", "f", "00");
	both(REDACT, INT2, "-7", "fff9", "0", "0000");
	both(REDACT, INT4, "7", "00000007", "0", "00000000");
	both(REDACT, INT8, "7", "0000000000000007", "0", "0000000000000000");
	both(REDACT, OID, "7", "00000007", "0", "00000000");
	both(REDACT, FLOAT4, "1.5", "3fc00000", "0", "00000000");
	both(REDACT, FLOAT8, "1.5", "3ff8000000000000", "0", "0000000000000000");
	both(REDACT, NUMERIC, "12.50", "0002 0000 0000 0002 000c 1388", "0", "0000000000000000");
	both(REDACT, BYTEA, "\\x01", "01", "\\x", "");
	both(REDACT, UUID, "6f9619ff-8b86-d011-b42d-00cf4fc964ff", "6f9619ff8b86d011b42d00cf4fc964ff",
	     "00000000-0000-0000-0000-000000000000", "00000000000000000000000000000000");
	both(REDACT, DATE, "1984-05-06", "ffffe9b5", "2000-01-01", "00000000");
	both(REDACT, TIME, "10:11:12", "0000000888888888", "00:00:00", "0000000000000000");
	both(REDACT, TIMETZ, "10:11:12+02", "000000088888888800000000", "00:00:00+00",
	     "000000000000000000000000");
	both(REDACT, TIMESTAMP, "1984-05-06 10:11:12", "ffff000000000000", "2000-01-01 00:00:00",
	     "0000000000000000");
	both(REDACT, TIMESTAMPTZ, "1984-05-06 10:11:12+02", "ffff000000000000", "2000-01-01 00:00:00+00",
	     "0000000000000000");
	both(REDACT, INTERVAL, "1 day", "00000000000000000000000100000000", "00:00:00",
	     "00000000000000000000000000000000");
	both(REDACT, INET, "192.0.2.1/24", "02180004c0000201", "0.0.0.0", "0220000400000000");
	both(REDACT, CIDR, "192.0.2.0/24", "02180104c0000200", "0.0.0.0/32", "0220010400000000");
	both(REDACT, MACADDR, "08:00:2b:01:02:03", "08002b010203", "00:00:00:00:00:00", "000000000000");
	both(REDACT, JSON, "{\"a\":1}", "7b7d", "\"<x>\"", "223c783e22");
	both(REDACT, JSONB, "{\"a\": 1}", "017b7d", "\"<x>\"", "01223c783e22");
	both(REDACT, XML, "<a>1</a>", "3c", "&lt;x>", "266c743b783e");
	both(REDACT, BIT, "101", "00000003a0", "000", "0000000300");
	both(REDACT, VARBIT, "101", "00000003a0", "", "00000000");
	both(REDACT, TSVECTOR, "'a':1", "00000001610000010001", "", "00000000");
	both(REDACT, MONEY, "$1.00", "0000000000000064", null, null);
	both(REDACT, POINT, "(1,2)", "3ff00000000000003ff0000000000000", null, null);
	both(REDACT, MOOD, "happy", "6861707079", "sad", "736164");
	both(REDACT, PHONE, "+49", "2b", "<x>", "3c783e");
	both(REDACT, CITEXT, "a", "61", null, null);
	both(REDACT, LOOP, "a", "61", null, null);
	both(REDACT, 4242424, "a", "61", null, null);
	t(REDACT, 0, "a", "<x>");
	b(REDACT, 0, "61", null);
	both(REDACT, INT4RANGE, "[1,5)", "02000000040000000100000004 00000005", "empty", "01");
	both(REDACT, INT8MULTIRANGE, "{[1,5)}", "00000000", "{}", "00000000");
	/* What the mask makes NULL is NULL whatever it is. */
	both(NIL, INT4, "1", "00000001", null, null);
	both(NIL, TEXT_ARRAY, "{a}", "00", null, null);
	both(NIL, CITEXT, "1", "00000001", null, null);
}

static void test_nested(void **state)
{
	(void)state;
	t(REDACT, TEXT_ARRAY, "{a,\"b c\",NULL,\"x\\\"y\",\"NULL\"}", "{<x>,<x>,NULL,<x>,<x>}");
	t(REDACT, TEXT_ARRAY, "{}", pass);
	t(REDACT, TEXT_ARRAY, "{NULL}", pass);
	t(REDACT, TEXT_ARRAY, "[0:1][2:3]={{a,b},{c,d}}", "[0:1][2:3]={{<x>,<x>},{<x>,<x>}}");
	t(LAST4, TEXT_ARRAY, "{\"a b, \\\\\\\"cd\"}", "{\"*****\\\\\\\"cd\"}");
	t(REDACT, INT4_ARRAY, "{{1,2},{3,NULL}}", "{{0,0},{0,NULL}}");
	t(REDACT, MOODS, "{happy,ok}", "{sad,sad}");
	t(PATHS_NULL, JSONB_ARRAY, "{\"{\\\"ssn\\\": 1, \\\"b\\\": 2}\"}",
	  "{\"{\\\"ssn\\\": null, \\\"b\\\": 2}\"}");
	t(REDACT, TEXT_ARRAY, "{a", refuse);
	t(REDACT, TEXT_ARRAY, "{a}}", refuse);
	t(REDACT, TEXT_ARRAY, "{a,,b}", refuse);
	t(REDACT, TEXT_ARRAY, "a", refuse);
	t(REDACT, TEXT_ARRAY, "", refuse);
	t(REDACT, TEXT_ARRAY, "{\"a}", refuse);
	t(REDACT, TEXT_ARRAY, "{a\"b\"}", refuse);
	t(REDACT, TEXT_ARRAY, "{{{{{{{a}}}}}}}", refuse);
	b(REDACT, INT4_ARRAY, "00000001 00000001 00000017 00000002 00000001 00000004 00000005 ffffffff",
	  "00000001 00000001 00000017 00000002 00000001 00000004 00000000 ffffffff");
	b(REDACT, TEXT_ARRAY, "00000001 00000000 00000019 00000001 00000001 00000001 61",
	  "00000001 00000000 00000019 00000001 00000001 00000003 3c783e");
	b(REDACT, TEXT_ARRAY, "00000000 00000000 00000019", pass);
	b(REDACT, TEXT_ARRAY, "00000001 00000000 00000017 00000001 00000001 00000001 61", refuse);
	b(REDACT, TEXT_ARRAY, "00000001 00000000 00000019 00000001 00000001 00000002 61", refuse);
	b(REDACT, TEXT_ARRAY, "00000001 00000000 00000019 00000001 00000001 00000001 6161", refuse);
	b(REDACT, TEXT_ARRAY, "00000007 00000000 00000019", refuse);
	b(REDACT, TEXT_ARRAY, "00000002 00000000 00000019 7fffffff 00000001 7fffffff 00000001", refuse);
	t(REDACT, PERSON, "(1,\"a, \"\"b\"\"\",)", "(,,)");
	t(REDACT, RECORD, "(\"(1,2)\",\"{a}\")", "(,)");
	t(REDACT, RECORD, "(a", refuse);
	t(REDACT, RECORD, "a)", refuse);
	t(REDACT, RECORD, "(a)b", refuse);
	t(REDACT, RECORD, "(\"a)", refuse);
	b(REDACT, RECORD, "00000002 00000017 00000004 00000005 00000019 ffffffff",
	  "00000002 00000017 ffffffff 00000019 ffffffff");
	b(REDACT, RECORD, "00000001 00000017 00000005 00000005", refuse);
	b(REDACT, RECORD, "00000001 00000017 ffffffff 00", refuse);
}

static void test_partial(void **state)
{
	(void)state;
	t(LAST4, TEXT, "4111111111111111", "************1111");
	t(LAST4, TEXT, "1111", "****");
	t(LAST4, TEXT, "\xc3\xa9\xc3\xa8zzzz", "**zzzz");
	both(LAST4, INT4, "123456789", "075bcd15", "6789", "00001a85");
	both(LAST4, INT8, "-20000", "ffffffffffffb1e0", "0", "0000000000000000");
	both(LAST4, INT2, "1234", "04d2", "0", "0000");
	both(FIRST2, INT4, "123456", "0001e240", "120000", "0001d4c0");
	/* All that is kept of it would be more than the type holds. */
	both(LAST4, NUMERIC, "-98765.4321", "0003 0001 4000 0004 0009 223d 10e1", "0.4321",
	     "0001 ffff 0000 0004 10e1");
	both(FIRST2, NUMERIC, "12345678901234567890.5", "0006 0004 0000 0001 04d2 162e 2334 0d80 1ed2 1388",
	     "12000000000000000000.0", "0001 0004 0000 0001 04b0");
	t(LAST4, NUMERIC, "NaN", "0");
	both(LAST4, FLOAT8, "12345.678", "40c81cd6c8b43958", "0", "0000000000000000");
	both(LAST4, UUID, "6f9619ff-8b86-d011-b42d-00cf4fc964ff", "6f9619ff8b86d011b42d00cf4fc964ff",
	     "00000000-0000-0000-0000-0000000064ff", "000000000000000000000000000064ff");
	t(LAST4, UUID, "no uuid", "00000000-0000-0000-0000-000000000000");
	both(LAST4, DATE, "1984-05-06", "ffffe9b5", "2000-01-01", "00000000");
}

/* A value's new text. */
static char *masked(int32_t mask, uint32_t type, uint8_t format, struct sl_span v)
{
	static char text[8][256];
	static unsigned int at;
	char *p = text[at++ % 8];
	size_t n = 0;

	assert_int_equal(run(mask, false, type, format, v, &n), SL_MASKED_NEW);
	assert_true(n < sizeof(text[0]));
	memcpy(p, out, n);
	p[n] = '\0';
	return p;
}

static char *mt(int32_t mask, uint32_t type, const char *value)
{
	return masked(mask, type, 0, sl_span_str(value));
}

static int64_t mi(int32_t mask, uint32_t type, const char *hex)
{
	uint8_t v[64];
	size_t n = unhex(hex, v);
	const uint8_t *p = (const uint8_t *)masked(mask, type, 1, sl_span(v, n));
	uint64_t x = 0;

	for (size_t i = 0; i < n; i++)
		x = x << 8 | p[i];
	return (int64_t)x;
}

static void test_hash(void **state)
{
	uint8_t h[32];

	(void)state;
	/* Python: hmac.new(key, b"t" + b"Ann", "sha256").hexdigest()[:32] */
	assert_int_equal(strlen(mt(HASH, TEXT, "Ann")), 32);
	assert_string_equal(mt(HASH, TEXT, "Ann"), mt(HASH, VARCHAR, "Ann"));
	assert_string_equal(mt(HASH, TEXT, "Ann"), masked(HASH, TEXT, 1, SL_SPAN_LIT("Ann")));
	assert_string_equal(mt(HASH, BPCHAR, "Ann   "), mt(HASH, TEXT, "Ann"));
	assert_string_not_equal(mt(HASH, TEXT, "Ann"), mt(HASH, TEXT, "ann"));
	/* Numbers: one value, one hash, whatever their type and how they are written. */
	assert_string_equal(mt(HASH, INT8, "42"), mt(HASH, NUMERIC, "42"));
	assert_string_equal(mt(HASH, NUMERIC, "42.00"), mt(HASH, NUMERIC, "42"));
	assert_string_equal(mt(HASH, NUMERIC, "-0.0"), mt(HASH, NUMERIC, "0"));
	assert_string_not_equal(mt(HASH, NUMERIC, "-42"), mt(HASH, NUMERIC, "42"));
	assert_string_not_equal(mt(HASH, NUMERIC, "420"), mt(HASH, NUMERIC, "42"));
	assert_string_not_equal(mt(HASH, NUMERIC, "4.2"), mt(HASH, NUMERIC, "42"));
	assert_int_equal(strtoll(mt(HASH, INT8, "42"), NULL, 10), mi(HASH, INT8, "000000000000002a"));
	assert_int_equal(strtoll(mt(HASH, INT4, "42"), NULL, 10), mi(HASH, INT4, "0000002a"));
	assert_int_equal(strtoll(mt(HASH, INT2, "42"), NULL, 10), mi(HASH, INT2, "002a"));
	assert_true(strtoll(mt(HASH, INT2, "42"), NULL, 10) <= 32767);
	assert_string_equal(mt(HASH, FLOAT8, "1.5"), mt(HASH, FLOAT8, "1.50"));
	assert_int_equal(strlen(mt(HASH, BYTEA, "\\x00ff")), 34);
	memcpy(h, masked(HASH, BYTEA, 1, sl_span("\0\xff", 2)), 16);
	for (int i = 0; i < 16; i++) {
		char two[3];

		snprintf(two, sizeof(two), "%02x", h[i]);
		assert_memory_equal(two, mt(HASH, BYTEA, "\\x00ff") + 2 + 2 * i, 2);
	}
	t(HASH, BYTEA, "escape \\000", "\\x");
	assert_int_equal(mt(HASH, UUID, "6f9619ff-8b86-d011-b42d-00cf4fc964ff")[14], '8');
	t(HASH, BOOL, "t", "f");
	t(HASH, DATE, "1984-05-06", "2000-01-01");
	assert_int_equal(strlen(mt(HASH, JSON, "{}")), 34);
	masks[HASH].key = NULL;
	t(HASH, TEXT, "a", null);
	t(HASH, INT4, "1", "0");
	masks[HASH].key = key;
}

static bool same_form(const char *a, const char *b)
{
	size_t i;

	for (i = 0; a[i] != '\0' && b[i] != '\0'; i++) {
		bool da = a[i] >= '0' && a[i] <= '9', db = b[i] >= '0' && b[i] <= '9';
		bool ua = a[i] >= 'A' && a[i] <= 'Z', ub = b[i] >= 'A' && b[i] <= 'Z';
		bool la = a[i] >= 'a' && a[i] <= 'z', lb = b[i] >= 'a' && b[i] <= 'z';

		if (da != db || ua != ub || la != lb || (!da && !ua && !la && a[i] != b[i]))
			return false;
	}
	return a[i] == b[i];
}

static void test_tokens(void **state)
{
	static const char *const values[] = {
	        "4111111111111111", "4111-1111-1111-1111",         "Ann Smith", "C01X0006H",
	        "ann@example.com",  "DE89 3704 0044 0532 0130 00", "987654"};
	char plain[20], seen[512][16];

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		char *token = mt(TOKEN, TEXT, values[i]);

		assert_true(same_form(values[i], token));
		assert_string_not_equal(values[i], token);
		assert_string_equal(token, mt(TOKEN, TEXT, values[i]));
	}
	/* Separators do not count. */
	snprintf(plain, sizeof(plain), "%s", mt(TOKEN, TEXT, "4111111111111111"));
	assert_memory_equal(plain, mt(TOKEN, TEXT, "4111-1111-1111-1111"), 4);
	assert_memory_equal(plain + 12, mt(TOKEN, TEXT, "4111-1111-1111-1111") + 15, 4);
	/* Different values stay different. */
	for (int i = 0; i < 512; i++) {
		snprintf(plain, sizeof(plain), "AB%05d", i);
		snprintf(seen[i], sizeof(seen[i]), "%s", mt(TOKEN, TEXT, plain));
		for (int k = 0; k < i; k++)
			assert_string_not_equal(seen[i], seen[k]);
	}
	/* Too few values of the form, none at all, other letters, too long: hashed. */
	assert_string_equal(mt(TOKEN, TEXT, "12345"), mt(HASH, TEXT, "12345"));
	assert_string_equal(mt(TOKEN, TEXT, "--"), mt(HASH, TEXT, "--"));
	assert_string_equal(mt(TOKEN, TEXT, ""), mt(HASH, TEXT, ""));
	assert_string_equal(mt(TOKEN, TEXT, "Andr\xc3\xa9 M\xc3\xbcller"),
	                    mt(HASH, TEXT, "Andr\xc3\xa9 M\xc3\xbcller"));
	char many[200];

	memset(many, '7', sizeof(many));
	assert_int_equal(strlen(masked(TOKEN, TEXT, 0, sl_span(many, 128))), 128);
	assert_int_equal(strlen(masked(TOKEN, TEXT, 0, sl_span(many, 129))), 32);
	memset(many, 'x', 64);
	assert_int_equal(strlen(masked(TOKEN, TEXT, 0, sl_span(many, 128))), 128);
	/* Numbers stay of their type, and of as many digits. */
	for (int i = 0; i < 200; i++) {
		snprintf(plain, sizeof(plain), "%d", 2000000000 + i * 700000);
		int64_t got = strtoll(mt(TOKEN, INT4, plain), NULL, 10);

		assert_in_range((uint64_t)got, 1000000000, INT32_MAX);
	}
	assert_int_equal(strtoll(mt(TOKEN, INT8, "-1234567890"), NULL, 10),
	                 mi(TOKEN, INT8, "ffffffffb669fd2e"));
	assert_true(same_form("-123456.78", mt(TOKEN, NUMERIC, "-123456.78")));
	assert_string_equal(mt(TOKEN, INT4, "42"), mt(HASH, INT4, "42"));
	assert_int_equal(strlen(mt(TOKEN, UUID, "6f9619ff-8b86-d011-b42d-00cf4fc964ff")), 36);
	assert_string_not_equal(mt(TOKEN, UUID, "6f9619ff-8b86-d011-b42d-00cf4fc964ff"),
	                        "6f9619ff-8b86-d011-b42d-00cf4fc964ff");
}

static void test_dates(void **state)
{
	(void)state;
	both(YEAR, DATE, "1984-05-06", "ffffe9aa", "1984-01-01", "ffffe92c");
	both(MONTH, DATE, "1984-05-06", "ffffe9aa", "1984-05-01", "ffffe9a5");
	both(DAY, DATE, "1984-05-06", "ffffe9aa", "1984-05-06", "ffffe9aa");
	both(YEAR, DATE, "2000-02-29", "0000003b", "2000-01-01", "00000000");
	both(MONTH, DATE, "2000-02-29", "0000003b", "2000-02-01", "0000001f");
	both(YEAR, DATE, "infinity", "7fffffff", "infinity", "7fffffff");
	t(YEAR, DATE, "0044-03-15 BC", "0044-01-01 BC");
	t(MONTH, DATE, "20240-03-15", "20240-03-01");
	t(YEAR, DATE, "06.05.1984", "2000-01-01"); /* another DateStyle */
	b(YEAR, DATE, "00", "00000000");
	t(YEAR, TIMESTAMP, "1984-05-06 10:11:12.345", "1984-01-01 00:00:00");
	t(HOUR, TIMESTAMP, "1984-05-06 10:11:12.345", "1984-05-06 10:00:00");
	t(DAY, TIMESTAMPTZ, "1984-05-06 10:11:12.3+05:30", "1984-05-06 00:00:00+05:30");
	t(MONTH, TIMESTAMPTZ, "1984-05-06 10:11:12+02 BC", "1984-05-01 00:00:00+02 BC");
	b(DAY, TIMESTAMP, "0000000000000001", "0000000000000000");
	b(DAY, TIMESTAMP, "ffffffffffffffff", "ffffffebe228a000");
	b(HOUR, TIMESTAMPTZ, "00000000d693a401", "00000000d693a400");
	b(YEAR, TIMESTAMP, "8000000000000000", "8000000000000000");
	b(YEAR, TIMESTAMP, "8000000000000001", "0000000000000000"); /* there is no such time */
	both(HOUR, TIME, "01:02:03.5", "00000000ddf6c4e0", "01:00:00", "00000000d693a400");
	both(DAY, TIMETZ, "01:02:03+02", "00000000ddf6c4e0ffffe3e0", "00:00:00+02",
	     "0000000000000000ffffe3e0");
	t(YEAR, TEXT, "1984-05-06", "1984-01-01");
	t(YEAR, TEXT, "1984-05-06T10:11:12Z", "1984-01-01T00:00:00Z");
	t(YEAR, TEXT, "1984-05-06 and more", "***");
	t(YEAR, TEXT, "born 1984-05-06", "***");
	t(YEAR, INT4, "19840506", "0");
}

static void test_derived(void **state)
{
	static const struct {
		uint32_t type;
		const char *text, *hex;
	} v[] = {{TEXT, "<x>", "3c783e"},
	         {INT4, "0", "00000000"},
	         {JSON, "\"<x>\"", "223c783e22"},
	         {JSONB, "\"<x>\"", "01223c783e22"},
	         {TEXT_ARRAY, "{}", "000000000000000000000019"},
	         {RECORD, null, null},
	         {BIT, null, null},
	         {BYTEA, "\\x", ""},
	         {MOOD, "sad", "736164"}};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		uint8_t w[64];
		size_t n = special(v[i].hex) != NULL ? 0 : unhex(v[i].hex, w);

		expect(REDACT, true, v[i].type, 0, SL_SPAN_LIT("any thing {"), sl_span_str(v[i].text),
		       special(v[i].text));
		expect(REDACT, true, v[i].type, 1, SL_SPAN_LIT("any thing {"), sl_span(w, n),
		       special(v[i].hex));
		expect(NIL, true, v[i].type, 0, SL_SPAN_LIT("x"), SL_SPAN_EMPTY, null);
	}
	/* Of a mask that keeps a part, too, and with paths. */
	expect(LAST4, true, TEXT, 0, SL_SPAN_LIT("123456789"), SL_SPAN_LIT("***"), NULL);
	expect(HASH, true, INT4, 0, SL_SPAN_LIT("123456789"), SL_SPAN_LIT("0"), NULL);
	expect(PATHS, true, JSON, 0, SL_SPAN_LIT("{\"b\":1}"), SL_SPAN_LIT("\"\\\"x\\\"\""), NULL);
}

static void test_documents(void **state)
{
	(void)state;
	t(PATHS, JSON, "{ \"ssn\" : \"1\" , \"b\":[1, 2.50,{}] }",
	  "{ \"ssn\" : \"\\\"x\\\"\" , \"b\":[1, 2.50,{}] }");
	t(PATHS, TEXT, "{\"a\":1}", pass);
	t(PATHS_NULL, JSON, "{\"ssn\":1,\"ssn\":2,\"SSN\":3}", "{\"ssn\":null,\"ssn\":null,\"SSN\":null}");
	t(PATHS_NULL, JSON, "{\"s\\u0073n\":\"1\",\"x\":\"\\u0031\"}",
	  "{\"s\\u0073n\":null,\"x\":\"\\u0031\"}");
	t(PATHS_NULL, JSON, "{\"items\":[{\"card\":\"1\",\"n\":2},{\"card\":[1]}],\"card\":5}",
	  "{\"items\":[{\"card\":null,\"n\":2},{\"card\":null}],\"card\":5}");
	t(PATHS_NULL, JSON, "{\"items\":{\"card\":1}}",
	  "{\"items\":{\"card\":null}}"); /* one instead of many */
	t(PATHS_NULL, JSON, "[{\"ssn\":1}]", "[{\"ssn\":null}]");
	t(PATHS_NULL, JSON, "{\"q\":[[{\"token\":{\"a\":[1]}}]],\"token\":true}",
	  "{\"q\":[[{\"token\":null}]],\"token\":null}");
	t(PATHS_NULL, JSON, "{\"list\":[1,2,3]}", "{\"list\":[1,null,3]}");
	t(PATHS_NULL, JSON, "{\"a\":{\"b c\":1,\"b\":2}}", "{\"a\":{\"b c\":null,\"b\":2}}");
	t(PATHS_LAST4, JSON, "{\"ssn\":\"a\\n\\\"bcdef\"}", "{\"ssn\":\"****cdef\"}");
	t(PATHS_LAST4, JSON, "{\"ssn\":123456789}", "{\"ssn\":6789}");
	t(PATHS_LAST4, JSON, "{\"ssn\":true,\"token\":null}", "{\"ssn\":false,\"token\":null}");
	t(PATHS_LAST4, JSON, "{\"ssn\":1e5}", "{\"ssn\":0}");
	t(PATHS_LAST4, JSON, "{\"ssn\":{\"a\":1}}", "{\"ssn\":\"***\"}");
	b(PATHS_NULL, JSONB, "01 7b2273736e223a317d", "01 7b2273736e223a6e756c6c7d");
	b(PATHS_NULL, JSONB, "02 7b7d", refuse);
	b(PATHS_NULL, JSONB, "", refuse);
	/* No document with members: all of it goes. */
	t(PATHS, TEXT, "ssn 1", "\"x\"");
	t(PATHS, TEXT, "123456789", "\"x\"");
	t(PATHS, JSON, "\"{\\\"ssn\\\":1}\"", "\"\\\"x\\\"\"");
	t(PATHS, TEXT, "{\"a\":1} x", "\"x\"");
	t(PATHS, TEXT, "{\"a\":01}", "\"x\"");
	t(PATHS, TEXT, "{\"a\":1,}", "\"x\"");
	t(PATHS, TEXT, "{'ssn':1}", "\"x\"");
	t(PATHS, TEXT, "{\"a\":\"\\ud800\"}", "\"x\"");
	t(PATHS, TEXT, "{\"a\":\"b", "\"x\"");
	t(PATHS, TEXT, "{\"a\" 1}", "\"x\"");
	t(PATHS, TEXT, "", "\"x\"");
	t(PATHS_NULL, TEXT, "x", null);
	t(PATHS, INT4, "5", "0");

	char deep[700] = "";

	for (int i = 0; i < 300; i++)
		deep[i] = '[';
	t(PATHS, TEXT, deep, "\"x\"");
	assert_int_equal(sl_mask_json_steps("$.a..b[*][3].*[\"x y\"]"), 6);
	assert_int_equal(sl_mask_json_steps("$"), 0);
	assert_int_equal(sl_mask_json_steps("a"), 0);
	assert_int_equal(sl_mask_json_steps("$."), 0);
	assert_int_equal(sl_mask_json_steps("$.a["), 0);
	assert_int_equal(sl_mask_json_steps("$.a[x]"), 0);
	assert_int_equal(sl_mask_json_steps("$a"), 0);
}

static void content_up(const struct sl_match_pattern *pattern, bool joins)
{
	int bad;
	char err[128];

	assert_int_equal(sl_match_compile(pattern, 1, &snapshot.content_db, &bad, err, sizeof(err)), SL_OK);
	assert_int_equal(sl_match_scratch_new(snapshot.content_db, &scratches[0]), SL_OK);
	snapshot.content_scratch = scratches;
	snapshot.content_joins = joins;
	who.any_content_mask = true;
	who.mask_bits[0] = 1 << CARD;
}

static void content_down(void)
{
	sl_match_scratch_free(scratches[0]);
	sl_match_free(snapshot.content_db);
	who.any_content_mask = false;
}

static void test_content(void **state)
{
	static const struct sl_match_pattern pattern = {"4[0-9]{15}", CARD, SL_MATCH_START};

	(void)state;
	t(SL_MASK_CONTENT, TEXT, "4111111111111111", pass); /* no mask of content is for the caller */
	content_up(&pattern, true);
	t(SL_MASK_CONTENT, TEXT, "a 4111111111111111 b", "a [c] b");
	t(SL_MASK_CONTENT, TEXT, "nothing", pass);
	both(SL_MASK_CONTENT, INT8, "4111111111111111", "000e9b01ba4c31c7", "0", "0000000000000000");
	both(SL_MASK_CONTENT, NUMERIC, "4111111111111111.00", "0004 0003 0000 0002 100f 0457 0457 0457", "0",
	     "0000000000000000");
	both(SL_MASK_CONTENT, DATE, "4111111111111111", "0000000c", pass, pass);
	t(SL_MASK_CONTENT, TEXT_ARRAY, "{a,\"4111111111111111 b\",NULL}", "{a,\"[c] b\",NULL}");
	t(SL_MASK_CONTENT, TEXT_ARRAY, "{a,\"\\\"b\"}", pass);
	t(SL_MASK_CONTENT, INT4_ARRAY, "{1}", pass);
	b(SL_MASK_CONTENT, TEXT_ARRAY,
	  "00000001 00000000 00000019 00000001 00000001 00000011 6134313131313131313131313131313131",
	  "00000001 00000000 00000019 00000001 00000001 00000004 615b635d");
	t(SL_MASK_CONTENT, RECORD, "(1,\"a 4111111111111111\",x)", "(1,,x)");
	t(SL_MASK_CONTENT, RECORD, "(1,\"a\")", pass);
	b(SL_MASK_CONTENT, RECORD, "00000001 00000019 00000010 34313131313131313131313131313131",
	  "00000001 00000019 00000003 5b635d");
	b(SL_MASK_CONTENT, RECORD, "00000001 00015f96 00000001 61",
	  refuse); /* of a type that nothing is known of */
	both(SL_MASK_CONTENT, INT8RANGE, "[4111111111111111,)", "12 00000008 000e9b01ba4c31c7", "empty",
	     "01");
	both(SL_MASK_CONTENT, INT8RANGE, "[4,)", "12 00000008 0000000000000004", pass, pass);
	both(SL_MASK_CONTENT, INT8MULTIRANGE, "{[4111111111111111,)}",
	     "00000001 0000000d 12 00000008 000e9b01ba4c31c7", "{}", "00000000");
	b(SL_MASK_CONTENT, INT8MULTIRANGE, "00000001 0000000e 12 00000008 000e9b01ba4c31c7", refuse);
	t(SL_MASK_CONTENT, JSON,
	  "{\"a\":\"x 4111111111111111\",\"b\":4111111111111111,\"4111111111111111\":1}",
	  "{\"a\":\"x [c]\",\"b\":0,\"[c]\":1}");
	t(SL_MASK_CONTENT, JSON, "{\"a\":\"\\u0034111111111111111\"}", "{\"a\":\"[c]\"}");
	t(SL_MASK_CONTENT, JSON, "{\"a\":\"\\u0034\"}", pass);
	t(SL_MASK_CONTENT, JSON, "4111111111111111 {", null);
	b(SL_MASK_CONTENT, JSONB, "01 5b34313131313131313131313131313131 5d", "01 5b30 5d");
	b(SL_MASK_CONTENT, JSONB, "02 5b5d", refuse);
	t(SL_MASK_CONTENT, BYTEA, "\\x34313131313131313131313131313131", "\\x");
	t(SL_MASK_CONTENT, BYTEA, "\\x3g", refuse);
	t(SL_MASK_CONTENT, TSVECTOR, "'4111111111111111':1", "");
	t(SL_MASK_CONTENT, CITEXT, "4111111111111111", null);
	t(SL_MASK_CONTENT, CITEXT, "x", pass);
	b(SL_MASK_CONTENT, CITEXT, "61", refuse);
	both(SL_MASK_CONTENT, INET, "192.0.2.1", "02200004c0000201", pass, pass);
	both(SL_MASK_CONTENT, POINT, "(4111111111111111,0)", "00", pass, pass);
	/* A document's paths, and content in the rest of it. */
	t(PATHS_NULL, JSON, "{\"ssn\":1,\"b\":\"4111111111111111\"}", "{\"ssn\":null,\"b\":\"[c]\"}");
	content_down();
}

/* A pattern that asks where the text begins or ends means each string of a document. */
static void test_content_anchored(void **state)
{
	static const struct sl_match_pattern pattern = {"^4[0-9]{15}$", CARD, SL_MATCH_START};

	(void)state;
	content_up(&pattern, false);
	t(SL_MASK_CONTENT, TEXT, "4111111111111111", "[c]");
	t(SL_MASK_CONTENT, TEXT_ARRAY, "{a,4111111111111111}", "{a,[c]}");
	t(SL_MASK_CONTENT, RECORD, "(1,4111111111111111)", "(1,)");
	t(SL_MASK_CONTENT, JSON, "{\"a\":\"4111111111111111\",\"b\":\"a 4111111111111111\"}",
	  "{\"a\":\"[c]\",\"b\":\"a 4111111111111111\"}");
	t(SL_MASK_CONTENT, JSON, "[4111111111111111]", "[0]");
	t(SL_MASK_CONTENT, JSON, "{\"a\":\"x\"}", pass);
	b(SL_MASK_CONTENT, JSONB, "01 5b34313131313131313131313131313131 5d", "01 5b30 5d");
	content_down();
}

/* The name of a member is a hint as a column's is. */
static void test_content_named(void **state)
{
	static const char *names[] = {"*badge*"};
	static struct sl_detector own = {.name = "badge", .validator = -1, .columns = {names, 1}};
	const struct sl_match_pattern pattern = {"[0-9]{4}", SL_CONTENT_DETECTOR(sl_detect_count(), 0),
	                                         SL_MATCH_START};
	uint64_t *bits = &masks[CARD].detectors[sl_detect_count() / 64];

	(void)state;
	snapshot.detectors = &own;
	snapshot.nb_detectors = 1;
	*bits = UINT64_C(1) << sl_detect_count() % 64;
	content_up(&pattern, true);
	t(SL_MASK_CONTENT, TEXT, "1234", pass);
	t(SL_MASK_CONTENT, JSON, "{\"a\":\"1234\",\"badge\":\"no 1234\",\"my badge\":[1234]}",
	  "{\"a\":\"1234\",\"badge\":\"no [c]\",\"my badge\":[0]}");
	t(SL_MASK_CONTENT, JSON, "{\"badge\":\"12\"}", pass);
	content_down();
	*bits = 0;
	snapshot.nb_detectors = 0;
}

static void test_no_room(void **state)
{
	struct sl_masker m = {&snapshot, &who, NULL, 0, room, 4};
	struct sl_mask_value v = {.mask = REDACT, .type = TEXT, .value = SL_SPAN_LIT("a")};
	size_t n = 1;

	(void)state;
	assert_int_equal(sl_mask(&m, &v, out, 2, &n), SL_MASKED_REFUSE);
	assert_int_equal(n, 0);
	v.type = TEXT_ARRAY;
	v.value = SL_SPAN_LIT("{\"abcdef\"}");
	assert_int_equal(sl_mask(&m, &v, out, sizeof(out), &n), SL_MASKED_REFUSE);
	v.type = TEXT;
	v.format = 2;
	assert_int_equal(sl_mask(&m, &v, out, sizeof(out), &n), SL_MASKED_REFUSE);
	v.format = 0;
	v.mask = NB;
	assert_int_equal(sl_mask(&m, &v, out, sizeof(out), &n), SL_MASKED_REFUSE);
	who.snapshot_version = 6;
	v.mask = REDACT;
	assert_int_equal(sl_mask(&m, &v, out, sizeof(out), &n), SL_MASKED_REFUSE);
	who.snapshot_version = 7;
}

/* The nine samples of NIST for FF1. */
static void test_ff1(void **state)
{
	static const char hex[] = "2B7E151628AED2A6ABF7158809CF4F3CEF4359D8D580AA4F7F036D6F04FC6A94";
	static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	static const struct {
		unsigned int bits;
		uint32_t radix;
		const char *tweak, *plain, *cipher;
	} samples[] = {
	        {128, 10, "", "0123456789", "2433477484"},
	        {128, 10, "39383736353433323130", "0123456789", "6124200773"},
	        {128, 36, "3737373770717273373737", "0123456789abcdefghi", "a9tv40mll9kdu509eum"},
	        {192, 10, "", "0123456789", "2830668132"},
	        {192, 10, "39383736353433323130", "0123456789", "2496655549"},
	        {192, 36, "3737373770717273373737", "0123456789abcdefghi", "xbj3kv35jrawxv32ysr"},
	        {256, 10, "", "0123456789", "6657667009"},
	        {256, 10, "39383736353433323130", "0123456789", "1001623463"},
	        {256, 36, "3737373770717273373737", "0123456789abcdefghi", "xs8a0azh2avyalyzuwd"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		uint8_t k[32], tweak[16], x[32];
		size_t n = strlen(samples[i].plain), tweak_n = unhex(samples[i].tweak, tweak);
		struct ff1_key schedule;

		unhex(hex, k);
		assert_true(ff1_key_set(&schedule, k, samples[i].bits));
		for (size_t d = 0; d < n; d++)
			x[d] = (uint8_t)(strchr(digits, samples[i].plain[d]) - digits);
		assert_true(ff1_encrypt(&schedule, samples[i].radix, tweak, tweak_n, x, (uint32_t)n));
		for (size_t d = 0; d < n; d++)
			assert_int_equal(digits[x[d]], samples[i].cipher[d]);
	}
}

/* numeric_send() in the plainest way: all groups from the first digit's to the last one's. */
static size_t numeric_binary(const char *whole, const char *fraction, bool minus, uint8_t *p)
{
	char digits[128];
	size_t pad = (4 - strlen(whole) % 4) % 4, n = 0, nb;
	int k = snprintf(digits, sizeof(digits), "%.*s%s%s000", (int)pad, "000", whole, fraction);

	nb = (pad + strlen(whole) + strlen(fraction) + 3) / 4;
	assert_true((size_t)k >= 4 * nb);
	sl_put_be16(p, (uint16_t)nb);
	sl_put_be16(p + 2, (uint16_t)((pad + strlen(whole)) / 4 - 1));
	sl_put_be16(p + 4, minus ? 0x4000 : 0);
	sl_put_be16(p + 6, (uint16_t)strlen(fraction));
	for (n = 8; nb-- > 0; n += 2)
		sl_put_be16(p + n,
		            (uint16_t)strtoul((char[]){digits[2 * (n - 8)], digits[2 * (n - 8) + 1],
		                                       digits[2 * (n - 8) + 2], digits[2 * (n - 8) + 3], 0},
		                              NULL, 10));
	return n;
}

/* The binary form says what the text form says. */
static void test_numeric_formats(void **state)
{
	static const int32_t which[] = {LAST4, FIRST2, HASH, TOKEN};
	unsigned int seed = (unsigned int)time(NULL);

	(void)state;
	printf("seed %u\n", seed);
	srandom(seed);
	for (int i = 0; i < 20000; i++) {
		int32_t mask = which[random() % 4];
		char whole[24], fraction[24], text[64], want[64];
		uint8_t v[128], made[128];
		size_t n, made_n;

		snprintf(whole, sizeof(whole), "%ld", random() >> random() % 31);
		snprintf(fraction, sizeof(fraction), "%0*ld", 10, random());
		fraction[random() % 10] = '\0';
		snprintf(text, sizeof(text), "%s%s%s", whole, fraction[0] != '\0' ? "." : "", fraction);
		snprintf(want, sizeof(want), "%s", mt(mask, NUMERIC, text));
		n = numeric_binary(whole, fraction, false, v);
		assert_int_equal(run(mask, false, NUMERIC, 1, sl_span(v, n), &made_n), SL_MASKED_NEW);
		memcpy(made, out, made_n);
		/* The same value, without groups of zeros at its ends. */
		char *point = strchr(want, '.');
		char end[24] = "";

		if (point != NULL) {
			snprintf(end, sizeof(end), "%s", point + 1);
			*point = '\0';
		}
		n = numeric_binary(want, end, false, v);
		long groups = sl_get_be16(v), first = 0;

		while (first < groups && sl_get_be16(v + 8 + 2 * first) == 0)
			first++;
		while (groups > first && sl_get_be16(v + 8 + 2 * (groups - 1)) == 0)
			groups--;
		assert_int_equal(sl_get_be16(made), groups - first);
		assert_int_equal(made_n, 8 + 2 * (size_t)(groups - first));
		assert_memory_equal(made + 8, v + 8 + 2 * first, 2 * (size_t)(groups - first));
		assert_int_equal(sl_get_be16(made + 6), strlen(end));
		if (groups > first)
			assert_int_equal((int16_t)sl_get_be16(made + 2), (int16_t)sl_get_be16(v + 2) - first);
	}
}

/* What is put in the place of a value has nothing of it, whatever stands there. */
static void test_nothing_left(void **state)
{
	static const uint32_t all[] = {TEXT,           INT4,        NUMERIC,    UUID,   BYTEA,
	                               JSON,           JSONB,       XML,        INET,   MOOD,
	                               DATE,           TIMESTAMPTZ, TEXT_ARRAY, RECORD, INT4RANGE,
	                               INT8MULTIRANGE, TSVECTOR,    CITEXT,     0};
	unsigned int seed = (unsigned int)time(NULL);

	(void)state;
	printf("seed %u\n", seed);
	srandom(seed);
	for (int i = 0; i < 20000; i++) {
		static const char canary[] = "CaNaRy8421";
		uint32_t type = all[(size_t)random() % (sizeof(all) / sizeof(all[0]))];
		static const int32_t which[] = {REDACT, NIL, HASH, YEAR};
		static const char bits[] = "{}[](),\"\\: 1a";
		int32_t mask = which[random() % 4];
		uint8_t v[64];
		size_t n = 0, k = (size_t)random() % 20;

		while (n < k)
			v[n++] = (uint8_t)bits[(size_t)random() % (sizeof(bits) - 1)];
		memcpy(v + n, canary, 10);
		for (n += 10, k = (size_t)random() % 20; k > 0; k--)
			v[n++] = (uint8_t)bits[(size_t)random() % (sizeof(bits) - 1)];
		size_t made = 0;
		enum sl_masked rc =
		        run(mask, random() % 2 == 0, type, (uint8_t)(random() % 2), sl_span(v, n), &made);

		assert_true(rc == SL_MASKED_NEW || made == 0);
		assert_true(rc != SL_MASKED_PASS);
		assert_null(memmem(out, made, canary, 10));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_redact),
	        cmocka_unit_test(test_nested),
	        cmocka_unit_test(test_partial),
	        cmocka_unit_test(test_hash),
	        cmocka_unit_test(test_tokens),
	        cmocka_unit_test(test_dates),
	        cmocka_unit_test(test_derived),
	        cmocka_unit_test(test_documents),
	        cmocka_unit_test(test_content),
	        cmocka_unit_test(test_content_anchored),
	        cmocka_unit_test(test_content_named),
	        cmocka_unit_test(test_no_room),
	        cmocka_unit_test(test_ff1),
	        cmocka_unit_test(test_nothing_left),
	        cmocka_unit_test(test_numeric_formats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
