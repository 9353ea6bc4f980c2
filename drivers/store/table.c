#include <stdio.h>
#include <stdlib.h>

#include "sl_counter.h"
#include "store_priv.h"

#define KEY_BYTES_MAX 511

/* The management core's tables have names of their own, so that none can be one of the store's. */
static int table_name(const char *table, char out[TABLE_NAME_MAX])
{
	size_t n = strlen(table);

	if (n == 0 || n + 3 > TABLE_NAME_MAX)
		return SL_E_INVAL;
	snprintf(out, TABLE_NAME_MAX, "t:%s", table);
	return SL_OK;
}

/* Opens in a transaction of its own: LMDB allows one dbi_open at a time, and the handle is good after its
 * commit only. */
static int dbi_open(struct sl_store *s, const char *name, bool create, MDB_dbi *out)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(s->env, NULL, create ? 0 : MDB_RDONLY, &txn);

	if (rc != 0)
		return rc;
	rc = mdb_dbi_open(txn, name, create ? MDB_CREATE : 0, out);
	if (rc != 0) {
		mdb_txn_abort(txn);
		return rc;
	}
	return mdb_txn_commit(txn);
}

/* The table's handle. MDB_NOTFOUND when it is not there and create is false. The caller holds env_lock. */
static int table_open(struct sl_store *s, const char *table, bool create, MDB_dbi *out)
{
	char name[TABLE_NAME_MAX];
	int rc = MDB_BAD_VALSIZE;

	if (table_name(table, name) != SL_OK)
		return rc;
	if (s->env == NULL)
		return MDB_PANIC;
	pthread_mutex_lock(&s->table_lock);
	for (uint32_t i = 0; i < s->nb_tables; i++) {
		if (strcmp(s->table[i].name, name) == 0) {
			*out = s->table[i].dbi;
			rc = 0;
			goto out;
		}
	}
	rc = s->nb_tables == TABLES_MAX ? MDB_DBS_FULL : dbi_open(s, name, create, out);
	if (rc == 0) {
		memcpy(s->table[s->nb_tables].name, name, sizeof(name));
		s->table[s->nb_tables++].dbi = *out;
	}
out:
	pthread_mutex_unlock(&s->table_lock);
	return rc;
}

/* LMDB's code as one of ours. */
static int result(int rc)
{
	switch (rc) {
	case 0:
		return SL_OK;
	case MDB_NOTFOUND:
		return SL_E_NOTFOUND;
	case MDB_BAD_VALSIZE:
		return sl_fail(SL_E_INVAL);
	default:
		return sl_fail(SL_E_STORE_WRITE);
	}
}

static int write_key(struct sl_store *s, const char *table, struct sl_span key, const struct sl_span *value)
{
	MDB_val k = val(key.p, key.n), v;
	MDB_txn *txn;
	MDB_dbi dbi;
	int rc;

	if (s->readonly || key.n == 0 || key.n > KEY_BYTES_MAX)
		return sl_fail(SL_E_INVAL);
	pthread_rwlock_rdlock(&s->env_lock);
	rc = table_open(s, table, value != NULL, &dbi);
	if (rc == 0)
		rc = mdb_txn_begin(s->env, NULL, 0, &txn);
	if (rc != 0)
		goto out;
	if (value != NULL) {
		v = val(value->p, value->n);
		rc = mdb_put(txn, dbi, &k, &v, 0);
	} else {
		rc = mdb_del(txn, dbi, &k, NULL);
	}
	if (rc == 0)
		rc = mdb_txn_commit(txn);
	else
		mdb_txn_abort(txn);
out:
	pthread_rwlock_unlock(&s->env_lock);
	return result(rc);
}

int sl_store_put(struct sl_store *s, const char *table, struct sl_span key, struct sl_span value)
{
	return write_key(s, table, key, &value);
}

int sl_store_del(struct sl_store *s, const char *table, struct sl_span key)
{
	return write_key(s, table, key, NULL);
}

/* ---- reading: one short read transaction each ---- */

struct reader {
	MDB_txn *txn;
	MDB_cursor *cur;
};

