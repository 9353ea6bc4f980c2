/*
 * Inspection: a flow's events to verdicts and records. It joins what the others keep apart: the decoder's
 * events, the policy's evaluation and the store's records. One sl_inspect_worker per worker, one sl_inspect
 * per flow; no lock, no allocation after the flow's start.
 *
 * Every judged event writes its record before its verdict is given: when no block is free, the answer is
 * SL_AGAIN and nothing has changed. sl_inspect_barrier() is the number that must be durable before bytes that
 * were judged so far may go to the target; the flow holds them until then. When the store has failed, COMMAND
 * events are denied (SL_RSN_UNAVAILABLE).
 */
#ifndef SL_INSPECT_H
#define SL_INSPECT_H

#include <stdbool.h>
#include <stdint.h>

#include "sl_addr.h"
#include "sl_bus.h"
#include "sl_catalog.h"
#include "sl_decoder.h"
#include "sl_eval.h"
#include "sl_snapshot.h"
#include "sl_store.h"
#include "sl_usage.h"

struct sl_inspect_worker;
struct sl_inspect;

struct sl_inspect_worker_cfg {
	uint32_t worker;
	struct sl_store *store;
	struct sl_usage *usage;   /* shared by all workers; NULL: nobody whom a limit is for can log in */
	uint32_t id_salt;         /* for session and approval ids */
	uint64_t reply_bytes_max; /* of reply data recorded per command; the rest is counted. Default 1 MiB */
	bool record_replies;
};

int sl_inspect_worker_new(const struct sl_inspect_worker_cfg *cfg, struct sl_inspect_worker **out);
void sl_inspect_worker_free(struct sl_inspect_worker *w);
/* Wall time is monotonic now_us + offset; set once per poll loop by the worker. */
void sl_inspect_worker_time(struct sl_inspect_worker *w, uint64_t now_us, uint64_t wall_us);
/*
 * A new policy; takes over one count (NULL: none, everything is denied). The worker holds one count of each
 * snapshot in use, whatever the number of flows. Returns the one that is not used any more, for the caller to
 * give back; NULL when commands of it are still running: sl_inspect_released() gives it later.
 */
struct sl_snapshot *sl_inspect_worker_policy(struct sl_inspect_worker *w, struct sl_snapshot *s);

/* ---- a flow ---- */
size_t sl_inspect_bytes(void);
/* Starts in zeroed memory of sl_inspect_bytes(). Makes the session's id. */
void sl_inspect_open(struct sl_inspect *in, struct sl_inspect_worker *w, const struct sl_endpoint *client,
                     const char *protocol, bool client_tls);
/*
 * The caller is known (AUTH_OK). Binds to the worker's snapshot, writes the SESSION record. 0; SL_AGAIN;
 * SL_E_POLICY_DENIED when the caller has no role on this resource and database; SL_E_NOTFOUND no such
 * resource; SL_E_POLICY_LIMIT too many sessions (sl_inspect_why() names the limit); SL_E_POLICY_LOCKED;
 * SL_E_LIMIT no room to count what the caller uses. *res is good until the SESSION event was
 * taken, or sl_inspect_close().
 */
int sl_inspect_login(struct sl_inspect *in, const struct sl_identity *who, struct sl_span resource,
                     struct sl_span database, struct sl_span target_user, struct sl_span app,
                     const struct sl_resource **res);
/* A login that was refused: writes a REFUSED record. 0, SL_AGAIN. */
int sl_inspect_refused(struct sl_inspect *in, int err, struct sl_span user, struct sl_span resource,
                       struct sl_span text);

