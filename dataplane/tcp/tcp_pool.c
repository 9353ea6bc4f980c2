/* Pools of small objects of one size: slabs from the heap when all are in use, given back at the end only. So
 * that nothing is taken from the heap per packet once a stack has warmed up. */
#include <stdlib.h>

#include "tcp_priv.h"

static bool grow(struct tcp_pool *p)
{
	struct tcp_slab *slab = aligned_alloc(64, 64 + (size_t)p->slab * p->each);
	uint8_t *mem;

	if (slab == NULL)
		return false;
	slab->next = p->slabs;
	p->slabs = slab;
	mem = (uint8_t *)slab + 64;
	for (uint32_t i = 0; i < p->slab; i++, mem += p->each) {
		memcpy(mem, &p->free, sizeof(p->free));
		p->free = mem;
	}
	return true;
}

void tcp_pool_init(struct tcp_pool *p, size_t each, uint32_t slab)
{
	memset(p, 0, sizeof(*p));
	p->each = (uint32_t)each;
	p->slab = slab;
}

void *tcp_pool_take(struct tcp_pool *p)
{
	void *obj;

	obj = p->free != NULL || grow(p) ? p->free : NULL;
	if (obj == NULL)
		return NULL;
	memcpy(&p->free, obj, sizeof(p->free));
	rte_prefetch0(p->free);
	p->nb_used++;
	return obj;
}

void tcp_pool_give(struct tcp_pool *p, void *obj)
{
	memcpy(obj, &p->free, sizeof(p->free));
	p->free = obj;
	p->nb_used--;
}

void tcp_pool_fini(struct tcp_pool *p)
{
	while (p->slabs != NULL) {
		struct tcp_slab *s = p->slabs;

		p->slabs = s->next;
		free(s);
	}
	p->free = NULL;
}

/* With tens of thousands of replies unacknowledged the next one is not in the cache either. */
struct rte_mbuf *tcp_mbuf_alloc(const struct sl_tcp *t)
{
	struct rte_mempool *mp = t->cfg.pool;
	struct rte_mbuf *m = rte_pktmbuf_alloc(mp);
	const struct rte_mempool_cache *cache = rte_mempool_default_cache(mp, rte_lcore_id());
	const uint8_t *next;

	if (cache == NULL || cache->len == 0)
		return m;
	next = cache->objs[cache->len - 1];
	rte_prefetch0(next);
	next += sizeof(*m) + rte_pktmbuf_priv_size(mp);
	rte_prefetch0(next);
	rte_prefetch0(next + RTE_PKTMBUF_HEADROOM - TCP_LINE);
	rte_prefetch0(next + RTE_PKTMBUF_HEADROOM);
	return m;
}
