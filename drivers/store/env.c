#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "sl_log.h"
#include "store_priv.h"

#define FORMAT "1"

static const char *const db_names[DB_COUNT] = {
        [DB_META] = "meta", [DB_RECORDS] = "records",         [DB_SESSIONS] = "sessions",
        [DB_LIVE] = "live", [DB_CHECKPOINTS] = "checkpoints",
};

void head_encode(const struct head *h, uint8_t out[HEAD_BYTES])
{
	memset(out, 0, HEAD_BYTES);
	out[0] = 1; /* version */
	out[1] = h->ended ? 1 : 0;
	out[2] = h->first_kind;
	out[3] = h->last_kind;
	put_be64(out + 4, h->nb_records);
	put_be64(out + 12, h->first_us);
	put_be64(out + 20, h->last_us);
	put_be64(out + 28, h->checkpoint);
	memcpy(out + 44, h->hash, HASH_BYTES);
}

int head_decode(MDB_val v, struct head *out)
{
	const uint8_t *p = v.mv_data;

	if (v.mv_size != HEAD_BYTES || p[0] != 1 || p[1] > 1 || get_be64(p + 36) != 0)
		return SL_E_STORE_CORRUPT;
	*out = (struct head){
	        .ended = p[1] != 0,
	        .first_kind = p[2],
	        .last_kind = p[3],
	        .nb_records = get_be64(p + 4),
	        .first_us = get_be64(p + 12),
	        .last_us = get_be64(p + 20),
	        .checkpoint = get_be64(p + 28),
	};
	memcpy(out->hash, p + 44, HASH_BYTES);
	return SL_OK;
}

void head_add(struct head *h, uint8_t kind, uint64_t t_us)
{
	if (h->nb_records == 0) {
		h->first_us = t_us;
		h->first_kind = kind;
	}
	h->nb_records++;
	h->last_us = t_us;
	h->last_kind = kind;
	h->ended = h->ended || record_ends_session(kind);
}

void record_key(const struct sl_id *id, uint64_t number, uint8_t out[RECORD_KEY_BYTES])
{
	memcpy(out, id->b, sizeof(id->b));
	put_be64(out + sizeof(id->b), number);
}

/* The format, once. Another format is refused. */
static int write_meta(struct sl_store *s, MDB_txn *txn)
{
	MDB_val k = val("format", 6), v = val(FORMAT, sizeof(FORMAT) - 1), found;
	int rc = mdb_get(txn, s->db[DB_META], &k, &found);

	if (rc == MDB_NOTFOUND && !s->readonly)
		return mdb_put(txn, s->db[DB_META], &k, &v, 0);
	if (rc == 0 && (found.mv_size != v.mv_size || memcmp(found.mv_data, v.mv_data, v.mv_size) != 0))
		rc = MDB_VERSION_MISMATCH;
	return rc;
}

static int open_dbs(struct sl_store *s)
{
	unsigned int flags = s->readonly ? 0 : MDB_CREATE;
	MDB_txn *txn;
	int rc = mdb_txn_begin(s->env, NULL, s->readonly ? MDB_RDONLY : 0, &txn);

	if (rc != 0)
		return rc;
	for (int i = 0; rc == 0 && i < DB_COUNT; i++)
		rc = mdb_dbi_open(txn, db_names[i], flags, &s->db[i]);
	if (rc == 0)
		rc = write_meta(s, txn);
	if (rc != 0) {
		mdb_txn_abort(txn);
		return rc;
	}
	return mdb_txn_commit(txn);
}

/* A line of /proc/self/maps, "from-to access offset device inode": is it of this file? */
static bool maps_file(const char *line, ino_t file, uintptr_t *from, uintptr_t *to)
{
	char *p;

	*from = strtoul(line, &p, 16);
	if (*p != '-')
		return false;
	*to = strtoul(p + 1, &p, 16);
	for (int i = 0; i < 3 && p != NULL; i++)
		p = strchr(p + 1, ' ');
	return p != NULL && strtoul(p, NULL, 10) == file;
}

