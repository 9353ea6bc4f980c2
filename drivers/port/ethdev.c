/* Devices of DPDK: what an ethdev can do, what of it is used, and the calls. */
#include "port_priv.h"

#include <rte_errno.h>

#include "sl_counter.h"

#define RSS_HASHES (RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP)
#define TX_PREPARES                                                                                          \
	(RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_TSO)

static uint16_t less(uint16_t a, uint16_t b)
{
	return a < b ? a : b;
}

static uint16_t at_least_1(uint16_t n)
{
	return n == 0 ? 1 : n;
}

/*
 * Offloads that do not do what they say: net_tap cuts large segments in software, IPv4 only, and drops the
 * others.
 */
static uint64_t known_broken(const char *driver)
{
	return strcmp(driver, "net_tap") == 0 ? RTE_ETH_TX_OFFLOAD_TCP_TSO : 0;
}

/* TSO is of use only where the device also takes the pieces as a chain and fills in their checksums. */
static uint64_t choose_tx(const struct rte_eth_dev_info *info, bool software)
{
	uint64_t sums = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
	uint64_t large =
	        RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	uint64_t can = info->tx_offload_capa & ~known_broken(info->driver_name);
	uint64_t use = can & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;

	if (software)
		return use;
	use |= can & sums;
	return (can & large) == large ? use | RTE_ETH_TX_OFFLOAD_TCP_TSO : use;
}

/* Chains come up only through LRO, or where a frame does not fit a buffer (set_mtu). */
static uint64_t choose_rx(const struct rte_eth_dev_info *info, bool software)
{
	uint64_t large =
	        RTE_ETH_RX_OFFLOAD_TCP_LRO | RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_SCATTER;
	uint64_t can = info->rx_offload_capa;

	if (software)
		return 0;
	if ((can & large) == large)
		return can & (large | RTE_ETH_RX_OFFLOAD_IPV4_CKSUM);
	return can & (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM);
}

/*
 * How long a chain may be: what the device says (0: nothing), and no more than a share of its ring, in which
 * each segment takes a place. One for a device that sends no chains.
 */
static uint16_t segments(bool can, uint16_t max, uint16_t nb_desc)
{
	uint16_t share = at_least_1(nb_desc / PORT_CHAIN_SHARE);

	if (!can)
		return 1;
	return max == 0 ? share : less(max, share);
}

/* The device's own hash decides the owner where it takes our key and table; else it only spreads. */
static void choose_rss(struct sl_port *p, const struct rte_eth_dev_info *info, struct rte_eth_conf *conf)
{
	uint64_t hashes = info->flow_type_rss_offloads & RSS_HASHES;
	uint8_t key_len = info->hash_key_size == 0 ? PORT_RSS_KEY : info->hash_key_size;

	p->caps.rss = hashes != 0;
	if (hashes == 0 || p->caps.nb_rx_queues == 1)
		return;
	conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	conf->rx_adv_conf.rss_conf.rss_hf = p->rss_hashes = hashes;
	if (p->caps.nb_rx_queues != p->nb_workers || key_len != PORT_RSS_KEY)
		return;
	p->rss = port_rss_new(p->id, info->reta_size);
	if (p->rss == NULL)
		return;
	conf->rx_adv_conf.rss_conf.rss_key = p->rss->key;
	conf->rx_adv_conf.rss_conf.rss_key_len = PORT_RSS_KEY;
}

/* A better way of steering than in software, where the running device has one. */
static void choose_steering(struct sl_port *p)
{
	if (p->nb_workers == 1)
		return;
	if (p->rss != NULL && port_rss_apply(p->id, p->rss, p->nb_workers, p->rss_hashes))
		p->steering = SL_PORT_STEER_RSS;
	else if (p->caps.nb_rx_queues == p->nb_workers && port_rules_make(p))
		p->steering = SL_PORT_STEER_RULES;
}

/* Which of the device's abilities are used. */
static void choose(struct sl_port *p, const struct sl_port_cfg *cfg, const struct rte_eth_dev_info *info,
                   struct rte_eth_conf *conf)
{
	struct sl_port_caps *c = &p->caps;
	/* The impairment works on what is on the wire: packets of wire size whose checksums are filled in. */
	bool software = cfg->software_checksum || cfg->impair != NULL;
	uint64_t rx = choose_rx(info, software);
	uint64_t tx = choose_tx(info, software);

