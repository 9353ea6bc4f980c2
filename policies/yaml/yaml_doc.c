/* The builder: libyaml's events to a tree. All nodes and strings of one parse live in one chain of blocks. */
#include "sl_yaml.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "sl_counter.h"

#define BLOCK_BYTES 16384

struct block {
	struct block *next;
	size_t used, size;
	max_align_t bytes[];
};

/* The first document is the handle: sl_yaml_free() finds the blocks behind it. */
struct doc_set {
	struct sl_yaml_doc first;
	struct block *blocks;
};

struct level {
	struct sl_yaml_node *node;
	struct sl_yaml_node **tail; /* where the next child goes */
	const char *key;            /* of the member that is being read; NULL: a key comes next */
	uint32_t key_line, key_column;
	uint32_t nb_members;
};

struct builder {
	yaml_parser_t parser;
	struct block *blocks;
	struct sl_yaml_error *err;
	struct level levels[SL_YAML_DEPTH_MAX];
	uint32_t depth;
	uint32_t nb_nodes;
	struct doc_set *set;
	struct sl_yaml_doc *doc; /* the one that is being read */
};

__attribute__((format(printf, 4, 5))) static int fail_at(struct builder *b, int code, const yaml_mark_t *mark,
                                                         const char *fmt, ...)
{
	va_list ap;

	b->err->line = (uint32_t)mark->line + 1;
	b->err->column = (uint32_t)mark->column + 1;
	va_start(ap, fmt);
	vsnprintf(b->err->text, sizeof(b->err->text), fmt, ap);
	va_end(ap);
	return sl_fail(code);
}

