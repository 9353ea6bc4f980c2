/* The management core from outside: the API, logins, approvals, sessions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <ctype.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "clock.h"
#include "fetch.h"
#include "rest.h"
#include "route.h"
#include "sl_counter.h"
#include "sl_log.h"
#include "sl_mgmt.h"
#include "sl_policy.h"
#include "test_https.h"
#include "test_keys.h"
#include "wipe.h"
#include "test_gateway.h"

/* ---- tests: the API ---- */

static void test_open_routes(void **state)
{
	struct world *w = *state;
	struct reply r = call(w, "GET", "/v1/health", NULL, NULL, NULL);

	assert_int_equal(r.status, 200);
	assert_true(strcmp(str(&r, "status"), "ok") == 0 || strcmp(str(&r, "status"), "degraded") == 0);
	assert_non_null(strstr(r.head, "Cache-Control: no-store"));
	assert_null(strstr(r.head, "Access-Control"));
	done(&r);
	r = call(w, "GET", "/v1/openapi.json", NULL, NULL, NULL);
	assert_int_equal(r.status, 200);
	assert_string_equal(str(&r, "openapi"), "3.1.0");
	done(&r);
}

static void assert_same_query(const json_t *op, const char *want)
{
	char names[128] = "";
	json_t *p;
	size_t i, n = 0;

	json_array_foreach(json_object_get(op, "parameters"), i, p)
	{
		if (strcmp(json_string_value(json_object_get(p, "in")), "query") == 0)
			n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s", n == 0 ? "" : " ",
			                      json_string_value(json_object_get(p, "name")));
	}
	assert_string_equal(names, want);
}

/* Every route is in the document, and the document has no other. */
static void test_openapi_covers_routes(void **state)
{
	struct world *w = *state;
	struct reply r = call(w, "GET", "/v1/openapi.json", NULL, NULL, NULL);
	json_t *paths = json_object_get(r.json, "paths"), *item, *op;
	const char *path, *method;
	size_t nb = 0;

	json_object_foreach(paths, path, item)
	{
		char want[128];
		size_t o = 0;

		for (const char *p = path; *p != '\0'; p++) { /* "{id}" -> "{}" */
			want[o++] = *p;
			if (*p == '{')
				p = strchr(p, '}') - 1;
		}
		want[o] = '\0';
		json_object_foreach(item, method, op)
		{
			enum evhttp_cmd_type m = strcmp(method, "get") == 0    ? EVHTTP_REQ_GET
			                         : strcmp(method, "post") == 0 ? EVHTTP_REQ_POST
			                         : strcmp(method, "put") == 0  ? EVHTTP_REQ_PUT
			                                                       : EVHTTP_REQ_DELETE;
			size_t i = 0;

			while (i < mg_nb_routes &&
			       (mg_routes[i].method != m || strcmp(mg_routes[i].path, want) != 0))
				i++;
			if (i == mg_nb_routes)
				fail_msg("%s %s is in the document only", method, path);
			/* what needs no token says so */
			assert_int_equal(mg_routes[i].roles == 0, json_object_get(op, "security") != NULL);
			assert_same_query(op, mg_routes[i].query);
			nb++;
		}
	}
	assert_int_equal(nb, mg_nb_routes);
	done(&r);
}

static void test_tokens(void **state)
{
	struct world *w = *state;
	long now = (long)(mg_wall_us() / 1000000);
	char *expired = token_at(w, "a", "noc", now - 1000), *good = token_for(w, "a", "noc"), *twice,
	     *foreign;
	EVP_PKEY *key = test_key_new("EdDSA", 0);
	struct reply r;

	assert_int_equal(status_of(w, "GET", "/v1/status", NULL, NULL, NULL), 401);
	assert_int_equal(status_of(w, "GET", "/v1/status", "", NULL, NULL), 401);
	assert_int_equal(status_of(w, "GET", "/v1/status", "x.y.z", NULL, NULL), 401);
	r = call(w, "GET", "/v1/status", expired, NULL, NULL);
	assert_int_equal(r.status, 401);
	assert_string_equal(str(&r, "detail"), "token expired");
	assert_non_null(strstr(r.head, "WWW-Authenticate: Bearer"));
	assert_non_null(strstr(r.head, "application/problem+json"));
	done(&r);
	foreign = test_sign(key, "EdDSA", "k",
	                    test_claims(w->idp.issuer, "a", json_pack("[s]", "admins"), now));
	assert_int_equal(status_of(w, "GET", "/v1/status", foreign, NULL, NULL), 401);
	assert_int_equal(status_of(w, "GET", "/v1/status", good, NULL, NULL), 200);
	/* two Authorization headers: nobody guesses which */
	assert_true(asprintf(&twice,
	                     "GET /v1/status HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: "
	                     "Bearer %s\r\n"
	                     "authorization: Bearer %s\r\n\r\n",
	                     good, good) > 0);
	r = raw(w, twice, strlen(twice));
	assert_int_equal(r.status, 400);
	done(&r);
	free(twice);
	free(foreign);
	free(good);
	free(expired);
	EVP_PKEY_free(key);
}

