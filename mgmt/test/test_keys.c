#include "test_keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

EVP_PKEY *test_key_new(const char *alg, unsigned int rsa_bits)
{
	if (strcmp(alg, "RS256") == 0)
		return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)rsa_bits);
	if (strcmp(alg, "ES256") == 0)
		return EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
}

char *test_b64url(const void *p, size_t n)
{
	char *out = malloc((n + 2) / 3 * 4 + 1);
	int len = EVP_EncodeBlock((unsigned char *)out, p, (int)n);

	for (int i = 0; i < len; i++) {
		if (out[i] == '+')
			out[i] = '-';
		else if (out[i] == '/')
			out[i] = '_';
		else if (out[i] == '=')
			out[i] = '\0';
	}
	return out;
}

static void set_bn(json_t *o, const char *name, EVP_PKEY *key, const char *param, int len)
{
	unsigned char buf[1100];
	BIGNUM *bn = NULL;
	char *text;
	int n;

	EVP_PKEY_get_bn_param(key, param, &bn);
	n = len > 0 ? BN_bn2binpad(bn, buf, len) : BN_bn2bin(bn, buf);
	text = test_b64url(buf, (size_t)n);
	json_object_set_new(o, name, json_string(text));
	free(text);
	BN_free(bn);
}

json_t *test_jwk(EVP_PKEY *key, const char *alg, const char *kid)
{
	json_t *o = json_pack("{s:s,s:s}", "use", "sig", "alg", alg);

	if (kid != NULL)
		json_object_set_new(o, "kid", json_string(kid));
	if (strcmp(alg, "RS256") == 0) {
		json_object_set_new(o, "kty", json_string("RSA"));
		set_bn(o, "n", key, OSSL_PKEY_PARAM_RSA_N, 0);
		set_bn(o, "e", key, OSSL_PKEY_PARAM_RSA_E, 0);
	} else if (strcmp(alg, "ES256") == 0) {
		json_object_set_new(o, "kty", json_string("EC"));
		json_object_set_new(o, "crv", json_string("P-256"));
		set_bn(o, "x", key, OSSL_PKEY_PARAM_EC_PUB_X, 32);
		set_bn(o, "y", key, OSSL_PKEY_PARAM_EC_PUB_Y, 32);
	} else {
		unsigned char raw[32];
		size_t n = sizeof(raw);
		char *x;

		EVP_PKEY_get_raw_public_key(key, raw, &n);
		x = test_b64url(raw, n);
		json_object_set_new(o, "kty", json_string("OKP"));
		json_object_set_new(o, "crv", json_string("Ed25519"));
		json_object_set_new(o, "x", json_string(x));
		free(x);
	}
	return o;
}

char *test_jwks_of(json_t **keys, size_t nb)
{
	json_t *list = json_array(), *set = json_pack("{s:o}", "keys", list);
	char *text;

	for (size_t i = 0; i < nb; i++)
		json_array_append_new(list, keys[i]);
	text = json_dumps(set, 0);
	json_decref(set);
	return text;
}

/* RFC 7518 section 3.4: r and s, 32 bytes each. */
static size_t raw_ecdsa(unsigned char *sig, size_t n)
{
	const unsigned char *p = sig;
	ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &p, (long)n);

	BN_bn2binpad(ECDSA_SIG_get0_r(s), sig, 32);
	BN_bn2binpad(ECDSA_SIG_get0_s(s), sig + 32, 32);
	ECDSA_SIG_free(s);
	return 64;
}

char *test_sign_raw(EVP_PKEY *key, const char *alg, const char *header, const char *payload)
{
	char *h = test_b64url(header, strlen(header)), *p = test_b64url(payload, strlen(payload)), *s;
	size_t cap = strlen(h) + strlen(p) + 2048, sig_n;
	char *out = malloc(cap);
	int n = snprintf(out, cap, "%s.%s", h, p);
	unsigned char sig[1100];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	sig_n = sizeof(sig);
	EVP_DigestSignInit(ctx, NULL, strcmp(alg, "EdDSA") == 0 ? NULL : EVP_sha256(), NULL, key);
	EVP_DigestSign(ctx, sig, &sig_n, (unsigned char *)out, (size_t)n);
	EVP_MD_CTX_free(ctx);
	if (strcmp(alg, "ES256") == 0)
		sig_n = raw_ecdsa(sig, sig_n);
	s = test_b64url(sig, sig_n);
	snprintf(out + n, cap - (size_t)n, ".%s", s);
	free(h);
	free(p);
	free(s);
	return out;
}

char *test_sign(EVP_PKEY *key, const char *alg, const char *kid, json_t *claims)
{
	json_t *header = json_pack("{s:s,s:s,s:s*}", "alg", alg, "typ", "JWT", "kid", kid);
	char *h = json_dumps(header, JSON_COMPACT), *p = json_dumps(claims, JSON_COMPACT);
	char *out = test_sign_raw(key, alg, h, p);

	free(h);
	free(p);
	json_decref(header);
	json_decref(claims);
	return out;
}

json_t *test_claims(const char *iss, const char *sub, json_t *groups, json_int_t now_s)
{
	return json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:o*}", "iss", iss, "sub", sub, "aud", "sluice", "iat",
	                 now_s, "nbf", now_s, "exp", now_s + 300, "groups", groups);
}

static char *bio_text(BIO *bio)
{
	char *p = NULL, *out;
	long n = BIO_get_mem_data(bio, &p);

	out = strndup(p, (size_t)n);
	BIO_free(bio);
	return out;
}

void test_certificate(char **cert_pem, char **key_pem)
{
	EVP_PKEY *key = test_key_new("ES256", 0);
	X509 *x = X509_new();
	X509_EXTENSION *ext =
	        X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
	BIO *cert = BIO_new(BIO_s_mem()), *priv = BIO_new(BIO_s_mem());

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
	                           (const unsigned char *)"test", -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	X509_add_ext(x, ext, -1);
	X509_sign(x, key, EVP_sha256());
	PEM_write_bio_X509(cert, x);
	PEM_write_bio_PrivateKey(priv, key, NULL, NULL, 0, NULL, NULL);
	*cert_pem = bio_text(cert);
	*key_pem = bio_text(priv);
	X509_EXTENSION_free(ext);
	X509_free(x);
	EVP_PKEY_free(key);
}
