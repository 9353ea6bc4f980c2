/* Masks: what is read, what is refused, and for whom they are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sl_detect.h"
#include "sl_mask.h"
#include "test_util.h"

#define BASE                                                                                                 \
	DOC("IdentityProvider", "agents",                                                                    \
	    "issuer: 'https://agents', audience: a, caller: agent, claims: [team]")                          \
	DOC("IdentityProvider", "people", "issuer: 'https://people', audience: a, claims: [team]")           \
	DOC("Resource", "shop",                                                                              \
	    "protocol: postgres, address: '10.0.0.1:5432', credential: c, tls: {mode: off}, "                \
	    "labels: {env: prod}")                                                                           \
	DOC("Resource", "test",                                                                              \
	    "protocol: postgres, address: '10.0.0.2:5432', credential: c, tls: {mode: off}, "                \
	    "labels: {env: test}")                                                                           \
	DOC("Role", "all", "groups: ['*'], resources: ['*'], allow: [read]")                                 \
	DOC("Role", "fraud", "groups: [fraud], resources: ['*'], allow: [read]")
#define MASK(name, spec) DOC("Mask", name, spec)

static int try_compile(const char *docs, const struct sl_policy_keys *keys, struct sl_snapshot **s,
                       struct sl_policy_error *err)
{
	struct sl_policy_source src = {"p.yaml", sl_span_str(docs)};

	return sl_policy_compile_keyed(&src, 1, 1, 1, keys, s, err);
}

static void refused(const char *spec, const char *says, const char *hint)
{
	struct sl_policy_error err = {.line = 0};
	char docs[4096], line[1024];
	struct sl_snapshot *s;

	snprintf(docs, sizeof(docs), BASE "{kind: Mask, version: 1, metadata: {name: x}, spec: {%s}}\n",
	         spec);
	if (try_compile(docs, &sl_policy_test_keys, &s, &err) == SL_OK)
		fail_msg("{%s}: compiles", spec);
	sl_policy_error_str(&err, line, sizeof(line));
	if (strstr(err.text, says) == NULL || strstr(err.hint, hint) == NULL)
		fail_msg("{%s}: %s, and not \"%s\" (%s)", spec, line, says, hint);
	assert_int_equal(err.line, 13);
	assert_true(err.column > 1);
}

static void test_whole(void **state)
{
	struct sl_snapshot *s = compile(BASE MASK(
	        "m", "action: date, unit: month, columns: [people.born, 'hr.*.*'], types: ['dat?', email], "
	             "json: [$.a.b, '$.items[*].card', $..ssn, '$[3]'], derived: deny, secret: true, "
	             "inference: hold, approvers: [dpo], expires: 2m, quorum: 2, grant: session, "
	             "message: ask the office, trustedFunctions: [public.age_of, 'kpi_*'], trustedServers: "
	             "['shard_*'], "
	             "roles: [all], exceptRoles: [fraud], resources: ['sh*'], labels: {env: prod}, "
	             "identity: {callers: [agent], claims: {team: ops}}, sources: [10.0.0.0/8]"));
	const struct sl_mask *m = &s->masks[0];

	(void)state;
	assert_int_equal(s->nb_masks, 1);
	assert_string_equal(m->name, "m");
	assert_int_equal(m->action, SL_MASK_DATE);
	assert_int_equal(m->unit, SL_MASK_MONTH);
	assert_int_equal(m->columns.nb, 2);
	assert_int_equal(m->types.nb, 2);
	assert_string_equal(m->types.v[1], "email");
	assert_int_equal(m->json.nb, 4);
	assert_string_equal(m->json.v[1], "$.items[*].card");
	assert_int_equal(m->derived, SL_DERIVED_DENY);
	assert_int_equal(m->inference, SL_INFERENCE_HOLD);
	assert_true(m->secret);
	assert_int_equal(m->trusted.nb, 2);
	assert_int_equal(m->servers.nb, 1);
	assert_string_equal(m->servers.v[0], "shard_*");
	assert_null(m->key);
	assert_string_equal(m->rule.name, "Mask/m");
	assert_string_equal(m->rule.message, "ask the office");
	assert_int_equal(m->rule.action, SL_RULE_HOLD);
	assert_int_equal(m->rule.approvers.nb, 1);
	assert_int_equal(m->rule.expires_s, 120);
	assert_int_equal(m->rule.quorum, 2);
	assert_int_equal(m->rule.grant, SL_GRANT_SESSION);
	assert_int_equal(m->rule.role_bits, 1);
	assert_int_equal(m->except_bits, 2);
	assert_int_equal(m->rule.resource_bits[0], 1);
	assert_int_equal(m->rule.who, 0);
	assert_null(m->rule.when);
	sl_policy_free(s);
}

static void test_defaults(void **state)
{
	struct sl_snapshot *s = compile(
	        BASE MASK("a", "action: redact, columns: [a]") MASK("b", "action: date, columns: [b]")
	                MASK("c", "action: hash, columns: [c], secret: true")
	                        MASK("d", "action: hash, columns: [d], secret: true, inference: allow"));

	(void)state;
	assert_string_equal(s->masks[0].text, "***");
	assert_int_equal(s->masks[0].derived, SL_DERIVED_MASK);
	assert_int_equal(s->masks[0].inference, SL_INFERENCE_ALLOW);
	assert_int_equal(s->masks[0].rule.who, SL_RULE_ANYBODY);
	assert_string_equal(s->masks[0].rule.message, "");
	assert_int_equal(s->masks[0].rule.resource_bits[0], 3);
	assert_int_not_equal(s->masks[0].rule.action, SL_RULE_ALLOW);
	assert_null(s->masks[0].key);
	assert_int_equal(s->masks[1].unit, SL_MASK_YEAR);
	assert_int_equal(s->masks[2].inference, SL_INFERENCE_DENY);
	assert_string_equal(s->masks[2].key_name, "default");
	assert_int_equal(s->masks[3].inference, SL_INFERENCE_ALLOW);
	sl_policy_free(s);
}

static void test_refused_masks(void **state)
{
	static const struct {
		const char *spec, *says, *hint;
	} rows[] = {
	        {"action: redact", "needs \"columns\", \"types\", \"pattern\" or \"detectors\"", ""},
	        {"columns: [a]", "\"action\" is missing", ""},
	        {"action: tokenize, columns: [a]", "must be one of", "tokenise"},
	        {"action: redact, columns: [a], column: [b]", "unknown key", "columns"},
	        {"action: redact, columns: [a], schedule: {days: [mon]}", "unknown key", ""},
	        {"action: redact, columns: [a], shadow: true", "unknown key", ""},
	        {"action: redact, columns: [a], unit: year", "action: date only", ""},
	        {"action: date, columns: [a], unit: week", "year, month, day, hour", ""},
	        {"action: date, pattern: a", "\"columns\" and \"types\" only", "own"},
	        {"action: date, columns: [a], detectors: [card]", "\"columns\" and \"types\" only", ""},
	        {"action: redact, columns: [a], key: k", "hash or tokenise only", ""},
	        {"action: hash, columns: [a], key: 'a b'", "a name has", ""},
	        {"action: hash, columns: [a], text: x", "redact only", ""},
	        {"action: hash, columns: [a], keepFirst: 1", "partial only", ""},
	        {"action: redact, types: [integer]", "no type \"integer\"", "int4"},
	        {"action: redact, types: [Char]", "no type", "bpchar"},
	        {"action: redact, types: ['varchar(20)']", "name in pg_type", "varchar"},
	        {"action: redact, types: ['int4[]']", "arrays go with it", "element"},
	        {"action: redact, types: [public.email]", "without schema", ""},
	        {"action: redact, columns: [a], json: [a.b]", "is not a path", "$.card"},
	        {"action: redact, columns: [a], json: [$]", "is not a path", ""},
	        {"action: redact, columns: [a], json: [$.]", "is not a path", ""},
	        {"action: redact, columns: [a], json: [$.a...b]", "is not a path", ""},
	        {"action: redact, columns: [a], json: ['$.a[x]']", "is not a path", ""},
	        {"action: redact, columns: [a], json: ['$.a[*']", "is not a path", ""},
	        {"action: redact, columns: [a], json: ['$.a[\"x]']", "is not a path", ""},
	        {"action: redact, columns: [a], json: ['$[12345678901]']", "is not a path", ""},
	        {"action: redact, pattern: a, json: [$.a]", "\"json\" needs", ""},
	        {"action: redact, detectors: [card], secret: true", "\"secret\" needs", ""},
	        {"action: redact, detectors: [card], derived: deny", "\"derived\" needs", ""},
	        {"action: redact, detectors: [card], inference: deny", "\"inference\" needs", ""},
	        {"action: redact, detectors: [card], trustedFunctions: [f]", "\"trustedFunctions\" needs",
	         ""},
	        {"action: redact, columns: [a], derived: hold", "mask, deny, allow", ""},
	        {"action: redact, columns: [a], inference: mask", "allow, deny, hold", ""},
	        {"action: redact, columns: [a], approvers: [x]", "inference: hold only", ""},
	        {"action: redact, columns: [a], inference: deny, expires: 5m", "inference: hold only", ""},
	        {"action: redact, columns: [a], secret: 1", "true or false", ""},
	        {"action: redact, columns: [a], trustedFunctions: [a.b.c]", "schema.name", ""},
	        {"action: redact, columns: [a], identity: {claims: {nobody: x}}", "keeps the claim", ""},
	        {"action: redact, columns: [a], labels: {env: none}", "no resource has the label", ""},
	        {"action: redact, columns: [a], sources: [x]", "not a network", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		refused(rows[i].spec, rows[i].says, rows[i].hint);
}

/* ---- keys ---- */

