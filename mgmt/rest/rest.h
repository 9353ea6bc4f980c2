/*
 * The REST API: HTTP/1.1 over TLS on the management network, JSON, bearer tokens of the policy's identity
 * providers. Routes are in rest_routes.c; docs/api.md and openapi.json say what they take and give. The
 * management thread.
 */
#ifndef MG_REST_H
#define MG_REST_H

#include <event2/event.h>

#include "approval.h"
#include "credential.h"
#include "lock.h"
#include "oidc.h"
#include "policy.h"
#include "session.h"
#include "session_cred.h"
#include "tcp_query.h"

#define MG_REST_CONNECTIONS_MAX 64
#define MG_REST_BODY_MAX        (4u << 20)
#define MG_REST_HEADER_MAX      (32 * 1024) /* 16 KB and a token */
#define MG_REST_TIMEOUT_S       30 /* of a request from its connection's or the last one's end to its own end */

struct mg_rest;

struct mg_rest_cfg {
	struct event_base *base;
	const char *listen, *cert_file, *key_file;
	struct sl_store *store;
	struct mg_oidc *oidc;
	struct mg_policy *policy;
	struct mg_approvals *approvals;
	struct mg_creds *creds;
	struct mg_screds *screds;
	struct mg_locks *locks;
	struct mg_sessions *sessions;
	struct mg_jobs *jobs;
	struct mg_tcp *tcp;
	mg_send_fn send;
	void *send_ctx;
	/* As in sl_mgmt_cfg. */
	long (*status)(void *ctx, char *out, size_t cap);
	void *status_ctx;
	/* Appends reasons why the gateway is degraded to a JSON array; may be NULL. */
	void (*health)(void *ctx, json_t *reasons);
	void *health_ctx;
	uint32_t nb_workers;
	uint32_t timeout_s; /* 0: MG_REST_TIMEOUT_S */
};

/* Opens the socket. SL_E_CONFIG, SL_E_TLS_CONFIG, SL_E_SYS with the reason in err. */
int mg_rest_new(const struct mg_rest_cfg *cfg, struct mg_rest **out, char *err, size_t err_cap);
/* Accepts nothing new. */
void mg_rest_stop(struct mg_rest *r);
/* Everything that may still answer a request (oidc, jobs, tcp) must be gone. */
void mg_rest_free(struct mg_rest *r);

#endif
