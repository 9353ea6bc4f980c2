/* Connections of the workers' TCP stacks. Each answer is one message of one worker. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "rest_priv.h"

#define ID_DIGITS 16 /* of a connection's id, hex: a JSON number would not hold it */

static json_t *text_of(const char *s, size_t cap)
{
	return mg_json_text(sl_span(s, strnlen(s, cap)));
}

static json_t *id_json(uint64_t id)
{
	char text[ID_DIGITS + 1];

	(void)snprintf(text, sizeof(text), "%016llx", (unsigned long long)id);
	return json_string(text);
}

static json_t *row_json(const struct sl_msg_tcp_row *r)
{
	char local[SL_ENDPOINT_STR_MAX], remote[SL_ENDPOINT_STR_MAX];
	json_t *o = json_pack("{s:o,s:o,s:o,s:o,s:s,s:s}", "id", id_json(r->id), "state",
	                      text_of(r->state, sizeof(r->state)), "ca_state",
	                      text_of(r->ca_state, sizeof(r->ca_state)), "timer",
	                      text_of(r->timer, sizeof(r->timer)), "local", sl_endpoint_str(&r->local, local),
	                      "remote", sl_endpoint_str(&r->remote, remote));
	int rc = o == NULL ? -1 : 0;

#define FLAG(f)   rc |= json_object_set_new(o, #f, json_boolean(r->f));
#define NUMBER(f) rc |= json_object_set_new(o, #f, json_integer((json_int_t)r->f));
	SL_BUS_TCP_FLAGS(FLAG)
	SL_BUS_TCP_U8(NUMBER)
	SL_BUS_TCP_U32(NUMBER)
	SL_BUS_TCP_U64(NUMBER)
#undef FLAG
#undef NUMBER
	if (rc != 0) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static void no_answer(struct request *q)
{
	mg_reply_problem(q, 503, "the worker does not answer now", NULL);
}

static void on_page(void *ctx, const struct sl_msg *m)
{
	struct request *q = ctx;
	json_t *rows = json_array();
	int rc = rows == NULL ? -1 : 0;

	if (m == NULL) {
		json_decref(rows);
		no_answer(q);
		return;
	}
	for (uint32_t i = 0; i < m->tcp_page.nb && rc == 0; i++)
		rc = json_array_append_new(rows, row_json(&m->tcp_page.row[i]));
	if (rc != 0) {
		json_decref(rows);
		mg_reply_json(q, 500, NULL);
		return;
	}
	mg_reply_json(
	        q, 200,
	        json_pack("{s:i,s:i,s:o,s:o}", "worker", (int)m->flow.worker, "workers",
	                  (int)q->cfg->nb_workers, "connections", rows, "next",
	                  m->tcp_page.next == 0 ? json_null() : json_integer((json_int_t)m->tcp_page.next)));
}

static void ask(struct request *q, uint32_t worker, const struct sl_msg_tcp_query *what, mg_tcp_fn fn)
{
	if (mg_tcp_ask(q->cfg->tcp, worker, what, fn, q) != SL_OK)
		no_answer(q);
}

void mg_get_tcp(struct request *q)
{
	uint64_t worker, after, limit;

	if (mg_query_uint(q, "worker", 0, UINT32_MAX, &worker) != SL_OK ||
	    mg_query_uint(q, "after", 0, UINT32_MAX, &after) != SL_OK ||
	    mg_query_uint(q, "limit", SL_BUS_TCP_ROWS, SL_BUS_TCP_ROWS, &limit) != SL_OK || limit == 0 ||
	    worker >= q->cfg->nb_workers) {
		mg_reply_problem(q, 400, "worker, after or limit is not a number in its range", NULL);
		return;
	}
	ask(q, (uint32_t)worker, &(struct sl_msg_tcp_query){.after = after, .limit = (uint32_t)limit},
	    on_page);
}

static json_t *events_json(const struct sl_msg_tcp_trace *t)
{
	json_t *events = json_array();
	int rc = events == NULL ? -1 : 0;

	for (uint32_t i = 0; i < t->nb && rc == 0; i++)
		rc = json_array_append_new(
		        events, json_pack("{s:I,s:o}", "t_us", (json_int_t)t->event[i].at_us, "text",
		                          text_of(t->event[i].text, sizeof(t->event[i].text))));
	if (rc != 0) {
		json_decref(events);
		return NULL;
	}
	return events;
}

static void on_trace(void *ctx, const struct sl_msg *m)
{
	struct request *q = ctx;
	const struct sl_msg_tcp_trace *t = m == NULL ? NULL : &m->tcp_trace;

	if (t == NULL) {
		no_answer(q);
		return;
	}
	if (!t->live && t->nb == 0) {
		mg_reply_problem(q, 404, "no such connection, and no trace of it", NULL);
		return;
	}
	mg_reply_json(q, 200,
	              json_pack("{s:s,s:b,s:o,s:o}", "id", q->arg, "live", (int)t->live, "connection",
	                        t->live ? row_json(&t->row) : json_null(), "events", events_json(t)));
}

void mg_get_tcp_trace(struct request *q)
{
	uint64_t id;

	if (strlen(q->arg) != ID_DIGITS || strspn(q->arg, "0123456789abcdef") != ID_DIGITS) {
		mg_reply_problem(q, 404, "no such connection", NULL);
		return;
	}
	id = strtoull(q->arg, NULL, 16);
	if (id >> 56 >= q->cfg->nb_workers) {
		mg_reply_problem(q, 404, "no such connection", NULL);
		return;
	}
	ask(q, (uint32_t)(id >> 56), &(struct sl_msg_tcp_query){.trace = true, .id = id}, on_trace);
}
