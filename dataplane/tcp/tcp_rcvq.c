#include "tcp_priv.h"

/* ---- memory ---- */

static uint32_t true_size(const struct rte_mbuf *m)
{
	return (uint32_t)sizeof(*m) + m->buf_len;
}

/* Counts in a new piece; the reference is the caller's and becomes the piece's. */
static struct tcp_rpiece *piece_new(struct sl_tcp_conn *c, struct tcp_rlist *l, struct rte_mbuf *m,
                                    uint32_t off, uint32_t len, bool own)
{
	struct tcp_rpiece *p = tcp_pool_take(&c->t->rpieces);

	if (p == NULL)
		return NULL;
	*p = (struct tcp_rpiece){.m = m, .off = off, .len = len, .own = own};
	if (l->last != NULL)
		l->last->next = p;
	else
		l->first = p;
	l->last = p;
	c->rcvq.true_bytes += true_size(m);
	tcp_mem_take(c, true_size(m));
	return p;
}

static void piece_free(struct sl_tcp_conn *c, struct tcp_rpiece *p)
{
	uint32_t size = true_size(p->m);

	c->rcvq.true_bytes -= size;
	tcp_mem_give(c, size);
	if (p->own)
		c->t->nb_rcv_own--;
	rte_pktmbuf_free_seg(p->m);
	tcp_pool_give(&c->t->rpieces, p);
}

static void ooo_give(struct sl_tcp_conn *c)
{
	if (c->ooo->run != c->ooo->few)
		tcp_pool_give(&c->t->runs, c->ooo->run);
	tcp_pool_give(&c->t->ooo, c->ooo);
	c->ooo = NULL;
	c->has_ooo = false;
}

/* Whether there is a place for one more run. */
static bool run_place(struct sl_tcp_conn *c)
{
	struct tcp_ooo *o = c->ooo;
	struct tcp_run *many;

	if (o->run != o->few || o->nb < TCP_OOO_FEW)
		return o->nb < TCP_OOO_RUNS;
	many = tcp_pool_take(&c->t->runs);
	if (many == NULL)
		return false;
	memcpy(many, o->few, sizeof(o->few));
	o->run = many;
	return true;
}

static void list_free(struct sl_tcp_conn *c, struct tcp_rlist *l)
{
	struct tcp_rpiece *p = l->first;

	while (p != NULL) {
		struct tcp_rpiece *next = p->next;

		piece_free(c, p);
		p = next;
	}
	l->first = l->last = NULL;
}

static void list_join(struct tcp_rlist *l, const struct tcp_rlist *behind)
{
	if (behind->first == NULL)
		return;
	if (l->last != NULL)
		l->last->next = behind->first;
	else
		l->first = behind->first;
	l->last = behind->last;
}

void tcp_chain_free(struct rte_mbuf *m)
{
	while (m != NULL) {
		struct rte_mbuf *next = m->next;

		m->next = NULL;
		m->nb_segs = 1;
		m->pkt_len = m->data_len;
		rte_pktmbuf_free_seg(m);
		m = next;
	}
}

/* ---- what to pin and what to copy ---- */

static void pool_sample(struct tcp_rx_pool *p, uint64_t now_us)
{
	const struct rte_mempool *mp = p->mp;
	uint32_t used = rte_mempool_in_use_count(mp);

	p->sampled_us = now_us;
	p->floor = u32_min(p->floor, used);
	p->pressed = used - p->floor > mp->size / TCP_PINNED_SHARE;
	p->tight = used - p->floor > mp->size / 8 * TCP_TIGHT_PARTS;
	p->full = used - p->floor > mp->size / TCP_FULL_SHARE;
}

/* The place of a pool, which no other one takes from it: its floor must last. NULL: there is none left. */
static struct tcp_rx_pool *pool_place(struct sl_tcp *t, const struct rte_mempool *mp)
{
	uint32_t at = (uint32_t)((uintptr_t)mp >> 6) * UINT32_C(0x9e3779b1) >> (32 - TCP_POOL_BITS);

	for (uint32_t i = 0; i < TCP_POOLS; i++) {
		struct tcp_rx_pool *p = &t->rx_pool[(at + i) % TCP_POOLS];

		if (p->mp == NULL)
			*p = (struct tcp_rx_pool){
			        .mp = mp, .sampled_us = t->now_us - TCP_POOL_SAMPLE, .floor = mp->size / 2};
		if (p->mp == mp)
			return p;
	}
	return NULL;
}

