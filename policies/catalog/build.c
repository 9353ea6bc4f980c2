/* From the target's answer to a catalog. */
#include "rule.h"

#include <stdlib.h>
#include <sys/random.h>

#include "catalog_priv.h"
#include "sl_counter.h"

#define TEXT_BLOCK  (64u * 1024)
#define KINDS       12
#define GLOB_PARTS  3
#define NO_RELATION UINT32_MAX

/* "schema.table.column" or the last parts of it; the parts that are not said are NULL. */
struct path {
	uint32_t mask;
	const char *schema, *relation, *column;
};

struct type_glob {
	uint32_t mask;
	const char *glob;
};

struct relation_more {
	uint32_t first; /* of its columns */
	uint32_t owner; /* of a TOAST table; 0: it is none */
	char kind;
};

struct edge { /* what a column is made of */
	uint32_t to, relation;
	uint16_t attr;
	bool copy;
};

struct pair {
	uint32_t child, parent; /* indices of relations */
};

struct sl_catalog_builder {
	struct sl_catalog *c;
	struct rule *rule;
	struct sl_masks all; /* that hide columns */
	struct path *paths;
	struct type_glob *types;
	uint32_t nb_paths, nb_types;
	char *globs;               /* what they point into */
	struct type_glob *servers; /* that a mask trusts */
	uint32_t nb_servers;
	struct relation_more *more;
	struct edge *edges;
	struct pair *pairs;
	uint32_t nb_edges, nb_pairs;
	uint32_t cap_relations, cap_more, cap_columns, cap_edges, cap_pairs, cap_functions, cap_operators,
	        cap_types, cap_known;
	size_t text_n;
	uint32_t relation;   /* whose columns are being told */
	uint32_t kind, a, b; /* of the last row */
};

/* Columns of the system's own relations that hold values of any column. */
static const struct {
	const char *relation, *column;
} values[] = {
        {"pg_statistic", "stavalues1"},
        {"pg_statistic", "stavalues2"},
        {"pg_statistic", "stavalues3"},
        {"pg_statistic", "stavalues4"},
        {"pg_statistic", "stavalues5"},
        {"pg_statistic_ext_data", "stxdmcv"},
        {"pg_statistic_ext_data", "stxdexpr"},
        {"pg_stats", "most_common_vals"},
        {"pg_stats", "histogram_bounds"},
        {"pg_stats", "most_common_elems"},
        {"pg_stats_ext", "most_common_vals"},
        {"pg_stats_ext_exprs", "most_common_vals"},
        {"pg_stats_ext_exprs", "histogram_bounds"},
        {"pg_stats_ext_exprs", "most_common_elems"},
        {"pg_attribute", "attmissingval"},
        {"pg_stat_activity", "query"}, /* with other callers' parameters */
};

/* ---- memory ---- */

/* Room for one more. */
static int grow(void **v, uint32_t nb, uint32_t *cap, size_t size, uint32_t max)
{
	uint32_t n = *cap == 0 ? 64 : 2 * *cap;
	void *p;

	if (nb < *cap)
		return SL_OK;
	if (nb >= max)
		return sl_fail(SL_E_LIMIT);
	p = realloc(*v, n * size);
	if (p == NULL)
		return sl_fail(SL_E_NOMEM);
	*v = p;
	*cap = n;
	return SL_OK;
}

#define GROW(v, nb, cap, max) grow((void **)&(v), nb, &(cap), sizeof((v)[0]), max)

static int keep(struct sl_catalog_builder *b, struct sl_span s, struct sl_span *out)
{
	struct text_block *t = b->c->text;

	if (s.n > SL_CATALOG_NAME_MAX)
		return sl_fail(SL_E_PROTO_TARGET);
	if (s.n > SL_CATALOG_TEXT_MAX - b->text_n)
		return sl_fail(SL_E_LIMIT);
	if (t == NULL || s.n > t->cap - t->n) {
		t = malloc(sizeof(*t) + TEXT_BLOCK);
		if (t == NULL)
			return sl_fail(SL_E_NOMEM);
		*t = (struct text_block){.next = b->c->text, .cap = TEXT_BLOCK};
		b->c->text = t;
	}
	if (s.n > 0)
		memcpy(t->b + t->n, s.p, s.n);
	*out = sl_span(t->b + t->n, s.n);
	t->n += s.n;
	b->text_n += s.n;
	return SL_OK;
}

