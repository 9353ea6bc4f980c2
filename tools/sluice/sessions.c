#include <stdlib.h>

#include "cli.h"
#include "play.h"

#define LIMIT_DEFAULT 50
#define PAGE_RECORDS  200 /* records of one request */

int cmd_sessions_ls(struct cli *c)
{
	static const char *const heads[] = {"ID",    "USER",  "RESOURCE", "DATABASE", "CLIENT",
	                                    "START", "STATE", "COMMANDS", "DENIED"};
	char path[256], when[TIME_STR_MAX], *before = c->before == NULL ? NULL : api_encode(c->before);
	struct table *t;
	struct reply r;
	json_t *s;
	bool done;
	size_t i;
	int rc;

	snprintf(path, sizeof(path), "/v1/sessions?limit=%lu%s%s", c->limit == 0 ? LIMIT_DEFAULT : c->limit,
	         before == NULL ? "" : "&before=", before == NULL ? "" : before);
	free(before);
	rc = api_get(c, path, &r, &done);
	if (rc == EXIT_DONE && !done) {
		t = table_new(heads, sizeof(heads) / sizeof(heads[0]));
		json_array_foreach(json_object_get(r.json, "sessions"), i, s)
		{
			table_text(t, js(s, "id"));
			table_text(t, js(s, "user"));
			table_text(t, js(s, "resource"));
			table_text(t, js(s, "database"));
			table_text(t, js(s, "client"));
			table_text(t, text_time(ju(s, "started_us"), when));
			table_text(t, js(s, "state"));
			table_fmt(t, "%llu", (unsigned long long)ju(s, "commands"));
			table_fmt(t, "%llu", (unsigned long long)ju(s, "denied"));
		}
		table_print(t, stdout);
		table_free(t);
	}
	reply_free(&r);
	return rc;
}

static char *path_of(const char *id, const char *tail)
{
	char *enc = api_encode(id), *path = NULL;

	if (enc == NULL || asprintf(&path, "/v1/sessions/%s%s", enc, tail) < 0)
		path = NULL;
	free(enc);
	return path;
}

typedef void (*record_fn)(void *ctx, const json_t *rec);

/* One page; *next is where the following one starts, UINT64_MAX behind the last. */
static int one_page(struct cli *c, const char *id, uint64_t *next, record_fn fn, void *ctx)
{
	const json_t *rec, *n;
	uint64_t from = *next;
	struct reply r = {.status = 0};
	char tail[96], *path;
	size_t i;
	int rc = EXIT_FAILED;

	snprintf(tail, sizeof(tail), "/records?from=%llu&limit=%d", (unsigned long long)from, PAGE_RECORDS);
	path = path_of(id, tail);
	if (path != NULL)
		rc = api_call(c, GET, path, NULL, SL_SPAN_EMPTY, &r);
	free(path);
	if (rc != EXIT_DONE)
		goto out;
	json_array_foreach(json_object_get(r.json, "records"), i, rec)
	{
		fn(ctx, rec);
	}
	n = json_object_get(r.json, "next");
	*next = json_is_integer(n) ? ju(r.json, "next") : UINT64_MAX;
	/* A page that leads back would never end. */
	if (*next != UINT64_MAX && *next <= from) {
		complain("the gateway's answer does not go on");
		rc = EXIT_FAILED;
	}
out:
	reply_free(&r);
	return rc;
}

static int each_record(struct cli *c, record_fn fn, void *ctx)
{
	uint64_t next = 0;
	int rc = EXIT_DONE;

	while (rc == EXIT_DONE && next != UINT64_MAX)
		rc = one_page(c, c->arg[0], &next, fn, ctx);
	return rc;
}

static void append_json(void *ctx, const json_t *rec)
{
	(void)json_array_append(ctx, (json_t *)(uintptr_t)rec);
}

static int records_as_json(struct cli *c)
{
	json_t *all = json_array();
	int rc = all == NULL ? EXIT_FAILED : each_record(c, append_json, all);

	if (rc == EXIT_DONE)
		print_json(all);
	json_decref(all);
	return rc;
}

