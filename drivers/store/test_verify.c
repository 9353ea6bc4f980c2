/* Tampering with the files of a store that is not open: each way is found, and named. */
#include "test_util.h"

#include <openssl/evp.h>

#include "store_priv.h"

#define NB_SESSIONS 3
#define NB_RECORDS  6

struct disk {
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi db[DB_COUNT];
};

static struct sl_id nth_session(uint32_t n)
{
	return session_id(0, n + 1);
}

static void disk_open(struct disk *k, const struct dir *d)
{
	static const char *const names[DB_COUNT] = {"meta", "records", "sessions", "live", "checkpoints"};

	assert_int_equal(mdb_env_create(&k->env), 0);
	assert_int_equal(mdb_env_set_maxdbs(k->env, 8), 0);
	assert_int_equal(mdb_env_set_mapsize(k->env, TEST_MAP_BYTES), 0);
	assert_int_equal(mdb_env_open(k->env, d->store, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(k->env, NULL, 0, &k->txn), 0);
	for (int i = 0; i < DB_COUNT; i++)
		assert_int_equal(mdb_dbi_open(k->txn, names[i], 0, &k->db[i]), 0);
}

static void disk_close(struct disk *k)
{
	assert_int_equal(mdb_txn_commit(k->txn), 0);
	mdb_env_close(k->env);
}

/* A copy of a value, with room to change it. */
static size_t disk_get(struct disk *k, enum core_db db, const void *key, size_t n, uint8_t *out)
{
	MDB_val kv = val(key, n), v;

	assert_int_equal(mdb_get(k->txn, k->db[db], &kv, &v), 0);
	memcpy(out, v.mv_data, v.mv_size);
	return v.mv_size;
}

static void disk_put(struct disk *k, enum core_db db, const void *key, size_t n, const uint8_t *value,
                     size_t nv)
{
	MDB_val kv = val(key, n), v = val(value, nv);

	assert_int_equal(mdb_put(k->txn, k->db[db], &kv, &v, 0), 0);
}

static void disk_del(struct disk *k, enum core_db db, const void *key, size_t n)
{
	MDB_val kv = val(key, n);

	assert_int_equal(mdb_del(k->txn, k->db[db], &kv, NULL), 0);
}

static void del_record(struct disk *k, uint32_t session, uint64_t n)
{
	struct sl_id id = nth_session(session);
	uint8_t key[RECORD_KEY_BYTES];

	record_key(&id, n, key);
	disk_del(k, DB_RECORDS, key, sizeof(key));
}

static void swap(struct disk *k, enum core_db db, const void *a, const void *b, size_t n)
{
	uint8_t va[16384], vb[16384];
	size_t na = disk_get(k, db, a, n, va), nb = disk_get(k, db, b, n, vb);

	disk_put(k, db, a, n, vb, nb);
	disk_put(k, db, b, n, va, na);
}

static void get_head(struct disk *k, uint32_t session, struct head *h)
{
	struct sl_id id = nth_session(session);
	uint8_t bytes[HEAD_BYTES];

	assert_int_equal(disk_get(k, DB_SESSIONS, id.b, sizeof(id.b), bytes), HEAD_BYTES);
	assert_int_equal(head_decode(val(bytes, sizeof(bytes)), h), 0);
}

static void put_head(struct disk *k, uint32_t session, const struct head *h)
{
	struct sl_id id = nth_session(session);
	uint8_t bytes[HEAD_BYTES];

	head_encode(h, bytes);
	disk_put(k, DB_SESSIONS, id.b, sizeof(id.b), bytes, sizeof(bytes));
}

/* Recomputes the chain of a session from a record on, as somebody would who knows how: head too when asked.
 */
static void rechain(struct disk *k, uint32_t session, uint64_t nb, struct head *h)
{
	struct sl_id id = nth_session(session);
	uint8_t hash[HASH_BYTES], key[RECORD_KEY_BYTES], v[16384];

	*h = (struct head){.checkpoint = h->checkpoint};
	assert_int_equal(store_hash_start(&id, hash), 0);
	for (uint64_t i = 0; i < nb; i++) {
		struct sl_span rec;
		size_t n;

		record_key(&id, i, key);
		n = disk_get(k, DB_RECORDS, key, sizeof(key), v);
		rec = sl_span(v + HASH_BYTES, n - HASH_BYTES);
		assert_int_equal(store_hash(sl_span(hash, HASH_BYTES), rec, hash), 0);
		memcpy(v, hash, HASH_BYTES);
		disk_put(k, DB_RECORDS, key, sizeof(key), v, n);
		head_add(h, (uint8_t)sl_record_get(rec, "k").u, sl_record_get(rec, "t").u);
	}
	memcpy(h->hash, hash, HASH_BYTES);
}

/* ---- the ways ---- */

static void change_record(struct disk *k)
{
	struct sl_id id = nth_session(1);
	uint8_t key[RECORD_KEY_BYTES], v[16384];
	size_t n;

	record_key(&id, 3, key);
	n = disk_get(k, DB_RECORDS, key, sizeof(key), v);
	v[n - 1] ^= 1;
	disk_put(k, DB_RECORDS, key, sizeof(key), v, n);
}

static void change_hash(struct disk *k)
{
	struct sl_id id = nth_session(1);
	uint8_t key[RECORD_KEY_BYTES], v[16384];
	size_t n;

	record_key(&id, 4, key);
	n = disk_get(k, DB_RECORDS, key, sizeof(key), v);
	v[0] ^= 1;
	disk_put(k, DB_RECORDS, key, sizeof(key), v, n);
}

static void change_and_rechain(struct disk *k)
{
	struct head h;

	change_record(k);
	get_head(k, 1, &h);
	rechain(k, 1, NB_RECORDS, &h);
	put_head(k, 1, &h);
}

static void delete_record(struct disk *k)
{
	del_record(k, 1, 2);
}

static void delete_first(struct disk *k)
{
	del_record(k, 1, 0);
}

static void delete_tail(struct disk *k)
{
	for (uint64_t i = NB_RECORDS - 3; i < NB_RECORDS; i++)
		del_record(k, 1, i);
}

/* The head too is set back, to the checkpoint that was true then. */
static void list_ended(struct disk *k)
{
	struct sl_id id = nth_session(1);

	disk_put(k, DB_LIVE, id.b, sizeof(id.b), (const uint8_t *)"", 0);
}

static void delete_tail_and_head(struct disk *k)
{
	struct head h;

	delete_tail(k);
	get_head(k, 1, &h);
	rechain(k, 1, NB_RECORDS - 3, &h);
	h.checkpoint -= 3;
	put_head(k, 1, &h);
	list_ended(k);
}

static void reorder_records(struct disk *k)
{
	struct sl_id id = nth_session(1);
	uint8_t a[RECORD_KEY_BYTES], b[RECORD_KEY_BYTES];

	record_key(&id, 2, a);
	record_key(&id, 3, b);
	swap(k, DB_RECORDS, a, b, sizeof(a));
}

static void append_record(struct disk *k)
{
	struct sl_id id = nth_session(1);
	uint8_t key[RECORD_KEY_BYTES], v[SL_RECORD_MAX + HASH_BYTES];
	struct sl_block *b = calloc(1, sizeof(*b));
	struct head h;

	assert_non_null(b);
	fill_block(b, &id, NB_RECORDS, SL_REC_NOTE, 10);
	memset(v, 0, HASH_BYTES);
	memcpy(v + HASH_BYTES, b->data, b->n);
	record_key(&id, NB_RECORDS, key);
	disk_put(k, DB_RECORDS, key, sizeof(key), v, HASH_BYTES + (size_t)b->n);
	free(b);
	get_head(k, 1, &h);
	rechain(k, 1, NB_RECORDS + 1, &h);
	put_head(k, 1, &h);
}

static void drop_head(struct disk *k)
{
	struct sl_id id = nth_session(1);

	disk_del(k, DB_SESSIONS, id.b, sizeof(id.b));
}

static void drop_records(struct disk *k)
{
	for (uint64_t i = 0; i < NB_RECORDS; i++)
		del_record(k, 1, i);
}

static void drop_session(struct disk *k)
{
	drop_head(k);
	drop_records(k);
}

static void checkpoint_key(uint64_t n, uint8_t key[CHECKPOINT_KEY_BYTES])
{
	put_be64(key, n);
}

static void drop_checkpoint(struct disk *k)
{
	uint8_t key[CHECKPOINT_KEY_BYTES];

	checkpoint_key(3, key);
	disk_del(k, DB_CHECKPOINTS, key, sizeof(key));
}

static void drop_last_checkpoint(struct disk *k)
{
	uint8_t key[CHECKPOINT_KEY_BYTES];

	checkpoint_key((uint64_t)NB_SESSIONS * NB_RECORDS, key);
	disk_del(k, DB_CHECKPOINTS, key, sizeof(key));
}

static void swap_checkpoints(struct disk *k)
{
	uint8_t a[CHECKPOINT_KEY_BYTES], b[CHECKPOINT_KEY_BYTES];

	checkpoint_key(3, a);
	checkpoint_key(4, b);
	swap(k, DB_CHECKPOINTS, a, b, sizeof(a));
}

static void change_checkpoint(struct disk *k)
{
	uint8_t key[CHECKPOINT_KEY_BYTES], v[16384];
	size_t n;

	checkpoint_key(4, key);
	n = disk_get(k, DB_CHECKPOINTS, key, sizeof(key), v);
	v[CHECKPOINT_HEAD_BYTES + 30] ^= 1;
	disk_put(k, DB_CHECKPOINTS, key, sizeof(key), v, n);
}

static void shorten_checkpoint(struct disk *k)
{
	uint8_t key[CHECKPOINT_KEY_BYTES], v[16384];
	size_t n;

	checkpoint_key(4, key);
	n = disk_get(k, DB_CHECKPOINTS, key, sizeof(key), v);
	disk_put(k, DB_CHECKPOINTS, key, sizeof(key), v, n - 1);
}

/* Signs a changed checkpoint with a key of its own, and puts that key into the store. */
static void forge_checkpoint(struct disk *k)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	uint8_t ck[CHECKPOINT_KEY_BYTES], v[16384], name[4 + KEY_ID_BYTES] = "key:", raw[PUBLIC_BYTES],
	                                                     hash[HASH_BYTES];
	struct checkpoint_tip tip = {.number = 3};
	size_t n = sizeof(raw);

	assert_non_null(key);
	assert_int_equal(EVP_PKEY_get_raw_public_key(key, raw, &n), 1);
	assert_int_equal(store_hash(sl_span(raw, sizeof(raw)), SL_SPAN_EMPTY, hash), 0);
	memcpy(name + 4, hash, KEY_ID_BYTES);
	disk_put(k, DB_META, name, sizeof(name), raw, sizeof(raw));
	checkpoint_key(4, ck);
	n = disk_get(k, DB_CHECKPOINTS, ck, sizeof(ck), v);
	memcpy(v + 24, hash, KEY_ID_BYTES);
	assert_int_equal(checkpoint_end(v, 1, key, &tip), 0);
	disk_put(k, DB_CHECKPOINTS, ck, sizeof(ck), v, n);
	EVP_PKEY_free(key);
}

