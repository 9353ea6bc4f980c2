#include "need.h"

#include <stdio.h>
#include <string.h>

#include "json.h"
#include "jwt.h"
#include "sl_snapshot.h"

/* The group at *at, NULL behind the last one. */
static const char *next_group(const struct sl_msg_need *need, size_t *at)
{
	const char *group = need->approvers + *at;

	if (*at >= need->approvers_n)
		return NULL;
	*at += strlen(group) + 1;
	return group;
}

static bool need_ok(const struct sl_msg_need *need)
{
	return need->rule[0] != '\0' && memchr(need->rule, '\0', sizeof(need->rule)) != NULL &&
	       need->approvers_n <= sizeof(need->approvers) &&
	       (need->approvers_n == 0 || need->approvers[need->approvers_n - 1] == '\0');
}

bool mg_needs_ok(const struct sl_msg_hold *h)
{
	if (h->nb_needs == 0 || h->nb_needs > SL_BUS_NEEDS_MAX)
		return false;
	for (uint32_t i = 0; i < h->nb_needs; i++) {
		if (!need_ok(&h->needs[i]))
			return false;
	}
	return true;
}

static bool is_requester(const struct sl_msg_hold *h, const struct sl_identity *who)
{
	return strcmp(h->identity.issuer, who->issuer) == 0 && strcmp(h->identity.subject, who->subject) == 0;
}

static bool may_one(const struct sl_msg_need *need, const struct sl_identity *who)
{
	size_t at = 0;

	for (const char *g = next_group(need, &at); g != NULL; g = next_group(need, &at)) {
		if (mg_identity_in(who, g))
			return true;
	}
	return need->approvers_n == 0;
}

bool mg_needs_may(const struct sl_msg_hold *h, const struct sl_identity *who)
{
	for (uint32_t i = 0; i < h->nb_needs && !is_requester(h, who); i++) {
		if (may_one(&h->needs[i], who))
			return true;
	}
	return false;
}

static bool lists(const json_t *array, const char *name)
{
	const json_t *one;
	size_t i;

	json_array_foreach(array, i, one)
	{
		const char *text = json_string_value(one);

		if (text != NULL && strcmp(text, name) == 0)
			return true;
	}
	return false;
}

/* How many approvals count for this rule; *by: who gave the last of them. */
static uint32_t approved(const struct sl_msg_need *need, const json_t *approvals, const char **by)
{
	const json_t *one;
	uint32_t nb = 0;
	size_t i;

	json_array_foreach(approvals, i, one)
	{
		if (!lists(json_object_get(one, "rules"), need->rule))
			continue;
		*by = json_string_value(json_object_get(one, "by"));
		nb++;
	}
	return nb;
}

static uint32_t quorum_of(const struct sl_msg_need *need)
{
	return need->quorum > 0 ? need->quorum : 1;
}

static const char *grant_name(const struct sl_msg_need *need)
{
	return need->grant == SL_GRANT_SESSION  ? "session"
	       : need->grant == SL_GRANT_WINDOW ? "window"
	                                        : "once";
}

static json_t *approvers_json(const struct sl_msg_need *need)
{
	json_t *list = json_array();
	size_t at = 0;

	for (const char *g = next_group(need, &at); g != NULL; g = next_group(need, &at))
		json_array_append_new(list, mg_json_text(sl_span_str(g)));
	return list;
}

static json_t *need_json(const struct sl_msg_need *need, uint32_t nb, const struct mg_granted *grant,
                         bool *missing)
{
	uint32_t quorum = quorum_of(need), needed = nb < quorum && grant == NULL ? quorum - nb : 0;

	*missing |= needed > 0;
	return json_pack("{s:o,s:o,s:I,s:I,s:I,s:s,s:I,s:o,s:o}", "name",
	                 mg_json_text(sl_span_str(need->rule)), "approvers", approvers_json(need), "quorum",
	                 (json_int_t)quorum, "approved", (json_int_t)nb, "needed", (json_int_t)needed,
	                 "grant", grant_name(need), "grant_s", (json_int_t)need->grant_s, "granted_by",
	                 grant != NULL ? mg_json_text(sl_span_str(grant->by)) : json_null(), "granted_with",
	                 grant != NULL ? mg_json_id(&grant->approval) : json_null());
}

json_t *mg_needs_json(const struct sl_msg_hold *h, const json_t *approvals, struct mg_grants *grants,
                      uint64_t wall_us, bool *missing)
{
	json_t *rules = json_array();

	*missing = false;
	for (uint32_t i = 0; i < h->nb_needs; i++) {
		const struct sl_msg_need *need = &h->needs[i];
		const char *by = NULL;
		json_t *one = need_json(need, approved(need, approvals, &by),
		                        mg_grants_find(grants, h, need, wall_us), missing);

		if (one == NULL || json_array_append_new(rules, one) != 0) {
			json_decref(rules);
			return NULL;
		}
	}
	return rules;
}

json_t *mg_needs_counting(const struct sl_msg_hold *h, const struct sl_identity *who)
{
	json_t *names = json_array();

	for (uint32_t i = 0; i < h->nb_needs; i++) {
		if (may_one(&h->needs[i], who) &&
		    json_array_append_new(names, mg_json_text(sl_span_str(h->needs[i].rule))) != 0) {
			json_decref(names);
			return NULL;
		}
	}
	return names;
}

void mg_needs_grant(const struct sl_msg_hold *h, const json_t *approvals, struct mg_grants *grants,
                    uint64_t wall_us)
{
	for (uint32_t i = 0; i < h->nb_needs; i++) {
		const struct sl_msg_need *need = &h->needs[i];
		const char *by = NULL;

		if (approved(need, approvals, &by) >= quorum_of(need))
			mg_grants_add(grants, h, need, by != NULL ? by : "", wall_us);
	}
}

/* One more text of a list, once. */
static void put_word(char *out, size_t cap, const char *word)
{
	size_t n = strlen(out), word_n;

	if (word == NULL)
		return;
	word_n = strlen(word);
	for (const char *p = out; *p != '\0';) {
		size_t len = strcspn(p, ",");

		if (len == word_n && memcmp(p, word, len) == 0)
			return;
		p += len + strspn(p + len, ", ");
	}
	if (word_n > 0)
		snprintf(out + n, cap - n, "%s%s", n > 0 ? ", " : "", word);
}

void mg_needs_granted(const json_t *rules, char *by, size_t by_cap, char *note, size_t note_cap)
{
	char ids[SL_BUS_NEEDS_MAX * (SL_ID_STR_MAX + 2)] = "";
	const json_t *one;
	size_t i;

	by[0] = '\0';
	json_array_foreach(rules, i, one)
	{
		put_word(by, by_cap, json_string_value(json_object_get(one, "granted_by")));
		put_word(ids, sizeof(ids), json_string_value(json_object_get(one, "granted_with")));
	}
	snprintf(note, note_cap, "granted with approval %s", ids);
}
