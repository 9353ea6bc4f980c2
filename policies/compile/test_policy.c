/* What compiles, what is refused, and where the error points. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "sl_policy.h"

#define DOC(kind, name, spec) "kind: " kind "\nversion: 1\nmetadata: {name: " name "}\nspec:\n" spec "---\n"
#define RES(name)                                                                                            \
	DOC("Resource", name,                                                                                \
	    "  protocol: postgres\n  address: 10.0.0.1:5432\n  credential: c\n  tls: {mode: off}\n")
#define ROLE(name) DOC("Role", name, "  groups: [g]\n  resources: ['*']\n  allow: [read]\n")

#define LONG "a23456789b123456789c123456789d123456789e123456789f123456789g1234" /* 64 bytes */

static char pem_path[] = "/tmp/sluice-test-XXXXXX";

static int compile(const char *text, struct sl_snapshot **out, struct sl_policy_error *err)
{
	struct sl_policy_source src = {"p.yaml", sl_span_str(text)};

	return sl_policy_compile_keyed(&src, 1, 7, 2, &sl_policy_test_keys, out, err);
}

static struct sl_snapshot *good(const char *text)
{
	struct sl_snapshot *s;
	struct sl_policy_error err;
	char line[1024];

	if (compile(text, &s, &err) != SL_OK)
		fail_msg("%s", sl_policy_error_str(&err, line, sizeof(line)));
	return s;
}

struct bad_row {
	const char *text;
	uint32_t line, column;
	const char *part, *hint;
};

