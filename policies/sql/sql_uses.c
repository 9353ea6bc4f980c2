/*
 * Uses of names: what the productions of sql_query.c and sql_expr.c tell while they read, when somebody asks.
 * The context (struct sql_context) says what a name that comes now would be read for; a production that
 * changes it puts it back.
 */
#include "sql_parse_priv.h"

#define FNV_BASIS UINT32_C(2166136261)
#define FNV_PRIME UINT32_C(16777619)

uint32_t sl_sql_folded_hash(struct sl_span name)
{
	uint32_t h = FNV_BASIS;

	for (size_t i = 0; i < name.n; i++)
		h = (h ^ name.p[i]) * FNV_PRIME;
	return h != 0 ? h : 1;
}

uint32_t sl_sql_name_hash(struct sl_span name)
{
	char folded[SL_SQL_NAME_MAX];
	size_t n = sl_sql_name_fold(name, folded);

	return sl_sql_folded_hash(sl_span(folded, n));
}

/* ---- entries ---- */

static uint8_t stmt_of(const struct sql_parser *p)
{
	return (uint8_t)(p->out->nb_stmts - 1);
}

/* A new use as the context says; NULL when there is no room, and then the text is not understood. */
static struct sl_sql_use *add_use(struct sql_parser *p, enum sl_sql_use_kind kind)
{
	struct sl_sql_uses *out = p->uses->out;
	const struct sql_context *c = &p->uses->c;
	struct sl_sql_use *u;

	p->uses->bare = false;
	if (p->failed || out->nb_uses == SL_SQL_USES_MAX) {
		sql_fail(p);
		return NULL;
	}
	u = &out->uses[out->nb_uses++];
	*u = (struct sl_sql_use){.kind = (uint8_t)kind,
	                         .place = c->place,
	                         .flow = c->flow,
	                         .stmt = stmt_of(p),
	                         .by = c->by,
	                         .from_call = c->from_call,
	                         .item = c->item,
	                         .row = SL_SQL_NO_ROW,
	                         .query = c->query};
	return u;
}

static struct sl_sql_use *add_name(struct sql_parser *p, enum sl_sql_use_kind kind, struct sl_sql_name name)
{
	struct sl_sql_use *u = add_use(p, kind);

	if (u == NULL)
		return NULL;
	u->name = name;
	u->hash = sl_sql_name_hash(name.name);
	u->of = name.schema.n > 0 ? sl_sql_name_hash(name.schema) : 0;
	return u;
}

void sql_use_mark(struct sql_parser *p, enum sl_sql_use_kind kind, uint8_t place)
{
	struct sl_sql_use *u = add_use(p, kind);

	if (u != NULL)
		u->place = place;
}

void sql_use_decides(struct sql_parser *p)
{
	p->uses->decides = true;
	p->uses->bare = false;
}

/* ---- contexts ---- */

struct sql_context sql_use_clause(struct sql_parser *p, uint8_t place, uint8_t flow, bool by)
{
	struct sql_context before = sql_use_here(p);

	if (p->uses == NULL)
		return before;
	p->uses->c.place = place;
	p->uses->c.flow = flow;
	p->uses->c.by = by;
	p->uses->c.item = SL_SQL_NO_ITEM;
	return before;
}

struct sql_context sql_use_from_call(struct sql_parser *p)
{
	struct sql_context before = sql_use_here(p);

	if (p->uses == NULL)
		return before;
	p->uses->c.place = before.base == SL_SQL_OUTPUT ? SL_SQL_OUTPUT_EXPR : before.base;
	p->uses->c.from_call = true;
	p->uses->c.item = SL_SQL_NO_ITEM;
	return before;
}

struct sql_context sql_use_query(struct sql_parser *p)
{
	struct sql_context before = sql_use_here(p);
	enum sql_role role = before.role;
	struct sql_context *c;

