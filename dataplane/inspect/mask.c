/*
 * Masks: which columns of a result must be read, and what becomes of their values. A value that takes the
 * place of another must be valid for its type, or the client's driver breaks: text is masked as text,
 * everything else becomes NULL. What cannot be read although a mask may apply to it does not pass.
 *
 * A want number says by itself what is to be done, so that there is no table of plans that could be full or
 * out of date: bit 15 set; bits 14..9 the binding's generation; bits 8..0 the mask's index + 1, or 0 for the
 * content patterns.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "inspect_priv.h"
#include "sl_counter.h"
#include "sl_log.h"

#define WANT_SET       0x8000u
#define WANT_GEN_SHIFT 9
#define WANT_GEN       63u
#define WANT_MASK      0x1ffu

_Static_assert(SL_POLICY_MASKS_MAX < WANT_MASK, "a mask's index fits in a want number");

enum type_class {
	TYPE_UNKNOWN = 0,
	TYPE_TEXT,
	TYPE_CHAR, /* "char": one byte */
	TYPE_JSON,
	TYPE_JSONB,
	TYPE_INT,
	TYPE_FLOAT,
	TYPE_NUMERIC,
	TYPE_BYTEA,
	TYPE_PLAIN, /* its values cannot hold what a pattern looks for: dates, booleans ... */
};

/* PostgreSQL's pg_type.dat. */
static const struct {
	uint32_t oid;
	enum type_class class;
} types[] = {
        {25, TYPE_TEXT},    {1043, TYPE_TEXT},  {1042, TYPE_TEXT},  {19, TYPE_TEXT},    {705, TYPE_TEXT},
        {142, TYPE_TEXT},   {18, TYPE_CHAR},    {114, TYPE_JSON},   {3802, TYPE_JSONB}, {21, TYPE_INT},
        {23, TYPE_INT},     {20, TYPE_INT},     {700, TYPE_FLOAT},  {701, TYPE_FLOAT},  {1700, TYPE_NUMERIC},
        {17, TYPE_BYTEA},   {16, TYPE_PLAIN},   {1082, TYPE_PLAIN}, {1083, TYPE_PLAIN}, {1266, TYPE_PLAIN},
        {1114, TYPE_PLAIN}, {1184, TYPE_PLAIN}, {1186, TYPE_PLAIN}, {2950, TYPE_PLAIN}, {2278, TYPE_PLAIN},
};

static enum type_class class_of(const struct sl_column *c)
{
	if (c->type == 0 && c->format == 0)
		return TYPE_TEXT;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].oid == c->type)
			return types[i].class;
	return TYPE_UNKNOWN;
}

/* ---- which columns ---- */

static uint16_t plan(const struct sl_inspect *in, const struct binding *b, const struct sl_column *c)
{
	struct sl_eval_column ec = {.name = c->name};
	struct origin_names names;
	uint32_t want = WANT_SET | (uint32_t)b->gen << WANT_GEN_SHIFT;
	int32_t mask;

	if (!b->has_role) /* FIELD will refuse it */
		return (uint16_t)want;
	if (!b->p.any_mask && !b->p.any_content_mask)
		return 0;
	if (origins_find(in->origins, c->table, c->attr, &names)) {
		ec.schema = names.schema;
		ec.relation = names.relation;
		ec.column = names.column;
	}
	mask = sl_eval_column(b->slot->s, &b->p, &ec);
	if (mask >= 0)
		return (uint16_t)(want | ((uint32_t)mask + 1));
	return b->p.any_content_mask && class_of(c) != TYPE_PLAIN ? (uint16_t)want : 0;
}

/*
 * What the decoder asks before bytes that have no columns it could read (COPY TO, the result of a function
 * call): one nameless-typed column, which no real result has.
 */
static bool is_opaque(const struct sl_ev_rowmeta *m)
{
	return m->nb_columns == 1 && m->columns[0].type == 0 && m->columns[0].table == 0 &&
	       m->columns[0].attr == 0 && m->columns[0].format == 0;
}

/* The binding that masks the rows of a command; bound anew when it had been left behind. */
static int binding_for(struct sl_inspect *in, uint64_t cmd, const struct binding **out)
{
	int rc = SL_OK;

	*out = policy_for(in, cmd);
	if (!policy_usable(in, *out)) {
		rc = policy_bind(in);
		*out = &in->now;
	}
	return rc;
}

int mask_rowmeta(struct sl_inspect *in, const struct sl_event *ev, struct sl_verdict *v)
{
	const struct sl_ev_rowmeta *m = &ev->rowmeta;
	const struct binding *b;
	int rc = binding_for(in, ev->cmd, &b);

	if (rc != SL_OK)
		return rc;
	*v = (struct sl_verdict){.action = SL_ACT_ALLOW};
	if (is_opaque(m)) {
		bool any = !b->has_role || b->p.any_mask || b->p.any_content_mask;

		m->want[0] = any ? WANT_SET : 0;
		return SL_OK;
	}
	for (uint32_t i = 0; i < m->nb_columns; i++)
		m->want[i] = plan(in, b, &m->columns[i]);
	return SL_OK;
}

