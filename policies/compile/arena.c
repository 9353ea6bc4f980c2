#include <stdlib.h>
#include <string.h>

#include "compile_priv.h"

#define BLOCK_BYTES 16384

struct block {
	struct block *next;
	size_t used, size;
	max_align_t bytes[];
};

struct cp_arena {
	struct block *blocks;
};

struct cp_arena *cp_arena_new(void)
{
	return calloc(1, sizeof(struct cp_arena));
}

void *cp_take(struct cp_arena *a, size_t n)
{
	size_t need = (n + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
	struct block *k = a->blocks;
	void *p;

	if (k == NULL || k->size - k->used < need) {
		size_t size = need > BLOCK_BYTES ? need : BLOCK_BYTES;

		k = calloc(1, sizeof(*k) + size);
		if (k == NULL)
			return NULL;
		k->size = size;
		k->next = a->blocks;
		a->blocks = k;
	}
	p = (char *)k->bytes + k->used;
	k->used += need;
	return p;
}

char *cp_copy(struct cp_arena *a, const char *s, size_t n)
{
	char *out = cp_take(a, n + 1);

	if (out != NULL)
		memcpy(out, s, n);
	return out;
}

void cp_arena_free(struct cp_arena *a)
{
	if (a == NULL)
		return;
	for (struct block *k = a->blocks; k != NULL;) {
		struct block *next = k->next;

		free(k);
		k = next;
	}
	free(a);
}
