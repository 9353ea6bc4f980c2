/*
 * IPv6, its extension headers and ICMPv6: records of a byte how, a byte of length, the packet. What the
 * fuzzer would search for long is put right where `how` says so: length, addresses, the checksum of ICMPv6.
 */
#include "net_world.h"

#define HOW_VERSION 4
#define HOW_ADDRS   8
#define HOW_SUM     16
#define HOW_LENGTH  32
#define HOW_GROUP   64
#define HOW_LATER   128

static void icmp_sum(uint8_t *ip, size_t n)
{
	struct net_ext6 x = {
	        .at = NET_IP6_LEN, .proto_at = offsetof(struct rte_ipv6_hdr, proto), .proto = ip[6]};
	struct net_ip src = net_ip6(ip + 8);
	struct net_ip dst = net_ip6(ip + 24);
	uint16_t sum;

	if (net_ext6_walk(ip, (uint32_t)n, &x) != SL_OK || x.proto != IPPROTO_ICMPV6 || n < x.at + 8u)
		return;
	memset(ip + x.at + 2, 0, 2);
	sum = net_icmp6_sum(&src, &dst, ip + x.at, (uint16_t)(n - x.at));
	memcpy(ip + x.at + 2, &sum, 2);
}

static size_t packet(uint8_t *ip, size_t n, uint8_t how)
{
	if (n < NET_IP6_LEN)
		return n;
	if ((how & HOW_VERSION) != 0)
		ip[0] = 0x60 | (ip[0] & 0x0f);
	if ((how & HOW_LENGTH) != 0)
		sl_put_be16(ip + 4, (uint16_t)(n - NET_IP6_LEN));
	if ((how & HOW_ADDRS) != 0) {
		struct net_ip peer = world_ip(WORLD_PEER6);
		struct net_ip ours = world_ip(WORLD_OURS6);
		struct net_ip group = ip[24] & 1 ? net_ip_all_nodes() : net_ip_solicited_node(&ours);

		memcpy(ip + 8, peer.w, 16);
		memcpy(ip + 24, (how & HOW_GROUP) != 0 ? group.w : ours.w, 16);
	}
	if ((how & HOW_SUM) != 0)
		icmp_sum(ip, n);
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world_input in = {data, size};
	uint8_t f[WORLD_FRAME];

	world_begin();
	while (in.n >= 2) {
		uint8_t how = world_byte(&in);
		size_t len = world_byte(&in);
		size_t at = world_ether(f, (how & HOW_GROUP) != 0, 2, false, RTE_ETHER_TYPE_IPV6);

		if ((how & HOW_GROUP) != 0)
			memcpy(f, "\x33\x33\0\0\0\x01", 6);
		world_frame(f, at + packet(f + at, world_bytes(&in, f + at, len), how), how);
		world_pass((how & HOW_LATER) != 0 ? WORLD_SECOND : 1000);
	}
	world_end();
	return 0;
}
