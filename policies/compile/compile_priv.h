/* What the parts of the compiler share. */
#ifndef SL_COMPILE_PRIV_H
#define SL_COMPILE_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sl_policy.h"
#include "sl_yaml.h"

#define CP_NAME_MAX    63
#define CP_TEXT_MAX    512
#define CP_GLOB_MAX    SL_POLICY_GLOB_MAX /* the evaluation has room for no more */
#define CP_LIST_MAX    1024
#define CP_PATTERN_MAX 1024
#define CP_REPEAT_MAX  32 /* bounded repeats, nested ones multiplied: each costs the pattern engine states */
#define CP_REPEATS_MAX                                                                                       \
	64 /* all of one pattern together: measured, 128 of them cost half a microsecond a statement */
#define CP_FILE_BYTES_MAX    (256u << 10)
#define CP_IDPS_MAX          16
#define CP_EXPIRES_MAX_S     (7u * 86400)
#define CP_EXPIRES_DEFAULT_S 300
#define CP_LEEWAY_MAX_S      120
#define CP_LEEWAY_DEFAULT_S  30
#define CP_KEEP_MAX          64
#define CP_ZONES_MAX         64
#define CP_QUORUM_MAX        16
#define CP_GRANT_MAX_S       (7u * 86400)
#define CP_PER_SECOND_MAX    1000000
#define CP_SESSIONS_MAX      1000000
#define CP_ROWS_MAX          1000000000ull
#define CP_BYTES_MAX         (512ull << 30)
#define CP_DENIALS_MAX       255
#define CP_WINDOW_MAX_S      86400

enum cp_kind {
	CP_IDP,
	CP_RESOURCE,
	CP_ROLE,
	CP_RULE,
	CP_DETECTOR,
	CP_MASK,
	CP_LIMIT,
	CP_BREAKER,
	CP_TEST,
	CP_KINDS
};

/* One document: its place, its name and its spec. */
struct cp_doc {
	enum cp_kind kind;
	const char *file;
	const char *name;
	const struct sl_yaml_node *name_node;
	const struct sl_yaml_node *spec;
};

struct cp_place {
	const char *file;
	const struct sl_yaml_node *node;
};

struct cp_arena;

struct compiler {
	struct cp_arena *arena;
	struct sl_policy_error *err;
	const struct sl_policy_keys *keys; /* NULL: there are none */
	const char *file;                  /* of the document that is read now */
	struct cp_doc *docs;
	uint32_t nb_docs, cap_docs;
	uint32_t *names; /* open addressing: index of a document + 1; at least twice as many as documents */
	uint32_t names_mask;
	const struct sl_zone *zones[CP_ZONES_MAX];
	uint32_t nb_zones;
	uint32_t nb[CP_KINDS];
	struct sl_snapshot *out;
	struct sl_match_pattern *rule_patterns, *mask_patterns;
	struct cp_place *rule_places, *mask_places;
	uint32_t nb_rule_patterns, nb_mask_patterns;
	struct cp_place *detector_patterns;               /* of the policy's own detectors, by their place */
	uint64_t detectors[SL_POLICY_DETECTORS_MAX / 64]; /* that some mask names */
};

/* ---- arena.c: zeroed memory that goes with the snapshot ---- */
struct cp_arena *cp_arena_new(void);
void *cp_take(struct cp_arena *a, size_t n); /* NULL: out of memory */
char *cp_copy(struct cp_arena *a, const char *s, size_t n);
/* Memory that is not dumped, not swapped where that is allowed, and cleared when it goes. */
void *cp_take_secret(struct cp_arena *a, size_t n);
void cp_arena_free(struct cp_arena *a);

/* ---- reader.c: a map's members, strictly ---- */
enum cp_need {
	CP_OPTIONAL,
	CP_REQUIRED
};

/* Fills the error with the node's place (NULL: none) and returns code. hint may be NULL. */
__attribute__((format(printf, 5, 6))) int cp_fail(struct compiler *c, int code, const struct sl_yaml_node *at,
                                                  const char *hint, const char *fmt, ...);
/* "did you mean \"x\"?" for the entry of a NULL-ended list that is nearest to word; "" when none is near. */
void cp_nearest(const char *word, const char *const *list, char *out, size_t cap);
/* n is a map that has only keys of the NULL-ended list. */
int cp_map(struct compiler *c, const struct sl_yaml_node *n, const char *what, const char *const *keys);
/* A text without control characters, 1 to max bytes. Absent and optional: *out is left alone. */
int cp_text(struct compiler *c, const struct sl_yaml_node *map, const char *key, enum cp_need need,
            size_t max, const char **out);
typedef int (*cp_check_fn)(struct compiler *c, const struct sl_yaml_node *item);
/* A list of texts, at least one; each is checked (check may be NULL). */
int cp_list(struct compiler *c, const struct sl_yaml_node *map, const char *key, enum cp_need need,
            cp_check_fn check, struct sl_strings *out);
