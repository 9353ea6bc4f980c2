/*
 * A small document tree over libyaml's parser, with the place of each node, for the policy compiler and the configuration.
 * Aliases, anchors, tags and duplicate keys are refused; depth, nodes and bytes are bounded. Management core and tools.
 */
#ifndef SL_YAML_H
#define SL_YAML_H

#include <stdbool.h>
#include <stdint.h>

#include "sl_err.h"
#include "sl_span.h"

#define SL_YAML_DEPTH_MAX 32
#define SL_YAML_NODES_MAX 262144

enum sl_yaml_type {
	SL_YAML_SCALAR,
	SL_YAML_LIST,
	SL_YAML_MAP,
};

struct sl_yaml_node {
	enum sl_yaml_type type;
	bool plain;		 /* scalar without quotes: may be a number, boolean or null */
	uint32_t line, column;	 /* from 1 */
	const char *scalar;	 /* NUL-ended; holds no NUL */
	const char *key;	 /* of a map's member */
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

/* Parses all documents of a text. 0; SL_E_POLICY_SYNTAX with *err. Free with sl_yaml_free(). */
int sl_yaml_parse(struct sl_span text, struct sl_yaml_doc **out, struct sl_yaml_error *err);
void sl_yaml_free(struct sl_yaml_doc *docs);

/* A map's member, NULL when absent or n is not a map. */
const struct sl_yaml_node *sl_yaml_get(const struct sl_yaml_node *n, const char *key);
/* 0 and the value; SL_E_POLICY_SYNTAX when it is not of the type ("true"/"false"; decimal; with ms/s/m/h/d suffix; with K/M/G suffix). */
int sl_yaml_bool(const struct sl_yaml_node *n, bool *out);
int sl_yaml_uint(const struct sl_yaml_node *n, uint64_t *out);
int sl_yaml_duration_s(const struct sl_yaml_node *n, uint64_t *out);
int sl_yaml_bytes(const struct sl_yaml_node *n, uint64_t *out);

#endif
