/* What is hidden: which mask a column has, and what becomes of a value. */
#include "sl_eval.h"

#include "sl_counter.h"
#include "sl_detect.h"

/* Parts of one value that are masked. With more, neighbours grow together: more is hidden, never less. */
#define SPOTS_MAX 256
/* Dots and names of "schema.table.column". */
#define PATH_PARTS_MAX 3
#define GLOB_PART_MAX  128 /* bytes; the compiler refuses longer ones */

_Static_assert(SL_POLICY_DETECTORS_MAX == 128 && SL_DETECT_FORMS_MAX == 1 << SL_CONTENT_FORM_BITS,
               "ids of content have room for detectors, and `seen` two words");

struct glob_path {
	uint32_t nb;
	char part[PATH_PARTS_MAX][GLOB_PART_MAX];
};

static bool has_bit(const uint64_t *words, uint32_t i)
{
	return (words[i / 64] >> (i % 64)) & 1;
}

/* Cuts "schema.table.column" at its dots. False when it is not one; the compiler refuses those. */
static bool split(const char *glob, struct glob_path *out)
{
	out->nb = 0;
	for (;;) {
		size_t n = strcspn(glob, ".");

		if (out->nb == PATH_PARTS_MAX || n >= GLOB_PART_MAX)
			return false;
		memcpy(out->part[out->nb], glob, n);
		out->part[out->nb++][n] = '\0';
		if (glob[n] == '\0')
			return true;
		glob += n + 1;
	}
}

/* The part i of the path; a name that is not known fits any (the column is then judged by the rest). */
static bool part_fits(const char *glob, struct sl_span name)
{
	return name.n == 0 || sl_glob_match(glob, name);
}

static bool column_fits(const char *glob, const struct sl_eval_column *c)
{
	struct glob_path path;
	const char *last;

	if (!split(glob, &path))
		return true; /* cannot be; what cannot be read hides */
	last = path.part[path.nb - 1];
	if (path.nb == 1)
		return sl_glob_match(last, c->name) || (c->column.n > 0 && sl_glob_match(last, c->column));
	if (c->relation.n == 0 || c->column.n == 0)
		return sl_glob_match(last, c->name) || (c->column.n > 0 && sl_glob_match(last, c->column));
	if (path.nb == PATH_PARTS_MAX && !part_fits(path.part[0], c->schema))
		return false;
	return sl_glob_match(path.part[path.nb - 2], c->relation) && sl_glob_match(last, c->column);
}

int32_t sl_eval_column(const struct sl_snapshot *s, const struct sl_principal *p,
                       const struct sl_eval_column *c)
{
	if (!p->any_mask)
		return -1;
	for (uint32_t i = 0; i < s->nb_masks; i++) {
		const struct sl_mask *m = &s->masks[i];

		if (!has_bit(p->mask_bits, i))
			continue;
		for (uint32_t g = 0; g < m->columns.nb; g++) {
			if (column_fits(m->columns.v[g], c))
				return (int32_t)i;
		}
	}
	return -1;
}

/* ---- writing ---- */

struct writer {
	uint8_t *out;
	size_t cap, n;
	bool full;
};

static void put(struct writer *w, const void *bytes, size_t n)
{
	if (w->full || n > w->cap - w->n) {
		w->full = true;
		return;
	}
	if (n > 0 && bytes != NULL)
		memcpy(w->out + w->n, bytes, n);
	w->n += n;
}

/* Length of the UTF-8 character at p, 0 when it is none. */
static size_t utf8_len(const uint8_t *p, size_t left)
{
	size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : p[0] >= 0xe0 && p[0] < 0xf0 ? 3 : 4;

	if ((p[0] >= 0x80 && p[0] < 0xc2) || p[0] > 0xf4 || n > left)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	return n;
}

/* Characters of the value; *utf8 false when they have to be bytes. */
static size_t count_chars(struct sl_span v, bool *utf8)
{
	size_t chars = 0;
	size_t n;

	*utf8 = true;
	for (size_t i = 0; i < v.n; i += n, chars++) {
		n = utf8_len(v.p + i, v.n - i);
		if (n == 0) {
			*utf8 = false;
			return v.n;
		}
	}
	return chars;
}

