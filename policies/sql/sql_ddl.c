/* CREATE, ALTER and DROP: the kind of object and the relation that it belongs to. */
#include "sql_parse_priv.h"

/* Objects that are more than the schema's change. */
static uint64_t kinds_of(enum sql_keyword object)
{
	switch (object) {
	case KW_DATABASE:
	case KW_EVENT:
	case KW_EXTENSION:
	case KW_FOREIGN:
	case KW_LANGUAGE:
	case KW_PUBLICATION:
	case KW_SERVER:
	case KW_SUBSCRIPTION:
	case KW_SYSTEM:
	case KW_TABLESPACE:
		return BIT(ADMIN);
	case KW_DEFAULT: /* PRIVILEGES */
	case KW_GROUP:
	case KW_OWNED:
	case KW_ROLE:
	case KW_USER:
		return BIT(GRANT);
	default:
		return 0;
	}
}

static void if_exists(struct sql_parser *p)
{
	if (!sql_is_kw(p, KW_IF))
		return;
	if (sql_peek(p, 1)->kw == KW_NOT) {
		sql_take(p);
		sql_take(p);
		sql_need_kw(p, KW_EXISTS);
	} else if (sql_peek(p, 1)->kw == KW_EXISTS) {
		sql_take(p);
		sql_take(p);
	}
}

/* ---- CREATE ---- */

/* AS query, AS EXECUTE: what fills a table or is a view. */
static void as_query(struct sql_parser *p)
{
	if (sql_take_kw(p, KW_EXECUTE)) {
		sql_execute(p);
		return;
	}
	sql_use_role(p, SQL_ROLE_TOP);
	(void)sql_query(p);
	if (sql_is_kw(p, KW_WITH)) /* [NO] DATA, CHECK OPTION */
		sql_words(p);
}

static void inherits(struct sql_parser *p)
{
	sql_need_char(p, '(');
	do {
		sql_add_relation(p, sql_name(p), SL_SQL_READS);
	} while (!p->failed && sql_take_char(p, ','));
	sql_need_char(p, ')');
}

/* What may come behind the name of a table or view. */
static void table_rest(struct sql_parser *p)
{
	while (!sql_at_end(p) && !sql_is_char(p, ')')) {
		if (p->in_schema && (sql_is_kw(p, KW_CREATE) || sql_is_kw(p, KW_GRANT)))
			return;
		if (sql_take_kw(p, KW_AS)) {
			as_query(p);
			return;
		}
		if (sql_take_kw(p, KW_INHERITS)) {
			inherits(p);
		} else if (sql_is_kw(p, KW_PARTITION) && sql_peek(p, 1)->kw == KW_OF) {
			sql_take(p);
			sql_take(p);
			sql_add_relation(p, sql_name(p), SL_SQL_DEFINES);
		} else {
			sql_loose(p);
		}
	}
}

static void create_table(struct sql_parser *p)
{
	if_exists(p);
	sql_add_relation(p, sql_name(p), SL_SQL_DEFINES);
	if (sql_is_char(p, '('))
		(void)sql_parens(p);
	table_rest(p);
}

static void create_view(struct sql_parser *p)
{
	uint32_t first = p->out->nb_relations;

	create_table(p);
	/* An UPDATE of it would be one of what it is made over. */
	for (uint32_t i = first; i < p->out->nb_relations; i++)
		if (sql_is_settings(p->out->relations[i].name))
			sql_add_kinds(p, BIT(ADMIN) | BIT(OPAQUE));
}

/* [name] ON [ONLY] table ... */
static void create_on(struct sql_parser *p)
{
	while (!p->failed && !sql_take_kw(p, KW_ON)) {
		if (sql_at_end(p))
			sql_fail(p);
		sql_take(p);
	}
	(void)sql_take_kw(p, KW_ONLY);
	sql_add_relation(p, sql_name(p), SL_SQL_DEFINES);
	if (sql_is_char(p, '('))
		(void)sql_parens(p);
	if (sql_take_kw(p, KW_FROM)) /* of a constraint trigger */
		sql_add_relation(p, sql_name(p), SL_SQL_READS);
	sql_words(p);
}

/* BEGIN ATOMIC statement; ... END */
static void atomic_body(struct sql_parser *p)
{
	sql_take(p);
	sql_take(p);
	while (!p->failed && !sql_take_kw(p, KW_END)) {
		if (sql_take_kw(p, KW_RETURN))
			sql_exprs(p);
		else if (!sql_is_char(p, ';'))
			sql_statement(p, true);
		sql_need_char(p, ';');
	}
}

