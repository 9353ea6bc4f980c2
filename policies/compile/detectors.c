/* Detectors: those of the policy's own, which of them all masks name, and their expressions for the content
 * database. */
#include <string.h>

#include "compile_priv.h"
#include "sl_detect.h"

#define WORDS_MAX 32 /* of one detector: each is looked for behind each match */

static const char *const detector_keys[] = {"pattern", "validator", "context", "columns", NULL};

/* ---- by number: the built-in ones, then the policy's own ---- */

static uint32_t nb_all(const struct compiler *c)
{
	return sl_detect_count() + c->out->nb_detectors;
}

static struct sl_span name_of(const struct compiler *c, uint32_t d)
{
	return sl_span_str(d < sl_detect_count() ? sl_detect_name(d)
	                                         : c->out->detectors[d - sl_detect_count()].name);
}

/* ---- the policy's own ---- */

static int check_word(struct compiler *c, const struct sl_yaml_node *item)
{
	for (const char *s = item->scalar; *s != '\0'; s++) {
		if (*s >= 'A' && *s <= 'Z')
			return cp_fail(c, SL_E_POLICY_SYNTAX, item, "write it in lower case: it fits both",
			               "a word of a context has no capitals");
	}
	return SL_OK;
}

static int validator(struct compiler *c, const struct sl_yaml_node *spec, struct sl_detector *out)
{
	const char *name = NULL;
	int rc = cp_text(c, spec, "validator", CP_OPTIONAL, CP_NAME_MAX, &name);

	out->validator = -1;
	if (rc != SL_OK || name == NULL)
		return rc;
	out->validator = sl_detect_validator(sl_span_str(name));
	if (out->validator < 0)
		return cp_fail(c, SL_E_POLICY_SYNTAX, sl_yaml_get(spec, "validator"),
		               "luhn, mod97, or a detector of numbers with check digits",
		               "there is no validator \"%.64s\"", name);
	return SL_OK;
}

/* A name that a built-in detector has would be two things. */
static int check_free(struct compiler *c, const struct cp_doc *d)
{
	for (uint32_t i = 0; i < sl_detect_count(); i++) {
		if (strcasecmp(sl_detect_name(i), d->name) == 0)
			return cp_fail(c, SL_E_POLICY_SYNTAX, d->name_node, "docs/detectors.md has the list",
			               "\"%s\" is a detector that is built in", d->name);
	}
	return SL_OK;
}

/* The engine's own word on the pattern, also when no mask names the detector. */
static int try_pattern(struct compiler *c, const struct sl_yaml_node *n)
{
	const struct sl_match_pattern p = {.expression = n->scalar, .flags = SL_MATCH_START};
	struct sl_match_db *db;
	char why[256];
	int bad, rc = sl_match_compile(&p, 1, &db, &bad, why, sizeof(why));

	if (rc != SL_OK)
		return cp_fail(c, rc, n, NULL, "pattern: %s", why);
	sl_match_free(db);
	return SL_OK;
}

int cp_detector(struct compiler *c, const struct cp_doc *d, struct sl_detector *out)
{
	struct cp_place *place = &c->detector_patterns[out - c->out->detectors];
	const char *pattern = NULL;
	int rc = cp_map(c, d->spec, "spec", detector_keys);

	out->name = d->name;
	if (rc == SL_OK)
		rc = check_free(c, d);
	if (rc == SL_OK && nb_all(c) > SL_POLICY_DETECTORS_MAX)
		rc = cp_fail(c, SL_E_LIMIT, d->name_node, NULL,
		             "more than %d detectors with the built-in ones", SL_POLICY_DETECTORS_MAX);
	if (rc == SL_OK)
		rc = cp_text(c, d->spec, "pattern", CP_REQUIRED, CP_PATTERN_MAX, &pattern);
	*place = (struct cp_place){d->file, sl_yaml_get(d->spec, "pattern")};
	if (rc == SL_OK)
		rc = cp_check_pattern(c, place->node);
	if (rc == SL_OK)
		rc = try_pattern(c, place->node);
	if (rc == SL_OK)
		rc = validator(c, d->spec, out);
	if (rc == SL_OK)
		rc = cp_list(c, d->spec, "context", CP_OPTIONAL, check_word, &out->context);
	if (rc == SL_OK)
		rc = cp_list(c, d->spec, "columns", CP_OPTIONAL, cp_check_glob, &out->columns);
	if (rc == SL_OK && out->context.nb + out->columns.nb > WORDS_MAX)
		rc = cp_fail(c, SL_E_LIMIT, d->spec, NULL, "more than %d words and columns together",
		             WORDS_MAX);
	return rc;
}

