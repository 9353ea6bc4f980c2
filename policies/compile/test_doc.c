/* Test documents: what a policy's author expects of it. */
#include <string.h>

#include "compile_priv.h"

#define STATEMENT_MAX 65536

static const char *const test_keys[] = {"identity", "source", "resource", "database", "time",
                                        "limits",   "cases",  "tables",   "values",   NULL};
static const char *const identity_keys[] = {"subject", "issuer", "provider", "groups", "claims", NULL};
static const char *const case_keys[] = {"statement", "expect", "rule", "shadow", "log", "mask", NULL};
static const char *const verdicts[] = {"allow", "deny", "hold", NULL};

static int check_claim(struct compiler *c, const struct sl_yaml_node *item)
{
	if (strchr(item->scalar, '=') == NULL)
		return cp_fail(c, SL_E_POLICY_SYNTAX, item, NULL, "a claim is written name=value");
	return SL_OK;
}

static int identity(struct compiler *c, const struct sl_yaml_node *spec, struct sl_policy_test *t)
{
	const struct sl_yaml_node *n = sl_yaml_get(spec, "identity");
	int rc;

	if (n == NULL)
		return cp_fail(c, SL_E_POLICY_SYNTAX, spec, "identity: {groups: [readers]}",
		               "\"identity\" is missing");
	rc = cp_map(c, n, "identity", identity_keys);
	if (rc == SL_OK)
		rc = cp_text(c, n, "subject", CP_OPTIONAL, CP_TEXT_MAX, &t->subject);
	if (rc == SL_OK)
		rc = cp_text(c, n, "issuer", CP_OPTIONAL, CP_TEXT_MAX, &t->issuer);
	if (rc == SL_OK)
		rc = cp_text(c, n, "provider", CP_OPTIONAL, CP_NAME_MAX, &t->provider);
	if (rc == SL_OK)
		rc = cp_list(c, n, "groups", CP_OPTIONAL, NULL, &t->groups);
	if (rc == SL_OK)
		rc = cp_list(c, n, "claims", CP_OPTIONAL, check_claim, &t->claims);
	return rc;
}

static int source(struct compiler *c, const struct sl_yaml_node *spec, struct sl_policy_test *t)
{
	struct sl_addr a;
	int rc = cp_text(c, spec, "source", CP_OPTIONAL, SL_ADDR_STR_MAX, &t->source);

	if (rc == SL_OK && t->source[0] != '\0' && sl_addr_parse(t->source, &a) != SL_OK)
		return cp_fail(c, SL_E_POLICY_SYNTAX, sl_yaml_get(spec, "source"), NULL,
		               "\"source\" must be an IP address");
	return rc;
}

/* The statement may have several lines, which cp_text() does not take. */
static int statement(struct compiler *c, const struct sl_yaml_node *map, const char **out)
{
	const struct sl_yaml_node *n = sl_yaml_get(map, "statement");

	if (n == NULL || n->type != SL_YAML_SCALAR || strlen(n->scalar) > STATEMENT_MAX)
		return cp_fail(c, SL_E_POLICY_SYNTAX, n != NULL ? n : map, NULL,
		               "a case needs a \"statement\" of at most %d bytes", STATEMENT_MAX);
	*out = cp_copy(c->arena, n->scalar, strlen(n->scalar));
	return *out != NULL ? SL_OK : cp_fail(c, SL_E_NOMEM, n, NULL, "out of memory");
}

/* A rule's name; with "none" no rule decides. */
static int rule(struct compiler *c, const struct sl_yaml_node *map, const char *key, const char **out)
{
	const char *name = NULL;
	int rc = cp_text(c, map, key, CP_OPTIONAL, CP_NAME_MAX, &name);

	if (rc != SL_OK || name == NULL)
		return rc;
	*out = strcmp(name, "none") == 0 ? "" : name;
	for (uint32_t i = 0; (*out)[0] != '\0' && i < c->out->nb_rules; i++) {
		if (strcmp(c->out->rules[i].name, name) == 0)
			return SL_OK;
	}
	return (*out)[0] == '\0' ? SL_OK
	                         : cp_fail(c, SL_E_POLICY_SYNTAX, sl_yaml_get(map, key), NULL,
	                                   "no rule is called \"%.64s\"", name);
}

/* A mask's name; with "none" no mask refuses it. */
static int mask(struct compiler *c, const struct sl_yaml_node *map, const char **out)
{
	const char *name = NULL;
	int rc = cp_text(c, map, "mask", CP_OPTIONAL, CP_NAME_MAX, &name);

	if (rc != SL_OK || name == NULL)
		return rc;
	*out = strcmp(name, "none") == 0 ? "" : name;
	for (uint32_t i = 0; (*out)[0] != '\0' && i < c->out->nb_masks; i++) {
		if (strcmp(c->out->masks[i].name, name) == 0)
			return SL_OK;
	}
	return (*out)[0] == '\0' ? SL_OK
	                         : cp_fail(c, SL_E_POLICY_SYNTAX, sl_yaml_get(map, "mask"), NULL,
	                                   "no mask is called \"%.64s\"", name);
}

