#include "test_net6_rig.h"

static void echo6(struct rig_frame *f, uint16_t ifidx, struct net_ip src, struct net_ip dst, size_t n)
{
	uint8_t icmp[1500] = {128, 0, 0, 0, 0x12, 0x34, 0, 1};

	for (size_t i = 8; i < n; i++)
		icmp[i] = (uint8_t)i;
	icmp6_frame(f, ifidx, NULL, mac_peer, src, dst, 64, icmp, n);
}

static void answered(uint16_t ifidx, struct net_ip src, struct net_ip dst, size_t n)
{
	struct rig_frame f;
	struct rig_frame r;

	echo6(&f, ifidx, src, dst, n);
	give(net, ifidx, &f);
	assert_true(left(&port_a, &r));
	assert_int_equal(r.n, f.n);
	assert_memory_equal(r.b, mac_peer, 6);
	assert_memory_equal(r.b + r.ip + 8, dst.w, 16);
	assert_memory_equal(r.b + r.ip + 24, src.w, 16);
	assert_int_equal(r.b[r.ip + 40], 129);
	assert_int_equal(rig_sum6(r.b + r.ip, 58, r.b + r.ip + 40, n), 0);
	assert_memory_equal(r.b + r.ip + 44, f.b + f.ip + 44, n - 4);
	expect_nothing();
}

static void test_echo(void **state)
{
	struct rig_frame f;

	(void)state;
	learn_peer6(ip6(PEER6_VLAN), ip6(OURS6_VLAN), 2);
	learn_peer6(ip6(PEER6_LL), ours_ll(), 1);
	learn_peer6(ip6(PEER6), ip6(OURS6), 1);
	answered(1, ip6(PEER6), ip6(OURS6), 8);
	answered(1, ip6(PEER6), ip6(OURS6), 1460);
	answered(1, ip6(PEER6_LL), ours_ll(), 64); /* out of the link that it came in on */
	answered(2, ip6(PEER6_VLAN), ip6(OURS6_VLAN), 9);
	echo6(&f, 1, ip6(PEER6), net_ip_all_nodes(), 64);
	refused6(SL_E_NET_ICMP, 1, &f);
	echo6(&f, 1, ip6(PEER6), ip6(OURS6), 64);
	f.b[f.ip + 60] ^= 1;
	refused6(SL_E_NET_ICMP, 1, &f);
	for (uint8_t n = 1; n < 8; n++) {
		echo6(&f, 1, ip6(PEER6), ip6(OURS6), n);
		refused6(SL_E_NET_ICMP, 1, &f);
	}
}

static void test_echo_external(void **state)
{
	struct rig_frame f;

	(void)state;
	learn_peer6(ip6(PEER6), ip6(OURS6), 1);
	echo6(&f, 1, ip6(PEER6), ip6(OURS6), 64);
	echo_in_external(1, &f);
}

static void test_echo_rate(void **state)
{
	struct rig_frame f;
	struct rig_frame r;
	int sent = 0;

	(void)state;
	learn_peer6(ip6(PEER6), ip6(OURS6), 1);
	echo6(&f, 1, ip6(PEER6), ip6(OURS6), 64);
	for (int i = 0; i < 1000; i++) {
		give(net, 1, &f);
		sent += left(&port_a, &r);
	}
	assert_int_equal(sent, NET_ECHO_BURST);
	COUNTS(SL_E_NET_ICMP_RATE, give(net, 1, &f));
}

/* What we do not take as a host with fixed addresses. */
static void test_not_taken(void **state)
{
	static const uint8_t types[] = {130, 131, 132, 133, 134, 137, 138, 139, 144, 200, 0, 5};
	struct rig_frame f;

	(void)state;
	for (size_t i = 0; i < sizeof(types); i++) {
		uint8_t icmp[40] = {types[i]};

		icmp6_frame(&f, 1, NULL, mac_peer, ip6(PEER6_LL), net_ip_all_nodes(), 255, icmp,
		            sizeof(icmp));
		refused6(SL_E_NET_ICMP, 1, &f);
	}
}

/* An error that quotes a segment from OURS6:40000 to FAR6:5432 behind `ext_n` bytes of extension headers. */
static void error6(struct rig_frame *f, uint8_t type, uint8_t code, uint32_t arg, uint8_t first,
                   const uint8_t *ext, size_t ext_n, size_t quoted)
{
	uint8_t icmp[8 + 200] = {type, code};
	struct net_ip s = ip6(OURS6);
	struct net_ip d = ip6(FAR6);
	struct rig_frame sent;

	sl_put_be32(icmp + 4, arg);
	rig_ether(&sent, our_mac(1), mac_peer, 0, 0x86dd);
	rig_tcp6_ext(&sent, net_ip_bytes(&s), net_ip_bytes(&d), 40000, 5432, first, ext, ext_n, NULL, 0);
	memcpy(icmp + 8, sent.b + sent.ip, quoted);
	icmp6_frame(f, 1, NULL, mac_peer, ip6(PEER6), ip6(OURS6), 64, icmp, 8 + quoted);
}

