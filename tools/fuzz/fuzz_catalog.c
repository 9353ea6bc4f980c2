/*
 * A target's answer about its catalog: by the first byte, a view's rule or a generated column's expression
 * between rows that are well, or whole rows (a line each, values behind tabs, "\N" is NULL). What must hold:
 * what is looked up is what was told, a column has no mask that hides no columns, and a rule that cannot be
 * read leaves nothing of its view in clear.
 */
#include <stdlib.h>
#include <string.h>

#include "rule.h"
#include "sl_catalog_build.h"
#include "sl_err.h"

#define TABLE 20000u
#define VIEW  20001u

static const char *columns[] = {"ssn", "s.t.*"}, *types[] = {"card"};
static struct sl_mask masks[] = {
        {.name = "a", .columns = {columns, 2}},
        {.name = "b", .types = {types, 1}},
        {.name = "c", .has_content = true},
};
static const struct sl_snapshot snapshot = {.masks = masks, .nb_masks = 3};

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void row(struct sl_catalog_builder *b, const char *k, const char *a, const char *n, const char *t,
                const char *u, struct sl_span y)
{
	struct sl_span col[SL_CATALOG_COLUMNS] = {sl_span_str(k),
	                                          sl_span_str(a),
	                                          sl_span_str(n),
	                                          sl_span_str(t),
	                                          sl_span_str(u),
	                                          SL_SPAN_LIT("25"),
	                                          y};

	if (k[0] == '1')
		col[5] = SL_SPAN_LIT("0");
	require(sl_catalog_row(b, col) == SL_OK);
}

static void check_column(const struct sl_catalog *c, const struct sl_catalog_relation *r, uint32_t i)
{
	const struct sl_catalog_column *k = &r->columns[i];
	struct sl_masks by_name = sl_catalog_name(c, k->name);

	require(((k->hidden.w[0] | k->derived.w[0]) & ~r->any.w[0]) == 0 &&
	        (r->any.w[0] & ~UINT64_C(3)) == 0);
	require(((k->hidden.w[0] | k->derived.w[0]) & ~by_name.w[0]) == 0);
	require(i == 0 || r->columns[i - 1].attr < k->attr);
	require(sl_catalog_column(c, r->oid, k->attr) == k);
}

static void check_relation(const struct sl_catalog *c, uint32_t oid)
{
	const struct sl_catalog_relation *r = sl_catalog_relation(c, oid), *f;
	uint32_t at = 0;

	if (r == NULL)
		return;
	for (uint32_t i = 0; i < r->nb_columns; i++)
		check_column(c, r, i);
	while ((f = sl_catalog_find(c, r->schema, r->name, &at)) != NULL && f != r)
		;
	require(f == r);
}

static bool readable(struct sl_span text, bool view)
{
	struct rule *r = rule_new();
	const struct rule_ref *refs;
	uint32_t nb;
	int rc;

	require(r != NULL);
	rc = view ? rule_view(r, text, &refs, &nb) : rule_generated(r, text, TABLE, 1, &refs, &nb);
	require(rc == SL_OK || nb == 0);
	rule_free(r);
	return rc == SL_OK;
}

static void one_rule(struct sl_span text, bool view)
{
	struct sl_catalog_builder *b = sl_catalog_begin(&snapshot);
	const char *of = view ? "20001" : "20000";
	const struct sl_catalog_relation *r;
	struct sl_catalog *c = NULL;

	require(b != NULL);
	row(b, "1", "20000", "0", "t", "s", SL_SPAN_LIT("r"));
	row(b, "1", "20001", "0", "v", "s", SL_SPAN_LIT("v"));
	row(b, "2", "20000", "1", "ssn", "text", SL_SPAN_EMPTY);
	row(b, "2", "20000", "2", "note", "text", SL_SPAN_EMPTY);
	row(b, "2", "20001", "1", "x", "text", SL_SPAN_EMPTY);
	row(b, "2", "20001", "2", "y", "text", SL_SPAN_EMPTY);
	row(b, view ? "4" : "5", of, view ? "0" : "1", NULL, NULL, text);
	require(sl_catalog_end(b, &c) == SL_OK);
	r = sl_catalog_relation(c, view ? VIEW : TABLE);
	if (!readable(text, view)) {
		require(r != NULL);
		for (uint32_t i = 0; i < r->nb_columns; i++)
			require(r->columns[i].derived.w[0] == 3);
	}
	check_relation(c, TABLE);
	check_relation(c, VIEW);
	sl_catalog_unref(c);
}

static struct sl_span part(const uint8_t **at, const uint8_t *end, uint8_t mark)
{
	const uint8_t *from = *at, *to = from < end ? memchr(from, mark, (size_t)(end - from)) : NULL;

	*at = to == NULL ? end : to + 1;
	return sl_span(from, (size_t)((to == NULL ? end : to) - from));
}

static void rows(const uint8_t *at, const uint8_t *end)
{
	struct sl_catalog_builder *b = sl_catalog_begin(&snapshot);
	struct sl_catalog *c = NULL;
	int rc = SL_OK;

	require(b != NULL);
	while (at < end && rc == SL_OK) {
		struct sl_span line = part(&at, end, '\n'), col[SL_CATALOG_COLUMNS];
		const uint8_t *p = line.p, *line_end = line.p + line.n;

		for (int i = 0; i < SL_CATALOG_COLUMNS; i++) {
			col[i] = part(&p, line_end, '\t');
			if (sl_span_is(col[i], "\\N"))
				col[i] = SL_SPAN_EMPTY;
		}
		rc = sl_catalog_row(b, col);
	}
	if (rc != SL_OK) {
		sl_catalog_abort(b);
		return;
	}
	require(sl_catalog_end(b, &c) == SL_OK);
	for (uint32_t oid = TABLE; oid < TABLE + 64; oid++)
		check_relation(c, oid);
	sl_catalog_unref(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;

	if (size < 2)
		return 0;
	copy = malloc(size - 1); /* in a block of its own, so that a step past it shows */
	require(copy != NULL);
	memcpy(copy, data + 1, size - 1);
	if (data[0] % 3 == 2)
		rows(copy, copy + size - 1);
	else
		one_rule(sl_span(copy, size - 1), data[0] % 3 == 0);
	free(copy);
	return 0;
}
