/*
 * For the tests of this folder and of those above it: EAL, a pool, and a port made of rings, so that a test
 * puts in what the port receives and takes out what it sends.
 */
#ifndef SL_PORT_TEST_RIG_H
#define SL_PORT_TEST_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_mempool.h>
#include <rte_ring.h>

#include "sl_port.h"

#define RIG_POOL  4095
#define RIG_SLOTS 1024

struct rig_port {
	char name[32];
	struct rte_ring *in;  /* what the port receives */
	struct rte_ring *out; /* what it sends */
	struct sl_port *port;
};

static struct rte_mempool *rig_pool;

static inline void rig_eal(void)
{
	static char *args[] = {(char *)"test",
	                       (char *)"--no-huge",
	                       (char *)"--no-shconf",
	                       (char *)"--no-pci",
	                       (char *)"-m",
	                       (char *)"128",
	                       (char *)"--no-telemetry",
	                       (char *)"-l",
	                       (char *)"0",
	                       (char *)"--log-level=*:error"};
	int n = (int)(sizeof(args) / sizeof(args[0]));

	if (rte_eal_init(n, args) < 0) {
		fprintf(stderr, "EAL: %s\n", rte_strerror(rte_errno));
		exit(1);
	}
	rig_pool = rte_pktmbuf_pool_create("rig", RIG_POOL, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (rig_pool == NULL) {
		fprintf(stderr, "pool: %s\n", rte_strerror(rte_errno));
		exit(1);
	}
}

/* Nothing may keep a buffer at the end of a test. */
static inline void rig_no_leak(void)
{
	assert_int_equal(rte_mempool_avail_count(rig_pool), RIG_POOL);
}

static inline unsigned rig_seed(void)
{
	const char *s = getenv("SL_SEED");
	unsigned seed = s != NULL ? (unsigned)strtoul(s, NULL, 0) : (unsigned)time(NULL);

	printf("SL_SEED=%u\n", seed);
	srand(seed);
	return seed;
}

/* A device of rings, opened as a port. slots: of the ring that it sends into. impair: NULL, or what it does
 * to packets. */
static inline void rig_open_as(struct rig_port *r, const char *name, uint16_t nb_workers, unsigned slots,
                               const struct sl_port_impair *impair)
{
	struct sl_port_cfg cfg = {.device = r->name, .nb_workers = nb_workers, .impair = impair};
	struct rte_mempool *pools[64];
	char ring[48];
	char err[256] = "";

	for (uint16_t i = 0; i < nb_workers; i++)
		pools[i] = rig_pool;
	snprintf(r->name, sizeof(r->name), "net_ring_%s", name);
	snprintf(ring, sizeof(ring), "%s_in", name);
	r->in = rte_ring_create(ring, RIG_SLOTS, SOCKET_ID_ANY, 0);
	snprintf(ring, sizeof(ring), "%s_out", name);
	r->out = rte_ring_create(ring, slots, SOCKET_ID_ANY, 0);
	if (r->in == NULL || r->out == NULL || rte_eth_from_rings(name, &r->in, 1, &r->out, 1, 0) < 0) {
		fprintf(stderr, "ring device %s: %s\n", name, rte_strerror(rte_errno));
		exit(1);
	}
	if (sl_port_open(&cfg, pools, &r->port, err, sizeof(err)) != 0) {
		fprintf(stderr, "%s\n", err);
		exit(1);
	}
}

static inline void rig_open_sized(struct rig_port *r, const char *name, uint16_t nb_workers, unsigned slots)
{
	rig_open_as(r, name, nb_workers, slots, NULL);
}

static inline void rig_open_impaired(struct rig_port *r, const char *name,
                                     const struct sl_port_impair *impair)
{
	rig_open_as(r, name, 1, RIG_SLOTS, impair);
}

static inline void rig_open(struct rig_port *r, const char *name, uint16_t nb_workers)
{
	rig_open_sized(r, name, nb_workers, RIG_SLOTS);
}

/* What the port has sent next, NULL: nothing. */
static inline struct rte_mbuf *rig_take(struct rig_port *r)
{
	void *m = NULL;

	return rte_ring_dequeue(r->out, &m) == 0 ? m : NULL;
}

static inline void rig_put(struct rig_port *r, struct rte_mbuf *m)
{
	assert_non_null(m);
	assert_int_equal(rte_ring_enqueue(r->in, m), 0);
}

static inline struct rte_mbuf *rig_mbuf(const void *bytes, size_t n)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(rig_pool);
	char *d;

	assert_non_null(m);
	d = rte_pktmbuf_append(m, (uint16_t)n);
	assert_non_null(d);
	memcpy(d, bytes, n);
	return m;
}

