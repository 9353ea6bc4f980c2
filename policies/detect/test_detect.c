/* What each detector finds and what it leaves alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "detect_priv.h"
#include "detect_rig.h"

static struct rig *rig;

static int set_up(void **state)
{
	(void)state;
	rig = rig_new();
	return rig == NULL;
}

static int tear_down(void **state)
{
	(void)state;
	rig_free(rig);
	return 0;
}

/* The find of this detector in the text, or an empty span. */
static struct sl_span found(const char *name, struct sl_span text, const char *column)
{
	struct rig_find finds[128];
	uint32_t nb = rig_scan(rig, text, sl_span_str(column), finds, 128);

	assert_int_not_equal(nb, RIG_FAILED);
	for (uint32_t i = 0; i < nb; i++) {
		struct sl_detect_spot s = finds[i].spot;

		assert_true(s.from < s.to && s.to <= text.n);
		if (strcmp(sl_detect_name(finds[i].detector), name) == 0)
			return sl_span(text.p + s.from, s.to - s.from);
	}
	return SL_SPAN_EMPTY;
}

struct example {
	const char *name;
	const char *text;
	const char *find;   /* NULL: nothing */
	const char *column; /* NULL: none */
};

static void check_examples(const struct example *e, size_t n)
{
	bool failed = false;

	for (size_t i = 0; i < n; i++) {
		struct sl_span got =
		        found(e[i].name, sl_span_str(e[i].text), e[i].column != NULL ? e[i].column : "");

		if (e[i].find == NULL ? got.n != 0 : !sl_span_is(got, e[i].find)) {
			fprintf(stderr, "%s in '%s': '%.*s', not '%s'\n", e[i].name, e[i].text, (int)got.n,
			        got.n > 0 ? (const char *)got.p : "",
			        e[i].find != NULL ? e[i].find : "(nothing)");
			failed = true;
		}
	}
	assert_false(failed);
}

#define CHECK(list) check_examples(list, sizeof(list) / sizeof((list)[0]))

/* Is there an element in the expression that takes a NUL, and more behind it? */
static bool takes_nul(const char *p)
{
	while (*p != '\0') {
		bool any = *p == '.' || (p[0] == '[' && p[1] == '^') ||
		           (p[0] == '\\' && p[1] != '\0' && strchr("SWD", p[1]) != NULL);

		if (*p == '[')
			p += strcspn(p, "]");
		p += *p == '\\' ? 2 : 1;
		if (any && *p != '\0')
			return true;
	}
	return false;
}

static void test_table(void **state)
{
	char expr[SL_DETECT_EXPR_MAX];
	struct sl_match_pattern p;
	uint32_t nb = 0;

	(void)state;
	assert_true(sl_detect_count() >= 45);
	for (uint32_t d = 0; d < sl_detect_count(); d++) {
		assert_int_equal(sl_detect_find(sl_span_str(sl_detect_name(d))), d);
		assert_true(d == 0 || strcmp(sl_detect_name(d - 1), sl_detect_name(d)) < 0);
		assert_in_range(sl_detect_forms(d), 1, SL_DETECT_FORMS_MAX);
		for (uint32_t f = 0; f < sl_detect_forms(d); f++) {
			sl_detect_pattern(d, f, expr, &p);
			assert_true(strlen(p.expression) < SL_DETECT_EXPR_MAX - 1);
			assert_int_equal(sl_detect_crosses(d, f), takes_nul(p.expression));
			nb += sl_detect_crosses(d, f);
		}
	}
	assert_int_equal(nb, 1); /* aws-secret-key */
	assert_int_equal(sl_detect_find(SL_SPAN_LIT("nothing")), -1);
}

