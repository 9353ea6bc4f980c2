/* Expressions: calls and queries in parentheses are found, the rest is stepped over. */
#include "sql_parse_priv.h"

/* Reserved words that expressions are made of; any other one ends the clause. */
static bool in_expression(enum sql_keyword kw)
{
	switch (kw) {
	case KW_ALL:
	case KW_AND:
	case KW_ANY:
	case KW_ARRAY:
	case KW_ASC:
	case KW_ASYMMETRIC:
	case KW_BOTH:
	case KW_CAST:
	case KW_COLLATE:
	case KW_CURRENT_CATALOG:
	case KW_CURRENT_DATE:
	case KW_CURRENT_ROLE:
	case KW_CURRENT_TIME:
	case KW_CURRENT_TIMESTAMP:
	case KW_CURRENT_USER:
	case KW_DEFAULT:
	case KW_DESC:
	case KW_DISTINCT:
	case KW_FALSE:
	case KW_IN:
	case KW_LEADING:
	case KW_LOCALTIME:
	case KW_LOCALTIMESTAMP:
	case KW_NOT:
	case KW_NULL:
	case KW_OR:
	case KW_PLACING:
	case KW_SESSION_USER:
	case KW_SOME:
	case KW_SYMMETRIC:
	case KW_TRAILING:
	case KW_TRUE:
	case KW_UNIQUE:
	case KW_USER:
	case KW_VARIADIC:
		return true;
	default:
		return false;
	}
}

static bool is_join_word(enum sql_keyword kw)
{
	return kw == KW_JOIN || kw == KW_INNER || kw == KW_LEFT || kw == KW_RIGHT || kw == KW_FULL ||
	       kw == KW_CROSS || kw == KW_NATURAL;
}

/* Behind a whole operand a join word begins the next join; elsewhere it is a function's name. */
static bool ends_operand(const struct sql_token *t)
{
	switch (t->type) {
	case TOK_CHAR:
		return t->c == ')' || t->c == ']' || t->c == '*';
	case TOK_WORD:
		return sql_keyword_class(t->kw) != 'R' || t->kw == KW_NULL || t->kw == KW_TRUE ||
		       t->kw == KW_FALSE || t->kw == KW_END || t->kw == KW_DEFAULT ||
		       t->kw == KW_CURRENT_DATE || t->kw == KW_CURRENT_USER || t->kw == KW_USER;
	case TOK_END:
		return false;
	default:
		return true;
	}
}

/* A name, and what it is: a call when a parenthesis follows. */
static void name_or_call(struct sql_parser *p)
{
	struct sl_sql_name name;

	if (p->uses != NULL) {
		sql_use_name_or_call(p);
		return;
	}
	name = sql_name(p);
	if (sql_is_char(p, '('))
		sql_add_function(p, name);
}

/*
 * Behind a value: (expression).name is a column of it or a call in functional notation, which only the
 * catalog tells apart.
 */
void sql_value_path(struct sql_parser *p)
{
	while (!p->failed && sql_take_char(p, '.')) {
		struct sl_sql_name name = {SL_SPAN_EMPTY, sql_peek(p, 0)->text};

		if (sql_take_char(p, '*'))
			return;
		sql_label(p);
		sql_add_function(p, name);
		if (p->uses != NULL)
			sql_use_path(p, name);
	}
}

static void brackets(struct sql_parser *p)
{
	sql_take(p);
	if (sql_enter(p)) {
		sql_exprs(p);
		sql_need_char(p, ']');
	}
	sql_leave(p);
}

/* ::type. Its name is no call, whatever is in parentheses behind it. */
static bool cast(struct sql_parser *p)
{
	struct sl_sql_name name;

	if (sql_peek(p, 1)->c != ':')
		return false;
	sql_take(p);
	sql_take(p);
	(void)sql_take_kw(p, KW_SETOF);
	name = sql_name(p);
	if (p->uses != NULL)
		sql_use_type(p, name);
	return true;
}

static void character(struct sql_parser *p)
{
	switch (sql_peek(p, 0)->c) {
	case '(':
		(void)sql_parens(p);
		sql_value_path(p);
		break;
	case '[':
		brackets(p);
		sql_value_path(p);
		break;
	case ':':
		if (!cast(p))
			sql_take(p);
		break;
	default:
		sql_take(p);
		break;
	}
}

/* Words of more than one token, in which a reserved one does not begin a clause. True when one was taken. */
static bool phrase(struct sql_parser *p)
{
	enum sql_keyword kw = sql_peek(p, 0)->kw, next;

	switch (kw) {
	case KW_AS:
		sql_take(p);
		if (p->uses != NULL)
			sql_use_as(p);
		if (sql_peek(p, 0)->type == TOK_WORD || sql_at_name(p))
			sql_label(p);
		return true;
	case KW_DISTINCT: /* IS [NOT] DISTINCT FROM */
		next = sql_peek(p, 1)->kw;
		if ((p->prev.kw != KW_IS && p->prev.kw != KW_NOT) || next != KW_FROM)
			return false;
		break;
	case KW_WITHIN:
		if (sql_peek(p, 1)->kw != KW_GROUP || sql_peek(p, 2)->c != '(')
			return false;
		break;
	case KW_SIMILAR:
	case KW_YEAR: /* YEAR TO MONTH and the like */
	case KW_DAY:
	case KW_HOUR:
	case KW_MINUTE:
		if (sql_peek(p, 1)->kw != KW_TO)
			return false;
		break;
	case KW_WITH: /* TIME ZONE */
		if (sql_peek(p, 1)->kw != KW_TIME)
			return false;
		break;
	default:
		return false;
	}
	if (p->uses != NULL)
		sql_use_decides(p);
	sql_take(p);
	sql_take(p);
	return true;
}

