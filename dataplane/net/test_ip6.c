#include "test_net6_rig.h"

static void tcp6_frame(struct rig_frame *f, uint16_t ifidx, const char *src, const char *dst)
{
	struct net_ip s = ip6(src);
	struct net_ip d = ip6(dst);

	rig_ether(f, our_mac(ifidx), mac_peer, link_of_if(ifidx)->vlan, 0x86dd);
	rig_tcp6(f, net_ip_bytes(&s), net_ip_bytes(&d), 40000, 5432, "hello", 5);
}

static void ext_frame(struct rig_frame *f, uint8_t first, const uint8_t *ext, size_t n)
{
	struct net_ip s = ip6(PEER6);
	struct net_ip d = ip6(OURS6);

	rig_ether(f, our_mac(1), mac_peer, 0, 0x86dd);
	rig_tcp6_ext(f, net_ip_bytes(&s), net_ip_bytes(&d), 40000, 5432, first, ext, n, "hello", 5);
}

static void accepted(uint16_t ifidx, const struct rig_frame *f)
{
	int before = up.nb_tcp;

	give(net, ifidx, f);
	assert_int_equal(up.nb_tcp, before + 1);
	assert_int_equal(up.tcp_n, 25);
	assert_memory_equal(up.tcp + 20, "hello", 5);
	expect_nothing();
}

static void test_tcp_goes_up(void **state)
{
	struct sl_addr src = addr6(PEER6);
	struct sl_addr dst = addr6(OURS6);
	struct rig_frame f;

	(void)state;
	tcp6_frame(&f, 1, PEER6, OURS6);
	f.b[f.ip] = 0x6b; /* traffic class 0xb2: ECN 2 */
	f.b[f.ip + 1] = 0x25;
	f.b[f.ip + 7] = 1;
	memset(f.b + f.n, 0xee, 10); /* padding of the frame */
	f.n += 10;
	accepted(1, &f);
	assert_true(sl_addr_eq(&up.seg.src, &src));
	assert_true(sl_addr_eq(&up.seg.dst, &dst));
	assert_int_equal(up.seg.ecn, 2);
	assert_int_equal(up.seg.ttl, 1);
	assert_int_equal(up.seg.ifidx, 1);
	tcp6_frame(&f, 2, PEER6_VLAN, OURS6_VLAN);
	accepted(0, &f);
	assert_int_equal(up.seg.ifidx, 2);
	tcp6_frame(&f, 1, FAR6, OURS6_ULA); /* from behind a router, to another address of the link */
	accepted(1, &f);
	assert_int_equal(up.seg.ifidx, 4);
}

static void test_header(void **state)
{
	struct rig_frame good;
	struct rig_frame f;

	(void)state;
	tcp6_frame(&good, 1, PEER6, OURS6);
	for (size_t n = 14; n < good.n; n++) {
		f = good;
		f.n = n;
		refused6(SL_E_NET_SHORT, 1, &f);
	}
	f = good;
	f.b[f.ip] = 0x45;
	refused6(SL_E_NET_IP_VERSION, 1, &f);
	f = good;
	sl_put_be16(f.b + f.ip + 4, 0); /* a jumbogram, or nothing */
	refused6(SL_E_NET_IP_HEADER, 1, &f);
	f = good;
	sl_put_be16(f.b + f.ip + 4, 19);
	refused6(SL_E_TCP_HEADER, 1, &f);
}

