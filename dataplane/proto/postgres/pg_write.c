#include <strings.h>

#include "pg_priv.h"

#define PG_SAY_BYTES (PG_SAY_MESSAGE + PG_SAY_HINT + PG_SAY_ID + 128)

int pg_add(struct pg *d, enum sl_side to, const void *p, size_t n)
{
	return d->io.add(d->io.ctx, to, sl_span(p, n));
}

int pg_event(struct pg *d, const struct sl_event *ev, struct sl_verdict *v)
{
	memset(v, 0, sizeof(*v));
	return d->io.event(d->io.ctx, ev, v);
}

int pg_event_for(struct pg *d, const struct pg_entry *e, struct sl_event *ev, struct sl_verdict *v)
{
	ev->cmd = e->cmd;
	ev->mark = e->mark;
	return pg_event(d, ev, v);
}

bool pg_client_free(const struct pg *d)
{
	return d->t_left == 0 && !d->rows.emitting;
}

bool pg_has_room(struct pg *d)
{
	return d->io.room(d->io.ctx, SL_CLIENT) >= SL_DEC_ROOM_MIN &&
	       d->io.room(d->io.ctx, SL_TARGET) >= SL_DEC_ROOM_MIN;
}

/* Cuts at a NUL and at cap, there without leaving half a UTF-8 character. */
static uint16_t cut(char *out, size_t cap, struct sl_span s)
{
	size_t n = s.n < cap ? s.n : cap;
	const void *nul = n > 0 ? memchr(s.p, 0, n) : NULL;

	if (nul != NULL)
		n = (size_t)((const uint8_t *)nul - s.p);
	else if (n < s.n)
		while (n > 0 && (s.p[n] & 0xc0) == 0x80)
			n--;
	if (n > 0)
		memcpy(out, s.p, n);
	return (uint16_t)n;
}

void pg_say_set(struct pg_say *s, const char *sqlstate, struct sl_span message, struct sl_span id,
                struct sl_span hint)
{
	memcpy(s->sqlstate, sqlstate, 5);
	s->sqlstate[5] = '\0';
	s->message_n = cut(s->message, sizeof(s->message), message);
	s->id_n = cut(s->id, sizeof(s->id), id);
	s->hint_n = cut(s->hint, sizeof(s->hint), hint);
}

static const char *reason_sqlstate(enum sl_reason_code code)
{
	switch (code) {
	case SL_RSN_CANCELLED:
		return "57014";
	case SL_RSN_UNAVAILABLE:
		return "58030";
	case SL_RSN_SHUTDOWN:
		return "57P01";
	case SL_RSN_AUTH:
	case SL_RSN_LOCKED:
		return "28000";
	case SL_RSN_LIMIT:
		return "53400";
	case SL_RSN_SESSIONS:
		return "53300";
	case SL_RSN_PROTOCOL:
		return "08P01";
	default:
		return "42501";
	}
}

void pg_say_reason(struct pg_say *s, const struct sl_reason *r, const char *fallback)
{
	struct sl_span message = r->message.n > 0 ? r->message : sl_span_str(fallback);

	pg_say_set(s, reason_sqlstate(r->code), message, r->event_id, r->hint);
}

uint16_t pg_say_new(struct pg *d)
{
	uint16_t i = 0;

	while (i < PG_SAYS_MAX && d->says[i] != NULL)
		i++;
	if (i == PG_SAYS_MAX)
		return PG_NO_SLOT;
	d->says[i] = i < PG_SAYS_OWN ? &d->own_says[i] : pg_take(d, sizeof(struct pg_say));
	if (d->says[i] == NULL)
		return PG_NO_SLOT;
	d->says[i]->message_n = d->says[i]->hint_n = d->says[i]->id_n = 0;
	return i;
}

void pg_say_free(struct pg *d, uint16_t slot)
{
	if (slot >= PG_SAYS_MAX)
		return;
	if (slot >= PG_SAYS_OWN)
		pg_give(d, d->says[slot], sizeof(struct pg_say));
	d->says[slot] = NULL;
}

