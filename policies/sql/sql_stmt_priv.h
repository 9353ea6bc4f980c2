/* The shallow parser's state for one statement. */
#ifndef SL_SQL_STMT_PRIV_H
#define SL_SQL_STMT_PRIV_H

#include "sl_sql.h"
#include "sql_lex_priv.h"

#define SQL_DEPTH_MAX 128 /* parentheses; deeper is opaque */

enum sql_phase {
	PH_START, /* a statement may begin with the next token */
	PH_WITH,  /* in a WITH list: the statement that it belongs to is still to come */
	PH_BODY,
};

/* What is known inside one pair of parentheses (or outside of all). */
struct sql_frame {
	enum sql_phase phase : 8;
	enum sql_keyword pending : 8; /* INSERT, DELETE, MERGE or UPDATE where a statement may begin; the next
	                                 token decides */
	bool select : 1, insert : 1, merge : 1, delete : 1, update : 1;
	bool maybe_update : 1; /* UPDATE name ...: one if SET follows */
	bool where : 1, returning : 1;
};

/* What a statement's own grammar still waits for, outside of parentheses. */
enum sql_mode {
	MODE_PLAIN,        /* not a query, nothing more to find */
	MODE_QUERY,        /* SELECT, WITH, INSERT ... */
	MODE_EXPLAIN,      /* options or the statement */
	MODE_EXPLAIN_LIST, /* inside of the option list */
	MODE_PREPARE,      /* AS */
	MODE_DECLARE,      /* FOR */
	MODE_NESTED,       /* the statement begins with the next token */
	MODE_COPY,         /* FROM or TO */
	MODE_COPY_FROM,    /* STDIN or something of the server's */
	MODE_COPY_TO,
	MODE_DDL_HEAD, /* the kind of object */
	MODE_CREATE,   /* AS */
	MODE_SET,      /* see sql_set.c */
};

struct sql_state {
	uint64_t kinds;
	enum sl_sql_kind main;
	enum sql_mode mode;
	uint32_t nb_tokens;
	uint32_t depth;
	bool no_where;
	bool explain, analyze;
	bool holds_code; /* CREATE FUNCTION or PROCEDURE: may have a BEGIN ATOMIC body */
	bool atomic;     /* inside of one: semicolons do not end the statement */
	bool schema;     /* CREATE SCHEMA: may have GRANT elements */
	bool settings;   /* names pg_settings, whose UPDATE is a SET */
	bool set_local, set_done;
	bool value_path; /* behind a dot on a value: (expression).name calls the function of that name */
	struct sl_span set_name;
	const struct sql_token *prev; /* its kw is KW_NONE where it was only a label */
	const uint8_t *begin, *end;
	struct sql_frame frames[SQL_DEPTH_MAX + 1];
};

/* SET and RESET: one token behind the leading word. */
void sql_set_step(struct sql_state *st, const struct sql_token *t);
/* The statement ends: what the name is. */
void sql_set_end(struct sql_state *st);

static inline struct sl_span sql_unquote(const struct sql_token *t)
{
	return t->type == TOK_QUOTED && t->text.n >= 2 ? sl_span(t->text.p + 1, t->text.n - 2) : t->text;
}

static inline bool sql_is_name(const struct sql_token *t)
{
	return t->type == TOK_WORD || t->type == TOK_QUOTED || t->type == TOK_UESC;
}

#endif
