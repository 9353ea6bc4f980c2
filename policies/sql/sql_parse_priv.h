/*
 * The parser. One function per production of PostgreSQL's grammar (src/backend/parser/gram.y), as deep as is
 * needed to know which relations and functions a statement names, and no deeper: an expression is a row of
 * tokens in which calls and queries in parentheses are found.
 *
 * Why a short reading is safe: SELECT, WITH, INTO, FROM, TABLE, ... are reserved, they stand nowhere but
 * where the grammar has them or as a label behind a dot or AS. Where a reserved word comes that the
 * production does not expect, the statement is not understood, and with it the rest of the text.
 */
#ifndef SL_SQL_PARSE_PRIV_H
#define SL_SQL_PARSE_PRIV_H

#include "sl_sql.h"
#include "sl_sql_uses.h"
#include "sql_lex_priv.h"

#include <string.h>

#define SQL_DEPTH_MAX 128 /* productions inside of each other; deeper is opaque */
#define SQL_CTES_MAX  64  /* names of WITH queries in sight; with more it is opaque */
#define SQL_LOOK      64  /* tokens that are read at once, at most; a power of two */

#define BIT(k) SL_SQL_BIT(SL_SQL_##k)

/* Whose columns the next query's are; it takes the note when it begins. */
enum sql_role {
	SQL_ROLE_EXPR,  /* in an expression: the item's that it stands in */
	SQL_ROLE_TOP,   /* the statement's own */
	SQL_ROLE_FROM,  /* a row's: FROM, WITH, what INSERT takes its rows from */
	SQL_ROLE_BRANCH /* in parentheses, the same query */
};

/* Where the parser stands while it collects uses (sl_sql_uses()). */
struct sql_context {
	uint8_t place; /* of a name that comes now */
	uint8_t base;  /* of an item that is nothing but a name; USED in what an expression reads */
	uint8_t flow;
	bool by, outermost, from_call;
	enum sql_role role; /* of the next query */
	int16_t item;       /* that the names stand in */
	int16_t parent;     /* of the query's items */
	uint16_t query;
};

struct sql_cte_range {
	uint16_t first, end;
};

struct sql_collector {
	struct sl_sql_uses *out;
	struct sql_context c;
	bool decides;        /* the item at hand does more than to compute a value */
	uint32_t item_depth; /* of the parser, where the item's own AS stands */
	struct sl_span alias;
	const uint8_t *operand;  /* where OPERATOR(...) ends */
	struct sql_token before; /* an item: see there */
	bool bare;               /* the last use could be the item's alias without AS */
	struct sql_cte_range ctes[SQL_CTES_MAX];
};

struct sql_parser {
	struct sql_lexer lx;
	struct sl_span text;
	struct sql_token look[SQL_LOOK]; /* a ring */
	uint32_t at, nb;                 /* the first of them, and how many were read */
	const struct sql_token
	        *prev; /* the last that was taken: in the ring before the first, or sql_no_token */
	uint32_t depth;
	bool failed;    /* not understood: no token follows any more */
	bool in_schema; /* inside of CREATE SCHEMA: its elements follow each other */
	struct sl_sql *out;
	struct sl_sql_stmt *stmt; /* the one at hand */
	struct sl_span ctes[SQL_CTES_MAX];
	uint32_t nb_ctes;
	struct sql_collector *uses; /* NULL: nobody asks for them */
};

