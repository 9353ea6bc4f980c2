/*
 * What the target is asked. One statement, so that its answer is of one moment, and every name in it is
 * qualified; operators and functions are found by the search path, which is set in front of it. Numbers of
 * catalogs and of the schema pg_catalog are constants of PostgreSQL: 1255 pg_proc, 1259 pg_class, 2606
 * pg_constraint, 2617 pg_operator, 2618 pg_rewrite, 11 pg_catalog; what is not built in has 16384 or more.
 */
#include <stdio.h>

#include "sl_catalog_build.h"
#include "sl_counter.h"
#include "sl_sql_uses.h"

#define OPTION(of, name)                                                                                     \
	"(SELECT o.option_value FROM pg_catalog.pg_options_to_table(" of ") o"                               \
	" WHERE o.option_name = '" name "')"

/*
 * Where the rows of a foreign table come from: 's' this very database, by what the server's options say; 'e'
 * another one, or one that cannot be told, through postgres_fdw; 'o' through another wrapper. postgres_fdw
 * names the relation and its columns in the options, and like here where there are none.
 */
#define FOREIGN_TABLES                                                                                                                                                                                                              \
	"SELECT f.ftrelid AS oid, coalesce(" OPTION(                                                                                                                                                                                \
	        "f.ftoptions",                                                                                                                                                                                                      \
	        "schema_name") ", n.nspname::text)"                                                                                                                                                                                 \
	                       " || chr(31) || coalesce(" OPTION(                                                                                                                                                                   \
	                               "f.ftoptions",                                                                                                                                                                               \
	                               "table_name") ", c.relname::text) AS name,"                                                                                                                                                  \
	                                             " CASE WHEN w.fdwname <> 'postgres_fdw' OR h.proname "                                                                                                                         \
	                                             "IS DISTINCT FROM 'postgres_fdw_handler'"                                                                                                                                      \
	                                             " THEN 'o' WHEN " OPTION(                                                                                                                                                      \
	                                                     "s.srvoptions",                                                                                                                                                        \
	                                                     "dbname") " = current_database()::text"                                                                                                                                \
	                                                               " AND coalesce(" OPTION(                                                                                                                                     \
	                                                                       "s.srvoptions",                                                                                                                                      \
	                                                                       "port") ", '5432') = "                                                                                                                               \
	                                                                               "current_setting('"                                                                                                                          \
	                                                                               "port')"                                                                                                                                     \
	                                                                               " AND "                                                                                                                                      \
	                                                                               "coalesce(" OPTION(                                                                                                                          \
	                                                                                       "s."                                                                                                                                 \
	                                                                                       "srvoptions",                                                                                                                        \
	                                                                                       "host") ", "                                                                                                                         \
	                                                                                               "'/"                                                                                                                         \
	                                                                                               "') "                                                                                                                        \
	                                                                                               "~ "                                                                                                                         \
	                                                                                               "'^("                                                                                                                        \
	                                                                                               "loc"                                                                                                                        \
	                                                                                               "alh"                                                                                                                        \
	                                                                                               "ost"                                                                                                                        \
	                                                                                               "|12"                                                                                                                        \
	                                                                                               "7[."                                                                                                                        \
	                                                                                               "]0["                                                                                                                        \
	                                                                                               ".]"                                                                                                                         \
	                                                                                               "0[."                                                                                                                        \
	                                                                                               "]1|"                                                                                                                        \
	                                                                                               "::"                                                                                                                         \
	                                                                                               "1|/"                                                                                                                        \
	                                                                                               "[^,"                                                                                                                        \
	                                                                                               "]*)"                                                                                                                        \
	                                                                                               "$'"                                                                                                                         \
	                                                                                               " AN"                                                                                                                        \
	                                                                                               "D "                                                                                                                         \
	                                                                                               "coa"                                                                                                                        \
	                                                                                               "les"                                                                                                                        \
	                                                                                               "ce"                                                                                                                         \
	                                                                                               "(" OPTION(                                                                                                                  \
	                                                                                                       "s.srvoptions",                                                                                                      \
	                                                                                                       "hostaddr") ", '::1') IN ('127.0.0.1', '::1')"                                                                       \
	                                                                                                                   " AND " OPTION(                                                                                          \
	                                                                                                                           "s.srvoptions",                                                                                  \
	                                                                                                                           "service") " IS NULL THEN 's' ELSE 'e' END || s.srvname AS place"                                \
	                                                                                                                                      " FROM pg_catalog.pg_foreign_table f JOIN pg_catalog.pg_class c ON c.oid = f.ftrelid" \
	                                                                                                                                      " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"                           \
	                                                                                                                                      " JOIN pg_catalog.pg_foreign_server s ON s.oid = f.ftserver"                          \
	                                                                                                                                      " JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw"                      \
	                                                                                                                                      " LEFT JOIN pg_catalog.pg_proc h ON h.oid = w.fdwhandler"

