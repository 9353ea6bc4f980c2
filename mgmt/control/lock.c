#include "lock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "json.h"
#include "sl_counter.h"
#include "sl_log.h"

#define TABLE   "lock"
#define BUCKETS 1024 /* power of two */
#define HALF_ID ((MG_LOCK_ID - 1) / 2)

struct lock {
	struct lock *next;
	struct sl_usage_key key;
	json_t *doc; /* what the store has */
};

struct mg_locks {
	struct sl_store *store;
	struct sl_usage *usage;
	uint32_t nb_workers, nb;
	int load_err;
	mg_send_fn send;
	void *ctx;
	struct lock *bucket[BUCKETS];
};

static struct sl_usage_time now(void)
{
	return (struct sl_usage_time){mg_mono_us(), mg_wall_us()};
}

static const char *id_of(struct sl_usage_key key, char out[MG_LOCK_ID])
{
	snprintf(out, MG_LOCK_ID, "%016" PRIx64 "%016" PRIx64, key.a, key.b);
	return out;
}

static struct lock **find(const struct mg_locks *l, struct sl_usage_key key)
{
	struct lock *const *at = &l->bucket[key.a & (BUCKETS - 1)];

	while (*at != NULL && ((*at)->key.a != key.a || (*at)->key.b != key.b))
		at = (struct lock *const *)&(*at)->next;
	return (struct lock **)(uintptr_t)at;
}

/* Takes the reference. */
static int keep(struct mg_locks *l, struct sl_usage_key key, json_t *doc)
{
	struct lock **at = find(l, key), *one = NULL;

	if (*at != NULL) {
		json_decref((*at)->doc);
		(*at)->doc = doc;
		return SL_OK;
	}
	if (l->nb < MG_LOCKS_MAX)
		one = calloc(1, sizeof(*one));
	if (one == NULL) {
		json_decref(doc);
		return sl_fail(SL_E_LIMIT);
	}
	one->key = key;
	one->doc = doc;
	*at = one;
	l->nb++;
	return SL_OK;
}

static const char *text_of(const json_t *doc, const char *key)
{
	const char *s = json_string_value(json_object_get(doc, key));

	return s != NULL ? s : "";
}

/* ---- life ---- */

static int load(void *ctx, struct sl_span key, struct sl_span value)
{
	struct mg_locks *l = ctx;
	json_t *doc = json_loadb((const char *)value.p, value.n, 0, NULL);
	struct sl_usage_key k;
	int rc;

	if (doc == NULL) {
		l->load_err = sl_fail(SL_E_STORE_CORRUPT);
		return 1;
	}
	k = sl_usage_identity(text_of(doc, "issuer"), text_of(doc, "subject"));
	rc = keep(l, k, doc);
	if (l->usage != NULL && sl_usage_set_lock(l->usage, k, true, now()) != SL_OK)
		rc = SL_E_LIMIT;
	/* Not worth a gateway that does not start: what could be kept of it refuses the identity's logins. */
	if (rc != SL_OK)
		sl_log(SL_LOG_ERROR, "lock", "lock %.*s is not kept whole: %s", (int)key.n,
		       (const char *)key.p, sl_err_text(rc));
	return SL_OK;
}

int mg_locks_new(struct sl_store *store, struct sl_usage *usage, uint32_t nb_workers, mg_send_fn send,
                 void *ctx, struct mg_locks **out)
{
	struct mg_locks *l = calloc(1, sizeof(*l));
	int rc;

	*out = l;
	if (l == NULL)
		return sl_fail(SL_E_NOMEM);
	l->store = store;
	l->usage = usage;
	l->nb_workers = nb_workers;
	l->send = send;
	l->ctx = ctx;
	rc = sl_store_each(store, TABLE, false, load, l);
	return rc == SL_OK ? l->load_err : rc;
}

void mg_locks_free(struct mg_locks *l)
{
	if (l == NULL)
		return;
	for (uint32_t i = 0; i < BUCKETS; i++) {
		while (l->bucket[i] != NULL) {
			struct lock *one = l->bucket[i];

			l->bucket[i] = one->next;
			json_decref(one->doc);
			free(one);
		}
	}
	free(l);
}

/* ---- locking ---- */

static json_t *text(const char *s, size_t cap)
{
	return mg_json_text(sl_span(s, strnlen(s, cap)));
}

