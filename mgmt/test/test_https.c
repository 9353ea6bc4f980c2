#include "test_https.h"

#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

struct test_https {
	struct event_base *base;
	struct evhttp *http;
	struct evhttp_bound_socket *sock;
	SSL_CTX *tls;
};

static struct bufferevent *new_bev(struct event_base *base, void *arg)
{
	struct test_https *s = arg;

	return bufferevent_openssl_socket_new(base, -1, SSL_new(s->tls), BUFFEREVENT_SSL_ACCEPTING,
	                                      BEV_OPT_CLOSE_ON_FREE);
}

struct test_https *test_https_new(struct event_base *base, const char *cert_pem, const char *key_pem,
                                  void (*on_request)(struct evhttp_request *req, void *ctx), void *ctx)
{
	struct test_https *s = calloc(1, sizeof(*s));
	BIO *cert = BIO_new_mem_buf(cert_pem, -1), *key = BIO_new_mem_buf(key_pem, -1);
	X509 *x = PEM_read_bio_X509(cert, NULL, NULL, NULL);
	EVP_PKEY *k = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);

	s->base = base;
	s->tls = SSL_CTX_new(TLS_server_method());
	SSL_CTX_use_certificate(s->tls, x);
	SSL_CTX_use_PrivateKey(s->tls, k);
	s->http = evhttp_new(base);
	evhttp_set_bevcb(s->http, new_bev, s);
	evhttp_set_gencb(s->http, on_request, ctx);
	X509_free(x);
	EVP_PKEY_free(k);
	BIO_free(cert);
	BIO_free(key);
	return s;
}

uint16_t test_https_listen(struct test_https *s, uint16_t port)
{
	struct sockaddr_in sin = {0};
	socklen_t n = sizeof(sin);

	s->sock = evhttp_bind_socket_with_handle(s->http, "0.0.0.0", port);
	if (s->sock == NULL)
		return 0;
	getsockname(evhttp_bound_socket_get_fd(s->sock), (struct sockaddr *)&sin, &n);
	return ntohs(sin.sin_port);
}

void test_https_stop(struct test_https *s)
{
	if (s->sock != NULL)
		evhttp_del_accept_socket(s->http, s->sock);
	s->sock = NULL;
}

void test_https_free(struct test_https *s)
{
	evhttp_free(s->http);
	SSL_CTX_free(s->tls);
	free(s);
}

void test_https_reply(struct evhttp_request *req, int status, const char *body)
{
	struct evbuffer *buf = evbuffer_new();

	evbuffer_add(buf, body, strlen(body));
	evhttp_send_reply(req, status, "test", buf);
	evbuffer_free(buf);
}
