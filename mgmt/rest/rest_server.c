#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "clock.h"
#include "rest_priv.h"
#include "sl_addr.h"
#include "sl_counter.h"
#include "sl_log.h"

#define BACKLOG        64
#define SWEEP_INTERVAL 1 /* s */

/*
 * A connection, tied to the life of its SSL object: libevent's server has no bound on connections and only a
 * time limit between two bytes, so that both are kept here.
 */
struct conn {
	TAILQ_ENTRY(conn) link;
	struct mg_rest *rest;
	struct bufferevent *bev;
	bool busy;         /* its request is here and being worked on */
	uint64_t since_us; /* it was accepted, or its last request ended */
};

struct mg_rest {
	struct mg_rest_cfg cfg;
	SSL_CTX *tls;
	struct evhttp *http;
	struct evconnlistener *listener; /* http's */
	struct event *sweep;
	TAILQ_HEAD(conn_list, conn) conns;
	uint32_t nb_conns;
	bool stopped;
};

static int conn_index = -1; /* of the SSL objects' extra data */

const struct mg_rest_cfg *mg_rest_config(const struct mg_rest *r)
{
	return &r->cfg;
}

/* ---- connections ---- */

static void accept_again(struct mg_rest *r)
{
	if (r->listener == NULL || r->stopped)
		return;
	if (r->nb_conns < MG_REST_CONNECTIONS_MAX)
		evconnlistener_enable(r->listener);
	else
		evconnlistener_disable(r->listener);
}

static void on_ssl_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl, void *argp)
{
	struct conn *c = ptr;

	if (c == NULL)
		return;
	TAILQ_REMOVE(&c->rest->conns, c, link);
	c->rest->nb_conns--;
	accept_again(c->rest);
	free(c);
}

static struct conn *conn_of(struct bufferevent *bev)
{
	SSL *ssl = bev == NULL ? NULL : bufferevent_openssl_get_ssl(bev);

	return ssl == NULL ? NULL : SSL_get_ex_data(ssl, conn_index);
}

bool mg_rest_full(const struct mg_rest *r)
{
	return r->nb_conns >= MG_REST_CONNECTIONS_MAX;
}

bool mg_rest_busy(struct evhttp_request *ev, bool busy)
{
	struct evhttp_connection *ec = evhttp_request_get_connection(ev);
	struct conn *c = ec == NULL ? NULL : conn_of(evhttp_connection_get_bufferevent(ec));

	if (c == NULL)
		return false;
	c->busy = busy;
	c->since_us = mg_mono_us();
	return true;
}

/*
 * Makes the TLS side of a new connection. When this returns NULL (no memory) libevent goes on in clear text:
 * requests of such a connection are refused by mg_on_request(), which finds no TLS on it.
 */
static struct bufferevent *on_connection(struct event_base *base, void *arg)
{
	struct mg_rest *r = arg;
	SSL *ssl = SSL_new(r->tls);
	struct conn *c = calloc(1, sizeof(*c));
	struct bufferevent *bev = NULL;

	if (ssl != NULL && c != NULL)
		bev = bufferevent_openssl_socket_new(base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING,
		                                     BEV_OPT_CLOSE_ON_FREE);
	if (bev == NULL) {
		free(c);
		SSL_free(ssl);
		sl_fail(SL_E_NOMEM);
		return NULL;
	}
	c->rest = r;
	c->bev = bev;
	c->since_us = mg_mono_us();
	TAILQ_INSERT_TAIL(&r->conns, c, link);
	r->nb_conns++;
	SSL_set_ex_data(ssl, conn_index, c);
	bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
	accept_again(r);
	return bev;
}

/* Ends connections that are over their time: a shut-down socket is an end of file for libevent, which frees
 * all. */
static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct mg_rest *r = arg;
	uint64_t now = mg_mono_us();

	for (struct conn *c = TAILQ_FIRST(&r->conns); c != NULL; c = TAILQ_NEXT(c, link)) {
		evutil_socket_t s = bufferevent_getfd(c->bev);

		if (!c->busy && now - c->since_us > r->cfg.timeout_s * UINT64_C(1000000) && s >= 0)
			shutdown(s, SHUT_RDWR);
	}
}

/* ---- life ---- */

static SSL_CTX *new_tls(const struct mg_rest_cfg *cfg, char *err, size_t err_cap)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_server_method());

	if (tls == NULL)
		return NULL;
	SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
	/* Bodies hold passwords of targets: OpenSSL is to clear its copies once they are read. */
	SSL_CTX_set_options(tls, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
	                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_CLEANSE_PLAINTEXT);
	SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
	if (SSL_CTX_use_certificate_chain_file(tls, cfg->cert_file) != 1 ||
	    SSL_CTX_use_PrivateKey_file(tls, cfg->key_file, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(tls) != 1) {
		char reason[160];

		ERR_error_string_n(ERR_get_error(), reason, sizeof(reason));
		snprintf(err, err_cap, "API certificate %s, key %s: %s", cfg->cert_file, cfg->key_file,
		         reason);
		ERR_clear_error();
		SSL_CTX_free(tls);
		return NULL;
	}
	return tls;
}

