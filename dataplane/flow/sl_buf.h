/*
 * What the flows of one worker keep bytes in: buffers of two sizes, and pieces of queues, from free lists
 * that only ever grow to a bound. A flow takes a small buffer when bytes have to be kept and gives it back
 * when none are left; a large one only while a message that must be read whole does not fit a small one.
 * Bytes that nobody changes stay in the mbufs that they came in: what these flows pin of them together has
 * its bound here. One thread.
 */
#ifndef SL_BUF_H
#define SL_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A record of TLS, and the longest message of a login: without one nobody takes a large buffer. */
#define SL_BUF_SMALL (17 * 1024)
/* Pieces of queues that there may be, for each small buffer. */
#define SL_BUF_PIECES 8

struct sl_buf {
	struct sl_buf *next;
	size_t cap;
	size_t from, to; /* the bytes in use */
	size_t high;     /* bytes that were ever written since it was taken */
	uint32_t users;  /* pieces of a queue that lie in it */
	uint8_t data[];
};

struct sl_buf_pool;
struct sl_queue_piece;

/* Small buffers for so many sessions: when half of them are taken by those that hold as much as they may, six
 * are left for each (both input buffers, and two in both queues); and twice a message, however few there may
 * be. */
static inline uint32_t sl_buf_wanted(uint32_t sessions, size_t message_max)
{
	return 12 * sessions + 2 * (uint32_t)(message_max / SL_BUF_SMALL) + 64;
}

/*
 * large: bytes of a large buffer. max_pinned: of mbufs that flows hold by reference, by true size; 0: none
 * is, all is copied. The other bounds are counts. NULL when out of memory.
 */
struct sl_buf_pool *sl_buf_pool_new(size_t large, uint32_t max_small, uint32_t max_large, size_t max_pinned);
void sl_buf_pool_free(struct sl_buf_pool *p);
/* Empty; NULL at the bound or out of memory: the caller waits. */
struct sl_buf *sl_buf_small(struct sl_buf_pool *p);
struct sl_buf *sl_buf_large(struct sl_buf_pool *p);
/* Clears the bytes that were used (they may hold secrets), and keeps it for later. NULL is fine. */
void sl_buf_put(struct sl_buf_pool *p, struct sl_buf *b);
/* Small buffers that can still be had. */
uint32_t sl_buf_left(const struct sl_buf_pool *p);
/* Fewer than half of them can: nobody is to keep many. */
bool sl_buf_short(const struct sl_buf_pool *p);
/* Enough of them can for what becomes of so many bytes. */
bool sl_buf_for(const struct sl_buf_pool *p, size_t bytes);
/* All large ones are taken. */
bool sl_buf_no_large(const struct sl_buf_pool *p);
/* Buffers taken and not given back. */
uint32_t sl_buf_in_use(const struct sl_buf_pool *p);

/* A piece, not cleared. NULL at the bound or out of memory. */
struct sl_queue_piece *sl_buf_piece(struct sl_buf_pool *p);
void sl_buf_piece_put(struct sl_buf_pool *p, struct sl_queue_piece *e);
/* An mbuf of that size is held from now on, by one more piece. False: that would be too much. */
bool sl_buf_pin(struct sl_buf_pool *p, size_t bytes);
void sl_buf_unpin(struct sl_buf_pool *p, size_t bytes);
size_t sl_buf_pinned(const struct sl_buf_pool *p);

/* n more bytes were written at data + to. */
static inline void sl_buf_grew(struct sl_buf *b, size_t n)
{
	b->to += n;
	if (b->to > b->high)
		b->high = b->to;
}

static inline size_t sl_buf_len(const struct sl_buf *b)
{
	return b->to - b->from;
}

#endif