/* ---- globs ---- */

static void set_mask(struct sl_masks *m, uint32_t i)
{
	m->w[i / 64] |= UINT64_C(1) << i % 64;
}

/* Cuts the glob at its dots, in place. The compiler has seen to it that there are no more than two. */
static struct path cut(uint32_t mask, char *glob)
{
	struct path p = {.mask = mask};
	char *dot;

	for (int i = 1; i < GLOB_PARTS && (dot = strrchr(glob, '.')) != NULL; i++) {
		*dot = '\0';
		if (i == 1)
			p.column = dot + 1;
		else
			p.relation = dot + 1;
	}
	if (p.column == NULL)
		p.column = glob;
	else if (p.relation == NULL)
		p.relation = glob;
	else
		p.schema = glob;
	return p;
}

static char *put_glob(char **at, const char *glob)
{
	size_t n = strlen(glob) + 1;
	char *to = *at;

	memcpy(to, glob, n);
	*at += n;
	return to;
}

/* Copies of the masks' globs: the snapshot may go while the answer comes. */
static bool take_globs(struct sl_catalog_builder *b, const struct sl_snapshot *s)
{
	size_t bytes = 1, nb_paths = 1, nb_types = 1, nb_servers = 1;
	char *at;

	for (uint32_t i = 0; i < s->nb_masks; i++) {
		const struct sl_mask *m = &s->masks[i];

		for (uint32_t g = 0; g < m->columns.nb; g++, nb_paths++)
			bytes += strlen(m->columns.v[g]) + 1;
		for (uint32_t g = 0; g < m->types.nb; g++, nb_types++)
			bytes += strlen(m->types.v[g]) + 1;
		for (uint32_t g = 0; g < m->servers.nb; g++, nb_servers++)
			bytes += strlen(m->servers.v[g]) + 1;
	}
	b->globs = at = malloc(bytes);
	b->paths = calloc(nb_paths, sizeof(b->paths[0]));
	b->types = calloc(nb_types, sizeof(b->types[0]));
	b->servers = calloc(nb_servers, sizeof(b->servers[0]));
	if (b->globs == NULL || b->paths == NULL || b->types == NULL || b->servers == NULL)
		return false;
	for (uint32_t i = 0; i < s->nb_masks; i++) {
		const struct sl_mask *m = &s->masks[i];

		if (m->columns.nb + m->types.nb > 0)
			set_mask(&b->all, i);
		for (uint32_t g = 0; g < m->columns.nb; g++)
			b->paths[b->nb_paths++] = cut(i, put_glob(&at, m->columns.v[g]));
		for (uint32_t g = 0; g < m->types.nb; g++)
			b->types[b->nb_types++] = (struct type_glob){i, put_glob(&at, m->types.v[g])};
		for (uint32_t g = 0; g < m->servers.nb; g++)
			b->servers[b->nb_servers++] = (struct type_glob){i, put_glob(&at, m->servers.v[g])};
	}
	return true;
}

static bool fits(const char *glob, struct sl_span name)
{
	return glob == NULL || sl_glob_match(glob, name);
}

/* types: names with 0x1f between them. */
static void hide(const struct sl_catalog_builder *b, const struct sl_catalog_relation *r,
                 struct sl_span types, struct sl_catalog_column *c)
{
	for (uint32_t i = 0; i < b->nb_paths; i++) {
		const struct path *p = &b->paths[i];

		if (fits(p->column, c->name) && fits(p->relation, r->name) && fits(p->schema, r->schema))
			set_mask(&c->hidden, p->mask);
	}
	for (size_t at = 0; b->nb_types > 0 && at < types.n;) {
		struct sl_span rest = sl_span_sub(types, at, types.n);
		const uint8_t *end = memchr(rest.p, 0x1f, rest.n);
		struct sl_span one = end == NULL ? rest : sl_span(rest.p, (size_t)(end - rest.p));

		for (uint32_t i = 0; i < b->nb_types; i++) {
			if (sl_glob_match(b->types[i].glob, one))
				set_mask(&c->hidden, b->types[i].mask);
		}
		at += one.n + 1;
	}
}

