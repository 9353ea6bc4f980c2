/*
 * What comes before the session on the client's side: SSLRequest, GSSENCRequest, CancelRequest,
 * StartupMessage. Start-up parameters are an allow-list: each is forwarded, checked, or refused by name.
 */
#include <stdio.h>
#include <strings.h>

#include "pg_priv.h"

enum param_use {
	USE_USER,
	USE_DATABASE,
	USE_APP,
	USE_ENCODING,
	USE_FORWARD,
	USE_OPTIONS, /* -c name=value of parameters of this list */
	USE_OFF,     /* refused unless it says no */
};

static const struct {
	const char *name;
	enum param_use use;
} params[] = {
        {"user", USE_USER},
        {"database", USE_DATABASE},
        {"application_name", USE_APP},
        {"client_encoding", USE_ENCODING},
        {"DateStyle", USE_FORWARD},
        {"TimeZone", USE_FORWARD},
        {"IntervalStyle", USE_FORWARD},
        {"extra_float_digits", USE_FORWARD},
        {"options", USE_OPTIONS},
        {"replication", USE_OFF},
};

#define PG_OPTION_MAX 256 /* bytes of one word in options */
#define NB_PARAMS     (sizeof(params) / sizeof(params[0]))

/* Of one StartupMessage. */
struct startup {
	uint32_t seen;
	struct sl_span pq[PG_PQ_OPTIONS_MAX];
	uint32_t nb_pq;
};

static int refuse_param(struct pg *d, const char *sqlstate, const char *what, struct sl_span name)
{
	char text[160];
	char safe[PG_NAME_MAX + 1];
	size_t n = name.n < PG_NAME_MAX ? name.n : PG_NAME_MAX;

	for (size_t i = 0; i < n; i++)
		safe[i] = name.p[i] >= 0x20 && name.p[i] < 0x7f ? (char)name.p[i] : '?';
	safe[n] = '\0';
	(void)snprintf(text, sizeof(text), "start-up parameter \"%s\" %s", safe, what);
	return pg_fatal(d, SL_CLIENT, SL_E_PROTO_UNSUPPORTED, sqlstate, text);
}

static int keep(struct pg *d, char *to, struct sl_span name, struct sl_span value)
{
	if (sl_span_cstr(value, to, PG_VALUE_MAX + 1) < 0)
		return refuse_param(d, "22023", "is too long", name);
	return SL_OK;
}

static int forward(struct pg *d, const char *name, struct sl_span value)
{
	size_t nn = strlen(name) + 1;

	if (value.n > PG_VALUE_MAX || nn + value.n + 1 > PG_FORWARD_BYTES - d->start->forward_n)
		return refuse_param(d, "22023", "is too long", sl_span_str(name));
	memcpy(d->start->forward + d->start->forward_n, name, nn);
	if (value.n > 0)
		memcpy(d->start->forward + d->start->forward_n + nn, value.p, value.n);
	d->start->forward[d->start->forward_n + nn + value.n] = 0;
	d->start->forward_n += (uint32_t)(nn + value.n + 1);
	return SL_OK;
}

/*
 * The gateway reads statements as UTF-8 and makes the target do so too. SQL_ASCII is what libpq derives from
 * the C locale; it claims nothing about the bytes, so it may as well be UTF-8; ParameterStatus tells the
 * client.
 */
