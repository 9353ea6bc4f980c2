/*
 * JSON Web Keys (RFC 7517, RFC 7518, RFC 8037): the public keys of an identity provider, for RS256, ES256 and
 * EdDSA with Ed25519. A key's algorithm follows from its own type (kty, crv), never from a token, so that a
 * token cannot turn one kind of key into another. Management core and fuzz targets; no I/O.
 */
#ifndef MG_JWK_H
#define MG_JWK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#include <openssl/evp.h>

#include "sl_err.h"
#include "sl_span.h"

#define MG_JWKS_KEYS_MAX 64  /* keys of one set, usable or not */
#define MG_KID_MAX       256 /* bytes of a key id with NUL */
#define MG_RSA_BITS_MIN  2048
#define MG_RSA_BITS_MAX  8192
#define MG_SIG_MAX       (MG_RSA_BITS_MAX / 8)

enum mg_alg {
	MG_ALG_NONE = 0,
	MG_ALG_RS256,
	MG_ALG_ES256,
	MG_ALG_EDDSA,
};

struct mg_jwk {
	enum mg_alg alg;
	bool has_kid;
	char kid[MG_KID_MAX];
	EVP_PKEY *pkey;
};

struct mg_jwks {
	uint32_t nb;
	struct mg_jwk keys[MG_JWKS_KEYS_MAX];
};

/* From the registered name, exactly as written; MG_ALG_NONE for anything else ("none" and HS256 among them).
 */
enum mg_alg mg_alg_parse(const char *name);

/*
 * Base64url without padding (RFC 4648 section 5), strictly: no other characters, no white space, unused bits
 * zero, so that each value has one spelling. Returns the number of bytes, -1 when malformed or longer than
 * cap.
 */
long mg_b64url_decode(struct sl_span in, uint8_t *out, size_t cap);

/*
 * Reads a JWK set. Keys that are not for us (other types, use "enc", symmetric or private, too weak) are left
 * out, as RFC 7517 section 5 asks; a document that is no set is an error. 0 with *out; SL_E_JWT_KEY when
 * malformed or nothing usable; SL_E_LIMIT; SL_E_NOMEM.
 */
int mg_jwks_parse(struct sl_span json, struct mg_jwks **out);
void mg_jwks_free(struct mg_jwks *set);

/* The key of this id and algorithm; without a kid only when the set has exactly one key. NULL none. */
const struct mg_jwk *mg_jwks_find(const struct mg_jwks *set, const char *kid, enum mg_alg alg);

#endif
