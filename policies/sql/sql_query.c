/* Queries and the statements that change rows. */
#include "sql_parse_priv.h"

/* ---- FROM ---- */

static void alias(struct sql_parser *p, struct sql_row_source from)
{
	if (sql_take_kw(p, KW_AS)) {
		if (!sql_is_char(p, '(')) {
			from.name = sql_peek(p, 0)->text;
			sql_label(p);
		}
	} else if (sql_at_name(p) && sql_keyword_class(sql_peek(p, 0)->kw) != 'T' && !sql_is_kw(p, KW_SET)) {
		from.name = sql_peek(p, 0)->text;
		sql_label(p);
	}
	if (p->uses != NULL) {
		/* A join without an alias has no row of its own. */
		if (!from.join || from.name.n > 0)
			sql_use_row(p, from);
		if (sql_is_char(p, '('))
			sql_use_columns(p);
	}
	if (sql_is_char(p, '('))
		(void)sql_parens(p);
}

/* The relation that was added last; in `at` the number of relations before it. */
static struct sql_row_source relation_source(struct sql_parser *p, struct sl_sql_name name, uint32_t at)
{
	struct sql_row_source from = {.name = name.name, .relation = -1};
	uint32_t n = 0;

	if (p->uses == NULL || p->failed)
		return from;
	if (p->out->nb_relations > at) {
		from.relation = (int32_t)at;
	} else if (sql_find_cte(p, name, &n)) {
		from.first = p->uses->ctes[n].first;
		from.end = p->uses->ctes[n].end;
	}
	return from;
}

static struct sl_sql_name relation_expr(struct sql_parser *p, uint8_t access)
{
	bool only = sql_take_kw(p, KW_ONLY);
	bool parens = only && sql_take_char(p, '(');
	struct sl_sql_name name = sql_name(p);

	sql_add_relation(p, name, access);
	if (parens)
		sql_need_char(p, ')');
	(void)sql_take_char(p, '*');
	return name;
}

void sql_relation_expr(struct sql_parser *p, uint8_t access)
{
	(void)relation_expr(p, access);
}

/* One that is written or deleted from, with its alias. */
static void target_relation(struct sql_parser *p, uint8_t access)
{
	uint32_t at = p->out->nb_relations;
	struct sl_sql_name name = relation_expr(p, access);

	alias(p, relation_source(p, name, at));
}

static void table_ref(struct sql_parser *p);

/* ON or USING behind a join. */
static void join_condition(struct sql_parser *p)
{
	struct sql_context c = sql_use_clause(p, SL_SQL_USED, SL_SQL_TO_NOTHING, false);

	if (sql_take_kw(p, KW_ON)) {
		sql_expr(p);
	} else if (sql_take_kw(p, KW_USING)) {
		/* What both sides have becomes one column, which may be of either. */
		if (p->uses != NULL)
			p->uses->c.flow = c.flow;
		(void)sql_parens(p);
		if (sql_take_kw(p, KW_AS)) {
			if (p->uses != NULL)
				sql_use_row(p, (struct sql_row_source){.name = sql_peek(p, 0)->text,
				                                       .relation = -1,
				                                       .join = true});
			sql_label(p);
		}
	}
	sql_use_back(p, &c);
}

/* [NATURAL] [CROSS | INNER | LEFT ...] JOIN. False when there is none. */
static bool take_join(struct sql_parser *p)
{
	bool word = sql_take_kw(p, KW_NATURAL);

	if (word && p->uses != NULL)
		sql_use_mark(p, SL_SQL_USE_NATURAL, SL_SQL_USED);
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
	struct sql_context c = sql_use_from_call(p);

	sql_take(p);
	sql_need_kw(p, KW_FROM);
	(void)sql_parens(p);
	sql_use_back(p, &c);
}

/* A relation, or a call of a function. */
static struct sql_row_source named_ref(struct sql_parser *p)
{
	enum sql_keyword kw = sql_peek(p, 0)->kw;
	uint32_t at = p->out->nb_relations;
	struct sql_row_source from = {.relation = -1};
	struct sql_context c;
	struct sl_sql_name name;

