#include <stdarg.h>
#include <stdio.h>

#include "sl_counter.h"
#include "store_priv.h"

/*
 * Two passes in one read transaction, neither of which holds more than one record or checkpoint: first every
 * session's chain against its head and the checkpoint that covers its end, then the chain of checkpoints
 * against the records they name. The first pass finds what was done to records, the second one what was done
 * to records and heads alike.
 */
struct verify {
	struct sl_store *s;
	const struct key_ring *keys;
	MDB_txn *txn;
	MDB_cursor *records, *others;
	struct sl_verify_result *out;
	bool one_session;
	uint64_t nb_live; /* sessions that were rightly in that list */
};

__attribute__((format(printf, 2, 3))) static int problem(struct verify *v, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(v->out->problem, sizeof(v->out->problem), fmt, ap);
	va_end(ap);
	return SL_E_STORE_CORRUPT;
}

static int lmdb_problem(struct verify *v, int rc)
{
	return problem(v, "the store cannot be read: %s", mdb_strerror(rc));
}

static bool barred(const struct verify *v)
{
	return atomic_load_explicit(&v->s->verify_barred, memory_order_relaxed) > 0;
}

static int cursor_end(struct verify *v, int rc)
{
	return rc == MDB_NOTFOUND ? SL_OK : lmdb_problem(v, rc);
}

/* ---- one checkpoint by itself ---- */

static int checkpoint_trusted(struct verify *v, uint64_t number, const struct checkpoint *c)
{
	const struct public_key *key = keys_find(v->keys, c->key_id);

	if (key == NULL)
		return problem(v, "checkpoint %llu: signed by an unknown key (%08x%08x)",
		               (unsigned long long)number, sl_get_be32(c->key_id),
		               sl_get_be32(c->key_id + 4));
	if (!checkpoint_signed(c, key))
		return problem(v, "checkpoint %llu: its signature is wrong", (unsigned long long)number);
	return SL_OK;
}

static int checkpoint_read(struct verify *v, uint64_t number, MDB_val bytes, struct checkpoint *c)
{
	if (!checkpoint_parse(bytes, c))
		return problem(v, "checkpoint %llu: malformed", (unsigned long long)number);
	if (c->number != number)
		return problem(v, "checkpoint %llu: in its place stands checkpoint %llu",
		               (unsigned long long)number, (unsigned long long)c->number);
	return checkpoint_trusted(v, number, c);
}

/* What a checkpoint names must be there. */
static int checkpoint_entries(struct verify *v, const struct checkpoint *c)
{
	uint8_t key[RECORD_KEY_BYTES];
	char id[SL_ID_STR_MAX];

	for (uint32_t i = 0; i < c->nb; i++) {
		struct checkpoint_entry e = checkpoint_entry_get(c, i);
		MDB_val k = val(key, sizeof(key)), r;
		int rc;

		record_key(&e.id, e.last, key);
		rc = mdb_get(v->txn, v->s->db[DB_RECORDS], &k, &r);
		if (rc == MDB_NOTFOUND)
			return problem(v, "session %s: record %llu, which checkpoint %llu names, is gone",
			               sl_id_str(&e.id, id), (unsigned long long)e.last,
			               (unsigned long long)c->number);
		if (rc != 0)
			return lmdb_problem(v, rc);
		if (r.mv_size < HASH_BYTES || memcmp(r.mv_data, e.hash, HASH_BYTES) != 0)
			return problem(v, "session %s record %llu: its hash differs from checkpoint %llu's",
			               sl_id_str(&e.id, id), (unsigned long long)e.last,
			               (unsigned long long)c->number);
	}
	return SL_OK;
}

/* ---- pass one: sessions ---- */

