/* Sessions and their records, as the store has them. */
#include <stdlib.h>

#include "json.h"
#include "rest_priv.h"
#include "sl_counter.h"
#include "sl_log.h"

#define SESSIONS_MAX      500
#define RECORDS_MAX       1000
#define RECORDS_BYTES_MAX (2u << 20) /* of encoded records in one reply */

/* ---- a record ---- */

static json_t *array_json(struct sl_record_value v)
{
	struct sl_span rest = v.s;
	json_t *list = json_array();

	for (uint32_t i = 0; i < v.nb_items; i++) {
		struct sl_record_value item = sl_record_next(&rest);

		if (item.type == SL_RV_STR || item.type == SL_RV_BIN)
			json_array_append_new(list, mg_json_text(item.s));
		else if (item.type == SL_RV_UINT)
			json_array_append_new(list, json_integer((json_int_t)item.u));
		else
			json_array_append_new(list, json_null());
	}
	return list;
}

/* Reply data is any bytes: base64. Digests read best in hex. Statement text is text. */
static json_t *value_json(struct sl_span key, struct sl_record_value v)
{
	switch (v.type) {
	case SL_RV_UINT:
		return json_integer((json_int_t)v.u);
	case SL_RV_BOOL:
		return json_boolean(v.u != 0);
	case SL_RV_STR:
	case SL_RV_BIN:
		if (sl_span_is(key, "d"))
			return mg_json_base64(v.s);
		return v.type == SL_RV_BIN && sl_span_is(key, "h") ? mg_json_hex(v.s) : mg_json_text(v.s);
	case SL_RV_ARRAY:
		return array_json(v);
	default:
		return json_null();
	}
}

json_t *mg_record_json(struct sl_span rec)
{
	struct sl_span rest, key;
	struct sl_record_value v;
	enum sl_record_kind kind;
	json_t *o;

	if (sl_record_check(rec) != SL_OK)
		return NULL;
	kind = (enum sl_record_kind)sl_record_get(rec, "k").u;
	o = json_pack("{s:s}", "kind", sl_record_kind_name(kind));
	rest = sl_record_pairs(rec);
	while (o != NULL && sl_record_pair(&rest, &key, &v)) {
		const char *name = sl_record_key_name(kind, key);

		if (name != NULL)
			json_object_set_new(o, name, value_json(key, v));
	}
	return o;
}

/* ---- the list ---- */

struct listing {
	struct sl_session_head heads[SESSIONS_MAX];
	json_t *objects[SESSIONS_MAX];
	uint32_t nb, limit;
};

static json_t *text_of(struct sl_span rec, const char *key)
{
	struct sl_record_value v = sl_record_get(rec, key);

	return v.type == SL_RV_STR || v.type == SL_RV_BIN ? mg_json_text(v.s) : json_null();
}

static const char *state_of(const struct sl_session_head *h)
{
	if (h->first_kind == SL_REC_REFUSED)
		return "refused";
	if (!h->ended)
		return "live";
	return h->last_kind == SL_REC_GAP ? "gap" : "ended";
}

static json_t *session_json(const struct sl_session_head *h, struct sl_span first)
{
	bool ok = sl_record_check(first) == SL_OK, live = strcmp(state_of(h), "live") == 0;
	struct sl_span rec = ok ? first : SL_SPAN_EMPTY;
	json_t *o = json_pack("{s:o,s:s,s:I,s:I,s:n,s:n,s:n}", "id", mg_json_id(&h->id), "state", state_of(h),
	                      "started_us", (json_int_t)h->first_us, "records", (json_int_t)h->nb_records,
	                      "ended_us", "commands", "denied");
	static const char *const keys[][2] = {{"user", "u"},      {"issuer", "iss"}, {"resource", "r"},
	                                      {"database", "db"}, {"client", "c"},   {"protocol", "p"}};

	for (size_t i = 0; o != NULL && i < sizeof(keys) / sizeof(keys[0]); i++)
		json_object_set_new(o, keys[i][0], ok ? text_of(rec, keys[i][1]) : json_null());
	if (o != NULL && !live)
		json_object_set_new(o, "ended_us", json_integer((json_int_t)h->last_us));
	return o;
}