/* ---- rows ---- */

struct row {
	uint32_t k, a, b, x;
	struct sl_span t, u, y;
	bool no_y;
};

static int number(struct sl_span s, uint32_t max, uint32_t *out)
{
	uint64_t n = 0;

	if (s.p == NULL || s.n == 0 || s.n > 10)
		return sl_fail(SL_E_PROTO_TARGET);
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return sl_fail(SL_E_PROTO_TARGET);
		n = n * 10 + (uint32_t)(s.p[i] - '0');
	}
	*out = (uint32_t)n;
	return n <= max ? SL_OK : sl_fail(SL_E_PROTO_TARGET);
}

static int read_row(const struct sl_span col[SL_CATALOG_COLUMNS], struct row *r)
{
	*r = (struct row){.t = col[3], .u = col[4], .y = col[6], .no_y = col[6].p == NULL};
	if (number(col[0], KINDS, &r->k) < 0 || number(col[1], UINT32_MAX, &r->a) < 0 ||
	    number(col[2], UINT16_MAX, &r->b) < 0 || number(col[5], UINT32_MAX, &r->x) < 0)
		return SL_E_PROTO_TARGET;
	return SL_OK;
}

static int in_order(struct sl_catalog_builder *b, const struct row *r)
{
	bool later = r->k > b->kind || (r->k == b->kind && (r->a > b->a || (r->a == b->a && r->b >= b->b)));
	bool same = r->k == b->kind && r->a == b->a && r->b == b->b;

	if (!later || (same && (r->k == 1 || r->k == 2 || r->k == 8)))
		return sl_fail(SL_E_PROTO_TARGET);
	b->kind = r->k;
	b->a = r->a;
	b->b = r->b;
	return SL_OK;
}

static int know(struct sl_catalog_builder *b, struct sl_span schema, struct sl_span name)
{
	struct sl_catalog *c = b->c;
	const uint64_t h[2] = {known_hash(c, SL_SPAN_EMPTY, name), known_hash(c, schema, name)};

	for (int i = 0; i < 2; i++) {
		int rc = GROW(c->known, c->nb_known, b->cap_known, 2 * SL_CATALOG_NAMES_MAX);

		if (rc != SL_OK)
			return rc;
		c->known[c->nb_known++] = h[i];
	}
	return SL_OK;
}

static int on_reader(struct sl_catalog_builder *b, const struct row *r)
{
	return rule_reader(b->rule, r->a) ? SL_OK : sl_fail(SL_E_LIMIT);
}

static int on_name(struct sl_catalog_builder *b, const struct row *r)
{
	return know(b, r->u, r->t);
}

static int on_relation(struct sl_catalog_builder *b, const struct row *r)
{
	struct sl_catalog *c = b->c;
	uint32_t nb = c->nb_relations;
	struct sl_catalog_relation rel = {.oid = r->a};
	int rc = GROW(c->relations, nb, b->cap_relations, SL_CATALOG_RELATIONS_MAX);

	if (rc == SL_OK)
		rc = GROW(b->more, nb, b->cap_more, SL_CATALOG_RELATIONS_MAX);
	if (rc == SL_OK)
		rc = keep(b, r->t, &rel.name);
	if (rc == SL_OK)
		rc = keep(b, r->u, &rel.schema);
	if (rc == SL_OK)
		rc = know(b, r->u, r->t);
	if (rc != SL_OK)
		return rc;
	c->relations[nb] = rel;
	b->more[nb] = (struct relation_more){.owner = r->x, .kind = r->y.n == 1 ? (char)r->y.p[0] : '?'};
	c->nb_relations++;
	return SL_OK;
}

