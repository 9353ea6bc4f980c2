#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "compile_priv.h"
#include "sl_secret.h"

#define BLOCK_BYTES  16384
#define SECRET_BYTES 4096 /* a page */

struct block {
	struct block *next;
	size_t used, size;
	max_align_t bytes[];
};

struct pages { /* of their own, so that the rest of what is in them is secret too */
	struct pages *next;
	size_t used, size;
	max_align_t bytes[];
};

struct cp_arena {
	struct block *blocks;
	struct pages *secrets;
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

void *cp_take_secret(struct cp_arena *a, size_t n)
{
	size_t need = (n + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
	struct pages *p = a->secrets;
	uint8_t *at;

	if (need > SECRET_BYTES - sizeof(*p))
		return NULL;
	if (p == NULL || p->size - p->used < need) {
		p = mmap(NULL, SECRET_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			return NULL;
		if (madvise(p, SECRET_BYTES, MADV_DONTDUMP) != 0) {
			munmap(p, SECRET_BYTES);
			return NULL;
		}
		(void)mlock(p, SECRET_BYTES); /* an account may have no right to lock memory */
		p->size = SECRET_BYTES - sizeof(*p);
		p->next = a->secrets;
		a->secrets = p;
	}
	at = (uint8_t *)p->bytes + p->used;
	p->used += need;
	return at;
}

static void free_secrets(struct cp_arena *a)
{
	for (struct pages *p = a->secrets; p != NULL;) {
		struct pages *next = p->next;

		sl_cleanse(p, SECRET_BYTES);
		munmap(p, SECRET_BYTES);
		p = next;
	}
}

void cp_arena_free(struct cp_arena *a)
{
	if (a == NULL)
		return;
	free_secrets(a);
	for (struct block *k = a->blocks; k != NULL;) {
		struct block *next = k->next;

		free(k);
		k = next;
	}
	free(a);
}
