#include "catalog.h"

#include <stdio.h>
#include <stdlib.h>

/* Names that do not fit are not cut: what was cut could be another's name. */
static bool copy_name(struct sl_span from, char *to)
{
	return sl_span_cstr(from, to, SL_BUS_NAME_MAX) >= 0;
}

static int too_long(struct sl_verdict *v)
{
	v->action = SL_ACT_DENY;
	v->reason.code = SL_RSN_AUTH;
	v->reason.message = SL_SPAN_LIT("a name or the token is too long");
	return SL_OK;
}

/* The first of a login's events brings the names; *v says no when one does not fit. */
static struct login *login_new(const struct session *s, const struct sl_ev_auth *a, struct sl_verdict *v)
{
	struct login *l = calloc(1, sizeof(*l));
	struct sl_span resource = a->user, id = SL_SPAN_EMPTY;

	if (l == NULL)
		return NULL;
	if (a->step != SL_AUTH_TOKEN && !sl_credential_name_split(a->user, &resource, &id))
		v->action = SL_ACT_DENY;
	if (!copy_name(a->user, l->user) || !copy_name(a->database, l->database) ||
	    !copy_name(resource, l->resource))
		(void)too_long(v);
	(void)sl_span_cstr(id, l->credential, sizeof(l->credential));
	(void)sl_span_cstr(a->app, l->app, sizeof(l->app));
	if (s->listener->resource != NULL)
		snprintf(l->resource, sizeof(l->resource), "%s", s->listener->resource);
	return l;
}

static void ask(struct session *s, const struct sl_ev_auth *a, struct sl_msg *m)
{
	const struct login *l = s->login;

	m->type = SL_MSG_AUTH;
	m->flow = session_ref(s);
	m->auth.session = sl_inspect_session(s->inspect);
	m->auth.step = a->step;
	memcpy(m->auth.credential, l->credential, sizeof(l->credential));
	if (a->proof.n == sizeof(m->auth.proof))
		memcpy(m->auth.proof, a->proof.p, a->proof.n);
	m->auth.client = sl_tcp_remote(s->peer[SL_CLIENT].conn);
	m->auth.tls = s->layer[SL_CLIENT].ops != NULL;
	snprintf(m->auth.listener, sizeof(m->auth.listener), "%s", s->listener->name);
	memcpy(m->auth.resource, l->resource, sizeof(l->resource));
	memcpy(m->auth.database, l->database, sizeof(l->database));
	m->auth.token_n = (uint32_t)a->token.n;
	if (a->token.n > 0)
		memcpy(m->auth.token, a->token.p, a->token.n);
	sl_bus_worker_send(s->w->cfg.bus, s->w->cfg.worker, m);
}

int login_auth(struct session *s, const struct sl_ev_auth *a, struct sl_verdict *v)
{
	struct sl_worker *w = s->w;
	struct sl_msg *m;

	if (a->token.n > SL_BUS_TOKEN_MAX)
		return too_long(v);
	if (s->login == NULL)
		s->login = login_new(s, a, v);
	if (s->login == NULL)
		return sl_fail(SL_E_NOMEM);
	if (v->action == SL_ACT_DENY) {
		login_free(s);
		return SL_OK;
	}
	m = sl_bus_worker_new(w->cfg.bus, w->cfg.worker);
	if (m == NULL)
		return SL_AGAIN;
	ask(s, a, m);
	/* A name alone is nobody yet: such a connection gives way to newer ones like any without a login. */
	if (a->step != SL_AUTH_SALT)
		session_waits_no_more(s);
	s->state = SESSION_AUTH;
	v->action = SL_ACT_PARK;
	return SL_OK;
}

void login_free(struct session *s)
{
	struct login *l = s->login;

	if (l == NULL)
		return;
	if (l->answer != NULL)
		sl_bus_worker_done(s->w->cfg.bus, s->w->cfg.worker, l->answer);
	sl_cleanse(l, sizeof(*l));
	free(l);
	s->login = NULL;
}

void login_answer(struct session *s, struct sl_msg *m)
{
	if (m->type == SL_MSG_AUTH_OK)
		s->authenticated = true;
	if (s->state != SESSION_AUTH || s->login == NULL || s->login->answer != NULL) {
		sl_bus_worker_done(s->w->cfg.bus, s->w->cfg.worker, m);
		return;
	}
	s->login->answer = m;
	session_ready(s);
}