static const struct bad_row bad_rows[] = {
        {"kind: Rolle\n", 1, 7, "must be one of", "Role"},
        {"kind: Role\nversion: 2\n", 2, 10, "must be 1", ""},
        {"kind: Role\nversion: '1'\n", 2, 10, "must be 1", ""},
        {"kind: Role\nvers: 1\n", 2, 1, "unknown key \"vers\"", ""},
        {"kind: Role\n", 1, 1, "\"version\" is missing", ""},
        {"kind: Role\nversion: 1\n", 1, 1, "\"metadata\" is missing", ""},
        {"kind: Role\nversion: 1\nmetadata: {}\n", 3, 11, "\"name\" is missing", ""},
        {"kind: Role\nversion: 1\nmetadata: {name: a b}\n", 3, 18, "a name has", ""},
        {"kind: Role\nversion: 1\nmetadata: {name: a}\n", 1, 1, "\"spec\" is missing", ""},
        {"kind: Role\nversion: 1\nmetadata: {name: a}\nspec: x\n", 4, 7, "must be a map", ""},
        {"- a\n", 1, 1, "must be a map", ""},
        {"hello\n", 1, 1, "must be a map", ""},
        {"a: b: c\n", 1, 5, "", ""},
        {ROLE("a") ROLE("A"), 11, 18, "is there already", ""},
        {DOC("Role", "a", "  group: [g]\n"), 5, 3, "unknown key \"group\" in spec", "groups"},
        {DOC("Role", "a", "  groups: g\n"), 5, 11, "must be a list", "[a, b]"},
        {DOC("Role", "a", "  groups: []\n"), 5, 11, "1 to", ""},
        {DOC("Role", "a", "  groups: [{a: b}]\n"), 5, 12, "must be a text", ""},
        {DOC("Role", "a", "  groups: [~]\n"), 5, 12, "must be a text", ""},
        {DOC("Role", "a", "  groups: ['a*']\n"), 5, 12, "no glob", ""},
        {DOC("Role", "a", "  groups: [g]\n  resources: ['*']\n  allow: [reads]\n"), 7, 11, "not a kind",
         "read"},
        {DOC("Role", "a", "  groups: [g]\n  resources: [shop]\n  allow: [read]\n"), 6, 15, "no resource", ""},
        {DOC("Role", "a", "  groups: [g]\n  resources: ['[a]']\n  allow: [read]\n"), 6, 15, "brackets", ""},
        {DOC("Role", "a", "  resources: ['*']\n  allow: [read]\n"), 5, 3, "\"groups\" or \"subjects\"", ""},
        {DOC("Role", "a", "  groups: [g]\n  allow: [read]\n"), 5, 3, "\"resources\" is missing", ""},
        {DOC("Rule", "r", "  action: denied\n  kinds: [drop]\n"), 5, 11, "deny, hold, allow", "deny"},
        {DOC("Rule", "r", "  action: deny\n"), 5, 3, "no condition", "any"},
        {DOC("Rule", "r", "  action: deny\n  kinds: [write]\n"), 6, 11, "includes reading", "insert"},
        {DOC("Rule", "r", "  action: deny\n  kinds: [drop]\n  roles: [ghost]\n"), 7, 11, "no role is called",
         ""},
        {DOC("Rule", "r", "  action: deny\n  kinds: [drop]\n  withoutwhere: true\n"), 7, 3, "unknown key",
         "withoutWhere"},
        {DOC("Rule", "r", "  action: deny\n  withoutWhere: yes\n"), 6, 17, "true or false", ""},
        {DOC("Rule", "r", "  action: deny\n  kinds: [drop]\n  expires: 5m\n"), 7, 12, "hold only", ""},
        {DOC("Rule", "r", "  action: deny\n  kinds: [drop]\n  approvers: [x]\n"), 7, 14, "hold only", ""},
        {DOC("Rule", "r", "  action: hold\n  kinds: [drop]\n  expires: 0s\n"), 7, 12, "duration", "30s"},
        {DOC("Rule", "r", "  action: hold\n  kinds: [drop]\n  expires: 8d\n"), 7, 12, "duration", "30s"},
        {DOC("Rule", "r", "  action: allow\n  pattern: x\n"), 5, 3, "needs \"kinds\"", ""},
        {DOC("Rule", "r", "  action: allow\n  kinds: [any]\n"), 6, 10, "cannot allow", "role"},
        {DOC("Rule", "r", "  action: allow\n  kinds: [do]\n"), 6, 10, "cannot allow", "role"},
        {DOC("Rule", "r", "  action: allow\n  kinds: [update]\n  withoutWhere: true\n"), 7, 17,
         "do not allow", ""},
        {DOC("Rule", "r", "  action: deny\n  pattern: 'a('\n"), 6, 12, "pattern:", ""},
        {DOC("Rule", "r", "  action: deny\n  pattern: 'a*'\n"), 6, 12, "pattern:", ""},
        {DOC("Rule", "r", "  action: deny\n  pattern: '(a)\\1'\n"), 6, 12, "pattern:", ""},
        {DOC("Rule", "r", "  action: deny\n  pattern: 'a.{0,200}b'\n"), 6, 12, "bounded repeat", ".*"},
        {DOC("Rule", "r", "  action: deny\n  pattern: '[^;]{200}b'\n"), 6, 12, "bounded repeat", ""},
        {DOC("Rule", "r", "  action: deny\n  pattern: '(a{8}b){8}'\n"), 6, 12, "bounded repeat", ""},
        {DOC("Rule", "r", "  action: deny\n  pattern: '((a{6}){3}|b){2,}'\n"), 6, 12, "bounded repeat", ""},
        {DOC("Rule", "r", "  action: deny\n  pattern: 'a.{32}b.{32}c.{1}d'\n"), 6, 12, "64 together", ""},
        {DOC("Rule", "r", "  action: deny\n  pattern: '(a{16}|b{17})c{16}(d{16})'\n"), 6, 12, "64 together",
         ".*"},
        {DOC("Rule", "r", "  action: deny\n  pattern: '((a{5}|b{5}|c{5}|d{4}){4})'\n"), 6, 12, "64 together",
         ""},
        {DOC("Rule", "r", "  action: deny\n  pattern: '\\Qa\\E'\n"), 6, 12, "\\Q", ""},
        {DOC("Rule", "r", "  action: deny\n  pattern: ''\n"), 6, 12, "empty", ""},
        {DOC("Rule", "r", "  action: deny\n  kinds: [drop]\n  message: \"a\\nb\"\n"), 7, 12, "control", ""},
        {DOC("Mask", "m", "  action: redact\n"), 5, 3,
         "needs \"columns\", \"types\", \"pattern\" or \"detectors\"", ""},
        {DOC("Mask", "m", "  action: redact\n  detectors: [card, crd]\n"), 6, 21, "no detector \"crd\"",
         "detectors.md"},
        {DOC("Rule", "r", "  action: deny\n  kinds: [drop]\n  identity: {claims: {acr: high}}\n"), 7, 28,
         "keeps the claim \"acr\"", "IdentityProvider"},
        {DOC("IdentityProvider", "i", "  issuer: https://x\n  audience: a\n  claims: [arc]\n")
                 DOC("Rule", "r", "  action: deny\n  kinds: [drop]\n  identity: {claims: {acr: [x, y]}}\n"),
         15, 28, "keeps the claim \"acr\"", ""},
        {RES("a") DOC("Rule", "r", "  action: deny\n  kinds: [drop]\n  labels: {env: prod}\n"), 16, 17,
         "no resource has the label \"env\"", ""},
        {RES("a") DOC("Role", "r",
                      "  groups: [g]\n  resources: ['*']\n  allow: [read]\n"
                      "  labels: {env: ['x*', prod]}\n"),
         17, 17, "with the value \"prod\"", ""},
        {DOC("Rule", "r", "  action: deny\n  relations: [" LONG "]\n"), 6, 15, "cuts names at 63", "63"},
        {DOC("Rule", "r", "  action: deny\n  relations: ['a.*" LONG "']\n"), 6, 15, "cuts names at 63", ""},
        {DOC("Rule", "r", "  action: deny\n  functions: [" LONG ".f]\n"), 6, 15, "cuts names at 63", ""},
        {DOC("Mask", "m", "  action: redact\n  columns: [" LONG "]\n"), 6, 13, "cuts names at 63", ""},
        {DOC("Mask", "m", "  action: redact\n  columns: [a.b.c.d]\n"), 6, 13, "schema.table.column", ""},
        {DOC("Mask", "m", "  action: redact\n  columns: [.a]\n"), 6, 13, "schema.table.column", ""},
        {DOC("Mask", "m", "  action: redact\n  columns: [a]\n  keepLast: 4\n"), 7, 13, "partial only", ""},
        {DOC("Mask", "m", "  action: 'null'\n  columns: [a]\n  text: x\n"), 7, 9, "redact only", ""},
        {DOC("Mask", "m", "  action: partial\n  columns: [a]\n  keepLast: 65\n"), 7, 13, "0 to 64", ""},
        {DOC("Mask", "m", "  action: partial\n  columns: [a]\n  keepLast: -1\n"), 7, 13, "0 to 64", ""},
        {DOC("Mask", "m", "  action: redact\n  columns: [a]\n  exceptRoles: [x]\n"), 7, 17, "no role", ""},
        {DOC("Resource", "r", "  protocol: mysql\n"), 5, 13, "one of postgres", ""},
        {DOC("Resource", "r", "  protocol: postgres\n  address: db.example:5432\n  credential: c\n"), 6, 12,
         "ADDRESS:PORT", "IP"},
        {DOC("Resource", "r", "  protocol: postgres\n  address: 10.0.0.1\n  credential: c\n"), 6, 12,
         "ADDRESS:PORT", ""},
        {DOC("Resource", "r", "  protocol: postgres\n  address: 10.0.0.1:1\n"), 5, 3,
         "\"credential\" is missing", ""},
        {DOC("Resource", "r",
             "  protocol: postgres\n  address: 10.0.0.1:1\n  credential: c\n  tls: {mode: off, verify: "
             "none}\n"),
         8, 28, "means nothing", ""},
        {DOC("Resource", "r",
             "  protocol: postgres\n  address: 10.0.0.1:1\n  credential: c\n  tls: {mode: prefer}\n"),
         8, 15, "require, off", ""},
        {DOC("Resource", "r",
             "  protocol: postgres\n  address: 10.0.0.1:1\n  credential: c\n  tls: {caFile: /nowhere/x}\n"),
         8, 17, "/nowhere/x", ""},
        {DOC("Resource", "r",
             "  protocol: postgres\n  address: 10.0.0.1:1\n  credential: c\n  tls: {caFile: "
             "/etc/hostname}\n"),
         8, 17, "no PEM CERTIFICATE", ""},
        {DOC("Resource", "r",
             "  protocol: postgres\n  address: 10.0.0.1:1\n  credential: c\n  tls: {caFile: /dev/zero}\n"),
         8, 17, "must be a file", ""},
        {DOC("IdentityProvider", "i", "  issuer: http://x\n  audience: a\n"), 5, 11, "https://", "insecure"},
        {DOC("IdentityProvider", "i", "  issuer: https://\n  audience: a\n"), 5, 11, "host and a path", ""},
        {DOC("IdentityProvider", "i", "  issuer: https://u@x\n  audience: a\n"), 5, 11, "host and a path",
         ""},
        {DOC("IdentityProvider", "i", "  issuer: https://x\n"), 5, 3, "\"audience\" is missing", ""},
        {DOC("IdentityProvider", "i", "  issuer: https://x\n  audience: a\n  algorithms: [HS256]\n"), 7, 16,
         "RS256", ""},
        {DOC("IdentityProvider", "i", "  issuer: https://x\n  audience: a\n  algorithms: [none]\n"), 7, 16,
         "RS256", ""},
        {DOC("IdentityProvider", "i", "  issuer: https://x\n  audience: a\n  leeway: 121s\n"), 7, 11,
         "duration", ""},
        {DOC("IdentityProvider", "i", "  issuer: https://x\n  audience: a\n  api: {viewers: [a]}\n"), 7, 9,
         "unknown key", "viewer"},
};

