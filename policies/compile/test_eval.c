/* What a compiled policy does: precedence, opaque statements, identities, masks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sl_mask.h"
#include "test_util.h"

#define RES(name)                                                                                            \
	DOC("Resource", name, "protocol: postgres, address: '10.0.0.1:5432', credential: c, tls: {mode: off}")
#define ROLE(name, allow) DOC("Role", name, "groups: [" name "], resources: [shop], allow: [" allow "]")

struct policy {
	struct sl_snapshot *s;
	struct sl_principal p;
	uint64_t wall_us;
};

static bool bind_on(struct policy *y, const char *groups, size_t n, const char *resource,
                    const char *database)
{
	struct sl_caller who = {.subject = SL_SPAN_LIT("subject-1"), .groups = sl_span(groups, n)};
	const struct sl_resource *r = sl_snapshot_resource(y->s, sl_span_str(resource));

	assert_non_null(r);
	return sl_eval_bind(y->s, &who, r, sl_span_str(database), &y->p);
}

/* A policy seen by a caller of one group, on "shop". */
static struct policy policy_for(const char *text, const char *group)
{
	struct policy y = {.s = compile(text)};

	bind_on(&y, group, strlen(group), "shop", "shop");
	return y;
}

static struct sl_eval_result judge(const struct policy *y, const char *text)
{
	struct sl_eval_result r;
	struct sl_sql sql;

	sl_sql_scan(sl_span_str(text), &sql);
	sl_eval_statement(y->s, &y->p, 0, y->wall_us, sl_span_str(text), &sql, &r);
	assert_non_null(r.message);
	return r;
}

static void expect(const struct policy *y, const char *text, enum sl_decision_kind decision, int32_t rule)
{
	struct sl_eval_result r = judge(y, text);

	if (r.decision != decision || r.rule != rule)
		fail_msg("%s: decision %d by %d (%s), want %d by %d", text, (int)r.decision, r.rule,
		         r.message, (int)decision, rule);
}

#define ALLOWED(text)      expect(&y, text, SL_DEC_ALLOW, -1)
#define DEFAULT_DENY(text) expect(&y, text, SL_DEC_DENY, -1)
#define DENIED(text, rule) expect(&y, text, SL_DEC_DENY, rule)
#define HELD(text, rule)   expect(&y, text, SL_DEC_HOLD, rule)

static void test_default_deny(void **state)
{
	struct policy y = policy_for(RES("shop") ROLE("a", "read"), "a");

	(void)state;
	ALLOWED("SELECT 1");
	ALLOWED("");
	ALLOWED("BEGIN; SELECT 1; COMMIT");
	DEFAULT_DENY("SET x = 1");
	DEFAULT_DENY("SELECT 1; DELETE FROM t WHERE a");
	DEFAULT_DENY("WITH x AS (DELETE FROM t WHERE a RETURNING *) SELECT * FROM x");
	DEFAULT_DENY("SELECT pg_read_file('x')");
	DEFAULT_DENY("DO 'x'");
	DEFAULT_DENY("CALL p()");
	DEFAULT_DENY("SELECT 'x");
	DEFAULT_DENY("FOO");
	assert_non_null(strstr(judge(&y, "DROP TABLE x").message, "drop"));
	sl_policy_free(y.s);
	y = policy_for(RES("shop") ROLE("a", "any"), "a");
	ALLOWED("DO 'x'");
	ALLOWED("SELECT 'x");
	ALLOWED("SELECT lo_import('x')");
	sl_policy_free(y.s);
	y = policy_for(RES("shop") ROLE("a", "any"), "b");
	DEFAULT_DENY("SELECT 1");
	sl_policy_free(y.s);
}

static void test_empty_policy_denies_all(void **state)
{
	struct sl_resource res = {.name = "shop"};
	struct policy y = {.s = compile("")};
	struct sl_caller who = {.subject = SL_SPAN_LIT("x"), .groups = SL_SPAN_LIT("a")};

	(void)state;
	assert_false(sl_eval_bind(y.s, &who, &res, SL_SPAN_LIT("shop"), &y.p));
	DEFAULT_DENY("SELECT 1");
	DEFAULT_DENY("");
	sl_policy_free(y.s);
}

static void test_precedence(void **state)
{
	struct policy y = policy_for(
	        RES("shop") ROLE("a", "read, insert, update, opaque, do") DOC("Rule", "hold-update",
	                                                                      "action: hold, kinds: [update]")
	                DOC("Rule", "hold-two", "action: hold, pattern: two") DOC(
	                        "Rule", "deny-secret", "action: deny, pattern: secret")
	                        DOC("Rule", "allow-delete", "action: allow, kinds: [delete]") DOC(
	                                "Rule", "deny-all-rows",
	                                "action: deny, kinds: [update, delete], withoutWhere: true")
	                                DOC("Rule", "hold-merge", "action: hold, kinds: [merge, admin]"),
	        "a");

	(void)state;
	ALLOWED("SELECT 1");
	HELD("UPDATE t SET a = 1 WHERE b", 0);
	HELD("UPDATE two SET a = 1 WHERE b", 0);
	HELD("SELECT * FROM Two", 1);
	DENIED("UPDATE secret SET a = 1 WHERE b", 2);
	DENIED("UPDATE t SET a = 1", 4);
	ALLOWED("DELETE FROM t WHERE a");
	DENIED("DELETE FROM t", 4);
	DENIED("SELECT 1; UPDATE t SET a = 1 WHERE b; DELETE FROM t", 4);
	/* approval is the permission for the kinds that the rule names, and for no others of the string */
	HELD("MERGE INTO t USING u ON a = b WHEN MATCHED THEN DO NOTHING", 5);
	DEFAULT_DENY("MERGE INTO t USING u ON a = b WHEN MATCHED THEN DO NOTHING; TRUNCATE t");
	DEFAULT_DENY("UPDATE t SET a = 1 WHERE b; TRUNCATE t");
	DEFAULT_DENY("TRUNCATE two");
	DEFAULT_DENY("SELECT lo_import('x')"); /* a rule never permits admin */
	/* opaque meets every restriction, though the role allows it */
	DENIED("DO 'x'", 4);
	DENIED("SELECT 'unterminated", 4);
	DENIED("SELECT 1; EXECUTE p", 4);
	sl_policy_free(y.s);
}