static bool holds_values(struct sl_span relation, struct sl_span column)
{
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		if (sl_span_is(relation, values[i].relation) && sl_span_is(column, values[i].column))
			return true;
	}
	return false;
}

static int on_column(struct sl_catalog_builder *b, const struct row *r)
{
	struct sl_catalog *c = b->c;
	uint32_t nb = c->nb_columns;
	struct sl_catalog_column col = {.attr = (uint16_t)r->b, .type = r->x, .generated = r->y.n > 0};
	int rc = GROW(c->columns, nb, b->cap_columns, SL_CATALOG_ATTRS_MAX);

	if (rc == SL_OK)
		rc = keep(b, r->t, &col.name);
	if (rc != SL_OK)
		return rc;
	while (b->relation < c->nb_relations && c->relations[b->relation].oid < r->a)
		b->relation++;
	if (b->relation == c->nb_relations || c->relations[b->relation].oid != r->a || r->b == 0)
		return sl_fail(SL_E_PROTO_TARGET);
	if (c->relations[b->relation].nb_columns++ == 0)
		b->more[b->relation].first = nb;
	if (b->more[b->relation].kind != 's')
		hide(b, &c->relations[b->relation], r->u, &col);
	else if (holds_values(c->relations[b->relation].name, col.name))
		col.derived = b->all;
	c->columns[nb] = col;
	c->nb_columns++;
	return SL_OK;
}

static uint32_t index_of(const struct sl_catalog *c, uint32_t oid)
{
	const struct sl_catalog_relation *r = catalog_relation(c, oid);

	return r == NULL ? NO_RELATION : (uint32_t)(r - c->relations);
}

static int on_inherits(struct sl_catalog_builder *b, const struct row *r)
{
	struct pair p = {index_of(b->c, r->a), index_of(b->c, r->x)};
	int rc = GROW(b->pairs, b->nb_pairs, b->cap_pairs, 2 * SL_CATALOG_RELATIONS_MAX);

	if (rc != SL_OK)
		return rc;
	if (p.child != NO_RELATION && p.parent != NO_RELATION)
		b->pairs[b->nb_pairs++] = p;
	return SL_OK;
}

/* NULL: no relation has a column. */
static struct sl_catalog_column *columns_of(const struct sl_catalog_builder *b, uint32_t relation)
{
	return b->c->columns != NULL ? b->c->columns + b->more[relation].first : NULL;
}

static struct sl_catalog_column *column_of(struct sl_catalog_builder *b, uint32_t relation, uint16_t attr)
{
	struct sl_catalog_column *v = columns_of(b, relation);
	uint32_t n = b->c->relations[relation].nb_columns;

	if (attr > 0 && attr <= n && v[attr - 1].attr == attr)
		return &v[attr - 1];
	for (uint32_t i = 0; i < n; i++) { /* behind one that was dropped */
		if (v[i].attr == attr)
			return &v[i];
	}
	return NULL;
}

/* Any of its columns can be anything. */
static void derive_all(struct sl_catalog_builder *b, uint32_t relation)
{
	for (uint32_t i = 0; i < b->c->relations[relation].nb_columns; i++)
		masks_add(&b->c->columns[b->more[relation].first + i].derived, &b->all);
}

static int add_edge(struct sl_catalog_builder *b, uint32_t relation, const struct rule_ref *ref)
{
	struct sl_catalog_column *to = column_of(b, relation, ref->column);
	int rc = GROW(b->edges, b->nb_edges, b->cap_edges, SL_CATALOG_EDGES_MAX);

	if (rc != SL_OK)
		return rc;
	if (to == NULL) /* of a column that was dropped, or that is none */
		return SL_OK;
	if (ref->kind == RULE_ALL) {
		masks_add(&to->derived, &b->all);
		return SL_OK;
	}
	b->edges[b->nb_edges++] = (struct edge){.to = (uint32_t)(to - b->c->columns),
	                                        .relation = ref->relation,
	                                        .attr = ref->attr,
	                                        .copy = ref->kind == RULE_COPY};
	return SL_OK;
}

