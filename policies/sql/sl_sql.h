/*
 * PostgreSQL statements as the gateway sees them: a lexer with the rules of PostgreSQL 15's scanner
 * (manual 4.1) and a shallow parser on top. It finds each statement of a query string, its kind, and whether
 * it has a WHERE of its own. What it cannot read to the end is SL_SQL_OPAQUE, and so is what could hide
 * another statement (DO, EXECUTE of a prepared statement by SQL, CALL, dollar-quoted bodies outside of
 * literals' places ...): opaque is treated as the most dangerous.
 *
 * Assumes standard_conforming_strings on and an ASCII-safe client_encoding: what may turn the former off
 * (SET, set_config(), an UPDATE of pg_settings) is opaque, and so is all that follows it in the session; the
 * latter is fixed. No allocation; linear time.
 */
#ifndef SL_SQL_H
#define SL_SQL_H

#include <stdbool.h>
#include <stdint.h>

#include "sl_err.h"
#include "sl_span.h"

enum sl_sql_kind {
	SL_SQL_EMPTY = 0, /* only comments and white space */
	SL_SQL_SELECT,    /* also VALUES, TABLE, WITH ... SELECT, SHOW is separate */
	SL_SQL_INSERT,
	SL_SQL_UPDATE,
	SL_SQL_DELETE,
	SL_SQL_MERGE,
	SL_SQL_TRUNCATE,
	SL_SQL_CREATE, /* any CREATE, also SELECT INTO */
	SL_SQL_ALTER,  /* any ALTER, COMMENT, SECURITY LABEL, REINDEX ... */
	SL_SQL_DROP,   /* any DROP */
	SL_SQL_GRANT,  /* GRANT, REVOKE, REASSIGN OWNED, ALTER DEFAULT PRIVILEGES */
	SL_SQL_SET,    /* SET, RESET, DISCARD; SET ROLE and SET SESSION AUTHORIZATION are ADMIN, too */
	SL_SQL_SHOW,
	SL_SQL_COPY_FROM,   /* COPY ... FROM STDIN */
	SL_SQL_COPY_TO,     /* COPY ... TO STDOUT */
	SL_SQL_COPY_SERVER, /* COPY to or from a file or PROGRAM of the server */
	SL_SQL_TRANSACTION, /* BEGIN, COMMIT, ROLLBACK, SAVEPOINT, SET TRANSACTION ... */
	SL_SQL_PREPARE,     /* PREPARE TRANSACTION is TRANSACTION */
	SL_SQL_EXECUTE,     /* EXECUTE, DEALLOCATE */
	SL_SQL_CURSOR,      /* DECLARE, FETCH, MOVE, CLOSE */
	SL_SQL_EXPLAIN,     /* without ANALYZE; with it, the explained statement's kind counts too */
	SL_SQL_CALL,
	SL_SQL_DO,
	SL_SQL_LISTEN, /* LISTEN, UNLISTEN, NOTIFY */
	SL_SQL_LOCK,
	SL_SQL_MAINTAIN,      /* VACUUM, ANALYZE, CLUSTER, CHECKPOINT, REFRESH */
	SL_SQL_ADMIN,         /* LOAD, and anything known that does not fit */
	SL_SQL_FUNCTION_CALL, /* the protocol's FunctionCall message; never from text */
	SL_SQL_OPAQUE,
	SL_SQL_KIND_COUNT
};

#define SL_SQL_BIT(kind) (UINT64_C(1) << (kind))

/* Kinds that only a role can allow, by name or with "any": rules never do. */
#define SL_SQL_KINDS_ROLE_ONLY                                                                               \
	(SL_SQL_BIT(SL_SQL_OPAQUE) | SL_SQL_BIT(SL_SQL_FUNCTION_CALL) | SL_SQL_BIT(SL_SQL_ADMIN) |           \
	 SL_SQL_BIT(SL_SQL_DO) | SL_SQL_BIT(SL_SQL_CALL))

/*
 * One statement. A statement can have several kinds: a data-modifying CTE adds DELETE to SELECT, EXPLAIN
 * ANALYZE DELETE is EXPLAIN and DELETE, PREPARE x AS DELETE is PREPARE and DELETE, DECLARE CURSOR FOR SELECT
 * is CURSOR and SELECT, SELECT of a function that acts beyond reading (pg_read_file, lo_import, dblink,
 * set_config, setval, pg_terminate_backend ...; the table is in sql_functions.c) is SELECT and ADMIN.
 *
 * set_name is the parameter of SET and RESET as written, without quotes: compare it with ASCII case folded.
 * The special forms give the parameter that they set, as a static text: client_encoding (SET NAMES),
 * timezone, search_path (SET SCHEMA), session_authorization, xmloption. A name that could be another one
 * (escapes, doubled quotes) makes the statement opaque.
 */
