/* Statements and what they are. Names like P16 are those of the catalogue of attacks that the project holds
 * against. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sl_sql.h"
#include "sql_lex_priv.h"

struct row {
	const char *sql;
	const char *kinds; /* per statement, "a+b; c"; '!' behind: no_where */
};

/* clang-format off */
static const struct row plain[] = {
	{"", "empty"}, {"  \n", "empty"}, {";", "empty"}, {"-- c", "empty"}, {"/* c */ ;;", "empty"},
	{"SELECT 1", "select"}, {"select 1;", "select"}, {"SeLeCt 1; ;", "select"}, {"VALUES (1)", "select"},
	{"TABLE t", "select"}, {"(SELECT 1)", "select"}, {"((SELECT 1) UNION (SELECT 2))", "select"},
	{"(SELECT 1) UNION SELECT 2", "select"}, {"WITH a AS (SELECT 1) SELECT * FROM a", "select"},
	{"SELECT * FROM t FOR UPDATE", "select"}, {"SELECT * FROM t FOR NO KEY UPDATE OF t", "select"},
	{"SELECT update, delete FROM perms", "select"}, {"SELECT insert, delete FROM perms WHERE insert", "select"},
	{"SELECT f(update) FROM t", "select"}, {"SELECT a AS into FROM t", "select"}, {"SELECT t.into FROM t", "select"},
	{"SELECT * FROM t WHERE note = 'DROP TABLE x; DELETE FROM y'", "select"},
	{"SELECT \"delete\" FROM \"drop\"", "select"}, {"SELECT 1 -- ; DROP TABLE x", "select"},
	{"SELECT * FROM a JOIN b ON a.x = b.x, LATERAL f(a.y)", "select"}, {"CREATE SEQUENCE s AS bigint", "create"},
	{"INSERT INTO t VALUES (1)", "insert"}, {"SELECT 1; DROP", "select; drop+opaque"}, {"DROP; SELECT 1", "drop+opaque"}, {"INSERT INTO t (update, delete) VALUES (1, 2)", "insert"},
	{"INSERT INTO t SELECT * FROM u", "insert+select"}, {"INSERT INTO t DEFAULT VALUES RETURNING *", "insert"},
	{"INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING", "insert"},
	{"INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 2", "insert+update"},
	{"UPDATE t SET a = 1 WHERE b = 2", "update"}, {"UPDATE t SET a = 1", "update!"},
	{"UPDATE ONLY t AS x SET a = 1", "update!"}, {"UPDATE t SET a = 1 WHERE CURRENT OF c", "update"},
	{"UPDATE t SET a = (SELECT b FROM u WHERE u.id = 1)", "update+select!"},
	{"UPDATE t SET a = 1 FROM u WHERE t.id = u.id", "update"},
	{"DELETE FROM t WHERE a", "delete"}, {"DELETE FROM t", "delete!"}, {"DELETE FROM ONLY t", "delete!"},
	{"DELETE FROM t USING u WHERE t.a = u.a", "delete"}, {"delete from t where true", "delete"},
	{"MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN UPDATE SET b = 1 WHEN NOT MATCHED THEN INSERT VALUES (1)",
	 "merge+update+insert"},
	{"MERGE INTO t USING u ON a = b WHEN MATCHED THEN DELETE", "merge+delete"},
	{"MERGE INTO t USING u ON a = b WHEN MATCHED THEN DO NOTHING", "merge"},
	{"TRUNCATE t", "truncate"}, {"TRUNCATE TABLE a, b CASCADE", "truncate"},
	{"CREATE TABLE t (a int, update int, delete text)", "create"}, {"CREATE TABLE t (update int, a int)", "create"},
	{"CREATE TABLE t (a int REFERENCES u ON DELETE CASCADE ON UPDATE SET NULL)", "create"},
	{"CREATE TABLE t AS SELECT * FROM u", "create+select"}, {"CREATE TABLE t AS TABLE u", "create+select"},
	{"CREATE TABLE t AS EXECUTE p", "create+execute+opaque"}, {"CREATE VIEW v AS SELECT 1", "create+select"},
	{"CREATE VIEW v AS WITH a AS (SELECT 1) SELECT * FROM a", "create+select"},
	{"CREATE INDEX i ON t (lower(a)) WHERE b", "create"}, {"CREATE INDEX role ON t (a)", "create"},
	{"CREATE TRIGGER x BEFORE UPDATE OR DELETE ON t EXECUTE FUNCTION f()", "create"},
	{"CREATE POLICY p ON t FOR UPDATE USING (a)", "create"},
	{"CREATE FUNCTION f() RETURNS int AS $$ DELETE FROM t; $$ LANGUAGE sql", "create+opaque"},
	{"CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC DELETE FROM t; SELECT 1; END; SELECT 2",
	 "create+delete+select+opaque!; select"},
	{"CREATE PROCEDURE p() LANGUAGE sql AS 'DELETE FROM t'", "create+opaque"},
	{"CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM u; UPDATE v SET b = 1 WHERE a)",
	 "create+delete+update+opaque!"},
	{"CREATE EXTENSION dblink", "create+admin"}, {"CREATE ROLE x", "create+grant"}, {"CREATE USER x", "create+grant"},
	{"CREATE SCHEMA s CREATE TABLE t (a int) GRANT SELECT ON t TO u", "create+grant"},
	{"CREATE TRUSTED PROCEDURAL LANGUAGE x", "create+admin"}, {"CREATE DATABASE d", "create+admin"},
	{"CREATE EVENT TRIGGER x ON ddl_command_end EXECUTE FUNCTION f()", "create+admin"},
	{"ALTER TABLE t ADD COLUMN a int", "alter"}, {"ALTER TABLE t DROP COLUMN a", "alter"},
	{"ALTER SYSTEM SET log_statement = 'all'", "alter+admin"}, {"ALTER ROLE x SUPERUSER", "alter+grant"},
	{"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO x", "alter+grant"},
	{"ALTER DATABASE d SET standard_conforming_strings = off", "alter+admin"},
	{"COMMENT ON TABLE t IS 'x'", "alter"}, {"SECURITY LABEL ON TABLE t IS 'x'", "alter"}, {"REINDEX TABLE t", "alter"},
	{"DROP TABLE t", "drop"}, {"DROP OWNED BY x", "drop+grant"}, {"drop database d", "drop+admin"},
	{"IMPORT FOREIGN SCHEMA a FROM SERVER b INTO c", "create+admin"},
	{"GRANT UPDATE, DELETE ON t TO x", "grant"}, {"GRANT SELECT (a) ON t TO x", "grant"}, {"REVOKE ALL ON t FROM x", "grant"},
	{"REASSIGN OWNED BY a TO b", "grant"},
	{"SET datestyle TO ISO", "set"}, {"SET LOCAL search_path = a", "set"}, {"RESET ALL", "set"}, {"DISCARD ALL", "set"},
	{"SET ROLE x", "set+admin"}, {"SET SESSION AUTHORIZATION x", "set+admin"}, {"SET", "set+opaque"}, {"SET 'x' = 1", "set+opaque"},
	{"SET LOCAL \"role\" TO x", "set+admin"}, {"SET Session_Authorization = x", "set+admin"}, {"SET LOCAL SESSION AUTHORIZATION x", "set+admin"},
	{"RESET ROLE", "set"}, {"RESET SESSION AUTHORIZATION", "set"}, {"SET my.role = x", "set"},
	{"SET standard_conforming_strings = on", "set"}, {"SET standard_conforming_strings TO 'TRUE';", "set"},
	{"SET standard_conforming_strings TO DEFAULT", "set"}, {"RESET standard_conforming_strings", "set"},
	{"SET Standard_Conforming_Strings = off", "set+opaque"}, {"SET LOCAL standard_conforming_strings TO 'o'", "set+opaque"},
	{"SET standard_conforming_strings TO E'on'", "set+opaque"}, {"SET standard_conforming_strings = on, off", "set+opaque"},
	{"SET U&\"role\" = x", "set+admin+opaque"}, {"SET \"a\"\"b\" = 1", "set+opaque"},
	{"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "transaction"}, {"SET LOCAL TRANSACTION READ ONLY", "transaction"},
	{"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "transaction"},
	{"SET CONSTRAINTS ALL DEFERRED", "transaction"}, {"SET transaction = 1", "set"},
	{"SHOW ALL", "show"}, {"SHOW search_path", "show"},
	{"BEGIN", "transaction"}, {"BEGIN ISOLATION LEVEL SERIALIZABLE", "transaction"}, {"START TRANSACTION", "transaction"},
	{"COMMIT", "transaction"}, {"END", "transaction"}, {"ROLLBACK TO SAVEPOINT x", "transaction"}, {"ABORT", "transaction"},
	{"SAVEPOINT x", "transaction"}, {"RELEASE x", "transaction"}, {"COMMIT PREPARED 'x'", "transaction"},
	{"PREPARE TRANSACTION 'x'", "transaction"}, {"PREPARE transaction AS DELETE FROM t", "prepare+delete!"},
	{"DEALLOCATE ALL", "execute"}, {"FETCH 10 FROM c", "cursor"}, {"MOVE c", "cursor"}, {"CLOSE ALL", "cursor"},
	{"DECLARE c CURSOR FOR SELECT 1", "cursor+select"}, {"DECLARE c CURSOR WITH HOLD FOR TABLE t", "cursor+select"},
	{"DECLARE c CURSOR", "cursor+opaque"},
	{"LISTEN x", "listen"}, {"UNLISTEN *", "listen"}, {"NOTIFY x, 'y'", "listen"}, {"LOCK TABLE t", "lock"},
	{"VACUUM (ANALYZE) t", "maintain"}, {"ANALYZE t", "maintain"}, {"CLUSTER t", "maintain"}, {"CHECKPOINT", "maintain"},
	{"REFRESH MATERIALIZED VIEW v", "maintain"}, {"LOAD 'x'", "admin"}, {"CALL p()", "call+opaque"},
	{"COPY t FROM STDIN", "copy-from"}, {"COPY t (a, b) TO STDOUT WITH (FORMAT csv)", "copy-to"},
	{"COPY t TO STDIN", "copy-to"}, {"COPY (SELECT 1) TO STDOUT", "copy-to+select"}, {"COPY public.from FROM STDIN", "copy-from"},
	{"COPY t FROM '/etc/passwd'", "copy-server"}, {"COPY BINARY t FROM STDIN", "copy-from"}, {"COPY t", "opaque"},
	{"COPY \"from\" TO 'x'", "copy-server"}, {"COPY t FROM STDIN WHERE a > 1", "copy-from"},
	{"FOO BAR", "opaque"}, {"START_REPLICATION SLOT x", "opaque"}, {"1", "opaque"}, {"'x'", "opaque"}, {"\"select\" 1", "opaque"},
	{"EXPLAIN SELECT 1", "explain"}, {"EXPLAIN DELETE FROM t", "explain"}, {"EXPLAIN VERBOSE DELETE FROM t", "explain"},
	{"EXPLAIN (COSTS off) UPDATE t SET a = 1", "explain"}, {"EXPLAIN (SELECT 1)", "explain"}, {"EXPLAIN", "explain+opaque"},
	{"EXPLAIN SELECT pg_read_file('x')", "explain+admin"}, {"EXPLAIN FOO", "explain+opaque"},
};

static const struct row attacks[] = {
	/* P15: several statements */
	{"SELECT 1; DROP TABLE x", "select; drop"}, {"SELECT 1;DELETE FROM t;SELECT 2", "select; delete!; select"},
	{"SELECT ';'; DROP TABLE x", "select; drop"}, {"SELECT 1 /* ; */; DROP TABLE x", "select; drop"},
	{"SELECT 1 --\n; DROP TABLE x", "select; drop"}, {"SELECT 1 --\r; DROP TABLE x", "select; drop"},
	{"BEGIN; DELETE FROM t; COMMIT", "transaction; delete!; transaction"},
	/* P16: the same tokens as the server */
	{"SELECT 1 /* /* */ ; DROP TABLE x -- */", "select"},
	{"SELECT 1 /* /* */ ; DROP TABLE x", "select+opaque"},
	{"SELECT 1 /* /* */ */ ; DROP TABLE x", "select; drop"}, {"/* /**/ */ DROP TABLE x", "drop"},
	{"/*/**/*/ DROP TABLE x", "drop"}, {"/**/DROP/**/TABLE/**/x", "drop"}, {"SELECT 1 /*", "select+opaque"},
	{"SELECT $$ ; DROP TABLE x; $$", "select"}, {"SELECT $a$ $$ ; DELETE $b$ $a$; DROP TABLE x", "select; drop"},
	{"SELECT $a$ x $a; DROP TABLE x $a$", "select"}, {"SELECT $$ $a$; DROP TABLE x", "select+opaque"},
	{"SELECT a$$; DROP TABLE x; $$", "select; drop; opaque"}, {"SELECT $1$$;$$; DROP TABLE x", "select; drop"},
	{"SELECT $1; DROP TABLE x", "select; drop"}, {"SELECT $\xc3\xa9$ ; $\xc3\xa9$; DROP TABLE x", "select; drop"},
	{"SELECT E'\\'; DROP TABLE x; --'", "select"}, {"SELECT '\\'; DROP TABLE x; --'", "select; drop"},
	{"SELECT e'\\\\'; DROP TABLE x", "select; drop"}, {"SELECT E'''\\''; DROP TABLE x --'", "select; drop"},
	{"SELECT ''''; DROP TABLE x", "select; drop"}, {"SELECT 'a''; DROP TABLE x; --'", "select"},
	{"SELECT 'a'\n'b; DROP TABLE x'", "select"}, {"SELECT E'a'\n'\\'; DROP TABLE x; --'", "select"},
	{"SELECT E'a' '\\'; DROP TABLE x; --'", "select; drop"}, {"SELECT E'a' -- c\n'\\'; DROP TABLE x; --'", "select"},
	{"SELECT E'a' /* c */\n'\\'; DROP TABLE x; --'", "select; drop"},
	{"SELECT U&'\\'; DROP TABLE x; --'", "select; drop"}, {"SELECT U&'d\\0061t\\+000061'", "select"},
	{"SELECT u&\"\\0061\" FROM t", "select+admin"}, {"SELECT B'01'; DROP TABLE x", "select; drop"},
	{"SELECT X'1F'; DROP TABLE x", "select; drop"}, {"SELECT N'\\'; DROP TABLE x", "select; drop"},
	{"SELECT ee'\\'; DROP TABLE x; --'", "select; drop"}, {"SELECT 1e'\\'; DROP TABLE x; --'", "select"},
	{"SELECT \"a\"\"; DROP TABLE x; --\"", "select"}, {"SELECT \"a", "select+opaque"}, {"SELECT 'a", "select+opaque"},
	{"SELECT E'a\\'", "select+opaque"}, {"SELECT $a$ x", "select+opaque"}, {"SELECT $a x", "select+opaque"},
	{"SELECT 1 \\; DROP TABLE x", "select+opaque"}, {"SELECT {1}", "select+opaque"}, {"DELETE\vFROM t", "delete+opaque!"},
	{"SELECT 1+--x\n2; DROP TABLE x", "select; drop"}, {"SELECT 1 */* c */ 2; DROP TABLE x", "select; drop"},
	{"SELECT 1 -/*-*/- 2; DROP TABLE x", "select; drop"}, {"SELECT 1.; DROP TABLE x", "select; drop"},
	{"SELECT 1FROM t; DROP TABLE x", "select; drop"}, {"SELECT x\xa0y; DROP TABLE x", "select; drop"},
	{"SELECT (1; DROP TABLE x", "select+opaque"}, {"SELECT 1); DROP TABLE x", "select+opaque"}, {"SELECT (1", "select+opaque"},
	/* P17: statements inside of statements */
	{"DO $$ BEGIN DELETE FROM t; END $$", "do+opaque"}, {"do language plpgsql 'x'", "do+opaque"},
	{"EXECUTE p(1)", "execute+opaque"}, {"PREPARE p AS DELETE FROM t", "prepare+delete!"},
	{"PREPARE p (int) AS SELECT $1", "prepare+select"}, {"PREPARE p AS WITH a AS (DELETE FROM t RETURNING *) SELECT 1",
	 "prepare+delete+select!"}, {"PREPARE p", "prepare+opaque"},
	{"EXPLAIN ANALYZE DELETE FROM t", "explain+delete!"}, {"EXPLAIN ANALYSE VERBOSE UPDATE t SET a = 1 WHERE b", "explain+update"},
	{"EXPLAIN (ANALYZE) DELETE FROM t", "explain+delete!"}, {"EXPLAIN (COSTS off, analyze true) INSERT INTO t VALUES (1)",
	 "explain+insert"}, {"EXPLAIN (\"analyze\") DELETE FROM t", "explain+delete!"},
	{"EXPLAIN (U&\"\\0061nalyze\") DELETE FROM t", "explain+delete+admin!"},
	{"EXPLAIN (VERBOSE, FORMAT json, ANALYZE 1) SELECT 1", "explain+select"}, {"EXPLAIN ANALYZE (SELECT 1)", "explain+select"},
	{"EXPLAIN ANALYZE EXECUTE p", "explain+execute+opaque"}, {"EXPLAIN ANALYZE CREATE TABLE x AS SELECT 1", "explain+create+select"},
	{"EXPLAIN/**/ANALYZE/**/DELETE FROM t", "explain+delete!"}, {"EXPLAIN ANALYZE WITH a AS (SELECT 1) DELETE FROM t",
	 "explain+select+delete!"},
	{"WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a", "delete+select!"},
	{"WITH a AS (DELETE FROM t WHERE b RETURNING *) SELECT * FROM a", "delete+select"},
	{"WITH a AS MATERIALIZED (UPDATE t SET b = 1 RETURNING *) SELECT * FROM a WHERE c", "update+select!"},
	{"WITH a AS NOT MATERIALIZED (SELECT 1), b AS (INSERT INTO t SELECT 1) SELECT 1", "select+insert"},
	{"WITH a AS (WITH b AS (DELETE FROM t) SELECT 1) SELECT 1", "delete+select!"},
	{"WITH update AS (SELECT 1) SELECT * FROM update", "select"}, {"WITH a AS (SELECT 1) UPDATE t SET b = 1", "select+update!"},
	{"WITH delete (insert) AS (SELECT 1) DELETE FROM t", "select+delete!"},
	{"WITH values AS (SELECT 1) DELETE FROM t WHERE a", "select+delete"},
	{"WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a", "select+insert"},
	{"WITH RECURSIVE a AS (SELECT 1) SEARCH DEPTH FIRST BY update SET s DELETE FROM t", "select+delete!"},
	{"WITH RECURSIVE a AS (SELECT 1) CYCLE x SET y USING z DELETE FROM t", "select+delete!"},
	{"WITH a AS (SELECT 1) MERGE INTO t USING a ON b WHEN MATCHED THEN DELETE", "select+merge+delete"},
	{"WITH a AS (SELECT 1) (SELECT 2)", "select"}, {"WITH a AS (SELECT 1) VALUES (1)", "select"}, {"INSERT INTO t TABLE u", "insert+select"},
	{"WITH a AS (SELECT 1)", "select+opaque"}, {"(WITH a AS (DELETE FROM t RETURNING 1) SELECT 1)", "delete+select!"},
	{"SELECT (WITH a AS (DELETE FROM t RETURNING 1) SELECT 1)", "select+delete!"},
	{"DELETE FROM t RETURNING a AS where", "delete!"}, {"DELETE FROM t RETURNING t.where", "delete!"},
	{"UPDATE t SET a.where = 1", "update!"}, {"DELETE FROM t AS x RETURNING (SELECT 1 WHERE true)", "delete+select!"},
	{"SELECT * INTO x FROM t", "select+create"}, {"SELECT 1 insert INTO x", "select+create"},
	{"(SELECT 1 INTO x)", "select+create"}, {"WITH a AS (SELECT 1) SELECT * INTO TEMP x FROM a", "select+create"},
	{"SELECT a AS \"into\" FROM t", "select"}, {"CREATE TABLE x AS WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d",
	 "create+delete+select!"},
	{"COPY t TO PROGRAM 'sh'", "copy-server"}, {"COPY t FROM PROGRAM 'sh'", "copy-server"}, {"COPY t TO '/tmp/x'", "copy-server"},
	{"COPY (DELETE FROM t RETURNING *) TO STDOUT", "copy-to+delete!"}, {"COPY (SELECT 1) TO PROGRAM 'sh'", "copy-server+select"},
	{"COPY t TO/**/PROGRAM 'sh'", "copy-server"}, {"COPY t FROM \"stdin\"", "copy-server"},
	{"UPDATE pg_settings SET setting = 'off' WHERE name = 'x'", "update+set+admin+opaque"},
	{"UPDATE pg_catalog.\"pg_settings\" SET setting = 'off' WHERE true", "update+set+admin+opaque"},
	{"CREATE TEMP VIEW v AS SELECT * FROM pg_settings", "create+select+admin+opaque"},
	{"CREATE OR REPLACE VIEW v AS TABLE pg_catalog.\"pg_settings\"", "create+select+admin+opaque"},
	{"CREATE TABLE t AS SELECT * FROM pg_settings", "create+select"}, {"SELECT * FROM pg_settings", "select"},
	/* what is made calls a function under another name, which can stand as a literal, too */
	{"CREATE OPERATOR !! (FUNCTION = pg_read_file, RIGHTARG = text)", "create+opaque"},
	{"CREATE OPERATOR s.!! (PROCEDURE = 'pg_read_file', RIGHTARG = text)", "create+opaque"},
	{"CREATE AGGREGATE a (text, bool) (SFUNC = set_config, STYPE = text, INITCOND = 'role')", "create+opaque"},
	{"CREATE OR REPLACE AGGREGATE a (*) (SFUNC = f, STYPE = text, FINALFUNC = pg_read_file)", "create+opaque"},
	{"CREATE CAST (int AS bool) WITH FUNCTION pg_cancel_backend", "create+opaque"},
	{"CREATE TRANSFORM FOR t LANGUAGE l (FROM SQL WITH FUNCTION f)", "create+opaque"},
	{"CREATE OPERATOR CLASS c FOR TYPE t USING btree AS FUNCTION 1 f", "create+opaque"},
	/* P18: functions that act */
	{"SELECT pg_read_file('/etc/passwd')", "select+admin"}, {"SELECT * FROM pg_ls_dir('.')", "select+admin"},
	{"SELECT pg_catalog.pg_read_file('x')", "select+admin"}, {"SELECT \"pg_catalog\".\"pg_read_file\" ('x')", "select+admin"},
	{"SELECT PG_READ_BINARY_FILE/**/('x')", "select+admin"}, {"SELECT pg_catalog . pg_stat_file -- c\n('x')", "select+admin"},
	{"SELECT U&\"pg_re\\0061d_file\"('x')", "select+admin+opaque"}, {"SELECT U&\"pg_re!0061d_file\" UESCAPE '!' ('x')", "select+admin+opaque"},
	{"SELECT * FROM U&\"\\0061\".t", "select+admin+opaque"}, {"SELECT U&\"\\0061\".f()", "select+admin+opaque"},
	{"WITH U&\"!0074\" AS (SELECT 1) SELECT * FROM U&\"!0074\" UESCAPE '!'", "select+admin+opaque"},
	{"SELECT lo_import('x')", "select+admin"}, {"SELECT lo_export(1, 'x')", "select+admin"}, {"SELECT lo_from_bytea(0, '')", "select+admin"},
	{"SELECT * FROM dblink('c', 'DROP TABLE x') AS t(a int)", "select+admin+opaque"}, {"SELECT dblink_exec('x')", "select+admin+opaque"},
	{"SELECT set_config('role', 'x', false)", "select+admin"}, {"SELECT set_config('a.b', $1, true)", "select+admin"},
	{"SELECT * FROM pg_catalog.set_config('search_path', '', false)", "select+admin"},
	{"SELECT set_config('Client_Encoding', 'SJIS', false)", "select+admin+opaque"},
	{"SELECT pg_catalog.\"set_config\"('standard_conforming_strings', 'off', false)", "select+admin+opaque"},
	{"SELECT * FROM set_config('client_encoding', 'SJIS', false)", "select+admin+opaque"},
	{"SELECT set_config($1, 'off', false)", "select+admin+opaque"}, {"SELECT set_config(lower('A'), '', false)", "select+admin+opaque"},
	{"SELECT set_config($$a$$, '', false)", "select+admin+opaque"}, {"SELECT set_config('client'\n'_encoding', '', false)", "select+admin+opaque"},
	{"SELECT set_config('client' || '_encoding', '', false)", "select+admin+opaque"}, {"SELECT set_config(E'a', '', false)", "select+admin+opaque"},
	{"SELECT set_config(setting_name => 'client_encoding', new_value => '', is_local => false)", "select+admin+opaque"},
	{"SELECT setval('s', 1)", "select+admin"},
	{"SELECT nextval('s')", "select+admin"}, {"SELECT pg_terminate_backend(1)", "select+admin"},
	{"SELECT pg_cancel_backend(1)", "select+admin"}, {"SELECT pg_reload_conf()", "select+admin"}, {"SELECT pg_sleep(9)", "select+admin"},
	{"SELECT query_to_xml('DELETE FROM t', true, true, '')", "select+admin+opaque"}, {"SELECT ts_stat('x')", "select+admin+opaque"},
	{"SELECT pg_create_physical_replication_slot('x')", "select+admin"}, {"SELECT pg_logical_emit_message(true, 'a', 'b')", "select+admin"},
	{"SELECT * FROM bt_page_items('i', 1)", "select+admin"}, {"SELECT * FROM bt_multi_page_stats('i', 1, 2)", "select+admin"},
	{"SELECT pg_log_standby_snapshot()", "select+admin"}, {"SELECT pg_sync_replication_slots()", "select+admin"},
	{"SELECT pg_buffercache_evict_relation('t')", "select+admin"}, {"SELECT pg_restore_attribute_stats('relname', 't')", "select+admin"},
	{"SELECT pg_clear_relation_stats('public', 't')", "select+admin"}, {"SELECT bt_index_check('i')", "select"},
	{"SELECT pg_switch_wal()", "select+admin"}, {"INSERT INTO t VALUES (pg_read_file('x'))", "insert+admin"},
	{"UPDATE t SET a = pg_read_file('x') WHERE b", "update+admin"}, {"VALUES (pg_read_file('x'))", "select+admin"},
	{"SELECT ('/etc/passwd'::text).pg_read_file", "select+admin"}, {"SELECT ('x'::text) . \"lo_import\"", "select+admin"},
	{"SELECT $1.pg_read_file", "select+admin"}, {"SELECT a[1]./**/pg_read_file", "select+admin"},
	{"SELECT ('x'::text).upper.lower.pg_read_file", "select+admin"}, {"SELECT (SELECT 'x').pg_read_file", "select+admin"},
	{"SELECT * FROM public.dblink_hosts, pg_catalog.pg_replication_slots", "select"},
	{"SELECT pg_advisory_lock(1)", "select"}, {"SELECT my_function(1)", "select"}, {"SELECT pg_read_file FROM t", "select"},
};
/* clang-format on */

static uint64_t parse_kinds(const char *s, size_t n, bool *no_where)
{
	uint64_t kinds = 0;
	char buf[160], *save = NULL;

	assert_true(n < sizeof(buf));
	memcpy(buf, s, n);
	buf[n] = '\0';
	*no_where = n > 0 && buf[n - 1] == '!';
	if (*no_where)
		buf[n - 1] = '\0';
	for (char *w = strtok_r(buf, "+", &save); w != NULL; w = strtok_r(NULL, "+", &save)) {
		uint64_t k = sl_sql_kinds_parse(w);

		assert_true(k != 0);
		kinds |= k;
	}
	return kinds;
}

static void kinds_text(const struct sl_sql *sql, char *out, size_t cap)
{
	size_t n = 0;

	for (uint32_t i = 0; i < sql->nb_stmts && n < cap; i++) {
		n += (size_t)snprintf(out + n, cap - n, i > 0 ? "; " : "");
		for (unsigned k = 0; k < SL_SQL_KIND_COUNT && n < cap; k++) {
			if (sql->stmts[i].kinds & SL_SQL_BIT(k))
				n += (size_t)snprintf(out + n, cap - n, "%s+", sl_sql_kind_name(k));
		}
		if (sql->stmts[i].no_where && n < cap)
			n += (size_t)snprintf(out + n, cap - n, "!");
	}
}

/* The scan runs over an exact copy on the heap, so that a sanitizer sees a read past the end. */
static void check_row(const struct row *r)
{
	size_t n = strlen(r->sql);
	uint8_t *copy = malloc(n > 0 ? n : 1);
	struct sl_sql sql;
	const char *want = r->kinds;
	uint64_t all = 0;
	char got[512];

	assert_non_null(copy);
	memcpy(copy, r->sql, n);
	sl_sql_scan(sl_span(copy, n), &sql);
	kinds_text(&sql, got, sizeof(got));
	for (uint32_t i = 0; i < sql.nb_stmts; i++) {
		const char *end = strchr(want, ';');
		size_t len = end != NULL ? (size_t)(end - want) : strlen(want);
		bool no_where;
		uint64_t kinds = parse_kinds(want, len, &no_where);

		if (sql.stmts[i].kinds != kinds || sql.stmts[i].no_where != no_where ||
		    (i + 1 == sql.nb_stmts) != (end == NULL))
			fail_msg("%s\n  want %s\n  got  %s", r->sql, r->kinds, got);
		all |= kinds;
		want = end != NULL ? end + 2 : want + len;
	}
	assert_true(sql.kinds == all);
	assert_true(sql.complete || (sql.kinds & SL_SQL_BIT(SL_SQL_OPAQUE)));
	free(copy);
}

static void test_plain(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		check_row(&plain[i]);
}

static void test_attacks(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++)
		check_row(&attacks[i]);
}

static void test_set_names(void **state)
{
	static const char *const rows[][2] = {
	        {"SET datestyle = 'ISO'", "datestyle"},
	        {"SET SESSION DateStyle TO ISO", "DateStyle"},
	        {"set local \"client_encoding\" to 'SJIS'", "client_encoding"},
	        {"SET NAMES 'SJIS'", "client_encoding"},
	        {"SET TIME ZONE 'UTC'", "timezone"},
	        {"SET ROLE admin", "ROLE"},
	        {"SET LOCAL ROLE admin", "ROLE"},
	        {"SET role = admin", "role"},
	        {"SET SESSION AUTHORIZATION x", "session_authorization"},
	        {"SET SESSION/**/AUTHORIZATION DEFAULT", "session_authorization"},
	        {"SET LOCAL SESSION AUTHORIZATION x", "session_authorization"},
	        {"RESET SESSION AUTHORIZATION", "session_authorization"},
	        {"SET session_authorization TO x", "session_authorization"},
	        {"SET SCHEMA 'x'", "search_path"},
	        {"SET XML OPTION DOCUMENT", "xmloption"},
	        {"RESET ALL", "ALL"},
	        {"RESET standard_conforming_strings", "standard_conforming_strings"},
	        {"SET my.param = 1", "my.param"},
	        {"SET my . param = 1", "my . param"},
	        {"SET /* x */ standard_conforming_strings -- y\n = off", "standard_conforming_strings"},
	        {"SELECT 1", ""},
	};
	struct sl_sql sql;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		sl_sql_scan(sl_span_str(rows[i][0]), &sql);
		if (!sl_span_is(sql.stmts[0].set_name, rows[i][1]))
			fail_msg("%s: \"%.*s\"", rows[i][0], (int)sql.stmts[0].set_name.n,
			         (const char *)sql.stmts[0].set_name.p);
	}
}

