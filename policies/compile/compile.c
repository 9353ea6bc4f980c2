/*
 * The compiler: texts to documents, documents to the snapshot. Two passes, because a rule may name a role
 * that comes later: the first finds all documents and their names, the second reads their specs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compile_priv.h"
#include "sl_counter.h"

#define WORKERS_MAX 256

static const char *const kind_names[] = {
        [CP_IDP] = "IdentityProvider",
        [CP_RESOURCE] = "Resource",
        [CP_ROLE] = "Role",
        [CP_RULE] = "Rule",
        [CP_DETECTOR] = "Detector",
        [CP_MASK] = "Mask",
        [CP_LIMIT] = "Limit",
        [CP_BREAKER] = "Breaker",
        [CP_TEST] = "Test",
        [CP_KINDS] = NULL,
};
static const uint32_t kind_max[CP_KINDS] = {
        [CP_IDP] = CP_IDPS_MAX,
        [CP_RESOURCE] = SL_POLICY_RESOURCES_MAX,
        [CP_ROLE] = SL_POLICY_ROLES_MAX,
        [CP_RULE] = SL_POLICY_RULES_MAX,
        [CP_DETECTOR] = SL_POLICY_DETECTORS_OWN,
        [CP_MASK] = SL_POLICY_MASKS_MAX,
        [CP_LIMIT] = SL_POLICY_LIMITS_MAX,
        [CP_BREAKER] = SL_POLICY_LIMITS_MAX,
        [CP_TEST] = SL_POLICY_TESTS_MAX,
};
static const char *const doc_keys[] = {"kind", "version", "metadata", "spec", NULL};
static const char *const metadata_keys[] = {"name", "description", NULL};

static int check_version(struct compiler *c, const struct sl_yaml_node *root)
{
	const struct sl_yaml_node *n = sl_yaml_get(root, "version");
	uint64_t version;

	if (n == NULL)
		return cp_fail(c, SL_E_POLICY_SYNTAX, root, NULL, "\"version\" is missing");
	if (sl_yaml_uint(n, &version) != SL_OK || version != 1)
		return cp_fail(c, SL_E_POLICY_SYNTAX, n, NULL, "\"version\" must be 1");
	return SL_OK;
}

static int read_metadata(struct compiler *c, const struct sl_yaml_node *root, struct cp_doc *d)
{
	const struct sl_yaml_node *meta = sl_yaml_get(root, "metadata");
	const char *description;
	int rc;

	if (meta == NULL)
		return cp_fail(c, SL_E_POLICY_SYNTAX, root, NULL, "\"metadata\" is missing");
	rc = cp_map(c, meta, "metadata", metadata_keys);
	if (rc == SL_OK)
		rc = cp_text(c, meta, "name", CP_REQUIRED, CP_NAME_MAX, &d->name);
	if (rc == SL_OK)
		rc = cp_check_name(c, sl_yaml_get(meta, "name"));
	if (rc == SL_OK)
		rc = cp_text(c, meta, "description", CP_OPTIONAL, CP_TEXT_MAX, &description);
	d->name_node = sl_yaml_get(meta, "name");
	return rc;
}

/* A document's place in the table of names: where it is, or the empty one where it goes. */
static uint32_t *name_slot(struct compiler *c, enum cp_kind kind, const char *name)
{
	uint64_t at = sl_rule_name_hash(sl_span_str(name), false) + kind;

	for (;; at++) {
		uint32_t *slot = &c->names[at & c->names_mask];

		if (*slot == 0 ||
		    (c->docs[*slot - 1].kind == kind && strcasecmp(c->docs[*slot - 1].name, name) == 0))
			return slot;
	}
}

/* Room for one document more, in the list and in the table of names, which stays at most half full. */
static int more_docs(struct compiler *c, const struct sl_yaml_node *root)
{
	uint32_t cap = c->cap_docs > 0 ? 2 * c->cap_docs : 64;
	struct cp_doc *docs;
	uint32_t *names;

	if (c->nb_docs < c->cap_docs)
		return SL_OK;
	docs = realloc(c->docs, cap * sizeof(*docs));
	if (docs != NULL)
		c->docs = docs;
	names = docs != NULL ? calloc(2 * (size_t)cap, sizeof(*names)) : NULL;
	if (names == NULL)
		return cp_fail(c, SL_E_NOMEM, root, NULL, "out of memory");
	free(c->names);
	c->names = names;
	c->names_mask = 2 * cap - 1;
	c->cap_docs = cap;
	for (uint32_t i = 0; i < c->nb_docs; i++)
		*name_slot(c, c->docs[i].kind, c->docs[i].name) = i + 1;
	return SL_OK;
}

