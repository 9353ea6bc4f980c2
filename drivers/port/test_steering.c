/*
 * The ways of steering: the Toeplitz hash against published vectors, ports whose replies come to the worker,
 * and devices with RSS or flow rules. There is none here, so they are played: a port of two rings whose
 * driver's answers are ours (the linker sends the calls to the functions below).
 */
#include "test_rig.h"

#include <arpa/inet.h>

#include <rte_ethdev.h>
#include <rte_flow.h>
#include <rte_thash.h>

#include "port_priv.h"

#define WORKERS 4

/* What the played device can do, and what it was told. */
static struct {
	bool rss, rules, other_key;
	unsigned rules_max;
	uint16_t reta_size;
	uint16_t reta[4096];
	uint8_t key[PORT_RSS_KEY];
	struct {
		bool v6;
		uint16_t port, mask, queue;
	} rule[2048];
	unsigned nb_rules;
} dev;

int __real_rte_eth_dev_info_get(uint16_t id, struct rte_eth_dev_info *info);
int __wrap_rte_eth_dev_info_get(uint16_t id, struct rte_eth_dev_info *info);
int __real_rte_eth_dev_configure(uint16_t id, uint16_t rx, uint16_t tx, const struct rte_eth_conf *conf);
int __wrap_rte_eth_dev_configure(uint16_t id, uint16_t rx, uint16_t tx, const struct rte_eth_conf *conf);
int __wrap_rte_eth_dev_rss_hash_update(uint16_t id, struct rte_eth_rss_conf *conf);
int __wrap_rte_eth_dev_rss_hash_conf_get(uint16_t id, struct rte_eth_rss_conf *conf);
int __wrap_rte_eth_dev_rss_reta_update(uint16_t id, struct rte_eth_rss_reta_entry64 *t, uint16_t n);
int __wrap_rte_flow_validate(uint16_t id, const struct rte_flow_attr *attr,
                             const struct rte_flow_item pattern[], const struct rte_flow_action actions[],
                             struct rte_flow_error *error);
struct rte_flow *__wrap_rte_flow_create(uint16_t id, const struct rte_flow_attr *attr,
                                        const struct rte_flow_item pattern[],
                                        const struct rte_flow_action actions[], struct rte_flow_error *error);
int __wrap_rte_flow_destroy(uint16_t id, struct rte_flow *flow, struct rte_flow_error *error);

int __wrap_rte_eth_dev_info_get(uint16_t id, struct rte_eth_dev_info *info)
{
	int rc = __real_rte_eth_dev_info_get(id, info);

	if (dev.rss) {
		info->flow_type_rss_offloads = RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP;
		info->reta_size = dev.reta_size;
		info->hash_key_size = PORT_RSS_KEY;
	}
	return rc;
}

/* The driver of rings has no RSS to be told of. */
int __wrap_rte_eth_dev_configure(uint16_t id, uint16_t rx, uint16_t tx, const struct rte_eth_conf *conf)
{
	struct rte_eth_conf c = *conf;

	if (dev.rss)
		assert_int_equal(c.rxmode.mq_mode, RTE_ETH_MQ_RX_RSS);
	c.rxmode.mq_mode = RTE_ETH_MQ_RX_NONE;
	memset(&c.rx_adv_conf, 0, sizeof(c.rx_adv_conf));
	return __real_rte_eth_dev_configure(id, rx, tx, &c);
}

int __wrap_rte_eth_dev_rss_hash_update(uint16_t id, struct rte_eth_rss_conf *conf)
{
	(void)id;
	assert_int_equal(conf->rss_key_len, PORT_RSS_KEY);
	memcpy(dev.key, conf->rss_key, PORT_RSS_KEY);
	return 0;
}

int __wrap_rte_eth_dev_rss_hash_conf_get(uint16_t id, struct rte_eth_rss_conf *conf)
{
	(void)id;
	memcpy(conf->rss_key, dev.key, PORT_RSS_KEY);
	if (dev.other_key)
		conf->rss_key[3] ^= 1;
	return 0;
}