	if (p->uses == NULL)
		return before;
	before.role = SQL_ROLE_EXPR; /* the note is taken */
	c = &p->uses->c;
	c->role = SQL_ROLE_EXPR;
	c->by = false;
	c->place = SL_SQL_USED;
	if (role == SQL_ROLE_BRANCH)
		return before;
	if (p->uses->out->nb_queries == UINT16_MAX) {
		sql_fail(p);
		return before;
	}
	c->query = p->uses->out->nb_queries++;
	c->outermost = role == SQL_ROLE_TOP;
	c->item = c->parent = SL_SQL_NO_ITEM;
	if (role == SQL_ROLE_EXPR) {
		c->base = SL_SQL_USED;
		c->parent = before.item;
		sql_use_decides(p);
	}
	return before;
}

struct sql_context sql_use_tail(struct sql_parser *p, enum sql_role role, uint16_t query)
{
	struct sql_context before = sql_use_here(p);
	struct sql_context *c;

	if (p->uses == NULL || role == SQL_ROLE_BRANCH)
		return before;
	c = &p->uses->c;
	c->by = false;
	c->place = SL_SQL_USED;
	c->query = query;
	c->outermost = role == SQL_ROLE_TOP;
	c->parent = role == SQL_ROLE_EXPR ? c->item : SL_SQL_NO_ITEM;
	c->item = SL_SQL_NO_ITEM;
	if (role == SQL_ROLE_EXPR)
		c->base = SL_SQL_USED;
	return before;
}

/* ---- names and calls ---- */

/* Behind a token like this a name is nothing but an alias without AS. */
static bool ends_value(const struct sql_token *t)
{
	switch (t->type) {
	case TOK_CHAR:
		return t->c == ')' || t->c == ']';
	case TOK_WORD:
		return t->kw == KW_IDENTIFIER || t->kw == KW_END;
	case TOK_QUOTED:
	case TOK_STRING:
	case TOK_NUMBER:
	case TOK_PARAM:
		return true;
	default:
		return false;
	}
}

/* At "(SELECT *": what is in the rows is nothing to EXISTS, unless it has to tell them from each other. */
static bool at_any_row(struct sql_parser *p)
{
	return sql_is_char(p, '(') && sql_peek(p, 1)->kw == KW_SELECT && sql_peek(p, 2)->c == '*' &&
	       (sql_peek(p, 3)->kw == KW_FROM || sql_peek(p, 3)->c == ')');
}

/* The star of query `query`, among the uses from `first` on, tells nothing when no place of its outputs is
 * named and no rows are compared. */
static void settle_exists(struct sql_parser *p, uint32_t first, uint16_t query)
{
	struct sl_sql_uses *out = p->uses->out;
	struct sl_sql_use *star = NULL;

	for (uint32_t i = first; i < out->nb_uses; i++) {
		struct sl_sql_use *u = &out->uses[i];

		if (u->query != query)
			continue;
		if (u->kind == SL_SQL_USE_SETOP || u->kind == SL_SQL_USE_POSITION)
			return;
		if (u->kind == SL_SQL_USE_STAR && u->of == 0 && star == NULL)
			star = u;
	}
	if (star == NULL)
		return;
	star->place = SL_SQL_OUTPUT;
	star->flow = SL_SQL_TO_NOTHING;
}

void sql_use_call(struct sql_parser *p, struct sl_sql_name name, enum sql_keyword kw)
{
	struct sql_collector *uses = p->uses;
	struct sql_context before = uses->c;
	uint32_t first = uses->out->nb_uses;
	uint16_t query = uses->out->nb_queries;
	bool any_row = kw == KW_EXISTS && name.schema.n == 0 && at_any_row(p);

	if (add_name(p, SL_SQL_USE_CALL, name) == NULL)
		return;
	if (before.place == SL_SQL_OUTPUT_EXPR && !before.from_call) {
		enum sl_sql_builtin f = sl_sql_builtin(name.name);

		/* Of one that is not known its arguments decide what they decide, it itself is an output. */
		if (f == SL_SQL_FN_UNKNOWN)
			uses->c.place = SL_SQL_USED;
		else if (f != SL_SQL_FN_VALUE)
			uses->decides = true;
	}
	if (before.from_call)
		uses->c.place = SL_SQL_USED;
	uses->c.by = before.by && (kw == KW_ROLLUP || kw == KW_CUBE || kw == KW_SETS);
	(void)sql_parens(p);
	if (any_row && !before.from_call)
		settle_exists(p, first, query);
	uses->c = before;
	uses->bare = false;
	if (kw == KW_OPERATOR) /* what follows is its operand */
		uses->operand = p->prev->text.p;
	sql_value_path(p);
}

