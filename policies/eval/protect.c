/* What masks of columns mean for a statement. */
#include <string.h>

#include "taint_priv.h"

#define NONE   ((struct sl_masks){{0}})
#define BIT(k) SL_SQL_BIT(SL_SQL_##k)

/* For the caller. */
#define MSG_OPAQUE  "the statement cannot be followed to what masks hide"
#define MSG_CATALOG "what masks hide in this database is not known yet"
#define MSG_READS   "the function could read what masks hide"
#define MSG_COPIES  "the statement would copy what masks hide"
#define MSG_ACTS    "the statement would tell what masks hide by what it does"
#define MSG_INFER   "what masks hide would decide the result"
#define MSG_DERIVED "the result would be computed from what masks hide"
#define MSG_DEFINES "the definition of what masks hide cannot be changed under the mask"
#define MSG_HELD    "a cursor WITH HOLD could outlive what masks know its columns by"
#define MSG_COPY    "COPY of what masks hide needs a list of columns"

struct judge {
	struct taint t;
	struct sl_protect *out;
	uint64_t acts[SL_SQL_STMTS_MAX / 64]; /* statements that call what acts */
};

static int32_t first_mask(const struct sl_masks *m)
{
	for (int32_t w = 0; w < SL_CATALOG_MASK_WORDS; w++) {
		if (m->w[w] != 0)
			return w * 64 + __builtin_ctzll(m->w[w]);
	}
	return -1;
}

static void decide(struct sl_protect *out, enum sl_decision_kind kind, int32_t mask, const char *message)
{
	if (out->decision == SL_DEC_DENY || (out->decision == SL_DEC_HOLD && kind == SL_DEC_HOLD))
		return;
	out->decision = kind;
	out->mask = mask;
	out->message = message;
}

static void deny(struct sl_protect *out, const struct sl_masks *m, const char *message)
{
	decide(out, SL_DEC_DENY, first_mask(m), message);
}

/* ---- statements that are refused whatever they name ---- */

static bool begins_with(const struct sl_sql_stmt *s, const char *word)
{
	size_t n = strlen(word);

	for (size_t i = 0; i < n; i++) {
		if (i >= s->text.n || (s->text.p[i] | 0x20) != (uint8_t)word[i])
			return false;
	}
	return true;
}

/* EXECUTE runs what was judged when it was prepared. */
static bool is_execute(const struct sl_sql_stmt *s)
{
	return s->main == SL_SQL_EXECUTE && (s->kinds & ~(BIT(EXECUTE) | BIT(OPAQUE) | BIT(ADMIN))) == 0;
}

static void judge_kind(const struct sl_sql *sql, uint32_t i, struct sl_protect *out)
{
	const struct sl_sql_stmt *s = &sql->stmts[i];
	const struct sl_masks none = NONE;

	if ((s->kinds & BIT(OPAQUE)) && !is_execute(s))
		deny(out, &none, MSG_OPAQUE);
	else if ((s->kinds & (BIT(COPY_SERVER) | BIT(FUNCTION_CALL))) ||
	         (s->main == SL_SQL_CREATE && begins_with(s, "import")))
		deny(out, &none, MSG_OPAQUE);
	if (s->main == SL_SQL_EXECUTE || (s->main == SL_SQL_CURSOR && !begins_with(s, "declare")))
		out->marks |= SL_PROTECT_GOES_ON;
}

static void judge_function(struct judge *j, const struct sl_sql_function *f)
{
	const struct sl_masks none = NONE;

	/* Also when the database has one of the same name: either can be meant. */
	switch (sl_sql_builtin(f->name.name)) {
	case SL_SQL_FN_READS:
		deny(j->out, &none, MSG_READS);
		break;
	case SL_SQL_FN_ACTS:
		j->acts[f->stmt / 64] |= UINT64_C(1) << f->stmt % 64;
		break;
	default:
		break;
	}
}

static void judge_definition(struct judge *j, const struct sl_sql_relation *r, const struct sl_masks *any)
{
	const struct sl_sql_stmt *s = &j->t.sql->stmts[r->stmt];

	if (!masks_any(any))
		return;
	if (r->access & SL_SQL_WRITES)
		j->out->marks |= SL_PROTECT_QUIET;
	if (((s->kinds & (BIT(CREATE) | BIT(ALTER))) && (r->access & SL_SQL_DEFINES)) ||
	    (s->main == SL_SQL_MAINTAIN && begins_with(s, "cluster")))
		deny(j->out, any, MSG_DEFINES);
}

/* ---- uses ---- */