static struct sl_span relation_name(const void *ctx, uint32_t i)
{
	return ((const struct sl_catalog *)ctx)->relations[i].name;
}

static int on_rule(struct sl_catalog_builder *b, const struct row *r)
{
	uint32_t relation = index_of(b->c, r->a), nb = 0;
	const struct rule_ref *refs = NULL;
	int rc;

	if (relation == NO_RELATION)
		return sl_fail(SL_E_PROTO_TARGET);
	if (r->no_y)
		rc = SL_E_PROTO_TARGET;
	else if (r->k == 4)
		rc = rule_view(b->rule, r->y, &refs, &nb);
	else
		rc = rule_generated(b->rule, r->y, r->a, (uint16_t)r->b, &refs, &nb);
	if (rc != SL_OK)
		derive_all(b, relation);
	for (uint32_t i = 0; i < nb; i++) {
		rc = add_edge(b, relation, &refs[i]);
		if (rc != SL_OK)
			return rc;
	}
	return SL_OK;
}

/* A column whose type is made of a relation's row type. */
static int on_row_type(struct sl_catalog_builder *b, const struct row *r)
{
	struct rule_ref ref = {.kind = RULE_FROM, .column = (uint16_t)r->b, .relation = r->x};
	uint32_t relation = index_of(b->c, r->a);

	return relation == NO_RELATION ? sl_fail(SL_E_PROTO_TARGET) : add_edge(b, relation, &ref);
}

/* ---- foreign tables ---- */

/* The relation of that name, and the number of its column. NO_RELATION: nothing of it is hidden. */
static uint32_t find_column(struct sl_catalog_builder *b, const struct sl_catalog_relation *like,
                            struct sl_span column, uint16_t *attr)
{
	for (uint32_t i = name_first(&b->c->by_relation, like->name); i != 0;
	     i = b->c->by_relation.next[i - 1]) {
		const struct sl_catalog_relation *r = &b->c->relations[i - 1];

		if (!sl_span_eq(r->name, like->name) || !sl_span_eq(r->schema, like->schema))
			continue;
		for (uint32_t k = 0; k < r->nb_columns; k++) {
			const struct sl_catalog_column *c = &columns_of(b, i - 1)[k];

			*attr = c->attr;
			if (sl_span_eq(c->name, column))
				return i - 1;
		}
	}
	return NO_RELATION;
}

/* All masks but those that trust the server. */
static struct sl_masks distrust(const struct sl_catalog_builder *b, struct sl_span server)
{
	struct sl_masks m = b->all;

	for (uint32_t i = 0; i < b->nb_servers; i++) {
		if (sl_glob_match(b->servers[i].glob, server))
			m.w[b->servers[i].mask / 64] &= ~(UINT64_C(1) << b->servers[i].mask % 64);
	}
	return m;
}

/* A column whose values come from elsewhere: `there` is what it is there. */
static int add_foreign(struct sl_catalog_builder *b, const struct row *r, uint32_t relation,
                       const struct sl_catalog_relation *there)
{
	struct sl_catalog_column *to = column_of(b, relation, (uint16_t)r->b);
	struct rule_ref ref = {.kind = RULE_COPY, .column = (uint16_t)r->b};
	struct sl_masks all;
	uint32_t from;

	if (to == NULL)
		return sl_fail(SL_E_PROTO_TARGET);
	if (r->y.p[0] != 'o') {
		struct sl_catalog_column there_too = {.name = r->t};

		hide(b, there, SL_SPAN_EMPTY, &there_too);
		masks_add(&to->hidden, &there_too.hidden);
	}
	if (r->y.p[0] != 's') {
		all = distrust(b, sl_span_sub(r->y, 1, r->y.n));
		masks_add(&to->derived, &all);
		return SL_OK;
	}
	from = find_column(b, there, r->t, &ref.attr);
	if (from == NO_RELATION)
		return SL_OK;
	ref.relation = b->c->relations[from].oid;
	return add_edge(b, relation, &ref);
}

