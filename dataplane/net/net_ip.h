/*
 * An address of either family in 16 bytes of network order: IPv4 as ::ffff:a.b.c.d, which no IPv6 packet may
 * carry (ip6.c refuses it), so that one table and one comparison serve both families.
 */
#ifndef SL_NET_IP_H
#define SL_NET_IP_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <rte_byteorder.h>

#include "sl_addr.h"
#include "sl_span.h"

#define NET_IP4_BITS 96 /* what IPv4's prefix lengths have in front */

struct net_ip {
	uint64_t w[2]; /* in memory as on the wire */
};

static inline bool net_ip_eq(const struct net_ip *a, const struct net_ip *b)
{
	return a->w[0] == b->w[0] && a->w[1] == b->w[1];
}

static inline bool net_ip_is_zero(const struct net_ip *a)
{
	return (a->w[0] | a->w[1]) == 0;
}

/* The bytes of the address as in an IPv6 header; IPv4's four are the last ones. */
static inline const uint8_t *net_ip_bytes(const struct net_ip *a)
{
	return (const uint8_t *)a->w;
}

/* From a number in host order. */
static inline struct net_ip net_ip4(uint32_t ip)
{
	return (struct net_ip){{0, rte_cpu_to_be_64(UINT64_C(0xffff) << 32 | ip)}};
}

static inline struct net_ip net_ip6(const void *b16)
{
	struct net_ip ip;

	memcpy(ip.w, b16, sizeof(ip.w));
	return ip;
}

static inline bool net_ip_is4(const struct net_ip *a)
{
	return a->w[0] == 0 && rte_be_to_cpu_64(a->w[1]) >> 32 == 0xffff;
}

/* The number of an IPv4 address in host order. */
static inline uint32_t net_ip_host4(const struct net_ip *a)
{
	return (uint32_t)rte_be_to_cpu_64(a->w[1]);
}

/* A family that is none gives ::, which is nobody's. */
static inline struct net_ip net_ip_of(const struct sl_addr *a)
{
	if (a->family == SL_AF_INET)
		return net_ip4(sl_get_be32(a->b));
	if (a->family == SL_AF_INET6)
		return net_ip6(a->b);
	return (struct net_ip){{0, 0}};
}

static inline struct sl_addr net_addr_of(const struct net_ip *ip)
{
	struct sl_addr a = {{0}, SL_AF_INET6};

	if (net_ip_is4(ip))
		return sl_addr_v4(net_ip_bytes(ip) + 12);
	memcpy(a.b, ip->w, sizeof(ip->w));
	return a;
}

/* bits: of the 128. */
static inline struct net_ip net_ip_mask(unsigned bits)
{
	struct net_ip m = {{0, 0}};

	if (bits > 0)
		m.w[0] = bits >= 64 ? UINT64_MAX : rte_cpu_to_be_64(UINT64_MAX << (64 - bits));
	if (bits > 64)
		m.w[1] = bits >= 128 ? UINT64_MAX : rte_cpu_to_be_64(UINT64_MAX << (128 - bits));
	return m;
}

static inline struct net_ip net_ip_and(const struct net_ip *a, const struct net_ip *m)
{
	return (struct net_ip){{a->w[0] & m->w[0], a->w[1] & m->w[1]}};
}

/* Both have the same bits under the mask. */
static inline bool net_ip_same_net(const struct net_ip *a, const struct net_ip *b, const struct net_ip *m)
{
	return (((a->w[0] ^ b->w[0]) & m->w[0]) | ((a->w[1] ^ b->w[1]) & m->w[1])) == 0;
}

static inline bool net_ip_is_multicast6(const struct net_ip *a)
{
	return net_ip_bytes(a)[0] == 0xff;
}

/* fe80::/10 */
static inline bool net_ip_is_link_local(const struct net_ip *a)
{
	return net_ip_bytes(a)[0] == 0xfe && (net_ip_bytes(a)[1] & 0xc0) == 0x80;
}

/* ff02::1 */
static inline struct net_ip net_ip_all_nodes(void)
{
	return (struct net_ip){{rte_cpu_to_be_64(UINT64_C(0xff02) << 48), rte_cpu_to_be_64(1)}};
}

/* The group that an address is asked for in: ff02::1:ffXX:XXXX (RFC 4291 2.7.1). */
static inline struct net_ip net_ip_solicited_node(const struct net_ip *a)
{
	uint64_t low = rte_be_to_cpu_64(a->w[1]) & 0xffffff;

	return (struct net_ip){
	        {rte_cpu_to_be_64(UINT64_C(0xff02) << 48), rte_cpu_to_be_64(UINT64_C(0x1ff000000) | low)}};
}

#endif
