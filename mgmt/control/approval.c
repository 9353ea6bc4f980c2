#include "approval.h"

#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "grant.h"
#include "json.h"
#include "need.h"
#include "sl_counter.h"
#include "sl_log.h"

#define TABLE "approval"

struct pending {
	struct pending *next; /* newest first */
	struct sl_id id;
	struct sl_flow_ref flow;
	uint64_t expires_us;
	struct sl_msg_hold *hold; /* what was asked */
	json_t *doc;              /* what the store has */
};

struct mg_approvals {
	struct sl_store *store;
	mg_send_fn send;
	void *ctx;
	struct event *timer;
	struct pending *pending;
	uint32_t nb_pending;
	struct mg_grants *grants;
};

static struct sl_span id_key(const struct sl_id *id)
{
	return sl_span(id->b, sizeof(id->b));
}

static int store_doc(struct mg_approvals *a, const struct sl_id *id, const json_t *doc)
{
	char *text = json_dumps(doc, JSON_COMPACT);
	int err;

	if (text == NULL)
		return sl_fail(SL_E_NOMEM);
	err = sl_store_put(a->store, TABLE, id_key(id), sl_span_str(text));
	free(text);
	return err;
}

static json_t *load_doc(struct sl_span value)
{
	return json_loadb((const char *)value.p, value.n, 0, NULL);
}

static struct pending **find(struct mg_approvals *a, const struct sl_id *id)
{
	struct pending **at = &a->pending;

	while (*at != NULL && memcmp((*at)->id.b, id->b, sizeof(id->b)) != 0)
		at = &(*at)->next;
	return at;
}

static void forget(struct mg_approvals *a, struct pending **at)
{
	struct pending *p = *at;

	*at = p->next;
	a->nb_pending--;
	json_decref(p->doc);
	free(p->hold);
	free(p);
}

/* It waits for people: what the client is told of it comes now, and not where a grant lets it pass. */
static void tell_asked(struct mg_approvals *a, const struct pending *p)
{
	struct sl_msg *msg = calloc(1, sizeof(*msg));

	if (msg == NULL) { /* the client waits without a word */
		sl_fail(SL_E_NOMEM);
		return;
	}
	msg->type = SL_MSG_ASKED;
	msg->flow = p->flow;
	msg->approval = p->id;
	a->send(a->ctx, p->flow.worker, msg);
	free(msg);
}

static void tell_worker(struct mg_approvals *a, struct sl_flow_ref flow, const struct sl_id *id,
                        enum sl_decision decision, const char *by, const char *note)
{
	struct sl_msg *msg = calloc(1, sizeof(*msg));

	if (msg == NULL) { /* the worker's own timer ends the hold */
		sl_fail(SL_E_NOMEM);
		return;
	}
	msg->type = SL_MSG_DECISION;
	msg->flow = flow;
	msg->decision.approval = *id;
	msg->decision.decision = decision;
	snprintf(msg->decision.by, sizeof(msg->decision.by), "%s", by);
	snprintf(msg->decision.note, sizeof(msg->decision.note), "%s", note);
	a->send(a->ctx, flow.worker, msg);
	free(msg);
}

/* The document with its end written in; the pending one stays as it is until the store has the new one. */
static json_t *decided_doc(const json_t *doc, const char *state, json_t *by, const char *note,
                           uint64_t wall_us)
{
	json_t *d = json_copy((json_t *)(uintptr_t)doc);

	if (d == NULL || json_object_set_new(d, "state", json_string(state)) != 0 ||
	    json_object_set_new(d, "decided_by", by != NULL ? by : json_null()) != 0 ||
	    json_object_set_new(d, "decided_us", json_integer((json_int_t)wall_us)) != 0 ||
	    json_object_set_new(d, "note", mg_json_text(sl_span_str(note))) != 0) {
		json_decref(d);
		return NULL;
	}
	return d;
}

/* ---- holds ---- */