static void test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad_rows) / sizeof(bad_rows[0]); i++) {
		const struct bad_row *r = &bad_rows[i];
		struct sl_policy_error err;
		struct sl_snapshot *s;
		char line[1024];
		int rc = compile(r->text, &s, &err);

		sl_policy_error_str(&err, line, sizeof(line));
		if (rc >= 0 || s != NULL || err.line != r->line || err.column != r->column ||
		    strstr(err.text, r->part) == NULL || strstr(err.hint, r->hint) == NULL ||
		    strcmp(err.file, "p.yaml") != 0)
			fail_msg("want %u:%u %s (%s)\ngot %d %s\nin\n%s", r->line, r->column, r->part,
			         r->hint, rc, line, r->text);
	}
}

/* Costly to look at, but not to the engine, or within the bounds. */
static void test_patterns_taken(void **state)
{
	static const char *const patterns[] = {
	        ".*drop",         "a.{32}b.{32}c", "(a{8}b){4}c{32}",   "[0-9]{3}-[0-9]{2}-[0-9]{4}",
	        "(a{4}|b{4}){8}", "x{,3}",         "(([a-z]+)+ )+drop", "a{16}(b{16})c{32}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		char text[256];

		snprintf(text, sizeof(text), DOC("Rule", "r", "  action: deny\n  pattern: '%s'\n"),
		         patterns[i]);
		sl_policy_free(good(text));
	}
}

