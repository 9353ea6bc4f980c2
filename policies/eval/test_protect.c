/*
 * Statements under masks of columns. The catalog here is a small one of the test's own: people (id, name,
 * ssn, email, born), where mask 0 hides ssn (secret: inference is denied) and mask 1 email (inference
 * allowed); a view of both; orgs has nothing hidden. leak() and last4() are the database's own functions, the
 * masks trust last4().
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sl_protect.h"

/* ---- the catalog ---- */

#define MASK(n)                                                                                              \
	{                                                                                                    \
		{                                                                                            \
			UINT64_C(1) << (n)                                                                   \
		}                                                                                            \
	}
#define BOTH                                                                                                 \
	{                                                                                                    \
		{                                                                                            \
			3                                                                                    \
		}                                                                                            \
	}
#define NAME(s)                                                                                              \
	{                                                                                                    \
		(const uint8_t *)(s), sizeof(s) - 1                                                          \
	}

static const struct sl_catalog_column people[] = {
        {.name = NAME("id"), .type = 23, .attr = 1},
        {.name = NAME("name"), .type = 25, .attr = 2},
        {.name = NAME("ssn"), .type = 25, .attr = 3, .hidden = MASK(0)},
        {.name = NAME("email"), .type = 25, .attr = 4, .hidden = MASK(1)},
        {.name = NAME("org_id"), .type = 23, .attr = 6},
        {.name = NAME("full"), .type = 25, .attr = 7, .generated = true},
};
static const struct sl_catalog_column v_people[] = {
        {.name = NAME("id"), .type = 23, .attr = 1},
        {.name = NAME("secret_no"), .type = 25, .attr = 2, .hidden = MASK(0)},
        {.name = NAME("shout"), .type = 25, .attr = 3, .derived = MASK(1)},
};
static const struct sl_catalog_column pg_stats[] = {
        {.name = NAME("tablename"), .type = 19, .attr = 2},
        {.name = NAME("most_common_vals"), .type = 2277, .attr = 3, .derived = BOTH},
};
static const struct sl_catalog_relation relations[] = {
        {NAME("public"), NAME("people"), 1000, 6, people, BOTH},
        {NAME("public"), NAME("v_people"), 1001, 3, v_people, BOTH},
        {NAME("pg_catalog"), NAME("pg_stats"), 1002, 2, pg_stats, BOTH},
};
#define NB_RELATIONS (sizeof(relations) / sizeof(relations[0]))

static struct sl_catalog *catalog = (struct sl_catalog *)(uintptr_t)&relations; /* never looked into */

const struct sl_catalog_relation *sl_catalog_find(const struct sl_catalog *c, struct sl_span schema,
                                                  struct sl_span name, uint32_t *at)
{
	(void)c;
	while (*at < NB_RELATIONS) {
		const struct sl_catalog_relation *r = &relations[(*at)++];

		if (sl_span_eq(r->name, name) && (schema.n == 0 || sl_span_eq(r->schema, schema)))
			return r;
	}
	return NULL;
}

/* All but what is called new... */
bool sl_catalog_has(const struct sl_catalog *c, struct sl_span schema, struct sl_span name)
{
	(void)schema;
	return c != NULL && (name.n < 3 || memcmp(name.p, "new", 3) != 0);
}

bool sl_catalog_function(const struct sl_catalog *c, struct sl_span schema, struct sl_span name)
{
	(void)c;
	(void)schema;
	return sl_span_is(name, "leak") || sl_span_is(name, "last4") || sl_span_is(name, "ascii");
}

bool sl_catalog_operator(const struct sl_catalog *c, struct sl_span name)
{
	(void)c;
	return sl_span_is(name, "@@@");
}

bool sl_catalog_has_code(const struct sl_catalog *c)
{
	(void)c;
	return true;
}

/* ---- judging ---- */

static const char *trusted[] = {"last4"};
static struct sl_mask masks[2] = {
        {.name = "ssn",
         .columns = {(const char *[]){"ssn"}, 1},
         .secret = true,
         .inference = SL_INFERENCE_DENY,
         .trusted = {trusted, 1}},
        {.name = "email", .columns = {(const char *[]){"email"}, 1}, .trusted = {trusted, 1}},
};
static struct sl_snapshot snapshot = {.version = 1, .masks = masks, .nb_masks = 2};
static struct sl_principal who = {
        .snapshot_version = 1, .mask_bits = {3}, .any_mask = true, .any_column_mask = true};

