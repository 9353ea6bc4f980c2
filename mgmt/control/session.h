/*
 * Live sessions: who is logged in on which flow, from AUTH_OK to SESSION_END. It is what an operator's order
 * to end a session is resolved against. The store knows sessions by id, workers know them by flow: the two
 * meet in the client's address and port, which only one live flow to a resource can have. The management
 * thread.
 */
#ifndef MG_SESSION_H
#define MG_SESSION_H

#include "sl_bus.h"

#define MG_LIVE_MAX 262144

struct mg_live {
	struct mg_live *next;
	struct sl_flow_ref flow;
	struct sl_endpoint client;
	uint64_t started_us;
	char user[SL_BUS_NAME_MAX];
	char resource[SL_BUS_NAME_MAX];
};

struct mg_sessions;

struct mg_sessions *mg_sessions_new(void);
void mg_sessions_free(struct mg_sessions *s);
/* A new session on the flow; whatever was known of an earlier one there is over. 0, SL_E_LIMIT, SL_E_NOMEM.
 */
int mg_sessions_add(struct mg_sessions *s, const struct sl_flow_ref *flow, const struct sl_endpoint *client,
                    const char *user, const char *resource, uint64_t wall_us);
void mg_sessions_end(struct mg_sessions *s, const struct sl_flow_ref *flow);
/* The worker has died: all of its sessions. Returns how many they were. */
uint32_t mg_sessions_worker_gone(struct mg_sessions *s, uint32_t worker);
/* By "address:port" of the client and the resource, as in the session's first record. NULL none. */
const struct mg_live *mg_sessions_find(const struct mg_sessions *s, const char *client, const char *resource);
uint32_t mg_sessions_nb(const struct mg_sessions *s);

#endif