/* What MERGE writes to is a table, also where a WITH query has its name. */
static void test_merge_target(void **state)
{
	struct sl_sql sql;

	(void)state;
	sl_sql_scan(sl_span_str("WITH t AS (SELECT 1) MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE"),
	            &sql);
	assert_true(sql.complete);
	assert_int_equal(sql.nb_relations, 2);
	assert_true(sl_span_is(sql.relations[0].name.name, "t"));
	assert_int_equal(sql.relations[0].access, SL_SQL_READS | SL_SQL_DELETES);
	assert_int_equal(sql.relations[1].access, SL_SQL_READS);
}

static void test_main_and_text(void **state)
{
	struct sl_sql sql;

	(void)state;
	sl_sql_scan(SL_SPAN_LIT(" WITH a AS (SELECT 1) DELETE FROM t ; /* x */ SELECT 2 -- y\n;"), &sql);
	assert_int_equal(sql.nb_stmts, 2);
	assert_int_equal(sql.stmts[0].main, SL_SQL_DELETE);
	assert_true(sl_span_is(sql.stmts[0].text, "WITH a AS (SELECT 1) DELETE FROM t"));
	assert_int_equal(sql.stmts[1].main, SL_SQL_SELECT);
	assert_true(sl_span_is(sql.stmts[1].text, "SELECT 2"));
	assert_true(sql.complete);
	sl_sql_scan(SL_SPAN_LIT("EXPLAIN ANALYZE DELETE FROM t"), &sql);
	assert_int_equal(sql.stmts[0].main, SL_SQL_EXPLAIN);
	sl_sql_scan(SL_SPAN_LIT("COPY t FROM STDIN"), &sql);
	assert_int_equal(sql.stmts[0].main, SL_SQL_COPY_FROM);
	sl_sql_scan(SL_SPAN_LIT("PREPARE p AS SELECT 1"), &sql);
	assert_int_equal(sql.stmts[0].main, SL_SQL_PREPARE);
}

