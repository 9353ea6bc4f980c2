/* Detectors of both kinds: those that are built in, and the policy's own. */
#include "mask_priv.h"

_Static_assert(SL_POLICY_DETECTORS_OWN <= 32, "a bit for each detector of the policy's own");

static bool is_alnum(uint8_t c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/*
 * Matches of a pattern without an end to its length begin at the same place and end everywhere behind it. The
 * validator sees letters and digits only: it is asked again when there is one more, and not about more than
 * it takes, so that it reads the text so many times at most.
 */
static bool fits(struct finder *f, uint32_t own, size_t from, size_t to)
{
	struct own_match *m = &f->own[own];
	bool again = (f->own_seen >> own & 1) != 0 && m->from == from && m->to <= to;
	size_t nb = 0;

	for (size_t i = again ? m->to : from; i < to; i++)
		nb += is_alnum(f->value.p[i]);
	m->nb = again ? m->nb + nb : nb;
	if (!again || nb > 0)
		m->fits = m->nb < SL_DETECT_TEXT_MAX &&
		          sl_detect_validate(f->s->detectors[own].validator,
		                             sl_span_sub(f->value, from, to - from));
	m->from = from;
	m->to = to;
	f->own_seen |= 1u << own;
	return m->fits;
}

static bool has_word(const struct sl_strings *words, struct sl_span text)
{
	uint32_t letters = sl_detect_letters(text);

	for (uint32_t i = 0; i < words->nb; i++)
		if (sl_detect_may_have(letters, words->v[i]) &&
		    sl_detect_has_word(text, sl_span_str(words->v[i])))
			return true;
	return false;
}

static bool has_name(struct finder *f, uint32_t own)
{
	const struct sl_strings *names = &f->s->detectors[own].columns;
	uint32_t bit = 1u << own;

	if ((f->own_named & bit) == 0) {
		f->own_named |= bit;
		f->own_has_name &= ~bit;
		for (uint32_t i = 0; i < names->nb; i++)
			if (sl_glob_match(names->v[i], f->column))
				f->own_has_name |= bit;
	}
	return (f->own_has_name & bit) != 0;
}

static bool in_context(struct finder *f, uint32_t own, size_t from)
{
	const struct sl_detector *d = &f->s->detectors[own];
	size_t back = from < SL_DETECT_CONTEXT_MAX ? from : SL_DETECT_CONTEXT_MAX;

	if (d->context.nb + d->columns.nb == 0)
		return true;
	return has_name(f, own) || has_word(&d->context, sl_span_sub(f->value, from - back, back));
}

bool mask_detected(struct finder *f, uint32_t detector, uint32_t form, size_t from, size_t to,
                   struct sl_detect_spot *out)
{
	uint32_t own = detector - sl_detect_count();

	if (detector < sl_detect_count())
		return sl_detect_check(detector, form, f->value, to, f->column, &f->memo, out);
	if (own >= f->s->nb_detectors || own >= SL_POLICY_DETECTORS_OWN || from >= to || to > f->value.n)
		return false;
	if (f->s->detectors[own].validator >= 0 && !fits(f, own, from, to))
		return false;
	if (!in_context(f, own, from))
		return false;
	*out = (struct sl_detect_spot){from, to};
	return true;
}
