#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "mgmt_priv.h"
#include "sl_counter.h"
#include "sl_log.h"

/* A login that is being judged; the message itself goes back to the worker at once, so that its pool does not
 * run dry. */
struct login {
	struct sl_mgmt *m;
	struct sl_flow_ref flow;
	struct sl_endpoint client;
	char resource[SL_BUS_NAME_MAX];
};

static const char text_generic[] = "no such resource or not allowed";

static void refuse(struct login *l, int err, bool retry, const char *text)
{
	struct sl_msg *msg = calloc(1, sizeof(*msg));

	if (msg == NULL) { /* the worker's login timer ends the flow */
		sl_fail(SL_E_NOMEM);
		return;
	}
	msg->type = SL_MSG_AUTH_NO;
	msg->flow = l->flow;
	msg->auth_no.err = err;
	msg->auth_no.retry = retry;
	snprintf(msg->auth_no.text, sizeof(msg->auth_no.text), "%s", text);
	mg_out_send(l->m, l->flow.worker, msg);
	free(msg);
}

/* What the caller is told is little: only what helps somebody with a right token. */
static void refuse_token(struct login *l, int err)
{
	if (err == SL_E_IDP_DOWN || err == SL_E_NOMEM || err == SL_E_LIMIT)
		refuse(l, err, true, "the identity provider cannot be asked now: try again later");
	else
		refuse(l, err, false, err == SL_E_JWT_EXPIRED ? "token expired" : "token not accepted");
}

static void accept_login(struct login *l, const struct sl_identity *who, const struct sl_resource *res)
{
	struct sl_msg *msg = calloc(1, sizeof(*msg));
	int err;

	if (msg == NULL) {
		refuse(l, sl_fail(SL_E_NOMEM), true, "try again later");
		return;
	}
	msg->type = SL_MSG_AUTH_OK;
	msg->flow = l->flow;
	msg->auth_ok.identity = *who;
	memcpy(msg->auth_ok.resource, l->resource, sizeof(l->resource));
	err = mg_creds_get(l->m->creds, res->credential == NULL ? "" : res->credential,
	                   msg->auth_ok.target_user, &msg->auth_ok.secret);
	if (err == SL_OK)
		err = mg_sessions_add(l->m->sessions, &l->flow, &l->client, who->name, l->resource,
		                      mg_wall_us());
	if (err == SL_OK) {
		mg_out_send(l->m, l->flow.worker, msg);
	} else {
		/* The operator reads why; the caller may not be allowed to know that the resource is there.
		 */
		sl_log(SL_LOG_ERROR, "auth", "resource \"%s\": its credential \"%s\": %s", res->name,
		       res->credential == NULL ? "" : res->credential, sl_err_text(err));
		refuse(l, err, false, text_generic);
	}
	sl_cleanse(msg, sizeof(*msg));
	free(msg);
}

static void on_verified(void *ctx, int err, const struct sl_identity *who, const struct sl_idp *idp)
{
	struct login *l = ctx;
	const struct sl_resource *res;

	if (err != SL_OK) {
		refuse_token(l, err);
	} else {
		res = sl_snapshot_resource(mg_policy_current(l->m->policy), sl_span_str(l->resource));
		if (res == NULL)
			refuse(l, SL_E_NOTFOUND, false, text_generic);
		else
			accept_login(l, who, res);
	}
	free(l);
}

void mg_auth(struct sl_mgmt *m, const struct sl_msg *msg)
{
	struct login *l = calloc(1, sizeof(*l));
	struct login here = {.m = m, .flow = msg->flow};
	uint32_t n = msg->auth.token_n;

	if (l == NULL || n > SL_BUS_TOKEN_MAX) {
		free(l);
		refuse(&here, sl_fail(n > SL_BUS_TOKEN_MAX ? SL_E_JWT_MALFORMED : SL_E_NOMEM), false,
		       "token not accepted");
		return;
	}
	l->m = m;
	l->flow = msg->flow;
	l->client = msg->auth.client;
	memcpy(l->resource, msg->auth.resource, sizeof(l->resource));
	l->resource[sizeof(l->resource) - 1] = '\0';
	mg_oidc_verify(m->oidc, sl_span(msg->auth.token, n), on_verified, l);
}
