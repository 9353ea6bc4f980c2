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
	struct sl_id session;
	struct sl_endpoint client;
	char resource[SL_BUS_NAME_MAX];
};

/* A policy that has dropped the provider has dropped whom it named. */
static bool provider_there(const struct sl_snapshot *snap, const char *name, const char *issuer)
{
	for (uint32_t i = 0; i < snap->nb_idps; i++)
		if (strcmp(snap->idps[i].name, name) == 0 && strcmp(snap->idps[i].issuer, issuer) == 0)
			return true;
	return false;
}

static void end_provider(struct sl_mgmt *m, const struct mg_provider *p)
{
	struct sl_msg *msg = calloc(1, sizeof(*msg));

	if (msg == NULL) {
		sl_fail(SL_E_NOMEM);
		sl_log(SL_LOG_ERROR, "auth", "no memory to end the sessions of provider \"%s\"", p->name);
		return;
	}
	sl_log(SL_LOG_INFO, "auth", "provider \"%s\" is not in the policy any more: its sessions end",
	       p->name);
	msg->type = SL_MSG_KILL;
	memcpy(msg->identity.provider, p->name, sizeof(p->name));
	memcpy(msg->identity.issuer, p->issuer, sizeof(p->issuer));
	for (uint32_t i = 0; i < m->nb_workers; i++) {
		msg->flow = (struct sl_flow_ref){.worker = i};
		mg_out_send(m, i, msg);
	}
	free(msg);
}

void mg_auth_policy(struct sl_mgmt *m, const struct sl_snapshot *snap)
{
	struct mg_provider *now = calloc(snap->nb_idps + 1, sizeof(*now));

	for (uint32_t i = 0; i < m->nb_providers; i++)
		if (!provider_there(snap, m->providers[i].name, m->providers[i].issuer))
			end_provider(m, &m->providers[i]);
	if (now == NULL) { /* the old list stays: at worst a provider is ended twice */
		sl_fail(SL_E_NOMEM);
		return;
	}
	for (uint32_t i = 0; i < snap->nb_idps; i++) {
		snprintf(now[i].name, sizeof(now[i].name), "%s", snap->idps[i].name);
		snprintf(now[i].issuer, sizeof(now[i].issuer), "%s", snap->idps[i].issuer);
	}
	free(m->providers);
	m->providers = now;
	m->nb_providers = snap->nb_idps;
}

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

/* signature NULL: it was a token. */
static void accept_login(struct login *l, const struct sl_identity *who, const struct sl_resource *res,
                         const uint8_t *signature)
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
	if (signature != NULL)
		memcpy(msg->auth_ok.signature, signature, sizeof(msg->auth_ok.signature));
	err = mg_creds_get(l->m->creds, res->credential == NULL ? "" : res->credential,
	                   msg->auth_ok.target_user, &msg->auth_ok.secret);
	if (err == SL_OK)
		err = mg_sessions_add(l->m->sessions, &l->flow, &l->session);
	if (err == SL_OK) {
		mg_out_send(l->m, l->flow.worker, msg);
	} else {
		/* The operator reads why, unless the client has left; the caller may not be allowed to know
		 * that the resource is there. */
		if (err != SL_E_EXISTS)
			sl_log(SL_LOG_ERROR, "auth", "resource \"%s\": its credential \"%s\": %s", res->name,
			       res->credential == NULL ? "" : res->credential, sl_err_text(err));
		refuse(l, err, false, text_generic);
	}
	sl_cleanse(msg, sizeof(*msg));
	free(msg);
}

