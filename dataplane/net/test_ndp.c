#include "test_net6_rig.h"

/* A link with one address: its link-local one and it are probed for and used when nobody answers. */
static struct sl_net_shared *alone_shared;
static struct sl_net *alone_new(void)
{
	struct sl_net_if_cfg one = {port_b.port, prefix(OURS6_B "/64"), 0};
	struct sl_net_cfg cfg = {0, rig_pool, on_tcp, on_icmp, &up};
	struct sl_net *n;

	assert_int_equal(sl_net_shared_new(&one, 1, NULL, 0, &alone_shared, NULL, 0), 0);
	assert_int_equal(sl_net_new(alone_shared, &cfg, &n), 0);
	return n;
}

static void alone_free(struct sl_net *n)
{
	sl_net_flush(n);
	drain_ports();
	sl_net_free(n);
	sl_net_shared_free(alone_shared);
}

static void test_duplicate_detection(void **state)
{
	const struct net_ip none = {{0, 0}};
	const struct net_ip all = net_ip_all_nodes();
	const uint8_t mac_nodes[6] = {0x33, 0x33, 0, 0, 0, 1};
	struct net_ip ours = ip6(OURS6_B);
	struct net_ip group = net_ip_solicited_node(&ours);
	struct sl_net *n = alone_new();
	struct net_ip ll = alone_shared->ifs[1].addr;
	struct net_ip ll_group = net_ip_solicited_node(&ll);

	(void)state;
	assert_true(net_ip_is_link_local(&ll));
	(void)sl_net_tick(n, now);
	(void)sl_net_tick(n, now + NET_DAD_PROBE_US - 1);
	sl_net_flush(n);
	expect_ndp(&port_b, mac_of_group(group), none, group, 135, 0, ours, false);
	expect_ndp(&port_b, mac_of_group(ll_group), none, ll_group, 135, 0, ll, false);
	expect_nothing();
	assert_int_equal(send_tcp6(n, OURS6_B, "2001:db8:3::2"), SL_E_NET_NO_ROUTE);
	now += NET_DAD_PROBE_US;
	for (int i = 0; i < NET_ANNOUNCEMENTS; i++, now += NET_ANNOUNCE_US) {
		(void)sl_net_tick(n, now);
		(void)sl_net_tick(n, now + 1);
		sl_net_flush(n);
		expect_ndp(&port_b, mac_nodes, ours, all, 136, 0x20, ours, true);
		expect_ndp(&port_b, mac_nodes, ll, all, 136, 0x20, ll, true);
		expect_nothing();
	}
	assert_int_equal(send_tcp6(n, OURS6_B, "2001:db8:3::2"), 0);
	alone_free(n);
}

/* Somebody has the address, or wants it at the same time. */
static void test_duplicate_found(void **state)
{
	const struct net_ip none = {{0, 0}};
	const struct net_ip all = net_ip_all_nodes();
	struct net_ip ours = ip6(OURS6_B);
	struct net_ip group = net_ip_solicited_node(&ours);
	struct sl_addr dst = addr6("2001:db8:3::2");
	struct sl_net_path path;
	struct rig_frame f;

	(void)state;
	for (int kind = 0; kind < 2; kind++) {
		struct sl_net *n = alone_new();

		(void)sl_net_tick(n, now);
		if (kind == 0)
			ndp_frame(&f, 3, mac_evil, ours, all, 136, 0x20, ours, mac_evil);
		else
			ndp_frame(&f, 3, mac_evil, none, group, 135, 0, ours, NULL);
		COUNTS(SL_E_NET_ADDR_CONFLICT, give(n, 0, &f));
		now += 5 * SECOND;
		(void)sl_net_tick(n, now);
		sl_net_flush(n);
		drain_ports();
		assert_int_equal(sl_net_path(n, &dst, &path), SL_E_NET_NO_ROUTE);
		/* Nobody is told that it is ours. */
		ndp_frame(&f, 3, mac_peer, ip6("2001:db8:3::2"), group, 135, 0, ours, mac_peer);
		COUNTS(SL_E_NET_NDP, give(n, 0, &f));
		expect_nothing();
		now += NET_CONFLICT_US;
		(void)sl_net_tick(n, now);
		now += NET_DAD_PROBE_US;
		(void)sl_net_tick(n, now);
		assert_int_equal(sl_net_path(n, &dst, &path), 0);
		alone_free(n);
	}
}

