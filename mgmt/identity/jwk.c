#include "jwk.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>

#include "sl_counter.h"

/* The public exponent: 65537 and up (FIPS 186-5 A.1.1), and no longer than anybody uses. */
#define RSA_E_BITS_MIN 17
#define RSA_E_BITS_MAX 64

enum mg_alg mg_alg_parse(const char *name)
{
	if (strcmp(name, "RS256") == 0)
		return MG_ALG_RS256;
	if (strcmp(name, "ES256") == 0)
		return MG_ALG_ES256;
	if (strcmp(name, "EdDSA") == 0)
		return MG_ALG_EDDSA;
	return MG_ALG_NONE;
}

static int b64url_value(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '-')
		return 62;
	return c == '_' ? 63 : -1;
}

long mg_b64url_decode(struct sl_span in, uint8_t *out, size_t cap)
{
	uint32_t acc = 0, bits = 0;
	size_t n = 0;

	if (in.n % 4 == 1)
		return -1;
	for (size_t i = 0; i < in.n; i++) {
		int v = b64url_value(in.p[i]);

		if (v < 0)
			return -1;
		acc = (acc << 6 | (uint32_t)v) & 0xffff;
		bits += 6;
		if (bits < 8)
			continue;
		bits -= 8;
		if (n == cap)
			return -1;
		out[n++] = (uint8_t)(acc >> bits);
	}
	if ((acc & ((1u << bits) - 1)) != 0)
		return -1;
	return (long)n;
}

/* A member that must be base64url; returns the number of bytes, -1 when absent or malformed. */
static long member(const json_t *jwk, const char *name, uint8_t *out, size_t cap)
{
	const json_t *v = json_object_get(jwk, name);

	if (!json_is_string(v))
		return -1;
	return mg_b64url_decode(sl_span(json_string_value(v), json_string_length(v)), out, cap);
}

static EVP_PKEY *from_params(const char *type, OSSL_PARAM *params)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *pkey = NULL;

	if (ctx == NULL || params == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
		pkey = NULL;
	EVP_PKEY_CTX_free(ctx);
	return pkey;
}

static EVP_PKEY *rsa_key(const json_t *jwk)
{
	uint8_t n_bytes[MG_SIG_MAX], e_bytes[RSA_E_BITS_MAX / 8];
	long n_len = member(jwk, "n", n_bytes, sizeof(n_bytes));
	long e_len = member(jwk, "e", e_bytes, sizeof(e_bytes));
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	OSSL_PARAM *params = NULL;
	EVP_PKEY *pkey = NULL;
	BIGNUM *n = NULL, *e = NULL;
	int bits;

	if (n_len <= 0 || e_len <= 0 || bld == NULL)
		goto out;
	n = BN_bin2bn(n_bytes, (int)n_len, NULL);
	e = BN_bin2bn(e_bytes, (int)e_len, NULL);
	if (n == NULL || e == NULL)
		goto out;
	bits = BN_num_bits(n);
	if (bits < MG_RSA_BITS_MIN || bits > MG_RSA_BITS_MAX || !BN_is_odd(n) || !BN_is_odd(e) ||
	    BN_num_bits(e) < RSA_E_BITS_MIN)
		goto out;
	if (OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n) != 1 ||
	    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e) != 1)
		goto out;
	params = OSSL_PARAM_BLD_to_param(bld);
	pkey = from_params("RSA", params);
out:
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(bld);
	BN_free(n);
	BN_free(e);
	return pkey;
}

/* OpenSSL refuses a point that is not on the curve or is at infinity when it takes it in. */
static EVP_PKEY *ec_key(const json_t *jwk)
{
	const char *crv = json_string_value(json_object_get(jwk, "crv"));
	char group[] = "prime256v1";
	uint8_t point[65] = {0x04};
	OSSL_PARAM params[3];

	if (crv == NULL || strcmp(crv, "P-256") != 0)
		return NULL;
	if (member(jwk, "x", point + 1, 32) != 32 || member(jwk, "y", point + 33, 32) != 32)
		return NULL;
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0);
	params[1] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point));
	params[2] = OSSL_PARAM_construct_end();
	return from_params("EC", params);
}

static EVP_PKEY *okp_key(const json_t *jwk)
{
	const char *crv = json_string_value(json_object_get(jwk, "crv"));
	uint8_t x[32];

	if (crv == NULL || strcmp(crv, "Ed25519") != 0 || member(jwk, "x", x, sizeof(x)) != 32)
		return NULL;
	return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x, sizeof(x));
}

