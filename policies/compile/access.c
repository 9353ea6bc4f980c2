/* Who may do what: Role and Rule. */
#include <stdio.h>
#include <string.h>

#include "compile_priv.h"

static const char *const role_keys[] = {"groups", "subjects", "resources", "databases",
                                        "labels", "allow",    NULL};
static const char *const rule_keys[] = {"action", "kinds",     "withoutWhere", "pattern", "message",
                                        "roles",  "resources", "approvers",    "expires", "relations",
                                        "access", "functions", "identity",     "sources", "schedule",
                                        "labels", "shadow",    "quorum",       "grant",   NULL};
static const char *const rule_actions[] = {"deny", "hold", "allow", "log", NULL};

static bool is_glob(const char *s)
{
	return strpbrk(s, "*?") != NULL;
}

/* A literal that names nothing is a slip of the pen, and would silently switch a rule off; a glob may wait
 * for its match. */
static int check_names(struct compiler *c, const struct sl_yaml_node *map, const char *key, enum cp_kind kind)
{
	const struct sl_yaml_node *list = sl_yaml_get(map, key);
	const char *what = kind == CP_ROLE ? "role" : "resource";

	for (const struct sl_yaml_node *n = list != NULL ? list->first : NULL; n != NULL; n = n->next) {
		bool found = is_glob(n->scalar);

		for (uint32_t i = 0; i < c->out->nb_roles && kind == CP_ROLE && !found; i++)
			found = sl_glob_match(n->scalar, sl_span_str(c->out->roles[i].name));
		for (uint32_t i = 0; i < c->out->nb_resources && kind == CP_RESOURCE && !found; i++)
			found = sl_glob_match(n->scalar, sl_span_str(c->out->resources[i].name));
		if (!found)
			return cp_fail(c, SL_E_POLICY_SYNTAX, n, NULL, "no %s is called \"%.64s\"", what,
			               n->scalar);
	}
	return SL_OK;
}

int cp_globs(struct compiler *c, const struct sl_yaml_node *map, const char *key, enum cp_need need,
             enum cp_kind kind, struct sl_strings *out)
{
	int rc = cp_list(c, map, key, need, cp_check_glob, out);

	return rc == SL_OK ? check_names(c, map, key, kind) : rc;
}

/* Bits of the roles that a list of globs names. */
uint64_t cp_role_bits(const struct compiler *c, const struct sl_strings *list)
{
	uint64_t bits = 0;

	for (uint32_t r = 0; r < c->out->nb_roles; r++) {
		for (uint32_t i = 0; i < list->nb; i++) {
			if (sl_glob_match(list->v[i], sl_span_str(c->out->roles[r].name)))
				bits |= UINT64_C(1) << r;
		}
	}
	return bits;
}

static int check_kind(struct compiler *c, const struct sl_yaml_node *item)
{
	const char *words[SL_SQL_KIND_COUNT + 5];
	uint32_t nb = 0;
	char hint[128];

	if (sl_sql_kinds_parse(item->scalar) != 0)
		return SL_OK;
	for (unsigned k = 0; k < SL_SQL_KIND_COUNT; k++)
		words[nb++] = sl_sql_kind_name((enum sl_sql_kind)k);
	words[nb++] = "read";
	words[nb++] = "write";
	words[nb++] = "ddl";
	words[nb++] = "any";
	words[nb] = NULL;
	cp_nearest(item->scalar, words, hint, sizeof(hint));
	return cp_fail(c, SL_E_POLICY_SYNTAX, item, hint, "\"%.64s\" is not a kind of statement",
	               item->scalar);
}

/* "write" holds "read" too: right for what a role allows, a surprise in a rule that denies. */
static int check_rule_kind(struct compiler *c, const struct sl_yaml_node *item)
{
	if (strcmp(item->scalar, "write") == 0)
		return cp_fail(c, SL_E_POLICY_SYNTAX, item, "name insert, update, delete, merge, copy-from",
		               "\"write\" includes reading, so a rule does not take it");
	return check_kind(c, item);
}

int cp_check_group(struct compiler *c, const struct sl_yaml_node *item)
{
	if (strcmp(item->scalar, "*") != 0 && is_glob(item->scalar))
		return cp_fail(c, SL_E_POLICY_SYNTAX, item, "write it out, or \"*\" for everybody",
		               "a group's name is no glob");
	return SL_OK;
}

static uint64_t kinds_of(const struct sl_strings *list)
{
	uint64_t kinds = 0;

	for (uint32_t i = 0; i < list->nb; i++)
		kinds |= sl_sql_kinds_parse(list->v[i]);
	return kinds;
}

