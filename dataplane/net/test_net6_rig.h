/* What the tests of IPv6 share, on top of test_net_rig.h: the same ports with addresses of both families. */
#ifndef SL_NET_TEST_NET6_RIG_H
#define SL_NET_TEST_NET6_RIG_H

#include "test_net_rig.h"

/* Interfaces: 0 IPv4 and 1 IPv6 on port a, 2 on its VLAN 100, 3 on port b, 4 a unique local one on the link
 * of 0; then the link-local ones: 5 on port a, 6 on the VLAN, 7 on port b. */
#define OURS6      "2001:db8:1::1"
#define OURS6_VLAN "2001:db8:2::1"
#define OURS6_B    "2001:db8:3::1"
#define OURS6_ULA  "fd00:9::1"
#define PEER6      "2001:db8:1::99:2"
#define PEER6_VLAN "2001:db8:2::99:3"
#define PEER6_ULA  "fd00:9::2"
#define PEER6_LL   "fe80::99"
#define GATEWAY6   "fe80::254"
#define FAR6       "2001:db8:ffff::8"
#define IF_LL      5

static inline struct sl_addr addr6(const char *s)
{
	struct sl_addr a;

	assert_int_equal(sl_addr_parse(s, &a), 0);
	return a;
}

static inline struct net_ip ip6(const char *s)
{
	struct sl_addr a = addr6(s);

	return net_ip_of(&a);
}

static inline struct net_ip ours_ll(void)
{
	return shared->ifs[IF_LL].addr;
}

static inline int net6_setup(void **state)
{
	struct sl_net_if_cfg ifs[] = {
	        {port_a.port, prefix("10.0.1.1/24"), 0},      {port_a.port, prefix(OURS6 "/64"), 0},
	        {port_a.port, prefix(OURS6_VLAN "/64"), 100}, {port_b.port, prefix(OURS6_B "/64"), 0},
	        {port_a.port, prefix(OURS6_ULA "/48"), 0},
	};
	struct sl_net_route_cfg routes[] = {
	        {prefix("::/0"), addr6(GATEWAY6), 4},
	        {prefix("2001:db8:77::/48"), addr6(PEER6), 0},
	        {prefix("2001:db8:77:7::/64"), addr6(PEER6_VLAN), 0},
	        {prefix("0.0.0.0/0"), addr(PEER), 0},
	};
	struct sl_net_cfg cfg = {0, rig_pool, on_tcp, on_icmp, &up};
	char err[200] = "";

	(void)state;
	memset(&up, 0, sizeof(up));
	if (sl_net_shared_new(ifs, 5, routes, 4, &shared, err, sizeof(err)) != 0) {
		fprintf(stderr, "%s\n", err);
		return -1;
	}
	if (sl_net_new(shared, &cfg, &net) != 0)
		return -1;
	cfg.worker = 1;
	if (sl_net_new(shared, &cfg, &net1) != 0)
		return -1;
	for (int i = 0; i < 80; i++, now += SECOND / 10) {
		(void)sl_net_tick(net, now);
		drain_ports();
	}
	return 0;
}

static inline void put_ip(uint8_t *d, struct net_ip ip)
{
	memcpy(d, ip.w, sizeof(ip.w));
}

static inline const uint8_t *mac_of_group(struct net_ip group)
{
	static uint8_t mac[6] = {0x33, 0x33};

	memcpy(mac + 2, net_ip_bytes(&group) + 12, 4);
	return mac;
}

/* A packet whose upper layer is ICMPv6; the checksum is filled in. dst_mac NULL: what belongs to dst. */
static inline void icmp6_frame(struct rig_frame *f, uint16_t ifidx, const uint8_t *dst_mac,
                               const uint8_t src_mac[6], struct net_ip src, struct net_ip dst, uint8_t hops,
                               const uint8_t *icmp, size_t n)
{
	uint8_t *p;

	if (dst_mac == NULL)
		dst_mac = net_ip_is_multicast6(&dst) ? mac_of_group(dst) : our_mac(ifidx);
	rig_ether(f, dst_mac, src_mac, link_of_if(ifidx)->vlan, 0x86dd);
	rig_ip6(f, net_ip_bytes(&src), net_ip_bytes(&dst), 58, icmp, n);
	p = f->b + f->ip;
	p[7] = hops;
	sl_put_be16(p + 42, 0);
	sl_put_be16(p + 42, rig_sum6(p, 58, p + 40, n));
}

