#include "tcp_answer.h"

#include <stdio.h>

static void put_row(const struct sl_tcp_conn *c, struct sl_msg_tcp_row *r)
{
	struct sl_tcp_info i;

	sl_tcp_get_info(c, &i);
	r->id = i.id;
	r->local = i.local;
	r->remote = i.remote;
	(void)snprintf(r->state, sizeof(r->state), "%s", i.state);
	(void)snprintf(r->ca_state, sizeof(r->ca_state), "%s", i.ca_state);
	(void)snprintf(r->timer, sizeof(r->timer), "%s", i.timer);
#define COPY(f) r->f = i.f;
	SL_BUS_TCP_FLAGS(COPY)
	SL_BUS_TCP_U8(COPY)
	SL_BUS_TCP_U32(COPY)
	SL_BUS_TCP_U64(COPY)
#undef COPY
}

/* Where the steps ran out the page ends early: the asker goes on from there, and packets are not kept
 * waiting. */
static void put_page(struct sl_tcp *t, const struct sl_msg_tcp_query *q, struct sl_msg_tcp_page *p)
{
	uint32_t limit = q->limit < SL_BUS_TCP_ROWS ? q->limit : SL_BUS_TCP_ROWS, steps = QUERY_STEPS;
	uint64_t cursor = q->after;

	while (p->nb < limit) {
		const struct sl_tcp_conn *c = sl_tcp_next_within(t, &cursor, &steps);

		if (c == NULL && steps > 0)
			return; /* next is 0: that was all */
		if (c == NULL)
			break;
		put_row(c, &p->row[p->nb++]);
	}
	p->next = cursor;
}

static void put_trace(struct sl_tcp *t, uint64_t id, uint64_t wall_offset_us, struct sl_msg_tcp_trace *out)
{
	struct sl_tcp_trace_event e[SL_BUS_TCP_EVENTS];
	const struct sl_tcp_conn *c = sl_tcp_find(t, id);

	out->nb = sl_tcp_trace_read(t, id, e, SL_BUS_TCP_EVENTS);
	for (uint32_t i = 0; i < out->nb; i++) {
		out->event[i].at_us = e[i].at_us + wall_offset_us;
		(void)sl_tcp_trace_text(&e[i], out->event[i].text, sizeof(out->event[i].text));
	}
	out->live = c != NULL;
	if (c != NULL)
		put_row(c, &out->row);
}

void tcp_query_answer(struct sl_tcp *t, const struct sl_msg_tcp_query *q, uint64_t wall_offset_us,
                      struct sl_msg *out)
{
	if (q->trace) {
		out->type = SL_MSG_TCP_TRACE;
		out->tcp_trace.request = q->request;
		put_trace(t, q->id, wall_offset_us, &out->tcp_trace);
	} else {
		out->type = SL_MSG_TCP_PAGE;
		out->tcp_page.request = q->request;
		put_page(t, q, &out->tcp_page);
	}
}
