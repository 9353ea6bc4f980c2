/* What is hidden: which mask a column has. */
#include "sl_eval.h"

/* Dots and names of "schema.table.column". */
#define PATH_PARTS_MAX 3
#define GLOB_PART_MAX  128 /* bytes; the compiler refuses longer ones */

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

/* ---- where the masked columns come from ---- */

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
	memcpy(w->out + w->n, bytes, n);
	w->n += n;
}

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
