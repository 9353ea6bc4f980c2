/* Uses of names against PostgreSQL's own parse tree. */
#ifndef ORACLE_USES_H
#define ORACLE_USES_H

#include <stdbool.h>

#include <jansson.h>

#include "sl_sql.h"

typedef void (*complain_fn)(const char *what, const char *name, const char *sql);

/* Every ColumnRef of the queries in the tree is among the uses of the text, with a place that is at least as
 * strict and a flow that reaches as far. False when one is not. */
bool uses_agree(const json_t *tree, const char *text, const struct sl_sql *sql, complain_fn complain);
/* Texts whose uses were complete, and how many names were compared. */
extern unsigned long uses_complete, uses_compared;

#endif