/* A neighbour solicitation (135) or advertisement (136) with one link-layer option, if lla is not NULL. */
static inline void ndp_frame(struct rig_frame *f, uint16_t ifidx, const uint8_t src_mac[6], struct net_ip src,
                             struct net_ip dst, uint8_t type, uint8_t flags, struct net_ip target,
                             const uint8_t *lla)
{
	uint8_t d[32] = {type, 0, 0, 0, flags};

	put_ip(d + 8, target);
	if (lla != NULL) {
		d[24] = type == 135 ? 1 : 2;
		d[25] = 1;
		memcpy(d + 26, lla, 6);
	}
	icmp6_frame(f, ifidx, NULL, src_mac, src, dst, 255, d, lla != NULL ? 32 : 24);
}

/* The next frame that left is this message; option: whether it names our MAC address. */
static inline void expect_ndp(struct rig_port *p, const uint8_t dst_mac[6], struct net_ip src,
                              struct net_ip dst, uint8_t type, uint8_t flags, struct net_ip target,
                              bool option)
{
	struct rig_frame f;
	const uint8_t *ip;

	assert_true(left(p, &f));
	ip = f.b + f.ip;
	assert_memory_equal(f.b, dst_mac, 6);
	assert_int_equal(sl_get_be16(ip - 2), 0x86dd);
	assert_int_equal(sl_get_be32(ip), 0x60000000);
	assert_int_equal(f.n, f.ip + 40 + (option ? 32 : 24));
	assert_int_equal(sl_get_be16(ip + 4), option ? 32 : 24);
	assert_int_equal(ip[6], 58);
	assert_int_equal(ip[7], 255);
	assert_memory_equal(ip + 8, src.w, 16);
	assert_memory_equal(ip + 24, dst.w, 16);
	assert_int_equal(ip[40], type);
	assert_int_equal(ip[41], 0);
	assert_int_equal(rig_sum6(ip, 58, ip + 40, option ? 32 : 24), 0);
	assert_int_equal(ip[44], flags);
	assert_memory_equal(ip + 48, target.w, 16);
	if (!option)
		return;
	assert_int_equal(ip[64], type == 135 ? 1 : 2);
	assert_int_equal(ip[65], 1);
	assert_memory_equal(ip + 66, f.b + 6, 6);
}

/* The peer asks for an address of ours, which also tells us who it is. */
static inline void learn_peer6(struct net_ip peer, struct net_ip ours, uint16_t ifidx)
{
	struct rig_port *p = link_of_if(ifidx)->port == port_a.port ? &port_a : &port_b;
	struct rig_frame f;

	ndp_frame(&f, ifidx, mac_peer, peer, net_ip_solicited_node(&ours), 135, 0, ours, mac_peer);
	give(net, ifidx, &f);
	expect_ndp(p, mac_peer, ours, peer, 136, 0x60, ours, true);
}

/* Sends a segment with one byte of payload. */
static inline int send_tcp6(struct sl_net *n, const char *src, const char *dst)
{
	uint8_t t[21] = {0x13, 0x88, 0x15, 0x38, 0, 0, 0, 1, 0, 0,  0,
	                 0,    0x50, 0x10, 0x10, 0, 0, 0, 0, 0, 'x'};
	struct sl_addr s = addr6(src);
	struct sl_addr d = addr6(dst);
	int rc = sl_net_output(n, rig_mbuf(t, sizeof(t)), &s, &d, 6, 2, now);

	sl_net_flush(n);
	return rc;
}

/* The segment of send_tcp6(); returns its flow label. */
static inline uint32_t expect_tcp6(struct rig_port *p, const uint8_t dst[6], const char *src, const char *to)
{
	struct net_ip s = ip6(src);
	struct net_ip d = ip6(to);
	struct rig_frame f;
	const uint8_t *ip;

	assert_true(left(p, &f));
	ip = f.b + f.ip;
	assert_memory_equal(f.b, dst, 6);
	assert_int_equal(sl_get_be16(ip - 2), 0x86dd);
	assert_int_equal(f.n, f.ip + 61);
	assert_int_equal(sl_get_be32(ip) >> 20, 0x602); /* ECN */
	assert_int_equal(sl_get_be16(ip + 4), 21);
	assert_int_equal(ip[6], 6);
	assert_int_equal(ip[7], NET_TTL);
	assert_memory_equal(ip + 8, s.w, 16);
	assert_memory_equal(ip + 24, d.w, 16);
	assert_int_equal(rig_sum6(ip, 6, ip + 40, 21), 0);
	return sl_get_be32(ip) & 0xfffff;
}

static inline void refused6(int err, uint16_t ifidx, const struct rig_frame *f)
{
	int before = up.nb_tcp + up.nb_icmp;
	uint64_t count = sl_counter_err_sum(err);

	give(net, ifidx, f);
	if (sl_counter_err_sum(err) != count + 1)
		print_error("%s was not counted once\n", sl_err_name(err));
	assert_int_equal(sl_counter_err_sum(err), count + 1);
	assert_int_equal(up.nb_tcp + up.nb_icmp, before);
	expect_nothing();
}

#endif