static void test_nul_is_opaque(void **state)
{
	static const struct sl_span rows[] = {
	        SL_SPAN_LIT("SELECT 1\0; DROP TABLE x"),
	        SL_SPAN_LIT("SELECT '\0'"),
	        SL_SPAN_LIT("SELECT 1 /* \0 */"),
	        SL_SPAN_LIT("-- \0"),
	        SL_SPAN_LIT("\0"),
	};
	struct sl_sql sql;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		sl_sql_scan(rows[i], &sql);
		assert_false(sql.complete);
		assert_true(sql.kinds & SL_SQL_BIT(SL_SQL_OPAQUE));
	}
}

/* Words are read sixteen bytes at once where as many are left: what stands behind the text changes nothing.
 */
static void test_word_bytes(void **state)
{
	char text[64], blanks[96];
	struct sl_sql bare, padded;

	(void)state;
	for (int c = 1; c < 256; c++) {
		for (int at = 1; at <= 20; at++) {
			int n = snprintf(text, sizeof(text), "TABLE %.*s%c", at, "qbcdefghijklmnopqrstu", c);
			bool goes_on = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
			               (c >= 'a' && c <= 'z') || c == '_' || c == '$' || c >= 128;

			memset(blanks, ' ', sizeof(blanks));
			memcpy(blanks, text, (size_t)n);
			sl_sql_scan(sl_span(text, (size_t)n), &bare);
			sl_sql_scan(sl_span(blanks, sizeof(blanks)), &padded);
			assert_int_equal(bare.complete, padded.complete);
			assert_int_equal(bare.nb_relations, padded.nb_relations);
			assert_true(bare.nb_relations == 1 || !goes_on);
			if (bare.nb_relations == 0) /* what follows the word is no token */
				continue;
			assert_int_equal(bare.relations[0].name.name.n, at + goes_on);
			assert_int_equal(padded.relations[0].name.name.n, at + goes_on);
		}
	}
}

