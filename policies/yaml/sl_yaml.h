/*
 * A small document tree over libyaml's parser, with the place of each node, for the policy compiler and the
 * configuration. Aliases, anchors, tags and duplicate keys are refused; depth, nodes and bytes are bounded.
 * UTF-8 only. Management core and tools.
 */
#ifndef SL_YAML_H
#define SL_YAML_H

#include <stdbool.h>
#include <stdint.h>

#include "sl_err.h"
#include "sl_span.h"

#define SL_YAML_DEPTH_MAX   32
#define SL_YAML_NODES_MAX   262144
#define SL_YAML_MEMBERS_MAX 1024 /* of one map: bounds the search for duplicate keys */
#define SL_YAML_BYTES_MAX   (4u << 20)

enum sl_yaml_type {
	SL_YAML_SCALAR,
	SL_YAML_LIST,
	SL_YAML_MAP,
};

struct sl_yaml_node {
	enum sl_yaml_type type;
	bool plain;            /* scalar without quotes: may be a number, boolean or null */
	uint32_t line, column; /* from 1 */
	const char *scalar;    /* NUL-ended; holds no NUL */
	const char *key;       /* of a map's member */
	uint32_t key_line, key_column;
	struct sl_yaml_node *first; /* list items or map members */
	struct sl_yaml_node *next;  /* sibling */
};

struct sl_yaml_doc {
	struct sl_yaml_node *root;
	struct sl_yaml_doc *next;
};

struct sl_yaml_error {
	uint32_t line, column;
	char text[256];
};

/*
 * Parses all documents of a text. 0 (*out NULL when there is no document; an empty document has a plain empty
 * scalar as root); SL_E_POLICY_SYNTAX, SL_E_LIMIT, SL_E_NOMEM with *err. Free with sl_yaml_free().
 */
int sl_yaml_parse(struct sl_span text, struct sl_yaml_doc **out, struct sl_yaml_error *err);
void sl_yaml_free(struct sl_yaml_doc *docs);

/* A map's member, NULL when absent or n is not a map. */
const struct sl_yaml_node *sl_yaml_get(const struct sl_yaml_node *n, const char *key);
/*
 * 0 and the value; SL_E_POLICY_SYNTAX when it is not of the type: "true"/"false"; decimal; decimal with
 * ms/s/m/h/d suffix (none: seconds; ms are rounded up); the same in microseconds, with us too; a rate as
 * parts per million: "30ppm", "1%", "0.25%"; decimal with K/M/G suffix (of 1024). Quoted scalars are text and
 * never any of these.
 */
int sl_yaml_bool(const struct sl_yaml_node *n, bool *out);
int sl_yaml_uint(const struct sl_yaml_node *n, uint64_t *out);
int sl_yaml_duration_s(const struct sl_yaml_node *n, uint64_t *out);
int sl_yaml_duration_us(const struct sl_yaml_node *n, uint64_t *out);
int sl_yaml_ppm(const struct sl_yaml_node *n, uint64_t *out);
int sl_yaml_bytes(const struct sl_yaml_node *n, uint64_t *out);

#endif