/* "deny", "hold" or "allow", then marks: D derived, Q quiet, M makes, G goes on, C copy, F calls. */
static void judged(const char *text, const struct sl_catalog *c, char *out)
{
	static struct sl_sql sql;
	static struct sl_sql_uses uses;
	static struct sl_protect verdict;
	static const char *const names[] = {"allow", "deny", "hold"};
	struct sl_span t = sl_span_str(text);

	sl_sql_scan(t, &sql);
	sl_sql_uses(t, &sql, &uses);
	sl_protect_statement(&snapshot, &who, c, NULL, t, &sql, &uses, &verdict);
	if (!sl_protect_needed(&snapshot, &who, c, NULL, &sql)) {
		assert_int_equal(verdict.decision, SL_DEC_ALLOW);
		assert_int_equal(verdict.marks & ~(unsigned)SL_PROTECT_GOES_ON, 0);
	}
	out += sprintf(out, "%s", names[verdict.decision]);
	if (verdict.decision == SL_DEC_DENY) {
		assert_true(verdict.message[0] != '\0');
		return;
	}
	if (verdict.marks != 0)
		*out++ = '+';
	for (unsigned i = 0; i < 6; i++) {
		if (verdict.marks >> i & 1)
			*out++ = "DQMGCF"[i];
	}
	*out = '\0';
}

struct row {
	const char *sql, *expect;
};

