/*
 * The store: an LMDB environment on disk and the thread that writes records into it. It keeps sessions with
 * their records, approvals, policy versions, sealed credentials and signed checkpoints.
 *
 * Durability. A worker hands over blocks in order, each with the worker's own running number. The store
 * thread takes whatever waits from all workers, writes it in one transaction, commits it with fsync, and then
 * publishes for each worker the number up to which all is durable. Nothing is acknowledged before that. When
 * a write fails (disk full, I/O error) the store enters the failed state: nothing more is acknowledged until
 * a later attempt of the same blocks succeeds; no block is dropped. Workers see sl_store_failed() and refuse
 * new commands.
 *
 * Integrity. Each record of a session is chained: hash = SHA-256(previous hash || record bytes), the first
 * previous being SHA-256("sluice session" || session id). Each commit adds a checkpoint: number, the previous
 * checkpoint's hash, wall time, and for each session touched its id, last record number and last hash; signed
 * with Ed25519. A missing, changed or reordered record, session or checkpoint shows in sl_store_verify(),
 * which names it.
 */
#ifndef SL_STORE_H
#define SL_STORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sl_err.h"
#include "sl_id.h"
#include "sl_record.h"

#define SL_STORE_WORKERS_MAX 64

struct sl_store;

/* A block: one record, on its way from a worker to the disk. */
struct sl_block {
	uint64_t number; /* the worker's running number, from 1, without a gap */
	struct sl_id session;
	uint64_t record; /* the record's number in the session */
	uint8_t kind;    /* enum sl_record_kind */
	uint8_t worker;
	uint16_t n; /* bytes in data */
	uint8_t data[SL_RECORD_MAX];
};

struct sl_store_cfg {
	const char *path; /* a directory; made with mode 0700 when missing */
	/*
	 * PEM file of the Ed25519 key of checkpoints; made with mode 0600 when missing (the public half then
	 * goes to <sign_key>.pub). Public keys behind the private one are of retired keys whose checkpoints
	 * still count.
	 */
	const char *sign_key;
	uint64_t map_bytes; /* size bound of the store */
	uint32_t nb_workers;
	uint32_t blocks_per_worker; /* power of two: bound of blocks on the way, default 1024 */
	uint32_t batch_max;         /* blocks a commit at most */
};

/* Opens for the gateway (one writer process at a time, by a lock file) and starts the thread.
 * SL_E_STORE_OPEN. */
int sl_store_open(const struct sl_store_cfg *cfg, struct sl_store **out, char *err, size_t err_cap);
/* Commits what waits, stops the thread, closes. */
void sl_store_close(struct sl_store *s);

/* ---- worker side: one thread per worker number, no lock, no allocation, no system call unless the store
 * sleeps ---- */

/* A free block, or NULL when all are on the way: the caller waits (SL_AGAIN), it drops nothing. */
struct sl_block *sl_store_block_get(struct sl_store *s, uint32_t worker);
/* How many are free now. */
uint32_t sl_store_blocks_free(struct sl_store *s, uint32_t worker);
/* Hands it over; never fails. The store sets number and returns it. */
uint64_t sl_store_block_put(struct sl_store *s, uint32_t worker, struct sl_block *b);
/* Wakes the store thread if it sleeps and blocks were put since; once per poll loop. */
void sl_store_kick(struct sl_store *s, uint32_t worker);
/* All blocks of this worker up to this number are durable. Acquire load. */
uint64_t sl_store_durable(const struct sl_store *s, uint32_t worker);
/*
 * The worker has died (sl_fault.h): its thread runs no more. What it had handed over is written as far as it
 * is whole; then each session of it (by the maker in the session's id) that has no end gets its GAP record.
 * Any thread; the store's thread does it, soon.
 */
void sl_store_worker_gone(struct sl_store *s, uint32_t worker);
/* 32 bytes that only who has the signing key can know, for hashes over text that is not recorded whole. Any
 * thread; lives as long as the store. */
const uint8_t *sl_store_text_key(const struct sl_store *s);
/* True while writes fail. Any thread. */
bool sl_store_failed(const struct sl_store *s);

/* ---- management side: any thread; may block for a commit ---- */

/*
 * Small named tables for the management core ("policy", "credential", "approval", ...): durable when put
 * returns. Keys up to 511 bytes. get copies into a malloc'd buffer that the caller frees (clear it when it
 * was a secret).
 */
int sl_store_put(struct sl_store *s, const char *table, struct sl_span key, struct sl_span value);
int sl_store_get(struct sl_store *s, const char *table, struct sl_span key, uint8_t **value, size_t *n);
int sl_store_del(struct sl_store *s, const char *table, struct sl_span key);
typedef int (*sl_store_fn)(void *ctx, struct sl_span key, struct sl_span value); /* non-zero stops */
int sl_store_each(struct sl_store *s, const char *table, bool newest_first, sl_store_fn fn, void *ctx);

/* Sessions, newest first when asked; starts behind `after` (or at the end when NULL). */
struct sl_session_head {
	struct sl_id id;
	uint64_t nb_records;
	uint64_t first_us, last_us;
	bool ended;
	uint8_t first_kind, last_kind; /* enum sl_record_kind of the first and the last record */
};
typedef int (*sl_session_fn)(void *ctx, const struct sl_session_head *head, struct sl_span first_record);
int sl_store_sessions(struct sl_store *s, const struct sl_id *after, bool newest_first, sl_session_fn fn,
                      void *ctx);
typedef int (*sl_record_fn)(void *ctx, uint64_t number, struct sl_span rec);
/* A session's records from a number on, in order. SL_E_NOTFOUND when there is no such session. */
int sl_store_records(struct sl_store *s, const struct sl_id *session, uint64_t from, sl_record_fn fn,
                     void *ctx);

struct sl_verify_result {
	uint64_t nb_sessions, nb_records, nb_checkpoints;
	char problem[256]; /* names the first bad session, record or checkpoint; "" when all is well */
	/* The last checkpoint, 0 none: to be noted elsewhere, since only that shows a store put back to an
	 * older state. */
	uint64_t last_checkpoint;
	uint8_t last_checkpoint_hash[32];
	bool keys_from_store; /* nobody gave a key: the signatures were checked with the keys that the store
	                         names itself */
};
/*
 * Reads everything (one session when id is not NULL) and recomputes it. 0 all is well, SL_E_STORE_CORRUPT
 * with problem. Works on a running store (one read transaction). SL_E_STORE_WRITE: it was barred, or the
 * store had to be opened anew.
 */
int sl_store_verify(struct sl_store *s, const struct sl_id *session, struct sl_verify_result *out);
/* Verifications that run end at their next record, and so do new ones, until each bar was lifted. Any thread.
 */
void sl_store_verify_bar(struct sl_store *s);
void sl_store_verify_unbar(struct sl_store *s);

/* The hash of a checkpoint, to compare with one that was noted elsewhere. 0, SL_E_NOTFOUND. */
int sl_store_checkpoint_hash(struct sl_store *s, uint64_t number, uint8_t hash[32]);

/* Opens read-only for tools on a stopped or running store (sluice store verify PATH). */
int sl_store_open_readonly(const char *path, struct sl_store **out, char *err, size_t err_cap);
/* Only the keys of these PEM files (private or public, several to a file) count in sl_store_verify(). 0,
 * SL_E_STORE_OPEN. */
int sl_store_trust(struct sl_store *s, const char *pem_file, char *err, size_t err_cap);

#endif
