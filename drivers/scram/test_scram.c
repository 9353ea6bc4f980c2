/* The server's side against the vector of RFC 7677, channel binding, and clients that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "sl_scram.h"

#define CLIENT_NONCE "rOprNGfwEbeRWgbNEkqO"
#define SERVER_NONCE CLIENT_NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define BARE         "n=user,r=" CLIENT_NONCE
#define FIRST        "r=" SERVER_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define PROOF        "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define FINAL        "c=biws,r=" SERVER_NONCE ",p=" PROOF
#define SIGNATURE    "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

static const uint8_t salt[16] = {0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e,
                                 0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81};

/* The vector's server nonce is not base64 of 18 bytes: it is put in by hand. */
static void vector(struct sl_scram_server *s)
{
	assert_int_equal(sl_scram_server_open(s, SL_SPAN_EMPTY, false, SL_SPAN_LIT("n,," BARE)), SL_OK);
	s->nonce_n = (uint16_t)snprintf(s->nonce, sizeof(s->nonce), "%s", SERVER_NONCE);
	s->first_n = (uint16_t)snprintf(s->first, sizeof(s->first), "%s", FIRST);
}

static void verifier(struct sl_scram_verifier *v)
{
	assert_int_equal(sl_scram_verifier_make(SL_SPAN_LIT("pencil"), sl_span(salt, 16), 4096, v), SL_OK);
}

static void test_vector(void **state)
{
	struct sl_scram_verifier v;
	struct sl_scram_server s;
	char auth[SL_SCRAM_AUTH_MAX], last[SL_SCRAM_SERVER_FINAL_MAX];
	uint8_t proof[SL_SCRAM_KEY], signature[SL_SCRAM_KEY];
	long n;

	(void)state;
	verifier(&v);
	vector(&s);
	n = sl_scram_server_final(&s, SL_SPAN_LIT(FINAL), auth, proof);
	assert_true(n > 0);
	assert_string_equal(auth, BARE "," FIRST ",c=biws,r=" SERVER_NONCE);
	assert_int_equal(sl_scram_check(&v, sl_span(auth, (size_t)n), proof, signature), SL_OK);
	n = (long)sl_scram_server_last(signature, last);
	assert_int_equal(n, sizeof(SIGNATURE) - 1);
	assert_memory_equal(last, SIGNATURE, sizeof(SIGNATURE) - 1);
	/* one bit of the proof, one byte of what it covers, another password */
	proof[31] ^= 1;
	assert_int_equal(sl_scram_check(&v, sl_span_str(auth), proof, signature), SL_E_SCRAM_PROOF);
	proof[31] ^= 1;
	auth[3] ^= 1;
	assert_int_equal(sl_scram_check(&v, sl_span_str(auth), proof, signature), SL_E_SCRAM_PROOF);
	auth[3] ^= 1;
	assert_int_equal(sl_scram_verifier_make(SL_SPAN_LIT("pencil "), sl_span(salt, 16), 4096, &v), SL_OK);
	assert_int_equal(sl_scram_check(&v, sl_span_str(auth), proof, signature), SL_E_SCRAM_PROOF);
}