/* rules: a reference that is taken over. */
static json_t *hold_doc(const struct sl_msg_hold *h, uint64_t wall_us, json_t *rules)
{
	size_t text_n = h->text_n < SL_BUS_TEXT_MAX ? h->text_n : SL_BUS_TEXT_MAX;

	return json_pack(
	        "{s:o,s:s,s:o,s:I,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:I,s:o,s:I,s:b,s:o,s:I,s:I,"
	        "s:[],s:n,s:n,s:n}",
	        "id", mg_json_id(&h->approval), "state", "pending", "session", mg_json_id(&h->session), "cmd",
	        (json_int_t)h->cmd, "event_id", h->event_id, "user",
	        mg_json_text(sl_span_str(h->identity.name)), "subject",
	        mg_json_text(sl_span_str(h->identity.subject)), "issuer",
	        mg_json_text(sl_span_str(h->identity.issuer)), "resource",
	        mg_json_text(sl_span_str(h->resource)), "database", mg_json_text(sl_span_str(h->database)),
	        "rules", rules, "message", mg_json_text(sl_span_str(h->message)), "policy_version",
	        (json_int_t)h->policy_version, "statement", mg_json_text(sl_span(h->text, text_n)),
	        "statement_bytes", (json_int_t)h->text_total, "statement_truncated", h->text_total > text_n,
	        "statement_sha256", mg_json_hex(sl_span(h->statement_sha256, sizeof(h->statement_sha256))),
	        "created_us", (json_int_t)wall_us, "expires_us", (json_int_t)h->expires_us, "approvals",
	        "decided_by", "decided_us", "note");
}

static bool id_used(struct mg_approvals *a, const struct sl_id *id)
{
	uint8_t *value = NULL;
	size_t n;
	int err = sl_store_get(a->store, TABLE, id_key(id), &value, &n);

	free(value);
	return err != SL_E_NOTFOUND; /* an error too: what cannot be looked up is not trusted */
}

/* Grants cover all that it needs: it is approved without being asked for, and stored like any other before
 * the worker hears. */
static int pass_granted(struct mg_approvals *a, const struct sl_msg *msg, const json_t *asked,
                        uint64_t wall_us)
{
	char by[SL_BUS_NAME_MAX], note[MG_APPROVAL_NOTE_MAX];
	json_t *doc;
	int err;

	mg_needs_granted(json_object_get(asked, "rules"), by, sizeof(by), note, sizeof(note));
	doc = decided_doc(asked, "approved", mg_json_text(sl_span_str(by)), note, wall_us);
	err = doc == NULL ? sl_fail(SL_E_NOMEM) : store_doc(a, &msg->hold.approval, doc);
	json_decref(doc);
	if (err == SL_OK)
		tell_worker(a, msg->flow, &msg->hold.approval, SL_DECISION_APPROVED, by, note);
	return err;
}

static uint32_t nb_of(const struct mg_approvals *a, const struct sl_identity *who)
{
	uint32_t nb = 0;

	for (const struct pending *p = a->pending; p != NULL; p = p->next)
		nb += strcmp(p->hold->identity.subject, who->subject) == 0 &&
		      strcmp(p->hold->identity.issuer, who->issuer) == 0;
	return nb;
}

static int keep(struct mg_approvals *a, const struct sl_msg *msg, json_t *doc)
{
	struct pending *p;
	int err;

	/* One that asks again and again leaves room for others. */
	if (a->nb_pending >= MG_APPROVALS_MAX || nb_of(a, &msg->hold.identity) >= MG_APPROVALS_OF_IDENTITY)
		return sl_fail(SL_E_LIMIT);
	p = calloc(1, sizeof(*p));
	if (p == NULL || (p->hold = malloc(sizeof(*p->hold))) == NULL) {
		free(p);
		return sl_fail(SL_E_NOMEM);
	}
	*p->hold = msg->hold;
	p->id = msg->hold.approval;
	p->flow = msg->flow;
	p->expires_us = msg->hold.expires_us;
	err = store_doc(a, &p->id, doc);
	if (err != SL_OK) {
		free(p->hold);
		free(p);
		return err;
	}
	p->doc = json_incref(doc);
	p->next = a->pending;
	a->pending = p;
	a->nb_pending++;
	tell_asked(a, p);
	return SL_OK;
}

