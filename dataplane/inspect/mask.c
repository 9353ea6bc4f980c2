/*
 * Masks: which columns of a result must be read; what becomes of their values is the policy's (sl_mask.h).
 * What cannot be read although a mask may apply to it does not pass.
 *
 * A want number says by itself what is to be done, so that there is no table of plans that could be full or
 * out of date: bit 15 set; bits 14..10 the binding's generation; bit 9: all of the value goes, because it is
 * derived from what the mask hides; bit 8: what the content patterns find; bits 7..0 the mask's index. Bits 9
 * and 8 together: it is refused. With bit 8 alone, bit 0 says that the value is looked through as it lies.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "inspect_priv.h"
#include "sl_counter.h"
#include "sl_log.h"
#include "sl_mask.h"

#define WANT_SET       0x8000u
#define WANT_GEN_SHIFT 10
#define WANT_DERIVED   0x200u
#define WANT_CONTENT   0x100u
#define WANT_REFUSE    (WANT_DERIVED | WANT_CONTENT)
#define WANT_MASK      0xffu
#define WANT_PLAIN     1u

_Static_assert(SL_POLICY_MASKS_MAX <= WANT_MASK + 1, "a mask's index fits in a want number");

/* ---- which columns ---- */

static uint16_t want_of(const struct binding *b, uint32_t bits)
{
	return (uint16_t)(WANT_SET | (uint32_t)(b->gen & POLICY_GEN) << WANT_GEN_SHIFT | bits);
}

/* All of the value goes, by this mask; -1: by none that is known. */
static uint16_t want_whole(const struct binding *b, int32_t mask)
{
	return want_of(b, mask >= 0 ? WANT_DERIVED | (uint32_t)mask : WANT_REFUSE);
}

static uint16_t want_content(const struct binding *b, const struct sl_column *c)
{
	if (!b->p.any_content_mask || !sl_mask_content_type(b->catalog, c->type, c->format))
		return 0;
	return want_of(b,
	               WANT_CONTENT | (sl_mask_plain_type(b->catalog, c->type, c->format) ? WANT_PLAIN : 0));
}

/* The caller's first mask among them, -1 none. */
static int32_t first_of(const struct binding *b, const struct sl_masks *m)
{
	for (uint32_t i = 0; i < SL_CATALOG_MASK_WORDS; i++) {
		uint64_t w = b->p.mask_bits[i] & m->w[i];

		if (w != 0)
			return (int32_t)(i * 64) + __builtin_ctzll(w);
	}
	return -1;
}

/* What an expression of a view makes of hidden columns: as the masks say that it is derived from. */
static uint16_t want_derived(const struct binding *b, const struct sl_masks *m)
{
	const struct sl_snapshot *s = b->slot->s;
	uint16_t want = 0;

	for (uint32_t i = 0; i < s->nb_masks; i++) {
		if ((m->w[i / 64] & b->p.mask_bits[i / 64] & UINT64_C(1) << i % 64) == 0)
			continue;
		if (s->masks[i].derived == SL_DERIVED_DENY)
			return want_of(b, WANT_REFUSE);
		if (s->masks[i].derived == SL_DERIVED_MASK && want == 0)
			want = want_whole(b, (int32_t)i);
	}
	return want;
}

/* By its name in the reply alone: what a mask names with its table is found by its number. */
static int32_t by_name(const struct binding *b, const struct sl_column *c)
{
	static const struct sl_eval_column elsewhere = {
	        .schema = {(const uint8_t *)"?", 1},
	        .relation = {(const uint8_t *)"?", 1},
	        .column = {(const uint8_t *)"?", 1},
	};
	struct sl_eval_column ec = c->table != 0 ? elsewhere : (struct sl_eval_column){.name = c->name};

	ec.name = c->name;
	return sl_eval_column(b->slot->s, &b->p, &ec);
}

/* A row as one value: of a table, where the server says of which. */
static uint16_t plan_row(const struct binding *b, const struct sl_column *c)
{
	const struct sl_catalog_relation *r = sl_catalog_relation(b->catalog, c->table);

	return r != NULL ? want_derived(b, &r->any) : 0;
}

