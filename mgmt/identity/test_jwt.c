#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/hmac.h>
#include <openssl/pem.h>

#include "jwt.h"
#include "test_keys.h"

#define NOW 1750000000L
#define ISS "https://idp.example"

static EVP_PKEY *rsa, *ec, *ed, *other;
static struct mg_jwks *keys; /* kids rsa, ec, ed */

static const char *algs[] = {"RS256", "ES256", "EdDSA"};
static const struct sl_idp idp = {.name = "lab",
                                  .issuer = ISS,
                                  .audience = "sluice",
                                  .groups_claim = "groups",
                                  .algorithms = {algs, 3},
                                  .leeway_s = 30};

static int setup(void **state)
{
	char *text;

	rsa = test_key_new("RS256", 2048);
	other = test_key_new("RS256", 2048);
	ec = test_key_new("ES256", 0);
	ed = test_key_new("EdDSA", 0);
	text = test_jwks(test_jwk(rsa, "RS256", "rsa"), test_jwk(ec, "ES256", "ec"),
	                 test_jwk(ed, "EdDSA", "ed"));
	assert_int_equal(mg_jwks_parse(sl_span_str(text), &keys), SL_OK);
	assert_int_equal(keys->nb, 3);
	free(text);
	return 0;
}

static int teardown(void **state)
{
	mg_jwks_free(keys);
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(other);
	EVP_PKEY_free(ec);
	EVP_PKEY_free(ed);
	return 0;
}

/* All three steps; takes the token over. */
static int judge_at(char *token, const struct mg_jwks *set, const struct sl_idp *p, long now,
                    struct sl_identity *who)
{
	struct sl_identity none;
	struct mg_jwt jwt;
	int err = mg_jwt_parse(sl_span_str(token), &jwt);

	if (err == SL_OK)
		err = mg_jwt_verify(&jwt, set, p);
	if (err == SL_OK)
		err = mg_jwt_identity(&jwt, p, (uint64_t)now * 1000000, who == NULL ? &none : who);
	mg_jwt_free(&jwt);
	free(token);
	return err;
}

static int judge(char *token)
{
	return judge_at(token, keys, &idp, NOW, NULL);
}

static json_t *claims(void)
{
	return test_claims(ISS, "alice", json_pack("[s,s]", "agents", "db-owners"), NOW);
}

static char *claims_text(void)
{
	json_t *c = claims();
	char *text = json_dumps(c, 0);

	json_decref(c);
	return text;
}

static json_t *with(const char *name, json_t *v)
{
	json_t *c = claims();

	json_object_set_new(c, name, v);
	return c;
}

static json_t *without(const char *name)
{
	json_t *c = claims();

	json_object_del(c, name);
	return c;
}

static int judge_claims(json_t *c)
{
	return judge(test_sign(ec, "ES256", "ec", c));
}

static void test_accepts(void **state)
{
	struct sl_identity who = {0};
	json_t *c = with("preferred_username", json_string("Alice A."));

	assert_int_equal(judge_at(test_sign(rsa, "RS256", "rsa", c), keys, &idp, NOW, &who), SL_OK);
	assert_string_equal(who.issuer, ISS);
	assert_string_equal(who.subject, "alice");
	assert_string_equal(who.name, "Alice A.");
	assert_string_equal(who.provider, "lab");
	assert_int_equal(who.expires_us, (uint64_t)(NOW + 300 + 30) * 1000000);
	assert_int_equal(who.nb_groups, 2);
	assert_true(mg_identity_in(&who, "agents"));
	assert_true(mg_identity_in(&who, "db-owners"));
	assert_false(mg_identity_in(&who, "db"));
	assert_false(mg_identity_in(&who, ""));
	assert_int_equal(judge(test_sign(ec, "ES256", "ec", claims())), SL_OK);
	assert_int_equal(judge(test_sign(ed, "EdDSA", "ed", claims())), SL_OK);
	/* r and s with leading zeros come now and then */
	for (int i = 0; i < 300; i++)
		assert_int_equal(judge(test_sign(ec, "ES256", "ec", with("jti", json_integer(i)))), SL_OK);
}

