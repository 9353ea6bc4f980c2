/*
 * Masks: which columns of a result must be read; what becomes of their values is the policy's (sl_mask.h).
 * What cannot be read although a mask may apply to it does not pass.
 *
 * A want number says by itself what is to be done, so that there is no table of plans that could be full or
 * out of date: bit 15 set; bits 14..9 the binding's generation; bits 8..0 the mask's index + 1, or 0 for the
 * content patterns.
 */
#include <stdio.h>
#include <string.h>

#include "inspect_priv.h"
#include "sl_counter.h"
#include "sl_log.h"
#include "sl_mask.h"

#define WANT_SET       0x8000u
#define WANT_GEN_SHIFT 9
#define WANT_GEN       63u
#define WANT_MASK      0x1ffu

_Static_assert(SL_POLICY_MASKS_MAX < WANT_MASK, "a mask's index fits in a want number");

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
	return b->p.any_content_mask && sl_mask_content_type(NULL, c->type, c->format) ? (uint16_t)want : 0;
}

/*
 * What the decoder asks before bytes that have no columns it could read (the result of a function
 * call): one nameless-typed column, which no real result has.
 */
static bool is_opaque(const struct sl_ev_rowmeta *m)
{
	return m->nb_columns == 1 && m->columns[0].type == 0 && m->columns[0].table == 0 &&
	       m->columns[0].attr == 0 && m->columns[0].format == 0;
}

int mask_binding(struct sl_inspect *in, uint64_t cmd, const struct binding **out)
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
	int rc = mask_binding(in, ev->cmd, &b);

	if (rc != SL_OK)
		return rc;
	*v = (struct sl_verdict){.action = SL_ACT_ALLOW};
	if (m->copy != NULL && (!b->has_role || b->p.any_mask || b->p.any_content_mask)) {
		deny(in, v, SL_RSN_UNREADABLE, SL_E_POLICY_DENIED,
		     "COPY of a relation with masked columns is not allowed");
		return SL_OK;
	}
	if (m->copy != NULL)
		return SL_OK;
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

static enum sl_masked mask_value(struct sl_inspect *in, const struct binding *b, int32_t mask,
                                 const struct sl_ev_field *f, size_t *n)
{
	struct sl_inspect_worker *w = in->w;
	const struct sl_masker m = {
	        .snapshot = b->slot->s,
	        .who = &b->p,
	        .worker = w->cfg.worker,
	        .scratch = w->value,
	        .scratch_n = sizeof(w->value),
	};
	const struct sl_mask_value v = {
	        .mask = mask,
	        .format = f->column.format > 1 ? UINT8_MAX : (uint8_t)f->column.format,
	        .type = f->column.type,
	        .column = f->column.name,
	        .value = f->value,
	};

	return sl_mask(&m, &v, w->mask, sizeof(w->mask), n);
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
	const struct binding *b;
	enum sl_masked out = SL_MASKED_REFUSE;
	size_t n = 0;
	int32_t mask;
	int rc;

	*v = (struct sl_verdict){.action = SL_ACT_ALLOW};
	b = policy_gen(in, want >> WANT_GEN_SHIFT & WANT_GEN);
	if (b == NULL) { /* the policy that planned this column has gone: ask the one there is */
		rc = mask_binding(in, ev->cmd, &b);
		if (rc != SL_OK)
			return rc;
		want = plan(in, b, &f->column);
	}
	if (want == 0)
		return SL_OK;
	mask = (int32_t)(want & WANT_MASK) - 1;
	if ((want & WANT_SET) != 0 && b->has_role)
		out = mask_value(in, b, mask, f, &n);
	if (out == SL_MASKED_REFUSE)
		return unreadable(in, &f->column, v);
	if (out == SL_MASKED_PASS)
		return SL_OK;
	sl_count(SL_C_FIELDS_MASKED);
	v->action = SL_ACT_REPLACE;
	v->replace = out == SL_MASKED_NEW ? sl_span(in->w->mask, n) : SL_SPAN_EMPTY;
	return SL_OK;
}

bool mask_finds(struct sl_inspect *in, const struct binding *b, struct sl_span text)
{
	const struct sl_ev_field f = {.column.type = 25, .value = text};
	size_t n = 0;

	return mask_value(in, b, SL_MASK_CONTENT, &f, &n) != SL_MASKED_PASS;
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
