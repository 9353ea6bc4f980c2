#include "generate.h"

#include <stdbool.h>
#include <string.h>

#define ALTERNATIVES_MAX 24
#define DEPTH_MAX        9 /* from here on the first alternative, which ends, is taken */

/*
 * <x> stands for one alternative of rule x, chosen at random; a blank for any white space or comment. The
 * first alternative of a rule that refers to itself does not.
 */
struct rule {
	const char *name;
	const char *alternatives[ALTERNATIVES_MAX];
};

/* clang-format off */
static const struct rule rules[] = {
	{"stmt", {"<query>", "<query>", "<dml>", "<dml>", "<dml>", "<merge>", "EXPLAIN <dml>", "EXPLAIN ANALYZE <dml>",
	          "EXPLAIN ( ANALYZE , VERBOSE off ) <dml>", "EXPLAIN ( ANALYZE false ) <dml>", "PREPARE p ( int ) AS <dml>",
	          "DECLARE c <hold> CURSOR FOR <query>", "COPY ( <query> ) TO STDOUT", "COPY ( <dml> RETURNING <exprs> ) TO STDOUT",
	          "COPY <table> ( <name> ) FROM STDIN", "CREATE TABLE <table> AS <query>", "CREATE VIEW <table> AS <query>",
	          "CREATE MATERIALIZED VIEW <table> AS <query> WITH NO DATA", "TRUNCATE <table> , ONLY <table>", "<ddl>", "<ddl>"}},
	{"ddl", {"DROP TABLE IF EXISTS <table> , <table> CASCADE", "ALTER TABLE ONLY <table> ADD COLUMN <name> int DEFAULT <expr>",
	         "ALTER TABLE <table> ALTER <name> TYPE text USING <expr>", "CREATE INDEX ON <table> ( ( <expr> ) ) WHERE <expr>",
	         "CREATE TABLE <table> ( a int PRIMARY KEY , b text DEFAULT <expr> , CHECK ( <expr> ) , LIKE <table> )",
	         "CREATE TABLE <table> ( a int REFERENCES <table> ( <name> ) ) INHERITS ( <table> )",
	         "CREATE POLICY <name> ON <table> USING ( <expr> ) WITH CHECK ( <expr> )",
	         "CREATE RULE <name> AS ON INSERT TO <table> DO INSTEAD <simple_dml>",
	         "CREATE TRIGGER <name> BEFORE UPDATE ON <table> FOR EACH ROW WHEN ( <expr> ) EXECUTE FUNCTION <func> ( )",
	         "GRANT SELECT , INSERT ( <name> ) ON <table> TO <name>", "LOCK TABLE ONLY <table> IN SHARE MODE", "COMMENT ON TABLE <table> IS <string>",
	         "REFRESH MATERIALIZED VIEW CONCURRENTLY <table>", "CREATE STATISTICS <name> ON <name> , ( a + 1 ) FROM <table>",
	         "ALTER VIEW <table> RENAME TO <name>", "DROP INDEX <table>", "VACUUM ( ANALYZE ) <table> ( <name> )", "ANALYZE <table>"}},
	{"hold", {"", "NO SCROLL", "BINARY INSENSITIVE SCROLL"}},
	{"dml", {"<simple_dml>", "<query>", "<insert>", "<update>", "<delete>", "WITH <ctes> <insert>", "WITH <ctes> <update>", "WITH <ctes> <delete>",
	         "WITH <ctes> <query>"}},
	{"simple_dml", {"INSERT INTO <table> VALUES ( 1 )", "DELETE FROM <table>", "UPDATE <table> SET a = 1"}},
	{"insert", {"INSERT INTO <table> DEFAULT VALUES", "INSERT INTO <table> AS <name> <query>", "INSERT INTO <table> ( <name> , b ) VALUES <rows> <conflict>",
	            "INSERT INTO <table> VALUES <rows> <conflict> RETURNING <exprs>", "INSERT INTO <table> ( <query> )",
	            "INSERT INTO <table> OVERRIDING SYSTEM VALUE VALUES <rows>"}},
	{"conflict", {"", "ON CONFLICT DO NOTHING", "ON CONFLICT ( <name> ) WHERE <expr> DO UPDATE SET a = <expr> WHERE <expr>",
	              "ON CONFLICT ON CONSTRAINT <name> DO UPDATE SET ( a , b ) = ( <query> )"}},
	{"rows", {"( 1 )", "( <expr> , DEFAULT )", "( <expr> ) , ( <expr> )"}},
	{"update", {"UPDATE <table> SET a = 1", "UPDATE ONLY <table> AS <name> SET a = <expr> , b = DEFAULT <where>",
	            "UPDATE <table> <name> SET ( a , b ) = ( <query> ) FROM <from> <where>",
	            "UPDATE <table> SET a [ 1 ] = <expr> WHERE CURRENT OF c RETURNING <exprs>"}},
	{"delete", {"DELETE FROM <table>", "DELETE FROM ONLY <table> <name> USING <from> <where>", "DELETE FROM <table> <where> RETURNING *"}},
	{"merge", {"MERGE INTO <table> AS <name> USING <source> ON <expr> <whens>", "WITH <ctes> MERGE INTO <table> <name> USING <source> ON <expr> <whens>"}},
	{"whens", {"WHEN MATCHED THEN DO NOTHING", "WHEN MATCHED AND <expr> THEN DELETE <whens>", "WHEN MATCHED THEN UPDATE SET a = <expr> <whens>",
	           "WHEN NOT MATCHED AND <expr> THEN INSERT ( <name> ) VALUES ( <expr> ) <whens>", "WHEN NOT MATCHED THEN INSERT DEFAULT VALUES"}},
	{"ctes", {"<name> AS ( SELECT 1 )", "<name> AS ( <dml> )", "<name> AS MATERIALIZED ( <dml> ) , <ctes>",
	          "RECURSIVE <name> ( a ) AS ( <query> UNION ALL <query> )", "<name> AS NOT MATERIALIZED ( <delete> )"}},
	{"query", {"SELECT 1", "TABLE <table>", "VALUES <rows>", "SELECT <exprs> FROM <from> <where> <group> <tail>", "SELECT <exprs> FROM <from> <where>",
	           "SELECT DISTINCT ON ( <expr> ) <exprs> FROM <from>", "( <query> ) <setop> ( <query> ) <tail>", "SELECT <exprs> <setop> SELECT <exprs>",
	           "WITH <ctes> SELECT <exprs> FROM <from> <tail>", "( <query> )"}},
	{"setop", {"UNION", "UNION ALL", "INTERSECT", "EXCEPT DISTINCT"}},
	{"group", {"", "GROUP BY <expr> HAVING <expr>", "GROUP BY GROUPING SETS ( ( a ) , ROLLUP ( <expr> ) )",
	           "WINDOW w AS ( PARTITION BY <expr> ORDER BY <expr> ROWS BETWEEN 1 PRECEDING AND CURRENT ROW )"}},
	{"tail", {"", "ORDER BY <expr> DESC NULLS LAST", "LIMIT <expr> OFFSET 1", "FETCH FIRST 3 ROWS ONLY", "FOR UPDATE NOWAIT",
	          "ORDER BY <expr> USING < LIMIT ALL", "FOR SHARE OF <name> SKIP LOCKED"}},
	{"where", {"", "WHERE <expr>"}},
	{"from", {"<table>", "<source>", "<source> , LATERAL <source>", "<source> LEFT JOIN <source> ON <expr>", "<source> NATURAL JOIN <source>",
	          "( <source> CROSS JOIN <source> )", "<source> JOIN <source> USING ( a ) AS <name>", "ONLY ( <table> ) TABLESAMPLE system ( 1 )",
	          "<source> FULL JOIN <source> JOIN <source> ON <expr> ON <expr>"}},
	{"source", {"<table>", "<table> AS <name>", "<table> * <name> ( a , b )", "( <query> ) AS <name>", "<func> ( <expr> ) WITH ORDINALITY AS <name> ( a )",
	            "ROWS FROM ( <func> ( <expr> ) , <func> ( ) ) AS <name>"}},
	{"exprs", {"1", "*", "<expr>", "<expr> AS <label> , <exprs>", "<expr> <name>", "<name> . *"}},
	{"expr", {"1", "<string>", "<name>", "<name> . <name>", "$1", "NULL", "<func> ( <expr> )", "<func> ( DISTINCT <expr> , VARIADIC <expr> )",
	          "( <query> )", "EXISTS ( <query> )", "<expr> IN ( <query> )", "ARRAY ( <query> )", "<expr> + <expr>", "<expr> <> ALL ( <query> )",
	          "CASE WHEN <expr> THEN <expr> ELSE ( <query> ) END", "( <expr> ) :: <type>", "CAST ( <expr> AS <type> )",
	          "<func> ( <expr> ORDER BY <expr> ) FILTER ( WHERE <expr> ) OVER ( PARTITION BY <expr> )", "<expr> IS NOT DISTINCT FROM <expr>",
	          "( <expr> , <expr> ) OVERLAPS ( <expr> , <expr> )", "<special>", "ROW ( <expr> , <expr> )"}},
	{"special", {"CURRENT_DATE", "COALESCE ( <expr> , <expr> )", "EXTRACT ( year FROM <expr> )", "SUBSTRING ( <expr> FROM 1 FOR 2 )",
	             "TRIM ( BOTH <string> FROM <expr> )", "POSITION ( <expr> IN <name> )", "<expr> AT TIME ZONE <string>", "<expr> LIKE <string> ESCAPE <string>",
	             "<expr> BETWEEN SYMMETRIC 1 AND <expr>", "( ARRAY [ <expr> , <expr> ] ) [ 1 : 2 ]", "XMLELEMENT ( name <name> , <expr> )",
	             "INTERVAL '1' YEAR TO MONTH", "<expr> COLLATE \"C\"", "NULLIF ( <expr> , <expr> ) IS NULL", "NOT <name> IS TRUE",
	             "OVERLAY ( <expr> PLACING <expr> FROM 1 )", "<expr> OPERATOR ( pg_catalog . + ) <expr>", "GREATEST ( <expr> , 2 )"}},
	{"type", {"int", "numeric ( 10 , 2 )", "text [ ]", "timestamp with time zone", "double precision", "<name> . <name>", "character varying ( 3 )",
	          "interval hour to minute"}},
	{"func", {"now", "lower", "pg_catalog . upper", "\"Mixed\"", "s . f", "left", "count", "<name>"}},
	{"table", {"t", "orders", "public . orders", "\"Weird \"\"Table\"", "S . \"t\"", "<name>"}},
	{"name", {"a", "b", "x", "C", "\"c\"", "\"select\"", "value", "name", "\xc3\xa4", "year", "data", "over", "temp", "no", "type", "matched"}},
	{"label", {"a", "select", "\"b\"", "from", "user", "Table", "order"}},
	{"string", {"'x'", "''", "'it''s'", "'--'", "'/*'", "'\\'", "E'\\''", "e'\\\\'", "$$a'b$$", "$q$; DROP TABLE t $$ $q$", "U&'\\0061'", "N'x'", "B'01'",
	            "'a'\n'b'", "E'a\\''\n  'b'", "'SELECT'"}},
};
/* clang-format on */

