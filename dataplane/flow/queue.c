#include "sl_queue.h"

#include "sl_counter.h"

static struct sl_queue_piece *append(struct sl_queue *q, struct sl_buf_pool *pool, struct sl_span bytes)
{
	struct sl_queue_piece *e = sl_buf_piece(pool);

	if (e == NULL)
		return NULL;
	*e = (struct sl_queue_piece){.p = bytes.p, .n = bytes.n};
	if (q->tail != NULL)
		q->tail->next = e;
	else
		q->head = e;
	q->tail = e;
	return e;
}

static void put_in(struct sl_queue *q, size_t n)
{
	q->bytes += n;
	q->unseen += n;
}

/* n bytes were written behind the fill buffer's: the last piece grows by them, or they are a new one. */
static bool filled(struct sl_queue *q, struct sl_buf_pool *pool, size_t n)
{
	struct sl_buf *b = q->fill;
	const uint8_t *p = b->data + b->to;
	struct sl_queue_piece *e = q->tail;

	if (e != NULL && e->buf == b && e->p + e->n == p) {
		e->n += n;
	} else {
		e = append(q, pool, sl_span(p, n));
		if (e == NULL)
			return false;
		e->buf = b;
		b->users++;
	}
	sl_buf_grew(b, n);
	put_in(q, n);
	return true;
}

/* A buffer with room. False: none. */
static bool fill_ready(struct sl_queue *q, struct sl_buf_pool *pool)
{
	if (q->fill != NULL && q->fill->to < q->fill->cap)
		return true;
	if (q->fill != NULL && q->fill->users == 0)
		sl_buf_put(pool, q->fill);
	q->fill = sl_buf_small(pool); /* the one before goes with its last piece */
	return q->fill != NULL;
}

int sl_queue_copy(struct sl_queue *q, struct sl_buf_pool *pool, struct sl_span bytes)
{
	while (bytes.n > 0) {
		struct sl_buf *b;
		size_t n;

		if (!fill_ready(q, pool))
			return sl_fail(SL_E_NOMEM);
		b = q->fill;
		n = bytes.n < b->cap - b->to ? bytes.n : b->cap - b->to;
		memcpy(b->data + b->to, bytes.p, n);
		if (!filled(q, pool, n))
			return sl_fail(SL_E_NOMEM);
		bytes.p += n;
		bytes.n -= n;
	}
	return SL_OK;
}

bool sl_queue_ref(struct sl_queue *q, struct sl_buf_pool *pool, struct rte_mbuf *m, struct sl_span bytes)
{
	struct sl_queue_piece *e;

	if (bytes.n < SL_QUEUE_REF_MIN || q->pinned + m->buf_len > SL_QUEUE_PINNED_MAX ||
	    !sl_buf_pin(pool, m->buf_len))
		return false;
	e = append(q, pool, bytes);
	if (e == NULL) {
		sl_buf_unpin(pool, m->buf_len);
		return false;
	}
	e->m = m;
	rte_mbuf_refcnt_update(m, 1);
	q->pinned += m->buf_len;
	put_in(q, bytes.n);
	return true;
}

static void release(struct sl_queue *q, struct sl_buf_pool *pool, struct sl_queue_piece *e)
{
	if (e->m != NULL) {
		q->pinned -= e->m->buf_len;
		sl_buf_unpin(pool, e->m->buf_len);
		rte_pktmbuf_free_seg(e->m);
	} else if (--e->buf->users == 0) {
		if (q->fill == e->buf)
			q->fill = NULL;
		sl_buf_put(pool, e->buf);
	}
	if (q->shown == e)
		q->shown = NULL;
	sl_buf_piece_put(pool, e);
}

static void pop(struct sl_queue *q, struct sl_buf_pool *pool)
{
	struct sl_queue_piece *e = q->head;

	q->head = e->next;
	if (q->head == NULL)
		q->tail = NULL;
	release(q, pool, e);
}

static size_t write_one(const struct sl_queue_piece *e, struct sl_stream to, size_t n)
{
	struct sl_tcp_piece piece = {.m = e->m, .len = (uint32_t)n};

	if (e->m == NULL || to.ops->write_piece == NULL)
		return to.ops->write(to.st, sl_span(e->p, n));
	piece.off = (uint32_t)(e->p - rte_pktmbuf_mtod(e->m, const uint8_t *));
	return to.ops->write_piece(to.st, &piece);
}

size_t sl_queue_write(struct sl_queue *q, struct sl_buf_pool *pool, struct sl_stream to, uint64_t limit)
{
	size_t done = 0;

	while (q->head != NULL && done < limit) {
		struct sl_queue_piece *e = q->head;
		size_t n = e->n < limit - done ? e->n : (size_t)(limit - done);
		size_t took = write_one(e, to, n);

		e->p += took;
		e->n -= took;
		done += took;
		if (e->n > 0)
			break;
		pop(q, pool);
	}
	q->bytes -= done;
	return done;
}

int sl_queue_show(struct sl_queue *q, int (*show)(void *ctx, struct sl_span bytes), void *ctx)
{
	struct sl_queue_piece *e = q->shown != NULL ? q->shown : q->head;
	const uint8_t *from = q->shown != NULL ? q->shown_to : NULL;

	for (; e != NULL && q->unseen > 0; e = e->next, from = NULL) {
		struct sl_span b = sl_span(e->p, e->n);
		int err;

		if (from != NULL)
			b = sl_span(from, (size_t)(e->p + e->n - from));
		if (b.n == 0)
			continue;
		err = show(ctx, b);
		if (err < 0)
			return err;
		q->unseen -= b.n;
		q->shown = e;
		q->shown_to = b.p + b.n;
	}
	return SL_OK;
}

void sl_queue_drop(struct sl_queue *q, struct sl_buf_pool *pool)
{
	while (q->head != NULL)
		pop(q, pool);
	sl_buf_put(pool, q->fill); /* one without a piece: the piece could not be had */
	*q = (struct sl_queue){0};
}
