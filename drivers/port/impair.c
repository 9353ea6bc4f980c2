#include "impair.h"

#include <stdlib.h>

#include <rte_cycles.h>

#include "sl_counter.h"
#include "sl_ticks.h"

#define PPM UINT32_C(1000000)

static uint64_t tsc_now_us(const struct port_impair *s)
{
	return sl_ticks_us(rte_rdtsc(), s->tsc_scale);
}

static struct impair_queue *queue_of(struct port_impair *s, enum impair_dir dir, uint16_t worker)
{
	return &s->q[2 * worker + (dir == IMPAIR_TX ? 1 : 0)];
}

/* SplitMix64 (Steele, Lea, Flood 2014): any seed will do. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* 0 to n - 1. */
static uint32_t below(uint64_t *state, uint32_t n)
{
	return (uint32_t)(((next_random(state) >> 32) * n) >> 32);
}

static bool dir_in_range(const struct sl_port_impair_dir *d)
{
	return d->drop_ppm <= PPM && d->duplicate_ppm <= PPM && d->reorder_ppm <= PPM &&
	       d->corrupt_ppm <= PPM && d->delay_us <= IMPAIR_TIME_MAX_US &&
	       d->jitter_us <= IMPAIR_TIME_MAX_US && d->reorder_us <= IMPAIR_TIME_MAX_US;
}

const char *impair_check(const struct sl_port_impair *cfg)
{
	if (!dir_in_range(&cfg->rx) || !dir_in_range(&cfg->tx))
		return "rates are at most 1000000 ppm, times at most a minute";
	if (cfg->queue_packets > IMPAIR_QUEUE_MAX)
		return "the queue holds at most 65536 packets";
	if (cfg->cut_for_ms == 0 && cfg->cut_every_ms != 0)
		return "a cut that is repeated must last for some time";
	return NULL;
}

static int queue_init(struct impair_queue *q, uint64_t seed, uint32_t cap, struct rte_mempool *pool)
{
	q->heap = calloc(cap, sizeof(q->heap[0]));
	q->cap = cap;
	q->random = seed;
	q->pool = pool;
	return q->heap == NULL ? SL_E_NOMEM : SL_OK;
}

struct port_impair *impair_new(const struct sl_port_impair *cfg, struct rte_mempool *const *pools,
                               uint16_t nb_workers)
{
	size_t size = sizeof(struct port_impair) + 2 * (size_t)nb_workers * sizeof(struct impair_queue);
	uint32_t cap = cfg->queue_packets != 0 ? cfg->queue_packets : IMPAIR_QUEUE_DEFAULT;
	struct port_impair *s;
	uint64_t seeds = cfg->seed;
	int rc = SL_OK;

	s = aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_ALIGN_CEIL(size, RTE_CACHE_LINE_SIZE));
	if (s == NULL)
		return NULL;
	memset(s, 0, size);
	s->cfg = *cfg;
	s->now_us = tsc_now_us;
	s->tsc_scale = sl_ticks_scale(rte_get_tsc_hz());
	s->start_us = s->now_us(s);
	s->nb_workers = nb_workers;
	for (uint16_t i = 0; i < 2 * nb_workers && rc == SL_OK; i++)
		rc = queue_init(&s->q[i], next_random(&seeds), cap, pools[i / 2]);
	if (rc == SL_OK)
		return s;
	impair_free(s);
	return NULL;
}

void impair_free(struct port_impair *s)
{
	if (s == NULL)
		return;
	for (uint16_t i = 0; i < 2 * s->nb_workers; i++) {
		for (uint32_t k = 0; k < s->q[i].nb; k++)
			rte_pktmbuf_free(s->q[i].heap[k].m);
		free(s->q[i].heap);
	}
	free(s);
}

/* Any thread. */
bool impair_is_cut(const struct port_impair *s)
{
	uint64_t ms = (s->now_us(s) - s->start_us) / 1000;

	if (atomic_load_explicit(&s->cut, memory_order_relaxed))
		return true;
	if (s->cfg.cut_for_ms == 0 || ms < s->cfg.cut_after_ms)
		return false;
	ms -= s->cfg.cut_after_ms;
	if (s->cfg.cut_every_ms != 0)
		ms %= s->cfg.cut_every_ms;
	return ms < s->cfg.cut_for_ms;
}

/* ---- the heap ---- */

static bool earlier(const struct impair_item *a, const struct impair_item *b)
{
	return a->due_us != b->due_us ? a->due_us < b->due_us : a->seq < b->seq;
}

static void heap_push(struct impair_queue *q, struct impair_item item)
{
	uint32_t at = q->nb++;

	while (at > 0) {
		uint32_t up = (at - 1) / 2;

		if (!earlier(&item, &q->heap[up]))
			break;
		q->heap[at] = q->heap[up];
		at = up;
	}
	q->heap[at] = item;
}

static struct rte_mbuf *heap_pop(struct impair_queue *q)
{
	struct rte_mbuf *m = q->heap[0].m;
	struct impair_item last = q->heap[--q->nb];
	uint32_t at = 0;

