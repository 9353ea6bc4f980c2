/*
 * What a hostile host on the wire can send: one input is a row of frames, each with two bytes of length in
 * front, in through sl_net_input() on a port of rings. What goes out is freed. No frame may leak a buffer:
 * the pool is counted. Half of the packets say that their checksums are good, as a device would, so that the
 * fuzzer need not find them.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ip.h>
#include <rte_mempool.h>
#include <rte_ring.h>

#include "sl_net.h"

#define POOL  511
#define SLOTS 1024

static struct rte_mempool *pool;
static struct rte_ring *in;
static struct rte_ring *out;
static struct sl_port *port;
static struct sl_net_if_cfg ifs[2];
static struct sl_net_shared *shared;
static struct sl_net *net;
static const uint8_t *mac;
static struct rte_ether_addr port_mac;

static void on_tcp(void *ctx, struct rte_mbuf **m, const struct sl_net_segment *seg, uint16_t n,
                   uint64_t now_us)
{
	(void)ctx;
	(void)now_us;
	/* The contract: the TCP header's fixed part is in the first segment, and the segment ends with the
	 * mbuf. */
	for (uint16_t i = 0; i < n; i++) {
		if (m[i]->data_len < 20 || seg[i].ifidx > 1 || seg[i].src.family != SL_AF_INET)
			abort();
		rte_pktmbuf_free(m[i]);
	}
}

static void on_icmp(void *ctx, const struct sl_net_icmp_error *e, uint64_t now_us)
{
	(void)ctx;
	(void)now_us;
	if (e->src.family != SL_AF_INET || (e->mtu != 0 && e->mtu < 68))
		abort();
}

static void must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "%s failed\n", what);
	exit(1);
}

static void open_all(void)
{
	static char *args[] = {(char *)"fuzz_net",           (char *)"--no-huge", (char *)"--no-shconf",
	                       (char *)"--no-pci",           (char *)"-m",        (char *)"64",
	                       (char *)"--no-telemetry",     (char *)"-l",        (char *)"0",
	                       (char *)"--log-level=*:error"};
	struct sl_port_cfg cfg = {.device = "net_ring_fuzz", .nb_workers = 1};
	struct sl_net_route_cfg route = {0};
	struct sl_net_cfg net_cfg = {.tcp_input = on_tcp, .icmp_error = on_icmp};
	char err[200] = "";

	must(rte_eal_init((int)(sizeof(args) / sizeof(args[0])), args) >= 0, "EAL");
	/* No cache: every buffer that is not in the pool is in somebody's hands. */
	pool = rte_pktmbuf_pool_create("fuzz", POOL, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	in = rte_ring_create("fuzz_in", SLOTS, SOCKET_ID_ANY, 0);
	out = rte_ring_create("fuzz_out", SLOTS, SOCKET_ID_ANY, 0);
	must(pool != NULL && in != NULL && out != NULL, "memory");
	must(rte_eth_from_rings("fuzz", &in, 1, &out, 1, 0) >= 0, "ring device");
	must(sl_port_open(&cfg, &pool, &port, err, sizeof(err)) == 0, err);
	ifs[0].port = ifs[1].port = port;
	ifs[1].vlan = 100;
	must(sl_prefix_parse("10.0.1.1/24", &ifs[0].address) == 0 &&
	             sl_prefix_parse("10.0.2.1/24", &ifs[1].address) == 0 &&
	             sl_prefix_parse("0.0.0.0/0", &route.dst) == 0 &&
	             sl_addr_parse("10.0.1.254", &route.via) == 0,
	     "addresses");
	must(sl_net_shared_new(ifs, 2, &route, 1, &shared, err, sizeof(err)) == 0, err);
	net_cfg.pool = pool;
	must(sl_net_new(shared, &net_cfg, &net) == 0, "net");
	port_mac = sl_port_mac(port);
	mac = port_mac.addr_bytes;
}

static void take_out(void)
{
	void *m;

	sl_net_flush(net);
	while (rte_ring_dequeue(out, &m) == 0)
		rte_pktmbuf_free(m);
}

static void one_frame(const uint8_t *p, size_t n, uint8_t how, uint64_t now_us)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	uint8_t *d;

	must(m != NULL, "buffers: leaked, allocation");
	d = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)n);
	must(d != NULL, "append");
	memcpy(d, p, n);
	if ((how & 1) == 0 && n >= 6) /* for us, most of the time */
		memcpy(d, mac, 6);
	if ((how & 2) == 0)
		m->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	if ((how & 4) != 0) { /* through the port as well: parsing, checksums */
		must(rte_ring_enqueue(in, m) == 0, "ring");
		(void)sl_net_poll(net, now_us);
	} else {
		sl_net_input(net, how >> 7, &m, 1, now_us);
	}
	take_out();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint64_t now_us = 1000000;

	if (net == NULL)
		open_all();
	while (size >= 2) {
		uint8_t how = data[0];
		size_t n = data[1];

		data += 2;
		size -= 2;
		n = n < size ? n : size;
		one_frame(data, n, how, now_us);
		data += n;
		size -= n;
		now_us += (uint64_t)(how & 0x78) * 1000;
		(void)sl_net_tick(net, now_us);
		take_out();
	}
	/* Packets that still wait for a neighbour are given up within this time. */
	for (int i = 0; i < 12 && rte_mempool_avail_count(pool) != POOL; i++) {
		now_us += 1000000;
		(void)sl_net_tick(net, now_us);
		take_out();
	}
	must(rte_mempool_avail_count(pool) == POOL, "buffers: leaked, count");
	return 0;
}