/* The end of a session must be in a signed checkpoint: else records were added behind it. */
static int session_covered(struct verify *v, const struct sl_id *id, const struct head *h)
{
	uint8_t key[CHECKPOINT_KEY_BYTES];
	MDB_val k = val(key, sizeof(key)), bytes;
	struct checkpoint_entry e;
	struct checkpoint c;
	char str[SL_ID_STR_MAX];
	bool ok;
	int rc;

	put_be64(key, h->checkpoint);
	rc = mdb_get(v->txn, v->s->db[DB_CHECKPOINTS], &k, &bytes);
	if (rc == MDB_NOTFOUND)
		return problem(v, "checkpoint %llu: missing (it names the end of session %s)",
		               (unsigned long long)h->checkpoint, sl_id_str(id, str));
	if (rc != 0)
		return lmdb_problem(v, rc);
	if (!checkpoint_parse(bytes, &c) || c.number != h->checkpoint)
		return problem(v, "checkpoint %llu: malformed", (unsigned long long)h->checkpoint);
	ok = checkpoint_find(&c, id, &e) && e.last == h->nb_records - 1 &&
	     memcmp(e.hash, h->hash, HASH_BYTES) == 0;
	/* When everything is checked, pass two checks each signature once. */
	if (!ok || v->one_session) {
		rc = checkpoint_trusted(v, h->checkpoint, &c);
		if (rc != SL_OK)
			return rc;
	}
	if (!ok)
		return problem(v, "session %s record %llu: no checkpoint covers it", sl_id_str(id, str),
		               (unsigned long long)h->nb_records - 1);
	return SL_OK;
}

/* One record against the one before; the head that the records make moves on to this one. */
static int record_link(struct verify *v, const struct sl_id *id, MDB_val r, struct head *made)
{
	uint64_t n = made->nb_records;
	struct sl_span rec;
	uint8_t want[HASH_BYTES];
	char str[SL_ID_STR_MAX];

	if (r.mv_size <= HASH_BYTES)
		return problem(v, "session %s record %llu: too short", sl_id_str(id, str),
		               (unsigned long long)n);
	rec = sl_span((const uint8_t *)r.mv_data + HASH_BYTES, r.mv_size - HASH_BYTES);
	if (store_hash(sl_span(made->hash, HASH_BYTES), rec, want) != SL_OK)
		return problem(v, "SHA-256 failed");
	if (memcmp(want, r.mv_data, HASH_BYTES) != 0)
		return problem(v, "session %s record %llu: hash differs", sl_id_str(id, str),
		               (unsigned long long)n);
	if (sl_record_check(rec) != SL_OK || sl_record_get(rec, "n").u != n)
		return problem(v, "session %s record %llu: malformed", sl_id_str(id, str),
		               (unsigned long long)n);
	memcpy(made->hash, want, HASH_BYTES);
	head_add(made, (uint8_t)sl_record_get(rec, "k").u, sl_record_get(rec, "t").u);
	v->out->nb_records++;
	return SL_OK;
}

/* Its entry in the list of sessions without an end: it gets a gap by that, and only by that. */
static int session_listed(struct verify *v, const struct sl_id *id, bool ended)
{
	MDB_val k = val(id->b, sizeof(id->b)), e;
	int rc = mdb_get(v->txn, v->s->db[DB_LIVE], &k, &e);
	char str[SL_ID_STR_MAX];

	if (rc != 0 && rc != MDB_NOTFOUND)
		return lmdb_problem(v, rc);
	if ((rc == 0) == ended)
		return problem(v, "session %s: %s in the list of sessions without an end", sl_id_str(id, str),
		               ended ? "it has ended and is" : "it has no end and is not");
	v->nb_live += rc == 0;
	return SL_OK;
}

/* The head against the one that the records make, the checkpoint over its end, and the list of live sessions.
 */