/* A01: the algorithm is the key's, never the token's. */
static void test_algorithms(void **state)
{
	static const char *es_only[] = {"ES256"};
	struct sl_idp strict = idp;
	char *p = claims_text(), *token, *dot, *h, *b, *pem = NULL, *whole;
	unsigned char mac[32];
	unsigned int mac_n = sizeof(mac);
	BIO *bio = BIO_new(BIO_s_mem());
	long pem_n;

	assert_int_equal(judge(test_sign_raw(rsa, "RS256", "{\"alg\":\"none\"}", p)), SL_E_JWT_ALG);
	assert_int_equal(judge(test_sign_raw(rsa, "RS256", "{\"alg\":\"None\",\"kid\":\"rsa\"}", p)),
	                 SL_E_JWT_ALG);
	assert_int_equal(judge(test_sign_raw(rsa, "RS256", "{\"alg\":\"rs256\",\"kid\":\"rsa\"}", p)),
	                 SL_E_JWT_ALG);
	assert_int_equal(judge(test_sign_raw(rsa, "RS256", "{\"alg\":\"PS256\",\"kid\":\"rsa\"}", p)),
	                 SL_E_JWT_ALG);
	assert_int_equal(judge(test_sign_raw(rsa, "RS256", "{\"kid\":\"rsa\"}", p)), SL_E_JWT_MALFORMED);
	assert_int_equal(judge(test_sign_raw(rsa, "RS256", "{\"alg\":[\"RS256\"],\"kid\":\"rsa\"}", p)),
	                 SL_E_JWT_MALFORMED);
	/* unsigned, in both spellings */
	token = test_sign_raw(rsa, "RS256", "{\"alg\":\"RS256\",\"kid\":\"rsa\"}", p);
	dot = strrchr(token, '.');
	dot[1] = '\0';
	assert_int_equal(judge(strdup(token)), SL_E_JWT_MALFORMED);
	dot[0] = '\0';
	assert_int_equal(judge(token), SL_E_JWT_MALFORMED);
	/* HS256 with the public key as the secret */
	PEM_write_bio_PUBKEY(bio, rsa);
	pem_n = BIO_get_mem_data(bio, &pem);
	h = test_b64url("{\"alg\":\"HS256\",\"kid\":\"rsa\"}", 27);
	b = test_b64url(p, strlen(p));
	assert_true(asprintf(&token, "%s.%s", h, b) > 0);
	HMAC(EVP_sha256(), pem, (int)pem_n, (unsigned char *)token, strlen(token), mac, &mac_n);
	free(h);
	h = test_b64url(mac, mac_n);
	assert_true(asprintf(&whole, "%s.%s", token, h) > 0);
	free(token);
	token = whole;
	assert_int_equal(judge(token), SL_E_JWT_ALG);
	/* the name of a key of another kind */
	assert_int_equal(judge(test_sign(rsa, "RS256", "ec", claims())), SL_E_JWT_KEY);
	assert_int_equal(judge(test_sign(ec, "ES256", "ed", claims())), SL_E_JWT_KEY);
	/* an algorithm that this provider does not use */
	strict.algorithms = (struct sl_strings){es_only, 1};
	assert_int_equal(judge_at(test_sign(rsa, "RS256", "rsa", claims()), keys, &strict, NOW, NULL),
	                 SL_E_JWT_ALG);
	assert_int_equal(judge_at(test_sign(ec, "ES256", "ec", claims()), keys, &strict, NOW, NULL), SL_OK);
	free(h);
	free(b);
	free(p);
	BIO_free(bio);
}

static void test_signatures(void **state)
{
	static const char *const names[] = {"RS256", "ES256", "EdDSA"}, *const kids[] = {"rsa", "ec", "ed"};
	EVP_PKEY *pkeys[] = {rsa, ec, ed};
	char *token, *sig;

	assert_int_equal(judge(test_sign(other, "RS256", "rsa", claims())), SL_E_JWT_SIGNATURE);
	for (int i = 0; i < 3; i++) {
		token = test_sign(pkeys[i], names[i], kids[i], claims());
		sig = strrchr(token, '.') + 1;
		sig[5] = sig[5] == 'A' ? 'B' : 'A';
		assert_int_equal(judge(token), SL_E_JWT_SIGNATURE);
		/* a payload that was changed */
		token = test_sign(pkeys[i], names[i], kids[i], claims());
		sig = strchr(token, '.') + 1;
		sig[20] = sig[20] == 'A' ? 'B' : 'A';
		assert_int_not_equal(judge(token), SL_OK);
		/* a signature that is short */
		token = test_sign(pkeys[i], names[i], kids[i], claims());
		token[strlen(token) - 4] = '\0';
		assert_int_not_equal(judge(token), SL_OK);
	}
	/* r = s = 0 (the "psychic" signature), and DER where raw is due */
	token = test_sign(ec, "ES256", "ec", claims());
	memset(strrchr(token, '.') + 1, 'A', 86);
	assert_int_equal(judge(token), SL_E_JWT_SIGNATURE);
}

