/* Session credentials to and from JSON. What cannot be read whole is not used. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "session_cred_priv.h"
#include "sl_secret.h"

#define FORMAT 1

struct sl_identity *scred_identity_pack(const struct sl_identity *who)
{
	size_t n = (size_t)who->groups_n + who->claims_n;
	struct sl_identity *out = NULL;

	if (n <= sizeof(who->groups))
		out = malloc(offsetof(struct sl_identity, groups) + n);
	if (out != NULL)
		memcpy(out, who, offsetof(struct sl_identity, groups) + n);
	return out;
}

void scred_identity_unpack(const struct sl_identity *packed, struct sl_identity *out)
{
	memset(out, 0, sizeof(*out));
	memcpy(out, packed,
	       offsetof(struct sl_identity, groups) + (size_t)packed->groups_n + packed->claims_n);
}

void scred_free(struct scred *s)
{
	if (s == NULL)
		return;
	json_decref(s->resources);
	free(s->who);
	sl_cleanse(s, sizeof(*s));
	free(s);
}

/* ---- writing ---- */

/* NUL-ended strings one after the other as an array; NULL when one is not UTF-8. */
static json_t *strings(const char *p, size_t n)
{
	json_t *list = json_array();

	for (size_t at = 0; list != NULL && at < n;) {
		size_t len = strnlen(p + at, n - at);

		if (json_array_append_new(list, json_stringn(p + at, len)) != 0) {
			json_decref(list);
			return NULL;
		}
		at += len + 1;
	}
	return list;
}

json_t *scred_doc(const struct scred *s)
{
	const struct sl_identity *who = s->who;
	char verifier[SL_SCRAM_TEXT_MAX];
	json_t *groups, *claims;

	if (sl_scram_verifier_text(&s->verifier, verifier, sizeof(verifier)) < 0)
		return NULL;
	groups = strings(who->groups, who->groups_n);
	claims = strings(who->groups + who->groups_n, who->claims_n);
	if (groups == NULL || claims == NULL) {
		json_decref(groups);
		json_decref(claims);
		return NULL;
	}
	return json_pack("{s:i,s:s,s:I,s:I,s:O,s:s,s:s,s:s,s:s,s:o,s:o}", "format", FORMAT, "verifier",
	                 verifier, "created_us", (json_int_t)s->created_us, "expires_us",
	                 (json_int_t)s->expires_us, "resources", s->resources, "issuer", who->issuer,
	                 "subject", who->subject, "name", who->name, "provider", who->provider, "groups",
	                 groups, "claims", claims);
}

/* ---- reading ---- */

static bool text(const json_t *doc, const char *name, char *out, size_t cap)
{
	const json_t *v = json_object_get(doc, name);

	return json_is_string(v) &&
	       sl_span_cstr(sl_span(json_string_value(v), json_string_length(v)), out, cap) >= 0;
}

static bool time_of(const json_t *doc, const char *name, uint64_t *out)
{
	const json_t *v = json_object_get(doc, name);

	if (!json_is_integer(v) || json_integer_value(v) <= 0)
		return false;
	*out = (uint64_t)json_integer_value(v);
	return true;
}

/* Appends the array's strings at *n of the identity's room. */
static bool unstrings(const json_t *list, struct sl_identity *who, uint16_t *n, uint16_t *nb)
{
	size_t i, at = (size_t)who->groups_n + who->claims_n;
	const json_t *v;

	if (!json_is_array(list))
		return false;
	json_array_foreach((json_t *)(uintptr_t)list, i, v)
	{
		size_t len = json_string_length(v);

		if (!json_is_string(v) || memchr(json_string_value(v), 0, len) != NULL ||
		    len + 1 > sizeof(who->groups) - at)
			return false;
		memcpy(who->groups + at, json_string_value(v), len + 1);
		at += len + 1;
		*n = (uint16_t)(*n + len + 1);
		++*nb;
	}
	return true;
}

static bool read_identity(const json_t *doc, struct sl_identity *who)
{
	uint16_t nb_claims = 0;

	memset(who, 0, sizeof(*who));
	return text(doc, "issuer", who->issuer, sizeof(who->issuer)) &&
	       text(doc, "subject", who->subject, sizeof(who->subject)) &&
	       text(doc, "name", who->name, sizeof(who->name)) &&
	       text(doc, "provider", who->provider, sizeof(who->provider)) && who->issuer[0] != '\0' &&
	       who->subject[0] != '\0' &&
	       unstrings(json_object_get(doc, "groups"), who, &who->groups_n, &who->nb_groups) &&
	       who->nb_groups <= SL_BUS_GROUPS_MAX &&
	       unstrings(json_object_get(doc, "claims"), who, &who->claims_n, &nb_claims);
}

static bool read_resources(const json_t *doc, json_t **out)
{
	json_t *list = json_object_get(doc, "resources"), *v;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) == 0 ||
	    json_array_size(list) > MG_SCRED_RESOURCES_MAX)
		return false;
	json_array_foreach(list, i, v)
	{
		if (!json_is_string(v))
			return false;
	}
	*out = json_incref(list);
	return true;
}

static bool read_doc(const json_t *doc, struct scred *s, struct sl_identity *who)
{
	char verifier[SL_SCRAM_TEXT_MAX];

	if (json_integer_value(json_object_get(doc, "format")) != FORMAT ||
	    !text(doc, "verifier", verifier, sizeof(verifier)) ||
	    sl_scram_verifier_parse(sl_span_str(verifier), &s->verifier) != SL_OK ||
	    !time_of(doc, "created_us", &s->created_us) || !time_of(doc, "expires_us", &s->expires_us) ||
	    !read_identity(doc, who) || !read_resources(doc, &s->resources))
		return false;
	who->expires_us = s->expires_us;
	memcpy(who->credential, s->id, sizeof(s->id));
	s->who = scred_identity_pack(who);
	return s->who != NULL;
}

struct scred *scred_read(const char *id, struct sl_span value)
{
	json_t *doc = json_loadb((const char *)value.p, value.n, JSON_REJECT_DUPLICATES, NULL);
	struct scred *s = calloc(1, sizeof(*s));
	struct sl_identity *who = malloc(sizeof(*who));
	bool ok = doc != NULL && s != NULL && who != NULL;

	if (ok) {
		snprintf(s->id, sizeof(s->id), "%s", id);
		ok = read_doc(doc, s, who);
	}
	free(who);
	json_decref(doc);
	if (ok)
		return s;
	scred_free(s);
	return NULL;
}