/* What to say of a record in one line: the first of these that it has. */
static void add_summary(struct table *t, const json_t *rec)
{
	static const char *const keys[] = {"text", "tag", "outcome", "reason", "code", "message", "user"};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (js(rec, keys[i])[0] != '\0') {
			table_text(t, js(rec, keys[i]));
			return;
		}
	}
	table_text(t, "");
}

static void add_record(void *ctx, const json_t *rec)
{
	char when[TIME_STR_MAX], *verdict = jtext(rec, "verdict");
	struct table *t = ctx;

	table_fmt(t, "%llu", (unsigned long long)ju(rec, "n"));
	table_text(t, text_time(ju(rec, "t_us"), when));
	table_text(t, js(rec, "kind"));
	if (ju(rec, "cmd") == 0)
		table_text(t, "");
	else
		table_fmt(t, "%llu", (unsigned long long)ju(rec, "cmd"));
	table_text(t, verdict);
	add_summary(t, rec);
	free(verdict);
}

int cmd_sessions_show(struct cli *c)
{
	static const char *const heads[] = {"N", "TIME", "KIND", "CMD", "VERDICT", "WHAT"};
	struct table *t;
	int rc;

	if (c->json)
		return records_as_json(c);
	t = table_new(heads, sizeof(heads) / sizeof(heads[0]));
	rc = t == NULL ? EXIT_FAILED : each_record(c, add_record, t);
	if (rc == EXIT_DONE)
		table_print(t, stdout);
	table_free(t);
	return rc;
}

static void play_record(void *ctx, const json_t *rec)
{
	player_record(ctx, rec);
}

int cmd_sessions_play(struct cli *c)
{
	struct player *p;
	int rc;

	if (c->json)
		return records_as_json(c);
	p = player_new(stdout, c->colour, c->rows == 0 ? PLAY_ROWS_DEFAULT : c->rows);
	if (p == NULL)
		return EXIT_FAILED;
	fputs("session   ", stdout);
	text_line(stdout, sl_span_str(c->arg[0]), 0);
	putchar('\n');
	rc = each_record(c, play_record, p);
	player_free(p);
	return rc;
}

int cmd_sessions_verify(struct cli *c)
{
	char *path = c->nb_args == 0 ? strdup("/v1/verify") : path_of(c->arg[0], "/verify");
	struct reply r = {.status = 0};
	int rc = EXIT_FAILED;

	if (path != NULL)
		rc = api_call(c, c->nb_args == 0 ? POST : GET, path, NULL, SL_SPAN_EMPTY, &r);
	if (rc == EXIT_DONE && !json_is_boolean(json_object_get(r.json, "ok"))) {
		complain("the gateway's answer says neither yes nor no");
		rc = EXIT_FAILED;
	}
	if (rc == EXIT_DONE && !jb(r.json, "ok"))
		rc = EXIT_CORRUPT;
	if (c->json && r.json != NULL && rc != EXIT_FAILED) {
		print_json(r.json);
	} else if (rc == EXIT_DONE) {
		printf("verified: %llu sessions, %llu records, %llu checkpoints\n",
		       (unsigned long long)ju(r.json, "sessions"), (unsigned long long)ju(r.json, "records"),
		       (unsigned long long)ju(r.json, "checkpoints"));
	} else if (rc == EXIT_CORRUPT) {
		complain("DOES NOT VERIFY: %s", js(r.json, "problem"));
	}
	free(path);
	reply_free(&r);
	return rc;
}

int cmd_sessions_kill(struct cli *c)
{
	char *path = path_of(c->arg[0], "");
	struct reply r = {.status = 0};
	int rc = path == NULL ? EXIT_FAILED : api_call(c, DELETE, path, NULL, SL_SPAN_EMPTY, &r);

	free(path);
	reply_free(&r);
	return rc;
}
