/*
 * Signed tokens (RFC 7515, RFC 7519, RFC 8725, RFC 9068): compact form, one signature. Three steps that stay
 * apart: parse (form only, nothing is believed), verify (signature by a key of the provider that the issuer
 * names), identity (claims). Management core and fuzz targets; no I/O, time is a parameter.
 */
#ifndef MG_JWT_H
#define MG_JWT_H

#include "jwk.h"
#include "sl_bus.h"
#include "sl_snapshot.h"

struct mg_jwt {
	enum mg_alg alg;
	const char *kid; /* NULL: none */
	const char *iss; /* not believed before mg_jwt_verify() */
	json_t *header, *claims;
	uint8_t *text; /* the token, our copy */
	size_t text_n;
	size_t signed_n; /* bytes of text that the signature covers */
	size_t sig_n;
	uint8_t sig[MG_SIG_MAX];
};

/*
 * Copies and takes apart a token of at most SL_BUS_TOKEN_MAX bytes. 0; SL_E_JWT_MALFORMED (form, JSON,
 * duplicate members, header parameters that bring a key or ask for extensions, wrong typ), SL_E_JWT_ALG,
 * SL_E_JWT_CLAIMS (no issuer), SL_E_NOMEM. *out is to be freed in every case.
 */
int mg_jwt_parse(struct sl_span token, struct mg_jwt *out);
/* Clears the token's copy. */
void mg_jwt_free(struct mg_jwt *jwt);

/* 0 when the provider allows the algorithm, it has such a key, and the signature is right. SL_E_JWT_ALG,
 * _KEY, _SIGNATURE. */
int mg_jwt_verify(const struct mg_jwt *jwt, const struct mg_jwks *keys, const struct sl_idp *idp);

/*
 * Checks the claims of a verified token and fills *out. Lists and names that do not fit are refused, never
 * cut. 0; SL_E_JWT_ISSUER, _AUDIENCE, _EXPIRED, _NOT_YET, _CLAIMS.
 */
int mg_jwt_identity(const struct mg_jwt *jwt, const struct sl_idp *idp, uint64_t wall_us,
                    struct sl_identity *out);

/* True when the identity is in the group. */
bool mg_identity_in(const struct sl_identity *who, const char *group);

#endif
