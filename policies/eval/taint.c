/* Names that carry what is hidden. */
#include "taint_priv.h"

#include <string.h>

#define NONE ((struct sl_masks){{0}})

/* ---- masks ---- */

struct sl_masks taint_columns(const struct sl_snapshot *s, const struct sl_principal *p)
{
	struct sl_masks m = NONE;

	for (uint32_t i = 0; i < s->nb_masks; i++) {
		if (s->masks[i].columns.nb > 0 || s->masks[i].types.nb > 0)
			m.w[i / 64] |= p->mask_bits[i / 64] & UINT64_C(1) << (i % 64);
	}
	return m;
}

struct sl_masks taint_column(const struct taint *t, const struct sl_catalog_column *c)
{
	struct sl_masks m = c->hidden;

	masks_add(&m, &c->derived);
	return masks_both(&m, &t->columns);
}

/* "name" or "schema.name" against a glob of either form; a schema that is not said fits none. */
static bool trusts(const struct sl_mask *m, struct sl_span schema, struct sl_span name)
{
	char full[2 * SL_SQL_NAME_MAX + 1];
	size_t n = schema.n;

	memcpy(full, schema.p != NULL ? schema.p : (const uint8_t *)"", n);
	full[n++] = '.';
	memcpy(full + n, name.p, name.n);
	n += name.n;
	for (uint32_t i = 0; i < m->trusted.nb; i++) {
		const char *glob = m->trusted.v[i];
		bool qualified = strchr(glob, '.') != NULL;

		if (qualified ? schema.n > 0 && sl_glob_match(glob, sl_span(full, n))
		              : sl_glob_match(glob, name))
			return true;
	}
	return false;
}

struct sl_masks taint_untrusted(const struct taint *t, const struct sl_sql_name *name)
{
	char schema[SL_SQL_NAME_MAX], bare[SL_SQL_NAME_MAX];
	struct sl_span s = sl_span(schema, sl_sql_name_fold(name->schema, schema));
	struct sl_span n = sl_span(bare, sl_sql_name_fold(name->name, bare));
	struct sl_masks m = t->columns;

	for (uint32_t i = 0; i < t->s->nb_masks; i++) {
		if (masks_has(&m, i) && trusts(&t->s->masks[i], s, n))
			m.w[i / 64] &= ~(UINT64_C(1) << (i % 64));
	}
	return m;
}

enum sl_sql_builtin taint_builtin(const struct sl_catalog *c, const struct sl_sql_name *name)
{
	char schema[SL_SQL_NAME_MAX], bare[SL_SQL_NAME_MAX];
	struct sl_span s = sl_span(schema, sl_sql_name_fold(name->schema, schema));
	struct sl_span n = sl_span(bare, sl_sql_name_fold(name->name, bare));

	if (s.n > 0 && !sl_span_is(s, "pg_catalog"))
		return SL_SQL_FN_UNKNOWN;
	if (s.n == 0 && c != NULL && sl_catalog_function(c, s, n))
		return SL_SQL_FN_UNKNOWN;
	return sl_sql_builtin(name->name);
}

/* ---- relations ---- */

static bool is_system_column(struct sl_span name)
{
	static const char *const names[] = {"ctid", "tableoid", "xmin", "xmax", "cmin", "cmax"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (sl_span_is(name, names[i]))
			return true;
	}
	return false;
}