/* Every key word is found by its hash, in any case, and nothing that is longer, shorter or another word. */
static void test_keywords(void **state)
{
#define WORD(w, c) #w,
	static const char *const words[] = {SQL_KEYWORD_TABLE(WORD)};
#undef WORD
	(void)state;
	for (int i = 0; i < KW_COUNT - 1; i++) {
		size_t n = strlen(words[i]);

		for (int form = 0; form < 4; form++) {
			char text[40];
			struct sql_lexer lx;
			struct sql_token t;

			(void)snprintf(text, sizeof(text), "%s%s", words[i],
			               form >= 2 ? "                 " : "");
			for (size_t k = 0; form % 2 != 0 && k < n; k += 2)
				text[k] = (char)(text[k] == '_' ? '_' : text[k] | 0x20);
			lx = sql_lexer(sl_span_str(text));
			assert_int_equal(sql_lex(&lx, &t, 1), 1);
			assert_int_equal(t.kw, i + 1);
			text[n - 1] = (char)(text[n - 1] == 'q' ? 'z' : 'q');
			lx = sql_lexer(sl_span_str(text));
			(void)sql_lex(&lx, &t, 1);
			assert_int_equal(t.kw, KW_IDENTIFIER);
		}
	}
}

static void test_bounds(void **state)
{
	size_t n = 1 << 20;
	char *text = malloc(n + 16);
	struct sl_sql sql;

	(void)state;
	assert_non_null(text);
	memset(text, '(', n);
	sl_sql_scan(sl_span(text, n), &sql);
	assert_false(sql.complete);
	memset(text, ';', n);
	memcpy(text + n, "SELECT 1", 8);
	sl_sql_scan(sl_span(text, n + 8), &sql);
	assert_int_equal(sql.nb_stmts, 1);
	for (size_t i = 0; i + 8 <= n; i += 8)
		memcpy(text + i, "COMMIT; ", 8);
	memcpy(text + n, "DROP t", 6);
	sl_sql_scan(sl_span(text, 64 * 8), &sql);
	assert_int_equal(sql.nb_stmts, SL_SQL_STMTS_MAX);
	assert_true(sql.complete);
	sl_sql_scan(sl_span(text, n + 6), &sql);
	assert_int_equal(sql.nb_stmts, SL_SQL_STMTS_MAX);
	assert_false(sql.complete);
	assert_true(sql.stmts[SL_SQL_STMTS_MAX - 1].kinds & SL_SQL_BIT(SL_SQL_OPAQUE));
	memset(text, '\'', n);
	sl_sql_scan(sl_span(text, n), &sql);
	assert_int_equal(sql.nb_stmts, 1);
	free(text);
}