/* sql_parse.c */
const struct sql_token *sql_read_ahead(struct sql_parser *p, uint32_t n);
/* 0 is the next token; at most 3. It stays where it is until three more were taken. */
static inline const struct sql_token *sql_peek(struct sql_parser *p, uint32_t n)
{
	return __builtin_expect(p->nb > n, 1) ? &p->look[(p->at + n) % SQL_LOOK] : sql_read_ahead(p, n);
}
void sql_fail(struct sql_parser *p);
/* Takes t, which is the next token and not the end. */
static inline void sql_take_it(struct sql_parser *p, const struct sql_token *t)
{
	/* It belongs to the name before it, which then may be any: what follows is behind that name. */
	if (t->kw == KW_UESCAPE && p->prev->type == TOK_UESC) {
		sql_fail(p);
		return;
	}
	p->prev = t;
	p->at = (p->at + 1) % SQL_LOOK;
	p->nb--;
}
static inline void sql_take(struct sql_parser *p)
{
	const struct sql_token *t = sql_peek(p, 0);

	if (t->type != TOK_END)
		sql_take_it(p, t);
}
/* n tokens that were looked at, of which sql_take_it() would have nothing to say. */
static inline void sql_skip(struct sql_parser *p, uint32_t n)
{
	p->prev = &p->look[(p->at + n - 1) % SQL_LOOK];
	p->at = (p->at + n) % SQL_LOOK;
	p->nb -= n;
}
static inline bool sql_is_kw(struct sql_parser *p, enum sql_keyword kw)
{
	return sql_peek(p, 0)->kw == kw;
}
static inline bool sql_is_char(struct sql_parser *p, uint8_t c)
{
	return sql_peek(p, 0)->c == c;
}
/* Takes the next token when it is that word, or that character. */
static inline bool sql_take_kw(struct sql_parser *p, enum sql_keyword kw)
{
	const struct sql_token *t = sql_peek(p, 0);

	if (t->kw != kw)
		return false;
	sql_take_it(p, t);
	return true;
}
static inline bool sql_take_char(struct sql_parser *p, uint8_t c)
{
	const struct sql_token *t = sql_peek(p, 0);

	if (t->c != c)
		return false;
	sql_take_it(p, t);
	return true;
}
/* The same, and not understood when it is another. */
static inline void sql_need_kw(struct sql_parser *p, enum sql_keyword kw)
{
	if (!sql_take_kw(p, kw))
		sql_fail(p);
}
static inline void sql_need_char(struct sql_parser *p, uint8_t c)
{
	if (!sql_take_char(p, c))
		sql_fail(p);
}
/* False when it is too deep. Every true is followed by a sql_leave(). */
static inline bool sql_enter(struct sql_parser *p)
{
	if (p->depth == SQL_DEPTH_MAX)
		sql_fail(p);
	p->depth++;
	return !p->failed;
}
static inline void sql_leave(struct sql_parser *p)
{
	p->depth--;
}
/* The token may be a column's or relation's name without quotes, or is a name in quotes. */
static inline bool sql_names(const struct sql_token *t)
{
	return (t->flags & SQL_FLAG_NAME) != 0;
}
/* The next one. */
static inline bool sql_at_name(struct sql_parser *p)
{
	return sql_names(sql_peek(p, 0));
}
/* name [. name [. name]]: not understood when there is none. */
struct sl_sql_name sql_name(struct sql_parser *p);
/* Any word or name, as behind AS and a dot. */
void sql_label(struct sql_parser *p);
void sql_add_relation(struct sql_parser *p, struct sl_sql_name name, uint8_t access);
void sql_add_function(struct sql_parser *p, struct sl_sql_name name);
bool sql_is_settings(struct sl_sql_name name); /* the view of all settings: an UPDATE of it is a SET */
bool sql_same_name(struct sl_span a, struct sl_span b);
/* Is the relation that is read so a WITH query? Then *n is which. */
bool sql_find_cte(const struct sql_parser *p, struct sl_sql_name name, uint32_t *n);
/* Reads a text; out is emptied first. */
void sql_parse_text(struct sl_span text, struct sl_sql *out, struct sql_collector *uses);
/* A whole statement that another one carries; its kinds are added. */
void sql_statement(struct sql_parser *p, bool carried);
/* One that returns rows or changes them: SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES, TABLE, with WITH. */
enum sl_sql_kind sql_preparable(struct sql_parser *p);
static inline void sql_add_kinds(struct sql_parser *p, uint64_t kinds)
{
	p->stmt->kinds |= kinds;
}
static inline bool sql_at_end(struct sql_parser *p)
{
	const struct sql_token *t = sql_peek(p, 0);

	return t->type == TOK_END || t->c == ';';
}

/* sql_expr.c */
/* Expressions, their commas too, up to a word that begins the next clause, ')' ']' or the end. */
void sql_exprs(struct sql_parser *p);
/* One, up to a comma too. */
void sql_expr(struct sql_parser *p);
/* Behind a value, when a dot comes: .name, .* */
void sql_value_path_rest(struct sql_parser *p);
static inline void sql_value_path(struct sql_parser *p)
{
	if (sql_is_char(p, '.'))
		sql_value_path_rest(p);
}
/* What is in parentheses: a query, or expressions in which clause words have no meaning of their own. Takes
 * both. True when it was a query. */
bool sql_parens(struct sql_parser *p);
/* What follows a query in parentheses inside of others; of uses: its role and number. */
void sql_parens_tail(struct sql_parser *p, enum sql_role role, uint16_t query);
/* One word, name, value or pair of parentheses outside of any clause. */
void sql_loose(struct sql_parser *p);
/* The rest of a statement, for statements whose clauses hold nothing but names and expressions. */
void sql_rest(struct sql_parser *p);
/* The same where SELECT and INTO are words like others: GRANT SELECT. No query can stand there but in
 * parentheses. */
void sql_words(struct sql_parser *p);

