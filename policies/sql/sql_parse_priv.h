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
#include "sql_lex_priv.h"

#include <string.h>

#define SQL_DEPTH_MAX 128 /* productions inside of each other; deeper is opaque */
#define SQL_CTES_MAX  64  /* names of WITH queries in sight; with more it is opaque */
#define SQL_LOOK      4   /* tokens that can be looked at ahead, a power of two */

#define BIT(k) SL_SQL_BIT(SL_SQL_##k)

struct sql_parser {
	struct sql_lexer lx;
	struct sl_span text;
	struct sql_token look[SQL_LOOK];
	uint32_t at, nb;       /* the first of them, and how many were read */
	struct sql_token prev; /* the last that was taken */
	uint32_t depth;
	bool failed;    /* not understood: no token follows any more */
	bool in_schema; /* inside of CREATE SCHEMA: its elements follow each other */
	struct sl_sql *out;
	struct sl_sql_stmt *stmt; /* the one at hand */
	struct sl_span ctes[SQL_CTES_MAX];
	uint32_t nb_ctes;
};

/* sql_parse.c */
const struct sql_token *sql_read_ahead(struct sql_parser *p, uint32_t n);
/* n < SQL_LOOK; 0 is the next token. */
static inline const struct sql_token *sql_peek(struct sql_parser *p, uint32_t n)
{
	return p->nb > n ? &p->look[(p->at + n) % SQL_LOOK] : sql_read_ahead(p, n);
}
void sql_fail(struct sql_parser *p);
static inline void sql_take(struct sql_parser *p)
{
	const struct sql_token *t = sql_peek(p, 0);

	if (t->type == TOK_END)
		return;
	/* It belongs to the name before it, which then may be any: what follows is behind that name. */
	if (t->kw == KW_UESCAPE && p->prev.type == TOK_UESC) {
		sql_fail(p);
		return;
	}
	p->prev = *t;
	p->at = (p->at + 1) % SQL_LOOK;
	p->nb--;
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
	if (!sql_is_kw(p, kw))
		return false;
	sql_take(p);
	return true;
}
static inline bool sql_take_char(struct sql_parser *p, uint8_t c)
{
	if (!sql_is_char(p, c))
		return false;
	sql_take(p);
	return true;
}
/* The same, and not understood when it is another. */
void sql_need_kw(struct sql_parser *p, enum sql_keyword kw);
void sql_need_char(struct sql_parser *p, uint8_t c);
/* False when it is too deep. Every true is followed by a sql_leave(). */
bool sql_enter(struct sql_parser *p);
void sql_leave(struct sql_parser *p);
/* The token may be a column's or relation's name without quotes, or is a name in quotes. */
static inline bool sql_names(const struct sql_token *t)
{
	if (t->type == TOK_WORD)
		return sql_keyword_class(t->kw) != 'R';
	return t->type == TOK_QUOTED || t->type == TOK_UESC;
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
bool sql_same_name(struct sl_span a, struct sl_span b);
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
	return sql_peek(p, 0)->type == TOK_END || sql_is_char(p, ';');
}

/* sql_expr.c */
/* Expressions, their commas too, up to a word that begins the next clause, ')' ']' or the end. */
void sql_exprs(struct sql_parser *p);
/* One, up to a comma too. */
void sql_expr(struct sql_parser *p);
/* What is in parentheses: a query, or expressions in which clause words have no meaning of their own. Takes
 * both. True when it was a query. */
bool sql_parens(struct sql_parser *p);
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

/* sql_utility.c */
void sql_utility(struct sql_parser *p, bool carried);

/* sql_ddl.c */
void sql_create(struct sql_parser *p);
void sql_alter(struct sql_parser *p);
void sql_drop(struct sql_parser *p);

/* sql_set.c: behind SET or RESET */
void sql_set(struct sql_parser *p);

#endif