static void test_names(void **state)
{
	(void)state;
	for (unsigned k = 0; k < SL_SQL_KIND_COUNT; k++)
		assert_true(sl_sql_kinds_parse(sl_sql_kind_name(k)) == SL_SQL_BIT(k));
	assert_true(sl_sql_kinds_parse("read") & SL_SQL_BIT(SL_SQL_EMPTY));
	assert_false(sl_sql_kinds_parse("read") & SL_SQL_BIT(SL_SQL_SET));
	assert_false(sl_sql_kinds_parse("read") & (SL_SQL_BIT(SL_SQL_OPAQUE) | SL_SQL_BIT(SL_SQL_PREPARE)));
	assert_true(sl_sql_kinds_parse("write") & SL_SQL_BIT(SL_SQL_DELETE));
	assert_false(sl_sql_kinds_parse("write") & SL_SQL_BIT(SL_SQL_OPAQUE));
	assert_true(sl_sql_kinds_parse("any") & SL_SQL_BIT(SL_SQL_OPAQUE));
	assert_true(sl_sql_kinds_parse("nothing") == 0);
	assert_string_equal(sl_sql_kind_name(SL_SQL_KIND_COUNT), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_plain),         cmocka_unit_test(test_attacks),
	        cmocka_unit_test(test_set_names),     cmocka_unit_test(test_merge_target),
	        cmocka_unit_test(test_main_and_text), cmocka_unit_test(test_nul_is_opaque),
	        cmocka_unit_test(test_bounds),        cmocka_unit_test(test_names),
	        cmocka_unit_test(test_word_bytes),    cmocka_unit_test(test_keywords),
	};

	printf("%zu statements\n", (sizeof(plain) + sizeof(attacks)) / sizeof(plain[0]));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