void sql_use_path(struct sql_parser *p, struct sl_sql_name name)
{
	struct sl_sql_use *u = add_name(p, SL_SQL_USE_CALL, name);

	if (u != NULL)
		u->path = true;
}

void sql_use_name_or_call(struct sql_parser *p)
{
	enum sql_keyword kw = sql_peek(p, 0)->kw;
	bool alias = ends_value(p->prev) && sql_keyword_class(kw) != 'T' && p->depth == p->uses->item_depth &&
	             p->prev->text.p != p->uses->operand;
	struct sl_sql_name name;

	/* It may be any name; COLLATION FOR (...) is no lock. */
	if (sql_peek(p, 0)->type == TOK_UESC || (kw == KW_COLLATION && sql_peek(p, 1)->kw == KW_FOR)) {
		sql_fail(p);
		return;
	}
	name = sql_name(p);
	if (p->failed)
		return;
	if (sql_is_char(p, '(')) {
		sql_add_function(p, name);
		sql_use_call(p, name, kw);
		return;
	}
	if (sql_is_char(p, '.') && sql_peek(p, 1)->c == '*') {
		struct sl_sql_use *u;

		sql_take(p);
		sql_take(p);
		u = add_use(p, SL_SQL_USE_STAR);
		if (u != NULL)
			u->of = sl_sql_name_hash(name.name);
		return;
	}
	if (kw == KW_OVER || (name.schema.n == 0 && sql_keyword_class(kw) != 'U'))
		sql_use_decides(p);
	(void)add_name(p, SL_SQL_USE_NAME, name);
	p->uses->bare = alias && name.schema.n == 0;
}

void sql_use_word(struct sql_parser *p)
{
	switch (sql_peek(p, 0)->kw) {
	case KW_ALL:
	case KW_ARRAY:
	case KW_NULL:
	case KW_TRUE:
	case KW_FALSE:
	case KW_DEFAULT:
	case KW_CURRENT_CATALOG:
	case KW_CURRENT_DATE:
	case KW_CURRENT_ROLE:
	case KW_CURRENT_TIME:
	case KW_CURRENT_TIMESTAMP:
	case KW_CURRENT_USER:
	case KW_LOCALTIME:
	case KW_LOCALTIMESTAMP:
	case KW_SESSION_USER:
	case KW_USER:
	case KW_VARIADIC:
		p->uses->bare = false;
		break;
	default:
		sql_use_decides(p);
		break;
	}
}

void sql_use_type(struct sql_parser *p, struct sl_sql_name name)
{
	struct sl_sql_use *u = add_name(p, SL_SQL_USE_CALL, name);

	if (u != NULL)
		u->path = true;
}

void sql_use_as(struct sql_parser *p)
{
	struct sl_span label = sql_peek(p, 0)->text;

	/* In parentheses it can be the type of a CAST. */
	if (p->depth == p->uses->item_depth)
		p->uses->alias = label;
	else
		sql_use_type(p, (struct sl_sql_name){SL_SPAN_EMPTY, label});
}

/* ---- values and operators ---- */

static void add_operator(struct sql_parser *p, const struct sql_token *t)
{
	struct sl_sql_uses *out = p->uses->out;
	struct sl_span *last = &out->operators[out->nb_operators > 0 ? out->nb_operators - 1 : 0];

	if (out->nb_operators > 0 && last->p + last->n == t->text.p) {
		last->n++;
		return;
	}
	if (out->nb_operators == SL_SQL_OPERATORS_MAX) {
		sql_fail(p);
		return;
	}
	out->operator_stmt[out->nb_operators] = stmt_of(p);
	out->operators[out->nb_operators++] = t->text;
}

