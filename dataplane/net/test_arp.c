#include "test_net_rig.h"

static enum neigh_state state_of(uint16_t link, uint32_t ip, uint8_t mac[6])
{
	struct neigh *n = neigh_find(&shared->neigh, neigh_key((uint8_t)link, ip));

	return n == NULL ? NEIGH_NONE : neigh_own_state(n, mac);
}

static void tick_by(uint64_t us)
{
	now += us;
	(void)sl_net_tick(net, now);
	(void)sl_net_tick(net1, now);
	sl_net_flush(net);
	sl_net_flush(net1);
}

static void test_announces_at_start(void **state)
{
	struct sl_net_cfg cfg = {0, rig_pool, on_tcp, on_icmp, &up};
	struct sl_net *n;
	uint64_t t = now;

	(void)state;
	assert_int_equal(sl_net_new(shared, &cfg, &n), 0);
	for (int i = 0; i < 2; i++, t += NET_ANNOUNCE_US) {
		(void)sl_net_tick(n, t);
		(void)sl_net_tick(n, t + 1);
		sl_net_flush(n);
		expect_arp(&port_a, mac_all, 1, OURS, OURS);
		expect_arp(&port_a, mac_all, 1, OURS_VLAN, OURS_VLAN);
		expect_arp(&port_a, mac_all, 1, OURS_2, OURS_2);
		expect_arp(&port_b, mac_all, 1, OURS_B, OURS_B);
		expect_nothing();
	}
	(void)sl_net_tick(n, t);
	sl_net_flush(n);
	expect_nothing();
	sl_net_free(n);
}

static void test_answers_and_learns(void **state)
{
	uint8_t mac[6];

	(void)state;
	learn_peer(PEER, OURS, 0);
	assert_int_equal(state_of(0, PEER, mac), NEIGH_REACHABLE);
	assert_memory_equal(mac, mac_peer, 6);
	learn_peer(IP(10, 9, 0, 2), OURS_2, 0); /* our second address on the same link */
	learn_peer(PEER_VLAN, OURS_VLAN, 1);
	/* Both workers can send now, to the VLAN with a tag. */
	assert_int_equal(send_tcp(net, OURS, PEER), 0);
	expect_tcp(&port_a, mac_peer, OURS, PEER);
	assert_int_equal(send_tcp(net1, OURS_VLAN, PEER_VLAN), 0);
	expect_tcp(&port_a, mac_peer, OURS_VLAN, PEER_VLAN);
	expect_nothing();
}

static void test_probe_for_ours(void **state)
{
	struct rig_frame f;
	uint8_t mac[6];

	(void)state;
	arp_frame(&f, mac_all, mac_peer, 0, 1, 0, NULL, OURS); /* RFC 5227: is it free? */
	give(net, 0, &f);
	expect_arp(&port_a, mac_peer, 2, OURS, 0);
	assert_int_equal(state_of(0, 0, mac), NEIGH_NONE);
	arp_frame(&f, mac_all, mac_peer, 0, 1, 0, NULL, PEER);
	COUNTS(SL_E_NET_ARP, give(net, 0, &f));
	expect_nothing();
}

static void test_resolves(void **state)
{
	struct rig_frame f;
	uint8_t mac[6];

	(void)state;
	assert_int_equal(send_tcp(net, OURS, PEER), 0);
	expect_arp(&port_a, mac_all, 1, OURS, PEER);
	assert_int_equal(send_tcp(net, OURS, PEER), 0); /* asked already */
	expect_nothing();
	arp_frame(&f, our_mac(0), mac_peer, 0, 2, PEER, our_mac(0), OURS);
	give(net, 0, &f);
	expect_tcp(&port_a, mac_peer, OURS, PEER);
	expect_tcp(&port_a, mac_peer, OURS, PEER);
	expect_nothing();
	/* A second answer of the same station says nothing new; another station is not believed. */
	give(net, 0, &f);
	arp_frame(&f, our_mac(0), mac_evil, 0, 2, PEER, our_mac(0), OURS);
	COUNTS(SL_E_NET_ARP_SPOOF, give(net, 0, &f));
	assert_int_equal(state_of(0, PEER, mac), NEIGH_PROBE);
	assert_memory_equal(mac, mac_peer, 6);
}

