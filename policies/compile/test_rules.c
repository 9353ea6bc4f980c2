/* Conditions of rules beyond the statement: callers, networks, times, labels; shadow, log, and the index. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "test_util.h"

#define RES(name, more)                                                                                      \
	DOC("Resource", name,                                                                                \
	    "protocol: postgres, address: '10.0.0.1:5432', credential: c, tls: {mode: off}" more)
#define IDP(name, more) DOC("IdentityProvider", name, "issuer: 'https://" name ".example', audience: a" more)
#define BASE                                                                                                 \
	RES("shop", ", labels: {env: prod, tier: gold}")                                                     \
	RES("test", ", labels: {env: test}")                                                                 \
	RES("bare", "")                                                                                      \
	IDP("corp", ", claims: [acr, xacr]")                                                                 \
	IDP("bots", ", caller: agent")                                                                       \
	IDP("jobs", ", caller: service")                                                                     \
	DOC("Role", "all", "groups: ['*'], resources: ['*'], allow: [read, insert, update, delete, do]")

#define MERGE "MERGE INTO c USING u ON a = b WHEN MATCHED THEN DO NOTHING"

struct ask {
	const char *groups, *subject, *provider, *claims, *source, *resource;
	uint64_t wall_us;
};

static struct sl_eval_result judge(const struct sl_snapshot *s, const struct ask *a, const char *text)
{
	struct sl_caller who = {.subject = sl_span_str(a->subject != NULL ? a->subject : "s1"),
	                        .provider = sl_span_str(a->provider != NULL ? a->provider : "corp"),
	                        .groups = sl_span_str(a->groups != NULL ? a->groups : "g")};
	struct sl_eval_result r;
	struct sl_principal p;
	struct sl_sql sql;
	char issuer[64];

	snprintf(issuer, sizeof(issuer), "https://%s.example", a->provider != NULL ? a->provider : "corp");
	who.issuer = sl_span_str(issuer);
	if (a->claims != NULL)
		who.claims = sl_span(a->claims, strlen(a->claims) + 1);
	if (a->source != NULL)
		assert_int_equal(sl_addr_parse(a->source, &who.source), SL_OK);
	assert_true(sl_eval_bind(
	        s, &who, sl_snapshot_resource(s, sl_span_str(a->resource != NULL ? a->resource : "shop")),
	        SL_SPAN_LIT("db"), &p));
	sl_sql_scan(sl_span_str(text), &sql);
	sl_eval_statement(s, &p, 0, a->wall_us, sl_span_str(text), &sql, &r);
	return r;
}

static void expect(const struct sl_snapshot *s, const struct ask *a, const char *text,
                   enum sl_decision_kind want)
{
	struct sl_eval_result r = judge(s, a, text);

	if (r.decision != want)
		fail_msg("%s: %d by %d (%s), want %d", text, (int)r.decision, r.rule, r.message, (int)want);
}

/* One rule that denies reading under a condition: who meets it, and who does not. */
static void denies(const char *condition, const struct ask *yes, const struct ask *no)
{
	char text[4096];
	struct sl_snapshot *s;

	snprintf(text, sizeof(text), BASE DOC("Rule", "r", "action: deny, kinds: [select], %s"), condition);
	s = compile(text);
	expect(s, yes, "SELECT 1", SL_DEC_DENY);
	expect(s, no, "SELECT 1", SL_DEC_ALLOW);
	sl_policy_free(s);
}

/* One rule that allows inserting into c under a condition, which the role does not. */
static void allows(const char *condition, const struct ask *yes, const struct ask *no)
{
	char text[4096];
	struct sl_snapshot *s;

	snprintf(text, sizeof(text), BASE DOC("Rule", "r", "action: allow, kinds: [merge], %s"), condition);
	s = compile(text);
	expect(s, yes, MERGE, SL_DEC_ALLOW);
	expect(s, no, MERGE, SL_DEC_DENY);
	sl_policy_free(s);
}

/* What is not known of the caller: met by what restricts, not by what allows. */
static void unknown(const char *condition, const struct ask *who, const struct ask *yes)
{
	denies(condition, who, &(struct ask){.groups = "none", .claims = "acr=none", .source = "192.0.2.1"});
	allows(condition, yes, who);
}