static void use_character(struct sql_parser *p)
{
	const struct sql_token *t = sql_peek(p, 0);

	switch (t->c) {
	case '(':
	case ')':
	case ']':
	case ',':
	case '.':
	case ';':
		return;
	case '[': /* of ARRAY[...], or a subscript */
		if (p->prev->kw != KW_ARRAY && p->prev->c != '[' && p->prev->c != ',')
			sql_use_decides(p);
		return;
	case ':':
		sql_use_decides(p);
		return;
	case '*': /* count(*) */
		if (p->prev->c == '(')
			return;
		break;
	case '|':
		add_operator(p, t);
		if (p->failed)
			return;
		if (p->prev->c != '|' && sql_peek(p, 1)->c != '|')
			sql_use_decides(p);
		return;
	default:
		break;
	}
	add_operator(p, t);
	sql_use_decides(p);
}

/* A number that stands alone between commas in ORDER BY or GROUP BY. */
static void use_position(struct sql_parser *p)
{
	struct sl_span digits = sql_peek(p, 0)->text;
	const struct sql_token *next = sql_peek(p, 1);
	struct sl_sql_use *u;
	int n = 0;

	if (next->type != TOK_END && next->type != TOK_WORD && next->c != ',' && next->c != ')' &&
	    next->c != ';')
		return;
	for (size_t i = 0; i < digits.n && n < INT16_MAX; i++) {
		if (digits.p[i] < '0' || digits.p[i] > '9')
			return;
		n = n * 10 + (digits.p[i] - '0');
	}
	u = add_use(p, SL_SQL_USE_POSITION);
	if (u != NULL)
		u->item = n >= 1 && n <= INT16_MAX ? (int16_t)(n - 1) : INT16_MAX;
}

void sql_use_value(struct sql_parser *p)
{
	enum sql_token_type type = sql_peek(p, 0)->type;

	p->uses->bare = false;
	if (type == TOK_CHAR)
		use_character(p);
	else if (type == TOK_NUMBER && p->uses->c.by)
		use_position(p);
}

/* ---- rows ---- */

void sql_use_row(struct sql_parser *p, struct sql_row_source from)
{
	struct sl_sql_uses *out = p->uses->out;

	if (p->failed || out->nb_rows == SL_SQL_ROWS_MAX) {
		sql_fail(p);
		return;
	}
	out->rows[out->nb_rows++] = (struct sl_sql_row){.name = from.name,
	                                                .hash = sl_sql_name_hash(from.name),
	                                                .relation = from.relation,
	                                                .query = p->uses->c.query,
	                                                .first = from.first,
	                                                .end = from.end,
	                                                .join = from.join,
	                                                .stmt = stmt_of(p)};
}

void sql_use_renamed(struct sql_parser *p, int16_t row, struct sl_span name, int16_t position)
{
	struct sl_sql_use *u = add_name(p, SL_SQL_USE_RENAMED, (struct sl_sql_name){SL_SPAN_EMPTY, name});

	if (u == NULL)
		return;
	u->item = position;
	u->row = row;
}

static int16_t last_row(const struct sql_parser *p)
{
	return (int16_t)((int32_t)p->uses->out->nb_rows - 1);
}

/* To the comma or parenthesis that ends a column's definition. */
static void skip_definition(struct sql_parser *p)
{
	uint32_t parens = 0;

	while (!sql_at_end(p)) {
		if (parens == 0 && (sql_is_char(p, ',') || sql_is_char(p, ')')))
			return;
		if (sql_is_char(p, '('))
			parens++;
		else if (sql_is_char(p, ')'))
			parens--;
		sql_take(p);
	}
	sql_fail(p);
}

void sql_use_columns(struct sql_parser *p)
{
	int16_t n = 0;

	sql_need_char(p, '(');
	do {
		struct sl_span name = sql_peek(p, 0)->text;

		if (!sql_at_name(p) || sql_peek(p, 0)->type == TOK_UESC || n == INT16_MAX) {
			sql_fail(p);
			return;
		}
		sql_take(p);
		sql_use_renamed(p, last_row(p), name, n++);
		skip_definition(p);
	} while (!p->failed && sql_take_char(p, ','));
	sql_need_char(p, ')');
}