static void *take(struct builder *b, size_t n)
{
	size_t need = (n + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
	struct block *k = b->blocks;
	void *p;

	if (k == NULL || k->size - k->used < need) {
		size_t size = need > BLOCK_BYTES ? need : BLOCK_BYTES;

		k = calloc(1, sizeof(*k) + size);
		if (k == NULL)
			return NULL;
		k->size = size;
		k->next = b->blocks;
		b->blocks = k;
	}
	p = (char *)k->bytes + k->used;
	k->used += need;
	return p;
}

static void free_blocks(struct block *k)
{
	while (k != NULL) {
		struct block *next = k->next;

		free(k);
		k = next;
	}
}

static struct sl_yaml_node *new_node(struct builder *b, const yaml_event_t *ev, enum sl_yaml_type type)
{
	struct sl_yaml_node *n = take(b, sizeof(*n));

	if (n == NULL)
		return NULL;
	n->type = type;
	n->line = (uint32_t)ev->start_mark.line + 1;
	n->column = (uint32_t)ev->start_mark.column + 1;
	return n;
}

/* Hangs a finished or opened node under its parent, or makes it the document's root. */
static void attach(struct builder *b, struct sl_yaml_node *n)
{
	struct level *l;

	if (b->depth == 0) {
		b->doc->root = n;
		return;
	}
	l = &b->levels[b->depth - 1];
	n->key = l->key;
	n->key_line = l->key_line;
	n->key_column = l->key_column;
	l->key = NULL;
	*l->tail = n;
	l->tail = &n->next;
}

static bool expects_key(const struct builder *b)
{
	return b->depth > 0 && b->levels[b->depth - 1].node->type == SL_YAML_MAP &&
	       b->levels[b->depth - 1].key == NULL;
}

static int on_key(struct builder *b, const yaml_event_t *ev, const char *text)
{
	struct level *l = &b->levels[b->depth - 1];

	if (++l->nb_members > SL_YAML_MEMBERS_MAX)
		return fail_at(b, SL_E_LIMIT, &ev->start_mark, "more than %d keys in one map",
		               SL_YAML_MEMBERS_MAX);
	if (sl_yaml_get(l->node, text) != NULL)
		return fail_at(b, SL_E_POLICY_SYNTAX, &ev->start_mark, "key \"%.100s\" is given twice", text);
	l->key = text;
	l->key_line = (uint32_t)ev->start_mark.line + 1;
	l->key_column = (uint32_t)ev->start_mark.column + 1;
	return SL_OK;
}

static int on_scalar(struct builder *b, const yaml_event_t *ev)
{
	const char *value = (const char *)ev->data.scalar.value;
	size_t n = ev->data.scalar.length;
	struct sl_yaml_node *node;
	char *text;

	if (ev->data.scalar.anchor != NULL || ev->data.scalar.tag != NULL)
		return fail_at(b, SL_E_POLICY_SYNTAX, &ev->start_mark, "anchors and tags are not taken");
	if (memchr(value, '\0', n) != NULL)
		return fail_at(b, SL_E_POLICY_SYNTAX, &ev->start_mark, "a text may not hold a NUL character");
	text = take(b, n + 1);
	if (text == NULL)
		return fail_at(b, SL_E_NOMEM, &ev->start_mark, "out of memory");
	memcpy(text, value, n);
	if (expects_key(b))
		return on_key(b, ev, text);
	node = new_node(b, ev, SL_YAML_SCALAR);
	if (node == NULL)
		return fail_at(b, SL_E_NOMEM, &ev->start_mark, "out of memory");
	node->scalar = text;
	node->plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	attach(b, node);
	return SL_OK;
}

static int on_open(struct builder *b, const yaml_event_t *ev, enum sl_yaml_type type, const void *anchor,
                   const void *tag)
{
	struct sl_yaml_node *node;
	struct level *l;

	if (anchor != NULL || tag != NULL)
		return fail_at(b, SL_E_POLICY_SYNTAX, &ev->start_mark, "anchors and tags are not taken");
	if (expects_key(b))
		return fail_at(b, SL_E_POLICY_SYNTAX, &ev->start_mark, "a key must be a simple text");
	if (b->depth == SL_YAML_DEPTH_MAX)
		return fail_at(b, SL_E_LIMIT, &ev->start_mark, "nested deeper than %d levels",
		               SL_YAML_DEPTH_MAX);
	node = new_node(b, ev, type);
	if (node == NULL)
		return fail_at(b, SL_E_NOMEM, &ev->start_mark, "out of memory");
	attach(b, node);
	l = &b->levels[b->depth++];
	memset(l, 0, sizeof(*l));
	l->node = node;
	l->tail = &node->first;
	return SL_OK;
}

static int on_document(struct builder *b, const yaml_event_t *ev)
{
	struct sl_yaml_doc *doc;

	if (b->set == NULL) {
		b->set = take(b, sizeof(*b->set));
		doc = b->set != NULL ? &b->set->first : NULL;
	} else {
		doc = take(b, sizeof(*doc));
	}
	if (doc == NULL)
		return fail_at(b, SL_E_NOMEM, &ev->start_mark, "out of memory");
	if (b->doc != NULL)
		b->doc->next = doc;
	b->doc = doc;
	return SL_OK;
}

static int on_event(struct builder *b, const yaml_event_t *ev)
{
	if (++b->nb_nodes > SL_YAML_NODES_MAX)
		return fail_at(b, SL_E_LIMIT, &ev->start_mark, "more than %d nodes", SL_YAML_NODES_MAX);
	switch (ev->type) {
	case YAML_DOCUMENT_START_EVENT:
		return on_document(b, ev);
	case YAML_ALIAS_EVENT:
		return fail_at(b, SL_E_POLICY_SYNTAX, &ev->start_mark, "aliases are not taken");
	case YAML_SCALAR_EVENT:
		return on_scalar(b, ev);
	case YAML_SEQUENCE_START_EVENT:
		return on_open(b, ev, SL_YAML_LIST, ev->data.sequence_start.anchor,
		               ev->data.sequence_start.tag);
	case YAML_MAPPING_START_EVENT:
		return on_open(b, ev, SL_YAML_MAP, ev->data.mapping_start.anchor, ev->data.mapping_start.tag);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		b->depth--;
		return SL_OK;
	default:
		return SL_OK;
	}
}

static int parser_error(struct builder *b)
{
	const yaml_parser_t *p = &b->parser;

	if (p->error == YAML_MEMORY_ERROR)
		return fail_at(b, SL_E_NOMEM, &p->problem_mark, "out of memory");
	return fail_at(b, SL_E_POLICY_SYNTAX, p->error == YAML_READER_ERROR ? &p->mark : &p->problem_mark,
	               "%s%s%s", p->problem != NULL ? p->problem : "not YAML", p->context != NULL ? " " : "",
	               p->context != NULL ? p->context : "");
}

static int build(struct builder *b)
{
	for (;;) {
		yaml_event_t ev;
		bool end;
		int rc;

		if (!yaml_parser_parse(&b->parser, &ev))
			return parser_error(b);
		end = ev.type == YAML_STREAM_END_EVENT;
		rc = on_event(b, &ev);
		yaml_event_delete(&ev);
		if (rc != SL_OK || end)
			return rc;
	}
}

int sl_yaml_parse(struct sl_span text, struct sl_yaml_doc **out, struct sl_yaml_error *err)
{
	struct builder b = {.err = err};
	int rc;

	*out = NULL;
	memset(err, 0, sizeof(*err));
	if (text.n > SL_YAML_BYTES_MAX) {
		snprintf(err->text, sizeof(err->text), "longer than %u bytes", SL_YAML_BYTES_MAX);
		return sl_fail(SL_E_LIMIT);
	}
	if (!yaml_parser_initialize(&b.parser)) {
		snprintf(err->text, sizeof(err->text), "out of memory");
		return sl_fail(SL_E_NOMEM);
	}
	/* Without this a byte order mark would switch to UTF-16. */
	yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&b.parser, text.n > 0 ? text.p : (const unsigned char *)"", text.n);
	rc = build(&b);
	yaml_parser_delete(&b.parser);
	if (rc != SL_OK || b.set == NULL) {
		free_blocks(b.blocks);
		return rc;
	}
	b.set->blocks = b.blocks;
	*out = &b.set->first;
	return SL_OK;
}

void sl_yaml_free(struct sl_yaml_doc *docs)
{
	/* The first document is the first member of its set. */
	if (docs != NULL)
		free_blocks(((struct doc_set *)docs)->blocks);
}

const struct sl_yaml_node *sl_yaml_get(const struct sl_yaml_node *n, const char *key)
{
	if (n == NULL || n->type != SL_YAML_MAP)
		return NULL;
	for (const struct sl_yaml_node *m = n->first; m != NULL; m = m->next) {
		if (strcmp(m->key, key) == 0)
			return m;
	}
	return NULL;
}
