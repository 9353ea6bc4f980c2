/*
 * The login at the target, from SSLRequest to the first ReadyForQuery. Each
 * state takes only the messages that belong to it. Nothing of what the target says here reaches the client
 * before the session has been accepted: AuthenticationOk, ParameterStatus, BackendKeyData and ReadyForQuery
 * go out together at the end.
 */
#include <stdio.h>
#include <stdlib.h>

#include "pg_priv.h"
#include "sl_secret.h"

static int startup_send(struct pg *d)
{
	static const char fixed[] = "client_encoding\0UTF8\0standard_conforming_strings\0on";
	uint8_t b[SL_DEC_ROOM_MIN];
	const struct sl_span user = d->login.user, db = d->login.database;
	size_t at = 8;

	if (user.n == 0 || user.n > PG_VALUE_MAX || db.n > PG_VALUE_MAX ||
	    memchr(user.p, 0, user.n) != NULL || (db.n > 0 && memchr(db.p, 0, db.n) != NULL))
		return pg_fatal(d, SL_TARGET, SL_E_CONFIG, "08004",
		                "the target's user or database name cannot be used");
	memcpy(b + at, "user", 5);
	memcpy(b + at + 5, user.p, user.n);
	at += 5 + user.n;
	b[at++] = 0;
	if (db.n > 0) {
		memcpy(b + at, "database", 9);
		memcpy(b + at + 9, db.p, db.n);
		at += 9 + db.n;
		b[at++] = 0;
	}
	memcpy(b + at, fixed, sizeof(fixed));
	at += sizeof(fixed);
	memcpy(b + at, d->start->forward, d->start->forward_n);
	at += d->start->forward_n;
	b[at++] = 0;
	sl_put_be32(b, (uint32_t)at);
	sl_put_be32(b + 4, 3u << 16 | d->target_minor);
	d->ts = PG_T_AUTH;
	return pg_add(d, SL_TARGET, b, at);
}

int pg_login_begin(struct pg *d, const struct sl_login *l)
{
	static const uint8_t ssl[8] = {0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f};

	if (l->query.n > 0) {
		int own = pg_catalog_open(d);

		if (own != SL_OK)
			return own;
	}
	if (d->ts != PG_T_NONE ||
	    !(d->cs == PG_C_LOGIN || l->query.n > 0 ||
	      ((d->cs == PG_C_PASSWORD || (d->cs == PG_C_SASL && d->start->sasl_asked)) && d->auth_allowed)))
		return SL_E_INVAL;
	d->login = *l;
	d->logging_in = true;
	d->target_minor = l->minor < PG_MINOR_MAX ? (uint8_t)l->minor : PG_MINOR_MAX;
	if (l->tls_direct) {
		int rc = d->io.upgrade_direct(d->io.ctx, SL_TARGET);

		d->target_tls = rc == SL_OK;
		return rc == SL_OK ? startup_send(d) : rc;
	}
	if (!l->tls_offered && !l->tls_required)
		return startup_send(d);
	d->ts = PG_T_SSL;
	return pg_add(d, SL_TARGET, ssl, sizeof(ssl));
}

/*
 * One byte. An ErrorResponse here is of somebody who has not shown a certificate: its text is not read
 * (CVE-2024-10977).
 */
static int ssl_answer(struct pg *d, struct sl_span b, size_t *used)
{
	int rc;

	if (b.p[0] == 'S') {
		if (b.n > 1)
			return pg_fatal(d, SL_TARGET, SL_E_TLS_PIGGYBACK, "08006",
			                "the target sent clear bytes before TLS");
		rc = d->io.upgrade(d->io.ctx, SL_TARGET);
		if (rc < 0)
			return pg_fatal(d, SL_TARGET, rc, "08006", "TLS with the target cannot be begun");
		d->target_tls = true;
	} else if (b.p[0] != 'N') {
		return pg_target_broken(d, "the target did not answer the request for TLS");
	} else if (d->login.tls_required) {
		return pg_fatal(d, SL_TARGET, SL_E_PROTO_UNSUPPORTED, "08006",
		                "the target has no TLS, which is required");
	}
	*used = 1;
	return startup_send(d);
}