static int on_foreign(struct sl_catalog_builder *b, const struct row *r)
{
	const uint8_t *cut = r->u.n > 0 ? memchr(r->u.p, 0x1f, r->u.n) : NULL;
	uint32_t relation = index_of(b->c, r->a);
	struct sl_catalog_relation there = {0};
	int rc = SL_OK;

	if (relation == NO_RELATION || cut == NULL || r->y.n < 2 || memchr("seo", r->y.p[0], 3) == NULL)
		return sl_fail(SL_E_PROTO_TARGET);
	if (b->c->by_relation.head == NULL)
		rc = name_table_make(&b->c->by_relation, b->c->nb_relations, relation_name, b->c);
	if (rc < 0)
		return sl_fail(rc);
	there.schema = sl_span(r->u.p, (size_t)(cut - r->u.p));
	there.name = sl_span_sub(r->u, there.schema.n + 1, r->u.n);
	return add_foreign(b, r, relation, &there);
}

static int on_newest(struct sl_catalog_builder *b, const struct row *r)
{
	b->c->newest = r->a;
	return SL_OK;
}

static int on_function(struct sl_catalog_builder *b, const struct row *r)
{
	struct sl_catalog *c = b->c;
	struct named f;
	int rc = GROW(c->functions, c->nb_functions, b->cap_functions, SL_CATALOG_FUNCTIONS_MAX);

	if (rc == SL_OK)
		rc = keep(b, r->t, &f.name);
	if (rc == SL_OK)
		rc = keep(b, r->u, &f.schema);
	if (rc == SL_OK)
		c->functions[c->nb_functions++] = f;
	return rc;
}

static int on_operator(struct sl_catalog_builder *b, const struct row *r)
{
	struct sl_catalog *c = b->c;
	struct named o = {.schema = SL_SPAN_EMPTY};
	int rc = GROW(c->operators, c->nb_operators, b->cap_operators, SL_CATALOG_OPERATORS_MAX);

	if (rc == SL_OK)
		rc = keep(b, r->t, &o.name);
	if (rc == SL_OK)
		c->operators[c->nb_operators++] = o;
	return rc;
}

static enum sl_catalog_type_kind type_kind(struct sl_span y)
{
	switch (y.n == 1 ? y.p[0] : 0) {
	case 'd':
		return SL_TYPE_DOMAIN;
	case 'e':
		return SL_TYPE_ENUM;
	case 'c':
		return SL_TYPE_COMPOSITE;
	case 'r':
		return SL_TYPE_RANGE;
	case 'm':
		return SL_TYPE_MULTIRANGE;
	case 'a':
		return SL_TYPE_ARRAY;
	default:
		return SL_TYPE_BASE;
	}
}

static int on_type(struct sl_catalog_builder *b, const struct row *r)
{
	struct sl_catalog *c = b->c;
	struct sl_catalog_type t = {.oid = r->a, .of = r->x, .kind = type_kind(r->y)};
	int rc = GROW(c->types, c->nb_types, b->cap_types, SL_CATALOG_TYPES_MAX);

	if (rc == SL_OK)
		rc = keep(b, r->u, &t.label);
	if (rc == SL_OK)
		c->types[c->nb_types++] = t;
	return rc;
}

int sl_catalog_row(struct sl_catalog_builder *b, const struct sl_span col[SL_CATALOG_COLUMNS])
{
	static int (*const on[KINDS + 1])(struct sl_catalog_builder *, const struct row *) = {
	        on_reader,   on_relation, on_column,   on_inherits, on_rule,    on_rule, on_function,
	        on_operator, on_type,     on_row_type, on_newest,   on_foreign, on_name,
	};
	struct row r;
	int rc = read_row(col, &r);

	if (rc == SL_OK)
		rc = in_order(b, &r);
	return rc == SL_OK ? on[r.k](b, &r) : rc;
}

/* ---- following ---- */