int cp_bool(struct compiler *c, const struct sl_yaml_node *map, const char *key, bool *out);
int cp_uint(struct compiler *c, const struct sl_yaml_node *map, const char *key, uint32_t max, uint32_t *out);
int cp_duration(struct compiler *c, const struct sl_yaml_node *map, const char *key, uint32_t min,
                uint32_t max, uint32_t *out);
/* One word of a NULL-ended list; *out is its place. */
int cp_word(struct compiler *c, const struct sl_yaml_node *map, const char *key, enum cp_need need,
            const char *const *words, uint32_t *out);
int cp_check_name(struct compiler *c, const struct sl_yaml_node *item);
int cp_check_group(struct compiler *c, const struct sl_yaml_node *item);
int cp_check_glob(struct compiler *c, const struct sl_yaml_node *item);
/* Reads a file of at most CP_FILE_BYTES_MAX bytes that map[key] names, as a text; malloc()ed. */
int cp_file(struct compiler *c, const struct sl_yaml_node *map, const char *key, char **out);

/* ---- resource.c, access.c: one document each ---- */
int cp_idp(struct compiler *c, const struct cp_doc *d, struct sl_idp *out);
int cp_resource(struct compiler *c, const struct cp_doc *d, struct sl_resource *out);
int cp_role(struct compiler *c, const struct cp_doc *d, struct sl_role *out);
int cp_rule(struct compiler *c, const struct cp_doc *d, struct sl_rule *out);

/* A list of globs; those without a wildcard must be the name of a role or resource. */
int cp_globs(struct compiler *c, const struct sl_yaml_node *map, const char *key, enum cp_need need,
             enum cp_kind kind, struct sl_strings *out);
uint64_t cp_role_bits(const struct compiler *c, const struct sl_strings *list);
/* The terms of a hold; cp_no_approval() refuses them where nothing is held. */
int cp_approval(struct compiler *c, const struct sl_yaml_node *spec, struct sl_rule *r);
int cp_no_approval(struct compiler *c, const struct sl_yaml_node *spec, const char *needs);
/* A part of a name that takes more bytes than the catalog's names have would never match. */
int cp_check_length(struct compiler *c, const struct sl_yaml_node *item);
int cp_check_relation(struct compiler *c, const struct sl_yaml_node *item); /* "name" or "schema.name" */
/* The pattern goes into the database of its kind; id is the rule's or mask's number. */
int cp_pattern(struct compiler *c, const struct sl_yaml_node *spec, bool rule, uint32_t id, uint32_t flags,
               bool *has);

/* ---- mask.c ---- */
int cp_mask(struct compiler *c, const struct cp_doc *d, struct sl_mask *out);

/* ---- limit.c ---- */
/* Whom, where and when, and the message; the rule is named "kind/name". The keys that d's kind has not are
 * absent. */
int cp_conditions(struct compiler *c, const struct cp_doc *d, const char *kind, struct sl_rule *r);
int cp_limit(struct compiler *c, const struct cp_doc *d, struct sl_limit *out);
int cp_breaker(struct compiler *c, const struct cp_doc *d, struct sl_limit *out);

/* ---- test_doc.c ---- */
int cp_test(struct compiler *c, const struct cp_doc *d, struct sl_policy_test *out);

/* ---- expect.c ---- */
int cp_expect(struct compiler *c, const struct sl_yaml_node *spec, struct sl_policy_test *t);

/* ---- conditions.c: the parts that they read are optional ---- */
extern const char *const cp_callers[]; /* in the order of enum sl_caller_kind; NULL-ended */
int cp_who(struct compiler *c, const struct sl_yaml_node *spec, uint32_t *out); /* identity, sources */
int cp_schedule(struct compiler *c, const struct sl_yaml_node *spec, const struct sl_schedule **out);
int cp_instant(struct compiler *c, const struct sl_yaml_node *map, const char *key, uint64_t *out);
int cp_labels(struct compiler *c, const struct sl_yaml_node *spec, struct sl_resource *out);
/* Bits of the resources that these globs (none: all) and the spec's labels take. Resources are read before.
 */
int cp_where(struct compiler *c, const struct sl_yaml_node *spec, const struct sl_strings *resources,
             uint64_t *bits);

/* ---- zone.c ---- */
/* map[key] names a time zone; *out NULL when it is absent. */
int cp_zone(struct compiler *c, const struct sl_yaml_node *map, const char *key, const struct sl_zone **out);

/* ---- index.c ---- */
int cp_index(struct compiler *c); /* behind all rules */

/* ---- detectors.c ---- */
int cp_detector(struct compiler *c, const struct cp_doc *d, struct sl_detector *out);
/* The mask's `detectors`, names or globs. */
int cp_detectors(struct compiler *c, const struct sl_yaml_node *spec, struct sl_mask *out);
/* The expressions of those that masks name, behind the masks' own patterns. */
int cp_detector_patterns(struct compiler *c);

/* ---- pattern.c ---- */
/* Length and repeats; the engine checks the rest. */
int cp_check_pattern(struct compiler *c, const struct sl_yaml_node *item);
/* Both databases and their scratches. */
int cp_compile_patterns(struct compiler *c, uint32_t nb_workers);

#endif
