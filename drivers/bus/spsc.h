/*
 * A bounded single-producer single-consumer queue of pointers between two threads. Folder-private.
 *
 * Memory order. `tail` counts what was ever pushed and is written by the producer alone; `head` counts what
 * was ever popped and is written by the consumer alone. Both run freely and wrap; tail - head is the fill.
 *
 * - Push writes the slot, then stores tail with release. Pop loads tail with acquire, then reads the slot. So
 * the consumer that sees the new tail sees the slot and everything that the producer wrote before the push:
 * the message behind the pointer too, which is how ownership of it moves.
 * - Pop reads the slot, then stores head with release. Push loads head with acquire before it writes the
 * slot. So the producer cannot overwrite a slot that the consumer may still be reading.
 * - Each side reads its own counter relaxed: no other thread writes it.
 * - Each side keeps its last view of the other's counter and reads the shared line again only when that view
 * says full or empty. A stale view errs on the safe side: the queue seems fuller to the producer and emptier
 * to the consumer than it is.
 */
#ifndef SL_BUS_SPSC_H
#define SL_BUS_SPSC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define SPSC_LINE 64 /* cache line: the two sides must not share one */

struct spsc {
	_Alignas(SPSC_LINE) void **slot;
	uint32_t mask;
	_Alignas(SPSC_LINE) _Atomic uint32_t tail;
	uint32_t head_seen; /* producer's view of head */
	_Alignas(SPSC_LINE) _Atomic uint32_t head;
	uint32_t tail_seen; /* consumer's view of tail */
};

/* size: power of two. False when out of memory. The queue must be zeroed before. */
static inline bool spsc_init(struct spsc *q, uint32_t size)
{
	q->slot = calloc(size, sizeof(*q->slot));
	q->mask = size - 1;
	return q->slot != NULL;
}

static inline void spsc_fini(struct spsc *q)
{
	free(q->slot);
	q->slot = NULL;
}

/* Producer. False: full. */
static inline bool spsc_push(struct spsc *q, void *p)
{
	uint32_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);

	if (tail - q->head_seen > q->mask) {
		q->head_seen = atomic_load_explicit(&q->head, memory_order_acquire);
		if (tail - q->head_seen > q->mask)
			return false;
	}
	q->slot[tail & q->mask] = p;
	atomic_store_explicit(&q->tail, tail + 1, memory_order_release);
	return true;
}

/* Consumer. NULL: empty. */
static inline void *spsc_pop(struct spsc *q)
{
	uint32_t head = atomic_load_explicit(&q->head, memory_order_relaxed);
	void *p;

	if (head == q->tail_seen) {
		q->tail_seen = atomic_load_explicit(&q->tail, memory_order_acquire);
		if (head == q->tail_seen)
			return NULL;
	}
	p = q->slot[head & q->mask];
	atomic_store_explicit(&q->head, head + 1, memory_order_release);
	return p;
}

#endif