static void test_nothing_is_a_policy(void **state)
{
	static const char *const texts[] = {"", " \n", "# c\n", "---\n---\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct sl_snapshot *s = good(texts[i]);

		assert_int_equal(s->nb_roles + s->nb_rules + s->nb_masks + s->nb_resources + s->nb_idps, 0);
		assert_int_equal(s->version, 7);
		assert_int_equal(s->nb_workers, 2);
		assert_true(sl_snapshot_unref(s));
		sl_policy_free(s);
	}
	sl_policy_free(NULL);
}

static void test_values(void **state)
{
	struct sl_snapshot *s = good(
	        RES("a") ROLE("one") ROLE("two")
	                DOC("IdentityProvider", "i",
	                    "  issuer: https://idp/x/\n  audience: a\n  leeway: 2m\n  algorithms: [ES256]\n"
	                    "  api: {viewer: [v], admin: [x, y]}\n")
	                        DOC("Rule", "r",
	                            "  action: hold\n  kinds: [ddl, grant]\n  roles: ['t*']\n"
	                            "  pattern: 'x[]^{}]{2}'\n  approvers: [dba]\n")
	                                DOC("Mask", "m",
	                                    "  action: 'null'\n  columns: [a.b]\n  exceptRoles: [ONE]\n"));

	(void)state;
	assert_string_equal(s->resources[0].protocol, "postgres");
	assert_int_equal(s->resources[0].tls_mode, SL_TARGET_TLS_OFF);
	assert_null(s->resources[0].tls);
	assert_int_equal(s->resources[0].address.port, 5432);
	assert_string_equal(s->idps[0].discovery_url, "https://idp/x/.well-known/openid-configuration");
	assert_string_equal(s->idps[0].groups_claim, "groups");
	assert_int_equal(s->idps[0].leeway_s, 120);
	assert_int_equal(s->idps[0].algorithms.nb, 1);
	assert_int_equal(s->idps[0].admins.nb, 2);
	assert_int_equal(s->idps[0].approvers.nb, 0);
	assert_int_equal(s->rules[0].action, SL_RULE_HOLD);
	assert_int_equal(s->rules[0].expires_s, 300);
	assert_int_equal(s->rules[0].role_bits, 2);
	assert_true(s->rules[0].has_pattern);
	assert_string_equal(s->rules[0].message, "rule r: needs approval");
	assert_true(s->rules[0].kinds == (sl_sql_kinds_parse("ddl") | sl_sql_kinds_parse("grant")));
	assert_int_equal(s->masks[0].action, SL_MASK_NULL);
	assert_int_equal(s->masks[0].except_bits, 1);
	sl_policy_free(s);
}