static void list_none(struct disk *k)
{
	struct sl_id id = nth_session(NB_SESSIONS + 1);

	disk_put(k, DB_LIVE, id.b, sizeof(id.b), (const uint8_t *)"", 0);
}

static void unend(struct disk *k)
{
	struct head h;

	get_head(k, 1, &h);
	h.ended = false;
	put_head(k, 1, &h);
	list_ended(k);
}

static void drop_note(struct disk *k)
{
	disk_del(k, DB_META, "last", 4);
}

static const struct way {
	const char *name;
	void (*tamper)(struct disk *k);
	const char *problem; /* %s: the session's id */
} ways[] = {
        {"change a record", change_record, "session %s record 3: hash differs"},
        {"change a hash", change_hash, "session %s record 4: hash differs"},
        {"change a record and its chain", change_and_rechain, "session %s record 5: no checkpoint covers it"},
        {"delete a record", delete_record, "session %s record 2: missing"},
        {"delete the first record", delete_first, "session %s record 0: missing"},
        {"delete the tail", delete_tail, "session %s: its last 3 records (from record 3 on) are gone"},
        {"delete the tail, mend the head", delete_tail_and_head,
         "session %s: record 3, which checkpoint 10 names, is gone"},
        {"swap two records", reorder_records, "session %s record 2: hash differs"},
        {"append a record", append_record, "session %s record 6: no checkpoint covers it"},
        {"drop a head", drop_head, "session %s: has records and no head"},
        {"drop all records", drop_records, "session %s: its last 6 records (from record 0 on) are gone"},
        {"drop a session", drop_session, "session %s: record 0, which checkpoint 7 names, is gone"},
        {"drop a checkpoint", drop_checkpoint, "checkpoint 3: missing"},
        {"drop the last checkpoint", drop_last_checkpoint, "checkpoint 18: missing"},
        {"swap checkpoints", swap_checkpoints, "checkpoint 3: in its place stands checkpoint 4"},
        {"change a checkpoint", change_checkpoint, "checkpoint 4: its signature is wrong"},
        {"shorten a checkpoint", shorten_checkpoint, "checkpoint 4: malformed"},
        {"sign with another key", forge_checkpoint, "checkpoint 4: signed by an unknown key"},
        {"drop the note", drop_note, "the note of the last checkpoint is gone"},
        {"say that a session has no end", unend, "session %s: its head does not say what its records say"},
        {"list a session that has ended", list_ended, "session %s: it has ended and is in the list"},
        {"list a session that never was", list_none, "the list of sessions without an end names 1 that"},
};