static int take_hold(struct mg_approvals *a, const struct sl_msg *msg, uint64_t wall_us)
{
	const struct sl_msg_hold *h = &msg->hold;
	bool missing = true;
	json_t *rules, *doc;
	int err;

	if (!mg_needs_ok(h))
		return sl_fail(SL_E_INVAL);
	if (id_used(a, &h->approval))
		return sl_fail(SL_E_EXISTS);
	rules = mg_needs_json(h, NULL, a->grants, wall_us, &missing);
	doc = rules == NULL ? NULL : hold_doc(h, wall_us, rules);
	if (doc == NULL)
		return sl_fail(SL_E_NOMEM);
	err = missing ? keep(a, msg, doc) : pass_granted(a, msg, doc, wall_us);
	json_decref(doc);
	return err;
}

void mg_approvals_hold(struct mg_approvals *a, const struct sl_msg *msg, uint64_t wall_us)
{
	char id[SL_ID_STR_MAX];
	int err = take_hold(a, msg, wall_us);

	if (err == SL_OK)
		return;
	sl_log(SL_LOG_ERROR, "approval", "%s denied at once: %s", sl_id_str(&msg->hold.approval, id),
	       sl_err_text(err));
	tell_worker(a, msg->flow, &msg->hold.approval, SL_DECISION_UNASKED, "sluice",
	            err == SL_E_LIMIT ? "too many approvals are pending" : "the approval could not be kept");
}

void mg_approvals_gone(struct mg_approvals *a, const struct sl_id *id, uint64_t wall_us)
{
	struct pending **at = find(a, id);
	json_t *doc;

	if (*at == NULL)
		return; /* decided a moment ago */
	doc = decided_doc((*at)->doc, "cancelled", NULL, "the client cancelled or went away", wall_us);
	if (doc == NULL || store_doc(a, id, doc) != SL_OK)
		sl_log(SL_LOG_ERROR, "approval",
		       "a cancelled approval could not be stored: it shows as expired after a restart");
	json_decref(doc);
	forget(a, at);
}

uint32_t mg_approvals_worker_gone(struct mg_approvals *a, uint32_t worker, uint64_t wall_us)
{
	struct pending **at = &a->pending;
	uint32_t nb = 0;

	mg_grants_worker_gone(a->grants, worker);
	while (*at != NULL) {
		json_t *doc;

		if ((*at)->flow.worker != worker) {
			at = &(*at)->next;
			continue;
		}
		doc = decided_doc((*at)->doc, "denied", json_string("sluice"),
		                  "the worker of the session has died", wall_us);
		if (doc == NULL || store_doc(a, &(*at)->id, doc) != SL_OK)
			sl_log(SL_LOG_ERROR, "approval",
			       "a denied approval could not be stored: it shows as expired after a restart");
		json_decref(doc);
		forget(a, at);
		nb++;
	}
	return nb;
}

/* ---- decisions ---- */

static bool text_is(const json_t *o, const char *key, const char *want)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text != NULL && strcmp(text, want) == 0;
}

/* Nobody counts twice. */
static bool has_approved(const json_t *doc, const struct sl_identity *who)
{
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(doc, "approvals"), i, one)
	{
		if (text_is(one, "issuer", who->issuer) && text_is(one, "subject", who->subject))
			return true;
	}
	return false;
}

/* One approval more, and the rules that it counts for. NULL: out of memory. */
static json_t *more_approvals(const struct pending *p, const struct sl_identity *who, const char *note,
                              uint64_t wall_us)
{
	json_t *approvals = json_copy(json_object_get(p->doc, "approvals"));
	json_t *one =
	        json_pack("{s:o,s:o,s:o,s:o,s:o,s:I}", "by", mg_json_text(sl_span_str(who->name)), "subject",
	                  mg_json_text(sl_span_str(who->subject)), "issuer",
	                  mg_json_text(sl_span_str(who->issuer)), "note", mg_json_text(sl_span_str(note)),
	                  "rules", mg_needs_counting(p->hold, who), "at_us", (json_int_t)wall_us);

	if (one == NULL || json_array_append_new(approvals, one) != 0) {
		json_decref(approvals);
		return NULL;
	}
	return approvals;
}