static void test_identity(void **state)
{
	(void)state;
	denies("identity: {groups: [ops]}", &(struct ask){.groups = "ops"}, &(struct ask){.groups = "dev"});
	denies("identity: {subjects: ['svc-*']}", &(struct ask){.subject = "svc-1"},
	       &(struct ask){.subject = "anna"});
	denies("identity: {issuers: ['https://bots.*']}", &(struct ask){.provider = "bots"},
	       &(struct ask){.provider = "corp"});
	denies("identity: {callers: [agent]}", &(struct ask){.provider = "bots"},
	       &(struct ask){.provider = "corp"});
	denies("identity: {claims: {acr: [low, none]}}", &(struct ask){.claims = "acr=low"},
	       &(struct ask){.claims = "acr=high"});
	denies("identity: {claims: {acr: low}}", &(struct ask){.claims = "acr=low"},
	       &(struct ask){.claims = "acr=high"});
	denies("identity: {groups: [ops], callers: [person]}", &(struct ask){.groups = "ops"},
	       &(struct ask){.groups = "ops", .provider = "bots"});
	allows("identity: {groups: [ops], callers: [person]}", &(struct ask){.groups = "ops"},
	       &(struct ask){.groups = "ops", .provider = "bots"});
	allows("identity: {claims: {acr: high}}", &(struct ask){.claims = "acr=high"},
	       &(struct ask){.claims = "acr=low"});
}

static void test_unknown(void **state)
{
	(void)state;
	/* a provider that the policy does not have (any more): of no kind that allows, of any that denies */
	unknown("identity: {callers: [service]}", &(struct ask){.provider = "gone"},
	        &(struct ask){.provider = "jobs"});
	unknown("identity: {callers: [agent]}", &(struct ask){.provider = "gone"},
	        &(struct ask){.provider = "bots"});
	/* a claim that the token does not have; xacr is another one */
	unknown("identity: {claims: {acr: high}}", &(struct ask){.claims = NULL},
	        &(struct ask){.claims = "acr=high"});
	unknown("identity: {claims: {acr: high}}", &(struct ask){.claims = "xacr=high"},
	        &(struct ask){.claims = "acr=high"});
	/* no group at all */
	unknown("identity: {groups: [ops]}", &(struct ask){.groups = ""}, &(struct ask){.groups = "ops"});
	unknown("sources: [10.0.0.0/8]", &(struct ask){.source = NULL}, &(struct ask){.source = "10.1.1.1"});
	/* one part that is known not to hold is enough for both */
	denies("identity: {groups: [ops], claims: {acr: high}}", &(struct ask){.groups = "ops"},
	       &(struct ask){.groups = "dev"});
}

static void test_sources(void **state)
{
	(void)state;
	denies("sources: [10.1.0.0/16, '2001:db8::/32']", &(struct ask){.source = "10.1.2.3"},
	       &(struct ask){.source = "10.2.2.3"});
	denies("sources: [10.1.0.0/16, '2001:db8::/32']", &(struct ask){.source = "2001:db8::7"},
	       &(struct ask){.source = "2001:db9::7"});
	denies("sources: [0.0.0.0/0]", &(struct ask){.source = "1.2.3.4"}, &(struct ask){.source = "::1"});
}

static void test_labels(void **state)
{
	(void)state;
	denies("labels: {env: prod}", &(struct ask){.resource = "shop"}, &(struct ask){.resource = "test"});
	denies("labels: {env: [prod, te*]}", &(struct ask){.resource = "test"},
	       &(struct ask){.resource = "bare"});
	denies("labels: {env: prod, tier: gold}", &(struct ask){.resource = "shop"},
	       &(struct ask){.resource = "test"});
	denies("labels: {env: '*'}, resources: ['t*']", &(struct ask){.resource = "test"},
	       &(struct ask){.resource = "shop"});
}

static uint64_t at(const char *utc)
{
	struct tm tm = {0};

	assert_non_null(strptime(utc, "%Y-%m-%dT%H:%M", &tm));
	return (uint64_t)timegm(&tm) * 1000000;
}

static void when(const char *schedule, const char *open, const char *closed)
{
	denies(schedule, &(struct ask){.wall_us = at(open)}, &(struct ask){.wall_us = at(closed)});
}

