#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "sl_counter.h"
#include "sl_fault.h"
#include "sl_log.h"
#include "store_priv.h"

#define MODULE "store"

#define MAP_BYTES_DEFAULT (UINT64_C(4) << 30)
#define MAP_BYTES_MIN     (UINT64_C(1) << 20)
#define BLOCKS_DEFAULT    1024u
#define BLOCKS_MAX        65536u
#define BATCH_DEFAULT     512u
#define GAP_BATCH         64u /* sessions marked in one commit at open */

#define RETRY_US        UINT64_C(1000000)
#define LINGER_US       5000
#define LOG_EVERY_US    UINT64_C(10000000)
#define READER_CHECK_US UINT64_C(30000000)

static uint64_t clock_us(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t store_wall_us(void)
{
	return clock_us(CLOCK_REALTIME);
}

/* ---- sleeping and waking ---- */

/*
 * The store thread sleeps on the futex `sleeping`, the workers wake it. No wake-up is lost, and a worker that
 * put nothing pays nothing:
 *
 *   store thread                             worker, in sl_store_kick() after a put
 *   S1 sleeping = 1        (seq_cst)         W1 tail = tail again  (seq_cst)
 *   S2 load every tail     (seq_cst)         W2 load sleeping      (seq_cst)
 *   S3 wait while sleeping == 1              W3 if 1: exchange 0, futex wake
 *
 * All four are in the one total order of seq_cst operations. If W2 reads 0 from before S1, then W2, and W1
 * with it, comes before S1 in that order, so S2 reads W1's tail or a later one: the thread finds the block
 * and does not sleep. Else W2 reads 1 and wakes; if that falls between S2 and S3, the futex word has changed
 * and S3 returns at once. A release store in W1 would not do: it may still sit in the store buffer when W2
 * reads. The put itself stays a release store, so that a thread that is awake sees the block early; W1 is
 * paid once per poll loop, and only by a worker that put a block.
 */
static void futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t us)
{
	struct timespec ts = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};

	(void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, &ts, NULL, 0);
}

