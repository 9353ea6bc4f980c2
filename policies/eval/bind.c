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

/* Does a condition hold? What is not known holds for rules that restrict, and does not for those that allow.
 */
enum fits {
	FITS_NO,
	FITS_UNKNOWN,
	FITS_YES,
};

static enum fits yes_or_no(bool yes)
{
	return yes ? FITS_YES : FITS_NO;
}

static enum fits fits_globs(const struct sl_strings *globs, struct sl_span text)
{
	if (globs->nb > 0 && text.n == 0)
		return FITS_UNKNOWN;
	return yes_or_no(globs_allow(globs, text));
}

/* "name=value" of one claim with one of its values. */
static enum fits fits_claim(const struct sl_caller *who, const struct sl_claim *claim)
{
	size_t name_n = strlen(claim->name);
	const uint8_t *p = who->claims.p;
	size_t left = who->claims.n;
	enum fits fits = FITS_UNKNOWN;

	while (left > 0) {
		size_t n = strnlen((const char *)p, left);

		if (n > name_n && memcmp(p, claim->name, name_n) == 0 && p[name_n] == '=') {
			fits = FITS_NO;
			if (any_glob(&claim->values, sl_span(p + name_n + 1, n - name_n - 1)))
				return FITS_YES;
		}
		n += n < left;
		p += n;
		left -= n;
	}
	return fits;
}

static enum fits fits_claims(const struct sl_caller *who, const struct sl_who *w)
{
	enum fits least = FITS_YES;

	for (uint32_t i = 0; i < w->nb_claims; i++) {
		enum fits one = fits_claim(who, &w->claims[i]);

		least = one < least ? one : least;
	}
	return least;
}

static enum fits fits_source(const struct sl_caller *who, const struct sl_who *w)
{
	if (w->nb_sources > 0 && who->source.family == SL_AF_NONE)
		return FITS_UNKNOWN;
	for (uint32_t i = 0; i < w->nb_sources; i++) {
		if (sl_prefix_has(&w->sources[i], &who->source))
			return FITS_YES;
	}
	return yes_or_no(w->nb_sources == 0);
}

/* A token without any group may be of a provider that leaves them out, as some do where they are many. */
static enum fits fits_groups(const struct sl_caller *who, const struct sl_strings *groups)
{
	for (uint32_t i = 0; i < groups->nb; i++) {
		if (in_group(who, groups->v[i]))
			return FITS_YES;
	}
	if (groups->nb > 0 && who->groups.n == 0)
		return FITS_UNKNOWN;
	return yes_or_no(groups->nb == 0);
}

/* Of a provider that the snapshot does not have nothing is known. */
static enum fits fits_kind(const struct sl_snapshot *s, struct sl_span provider, uint32_t callers)
{
	if (callers == 0)
		return FITS_YES;
	for (uint32_t i = 0; i < s->nb_idps; i++) {
		if (sl_span_is(provider, s->idps[i].name))
			return yes_or_no((callers >> s->idps[i].caller & 1) != 0);
	}
	return FITS_UNKNOWN;
}

/* Each part must hold: the least of them counts. */
static enum fits fits_who(const struct sl_snapshot *s, const struct sl_caller *who, const struct sl_who *w)
{
	const enum fits parts[] = {
	        fits_globs(&w->issuers, who->issuer),
	        fits_globs(&w->subjects, who->subject),
	        fits_kind(s, who->provider, w->callers),
	        fits_groups(who, &w->groups),
	        fits_claims(who, w),
	        fits_source(who, w),
	};
	enum fits least = FITS_YES;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		least = parts[i] < least ? parts[i] : least;
	return least;
}

static void bind_whos(const struct sl_snapshot *s, const struct sl_caller *who, struct sl_principal *out)
{
	for (uint32_t i = 0; i < s->nb_whos; i++) {
		enum fits fits = fits_who(s, who, &s->whos[i]);

		if (fits == FITS_YES)
			set_bit(out->who_bits, i);
		if (fits != FITS_NO)
			set_bit(out->who_may_bits, i);
	}
}

static void bind_patterns(const struct sl_snapshot *s, struct sl_principal *out)
{
	for (uint32_t i = 0; i < s->nb_rules && !out->any_pattern; i++)
		out->any_pattern = s->rules[i].has_pattern && eval_rule_is_for(out, &s->rules[i]);
}

/* A condition on what is not known of the caller holds: a mask restricts. */
static void bind_masks(const struct sl_snapshot *s, struct sl_principal *out)
{
	for (uint32_t i = 0; i < s->nb_masks; i++) {
		const struct sl_mask *m = &s->masks[i];

		if ((m->except_bits & out->role_bits) != 0 || !eval_rule_is_for(out, &m->rule))
			continue;
		set_bit(out->mask_bits, i);
		out->any_mask = true;
		out->any_column_mask |= m->columns.nb + m->types.nb > 0;
		out->any_content_mask |= m->has_content;
	}
}

static void bind_limits(const struct sl_snapshot *s, struct sl_principal *out)
{
	for (uint32_t i = 0; i < s->nb_limits; i++) {
		if (eval_rule_is_for(out, &s->limits[i].rule))
			out->limit_bits |= UINT64_C(1) << i;
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
	bind_masks(s, out);
	bind_limits(s, out);
	return out->role_bits != 0;
}