static void test_opaque_and_holds(void **state)
{
	struct policy y = policy_for(RES("shop") ROLE("a", "read, opaque, do")
	                                     DOC("Rule", "h", "action: hold, kinds: [drop]")
	                                             DOC("Rule", "w", "action: allow, kinds: [update]"),
	                             "a");

	(void)state;
	HELD("DO 'x'", 0);
	HELD("SELECT 'x", 0);
	ALLOWED("UPDATE t SET a = 1");
	/* an allow rule does nothing for what is opaque */
	DEFAULT_DENY("UPDATE t SET a = 'x");
	DEFAULT_DENY("CALL p()");
	sl_policy_free(y.s);
}

static void test_allow_with_pattern(void **state)
{
	struct policy y = policy_for(
	        RES("shop") ROLE("a", "read")
	                DOC("Rule", "w", "action: allow, kinds: [update], pattern: '^update counters '"),
	        "a");

	(void)state;
	ALLOWED("UPDATE counters SET n = n + 1 WHERE id = 1");
	DEFAULT_DENY("UPDATE users SET admin = true");
	DEFAULT_DENY("UPDATE counters SET n = 1; UPDATE users SET admin = true");
	sl_policy_free(y.s);
}

static void test_conditions_together(void **state)
{
	struct policy y = policy_for(
	        RES("shop") ROLE("a", "write")
	                DOC("Rule", "r", "action: deny, kinds: [update], withoutWhere: true, pattern: users"),
	        "a");

	(void)state;
	DENIED("UPDATE users SET a = 1", 0);
	ALLOWED("UPDATE users SET a = 1 WHERE b");
	ALLOWED("UPDATE other SET a = 1");
	ALLOWED("DELETE FROM users");
	ALLOWED("SELECT * FROM users");
	/* the pattern is matched over the whole string */
	DENIED("UPDATE other SET a = 1; SELECT * FROM users", 0);
	sl_policy_free(y.s);
}

static void test_names(void **state)
{
	struct policy y = policy_for(
	        RES("shop") ROLE("a", "write, ddl")
	                DOC("Rule", "salaries", "action: deny, relations: [hr.salary]")
	                        DOC("Rule", "log", "action: deny, relations: ['audit_*'], access: [write]")
	                                DOC("Rule", "sleep", "action: deny, functions: [pg_advisory*, x.y]"),
	        "a");

	(void)state;
	DENIED("SELECT * FROM hr.salary", 0);
	DENIED("SELECT 1 FROM a JOIN \"hr\".\"salary\" s ON true", 0);
	DENIED("SELECT (SELECT max(x) FROM Salary)", 0); /* the search path may hold hr */
	DENIED("WITH s AS (DELETE FROM hr.SALARY RETURNING *) SELECT 1", 0);
	DENIED("SELECT 1; TRUNCATE hr.salary", 0);
	ALLOWED("SELECT * FROM public.salary");
	ALLOWED("WITH salary AS (SELECT 1) SELECT * FROM salary");
	ALLOWED("SELECT salary FROM people");
	ALLOWED("SELECT * FROM audit_log");
	DENIED("INSERT INTO public.audit_log SELECT 1", 1);
	DENIED("DROP TABLE a, audit_x", 1);
	ALLOWED("INSERT INTO t SELECT * FROM audit_log");
	DENIED("SELECT pg_catalog.pg_advisory_lock(1)", 2);
	DENIED("SELECT y()", 2);
	ALLOWED("SELECT z.y()");
	ALLOWED("SELECT pg_advisory_lock FROM t");
	sl_policy_free(y.s);
}

