/*
 * TLS as a stream on top of another stream. Bytes in: the stream below -> TLS -> read(); bytes out: write()
 * -> TLS -> the stream below. Bounded: while more than SL_LAYER_TLS_OUT bytes of records wait for the stream
 * below, write() takes nothing.
 */
#ifndef SL_LAYER_TLS_H
#define SL_LAYER_TLS_H

#include "sl_stream.h"
#include "sl_tls.h"

#define SL_LAYER_TLS_OUT (64 * 1024)

/*
 * Puts TLS on `below` (which the layer uses from now on and does not own). 0 and *out; SL_E_NOMEM. The
 * context is used only while a session is made. The handshake runs in pump().
 */
int sl_layer_tls_new(struct sl_tls_ctx *ctx, struct sl_stream below, struct sl_stream *out);
/*
 * For TLS that begins with the connection: `early` is what was taken from the stream below already, and a
 * handshake that does not agree on the context's ALPN name fails (SL_E_TLS_ALPN). Before the first pump. 0;
 * SL_E_LIMIT.
 */
int sl_layer_tls_direct(struct sl_stream s, struct sl_span early);
/* The session, for its version and cipher; NULL when s is no TLS stream. */
const struct sl_tls *sl_layer_tls_session(struct sl_stream s);

#endif
