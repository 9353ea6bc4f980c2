/*
 * What the targets of dataplane/net share: two workers over a port of rings, addresses of both families on it
 * and on a VLAN, put back to its beginning for each input, so that an input says the same whenever it runs.
 * What must hold whatever comes in: no buffer is lost, what goes up keeps the contract of sl_net.h, and what
 * leaves is well formed, from us, and not more than a few packets for one.
 *
 * Keys of hashes are random: nothing may hang on them.
 */
#ifndef FUZZ_NET_WORLD_H
#define FUZZ_NET_WORLD_H

#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_mempool.h>
#include <rte_ring.h>

#include "net_priv.h"

#define WORLD_POOL    1023
#define WORLD_SLOTS   1024
#define WORLD_SECOND  UINT64_C(1000000)
#define WORLD_FRAME   2048
#define WORLD_BEGIN   (1000 * WORLD_SECOND)
#define WORLD_ANSWERS (4 * NET_WAIT_PACKETS) /* packets that one may set free or bring about */
#define WORLD_IFS     5                      /* configured; link-local ones follow */
#define WORLD_WORKERS 2

#define WORLD_OURS4  (uint32_t)0x0a000101 /* 10.0.1.1 */
#define WORLD_PEER4  (uint32_t)0x0a000102
#define WORLD_OURS6  "fd00:1::1"
#define WORLD_PEER6  "fd00:1::2"
#define WORLD_VLAN   100
#define WORLD_GATE_4 "10.0.1.254"
#define WORLD_GATE_6 "fe80::254"

/* Bits of what a record says of its frame. */
#define WORLD_CHECKED 1 /* the device says that its checksums are good */
#define WORLD_PORT    2 /* through the port: parsing, steering, checksums in software */

typedef void (*world_seen_fn)(const struct rte_mbuf *m, const struct sl_net_segment *seg);

static struct {
	struct rte_mempool *pool;
	struct rte_ring *in, *out;
	struct sl_port *port;
	struct rte_ether_addr mac;
	struct sl_net_if_cfg ifs[WORLD_IFS];
	struct sl_net_route_cfg routes[2];
	struct sl_net_shared *shared;
	struct sl_net *net[WORLD_WORKERS];
	struct sl_net_shared young_shared; /* as they were at the beginning */
	struct sl_net young[WORLD_WORKERS];
	uint64_t now_us;
	uint32_t left; /* frames */
	world_seen_fn seen;
} world;

static inline void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "does not hold: %s\n", what);
	abort();
}

/* The packet's length and number of buffers are those of its chain. */
static inline bool world_in_all(const struct rte_mbuf *m)
{
	uint32_t bytes = 0;
	uint16_t nb = 0;

	for (const struct rte_mbuf *s = m; s != NULL; s = s->next, nb++)
		bytes += s->data_len;
	return bytes == m->pkt_len && nb == m->nb_segs;
}

static inline void world_on_tcp(void *ctx, struct rte_mbuf **m, const struct sl_net_segment *seg, uint16_t n,
                                uint64_t now_us)
{
	(void)ctx;
	(void)now_us;
	must(n > 0 && n <= SL_PORT_BURST, "size of a burst");
	for (uint16_t i = 0; i < n; i++) {
		must(m[i]->data_len >= NET_TCP_HDR_MIN && world_in_all(m[i]),
		     "a segment's header is in its first buffer, and its length that of all");
		must(seg[i].src.family == seg[i].dst.family, "one family");
		must(seg[i].ifidx < world.shared->nb_ifs && net_if_ready(&world.shared->ifs[seg[i].ifidx]),
		     "for an address of ours");
		must(!sl_net_is_local(world.net[0], &seg[i].src), "not from ourselves");
		if (world.seen != NULL)
			world.seen(m[i], &seg[i]);
		rte_pktmbuf_free(m[i]);
	}
}