/* Of a relation that was made past the gateway, or in a transaction that goes on: it can hold anything. */
static bool is_new(const struct binding *b, const struct sl_column *c)
{
	return b->catalog != NULL && c->table != 0 && !sl_catalog_knows(b->catalog, c->table);
}

static uint16_t plan_new(const struct binding *b)
{
	const struct sl_masks any = {{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};

	_Static_assert(SL_CATALOG_MASK_WORDS == 4, "all masks are in `any`");
	return want_whole(b, first_of(b, &any));
}

static uint16_t plan_column(const struct binding *b, uint32_t mark, const struct sl_column *c)
{
	const struct sl_catalog_column *k = sl_catalog_column(b->catalog, c->table, c->attr);
	int32_t name = by_name(b, c), hidden = k != NULL ? first_of(b, &k->hidden) : -1;

	if (is_new(b, c))
		return plan_new(b);
	if (c->table == 0 && (mark & SL_PROTECT_DERIVED) != 0)
		return want_whole(b, MARK_MASK(mark));
	if (hidden < 0 || (name >= 0 && name < hidden))
		hidden = name;
	if (hidden >= 0)
		return want_of(b, (uint32_t)hidden);
	if (k != NULL)
		return want_derived(b, &k->derived);
	return c->table != 0 && c->attr == 0 ? plan_row(b, c) : 0;
}

static uint16_t plan(const struct binding *b, uint32_t mark, const struct sl_column *c)
{
	uint16_t want = 0;

	if (!b->has_role) /* FIELD will refuse it */
		return want_of(b, WANT_REFUSE);
	if (b->hides)
		want = plan_column(b, mark, c);
	return want != 0 ? want : want_content(b, c);
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

/* And knows what hides: without the catalog no row passes. */
static int binding_for(struct sl_inspect *in, uint64_t cmd, const struct binding **out)
{
	int rc = mask_binding(in, cmd, out);

	return rc == SL_OK && policy_blind(*out) ? sl_fail(SL_E_POLICY_CHANGED) : rc;
}

/* ---- COPY ---- */

static void unplanned(struct sl_inspect *in, struct sl_verdict *v)
{
	deny(in, v, SL_RSN_UNREADABLE, SL_E_POLICY_DENIED,
	     "what this COPY writes is not what was read of its statement");
}

static uint16_t plan_copied(const struct binding *b, const struct copy_column *k, struct sl_column *c)
{
	c->type = k->type;
	if (k->derived)
		return want_whole(b, k->mask);
	if (k->mask >= 0)
		return want_of(b, (uint32_t)k->mask);
	return want_content(b, c);
}

/* By the plan that was made of its statement. */
static void plan_copy(struct sl_inspect *in, const struct binding *b, const struct sl_ev_rowmeta *m,
                      struct sl_verdict *v)
{
	const size_t head = offsetof(struct copy_plan, columns);
	struct copy_plan *p = &in->w->plan;
	struct sl_span kept = m->copy->kept;

	if (kept.n < head || kept.n > sizeof(*p)) {
		unplanned(in, v);
		return;
	}
	memcpy(p, kept.p, kept.n);
	if (p->version == b->version && !p->masked) /* none of its columns is wanted */
		return;
	if (p->version != b->version || p->format.binary != m->copy->binary ||
	    (p->nb != COPY_ANY &&
	     (p->nb != m->nb_columns || kept.n != head + p->nb * sizeof(p->columns[0])))) {
		unplanned(in, v);
		return;
	}
	*m->copy = p->format;
	m->copy->kept = kept;
	for (uint32_t i = 0; i < m->nb_columns; i++)
		m->want[i] = plan_copied(b, p->nb == COPY_ANY ? &p->rest : &p->columns[i], &m->columns[i]);
}

/* Looked through for content alone, as it lies. */
static bool is_plain(uint32_t want)
{
	return (want & (WANT_CONTENT | WANT_DERIVED)) == WANT_CONTENT && (want & WANT_PLAIN) != 0;
}

/*
 * What the decoder asks before bytes that have no columns it could read (the result of a function call): one
 * nameless-typed column, which no real result has.
 */
static bool is_opaque(const struct sl_ev_rowmeta *m)
{
	return m->nb_columns == 1 && m->columns[0].type == 0 && m->columns[0].table == 0 &&
	       m->columns[0].attr == 0 && m->columns[0].format == 0;
}

/* The first time that the session meets it, or a newer one: it may stay unknown for long. */
static bool is_newest(struct sl_inspect *in, const struct binding *b, const struct sl_column *c)
{
	if (!is_new(b, c) || c->table <= in->newest)
		return false;
	in->newest = c->table;
	return true;
}

int mask_rowmeta(struct sl_inspect *in, const struct sl_event *ev, struct sl_verdict *v)
{
	const struct sl_ev_rowmeta *m = &ev->rowmeta;
	const struct binding *b;
	int rc = binding_for(in, ev->cmd, &b);
	bool fresh = false;
	uint32_t mark;

	if (rc != SL_OK)
		return rc;
	*v = (struct sl_verdict){.action = SL_ACT_ALLOW};
	if (b->has_role && !b->p.any_mask && !b->p.any_content_mask)
		return SL_OK;
	mark = protect_mark(in, b, ev->mark);
	if (m->copy != NULL && !b->has_role)
		unplanned(in, v);
	else if (m->copy != NULL)
		plan_copy(in, b, m, v);
	else if (is_opaque(m))
		m->want[0] = want_of(b, b->hides ? WANT_REFUSE : WANT_CONTENT);
	else
		for (uint32_t i = 0; i < m->nb_columns; i++) {
			m->want[i] = plan(b, mark, &m->columns[i]);
			v->look |= is_plain(m->want[i]) && b->slot->s->content_joins;
			fresh |= b->hides && is_newest(in, b, &m->columns[i]);
		}
	if (fresh) /* so that the next statement knows it */
		sl_catalog_changed(in->resource);
	return SL_OK;
}

/* ---- values ---- */

static struct sl_masker masker(struct sl_inspect *in, const struct binding *b)
{
	return (struct sl_masker){
	        .snapshot = b->slot->s,
	        .who = &b->p,
	        .catalog = b->catalog,
	        .worker = in->w->cfg.worker,
	        .scratch = in->w->value,
	        .scratch_n = sizeof(in->w->value),
	        .finds = &in->w->finds,
	};
}

/* What a mask leaves of a value (paths of JSON, a part) is still looked through for content. */
static enum sl_masked then_content(const struct sl_masker *m, struct sl_inspect *in, struct sl_mask_value *v,
                                   enum sl_masked out, size_t *n)
{
	enum sl_masked again;
	size_t k = 0;

	if (!m->who->any_content_mask || v->derived || v->mask == SL_MASK_CONTENT ||
	    (out != SL_MASKED_PASS && out != SL_MASKED_NEW) ||
	    !sl_mask_content_type(m->catalog, v->type, v->format))
		return out;
	v->mask = SL_MASK_CONTENT;
	v->look = NULL;
	if (out == SL_MASKED_NEW)
		v->value = sl_span(in->w->mask, *n);
	again = sl_mask(m, v, in->w->again, sizeof(in->w->again), &k);
	if (again == SL_MASKED_PASS)
		return out;
	if (again == SL_MASKED_NEW)
		memcpy(in->w->mask, in->w->again, k);
	*n = k;
	return again;
}

/* What the row's look has said of the value; sl_mask() sees whether it is the same. */
static const struct sl_mask_look *look_of(const struct sl_inspect *in, const struct sl_ev_field *f)
{
	if (f->seen == 0 || f->seen > LOOK_MAX || in->w->looked != in)
		return NULL;
	return &in->w->look[f->seen - 1];
}

static enum sl_masked mask_value(struct sl_inspect *in, const struct binding *b, uint32_t want,
                                 const struct sl_ev_field *f, size_t *n)
{
	const struct sl_masker m = masker(in, b);
	struct sl_mask_value v = {
	        .mask = (want & WANT_CONTENT) != 0 ? SL_MASK_CONTENT : (int32_t)(want & WANT_MASK),
	        .derived = (want & WANT_DERIVED) != 0,
	        .format = f->column.format,
	        .type = f->column.type,
	        .column = f->column.name,
	        .value = f->value,
	        .look = look_of(in, f),
	};

	if ((want & WANT_SET) == 0 || (want & WANT_REFUSE) == WANT_REFUSE || !b->has_role ||
	    f->column.format > 1 || v.mask >= (int32_t)b->slot->s->nb_masks)
		return SL_MASKED_REFUSE;
	return then_content(&m, in, &v, sl_mask(&m, &v, in->w->mask, sizeof(in->w->mask), n), n);
}

static void look_at(struct sl_inspect *in, const struct binding *b, uint32_t nb)
{
	const struct sl_masker m = masker(in, b);

	sl_mask_look(&m, in->w->look, nb);
}

/* In one scan for all of the row that is only looked through. What has to be done otherwise is left to FIELD.
 */
int mask_row(struct sl_inspect *in, const struct sl_event *ev, struct sl_verdict *v)
{
	const struct sl_ev_row *r = &ev->row;
	struct sl_mask_look *look = in->w->look;
	const struct binding *b = NULL;
	uint32_t nb = 0, at = 0;

	*v = (struct sl_verdict){.action = SL_ACT_ALLOW};
	in->w->looked = NULL;
	for (uint32_t i = 0; i < r->nb && nb < LOOK_MAX; i++) {
		if (!is_plain(r->values[i].want))
			continue;
		if (nb == 0)
			b = policy_gen(in, r->values[i].want >> WANT_GEN_SHIFT & POLICY_GEN);
		if (b == NULL || r->values[i].want >> WANT_GEN_SHIFT != want_of(b, 0) >> WANT_GEN_SHIFT)
			return SL_OK;
		look[nb++] =
		        (struct sl_mask_look){.value = r->values[i].value, .column = r->values[i].column};
	}
	if (b == NULL || !b->has_role)
		return SL_OK;
	look_at(in, b, nb);
	in->w->looked = in;
	for (uint32_t i = 0; at < nb; i++) {
		if (!is_plain(r->values[i].want))
			continue;
		r->values[i].clean = look[at++].clean;
		r->values[i].seen = (uint16_t)at;
	}
	return SL_OK;
}

bool mask_finds(struct sl_inspect *in, const struct binding *b, struct sl_span text)
{
	const struct sl_masker m = masker(in, b);
	const struct sl_mask_value v = {.mask = SL_MASK_CONTENT, .type = 25, .value = text};
	size_t n = 0;

	return sl_mask(&m, &v, in->w->mask, sizeof(in->w->mask), &n) != SL_MASKED_PASS;
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
	const struct binding *b = policy_gen(in, f->want >> WANT_GEN_SHIFT & POLICY_GEN);
	uint16_t want = f->want;
	enum sl_masked out;
	size_t n = 0;
	int rc;

	*v = (struct sl_verdict){.action = SL_ACT_ALLOW};
	if (b == NULL) { /* the policy that planned this column has gone: ask the one there is */
		rc = binding_for(in, ev->cmd, &b);
		if (rc != SL_OK)
			return rc;
		/* Of a COPY there is nothing that it could ask by. */
		want = f->column.name.n > 0 ? plan(b, protect_mark(in, b, ev->mark), &f->column)
		                            : want_of(b, WANT_REFUSE);
	}
	if (want == 0)
		return SL_OK;
	out = mask_value(in, b, want, f, &n);
	if (out == SL_MASKED_REFUSE)
		return unreadable(in, &f->column, v);
	if (out == SL_MASKED_PASS)
		return SL_OK;
	sl_count(SL_C_FIELDS_MASKED);
	v->action = SL_ACT_REPLACE;
	v->replace = out == SL_MASKED_NEW ? sl_span(in->w->mask, n) : SL_SPAN_EMPTY;
	return SL_OK;
}

/* ---- the session ---- */

int mask_session(struct sl_inspect *in, struct sl_verdict *v)
{
	int rc = policy_bind(in);

	if (rc != SL_OK)
		return rc;
	if (!in->now.has_role)
		return sl_fail(SL_E_POLICY_DENIED);
	policy_unpin(in, 0); /* the login's */
	*v = (struct sl_verdict){.action = SL_ACT_ALLOW};
	return SL_OK;
}