static void verify_readonly(const struct dir *d, bool with_key, struct sl_verify_result *r)
{
	struct sl_store *s;
	char err[512] = "";
	int rc;

	if (sl_store_open_readonly(d->store, &s, err, sizeof(err)) != SL_OK)
		fail_msg("%s", err);
	if (with_key)
		assert_int_equal(sl_store_trust(s, d->key, err, sizeof(err)), 0);
	rc = sl_store_verify(s, NULL, r);
	assert_int_equal(rc, r->problem[0] == '\0' ? SL_OK : SL_E_STORE_CORRUPT);
	assert_int_equal(r->keys_from_store, !with_key);
	sl_store_close(s);
}

static void make_store(struct dir *d)
{
	struct sl_store *s;

	*d = dir_make();
	s = store_up(d);
	for (uint32_t i = 0; i < NB_SESSIONS; i++) {
		struct sl_id id = nth_session(i);

		put_session(s, 0, &id, NB_RECORDS, true);
	}
	sl_store_close(s);
}

static void test_tamper(void **state)
{
	struct sl_id id = nth_session(1);
	char want[256], str[SL_ID_STR_MAX];
	struct sl_verify_result r;
	struct disk k;
	struct dir d;

	(void)state;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		const char *at = strstr(ways[i].problem, "%s");

		make_store(&d);
		verify_readonly(&d, true, &r);
		assert_string_equal(r.problem, "");
		disk_open(&k, &d);
		ways[i].tamper(&k);
		disk_close(&k);
		verify_readonly(&d, true, &r);
		if (at == NULL)
			snprintf(want, sizeof(want), "%s", ways[i].problem);
		else
			snprintf(want, sizeof(want), "%.*s%s%s", (int)(at - ways[i].problem), ways[i].problem,
			         sl_id_str(&id, str), at + 2);
		if (strncmp(r.problem, want, strlen(want)) != 0)
			fail_msg("%s: got \"%s\", want \"%s\"", ways[i].name, r.problem, want);
		dir_remove(&d);
	}
}