static inline void world_on_icmp(void *ctx, const struct sl_net_icmp_error *e, uint64_t now_us)
{
	(void)ctx;
	(void)now_us;
	must(e->src.family == e->dst.family, "one family of a quoted packet");
	must(e->mtu == 0 || e->mtu >= (e->src.family == SL_AF_INET ? NET_IP4_MTU_MIN : NET_IP6_MTU_MIN),
	     "MTU of an ICMP error");
	must(sl_net_is_local(world.net[0], &e->src), "the quoted packet is ours");
}

static inline void world_eal(void)
{
	static char *args[] = {(char *)"fuzz",
	                       (char *)"--no-huge",
	                       (char *)"--no-shconf",
	                       (char *)"--no-pci",
	                       (char *)"-m",
	                       (char *)"64",
	                       (char *)"--no-telemetry",
	                       (char *)"-l",
	                       (char *)"0",
	                       (char *)"--log-level=*:error"};
	struct sl_port_cfg cfg = {.device = "net_ring_fuzz", .nb_workers = WORLD_WORKERS};
	struct rte_mempool *pools[WORLD_WORKERS];
	char err[200] = "";

	must(rte_eal_init((int)(sizeof(args) / sizeof(args[0])), args) >= 0, "EAL starts");
	/* No cache: every buffer that is not in the pool is in somebody's hands. */
	world.pool =
	        rte_pktmbuf_pool_create("fuzz", WORLD_POOL, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	world.in = rte_ring_create("fuzz_in", WORLD_SLOTS, SOCKET_ID_ANY, 0);
	world.out = rte_ring_create("fuzz_out", WORLD_SLOTS, SOCKET_ID_ANY, 0);
	must(world.pool != NULL && world.in != NULL && world.out != NULL, "memory is there");
	must(rte_eth_from_rings("fuzz", &world.in, 1, &world.out, 1, 0) >= 0, "the device is made");
	pools[0] = pools[1] = world.pool;
	must(sl_port_open(&cfg, pools, &world.port, err, sizeof(err)) == 0, err);
	world.mac = sl_port_mac(world.port);
}

static inline struct net_ip world_ip(const char *text)
{
	struct sl_addr a;

	must(sl_addr_parse(text, &a) == 0, text);
	return net_ip_of(&a);
}

static inline void world_addresses(void)
{
	static const struct {
		const char *address;
		uint16_t vlan;
	} own[WORLD_IFS] = {{"10.0.1.1/24", 0},
	                    {"10.0.2.1/24", WORLD_VLAN},
	                    {WORLD_OURS6 "/64", 0},
	                    {"fd00:2::1/64", WORLD_VLAN},
	                    {"10.0.1.9/32", 0}};

	for (int i = 0; i < WORLD_IFS; i++) {
		world.ifs[i].port = world.port;
		world.ifs[i].vlan = own[i].vlan;
		must(sl_prefix_parse(own[i].address, &world.ifs[i].address) == 0, own[i].address);
	}
	must(sl_prefix_parse("0.0.0.0/0", &world.routes[0].dst) == 0 &&
	             sl_addr_parse(WORLD_GATE_4, &world.routes[0].via) == 0 &&
	             sl_prefix_parse("::/0", &world.routes[1].dst) == 0 &&
	             sl_addr_parse(WORLD_GATE_6, &world.routes[1].via) == 0,
	     "routes");
	world.routes[1].interface = 3;
}

static inline void world_check_icmp6(const uint8_t *ip, uint32_t n)
{
	struct net_ip src = net_ip6(ip + 8);
	struct net_ip dst = net_ip6(ip + 24);

	must(net_icmp6_sum(&src, &dst, ip + NET_IP6_LEN, (uint16_t)n) == 0, "ICMPv6 checksum that leaves");
}

/* A frame that leaves. Only its own form is looked at: what it says is for unit tests. */
static inline void world_check_out(const struct rte_mbuf *m)
{
	const uint8_t *f = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t at = RTE_ETHER_HDR_LEN;
	uint32_t n;

	must(m->nb_segs == 1 && m->data_len >= RTE_ETHER_HDR_LEN + 28, "length of a frame that leaves");
	must(memcmp(f + 6, world.mac.addr_bytes, 6) == 0 && (f[6] & 1) == 0, "it is from us");
	if (sl_get_be16(f + 12) == RTE_ETHER_TYPE_VLAN) {
		must(sl_get_be16(f + 14) == WORLD_VLAN, "its VLAN is ours");
		at += RTE_VLAN_HLEN;
	}
	n = m->data_len - at;
	switch (sl_get_be16(f + at - 2)) {
	case RTE_ETHER_TYPE_ARP:
		must(n >= 28 && memcmp(f + at + 8, world.mac.addr_bytes, 6) == 0, "its ARP says who we are");
		break;
	case RTE_ETHER_TYPE_IPV4: {
		struct net_ip src = net_ip4(sl_get_be32(f + at + 12));

		must(n >= NET_IP4_LEN && sl_get_be16(f + at + 2) == n && f[at] == 0x45, "IPv4 length");
		must(rte_raw_cksum(f + at, NET_IP4_LEN) == 0xffff, "IPv4 checksum");
		must(net_if_of(world.shared, &src) != NULL, "IPv4 source");
		if (f[at + 9] == IPPROTO_ICMP)
			must(rte_raw_cksum(f + at + NET_IP4_LEN, n - NET_IP4_LEN) == 0xffff, "ICMP checksum");
		break;
	}
	case RTE_ETHER_TYPE_IPV6: {
		struct net_ip src = net_ip6(f + at + 8);

		must(n > NET_IP6_LEN && sl_get_be16(f + at + 4) == n - NET_IP6_LEN && f[at] >> 4 == 6,
		     "IPv6 length");
		must(net_ip_is_zero(&src) || net_if_of(world.shared, &src) != NULL, "IPv6 source");
		if (f[at + 6] == IPPROTO_ICMPV6)
			world_check_icmp6(f + at, n - NET_IP6_LEN);
		break;
	}
	default:
		must(false, "its type is one that we speak");
	}
}

static inline void world_take_out(void)
{
	void *m;

	for (int w = 0; w < WORLD_WORKERS; w++)
		sl_net_flush(world.net[w]);
	while (rte_ring_dequeue(world.out, &m) == 0) {
		world_check_out(m);
		world.left++;
		rte_pktmbuf_free(m);
	}
}

/* Time passes: timers of both workers run once. */
static inline void world_pass(uint64_t us)
{
	world.now_us += us;
	for (int w = 0; w < WORLD_WORKERS; w++) {
		(void)sl_net_poll(world.net[w], world.now_us);
		must(sl_net_tick(world.net[w], world.now_us) > world.now_us,
		     "the next timer is in the future");
	}
	world_take_out();
}

/* Addresses are probed for, nobody objects. */
static inline void world_make(void)
{
	struct sl_net_cfg cfg = {.tcp_input = world_on_tcp, .icmp_error = world_on_icmp};
	char err[200] = "";

	world_eal();
	world_addresses();
	must(sl_net_shared_new(world.ifs, WORLD_IFS, world.routes, 2, &world.shared, err, sizeof(err)) == 0,
	     err);
	cfg.pool = world.pool;
	for (uint16_t w = 0; w < WORLD_WORKERS; w++) {
		cfg.worker = w;
		must(sl_net_new(world.shared, &cfg, &world.net[w]) == 0, "a worker's instance");
	}
	world.now_us = WORLD_BEGIN;
	for (int i = 0; i < 40; i++)
		world_pass(WORLD_SECOND / 4);
	must(sl_net_ready(world.net[0]), "addresses get ready when nobody objects");
	must(rte_mempool_avail_count(world.pool) == WORLD_POOL, "nothing is held at start");
	world.young_shared = *world.shared;
	for (int w = 0; w < WORLD_WORKERS; w++)
		world.young[w] = *world.net[w];
}

/* The world as it was when its addresses got ready. */
static inline void world_begin(void)
{
	if (world.port == NULL)
		world_make();
	memcpy(world.shared, &world.young_shared, sizeof(*world.shared));
	for (int w = 0; w < WORLD_WORKERS; w++)
		memcpy(world.net[w], &world.young[w], sizeof(*world.net[w]));
	world.now_us = WORLD_BEGIN + 10 * WORLD_SECOND;
}

/* One frame comes in. how: WORLD_CHECKED, WORLD_PORT. */
static inline void world_frame(const uint8_t *d, size_t n, unsigned how)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(world.pool);
	char *to = m == NULL ? NULL : rte_pktmbuf_append(m, (uint16_t)n);

	must(to != NULL, "there is a buffer for a frame");
	memcpy(to, d, n);
	if ((how & WORLD_CHECKED) != 0)
		m->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	world.left = 0;
	if ((how & WORLD_PORT) != 0) {
		must(rte_ring_enqueue(world.in, m) == 0, "room in the ring");
		(void)sl_net_poll(world.net[0], world.now_us);
	} else {
		sl_net_input(world.net[0], 0, &m, 1, world.now_us);
	}
	(void)sl_net_poll(world.net[1], world.now_us);
	world_take_out();
	must(world.left <= WORLD_ANSWERS, "one frame does not bring about many");
}

