/*
 * Evaluation: an event against a snapshot. Deny beats hold beats allow; with nothing that allows, the answer
 * is no. No allocation, no lock; the worker that owns the scratch.
 */
#ifndef SL_EVAL_H
#define SL_EVAL_H

#include <stdbool.h>
#include <stdint.h>

#include "sl_snapshot.h"
#include "sl_span.h"
#include "sl_sql.h"

/* The caller under one snapshot: which roles, and which rules and masks can apply on this resource and
 * database at all. */
struct sl_principal {
	uint64_t snapshot_version;
	uint64_t role_bits; /* roles that the caller has on this resource and database */
	uint64_t kinds;     /* what those roles allow together */
	uint64_t rule_bits[SL_POLICY_RULES_MAX / 64];
	uint64_t mask_bits[SL_POLICY_MASKS_MAX / 64];
	uint64_t pattern_bits[SL_POLICY_RULES_MAX / 64]; /* those of rule_bits that have a pattern */
	bool any_mask, any_content_mask;
	bool any_pattern;
};

/* Groups: NUL-ended strings one after the other. */
struct sl_caller {
	struct sl_span subject;
	struct sl_span groups;
};

/* At login and when the snapshot changes. True when the caller has any role on this resource and database. */
bool sl_eval_bind(const struct sl_snapshot *s, const struct sl_caller *who, const struct sl_resource *res,
                  struct sl_span database, struct sl_principal *out);

enum sl_decision_kind {
	SL_DEC_ALLOW,
	SL_DEC_DENY,
	SL_DEC_HOLD,
};

struct sl_eval_result {
	enum sl_decision_kind decision;
	int32_t rule;        /* index in the snapshot; -1: no rule (default deny, or allowed by role) */
	const char *message; /* for the caller; never NULL; static or of the snapshot */
};

/*
 * Judges a query string. sql is its scan.
 *  1. A DENY rule that applies to any of its statements denies the whole string.
 *  2. Each kind of each statement must be allowed: by the roles, by an ALLOW rule, or by a HOLD rule that
 * names the kind (approval is then the permission). What is left over denies the whole string.
 *  3. A HOLD rule that applies to any of its statements holds the whole string.
 * Of several rules the first in document order is named. A rule applies to a statement when all its
 * conditions hold for it; a pattern is matched over the whole string. A statement that is opaque meets every
 * condition of a DENY or HOLD rule but the pattern, and none of an ALLOW rule; a rule never allows one of
 * SL_SQL_KINDS_ROLE_ONLY. An ALLOW rule with a pattern does not allow a string of several statements. A
 * principal of another snapshot, or a pattern scan that fails, denies.
 */
void sl_eval_statement(const struct sl_snapshot *s, const struct sl_principal *p, uint32_t worker,
                       struct sl_span text, const struct sl_sql *sql, struct sl_eval_result *out);

/* A column's origin as far as it is known; empty spans else. */
struct sl_eval_column {
	struct sl_span name;
	struct sl_span schema, relation, column;
};

/* The mask that hides this column from this caller, -1 none. The first in document order wins. */
int32_t sl_eval_column(const struct sl_snapshot *s, const struct sl_principal *p,
                       const struct sl_eval_column *c);

/*
 * Masks a value by mask index (>= 0), or by content patterns when mask is -1. Writes into out (cap bytes);
 * returns the length, -1 unchanged, -2 it becomes NULL, -3 it does not fit or the engine failed (the caller
 * must not let the value pass). partial counts UTF-8 characters; a value not longer than keep_first +
 * keep_last is masked whole.
 */
long sl_eval_mask(const struct sl_snapshot *s, const struct sl_principal *p, uint32_t worker, int32_t mask,
                  struct sl_span value, uint8_t *out, size_t cap);

/* Writes the SQL that finds the (oid, attnum, schema, relation, column) of all columns a column mask could
 * name; 0 none needed; -1 does not fit. */
long sl_eval_origin_query(const struct sl_snapshot *s, const struct sl_principal *p, char *out, size_t cap);

#endif
