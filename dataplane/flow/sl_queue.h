/*
 * Bytes that wait to go to one side of a flow, in order. They lie in two kinds of places: copied, in buffers
 * of the worker's pool; or by reference, in the mbufs that they came in. A queue holds one reference of such
 * an mbuf per piece and gives it back when the piece has gone or is dropped; nobody may change the bytes
 * meanwhile.
 *
 * Memory: bytes are bounded by whoever puts them in. What references pin is counted by the true size of the
 * mbufs, against SL_QUEUE_PINNED_MAX for a queue and the pool's bound for all; over either, and for short
 * pieces, sl_queue_ref() takes nothing and the bytes are to be copied.
 *
 * Shown bytes: the flow shows what goes to the client to its recorder. A queue knows which bytes at its end
 * have not been shown; sl_queue_write() never writes those when it is given sl_queue_shown() as its limit.
 */
#ifndef SL_QUEUE_H
#define SL_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sl_buf.h"
#include "sl_stream.h"

#define SL_QUEUE_REF_MIN    256          /* bytes; for fewer a copy is cheaper than what the mbuf pins */
#define SL_QUEUE_PINNED_MAX (768 * 1024) /* true size of mbufs that one queue holds */

struct sl_queue_piece {
	struct sl_queue_piece *next;
	const uint8_t *p;
	size_t n;
	struct sl_buf *buf; /* where they lie: in a buffer, */
	struct rte_mbuf *m; /* or in an mbuf */
};

/* Zeroed memory is an empty queue. */
struct sl_queue {
	struct sl_queue_piece *head, *tail;
	struct sl_buf *fill;          /* the buffer that is written behind */
	size_t bytes, pinned;         /* pinned: buf_len of the mbufs of all pieces */
	size_t unseen;                /* bytes at the end that were not shown */
	struct sl_queue_piece *shown; /* the last piece that was; NULL: all in the queue is unseen */
	const uint8_t *shown_to;      /* up to here */
};

/* Copies. 0; SL_E_NOMEM: some of it is in, the flow must end. */
int sl_queue_copy(struct sl_queue *q, struct sl_buf_pool *pool, struct sl_span bytes);
/* Takes its own reference of m, in whose data the bytes lie. False: nothing was taken, copy them. */
bool sl_queue_ref(struct sl_queue *q, struct sl_buf_pool *pool, struct rte_mbuf *m, struct sl_span bytes);
/* Writes the first bytes, at most `limit`, to a stream. Returns how many it took. */
size_t sl_queue_write(struct sl_queue *q, struct sl_buf_pool *pool, struct sl_stream to, uint64_t limit);
/* Shows what was not shown, in order. 0, or < 0 of show(), behind which nothing more counts as shown. */
int sl_queue_show(struct sl_queue *q, int (*show)(void *ctx, struct sl_span bytes), void *ctx);
/* Empties it. */
void sl_queue_drop(struct sl_queue *q, struct sl_buf_pool *pool);

static inline size_t sl_queue_shown(const struct sl_queue *q)
{
	return q->bytes - q->unseen;
}

#endif