static void put_partial(struct writer *w, const struct sl_mask *m, struct sl_span v)
{
	bool utf8 = false;
	size_t chars = count_chars(v, &utf8);
	size_t keep = (size_t)m->keep_first + m->keep_last;
	size_t first = chars > keep ? m->keep_first : 0;
	size_t last = chars > keep ? chars - m->keep_last : chars;
	size_t i = 0;

	for (size_t k = 0; k < chars; k++) {
		size_t n = utf8 ? utf8_len(v.p + i, v.n - i) : 1;

		if (k < first || k >= last)
			put(w, v.p + i, n);
		else
			put(w, "*", 1);
		i += n;
	}
}

/* What stands for this part under this mask. False when the whole value becomes NULL. */
static bool put_masked(struct writer *w, const struct sl_mask *m, struct sl_span part)
{
	if (part.p == NULL)
		part = SL_SPAN_LIT("");
	switch (m->action) {
	case SL_MASK_REDACT:
		put(w, m->text, strlen(m->text));
		return true;
	case SL_MASK_PARTIAL:
		put_partial(w, m, part);
		return true;
	default:
		return false;
	}
}

/* ---- content patterns ---- */

struct spot {
	size_t from, to;
	uint32_t mask;
};

struct spots {
	const struct sl_snapshot *s;
	const struct sl_principal *p;
	struct sl_span value, column;
	uint32_t nb;
	bool null;
	uint64_t seen[SL_POLICY_DETECTORS_MAX / 64]; /* detectors with a find, which ends at done[] */
	size_t done[SL_POLICY_DETECTORS_MAX];
	struct spot v[SPOTS_MAX]; /* by place, apart from each other */
};

static void widen(struct spot *a, const struct spot *b)
{
	if (b->from < a->from || (b->from == a->from && b->mask < a->mask))
		a->mask = b->mask;
	a->from = b->from < a->from ? b->from : a->from;
	a->to = b->to > a->to ? b->to : a->to;
}

/* Puts a spot into its place; those that it touches become one with it. Matches come by their end, so the
 * place is near the end of the list. */
static void add_spot(struct spots *t, struct spot n)
{
	uint32_t hi = t->nb, lo;

	while (hi > 0 && t->v[hi - 1].from >= n.to)
		hi--;
	for (lo = hi; lo > 0 && t->v[lo - 1].to > n.from; lo--)
		widen(&n, &t->v[lo - 1]);
	if (lo == hi && t->nb == SPOTS_MAX) { /* no room: one with its neighbour, and all between them */
		lo = lo > 0 ? lo - 1 : 0;
		hi = lo + 1;
		widen(&n, &t->v[lo]);
	}
	memmove(&t->v[lo + 1], &t->v[hi], (t->nb - hi) * sizeof(t->v[0]));
	t->nb = t->nb - (hi - lo) + 1;
	t->v[lo] = n;
}

/* The first of the caller's masks that has this detector, -1 none. */
static int32_t mask_with(const struct spots *t, uint32_t detector)
{
	for (uint32_t i = 0; i < t->s->nb_masks; i++)
		if (has_bit(t->p->mask_bits, i) && has_bit(t->s->masks[i].detectors, detector))
			return (int32_t)i;
	return -1;
}

/* A form of a detector ended: is it a find, and whose? */
static bool detected(struct spots *t, uint32_t form, size_t end, struct spot *n)
{
	uint32_t d = form >> SL_CONTENT_FORM_BITS;
	struct sl_detect_spot s;
	int32_t mask;

	if (has_bit(t->seen, d) && end <= t->done[d])
		return false;
	mask = mask_with(t, d);
	if (mask < 0 ||
	    !sl_detect_check(d, form & ((1u << SL_CONTENT_FORM_BITS) - 1), t->value, end, t->column, &s))
		return false;
	t->seen[d / 64] |= UINT64_C(1) << d % 64;
	t->done[d] = s.to;
	*n = (struct spot){s.from, s.to, (uint32_t)mask};
	return true;
}

static int on_content(void *ctx, uint32_t id, size_t from, size_t to)
{
	struct spots *t = ctx;
	struct spot n = {from, to, id};

	if (id >= SL_POLICY_MASKS_MAX) {
		if (!detected(t, id - SL_POLICY_MASKS_MAX, to, &n))
			return 0;
	} else if (id >= t->s->nb_masks || !has_bit(t->p->mask_bits, id)) {
		return 0;
	}
	if (t->s->masks[n.mask].action == SL_MASK_NULL) {
		t->null = true;
		return 1;
	}
	/* Patterns see bytes: a spot that cuts a character takes it whole, so that the rest stays text. */
	while (n.from > 0 && n.from < t->value.n && (t->value.p[n.from] & 0xc0) == 0x80)
		n.from--;
	while (n.to < t->value.n && (t->value.p[n.to] & 0xc0) == 0x80)
		n.to++;
	add_spot(t, n);
	return 0;
}