/* ---- which masks name ---- */

static int check_detector(struct compiler *c, const struct sl_yaml_node *item)
{
	for (uint32_t d = 0; d < nb_all(c); d++)
		if (sl_glob_match(item->scalar, name_of(c, d)))
			return cp_check_glob(c, item);
	return cp_fail(c, SL_E_POLICY_SYNTAX, item, "docs/detectors.md has the list",
	               "there is no detector \"%.64s\"", item->scalar);
}

int cp_detectors(struct compiler *c, const struct sl_yaml_node *spec, struct sl_mask *out)
{
	struct sl_strings names = {NULL, 0};
	int rc = cp_list(c, spec, "detectors", CP_OPTIONAL, check_detector, &names);

	for (uint32_t d = 0; rc == SL_OK && d < nb_all(c); d++) {
		for (uint32_t i = 0; i < names.nb; i++) {
			if (!sl_glob_match(names.v[i], name_of(c, d)))
				continue;
			out->detectors[d / 64] |= UINT64_C(1) << d % 64;
			c->detectors[d / 64] |= UINT64_C(1) << d % 64;
			out->has_content = true;
		}
	}
	return rc;
}

/* ---- their expressions ---- */

static bool named(const struct compiler *c, uint32_t d)
{
	return (c->detectors[d / 64] >> d % 64 & 1) != 0;
}

static uint32_t nb_forms(const struct compiler *c)
{
	uint32_t n = 0;

	for (uint32_t d = 0; d < nb_all(c); d++)
		n += !named(c, d) ? 0 : d < sl_detect_count() ? sl_detect_forms(d) : 1;
	return n;
}

/* The forms of a built-in one, from patterns[at]; how many, 0: out of memory. */
static uint32_t put_forms(struct compiler *c, uint32_t d, struct sl_match_pattern *patterns)
{
	uint32_t n = sl_detect_forms(d);

	for (uint32_t f = 0; f < n; f++) {
		char *expr = cp_take(c->arena, SL_DETECT_EXPR_MAX);

		if (expr == NULL)
			return 0;
		sl_detect_pattern(d, f, expr, &patterns[f]);
		patterns[f].id = SL_CONTENT_DETECTOR(d, f);
	}
	return n;
}

/* The pattern of one of the policy's own. */
static uint32_t put_own(const struct compiler *c, uint32_t d, struct sl_match_pattern *pattern,
                        struct cp_place *place)
{
	*place = c->detector_patterns[d - sl_detect_count()];
	pattern->expression = place->node->scalar;
	pattern->flags = SL_MATCH_START;
	pattern->id = SL_CONTENT_DETECTOR(d, 0);
	return 1;
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
	for (uint32_t d = 0; d < nb_all(c); d++) {
		uint32_t put;

		if (!named(c, d))
			continue;
		put = d < sl_detect_count() ? put_forms(c, d, &patterns[at])
		                            : put_own(c, d, &patterns[at], &places[at]);
		if (put == 0)
			return cp_fail(c, SL_E_NOMEM, NULL, NULL, "out of memory");
		at += put;
	}
	c->mask_patterns = patterns;
	c->mask_places = places;
	c->nb_mask_patterns = at;
	return SL_OK;
}
