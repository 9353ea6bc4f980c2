/*
 * A secret has its own type, so that it cannot be passed where a span is logged or recorded by accident. It
 * holds its bytes inside itself, is cleared on release and is never copied but by sl_secret_set().
 */
#ifndef SL_SECRET_H
#define SL_SECRET_H

#include <stdint.h>

#include "sl_span.h"

#define SL_SECRET_MAX                                                                                        \
	1024 /* bytes: a target's password; PostgreSQL itself takes up to 1 KB from a client library */

struct sl_secret {
	uint32_t n;
	uint8_t b[SL_SECRET_MAX];
};

/* 0, or SL_E_LIMIT when longer than SL_SECRET_MAX (the secret is then empty). */
int sl_secret_set(struct sl_secret *s, struct sl_span bytes);
void sl_secret_clear(struct sl_secret *s);
/* Clears any memory that held a secret; not removed by the compiler. */
void sl_cleanse(void *p, size_t n);

static inline struct sl_span sl_secret_span(const struct sl_secret *s)
{
	return sl_span(s->b, s->n);
}

#endif
