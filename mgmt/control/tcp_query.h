/*
 * Questions to the workers about their TCP connections, and who waits for the answers. The management thread.
 */
#ifndef MG_TCP_QUERY_H
#define MG_TCP_QUERY_H

#include <event2/event.h>

#include "approval.h"

#define MG_TCP_WAITING_MAX 8    /* questions under way: looking must not slow the workers down */
#define MG_TCP_WAIT_MS     1000 /* for an answer */

struct mg_tcp;

/* The answer (SL_MSG_TCP_PAGE or SL_MSG_TCP_TRACE as asked, borrowed), or NULL: none came in time. */
typedef void (*mg_tcp_fn)(void *ctx, const struct sl_msg *answer);

/* busy: this worker does not take its messages now; may be NULL. NULL: no memory. */
struct mg_tcp *mg_tcp_new(struct event_base *base, mg_send_fn send, bool (*busy)(void *ctx, uint32_t worker),
                          void *ctx);
/* Who waits is told NULL. */
void mg_tcp_free(struct mg_tcp *t);
/*
 * Asks; q->request is set here. SL_OK: fn is called once, later. SL_E_LIMIT: too many wait or the worker is
 * busy; SL_E_NOMEM.
 */
int mg_tcp_ask(struct mg_tcp *t, uint32_t worker, const struct sl_msg_tcp_query *q, mg_tcp_fn fn, void *ctx);
/* A worker's answer; msg->flow.worker is the worker it came from. One that nobody waits for is left. */
void mg_tcp_answer(struct mg_tcp *t, const struct sl_msg *msg);

#endif
