/*
 * Many values in one scan: they stand behind each other in the scratch, with a NUL between them, which no
 * text has and which is no part of a word. As no pattern asks where the text begins or ends (content_joins),
 * whatever matches within a value matches here, too, with the same end. What matches across values ends in
 * one of them, and is judged by that one's bytes alone, like everything else.
 *
 * What is found in a value is kept, so that it need not be scanned again: but only when each of its finds is
 * of a match that the value has by itself. Of others it is not known whether it has them.
 */
#include "mask_priv.h"

#define FORM(id) (((id)-SL_POLICY_MASKS_MAX) & ((1u << SL_CONTENT_FORM_BITS) - 1))

struct look {
	const struct sl_masker *m;
	struct sl_mask_look *v;
	uint32_t nb, at;
	size_t start;    /* of v[at] */
	uint32_t judged; /* the value that the finder is at; nb: none yet */
	struct finder finder;
};

/* To the value in which a match ends. False: in none, but on a NUL. */
static bool seek(struct look *l, size_t to)
{
	if (to < l->start) { /* the engine hardly ever goes back */
		l->at = 0;
		l->start = 0;
	}
	while (l->at < l->nb && to > l->start + l->v[l->at].value.n)
		l->start += l->v[l->at++].value.n + 1;
	return l->at < l->nb && to > l->start;
}

/* It has to be scanned by itself. */
static void lose(struct sl_mask_look *v)
{
	v->clean = v->known = false;
	v->nb = 0;
}

static void keep(const struct look *l, struct sl_mask_look *v, const struct spot *n)
{
	struct sl_mask_finds *f = l->m->finds;

	if (f == NULL || f->nb == SL_MASK_FINDS_MAX) {
		lose(v);
		return;
	}
	if (v->clean)
		v->first = (uint16_t)f->nb;
	v->clean = false;
	v->nb++;
	f->v[f->nb++] = (struct sl_mask_find){n->from, n->to, n->mask};
}

/*
 * Of a pattern that tells the start: one in front of the value is of a longer match than the value's own,
 * which is not known then. Of others, those that cannot go across a NUL are the value's own.
 */
static void judge(struct look *l, struct sl_mask_look *v, uint32_t id, size_t from, size_t to)
{
	uint32_t detector = (id - SL_POLICY_MASKS_MAX) >> SL_CONTENT_FORM_BITS;
	bool starts = id < SL_POLICY_MASKS_MAX || detector >= sl_detect_count();
	struct spot n;

	if (starts && from < l->start) {
		if (finder_asks(&l->finder, id))
			lose(v);
		return;
	}
	if (!finder_match(&l->finder, id, starts ? from - l->start : 0, to - l->start, &n))
		return;
	if (starts || !sl_detect_crosses(detector, FORM(id)))
		keep(l, v, &n);
	else
		lose(v);
}

static int on_look(void *ctx, uint32_t id, size_t from, size_t to)
{
	struct look *l = ctx;
	struct sl_mask_look *v;

	if (!seek(l, to))
		return 0;
	v = &l->v[l->at];
	if (!v->known)
		return 0;
	if (l->judged != l->at) {
		if (l->judged < l->nb && l->at < l->judged) { /* back: what was found before has gone on */
			lose(v);
			return 0;
		}
		l->judged = l->at;
		finder_begin(&l->finder, v->value, v->column);
	}
	judge(l, v, id, from, to);
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
	struct look l;
	size_t n;

	for (uint32_t i = 0; i < nb; i++)
		lose(&v[i]);
	if (m->finds != NULL) {
		m->finds->snapshot = s;
		m->finds->who = m->who;
		m->finds->nb = 0;
	}
	if (!s->content_joins || m->who->snapshot_version != s->version || m->worker >= s->nb_workers)
		return;
	l.m = m;
	l.v = v;
	l.nb = nb;
	l.at = 0;
	l.start = 0;
	n = join(m, v, &l.nb);
	for (uint32_t i = 0; i < l.nb; i++)
		v[i].clean = v[i].known = true;
	l.judged = l.nb;
	finder_for(&l.finder, m);
	if (sl_match_scan(s->content_db, s->content_scratch[m->worker], sl_span(m->scratch, n), on_look,
	                  &l) == SL_OK)
		return;
	for (uint32_t i = 0; i < l.nb; i++)
		lose(&v[i]);
}