static void test_addresses(void **state)
{
	static const char *const bad_src[] = {
	        "::",         "::1", "ff02::1", "::ffff:10.0.1.2",
	        "::10.0.1.2", OURS6, OURS6_B,   "2001:db8:3::9" /* of another link */,
	};
	static const char *const bad_dst[] = {
	        PEER6,     "2001:db8:1::9",   OURS6_B, OURS6_VLAN, "ff02::1:ff77:7777",
	        "ff0e::1", "::ffff:10.0.1.1",
	};
	struct net_ip all = net_ip_all_nodes();
	struct rig_frame f;

	(void)state;
	for (size_t i = 0; i < sizeof(bad_src) / sizeof(bad_src[0]); i++) {
		tcp6_frame(&f, 1, bad_src[i], OURS6);
		refused6(SL_E_NET_IP_SRC, 1, &f);
	}
	for (size_t i = 0; i < sizeof(bad_dst) / sizeof(bad_dst[0]); i++) {
		tcp6_frame(&f, 1, PEER6, bad_dst[i]);
		refused6(SL_E_NET_IP_DST, 1, &f);
	}
	/* A group in a station's frame, a station's address in a group's, and no TCP to a group at all. */
	tcp6_frame(&f, 1, PEER6, "ff02::1");
	refused6(SL_E_NET_IP_DST, 1, &f);
	memcpy(f.b, mac_of_group(all), 6);
	refused6(SL_E_NET_IP_DST, 1, &f);
	tcp6_frame(&f, 1, PEER6, OURS6);
	memcpy(f.b, mac_of_group(all), 6);
	refused6(SL_E_NET_IP_DST, 1, &f);
	f.b[0] = 0x01; /* a group of something else */
	refused6(SL_E_NET_DST_MAC, 1, &f);
	assert_true(sl_net_is_local(
	        net,
	        &(struct sl_addr){{0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, SL_AF_INET6}));
}

static void test_extensions_pass(void **state)
{
	static const uint8_t hop[8] = {6, 0, 5, 2, 0, 0, 1, 0};     /* router alert, PadN */
	static const uint8_t dest[8] = {6, 0, 0x1e, 1, 7, 1, 1, 0}; /* an unknown one to be skipped */
	static const uint8_t routing[8] = {6, 0, 4, 0};
	static const uint8_t atomic[8] = {6, 0, 0, 0, 1, 2, 3, 4};
	static const uint8_t all[40] = {60, 0, 1, 4, 0,  0, 0, 0, 43, 0, 1, 4, 0, 0, 0, 0, 44, 0, 4, 0,
	                                0,  0, 0, 0, 60, 0, 0, 0, 0,  0, 0, 1, 6, 0, 1, 4, 0,  0, 0, 0};
	static const struct {
		uint8_t type;
		const uint8_t *b;
		size_t n;
	} c[] = {{0, hop, 8}, {60, dest, 8}, {43, routing, 8}, {44, atomic, 8}, {0, all, 40}};
	struct rig_frame f;

	(void)state;
	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		ext_frame(&f, c[i].type, c[i].b, c[i].n);
		accepted(1, &f);
		for (size_t cut = 1; cut < c[i].n + 25; cut++) { /* the header says less than there is */
			struct rig_frame g = f;

			sl_put_be16(g.b + g.ip + 4, (uint16_t)(c[i].n + 25 - cut));
			g.n -= cut;
			give(net, 1, &g);
			drain_ports();
		}
	}
}

/* The ICMPv6 error that is sent about the frame. */
static void reported(const struct rig_frame *f, int err, uint8_t type, uint8_t code, uint32_t arg)
{
	struct rig_frame r;
	const uint8_t *ip;
	int before = up.nb_tcp;

	COUNTS(err, give(net, 1, f));
	assert_int_equal(up.nb_tcp, before);
	assert_true(left(&port_a, &r));
	ip = r.b + r.ip;
	assert_memory_equal(r.b, mac_peer, 6);
	assert_int_equal(ip[6], 58);
	assert_memory_equal(ip + 8, f->b + f->ip + 24, 16);
	assert_memory_equal(ip + 24, f->b + f->ip + 8, 16);
	assert_int_equal(ip[40], type);
	assert_int_equal(ip[41], code);
	assert_int_equal(sl_get_be32(ip + 44), arg);
	assert_int_equal(rig_sum6(ip, 58, ip + 40, sl_get_be16(ip + 4)), 0);
	assert_memory_equal(ip + 48, f->b + f->ip, f->n - f->ip);
	expect_nothing();
}

