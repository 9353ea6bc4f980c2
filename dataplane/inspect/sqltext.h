/*
 * What inspection itself must read in a statement's text: passwords, which are never recorded, and SET, whose
 * effects on the lexer would let the next statement be read in another way than the target reads it. No
 * allocation; linear time.
 */
#ifndef SQLTEXT_H
#define SQLTEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "sl_span.h"
#include "sl_sql.h"

#define STATEMENT_CUTS_MAX 32 /* passwords in one query string; with more it is refused */

/* A statement as it is recorded: its text in parts, with the passwords replaced. */
struct statement {
	struct sl_span text; /* as it runs: for its hash, for nothing that is kept or shown */
	uint32_t nb_cuts;    /* passwords that were replaced */
	bool hides;          /* what was replaced may be run: nobody who reads the rest can approve it */
	struct sl_span part[2 * STATEMENT_CUTS_MAX + 2];
	uint32_t nb;
	size_t total;
};

/*
 * kinds: of the whole query string. Passwords are looked for where a statement can hold one. False when there
 * are too many: the statement must be refused, and what is in st then is the part before.
 */
bool statement_set(struct statement *st, struct sl_span text, uint64_t kinds);

/*
 * The same for a text whose literals the target may read otherwise (standard_conforming_strings off). Without
 * a backslash there is no difference; with one, where a password ends is not known: false when there is a
 * word that one can follow, and st has what stands before it.
 */
bool statement_set_unread(struct statement *st, struct sl_span text);

/* A place in a statement. Starts zeroed. */
struct statement_at {
	uint32_t part;
	size_t offset;
	size_t done; /* bytes taken so far */
};

/*
 * The next bytes, at most max (at least 4) and at most cap of buf; cut between UTF-8 characters where the
 * text is UTF-8. The span lies in the text itself or in buf. Empty at the end. With buf NULL only its length
 * is right.
 */
struct sl_span statement_take(const struct statement *st, struct statement_at *at, size_t max, uint8_t *buf);

/*
 * SET, RESET and DISCARD: NULL when the statement may run, else why not, for the caller (static).
 * Refused: client_encoding other than UTF8 (also SET NAMES), and what cannot be read. RESET and DISCARD go
 * back to what the session was started with. Other parameters that matter for the reading are the policy's
 * (policies/sql/sql_set.c).
 */
const char *set_refused(struct sl_span stmt);

#endif
