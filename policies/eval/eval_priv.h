/* What the files of this folder share. */
#ifndef EVAL_PRIV_H
#define EVAL_PRIV_H

#include "sl_eval.h"

/* bind.c: does the rule concern this caller on this resource at all? */
static inline bool eval_rule_is_for(const struct sl_principal *p, const struct sl_rule *r)
{
	const uint64_t *whos = r->action == SL_RULE_ALLOW ? p->who_bits : p->who_may_bits;

	if (r->roles.nb > 0 && (r->role_bits & p->role_bits) == 0)
		return false;
	if (p->resource >= SL_POLICY_RESOURCES_MAX ||
	    !((r->resource_bits[p->resource / 64] >> (p->resource % 64)) & 1))
		return false;
	return r->who == SL_RULE_ANYBODY || ((whos[r->who / 64] >> (r->who % 64)) & 1) != 0;
}

/* names.c: the rule's conditions about names, for one statement by its index. */
/* Of a rule that denies or holds: some relation is accessed so, and some function is called. */
bool eval_names_touched(const struct sl_rule *r, const struct sl_sql *sql, uint32_t stmt);
/* Of a rule that allows: there is a relation, and each is one of the rule's and accessed in no other way; the
 * same for functions. */
bool eval_names_within(const struct sl_rule *r, const struct sl_sql *sql, uint32_t stmt);

#endif
