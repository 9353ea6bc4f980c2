#include "session_cred.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/rand.h>

#include "clock.h"
#include "credential.h"
#include "json.h"
#include "session_cred_priv.h"
#include "sl_counter.h"
#include "sl_log.h"
#include "sl_secret.h"

#define TABLE   "session_credential"
#define BUCKETS 1024 /* power of two */

struct mg_screds {
	struct mg_screds_cfg cfg;
	uint8_t salt_key[SL_SCRAM_KEY];
	/* Of nobody: what a proof is held against when there is no such credential. */
	struct sl_scram_verifier nobody;
	struct event *timer;
	struct scred *bucket[BUCKETS];
	uint32_t nb;
};

/* ---- the table ---- */

static uint32_t bucket_of(struct sl_span id)
{
	uint32_t h = 2166136261u; /* FNV-1a: ids are random */

	for (size_t i = 0; i < id.n; i++)
		h = (h ^ id.p[i]) * 16777619u;
	return h & (BUCKETS - 1);
}

static struct scred **find(struct mg_screds *c, struct sl_span id)
{
	struct scred **at = &c->bucket[bucket_of(id)];

	while (*at != NULL && !sl_span_is(id, (*at)->id))
		at = &(*at)->next;
	return at;
}

static void insert(struct mg_screds *c, struct scred *s)
{
	struct scred **at = &c->bucket[bucket_of(sl_span_str(s->id))];

	s->next = *at;
	*at = s;
	c->nb++;
}

static void drop(struct mg_screds *c, struct scred **at)
{
	struct scred *s = *at;

	*at = s->next;
	c->nb--;
	scred_free(s);
}

static bool alive(const struct scred *s, uint64_t wall_us)
{
	return !s->revoked && wall_us < s->expires_us;
}

static bool is_of(const struct scred *s, const struct sl_identity *who)
{
	return who == NULL ||
	       (strcmp(s->who->subject, who->subject) == 0 && strcmp(s->who->issuer, who->issuer) == 0);
}

/* ---- life ---- */

static int load(void *ctx, struct sl_span key, struct sl_span value)
{
	struct mg_screds *c = ctx;
	char id[SL_LOGIN_ID_MAX];
	struct scred *s = sl_span_cstr(key, id, sizeof(id)) == SL_LOGIN_ID ? scred_read(id, value) : NULL;

	if (s != NULL && c->nb < MG_SCREDS_MAX) {
		insert(c, s);
		return 0;
	}
	scred_free(s);
	sl_fail(SL_E_STORE_CORRUPT);
	sl_log(SL_LOG_ERROR, "auth", "a session credential of the store cannot be read: it is not used");
	return 0;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	mg_screds_sweep(arg, mg_wall_us());
}

int mg_screds_new(const struct mg_screds_cfg *cfg, struct mg_screds **out)
{
	const struct timeval every = {.tv_sec = MG_SCREDS_SWEEP_S};
	struct mg_screds *c = calloc(1, sizeof(*c));
	int err;

	*out = NULL;
	if (c == NULL)
		return sl_fail(SL_E_NOMEM);
	c->cfg = *cfg;
	memcpy(c->salt_key, cfg->salt_key, sizeof(c->salt_key));
	c->cfg.salt_key = NULL;
	c->timer = event_new(cfg->base, -1, EV_PERSIST, on_timer, c);
	err = c->timer != NULL && event_add(c->timer, &every) == 0 ? SL_OK : sl_fail(SL_E_NOMEM);
	if (err == SL_OK && (RAND_bytes(c->nobody.stored_key, SL_SCRAM_KEY) != 1 ||
	                     RAND_bytes(c->nobody.server_key, SL_SCRAM_KEY) != 1))
		err = sl_fail(SL_E_SCRAM_CRYPTO);
	if (err == SL_OK)
		err = sl_store_each(cfg->store, TABLE, false, load, c);
	if (err != SL_OK && err != SL_E_NOTFOUND) {
		mg_screds_free(c);
		return err;
	}
	*out = c;
	return SL_OK;
}

void mg_screds_free(struct mg_screds *c)
{
	if (c == NULL)
		return;
	for (uint32_t i = 0; i < BUCKETS; i++)
		while (c->bucket[i] != NULL)
			drop(c, &c->bucket[i]);
	if (c->timer != NULL)
		event_free(c->timer);
	sl_cleanse(c, sizeof(*c));
	free(c);
}

