/*
 * The SQL scanner: any bytes. It always gives an answer, the answer points into the input, it is the same
 * twice, and what follows a statement that could be read never changes what came before it.
 */
#include <stdlib.h>
#include <string.h>

#include "sl_sql.h"
#include "sl_sql_copy.h"
#include "sl_sql_uses.h"

#define CHECK(cond)                                                                                          \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			abort();                                                                             \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(struct sl_span in, const struct sl_sql *sql)
{
	uint64_t kinds = 0;
	const uint8_t *at = in.p;

	CHECK(sql->nb_stmts >= 1 && sql->nb_stmts <= SL_SQL_STMTS_MAX);
	for (uint32_t i = 0; i < sql->nb_stmts; i++) {
		const struct sl_sql_stmt *s = &sql->stmts[i];

		CHECK(s->kinds != 0 && s->kinds < SL_SQL_BIT(SL_SQL_KIND_COUNT));
		CHECK(!(s->kinds & SL_SQL_BIT(SL_SQL_FUNCTION_CALL)));
		CHECK((unsigned)s->main < SL_SQL_KIND_COUNT);
		CHECK(s->text.n == 0 || (s->text.p >= at && s->text.n <= (size_t)(in.p + in.n - s->text.p)));
		if (s->text.n > 0)
			at = s->text.p + s->text.n;
		kinds |= s->kinds;
	}
	CHECK(sql->nb_relations <= SL_SQL_RELATIONS_MAX && sql->nb_functions <= SL_SQL_FUNCTIONS_MAX);
	for (uint32_t i = 0; i < sql->nb_relations; i++) {
		const struct sl_sql_relation *r = &sql->relations[i];

		CHECK(r->stmt < sql->nb_stmts && r->access != 0);
		CHECK(r->name.name.n > 0 && r->name.name.p >= in.p &&
		      r->name.name.n <= (size_t)(in.p + in.n - r->name.name.p));
	}
	CHECK(kinds == sql->kinds);
	CHECK(sql->complete || (sql->kinds & SL_SQL_BIT(SL_SQL_OPAQUE)));
	CHECK(in.n == 0 || memchr(in.p, 0, in.n) == NULL || !sql->complete);
}

static void same(const struct sl_sql *a, const struct sl_sql *b, uint32_t nb)
{
	for (uint32_t i = 0; i < nb; i++) {
		CHECK(a->stmts[i].kinds == b->stmts[i].kinds && a->stmts[i].main == b->stmts[i].main);
		CHECK(a->stmts[i].no_where == b->stmts[i].no_where &&
		      a->stmts[i].text.n == b->stmts[i].text.n);
		CHECK(sl_span_eq(a->stmts[i].set_name, b->stmts[i].set_name));
	}
}

static bool inside(struct sl_span in, struct sl_span part)
{
	return part.n == 0 || (part.p >= in.p && part.n <= in.n - (size_t)(part.p - in.p));
}

/* The uses of names, over the same text: where they are complete they point into it, and into each other. */
static void check_uses(struct sl_span in, const struct sl_sql *sql)
{
	static struct sl_sql_uses u;
	struct sl_sql_copy copy;

	sl_sql_uses(in, sql, &u);
	CHECK(u.nb_uses <= SL_SQL_USES_MAX && u.nb_items <= SL_SQL_ITEMS_MAX &&
	      u.nb_rows <= SL_SQL_ROWS_MAX && u.nb_operators <= SL_SQL_OPERATORS_MAX);
	CHECK(sql->complete || !u.complete);
	for (uint32_t i = 0; i < u.nb_uses && u.complete; i++) {
		const struct sl_sql_use *v = &u.uses[i];

		CHECK(v->stmt < sql->nb_stmts && inside(in, v->name.name));
	}
	for (uint32_t i = 0; i < u.nb_items && u.complete; i++)
		CHECK(inside(in, u.items[i].text) && u.items[i].parent < (int32_t)u.nb_items);
	for (uint32_t i = 0; i < u.nb_rows && u.complete; i++)
		CHECK(inside(in, u.rows[i].name) && u.rows[i].relation < (int32_t)sql->nb_relations);
	for (uint32_t i = 0; i < sql->nb_stmts; i++) {
		if (sl_sql_copy_read(sql->stmts[i].text, &copy))
			CHECK(copy.null_n <= SL_SQL_COPY_NULL_MAX);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char tail[] = "\n;DROP TABLE x";
	static struct sl_sql a, b;
	uint8_t *copy = malloc(n + sizeof(tail));

	CHECK(copy != NULL);
	memset(&a, 0xa5, sizeof(a));
	sl_sql_scan(sl_span(data, n), &a);
	check(sl_span(data, n), &a);
	check_uses(sl_span(data, n), &a);
	sl_sql_scan(sl_span(data, n), &b);
	same(&a, &b, a.nb_stmts);
	memcpy(copy, data, n);
	memcpy(copy + n, tail, sizeof(tail) - 1);
	sl_sql_scan(sl_span(copy, n + sizeof(tail) - 1), &b);
	/* As long as there is room for one more. */
	if (a.complete && !(a.kinds & SL_SQL_BIT(SL_SQL_OPAQUE)) && a.nb_stmts < SL_SQL_STMTS_MAX &&
	    a.nb_relations < SL_SQL_RELATIONS_MAX) {
		CHECK(b.stmts[b.nb_stmts - 1].kinds == SL_SQL_BIT(SL_SQL_DROP));
		CHECK(b.nb_stmts == (a.kinds == SL_SQL_BIT(SL_SQL_EMPTY) ? 1 : a.nb_stmts + 1));
		same(&a, &b, b.nb_stmts - 1);
	}
	free(copy);
	return 0;
}
