/*
 * A span: a pointer and a length, passed by value. It never owns: it is borrowed for the call it is passed
 * to, unless the function that takes it says that it keeps it. It may hold any bytes, NUL included.
 */
#ifndef SL_SPAN_H
#define SL_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct sl_span {
	const uint8_t *p;
	size_t n;
};

#define SL_SPAN_EMPTY ((struct sl_span){NULL, 0})
/* A span over a string literal, without its NUL. */
#define SL_SPAN_LIT(s) ((struct sl_span){(const uint8_t *)(s), sizeof(s) - 1})

static inline struct sl_span sl_span(const void *p, size_t n)
{
	return (struct sl_span){p, n};
}

static inline struct sl_span sl_span_str(const char *s)
{
	return (struct sl_span){(const uint8_t *)s, s == NULL ? 0 : strlen(s)};
}

static inline bool sl_span_eq(struct sl_span a, struct sl_span b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool sl_span_is(struct sl_span a, const char *s)
{
	return sl_span_eq(a, sl_span_str(s));
}

/* The part from `at` of at most `n` bytes; empty past the end. */
static inline struct sl_span sl_span_sub(struct sl_span a, size_t at, size_t n)
{
	if (at >= a.n)
		return SL_SPAN_EMPTY;
	return sl_span(a.p + at, n < a.n - at ? n : a.n - at);
}

static inline uint16_t sl_get_be16(const uint8_t *p)
{
	return (uint16_t)((uint16_t)p[0] << 8 | p[1]);
}

static inline uint32_t sl_get_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void sl_put_be16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void sl_put_be32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

/*
 * Copies a span into a char array of `cap` bytes as a C string, cut at cap - 1. Returns the number of bytes
 * copied, or -1 when it was cut or holds a NUL (the copy then stops there).
 */
static inline int sl_span_cstr(struct sl_span a, char *out, size_t cap)
{
	size_t n = a.n < cap - 1 ? a.n : cap - 1;
	const void *nul = n > 0 ? memchr(a.p, 0, n) : NULL;

	if (nul != NULL)
		n = (size_t)((const uint8_t *)nul - a.p);
	if (n > 0)
		memcpy(out, a.p, n);
	out[n] = '\0';
	return n == a.n ? (int)n : -1;
}

#endif