static void test_schedule(void **state)
{
	(void)state;
	/* 2026-03-02 is a Monday. */
	when("schedule: {days: [mon, tue, wed, thu, fri]}", "2026-03-02T12:00", "2026-03-01T12:00");
	when("schedule: {from: '08:00', to: '18:00'}", "2026-03-02T08:00", "2026-03-02T18:00");
	when("schedule: {from: '08:00', to: '18:00'}", "2026-03-02T17:59", "2026-03-02T07:59");
	/* past midnight: the day that it begins on counts */
	when("schedule: {days: [fri], from: '22:00', to: '06:00'}", "2026-03-07T05:59", "2026-03-06T05:59");
	when("schedule: {days: [fri], from: '22:00', to: '06:00'}", "2026-03-06T22:00", "2026-03-07T22:00");
	/* in a zone, on both sides of the change to summer time (29 March 2026, 01:00 UTC) */
	when("schedule: {zone: Europe/Berlin, from: '08:00', to: '09:00'}", "2026-03-28T07:00",
	     "2026-03-28T06:59");
	when("schedule: {zone: Europe/Berlin, from: '08:00', to: '09:00'}", "2026-03-29T06:00",
	     "2026-03-29T07:00");
	when("schedule: {zone: America/New_York, days: [sun], from: '20:00', to: '24:00'}",
	     "2026-03-02T01:30", "2026-03-01T20:30");
	when("schedule: {zone: Etc/UTC, to: '12:00'}", "2026-03-02T11:59", "2026-03-02T12:00");
	/* a clock that was never set is no way round a rule */
	when("schedule: {days: [thu], to: '12:00'}", "1970-01-01T00:00", "1970-01-01T12:00");
	when("schedule: {zone: America/New_York, days: [wed]}", "1970-01-01T00:00", "1970-01-01T12:00");
	when("schedule: {notAfter: 2026-03-02T00:00:00Z}", "2026-03-01T23:59", "2026-03-02T00:00");
	when("schedule: {notBefore: 2026-03-02T00:00:00Z}", "2026-03-02T00:00", "2026-03-01T23:59");
}

static void test_shadow(void **state)
{
	struct sl_snapshot *s =
	        compile(BASE DOC("Rule", "d", "action: deny, kinds: [delete], shadow: true")
	                        DOC("Rule", "h", "action: hold, kinds: [update], shadow: true")
	                                DOC("Rule", "a", "action: allow, kinds: [merge], shadow: true")
	                                        DOC("Rule", "hard", "action: deny, relations: [secret]"));
	struct ask me = {0};
	struct sl_eval_result r = judge(s, &me, "DELETE FROM t WHERE a");

	(void)state;
	assert_int_equal(r.decision, SL_DEC_ALLOW);
	assert_true(r.differs);
	assert_int_equal(r.shadow.decision, SL_DEC_DENY);
	assert_int_equal(r.shadow.rule, 0);
	r = judge(s, &me, "UPDATE t SET a = 1 WHERE b");
	assert_true(r.differs && r.decision == SL_DEC_ALLOW && r.shadow.decision == SL_DEC_HOLD &&
	            r.shadow.rule == 1);
	r = judge(s, &me, "MERGE INTO t USING u ON a = b WHEN MATCHED THEN DO NOTHING");
	assert_true(r.differs && r.decision == SL_DEC_DENY && r.shadow.decision == SL_DEC_ALLOW &&
	            r.shadow.rule == -1);
	/* what is denied in any case is denied by another rule then */
	r = judge(s, &me, "DELETE FROM secret WHERE a");
	assert_true(r.decision == SL_DEC_DENY && r.rule == 3 && r.differs && r.shadow.rule == 0);
	assert_false(judge(s, &me, "SELECT 1").differs);
	sl_policy_free(s);
}

static void test_log(void **state)
{
	struct sl_snapshot *s = compile(BASE DOC("Rule", "l", "action: log, relations: [audit]")
	                                        DOC("Rule", "p", "action: log, pattern: 'audit'"));
	struct ask me = {0};
	struct sl_eval_result r = judge(s, &me, "SELECT * FROM audit a, audit b");

	(void)state;
	assert_int_equal(r.decision, SL_DEC_ALLOW);
	assert_int_equal(r.nb_logs, 2);
	assert_int_equal(r.logs[0] + r.logs[1], 1);
	assert_int_equal(judge(s, &me, "SELECT 1").nb_logs, 0);
	sl_policy_free(s);
}

struct found {
	uint32_t nb, rule[8];
};

static void collect(void *ctx, uint32_t rule)
{
	struct found *f = ctx;

	assert_true(f->nb < 8);
	f->rule[f->nb++] = rule;
}