/* '#' is the names of functions that read what their text names. Which types a type is made of; which
 * relations hold what others do (or their parts). */
static const char head[] =
        "SET search_path = pg_catalog; SET jit = off; "
        "WITH RECURSIVE ran AS MATERIALIZED (" /* multiranges: since PostgreSQL 14 */
        "SELECT r.rngtypid, r.rngsubtype, (row_to_json(r) ->> 'rngmultitypid')::oid AS rngmultitypid"
        " FROM pg_catalog.pg_range r"
        "), step AS MATERIALIZED ("
        "SELECT t.oid AS src, x.dst FROM pg_catalog.pg_type t"
        " CROSS JOIN LATERAL (VALUES (t.typelem), (t.typbasetype)) x (dst) WHERE x.dst <> 0"
        " UNION ALL SELECT ran.rngtypid, ran.rngsubtype FROM ran"
        " UNION ALL SELECT ran.rngmultitypid, ran.rngtypid FROM ran WHERE ran.rngmultitypid IS NOT NULL"
        "), made (oid, part) AS ("
        "SELECT t.oid, t.oid FROM pg_catalog.pg_type t UNION"
        " SELECT made.oid, step.dst FROM made JOIN step ON step.src = made.part"
        "), names AS MATERIALIZED ("
        "SELECT made.oid, string_agg(t.typname::text, chr(31)) AS names"
        " FROM made JOIN pg_catalog.pg_type t ON t.oid = made.part GROUP BY made.oid"
        "), rel AS MATERIALIZED ("
        "SELECT c.oid, c.relname, n.nspname, c.relkind, c.reltoastrelid,"
        " lower(c.relname::text COLLATE \"C\") AS r, lower(n.nspname::text COLLATE \"C\") AS s"
        " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p', 'c') AND c.oid >= 16384"
        "), att AS MATERIALIZED ("
        "SELECT a.attrelid, a.attnum, a.atttypid, lower(a.attname::text COLLATE \"C\") AS c"
        " FROM pg_catalog.pg_attribute a"
        " WHERE a.attrelid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped"
        "), rowtype AS MATERIALIZED ("
        "SELECT DISTINCT a.attrelid, a.attnum, t.typrelid"
        " FROM att a JOIN made ON made.oid = a.atttypid JOIN pg_catalog.pg_type t ON t.oid = made.part"
        " WHERE t.typrelid >= 16384"
        "), edge AS MATERIALIZED ("
        "SELECT i.inhparent AS src, i.inhrelid AS dst FROM pg_catalog.pg_inherits i"
        " UNION SELECT i.inhrelid, i.inhparent FROM pg_catalog.pg_inherits i"
        " UNION SELECT d.refobjid, r.ev_class FROM pg_catalog.pg_depend d"
        " JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid"
        " WHERE d.classid = 2618 AND d.refclassid = 1259 AND r.ev_type = '1' AND d.refobjid <> r.ev_class"
        " UNION SELECT rowtype.typrelid, rowtype.attrelid FROM rowtype"
        "), far AS MATERIALIZED (" FOREIGN_TABLES "), reads AS MATERIALIZED ("
        "SELECT p.oid FROM pg_catalog.pg_proc p WHERE p.pronamespace = 11 AND p.proname::text = ANY "
        "(string_to_array('#', ' '))"
        "), hid (oid) AS (SELECT rel.oid FROM rel JOIN att ON att.attrelid = rel.oid"
        " JOIN made ON made.oid = att.atttypid JOIN pg_catalog.pg_type n ON n.oid = made.part WHERE (";