/* A routine holds code: what it does when it is called is not seen here. */
static void create_routine(struct sql_parser *p)
{
	sql_add_kinds(p, BIT(OPAQUE));
	while (!sql_at_end(p) && !sql_is_char(p, ')')) {
		if (sql_is_kw(p, KW_BEGIN) && sql_peek(p, 1)->kw == KW_ATOMIC)
			atomic_body(p);
		else
			sql_loose(p);
	}
}

/* The actions of a rule: one statement, or several in parentheses. */
static void rule_actions(struct sql_parser *p)
{
	if (sql_take_kw(p, KW_NOTHING))
		return;
	if (!sql_is_char(p, '(') || sql_peek(p, 1)->kw == KW_SELECT || sql_peek(p, 1)->c == '(') {
		sql_statement(p, true);
		return;
	}
	sql_take(p);
	while (!p->failed && !sql_take_char(p, ')')) {
		if (sql_take_char(p, ';'))
			continue;
		if (sql_peek(p, 0)->type == TOK_END)
			sql_fail(p);
		sql_statement(p, true);
	}
}

/* RULE name AS ON event TO table [WHERE ...] DO [ALSO | INSTEAD] actions */
static void create_rule(struct sql_parser *p)
{
	sql_add_kinds(p, BIT(OPAQUE));
	(void)sql_name(p);
	sql_need_kw(p, KW_AS);
	sql_need_kw(p, KW_ON);
	sql_label(p);
	sql_need_kw(p, KW_TO);
	sql_add_relation(p, sql_name(p), SL_SQL_DEFINES);
	if (sql_take_kw(p, KW_WHERE))
		sql_exprs(p);
	sql_need_kw(p, KW_DO);
	if (!sql_take_kw(p, KW_ALSO))
		(void)sql_take_kw(p, KW_INSTEAD);
	if (!p->failed)
		rule_actions(p);
}

/* STATISTICS [name] [(kinds)] ON expressions FROM tables: the target takes one and no other kind */
static void create_statistics(struct sql_parser *p)
{
	while (!sql_at_end(p) && !sql_is_kw(p, KW_FROM) && !sql_is_char(p, ')'))
		sql_loose(p);
	sql_need_kw(p, KW_FROM);
	sql_from_list(p);
}

/* name FOR | ADD | SET | DROP TABLE table [(columns)] [WHERE (...)], table, TABLES IN SCHEMA name ... */
static void publication(struct sql_parser *p)
{
	bool tables = false;

	(void)sql_name(p);
	if (!sql_take_kw(p, KW_FOR) && !sql_take_kw(p, KW_ADD) && !sql_take_kw(p, KW_SET))
		(void)sql_take_kw(p, KW_DROP);
	do {
		if (sql_take_kw(p, KW_TABLE))
			tables = true;
		else if (sql_is_kw(p, KW_TABLES) && sql_peek(p, 1)->kw == KW_IN)
			tables = false;
		if (!tables) {
			while (!sql_at_end(p) && !sql_is_char(p, ',') && !sql_is_char(p, ')'))
				sql_loose(p);
			continue;
		}
		sql_relation_expr(p, SL_SQL_READS);
		if (sql_is_char(p, '('))
			(void)sql_parens(p);
		if (sql_take_kw(p, KW_WHERE))
			(void)sql_parens(p);
	} while (!p->failed && sql_take_char(p, ','));
	sql_words(p);
}

/* SCHEMA [name] [AUTHORIZATION role] elements */
static void create_schema(struct sql_parser *p)
{
	while (!sql_at_end(p) && !sql_is_kw(p, KW_CREATE) && !sql_is_kw(p, KW_GRANT)) {
		if (sql_peek(p, 0)->type == TOK_CHAR && !sql_is_char(p, '.'))
			sql_fail(p);
		sql_take(p);
	}
	p->in_schema = true;
	while (!p->failed && !sql_at_end(p))
		sql_statement(p, true);
	p->in_schema = false;
}

static void before_object(struct sql_parser *p)
{
	static const enum sql_keyword words[] = {KW_OR,     KW_REPLACE,  KW_TRUSTED,    KW_PROCEDURAL,
	                                         KW_GLOBAL, KW_LOCAL,    KW_TEMPORARY,  KW_TEMP,
	                                         KW_UNIQUE, KW_UNLOGGED, KW_CONSTRAINT, KW_RECURSIVE};
	bool more = true;

	while (more && !p->failed) {
		more = false;
		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			more |= sql_take_kw(p, words[i]);
	}
}

