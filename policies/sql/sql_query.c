/* Queries and the statements that change rows. */
#include "sql_parse_priv.h"

/* ---- FROM ---- */

static void alias(struct sql_parser *p)
{
	if (sql_take_kw(p, KW_AS)) {
		if (!sql_is_char(p, '('))
			sql_label(p);
	} else if (sql_at_name(p) && sql_keyword_class(sql_peek(p, 0)->kw) != 'T' && !sql_is_kw(p, KW_SET)) {
		sql_label(p);
	}
	if (sql_is_char(p, '('))
		(void)sql_parens(p);
}

void sql_relation_expr(struct sql_parser *p, uint8_t access)
{
	bool only = sql_take_kw(p, KW_ONLY);
	bool parens = only && sql_take_char(p, '(');

	sql_add_relation(p, sql_name(p), access);
	if (parens)
		sql_need_char(p, ')');
	(void)sql_take_char(p, '*');
}

static void table_ref(struct sql_parser *p);

/* ON or USING behind a join. */
static void join_condition(struct sql_parser *p)
{
	if (sql_take_kw(p, KW_ON)) {
		sql_expr(p);
	} else if (sql_take_kw(p, KW_USING)) {
		(void)sql_parens(p);
		if (sql_take_kw(p, KW_AS))
			sql_label(p);
	}
}

/* [NATURAL] [CROSS | INNER | LEFT ...] JOIN. False when there is none. */
static bool take_join(struct sql_parser *p)
{
	bool word = sql_take_kw(p, KW_NATURAL);

	if (sql_take_kw(p, KW_LEFT) || sql_take_kw(p, KW_RIGHT) || sql_take_kw(p, KW_FULL)) {
		(void)sql_take_kw(p, KW_OUTER);
		word = true;
	} else if (sql_take_kw(p, KW_CROSS) || sql_take_kw(p, KW_INNER)) {
		word = true;
	}
	if (sql_take_kw(p, KW_JOIN))
		return true;
	if (word)
		sql_fail(p);
	return false;
}

static void joins(struct sql_parser *p)
{
	while (!p->failed && take_join(p)) {
		table_ref(p);
		/* a JOIN b JOIN c ON x ON y: the inner one comes first. */
		if (!sql_is_kw(p, KW_ON) && !sql_is_kw(p, KW_USING))
			joins(p);
		join_condition(p);
	}
}

static void rows_from(struct sql_parser *p)
{
	sql_take(p);
	sql_need_kw(p, KW_FROM);
	(void)sql_parens(p);
}

/* A relation, or a call of a function. */
static void named_ref(struct sql_parser *p)
{
	enum sql_keyword kw = sql_peek(p, 0)->kw;
	struct sl_sql_name name;

	if (sql_keyword_class(kw) == 'R' && kw != KW_IDENTIFIER && kw != KW_ONLY) {
		/* CURRENT_DATE and the like, CAST (...) */
		if (kw != KW_CAST && kw != KW_CURRENT_DATE && kw != KW_CURRENT_TIMESTAMP &&
		    kw != KW_CURRENT_USER && kw != KW_SESSION_USER && kw != KW_USER &&
		    kw != KW_CURRENT_TIME && kw != KW_LOCALTIME && kw != KW_LOCALTIMESTAMP &&
		    kw != KW_CURRENT_ROLE && kw != KW_CURRENT_CATALOG)
			sql_fail(p);
		sql_take(p);
		if (sql_is_char(p, '('))
			(void)sql_parens(p);
		return;
	}
	if (kw == KW_ONLY) {
		sql_relation_expr(p, SL_SQL_READS);
		return;
	}
	name = sql_name(p);
	if (!sql_is_char(p, '(')) {
		sql_add_relation(p, name, SL_SQL_READS);
		(void)sql_take_char(p, '*');
		return;
	}
	sql_add_function(p, name);
	(void)sql_parens(p);
	if (sql_is_kw(p, KW_WITH) && sql_peek(p, 1)->kw == KW_ORDINALITY) {
		sql_take(p);
		sql_take(p);
	}
}

