/* Detectors of both kinds: those that are built in, and the policy's own. */
#include "mask_priv.h"

static bool has_word(const struct sl_strings *words, struct sl_span text)
{
	for (uint32_t i = 0; i < words->nb; i++)
		if (sl_detect_has_word(text, sl_span_str(words->v[i])))
			return true;
	return false;
}

static bool in_context(const struct sl_detector *d, struct sl_span value, size_t from, struct sl_span column)
{
	size_t back = from < SL_DETECT_CONTEXT_MAX ? from : SL_DETECT_CONTEXT_MAX;

	if (d->context.nb + d->columns.nb == 0)
		return true;
	for (uint32_t i = 0; i < d->columns.nb; i++)
		if (sl_glob_match(d->columns.v[i], column))
			return true;
	return has_word(&d->context, sl_span_sub(value, from - back, back));
}

bool mask_detected(const struct sl_snapshot *s, uint32_t detector, uint32_t form, struct sl_span value,
                   size_t from, size_t to, struct sl_span column, struct sl_detect_spot *out)
{
	const struct sl_detector *d;

	if (detector < sl_detect_count())
		return sl_detect_check(detector, form, value, to, column, out);
	detector -= sl_detect_count();
	if (detector >= s->nb_detectors || from >= to || to > value.n)
		return false;
	d = &s->detectors[detector];
	if (d->validator >= 0 && !sl_detect_validate(d->validator, sl_span_sub(value, from, to - from)))
		return false;
	if (!in_context(d, value, from, column))
		return false;
	*out = (struct sl_detect_spot){from, to};
	return true;
}