/* The target's own relations that show values of others. */
#define SYSTEM_RELATIONS                                                                                     \
	"'pg_attribute', 'pg_statistic', 'pg_statistic_ext_data', 'pg_stats', 'pg_stats_ext',"               \
	" 'pg_stats_ext_exprs', 'pg_stat_activity'"

/* Behind the condition; '@' is how many characters of a rule are read. Views with functions that are not
 * built in can hold anything. That a view reads a relation, or calls a function, of the target's own is in no
 * dependency: its rule says it. */
static const char tail[] =
        ") UNION SELECT r.ev_class FROM pg_catalog.pg_rewrite r"
        " JOIN pg_catalog.pg_depend d ON d.objid = r.oid"
        " WHERE d.classid = 2618 AND d.refclassid IN (1255, 2617) AND d.refobjid >= 16384"
        " AND r.ev_type = '1' AND r.ev_class >= 16384"
        " UNION SELECT r.ev_class FROM pg_catalog.pg_rewrite r"
        " WHERE r.ev_type = '1' AND r.ev_class >= 16384 AND r.ev_action::text ~ ("
        "SELECT ':(' || string_agg(x.what, '|') || ') ' FROM ("
        "SELECT 'relid ' || c.oid FROM pg_catalog.pg_class c"
        " WHERE c.relnamespace = 11 AND c.relname IN (" SYSTEM_RELATIONS ")"
        " UNION ALL SELECT 'funcid ' || reads.oid FROM reads) x (what))"
        " UNION SELECT far.oid FROM far"
        " UNION SELECT edge.dst FROM edge JOIN hid ON hid.oid = edge.src"
        "), known AS MATERIALIZED ("
        "SELECT rel.oid, rel.nspname::text, rel.relname::text, rel.relkind::text, 0::oid AS owner"
        " FROM rel JOIN hid ON hid.oid = rel.oid"
        " UNION ALL SELECT c.oid, 'pg_toast', c.relname::text, 't', rel.oid FROM pg_catalog.pg_class c"
        " JOIN rel ON rel.reltoastrelid = c.oid JOIN hid ON hid.oid = rel.oid"
        " UNION ALL SELECT c.oid, 'pg_catalog', c.relname::text, 's', 0::oid FROM pg_catalog.pg_class c"
        " WHERE c.relnamespace = 11 AND c.relname IN (" SYSTEM_RELATIONS "))"
        " SELECT 1 AS k, oid AS a, 0 AS b, relname AS t, nspname AS u, owner AS x, relkind AS y FROM known"
        " UNION ALL SELECT 0, reads.oid, 0, NULL, NULL, 0::oid, NULL FROM reads"
        " UNION ALL SELECT 2, a.attrelid, a.attnum, a.attname::text, names.names, a.atttypid,"
        " a.attgenerated::text FROM pg_catalog.pg_attribute a JOIN known ON known.oid = a.attrelid"
        " LEFT JOIN names ON names.oid = a.atttypid WHERE a.attnum > 0 AND NOT a.attisdropped"
        " UNION ALL SELECT 3, i.inhrelid, 0, NULL, NULL, i.inhparent, NULL FROM pg_catalog.pg_inherits i"
        " JOIN hid ON hid.oid = i.inhrelid"
        " UNION ALL SELECT 4, r.ev_class, 0, NULL, NULL, 0::oid, CASE WHEN length(r.ev_action::text) <= @"
        " THEN r.ev_action::text END FROM pg_catalog.pg_rewrite r JOIN hid ON hid.oid = r.ev_class"
        " WHERE r.ev_type = '1'"
        " UNION ALL SELECT 5, d.adrelid, d.adnum, NULL, NULL, 0::oid, CASE WHEN length(d.adbin::text) "
        "<= @ THEN d.adbin::text END FROM pg_catalog.pg_attrdef d JOIN hid ON hid.oid = d.adrelid"
        " JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum"
        " WHERE a.attgenerated <> ''"
        " UNION ALL SELECT DISTINCT 6, 0::oid, 0, p.proname::text, n.nspname::text, 0::oid, NULL"
        " FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace"
        " WHERE p.oid >= 16384"
        " UNION ALL SELECT DISTINCT 6, 0::oid, 0, t.typname::text, n.nspname::text, 0::oid, NULL"
        " FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace"
        " WHERE t.oid >= 16384 AND (t.typinput::oid >= 16384 OR t.typoutput::oid >= 16384"
        " OR EXISTS (SELECT FROM pg_catalog.pg_cast c WHERE c.castfunc >= 16384"
        " AND t.oid IN (c.castsource, c.casttarget))"
        " OR t.oid IN (SELECT k.contypid FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_depend d"
        " ON d.objid = k.oid WHERE d.classid = 2606 AND d.refclassid = 1255 AND d.refobjid >= 16384))"
        " UNION ALL SELECT DISTINCT 7, 0::oid, 0, o.oprname::text, NULL, 0::oid, NULL"
        " FROM pg_catalog.pg_operator o WHERE o.oid >= 16384"
        " UNION ALL SELECT 8, t.oid, 0, t.typname::text, (SELECT e.enumlabel::text"
        " FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder LIMIT 1),"
        " coalesce(nullif(t.typbasetype, 0), nullif(t.typelem, 0), r.rngsubtype, m.rngtypid, 0::oid),"
        " CASE WHEN t.typlen = -1 AND t.typelem <> 0 THEN 'a' ELSE t.typtype::text END"
        " FROM pg_catalog.pg_type t LEFT JOIN ran r ON r.rngtypid = t.oid"
        " LEFT JOIN ran m ON m.rngmultitypid = t.oid"
        " LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem"
        " WHERE (t.oid >= 16384 OR t.typtype IN ('r', 'm') OR (t.typlen = -1 AND t.typelem <> 0))"
        " AND (t.typrelid = 0 OR t.typrelid IN (SELECT known.oid FROM known)"
        " OR t.typrelid IN (SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relkind = 'c' AND c.oid >= "
        "16384))"
        " AND (coalesce(e.typrelid, 0) = 0 OR e.typrelid IN (SELECT known.oid FROM known)"
        " OR e.typrelid IN (SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relkind = 'c' AND c.oid >= "
        "16384))"
        " UNION ALL SELECT 9, rowtype.attrelid, rowtype.attnum, NULL, NULL, rowtype.typrelid, NULL FROM "
        "rowtype"
        " JOIN hid ON hid.oid = rowtype.attrelid"
        " UNION ALL SELECT 10, max(c.oid), 0, NULL, NULL, 0::oid, NULL FROM pg_catalog.pg_class c"
        " UNION ALL SELECT 11, a.attrelid, a.attnum, coalesce(" OPTION(
                "a.attfdwoptions",
                "column_name") ", a.attname::text), far.name, 0::oid, far.place FROM far JOIN "
                               "pg_catalog.pg_attribute a"
                               " ON a.attrelid = far.oid WHERE a.attnum > 0 AND NOT a.attisdropped"
                               " UNION ALL SELECT 12, 0::oid, 0, c.relname::text, n.nspname::text, 0::oid, "
                               "NULL"
                               " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = "
                               "c.relnamespace"
                               " WHERE c.relkind NOT IN ('i', 'I', 'c')"
                               " ORDER BY 1, 2, 3, 4, 5, 6";