void mg_screds_sweep(struct mg_screds *c, uint64_t wall_us)
{
	uint32_t nb = 0;

	for (uint32_t i = 0; i < BUCKETS; i++) {
		struct scred **at = &c->bucket[i];

		while (*at != NULL && nb < MG_SCREDS_SWEEP_MAX) {
			if (alive(*at, wall_us)) {
				at = &(*at)->next;
				continue;
			}
			nb++;
			if (sl_store_del(c->cfg.store, TABLE, sl_span_str((*at)->id)) != SL_OK)
				return; /* the next sweep tries again */
			drop(c, at);
		}
	}
}

/* ---- making ---- */

/* n letters of the alphabet, which has 32. */
static int letters(char *out, size_t n)
{
	if (RAND_priv_bytes((uint8_t *)out, (int)n) != 1)
		return sl_fail(SL_E_SCRAM_CRYPTO);
	for (size_t i = 0; i < n; i++)
		out[i] = SL_LOGIN_LETTERS[(uint8_t)out[i] & 31];
	out[n] = '\0';
	return SL_OK;
}

int mg_screds_salt(const struct mg_screds *c, struct sl_span id, uint8_t salt[SL_SCRAM_SALT])
{
	uint8_t all[SL_SCRAM_KEY];
	int err = sl_scram_hmac(c->salt_key, id, all);

	memcpy(salt, all, SL_SCRAM_SALT);
	return err;
}

static bool resources_ok(const json_t *list)
{
	size_t i, nb = json_array_size(list);
	const json_t *v;

	if (nb == 0 || nb > MG_SCRED_RESOURCES_MAX)
		return false;
	json_array_foreach((json_t *)(uintptr_t)list, i, v)
	{
		if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v) ||
		    !mg_creds_name_ok(json_string_value(v)))
			return false;
	}
	return true;
}

static uint32_t nb_of(const struct mg_screds *c, const struct sl_identity *who, uint64_t wall_us)
{
	uint32_t nb = 0;

	for (uint32_t i = 0; i < BUCKETS; i++)
		for (const struct scred *s = c->bucket[i]; s != NULL; s = s->next)
			nb += alive(s, wall_us) && is_of(s, who) ? 1 : 0;
	return nb;
}

static int fill(struct mg_screds *c, struct scred *s, const struct sl_identity *who,
                struct mg_scred_issued *out)
{
	uint8_t salt[SL_SCRAM_SALT];
	int err;

	do {
		err = letters(s->id, SL_LOGIN_ID);
	} while (err == SL_OK && *find(c, sl_span_str(s->id)) != NULL);
	if (err == SL_OK)
		err = letters(out->password, MG_SCRED_PASSWORD);
	if (err == SL_OK)
		err = mg_screds_salt(c, sl_span_str(s->id), salt);
	if (err == SL_OK)
		err = sl_scram_verifier_make(sl_span_str(out->password), sl_span(salt, sizeof(salt)),
		                             SL_SCRAM_ITERATIONS, &s->verifier);
	s->who = err == SL_OK ? scred_identity_pack(who) : NULL;
	if (err == SL_OK && s->who == NULL)
		err = sl_fail(SL_E_NOMEM);
	if (err == SL_OK) {
		memcpy(s->who->credential, s->id, sizeof(s->id));
		s->who->expires_us = s->expires_us;
	}
	return err;
}

static int store(struct mg_screds *c, const struct scred *s)
{
	json_t *doc = scred_doc(s);
	char *json = doc == NULL ? NULL : json_dumps(doc, JSON_COMPACT);
	int err = json == NULL ? sl_fail(SL_E_INVAL)
	                       : sl_store_put(c->cfg.store, TABLE, sl_span_str(s->id), sl_span_str(json));

	if (json != NULL)
		sl_cleanse(json, strlen(json));
	free(json);
	json_decref(doc);
	return err;
}

