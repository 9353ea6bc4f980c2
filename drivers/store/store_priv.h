/*
 * Inside the store. Files: store.c (open, close, the thread, the workers' side), commit.c (a batch into a
 * transaction), env.c (LMDB), key.c (the signing key), checkpoint.c (their bytes), table.c (the management
 * side), verify.c.
 */
#ifndef SL_STORE_PRIV_H
#define SL_STORE_PRIV_H

#include <lmdb.h>
#include <openssl/evp.h>
#include <pthread.h>

#include "sl_store.h"
#include "store_ring.h"

#define HASH_BYTES      32
#define KEY_ID_BYTES    8
#define PUBLIC_BYTES    32
#define SIGNATURE_BYTES 64
#define TRUSTED_MAX     16 /* public keys that a verification may know */
#define BATCH_MAX       4096
#define TABLES_MAX      32 /* of the management core */
#define TABLE_NAME_MAX  48

/* ---- bytes on disk (docs/records.md) ---- */

enum core_db {
	DB_META,        /* "format", "last", "key:<id>" */
	DB_RECORDS,     /* session id, number: chain hash, record */
	DB_SESSIONS,    /* session id: struct head */
	DB_LIVE,        /* session id, of sessions without an end */
	DB_CHECKPOINTS, /* number: checkpoint */
	DB_COUNT
};

#define RECORD_KEY_BYTES     24
#define CHECKPOINT_KEY_BYTES 8
#define HEAD_BYTES           76

/* What is known of a session without reading its records. */
struct head {
	bool ended;
	uint8_t first_kind, last_kind;
	uint64_t nb_records, first_us, last_us;
	uint64_t checkpoint;      /* the last one that names the session */
	uint8_t hash[HASH_BYTES]; /* of the last record */
};

void head_encode(const struct head *h, uint8_t out[HEAD_BYTES]);
int head_decode(MDB_val v, struct head *out);
/* One record more, but for its hash. */
void head_add(struct head *h, uint8_t kind, uint64_t t_us);
void record_key(const struct sl_id *id, uint64_t number, uint8_t out[RECORD_KEY_BYTES]);

static inline bool record_ends_session(uint8_t kind)
{
	return kind == SL_REC_END || kind == SL_REC_REFUSED || kind == SL_REC_GAP;
}

static inline uint64_t get_be64(const uint8_t *p)
{
	return (uint64_t)sl_get_be32(p) << 32 | sl_get_be32(p + 4);
}

static inline void put_be64(uint8_t *p, uint64_t v)
{
	sl_put_be32(p, (uint32_t)(v >> 32));
	sl_put_be32(p + 4, (uint32_t)v);
}

static inline MDB_val val(const void *p, size_t n)
{
	return (MDB_val){n, (void *)(uintptr_t)p};
}

/* ---- hashes and keys (key.c) ---- */

/* SHA-256(a || b). 0, SL_E_SYS. */
int store_hash(struct sl_span a, struct sl_span b, uint8_t out[HASH_BYTES]);
/* The hash before a session's first record. */
int store_hash_start(const struct sl_id *id, uint8_t out[HASH_BYTES]);

struct public_key {
	uint8_t id[KEY_ID_BYTES]; /* the first bytes of the SHA-256 of the raw key */
	uint8_t raw[PUBLIC_BYTES];
	EVP_PKEY *pkey;
};

struct key_ring {
	struct public_key key[TRUSTED_MAX];
	uint32_t nb;
};

/* Reads the private key and all public keys of a PEM file; makes it when missing (and `file`.pub). private
 * may be NULL: none wanted. */
int keys_load(const char *file, EVP_PKEY **private, struct key_ring *ring, char *err, size_t err_cap);
/* SHA-256(label || raw private key): a secret of the store for another use. 0, SL_E_SYS. */
int key_secret(const EVP_PKEY *private, struct sl_span label, uint8_t out[HASH_BYTES]);
int keys_add_raw(struct key_ring *ring, const uint8_t raw[PUBLIC_BYTES]);
const struct public_key *keys_find(const struct key_ring *ring, const uint8_t id[KEY_ID_BYTES]);
void keys_clear(struct key_ring *ring);

/* ---- checkpoints (checkpoint.c) ---- */

struct checkpoint_entry {
	struct sl_id id;
	uint64_t last; /* number of the session's last record */
	const uint8_t *hash;
};

struct checkpoint {
	uint64_t number, wall_us;
	const uint8_t *prev, *key_id;
	uint32_t nb;
	struct sl_span entries, body, signature;
};

#define CHECKPOINT_HEAD_BYTES  64
#define CHECKPOINT_ENTRY_BYTES 56
#define CHECKPOINT_BYTES(nb)   (CHECKPOINT_HEAD_BYTES + (size_t)(nb)*CHECKPOINT_ENTRY_BYTES + SIGNATURE_BYTES)

