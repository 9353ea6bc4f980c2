/*
 * TLS 1.2 and 1.3 (RFC 5246, RFC 8446) by OpenSSL 3 over memory: no sockets, no blocking. A context belongs
 * to a listener or to a target; a session belongs to one leg of a flow and to its worker.
 *
 * A context may be shared by threads once made. A session may not.
 */
#ifndef SL_TLS_H
#define SL_TLS_H

#include <stdbool.h>
#include <stdint.h>

#include "sl_err.h"
#include "sl_span.h"

struct sl_tls_ctx;
struct sl_tls;

struct sl_tls_server_cfg {
	const char *cert_file; /* PEM chain */
	const char *key_file;  /* PEM */
	const char *alpn; /* one protocol name that is offered and, where the client sends ALPN, required; or
	                     NULL */
};

enum sl_tls_verify {
	SL_TLS_VERIFY_FULL, /* chain and name: the default */
	SL_TLS_VERIFY_CA,   /* chain only */
	SL_TLS_VERIFY_NONE, /* only when the resource says so in clear words */
};

struct sl_tls_client_cfg {
	enum sl_tls_verify verify;
	const char *ca_pem;      /* PEM text of the accepted roots; NULL: the system's */
	const char *server_name; /* name or IP literal that is verified and, for a name, sent as SNI */
	const char *cert_pem;    /* client certificate and key as PEM text, or NULL */
	const char *key_pem;
	const char *alpn; /* one protocol name that is offered; or NULL */
};

/*
 * Make a context; owned by the caller. 0; SL_E_TLS_CONFIG with the reason in err. TLS 1.2 at least, no
 * compression, no renegotiation, no 0-RTT; session tickets only within one context. Management core.
 */
int sl_tls_server_new(const struct sl_tls_server_cfg *cfg, struct sl_tls_ctx **out, char *err,
                      size_t err_cap);
int sl_tls_client_new(const struct sl_tls_client_cfg *cfg, struct sl_tls_ctx **out, char *err,
                      size_t err_cap);
/* Frees when the last session is gone. */
void sl_tls_ctx_free(struct sl_tls_ctx *ctx);

/* A session on a context; NULL when out of memory. Worker. */
struct sl_tls *sl_tls_new(struct sl_tls_ctx *ctx);
void sl_tls_free(struct sl_tls *t);

/*
 * Gives bytes from the wire to the session. They are taken whole (kept until read). 0, or < 0: SL_E_LIMIT
 * when more than SL_TLS_WIRE_MAX would be kept, so read first; the session is not harmed.
 */
#define SL_TLS_WIRE_MAX (64 * 1024)
int sl_tls_wire_in(struct sl_tls *t, struct sl_span bytes);
/* Room left for sl_tls_wire_in(). */
size_t sl_tls_wire_room(const struct sl_tls *t);
/* The bytes that wait to go on the wire; the span is good until the next call on t. */
struct sl_span sl_tls_wire_out(struct sl_tls *t);
/* n of them have gone. */
void sl_tls_wire_sent(struct sl_tls *t, size_t n);

/*
 * Goes on with the handshake. 0 done, SL_MORE needs bytes from the peer, < 0 failed (SL_E_TLS_HANDSHAKE,
 * SL_E_TLS_VERIFY; an alert may wait in wire_out).
 */
int sl_tls_handshake(struct sl_tls *t);
bool sl_tls_is_open(const struct sl_tls *t);

/*
 * Reads clear bytes into buf. > 0 count, 0 none now, -1: *err is SL_CLOSED (close_notify) or < 0
 * (SL_E_TLS_RECORD; SL_E_TLS_IDLE: of records that carry no data, such as key updates, and messages in them
 * the peer may send 128 before data, and one more for each 64 KiB of data, its or ours).
 */
long sl_tls_read(struct sl_tls *t, uint8_t *buf, size_t cap, int *err);
/* Encrypts all bytes into wire_out. 0, or < 0. The caller bounds what waits in wire_out. */
int sl_tls_write(struct sl_tls *t, struct sl_span bytes);
/* Queues close_notify. */
void sl_tls_shutdown(struct sl_tls *t);

/* For records: "TLSv1.3", the cipher's name, the ALPN protocol ("" when none), the last error's text (no
 * secrets). */
const char *sl_tls_version(const struct sl_tls *t);
const char *sl_tls_cipher(const struct sl_tls *t);
const char *sl_tls_alpn(const struct sl_tls *t);
const char *sl_tls_error(const struct sl_tls *t);

/*
 * tls-server-end-point (RFC 5929, section 4): the hash of the server's certificate, the same on both ends.
 * Returns its bytes; 0 while the session is not open, and for a certificate whose signature has no hash of
 * its own (Ed25519), for which the binding is not defined.
 */
#define SL_TLS_END_POINT_MAX 64
size_t sl_tls_end_point(const struct sl_tls *t, uint8_t out[SL_TLS_END_POINT_MAX]);

#endif
