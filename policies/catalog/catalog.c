/* Looking things up in a catalog that is built. */
#include "catalog_priv.h"
#include "sl_siphash.h"

#include <stdlib.h>

#include "sl_err.h"

struct sl_catalog *sl_catalog_ref(struct sl_catalog *c)
{
	if (c != NULL)
		atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void sl_catalog_unref(struct sl_catalog *c)
{
	if (c != NULL && atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1)
		catalog_free(c);
}

static void name_table_free(struct name_table *t)
{
	free(t->head);
	free(t->next);
}

void catalog_free(struct sl_catalog *c)
{
	struct text_block *t;

	if (c == NULL)
		return;
	while ((t = c->text) != NULL) {
		c->text = t->next;
		free(t);
	}
	free(c->relations);
	free(c->columns);
	free(c->functions);
	free(c->operators);
	free(c->types);
	free(c->names);
	free(c->known);
	name_table_free(&c->by_relation);
	name_table_free(&c->by_function);
	name_table_free(&c->by_operator);
	name_table_free(&c->by_name);
	free(c);
}

/* ---- changes ---- */

#define CHANGES_MAX 256 /* a power of two */

static _Atomic uint64_t changes[CHANGES_MAX];

static _Atomic uint64_t *changes_of(const char *resource)
{
	return &changes[name_hash(sl_span_str(resource)) & (CHANGES_MAX - 1)];
}

void sl_catalog_changed(const char *resource)
{
	atomic_fetch_add_explicit(changes_of(resource), 1, memory_order_release);
}

uint64_t sl_catalog_changes(const char *resource)
{
	return atomic_load_explicit(changes_of(resource), memory_order_acquire);
}

/* ---- by name ---- */

/* FNV-1a: names are the target's, chains are bounded by what a catalog may hold. */
uint64_t name_hash(struct sl_span name)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < name.n; i++)
		h = (h ^ name.p[i]) * UINT64_C(0x100000001b3);
	return h ^ h >> 32;
}

uint64_t known_hash(const struct sl_catalog *c, struct sl_span schema, struct sl_span name)
{
	uint64_t both[2] = {sl_siphash(c->secret, schema.p, schema.n), sl_siphash(c->secret, name.p, name.n)};

	return sl_siphash(c->secret, both, sizeof(both));
}

int name_table_make(struct name_table *t, uint32_t nb, struct sl_span (*name_of)(const void *, uint32_t),
                    const void *ctx)
{
	uint32_t heads = 16;

	if (nb == 0)
		return SL_OK;
	while (heads < nb)
		heads *= 2;
	t->mask = heads - 1;
	t->head = calloc(heads, sizeof(t->head[0]));
	t->next = calloc(nb, sizeof(t->next[0]));
	if (t->head == NULL || t->next == NULL)
		return SL_E_NOMEM;
	for (uint32_t i = nb; i-- > 0;) {
		uint32_t *head = &t->head[name_hash(name_of(ctx, i)) & t->mask];

		t->next[i] = *head;
		*head = i + 1;
	}
	return SL_OK;
}

const struct sl_catalog_relation *sl_catalog_find(const struct sl_catalog *c, struct sl_span schema,
                                                  struct sl_span name, uint32_t *at)
{
	uint32_t i;

	if (c == NULL)
		return NULL;
	i = *at == 0 ? name_first(&c->by_relation, name) : c->by_relation.next[*at - 1];
	for (; i != 0; i = c->by_relation.next[i - 1]) {
		const struct sl_catalog_relation *r = &c->relations[i - 1];

		if (!sl_span_eq(r->name, name) || (schema.n > 0 && !sl_span_eq(r->schema, schema)) ||
		    !masks_any(&r->any))
			continue;
		*at = i;
		return r;
	}
	return NULL;
}

struct sl_masks sl_catalog_name(const struct sl_catalog *c, struct sl_span name)
{
	uint32_t i = c == NULL ? 0 : name_first(&c->by_name, name);

	for (; i != 0; i = c->by_name.next[i - 1]) {
		if (sl_span_eq(c->names[i - 1].name, name))
			return c->names[i - 1].masks;
	}
	return (struct sl_masks){{0}};
}

bool sl_catalog_has(const struct sl_catalog *c, struct sl_span schema, struct sl_span name)
{
	/* Each session has its own pg_temp, with a number behind it in the catalog. */
	bool temp = schema.n >= 7 && memcmp(schema.p, "pg_temp", 7) == 0;
	uint32_t lo = 0, hi;
	uint64_t h;

	if (c == NULL || c->all_known)
		return c != NULL;
	h = known_hash(c, temp ? SL_SPAN_EMPTY : schema, name);
	for (hi = c->nb_known; lo < hi;) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (c->known[mid] == h)
			return true;
		if (c->known[mid] < h)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

static bool find_named(const struct name_table *t, const struct named *v, struct sl_span schema,
                       struct sl_span name)
{
	for (uint32_t i = name_first(t, name); i != 0; i = t->next[i - 1]) {
		if (sl_span_eq(v[i - 1].name, name) && (schema.n == 0 || sl_span_eq(v[i - 1].schema, schema)))
			return true;
	}
	return false;
}

bool sl_catalog_function(const struct sl_catalog *c, struct sl_span schema, struct sl_span name)
{
	return c != NULL && find_named(&c->by_function, c->functions, schema, name);
}

bool sl_catalog_operator(const struct sl_catalog *c, struct sl_span name)
{
	return c != NULL && find_named(&c->by_operator, c->operators, SL_SPAN_EMPTY, name);
}

bool sl_catalog_has_code(const struct sl_catalog *c)
{
	return c != NULL && (c->nb_functions > 0 || c->nb_operators > 0);
}

/* ---- by number ---- */

bool sl_catalog_knows(const struct sl_catalog *c, uint32_t oid)
{
	return c != NULL && oid <= c->newest;
}

const struct sl_catalog_relation *catalog_relation(const struct sl_catalog *c, uint32_t oid)
{
	uint32_t lo = 0, hi = c == NULL ? 0 : c->nb_relations;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (c->relations[mid].oid == oid)
			return &c->relations[mid];
		if (c->relations[mid].oid < oid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

const struct sl_catalog_relation *sl_catalog_relation(const struct sl_catalog *c, uint32_t oid)
{
	const struct sl_catalog_relation *r = catalog_relation(c, oid);

	return r != NULL && masks_any(&r->any) ? r : NULL;
}

const struct sl_catalog_column *sl_catalog_column(const struct sl_catalog *c, uint32_t oid, uint16_t attr)
{
	const struct sl_catalog_relation *r = sl_catalog_relation(c, oid);
	uint32_t lo = 0, hi = r == NULL ? 0 : r->nb_columns;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (r->columns[mid].attr == attr)
			return &r->columns[mid];
		if (r->columns[mid].attr < attr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

const struct sl_catalog_type *sl_catalog_type(const struct sl_catalog *c, uint32_t oid)
{
	uint32_t lo = 0, hi = c == NULL ? 0 : c->nb_types;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (c->types[mid].oid == oid)
			return &c->types[mid];
		if (c->types[mid].oid < oid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}