static int no_key(void *ctx, const char *name, uint8_t out[SL_MASK_KEY_BYTES])
{
	(void)ctx;
	(void)name;
	(void)out;
	return SL_E_SEAL;
}

static void test_keys(void **state)
{
	static const struct sl_policy_keys broken = {no_key, NULL};
	const char *docs = MASK("a", "action: hash, columns: [a]") MASK("b", "action: tokenise, columns: [b]")
	        MASK("c", "action: hash, columns: [c], key: other") MASK("d", "action: redact, columns: [d]")
	                MASK("e", "action: hash, columns: [e], key: default");
	struct sl_policy_error err;
	struct sl_snapshot *s = compile(docs), *t;

	(void)state;
	assert_ptr_equal(s->masks[0].key, s->masks[1].key);
	assert_ptr_equal(s->masks[0].key, s->masks[4].key);
	assert_memory_not_equal(s->masks[0].key, s->masks[2].key, SL_MASK_KEY_BYTES);
	assert_null(s->masks[3].key);
	t = compile(docs);
	assert_memory_equal(s->masks[2].key, t->masks[2].key, SL_MASK_KEY_BYTES);
	sl_policy_free(t);
	sl_policy_free(s);
	assert_int_equal(try_compile(docs, NULL, &s, &err), SL_E_POLICY_SYNTAX);
	assert_non_null(strstr(err.text, "no keys"));
	assert_int_equal(try_compile(docs, &broken, &s, &err), SL_E_SEAL);
	assert_null(s);
	assert_int_equal(try_compile(MASK("d", "action: redact, columns: [d]"), NULL, &s, &err), SL_OK);
	sl_policy_free(s);
}

