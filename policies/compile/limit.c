/* How much: Limit and Breaker. */
#include <stdio.h>
#include <string.h>

#include "compile_priv.h"

/* The conditions are those of a rule. */
static const char *const limit_keys[] = {"per",     "commands", "sessions", "rows",     "bytes",
                                         "over",    "shadow",   "message",  "roles",    "resources",
                                         "labels",  "identity", "sources",  "schedule", "approvers",
                                         "expires", "quorum",   "grant",    NULL};
static const char *const breaker_keys[] = {"denials", "window",   "shadow",  "message",  "roles", "resources",
                                           "labels",  "identity", "sources", "schedule", NULL};
static const char *const command_keys[] = {"perSecond", "burst", NULL};
static const char *const window_keys[] = {"perMinute", "perDay", NULL};
static const char *const pers[] = {"identity", "resource", "role", NULL};
static const char *const overs[] = {"deny", "hold", "cut", NULL};

/* A bound: none when it is absent, and never 0, which would be a rule in the dress of a limit. */
static int bound(struct compiler *c, const struct sl_yaml_node *map, const char *key, bool bytes,
                 uint64_t max, uint64_t *out)
{
	const struct sl_yaml_node *n = sl_yaml_get(map, key);
	uint64_t v = 0;
	int rc;

	if (n == NULL)
		return SL_OK;
	rc = bytes ? sl_yaml_bytes(n, &v) : sl_yaml_uint(n, &v);
	if (rc != SL_OK || v == 0 || v > max)
		return cp_fail(c, SL_E_POLICY_SYNTAX, n, "what may not happen at all is denied by a Rule",
		               "\"%s\" must be a number from 1 to %llu", key, (unsigned long long)max);
	*out = v;
	return SL_OK;
}

static int bound32(struct compiler *c, const struct sl_yaml_node *map, const char *key, uint32_t max,
                   uint32_t *out)
{
	uint64_t v = *out;
	int rc = bound(c, map, key, false, max, &v);

	*out = (uint32_t)v;
	return rc;
}

static int commands(struct compiler *c, const struct sl_yaml_node *spec, struct sl_limit *l)
{
	const struct sl_yaml_node *n = sl_yaml_get(spec, "commands");
	int rc;

	if (n == NULL)
		return SL_OK;
	rc = cp_map(c, n, "commands", command_keys);
	if (rc == SL_OK)
		rc = bound32(c, n, "perSecond", CP_PER_SECOND_MAX, &l->per_second);
	if (rc == SL_OK && l->per_second == 0)
		rc = cp_fail(c, SL_E_POLICY_SYNTAX, n, "commands: {perSecond: 10}",
		             "\"perSecond\" is missing");
	l->burst = l->per_second;
	if (rc == SL_OK)
		rc = bound32(c, n, "burst", CP_PER_SECOND_MAX, &l->burst);
	return rc;
}

/* rows or bytes: by the minute, by the day, or both. */
static int windows(struct compiler *c, const struct sl_yaml_node *spec, const char *key, uint64_t max,
                   uint64_t out[2])
{
	const struct sl_yaml_node *n = sl_yaml_get(spec, key);
	bool bytes = strcmp(key, "bytes") == 0;
	int rc;

	if (n == NULL)
		return SL_OK;
	rc = cp_map(c, n, key, window_keys);
	if (rc == SL_OK)
		rc = bound(c, n, "perMinute", bytes, max, &out[0]);
	if (rc == SL_OK)
		rc = bound(c, n, "perDay", bytes, max, &out[1]);
	if (rc == SL_OK && out[0] == 0 && out[1] == 0)
		rc = cp_fail(c, SL_E_POLICY_SYNTAX, n, NULL, "\"%s\" needs \"perMinute\" or \"perDay\"", key);
	return rc;
}

int cp_conditions(struct compiler *c, const struct cp_doc *d, const char *kind, struct sl_rule *r)
{
	const struct sl_yaml_node *spec = d->spec;
	char name[CP_NAME_MAX + 16];
	int rc;

	snprintf(name, sizeof(name), "%s/%s", kind, d->name);
	r->name = cp_copy(c->arena, name, strlen(name));
	if (r->name == NULL)
		return cp_fail(c, SL_E_NOMEM, NULL, NULL, "out of memory");
	r->message = "";
	rc = cp_bool(c, spec, "shadow", &r->shadow);
	if (rc == SL_OK)
		rc = cp_text(c, spec, "message", CP_OPTIONAL, CP_TEXT_MAX, &r->message);
	if (rc == SL_OK)
		rc = cp_globs(c, spec, "roles", CP_OPTIONAL, CP_ROLE, &r->roles);
	if (rc == SL_OK)
		rc = cp_globs(c, spec, "resources", CP_OPTIONAL, CP_RESOURCE, &r->resources);
	if (rc == SL_OK)
		rc = cp_where(c, spec, &r->resources, r->resource_bits);
	if (rc == SL_OK)
		rc = cp_who(c, spec, &r->who);
	if (rc == SL_OK)
		rc = cp_schedule(c, spec, &r->when);
	r->role_bits = cp_role_bits(c, &r->roles);
	return rc;
}