static json_t *doc_of(const struct sl_msg_locked *m, struct sl_usage_key key)
{
	char id[MG_LOCK_ID];

	return json_pack("{s:s,s:o,s:o,s:o,s:o,s:i,s:i,s:o,s:o,s:o,s:I}", "id", id_of(key, id), "issuer",
	                 text(m->identity.issuer, sizeof(m->identity.issuer)), "subject",
	                 text(m->identity.subject, sizeof(m->identity.subject)), "user",
	                 text(m->identity.name, sizeof(m->identity.name)), "breaker",
	                 text(m->breaker, sizeof(m->breaker)), "denials", (int)m->denials, "window_s",
	                 (int)m->window_s, "resource", text(m->resource, sizeof(m->resource)), "session",
	                 mg_json_id(&m->session), "event_id", text(m->event_id, sizeof(m->event_id)),
	                 "locked_us", (json_int_t)m->wall_us);
}

static int store_doc(struct mg_locks *l, struct sl_usage_key key, const json_t *doc)
{
	char id[MG_LOCK_ID], *value = json_dumps(doc, JSON_COMPACT);
	int rc = value == NULL
	                 ? sl_fail(SL_E_NOMEM)
	                 : sl_store_put(l->store, TABLE, sl_span_str(id_of(key, id)), sl_span_str(value));

	free(value);
	return rc;
}

/* Its sessions end, on every worker; those too that came by another credential or by a token. */
static void end_sessions(struct mg_locks *l, const struct sl_identity *who)
{
	struct sl_msg *msg = calloc(1, sizeof(*msg));

	if (msg == NULL) { /* their next commands are denied all the same */
		sl_fail(SL_E_NOMEM);
		return;
	}
	msg->type = SL_MSG_KILL;
	msg->identity = *who;
	memset(msg->identity.credential, 0, sizeof(msg->identity.credential));
	for (uint32_t i = 0; i < l->nb_workers; i++)
		l->send(l->ctx, i, msg);
	free(msg);
}

void mg_locks_add(struct mg_locks *l, const struct sl_msg_locked *m)
{
	struct sl_usage_key key = sl_usage_identity(m->identity.issuer, m->identity.subject);
	json_t *doc = doc_of(m, key);
	char user[160];
	int rc;

	sl_log(SL_LOG_WARN, "lock", "identity \"%s\" is locked: %u denials in %u s (%s)",
	       sl_log_quote(sl_span_str(m->identity.name[0] != '\0' ? m->identity.name : m->identity.subject),
	                    user, sizeof(user)),
	       m->denials, m->window_s, m->breaker);
	rc = doc == NULL ? sl_fail(SL_E_NOMEM) : keep(l, key, doc);
	/* In the store only what the next start has room for. */
	if (rc == SL_OK)
		rc = store_doc(l, key, doc);
	if (rc != SL_OK)
		sl_log(SL_LOG_ERROR, "lock", "the lock holds only until the gateway stops: %s",
		       sl_err_text(rc));
	end_sessions(l, &m->identity);
}

bool mg_locks_has(const struct mg_locks *l, const char *issuer, const char *subject)
{
	return *find(l, sl_usage_identity(issuer, subject)) != NULL;
}

uint32_t mg_locks_nb(const struct mg_locks *l)
{
	return l->nb;
}

void mg_locks_list(const struct mg_locks *l, json_t *array)
{
	for (uint32_t i = 0; i < BUCKETS; i++)
		for (const struct lock *one = l->bucket[i]; one != NULL; one = one->next)
			json_array_append(array, one->doc);
}

static struct lock **find_id(struct mg_locks *l, const char *id)
{
	struct sl_usage_key key = {0};
	char half[HALF_ID + 1] = {0}, again[MG_LOCK_ID];
	struct lock **at;

	if (strlen(id) != MG_LOCK_ID - 1)
		return NULL;
	memcpy(half, id, HALF_ID);
	key.a = strtoull(half, NULL, 16);
	memcpy(half, id + HALF_ID, HALF_ID);
	key.b = strtoull(half, NULL, 16);
	if (strcmp(id_of(key, again), id) != 0) /* anything else than hex digits too */
		return NULL;
	at = find(l, key);
	return *at != NULL ? at : NULL;
}

int mg_locks_release(struct mg_locks *l, const char *id, const struct sl_identity *who, json_t **out)
{
	struct lock **at = find_id(l, id), *one;
	struct sl_usage_key self = sl_usage_identity(who->issuer, who->subject);
	int rc;

	if (at == NULL)
		return SL_E_NOTFOUND;
	one = *at;
	if (one->key.a == self.a && one->key.b == self.b)
		return SL_E_POLICY_DENIED;
	rc = sl_store_del(l->store, TABLE, sl_span_str(id));
	if (rc != SL_OK && rc != SL_E_NOTFOUND) /* one that could never be written is not there */
		return rc;
	rc = l->usage != NULL ? sl_usage_set_lock(l->usage, one->key, false, now()) : SL_OK;
	if (rc != SL_OK)
		return rc;
	*at = one->next;
	l->nb--;
	*out = one->doc;
	free(one);
	return SL_OK;
}
