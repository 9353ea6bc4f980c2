/* Identities that a breaker has locked. */
#include <stdlib.h>

#include "cli.h"

static void print_row(struct table *t, const json_t *l)
{
	char when[TIME_STR_MAX];

	table_text(t, js(l, "id"));
	table_text(t, js(l, "user")[0] != '\0' ? js(l, "user") : js(l, "subject"));
	table_text(t, js(l, "issuer"));
	table_text(t, js(l, "breaker"));
	table_text(t, text_time(ju(l, "locked_us"), when));
	table_text(t, js(l, "event_id"));
}

int cmd_locks_ls(struct cli *c)
{
	static const char *const heads[] = {"ID", "USER", "ISSUER", "BREAKER", "LOCKED", "LAST DENIAL"};
	struct table *t;
	struct reply r;
	json_t *l;
	bool done;
	size_t i;
	int rc = api_get(c, "/v1/locks", &r, &done);

	if (rc == EXIT_DONE && !done) {
		t = table_new(heads, sizeof(heads) / sizeof(heads[0]));
		json_array_foreach(json_object_get(r.json, "locks"), i, l)
		{
			print_row(t, l);
		}
		table_print(t, stdout);
		table_free(t);
	}
	reply_free(&r);
	return rc;
}

int cmd_locks_release(struct cli *c)
{
	char *enc = api_encode(c->arg[0]), *path = NULL;
	struct reply r = {.status = 0};
	int rc = EXIT_FAILED;

	if (enc == NULL || asprintf(&path, "/v1/locks/%s", enc) < 0)
		path = NULL;
	if (path != NULL)
		rc = api_call(c, DELETE, path, NULL, SL_SPAN_EMPTY, &r);
	if (rc == EXIT_DONE && c->json && r.json != NULL) {
		print_json(r.json);
	} else if (rc == EXIT_DONE) {
		fputs("released ", stdout);
		text_line(stdout,
		          sl_span_str(js(r.json, "user")[0] != '\0' ? js(r.json, "user")
		                                                    : js(r.json, "subject")),
		          0);
		putchar('\n');
	}
	free(enc);
	free(path);
	reply_free(&r);
	return rc;
}