static bool has_windows(const struct sl_limit *l)
{
	for (uint32_t i = 0; i < SL_LIMIT_WINDOWS; i++) {
		if (l->window[i] != 0)
			return true;
	}
	return false;
}

/* What does not go together. */
static int check_limit(struct compiler *c, const struct sl_yaml_node *spec, const struct sl_limit *l)
{
	static const char apart[] = "write it as a Limit of its own";

	if (l->per_second == 0 && l->sessions == 0 && !has_windows(l))
		return cp_fail(c, SL_E_POLICY_SYNTAX, spec, "commands: {perSecond: 10}",
		               "a limit needs \"commands\", \"sessions\", \"rows\" or \"bytes\"");
	if (l->over == SL_OVER_CUT && l->per_second != 0)
		return cp_fail(c, SL_E_POLICY_SYNTAX, sl_yaml_get(spec, "commands"), apart,
		               "only \"rows\" and \"bytes\" can be cut");
	if (l->over != SL_OVER_DENY && l->sessions != 0)
		return cp_fail(c, SL_E_POLICY_SYNTAX, sl_yaml_get(spec, "sessions"), apart,
		               "a session over the limit can only be denied");
	return l->over != SL_OVER_HOLD ? cp_no_approval(c, spec, "over: hold") : SL_OK;
}

int cp_limit(struct compiler *c, const struct cp_doc *d, struct sl_limit *out)
{
	const struct sl_yaml_node *spec = d->spec;
	uint32_t word = 0;
	int rc = cp_map(c, spec, "spec", limit_keys);

	if (rc == SL_OK)
		rc = cp_conditions(c, d, "Limit", &out->rule);
	if (rc == SL_OK)
		rc = cp_word(c, spec, "per", CP_OPTIONAL, pers, &word);
	out->per = (enum sl_limit_per)word;
	word = 0;
	if (rc == SL_OK)
		rc = cp_word(c, spec, "over", CP_OPTIONAL, overs, &word);
	out->over = (enum sl_limit_over)word;
	out->rule.action = out->over == SL_OVER_HOLD ? SL_RULE_HOLD : SL_RULE_DENY;
	if (rc == SL_OK)
		rc = commands(c, spec, out);
	if (rc == SL_OK)
		rc = bound32(c, spec, "sessions", CP_SESSIONS_MAX, &out->sessions);
	if (rc == SL_OK)
		rc = windows(c, spec, "rows", CP_ROWS_MAX, &out->window[SL_ROWS_MINUTE]);
	if (rc == SL_OK)
		rc = windows(c, spec, "bytes", CP_BYTES_MAX, &out->window[SL_BYTES_MINUTE]);
	if (rc == SL_OK)
		rc = cp_approval(c, spec, &out->rule);
	return rc == SL_OK ? check_limit(c, spec, out) : rc;
}

int cp_breaker(struct compiler *c, const struct cp_doc *d, struct sl_limit *out)
{
	const struct sl_yaml_node *spec = d->spec;
	int rc = cp_map(c, spec, "spec", breaker_keys);

	out->breaker = true;
	out->per = SL_PER_IDENTITY;
	if (rc == SL_OK)
		rc = cp_conditions(c, d, "Breaker", &out->rule);
	out->rule.action = SL_RULE_DENY;
	if (rc == SL_OK)
		rc = bound32(c, spec, "denials", CP_DENIALS_MAX, &out->denials);
	if (rc == SL_OK)
		rc = cp_duration(c, spec, "window", 1, CP_WINDOW_MAX_S, &out->window_s);
	if (rc == SL_OK && (out->denials == 0 || out->window_s == 0))
		rc = cp_fail(c, SL_E_POLICY_SYNTAX, spec, "denials: 10, window: 5m",
		             "a breaker needs \"denials\" and \"window\"");
	return rc;
}
