/* The archive of trace rings, and how both are read. */
#include <stdio.h>
#include <stdlib.h>

#include "tcp_trace.h"

#include "tcp_priv.h"

#define ALARM_SPAN_MS 1000U /* a connection's ring is archived this often at most */

struct row {
	const char *name, *a, *b;
	uint8_t kind;
};

static const struct row rows[TCP_TR_COUNT] = {
#define TCP_TRACE_ROW(id, kind, name, a, b) {name, a, b, TCP_TRK_##kind},
        TCP_TRACE_TABLE(TCP_TRACE_ROW)
#undef TCP_TRACE_ROW
};

int tcp_archive_init(struct sl_tcp *t)
{
	t->archive.ring = calloc(SL_TCP_ARCHIVE, sizeof(*t->archive.ring));
	return t->archive.ring != NULL ? SL_OK : sl_fail(SL_E_NOMEM);
}

void tcp_archive_fini(struct sl_tcp *t)
{
	free(t->archive.ring);
}

/* The place of a connection's last copy is used again while it is still its own: a connection has one at
 * most. */
static struct tcp_trace_ring *archive_place(struct tcp_archive *ar, uint64_t id)
{
	for (uint32_t i = 0; i < SL_TCP_ARCHIVE && i < ar->nb; i++) {
		if (ar->ring[i].id == id)
			return &ar->ring[i];
	}
	return &ar->ring[ar->nb++ % SL_TCP_ARCHIVE];
}

void tcp_trace_alarm(struct sl_tcp_conn *c, uint8_t id)
{
	struct sl_tcp *t = c->t;
	uint32_t now_ms = (uint32_t)(t->now_us / TCP_MS) | 1; /* never 0 */
	bool again = c->trace.archived_ms != 0 && now_ms - c->trace.archived_ms < ALARM_SPAN_MS;
	struct tcp_trace_ring *r;

	if (again && id != TCP_TR_FAILED)
		return;
	r = archive_place(&t->archive, sl_tcp_id(c));
	c->trace.archived_ms = now_ms;
	r->at_us = t->now_us;
	r->local = sl_tcp_local(c);
	r->remote = sl_tcp_remote(c);
	r->state = c->state;
	if (!again || r->id != sl_tcp_id(c)) /* the end does not hide what led to it */
		r->event = id;
	r->id = sl_tcp_id(c);
	r->trace = c->trace;
}

/* Times are worked out from the newest one back. */
static uint32_t read_ring(const struct tcp_trace *tr, struct sl_tcp_trace_event *out, uint32_t nb)
{
	uint32_t have = u32_min(u32_min(tr->nb, SL_TCP_TRACE_EVENTS), nb);
	uint64_t at = tr->last_us;

	for (uint32_t i = 0; i < have; i++) {
		const struct tcp_trace_entry *e = &tr->ring[(tr->nb - 1 - i) % SL_TCP_TRACE_EVENTS];

		out[have - 1 - i] = (struct sl_tcp_trace_event){at, e->id, e->count, e->a, e->b};
		at -= e->ms ? e->delta * TCP_MS : e->delta;
	}
	return have;
}

uint32_t sl_tcp_trace_read_archived(struct sl_tcp *t, uint64_t id, struct sl_tcp_trace_event *out,
                                    uint32_t nb)
{
	for (uint32_t i = 0; i < SL_TCP_ARCHIVE && i < t->archive.nb; i++) {
		if (t->archive.ring[i].id == id)
			return read_ring(&t->archive.ring[i].trace, out, nb);
	}
	return 0;
}

uint32_t sl_tcp_trace_read(struct sl_tcp *t, uint64_t id, struct sl_tcp_trace_event *out, uint32_t nb)
{
	const struct sl_tcp_conn *c = sl_tcp_find(t, id);

	return c != NULL ? read_ring(&c->trace, out, nb) : sl_tcp_trace_read_archived(t, id, out, nb);
}

const char *sl_tcp_trace_name(uint16_t event)
{
	return event < TCP_TR_COUNT ? rows[event].name : "unknown";
}

/* " name=value": states and errors by their names. */
static size_t put_value(char *out, size_t cap, const char *name, uint32_t v)
{
	const char *word = NULL;
	int n;

	if (strcmp(name, "state") == 0 || strcmp(name, "from") == 0 || strcmp(name, "to") == 0)
		word = tcp_state_name((uint8_t)v);
	else if (strcmp(name, "error") == 0)
		word = sl_err_name(-(int)v);
	if (word != NULL)
		n = snprintf(out, cap, " %s=%s", name, word);
	else
		n = snprintf(out, cap, " %s=%u", name, v);
	return n < 0 ? 0 : (size_t)n;
}

const char *sl_tcp_trace_text(const struct sl_tcp_trace_event *e, char *out, size_t cap)
{
	const char *names[2] = {"a", "b"};
	uint32_t values[2] = {e->a, e->b};
	size_t n;

	if (cap == 0)
		return out;
	if (e->event < TCP_TR_COUNT) {
		names[0] = rows[e->event].a;
		names[1] = rows[e->event].b;
	}
	n = (size_t)snprintf(out, cap, "%s", sl_tcp_trace_name(e->event));
	for (int i = 0; i < 2 && n < cap; i++) {
		if (names[i][0] != '\0')
			n += put_value(out + n, cap - n, names[i], values[i]);
	}
	if (e->count > 0 && n < cap)
		(void)snprintf(out + n, cap - n, " (%u)", e->count + 1U);
	return out;
}

uint32_t sl_tcp_trace_archive(const struct sl_tcp *t, struct sl_tcp_archived *out, uint32_t nb)
{
	const struct tcp_archive *ar = &t->archive;
	uint32_t have = ar->nb < SL_TCP_ARCHIVE ? (uint32_t)ar->nb : SL_TCP_ARCHIVE;

	have = u32_min(have, nb);
	for (uint32_t i = 0; i < have; i++) {
		const struct tcp_trace_ring *r = &ar->ring[(ar->nb - 1 - i) % SL_TCP_ARCHIVE];

		out[i] = (struct sl_tcp_archived){
		        .id = r->id,
		        .at_us = r->at_us,
		        .local = r->local,
		        .remote = r->remote,
		        .state = tcp_state_name(r->state),
		        .event = r->event,
		        .nb_events = (uint16_t)u32_min(r->trace.nb, SL_TCP_TRACE_EVENTS),
		};
	}
	return have;
}