static int auth_failed(struct pg *d, const char *text)
{
	return pg_fatal(d, SL_TARGET, SL_E_PROTO_TARGET_AUTH, "08004", text);
}

static int password_send(struct pg *d, struct sl_span secret)
{
	uint8_t b[PG_HEADER + SL_SECRET_MAX + 1];
	int rc;

	if (secret.n > SL_SECRET_MAX || (secret.n > 0 && memchr(secret.p, 0, secret.n) != NULL))
		return auth_failed(d, "the stored credential cannot be sent");
	b[0] = 'p';
	sl_put_be32(b + 1, (uint32_t)(5 + secret.n));
	if (secret.n > 0)
		memcpy(b + PG_HEADER, secret.p, secret.n);
	b[PG_HEADER + secret.n] = 0;
	rc = pg_add(d, SL_TARGET, b, PG_HEADER + secret.n + 1);
	sl_cleanse(b, sizeof(b));
	d->ts = PG_T_SENT;
	return rc;
}

static int auth_md5(struct pg *d, struct sl_span b)
{
	char answer[36];
	int rc;

	if (b.n != 4)
		return pg_target_broken(d, "malformed authentication request of the target");
	if (pg_md5_answer(d->login.user, d->login.secret, b.p, answer) != SL_OK)
		return auth_failed(d, "MD5 authentication is not available");
	rc = password_send(d, sl_span(answer, 35));
	sl_cleanse(answer, sizeof(answer));
	return rc;
}

#define SCRAM_PLAIN "SCRAM-SHA-256"
#define SCRAM_PLUS  "SCRAM-SHA-256-PLUS"

struct mechanisms {
	bool plain, plus;
};

static int read_mechanisms(struct sl_span b, struct mechanisms *o)
{
	struct sl_span name;

	while (b.n > 0 && b.p[0] != 0) {
		if (pg_get_str(&b, &name) < 0)
			return SL_E_PROTO_MALFORMED;
		o->plain = o->plain || sl_span_is(name, SCRAM_PLAIN);
		o->plus = o->plus || sl_span_is(name, SCRAM_PLUS);
	}
	return b.n == 1 ? SL_OK : SL_E_PROTO_MALFORMED;
}

/* The mechanism to use, or NULL with what is wrong in *why. */
static const char *choose(struct pg *d, const struct mechanisms *offered, const char **why)
{
	struct pg_scram *s = &d->start->scram;

	*why = "the target offers channel binding outside TLS";
	if (offered->plus && !d->target_tls)
		return NULL;
	s->binding_n = d->target_tls && d->login.binding != SL_BINDING_OFF
	                       ? d->io.channel_binding(d->io.ctx, SL_TARGET, s->binding)
	                       : 0;
	*why = "the target offers no channel binding, which is required";
	if (d->login.binding == SL_BINDING_REQUIRE && (!offered->plus || s->binding_n == 0))
		return NULL;
	s->gs2 = s->binding_n == 0 ? 'n' : offered->plus ? 'p' : 'y';
	if (s->gs2 == 'p')
		return SCRAM_PLUS;
	*why = "the target offers no authentication that is known here";
	return offered->plain ? SCRAM_PLAIN : NULL;
}

static int auth_sasl(struct pg *d, struct sl_span b)
{
	uint8_t out[PG_HEADER + sizeof(SCRAM_PLUS) + 4 + 64];
	struct mechanisms offered = {false, false};
	const char *mechanism, *why;
	size_t n, at = PG_HEADER;

	if (read_mechanisms(b, &offered) < 0)
		return pg_target_broken(d, "malformed authentication request of the target");
	mechanism = choose(d, &offered, &why);
	if (mechanism == NULL)
		return auth_failed(d, why);
	memcpy(out + at, mechanism, strlen(mechanism) + 1);
	at += strlen(mechanism) + 1;
	n = pg_scram_first(&d->start->scram, d->login.nonce, (char *)out + at + 4, 64);
	if (n == 0)
		return auth_failed(d, "SCRAM authentication is not available");
	sl_put_be32(out + at, (uint32_t)n);
	at += 4 + n;
	out[0] = 'p';
	sl_put_be32(out + 1, (uint32_t)(at - 1));
	d->ts = PG_T_SASL_FIRST;
	return pg_add(d, SL_TARGET, out, at);
}