	if (sql_keyword_class(kw) == 'R' && kw != KW_IDENTIFIER && kw != KW_ONLY) {
		/* CURRENT_DATE and the like, CAST (...) */
		if (kw != KW_CAST && kw != KW_CURRENT_DATE && kw != KW_CURRENT_TIMESTAMP &&
		    kw != KW_CURRENT_USER && kw != KW_SESSION_USER && kw != KW_USER &&
		    kw != KW_CURRENT_TIME && kw != KW_LOCALTIME && kw != KW_LOCALTIMESTAMP &&
		    kw != KW_CURRENT_ROLE && kw != KW_CURRENT_CATALOG)
			sql_fail(p);
		from.name = sql_peek(p, 0)->text;
		c = sql_use_from_call(p);
		sql_take(p);
		if (sql_is_char(p, '('))
			(void)sql_parens(p);
		sql_use_back(p, &c);
		return from;
	}
	if (kw == KW_ONLY) {
		name = relation_expr(p, SL_SQL_READS);
		return relation_source(p, name, at);
	}
	name = sql_name(p);
	if (!sql_is_char(p, '(')) {
		sql_add_relation(p, name, SL_SQL_READS);
		(void)sql_take_char(p, '*');
		return relation_source(p, name, at);
	}
	from.name = name.name;
	sql_add_function(p, name);
	c = sql_use_from_call(p);
	if (p->uses != NULL)
		sql_use_call(p, name, kw);
	else
		(void)sql_parens(p);
	sql_use_back(p, &c);
	if (sql_is_kw(p, KW_WITH) && sql_peek(p, 1)->kw == KW_ORDINALITY) {
		sql_take(p);
		sql_take(p);
	}
	return from;
}

static void table_ref(struct sql_parser *p)
{
	struct sql_row_source from = {.relation = -1, .first = sql_use_nb_queries(p)};

	if (!sql_enter(p)) {
		sql_leave(p);
		return;
	}
	(void)sql_take_kw(p, KW_LATERAL);
	if (sql_is_char(p, '(')) {
		const struct sql_token *t = sql_peek(p, 1);

		if (t->kw == KW_SELECT || t->kw == KW_WITH || t->kw == KW_VALUES || t->kw == KW_TABLE) {
			sql_use_role(p, SQL_ROLE_FROM);
			(void)sql_parens(p);
			from.end = sql_use_nb_queries(p);
		} else { /* a join, or more parentheses around either */
			sql_take(p);
			from.join = true;
			table_ref(p);
			if (sql_is_kw(p, KW_UNION) || sql_is_kw(p, KW_INTERSECT) || sql_is_kw(p, KW_EXCEPT) ||
			    sql_is_kw(p, KW_ORDER) || sql_is_kw(p, KW_LIMIT))
				sql_parens_tail(p, SQL_ROLE_FROM, from.first);
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
		from = named_ref(p);
	}
	alias(p, from);
	if (sql_take_kw(p, KW_TABLESAMPLE)) {
		struct sql_context c = sql_use_clause(p, SL_SQL_USED, SL_SQL_TO_NOTHING, false);

		sql_add_function(p, sql_name(p));
		(void)sql_parens(p);
		if (sql_take_kw(p, KW_REPEATABLE))
			(void)sql_parens(p);
		sql_use_back(p, &c);
	}
	sql_leave(p);
}

void sql_from_list(struct sql_parser *p)
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
	struct sql_context c = sql_use_clause(p, SL_SQL_USED, SL_SQL_TO_NOTHING, true);

	sql_take(p);
	sql_need_kw(p, KW_BY);
	sql_exprs(p);
	sql_use_back(p, &c);
}

/* A clause whose expressions decide which rows there are. */
static void deciding(struct sql_parser *p)
{
	struct sql_context c = sql_use_clause(p, SL_SQL_USED, SL_SQL_TO_NOTHING, false);

	sql_exprs(p);
	sql_use_back(p, &c);
}

