/*
 * What a view's columns are made of, from the text of its rule (pg_rewrite.ev_action, the form in which
 * PostgreSQL stores a query tree: nodes "{NAME :field value ...}", lists "(...)", tokens with '\' before what
 * would end them). Read for the fields that it asks for; what is not known as such is walked as a whole.
 */
#ifndef CATALOG_RULE_H
#define CATALOG_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "sl_span.h"

#define RULE_NODES_MAX (128 * 1024) /* of one rule */
#define RULE_DEPTH_MAX 400
#define RULE_STEPS_MAX (256 * 1024) /* of the walk through one rule */
#define RULE_REFS_MAX  (64 * 1024)  /* of one rule */
#define RULE_READERS   256          /* built-in functions that read what their text names */

enum rule_ref_kind {
	RULE_COPY = 1, /* the column is that column of that relation, unchanged */
	RULE_FROM,     /* it is computed from it; attr 0: from the row */
	RULE_ALL,      /* it can be anything: a function that is not built in, or that reads by text */
};

struct rule_ref {
	enum rule_ref_kind kind;
	uint16_t column; /* of the view */
	uint16_t attr;
	uint32_t relation;
};

struct rule; /* memory for one rule at a time */

struct rule *rule_new(void);
void rule_free(struct rule *r);

/* The number of a built-in function that reads what its text names. False: there are too many. */
bool rule_reader(struct rule *r, uint32_t function);

/*
 * refs are good until the next call. SL_OK, or SL_E_PROTO_TARGET: it cannot be read, and any of its columns
 * can be anything.
 */
int rule_view(struct rule *r, struct sl_span text, const struct rule_ref **refs, uint32_t *nb);
/* The same for the expression of a generated column of that relation. */
int rule_generated(struct rule *r, struct sl_span text, uint32_t relation, uint16_t column,
                   const struct rule_ref **refs, uint32_t *nb);

#endif
