/*
 * Compares the parser with PostgreSQL's own, taken from libpg_query: sql_oracle FILE... reads SQL scripts as
 * psql does, gives each statement that PostgreSQL's parser accepts to both, and counts. It fails when the
 * parser says that a statement writes other relations than it does, or misses one that it reads or a function
 * that it calls, or when it understands less than 99.8 % of them. With --generate SEED SECONDS the statements
 * are made at random (generate.c) and not read from files.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>
#include <pg_query.h>

#include "generate.h"
#include "sl_sql.h"
#include "uses.h"

#define NAMES_MAX     512
#define NAME_TEXT_MAX 160
#define COMPLETE_MIN  0.998
#define TEXT_MAX      16384 /* bytes of a generated statement; a longer one is cut, and mostly refused */
#define SHOWN_MAX     40    /* complaints that are printed */

struct names {
	uint32_t nb;
	char name[NAMES_MAX][NAME_TEXT_MAX];
};

struct found {
	struct names writes, reads, functions, ctes;
	bool planned; /* inside of EXPLAIN without ANALYZE */
};

static struct {
	unsigned long statements, refused, incomplete, writes, reads, functions, uses;
	unsigned long shown;
} count;

static void add(struct names *n, const char *schema, const char *name)
{
	if (n->nb < NAMES_MAX)
		(void)snprintf(n->name[n->nb++], NAME_TEXT_MAX, "%s%s%s", schema, *schema != '\0' ? "." : "",
		               name);
}

static bool has(const struct names *n, const char *name)
{
	for (uint32_t i = 0; i < n->nb; i++) {
		if (strcmp(n->name[i], name) == 0)
			return true;
	}
	return false;
}

/* ---- what PostgreSQL's parser says ---- */

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

static void range_var(struct found *f, const json_t *rv, bool writes)
{
	const char *schema = text_of(rv, "schemaname"), *name = text_of(rv, "relname");

	if (writes && !f->planned)
		add(&f->writes, schema, name);
	else if (*schema != '\0' || !has(&f->ctes, name))
		add(&f->reads, schema, name);
}

/* The names of a list of strings, but for the last `but` of them. */
static void name_list(struct names *n, const json_t *list, size_t but)
{
	size_t len = json_array_size(list);
	const char *part[2] = {"", ""};

	if (len < but + 1)
		return;
	for (size_t i = 0; i < 2 && i < len - but; i++)
		part[1 - i] =
		        text_of(json_object_get(json_array_get(list, len - but - 1 - i), "String"), "sval");
	add(n, part[0], part[1]);
}

/* What DROP, COMMENT and SECURITY LABEL name, by its type: a relation, or what belongs to one. */
static void changed_object(struct found *f, const char *type, const json_t *object)
{
	static const char *const whole[] = {"OBJECT_TABLE",    "OBJECT_VIEW",  "OBJECT_MATVIEW",
	                                    "OBJECT_SEQUENCE", "OBJECT_INDEX", "OBJECT_FOREIGN_TABLE"};
	static const char *const part[] = {"OBJECT_TRIGGER", "OBJECT_RULE", "OBJECT_POLICY", "OBJECT_COLUMN",
	                                   "OBJECT_TABCONSTRAINT"};
	const json_t *items = json_object_get(json_object_get(object, "List"), "items");

	for (size_t k = 0; k < sizeof(whole) / sizeof(whole[0]); k++) {
		if (strcmp(type, whole[k]) == 0)
			name_list(&f->writes, items, 0);
	}
	for (size_t k = 0; k < sizeof(part) / sizeof(part[0]); k++) {
		if (strcmp(type, part[k]) == 0)
			name_list(&f->writes, items, 1);
	}
}

static void drop_objects(struct found *f, const json_t *stmt)
{
	const json_t *objects = json_object_get(stmt, "objects");

	for (size_t i = 0; i < json_array_size(objects); i++)
		changed_object(f, text_of(stmt, "removeType"), json_array_get(objects, i));
}