static void test_answers_and_learns(void **state)
{
	const struct net_ip none = {{0, 0}};
	const struct net_ip all = net_ip_all_nodes();
	const uint8_t mac_nodes[6] = {0x33, 0x33, 0, 0, 0, 1};
	struct net_ip ours = ip6(OURS6);
	struct net_ip group = net_ip_solicited_node(&ours);
	struct rig_frame f;
	uint8_t mac[6];

	(void)state;
	learn_peer6(ip6(PEER6), ours, 1);
	assert_int_equal(state_of(0, ip6(PEER6), mac), NEIGH_STALE);
	assert_memory_equal(mac, mac_peer, 6);
	learn_peer6(ip6(PEER6_ULA), ip6(OURS6_ULA), 4);
	learn_peer6(ip6(PEER6_VLAN), ip6(OURS6_VLAN), 2);
	learn_peer6(ip6(PEER6_LL), ours_ll(), 1);
	/* The same link-local neighbour of another link is another one. */
	assert_int_equal(state_of(1, ip6(PEER6_LL), mac), NEIGH_NONE);
	assert_int_equal(send_tcp6(net, OURS6, PEER6), 0);
	(void)expect_tcp6(&port_a, mac_peer, OURS6, PEER6);
	assert_int_equal(send_tcp6(net1, OURS6_VLAN, PEER6_VLAN), 0);
	(void)expect_tcp6(&port_a, mac_peer, OURS6_VLAN, PEER6_VLAN);
	/* One without an option is answered, too, and so is duplicate detection, to all. */
	ndp_frame(&f, 1, mac_peer, ip6("2001:db8:1::7"), ours, 135, 0, ours, NULL);
	give(net, 1, &f);
	expect_ndp(&port_a, mac_peer, ours, ip6("2001:db8:1::7"), 136, 0x60, ours, true);
	assert_int_equal(state_of(0, ip6("2001:db8:1::7"), mac), NEIGH_NONE);
	ndp_frame(&f, 1, mac_peer, none, group, 135, 0, ours, NULL);
	give(net, 1, &f);
	expect_ndp(&port_a, mac_nodes, ours, all, 136, 0x20, ours, true);
	expect_nothing();
}

static void test_resolves(void **state)
{
	struct net_ip peer = ip6(PEER6);
	struct net_ip group = net_ip_solicited_node(&peer);
	struct rig_frame f;
	uint8_t mac[6];

	(void)state;
	assert_int_equal(send_tcp6(net, OURS6, PEER6), 0);
	expect_ndp(&port_a, mac_of_group(group), ip6(OURS6), group, 135, 0, peer, true);
	assert_int_equal(send_tcp6(net, OURS6, PEER6), 0); /* asked already */
	expect_nothing();
	ndp_frame(&f, 1, mac_peer, peer, ip6(OURS6), 136, 0x60, peer, NULL);
	refused6(SL_E_NET_NDP, 1, &f); /* says no address */
	ndp_frame(&f, 1, mac_peer, peer, ip6(OURS6), 136, 0x60, peer, mac_peer);
	give(net, 1, &f);
	(void)expect_tcp6(&port_a, mac_peer, OURS6, PEER6);
	(void)expect_tcp6(&port_a, mac_peer, OURS6, PEER6);
	assert_int_equal(state_of(0, peer, mac), NEIGH_REACHABLE);
	/* Through a router that is link-local; worker 1 asks by way of worker 0. */
	assert_int_equal(send_tcp6(net1, OURS6_B, FAR6), 0);
	expect_nothing();
	assert_int_equal(sl_net_poll(net, now), 0);
	sl_net_flush(net);
	peer = ip6(GATEWAY6);
	group = net_ip_solicited_node(&peer);
	expect_ndp(&port_b, mac_of_group(group), shared->ifs[7].addr, group, 135, 0, peer, true);
	ndp_frame(&f, 3, mac_peer, peer, shared->ifs[7].addr, 136, 0xe0, peer, mac_peer);
	give(net, 3, &f);
	assert_int_equal(sl_net_poll(net1, now), 0);
	sl_net_flush(net1);
	(void)expect_tcp6(&port_b, mac_peer, OURS6_B, FAR6);
	COUNTS(SL_E_NET_NDP, give(net1, 3, &f)); /* only worker 0 handles it */
}

static void test_gives_up(void **state)
{
	uint64_t dropped = sl_counter_err_sum(SL_E_NET_NO_NEIGHBOUR);
	struct net_ip peer = ip6(PEER6);
	struct net_ip group = net_ip_solicited_node(&peer);

	(void)state;
	assert_int_equal(send_tcp6(net, OURS6, PEER6), 0);
	for (int i = 0; i < NEIGH_PROBES; i++, tick_by(NEIGH_PROBE_US)) {
		expect_ndp(&port_a, mac_of_group(group), ip6(OURS6), group, 135, 0, peer, true);
		expect_nothing();
	}
	expect_nothing();
	assert_int_equal(sl_counter_err_sum(SL_E_NET_NO_NEIGHBOUR), dropped + 1);
	assert_int_equal(send_tcp6(net, OURS6, PEER6), SL_E_NET_NO_NEIGHBOUR);
}

