/* For the tests of inspection: a real store in a directory of its own, a real compiled policy, one worker,
 * one flow. */
#ifndef INSPECT_TEST_UTIL_H
#define INSPECT_TEST_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sl_catalog_build.h"
#include "sl_counter.h"
#include "sl_inspect.h"
#include "sl_policy.h"

#define T_BLOCKS  64
#define T_WALL_US UINT64_C(1700000000000000)
#define T_RECORDS 512

struct fx_column {
	uint32_t table;
	uint16_t attr;
	const char *schema, *relation, *name;
};

struct fx {
	char dir[64];
	struct sl_store *store;
	struct sl_usage *usage;
	struct sl_inspect_worker *w;
	struct sl_snapshot *policy[8]; /* all that were made, the latest last */
	uint32_t nb_policies;
	struct sl_inspect *in;
	struct sl_verdict v;
	struct sl_msg_hold hold;
	uint64_t cmd;
	/* The session's records, by read_records(). */
	uint8_t *rec[T_RECORDS];
	size_t rec_n[T_RECORDS];
	uint32_t nb_recs;
	/* Blocks that were taken to make them scarce. */
	struct sl_block *taken[T_BLOCKS];
	uint32_t nb_taken;
	struct sl_id other;              /* the session that they end up in */
	const struct fx_column *columns; /* of the target's catalog, by table and number */
	uint32_t nb_columns;
	bool no_catalog;
	bool only_these; /* the catalog knows no other relations */
	bool named;      /* statements and portals have names */
};

static inline struct sl_snapshot *compile(struct fx *f, const char *yaml)
{
	struct sl_policy_source src = {.file = "test.yaml", .text = sl_span_str(yaml)};
	struct sl_policy_error err;
	struct sl_snapshot *s = NULL;

	memset(&err, 0, sizeof(err));
	if (sl_policy_compile_keyed(&src, 1, f->nb_policies + 1, 1, &sl_policy_test_keys, &s, &err) != SL_OK)
		fail_msg("policy %u:%u: %s (%s)", err.line, err.column, err.text, err.hint);
	f->policy[f->nb_policies++] = s;
	return s;
}

/* Gives the worker a policy; one of the returned counts is given back as the management core would. */
static inline void apply(struct fx *f, const char *yaml)
{
	struct sl_snapshot *old = sl_inspect_worker_policy(f->w, compile(f, yaml));

	if (old != NULL)
		assert_true(sl_snapshot_unref(old));
}

