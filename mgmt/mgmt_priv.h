/* The management core's own: its parts, and the way of messages to the workers. */
#ifndef MG_MGMT_PRIV_H
#define MG_MGMT_PRIV_H

#include <stdatomic.h>

#include <event2/event.h>

#include "approval.h"
#include "credential.h"
#include "job.h"
#include "lock.h"
#include "oidc.h"
#include "policy.h"
#include "rest.h"
#include "session.h"
#include "session_cred.h"
#include "sl_mgmt.h"
#include "tcp_query.h"
#include "throttle.h"
#include "usage.h"

/* Messages for one worker that found no room in its ring. Past the bound nothing more is taken from that
 * worker. */
#define MG_BACKLOG_MAX 256

struct mg_out {
	struct mg_out *next;
	struct sl_msg msg;
};

struct mg_lane {
	struct mg_out *head, **tail;
	uint32_t nb;
	bool stopped; /* the worker has said so */
	bool gone;    /* it has died: nothing is sent to it or heard from it */
};

/* A provider that sessions may be of. */
struct mg_provider {
	char name[SL_BUS_NAME_MAX];
	char issuer[SL_BUS_NAME_MAX * 2];
};

struct sl_mgmt {
	struct event_base *base;
	struct sl_bus *bus;
	struct sl_store *store;
	uint32_t nb_workers;
	uint64_t (*dead)(void);
	struct mg_lane *lanes; /* per worker */
	int stop_fd;
	_Atomic uint32_t grace_ms;
	bool draining;
	uint64_t drain_us; /* until then */
	struct event *ev_bus, *ev_stop, *ev_retry, *ev_end, *ev_beat;
	struct mg_jobs *jobs;
	struct mg_oidc *oidc;
	struct mg_creds *creds;
	struct mg_screds *screds;
	struct mg_provider *providers; /* of the policy in force */
	uint32_t nb_providers;
	struct mg_throttle *throttle; /* of logins by session credentials */
	struct mg_sessions *sessions;
	struct mg_approvals *approvals;
	struct mg_locks *locks;
	struct mg_usage *usage;
	struct sl_usage *usage_table;
	struct mg_policy *policy;
	struct mg_tcp *tcp;
	struct mg_rest *rest;
};

/* Sends a copy of the message, now or as soon as there is room; in order for each worker. ctx is the struct
 * sl_mgmt. */
void mg_out_send(void *ctx, uint32_t worker, const struct sl_msg *msg);
/* Tries what waits. */
void mg_out_flush(struct sl_mgmt *m);
void mg_out_free(struct sl_mgmt *m);
/* What waits for this worker is dropped. */
void mg_out_drop(struct sl_mgmt *m, uint32_t worker);

/* gone.c: looks for workers that have died, and ends what they had. True: one more has. */
bool mg_gone_look(struct sl_mgmt *m);
/* Appends a sentence for each of them. */
void mg_gone_health(const struct sl_mgmt *m, json_t *reasons);

/* SL_MSG_AUTH. The answer goes out now or later. */
void mg_auth(struct sl_mgmt *m, const struct sl_msg *msg);
/* Another policy: sessions of providers that it does not have any more end, on all workers. */
void mg_auth_policy(struct sl_mgmt *m, const struct sl_snapshot *snap);

#endif
