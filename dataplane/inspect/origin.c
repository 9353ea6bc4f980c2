/*
 * Where columns come from: (table, column number) of the target's catalog to names. A table is shared by all
 * sessions of a worker that asked the same question of the same database, so that its size does not count per
 * session; each session that logs in adds what is new. Open addressing, no removal; a table goes when its
 * last session does.
 */
#include <stdlib.h>
#include <string.h>

#include "inspect_priv.h"
#include "sl_counter.h"

#define ORIGINS_MAX     4096                /* columns that masks name, in one database */
#define ORIGIN_SLOTS    (2 * ORIGINS_MAX)   /* power of two */
#define ORIGIN_TEXT_MAX (ORIGINS_MAX * 64u) /* bytes of their names */
#define ORIGIN_NAME_MAX 255                 /* PostgreSQL's own limit is 63 */

struct origin {
	uint32_t table;
	uint16_t attr;
	uint8_t schema_n, relation_n, column_n;
	uint32_t text; /* where the three names lie, one behind the other */
};

struct origins {
	uint32_t refs; /* sessions; 0: free for another key */
	char resource[SL_BUS_NAME_MAX], database[SL_BUS_NAME_MAX];
	uint8_t hash[32];
	uint32_t nb, text_n;
	struct origin slot[ORIGIN_SLOTS]; /* table 0: free */
	uint8_t text[ORIGIN_TEXT_MAX];
};

static bool same_key(const struct origins *o, const char *resource, const char *database,
                     const uint8_t hash[32])
{
	return strcmp(o->resource, resource) == 0 && strcmp(o->database, database) == 0 &&
	       memcmp(o->hash, hash, sizeof(o->hash)) == 0;
}

/* A place in the worker's list whose table no session uses; made now (at a session's start) when it is the
 * first time. */
static struct origins *origins_new(struct sl_inspect_worker *w)
{
	uint32_t empty = ORIGIN_TABLES_MAX;

	for (uint32_t i = 0; i < ORIGIN_TABLES_MAX; i++) {
		if (w->origins[i] == NULL)
			empty = i;
		else if (w->origins[i]->refs == 0)
			return w->origins[i];
	}
	if (empty == ORIGIN_TABLES_MAX)
		return NULL;
	w->origins[empty] = malloc(sizeof(struct origins));
	return w->origins[empty];
}

struct origins *origins_get(struct sl_inspect_worker *w, const char *resource, const char *database,
                            const uint8_t hash[32])
{
	struct origins *o;

	for (uint32_t i = 0; i < ORIGIN_TABLES_MAX; i++) {
		o = w->origins[i];
		if (o != NULL && o->refs > 0 && same_key(o, resource, database, hash)) {
			o->refs++;
			return o;
		}
	}
	o = origins_new(w);
	if (o == NULL)
		return NULL;
	memset(o, 0, sizeof(*o));
	o->refs = 1;
	memcpy(o->resource, resource, strlen(resource) + 1);
	memcpy(o->database, database, strlen(database) + 1);
	memcpy(o->hash, hash, sizeof(o->hash));
	return o;
}

void origins_put(struct origins *o)
{
	if (o != NULL && o->refs > 0)
		o->refs--;
}

void origins_free(struct sl_inspect_worker *w)
{
	for (uint32_t i = 0; i < ORIGIN_TABLES_MAX; i++)
		free(w->origins[i]);
}

static uint32_t slot_of(uint32_t table, uint16_t attr)
{
	uint64_t x = ((uint64_t)table << 16 | attr) * UINT64_C(0x9e3779b97f4a7c15);

	return (uint32_t)(x >> 40) & (ORIGIN_SLOTS - 1);
}

/* Where the column is, or the free slot where it would be: at most half of them are in use. */
static uint32_t find(const struct origins *o, uint32_t table, uint16_t attr)
{
	uint32_t at = slot_of(table, attr);

	while (o->slot[at].table != 0 && (o->slot[at].table != table || o->slot[at].attr != attr))
		at = (at + 1) & (ORIGIN_SLOTS - 1);
	return at;
}

static void names_of(const struct origins *o, const struct origin *e, struct origin_names *out)
{
	const uint8_t *p = o->text + e->text;

	out->schema = sl_span(p, e->schema_n);
	out->relation = sl_span(p + e->schema_n, e->relation_n);
	out->column = sl_span(p + e->schema_n + e->relation_n, e->column_n);
}

bool origins_find(const struct origins *o, uint32_t table, uint16_t attr, struct origin_names *out)
{
	uint32_t at;

	if (o == NULL || table == 0)
		return false;
	at = find(o, table, attr);
	if (o->slot[at].table == 0)
		return false;
	names_of(o, &o->slot[at], out);
	return true;
}

static bool same_names(const struct origins *o, const struct origin *e, const struct sl_ev_origin *ev)
{
	struct origin_names n;

	names_of(o, e, &n);
	return sl_span_eq(n.schema, ev->schema) && sl_span_eq(n.relation, ev->relation) &&
	       sl_span_eq(n.column, ev->column);
}

int origins_add(struct origins *o, const struct sl_ev_origin *ev)
{
	size_t n = ev->schema.n + ev->relation.n + ev->column.n;
	struct origin *e;

	if (ev->table == 0 || ev->schema.n > ORIGIN_NAME_MAX || ev->relation.n > ORIGIN_NAME_MAX ||
	    ev->column.n > ORIGIN_NAME_MAX)
		return sl_fail(SL_E_PROTO_TARGET);
	e = &o->slot[find(o, ev->table, ev->attr)];
	if (e->table != 0 && same_names(o, e, ev))
		return SL_OK;
	/* Renamed since an older session asked: the new names count, their text is added behind the old
	 * one's. */
	if ((e->table == 0 && o->nb >= ORIGINS_MAX) || n > ORIGIN_TEXT_MAX - o->text_n)
		return sl_fail(SL_E_LIMIT);
	o->nb += e->table == 0;
	*e = (struct origin){.table = ev->table,
	                     .attr = ev->attr,
	                     .schema_n = (uint8_t)ev->schema.n,
	                     .relation_n = (uint8_t)ev->relation.n,
	                     .column_n = (uint8_t)ev->column.n,
	                     .text = o->text_n};
	for (int i = 0; i < 3; i++) {
		struct sl_span s = i == 0 ? ev->schema : i == 1 ? ev->relation : ev->column;

		if (s.n > 0)
			memcpy(o->text + o->text_n, s.p, s.n);
		o->text_n += (uint32_t)s.n;
	}
	return SL_OK;
}