int cp_role(struct compiler *c, const struct cp_doc *d, struct sl_role *out)
{
	struct sl_strings allow = {0};
	int rc = cp_map(c, d->spec, "spec", role_keys);

	out->name = d->name;
	if (rc == SL_OK)
		rc = cp_list(c, d->spec, "groups", CP_OPTIONAL, cp_check_group, &out->groups);
	if (rc == SL_OK)
		rc = cp_list(c, d->spec, "subjects", CP_OPTIONAL, NULL, &out->subjects);
	if (rc == SL_OK)
		rc = cp_globs(c, d->spec, "resources", CP_REQUIRED, CP_RESOURCE, &out->resources);
	if (rc == SL_OK)
		rc = cp_list(c, d->spec, "databases", CP_OPTIONAL, cp_check_glob, &out->databases);
	if (rc == SL_OK)
		rc = cp_list(c, d->spec, "allow", CP_REQUIRED, check_kind, &allow);
	if (rc == SL_OK)
		rc = cp_where(c, d->spec, &out->resources, out->resource_bits);
	if (rc != SL_OK)
		return rc;
	if (out->groups.nb + out->subjects.nb == 0)
		return cp_fail(c, SL_E_POLICY_SYNTAX, d->spec, "groups: [\"*\"] is everybody",
		               "a role needs \"groups\" or \"subjects\"");
	out->kinds = kinds_of(&allow);
	return SL_OK;
}

int cp_pattern(struct compiler *c, const struct sl_yaml_node *spec, bool rule, uint32_t id, uint32_t flags,
               bool *has)
{
	uint32_t *nb = rule ? &c->nb_rule_patterns : &c->nb_mask_patterns;
	struct sl_match_pattern *p = (rule ? c->rule_patterns : c->mask_patterns) + *nb;
	struct cp_place *place = (rule ? c->rule_places : c->mask_places) + *nb;
	const struct sl_yaml_node *n = sl_yaml_get(spec, "pattern");
	int rc = cp_text(c, spec, "pattern", CP_OPTIONAL, CP_PATTERN_MAX, &p->expression);

	if (rc == SL_OK && n != NULL)
		rc = cp_check_pattern(c, n);
	if (rc != SL_OK || n == NULL)
		return rc;
	p->id = id;
	p->flags = flags;
	place->file = c->file;
	place->node = n;
	(*nb)++;
	*has = true;
	return SL_OK;
}

int cp_check_length(struct compiler *c, const struct sl_yaml_node *item)
{
	size_t n = 0;

	for (const char *s = item->scalar; *s != '\0'; s++) {
		n = *s == '.' ? 0 : n + (*s != '*');
		if (n > SL_SQL_NAME_MAX)
			return cp_fail(c, SL_E_POLICY_SYNTAX, item, "write the first 63 bytes",
			               "the server cuts names at %d bytes, so this one is never met",
			               SL_SQL_NAME_MAX);
	}
	return SL_OK;
}

int cp_check_relation(struct compiler *c, const struct sl_yaml_node *item)
{
	const char *dot = strchr(item->scalar, '.');

	if (dot != NULL && (dot == item->scalar || dot[1] == '\0' || strchr(dot + 1, '.') != NULL))
		return cp_fail(c, SL_E_POLICY_SYNTAX, item, NULL, "a name is written name or schema.name");
	return cp_check_length(c, item) == SL_OK ? cp_check_glob(c, item) : SL_E_POLICY_SYNTAX;
}

static const struct {
	const char *name;
	uint8_t access;
} accesses[] = {
        {"read", SL_SQL_READS},     {"insert", SL_SQL_INSERTS},     {"update", SL_SQL_UPDATES},
        {"delete", SL_SQL_DELETES}, {"truncate", SL_SQL_TRUNCATES}, {"define", SL_SQL_DEFINES},
        {"lock", SL_SQL_LOCKS},     {"write", SL_SQL_WRITES},
};

static uint8_t access_of(const char *name)
{
	for (size_t i = 0; i < sizeof(accesses) / sizeof(accesses[0]); i++) {
		if (strcmp(name, accesses[i].name) == 0)
			return accesses[i].access;
	}
	return 0;
}

