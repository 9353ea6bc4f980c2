/* Patterns: what the engine would take but should not get, and the two databases. */
#include <stdlib.h>
#include <string.h>

#include "compile_priv.h"

#define GROUPS_MAX 32 /* nesting of parentheses in one pattern */

/* Repeats of what stands in each open group, the pattern itself being group 0. */
struct lint {
	const char *p;
	uint32_t depth;
	uint32_t inside[GROUPS_MAX + 1]; /* the largest so far */
	uint32_t atom;                   /* of what stands before p: 1, or a group's */
	uint32_t total[GROUPS_MAX + 1];  /* all of them together */
	uint32_t atom_total;             /* of the group that stands before p; else 0 */
};

/* Behind a [character class]. */
static const char *skip_class(const char *p)
{
	p++;
	if (*p == '^')
		p++;
	if (*p == ']')
		p++;
	while (*p != '\0' && *p != ']') {
		if (p[0] == '[' && p[1] == ':') {
			const char *end = strstr(p, ":]");

			p = end != NULL ? end + 2 : p + 1;
		} else {
			p += p[0] == '\\' && p[1] != '\0' ? 2 : 1;
		}
	}
	return *p == ']' ? p + 1 : p;
}

/* {n}, {n,} and {n,m}: the larger number; 0 when the brace is a plain character. *end is behind it. */
static uint32_t repeat_count(const char *p, const char **end)
{
	char *rest;
	unsigned long n, m;

	*end = p + 1;
	if (p[1] < '0' || p[1] > '9')
		return 0;
	n = strtoul(p + 1, &rest, 10);
	m = n;
	if (*rest == ',' && rest[1] >= '0' && rest[1] <= '9')
		m = strtoul(rest + 1, &rest, 10);
	else if (*rest == ',')
		rest++;
	if (*rest != '}')
		return 0;
	*end = rest + 1;
	n = n > m ? n : m;
	n = n > 0 ? n : 1;
	return n > UINT16_MAX ? UINT16_MAX : (uint32_t)n;
}

static void keep_largest(struct lint *l, uint32_t n)
{
	if (n > l->inside[l->depth])
		l->inside[l->depth] = n;
}

/* {n} behind a group or a single element. NULL, or what is wrong. */
static const char *lint_repeat(struct lint *l)
{
	uint32_t n = repeat_count(l->p, &l->p), before = l->atom_total;

	if (n == 0) { /* a brace that is a plain character */
		l->atom = 1;
		l->atom_total = 0;
		return NULL;
	}
	if (n * (n > CP_REPEAT_MAX ? 1 : l->atom) > CP_REPEAT_MAX)
		return "a bounded repeat goes over 32 (nested ones are multiplied)";
	keep_largest(l, n * l->atom);
	l->atom *= n;
	l->atom_total = n * (before > 0 ? before : 1);
	l->total[l->depth] += l->atom_total - before;
	return l->total[l->depth] > CP_REPEATS_MAX ? "its bounded repeats count to more than 64 together"
	                                           : NULL;
}

/* Behind a group: what is in it counts for the one around it. */
static const char *lint_close(struct lint *l)
{
	l->p++;
	if (l->depth == 0)
		return NULL;
	l->atom = l->inside[l->depth];
	l->atom_total = l->total[l->depth--];
	keep_largest(l, l->atom);
	l->total[l->depth] += l->atom_total;
	return l->total[l->depth] > CP_REPEATS_MAX ? "its bounded repeats count to more than 64 together"
	                                           : NULL;
}