/* RFC 4861 7.3: reachable, stale, delay, probe, and asked for again. */
static void test_unreachability(void **state)
{
	struct net_ip peer = ip6(PEER6);
	struct net_ip group = net_ip_solicited_node(&peer);
	struct rig_frame answer;
	struct rig_frame hint;
	uint8_t mac[6];

	(void)state;
	ndp_frame(&answer, 1, mac_peer, peer, ip6(OURS6), 136, 0x60, peer, NULL);
	ndp_frame(&hint, 1, mac_peer, peer, net_ip_all_nodes(), 136, 0x20, peer, mac_peer);
	refused6(SL_E_NET_NDP, 1, &hint); /* nobody asked */
	learn_peer6(peer, ip6(OURS6), 1);
	give(net, 1, &hint); /* says nothing about reachability */
	assert_int_equal(state_of(0, peer, mac), NEIGH_STALE);
	assert_int_equal(send_tcp6(net1, OURS6, PEER6), 0);
	(void)expect_tcp6(&port_a, mac_peer, OURS6, PEER6);
	tick_by(NEIGH_SCAN_US);
	assert_int_equal(state_of(0, peer, mac), NEIGH_DELAY);
	tick_by(NEIGH_DELAY_US);
	expect_ndp(&port_a, mac_peer, ip6(OURS6), peer, 135, 0, peer, true);
	assert_int_equal(state_of(0, peer, mac), NEIGH_PROBE);
	give(net, 1, &answer); /* to a unicast question the option may be missing */
	assert_int_equal(state_of(0, peer, mac), NEIGH_REACHABLE);
	tick_by(2 * NEIGH_REACHABLE_US);
	assert_int_equal(state_of(0, peer, mac), NEIGH_STALE);
	assert_int_equal(send_tcp6(net1, OURS6, PEER6), 0);
	(void)expect_tcp6(&port_a, mac_peer, OURS6, PEER6);
	tick_by(NEIGH_SCAN_US);
	tick_by(NEIGH_DELAY_US);
	for (int i = 0; i < NEIGH_PROBES; i++, tick_by(NEIGH_PROBE_US))
		expect_ndp(&port_a, mac_peer, ip6(OURS6), peer, 135, 0, peer, true);
	expect_ndp(&port_a, mac_of_group(group), ip6(OURS6), group, 135, 0, peer, true);
	assert_int_equal(state_of(0, peer, mac), NEIGH_INCOMPLETE);
	/* It comes back on another station. */
	ndp_frame(&answer, 1, mac_evil, peer, ip6(OURS6), 136, 0x60, peer, mac_evil);
	give(net, 1, &answer);
	assert_int_equal(state_of(0, peer, mac), NEIGH_REACHABLE);
	assert_memory_equal(mac, mac_evil, 6);
	tick_by(2 * NEIGH_REACHABLE_US);
	tick_by(NEIGH_FORGET_US);
	assert_int_equal(state_of(0, peer, mac), NEIGH_NONE);
}

static void test_spoofs(void **state)
{
	const struct net_ip all = net_ip_all_nodes();
	const uint8_t mac_nodes[6] = {0x33, 0x33, 0, 0, 0, 1};
	struct net_ip ours = ip6(OURS6);
	struct net_ip group = net_ip_solicited_node(&ours);
	struct net_ip peer = ip6(PEER6);
	struct rig_frame f;
	uint8_t mac[6];

	(void)state;
	ndp_frame(&f, 1, mac_evil, peer, group, 135, 0, ours, mac_peer); /* another station than the frame */
	refused6(SL_E_NET_NDP_SPOOF, 1, &f);
	ndp_frame(&f, 1, mac_evil, ip6(FAR6), group, 135, 0, ours, mac_evil); /* no neighbour */
	refused6(SL_E_NET_NDP_SPOOF, 1, &f);
	assert_int_equal(state_of(0, ip6(FAR6), mac), NEIGH_NONE);
	ndp_frame(&f, 1, mac_evil, ip6(PEER6_VLAN), group, 135, 0, ours, mac_evil); /* of another link */
	refused6(SL_E_NET_IP_SRC, 1, &f);
	/* Our own address: defended, but not more than once in ten seconds. */
	ndp_frame(&f, 1, mac_evil, peer, all, 136, 0x20, ours, mac_evil);
	COUNTS(SL_E_NET_NDP_SPOOF, give(net, 1, &f));
	expect_ndp(&port_a, mac_nodes, ours, all, 136, 0x20, ours, true);
	refused6(SL_E_NET_NDP_SPOOF, 1, &f);
	now += NET_DEFEND_US;
	COUNTS(SL_E_NET_NDP_SPOOF, give(net, 1, &f));
	expect_ndp(&port_a, mac_nodes, ours, all, 136, 0x20, ours, true);
	now += NET_DEFEND_US; /* the same in our name, as the owner would say it */
	ndp_frame(&f, 1, mac_evil, ours, all, 136, 0x20, ours, mac_evil);
	COUNTS(SL_E_NET_NDP_SPOOF, give(net, 1, &f));
	expect_ndp(&port_a, mac_nodes, ours, all, 136, 0x20, ours, true);
	ndp_frame(&f, 1, mac_evil, ours, group, 135, 0, ours, mac_evil);
	refused6(SL_E_NET_IP_SRC, 1, &f);
	/* A live neighbour is not replaced, whoever says it: it is asked. */
	learn_peer6(peer, ours, 1);
	ndp_frame(&f, 1, mac_evil, peer, group, 135, 0, ours, mac_evil);
	COUNTS(SL_E_NET_NDP_SPOOF, give(net, 1, &f));
	expect_ndp(&port_a, mac_peer, ours, peer, 135, 0, peer, true);
	ndp_frame(&f, 1, mac_evil, peer, ours, 136, 0x60, peer, mac_evil);
	refused6(SL_E_NET_NDP_SPOOF, 1, &f);
	assert_int_equal(state_of(0, peer, mac), NEIGH_PROBE);
	assert_memory_equal(mac, mac_peer, 6);
}

