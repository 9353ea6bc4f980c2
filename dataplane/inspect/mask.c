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

/* The caller's first mask among them, -1 none. */
static int32_t first_of(const struct sl_principal *p, const struct sl_masks *a, const struct sl_masks *b)
{
	for (uint32_t i = 0; i < SL_CATALOG_MASK_WORDS; i++) {
		uint64_t w = p->mask_bits[i] & (a->w[i] | b->w[i]);

		if (w != 0)
			return (int32_t)(i * 64) + __builtin_ctzll(w);
	}
	return -1;
}

/* Of a relation that was made past the gateway, or in a transaction that goes on: it can hold anything. */
static bool is_new(const struct binding *b, const struct sl_column *c)
{
	return b->catalog != NULL && c->table != 0 && !sl_catalog_knows(b->catalog, c->table);
}

/* By where it comes from and by its name in the reply; what comes of no table can be of any. */
static int32_t column_mask(const struct binding *b, const struct sl_column *c)
{
	static const struct sl_eval_column elsewhere = {
	        .schema = {(const uint8_t *)"?", 1},
	        .relation = {(const uint8_t *)"?", 1},
	        .column = {(const uint8_t *)"?", 1},
	};
	struct sl_eval_column ec = c->table != 0 ? elsewhere : (struct sl_eval_column){.name = c->name};
	const struct sl_catalog_column *k = sl_catalog_column(b->catalog, c->table, c->attr);
	const struct sl_masks any = {{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
	int32_t by_name, by_origin;

	_Static_assert(SL_CATALOG_MASK_WORDS == 4, "all masks are in `any`");

	ec.name = c->name;
	by_name = sl_eval_column(b->slot->s, &b->p, &ec);
	by_origin = k != NULL ? first_of(&b->p, &k->hidden, &k->derived) : -1;
	if (is_new(b, c))
		by_origin = first_of(&b->p, &any, &any);
	if (by_name < 0 || by_origin < 0)
		return by_name > by_origin ? by_name : by_origin;
	return by_name < by_origin ? by_name : by_origin;
}

static uint16_t plan(const struct binding *b, const struct sl_column *c)
{
	uint32_t want = WANT_SET | (uint32_t)b->gen << WANT_GEN_SHIFT;
	int32_t mask;

	if (!b->has_role) /* FIELD will refuse it */
		return (uint16_t)want;
	if (!b->p.any_mask && !b->p.any_content_mask)
		return 0;
	mask = column_mask(b, c);
	if (mask >= 0)
		return (uint16_t)(want | ((uint32_t)mask + 1));
	return b->p.any_content_mask && sl_mask_content_type(b->catalog, c->type, c->format) ? (uint16_t)want
	                                                                                     : 0;
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

/* The same, for what cannot be masked without the target's catalog. */
static int seeing_binding(struct sl_inspect *in, uint64_t cmd, const struct binding **out)
{
	int rc = mask_binding(in, cmd, out);

	return rc == SL_OK && policy_blind(*out) ? sl_fail(SL_E_POLICY_CHANGED) : rc;
}

int mask_rowmeta(struct sl_inspect *in, const struct sl_event *ev, struct sl_verdict *v)
{
	const struct sl_ev_rowmeta *m = &ev->rowmeta;
	const struct binding *b;
	int rc = seeing_binding(in, ev->cmd, &b);
	bool fresh = false;

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
	for (uint32_t i = 0; i < m->nb_columns; i++) {
		m->want[i] = plan(b, &m->columns[i]);
		fresh |= is_new(b, &m->columns[i]);
	}
	if (fresh) /* so that the next statement knows it */
		sl_catalog_changed(in->resource);
	return SL_OK;
}

/* ---- values ---- */

/* Computed from what the mask hides, and not hidden by it itself. */
static bool is_derived(const struct binding *b, int32_t mask, const struct sl_column *c)
{
	const struct sl_catalog_column *k =
	        mask < 0 ? NULL : sl_catalog_column(b->catalog, c->table, c->attr);

	if (mask >= 0 && is_new(b, c))
		return true;
	return k != NULL && ((k->derived.w[mask / 64] & ~k->hidden.w[mask / 64]) >> (mask % 64) & 1) != 0;
}

static enum sl_masked mask_value(struct sl_inspect *in, const struct binding *b, int32_t mask,
                                 const struct sl_ev_field *f, size_t *n)
{
	struct sl_inspect_worker *w = in->w;
	const struct sl_masker m = {
	        .snapshot = b->slot->s,
	        .who = &b->p,
	        .catalog = b->catalog,
	        .worker = w->cfg.worker,
	        .scratch = w->value,
	        .scratch_n = sizeof(w->value),
	};
	const struct sl_mask_value v = {
	        .mask = mask,
	        .derived = is_derived(b, mask, &f->column),
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
		rc = seeing_binding(in, ev->cmd, &b);
		if (rc != SL_OK)
			return rc;
		want = plan(b, &f->column);
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

/* ---- the session ---- */

int mask_session(struct sl_inspect *in, struct sl_verdict *v)
{
	int rc = policy_bind(in);

	if (rc != SL_OK)
		return rc;
	if (!in->now.has_role)
		return sl_fail(SL_E_POLICY_DENIED);
	*v = (struct sl_verdict){.action = SL_ACT_ALLOW};
	return SL_OK;
}