/* One element of the pattern. NULL, or what is wrong. */
static const char *lint_step(struct lint *l)
{
	switch (*l->p) {
	case '\\':
		l->p += l->p[1] != '\0' ? 2 : 1;
		break;
	case '[':
		l->p = skip_class(l->p);
		break;
	case '(':
		if (l->depth == GROUPS_MAX)
			return "parentheses are nested too deep";
		l->inside[++l->depth] = 1;
		l->total[l->depth] = 0;
		l->p++;
		break;
	case ')':
		return lint_close(l);
	case '{':
		return lint_repeat(l);
	case '?':
	case '*':
	case '+':
		l->p++;
		return NULL; /* of the same element */
	default:
		l->p++;
		break;
	}
	l->atom = 1;
	l->atom_total = 0;
	return NULL;
}

int cp_check_pattern(struct compiler *c, const struct sl_yaml_node *item)
{
	struct lint l = {.p = item->scalar, .inside = {1}, .atom = 1};

	if (strstr(item->scalar, "\\Q") != NULL)
		return cp_fail(c, SL_E_POLICY_PATTERN, item, "escape each character",
		               "\\Q is not taken in a pattern");
	while (*l.p != '\0') {
		const char *wrong = lint_step(&l);

		if (wrong != NULL)
			return cp_fail(c, SL_E_POLICY_PATTERN, item, "use .* or a shorter repeat",
			               "pattern: %s", wrong);
	}
	return SL_OK;
}

/* ^, $, \A, \z and their like, and options in front of it, which could mean anything. */
static bool has_anchor(const char *p)
{
	if (p[0] == '(' && p[1] == '*')
		return true;
	while (*p != '\0') {
		if (*p == '^' || *p == '$')
			return true;
		if (*p == '\\' && p[1] != '\0' && strchr("AzZGBKQ", p[1]) != NULL)
			return true;
		if (*p == '[')
			p = skip_class(p);
		else
			p += p[0] == '\\' && p[1] != '\0' ? 2 : 1;
	}
	return false;
}

static bool joins(const struct sl_match_pattern *patterns, uint32_t nb)
{
	for (uint32_t i = 0; i < nb; i++)
		if (has_anchor(patterns[i].expression))
			return false;
	return true;
}

static int compile(struct compiler *c, const struct sl_match_pattern *patterns, const struct cp_place *places,
                   uint32_t nb, struct sl_match_db **out)
{
	char why[256];
	int bad;
	int rc = sl_match_compile(patterns, nb, out, &bad, why, sizeof(why));

	if (rc == SL_OK)
		return SL_OK;
	c->file = bad >= 0 && (uint32_t)bad < nb ? places[bad].file : NULL;
	return cp_fail(c, rc, bad >= 0 && (uint32_t)bad < nb ? places[bad].node : NULL, NULL, "pattern: %s",
	               why);
}

static int scratches(struct compiler *c, const struct sl_match_db *db, uint32_t nb,
                     struct sl_match_scratch ***out)
{
	*out = cp_take(c->arena, (nb + 1) * sizeof(**out));
	if (*out == NULL)
		return cp_fail(c, SL_E_NOMEM, NULL, NULL, "out of memory");
	for (uint32_t i = 0; i < nb; i++) {
		if (sl_match_scratch_new(db, &(*out)[i]) != SL_OK)
			return cp_fail(c, SL_E_NOMEM, NULL, NULL, "out of memory");
	}
	return SL_OK;
}

int cp_compile_patterns(struct compiler *c, uint32_t nb_workers)
{
	struct sl_snapshot *s = c->out;
	int rc = compile(c, c->rule_patterns, c->rule_places, c->nb_rule_patterns, &s->statement_db);

	if (rc == SL_OK)
		rc = cp_detector_patterns(c);
	if (rc == SL_OK)
		rc = compile(c, c->mask_patterns, c->mask_places, c->nb_mask_patterns, &s->content_db);
	s->content_joins = joins(c->mask_patterns, c->nb_mask_patterns);
	s->nb_workers = nb_workers;
	if (rc == SL_OK)
		rc = scratches(c, s->statement_db, nb_workers, &s->statement_scratch);
	if (rc == SL_OK)
		rc = scratches(c, s->content_db, nb_workers, &s->content_scratch);
	return rc;
}