static bool add_new(struct sl_masks *to, const struct sl_masks *from)
{
	struct sl_masks before = *to;

	masks_add(to, from);
	return memcmp(&before, to, sizeof(before)) != 0;
}

static bool follow_edge(struct sl_catalog_builder *b, const struct edge *e)
{
	uint32_t relation = index_of(b->c, e->relation);
	struct sl_catalog_column *to = &b->c->columns[e->to], *from;
	bool moved = false;

	if (relation == NO_RELATION) /* nothing of it is hidden */
		return false;
	if (e->attr == 0)
		return add_new(&to->derived, &b->c->relations[relation].any);
	from = column_of(b, relation, e->attr);
	if (from == NULL)
		return false;
	moved = add_new(e->copy ? &to->hidden : &to->derived, &from->hidden);
	return add_new(&to->derived, &from->derived) || moved;
}

static bool same_column(struct sl_catalog_column *x, struct sl_catalog_column *y)
{
	bool moved = add_new(&x->hidden, &y->hidden);

	moved |= add_new(&y->hidden, &x->hidden);
	moved |= add_new(&x->derived, &y->derived);
	return add_new(&y->derived, &x->derived) || moved;
}

/* A parent's rows are those of its children too. Columns go by name, and mostly have the same place. */
static bool follow_pair(struct sl_catalog_builder *b, const struct pair *p)
{
	struct sl_catalog_column *child = columns_of(b, p->child);
	struct sl_catalog_column *parent = columns_of(b, p->parent);
	uint32_t nb_child = b->c->relations[p->child].nb_columns;
	bool moved = false;

	for (uint32_t i = 0; i < b->c->relations[p->parent].nb_columns; i++) {
		uint32_t at = i;

		if (i >= nb_child || !sl_span_eq(child[i].name, parent[i].name))
			for (at = 0; at < nb_child && !sl_span_eq(child[at].name, parent[i].name); at++)
				;
		if (at < nb_child)
			moved |= same_column(&child[at], &parent[i]);
	}
	return moved;
}

static bool sum_up(struct sl_catalog_builder *b, uint32_t relation)
{
	struct sl_catalog_relation *r = &b->c->relations[relation];
	bool moved = false;

	for (uint32_t i = 0; i < r->nb_columns; i++) {
		const struct sl_catalog_column *c = &b->c->columns[b->more[relation].first + i];

		moved |= add_new(&r->any, &c->hidden);
		moved |= add_new(&r->any, &c->derived);
	}
	return moved;
}

/* A TOAST table holds parts of its owner's values. */
static void derive_toast(struct sl_catalog_builder *b, uint32_t relation)
{
	uint32_t owner = index_of(b->c, b->more[relation].owner);

	for (uint32_t i = 0; owner != NO_RELATION && i < b->c->relations[relation].nb_columns; i++)
		masks_add(&b->c->columns[b->more[relation].first + i].derived, &b->c->relations[owner].any);
}

static void follow(struct sl_catalog_builder *b)
{
	bool moved = true;

	for (uint32_t pass = 0; moved; pass++) {
		moved = false;
		if (pass == SL_CATALOG_PASSES_MAX) {
			for (uint32_t i = 0; i < b->c->nb_relations; i++)
				derive_all(b, i);
			break;
		}
		for (uint32_t i = 0; i < b->c->nb_relations; i++)
			moved |= sum_up(b, i);
		for (uint32_t i = 0; i < b->nb_edges; i++)
			moved |= follow_edge(b, &b->edges[i]);
		for (uint32_t i = 0; i < b->nb_pairs; i++)
			moved |= follow_pair(b, &b->pairs[i]);
	}
	for (uint32_t i = 0; i < b->c->nb_relations; i++) {
		if (b->more[i].owner != 0)
			derive_toast(b, i);
		(void)sum_up(b, i);
	}
}

/* ---- the end ---- */

static struct sl_span function_name(const void *ctx, uint32_t i)
{
	return ((const struct sl_catalog *)ctx)->functions[i].name;
}

