/*
 * Free text of the target's: what an error, a notice or a notification says can quote values. Each is shown
 * to inspection before it passes; where its text must not pass, a message of ours with the same code takes
 * its place.
 */
#include "pg_priv.h"

/* What is built here goes out at once: it fits in the room that is made sure of before a message is handled.
 */
#define REPORT_BYTES   2048
#define REPORT_MESSAGE 1024 /* of the text in the message's place */

_Static_assert(REPORT_BYTES <= SL_DEC_ROOM_MIN, "there is room for a report");

struct report {
	uint8_t b[REPORT_BYTES];
	size_t n;
};

static void put_str(struct report *r, struct sl_span s)
{
	if (s.n > 0)
		memcpy(r->b + r->n, s.p, s.n);
	r->n += s.n;
	r->b[r->n++] = 0;
}

/* Leaves it out when there is no room; the terminator always has some. */
static void put(struct report *r, uint8_t field, struct sl_span s)
{
	if (s.n > sizeof(r->b) - r->n - 3)
		return;
	r->b[r->n++] = field;
	put_str(r, s);
}

/* Without leaving half a UTF-8 character, and up to a NUL. */
static struct sl_span head(struct sl_span s, size_t max)
{
	const uint8_t *nul = s.n > 0 ? memchr(s.p, 0, s.n) : NULL;
	size_t n = nul != NULL ? (size_t)(nul - s.p) : s.n;

	if (n <= max)
		return sl_span(s.p, n);
	for (n = max; n > 0 && (s.p[n] & 0xc0) == 0x80;)
		n--;
	return sl_span(s.p, n);
}

static int write_fields(struct pg *d, const struct pg_msg *m, const struct sl_verdict *v)
{
	const char *pass = v->nameless ? "SVCPFLR" : "SVCPFLRstcdn";
	struct report r = {.n = PG_HEADER};
	struct sl_span b = m->body, value;

	while (b.n > 0 && b.p[0] != 0) {
		uint8_t field = b.p[0];

		b = sl_span_sub(b, 1, b.n);
		if (pg_get_str(&b, &value) < 0)
			return pg_target_broken(d, "malformed ErrorResponse");
		if (field == 'M')
			put(&r, field, head(v->replace, REPORT_MESSAGE));
		else if (strchr(pass, field) != NULL && value.n <= REPORT_MESSAGE / 4)
			put(&r, field, value);
	}
	r.b[r.n++] = 0;
	r.b[0] = m->type;
	sl_put_be32(r.b + 1, (uint32_t)(r.n - 1));
	return pg_add(d, SL_CLIENT, r.b, r.n);
}

/* The process and the channel stay. */
static int write_notification(struct pg *d, const struct pg_msg *m, const struct sl_verdict *v)
{
	struct sl_span b = sl_span_sub(m->body, 4, m->body.n), channel;
	struct report r = {.n = PG_HEADER + 4};

	if (pg_get_str(&b, &channel) < 0)
		return pg_target_broken(d, "malformed NotificationResponse");
	r.b[0] = m->type;
	memcpy(r.b + PG_HEADER, m->body.p, 4);
	put_str(&r, head(channel, PG_NAME_MAX));
	put_str(&r, head(v->replace, REPORT_MESSAGE));
	sl_put_be32(r.b + 1, (uint32_t)(r.n - 1));
	return pg_add(d, SL_CLIENT, r.b, r.n);
}

static int raise(struct pg *d, const struct pg_msg *m, const struct pg_entry *e, struct sl_event *ev)
{
	static const struct pg_entry none;
	bool known = e != NULL && e->kind != PG_Q_SYNC && (e->flags & PG_QF_DENIED) == 0;
	struct sl_verdict v;
	int rc = pg_event_for(d, known ? e : &none, ev, &v);

	if (rc != SL_OK)
		return rc;
	if (v.action == SL_ACT_ALLOW) {
		d->t_left = m->size;
		return SL_OK;
	}
	d->t_skip = m->size;
	if (ev->report.unread)
		return SL_OK;
	return ev->report.kind == SL_REPORT_NOTIFICATION ? write_notification(d, m, &v)
	                                                 : write_fields(d, m, &v);
}

int pg_report(struct pg *d, const struct pg_msg *m, const struct pg_entry *e, enum sl_report_kind kind)
{
	struct sl_event ev = {.kind = SL_EV_REPORT};
	struct pg_fields f;

	if (pg_get_fields(m->body, &f) < 0)
		return pg_target_broken(d, "malformed NoticeResponse");
	ev.report.kind = kind;
	ev.report.sqlstate = f.sqlstate;
	memcpy(ev.report.text, f.text, sizeof(f.text));
	return raise(d, m, e, &ev);
}

int pg_notice(struct pg *d, const struct pg_msg *m, const struct pg_entry *e)
{
	struct sl_event ev = {.kind = SL_EV_REPORT};

	if (m->size - 1 > d->cfg.message_max) {
		ev.report.kind = SL_REPORT_NOTICE;
		ev.report.unread = true;
		return raise(d, m, e, &ev);
	}
	return m->all.n < m->size ? SL_MORE : pg_report(d, m, e, SL_REPORT_NOTICE);
}

int pg_notification(struct pg *d, const struct pg_msg *m)
{
	struct sl_event ev = {.kind = SL_EV_REPORT};
	struct sl_span b, channel;

	if (m->size > PG_SMALL_MAX)
		return pg_target_broken(d, "unexpected message of the target");
	if (m->all.n < m->size)
		return SL_MORE;
	b = sl_span_sub(m->body, 4, m->body.n);
	if (m->body.n < 4 || pg_get_str(&b, &channel) < 0 ||
	    pg_get_str(&b, &ev.report.text[SL_REPORT_MESSAGE]) < 0 || b.n != 0)
		return pg_target_broken(d, "malformed NotificationResponse");
	ev.report.kind = SL_REPORT_NOTIFICATION;
	return raise(d, m, NULL, &ev);
}
