/* Tokens, names, and the frame of a query string: its statements one after the other. */
#include <string.h>

#include "sql_parse_priv.h"

/* ---- tokens ---- */

const struct sql_token *sql_read_ahead(struct sql_parser *p, uint32_t n)
{
	while (p->nb <= n) {
		/* As far as the ring has room in a row; the place in front of the first token is `prev`'s. */
		uint32_t to = (p->at + p->nb) % SQL_LOOK, room = SQL_LOOK - 1 - p->nb;
		struct sql_token *last;

		p->nb += sql_lex(&p->lx, &p->look[to], room < SQL_LOOK - to ? room : SQL_LOOK - to);
		last = &p->look[(p->at + p->nb - 1) % SQL_LOOK];
		if (last->type != TOK_BAD)
			continue;
		if (p->nb - 1 > n) { /* what stands in front of it comes first */
			p->lx.p = last->text.p;
			p->nb--;
			continue;
		}
		p->failed = true; /* nothing is read behind it */
		last->type = TOK_END;
		last->flags = SQL_FLAG_ENDS;
	}
	return &p->look[(p->at + n) % SQL_LOOK];
}

void sql_fail(struct sql_parser *p)
{
	p->failed = true;
	p->lx.p = p->lx.end;
	p->look[p->at] = sql_no_token;
	p->look[p->at].text = sl_span(p->lx.end, 0);
	p->nb = 1;
}

/* ---- names ---- */

/* Behind a dot any word is a name. */
static bool is_word(const struct sql_token *t)
{
	return (t->flags & SQL_FLAG_WORD) != 0;
}

/* A name with escapes could be any: nothing is said of it but that it is dangerous. */
static void take_name(struct sql_parser *p, const struct sql_token *t)
{
	if (t->type == TOK_UESC)
		sql_add_kinds(p, BIT(ADMIN));
	sql_take_it(p, t);
}

void sql_label(struct sql_parser *p)
{
	const struct sql_token *t = sql_peek(p, 0);

	if (is_word(t))
		take_name(p, t);
	else
		sql_fail(p);
}

struct sl_sql_name sql_name(struct sql_parser *p)
{
	struct sl_sql_name n = {SL_SPAN_EMPTY, SL_SPAN_EMPTY};
	const struct sql_token *t = sql_peek(p, 0);

	if (!sql_names(t)) {
		sql_fail(p);
		return n;
	}
	n.name = t->text;
	take_name(p, t);
	while (sql_is_char(p, '.') && is_word(t = sql_peek(p, 1))) {
		sql_take(p);
		n.schema = n.name;
		n.name = t->text;
		take_name(p, t);
	}
	return n;
}

static size_t unquote(struct sl_span name, char *out)
{
	size_t n = 0;

	for (size_t i = 1; i + 1 < name.n && n < SL_SQL_NAME_MAX; i++) {
		if (name.p[i] == '"')
			i++;
		out[n++] = (char)name.p[i];
	}
	return n;
}

size_t sl_sql_name_fold(struct sl_span name, char *out)
{
	size_t n = 0;

	if (name.n > 0 && name.p[0] == '"') {
		n = unquote(name, out);
	} else {
		for (; n < name.n && n < SL_SQL_NAME_MAX; n++)
			out[n] = (char)sql_fold(name.p[n]);
	}
	/* The server cuts between characters. */
	if (n == SL_SQL_NAME_MAX && n < name.n) {
		size_t start = n;

		while (start > 0 && ((uint8_t)out[start - 1] & 0xc0) == 0x80)
			start--;
		if (start > 0 && (uint8_t)out[start - 1] >= 0xc0 &&
		    n - start + 1 < ((uint8_t)out[start - 1] >= 0xf0   ? 4U
		                     : (uint8_t)out[start - 1] >= 0xe0 ? 3U
		                                                       : 2U))
			n = start - 1;
	}
	return n;
}

bool sql_same_name(struct sl_span a, struct sl_span b)
{
	char x[SL_SQL_NAME_MAX], y[SL_SQL_NAME_MAX];
	size_t n;

	if (a.n > 0 && b.n > 0 && a.p[0] != '"' && b.p[0] != '"' && sql_fold(a.p[0]) != sql_fold(b.p[0]))
		return false;
	n = sl_sql_name_fold(a, x);
	return n == sl_sql_name_fold(b, y) && memcmp(x, y, n) == 0;
}