static void find_relation(struct taint *t, uint32_t r)
{
	const struct sl_sql_name *name = &t->sql->relations[r].name;
	struct taint_relation *out = &t->relations[r];
	char schema[SL_SQL_NAME_MAX], bare[SL_SQL_NAME_MAX];
	struct sl_span s = sl_span(schema, sl_sql_name_fold(name->schema, schema));
	struct sl_span n = sl_span(bare, sl_sql_name_fold(name->name, bare));
	const struct sl_catalog_relation *rel;
	uint32_t at = 0;

	*out = (struct taint_relation){.first = (uint16_t)t->nb_hidden, .hash = sl_sql_folded_hash(n)};
	while ((rel = sl_catalog_find(t->c, s, n, &at)) != NULL) {
		struct sl_masks any = masks_both(&rel->any, &t->columns);

		if (!masks_any(&any))
			continue;
		if (t->nb_hidden == TAINT_HIDDEN_MAX) {
			t->failed = true;
			return;
		}
		masks_add(&out->any, &any);
		t->hidden[t->nb_hidden++] = rel;
		out->nb++;
	}
	out->unknown = out->nb == 0 && protect_is_unknown(t->c, t->made, t->sql, r);
	if (out->unknown)
		out->any = t->columns;
	masks_add(&t->everything, &out->any);
}

/* Of a relation that nothing is known of. */
static struct sl_masks anything(struct taint *t)
{
	masks_add(&t->derived, &t->columns);
	return t->columns;
}

/* What a column of this name can be in what the relation can be. *all: each of them has it. */
static struct sl_masks column_of(struct taint *t, const struct taint_relation *r, struct sl_span name,
                                 bool *all)
{
	struct sl_masks m = NONE;

	*all = true;
	if (r->unknown)
		return anything(t);
	for (uint32_t h = r->first; h < (uint32_t)r->first + r->nb; h++) {
		const struct sl_catalog_relation *rel = t->hidden[h];
		bool found = is_system_column(name);

		t->work += rel->nb_columns;
		for (uint32_t i = 0; i < rel->nb_columns; i++) {
			const struct sl_catalog_column *c = &rel->columns[i];
			struct sl_masks one, derived;

			if (!sl_span_eq(c->name, name))
				continue;
			found = true;
			one = taint_column(t, c);
			derived = masks_both(&c->derived, &t->columns);
			masks_add(&m, &one);
			masks_add(&t->derived, &derived);
		}
		*all &= found;
	}
	return m;
}

/* A hidden column of that name in any relation of the statement. */
static struct sl_masks any_column(struct taint *t, uint8_t stmt, struct sl_span name)
{
	struct sl_masks m = NONE;

	for (uint32_t r = 0; r < t->sql->nb_relations; r++) {
		bool all = false;
		struct sl_masks one;

		if ((t->relations[r].nb == 0 && !t->relations[r].unknown) ||
		    t->sql->relations[r].stmt != stmt)
			continue;
		one = column_of(t, &t->relations[r], name, &all);
		masks_add(&m, &one);
	}
	return m;
}

/* All columns of it: what a star or a whole row brings. */
static struct sl_masks whole_relation(struct taint *t, const struct taint_relation *r)
{
	if (r->unknown)
		return anything(t);
	for (uint32_t h = r->first; h < (uint32_t)r->first + r->nb; h++) {
		t->work += t->hidden[h]->nb_columns;
		for (uint32_t i = 0; i < t->hidden[h]->nb_columns; i++) {
			struct sl_masks d = masks_both(&t->hidden[h]->columns[i].derived, &t->columns);

			masks_add(&t->derived, &d);
		}
	}
	return r->any;
}

/* ---- items ---- */

