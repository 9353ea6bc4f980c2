/* Expressions: calls and queries in parentheses are found, the rest is stepped over. */
#include "sql_parse_priv.h"

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

static inline bool is_simple(const struct sql_token *t)
{
	return (t->flags & SQL_FLAG_WORD) != 0 && t->type != TOK_UESC;
}

/* Nothing becomes of a name that is no call: true when t was one, or it and another behind a dot. */
static inline bool skip_name(struct sql_parser *p, const struct sql_token *t)
{
	const struct sql_token *next = sql_peek(p, 1);
	uint32_t n = 1;

	if (!is_simple(t) || p->prev->type == TOK_UESC)
		return false;
	if (next->c == '.' && is_simple(sql_peek(p, 2))) {
		next = sql_peek(p, 3);
		n = 3;
	}
	if (next->c == '.' || next->c == '(')
		return false;
	sql_skip(p, n);
	return true;
}

/* A name, and what it is: a call when a parenthesis follows. */
static void name_or_call(struct sql_parser *p)
{
	struct sl_sql_name name;

	if (p->uses != NULL) {
		sql_use_name_or_call(p);
		return;
	}
	if (skip_name(p, sql_peek(p, 0)))
		return;
	name = sql_name(p);
	if (sql_is_char(p, '('))
		sql_add_function(p, name);
}

/*
 * Behind a value: (expression).name is a column of it or a call in functional notation, which only the
 * catalog tells apart.
 */
void sql_value_path_rest(struct sql_parser *p)
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

/* ( [ : and what they open. */
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
		if ((p->prev->kw != KW_IS && p->prev->kw != KW_NOT) || next != KW_FROM)
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

/* A token that is neither a name nor a word nor the end. */
static void value(struct sql_parser *p)
{
	const struct sql_token *t = sql_peek(p, 0);
	bool param = t->type == TOK_PARAM;

	if (p->uses != NULL) {
		sql_use_value(p);
		t = sql_peek(p, 0);
	}
	if (t->flags & SQL_FLAG_OPENS) {
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

/* Is there nothing to say of this token but that it was taken? */
static inline bool is_plain(const struct sql_parser *p, const struct sql_token *t)
{
	return (t->flags & (SQL_FLAG_PLAIN | SQL_FLAG_SPECIAL)) == SQL_FLAG_PLAIN && p->uses == NULL;
}

/* Up to a token with one of the flags in `stop`. */
static void expressions(struct sql_parser *p, uint8_t stop)
{
	uint32_t cases = 0;
	bool first = true;

	for (;; first = false) {
		const struct sql_token *t = sql_peek(p, 0);

		if (t->flags & stop)
			break;
		if (is_plain(p, t)) {
			sql_skip(p, 1);
			continue;
		}
		if (!(t->flags & SQL_FLAG_WORD)) {
			value(p);
			continue;
		}
		if (t->flags & SQL_FLAG_SPECIAL) {
			if (phrase(p) || case_word(p, &cases))
				continue;
			if (!first && is_join_word(t->kw) && ends_operand(p->prev))
				break;
		}
		if (sql_names(t))
			name_or_call(p);
		else if (t->flags & SQL_FLAG_PLAIN)
			word(p);
		else
			break;
	}
	if (cases > 0)
		sql_fail(p);
}

void sql_expr(struct sql_parser *p)
{
	expressions(p, SQL_FLAG_ENDS | SQL_FLAG_COMMA);
}

void sql_exprs(struct sql_parser *p)
{
	expressions(p, SQL_FLAG_ENDS);
}

/* ---- parentheses ---- */

/* A word inside of parentheses or in the tail of a statement. */
static void loose_word(struct sql_parser *p)
{
	bool element = p->prev->c == '(' || p->prev->c == ',';

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
	const struct sql_token *t = sql_peek(p, 0);

	if (!(t->flags & SQL_FLAG_WORD))
		value(p);
	else if (!(t->flags & SQL_FLAG_SPECIAL) || !phrase(p))
		loose_word(p);
}

static void loose(struct sql_parser *p)
{
	const struct sql_token *t;

	while (!((t = sql_peek(p, 0))->flags & SQL_FLAG_ENDS)) {
		if (is_plain(p, t))
			sql_skip(p, 1);
		else
			sql_loose(p);
	}
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
		    (sql_is_kw(p, KW_CREATE) || (sql_is_kw(p, KW_GRANT) && p->prev->kw != KW_WITH)))
			return;
		if (sql_is_kw(p, KW_SELECT) || sql_is_kw(p, KW_INTO) || sql_is_kw(p, KW_REFERENCES))
			sql_take(p);
		else if (sql_is_char(p, ')') || sql_is_char(p, ']'))
			return;
		else
			sql_loose(p);
	}
}