/* Also what neither reads nor writes its rows names a relation. */
static void test_names_of_other_statements(void **state)
{
	struct policy y = policy_for(RES("shop") ROLE("a", "any")
	                                     DOC("Rule", "salaries", "action: deny, relations: [hr.salary]"),
	                             "a");

	(void)state;
	DENIED("LOCK hr.salary", 0);
	DENIED("ALTER TABLE hr.salary OWNER TO x", 0);
	DENIED("GRANT SELECT ON hr.salary TO PUBLIC", 0);
	DENIED("GRANT SELECT (a), UPDATE (b) ON TABLE t, hr.salary TO PUBLIC WITH GRANT OPTION", 0);
	DENIED("GRANT USAGE ON SEQUENCE hr.salary TO x", 0);
	DENIED("REVOKE GRANT OPTION FOR ALL PRIVILEGES ON hr.salary FROM auditor CASCADE", 0);
	DENIED("CREATE SCHEMA s CREATE TABLE t (a int) GRANT REFERENCES ON hr.salary TO x CREATE TABLE u (a "
	       "int)",
	       0);
	DENIED("COMMENT ON TABLE hr.salary IS 'x'", 0);
	DENIED("COMMENT ON MATERIALIZED VIEW hr.salary IS 'x'", 0);
	DENIED("COMMENT ON FOREIGN TABLE hr.salary IS 'x'", 0);
	DENIED("COMMENT ON COLUMN hr.salary.amount IS 'x'", 0);
	DENIED("COMMENT ON COLUMN d.hr.salary.amount IS 'x'", 0);
	DENIED("COMMENT ON CONSTRAINT c ON hr.salary IS 'x'", 0);
	DENIED("SECURITY LABEL FOR p ON TABLE hr.salary IS 'x'", 0);
	DENIED("REINDEX TABLE hr.salary", 0);
	DENIED("REINDEX (VERBOSE) INDEX CONCURRENTLY hr.salary", 0);
	DENIED("CREATE STATISTICS s ON a, (b + 1) FROM hr.salary", 0);
	DENIED("CREATE PUBLICATION p FOR TABLE hr.salary", 0);
	DENIED("CREATE PUBLICATION p FOR TABLES IN SCHEMA s, TABLE ONLY t (a) WHERE (a > 1), hr.salary WITH "
	       "(publish = 'x')",
	       0);
	DENIED("ALTER PUBLICATION p ADD TABLE hr.salary", 0);
	ALLOWED("GRANT salary TO x");
	ALLOWED("GRANT EXECUTE ON FUNCTION salary(int) TO x");
	ALLOWED("GRANT USAGE ON SCHEMA salary, hr TO x");
	ALLOWED("GRANT SELECT ON schema, type TO salary");
	ALLOWED("REVOKE SELECT ON ALL TABLES IN SCHEMA hr FROM x");
	ALLOWED("COMMENT ON FUNCTION salary(int) IS 'x'");
	ALLOWED("COMMENT ON COLUMN t.salary IS 'x'");
	ALLOWED("COMMENT ON CONSTRAINT salary ON DOMAIN salary IS 'x'");
	ALLOWED("REINDEX SCHEMA salary");
	ALLOWED("CREATE PUBLICATION salary FOR ALL TABLES");
	ALLOWED("ALTER PUBLICATION p SET (publish = 'insert')");
	ALLOWED("ALTER PUBLICATION p OWNER TO salary");
	sl_policy_free(y.s);
}

/* What allows must cover all that the statement names, and a name without its schema could be any. */
static void test_names_allow(void **state)
{
	struct policy y = policy_for(
	        RES("shop") ROLE("a", "show") DOC(
	                "Rule", "r",
	                "action: allow, kinds: [select], relations: [public.orders, item*], access: [read]")
	                DOC("Rule", "w",
	                    "action: allow, kinds: [select, create], relations: [tmp_x], functions: [now, "
	                    "lower]"),
	        "a");

	(void)state;
	ALLOWED("SELECT * FROM public.orders, items, public.item2");
	DEFAULT_DENY("SELECT * FROM orders");
	DEFAULT_DENY("SELECT * FROM public.orders JOIN users USING (id)");
	DEFAULT_DENY("SELECT 1");
	DEFAULT_DENY("SELECT * INTO items FROM public.orders");
	ALLOWED("SELECT now() FROM tmp_x");
	DEFAULT_DENY("SELECT now(), upper(a) FROM tmp_x");
	DEFAULT_DENY("SELECT 1 FROM tmp_x");
	sl_policy_free(y.s);
}

/* A role that allows any database does not widen what the resource offers. */
static void test_databases_of_a_resource(void **state)
{
	static const char text[] = DOC("Resource", "shop",
	                               "protocol: postgres, address: '10.0.0.1:5432', credential: c, tls: "
	                               "{mode: off}, databases: [shop, d2]")
	        DOC("Role", "dev", "groups: [devs], resources: [shop], databases: ['*'], allow: [any]");
	struct policy y = {.s = compile(text)};

	(void)state;
	assert_true(bind_on(&y, "devs", 4, "shop", "shop"));
	assert_true(bind_on(&y, "devs", 4, "shop", "d2"));
	assert_false(bind_on(&y, "devs", 4, "shop", "bench"));
	assert_int_equal(y.p.role_bits, 0);
	assert_int_equal(y.p.kinds, 0);
	assert_false(bind_on(&y, "devs", 4, "shop", "Shop"));
	assert_false(bind_on(&y, "devs", 4, "shop", ""));
	sl_policy_free(y.s);
}

