/*
 * ARP and NDP against the neighbour tables and our own addresses: a row of records, each a byte of what
 * happens. Stations speak truth and lies, both workers send to neighbours that are there or not, time passes.
 */
#include "net_world.h"

enum event {
	EVENT_ARP,
	EVENT_NDP,
	EVENT_SEND4,
	EVENT_SEND6,
	EVENT_TIME,
	EVENT_RAW_ARP,
	NB_EVENTS,
};

#define STATIONS 6

/* 10.0.1.1 and fd00:1::1 (ours) and those behind them, and what is none. */
static uint32_t ip4_of(uint8_t b)
{
	static const uint32_t odd[] = {0,          0xffffffff, 0x0a0001ff, 0x0a000109,
	                               0xe0000001, 0x0a000201, 0x7f000001};

	return b < 200 ? WORLD_OURS4 + b % STATIONS : odd[b % (sizeof(odd) / sizeof(odd[0]))];
}

static struct net_ip ip6_of(uint8_t b)
{
	struct net_ip ip = world_ip(b & 0x40 ? "fe80::" : "fd00:1::");
	struct net_ip ours = world_ip(WORLD_OURS6);

	if (b == 0xff)
		return (struct net_ip){{0, 0}};
	if (b == 0xfe)
		return net_ip_all_nodes();
	if (b == 0xfd)
		return net_ip_solicited_node(&ours);
	if (b == 0xfc)
		return world.shared->ifs[WORLD_IFS].addr; /* link-local, ours */
	ip.w[1] = rte_cpu_to_be_64(1 + b % STATIONS);
	return ip;
}

static void arp(struct world_input *in, bool raw)
{
	uint8_t f[64] = {0};
	uint8_t how = world_byte(in);
	uint8_t station = world_byte(in);
	size_t at = world_ether(f, (how & 4) != 0, station, (how & 8) != 0, RTE_ETHER_TYPE_ARP);
	uint8_t *a = f + at;

	if (raw) {
		world_bytes(in, a, 28);
		world_frame(f, at + 28, how);
		return;
	}
	memcpy(a, "\0\1\x08\0\6\4\0", 7);
	a[7] = (how & 16) != 0 ? 1 : 2;
	memcpy(a + 8, f + 6, 6);
	if ((how & 32) != 0)
		a[13] ^= 1; /* the frame's sender is another */
	sl_put_be32(a + 14, ip4_of(world_byte(in)));
	memcpy(a + 18, (how & 64) != 0 ? f : f + 6, 6);
	sl_put_be32(a + 24, ip4_of(world_byte(in)));
	world_frame(f, at + 46, how);
}

static void ndp(struct world_input *in)
{
	uint8_t f[256] = {0};
	uint8_t how = world_byte(in);
	uint8_t station = world_byte(in);
	size_t at = world_ether(f, (how & 4) != 0, station, (how & 8) != 0, RTE_ETHER_TYPE_IPV6);
	struct net_ip src = ip6_of(world_byte(in));
	struct net_ip dst = ip6_of(world_byte(in));
	struct net_ip target = ip6_of(world_byte(in));
	uint8_t *ip = f + at;
	uint8_t *icmp = ip + NET_IP6_LEN;
	uint16_t n = 24;
	uint16_t sum;

	if ((how & 4) != 0) {
		memcpy(f, "\x33\x33", 2);
		memcpy(f + 2, net_ip_bytes(&dst) + 12, 4);
	}
	icmp[0] = (how & 16) != 0 ? 135 : 136;
	icmp[4] = world_byte(in);
	memcpy(icmp + 8, target.w, 16);
	if ((how & 32) != 0) { /* the option as it should be */
		icmp[24] = (how & 16) != 0 ? 1 : 2;
		icmp[25] = 1;
		memcpy(icmp + 26, f + 6, 6);
		n = 32;
	}
	if ((how & 64) != 0) {
		uint8_t more = world_byte(in) % 64;

		n = (uint16_t)(n + world_bytes(in, icmp + n, more));
	}
	ip[0] = 0x60;
	sl_put_be16(ip + 4, n);
	ip[6] = IPPROTO_ICMPV6;
	ip[7] = (how & 128) != 0 ? world_byte(in) : 255;
	memcpy(ip + 8, src.w, 16);
	memcpy(ip + 24, dst.w, 16);
	sum = net_icmp6_sum(&src, &dst, icmp, n);
	memcpy(icmp + 2, &sum, 2);
	world_frame(f, at + NET_IP6_LEN + n, how);
}

static void send_to(struct world_input *in, bool six)
{
	struct net_ip ours = six ? world_ip(WORLD_OURS6) : net_ip4(WORLD_OURS4);
	uint8_t how = world_byte(in);
	uint8_t to = world_byte(in);
	struct net_ip dst = six ? ip6_of(to) : net_ip4(ip4_of(to));
	struct sl_addr s = net_addr_of(&ours);
	struct sl_addr d = net_addr_of(&dst);
	struct rte_mbuf *m = rte_pktmbuf_alloc(world.pool);
	uint8_t *tcp;

	must(m != NULL, "a buffer to send");
	tcp = (uint8_t *)rte_pktmbuf_append(m, NET_TCP_HDR_MIN);
	memset(tcp, 0, NET_TCP_HDR_MIN);
	tcp[12] = 0x50;
	world.left = 0;
	(void)sl_net_output(world.net[how & 1], m, &s, &d, IPPROTO_TCP, 0, world.now_us);
	(void)sl_net_poll(world.net[0], world.now_us);
	world_take_out();
	must(world.left <= WORLD_ANSWERS, "one packet does not bring about many");
}

static void check_table(void)
{
	struct neigh_table *t = &world.shared->neigh;

	for (uint8_t i = 0; i < STATIONS; i++) {
		struct neigh_key key = {ip6_of(i), 0};
		struct neigh_key four = {net_ip4(ip4_of(i)), 0};
		uint8_t mac[6];

		if (neigh_usable(neigh_read(t, &key, mac)))
			must((mac[0] & 1) == 0 && memcmp(mac, world.mac.addr_bytes, 6) != 0,
			     "a neighbour's MAC");
		if (neigh_usable(neigh_read(t, &four, mac)))
			must((mac[0] & 1) == 0 && memcmp(mac, world.mac.addr_bytes, 6) != 0,
			     "a neighbour's MAC");
		if (i == 0)
			must(neigh_read(t, &four, mac) == NEIGH_NONE, "we are not our neighbour");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world_input in = {data, size};

	world_begin();
	while (in.n > 0) {
		switch ((enum event)(world_byte(&in) % NB_EVENTS)) {
		case EVENT_ARP:
			arp(&in, false);
			break;
		case EVENT_NDP:
			ndp(&in);
			break;
		case EVENT_SEND4:
			send_to(&in, false);
			break;
		case EVENT_SEND6:
			send_to(&in, true);
			break;
		case EVENT_TIME:
			world_pass(1000 + world_byte(&in) * (WORLD_SECOND / 8));
			break;
		case EVENT_RAW_ARP:
		case NB_EVENTS:
			arp(&in, true);
			break;
		}
		world_check();
		check_table();
	}
	world_end();
	return 0;
}