static long mask_content(const struct sl_snapshot *s, const struct sl_principal *p, uint32_t worker,
                         struct sl_span value, struct sl_span column, struct writer *w)
{
	struct spots t;
	size_t at = 0;

	t.s = s;
	t.p = p;
	t.value = value;
	t.column = column;
	t.seen[0] = t.seen[1] = 0;
	t.nb = 0;
	t.null = false;
	if (worker >= s->nb_workers ||
	    sl_match_scan(s->content_db, s->content_scratch[worker], value, on_content, &t) != SL_OK)
		return -3;
	if (t.null)
		return -2;
	if (t.nb == 0)
		return -1;
	for (uint32_t i = 0; i < t.nb; i++) {
		put(w, value.p + at, t.v[i].from - at);
		(void)put_masked(w, &s->masks[t.v[i].mask],
		                 sl_span_sub(value, t.v[i].from, t.v[i].to - t.v[i].from));
		at = t.v[i].to;
	}
	put(w, value.p + at, value.n - at);
	return w->full ? -3 : (long)w->n;
}

long sl_eval_mask(const struct sl_snapshot *s, const struct sl_principal *p, uint32_t worker, int32_t mask,
                  struct sl_span value, struct sl_span column, uint8_t *out, size_t cap)
{
	struct writer w = {out, cap, 0, false};

	if (p->snapshot_version != s->version || (mask >= 0 && (uint32_t)mask >= s->nb_masks))
		return -3;
	if (value.p == NULL)
		value = SL_SPAN_LIT("");
	if (mask < 0)
		return p->any_content_mask ? mask_content(s, p, worker, value, column, &w) : -1;
	if (!put_masked(&w, &s->masks[mask], value))
		return -2;
	return w.full ? -3 : (long)w.n;
}

/* ---- where the masked columns come from ---- */

/* An SQL literal for ILIKE ... ESCAPE '!' from a glob. No backslash is ever written, so that it reads the
 * same whatever standard_conforming_strings says. */
static void put_like(struct writer *w, const char *glob)
{
	put(w, "'", 1);
	for (; *glob != '\0'; glob++) {
		if (*glob == '*')
			put(w, "%", 1);
		else if (*glob == '?')
			put(w, "_", 1);
		else if (*glob == '%' || *glob == '_' || *glob == '!')
			put(w, (char[]){'!', *glob}, 2);
		else if (*glob == '\'')
			put(w, "''", 2);
		else
			put(w, glob, 1);
	}
	put(w, "' ESCAPE '!'", 12);
}

static void put_text(struct writer *w, const char *text)
{
	put(w, text, strlen(text));
}

long sl_eval_origin_query(const struct sl_snapshot *s, const struct sl_principal *p, char *out, size_t cap)
{
	struct writer w = {(uint8_t *)out, cap > 0 ? cap - 1 : 0, 0, cap == 0};
	const char *between = "SELECT a.attrelid, a.attnum, n.nspname, c.relname, a.attname"
	                      " FROM pg_catalog.pg_attribute a"
	                      " JOIN pg_catalog.pg_class c ON c.oid = a.attrelid"
	                      " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
	                      " WHERE a.attnum > 0 AND NOT a.attisdropped"
	                      " AND c.relkind IN ('r', 'v', 'm', 'f', 'p') AND (a.attname ILIKE ";
	bool any = false;

	for (uint32_t i = 0; i < s->nb_masks; i++) {
		const struct sl_strings *globs = &s->masks[i].columns;

		for (uint32_t g = 0; has_bit(p->mask_bits, i) && g < globs->nb; g++) {
			const char *dot = strrchr(globs->v[g], '.');

			put_text(&w, between);
			put_like(&w, dot != NULL ? dot + 1 : globs->v[g]);
			between = " OR a.attname ILIKE ";
			any = true;
		}
	}
	if (!any)
		return 0;
	put_text(&w, ") LIMIT 20000");
	if (w.full)
		return -1;
	out[w.n] = '\0';
	return (long)w.n;
}
