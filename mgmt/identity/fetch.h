/*
 * One HTTPS GET on the event loop (libevent's HTTP client over OpenSSL): the server's certificate is verified
 * against the given roots and the URL's host; redirects are not followed; answer, time and headers are
 * bounded. The management thread.
 */
#ifndef MG_FETCH_H
#define MG_FETCH_H

#include <event2/dns.h>
#include <event2/event.h>
#include <openssl/ssl.h>

#include "sl_err.h"
#include "sl_span.h"

#define MG_FETCH_BODY_MAX   (256 * 1024)
#define MG_FETCH_HEADER_MAX (16 * 1024)
#define MG_FETCH_TIMEOUT_S  5 /* from the start to the last byte */
#define MG_FETCH_URL_MAX    1024

struct mg_fetch;

/* err 0: status was 200 and body is the answer; SL_E_IDP_DOWN else. The fetch is gone when it is called. */
typedef void (*mg_fetch_fn)(void *ctx, int err, struct sl_span body);

/* A client context: TLS 1.2 at least, verification on. ca_pem: accepted roots as PEM text; NULL: the
 * system's. NULL on error. */
SSL_CTX *mg_fetch_tls(const char *ca_pem);

/* True for an absolute https URL with a host and without user information or fragment. */
bool mg_fetch_url_ok(const char *url);

/* Starts; fn is called later from the loop, never from here. SL_E_INVAL (URL), SL_E_NOMEM, SL_E_IDP_DOWN. */
int mg_fetch_start(struct event_base *base, struct evdns_base *dns, SSL_CTX *tls, const char *url,
                   mg_fetch_fn fn, void *ctx, struct mg_fetch **out);
/* Ends it without a call of fn. */
void mg_fetch_cancel(struct mg_fetch *f);

#endif