static int auth_sasl_continue(struct pg *d, struct sl_span b)
{
	uint8_t out[PG_HEADER + 512];
	int n = pg_scram_final(&d->start->scram, d->login.secret, b, (char *)out + PG_HEADER,
	                       sizeof(out) - PG_HEADER);

	if (n < 0)
		return auth_failed(d, "the target's SCRAM message is not acceptable");
	out[0] = 'p';
	sl_put_be32(out + 1, (uint32_t)(4 + n));
	d->ts = PG_T_SASL_FINAL;
	return pg_add(d, SL_TARGET, out, PG_HEADER + (size_t)n);
}

static int auth_sasl_final(struct pg *d, struct sl_span b)
{
	if (pg_scram_verify(&d->start->scram, b) != SL_OK)
		return auth_failed(d, "the target could not prove that it knows the credential");
	d->ts = PG_T_SASL_DONE;
	return SL_OK;
}

static int authentication(struct pg *d, struct sl_span b)
{
	uint32_t code;

	if (pg_get_32(&b, &code) < 0)
		return pg_target_broken(d, "malformed authentication request of the target");
	if (d->login.binding == SL_BINDING_REQUIRE && d->ts == PG_T_AUTH && code != 10)
		return auth_failed(d, "the target offers no channel binding, which is required");
	if (code == 0 && b.n == 0 && (d->ts == PG_T_AUTH || d->ts == PG_T_SENT || d->ts == PG_T_SASL_DONE)) {
		d->ts = PG_T_PARAMS;
		return SL_OK;
	}
	if (code == 11 && d->ts == PG_T_SASL_FIRST)
		return auth_sasl_continue(d, b);
	if (code == 12 && d->ts == PG_T_SASL_FINAL)
		return auth_sasl_final(d, b);
	if (d->ts != PG_T_AUTH)
		return auth_failed(d, "authentication message of the target out of order");
	switch (code) {
	case 3:
		if (!d->target_tls)
			return auth_failed(d, "the target asks for the password in clear outside TLS");
		return password_send(d, d->login.secret);
	case 5:
		return auth_md5(d, b);
	case 10:
		return auth_sasl(d, b);
	default:
		return auth_failed(d, "the target offers no authentication that is known here");
	}
}

/* Class 28 tells about the gateway's own credential, which is not the client's to know. */
static int login_error(struct pg *d, struct sl_span body)
{
	struct pg_fields f;
	char text[PG_SAY_MESSAGE], sqlstate[6] = "08006";

	if (pg_get_fields(body, &f) < 0)
		return pg_target_broken(d, "malformed error of the target");
	if (f.sqlstate.n == 5 && memcmp(f.sqlstate.p, "28", 2) == 0)
		return auth_failed(d, "the target refused the stored credential");
	if (f.sqlstate.n == 5)
		memcpy(sqlstate, f.sqlstate.p, 5);
	(void)snprintf(text, sizeof(text), "the target refused the login: %.*s",
	               (int)(f.text[SL_REPORT_MESSAGE].n < 400 ? f.text[SL_REPORT_MESSAGE].n : 400),
	               (const char *)f.text[SL_REPORT_MESSAGE].p);
	return pg_fatal(d, SL_TARGET, SL_E_PROTO_TARGET_AUTH, sqlstate, text);
}