static void test_extensions_reported(void **state)
{
	static const uint8_t report[8] = {6, 0, 0x9e, 1, 7, 1, 1, 0};
	static const uint8_t jumbo[8] = {6, 0, 0xc2, 4, 0, 1, 0, 0};
	static const uint8_t past[8] = {6, 0, 0x1e, 5, 0, 0, 0, 0};
	static const uint8_t source[24] = {6, 2, 0, 1};
	static const uint8_t source_done[24] = {6, 2, 0, 0};
	static const uint8_t segments[8] = {6, 0, 4, 1};
	static const uint8_t hop_again[16] = {0, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0};
	static const uint8_t twice[16] = {43, 0, 4, 0, 0, 0, 0, 0, 6, 0, 4, 0, 0, 0, 0, 0};
	struct rig_frame f;

	(void)state;
	learn_peer6(ip6(PEER6), ip6(OURS6), 1);
	ext_frame(&f, 60, report, 8);
	reported(&f, SL_E_NET_IP6_EXT, 4, 2, 42);
	ext_frame(&f, 0, jumbo, 8);
	reported(&f, SL_E_NET_IP6_EXT, 4, 2, 42);
	ext_frame(&f, 60, past, 8);
	reported(&f, SL_E_NET_IP6_EXT, 4, 0, 42);
	ext_frame(&f, 43, source, 24);
	reported(&f, SL_E_NET_IP6_ROUTING, 4, 0, 42);
	ext_frame(&f, 43, source_done, 24);
	reported(&f, SL_E_NET_IP6_ROUTING, 4, 0, 42);
	ext_frame(&f, 43, segments, 8);
	reported(&f, SL_E_NET_IP6_ROUTING, 4, 0, 42);
	ext_frame(&f, 0, hop_again, 16);
	reported(&f, SL_E_NET_IP6_EXT, 4, 1, 40);
	ext_frame(&f, 43, twice, 16);
	reported(&f, SL_E_NET_IP6_EXT, 4, 1, 40);
	tcp6_frame(&f, 1, PEER6, OURS6);
	f.b[f.ip + 6] = 17;
	reported(&f, SL_E_NET_IP_PROTO, 4, 1, 6);
}

static void test_extensions_dropped(void **state)
{
	static const uint8_t discard[8] = {6, 0, 0x5e, 1, 7, 1, 1, 0};
	static const uint8_t pad_long[16] = {6, 1, 1, 12};
	static const uint8_t pad_dirty[8] = {6, 0, 1, 4, 0, 0, 1, 0};
	static const uint8_t none[8] = {59, 0, 1, 4, 0, 0, 0, 0};
	uint8_t pad1[16] = {6, 1};
	uint8_t many[32] = {6, 3};
	uint8_t large[264] = {6, 32};
	struct rig_frame f;

	(void)state;
	learn_peer6(ip6(PEER6), ip6(OURS6), 1);
	ext_frame(&f, 60, discard, 8);
	refused6(SL_E_NET_IP6_EXT, 1, &f);
	ext_frame(&f, 60, pad_long, 16);
	refused6(SL_E_NET_IP6_EXT, 1, &f);
	ext_frame(&f, 60, pad_dirty, 8);
	refused6(SL_E_NET_IP6_EXT, 1, &f);
	ext_frame(&f, 60, pad1, 16);
	refused6(SL_E_NET_IP6_EXT, 1, &f);
	for (size_t i = 2; i < 32; i += 3) { /* ten small ones */
		many[i] = 0x1e;
		many[i + 1] = 1;
	}
	ext_frame(&f, 60, many, 32);
	refused6(SL_E_NET_IP6_EXT, 1, &f);
	ext_frame(&f, 60, large, 264);
	refused6(SL_E_NET_IP6_EXT, 1, &f);
	/* An atomic fragment's header counts: behind more than drivers/port looks through, the packet would
	 * be taken by a worker whose connection it is not. */
	memset(large, 0, sizeof(large));
	large[0] = 44;
	large[1] = 31;
	large[2] = 0x1e;
	large[3] = 252;
	large[256] = 6;
	ext_frame(&f, 60, large, 264);
	refused6(SL_E_NET_IP6_EXT, 1, &f);
	ext_frame(&f, 60, none, 8);
	refused6(SL_E_NET_IP_PROTO, 1, &f);
}