static void judge_inference(struct judge *j, const struct sl_masks *m)
{
	for (uint32_t i = 0; i < j->t.s->nb_masks; i++) {
		if (!masks_has(m, i))
			continue;
		if (j->t.s->masks[i].inference == SL_INFERENCE_DENY)
			decide(j->out, SL_DEC_DENY, (int32_t)i, MSG_INFER);
		else if (j->t.s->masks[i].inference == SL_INFERENCE_HOLD)
			decide(j->out, SL_DEC_HOLD, (int32_t)i, MSG_INFER);
	}
}

static void judge_derived(struct judge *j, const struct sl_masks *m, bool masks)
{
	for (uint32_t i = 0; i < j->t.s->nb_masks; i++) {
		if (!masks_has(m, i))
			continue;
		if (j->t.s->masks[i].derived == SL_DERIVED_DENY)
			decide(j->out, SL_DEC_DENY, (int32_t)i, MSG_DERIVED);
		if (!masks || j->t.s->masks[i].derived != SL_DERIVED_MASK)
			continue;
		if (!(j->out->marks & SL_PROTECT_DERIVED) || (int32_t)i < j->out->derived_mask)
			j->out->derived_mask = (int32_t)i;
		j->out->marks |= SL_PROTECT_DERIVED;
	}
}

static void judge_call(struct judge *j, const struct sl_masks *m)
{
	j->out->marks |= SL_PROTECT_CALLS;
	for (int32_t i = (int32_t)j->t.s->nb_masks - 1; i >= 0; i--) {
		if (masks_has(m, (uint32_t)i) && j->t.s->masks[i].derived != SL_DERIVED_ALLOW &&
		    (j->out->calls_mask < 0 || i < j->out->calls_mask))
			j->out->calls_mask = i;
	}
}

/* What the reply of the statement tells besides its rows: a plan. */
static bool tells_plan(const struct sl_sql_stmt *s)
{
	return (s->kinds & BIT(EXPLAIN)) != 0;
}

static void judge_use(struct judge *j, uint32_t i)
{
	const struct sl_sql_use *use = &j->t.uses->uses[i];
	const struct sl_sql_stmt *s = &j->t.sql->stmts[use->stmt];
	bool whole = false, plain;
	struct sl_masks m = taint_use(&j->t, i, &whole);

	if (!masks_any(&m))
		return;
	if (use->kind == SL_SQL_USE_CALL)
		judge_call(j, &m);
	plain = use->place == SL_SQL_OUTPUT && !whole && use->kind != SL_SQL_USE_SETOP;
	j->out->marks |= SL_PROTECT_QUIET;
	if (use->flow == SL_SQL_TO_WRITE ||
	    (use->flow == SL_SQL_TO_REPLY && (s->kinds & (BIT(CREATE) | BIT(ALTER)))))
		deny(j->out, &m, MSG_COPIES);
	if (!plain && (j->acts[use->stmt / 64] >> use->stmt % 64 & 1))
		deny(j->out, &m, MSG_ACTS);
	if (use->place == SL_SQL_USED || (use->from_call && use->kind != SL_SQL_USE_CALL))
		judge_inference(j, &m);
	if (!plain && (use->flow == SL_SQL_TO_REPLY || tells_plan(s)))
		judge_derived(j, &m, true);
}

/*
 * Comparisons that extensions define for their own types under PostgreSQL's names. They are taken for
 * PostgreSQL's: with citext installed every "=" could be another.
 */
static bool is_comparison(struct sl_span op)
{
	static const char *const names[] = {
	        "=",  "<>",  "!=",  "<",    ">",  "<=", ">=", "~~", "!~~", "~", "!~",
	        "~*", "!~*", "~~*", "!~~*", "||", "+",  "-",  "*",  "/",   "%"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (sl_span_is(op, names[i]))
			return true;
	}
	return false;
}

static void judge_operators(struct judge *j)
{
	const struct sl_sql_uses *u = j->t.uses;

	for (uint32_t i = 0; i < u->nb_operators; i++) {
		struct sl_span op = u->operators[i];
		bool own = false;

		/* The server may read a run of characters as several. */
		for (size_t from = 0; from < op.n && !own; from++)
			for (size_t n = 1; from + n <= op.n && !own; n++)
				own = !is_comparison(sl_span(op.p + from, n)) &&
				      sl_catalog_operator(j->t.c, sl_span(op.p + from, n));
		if (!own)
			continue;
		j->out->marks |= SL_PROTECT_QUIET;
		judge_inference(j, &j->t.columns);
		judge_derived(j, &j->t.columns, true);
	}
}

/* ---- COPY ---- */

static void copy_column(struct judge *j, struct sl_protect_copy col)
{
	static const struct sl_masks none;

	if (j->out->nb_copy == SL_PROTECT_COPY_MAX) {
		deny(j->out, &none, MSG_COPY);
		return;
	}
	j->out->copy[j->out->nb_copy++] = col;
}