static void test_too_many_steps(void **state)
{
	struct sl_policy_error err;
	struct sl_snapshot *s;
	char docs[8192];
	size_t n;

	(void)state;
	n = (size_t)snprintf(docs, sizeof(docs),
	                     "{kind: Mask, version: 1, metadata: {name: x}, spec: "
	                     "{action: redact, columns: [a], json: [$.first");
	for (int i = 0; i < SL_MASK_JSON_STEPS_MAX; i++)
		n += (size_t)snprintf(docs + n, sizeof(docs) - n, ", $.a%d", i);
	snprintf(docs + n, sizeof(docs) - n, "]}}\n");
	assert_int_equal(try_compile(docs, NULL, &s, &err), SL_E_LIMIT);
	assert_non_null(strstr(err.text, "256 steps"));
	memcpy(strstr(docs, "$.first, "), "         ", 9);
	assert_int_equal(try_compile(docs, NULL, &s, &err), SL_OK);
	sl_policy_free(s);
}

/* As many keys as there can be masks need more than one page. */
static void test_many_keys(void **state)
{
	size_t n = 0, cap = 1 << 16;
	char *text = malloc(cap);
	struct sl_snapshot *s;

	(void)state;
	assert_non_null(text);
	for (int i = 0; i < SL_POLICY_MASKS_MAX; i++)
		n += (size_t)snprintf(text + n, cap - n, MASK("m%d", "action: hash, columns: [c], key: k%d"),
		                      i, i);
	s = compile(text);
	for (int i = 1; i < SL_POLICY_MASKS_MAX; i++)
		assert_memory_not_equal(s->masks[i - 1].key, s->masks[i].key, SL_MASK_KEY_BYTES);
	sl_policy_free(s);
	free(text);
}

