/* Inside the REST API: a request on its way, the routes, the replies. */
#ifndef MG_REST_PRIV_H
#define MG_REST_PRIV_H

#include <event2/http.h>
#include <event2/keyvalq_struct.h>

#include "rest.h"
#include "route.h"

#define ARG_MAX_BYTES SL_BUS_NAME_MAX /* of the part of a path that names something */

struct request {
	struct mg_rest *rest;
	const struct mg_rest_cfg *cfg;
	struct evhttp_request *ev;
	const struct route *route;
	char arg[ARG_MAX_BYTES]; /* the path's segment, or "" */
	struct evkeyvalq query;
	bool has_query;
	json_t *json; /* the body, when it is JSON */
	struct sl_identity who;
	uint32_t roles;
};

/* ---- replies: each ends the request ---- */
/* Takes the reference; NULL is answered with 500. */
void mg_reply_json(struct request *q, int status, json_t *body);
void mg_reply_bytes(struct request *q, int status, const char *type, struct sl_span body);
void mg_reply_empty(struct request *q, int status);
/* RFC 9457. extra (may be NULL; taken over) has further members. */
void mg_reply_problem(struct request *q, int status, const char *detail, json_t *extra);
/* An error of the store or of a limit as a problem. */
void mg_reply_err(struct request *q, int err, const char *what);

/* ---- reading requests ---- */
/* A query parameter; NULL when absent. */
const char *mg_query(const struct request *q, const char *name);
/* A number of a query; the default when absent. < 0: malformed or over max. */
int mg_query_uint(const struct request *q, const char *name, uint64_t def, uint64_t max, uint64_t *out);
struct sl_span mg_body(const struct request *q);

/* ---- handlers ---- */
void mg_get_health(struct request *q);
void mg_get_status(struct request *q);
void mg_get_metrics(struct request *q);
void mg_get_openapi(struct request *q);
void mg_get_resources(struct request *q);
void mg_get_policy_current(struct request *q);
void mg_get_policy_versions(struct request *q);
void mg_get_policy_version(struct request *q);
void mg_post_policy(struct request *q);
void mg_get_sessions(struct request *q);
void mg_get_session_records(struct request *q);
void mg_get_session_verify(struct request *q);
void mg_post_verify(struct request *q);
void mg_delete_session(struct request *q);
void mg_get_tcp(struct request *q);
void mg_get_tcp_trace(struct request *q);
void mg_get_approvals(struct request *q);
void mg_get_approval(struct request *q);
void mg_post_approve(struct request *q);
void mg_post_deny(struct request *q);
void mg_get_locks(struct request *q);
void mg_delete_lock(struct request *q);
void mg_put_credential(struct request *q);
void mg_get_credentials(struct request *q);
void mg_delete_credential(struct request *q);
void mg_post_session_credential(struct request *q);
void mg_get_session_credentials(struct request *q);
void mg_delete_session_credential(struct request *q);

/* A record as a JSON object with the long names of its keys; NULL when malformed or no memory. */
json_t *mg_record_json(struct sl_span rec);

/* The generic callback of the HTTP server. */
void mg_on_request(struct evhttp_request *ev, void *rest);
const struct mg_rest_cfg *mg_rest_config(const struct mg_rest *r);
/* A request is being worked on, or was answered: its connection's time stands still, or starts again. False:
 * no TLS connection. */
bool mg_rest_busy(struct evhttp_request *ev, bool busy);
/* No connection is free: further ones wait. */
bool mg_rest_full(const struct mg_rest *r);

/* Generated from openapi.json. */
extern const unsigned char mg_openapi_json[];
extern const size_t mg_openapi_json_n;

#endif