/* A session that the gateway died in, taken off the list by which it is to get its gap. */
static void test_live_list(void **state)
{
	struct sl_id live = nth_session(NB_SESSIONS);
	struct sl_verify_result r;
	char want[128], str[SL_ID_STR_MAX];
	struct sl_store *s;
	struct disk k;
	struct dir d;

	(void)state;
	make_store(&d);
	s = store_up(&d);
	wait_durable(s, 0, put_record(s, 0, &live, 0, SL_REC_SESSION));
	wait_durable(s, 0, put_record(s, 0, &live, 1, SL_REC_COMMAND));
	sl_store_close(s);
	verify_readonly(&d, true, &r);
	assert_string_equal(r.problem, "");
	disk_open(&k, &d);
	disk_del(&k, DB_LIVE, live.b, sizeof(live.b));
	disk_close(&k);
	snprintf(want, sizeof(want),
	         "session %s: it has no end and is not in the list of sessions without an end",
	         sl_id_str(&live, str));
	verify_readonly(&d, true, &r);
	assert_string_equal(r.problem, want);
	/* the gateway starts, and does not mend it: it still shows */
	s = store_up(&d);
	sl_store_close(s);
	verify_readonly(&d, true, &r);
	assert_string_equal(r.problem, want);
	dir_remove(&d);
}

