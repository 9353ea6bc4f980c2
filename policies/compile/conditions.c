/* What rules say of callers, networks, times and resources. */
#include <string.h>
#include <time.h>

#include "compile_priv.h"

static const char *const identity_keys[] = {"issuers", "groups", "subjects", "callers", "claims", NULL};
static const char *const schedule_keys[] = {"zone", "days", "from", "to", "notBefore", "notAfter", NULL};
static const char *const days[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};
const char *const cp_callers[] = {"person", "service", "agent", NULL};

/* ---- whom ---- */

static int check_caller(struct compiler *c, const struct sl_yaml_node *item)
{
	char hint[128];

	for (uint32_t i = 0; cp_callers[i] != NULL; i++) {
		if (strcmp(item->scalar, cp_callers[i]) == 0)
			return SL_OK;
	}
	cp_nearest(item->scalar, cp_callers, hint, sizeof(hint));
	return cp_fail(c, SL_E_POLICY_SYNTAX, item, hint, "a caller is a person, a service or an agent");
}

static uint32_t bits_of(const struct sl_strings *list, const char *const *words)
{
	uint32_t bits = 0;

	for (uint32_t i = 0; i < list->nb; i++) {
		for (uint32_t w = 0; words[w] != NULL; w++)
			bits |= strcmp(list->v[i], words[w]) == 0 ? 1u << w : 0;
	}
	return bits;
}

/* A name: one text or a list of them, as `values` of the claim or label with that name. */
static int one_or_more(struct compiler *c, const struct sl_yaml_node *m, struct sl_strings *out)
{
	struct sl_yaml_node item = *m, list = {.type = SL_YAML_LIST, .line = m->line, .column = m->column};
	struct sl_yaml_node map = {.type = SL_YAML_MAP};

	if (m->type == SL_YAML_SCALAR) {
		item.next = NULL;
		list.first = &item;
	} else {
		list = *m;
	}
	list.key = m->key;
	list.next = NULL;
	map.first = &list;
	return cp_list(c, &map, m->key, CP_REQUIRED, cp_check_glob, out);
}

/* What no provider keeps can never be known: the rule would meet everybody or nobody. */
static int check_kept(struct compiler *c, const struct sl_yaml_node *m)
{
	for (uint32_t i = 0; i < c->out->nb_idps; i++) {
		const struct sl_strings *kept = &c->out->idps[i].claims;

		for (uint32_t k = 0; k < kept->nb; k++) {
			if (strcmp(kept->v[k], m->key) == 0)
				return SL_OK;
		}
	}
	return cp_fail(c, SL_E_POLICY_SYNTAX, m, "name it in an IdentityProvider's \"claims\"",
	               "no identity provider keeps the claim \"%.64s\"", m->key);
}

static int claims(struct compiler *c, const struct sl_yaml_node *map, struct sl_who *out)
{
	const struct sl_yaml_node *n = sl_yaml_get(map, "claims");
	uint32_t nb = 0;

	if (n == NULL)
		return SL_OK;
	if (n->type != SL_YAML_MAP || n->first == NULL)
		return cp_fail(c, SL_E_POLICY_SYNTAX, n, "claims: {name: value} or {name: [value, value]}",
		               "\"claims\" must be a map of names and values");
	for (const struct sl_yaml_node *m = n->first; m != NULL; m = m->next)
		nb++;
	out->claims = cp_take(c->arena, nb * sizeof(*out->claims));
	if (out->claims == NULL)
		return cp_fail(c, SL_E_NOMEM, n, NULL, "out of memory");
	for (const struct sl_yaml_node *m = n->first; m != NULL; m = m->next) {
		struct sl_claim *claim = &out->claims[out->nb_claims++];
		int rc = one_or_more(c, m, &claim->values);

		if (rc == SL_OK)
			rc = check_kept(c, m);
		claim->name = cp_copy(c->arena, m->key, strlen(m->key));
		if (rc != SL_OK)
			return rc;
		if (claim->name == NULL)
			return cp_fail(c, SL_E_NOMEM, n, NULL, "out of memory");
	}
	return SL_OK;
}

