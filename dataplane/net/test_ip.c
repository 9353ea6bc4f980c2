#include "test_net_rig.h"

#define OTHER IP(8, 8, 8, 8)

static void tcp_frame(struct rig_frame *f, uint16_t ifidx, uint32_t src, uint32_t dst)
{
	rig_ether(f, our_mac(ifidx), mac_peer, link_of_if(ifidx)->vlan, 0x0800);
	rig_tcp(f, src, dst, 40000, 5432, "hello", 5);
}

static void accepted(uint16_t ifidx, const struct rig_frame *f)
{
	int before = up.nb_tcp;

	give(net, ifidx, f);
	assert_int_equal(up.nb_tcp, before + 1);
}

static void refused(int err, uint16_t ifidx, const struct rig_frame *f)
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

static void test_tcp_goes_up(void **state)
{
	struct sl_addr src = addr(PEER);
	struct sl_addr dst = addr(OURS);
	struct rig_frame f;

	(void)state;
	tcp_frame(&f, 0, PEER, OURS);
	f.b[f.ip + 1] = 0xba; /* DSCP and ECN */
	f.b[f.ip + 8] = 1;    /* TTL does not matter to a host */
	rig_ip_sum(&f);
	memset(f.b + f.n, 0xee, 10); /* padding of the frame */
	f.n += 10;
	accepted(0, &f);
	assert_int_equal(up.tcp_n, 25);
	assert_memory_equal(up.tcp, f.b + f.ip + 20, 25);
	assert_true(sl_addr_eq(&up.seg.src, &src));
	assert_true(sl_addr_eq(&up.seg.dst, &dst));
	assert_int_equal(up.seg.ecn, 2);
	assert_int_equal(up.seg.ttl, 1);
	assert_int_equal(up.seg.ifidx, 0);
	tcp_frame(&f, 3, PEER, OURS_2); /* the second address of the link, given in on the first */
	accepted(0, &f);
	assert_int_equal(up.seg.ifidx, 3);
}

static void test_ethernet(void **state)
{
	static const uint8_t group[6] = {0x01, 0, 0x5e, 0, 0, 1};
	static const uint8_t zero[6] = {0};
	struct rig_frame good;
	struct rig_frame f;

	(void)state;
	tcp_frame(&good, 0, PEER, OURS);
	for (size_t n = 1; n < 14; n++) {
		f = good;
		f.n = n;
		refused(SL_E_NET_SHORT, 0, &f);
	}
	f = good;
	memcpy(f.b, mac_evil, 6);
	refused(SL_E_NET_DST_MAC, 0, &f);
	memcpy(f.b, group, 6);
	refused(SL_E_NET_DST_MAC, 0, &f);
	memcpy(f.b, mac_all, 6); /* a unicast packet in a broadcast frame */
	refused(SL_E_NET_IP_DST, 0, &f);
	f = good;
	memcpy(f.b + 6, group, 6);
	refused(SL_E_NET_SRC_MAC, 0, &f);
	memcpy(f.b + 6, zero, 6);
	refused(SL_E_NET_SRC_MAC, 0, &f);
	memcpy(f.b + 6, our_mac(0), 6);
	refused(SL_E_NET_SRC_MAC, 0, &f);
	f = good;
	sl_put_be16(f.b + 12, 0x86dd); /* no IPv6 here */
	refused(SL_E_NET_ETHERTYPE, 0, &f);
	sl_put_be16(f.b + 12, 0x88a8);
	refused(SL_E_NET_ETHERTYPE, 0, &f);
	COUNTS(SL_E_INVAL, give(net, 4, &good)); /* no such interface */
}

