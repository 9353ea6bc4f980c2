/* What is hidden: Mask. */
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "compile_priv.h"
#include "sl_counter.h"
#include "sl_mask.h"

#define KEY_DEFAULT "default"

/* The conditions are those of a rule, but for the time: masks are chosen when a session begins. */
static const char *const mask_keys[] = {"action",         "text",
                                        "keepFirst",      "keepLast",
                                        "unit",           "key",
                                        "columns",        "types",
                                        "json",           "pattern",
                                        "detectors",      "derived",
                                        "secret",         "inference",
                                        "message",        "roles",
                                        "exceptRoles",    "resources",
                                        "labels",         "identity",
                                        "sources",        "trustedFunctions",
                                        "approvers",      "expires",
                                        "quorum",         "grant",
                                        "trustedServers", NULL};
static const char *const mask_actions[] = {"redact", "partial", "null", "hash", "tokenise", "date", NULL};
static const char *const mask_units[] = {"year", "month", "day", "hour", NULL};
static const char *const mask_derived[] = {"mask", "deny", "allow", NULL};
static const char *const mask_inference[] = {"allow", "deny", "hold", NULL};

/* ---- what it hides ---- */

/* "column", "table.column" or "schema.table.column". */
static int check_column(struct compiler *c, const struct sl_yaml_node *item)
{
	const char *s = item->scalar;
	size_t dots = 0;
	bool empty_part = s[0] == '.' || s[strlen(s) - 1] == '.' || strstr(s, "..") != NULL;

	for (; *s != '\0'; s++)
		dots += *s == '.';
	if (dots > 2 || empty_part)
		return cp_fail(c, SL_E_POLICY_SYNTAX, item, NULL,
		               "a column is written column, table.column or schema.table.column");
	return cp_check_length(c, item) == SL_OK ? cp_check_glob(c, item) : SL_E_POLICY_SYNTAX;
}

/* SQL's names of types that pg_type has under another one: they would never be met. */
static const struct {
	const char *name, *hint;
} type_hints[] = {
        {"integer", "write int4"},
        {"int", "write int4"},
        {"bigint", "write int8"},
        {"smallint", "write int2"},
        {"serial", "write int4"},
        {"bigserial", "write int8"},
        {"boolean", "write bool"},
        {"real", "write float4"},
        {"float", "write float8"},
        {"double precision", "write float8"},
        {"decimal", "write numeric"},
        {"character varying", "write varchar"},
        {"character", "write bpchar"},
        {"char", "write bpchar; \"?har\" is the type \"char\""},
        {"timestamp with time zone", "write timestamptz"},
        {"timestamp without time zone", "write timestamp"},
        {"time with time zone", "write timetz"},
        {"time without time zone", "write time"},
        {"bit varying", "write varbit"},
};

static int check_type(struct compiler *c, const struct sl_yaml_node *item)
{
	size_t n = strlen(item->scalar);

	for (size_t i = 0; i < sizeof(type_hints) / sizeof(type_hints[0]); i++) {
		if (strcasecmp(item->scalar, type_hints[i].name) == 0)
			return cp_fail(c, SL_E_POLICY_SYNTAX, item, type_hints[i].hint,
			               "pg_type has no type \"%.64s\"", item->scalar);
	}
	if (n > 2 && strcmp(item->scalar + n - 2, "[]") == 0)
		return cp_fail(c, SL_E_POLICY_SYNTAX, item, "write the element's type",
		               "a type's arrays go with it");
	if (strpbrk(item->scalar, "(). \"") != NULL)
		return cp_fail(c, SL_E_POLICY_SYNTAX, item, "such as int4, varchar or email_domain",
		               "a type is written as its name in pg_type, without schema and length");
	return cp_check_length(c, item) == SL_OK ? cp_check_glob(c, item) : SL_E_POLICY_SYNTAX;
}

static int check_json_path(struct compiler *c, const struct sl_yaml_node *item)
{
	if (sl_mask_json_steps(item->scalar) == 0)
		return cp_fail(c, SL_E_POLICY_SYNTAX, item, "such as $.card.number, $.items[*].card, $..ssn",
		               "\"%.64s\" is not a path", item->scalar);
	return SL_OK;
}