static void table_ref(struct sql_parser *p)
{
	if (!sql_enter(p)) {
		sql_leave(p);
		return;
	}
	(void)sql_take_kw(p, KW_LATERAL);
	if (sql_is_char(p, '(')) {
		const struct sql_token *t = sql_peek(p, 1);

		if (t->kw == KW_SELECT || t->kw == KW_WITH || t->kw == KW_VALUES || t->kw == KW_TABLE) {
			(void)sql_parens(p);
		} else { /* a join, or more parentheses around either */
			sql_take(p);
			table_ref(p);
			if (sql_is_kw(p, KW_UNION) || sql_is_kw(p, KW_INTERSECT) || sql_is_kw(p, KW_EXCEPT) ||
			    sql_is_kw(p, KW_ORDER) || sql_is_kw(p, KW_LIMIT))
				sql_query_tail(p);
			joins(p);
			sql_need_char(p, ')');
		}
	} else if (sql_is_kw(p, KW_ROWS) && sql_peek(p, 1)->kw == KW_FROM) {
		rows_from(p);
		if (sql_is_kw(p, KW_WITH) && sql_peek(p, 1)->kw == KW_ORDINALITY) {
			sql_take(p);
			sql_take(p);
		}
	} else {
		named_ref(p);
	}
	alias(p);
	if (sql_take_kw(p, KW_TABLESAMPLE)) {
		sql_add_function(p, sql_name(p));
		(void)sql_parens(p);
		if (sql_take_kw(p, KW_REPEATABLE))
			(void)sql_parens(p);
	}
	sql_leave(p);
}

static void from_list(struct sql_parser *p)
{
	do {
		table_ref(p);
		joins(p);
	} while (!p->failed && sql_take_char(p, ','));
}

/* ---- SELECT ---- */

bool sql_at_query(struct sql_parser *p)
{
	switch (sql_peek(p, 0)->kw) {
	case KW_SELECT:
	case KW_WITH:
	case KW_TABLE:
		return true;
	case KW_VALUES:
		return sql_peek(p, 1)->c == '(';
	default:
		return false;
	}
}

/* INTO [TEMP] [TABLE] name: makes a table. */
static void select_into(struct sql_parser *p)
{
	static const enum sql_keyword words[] = {KW_GLOBAL, KW_LOCAL,    KW_TEMPORARY,
	                                         KW_TEMP,   KW_UNLOGGED, KW_TABLE};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		/* Also a table may be called so. */
		if (sql_is_kw(p, words[i]) && sql_peek(p, 1)->type != TOK_CHAR &&
		    (sql_peek(p, 1)->type != TOK_WORD || sql_keyword_class(sql_peek(p, 1)->kw) != 'R' ||
		     sql_peek(p, 1)->kw == KW_TABLE))
			sql_take(p);
	}
	sql_add_kinds(p, BIT(CREATE));
	sql_add_relation(p, sql_name(p), SL_SQL_DEFINES | SL_SQL_INSERTS);
}

static void group_by(struct sql_parser *p)
{
	sql_take(p);
	sql_need_kw(p, KW_BY);
	sql_exprs(p);
}

static void select_clauses(struct sql_parser *p)
{
	if (!sql_take_kw(p, KW_ALL) && sql_take_kw(p, KW_DISTINCT) && sql_take_kw(p, KW_ON))
		(void)sql_parens(p);
	sql_exprs(p);
	if (sql_take_kw(p, KW_INTO))
		select_into(p);
	if (sql_take_kw(p, KW_FROM))
		from_list(p);
	if (sql_take_kw(p, KW_INTO))
		sql_fail(p);
	if (sql_take_kw(p, KW_WHERE))
		sql_exprs(p);
	if (sql_is_kw(p, KW_GROUP))
		group_by(p);
	if (sql_take_kw(p, KW_HAVING))
		sql_exprs(p);
	if (sql_take_kw(p, KW_WINDOW))
		sql_exprs(p);
}

static void values(struct sql_parser *p)
{
	do {
		if (sql_parens(p)) /* ((SELECT 1)) is a row of one query */
			continue;
	} while (!p->failed && sql_take_char(p, ','));
}

static void primary(struct sql_parser *p)
{
	if (sql_is_char(p, '(')) {
		if (!sql_parens(p))
			sql_fail(p);
		return;
	}
	sql_add_kinds(p, BIT(SELECT));
	if (sql_take_kw(p, KW_SELECT)) {
		select_clauses(p);
	} else if (sql_take_kw(p, KW_VALUES)) {
		values(p);
	} else {
		sql_need_kw(p, KW_TABLE);
		sql_relation_expr(p, SL_SQL_READS);
	}
}

static bool take_set_operation(struct sql_parser *p)
{
	if (!sql_take_kw(p, KW_UNION) && !sql_take_kw(p, KW_INTERSECT) && !sql_take_kw(p, KW_EXCEPT))
		return false;
	if (!sql_take_kw(p, KW_ALL))
		(void)sql_take_kw(p, KW_DISTINCT);
	return true;
}

/* FETCH FIRST n ROWS ONLY, FOR UPDATE OF t NOWAIT: words and an expression. */
static void limit_or_lock(struct sql_parser *p)
{
	sql_take(p);
	for (;;) {
		sql_exprs(p);
		if (!sql_take_kw(p, KW_ONLY) &&
		    !(sql_is_kw(p, KW_WITH) && sql_peek(p, 1)->kw == KW_TIES && (sql_take(p), true)))
			return;
	}
}