int16_t sql_use_cte(struct sql_parser *p, struct sl_span name, uint32_t cte)
{
	uint16_t first = p->uses->out->nb_queries;
	int16_t row;

	/* In the query itself all that is behind its beginning can be of it. */
	sql_use_row(p,
	            (struct sql_row_source){.name = name, .relation = -1, .first = first, .end = UINT16_MAX});
	if (p->failed)
		return SL_SQL_NO_ROW;
	row = last_row(p);
	p->uses->out->rows[row].query = UINT16_MAX; /* it stands in no FROM */
	if (cte < SQL_CTES_MAX)
		p->uses->ctes[cte] = (struct sql_cte_range){first, UINT16_MAX};
	if (sql_is_char(p, '('))
		sql_use_columns(p);
	return row;
}

void sql_use_cte_ends(struct sql_parser *p, int16_t row, uint32_t cte)
{
	if (p->failed || row < 0)
		return;
	p->uses->out->rows[row].end = p->uses->out->nb_queries;
	if (cte < SQL_CTES_MAX)
		p->uses->ctes[cte].end = p->uses->out->nb_queries;
}

/* ---- select lists ---- */

static struct sl_sql_item *add_item(struct sql_parser *p, uint16_t position)
{
	struct sl_sql_uses *out = p->uses->out;
	struct sql_context *c = &p->uses->c;
	struct sl_sql_item *i;

	if (p->failed || out->nb_items == SL_SQL_ITEMS_MAX) {
		sql_fail(p);
		return NULL;
	}
	c->item = (int16_t)out->nb_items;
	i = &out->items[out->nb_items++];
	*i = (struct sl_sql_item){.text = sl_span(sql_peek(p, 0)->text.p, 0),
	                          .stmt = stmt_of(p),
	                          .outermost = c->outermost,
	                          .parent = c->parent,
	                          .query = c->query,
	                          .position = position};
	return i;
}

/* The next token ends an item. */
static bool at_item_end(struct sql_parser *p)
{
	const struct sql_token *t = sql_peek(p, 0);

	if (t->type == TOK_END || t->c == ',' || t->c == ')' || t->c == ';')
		return true;
	switch (t->kw) {
	case KW_FROM:
	case KW_INTO:
	case KW_WHERE:
	case KW_GROUP:
	case KW_HAVING:
	case KW_WINDOW:
	case KW_UNION:
	case KW_INTERSECT:
	case KW_EXCEPT:
	case KW_ORDER:
	case KW_LIMIT:
	case KW_OFFSET:
	case KW_FETCH:
	case KW_FOR:
	case KW_ON:
	case KW_RETURNING:
		return true;
	default:
		return false;
	}
}

/* Behind the name that an item begins with: is that all, up to an alias? */
static bool is_plain(struct sql_parser *p)
{
	if (at_item_end(p))
		return true;
	if (sql_is_kw(p, KW_AS)) {
		sql_take(p);
		p->uses->alias = sql_peek(p, 0)->text;
		sql_label(p);
		return at_item_end(p);
	}
	if (sql_at_name(p) && sql_keyword_class(sql_peek(p, 0)->kw) != 'T' &&
	    sql_peek(p, 1)->type != TOK_STRING) {
		struct sl_span label = sql_peek(p, 0)->text;
		const struct sql_token *next = sql_peek(p, 1);

		if (next->type != TOK_END && next->c != ',' && next->c != ')' && next->c != ';' &&
		    (next->type != TOK_WORD || sql_keyword_class(next->kw) != 'R'))
			return false;
		sql_take(p);
		p->uses->alias = label;
		return at_item_end(p);
	}
	return false;
}

/* The item's uses were noted as if it only computed. */
static void settle_item(struct sql_parser *p, uint32_t first, int16_t item)
{
	struct sl_sql_uses *out = p->uses->out;

	for (uint32_t i = first; p->uses->decides && i < out->nb_uses; i++) {
		if (out->uses[i].item == item && out->uses[i].place == SL_SQL_OUTPUT_EXPR)
			out->uses[i].place = SL_SQL_USED;
	}
}