static int check_source(struct compiler *c, const struct sl_yaml_node *item)
{
	struct sl_prefix p;

	if (sl_prefix_parse(item->scalar, &p) != SL_OK)
		return cp_fail(c, SL_E_POLICY_SYNTAX, item, "such as 10.1.0.0/16 or 2001:db8::/32",
		               "\"%.64s\" is not a network", item->scalar);
	return SL_OK;
}

static int sources(struct compiler *c, const struct sl_yaml_node *spec, struct sl_who *out)
{
	struct sl_strings list = {0};
	int rc = cp_list(c, spec, "sources", CP_OPTIONAL, check_source, &list);

	if (rc != SL_OK || list.nb == 0)
		return rc;
	out->sources = cp_take(c->arena, list.nb * sizeof(*out->sources));
	if (out->sources == NULL)
		return cp_fail(c, SL_E_NOMEM, spec, NULL, "out of memory");
	for (uint32_t i = 0; i < list.nb; i++)
		(void)sl_prefix_parse(list.v[i], &out->sources[out->nb_sources++]);
	return SL_OK;
}

static bool same_list(const struct sl_strings *a, const struct sl_strings *b)
{
	for (uint32_t i = 0; a->nb == b->nb && i < a->nb; i++) {
		if (strcmp(a->v[i], b->v[i]) != 0)
			return false;
	}
	return a->nb == b->nb;
}

static bool same_who(const struct sl_who *a, const struct sl_who *b)
{
	if (!same_list(&a->issuers, &b->issuers) || !same_list(&a->groups, &b->groups) ||
	    !same_list(&a->subjects, &b->subjects) || a->callers != b->callers ||
	    a->nb_claims != b->nb_claims || a->nb_sources != b->nb_sources)
		return false;
	for (uint32_t i = 0; i < a->nb_claims; i++) {
		if (strcmp(a->claims[i].name, b->claims[i].name) != 0 ||
		    !same_list(&a->claims[i].values, &b->claims[i].values))
			return false;
	}
	for (uint32_t i = 0; i < a->nb_sources; i++) {
		if (a->sources[i].bits != b->sources[i].bits ||
		    !sl_addr_eq(&a->sources[i].addr, &b->sources[i].addr))
			return false;
	}
	return true;
}

/* Rules with the same condition share it, so that a session keeps one bit for all of them. */
static int intern(struct compiler *c, const struct sl_yaml_node *at, const struct sl_who *who, uint32_t *out)
{
	struct sl_snapshot *s = c->out;

	for (*out = 0; *out < s->nb_whos; (*out)++) {
		if (same_who(&s->whos[*out], who))
			return SL_OK;
	}
	if (s->nb_whos == SL_POLICY_WHO_MAX)
		return cp_fail(c, SL_E_LIMIT, at, NULL, "more than %d different conditions on callers",
		               SL_POLICY_WHO_MAX);
	s->whos[s->nb_whos++] = *who;
	return SL_OK;
}

int cp_who(struct compiler *c, const struct sl_yaml_node *spec, uint32_t *out)
{
	const struct sl_yaml_node *n = sl_yaml_get(spec, "identity");
	struct sl_strings callers = {0};
	struct sl_who who = {.callers = 0};
	int rc = SL_OK;

	*out = SL_RULE_ANYBODY;
	if (n != NULL) {
		rc = cp_map(c, n, "identity", identity_keys);
		if (rc == SL_OK)
			rc = cp_list(c, n, "issuers", CP_OPTIONAL, cp_check_glob, &who.issuers);
		if (rc == SL_OK)
			rc = cp_list(c, n, "groups", CP_OPTIONAL, cp_check_group, &who.groups);
		if (rc == SL_OK)
			rc = cp_list(c, n, "subjects", CP_OPTIONAL, cp_check_glob, &who.subjects);
		if (rc == SL_OK)
			rc = cp_list(c, n, "callers", CP_OPTIONAL, check_caller, &callers);
		if (rc == SL_OK)
			rc = claims(c, n, &who);
		who.callers = bits_of(&callers, cp_callers);
	}
	if (rc == SL_OK)
		rc = sources(c, spec, &who);
	if (rc != SL_OK || (n == NULL && who.nb_sources == 0))
		return rc;
	return intern(c, n != NULL ? n : spec, &who, out);
}

/* ---- when ---- */

