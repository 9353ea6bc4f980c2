/*
 * What the sources of the stack say before each access to memory: they are compiled with -fsanitize=thread
 * for this test, and these are the calls that the compiler puts in. No sanitizer is linked.
 */
#include "test_hot.h"

struct hot_watch hot;

/* The compiler's names, which no header declares. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

static inline void note(const void *p, size_t n)
{
	size_t at = (size_t)((const uint8_t *)p - hot.base);

	if (hot.base == NULL || (const uint8_t *)p < hot.base)
		return;
	for (size_t i = 0; i < n && at + i < HOT_BYTES; i++)
		hot.touched[at + i] = true;
}

#define ACCESS(name, bytes)                                                                                  \
	void __tsan_##name(void *p)                                                                          \
	{                                                                                                    \
		note(p, bytes);                                                                              \
	}
#define ACCESSES(n)                                                                                          \
	ACCESS(read##n, n)                                                                                   \
	ACCESS(write##n, n)                                                                                  \
	ACCESS(unaligned_read##n, n)                                                                         \
	ACCESS(unaligned_write##n, n)                                                                        \
	ACCESS(volatile_read##n, n)                                                                          \
	ACCESS(volatile_write##n, n)

ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)

void __tsan_read_range(void *p, unsigned long n)
{
	note(p, n);
}

void __tsan_write_range(void *p, unsigned long n)
{
	note(p, n);
}

void __tsan_init(void)
{
}

void __tsan_func_entry(void *pc)
{
	(void)pc;
}

void __tsan_func_exit(void)
{
}

/* Counters, and references of mbufs; a connection has nothing atomic. */
#define ATOMICS(bits)                                                                                        \
	uint##bits##_t __tsan_atomic##bits##_load(const volatile uint##bits##_t *p, int order)               \
	{                                                                                                    \
		(void)order;                                                                                 \
		return __atomic_load_n(p, __ATOMIC_SEQ_CST);                                                 \
	}                                                                                                    \
	void __tsan_atomic##bits##_store(volatile uint##bits##_t *p, uint##bits##_t v, int order)            \
	{                                                                                                    \
		(void)order;                                                                                 \
		__atomic_store_n(p, v, __ATOMIC_SEQ_CST);                                                    \
	}                                                                                                    \
	uint##bits##_t __tsan_atomic##bits##_fetch_add(volatile uint##bits##_t *p, uint##bits##_t v,         \
	                                               int order)                                            \
	{                                                                                                    \
		(void)order;                                                                                 \
		return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST);                                           \
	}

ATOMICS(16)
ATOMICS(32)
ATOMICS(64)