static inline void fx_up(struct fx *f, const char *yaml)
{
	struct sl_inspect_worker_cfg wcfg = {
	        .worker = 0, .id_salt = 0x123456, .record_replies = true, .reply_bytes_max = 20000};
	struct sl_store_cfg cfg = {
	        .map_bytes = 64u << 20, .nb_workers = 1, .blocks_per_worker = T_BLOCKS, .batch_max = 32};
	char path[80], key[80], err[512] = "";

	memset(f, 0, sizeof(*f));
	snprintf(f->dir, sizeof(f->dir), "/tmp/sluice-inspect-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(path, sizeof(path), "%s/db", f->dir);
	snprintf(key, sizeof(key), "%s/key", f->dir);
	cfg.path = path;
	cfg.sign_key = key;
	if (sl_store_open(&cfg, &f->store, err, sizeof(err)) != SL_OK)
		fail_msg("store: %s", err);
	wcfg.store = f->store;
	wcfg.usage = f->usage = sl_usage_new(1, 0);
	assert_int_equal(sl_inspect_worker_new(&wcfg, &f->w), SL_OK);
	sl_inspect_worker_time(f->w, 1000, T_WALL_US);
	if (yaml != NULL)
		apply(f, yaml);
}

static inline struct sl_identity identity(const char *const *groups)
{
	struct sl_identity id;

	memset(&id, 0, sizeof(id));
	strcpy(id.issuer, "https://idp.example");
	strcpy(id.subject, "agent-7");
	strcpy(id.name, "agent seven");
	for (; *groups != NULL; groups++) {
		strcpy(id.groups + id.groups_n, *groups);
		id.groups_n = (uint16_t)(id.groups_n + strlen(*groups) + 1);
		id.nb_groups++;
	}
	return id;
}

static inline void flow_new(struct fx *f)
{
	struct sl_endpoint client;

	if (f->in != NULL)
		sl_inspect_free(f->in);
	free(f->in);
	f->in = calloc(1, sl_inspect_bytes());
	assert_non_null(f->in);
	assert_int_equal(sl_endpoint_parse("10.1.2.3:45678", &client), SL_OK);
	sl_inspect_open(f->in, f->w, &client, "postgres", true);
	f->cmd = 0;
}

static inline int login(struct fx *f, const char *const *groups)
{
	struct sl_identity who = identity(groups);
	const struct sl_resource *res;
	int rc;

	flow_new(f);
	rc = sl_inspect_login(f->in, &who, SL_SPAN_LIT("shop"), SL_SPAN_LIT("shop"), SL_SPAN_LIT("shop_app"),
	                      SL_SPAN_LIT("psql"), &res);
	if (rc == SL_OK)
		assert_string_equal(res->name, "shop");
	return rc;
}

/* A catalog's row; numbers from 1 to 2^32. */
static inline void catalog_row(struct sl_catalog_builder *b, const char *kind, const struct fx_column *c)
{
	bool relation = kind[0] == '1';
	char table[16], attr[8];
	struct sl_span col[SL_CATALOG_COLUMNS] = {[0] = sl_span_str(kind),
	                                          [3] = sl_span_str(c->name),
	                                          [4] = SL_SPAN_LIT("t"),
	                                          [5] = SL_SPAN_LIT("25")};

	snprintf(table, sizeof(table), "%u", c->table);
	snprintf(attr, sizeof(attr), "%d", relation ? 0 : c->attr);
	col[1] = sl_span_str(table);
	col[2] = sl_span_str(attr);
	if (relation) {
		col[3] = sl_span_str(c->relation);
		col[4] = sl_span_str(c->schema);
		col[5] = SL_SPAN_LIT("0");
		col[6] = SL_SPAN_LIT("r");
	}
	assert_int_equal(sl_catalog_row(b, col), SL_OK);
}

/* What the worker does before each event that needs it. */
static inline void give_catalog(struct fx *f)
{
	struct sl_catalog_wanted want;
	struct sl_catalog_builder *b;
	struct sl_catalog *c;

	if (f->no_catalog || sl_inspect_wants_catalog(f->in, &want) != 1 || want.has != NULL)
		return;
	b = sl_catalog_begin(want.snapshot);
	assert_non_null(b);
	if (!f->only_these)
		sl_catalog_knows_all(b);
	for (uint32_t i = 0; i < f->nb_columns; i++)
		if (i == 0 || f->columns[i].table != f->columns[i - 1].table)
			catalog_row(b, "1", &f->columns[i]);
	for (uint32_t i = 0; i < f->nb_columns; i++)
		catalog_row(b, "2", &f->columns[i]);
	assert_int_equal(sl_catalog_end(b, &c), SL_OK);
	sl_inspect_set_catalog(f->in, c);
	sl_catalog_unref(c);
}

/* Logged in, and the target has accepted. */
static inline void session(struct fx *f, const char *group)
{
	const char *groups[] = {group, NULL};
	struct sl_event ev = {.kind = SL_EV_SESSION};

	assert_int_equal(login(f, groups), SL_OK);
	give_catalog(f);
	assert_int_equal(sl_inspect_event(f->in, &ev, &f->v, NULL), SL_OK);
	assert_int_equal(f->v.action, SL_ACT_ALLOW);
}

static inline void gather(struct fx *f)
{
	struct sl_snapshot *s;

	while ((s = sl_inspect_released(f->w)) != NULL)
		assert_true(sl_snapshot_unref(s));
}

static inline void settle(struct fx *f)
{
	struct timespec nap = {.tv_nsec = 1000000};

	sl_store_kick(f->store, 0);
	for (int i = 0; i < 10000 && sl_store_blocks_free(f->store, 0) < T_BLOCKS - f->nb_taken; i++)
		nanosleep(&nap, NULL);
	assert_int_equal(sl_store_blocks_free(f->store, 0), T_BLOCKS - f->nb_taken);
}

/* Leaves `left` blocks free. */
static inline void take_blocks(struct fx *f, uint32_t left)
{
	settle(f);
	while (sl_store_blocks_free(f->store, 0) > left) {
		f->taken[f->nb_taken] = sl_store_block_get(f->store, 0);
		assert_non_null(f->taken[f->nb_taken]);
		f->nb_taken++;
	}
}

static inline void give_blocks(struct fx *f)
{
	static struct sl_id_maker maker = {.salt = 7, .maker = 200};
	struct sl_id id = sl_id_make(&maker, T_WALL_US);
	struct sl_record_writer rw;

	for (uint32_t i = 0; i < f->nb_taken; i++) {
		struct sl_block *b = f->taken[i];

		sl_record_begin(&rw, b->data, sizeof(b->data), i == 0 ? SL_REC_SESSION : SL_REC_NOTE,
		                T_WALL_US, i, 0);
		b->n = (uint16_t)sl_record_end(&rw);
		b->session = id;
		b->record = i;
		b->kind = i == 0 ? SL_REC_SESSION : SL_REC_NOTE;
		sl_store_block_put(f->store, 0, b);
	}
	f->nb_taken = 0;
	settle(f);
}

static inline void free_records(struct fx *f)
{
	while (f->nb_recs > 0)
		free(f->rec[--f->nb_recs]);
}

static inline int keep_record(void *ctx, uint64_t number, struct sl_span rec)
{
	struct fx *f = ctx;

	assert_int_equal(number, f->nb_recs);
	assert_true(f->nb_recs < T_RECORDS);
	assert_int_equal(sl_record_check(rec), SL_OK);
	f->rec[f->nb_recs] = malloc(rec.n);
	assert_non_null(f->rec[f->nb_recs]);
	memcpy(f->rec[f->nb_recs], rec.p, rec.n);
	f->rec_n[f->nb_recs++] = rec.n;
	return 0;
}

/* All records of the flow's session, once they are on the disk. Returns their number. */
static inline uint32_t read_records(struct fx *f)
{
	struct sl_id id = sl_inspect_session(f->in);
	int rc;

	settle(f);
	free_records(f);
	rc = sl_store_records(f->store, &id, 0, keep_record, f);
	assert_true(rc == SL_OK || rc == SL_E_NOTFOUND);
	return f->nb_recs;
}

static inline struct sl_record_value value(const struct fx *f, uint32_t i, const char *key)
{
	assert_true(i < f->nb_recs);
	return sl_record_get(sl_span(f->rec[i], f->rec_n[i]), key);
}

static inline uint64_t num(const struct fx *f, uint32_t i, const char *key)
{
	struct sl_record_value v = value(f, i, key);

	assert_true(v.type == SL_RV_UINT || v.type == SL_RV_BOOL);
	return v.u;
}

static inline void expect_text(const struct fx *f, uint32_t i, const char *key, const char *want)
{
	struct sl_record_value v = value(f, i, key);
	char got[SL_RECORD_MAX];

	if (want == NULL) {
		assert_int_equal(v.type, SL_RV_NONE);
		return;
	}
	assert_true(v.type == SL_RV_STR || v.type == SL_RV_BIN);
	sl_span_cstr(v.s, got, sizeof(got));
	assert_string_equal(got, want);
}

static inline int command_with(struct fx *f, enum sl_phase phase, const char *text,
                               const struct sl_param *params, uint32_t nb)
{
	struct sl_event ev = {.kind = SL_EV_COMMAND, .cmd = f->cmd + 1};
	int rc;

	ev.command.phase = phase;
	ev.command.op = phase == SL_PHASE_OTHER ? sl_span_str(text) : SL_SPAN_LIT("query");
	ev.command.text = phase == SL_PHASE_OTHER ? SL_SPAN_EMPTY : sl_span_str(text);
	ev.command.params = params;
	ev.command.nb_params = nb;
	ev.command.named = f->named && phase != SL_PHASE_SIMPLE;
	memset(&f->hold, 0, sizeof(f->hold));
	give_catalog(f);
	rc = sl_inspect_event(f->in, &ev, &f->v, &f->hold);
	if (rc == SL_OK)
		f->cmd++;
	return rc;
}

static inline int command(struct fx *f, const char *text)
{
	return command_with(f, SL_PHASE_SIMPLE, text, NULL, 0);
}

static inline int result(struct fx *f, uint64_t cmd, const char *tag)
{
	struct sl_event ev = {.kind = SL_EV_RESULT, .cmd = cmd};
	int rc;

	ev.result.tag = sl_span_str(tag);
	ev.result.rows = 3;
	rc = sl_inspect_event(f->in, &ev, &f->v, NULL);
	gather(f);
	return rc;
}

static inline void expect_denied(const struct fx *f, enum sl_reason_code code, const char *part)
{
	char text[1024];

	assert_int_equal(f->v.action, SL_ACT_DENY);
	assert_int_equal(f->v.reason.code, code);
	sl_span_cstr(f->v.reason.message, text, sizeof(text));
	if (strstr(text, part) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", part, text);
}

/* "<session>.<n>" */
static inline void expect_event_id(const struct fx *f, uint64_t n)
{
	struct sl_id id = sl_inspect_session(f->in);
	char want[64], got[64], str[SL_ID_STR_MAX];

	snprintf(want, sizeof(want), "%s.%llu", sl_id_str(&id, str), (unsigned long long)n);
	sl_span_cstr(f->v.reason.event_id, got, sizeof(got));
	assert_string_equal(got, want);
}

static inline void close_flow(struct fx *f)
{
	assert_int_equal(sl_inspect_close(f->in, SL_OK, SL_SPAN_LIT("client closed"), 100, 200), SL_OK);
	gather(f);
}

static inline void fx_down(struct fx *f)
{
	struct sl_verify_result res;
	struct sl_snapshot *last = sl_inspect_worker_policy(f->w, NULL);
	char cmd[128];

	if (last != NULL)
		assert_true(sl_snapshot_unref(last));
	settle(f);
	assert_int_equal(sl_store_verify(f->store, NULL, &res), SL_OK);
	for (uint32_t i = 0; i < f->nb_policies; i++) {
		assert_int_equal(atomic_load(&f->policy[i]->refs), 0);
		sl_policy_free(f->policy[i]);
	}
	free_records(f);
	if (f->in != NULL)
		sl_inspect_free(f->in);
	free(f->in);
	sl_inspect_worker_free(f->w);
	sl_usage_free(f->usage);
	sl_store_close(f->store);
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", f->dir);
	assert_int_equal(system(cmd), 0);
}

#endif
