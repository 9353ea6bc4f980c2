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

/*
 * The key words of PostgreSQL 15 with their class (manual, appendix C): U unreserved, C not a function's or
 * type's name, T a function's or type's name, R reserved.
 */
/* clang-format does not come to rest on this list. */
/* clang-format off */
#define SQL_KEYWORD_TABLE(X) \
	X(ABORT, U) X(ABSOLUTE, U) X(ACCESS, U) X(ACTION, U) X(ADD, U) X(ADMIN, U) X(AFTER, U) \
	X(AGGREGATE, U) X(ALL, R) X(ALSO, U) X(ALTER, U) X(ALWAYS, U) X(ANALYSE, R) X(ANALYZE, R) X(AND, R) \
	X(ANY, R) X(ARRAY, R) X(AS, R) X(ASC, R) X(ASENSITIVE, U) X(ASSERTION, U) X(ASSIGNMENT, U) \
	X(ASYMMETRIC, R) X(AT, U) X(ATOMIC, U) X(ATTACH, U) X(ATTRIBUTE, U) X(AUTHORIZATION, T) \
	X(BACKWARD, U) X(BEFORE, U) X(BEGIN, U) X(BETWEEN, C) X(BIGINT, C) X(BINARY, T) X(BIT, C) \
	X(BOOLEAN, C) X(BOTH, R) X(BREADTH, U) X(BY, U) X(CACHE, U) X(CALL, U) X(CALLED, U) X(CASCADE, U) \
	X(CASCADED, U) X(CASE, R) X(CAST, R) X(CATALOG, U) X(CHAIN, U) X(CHAR, C) X(CHARACTER, C) \
	X(CHARACTERISTICS, U) X(CHECK, R) X(CHECKPOINT, U) X(CLASS, U) X(CLOSE, U) X(CLUSTER, U) \
	X(COALESCE, C) X(COLLATE, R) X(COLLATION, T) X(COLUMN, R) X(COLUMNS, U) X(COMMENT, U) \
	X(COMMENTS, U) X(COMMIT, U) X(COMMITTED, U) X(COMPRESSION, U) X(CONCURRENTLY, T) \
	X(CONFIGURATION, U) X(CONFLICT, U) X(CONNECTION, U) X(CONSTRAINT, R) X(CONSTRAINTS, U) \
	X(CONTENT, U) X(CONTINUE, U) X(CONVERSION, U) X(COPY, U) X(COST, U) X(CREATE, R) X(CROSS, T) \
	X(CSV, U) X(CUBE, U) X(CURRENT, U) X(CURRENT_CATALOG, R) X(CURRENT_DATE, R) X(CURRENT_ROLE, R) \
	X(CURRENT_SCHEMA, T) X(CURRENT_TIME, R) X(CURRENT_TIMESTAMP, R) X(CURRENT_USER, R) X(CURSOR, U) \
	X(CYCLE, U) X(DATA, U) X(DATABASE, U) X(DAY, U) X(DEALLOCATE, U) X(DEC, C) X(DECIMAL, C) \
	X(DECLARE, U) X(DEFAULT, R) X(DEFAULTS, U) X(DEFERRABLE, R) X(DEFERRED, U) X(DEFINER, U) \
	X(DELETE, U) X(DELIMITER, U) X(DELIMITERS, U) X(DEPENDS, U) X(DEPTH, U) X(DESC, R) X(DETACH, U) \
	X(DICTIONARY, U) X(DISABLE, U) X(DISCARD, U) X(DISTINCT, R) X(DO, R) X(DOCUMENT, U) X(DOMAIN, U) \
	X(DOUBLE, U) X(DROP, U) X(EACH, U) X(ELSE, R) X(ENABLE, U) X(ENCODING, U) X(ENCRYPTED, U) X(END, R) \
	X(ENUM, U) X(ESCAPE, U) X(EVENT, U) X(EXCEPT, R) X(EXCLUDE, U) X(EXCLUDING, U) X(EXCLUSIVE, U) \
	X(EXECUTE, U) X(EXISTS, C) X(EXPLAIN, U) X(EXPRESSION, U) X(EXTENSION, U) X(EXTERNAL, U) \
	X(EXTRACT, C) X(FALSE, R) X(FAMILY, U) X(FETCH, R) X(FILTER, U) X(FINALIZE, U) X(FIRST, U) \
	X(FLOAT, C) X(FOLLOWING, U) X(FOR, R) X(FORCE, U) X(FOREIGN, R) X(FORWARD, U) X(FREEZE, T) \
	X(FROM, R) X(FULL, T) X(FUNCTION, U) X(FUNCTIONS, U) X(GENERATED, U) X(GLOBAL, U) X(GRANT, R) \
	X(GRANTED, U) X(GREATEST, C) X(GROUP, R) X(GROUPING, C) X(GROUPS, U) X(HANDLER, U) X(HAVING, R) \
	X(HEADER, U) X(HOLD, U) X(HOUR, U) X(IDENTITY, U) X(IF, U) X(ILIKE, T) X(IMMEDIATE, U) \
	X(IMMUTABLE, U) X(IMPLICIT, U) X(IMPORT, U) X(IN, R) X(INCLUDE, U) X(INCLUDING, U) X(INCREMENT, U) \
	X(INDEX, U) X(INDEXES, U) X(INHERIT, U) X(INHERITS, U) X(INITIALLY, R) X(INLINE, U) X(INNER, T) \
	X(INOUT, C) X(INPUT, U) X(INSENSITIVE, U) X(INSERT, U) X(INSTEAD, U) X(INT, C) X(INTEGER, C) \
	X(INTERSECT, R) X(INTERVAL, C) X(INTO, R) X(INVOKER, U) X(IS, T) X(ISNULL, T) X(ISOLATION, U) \
	X(JOIN, T) X(KEY, U) X(LABEL, U) X(LANGUAGE, U) X(LARGE, U) X(LAST, U) X(LATERAL, R) X(LEADING, R) \
	X(LEAKPROOF, U) X(LEAST, C) X(LEFT, T) X(LEVEL, U) X(LIKE, T) X(LIMIT, R) X(LISTEN, U) X(LOAD, U) \
	X(LOCAL, U) X(LOCALTIME, R) X(LOCALTIMESTAMP, R) X(LOCATION, U) X(LOCK, U) X(LOCKED, U) \
	X(LOGGED, U) X(MAPPING, U) X(MATCH, U) X(MATCHED, U) X(MATERIALIZED, U) X(MAXVALUE, U) X(MERGE, U) \
	X(METHOD, U) X(MINUTE, U) X(MINVALUE, U) X(MODE, U) X(MONTH, U) X(MOVE, U) X(NAME, U) X(NAMES, U) \
	X(NATIONAL, C) X(NATURAL, T) X(NCHAR, C) X(NEW, U) X(NEXT, U) X(NFC, U) X(NFD, U) X(NFKC, U) \
	X(NFKD, U) X(NO, U) X(NONE, C) X(NORMALIZE, C) X(NORMALIZED, U) X(NOT, R) X(NOTHING, U) \
	X(NOTIFY, U) X(NOTNULL, T) X(NOWAIT, U) X(NULL, R) X(NULLIF, C) X(NULLS, U) X(NUMERIC, C) \
	X(OBJECT, U) X(OF, U) X(OFF, U) X(OFFSET, R) X(OIDS, U) X(OLD, U) X(ON, R) X(ONLY, R) \
	X(OPERATOR, U) X(OPTION, U) X(OPTIONS, U) X(OR, R) X(ORDER, R) X(ORDINALITY, U) X(OTHERS, U) \
	X(OUT, C) X(OUTER, T) X(OVER, U) X(OVERLAPS, T) X(OVERLAY, C) X(OVERRIDING, U) X(OWNED, U) \
	X(OWNER, U) X(PARALLEL, U) X(PARAMETER, U) X(PARSER, U) X(PARTIAL, U) X(PARTITION, U) X(PASSING, U) \
	X(PASSWORD, U) X(PLACING, R) X(PLANS, U) X(POLICY, U) X(POSITION, C) X(PRECEDING, U) \
	X(PRECISION, C) X(PREPARE, U) X(PREPARED, U) X(PRESERVE, U) X(PRIMARY, R) X(PRIOR, U) \
	X(PRIVILEGES, U) X(PROCEDURAL, U) X(PROCEDURE, U) X(PROCEDURES, U) X(PROGRAM, U) X(PUBLICATION, U) \
	X(QUOTE, U) X(RANGE, U) X(READ, U) X(REAL, C) X(REASSIGN, U) X(RECHECK, U) X(RECURSIVE, U) \
	X(REF, U) X(REFERENCES, R) X(REFERENCING, U) X(REFRESH, U) X(REINDEX, U) X(RELATIVE, U) \
	X(RELEASE, U) X(RENAME, U) X(REPEATABLE, U) X(REPLACE, U) X(REPLICA, U) X(RESET, U) X(RESTART, U) \
	X(RESTRICT, U) X(RETURN, U) X(RETURNING, R) X(RETURNS, U) X(REVOKE, U) X(RIGHT, T) X(ROLE, U) \
	X(ROLLBACK, U) X(ROLLUP, U) X(ROUTINE, U) X(ROUTINES, U) X(ROW, C) X(ROWS, U) X(RULE, U) \
	X(SAVEPOINT, U) X(SCHEMA, U) X(SCHEMAS, U) X(SCROLL, U) X(SEARCH, U) X(SECOND, U) X(SECURITY, U) \
	X(SELECT, R) X(SEQUENCE, U) X(SEQUENCES, U) X(SERIALIZABLE, U) X(SERVER, U) X(SESSION, U) \
	X(SESSION_USER, R) X(SET, U) X(SETOF, C) X(SETS, U) X(SHARE, U) X(SHOW, U) X(SIMILAR, T) \
	X(SIMPLE, U) X(SKIP, U) X(SMALLINT, C) X(SNAPSHOT, U) X(SOME, R) X(SQL, U) X(STABLE, U) \
	X(STANDALONE, U) X(START, U) X(STATEMENT, U) X(STATISTICS, U) X(STDIN, U) X(STDOUT, U) \
	X(STORAGE, U) X(STORED, U) X(STRICT, U) X(STRIP, U) X(SUBSCRIPTION, U) X(SUBSTRING, C) \
	X(SUPPORT, U) X(SYMMETRIC, R) X(SYSID, U) X(SYSTEM, U) X(TABLE, R) X(TABLES, U) X(TABLESAMPLE, T) \
	X(TABLESPACE, U) X(TEMP, U) X(TEMPLATE, U) X(TEMPORARY, U) X(TEXT, U) X(THEN, R) X(TIES, U) \
	X(TIME, C) X(TIMESTAMP, C) X(TO, R) X(TRAILING, R) X(TRANSACTION, U) X(TRANSFORM, U) X(TREAT, C) \
	X(TRIGGER, U) X(TRIM, C) X(TRUE, R) X(TRUNCATE, U) X(TRUSTED, U) X(TYPE, U) X(TYPES, U) \
	X(UESCAPE, U) X(UNBOUNDED, U) X(UNCOMMITTED, U) X(UNENCRYPTED, U) X(UNION, R) X(UNIQUE, R) \
	X(UNKNOWN, U) X(UNLISTEN, U) X(UNLOGGED, U) X(UNTIL, U) X(UPDATE, U) X(USER, R) X(USING, R) \
	X(VACUUM, U) X(VALID, U) X(VALIDATE, U) X(VALIDATOR, U) X(VALUE, U) X(VALUES, C) X(VARCHAR, C) \
	X(VARIADIC, R) X(VARYING, U) X(VERBOSE, T) X(VERSION, U) X(VIEW, U) X(VIEWS, U) X(VOLATILE, U) \
	X(WHEN, R) X(WHERE, R) X(WHITESPACE, U) X(WINDOW, R) X(WITH, R) X(WITHIN, U) X(WITHOUT, U) \
	X(WORK, U) X(WRAPPER, U) X(WRITE, U) X(XML, U) X(XMLATTRIBUTES, C) X(XMLCONCAT, C) X(XMLELEMENT, C) \
	X(XMLEXISTS, C) X(XMLFOREST, C) X(XMLNAMESPACES, C) X(XMLPARSE, C) X(XMLPI, C) X(XMLROOT, C) \
	X(XMLSERIALIZE, C) X(XMLTABLE, C) X(YEAR, U) X(YES, U) X(ZONE, U)