/* ---- values ---- */

enum outcome {
	OUT_PASS,
	OUT_TEXT, /* w->mask holds the new value */
	OUT_NULL,
	OUT_DENY,
};

struct masking {
	struct sl_inspect_worker *w;
	const struct binding *b;
	int32_t mask; /* -1: content */
	struct sl_span column;
	size_t n; /* of the new value */
};

static enum outcome run(struct masking *m, struct sl_span value)
{
	long n = sl_eval_mask(m->b->slot->s, &m->b->p, m->w->cfg.worker, m->mask, value, m->column,
	                      m->w->mask, sizeof(m->w->mask));

	if (n == -1)
		return m->mask < 0
		               ? OUT_PASS
		               : OUT_DENY; /* a column mask that leaves a value as it is would be a fault */
	if (n == -2)
		return OUT_NULL;
	if (n < 0 || (size_t)n > sizeof(m->w->mask))
		return OUT_DENY;
	m->n = (size_t)n;
	return OUT_TEXT;
}

/* Content in a type that cannot hold the replacement. */
static enum outcome run_null(struct masking *m, struct sl_span value)
{
	enum outcome out = run(m, value);

	return out == OUT_TEXT ? OUT_NULL : out;
}

static enum outcome column_value(struct masking *m, const struct sl_column *c, struct sl_span value)
{
	enum type_class class = class_of(c);

	if (m->b->slot->s->masks[m->mask].action == SL_MASK_NULL)
		return OUT_NULL;
	if (class == TYPE_TEXT || (class == TYPE_CHAR && c->format == 0))
		return run(m, value);
	return OUT_NULL;
}

static int64_t get_int(struct sl_span v)
{
	uint64_t u = 0;

	for (size_t i = 0; i < v.n; i++)
		u = u << 8 | v.p[i];
	if (v.n == 2)
		return (int16_t)u;
	return v.n == 4 ? (int32_t)u : (int64_t)u;
}

/* Binary numbers as the decimal digits a client would show. */
static enum outcome number_value(struct masking *m, enum type_class class, struct sl_span value)
{
	char text[64];
	double d = 0;
	float f;
	uint64_t bits;
	int n;

	if (class == TYPE_INT) {
		if (value.n != 2 && value.n != 4 && value.n != 8)
			return OUT_DENY;
		n = snprintf(text, sizeof(text), "%lld", (long long)get_int(value));
		return run_null(m, sl_span(text, (size_t)n));
	}
	if (value.n == 4) {
		uint32_t u = sl_get_be32(value.p);

		memcpy(&f, &u, sizeof(f));
		d = (double)f;
	} else if (value.n == 8) {
		bits = (uint64_t)sl_get_be32(value.p) << 32 | sl_get_be32(value.p + 4);
		memcpy(&d, &bits, sizeof(d));
	} else {
		return OUT_DENY;
	}
	/* Whole numbers keep their digits up to 2^63; the rest has too few to be looked for. */
	if (!isfinite(d) || fabs(d) >= 9.2e18)
		return OUT_PASS;
	n = snprintf(text, sizeof(text), "%lld", (long long)d);
	return run_null(m, sl_span(text, (size_t)n));
}