void sql_query_tail(struct sql_parser *p)
{
	while (!p->failed && take_set_operation(p))
		primary(p);
	for (;;) {
		switch (sql_peek(p, 0)->kw) {
		case KW_ORDER:
			group_by(p);
			while (sql_take_kw(p, KW_USING)) /* an operator */
				sql_exprs(p);
			break;
		case KW_LIMIT:
		case KW_OFFSET:
		case KW_FETCH:
		case KW_FOR:
			limit_or_lock(p);
			break;
		default:
			return;
		}
	}
}

/* ---- statements that change rows ---- */

static uint32_t last_relation(const struct sql_parser *p)
{
	return p->out->nb_relations > 0 ? p->out->nb_relations - 1 : 0;
}

static void returning(struct sql_parser *p, uint32_t target)
{
	if (!sql_take_kw(p, KW_RETURNING))
		return;
	p->out->relations[target].access |= SL_SQL_READS;
	sql_exprs(p);
}

static void where(struct sql_parser *p)
{
	if (sql_take_kw(p, KW_WHERE))
		sql_exprs(p); /* CURRENT OF c is one, too */
	else
		p->stmt->no_where = true;
}

static void on_conflict(struct sql_parser *p, uint32_t target)
{
	if (!sql_take_kw(p, KW_ON))
		return;
	sql_need_kw(p, KW_CONFLICT);
	if (sql_take_kw(p, KW_ON)) {
		sql_need_kw(p, KW_CONSTRAINT);
		(void)sql_name(p);
	} else if (sql_is_char(p, '(')) {
		(void)sql_parens(p);
		if (sql_take_kw(p, KW_WHERE))
			sql_exprs(p);
	}
	sql_need_kw(p, KW_DO);
	if (sql_take_kw(p, KW_NOTHING))
		return;
	sql_need_kw(p, KW_UPDATE);
	sql_need_kw(p, KW_SET);
	sql_add_kinds(p, BIT(UPDATE));
	p->out->relations[target].access |= SL_SQL_UPDATES | SL_SQL_READS;
	sql_exprs(p);
	if (sql_take_kw(p, KW_WHERE))
		sql_exprs(p);
}

/* VALUES that stand for nothing but the rows to insert are no query. */
static void values_of_insert(struct sql_parser *p)
{
	values(p);
	sql_query_tail(p);
}

static void insert(struct sql_parser *p)
{
	uint32_t target;
	bool done = false;

	sql_take(p);
	sql_need_kw(p, KW_INTO);
	sql_add_kinds(p, BIT(INSERT));
	sql_add_relation(p, sql_name(p), SL_SQL_INSERTS);
	target = last_relation(p);
	if (sql_take_kw(p, KW_AS))
		sql_label(p);
	if (sql_is_char(p, '('))
		done = sql_parens(p);
	if (sql_take_kw(p, KW_OVERRIDING)) {
		sql_label(p);
		sql_need_kw(p, KW_VALUE);
	}
	if (done)
		sql_query_tail(p);
	else if (sql_take_kw(p, KW_DEFAULT))
		sql_need_kw(p, KW_VALUES);
	else if (sql_take_kw(p, KW_VALUES))
		values_of_insert(p);
	else if (sql_is_char(p, '(') || sql_at_query(p))
		(void)sql_query(p);
	else
		sql_fail(p);
	on_conflict(p, target);
	returning(p, target);
}

static void update(struct sql_parser *p)
{
	uint32_t target;

	sql_take(p);
	sql_add_kinds(p, BIT(UPDATE));
	sql_relation_expr(p, SL_SQL_UPDATES | SL_SQL_READS);
	target = last_relation(p);
	alias(p);
	sql_need_kw(p, KW_SET);
	sql_exprs(p);
	if (sql_take_kw(p, KW_FROM))
		from_list(p);
	where(p);
	returning(p, target);
}

static void delete (struct sql_parser *p)
{
	uint32_t target;

	sql_take(p);
	sql_need_kw(p, KW_FROM);
	sql_add_kinds(p, BIT(DELETE));
	sql_relation_expr(p, SL_SQL_DELETES | SL_SQL_READS);
	target = last_relation(p);
	alias(p);
	if (sql_take_kw(p, KW_USING))
		from_list(p);
	where(p);
	returning(p, target);
}

