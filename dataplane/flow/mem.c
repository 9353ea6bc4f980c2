#include "sl_mem.h"

#include <stdlib.h>

#include "sl_secret.h"

/* Four sizes for each doubling from 2^MIN_SHIFT on: a block is at most a quarter larger than what was asked
 * for. */
#define MIN_SHIFT  7
#define MAX_SHIFT  20
#define STEPS      4
#define NB_CLASSES ((MAX_SHIFT - MIN_SHIFT) * STEPS + 1)

_Static_assert(SL_MEM_BLOCK_MAX == 1 << MAX_SHIFT, "the largest class");

struct block {
	struct block *next;
};

struct sl_mem {
	size_t max, made, used;
	struct block *free[NB_CLASSES];
};

static size_t class_size(unsigned int class)
{
	unsigned int shift = MIN_SHIFT + class / STEPS;

	return ((size_t)1 << shift) + (class % STEPS) * ((size_t)1 << shift) / STEPS;
}

/* The smallest class that holds so many bytes; they are at most SL_MEM_BLOCK_MAX. */
static unsigned int class_of(size_t bytes)
{
	unsigned int shift, step;

	if (bytes <= (size_t)1 << MIN_SHIFT)
		return 0;
	shift = 63 - (unsigned int)__builtin_clzll(bytes - 1);
	step = (unsigned int)((bytes - 1 - ((size_t)1 << shift)) / (((size_t)1 << shift) / STEPS)) + 1;
	return (shift - MIN_SHIFT) * STEPS + step;
}

struct sl_mem *sl_mem_new(size_t max_bytes)
{
	struct sl_mem *m = calloc(1, sizeof(*m));

	if (m != NULL)
		m->max = max_bytes;
	return m;
}

static void free_one(struct sl_mem *m, unsigned int class)
{
	struct block *b = m->free[class];

	m->free[class] = b->next;
	m->made -= class_size(class);
	free(b);
}

void sl_mem_free(struct sl_mem *m)
{
	if (m == NULL)
		return;
	for (unsigned int i = 0; i < NB_CLASSES; i++)
		while (m->free[i] != NULL)
			free_one(m, i);
	free(m);
}

/* Kept blocks of other sizes make room, the largest first. */
static void make_room(struct sl_mem *m, size_t size)
{
	for (unsigned int i = NB_CLASSES; i-- > 0 && size > m->max - m->made;)
		while (m->free[i] != NULL && size > m->max - m->made)
			free_one(m, i);
}

void *sl_mem_take(struct sl_mem *m, size_t bytes)
{
	unsigned int class;
	struct block *b;
	size_t size;

	if (bytes > SL_MEM_BLOCK_MAX)
		return NULL;
	class = class_of(bytes);
	size = class_size(class);
	b = m->free[class];
	if (b != NULL) {
		m->free[class] = b->next;
		m->used += size;
		return b;
	}
	if (size > m->max - m->made)
		make_room(m, size);
	if (size > m->max - m->made)
		return NULL;
	b = malloc(size);
	if (b == NULL)
		return NULL;
	m->made += size;
	m->used += size;
	return b;
}

void sl_mem_give(struct sl_mem *m, void *p, size_t bytes)
{
	struct block *b = p;
	unsigned int class;

	if (b == NULL)
		return;
	class = class_of(bytes);
	sl_cleanse(b, bytes);
	m->used -= class_size(class);
	b->next = m->free[class];
	m->free[class] = b;
}

size_t sl_mem_size(size_t bytes)
{
	return bytes > SL_MEM_BLOCK_MAX ? 0 : class_size(class_of(bytes));
}

size_t sl_mem_used(const struct sl_mem *m)
{
	return m->used;
}

size_t sl_mem_made(const struct sl_mem *m)
{
	return m->made;
}