struct sl_sql_stmt {
	uint64_t kinds;        /* SL_SQL_BIT()s; never 0 */
	enum sl_sql_kind main; /* the leading one */
	bool no_where; /* an UPDATE or DELETE, at any level, without WHERE of its own (WHERE CURRENT OF counts
	                  as one) */
	bool held;     /* DECLARE ... WITH HOLD: the cursor outlives its transaction */
	/* What it does by the name of a cursor or of a prepared statement: DECLARE; FETCH, MOVE; EXECUTE,
	 * also in CREATE TABLE AS and EXPLAIN ANALYZE; DEALLOCATE of one. */
	bool declares, fetches, executes, deallocates;
	struct sl_span text;     /* its part of the query string */
	struct sl_span set_name; /* SET, RESET: see above; "" else */
	struct sl_span name; /* FETCH, MOVE, PREPARE, DEALLOCATE: as written; "" where that is not plain */
};

#define SL_SQL_STMTS_MAX     64  /* statements of one query string; with more it is opaque */
#define SL_SQL_RELATIONS_MAX 128 /* names of relations in one query string; with more it is opaque */
#define SL_SQL_FUNCTIONS_MAX 128 /* calls of functions by name; with more it is opaque */
#define SL_SQL_NAME_MAX      63  /* bytes of a name that count: NAMEDATALEN - 1 */

/* What a statement does to a relation; bits. */
enum sl_sql_access {
	SL_SQL_READS = 1,
	SL_SQL_INSERTS = 2, /* also COPY FROM */
	SL_SQL_UPDATES = 4,
	SL_SQL_DELETES = 8,
	SL_SQL_TRUNCATES = 16,
	SL_SQL_DEFINES =
	        32, /* CREATE, ALTER, DROP, GRANT, COMMENT and the like, and the target of SELECT INTO */
	SL_SQL_LOCKS =
	        64, /* LOCK, VACUUM, REINDEX and the like: neither its rows nor its definition change */
};
#define SL_SQL_WRITES (SL_SQL_INSERTS | SL_SQL_UPDATES | SL_SQL_DELETES | SL_SQL_TRUNCATES | SL_SQL_DEFINES)

/* A name as it is written, quotes included; schema is empty when the search path decides. */
struct sl_sql_name {
	struct sl_span schema, name;
};

struct sl_sql_relation {
	struct sl_sql_name name;
	uint8_t access; /* enum sl_sql_access */
	uint8_t stmt;   /* index of the statement */
};

struct sl_sql_function {
	struct sl_sql_name name;
	uint8_t stmt;
};

/*
 * The relations are those that the text names: names of WITH queries are not among them; what views,
 * triggers, rules and functions reach is not in the text. A relation that is named twice comes twice.
 */
struct sl_sql {
	uint32_t nb_stmts, nb_relations, nb_functions;
	uint64_t kinds; /* of all of them */
	bool complete;  /* false: what was read ends somewhere; kinds then has OPAQUE */
	struct sl_sql_stmt stmts[SL_SQL_STMTS_MAX];
	struct sl_sql_relation relations[SL_SQL_RELATIONS_MAX];
	struct sl_sql_function functions[SL_SQL_FUNCTIONS_MAX];
};

/*
 * A name in the form in which the catalog has it: folded to lower case, or without its quotes, cut to
 * SL_SQL_NAME_MAX bytes. Returns its length; 0 for an empty name. out has room for SL_SQL_NAME_MAX bytes.
 */
size_t sl_sql_name_fold(struct sl_span name, char *out);

/* Reads a query string. Always fills *out; empty text gives one EMPTY statement. Any thread. */
void sl_sql_scan(struct sl_span text, struct sl_sql *out);

const char *sl_sql_kind_name(enum sl_sql_kind kind); /* "select", "copy-from" ... */
/* From its name, or a class: "read" (select, show, explain, cursor, copy-to, empty, transaction, execute),
 * "write" (read and insert, update, delete, merge, copy-from), "ddl" (create, alter, drop, truncate), "any".
 * 0 when unknown. */
uint64_t sl_sql_kinds_parse(const char *name);

#endif