static void select_clauses(struct sql_parser *p)
{
	bool distinct = !sql_take_kw(p, KW_ALL) && sql_take_kw(p, KW_DISTINCT);

	if (distinct && sql_take_kw(p, KW_ON)) {
		struct sql_context c = sql_use_clause(p, SL_SQL_USED, SL_SQL_TO_NOTHING, true);

		(void)sql_parens(p);
		sql_use_back(p, &c);
	}
	if (p->uses != NULL)
		sql_use_items(p, distinct);
	else
		sql_exprs(p);
	if (sql_take_kw(p, KW_INTO))
		select_into(p);
	if (sql_take_kw(p, KW_FROM))
		sql_from_list(p);
	if (sql_take_kw(p, KW_INTO))
		sql_fail(p);
	if (sql_take_kw(p, KW_WHERE))
		deciding(p);
	if (sql_is_kw(p, KW_GROUP))
		group_by(p);
	if (sql_take_kw(p, KW_HAVING))
		deciding(p);
	if (sql_take_kw(p, KW_WINDOW))
		deciding(p);
}

static void values(struct sql_parser *p)
{
	do {
		if (p->uses != NULL) {
			sql_use_values(p);
			continue;
		}
		if (sql_parens(p)) /* ((SELECT 1)) is a row of one query */
			continue;
	} while (!p->failed && sql_take_char(p, ','));
}

static void primary(struct sql_parser *p)
{
	if (sql_is_char(p, '(')) {
		sql_use_role(p, SQL_ROLE_BRANCH);
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
		uint32_t at = p->out->nb_relations;
		struct sl_sql_name name;
		struct sql_row_source from;

		sql_need_kw(p, KW_TABLE);
		name = relation_expr(p, SL_SQL_READS);
		from = relation_source(p, name, at);
		if (p->uses != NULL)
			sql_use_table(p, from);
	}
}

static bool take_set_operation(struct sql_parser *p)
{
	bool all;

	if (!sql_take_kw(p, KW_UNION) && !sql_take_kw(p, KW_INTERSECT) && !sql_take_kw(p, KW_EXCEPT))
		return false;
	all = p->prev->kw == KW_UNION && sql_is_kw(p, KW_ALL);
	if (p->uses != NULL)
		sql_use_mark(p, SL_SQL_USE_SETOP, all ? SL_SQL_OUTPUT : SL_SQL_USED);
	if (!sql_take_kw(p, KW_ALL))
		(void)sql_take_kw(p, KW_DISTINCT);
	return true;
}

/* FETCH FIRST n ROWS ONLY, FOR UPDATE OF t NOWAIT: words and an expression. */
static void limit_or_lock(struct sql_parser *p)
{
	/* FOR UPDATE OF names relations. */
	struct sql_context c = sql_use_clause(p, sql_is_kw(p, KW_FOR) ? SL_SQL_TARGET : SL_SQL_USED,
	                                      SL_SQL_TO_NOTHING, false);

	sql_take(p);
	do {
		sql_exprs(p);
	} while (sql_take_kw(p, KW_ONLY) ||
	         (sql_is_kw(p, KW_WITH) && sql_peek(p, 1)->kw == KW_TIES && (sql_take(p), true)));
	sql_use_back(p, &c);
}

static void order_by(struct sql_parser *p)
{
	struct sql_context c = sql_use_clause(p, SL_SQL_USED, SL_SQL_TO_NOTHING, true);

	group_by(p);
	while (sql_take_kw(p, KW_USING)) /* an operator */
		sql_exprs(p);
	sql_use_back(p, &c);
}