/* Where the chain of checkpoints stands. */
struct checkpoint_tip {
	uint64_t number; /* 0: none yet */
	uint8_t hash[HASH_BYTES];
};

int checkpoint_start(struct checkpoint_tip *tip);
void checkpoint_begin(uint8_t *out, const struct checkpoint_tip *tip, uint64_t wall_us,
                      const uint8_t key_id[KEY_ID_BYTES], uint32_t nb);
void checkpoint_entry_put(uint8_t *out, uint32_t at, const struct sl_id *id, uint64_t last,
                          const uint8_t hash[HASH_BYTES]);
/* Signs, moves the tip. 0, SL_E_SYS. */
int checkpoint_end(uint8_t *out, uint32_t nb, EVP_PKEY *key, struct checkpoint_tip *tip);
/* Takes a checkpoint apart; false when it is not one, whole. */
bool checkpoint_parse(MDB_val v, struct checkpoint *out);
struct checkpoint_entry checkpoint_entry_get(const struct checkpoint *c, uint32_t at);
/* The entry of a session; false when it has none. */
bool checkpoint_find(const struct checkpoint *c, const struct sl_id *id, struct checkpoint_entry *out);
bool checkpoint_signed(const struct checkpoint *c, const struct public_key *key);

/* ---- the store ---- */

struct store_worker {
	struct store_ring full;              /* worker to store thread */
	struct store_ring empty;             /* and back */
	alignas(CACHE_LINE) uint64_t number; /* the worker's own from here */
	bool put_since_kick;
	alignas(CACHE_LINE) _Atomic uint64_t durable; /* the store thread's */
	struct sl_block *blocks;
};

/* A session touched by the batch at hand. */
struct touched {
	struct sl_id id;
	struct head head;
	bool dirty;
};

struct batch {
	struct sl_block **block;
	uint32_t nb, max;
	struct touched *touched;
	uint32_t nb_touched, nb_dirty;
	uint32_t *index; /* open addressing by session id; 0 free, else 1 + place in touched */
	uint32_t index_mask;
	uint8_t *checkpoint; /* room for one with max entries */
};

struct table {
	char name[TABLE_NAME_MAX];
	MDB_dbi dbi;
};

struct sl_store {
	char path[4096];
	bool readonly;
	uint64_t map_bytes;
	int lock_fd;

	/*
	 * LMDB. The lock is held for reading around every use by other threads and for writing by the store
	 * thread while it opens the environment anew; env is NULL when that did not work.
	 */
	pthread_rwlock_t env_lock;
	MDB_env *env;
	MDB_dbi db[DB_COUNT];
	pthread_mutex_t table_lock; /* one dbi_open at a time (LMDB's rule) */
	struct table table[TABLES_MAX];
	uint32_t nb_tables;

	EVP_PKEY *key;
	uint8_t key_id[KEY_ID_BYTES];
	uint8_t text_key[HASH_BYTES];
	struct key_ring trusted;
	bool trust_meta; /* nobody gave a key: believe those in the store */

	/* The store thread's. */
	struct checkpoint_tip tip;
	struct batch batch;
	uint32_t next_worker;
	uint64_t logged_us, reader_check_us;
	pthread_t thread;
	bool running;
	_Atomic uint32_t verify_barred; /* verifications end; how many want that */

	uint32_t nb_workers, blocks_per_worker;
	struct store_worker *worker;
	alignas(CACHE_LINE) _Atomic uint32_t sleeping;
	alignas(CACHE_LINE) _Atomic uint32_t stop;
	_Atomic bool failed;
	_Atomic uint64_t gone; /* workers that have died, a set bit each */
	uint64_t gone_ended;   /* whose sessions have their ends: the store thread's */
};

/* A block of a worker that has died: what is not whole of it is passed over. */
static inline bool store_worker_gone(const struct sl_store *s, uint32_t worker)
{
	return worker < SL_STORE_WORKERS_MAX &&
	       (atomic_load_explicit(&s->gone, memory_order_relaxed) >> worker & 1) != 0;
}

/* env.c: SL_E_STORE_OPEN with *rc of LMDB. */
int env_open(struct sl_store *s, int *rc);
void env_close(struct sl_store *s);
/* Reads the tip of the checkpoints. */
int env_read_tip(struct sl_store *s, struct checkpoint_tip *tip);

/* commit.c */
int batch_init(struct batch *b, uint32_t max);
void batch_free(struct batch *b);
/* Writes and commits the batch. 0, or LMDB's or errno's code. Idempotent: blocks that are stored already are
 * passed over. */
int batch_commit(struct sl_store *s, const char **what);

/* verify.c: at open, the last checkpoint and what it names, and the ends of sessions that are to get a gap.
 */
int verify_at_open(struct sl_store *s, char *err, size_t err_cap);

/* store.c: marks sessions without an end; at open. */
uint64_t store_wall_us(void);

#endif
