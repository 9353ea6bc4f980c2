/* Two sets of policy documents compared document by document: what is new, gone, and which of their keys
 * changed. */
#include <stdlib.h>
#include <string.h>

#include "policy_files.h"
#include "sl_yaml.h"

struct document {
	const char *kind, *name;
	const struct sl_yaml_node *root;
	bool seen;
};

struct documents {
	struct sl_yaml_doc **files;
	unsigned int nb_files;
	struct document *v;
	size_t nb, cap;
};

static const char *scalar(const struct sl_yaml_node *n)
{
	return n != NULL && n->type == SL_YAML_SCALAR ? n->scalar : "";
}

static bool keep(struct documents *d, const struct sl_yaml_node *root)
{
	if (d->nb == d->cap) {
		size_t cap = d->cap > 0 ? 2 * d->cap : 64;
		struct document *v = realloc(d->v, cap * sizeof(*v));

		if (v == NULL)
			return false;
		d->v = v;
		d->cap = cap;
	}
	d->v[d->nb++] = (struct document){.kind = scalar(sl_yaml_get(root, "kind")),
	                                  .name = scalar(sl_yaml_get(sl_yaml_get(root, "metadata"), "name")),
	                                  .root = root};
	return true;
}

static bool load(struct documents *d, const struct policy_file *f, unsigned int nb)
{
	struct sl_yaml_error err;

	memset(d, 0, sizeof(*d));
	d->files = calloc(nb, sizeof(struct sl_yaml_doc *));
	if (d->files == NULL)
		return false;
	d->nb_files = nb;
	for (unsigned int i = 0; i < nb; i++) {
		if (sl_yaml_parse(sl_span(f[i].text, f[i].n), &d->files[i], &err) != SL_OK) {
			complain("%s:%u:%u: %s", f[i].name, err.line, err.column, err.text);
			return false;
		}
		for (const struct sl_yaml_doc *y = d->files[i]; y != NULL; y = y->next) {
			if (y->root != NULL && y->root->type == SL_YAML_MAP && !keep(d, y->root))
				return false;
		}
	}
	return true;
}

static void unload(struct documents *d)
{
	for (unsigned int i = 0; i < d->nb_files; i++)
		sl_yaml_free(d->files[i]);
	free(d->files);
	free(d->v);
}

static bool same(const struct sl_yaml_node *a, const struct sl_yaml_node *b)
{
	const struct sl_yaml_node *m, *o;
	size_t nb = 0, nb_other = 0;

	if (a->type != b->type)
		return false;
	if (a->type == SL_YAML_SCALAR)
		return a->plain == b->plain && strcmp(a->scalar, b->scalar) == 0;
	for (o = b->first; o != NULL; o = o->next)
		nb_other++;
	for (m = a->first, o = b->first; m != NULL; m = m->next, nb++) {
		const struct sl_yaml_node *other = a->type == SL_YAML_MAP ? sl_yaml_get(b, m->key) : o;

		if (other == NULL || !same(m, other))
			return false;
		o = o != NULL ? o->next : NULL;
	}
	return nb == nb_other;
}

static void print_value(const struct sl_yaml_node *n)
{
	const char *open = n->type == SL_YAML_LIST ? "[" : "{", *close = n->type == SL_YAML_LIST ? "]" : "}";

	if (n->type == SL_YAML_SCALAR) {
		text_line(stdout, sl_span_str(n->scalar), 0);
		return;
	}
	fputs(open, stdout);
	for (const struct sl_yaml_node *m = n->first; m != NULL; m = m->next) {
		if (m != n->first)
			fputs(", ", stdout);
		if (n->type == SL_YAML_MAP)
			printf("%s: ", m->key);
		print_value(m);
	}
	fputs(close, stdout);
}

static void print_line(char sign, const char *key, const struct sl_yaml_node *n)
{
	printf("  %c %s: ", sign, key);
	print_value(n);
	putchar('\n');
}

/* The members of two maps that differ. */
static void print_members(const struct sl_yaml_node *from, const struct sl_yaml_node *to)
{
	for (const struct sl_yaml_node *m = from->first; m != NULL; m = m->next) {
		const struct sl_yaml_node *n = sl_yaml_get(to, m->key);

		if (n != NULL && same(m, n))
			continue;
		if (n != NULL && m->type == SL_YAML_MAP && n->type == SL_YAML_MAP) {
			print_members(m, n);
			continue;
		}
		print_line('-', m->key, m);
		if (n != NULL)
			print_line('+', n->key, n);
	}
	for (const struct sl_yaml_node *n = to->first; n != NULL; n = n->next) {
		if (sl_yaml_get(from, n->key) == NULL)
			print_line('+', n->key, n);
	}
}

static void print_head(char sign, const struct document *d)
{
	printf("%c %s ", sign, d->kind);
	text_line(stdout, sl_span_str(d->name), 0);
	putchar('\n');
}

static struct document *find(struct documents *in, const struct document *d)
{
	for (size_t i = 0; i < in->nb; i++) {
		if (strcmp(in->v[i].kind, d->kind) == 0 && strcasecmp(in->v[i].name, d->name) == 0)
			return &in->v[i];
	}
	return NULL;
}

static size_t print_changes(struct documents *from, struct documents *to)
{
	size_t changes = 0;

	for (size_t i = 0; i < from->nb; i++) {
		struct document *n = find(to, &from->v[i]);

		if (n != NULL)
			n->seen = true;
		if (n != NULL && same(from->v[i].root, n->root))
			continue;
		changes++;
		print_head(n != NULL ? '~' : '-', &from->v[i]);
		if (n != NULL)
			print_members(from->v[i].root, n->root);
	}
	for (size_t i = 0; i < to->nb; i++) {
		if (to->v[i].seen)
			continue;
		changes++;
		print_head('+', &to->v[i]);
	}
	return changes;
}

int policy_print_diff(const struct policy_file *from, unsigned int nb_from, const struct policy_file *to,
                      unsigned int nb_to)
{
	struct documents a = {0}, b = {0};
	int rc = load(&a, from, nb_from) && load(&b, to, nb_to) ? EXIT_DONE : EXIT_CORRUPT;

	if (rc == EXIT_DONE && print_changes(&a, &b) == 0)
		puts("no document differs");
	unload(&a);
	unload(&b);
	return rc;
}