static void test_vlan(void **state)
{
	struct rig_frame f;
	struct rte_mbuf *m;

	(void)state;
	tcp_frame(&f, 1, PEER_VLAN, OURS_VLAN);
	accepted(0, &f); /* the frame finds its interface, whichever of the port it came in on */
	assert_int_equal(up.seg.ifidx, 1);
	accepted(1, &f);
	f.b[14] |= 0xe0; /* priority */
	accepted(1, &f);
	for (size_t n = 14; n < 18; n++) {
		struct rig_frame cut = f;

		cut.n = n;
		refused(SL_E_NET_SHORT, 1, &cut);
	}
	f.b[15] = 101;
	refused(SL_E_NET_VLAN, 1, &f);
	f.b[15] = 100;
	refused(SL_E_NET_VLAN, 2, &f); /* port b has no VLAN */
	/* An address of the untagged link does not answer on the VLAN. */
	tcp_frame(&f, 1, PEER_VLAN, OURS);
	refused(SL_E_NET_IP_DST, 1, &f);
	tcp_frame(&f, 1, PEER, OURS);
	refused(SL_E_NET_IP_SRC, 1, &f);
	f.b[15] = 0; /* a tag with a priority only is no VLAN */
	accepted(0, &f);
	assert_int_equal(up.seg.ifidx, 0);
	sl_put_be16(f.b + 16, 0x8100); /* two tags */
	refused(SL_E_NET_ETHERTYPE, 0, &f);
	/* A device that took the tag off, and one that took off two. */
	rig_ether(&f, our_mac(0), mac_peer, 0, 0x0800);
	rig_tcp(&f, PEER_VLAN, OURS_VLAN, 1, 2, NULL, 0);
	m = rig_mbuf(f.b, f.n);
	m->ol_flags = RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
	m->vlan_tci = 0x2000 | 100;
	sl_net_input(net, 0, &m, 1, now);
	assert_int_equal(up.seg.ifidx, 1);
	m = rig_mbuf(f.b, f.n);
	m->ol_flags = RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED | RTE_MBUF_F_RX_QINQ |
	              RTE_MBUF_F_RX_QINQ_STRIPPED;
	m->vlan_tci = 100;
	COUNTS(SL_E_NET_VLAN, sl_net_input(net, 0, &m, 1, now));
}

static void test_ip_header(void **state)
{
	struct rig_frame good;
	struct rig_frame f;
	struct rte_mbuf *m;

	(void)state;
	tcp_frame(&good, 0, PEER, OURS);
	for (size_t n = 14; n < good.n; n++) {
		f = good;
		f.n = n;
		refused(SL_E_NET_SHORT, 0, &f);
	}
	f = good;
	f.b[f.ip] = 0x65;
	refused(SL_E_NET_IP_VERSION, 0, &f);
	f.b[f.ip] = 0x44;
	refused(SL_E_NET_IP_HEADER, 0, &f);
	f.b[f.ip] = 0x46;
	refused(SL_E_NET_IP_OPTIONS, 0, &f);
	f = good;
	sl_put_be16(f.b + f.ip + 2, 19);
	refused(SL_E_NET_IP_HEADER, 0, &f);
	f = good;
	f.b[f.ip + 10] ^= 1;
	refused(SL_E_NET_IP_CSUM, 0, &f);
	m = rig_mbuf(f.b, f.n); /* the port's word counts */
	m->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD;
	sl_net_input(net, 0, &m, 1, now);
	assert_int_equal(up.nb_tcp, 1);
	m = rig_mbuf(good.b, good.n);
	m->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_BAD;
	COUNTS(SL_E_NET_IP_CSUM, sl_net_input(net, 0, &m, 1, now));
	for (int i = 0; i < 2; i++) {
		static const uint16_t frag[] = {0x2000, 0x3fff}; /* test_reass.c has the rest */

		f = good;
		sl_put_be16(f.b + f.ip + 6, frag[i]);
		rig_ip_sum(&f);
		refused(SL_E_NET_IP_FRAGMENT, 0, &f);
	}
	f = good;
	rig_ip(&f, PEER, OURS, 6, "short", 5);
	refused(SL_E_TCP_HEADER, 0, &f);
}