static int session_end(struct verify *v, const struct sl_id *id, const struct head *h, struct head *made)
{
	uint8_t head[HEAD_BYTES], want[HEAD_BYTES];
	uint64_t n = made->nb_records;
	char str[SL_ID_STR_MAX];
	int err;

	sl_id_str(id, str);
	if (n < h->nb_records)
		return problem(v, "session %s: its last %llu records (from record %llu on) are gone", str,
		               (unsigned long long)(h->nb_records - n), (unsigned long long)n);
	if (n > h->nb_records)
		return problem(v, "session %s record %llu: added behind its end", str,
		               (unsigned long long)h->nb_records);
	if (memcmp(made->hash, h->hash, HASH_BYTES) != 0)
		return problem(v, "session %s: its head names another last record", str);
	err = session_covered(v, id, h);
	if (err != SL_OK)
		return err;
	made->checkpoint = h->checkpoint;
	head_encode(h, head);
	head_encode(made, want);
	if (memcmp(head, want, HEAD_BYTES) != 0)
		return problem(v, "session %s: its head does not say what its records say", str);
	v->out->nb_sessions++;
	return session_listed(v, id, made->ended);
}

/*
 * The chain of one session. The record cursor stands on its first record (rc: of the last move); on return it
 * stands on the next session's.
 */
static int session_chain(struct verify *v, const struct sl_id *id, const struct head *h, MDB_val *k,
                         MDB_val *r, int *rc)
{
	struct head made = {.nb_records = 0};
	char str[SL_ID_STR_MAX];
	int err;

	if (store_hash_start(id, made.hash) != SL_OK)
		return problem(v, "SHA-256 failed");
	while (*rc == 0 && k->mv_size == RECORD_KEY_BYTES && memcmp(k->mv_data, id->b, sizeof(id->b)) == 0) {
		uint64_t at = get_be64((const uint8_t *)k->mv_data + sizeof(id->b));

		if (barred(v))
			return sl_fail(SL_E_STORE_WRITE);
		if (at != made.nb_records)
			return problem(v, "session %s record %llu: missing", sl_id_str(id, str),
			               (unsigned long long)made.nb_records);
		err = record_link(v, id, *r, &made);
		if (err != SL_OK)
			return err;
		*rc = mdb_cursor_get(v->records, k, r, MDB_NEXT);
	}
	if (*rc != 0 && *rc != MDB_NOTFOUND)
		return lmdb_problem(v, *rc);
	return session_end(v, id, h, &made);
}

static int orphan(struct verify *v, MDB_val k)
{
	char str[SL_ID_STR_MAX];
	struct sl_id id;

	if (k.mv_size != RECORD_KEY_BYTES)
		return problem(v, "a record has a malformed key");
	memcpy(id.b, k.mv_data, sizeof(id.b));
	return problem(v, "session %s: has records and no head", sl_id_str(&id, str));
}

/* The list of live sessions names none that are not there. */
static int live_counted(struct verify *v)
{
	MDB_stat stat;
	int rc = mdb_stat(v->txn, v->s->db[DB_LIVE], &stat);

	if (rc != 0)
		return lmdb_problem(v, rc);
	if (stat.ms_entries != v->nb_live)
		return problem(v, "the list of sessions without an end names %llu that are not there",
		               (unsigned long long)(stat.ms_entries - v->nb_live));
	return SL_OK;
}

/* Heads and records side by side: both are in the order of session ids. */
static int verify_sessions(struct verify *v)
{
	MDB_val hk, hv, rk, rv;
	int hrc, rrc, err;

	hrc = mdb_cursor_get(v->others, &hk, &hv, MDB_FIRST);
	rrc = mdb_cursor_get(v->records, &rk, &rv, MDB_FIRST);
	while (hrc == 0) {
		struct sl_id id;
		struct head h;

		if (hk.mv_size != sizeof(id.b) || head_decode(hv, &h) != SL_OK)
			return problem(v, "a session's head is malformed");
		memcpy(id.b, hk.mv_data, sizeof(id.b));
		if (rrc == 0 &&
		    (rk.mv_size != RECORD_KEY_BYTES || memcmp(rk.mv_data, id.b, sizeof(id.b)) < 0))
			return orphan(v, rk);
		err = session_chain(v, &id, &h, &rk, &rv, &rrc);
		if (err != SL_OK)
			return err;
		hrc = mdb_cursor_get(v->others, &hk, &hv, MDB_NEXT);
	}
	if (hrc == MDB_NOTFOUND && rrc == 0)
		return orphan(v, rk);
	err = cursor_end(v, hrc);
	return err == SL_OK ? live_counted(v) : err;
}