/* The document with one approval more; it is decided when no rule needs another. */
static json_t *approved_doc(const struct mg_approvals *a, const struct pending *p,
                            const struct sl_identity *who, const char *note, uint64_t wall_us, bool *enough)
{
	json_t *approvals = more_approvals(p, who, note, wall_us), *rules = NULL, *doc = NULL;
	bool missing = true;

	if (approvals != NULL)
		rules = mg_needs_json(p->hold, approvals, a->grants, wall_us, &missing);
	*enough = rules != NULL && !missing;
	if (rules != NULL)
		doc = *enough ? decided_doc(p->doc, "approved", mg_json_text(sl_span_str(who->name)), note,
		                            wall_us)
		              : json_copy(p->doc);
	/* json_object_set_new() takes its value over, also when it fails. */
	if (doc == NULL) {
		json_decref(approvals);
		json_decref(rules);
		return NULL;
	}
	if (json_object_set_new(doc, "approvals", approvals) + json_object_set_new(doc, "rules", rules) !=
	    0) {
		json_decref(doc);
		return NULL;
	}
	return doc;
}

/* Decided: told to the worker, and kept as grants where the rules say so. `doc` is the end of it. */
static void conclude(struct mg_approvals *a, struct pending **at, bool approve, const struct sl_identity *who,
                     const char *note, const json_t *doc, uint64_t wall_us)
{
	struct pending *p = *at;

	tell_worker(a, p->flow, &p->id, approve ? SL_DECISION_APPROVED : SL_DECISION_DENIED, who->name, note);
	if (approve)
		mg_needs_grant(p->hold, json_object_get(doc, "approvals"), a->grants, wall_us);
	forget(a, at);
}

int mg_approvals_decide(struct mg_approvals *a, const struct sl_id *id, bool approve,
                        const struct sl_identity *who, const char *note, uint64_t wall_us, json_t **out)
{
	struct pending **at = find(a, id), *p = *at;
	bool enough = true;
	json_t *doc;
	int err;

	*out = NULL;
	if (p == NULL) {
		err = mg_approvals_get(a, id, out);
		json_decref(*out);
		*out = NULL;
		return err == SL_OK ? sl_fail(SL_E_EXISTS) : err;
	}
	if (!mg_needs_may(p->hold, who))
		return sl_fail(SL_E_POLICY_DENIED);
	/* Over its time: its timer is about to run. */
	if (wall_us >= p->expires_us || (approve && has_approved(p->doc, who)))
		return sl_fail(SL_E_EXISTS);
	doc = approve ? approved_doc(a, p, who, note, wall_us, &enough)
	              : decided_doc(p->doc, "denied", mg_json_text(sl_span_str(who->name)), note, wall_us);
	if (doc != NULL && enough)
		json_object_set_new(doc, "decided_by_subject", mg_json_text(sl_span_str(who->subject)));
	err = doc == NULL ? sl_fail(SL_E_NOMEM) : store_doc(a, id, doc);
	if (err != SL_OK) {
		json_decref(doc);
		return err;
	}
	if (enough) {
		conclude(a, at, approve, who, note, doc, wall_us);
	} else {
		json_decref(p->doc);
		p->doc = json_incref(doc);
	}
	*out = doc;
	return SL_OK;
}

void mg_approvals_session_end(struct mg_approvals *a, const struct sl_id *session)
{
	mg_grants_session_end(a->grants, session);
}

/* Ends what is over its time. When the store fails the command is denied all the same: only the listing is
 * late. */
static void expire(struct mg_approvals *a, struct pending **at, uint64_t wall_us)
{
	struct pending *p = *at;
	json_t *doc = decided_doc(p->doc, "expired", NULL, "nobody decided in time", wall_us);

	if (doc == NULL || store_doc(a, &p->id, doc) != SL_OK)
		sl_log(SL_LOG_ERROR, "approval", "an expired approval could not be stored");
	json_decref(doc);
	tell_worker(a, p->flow, &p->id, SL_DECISION_EXPIRED, "", "nobody decided in time");
	forget(a, at);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct mg_approvals *a = arg;
	struct pending **at = &a->pending;
	uint64_t now = mg_wall_us();

	while (*at != NULL) {
		if (now >= (*at)->expires_us)
			expire(a, at, now);
		else
			at = &(*at)->next;
	}
}

/* ---- reading ---- */

struct list {
	const struct sl_id *before;
	uint32_t limit;
	json_t *array;
};

static bool is_pending(const json_t *doc)
{
	const char *state = json_string_value(json_object_get(doc, "state"));

	return state != NULL && strcmp(state, "pending") == 0;
}

