#include <errno.h>
#include <stdlib.h>

#include "sl_counter.h"
#include "store_priv.h"

int batch_init(struct batch *b, uint32_t max)
{
	uint32_t slots = 2;

	while (slots < 2 * max)
		slots *= 2;
	*b = (struct batch){.max = max, .index_mask = slots - 1};
	b->block = calloc(max, sizeof(struct sl_block *));
	b->touched = calloc(max, sizeof(*b->touched));
	b->index = calloc(slots, sizeof(*b->index));
	b->checkpoint = calloc(1, CHECKPOINT_BYTES(max));
	if (b->block != NULL && b->touched != NULL && b->index != NULL && b->checkpoint != NULL)
		return SL_OK;
	batch_free(b);
	return SL_E_NOMEM;
}

void batch_free(struct batch *b)
{
	free(b->block);
	free(b->touched);
	free(b->index);
	free(b->checkpoint);
	*b = (struct batch){.nb = 0};
}

/* Session ids differ in their last bytes (a counter) and in the worker's number: FNV-1a over all is enough.
 */
static uint32_t id_hash(const struct sl_id *id)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < sizeof(id->b); i++)
		h = (h ^ id->b[i]) * 16777619u;
	return h;
}

static int load_head(struct sl_store *s, MDB_txn *txn, struct touched *t)
{
	MDB_val k = val(t->id.b, sizeof(t->id.b)), v;
	int rc = mdb_get(txn, s->db[DB_SESSIONS], &k, &v);

	if (rc == 0)
		return head_decode(v, &t->head) == SL_OK ? 0 : MDB_CORRUPTED;
	if (rc != MDB_NOTFOUND)
		return rc;
	t->head = (struct head){.nb_records = 0};
	return store_hash_start(&t->id, t->head.hash) == SL_OK ? 0 : EIO;
}

/* The batch's entry of a session, loaded at its first block. There are never more sessions than blocks. */
static int touch(struct sl_store *s, MDB_txn *txn, const struct sl_id *id, struct touched **out)
{
	struct batch *b = &s->batch;
	uint32_t at = id_hash(id) & b->index_mask;
	struct touched *t;

	while (b->index[at] != 0) {
		t = &b->touched[b->index[at] - 1];
		if (memcmp(t->id.b, id->b, sizeof(id->b)) == 0) {
			*out = t;
			return 0;
		}
		at = (at + 1) & b->index_mask;
	}
	t = &b->touched[b->nb_touched];
	t->id = *id;
	t->dirty = false;
	b->index[at] = ++b->nb_touched;
	*out = t;
	return load_head(s, txn, t);
}

/*
 * A block whose record the store has already: the commit before was reported as failed and had reached the
 * disk all the same. It counts as written only when it is the same record.
 */
static int same_as_stored(struct sl_store *s, MDB_txn *txn, const struct sl_block *b, const char **what)
{
	uint8_t key[RECORD_KEY_BYTES];
	MDB_val k = val(key, sizeof(key)), v;
	int rc;

	record_key(&b->session, b->record, key);
	rc = mdb_get(txn, s->db[DB_RECORDS], &k, &v);
	if (rc != 0)
		return rc;
	if (v.mv_size == HASH_BYTES + (size_t)b->n &&
	    memcmp((const uint8_t *)v.mv_data + HASH_BYTES, b->data, b->n) == 0)
		return 0;
	*what = "a record number was used twice";
	return EINVAL;
}

/* What a worker hands over must be the record that it says: a chain with a wrong link would never verify
 * again. */
static bool block_sound(const struct sl_block *b, uint64_t *t_us)
{
	struct sl_span rec = sl_span(b->data, b->n);

	if (b->n > SL_RECORD_MAX || sl_record_check(rec) != SL_OK)
		return false;
	*t_us = sl_record_get(rec, "t").u;
	return sl_record_get(rec, "k").u == b->kind && sl_record_get(rec, "n").u == b->record;
}

/*
 * Of a worker that has died, a record of another one's session: not one that it could have written, so it is
 * damaged, and the session goes on without it.
 */
static bool foreign(const struct sl_store *s, const struct sl_block *b)
{
	return store_worker_gone(s, b->worker) && sl_id_maker_of(&b->session) != b->worker;
}

static int note_live(struct sl_store *s, MDB_txn *txn, const struct touched *t, uint8_t kind)
{
	MDB_val k = val(t->id.b, sizeof(t->id.b)), v = val("", 0);
	int rc = 0;

	if (record_ends_session(kind)) {
		rc = mdb_del(txn, s->db[DB_LIVE], &k, NULL);
		return rc == MDB_NOTFOUND ? 0 : rc;
	}
	if (t->head.nb_records == 0)
		rc = mdb_put(txn, s->db[DB_LIVE], &k, &v, 0);
	return rc;
}

static int put_record(struct sl_store *s, MDB_txn *txn, struct touched *t, const struct sl_block *b,
                      uint64_t t_us)
{
	uint8_t key[RECORD_KEY_BYTES], hash[HASH_BYTES];
	MDB_val k = val(key, sizeof(key)), v = val(NULL, HASH_BYTES + (size_t)b->n);
	struct head *h = &t->head;
	int rc;

	if (store_hash(sl_span(h->hash, HASH_BYTES), sl_span(b->data, b->n), hash) != SL_OK)
		return EIO;
	record_key(&b->session, b->record, key);
	rc = mdb_put(txn, s->db[DB_RECORDS], &k, &v, MDB_RESERVE | MDB_NOOVERWRITE);
	if (rc != 0)
		return rc;
	memcpy(v.mv_data, hash, HASH_BYTES);
	memcpy((uint8_t *)v.mv_data + HASH_BYTES, b->data, b->n);
	rc = note_live(s, txn, t, b->kind);
	if (rc != 0)
		return rc;
	memcpy(h->hash, hash, HASH_BYTES);
	head_add(h, b->kind, t_us);
	if (!t->dirty)
		s->batch.nb_dirty++;
	t->dirty = true;
	return 0;
}