static int listen_on(struct mg_rest *r, char *err, size_t err_cap)
{
	struct sockaddr_storage ss;
	int n = sizeof(ss);

	if (evutil_parse_sockaddr_port(r->cfg.listen, (struct sockaddr *)&ss, &n) != 0 ||
	    strchr(r->cfg.listen, ':') == NULL) {
		snprintf(err, err_cap, "API address %s: must be ADDRESS:PORT", r->cfg.listen);
		return sl_fail(SL_E_CONFIG);
	}
	r->listener = evconnlistener_new_bind(
	        r->cfg.base, NULL, NULL, LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC,
	        BACKLOG, (struct sockaddr *)&ss, n);
	if (r->listener == NULL || evhttp_bind_listener(r->http, r->listener) == NULL) {
		snprintf(err, err_cap, "API address %s: %s", r->cfg.listen,
		         strerror(evutil_socket_geterror(-1)));
		if (r->listener != NULL)
			evconnlistener_free(r->listener);
		r->listener = NULL;
		return sl_fail(SL_E_SYS);
	}
	return SL_OK;
}

/* All methods come to us, which refuse in our own words; what libevent does not know it refuses itself. */
static void configure(struct mg_rest *r)
{
	evhttp_set_allowed_methods(r->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_PUT |
	                                            EVHTTP_REQ_DELETE | EVHTTP_REQ_HEAD | EVHTTP_REQ_PATCH |
	                                            EVHTTP_REQ_OPTIONS | EVHTTP_REQ_TRACE);
	evhttp_set_max_headers_size(r->http, MG_REST_HEADER_MAX);
	evhttp_set_max_body_size(r->http, MG_REST_BODY_MAX);
	evhttp_set_timeout(r->http, (int)r->cfg.timeout_s);
	evhttp_set_default_content_type(r->http, NULL);
	evhttp_set_bevcb(r->http, on_connection, r);
	evhttp_set_gencb(r->http, mg_on_request, r);
}

int mg_rest_new(const struct mg_rest_cfg *cfg, struct mg_rest **out, char *err, size_t err_cap)
{
	const struct timeval interval = {.tv_sec = SWEEP_INTERVAL};
	struct mg_rest *r = calloc(1, sizeof(*r));
	int rc = SL_OK;

	*out = NULL;
	if (r == NULL)
		return sl_fail(SL_E_NOMEM);
	r->cfg = *cfg;
	if (r->cfg.timeout_s == 0)
		r->cfg.timeout_s = MG_REST_TIMEOUT_S;
	TAILQ_INIT(&r->conns);
	if (conn_index < 0)
		conn_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, on_ssl_free);
	r->tls = new_tls(cfg, err, err_cap);
	if (r->tls == NULL)
		rc = sl_fail(SL_E_TLS_CONFIG);
	r->http = evhttp_new(cfg->base);
	r->sweep = event_new(cfg->base, -1, EV_PERSIST, on_sweep, r);
	if (rc == SL_OK &&
	    (r->http == NULL || r->sweep == NULL || conn_index < 0 || event_add(r->sweep, &interval) != 0))
		rc = sl_fail(SL_E_NOMEM);
	if (rc == SL_OK) {
		configure(r);
		rc = listen_on(r, err, err_cap);
	}
	if (rc != SL_OK) {
		mg_rest_free(r);
		return rc;
	}
	*out = r;
	return SL_OK;
}

void mg_rest_stop(struct mg_rest *r)
{
	r->stopped = true;
	if (r->listener != NULL)
		evconnlistener_disable(r->listener);
}

void mg_rest_free(struct mg_rest *r)
{
	if (r == NULL)
		return;
	r->stopped = true; /* connections that go must not switch the listener on again */
	if (r->http != NULL)
		evhttp_free(r->http);
	if (r->sweep != NULL)
		event_free(r->sweep);
	SSL_CTX_free(r->tls);
	/* Buffer events are freed from the loop a moment later; what is left of them must not come back to
	 * us. */
	for (struct conn *c = TAILQ_FIRST(&r->conns); c != NULL; c = TAILQ_FIRST(&r->conns)) {
		TAILQ_REMOVE(&r->conns, c, link);
		SSL_set_ex_data(bufferevent_openssl_get_ssl(c->bev), conn_index, NULL);
		free(c);
	}
	free(r);
}
