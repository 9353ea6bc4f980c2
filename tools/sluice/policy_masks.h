/* Masks in policy test and explain. */
#ifndef SLUICE_POLICY_MASKS_H
#define SLUICE_POLICY_MASKS_H

#include "sl_catalog.h"
#include "sl_eval.h"
#include "sl_protect.h"

#define POLICY_VALUE_MAX (1u << 20) /* bytes of a value under a mask */

/*
 * What the caller's masks of columns say of a statement over a target that has these tables and nothing else.
 * out->decision is SL_DEC_ALLOW when they say nothing.
 */
void policy_protect(const struct sl_snapshot *s, const struct sl_principal *p,
                    const struct sl_policy_table *tables, uint32_t nb, struct sl_span text,
                    const struct sl_sql *sql, struct sl_protect *out);

/* Is the value what the test expects of it? If not, it is said. */
bool policy_value(const struct sl_snapshot *s, const struct sl_principal *p, const struct sl_policy_test *t,
                  const struct sl_policy_value *v);

/* The masks of a caller, a line each. */
void policy_print_masks(const struct sl_snapshot *s, const struct sl_principal *p);

#endif
