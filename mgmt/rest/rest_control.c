/* Policies, approvals, credentials. */
#include <stdlib.h>

#include "clock.h"
#include "json.h"
#include "rest_priv.h"
#include "sl_counter.h"
#include "sl_log.h"

/* ---- policies ---- */

static void reply_version(struct request *q, uint64_t version)
{
	json_t *doc = NULL;
	int err = mg_policy_get(q->cfg->policy, version, &doc);

	if (err != SL_OK)
		mg_reply_err(q, err, "no such policy version");
	else
		mg_reply_json(q, 200, doc);
}

void mg_get_policy_current(struct request *q)
{
	reply_version(q, 0);
}

void mg_get_policy_version(struct request *q)
{
	char *end = NULL;
	uint64_t version =
	        strlen(q->arg) > 18 || q->arg[0] < '0' || q->arg[0] > '9' ? 0 : strtoull(q->arg, &end, 10);

	if (version == 0 || *end != '\0')
		mg_reply_problem(q, 404, "no such policy version", NULL);
	else
		reply_version(q, version);
}

void mg_get_policy_versions(struct request *q)
{
	json_t *list = json_array();
	int err = mg_policy_list(q->cfg->policy, list);

	if (err != SL_OK) {
		json_decref(list);
		mg_reply_err(q, err, "policy versions");
		return;
	}
	mg_reply_json(q, 200, list);
}

static void on_applied(void *ctx, int err, uint64_t version, const struct sl_policy_error *where)
{
	struct request *q = ctx;
	const char *dry_run = mg_query(q, "dry_run");
	bool dry = dry_run != NULL && strcmp(dry_run, "1") == 0;
	json_t *one;

	if (err == SL_OK) {
		mg_reply_json(q, 200, json_pack("{s:I,s:b}", "version", (json_int_t)version, "dry_run", dry));
		return;
	}
	if (where->text[0] == '\0' && err != SL_E_POLICY_SYNTAX && err != SL_E_POLICY_PATTERN) {
		mg_reply_err(q, err, "the policy was not applied");
		return;
	}
	one = json_pack("{s:o,s:i,s:i,s:o,s:o}", "file", mg_json_text(sl_span_str(where->file)), "line",
	                (int)where->line, "column", (int)where->column, "text",
	                mg_json_text(sl_span_str(where->text)), "hint",
	                mg_json_text(sl_span_str(where->hint)));
	mg_reply_problem(q, 422, "the policy does not compile", json_pack("{s:[o]}", "errors", one));
}

void mg_post_policy(struct request *q)
{
	const char *dry_run = mg_query(q, "dry_run");
	int err;

	if (dry_run != NULL && strcmp(dry_run, "0") != 0 && strcmp(dry_run, "1") != 0) {
		mg_reply_problem(q, 400, "dry_run is 0 or 1", NULL);
		return;
	}
	err = mg_policy_apply(q->cfg->policy, mg_body(q), q->who.name, dry_run != NULL && dry_run[0] == '1',
	                      on_applied, q);
	if (err == SL_E_EXISTS)
		mg_reply_problem(q, 409, "another policy is being applied", NULL);
	else if (err != SL_OK)
		mg_reply_err(q, err, "the policy was not applied");
}

/* ---- approvals ---- */

void mg_get_approvals(struct request *q)
{
	const char *state = mg_query(q, "state"), *before = mg_query(q, "before");
	struct sl_id id;
	uint64_t limit;
	json_t *list;
	int err;

	if ((state != NULL && strcmp(state, "pending") != 0 && strcmp(state, "all") != 0) ||
	    mg_query_uint(q, "limit", 100, MG_APPROVALS_LIST_MAX, &limit) != SL_OK ||
	    (before != NULL && sl_id_parse(before, &id) != SL_OK)) {
		mg_reply_problem(q, 400, "state is pending or all, limit at most 1000, before an id", NULL);
		return;
	}
	list = json_array();
	err = mg_approvals_list(q->cfg->approvals, state == NULL || strcmp(state, "pending") == 0,
	                        before == NULL ? NULL : &id, (uint32_t)limit, list);
	if (err != SL_OK) {
		json_decref(list);
		mg_reply_err(q, err, "approvals");
		return;
	}
	mg_reply_json(q, 200, json_pack("{s:o}", "approvals", list));
}

