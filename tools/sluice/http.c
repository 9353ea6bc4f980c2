#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "cli.h"

#define HEADERS_MAX  (64 * 1024)
#define BODY_MAX     (256 * 1024 * 1024)
#define TIMEOUT_S    600 /* verifying a large store takes a while */
#define PORT_DEFAULT 443

struct call {
	struct event_base *base;
	struct reply *out;
	bool answered;
	bool too_long;
};

static void finished(struct evhttp_request *req, void *arg)
{
	struct call *call = arg;
	struct evbuffer *in;

	event_base_loopbreak(call->base);
	if (req == NULL || evhttp_request_get_response_code(req) == 0)
		return;
	in = evhttp_request_get_input_buffer(req);
	call->out->n = evbuffer_get_length(in);
	call->out->body = calloc(1, call->out->n + 1);
	if (call->out->body == NULL || evbuffer_remove(in, call->out->body, call->out->n) < 0)
		return;
	call->out->status = evhttp_request_get_response_code(req);
	call->out->json = json_loadb(call->out->body, call->out->n, JSON_REJECT_DUPLICATES, NULL);
	call->answered = true;
}

static void request_error(enum evhttp_request_error e, void *arg)
{
	struct call *call = arg;

	call->too_long = e == EVREQ_HTTP_DATA_TOO_LONG;
}

static void timer_expired(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	event_base_loopbreak(arg);
}

