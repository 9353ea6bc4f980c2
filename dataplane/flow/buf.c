#include "sl_buf.h"

#include <stdlib.h>

#include "sl_queue.h"
#include "sl_secret.h"

/* Beside what a message has itself: the new values of a row under masks, for example. */
#define BUF_MORE 16

struct size_class {
	size_t cap;
	uint32_t nb_made, nb_used, max;
	struct sl_buf *free;
};

struct sl_buf_pool {
	struct size_class small, large;
	uint32_t in_use;
	uint32_t nb_pieces, nb_pieces_used, max_pieces; /* made, taken, and may be */
	struct sl_queue_piece *free_pieces;
	size_t pinned, max_pinned;
};

struct sl_buf_pool *sl_buf_pool_new(size_t large, uint32_t max_small, uint32_t max_large, size_t max_pinned)
{
	struct sl_buf_pool *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->small = (struct size_class){.cap = SL_BUF_SMALL, .max = max_small};
	p->large = (struct size_class){.cap = large, .max = max_large};
	p->max_pieces = max_small < UINT32_MAX / SL_BUF_PIECES ? SL_BUF_PIECES * max_small : UINT32_MAX;
	p->max_pinned = max_pinned;
	return p;
}

static void class_free(struct size_class *c)
{
	while (c->free != NULL) {
		struct sl_buf *b = c->free;

		c->free = b->next;
		free(b);
	}
}

void sl_buf_pool_free(struct sl_buf_pool *p)
{
	if (p == NULL)
		return;
	class_free(&p->small);
	class_free(&p->large);
	while (p->free_pieces != NULL) {
		struct sl_queue_piece *e = p->free_pieces;

		p->free_pieces = e->next;
		free(e);
	}
	free(p);
}

/* Grows by one at a time up to the bound: a worker that has warmed up never allocates. */
static struct sl_buf *class_get(struct sl_buf_pool *p, struct size_class *c)
{
	struct sl_buf *b = c->free;

	if (b != NULL) {
		c->free = b->next;
	} else {
		if (c->nb_made == c->max)
			return NULL;
		b = malloc(sizeof(*b) + c->cap);
		if (b == NULL)
			return NULL;
		c->nb_made++;
		b->cap = c->cap;
	}
	b->next = NULL;
	b->from = b->to = b->high = 0;
	b->users = 0;
	c->nb_used++;
	p->in_use++;
	return b;
}

struct sl_buf *sl_buf_small(struct sl_buf_pool *p)
{
	return class_get(p, &p->small);
}

struct sl_buf *sl_buf_large(struct sl_buf_pool *p)
{
	return class_get(p, &p->large);
}

void sl_buf_put(struct sl_buf_pool *p, struct sl_buf *b)
{
	struct size_class *c;

	if (b == NULL)
		return;
	c = b->cap == p->small.cap ? &p->small : &p->large;
	sl_cleanse(b->data, b->high);
	b->next = c->free;
	c->free = b;
	c->nb_used--;
	p->in_use--;
}

uint32_t sl_buf_left(const struct sl_buf_pool *p)
{
	return p->small.max - p->small.nb_used;
}

bool sl_buf_short(const struct sl_buf_pool *p)
{
	return sl_buf_left(p) < p->small.max / 2;
}

bool sl_buf_for(const struct sl_buf_pool *p, size_t bytes)
{
	uint32_t more = p->small.max / 8 < BUF_MORE ? p->small.max / 8 : BUF_MORE;

	return sl_buf_left(p) >= bytes / SL_BUF_SMALL + 2 + more;
}

bool sl_buf_no_large(const struct sl_buf_pool *p)
{
	return p->large.nb_used == p->large.max;
}

uint32_t sl_buf_in_use(const struct sl_buf_pool *p)
{
	return p->in_use;
}

struct sl_queue_piece *sl_buf_piece(struct sl_buf_pool *p)
{
	struct sl_queue_piece *e = p->free_pieces;

	if (e != NULL) {
		p->free_pieces = e->next;
	} else if (p->nb_pieces < p->max_pieces) {
		e = malloc(sizeof(*e));
		p->nb_pieces += e != NULL;
	}
	p->nb_pieces_used += e != NULL;
	return e;
}

void sl_buf_piece_put(struct sl_buf_pool *p, struct sl_queue_piece *e)
{
	e->next = p->free_pieces;
	p->free_pieces = e;
	p->nb_pieces_used--;
}

bool sl_buf_pin(struct sl_buf_pool *p, size_t bytes)
{
	/* Copies take few pieces: those are left to them. */
	if (bytes > p->max_pinned - p->pinned || p->nb_pieces_used >= p->max_pieces / 2)
		return false;
	p->pinned += bytes;
	return true;
}

void sl_buf_unpin(struct sl_buf_pool *p, size_t bytes)
{
	p->pinned -= bytes;
}

size_t sl_buf_pinned(const struct sl_buf_pool *p)
{
	return p->pinned;
}