static int add_session(void *ctx, const struct sl_session_head *head, struct sl_span first)
{
	struct listing *l = ctx;
	json_t *o = session_json(head, first);

	if (o == NULL)
		return 1;
	l->heads[l->nb] = *head;
	l->objects[l->nb++] = o;
	return l->nb >= l->limit;
}

/* The counts of commands are in the last record of a session that ended in order. */
static int read_end(void *ctx, uint64_t number, struct sl_span rec)
{
	json_t *o = ctx;

	if (sl_record_check(rec) == SL_OK && sl_record_get(rec, "k").u == SL_REC_END) {
		json_object_set_new(o, "commands", json_integer((json_int_t)sl_record_get(rec, "nc").u));
		json_object_set_new(o, "denied", json_integer((json_int_t)sl_record_get(rec, "nd").u));
	}
	return 1;
}

void mg_get_sessions(struct request *q)
{
	const char *before = mg_query(q, "before");
	struct listing *l;
	struct sl_id id;
	uint64_t limit;
	json_t *list;
	int err;

	if (mg_query_uint(q, "limit", 50, SESSIONS_MAX, &limit) != SL_OK || limit == 0 ||
	    (before != NULL && sl_id_parse(before, &id) != SL_OK)) {
		mg_reply_problem(q, 400, "limit is 1 to 500, before an id", NULL);
		return;
	}
	l = calloc(1, sizeof(*l));
	if (l == NULL) {
		mg_reply_err(q, sl_fail(SL_E_NOMEM), "sessions");
		return;
	}
	l->limit = (uint32_t)limit;
	err = sl_store_sessions(q->cfg->store, before == NULL ? NULL : &id, true, add_session, l);
	list = json_array();
	for (uint32_t i = 0; i < l->nb; i++) {
		if (l->heads[i].ended && l->heads[i].nb_records > 0)
			(void)sl_store_records(q->cfg->store, &l->heads[i].id, l->heads[i].nb_records - 1,
			                       read_end, l->objects[i]);
		json_array_append_new(list, l->objects[i]);
	}
	free(l);
	if (err != SL_OK) {
		json_decref(list);
		mg_reply_err(q, err, "sessions");
		return;
	}
	mg_reply_json(q, 200, json_pack("{s:o}", "sessions", list));
}

/* ---- records ---- */

struct page {
	json_t *list;
	uint64_t limit, next;
	size_t bytes;
	bool more;
};

static int add_record(void *ctx, uint64_t number, struct sl_span rec)
{
	struct page *p = ctx;
	json_t *o;

	if (json_array_size(p->list) >= p->limit || p->bytes > RECORDS_BYTES_MAX) {
		p->next = number;
		p->more = true;
		return 1;
	}
	o = mg_record_json(rec);
	if (o == NULL) /* shown all the same: a gap that nobody sees is worse */
		o = json_pack("{s:I,s:s}", "n", (json_int_t)number, "kind", "unknown");
	p->bytes += rec.n;
	json_array_append_new(p->list, o);
	return 0;
}

void mg_get_session_records(struct request *q)
{
	struct page p = {0};
	struct sl_id id;
	uint64_t from;
	int err;

	if (mg_query_uint(q, "from", 0, UINT64_MAX, &from) != SL_OK ||
	    mg_query_uint(q, "limit", 200, RECORDS_MAX, &p.limit) != SL_OK || p.limit == 0) {
		mg_reply_problem(q, 400, "from is a number, limit 1 to 1000", NULL);
		return;
	}
	p.list = json_array();
	err = sl_id_parse(q->arg, &id) != SL_OK ? SL_E_NOTFOUND
	                                        : sl_store_records(q->cfg->store, &id, from, add_record, &p);
	if (err != SL_OK) {
		json_decref(p.list);
		mg_reply_err(q, err, "no such session");
		return;
	}
	mg_reply_json(q, 200,
	              json_pack("{s:o,s:o}", "records", p.list, "next",
	                        p.more ? json_integer((json_int_t)p.next) : json_null()));
}

/* ---- verify ---- */

