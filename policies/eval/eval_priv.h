/* What the files of this folder share. */
#ifndef EVAL_PRIV_H
#define EVAL_PRIV_H

#include "sl_eval.h"

/* names.c: the rule's conditions about names, for one statement by its index. */
/* Of a rule that denies or holds: some relation is accessed so, and some function is called. */
bool eval_names_touched(const struct sl_rule *r, const struct sl_sql *sql, uint32_t stmt);
/* Of a rule that allows: there is a relation, and each is one of the rule's and accessed in no other way; the
 * same for functions. */
bool eval_names_within(const struct sl_rule *r, const struct sl_sql *sql, uint32_t stmt);

#endif