/* With more steps than are followed a document would be masked whole, which its author did not say. */
static int json(struct compiler *c, const struct sl_yaml_node *spec, struct sl_mask *m)
{
	uint32_t steps = 0;
	int rc = cp_list(c, spec, "json", CP_OPTIONAL, check_json_path, &m->json);

	for (uint32_t i = 0; rc == SL_OK && i < m->json.nb; i++)
		steps += sl_mask_json_steps(m->json.v[i]);
	if (steps > SL_MASK_JSON_STEPS_MAX)
		return cp_fail(c, SL_E_LIMIT, sl_yaml_get(spec, "json"), NULL,
		               "more than %d steps in all paths", SL_MASK_JSON_STEPS_MAX);
	return rc;
}

static int what(struct compiler *c, const struct sl_yaml_node *spec, struct sl_mask *m)
{
	int rc = cp_list(c, spec, "columns", CP_OPTIONAL, check_column, &m->columns);

	if (rc == SL_OK)
		rc = cp_list(c, spec, "types", CP_OPTIONAL, check_type, &m->types);
	if (rc == SL_OK)
		rc = json(c, spec, m);
	if (rc == SL_OK)
		rc = cp_pattern(c, spec, false, (uint32_t)(m - c->out->masks), SL_MATCH_START,
		                &m->has_content);
	return rc == SL_OK ? cp_detectors(c, spec, m) : rc;
}

/* ---- how ---- */

static int test_key(void *ctx, const char *name, uint8_t out[SL_MASK_KEY_BYTES])
{
	(void)ctx;
	return EVP_Digest(name, strlen(name), out, NULL, EVP_sha256(), NULL) == 1 ? SL_OK
	                                                                          : sl_fail(SL_E_SEAL);
}

const struct sl_policy_keys sl_policy_test_keys = {test_key, NULL};

/* Masks with the same name of a key have the same one, so that what they hide still joins. */
static int key(struct compiler *c, const struct sl_yaml_node *spec, struct sl_mask *m)
{
	const struct sl_yaml_node *n = sl_yaml_get(spec, "key");
	uint8_t *out;
	int rc = cp_text(c, spec, "key", CP_OPTIONAL, CP_NAME_MAX, &m->key_name);

	if (rc == SL_OK && n != NULL)
		rc = cp_check_name(c, n);
	if (rc != SL_OK || (m->action != SL_MASK_HASH && m->action != SL_MASK_TOKENISE))
		return rc;
	if (c->keys == NULL)
		return cp_fail(c, SL_E_POLICY_SYNTAX, spec, NULL, "there are no keys for masks here");
	for (const struct sl_mask *o = c->out->masks; o < m; o++) {
		if (o->key != NULL && strcmp(o->key_name, m->key_name) == 0) {
			m->key = o->key;
			return SL_OK;
		}
	}
	out = cp_take_secret(c->arena, SL_MASK_KEY_BYTES);
	if (out == NULL)
		return cp_fail(c, SL_E_NOMEM, NULL, NULL, "out of memory");
	if (c->keys->derive(c->keys->ctx, m->key_name, out) != SL_OK)
		return cp_fail(c, SL_E_SEAL, spec, NULL, "the key \"%s\" cannot be made", m->key_name);
	m->key = out;
	return SL_OK;
}

static int how(struct compiler *c, const struct sl_yaml_node *spec, struct sl_mask *m)
{
	uint32_t word = 0;
	int rc = cp_word(c, spec, "action", CP_REQUIRED, mask_actions, &word);

	m->action = (enum sl_mask_action)word;
	m->text = "***";
	m->key_name = KEY_DEFAULT;
	if (rc == SL_OK)
		rc = cp_text(c, spec, "text", CP_OPTIONAL, CP_NAME_MAX, &m->text);
	if (rc == SL_OK)
		rc = cp_uint(c, spec, "keepFirst", CP_KEEP_MAX, &m->keep_first);
	if (rc == SL_OK)
		rc = cp_uint(c, spec, "keepLast", CP_KEEP_MAX, &m->keep_last);
	word = SL_MASK_YEAR;
	if (rc == SL_OK)
		rc = cp_word(c, spec, "unit", CP_OPTIONAL, mask_units, &word);
	m->unit = (enum sl_mask_unit)word;
	return rc == SL_OK ? key(c, spec, m) : rc;
}

/* ---- what else would show it ---- */