/* A token that is neither a name nor a word. */
static void value(struct sql_parser *p)
{
	bool param = sql_peek(p, 0)->type == TOK_PARAM;

	if (p->uses != NULL)
		sql_use_value(p);
	if (sql_peek(p, 0)->type == TOK_CHAR) {
		character(p);
		return;
	}
	sql_take(p);
	if (param)
		sql_value_path(p);
}

/* CASE, WHEN, THEN, ELSE, END: true when it was one of them and belongs to a CASE of this expression. */
static bool case_word(struct sql_parser *p, uint32_t *cases)
{
	enum sql_keyword kw = sql_peek(p, 0)->kw;

	if (kw == KW_CASE)
		++*cases;
	else if (*cases == 0 || (kw != KW_WHEN && kw != KW_THEN && kw != KW_ELSE && kw != KW_END))
		return false;
	else if (kw == KW_END)
		--*cases;
	if (p->uses != NULL)
		sql_use_decides(p);
	sql_take(p);
	return true;
}

/* A reserved word of an expression. */
static void word(struct sql_parser *p)
{
	if (p->uses != NULL)
		sql_use_word(p);
	sql_take(p);
}

static void expressions(struct sql_parser *p, bool commas)
{
	uint32_t cases = 0;
	bool first = true;

	for (;; first = false) {
		const struct sql_token *t = sql_peek(p, 0);

		if (t->type == TOK_END || t->c == ';' || t->c == ')' || t->c == ']' ||
		    (t->c == ',' && !commas))
			break;
		if (t->type != TOK_WORD && t->type != TOK_QUOTED && t->type != TOK_UESC) {
			value(p);
			continue;
		}
		if (phrase(p) || case_word(p, &cases))
			continue;
		if (!first && is_join_word(t->kw) && ends_operand(&p->prev))
			break;
		if (sql_at_name(p))
			name_or_call(p);
		else if (in_expression(t->kw))
			word(p);
		else
			break;
	}
	if (cases > 0)
		sql_fail(p);
}

void sql_expr(struct sql_parser *p)
{
	expressions(p, false);
}

void sql_exprs(struct sql_parser *p)
{
	expressions(p, true);
}

/* ---- parentheses ---- */

/* A word inside of parentheses or in the tail of a statement. */
static void loose_word(struct sql_parser *p)
{
	bool element = p->prev.c == '(' || p->prev.c == ',';

	switch (sql_peek(p, 0)->kw) {
	case KW_SELECT:
	case KW_INTO:
		sql_fail(p);
		break;
	case KW_REFERENCES:
		sql_take(p);
		sql_add_relation(p, sql_name(p), SL_SQL_READS);
		break;
	case KW_LIKE: /* a table's definition as an element of CREATE TABLE */
		if (!element || sql_peek(p, 1)->type == TOK_CHAR) {
			name_or_call(p);
			break;
		}
		sql_take(p);
		sql_add_relation(p, sql_name(p), SL_SQL_READS);
		break;
	default:
		if (sql_at_name(p))
			name_or_call(p);
		else
			word(p);
		break;
	}
}

void sql_loose(struct sql_parser *p)
{
	enum sql_token_type type = sql_peek(p, 0)->type;

	if (type != TOK_WORD && type != TOK_QUOTED && type != TOK_UESC)
		value(p);
	else if (!phrase(p))
		loose_word(p);
}

static void loose(struct sql_parser *p)
{
	while (!sql_at_end(p) && !sql_is_char(p, ')') && !sql_is_char(p, ']'))
		sql_loose(p);
}

static bool at_query_tail(struct sql_parser *p)
{
	switch (sql_peek(p, 0)->kw) {
	case KW_UNION:
	case KW_INTERSECT:
	case KW_EXCEPT:
	case KW_ORDER:
	case KW_LIMIT:
	case KW_OFFSET:
	case KW_FETCH:
	case KW_FOR:
		return true;
	default:
		return false;
	}
}

void sql_parens_tail(struct sql_parser *p, enum sql_role role, uint16_t query)
{
	struct sql_context c = sql_use_tail(p, role, query);

	sql_query_tail(p);
	sql_use_back(p, &c);
}

bool sql_parens(struct sql_parser *p)
{
	enum sql_role role = sql_use_here(p).role;
	uint16_t first = sql_use_nb_queries(p);
	bool query = false;

	sql_need_char(p, '(');
	if (sql_enter(p)) {
		if (sql_is_char(p, '(')) {
			query = sql_parens(p);
			if (query && at_query_tail(p))
				sql_parens_tail(p, role, first);
			else if (!sql_is_char(p, ')'))
				query = false;
			sql_value_path(p);
		} else if (sql_at_query(p)) {
			(void)sql_query(p);
			query = true;
		}
		if (!query)
			loose(p);
		sql_need_char(p, ')');
	}
	sql_leave(p);
	return query && !p->failed;
}

void sql_rest(struct sql_parser *p)
{
	loose(p);
	if (!sql_at_end(p))
		sql_fail(p);
}

void sql_words(struct sql_parser *p)
{
	while (!p->failed && !sql_at_end(p)) {
		if (p->in_schema &&
		    (sql_is_kw(p, KW_CREATE) || (sql_is_kw(p, KW_GRANT) && p->prev.kw != KW_WITH)))
			return;
		if (sql_is_kw(p, KW_SELECT) || sql_is_kw(p, KW_INTO) || sql_is_kw(p, KW_REFERENCES))
			sql_take(p);
		else if (sql_is_char(p, ')') || sql_is_char(p, ']'))
			return;
		else
			sql_loose(p);
	}
}