static void test_gives_up(void **state)
{
	uint64_t dropped = sl_counter_err_sum(SL_E_NET_NO_NEIGHBOUR);

	(void)state;
	assert_int_equal(send_tcp(net, OURS, PEER), 0);
	expect_arp(&port_a, mac_all, 1, OURS, PEER);
	for (int i = 1; i < NEIGH_PROBES; i++) {
		tick_by(SECOND / 2);
		expect_nothing();
		tick_by(SECOND / 2);
		expect_arp(&port_a, mac_all, 1, OURS, PEER);
	}
	tick_by(SECOND);
	expect_nothing();
	assert_int_equal(sl_counter_err_sum(SL_E_NET_NO_NEIGHBOUR), dropped + 1);
	assert_int_equal(net->nb_wait, 0);
	/* For a while nobody is asked: at once refused. */
	assert_int_equal(send_tcp(net, OURS, PEER), SL_E_NET_NO_NEIGHBOUR);
	expect_nothing();
	tick_by(NEIGH_FAILED_US);
	assert_int_equal(send_tcp(net, OURS, PEER), 0);
	expect_arp(&port_a, mac_all, 1, OURS, PEER);
}

static void test_waiting_is_bounded(void **state)
{
	uint64_t dropped = sl_counter_err_sum(SL_E_NET_NO_NEIGHBOUR);
	struct rig_frame f;
	int n = 0;

	(void)state;
	for (int i = 0; i < NET_WAIT_PACKETS + 5; i++)
		assert_int_equal(send_tcp(net, OURS, PEER), 0);
	assert_int_equal(sl_counter_err_sum(SL_E_NET_NO_NEIGHBOUR), dropped + 5); /* the oldest */
	/* More neighbours than there are places to wait. */
	for (uint32_t i = 0; i < NET_WAIT_SLOTS + 10; i++)
		n += send_tcp(net, OURS, IP(10, 0, 1, 20) + i) == SL_E_NET_NO_NEIGHBOUR;
	assert_int_equal(n, 11);
	drain_ports();
	arp_frame(&f, our_mac(0), mac_peer, 0, 2, PEER, our_mac(0), OURS);
	give(net, 0, &f);
	for (int i = 0; i < NET_WAIT_PACKETS; i++)
		expect_tcp(&port_a, mac_peer, OURS, PEER);
	expect_nothing();
}

/* Worker 1 gets no ARP: it asks worker 0 through the table and sends when the answer is there. */
static void test_other_worker_resolves(void **state)
{
	struct rig_frame f;

	(void)state;
	assert_int_equal(send_tcp(net1, OURS_VLAN, PEER_VLAN), 0);
	expect_nothing();
	assert_int_equal(sl_net_poll(net, now), 0);
	sl_net_flush(net);
	expect_arp(&port_a, mac_all, 1, OURS_VLAN, PEER_VLAN);
	arp_frame(&f, our_mac(1), mac_peer, 100, 2, PEER_VLAN, our_mac(1), OURS_VLAN);
	give(net, 1, &f);
	expect_nothing();
	assert_int_equal(sl_net_poll(net1, now), 0);
	sl_net_flush(net1);
	expect_tcp(&port_a, mac_peer, OURS_VLAN, PEER_VLAN);
	/* An ARP packet that reaches worker 1 all the same is not handled. */
	COUNTS(SL_E_NET_ARP, give(net1, 1, &f));
	/* A failure reaches it too. */
	assert_int_equal(send_tcp(net1, OURS, PEER), 0);
	for (int i = 0; i < 5; i++)
		tick_by(SECOND);
	drain_ports();
	assert_int_equal(net1->nb_wait, 0);
}