static inline void world_check(void)
{
	for (int w = 0; w < WORLD_WORKERS; w++) {
		uint16_t used = 0;
		uint16_t waits = 0;

		for (int i = 0; i < REASS_SLOTS; i++)
			used = (uint16_t)(used + world.net[w]->reass.slot[i].used);
		for (int i = 0; i < NET_WAIT_SLOTS; i++)
			waits = (uint16_t)(waits + (world.net[w]->wait[i].nb > 0));
		must(used == world.net[w]->reass.nb, "count of datagrams");
		must(waits == world.net[w]->nb_wait, "count of neighbours that packets wait for");
	}
}

/* Timers alone give back every buffer: first what waits for neighbours, then what waits for fragments. */
static inline void world_end(void)
{
	world_check();
	for (int i = 0; i < 12 && world.net[0]->nb_wait + world.net[1]->nb_wait > 0; i++)
		world_pass(WORLD_SECOND);
	if (rte_mempool_avail_count(world.pool) != WORLD_POOL)
		world_pass(REASS_IP6_US);
	must(rte_mempool_avail_count(world.pool) == WORLD_POOL, "every buffer comes back in time");
}

/* ---- making frames out of an input ---- */

struct world_input {
	const uint8_t *p;
	size_t n;
};

/* 0 behind the end. */
static inline uint8_t world_byte(struct world_input *in)
{
	if (in->n == 0)
		return 0;
	in->n--;
	return *in->p++;
}

/* Up to n bytes; the rest are zero. Returns how many were there. */
static inline size_t world_bytes(struct world_input *in, uint8_t *to, size_t n)
{
	size_t got = n < in->n ? n : in->n;

	memcpy(to, in->p, got);
	memset(to + got, 0, n - got);
	in->p += got;
	in->n -= got;
	return got;
}

/* Returns the length. */
static inline size_t world_ether(uint8_t *f, bool group, uint8_t station, bool vlan, uint16_t type)
{
	static const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	size_t n = 12;

	memcpy(f, group ? all : world.mac.addr_bytes, 6);
	memcpy(f + 6, "\x02\0\0\0\0", 5);
	f[11] = station;
	if (vlan) {
		sl_put_be16(f + n, RTE_ETHER_TYPE_VLAN);
		sl_put_be16(f + n + 2, WORLD_VLAN);
		n += 4;
	}
	sl_put_be16(f + n, type);
	return n + 2;
}

static inline uint16_t world_sum(const void *p, size_t n)
{
	return (uint16_t)~rte_raw_cksum(p, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
