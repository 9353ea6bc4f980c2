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