static bool encoding_ok(struct sl_span v)
{
	if (v.n >= 2 && v.p[0] == '\'' && v.p[v.n - 1] == '\'')
		v = sl_span(v.p + 1, v.n - 2);
	return pg_span_ieq(v, "UTF8") || pg_span_ieq(v, "UTF-8") || pg_span_ieq(v, "UTF_8") ||
	       pg_span_ieq(v, "UNICODE") || pg_span_ieq(v, "SQL_ASCII");
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_off(struct sl_span v)
{
	return pg_span_ieq(v, "false") || pg_span_ieq(v, "off") || pg_span_ieq(v, "no") ||
	       pg_span_ieq(v, "0");
}

static int not_twice(struct pg *d, struct startup *s, size_t i, struct sl_span name)
{
	if (s->seen & 1u << i)
		return refuse_param(d, "08P01", "is given twice", name);
	s->seen |= 1u << i;
	return SL_OK;
}

/* A parameter that options may set, too. */
static int use_setting(struct pg *d, size_t i, struct sl_span name, struct sl_span value)
{
	int rc = SL_OK;

	if (params[i].use == USE_ENCODING)
		return encoding_ok(value)
		               ? SL_OK
		               : refuse_param(d, "22023", "must be UTF8 (set PGCLIENTENCODING=UTF8)", name);
	if (params[i].use == USE_APP)
		rc = keep(d, d->start->app, name, value);
	return rc != SL_OK ? rc : forward(d, params[i].name, value);
}

static bool is_setting(size_t i)
{
	return params[i].use == USE_FORWARD || params[i].use == USE_APP || params[i].use == USE_ENCODING;
}

/* The next word of options; a backslash takes the next byte as it is (PostgreSQL's pg_split_opts). False:
 * none, or one that is too long. */
static bool options_word(struct sl_span *from, uint8_t *to, struct sl_span *word)
{
	struct sl_span s = *from;
	size_t n = 0;

	while (s.n > 0 && is_blank(s.p[0]))
		s = sl_span_sub(s, 1, s.n);
	while (s.n > 0 && !is_blank(s.p[0])) {
		if (s.p[0] == '\\' && s.n > 1)
			s = sl_span_sub(s, 1, s.n);
		if (n == PG_OPTION_MAX)
			return false;
		to[n++] = s.p[0];
		s = sl_span_sub(s, 1, s.n);
	}
	*from = s;
	*word = sl_span(to, n);
	return n > 0;
}

/* name=value, where '-' in the name stands for '_'. */
static int one_option(struct pg *d, struct startup *s, uint8_t *text, size_t n)
{
	size_t eq = 0;
	int rc;

	while (eq < n && text[eq] != '=') {
		if (text[eq] == '-')
			text[eq] = '_';
		eq++;
	}
	if (eq == 0 || eq == n)
		return refuse_param(d, "42501", "has something that is not allowed", sl_span_str("options"));
	for (size_t i = 0; i < NB_PARAMS; i++) {
		if (!is_setting(i) || !pg_span_ieq(sl_span(text, eq), params[i].name))
			continue;
		rc = not_twice(d, s, i, sl_span(text, eq));
		return rc != SL_OK ? rc
		                   : use_setting(d, i, sl_span(text, eq), sl_span(text + eq + 1, n - eq - 1));
	}
	return refuse_param(d, "42501", "is not allowed", sl_span(text, eq));
}

/* -c name=value, -cname=value and --name=value; nothing else of the server's command line. */
static int use_options(struct pg *d, struct startup *s, struct sl_span value)
{
	uint8_t buf[PG_OPTION_MAX];
	struct sl_span w;
	int rc = SL_OK;

	while (rc == SL_OK && options_word(&value, buf, &w)) {
		size_t skip = 2;

		if (sl_span_is(w, "-c")) {
			skip = 0;
			if (!options_word(&value, buf, &w))
				w = SL_SPAN_EMPTY; /* refused */
		} else if (w.n < 2 || buf[0] != '-' || (buf[1] != 'c' && buf[1] != '-')) {
			skip = w.n; /* leaves nothing, which is refused */
		}
		rc = one_option(d, s, buf + skip, w.n - skip);
	}
	while (rc == SL_OK && value.n > 0 && is_blank(value.p[0]))
		value = sl_span_sub(value, 1, value.n);
	if (rc == SL_OK && value.n > 0)
		return refuse_param(d, "22023", "is too long", sl_span_str("options"));
	return rc;
}

static int use_param(struct pg *d, struct startup *s, size_t i, struct sl_span name, struct sl_span value)
{
	switch (params[i].use) {
	case USE_USER:
		return keep(d, d->start->user, name, value);
	case USE_DATABASE:
		return keep(d, d->start->database, name, value);
	case USE_OPTIONS:
		return use_options(d, s, value);
	case USE_OFF:
		return is_off(value) ? SL_OK : refuse_param(d, "42501", "is not allowed", name);
	default:
		return use_setting(d, i, name, value);
	}
}

static int one_param(struct pg *d, struct startup *s, struct sl_span name, struct sl_span value)
{
	int rc;

	if (name.n >= 5 && memcmp(name.p, "_pq_.", 5) == 0) {
		if (s->nb_pq == PG_PQ_OPTIONS_MAX)
			return refuse_param(d, "54000", "is one option too many", name);
		s->pq[s->nb_pq++] = name;
		return SL_OK;
	}
	for (size_t i = 0; i < NB_PARAMS; i++) {
		if (!pg_span_ieq(name, params[i].name))
			continue;
		rc = not_twice(d, s, i, name);
		return rc != SL_OK ? rc : use_param(d, s, i, name, value);
	}
	return refuse_param(d, "42501", "is not allowed", name);
}

static int negotiate(struct pg *d, const struct startup *s)
{
	uint8_t b[SL_DEC_ROOM_MIN];
	size_t at = PG_HEADER + 8;

	for (uint32_t i = 0; i < s->nb_pq; i++) {
		if (s->pq[i].n > PG_VALUE_MAX)
			return refuse_param(d, "22023", "is too long", s->pq[i]);
		memcpy(b + at, s->pq[i].p, s->pq[i].n);
		at += s->pq[i].n;
		b[at++] = 0;
	}
	b[0] = 'v';
	sl_put_be32(b + 1, (uint32_t)(at - 1));
	sl_put_be32(b + 5,
	            3u << 16 | d->client_minor); /* the whole version, as PostgreSQL and libpq have it */
	sl_put_be32(b + 9, s->nb_pq);
	return pg_add(d, SL_CLIENT, b, at);
}

static int startup_params(struct pg *d, struct sl_span b, struct startup *s)
{
	struct sl_span name, value;
	int rc;

	d->start->forward_n = 0;
	d->start->user[0] = d->start->database[0] = d->start->app[0] = '\0';
	while (b.n > 1) {
		if (pg_get_str(&b, &name) < 0 || name.n == 0 || pg_get_str(&b, &value) < 0)
			return pg_broken(d, "malformed start-up message");
		rc = one_param(d, s, name, value);
		if (rc != SL_OK)
			return rc;
	}
	if (b.n != 1 || b.p[0] != 0)
		return pg_broken(d, "start-up message without its terminator");
	if (d->start->user[0] == '\0')
		return pg_fatal(d, SL_CLIENT, SL_E_AUTH, "28000", "no user name in the start-up message");
	return SL_OK;
}

/* By the form of the name alone: whether there is such a credential is not known here, and does not show. */
static int ask_secret(struct pg *d)
{
	static const uint8_t clear[] = {'R', 0, 0, 0, 8, 0, 0, 0, 3}; /* AuthenticationCleartextPassword */
	struct sl_span resource, id;

	if (sl_credential_name_split(sl_span_str(d->start->user), &resource, &id)) {
		d->cs = PG_C_SASL;
		return pg_sasl_ask(d);
	}
	d->cs = PG_C_PASSWORD;
	return pg_add(d, SL_CLIENT, clear, sizeof(clear));
}

static int startup_message(struct pg *d, struct sl_span msg, size_t *used)
{
	uint32_t version = sl_get_be32(msg.p + 4);
	struct startup s = {0};
	int rc;

	if (version >> 16 != 3)
		return pg_fatal(d, SL_CLIENT, SL_E_PROTO_UNSUPPORTED, "0A000",
		                "only protocol version 3 is spoken here");
	if (d->cfg.client_tls_required && !d->client_tls)
		return pg_fatal(d, SL_CLIENT, SL_E_AUTH, "28000",
		                "this gateway takes a login inside TLS only (sslmode=require)");
	if (d->start == NULL)
		d->start = pg_take(d, sizeof(*d->start));
	if (d->start == NULL)
		return SL_AGAIN;
	memset(d->start, 0, sizeof(*d->start));
	d->client_minor = (version & 0xffff) < PG_MINOR_MAX ? (uint8_t)version : PG_MINOR_MAX;
	rc = startup_params(d, sl_span_sub(msg, 8, msg.n), &s);
	if (rc != SL_OK)
		return rc;
	if ((version & 0xffff) > PG_MINOR_MAX || s.nb_pq > 0)
		rc = negotiate(d, &s);
	if (rc == SL_OK)
		rc = ask_secret(d);
	if (rc != SL_OK)
		return rc;
	*used = msg.n;
	return SL_OK;
}

static int ssl_request(struct pg *d, size_t len, struct sl_span b, size_t *used)
{
	int rc;

	if (len != 8 || d->ssl_asked)
		return pg_broken(d, "second or malformed SSLRequest");
	if (!d->cfg.client_tls_offered) {
		rc = pg_add(d, SL_CLIENT, "N", 1);
		if (rc < 0)
			return rc;
	} else {
		/* CVE-2021-23214: bytes behind the request came in clear and must never be read as if TLS had
		 * brought them. */
		if (b.n > 8)
			return pg_fatal(d, SL_CLIENT, SL_E_TLS_PIGGYBACK, "08P01",
			                "clear bytes behind SSLRequest");
		rc = pg_add(d, SL_CLIENT, "S", 1);
		if (rc == SL_OK)
			rc = d->io.upgrade(d->io.ctx, SL_CLIENT);
		if (rc < 0)
			return rc;
		d->client_tls = true;
	}
	d->ssl_asked = true;
	*used = 8;
	return SL_OK;
}

/* PostgreSQL 17, sslnegotiation=direct: as the first thing on the connection only. */
static int direct_tls(struct pg *d)
{
	int rc = d->io.upgrade_direct(d->io.ctx, SL_CLIENT);

	if (rc < 0)
		return rc;
	d->client_tls = d->ssl_asked = true;
	return SL_AGAIN;
}

static int gss_request(struct pg *d, size_t len, size_t *used)
{
	int rc;

	if (len != 8 || d->gss_asked || d->client_tls)
		return pg_broken(d, "second or malformed GSSENCRequest");
	rc = pg_add(d, SL_CLIENT, "N", 1);
	if (rc < 0)
		return rc;
	d->gss_asked = true;
	*used = 8;
	return SL_OK;
}

static int cancel_request(struct pg *d, struct sl_span msg, size_t *used)
{
	struct sl_event ev = {.kind = SL_EV_CANCEL};
	struct sl_verdict v;
	int rc;

	if (msg.n < 12 + PG_KEY_SHORT || msg.n > 12 + PG_KEY_MAX)
		return pg_broken(d, "malformed CancelRequest");
	ev.cancel.pid = sl_get_be32(msg.p + 8);
	ev.cancel.key = sl_span_sub(msg, 12, msg.n);
	rc = pg_event(d, &ev, &v);
	if (rc != SL_OK)
		return rc;
	d->cs = PG_C_CLOSED;
	*used = msg.n;
	return SL_CLOSED;
}

int pg_startup_step(struct pg *d, struct sl_span b, size_t *used)
{
	uint32_t len, code;

	if (b.n > 0 && b.p[0] == PG_TLS_RECORD && d->cfg.client_tls_offered && !d->ssl_asked && !d->gss_asked)
		return direct_tls(d);
	if (b.n < 4)
		return SL_MORE;
	len = sl_get_be32(b.p);
	if (len < 8 || len > PG_STARTUP_MAX)
		return pg_broken(d, "start-up message of an impossible length");
	if (b.n < len)
		return SL_MORE;
	if (d->io.room(d->io.ctx, SL_CLIENT) < SL_DEC_ROOM_MIN)
		return SL_AGAIN;
	code = sl_get_be32(b.p + 4);
	if (code == PG_CODE_SSL)
		return ssl_request(d, len, b, used);
	if (code == PG_CODE_GSSENC)
		return gss_request(d, len, used);
	if (code == PG_CODE_CANCEL)
		return cancel_request(d, sl_span_sub(b, 0, len), used);
	return startup_message(d, sl_span(b.p, len), used);
}