static int verify_one_session(struct verify *v, const struct sl_id *id)
{
	uint8_t key[RECORD_KEY_BYTES];
	MDB_val k = val(id->b, sizeof(id->b)), r;
	struct head h;
	int rc = mdb_get(v->txn, v->s->db[DB_SESSIONS], &k, &r);

	if (rc == MDB_NOTFOUND)
		return SL_E_NOTFOUND;
	if (rc != 0)
		return lmdb_problem(v, rc);
	if (head_decode(r, &h) != SL_OK)
		return problem(v, "the session's head is malformed");
	record_key(id, 0, key);
	k = val(key, sizeof(key));
	rc = mdb_cursor_get(v->records, &k, &r, MDB_SET_RANGE);
	return session_chain(v, id, &h, &k, &r, &rc);
}

/* ---- pass two: checkpoints ---- */

/* The store's own note of its last checkpoint: cutting off the newest ones without changing the note shows.
 */
static int verify_last(struct verify *v, const struct checkpoint_tip *tip)
{
	MDB_val k = val("last", 4), last;
	int rc = mdb_get(v->txn, v->s->db[DB_META], &k, &last);
	uint64_t noted;

	if (rc == MDB_NOTFOUND)
		return tip->number == 0 ? SL_OK : problem(v, "the note of the last checkpoint is gone");
	if (rc != 0)
		return lmdb_problem(v, rc);
	if (last.mv_size != CHECKPOINT_KEY_BYTES + HASH_BYTES)
		return problem(v, "the note of the last checkpoint is malformed");
	noted = get_be64(last.mv_data);
	if (noted > tip->number)
		return problem(v, "checkpoint %llu: missing (the last one was %llu)",
		               (unsigned long long)tip->number + 1, (unsigned long long)noted);
	if (noted < tip->number ||
	    memcmp((const uint8_t *)last.mv_data + CHECKPOINT_KEY_BYTES, tip->hash, HASH_BYTES) != 0)
		return problem(v, "checkpoint %llu: is not the one noted as the last",
		               (unsigned long long)tip->number);
	return SL_OK;
}

static int verify_checkpoint(struct verify *v, MDB_val k, MDB_val bytes, struct checkpoint_tip *tip)
{
	uint64_t want = tip->number + 1;
	struct checkpoint c;
	int err;

	if (k.mv_size != CHECKPOINT_KEY_BYTES || get_be64(k.mv_data) != want)
		return problem(v, "checkpoint %llu: missing", (unsigned long long)want);
	err = checkpoint_read(v, want, bytes, &c);
	if (err != SL_OK)
		return err;
	if (memcmp(c.prev, tip->hash, HASH_BYTES) != 0)
		return problem(v, "checkpoint %llu: does not follow the one before it",
		               (unsigned long long)want);
	err = checkpoint_entries(v, &c);
	if (err != SL_OK)
		return err;
	tip->number = want;
	v->out->nb_checkpoints++;
	return store_hash(sl_span(bytes.mv_data, bytes.mv_size), SL_SPAN_EMPTY, tip->hash) == SL_OK
	               ? SL_OK
	               : problem(v, "SHA-256 failed");
}

