#include "port_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include <rte_errno.h>

#include "sl_counter.h"

#define RSS_HASHES (RTE_ETH_RSS_NONFRAG_IPV4_TCP)

__attribute__((format(printf, 3, 4))) static int refuse(char *err, size_t cap, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (err != NULL && cap > 0)
		(void)vsnprintf(err, cap, fmt, ap);
	va_end(ap);
	return sl_fail(SL_E_PORT_OPEN);
}

static uint16_t less(uint16_t a, uint16_t b)
{
	return a < b ? a : b;
}

static uint16_t at_least_1(uint16_t n)
{
	return n == 0 ? 1 : n;
}

/* Which of the device's abilities are used. */
static void choose(struct sl_port *p, const struct sl_port_cfg *cfg, const struct rte_eth_dev_info *info,
                   struct rte_eth_conf *conf)
{
	struct sl_port_caps *c = &p->caps;
	/* The impairment works on what is on the wire: packets of wire size whose checksums are filled in. */
	bool software = cfg->software_checksum || cfg->impair != NULL;
	uint64_t rx = software ? 0 : info->rx_offload_capa;
	uint64_t tx = software ? 0 : info->tx_offload_capa;

	conf->rxmode.offloads = rx & (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM);
	conf->txmode.offloads = tx & (RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM);
	conf->txmode.offloads |= info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	p->tx_offloads = conf->txmode.offloads;
	c->rx_ip_csum = (conf->rxmode.offloads & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM) != 0;
	c->rx_tcp_csum = (conf->rxmode.offloads & RTE_ETH_RX_OFFLOAD_TCP_CKSUM) != 0;
	c->tx_ip_csum = (conf->txmode.offloads & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM) != 0;
	c->tx_tcp_csum = (conf->txmode.offloads & RTE_ETH_TX_OFFLOAD_TCP_CKSUM) != 0;
	c->multi_seg = (conf->txmode.offloads & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) != 0;
	c->nb_rx_queues = less(p->nb_workers, at_least_1(info->max_rx_queues));
	c->nb_tx_queues = less(p->nb_workers, at_least_1(info->max_tx_queues));
	p->tx_shared = c->nb_tx_queues < p->nb_workers;
	c->tso = false; /* not asked for */
	/* RSS only spreads the load of receiving: the owner of a flow is decided by our own hash (see
	 * README.md). */
	c->rss = (info->flow_type_rss_offloads & RSS_HASHES) != 0;
	if (c->rss && c->nb_rx_queues > 1) {
		conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf->rx_adv_conf.rss_conf.rss_hf = info->flow_type_rss_offloads & RSS_HASHES;
	}
}

static uint16_t ring_size(uint16_t asked, uint16_t dev_default)
{
	uint16_t n = asked != 0 ? asked : dev_default;

	return n == 0 ? 1024 : less(n, PORT_DESC_MAX);
}

/* A received packet must fit one buffer: there is no scatter, and nobody above meets a chain. */
static bool buffers_fit(const struct sl_port *p)
{
	uint32_t frame = (uint32_t)p->caps.mtu + RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN + RTE_VLAN_HLEN;

	for (uint16_t i = 0; i < p->nb_workers; i++) {
		if (rte_pktmbuf_data_room_size(p->pool[i]) < frame + RTE_PKTMBUF_HEADROOM)
			return false;
	}
	return true;
}

static int set_up_queues(struct sl_port *p, const struct sl_port_cfg *cfg,
                         const struct rte_eth_dev_info *info, char *err, size_t cap)
{
	uint16_t nb_rx = ring_size(cfg->rx_desc, info->default_rxportconf.ring_size);
	uint16_t nb_tx = ring_size(cfg->tx_desc, info->default_txportconf.ring_size);
	int socket = rte_eth_dev_socket_id(p->id);
	int rc = rte_eth_dev_adjust_nb_rx_tx_desc(p->id, &nb_rx, &nb_tx);

	if (rc != 0)
		return refuse(err, cap, "%s: descriptors: %s", p->name, rte_strerror(-rc));
	for (uint16_t q = 0; q < p->caps.nb_rx_queues; q++) {
		rc = rte_eth_rx_queue_setup(p->id, q, nb_rx, (unsigned)socket, NULL, p->pool[q]);
		if (rc != 0)
			return refuse(err, cap, "%s: receive queue %u: %s", p->name, q, rte_strerror(-rc));
	}
	for (uint16_t q = 0; q < p->caps.nb_tx_queues; q++) {
		rc = rte_eth_tx_queue_setup(p->id, q, nb_tx, (unsigned)socket, NULL);
		if (rc != 0)
			return refuse(err, cap, "%s: transmit queue %u: %s", p->name, q, rte_strerror(-rc));
	}
	return SL_OK;
}

static int set_mtu(struct sl_port *p, const struct sl_port_cfg *cfg, char *err, size_t cap)
{
	uint16_t now = 0;
	int rc = rte_eth_dev_get_mtu(p->id, &now);

	if (rc != 0)
		return refuse(err, cap, "%s: MTU: %s", p->name, rte_strerror(-rc));
	if (cfg->mtu != 0 && cfg->mtu != now) {
		rc = rte_eth_dev_set_mtu(p->id, cfg->mtu);
		if (rc != 0)
			return refuse(err, cap, "%s: MTU %u: %s", p->name, cfg->mtu, rte_strerror(-rc));
		now = cfg->mtu;
	}
	p->caps.mtu = now;
	if (!buffers_fit(p))
		return refuse(err, cap, "%s: packet buffers are too small for an MTU of %u", p->name, now);
	return SL_OK;
}

