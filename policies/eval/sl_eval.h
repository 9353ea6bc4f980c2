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

/* The caller under one snapshot: which roles, which conditions on identities hold, and which masks can apply
 * on this resource and database. */
struct sl_principal {
	uint64_t snapshot_version;
	uint64_t role_bits; /* roles that the caller has on this resource and database */
	uint64_t kinds;     /* what those roles allow together */
	uint64_t who_bits[SL_POLICY_WHO_MAX / 64]; /* conditions on callers that hold: for ALLOW rules */
	uint64_t who_may_bits[SL_POLICY_WHO_MAX /
	                      64]; /* and those that may hold as far as is known: for others */
	uint64_t mask_bits[SL_POLICY_MASKS_MAX / 64];
	uint64_t limit_bits; /* limits and breakers that are for this caller here, schedules aside */
	uint32_t resource;   /* its index in the snapshot; SL_POLICY_RESOURCES_MAX: none of its resources */
	bool any_mask, any_content_mask;
	bool any_column_mask; /* some mask hides columns, by their names or types */
	bool any_pattern;     /* some rule with a pattern can apply */
};

/*
 * Lists are NUL-ended strings one after the other. What is empty here is not known: no group at all, a claim
 * that is not there, a provider that the snapshot does not have (so that the kind of caller is not known), a
 * source of family SL_AF_NONE. A condition on what is not known holds for a rule that denies, holds or logs,
 * and does not for one that allows.
 */
struct sl_caller {
	struct sl_span subject;
	struct sl_span issuer;
	struct sl_span provider; /* name of the IdentityProvider; its caller kind counts */
	struct sl_span groups;
	struct sl_span claims; /* "name=value" */
	struct sl_addr source;
};

/* At login and when the snapshot changes. True when the caller has any role on this resource and database. */
bool sl_eval_bind(const struct sl_snapshot *s, const struct sl_caller *who, const struct sl_resource *res,
                  struct sl_span database, struct sl_principal *out);

enum sl_decision_kind {
	SL_DEC_ALLOW,
	SL_DEC_DENY,
	SL_DEC_HOLD,
};

#define SL_EVAL_LOGS_MAX 8
#define SL_EVAL_HOLDS_MAX                                                                                    \
	4 /* HOLD rules that can be asked for at once; a string that meets more is denied                    \
	   */

struct sl_eval_verdict {
	enum sl_decision_kind decision;
	int32_t rule; /* index in the snapshot; -1: no rule (default deny, or allowed by role) */
};

struct sl_eval_result {
	enum sl_decision_kind decision;
	int32_t rule;        /* as in sl_eval_verdict */
	const char *message; /* for the caller; never NULL; static or of the snapshot */
	bool differs;        /* the rules in shadow would have changed the verdict, to this: */
	struct sl_eval_verdict shadow;
	uint32_t nb_holds; /* HOLD: all rules that hold it, in document order. Each must be satisfied. */
	int32_t holds[SL_EVAL_HOLDS_MAX];
	uint32_t nb_logs; /* rules with action log that apply; the first SL_EVAL_LOGS_MAX found */
	int32_t logs[SL_EVAL_LOGS_MAX];
};

/*
 * Judges a query string at a wall time. sql is its scan.
 *  1. A DENY rule that applies to any of its statements denies the whole string.
 *  2. Each kind of each statement must be allowed: by the roles, by an ALLOW rule, or by a HOLD rule that
 * names the kind (approval is then the permission). What is left over denies the whole string.
 *  3. Each HOLD rule that applies to any of its statements holds the whole string; with more than
 * SL_EVAL_HOLDS_MAX of them it is denied, because fewer must not decide for all.
 * Of several rules the first in document order is named. Where a rule in shadow only adds to the rules that
 * hold, it is the one that `shadow` names. A rule applies to a statement when all its
 * conditions hold for it; a pattern is matched over the whole string. A statement that is opaque meets every
 * condition of a DENY, HOLD or LOG rule but those on the caller, the time and the pattern, and none of an
 * ALLOW rule; a rule never allows one of SL_SQL_KINDS_ROLE_ONLY. An ALLOW rule with a pattern does not allow
 * a string of several statements. A principal of another snapshot, or a pattern scan that fails, denies.
 */
void sl_eval_statement(const struct sl_snapshot *s, const struct sl_principal *p, uint32_t worker,
                       uint64_t wall_us, struct sl_span text, const struct sl_sql *sql,
                       struct sl_eval_result *out);

/* The same, and says each rule that applies (in shadow or not) once, in no order. For tools. */
typedef void (*sl_eval_each_fn)(void *ctx, uint32_t rule);
void sl_eval_explain(const struct sl_snapshot *s, const struct sl_principal *p, uint32_t worker,
                     uint64_t wall_us, struct sl_span text, const struct sl_sql *sql, sl_eval_each_fn each,
                     void *ctx, struct sl_eval_result *out);

/* A column's origin as far as it is known; empty spans else. */
struct sl_eval_column {
	struct sl_span name;
	struct sl_span schema, relation, column;
};

/* The mask that hides this column from this caller, -1 none. The first in document order wins. */
int32_t sl_eval_column(const struct sl_snapshot *s, const struct sl_principal *p,
                       const struct sl_eval_column *c);

#endif