static int verify_checkpoints(struct verify *v)
{
	struct checkpoint_tip tip;
	MDB_val k, bytes;
	int rc, err;

	if (checkpoint_start(&tip) != SL_OK)
		return problem(v, "SHA-256 failed");
	while ((rc = mdb_cursor_get(v->others, &k, &bytes, MDB_NEXT)) == 0) {
		if (barred(v))
			return sl_fail(SL_E_STORE_WRITE);
		err = verify_checkpoint(v, k, bytes, &tip);
		if (err != SL_OK)
			return err;
	}
	if (rc != MDB_NOTFOUND)
		return lmdb_problem(v, rc);
	v->out->last_checkpoint = tip.number;
	memcpy(v->out->last_checkpoint_hash, tip.hash, HASH_BYTES);
	return verify_last(v, &tip);
}

/* ---- entry points ---- */

/* The keys that the store itself names; all that there is when nobody gave one. */
static int meta_keys(struct sl_store *s, MDB_txn *txn, struct key_ring *ring)
{
	MDB_cursor *cur;
	MDB_val k, v;
	int rc = mdb_cursor_open(txn, s->db[DB_META], &cur);

	if (rc != 0)
		return rc;
	while ((rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT)) == 0) {
		if (k.mv_size == 4 + KEY_ID_BYTES && memcmp(k.mv_data, "key:", 4) == 0 &&
		    v.mv_size == PUBLIC_BYTES && keys_add_raw(ring, v.mv_data) != SL_OK)
			break;
	}
	mdb_cursor_close(cur);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int run(struct verify *v, const struct sl_id *session)
{
	int rc = mdb_cursor_open(v->txn, v->s->db[DB_RECORDS], &v->records);
	int err;

	if (rc != 0)
		return lmdb_problem(v, rc);
	if (session != NULL) {
		err = verify_one_session(v, session);
		goto out;
	}
	rc = mdb_cursor_open(v->txn, v->s->db[DB_SESSIONS], &v->others);
	err = rc == 0 ? verify_sessions(v) : lmdb_problem(v, rc);
	if (rc == 0)
		mdb_cursor_close(v->others);
	if (err != SL_OK)
		goto out;
	rc = mdb_cursor_open(v->txn, v->s->db[DB_CHECKPOINTS], &v->others);
	err = rc == 0 ? verify_checkpoints(v) : lmdb_problem(v, rc);
	if (rc == 0)
		mdb_cursor_close(v->others);
out:
	mdb_cursor_close(v->records);
	return err;
}

void sl_store_verify_bar(struct sl_store *s)
{
	atomic_fetch_add(&s->verify_barred, 1);
}

void sl_store_verify_unbar(struct sl_store *s)
{
	atomic_fetch_sub(&s->verify_barred, 1);
}

int sl_store_verify(struct sl_store *s, const struct sl_id *session, struct sl_verify_result *out)
{
	struct key_ring found = {.nb = 0};
	struct verify v = {.s = s,
	                   .keys = s->trust_meta ? &found : &s->trusted,
	                   .out = out,
	                   .one_session = session != NULL};
	int rc, err;

	*out = (struct sl_verify_result){.keys_from_store = s->trust_meta};
	pthread_rwlock_rdlock(&s->env_lock);
	rc = s->env == NULL ? MDB_PANIC : mdb_txn_begin(s->env, NULL, MDB_RDONLY, &v.txn);
	if (rc != 0) {
		err = lmdb_problem(&v, rc);
		goto out;
	}
	rc = s->trust_meta ? meta_keys(s, v.txn, &found) : 0;
	err = rc == 0 ? run(&v, session) : lmdb_problem(&v, rc);
	mdb_txn_abort(v.txn);
out:
	pthread_rwlock_unlock(&s->env_lock);
	keys_clear(&found);
	return err == SL_E_STORE_CORRUPT ? sl_fail(err) : err;
}

/* Before the gateway goes on from what it finds. Whole verification is left to the operator: it reads
 * everything. */