static void test_identities(void **state)
{
	static const char text[] = RES("shop") RES("other")
	        DOC("Role", "everyone", "groups: ['*'], resources: [shop], allow: [show]") DOC(
	                "Role", "dev",
	                "groups: [devs, ops], resources: ['sh*'], databases: ['d?'], allow: [read]")
	                DOC("Role", "one", "subjects: [subject-1], resources: [other], allow: [any]")
	                        DOC("Rule", "r0", "action: deny, kinds: [show], roles: [dev]") DOC(
	                                "Rule", "r1", "action: deny, kinds: [show], roles: ['x*']")
	                                DOC("Rule", "r2", "action: deny, kinds: [drop], resources: [OTHER]");
	struct policy y = {.s = compile(text)};

	(void)state;
	assert_true(bind_on(&y, "x\0devs", 7, "shop", "d1"));
	assert_int_equal(y.p.role_bits, 3);
	DENIED("SHOW ALL", 0);
	ALLOWED("SELECT 1");
	assert_true(bind_on(&y, "devs", 4, "shop", "other"));
	assert_int_equal(y.p.role_bits, 1);
	ALLOWED("SHOW ALL");
	DEFAULT_DENY("SELECT 1");
	DEFAULT_DENY("DROP TABLE t");
	assert_true(bind_on(&y, "dev", 3, "shop", "d1"));
	assert_int_equal(y.p.role_bits, 1);
	assert_true(bind_on(&y, "", 0, "other", "x"));
	assert_int_equal(y.p.role_bits, 4);
	DENIED("DROP TABLE t", 2);
	ALLOWED("SHOW ALL");
	sl_policy_free(y.s);
	y.s = compile(RES("shop") ROLE("a", "read"));
	assert_false(bind_on(&y, "ab\0A\0\0", 6, "shop", "x"));
	assert_true(bind_on(&y, "ab\0a\0", 5, "shop", "x"));
	sl_policy_free(y.s);
}

static void test_broken_callers_are_denied(void **state)
{
	struct policy y =
	        policy_for(RES("shop") ROLE("a", "any") DOC("Rule", "r", "action: deny, pattern: x"), "a");
	struct sl_eval_result r;
	struct sl_sql sql;
	struct sl_span text = SL_SPAN_LIT("SELECT 1");

	(void)state;
	sl_sql_scan(text, &sql);
	sl_eval_statement(y.s, &y.p, 1, 0, text, &sql, &r); /* no such worker */
	assert_int_equal(r.decision, SL_DEC_DENY);
	y.p.snapshot_version++;
	sl_eval_statement(y.s, &y.p, 0, 0, text, &sql, &r);
	assert_int_equal(r.decision, SL_DEC_DENY);
	y.p.snapshot_version--;
	sql.nb_stmts = 0;
	sl_eval_statement(y.s, &y.p, 0, 0, text, &sql, &r);
	assert_int_equal(r.decision, SL_DEC_DENY);
	sl_policy_free(y.s);
}

/* Statements that come without text, and results that say "incomplete" without the opaque kind. */
static void test_function_call_and_incomplete(void **state)
{
	struct policy y = policy_for(RES("shop") ROLE("a", "read"), "a");
	struct sl_eval_result r;
	struct sl_sql sql = {.nb_stmts = 1, .complete = true};

	(void)state;
	sql.kinds = sql.stmts[0].kinds = SL_SQL_BIT(SL_SQL_FUNCTION_CALL);
	sl_eval_statement(y.s, &y.p, 0, 0, SL_SPAN_EMPTY, &sql, &r);
	assert_int_equal(r.decision, SL_DEC_DENY);
	assert_non_null(strstr(r.message, "function-call"));
	sql.kinds = sql.stmts[0].kinds = SL_SQL_BIT(SL_SQL_SELECT);
	sql.complete = false;
	sl_eval_statement(y.s, &y.p, 0, 0, SL_SPAN_EMPTY, &sql, &r);
	assert_int_equal(r.decision, SL_DEC_DENY);
	sl_policy_free(y.s);
}

/* ---- masks ---- */

static int32_t column(const struct policy *y, const char *name, const char *schema, const char *rel,
                      const char *col)
{
	struct sl_eval_column c = {sl_span_str(name), sl_span_str(schema), sl_span_str(rel),
	                           sl_span_str(col)};

	return sl_eval_column(y->s, &y->p, &c);
}

static void test_columns(void **state)
{
	struct policy y = policy_for(
	        RES("shop") ROLE("a", "read") ROLE("b", "read")
	                DOC("Mask", "m0", "action: redact, columns: [ssn, 'card_*']") DOC(
	                        "Mask", "m1", "action: redact, columns: [customers.phone, crm.people.name]")
	                        DOC("Mask", "m2", "action: redact, columns: ['*'], exceptRoles: [a]")
	                                DOC("Mask", "m3", "action: redact, columns: ['*'], roles: [b]")
	                                        DOC("Mask", "m4", "action: redact, columns: ['hr.*.*']"),
	        "a");

	(void)state;
	assert_true(y.p.any_mask);
	assert_false(y.p.any_content_mask);
	assert_int_equal(column(&y, "SSN", "", "", ""), 0);
	assert_int_equal(column(&y, "x", "public", "t", "ssn"), 0); /* an alias does not help */
	assert_int_equal(column(&y, "ssn", "public", "t", "x"), 0);
	assert_int_equal(column(&y, "card_number", "", "", ""), 0);
	assert_int_equal(column(&y, "ssn2", "public", "t", "ssn2"), -1);
	assert_int_equal(column(&y, "x", "public", "customers", "phone"), 1);
	assert_int_equal(column(&y, "phone", "public", "orders", "phone"), -1);
	assert_int_equal(column(&y, "phone", "", "", ""), 1); /* origin unknown */
	assert_int_equal(column(&y, "name", "crm", "people", "name"), 1);
	assert_int_equal(column(&y, "name", "public", "people", "name"), -1);
	assert_int_equal(column(&y, "name", "", "people", "name"), 1); /* schema unknown */
	assert_int_equal(column(&y, "pay", "hr", "x", "pay"), 4);
	assert_int_equal(column(&y, "pay", "public", "x", "pay"), -1);
	assert_int_equal(column(&y, "pay", "", "", ""), 4);
	sl_policy_free(y.s);
}

