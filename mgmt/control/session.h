/*
 * Live sessions: which session is on which flow, from AUTH_OK to SESSION_END. It is what an operator's order
 * to end a session is resolved against: people and the store know sessions by id, workers by flow. The
 * management thread.
 */
#ifndef MG_SESSION_H
#define MG_SESSION_H

#include "sl_bus.h"

#define MG_LIVE_MAX 262144

struct mg_sessions;

struct mg_sessions *mg_sessions_new(void);
void mg_sessions_free(struct mg_sessions *s);
/* A new session on the flow; whatever was known of an earlier one there is over. SL_OK; SL_E_EXISTS: it is
 * over itself, a later flow is in its place already; SL_E_LIMIT, SL_E_NOMEM. */
int mg_sessions_add(struct mg_sessions *s, const struct sl_flow_ref *flow, const struct sl_id *session);
void mg_sessions_end(struct mg_sessions *s, const struct sl_flow_ref *flow);
/* The worker has died: all of its sessions. Returns how many they were. */
uint32_t mg_sessions_worker_gone(struct mg_sessions *s, uint32_t worker);
/* NULL: it is not live. */
const struct sl_flow_ref *mg_sessions_find(const struct mg_sessions *s, const struct sl_id *session);
uint32_t mg_sessions_nb(const struct mg_sessions *s);

#endif
