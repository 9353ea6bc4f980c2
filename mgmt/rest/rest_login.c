/* Session credentials: handed out against a token, listed, revoked. */
#include <stdio.h>

#include "clock.h"
#include "json.h"
#include "rest_priv.h"
#include "sl_counter.h"
#include "sl_log.h"
#include "sl_secret.h"

static const char body_text[] =
        "the body is {\"resources\": [names], \"ttl_s\": seconds}; 1 to 16 resources, 60 to 43200 s";

static void reply_issued(struct request *q, const struct mg_scred_issued *new, json_t *resources)
{
	char username[SL_BUS_NAME_MAX + SL_LOGIN_ID_MAX];

	snprintf(username, sizeof(username), "%s%c%s", json_string_value(json_array_get(resources, 0)),
	         SL_LOGIN_SIGN, new->id);
	mg_reply_json(q, 201,
	              json_pack("{s:s,s:s,s:s,s:I,s:O}", "id", new->id, "username", username, "password",
	                        new->password, "expires_us", (json_int_t) new->expires_us, "resources",
	                        resources));
}

void mg_post_session_credential(struct request *q)
{
	struct mg_scred_issued new;
	json_t *resources = NULL;
	json_int_t ttl_s = MG_SCRED_TTL_DEFAULT_S;
	int err = SL_E_INVAL;

	/* Those that it has are refused at their login for as long as the lock is there. */
	if (q->cfg->locks != NULL && mg_locks_has(q->cfg->locks, q->who.issuer, q->who.subject))
		err = sl_fail(SL_E_POLICY_LOCKED);
	else if (json_unpack_ex(q->json, NULL, JSON_STRICT, "{s:o,s?I}", "resources", &resources, "ttl_s",
	                        &ttl_s) == 0 &&
	         json_is_array(resources) && ttl_s > 0)
		err = mg_screds_issue(q->cfg->screds, &q->who, resources, (uint64_t)ttl_s, mg_wall_us(),
		                      &new);
	if (err == SL_E_POLICY_LOCKED) {
		mg_reply_problem(q, 403, "your identity is locked", NULL);
	} else if (err == SL_E_INVAL) {
		mg_reply_problem(q, 400, body_text, NULL);
	} else if (err == SL_E_CRED_LIMIT) {
		mg_reply_problem(q, 409,
		                 "too many session credentials: revoke one, or wait until one expires", NULL);
	} else if (err != SL_OK) {
		mg_reply_err(q, err, "the session credential was not made");
	} else {
		sl_log(SL_LOG_INFO, "auth", "session credential %s made", new.id);
		reply_issued(q, &new, resources);
		sl_cleanse(&new, sizeof(new));
	}
}

/* Operators may see all. */
static bool wants_all(struct request *q, bool *bad)
{
	const char *all = mg_query(q, "all");

	*bad = all != NULL && strcmp(all, "0") != 0 && strcmp(all, "1") != 0;
	return all != NULL && all[0] == '1';
}

void mg_get_session_credentials(struct request *q)
{
	bool bad, all = wants_all(q, &bad);
	json_t *list;

	if (bad) {
		mg_reply_problem(q, 400, "all is 0 or 1", NULL);
		return;
	}
	if (all && (q->roles & ROLE_OPERATOR) == 0) {
		mg_reply_problem(q, 403, "your groups do not give you the role that this needs", NULL);
		return;
	}
	list = json_array();
	mg_screds_list(q->cfg->screds, all ? NULL : &q->who, mg_wall_us(), list);
	mg_reply_json(q, 200, json_pack("{s:o}", "session_credentials", list));
}

void mg_delete_session_credential(struct request *q)
{
	const struct sl_identity *who = (q->roles & ROLE_OPERATOR) != 0 ? NULL : &q->who;
	int err = mg_screds_revoke(q->cfg->screds, q->arg, who, mg_wall_us());

	if (err == SL_OK)
		mg_reply_empty(q, 204);
	else
		mg_reply_err(q, err, "no such session credential");
}