static const char *const blanks[] = {
        " ", " ", " ", " ", " ", "\n", "\t", " /* x */ ", " /* ' /* \" */ $$ */ ", " -- ' ;\n"};

struct writer {
	uint64_t *seed;
	char *out;
	size_t n, cap;
};

/* xorshift64*. */
static size_t pick(uint64_t *seed, size_t nb)
{
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return (size_t)((*seed * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % nb;
}

static void put(struct writer *w, const char *s, size_t n)
{
	if (n > w->cap - 1 - w->n)
		n = w->cap - 1 - w->n;
	memcpy(w->out + w->n, s, n);
	w->n += n;
}

static const struct rule *find(const char *name, size_t n)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (strncmp(rules[i].name, name, n) == 0 && rules[i].name[n] == '\0')
			return &rules[i];
	return NULL;
}

static void expand(struct writer *w, const struct rule *r, int depth)
{
	size_t nb = 1; /* no rule is empty */
	const char *s;

	while (nb < ALTERNATIVES_MAX && r->alternatives[nb] != NULL)
		nb++;
	s = r->alternatives[depth >= DEPTH_MAX ? 0 : pick(w->seed, nb)];
	while (*s != '\0') {
		const char *end = *s == '<' ? strchr(s, '>') : NULL;
		const struct rule *inner = end != NULL ? find(s + 1, (size_t)(end - s) - 1) : NULL;

		if (inner != NULL) {
			expand(w, inner, depth + 1);
			s = end + 1;
		} else if (*s == ' ') {
			const char *blank = blanks[pick(w->seed, sizeof(blanks) / sizeof(blanks[0]))];

			put(w, blank, strlen(blank));
			s++;
		} else {
			put(w, s++, 1);
		}
	}
}

void generate(uint64_t *seed, char *out, size_t cap)
{
	struct writer w = {.seed = seed, .out = out, .cap = cap};

	expand(&w, &rules[0], 0);
	out[w.n] = '\0';
}
