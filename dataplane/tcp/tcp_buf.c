/* Buffer memory: a pool of 4 KiB chunks shared by all connections of a stack, and the byte rings made of
 * them. */
#include <stdlib.h>

#include "tcp_priv.h"

static bool pool_grow(struct tcp_chunk_pool *p)
{
	uint64_t room = p->nb_max - p->nb_made;
	uint32_t n = room < TCP_CHUNK_SLAB ? (uint32_t)room : TCP_CHUNK_SLAB;
	struct tcp_slab *slab;
	uint8_t *mem;

	if (n == 0)
		return false;
	slab = malloc(sizeof(*slab) + (size_t)n * TCP_CHUNK_BYTES);
	if (slab == NULL)
		return false;
	slab->next = p->slabs;
	p->slabs = slab;
	mem = (uint8_t *)(slab + 1);
	for (uint32_t i = 0; i < n; i++, mem += TCP_CHUNK_BYTES) {
		memcpy(mem, &p->free, sizeof(p->free));
		p->free = mem;
	}
	p->nb_made += n;
	return true;
}

static uint8_t *chunk_take(struct tcp_chunk_pool *p)
{
	uint8_t *c;

	if (p->free == NULL && !pool_grow(p))
		return NULL;
	c = p->free;
	memcpy(&p->free, c, sizeof(p->free));
	p->nb_used++;
	return c;
}

static void chunk_give(struct tcp_chunk_pool *p, uint8_t *c)
{
	memcpy(c, &p->free, sizeof(p->free));
	p->free = c;
	p->nb_used--;
}

void tcp_buf_fini(struct sl_tcp *t)
{
	while (t->chunks.slabs != NULL) {
		struct tcp_slab *s = t->chunks.slabs;

		t->chunks.slabs = s->next;
		free(s);
	}
}

bool tcp_pressure(const struct sl_tcp *t)
{
	return tcp_mem_used(t) >= t->cfg.max_total_bytes / 4 * 3;
}

/* One more for a start in the middle of a chunk, one for the window's rounding up to its scale. */
uint32_t tcp_ring_slots(uint32_t buf_bytes)
{
	return (buf_bytes + TCP_CHUNK_BYTES - 1) / TCP_CHUNK_BYTES +
	       (1U << TCP_WND_SHIFT_MAX) / TCP_CHUNK_BYTES / 4 + 1;
}

static uint8_t **slot_of(const struct tcp_ring *r, uint64_t off)
{
	return &r->map[off / TCP_CHUNK_BYTES % r->nb_slots];
}

/*
 * When memory is short a stream that holds some takes no more: the last quarter is for streams that hold
 * nothing, so that each direction of each connection can move.
 */
static bool may_take(const struct sl_tcp *t, const struct tcp_ring *r)
{
	return r->top == r->head || !tcp_pressure(t);
}

uint32_t tcp_ring_put(struct sl_tcp *t, struct tcp_ring *r, uint64_t off, const uint8_t *p, uint32_t n)
{
	uint32_t done = 0;

	while (done < n) {
		uint32_t at = (uint32_t)(off % TCP_CHUNK_BYTES);
		uint32_t part = u32_min(n - done, TCP_CHUNK_BYTES - at);
		uint8_t **slot = slot_of(r, off);

		if (off / TCP_CHUNK_BYTES - r->head / TCP_CHUNK_BYTES >= r->nb_slots)
			break;
		if (*slot == NULL && may_take(t, r) &&
		    tcp_mem_used(t) + TCP_CHUNK_BYTES <= t->cfg.max_total_bytes)
			*slot = chunk_take(&t->chunks);
		if (*slot == NULL)
			break;
		memcpy(*slot + at, p + done, part);
		done += part;
		off += part;
		if (off > r->top)
			r->top = off;
	}
	return done;
}

void tcp_ring_get(const struct tcp_ring *r, uint64_t off, uint8_t *p, uint32_t n)
{
	while (n > 0) {
		uint32_t at = (uint32_t)(off % TCP_CHUNK_BYTES);
		uint32_t part = u32_min(n, TCP_CHUNK_BYTES - at);

		memcpy(p, *slot_of(r, off) + at, part);
		p += part;
		off += part;
		n -= part;
	}
}

void tcp_ring_drop(struct sl_tcp *t, struct tcp_ring *r, uint64_t new_head)
{
	uint64_t first = r->head / TCP_CHUNK_BYTES, keep = new_head / TCP_CHUNK_BYTES;

	/* An empty ring keeps nothing, not even the chunk that it stands in the middle of. */
	if (new_head == r->top && new_head % TCP_CHUNK_BYTES != 0)
		keep++;
	r->head = new_head;
	for (uint64_t i = first; i < keep; i++) {
		uint8_t **slot = &r->map[i % r->nb_slots];

		if (*slot != NULL)
			chunk_give(&t->chunks, *slot);
		*slot = NULL;
	}
}

void tcp_ring_cut(struct sl_tcp *t, struct tcp_ring *r)
{
	uint64_t i = r->tail / TCP_CHUNK_BYTES, last = r->top / TCP_CHUNK_BYTES;

	if (r->tail % TCP_CHUNK_BYTES != 0 && r->tail != r->head)
		i++;
	for (; i <= last; i++) {
		uint8_t **slot = &r->map[i % r->nb_slots];

		if (*slot != NULL)
			chunk_give(&t->chunks, *slot);
		*slot = NULL;
	}
	r->top = r->tail;
}

void tcp_ring_clear(struct sl_tcp *t, struct tcp_ring *r)
{
	for (uint32_t i = 0; i < r->nb_slots; i++) {
		if (r->map[i] != NULL)
			chunk_give(&t->chunks, r->map[i]);
		r->map[i] = NULL;
	}
	r->head = r->top = r->tail;
}