/* The length of a text's new value; -1 it stays, -2 NULL, -3 it must not pass. */
static long text_under(const struct sl_snapshot *s, const struct sl_principal *p, uint32_t worker,
                       int32_t mask, struct sl_span value, struct sl_span column, uint8_t *out, size_t cap)
{
	struct sl_masker m = {.snapshot = s, .who = p, .worker = worker};
	struct sl_mask_value v = {.mask = mask, .type = 25, .column = column, .value = value};
	size_t n;

	switch (sl_mask(&m, &v, out, cap, &n)) {
	case SL_MASKED_NEW:
		return (long)n;
	case SL_MASKED_PASS:
		return -1;
	case SL_MASKED_NULL:
		return -2;
	default:
		return -3;
	}
}

static void mask_is(const struct policy *y, int32_t mask, const char *value, const char *want)
{
	uint8_t out[256];
	long n = text_under(y->s, &y->p, 0, mask, sl_span_str(value), SL_SPAN_EMPTY, out, sizeof(out));

	if (n < 0 || !sl_span_is(sl_span(out, (size_t)n), want))
		fail_msg("%s -> %ld %.*s, want %s", value, n, n > 0 ? (int)n : 0, (const char *)out, want);
}

static void test_values(void **state)
{
	struct policy y = policy_for(
	        RES("shop") ROLE("a", "read") DOC("Mask", "r", "action: redact, columns: [x]")
	                DOC("Mask", "p", "action: partial, columns: [x], keepFirst: 1, keepLast: 2")
	                        DOC("Mask", "n", "action: 'null', columns: [x]")
	                                DOC("Mask", "a", "action: partial, columns: [x]"),
	        "a");
	uint8_t out[4];

	(void)state;
	mask_is(&y, 0, "anything", "***");
	mask_is(&y, 0, "", "***");
	mask_is(&y, 1, "abcdef", "a***ef");
	mask_is(&y, 1, "abcd", "a*cd");
	mask_is(&y, 1, "abc", "***");
	mask_is(&y, 1, "", "");
	mask_is(&y, 1, "\xc3\xa9\xc3\xa8\xe2\x82\xac\xf0\x9f\x98\x80xy", "\xc3\xa9***xy");
	mask_is(&y, 1, "\xc3\xa9\xc3\xa8\xe2\x82\xac", "***");
	mask_is(&y, 1, "\xff\xfe\xfd\xfc", "\xff*\xfd\xfc");
	mask_is(&y, 1, "a\xc3", "**");
	mask_is(&y, 3, "abc", "***");
	assert_int_equal(text_under(y.s, &y.p, 0, 2, SL_SPAN_LIT("x"), SL_SPAN_EMPTY, out, 4), -2);
	assert_int_equal(text_under(y.s, &y.p, 0, 1, SL_SPAN_LIT("abcde"), SL_SPAN_EMPTY, out, 4), -3);
	assert_int_equal(text_under(y.s, &y.p, 0, 0, SL_SPAN_LIT("abcde"), SL_SPAN_EMPTY, out, 2), -3);
	assert_int_equal(text_under(y.s, &y.p, 0, 9, SL_SPAN_LIT("abcde"), SL_SPAN_EMPTY, out, 4), -3);
	assert_int_equal(text_under(y.s, &y.p, 0, -1, SL_SPAN_LIT("abcde"), SL_SPAN_EMPTY, out, 4), -1);
	sl_policy_free(y.s);
}

static void test_content(void **state)
{
	struct policy y = policy_for(
	        RES("shop") ROLE("a", "read") ROLE("b", "read") DOC(
	                "Mask", "card", "action: redact, text: '[card]', pattern: '\\b4[0-9]{15}\\b'")
	                DOC("Mask", "num", "action: partial, keepLast: 2, pattern: 'n[0-9]+'")
	                        DOC("Mask", "b", "action: redact, pattern: 'a', roles: [b]") DOC(
	                                "Mask", "kill", "action: 'null', pattern: 'classified'")
	                                DOC("Mask", "over", "action: redact, text: O, pattern: 'xn1|3y'") DOC(
	                                        "Mask", "byte", "action: redact, text: U, pattern: '\\xc3'"),
	        "a");
	uint8_t out[4];

	(void)state;
	assert_true(y.p.any_content_mask);
	mask_is(&y, -1, "card 4111111111111111.", "card [card].");
	mask_is(&y, -1, "4111111111111111 4222222222222222", "[card] [card]");
	mask_is(&y, -1, "n12345", "****45");
	mask_is(&y, -1, "n1 n23 z", "** *23 z");
	mask_is(&y, -1, "axn123yb", "aOb");
	mask_is(&y, -1, "n123y", "***3y");
	mask_is(&y, -1, "a\xc3\xa9z", "aUz");
	assert_int_equal(text_under(y.s, &y.p, 0, -1, SL_SPAN_LIT("plain a"), SL_SPAN_EMPTY, out, 4), -1);
	assert_int_equal(text_under(y.s, &y.p, 0, -1, SL_SPAN_LIT("classified n1"), SL_SPAN_EMPTY, out, 4),
	                 -2);
	assert_int_equal(text_under(y.s, &y.p, 0, -1, SL_SPAN_LIT("4111111111111111"), SL_SPAN_EMPTY, out, 4),
	                 -3);
	assert_int_equal(text_under(y.s, &y.p, 1, -1, SL_SPAN_LIT("n1"), SL_SPAN_EMPTY, out, 4),
	                 -3); /* no such worker */
	sl_policy_free(y.s);
}

