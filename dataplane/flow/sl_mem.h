/*
 * Blocks of many sizes for the sessions of one worker, in all within a bound. What is given back stays here
 * for the next one, in a list per size; only growth allocates. One thread.
 */
#ifndef SL_MEM_H
#define SL_MEM_H

#include <stddef.h>
#include <stdint.h>

#define SL_MEM_BLOCK_MAX (1024 * 1024) /* bytes of one block */

struct sl_mem;

/* max_bytes: of all blocks together, in use or kept. NULL when out of memory. */
struct sl_mem *sl_mem_new(size_t max_bytes);
void sl_mem_free(struct sl_mem *m);
/* At least `bytes`, not cleared. NULL: at the bound or out of memory. */
void *sl_mem_take(struct sl_mem *m, size_t bytes);
/* bytes: as they were taken. Cleared here, for they may hold secrets. NULL is fine. */
void sl_mem_give(struct sl_mem *m, void *p, size_t bytes);
/* What a block of that many bytes really takes; 0: none is that large. */
size_t sl_mem_size(size_t bytes);
/* Bytes in use, and all that were ever made and not freed. */
size_t sl_mem_used(const struct sl_mem *m);
size_t sl_mem_made(const struct sl_mem *m);

#endif