static void wake(struct sl_store *s)
{
	if (atomic_exchange(&s->sleeping, 0) == 1)
		(void)syscall(SYS_futex, &s->sleeping, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static bool anything_waits(struct sl_store *s)
{
	for (uint32_t i = 0; i < s->nb_workers; i++) {
		struct store_ring *r = &s->worker[i].full;

		if (atomic_load(&r->tail) != atomic_load_explicit(&r->head, memory_order_relaxed))
			return true;
	}
	return false;
}

/* Workers that have died and whose sessions have no end yet. */
static uint64_t gone_to_end(const struct sl_store *s)
{
	return atomic_load(&s->gone) & ~s->gone_ended;
}

/* Until a worker kicks, somebody stops the store, or the time is over. */
static void sleep_for_blocks(struct sl_store *s, uint64_t us)
{
	atomic_store(&s->sleeping, 1);
	if (atomic_load(&s->stop) == 0 && !anything_waits(s) && gone_to_end(s) == 0)
		futex_wait(&s->sleeping, 1, us);
	atomic_store(&s->sleeping, 0);
}

/* Between two attempts of a batch that could not be written: more blocks would not help it. */
static void sleep_for_retry(struct sl_store *s)
{
	futex_wait(&s->stop, 0, RETRY_US);
}

static void stop_thread(struct sl_store *s)
{
	atomic_store(&s->stop, 1);
	(void)syscall(SYS_futex, &s->stop, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	wake(s);
	pthread_join(s->thread, NULL);
}

/* ---- the store thread ---- */

/*
 * The next block of a worker's ring. What a worker that has died left there may be damaged: a place that
 * names none of its blocks is passed over, and a count that cannot be is none.
 */
static struct sl_block *next_block(struct sl_store *s, uint32_t worker)
{
	struct store_worker *w = &s->worker[worker];
	struct sl_block *blk;

	if (!store_worker_gone(s, worker))
		return store_ring_pop(&w->full);
	if (store_ring_count(&w->full) > s->blocks_per_worker)
		return NULL;
	while ((blk = store_ring_pop(&w->full)) != NULL) {
		uintptr_t at = (uintptr_t)blk - (uintptr_t)w->blocks;

		if (at % sizeof(*blk) == 0 && at / sizeof(*blk) < s->blocks_per_worker) {
			blk->worker = (uint8_t)worker;
			return blk;
		}
		(void)sl_fail(SL_E_STORE_LOST);
	}
	return NULL;
}

/* Adds what waits from all workers to the batch, each in its order; another worker is first each time. */
static void gather(struct sl_store *s)
{
	struct batch *b = &s->batch;

	for (uint32_t i = 0; i < s->nb_workers && b->nb < b->max; i++) {
		uint32_t at = s->next_worker + i;
		struct sl_block *blk;

		at = at < s->nb_workers ? at : at - s->nb_workers;
		while (b->nb < b->max && (blk = next_block(s, at)) != NULL)
			b->block[b->nb++] = blk;
	}
	s->next_worker = s->next_worker + 1 < s->nb_workers ? s->next_worker + 1 : 0;
}

/* Somebody waits for this record to be durable: a command behind the barrier, a login. */
static bool awaited(const struct sl_block *b)
{
	return b->kind == SL_REC_SESSION || b->kind == SL_REC_COMMAND || b->kind == SL_REC_MORE ||
	       b->kind == SL_REC_DECISION;
}

/*
 * Records of replies are awaited by nobody. Committing them alone would make the next command, which is often
 * a moment behind, wait for a whole commit of theirs before its own: they linger for it, while there is room
 * and for a bounded time.
 */
static void linger(struct sl_store *s)
{
	uint64_t end = clock_us(CLOCK_MONOTONIC) + LINGER_US, now;
	uint32_t seen = 0;

	for (;;) {
		for (; seen < s->batch.nb; seen++)
			if (awaited(s->batch.block[seen]))
				return;
		now = clock_us(CLOCK_MONOTONIC);
		if (now >= end || s->batch.nb >= s->blocks_per_worker / 4 || atomic_load(&s->stop) != 0)
			return;
		sleep_for_blocks(s, end - now);
		gather(s);
	}
}

/* The batch is on disk: says so and gives the blocks back. */
static void release(struct sl_store *s)
{
	struct batch *b = &s->batch;
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < b->nb; i++) {
		struct sl_block *blk = b->block[i];
		struct store_worker *w = &s->worker[blk->worker];

		bytes += blk->n;
		atomic_store_explicit(&w->durable, blk->number, memory_order_release);
		store_ring_push(&w->empty, blk);
	}
	sl_count_n(SL_C_RECORDS, b->nb);
	sl_count_n(SL_C_RECORD_BYTES, bytes);
	sl_count(SL_C_COMMITS);
	b->nb = 0;
}

static const char *code_text(int rc)
{
	return rc == MDB_MAP_FULL ? "the store has reached its size bound (map_bytes)" : mdb_strerror(rc);
}

static void log_failure(struct sl_store *s, int rc, const char *what)
{
	uint64_t now = clock_us(CLOCK_MONOTONIC);
	char id[SL_ID_STR_MAX];

	(void)sl_fail(SL_E_STORE_WRITE);
	if (s->logged_us != 0 && now - s->logged_us < LOG_EVERY_US)
		return;
	s->logged_us = now;
	if (what[0] != '\0')
		sl_log(SL_LOG_ERROR, MODULE, "nothing can be recorded: %s (batch of %u, first session %s)",
		       what, s->batch.nb, sl_id_str(&s->batch.block[0]->session, id));
	else
		sl_log(SL_LOG_ERROR, MODULE,
		       "nothing can be recorded: %s; new commands are refused, %u records wait",
		       code_text(rc), s->batch.nb);
}

/*
 * After an I/O error the environment is opened anew: LMDB refuses to go on with one whose meta page may not
 * have reached the disk, and the new one tells which of the two it was. The tip follows it; blocks that did
 * reach the disk are recognised when they come again.
 */
static void reopen(struct sl_store *s)
{
	int rc = 0;

	sl_store_verify_bar(s); /* one that reads everything would keep the store from writing until then */
	pthread_rwlock_wrlock(&s->env_lock);
	env_close(s);
	if (env_open(s, &rc) == SL_OK && env_read_tip(s, &s->tip) != SL_OK)
		env_close(s);
	pthread_rwlock_unlock(&s->env_lock);
	sl_store_verify_unbar(s);
}

/* Commits the batch, however long it takes; false when the store is stopped before it could. */
static bool commit_until_done(struct sl_store *s)
{
	const char *what;
	int rc;

	while ((rc = batch_commit(s, &what)) != 0) {
		sl_fault_helper_beat(SL_FAULT_STORE);
		atomic_store_explicit(&s->failed, true, memory_order_release);
		log_failure(s, rc, what);
		if (atomic_load(&s->stop) != 0)
			return false;
		sleep_for_retry(s);
		if (rc != MDB_MAP_FULL && what[0] == '\0')
			reopen(s);
	}
	if (atomic_load_explicit(&s->failed, memory_order_relaxed)) {
		sl_log(SL_LOG_WARN, MODULE, "records are written again");
		s->logged_us = 0;
		atomic_store_explicit(&s->failed, false, memory_order_release);
	}
	return true;
}

/* ---- sessions without an end: of the last run, of a worker that has died ---- */

#define ANY_MAKER (-1)

/* Up to GAP_BATCH of them. */
static int find_live(struct sl_store *s, int maker, struct sl_block *blocks, uint32_t *nb)
{
	MDB_cursor *cur = NULL;
	struct head h;
	MDB_txn *txn;
	MDB_val k, v;
	int rc;

	*nb = 0;
	if (s->env == NULL)
		return EIO;
	rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);
	if (rc != 0)
		return rc;
	rc = mdb_cursor_open(txn, s->db[DB_LIVE], &cur);
	while (rc == 0 && *nb < GAP_BATCH && (rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT)) == 0) {
		struct sl_block *b = &blocks[*nb];

		if (k.mv_size != sizeof(b->session.b)) {
			rc = MDB_CORRUPTED;
			break;
		}
		memcpy(b->session.b, k.mv_data, sizeof(b->session.b));
		if (maker != ANY_MAKER && sl_id_maker_of(&b->session) != maker)
			continue;
		rc = mdb_get(txn, s->db[DB_SESSIONS], &k, &v);
		if (rc != 0 || head_decode(v, &h) != SL_OK) {
			rc = MDB_CORRUPTED;
			break;
		}
		b->record = h.nb_records;
		(*nb)++;
	}
	if (cur != NULL)
		mdb_cursor_close(cur);
	mdb_txn_abort(txn);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int fill_gap(struct sl_block *b, const char *reason)
{
	struct sl_record_writer w;
	int n;

	sl_record_begin(&w, b->data, sizeof(b->data), SL_REC_GAP, store_wall_us(), b->record, 1);
	sl_record_str(&w, "rs", sl_span_str(reason));
	n = sl_record_end(&w);
	if (n < 0)
		return n;
	b->kind = SL_REC_GAP;
	b->worker = UINT8_MAX; /* the store's own: no worker that can die has made it */
	b->n = (uint16_t)n;
	return SL_OK;
}

/* Chained, in checkpoints of their own: a gap in the records is itself a record. 0, or a code. */
static int mark_gaps(struct sl_store *s, int maker, const char *reason, uint32_t *total, const char **what)
{
	struct sl_block *blocks = calloc(GAP_BATCH, sizeof(*blocks));
	uint32_t nb, room = s->batch.max < GAP_BATCH ? s->batch.max : GAP_BATCH;
	int rc = blocks == NULL ? ENOMEM : 0;

	*what = "";
	*total = 0;
	while (rc == 0) {
		rc = find_live(s, maker, blocks, &nb);
		if (rc != 0 || nb == 0)
			break;
		s->batch.nb = 0;
		for (uint32_t i = 0; rc == 0 && i < nb && i < room; i++) {
			rc = fill_gap(&blocks[i], reason);
			s->batch.block[s->batch.nb++] = &blocks[i];
		}
		if (rc == 0)
			rc = batch_commit(s, what);
		if (rc == 0)
			*total += s->batch.nb;
	}
	s->batch.nb = 0;
	free(blocks);
	return rc;
}

/* Before any new session. */
static int mark_last_run(struct sl_store *s, char *err, size_t err_cap)
{
	const char *what;
	uint32_t total;
	int rc = mark_gaps(s, ANY_MAKER, "the gateway ended without ending the session", &total, &what);

	if (rc != 0) {
		snprintf(err, err_cap, "%s: sessions without an end cannot be marked: %s%s", s->path,
		         code_text(rc), what);
		return SL_E_STORE_OPEN;
	}
	if (total > 0)
		sl_log(SL_LOG_WARN, MODULE, "%u sessions had no end: the gateway died; marked", total);
	return SL_OK;
}

static bool is_taken(const struct store_ring *r, uint32_t most)
{
	uint32_t n = store_ring_count(r);

	return n == 0 || n > most;
}

/* Behind all that its worker had handed over. False: it could not be written now. */
static bool end_sessions_of(struct sl_store *s, uint32_t worker)
{
	const char *what;
	uint32_t total;
	int rc = mark_gaps(s, (int)worker, "the worker of the session died", &total, &what);

	if (rc != 0) {
		(void)sl_fail(SL_E_STORE_WRITE);
		sl_log(SL_LOG_ERROR, MODULE, "sessions of worker %u cannot be marked: %s%s", worker,
		       code_text(rc), what);
		sleep_for_retry(s);
		if (rc != MDB_MAP_FULL)
			reopen(s);
		return false;
	}
	s->gone_ended |= UINT64_C(1) << worker;
	sl_log(SL_LOG_WARN, MODULE, "%u sessions of worker %u had no end; marked", total, worker);
	return true;
}

static void end_gone(struct sl_store *s)
{
	uint64_t gone = gone_to_end(s);

	for (uint32_t i = 0; i < s->nb_workers; i++) {
		if ((gone >> i & 1) != 0 && is_taken(&s->worker[i].full, s->blocks_per_worker) &&
		    !end_sessions_of(s, i))
			return;
	}
}

static void check_readers(struct sl_store *s)
{
	uint64_t now = clock_us(CLOCK_MONOTONIC);
	int dead = 0;

	if (now - s->reader_check_us < READER_CHECK_US || s->env == NULL)
		return;
	s->reader_check_us = now;
	if (mdb_reader_check(s->env, &dead) == 0 && dead > 0)
		sl_log(SL_LOG_INFO, MODULE, "%d readers had died", dead);
}

static void *store_main(void *arg)
{
	struct sl_store *s = arg;

	sl_counters_register("store");
	for (;;) {
		bool stop = atomic_load(&s->stop) != 0;

		sl_fault_helper_beat(SL_FAULT_STORE);
		gather(s);
		if (s->batch.nb > 0) {
			linger(s);
			if (!commit_until_done(s))
				break;
			release(s);
		} else if (stop) {
			/* Workers had stopped before gather() looked: nothing is left. */
			break;
		} else if (gone_to_end(s) == 0) {
			sleep_for_blocks(s, RETRY_US);
		}
		end_gone(s);
		check_readers(s);
	}
	if (s->batch.nb > 0)
		sl_log(SL_LOG_ERROR, MODULE,
		       "stopped with records that could not be written (none was acknowledged)");
	return NULL;
}

/* ---- open and close ---- */

static int ring_init(struct store_ring *r, uint32_t nb)
{
	r->slot = calloc(nb, sizeof(struct sl_block *));
	r->mask = nb - 1;
	return r->slot == NULL ? SL_E_NOMEM : SL_OK;
}

static int workers_init(struct sl_store *s)
{
	size_t bytes = s->nb_workers * sizeof(*s->worker);

	s->worker = aligned_alloc(CACHE_LINE, bytes);
	if (s->worker == NULL)
		return SL_E_NOMEM;
	memset(s->worker, 0, bytes);
	for (uint32_t i = 0; i < s->nb_workers; i++) {
		struct store_worker *w = &s->worker[i];

		w->blocks = calloc(s->blocks_per_worker, sizeof(*w->blocks));
		if (w->blocks == NULL || ring_init(&w->full, s->blocks_per_worker) != SL_OK ||
		    ring_init(&w->empty, s->blocks_per_worker) != SL_OK)
			return SL_E_NOMEM;
		for (uint32_t j = 0; j < s->blocks_per_worker; j++)
			store_ring_push(&w->empty, &w->blocks[j]);
	}
	return SL_OK;
}

static void workers_free(struct sl_store *s)
{
	for (uint32_t i = 0; s->worker != NULL && i < s->nb_workers; i++) {
		free(s->worker[i].blocks);
		free(s->worker[i].full.slot);
		free(s->worker[i].empty.slot);
	}
	free(s->worker);
}

static struct sl_store *store_alloc(const char *path, char *err, size_t err_cap)
{
	struct sl_store *s = aligned_alloc(CACHE_LINE, sizeof(*s));

	if (s == NULL || strlen(path) >= sizeof(s->path)) {
		snprintf(err, err_cap, "%s", s == NULL ? "out of memory" : "the path is too long");
		free(s);
		return NULL;
	}
	memset(s, 0, sizeof(*s));
	memcpy(s->path, path, strlen(path) + 1);
	s->lock_fd = -1;
	pthread_rwlock_init(&s->env_lock, NULL);
	pthread_mutex_init(&s->table_lock, NULL);
	return s;
}

static int take_lock(struct sl_store *s, char *err, size_t err_cap)
{
	char name[sizeof(s->path) + 16];

	if (mkdir(s->path, 0700) != 0 && errno != EEXIST) {
		snprintf(err, err_cap, "%s: cannot be made: %s", s->path, strerror(errno));
		return SL_E_STORE_OPEN;
	}
	snprintf(name, sizeof(name), "%s/gateway.lock", s->path);
	s->lock_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock_fd < 0) {
		snprintf(err, err_cap, "%s: cannot be opened: %s", name, strerror(errno));
		return SL_E_STORE_OPEN;
	}
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0) {
		snprintf(err, err_cap, "%s: another gateway has this store open", s->path);
		return SL_E_STORE_OPEN;
	}
	return SL_OK;
}