static int put_checked(struct sl_store *s, MDB_txn *txn, const struct sl_block *b, const char **what)
{
	struct touched *t = NULL;
	uint64_t t_us = 0;
	int rc;

	if (!block_sound(b, &t_us) || foreign(s, b)) {
		*what = "a worker handed over bytes that are not the record they should be";
		return EINVAL;
	}
	rc = touch(s, txn, &b->session, &t);
	if (rc != 0)
		return rc;
	if (b->record < t->head.nb_records)
		return same_as_stored(s, txn, b, what);
	if (b->record > t->head.nb_records) {
		*what = "a worker left out a record number";
		return EINVAL;
	}
	return put_record(s, txn, t, b, t_us);
}

/*
 * What a worker that has died left may be damaged: such a record is not kept, nor what came behind it in its
 * session, and the session ends in a GAP. From a worker that lives it stops the store.
 */
static int put_block(struct sl_store *s, MDB_txn *txn, const struct sl_block *b, const char **what)
{
	int rc = put_checked(s, txn, b, what);

	if (rc != EINVAL || (*what)[0] == '\0' || !store_worker_gone(s, b->worker))
		return rc;
	(void)sl_fail(SL_E_STORE_LOST);
	*what = "";
	return 0;
}

/* The store's note of its last checkpoint, and the public key that it is signed with. */
static int put_meta(struct sl_store *s, MDB_txn *txn, const struct checkpoint_tip *tip)
{
	uint8_t last[CHECKPOINT_KEY_BYTES + HASH_BYTES], name[4 + KEY_ID_BYTES] = {'k', 'e', 'y', ':'};
	MDB_val k = val("last", 4), v = val(last, sizeof(last));
	int rc;

	put_be64(last, tip->number);
	memcpy(last + CHECKPOINT_KEY_BYTES, tip->hash, HASH_BYTES);
	rc = mdb_put(txn, s->db[DB_META], &k, &v, 0);
	if (rc != 0)
		return rc;
	memcpy(name + 4, s->key_id, KEY_ID_BYTES);
	k = val(name, sizeof(name));
	v = val(keys_find(&s->trusted, s->key_id)->raw, PUBLIC_BYTES);
	rc = mdb_put(txn, s->db[DB_META], &k, &v, MDB_NOOVERWRITE);
	return rc == MDB_KEYEXIST ? 0 : rc;
}

/* Heads of the sessions touched, and the checkpoint over them. */
static int put_checkpoint(struct sl_store *s, MDB_txn *txn, struct checkpoint_tip *tip)
{
	uint8_t key[CHECKPOINT_KEY_BYTES], bytes[HEAD_BYTES];
	struct batch *b = &s->batch;
	MDB_val k, v;
	uint32_t n = 0;
	int rc;

	checkpoint_begin(b->checkpoint, tip, store_wall_us(), s->key_id, b->nb_dirty);
	for (uint32_t i = 0; i < b->nb_touched; i++) {
		struct touched *t = &b->touched[i];

		if (!t->dirty)
			continue;
		checkpoint_entry_put(b->checkpoint, n++, &t->id, t->head.nb_records - 1, t->head.hash);
		t->head.checkpoint = tip->number + 1;
		head_encode(&t->head, bytes);
		k = val(t->id.b, sizeof(t->id.b));
		v = val(bytes, sizeof(bytes));
		rc = mdb_put(txn, s->db[DB_SESSIONS], &k, &v, 0);
		if (rc != 0)
			return rc;
	}
	if (checkpoint_end(b->checkpoint, n, s->key, tip) != SL_OK)
		return EIO;
	put_be64(key, tip->number);
	k = val(key, sizeof(key));
	v = val(b->checkpoint, CHECKPOINT_BYTES(n));
	rc = mdb_put(txn, s->db[DB_CHECKPOINTS], &k, &v, MDB_NOOVERWRITE | MDB_APPEND);
	return rc == 0 ? put_meta(s, txn, tip) : rc;
}

static int put_batch(struct sl_store *s, MDB_txn *txn, struct checkpoint_tip *tip, const char **what)
{
	struct batch *b = &s->batch;
	int rc = 0;

	b->nb_touched = 0;
	b->nb_dirty = 0;
	memset(b->index, 0, ((size_t)b->index_mask + 1) * sizeof(*b->index));
	for (uint32_t i = 0; rc == 0 && i < b->nb; i++)
		rc = put_block(s, txn, b->block[i], what);
	if (rc == 0 && b->nb_dirty > 0)
		rc = put_checkpoint(s, txn, tip);
	return rc;
}

int batch_commit(struct sl_store *s, const char **what)
{
	struct checkpoint_tip tip = s->tip;
	MDB_txn *txn;
	int rc;

	*what = "";
	if (s->env == NULL)
		return EIO;
	rc = mdb_txn_begin(s->env, NULL, 0, &txn);
	if (rc != 0)
		return rc;
	rc = put_batch(s, txn, &tip, what);
	if (rc != 0 || s->batch.nb_dirty == 0) {
		mdb_txn_abort(txn);
		return rc;
	}
	rc = mdb_txn_commit(txn);
	if (rc == 0)
		s->tip = tip;
	return rc;
}
