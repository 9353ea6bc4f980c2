/*
 * Tokens and key sets. The first byte says what the rest is: a token as it comes; a payload or a header that
 * is signed here, so that the checks behind the signature are reached; a JWK set.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jwt.h"
#include "test_keys.h"

#define ISS    "https://idp.example"
#define NOW_US (UINT64_C(1750000000) * 1000000)

static const char *algs[] = {"RS256", "ES256", "EdDSA"};
static const struct sl_idp idp = {
        .name = "lab",
        .issuer = ISS,
        .audience = "sluice",
        .groups_claim = "groups",
        .algorithms = {algs, 3},
        .leeway_s = 30,
};
static EVP_PKEY *key;
static struct mg_jwks *keys;

static void must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz_jwt: %s\n", what);
	abort();
}

static void init(void)
{
	uint8_t seed[32];
	char *text;

	memset(seed, 7, sizeof(seed));
	key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof(seed));
	text = test_jwks(test_jwk(key, "EdDSA", "ed"));
	must(mg_jwks_parse(sl_span_str(text), &keys) == SL_OK, "the fixed key set");
	free(text);
}

/* What an accepted identity promises to everybody behind. */
static void check_identity(const struct sl_identity *who)
{
	size_t at = 0;

	must(strcmp(who->issuer, ISS) == 0, "issuer");
	must(who->subject[0] != '\0' && memchr(who->subject, 0, sizeof(who->subject)) != NULL, "subject");
	must(who->name[0] != '\0' && memchr(who->name, 0, sizeof(who->name)) != NULL, "name");
	must(who->expires_us > NOW_US, "expiry");
	must(who->nb_groups <= SL_BUS_GROUPS_MAX && who->groups_n <= SL_BUS_GROUPS_BYTES, "groups");
	for (uint16_t i = 0; i < who->nb_groups; i++) {
		const char *end = memchr(who->groups + at, 0, who->groups_n - at);

		must(end != NULL && end > who->groups + at, "a group");
		must(mg_identity_in(who, who->groups + at), "a group is found");
		at = (size_t)(end - who->groups) + 1;
	}
	must(at == who->groups_n, "the groups' length");
}

static void judge(struct sl_span token)
{
	struct sl_identity who;
	struct mg_jwt jwt;
	int err = mg_jwt_parse(token, &jwt);

	if (err == SL_OK)
		err = mg_jwt_verify(&jwt, keys, &idp);
	if (err == SL_OK)
		err = mg_jwt_identity(&jwt, &idp, NOW_US, &who);
	must(err <= 0, "an error or nothing");
	if (err == SL_OK)
		check_identity(&who);
	mg_jwt_free(&jwt);
}

static void judge_signed(const char *header, const char *payload)
{
	char *token = test_sign_raw(key, "EdDSA", header, payload);

	judge(sl_span_str(token));
	free(token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char header[] = "{\"alg\":\"EdDSA\",\"kid\":\"ed\"}";
	static const char payload[] =
	        "{\"iss\":\"" ISS "\",\"sub\":\"a\",\"aud\":\"sluice\",\"exp\":1750000100}";
	struct mg_jwks *set;
	char *text;

	if (key == NULL)
		init();
	if (size == 0)
		return 0;
	text = strndup((const char *)data + 1, size - 1);
	switch (data[0]) {
	case 'p':
		judge_signed(header, text);
		break;
	case 'h':
		judge_signed(text, payload);
		break;
	case 'k':
		if (mg_jwks_parse(sl_span(data + 1, size - 1), &set) == SL_OK)
			mg_jwks_free(set);
		break;
	default:
		judge(sl_span(data + 1, size - 1));
		break;
	}
	free(text);
	return 0;
}
