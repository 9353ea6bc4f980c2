#include "fetch.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/http.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "sl_counter.h"
#include "sl_log.h"

#define HTTPS_PORT 443
#define HOST_MAX   256

struct mg_fetch {
	struct evhttp_connection *conn;
	struct event *done; /* runs when the answer is here or the time is over: never inside libevent's HTTP
	                       code */
	mg_fetch_fn fn;
	void *ctx;
	int err;
	uint8_t *body;
	size_t body_n;
};

/* ---- TLS ---- */

static int add_roots(SSL_CTX *tls, const char *ca_pem)
{
	BIO *bio = BIO_new_mem_buf(ca_pem, -1);
	X509 *cert;
	int nb = 0;

	if (bio == NULL)
		return SL_E_NOMEM;
	while ((cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		nb += X509_STORE_add_cert(SSL_CTX_get_cert_store(tls), cert);
		X509_free(cert);
	}
	BIO_free(bio);
	ERR_clear_error(); /* the end of the text is reported as an error */
	return nb > 0 ? SL_OK : SL_E_TLS_CONFIG;
}

SSL_CTX *mg_fetch_tls(const char *ca_pem)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
	int ok;

	if (tls == NULL)
		return NULL;
	SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
	SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
	ok = ca_pem != NULL ? add_roots(tls, ca_pem) == SL_OK : SSL_CTX_set_default_verify_paths(tls) == 1;
	if (!ok) {
		SSL_CTX_free(tls);
		return NULL;
	}
	return tls;
}

/* Whom the certificate must name: an address literal is compared with the addresses in it, a name with the
 * names. */
static SSL *new_session(SSL_CTX *tls, const char *host)
{
	SSL *ssl = SSL_new(tls);
	uint8_t addr[16];
	bool ok;

	if (ssl == NULL)
		return NULL;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (inet_pton(AF_INET, host, addr) == 1 || inet_pton(AF_INET6, host, addr) == 1)
		ok = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
	else
		ok = SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
	if (!ok) {
		SSL_free(ssl);
		return NULL;
	}
	return ssl;
}

/* ---- URL ---- */

struct target {
	char host[HOST_MAX];           /* without brackets */
	char authority[HOST_MAX + 16]; /* for the Host header */
	char path[MG_FETCH_URL_MAX + 2];
	uint16_t port;
};

static int parse_url(const char *url, struct target *out)
{
	struct evhttp_uri *u = strlen(url) > MG_FETCH_URL_MAX ? NULL : evhttp_uri_parse(url);
	const char *scheme, *host, *path, *query;
	int port, err = SL_E_INVAL;
	size_t n;

	if (u == NULL)
		return SL_E_INVAL;
	scheme = evhttp_uri_get_scheme(u);
	host = evhttp_uri_get_host(u);
	path = evhttp_uri_get_path(u);
	query = evhttp_uri_get_query(u);
	port = evhttp_uri_get_port(u);
	if (scheme == NULL || strcasecmp(scheme, "https") != 0 || host == NULL || host[0] == '\0' ||
	    strlen(host) >= HOST_MAX || evhttp_uri_get_userinfo(u) != NULL ||
	    evhttp_uri_get_fragment(u) != NULL || port == 0 || port > 65535)
		goto out;
	out->port = (uint16_t)(port < 0 ? HTTPS_PORT : port);
	snprintf(out->authority, sizeof(out->authority), out->port == HTTPS_PORT ? "%s" : "%s:%u", host,
	         out->port);
	n = strlen(host);
	if (host[0] == '[' && host[n - 1] == ']')
		snprintf(out->host, sizeof(out->host), "%.*s", (int)(n - 2), host + 1);
	else
		snprintf(out->host, sizeof(out->host), "%s", host);
	snprintf(out->path, sizeof(out->path), "%s%s%s", path == NULL || path[0] == '\0' ? "/" : path,
	         query == NULL ? "" : "?", query == NULL ? "" : query);
	err = SL_OK;
out:
	evhttp_uri_free(u);
	return err;
}

bool mg_fetch_url_ok(const char *url)
{
	struct target t;

	return parse_url(url, &t) == SL_OK;
}

/* ---- the fetch ---- */

static void free_fetch(struct mg_fetch *f)
{
	if (f->conn != NULL)
		evhttp_connection_free(f->conn);
	if (f->done != NULL)
		event_free(f->done);
	free(f->body);
	free(f);
}

