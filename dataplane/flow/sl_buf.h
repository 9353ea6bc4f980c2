/*
 * Buffers of two sizes for the flows of one worker, from free lists that only ever grow to a bound. A flow
 * takes a small one when bytes come and gives it back when none are left; a large one only while a message
 * that must be read whole does not fit a small one. One thread.
 */
#ifndef SL_BUF_H
#define SL_BUF_H

#include <stddef.h>
#include <stdint.h>

#define SL_BUF_SMALL (16 * 1024)

struct sl_buf {
	struct sl_buf *next;
	size_t cap;
	size_t from, to; /* the bytes in use */
	size_t high;     /* bytes that were ever written since it was taken */
	uint8_t data[];
};

struct sl_buf_pool;

/* large: bytes of a large buffer. The bounds are counts. NULL when out of memory. */
struct sl_buf_pool *sl_buf_pool_new(size_t large, uint32_t max_small, uint32_t max_large);
void sl_buf_pool_free(struct sl_buf_pool *p);
/* Empty; NULL at the bound or out of memory: the caller waits. */
struct sl_buf *sl_buf_small(struct sl_buf_pool *p);
struct sl_buf *sl_buf_large(struct sl_buf_pool *p);
/* Clears the bytes that were used (they may hold secrets), and keeps it for later. NULL is fine. */
void sl_buf_put(struct sl_buf_pool *p, struct sl_buf *b);
/* Buffers taken and not given back. */
uint32_t sl_buf_in_use(const struct sl_buf_pool *p);

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
