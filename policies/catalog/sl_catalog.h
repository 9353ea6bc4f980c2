/*
 * What the gateway knows of a target's catalog: the relations whose columns masks hide, what is derived from
 * them, and what else decides how a statement is read (functions, operators and types that are not built in).
 * One per resource and database under one snapshot, made from the answers of the target's own catalog
 * (PostgreSQL: pg_attribute, pg_rewrite, pg_inherits, pg_proc, pg_operator, pg_type). Immutable once built,
 * so that all sessions of a worker can share it.
 *
 * A column is hidden by a mask when the mask's globs or types fit it, or a column that it is a plain copy of:
 * through views, materialised views (by the definition they were made with), inheritance and partitions, up
 * and down. It is derived when an expression of a view reads a hidden or derived column, and then `derived`
 * of that mask says what becomes of it. What cannot be followed (a view whose rule cannot be read, a function
 * in it that is not built in, or that reads what its text names) counts as derived from everything that masks
 * hide.
 *
 * A foreign table of postgres_fdw is hidden like the relation that its options name, whatever it is called
 * here, and when that is one of the same database, like that one. All of one whose rows come from another
 * database or through another wrapper is derived as well, but for masks that trust its server.
 *
 * The statistics of the target are hidden relations too: pg_statistic, pg_stats and their like hold values of
 * any column. They are in every catalog with a column mask (SL_CATALOG_ALL in `derived`).
 */
#ifndef SL_CATALOG_H
#define SL_CATALOG_H

#include <stdbool.h>
#include <stdint.h>

#include "sl_snapshot.h"
#include "sl_span.h"

#define SL_CATALOG_MASK_WORDS (SL_POLICY_MASKS_MAX / 64)

struct sl_catalog;

struct sl_masks { /* a bit per mask of the snapshot */
	uint64_t w[SL_CATALOG_MASK_WORDS];
};

struct sl_catalog_column {
	struct sl_span name; /* as the catalog has it */
	uint32_t type;       /* its OID */
	uint16_t attr;       /* its number in the table; dropped columns are not here */
	bool generated;      /* COPY TO without a list leaves it out */
	struct sl_masks hidden, derived;
};

struct sl_catalog_relation {
	struct sl_span schema, name;
	uint32_t oid;
	uint32_t nb_columns; /* in order of attr */
	const struct sl_catalog_column *columns;
	struct sl_masks any; /* hidden or derived, of all its columns */
};

enum sl_catalog_type_kind {
	SL_TYPE_BASE = 1,
	SL_TYPE_DOMAIN, /* of: what it is a domain over */
	SL_TYPE_ENUM,   /* label: its first one */
	SL_TYPE_COMPOSITE,
	SL_TYPE_RANGE, /* of: its subtype */
	SL_TYPE_MULTIRANGE,
	SL_TYPE_ARRAY, /* of: its element's type */
};

struct sl_catalog_type {
	uint32_t oid, of;
	enum sl_catalog_type_kind kind;
	struct sl_span label;
};

/* Takes and gives counts; any thread. The last one that gives frees it. NULL is fine. */
struct sl_catalog *sl_catalog_ref(struct sl_catalog *c);
void sl_catalog_unref(struct sl_catalog *c);

/*
 * How often the catalog of a resource's target may have changed, as far as the gateway has seen: counted in
 * this process, by whoever saw a statement that can do that succeed. A catalog that was asked for at another
 * number is out of date. (Resources can share a number, which only makes more of them out of date.) Any
 * thread.
 */
void sl_catalog_changed(const char *resource);
uint64_t sl_catalog_changes(const char *resource);

/* Was there a relation of this number, or a higher one, when the catalog was asked for? If not, it is new. */
bool sl_catalog_knows(const struct sl_catalog *c, uint32_t oid);

/*
 * Was there a relation of any kind of this name (folded) then? An empty schema: in any one. What is not there
 * was made past the gateway, or in a transaction that goes on, and can hold anything.
 */
bool sl_catalog_has(const struct sl_catalog *c, struct sl_span schema, struct sl_span name);

/* By the numbers that a RowDescription brings. NULL: nothing that masks hide. */
const struct sl_catalog_relation *sl_catalog_relation(const struct sl_catalog *c, uint32_t oid);
const struct sl_catalog_column *sl_catalog_column(const struct sl_catalog *c, uint32_t oid, uint16_t attr);

/*
 * By name, folded as the catalog has it (sl_sql_name_fold()). An empty schema fits any, because the search
 * path decides. *at begins with 0 and is the call's own; returns the next relation, NULL: no more.
 */
const struct sl_catalog_relation *sl_catalog_find(const struct sl_catalog *c, struct sl_span schema,
                                                  struct sl_span name, uint32_t *at);

/* The masks that hide (or that something is derived from) a column of this name in any relation. */
struct sl_masks sl_catalog_name(const struct sl_catalog *c, struct sl_span name);

/* Is there a function, an operator of this name that is not of pg_catalog? An empty schema fits any. */
bool sl_catalog_function(const struct sl_catalog *c, struct sl_span schema, struct sl_span name);
bool sl_catalog_operator(const struct sl_catalog *c, struct sl_span name);
/* Is there any function or operator at all that is not of pg_catalog? */
bool sl_catalog_has_code(const struct sl_catalog *c);

/* A type that is not built in, and every array, range and multirange. NULL: built in, or not known. */
const struct sl_catalog_type *sl_catalog_type(const struct sl_catalog *c, uint32_t oid);

#endif
