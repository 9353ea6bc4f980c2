/*
 * A ring of block pointers with one producer and one consumer. It is as large as the number of blocks there
 * are, so a push always finds room.
 *
 * Memory order. The producer writes the slot, then stores tail with release; the consumer loads tail with
 * acquire and so sees the slot and the block behind it. The consumer reads the slot, then stores head with
 * release; the producer loads head with acquire before it writes that slot again. Each side owns one index
 * and reads it relaxed.
 */
#ifndef SL_STORE_RING_H
#define SL_STORE_RING_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#include "sl_store.h"

#define CACHE_LINE 64

struct store_ring {
	alignas(CACHE_LINE) _Atomic uint32_t tail; /* of the producer */
	alignas(CACHE_LINE) _Atomic uint32_t head; /* of the consumer */
	alignas(CACHE_LINE) uint32_t mask;
	struct sl_block **slot;
};

static inline void store_ring_push(struct store_ring *r, struct sl_block *b)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	/* Pairs with the release of head: that slot was read before it is written again. */
	(void)atomic_load_explicit(&r->head, memory_order_acquire);
	r->slot[tail & r->mask] = b;
	atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
}

static inline struct sl_block *store_ring_pop(struct store_ring *r)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	struct sl_block *b;

	if (head == atomic_load_explicit(&r->tail, memory_order_acquire))
		return NULL;
	b = r->slot[head & r->mask];
	atomic_store_explicit(&r->head, head + 1, memory_order_release);
	return b;
}

/* Exact for either side about its own end; a moment old about the other's. */
static inline uint32_t store_ring_count(const struct store_ring *r)
{
	return atomic_load_explicit(&r->tail, memory_order_acquire) -
	       atomic_load_explicit(&r->head, memory_order_acquire);
}

#endif