/* A01: what a header must not bring. */
static void test_headers(void **state)
{
	static const char *const bad[] = {
	        "{\"alg\":\"ES256\",\"kid\":\"ec\",\"crit\":[\"exp\"],\"exp\":1}",
	        "{\"alg\":\"ES256\",\"kid\":\"ec\",\"crit\":[]}",
	        "{\"alg\":\"ES256\",\"kid\":\"ec\",\"jku\":\"https://evil.example/jwks\"}",
	        "{\"alg\":\"ES256\",\"kid\":\"ec\",\"x5u\":\"https://evil.example/c\"}",
	        "{\"alg\":\"ES256\",\"kid\":\"ec\",\"jwk\":{\"kty\":\"oct\",\"k\":\"AAAA\"}}",
	        "{\"alg\":\"ES256\",\"kid\":\"ec\",\"x5c\":[\"AAAA\"]}",
	        "{\"alg\":\"ES256\",\"kid\":\"ec\",\"b64\":false}",
	        "{\"alg\":\"ES256\",\"kid\":\"ec\",\"zip\":\"DEF\"}",
	        "{\"alg\":\"ES256\",\"kid\":\"ec\",\"enc\":\"A128GCM\"}",
	        "{\"alg\":\"ES256\",\"kid\":\"ec\",\"typ\":\"logout+jwt\"}",
	        "{\"alg\":\"ES256\",\"kid\":\"ec\",\"typ\":5}",
	        "{\"alg\":\"ES256\",\"kid\":5}",
	        "{\"alg\":\"ES256\",\"kid\":\"\"}",
	        "{\"alg\":\"none\",\"alg\":\"ES256\",\"kid\":\"ec\"}",
	        "{\"alg\":\"ES256\",\"kid\":\"ec\"} ,",
	        "[\"ES256\"]",
	        "{\"alg\":\"ES256\",\"kid\":\"ec\\u0000x\"}",
	};
	static const char *const good[] = {
	        "{\"alg\":\"ES256\",\"kid\":\"ec\"}",
	        "{\"alg\":\"ES256\",\"kid\":\"ec\",\"typ\":\"at+jwt\"}",
	        "{\"alg\":\"ES256\",\"kid\":\"ec\",\"typ\":\"application/at+jwt\"}",
	        "{\"alg\":\"ES256\",\"kid\":\"ec\",\"typ\":\"jwt\"}",
	};
	char *p = claims_text();

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(judge(test_sign_raw(ec, "ES256", bad[i], p)), SL_E_JWT_MALFORMED);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(judge(test_sign_raw(ec, "ES256", good[i], p)), SL_OK);
	/* a kid is a name and nothing else; one is needed where there are several keys */
	assert_int_equal(judge(test_sign(ec, "ES256", "../../../../dev/null", claims())), SL_E_JWT_KEY);
	assert_int_equal(judge(test_sign(ec, "ES256", NULL, claims())), SL_E_JWT_KEY);
	free(p);
}

static void test_form(void **state)
{
	char *good = test_sign(ed, "EdDSA", "ed", claims()), *t;
	char *big = malloc(SL_BUS_TOKEN_MAX + 2);

	assert_int_equal(judge(strdup("")), SL_E_JWT_MALFORMED);
	assert_int_equal(judge(strdup("..")), SL_E_JWT_MALFORMED);
	assert_int_equal(judge(strdup("a.b.c.d.e")), SL_E_JWT_MALFORMED);
	for (const char *tail = "= \n.A+/"; *tail != '\0'; tail++) {
		assert_true(asprintf(&t, "%s%c", good, *tail) > 0);
		assert_int_not_equal(judge(t), SL_OK);
	}
	/* the last character has unused bits: another spelling of the same bytes is none */
	t = strdup(good);
	t[strlen(t) - 1] = (char)(t[strlen(t) - 1] + 1);
	assert_int_equal(judge(t), SL_E_JWT_MALFORMED);
	memset(big, 'A', SL_BUS_TOKEN_MAX + 1);
	big[SL_BUS_TOKEN_MAX + 1] = '\0';
	assert_int_equal(judge(big), SL_E_JWT_MALFORMED);
	/* every cut of a good token is refused */
	for (size_t n = 0; n < strlen(good); n++)
		assert_int_not_equal(judge(strndup(good, n)), SL_OK);
	free(good);
}

