#include "sl_stream.h"

static int tcp_pump(void *st)
{
	int err = sl_tcp_error(st);

	return err < 0 ? err : SL_OK;
}

/* Why there is nothing to read: 0 not yet; -1 ended, and *end says how. */
static long ended(struct sl_tcp_conn *c, int *end)
{
	if (sl_tcp_error(c) < 0)
		*end = sl_tcp_error(c);
	else if (sl_tcp_eof(c))
		*end = SL_CLOSED;
	else
		return 0;
	return -1;
}

static long tcp_read(void *st, uint8_t *buf, size_t cap, int *end)
{
	struct sl_span v[16];
	size_t n = 0;
	uint32_t nb;

	nb = sl_tcp_peek(st, v, 16);
	for (uint32_t i = 0; i < nb && n < cap; i++) {
		size_t take = v[i].n < cap - n ? v[i].n : cap - n;

		memcpy(buf + n, v[i].p, take);
		n += take;
	}
	if (n > 0) {
		sl_tcp_consume(st, n);
		return (long)n;
	}
	return cap == 0 ? 0 : ended(st, end);
}

static long tcp_peek(void *st, struct sl_tcp_piece *v, uint32_t nb, int *end)
{
	uint32_t n = sl_tcp_peek_pieces(st, v, nb);

	return n > 0 ? (long)n : ended(st, end);
}

static void tcp_consume(void *st, size_t n)
{
	sl_tcp_consume(st, n);
}

static void tcp_discard(void *st)
{
	sl_tcp_consume(st, SIZE_MAX);
}

static size_t tcp_write_piece(void *st, const struct sl_tcp_piece *p)
{
	return sl_tcp_error(st) < 0 ? 0 : sl_tcp_write_piece(st, p);
}

static size_t tcp_write(void *st, struct sl_span bytes)
{
	return sl_tcp_error(st) < 0 ? 0 : sl_tcp_write(st, bytes);
}

static void tcp_shutdown(void *st)
{
	if (sl_tcp_error(st) == 0)
		sl_tcp_shutdown(st);
}

static void tcp_free(void *st)
{
	(void)st;
}

static const struct sl_stream_ops tcp_ops = {
        .pump = tcp_pump,
        .read = tcp_read,
        .write = tcp_write,
        .shutdown = tcp_shutdown,
        .discard = tcp_discard,
        .free = tcp_free,
        .peek = tcp_peek,
        .consume = tcp_consume,
        .write_piece = tcp_write_piece,
};

struct sl_stream sl_stream_tcp(struct sl_tcp_conn *c)
{
	return (struct sl_stream){&tcp_ops, c};
}
