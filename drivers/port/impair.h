/*
 * The test shim at a port's bursts: packets are dropped, doubled, held back, overtaken and damaged as struct
 * sl_port_impair says. Each worker has a queue and a random sequence of its own for each direction, so that
 * the same packets in the same order meet the same fate, whatever the other workers do.
 */
#ifndef SL_PORT_IMPAIR_H
#define SL_PORT_IMPAIR_H

#include <stdatomic.h>

#include "sl_port.h"

#define IMPAIR_QUEUE_DEFAULT 4096 /* packets that wait, per worker and direction */
#define IMPAIR_QUEUE_MAX     65536
#define IMPAIR_REORDER_US    1000 /* how much longer an overtaken packet waits, by default */
#define IMPAIR_TIME_MAX_US   (60 * 1000 * 1000)

enum impair_dir {
	IMPAIR_RX = 0,
	IMPAIR_TX = 1
};

struct impair_item {
	uint64_t due_us;
	uint64_t seq; /* of two that are due at the same time the first comes first */
	struct rte_mbuf *m;
};

/* The packets that wait, the next one due on top of a binary heap. */
struct impair_queue {
	struct impair_item *heap;
	uint32_t nb;
	uint32_t cap;
	uint64_t random; /* state of SplitMix64 */
	uint64_t seq;
	uint64_t last_due_us;
	struct rte_mempool *pool; /* for copies */
} __rte_cache_aligned;

struct port_impair {
	struct sl_port_impair cfg;
	uint64_t (*now_us)(const struct port_impair *s); /* a test has its own clock */
	uint64_t tsc_scale;
	uint64_t start_us;
	atomic_bool cut; /* by sl_port_cut() */
	uint16_t nb_workers;
	struct impair_queue q[]; /* two per worker: received, sent */
};

/* NULL: out of memory. cfg is in range (impair_check). */
struct port_impair *impair_new(const struct sl_port_impair *cfg, struct rte_mempool *const *pools,
                               uint16_t nb_workers);
void impair_free(struct port_impair *s);
/* What is out of range, in words; NULL: nothing. */
const char *impair_check(const struct sl_port_impair *cfg);
/* Takes n packets; what is lost is counted. */
void impair_put(struct port_impair *s, enum impair_dir dir, uint16_t worker, struct rte_mbuf **m, uint16_t n);
/* Gives up to n packets whose time has come. */
uint16_t impair_take(struct port_impair *s, enum impair_dir dir, uint16_t worker, struct rte_mbuf **m,
                     uint16_t n);
bool impair_is_cut(const struct port_impair *s);

#endif
