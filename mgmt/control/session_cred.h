/*
 * Session credentials: a user name and a password that a caller gets against its token, short enough for any
 * client. The password is made here, is given out once, and is kept as a SCRAM verifier only (RFC 5802): it
 * serves every protocol whose clients can prove that they know it, or send it. A credential stands for the
 * identity that asked for it, with the groups and claims that its token had then, on the resources that were
 * asked for; it ends with its time or its token's, whichever is first, or when it is revoked. Table
 * "session_credential" of the store, key the id, value a JSON document.
 *
 * The salt of a credential follows from its id and a key of the gateway, so that a client cannot tell by the
 * salt whether an id is there, was there, or never was (RFC 5802, section 9). The management thread.
 */
#ifndef MG_SESSION_CRED_H
#define MG_SESSION_CRED_H

#include <event2/event.h>
#include <jansson.h>

#include "approval.h"
#include "sl_bus.h"
#include "sl_login_name.h"
#include "sl_scram.h"
#include "sl_store.h"

#ifndef MG_SCREDS_MAX       /* a test has few */
#define MG_SCREDS_MAX 10000 /* in all */
#endif
#define MG_SCREDS_OF_IDENTITY  16
#define MG_SCRED_RESOURCES_MAX 16
#define MG_SCRED_TTL_DEFAULT_S 3600
#define MG_SCRED_TTL_MIN_S     60
#define MG_SCRED_TTL_MAX_S     (12 * 3600)
#define MG_SCRED_PASSWORD      32 /* characters of SL_LOGIN_LETTERS: 160 bits */
#define MG_SCREDS_SWEEP_S      30
#define MG_SCREDS_SWEEP_MAX    64 /* expired ones that one sweep takes out of the store */

struct mg_screds;

struct mg_screds_cfg {
	struct event_base *base;
	struct sl_store *store;
	const uint8_t *salt_key; /* SL_SCRAM_KEY bytes; copied */
	uint32_t nb_workers;
	mg_send_fn send; /* a revoked one's sessions are ended */
	void *ctx;
};

/* What is handed out, once; the caller clears it. */
struct mg_scred_issued {
	char id[SL_LOGIN_ID_MAX];
	char password[MG_SCRED_PASSWORD + 1];
	uint64_t expires_us;
};

/* Loads what the store has. SL_E_NOMEM, the store's, SL_E_STORE_CORRUPT when a document cannot be read. */
int mg_screds_new(const struct mg_screds_cfg *cfg, struct mg_screds **out);
void mg_screds_free(struct mg_screds *c);

/*
 * A new one for this identity, durable when it returns. resources: a JSON array of 1 to
 * MG_SCRED_RESOURCES_MAX names; whether there are such resources is not asked (a caller is not to learn
 * that): a login is. 0; SL_E_INVAL (a name, the time, an identity that is over); SL_E_CRED_LIMIT; the
 * store's.
 */
int mg_screds_issue(struct mg_screds *c, const struct sl_identity *who, const json_t *resources,
                    uint64_t ttl_s, uint64_t wall_us, struct mg_scred_issued *out);

/* The first step of a login: the salt, for any id. 0, SL_E_SCRAM_CRYPTO. */
int mg_screds_salt(const struct mg_screds *c, struct sl_span id, uint8_t salt[SL_SCRAM_SALT]);
/*
 * The second: is this the proof of its password over this AuthMessage? 0 with the ServerSignature and the
 * identity (expires_us and credential are the credential's); SL_E_SCRAM_PROOF; SL_E_CRED_UNKNOWN (not there,
 * revoked, expired): takes as long; SL_E_CRED_RESOURCE: it is right and for others.
 */
int mg_screds_check(const struct mg_screds *c, struct sl_span id, struct sl_span auth_message,
                    const uint8_t proof[SL_SCRAM_KEY], const char *resource, uint64_t wall_us,
                    uint8_t signature[SL_SCRAM_KEY], struct sl_identity *who);

/*
 * Ends one, and its sessions on all workers. who NULL: anybody's, else only that identity's. 0;
 * SL_E_NOTFOUND; the store's: then it is of no use any more, but would be there again after a restart.
 */
int mg_screds_revoke(struct mg_screds *c, const char *id, const struct sl_identity *who, uint64_t wall_us);

/* Appends {id, user, subject, issuer, resources, created_us, expires_us}, never a secret. who NULL: all. */
void mg_screds_list(const struct mg_screds *c, const struct sl_identity *who, uint64_t wall_us,
                    json_t *array);
uint32_t mg_screds_nb(const struct mg_screds *c);
/* What the timer does. */
void mg_screds_sweep(struct mg_screds *c, uint64_t wall_us);

#endif