static void test_addresses(void **state)
{
	static const uint32_t bad_src[] = {
	        0,
	        IP(0, 1, 2, 3),
	        IP(127, 0, 0, 1),
	        IP(224, 0, 0, 1),
	        IP(240, 0, 0, 1),
	        IP(255, 255, 255, 255),
	        OURS,
	        OURS_B,
	        IP(10, 0, 1, 0),
	        IP(10, 0, 1, 255),
	        IP(10, 0, 3, 255),
	        IP(10, 0, 3, 9), /* of the subnet of another link */
	};
	static const uint32_t bad_dst[] = {
	        IP(10, 0, 1, 9), IP(10, 0, 1, 255), IP(255, 255, 255, 255), IP(224, 0, 0, 1),
	        OURS_B,          OURS_VLAN};
	struct rig_frame f;

	(void)state;
	for (size_t i = 0; i < sizeof(bad_src) / sizeof(bad_src[0]); i++) {
		tcp_frame(&f, 0, bad_src[i], OURS);
		refused(SL_E_NET_IP_SRC, 0, &f);
	}
	for (size_t i = 0; i < sizeof(bad_dst) / sizeof(bad_dst[0]); i++) {
		tcp_frame(&f, 0, PEER, bad_dst[i]);
		refused(SL_E_NET_IP_DST, 0, &f);
	}
	tcp_frame(&f, 0, IP(192, 168, 9, 9), OURS); /* behind a router */
	accepted(0, &f);
	assert_true(sl_net_is_local(net, &up.seg.dst));
	assert_false(sl_net_is_local(net, &up.seg.src));
}

static void echo_frame(struct rig_frame *f, uint16_t ifidx, uint32_t src, uint32_t dst, size_t n)
{
	uint8_t icmp[1500] = {8, 0, 0, 0, 0x12, 0x34, 0, 1};

	for (size_t i = 8; i < n; i++)
		icmp[i] = (uint8_t)i;
	sl_put_be16(icmp + 2, rig_sum(0, icmp, n));
	rig_ether(f, our_mac(ifidx), mac_peer, link_of_if(ifidx)->vlan, 0x0800);
	rig_ip(f, src, dst, 1, icmp, n);
}

static void test_echo(void **state)
{
	struct rig_frame f;
	struct rig_frame r;
	const size_t sizes[] = {8, 9, 64, 1480};

	(void)state;
	learn_peer(PEER_VLAN, OURS_VLAN, 1);
	for (size_t i = 0; i < 4; i++) {
		echo_frame(&f, 1, PEER_VLAN, OURS_VLAN, sizes[i]);
		give(net, 1, &f);
		assert_true(left(&port_a, &r));
		assert_int_equal(r.n, f.n);
		assert_memory_equal(r.b, mac_peer, 6);
		assert_memory_equal(r.b + 6, our_mac(1), 6);
		assert_memory_equal(r.b + 12, "\x81\0\0\x64\x08\0", 6);
		assert_int_equal(sl_get_be32(r.b + r.ip + 12), OURS_VLAN);
		assert_int_equal(sl_get_be32(r.b + r.ip + 16), PEER_VLAN);
		assert_int_equal(r.b[r.ip + 8], NET_TTL);
		assert_int_equal(rig_sum(0, r.b + r.ip, 20), 0);
		assert_int_equal(r.b[r.ip + 20], 0);
		assert_int_equal(rig_sum(0, r.b + r.ip + 20, sizes[i]), 0);
		assert_memory_equal(r.b + r.ip + 24, f.b + f.ip + 24, sizes[i] - 4);
	}
	echo_frame(&f, 1, PEER_VLAN, OURS_VLAN, 64);
	f.b[f.ip + 40] ^= 1;
	refused(SL_E_NET_ICMP, 1, &f); /* checksum */
	for (size_t n = 0; n < 8; n++) {
		echo_frame(&f, 1, PEER_VLAN, OURS_VLAN, n);
		refused(SL_E_NET_ICMP, 1, &f);
	}
}

static void test_echo_external(void **state)
{
	struct rig_frame f;

	(void)state;
	learn_peer(PEER, OURS, 0);
	echo_frame(&f, 0, PEER, OURS, 64);
	echo_in_external(0, &f);
}