static int around(struct compiler *c, const struct sl_yaml_node *spec, struct sl_mask *m)
{
	uint32_t word = SL_DERIVED_MASK;
	int rc = cp_word(c, spec, "derived", CP_OPTIONAL, mask_derived, &word);

	m->derived = (enum sl_mask_derived)word;
	if (rc == SL_OK)
		rc = cp_bool(c, spec, "secret", &m->secret);
	word = m->secret ? SL_INFERENCE_DENY : SL_INFERENCE_ALLOW;
	if (rc == SL_OK)
		rc = cp_word(c, spec, "inference", CP_OPTIONAL, mask_inference, &word);
	m->inference = (enum sl_mask_inference)word;
	if (rc == SL_OK)
		rc = cp_list(c, spec, "trustedFunctions", CP_OPTIONAL, cp_check_relation, &m->trusted);
	if (rc == SL_OK)
		rc = cp_list(c, spec, "trustedServers", CP_OPTIONAL, cp_check_glob, &m->servers);
	if (rc == SL_OK)
		rc = cp_approval(c, spec, &m->rule);
	if (rc == SL_OK && m->inference != SL_INFERENCE_HOLD)
		rc = cp_no_approval(c, spec, "inference: hold");
	/* Never SL_RULE_ALLOW: what is not known of a caller must not take a mask away. */
	m->rule.action = m->inference == SL_INFERENCE_HOLD ? SL_RULE_HOLD : SL_RULE_DENY;
	return rc;
}

/* ---- what goes together ---- */

static const struct {
	const char *key;
	uint32_t actions; /* 1 << enum sl_mask_action: that it means something with */
	const char *with;
} action_keys[] = {
        {"keepFirst", 1u << SL_MASK_PARTIAL, "partial"},
        {"keepLast", 1u << SL_MASK_PARTIAL, "partial"},
        {"text", 1u << SL_MASK_REDACT, "redact"},
        {"unit", 1u << SL_MASK_DATE, "date"},
        {"key", 1u << SL_MASK_HASH | 1u << SL_MASK_TOKENISE, "hash or tokenise"},
};

/* What says nothing about a mask of values. */
static const char *const column_keys[] = {
        "json", "derived", "secret", "inference", "trustedFunctions", "trustedServers", NULL};

static int check_mask(struct compiler *c, const struct sl_yaml_node *spec, const struct sl_mask *m)
{
	const struct sl_yaml_node *n;

	for (size_t i = 0; i < sizeof(action_keys) / sizeof(action_keys[0]); i++) {
		n = sl_yaml_get(spec, action_keys[i].key);
		if (n != NULL && (action_keys[i].actions >> m->action & 1) == 0)
			return cp_fail(c, SL_E_POLICY_SYNTAX, n, NULL,
			               "\"%s\" means something with action: %s only", n->key,
			               action_keys[i].with);
	}
	if (m->columns.nb + m->types.nb == 0 && !m->has_content)
		return cp_fail(c, SL_E_POLICY_SYNTAX, spec, NULL,
		               "a mask needs \"columns\", \"types\", \"pattern\" or \"detectors\"");
	for (size_t i = 0; m->columns.nb + m->types.nb == 0 && column_keys[i] != NULL; i++) {
		n = sl_yaml_get(spec, column_keys[i]);
		if (n != NULL)
			return cp_fail(c, SL_E_POLICY_SYNTAX, n, NULL,
			               "\"%s\" needs \"columns\" or \"types\"", n->key);
	}
	if (m->action == SL_MASK_DATE && m->has_content)
		return cp_fail(c, SL_E_POLICY_SYNTAX, spec, "write them as a mask of their own",
		               "action: date is for \"columns\" and \"types\" only");
	return SL_OK;
}

int cp_mask(struct compiler *c, const struct cp_doc *d, struct sl_mask *out)
{
	const struct sl_yaml_node *spec = d->spec;
	int rc = cp_map(c, spec, "spec", mask_keys);

	out->name = d->name;
	if (rc == SL_OK)
		rc = how(c, spec, out);
	if (rc == SL_OK)
		rc = what(c, spec, out);
	if (rc == SL_OK)
		rc = around(c, spec, out);
	if (rc == SL_OK)
		rc = cp_conditions(c, d, "Mask", &out->rule);
	if (rc == SL_OK)
		rc = cp_globs(c, spec, "exceptRoles", CP_OPTIONAL, CP_ROLE, &out->except);
	out->except_bits = cp_role_bits(c, &out->except);
	return rc == SL_OK ? check_mask(c, spec, out) : rc;
}