static int nibble(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* bytea in text format: \x and hex digits (bytea_output hex), else its own escapes, which keep ASCII
 * readable. */
static enum outcome bytea_text(struct masking *m, struct sl_span value)
{
	size_t n = 0;

	if (value.n < 2 || value.p[0] != '\\' || value.p[1] != 'x')
		return run_null(m, value);
	if (value.n % 2 != 0 || (value.n - 2) / 2 > sizeof(m->w->value))
		return OUT_DENY;
	for (size_t i = 2; i < value.n; i += 2) {
		int hi = nibble(value.p[i]), lo = nibble(value.p[i + 1]);

		if (hi < 0 || lo < 0)
			return OUT_DENY;
		m->w->value[n++] = (uint8_t)(hi << 4 | lo);
	}
	return run_null(m, sl_span(m->w->value, n));
}

static enum outcome content_text(struct masking *m, enum type_class class, struct sl_span value)
{
	switch (class) {
	case TYPE_TEXT:
	case TYPE_CHAR:
		return run(m, value);
	case TYPE_BYTEA:
		return bytea_text(m, value);
	case TYPE_PLAIN:
		return OUT_PASS;
	default: /* numbers, JSON, arrays, records, types of extensions: their text can be read, but not
	            written */
		return run_null(m, value);
	}
}

static enum outcome content_binary(struct masking *m, enum type_class class, struct sl_span value)
{
	switch (class) {
	case TYPE_TEXT:
		return run(m, value);
	case TYPE_CHAR:
	case TYPE_JSON:
	case TYPE_BYTEA:
		return run_null(m, value);
	case TYPE_JSONB: /* a version, then text */
		return value.n > 0 && value.p[0] == 1 ? run_null(m, sl_span_sub(value, 1, value.n))
		                                      : OUT_DENY;
	case TYPE_INT:
	case TYPE_FLOAT:
		return number_value(m, class, value);
	case TYPE_PLAIN:
		return OUT_PASS;
	default:
		return OUT_DENY;
	}
}

static enum outcome mask_value(struct masking *m, const struct sl_column *c, struct sl_span value)
{
	if (c->format > 1)
		return OUT_DENY;
	if (m->mask >= 0)
		return column_value(m, c, value);
	return c->format == 0 ? content_text(m, class_of(c), value) : content_binary(m, class_of(c), value);
}

/* The value does not pass. It has a record of its own, because it ends a reply that was allowed. */
static int unreadable(struct sl_inspect *in, const struct sl_column *c, struct sl_verdict *v)
{
	char name[80], text[192];
	int n, rc;

	n = snprintf(text, sizeof(text), "column %s (type %u, %s format) cannot be masked",
	             sl_log_quote(c->name, name, sizeof(name)), c->type, c->format == 0 ? "text" : "binary");
	(void)record_event_id(in);
	rc = record_note(in, SL_SPAN_LIT("unreadable"), sl_span(text, (size_t)n));
	if (rc != SL_OK)
		return rc;
	deny(in, v, SL_RSN_UNREADABLE, SL_E_POLICY_DENIED, text);
	v->reason.event_id = sl_span_str(in->event_id);
	return SL_OK;
}

int mask_field(struct sl_inspect *in, const struct sl_event *ev, struct sl_verdict *v)
{
	const struct sl_ev_field *f = &ev->field;
	uint16_t want = f->want;
	struct masking m = {.w = in->w, .column = f->column.name};
	enum outcome out = OUT_DENY;
	int rc;

	*v = (struct sl_verdict){.action = SL_ACT_ALLOW};
	m.b = policy_gen(in, want >> WANT_GEN_SHIFT & WANT_GEN);
	if (m.b == NULL) { /* the policy that planned this column has gone: ask the one there is */
		rc = binding_for(in, ev->cmd, &m.b);
		if (rc != SL_OK)
			return rc;
		want = plan(in, m.b, &f->column);
	}
	if (want == 0)
		return SL_OK;
	m.mask = (int32_t)(want & WANT_MASK) - 1;
	if ((want & WANT_SET) != 0 && m.b->has_role && m.mask < (int32_t)m.b->slot->s->nb_masks)
		out = mask_value(&m, &f->column, f->value);
	if (out == OUT_DENY)
		return unreadable(in, &f->column, v);
	if (out == OUT_PASS)
		return SL_OK;
	sl_count(SL_C_FIELDS_MASKED);
	v->action = SL_ACT_REPLACE;
	v->replace = out == OUT_TEXT ? sl_span(in->w->mask, m.n) : SL_SPAN_EMPTY;
	return SL_OK;
}

/* ---- origins ---- */

/* Best effort: the flow ends with the error in any case. */
static int limit(struct sl_inspect *in, const char *what)
{
	(void)record_note(in, SL_SPAN_LIT("limit"), sl_span_str(what));
	return sl_fail(SL_E_LIMIT);
}

int mask_session(struct sl_inspect *in, struct sl_verdict *v)
{
	struct sl_span query;
	int rc = policy_bind(in);

	if (rc != SL_OK)
		return rc;
	if (!in->now.has_role)
		return sl_fail(SL_E_POLICY_DENIED);
	if (policy_query(in, &query, in->query_hash) != SL_OK)
		return limit(in, "the masks name more columns than one catalog query can ask for");
	if (query.n > 0 && in->origins == NULL)
		in->origins = origins_get(in->w, in->resource, in->database, in->query_hash);
	if (query.n > 0 && in->origins == NULL)
		return limit(in, "no table left for the origins of masked columns");
	in->session_up = true;
	*v = (struct sl_verdict){.action = SL_ACT_ALLOW};
	v->origin_query = query;
	return SL_OK;
}

int mask_origin(struct sl_inspect *in, const struct sl_event *ev)
{
	int rc;

	if (in->origins == NULL)
		return sl_fail(SL_E_PROTO_STATE);
	rc = origins_add(in->origins, &ev->origin);
	return rc == SL_E_LIMIT
	               ? limit(in, "more columns in the database match the masks than origins are kept for")
	               : rc;
}