static void with_sum(struct rig_frame *f)
{
	uint8_t *ip = f->b + f->ip;
	size_t n = sl_get_be16(ip + 4);

	sl_put_be16(ip + 42, 0);
	sl_put_be16(ip + 42, rig_sum6(ip, 58, ip + 40, n));
}

static void test_malformed(void **state)
{
	const struct net_ip none = {{0, 0}};
	struct net_ip ours = ip6(OURS6);
	struct net_ip group = net_ip_solicited_node(&ours);
	struct rig_frame good;
	struct rig_frame f;

	(void)state;
	ndp_frame(&good, 1, mac_peer, ip6(PEER6), group, 135, 0, ours, mac_peer);
	f = good;
	f.b[f.ip + 7] = 254; /* came over a router */
	refused6(SL_E_NET_NDP, 1, &f);
	f = good;
	f.b[f.ip + 41] = 1; /* code */
	with_sum(&f);
	refused6(SL_E_NET_NDP, 1, &f);
	f = good;
	f.b[f.ip + 65] = 0; /* an option without a length */
	with_sum(&f);
	refused6(SL_E_NET_NDP, 1, &f);
	f.b[f.ip + 65] = 2; /* past the end */
	with_sum(&f);
	refused6(SL_E_NET_NDP, 1, &f);
	f = good;
	f.b[f.ip + 60] ^= 1; /* checksum */
	refused6(SL_E_NET_ICMP, 1, &f);
	f = good;
	f.b[f.ip + 48] = 0xff; /* a group for target */
	with_sum(&f);
	refused6(SL_E_NET_NDP, 1, &f);
	for (size_t n = 8; n < 32; n += 8) { /* cut */
		f = good;
		if (n == 24)
			continue; /* a solicitation without options is one */
		sl_put_be16(f.b + f.ip + 4, (uint16_t)n);
		f.n = f.ip + 40 + n;
		with_sum(&f);
		refused6(SL_E_NET_NDP, 1, &f);
	}
	ndp_frame(&f, 1, mac_peer, none, group, 135, 0, ours, mac_peer); /* of nobody, with an address */
	refused6(SL_E_NET_NDP, 1, &f);
	ndp_frame(&f, 1, mac_peer, none, net_ip_all_nodes(), 135, 0, ours, NULL);
	refused6(SL_E_NET_NDP, 1, &f);
	ndp_frame(&f, 1, mac_peer, none, ours, 135, 0, ours, NULL);
	refused6(SL_E_NET_IP_SRC, 1, &f);
	ndp_frame(&f, 1, mac_peer, ip6(PEER6), net_ip_all_nodes(), 136, 0x60, ip6(PEER6), mac_peer);
	refused6(SL_E_NET_NDP, 1, &f); /* an answer to all */
	ndp_frame(&f, 1, mac_peer, ip6(PEER6), group, 135, 0, ip6("2001:db8:1::77:1"), mac_peer);
	refused6(SL_E_NET_NDP, 1, &f); /* the group is ours, the target is not */
}

#define T(name) cmocka_unit_test_setup_teardown(name, net6_setup, net_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(test_duplicate_detection),
	        T(test_duplicate_found),
	        T(test_answers_and_learns),
	        T(test_resolves),
	        T(test_gives_up),
	        T(test_unreachability),
	        T(test_spoofs),
	        T(test_malformed),
	};
	int failed;

	net_rig_start();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	net_rig_stop();
	return failed;
}