/* Names that the server gives to what has none in its text. */
static bool is_made_name(struct sl_span name)
{
	static const char *const names[] = {"?column?",
	                                    "case",
	                                    "array",
	                                    "row",
	                                    "int2",
	                                    "int4",
	                                    "int8",
	                                    "float4",
	                                    "float8",
	                                    "bool",
	                                    "numeric",
	                                    "bpchar",
	                                    "varchar",
	                                    "varbit",
	                                    "bit",
	                                    "timestamp",
	                                    "time",
	                                    "timetz",
	                                    "btrim",
	                                    "ltrim",
	                                    "timestamptz",
	                                    "rtrim",
	                                    "interval",
	                                    "extract",
	                                    "overlaps",
	                                    "text",
	                                    "exists",
	                                    "nullif",
	                                    "timezone",
	                                    "char",
	                                    "is_normalized",
	                                    "date_part",
	                                    "pg_collation_for",
	                                    "similar_to_escape",
	                                    "like_escape",
	                                    "json",
	                                    "jsonb",
	                                    "name"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (sl_span_is(name, names[i]))
			return true;
	}
	return name.n > 6 && memcmp(name.p, "column", 6) == 0 && name.p[6] >= '0' && name.p[6] <= '9';
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

/* Is the name somewhere in the text, whatever it is there? */
static bool stands_in(struct taint *t, struct sl_span text, struct sl_span name)
{
	t->work += (uint32_t)(text.n / 8) + 1;
	for (size_t i = 0; i + name.n <= text.n; i++) {
		size_t k = 0;

		while (k < name.n && lower(text.p[i + k]) == lower(name.p[k]))
			k++;
		if (k == name.n)
			return true;
	}
	/* A quote in a name is written twice. */
	return name.n > 0 && memchr(name.p, '"', name.n) != NULL;
}

static bool item_has_name(struct taint *t, const struct sl_sql_item *i, uint32_t hash, struct sl_span name)
{
	if (i->hash != 0)
		return i->hash == hash;
	if (i->values)
		return is_made_name(name);
	return !i->star && (is_made_name(name) || stands_in(t, i->text, name));
}

/* ---- rows ---- */

static struct sl_masks row_taint(struct taint *t, const struct sl_sql_row *row)
{
	const struct sl_sql_uses *u = t->uses;
	struct sl_masks m = NONE;

	if (row->join)
		m = t->everything;
	if (row->relation >= 0) {
		const struct taint_relation *r = &t->relations[row->relation];

		m = whole_relation(t, r);
		/* WITH RECURSIVE can name a query that comes later. */
		for (uint32_t i = 0; i < u->nb_rows; i++) {
			const struct sl_sql_row *cte = &u->rows[i];

			if (cte->query == UINT16_MAX && cte->stmt == row->stmt && cte->hash == r->hash) {
				struct sl_masks one = row_taint(t, cte);

				masks_add(&m, &one);
			}
		}
		return m;
	}
	if (row->join || row->first == row->end)
		masks_add(&m, &t->wild[row->stmt]);
	for (uint32_t i = 0; i < u->nb_items; i++) {
		if (u->items[i].stmt == row->stmt && u->items[i].query >= row->first &&
		    (u->items[i].query < row->end || row->join))
			masks_add(&m, &t->items[i]);
	}
	t->work += u->nb_items / 8;
	return m;
}

/* A name of a column alias list. */
static struct sl_masks renamed(struct taint *t, const struct sl_sql_use *use)
{
	const struct sl_sql_uses *u = t->uses;
	const struct sl_sql_row *row = &u->rows[use->row];
	struct sl_masks m = NONE;
	int16_t at = use->item;

	if (at < 0 || row->join || (row->relation < 0 && row->first == row->end))
		return row_taint(t, row);
	if (row->relation >= 0) {
		const struct taint_relation *r = &t->relations[row->relation];

		if (r->unknown)
			return anything(t);
		for (uint32_t h = r->first; h < (uint32_t)r->first + r->nb; h++) {
			const struct sl_catalog_relation *rel = t->hidden[h];
			struct sl_masks one = rel->any;

			if ((uint32_t)at < rel->nb_columns)
				one = taint_column(t, &rel->columns[at]);
			one = masks_both(&one, &t->columns);
			masks_add(&m, &one);
		}
		return m;
	}
	for (uint32_t i = 0; i < u->nb_items; i++) {
		if (u->items[i].stmt != row->stmt || u->items[i].query != row->first)
			continue;
		if (u->items[i].star)
			return row_taint(t, row);
		if (u->items[i].position == at)
			masks_add(&m, &t->items[i]);
	}
	t->work += u->nb_items / 8;
	return m;
}

/* ---- names ---- */

struct name {
	const struct sl_sql_use *use;
	struct sl_span folded;
};

static struct sl_masks from_renamed(struct taint *t, const struct name *n, int32_t row)
{
	const struct sl_sql_uses *u = t->uses;
	struct sl_masks m = NONE;

	for (uint32_t i = 0; i < u->nb_uses; i++) {
		const struct sl_sql_use *r = &u->uses[i];

		if (r->kind == SL_SQL_USE_RENAMED && r->hash == n->use->hash && r->stmt == n->use->stmt &&
		    (row < 0 || r->row == row)) {
			struct sl_masks one = renamed(t, r);

			masks_add(&m, &one);
		}
	}
	t->work += u->nb_uses / 8;
	return m;
}

/* Outputs of this name, of queries [first, end). */
static struct sl_masks from_items(struct taint *t, const struct name *n, uint16_t first, uint16_t end)
{
	const struct sl_sql_uses *u = t->uses;
	struct sl_masks m = NONE;

	for (uint32_t i = 0; i < u->nb_items; i++) {
		const struct sl_sql_item *item = &u->items[i];

		if (item->stmt != n->use->stmt || item->query < first || item->query >= end ||
		    !masks_any(&t->items[i]))
			continue;
		/* Only ORDER BY and GROUP BY can name what the reply itself has. */
		if (item->outermost && !n->use->by)
			continue;
		if (item_has_name(t, item, n->use->hash, n->folded))
			masks_add(&m, &t->items[i]);
	}
	t->work += u->nb_items / 4;
	return m;
}

/* A name alone: whatever it can be in its statement. */
static struct sl_masks bare_name(struct taint *t, const struct name *n, bool *whole)
{
	const struct sl_sql_uses *u = t->uses;
	struct sl_masks m = any_column(t, n->use->stmt, n->folded), more;

	for (uint32_t i = 0; i < u->nb_rows && n->use->of == 0; i++) {
		if (u->rows[i].hash != n->use->hash || u->rows[i].stmt != n->use->stmt)
			continue;
		more = row_taint(t, &u->rows[i]);
		*whole |= masks_any(&more);
		masks_add(&m, &more);
	}
	t->work += u->nb_rows / 8;
	more = from_renamed(t, n, -1);
	masks_add(&m, &more);
	more = from_items(t, n, 0, UINT16_MAX);
	masks_add(&m, &more);
	masks_add(&m, &t->wild[n->use->stmt]);
	return m;
}

static bool has_star(struct taint *t, const struct sl_sql_row *row)
{
	const struct sl_sql_uses *u = t->uses;

	for (uint32_t i = 0; i < u->nb_items; i++) {
		if (u->items[i].star && u->items[i].stmt == row->stmt && u->items[i].query >= row->first &&
		    u->items[i].query < row->end && masks_any(&t->items[i]))
			return true;
	}
	return false;
}

/* t.f can be f(t): then it is made of the whole row. */
static bool can_be_call(const struct taint *t, const struct name *n)
{
	return sl_sql_builtin(n->use->name.name) != SL_SQL_FN_UNKNOWN ||
	       sl_catalog_function(t->c, SL_SPAN_EMPTY, n->folded);
}

/* A column of a row. */
static struct sl_masks member(struct taint *t, const struct name *n, uint32_t r, bool *whole)
{
	const struct sl_sql_row *row = &t->uses->rows[r];
	struct sl_masks m = from_renamed(t, n, (int32_t)r), more;

	if (row->relation >= 0 &&
	    (t->relations[row->relation].nb > 0 || t->relations[row->relation].unknown)) {
		bool all = false;

		more = column_of(t, &t->relations[row->relation], n->folded, &all);
		masks_add(&m, &more);
		if (all)
			return m;
	} else if (row->relation < 0 && row->first != row->end && !row->join) {
		more = from_items(t, n, row->first, row->end);
		masks_add(&m, &more);
		if (has_star(t, row)) {
			more = bare_name(t, n, whole);
			masks_add(&m, &more);
		}
		if (!can_be_call(t, n))
			return m;
	} else if (row->relation < 0) {
		more = bare_name(t, n, whole);
		masks_add(&m, &more);
		if (!can_be_call(t, n))
			return m;
	} else if (sl_catalog_function(t->c, SL_SPAN_EMPTY, n->folded)) {
		struct sl_sql_name f = {SL_SPAN_EMPTY, n->use->name.name};

		more = taint_untrusted(t, &f);
		masks_add(&m, &more);
	}
	/* What the row is made of, or of what a later WITH query of its name is. */
	more = row_taint(t, row);
	*whole |= masks_any(&more);
	masks_add(&m, &more);
	return m;
}

static struct sl_masks name_taint(struct taint *t, const struct sl_sql_use *use, bool *whole)
{
	char folded[SL_SQL_NAME_MAX], of[SL_SQL_NAME_MAX];
	struct name n = {use, sl_span(folded, sl_sql_name_fold(use->name.name, folded))};
	struct sl_masks m = NONE;
	bool found = false;

	if (use->of == 0)
		return bare_name(t, &n, whole);
	for (uint32_t i = 0; i < t->uses->nb_rows; i++) {
		struct sl_masks one;

		if (t->uses->rows[i].hash != use->of || t->uses->rows[i].stmt != use->stmt)
			continue;
		found = true;
		one = member(t, &n, i, whole);
		masks_add(&m, &one);
	}
	if (found)
		return m;
	/* What the caller brings to INSERT ... ON CONFLICT. */
	if ((t->sql->stmts[use->stmt].kinds & SL_SQL_BIT(SL_SQL_INSERT)) &&
	    sl_span_is(sl_span(of, sl_sql_name_fold(use->name.schema, of)), "excluded"))
		return m;
	return bare_name(t, &n, whole);
}

/* ---- other uses ---- */

static struct sl_masks star_taint(struct taint *t, const struct sl_sql_use *use)
{
	struct sl_masks m = NONE;

	for (uint32_t i = 0; i < t->uses->nb_rows; i++) {
		const struct sl_sql_row *row = &t->uses->rows[i];
		struct sl_masks one;

		if (row->stmt != use->stmt ||
		    (use->of != 0 ? row->hash != use->of : row->query != use->query))
			continue;
		one = row_taint(t, row);
		masks_add(&m, &one);
	}
	return m;
}

/* Items of the query; position < 0: all. */
static struct sl_masks query_taint(struct taint *t, const struct sl_sql_use *use, int16_t position)
{
	const struct sl_sql_uses *u = t->uses;
	struct sl_masks m = NONE;
	bool star = false;

	for (uint32_t i = 0; i < u->nb_items; i++)
		star |= u->items[i].query == use->query && u->items[i].star;
	for (uint32_t i = 0; i < u->nb_items; i++) {
		if (u->items[i].query == use->query &&
		    (star || position < 0 || u->items[i].position == (uint16_t)position))
			masks_add(&m, &t->items[i]);
	}
	t->work += u->nb_items / 4;
	return m;
}

static struct sl_masks call_taint(struct taint *t, const struct sl_sql_use *use)
{
	if (use->path) {
		char folded[SL_SQL_NAME_MAX];
		struct sl_span n = sl_span(folded, sl_sql_name_fold(use->name.name, folded));

		if (!sl_catalog_function(t->c, SL_SPAN_EMPTY, n))
			return NONE;
	} else if (taint_builtin(t->c, &use->name) != SL_SQL_FN_UNKNOWN) {
		return NONE;
	}
	return taint_untrusted(t, &use->name);
}

struct sl_masks taint_use(struct taint *t, uint32_t i, bool *whole)
{
	const struct sl_sql_use *use = &t->uses->uses[i];

	*whole = false;
	if (use->place == SL_SQL_TARGET)
		return NONE;
	switch (use->kind) {
	case SL_SQL_USE_NAME:
		return name_taint(t, use, whole);
	case SL_SQL_USE_STAR:
	case SL_SQL_USE_NATURAL:
		return star_taint(t, use);
	case SL_SQL_USE_SETOP:
		return query_taint(t, use, -1);
	case SL_SQL_USE_POSITION:
		return query_taint(t, use, use->item);
	case SL_SQL_USE_CALL:
		return call_taint(t, use);
	default:
		return NONE;
	}
}

/* ---- following ---- */

static void add_to_item(struct taint *t, int32_t item, const struct sl_masks *m)
{
	while (item >= 0) {
		struct sl_masks before = t->items[item];

		masks_add(&t->items[item], m);
		if (memcmp(&before, &t->items[item], sizeof(before)) == 0)
			return;
		t->changed = true;
		item = t->uses->items[item].parent;
	}
}

/* Outputs of a set operation go by position. */
static void join_branches(struct taint *t, uint16_t query)
{
	const struct sl_sql_uses *u = t->uses;
	bool star = false;

	for (uint32_t i = 0; i < u->nb_items; i++)
		star |= u->items[i].query == query && u->items[i].star;
	for (uint32_t i = 0; i < u->nb_items; i++) {
		if (u->items[i].query != query || !masks_any(&t->items[i]))
			continue;
		t->work += u->nb_items / 4;
		for (uint32_t k = 0; k < u->nb_items && t->work < TAINT_WORK_MAX; k++) {
			if (u->items[k].query == query &&
			    (star || u->items[k].position == u->items[i].position))
				add_to_item(t, (int32_t)k, &t->items[i]);
		}
	}
}

static void one_round(struct taint *t)
{
	const struct sl_sql_uses *u = t->uses;

	for (uint32_t i = 0; i < u->nb_uses && t->work < TAINT_WORK_MAX; i++) {
		const struct sl_sql_use *use = &u->uses[i];
		struct sl_masks m, before;
		bool whole = false;

		if (use->kind == SL_SQL_USE_SETOP) {
			join_branches(t, use->query);
			continue;
		}
		if (use->kind == SL_SQL_USE_POSITION || (use->item < 0 && !use->from_call))
			continue;
		m = taint_use(t, i, &whole);
		if (!masks_any(&m))
			continue;
		if (use->from_call) {
			before = t->wild[use->stmt];
			masks_add(&t->wild[use->stmt], &m);
			t->changed |= memcmp(&before, &t->wild[use->stmt], sizeof(before)) != 0;
		}
		if (use->kind != SL_SQL_USE_RENAMED)
			add_to_item(t, use->item, &m);
	}
}

void taint_run(struct taint *t, const struct sl_snapshot *s, const struct sl_principal *p,
               const struct sl_catalog *c, const struct sl_sql *sql, const struct sl_sql_uses *uses)
{
	uint32_t rounds = 0;

	t->s = s;
	t->p = p;
	t->c = c;
	t->sql = sql;
	t->uses = uses;
	t->columns = taint_columns(s, p);
	t->everything = t->derived = NONE;
	t->nb_hidden = t->work = 0;
	t->failed = false;
	memset(t->wild, 0, sql->nb_stmts * sizeof(t->wild[0]));
	memset(t->items, 0, uses->nb_items * sizeof(t->items[0]));
	for (uint32_t r = 0; r < sql->nb_relations && !t->failed; r++)
		find_relation(t, r);
	do {
		t->changed = false;
		one_round(t);
	} while (t->changed && ++rounds < TAINT_ROUNDS_MAX);
	if (t->changed || t->work >= TAINT_WORK_MAX)
		t->failed = true;
}