/* Where a node holds the relation that its statement changes. */
static const struct {
	const char *node, *key;
} changes[] = {
        {"InsertStmt", "relation"},     {"UpdateStmt", "relation"},    {"DeleteStmt", "relation"},
        {"CreateStmt", "relation"},     {"ViewStmt", "view"},          {"IndexStmt", "relation"},
        {"AlterTableStmt", "relation"}, {"PartitionCmd", "name"},      {"RefreshMatViewStmt", "relation"},
        {"CreateTrigStmt", "relation"}, {"RuleStmt", "relation"},      {"CreatePolicyStmt", "table"},
        {"AlterPolicyStmt", "table"},   {"CreateSeqStmt", "sequence"}, {"AlterSeqStmt", "sequence"},
        {"RenameStmt", "relation"},     {"TruncateStmt", "relations"}, {"AlterObjectSchemaStmt", "relation"},
        {"base", "relation"},           {"GrantStmt", "objects"},
};

static bool merge_acts(const json_t *stmt)
{
	const json_t *clauses = json_object_get(stmt, "mergeWhenClauses");

	for (size_t i = 0; i < json_array_size(clauses); i++) {
		const json_t *c = json_object_get(json_array_get(clauses, i), "MergeWhenClause");

		if (strcmp(text_of(c, "commandType"), "CMD_NOTHING") != 0)
			return true;
	}
	return false;
}

static bool is_change(const char *node, const char *key, const json_t *stmt)
{
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		if (strcmp(node, changes[i].node) == 0 && strcmp(key, changes[i].key) == 0)
			return true;
	}
	if (strcmp(node, "MergeStmt") == 0 && strcmp(key, "relation") == 0)
		return merge_acts(stmt);
	if (strcmp(node, "CopyStmt") == 0 && strcmp(key, "relation") == 0)
		return json_is_true(json_object_get(stmt, "is_from"));
	if ((strcmp(node, "intoClause") == 0 || strcmp(node, "into") == 0) && strcmp(key, "rel") == 0)
		return true;
	/* PARTITION OF changes the parent. */
	return (strcmp(node, "CreateStmt") == 0 || strcmp(node, "base") == 0) &&
	       strcmp(key, "inhRelations") == 0 && json_object_get(stmt, "partbound") != NULL;
}

static void walk(struct found *f, const char *node, json_t *v, bool change);

static void walk_ctes(struct found *f, const json_t *with)
{
	const json_t *ctes = json_object_get(with, "ctes");
	bool recursive = json_is_true(json_object_get(with, "recursive"));

	for (size_t i = 0; i < json_array_size(ctes); i++) {
		json_t *c = json_object_get(json_array_get(ctes, i), "CommonTableExpr");

		if (recursive)
			add(&f->ctes, "", text_of(c, "ctename"));
		walk(f, "CommonTableExpr", c, false);
		if (!recursive)
			add(&f->ctes, "", text_of(c, "ctename"));
	}
}

/* What names relations and neither reads nor changes their rows or definition. */
static const char *const no_query[] = {"CompositeTypeStmt", "ConstraintsSetStmt", "LockingClause",
                                       "ImportForeignSchemaStmt"};

/* Operators of the grammar's own (SIMILAR TO, LIKE ... ESCAPE) become calls, too. */
static void called(struct found *f, const json_t *name)
{
	name_list(&f->functions, name, 0);
	if (f->functions.nb > 0 && strstr(f->functions.name[f->functions.nb - 1], "pg_catalog.") != NULL &&
	    strstr(f->functions.name[f->functions.nb - 1], "_escape") != NULL)
		f->functions.nb--;
}

static void walk_object(struct found *f, const char *node, json_t *o)
{
	uint32_t nb_ctes = f->ctes.nb;
	bool planned = f->planned;
	const char *key;
	json_t *child;

	if (strcmp(node, "ExplainStmt") == 0) {
		char *text = json_dumps(json_object_get(o, "options"), JSON_ENCODE_ANY);

		f->planned = text == NULL || strstr(text, "\"analyze\"") == NULL;
		free(text);
	}
	for (size_t i = 0; i < sizeof(no_query) / sizeof(no_query[0]); i++) {
		if (strcmp(node, no_query[i]) == 0)
			return;
	}
	if (strcmp(text_of(o, "objtype"), "OBJECT_TYPE") == 0 ||
	    strcmp(text_of(o, "renameType"), "OBJECT_ATTRIBUTE") == 0)
		return; /* a type is no relation here */
	if (strcmp(node, "DropStmt") == 0)
		drop_objects(f, o);
	if (strcmp(node, "CommentStmt") == 0 || strcmp(node, "SecLabelStmt") == 0)
		changed_object(f, text_of(o, "objtype"), json_object_get(o, "object"));
	if (strcmp(node, "FuncCall") == 0 && strcmp(text_of(o, "funcformat"), "COERCE_SQL_SYNTAX") != 0)
		called(f, json_object_get(o, "funcname"));
	walk_ctes(f, json_object_get(o, "withClause"));
	json_object_foreach(o, key, child)
	{
		if (strcmp(key, "withClause") != 0)
			walk(f, key, child, is_change(node, key, o));
	}
	f->ctes.nb = nb_ctes;
	f->planned = planned;
}