static void test_base64url(void **state)
{
	static const struct {
		const char *in;
		long n;
	} cases[] = {{"", 0},     {"A", -1},     {"AA", 1},    {"AB", -1},   {"AAA", 2},
	             {"AAB", -1}, {"AAAA", 3},   {"AA==", -1}, {"A+AA", -1}, {"A/AA", -1},
	             {"-_-_", 3}, {"AAAAA", -1}, {"A AA", -1}};
	uint8_t out[8];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(mg_b64url_decode(sl_span_str(cases[i].in), out, sizeof(out)), cases[i].n);
	assert_int_equal(mg_b64url_decode(SL_SPAN_LIT("AAAAAAAA"), out, 5), -1);
	assert_int_equal(mg_b64url_decode(SL_SPAN_LIT("AAAAAAAA"), out, 6), 6);
}

static void test_claims_checked(void **state)
{
	char *token;

	assert_int_equal(judge_claims(without("iss")), SL_E_JWT_CLAIMS);
	assert_int_equal(judge_claims(with("iss", json_string(ISS "/"))), SL_E_JWT_ISSUER);
	assert_int_equal(judge_claims(with("iss", json_pack("[s]", ISS))), SL_E_JWT_CLAIMS);
	assert_int_equal(judge_claims(without("aud")), SL_E_JWT_AUDIENCE);
	assert_int_equal(judge_claims(with("aud", json_string("Sluice"))), SL_E_JWT_AUDIENCE);
	assert_int_equal(judge_claims(with("aud", json_pack("[s,s]", "a", "sluice"))), SL_OK);
	assert_int_equal(judge_claims(with("aud", json_pack("[s,i]", "sluice", 1))), SL_E_JWT_CLAIMS);
	assert_int_equal(judge_claims(with("aud", json_array())), SL_E_JWT_AUDIENCE);
	assert_int_equal(judge_claims(with("aud", json_pack("{s:s}", "sluice", "sluice"))), SL_E_JWT_CLAIMS);
	assert_int_equal(judge_claims(without("sub")), SL_E_JWT_CLAIMS);
	assert_int_equal(judge_claims(with("sub", json_string(""))), SL_E_JWT_CLAIMS);
	assert_int_equal(judge_claims(with("sub", json_integer(5))), SL_E_JWT_CLAIMS);
	/* twice the same member: which one counts is nobody's guess */
	token = test_sign_raw(ec, "ES256", "{\"alg\":\"ES256\",\"kid\":\"ec\"}",
	                      "{\"iss\":\"" ISS
	                      "\",\"sub\":\"a\",\"sub\":\"b\",\"aud\":\"sluice\",\"exp\":9999999999}");
	assert_int_equal(judge(token), SL_E_JWT_MALFORMED);
}

static void test_times(void **state)
{
	char *(*const sign)(EVP_PKEY *, const char *, const char *, json_t *) = test_sign;

	assert_int_equal(judge_claims(without("exp")), SL_E_JWT_CLAIMS);
	assert_int_equal(judge_claims(with("exp", json_string("9999999999"))), SL_E_JWT_CLAIMS);
	assert_int_equal(judge_claims(with("exp", json_real(1e300))), SL_E_JWT_CLAIMS);
	assert_int_equal(judge_claims(with("exp", json_integer(-1))), SL_E_JWT_CLAIMS);
	assert_int_equal(judge_claims(with("exp", json_real(NOW + 0.5))), SL_OK);
	assert_int_equal(judge_at(sign(ec, "ES256", "ec", claims()), keys, &idp, NOW + 329, NULL), SL_OK);
	assert_int_equal(judge_at(sign(ec, "ES256", "ec", claims()), keys, &idp, NOW + 330, NULL),
	                 SL_E_JWT_EXPIRED);
	assert_int_equal(judge_at(sign(ec, "ES256", "ec", claims()), keys, &idp, NOW - 30, NULL), SL_OK);
	assert_int_equal(judge_at(sign(ec, "ES256", "ec", claims()), keys, &idp, NOW - 31, NULL),
	                 SL_E_JWT_NOT_YET);
	assert_int_equal(judge_claims(with("iat", json_integer(NOW + 31))), SL_E_JWT_NOT_YET);
	assert_int_equal(judge_claims(with("nbf", json_integer(NOW + 31))), SL_E_JWT_NOT_YET);
	assert_int_equal(judge_claims(with("nbf", json_true())), SL_E_JWT_CLAIMS);
	assert_int_equal(judge_claims(without("nbf")), SL_OK);
	assert_int_equal(judge_claims(without("iat")), SL_OK);
}