/*
 * The store may be larger than memory, so that its pages must not be kept there when the process has locked
 * its own (mlockall()). LMDB does not say where its map is; the kernel does, by the file's inode.
 */
static void unlock_map(const struct sl_store *s)
{
	uintptr_t from, to;
	struct stat st;
	char line[512];
	mdb_filehandle_t fd;
	bool found = false;
	FILE *maps;

	if (mdb_env_get_fd(s->env, &fd) != 0 || fstat(fd, &st) != 0)
		return;
	maps = fopen("/proc/self/maps", "re");
	while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
		if (maps_file(line, st.st_ino, &from, &to))
			found = munlock((void *)from, to - from) == 0;
	}
	if (maps != NULL)
		fclose(maps);
	if (!found)
		sl_log(SL_LOG_WARN, "store",
		       "the kernel does not say where the store is mapped: what is "
		       "read of it stays in memory when memory is locked");
}

int env_open(struct sl_store *s, int *rc)
{
	unsigned int flags = MDB_NOTLS | (s->readonly ? MDB_RDONLY : 0);

	*rc = mdb_env_create(&s->env);
	if (*rc != 0) {
		s->env = NULL;
		return SL_E_STORE_OPEN;
	}
	s->nb_tables = 0;
	*rc = mdb_env_set_maxdbs(s->env, DB_COUNT + TABLES_MAX);
	if (*rc == 0 && s->map_bytes > 0)
		*rc = mdb_env_set_mapsize(s->env, s->map_bytes);
	if (*rc == 0)
		*rc = mdb_env_open(s->env, s->path, flags, 0600);
	if (*rc == EROFS && s->readonly) {
		/* A copy on a read-only medium: nobody writes it, so no lock is needed. A failed open wants a
		 * new environment. */
		mdb_env_close(s->env);
		s->env = NULL;
		*rc = mdb_env_create(&s->env);
		if (*rc == 0)
			*rc = mdb_env_set_maxdbs(s->env, DB_COUNT + TABLES_MAX);
		if (*rc == 0)
			*rc = mdb_env_open(s->env, s->path, flags | MDB_NOLOCK, 0600);
	}
	/* Readers that were killed would keep old pages for ever. */
	if (*rc == 0 && !s->readonly)
		*rc = mdb_reader_check(s->env, NULL);
	if (*rc == 0)
		*rc = open_dbs(s);
	if (*rc == 0) {
		unlock_map(s);
		return SL_OK;
	}
	env_close(s);
	return SL_E_STORE_OPEN;
}

void env_close(struct sl_store *s)
{
	if (s->env != NULL)
		mdb_env_close(s->env);
	s->env = NULL;
}

int env_read_tip(struct sl_store *s, struct checkpoint_tip *tip)
{
	MDB_cursor *cur = NULL;
	MDB_txn *txn;
	MDB_val k, v;
	int rc;

	if (mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn) != 0)
		return SL_E_STORE_OPEN;
	rc = mdb_cursor_open(txn, s->db[DB_CHECKPOINTS], &cur);
	if (rc == 0)
		rc = mdb_cursor_get(cur, &k, &v, MDB_LAST);
	if (rc == MDB_NOTFOUND) {
		rc = checkpoint_start(tip);
	} else if (rc == 0 && k.mv_size == CHECKPOINT_KEY_BYTES) {
		tip->number = get_be64(k.mv_data);
		rc = store_hash(sl_span(v.mv_data, v.mv_size), SL_SPAN_EMPTY, tip->hash);
	} else {
		rc = SL_E_STORE_OPEN;
	}
	if (cur != NULL)
		mdb_cursor_close(cur);
	mdb_txn_abort(txn);
	return rc == SL_OK ? SL_OK : SL_E_STORE_OPEN;
}