/* The Internet checksum in the plainest way (RFC 1071), to compare with. Big-endian value. */
static inline uint16_t rig_sum(uint32_t sum, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sum += (i & 1) != 0 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* The TCP checksum of a whole IPv4 packet whose checksum field is zero, in the plainest way. */
static inline uint16_t rig_tcp_sum(const uint8_t *ip, size_t n)
{
	uint32_t sum = 6 + (uint32_t)(n - 20);

	for (int i = 12; i < 20; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	return rig_sum(sum, ip + 20, n - 20);
}

#define RIG_MAC_PEER                                                                                         \
	(const uint8_t[6])                                                                                   \
	{                                                                                                    \
		0x02, 0, 0, 0, 0, 0x99                                                                       \
	}

struct rig_frame {
	uint8_t b[2048];
	size_t n;
	size_t ip; /* where the IP header is */
};

/* Ethernet header; vlan 0: none. */
static inline void rig_ether(struct rig_frame *f, const uint8_t dst[6], const uint8_t src[6], uint16_t vlan,
                             uint16_t type)
{
	memset(f, 0, sizeof(*f));
	memcpy(f->b, dst, 6);
	memcpy(f->b + 6, src, 6);
	f->n = 12;
	if (vlan != 0) {
		sl_put_be16(f->b + 12, 0x8100);
		sl_put_be16(f->b + 14, vlan);
		f->n = 16;
	}
	sl_put_be16(f->b + f->n, type);
	f->n += 2;
	f->ip = f->n;
}

static inline void rig_ip_sum(struct rig_frame *f)
{
	sl_put_be16(f->b + f->ip + 10, 0);
	sl_put_be16(f->b + f->ip + 10, rig_sum(0, f->b + f->ip, 20));
}

/* Adds an IPv4 packet with `n` bytes of payload to the Ethernet header. */
static inline void rig_ip(struct rig_frame *f, uint32_t src, uint32_t dst, uint8_t proto, const void *payload,
                          size_t n)
{
	uint8_t *p = f->b + f->ip;

	p[0] = 0x45;
	sl_put_be16(p + 2, (uint16_t)(20 + n));
	p[6] = 0x40;
	p[8] = 64;
	p[9] = proto;
	sl_put_be32(p + 12, src);
	sl_put_be32(p + 16, dst);
	if (n > 0)
		memcpy(p + 20, payload, n);
	f->n = f->ip + 20 + n;
	rig_ip_sum(f);
}

/* Adds a TCP segment over IPv4 with correct checksums. */
static inline void rig_tcp(struct rig_frame *f, uint32_t src, uint32_t dst, uint16_t sport, uint16_t dport,
                           const void *payload, size_t n)
{
	uint8_t t[2000] = {0};

	sl_put_be16(t, sport);
	sl_put_be16(t + 2, dport);
	sl_put_be32(t + 4, 0x01020304);
	t[12] = 0x50;
	t[13] = 0x10;
	if (n > 0)
		memcpy(t + 20, payload, n);
	rig_ip(f, src, dst, 6, t, 20 + n);
	sl_put_be16(f->b + f->ip + 36, rig_tcp_sum(f->b + f->ip, 40 + n));
}

/* Adds an IPv6 header for `n` bytes behind it, which begin with a header of type next. */
static inline void rig_ip6(struct rig_frame *f, const uint8_t src[16], const uint8_t dst[16], uint8_t next,
                           const void *payload, size_t n)
{
	uint8_t *p = f->b + f->ip;

	memset(p, 0, 40);
	p[0] = 0x60;
	sl_put_be16(p + 4, (uint16_t)n);
	p[6] = next;
	p[7] = 64;
	memcpy(p + 8, src, 16);
	memcpy(p + 24, dst, 16);
	if (n > 0)
		memcpy(p + 40, payload, n);
	f->n = f->ip + 40 + n;
}

/* The checksum of `n` bytes of the protocol behind an IPv6 header, in the plainest way. */
static inline uint16_t rig_sum6(const uint8_t *ip, uint8_t proto, const uint8_t *p, size_t n)
{
	uint32_t sum = proto + (uint32_t)n;

	for (int i = 8; i < 40; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	return rig_sum(sum, p, n);
}

/* Adds a TCP segment over IPv6 with a correct checksum, behind `ext_n` bytes of extension headers of which
 * the first is of type ext_type. */
static inline void rig_tcp6_ext(struct rig_frame *f, const uint8_t src[16], const uint8_t dst[16],
                                uint16_t sport, uint16_t dport, uint8_t ext_type, const uint8_t *ext,
                                size_t ext_n, const void *payload, size_t n)
{
	uint8_t t[2000] = {0};
	uint8_t *tcp = t + ext_n;

	if (ext_n > 0)
		memcpy(t, ext, ext_n);
	sl_put_be16(tcp, sport);
	sl_put_be16(tcp + 2, dport);
	sl_put_be32(tcp + 4, 0x01020304);
	tcp[12] = 0x50;
	tcp[13] = 0x10;
	if (n > 0)
		memcpy(tcp + 20, payload, n);
	rig_ip6(f, src, dst, ext_n > 0 ? ext_type : 6, t, ext_n + 20 + n);
	tcp = f->b + f->ip + 40 + ext_n;
	sl_put_be16(tcp + 16, rig_sum6(f->b + f->ip, 6, tcp, 20 + n));
}

static inline void rig_tcp6(struct rig_frame *f, const uint8_t src[16], const uint8_t dst[16], uint16_t sport,
                            uint16_t dport, const void *payload, size_t n)
{
	rig_tcp6_ext(f, src, dst, sport, dport, 0, NULL, 0, payload, n);
}

#endif