static void walk(struct found *f, const char *node, json_t *v, bool change)
{
	if (json_is_array(v)) {
		for (size_t i = 0; i < json_array_size(v); i++)
			walk(f, node, json_array_get(v, i), change);
		return;
	}
	if (!json_is_object(v))
		return;
	if (json_object_get(v, "relname") != NULL && json_object_get(v, "relpersistence") != NULL) {
		range_var(f, v, change);
		return;
	}
	if (change && json_object_get(v, "RangeVar") != NULL) {
		range_var(f, json_object_get(v, "RangeVar"), true);
		return;
	}
	walk_object(f, node, v);
}

/* ---- what ours says ---- */

static void ours(const struct sl_sql *sql, struct found *f)
{
	char schema[SL_SQL_NAME_MAX + 1], name[SL_SQL_NAME_MAX + 1];

	for (uint32_t i = 0; i < sql->nb_relations; i++) {
		const struct sl_sql_relation *r = &sql->relations[i];

		schema[sl_sql_name_fold(r->name.schema, schema)] = '\0';
		name[sl_sql_name_fold(r->name.name, name)] = '\0';
		if (r->access & SL_SQL_WRITES)
			add(&f->writes, schema, name);
		if (r->access & ~SL_SQL_WRITES)
			add(&f->reads, schema, name);
	}
	for (uint32_t i = 0; i < sql->nb_functions; i++) {
		schema[sl_sql_name_fold(sql->functions[i].name.schema, schema)] = '\0';
		name[sl_sql_name_fold(sql->functions[i].name.name, name)] = '\0';
		add(&f->functions, schema, name);
	}
}

/* ---- one statement ---- */

static void complain(const char *what, const char *name, const char *sql)
{
	if (count.shown++ < SHOWN_MAX)
		printf("%s %s\n    %.400s\n", what, name, sql + strspn(sql, " \n\t"));
}

static bool within(const struct names *a, const struct names *b, const char *what, const char *sql)
{
	for (uint32_t i = 0; i < a->nb; i++) {
		if (!has(b, a->name[i])) {
			complain(what, a->name[i], sql);
			return false;
		}
	}
	return true;
}

static void compare(json_t *tree, const char *text)
{
	static struct found theirs, mine;
	static struct sl_sql sql;

	memset(&theirs, 0, sizeof(theirs));
	memset(&mine, 0, sizeof(mine));
	sl_sql_scan(sl_span_str(text), &sql);
	count.statements++;
	if (!sql.complete) {
		count.incomplete++;
		complain("not understood:", "", text);
		return;
	}
	walk(&theirs, "", tree, false);
	ours(&sql, &mine);
	if (!within(&theirs.writes, &mine.writes, "write missed:", text) ||
	    !within(&mine.writes, &theirs.writes, "write too much:", text))
		count.writes++;
	if (!within(&theirs.reads, &mine.reads, "read missed:", text))
		count.reads++;
	if (!within(&theirs.functions, &mine.functions, "call missed:", text))
		count.functions++;
	if (!uses_agree(tree, text, &sql, complain))
		count.uses++;
}

static void statement(char *text)
{
	PgQueryParseResult r;
	json_t *tree;
	json_t *stmts;

	if (text[strspn(text, " \t\r\n")] == '\0')
		return;
	r = pg_query_parse(text);
	tree = r.error == NULL ? json_loads(r.parse_tree, JSON_ALLOW_NUL, NULL) : NULL;
	stmts = json_object_get(tree, "stmts");
	if (tree == NULL)
		count.refused++;
	else if (json_array_size(stmts) > 0)
		compare(stmts, text);
	json_decref(tree);
	pg_query_free_parse_result(r);
}