static bool has_string(const json_t *array, const char *s)
{
	const json_t *v;
	size_t i;

	json_array_foreach(array, i,
	                   v) if (json_is_string(v) && strcmp(json_string_value(v), s) == 0) return true;
	return false;
}

/* use, key_ops and alg, where they are given, must allow what we do. "d" and "k" mean a key that is not
 * public. */
static bool is_for_us(const json_t *jwk, const char *alg)
{
	const json_t *use = json_object_get(jwk, "use"), *ops = json_object_get(jwk, "key_ops"),
	             *named = json_object_get(jwk, "alg");

	if (json_object_get(jwk, "d") != NULL || json_object_get(jwk, "k") != NULL)
		return false;
	if (use != NULL && (!json_is_string(use) || strcmp(json_string_value(use), "sig") != 0))
		return false;
	if (ops != NULL && (!json_is_array(ops) || !has_string(ops, "verify")))
		return false;
	return named == NULL || (json_is_string(named) && strcmp(json_string_value(named), alg) == 0);
}

/* 1 taken, 0 left out. */
static int read_key(const json_t *jwk, struct mg_jwk *out)
{
	static const struct {
		const char *kty, *alg;
		enum mg_alg id;
		EVP_PKEY *(*make)(const json_t *);
	} kinds[] = {
	        {"RSA", "RS256", MG_ALG_RS256, rsa_key},
	        {"EC", "ES256", MG_ALG_ES256, ec_key},
	        {"OKP", "EdDSA", MG_ALG_EDDSA, okp_key},
	};
	const char *kty = json_string_value(json_object_get(jwk, "kty"));
	const json_t *kid = json_object_get(jwk, "kid");

	memset(out, 0, sizeof(*out));
	if (kty == NULL)
		return 0;
	if (kid != NULL) {
		if (!json_is_string(kid) || json_string_length(kid) == 0 ||
		    json_string_length(kid) >= MG_KID_MAX)
			return 0;
		memcpy(out->kid, json_string_value(kid), json_string_length(kid) + 1);
		out->has_kid = true;
	}
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kty, kinds[i].kty) != 0 || !is_for_us(jwk, kinds[i].alg))
			continue;
		out->alg = kinds[i].id;
		out->pkey = kinds[i].make(jwk);
		ERR_clear_error();
		return out->pkey != NULL;
	}
	return 0;
}

int mg_jwks_parse(struct sl_span json, struct mg_jwks **out)
{
	json_t *doc = json_loadb((const char *)json.p, json.n, JSON_REJECT_DUPLICATES, NULL);
	const json_t *keys = json_object_get(doc, "keys"), *jwk;
	struct mg_jwks *set;
	size_t i;
	int err;

	*out = NULL;
	if (!json_is_array(keys) || json_array_size(keys) > MG_JWKS_KEYS_MAX) {
		err = json_is_array(keys) ? SL_E_LIMIT : SL_E_JWT_KEY;
		json_decref(doc);
		return sl_fail(err);
	}
	set = calloc(1, sizeof(*set));
	if (set == NULL) {
		json_decref(doc);
		return sl_fail(SL_E_NOMEM);
	}
	json_array_foreach(keys, i, jwk) set->nb += (uint32_t)read_key(jwk, &set->keys[set->nb]);
	json_decref(doc);
	if (set->nb == 0) {
		mg_jwks_free(set);
		return sl_fail(SL_E_JWT_KEY);
	}
	*out = set;
	return SL_OK;
}

void mg_jwks_free(struct mg_jwks *set)
{
	if (set == NULL)
		return;
	for (uint32_t i = 0; i < set->nb; i++)
		EVP_PKEY_free(set->keys[i].pkey);
	free(set);
}

const struct mg_jwk *mg_jwks_find(const struct mg_jwks *set, const char *kid, enum mg_alg alg)
{
	if (kid == NULL)
		return set->nb == 1 && set->keys[0].alg == alg ? &set->keys[0] : NULL;
	for (uint32_t i = 0; i < set->nb; i++)
		if (set->keys[i].has_kid && set->keys[i].alg == alg && strcmp(set->keys[i].kid, kid) == 0)
			return &set->keys[i];
	return NULL;
}