static void test_echo_rate(void **state)
{
	struct rig_frame f;
	struct rig_frame r;
	int answered = 0;

	(void)state;
	learn_peer(PEER, OURS, 0);
	echo_frame(&f, 0, PEER, OURS, 64);
	for (int i = 0; i < 1000; i++) {
		give(net, 0, &f);
		answered += left(&port_a, &r);
	}
	assert_int_equal(answered, NET_ECHO_BURST);
	COUNTS(SL_E_NET_ICMP_RATE, give(net, 0, &f));
	for (int i = 0; i < 1000; i++, now += SECOND / 2000) { /* twice the rate */
		give(net, 0, &f);
		answered += left(&port_a, &r);
	}
	assert_in_range(answered - NET_ECHO_BURST, NET_ECHO_RATE / 2 - 1, NET_ECHO_RATE / 2 + 1);
}

/* An ICMP error that quotes a segment from OURS:40000 to 8.8.8.8:5432. */
static void error_frame(struct rig_frame *f, uint8_t type, uint8_t code, size_t quoted)
{
	uint8_t icmp[8 + 60] = {type, code, 0, 0, 0, 0, 0x05, 0x78};
	struct rig_frame sent;

	tcp_frame(&sent, 0, OURS, OTHER);
	memcpy(icmp + 8, sent.b + sent.ip, quoted);
	sl_put_be16(icmp + 2, rig_sum(0, icmp, 8 + quoted));
	rig_ether(f, our_mac(0), mac_peer, 0, 0x0800);
	rig_ip(f, PEER, OURS, 1, icmp, 8 + quoted);
}

static void resum(struct rig_frame *f, size_t quoted)
{
	sl_put_be16(f->b + f->ip + 22, 0);
	sl_put_be16(f->b + f->ip + 22, rig_sum(0, f->b + f->ip + 20, 8 + quoted));
}

static void test_icmp_errors(void **state)
{
	struct sl_addr ours = addr(OURS);
	struct sl_addr other = addr(OTHER);
	struct rig_frame f;

	(void)state;
	error_frame(&f, 3, 4, 28);
	give(net, 0, &f);
	assert_int_equal(up.nb_icmp, 1);
	assert_true(sl_addr_eq(&up.icmp.src, &ours));
	assert_true(sl_addr_eq(&up.icmp.dst, &other));
	assert_int_equal(up.icmp.sport, 40000);
	assert_int_equal(up.icmp.dport, 5432);
	assert_int_equal(up.icmp.seq, 0x01020304);
	assert_int_equal(up.icmp.type, 3);
	assert_int_equal(up.icmp.code, 4);
	assert_int_equal(up.icmp.mtu, 1400);
	error_frame(&f, 11, 0, 40);
	give(net, 0, &f);
	assert_int_equal(up.nb_icmp, 2);
	assert_int_equal(up.icmp.mtu, 0);
	for (size_t n = 0; n < 28; n++) {
		error_frame(&f, 3, 1, n);
		refused(SL_E_NET_ICMP, 0, &f);
	}
	error_frame(&f, 5, 1, 28); /* redirect */
	refused(SL_E_NET_ICMP, 0, &f);
	error_frame(&f, 3, 4, 28);
	sl_put_be16(f.b + f.ip + 26, 67); /* an MTU that cannot be */
	resum(&f, 28);
	refused(SL_E_NET_ICMP, 0, &f);
	error_frame(&f, 3, 1, 28);
	f.b[f.ip + 28 + 9] = 17; /* quotes UDP */
	resum(&f, 28);
	refused(SL_E_NET_ICMP, 0, &f);
	error_frame(&f, 3, 1, 28);
	f.b[f.ip + 28 + 15] ^= 3; /* quotes a packet that is not ours */
	resum(&f, 28);
	refused(SL_E_NET_ICMP, 0, &f);
	error_frame(&f, 3, 1, 28);
	f.b[f.ip + 28] = 0x4f; /* quotes a header longer than what is there */
	resum(&f, 28);
	refused(SL_E_NET_ICMP, 0, &f);
}

