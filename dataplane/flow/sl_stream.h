/*
 * A stream of bytes to and from one peer: TCP, or a layer on top of one (TLS). What a flow's leg is made of.
 * A layer takes a stream and is a stream, so that layers stack. All calls from the worker that owns the flow;
 * nothing blocks.
 */
#ifndef SL_STREAM_H
#define SL_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "sl_err.h"
#include "sl_span.h"
#include "sl_tcp.h"

struct sl_stream {
	const struct sl_stream_ops *ops; /* NULL: no stream */
	void *st;
};

struct sl_stream_ops {
	/* Goes on with what the layer itself has to do (a handshake, bytes that wait below). SL_OK open;
	 * SL_MORE not open yet; < 0 dead. */
	int (*pump)(void *st);
	/* Reads into buf. > 0 count; 0 none now; -1 ended: *end is SL_CLOSED (in order) or < 0. */
	long (*read)(void *st, uint8_t *buf, size_t cap, int *end);
	/* Takes a prefix of bytes; returns its length. */
	size_t (*write)(void *st, struct sl_span bytes);
	/* Nothing will be written any more; what was is still sent. */
	void (*shutdown)(void *st);
	/* Nothing will be read any more: what has come is thrown away, so that closing is no reset. */
	void (*discard)(void *st);
	/* Frees the layer's own state, not the stream below. */
	void (*free)(void *st);
	/*
	 * A stream whose bytes lie in mbufs as they came, and go as they are (TCP with no layer on it), has
	 * these three as well; in others they are NULL. They and read() and write() may be mixed.
	 */
	/* As sl_tcp_peek_pieces(): > 0 how many; 0 and -1 as of read(). */
	long (*peek)(void *st, struct sl_tcp_piece *v, uint32_t nb, int *end);
	/* n bytes are done with. */
	void (*consume)(void *st, size_t n);
	/* As sl_tcp_write_piece(). */
	size_t (*write_piece)(void *st, const struct sl_tcp_piece *p);
};

/* The lowest stream: a TCP connection, which the stream does not own. */
struct sl_stream sl_stream_tcp(struct sl_tcp_conn *c);

#endif