/* clang-format off */
static const struct row rows[] = {
	/* What has nothing to do with it. */
	{"SELECT 1", "allow"}, {"SELECT id, name FROM orgs WHERE name = 'x'", "allow"}, {"SELECT count(*) FROM orgs", "allow"},
	{"SELECT id, name FROM people WHERE id = $1", "allow"}, {"SELECT name, count(*) FROM people WHERE id > 3 GROUP BY name", "allow"},
	{"SELECT upper(name) FROM people ORDER BY 1", "allow"}, {"SELECT p.id, o.name FROM people p JOIN orgs o ON o.id = p.org_id", "allow"},
	{"INSERT INTO people (name, ssn, email) VALUES ($1, $2, $3)", "allow+Q"}, {"INSERT INTO orgs VALUES (1)", "allow"},
	{"UPDATE people SET ssn = $1 WHERE id = 3", "allow+Q"}, {"DELETE FROM people WHERE id = 3", "allow+Q"},
	{"INSERT INTO people (id, ssn) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET ssn = excluded.ssn", "allow+Q"},
	{"BEGIN", "allow"}, {"SET search_path = x", "allow"}, {"SHOW server_version", "allow"}, {"", "allow"},
	/* The column itself. */
	{"SELECT ssn FROM people", "allow+Q"}, {"SELECT * FROM people", "allow+Q"}, {"SELECT p.* FROM people p", "allow+Q"},
	{"SELECT id, ssn, count(*) OVER () FROM people", "allow+Q"}, {"TABLE people", "allow+Q"},
	{"SELECT ssn x, upper(name) FROM people", "allow+Q"}, {"SELECT x FROM (SELECT ssn AS x FROM people) s", "allow+Q"},
	{"WITH w AS (SELECT * FROM people) SELECT ssn FROM w", "allow+Q"}, {"SELECT secret_no FROM v_people", "allow+Q"},
	/* Computed. */
	{"SELECT upper(ssn) FROM people", "allow+DQ"}, {"SELECT ssn || '' FROM people", "allow+DQ"},
	{"SELECT people FROM people", "allow+DQ"}, {"SELECT row_to_json(p) FROM people p", "allow+DQ"},
	{"SELECT row_to_json(p.*) FROM people p", "allow+DQ"}, {"SELECT array_agg(ssn) FROM people", "allow+DQ"},
	{"SELECT string_agg(ssn, ',') FROM people", "allow+DQ"}, {"SELECT p.row_to_json FROM people p", "allow+DQ"},
	{"SELECT email::text FROM people", "allow+DQ"}, {"SELECT (p).email FROM people p", "allow+DQ"},
	{"SELECT x FROM (SELECT upper(ssn) AS x FROM people) s", "allow+DQ"},
	{"SELECT ssn FROM people UNION ALL SELECT name FROM orgs", "allow+DQ"},
	{"SELECT name FROM orgs UNION ALL SELECT ssn FROM people", "allow+DQ"},
	/* Deciding. */
	{"SELECT id FROM people WHERE ssn LIKE '1%'", "deny"}, {"SELECT id FROM people WHERE email LIKE '1%'", "allow+Q"},
	{"SELECT id FROM people ORDER BY ssn", "deny"}, {"SELECT id, ssn FROM people ORDER BY 2", "deny"},
	{"SELECT id, ssn FROM people ORDER BY 1", "allow+Q"}, {"SELECT ssn FROM people GROUP BY 1", "deny"},
	{"SELECT ssn::int FROM people", "deny"}, {"SELECT CASE WHEN ssn = '1' THEN 1 END FROM people", "deny"},
	{"SELECT DISTINCT ssn FROM people", "deny"}, {"SELECT ssn FROM people INTERSECT SELECT '1'", "deny"},
	{"SELECT x FROM (SELECT ssn AS x FROM people) s WHERE x = '1'", "deny"},
	{"SELECT 1 FROM people p(a, b, c) WHERE c = '1'", "deny"}, {"SELECT 1 FROM people p(a, b, c) WHERE b = '1'", "allow"},
	{"WITH w(a, b) AS (SELECT id, ssn FROM people) SELECT a FROM w WHERE b = '1'", "deny"},
	{"SELECT 1 FROM people a NATURAL JOIN people b", "deny"}, {"SELECT 1 FROM people JOIN orgs USING (ssn)", "deny"},
	{"SELECT (SELECT ssn FROM people LIMIT 1)", "deny"}, {"SELECT 1 FROM orgs WHERE id IN (SELECT id FROM people WHERE ssn = '1')", "deny"},
	{"SELECT upper(ssn) u FROM people ORDER BY u", "deny"}, {"SELECT upper(ssn) FROM people ORDER BY upper", "deny"},
	{"SELECT 1 FROM people p WHERE p IS NULL", "deny"}, {"SELECT 1 FROM people p WHERE p::text LIKE '%1%'", "deny"},
	{"SELECT generate_series(1, ascii(ssn)) FROM people", "deny"}, {"SELECT substring(ssn, '^1') FROM people", "deny"},
	{"SELECT rank() OVER (ORDER BY ssn) FROM people", "deny"}, {"SELECT count(*) FILTER (WHERE ssn = '1') FROM people", "deny"},
	{"SELECT 1 FROM (VALUES ((SELECT ssn FROM people LIMIT 1))) v WHERE column1 = '1'", "deny"},
	{"SELECT k FROM people p, json_each_text(to_json(p)) AS e(k, v) WHERE v = '1'", "deny"},
	{"SELECT value FROM people p, json_each_text(to_json(p))", "deny"},
	/* Copies. */
	{"INSERT INTO orgs SELECT email FROM people", "deny"}, {"CREATE TABLE x AS SELECT email FROM people", "deny"},
	{"SELECT email INTO x FROM people", "deny"}, {"CREATE VIEW x AS SELECT email AS y FROM people", "deny"},
	{"UPDATE people SET name = email", "deny"}, {"UPDATE people SET (id, name) = (SELECT 1, email)", "deny"},
	{"INSERT INTO people (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = people.email", "deny"},
	{"WITH x AS (SELECT email AS y FROM people) INSERT INTO orgs SELECT y FROM x", "deny"},
	{"WITH x AS (SELECT * FROM people) INSERT INTO orgs TABLE x", "deny"},
	{"WITH RECURSIVE a AS (SELECT b.x FROM b), b AS (SELECT email AS x FROM people) INSERT INTO orgs SELECT a.x FROM a", "deny"},
	{"MERGE INTO orgs o USING people p ON o.id = p.id WHEN MATCHED THEN UPDATE SET name = p.email", "deny"},
	{"MERGE INTO orgs o USING people p ON o.id = p.id WHEN NOT MATCHED THEN INSERT (name) VALUES (p.email)", "deny"},
	{"SELECT set_config('a.b', email, false) FROM people", "deny"}, {"SELECT pg_notify('a', email) FROM people", "deny"},
	{"SELECT lo_from_bytea(0, convert_to(email, 'utf8')) FROM people", "deny"}, {"SELECT pg_sleep(ascii(email)) FROM people", "deny"},
	{"ALTER TABLE people RENAME COLUMN ssn TO x", "deny"}, {"ALTER TABLE people ADD x text GENERATED ALWAYS AS (ssn) STORED", "deny"},
	{"CREATE INDEX i ON people (left(ssn, 1))", "deny"}, {"CREATE TRIGGER t BEFORE INSERT ON people EXECUTE FUNCTION leak()", "deny"},
	{"ALTER SCHEMA public RENAME TO x", "deny"}, {"CREATE FOREIGN TABLE f (a text) SERVER s", "deny"},
	/* What is not followed. */
	{"DO $$ BEGIN END $$", "deny"}, {"CALL p()", "deny"}, {"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "deny"},
	{"SELECT query_to_xml('SELECT ssn FROM people', true, true, '')", "deny"}, {"SELECT table_to_xml('people', true, true, '')", "deny"},
	{"SELECT * FROM ts_stat('SELECT ssn::tsvector FROM people')", "deny"}, {"COPY people TO '/tmp/x'", "deny"},
	{"SELECT U&\"ss\\006e\" FROM people", "deny"}, {"SELECT 'x", "deny"}, {"EXPLAIN ANALYZE EXECUTE p", "deny"},
	/* Functions and operators of the database. */
	{"SELECT leak()", "allow+DQF"}, {"SELECT last4(name) FROM orgs", "allow"}, {"SELECT 1 WHERE leak()", "deny"},
	{"SELECT id FROM orgs o WHERE o.leak = '1'", "deny"}, {"INSERT INTO orgs SELECT leak()", "deny"},
	{"SELECT name @@@ 'x' FROM orgs", "deny"}, {"SELECT (o).leak FROM orgs o", "allow+DQF"}, {"SELECT * FROM leak()", "allow+DQF"},
	{"SELECT pg_catalog.ascii(name) FROM orgs", "allow"},
	/* Remembered. */
	{"PREPARE p AS SELECT upper(ssn) FROM people", "allow+DQM"}, {"EXECUTE p", "allow+G"}, {"FETCH ALL FROM c", "allow+G"},
	{"DECLARE c CURSOR FOR SELECT upper(ssn) FROM people", "allow+DQM"}, {"DECLARE c CURSOR FOR SELECT 1", "allow"},
	{"DECLARE c CURSOR FOR SELECT ssn FROM people", "allow+QM"}, {"DECLARE c CURSOR WITHOUT HOLD FOR SELECT ssn FROM people", "allow+QM"},
	{"DECLARE c CURSOR WITH HOLD FOR SELECT ssn FROM people", "deny"}, {"DECLARE hold NO SCROLL CURSOR WITH HOLD FOR TABLE people", "deny"},
	{"DECLARE c CURSOR WITH HOLD FOR SELECT leak()", "deny"}, {"DECLARE c CURSOR WITH HOLD FOR SELECT name FROM orgs", "allow"},
	/* COPY. */
	{"COPY people TO STDOUT", "allow+QC"}, {"COPY people (id, ssn) TO STDOUT", "allow+QC"}, {"COPY people (id) TO STDOUT", "allow"},
	{"COPY (SELECT id, ssn FROM people) TO STDOUT", "allow+QC"}, {"COPY (SELECT * FROM people) TO STDOUT", "allow+QC"},
	{"COPY orgs TO STDOUT", "allow"}, {"COPY people FROM STDIN", "allow+Q"}, {"COPY people (ssn) FROM STDIN", "allow+Q"},
	{"COPY (SELECT upper(ssn) FROM people) TO STDOUT", "allow+DQC"},
	{"COPY (SELECT name FROM orgs UNION ALL SELECT ssn FROM people) TO STDOUT", "deny"},
	{"COPY people TO STDOUT (FORMAT csv)", "allow+QC"}, {"COPY (SELECT leak()) TO STDOUT", "allow+DQCF"},
	{"COPY (SELECT * FROM leak()) TO STDOUT", "deny"}, {"COPY (SELECT name FROM (SELECT ssn AS name FROM people) s) TO STDOUT", "allow+QC"},
	{"COPY (VALUES ((SELECT email FROM people LIMIT 1))) TO STDOUT", "deny"}, {"COPY (TABLE people) TO STDOUT", "allow+QC"},
	{"COPY (DELETE FROM people RETURNING ssn) TO STDOUT", "allow+QC"}, {"COPY people FROM PROGRAM 'x'", "deny"},
	/* More ways to the same. */
	{"SELECT \"ssn\" FROM people", "allow+Q"}, {"SELECT SSN FROM People", "allow+Q"}, {"SELECT \"SSN\" FROM people", "allow"},
	{"SELECT public.people.ssn FROM public.people", "allow+Q"}, {"SELECT to_jsonb(people) FROM people", "allow+DQ"},
	{"SELECT people.* FROM people", "allow+Q"}, {"SELECT (people).* FROM people", "allow+DQ"}, {"SELECT ROW(p.*) FROM people p", "allow+DQ"},
	{"SELECT ARRAY[ssn] FROM people", "allow+DQ"}, {"SELECT concat(ssn, name) FROM people", "allow+DQ"},
	{"SELECT coalesce(ssn, '') FROM people", "allow+DQ"}, {"SELECT max(ssn) FROM people", "allow+DQ"},
	{"SELECT id, array_agg(email ORDER BY id) FROM people GROUP BY id", "allow+DQ"}, {"SELECT nullif(ssn, '1') FROM people", "deny"},
	{"SELECT left(ssn, 1), name FROM people", "allow+DQ"}, {"SELECT encode(convert_to(ssn, 'utf8'), 'hex') FROM people", "allow+DQ"},
	{"SELECT xmlelement(name a, ssn) FROM people", "allow+DQ"}, {"SELECT xmlforest(ssn) FROM people", "allow+DQ"},
	{"SELECT xmlagg(xmlelement(name a, ssn)) FROM people", "allow+DQ"}, {"SELECT json_object_agg(id, ssn) FROM people", "allow+DQ"},
	{"SELECT ssn FROM people UNION SELECT 'x'", "deny"}, {"SELECT email FROM people UNION SELECT 'x'", "allow+DQ"},
	{"(SELECT ssn FROM people) ORDER BY 1", "deny"}, {"(SELECT ssn FROM people) EXCEPT (SELECT '1')", "deny"},
	{"SELECT ssn AS id FROM people ORDER BY id", "deny"}, {"SELECT x.a FROM (TABLE people) x(a, b, c) WHERE x.c = '1'", "deny"},
	{"SELECT s.a FROM (SELECT * FROM people) s(z, b, a) WHERE s.a > '1'", "deny"}, {"SELECT j.ssn FROM (people p CROSS JOIN orgs o) j", "allow+Q"},
	{"SELECT 1 FROM (people p CROSS JOIN orgs o) j WHERE j.ssn = '1'", "deny"}, {"SELECT 1 FROM people p, LATERAL (SELECT p.ssn AS q) l WHERE q = '1'", "deny"},
	{"SELECT 1 FROM people p, LATERAL (VALUES (p.ssn)) v(q) WHERE q = '1'", "deny"}, {"SELECT u FROM people p, unnest(ARRAY[p.email]) u", "allow+DQ"},
	{"SELECT 1 FROM people p, unnest(ARRAY[p.ssn]) u WHERE u = '1'", "deny"}, {"SELECT id FROM people GROUP BY id HAVING max(ssn) > '5'", "deny"},
	{"SELECT id FROM people GROUP BY ROLLUP (id, ssn)", "deny"}, {"SELECT id, ssn FROM people GROUP BY GROUPING SETS (1, (2))", "deny"},
	{"SELECT DISTINCT ON (ssn) id FROM people", "deny"}, {"SELECT id FROM people LIMIT (SELECT ascii(ssn) FROM people LIMIT 1)", "deny"},
	{"SELECT id FROM people WINDOW w AS (ORDER BY ssn)", "deny"}, {"SELECT lag(email) OVER (ORDER BY id) FROM people", "allow+DQ"},
	{"SELECT id FROM people WHERE EXISTS (SELECT 1 FROM people q WHERE q.ssn = '1')", "deny"}, {"SELECT ssn IS NULL FROM people", "deny"},
	{"SELECT ssn = ANY (ARRAY['1']) FROM people", "deny"}, {"SELECT ssn ISNULL FROM people", "deny"}, {"SELECT id = 1 AND ssn > '2' FROM people", "deny"},
	{"SELECT 1 OPERATOR(pg_catalog.+) email x FROM people", "allow+DQ"}, {"SELECT CAST(email AS int) FROM people", "allow+DQ"},
	{"SELECT ((SELECT 1) UNION ALL (SELECT ssn FROM people))", "deny"}, {"SELECT (SELECT email FROM people LIMIT 1) AS x", "allow+DQ"},
	{"SELECT y.x FROM (SELECT (SELECT ssn FROM people LIMIT 1) AS x) y", "deny"}, {"SELECT 1/length(ssn) FROM people", "deny"},
	{"SELECT \"?column?\" FROM (SELECT email || '' FROM people) s", "allow+DQ"}, {"INSERT INTO orgs SELECT \"?column?\" FROM (SELECT email || '' FROM people) s", "deny"},
	{"INSERT INTO orgs SELECT u.upper FROM (SELECT upper(email) FROM people) u", "deny"}, {"INSERT INTO orgs SELECT column1 FROM (VALUES ((SELECT email FROM people))) v", "deny"},
	{"INSERT INTO orgs SELECT x FROM (SELECT email x FROM people) s", "deny"}, {"INSERT INTO orgs (SELECT email FROM people)", "deny"},
	{"INSERT INTO orgs VALUES ((SELECT email FROM people LIMIT 1))", "deny"}, {"INSERT INTO orgs SELECT s FROM people s", "deny"},
	{"INSERT INTO orgs SELECT s.text FROM (SELECT email FROM people) s(text)", "deny"}, {"UPDATE orgs SET name = p.email FROM people p", "deny"},
	{"UPDATE orgs SET name = (SELECT email FROM people LIMIT 1)", "deny"}, {"UPDATE orgs SET (id, name) = (SELECT id, email FROM people LIMIT 1)", "deny"},
	{"WITH d AS (DELETE FROM people RETURNING email AS e) INSERT INTO orgs SELECT e FROM d", "deny"},
	{"WITH d AS (DELETE FROM people RETURNING *) SELECT email FROM d", "allow+Q"}, {"UPDATE people SET name = 'x' RETURNING ssn", "allow+Q"},
	{"DELETE FROM people USING orgs WHERE people.ssn = orgs.name", "deny"}, {"UPDATE people SET name = 'x' WHERE ssn > '5'", "deny"},
	{"WITH RECURSIVE r(n, s) AS (SELECT 1, ssn FROM people UNION ALL SELECT n + 1, s FROM r WHERE n < 3) SELECT n FROM r WHERE s = '1'", "deny"},
	{"WITH a AS (SELECT ssn AS b FROM people), c AS (SELECT b AS d FROM a) SELECT 1 FROM c WHERE d = '1'", "deny"},
	{"WITH w AS (SELECT leak() AS x) INSERT INTO orgs SELECT x FROM w", "deny"}, {"CREATE TABLE x AS WITH w AS (SELECT * FROM people) TABLE w", "deny"},
	{"CREATE MATERIALIZED VIEW m AS SELECT p FROM people p", "deny"}, {"CREATE VIEW v AS SELECT id FROM people WHERE ssn > '1'", "deny"},
	{"CREATE TABLE x AS SELECT id, name FROM people", "allow"}, {"ALTER TABLE x ATTACH PARTITION people DEFAULT", "deny"},
	{"ALTER VIEW v_people RENAME COLUMN secret_no TO x", "deny"}, {"CREATE OPERATOR === (FUNCTION = f, LEFTARG = text)", "deny"},
	{"CREATE CAST (text AS x) WITH INOUT", "deny"}, {"CREATE EXTENSION dblink", "deny"}, {"CREATE USER MAPPING FOR x SERVER s", "deny"},
	{"IMPORT FOREIGN SCHEMA a FROM SERVER b INTO c", "deny"}, {"ALTER TYPE t RENAME ATTRIBUTE a TO b", "deny"}, {"DROP TABLE people", "allow+Q"},
	{"CLUSTER people USING i", "deny"}, {"VACUUM people", "allow"}, {"SELECT dblink_exec('a', 'b')", "deny"}, {"CREATE RULE r AS ON SELECT TO x DO INSTEAD SELECT * FROM people", "deny"},
	{"SELECT pg_read_file('base/1/1')", "deny"}, {"SELECT * FROM pg_logical_slot_peek_changes('s', NULL, NULL)", "deny"}, {"SELECT lo_import('/x')", "deny"},
	{"SELECT \"query_to_xml\"('x', true, true, '')", "deny"}, {"SELECT pg_catalog.database_to_xml(true, true, '')", "deny"}, {"SELECT query FROM pg_stat_get_activity(NULL)", "deny"},
	{"SELECT pg_advisory_lock(ascii(email)) FROM people", "deny"}, {"SELECT setval('s', ascii(email)) FROM people", "deny"}, {"SELECT nextval('s')", "allow"},
	{"SELECT name::leak FROM orgs", "deny"}, {"SELECT CAST(name AS leak) FROM orgs", "deny"}, {"SELECT collation for (ssn) FROM people", "deny"},
	{"SELECT 1 FROM orgs ORDER BY leak()", "deny"}, {"SELECT s.leak FROM (SELECT 1) s", "allow"}, {"SELECT id FROM people FOR UPDATE OF people", "allow"},
	{"SELECT 1; SELECT id FROM people WHERE ssn = '1'", "deny"}, {"SELECT ssn FROM people; SELECT id FROM orgs WHERE ssn = '1'", "allow+Q"},
	/* What the catalog shows, and plans. */
	{"SELECT * FROM pg_stats", "allow+Q"}, {"SELECT unnest(most_common_vals) FROM pg_stats", "deny"},
	{"EXPLAIN SELECT * FROM people WHERE ssn = '1'", "deny"}, {"EXPLAIN SELECT * FROM people WHERE email = '1'", "allow+DQ"},
	{"EXPLAIN SELECT ssn FROM people", "allow+Q"},
	/* Relations that the catalog does not know. */
	{"SELECT a FROM new_one", "allow+Q"}, {"SELECT * FROM new_one", "allow+Q"}, {"SELECT upper(a) FROM new_one", "allow+DQ"},
	{"SELECT n FROM new_one n", "allow+DQ"}, {"SELECT row_to_json(n) FROM s.new_one n", "allow+DQ"}, {"SELECT count(*) FROM new_one", "allow"},
	{"SELECT 1 FROM new_one WHERE a = '1'", "deny"}, {"SELECT o.id FROM orgs o JOIN new_one n ON n.a = o.id", "deny"},
	{"SELECT x FROM (SELECT a || '' AS x FROM new_one) q", "allow+DQ"}, {"SELECT q.b FROM new_one q (a, b) ORDER BY b", "deny"},
	{"WITH w AS (TABLE new_one) SELECT w FROM w", "allow+DQ"}, {"INSERT INTO orgs SELECT a FROM new_one", "deny"},
	{"CREATE TABLE x AS TABLE new_one", "deny"}, {"CREATE VIEW x AS SELECT a FROM new_one", "deny"}, {"SELECT a INTO x FROM new_one", "deny"},
	{"INSERT INTO new_one VALUES (1)", "allow+Q"}, {"INSERT INTO new_one VALUES (1) RETURNING upper(a)", "allow+DQ"},
	{"UPDATE new_one SET a = b", "deny"}, {"UPDATE new_one SET a = 1", "allow+Q"}, {"DELETE FROM new_one RETURNING a || ''", "allow+DQ"},
	{"COPY new_one TO STDOUT", "deny"}, {"COPY new_one (a, b) TO STDOUT", "allow+QC"}, {"COPY (SELECT * FROM new_one) TO STDOUT", "deny"},
	{"COPY (SELECT a FROM new_one) TO STDOUT", "allow+QC"}, {"COPY new_one FROM STDIN", "allow+Q"}, {"DROP TABLE new_one", "allow"},
	{"CREATE TABLE new_one (a int)", "allow"}, {"ALTER TABLE new_one ADD b int", "allow"}, {"CREATE INDEX ON new_one (a)", "allow"},
	{"SELECT (SELECT a FROM new_one)", "deny"}, {"WITH new_one AS (SELECT 1 AS a) SELECT upper(a) FROM new_one", "allow"},
	{"CREATE TEMP TABLE new_one (a int); SELECT upper(a) FROM new_one WHERE a = 1", "allow"},
	{"CREATE TABLE IF NOT EXISTS new_one (a int); SELECT upper(a) FROM new_one", "allow+DQ"},
	{"SELECT 1 AS a INTO new_one; SELECT upper(a) FROM new_one", "allow"}, {"CREATE LOCAL TEMP TABLE new_one AS TABLE orgs; SELECT upper(a) FROM new_one", "allow"},
	{"SELECT upper(a) FROM new_one; CREATE TABLE new_one (a int)", "allow+DQ"}, {"CREATE INDEX ON new_one (a); SELECT upper(a) FROM new_one", "allow+DQ"},
	{"CREATE TABLE new_two (a int REFERENCES new_one); SELECT upper(a) FROM new_one", "deny"},
	{"CREATE TABLE s.new_one (a int); SELECT upper(a) FROM new_one", "allow+DQ"}, {"CREATE TABLE new_one (a int); DROP TABLE new_one; SELECT upper(a) FROM new_one", "allow+DQ"},
	{"CREATE TABLE new_one (a int); ROLLBACK; SELECT upper(a) FROM new_one", "allow+DQ"}, {"BEGIN; CREATE TABLE new_one (a int); SELECT upper(a) FROM new_one", "allow"},
	{"CREATE TABLE new_one (LIKE orgs); SET search_path = x; SELECT upper(a) FROM new_one", "allow+DQ"},
	/* EXISTS looks at no column. */
	{"SELECT EXISTS (SELECT * FROM people WHERE id = 1)", "allow+Q"}, {"SELECT id FROM orgs o WHERE EXISTS (SELECT * FROM people p WHERE p.org_id = o.id)", "allow+Q"},
	{"SELECT id FROM orgs WHERE NOT EXISTS (SELECT * FROM people)", "allow+Q"}, {"SELECT exists (select * from v_people)", "allow+Q"},
	{"INSERT INTO orgs SELECT 1 WHERE NOT EXISTS (SELECT * FROM people WHERE id = 1)", "allow+Q"},
	{"SELECT EXISTS (SELECT * FROM people WHERE ssn = '1')", "deny"}, {"SELECT EXISTS (SELECT * FROM people INTERSECT SELECT 1, '1')", "deny"},
	{"SELECT EXISTS (SELECT * FROM people EXCEPT SELECT 1, '1')", "deny"}, {"SELECT EXISTS (SELECT DISTINCT * FROM people OFFSET 1)", "deny"},
	{"SELECT EXISTS (SELECT * FROM people ORDER BY 3 OFFSET 1)", "deny"}, {"SELECT EXISTS (SELECT * FROM people GROUP BY 3 OFFSET 1)", "deny"},
	{"SELECT EXISTS (SELECT * FROM people GROUP BY ssn OFFSET 1)", "deny"}, {"SELECT EXISTS (SELECT * FROM people NATURAL JOIN orgs)", "deny"},
	{"SELECT EXISTS (SELECT * FROM (SELECT DISTINCT ssn FROM people) q OFFSET 1)", "deny"}, {"SELECT EXISTS (SELECT * FROM (TABLE people INTERSECT TABLE orgs) q)", "deny"},
	{"SELECT EXISTS (SELECT * FROM (SELECT * FROM people) q WHERE q.ssn = '1')", "deny"}, {"SELECT EXISTS (SELECT * FROM people p WHERE p IS NULL)", "deny"},
	{"SELECT EXISTS ((SELECT * FROM people) INTERSECT SELECT 1, '1')", "deny"}, {"SELECT EXISTS (SELECT ssn::int FROM people)", "deny"},
	{"SELECT EXISTS (SELECT *, ssn::int FROM people)", "deny"}, {"SELECT EXISTS (SELECT * FROM leak())", "deny"},
	{"SELECT EXISTS (WITH w AS (SELECT DISTINCT ssn FROM people) SELECT * FROM w)", "deny"}, {"SELECT \"exists\" FROM people WHERE id IN (SELECT * FROM people)", "deny"},
	{"SELECT id FROM orgs WHERE id IN (SELECT * FROM people)", "deny"}, {"SELECT x FROM (SELECT EXISTS (SELECT * FROM people) x) q WHERE x", "deny"},
	{"SELECT count(*) FROM people WHERE (SELECT * FROM people) IS NULL", "deny"}, {"SELECT EXISTS (SELECT * FROM people UNION ALL SELECT * FROM people)", "deny"},
	/* dblink, in every form. */
	{"SELECT dblink('c', 'q')", "deny"}, {"SELECT * FROM dblink('c', 'q') AS t (x text)", "deny"}, {"SELECT x FROM dblink('q') t (x text)", "deny"},
	{"SELECT t.x || '' FROM public.dblink('c', 'q') AS t (x text)", "deny"}, {"SELECT 1 FROM dblink('q') AS t (x text) WHERE x = '1'", "deny"},
	{"SELECT * FROM dblink_fetch('c', 10) AS t (x text)", "deny"}, {"SELECT * FROM dblink_get_result('c') AS t (x text)", "deny"},
	{"WITH w AS (SELECT * FROM dblink('q') AS t (x text)) SELECT x FROM w", "deny"}, {"SELECT (SELECT x FROM dblink('q') AS t (x text))", "deny"},
	{"INSERT INTO orgs SELECT * FROM dblink('q') AS t (x text)", "deny"}, {"CREATE TABLE x AS SELECT * FROM dblink('q') AS t (x text)", "deny"},
	{"COPY (SELECT * FROM dblink('q') AS t (x text)) TO STDOUT", "deny"}, {"COPY (SELECT x FROM dblink('q') AS t (x text)) TO STDOUT", "deny"},
	{"SELECT dblink_build_sql_insert('people', '1', 1, '{1}', '{1}')", "deny"}, {"SELECT * FROM dblink_get_notify()", "deny"},
	{"SELECT dblink_open('c', 'q')", "deny"}, {"SELECT dblink_send_query('c', 'q')", "deny"}, {"SELECT dblink_error_message('c')", "deny"},
	{"SELECT x FROM orgs, LATERAL dblink(orgs.name) AS t (x text)", "deny"}, {"SELECT * FROM ROWS FROM (dblink('q') AS (x text)) r", "deny"},
};
/* clang-format on */

static void test_statements(void **state)
{
	unsigned bad = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char is[64];

		judged(rows[i].sql, catalog, is);
		if (strcmp(is, rows[i].expect) != 0) {
			print_error("%s\n  is %s, expected %s\n", rows[i].sql, is, rows[i].expect);
			bad++;
		}
	}
	assert_int_equal(bad, 0);
}