static int check_cfg(const struct sl_store_cfg *cfg, struct sl_store *s, char *err, size_t err_cap)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint32_t blocks = cfg->blocks_per_worker == 0 ? BLOCKS_DEFAULT : cfg->blocks_per_worker;
	uint64_t map = cfg->map_bytes == 0 ? MAP_BYTES_DEFAULT : cfg->map_bytes;

	if (cfg->sign_key == NULL || cfg->nb_workers == 0 || cfg->nb_workers > SL_STORE_WORKERS_MAX ||
	    blocks > BLOCKS_MAX || (blocks & (blocks - 1)) != 0 || map < MAP_BYTES_MIN ||
	    cfg->batch_max > BATCH_MAX) {
		snprintf(err, err_cap, "the store's settings are out of bounds");
		return SL_E_INVAL;
	}
	s->nb_workers = cfg->nb_workers;
	s->blocks_per_worker = blocks;
	s->map_bytes = map / page * page;
	return SL_OK;
}

static int open_parts(struct sl_store *s, const struct sl_store_cfg *cfg, char *err, size_t err_cap)
{
	int rc, code = 0;

	rc = check_cfg(cfg, s, err, err_cap);
	if (rc == SL_OK)
		rc = take_lock(s, err, err_cap);
	if (rc == SL_OK)
		rc = keys_load(cfg->sign_key, &s->key, &s->trusted, err, err_cap);
	if (rc != SL_OK)
		return rc;
	if (key_secret(s->key, SL_SPAN_LIT("sluice text"), s->text_key) != SL_OK) {
		snprintf(err, err_cap, "%s: cannot be used", cfg->sign_key);
		return SL_E_SYS;
	}
	memcpy(s->key_id, s->trusted.key[0].id, KEY_ID_BYTES); /* keys_load() puts the private key's first */
	if (workers_init(s) != SL_OK ||
	    batch_init(&s->batch, cfg->batch_max == 0 ? BATCH_DEFAULT : cfg->batch_max) != SL_OK) {
		snprintf(err, err_cap, "out of memory");
		return SL_E_NOMEM;
	}
	if (env_open(s, &code) != SL_OK) {
		snprintf(err, err_cap, "%s: %s", s->path, code_text(code));
		return SL_E_STORE_OPEN;
	}
	rc = verify_at_open(s, err, err_cap);
	if (rc == SL_OK)
		rc = env_read_tip(s, &s->tip);
	return rc == SL_OK ? mark_last_run(s, err, err_cap) : rc;
}

