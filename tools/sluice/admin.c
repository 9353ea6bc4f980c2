/* status, health, metrics, resources, credentials */
#include <stdlib.h>

#include "cli.h"
#include "sl_secret.h"

/* Any JSON as indented "name: value" lines: the status has what the gateway's parts put there. */
static void print_tree(const json_t *j, int depth)
{
	const char *key;
	json_t *v;
	size_t i;

	if (json_is_array(j)) {
		json_array_foreach(j, i, v)
		{
			printf("%*s- ", 2 * depth, "");
			if (json_is_object(v) || json_is_array(v))
				putchar('\n');
			print_tree(v, depth + 1);
		}
		return;
	}
	if (!json_is_object(j)) {
		char *s = json_is_string(j) ? strdup(json_string_value(j)) : json_dumps(j, JSON_ENCODE_ANY);

		text_line(stdout, sl_span_str(s), 0);
		putchar('\n');
		free(s);
		return;
	}
	json_object_foreach((json_t *)(uintptr_t)j, key, v)
	{
		printf("%*s", 2 * depth, "");
		text_line(stdout, sl_span_str(key), 0);
		fputs(json_is_object(v) || json_is_array(v) ? ":\n" : ": ", stdout);
		print_tree(v, depth + 1);
	}
}

static int show_tree(struct cli *c, const char *path)
{
	struct reply r;
	bool done;
	int rc = api_get(c, path, &r, &done);

	if (rc == EXIT_DONE && !done)
		print_tree(r.json, 0);
	reply_free(&r);
	return rc;
}

int cmd_status(struct cli *c)
{
	return show_tree(c, "/v1/status");
}

int cmd_health(struct cli *c)
{
	struct reply r;
	bool done;
	int rc = api_get(c, "/v1/health", &r, &done);
	char *reasons;

	if (rc == EXIT_DONE && !done) {
		reasons = jlist(r.json, "reasons");
		text_line(stdout, sl_span_str(js(r.json, "status")), 0);
		if (reasons != NULL && reasons[0] != '\0') {
			fputs(": ", stdout);
			text_line(stdout, sl_span_str(reasons), 0);
		}
		putchar('\n');
		free(reasons);
	}
	if (rc == EXIT_DONE && strcmp(js(r.json, "status"), "ok") != 0)
		rc = EXIT_FAILED;
	reply_free(&r);
	return rc;
}

int cmd_metrics(struct cli *c)
{
	struct reply r;
	int rc = api_call(c, GET, "/v1/metrics", NULL, SL_SPAN_EMPTY, &r);

	if (rc == EXIT_DONE && r.n > 0)
		text_block(stdout, "", sl_span(r.body, r.n), r.n);
	reply_free(&r);
	return rc;
}

static void add_scalar(struct table *t, const json_t *o, const char *key)
{
	char *s = jtext(o, key);

	table_text(t, s);
	free(s);
}

static void add_list(struct table *t, const json_t *o, const char *key)
{
	char *s = jlist(o, key);

	table_text(t, s);
	free(s);
}

int cmd_resources_ls(struct cli *c)
{
	static const char *const heads[] = {"NAME", "PROTOCOL", "ADDRESS", "TLS", "CREDENTIAL", "DATABASES"};
	struct table *t;
	struct reply r;
	json_t *o;
	bool done;
	size_t i;
	int rc = api_get(c, "/v1/resources", &r, &done);

	if (rc == EXIT_DONE && !done) {
		t = table_new(heads, 6);
		json_array_foreach(r.json, i, o)
		{
			for (unsigned int k = 0; k < 5; k++) {
				static const char *const keys[] = {"name", "protocol", "address", "tls",
				                                   "credential"};

				add_scalar(t, o, keys[k]);
			}
			add_list(t, o, "databases");
		}
		table_print(t, stdout);
		table_free(t);
	}
	reply_free(&r);
	return rc;
}

int cmd_credentials_ls(struct cli *c)
{
	static const char *const heads[] = {"NAME", "USERNAME", "UPDATED"};
	char when[TIME_STR_MAX];
	struct table *t;
	struct reply r;
	json_t *o;
	bool done;
	size_t i;
	int rc = api_get(c, "/v1/credentials", &r, &done);

	if (rc == EXIT_DONE && !done) {
		t = table_new(heads, 3);
		json_array_foreach(r.json, i, o)
		{
			table_text(t, js(o, "name"));
			table_text(t, js(o, "username"));
			table_text(t, text_time(ju(o, "updated_us"), when));
		}
		table_print(t, stdout);
		table_free(t);
	}
	reply_free(&r);
	return rc;
}

static int credential_path(const char *name, char **out)
{
	char *enc = api_encode(name);

	*out = NULL;
	if (enc == NULL || asprintf(out, "/v1/credentials/%s", enc) < 0)
		*out = NULL;
	free(enc);
	return *out == NULL ? EXIT_FAILED : EXIT_DONE;
}

/* The body holds the password: cleared, whatever happens. */
static int put_credential(struct cli *c, const char *path, const char *password, size_t n)
{
	json_t *body = json_pack("{s:s, s:s%}", "username", c->username, "password", password, n);
	char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
	struct reply r = {.status = 0};
	int rc = EXIT_FAILED;

	if (text == NULL) {
		complain("the user name or password is not UTF-8 text");
		rc = EXIT_USAGE;
	} else {
		rc = api_call(c, PUT, path, "application/json", sl_span_str(text), &r);
		sl_cleanse(text, strlen(text));
	}
	free(text);
	json_decref(body);
	reply_free(&r);
	return rc;
}

int cmd_credentials_set(struct cli *c)
{
	uint8_t *password;
	char *path;
	size_t n;
	int rc;

	if (c->username == NULL || c->password_file == NULL) {
		complain("credentials set needs --username and --password-file");
		return EXIT_USAGE;
	}
	if (credential_path(c->arg[0], &path) != EXIT_DONE)
		return EXIT_FAILED;
	password = read_all(c->password_file, SL_SECRET_MAX + 1, &n);
	if (password == NULL) {
		free(path);
		return EXIT_USAGE;
	}
	/* A file's last newline is not part of the password. */
	if (n > 0 && password[n - 1] == '\n')
		n--;
	rc = put_credential(c, path, (const char *)password, n);
	sl_cleanse(password, SL_SECRET_MAX + 2);
	free(password);
	free(path);
	return rc;
}

int cmd_credentials_rm(struct cli *c)
{
	struct reply r = {.status = 0};
	char *path;
	int rc = credential_path(c->arg[0], &path);

	if (rc == EXIT_DONE)
		rc = api_call(c, DELETE, path, NULL, SL_SPAN_EMPTY, &r);
	free(path);
	reply_free(&r);
	return rc;
}
