/* Masks in policy test and explain: values, and statements over the tables that a Test document names. */
#include "policy_masks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "sl_catalog_build.h"
#include "sl_err.h"
#include "sl_mask.h"

#define FIRST_OID    16384 /* of what is not built in */
#define NUMBER_BYTES 12

/* The system's relations that hold values of any column are in every catalog. */
static const struct {
	uint32_t oid;
	const char *name, *column;
} statistics[] = {
        {1249, "pg_attribute", "attmissingval"},     {2619, "pg_statistic", "stavalues1"},
        {3429, "pg_statistic_ext_data", "stxdmcv"},  {12053, "pg_stats", "most_common_vals"},
        {12058, "pg_stats_ext", "most_common_vals"}, {12063, "pg_stats_ext_exprs", "most_common_vals"},
        {12222, "pg_stat_activity", "query"},
};
#define NB_STATISTICS (sizeof(statistics) / sizeof(statistics[0]))

/* One row of the answer that a target would give. */
static int row(struct sl_catalog_builder *b, uint32_t kind, uint32_t a, uint32_t n, const char *t,
               const char *u, uint32_t x, const char *y)
{
	char numbers[4][NUMBER_BYTES];
	const uint32_t v[4] = {kind, a, n, x};
	struct sl_span col[SL_CATALOG_COLUMNS];

	for (size_t i = 0; i < 4; i++)
		snprintf(numbers[i], sizeof(numbers[i]), "%u", v[i]);
	col[0] = sl_span_str(numbers[0]);
	col[1] = sl_span_str(numbers[1]);
	col[2] = sl_span_str(numbers[2]);
	col[3] = sl_span_str(t);
	col[4] = sl_span_str(u);
	col[5] = sl_span_str(numbers[3]);
	col[6] = sl_span_str(y);
	return sl_catalog_row(b, col);
}

static int columns(struct sl_catalog_builder *b, uint32_t oid, const struct sl_policy_table *t)
{
	int rc = SL_OK;

	for (uint32_t i = 0; i < t->nb_columns && rc == SL_OK; i++)
		rc = row(b, 2, oid, i + 1, t->columns[i].name, t->columns[i].type, t->columns[i].oid, "");
	return rc;
}

static int answer(struct sl_catalog_builder *b, const struct sl_policy_table *tables, uint32_t nb)
{
	int rc = SL_OK;

	for (size_t i = 0; i < NB_STATISTICS && rc == SL_OK; i++)
		rc = row(b, 1, statistics[i].oid, 0, statistics[i].name, "pg_catalog", 0, "s");
	for (uint32_t i = 0; i < nb && rc == SL_OK; i++)
		rc = row(b, 1, FIRST_OID + i, 0, tables[i].name, tables[i].schema, 0, "r");
	for (size_t i = 0; i < NB_STATISTICS && rc == SL_OK; i++)
		rc = row(b, 2, statistics[i].oid, 1, statistics[i].column, "anyarray", 2277, "");
	for (uint32_t i = 0; i < nb && rc == SL_OK; i++)
		rc = columns(b, FIRST_OID + i, &tables[i]);
	return rc;
}

static struct sl_catalog *catalog(const struct sl_snapshot *s, const struct sl_policy_table *tables,
                                  uint32_t nb)
{
	struct sl_catalog_builder *b = sl_catalog_begin(s);
	struct sl_catalog *c = NULL;

	if (b == NULL)
		return NULL;
	sl_catalog_knows_all(b);
	if (answer(b, tables, nb) != SL_OK)
		sl_catalog_abort(b);
	else if (sl_catalog_end(b, &c) != SL_OK)
		c = NULL;
	return c;
}

void policy_protect(const struct sl_snapshot *s, const struct sl_principal *p,
                    const struct sl_policy_table *tables, uint32_t nb, struct sl_span text,
                    const struct sl_sql *sql, struct sl_protect *out)
{
	static struct sl_sql_uses uses;
	struct sl_catalog *c;

	*out = (struct sl_protect){.decision = SL_DEC_ALLOW, .mask = -1, .message = ""};
	if (!p->any_column_mask)
		return;
	c = catalog(s, tables, nb);
	sl_sql_uses(text, sql, &uses);
	sl_protect_statement(s, p, c, NULL, text, sql, &uses, out);
	sl_catalog_unref(c);
}

/* ---- values ---- */