static int check_day(struct compiler *c, const struct sl_yaml_node *item)
{
	char hint[128];

	for (uint32_t i = 0; days[i] != NULL; i++) {
		if (strcmp(item->scalar, days[i]) == 0)
			return SL_OK;
	}
	cp_nearest(item->scalar, days, hint, sizeof(hint));
	return cp_fail(c, SL_E_POLICY_SYNTAX, item, hint, "a day is sun, mon, tue, wed, thu, fri or sat");
}

static bool two_digits(const char *s, unsigned int *out)
{
	if (s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9')
		return false;
	*out = (unsigned int)(s[0] - '0') * 10 + (unsigned int)(s[1] - '0');
	return true;
}

/* "08:30", and "24:00" for the end of the day. */
static int minute(struct compiler *c, const struct sl_yaml_node *map, const char *key, uint16_t *out)
{
	const struct sl_yaml_node *n = sl_yaml_get(map, key);
	const char *text = NULL;
	unsigned int h = 0, m = 0;
	int rc = cp_text(c, map, key, CP_OPTIONAL, CP_NAME_MAX, &text);

	if (rc != SL_OK || text == NULL)
		return rc;
	if (strlen(text) != 5 || !two_digits(text, &h) || text[2] != ':' || !two_digits(text + 3, &m) ||
	    m > 59 || h * 60 + m > SL_MINUTES_A_DAY)
		return cp_fail(c, SL_E_POLICY_SYNTAX, n, "write it as \"08:30\", in quotes",
		               "\"%s\" must be a time of day from 00:00 to 24:00", key);
	*out = (uint16_t)(h * 60 + m);
	return SL_OK;
}

int cp_instant(struct compiler *c, const struct sl_yaml_node *map, const char *key, uint64_t *out)
{
	const struct sl_yaml_node *n = sl_yaml_get(map, key);
	const char *text = NULL, *end;
	struct tm tm = {0};
	int rc = cp_text(c, map, key, CP_OPTIONAL, CP_NAME_MAX, &text);

	if (rc != SL_OK || text == NULL)
		return rc;
	end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (end == NULL || *end != '\0' || tm.tm_year < 70 || timegm(&tm) < 0)
		return cp_fail(c, SL_E_POLICY_SYNTAX, n, "write it as 2030-01-31T18:00:00Z",
		               "\"%s\" must be a time in UTC", key);
	*out = (uint64_t)timegm(&tm) * 1000000;
	return SL_OK;
}

int cp_schedule(struct compiler *c, const struct sl_yaml_node *spec, const struct sl_schedule **out)
{
	const struct sl_yaml_node *n = sl_yaml_get(spec, "schedule");
	struct sl_strings list = {0};
	struct sl_schedule *s;
	int rc;

	*out = NULL;
	if (n == NULL)
		return SL_OK;
	s = cp_take(c->arena, sizeof(*s));
	if (s == NULL)
		return cp_fail(c, SL_E_NOMEM, n, NULL, "out of memory");
	*s = (struct sl_schedule){.days = 0x7f, .to_min = SL_MINUTES_A_DAY, .before_us = UINT64_MAX};
	rc = cp_map(c, n, "schedule", schedule_keys);
	if (rc == SL_OK)
		rc = cp_zone(c, n, "zone", &s->zone);
	if (rc == SL_OK)
		rc = cp_list(c, n, "days", CP_OPTIONAL, check_day, &list);
	if (rc == SL_OK)
		rc = minute(c, n, "from", &s->from_min);
	if (rc == SL_OK)
		rc = minute(c, n, "to", &s->to_min);
	if (rc == SL_OK)
		rc = cp_instant(c, n, "notBefore", &s->after_us);
	if (rc == SL_OK)
		rc = cp_instant(c, n, "notAfter", &s->before_us);
	if (rc != SL_OK)
		return rc;
	if (list.nb > 0)
		s->days = (uint8_t)bits_of(&list, days);
	if (s->from_min == s->to_min || s->after_us >= s->before_us)
		return cp_fail(c, SL_E_POLICY_SYNTAX, n, NULL, "the schedule is never open");
	*out = s;
	return SL_OK;
}

/* ---- where ---- */

int cp_labels(struct compiler *c, const struct sl_yaml_node *spec, struct sl_resource *out)
{
	const struct sl_yaml_node *n = sl_yaml_get(spec, "labels");

	if (n == NULL)
		return SL_OK;
	if (n->type != SL_YAML_MAP)
		return cp_fail(c, SL_E_POLICY_SYNTAX, n, "labels: {env: prod}", "\"labels\" must be a map");
	out->labels = cp_take(c->arena, SL_POLICY_LABELS_MAX * sizeof(*out->labels));
	if (out->labels == NULL)
		return cp_fail(c, SL_E_NOMEM, n, NULL, "out of memory");
	for (const struct sl_yaml_node *m = n->first; m != NULL; m = m->next) {
		struct sl_label *l = &out->labels[out->nb_labels];
		int rc;

		if (out->nb_labels++ == SL_POLICY_LABELS_MAX)
			return cp_fail(c, SL_E_LIMIT, m, NULL, "more than %d labels", SL_POLICY_LABELS_MAX);
		rc = cp_text(c, n, m->key, CP_REQUIRED, CP_NAME_MAX, &l->value);
		if (rc != SL_OK)
			return rc;
		l->key = cp_copy(c->arena, m->key, strlen(m->key));
		if (l->key == NULL)
			return cp_fail(c, SL_E_NOMEM, m, NULL, "out of memory");
	}
	return SL_OK;
}

static bool has_label(const struct sl_resource *r, const char *key, const struct sl_strings *values)
{
	for (uint32_t i = 0; i < r->nb_labels; i++) {
		for (uint32_t v = 0; v < values->nb && strcmp(r->labels[i].key, key) == 0; v++) {
			if (sl_glob_match(values->v[v], sl_span_str(r->labels[i].value)))
				return true;
		}
	}
	return false;
}

/* A value without wildcard that no resource has is a slip of the pen, and would silently switch a rule off.
 */
static int check_label(struct compiler *c, const struct sl_yaml_node *m, const struct sl_strings *values)
{
	for (uint32_t v = 0; v < values->nb; v++) {
		const struct sl_strings one = {.v = &values->v[v], .nb = 1};
		bool found = strpbrk(values->v[v], "*?") != NULL;

		for (uint32_t i = 0; i < c->out->nb_resources && !found; i++)
			found = has_label(&c->out->resources[i], m->key, &one);
		if (!found)
			return cp_fail(c, SL_E_POLICY_SYNTAX, m, NULL,
			               "no resource has the label \"%.64s\" with the value \"%.64s\"", m->key,
			               values->v[v]);
	}
	return SL_OK;
}

static void keep_labelled(const struct sl_snapshot *s, const char *key, const struct sl_strings *values,
                          uint64_t *bits)
{
	for (uint32_t i = 0; i < s->nb_resources; i++) {
		if (!has_label(&s->resources[i], key, values))
			bits[i / 64] &= ~(UINT64_C(1) << (i % 64));
	}
}

int cp_where(struct compiler *c, const struct sl_yaml_node *spec, const struct sl_strings *resources,
             uint64_t *bits)
{
	const struct sl_yaml_node *n = sl_yaml_get(spec, "labels");
	const struct sl_snapshot *s = c->out;

	for (uint32_t i = 0; i < s->nb_resources; i++) {
		bool in = resources->nb == 0;

		for (uint32_t g = 0; g < resources->nb && !in; g++)
			in = sl_glob_match(resources->v[g], sl_span_str(s->resources[i].name));
		bits[i / 64] |= in ? UINT64_C(1) << (i % 64) : 0;
	}
	if (n == NULL)
		return SL_OK;
	if (n->type != SL_YAML_MAP || n->first == NULL)
		return cp_fail(c, SL_E_POLICY_SYNTAX, n, "labels: {env: prod} or {env: [prod, stage]}",
		               "\"labels\" must be a map of names and values");
	for (const struct sl_yaml_node *m = n->first; m != NULL; m = m->next) {
		struct sl_strings values = {0};
		int rc = one_or_more(c, m, &values);

		if (rc == SL_OK)
			rc = check_label(c, m, &values);
		if (rc != SL_OK)
			return rc;
		keep_labelled(s, m->key, &values, bits);
	}
	return SL_OK;
}