/* Any one bit of any value or key: found. */
static void test_random_bits(void **state)
{
	static const enum core_db dbs[] = {DB_RECORDS, DB_SESSIONS, DB_CHECKPOINTS};
	unsigned int seed = (unsigned int)time(NULL);
	struct sl_verify_result r;
	struct disk k;
	struct dir d;

	(void)state;
	printf("seed %u\n", seed);
	srandom(seed);
	make_store(&d);
	for (int i = 0; i < 150; i++) {
		enum core_db db = dbs[random() % 3];
		MDB_cursor *cur;
		MDB_val kv, v;
		uint8_t key[64], bytes[16384];
		size_t n, bit;

		disk_open(&k, &d);
		assert_int_equal(mdb_cursor_open(k.txn, k.db[db], &cur), 0);
		assert_int_equal(mdb_cursor_get(cur, &kv, &v, MDB_FIRST), 0);
		for (long j = random() % 18; j > 0 && mdb_cursor_get(cur, &kv, &v, MDB_NEXT) == 0; j--)
			;
		assert_int_equal(mdb_cursor_get(cur, &kv, &v, MDB_GET_CURRENT), 0);
		n = v.mv_size;
		memcpy(key, kv.mv_data, kv.mv_size);
		memcpy(bytes, v.mv_data, n);
		mdb_cursor_close(cur);
		bit = (size_t)random() % (n * 8);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		disk_put(&k, db, key, kv.mv_size, bytes, n);
		disk_close(&k);
		verify_readonly(&d, true, &r);
		if (r.problem[0] == '\0')
			fail_msg("bit %zu of db %d was not found", bit, (int)db);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		disk_open(&k, &d);
		disk_put(&k, db, key, kv.mv_size, bytes, n);
		disk_close(&k);
	}
	verify_readonly(&d, true, &r);
	assert_string_equal(r.problem, "");
	dir_remove(&d);
}

/* The gateway itself looks at the last checkpoint when it opens, and does not go on from one that is not its
 * own. */