/* sql_query.c */
/* The next token begins a query; in parentheses too. */
bool sql_at_query(struct sql_parser *p);
/* SELECT, VALUES, TABLE or one in parentheses, with WITH, set operations, ORDER BY and what follows. */
/* Returns what it is: SELECT, INSERT, UPDATE, DELETE or MERGE. */
enum sl_sql_kind sql_query(struct sql_parser *p);
/* What may follow a query in parentheses: set operations, ORDER BY, LIMIT ... */
void sql_query_tail(struct sql_parser *p);
void sql_relation_expr(struct sql_parser *p, uint8_t access); /* [ONLY] name [*] */
void sql_from_list(struct sql_parser *p);                     /* behind FROM */

/* sql_uses.c: what only sl_sql_uses() asks for; p->uses is there but where it says that it can be NULL. */
void sql_use_name_or_call(struct sql_parser *p); /* takes a name, q.* or a call with its arguments */
/* A call whose name was taken: takes its arguments. */
void sql_use_call(struct sql_parser *p, struct sl_sql_name name, enum sql_keyword kw);
void sql_use_path(struct sql_parser *p, struct sl_sql_name name); /* (value).name */
void sql_use_value(struct sql_parser *p); /* before a token that is neither a name nor a word is taken */
void sql_use_word(struct sql_parser *p);  /* before a reserved word of an expression is taken */
void sql_use_type(struct sql_parser *p, struct sl_sql_name name); /* of a cast */
void sql_use_as(struct sql_parser *p);                            /* behind AS in an expression */
void sql_use_decides(struct sql_parser *p);
void sql_use_mark(struct sql_parser *p, enum sl_sql_use_kind kind, uint8_t place);
/* A row of FROM. relation < 0: from the queries [first, end), a join, or a function. */
struct sql_row_source {
	struct sl_span name;
	int32_t relation;
	uint16_t first, end;
	bool join;
};
void sql_use_row(struct sql_parser *p, struct sql_row_source from);
/* (name [type], ...): the columns of the last row. */
void sql_use_columns(struct sql_parser *p);
void sql_use_renamed(struct sql_parser *p, int16_t row, struct sl_span name, int16_t position);
/* A WITH query begins: its row, and its column list when there is one. Returns the row. */
int16_t sql_use_cte(struct sql_parser *p, struct sl_span name, uint32_t cte);
void sql_use_cte_ends(struct sql_parser *p, int16_t row, uint32_t cte);
void sql_use_items(struct sql_parser *p, bool distinct);              /* a select list */
void sql_use_values(struct sql_parser *p);                            /* one row of VALUES */
void sql_use_set(struct sql_parser *p);                               /* a = ..., (b, c) = (...) */
void sql_use_table(struct sql_parser *p, struct sql_row_source from); /* TABLE t, COPY t: all of a row */
/* COPY t (a, b): true when the next token was a list. */
void sql_use_copy_columns(struct sql_parser *p, struct sql_row_source from);
/* The object of CREATE or ALTER comes next. */
void sql_use_object(struct sql_parser *p, bool alter);
/* All uses from `first` on are not read. */
void sql_use_are_targets(struct sql_parser *p, uint32_t first);
/* Each gives back the context for sql_use_back(); p->uses may be NULL in these and those below. */
/* The clause that comes decides, is written, is not read ... */
struct sql_context sql_use_clause(struct sql_parser *p, uint8_t place, uint8_t flow, bool by);
struct sql_context sql_use_from_call(struct sql_parser *p); /* a function in FROM */
struct sql_context sql_use_query(struct sql_parser *p);     /* a query begins */
/* A set operation behind a query in parentheses goes on with it: that query's role and number. */
struct sql_context sql_use_tail(struct sql_parser *p, enum sql_role role, uint16_t query);
static inline void sql_use_back(struct sql_parser *p, const struct sql_context *c)
{
	if (p->uses != NULL)
		p->uses->c = *c;
}
static inline struct sql_context sql_use_here(const struct sql_parser *p)
{
	return p->uses != NULL ? p->uses->c : (struct sql_context){0};
}
static inline void sql_use_role(struct sql_parser *p, enum sql_role role)
{
	if (p->uses != NULL)
		p->uses->c.role = role;
}
static inline uint16_t sql_use_nb_queries(const struct sql_parser *p)
{
	return p->uses != NULL ? p->uses->out->nb_queries : 0;
}

/* sql_utility.c */
void sql_utility(struct sql_parser *p, bool carried);
void sql_execute(struct sql_parser *p); /* behind EXECUTE */

/* sql_ddl.c */
void sql_create(struct sql_parser *p);
void sql_alter(struct sql_parser *p);
void sql_drop(struct sql_parser *p);

/* sql_set.c: behind SET or RESET */
void sql_set(struct sql_parser *p);

#endif
