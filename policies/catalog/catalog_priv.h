/* The inside of a catalog: sorted relations, their columns in one array, and tables by name. */
#ifndef CATALOG_PRIV_H
#define CATALOG_PRIV_H

#include <stdatomic.h>

#include "sl_catalog_build.h"

/* Numbers of things by a hash of their name; those with the same hash in a chain. */
struct name_table {
	uint32_t mask;  /* heads - 1 */
	uint32_t *head; /* index + 1; 0: none */
	uint32_t *next; /* [index], likewise */
};

struct named { /* a function, an operator */
	struct sl_span schema, name;
};

struct column_name {
	struct sl_span name;
	struct sl_masks masks;
};

struct text_block {
	struct text_block *next;
	size_t n, cap;
	uint8_t b[];
};

struct sl_catalog {
	_Atomic uint32_t refs;
	uint32_t newest; /* OID of a relation */
	uint32_t nb_relations, nb_columns, nb_functions, nb_operators, nb_types, nb_names;
	struct sl_catalog_relation *relations; /* by OID */
	struct sl_catalog_column *columns;     /* by relation and number */
	struct named *functions, *operators;
	struct sl_catalog_type *types; /* by OID */
	struct column_name *names;
	uint64_t secret[2];
	uint64_t *known; /* hashes of relations' names, and of those with their schemas; sorted */
	uint32_t nb_known;
	bool all_known;
	struct name_table by_relation, by_function, by_operator, by_name;
	struct text_block *text;
};

static inline void masks_add(struct sl_masks *to, const struct sl_masks *from)
{
	for (uint32_t i = 0; i < SL_CATALOG_MASK_WORDS; i++)
		to->w[i] |= from->w[i];
}

static inline bool masks_any(const struct sl_masks *m)
{
	uint64_t any = 0;

	for (uint32_t i = 0; i < SL_CATALOG_MASK_WORDS; i++)
		any |= m->w[i];
	return any != 0;
}

uint64_t name_hash(struct sl_span name);
/* Of a relation's name; an empty schema: of the name alone. Keyed: a caller who can name tables must not be
 * able to make one that passes for another. */
uint64_t known_hash(const struct sl_catalog *c, struct sl_span schema, struct sl_span name);
/* SL_OK, SL_E_NOMEM. name_of(ctx, i): the name of number i. */
int name_table_make(struct name_table *t, uint32_t nb, struct sl_span (*name_of)(const void *, uint32_t),
                    const void *ctx);
/* The first number that may have this name, and the one behind it; + 1, 0: none. */
static inline uint32_t name_first(const struct name_table *t, struct sl_span name)
{
	return t->head == NULL ? 0 : t->head[name_hash(name) & t->mask];
}

void catalog_free(struct sl_catalog *c);
const struct sl_catalog_relation *catalog_relation(const struct sl_catalog *c, uint32_t oid);

#endif
