/* Limits and breakers: what is read, what is refused, and for whom they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sl_eval.h"
#include "sl_policy.h"

#define DOC(kind, name, spec)                                                                                \
	"{kind: " kind ", version: 1, metadata: {name: " name "}, spec: {" spec "}}\n---\n"
#define RES(name)                                                                                            \
	DOC("Resource", name,                                                                                \
	    "protocol: postgres, address: '10.0.0.1:5432', credential: c, tls: {mode: off}, "                \
	    "labels: {env: " name "}")
#define BASE                                                                                                 \
	RES("shop")                                                                                          \
	RES("test")                                                                                          \
	DOC("Role", "all", "groups: ['*'], resources: ['*'], allow: [read]")                                 \
	DOC("Role", "bot", "groups: [bots], resources: ['*'], allow: [read]")

static int try_compile(const char *docs, struct sl_snapshot **s, char *line, size_t cap)
{
	struct sl_policy_source src = {"p.yaml", sl_span_str(docs)};
	struct sl_policy_error err;
	int rc = sl_policy_compile(&src, 1, 1, 1, s, &err);

	if (rc != SL_OK)
		sl_policy_error_str(&err, line, cap);
	return rc;
}

static struct sl_snapshot *compile(const char *docs)
{
	struct sl_snapshot *s;
	char line[1024];

	if (try_compile(docs, &s, line, sizeof(line)) != SL_OK)
		fail_msg("%s", line);
	return s;
}

static void refused(const char *kind, const char *spec, const char *says)
{
	char docs[4096], line[1024];
	struct sl_snapshot *s;

	snprintf(docs, sizeof(docs), BASE "{kind: %s, version: 1, metadata: {name: x}, spec: {%s}}\n", kind,
	         spec);
	if (try_compile(docs, &s, line, sizeof(line)) == SL_OK)
		fail_msg("%s {%s}: compiles", kind, spec);
	if (strstr(line, says) == NULL)
		fail_msg("%s {%s}: %s, and not \"%s\"", kind, spec, line, says);
}

static void test_whole(void **state)
{
	struct sl_snapshot *s = compile(
	        BASE DOC("Limit", "a",
	                 "per: role, commands: {perSecond: 10, burst: 30}, rows: {perMinute: 1000}, "
	                 "bytes: {perMinute: 1M, perDay: 2G}, over: hold, approvers: [boss], quorum: 2, "
	                 "expires: 1m, grant: session, shadow: true, message: 'too much'")
	                DOC("Limit", "b", "sessions: 3") DOC("Breaker", "b", "denials: 5, window: 10m")
	                        DOC("Limit", "c", "rows: {perDay: 7}, over: cut, per: resource"));
	const struct sl_limit *a = &s->limits[0], *b = &s->limits[1], *c = &s->limits[2], *k = &s->limits[3];

	(void)state;
	assert_int_equal(s->nb_limits, 4);
	assert_string_equal(a->rule.name, "Limit/a");
	assert_true(a->per == SL_PER_ROLE && a->over == SL_OVER_HOLD && a->rule.action == SL_RULE_HOLD);
	assert_true(a->per_second == 10 && a->burst == 30 && a->sessions == 0);
	assert_int_equal(a->window[SL_ROWS_MINUTE], 1000);
	assert_int_equal(a->window[SL_ROWS_DAY], 0);
	assert_int_equal(a->window[SL_BYTES_MINUTE], 1 << 20);
	assert_int_equal(a->window[SL_BYTES_DAY], UINT64_C(2) << 30);
	assert_true(a->rule.quorum == 2 && a->rule.expires_s == 60 && a->rule.grant == SL_GRANT_SESSION);
	assert_true(a->rule.shadow && strcmp(a->rule.message, "too much") == 0);
	assert_true(b->sessions == 3 && b->per == SL_PER_IDENTITY && b->over == SL_OVER_DENY && !b->breaker);
	assert_true(c->over == SL_OVER_CUT && c->per == SL_PER_RESOURCE && c->window[SL_ROWS_DAY] == 7);
	assert_string_equal(k->rule.name, "Breaker/b");
	assert_true(k->breaker && k->denials == 5 && k->window_s == 600);
	sl_policy_free(s);
}

static void test_burst_default(void **state)
{
	struct sl_snapshot *s = compile(BASE DOC("Limit", "a", "commands: {perSecond: 10}"));

	(void)state;
	assert_int_equal(s->limits[0].burst, 10);
	sl_policy_free(s);
}

static void test_refused(void **state)
{
	(void)state;
	refused("Limit", "per: identity", "needs \"commands\", \"sessions\", \"rows\" or \"bytes\"");
	refused("Limit", "commands: {burst: 3}", "\"perSecond\" is missing");
	refused("Limit", "commands: {perSecond: 0}", "from 1 to 1000000");
	refused("Limit", "commands: {perSecond: 1, perHour: 3}", "perHour");
	refused("Limit", "rows: {}", "\"rows\" needs \"perMinute\" or \"perDay\"");
	refused("Limit", "rows: {perDay: 1K}", "from 1 to 1000000000");
	refused("Limit", "bytes: {perDay: 513G}", "from 1 to");
	refused("Limit", "bytes: 5", "bytes");
	refused("Limit", "sessions: 0", "from 1 to");
	refused("Limit", "sessions: 3, over: cut", "a session over the limit can only be denied");
	refused("Limit", "sessions: 3, over: hold", "a session over the limit can only be denied");
	refused("Limit", "commands: {perSecond: 1}, over: cut", "only \"rows\" and \"bytes\" can be cut");
	refused("Limit", "commands: {perSecond: 1}, over: stop", "must be one of deny, hold, cut");
	refused("Limit", "rows: {perDay: 1}, over: cut, approvers: [a]",
	        "means something with over: hold only");
	refused("Limit", "rows: {perDay: 1}, quorum: 2", "means something with over: hold only");
	refused("Limit", "rows: {perDay: 1}, per: session", "must be one of identity, resource, role");
	refused("Limit", "rows: {perDay: 1}, roles: [nobody]", "no role is called");
	refused("Limit", "rows: {perDay: 1}, kinds: [select]", "kinds");
	refused("Breaker", "denials: 5", "needs \"denials\" and \"window\"");
	refused("Breaker", "window: 5m", "needs \"denials\" and \"window\"");
	refused("Breaker", "denials: 256, window: 5m", "from 1 to 255");
	refused("Breaker", "denials: 5, window: 2d", "\"window\" must be a duration");
	refused("Breaker", "denials: 5, window: 5m, per: role", "per");
	refused("Test",
	        "identity: {groups: [a]}, resource: shop, limits: [Limit/y], cases: [{statement: x, expect: "
	        "deny}]",
	        "nothing is called");
}

static void test_too_many(void **state)
{
	char docs[16384] = BASE, line[1024];
	struct sl_snapshot *s;

	(void)state;
	for (int i = 0; i < SL_POLICY_LIMITS_MAX + 1; i++) {
		size_t n = strlen(docs);

		snprintf(docs + n, sizeof(docs) - n,
		         "{kind: %s, version: 1, metadata: {name: x%d}, spec: {%s}}\n---\n",
		         i % 2 ? "Limit" : "Breaker", i, i % 2 ? "sessions: 1" : "denials: 1, window: 1m");
		if (i + 1 < SL_POLICY_LIMITS_MAX)
			continue;
		if (i + 1 == SL_POLICY_LIMITS_MAX)
			sl_policy_free(compile(docs));
	}
	assert_int_equal(try_compile(docs, &s, line, sizeof(line)), SL_E_LIMIT);
	assert_non_null(strstr(line, "limits and breakers"));
}

static uint64_t bits(const struct sl_snapshot *s, const char *resource, const char *group)
{
	struct sl_caller who = {
	        .subject = SL_SPAN_LIT("s"), .issuer = SL_SPAN_LIT("i"), .groups = sl_span_str(group)};
	struct sl_principal p;

	assert_true(
	        sl_eval_bind(s, &who, sl_snapshot_resource(s, sl_span_str(resource)), SL_SPAN_LIT("db"), &p));
	return p.limit_bits;
}

static void test_for_whom(void **state)
{
	struct sl_snapshot *s = compile(
	        BASE DOC("Limit", "all", "sessions: 1") DOC("Limit", "bots", "sessions: 1, roles: [bot]")
	                DOC("Limit", "shop", "sessions: 1, resources: [shop]") DOC(
	                        "Limit", "label", "sessions: 1, labels: {env: test}")
	                        DOC("Breaker", "g", "denials: 1, window: 1m, identity: {groups: [bots]}"));

	(void)state;
	assert_int_equal(bits(s, "shop", "people"), 1 | 4);
	assert_int_equal(bits(s, "test", "people"), 1 | 8);
	assert_int_equal(bits(s, "test", "bots"), 1 | 2 | 8 | 16);
	sl_policy_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_whole),    cmocka_unit_test(test_burst_default),
	        cmocka_unit_test(test_refused),  cmocka_unit_test(test_too_many),
	        cmocka_unit_test(test_for_whom),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