static void on_done(evutil_socket_t fd, short what, void *arg)
{
	struct mg_fetch *f = arg;
	mg_fetch_fn fn = f->fn;
	void *ctx = f->ctx;
	uint8_t *body = f->body;
	size_t n = f->body_n;
	int err = f->err; /* SL_E_IDP_DOWN until an answer came: the time is over */

	f->body = NULL;
	free_fetch(f);
	if (err != SL_OK)
		sl_fail(err);
	fn(ctx, err, sl_span(body, err == SL_OK ? n : 0));
	free(body);
}

/* NULL or status 0: no answer. Anything but 200 is none either, a redirect among them. */
static void on_answer(struct evhttp_request *req, void *arg)
{
	struct mg_fetch *f = arg;
	struct evbuffer *in = req == NULL ? NULL : evhttp_request_get_input_buffer(req);
	size_t n = in == NULL ? 0 : evbuffer_get_length(in);

	if (req != NULL && evhttp_request_get_response_code(req) == HTTP_OK && n > 0 &&
	    n <= MG_FETCH_BODY_MAX) {
		f->body = malloc(n);
		if (f->body != NULL && evbuffer_copyout(in, f->body, n) == (ev_ssize_t)n) {
			f->body_n = n;
			f->err = SL_OK;
		}
	}
	event_active(f->done, EV_TIMEOUT, 0);
}

static int send_request(struct mg_fetch *f, const struct target *t)
{
	struct evhttp_request *req = evhttp_request_new(on_answer, f);
	struct evkeyvalq *headers;

	if (req == NULL)
		return SL_E_NOMEM;
	headers = evhttp_request_get_output_headers(req);
	if (evhttp_add_header(headers, "Host", t->authority) != 0 ||
	    evhttp_add_header(headers, "Accept", "application/json") != 0 ||
	    evhttp_add_header(headers, "Connection", "close") != 0) {
		evhttp_request_free(req);
		return SL_E_NOMEM;
	}
	/* On failure libevent has freed the request. */
	return evhttp_make_request(f->conn, req, EVHTTP_REQ_GET, t->path) == 0 ? SL_OK : SL_E_IDP_DOWN;
}

static int open_connection(struct mg_fetch *f, struct event_base *base, struct evdns_base *dns, SSL_CTX *tls,
                           const struct target *t)
{
	SSL *ssl = new_session(tls, t->host);
	struct bufferevent *bev;

	if (ssl == NULL)
		return SL_E_NOMEM;
	bev = bufferevent_openssl_socket_new(base, -1, ssl, BUFFEREVENT_SSL_CONNECTING,
	                                     BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (bev == NULL) {
		SSL_free(ssl);
		return SL_E_NOMEM;
	}
	f->conn = evhttp_connection_base_bufferevent_new(base, dns, bev, t->host, t->port);
	if (f->conn == NULL) {
		bufferevent_free(bev);
		return SL_E_NOMEM;
	}
	evhttp_connection_set_timeout(f->conn, MG_FETCH_TIMEOUT_S);
	evhttp_connection_set_retries(f->conn, 0);
	evhttp_connection_set_max_body_size(f->conn, MG_FETCH_BODY_MAX);
	evhttp_connection_set_max_headers_size(f->conn, MG_FETCH_HEADER_MAX);
	return SL_OK;
}

int mg_fetch_start(struct event_base *base, struct evdns_base *dns, SSL_CTX *tls, const char *url,
                   mg_fetch_fn fn, void *ctx, struct mg_fetch **out)
{
	const struct timeval limit = {.tv_sec = MG_FETCH_TIMEOUT_S};
	struct mg_fetch *f;
	struct target t;
	int err;

	*out = NULL;
	if (parse_url(url, &t) != SL_OK)
		return sl_fail(SL_E_INVAL);
	f = calloc(1, sizeof(*f));
	if (f == NULL)
		return sl_fail(SL_E_NOMEM);
	f->fn = fn;
	f->ctx = ctx;
	f->err = SL_E_IDP_DOWN;
	f->done = event_new(base, -1, 0, on_done, f);
	err = f->done == NULL || event_add(f->done, &limit) != 0 ? SL_E_NOMEM : SL_OK;
	if (err == SL_OK)
		err = open_connection(f, base, dns, tls, &t);
	if (err == SL_OK)
		err = send_request(f, &t);
	if (err != SL_OK) {
		free_fetch(f);
		return sl_fail(err);
	}
	*out = f;
	return SL_OK;
}

void mg_fetch_cancel(struct mg_fetch *f)
{
	if (f != NULL)
		free_fetch(f);
}
