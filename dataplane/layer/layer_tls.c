#include "sl_layer_tls.h"

#include <stdlib.h>

#include "sl_counter.h"

struct layer_tls {
	struct sl_stream below;
	struct sl_tls *tls;
	int err;       /* < 0: dead */
	int below_end; /* how the stream below ended */
	bool shut;     /* close_notify is queued; the stream below is shut behind it */
	bool below_shut;
	bool alpn; /* must be agreed on */
};

static void push_out(struct layer_tls *l)
{
	struct sl_span out;

	while ((out = sl_tls_wire_out(l->tls)).n > 0) {
		size_t n = l->below.ops->write(l->below.st, out);

		if (n == 0)
			return;
		sl_tls_wire_sent(l->tls, n);
	}
}

static void pull_in(struct layer_tls *l)
{
	uint8_t buf[16 * 1024];

	while (l->below_end == SL_OK) {
		size_t room = sl_tls_wire_room(l->tls);
		long n = l->below.ops->read(l->below.st, buf, room < sizeof(buf) ? room : sizeof(buf),
		                            &l->below_end);

		if (n <= 0)
			return;
		if (sl_tls_wire_in(l->tls, sl_span(buf, (size_t)n)) < 0) {
			l->err = SL_E_LIMIT;
			return;
		}
	}
}

/* SL_OK when the last record has gone and the stream below was told; SL_MORE before. */
static int finish(struct layer_tls *l)
{
	push_out(l);
	if (sl_tls_wire_out(l->tls).n > 0)
		return SL_MORE;
	if (!l->below_shut)
		l->below.ops->shutdown(l->below.st);
	l->below_shut = true;
	return SL_OK;
}

static int layer_pump(void *st)
{
	struct layer_tls *l = st;
	int rc;

	if (l->err < 0) {
		push_out(l); /* an alert may wait */
		return l->err;
	}
	/* How it ended is what reading says, behind the bytes that came before. */
	(void)l->below.ops->pump(l->below.st);
	if (!sl_tls_is_open(l->tls)) {
		pull_in(l);
		rc = sl_tls_handshake(l->tls);
		push_out(l);
		if (rc == SL_MORE && l->below_end != SL_OK)
			rc = SL_E_TLS_HANDSHAKE;
		if (rc == SL_OK && l->alpn && sl_tls_alpn(l->tls)[0] == '\0')
			rc = SL_E_TLS_ALPN;
		if (rc < 0)
			l->err = sl_fail(rc);
		if (rc != SL_OK)
			return rc;
	}
	push_out(l);
	return l->shut ? finish(l) : SL_OK;
}

static long layer_read(void *st, uint8_t *buf, size_t cap, int *end)
{
	struct layer_tls *l = st;
	int err = SL_OK;
	long n;

	if (l->err < 0) {
		*end = l->err;
		return -1;
	}
	pull_in(l);
	n = sl_tls_read(l->tls, buf, cap, &err);
	push_out(l); /* reading may have made an answer (key update) */
	if (n > 0)
		return n;
	if (n < 0) {
		if (err < 0)
			l->err = err;
		*end = err;
		return -1;
	}
	if (l->below_end == SL_OK || cap == 0)
		return 0;
	/* TCP ended without close_notify: for the protocols above, which frame their messages, an end all the
	 * same. */
	*end = l->below_end;
	return -1;
}

static size_t layer_write(void *st, struct sl_span bytes)
{
	struct layer_tls *l = st;
	size_t took = 0;

	if (l->err < 0 || !sl_tls_is_open(l->tls))
		return 0;
	while (took < bytes.n) {
		struct sl_span part = sl_span_sub(bytes, took, 16 * 1024);

		if (sl_tls_wire_out(l->tls).n > SL_LAYER_TLS_OUT)
			break;
		if (sl_tls_write(l->tls, part) < 0) {
			l->err = sl_fail(SL_E_TLS_RECORD);
			break;
		}
		took += part.n;
		push_out(l);
	}
	return took;
}

static void layer_shutdown(void *st)
{
	struct layer_tls *l = st;

	if (l->err == SL_OK && sl_tls_is_open(l->tls))
		sl_tls_shutdown(l->tls);
	l->shut = true;
	finish(l);
}

static void layer_discard(void *st)
{
	struct layer_tls *l = st;

	l->below.ops->discard(l->below.st);
}

static void layer_free(void *st)
{
	struct layer_tls *l = st;

	sl_tls_free(l->tls);
	free(l);
}

static const struct sl_stream_ops layer_ops = {
        .pump = layer_pump,
        .read = layer_read,
        .write = layer_write,
        .shutdown = layer_shutdown,
        .discard = layer_discard,
        .free = layer_free,
};

int sl_layer_tls_new(struct sl_tls_ctx *ctx, struct sl_stream below, struct sl_stream *out)
{
	struct layer_tls *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return sl_fail(SL_E_NOMEM);
	l->below = below;
	l->tls = sl_tls_new(ctx);
	if (l->tls == NULL) {
		free(l);
		return sl_fail(SL_E_NOMEM);
	}
	*out = (struct sl_stream){&layer_ops, l};
	return SL_OK;
}

int sl_layer_tls_direct(struct sl_stream s, struct sl_span early)
{
	struct layer_tls *l = s.st;

	l->alpn = true;
	return sl_tls_wire_in(l->tls, early);
}

const struct sl_tls *sl_layer_tls_session(struct sl_stream s)
{
	return s.ops == &layer_ops ? ((const struct layer_tls *)s.st)->tls : NULL;
}
