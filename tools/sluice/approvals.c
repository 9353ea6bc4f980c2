#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

#define STATEMENT_BYTES_MAX (64 * 1024) /* shown of a statement */
#define NAMES_MAX           320         /* of the rules that hold it */
#define RULE_TEXT_MAX       512         /* a rule's line */

/* The rules that hold it, "a, b"; with more than fit, "...". */
static void rule_names(const json_t *a, char *out, size_t cap)
{
	const json_t *one;
	size_t i, n = 0;

	out[0] = '\0';
	json_array_foreach(json_object_get(a, "rules"), i, one)
	{
		int len = snprintf(out + n, cap - n, "%s%s", i > 0 ? ", " : "", js(one, "name"));

		if (len < 0 || (size_t)len >= cap - n) {
			snprintf(out + cap - sizeof("..."), sizeof("..."), "...");
			return;
		}
		n += (size_t)len;
	}
}

static void print_row(struct table *t, const json_t *a)
{
	char when[TIME_STR_MAX], names[NAMES_MAX];

	table_text(t, js(a, "id"));
	table_text(t, js(a, "state"));
	table_text(t, js(a, "user"));
	table_text(t, js(a, "resource"));
	rule_names(a, names, sizeof(names));
	table_text(t, names);
	table_text(t, text_time(ju(a, "created_us"), when));
	table_text(t, text_time(ju(a, "expires_us"), when));
	table_text(t, js(a, "statement"));
}

int cmd_approvals_ls(struct cli *c)
{
	static const char *const heads[] = {"ID",    "STATE",   "USER",    "RESOURCE",
	                                    "RULES", "CREATED", "EXPIRES", "STATEMENT"};
	const char *state = c->state == NULL ? "pending" : c->state;
	struct table *t;
	struct reply r;
	json_t *a;
	bool done;
	size_t i;
	int rc;

	if (strcmp(state, "pending") != 0 && strcmp(state, "all") != 0) {
		complain("--state is pending or all");
		return EXIT_USAGE;
	}
	rc = api_get(c, strcmp(state, "all") == 0 ? "/v1/approvals?state=all" : "/v1/approvals?state=pending",
	             &r, &done);
	if (rc == EXIT_DONE && !done) {
		t = table_new(heads, sizeof(heads) / sizeof(heads[0]));
		json_array_foreach(json_object_get(r.json, "approvals"), i, a)
		{
			print_row(t, a);
		}
		table_print(t, stdout);
		table_free(t);
	}
	reply_free(&r);
	return rc;
}

static void line(const char *name, const char *value)
{
	if (value[0] == '\0')
		return;
	printf("%-11s ", name);
	text_line(stdout, sl_span_str(value), 0);
	putchar('\n');
}

/* Whom the rule asks: "any approver", or the groups. */
static void put_approvers(FILE *f, const json_t *rule)
{
	const json_t *list = json_object_get(rule, "approvers"), *one;
	size_t i;

	if (json_array_size(list) == 0)
		fputs("any approver", f);
	json_array_foreach(list, i, one)
	{
		fprintf(f, "%s%s", i > 0 ? ", " : "", json_is_string(one) ? json_string_value(one) : "?");
	}
}

/* What one rule asks for, and how far that is. */
static void print_rule(const json_t *r)
{
	char text[RULE_TEXT_MAX] = "";
	FILE *f = fmemopen(text, sizeof(text), "w");

	if (f == NULL)
		return;
	fprintf(f, "%s: %llu of %llu from ", js(r, "name"), (unsigned long long)ju(r, "approved"),
	        (unsigned long long)ju(r, "quorum"));
	put_approvers(f, r);
	if (js(r, "granted_by")[0] != '\0')
		fprintf(f, "; granted by %s with %s", js(r, "granted_by"), js(r, "granted_with"));
	if (strcmp(js(r, "grant"), "session") == 0)
		fputs("; counts for the rest of the session", f);
	if (strcmp(js(r, "grant"), "window") == 0)
		fprintf(f, "; counts for this user for %llu s", (unsigned long long)ju(r, "grant_s"));
	fclose(f);
	line("rule", text);
}

/* What each rule asks for, and who has approved. */
static void print_rules(const json_t *a)
{
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(a, "rules"), i, one)
	{
		print_rule(one);
	}
	json_array_foreach(json_object_get(a, "approvals"), i, one)
	{
		line("approved by", js(one, "by"));
	}
}

static void print_approval(const json_t *a)
{
	char when[TIME_STR_MAX];
	char *cmd = jtext(a, "cmd");

	line("approval", js(a, "id"));
	line("state", js(a, "state"));
	line("user", js(a, "user"));
	line("issuer", js(a, "issuer"));
	line("resource", js(a, "resource"));
	line("database", js(a, "database"));
	line("session", js(a, "session"));
	line("command", cmd == NULL ? "" : cmd);
	line("event", js(a, "event_id"));
	line("message", js(a, "message"));
	print_rules(a);
	line("created", text_time(ju(a, "created_us"), when));
	line("expires", text_time(ju(a, "expires_us"), when));
	if (ju(a, "decided_us") != 0) {
		line("decided", text_time(ju(a, "decided_us"), when));
		line("decided by", js(a, "decided_by"));
		line("note", js(a, "note"));
	}
	line("sha256", js(a, "statement_sha256"));
	if (json_is_true(json_object_get(a, "statement_truncated")))
		printf("statement, its start only: it has %llu bytes\n",
		       (unsigned long long)ju(a, "statement_bytes"));
	else
		puts("statement");
	text_block(stdout, "    ", sl_span_str(js(a, "statement")), STATEMENT_BYTES_MAX);
	free(cmd);
}

/* "/v1/approvals/ID" and what follows, malloc'd. */
static char *path_of(const char *id, const char *tail)
{
	char *enc = api_encode(id), *path = NULL;

	if (enc == NULL || asprintf(&path, "/v1/approvals/%s%s", enc, tail) < 0)
		path = NULL;
	free(enc);
	return path;
}

int cmd_approvals_show(struct cli *c)
{
	char *path = path_of(c->arg[0], "");
	struct reply r = {.status = 0};
	bool done;
	int rc = path == NULL ? EXIT_FAILED : api_get(c, path, &r, &done);

	if (rc == EXIT_DONE && !done)
		print_approval(r.json);
	free(path);
	reply_free(&r);
	return rc;
}

static int decide(struct cli *c, const char *tail, const char *said)
{
	char *path = path_of(c->arg[0], tail);
	json_t *body = c->note == NULL ? json_object() : json_pack("{s:s}", "note", c->note);
	char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
	struct reply r = {.status = 0};
	int rc = EXIT_FAILED;

	if (path == NULL || text == NULL)
		complain("the note is not UTF-8 text");
	else
		rc = api_call(c, POST, path, "application/json", sl_span_str(text), &r);
	if (rc == EXIT_DONE && c->json && r.json != NULL) {
		print_json(r.json);
	} else if (rc == EXIT_DONE) {
		printf("%s ", said);
		text_line(stdout, sl_span_str(c->arg[0]), 0);
		putchar('\n');
	}
	free(text);
	json_decref(body);
	free(path);
	reply_free(&r);
	return rc;
}

int cmd_approvals_approve(struct cli *c)
{
	return decide(c, "/approve", "approved");
}

int cmd_approvals_deny(struct cli *c)
{
	return decide(c, "/deny", "denied");
}