int __wrap_rte_eth_dev_rss_reta_update(uint16_t id, struct rte_eth_rss_reta_entry64 *t, uint16_t n)
{
	(void)id;
	assert_int_equal(n, dev.reta_size);
	for (uint16_t i = 0; i < n; i++) {
		assert_true((t[i / 64].mask >> (i % 64) & 1) != 0);
		dev.reta[i] = t[i / 64].reta[i % 64];
	}
	return 0;
}

int __wrap_rte_flow_validate(uint16_t id, const struct rte_flow_attr *attr,
                             const struct rte_flow_item pattern[], const struct rte_flow_action actions[],
                             struct rte_flow_error *error)
{
	(void)id;
	(void)actions;
	(void)error;
	assert_true(attr->ingress && pattern[0].type == RTE_FLOW_ITEM_TYPE_ETH);
	return dev.rules ? 0 : -ENOTSUP;
}

struct rte_flow *__wrap_rte_flow_create(uint16_t id, const struct rte_flow_attr *attr,
                                        const struct rte_flow_item pattern[],
                                        const struct rte_flow_action actions[], struct rte_flow_error *error)
{
	const struct rte_flow_item_tcp *spec = pattern[2].spec;
	const struct rte_flow_item_tcp *mask = pattern[2].mask;
	const struct rte_flow_action_queue *to = actions[0].conf;
	unsigned n = dev.nb_rules;

	(void)id;
	(void)attr;
	(void)error;
	if (n == dev.rules_max)
		return NULL;
	dev.rule[n].v6 = pattern[1].type == RTE_FLOW_ITEM_TYPE_IPV6;
	dev.rule[n].port = rte_be_to_cpu_16(spec->hdr.dst_port);
	dev.rule[n].mask = rte_be_to_cpu_16(mask->hdr.dst_port);
	dev.rule[n].queue = to->index;
	dev.nb_rules++;
	return (struct rte_flow *)&dev.rule[n];
}

int __wrap_rte_flow_destroy(uint16_t id, struct rte_flow *flow, struct rte_flow_error *error)
{
	(void)id;
	(void)error;
	assert_non_null(flow);
	dev.nb_rules--;
	return 0;
}

/* ---- */

static struct sl_port *open_played(const char *name)
{
	struct rte_mempool *pools[WORKERS] = {rig_pool, rig_pool, rig_pool, rig_pool};
	struct rte_ring *rx[WORKERS], *tx[WORKERS];
	struct sl_port_cfg cfg = {.nb_workers = WORKERS};
	struct sl_port *p = NULL;
	char text[48];
	char err[200] = "";

	snprintf(text, sizeof(text), "net_ring_%s", name);
	cfg.device = text;
	for (int i = 0; i < WORKERS; i++) {
		char ring[32];

		snprintf(ring, sizeof(ring), "%s_rx%d", name, i);
		rx[i] = rte_ring_create(ring, RIG_SLOTS, SOCKET_ID_ANY, 0);
		snprintf(ring, sizeof(ring), "%s_tx%d", name, i);
		tx[i] = rte_ring_create(ring, RIG_SLOTS, SOCKET_ID_ANY, 0);
		assert_non_null(rx[i]);
		assert_non_null(tx[i]);
	}
	assert_true(rte_eth_from_rings(name, rx, WORKERS, tx, WORKERS, 0) >= 0);
	assert_int_equal(sl_port_open(&cfg, pools, &p, err, sizeof(err)), 0);
	return p;
}

static struct sl_endpoint random_end(bool v6, uint16_t port)
{
	struct sl_endpoint e = {{{0}, v6 ? SL_AF_INET6 : SL_AF_INET}, port};

	for (int i = 0; i < (v6 ? 16 : 4); i++)
		e.addr.b[i] = (uint8_t)rand();
	return e;
}