/* ---- scripts ---- */

/* Takes out what is psql's own: meta-commands and the data behind COPY FROM stdin. */
static void for_server(char *s)
{
	bool data = false;
	char *line = s;

	while (*line != '\0') {
		char *end = strchrnul(line, '\n');
		char saved = *end;

		*end = '\0';
		if (data || line[0] == '\\') {
			if (strncmp(line, "\\.", 2) == 0)
				data = false;
			memset(line, ' ', (size_t)(end - line));
		} else {
			char *meta = strstr(line, "\\g");

			if (meta != NULL) { /* \gset and the like end a statement */
				memset(meta, ' ', (size_t)(end - meta));
				*meta = ';';
			}
			if (strncasecmp(line, "copy ", 5) == 0 && strcasestr(line, "from stdin") != NULL &&
			    strchr(line, ';') != NULL)
				data = true;
		}
		*end = saved;
		line = *end == '\0' ? end : end + 1;
	}
}

static char *read_file(const char *name)
{
	FILE *f = fopen(name, "rb");
	char *s = NULL;
	long n;

	if (f == NULL)
		return NULL;
	if (fseek(f, 0, SEEK_END) == 0 && (n = ftell(f)) >= 0 && fseek(f, 0, SEEK_SET) == 0 &&
	    (s = malloc((size_t)n + 1)) != NULL) {
		n = (long)fread(s, 1, (size_t)n, f);
		s[n] = '\0';
	}
	(void)fclose(f);
	return s;
}

/* Splits behind lines that end in a semicolon. */
static void by_lines(char *s)
{
	char *end;

	for (; (end = strstr(s, ";\n")) != NULL; s = end + 1) {
		*end = '\0';
		statement(s);
	}
	statement(s);
}

static int script(const char *name)
{
	char *s = read_file(name);
	PgQuerySplitResult split;

	if (s == NULL) {
		(void)fprintf(stderr, "%s: cannot be read\n", name);
		return 1;
	}
	for_server(s);
	split = pg_query_split_with_scanner(s);
	for (int i = 0; split.error == NULL && i < split.n_stmts; i++) {
		char *at = s + split.stmts[i]->stmt_location, *end = at + split.stmts[i]->stmt_len;
		char saved = *end;

		*end = '\0';
		statement(at);
		*end = saved;
	}
	/* PostgreSQL's scanner stops at a token that is wrong on purpose. */
	if (split.error != NULL)
		by_lines(s);
	pg_query_free_split_result(split);
	free(s);
	return 0;
}

static void generated(const char *seed_text, const char *seconds)
{
	static char text[TEXT_MAX];
	uint64_t seed = strtoull(seed_text, NULL, 10) * 2 + 1;
	time_t end = time(NULL) + strtol(seconds, NULL, 10);

	printf("seed %s\n", seed_text);
	do {
		generate(&seed, text, sizeof(text));
		statement(text);
	} while (time(NULL) < end);
}

int main(int argc, char **argv)
{
	bool made = argc == 4 && strcmp(argv[1], "--generate") == 0;
	double complete;

	if (made)
		generated(argv[2], argv[3]);
	for (int i = 1; !made && i < argc; i++) {
		if (script(argv[i]) != 0)
			return 1;
	}
	if (count.statements == 0) {
		(void)fprintf(stderr, "usage: sql_oracle FILE... | --generate SEED SECONDS\n");
		return 2;
	}
	complete = 1.0 - (double)count.incomplete / (double)count.statements;
	printf("%lu statements (%lu more are refused by PostgreSQL's parser too): %.3f %% understood, %lu "
	       "not\n"
	       "wrong write sets: %lu; reads missed: %lu; calls missed: %lu; uses wrong: %lu of %lu in %lu\n",
	       count.statements, count.refused, 100 * complete, count.incomplete, count.writes, count.reads,
	       count.functions, count.uses, uses_compared, uses_complete);
	return count.writes + count.reads + count.functions + count.uses > 0 || complete < COMPLETE_MIN;
}