int mg_screds_issue(struct mg_screds *c, const struct sl_identity *who, const json_t *resources,
                    uint64_t ttl_s, uint64_t wall_us, struct mg_scred_issued *out)
{
	struct scred *s;
	int err;

	memset(out, 0, sizeof(*out));
	if (!resources_ok(resources) || ttl_s < MG_SCRED_TTL_MIN_S || ttl_s > MG_SCRED_TTL_MAX_S ||
	    who->expires_us <= wall_us)
		return sl_fail(SL_E_INVAL);
	if (c->nb >= MG_SCREDS_MAX) /* those that are over make room */
		mg_screds_sweep(c, wall_us);
	if (c->nb >= MG_SCREDS_MAX || nb_of(c, who, wall_us) >= MG_SCREDS_OF_IDENTITY)
		return sl_fail(SL_E_CRED_LIMIT);
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return sl_fail(SL_E_NOMEM);
	s->created_us = wall_us;
	s->expires_us = wall_us + ttl_s * 1000000;
	if (who->expires_us < s->expires_us)
		s->expires_us = who->expires_us;
	s->resources = json_deep_copy(resources);
	err = s->resources == NULL ? sl_fail(SL_E_NOMEM) : fill(c, s, who, out);
	if (err == SL_OK)
		err = store(c, s);
	if (err != SL_OK) {
		sl_cleanse(out, sizeof(*out));
		scred_free(s);
		return err;
	}
	memcpy(out->id, s->id, sizeof(out->id));
	out->expires_us = s->expires_us;
	insert(c, s);
	return SL_OK;
}

/* ---- use ---- */

static bool serves(const struct scred *s, const char *resource)
{
	const json_t *v;
	size_t i;

	json_array_foreach(s->resources, i, v)
	{
		if (strcmp(json_string_value(v), resource) == 0)
			return true;
	}
	return false;
}

int mg_screds_check(const struct mg_screds *c, struct sl_span id, struct sl_span auth_message,
                    const uint8_t proof[SL_SCRAM_KEY], const char *resource, uint64_t wall_us,
                    uint8_t signature[SL_SCRAM_KEY], struct sl_identity *who)
{
	const struct scred *s = *find((struct mg_screds *)(uintptr_t)c, id);
	bool there = s != NULL && alive(s, wall_us);
	int err = sl_scram_check(there ? &s->verifier : &c->nobody, auth_message, proof, signature);

	if (!there && err != SL_E_SCRAM_CRYPTO) {
		sl_cleanse(signature, SL_SCRAM_KEY);
		return sl_fail(SL_E_CRED_UNKNOWN);
	}
	if (err == SL_OK && !serves(s, resource))
		err = sl_fail(SL_E_CRED_RESOURCE);
	if (err == SL_OK)
		scred_identity_unpack(s->who, who);
	return err;
}

/* ---- the end ---- */

/* By the credential that they logged in with. */
static void kill_sessions(struct mg_screds *c, const struct scred *s)
{
	struct sl_msg *msg = calloc(1, sizeof(*msg));

	if (msg == NULL) {
		sl_fail(SL_E_NOMEM);
		sl_log(SL_LOG_ERROR, "auth", "no memory to end the sessions of credential %s", s->id);
		return;
	}
	msg->type = SL_MSG_KILL;
	scred_identity_unpack(s->who, &msg->identity);
	for (uint32_t i = 0; i < c->cfg.nb_workers; i++) {
		msg->flow = (struct sl_flow_ref){.worker = i};
		c->cfg.send(c->cfg.ctx, i, msg);
	}
	free(msg);
}

/* In memory at once, whatever the disk says. */
static int end(struct mg_screds *c, struct scred **at)
{
	struct scred *s = *at;
	int err;

	s->revoked = true;
	kill_sessions(c, s);
	err = sl_store_del(c->cfg.store, TABLE, sl_span_str(s->id));
	if (err == SL_OK)
		drop(c, at);
	return err;
}

int mg_screds_revoke(struct mg_screds *c, const char *id, const struct sl_identity *who, uint64_t wall_us)
{
	struct scred **at = find(c, sl_span_str(id));

	if (*at == NULL || wall_us >= (*at)->expires_us || !is_of(*at, who))
		return sl_fail(SL_E_NOTFOUND);
	return end(c, at);
}

void mg_screds_list(const struct mg_screds *c, const struct sl_identity *who, uint64_t wall_us, json_t *array)
{
	for (uint32_t i = 0; i < BUCKETS; i++) {
		for (const struct scred *s = c->bucket[i]; s != NULL; s = s->next) {
			if (!alive(s, wall_us) || !is_of(s, who))
				continue;
			json_array_append_new(
			        array, json_pack("{s:s,s:o,s:o,s:o,s:O,s:I,s:I}", "id", s->id, "user",
			                         mg_json_text(sl_span_str(s->who->name)), "subject",
			                         mg_json_text(sl_span_str(s->who->subject)), "issuer",
			                         mg_json_text(sl_span_str(s->who->issuer)), "resources",
			                         s->resources, "created_us", (json_int_t)s->created_us,
			                         "expires_us", (json_int_t)s->expires_us));
		}
	}
}

uint32_t mg_screds_nb(const struct mg_screds *c)
{
	return c->nb;
}