/* Detectors: by name and by glob, first mask in document order, and the column's name as a hint. */
static void test_detectors(void **state)
{
	struct policy y = policy_for(
	        RES("shop") ROLE("a", "read") ROLE("b", "read")
	                DOC("Mask", "cards", "action: partial, keepLast: 4, detectors: [card]")
	                        DOC("Mask", "us",
	                            "action: redact, text: '[us]', detectors: ['us-*', card], pattern: 'zz'")
	                                DOC("Mask", "mail", "action: redact, detectors: [email], roles: [b]"),
	        "a");
	uint8_t out[32];

	(void)state;
	assert_true(y.p.any_content_mask);
	mask_is(&y, -1, "pay 4111111111111111 now", "pay ************1111 now");
	mask_is(&y, -1, "ssn 536904399, 536-90-4399 zz", "ssn [us], [us] [us]");
	assert_int_equal(
	        text_under(y.s, &y.p, 0, -1, SL_SPAN_LIT("4111111111111112 a@b.de"), SL_SPAN_EMPTY, out, 32),
	        -1);
	assert_int_equal(
	        text_under(y.s, &y.p, 0, -1, SL_SPAN_LIT("536904399"), SL_SPAN_LIT("order_no"), out, 32), -1);
	assert_int_equal(
	        text_under(y.s, &y.p, 0, -1, SL_SPAN_LIT("536904399"), SL_SPAN_LIT("customer_ssn"), out, 32),
	        4);
	assert_memory_equal(out, "[us]", 4);
	sl_policy_free(y.s);
}

/* More matches than there is room for: everything that matched is still hidden. */
static void test_content_many(void **state)
{
	struct policy y = policy_for(RES("shop") ROLE("a", "read")
	                                     DOC("Mask", "m", "action: redact, text: '.', pattern: '7'"),
	                             "a");
	size_t n = 20000;
	uint8_t *value = malloc(n), *out = malloc(2 * n);
	long got;

	(void)state;
	assert_non_null(value);
	assert_non_null(out);
	for (size_t i = 0; i < n; i++)
		value[i] = i % 3 == 0 ? '7' : 'x';
	got = text_under(y.s, &y.p, 0, -1, sl_span(value, n), SL_SPAN_EMPTY, out, 2 * n);
	assert_true(got > 0 && got < (long)n);
	assert_null(memchr(out, '7', (size_t)got));
	free(value);
	free(out);
	sl_policy_free(y.s);
}

/* ---- shipped packs ---- */

static char *pack(const char *name)
{
	char *text = calloc(1, 65536);
	char path[512];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/policies/packs/%s", SOURCE_ROOT, name);
	f = fopen(path, "r");
	assert_non_null(f);
	n = (size_t)snprintf(text, 65536, "%s", RES("shop"));
	assert_true(fread(text + n, 1, 65536 - n - 1, f) > 0);
	fclose(f);
	return text;
}

static void test_pack_agent(void **state)
{
	char *text = pack("agent-starter.yaml");
	struct policy y = policy_for(text, "agents");

	(void)state;
	ALLOWED("SELECT * FROM t");
	ALLOWED("SET datestyle = 'ISO'");
	HELD("UPDATE t SET a = 1 WHERE b", 2);
	HELD("INSERT INTO t VALUES (1)", 2);
	DENIED("DELETE FROM t", 1);
	DENIED("DROP TABLE t", 0);
	DENIED("DO 'x'", 0);
	DENIED("SELECT pg_read_file('x')", 0);
	mask_is(&y, -1, "4111 1111 1111 1111, 078-05-1120", "[card], [ssn]");
	assert_true(column(&y, "user_password", "", "", "") >= 0);
	sl_policy_free(y.s);
	free(text);
}

/* P17 and P18: all of it is refused to a reader. */
static void test_pack_read_only(void **state)
{
	static const char *const denied[] = {
	        "DO 'x'",
	        "EXECUTE p",
	        "PREPARE p AS DELETE FROM t",
	        "EXPLAIN ANALYZE DELETE FROM t",
	        "WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a",
	        "SELECT * INTO x FROM t",
	        "COPY t TO PROGRAM 'sh'",
	        "COPY t FROM STDIN",
	        "CALL p()",
	        "SELECT pg_read_file('x')",
	        "SELECT lo_import('x')",
	        "SELECT lo_export(1, 'x')",
	        "SELECT * FROM dblink('c', 'q') AS t(a int)",
	        "SELECT set_config('a', 'b', false)",
	        "SELECT setval('s', 1)",
	        "SELECT pg_terminate_backend(1)",
	        "SELECT 1; DROP TABLE x",
	        "SELECT 'x",
	        "VACUUM",
	        "LISTEN x",
	        "LOCK t",
	        "GRANT a TO b",
	        "TRUNCATE t",
	        "PREPARE p AS SELECT 1",
	        "CREATE TABLE x AS SELECT 1",
	};
	char *text = pack("postgres-read-only.yaml");
	struct policy y = policy_for(text, "readers");

	(void)state;
	ALLOWED("SELECT * FROM t");
	ALLOWED("BEGIN READ ONLY; EXPLAIN SELECT 1; SHOW ALL; COMMIT");
	ALLOWED("COPY (SELECT * FROM t) TO STDOUT");
	ALLOWED("DECLARE c CURSOR FOR SELECT 1");
	for (size_t i = 0; i < sizeof(denied) / sizeof(denied[0]); i++) {
		if (judge(&y, denied[i]).decision != SL_DEC_DENY)
			fail_msg("%s", denied[i]);
	}
	sl_policy_free(y.s);
	free(text);
}

