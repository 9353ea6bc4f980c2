#include "tcp_priv.h"

/* Bytes of the piece's mbuf behind the piece. */
static uint32_t tail_room(const struct tcp_piece *p)
{
	return p != NULL && p->own ? p->m->buf_len - p->off - p->len : 0;
}

void tcp_sndq_start(struct sl_tcp_conn *c)
{
	c->sndq.first = c->snd_end = c->iss + 1;
}

bool tcp_sndq_available(const struct sl_tcp_conn *c)
{
	const struct sl_tcp *t = c->t;

	if (t->nb_own >= t->nb_own_max || tcp_mem_room(c) < rte_pktmbuf_data_room_size(t->cfg.pool))
		return false;
	return c->sndq.head == NULL || (!tcp_pressure(c) && t->nb_own < t->nb_own_max / 4 * 3);
}

/* Enters a piece at the end; the reference becomes the queue's. False: no memory, and nothing is taken. */
static bool append(struct sl_tcp_conn *c, struct rte_mbuf *m, uint32_t off, uint32_t n, bool own)
{
	struct tcp_sndq *q = &c->sndq;
	struct tcp_piece *p = tcp_pool_take(&c->t->pieces);

	if (p == NULL)
		return false;
	*p = (struct tcp_piece){.m = m,
	                        .at = c->snd_end,
	                        .off = off,
	                        .len = n,
	                        .own = own,
	                        .counted = m->pool == c->t->cfg.pool};
	if (q->tail != NULL)
		q->tail->next = p;
	else
		q->head = p;
	q->tail = p;
	c->snd_end += n;
	q->pinned += m->buf_len;
	tcp_mem_take(c, m->buf_len);
	c->t->nb_own += p->counted;
	return true;
}

static bool append_own(struct sl_tcp_conn *c)
{
	struct rte_mbuf *m;

	if (!tcp_sndq_available(c))
		return false;
	m = tcp_mbuf_alloc(c->t);
	if (m == NULL)
		return false;
	/* From the start: the bytes are sent by copy or by reference, never with a header in front. */
	if (!append(c, m, 0, 0, true)) {
		rte_pktmbuf_free(m);
		return false;
	}
	return true;
}

uint32_t tcp_sndq_put(struct sl_tcp_conn *c, const uint8_t *p, uint32_t n)
{
	struct tcp_sndq *q = &c->sndq;
	uint32_t done = 0;

	while (done < n) {
		uint32_t part = u32_min(tail_room(q->tail), n - done);

		if (part == 0) {
			if (!append_own(c))
				break;
			continue;
		}
		memcpy((uint8_t *)q->tail->m->buf_addr + q->tail->off + q->tail->len, p + done, part);
		q->tail->len += part;
		c->snd_end += part;
		done += part;
	}
	return done;
}

bool tcp_sndq_put_ref(struct sl_tcp_conn *c, struct rte_mbuf *m, uint32_t off, uint32_t n)
{
	if (c->sndq.pinned + m->buf_len > TCP_PIN_FACTOR * tcp_tx_buf(c) || tcp_mem_room(c) < m->buf_len)
		return false;
	/* Whose memory it is does not matter: the last quarter is for queues that have nothing. */
	if (c->sndq.head != NULL && tcp_pressure(c))
		return false;
	if (m->pool == c->t->cfg.pool && !tcp_sndq_available(c))
		return false;
	if (!append(c, m, m->data_off + off, n, false))
		return false;
	rte_mbuf_refcnt_update(m, 1);
	return true;
}

static void give_piece(struct sl_tcp_conn *c, struct tcp_piece *p)
{
	struct sl_tcp *t = c->t;

	c->sndq.pinned -= p->m->buf_len;
	tcp_mem_give(c, p->m->buf_len);
	t->nb_own -= p->counted;
	rte_pktmbuf_free_seg(p->m);
	tcp_pool_give(&t->pieces, p);
}

void tcp_sndq_drop(struct sl_tcp_conn *c, uint32_t n)
{
	struct tcp_sndq *q = &c->sndq;
	uint32_t first = q->first + n;

	q->first = first;
	while (q->head != NULL && !seq_lt(first, q->head->at + q->head->len)) {
		struct tcp_piece *p = q->head;

		q->head = p->next;
		if (q->next == p)
			q->next = p->next;
		give_piece(c, p);
	}
	if (q->head == NULL)
		q->tail = NULL;
}

void tcp_sndq_clear(struct sl_tcp_conn *c)
{
	tcp_sndq_drop(c, c->snd_end - c->sndq.first);
}

struct tcp_piece *tcp_sndq_find(const struct tcp_sndq *q, struct tcp_piece *from, uint32_t at)
{
	struct tcp_piece *p = from != NULL ? from : q->head;

	while (p != NULL && !seq_lt(at, p->at + p->len))
		p = p->next;
	return p;
}

uint32_t tcp_sndq_span(const struct tcp_piece *p, uint32_t at, uint32_t n, uint32_t nb)
{
	uint32_t have = 0;

	for (; p != NULL && have < n && nb > 0; p = p->next, nb--)
		have = p->at + p->len - at;
	return u32_min(have, n);
}

void tcp_sndq_copy(const struct tcp_piece *p, uint32_t at, uint32_t n, uint8_t *to)
{
	for (; n > 0; p = p->next) {
		uint32_t skip = at - p->at, part = u32_min(n, p->len - skip);

		memcpy(to, (const uint8_t *)p->m->buf_addr + p->off + skip, part);
		to += part;
		at += part;
		n -= part;
	}
}

bool tcp_sndq_attach(struct sl_tcp *t, const struct tcp_piece *p, uint32_t at, uint32_t n,
                     struct rte_mbuf *head)
{
	struct rte_mbuf *last = head;

	for (; n > 0; p = p->next) {
		uint32_t skip = at - p->at, part = u32_min(n, p->len - skip);
		struct rte_mbuf *m = tcp_mbuf_alloc(t);

		if (m == NULL)
			return false;
		rte_pktmbuf_attach(m, p->m);
		m->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
		m->data_off = (uint16_t)(p->off + skip);
		m->data_len = (uint16_t)part;
		m->pkt_len = part;
		last->next = m;
		last = m;
		head->nb_segs++;
		head->pkt_len += part;
		at += part;
		n -= part;
	}
	return true;
}
