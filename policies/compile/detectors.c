/* Detectors that masks name: which, and their expressions for the content database. */
#include "compile_priv.h"
#include "sl_detect.h"

static int check_detector(struct compiler *c, const struct sl_yaml_node *item)
{
	for (uint32_t d = 0; d < sl_detect_count(); d++)
		if (sl_glob_match(item->scalar, sl_span_str(sl_detect_name(d))))
			return cp_check_glob(c, item);
	return cp_fail(c, SL_E_POLICY_SYNTAX, item, "docs/detectors.md has the list",
	               "there is no detector \"%.64s\"", item->scalar);
}

int cp_detectors(struct compiler *c, const struct sl_yaml_node *spec, struct sl_mask *out)
{
	struct sl_strings names = {NULL, 0};
	int rc = cp_list(c, spec, "detectors", CP_OPTIONAL, check_detector, &names);

	for (uint32_t d = 0; rc == SL_OK && d < sl_detect_count(); d++) {
		for (uint32_t i = 0; i < names.nb; i++) {
			if (!sl_glob_match(names.v[i], sl_span_str(sl_detect_name(d))))
				continue;
			out->detectors[d / 64] |= UINT64_C(1) << d % 64;
			c->detectors[d / 64] |= UINT64_C(1) << d % 64;
			out->has_content = true;
		}
	}
	return rc;
}

static uint32_t nb_forms(const struct compiler *c)
{
	uint32_t n = 0;

	for (uint32_t d = 0; d < sl_detect_count(); d++)
		n += (c->detectors[d / 64] >> d % 64 & 1) != 0 ? sl_detect_forms(d) : 0;
	return n;
}

int cp_detector_patterns(struct compiler *c)
{
	uint32_t n = nb_forms(c), at = c->nb_mask_patterns;
	struct sl_match_pattern *patterns = cp_take(c->arena, (at + n + 1) * sizeof(*patterns));
	struct cp_place *places = cp_take(c->arena, (at + n + 1) * sizeof(*places));

	if (patterns == NULL || places == NULL)
		return cp_fail(c, SL_E_NOMEM, NULL, NULL, "out of memory");
	memcpy(patterns, c->mask_patterns, at * sizeof(*patterns));
	memcpy(places, c->mask_places, at * sizeof(*places));
	for (uint32_t d = 0; d < sl_detect_count(); d++) {
		for (uint32_t f = 0; (c->detectors[d / 64] >> d % 64 & 1) != 0 && f < sl_detect_forms(d);
		     f++) {
			char *expr = cp_take(c->arena, SL_DETECT_EXPR_MAX);

			if (expr == NULL)
				return cp_fail(c, SL_E_NOMEM, NULL, NULL, "out of memory");
			sl_detect_pattern(d, f, expr, &patterns[at]);
			patterns[at++].id = SL_CONTENT_DETECTOR(d, f);
		}
	}
	c->mask_patterns = patterns;
	c->mask_places = places;
	c->nb_mask_patterns = at;
	return SL_OK;
}
