/*
 * The lexer: PostgreSQL 15's rules (manual 4.1, src/backend/parser/scan.l) as far as they decide where a
 * token begins and ends. Where versions differ (PostgreSQL 15 refuses `1abc`, earlier ones read two tokens),
 * it reads what the laxer one would, so that nothing hides in what another version accepts.
 */
#ifndef SL_SQL_LEX_PRIV_H
#define SL_SQL_LEX_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include "sl_span.h"

/* clang-format does not come to rest on this list. */
/* clang-format off */
#define SQL_KEYWORD_TABLE(X) \
	X(ABORT) X(ALL) X(ALTER) X(ANALYSE) X(ANALYZE) X(AS) X(ATOMIC) X(AUTHORIZATION) X(BEGIN) X(CALL) \
	X(CATALOG) X(CHARACTERISTICS) X(CHECKPOINT) X(CLOSE) X(CLUSTER) X(COMMENT) X(COMMIT) \
	X(CONSTRAINTS) X(COPY) X(CREATE) X(DATABASE) X(DEALLOCATE) X(DECLARE) X(DEFAULT) X(DELETE) \
	X(DISCARD) X(DO) X(DROP) X(END) X(EVENT) X(EXECUTE) X(EXPLAIN) X(EXTENSION) X(FETCH) X(FOR) \
	X(FOREIGN) X(FROM) X(FUNCTION) X(GRANT) X(GROUP) X(IMPORT) X(INSERT) X(INTO) X(LANGUAGE) X(LISTEN) \
	X(LOAD) X(LOCAL) X(LOCK) X(MERGE) X(MOVE) X(NAMES) X(NOTIFY) X(OPTION) X(OR) X(OWNED) X(PREPARE) \
	X(PROCEDURAL) X(PROCEDURE) X(PROGRAM) X(PUBLICATION) X(READ) X(REASSIGN) X(REFRESH) X(REINDEX) \
	X(RELEASE) X(REPLACE) X(RESET) X(RETURNING) X(REVOKE) X(ROLE) X(ROLLBACK) X(ROUTINE) X(RULE) \
	X(SAVEPOINT) X(SCHEMA) X(SECURITY) X(SELECT) X(SERVER) X(SESSION) X(SET) X(SHOW) X(START) X(STDIN) \
	X(STDOUT) X(SUBSCRIPTION) X(SYSTEM) X(TABLE) X(TABLESPACE) X(THEN) X(TIME) X(TO) X(TRANSACTION) \
	X(TRIGGER) X(TRUNCATE) X(TRUSTED) X(UNLISTEN) X(UPDATE) X(USER) X(VACUUM) X(VALUES) X(VERBOSE) \
	X(WHERE) X(WITH) X(XML)
/* clang-format on */

enum sql_keyword {
	KW_NONE = 0,
#define SQL_KEYWORD_ENUM(word) KW_##word,
	SQL_KEYWORD_TABLE(SQL_KEYWORD_ENUM)
#undef SQL_KEYWORD_ENUM
	KW_COUNT
};

enum sql_token_type {
	TOK_END,    /* end of the text */
	TOK_BAD,    /* not readable: unterminated, or a character that no version takes */
	TOK_WORD,   /* identifier or keyword without quotes */
	TOK_QUOTED, /* "identifier" */
	TOK_UESC,   /* U&"identifier" */
	TOK_STRING, /* any literal in quotes */
	TOK_NUMBER,
	TOK_PARAM, /* $1 */
	TOK_CHAR,  /* one character of punctuation or of an operator */
};

struct sql_token {
	enum sql_token_type type;
	enum sql_keyword kw; /* TOK_WORD only */
	uint8_t c;           /* TOK_CHAR */
	struct sl_span text;
};

struct sql_lexer {
	const uint8_t *p, *end;
};

/* Reads the next token. After TOK_END or TOK_BAD the lexer is not asked again. */
void sql_lex_next(struct sql_lexer *lx, struct sql_token *t);

/* ASCII lower case, as PostgreSQL folds words. */
static inline uint8_t sql_fold(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

enum sql_keyword sql_keyword_find(struct sl_span word);

/* The kinds that a call of this function adds; 0: it only reads, as far as the table knows. */
uint64_t sql_function_kinds(struct sl_span name);

#endif