/* Each route with each group: the table of roles, called from outside. */
static void test_roles(void **state)
{
	static const struct {
		const char *group;
		uint32_t roles;
	} groups[] = {{"agents", ROLE_CALLER},
	              {"noc", ROLE_CALLER | ROLE_VIEWER},
	              {"ops", ROLE_CALLER | ROLE_VIEWER | ROLE_OPERATOR},
	              {"owners", ROLE_CALLER | ROLE_VIEWER | ROLE_APPROVER},
	              {"admins", ROLE_CALLER | ROLE_VIEWER | ROLE_OPERATOR | ROLE_ADMIN}};
	static const char *const methods[] = {[EVHTTP_REQ_GET] = "GET",
	                                      [EVHTTP_REQ_POST] = "POST",
	                                      [EVHTTP_REQ_PUT] = "PUT",
	                                      [EVHTTP_REQ_DELETE] = "DELETE"};
	struct world *w = *state;

	for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
		for (size_t i = 0; i < mg_nb_routes; i++) {
			const struct route *t = &mg_routes[i];
			char path[128], *at;
			int status;

			snprintf(path, sizeof(path), "%s", t->path);
			at = strstr(path, "{}");
			if (at != NULL) {
				memmove(at + 1, at + 2, strlen(at + 2) + 1);
				*at = '1';
			}
			status = status_as(w, groups[g].group, methods[t->method], path, NULL, NULL);
			if (t->roles == 0 || (t->roles & groups[g].roles) != 0)
				assert_int_not_equal(status, 403);
			else
				assert_int_equal(status, 403);
			/* there is no worker to ask */
			if (status != 503 || strcmp(t->path, "/v1/tcp") != 0)
				assert_true(status >= 200 && status < 500);
		}
	}
}