/* What the lexer of statements builds on, and what the client hears. */
int pg_parameter_status(struct pg *d, struct sl_span body)
{
	struct sl_span name, value;

	if (pg_get_str(&body, &name) < 0 || pg_get_str(&body, &value) < 0 || body.n != 0)
		return pg_target_broken(d, "malformed ParameterStatus");
	if (sl_span_is(name, "standard_conforming_strings"))
		d->scs_on = sl_span_is(value, "on");
	else if (sl_span_is(name, "client_encoding"))
		d->utf8 = sl_span_is(value, "UTF8");
	else if (sl_span_is(name, "server_encoding"))
		d->server_utf8 = sl_span_is(value, "UTF8");
	else if (sl_span_is(name, "server_version") && d->start != NULL)
		(void)sl_span_cstr(value, d->start->version, sizeof(d->start->version));
	if (d->ts == PG_T_READY && !d->utf8)
		return pg_fatal(d, SL_TARGET, SL_E_PROTO_UNSUPPORTED, "0A000",
		                "client_encoding must stay UTF8");
	if (d->ts == PG_T_READY && !d->scs_on)
		d->scs_was_off = true;
	return SL_OK;
}

static int greeting_keep(struct pg *d, const struct pg_msg *m)
{
	int rc = pg_parameter_status(d, m->body);

	if (rc != SL_OK)
		return rc;
	if (m->size > PG_GREETING_BYTES - d->start->greeting_n)
		return pg_target_broken(d, "the target sent too many parameters");
	memcpy(d->start->greeting + d->start->greeting_n, m->all.p, m->size);
	d->start->greeting_n += m->size;
	return SL_OK;
}

void pg_key_free(struct pg *d)
{
	pg_give(d, d->target_key_long, d->target_key_n);
	d->target_key_long = NULL;
	d->target_key_n = 0;
}

const uint8_t *pg_key(const struct pg *d)
{
	return d->target_key_long != NULL ? d->target_key_long : d->target_key;
}

int pg_key_keep(struct pg *d, struct sl_span body)
{
	size_t max = d->target_minor >= PG_MINOR_KEYS ? PG_KEY_MAX : PG_KEY_SHORT;
	struct sl_span key = sl_span_sub(body, 4, body.n);
	uint8_t *to = d->target_key;

	if (key.n < PG_KEY_SHORT || key.n > max || d->nb_keys >= PG_KEYS_MAX)
		return pg_target_broken(d, "malformed or repeated BackendKeyData");
	if (key.n > PG_KEY_SHORT) {
		to = pg_take(d, key.n);
		if (to == NULL)
			return SL_AGAIN;
	}
	pg_key_free(d);
	d->target_key_long = key.n > PG_KEY_SHORT ? to : NULL;
	d->target_key_n = (uint16_t)key.n;
	memcpy(to, key.p, key.n);
	memcpy(d->target_pid, body.p, 4);
	d->nb_keys++;
	return SL_OK;
}

/* NegotiateProtocolVersion: the target has less than was asked for. No options were, so it can name none. */
static int negotiate(struct pg *d, struct sl_span b)
{
	uint32_t version, nb_options;

	if (pg_get_32(&b, &version) < 0 || pg_get_32(&b, &nb_options) < 0 || b.n != 0)
		return pg_target_broken(d, "malformed protocol negotiation of the target");
	if (version >> 16 == 0) /* the minor version alone, as the manual has it */
		version |= 3u << 16;
	if (d->negotiated || version >> 16 != 3 || (version & 0xffff) >= d->target_minor || nb_options != 0)
		return pg_target_broken(d, "the target negotiates what was not asked for");
	d->negotiated = true;
	d->target_minor = (uint8_t)version;
	return SL_OK;
}

static uint8_t cancel_key_n(const struct pg *d)
{
	return d->client_minor >= PG_MINOR_KEYS ? SL_CANCEL_KEY_MAX : PG_KEY_SHORT;
}