	if (port_buffer_room(p) < port_frame_bytes(cfg->mtu))
		rx |= info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;
	conf->rxmode.offloads = rx;
	conf->txmode.offloads = tx;
	conf->rxmode.mtu = cfg->mtu;
	if ((rx & RTE_ETH_RX_OFFLOAD_TCP_LRO) != 0)
		conf->rxmode.max_lro_pkt_size = info->max_lro_pkt_size;
	c->rx_ip_csum = (rx & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM) != 0;
	c->rx_tcp_csum = (rx & RTE_ETH_RX_OFFLOAD_TCP_CKSUM) != 0;
	c->lro = (rx & RTE_ETH_RX_OFFLOAD_TCP_LRO) != 0;
	c->scatter = (rx & RTE_ETH_RX_OFFLOAD_SCATTER) != 0;
	c->tx_ip_csum = (tx & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM) != 0;
	c->tx_tcp_csum = (tx & RTE_ETH_TX_OFFLOAD_TCP_CKSUM) != 0;
	c->multi_seg = (tx & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) != 0;
	c->tso = (tx & RTE_ETH_TX_OFFLOAD_TCP_TSO) != 0;
	p->tx_prepares = (tx & TX_PREPARES) != 0;
	p->tx_cleanup = true;
	c->nb_rx_queues = less(p->nb_workers, at_least_1(info->max_rx_queues));
	c->nb_tx_queues = less(p->nb_workers, at_least_1(info->max_tx_queues));
	choose_rss(p, info, conf);
}

static uint16_t ring_size(uint16_t asked, uint16_t dev_default)
{
	uint16_t n = asked != 0 ? asked : dev_default;

	return n == 0 ? 1024 : less(n, PORT_DESC_MAX);
}

static int set_up_queues(struct sl_port *p, const struct sl_port_cfg *cfg,
                         const struct rte_eth_dev_info *info, char *err, size_t cap)
{
	uint16_t nb_rx = ring_size(cfg->rx_desc, info->default_rxportconf.ring_size);
	uint16_t nb_tx = ring_size(cfg->tx_desc, info->default_txportconf.ring_size);
	int socket = rte_eth_dev_socket_id(p->id);
	int rc = rte_eth_dev_adjust_nb_rx_tx_desc(p->id, &nb_rx, &nb_tx);

	if (rc != 0)
		return port_refuse(err, cap, "%s: descriptors: %s", p->name, rte_strerror(-rc));
	p->seg_max = segments(p->caps.multi_seg, info->tx_desc_lim.nb_mtu_seg_max, nb_tx);
	p->tso_seg_max = p->caps.tso ? segments(true, info->tx_desc_lim.nb_seg_max, nb_tx) : 0;
	for (uint16_t q = 0; q < p->caps.nb_rx_queues; q++) {
		rc = rte_eth_rx_queue_setup(p->id, q, nb_rx, (unsigned)socket, NULL, p->pool[q]);
		if (rc != 0)
			return port_refuse(err, cap, "%s: receive queue %u: %s", p->name, q,
			                   rte_strerror(-rc));
	}
	for (uint16_t q = 0; q < p->caps.nb_tx_queues; q++) {
		rc = rte_eth_tx_queue_setup(p->id, q, nb_tx, (unsigned)socket, NULL);
		if (rc != 0)
			return port_refuse(err, cap, "%s: transmit queue %u: %s", p->name, q,
			                   rte_strerror(-rc));
	}
	return SL_OK;
}

static int set_mtu(struct sl_port *p, const struct sl_port_cfg *cfg, char *err, size_t cap)
{
	uint16_t now = 0;
	int rc = rte_eth_dev_get_mtu(p->id, &now);

	if (rc != 0)
		return port_refuse(err, cap, "%s: MTU: %s", p->name, rte_strerror(-rc));
	if (cfg->mtu != 0 && cfg->mtu != now) {
		rc = rte_eth_dev_set_mtu(p->id, cfg->mtu);
		if (rc != 0)
			return port_refuse(err, cap, "%s: MTU %u: %s", p->name, cfg->mtu, rte_strerror(-rc));
		now = cfg->mtu;
	}
	p->caps.mtu = now;
	if (!p->caps.scatter && port_buffer_room(p) < port_frame_bytes(now))
		return port_refuse(err, cap, "%s: packet buffers are too small for an MTU of %u", p->name,
		                   now);
	return SL_OK;
}