static void test_insecure_provider(void **state)
{
	struct sl_snapshot *s = good(DOC("IdentityProvider", "i",
	                                 "  issuer: http://127.0.0.1:1\n  audience: a\n  insecure: true\n"));

	(void)state;
	assert_string_equal(s->idps[0].issuer, "http://127.0.0.1:1");
	sl_policy_free(s);
	s = good(DOC("IdentityProvider", "i", "  issuer: https://x\n  audience: a\n")
	                 DOC("IdentityProvider", "j", "  issuer: https://x\n  audience: b\n"));
	assert_int_equal(s->nb_idps, 2);
	assert_int_equal(s->idps[0].algorithms.nb, 3);
	sl_policy_free(s);
}

static void test_same_issuer_twice(void **state)
{
	struct sl_policy_error err;
	struct sl_snapshot *s;

	(void)state;
	assert_int_equal(compile(DOC("IdentityProvider", "i", "  issuer: https://x\n  audience: a\n")
	                                 DOC("IdentityProvider", "j", "  issuer: https://x\n  audience: a\n"),
	                         &s, &err),
	                 SL_E_POLICY_SYNTAX);
	assert_non_null(strstr(err.text, "same issuer"));
}

static void test_several_sources(void **state)
{
	struct sl_policy_source src[] = {{"one.yaml", SL_SPAN_LIT(ROLE("a"))},
	                                 {"two.yaml", SL_SPAN_LIT(ROLE("a"))}};
	struct sl_policy_error err;
	struct sl_snapshot *s;
	char line[1024];

	(void)state;
	assert_int_equal(sl_policy_compile(src, 2, 1, 1, &s, &err), SL_E_POLICY_SYNTAX);
	assert_string_equal(err.file, "two.yaml");
	assert_non_null(strstr(err.text, "one.yaml"));
	assert_string_equal(
	        sl_policy_error_str(&(struct sl_policy_error){"f", 1, 2, "t", "h"}, line, sizeof(line)),
	        "f:1:2: t (h)");
	assert_string_equal(
	        sl_policy_error_str(&(struct sl_policy_error){"", 0, 0, "t", ""}, line, sizeof(line)), "t");
	assert_string_equal(
	        sl_policy_error_str(&(struct sl_policy_error){"f", 0, 0, "t", ""}, line, sizeof(line)),
	        "f: t");
	src[1].text.n = SL_POLICY_BYTES_MAX;
	assert_int_equal(sl_policy_compile(src, 2, 1, 1, &s, &err), SL_E_LIMIT);
	assert_int_equal(sl_policy_compile(src, 1, 1, 100000, &s, &err), SL_E_LIMIT);
}

static void test_too_many(void **state)
{
	size_t n = 0, cap = 1 << 20;
	char *text = malloc(cap);
	struct sl_policy_error err;
	struct sl_snapshot *s;

	(void)state;
	assert_non_null(text);
	for (int i = 0; i <= SL_POLICY_ROLES_MAX; i++)
		n += (size_t)snprintf(text + n, cap - n,
		                      "kind: Role\nversion: 1\nmetadata: {name: r%d}\nspec: {groups: [g], "
		                      "resources: ['*'], "
		                      "allow: [read]}\n---\n",
		                      i);
	assert_int_equal(compile(text, &s, &err), SL_E_LIMIT);
	assert_non_null(strstr(err.text, "64"));
	free(text);
}