	for (;;) {
		uint32_t down = 2 * at + 1;

		if (down >= q->nb)
			break;
		if (down + 1 < q->nb && earlier(&q->heap[down + 1], &q->heap[down]))
			down++;
		if (!earlier(&q->heap[down], &last))
			break;
		q->heap[at] = q->heap[down];
		at = down;
	}
	q->heap[at] = last;
	return m;
}

/* ---- what happens to a packet ---- */

static void lose(struct rte_mbuf *m, int err)
{
	(void)sl_fail(err);
	rte_pktmbuf_free(m);
}

/* A packet with one bit turned, as noise on a cable would. Its data may be shared with a queue of TCP: a copy
 * is damaged. What the device said of its checksums does not hold any more. */
static struct rte_mbuf *corrupt(const struct impair_queue *q, struct rte_mbuf *m, uint64_t *dice)
{
	uint32_t bit = below(dice, m->pkt_len * 8);
	struct rte_mbuf *copy = rte_pktmbuf_copy(m, q->pool, 0, UINT32_MAX);
	struct rte_mbuf *s = copy;
	uint32_t at = bit / 8;

	rte_pktmbuf_free(m);
	if (copy == NULL) {
		(void)sl_fail(SL_E_NET_NO_MBUF);
		return NULL;
	}
	for (; at >= s->data_len; s = s->next)
		at -= s->data_len;
	*rte_pktmbuf_mtod_offset(s, uint8_t *, at) ^= (uint8_t)(1u << (bit & 7));
	copy->ol_flags &= ~(RTE_MBUF_F_RX_IP_CKSUM_MASK | RTE_MBUF_F_RX_L4_CKSUM_MASK);
	sl_count(SL_C_IMPAIR_CORRUPTED);
	return copy;
}

/* Delay and jitter keep the order; only a packet picked for it is overtaken. */
static void hold(struct impair_queue *q, const struct sl_port_impair_dir *d, struct rte_mbuf *m,
                 bool overtaken, uint64_t *dice, uint64_t now_us)
{
	uint64_t due = now_us + d->delay_us + below(dice, d->jitter_us + 1);

	if (q->nb == q->cap) {
		lose(m, SL_E_PORT_IMPAIR_FULL);
		return;
	}
	due = RTE_MAX(due, q->last_due_us);
	if (overtaken) {
		due += d->reorder_us != 0 ? d->reorder_us : IMPAIR_REORDER_US;
		sl_count(SL_C_IMPAIR_REORDERED);
	} else {
		q->last_due_us = due;
	}
	heap_push(q, (struct impair_item){due, q->seq++, m});
}

/* Each packet has dice of its own, so that one rate does not shift the luck of later packets. */
static void put_one(struct impair_queue *q, const struct sl_port_impair_dir *d, struct rte_mbuf *m,
                    uint64_t now_us)
{
	uint64_t dice = next_random(&q->random);
	bool dropped = below(&dice, PPM) < d->drop_ppm;
	bool doubled = below(&dice, PPM) < d->duplicate_ppm;
	bool overtaken = below(&dice, PPM) < d->reorder_ppm;
	bool damaged = below(&dice, PPM) < d->corrupt_ppm;
	struct rte_mbuf *twin;

	if (dropped) {
		lose(m, SL_E_PORT_IMPAIRED);
		return;
	}
	if (damaged && m->pkt_len > 0)
		m = corrupt(q, m, &dice);
	if (m == NULL)
		return;
	twin = doubled ? rte_pktmbuf_copy(m, q->pool, 0, UINT32_MAX) : NULL;
	hold(q, d, m, overtaken, &dice, now_us);
	if (twin != NULL) {
		sl_count(SL_C_IMPAIR_DUPLICATED);
		hold(q, d, twin, false, &dice, now_us);
	}
}

void impair_put(struct port_impair *s, enum impair_dir dir, uint16_t worker, struct rte_mbuf **m, uint16_t n)
{
	const struct sl_port_impair_dir *d = dir == IMPAIR_TX ? &s->cfg.tx : &s->cfg.rx;
	struct impair_queue *q = queue_of(s, dir, worker);
	uint64_t now_us = s->now_us(s);
	bool cut = impair_is_cut(s);

	for (uint16_t i = 0; i < n; i++) {
		if (cut)
			lose(m[i], SL_E_PORT_CUT);
		else
			put_one(q, d, m[i], now_us);
	}
}

uint16_t impair_take(struct port_impair *s, enum impair_dir dir, uint16_t worker, struct rte_mbuf **m,
                     uint16_t n)
{
	struct impair_queue *q = queue_of(s, dir, worker);
	uint64_t now_us;
	uint16_t got = 0;

	if (q->nb == 0)
		return 0;
	now_us = s->now_us(s);
	while (got < n && q->nb > 0 && q->heap[0].due_us <= now_us)
		m[got++] = heap_pop(q);
	return got;
}