/* The masks of the column in the relation's rows, and whether all of it was found in one place. */
static struct sl_protect_copy of_column(const struct taint *t, const struct sl_catalog_column *c)
{
	struct sl_masks hidden = masks_both(&c->hidden, &t->columns), any = taint_column(t, c);
	struct sl_protect_copy col = {.mask = first_mask(&hidden), .type = c->type};

	if (col.mask < 0 && masks_any(&any)) {
		col.mask = first_mask(&any);
		col.derived = true;
	}
	return col;
}

/* "*" over one relation of the catalog. False when it is not that. */
static bool copy_star(struct judge *j, const struct sl_sql_item *item)
{
	const struct sl_sql_uses *u = j->t.uses;
	const struct sl_catalog_relation *rel = NULL;

	for (uint32_t i = 0; i < u->nb_rows; i++) {
		const struct taint_relation *r;

		if (u->rows[i].query != item->query || u->rows[i].stmt != item->stmt)
			continue;
		if (rel != NULL || u->rows[i].relation < 0)
			return false;
		r = &j->t.relations[u->rows[i].relation];
		if (r->nb != 1)
			return false;
		rel = j->t.hidden[r->first];
	}
	if (rel == NULL)
		return false;
	for (uint32_t i = 0; i < rel->nb_columns; i++) {
		if (!item->table || !rel->columns[i].generated)
			copy_column(j, of_column(&j->t, &rel->columns[i]));
	}
	return true;
}

/* Of the only name in the item. */
static uint32_t name_of_item(const struct judge *j, uint32_t item)
{
	for (uint32_t k = 0; k < j->t.uses->nb_uses; k++) {
		if (j->t.uses->uses[k].item == (int32_t)item && j->t.uses->uses[k].kind == SL_SQL_USE_NAME)
			return j->t.uses->uses[k].hash;
	}
	return 0;
}

/* A name of an item: a column of one relation of the catalog, or hidden in a way that is not so plain. */
static struct sl_protect_copy copy_name(struct judge *j, const struct sl_sql_item *item, uint32_t index)
{
	struct sl_protect_copy col = {.mask = first_mask(&j->t.items[index]), .derived = true};

	if (col.mask < 0) {
		col.derived = false;
		return col;
	}
	/* A name that was given to something else is masked whole. */
	for (uint32_t i = 0; item->plain && j->t.nb_hidden == 1 && j->t.uses->nb_queries == 1 &&
	                     i < j->t.hidden[0]->nb_columns;
	     i++) {
		const struct sl_catalog_column *c = &j->t.hidden[0]->columns[i];
		struct sl_protect_copy own = of_column(&j->t, c);

		if (own.mask >= 0 && name_of_item(j, index) == sl_sql_folded_hash(c->name))
			return own;
	}
	return col;
}

static void plan_copy(struct judge *j, uint32_t stmt)
{
	const struct sl_sql_uses *u = j->t.uses;
	bool hidden = false, setop = false;

	for (uint32_t i = 0; i < u->nb_items; i++)
		hidden |= u->items[i].stmt == stmt && masks_any(&j->t.items[i]);
	for (uint32_t i = 0; i < u->nb_uses; i++)
		setop |= u->uses[i].stmt == stmt && u->uses[i].kind == SL_SQL_USE_SETOP;
	if (!hidden)
		return;
	j->out->marks |= SL_PROTECT_COPY;
	for (uint32_t i = 0; i < u->nb_items; i++) {
		const struct sl_sql_item *item = &u->items[i];

		if (item->stmt != stmt || !item->outermost)
			continue;
		if (setop || (item->star && !copy_star(j, item))) {
			deny(j->out, &j->t.items[i], MSG_COPY);
			return;
		}
		if (!item->star)
			copy_column(j, copy_name(j, item, i));
	}
}

/* ---- all of it ---- */

/* Statements that read no table and call nothing. */
#define KINDS_IDLE (BIT(EMPTY) | BIT(TRANSACTION) | BIT(SET) | BIT(SHOW))
/* Those whose names are all in struct sl_sql, when nothing but what is built in has a name. */
#define KINDS_PLAIN                                                                                          \
	(KINDS_IDLE | BIT(SELECT) | BIT(INSERT) | BIT(UPDATE) | BIT(DELETE) | BIT(MERGE) | BIT(EXPLAIN) |    \
	 BIT(COPY_TO) | BIT(COPY_FROM) | BIT(TRUNCATE) | BIT(DROP) | BIT(LOCK) | BIT(LISTEN))