/* Of one without a place nothing is held. */
static const struct tcp_rx_pool *pool_look(struct sl_tcp *t, const struct rte_mempool *mp)
{
	static const struct tcp_rx_pool unknown = {.pressed = true, .full = true};
	struct tcp_rx_pool *p = pool_place(t, mp);

	if (p == NULL)
		return &unknown;
	if (t->now_us - p->sampled_us >= TCP_POOL_SAMPLE)
		pool_sample(p, t->now_us);
	return p;
}

static bool must_copy(struct sl_tcp_conn *c, const struct rte_mbuf *m, uint32_t n)
{
	if (n < TCP_COPY_BELOW)
		return true;
	if (c->rcvq.true_bytes + true_size(m) > TCP_RCVQ_TRUE_SHARE * c->rx_buf)
		return true;
	return m->pool != c->t->cfg.pool && pool_look(c->t, m->pool)->pressed;
}

/*
 * When memory is short a connection that has something to read takes no more: the last quarter is for those
 * that have nothing, so that each direction of each connection can move: by a whole segment, of which
 * rcvq.bytes says nothing while it is taken.
 */
static bool may_hold(const struct sl_tcp_conn *c, uint32_t size)
{
	if (c->rcvq.bytes > 0 && tcp_pressure(c))
		return false;
	return tcp_mem_room(c) >= size;
}

static struct tcp_rpiece *own_new(struct sl_tcp_conn *c, struct tcp_rlist *l)
{
	struct sl_tcp *t = c->t;
	struct rte_mbuf *m = NULL;
	struct tcp_rpiece *p;

	/* The last quarter of these, too, is for those that have nothing to read. */
	if (t->nb_rcv_own < t->cfg.pool->size / TCP_OWN_SHARE && (c->rcvq.bytes == 0 || !tcp_rcv_pressure(c)))
		m = tcp_mbuf_alloc(t);
	if (m == NULL)
		return NULL;
	m->data_off = 0; /* never sent itself: no header goes in front */
	p = may_hold(c, true_size(m)) ? piece_new(c, l, m, 0, 0, true) : NULL;
	if (p == NULL)
		rte_pktmbuf_free_seg(m);
	else
		t->nb_rcv_own++;
	return p;
}

/* Copies n bytes behind the list. Returns how many. */
static uint32_t list_copy(struct sl_tcp_conn *c, struct tcp_rlist *l, const uint8_t *src, uint32_t n)
{
	uint32_t done = 0;

	while (done < n) {
		struct tcp_rpiece *p = l->last;
		uint32_t part;

		if (p == NULL || !p->own || p->off + p->len != p->m->data_len ||
		    rte_pktmbuf_tailroom(p->m) == 0) {
			p = own_new(c, l);
			if (p == NULL)
				break;
		}
		part = u32_min(n - done, rte_pktmbuf_tailroom(p->m));
		memcpy(rte_pktmbuf_mtod_offset(p->m, uint8_t *, p->m->data_len), src + done, part);
		p->m->data_len = (uint16_t)(p->m->data_len + part);
		p->m->pkt_len = p->m->data_len;
		p->len += part;
		done += part;
	}
	return done;
}

/*
 * Bytes [off, off + n) of one mbuf segment behind the list: by copy, or by reference, which `take` says
 * whether it is the caller's own (true: the segment is the list's from now on) or one more. Returns how many
 * bytes; *taken tells that the caller's reference is gone.
 */
static uint32_t list_put(struct sl_tcp_conn *c, struct tcp_rlist *l, struct rte_mbuf *m, uint32_t off,
                         uint32_t n, bool take, bool *taken)
{
	uint32_t done = 0;

	*taken = false;
	if (must_copy(c, m, n))
		done = list_copy(c, l, rte_pktmbuf_mtod_offset(m, const uint8_t *, off), n);
	if (done == n)
		return n;
	/* No mbuf to copy to: it is held where it is, when it may be held at all. */
	if (!may_hold(c, true_size(m)) || pool_look(c->t, m->pool)->full)
		return done;
	if (piece_new(c, l, m, off + done, n - done, false) == NULL)
		return done;
	if (!take)
		rte_mbuf_refcnt_update(m, 1);
	*taken = take;
	return n;
}

/* ---- payload to a list ---- */

/* Payload [from, from + n) of a segment behind the list, whose mbufs stay the caller's. Returns how many. */
static uint32_t place(struct sl_tcp_conn *c, struct tcp_rlist *l, const struct tcp_seg *s, uint32_t from,
                      uint32_t n)
{
	struct rte_mbuf *m = s->m;
	uint32_t at = s->data_at + from, done = 0;
	bool taken;

	while (m != NULL && at >= m->data_len) {
		at -= m->data_len;
		m = m->next;
	}
	for (; m != NULL && done < n; m = m->next, at = 0) {
		uint32_t part = u32_min(n - done, m->data_len - at);
		uint32_t put = part > 0 ? list_put(c, l, m, at, part, false, &taken) : 0;

		done += put;
		if (put < part)
			break;
	}
	return done;
}

