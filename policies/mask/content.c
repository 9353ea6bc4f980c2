/* What content patterns and detectors find in bytes, and what becomes of those parts. */
#include "mask_priv.h"

_Static_assert(SL_POLICY_DETECTORS_MAX == 128 && SL_DETECT_FORMS_MAX == 1 << SL_CONTENT_FORM_BITS,
               "ids of content have room for detectors, and `seen` two words");

static bool has_bit(const uint64_t *words, uint32_t i)
{
	return (words[i / 64] >> (i % 64)) & 1;
}

static void widen(struct spot *a, const struct spot *b)
{
	if (b->from < a->from || (b->from == a->from && b->mask < a->mask))
		a->mask = b->mask;
	a->from = b->from < a->from ? b->from : a->from;
	a->to = b->to > a->to ? b->to : a->to;
}

/* Puts a spot into its place; those that it touches become one with it. Matches come by their end, so the
 * place is near the end of the list. */
static void add_spot(struct spots *t, struct spot n)
{
	uint32_t hi = t->nb, lo;

	while (hi > 0 && t->v[hi - 1].from >= n.to)
		hi--;
	for (lo = hi; lo > 0 && t->v[lo - 1].to > n.from; lo--)
		widen(&n, &t->v[lo - 1]);
	if (lo == hi && t->nb == SPOTS_MAX) { /* no room: one with its neighbour, and all between them */
		lo = lo > 0 ? lo - 1 : 0;
		hi = lo + 1;
		widen(&n, &t->v[lo]);
	}
	memmove(&t->v[lo + 1], &t->v[hi], (t->nb - hi) * sizeof(t->v[0]));
	t->nb = t->nb - (hi - lo) + 1;
	t->v[lo] = n;
}

int32_t content_mask_with(const struct sl_snapshot *s, const struct sl_principal *p, uint32_t detector)
{
	for (uint32_t i = 0; i < s->nb_masks; i++)
		if (has_bit(p->mask_bits, i) && has_bit(s->masks[i].detectors, detector))
			return (int32_t)i;
	return -1;
}

bool content_is_for(const struct sl_snapshot *s, const struct sl_principal *p, uint32_t mask)
{
	return mask < s->nb_masks && has_bit(p->mask_bits, mask);
}

/* A form of a detector ended: is it a find, and whose? */
static bool detected(struct spots *t, uint32_t form, size_t from, size_t end, struct spot *n)
{
	uint32_t d = form >> SL_CONTENT_FORM_BITS;
	struct sl_detect_spot s;
	int32_t mask;

	if (has_bit(t->seen, d) && end <= t->done[d])
		return false;
	mask = content_mask_with(t->s, t->p, d);
	if (mask < 0 || !mask_detected(t->s, d, form & ((1u << SL_CONTENT_FORM_BITS) - 1), t->value, from,
	                               end, t->column, &s))
		return false;
	t->seen[d / 64] |= UINT64_C(1) << d % 64;
	t->done[d] = s.to;
	*n = (struct spot){s.from, s.to, (uint32_t)mask};
	return true;
}

static int on_content(void *ctx, uint32_t id, size_t from, size_t to)
{
	struct spots *t = ctx;
	struct spot n = {from, to, id};

	if (id >= SL_POLICY_MASKS_MAX) {
		if (!detected(t, id - SL_POLICY_MASKS_MAX, from, to, &n))
			return 0;
	} else if (!content_is_for(t->s, t->p, id)) {
		return 0;
	}
	if (t->s->masks[n.mask].action == SL_MASK_NULL) {
		t->null = true;
		t->v[0] = n;
		return 1;
	}
	/* Patterns see bytes: a spot that cuts a character takes it whole, so that the rest stays text. */
	while (n.from > 0 && n.from < t->value.n && (t->value.p[n.from] & 0xc0) == 0x80)
		n.from--;
	while (n.to < t->value.n && (t->value.p[n.to] & 0xc0) == 0x80)
		n.to++;
	add_spot(t, n);
	return t->first;
}

bool content_scan(const struct job *j, struct sl_span value, bool first, struct spots *t)
{
	const struct sl_snapshot *s = j->m->snapshot;

	t->s = s;
	t->p = j->m->who;
	t->value = value.p != NULL ? value : SL_SPAN_LIT("");
	t->column = j->column;
	t->seen[0] = t->seen[1] = 0;
	t->nb = 0;
	t->null = false;
	t->first = first;
	return j->m->worker < s->nb_workers && sl_match_scan(s->content_db, s->content_scratch[j->m->worker],
	                                                     t->value, on_content, t) == SL_OK;
}

const struct sl_mask *spot_at(const struct spots *t, size_t from, size_t n)
{
	for (uint32_t i = 0; i < t->nb; i++)
		if (t->v[i].from < from + n && t->v[i].to > from)
			return &t->s->masks[t->v[i].mask];
	return NULL;
}

enum sl_masked content_text(struct job *j, struct sl_span v, struct out *w)
{
	struct spots t;
	size_t at = 0;

	if (!content_scan(j, v, false, &t))
		return SL_MASKED_REFUSE;
	if (t.null)
		return SL_MASKED_NULL;
	if (t.nb == 0)
		return SL_MASKED_PASS;
	for (uint32_t i = 0; i < t.nb && !w->full; i++) {
		struct sl_span part = sl_span_sub(v, t.v[i].from, t.v[i].to - t.v[i].from);

		out_put(w, v.p + at, t.v[i].from - at);
		if (text_action(&t.s->masks[t.v[i].mask], part, w) == SL_MASKED_NULL)
			return SL_MASKED_NULL;
		at = t.v[i].to;
	}
	out_put(w, v.p + at, v.n - at);
	return mask_done(w);
}

enum sl_masked content_find(struct job *j, struct sl_span v, const struct sl_mask **mask)
{
	struct spots t;

	*mask = NULL;
	if (!content_scan(j, v, true, &t))
		return SL_MASKED_REFUSE;
	if (!t.null && t.nb == 0)
		return SL_MASKED_PASS;
	*mask = &t.s->masks[t.v[0].mask];
	return SL_MASKED_NEW;
}