static int check_access(struct compiler *c, const struct sl_yaml_node *item)
{
	const char *words[sizeof(accesses) / sizeof(accesses[0]) + 1] = {NULL};
	char hint[128];

	if (access_of(item->scalar) != 0)
		return SL_OK;
	for (size_t i = 0; i < sizeof(accesses) / sizeof(accesses[0]); i++)
		words[i] = accesses[i].name;
	cp_nearest(item->scalar, words, hint, sizeof(hint));
	return cp_fail(c, SL_E_POLICY_SYNTAX, item, hint, "\"%.64s\" is no access to a relation",
	               item->scalar);
}

/* What a rule says of names: relations, what is done to them, and functions. */
static int names(struct compiler *c, const struct sl_yaml_node *spec, struct sl_rule *out)
{
	struct sl_strings access = {0};
	int rc = cp_list(c, spec, "relations", CP_OPTIONAL, cp_check_relation, &out->relations);

	if (rc == SL_OK)
		rc = cp_list(c, spec, "access", CP_OPTIONAL, check_access, &access);
	if (rc == SL_OK)
		rc = cp_list(c, spec, "functions", CP_OPTIONAL, cp_check_relation, &out->functions);
	if (rc != SL_OK)
		return rc;
	if (access.nb > 0 && out->relations.nb == 0)
		return cp_fail(c, SL_E_POLICY_SYNTAX, sl_yaml_get(spec, "access"),
		               "relations: [\"*\"] is all of them", "\"access\" needs \"relations\"");
	out->access = access.nb == 0 ? UINT8_MAX : 0;
	for (uint32_t i = 0; i < access.nb; i++)
		out->access |= access_of(access.v[i]);
	return SL_OK;
}

int cp_no_approval(struct compiler *c, const struct sl_yaml_node *spec, const char *needs)
{
	static const char *const keys[] = {"approvers", "expires", "quorum", "grant"};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const struct sl_yaml_node *n = sl_yaml_get(spec, keys[i]);

		if (n != NULL)
			return cp_fail(c, SL_E_POLICY_SYNTAX, n, NULL, "\"%s\" means something with %s only",
			               n->key, needs);
	}
	return SL_OK;
}

static int check_allow(struct compiler *c, const struct sl_yaml_node *spec, const struct sl_rule *r)
{
	if (r->kinds == 0)
		return cp_fail(c, SL_E_POLICY_SYNTAX, spec, NULL, "a rule that allows needs \"kinds\"");
	if (r->without_where)
		return cp_fail(c, SL_E_POLICY_SYNTAX, sl_yaml_get(spec, "withoutWhere"), NULL,
		               "\"withoutWhere\" is for rules that do not allow");
	if (r->kinds & SL_SQL_KINDS_ROLE_ONLY)
		return cp_fail(c, SL_E_POLICY_SYNTAX, sl_yaml_get(spec, "kinds"),
		               "give them in a role's \"allow\"",
		               "a rule cannot allow admin, call, do, function-call, opaque or any");
	return SL_OK;
}

/* What does not go together. */
static int check_rule(struct compiler *c, const struct sl_yaml_node *spec, const struct sl_rule *r)
{
	int rc = r->action != SL_RULE_HOLD ? cp_no_approval(c, spec, "action: hold") : SL_OK;

	if (rc != SL_OK || r->action == SL_RULE_ALLOW)
		return rc != SL_OK ? rc : check_allow(c, spec, r);
	if (r->action == SL_RULE_LOG && r->shadow)
		return cp_fail(c, SL_E_POLICY_SYNTAX, sl_yaml_get(spec, "shadow"), NULL,
		               "a rule that only logs changes nothing anyway");
	if (r->action == SL_RULE_LOG && sl_yaml_get(spec, "message") != NULL)
		return cp_fail(c, SL_E_POLICY_SYNTAX, sl_yaml_get(spec, "message"), NULL,
		               "nobody reads the \"message\" of a rule that logs");
	if (r->kinds == 0 && !r->without_where && !r->has_pattern && r->relations.nb + r->functions.nb == 0)
		return cp_fail(c, SL_E_POLICY_SYNTAX, spec, "kinds: [any] is every statement",
		               "the rule has no condition: give \"kinds\", \"relations\", \"functions\", "
		               "\"withoutWhere\" or \"pattern\"");
	return SL_OK;
}