static size_t put_field(uint8_t *b, size_t at, char field, const char *prefix, const char *s, size_t n)
{
	size_t np = strlen(prefix);

	b[at++] = (uint8_t)field;
	memcpy(b + at, prefix, np);
	at += np;
	memcpy(b + at, s, n);
	at += n;
	b[at++] = 0;
	return at;
}

int pg_write_say(struct pg *d, char type, const char *severity, const struct pg_say *s)
{
	uint8_t b[PG_SAY_BYTES];
	size_t at = PG_HEADER;

	at = put_field(b, at, 'S', "", severity, strlen(severity));
	at = put_field(b, at, 'V', "", severity, strlen(severity));
	at = put_field(b, at, 'C', "", s->sqlstate, strlen(s->sqlstate));
	at = put_field(b, at, 'M', "", s->message, s->message_n);
	if (s->id_n > 0)
		at = put_field(b, at, 'D', "event ", s->id, s->id_n);
	if (s->hint_n > 0)
		at = put_field(b, at, 'H', "", s->hint, s->hint_n);
	b[at++] = 0;
	b[0] = (uint8_t)type;
	sl_put_be32(b + 1, (uint32_t)(at - 1));
	return pg_add(d, SL_CLIENT, b, at);
}

int pg_write_ready(struct pg *d)
{
	const uint8_t b[6] = {'Z', 0, 0, 0, 5, d->tx};

	return pg_add(d, SL_CLIENT, b, sizeof(b));
}

int pg_fatal(struct pg *d, enum sl_side side, int err, const char *sqlstate, const char *text)
{
	struct sl_event ev = {.kind = SL_EV_ERROR, .cmd = d->last_cmd};
	struct sl_verdict v;
	struct pg_say s = {0};
	int rc;

	ev.error.err = err;
	ev.error.side = side;
	ev.error.text = sl_span_str(text);
	rc = pg_event(d, &ev, &v);
	if (rc != SL_OK)
		return rc;
	if (!d->last_word && pg_client_free(d) && d->cs != PG_C_CLOSED) {
		d->last_word = true;
		pg_say_set(&s, sqlstate, sl_span_str(text), SL_SPAN_EMPTY, SL_SPAN_EMPTY);
		rc = pg_write_say(d, 'E', "FATAL", &s);
		if (rc < 0)
			return rc;
	}
	return err;
}

int pg_broken(struct pg *d, const char *text)
{
	return pg_fatal(d, SL_CLIENT, SL_E_PROTO_MALFORMED, "08P01", text);
}

int pg_target_broken(struct pg *d, const char *text)
{
	return pg_fatal(d, SL_TARGET, SL_E_PROTO_TARGET, "08006", text);
}

int pg_send_query(struct pg *d, struct sl_span sql)
{
	uint8_t b[SL_DEC_ROOM_MIN];

	if (sql.n > sizeof(b) - PG_HEADER - 1)
		return SL_E_LIMIT;
	b[0] = 'Q';
	sl_put_be32(b + 1, (uint32_t)(sql.n + 5));
	memcpy(b + PG_HEADER, sql.p, sql.n);
	b[PG_HEADER + sql.n] = 0;
	return pg_add(d, SL_TARGET, b, PG_HEADER + sql.n + 1);
}

/*
 * A named statement: Parse of the unnamed one would drop the client's own unnamed statement. The name is
 * never made, because the text does not parse.
 */
int pg_send_failing_parse(struct pg *d)
{
	static const char body[] =
	        "sluice_denied\0" PG_FAILING_SQL "\0\0"; /* the string's own NUL ends the int16 */
	uint8_t b[PG_HEADER + sizeof(body)];

	b[0] = 'P';
	sl_put_be32(b + 1, (uint32_t)(4 + sizeof(body)));
	memcpy(b + PG_HEADER, body, sizeof(body));
	return pg_add(d, SL_TARGET, b, sizeof(b));
}

int pg_send_flush(struct pg *d)
{
	static const uint8_t b[PG_HEADER] = {'H', 0, 0, 0, 4};

	if (!d->segment_up || d->flushed)
		return SL_OK;
	d->flushed = true;
	return pg_add(d, SL_TARGET, b, sizeof(b));
}