static int list_one(void *ctx, struct sl_span key, struct sl_span value)
{
	struct list *l = ctx;
	json_t *doc;

	if (l->before != NULL && key.n == sizeof(l->before->b) && memcmp(key.p, l->before->b, key.n) >= 0)
		return 0;
	doc = load_doc(value);
	if (doc != NULL)
		json_array_append_new(l->array, doc);
	return json_array_size(l->array) >= l->limit;
}

int mg_approvals_list(struct mg_approvals *a, bool pending_only, const struct sl_id *before, uint32_t limit,
                      json_t *array)
{
	struct list l = {before, limit, array};

	if (!pending_only)
		return sl_store_each(a->store, TABLE, true, list_one, &l);
	for (struct pending *p = a->pending; p != NULL && json_array_size(array) < limit; p = p->next)
		if (before == NULL || memcmp(p->id.b, before->b, sizeof(p->id.b)) < 0)
			json_array_append(array, p->doc);
	return SL_OK;
}

int mg_approvals_get(struct mg_approvals *a, const struct sl_id *id, json_t **out)
{
	uint8_t *value = NULL;
	size_t n = 0;
	int err = sl_store_get(a->store, TABLE, id_key(id), &value, &n);

	*out = err == SL_OK ? load_doc(sl_span(value, n)) : NULL;
	free(value);
	if (err == SL_OK && *out == NULL)
		err = sl_fail(SL_E_STORE_CORRUPT);
	return err;
}

uint32_t mg_approvals_nb_pending(const struct mg_approvals *a)
{
	return a->nb_pending;
}

/* ---- life ---- */

/* The store is not written while it is walked: first the ids of what is pending, then the changes. */
struct left {
	struct sl_id *ids;
	size_t nb, cap;
};

static int collect_left(void *ctx, struct sl_span key, struct sl_span value)
{
	struct left *l = ctx;
	json_t *doc = load_doc(value);
	bool pending = is_pending(doc);

	json_decref(doc);
	if (!pending || key.n != sizeof(l->ids[0].b))
		return 0;
	if (l->nb == l->cap) {
		size_t cap = l->cap == 0 ? 64 : l->cap * 2;
		struct sl_id *ids = realloc(l->ids, cap * sizeof(*ids));

		if (ids == NULL)
			return SL_E_NOMEM;
		l->ids = ids;
		l->cap = cap;
	}
	memcpy(l->ids[l->nb++].b, key.p, key.n);
	return 0;
}

static int expire_left(struct mg_approvals *a)
{
	struct left l = {0};
	int err = sl_store_each(a->store, TABLE, true, collect_left, &l);

	for (size_t i = 0; i < l.nb && err >= 0; i++) {
		json_t *doc = NULL, *ended = NULL;

		err = mg_approvals_get(a, &l.ids[i], &doc);
		if (err == SL_OK) {
			ended = decided_doc(doc, "expired", NULL, "the gateway was restarted", mg_wall_us());
			err = ended == NULL ? SL_E_NOMEM : store_doc(a, &l.ids[i], ended);
		}
		json_decref(doc);
		json_decref(ended);
	}
	free(l.ids);
	return err < 0 ? err : SL_OK;
}

int mg_approvals_new(struct event_base *base, struct sl_store *store, mg_send_fn send, void *ctx,
                     struct mg_approvals **out)
{
	const struct timeval tick = {.tv_usec = 200000};
	struct mg_approvals *a = calloc(1, sizeof(*a));
	int err;

	*out = NULL;
	if (a == NULL)
		return sl_fail(SL_E_NOMEM);
	a->store = store;
	a->send = send;
	a->ctx = ctx;
	a->grants = mg_grants_new();
	a->timer = event_new(base, -1, EV_PERSIST, on_timer, a);
	err = a->grants == NULL || a->timer == NULL || event_add(a->timer, &tick) != 0 ? sl_fail(SL_E_NOMEM)
	                                                                               : expire_left(a);
	if (err != SL_OK) {
		mg_approvals_free(a);
		return err;
	}
	*out = a;
	return SL_OK;
}

void mg_approvals_free(struct mg_approvals *a)
{
	if (a == NULL)
		return;
	while (a->pending != NULL)
		forget(a, &a->pending);
	if (a->timer != NULL)
		event_free(a->timer);
	mg_grants_free(a->grants);
	free(a);
}