void sql_create(struct sql_parser *p)
{
	enum sql_keyword object;

	before_object(p);
	if (p->uses != NULL)
		sql_use_object(p, false);
	object = sql_peek(p, 0)->kw;
	sql_add_kinds(p, kinds_of(object));
	sql_label(p);
	switch (object) {
	case KW_TABLE:
		create_table(p);
		break;
	case KW_VIEW:
		create_view(p);
		break;
	case KW_SEQUENCE:
		if_exists(p);
		sql_add_relation(p, sql_name(p), SL_SQL_DEFINES);
		sql_words(p);
		break;
	case KW_MATERIALIZED:
		sql_need_kw(p, KW_VIEW);
		create_table(p);
		break;
	case KW_FOREIGN:
		if (sql_take_kw(p, KW_TABLE))
			create_table(p);
		else
			sql_rest(p);
		break;
	case KW_INDEX:
	case KW_TRIGGER:
	case KW_POLICY:
		create_on(p);
		break;
	case KW_FUNCTION:
	case KW_PROCEDURE:
		create_routine(p);
		break;
	case KW_RULE:
		create_rule(p);
		break;
	/* They call functions that stand there without arguments, or as literals: as good as a routine. */
	case KW_AGGREGATE:
	case KW_CAST:
	case KW_OPERATOR:
	case KW_TRANSFORM:
		sql_add_kinds(p, BIT(OPAQUE));
		sql_words(p);
		break;
	case KW_STATISTICS:
		create_statistics(p);
		break;
	case KW_PUBLICATION:
		publication(p);
		break;
	case KW_SCHEMA:
		create_schema(p);
		break;
	default:
		sql_words(p);
		break;
	}
}

/* ---- ALTER ---- */

static void alter_relation(struct sql_parser *p)
{
	if_exists(p);
	if (sql_take_kw(p, KW_ALL)) { /* IN TABLESPACE */
		sql_words(p);
		return;
	}
	sql_relation_expr(p, SL_SQL_DEFINES);
	while (!sql_at_end(p) && !sql_is_char(p, ')')) {
		bool partition = (sql_is_kw(p, KW_ATTACH) || sql_is_kw(p, KW_DETACH)) &&
		                 sql_peek(p, 1)->kw == KW_PARTITION;

		if (partition)
			sql_take(p);
		if (partition || (sql_is_kw(p, KW_INHERIT) && sql_names(sql_peek(p, 1)))) {
			sql_take(p);
			sql_add_relation(p, sql_name(p), partition ? SL_SQL_DEFINES : SL_SQL_READS);
			continue;
		}
		sql_loose(p);
	}
}

void sql_alter(struct sql_parser *p)
{
	enum sql_keyword object = sql_peek(p, 0)->kw;

	if (p->uses != NULL)
		sql_use_object(p, true);
	sql_add_kinds(p, kinds_of(object));
	sql_label(p);
	switch (object) {
	case KW_TABLE:
	case KW_VIEW:
	case KW_SEQUENCE:
	case KW_INDEX:
		alter_relation(p);
		break;
	case KW_MATERIALIZED:
		sql_need_kw(p, KW_VIEW);
		alter_relation(p);
		break;
	case KW_FOREIGN:
		if (sql_take_kw(p, KW_TABLE))
			alter_relation(p);
		else
			sql_words(p);
		break;
	case KW_TRIGGER:
	case KW_RULE:
	case KW_POLICY:
		(void)sql_name(p);
		sql_need_kw(p, KW_ON);
		sql_add_relation(p, sql_name(p), SL_SQL_DEFINES);
		sql_words(p);
		break;
	case KW_PUBLICATION:
		publication(p);
		break;
	default:
		sql_words(p);
		break;
	}
}

/* ---- DROP ---- */

static void drop_relations(struct sql_parser *p)
{
	(void)sql_take_kw(p, KW_CONCURRENTLY);
	if_exists(p);
	do {
		sql_add_relation(p, sql_name(p), SL_SQL_DEFINES);
	} while (!p->failed && sql_take_char(p, ','));
	sql_words(p);
}

void sql_drop(struct sql_parser *p)
{
	enum sql_keyword object = sql_peek(p, 0)->kw;

	sql_add_kinds(p, kinds_of(object));
	sql_label(p);
	switch (object) {
	case KW_TABLE:
	case KW_VIEW:
	case KW_SEQUENCE:
	case KW_INDEX:
		drop_relations(p);
		break;
	case KW_MATERIALIZED:
		sql_need_kw(p, KW_VIEW);
		drop_relations(p);
		break;
	case KW_FOREIGN:
		if (sql_take_kw(p, KW_TABLE))
			drop_relations(p);
		else
			sql_words(p);
		break;
	case KW_TRIGGER:
	case KW_RULE:
	case KW_POLICY:
		if_exists(p);
		(void)sql_name(p);
		sql_need_kw(p, KW_ON);
		drop_relations(p);
		break;
	default:
		sql_words(p);
		break;
	}
}