struct verify {
	struct mg_job job; /* first */
	struct request *q;
	struct sl_store *store;
	struct sl_id id;
	bool one;
	int err;
	struct sl_verify_result result;
};

static void verify_run(struct mg_job *job)
{
	struct verify *v = (struct verify *)job;

	v->err = sl_store_verify(v->store, v->one ? &v->id : NULL, &v->result);
}

static void verify_done(struct mg_job *job)
{
	struct verify *v = (struct verify *)job;
	const struct sl_verify_result *r = &v->result;

	if (v->err == SL_OK || v->err == SL_E_STORE_CORRUPT)
		mg_reply_json(v->q, 200,
		              json_pack("{s:b,s:I,s:I,s:I,s:o}", "ok", v->err == SL_OK, "sessions",
		                        (json_int_t)r->nb_sessions, "records", (json_int_t)r->nb_records,
		                        "checkpoints", (json_int_t)r->nb_checkpoints, "problem",
		                        r->problem[0] == '\0' ? json_null()
		                                              : mg_json_text(sl_span_str(r->problem))));
	else
		mg_reply_err(v->q, v->err, "no such session");
	free(v);
}

static void start_verify(struct request *q, const struct sl_id *id)
{
	struct verify *v = calloc(1, sizeof(*v));

	if (v == NULL) {
		mg_reply_err(q, sl_fail(SL_E_NOMEM), "verify");
		return;
	}
	*v = (struct verify){.job = {.run = verify_run, .done = verify_done},
	                     .q = q,
	                     .store = q->cfg->store,
	                     .one = id != NULL};
	if (id != NULL)
		v->id = *id;
	/* One place is kept for who applies a policy. */
	if (mg_jobs_start(q->cfg->jobs, MG_JOBS_MAX - 1, &v->job) != SL_OK) {
		free(v);
		mg_reply_problem(q, 503, "other verifications are running: try again", NULL);
	}
}

void mg_get_session_verify(struct request *q)
{
	struct sl_id id;

	if (sl_id_parse(q->arg, &id) != SL_OK)
		mg_reply_problem(q, 404, "no such session", NULL);
	else
		start_verify(q, &id);
}

void mg_post_verify(struct request *q)
{
	start_verify(q, NULL);
}

/* ---- ending ---- */

struct probe {
	const struct sl_id *id;
	bool found, live;
};

static int probe_head(void *ctx, const struct sl_session_head *head, struct sl_span first)
{
	struct probe *p = ctx;

	p->found = memcmp(head->id.b, p->id->b, sizeof(head->id.b)) == 0;
	p->live = p->found && strcmp(state_of(head), "live") == 0;
	return 1;
}

/* The id before this one, so that a walk that starts behind it begins with this one. */
static struct sl_id id_before(struct sl_id id)
{
	for (int i = (int)sizeof(id.b) - 1; i >= 0 && id.b[i]-- == 0; i--)
		;
	return id;
}

void mg_delete_session(struct request *q)
{
	struct probe p = {0};
	const struct sl_flow_ref *flow;
	struct sl_msg *msg;
	struct sl_id id, before;
	int err = sl_id_parse(q->arg, &id);

	p.id = &id;
	if (err == SL_OK) {
		before = id_before(id);
		err = sl_store_sessions(q->cfg->store, &before, false, probe_head, &p);
	} else {
		err = SL_E_NOTFOUND;
	}
	if (err == SL_OK && !p.found)
		err = SL_E_NOTFOUND;
	if (err != SL_OK) {
		mg_reply_err(q, err, "no such session");
		return;
	}
	flow = p.live ? mg_sessions_find(q->cfg->sessions, &id) : NULL;
	msg = flow == NULL ? NULL : calloc(1, sizeof(*msg));
	if (msg == NULL) {
		mg_reply_problem(q, 409, "the session has ended already", NULL);
		return;
	}
	msg->type = SL_MSG_KILL;
	msg->flow = *flow;
	msg->session = id;
	q->cfg->send(q->cfg->send_ctx, flow->worker, msg);
	free(msg);
	mg_reply_json(q, 202, json_pack("{s:o,s:s}", "id", mg_json_id(&id), "state", "ending"));
}
