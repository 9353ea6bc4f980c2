#include <stdlib.h>

#include "policy_files.h"
#include "sl_snapshot.h"

void policy_files_free(struct policy_file *f, unsigned int nb)
{
	for (unsigned int i = 0; i < nb; i++)
		free(f[i].text);
	free(f);
}

struct policy_file *policy_files_load(char *const *names, unsigned int nb)
{
	struct policy_file *f = calloc(nb, sizeof(*f));
	size_t total = 0;

	for (unsigned int i = 0; f != NULL && i < nb; i++) {
		f[i].name = names[i];
		f[i].text = read_all(names[i], POLICY_BYTES_MAX, &f[i].n);
		total += f[i].n;
		if (f[i].text == NULL || total > POLICY_BYTES_MAX) {
			if (f[i].text != NULL)
				complain("the documents are too large together");
			policy_files_free(f, nb);
			return NULL;
		}
	}
	return f;
}

static struct policy_file *load_files(const struct cli *c)
{
	return policy_files_load(c->arg, (unsigned int)c->nb_args);
}

/* The files as one stream of YAML documents. Errors from the gateway are in lines of this. */
static char *join(const struct policy_file *f, unsigned int nb, size_t *n)
{
	char *p = NULL;
	FILE *out = open_memstream(&p, n);

	if (out == NULL)
		return NULL;
	for (unsigned int i = 0; i < nb; i++) {
		if (i > 0)
			fputs("---\n", out);
		fwrite(f[i].text, 1, f[i].n, out);
		if (f[i].n > 0 && f[i].text[f[i].n - 1] != '\n')
			fputc('\n', out);
	}
	return fclose(out) == 0 ? p : NULL;
}

static int post(struct cli *c, const char *path, struct sl_span text, const char *said)
{
	struct reply r;
	int rc = api_call(c, POST, path, "application/yaml", text, &r);

	if (rc != EXIT_DONE && r.status == 422)
		rc = EXIT_CORRUPT;
	if (rc == EXIT_DONE && c->json && r.json != NULL)
		print_json(r.json);
	else if (rc == EXIT_DONE)
		printf("%s (version %llu)\n", said, (unsigned long long)ju(r.json, "version"));
	reply_free(&r);
	return rc;
}

static int post_files(struct cli *c, const struct policy_file *f, const char *path, const char *said)
{
	size_t n = 0;
	char *text = join(f, (unsigned int)c->nb_args, &n);
	int rc = text == NULL ? EXIT_FAILED : post(c, path, sl_span(text, n), said);

	free(text);
	return rc;
}

static int check_here(const struct policy_file *f, unsigned int nb)
{
	struct sl_snapshot *s = policy_compile(f, nb);

	if (s == NULL)
		return EXIT_CORRUPT;
	printf("%u resources, %u roles, %u rules, %u masks, %u tests: good\n", s->nb_resources, s->nb_roles,
	       s->nb_rules, s->nb_masks, s->nb_tests);
	policy_done(s);
	return EXIT_DONE;
}

int cmd_policy_check(struct cli *c)
{
	struct policy_file *f = load_files(c);
	int rc;

	if (f == NULL)
		return EXIT_USAGE;
	if (c->remote)
		rc = post_files(c, f, "/v1/policies?dry_run=1", "would be taken");
	else
		rc = check_here(f, (unsigned int)c->nb_args);
	policy_files_free(f, (unsigned int)c->nb_args);
	return rc;
}

/* The documents in force, as one file. */
static int load_current(struct cli *c, struct policy_file *out)
{
	struct reply r = {.status = 0};
	int rc = api_call(c, GET, "/v1/policies/current", NULL, SL_SPAN_EMPTY, &r);

	if (rc == EXIT_DONE) {
		out->name = "policy in force";
		out->text = (uint8_t *)strdup(js(r.json, "documents"));
		out->n = strlen(js(r.json, "documents"));
		rc = out->text != NULL ? EXIT_DONE : EXIT_FAILED;
	}
	reply_free(&r);
	return rc;
}

