#include "rest_priv.h"

/* docs/api.md and openapi.json have the same rows; a test compares. */
const struct route mg_routes[] = {
        {EVHTTP_REQ_GET, "/v1/health", 0, BODY_NONE, mg_get_health, ""},
        {EVHTTP_REQ_GET, "/v1/openapi.json", 0, BODY_NONE, mg_get_openapi, ""},
        {EVHTTP_REQ_GET, "/v1/status", ROLE_VIEWER, BODY_NONE, mg_get_status, ""},
        {EVHTTP_REQ_GET, "/v1/metrics", ROLE_VIEWER, BODY_NONE, mg_get_metrics, ""},
        {EVHTTP_REQ_GET, "/v1/resources", ROLE_VIEWER, BODY_NONE, mg_get_resources, ""},
        {EVHTTP_REQ_GET, "/v1/policies/current", ROLE_VIEWER, BODY_NONE, mg_get_policy_current, ""},
        {EVHTTP_REQ_GET, "/v1/policies/versions", ROLE_VIEWER, BODY_NONE, mg_get_policy_versions, ""},
        {EVHTTP_REQ_GET, "/v1/policies/versions/{}", ROLE_VIEWER, BODY_NONE, mg_get_policy_version, ""},
        {EVHTTP_REQ_POST, "/v1/policies", ROLE_ADMIN, BODY_YAML, mg_post_policy, "dry_run"},
        {EVHTTP_REQ_GET, "/v1/sessions", ROLE_VIEWER, BODY_NONE, mg_get_sessions, "limit before"},
        {EVHTTP_REQ_DELETE, "/v1/sessions/{}", ROLE_OPERATOR, BODY_NONE, mg_delete_session, ""},
        {EVHTTP_REQ_GET, "/v1/sessions/{}/records", ROLE_VIEWER, BODY_NONE, mg_get_session_records,
         "from limit"},
        {EVHTTP_REQ_GET, "/v1/sessions/{}/verify", ROLE_VIEWER, BODY_NONE, mg_get_session_verify, ""},
        {EVHTTP_REQ_POST, "/v1/verify", ROLE_OPERATOR, BODY_JSON_OPTIONAL, mg_post_verify, ""},
        {EVHTTP_REQ_GET, "/v1/tcp", ROLE_VIEWER, BODY_NONE, mg_get_tcp, "worker after limit"},
        {EVHTTP_REQ_GET, "/v1/tcp/{}/trace", ROLE_VIEWER, BODY_NONE, mg_get_tcp_trace, ""},
        {EVHTTP_REQ_GET, "/v1/approvals", ROLE_VIEWER, BODY_NONE, mg_get_approvals, "state limit before"},
        {EVHTTP_REQ_GET, "/v1/approvals/{}", ROLE_VIEWER, BODY_NONE, mg_get_approval, ""},
        {EVHTTP_REQ_POST, "/v1/approvals/{}/approve", ROLE_APPROVER, BODY_JSON_OPTIONAL, mg_post_approve, ""},
        {EVHTTP_REQ_POST, "/v1/approvals/{}/deny", ROLE_APPROVER, BODY_JSON_OPTIONAL, mg_post_deny, ""},
        {EVHTTP_REQ_GET, "/v1/locks", ROLE_VIEWER, BODY_NONE, mg_get_locks, ""},
        {EVHTTP_REQ_DELETE, "/v1/locks/{}", ROLE_OPERATOR, BODY_NONE, mg_delete_lock, ""},
        {EVHTTP_REQ_GET, "/v1/credentials", ROLE_ADMIN, BODY_NONE, mg_get_credentials, ""},
        {EVHTTP_REQ_PUT, "/v1/credentials/{}", ROLE_ADMIN, BODY_JSON, mg_put_credential, ""},
        {EVHTTP_REQ_DELETE, "/v1/credentials/{}", ROLE_ADMIN, BODY_NONE, mg_delete_credential, ""},
        {EVHTTP_REQ_POST, "/v1/session-credentials", ROLE_CALLER, BODY_JSON, mg_post_session_credential, ""},
        {EVHTTP_REQ_GET, "/v1/session-credentials", ROLE_CALLER, BODY_NONE, mg_get_session_credentials,
         "all"},
        {EVHTTP_REQ_DELETE, "/v1/session-credentials/{}", ROLE_CALLER, BODY_NONE,
         mg_delete_session_credential, ""},
};

const size_t mg_nb_routes = sizeof(mg_routes) / sizeof(mg_routes[0]);