void mg_get_approval(struct request *q)
{
	json_t *doc = NULL;
	struct sl_id id;
	int err = sl_id_parse(q->arg, &id) == SL_OK ? mg_approvals_get(q->cfg->approvals, &id, &doc)
	                                            : SL_E_NOTFOUND;

	if (err != SL_OK)
		mg_reply_err(q, err, "no such approval");
	else
		mg_reply_json(q, 200, doc);
}

/* The optional body {note}. Anything else in it is refused. */
static int read_note(struct request *q, const char **note)
{
	*note = "";
	if (q->json == NULL)
		return SL_OK;
	if (json_unpack_ex(q->json, NULL, JSON_STRICT, "{s?s}", "note", note) != 0)
		return SL_E_INVAL;
	return strlen(*note) < MG_APPROVAL_NOTE_MAX ? SL_OK : SL_E_INVAL;
}

static void decide(struct request *q, bool approve)
{
	const char *note;
	json_t *doc = NULL;
	struct sl_id id;
	int err;

	if (read_note(q, &note) != SL_OK) {
		mg_reply_problem(q, 400, "the body is {\"note\": text of at most 255 bytes} or empty", NULL);
		return;
	}
	err = sl_id_parse(q->arg, &id) != SL_OK ? SL_E_NOTFOUND
	                                        : mg_approvals_decide(q->cfg->approvals, &id, approve,
	                                                              &q->who, note, mg_wall_us(), &doc);
	if (err == SL_OK)
		mg_reply_json(q, 200, doc);
	else if (err == SL_E_EXISTS)
		mg_reply_problem(q, 409, "this approval was decided, cancelled or has expired", NULL);
	else if (err == SL_E_POLICY_DENIED)
		mg_reply_problem(q, 403, "you are not an approver of this request", NULL);
	else
		mg_reply_err(q, err, "no such approval");
}

void mg_post_approve(struct request *q)
{
	decide(q, true);
}

void mg_post_deny(struct request *q)
{
	decide(q, false);
}

/* ---- credentials ---- */

void mg_put_credential(struct request *q)
{
	const char *user = NULL, *password = NULL;
	size_t user_n = 0, password_n = 0;
	int err;

	if (json_unpack_ex(q->json, NULL, JSON_STRICT, "{s:s%,s:s%}", "username", &user, &user_n, "password",
	                   &password, &password_n) != 0) {
		mg_reply_problem(q, 400, "the body is {\"username\": text, \"password\": text}", NULL);
		return;
	}
	err = mg_creds_put(q->cfg->creds, q->arg, sl_span(user, user_n), sl_span(password, password_n),
	                   mg_wall_us());
	if (err == SL_OK)
		mg_reply_empty(q, 204);
	else if (err == SL_E_INVAL || err == SL_E_LIMIT)
		mg_reply_problem(q, 400,
		                 "name: letters, digits, '.', '_', '-'; username: 1 to 127 bytes; password: "
		                 "at most 1024 bytes",
		                 NULL);
	else
		mg_reply_err(q, err, "the credential was not stored");
}

void mg_get_credentials(struct request *q)
{
	json_t *list = json_array();
	int err = mg_creds_list(q->cfg->creds, list);

	if (err != SL_OK) {
		json_decref(list);
		mg_reply_err(q, err, "credentials");
		return;
	}
	mg_reply_json(q, 200, list);
}

void mg_delete_credential(struct request *q)
{
	int err = mg_creds_del(q->cfg->creds, q->arg);

	if (err == SL_OK)
		mg_reply_empty(q, 204);
	else
		mg_reply_err(q, err, "no such credential");
}
