/* Binding a caller to a snapshot: roles, conditions on identities, masks. Once a session and version. */
#include "eval_priv.h"

static void set_bit(uint64_t *words, uint32_t i)
{
	words[i / 64] |= UINT64_C(1) << (i % 64);
}

static bool any_glob(const struct sl_strings *globs, struct sl_span text)
{
	for (uint32_t i = 0; i < globs->nb; i++) {
		if (sl_glob_match(globs->v[i], text))
			return true;
	}
	return false;
}

static bool globs_allow(const struct sl_strings *globs, struct sl_span text)
{
	return globs->nb == 0 || any_glob(globs, text);
}

static bool in_group(const struct sl_caller *who, const char *group)
{
	const uint8_t *p = who->groups.p;
	size_t left = who->groups.n;

	if (strcmp(group, "*") == 0)
		return true;
	while (left > 0) {
		size_t n = strnlen((const char *)p, left);

		if (sl_span_is(sl_span(p, n), group))
			return true;
		n += n < left;
		p += n;
		left -= n;
	}
	return false;
}

static bool has_role(const struct sl_role *r, const struct sl_caller *who)
{
	for (uint32_t i = 0; i < r->groups.nb; i++) {
		if (in_group(who, r->groups.v[i]))
			return true;
	}
	for (uint32_t i = 0; i < r->subjects.nb; i++) {
		if (sl_span_is(who->subject, r->subjects.v[i]))
			return true;
	}
	return false;
}

/* ---- whom a rule is for ---- */

/* "name=value" of one claim with one of its values. */
static bool has_claim(const struct sl_caller *who, const struct sl_claim *claim)
{
	size_t name_n = strlen(claim->name);
	const uint8_t *p = who->claims.p;
	size_t left = who->claims.n;

	while (left > 0) {
		size_t n = strnlen((const char *)p, left);

		if (n > name_n && memcmp(p, claim->name, name_n) == 0 && p[name_n] == '=' &&
		    any_glob(&claim->values, sl_span(p + name_n + 1, n - name_n - 1)))
			return true;
		n += n < left;
		p += n;
		left -= n;
	}
	return false;
}

static bool has_claims(const struct sl_caller *who, const struct sl_who *w)
{
	for (uint32_t i = 0; i < w->nb_claims; i++) {
		if (!has_claim(who, &w->claims[i]))
			return false;
	}
	return true;
}

static bool comes_from(const struct sl_caller *who, const struct sl_who *w)
{
	for (uint32_t i = 0; i < w->nb_sources; i++) {
		if (sl_prefix_has(&w->sources[i], &who->source))
			return true;
	}
	return w->nb_sources == 0;
}

static bool has_group(const struct sl_caller *who, const struct sl_strings *groups)
{
	for (uint32_t i = 0; i < groups->nb; i++) {
		if (in_group(who, groups->v[i]))
			return true;
	}
	return groups->nb == 0;
}

/* Of a provider that the snapshot does not have nothing is known: an agent is trusted least. */
static enum sl_caller_kind caller_kind(const struct sl_snapshot *s, struct sl_span provider)
{
	for (uint32_t i = 0; i < s->nb_idps; i++) {
		if (sl_span_is(provider, s->idps[i].name))
			return s->idps[i].caller;
	}
	return SL_CALLER_AGENT;
}

static bool fits_who(const struct sl_caller *who, enum sl_caller_kind kind, const struct sl_who *w)
{
	return globs_allow(&w->issuers, who->issuer) && globs_allow(&w->subjects, who->subject) &&
	       (w->callers == 0 || (w->callers >> kind & 1) != 0) && has_group(who, &w->groups) &&
	       has_claims(who, w) && comes_from(who, w);
}

static void bind_whos(const struct sl_snapshot *s, const struct sl_caller *who, struct sl_principal *out)
{
	enum sl_caller_kind kind = caller_kind(s, who->provider);

	for (uint32_t i = 0; i < s->nb_whos; i++) {
		if (fits_who(who, kind, &s->whos[i]))
			set_bit(out->who_bits, i);
	}
}

static void bind_patterns(const struct sl_snapshot *s, struct sl_principal *out)
{
	for (uint32_t i = 0; i < s->nb_rules && !out->any_pattern; i++)
		out->any_pattern = s->rules[i].has_pattern && eval_rule_is_for(out, &s->rules[i]);
}

static void bind_masks(const struct sl_snapshot *s, struct sl_span resource, struct sl_principal *out)
{
	for (uint32_t i = 0; i < s->nb_masks; i++) {
		const struct sl_mask *m = &s->masks[i];

		if (m->roles.nb > 0 && (m->role_bits & out->role_bits) == 0)
			continue;
		if ((m->except_bits & out->role_bits) != 0 || !globs_allow(&m->resources, resource))
			continue;
		set_bit(out->mask_bits, i);
		out->any_mask = true;
		out->any_content_mask |= m->has_content;
	}
}

/* A resource names its databases exactly; none named: any. */
static bool has_database(const struct sl_resource *res, struct sl_span database)
{
	for (uint32_t i = 0; i < res->databases.nb; i++) {
		if (sl_span_is(database, res->databases.v[i]))
			return true;
	}
	return res->databases.nb == 0;
}

bool sl_eval_bind(const struct sl_snapshot *s, const struct sl_caller *who, const struct sl_resource *res,
                  struct sl_span database, struct sl_principal *out)
{
	struct sl_span resource = sl_span_str(res->name);

	memset(out, 0, sizeof(*out));
	out->snapshot_version = s->version;
	out->resource = res >= s->resources && res < s->resources + s->nb_resources
	                        ? (uint32_t)(res - s->resources)
	                        : SL_POLICY_RESOURCES_MAX;
	if (out->resource == SL_POLICY_RESOURCES_MAX || !has_database(res, database))
		return false;
	for (uint32_t i = 0; i < s->nb_roles; i++) {
		const struct sl_role *r = &s->roles[i];

		if (!((r->resource_bits[out->resource / 64] >> (out->resource % 64)) & 1) ||
		    !globs_allow(&r->databases, database) || !has_role(r, who))
			continue;
		out->role_bits |= UINT64_C(1) << i;
		out->kinds |= r->kinds;
	}
	bind_whos(s, who, out);
	bind_patterns(s, out);
	bind_masks(s, resource, out);
	return out->role_bits != 0;
}