static void test_ages(void **state)
{
	struct rig_frame f;
	uint8_t mac[6];

	(void)state;
	learn_peer(PEER, OURS, 0);
	learn_peer(IP(10, 0, 1, 3), OURS, 0);
	assert_int_equal(send_tcp(net1, OURS, PEER), 0);
	expect_tcp(&port_a, mac_peer, OURS, PEER);
	tick_by(NEIGH_REACHABLE_US);
	/* What is used is asked by unicast and used meanwhile; what is not used goes. */
	expect_arp(&port_a, mac_peer, 1, OURS, PEER);
	expect_nothing();
	assert_int_equal(state_of(0, IP(10, 0, 1, 3), mac), NEIGH_NONE);
	assert_int_equal(state_of(0, PEER, mac), NEIGH_PROBE);
	assert_int_equal(send_tcp(net, OURS, PEER), 0);
	expect_tcp(&port_a, mac_peer, OURS, PEER);
	arp_frame(&f, our_mac(0), mac_peer, 0, 2, PEER, our_mac(0), OURS);
	give(net, 0, &f);
	assert_int_equal(state_of(0, PEER, mac), NEIGH_REACHABLE);
	/* No answer: unicast three times, then broadcast, and another station may answer. */
	assert_int_equal(send_tcp(net, OURS, PEER), 0);
	expect_tcp(&port_a, mac_peer, OURS, PEER);
	tick_by(NEIGH_REACHABLE_US);
	for (int i = 0; i < NEIGH_PROBES; i++, tick_by(SECOND))
		expect_arp(&port_a, mac_peer, 1, OURS, PEER);
	expect_arp(&port_a, mac_all, 1, OURS, PEER);
	arp_frame(&f, our_mac(0), mac_evil, 0, 2, PEER, our_mac(0), OURS);
	give(net, 0, &f);
	assert_int_equal(state_of(0, PEER, mac), NEIGH_REACHABLE);
	assert_memory_equal(mac, mac_evil, 6);
}

static void refuses(int err, const struct rig_frame *f)
{
	uint64_t before = sl_counter_err_sum(err);

	give(net, 0, f);
	assert_int_equal(sl_counter_err_sum(err), before + 1);
	expect_nothing();
}

static void test_spoofs(void **state)
{
	struct rig_frame f;
	uint8_t mac[6];

	(void)state;
	arp_frame(&f, our_mac(0), mac_evil, 0, 2, PEER, our_mac(0), OURS);
	refuses(SL_E_NET_ARP, &f); /* nobody asked */
	assert_int_equal(state_of(0, PEER, mac), NEIGH_NONE);
	arp_frame(&f, mac_all, mac_evil, 0, 1, IP(10, 0, 3, 7), NULL, OURS); /* another subnet */
	refuses(SL_E_NET_ARP_SPOOF, &f);
	arp_frame(&f, mac_all, mac_evil, 0, 1, IP(10, 0, 1, 255), NULL, OURS);
	refuses(SL_E_NET_ARP_SPOOF, &f);
	arp_frame(&f, mac_all, mac_evil, 0, 1, PEER, NULL, OURS);
	f.b[f.ip + 13] ^= 1; /* says another station than the frame */
	refuses(SL_E_NET_ARP_SPOOF, &f);
	/* Our own address: defended, but not more than once in ten seconds. */
	arp_frame(&f, mac_all, mac_evil, 0, 1, OURS, NULL, PEER);
	COUNTS(SL_E_NET_ARP_SPOOF, give(net, 0, &f));
	expect_arp(&port_a, mac_all, 1, OURS, OURS);
	refuses(SL_E_NET_ARP_SPOOF, &f);
	now += NET_ARP_DEFEND_US;
	COUNTS(SL_E_NET_ARP_SPOOF, give(net, 0, &f));
	expect_arp(&port_a, mac_all, 1, OURS, OURS);
	/* A live neighbour is not replaced by a request or an announcement, it is asked. */
	learn_peer(PEER, OURS, 0);
	arp_frame(&f, mac_all, mac_evil, 0, 1, PEER, NULL, OURS);
	COUNTS(SL_E_NET_ARP_SPOOF, give(net, 0, &f));
	expect_arp(&port_a, mac_peer, 1, OURS, PEER);
	refuses(SL_E_NET_ARP_SPOOF, &f); /* asked already */
	learn_peer(PEER, OURS, 0);
	arp_frame(&f, mac_all, mac_evil, 0, 1, PEER, NULL, PEER);
	COUNTS(SL_E_NET_ARP_SPOOF, give(net, 0, &f));
	expect_arp(&port_a, mac_peer, 1, OURS, PEER);
	assert_int_equal(state_of(0, PEER, mac), NEIGH_PROBE);
	assert_memory_equal(mac, mac_peer, 6);
}