static int one_case(struct compiler *c, const struct sl_yaml_node *n, struct sl_policy_case *out)
{
	uint32_t verdict = 0;
	int rc = cp_map(c, n, "a case", case_keys);

	out->line = n->line;
	if (rc == SL_OK)
		rc = statement(c, n, &out->statement);
	if (rc == SL_OK)
		rc = cp_word(c, n, "expect", CP_REQUIRED, verdicts, &verdict);
	out->expect = verdicts[verdict];
	if (rc == SL_OK)
		rc = rule(c, n, "rule", &out->rule);
	if (rc == SL_OK)
		rc = rule(c, n, "log", &out->log);
	if (rc == SL_OK)
		rc = mask(c, n, &out->mask);
	if (rc == SL_OK && sl_yaml_get(n, "shadow") != NULL) {
		rc = cp_word(c, n, "shadow", CP_REQUIRED, verdicts, &verdict);
		out->shadow = verdicts[verdict];
	}
	return rc;
}

static int cases(struct compiler *c, const struct sl_yaml_node *spec, struct sl_policy_test *t)
{
	const struct sl_yaml_node *list = sl_yaml_get(spec, "cases");
	uint32_t nb = 0;
	int rc = SL_OK;

	if (list == NULL && t->nb_values > 0)
		return SL_OK;
	if (list == NULL || list->type != SL_YAML_LIST || list->first == NULL)
		return cp_fail(c, SL_E_POLICY_SYNTAX, list != NULL ? list : spec, NULL,
		               "a test needs a list of \"cases\" or of \"values\"");
	for (const struct sl_yaml_node *n = list->first; n != NULL; n = n->next)
		nb++;
	t->cases = cp_take(c->arena, nb * sizeof(*t->cases));
	if (t->cases == NULL)
		return cp_fail(c, SL_E_NOMEM, list, NULL, "out of memory");
	for (const struct sl_yaml_node *n = list->first; n != NULL && rc == SL_OK; n = n->next) {
		rc = one_case(c, n, &t->cases[t->nb_cases++]);
		if (rc == SL_OK && t->nb_tables == 0 && sl_yaml_get(n, "mask") != NULL)
			rc = cp_fail(
			        c, SL_E_POLICY_SYNTAX, sl_yaml_get(n, "mask"),
			        "tables: {people: [id int4, ssn]}",
			        "masks judge statements only when the test names the target's \"tables\"");
	}
	return rc;
}

static int check_limit(struct compiler *c, const struct sl_yaml_node *item)
{
	for (uint32_t i = 0; i < c->out->nb_limits; i++) {
		if (strcmp(c->out->limits[i].rule.name, item->scalar) == 0)
			return SL_OK;
	}
	return cp_fail(c, SL_E_POLICY_SYNTAX, item, "write it as Limit/name or Breaker/name",
	               "nothing is called \"%.64s\"", item->scalar);
}

/* All that are for the caller; an empty list says that there is none. */
static int limits(struct compiler *c, const struct sl_yaml_node *spec, struct sl_policy_test *t)
{
	const struct sl_yaml_node *n = sl_yaml_get(spec, "limits");

	t->has_limits = n != NULL;
	if (n != NULL && n->type == SL_YAML_LIST && n->first == NULL)
		return SL_OK;
	return cp_list(c, spec, "limits", CP_OPTIONAL, check_limit, &t->limits);
}

int cp_test(struct compiler *c, const struct cp_doc *d, struct sl_policy_test *out)
{
	const struct sl_yaml_node *spec = d->spec;
	int rc = cp_map(c, spec, "spec", test_keys);

	*out = (struct sl_policy_test){
	        .name = d->name, .subject = "", .issuer = "", .provider = "", .source = ""};
	out->database = "postgres";
	out->file = cp_copy(c->arena, d->file, strlen(d->file));
	if (rc == SL_OK && out->file == NULL)
		rc = cp_fail(c, SL_E_NOMEM, spec, NULL, "out of memory");
	if (rc == SL_OK)
		rc = identity(c, spec, out);
	if (rc == SL_OK)
		rc = source(c, spec, out);
	if (rc == SL_OK)
		rc = cp_text(c, spec, "resource", CP_REQUIRED, CP_NAME_MAX, &out->resource);
	if (rc == SL_OK && sl_snapshot_resource(c->out, sl_span_str(out->resource)) == NULL)
		rc = cp_fail(c, SL_E_POLICY_SYNTAX, sl_yaml_get(spec, "resource"), NULL,
		             "no resource is called \"%.64s\"", out->resource);
	if (rc == SL_OK)
		rc = cp_text(c, spec, "database", CP_OPTIONAL, CP_NAME_MAX, &out->database);
	if (rc == SL_OK)
		rc = cp_instant(c, spec, "time", &out->wall_us);
	if (rc == SL_OK)
		rc = limits(c, spec, out);
	if (rc == SL_OK)
		rc = cp_expect(c, spec, out);
	return rc == SL_OK ? cases(c, spec, out) : rc;
}