int sl_store_open(const struct sl_store_cfg *cfg, struct sl_store **out, char *err, size_t err_cap)
{
	struct sl_store *s = store_alloc(cfg->path == NULL ? "" : cfg->path, err, err_cap);
	int rc;

	*out = NULL;
	if (s == NULL)
		return sl_fail(SL_E_STORE_OPEN);
	rc = open_parts(s, cfg, err, err_cap);
	if (rc == SL_OK && pthread_create(&s->thread, NULL, store_main, s) != 0) {
		snprintf(err, err_cap, "the store's thread cannot be started");
		rc = SL_E_SYS;
	}
	if (rc != SL_OK) {
		sl_store_close(s);
		return sl_fail(rc);
	}
	s->running = true;
	*out = s;
	return SL_OK;
}

int sl_store_open_readonly(const char *path, struct sl_store **out, char *err, size_t err_cap)
{
	struct sl_store *s = store_alloc(path, err, err_cap);
	int code = 0;

	*out = NULL;
	if (s == NULL)
		return sl_fail(SL_E_STORE_OPEN);
	s->readonly = true;
	s->trust_meta = true;
	if (env_open(s, &code) != SL_OK) {
		snprintf(err, err_cap, "%s: %s", path, code_text(code));
		sl_store_close(s);
		return sl_fail(SL_E_STORE_OPEN);
	}
	*out = s;
	return SL_OK;
}