/* Errors are not sent without end, nor about groups, errors and nobody. */
static void test_report_limits(void **state)
{
	static const uint8_t unreach[48] = {1, 4};
	struct net_ip all = net_ip_all_nodes();
	struct rig_frame f;
	struct rig_frame r;
	int sent = 0;

	(void)state;
	learn_peer6(ip6(PEER6), ip6(OURS6), 1);
	tcp6_frame(&f, 1, PEER6, OURS6);
	f.b[f.ip + 6] = 17;
	for (int i = 0; i < 1000; i++) {
		give(net, 1, &f);
		sent += left(&port_a, &r);
	}
	assert_int_equal(sent, NET_ERROR_BURST);
	now += SECOND;
	put_ip(f.b + f.ip + 24, all);
	memcpy(f.b, mac_of_group(all), 6);
	refused6(SL_E_NET_IP_PROTO, 1, &f);
	/* A bad option in front of an error. */
	icmp6_frame(&f, 1, NULL, mac_peer, ip6(PEER6), ip6(OURS6), 64, unreach, sizeof(unreach));
	memmove(f.b + f.ip + 48, f.b + f.ip + 40, 48);
	memcpy(f.b + f.ip + 40, "\x3a\0\x9e\1\0\0\0\0", 8);
	f.b[f.ip + 6] = 60;
	sl_put_be16(f.b + f.ip + 4, 56);
	f.n += 8;
	refused6(SL_E_NET_IP6_EXT, 1, &f);
	f.b[f.ip + 48] = 128; /* in front of an echo it is reported, also to a group */
	put_ip(f.b + f.ip + 24, all);
	memcpy(f.b, mac_of_group(all), 6);
	COUNTS(SL_E_NET_IP6_EXT, give(net, 1, &f));
	assert_true(left(&port_a, &r));
	assert_int_equal(r.b[r.ip + 40], 4);
	expect_nothing();
}

static void source(const char *dst, const char *src, const struct sl_port *port)
{
	struct sl_addr d = addr6(dst);
	struct sl_addr want = addr6(src);
	struct sl_net_path path;

	assert_int_equal(sl_net_path(net, &d, &path), 0);
	assert_true(sl_addr_eq(&path.src, &want));
	assert_ptr_equal(path.port, port);
	assert_int_equal(path.mtu, sl_port_caps(port)->mtu);
}