static json_t *many_groups(int nb, size_t len)
{
	json_t *list = json_array();
	char name[600];

	memset(name, 'g', sizeof(name));
	name[len] = '\0';
	for (int i = 0; i < nb; i++)
		json_array_append_new(list, json_string(name));
	return list;
}

/* Claims that the provider's document asks for come along, behind the groups. */
static void test_kept_claims(void **state)
{
	static const char *names[] = {"acr", "amr", "level", "admin", "gone", "object"};
	static const char want[] = "acr=high\0amr=otp\0amr=pwd\0level=3\0admin=false";
	struct sl_idp with_claims = idp;
	struct sl_identity who;
	char *big = calloc(1, SL_BUS_GROUPS_BYTES + 1);
	json_t *c = with("acr", json_string("high"));

	with_claims.claims = (struct sl_strings){names, 6};
	json_object_set_new(c, "amr", json_pack("[s,s]", "otp", "pwd"));
	json_object_set_new(c, "level", json_integer(3));
	json_object_set_new(c, "admin", json_false());
	json_object_set_new(c, "object", json_object());
	assert_int_equal(judge_at(test_sign(ec, "ES256", "ec", c), keys, &with_claims, NOW, &who), SL_OK);
	assert_int_equal(who.claims_n, sizeof(want));
	assert_memory_equal(who.groups + who.groups_n, want, sizeof(want));
	/* what does not fit is refused, never cut */
	memset(big, 'x', SL_BUS_GROUPS_BYTES);
	assert_int_equal(judge_at(test_sign(ec, "ES256", "ec", with("acr", json_string(big))), keys,
	                          &with_claims, NOW, &who),
	                 SL_E_JWT_CLAIMS);
	free(big);
}

/* Lists and names are refused when they do not fit: half a list could be another person's rights. */
static void test_bounds(void **state)
{
	char name[400];
	struct sl_identity who = {0};

	memset(name, 'n', sizeof(name));
	name[SL_BUS_NAME_MAX] = '\0';
	assert_int_equal(judge_claims(with("sub", json_string(name))), SL_E_JWT_CLAIMS);
	assert_int_equal(judge_claims(with("preferred_username", json_string(name))), SL_E_JWT_CLAIMS);
	name[SL_BUS_NAME_MAX - 1] = '\0';
	assert_int_equal(judge_claims(with("sub", json_string(name))), SL_OK);
	assert_int_equal(judge_claims(with("groups", many_groups(SL_BUS_GROUPS_MAX, 10))), SL_OK);
	assert_int_equal(judge_claims(with("groups", many_groups(SL_BUS_GROUPS_MAX + 1, 10))),
	                 SL_E_JWT_CLAIMS);
	assert_int_equal(judge_claims(with("groups", many_groups(8, 511))), SL_OK);
	assert_int_equal(judge_claims(with("groups", many_groups(8, 512))), SL_E_JWT_CLAIMS);
	assert_int_equal(judge_claims(with("groups", json_pack("[s,i]", "a", 1))), SL_E_JWT_CLAIMS);
	assert_int_equal(judge_claims(with("groups", json_pack("[s]", ""))), SL_E_JWT_CLAIMS);
	assert_int_equal(judge_claims(with("groups", json_pack("{s:s}", "a", "b"))), SL_E_JWT_CLAIMS);
	assert_int_equal(judge_at(test_sign(ec, "ES256", "ec", with("groups", json_string("one"))), keys,
	                          &idp, NOW, &who),
	                 SL_OK);
	assert_int_equal(who.nb_groups, 1);
	assert_true(mg_identity_in(&who, "one"));
	assert_int_equal(judge_at(test_sign(ec, "ES256", "ec", without("groups")), keys, &idp, NOW, &who),
	                 SL_OK);
	assert_int_equal(who.nb_groups, 0);
}