/* The refusal is recorded, then told; what the client hears is less than what the record says. */
static int refuse_as(struct session *s, int err, enum sl_reason_code code, const char *text)
{
	struct login *l = s->login;
	struct sl_verdict v = {.action = SL_ACT_DENY};
	int rc = sl_inspect_refused(s->inspect, err, sl_span_str(l->user), sl_span_str(l->resource),
	                            sl_span_str(text));

	if (rc == SL_AGAIN)
		return SL_AGAIN;
	sl_count(SL_C_AUTH_FAILED);
	v.reason.code = code;
	v.reason.err = err;
	v.reason.message = sl_span_str(text);
	(void)sl_flow_resume(&s->flow, &v);
	session_end(s, err, SL_RSN_NONE, sl_err_text(err));
	return SL_OK;
}

/* The client may go on with its session credential. */
static int salted(struct session *s, const struct sl_msg *m)
{
	struct sl_auth_more more = {.salt = sl_span(m->auth_salt.salt, m->auth_salt.salt_n),
	                            .iterations = m->auth_salt.iterations};
	struct sl_verdict allow = {.action = SL_ACT_ALLOW, .auth = &more};
	int rc;

	worker_random(more.nonce, sizeof(more.nonce));
	s->state = SESSION_CLIENT;
	rc = sl_flow_resume(&s->flow, &allow);
	if (rc < 0)
		session_end(s, rc, SL_RSN_PROTOCOL, sl_err_text(rc));
	return SL_OK;
}

static int refuse(struct session *s, int err, bool retry, const char *text)
{
	return refuse_as(s, err, retry ? SL_RSN_UNAVAILABLE : SL_RSN_AUTH, text);
}

static enum sl_reason_code refusal_code(const struct sl_msg_auth_no *no)
{
	if (no->err == SL_E_POLICY_LOCKED)
		return SL_RSN_LOCKED;
	return no->retry ? SL_RSN_UNAVAILABLE : SL_RSN_AUTH;
}

/* Inspection said no. Of what the caller may not do it is told nothing. */
static int refuse_login(struct session *s, int err)
{
	switch (err) {
	case SL_E_STORE_WRITE:
		return refuse(s, err, true, "the gateway cannot record this session: try again later");
	case SL_E_POLICY_LIMIT:
		return refuse_as(s, err, SL_RSN_SESSIONS, sl_inspect_why(s->inspect));
	case SL_E_POLICY_LOCKED:
		return refuse_as(s, err, SL_RSN_LOCKED, SL_LOCKED_TEXT);
	case SL_E_LIMIT:
		return refuse_as(s, err, SL_RSN_LIMIT,
		                 "the gateway has no room to count what you use: try again later");
	default:
		return refuse(s, err, false, "no such resource, or not allowed on it");
	}
}

static int accepted(struct session *s, struct sl_msg *m)
{
	struct sl_worker *w = s->w;
	struct login *l = s->login;
	struct sl_msg_auth_ok *ok = &m->auth_ok;
	struct sl_auth_more more = {0};
	struct sl_verdict allow = {.action = SL_ACT_ALLOW, .auth = &more};
	int rc;

	rc = sl_inspect_login(s->inspect, &ok->identity, sl_span_str(ok->resource), sl_span_str(l->database),
	                      sl_span_str(ok->target_user), sl_span_str(l->app), &s->resource);
	if (rc == SL_AGAIN)
		return SL_AGAIN;
	if (rc < 0)
		return refuse_login(s, rc);
	snprintf(l->target_user, sizeof(l->target_user), "%s", ok->target_user);
	if (sl_secret_set(&l->secret, sl_secret_span(&ok->secret)) < 0)
		return refuse(s, SL_E_SEAL, true, "the gateway cannot use its credential");
	memcpy(more.signature, ok->signature, sizeof(more.signature));
	s->target = s->resource->address;
	rc = catalog_login(s, sl_span_str(l->target_user), sl_secret_span(&l->secret));
	if (rc < 0)
		return refuse(s, rc, true, "the gateway has no room for the target's catalog");
	s->deadline_us = w->now_us + CONNECT_TIMEOUT_US;
	s->state = SESSION_CONNECT;
	rc = sl_tcp_connect(w->tcp, &s->target, &s->peer[SL_TARGET], w->now_us, &s->peer[SL_TARGET].conn);
	if (rc < 0) {
		s->peer[SL_TARGET].conn = NULL;
		session_end(s, rc, SL_RSN_UNAVAILABLE, "the target cannot be reached");
		return SL_OK;
	}
	rc = sl_flow_resume(&s->flow, &allow);
	if (rc < 0)
		session_end(s, rc, SL_RSN_PROTOCOL, sl_err_text(rc));
	return SL_OK;
}