static void test_pack_no_destructive(void **state)
{
	char *text = pack("postgres-no-destructive.yaml");
	char *all = calloc(1, 131072);
	struct policy y;

	(void)state;
	snprintf(all, 131072, "%s---\n%s", text, ROLE("a", "any"));
	y = policy_for(all, "a");
	ALLOWED("CREATE TABLE t (a int)");
	ALLOWED("DELETE FROM t WHERE a");
	DENIED("DROP TABLE t", 0);
	DENIED("DELETE FROM t", 1);
	DENIED("COPY t TO '/tmp/x'", 2);
	DENIED("DO 'x'", 0);
	sl_policy_free(y.s);
	free(all);
	free(text);
}

/* All rules that hold are asked, wherever they stand and however they are found. */
static void test_every_hold(void **state)
{
	struct policy y = policy_for(
	        RES("shop") ROLE("a", "read, write, ddl") DOC("Rule", "h0", "action: hold, pattern: 'secret'")
	                DOC("Rule", "h1", "action: hold, kinds: [update, delete]")
	                        DOC("Rule", "h2", "action: hold, relations: [accounts]") DOC(
	                                "Rule", "h3", "action: hold, relations: ['acc*'], access: [write]")
	                                DOC("Rule", "h4", "action: hold, functions: [f]")
	                                        DOC("Rule", "s",
	                                            "action: hold, kinds: [update], "
	                                            "shadow: true"),
	        "a");
	struct sl_eval_result r = judge(&y, "UPDATE accounts SET a = 1 WHERE b = 2");

	(void)state;
	assert_true(r.decision == SL_DEC_HOLD && r.rule == 1 && r.nb_holds == 3);
	assert_true(r.holds[0] == 1 && r.holds[1] == 2 && r.holds[2] == 3);
	/* one in shadow would be asked too */
	assert_true(r.differs && r.shadow.decision == SL_DEC_HOLD && r.shadow.rule == 5);
	r = judge(&y, "SELECT * FROM accounts");
	assert_true(r.decision == SL_DEC_HOLD && r.nb_holds == 1 && r.holds[0] == 2 && !r.differs);
	r = judge(&y, "DELETE FROM accounts WHERE a = 'secret'; SELECT 1");
	assert_true(r.decision == SL_DEC_HOLD && r.nb_holds == 4 && r.holds[0] == 0 && r.holds[3] == 3);
	/* five: more than can be asked */
	r = judge(&y, "DELETE FROM accounts WHERE f(a) = 'secret'");
	assert_true(r.decision == SL_DEC_DENY && r.rule == -1 && r.nb_holds == 0);
	assert_non_null(strstr(r.message, "more rules"));
	assert_int_equal(judge(&y, "SELECT 1").nb_holds, 0);
	sl_policy_free(y.s);
	/* shadow alone goes over */
	y = policy_for(RES("shop") ROLE("a", "read") DOC("Rule", "a", "action: hold, kinds: [select]")
	                       DOC("Rule", "b", "action: hold, kinds: [select]")
	                               DOC("Rule", "c", "action: hold, kinds: [select]")
	                                       DOC("Rule", "d", "action: hold, kinds: [select]")
	                                               DOC("Rule", "e",
	                                                   "action: hold, kinds: [select], shadow: true"),
	               "a");
	r = judge(&y, "SELECT 1");
	assert_true(r.decision == SL_DEC_HOLD && r.nb_holds == 4);
	assert_true(r.differs && r.shadow.decision == SL_DEC_DENY && r.shadow.rule == -1);
	sl_policy_free(y.s);
}

/* Rules in random orders give the same verdict and the same set of rules that hold. */
static void test_order_is_nothing(void **state)
{
	static const char *const specs[] = {
	        "action: hold, kinds: [update]",
	        "action: hold, relations: [t]",
	        "action: hold, pattern: 'x = 1'",
	        "action: hold, functions: [f]",
	        "action: hold, withoutWhere: true",
	        "action: deny, relations: [secret]",
	        "action: allow, kinds: [delete]",
	        "action: log, kinds: [select]",
	        "action: hold, relations: ['t*', u]",
	        "action: deny, kinds: [drop]",
	        "action: allow, kinds: [insert], relations: [u]",
	};
	static const char *const texts[] = {
	        "SELECT * FROM t", "UPDATE t SET x = 1",  "UPDATE u SET a = 1 WHERE b",
	        "DELETE FROM u",   "SELECT f(1) FROM tt", "INSERT INTO u VALUES (1)",
	        "SELECT 1",        "DELETE FROM secret",  "UPDATE t SET x = 1 WHERE f(a)",
	        "DROP TABLE t",    "SELECT 'x",           "INSERT INTO t SELECT * FROM u",
	};
	enum {
		NB = sizeof(specs) / sizeof(specs[0]),
		TEXTS = sizeof(texts) / sizeof(texts[0])
	};
	unsigned seed = (unsigned)time(NULL);
	uint32_t want[TEXTS];

	(void)state;
	print_message("seed %u\n", seed);
	for (int round = 0; round < 60; round++) {
		int order[NB] = {0};
		char text[8192];
		size_t n = (size_t)snprintf(text, sizeof(text), "%s",
		                            RES("shop") ROLE("a", "read, update, drop"));
		struct policy y;

		for (int i = 0; i < NB; i++) {
			int j = round == 0 ? i : rand_r(&seed) % (i + 1);

			order[i] = order[j];
			order[j] = i;
		}
		for (int i = 0; i < NB; i++)
			n += (size_t)snprintf(
			        text + n, sizeof(text) - n,
			        "{kind: Rule, version: 1, metadata: {name: r%d}, spec: {%s}}\n---\n",
			        order[i], specs[order[i]]);
		y = policy_for(text, "a");
		for (int t = 0; t < TEXTS; t++) {
			struct sl_eval_result r = judge(&y, texts[t]);
			uint32_t got = (uint32_t)r.decision << NB;

			for (uint32_t i = 0; i < r.nb_holds; i++) {
				got |= 1u << order[r.holds[i]];
				assert_true(i == 0 || r.holds[i] > r.holds[i - 1]);
			}
			assert_true(r.nb_holds == 0 || r.rule == r.holds[0]);
			if (round == 0)
				want[t] = got;
			else
				assert_int_equal(got, want[t]);
		}
		sl_policy_free(y.s);
	}
}