/* ---- for whom ---- */

static uint64_t bits_for(const struct sl_snapshot *s, struct sl_caller who, const char *resource)
{
	struct sl_principal p;

	assert_true(
	        sl_eval_bind(s, &who, sl_snapshot_resource(s, sl_span_str(resource)), SL_SPAN_LIT("db"), &p));
	return p.mask_bits[0];
}

static void test_for_whom(void **state)
{
	struct sl_snapshot *s = compile(
	        BASE MASK("m0", "action: redact, columns: [a], identity: {callers: [agent]}") MASK(
	                "m1", "action: redact, columns: [a], labels: {env: prod}")
	                MASK("m2", "action: redact, columns: [a], sources: [10.0.0.0/8]") MASK(
	                        "m3", "action: redact, columns: [a], identity: {groups: [interns]}")
	                        MASK("m4", "action: redact, columns: [a], resources: [test]")
	                                MASK("m5", "action: redact, columns: [a], roles: [fraud]") MASK(
	                                        "m6", "action: redact, columns: [a], exceptRoles: [fraud]"));
	struct sl_caller agent = {.subject = SL_SPAN_LIT("x"),
	                          .issuer = SL_SPAN_LIT("https://agents"),
	                          .provider = SL_SPAN_LIT("agents"),
	                          .groups = SL_SPAN_LIT("interns")};
	struct sl_caller person = {.subject = SL_SPAN_LIT("y"),
	                           .issuer = SL_SPAN_LIT("https://people"),
	                           .provider = SL_SPAN_LIT("people"),
	                           .groups = SL_SPAN_LIT("fraud")};

	(void)state;
	assert_int_equal(sl_addr_parse("10.1.1.1", &agent.source), SL_OK);
	assert_int_equal(sl_addr_parse("192.0.2.1", &person.source), SL_OK);
	assert_int_equal(bits_for(s, agent, "shop"), 0x4f);
	assert_int_equal(bits_for(s, agent, "test"), 0x5d);
	assert_int_equal(bits_for(s, person, "shop"), 0x22);
	assert_int_equal(bits_for(s, person, "test"), 0x30);
	/* what is not known of a caller never takes a mask away */
	person.provider = SL_SPAN_LIT("gone");
	person.groups = SL_SPAN_EMPTY;
	person.source = (struct sl_addr){.family = SL_AF_NONE};
	assert_int_equal(bits_for(s, person, "shop"), 0x4f);
	sl_policy_free(s);
}

