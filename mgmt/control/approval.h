/*
 * Approvals: commands that wait for a person. One is pending from its HOLD until exactly one of approved,
 * denied, expired or cancelled, and never changes after that. Each state is durable in the store's table
 * "approval" before anybody is told: a worker that runs a held command always has a decision on disk behind
 * it. The management thread.
 */
#ifndef MG_APPROVAL_H
#define MG_APPROVAL_H

#include <event2/event.h>
#include <jansson.h>

#include "sl_bus.h"
#include "sl_store.h"

#define MG_APPROVALS_MAX         1024 /* pending at a time; what comes on top is denied */
#define MG_APPROVALS_OF_IDENTITY 256  /* of them, of one that asks */
#define MG_APPROVAL_NOTE_MAX     256  /* bytes with NUL */
#define MG_APPROVALS_LIST_MAX    1000

struct mg_approvals;

/* Takes the message by value; never fails (it waits when the worker's ring is full). */
typedef void (*mg_send_fn)(void *ctx, uint32_t worker, const struct sl_msg *msg);

/* Marks what a former run left pending as expired: its commands are gone. */
int mg_approvals_new(struct event_base *base, struct sl_store *store, mg_send_fn send, void *ctx,
                     struct mg_approvals **out);
void mg_approvals_free(struct mg_approvals *a);

/* SL_MSG_HOLD. Approved at once when grants cover each of its needs; else it waits, and the worker hears
 * SL_MSG_ASKED. When it cannot be kept (limit, store) the command is denied at once. */
void mg_approvals_hold(struct mg_approvals *a, const struct sl_msg *msg, uint64_t wall_us);
/* SL_MSG_SESSION_END: what was granted for the session ends with it. */
void mg_approvals_session_end(struct mg_approvals *a, const struct sl_id *session);
/*
 * The worker has died: what its sessions wait for is denied, what was granted for them ends. Returns how many
 * approvals were pending. One that cannot be stored is decided all the same: its command will never run.
 */
uint32_t mg_approvals_worker_gone(struct mg_approvals *a, uint32_t worker, uint64_t wall_us);
/* SL_MSG_HOLD_GONE from this worker. */
void mg_approvals_gone(struct mg_approvals *a, const struct sl_id *id, uint64_t wall_us);

/*
 * Decides, or gives one of the approvals that it takes: each rule that holds the command needs its own, and
 * one person's counts for each rule whose approvers that person is one of. Who may approve for one rule may
 * deny for all. The caller has the API role approver. 0 with *out, the approval as it is now (a new
 * reference; "pending" while more approvals are needed); SL_E_NOTFOUND; SL_E_EXISTS decided, cancelled or
 * expired before, or approved by this caller before; SL_E_POLICY_DENIED the caller is the requester or in
 * none of the groups that the rules name; the store's errors (nothing has changed then).
 */
int mg_approvals_decide(struct mg_approvals *a, const struct sl_id *id, bool approve,
                        const struct sl_identity *who, const char *note, uint64_t wall_us, json_t **out);

/* Appends newest first, at most `limit`, older than `before` when not NULL. */
int mg_approvals_list(struct mg_approvals *a, bool pending_only, const struct sl_id *before, uint32_t limit,
                      json_t *array);
/* A new reference in *out, or SL_E_NOTFOUND. */
int mg_approvals_get(struct mg_approvals *a, const struct sl_id *id, json_t **out);
uint32_t mg_approvals_nb_pending(const struct mg_approvals *a);

#endif