static void test_errors(void **state)
{
	static const struct {
		uint8_t type, code;
		uint32_t arg;
		uint16_t mtu;
		enum sl_net_error error;
	} c[] = {
	        {2, 0, 1280, 1280, SL_NET_ERROR_TOO_BIG},   {2, 0, 1400, 1400, SL_NET_ERROR_TOO_BIG},
	        {2, 0, 70000, 65535, SL_NET_ERROR_TOO_BIG}, {1, 0, 0, 0, SL_NET_ERROR_UNREACHABLE},
	        {1, 3, 0, 0, SL_NET_ERROR_UNREACHABLE},     {1, 1, 0, 0, SL_NET_ERROR_REFUSED},
	        {1, 4, 0, 0, SL_NET_ERROR_REFUSED},         {3, 0, 0, 0, SL_NET_ERROR_EXPIRED},
	        {4, 1, 40, 0, SL_NET_ERROR_PARAMETER},
	};
	static const uint8_t ext[16] = {44, 0, 1, 4, 0, 0, 0, 0, 6, 0, 0, 1, 9, 9, 9, 9};
	static const uint8_t later[8] = {6, 0, 0, 8, 9, 9, 9, 9};
	struct sl_addr ours = addr6(OURS6);
	struct sl_addr far = addr6(FAR6);
	struct rig_frame f;

	(void)state;
	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		error6(&f, c[i].type, c[i].code, c[i].arg, 6, NULL, 0, 48);
		give(net, 1, &f);
		assert_int_equal(up.nb_icmp, i + 1);
		assert_true(sl_addr_eq(&up.icmp.src, &ours));
		assert_true(sl_addr_eq(&up.icmp.dst, &far));
		assert_int_equal(up.icmp.sport, 40000);
		assert_int_equal(up.icmp.dport, 5432);
		assert_int_equal(up.icmp.seq, 0x01020304);
		assert_int_equal(up.icmp.type, c[i].type);
		assert_int_equal(up.icmp.code, c[i].code);
		assert_int_equal(up.icmp.mtu, c[i].mtu);
		assert_int_equal(up.icmp.error, c[i].error);
	}
	error6(&f, 1, 0, 0, 0, ext, 16, 64); /* behind headers that somebody put in, in a first fragment */
	give(net, 1, &f);
	assert_int_equal(up.icmp.seq, 0x01020304);
	assert_int_equal(up.icmp.error, SL_NET_ERROR_UNREACHABLE);
	error6(&f, 1, 0, 0, 44, later, 8, 56); /* a later fragment has no ports */
	refused6(SL_E_NET_ICMP, 1, &f);
	for (size_t n = 0; n < 48; n++) {
		error6(&f, 1, 0, 0, 6, NULL, 0, n);
		refused6(SL_E_NET_ICMP, 1, &f);
	}
	for (size_t n = 40; n < 64; n++) {
		error6(&f, 1, 0, 0, 0, ext, 16, n);
		refused6(SL_E_NET_ICMP, 1, &f);
	}
	error6(&f, 2, 0, 1279, 6, NULL, 0, 48); /* RFC 8201: nobody has such a link */
	refused6(SL_E_NET_ICMP, 1, &f);
	error6(&f, 1, 0, 0, 6, NULL, 0, 48);
	f.b[f.ip + 48 + 8] ^= 1; /* quotes a packet that is not ours */
	sl_put_be16(f.b + f.ip + 42, 0);
	sl_put_be16(f.b + f.ip + 42, rig_sum6(f.b + f.ip, 58, f.b + f.ip + 40, 56));
	refused6(SL_E_NET_ICMP, 1, &f);
}

/* ICMP for IPv4: a protocol that we do not have. */
static void test_protocol_unreachable4(void **state)
{
	struct rig_frame f;
	struct rig_frame r;

	(void)state;
	learn_peer(PEER, OURS, 0);
	rig_ether(&f, our_mac(0), mac_peer, 0, 0x0800);
	rig_ip(&f, PEER, OURS, 17, "0123456789", 10);
	COUNTS(SL_E_NET_IP_PROTO, give(net, 0, &f));
	assert_true(left(&port_a, &r));
	assert_memory_equal(r.b, mac_peer, 6);
	assert_int_equal(r.b[r.ip + 9], 1);
	assert_memory_equal(r.b + r.ip + 20, "\3\2", 2);
	assert_int_equal(rig_sum(0, r.b + r.ip + 20, r.n - r.ip - 20), 0);
	assert_memory_equal(r.b + r.ip + 28, f.b + f.ip, 30);
	expect_nothing();
	f.b[f.ip + 6] = 0x20; /* never about fragments */
	rig_ip_sum(&f);
	give(net, 0, &f);
	expect_nothing();
}

#define T(name) cmocka_unit_test_setup_teardown(name, net6_setup, net_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(test_echo),      T(test_echo_external), T(test_echo_rate),
	        T(test_not_taken), T(test_errors),        T(test_protocol_unreachable4),
	};
	int failed;

	net_rig_start();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	net_rig_stop();
	return failed;
}
