/* For tests and fuzz targets: signing keys, key sets and tokens made with OpenSSL, independently of the code
 * under test. */
#ifndef MG_TEST_KEYS_H
#define MG_TEST_KEYS_H

#include <jansson.h>
#include <openssl/evp.h>

/* "RS256", "ES256", "EdDSA"; RSA keys with this many bits. */
EVP_PKEY *test_key_new(const char *alg, unsigned int rsa_bits);
/* The public key as a JWK with this kid (NULL: none) and use sig. */
json_t *test_jwk(EVP_PKEY *key, const char *alg, const char *kid);
/* {"keys":[...]} of these JWKs as text; free() it. Takes the JWKs over. */
char *test_jwks_of(json_t **keys, size_t nb);
#define test_jwks(...)                                                                                       \
	test_jwks_of((json_t *[]){__VA_ARGS__}, sizeof((json_t *[]){__VA_ARGS__}) / sizeof(json_t *))

/* Base64url of bytes; free() it. */
char *test_b64url(const void *p, size_t n);
/* A token of these two JSON texts, signed; free() it. */
char *test_sign_raw(EVP_PKEY *key, const char *alg, const char *header, const char *payload);
/* header {"alg","kid","typ":"JWT"}. Takes over claims. */
char *test_sign(EVP_PKEY *key, const char *alg, const char *kid, json_t *claims);

/* Claims that are accepted: iss, aud "sluice", sub "alice", groups, times around now. groups: array or NULL
 * (left out). Taken over. */
json_t *test_claims(const char *iss, const char *sub, json_t *groups, json_int_t now_s);

/* A self-signed certificate for localhost and 127.0.0.1 with its key, both as PEM text; free() them. */
void test_certificate(char **cert_pem, char **key_pem);

#endif