/* "once", "session", or for how long. */
static int grant(struct compiler *c, const struct sl_yaml_node *spec, struct sl_rule *r)
{
	const struct sl_yaml_node *n = sl_yaml_get(spec, "grant");
	uint64_t s;

	r->grant = SL_GRANT_ONCE;
	if (n == NULL || (n->type == SL_YAML_SCALAR && strcmp(n->scalar, "once") == 0))
		return SL_OK;
	if (n->type == SL_YAML_SCALAR && strcmp(n->scalar, "session") == 0) {
		r->grant = SL_GRANT_SESSION;
		return SL_OK;
	}
	if (sl_yaml_duration_s(n, &s) != SL_OK || s < 1 || s > CP_GRANT_MAX_S)
		return cp_fail(c, SL_E_POLICY_SYNTAX, n, NULL,
		               "\"grant\" must be once, session, or a duration up to 7d");
	r->grant = SL_GRANT_WINDOW;
	r->grant_s = (uint32_t)s;
	return SL_OK;
}

/* What a rule says of approval. */
int cp_approval(struct compiler *c, const struct sl_yaml_node *spec, struct sl_rule *r)
{
	int rc = cp_list(c, spec, "approvers", CP_OPTIONAL, cp_check_group, &r->approvers);

	r->expires_s = CP_EXPIRES_DEFAULT_S;
	r->quorum = 1;
	if (rc == SL_OK)
		rc = cp_duration(c, spec, "expires", 1, CP_EXPIRES_MAX_S, &r->expires_s);
	if (rc == SL_OK)
		rc = cp_uint(c, spec, "quorum", CP_QUORUM_MAX, &r->quorum);
	if (rc == SL_OK && r->quorum == 0)
		rc = cp_fail(c, SL_E_POLICY_SYNTAX, sl_yaml_get(spec, "quorum"), NULL,
		             "\"quorum\" is 1 or more");
	return rc == SL_OK ? grant(c, spec, r) : rc;
}

/* What a rule says of the statement. */
static int statement(struct compiler *c, const struct sl_yaml_node *spec, struct sl_rule *r)
{
	uint32_t id = (uint32_t)(r - c->out->rules);
	struct sl_strings kinds = {0};
	int rc = cp_list(c, spec, "kinds", CP_OPTIONAL, check_rule_kind, &kinds);

	r->kinds = kinds_of(&kinds);
	if (rc == SL_OK)
		rc = cp_bool(c, spec, "withoutWhere", &r->without_where);
	if (rc == SL_OK)
		rc = names(c, spec, r);
	if (rc == SL_OK)
		rc = cp_pattern(c, spec, true, id, SL_MATCH_CASELESS | SL_MATCH_DOTALL | SL_MATCH_ONCE,
		                &r->has_pattern);
	return rc;
}

static int default_message(struct compiler *c, struct sl_rule *r)
{
	char text[128];

	if (r->message != NULL)
		return SL_OK;
	snprintf(text, sizeof(text),
	         r->action == SL_RULE_HOLD ? "rule %s: needs approval" : "denied by rule %s", r->name);
	r->message = cp_copy(c->arena, text, strlen(text));
	return r->message != NULL ? SL_OK : cp_fail(c, SL_E_NOMEM, NULL, NULL, "out of memory");
}

int cp_rule(struct compiler *c, const struct cp_doc *d, struct sl_rule *out)
{
	const struct sl_yaml_node *spec = d->spec;
	uint32_t action = 0;
	int rc = cp_map(c, spec, "spec", rule_keys);

	out->name = d->name;
	if (rc == SL_OK)
		rc = cp_word(c, spec, "action", CP_REQUIRED, rule_actions, &action);
	out->action = (enum sl_rule_action)action;
	if (rc == SL_OK)
		rc = statement(c, spec, out);
	if (rc == SL_OK)
		rc = cp_text(c, spec, "message", CP_OPTIONAL, CP_TEXT_MAX, &out->message);
	if (rc == SL_OK)
		rc = cp_bool(c, spec, "shadow", &out->shadow);
	if (rc == SL_OK)
		rc = cp_globs(c, spec, "roles", CP_OPTIONAL, CP_ROLE, &out->roles);
	if (rc == SL_OK)
		rc = cp_globs(c, spec, "resources", CP_OPTIONAL, CP_RESOURCE, &out->resources);
	if (rc == SL_OK)
		rc = cp_where(c, spec, &out->resources, out->resource_bits);
	if (rc == SL_OK)
		rc = cp_who(c, spec, &out->who);
	if (rc == SL_OK)
		rc = cp_schedule(c, spec, &out->when);
	if (rc == SL_OK)
		rc = cp_approval(c, spec, out);
	if (rc == SL_OK)
		rc = check_rule(c, spec, out);
	out->role_bits = cp_role_bits(c, &out->roles);
	return rc == SL_OK ? default_message(c, out) : rc;
}
