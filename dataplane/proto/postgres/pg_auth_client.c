/*
 * The client's password: a token or a session credential. It goes to the flow in one AUTH event, and nowhere
 * else.
 */
#include "pg_priv.h"

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
		return SL_OK;
	}
	d->auth_denied = true;
	pg_say_reason(&s, &v->reason, "authentication failed");
	memcpy(s.sqlstate, v->reason.code == SL_RSN_UNAVAILABLE ? "57P03" : "28P01", 5);
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

static int password_judge(struct pg *d, const struct pg_msg *m)
{
	struct sl_event ev = {.kind = SL_EV_AUTH};
	struct sl_span b = m->body, token;
	struct sl_verdict v;
	int rc;

	if (pg_get_str(&b, &token) < 0 || b.n != 0)
		return pg_broken(d, "malformed password message");
	ev.auth.user = sl_span_str(d->start->user);
	ev.auth.database = sl_span_str(d->start->database);
	ev.auth.app = sl_span_str(d->start->app);
	ev.auth.token = token;
	rc = pg_event(d, &ev, &v);
	return rc != SL_OK ? rc : password_take(d, &v);
}

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
	if (m.type != 'p' || m.size < 6 || m.size > PG_PASSWORD_MAX + 6)
		return pg_broken(d, "expected a password message");
	if (m.all.n < m.size)
		return SL_MORE;
	if (d->io.room(d->io.ctx, SL_CLIENT) < SL_DEC_ROOM_MIN)
		return SL_AGAIN;
	if (!d->auth_allowed) {
		rc = password_judge(d, &m);
		if (rc != SL_OK)
			return rc;
		if (d->auth_denied)
			return SL_E_AUTH;
	}
	d->cs = PG_C_LOGIN;
	*used = m.size;
	return SL_OK;
}