/* Names are compared with ASCII case folded, as globs do. */
static int keep_doc(struct compiler *c, const struct cp_doc *d, const struct sl_yaml_node *root)
{
	uint32_t *slot;
	int rc = more_docs(c, root);

	if (rc != SL_OK)
		return rc;
	if (c->nb[d->kind] == kind_max[d->kind])
		return cp_fail(c, SL_E_LIMIT, root, NULL, "more than %u documents of kind %s",
		               kind_max[d->kind], kind_names[d->kind]);
	slot = name_slot(c, d->kind, d->name);
	if (*slot != 0) {
		const struct cp_doc *o = &c->docs[*slot - 1];

		return cp_fail(c, SL_E_POLICY_SYNTAX, d->name_node, NULL,
		               "%s \"%s\" is there already (%.100s, line %u)", kind_names[d->kind], d->name,
		               o->file, o->name_node->line);
	}
	c->docs[c->nb_docs++] = *d;
	*slot = c->nb_docs;
	c->nb[d->kind]++;
	return SL_OK;
}

static int read_doc(struct compiler *c, const struct sl_yaml_node *root)
{
	struct cp_doc d = {.file = c->file};
	uint32_t kind = 0;
	int rc;

	if (root == NULL || (root->type == SL_YAML_SCALAR && root->plain && root->scalar[0] == '\0'))
		return SL_OK; /* an empty document */
	rc = cp_map(c, root, "a document", doc_keys);
	if (rc == SL_OK)
		rc = cp_word(c, root, "kind", CP_REQUIRED, kind_names, &kind);
	if (rc == SL_OK)
		rc = check_version(c, root);
	if (rc == SL_OK)
		rc = read_metadata(c, root, &d);
	if (rc != SL_OK)
		return rc;
	d.kind = (enum cp_kind)kind;
	d.spec = sl_yaml_get(root, "spec");
	if (d.spec == NULL)
		return cp_fail(c, SL_E_POLICY_SYNTAX, root, NULL, "\"spec\" is missing");
	return keep_doc(c, &d, root);
}

static int read_source(struct compiler *c, const struct sl_policy_source *src, struct sl_yaml_doc **docs)
{
	struct sl_yaml_error ye;
	int rc;

	c->file = src->file != NULL ? src->file : "policy";
	rc = sl_yaml_parse(src->text, docs, &ye);
	if (rc != SL_OK) {
		struct sl_yaml_node place = {.line = ye.line, .column = ye.column};

		return cp_fail(c, rc, &place, NULL, "%s", ye.text);
	}
	for (const struct sl_yaml_doc *d = *docs; d != NULL && rc == SL_OK; d = d->next)
		rc = read_doc(c, d->root);
	return rc;
}