static void test_verifier_text(void **state)
{
	static const char *const bad[] = {
	        "",
	        "SCRAM-SHA-256",
	        "SCRAM-SHA-1$4096:W22ZaJ0SNY7soEsUEjb6gQ==$AAAA:AAAA",
	        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$AAAA:AAAA",
	        "SCRAM-SHA-256$0:W22ZaJ0SNY7soEsUEjb6gQ==$" PROOF ":" PROOF,
	        "SCRAM-SHA-256$04096:W22ZaJ0SNY7soEsUEjb6gQ==$" PROOF ":" PROOF,
	        "SCRAM-SHA-256$4096x:W22ZaJ0SNY7soEsUEjb6gQ==$" PROOF ":" PROOF,
	        "SCRAM-SHA-256$4096:$" PROOF ":" PROOF,
	        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$" PROOF,
	        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$" PROOF ":" PROOF "=",
	};
	struct sl_scram_verifier v, w;
	char text[SL_SCRAM_TEXT_MAX];

	(void)state;
	verifier(&v);
	assert_true(sl_scram_verifier_text(&v, text, sizeof(text)) > 0);
	assert_memory_equal(text, "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$", 44);
	assert_int_equal(sl_scram_verifier_parse(sl_span_str(text), &w), SL_OK);
	assert_memory_equal(&v, &w, sizeof(v));
	assert_int_equal(sl_scram_verifier_text(&v, text, 100), -1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(sl_scram_verifier_parse(sl_span_str(bad[i]), &w), SL_E_SCRAM_MALFORMED);
	assert_int_equal(sl_scram_verifier_make(SL_SPAN_EMPTY, sl_span(salt, 16), 4096, &v), SL_E_INVAL);
}

/* A client as RFC 5802 has it, so that what the server makes of it can be judged end to end. */
static int exchange(struct sl_span binding, bool plus, const char *gs2, struct sl_span client_binding)
{
	static const uint8_t nonce[SL_SCRAM_NONCE] = {9, 8, 7};
	struct sl_scram_verifier v;
	struct sl_scram_server s;
	uint8_t raw[128], proof[SL_SCRAM_KEY], signature[SL_SCRAM_KEY], client_key[SL_SCRAM_KEY],
	        sig[SL_SCRAM_KEY];
	char first[256], without[512], final[640], auth[SL_SCRAM_AUTH_MAX], c[200], p[64];
	uint8_t salted[SL_SCRAM_KEY];
	size_t n = strlen(gs2);
	long len;
	int rc;

	verifier(&v);
	(void)snprintf(first, sizeof(first), "%sn=,r=abc", gs2);
	rc = sl_scram_server_open(&s, binding, plus, sl_span_str(first));
	if (rc != SL_OK)
		return rc;
	assert_int_equal(sl_scram_server_first(&s, nonce, sl_span(salt, 16), 4096), SL_OK);
	assert_memory_equal(s.first, "r=abcCQgH", 9);
	memcpy(raw, gs2, n);
	if (gs2[0] == 'p' && client_binding.n > 0) {
		memcpy(raw + n, client_binding.p, client_binding.n);
		n += client_binding.n;
	}
	(void)EVP_EncodeBlock((uint8_t *)c, raw, (int)n);
	(void)snprintf(without, sizeof(without), "c=%s,r=%.*s", c, s.nonce_n, s.nonce);
	(void)snprintf(auth, sizeof(auth), "n=,r=abc,%.*s,%s", s.first_n, s.first, without);
	assert_int_equal(PKCS5_PBKDF2_HMAC("pencil", 6, salt, 16, 4096, EVP_sha256(), 32, salted), 1);
	assert_int_equal(sl_scram_hmac(salted, SL_SPAN_LIT("Client Key"), client_key), SL_OK);
	assert_int_equal(sl_scram_hmac(v.stored_key, sl_span_str(auth), sig), SL_OK);
	for (int i = 0; i < SL_SCRAM_KEY; i++)
		proof[i] = client_key[i] ^ sig[i];
	(void)EVP_EncodeBlock((uint8_t *)p, proof, SL_SCRAM_KEY);
	(void)snprintf(final, sizeof(final), "%s,p=%s", without, p);
	len = sl_scram_server_final(&s, sl_span_str(final), auth, proof);
	return len < 0 ? (int)len : sl_scram_check(&v, sl_span(auth, (size_t)len), proof, signature);
}

static void test_binding(void **state)
{
	const struct sl_span ours = SL_SPAN_LIT("0123456789abcdef0123456789abcdef"),
	                     other = SL_SPAN_LIT("0123456789abcdef0123456789abcdeX"), none = SL_SPAN_EMPTY;

	(void)state;
	assert_int_equal(exchange(none, false, "n,,", none), SL_OK);
	assert_int_equal(exchange(none, false, "y,,", none), SL_OK); /* it is right: none is offered */
	assert_int_equal(exchange(ours, true, "p=tls-server-end-point,,", ours), SL_OK);
	assert_int_equal(exchange(ours, false, "n,,", none), SL_OK);
	/* somebody took PLUS out of our list */
	assert_int_equal(exchange(ours, false, "y,,", none), SL_E_SCRAM_BINDING);
	/* somebody stands between: another certificate was seen */
	assert_int_equal(exchange(ours, true, "p=tls-server-end-point,,", other), SL_E_SCRAM_BINDING);
	assert_int_equal(exchange(ours, true, "p=tls-server-end-point,,", none), SL_E_SCRAM_BINDING);
	assert_int_equal(exchange(ours, true, "p=tls-unique,,", ours), SL_E_SCRAM_BINDING);
	assert_int_equal(exchange(ours, true, "n,,", none), SL_E_SCRAM_BINDING);
	assert_int_equal(exchange(ours, true, "y,,", none), SL_E_SCRAM_BINDING);
	assert_int_equal(exchange(ours, false, "p=tls-server-end-point,,", ours), SL_E_SCRAM_BINDING);
	assert_int_equal(exchange(none, true, "p=tls-server-end-point,,", ours), SL_E_SCRAM_MALFORMED);
	assert_int_equal(exchange(none, false, "n,a=root,", none), SL_E_SCRAM_AUTHZID);
}

static void test_p11_client_first_lies(void **state)
{
	static const char *const bad[] = {
	        "",
	        "n",
	        "n,",
	        "n,,",
	        "n,,n=",
	        "n,,n=,",
	        "n,,n=u",
	        "x,,n=,r=a",
	        "n,x,n=,r=a",
	        "n=,,n=,r=a",
	        "n,,r=a",
	        "n,,n=,r=",
	        "n,,n=,r= ",
	        "n,,n=,r=\x7f",
	        "n,,n=,r=\xff",
	        "n,,m=x,n=,r=a",
	        "p,,n=,r=a",
	        "y,n=,r=a",
	        "n,,n=,x=a,r=b",
	        "nn,n=,r=a",
	        "n,,N=,r=a",
	};
	struct sl_scram_server s;
	char big[SL_SCRAM_FIRST_MAX + 2];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (sl_scram_server_open(&s, SL_SPAN_EMPTY, false, sl_span_str(bad[i])) !=
		    SL_E_SCRAM_MALFORMED)
			fail_msg("\"%s\" was taken", bad[i]);
	assert_int_equal(sl_scram_server_open(&s, SL_SPAN_EMPTY, false, SL_SPAN_LIT("n,,n=,r=a\0")),
	                 SL_E_SCRAM_MALFORMED);
	memset(big, 'a', sizeof(big));
	memcpy(big, "n,,n=,r=", 8);
	assert_int_equal(sl_scram_server_open(&s, SL_SPAN_EMPTY, false, sl_span(big, sizeof(big) - 1)),
	                 SL_E_SCRAM_MALFORMED);
	assert_int_equal(
	        sl_scram_server_open(&s, SL_SPAN_EMPTY, false, sl_span(big, 8 + SL_SCRAM_NONCE_MAX + 1)),
	        SL_E_SCRAM_MALFORMED);
	assert_int_equal(sl_scram_server_open(&s, SL_SPAN_EMPTY, false, sl_span(big, 8 + SL_SCRAM_NONCE_MAX)),
	                 SL_OK);
	/* a name is there, and is not used; extensions behind the nonce are not either */
	assert_int_equal(sl_scram_server_open(&s, SL_SPAN_EMPTY, false, SL_SPAN_LIT("n,,n=a=2Cb,r=x,e=1")),
	                 SL_OK);
	assert_int_equal(s.nonce_n, 1);
}

static void test_p11_client_final_lies(void **state)
{
	static const struct {
		const char *text;
		int err;
	} bad[] = {
	        {"", SL_E_SCRAM_MALFORMED},
	        {"c", SL_E_SCRAM_MALFORMED},
	        {"c=biws", SL_E_SCRAM_MALFORMED},
	        {"c=biws,", SL_E_SCRAM_MALFORMED},
	        {"c=biws,r=" SERVER_NONCE, SL_E_SCRAM_MALFORMED},
	        {"c=biws,r=" SERVER_NONCE ",", SL_E_SCRAM_MALFORMED},
	        {"c=biws,r=" SERVER_NONCE ",p=", SL_E_SCRAM_MALFORMED},
	        {"c=biws,r=" SERVER_NONCE ",p=AAAA", SL_E_SCRAM_MALFORMED},
	        {"c=biws,r=" SERVER_NONCE ",p=" PROOF ",", SL_E_SCRAM_MALFORMED},
	        {"c=biws,r=" SERVER_NONCE ",p=" PROOF ",x=y", SL_E_SCRAM_MALFORMED},
	        {"c=biws,r=" SERVER_NONCE ",p=" PROOF "AAAA", SL_E_SCRAM_MALFORMED},
	        {"c=biws,r=" SERVER_NONCE ",m=x,p=" PROOF, SL_E_SCRAM_MALFORMED},
	        {"c=biws,r=" SERVER_NONCE ",1=x,p=" PROOF, SL_E_SCRAM_MALFORMED},
	        {"c=biws,r=" SERVER_NONCE ",,p=" PROOF, SL_E_SCRAM_MALFORMED},
	        {"r=" SERVER_NONCE ",c=biws,p=" PROOF, SL_E_SCRAM_MALFORMED},
	        {"p=" PROOF, SL_E_SCRAM_MALFORMED},
	        {"c=,r=" SERVER_NONCE ",p=" PROOF, SL_E_SCRAM_BINDING},
	        {"c=eSws,r=" SERVER_NONCE ",p=" PROOF, SL_E_SCRAM_BINDING},
	        {"c=biws,r=" CLIENT_NONCE ",p=" PROOF, SL_E_SCRAM_NONCE},
	        {"c=biws,r=" SERVER_NONCE "x,p=" PROOF, SL_E_SCRAM_NONCE},
	        {"c=biws,r=,p=" PROOF, SL_E_SCRAM_NONCE},
	};
	struct sl_scram_server s;
	char auth[SL_SCRAM_AUTH_MAX], big[SL_SCRAM_FINAL_MAX + 64];
	uint8_t proof[SL_SCRAM_KEY];

	(void)state;
	vector(&s);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		long n = sl_scram_server_final(&s, sl_span_str(bad[i].text), auth, proof);

		if (n != bad[i].err)
			fail_msg("\"%s\" gave %ld", bad[i].text, n);
	}
	assert_int_equal(sl_scram_server_final(&s, SL_SPAN_LIT(FINAL "\0"), auth, proof),
	                 SL_E_SCRAM_MALFORMED);
	memset(big, 'x', sizeof(big));
	assert_int_equal(sl_scram_server_final(&s, sl_span(big, sizeof(big)), auth, proof),
	                 SL_E_SCRAM_MALFORMED);
	/* every truncation of a right one is refused */
	for (size_t n = 0; n < sizeof(FINAL) - 1; n++)
		assert_true(sl_scram_server_final(&s, sl_span(FINAL, n), auth, proof) < 0);
	assert_true(sl_scram_server_final(&s, SL_SPAN_LIT("c=biws,r=" SERVER_NONCE ",x=y,p=" PROOF), auth,
	                                  proof) > 0);
	/* before the server has spoken there is nothing to answer */
	assert_int_equal(sl_scram_server_open(&s, SL_SPAN_EMPTY, false, SL_SPAN_LIT("n,," BARE)), SL_OK);
	assert_int_equal(sl_scram_server_final(&s, SL_SPAN_LIT(FINAL), auth, proof), SL_E_SCRAM_MALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_vector),
	        cmocka_unit_test(test_verifier_text),
	        cmocka_unit_test(test_binding),
	        cmocka_unit_test(test_p11_client_first_lies),
	        cmocka_unit_test(test_p11_client_final_lies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