static void test_of_columns(void **state)
{
	static const struct {
		const char *spec;
		bool columns, content;
	} rows[] = {
	        {"action: redact, columns: [a]", true, false},
	        {"action: redact, types: [inet]", true, false},
	        {"action: redact, pattern: a", false, true},
	        {"action: redact, columns: [a], detectors: [card]", true, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sl_caller who = {.subject = SL_SPAN_LIT("x")};
		struct sl_principal p;
		struct sl_snapshot *s;
		char docs[4096];

		snprintf(docs, sizeof(docs), BASE "{kind: Mask, version: 1, metadata: {name: x}, spec: {%s}}",
		         rows[i].spec);
		s = compile(docs);
		assert_true(sl_eval_bind(s, &who, &s->resources[0], SL_SPAN_LIT("db"), &p));
		assert_true(p.any_mask);
		assert_int_equal(p.any_column_mask, rows[i].columns);
		assert_int_equal(p.any_content_mask, rows[i].content);
		sl_policy_free(s);
	}
}

/* ---- detectors of the policy's own ---- */

static void detector_refused(const char *name, const char *spec, const char *says, const char *hint)
{
	struct sl_policy_error err = {.line = 0};
	char docs[4096], line[1024];
	struct sl_snapshot *s;

	snprintf(docs, sizeof(docs), "{kind: Detector, version: 1, metadata: {name: %s}, spec: {%s}}\n", name,
	         spec);
	if (try_compile(docs, NULL, &s, &err) == SL_OK)
		fail_msg("{%s}: compiles", spec);
	sl_policy_error_str(&err, line, sizeof(line));
	if (strstr(err.text, says) == NULL || strstr(err.hint, hint) == NULL)
		fail_msg("{%s}: %s, and not \"%s\" (%s)", spec, line, says, hint);
	assert_int_equal(err.line, 1);
}

static void test_refused_detectors(void **state)
{
	(void)state;
	detector_refused("d", "validator: luhn", "\"pattern\" is missing", "");
	detector_refused("d", "pattern: 'a{40}'", "bounded repeat", "");
	detector_refused("d", "pattern: '('", "pattern:", "");
	detector_refused("d", "pattern: a, validator: luhm", "no validator", "luhn");
	detector_refused("d", "pattern: a, validator: email", "no validator", "luhn");
	detector_refused("d", "pattern: a, context: [Card]", "no capitals", "lower");
	detector_refused("d", "pattern: a, column: [x]", "unknown key", "columns");
	detector_refused("d", "pattern: a, columns: ['[x]']", "brackets", "");
	detector_refused("Card", "pattern: a", "built in", "detectors.md");
}

static void masks_to(const struct sl_snapshot *s, const char *column, const char *value, const char *want)
{
	struct sl_caller who = {.subject = SL_SPAN_LIT("x")};
	struct sl_principal p;
	struct sl_mask_value v = {.mask = SL_MASK_CONTENT,
	                          .type = 25,
	                          .column = sl_span_str(column),
	                          .value = sl_span_str(value)};
	struct sl_masker m = {.snapshot = s, .who = &p};
	enum sl_masked rc;
	uint8_t out[256];
	size_t n;

	assert_true(sl_eval_bind(s, &who, &s->resources[0], SL_SPAN_LIT("db"), &p));
	rc = sl_mask(&m, &v, out, sizeof(out), &n);
	if (want == NULL && rc != SL_MASKED_PASS)
		fail_msg("%s=%s is masked", column, value);
	if (want != NULL && (rc != SL_MASKED_NEW || !sl_span_is(sl_span(out, n), want)))
		fail_msg("%s=%s becomes %.*s, not %s", column, value, (int)n, (char *)out, want);
}

static void test_detectors(void **state)
{
	struct sl_snapshot *s = compile(
	        BASE DOC("Detector", "badge", "pattern: '\\bB-[0-9]{4,6}\\b'") DOC(
	                "Detector", "member",
	                "pattern: '\\b[0-9]{4} ?[0-9]{4}\\b', validator: luhn, context: [member, member no], "
	                "columns: ['*member*']") DOC("Detector", "unused", "pattern: x")
	                DOC("Detector", "tax", "pattern: '[0-9 ]{9,20}', validator: de-idnr") MASK(
	                        "m", "action: redact, text: '#', detectors: [badge, 'mem*', iban, tax]"));

	(void)state;
	assert_int_equal(s->nb_detectors, 4);
	masks_to(s, "c", "B-1234 and B-123456", "# and #");
	masks_to(s, "c", "B-12", NULL);
	masks_to(s, "c", "x", NULL);
	masks_to(s, "c", "1234 5674", NULL);
	masks_to(s, "c", "member: 1234 5674", "member: #");
	masks_to(s, "c", "Member no 12345674.", "Member no #.");
	masks_to(s, "c", "members 12345674", NULL);
	masks_to(s, "c", "member: 1234 5675", NULL);
	masks_to(s, "Member_id", "12345674", "#");
	masks_to(s, "", "12345674", NULL);
	masks_to(s, "c", "GB82 WEST 1234 5698 7654 32", "#");
	masks_to(s, "c", "86095742719", "#");
	masks_to(s, "c", "86095742718", NULL);
	sl_policy_free(s);
}

static void test_validators(void **state)
{
	int32_t luhn = sl_detect_validator(SL_SPAN_LIT("luhn")),
	        mod97 = sl_detect_validator(SL_SPAN_LIT("mod97")),
	        ssn = sl_detect_validator(SL_SPAN_LIT("us-ssn"));
	char longest[200];

	(void)state;
	assert_true(sl_detect_count() + SL_POLICY_DETECTORS_OWN <= SL_POLICY_DETECTORS_MAX);
	assert_true(luhn >= 0 && mod97 >= 0 && ssn >= 0);
	assert_int_equal(sl_detect_validator(SL_SPAN_LIT("")), -1);
	assert_int_equal(sl_detect_validator(SL_SPAN_LIT("iban")), -1);
	assert_int_equal(sl_detect_validator(SL_SPAN_LIT("jwt")), -1);
	assert_true(sl_detect_validate(luhn, SL_SPAN_LIT("4111-1111 1111.1111")));
	assert_false(sl_detect_validate(luhn, SL_SPAN_LIT("4111-1111-1111-1112")));
	assert_false(sl_detect_validate(luhn, SL_SPAN_LIT("0")));
	assert_false(sl_detect_validate(luhn, SL_SPAN_LIT("a0")));
	assert_false(sl_detect_validate(luhn, SL_SPAN_EMPTY));
	assert_true(sl_detect_validate(mod97, SL_SPAN_LIT("de89 3704 0044 0532 0130 00")));
	assert_false(sl_detect_validate(mod97, SL_SPAN_LIT("DE89 3704 0044 0532 0130 01")));
	assert_true(sl_detect_validate(ssn, SL_SPAN_LIT("123-45-6789")));
	assert_false(sl_detect_validate(ssn, SL_SPAN_LIT("000-45-6789")));
	assert_false(sl_detect_validate(ssn, SL_SPAN_LIT("12-45-6789")));
	assert_false(sl_detect_validate(ssn, SL_SPAN_LIT("123-45-678x")));
	assert_false(sl_detect_validate(-1, SL_SPAN_LIT("0")));
	memset(longest, '0', sizeof(longest));
	assert_false(sl_detect_validate(luhn, sl_span(longest, sizeof(longest))));
	assert_true(sl_detect_validate(luhn, sl_span(longest, 63)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_whole),
	        cmocka_unit_test(test_defaults),
	        cmocka_unit_test(test_refused_masks),
	        cmocka_unit_test(test_keys),
	        cmocka_unit_test(test_many_keys),
	        cmocka_unit_test(test_too_many_steps),
	        cmocka_unit_test(test_for_whom),
	        cmocka_unit_test(test_of_columns),
	        cmocka_unit_test(test_refused_detectors),
	        cmocka_unit_test(test_detectors),
	        cmocka_unit_test(test_validators),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