static int make_handoff(struct sl_port *p, char *err, size_t cap)
{
	char name[RTE_RING_NAMESIZE];

	if (p->nb_workers == 1)
		return SL_OK;
	for (uint16_t w = 0; w < p->nb_workers; w++) {
		(void)snprintf(name, sizeof(name), "sl_handoff_%u_%u", p->id, w);
		p->handoff[w] = rte_ring_create(name, PORT_HANDOFF_SLOTS, rte_eth_dev_socket_id(p->id),
		                                RING_F_SC_DEQ);
		if (p->handoff[w] == NULL)
			return refuse(err, cap, "%s: hand-off ring: %s", p->name, rte_strerror(rte_errno));
	}
	return SL_OK;
}

static int make_impair(struct sl_port *p, const struct sl_port_cfg *cfg, char *err, size_t cap)
{
	const char *wrong;

	if (cfg->impair == NULL)
		return SL_OK;
	wrong = impair_check(cfg->impair);
	if (wrong != NULL)
		return refuse(err, cap, "%s: impairment: %s", p->name, wrong);
	p->impair = impair_new(cfg->impair, p->pool, p->nb_workers);
	if (p->impair == NULL)
		return refuse(err, cap, "%s: out of memory", p->name);
	return SL_OK;
}

static int configure(struct sl_port *p, const struct sl_port_cfg *cfg, char *err, size_t cap)
{
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf;
	int rc = rte_eth_dev_info_get(p->id, &info);

	if (rc != 0)
		return refuse(err, cap, "%s: %s", p->name, rte_strerror(-rc));
	memset(&conf, 0, sizeof(conf));
	choose(p, cfg, &info, &conf);
	rc = rte_eth_dev_configure(p->id, p->caps.nb_rx_queues, p->caps.nb_tx_queues, &conf);
	if (rc != 0)
		return refuse(err, cap, "%s: configure: %s", p->name, rte_strerror(-rc));
	rc = set_mtu(p, cfg, err, cap);
	if (rc != SL_OK)
		return rc;
	rc = set_up_queues(p, cfg, &info, err, cap);
	if (rc != SL_OK)
		return rc;
	rc = make_handoff(p, err, cap);
	if (rc == SL_OK)
		rc = make_impair(p, cfg, err, cap);
	if (rc != SL_OK)
		return rc;
	rc = rte_eth_dev_start(p->id);
	if (rc != 0)
		return refuse(err, cap, "%s: start: %s", p->name, rte_strerror(-rc));
	p->started = true;
	rc = rte_eth_macaddr_get(p->id, &p->mac);
	if (rc != 0)
		return refuse(err, cap, "%s: MAC address: %s", p->name, rte_strerror(-rc));
	return SL_OK;
}

int sl_port_open(const struct sl_port_cfg *cfg, struct rte_mempool *const *pools, struct sl_port **out,
                 char *err, size_t err_cap)
{
	struct sl_port *p;
	int rc;

	*out = NULL;
	if (cfg->nb_workers == 0 || cfg->nb_workers > PORT_WORKERS_MAX)
		return refuse(err, err_cap, "%s: 1 to %d workers", cfg->device, PORT_WORKERS_MAX);
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return refuse(err, err_cap, "%s: out of memory", cfg->device);
	p->nb_workers = cfg->nb_workers;
	for (uint16_t i = 0; i < PORT_WORKERS_MAX; i++)
		rte_spinlock_init(&p->tx_lock[i]);
	for (uint16_t i = 0; i < p->nb_workers; i++)
		p->pool[i] = pools[i];
	if (getrandom(p->hash_key, sizeof(p->hash_key), 0) != (ssize_t)sizeof(p->hash_key))
		rc = refuse(err, err_cap, "%s: no randomness", cfg->device);
	else if (rte_eth_dev_get_port_by_name(cfg->device, &p->id) != 0)
		rc = refuse(err, err_cap, "%s: no such device", cfg->device);
	else {
		(void)snprintf(p->name, sizeof(p->name), "%s", cfg->device);
		rc = configure(p, cfg, err, err_cap);
	}
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

/* The device is stopped and can be opened again; it goes with EAL. */
void sl_port_close(struct sl_port *p)
{
	if (p == NULL)
		return;
	if (p->started)
		(void)rte_eth_dev_stop(p->id);
	for (uint16_t i = 0; i < p->nb_workers; i++)
		drain(p->handoff[i]);
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

bool sl_port_link(const struct sl_port *p)
{
	struct rte_eth_link link;

	if (p->impair != NULL && impair_is_cut(p->impair))
		return false;
	memset(&link, 0, sizeof(link));
	return rte_eth_link_get_nowait(p->id, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

void sl_port_cut(struct sl_port *p, bool cut)
{
	if (p->impair != NULL)
		atomic_store_explicit(&p->impair->cut, cut, memory_order_relaxed);
}