/* A client context that verifies; NULL said to stderr. */
static SSL_CTX *make_ctx(const struct cli *c)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1) {
		complain("TLS cannot be set up");
		SSL_CTX_free(ctx);
		return NULL;
	}
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	if (c->ca != NULL ? SSL_CTX_load_verify_file(ctx, c->ca) != 1
	                  : SSL_CTX_set_default_verify_paths(ctx) != 1) {
		complain("%s: cannot be read as a file of CA certificates", c->ca == NULL ? "system" : c->ca);
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

/* The name or address that the certificate must carry. */
static SSL *make_ssl(SSL_CTX *ctx, const char *host)
{
	SSL *ssl = SSL_new(ctx);
	uint8_t addr[16];
	int ok;

	if (ssl == NULL)
		return NULL;
	if (inet_pton(AF_INET, host, addr) == 1 || inet_pton(AF_INET6, host, addr) == 1)
		ok = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
	else
		ok = SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
	if (ok != 1) {
		SSL_free(ssl);
		return NULL;
	}
	return ssl;
}

static void explain_failure(const struct cli *c, const struct call *call, SSL *ssl)
{
	long verify = SSL_get_verify_result(ssl);
	unsigned long e = ERR_peek_last_error();

	if (call->too_long)
		complain("%s: the answer is larger than the client takes", c->server);
	else if (verify != X509_V_OK)
		complain("%s: its certificate is not accepted: %s%s", c->server,
		         X509_verify_cert_error_string(verify), c->ca == NULL ? " (is --ca needed?)" : "");
	else if (e != 0 && ERR_GET_LIB(e) == ERR_LIB_SSL)
		complain("%s: TLS failed: %s", c->server, ERR_reason_error_string(e));
	else
		complain("%s: cannot be reached, or closed the connection", c->server);
}

static void add_headers(const struct cli *c, struct evhttp_request *req, const char *host, int port,
                        const char *content_type)
{
	struct evkeyvalq *h = evhttp_request_get_output_headers(req);
	char value[TOKEN_MAX + 16];

	/* An IPv6 address needs its brackets back. */
	snprintf(value, sizeof(value), strchr(host, ':') != NULL ? "[%s]:%d" : "%s:%d", host, port);
	evhttp_add_header(h, "Host", value);
	evhttp_add_header(h, "Connection", "close");
	evhttp_add_header(h, "Accept", "application/json, application/problem+json, text/plain");
	if (content_type != NULL)
		evhttp_add_header(h, "Content-Type", content_type);
	if (c->token[0] != '\0') {
		snprintf(value, sizeof(value), "Bearer %s", c->token);
		evhttp_add_header(h, "Authorization", value);
	}
	OPENSSL_cleanse(value, sizeof(value));
}

static int run(struct cli *c, SSL *ssl, const char *host, int port, enum method method, const char *path,
               const char *content_type, struct sl_span body, struct reply *out)
{
	static const enum evhttp_cmd_type verbs[] = {[GET] = EVHTTP_REQ_GET,
	                                             [POST] = EVHTTP_REQ_POST,
	                                             [PUT] = EVHTTP_REQ_PUT,
	                                             [DELETE] = EVHTTP_REQ_DELETE};
	struct call call = {.base = event_base_new(), .out = out};
	struct evhttp_connection *conn = NULL;
	struct timeval limit = {.tv_sec = TIMEOUT_S};
	struct event *timer = NULL;
	struct bufferevent *bev;
	struct evhttp_request *req = NULL;
	int rc = EXIT_FAILED;

	if (call.base == NULL)
		goto out;
	SSL_up_ref(ssl); /* the bufferevent frees its own; the verify result is read later */
	bev = bufferevent_openssl_socket_new(call.base, -1, ssl, BUFFEREVENT_SSL_CONNECTING,
	                                     BEV_OPT_CLOSE_ON_FREE);
	if (bev == NULL) {
		SSL_free(ssl);
		goto out;
	}
	conn = evhttp_connection_base_bufferevent_new(call.base, NULL, bev, host, (unsigned short)port);
	timer = evtimer_new(call.base, timer_expired, call.base);
	req = evhttp_request_new(finished, &call);
	if (conn == NULL || timer == NULL || req == NULL)
		goto out;
	evhttp_connection_set_max_headers_size(conn, HEADERS_MAX);
	evhttp_connection_set_max_body_size(conn, BODY_MAX);
	evhttp_connection_set_timeout(conn, TIMEOUT_S);
	evhttp_connection_set_retries(conn, 0); /* a command is given once */
	evhttp_request_set_error_cb(req, request_error);
	add_headers(c, req, host, port, content_type);
	if (body.n > 0)
		evbuffer_add(evhttp_request_get_output_buffer(req), body.p, body.n);
	evtimer_add(timer, &limit);
	rc = evhttp_make_request(conn, req, verbs[method], path);
	req = NULL; /* the connection's now, also when it failed */
	if (rc == 0)
		event_base_dispatch(call.base);
	rc = call.answered ? EXIT_DONE : EXIT_FAILED;
	if (rc != EXIT_DONE)
		explain_failure(c, &call, ssl);
out:
	if (req != NULL)
		evhttp_request_free(req);
	if (conn != NULL)
		evhttp_connection_free(conn);
	if (timer != NULL)
		event_free(timer);
	if (call.base != NULL)
		event_base_free(call.base);
	return rc;
}

/* RFC 9457. Every text of the server's is cleaned by complain(). */
static void print_problem(const struct reply *r)
{
	const char *detail = js(r->json, "detail"), *title = js(r->json, "title");
	const json_t *errors = json_object_get(r->json, "errors"), *e;
	size_t i;

	complain("%s%s%s (status %d)", title[0] == '\0' ? "the gateway did not do it" : title,
	         detail[0] == '\0' ? "" : ": ", detail, r->status);
	json_array_foreach(errors, i, e)
	{
		const char *hint = js(e, "hint");

		complain("  %s:%llu:%llu: %s%s%s%s", js(e, "file"), (unsigned long long)ju(e, "line"),
		         (unsigned long long)ju(e, "column"), js(e, "text"), hint[0] == '\0' ? "" : " (",
		         hint, hint[0] == '\0' ? "" : ")");
	}
}

static int call_url(struct cli *c, struct evhttp_uri *uri, enum method method, const char *path,
                    const char *content_type, struct sl_span body, struct reply *out)
{
	const char *host = evhttp_uri_get_host(uri), *prefix = evhttp_uri_get_path(uri);
	int port = evhttp_uri_get_port(uri), rc = EXIT_FAILED;
	char *bare = NULL, *full = NULL;
	SSL_CTX *ctx = make_ctx(c);
	SSL *ssl = NULL;

	if (ctx == NULL)
		return rc;
	bare = strdup(host[0] == '[' ? host + 1 : host);
	if (bare != NULL && host[0] == '[' && bare[0] != '\0')
		bare[strlen(bare) - 1] = '\0';
	if (bare != NULL)
		ssl = make_ssl(ctx, bare);
	if (ssl == NULL ||
	    asprintf(&full, "%s%s", prefix == NULL || strcmp(prefix, "/") == 0 ? "" : prefix, path) < 0) {
		complain("%s: no request can be made", c->server);
		full = NULL;
	} else {
		rc = run(c, ssl, bare, port < 0 ? PORT_DEFAULT : port, method, full, content_type, body, out);
	}
	free(full);
	free(bare);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	return rc;
}

int api_call(struct cli *c, enum method method, const char *path, const char *content_type,
             struct sl_span body, struct reply *out)
{
	struct evhttp_uri *uri;
	const char *scheme;
	int rc;

	*out = (struct reply){.status = 0};
	if (c->server == NULL) {
		complain("no server: give --server or set SLUICE_SERVER");
		return EXIT_USAGE;
	}
	rc = load_token(c);
	if (rc != EXIT_DONE)
		return rc;
	uri = evhttp_uri_parse(c->server);
	scheme = uri == NULL ? NULL : evhttp_uri_get_scheme(uri);
	/* A token is never sent in clear. */
	if (scheme == NULL || strcmp(scheme, "https") != 0 || evhttp_uri_get_host(uri) == NULL) {
		complain("%s: not an https:// URL", c->server);
		rc = EXIT_USAGE;
	} else {
		rc = call_url(c, uri, method, path, content_type, body, out);
	}
	if (uri != NULL)
		evhttp_uri_free(uri);
	if (rc == EXIT_DONE && (out->status < 200 || out->status > 299)) {
		print_problem(out);
		rc = EXIT_FAILED;
	}
	return rc;
}

void reply_free(struct reply *r)
{
	json_decref(r->json);
	free(r->body);
	*r = (struct reply){.status = 0};
}

char *api_encode(const char *s)
{
	return evhttp_uriencode(s, -1, 0);
}

int api_get(struct cli *c, const char *path, struct reply *out, bool *done)
{
	int rc = api_call(c, GET, path, NULL, SL_SPAN_EMPTY, out);

	*done = false;
	if (rc != EXIT_DONE)
		return rc;
	if (out->json == NULL) {
		complain("the gateway's answer is not JSON");
		return EXIT_FAILED;
	}
	if (c->json) {
		print_json(out->json);
		*done = true;
	}
	return EXIT_DONE;
}