static void source(uint32_t dst, uint32_t src, const struct sl_port *port)
{
	struct sl_addr d = addr(dst);
	struct sl_addr want = addr(src);
	struct sl_net_path path;

	assert_int_equal(sl_net_path(net, &d, &path), 0);
	assert_true(sl_addr_eq(&path.src, &want));
	assert_ptr_equal(path.port, port);
	assert_int_equal(path.mtu, sl_port_caps(port)->mtu);
}

static void test_routes(void **state)
{
	static const uint32_t none[] = {
	        0, IP(127, 0, 0, 1), IP(224, 0, 0, 1), IP(10, 0, 1, 255), IP(10, 0, 1, 0), OURS, OURS_B};
	struct rig_frame f;

	(void)state;
	source(PEER, OURS, port_a.port);
	source(PEER_VLAN, OURS_VLAN, port_a.port);
	source(IP(10, 9, 0, 2), OURS_2, port_a.port);
	source(OTHER, OURS_B, port_b.port);
	source(IP(192, 168, 1, 1), OURS, port_a.port);
	source(IP(192, 168, 7, 1), OURS_VLAN, port_a.port); /* the longer prefix wins */
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		assert_int_equal(send_tcp(net, OURS, none[i]), SL_E_NET_NO_ROUTE);
	/* The next hop is who is asked for, whatever the destination. */
	assert_int_equal(send_tcp(net, OURS_B, OTHER), 0);
	expect_arp(&port_b, mac_all, 1, OURS_B, GATEWAY_B);
	assert_int_equal(send_tcp(net, OURS_B, IP(9, 9, 9, 9)), 0);
	expect_nothing();
	arp_frame(&f, our_mac(2), mac_peer, 0, 2, GATEWAY_B, our_mac(2), OURS_B);
	give(net, 2, &f);
	expect_tcp(&port_b, mac_peer, OURS_B, OTHER);
	expect_tcp(&port_b, mac_peer, OURS_B, IP(9, 9, 9, 9));
}

static void config_refused(const struct sl_net_if_cfg *ifs, uint16_t nb_ifs, const struct sl_net_route_cfg *r,
                           uint16_t nb_r, const char *why)
{
	struct sl_net_shared *s;
	char err[200] = "";

	assert_int_equal(sl_net_shared_new(ifs, nb_ifs, r, nb_r, &s, err, sizeof(err)), SL_E_CONFIG);
	assert_null(s);
	if (strstr(err, why) == NULL)
		print_error("'%s' does not say '%s'\n", err, why);
	assert_non_null(strstr(err, why));
}

/* What the stack is told of a path is all said, whatever was in its memory. */
static void test_path_is_whole(void **state)
{
	struct sl_addr to = addr(PEER), src = addr(OURS);
	struct sl_net_path path;

	(void)state;
	memset(&path, 0xa5, sizeof(path));
	assert_int_equal(sl_net_path(net, &to, &path), 0);
	assert_true(sl_addr_eq(&path.src, &src));
	assert_int_equal(path.mtu, 1500);
	assert_false(path.tso);
	assert_int_equal(path.multi_seg, sl_port_caps(port_a.port)->multi_seg);
	assert_int_equal(path.tso_segs, 0);
	assert_ptr_equal(path.port, port_a.port);
}