static void test_open_checks_tip(void **state)
{
	struct sl_store_cfg cfg;
	struct sl_store *s;
	struct disk k;
	struct dir d;
	char err[512], other[96];

	(void)state;
	make_store(&d);
	disk_open(&k, &d);
	drop_last_checkpoint(&k);
	disk_close(&k);
	cfg = cfg_of(&d);
	assert_int_equal(sl_store_open(&cfg, &s, err, sizeof(err)), SL_E_STORE_CORRUPT);
	assert_non_null(strstr(err, "checkpoint 18: missing"));
	dir_remove(&d);
	make_store(&d);
	snprintf(other, sizeof(other), "%s/key2", d.path);
	cfg = cfg_of(&d);
	cfg.sign_key = other;
	assert_int_equal(sl_store_open(&cfg, &s, err, sizeof(err)), SL_E_STORE_CORRUPT);
	assert_non_null(strstr(err, "unknown key"));
	(void)remove(other);
	snprintf(other, sizeof(other), "%s/key2.pub", d.path);
	(void)remove(other);
	dir_remove(&d);
}

static void append_file(const char *to, const char *from)
{
	FILE *in = fopen(from, "re"), *out = fopen(to, "ae");
	char line[256];

	assert_true(in != NULL && out != NULL);
	while (fgets(line, sizeof(line), in) != NULL)
		assert_true(fputs(line, out) >= 0);
	fclose(in);
	assert_int_equal(fclose(out), 0);
}

/* A new key takes over when the old one's public half stands behind it in the file. */
static void test_key_rotation(void **state)
{
	struct sl_id id = session_id(1, 99);
	char old_pub[96], pub[96];
	struct sl_verify_result r;
	struct sl_store *s;
	struct dir d;

	(void)state;
	make_store(&d);
	snprintf(pub, sizeof(pub), "%s.pub", d.key);
	snprintf(old_pub, sizeof(old_pub), "%s/old.pub", d.path);
	assert_int_equal(rename(pub, old_pub), 0);
	assert_int_equal(remove(d.key), 0);
	{
		struct sl_store_cfg cfg = cfg_of(&d);
		char err[512];

		assert_int_equal(sl_store_open(&cfg, &s, err, sizeof(err)), SL_E_STORE_CORRUPT);
	}
	append_file(d.key, old_pub);
	s = store_up(&d);
	put_session(s, 0, &id, 3, true);
	assert_int_equal(sl_store_verify(s, NULL, &r), 0);
	sl_store_close(s);
	verify_readonly(&d, true, &r);
	assert_string_equal(r.problem, "");
	verify_readonly(&d, false, &r);
	assert_string_equal(r.problem, "");
	(void)remove(old_pub);
	dir_remove(&d);
}

/* ---- what the gateway itself would sign at its next start ---- */

/* A record of a session, as somebody would put it there who has the files and not the key. */
static void forge_record(struct disk *k, const struct sl_id *id, uint64_t n, enum sl_record_kind kind,
                         struct head *h)
{
	uint8_t key[RECORD_KEY_BYTES], v[SL_RECORD_MAX + HASH_BYTES], bytes[HEAD_BYTES];
	struct sl_block *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	fill_block(b, id, n, kind, 10);
	if (n == 0)
		assert_int_equal(store_hash_start(id, h->hash), 0);
	assert_int_equal(store_hash(sl_span(h->hash, HASH_BYTES), sl_span(b->data, b->n), h->hash), 0);
	memcpy(v, h->hash, HASH_BYTES);
	memcpy(v + HASH_BYTES, b->data, b->n);
	record_key(id, n, key);
	disk_put(k, DB_RECORDS, key, sizeof(key), v, HASH_BYTES + (size_t)b->n);
	h->first_kind = SL_REC_SESSION;
	h->last_kind = (uint8_t)kind;
	h->nb_records = n + 1;
	h->ended = false;
	head_encode(h, bytes);
	disk_put(k, DB_SESSIONS, id->b, sizeof(id->b), bytes, sizeof(bytes));
	disk_put(k, DB_LIVE, id->b, sizeof(id->b), (const uint8_t *)"", 0);
	free(b);
}