static void test_cards(void **state)
{
	static const struct example list[] = {
	        {"card", "4111111111111111", "4111111111111111", NULL},
	        {"card", "paid with 4111 1111 1111 1111.", "4111 1111 1111 1111", NULL},
	        {"card", "5555-5555-5555-4444", "5555-5555-5555-4444", NULL},
	        {"card", "{\"pan\":\"378282246310005\"}", "378282246310005", NULL},
	        {"card", "3782 822463 10005", "3782 822463 10005", NULL},
	        {"card", "6011000990139424,12/27", "6011000990139424", NULL},
	        {"card", "30569309025904", "30569309025904", NULL},
	        {"card", "4222222222222", "4222222222222", NULL},
	        {"card",
	         "\xe5\x8d\xa1"
	         "4111111111111111\xe5\x8d\xa1",
	         "4111111111111111", NULL},
	        {"card", "4111111111111112", NULL, NULL}, /* check digit */
	        {"card", "9111111111111111", NULL, NULL}, /* nobody issues it */
	        {"card", "x4111111111111111", NULL, NULL},
	        {"card", "41111111111111111111", NULL, NULL},
	        {"card", "4111  1111 1111 1111", NULL, NULL},
	};

	(void)state;
	CHECK(list);
}

static void test_accounts(void **state)
{
	static const struct example list[] = {
	        {"iban", "GB29NWBK60161331926819", "GB29NWBK60161331926819", NULL},
	        {"iban", "to DE89 3704 0044 0532 0130 00 today", "DE89 3704 0044 0532 0130 00", NULL},
	        {"iban", "de89370400440532013000", "de89370400440532013000", NULL},
	        {"iban", "NO9386011117947", "NO9386011117947", NULL},
	        {"iban", "GB29NWBK60161331926818", NULL, NULL},
	        {"iban", "GB29NWBK6016133192681", NULL, NULL},
	        {"iban", "ZZ29NWBK60161331926819", NULL, NULL},
	        {"iban", "GB29NWBK60161331926819X", NULL, NULL},
	        {"us-aba", "routing 021000021", "021000021", NULL},
	        {"us-aba", "021000021", "021000021", "aba_number"},
	        {"us-aba", "021000021", NULL, NULL},
	        {"bitcoin-address", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",
	         "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", NULL},
	        {"bitcoin-address", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3", NULL, NULL},
	        {"bitcoin-address", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
	         "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", NULL},
	        {"bitcoin-address", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", NULL, NULL},
	        {"ethereum-address", "0x52908400098527886E0F7030069857D2E4169EE7",
	         "0x52908400098527886E0F7030069857D2E4169EE7", NULL},
	};

	(void)state;
	CHECK(list);
}

static void test_identities(void **state)
{
	static const struct example list[] = {
	        {"us-ssn", "536-90-4399", "536-90-4399", NULL},
	        {"us-ssn", "ssn: 536904399", "536904399", NULL},
	        {"us-ssn", "536904399", "536904399", "customer_ssn"},
	        {"us-ssn", "536904399", NULL, "order_no"},
	        {"us-ssn", "666-90-4399", NULL, NULL},
	        {"us-ssn", "900-90-4399", NULL, NULL},
	        {"us-ssn", "536-00-4399", NULL, NULL},
	        {"us-ssn", "1-536-90-4399", NULL, NULL},
	        {"us-itin", "912-71-1234", "912-71-1234", NULL},
	        {"us-itin", "912-69-1234", NULL, NULL},
	        {"sg-nric", "S0000001I", "S0000001I", NULL},
	        {"sg-nric", "T0000001E", "T0000001E", NULL},
	        {"sg-nric", "S0000001J", NULL, NULL},
	        {"jp-mynumber", "my number 123456789018", "123456789018", NULL},
	        {"in-aadhaar", "2341 2341 2346", "2341 2341 2346", NULL},
	        {"in-aadhaar", "2341 2341 2347", NULL, NULL},
	        {"it-cf", "RSSMRA85T10A562S", "RSSMRA85T10A562S", NULL},
	        {"it-cf", "RSSMRA85T10A562T", NULL, NULL},
	        {"gb-nino", "AB 12 34 56 C", "AB 12 34 56 C", NULL},
	        {"gb-nino", "QQ123456C", NULL, NULL},
	        {"passport-mrz", "L898902C36UTO7408122F1204159ZE184226B<<<<<10",
	         "L898902C36UTO7408122F1204159ZE184226B<<<<<10", NULL},
	        {"passport-mrz", "L898902C36UTO7408123F1204159ZE184226B<<<<<10", NULL, NULL},
	};

	(void)state;
	CHECK(list);
}

static void test_addresses(void **state)
{
	static const struct example list[] = {
	        {"email", "write to ada.lovelace+x@example.co.uk.", "ada.lovelace+x@example.co.uk", NULL},
	        {"email", "<a@b.de>", "a@b.de", NULL},
	        {"email", "a@b", NULL, NULL},
	        {"email", "a@b.c1", NULL, NULL},
	        {"email", "@example.com", NULL, NULL},
	        {"email", "user@@example.com", NULL, NULL},
	        {"phone", "+49 (30) 1234-5678", "+49 (30) 1234-5678", NULL},
	        {"phone", "call +14155552671, then", "+14155552671", NULL},
	        {"phone", "1+14155552671", NULL, NULL},
	        {"phone", "+1234567", NULL, NULL},
	        {"phone", "+0123456789", NULL, NULL},
	        {"phone-us", "415-555-2671", "415-555-2671", NULL},
	        {"phone-us", "4155552671", "4155552671", "phone"},
	        {"phone-us", "115-555-2671", NULL, NULL},
	        {"ip4", "from 10.1.2.3 to", "10.1.2.3", NULL},
	        {"ip4", "10.1.2.3.", "10.1.2.3", NULL},
	        {"ip4", "10.1.2.256", NULL, NULL},
	        {"ip4", "1.2.3.4.5", NULL, NULL},
	        {"ip4", "v1.2.3.4", NULL, NULL},
	        {"ip6", "2001:db8::1", "2001:db8::1", NULL},
	        {"ip6", "fe80::1%eth0", "fe80::1", NULL},
	        {"ip6", "2001:0db8:0:0:0:0:0:1", "2001:0db8:0:0:0:0:0:1", NULL},
	        {"ip6", "12:34:56", NULL, NULL},
	        {"ip6", "1:2:3:4:5:6:7", NULL, NULL},
	        {"mac", "00:1B:44:11:3a:b7", "00:1B:44:11:3a:b7", NULL},
	        {"mac", "00-1B-44-11-3A-B7", "00-1B-44-11-3A-B7", NULL},
	        {"mac", "00-1B:44-11:3A-B7", NULL, NULL},
	};

	(void)state;
	CHECK(list);
}

/* Keys are put together here, so that no text of this file is one. */
#define A20 "ABCDEFGHIJKLMNOPQRST"
#define D32 "0123456789abcdef0123456789abcdef"

static void test_secrets(void **state)
{
	static const struct example list[] = {
	        {"aws-access-key",
	         "id AKI"
	         "AIOSFODNN7EXAMPLE x",
	         "AKI"
	         "AIOSFODNN7EXAMPLE",
	         NULL},
	        {"aws-access-key",
	         "AKI"
	         "AIOSFODNN7EXAMPLEX",
	         NULL, NULL},
	        {"aws-secret-key", "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", NULL,
	         NULL}, /* two digits are too few */
	        {"aws-secret-key", "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiC9EXAMPLEKEY",
	         "wJalrXUtnFEMI/K7MDENG/bPxRfiC9EXAMPLEKEY", NULL},
	        {"gitlab-token",
	         "glp"
	         "at-" A20,
	         "glp"
	         "at-" A20,
	         NULL},
	        {"stripe-key",
	         "sk_l"
	         "ive_" A20 "0123",
	         "sk_l"
	         "ive_" A20 "0123",
	         NULL},
	        {"slack-token",
	         "xox"
	         "b-" A20 "-0123",
	         "xox"
	         "b-" A20 "-0123",
	         NULL},
	        {"twilio-key",
	         "S"
	         "K" D32,
	         "S"
	         "K" D32,
	         NULL},
	        {"shopify-token",
	         "shp"
	         "at_" D32,
	         "shp"
	         "at_" D32,
	         NULL},
	        {"azure-key", "AccountName=x;AccountKey=abc+/def==;Suffix", "abc+/def==", NULL},
	        {"basic-auth", "Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz", NULL},
	        {"password", "password=hunter22;x", "hunter22", NULL},
	        {"password", "{\"password\": \"hunt er\\\"22\"}", "hunt er\\\"22", NULL},
	        {"password", "PWD = abc", NULL, NULL},
	        {"url-password", "postgres://bob:s3cr3t@db.example/x", "s3cr3t", NULL},
	        {"url-password", "https://example.com:8080/a@b", NULL, NULL},
	        {"url-password", "https://bob@example.com/", NULL, NULL},
	        {"password-hash", "$2b$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234",
	         "$2b$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234", NULL},
	        {"jwt", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
	         "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", NULL},
	        {"jwt", "(eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln).",
	         "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", NULL},
	        {"jwt", "eyJmb28iOiJiYXIifQ.eyJzdWIiOiIxIn0.c2ln", NULL, NULL},
	        {"private-key", "x -----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY----- y",
	         "-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----", NULL},
	        {"private-key", "-----BEGIN PRIVATE KEY-----\nMII", "-----BEGIN PRIVATE KEY-----\nMII", NULL},
	        {"private-key", "-----BEGIN PUBLIC KEY-----\nMII", NULL, NULL},
	};

	(void)state;
	CHECK(list);
}

/* Any bytes: finds stay inside, and what is kept from one end to the next changes none of them. */
static void test_any_bytes(void **state)
{
	static const char alphabet[] = "0123456789 -./@:+=eyJAKIAssnpassword\n\"'-----BEGIN PRIVATE KEY";
	struct rig_find finds[128], fresh[128];
	uint8_t text[600];
	unsigned seed = (unsigned)rand();

	(void)state;
	print_message("seed %u\n", seed);
	srand(seed);
	for (unsigned round = 0; round < 3000; round++) {
		size_t n = (size_t)rand() % sizeof(text);

		for (size_t i = 0; i < n; i++)
			text[i] = rand() % 16 == 0
			                  ? (uint8_t)rand()
			                  : (uint8_t)alphabet[(size_t)rand() % (sizeof(alphabet) - 1)];
		uint32_t nb = rig_scan(rig, sl_span(text, n), SL_SPAN_LIT("ssn"), finds, 128);

		assert_int_not_equal(nb, RIG_FAILED);
		for (uint32_t i = 0; i < nb; i++)
			assert_true(finds[i].spot.from < finds[i].spot.to && finds[i].spot.to <= n);
		rig_forgets(rig, true);
		assert_int_equal(rig_scan(rig, sl_span(text, n), SL_SPAN_LIT("ssn"), fresh, 128), nb);
		rig_forgets(rig, false);
		for (uint32_t i = 0; i < nb; i++)
			assert_true(finds[i].detector == fresh[i].detector &&
			            finds[i].spot.from == fresh[i].spot.from &&
			            finds[i].spot.to == fresh[i].spot.to);
	}
}

/* The bits of the classes are what is said of them. */
static void test_classes(void **state)
{
	static const struct {
		bool alpha, hex, upper;
		const char *more;
	} said[BYTES_CLASSES] = {
	        [BYTES_ALNUM] = {true, false, false, ""},
	        [BYTES_WORD] = {true, false, false, "_-"},
	        [BYTES_B64] = {true, false, false, "+/="},
	        [BYTES_TOKEN] = {true, false, false, "_-."},
	        [BYTES_EMAIL] = {true, false, false, "._%+-@'"},
	        [BYTES_PHONE] = {false, false, false, " -+()./"},
	        [BYTES_IP] = {false, true, false, ":."},
	        [BYTES_MAC] = {false, true, false, ":-"},
	        [BYTES_HASH] = {true, false, false, "./+=$,"},
	        [BYTES_MRZ] = {false, false, true, "<"},
	};

	(void)state;
	for (int k = 0; k < BYTES_CLASSES; k++) {
		for (int c = 0; c < 256; c++) {
			bool upper = c >= 'A' && c <= 'Z', alpha = upper || (c >= 'a' && c <= 'z');
			bool in = (c >= '0' && c <= '9') || (said[k].alpha && alpha) ||
			          (said[k].upper && upper) || (said[k].hex && alpha && (c | 0x20) <= 'f') ||
			          (c != 0 && said[k].more != NULL && strchr(said[k].more, c) != NULL);

			assert_int_equal(detect_in_class((enum byte_class)k, (uint8_t)c), in);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_classes),    cmocka_unit_test(test_table),
	        cmocka_unit_test(test_cards),      cmocka_unit_test(test_accounts),
	        cmocka_unit_test(test_identities), cmocka_unit_test(test_addresses),
	        cmocka_unit_test(test_secrets),    cmocka_unit_test(test_any_bytes),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