static void test_config(void **state)
{
	struct sl_net_if_cfg i[2] = {{port_a.port, prefix("10.0.1.1/24"), 0},
	                             {port_b.port, prefix("10.0.3.1/24"), 0}};
	struct sl_net_route_cfg r[2] = {{prefix("0.0.0.0/0"), addr(PEER), 0},
	                                {prefix("0.0.0.0/0"), addr(GATEWAY_B), 0}};
	struct sl_net_if_cfg bad;

	(void)state;
	config_refused(i, 0, NULL, 0, "interfaces");
	config_refused(i, 2, r, 2, "same subnet");
	r[0].via = addr(IP(10, 7, 7, 7));
	config_refused(i, 2, r, 1, "no interface");
	r[0].via = addr(OURS);
	config_refused(i, 2, r, 1, "our own");
	r[0].dst = prefix("fd00::/8");
	config_refused(i, 2, r, 1, "two families");
	config_refused(i, 2, r, SL_NET_ROUTES_MAX + 1, "more than");
	bad = i[1];
	i[1].address = prefix("10.0.1.2/24"); /* the same subnet on another link */
	config_refused(i, 2, NULL, 0, "same subnet");
	i[1].address = i[0].address;
	config_refused(i, 2, NULL, 0, "twice");
	bad.address = prefix("10.0.1.0/24");
	config_refused(&bad, 1, NULL, 0, "not one of a station");
	bad.address = prefix("10.0.1.1/0");
	config_refused(&bad, 1, NULL, 0, "out of range");
	bad.address = prefix("10.0.1.1/24");
	bad.vlan = 4095;
	config_refused(&bad, 1, NULL, 0, "out of range");
}

static void test_output_limits(void **state)
{
	uint8_t big[2000] = {0};
	struct sl_addr s = addr(OURS);
	struct sl_addr d = addr(PEER);
	struct sl_addr six = {{0}, SL_AF_INET6};
	struct rte_mbuf *m;
	size_t room = sl_port_caps(port_a.port)->mtu - 20u;

	(void)state;
	learn_peer(PEER, OURS, 0);
	big[12] = 0x50;
	assert_int_equal(sl_net_output(net, rig_mbuf(big, room + 1), &s, &d, 6, 0, now), SL_E_NET_MTU);
	assert_int_equal(sl_net_output(net, rig_mbuf(big, room), &s, &d, 6, 0, now), 0);
	drain_ports();
	assert_int_equal(sl_net_output(net, rig_mbuf(big, 19), &s, &d, 6, 0, now), SL_E_INVAL);
	assert_int_equal(sl_net_output(net, rig_mbuf(big, 20), &s, &six, 6, 0, now), SL_E_NET_NO_ROUTE);
	assert_int_equal(sl_net_output(net, rig_mbuf(big, 20), &six, &d, 6, 0, now), SL_E_NET_NO_ROUTE);
	m = rig_mbuf(big, 20 + RTE_PKTMBUF_HEADROOM); /* no headroom */
	(void)rte_pktmbuf_prepend(m, RTE_PKTMBUF_HEADROOM);
	assert_int_equal(sl_net_output(net, m, &s, &d, 6, 0, now), SL_E_INVAL);
	/* More than the queue holds goes out without a flush; nothing is lost. */
	for (int i = 0; i < NET_TX_QUEUE * 2 + 3; i++)
		assert_int_equal(sl_net_output(net, rig_mbuf(big, 20), &s, &d, 6, 0, now), 0);
	sl_net_flush(net);
	for (int i = 0; i < NET_TX_QUEUE * 2 + 3; i++) {
		m = rig_take(&port_a);
		assert_non_null(m);
		rte_pktmbuf_free(m);
	}
	expect_nothing();
	/* Without buffers nothing is asked and nothing breaks. */
	{
		struct neigh_key key = {net_ip4(IP(10, 0, 1, 50)), 0};
		struct rte_mbuf *all[RIG_POOL];
		unsigned n = 0;

		while ((all[n] = rte_pktmbuf_alloc(rig_pool)) != NULL && n < RIG_POOL - 1)
			n++;
		COUNTS(SL_E_NET_NO_MBUF, net_nud_resolve(net, &key, now));
		rte_pktmbuf_free_bulk(all, n + (all[n] != NULL));
	}
}