static int reader_open(struct sl_store *s, MDB_dbi dbi, struct reader *r)
{
	int rc = s->env == NULL ? MDB_PANIC : mdb_txn_begin(s->env, NULL, MDB_RDONLY, &r->txn);

	if (rc != 0)
		return rc;
	rc = mdb_cursor_open(r->txn, dbi, &r->cur);
	if (rc != 0)
		mdb_txn_abort(r->txn);
	return rc;
}

static void reader_close(struct reader *r)
{
	mdb_cursor_close(r->cur);
	mdb_txn_abort(r->txn);
}

int sl_store_get(struct sl_store *s, const char *table, struct sl_span key, uint8_t **value, size_t *n)
{
	MDB_val k = val(key.p, key.n), v;
	MDB_txn *txn;
	MDB_dbi dbi;
	int rc;

	*value = NULL;
	*n = 0;
	if (key.n == 0 || key.n > KEY_BYTES_MAX)
		return sl_fail(SL_E_INVAL);
	pthread_rwlock_rdlock(&s->env_lock);
	rc = table_open(s, table, false, &dbi);
	if (rc == 0)
		rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);
	if (rc != 0)
		goto out;
	rc = mdb_get(txn, dbi, &k, &v);
	if (rc == 0) {
		/* One byte more, so that an empty value has a buffer too and text can be ended. */
		*value = calloc(1, v.mv_size + 1);
		if (*value == NULL) {
			rc = MDB_PANIC;
		} else {
			memcpy(*value, v.mv_data, v.mv_size);
			*n = v.mv_size;
		}
	}
	mdb_txn_abort(txn);
out:
	pthread_rwlock_unlock(&s->env_lock);
	return result(rc);
}

int sl_store_each(struct sl_store *s, const char *table, bool newest_first, sl_store_fn fn, void *ctx)
{
	struct reader r;
	MDB_val k, v;
	MDB_dbi dbi;
	int rc;

	pthread_rwlock_rdlock(&s->env_lock);
	rc = table_open(s, table, false, &dbi);
	if (rc == 0)
		rc = reader_open(s, dbi, &r);
	if (rc != 0)
		goto out;
	while ((rc = mdb_cursor_get(r.cur, &k, &v, newest_first ? MDB_PREV : MDB_NEXT)) == 0) {
		if (fn(ctx, sl_span(k.mv_data, k.mv_size), sl_span(v.mv_data, v.mv_size)) != 0)
			break;
	}
	reader_close(&r);
out:
	pthread_rwlock_unlock(&s->env_lock);
	/* The end of the table, and a table that nobody has written to yet, are no errors. */
	return rc == MDB_NOTFOUND ? SL_OK : result(rc);
}

/* Sets the cursor on the first session that counts. */
static int sessions_start(MDB_cursor *cur, const struct sl_id *after, bool newest_first, MDB_val *k,
                          MDB_val *v)
{
	int rc;

	if (after == NULL)
		return mdb_cursor_get(cur, k, v, newest_first ? MDB_LAST : MDB_FIRST);
	*k = val(after->b, sizeof(after->b));
	rc = mdb_cursor_get(cur, k, v, MDB_SET_RANGE);
	if (rc == MDB_NOTFOUND)
		return newest_first ? mdb_cursor_get(cur, k, v, MDB_LAST) : rc;
	if (rc != 0)
		return rc;
	if (newest_first)
		return mdb_cursor_get(cur, k, v, MDB_PREV);
	if (k->mv_size == sizeof(after->b) && memcmp(k->mv_data, after->b, sizeof(after->b)) == 0)
		return mdb_cursor_get(cur, k, v, MDB_NEXT);
	return 0;
}

static int session_head(MDB_val k, MDB_val v, struct sl_session_head *out)
{
	struct head h;

	if (k.mv_size != sizeof(out->id.b) || head_decode(v, &h) != SL_OK)
		return MDB_CORRUPTED;
	memcpy(out->id.b, k.mv_data, sizeof(out->id.b));
	out->nb_records = h.nb_records;
	out->first_us = h.first_us;
	out->last_us = h.last_us;
	out->ended = h.ended;
	out->first_kind = h.first_kind;
	out->last_kind = h.last_kind;
	return 0;
}

/* A record as it is stored, without its hash. Empty when it is not there. */
static int read_record(struct sl_store *s, MDB_txn *txn, const struct sl_id *id, uint64_t number,
                       struct sl_span *out)
{
	uint8_t key[RECORD_KEY_BYTES];
	MDB_val k = val(key, sizeof(key)), v;
	int rc;

