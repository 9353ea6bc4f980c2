/*
 * Where a query string names what could be a column, for masks: a hidden value can get into a reply, into a
 * decision or into another table only through a name (of the column, of its row, of something that was
 * renamed from it), a star, or a position. This finds all of them, and rather too many than too few: every
 * identifier that stands where a value is read is a use, whatever it turns out to be. No allocation; linear
 * time.
 *
 * Belongs to the scan of the same text (sl_sql_scan()): statement numbers and relations are those of struct
 * sl_sql. When `complete` is false the uses are not all there, and whoever asks has to assume any. Names are
 * compared by a hash of their folded form (sl_sql_name_hash()): two names that are the same have the same
 * one, so that nothing is missed.
 */
#ifndef SL_SQL_USES_H
#define SL_SQL_USES_H

#include "sl_sql.h"

/* In one query string; with more it is not complete. */
#define SL_SQL_USES_MAX      2048
#define SL_SQL_ITEMS_MAX     2048
#define SL_SQL_ROWS_MAX      256
#define SL_SQL_OPERATORS_MAX 256

enum sl_sql_place {
	/* An item of a select list that becomes a column of the reply (outermost query, RETURNING), or of a
	 * FROM subquery or a WITH query, and is nothing but the name. */
	SL_SQL_OUTPUT = 1,
	/* In such an item with || and functions that only compute (SL_SQL_FN_VALUE), where it can decide
	 * nothing but the value of that item. */
	SL_SQL_OUTPUT_EXPR,
	/* Everywhere else where it is read: WHERE, ON, USING, GROUP BY, ORDER BY (also by position or by the
	 * name of an output), HAVING, DISTINCT, windows, FILTER, CASE, comparisons, casts, arithmetic,
	 * subqueries in expressions, arguments of functions in FROM. */
	SL_SQL_USED,
	/* Not read: the column list of INSERT, COPY FROM and MERGE's INSERT, the left side of SET. */
	SL_SQL_TARGET,
};

/* Where the value can get to. */
enum sl_sql_flow {
	SL_SQL_TO_NOTHING =
	        1,       /* it decides: WHERE, ON, GROUP BY, ORDER BY ... and all that is nested there */
	SL_SQL_TO_REPLY, /* a column of the query, and through it the reply */
	SL_SQL_TO_WRITE, /* what is inserted or set */
};

enum sl_sql_use_kind {
	SL_SQL_USE_NAME = 1, /* a name, maybe qualified */
	SL_SQL_USE_STAR, /* "*" or "q.*"; not count(*). OUTPUT that goes TO_NOTHING: of EXISTS (SELECT * ...)
	                  */
	SL_SQL_USE_RENAMED, /* one name of a column alias list, of the row `row`: t (a, b) */
	SL_SQL_USE_NATURAL, /* NATURAL JOIN: all columns of both sides can decide */
	SL_SQL_USE_SETOP, /* UNION, INTERSECT, EXCEPT: outputs go by position. USED when rows are compared */
	SL_SQL_USE_POSITION, /* ORDER BY 2, GROUP BY 2: decides by item `item` of the query */
	SL_SQL_USE_CALL,     /* of a function, by name */
};

#define SL_SQL_NO_ITEM (-1)
#define SL_SQL_NO_ROW  (-1)

struct sl_sql_use {
	uint8_t kind, place, flow, stmt;
	bool by;   /* in ORDER BY or GROUP BY, where a name can be that of an output */
	bool path; /* CALL: (value).name, a column of it or a function; the type of a cast, whose functions
	              may be the database's own */
	bool from_call; /* in the arguments of a function in FROM: what its row has can be made of it */
	int16_t item;   /* index in items, SL_SQL_NO_ITEM; RENAMED: the column's place in the list, from 0;
	                   POSITION: the item's place in its query, from 0 */
	int16_t row;    /* RENAMED: index in rows */
	uint16_t query; /* which query of the text it belongs to, from 0 */
	uint32_t hash;  /* of the name */
	uint32_t of;    /* of the qualifier next to it, 0: none */
	struct sl_sql_name name; /* NAME, CALL: schema is the qualifier next to it; STAR: name is empty */
};

/* An item of a select list or RETURNING, a column of COPY's list, a row of VALUES. */
struct sl_sql_item {
	struct sl_span text;
	uint32_t hash; /* of the name that it is given, or, when `plain`, of the column; 0: its name is made
	                  by the server of what stands in `text` */
	uint8_t stmt;
	bool plain;        /* nothing but a name */
	bool star;         /* any number of columns */
	bool values;       /* a row of VALUES: a star, too */
	bool table;        /* COPY of a table without a list: a star without its generated columns */
	bool outermost;    /* a column of the reply itself */
	int16_t parent;    /* the item that it stands in (a subquery in an expression), SL_SQL_NO_ITEM */
	uint16_t query;    /* the branches of a set operation are one query here */
	uint16_t position; /* in its list, from 0, where no star stands in front of it */
};

/* Names that stand for whole rows: relations' aliases, subqueries' and WITH queries' names. */
struct sl_sql_row {
	struct sl_span name;
	uint32_t hash;
	int32_t relation;    /* index in struct sl_sql's relations, -1: something else */
	uint16_t query;      /* in whose FROM it stands */
	uint16_t first, end; /* a subquery, a WITH query: its queries; first == end: a function, a join */
	bool join;           /* the alias of a join: all rows before it */
	uint8_t stmt;
};

struct sl_sql_uses {
	bool complete;
	uint16_t nb_queries;
	uint32_t nb_uses, nb_items, nb_rows, nb_operators;
	struct sl_sql_use uses[SL_SQL_USES_MAX];
	struct sl_sql_item items[SL_SQL_ITEMS_MAX];
	struct sl_sql_row rows[SL_SQL_ROWS_MAX];
	struct sl_span operators[SL_SQL_OPERATORS_MAX]; /* runs of operator characters */
	uint8_t operator_stmt[SL_SQL_OPERATORS_MAX];
	/* By statement: CREATE or ALTER of what can make a thing appear under another name or from elsewhere:
	 * foreign tables and servers, extensions, publications, operators, casts; schemas and types that are
	 * altered ... */
	bool far[SL_SQL_STMTS_MAX];
};

/* Any thread. sql is the scan of the same text. Always fills *out. */
void sl_sql_uses(struct sl_span text, const struct sl_sql *sql, struct sl_sql_uses *out);

/* Of a name as it is written; never 0. */
uint32_t sl_sql_name_hash(struct sl_span name);
/* Of a name as the catalog has it. */
uint32_t sl_sql_folded_hash(struct sl_span name);

/* What PostgreSQL 15's own functions do (pg_catalog); by name, for all functions that share it. */
enum sl_sql_builtin {
	SL_SQL_FN_UNKNOWN, /* not one of them */
	SL_SQL_FN_VALUE,   /* computes one value of its arguments: no row more or less, no NULL of its own, no
	                      error that tells of its arguments */
	SL_SQL_FN_PURE,    /* only computes, but what it does besides its value can tell */
	SL_SQL_FN_ACTS,    /* does something beyond its value: writes, waits, speaks to others */
	SL_SQL_FN_READS, /* reads what its text or its arguments name: tables by name, SQL, files, the log */
};
enum sl_sql_builtin sl_sql_builtin(struct sl_span name); /* as it is written */
const char *sl_sql_readers(void); /* the names of those that read, a space behind each */

#endif