int sl_store_trust(struct sl_store *s, const char *pem_file, char *err, size_t err_cap)
{
	int rc = keys_load(pem_file, NULL, &s->trusted, err, err_cap);

	if (rc == SL_OK)
		s->trust_meta = false;
	return rc;
}

void sl_store_close(struct sl_store *s)
{
	if (s == NULL)
		return;
	if (s->running)
		stop_thread(s);
	env_close(s);
	if (s->worker != NULL)
		workers_free(s);
	batch_free(&s->batch);
	EVP_PKEY_free(s->key);
	OPENSSL_cleanse(s->text_key, sizeof(s->text_key));
	keys_clear(&s->trusted);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	pthread_rwlock_destroy(&s->env_lock);
	pthread_mutex_destroy(&s->table_lock);
	free(s);
}

/* ---- the workers' side ---- */

struct sl_block *sl_store_block_get(struct sl_store *s, uint32_t worker)
{
	return store_ring_pop(&s->worker[worker].empty);
}

uint32_t sl_store_blocks_free(struct sl_store *s, uint32_t worker)
{
	return store_ring_count(&s->worker[worker].empty);
}

uint64_t sl_store_block_put(struct sl_store *s, uint32_t worker, struct sl_block *b)
{
	struct store_worker *w = &s->worker[worker];
	uint64_t number = ++w->number;

	b->number = number;
	b->worker = (uint8_t)worker;
	w->put_since_kick = true;
	store_ring_push(&w->full, b);
	return number;
}

void sl_store_kick(struct sl_store *s, uint32_t worker)
{
	struct store_worker *w = &s->worker[worker];

	if (!w->put_since_kick)
		return;
	w->put_since_kick = false;
	/* W1 and W2 of the argument above. */
	atomic_store(&w->full.tail, atomic_load_explicit(&w->full.tail, memory_order_relaxed));
	if (atomic_load(&s->sleeping) == 1)
		wake(s);
}

uint64_t sl_store_durable(const struct sl_store *s, uint32_t worker)
{
	return atomic_load_explicit(&s->worker[worker].durable, memory_order_acquire);
}

const uint8_t *sl_store_text_key(const struct sl_store *s)
{
	return s->text_key;
}

void sl_store_worker_gone(struct sl_store *s, uint32_t worker)
{
	if (worker >= s->nb_workers)
		return;
	atomic_fetch_or(&s->gone, UINT64_C(1) << worker);
	wake(s);
}

bool sl_store_failed(const struct sl_store *s)
{
	return atomic_load_explicit(&s->failed, memory_order_acquire);
}