void sql_query_tail(struct sql_parser *p)
{
	while (!p->failed && take_set_operation(p))
		primary(p);
	for (;;) {
		switch (sql_peek(p, 0)->kw) {
		case KW_ORDER:
			order_by(p);
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
	if (p->failed || !sql_take_kw(p, KW_RETURNING))
		return;
	p->out->relations[target].access |= SL_SQL_READS;
	if (p->uses != NULL)
		sql_use_items(p, false);
	else
		sql_exprs(p);
}

static void set_clause(struct sql_parser *p)
{
	if (p->uses != NULL)
		sql_use_set(p);
	else
		sql_exprs(p);
}

static void where(struct sql_parser *p)
{
	if (sql_take_kw(p, KW_WHERE))
		deciding(p); /* CURRENT OF c is one, too */
	else
		p->stmt->no_where = true;
}

static void on_conflict(struct sql_parser *p, uint32_t target)
{
	struct sql_context c;

	if (!sql_take_kw(p, KW_ON))
		return;
	sql_need_kw(p, KW_CONFLICT);
	if (sql_take_kw(p, KW_ON)) {
		sql_need_kw(p, KW_CONSTRAINT);
		(void)sql_name(p);
	} else if (sql_is_char(p, '(')) {
		c = sql_use_clause(p, SL_SQL_TARGET, SL_SQL_TO_NOTHING, false);
		(void)sql_parens(p);
		sql_use_back(p, &c);
		if (sql_take_kw(p, KW_WHERE))
			deciding(p);
	}
	sql_need_kw(p, KW_DO);
	if (sql_take_kw(p, KW_NOTHING))
		return;
	sql_need_kw(p, KW_UPDATE);
	sql_need_kw(p, KW_SET);
	sql_add_kinds(p, BIT(UPDATE));
	p->out->relations[target].access |= SL_SQL_UPDATES | SL_SQL_READS;
	set_clause(p);
	if (sql_take_kw(p, KW_WHERE))
		deciding(p);
}

/* VALUES that stand for nothing but the rows to insert are no query. */
static void values_of_insert(struct sql_parser *p)
{
	values(p);
	sql_query_tail(p);
}

static uint32_t insert_target(struct sql_parser *p)
{
	struct sl_sql_name name;

	sql_take(p);
	sql_need_kw(p, KW_INTO);
	sql_add_kinds(p, BIT(INSERT));
	name = sql_name(p);
	sql_add_relation(p, name, SL_SQL_INSERTS);
	if (sql_take_kw(p, KW_AS)) {
		name.name = sql_peek(p, 0)->text;
		sql_label(p);
	}
	if (p->uses != NULL)
		sql_use_row(
		        p, (struct sql_row_source){.name = name.name, .relation = (int32_t)last_relation(p)});
	return last_relation(p);
}

static void insert(struct sql_parser *p)
{
	uint32_t target = insert_target(p);
	struct sql_context c = sql_use_clause(p, SL_SQL_TARGET, SL_SQL_TO_WRITE, false);
	bool done = false;

	sql_use_role(p, SQL_ROLE_FROM);
	if (sql_is_char(p, '('))
		done = sql_parens(p);
	sql_use_role(p, SQL_ROLE_FROM);
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
	sql_use_back(p, &c);
	on_conflict(p, target);
	returning(p, target);
}

static void update(struct sql_parser *p)
{
	uint32_t target;

	sql_take(p);
	sql_add_kinds(p, BIT(UPDATE));
	target = p->out->nb_relations;
	target_relation(p, SL_SQL_UPDATES | SL_SQL_READS);
	sql_need_kw(p, KW_SET);
	set_clause(p);
	if (sql_take_kw(p, KW_FROM))
		sql_from_list(p);
	where(p);
	returning(p, target);
}

static void delete (struct sql_parser *p)
{
	uint32_t target;

	sql_take(p);
	sql_need_kw(p, KW_FROM);
	sql_add_kinds(p, BIT(DELETE));
	target = p->out->nb_relations;
	target_relation(p, SL_SQL_DELETES | SL_SQL_READS);
	if (sql_take_kw(p, KW_USING))
		sql_from_list(p);
	where(p);
	returning(p, target);
}

/* One action behind THEN. */
static void merge_action(struct sql_parser *p, uint32_t target)
{
	uint8_t *access = &p->out->relations[target].access;
	struct sql_context c;

	if (sql_take_kw(p, KW_UPDATE)) {
		sql_need_kw(p, KW_SET);
		sql_add_kinds(p, BIT(UPDATE));
		*access |= SL_SQL_UPDATES;
		set_clause(p);
	} else if (sql_take_kw(p, KW_DELETE)) {
		sql_add_kinds(p, BIT(DELETE));
		*access |= SL_SQL_DELETES;
	} else if (sql_take_kw(p, KW_INSERT)) {
		sql_add_kinds(p, BIT(INSERT));
		*access |= SL_SQL_INSERTS;
		if (sql_is_char(p, '(')) {
			c = sql_use_clause(p, SL_SQL_TARGET, SL_SQL_TO_WRITE, false);
			(void)sql_parens(p);
			sql_use_back(p, &c);
		}
		if (sql_take_kw(p, KW_OVERRIDING)) {
			sql_label(p);
			sql_need_kw(p, KW_VALUE);
		}
		if (sql_take_kw(p, KW_DEFAULT)) {
			sql_need_kw(p, KW_VALUES);
		} else {
			sql_need_kw(p, KW_VALUES);
			c = sql_use_clause(p, SL_SQL_USED, SL_SQL_TO_WRITE, false);
			(void)sql_parens(p);
			sql_use_back(p, &c);
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
	target = p->out->nb_relations;
	target_relation(p, SL_SQL_READS | SL_SQL_UPDATES);
	if (!p->failed)
		p->out->relations[target].access = SL_SQL_READS;
	sql_need_kw(p, KW_USING);
	table_ref(p);
	joins(p);
	join_condition(p);
	while (!p->failed && sql_take_kw(p, KW_WHEN)) {
		(void)sql_take_kw(p, KW_NOT);
		sql_need_kw(p, KW_MATCHED);
		deciding(p); /* AND condition */
		sql_need_kw(p, KW_THEN);
		if (!p->failed)
			merge_action(p, target);
	}
}

/* ---- WITH ---- */

static void names(struct sql_parser *p)
{
	do {
		if (p->uses != NULL)
			sql_use_name_or_call(p);
		else
			(void)sql_name(p);
	} while (!p->failed && sql_take_char(p, ','));
}

/* A column that SEARCH or CYCLE makes: it can hold all of the WITH query's. */
static void made_column(struct sql_parser *p, int16_t row)
{
	if (p->uses != NULL)
		sql_use_renamed(p, row, sql_peek(p, 0)->text, SL_SQL_NO_ITEM);
	(void)sql_name(p);
}

/* SEARCH DEPTH FIRST BY names SET name; CYCLE names SET name [TO value DEFAULT value] USING name */
static void search_cycle(struct sql_parser *p, int16_t row)
{
	if (sql_take_kw(p, KW_SEARCH)) {
		sql_label(p);
		sql_need_kw(p, KW_FIRST);
		sql_need_kw(p, KW_BY);
		names(p);
		sql_need_kw(p, KW_SET);
		made_column(p, row);
	}
	if (sql_take_kw(p, KW_CYCLE)) {
		names(p);
		sql_need_kw(p, KW_SET);
		made_column(p, row);
		if (sql_take_kw(p, KW_TO))
			sql_exprs(p);
		sql_need_kw(p, KW_USING);
		made_column(p, row);
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
		struct sql_context c = sql_use_here(p);
		uint32_t n = p->nb_ctes;
		int16_t row = SL_SQL_NO_ROW;

		if (recursive)
			add_cte(p, name.name);
		if (p->uses != NULL)
			row = sql_use_cte(p, name.name, n);
		if (sql_is_char(p, '('))
			(void)sql_parens(p);
		sql_need_kw(p, KW_AS);
		(void)sql_take_kw(p, KW_NOT);
		(void)sql_take_kw(p, KW_MATERIALIZED);
		sql_need_char(p, '(');
		if (p->failed || !sql_enter(p))
			return;
		sql_use_role(p, SQL_ROLE_FROM);
		sql_preparable(p);
		sql_use_back(p, &c);
		sql_leave(p);
		sql_need_char(p, ')');
		if (!recursive)
			add_cte(p, name.name);
		search_cycle(p, row);
		if (p->uses != NULL)
			sql_use_cte_ends(p, row, n);
	} while (!p->failed && sql_take_char(p, ','));
}

enum sl_sql_kind sql_query(struct sql_parser *p)
{
	enum sl_sql_kind kind = SL_SQL_SELECT;
	uint32_t nb_ctes = p->nb_ctes;
	struct sql_context c = sql_use_query(p);

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
	sql_use_back(p, &c);
	return kind;
}