static void star_item(struct sql_parser *p, struct sl_sql_item *i, uint8_t base)
{
	struct sl_sql_use *u;

	sql_take(p);
	i->star = true;
	u = add_use(p, SL_SQL_USE_STAR);
	if (u != NULL)
		u->place = base;
}

/* Begins with a name: true when it is nothing else. */
static bool name_item(struct sql_parser *p, struct sl_sql_item *i, uint8_t base)
{
	struct sl_sql_uses *out = p->uses->out;
	uint32_t first = out->nb_uses;
	const struct sl_sql_use *u = &out->uses[first];

	sql_use_name_or_call(p);
	if (p->failed || out->nb_uses != first + 1)
		return false;
	if (u->kind == SL_SQL_USE_STAR) {
		i->star = at_item_end(p);
		out->uses[first].place = i->star ? base : u->place;
		return i->star;
	}
	if (u->kind != SL_SQL_USE_NAME || !is_plain(p))
		return false;
	i->plain = true;
	i->hash = u->hash;
	out->uses[first].place = base;
	return true;
}

static void one_item(struct sql_parser *p, uint16_t position, bool distinct)
{
	struct sql_collector *u = p->uses;
	uint8_t base = distinct ? SL_SQL_USED : u->c.base;
	uint32_t first = u->out->nb_uses;
	struct sl_sql_item *i = add_item(p, position);

	if (i == NULL)
		return;
	u->c.place = base == SL_SQL_OUTPUT ? SL_SQL_OUTPUT_EXPR : base;
	u->decides = false;
	u->item_depth = p->depth;
	u->alias = SL_SPAN_EMPTY;
	u->before = *p->prev; /* what came before the item is no value before an alias */
	u->before.type = TOK_END;
	p->prev = &u->before;
	if (sql_is_char(p, '*'))
		star_item(p, i, base);
	else if (!sql_at_name(p) || !name_item(p, i, base))
		sql_expr(p);
	if (u->bare && u->alias.n == 0 && u->out->nb_uses > first)
		u->out->nb_uses--; /* an alias without AS: `text` has it */
	if (u->alias.n > 0)
		i->hash = sl_sql_name_hash(u->alias);
	if (p->prev->type != TOK_END)
		i->text.n = (size_t)(p->prev->text.p + p->prev->text.n - i->text.p);
	settle_item(p, first, u->c.item);
}

void sql_use_items(struct sql_parser *p, bool distinct)
{
	struct sql_collector *u = p->uses;
	struct sql_context before = u->c;
	bool decides = u->decides;
	uint32_t depth = u->item_depth;
	struct sl_span alias = u->alias;
	uint16_t n = 0;

	u->c.by = false;
	do {
		if (!at_item_end(p))
			one_item(p, n++, distinct);
		u->c = before;
	} while (!p->failed && n < UINT16_MAX && sql_take_char(p, ','));
	u->decides = decides;
	u->item_depth = depth;
	u->alias = alias;
	u->bare = false;
}

void sql_use_values(struct sql_parser *p)
{
	struct sql_collector *u = p->uses;
	struct sql_context before = u->c;
	bool decides = u->decides;
	uint32_t first = u->out->nb_uses, depth = u->item_depth;
	struct sl_sql_item *i = add_item(p, 0);

	if (i == NULL)
		return;
	u->c.place = before.base == SL_SQL_OUTPUT ? SL_SQL_OUTPUT_EXPR : before.base;
	u->c.role = SQL_ROLE_EXPR;
	u->decides = false;
	u->item_depth = UINT32_MAX;
	(void)sql_parens(p);
	i->star = i->values = true;
	i->text.n = (size_t)(p->prev->text.p + p->prev->text.n - i->text.p);
	settle_item(p, first, u->c.item);
	u->decides = decides;
	u->item_depth = depth;
	u->c = before;
}

void sql_use_table(struct sql_parser *p, struct sql_row_source from)
{
	struct sql_context before = p->uses->c;
	struct sl_sql_item *i;

	sql_use_row(p, from);
	i = add_item(p, 0);
	if (i != NULL) {
		i->text = from.name;
		i->star = true;
		p->uses->c.place = before.base;
		(void)add_use(p, SL_SQL_USE_STAR);
	}
	p->uses->c = before;
}

