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

/* ---- matches ---- */

void finder_for(struct finder *f, const struct sl_masker *m)
{
	_Static_assert(SL_POLICY_MASKS_MAX <= INT16_MAX, "a mask's index fits");
	f->s = m->snapshot;
	f->p = m->who;
	f->asked[0] = f->asked[1] = 0;
}

/* The first of the caller's masks that has this detector, -1 none. */
static int16_t mask_with(struct finder *f, uint32_t detector)
{
	uint32_t i = 0;

	if (has_bit(f->asked, detector))
		return f->mask_of[detector];
	while (i < f->s->nb_masks &&
	       !(has_bit(f->p->mask_bits, i) && has_bit(f->s->masks[i].detectors, detector)))
		i++;
	f->asked[detector / 64] |= UINT64_C(1) << detector % 64;
	f->mask_of[detector] = (int16_t)(i < f->s->nb_masks ? (int)i : -1);
	return f->mask_of[detector];
}

/* A form of a detector ended: is it a find, and whose? */
static bool detected(struct finder *f, uint32_t form, size_t from, size_t end, struct spot *out)
{
	uint32_t d = form >> SL_CONTENT_FORM_BITS;
	struct sl_detect_spot s;
	int32_t mask;

	if (has_bit(f->seen, d) && end <= f->done[d])
		return false;
	mask = mask_with(f, d);
	if (mask < 0 || !mask_detected(f, d, form & ((1u << SL_CONTENT_FORM_BITS) - 1), from, end, &s))
		return false;
	f->seen[d / 64] |= UINT64_C(1) << d % 64;
	f->done[d] = s.to;
	*out = (struct spot){s.from, s.to, (uint32_t)mask};
	return true;
}

void finder_begin(struct finder *f, struct sl_span value, struct sl_span column)
{
	f->value = value;
	f->column = column;
	f->seen[0] = f->seen[1] = 0;
	f->own_seen = f->own_named = f->own_has_name = 0;
	sl_detect_begin(&f->memo);
}

bool finder_asks(struct finder *f, uint32_t id)
{
	if (id >= SL_POLICY_MASKS_MAX)
		return mask_with(f, (id - SL_POLICY_MASKS_MAX) >> SL_CONTENT_FORM_BITS) >= 0;
	return id < f->s->nb_masks && has_bit(f->p->mask_bits, id);
}

bool finder_match(struct finder *f, uint32_t id, size_t from, size_t to, struct spot *out)
{
	*out = (struct spot){from, to, id};
	if (id >= SL_POLICY_MASKS_MAX) {
		if (!detected(f, id - SL_POLICY_MASKS_MAX, from, to, out))
			return false;
	} else if (!finder_asks(f, id)) {
		return false;
	}
	/* Patterns see bytes: a spot that cuts a character takes it whole, so that the rest stays text. */
	while (out->from > 0 && out->from < f->value.n && (f->value.p[out->from] & 0xc0) == 0x80)
		out->from--;
	while (out->to < f->value.n && (f->value.p[out->to] & 0xc0) == 0x80)
		out->to++;
	return true;
}

bool finder_names(struct finder *f, uint32_t id)
{
	uint32_t own = ((id - SL_POLICY_MASKS_MAX) >> SL_CONTENT_FORM_BITS) - sl_detect_count();

	return id >= SL_POLICY_MASKS_MAX && own < f->s->nb_detectors && f->s->detectors[own].columns.nb > 0 &&
	       finder_asks(f, id);
}

/* ---- spots ---- */

/* Non-zero: nothing more is asked. */
static int take_spot(struct spots *t, struct spot n)
{
	if (t->finder.s->masks[n.mask].action == SL_MASK_NULL) {
		t->null = true;
		t->v[0] = n;
		return 1;
	}
	add_spot(t, n);
	return t->first;
}

static int on_content(void *ctx, uint32_t id, size_t from, size_t to)
{
	struct spots *t = ctx;
	struct spot n;

	if (finder_match(&t->finder, id, from, to, &n))
		return take_spot(t, n);
	t->named = t->named || finder_names(&t->finder, id);
	return 0;
}

static void begin(const struct job *j, struct sl_span value, bool first, struct spots *t)
{
	finder_for(&t->finder, j->m);
	finder_begin(&t->finder, value.p != NULL ? value : SL_SPAN_LIT(""), j->column);
	t->nb = 0;
	t->null = t->named = false;
	t->first = first;
}

bool content_scan(const struct job *j, struct sl_span value, bool first, struct spots *t)
{
	const struct sl_snapshot *s = j->m->snapshot;

	begin(j, value, first, t);
	return j->m->worker < s->nb_workers && sl_match_scan(s->content_db, s->content_scratch[j->m->worker],
	                                                     t->finder.value, on_content, t) == SL_OK;
}

/* What the look at this value's row has found in it; false: that is not known. */
static bool looked(const struct job *j, struct sl_span value, struct spots *t)
{
	const struct sl_mask_finds *finds = j->m->finds;
	const struct sl_mask_look *l = j->look;
	int end = 0;

	if (l == NULL || finds == NULL || !l->known || l->value.p != value.p || l->value.n != value.n ||
	    finds->snapshot != j->m->snapshot || finds->who != j->m->who ||
	    (uint32_t)l->first + l->nb > finds->nb)
		return false;
	begin(j, value, false, t);
	for (uint32_t i = 0; i < l->nb && end == 0; i++) {
		const struct sl_mask_find *f = &finds->v[l->first + i];

		end = take_spot(t, (struct spot){f->from, f->to, f->mask});
	}
	return true;
}

const struct sl_mask *spot_at(const struct spots *t, size_t from, size_t n)
{
	for (uint32_t i = 0; i < t->nb; i++)
		if (t->v[i].from < from + n && t->v[i].to > from)
			return &t->finder.s->masks[t->v[i].mask];
	return NULL;
}

enum sl_masked content_text(struct job *j, struct sl_span v, struct out *w)
{
	struct spots t;
	size_t at = 0;

	if (!looked(j, v, &t) && !content_scan(j, v, false, &t))
		return SL_MASKED_REFUSE;
	if (t.null)
		return SL_MASKED_NULL;
	if (t.nb == 0)
		return SL_MASKED_PASS;
	for (uint32_t i = 0; i < t.nb && !w->full; i++) {
		struct sl_span part = sl_span_sub(v, t.v[i].from, t.v[i].to - t.v[i].from);

		out_put(w, v.p + at, t.v[i].from - at);
		if (text_action(&t.finder.s->masks[t.v[i].mask], part, w) == SL_MASKED_NULL)
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
	*mask = &t.finder.s->masks[t.v[0].mask];
	return SL_MASKED_NEW;
}
