/*
 * Many values in one scan: they stand behind each other in the scratch, with a NUL between them, which no
 * text has and which is no part of a word. As no pattern asks where the text begins or ends (content_joins),
 * whatever matches within a value matches here, too, with the same end. What matches across values ends in
 * one of them, and is judged by that one's bytes alone, like everything else.
 */
#include "mask_priv.h"

struct look {
	const struct sl_masker *m;
	struct sl_mask_look *v;
	uint32_t nb, at;
	size_t start; /* of v[at] */
};

/* To the value in which a match ends. False: in none, but on a NUL. */
static bool seek(struct look *l, size_t to)
{
	if (to <= l->start) { /* the engine hardly ever goes back */
		l->at = 0;
		l->start = 0;
	}
	while (l->at < l->nb && to > l->start + l->v[l->at].value.n)
		l->start += l->v[l->at++].value.n + 1;
	return l->at < l->nb && to > l->start;
}

static int on_look(void *ctx, uint32_t id, size_t from, size_t to)
{
	struct look *l = ctx;
	const struct sl_snapshot *s = l->m->snapshot;
	struct sl_mask_look *v;
	struct sl_detect_spot spot;
	uint32_t detector;

	if (id < SL_POLICY_MASKS_MAX) {
		if (content_is_for(s, l->m->who, id) && seek(l, to))
			l->v[l->at].clean = false;
		return 0;
	}
	if (!seek(l, to) || !l->v[l->at].clean)
		return 0;
	v = &l->v[l->at];
	detector = (id - SL_POLICY_MASKS_MAX) >> SL_CONTENT_FORM_BITS;
	if (content_mask_with(s, l->m->who, detector) < 0)
		return 0;
	/* A start in front of the value is of a longer match than the value's own, which is not known then.
	 */
	if (detector >= sl_detect_count() && from < l->start)
		v->clean = false;
	else
		v->clean = !mask_detected(
		        s, detector, (id - SL_POLICY_MASKS_MAX) & ((1u << SL_CONTENT_FORM_BITS) - 1),
		        v->value, from > l->start ? from - l->start : 0, to - l->start, v->column, &spot);
	return 0;
}

/* Puts so many of them into the scratch as fit; returns the bytes, *nb how many. */
static size_t join(const struct sl_masker *m, const struct sl_mask_look *v, uint32_t *nb)
{
	size_t n = 0;
	uint32_t i;

	for (i = 0; i < *nb && v[i].value.n < m->scratch_n - n; i++) {
		if (v[i].value.n > 0)
			memcpy(m->scratch + n, v[i].value.p, v[i].value.n);
		n += v[i].value.n;
		m->scratch[n++] = 0;
	}
	*nb = i;
	return n > 0 ? n - 1 : 0;
}

void sl_mask_look(const struct sl_masker *m, struct sl_mask_look *v, uint32_t nb)
{
	const struct sl_snapshot *s = m->snapshot;
	struct look l = {.m = m, .v = v, .nb = nb};
	size_t n;

	for (uint32_t i = 0; i < nb; i++)
		v[i].clean = false;
	if (!s->content_joins || m->who->snapshot_version != s->version || m->worker >= s->nb_workers)
		return;
	n = join(m, v, &l.nb);
	for (uint32_t i = 0; i < l.nb; i++)
		v[i].clean = true;
	if (sl_match_scan(s->content_db, s->content_scratch[m->worker], sl_span(m->scratch, n), on_look,
	                  &l) == SL_OK)
		return;
	for (uint32_t i = 0; i < l.nb; i++)
		v[i].clean = false;
}
