/*
 * The decoder's table: the calls of sl_decoder.h, each a few lines over the parts.
 */
#include "pg_priv.h"
#include "sl_secret.h"

static int pg_open(void *st, const struct sl_decoder_cfg *cfg, const struct sl_io *io)
{
	struct pg *d = st;

	d->cfg = *cfg;
	d->io = *io;
	if (d->cfg.message_max > PG_STREAM_MAX)
		d->cfg.message_max = PG_STREAM_MAX;
	d->tmp = cfg->scratch;
	d->queue = d->own_queue;
	d->q_size = PG_QUEUE_OWN;
	d->stmts.max = PG_STMTS_MAX;
	d->portals.max = PG_PORTALS_MAX;
	d->described = PG_NO_SLOT;
	d->judged_notice = PG_NO_SLOT;
	d->seg = 1;
	d->tx = 'I';
	return SL_OK;
}

static int client(struct pg *d, struct sl_span b, size_t *used)
{
	switch (d->cs) {
	case PG_C_STARTUP:
		return b.n == 0 ? SL_MORE : pg_startup_step(d, b, used);
	case PG_C_PASSWORD:
	case PG_C_SASL:
		return pg_password_step(d, b, used);
	case PG_C_LOGIN:
		if (b.n == 0)
			return SL_MORE;
		if (b.p[0] == 'X') {
			d->cs = PG_C_CLOSED;
			*used = b.n;
			return SL_CLOSED;
		}
		/* pg8000 sends a Flush behind its password, which asks for nothing. */
		if (b.p[0] == 'H') {
			if (b.n < PG_HEADER)
				return SL_MORE;
			if (sl_get_be32(b.p + 1) == PG_HEADER - 1) {
				*used = PG_HEADER;
				return SL_OK;
			}
		}
		return pg_fatal(d, SL_CLIENT, SL_E_PROTO_STATE, "08P01",
		                "message before the login is complete");
	case PG_C_READY:
		return pg_client_step(d, b, used);
	default:
		*used = b.n;
		return SL_CLOSED;
	}
}

static int target(struct pg *d, struct sl_span b, size_t *used)
{
	return d->ts == PG_T_READY ? pg_target_step(d, b, used) : pg_login_step(d, b, used);
}

static int pg_feed(void *st, enum sl_side from, struct sl_span bytes, size_t *consumed)
{
	struct pg *d = st;
	int rc;

	*consumed = 0;
	do {
		size_t used = 0;
		struct sl_span rest = sl_span_sub(bytes, *consumed, bytes.n);

		rc = from == SL_CLIENT ? client(d, rest, &used) : target(d, rest, &used);
		*consumed += used;
	} while (rc == SL_OK);
	if (rc == SL_MORE && *consumed == bytes.n)
		return SL_OK;
	return rc;
}

static int pg_resume(void *st, const struct sl_verdict *v)
{
	struct pg *d = st;

	if (d->auth_parked)
		return pg_auth_resume(d, v);
	if (d->judged != PG_J_PARKED)
		return SL_E_INVAL;
	if (v->action == SL_ACT_PARK)
		return pg_waits(d);
	if (d->judged_notice != PG_NO_SLOT)
		pg_say_free(d, d->judged_notice);
	d->judged_notice = PG_NO_SLOT;
	if (v->action == SL_ACT_ALLOW) {
		pg_say_free(d, d->judged_say);
		d->judged = PG_J_ALLOWED;
	} else {
		pg_say_reason(d->says[d->judged_say], &v->reason, "denied");
		d->judged = PG_J_DENIED;
	}
	return SL_OK;
}

static int pg_login(void *st, const struct sl_login *l)
{
	return pg_login_begin(st, l);
}

static const char *bye_sqlstate(const struct pg *d, const struct sl_reason *r)
{
	switch (r->code) {
	case SL_RSN_SHUTDOWN:
		return "57P01";
	case SL_RSN_UNAVAILABLE:
		return d->cs == PG_C_READY ? "08006" : "57P03";
	case SL_RSN_PROTOCOL:
		return "08P01";
	case SL_RSN_AUTH:
		return "28000";
	case SL_RSN_CANCELLED:
		return "57014";
	default:
		return r->err == SL_E_FLOW_MESSAGE_SIZE ? "54000" : "42501";
	}
}

static int pg_inject(void *st, enum sl_inject what, const struct sl_reason *reason)
{
	struct pg *d = st;
	struct pg_say s = {0};
	int rc;

	if (what != SL_INJ_BYE)
		return SL_E_PROTO_UNSUPPORTED; /* cancel_request() has the bytes for that */
	/* In the middle of a message anything said would be read as a part of it. */
	if (d->last_word || d->fatal || d->cs == PG_C_CLOSED || !pg_client_free(d))
		return SL_OK;
	d->last_word = true;
	pg_say_reason(&s, reason, "the gateway ends this session");
	memcpy(s.sqlstate, bye_sqlstate(d, reason), 5);
	rc = pg_write_say(d, 'E', "FATAL", &s);
	return rc < 0 ? rc : SL_OK;
}

static int pg_eof(void *st, enum sl_side from)
{
	struct pg *d = st;
	bool expected = d->terminated || d->fatal || d->cs == PG_C_CLOSED;

	if (from == SL_CLIENT) {
		d->cs = PG_C_CLOSED;
		return SL_OK;
	}
	if (expected)
		return SL_OK;
	/* There is no second call: where the event has no room the end is told without it. */
	(void)pg_fatal(d, SL_TARGET, SL_E_PROTO_TARGET, "08006", "the target closed the connection");
	return SL_E_PROTO_TARGET;
}

static size_t pg_cancel(void *st, uint8_t *out, size_t cap)
{
	const struct pg *d = st;

	if (d->ts != PG_T_READY || d->nb_keys == 0 || cap < 12u + d->target_key_n)
		return 0;
	sl_put_be32(out, 12u + d->target_key_n);
	sl_put_be32(out + 4, PG_CODE_CANCEL);
	memcpy(out + 8, d->target_pid, 4);
	memcpy(out + 12, pg_key(d), d->target_key_n);
	return 12u + d->target_key_n;
}

static void pg_close(void *st)
{
	struct pg *d = st;

	sl_cleanse(&d->login, sizeof(d->login));
	sl_cleanse(d->target_key, sizeof(d->target_key));
	pg_free_all(d);
	d->cs = PG_C_CLOSED;
}

const struct sl_decoder sl_postgres_decoder = {
        .name = "postgres",
        .alpn = "postgresql",
        .state_bytes = sizeof(struct pg),
        .scratch_bytes = sizeof(union pg_tmp),
        .take_max = PG_TAKE_MAX,
        .open = pg_open,
        .feed = pg_feed,
        .resume = pg_resume,
        .login = pg_login,
        .inject = pg_inject,
        .eof = pg_eof,
        .cancel_request = pg_cancel,
        .close = pg_close,
};