static struct sl_span operator_name(const void *ctx, uint32_t i)
{
	return ((const struct sl_catalog *)ctx)->operators[i].name;
}

static struct sl_span column_name(const void *ctx, uint32_t i)
{
	return ((const struct sl_catalog *)ctx)->names[i].name;
}

static int by_name(const void *x, const void *y)
{
	struct sl_span a = ((const struct column_name *)x)->name, b = ((const struct column_name *)y)->name;
	int d = a.n == 0 || b.n == 0 ? 0 : memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);

	return d != 0 ? d : (a.n > b.n) - (a.n < b.n);
}

static int by_number(const void *x, const void *y)
{
	uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;

	return (a > b) - (a < b);
}

/* Names of hidden and derived columns, once each. */
static int gather_names(struct sl_catalog *c)
{
	uint32_t nb = 0;

	c->names = calloc((size_t)c->nb_columns + 1, sizeof(c->names[0]));
	if (c->names == NULL)
		return sl_fail(SL_E_NOMEM);
	for (uint32_t i = 0; i < c->nb_columns; i++) {
		struct column_name n = {.name = c->columns[i].name, .masks = c->columns[i].hidden};

		masks_add(&n.masks, &c->columns[i].derived);
		if (masks_any(&n.masks))
			c->names[nb++] = n;
	}
	qsort(c->names, nb, sizeof(c->names[0]), by_name);
	for (uint32_t i = 0; i < nb; i++) {
		if (c->nb_names > 0 && sl_span_eq(c->names[c->nb_names - 1].name, c->names[i].name))
			masks_add(&c->names[c->nb_names - 1].masks, &c->names[i].masks);
		else
			c->names[c->nb_names++] = c->names[i];
	}
	return SL_OK;
}

static int make_tables(struct sl_catalog_builder *b)
{
	struct sl_catalog *c = b->c;
	int rc;

	for (uint32_t i = 0; i < c->nb_relations; i++)
		c->relations[i].columns = columns_of(b, i);
	rc = gather_names(c);
	if (c->nb_known > 0)
		qsort(c->known, c->nb_known, sizeof(c->known[0]), by_number);
	if (rc == SL_OK && c->by_relation.head == NULL)
		rc = name_table_make(&c->by_relation, c->nb_relations, relation_name, c);
	if (rc == SL_OK)
		rc = name_table_make(&c->by_function, c->nb_functions, function_name, c);
	if (rc == SL_OK)
		rc = name_table_make(&c->by_operator, c->nb_operators, operator_name, c);
	if (rc == SL_OK)
		rc = name_table_make(&c->by_name, c->nb_names, column_name, c);
	return rc < 0 ? sl_fail(rc) : rc;
}

struct sl_catalog_builder *sl_catalog_begin(const struct sl_snapshot *s)
{
	struct sl_catalog_builder *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	b->c = calloc(1, sizeof(*b->c));
	b->rule = rule_new();
	if (b->c == NULL || b->rule == NULL || !take_globs(b, s) ||
	    getrandom(b->c->secret, sizeof(b->c->secret), 0) != (ssize_t)sizeof(b->c->secret)) {
		sl_catalog_abort(b);
		return NULL;
	}
	atomic_init(&b->c->refs, 1);
	b->c->newest = UINT32_MAX;
	return b;
}

void sl_catalog_abort(struct sl_catalog_builder *b)
{
	if (b == NULL)
		return;
	catalog_free(b->c);
	rule_free(b->rule);
	free(b->globs);
	free(b->paths);
	free(b->types);
	free(b->servers);
	free(b->more);
	free(b->edges);
	free(b->pairs);
	free(b);
}

void sl_catalog_knows_all(struct sl_catalog_builder *b)
{
	b->c->all_known = true;
}

int sl_catalog_end(struct sl_catalog_builder *b, struct sl_catalog **out)
{
	int rc;

	*out = NULL;
	follow(b);
	rc = make_tables(b);
	if (rc == SL_OK) {
		*out = b->c;
		b->c = NULL;
	}
	sl_catalog_abort(b);
	return rc;
}
