#include "tcp_query.h"

#include <stdlib.h>

#include "sl_counter.h"

struct waiting {
	struct event *timer;
	uint64_t request; /* 0: free */
	uint32_t worker;
	bool trace;
	mg_tcp_fn fn;
	void *ctx;
};

struct mg_tcp {
	mg_send_fn send;
	bool (*busy)(void *ctx, uint32_t worker);
	void *ctx;
	uint64_t last_request;
	struct waiting waiting[MG_TCP_WAITING_MAX];
};

/* Free before the call: what it leads to may ask again. */
static void end(struct waiting *w, const struct sl_msg *answer)
{
	w->request = 0;
	(void)event_del(w->timer);
	w->fn(w->ctx, answer);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
	end(arg, NULL);
}

struct mg_tcp *mg_tcp_new(struct event_base *base, mg_send_fn send, bool (*busy)(void *ctx, uint32_t worker),
                          void *ctx)
{
	struct mg_tcp *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->send = send;
	t->busy = busy;
	t->ctx = ctx;
	for (int i = 0; i < MG_TCP_WAITING_MAX; i++) {
		t->waiting[i].timer = event_new(base, -1, 0, on_timeout, &t->waiting[i]);
		if (t->waiting[i].timer == NULL) {
			mg_tcp_free(t);
			return NULL;
		}
	}
	return t;
}

void mg_tcp_free(struct mg_tcp *t)
{
	if (t == NULL)
		return;
	for (int i = 0; i < MG_TCP_WAITING_MAX; i++) {
		struct waiting *w = &t->waiting[i];

		if (w->request != 0)
			end(w, NULL);
		if (w->timer != NULL)
			event_free(w->timer);
	}
	free(t);
}

static struct waiting *find(struct mg_tcp *t, uint64_t request)
{
	for (int i = 0; i < MG_TCP_WAITING_MAX; i++) {
		if (t->waiting[i].request == request)
			return &t->waiting[i];
	}
	return NULL;
}

int mg_tcp_ask(struct mg_tcp *t, uint32_t worker, const struct sl_msg_tcp_query *q, mg_tcp_fn fn, void *ctx)
{
	const struct timeval limit = {.tv_sec = MG_TCP_WAIT_MS / 1000,
	                              .tv_usec = MG_TCP_WAIT_MS % 1000 * 1000};
	struct waiting *w = find(t, 0);
	struct sl_msg *msg;

	/* Questions nobody waits for any more must not pile up for a worker that does not read. */
	if (w == NULL || (t->busy != NULL && t->busy(t->ctx, worker)))
		return sl_fail(SL_E_LIMIT);
	msg = calloc(1, sizeof(*msg));
	if (msg == NULL || event_add(w->timer, &limit) != 0) {
		free(msg);
		return sl_fail(SL_E_NOMEM);
	}
	w->request = ++t->last_request;
	w->worker = worker;
	w->trace = q->trace;
	w->fn = fn;
	w->ctx = ctx;
	msg->type = SL_MSG_TCP_QUERY;
	msg->flow.worker = worker;
	msg->tcp_query = *q;
	msg->tcp_query.request = w->request;
	t->send(t->ctx, worker, msg);
	free(msg);
	return SL_OK;
}

void mg_tcp_answer(struct mg_tcp *t, const struct sl_msg *msg)
{
	bool trace = msg->type == SL_MSG_TCP_TRACE;
	uint64_t request = trace ? msg->tcp_trace.request : msg->tcp_page.request;
	uint32_t nb = trace ? msg->tcp_trace.nb : msg->tcp_page.nb;
	struct waiting *w = request == 0 ? NULL : find(t, request);

	if (w == NULL) /* its time was over */
		return;
	if (w->worker != msg->flow.worker || w->trace != trace ||
	    nb > (trace ? SL_BUS_TCP_EVENTS : SL_BUS_TCP_ROWS)) {
		sl_fail(SL_E_INVAL);
		return;
	}
	end(w, msg);
}