/* The last checkpoint and all that it names. */
static int tip_sound(struct verify *v, const struct checkpoint_tip *tip)
{
	uint8_t key[CHECKPOINT_KEY_BYTES];
	MDB_val k = val(key, sizeof(key)), bytes;
	struct checkpoint c;
	int rc, err;

	err = verify_last(v, tip);
	if (err != SL_OK || tip->number == 0)
		return err;
	put_be64(key, tip->number);
	rc = mdb_get(v->txn, v->s->db[DB_CHECKPOINTS], &k, &bytes);
	if (rc != 0)
		return lmdb_problem(v, rc);
	err = checkpoint_read(v, tip->number, bytes, &c);
	return err == SL_OK ? checkpoint_entries(v, &c) : err;
}

/*
 * A session that is to get a gap: what stands before the gap comes under our signature with it. So its end
 * must be one that we signed, and not end the session. What lies further back that end's hash binds.
 */
static int live_end_sound(struct verify *v, const struct sl_id *id)
{
	uint8_t key[RECORD_KEY_BYTES];
	MDB_val k = val(id->b, sizeof(id->b)), r;
	char str[SL_ID_STR_MAX];
	struct sl_span rec;
	struct head h;
	int rc = mdb_get(v->txn, v->s->db[DB_SESSIONS], &k, &r);

	sl_id_str(id, str);
	if (rc != 0 || head_decode(r, &h) != SL_OK)
		return problem(v, "session %s: it is said to have no end, and has no head", str);
	rc = session_covered(v, id, &h);
	if (rc != SL_OK)
		return rc;
	record_key(id, h.nb_records - 1, key);
	k = val(key, sizeof(key));
	rc = mdb_get(v->txn, v->s->db[DB_RECORDS], &k, &r);
	if (rc != 0 || r.mv_size <= HASH_BYTES)
		return problem(v, "session %s: its last record is gone", str);
	rec = sl_span((const uint8_t *)r.mv_data + HASH_BYTES, r.mv_size - HASH_BYTES);
	if (sl_record_check(rec) != SL_OK)
		return problem(v, "session %s: its last record is malformed", str);
	if (record_ends_session((uint8_t)sl_record_get(rec, "k").u))
		return problem(v, "session %s: it is said to have no end, and has one", str);
	return SL_OK;
}

static int live_sound(struct verify *v)
{
	MDB_cursor *cur;
	struct sl_id id;
	MDB_val k, e;
	int rc = mdb_cursor_open(v->txn, v->s->db[DB_LIVE], &cur), err = SL_OK;

	if (rc != 0)
		return lmdb_problem(v, rc);
	while (err == SL_OK && (rc = mdb_cursor_get(cur, &k, &e, MDB_NEXT)) == 0) {
		if (k.mv_size != sizeof(id.b)) {
			err = problem(v, "the list of sessions without an end is malformed");
			break;
		}
		memcpy(id.b, k.mv_data, sizeof(id.b));
		err = live_end_sound(v, &id);
	}
	mdb_cursor_close(cur);
	return err == SL_OK ? cursor_end(v, rc) : err;
}

int verify_at_open(struct sl_store *s, char *err, size_t err_cap)
{
	struct sl_verify_result out = {.nb_sessions = 0};
	struct verify v = {.s = s, .keys = &s->trusted, .out = &out, .one_session = true};
	struct checkpoint_tip tip;
	int rc;

	if (env_read_tip(s, &tip) != SL_OK || mdb_txn_begin(s->env, NULL, MDB_RDONLY, &v.txn) != 0) {
		snprintf(err, err_cap, "%s: cannot be read", s->path);
		return SL_E_STORE_OPEN;
	}
	rc = tip_sound(&v, &tip);
	if (rc == SL_OK)
		rc = live_sound(&v);
	mdb_txn_abort(v.txn);
	if (rc != SL_OK)
		snprintf(err, err_cap, "%s: does not verify: %s", s->path, out.problem);
	return rc;
}