struct writer {
	char *out;
	size_t cap, n;
	bool full;
};

static void put(struct writer *w, const char *bytes, size_t n)
{
	if (w->full || n >= w->cap - w->n) {
		w->full = true;
		return;
	}
	memcpy(w->out + w->n, bytes, n);
	w->n += n;
	w->out[w->n] = '\0';
}

static void put_text(struct writer *w, const char *text)
{
	put(w, text, strlen(text));
}

/*
 * "name LIKE 'glob' ESCAPE '!'". '?' is a byte here and a character there: it becomes any run. No backslash
 * is written, so that the literal reads the same whatever standard_conforming_strings says.
 */
static void put_like(struct writer *w, const char *name, const char *glob, size_t n)
{
	put_text(w, name);
	put_text(w, " LIKE '");
	for (size_t i = 0; i < n; i++) {
		char c = glob[i] >= 'A' && glob[i] <= 'Z' ? (char)(glob[i] | 0x20) : glob[i];

		if (c == '*' || c == '?' || c == '\\')
			put(w, "%", 1);
		else if (c == '%' || c == '_' || c == '!')
			put(w, (char[]){'!', c}, 2);
		else if (c == '\'')
			put(w, "''", 2);
		else
			put(w, &c, 1);
	}
	put_text(w, "' ESCAPE '!'");
}