/* One action behind THEN. */
static void merge_action(struct sql_parser *p, uint32_t target)
{
	uint8_t *access = &p->out->relations[target].access;

	if (sql_take_kw(p, KW_UPDATE)) {
		sql_need_kw(p, KW_SET);
		sql_add_kinds(p, BIT(UPDATE));
		*access |= SL_SQL_UPDATES;
		sql_exprs(p);
	} else if (sql_take_kw(p, KW_DELETE)) {
		sql_add_kinds(p, BIT(DELETE));
		*access |= SL_SQL_DELETES;
	} else if (sql_take_kw(p, KW_INSERT)) {
		sql_add_kinds(p, BIT(INSERT));
		*access |= SL_SQL_INSERTS;
		if (sql_is_char(p, '('))
			(void)sql_parens(p);
		if (sql_take_kw(p, KW_OVERRIDING)) {
			sql_label(p);
			sql_need_kw(p, KW_VALUE);
		}
		if (sql_take_kw(p, KW_DEFAULT)) {
			sql_need_kw(p, KW_VALUES);
		} else {
			sql_need_kw(p, KW_VALUES);
			(void)sql_parens(p);
		}
	} else {
		sql_need_kw(p, KW_DO);
		sql_need_kw(p, KW_NOTHING);
	}
}

static void merge(struct sql_parser *p)
{
	uint32_t target;

	sql_take(p);
	sql_need_kw(p, KW_INTO);
	sql_add_kinds(p, BIT(MERGE));
	/* As one that is written: a WITH query of the same name does not hide it. */
	sql_relation_expr(p, SL_SQL_READS | SL_SQL_UPDATES);
	target = last_relation(p);
	if (!p->failed)
		p->out->relations[target].access = SL_SQL_READS;
	alias(p);
	sql_need_kw(p, KW_USING);
	table_ref(p);
	joins(p);
	join_condition(p);
	while (!p->failed && sql_take_kw(p, KW_WHEN)) {
		(void)sql_take_kw(p, KW_NOT);
		sql_need_kw(p, KW_MATCHED);
		sql_exprs(p); /* AND condition */
		sql_need_kw(p, KW_THEN);
		if (!p->failed)
			merge_action(p, target);
	}
}

/* ---- WITH ---- */

static void names(struct sql_parser *p)
{
	do {
		(void)sql_name(p);
	} while (!p->failed && sql_take_char(p, ','));
}

/* SEARCH DEPTH FIRST BY names SET name; CYCLE names SET name [TO value DEFAULT value] USING name */
static void search_cycle(struct sql_parser *p)
{
	if (sql_take_kw(p, KW_SEARCH)) {
		sql_label(p);
		sql_need_kw(p, KW_FIRST);
		sql_need_kw(p, KW_BY);
		names(p);
		sql_need_kw(p, KW_SET);
		(void)sql_name(p);
	}
	if (sql_take_kw(p, KW_CYCLE)) {
		names(p);
		sql_need_kw(p, KW_SET);
		(void)sql_name(p);
		if (sql_take_kw(p, KW_TO))
			sql_exprs(p);
		sql_need_kw(p, KW_USING);
		(void)sql_name(p);
	}
}

static void add_cte(struct sql_parser *p, struct sl_span name)
{
	if (p->nb_ctes == SQL_CTES_MAX)
		sql_fail(p);
	else
		p->ctes[p->nb_ctes++] = name;
}

static void with(struct sql_parser *p)
{
	bool recursive;

	sql_take(p);
	recursive = sql_is_kw(p, KW_RECURSIVE) && sql_peek(p, 1)->kw != KW_AS && sql_peek(p, 1)->c != '(';
	if (recursive)
		sql_take(p);
	do {
		struct sl_sql_name name = sql_name(p);

		if (recursive)
			add_cte(p, name.name);
		if (sql_is_char(p, '('))
			(void)sql_parens(p);
		sql_need_kw(p, KW_AS);
		(void)sql_take_kw(p, KW_NOT);
		(void)sql_take_kw(p, KW_MATERIALIZED);
		sql_need_char(p, '(');
		if (p->failed || !sql_enter(p))
			return;
		sql_preparable(p);
		sql_leave(p);
		sql_need_char(p, ')');
		if (!recursive)
			add_cte(p, name.name);
		search_cycle(p);
	} while (!p->failed && sql_take_char(p, ','));
}

enum sl_sql_kind sql_query(struct sql_parser *p)
{
	enum sl_sql_kind kind = SL_SQL_SELECT;
	uint32_t nb_ctes = p->nb_ctes;

	if (sql_is_kw(p, KW_WITH))
		with(p);
	switch (sql_peek(p, 0)->kw) {
	case KW_INSERT:
		insert(p);
		kind = SL_SQL_INSERT;
		break;
	case KW_UPDATE:
		update(p);
		kind = SL_SQL_UPDATE;
		break;
	case KW_DELETE:
		delete (p);
		kind = SL_SQL_DELETE;
		break;
	case KW_MERGE:
		merge(p);
		kind = SL_SQL_MERGE;
		break;
	default:
		primary(p);
		sql_query_tail(p);
		break;
	}
	p->nb_ctes = nb_ctes;
	return kind;
}
