/*
 * OpenID Connect: the providers of the current policy, their discovery documents and their keys, and the
 * check of a token from its bytes to an identity. All network work is asynchronous on the event loop; a token
 * that needs keys waits in a bounded queue. The management thread.
 *
 * Keys are used for MG_JWKS_TTL_US. After that they are fetched again before the next token is judged; when
 * the provider does not answer they are used up to MG_JWKS_STALE_US, then nothing is accepted
 * (SL_E_IDP_DOWN). A token with an unknown key id causes a fetch at most once per MG_JWKS_REFRESH_US and
 * provider, so that tokens cannot be used to storm a provider.
 */
#ifndef MG_OIDC_H
#define MG_OIDC_H

#include "fetch.h"
#include "jwt.h"

#define MG_JWKS_TTL_US      (600ull * 1000000)  /* 10 min */
#define MG_JWKS_STALE_US    (3600ull * 1000000) /* 1 h */
#define MG_JWKS_REFRESH_US  (30ull * 1000000)
#define MG_JWKS_RETRY_US    (2ull * 1000000) /* between attempts while there are no usable keys at all */
#define MG_OIDC_WAITERS_MAX 256              /* tokens that wait for keys, all providers together */

struct mg_oidc;

/* err 0: who is the caller, idp is its provider in the current policy. Both are good for the call only. */
typedef void (*mg_oidc_fn)(void *ctx, int err, const struct sl_identity *who, const struct sl_idp *idp);

struct mg_oidc_clock { /* for tests; both in microseconds */
	uint64_t (*mono)(void *ctx);
	uint64_t (*wall)(void *ctx);
	void *ctx;
};

/* clock NULL: the system's. */
int mg_oidc_new(struct event_base *base, const struct mg_oidc_clock *clock, struct mg_oidc **out);
/* Waiting tokens are answered with SL_E_IDP_DOWN. */
void mg_oidc_free(struct mg_oidc *o);

/*
 * The providers of a snapshot; good until the next call with another one (the caller holds its count that
 * long). Keys of providers that stay the same are kept; new ones are fetched at once.
 */
int mg_oidc_policy(struct mg_oidc *o, const struct sl_snapshot *snap);

/* Judges a token; fn is called exactly once, at once or later. */
void mg_oidc_verify(struct mg_oidc *o, struct sl_span token, mg_oidc_fn fn, void *ctx);

/* Providers without usable keys now, and fetches made so far (for health and tests). */
uint32_t mg_oidc_nb_down(const struct mg_oidc *o);
uint64_t mg_oidc_nb_fetches(const struct mg_oidc *o);

#endif