/* Not started on, by name of the session; and nothing of it is signed by that. */
static void start_refused(const struct dir *d, const struct sl_id *id, const char *problem)
{
	struct sl_store_cfg cfg = cfg_of(d);
	struct sl_verify_result before, after;
	char err[512] = "", want[128], str[SL_ID_STR_MAX];
	struct sl_store *s;

	verify_readonly(d, true, &before);
	assert_int_equal(sl_store_open(&cfg, &s, err, sizeof(err)), SL_E_STORE_CORRUPT);
	snprintf(want, sizeof(want), "does not verify: session %s%s", sl_id_str(id, str), problem);
	if (strstr(err, want) == NULL)
		fail_msg("got \"%s\", want \"%s\"", err, want);
	verify_readonly(d, true, &after);
	assert_string_equal(after.problem, before.problem);
	assert_int_equal(after.last_checkpoint, before.last_checkpoint);
}

/* A session that never was, left as if the gateway had died in it. */
static void test_start_signs_no_forged_session(void **state)
{
	struct sl_id id = nth_session(77);
	struct head h = {.checkpoint = 1};
	struct disk k;
	struct dir d;

	(void)state;
	make_store(&d);
	disk_open(&k, &d);
	forge_record(&k, &id, 0, SL_REC_SESSION, &h);
	forge_record(&k, &id, 1, SL_REC_COMMAND, &h);
	forge_record(&k, &id, 2, SL_REC_RESULT, &h);
	disk_close(&k);
	start_refused(&d, &id, " record 2: no checkpoint covers it");
	dir_remove(&d);
}

/* Records behind those of a session that the gateway died in, and behind one that had ended. */
static void test_start_signs_no_forged_tail(void **state)
{
	struct sl_id live = nth_session(50), ended = nth_session(1);
	struct sl_store *s;
	struct head h;
	struct disk k;
	struct dir d;

	(void)state;
	make_store(&d);
	s = store_up(&d);
	wait_durable(s, 0, put_record(s, 0, &live, 0, SL_REC_SESSION));
	wait_durable(s, 0, put_record(s, 0, &live, 1, SL_REC_COMMAND));
	sl_store_close(s);
	disk_open(&k, &d);
	get_head(&k, 50, &h);
	forge_record(&k, &live, 2, SL_REC_COMMAND, &h);
	disk_close(&k);
	start_refused(&d, &live, " record 2: no checkpoint covers it");
	dir_remove(&d);
	make_store(&d);
	disk_open(&k, &d);
	get_head(&k, 1, &h);
	forge_record(&k, &ended, NB_RECORDS, SL_REC_COMMAND, &h);
	disk_close(&k);
	start_refused(&d, &ended, " record 6: no checkpoint covers it");
	dir_remove(&d);
}

/* A session that had ended, in the list of those without an end: its gap would be one record more. */
static void test_start_signs_no_second_end(void **state)
{
	struct sl_id ended = nth_session(1), none = nth_session(9);
	struct disk k;
	struct dir d;

	(void)state;
	make_store(&d);
	disk_open(&k, &d);
	disk_put(&k, DB_LIVE, ended.b, sizeof(ended.b), (const uint8_t *)"", 0);
	disk_close(&k);
	start_refused(&d, &ended, ": it is said to have no end, and has one");
	disk_open(&k, &d);
	disk_del(&k, DB_LIVE, ended.b, sizeof(ended.b));
	disk_put(&k, DB_LIVE, none.b, sizeof(none.b), (const uint8_t *)"", 0);
	disk_close(&k);
	start_refused(&d, &none, ": it is said to have no end, and has no head");
	dir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_tamper),
	        cmocka_unit_test(test_live_list),
	        cmocka_unit_test(test_random_bits),
	        cmocka_unit_test(test_open_checks_tip),
	        cmocka_unit_test(test_key_rotation),
	        cmocka_unit_test(test_start_signs_no_forged_session),
	        cmocka_unit_test(test_start_signs_no_forged_tail),
	        cmocka_unit_test(test_start_signs_no_second_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