/* The same for all of the payload, and the segment's mbufs go with it. */
static uint32_t place_all(struct sl_tcp_conn *c, struct tcp_rlist *l, struct tcp_seg *s)
{
	struct rte_mbuf *m = s->m, *next;
	uint32_t at = s->data_at, done = 0;
	bool full = false;

	s->m = NULL;
	for (; m != NULL; m = next) {
		uint32_t skip = u32_min(at, m->data_len), part = u32_min(s->len - done, m->data_len - skip),
		         put = 0;
		bool taken = false;

		next = m->next;
		m->next = NULL;
		m->nb_segs = 1;
		m->pkt_len = m->data_len;
		at -= skip;
		if (part > 0 && !full)
			put = list_put(c, l, m, skip, part, true, &taken);
		done += put;
		full = full || put < part;
		if (!taken)
			rte_pktmbuf_free_seg(m);
	}
	return done;
}

/* ---- in order ---- */

static void run_remove(struct tcp_ooo *o, uint32_t i)
{
	o->nb--;
	memmove(&o->run[i], &o->run[i + 1], (o->nb - i) * sizeof(o->run[0]));
}

/* The first run starts at seq: it joins what is in order. Returns its end. */
static uint32_t run_joins(struct sl_tcp_conn *c)
{
	struct tcp_ooo *o = c->ooo;
	uint32_t end = o->run[0].end;

	list_join(&c->rcvq.list, &o->run[0].list);
	o->bytes -= end - o->run[0].start;
	run_remove(o, 0);
	if (o->nb == 0)
		ooo_give(c);
	return end;
}

uint32_t tcp_rcvq_in_order(struct sl_tcp_conn *c, struct tcp_seg *s)
{
	struct tcp_rcvq *q = &c->rcvq;
	uint32_t seq = s->seq, end = s->seq + s->len;

	if (!c->has_ooo || seq_le(end, c->ooo->run[0].start))
		seq += place_all(c, &q->list, s);
	for (;;) {
		uint32_t gap = c->has_ooo ? seq_min(end, c->ooo->run[0].start) : end;

		if (s->m != NULL && seq_lt(seq, gap))
			seq += place(c, &q->list, s, seq - s->seq, gap - seq);
		if (!c->has_ooo || c->ooo->run[0].start != seq)
			break;
		seq = run_joins(c);
	}
	q->bytes += seq - s->seq;
	return seq;
}

/* ---- out of order ---- */