static int greet(struct pg *d)
{
	static const uint8_t ok[9] = {'R', 0, 0, 0, 8, 0, 0, 0, 0};
	uint8_t b[9 + SL_CANCEL_KEY_MAX] = {'K'};
	size_t n = cancel_key_n(d);
	int rc;

	sl_put_be32(b + 1, (uint32_t)(8 + n));
	sl_put_be32(b + 5, d->login.cancel_pid);
	memcpy(b + 9, d->login.cancel_key, n);
	sl_cleanse(&d->login, sizeof(d->login));
	d->logging_in = false;
	d->ts = PG_T_READY;
	d->cs = PG_C_READY;
	rc = pg_add(d, SL_CLIENT, ok, sizeof(ok));
	if (rc == SL_OK && d->start->greeting_n > 0)
		rc = pg_add(d, SL_CLIENT, d->start->greeting, d->start->greeting_n);
	pg_start_free(d);
	if (rc == SL_OK)
		rc = pg_add(d, SL_CLIENT, b, 9 + n);
	sl_cleanse(b, sizeof(b));
	return rc == SL_OK ? pg_write_ready(d) : rc;
}

static int session_denied(struct pg *d, const struct sl_verdict *v)
{
	struct pg_say s = {0};
	int rc;

	pg_say_reason(&s, &v->reason, "the session was refused");
	d->last_word = true;
	rc = pg_write_say(d, 'E', "FATAL", &s);
	return rc < 0 ? rc : SL_E_POLICY_DENIED;
}

static int session_begin(struct pg *d, struct sl_span body)
{
	struct sl_event ev = {.kind = SL_EV_SESSION};
	struct sl_verdict v;
	int rc;

	if (body.n != 1 || body.p[0] != 'I')
		return pg_target_broken(d, "the target's login ended in a strange state");
	if (!d->scs_on || !d->utf8)
		return pg_fatal(
		        d, SL_TARGET, SL_E_PROTO_UNSUPPORTED, "0A000",
		        "the target does not keep client_encoding=UTF8 and standard_conforming_strings=on");
	if (d->login.query.n > 0)
		return pg_catalog_ask(d);
	ev.session.server_version = sl_span_str(d->start->version);
	ev.session.cancel_key_n = cancel_key_n(d);
	rc = pg_event(d, &ev, &v);
	if (rc != SL_OK)
		return rc;
	d->tx = 'I';
	if (v.action != SL_ACT_ALLOW)
		return session_denied(d, &v);
	return greet(d);
}

static int login_message(struct pg *d, const struct pg_msg *m)
{
	if (m->type == 'N')
		return SL_OK;
	if (d->ts >= PG_T_PARAMS && m->type == 'S')
		return greeting_keep(d, m);
	if (d->ts >= PG_T_PARAMS && m->type == 'K')
		return pg_key_keep(d, m->body);
	if (d->ts == PG_T_CATALOG)
		return pg_catalog_message(d, m);
	if (m->type == 'E')
		return login_error(d, m->body);
	if (d->ts == PG_T_PARAMS)
		return m->type == 'Z' ? session_begin(d, m->body)
		                      : pg_target_broken(d, "unexpected message in the target's login");
	if (m->type == 'v' && d->ts == PG_T_AUTH)
		return negotiate(d, m->body);
	if (m->type != 'R')
		return pg_target_broken(d, "unexpected message in the target's login");
	return authentication(d, m->body);
}

int pg_login_step(struct pg *d, struct sl_span b, size_t *used)
{
	struct pg_msg m;
	int rc;

	if (d->catalog_done)
		return SL_CLOSED;
	if (b.n == 0)
		return SL_MORE;
	if (d->ts == PG_T_NONE)
		return pg_target_broken(d, "the target spoke first");
	if (!pg_has_room(d))
		return SL_AGAIN;
	if (d->ts == PG_T_SSL)
		return ssl_answer(d, b, used);
	rc = pg_header(b, &m);
	if (rc != SL_OK)
		return rc;
	if (m.size == 0 || m.size > (d->ts == PG_T_CATALOG ? d->cfg.message_max : PG_LOGIN_MAX))
		return pg_target_broken(d, "message of an impossible length in the target's login");
	if (m.all.n < m.size)
		return SL_MORE;
	rc = login_message(d, &m);
	if (rc == SL_OK)
		*used = m.size;
	return rc;
}
