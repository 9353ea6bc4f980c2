/* SCRAM against the vector of RFC 7677, and against server messages that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "pg_priv.h"

#define SERVER_NONCE "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define SERVER_FIRST "r=" SERVER_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define SERVER_FINAL "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

static void vector(struct pg_scram *s)
{
	memset(s, 0, sizeof(*s));
	(void)snprintf(s->nonce, sizeof(s->nonce), "rOprNGfwEbeRWgbNEkqO");
	(void)snprintf(s->first_bare, sizeof(s->first_bare), "n=user,r=rOprNGfwEbeRWgbNEkqO");
}

static int final(struct pg_scram *s, struct sl_span server_first, char *out, size_t cap)
{
	return pg_scram_final(s, SL_SPAN_LIT("pencil"), server_first, out, cap);
}

static void test_vector(void **state)
{
	static const char want[] = "c=biws,r=" SERVER_NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
	struct pg_scram s;
	char out[512];
	int n;

	(void)state;
	vector(&s);
	n = final(&s, SL_SPAN_LIT(SERVER_FIRST), out, sizeof(out));
	assert_int_equal(n, sizeof(want) - 1);
	assert_memory_equal(out, want, sizeof(want) - 1);
	assert_int_equal(pg_scram_verify(&s, SL_SPAN_LIT(SERVER_FINAL)), SL_OK);
}

static void test_first(void **state)
{
	static const uint8_t nonce[18] = {1, 2, 3};
	struct pg_scram s = {0};
	char out[64];
	size_t n = pg_scram_first(&s, nonce, out, sizeof(out));

	(void)state;
	assert_int_equal(n, 32);
	assert_memory_equal(out, "n,,n=,r=AQIDAAAA", 16);
	assert_int_equal(strlen(s.nonce), 24);
}

static void test_p11_server_first_lies(void **state)
{
	static const char *const bad[] = {
	        "",
	        "r",
	        "r=",
	        "e=other-error",
	        "r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", /* adds no nonce of its own */
	        "r=XOprNGfwEbeRWgbNEkqO%hv,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
	        "r=" SERVER_NONCE ",s=,i=4096",
	        "r=" SERVER_NONCE ",s=W22Z*J0SNY7soEsUEjb6gQ==,i=4096",
	        "r=" SERVER_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ=,i=4096",
	        "r=" SERVER_NONCE ",s=====,i=4096",
	        "r=" SERVER_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==",
	        "r=" SERVER_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=",
	        "r=" SERVER_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1",
	        "r=" SERVER_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4095",
	        "r=" SERVER_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=04096",
	        "r=" SERVER_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=100001",
	        "r=" SERVER_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=99999999999999999999",
	        "r=" SERVER_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096x",
	        "r=" SERVER_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,m=ext",
	        "m=ext,r=" SERVER_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
	};
	struct pg_scram s;
	char out[512];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		vector(&s);
		assert_int_equal(final(&s, sl_span_str(bad[i]), out, sizeof(out)), SL_E_PROTO_TARGET_AUTH);
	}
	/* a nonce, and a salt, that is too long */
	for (int k = 0; k < 2; k++) {
		char msg[1024];
		char much[400];

		memset(much, 'A', 399);
		much[k == 0 ? 399 : 396] = '\0';
		(void)snprintf(msg, sizeof(msg),
		               k == 0 ? "r=rOprNGfwEbeRWgbNEkqO%s,s=QUFB,i=4096"
		                      : "r=rOprNGfwEbeRWgbNEkqOzz,s=%s,i=4096",
		               much);
		vector(&s);
		assert_int_equal(final(&s, sl_span_str(msg), out, sizeof(out)), SL_E_PROTO_TARGET_AUTH);
	}
	/* every cut of a good one */
	for (size_t n = 0; n < sizeof(SERVER_FIRST) - 4; n++) {
		vector(&s);
		assert_int_equal(final(&s, sl_span(SERVER_FIRST, n), out, sizeof(out)),
		                 SL_E_PROTO_TARGET_AUTH);
	}
	vector(&s);
	assert_int_equal(pg_scram_final(&s, SL_SPAN_EMPTY, SL_SPAN_LIT(SERVER_FIRST), out, sizeof(out)),
	                 SL_E_PROTO_TARGET_AUTH);
}

static void test_server_signature(void **state)
{
	static const char *const bad[] = {
	        "",
	        "v=",
	        "e=invalid-proof",
	        "v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
	        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl9",
	        SERVER_FINAL ",x=y",
	        SERVER_FINAL "AAAA",
	};
	struct pg_scram s;
	char out[512];

	(void)state;
	vector(&s);
	assert_true(final(&s, SL_SPAN_LIT(SERVER_FIRST), out, sizeof(out)) > 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(pg_scram_verify(&s, sl_span_str(bad[i])), SL_E_PROTO_TARGET_AUTH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_vector),
	        cmocka_unit_test(test_first),
	        cmocka_unit_test(test_p11_server_first_lies),
	        cmocka_unit_test(test_server_signature),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