/* The first run that ends behind seq; o->nb: none. */
static uint32_t run_behind(const struct tcp_ooo *o, uint32_t seq)
{
	uint32_t lo = 0, hi = o->nb;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (seq_lt(seq, o->run[mid].end))
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

const struct tcp_run *tcp_rcvq_run(const struct sl_tcp_conn *c, uint32_t seq)
{
	const struct tcp_ooo *o = c->ooo;
	uint32_t i = o != NULL ? run_behind(o, seq) : 0;

	return o != NULL && i < o->nb && seq_le(o->run[i].start, seq) ? &o->run[i] : NULL;
}

/* The highest run goes, when it lies behind seq. Returns the memory that it held. */
static uint32_t drop_highest(struct sl_tcp_conn *c, uint32_t seq)
{
	struct tcp_ooo *o = c->ooo;
	uint32_t before = c->rcvq.true_bytes;
	struct tcp_run *r;

	if (o->nb == 0 || !seq_lt(seq, o->run[o->nb - 1].start))
		return 0;
	r = &o->run[--o->nb];
	o->bytes -= r->end - r->start;
	list_free(c, &r->list);
	(void)sl_fail(SL_E_TCP_OOO_LIMIT);
	return before - c->rcvq.true_bytes;
}

/*
 * Makes room for a segment out of order at the expense of higher ones. When memory or buffers are short
 * nothing more is held behind gaps: ranges of a byte each take a buffer each, and what is left is for data in
 * order.
 */
static bool admit(struct sl_tcp_conn *c, const struct tcp_seg *s)
{
	uint32_t cap = TCP_RCVQ_TRUE_SHARE * c->rx_buf, size = true_size(s->m) * s->m->nb_segs, freed = 0;

	for (;;) {
		bool full = c->rcvq.true_bytes + size > cap || tcp_mem_room(c) < size;
		bool tight = tcp_rcv_pressure(c) || pool_look(c->t, s->m->pool)->tight;
		uint32_t n;

		if (!full && (freed >= size || !tight))
			return true;
		n = drop_highest(c, s->seq);
		if (n == 0)
			return false;
		freed += n;
	}
}

static void run_insert(struct tcp_ooo *o, uint32_t i, uint32_t seq, uint32_t n, const struct tcp_rlist *l)
{
	memmove(&o->run[i + 1], &o->run[i], (o->nb - i) * sizeof(o->run[0]));
	o->run[i] = (struct tcp_run){seq, seq + n, *l};
	o->nb++;
}

/* Fills the gap that starts at seq, in front of run i, as far as the segment goes. Returns how many bytes. */
static uint32_t fill_gap(struct sl_tcp_conn *c, const struct tcp_seg *s, uint32_t seq, uint32_t i, uint32_t n)
{
	struct tcp_ooo *o = c->ooo;
	struct tcp_rlist l = {NULL, NULL};
	uint32_t done;

	if (i > 0 && o->run[i - 1].end == seq) {
		i--;
		done = place(c, &o->run[i].list, s, seq - s->seq, n);
		o->run[i].end += done;
	} else {
		if (!run_place(c))
			return 0;
		done = place(c, &l, s, seq - s->seq, n);
		if (done > 0)
			run_insert(o, i, seq, done, &l);
	}
	o->bytes += done;
	if (done > 0 && i + 1 < o->nb && o->run[i].end == o->run[i + 1].start) {
		o->run[i].end = o->run[i + 1].end;
		list_join(&o->run[i].list, &o->run[i + 1].list);
		run_remove(o, i + 1);
	}
	return done;
}

static void note_recent(struct tcp_ooo *o, uint32_t seq)
{
	memmove(&o->recent[1], &o->recent[0], (TCP_SACK_RECENT - 1) * sizeof(o->recent[0]));
	o->recent[0] = seq;
	if (o->nb_recent < TCP_SACK_RECENT)
		o->nb_recent++;
}

static bool fill(struct sl_tcp_conn *c, const struct tcp_seg *s)
{
	struct tcp_ooo *o = c->ooo;
	uint32_t seq = s->seq, end = s->seq + s->len;
	bool some = false, grows;

	while (seq_lt(seq, end)) {
		uint32_t i = run_behind(o, seq), n, done;

		if (i < o->nb && seq_le(o->run[i].start, seq)) {
			seq = o->run[i].end;
			continue;
		}
		n = (i < o->nb ? seq_min(end, o->run[i].start) : end) - seq;
		grows = i > 0 && o->run[i - 1].end == seq; /* needs no place */
		if (!grows && !run_place(c) && drop_highest(c, seq) > 0)
			continue;
		done = fill_gap(c, s, seq, i, n);
		some = some || done > 0;
		seq += done;
		if (done < n)
			break;
	}
	return some;
}

bool tcp_rcvq_out_of_order(struct sl_tcp_conn *c, const struct tcp_seg *s)
{
	bool fresh = c->ooo == NULL, some;

	if (fresh)
		c->ooo = tcp_pool_take(&c->t->ooo);
	if (c->ooo == NULL)
		return false;
	c->has_ooo = true;
	if (fresh) {
		c->ooo->nb = c->ooo->bytes = c->ooo->nb_recent = 0;
		c->ooo->run = c->ooo->few;
	}
	some = admit(c, s) && fill(c, s);
	if (c->ooo->nb == 0)
		ooo_give(c);
	else
		note_recent(c->ooo, s->seq);
	return some;
}

/* ---- out ---- */

void tcp_rcvq_drop(struct sl_tcp_conn *c, uint32_t n)
{
	struct tcp_rcvq *q = &c->rcvq;

	q->bytes -= n;
	while (n > 0) {
		struct tcp_rpiece *p = q->list.first;

		if (n < p->len) {
			p->off += n;
			p->len -= n;
			return;
		}
		n -= p->len;
		q->list.first = p->next;
		piece_free(c, p);
	}
	if (q->list.first == NULL)
		q->list.last = NULL;
}

void tcp_rcvq_cut(struct sl_tcp_conn *c)
{
	struct tcp_ooo *o = c->ooo;

	if (o == NULL)
		return;
	for (uint32_t i = 0; i < o->nb; i++)
		list_free(c, &o->run[i].list);
	ooo_give(c);
}

void tcp_rcvq_clear(struct sl_tcp_conn *c)
{
	tcp_rcvq_cut(c);
	list_free(c, &c->rcvq.list);
	c->rcvq.bytes = 0;
}