#define P59 "a23456789b123456789c123456789d123456789e123456789f123456789"

/* Names are cut where the server cuts them, and folded as it folds them: a longer one is the same relation.
 */
static void test_long_names(void **state)
{
	struct policy y = policy_for(
	        RES("shop") ROLE("a", "any") DOC("Rule", "r", "action: deny, relations: [" P59 "xyz0]")
	                DOC("Rule", "u", "action: deny, relations: ['" P59 "xyü']")
	                        DOC("Rule", "f", "action: deny, functions: [" P59 "fun0]")
	                                DOC("Rule", "s", "action: deny, relations: [" P59 "sch0.t]"),
	        "a");

	(void)state;
	DENIED("SELECT * FROM " P59 "xyz0", 0);
	DENIED("SELECT * FROM " P59 "xyz0_and_more", 0);
	DENIED("SELECT * FROM \"" P59 "xyz0_and_more\"", 0);
	DENIED("SELECT * FROM " P59 "XYZ0ÄÖÜ", 0);
	ALLOWED("SELECT * FROM " P59 "xyz1");
	/* the character that would be cut in two goes whole: what is left is two bytes shorter than the
	 * rule's */
	DENIED("SELECT * FROM " P59 "xyü", 1);
	ALLOWED("SELECT * FROM " P59 "xyzü");
	DENIED("SELECT " P59 "fun0more(1)", 2);
	DENIED("SELECT * FROM " P59 "sch0_longer.t", 3);
	DENIED("SELECT * FROM " P59 "sch0_longer.\"t\"", 3);
	ALLOWED("SELECT * FROM " P59 "sch1_longer.t");
	sl_policy_free(y.s);
}

/* A dot in a quoted name is no dot between schema and name; a name in U&"" may be any. */
static void test_odd_names(void **state)
{
	struct policy y = policy_for(
	        RES("shop") DOC("Role", "a", "groups: [a], resources: [shop], allow: [select, admin, opaque]")
	                DOC("Rule", "w", "action: allow, kinds: [insert], relations: ['app.*']")
	                        DOC("Rule", "d", "action: deny, relations: [vault.secret]")
	                                DOC("Rule", "f", "action: deny, functions: [vault.f]"),
	        "a");

	(void)state;
	ALLOWED("INSERT INTO app.t SELECT 1");
	ALLOWED("INSERT INTO app.\"x.y\" SELECT 1");
	DEFAULT_DENY("INSERT INTO \"app.x\".t SELECT 1");
	DEFAULT_DENY("INSERT INTO \"app.t\" SELECT 1");
	DENIED("SELECT * FROM U&\"v\\0061ult\".secret", 1);
	DENIED("SELECT * FROM vault.U&\"s\\0065cret\"", 1);
	DENIED("SELECT U&\"v\\0061ult\".f()", 1);
	DENIED("WITH U&\"!0073ecret\" AS (SELECT 1) SELECT * FROM U&\"!0073ecret\" UESCAPE '!'", 1);
	ALLOWED("SELECT * FROM \"vault.secret\"");
	sl_policy_free(y.s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_long_names),
	        cmocka_unit_test(test_odd_names),
	        cmocka_unit_test(test_every_hold),
	        cmocka_unit_test(test_order_is_nothing),
	        cmocka_unit_test(test_default_deny),
	        cmocka_unit_test(test_empty_policy_denies_all),
	        cmocka_unit_test(test_precedence),
	        cmocka_unit_test(test_opaque_and_holds),
	        cmocka_unit_test(test_allow_with_pattern),
	        cmocka_unit_test(test_conditions_together),
	        cmocka_unit_test(test_names),
	        cmocka_unit_test(test_names_of_other_statements),
	        cmocka_unit_test(test_names_allow),
	        cmocka_unit_test(test_identities),
	        cmocka_unit_test(test_databases_of_a_resource),
	        cmocka_unit_test(test_broken_callers_are_denied),
	        cmocka_unit_test(test_function_call_and_incomplete),
	        cmocka_unit_test(test_columns),
	        cmocka_unit_test(test_values),
	        cmocka_unit_test(test_content),
	        cmocka_unit_test(test_detectors),
	        cmocka_unit_test(test_content_many),
	        cmocka_unit_test(test_pack_agent),
	        cmocka_unit_test(test_pack_read_only),
	        cmocka_unit_test(test_pack_no_destructive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