/* A certificate for the documents that name a file. */
static int make_pem(void **state)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);
	int fd = mkstemp(pem_path);
	FILE *f = fdopen(fd, "w");

	(void)state;
	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
	X509_set_issuer_name(x, name);
	if (f == NULL || X509_sign(x, key, EVP_sha256()) == 0 || PEM_write_X509(f, x) != 1 ||
	    PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) != 1)
		return -1;
	fclose(f);
	X509_free(x);
	EVP_PKEY_free(key);
	return 0;
}

static int remove_pem(void **state)
{
	(void)state;
	return unlink(pem_path);
}

static void test_tls_resource(void **state)
{
	char text[1024];
	struct sl_snapshot *s;

	(void)state;
	snprintf(text, sizeof(text),
	         DOC("Resource", "r",
	             "  protocol: postgres\n  address: '[::1]:5432'\n  credential: c\n"
	             "  tls: {verify: ca, caFile: %s, certFile: %s, keyFile: %s, serverName: db}\n"),
	         pem_path, pem_path, pem_path);
	s = good(text);
	assert_non_null(s->resources[0].tls);
	assert_int_equal(s->resources[0].tls_mode, SL_TARGET_TLS_REQUIRE);
	sl_policy_free(s);
	s = good(DOC("Resource", "r", "  protocol: postgres\n  address: 10.0.0.1:1\n  credential: c\n"));
	assert_non_null(s->resources[0].tls);
	assert_false(s->resources[0].tls_direct);
	assert_int_equal(s->resources[0].binding, SL_TARGET_BINDING_PREFER);
	assert_int_equal(s->resources[0].minor, 0);
	sl_policy_free(s);
	s = good(DOC("Resource", "r",
	             "  protocol: postgres\n  protocolVersion: 3.2\n  address: 10.0.0.1:1\n  credential: c\n"
	             "  tls: {negotiation: direct, channelBinding: require}\n"));
	assert_true(s->resources[0].tls_direct);
	assert_int_equal(s->resources[0].binding, SL_TARGET_BINDING_REQUIRE);
	assert_int_equal(s->resources[0].minor, 2);
	sl_policy_free(s);
}

/* Reads a file of the source tree; each "/path/to/x.pem" in it becomes the test's certificate. */
static char *source_file(const char *name)
{
	size_t cap = 1 << 20, n;
	char *in = calloc(1, cap), *out = calloc(1, cap), *w = out, *mark;
	const char *r = in;
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", SOURCE_ROOT, name);
	f = fopen(path, "r");
	assert_non_null(f);
	n = fread(in, 1, cap - 1, f);
	fclose(f);
	assert_true(n > 0);
	while ((mark = strstr(r, "/path/to/")) != NULL) {
		memcpy(w, r, (size_t)(mark - r));
		w += mark - r;
		w += sprintf(w, "%s", pem_path);
		r = strstr(mark, ".pem") + 4;
	}
	strcpy(w, r);
	free(in);
	return out;
}

static void test_shipped_files(void **state)
{
	static const char *const files[] = {
	        "docs/example-policy.yaml",
	        "policies/packs/agent-starter.yaml",
	        "policies/packs/postgres-read-only.yaml",
	        "policies/packs/postgres-no-destructive.yaml",
	        "policies/packs/break-glass.yaml",
	        "policies/packs/masking-starter.yaml",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char *text = source_file(files[i]);
		struct sl_snapshot *s = good(text);

		assert_true(s->nb_rules + s->nb_masks > 0);
		sl_policy_free(s);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_refused),
	        cmocka_unit_test(test_patterns_taken),
	        cmocka_unit_test(test_nothing_is_a_policy),
	        cmocka_unit_test(test_values),
	        cmocka_unit_test(test_insecure_provider),
	        cmocka_unit_test(test_same_issuer_twice),
	        cmocka_unit_test(test_several_sources),
	        cmocka_unit_test(test_too_many),
	        cmocka_unit_test(test_tls_resource),
	        cmocka_unit_test(test_shipped_files),
	};

	return cmocka_run_group_tests(tests, make_pem, remove_pem);
}