/* The first of the caller's masks that hides the column; SL_MASK_CONTENT: none. */
static int32_t mask_of(const struct sl_snapshot *s, const struct sl_principal *p,
                       const struct sl_catalog_column *c)
{
	for (uint32_t i = 0; c != NULL && i < s->nb_masks; i++) {
		if ((c->hidden.w[i / 64] & p->mask_bits[i / 64]) >> i % 64 & 1)
			return (int32_t)i;
	}
	return SL_MASK_CONTENT;
}

/* What the client would read: *text NULL is SQL NULL. False: it would be refused. */
static bool masked(const struct sl_masker *m, const struct sl_mask_value *v, uint8_t *out, size_t cap,
                   struct sl_span *text)
{
	size_t n = 0;

	*text = v->value;
	switch (sl_mask(m, v, out, cap, &n)) {
	case SL_MASKED_PASS:
		return true;
	case SL_MASKED_NEW:
		*text = sl_span(out, n);
		return true;
	case SL_MASKED_NULL:
		*text = SL_SPAN_EMPTY;
		return true;
	default:
		return false;
	}
}

static void print_value(const char *what, struct sl_span v)
{
	printf("%s", what);
	if (v.p == NULL) {
		printf("NULL");
	} else {
		putchar('"');
		text_line(stdout, v, 0);
		putchar('"');
	}
}

bool policy_value(const struct sl_snapshot *s, const struct sl_principal *p, const struct sl_policy_test *t,
                  const struct sl_policy_value *v)
{
	static uint8_t out[POLICY_VALUE_MAX], scratch[POLICY_VALUE_MAX];
	struct sl_policy_column column = v->column;
	const struct sl_policy_table table = {
	        .schema = v->schema, .name = v->table, .columns = &column, .nb_columns = 1};
	struct sl_catalog *c = catalog(s, &table, 1);
	struct sl_masker m = {
	        .snapshot = s, .who = p, .catalog = c, .scratch = scratch, .scratch_n = sizeof(scratch)};
	struct sl_mask_value in = {
	        .type = v->column.oid, .column = sl_span_str(v->column.name), .value = sl_span_str(v->value)};
	struct sl_span got = SL_SPAN_EMPTY, want = v->expect != NULL ? sl_span_str(v->expect) : SL_SPAN_EMPTY;
	bool passes, good;

	in.mask = mask_of(s, p, sl_catalog_column(c, FIRST_OID, 1));
	passes = c != NULL && masked(&m, &in, out, sizeof(out), &got);
	good = passes && (got.p == NULL) == (want.p == NULL) && sl_span_eq(got, want);
	if (!good) {
		printf("%s:%u: %s: %s%s%s by %s", t->file, v->line, t->name, v->table,
		       v->table[0] != '\0' ? "." : "", v->column.name,
		       in.mask >= 0 ? s->masks[in.mask].name : "no mask of columns");
		if (passes)
			print_value(" becomes ", got);
		else
			printf(" is refused");
		print_value(", expected ", want);
		putchar('\n');
	}
	sl_catalog_unref(c);
	return good;
}

/* ---- which masks there are ---- */

static void print_list(const char *what, const struct sl_strings *list)
{
	for (uint32_t i = 0; i < list->nb; i++)
		printf("%s%s", i == 0 ? what : ", ", list->v[i]);
}

static void print_mask(const struct sl_mask *m)
{
	static const char *const actions[] = {"redact", "partial", "null", "hash", "tokenise", "date"};
	static const char *const derived[] = {"", ", derived: deny", ", derived: allow"};
	static const char *const inference[] = {"", ", inference: deny", ", inference: hold"};

	printf("mask %s applies: %s", m->name, actions[m->action]);
	print_list(" of columns ", &m->columns);
	print_list(m->columns.nb > 0 ? ", types " : " of types ", &m->types);
	print_list(", in JSON ", &m->json);
	if (m->has_content)
		printf("%s what its pattern or detectors find",
		       m->columns.nb + m->types.nb > 0 ? ", and" : " of");
	printf("%s%s\n", derived[m->derived], inference[m->inference]);
}

void policy_print_masks(const struct sl_snapshot *s, const struct sl_principal *p)
{
	for (uint32_t i = 0; i < s->nb_masks; i++) {
		if (p->mask_bits[i / 64] >> i % 64 & 1)
			print_mask(&s->masks[i]);
	}
}