static void test_routes(void **state)
{
	static const char *const none[] = {"::", "::1", "ff02::1", OURS6, OURS6_B, "::10.0.0.1"};
	struct sl_addr ll = addr6(PEER6_LL);
	struct sl_net_path path;
	uint32_t label;

	(void)state;
	source(PEER6, OURS6, port_a.port);
	source(PEER6_ULA, OURS6_ULA, port_a.port);
	source(PEER6_VLAN, OURS6_VLAN, port_a.port);
	source(FAR6, OURS6_B, port_b.port);
	source("2001:db8:77::1", OURS6, port_a.port);
	source("2001:db8:77:7::1", OURS6_VLAN, port_a.port);
	source("10.0.1.2", "10.0.1.1", port_a.port); /* ::/0 is not IPv4's */
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		assert_int_equal(send_tcp6(net, OURS6, none[i]), SL_E_NET_NO_ROUTE);
	assert_int_equal(send_tcp6(net, "10.0.1.1", PEER6), SL_E_NET_NO_ROUTE);
	assert_int_equal(send_tcp6(net, PEER6, FAR6), SL_E_NET_NO_ROUTE);
	assert_int_equal(sl_net_path(net, &ll, &path), SL_E_NET_NO_ROUTE); /* no TCP over link-local */
	/* The flow label is the connection's. */
	learn_peer6(ip6(PEER6), ip6(OURS6), 1);
	assert_int_equal(send_tcp6(net, OURS6, PEER6), 0);
	label = expect_tcp6(&port_a, mac_peer, OURS6, PEER6);
	assert_int_equal(send_tcp6(net1, OURS6, PEER6), 0);
	assert_int_equal(expect_tcp6(&port_a, mac_peer, OURS6, PEER6), label);
	assert_int_equal(send_tcp6(net1, OURS6_ULA, PEER6), 0);
	assert_int_not_equal(expect_tcp6(&port_a, mac_peer, OURS6_ULA, PEER6), label);
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

static void test_config(void **state)
{
	static const char *const bad[] = {"fe80::1/64", "ff02::1/64", "2001:db8::/64", "::1/128",
	                                  "::ffff:10.0.0.1/128"};
	struct sl_net_if_cfg i[2] = {{port_a.port, prefix(OURS6 "/64"), 0},
	                             {port_b.port, prefix(OURS6_B "/64"), 0}};
	struct sl_net_route_cfg r[2] = {{prefix("::/0"), addr6("fe80::1"), 0},
	                                {prefix("::/0"), addr6(PEER6), 0}};
	struct sl_net_if_cfg many[SL_NET_IFS_MAX + 1];
	struct sl_net_shared *s;
	char text[64];

	(void)state;
	for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
		struct sl_net_if_cfg one = {port_a.port, prefix(bad[k]), 0};

		config_refused(&one, 1, NULL, 0, "not one of a station");
	}
	config_refused(i, 2, r, 1, "must be named");
	r[0].interface = 3;
	config_refused(i, 2, r, 1, "out of range");
	r[0].interface = 2;
	config_refused(i, 2, r, 2, "same subnet");
	assert_int_equal(sl_net_shared_new(i, 2, r, 1, &s, NULL, 0), 0);
	assert_int_equal(s->routes[s->nb_routes - 1].link, 1);
	sl_net_shared_free(s);
	r[0].interface = 0;
	assert_int_equal(sl_net_shared_new(i, 1, r, 1, &s, NULL, 0), 0);
	sl_net_shared_free(s);
	r[0].via = addr6("10.0.0.1");
	config_refused(i, 1, r, 1, "two families");
	/* As many addresses as there may be, each on a VLAN of its own. */
	for (uint16_t k = 0; k <= SL_NET_IFS_MAX; k++) {
		snprintf(text, sizeof(text), "2001:db8:%x::1/64", k + 1);
		many[k] = (struct sl_net_if_cfg){port_a.port, prefix(text), k};
	}
	config_refused(many, SL_NET_IFS_MAX + 1, NULL, 0, "interfaces");
	assert_int_equal(sl_net_shared_new(many, SL_NET_IFS_MAX, NULL, 0, &s, NULL, 0), 0);
	assert_int_equal(s->nb_ifs, NET_ADDRS_MAX);
	for (uint16_t k = 0; k < s->nb_ifs; k++)
		assert_ptr_equal(net_if_of(s, &s->ifs[k].addr), &s->ifs[k]); /* each once */
	sl_net_shared_free(s);
}

static void test_output_limits(void **state)
{
	uint8_t big[2000] = {0};
	struct sl_addr s = addr6(OURS6);
	struct sl_addr d = addr6(PEER6);
	size_t room = sl_port_caps(port_a.port)->mtu - 40u;
	struct rte_mbuf *m;

	(void)state;
	learn_peer6(ip6(PEER6), ip6(OURS6), 1);
	big[12] = 0x50;
	assert_int_equal(sl_net_output(net, rig_mbuf(big, room + 1), &s, &d, 6, 0, now), SL_E_NET_MTU);
	assert_int_equal(sl_net_output(net, rig_mbuf(big, room), &s, &d, 6, 0, now), 0);
	/* What the port cuts may be larger, when its parts are not. */
	m = rig_mbuf(big, room + 100);
	m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
	m->tso_segsz = (uint16_t)(room - 19);
	assert_int_equal(sl_net_output(net, m, &s, &d, 6, 0, now), SL_E_NET_MTU);
	m = rig_mbuf(big, room + 100);
	m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
	m->tso_segsz = (uint16_t)(room - 20);
	assert_int_equal(sl_net_output(net, m, &s, &d, 6, 0, now), 0);
	drain_ports();
}

#define T(name) cmocka_unit_test_setup_teardown(name, net6_setup, net_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(test_tcp_goes_up),
	        T(test_header),
	        T(test_addresses),
	        T(test_extensions_pass),
	        T(test_extensions_reported),
	        T(test_extensions_dropped),
	        T(test_report_limits),
	        T(test_routes),
	        T(test_config),
	        T(test_output_limits),
	};
	int failed;

	net_rig_start();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	net_rig_stop();
	return failed;
}
