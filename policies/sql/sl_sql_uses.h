/*
 * Where a query string names what could be a column, for masks: a hidden value can get into a reply, into a
 * decision or into another table only through a name (of the column, of its row, of something that was
 * renamed from it), a star, or a position. This finds all of them, and rather too many than too few: every
 * identifier that stands where a value is read is a use, whatever it turns out to be. No allocation; linear
 * time.
 *
 * Belongs to the scan of the same text (sl_sql_scan()): statement numbers are those of struct sl_sql. When
 * `complete` is false the uses are not all there, and whoever asks has to assume any.
 */
#ifndef SL_SQL_USES_H
#define SL_SQL_USES_H

#include "sl_sql.h"

#define SL_SQL_USES_MAX 1024 /* in one query string; with more it is not complete */

enum sl_sql_place {
	/* An item of a select list that becomes a column of the reply (outermost query, RETURNING), or of a
	 * FROM subquery or a WITH query, and is nothing but the name. */
	SL_SQL_OUTPUT = 1,
	/* In such an item with || and functions, where it can decide nothing but the value of that item. */
	SL_SQL_OUTPUT_EXPR,
	/* Everywhere else where it is read: WHERE, ON, USING, GROUP BY, ORDER BY (also by position or by the
	 * name of an output), HAVING, DISTINCT, windows, FILTER, CASE, comparisons, casts, arithmetic,
	 * subqueries in expressions, arguments of functions in FROM. */
	SL_SQL_USED,
	/* Not read: the column list of INSERT, COPY FROM and MERGE's INSERT, the left side of SET. */
	SL_SQL_TARGET,
};

enum sl_sql_use_kind {
	SL_SQL_USE_NAME = 1, /* a name, maybe qualified */
	SL_SQL_USE_STAR,     /* "*" or "q.*"; not count(*) */
	SL_SQL_USE_RENAMED,  /* a column alias list: t (a, b). Names inside say nothing of what they are */
	SL_SQL_USE_NATURAL,  /* NATURAL JOIN: all columns of both sides can decide */
	SL_SQL_USE_SETOP,    /* UNION, INTERSECT, EXCEPT: outputs go by position */
};

struct sl_sql_use {
	uint8_t kind, place, stmt;
	bool outermost;          /* OUTPUT and OUTPUT_EXPR: a column of the reply itself */
	uint16_t item;           /* OUTPUT and OUTPUT_EXPR: which item of its list, from 0 */
	uint16_t query;          /* which SELECT of the text it belongs to, from 0 */
	struct sl_sql_name name; /* NAME: schema is the qualifier next to it; STAR: name is the qualifier, may
	                            be empty */
	struct sl_span alias;    /* OUTPUT and OUTPUT_EXPR: the name that the item is given, empty: its own */
};

/* Names that stand for whole rows: relations' aliases, subqueries' and WITH queries' names. */
struct sl_sql_row {
	struct sl_span name;
	int32_t relation; /* index in struct sl_sql's relations, -1: a subquery, a function, VALUES */
	uint16_t query;
	uint8_t stmt;
};

struct sl_sql_uses {
	bool complete;
	uint32_t nb_uses, nb_rows;
	struct sl_sql_use uses[SL_SQL_USES_MAX];
	struct sl_sql_row rows[SL_SQL_RELATIONS_MAX * 2];
};

/* Any thread. sql is the scan of the same text. Always fills *out. */
void sl_sql_uses(struct sl_span text, const struct sl_sql *sql, struct sl_sql_uses *out);

#endif