bool sl_protect_needed(const struct sl_snapshot *s, const struct sl_principal *p, const struct sl_catalog *c,
                       const struct sl_protect_made *made, const struct sl_sql *sql)
{
	struct sl_masks columns;

	if (!p->any_column_mask)
		return false;
	columns = taint_columns(s, p);
	if (!masks_any(&columns))
		return false;
	if (sql->complete && (sql->kinds & ~KINDS_IDLE) == 0 && sql->nb_functions == 0)
		return false;
	/* Operators and functional notation are found by the uses alone. */
	if (c == NULL || !sql->complete || (sql->kinds & ~KINDS_PLAIN) != 0 || sl_catalog_has_code(c))
		return true;
	for (uint32_t i = 0; i < sql->nb_relations; i++) {
		char schema[SL_SQL_NAME_MAX], name[SL_SQL_NAME_MAX];
		struct sl_span sc = sl_span(schema, sl_sql_name_fold(sql->relations[i].name.schema, schema));
		struct sl_span n = sl_span(name, sl_sql_name_fold(sql->relations[i].name.name, name));
		uint32_t at = 0;

		if (sl_catalog_find(c, sc, n, &at) != NULL || protect_is_unknown(c, made, sql, i))
			return true;
	}
	for (uint32_t i = 0; i < sql->nb_functions; i++) {
		enum sl_sql_builtin f = taint_builtin(c, &sql->functions[i].name);

		if (f == SL_SQL_FN_UNKNOWN || f == SL_SQL_FN_READS)
			return true;
	}
	return false;
}

static bool needs_catalog(const struct sl_sql *sql)
{
	if (sql->nb_relations > 0)
		return true;
	for (uint32_t i = 0; i < sql->nb_functions; i++) {
		if (taint_builtin(NULL, &sql->functions[i].name) == SL_SQL_FN_UNKNOWN)
			return true;
	}
	return false;
}

static void judge_string(struct judge *j)
{
	const struct sl_sql *sql = j->t.sql;

	for (uint32_t i = 0; i < sql->nb_functions; i++)
		judge_function(j, &sql->functions[i]);
	for (uint32_t i = 0; i < sql->nb_relations; i++)
		judge_definition(j, &sql->relations[i], &j->t.relations[i].any);
	for (uint32_t i = 0; i < sql->nb_stmts; i++) {
		if (j->t.uses->far[i])
			deny(j->out, &j->t.columns, MSG_DEFINES);
	}
	for (uint32_t i = 0; i < j->t.uses->nb_uses && j->t.work < TAINT_WORK_MAX; i++)
		judge_use(j, i);
	j->t.failed |= j->t.work >= TAINT_WORK_MAX;
	judge_operators(j);
	judge_derived(j, &j->t.derived, false);
	for (uint32_t i = 0; i < sql->nb_stmts; i++) {
		if (sql->stmts[i].kinds & BIT(COPY_TO))
			plan_copy(j, i);
		if (sql->stmts[i].held && (j->out->marks & (SL_PROTECT_DERIVED | SL_PROTECT_QUIET)) != 0)
			deny(j->out, &j->t.columns, MSG_HELD);
	}
	if ((sql->kinds & (BIT(PREPARE) | BIT(CURSOR))) != 0 &&
	    (j->out->marks & (SL_PROTECT_DERIVED | SL_PROTECT_QUIET)) != 0)
		j->out->marks |= SL_PROTECT_MAKES;
}

void sl_protect_statement(const struct sl_snapshot *s, const struct sl_principal *p,
                          const struct sl_catalog *c, const struct sl_protect_made *made, struct sl_span text,
                          const struct sl_sql *sql, const struct sl_sql_uses *uses, struct sl_protect *out)
{
	const struct sl_masks columns = taint_columns(s, p);
	struct judge j;

	(void)text;
	out->decision = SL_DEC_ALLOW;
	out->mask = out->derived_mask = out->calls_mask = -1;
	out->message = "";
	out->marks = out->nb_copy = 0;
	if (!masks_any(&columns))
		return;
	for (uint32_t i = 0; i < sql->nb_stmts; i++)
		judge_kind(sql, i, out);
	if (!sql->complete || !uses->complete)
		deny(out, &columns, MSG_OPAQUE);
	if (c == NULL && needs_catalog(sql))
		deny(out, &columns, MSG_CATALOG);
	if (out->decision == SL_DEC_DENY || c == NULL)
		return;
	j.out = out;
	memset(j.acts, 0, sizeof(j.acts));
	j.t.made = made;
	taint_run(&j.t, s, p, c, sql, uses);
	if (!j.t.failed)
		judge_string(&j);
	if (j.t.failed)
		deny(out, &columns, MSG_OPAQUE);
}