static int set_of(json_t *jwk, uint32_t *nb)
{
	char *text = test_jwks(jwk);
	struct mg_jwks *set = NULL;
	int err = mg_jwks_parse(sl_span_str(text), &set);

	*nb = set == NULL ? 0 : set->nb;
	mg_jwks_free(set);
	free(text);
	return err;
}

static json_t *changed(json_t *jwk, const char *name, const char *value)
{
	if (value == NULL)
		json_object_del(jwk, name);
	else
		json_object_set_new(jwk, name, json_string(value));
	return jwk;
}

static void test_key_sets(void **state)
{
	EVP_PKEY *weak = test_key_new("RS256", 1024);
	struct mg_jwks *set;
	char *text;
	uint32_t nb;

	assert_int_equal(set_of(test_jwk(rsa, "RS256", "k"), &nb), SL_OK);
	assert_int_equal(set_of(test_jwk(weak, "RS256", "k"), &nb), SL_E_JWT_KEY);
	assert_int_equal(set_of(changed(test_jwk(rsa, "RS256", "k"), "e", "Aw"), &nb), SL_E_JWT_KEY); /* 3 */
	assert_int_equal(set_of(changed(test_jwk(rsa, "RS256", "k"), "e", "AQAA"), &nb),
	                 SL_E_JWT_KEY); /* even */
	assert_int_equal(set_of(changed(test_jwk(rsa, "RS256", "k"), "use", "enc"), &nb), SL_E_JWT_KEY);
	assert_int_equal(set_of(changed(test_jwk(rsa, "RS256", "k"), "alg", "RS512"), &nb), SL_E_JWT_KEY);
	assert_int_equal(set_of(changed(test_jwk(rsa, "RS256", "k"), "alg", NULL), &nb), SL_OK);
	assert_int_equal(set_of(changed(test_jwk(rsa, "RS256", "k"), "kty", "EC"), &nb), SL_E_JWT_KEY);
	assert_int_equal(set_of(changed(test_jwk(rsa, "RS256", "k"), "d", "AAAA"), &nb), SL_E_JWT_KEY);
	assert_int_equal(set_of(changed(test_jwk(ec, "ES256", "k"), "crv", "P-384"), &nb), SL_E_JWT_KEY);
	assert_int_equal(set_of(changed(test_jwk(ec, "ES256", "k"), "y",
	                                "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
	                        &nb),
	                 SL_E_JWT_KEY); /* not on the curve */
	assert_int_equal(set_of(changed(test_jwk(ed, "EdDSA", "k"), "crv", "Ed448"), &nb), SL_E_JWT_KEY);
	assert_int_equal(set_of(json_pack("{s:s,s:s,s:s}", "kty", "oct", "k", "AAAA", "kid", "k"), &nb),
	                 SL_E_JWT_KEY);
	assert_int_equal(mg_jwks_parse(SL_SPAN_LIT("{\"keys\":{}}"), &set), SL_E_JWT_KEY);
	assert_int_equal(mg_jwks_parse(SL_SPAN_LIT("<html>"), &set), SL_E_JWT_KEY);
	assert_int_equal(mg_jwks_parse(SL_SPAN_LIT("{\"keys\":[],\"keys\":[]}"), &set), SL_E_JWT_KEY);
	/* what is not usable does not spoil the rest, and a single key needs no kid */
	text = test_jwks(test_jwk(weak, "RS256", "w"), json_string("x"), test_jwk(ec, "ES256", NULL));
	assert_int_equal(mg_jwks_parse(sl_span_str(text), &set), SL_OK);
	assert_int_equal(set->nb, 1);
	assert_int_equal(judge_at(test_sign(ec, "ES256", NULL, claims()), set, &idp, NOW, NULL), SL_OK);
	assert_int_equal(judge_at(test_sign(ec, "ES256", "x", claims()), set, &idp, NOW, NULL), SL_E_JWT_KEY);
	mg_jwks_free(set);
	free(text);
	EVP_PKEY_free(weak);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_accepts),        cmocka_unit_test(test_algorithms),
	        cmocka_unit_test(test_signatures),     cmocka_unit_test(test_headers),
	        cmocka_unit_test(test_form),           cmocka_unit_test(test_base64url),
	        cmocka_unit_test(test_claims_checked), cmocka_unit_test(test_times),
	        cmocka_unit_test(test_bounds),         cmocka_unit_test(test_kept_claims),
	        cmocka_unit_test(test_key_sets),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