static void admit(struct login *l, const struct sl_identity *who, const uint8_t *signature)
{
	const struct sl_resource *res =
	        sl_snapshot_resource(mg_policy_current(l->m->policy), sl_span_str(l->resource));

	/* The worker has died meanwhile: the client has nobody to talk to, and nobody would say when it left.
	 */
	if (l->m->lanes[l->flow.worker].gone)
		return;
	if (mg_locks_has(l->m->locks, who->issuer, who->subject))
		refuse(l, sl_fail(SL_E_POLICY_LOCKED), false, SL_LOCKED_TEXT);
	else if (res == NULL)
		refuse(l, SL_E_NOTFOUND, false, text_generic);
	else
		accept_login(l, who, res, signature);
}

static void on_verified(void *ctx, int err, const struct sl_identity *who, const struct sl_idp *idp)
{
	struct login *l = ctx;

	if (err != SL_OK)
		refuse_token(l, err);
	else
		admit(l, who, NULL);
	free(l);
}

/* ---- session credentials ---- */

static void send_salt(struct login *l, struct sl_span id)
{
	struct sl_msg *msg = calloc(1, sizeof(*msg));
	int err = msg == NULL ? sl_fail(SL_E_NOMEM) : mg_screds_salt(l->m->screds, id, msg->auth_salt.salt);

	if (err != SL_OK) {
		refuse(l, err, true, "try again later");
	} else {
		msg->type = SL_MSG_AUTH_SALT;
		msg->flow = l->flow;
		msg->auth_salt.salt_n = SL_SCRAM_SALT;
		msg->auth_salt.iterations = SL_SCRAM_ITERATIONS;
		mg_out_send(l->m, l->flow.worker, msg);
	}
	free(msg);
}

/* One text whatever was wrong with it: who guesses does not learn which ids there are. */
static void judge_proof(struct login *l, const struct sl_msg_auth *a, struct sl_span id)
{
	struct sl_identity *who = calloc(1, sizeof(*who));
	uint8_t signature[SL_SCRAM_KEY];
	int err = who == NULL ? sl_fail(SL_E_NOMEM)
	                      : mg_screds_check(l->m->screds, id, sl_span(a->token, a->token_n), a->proof,
	                                        l->resource, mg_wall_us(), signature, who);

	if (err == SL_OK && !provider_there(mg_policy_current(l->m->policy), who->provider, who->issuer))
		err = sl_fail(SL_E_CRED_PROVIDER);
	if (err == SL_E_SCRAM_PROOF || err == SL_E_CRED_UNKNOWN)
		mg_throttle_failed(l->m->throttle, &l->client.addr, id, mg_mono_us());
	if (err == SL_OK)
		admit(l, who, signature);
	else if (err == SL_E_NOMEM || err == SL_E_SCRAM_CRYPTO)
		refuse(l, err, true, "try again later");
	else
		refuse(l, err, false, err == SL_E_CRED_RESOURCE ? text_generic : "authentication failed");
	sl_cleanse(signature, sizeof(signature));
	free(who);
}

static void session_credential(struct login *l, const struct sl_msg_auth *a)
{
	struct sl_span id = sl_span(a->credential, SL_LOGIN_ID);

	if (a->credential[SL_LOGIN_ID] != '\0' || (a->step != SL_AUTH_SALT && a->step != SL_AUTH_PROOF))
		refuse(l, sl_fail(SL_E_INVAL), false, "authentication failed");
	else if (mg_throttle_blocked(l->m->throttle, &l->client.addr, id, mg_mono_us()))
		refuse(l, sl_fail(SL_E_AUTH_THROTTLED), true, "too many failed logins: try again later");
	else if (a->step == SL_AUTH_SALT)
		send_salt(l, id);
	else
		judge_proof(l, a, id);
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
	l->session = msg->auth.session;
	l->client = msg->auth.client;
	memcpy(l->resource, msg->auth.resource, sizeof(l->resource));
	l->resource[sizeof(l->resource) - 1] = '\0';
	if (msg->auth.step != SL_AUTH_TOKEN) {
		session_credential(l, &msg->auth);
		free(l);
		return;
	}
	mg_oidc_verify(m->oidc, sl_span(msg->auth.token, n), on_verified, l);
}
