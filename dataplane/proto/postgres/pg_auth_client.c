/*
 * The client's login. A token comes as a password in clear inside TLS and goes to the flow in one AUTH event,
 * and nowhere else; a session credential is proved by SCRAM (pg_auth_sasl.c).
 */
#include "pg_priv.h"
#include "sl_buf.h"

/* Told to somebody who has shown who it is: what it is refused for is no secret. */
static bool about_limits(enum sl_reason_code code)
{
	return code == SL_RSN_SESSIONS || code == SL_RSN_LIMIT || code == SL_RSN_LOCKED;
}

static int password_take(struct pg *d, const struct sl_verdict *v)
{
	struct pg_say s = {0};
	int rc;

	if (v->action == SL_ACT_PARK) {
		d->auth_parked = true;
		return SL_PARK;
	}
	if (v->action == SL_ACT_ALLOW) {
		d->auth_allowed = true;
		return d->cs == PG_C_SASL ? pg_sasl_allowed(d, v) : SL_OK;
	}
	d->auth_denied = true;
	pg_say_reason(&s, &v->reason, "authentication failed");
	if (v->reason.code == SL_RSN_UNAVAILABLE)
		memcpy(s.sqlstate, "57P03", 5);
	else if (!about_limits(v->reason.code))
		memcpy(s.sqlstate, "28P01", 5);
	d->last_word = true;
	rc = pg_write_say(d, 'E', "FATAL", &s);
	return rc < 0 ? rc : SL_OK;
}

int pg_auth_resume(struct pg *d, const struct sl_verdict *v)
{
	if (v->action == SL_ACT_PARK)
		return SL_E_INVAL;
	d->auth_parked = false;
	return password_take(d, v);
}

int pg_auth_event(struct pg *d, struct sl_ev_auth *auth, struct sl_verdict *v)
{
	struct sl_event ev = {.kind = SL_EV_AUTH};

	auth->user = sl_span_str(d->start->user);
	auth->database = sl_span_str(d->start->database);
	auth->app = sl_span_str(d->start->app);
	ev.auth = *auth;
	return pg_event(d, &ev, v);
}

static int password_judge(struct pg *d, const struct pg_msg *m, struct sl_verdict *v)
{
	struct sl_ev_auth auth = {.step = SL_AUTH_TOKEN};
	struct sl_span b = m->body;

	if (pg_get_str(&b, &auth.token) < 0 || b.n != 0)
		return pg_broken(d, "malformed password message");
	return pg_auth_event(d, &auth, v);
}

static int judge(struct pg *d, const struct pg_msg *m)
{
	struct sl_verdict v = {.action = SL_ACT_DENY};
	int rc = d->cs == PG_C_SASL ? pg_sasl_judge(d, m, &v) : password_judge(d, m, &v);

	return rc != SL_OK ? rc : password_take(d, &v);
}

_Static_assert(PG_PASSWORD_MAX + 6 < SL_BUF_SMALL, "who is not known yet takes no large buffer");

int pg_password_step(struct pg *d, struct sl_span b, size_t *used)
{
	struct pg_msg m;
	int rc;

	if (d->auth_parked)
		return SL_PARK;
	if (d->auth_denied)
		return SL_E_AUTH;
	if (b.n > 0 && b.p[0] == 'X') {
		d->cs = PG_C_CLOSED;
		*used = b.n;
		return SL_CLOSED;
	}
	rc = pg_header(b, &m);
	if (rc != SL_OK)
		return rc;
	if (m.type != 'p' || m.size < 6 || m.size > (d->cs == PG_C_SASL ? PG_SASL_MAX : PG_PASSWORD_MAX + 6))
		return pg_broken(d, "expected a password message");
	if (m.all.n < m.size)
		return SL_MORE;
	if (d->io.room(d->io.ctx, SL_CLIENT) < SL_DEC_ROOM_MIN)
		return SL_AGAIN;
	if (!d->auth_allowed) {
		rc = judge(d, &m);
		if (rc != SL_OK)
			return rc;
		if (d->auth_denied)
			return SL_E_AUTH;
	}
	*used = m.size;
	if (d->cs == PG_C_SASL && !d->start->sasl_asked) {
		d->start->sasl_asked = true;
		d->auth_allowed = false; /* so far only to go on */
	} else {
		d->cs = PG_C_LOGIN;
	}
	return SL_OK;
}
