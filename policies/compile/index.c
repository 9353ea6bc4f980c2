/* The index of rules: which of them a statement can meet, without going through all. */
#include <string.h>

#include "compile_priv.h"

/* The names that the rule is found by; NULL when it must be gone through. */
static const struct sl_strings *key_names(const struct sl_rule *r, bool *function)
{
	const struct sl_strings *names = r->relations.nb > 0 ? &r->relations : &r->functions;

	*function = r->relations.nb == 0;
	for (uint32_t i = 0; i < names->nb; i++) {
		const char *dot = strrchr(names->v[i], '.');

		if (strpbrk(dot != NULL ? dot : names->v[i], "*?") != NULL)
			return NULL;
	}
	return names->nb > 0 ? names : NULL;
}

static uint64_t hash_of(const char *glob, bool function)
{
	const char *dot = strrchr(glob, '.');

	return sl_rule_name_hash(sl_span_str(dot != NULL ? dot + 1 : glob), function);
}

static struct sl_rule_name *slot(struct sl_rule_index *x, uint64_t hash)
{
	uint64_t at = hash;

	while (x->names[at & x->names_mask].hash != 0 && x->names[at & x->names_mask].hash != hash)
		at++;
	return &x->names[at & x->names_mask];
}

/* Two passes over the names: how many rules each has, then which. */
static void fill_names(const struct sl_snapshot *s, struct sl_rule_index *x)
{
	uint32_t first = 0;
	bool function;

	for (int pass = 0; pass < 2; pass++) {
		for (uint32_t r = 0; r < s->nb_rules; r++) {
			const struct sl_strings *names = key_names(&s->rules[r], &function);

			for (uint32_t i = 0; !s->rules[r].has_pattern && names != NULL && i < names->nb;
			     i++) {
				uint64_t hash = hash_of(names->v[i], function);
				struct sl_rule_name *e = slot(x, hash);

				e->hash = hash;
				if (pass > 0)
					x->named_rules[e->first + e->nb] = r;
				e->nb++;
			}
		}
		for (uint32_t i = 0; pass == 0 && i <= x->names_mask; i++) {
			x->names[i].first = first;
			first += x->names[i].nb;
			x->names[i].nb = 0;
		}
	}
}

static int names(struct compiler *c, struct sl_rule_index *x, uint32_t nb)
{
	uint32_t slots = 1;

	if (nb == 0)
		return SL_OK;
	while (slots < 2 * nb)
		slots *= 2;
	x->names = cp_take(c->arena, slots * sizeof(*x->names));
	x->named_rules = cp_take(c->arena, nb * sizeof(*x->named_rules));
	if (x->names == NULL || x->named_rules == NULL)
		return cp_fail(c, SL_E_NOMEM, NULL, NULL, "out of memory");
	x->names_mask = slots - 1;
	fill_names(c->out, x);
	return SL_OK;
}

/* The list of kinds that the rule stands in: bits, the highest one of any kind. */
static uint64_t lists_of(const struct sl_rule *r)
{
	uint64_t all = (UINT64_C(1) << SL_SQL_KIND_COUNT) - 1;

	return r->kinds == 0 || (r->kinds & all) == all ? UINT64_C(1) << SL_SQL_KIND_COUNT : r->kinds & all;
}

/* Two passes here too. */
static int kinds(struct compiler *c, struct sl_rule_index *x)
{
	const struct sl_snapshot *s = c->out;
	uint32_t first = 0;
	bool function;

	for (int pass = 0; pass < 2; pass++) {
		for (uint32_t i = 0; i < x->nb_plain; i++) {
			const struct sl_rule *r = &s->rules[x->plain[i]];

			if (key_names(r, &function) != NULL)
				continue;
			for (uint64_t bits = lists_of(r); bits != 0; bits &= bits - 1) {
				struct sl_rule_list *l = &x->by_kind[__builtin_ctzll(bits)];

				if (pass > 0)
					x->kind_rules[l->first + l->nb] = x->plain[i];
				l->nb++;
			}
		}
		for (uint32_t k = 0; pass == 0 && k <= SL_SQL_KIND_COUNT; k++) {
			x->by_kind[k].first = first;
			first += x->by_kind[k].nb;
			x->by_kind[k].nb = 0;
		}
		if (pass == 0)
			x->kind_rules = cp_take(c->arena, (first + 1) * sizeof(*x->kind_rules));
		if (x->kind_rules == NULL)
			return cp_fail(c, SL_E_NOMEM, NULL, NULL, "out of memory");
	}
	return SL_OK;
}

int cp_index(struct compiler *c)
{
	struct sl_snapshot *s = c->out;
	struct sl_rule_index *x = &s->index;
	uint32_t nb_names = 0;
	bool function;
	int rc;

	x->plain = cp_take(c->arena, (s->nb_rules + 1) * sizeof(*x->plain));
	if (x->plain == NULL)
		return cp_fail(c, SL_E_NOMEM, NULL, NULL, "out of memory");
	for (uint32_t r = 0; r < s->nb_rules; r++) {
		const struct sl_strings *by = key_names(&s->rules[r], &function);

		if (s->rules[r].has_pattern)
			continue;
		x->plain[x->nb_plain++] = r;
		nb_names += by != NULL ? by->nb : 0;
	}
	rc = kinds(c, x);
	return rc == SL_OK ? names(c, x, nb_names) : rc;
}