static void test_malformed(void **state)
{
	static const size_t fields[] = {1, 3, 4, 5, 7};
	struct rig_frame good;
	struct rig_frame f;

	(void)state;
	arp_frame(&good, mac_all, mac_peer, 0, 1, PEER, NULL, OURS);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		f = good;
		f.b[f.ip + fields[i]] ^= 0x40;
		refuses(SL_E_NET_ARP, &f);
	}
	for (size_t n = 14; n < 14 + 28; n++) {
		f = good;
		f.n = n;
		refuses(SL_E_NET_SHORT, &f);
	}
	arp_frame(&f, mac_all, mac_peer, 0, 1, PEER, NULL, IP(10, 0, 1, 77)); /* for somebody else */
	refuses(SL_E_NET_ARP, &f);
	arp_frame(&f, mac_all, mac_peer, 0, 1, PEER, NULL, OURS_VLAN); /* ours, but on another link */
	refuses(SL_E_NET_ARP, &f);
}

/* A host of a large subnet that asks under many addresses neither grows the table nor pushes out who is in
 * use. */
static void test_flood(void **state)
{
	struct sl_net_if_cfg wide = {port_b.port, prefix("172.16.0.1/12"), 0};
	struct sl_net_cfg cfg = {0, rig_pool, on_tcp, on_icmp, &up};
	struct sl_net_shared *s;
	struct sl_net *n;
	struct rig_frame f;
	uint8_t mac[6];
	uint64_t key = neigh_key(0, IP(172, 16, 0, 2));
	struct rte_mbuf *m;

	(void)state;
	assert_int_equal(sl_net_shared_new(&wide, 1, NULL, 0, &s, NULL, 0), 0);
	assert_int_equal(sl_net_new(s, &cfg, &n), 0);
	for (uint32_t i = 0; i < 10000; i++) {
		arp_frame(&f, mac_all, mac_evil, 0, 1, IP(172, 16, 0, 2) + i, NULL, IP(172, 16, 0, 1));
		m = rig_mbuf(f.b, f.n);
		sl_net_input(n, 0, &m, 1, now);
		sl_net_flush(n);
		m = rig_take(&port_b);
		assert_non_null(m); /* answered all the same */
		rte_pktmbuf_free(m);
	}
	assert_int_equal(neigh_read(&s->neigh, key, mac), NEIGH_REACHABLE);
	sl_net_free(n);
	sl_net_shared_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_announces_at_start, net_setup, net_teardown),
	        cmocka_unit_test_setup_teardown(test_answers_and_learns, net_setup, net_teardown),
	        cmocka_unit_test_setup_teardown(test_probe_for_ours, net_setup, net_teardown),
	        cmocka_unit_test_setup_teardown(test_resolves, net_setup, net_teardown),
	        cmocka_unit_test_setup_teardown(test_gives_up, net_setup, net_teardown),
	        cmocka_unit_test_setup_teardown(test_waiting_is_bounded, net_setup, net_teardown),
	        cmocka_unit_test_setup_teardown(test_other_worker_resolves, net_setup, net_teardown),
	        cmocka_unit_test_setup_teardown(test_ages, net_setup, net_teardown),
	        cmocka_unit_test_setup_teardown(test_spoofs, net_setup, net_teardown),
	        cmocka_unit_test_setup_teardown(test_malformed, net_setup, net_teardown),
	        cmocka_unit_test_setup_teardown(test_flood, net_setup, net_teardown),
	};
	int failed;

	net_rig_start();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	net_rig_stop();
	return failed;
}