int pg_send_describe_portal(struct pg *d, struct sl_span name)
{
	uint8_t b[PG_HEADER + 1 + PG_NAME_MAX + 1];

	if (name.n > PG_NAME_MAX)
		return SL_E_LIMIT;
	b[0] = 'D';
	sl_put_be32(b + 1, (uint32_t)(6 + name.n));
	b[PG_HEADER] = 'P';
	if (name.n > 0)
		memcpy(b + PG_HEADER + 1, name.p, name.n);
	b[PG_HEADER + 1 + name.n] = 0;
	return pg_add(d, SL_TARGET, b, PG_HEADER + 2 + name.n);
}

int pg_header(struct sl_span b, struct pg_msg *m)
{
	uint32_t len;

	if (b.n < PG_HEADER)
		return SL_MORE;
	len = sl_get_be32(b.p + 1);
	m->type = b.p[0];
	m->size = len < 4 || len > PG_STREAM_MAX ? 0 : len + 1;
	m->all = sl_span_sub(b, 0, m->size);
	m->body = sl_span_sub(m->all, PG_HEADER, m->all.n);
	m->behind = sl_span_sub(b, m->size, b.n);
	return SL_OK;
}

int pg_get_str(struct sl_span *b, struct sl_span *out)
{
	const uint8_t *nul = b->n > 0 ? memchr(b->p, 0, b->n) : NULL;
	size_t n;

	if (nul == NULL)
		return SL_E_PROTO_MALFORMED;
	n = (size_t)(nul - b->p);
	*out = sl_span(b->p, n);
	*b = sl_span(nul + 1, b->n - n - 1);
	return SL_OK;
}

int pg_get_16(struct sl_span *b, uint16_t *out)
{
	if (b->n < 2)
		return SL_E_PROTO_MALFORMED;
	*out = sl_get_be16(b->p);
	*b = sl_span(b->p + 2, b->n - 2);
	return SL_OK;
}

int pg_get_32(struct sl_span *b, uint32_t *out)
{
	if (b->n < 4)
		return SL_E_PROTO_MALFORMED;
	*out = sl_get_be32(b->p);
	*b = sl_span(b->p + 4, b->n - 4);
	return SL_OK;
}

int pg_get_bytes(struct sl_span *b, size_t n, struct sl_span *out)
{
	if (b->n < n)
		return SL_E_PROTO_MALFORMED;
	*out = sl_span(b->p, n);
	*b = sl_span(b->p + n, b->n - n);
	return SL_OK;
}

bool pg_span_ieq(struct sl_span a, const char *s)
{
	return a.n == strlen(s) && (a.n == 0 || strncasecmp((const char *)a.p, s, a.n) == 0);
}

static struct sl_span *field_of(struct pg_fields *f, uint8_t field)
{
	switch (field) {
	case 'V':
		return &f->severity;
	case 'S': /* translated: where the target is too old for V */
		return f->severity.n == 0 ? &f->severity : NULL;
	case 'C':
		return &f->sqlstate;
	case 'M':
		return &f->text[SL_REPORT_MESSAGE];
	case 'D':
		return &f->text[SL_REPORT_DETAIL];
	case 'H':
		return &f->text[SL_REPORT_HINT];
	case 'W':
		return &f->text[SL_REPORT_WHERE];
	case 'q':
		return &f->text[SL_REPORT_QUERY];
	default:
		return NULL;
	}
}

int pg_get_fields(struct sl_span b, struct pg_fields *f)
{
	struct sl_span value, *to;

	memset(f, 0, sizeof(*f));
	while (b.n > 0 && b.p[0] != 0) {
		uint8_t field = b.p[0];

		b = sl_span_sub(b, 1, b.n);
		if (pg_get_str(&b, &value) < 0)
			return SL_E_PROTO_MALFORMED;
		to = field_of(f, field);
		if (to != NULL)
			*to = value;
	}
	return b.n == 1 ? SL_OK : SL_E_PROTO_MALFORMED;
}
