/*
 * Locks of identities. A breaker locks on the worker, at once for all workers, in the table of usage; here
 * the lock is written to the store, so that it outlives the gateway, the identity's other sessions are ended,
 * and an operator can see and release it. The management thread.
 */
#ifndef MG_LOCK_H
#define MG_LOCK_H

#include <jansson.h>

#include "approval.h"
#include "sl_bus.h"
#include "sl_store.h"
#include "sl_usage.h"

#ifndef MG_LOCKS_MAX       /* a test has few */
#define MG_LOCKS_MAX 16384 /* kept over a restart; what comes on top holds until then */
#endif
#define MG_LOCK_ID 33 /* bytes of a lock's id with NUL: hex digits of the identity's key */

struct mg_locks;

/* Reads the locks of the store and sets them. usage may be NULL: then nothing is ever locked. */
int mg_locks_new(struct sl_store *store, struct sl_usage *usage, uint32_t nb_workers, mg_send_fn send,
                 void *ctx, struct mg_locks **out);
void mg_locks_free(struct mg_locks *l);

/* SL_MSG_LOCKED. A lock that cannot be written holds until the gateway stops; the log says so. */
void mg_locks_add(struct mg_locks *l, const struct sl_msg_locked *m);
/* Is a caller with this identity to be refused? */
bool mg_locks_has(const struct mg_locks *l, const char *issuer, const char *subject);
uint32_t mg_locks_nb(const struct mg_locks *l);
/* Appends all of them. */
void mg_locks_list(const struct mg_locks *l, json_t *array);
/*
 * 0 with *out what was released (a new reference); SL_E_NOTFOUND; SL_E_POLICY_DENIED: `who` is the one that
 * is locked; the store's errors, and nothing has changed then.
 */
int mg_locks_release(struct mg_locks *l, const char *id, const struct sl_identity *who, json_t **out);

#endif