/* ---- what is written ---- */

static void set_targets(struct sql_parser *p)
{
	if (sql_is_char(p, '(')) {
		(void)sql_parens(p);
		return;
	}
	(void)sql_name(p);
	p->uses->c.place = SL_SQL_USED; /* a subscript is read */
	while (!p->failed && sql_is_char(p, '['))
		sql_loose(p);
}

void sql_use_set(struct sql_parser *p)
{
	struct sql_context before = p->uses->c;

	do {
		(void)sql_use_clause(p, SL_SQL_TARGET, SL_SQL_TO_WRITE, false);
		set_targets(p);
		sql_need_char(p, '=');
		(void)sql_use_clause(p, SL_SQL_USED, SL_SQL_TO_WRITE, false);
		sql_expr(p);
		p->uses->c = before;
	} while (!p->failed && sql_take_char(p, ','));
}

void sql_use_copy_columns(struct sql_parser *p, struct sql_row_source from)
{
	struct sql_context before = p->uses->c;
	uint16_t n = 0;

	if (p->failed)
		return;
	p->uses->c.query = p->uses->out->nb_queries++;
	p->uses->c.outermost = true;
	p->uses->c.parent = SL_SQL_NO_ITEM;
	if (!sql_is_char(p, '(')) {
		sql_use_table(p, from);
		if (!p->failed)
			p->uses->out->items[p->uses->out->nb_items - 1].table = true;
		p->uses->c = before;
		return;
	}
	sql_take(p);
	sql_use_row(p, from);
	p->uses->c.place = SL_SQL_OUTPUT;
	do {
		struct sl_sql_item *i = add_item(p, n++);
		struct sl_sql_name name = sql_name(p);

		if (i == NULL || p->failed)
			return;
		i->text = name.name;
		i->plain = true;
		i->hash = sl_sql_name_hash(name.name);
		(void)add_name(p, SL_SQL_USE_NAME, name);
	} while (!p->failed && sql_take_char(p, ','));
	sql_need_char(p, ')');
	p->uses->c = before;
}

void sql_use_are_targets(struct sql_parser *p, uint32_t first)
{
	struct sl_sql_uses *out = p->uses->out;

	for (uint32_t i = first; i < out->nb_uses; i++) {
		out->uses[i].place = SL_SQL_TARGET;
		out->uses[i].flow = SL_SQL_TO_WRITE;
	}
}

void sql_use_object(struct sql_parser *p, bool alter)
{
	switch (sql_peek(p, 0)->kw) {
	case KW_USER: /* MAPPING; and a mere user */
	case KW_FOREIGN:
	case KW_SERVER:
	case KW_EXTENSION:
	case KW_SUBSCRIPTION:
	case KW_PUBLICATION:
	case KW_LANGUAGE:
	case KW_PROCEDURAL:
	case KW_TRUSTED:
	case KW_TRANSFORM:
	case KW_ACCESS: /* METHOD */
	case KW_OPERATOR:
	case KW_CAST:
	case KW_AGGREGATE:
	case KW_CONVERSION:
	case KW_EVENT:
	case KW_SYSTEM:
		p->uses->out->far[stmt_of(p)] = true;
		break;
	case KW_SCHEMA:
	case KW_TYPE:
	case KW_DOMAIN:
		p->uses->out->far[stmt_of(p)] |= alter;
		break;
	default:
		break;
	}
}

/* ---- the scan ---- */

void sl_sql_uses(struct sl_span text, const struct sl_sql *sql, struct sl_sql_uses *out)
{
	struct sql_collector uses;
	struct sl_sql again;

	out->nb_uses = out->nb_items = out->nb_rows = out->nb_operators = 0;
	out->nb_queries = 0;
	memset(out->far, 0, sizeof(out->far));
	out->complete = false;
	if (!sql->complete)
		return;
	memset(&uses, 0, sizeof(uses));
	uses.out = out;
	sql_parse_text(text, &again, &uses);
	out->complete =
	        again.complete && again.nb_stmts == sql->nb_stmts && again.nb_relations == sql->nb_relations;
}