static void test_http_strict(void **state)
{
	static const struct {
		const char *text;
		int status;
	} cases[] = {
	        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404},
	        {"GET /v1/healthy HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404},
	        {"GET /v1/health/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404},
	        {"GET /v1//health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404},
	        {"GET /v1/../v1/health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404},
	        {"GET /v1/%68ealth HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404},
	        {"GET /v1/sessions/%2e%2e/records HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404},
	        {"HEAD /v1/health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 405},
	        {"TRACE /v1/health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 405},
	        {"OPTIONS /v1/health HTTP/1.1\r\nHost: a\r\nOrigin: https://evil\r\nConnection: "
	         "close\r\n\r\n",
	         405},
	        {"POST /v1/health HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
	         405},
	        {"PATCH /v1/policies HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
	         405},
	        {"GET /v1/health HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
	         400},
	        {"GET /v1/health HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: "
	         "close\r\n\r\n0\r\n\r\n",
	         400},
	        {"POST /v1/verify HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: "
	         "chunked\r\nConnection: close\r\n\r\n"
	         "0\r\n\r\n",
	         400},
	};
	struct world *w = *state;
	char *big = malloc(5u << 20);
	struct reply r;
	int n;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		r = raw(w, cases[i].text, strlen(cases[i].text));
		if (r.status != cases[i].status)
			fail_msg("%s -> %d", cases[i].text, r.status);
		if (r.status == 405)
			assert_non_null(strstr(r.head, "\r\nAllow: "));
		assert_null(strstr(r.head, "Access-Control"));
		done(&r);
	}
	/* header and body over their bounds */
	n = sprintf(big, "GET /v1/health HTTP/1.1\r\nConnection: close\r\nX: ");
	memset(big + n, 'x', 40000);
	memcpy(big + n + 40000, "\r\n\r\n", 5);
	r = raw(w, big, (size_t)n + 40004);
	assert_int_not_equal(r.status, 200);
	done(&r);
	n = sprintf(big, "POST /v1/policies HTTP/1.1\r\nConnection: close\r\nContent-Length: %u\r\n\r\n",
	            (4u << 20) + 1);
	memset(big + n, 'x', (4u << 20) + 1);
	r = raw(w, big, (size_t)n + (4u << 20) + 1);
	assert_int_not_equal(r.status, 200);
	done(&r);
	free(big);
	assert_int_equal(status_of(w, "GET", "/v1/health", NULL, NULL, NULL), 200);
}

/* No more than the bound at a time, and one that goes makes room. */
static void test_connections_bounded(void **state)
{
	struct world *w = *state;
	SSL *held[MG_REST_CONNECTIONS_MAX];
	struct sockaddr_in sin = {
	        .sin_family = AF_INET, .sin_port = htons(w->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct pollfd p = {.events = POLLIN};
	char hello[] = "\x16\x03\x01";

	for (int i = 0; i < MG_REST_CONNECTIONS_MAX; i++) {
		held[i] = dial(w);
		assert_non_null(held[i]);
	}
	p.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(p.fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(write(p.fd, hello, 3), 3);
	assert_int_equal(poll(&p, 1, 300), 0); /* nobody takes it up */
	close(p.fd);
	for (int i = 0; i < MG_REST_CONNECTIONS_MAX; i++)
		hang_up(held[i]);
	assert_int_equal(status_of(w, "GET", "/v1/health", NULL, NULL, NULL), 200);
}

static void test_tls_versions(void **state)
{
	struct world *w = *state;
	SSL *ssl;

	SSL_CTX_set_min_proto_version(w->tls, TLS1_VERSION);
	SSL_CTX_set_max_proto_version(w->tls, TLS1_1_VERSION);
	SSL_CTX_set_security_level(w->tls, 0);
	assert_null(dial(w));
	SSL_CTX_set_max_proto_version(w->tls, TLS1_2_VERSION);
	ssl = dial(w);
	assert_non_null(ssl);
	hang_up(ssl);
	SSL_CTX_set_max_proto_version(w->tls, 0);
}

static void test_status(void **state)
{
	struct world *w = *state;
	struct reply r = as(w, "noc", "GET", "/v1/status", NULL, NULL);

	assert_int_equal(r.status, 200);
	assert_string_equal(str(&r, "version"), SL_VERSION); /* not what the callback says */
	assert_string_equal(str(&r, "store"), "ok");
	assert_int_equal(json_array_size(json_object_get(r.json, "ports")), 1);
	assert_true(json_array_size(json_object_get(r.json, "threads")) >= 2);
	done(&r);
	r = as(w, "noc", "GET", "/v1/metrics", NULL, NULL);
	assert_int_equal(r.status, 200);
	assert_non_null(strstr(r.body, "\nsl_commands_total 0\n"));
	assert_non_null(strstr(r.body, "\nsl_error_total{name=\"jwt_expired\"} "));
	done(&r);
	r = as(w, "noc", "GET", "/v1/resources", NULL, NULL);
	assert_int_equal(json_array_size(r.json), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(r.json, 0), "address")),
	                    "10.0.0.2:5432");
	assert_string_equal(json_string_value(json_object_get(json_array_get(r.json, 0), "tls")), "off");
	done(&r);
}

static void test_policies(void **state)
{
	struct world *w = *state;
	char text[4096];
	struct reply r;

	r = as(w, "noc", "GET", "/v1/policies/current", NULL, NULL);
	assert_int_equal(json_integer_value(json_object_get(r.json, "version")), 1);
	assert_string_equal(str(&r, "applied_by"), "bootstrap");
	assert_non_null(strstr(str(&r, "documents"), "kind: Resource"));
	done(&r);
	policy_text(w,
	            "---\nkind: Rule\nversion: 1\nmetadata:\n  name: no-drop\nspec:\n  action: deny\n  "
	            "kinds: [drop]\n  message: no\n",
	            text, sizeof(text));
	assert_int_equal(status_as(w, "admins", "POST", "/v1/policies", JSON_TYPE, text), 415);
	assert_int_equal(status_as(w, "admins", "POST", "/v1/policies", "text/plain", text), 415);
	assert_int_equal(status_as(w, "admins", "POST", "/v1/policies?dry_run=yes", YAML_TYPE, text), 400);
	r = as(w, "admins", "POST", "/v1/policies?dry_run=1", YAML_TYPE, text);
	assert_int_equal(r.status, 200);
	done(&r);
	r = as(w, "noc", "GET", "/v1/policies/versions", NULL, NULL);
	assert_int_equal(json_array_size(r.json), 1);
	done(&r);
	r = as(w, "admins", "POST", "/v1/policies", YAML_TYPE, text);
	assert_int_equal(r.status, 200);
	assert_int_equal(json_integer_value(json_object_get(r.json, "version")), 2);
	done(&r);
	sl_bus_worker_done(w->bus, 0, worker_wait(w, SL_MSG_SNAPSHOT));
	assert_int_equal(w->snap_version, 2);
	r = as(w, "noc", "GET", "/v1/policies/versions", NULL, NULL);
	assert_int_equal(json_array_size(r.json), 2);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(r.json, 0), "version")), 2);
	assert_string_equal(json_string_value(json_object_get(json_array_get(r.json, 0), "applied_by")),
	                    "admins");
	done(&r);
	r = as(w, "noc", "GET", "/v1/policies/versions/2", NULL, NULL);
	assert_string_equal(str(&r, "documents"), text);
	done(&r);
	assert_int_equal(status_as(w, "noc", "GET", "/v1/policies/versions/3", NULL, NULL), 404);
	assert_int_equal(status_as(w, "noc", "GET", "/v1/policies/versions/0", NULL, NULL), 404);
	assert_int_equal(status_as(w, "noc", "GET", "/v1/policies/versions/2x", NULL, NULL), 404);
	/* one that does not compile changes nothing and says where */
	policy_text(w, "---\nkind: Rule\nversion: 1\nmetadata:\n  name: x\nspec:\n  action: perhaps\n", text,
	            sizeof(text));
	r = as(w, "admins", "POST", "/v1/policies", YAML_TYPE, text);
	assert_int_equal(r.status, 422);
	assert_true(json_integer_value(json_object_get(json_array_get(json_object_get(r.json, "errors"), 0),
	                                               "line")) > 30);
	done(&r);
	r = as(w, "noc", "GET", "/v1/policies/current", NULL, NULL);
	assert_int_equal(json_integer_value(json_object_get(r.json, "version")), 2);
	done(&r);
}

static void test_policy_survives(void **state)
{
	struct world *w = *state;
	char text[4096], err[1024] = "";
	uint8_t *value = NULL;
	const uint8_t key[8] = {0, 0, 0, 0, 0, 0, 0, 3};
	size_t n;
	struct reply r;

	policy_text(w, "# second\n", text, sizeof(text));
	assert_int_equal(status_as(w, "admins", "POST", "/v1/policies", YAML_TYPE, text), 200);
	sl_bus_worker_done(w->bus, 0, worker_wait(w, SL_MSG_SNAPSHOT));
	stop_mgmt(w);
	sl_store_close(w->store);
	open_store(w);
	start_mgmt(w);
	sl_bus_worker_done(w->bus, 0, worker_wait(w, SL_MSG_SNAPSHOT));
	assert_int_equal(w->snap_version, 2);
	r = as(w, "noc", "GET", "/v1/policies/current", NULL, NULL);
	assert_string_equal(str(&r, "documents"), text);
	done(&r);
	/* a stored version that does not compile any more: no start, and no silent fall-back to an older one
	 */
	stop_mgmt(w);
	assert_int_equal(sl_store_get(w->store, "policy", sl_span("\0\0\0\0\0\0\0\2", 8), &value, &n), SL_OK);
	memset(value + n - 40, '}', 40);
	assert_int_equal(sl_store_put(w->store, "policy", sl_span(key, 8), sl_span(value, n)), SL_OK);
	free(value);
	sl_log_set_level((enum sl_log_level) - 1);
	assert_null(new_mgmt(w, err, sizeof(err)));
	sl_log_set_level(SL_LOG_ERROR);
	assert_non_null(strstr(err, "version 3 does not compile"));
	assert_int_equal(sl_store_del(w->store, "policy", sl_span(key, 8)), SL_OK);
	start_mgmt(w);
	sl_bus_worker_done(w->bus, 0, worker_wait(w, SL_MSG_SNAPSHOT));
}

static void test_credentials_api(void **state)
{
	struct world *w = *state;
	struct reply r;

	assert_int_equal(status_as(w, "admins", "PUT", "/v1/credentials/shop-app", JSON_TYPE,
	                           "{\"username\":\"app\",\"password\":\"canary\"}"),
	                 204);
	r = as(w, "admins", "GET", "/v1/credentials", NULL, NULL);
	assert_int_equal(json_array_size(r.json), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(r.json, 0), "username")), "app");
	assert_null(strstr(r.body, "canary"));
	done(&r);
	/* A14: only what belongs there */
	assert_int_equal(status_as(w, "admins", "PUT", "/v1/credentials/x", JSON_TYPE,
	                           "{\"username\":\"a\",\"password\":\"b\",\"role\":\"admin\"}"),
	                 400);
	assert_int_equal(
	        status_as(w, "admins", "PUT", "/v1/credentials/x", JSON_TYPE, "{\"username\":\"a\"}"), 400);
	assert_int_equal(status_as(w, "admins", "PUT", "/v1/credentials/x", JSON_TYPE,
	                           "{\"username\":\"a\",\"username\":\"c\",\"password\":\"b\"}"),
	                 400);
	assert_int_equal(status_as(w, "admins", "PUT", "/v1/credentials/x", JSON_TYPE, "[]"), 400);
	assert_int_equal(status_as(w, "admins", "PUT", "/v1/credentials/x", "text/plain",
	                           "{\"username\":\"a\",\"password\":\"b\"}"),
	                 415);
	assert_int_equal(status_as(w, "admins", "PUT", "/v1/credentials/a%2fb", JSON_TYPE,
	                           "{\"username\":\"a\",\"password\":\"b\"}"),
	                 404);
	assert_int_equal(status_as(w, "admins", "PUT", "/v1/credentials/a:b", JSON_TYPE,
	                           "{\"username\":\"a\",\"password\":\"b\"}"),
	                 400);
	assert_int_equal(status_as(w, "admins", "DELETE", "/v1/credentials/shop-app", NULL, NULL), 204);
	assert_int_equal(status_as(w, "admins", "DELETE", "/v1/credentials/shop-app", NULL, NULL), 404);
}

/* ---- tests: workers ---- */

static void send_auth_of(struct world *w, const struct sl_id *session, uint32_t index, const char *resource,
                         const char *token)
{
	struct sl_msg *m = sl_bus_worker_new(w->bus, 0);

	assert_non_null(m);
	m->type = SL_MSG_AUTH;
	m->auth.session = *session;
	m->flow = (struct sl_flow_ref){0, index, 9};
	assert_int_equal(sl_endpoint_parse("10.9.0.1:4000", &m->auth.client), SL_OK);
	m->auth.client.port = (uint16_t)(4000 + index);
	snprintf(m->auth.resource, sizeof(m->auth.resource), "%s", resource);
	m->auth.token_n = (uint32_t)strlen(token);
	memcpy(m->auth.token, token, m->auth.token_n);
	worker_send(w, m);
}

static void send_auth(struct world *w, uint32_t index, const char *resource, const char *token)
{
	send_auth_of(w, &(struct sl_id){{0}}, index, resource, token);
}

static void auth_refused(struct world *w, const char *resource, const char *token, int err, const char *text)
{
	struct sl_msg *m;

	send_auth(w, 1, resource, token);
	m = worker_wait(w, SL_MSG_AUTH_NO);
	assert_int_equal(m->auth_no.err, err);
	assert_string_equal(m->auth_no.text, text);
	assert_int_equal(m->flow.index, 1);
	assert_int_equal(m->flow.generation, 9);
	sl_bus_worker_done(w->bus, 0, m);
}

static void test_auth(void **state)
{
	struct world *w = *state;
	char *token = token_for(w, "bot", "agents"), *expired;
	struct sl_msg *m;

	expired = token_at(w, "bot", "agents", (long)(mg_wall_us() / 1000000) - 1000);
	auth_refused(w, "shop", "junk", SL_E_JWT_MALFORMED, "token not accepted");
	auth_refused(w, "shop", expired, SL_E_JWT_EXPIRED, "token expired");
	auth_refused(w, "nope", token, SL_E_NOTFOUND, "no such resource or not allowed");
	/* no credential yet: the caller reads the same as for what is not there */
	sl_log_set_level((enum sl_log_level) - 1);
	auth_refused(w, "shop", token, SL_E_NOTFOUND, "no such resource or not allowed");
	sl_log_set_level(SL_LOG_ERROR);
	assert_int_equal(status_as(w, "admins", "PUT", "/v1/credentials/shop-app", JSON_TYPE,
	                           "{\"username\":\"app\",\"password\":\"canary\"}"),
	                 204);
	send_auth(w, 1, "shop", token);
	m = worker_wait(w, SL_MSG_AUTH_OK);
	assert_string_equal(m->auth_ok.identity.subject, "bot");
	assert_string_equal(m->auth_ok.identity.provider, "lab");
	assert_string_equal(m->auth_ok.target_user, "app");
	assert_string_equal(m->auth_ok.resource, "shop");
	assert_true(sl_span_is(sl_secret_span(&m->auth_ok.secret), "canary"));
	assert_true(m->auth_ok.identity.expires_us > mg_wall_us());
	sl_bus_worker_done(w->bus, 0, m);
	free(token);
	free(expired);
}

/* D14: whatever is logged, at any level, holds no password and no token; who changed what is there, on one
 * line. */
static void test_log(void **state)
{
	struct world *w = *state;
	char path[160], *text = calloc(1, 1 << 20), *token = token_for(w, "bot\nerror forged", "agents");
	struct reply r;
	int saved = dup(2), fd;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/log", w->dir);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0 && saved >= 0);
	assert_int_equal(dup2(fd, 2), 2);
	sl_log_set_level(SL_LOG_DEBUG);
	assert_int_equal(status_as(w, "admins", "PUT", "/v1/credentials/shop-app", JSON_TYPE,
	                           "{\"username\":\"app\",\"password\":\"canary-secret\"}"),
	                 204);
	assert_int_equal(status_of(w, "DELETE", "/v1/credentials/shop-app", token, NULL, NULL), 403);
	send_auth(w, 1, "shop", token);
	sl_bus_worker_done(w->bus, 0, worker_wait(w, SL_MSG_AUTH_OK));
	auth_refused(w, "shop", "canary.token.x", SL_E_JWT_MALFORMED, "token not accepted");
	sl_log_set_level(SL_LOG_ERROR);
	assert_int_equal(dup2(saved, 2), 2);
	n = pread(fd, text, (1 << 20) - 1, 0);
	assert_true(n > 0);
	assert_null(strstr(text, "canary"));
	assert_null(strstr(text, token + strlen(token) - 40));
	assert_non_null(strstr(text, "PUT \"/v1/credentials/shop-app\" by user=\"admins\""));
	assert_non_null(strstr(text, "user=\"bot\\x0aerror forged\""));
	assert_null(strstr(text, "\nerror"));
	r = as(w, "noc", "GET", "/v1/metrics", NULL, NULL);
	assert_null(strstr(r.body, "canary"));
	done(&r);
	r = as(w, "noc", "GET", "/v1/status", NULL, NULL);
	assert_null(strstr(r.body, "canary"));
	done(&r);
	close(saved);
	close(fd);
	free(text);
	free(token);
}

/* More answers than the ring holds while the worker does not look: none is lost, and their order is kept. */
static void test_backlog(void **state)
{
	struct world *w = *state;
	struct sl_msg *m;
	char *token = token_for(w, "bot", "agents");

	for (uint32_t i = 0; i < 8 * 5; i++) {
		for (int k = 0; (m = sl_bus_worker_new(w->bus, 0)) == NULL && k < 1000; k++)
			usleep(1000);
		assert_non_null(m);
		sl_bus_worker_done(w->bus, 0, m); /* unsent again */
		send_auth(w, i, "nope", token);
	}
	for (uint32_t i = 0; i < 8 * 5; i++) {
		m = worker_wait(w, SL_MSG_AUTH_NO);
		assert_int_equal(m->flow.index, i);
		sl_bus_worker_done(w->bus, 0, m);
		sl_bus_worker_kick(w->bus, 0);
	}
	free(token);
}

static void send_hold(struct world *w, struct sl_id *id, char *text)
{
	struct sl_msg *m = sl_bus_worker_new(w->bus, 0);

	*id = sl_id_make(&w->ids, mg_wall_us());
	sl_id_str(id, text);
	m->type = SL_MSG_HOLD;
	m->flow = (struct sl_flow_ref){0, 2, 3};
	m->hold.approval = *id;
	m->hold.session = sl_id_make(&w->ids, mg_wall_us());
	m->hold.expires_us = mg_wall_us() + 60000000;
	m->hold.nb_needs = 1;
	snprintf(m->hold.needs[0].rule, sizeof(m->hold.needs[0].rule), "approve-updates");
	memcpy(m->hold.needs[0].approvers, "owners", 7);
	m->hold.needs[0].approvers_n = 7;
	snprintf(m->hold.identity.issuer, sizeof(m->hold.identity.issuer), "%s", w->idp.issuer);
	snprintf(m->hold.identity.subject, sizeof(m->hold.identity.subject), "bot");
	snprintf(m->hold.identity.name, sizeof(m->hold.identity.name), "bot");
	m->hold.text_n = m->hold.text_total = 8;
	memcpy(m->hold.text, "update t", 8);
	worker_send(w, m);
	m = worker_wait(w, SL_MSG_ASKED);
	assert_memory_equal(m->approval.b, id->b, sizeof(id->b));
	sl_bus_worker_done(w->bus, 0, m);
}

static void wait_pending(struct world *w, size_t nb)
{
	for (int i = 0; i < 200; i++) {
		struct reply r = as(w, "noc", "GET", "/v1/approvals?state=pending", NULL, NULL);
		size_t have = json_array_size(json_object_get(r.json, "approvals"));

		done(&r);
		if (have == nb)
			return;
		usleep(10000);
	}
	fail_msg("pending approvals are not %zu", nb);
}

#define GONE_ROUNDS 10

static void test_approvals_api(void **state)
{
	struct world *w = *state;
	struct sl_id id;
	char text[SL_ID_STR_MAX], path[80], get[80], *own = token_for(w, "bot", "owners");
	struct sl_msg *m;
	struct reply r;

	send_hold(w, &id, text);
	wait_pending(w, 1);
	snprintf(path, sizeof(path), "/v1/approvals/%s/approve", text);
	snprintf(get, sizeof(get), "/v1/approvals/%s", text);
	/* A14, C06: not by the requester, not by an admin, not with more than a note */
	assert_int_equal(status_of(w, "POST", path, own, NULL, NULL), 403);
	assert_int_equal(status_as(w, "admins", "POST", path, NULL, NULL), 403);
	assert_int_equal(status_as(w, "owners", "POST", path, JSON_TYPE, "{\"note\":\"x\",\"by\":\"eve\"}"),
	                 400);
	assert_int_equal(status_as(w, "owners", "POST", path, "text/plain", "{\"note\":\"x\"}"), 415);
	assert_int_equal(status_as(w, "owners", "POST", "/v1/approvals/1/approve", NULL, NULL), 404);
	r = as(w, "owners", "POST", path, JSON_TYPE, "{\"note\":\"go on\"}");
	assert_int_equal(r.status, 200);
	assert_string_equal(str(&r, "state"), "approved");
	assert_string_equal(str(&r, "decided_by"), "owners");
	assert_string_equal(str(&r, "note"), "go on");
	done(&r);
	m = worker_wait(w, SL_MSG_DECISION);
	assert_int_equal(m->decision.decision, SL_DECISION_APPROVED);
	assert_memory_equal(m->decision.approval.b, id.b, sizeof(id.b));
	assert_int_equal(m->flow.index, 2);
	sl_bus_worker_done(w->bus, 0, m);
	assert_int_equal(status_as(w, "owners", "POST", path, NULL, NULL), 409);
	r = as(w, "noc", "GET", get, NULL, NULL);
	assert_string_equal(str(&r, "state"), "approved");
	assert_string_equal(str(&r, "statement"), "update t");
	done(&r);
	/* another is denied, a third goes away */
	send_hold(w, &id, text);
	wait_pending(w, 1);
	snprintf(path, sizeof(path), "/v1/approvals/%s/deny", text);
	assert_int_equal(status_as(w, "owners", "POST", path, NULL, NULL), 200);
	m = worker_wait(w, SL_MSG_DECISION);
	assert_int_equal(m->decision.decision, SL_DECISION_DENIED);
	sl_bus_worker_done(w->bus, 0, m);
	for (int i = 0; i < GONE_ROUNDS; i++) {
		send_hold(w, &id, text);
		wait_pending(w, 1);
		m = sl_bus_worker_new(w->bus, 0);
		m->type = SL_MSG_HOLD_GONE;
		m->approval = id;
		worker_send(w, m);
		/* heard before any request behind it */
		snprintf(path, sizeof(path), "/v1/approvals/%s/approve", text);
		assert_int_equal(status_as(w, "owners", "POST", path, NULL, NULL), 409);
	}
	wait_pending(w, 0);
	r = as(w, "noc", "GET", "/v1/approvals?state=all", NULL, NULL);
	assert_int_equal(json_array_size(json_object_get(r.json, "approvals")), 2 + GONE_ROUNDS);
	done(&r);
	assert_int_equal(status_as(w, "noc", "GET", "/v1/approvals?state=some", NULL, NULL), 400);
	assert_int_equal(status_as(w, "noc", "GET", "/v1/approvals?limit=1001", NULL, NULL), 400);
	free(own);
}

/* Writes a record of a session as a worker does. */
static void put_record(struct world *w, const struct sl_id *session, uint64_t n, enum sl_record_kind kind)
{
	struct sl_block *b = sl_store_block_get(w->store, 0);
	struct sl_record_writer rw;
	int len;

	assert_non_null(b);
	if (kind == SL_REC_SESSION) {
		sl_record_begin(&rw, b->data, sizeof(b->data), kind, mg_wall_us(), n, 5);
		sl_record_str(&rw, "u", SL_SPAN_LIT("bot"));
		sl_record_str(&rw, "r", SL_SPAN_LIT("shop"));
		sl_record_str(&rw, "c", SL_SPAN_LIT("10.9.0.1:4001"));
		sl_record_str(&rw, "p", SL_SPAN_LIT("postgres"));
		sl_record_array(&rw, "g", 1);
		sl_record_item(&rw, SL_SPAN_LIT("agents"));
	} else if (kind == SL_REC_DATA) {
		sl_record_begin(&rw, b->data, sizeof(b->data), kind, mg_wall_us(), n, 2);
		sl_record_uint(&rw, "cmd", 1);
		sl_record_bin(&rw, "d", sl_span("\0\xff\x01", 3));
	} else {
		sl_record_begin(&rw, b->data, sizeof(b->data), kind, mg_wall_us(), n, 3);
		sl_record_str(&rw, "rs", SL_SPAN_LIT("closed"));
		sl_record_uint(&rw, "nc", 12);
		sl_record_uint(&rw, "nd", 2);
	}
	len = sl_record_end(&rw);
	assert_true(len > 0);
	b->session = *session;
	b->record = n;
	b->kind = (uint8_t)kind;
	b->worker = 0;
	b->n = (uint16_t)len;
	n = sl_store_block_put(w->store, 0, b);
	sl_store_kick(w->store, 0);
	for (int i = 0; i < 1000 && sl_store_durable(w->store, 0) < n; i++)
		usleep(2000);
	assert_true(sl_store_durable(w->store, 0) >= n);
}

static void test_sessions_api(void **state)
{
	struct world *w = *state;
	struct sl_id id = sl_id_make(&w->ids, mg_wall_us());
	char text[SL_ID_STR_MAX], path[128], *token = token_for(w, "bot", "agents");
	struct sl_msg *m;
	struct reply r;
	json_t *s;

	assert_int_equal(status_as(w, "admins", "PUT", "/v1/credentials/shop-app", JSON_TYPE,
	                           "{\"username\":\"app\",\"password\":\"canary\"}"),
	                 204);
	send_auth_of(w, &id, 1, "shop", token);
	sl_bus_worker_done(w->bus, 0, worker_wait(w, SL_MSG_AUTH_OK));
	put_record(w, &id, 0, SL_REC_SESSION);
	put_record(w, &id, 1, SL_REC_DATA);
	sl_id_str(&id, text);
	r = as(w, "noc", "GET", "/v1/sessions?limit=10", NULL, NULL);
	s = json_array_get(json_object_get(r.json, "sessions"), 0);
	assert_string_equal(json_string_value(json_object_get(s, "id")), text);
	assert_string_equal(json_string_value(json_object_get(s, "state")), "live");
	assert_string_equal(json_string_value(json_object_get(s, "user")), "bot");
	assert_true(json_is_null(json_object_get(s, "ended_us")));
	assert_int_equal(json_integer_value(json_object_get(s, "records")), 2);
	done(&r);
	snprintf(path, sizeof(path), "/v1/sessions/%s/records?limit=1", text);
	r = as(w, "noc", "GET", path, NULL, NULL);
	assert_int_equal(json_integer_value(json_object_get(r.json, "next")), 1);
	s = json_array_get(json_object_get(r.json, "records"), 0);
	assert_string_equal(json_string_value(json_object_get(s, "kind")), "session");
	assert_string_equal(json_string_value(json_object_get(s, "client")), "10.9.0.1:4001");
	assert_string_equal(json_string_value(json_array_get(json_object_get(s, "groups"), 0)), "agents");
	done(&r);
	snprintf(path, sizeof(path), "/v1/sessions/%s/records?from=1", text);
	r = as(w, "noc", "GET", path, NULL, NULL);
	assert_true(json_is_null(json_object_get(r.json, "next")));
	s = json_array_get(json_object_get(r.json, "records"), 0);
	assert_string_equal(json_string_value(json_object_get(s, "data")), "AP8B");
	done(&r);
	/* it is ended: the worker of its flow is told */
	snprintf(path, sizeof(path), "/v1/sessions/%s", text);
	assert_int_equal(status_as(w, "ops", "DELETE", path, NULL, NULL), 202);
	m = worker_wait(w, SL_MSG_KILL);
	assert_int_equal(m->flow.index, 1);
	assert_int_equal(m->flow.generation, 9);
	sl_bus_worker_done(w->bus, 0, m);
	put_record(w, &id, 2, SL_REC_END);
	m = sl_bus_worker_new(w->bus, 0);
	m->type = SL_MSG_SESSION_END;
	m->flow = (struct sl_flow_ref){0, 1, 9};
	m->session = id;
	worker_send(w, m);
	r = as(w, "noc", "GET", "/v1/sessions", NULL, NULL);
	s = json_array_get(json_object_get(r.json, "sessions"), 0);
	assert_string_equal(json_string_value(json_object_get(s, "state")), "ended");
	assert_int_equal(json_integer_value(json_object_get(s, "commands")), 12);
	assert_int_equal(json_integer_value(json_object_get(s, "denied")), 2);
	done(&r);
	assert_int_equal(status_as(w, "ops", "DELETE", path, NULL, NULL), 409);
	assert_int_equal(status_as(w, "ops", "DELETE", "/v1/sessions/01M7YS92ZZZZZZZZZZZZZZZZZZ", NULL, NULL),
	                 404);
	assert_int_equal(status_as(w, "noc", "GET", "/v1/sessions/../records", NULL, NULL), 404);
	snprintf(path, sizeof(path), "/v1/sessions/%s/verify", text);
	r = as(w, "noc", "GET", path, NULL, NULL);
	assert_true(json_is_true(json_object_get(r.json, "ok")));
	assert_int_equal(json_integer_value(json_object_get(r.json, "records")), 3);
	done(&r);
	r = as(w, "ops", "POST", "/v1/verify", NULL, NULL);
	assert_int_equal(r.status, 200);
	assert_true(json_is_true(json_object_get(r.json, "ok")));
	done(&r);
	assert_int_equal(
	        status_as(w, "noc", "GET", "/v1/sessions/01M7YS92ZZZZZZZZZZZZZZZZZZ/records", NULL, NULL),
	        404);
	assert_int_equal(status_as(w, "noc", "GET", "/v1/sessions?limit=501", NULL, NULL), 400);
	assert_int_equal(status_as(w, "noc", "GET", "/v1/sessions?limit=-1", NULL, NULL), 400);
	free(token);
}

/* A client may have two sessions from one address and port, by two listeners: the one that is named ends.
 * Their records here say the same of both. */
static void test_session_meant(void **state)
{
	struct world *w = *state;
	char text[SL_ID_STR_MAX], path[128], *token = token_for(w, "bot", "agents");
	struct sl_id id[2];
	struct sl_msg *m;

	assert_int_equal(status_as(w, "admins", "PUT", "/v1/credentials/shop-app", JSON_TYPE,
	                           "{\"username\":\"app\",\"password\":\"canary\"}"),
	                 204);
	for (uint32_t i = 0; i < 2; i++) {
		id[i] = sl_id_make(&w->ids, mg_wall_us());
		send_auth_of(w, &id[i], 1 + i, "shop", token);
		sl_bus_worker_done(w->bus, 0, worker_wait(w, SL_MSG_AUTH_OK));
		put_record(w, &id[i], 0, SL_REC_SESSION);
	}
	for (uint32_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/v1/sessions/%s", sl_id_str(&id[i], text));
		assert_int_equal(status_as(w, "ops", "DELETE", path, NULL, NULL), 202);
		m = worker_wait(w, SL_MSG_KILL);
		assert_int_equal(m->flow.index, 1 + i);
		sl_bus_worker_done(w->bus, 0, m);
	}
	free(token);
}

static void wait_health(struct world *w, const char *wanted)
{
	for (int i = 0; i < 500; i++) {
		struct reply r = call(w, "GET", "/v1/health", NULL, NULL, NULL);
		bool found = strstr(r.body, wanted) != NULL;

		done(&r);
		if (found)
			return;
		usleep(10000);
	}
	fail_msg("health does not say \"%s\"", wanted);
}

static int live_sessions(struct world *w)
{
	struct reply r = as(w, "noc", "GET", "/v1/status", NULL, NULL);
	int n = (int)json_integer_value(json_object_get(r.json, "live_sessions"));

	done(&r);
	return n;
}

static const char *session_state(struct world *w, struct reply *r)
{
	*r = as(w, "noc", "GET", "/v1/sessions?limit=1", NULL, NULL);
	return json_string_value(
	        json_object_get(json_array_get(json_object_get(r->json, "sessions"), 0), "state"));
}

/* The only worker dies: its sessions, holds and records end; what it had still to say is not heard; the core
 * stops without it. */
static void test_worker_dies(void **state)
{
	struct world *w = *state;
	struct sl_id id, session = sl_id_make(&w->ids, mg_wall_us());
	char text[SL_ID_STR_MAX], path[128], *token = token_for(w, "bot", "agents");
	uint64_t start;
	struct reply r;

	give_back(w);
	assert_int_equal(status_as(w, "admins", "PUT", "/v1/credentials/shop-app", JSON_TYPE,
	                           "{\"username\":\"app\",\"password\":\"canary\"}"),
	                 204);
	send_auth(w, 1, "shop", token);
	sl_bus_worker_done(w->bus, 0, worker_wait(w, SL_MSG_AUTH_OK));
	send_hold(w, &id, text);
	wait_pending(w, 1);
	put_record(w, &session, 0, SL_REC_SESSION);
	assert_int_equal(live_sessions(w), 1);
	sl_log_set_level((enum sl_log_level) - 1);
	dead_workers = 1;
	send_auth(w, 2, "shop", token); /* the last thing that it did */
	wait_health(w, "worker 0 has died");
	assert_int_equal(live_sessions(w), 0);
	wait_pending(w, 0);
	snprintf(path, sizeof(path), "/v1/approvals/%s", text);
	r = as(w, "noc", "GET", path, NULL, NULL);
	assert_string_equal(str(&r, "state"), "denied");
	assert_string_equal(str(&r, "decided_by"), "sluice");
	done(&r);
	for (int i = 0; i < 500; i++, usleep(10000)) {
		bool gap = strcmp(session_state(w, &r), "gap") == 0;

		done(&r);
		if (gap)
			break;
	}
	assert_string_equal(session_state(w, &r), "gap");
	done(&r);
	r = as(w, "noc", "GET", "/v1/metrics", NULL, NULL);
	assert_non_null(strstr(r.body, "\nsl_workers_died_total 1\n"));
	done(&r);
	assert_int_equal(status_as(w, "noc", "GET", "/v1/tcp?worker=0", NULL, NULL), 503);
	assert_null(sl_bus_worker_recv(w->bus, 0));
	start = mg_mono_us();
	sl_mgmt_stop(w->mgmt, 2000);
	pthread_join(w->thread, NULL);
	assert_true(mg_mono_us() - start < 1500000); /* nobody is waited for */
	sl_log_set_level(SL_LOG_ERROR);
	sl_mgmt_free(w->mgmt);
	sl_bus_free(w->bus);
	w->bus = sl_bus_new(1, 8);
	dead_workers = 0;
	start_mgmt(w);
	sl_bus_worker_done(w->bus, 0, worker_wait(w, SL_MSG_SNAPSHOT));
	free(token);
}

/* Workers that never answer do not keep the management core from ending. */
static void test_stop_without_workers(void **state)
{
	struct world *w = *state;
	uint64_t start = mg_mono_us();

	give_back(w);
	sl_log_set_level((enum sl_log_level) - 1);
	sl_mgmt_stop(w->mgmt, 100);
	pthread_join(w->thread, NULL);
	sl_log_set_level(SL_LOG_ERROR);
	assert_true(mg_mono_us() - start < 3000000);
	sl_mgmt_free(w->mgmt);
	sl_bus_worker_done(w->bus, 0, worker_wait(w, SL_MSG_DRAIN));
	start_mgmt(w);
	sl_bus_worker_done(w->bus, 0, worker_wait(w, SL_MSG_SNAPSHOT));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	        T(test_open_routes),
	        T(test_openapi_covers_routes),
	        T(test_tokens),
	        T(test_roles),
	        T(test_http_strict),
	        T(test_connections_bounded),
	        T(test_tls_versions),
	        T(test_status),

	        T(test_policies),
	        T(test_policy_survives),
	        T(test_credentials_api),
	        T(test_auth),
	        T(test_log),
	        T(test_backlog),
	        T(test_approvals_api),
	        T(test_sessions_api),
	        T(test_session_meant),
	        T(test_worker_dies),
	        T(test_stop_without_workers),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