static int take_arrays(struct compiler *c)
{
	struct sl_snapshot *s = c->out;
	uint32_t rules = c->nb[CP_RULE], masks = c->nb[CP_MASK];
	uint32_t limits = c->nb[CP_LIMIT] + c->nb[CP_BREAKER];

	if (limits > SL_POLICY_LIMITS_MAX)
		return cp_fail(c, SL_E_LIMIT, NULL, NULL, "more than %d limits and breakers together",
		               SL_POLICY_LIMITS_MAX);

	s->idps = cp_take(c->arena, c->nb[CP_IDP] * sizeof(*s->idps));
	s->resources = cp_take(c->arena, c->nb[CP_RESOURCE] * sizeof(*s->resources));
	s->roles = cp_take(c->arena, c->nb[CP_ROLE] * sizeof(*s->roles));
	s->rules = cp_take(c->arena, rules * sizeof(*s->rules));
	s->detectors = cp_take(c->arena, c->nb[CP_DETECTOR] * sizeof(*s->detectors));
	s->masks = cp_take(c->arena, masks * sizeof(*s->masks));
	s->whos = cp_take(c->arena, SL_POLICY_WHO_MAX * sizeof(*s->whos));
	s->limits = cp_take(c->arena, limits * sizeof(*s->limits));
	s->tests = cp_take(c->arena, c->nb[CP_TEST] * sizeof(*s->tests));
	/* One more each: the place of the next pattern exists before it is known whether there is one. */
	c->rule_patterns = cp_take(c->arena, (rules + 1) * sizeof(*c->rule_patterns));
	c->detector_patterns = cp_take(c->arena, c->nb[CP_DETECTOR] * sizeof(*c->detector_patterns));
	c->mask_patterns = cp_take(c->arena, (masks + 1) * sizeof(*c->mask_patterns));
	c->rule_places = cp_take(c->arena, (rules + 1) * sizeof(*c->rule_places));
	c->mask_places = cp_take(c->arena, (masks + 1) * sizeof(*c->mask_places));
	if (s->idps == NULL || s->resources == NULL || s->roles == NULL || s->rules == NULL ||
	    s->detectors == NULL || c->detector_patterns == NULL || s->masks == NULL || s->whos == NULL ||
	    s->limits == NULL || s->tests == NULL || c->rule_patterns == NULL || c->mask_patterns == NULL ||
	    c->rule_places == NULL || c->mask_places == NULL)
		return cp_fail(c, SL_E_NOMEM, NULL, NULL, "out of memory");
	return SL_OK;
}

static int read_spec(struct compiler *c, const struct cp_doc *d)
{
	struct sl_snapshot *s = c->out;

	c->file = d->file;
	switch (d->kind) {
	case CP_IDP:
		return cp_idp(c, d, &s->idps[s->nb_idps++]);
	case CP_RESOURCE:
		return cp_resource(c, d, &s->resources[s->nb_resources++]);
	case CP_ROLE:
		return cp_role(c, d, &s->roles[s->nb_roles++]);
	case CP_RULE:
		return cp_rule(c, d, &s->rules[s->nb_rules++]);
	case CP_DETECTOR:
		return cp_detector(c, d, &s->detectors[s->nb_detectors++]);
	case CP_MASK:
		return cp_mask(c, d, &s->masks[s->nb_masks++]);
	case CP_LIMIT:
		return cp_limit(c, d, &s->limits[s->nb_limits++]);
	case CP_BREAKER:
		return cp_breaker(c, d, &s->limits[s->nb_limits++]);
	default:
		return cp_test(c, d, &s->tests[s->nb_tests++]);
	}
}

/* Distinct names in all roles, and no more of them than the bound. */
static int check_groups(struct compiler *c)
{
	uint32_t nb = 0;

	for (uint32_t i = 0; i < c->out->nb_roles; i++)
		nb += c->out->roles[i].groups.nb;
	c->file = NULL;
	if (nb > SL_POLICY_GROUPS_MAX)
		return cp_fail(c, SL_E_LIMIT, NULL, NULL, "more than %d groups in all roles",
		               SL_POLICY_GROUPS_MAX);
	return SL_OK;
}

/* Two providers with one issuer and audience: a token would belong to both. */
static int check_issuers(struct compiler *c)
{
	const struct sl_snapshot *s = c->out;

	for (uint32_t i = 0; i < s->nb_idps; i++) {
		for (uint32_t j = 0; j < i; j++) {
			if (strcmp(s->idps[i].issuer, s->idps[j].issuer) == 0 &&
			    strcmp(s->idps[i].audience, s->idps[j].audience) == 0)
				return cp_fail(c, SL_E_POLICY_SYNTAX, NULL, NULL,
				               "identity providers \"%s\" and \"%s\" have the same issuer "
				               "and audience",
				               s->idps[j].name, s->idps[i].name);
		}
	}
	return SL_OK;
}

static int compile_docs(struct compiler *c, uint32_t nb_workers)
{
	int rc = take_arrays(c);

	/* What is named by others comes before them: providers, resources, roles, rules, detectors,
	 * masks. */
	for (uint32_t kind = 0; kind < CP_KINDS; kind++) {
		for (uint32_t i = 0; i < c->nb_docs && rc == SL_OK; i++) {
			if (c->docs[i].kind == (enum cp_kind)kind)
				rc = read_spec(c, &c->docs[i]);
		}
	}
	if (rc == SL_OK)
		rc = cp_index(c);
	if (rc == SL_OK)
		rc = check_groups(c);
	if (rc == SL_OK)
		rc = check_issuers(c);
	return rc == SL_OK ? cp_compile_patterns(c, nb_workers) : rc;
}

