/*
 * IPv4 and ICMP: records of a byte how, a byte of length, the packet. What the fuzzer would search for long
 * is put right where `how` says so: length, addresses, checksums.
 */
#include "net_world.h"

#define HOW_VERSION 4
#define HOW_ADDRS   8
#define HOW_SUM     16 /* of the header, and of ICMP */
#define HOW_LENGTH  32
#define HOW_VLAN    64
#define HOW_LATER   128

static size_t packet(uint8_t *ip, size_t n, uint8_t how)
{
	if (n < NET_IP4_LEN)
		return n;
	if ((how & HOW_VERSION) != 0)
		ip[0] = 0x45;
	if ((how & HOW_LENGTH) != 0)
		sl_put_be16(ip + 2, (uint16_t)n);
	if ((how & HOW_ADDRS) != 0) {
		sl_put_be32(ip + 12, WORLD_PEER4 + (ip[15] & 3));
		sl_put_be32(ip + 16, WORLD_OURS4);
	}
	if ((how & HOW_SUM) == 0)
		return n;
	if (ip[9] == IPPROTO_ICMP && n >= NET_IP4_LEN + 8) {
		memset(ip + NET_IP4_LEN + 2, 0, 2);
		uint16_t sum = world_sum(ip + NET_IP4_LEN, n - NET_IP4_LEN);
		memcpy(ip + NET_IP4_LEN + 2, &sum, 2);
	}
	memset(ip + 10, 0, 2);
	uint16_t sum = world_sum(ip, NET_IP4_LEN);
	memcpy(ip + 10, &sum, 2);
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
		size_t at = world_ether(f, false, 2, (how & HOW_VLAN) != 0, RTE_ETHER_TYPE_IPV4);

		world_frame(f, at + packet(f + at, world_bytes(&in, f + at, len), how), how);
		world_pass((how & HOW_LATER) != 0 ? WORLD_SECOND : 1000);
	}
	world_end();
	return 0;
}