/* From the port to the callback, with two workers: each gets its own connections. */
static void test_poll(void **state)
{
	struct rig_frame f;
	int up0 = 0;

	(void)state;
	for (uint16_t i = 0; i < 200; i++) {
		rig_ether(&f, our_mac(0), mac_peer, 0, 0x0800);
		rig_tcp(&f, PEER, OURS, i, 5432, NULL, 0);
		rig_put(i % 2 == 0 ? &port_a : &port_b, rig_mbuf(f.b, f.n));
	}
	arp_frame(&f, mac_all, mac_peer, 0, 1, PEER, NULL, OURS);
	rig_put(&port_a, rig_mbuf(f.b, f.n));
	while (sl_net_poll(net, now) > 0)
		;
	up0 = up.nb_tcp;
	while (sl_net_poll(net1, now) > 0)
		;
	sl_net_flush(net);
	expect_arp(&port_a, mac_peer, 2, OURS, PEER);
	assert_int_equal(up.nb_tcp, 100); /* what came in on port b was for another station */
	assert_true(up0 > 20 && up0 < 80);
}

/* A worker that was away reads what has piled up before it does anything else. */
static void test_poll_after_pause(void **state)
{
	struct rig_frame f;

	(void)state;
	assert_int_equal(sl_net_poll(net, now), 0);
	rig_ether(&f, our_mac(0), mac_peer, 0, 0x88b5); /* worker 0 counts it, and no more */
	for (int i = 0; i < 3 * SL_PORT_BURST + 4; i++)
		rig_put(&port_b, rig_mbuf(f.b, f.n));
	now += NET_LATE_US;
	assert_int_equal(sl_net_poll(net, now), SL_PORT_BURST);
	now += NET_LATE_US + 1;
	assert_int_equal(sl_net_poll(net, now), 2 * SL_PORT_BURST + 4);
	assert_int_equal(sl_net_poll(net, now), 0);
}

/* So it does when what comes first is another worker's: handing over is reading, and it is work, too. */
static void test_poll_hands_over(void **state)
{
	struct sl_endpoint src = {addr(PEER), 1024}, dst = {addr(OURS), 5432};
	uint16_t port_of[2];
	struct rig_frame f;

	(void)state;
	for (uint16_t w = 0; w < 2; w++) {
		while (sl_port_owner(port_a.port, &src, &dst) != w)
			src.port++;
		port_of[w] = src.port;
	}
	assert_int_equal(sl_net_poll(net, now), 0);
	now += NET_LATE_US + 1;
	rig_ether(&f, our_mac(0), mac_peer, 0, 0x0800);
	rig_tcp(&f, PEER, OURS, port_of[1], 5432, NULL, 0);
	for (int i = 0; i < SL_PORT_BURST; i++)
		rig_put(&port_a, rig_mbuf(f.b, f.n));
	rig_ether(&f, our_mac(0), mac_peer, 0, 0x0800);
	rig_tcp(&f, PEER, OURS, port_of[0], 5432, NULL, 0);
	rig_put(&port_a, rig_mbuf(f.b, f.n));
	/* Timers run behind this poll: the ACK that they wait for must have been read. */
	(void)sl_net_poll(net, now);
	assert_int_equal(up.nb_tcp, 1);
	while (sl_net_poll(net1, now) > 0)
		;
	assert_int_equal(up.nb_tcp, SL_PORT_BURST + 1);
	/* Not idle: it would nap between two bursts. */
	rig_ether(&f, our_mac(0), mac_peer, 0, 0x0800);
	rig_tcp(&f, PEER, OURS, port_of[1], 5432, NULL, 0);
	for (int i = 0; i < SL_PORT_BURST; i++)
		rig_put(&port_a, rig_mbuf(f.b, f.n));
	assert_int_not_equal(sl_net_poll(net, now), 0);
	while (sl_net_poll(net1, now) > 0)
		;
}

#define T(name) cmocka_unit_test_setup_teardown(name, net_setup, net_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(test_tcp_goes_up),      T(test_ethernet),        T(test_vlan),
	        T(test_ip_header),        T(test_addresses),       T(test_echo),
	        T(test_echo_rate),        T(test_icmp_errors),     T(test_routes),
	        T(test_config),           T(test_output_limits),   T(test_poll),
	        T(test_poll_after_pause), T(test_poll_hands_over), T(test_echo_external),
	        T(test_path_is_whole),
	};
	int failed;

	net_rig_start();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	net_rig_stop();
	return failed;
}
