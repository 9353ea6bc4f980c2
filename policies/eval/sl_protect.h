/*
 * What masks of columns mean for a statement before it runs: whether it may learn, in another way than by a
 * column that can be masked, what is hidden from this caller; and how its reply is to be read. It is judged
 * by names, and in doubt against the statement.
 *
 *  - A statement that is not understood to its end, and one that reads what cannot be followed, is refused.
 *  - One that writes what it reads from hidden columns elsewhere (INSERT ... SELECT, CREATE TABLE AS, views,
 * SET b = hidden, set_config(), large objects, NOTIFY ...) is refused.
 *  - One that opens a cursor WITH HOLD over hidden columns is refused: it outlives its transaction, and with
 * it the view or the table by whose number its columns are known.
 *  - One in which a hidden column decides (SL_SQL_USED) meets the mask's `inference`.
 *  - One that computes an output from a hidden column meets the mask's `derived`.
 *  - A relation that the catalog does not know, and that the session has not made itself, can hold anything:
 * its columns are derived from all masks, whatever they are called.
 *  - A function or an operator that is not built in, and not in the mask's trustedFunctions, can read
 * everything: its outputs are derived from all masks, and where it decides it is a use of all of them.
 */
#ifndef SL_PROTECT_H
#define SL_PROTECT_H

#include "sl_catalog.h"
#include "sl_eval.h"
#include "sl_sql_uses.h"

enum sl_protect_mark {
	/* An output column without an origin can carry what is hidden: it is masked whole. */
	SL_PROTECT_DERIVED = 1,
	/* Free text of errors and notices can carry it: only SQLSTATE and names pass. */
	SL_PROTECT_QUIET = 2,
	/* Goes on with a statement that had DERIVED (EXECUTE, FETCH of SQL), or makes one to go on with
	 * (PREPARE, DECLARE): the session remembers. */
	SL_PROTECT_MAKES = 4,
	SL_PROTECT_GOES_ON = 8,
	/* COPY TO: `copy` says which column of it is what. */
	SL_PROTECT_COPY = 16,
	/* Calls a function that is not trusted: it can open cursors, over anything and by any name. */
	SL_PROTECT_CALLS = 32,
};

#define SL_PROTECT_COPY_MAX 1664

struct sl_protect_copy {
	int32_t mask;  /* -1: none */
	uint32_t type; /* its OID; 0 not known */
	bool derived;  /* by this mask, masked whole */
};

struct sl_protect {
	enum sl_decision_kind decision; /* ALLOW: nothing against it */
	int32_t mask;                   /* that denies or holds; -1: none in particular */
	const char *message;            /* for the caller; static. "" with ALLOW */
	uint32_t marks;                 /* enum sl_protect_mark */
	int32_t derived_mask;           /* DERIVED: the first mask whose value it can be */
	int32_t calls_mask;             /* CALLS: the same, of such a cursor's rows; -1: they need none */
	uint32_t nb_copy;
	struct sl_protect_copy copy[SL_PROTECT_COPY_MAX];
};

#define SL_PROTECT_MADE_BYTES 512
#define SL_PROTECT_ENTRY_MAX  (2 * (SL_SQL_NAME_MAX + 1))

/* Tables that the session has made and that no catalog can have yet, by what they are called. What finds no
 * room is not remembered: it counts as not known. */
struct sl_protect_made {
	uint16_t n;
	uint8_t names[SL_PROTECT_MADE_BYTES]; /* schema ("" where none is said) and name, folded, each behind
	                                         its length in one byte */
};

/* Sets `made` to the tables that the string makes anew (CREATE TABLE without IF NOT EXISTS, SELECT INTO),
 * when it runs to its end. */
void sl_protect_makes(const struct sl_sql *sql, struct sl_protect_made *made);
void sl_protect_made_add(struct sl_protect_made *made, const struct sl_protect_made *more);
/* Can names mean other relations behind this string than before? Then what was made counts no more. */
bool sl_protect_forgets(const struct sl_sql *sql);
/* Does the string read a relation that the catalog does not know? made NULL: the session made none. */
bool sl_protect_unknown(const struct sl_catalog *c, const struct sl_protect_made *made,
                        const struct sl_sql *sql);

/*
 * Can masks of columns matter to this string at all? False: it names no relation and calls no function that
 * they hide or that could read what they hide, and it may go on as it is. Cheap; true when it is not known.
 */
bool sl_protect_needed(const struct sl_snapshot *s, const struct sl_principal *p, const struct sl_catalog *c,
                       const struct sl_protect_made *made, const struct sl_sql *sql);

/*
 * Any principal with a mask of columns (p->any_column_mask). catalog NULL: nothing is known of the target,
 * and all that names a relation or a function that is not built in is refused. hidden names are compared
 * folded. Worker thread; no allocation.
 */
void sl_protect_statement(const struct sl_snapshot *s, const struct sl_principal *p,
                          const struct sl_catalog *c, const struct sl_protect_made *made, struct sl_span text,
                          const struct sl_sql *sql, const struct sl_sql_uses *uses, struct sl_protect *out);

#endif