static void test_explain(void **state)
{
	struct sl_snapshot *s = compile(
	        BASE DOC("Rule", "a", "action: log, kinds: [select]") DOC("Rule", "b",
	                                                                  "action: deny, relations: [t]")
	                DOC("Rule", "c", "action: deny, pattern: 'from t'")
	                        DOC("Rule", "d", "action: deny, kinds: [drop]")
	                                DOC("Rule", "e", "action: deny, functions: [f], shadow: true"));
	struct sl_caller who = {.subject = SL_SPAN_LIT("s"), .groups = SL_SPAN_LIT("g")};
	struct sl_span text = SL_SPAN_LIT("SELECT f(a) FROM t, t AS u");
	struct found f = {0};
	struct sl_eval_result r;
	struct sl_principal p;
	struct sl_sql sql;
	uint32_t seen = 0;

	(void)state;
	assert_true(
	        sl_eval_bind(s, &who, sl_snapshot_resource(s, SL_SPAN_LIT("shop")), SL_SPAN_LIT("x"), &p));
	sl_sql_scan(text, &sql);
	sl_eval_explain(s, &p, 0, 0, text, &sql, collect, &f, &r);
	for (uint32_t i = 0; i < f.nb; i++)
		seen |= 1u << f.rule[i];
	assert_int_equal(f.nb, 4);
	assert_int_equal(seen, 0x17);
	assert_true(r.decision == SL_DEC_DENY && r.rule == 1);
	sl_policy_free(s);
}

/* Many rules, most of them found by name: the answers are those of going through all. */
static void test_index(void **state)
{
	enum {
		RULES = 10000
	};
	char *text, *p;
	size_t cap = (size_t)RULES * 160 + 8192;
	struct ask me = {0};
	struct sl_snapshot *s;
	struct timespec from, to;

	(void)state;
	text = malloc(cap);
	assert_non_null(text);
	p = text + snprintf(text, cap, "%s", BASE);
	for (int i = 0; i < RULES; i++)
		p += snprintf(p, cap - (size_t)(p - text),
		              "{kind: Rule, version: 1, metadata: {name: r%d}, spec: {action: %s, relations: "
		              "[%s%d%s]%s}}\n---\n",
		              i, i % 7 == 0 ? "hold" : "deny", i % 2 == 0 ? "T" : "app.t", i,
		              i % 1000 == 999 ? "*" : "", i % 3 == 0 ? ", access: [write]" : "");
	clock_gettime(CLOCK_MONOTONIC, &from);
	s = compile(text);
	clock_gettime(CLOCK_MONOTONIC, &to);
	print_message("%d rules compiled in %ld ms\n", RULES,
	              (to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000);
	assert_int_equal(s->nb_rules, RULES);
	assert_int_equal(s->index.by_kind[SL_SQL_KIND_COUNT].nb, RULES / 1000);
	for (int i = 0; i < RULES; i += 37) {
		bool write_only = i % 3 == 0, app = i % 2 != 0;
		enum sl_decision_kind want = i % 7 == 0 ? SL_DEC_HOLD : SL_DEC_DENY;
		char sql[128];

		snprintf(sql, sizeof(sql), "SELECT * FROM %st%d", app ? "App." : "", i);
		expect(s, &me, sql, write_only ? SL_DEC_ALLOW : want);
		snprintf(sql, sizeof(sql), "DELETE FROM \"t%d\" WHERE a = 1", i);
		expect(s, &me, sql, want);
		snprintf(sql, sizeof(sql), "SELECT * FROM other.t%d_x", i);
		expect(s, &me, sql, SL_DEC_ALLOW);
		if (app) {
			snprintf(sql, sizeof(sql), "DELETE FROM other.t%d WHERE a = 1", i);
			expect(s, &me, sql, SL_DEC_ALLOW);
		}
	}
	expect(s, &me, "SELECT * FROM app.t999zz", SL_DEC_ALLOW); /* 999 is for writes */
	expect(s, &me, "DELETE FROM app.t999zz WHERE a", SL_DEC_DENY);
	expect(s, &me, "SELECT 'x", SL_DEC_DENY); /* opaque: every rule */
	sl_policy_free(s);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_identity), cmocka_unit_test(test_unknown),
	        cmocka_unit_test(test_sources),  cmocka_unit_test(test_labels),
	        cmocka_unit_test(test_schedule), cmocka_unit_test(test_shadow),
	        cmocka_unit_test(test_log),      cmocka_unit_test(test_explain),
	        cmocka_unit_test(test_index),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