/* DPDK's own way bit by bit, as the device would. */
static uint32_t device_hash(const uint8_t *key, const struct sl_endpoint *src, const struct sl_endpoint *dst)
{
	uint32_t n = src->addr.family == SL_AF_INET6 ? 4 : 1;
	uint32_t in[9];
	_Alignas(4) uint8_t aligned[PORT_RSS_KEY]; /* rte_softrss() reads words */

	memcpy(aligned, key, sizeof(aligned));
	for (uint32_t i = 0; i < n; i++) {
		in[i] = sl_get_be32(src->addr.b + 4 * i);
		in[n + i] = sl_get_be32(dst->addr.b + 4 * i);
	}
	in[2 * n] = (uint32_t)src->port << 16 | dst->port;
	return rte_softrss(in, 2 * n + 1, aligned);
}

/* "Verifying the RSS hash calculation" of Microsoft's driver documentation: TCP over IPv4 and IPv6. */
static void test_vectors(void **state)
{
	static const uint8_t key[PORT_RSS_KEY] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
	                                          0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
	                                          0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
	                                          0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};
	static const struct {
		const char *src;
		uint16_t sport;
		const char *dst;
		uint16_t dport;
		uint32_t hash;
	} v[] = {
	        {"66.9.149.187", 2794, "161.142.100.80", 1766, 0x51ccc178},
	        {"199.92.111.2", 14230, "65.69.140.83", 4739, 0xc626b0ea},
	        {"24.19.198.95", 12898, "12.22.207.184", 38024, 0x5c2b394a},
	        {"38.27.205.30", 48228, "209.142.163.6", 2217, 0xafc7327f},
	        {"153.39.163.191", 44251, "202.188.127.2", 1303, 0x10e828a2},
	        {"3ffe:2501:200:1fff::7", 2794, "3ffe:2501:200:3::1", 1766, 0x40207d3d},
	        {"3ffe:501:8::260:97ff:fe40:efab", 14230, "ff02::1", 4739, 0xdde51bbf},
	        {"3ffe:1900:4545:3:200:f8ff:fe21:67cf", 44251, "fe80::200:f8ff:fe21:67cf", 38024, 0x02d1feef},
	};
	static struct port_rss r;

	(void)state;
	port_rss_table(&r, key);
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct sl_endpoint src = {.port = v[i].sport};
		struct sl_endpoint dst = {.port = v[i].dport};

		assert_int_equal(sl_addr_parse(v[i].src, &src.addr), 0);
		assert_int_equal(sl_addr_parse(v[i].dst, &dst.addr), 0);
		assert_int_equal(port_rss_hash(&r, &src, &dst), v[i].hash);
	}
}

/* Every guess gives a good port; all guesses together give most of the worker's ports. */
static void picks_are_good(struct sl_port *p, bool v6, unsigned share_percent)
{
	static uint8_t seen[65536];
	struct sl_endpoint remote = random_end(v6, 5432);
	struct sl_endpoint local = random_end(v6, 0);

	for (uint16_t w = 0; w < WORKERS; w++) {
		unsigned found = 0;

		memset(seen, 0, sizeof(seen));
		for (uint32_t guess = 16384; guess < 65536; guess++) {
			struct sl_endpoint l = local;
			uint16_t port;

			l.port = (uint16_t)guess;
			port = sl_port_pick(p, w, &l, &remote);
			if (port == 0 && sl_port_steering(p) == SL_PORT_STEER_SOFT)
				continue; /* luck: none of so many in a row */
			assert_true(port >= 16384);
			l.port = port;
			assert_int_equal(sl_port_owner(p, &remote, &l), w);
			found += seen[port] == 0;
			seen[port] = 1;
		}
		assert_true(found >= 49152 / WORKERS * share_percent / 100);
	}
}

#define DEAD_TRIES 4000

/* Two workers die, one after the other: who lives keeps what it has (of the dead one's, too) and finds its
 * ports, and shares the rest evenly. */
