/* For tests: an HTTPS server on 127.0.0.1 in the test's own event loop, made of libevent's server and
 * OpenSSL. */
#ifndef MG_TEST_HTTPS_H
#define MG_TEST_HTTPS_H

#include <event2/event.h>
#include <event2/http.h>

struct test_https;

struct test_https *test_https_new(struct event_base *base, const char *cert_pem, const char *key_pem,
                                  void (*on_request)(struct evhttp_request *req, void *ctx), void *ctx);
/* Port 0 takes any; else the same again, after a stop. */
uint16_t test_https_listen(struct test_https *s, uint16_t port);
void test_https_stop(struct test_https *s); /* closes the listener: connections are refused */
void test_https_free(struct test_https *s);
void test_https_reply(struct evhttp_request *req, int status, const char *body);

#endif