static bool is_cte(const struct sql_parser *p, struct sl_span name, uint32_t *n)
{
	for (uint32_t i = p->nb_ctes; i > 0; i--) {
		*n = i - 1;
		if (sql_same_name(p->ctes[i - 1], name))
			return true;
	}
	return false;
}

bool sql_find_cte(const struct sql_parser *p, struct sl_sql_name name, uint32_t *n)
{
	return name.schema.n == 0 && is_cte(p, name.name, n);
}

/* U&"...", whose escapes are not read here: it may be any name. Words and quoted ones have no & there. */
static bool may_be_any(const struct sl_sql_name *name)
{
	return (name->name.n > 2 && name->name.p[0] != '"' && name->name.p[1] == '&') ||
	       (name->schema.n > 2 && name->schema.p[0] != '"' && name->schema.p[1] == '&');
}

void sql_add_relation(struct sql_parser *p, struct sl_sql_name name, uint8_t access)
{
	struct sl_sql *out = p->out;
	uint32_t cte = 0;

	if (p->failed)
		return;
	if (may_be_any(&name)) {
		sql_fail(p);
		return;
	}
	if (access == SL_SQL_READS && sql_find_cte(p, name, &cte))
		return;
	if ((access & SL_SQL_UPDATES) && sql_is_settings(name))
		sql_add_kinds(p, BIT(SET) | BIT(ADMIN) | BIT(OPAQUE)); /* a SET, of any parameter */
	if (out->nb_relations == SL_SQL_RELATIONS_MAX) {
		sql_fail(p);
		return;
	}
	out->relations[out->nb_relations++] =
	        (struct sl_sql_relation){name, access, (uint8_t)(out->nb_stmts - 1)};
}

bool sql_is_settings(struct sl_sql_name name)
{
	return sql_same_name(name.name, SL_SPAN_LIT("pg_settings"));
}

/*
 * At the arguments of set_config(): a plain literal names a parameter that does not change how texts are
 * read. Else it is a SET of those, for which statements that go along with it are not read.
 */
static bool sets_harmless(struct sql_parser *p)
{
	static const struct sl_span readers[] = {SL_SPAN_LIT("client_encoding"),
	                                         SL_SPAN_LIT("standard_conforming_strings")};
	const struct sql_token *t = sql_peek(p, 1);
	struct sl_span name = t->text;

	if (!sql_is_char(p, '(') || t->type != TOK_STRING || sql_peek(p, 2)->c != ',' || name.p[0] != '\'')
		return false;
	name = sl_span(name.p + 1, name.n - 2);
	if (memchr(name.p, '\'', name.n) != NULL || memchr(name.p, '\\', name.n) != NULL)
		return false;
	for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++)
		if (sql_same_name(name, readers[i]))
			return false;
	return true;
}

void sql_add_function(struct sql_parser *p, struct sl_sql_name name)
{
	struct sl_sql *out = p->out;
	struct sl_span bare = name.name;
	uint64_t kinds;

	if (p->failed)
		return;
	if (may_be_any(&name)) {
		sql_fail(p);
		return;
	}
	if (bare.n >= 2 && bare.p[0] == '"')
		bare = sl_span(bare.p + 1, bare.n - 2);
	kinds = sql_function_kinds(bare);
	sql_add_kinds(p, kinds);
	if (kinds != 0 && sql_same_name(name.name, SL_SPAN_LIT("set_config")) && !sets_harmless(p))
		sql_add_kinds(p, BIT(OPAQUE));
	if (out->nb_functions == SL_SQL_FUNCTIONS_MAX) {
		sql_fail(p);
		return;
	}
	out->functions[out->nb_functions++] = (struct sl_sql_function){name, (uint8_t)(out->nb_stmts - 1)};
}

/* ---- statements ---- */

static bool at_preparable(struct sql_parser *p)
{
	switch (sql_peek(p, 0)->kw) {
	case KW_SELECT:
	case KW_VALUES:
	case KW_TABLE:
	case KW_WITH:
	case KW_INSERT:
	case KW_UPDATE:
	case KW_DELETE:
	case KW_MERGE:
		return true;
	default:
		return sql_is_char(p, '(');
	}
}