static const enum sl_binding bindings[] = {
        [SL_TARGET_BINDING_PREFER] = SL_BINDING_PREFER,
        [SL_TARGET_BINDING_REQUIRE] = SL_BINDING_REQUIRE,
        [SL_TARGET_BINDING_OFF] = SL_BINDING_OFF,
};

/* TCP to the target is open: say who we are there. */
static void connected(struct session *s)
{
	struct login *l = s->login;
	struct sl_login *t = &l->to_target;
	int rc;

	t->user = sl_span_str(l->target_user);
	t->secret = sl_secret_span(&l->secret);
	t->database = sl_span_str(l->database);
	t->tls_required = t->tls_offered = s->resource->tls_mode == SL_TARGET_TLS_REQUIRE;
	t->tls_direct = s->resource->tls_direct;
	t->binding = bindings[s->resource->binding];
	t->minor = s->resource->minor;
	worker_random(t->nonce, sizeof(t->nonce));
	worker_random(s->cancel_key, sizeof(s->cancel_key));
	t->cancel_pid = s->w->cfg.worker << 24 | s->index;
	memcpy(t->cancel_key, s->cancel_key, sizeof(t->cancel_key));
	s->state = SESSION_TARGET;
	sl_flow_set_stream(&s->flow, SL_TARGET, sl_stream_tcp(s->peer[SL_TARGET].conn));
	rc = sl_flow_login(&s->flow, t);
	if (rc < 0)
		session_end(s, rc, SL_RSN_UNAVAILABLE, "the target cannot be logged in to");
}

static void answer_step(struct session *s)
{
	struct sl_msg *m = s->login->answer;
	int rc;

	if (m == NULL)
		return;
	if (m->type == SL_MSG_AUTH_OK)
		rc = accepted(s, m);
	else if (m->type == SL_MSG_AUTH_SALT)
		rc = salted(s, m);
	else
		rc = refuse_as(s, m->auth_no.err, refusal_code(&m->auth_no), m->auth_no.text);
	if (rc == SL_AGAIN)
		return;
	if (s->login != NULL)
		s->login->answer = NULL;
	sl_bus_worker_done(s->w->cfg.bus, s->w->cfg.worker, m);
}

void login_step(struct session *s)
{
	if (s->state == SESSION_AUTH)
		answer_step(s);
	if (s->state == SESSION_CONNECT) {
		struct sl_tcp_conn *c = s->peer[SL_TARGET].conn;
		int err = sl_tcp_error(c);

		if (err < 0)
			session_end(s, err, SL_RSN_UNAVAILABLE, "the target cannot be reached");
		else if (s->target_open)
			connected(s);
	}
}

int login_upgrade(struct session *s, enum sl_side side, bool direct, struct sl_span early)
{
	struct sl_tls_ctx *ctx = side == SL_CLIENT ? s->listener->tls : s->resource->tls;
	int err;

	if (ctx == NULL || s->layer[side].ops != NULL)
		return sl_fail(SL_E_PROTO_UNSUPPORTED);
	err = sl_layer_tls_new(ctx, sl_stream_tcp(s->peer[side].conn), &s->layer[side]);
	if (err == SL_OK && direct)
		err = sl_layer_tls_direct(s->layer[side], early);
	if (err < 0)
		return err;
	sl_flow_set_stream(&s->flow, side, s->layer[side]);
	return SL_OK;
}

size_t login_channel_binding(const struct session *s, enum sl_side side, uint8_t *out)
{
	const struct sl_tls *t = s->layer[side].ops != NULL ? sl_layer_tls_session(s->layer[side]) : NULL;

	_Static_assert(SL_TLS_END_POINT_MAX <= SL_DEC_BINDING_MAX, "a binding fits what decoders keep");
	return t != NULL ? sl_tls_end_point(t, out) : 0;
}