static void dead_are_replaced(struct sl_port *p)
{
	static struct sl_endpoint src[DEAD_TRIES], dst[DEAD_TRIES];
	static uint16_t before[DEAD_TRIES];
	unsigned new_owner[WORKERS] = {0}, first_heirs[WORKERS] = {0};

	for (int i = 0; i < DEAD_TRIES; i++) {
		src[i] = random_end(i % 2 == 0, (uint16_t)rand());
		dst[i] = random_end(i % 2 == 0, (uint16_t)rand());
		before[i] = sl_port_owner(p, &src[i], &dst[i]);
	}
	sl_port_dead(p, 1);
	for (int i = 0; i < DEAD_TRIES; i++) {
		uint16_t now = sl_port_owner(p, &src[i], &dst[i]);

		if (before[i] > 0)
			assert_int_equal(now, before[i]);
		else
			first_heirs[now]++;
		before[i] = now;
	}
	assert_int_equal(first_heirs[0], 0);
	for (int w = 1; w < WORKERS; w++)
		assert_true(first_heirs[w] > DEAD_TRIES / WORKERS / 5);
	sl_port_dead(p, 2);
	for (int i = 0; i < DEAD_TRIES; i++) {
		uint16_t now = sl_port_owner(p, &src[i], &dst[i]);

		if (before[i] > 1)
			assert_int_equal(now, before[i]);
		else
			new_owner[now]++;
	}
	assert_int_equal(new_owner[0] + new_owner[1], 0);
	assert_true(new_owner[2] > DEAD_TRIES / 8 && new_owner[3] > DEAD_TRIES / 8);
	for (int i = 0; i < 200; i++) {
		struct sl_endpoint l = src[i];
		uint16_t w = (uint16_t)(2 + i % 2);

		l.port = (uint16_t)(16384 + rand() % 49152);
		l.port = sl_port_pick(p, w, &l, &dst[i]);
		assert_true(l.port >= 16384);
		assert_int_equal(sl_port_owner(p, &dst[i], &l), w);
	}
}

static void rss_of_size(const char *name, uint16_t reta_size)
{
	struct sl_port *p;

	memset(&dev, 0, sizeof(dev));
	dev.rss = true;
	dev.reta_size = reta_size;
	p = open_played(name);
	assert_int_equal(sl_port_steering(p), SL_PORT_STEER_RSS);
	for (int i = 0; i < 5000; i++) {
		bool v6 = i % 2 == 0;
		struct sl_endpoint src = random_end(v6, (uint16_t)rand());
		struct sl_endpoint dst = random_end(v6, (uint16_t)rand());

		assert_int_equal(sl_port_owner(p, &src, &dst),
		                 dev.reta[device_hash(dev.key, &src, &dst) & (reta_size - 1u)]);
	}
	for (int i = 0; i < 3; i++) {
		picks_are_good(p, false, 90);
		picks_are_good(p, true, 90);
	}
	dead_are_replaced(p);
	sl_port_close(p);
}

static void test_rss(void **state)
{
	(void)state;
	rss_of_size("rss128", 128);
	rss_of_size("rss512", 512);
	rss_of_size("rss64", 64);
}

/* Packets that the device put in its queue by the hash are nobody's else: none is handed over. */
static void test_rss_packets(void **state)
{
	uint16_t id = 0;
	struct rte_mbuf *m[8];
	struct rig_frame f;
	struct sl_port *p;

	(void)state;
	memset(&dev, 0, sizeof(dev));
	dev.rss = true;
	dev.reta_size = 128;
	p = open_played("rsspkt");
	assert_int_equal(rte_eth_dev_get_port_by_name("net_ring_rsspkt", &id), 0);
	for (int i = 0; i < 500; i++) {
		struct sl_endpoint src = random_end(false, (uint16_t)rand());
		struct sl_endpoint dst = random_end(false, 5432);
		uint16_t q = dev.reta[device_hash(dev.key, &src, &dst) & 127];
		char ring[32];

		rig_ether(&f, RIG_MAC_PEER, RIG_MAC_PEER, 0, 0x0800);
		rig_tcp(&f, sl_get_be32(src.addr.b), sl_get_be32(dst.addr.b), src.port, dst.port, "x", 1);
		snprintf(ring, sizeof(ring), "rsspkt_rx%u", q);
		assert_int_equal(rte_ring_enqueue(rte_ring_lookup(ring), rig_mbuf(f.b, f.n)), 0);
		assert_int_equal(sl_port_rx(p, q, m, 8), 1);
		rte_pktmbuf_free(m[0]);
	}
	sl_port_close(p);
	rig_no_leak();
}