enum sl_sql_kind sql_preparable(struct sql_parser *p)
{
	if (!at_preparable(p))
		sql_fail(p);
	return sql_query(p);
}

void sql_statement(struct sql_parser *p, bool carried)
{
	if (sql_enter(p)) {
		if (at_preparable(p)) {
			enum sl_sql_kind kind;

			sql_use_role(p, SQL_ROLE_TOP);
			kind = sql_query(p);

			if (!carried)
				p->stmt->main = kind;
		} else {
			sql_utility(p, carried);
		}
	}
	sql_leave(p);
}

/* Opens a place for the next statement. False when there is none. */
static bool next_statement(struct sql_parser *p)
{
	struct sl_sql *out = p->out;

	if (out->nb_stmts == SL_SQL_STMTS_MAX)
		return false;
	p->stmt = &out->stmts[out->nb_stmts++];
	*p->stmt = (struct sl_sql_stmt){.main = SL_SQL_OPAQUE, .text = sl_span(sql_peek(p, 0)->text.p, 0)};
	p->nb_ctes = 0;
	p->depth = 0;
	p->prev = &sql_no_token;
	if (p->uses != NULL)
		p->uses->c = (struct sql_context){.place = SL_SQL_USED,
		                                  .base = SL_SQL_OUTPUT,
		                                  .flow = SL_SQL_TO_REPLY,
		                                  .role = SQL_ROLE_EXPR,
		                                  .item = SL_SQL_NO_ITEM,
		                                  .query = p->uses->out->nb_queries};
	return true;
}

/* What could not be read belongs to the statement at hand, to the end of the text. */
static void make_opaque(struct sql_parser *p)
{
	struct sl_sql *out = p->out;

	if (out->nb_stmts == 0)
		(void)next_statement(p);
	p->stmt = &out->stmts[out->nb_stmts - 1];
	p->stmt->kinds |= BIT(OPAQUE);
	p->stmt->text.n = (size_t)(p->text.p + p->text.n - p->stmt->text.p);
	out->complete = false;
}

static void parse(struct sql_parser *p)
{
	for (;;) {
		while (sql_is_char(p, ';')) {
			p->at = (p->at + 1) % SQL_LOOK;
			p->nb--;
		}
		if (sql_peek(p, 0)->type == TOK_END) {
			if (p->failed)
				(void)next_statement(p);
			break;
		}
		if (!next_statement(p)) {
			p->failed = true;
			break;
		}
		sql_statement(p, false);
		if (p->prev->type != TOK_END)
			p->stmt->text.n = (size_t)(p->prev->text.p + p->prev->text.n - p->stmt->text.p);
		if (!p->failed && !sql_at_end(p))
			p->failed = true;
		if (p->failed)
			break;
		p->out->kinds |= p->stmt->kinds;
	}
	if (p->failed)
		make_opaque(p);
}

void sql_parse_text(struct sl_span text, struct sl_sql *out, struct sql_collector *uses)
{
	struct sql_parser p;

	out->nb_stmts = out->nb_relations = out->nb_functions = 0;
	out->kinds = 0;
	out->complete = true;
	p.lx = sql_lexer(text);
	p.text = text;
	p.at = p.nb = p.depth = p.nb_ctes = 0;
	p.failed = p.in_schema = false;
	p.out = out;
	p.stmt = NULL;
	p.uses = uses;
	/* The server would stop at a NUL that the lexer reads over inside a literal or a comment. */
	if (text.n > 0 && memchr(text.p, 0, text.n) != NULL)
		p.failed = true;
	if (text.n > 0)
		parse(&p);
	for (uint32_t i = 0; i < out->nb_stmts; i++)
		out->kinds |= out->stmts[i].kinds;
	if (out->nb_stmts == 0) {
		out->nb_stmts = 1;
		out->kinds = BIT(EMPTY);
		out->stmts[0] = (struct sl_sql_stmt){.kinds = BIT(EMPTY), .main = SL_SQL_EMPTY, .text = text};
	}
}

void sl_sql_scan(struct sl_span text, struct sl_sql *out)
{
	sql_parse_text(text, out, NULL);
}
