/*
 * What the commands share: the parsed command line, the way to the gateway, the output. Exit codes are the
 * interface: scripts rely on them.
 */
#ifndef SLUICE_CLI_H
#define SLUICE_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "sl_span.h"
#include "text.h"

enum exit_code {
	EXIT_DONE = 0,
	EXIT_FAILED = 1, /* refused by the gateway, or could not be done */
	EXIT_USAGE = 2,
	EXIT_CORRUPT = 3, /* records do not verify, or a policy does not compile */
};

#define TOKEN_MAX 16384 /* bytes of a token */
#define KEYS_MAX  8     /* --key options */
#define AS_MAX    64    /* --as options */

struct cli {
	/* options */
	const char *server, *ca, *token_file;
	bool json, remote;
	const char *note, *username, *password_file, *state, *before, *checkpoint;
	const char *key[KEYS_MAX];
	unsigned int nb_keys;
	const char *as[AS_MAX]; /* policy explain: "group=dba" ... */
	unsigned int nb_as;
	const char *resource, *database, *time, *statement, *against;
	const char *host, *port, *pgpass;
	bool all;
	unsigned long limit, rows, ttl;
	/* arguments behind the command's words */
	char **arg;
	int nb_args;
	/* state */
	bool colour;
	char token[TOKEN_MAX + 1];
};

/* ---- the way to the gateway (http.c) ---- */
enum method {
	GET,
	POST,
	PUT,
	DELETE,
};

struct reply {
	int status;
	char *body; /* NUL-ended */
	size_t n;
	json_t *json; /* NULL when it is not JSON */
};

/*
 * Asks. path is below the server's URL ("/v1/..."), its variable parts encoded (api_encode). 0 with *out for
 * 2xx; else an exit code, said to stderr. reply_free() in both cases.
 */
int api_call(struct cli *c, enum method method, const char *path, const char *content_type,
             struct sl_span body, struct reply *out);
void reply_free(struct reply *r);
/* A path segment, percent-encoded, as a malloc'd string. */
char *api_encode(const char *s);
/* GET whose answer must be JSON; with --json prints it and sets *done. */
int api_get(struct cli *c, const char *path, struct reply *out, bool *done);
/* A JSON text without insignificant differences, to stdout. */
void print_json(const json_t *j);

/* ---- JSON members; never NULL where a string is returned ---- */
const char *js(const json_t *o, const char *key); /* a string; "" when absent */
uint64_t ju(const json_t *o, const char *key);    /* an integer; 0 when absent or negative */
bool jb(const json_t *o, const char *key);
/* A scalar as text, for what may be a string or a number: malloc'd, "" when absent. */
char *jtext(const json_t *o, const char *key);
/* A list of strings, comma-separated, malloc'd. */
char *jlist(const json_t *o, const char *key);

__attribute__((format(printf, 1, 2))) void complain(const char *fmt,
                                                    ...); /* "sluice: ..." to stderr, cleaned */
/* Reads a file ("-": stdin) of at most max bytes, NUL behind it. NULL said to stderr. The caller clears and
 * frees. */
uint8_t *read_all(const char *file, size_t max, size_t *n);

/* Fills c->token once, from --token-file or the environment; none is no error. */
int load_token(struct cli *c);

/* ---- commands ---- */
int cmd_status(struct cli *c);
int cmd_health(struct cli *c);
int cmd_metrics(struct cli *c);
int cmd_resources_ls(struct cli *c);
int cmd_sessions_ls(struct cli *c);
int cmd_sessions_show(struct cli *c);
int cmd_sessions_play(struct cli *c);
int cmd_sessions_verify(struct cli *c);
int cmd_sessions_kill(struct cli *c);
int cmd_tcp_ls(struct cli *c);
int cmd_tcp_trace(struct cli *c);
int cmd_approvals_ls(struct cli *c);
int cmd_approvals_show(struct cli *c);
int cmd_approvals_approve(struct cli *c);
int cmd_approvals_deny(struct cli *c);
int cmd_locks_ls(struct cli *c);
int cmd_locks_release(struct cli *c);
int cmd_policy_show(struct cli *c);
int cmd_policy_versions(struct cli *c);
int cmd_policy_check(struct cli *c);
int cmd_policy_test(struct cli *c);
int cmd_policy_explain(struct cli *c);
int cmd_policy_diff(struct cli *c);
int cmd_policy_apply(struct cli *c);
int cmd_policy_rollback(struct cli *c);
int cmd_credentials_ls(struct cli *c);
int cmd_credentials_set(struct cli *c);
int cmd_credentials_rm(struct cli *c);
int cmd_login(struct cli *c);
int cmd_logins(struct cli *c);
int cmd_logout(struct cli *c);
int cmd_store_verify(struct cli *c);
int cmd_store_ls(struct cli *c);
int cmd_store_show(struct cli *c);

#endif