static int compile_sources(struct compiler *c, const struct sl_policy_source *sources, uint32_t nb,
                           uint32_t nb_workers)
{
	struct sl_yaml_doc **docs = calloc(nb + 1, sizeof(*docs));
	size_t bytes = 0;
	int rc = SL_OK;

	if (docs == NULL)
		return cp_fail(c, SL_E_NOMEM, NULL, NULL, "out of memory");
	for (uint32_t i = 0; i < nb && rc == SL_OK; i++) {
		if (sources[i].text.n > SL_POLICY_BYTES_MAX - bytes)
			rc = cp_fail(c, SL_E_LIMIT, NULL, NULL,
			             "the documents have more than %u bytes together", SL_POLICY_BYTES_MAX);
		else
			rc = read_source(c, &sources[i], &docs[i]);
		bytes += sources[i].text.n;
	}
	if (rc == SL_OK)
		rc = compile_docs(c, nb_workers);
	for (uint32_t i = 0; i < nb; i++)
		sl_yaml_free(docs[i]);
	free(docs);
	return rc;
}

static struct sl_snapshot *new_snapshot(struct cp_arena *arena, uint64_t version)
{
	struct sl_snapshot *s = arena != NULL ? cp_take(arena, sizeof(*s)) : NULL;

	if (s == NULL) {
		cp_arena_free(arena);
		return NULL;
	}
	atomic_init(&s->refs, 1);
	s->version = version;
	s->memory = arena;
	return s;
}

int sl_policy_compile(const struct sl_policy_source *sources, uint32_t nb, uint64_t version,
                      uint32_t nb_workers, struct sl_snapshot **out, struct sl_policy_error *err)
{
	return sl_policy_compile_keyed(sources, nb, version, nb_workers, NULL, out, err);
}

int sl_policy_compile_keyed(const struct sl_policy_source *sources, uint32_t nb, uint64_t version,
                            uint32_t nb_workers, const struct sl_policy_keys *keys, struct sl_snapshot **out,
                            struct sl_policy_error *err)
{
	struct compiler c = {.err = err, .keys = keys};
	int rc;

	*out = NULL;
	memset(err, 0, sizeof(*err));
	if (nb_workers > WORKERS_MAX)
		return cp_fail(&c, SL_E_LIMIT, NULL, NULL, "more than %d workers", WORKERS_MAX);
	c.arena = cp_arena_new();
	c.out = new_snapshot(c.arena, version);
	if (c.out == NULL)
		return cp_fail(&c, SL_E_NOMEM, NULL, NULL, "out of memory");
	rc = compile_sources(&c, sources, nb, nb_workers);
	free(c.docs);
	free(c.names);
	if (rc != SL_OK) {
		sl_policy_free(c.out);
		return rc;
	}
	*out = c.out;
	return SL_OK;
}

static void free_scratches(struct sl_match_scratch **v, uint32_t nb)
{
	for (uint32_t i = 0; v != NULL && i < nb; i++)
		sl_match_scratch_free(v[i]);
}

void sl_policy_free(struct sl_snapshot *s)
{
	if (s == NULL)
		return;
	free_scratches(s->statement_scratch, s->nb_workers);
	free_scratches(s->content_scratch, s->nb_workers);
	sl_match_free(s->statement_db);
	sl_match_free(s->content_db);
	for (uint32_t i = 0; i < s->nb_resources; i++) {
		if (s->resources[i].tls != NULL)
			sl_tls_ctx_free(s->resources[i].tls);
	}
	cp_arena_free(s->memory);
}

const char *sl_policy_error_str(const struct sl_policy_error *e, char *out, size_t cap)
{
	const char *open = e->hint[0] != '\0' ? " (" : "";
	const char *close = e->hint[0] != '\0' ? ")" : "";

	if (e->file[0] == '\0')
		snprintf(out, cap, "%s%s%s%s", e->text, open, e->hint, close);
	else if (e->line == 0)
		snprintf(out, cap, "%s: %s%s%s%s", e->file, e->text, open, e->hint, close);
	else
		snprintf(out, cap, "%s:%u:%u: %s%s%s%s", e->file, e->line, e->column, e->text, open, e->hint,
		         close);
	return out;
}