/* clang-format on */

enum sql_keyword {
	KW_IDENTIFIER = 0,
#define SQL_KEYWORD_ENUM(word, class) KW_##word,
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

/* What a parser asks about a token again and again; bits. */
enum sql_token_flag {
	SQL_FLAG_WORD = 1,    /* a word or a name, in quotes or not */
	SQL_FLAG_NAME = 2,    /* may be the name of a column or a relation: no reserved word */
	SQL_FLAG_SPECIAL = 4, /* a key word that can be more than a name or a word in an expression */
	SQL_FLAG_ENDS = 8,    /* no expression goes over it: the end, and ; ) ] */
	SQL_FLAG_COMMA = 16,
	SQL_FLAG_OPENS = 32, /* ( [ : */
	SQL_FLAG_PLAIN =
	        64, /* an expression goes over it, and only uses want to know: literals, operators, AND */
};

struct sql_token {
	union {
		struct {
			enum sql_token_type type : 8;
			uint8_t c;                /* TOK_CHAR */
			enum sql_keyword kw : 16; /* TOK_WORD only */
			uint8_t flags;            /* enum sql_token_flag */
		};
		uint64_t head; /* all of these at once */
	};
	struct sl_span text;
};

extern const struct sql_token sql_no_token; /* the end of nothing */

struct sql_lexer {
	const uint8_t *p, *end;
	bool wide; /* the text has 16 bytes or more */
};

static inline struct sql_lexer sql_lexer(struct sl_span text)
{
	return (struct sql_lexer){text.p, text.p + text.n, text.n >= 16};
}

/*
 * Reads up to n tokens, n > 0: as many are there in a row. Returns how many, at least one; only the last one
 * can be TOK_END, which comes again when it is asked again, or TOK_BAD, behind which nothing is read: to
 * read it again the caller goes back to its text.
 */
uint32_t sql_lex(struct sql_lexer *lx, struct sql_token *t, uint32_t n);

/* ASCII lower case, as PostgreSQL folds words. */
static inline uint8_t sql_fold(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

/*
 * The first 16 bytes of a word, each with the bit that makes lower case of upper case; zero behind the word.
 * Of all that a word may hold, that bit changes nothing else but '_', which no other byte becomes: the same
 * when, and only when, the words are, but for case.
 */
struct sql_folded {
	uint64_t a, b;
};
#define SQL_FOLDED_BYTES 16

/* A perfect hash of the key words, filled before main() begins. No branch: what is found is compared. */
#define SQL_KEYWORD_GROUPS 256U
#define SQL_KEYWORD_SLOTS  1024U
struct sql_keyword_index {
	uint64_t multiplier;
	uint16_t shift[SQL_KEYWORD_GROUPS];
	uint16_t slot[SQL_KEYWORD_SLOTS]; /* KW_IDENTIFIER: none, and its word is empty */
	struct sql_folded word[KW_COUNT];
	uint64_t head[KW_COUNT]; /* of its token */
};
extern struct sql_keyword_index sql_keywords;

static inline uint64_t sql_keyword_hash(struct sql_folded f, uint64_t multiplier)
{
	return (f.a ^ (f.b << 3 | f.b >> 61)) * multiplier;
}

static inline uint32_t sql_keyword_slot(uint64_t hash, const uint16_t *shift)
{
	return ((uint32_t)(hash >> 32) + shift[hash >> 56]) % SQL_KEYWORD_SLOTS;
}

/* Of a word of at most 16 bytes. */
static inline enum sql_keyword sql_keyword_find(struct sql_folded f)
{
	uint64_t hash = sql_keyword_hash(f, sql_keywords.multiplier);
	uint16_t kw = sql_keywords.slot[sql_keyword_slot(hash, sql_keywords.shift)];
	const struct sql_folded *w = &sql_keywords.word[kw];

	return (enum sql_keyword)(((w->a ^ f.a) | (w->b ^ f.b)) == 0 ? kw : KW_IDENTIFIER);
}

/* Of a longer one. */
enum sql_keyword sql_keyword_find_long(struct sl_span word);

extern const char sql_keyword_classes[KW_COUNT];
/* 'U', 'C', 'T' or 'R'; 'U' for KW_IDENTIFIER. */
static inline char sql_keyword_class(enum sql_keyword kw)
{
	return sql_keyword_classes[kw];
}

/* The kinds that a call of this function adds; 0: it only reads, as far as the table knows. */
uint64_t sql_function_kinds(struct sl_span name);

#endif