static void test_no_catalog(void **state)
{
	char is[64];

	(void)state;
	judged("SELECT 1", NULL, is);
	assert_string_equal(is, "allow");
	judged("SELECT * FROM orgs", NULL, is);
	assert_string_equal(is, "deny");
	judged("SELECT leak()", NULL, is);
	assert_string_equal(is, "deny");
}

/* Names given to names, more of them than are followed: refused, and soon. */
static void test_too_much(void **state)
{
	static char text[60000];
	char is[64];
	int n = sprintf(text, "SELECT 1 FROM people p WHERE ");

	(void)state;
	for (int i = 0; i < 1000; i++)
		n += sprintf(text + n, "p.c%d = 1 AND ", i);
	(void)sprintf(text + n, "true");
	judged(text, catalog, is);
	assert_string_equal(is, "deny");
	n = sprintf(text, "WITH a0 AS (SELECT ssn AS x FROM people)");
	for (int i = 1; i < 40; i++)
		n += sprintf(text + n, ", a%d AS (SELECT * FROM a%d CROSS JOIN a0)", i, i - 1);
	(void)sprintf(text + n, " SELECT 1 FROM a39 WHERE x = '1'");
	judged(text, catalog, is);
	assert_string_equal(is, "deny");
	n = sprintf(text, "SELECT ");
	for (int i = 0; i < 2100; i++)
		n += sprintf(text + n, "c%d, ", i);
	(void)sprintf(text + n, "1 FROM orgs");
	judged(text, catalog, is);
	assert_string_equal(is, "deny");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_statements),
	        cmocka_unit_test(test_no_catalog),
	        cmocka_unit_test(test_too_much),
	};

	return cmocka_run_group_tests_name("protect", tests, NULL, NULL);
}