/* A device that keeps a key of its own, or has an odd table, is steered in software. */
static void test_rss_refused(void **state)
{
	struct sl_port *p;

	(void)state;
	memset(&dev, 0, sizeof(dev));
	dev.rss = true;
	dev.reta_size = 128;
	dev.other_key = true;
	p = open_played("otherkey");
	assert_int_equal(sl_port_steering(p), SL_PORT_STEER_SOFT);
	picks_are_good(p, false, 90);
	picks_are_good(p, true, 90);
	sl_port_close(p);
	dev.other_key = false;
	dev.reta_size = 96;
	p = open_played("oddtable");
	assert_int_equal(sl_port_steering(p), SL_PORT_STEER_SOFT);
	sl_port_close(p);
	dev.reta_size = 32; /* too few entries for a key that reaches all of them */
	p = open_played("smalltable");
	assert_int_equal(sl_port_steering(p), SL_PORT_STEER_SOFT);
	sl_port_close(p);
	dev.reta_size = 0;
	p = open_played("notable");
	assert_int_equal(sl_port_steering(p), SL_PORT_STEER_SOFT);
	sl_port_close(p);
}

/* Exactly one rule of each family takes a packet to one of our ports, to its owner's queue. */
static void test_rules(void **state)
{
	struct sl_endpoint remote = random_end(false, 5432);
	struct sl_endpoint local = random_end(false, 0);
	struct sl_port *p;

	(void)state;
	memset(&dev, 0, sizeof(dev));
	dev.rules = true;
	dev.rules_max = 2048;
	p = open_played("rules");
	assert_int_equal(sl_port_steering(p), SL_PORT_STEER_RULES);
	assert_true(dev.nb_rules >= 2 * WORKERS * PORT_BLOCKS_EACH && dev.nb_rules <= 2 * 768);
	for (uint32_t port = 0; port < 65536; port += 13) {
		unsigned hits[2] = {0, 0};

		local.port = (uint16_t)port;
		for (unsigned i = 0; i < dev.nb_rules; i++) {
			if ((port & dev.rule[i].mask) != dev.rule[i].port)
				continue;
			assert_int_equal(dev.rule[i].queue, sl_port_owner(p, &remote, &local));
			hits[dev.rule[i].v6]++;
		}
		assert_int_equal(hits[0], port >= 16384 ? 1 : 0);
		assert_int_equal(hits[1], hits[0]);
	}
	picks_are_good(p, false, 100);
	picks_are_good(p, true, 100);
	dead_are_replaced(p);
	sl_port_close(p);
	assert_int_equal(dev.nb_rules, 0);
	dev.rules_max = 20; /* no room for all: none stays */
	p = open_played("fewrules");
	assert_int_equal(sl_port_steering(p), SL_PORT_STEER_SOFT);
	assert_int_equal(dev.nb_rules, 0);
	sl_port_close(p);
}

static void test_blocks(void **state)
{
	static struct sl_port p; /* on a line of its own, as a port is */

	(void)state;
	for (uint16_t n = 2; n <= PORT_WORKERS_MAX; n++) {
		uint16_t size = port_block_size(n);

		p.nb_workers = n;
		p.block_size = size;
		assert_true(size >= PORT_BLOCK_MIN && PORT_PICK_COUNT % size == 0 && 16384 % size == 0);
		for (uint16_t w = 0; w < n; w++) {
			for (uint32_t guess = 16384; guess < 65536; guess += 31) {
				uint16_t port = port_block_pick(&p, w, (uint16_t)guess);

				assert_true(port >= PORT_PICK_FIRST);
				assert_int_equal(port_block_owner(&p, port), w);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_vectors),     cmocka_unit_test(test_rss),
	        cmocka_unit_test(test_rss_packets), cmocka_unit_test(test_rss_refused),
	        cmocka_unit_test(test_rules),       cmocka_unit_test(test_blocks),
	};

	rig_eal();
	rig_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