static int ethdev_open(struct sl_port *p, const struct sl_port_cfg *cfg, char *err, size_t cap)
{
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf;
	int rc;

	if (rte_eth_dev_get_port_by_name(p->name, &p->id) != 0)
		return port_refuse(err, cap, "%s: no such device", p->name);
	rc = rte_eth_dev_info_get(p->id, &info);
	if (rc != 0)
		return port_refuse(err, cap, "%s: %s", p->name, rte_strerror(-rc));
	p->socket = rte_eth_dev_socket_id(p->id);
	memset(&conf, 0, sizeof(conf));
	choose(p, cfg, &info, &conf);
	rc = rte_eth_dev_configure(p->id, p->caps.nb_rx_queues, p->caps.nb_tx_queues, &conf);
	if (rc != 0)
		return port_refuse(err, cap, "%s: configure: %s", p->name, rte_strerror(-rc));
	rc = set_mtu(p, cfg, err, cap);
	return rc == SL_OK ? set_up_queues(p, cfg, &info, err, cap) : rc;
}

static int ethdev_start(struct sl_port *p, char *err, size_t cap)
{
	int rc = rte_eth_dev_start(p->id);

	if (rc != 0)
		return port_refuse(err, cap, "%s: start: %s", p->name, rte_strerror(-rc));
	p->started = true;
	choose_steering(p);
	rc = rte_eth_macaddr_get(p->id, &p->mac);
	if (rc != 0)
		return port_refuse(err, cap, "%s: MAC address: %s", p->name, rte_strerror(-rc));
	return SL_OK;
}

/* The device is stopped and can be opened again; it goes with EAL. */
static void ethdev_close(struct sl_port *p)
{
	port_rules_free(p);
	if (p->started)
		(void)rte_eth_dev_stop(p->id);
	port_rss_free(p->rss);
}

static uint16_t ethdev_rx(struct sl_port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n)
{
	return rte_eth_rx_burst(p->id, queue, m, n);
}

static uint16_t ethdev_tx(struct sl_port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n)
{
	return rte_eth_tx_burst(p->id, queue, m, n);
}

static uint16_t ethdev_prepare(struct sl_port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n)
{
	return rte_eth_tx_prepare(p->id, queue, m, n);
}

static bool ethdev_clean(struct sl_port *p, uint16_t queue)
{
	return rte_eth_tx_done_cleanup(p->id, queue, 0) != -ENOTSUP;
}

static void ethdev_multicast(struct sl_port *p)
{
	(void)rte_eth_allmulticast_enable(p->id);
}

static bool ethdev_link(const struct sl_port *p)
{
	struct rte_eth_link link;

	memset(&link, 0, sizeof(link));
	return rte_eth_link_get_nowait(p->id, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

static int ethdev_stats(const struct sl_port *p, struct sl_port_stats *out)
{
	struct rte_eth_stats s;

	if (rte_eth_stats_get(p->id, &s) != 0)
		return sl_fail(SL_E_SYS);
	out->rx_packets = s.ipackets;
	out->rx_bytes = s.ibytes;
	out->rx_missed = s.imissed;
	out->rx_errors = s.ierrors;
	out->rx_no_buffer = s.rx_nombuf;
	out->tx_packets = s.opackets;
	out->tx_bytes = s.obytes;
	out->tx_errors = s.oerrors;
	return SL_OK;
}

const struct port_dev_ops port_ethdev = {
        .open = ethdev_open,
        .start = ethdev_start,
        .close = ethdev_close,
        .rx = ethdev_rx,
        .tx = ethdev_tx,
        .prepare = ethdev_prepare,
        .clean = ethdev_clean,
        .multicast = ethdev_multicast,
        .link = ethdev_link,
        .stats = ethdev_stats,
};