int cmd_policy_diff(struct cli *c)
{
	struct policy_file *f = load_files(c), from = {.name = c->against};
	int rc = EXIT_DONE;

	if (f == NULL)
		return EXIT_USAGE;
	if (c->against == NULL) {
		rc = load_current(c, &from);
	} else {
		from.text = read_all(c->against, POLICY_BYTES_MAX, &from.n);
		rc = from.text != NULL ? EXIT_DONE : EXIT_USAGE;
	}
	if (rc == EXIT_DONE)
		rc = policy_print_diff(&from, 1, f, (unsigned int)c->nb_args);
	free(from.text);
	policy_files_free(f, (unsigned int)c->nb_args);
	return rc;
}

int cmd_policy_apply(struct cli *c)
{
	struct policy_file *f = load_files(c);
	int rc;

	if (f == NULL)
		return EXIT_USAGE;
	rc = post_files(c, f, "/v1/policies", "applied");
	policy_files_free(f, (unsigned int)c->nb_args);
	return rc;
}

/* A version's number from the command line into a path. */
static int version_path(const char *s, char *out, size_t cap)
{
	char *end;
	unsigned long long n = strtoull(s, &end, 10);

	if (s[0] < '0' || s[0] > '9' || *end != '\0') {
		complain("%s: not a version", s);
		return EXIT_USAGE;
	}
	snprintf(out, cap, "/v1/policies/versions/%llu", n);
	return EXIT_DONE;
}

int cmd_policy_show(struct cli *c)
{
	char path[64] = "/v1/policies/current", when[TIME_STR_MAX];
	const char *documents;
	struct reply r = {.status = 0};
	bool done;
	int rc = c->nb_args == 0 ? EXIT_DONE : version_path(c->arg[0], path, sizeof(path));

	if (rc == EXIT_DONE)
		rc = api_get(c, path, &r, &done);
	if (rc == EXIT_DONE && !done) {
		printf("# version %llu, applied %s by ", (unsigned long long)ju(r.json, "version"),
		       text_time(ju(r.json, "applied_at_us"), when));
		text_line(stdout, sl_span_str(js(r.json, "applied_by")), 0);
		putchar('\n');
		documents = js(r.json, "documents");
		text_block(stdout, "", sl_span_str(documents), POLICY_BYTES_MAX);
	}
	reply_free(&r);
	return rc;
}

int cmd_policy_versions(struct cli *c)
{
	static const char *const heads[] = {"VERSION", "APPLIED", "BY", "SHA256"};
	char when[TIME_STR_MAX];
	const json_t *list;
	struct table *t;
	struct reply r;
	json_t *v;
	bool done;
	size_t i;
	int rc = api_get(c, "/v1/policies/versions", &r, &done);

	if (rc == EXIT_DONE && !done) {
		list = json_is_array(r.json) ? r.json : json_object_get(r.json, "versions");
		t = table_new(heads, 4);
		json_array_foreach(list, i, v)
		{
			table_fmt(t, "%llu", (unsigned long long)ju(v, "version"));
			table_text(t, text_time(ju(v, "applied_at_us"), when));
			table_text(t, js(v, "applied_by"));
			table_span(t, sl_span_sub(sl_span_str(js(v, "sha256")), 0, 16));
		}
		table_print(t, stdout);
		table_free(t);
	}
	reply_free(&r);
	return rc;
}

/* A rollback goes forward: the old documents become a new version, so that history is never rewritten. */
int cmd_policy_rollback(struct cli *c)
{
	struct reply r = {.status = 0};
	char path[64];
	int rc = version_path(c->arg[0], path, sizeof(path));

	if (rc == EXIT_DONE)
		rc = api_call(c, GET, path, NULL, SL_SPAN_EMPTY, &r);
	if (rc == EXIT_DONE && !json_is_string(json_object_get(r.json, "documents"))) {
		complain("the gateway's answer holds no documents");
		rc = EXIT_FAILED;
	}
	if (rc == EXIT_DONE)
		rc = post(c, "/v1/policies", sl_span_str(js(r.json, "documents")), "applied again");
	reply_free(&r);
	return rc;
}