	*out = SL_SPAN_EMPTY;
	record_key(id, number, key);
	rc = mdb_get(txn, s->db[DB_RECORDS], &k, &v);
	if (rc == 0 && v.mv_size >= HASH_BYTES)
		*out = sl_span((const uint8_t *)v.mv_data + HASH_BYTES, v.mv_size - HASH_BYTES);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

int sl_store_sessions(struct sl_store *s, const struct sl_id *after, bool newest_first, sl_session_fn fn,
                      void *ctx)
{
	struct sl_session_head head;
	struct sl_span first;
	struct reader r;
	MDB_val k, v;
	int rc;

	pthread_rwlock_rdlock(&s->env_lock);
	rc = reader_open(s, s->db[DB_SESSIONS], &r);
	if (rc != 0)
		goto out;
	rc = sessions_start(r.cur, after, newest_first, &k, &v);
	while (rc == 0) {
		rc = session_head(k, v, &head);
		if (rc == 0)
			rc = read_record(s, r.txn, &head.id, 0, &first);
		if (rc != 0 || fn(ctx, &head, first) != 0)
			break;
		rc = mdb_cursor_get(r.cur, &k, &v, newest_first ? MDB_PREV : MDB_NEXT);
	}
	reader_close(&r);
out:
	pthread_rwlock_unlock(&s->env_lock);
	return rc == MDB_NOTFOUND ? SL_OK : result(rc);
}

static int record_of(const struct sl_id *id, MDB_val k, MDB_val v)
{
	if (k.mv_size != RECORD_KEY_BYTES || memcmp(k.mv_data, id->b, sizeof(id->b)) != 0)
		return MDB_NOTFOUND;
	return v.mv_size < HASH_BYTES ? MDB_CORRUPTED : 0;
}

int sl_store_records(struct sl_store *s, const struct sl_id *session, uint64_t from, sl_record_fn fn,
                     void *ctx)
{
	uint8_t key[RECORD_KEY_BYTES];
	struct reader r;
	MDB_val k, v;
	int rc;

	pthread_rwlock_rdlock(&s->env_lock);
	rc = reader_open(s, s->db[DB_RECORDS], &r);
	if (rc != 0) {
		pthread_rwlock_unlock(&s->env_lock);
		return result(rc);
	}
	k = val(session->b, sizeof(session->b));
	rc = mdb_get(r.txn, s->db[DB_SESSIONS], &k, &v);
	if (rc != 0)
		goto out;
	record_key(session, from, key);
	k = val(key, sizeof(key));
	rc = mdb_cursor_get(r.cur, &k, &v, MDB_SET_RANGE);
	while (rc == 0 && (rc = record_of(session, k, v)) == 0) {
		uint64_t n = get_be64((const uint8_t *)k.mv_data + sizeof(session->b));

		if (fn(ctx, n, sl_span((const uint8_t *)v.mv_data + HASH_BYTES, v.mv_size - HASH_BYTES)) != 0)
			break;
		rc = mdb_cursor_get(r.cur, &k, &v, MDB_NEXT);
	}
	if (rc == MDB_NOTFOUND)
		rc = 0; /* its last record */
out:
	reader_close(&r);
	pthread_rwlock_unlock(&s->env_lock);
	return result(rc);
}

int sl_store_checkpoint_hash(struct sl_store *s, uint64_t number, uint8_t hash[HASH_BYTES])
{
	uint8_t key[CHECKPOINT_KEY_BYTES];
	MDB_val k = val(key, sizeof(key)), v;
	struct reader r;
	int rc;

	put_be64(key, number);
	pthread_rwlock_rdlock(&s->env_lock);
	rc = reader_open(s, s->db[DB_CHECKPOINTS], &r);
	if (rc == 0) {
		rc = mdb_cursor_get(r.cur, &k, &v, MDB_SET);
		if (rc == 0 && store_hash(sl_span(v.mv_data, v.mv_size), SL_SPAN_EMPTY, hash) != SL_OK)
			rc = MDB_PANIC;
		reader_close(&r);
	}
	pthread_rwlock_unlock(&s->env_lock);
	return result(rc);
}