/* "schema.table.column", from its end. */
static void put_path(struct writer *w, const char *glob)
{
	static const char *const names[] = {"c", "rel.r", "rel.s"};
	const char *end = glob + strlen(glob), *at;
	int part = 0;

	while (part < 3) {
		for (at = end; at > glob && at[-1] != '.'; at--)
			;
		if (part > 0)
			put_text(w, " AND ");
		put_like(w, names[part++], at, (size_t)(end - at));
		if (at == glob)
			return;
		end = at - 1;
	}
}

static void put_conditions(struct writer *w, const struct sl_snapshot *s)
{
	const char *between = "";

	for (uint32_t i = 0; i < s->nb_masks; i++) {
		const struct sl_mask *m = &s->masks[i];

		for (uint32_t g = 0; g < m->columns.nb; g++, between = " OR ") {
			put_text(w, between);
			put_path(w, m->columns.v[g]);
		}
		for (uint32_t g = 0; g < m->types.nb; g++, between = " OR ") {
			put_text(w, between);
			put_like(w, "lower(n.typname::text COLLATE \"C\")", m->types.v[g],
			         strlen(m->types.v[g]));
		}
	}
	if (between[0] == '\0')
		put_text(w, "false");
}

/* The text with `what` wherever `sign` stands. */
static void put_with(struct writer *w, const char *text, char sign, const char *what)
{
	for (const char *at; (at = strchr(text, sign)) != NULL; text = at + 1) {
		put(w, text, (size_t)(at - text));
		put_text(w, what);
	}
	put_text(w, text);
}

static void put_tail(struct writer *w, uint32_t rule_max)
{
	char number[16];

	(void)snprintf(number, sizeof(number), "%u",
	               rule_max < SL_CATALOG_RULE_MAX ? rule_max : SL_CATALOG_RULE_MAX);
	put_with(w, tail, '@', number);
}

long sl_catalog_query(const struct sl_snapshot *s, uint32_t rule_max, char *out, size_t cap)
{
	struct writer w = {.out = out, .cap = cap};
	size_t at;

	if (cap < sizeof(head) + sizeof(tail) + strlen(sl_sql_readers()) + 64)
		return sl_fail(SL_E_LIMIT);
	put_with(&w, head, '#', sl_sql_readers());
	at = w.n;
	w.cap = cap - sizeof(tail) - 32;
	put_conditions(&w, s);
	if (w.full) {
		w.full = false;
		w.n = at;
		put_text(&w, "true");
	}
	w.cap = cap;
	put_tail(&w, rule_max);
	return w.full ? sl_fail(SL_E_LIMIT) : (long)w.n;
}
