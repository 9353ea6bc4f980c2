#include "sl_secret.h"

#include "sl_err.h"

int sl_secret_set(struct sl_secret *s, struct sl_span bytes)
{
	sl_secret_clear(s);
	if (bytes.n > sizeof(s->b))
		return SL_E_LIMIT;
	if (bytes.n > 0)
		memcpy(s->b, bytes.p, bytes.n);
	s->n = (uint32_t)bytes.n;
	return SL_OK;
}

void sl_secret_clear(struct sl_secret *s)
{
	sl_cleanse(s, sizeof(*s));
}

void sl_cleanse(void *p, size_t n)
{
	explicit_bzero(p, n);
}