/*
 * Judges one event (COMMAND, RESULT, ROWMETA, ROWS, FIELD, REPORT, SESSION, ERROR, NOTE; not AUTH and
 * CANCEL, which are the flow's). Returns like sl_io.event. For a hold (*v PARK with SL_RSN_HELD) *hold is
 * filled as far as inspection knows it (all but flow reference), and the caller sends it; hold may be NULL
 * when no message is free: COMMAND events then get SL_AGAIN.
 *
 * COMMAND with phase PREPARE: a hold verdict is given as ALLOW (the EXECUTE is judged again); deny is DENY.
 * COMMAND without text (phase OTHER) is judged by kinds FUNCTION_CALL and OPAQUE for op "function call N"
 * (which function that is, is not known), else denied unless it is one that moves data of a command already
 * judged
 * ("copy fail", "close"). Its op is recorded, and shown to approvers, in the text's place.
 *
 * Denied whatever the policy says: SET of client_encoding (other than UTF8), and SET that cannot be read.
 * RESET and DISCARD go back to the start-up values: allowed. A command that the decoder calls unread is
 * opaque.
 *
 * SL_E_POLICY_CHANGED: masks hide columns from the caller, and nobody gave the catalog that they need. Each
 * run of a command raises ROWMETA before its rows; the numbers in FIELD come from there.
 */
int sl_inspect_event(struct sl_inspect *in, const struct sl_event *ev, struct sl_verdict *v,
                     struct sl_msg_hold *hold);

/*
 * Masks of columns need to know the target's catalog (sl_catalog.h) under the policy in use. Before each
 * SESSION and COMMAND event the worker asks, and gives one that was made for this resource, this database and
 * this snapshot: 0 none is needed; 1 *out says which, good until the next call; < 0 the flow must end.
 */
struct sl_catalog_wanted {
	const char *resource, *database;
	const struct sl_snapshot *snapshot;
	const struct sl_catalog *has; /* the one in use; NULL: none yet */
	bool doubted; /* a command names a relation that it does not know: SL_AGAIN was the answer to its
	                 COMMAND event. One that is not older than a second will do; what that does not know
	                 either can hold anything */
};
int sl_inspect_wants_catalog(struct sl_inspect *in, struct sl_catalog_wanted *out);
/* Before ROWMETA: the policy that judged the command has gone, so that the rows to come are masked by the
 * newest one, which may want a catalog. */
bool sl_inspect_outlived(const struct sl_inspect *in, uint64_t cmd);
/* Takes a count of its own. */
void sl_inspect_set_catalog(struct sl_inspect *in, struct sl_catalog *c);

/* The hold's end: writes the DECISION record, fills *v for the decoder's resume(). 0, SL_AGAIN. */
int sl_inspect_decision(struct sl_inspect *in, const struct sl_msg_decision *d, struct sl_verdict *v);

/*
 * Bytes that go to the client after the session began: kept as DATA records, up to the limit per command.
 * Call before they are sent. Returns SL_OK or SL_AGAIN (no block: send nothing, try again).
 */
int sl_inspect_reply(struct sl_inspect *in, uint64_t cmd, struct sl_span bytes);

/* For the caller, behind a login refused with SL_E_POLICY_LIMIT. */
const char *sl_inspect_why(const struct sl_inspect *in);

/* A breaker has locked this flow's identity by its last denial. _take fills the message for the management
 * core, once. */
bool sl_inspect_tripped(const struct sl_inspect *in);
void sl_inspect_trip_take(struct sl_inspect *in, struct sl_msg_locked *out);
/* The identity is locked, by whatever flow. */
bool sl_inspect_locked(const struct sl_inspect *in);

/* See above. 0: nothing to wait for. */
uint64_t sl_inspect_barrier(const struct sl_inspect *in);

/* Writes the END record (if a session began). 0, SL_AGAIN. Releases the flow's count on its snapshot. */
int sl_inspect_close(struct sl_inspect *in, int err, struct sl_span why, uint64_t bytes_in,
                     uint64_t bytes_out);
/* Behind close: what is left of it goes. */
void sl_inspect_free(struct sl_inspect *in);
/* A snapshot that nothing on this worker uses any more, to be given back; NULL none. Call after each event
 * and close. */
struct sl_snapshot *sl_inspect_released(struct sl_inspect_worker *w);

struct sl_id sl_inspect_session(const struct sl_inspect *in);
/* The caller; NULL before login. Its `groups` end at groups_n. */
const struct sl_identity *sl_inspect_identity(const struct sl_inspect *in);
/* The identity's expiry, wall time; 0 none. */
uint64_t sl_inspect_expires_us(const struct sl_inspect *in);

#endif
