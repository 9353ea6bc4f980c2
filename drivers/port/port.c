#include "port_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include <rte_errno.h>

#include "sl_counter.h"

static _Atomic uint32_t ports_opened; /* for names that no other port has */

int port_refuse(char *err, size_t cap, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (err != NULL && cap > 0)
		(void)vsnprintf(err, cap, fmt, ap);
	va_end(ap);
	return sl_fail(SL_E_PORT_OPEN);
}

/* Of the smallest of the pools' buffers. */
uint32_t port_buffer_room(const struct sl_port *p)
{
	uint32_t room = UINT32_MAX;

	for (uint16_t i = 0; i < p->nb_workers; i++)
		room = RTE_MIN(room, (uint32_t)rte_pktmbuf_data_room_size(p->pool[i]));
	return room < RTE_PKTMBUF_HEADROOM ? 0 : room - RTE_PKTMBUF_HEADROOM;
}

uint16_t sl_port_buf_bytes(uint16_t mtu)
{
	uint32_t n = RTE_ALIGN_CEIL(RTE_PKTMBUF_HEADROOM + port_frame_bytes(mtu), RTE_CACHE_LINE_SIZE);

	return (uint16_t)RTE_MIN(RTE_MAX(n, (uint32_t)RTE_MBUF_DEFAULT_BUF_SIZE), (uint32_t)UINT16_MAX);
}

static int make_handoff(struct sl_port *p, char *err, size_t cap)
{
	uint32_t serial = atomic_fetch_add(&ports_opened, 1);
	char name[RTE_RING_NAMESIZE];

	if (p->nb_workers == 1)
		return SL_OK;
	for (uint16_t w = 0; w < p->nb_workers; w++) {
		(void)snprintf(name, sizeof(name), "sl_handoff_%u_%u", serial, w);
		p->handoff[w] = rte_ring_create(name, PORT_HANDOFF_SLOTS, p->socket, RING_F_SC_DEQ);
		if (p->handoff[w] == NULL)
			return port_refuse(err, cap, "%s: hand-off ring: %s", p->name,
			                   rte_strerror(rte_errno));
	}
	if (port_bells_make(p) < 0)
		return port_refuse(err, cap, "%s: no descriptor for a hand-off ring", p->name);
	return SL_OK;
}

static int make_impair(struct sl_port *p, const struct sl_port_cfg *cfg, char *err, size_t cap)
{
	const char *wrong;

	if (cfg->impair == NULL)
		return SL_OK;
	wrong = impair_check(cfg->impair);
	if (wrong != NULL)
		return port_refuse(err, cap, "%s: impairment: %s", p->name, wrong);
	p->impair = impair_new(cfg->impair, p->pool, p->nb_workers);
	if (p->impair == NULL)
		return port_refuse(err, cap, "%s: out of memory", p->name);
	return SL_OK;
}

static int configure(struct sl_port *p, const struct sl_port_cfg *cfg, char *err, size_t cap)
{
	int rc = p->dev->open(p, cfg, err, cap);

	p->tx_shared = p->caps.nb_tx_queues < p->nb_workers;
	for (uint16_t w = 0; w < p->nb_workers; w++)
		p->w[w].idle_polls = PORT_CLEAN_POLLS;
	if (rc == SL_OK)
		rc = make_handoff(p, err, cap);
	if (rc == SL_OK)
		rc = make_impair(p, cfg, err, cap);
	return rc == SL_OK ? p->dev->start(p, err, cap) : rc;
}

int sl_port_open(const struct sl_port_cfg *cfg, struct rte_mempool *const *pools, struct sl_port **out,
                 char *err, size_t err_cap)
{
	struct sl_port *p;
	int rc;

	*out = NULL;
	if (cfg->nb_workers == 0 || cfg->nb_workers > PORT_WORKERS_MAX)
		return port_refuse(err, err_cap, "%s: 1 to %d workers", cfg->device, PORT_WORKERS_MAX);
	p = aligned_alloc(_Alignof(struct sl_port), sizeof(*p));
	if (p == NULL)
		return port_refuse(err, err_cap, "%s: out of memory", cfg->device);
	memset(p, 0, sizeof(*p));
	p->nb_workers = cfg->nb_workers;
	p->steering = p->nb_workers == 1 ? SL_PORT_STEER_ONE : SL_PORT_STEER_SOFT;
	p->socket = SOCKET_ID_ANY;
	p->dev = port_kernel_name(cfg->device) != NULL ? &port_kernel : &port_ethdev;
	(void)snprintf(p->name, sizeof(p->name), "%s", cfg->device);
	for (uint16_t i = 0; i < PORT_WORKERS_MAX; i++)
		rte_spinlock_init(&p->tx_lock[i]);
	port_bells_init(p);
	for (uint16_t i = 0; i < p->nb_workers; i++)
		p->pool[i] = pools[i];
	if (getrandom(p->hash_key, sizeof(p->hash_key), 0) != (ssize_t)sizeof(p->hash_key))
		rc = port_refuse(err, err_cap, "%s: no randomness", cfg->device);
	else
		rc = configure(p, cfg, err, err_cap);
	if (rc != SL_OK) {
		sl_port_close(p);
		return rc;
	}
	*out = p;
	return SL_OK;
}

static void drain(struct rte_ring *r)
{
	void *m;

	if (r == NULL)
		return;
	while (rte_ring_sc_dequeue(r, &m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(r);
}

void sl_port_close(struct sl_port *p)
{
	if (p == NULL)
		return;
	p->dev->close(p);
	for (uint16_t i = 0; i < p->nb_workers; i++)
		drain(p->handoff[i]);
	port_bells_free(p);
	impair_free(p->impair);
	free(p);
}

const struct sl_port_caps *sl_port_caps(const struct sl_port *p)
{
	return &p->caps;
}

struct rte_ether_addr sl_port_mac(const struct sl_port *p)
{
	return p->mac;
}

const char *sl_port_name(const struct sl_port *p)
{
	return p->name;
}

void sl_port_multicast(struct sl_port *p)
{
	p->dev->multicast(p);
}

bool sl_port_link(const struct sl_port *p)
{
	return (p->impair == NULL || !impair_is_cut(p->impair)) && p->dev->link(p);
}

void sl_port_cut(struct sl_port *p, bool cut)
{
	if (p->impair != NULL)
		atomic_store_explicit(&p->impair->cut, cut, memory_order_relaxed);
}

int sl_port_stats(const struct sl_port *p, struct sl_port_stats *out)
{
	memset(out, 0, sizeof(*out));
	return p->dev->stats(p, out);
}
