#include "test_net_rig.h"

/* RFC 5227 2.1 and 2.3: three probes without a sender, then the address is announced and used. */
static void test_probes_and_announces(void **state)
{
	struct sl_net_if_cfg one = {port_b.port, prefix("10.0.3.1/24"), 0};
	struct sl_net_cfg cfg = {0, rig_pool, on_tcp, on_icmp, &up};
	struct sl_net_shared *s;
	struct sl_net *n;

	(void)state;
	assert_int_equal(sl_net_shared_new(&one, 1, NULL, 0, &s, NULL, 0), 0);
	assert_int_equal(sl_net_new(s, &cfg, &n), 0);
	for (int i = 0; i < NET_ACD_PROBES; i++, now += NET_ACD_PROBE_US) {
		(void)sl_net_tick(n, now);
		(void)sl_net_tick(n, now + 1);
		sl_net_flush(n);
		expect_arp(&port_b, mac_all, 1, 0, OURS_B);
		expect_nothing();
		assert_int_equal(send_tcp(n, OURS_B, GATEWAY_B), SL_E_NET_NO_ROUTE);
	}
	for (int i = 0; i < NET_ANNOUNCEMENTS; i++, now += NET_ANNOUNCE_US) {
		(void)sl_net_tick(n, now);
		(void)sl_net_tick(n, now + 1);
		sl_net_flush(n);
		expect_arp(&port_b, mac_all, 1, OURS_B, OURS_B);
		expect_nothing();
	}
	assert_int_equal(send_tcp(n, OURS_B, GATEWAY_B), 0);
	drain_ports();
	sl_net_free(n);
	sl_net_shared_free(s);
}

/* Another station has the address, or wants it at the same time: it is not used, and tried again later. */
static void test_conflict_at_start(void **state)
{
	struct sl_net_if_cfg one = {port_b.port, prefix("10.0.3.1/24"), 0};
	struct sl_net_cfg cfg = {0, rig_pool, on_tcp, on_icmp, &up};
	struct sl_addr dst = addr(GATEWAY_B);
	struct sl_net_path path;
	struct rig_frame f;

	(void)state;
	for (int kind = 0; kind < 3; kind++) {
		struct sl_net_shared *s;
		struct sl_net *n;

		assert_int_equal(sl_net_shared_new(&one, 1, NULL, 0, &s, NULL, 0), 0);
		assert_int_equal(sl_net_new(s, &cfg, &n), 0);
		(void)sl_net_tick(n, now);
		/* A reply, an announcement, or a probe of its own. */
		arp_frame(&f, kind == 0 ? s->links[0].mac.addr_bytes : mac_all, mac_evil, 0,
		          kind == 0 ? 2 : 1, kind == 2 ? 0 : OURS_B, NULL, kind == 0 ? 0 : OURS_B);
		COUNTS(SL_E_NET_ADDR_CONFLICT, give(n, 0, &f));
		drain_ports();
		for (int i = 0; i < 10; i++, now += SECOND)
			(void)sl_net_tick(n, now);
		sl_net_flush(n);
		expect_nothing();
		assert_int_equal(sl_net_path(n, &dst, &path), SL_E_NET_NO_ROUTE);
		rig_ether(&f, s->links[0].mac.addr_bytes, mac_peer, 0, 0x0800);
		rig_tcp(&f, GATEWAY_B, OURS_B, 1, 2, NULL, 0);
		COUNTS(SL_E_NET_IP_DST, give(n, 0, &f));
		arp_frame(&f, mac_all, mac_peer, 0, 1, GATEWAY_B, NULL, OURS_B);
		COUNTS(SL_E_NET_ARP, give(n, 0, &f)); /* it is not ours to answer for */
		expect_nothing();
		now += NET_CONFLICT_US;
		for (int i = 0; i < 10; i++, now += NET_ACD_PROBE_US)
			(void)sl_net_tick(n, now);
		assert_int_equal(sl_net_path(n, &dst, &path), 0);
		sl_net_flush(n);
		drain_ports();
		sl_net_free(n);
		sl_net_shared_free(s);
	}
}

/* Two addresses of ours in one subnet, and another station has the first: the second one's neighbours are
 * asked from it, first and for as long as they are used. */
static void test_conflict_of_one_of_two(void **state)
{
	struct sl_net_if_cfg two[2] = {{port_b.port, prefix("10.0.3.1/24"), 0},
	                               {port_b.port, prefix("10.0.3.2/24"), 0}};
	struct sl_net_cfg cfg = {0, rig_pool, on_tcp, on_icmp, &up};
	const uint32_t ours = IP(10, 0, 3, 2);
	const struct sl_addr router = addr(GATEWAY_B);
	struct sl_net_path path;
	struct sl_net_shared *s;
	struct rig_frame f;
	struct sl_net *n;

	(void)state;
	assert_int_equal(sl_net_shared_new(two, 2, NULL, 0, &s, NULL, 0), 0);
	assert_int_equal(sl_net_new(s, &cfg, &n), 0);
	(void)sl_net_tick(n, now);
	arp_frame(&f, mac_all, mac_evil, 0, 1, OURS_B, NULL, OURS_B);
	COUNTS(SL_E_NET_ADDR_CONFLICT, give(n, 0, &f));
	for (int i = 0; i < 30; i++, now += SECOND / 10)
		(void)sl_net_tick(n, now);
	sl_net_flush(n);
	drain_ports();
	assert_int_equal(sl_net_if_state(s, 0), SL_NET_IF_CONFLICT);
	assert_int_equal(sl_net_if_state(s, 1), SL_NET_IF_READY);
	assert_int_equal(sl_net_path(n, &router, &path), 0);
	assert_memory_equal(path.src.b, addr(ours).b, 4);
	/* An answer to a client that came through a router which knows us. */
	assert_int_equal(send_tcp(n, ours, GATEWAY_B), 0);
	expect_arp(&port_b, mac_all, 1, ours, GATEWAY_B);
	arp_frame(&f, s->links[0].mac.addr_bytes, mac_peer, 0, 2, GATEWAY_B, s->links[0].mac.addr_bytes,
	          ours);
	give(n, 0, &f);
	expect_tcp(&port_b, mac_peer, ours, GATEWAY_B);
	/* In use for fifty seconds (then the first one is tried again), and the router answers each question.
	 */
	for (int i = 0; i < 500; i++, now += SECOND / 10) {
		assert_int_equal(send_tcp(n, ours, GATEWAY_B), 0);
		(void)sl_net_tick(n, now);
		sl_net_flush(n);
		while (left(&port_b, &f)) {
			if (sl_get_be16(f.b + 12) != 0x0806 || sl_get_be32(f.b + f.ip + 24) != GATEWAY_B)
				continue;
			arp_frame(&f, s->links[0].mac.addr_bytes, mac_peer, 0, 2, GATEWAY_B,
			          s->links[0].mac.addr_bytes, ours);
			give(n, 0, &f);
		}
	}
	drain_ports();
	sl_net_free(n);
	sl_net_shared_free(s);
}

static void test_answers_and_learns(void **state)
{
	uint8_t mac[6];

	(void)state;
	learn_peer(PEER, OURS, 0);
	assert_int_equal(state_of(0, net_ip4(PEER), mac), NEIGH_STALE);
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
	assert_int_equal(state_of(0, net_ip4(0), mac), NEIGH_NONE);
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
	assert_int_equal(state_of(0, net_ip4(PEER), mac), NEIGH_PROBE);
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

	(void)state;
	for (int i = 0; i < NET_WAIT_PACKETS + 5; i++)
		assert_int_equal(send_tcp(net, OURS, PEER), 0);
	assert_int_equal(sl_counter_err_sum(SL_E_NET_NO_NEIGHBOUR), dropped + 5); /* the oldest */
	arp_frame(&f, our_mac(0), mac_peer, 0, 2, PEER, our_mac(0), OURS);
	drain_ports();
	give(net, 0, &f);
	for (int i = 0; i < NET_WAIT_PACKETS; i++)
		expect_tcp(&port_a, mac_peer, OURS, PEER);
	expect_nothing();
	/* More neighbours than there are places to wait: the oldest give way. */
	dropped = sl_counter_err_sum(SL_E_NET_NO_NEIGHBOUR);
	for (uint32_t i = 0; i < NET_WAIT_SLOTS + 10; i++, now++)
		assert_int_equal(send_tcp(net, OURS, IP(10, 0, 1, 20) + i), 0);
	assert_int_equal(sl_counter_err_sum(SL_E_NET_NO_NEIGHBOUR), dropped + 10);
	assert_int_equal(net->nb_wait, NET_WAIT_SLOTS);
	drain_ports();
	arp_frame(&f, our_mac(0), mac_peer, 0, 2, IP(10, 0, 1, 30), our_mac(0), OURS);
	give(net, 0, &f);
	expect_tcp(&port_a, mac_peer, OURS, IP(10, 0, 1, 30));
	expect_nothing();
}

/* How many of the stations from `first` on count as not there. */
static uint32_t failed_of(struct sl_net_shared *s, uint32_t first, uint32_t nb)
{
	uint32_t failed = 0;
	uint8_t mac[6];

	for (uint32_t i = 0; i < nb; i++) {
		const struct neigh_key key = {net_ip4(first + i), 0};

		failed += neigh_read(&s->neigh, &key, mac) == NEIGH_FAILED;
	}
	return failed;
}

/* A scan of our subnets asks for no more than so many at a time, and in a second. */
static void test_asking_is_bounded(void **state)
{
	uint64_t over = sl_counter_err_sum(SL_E_NET_NEIGH_LIMIT);
	struct sl_net_if_cfg wide = {port_b.port, prefix("172.16.0.1/12"), 0};
	struct sl_net_cfg cfg = {0, rig_pool, on_tcp, on_icmp, &up};
	uint32_t asked = 0;
	struct rig_frame f;
	struct sl_net_shared *s;
	struct sl_net *n;

	(void)state;
	assert_int_equal(sl_net_shared_new(&wide, 1, NULL, 0, &s, NULL, 0), 0);
	assert_int_equal(sl_net_new(s, &cfg, &n), 0);
	for (int i = 0; i < 10; i++, now += SECOND)
		(void)sl_net_tick(n, now);
	/* 100,000 packets to as many stations in a second. */
	for (uint32_t i = 0; i < 100000; i++, now += 10) {
		assert_int_equal(send_tcp(n, IP(172, 16, 0, 1), IP(172, 16, 0, 2) + i), 0);
		while (left(&port_b, &f))
			asked += memcmp(f.b, mac_all, 6) == 0;
		/* Who gave way is not asked again at once. (Of a full bucket, which a keyed hash has here and
		 * there, one is forgotten.) */
		if (i == 6000)
			assert_in_range(failed_of(s, IP(172, 16, 0, 2), NEIGH_INCOMPLETE_MAX),
			                NEIGH_INCOMPLETE_MAX * 7 / 8, NEIGH_INCOMPLETE_MAX);
	}
	assert_int_equal(s->neigh.nb_incomplete, NEIGH_INCOMPLETE_MAX);
	assert_true(sl_counter_err_sum(SL_E_NET_NEIGH_LIMIT) > over);
	assert_in_range(asked, NEIGH_INCOMPLETE_MAX, 21 * NEIGH_INCOMPLETE_MAX);
	/* All of them fail. */
	for (int i = 0; i < 150; i++, now += SECOND / 10)
		(void)sl_net_tick(n, now);
	assert_int_equal(s->neigh.nb_incomplete, 0);
	sl_net_free(n);
	sl_net_shared_free(s);
}

/* Who makes us ask for stations that are not there, from one link, does not keep us from reaching one that
 * is. */
static void test_asking_has_room(void **state)
{
	struct sl_net_if_cfg ifs[2] = {{port_a.port, prefix("172.16.0.1/12"), 0},
	                               {port_b.port, prefix("10.0.3.1/24"), 0}};
	struct sl_net_cfg cfg = {0, rig_pool, on_tcp, on_icmp, &up};
	struct sl_net_shared *s;
	struct sl_net *n;
	bool asked = false;
	struct rig_frame f;
	uint32_t next = 2;

	(void)state;
	assert_int_equal(sl_net_shared_new(ifs, 2, NULL, 0, &s, NULL, 0), 0);
	assert_int_equal(sl_net_new(s, &cfg, &n), 0);
	for (int i = 0; i < 100; i++, now += SECOND / 10)
		(void)sl_net_tick(n, now);
	drain_ports();
	/* Answers to SYNs of forged sources, 2,000 a second; the target's link has none of them. */
	for (int ms = 0; ms < 3000 && !asked; ms++, now += 1000) {
		for (int i = 0; i < 2; i++)
			assert_int_equal(send_tcp(n, IP(172, 16, 0, 1), IP(172, 16, 0, 0) + next++), 0);
		if (ms >= 1000 && ms % 1000 == 0) /* a SYN of ours, and again */
			assert_int_equal(send_tcp(n, OURS_B, GATEWAY_B), 0);
		(void)sl_net_tick(n, now);
		sl_net_flush(n);
		while (left(&port_a, &f))
			;
		while (left(&port_b, &f))
			asked |= sl_get_be32(f.b + f.ip + 24) == GATEWAY_B;
	}
	sl_net_free(n);
	sl_net_shared_free(s);
	assert_true(asked);
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
	/* What is used is asked by unicast and used meanwhile; what is not used goes. */
	tick_by(NEIGH_SCAN_US);
	assert_int_equal(state_of(0, net_ip4(PEER), mac), NEIGH_DELAY);
	assert_int_equal(state_of(0, net_ip4(IP(10, 0, 1, 3)), mac), NEIGH_STALE);
	expect_nothing();
	tick_by(NEIGH_DELAY_US);
	expect_arp(&port_a, mac_peer, 1, OURS, PEER);
	expect_nothing();
	assert_int_equal(state_of(0, net_ip4(PEER), mac), NEIGH_PROBE);
	assert_int_equal(send_tcp(net, OURS, PEER), 0);
	expect_tcp(&port_a, mac_peer, OURS, PEER);
	arp_frame(&f, our_mac(0), mac_peer, 0, 2, PEER, our_mac(0), OURS);
	give(net, 0, &f);
	assert_int_equal(state_of(0, net_ip4(PEER), mac), NEIGH_REACHABLE);
	tick_by(NEIGH_REACHABLE_US / 2 - 1);
	assert_int_equal(state_of(0, net_ip4(PEER), mac), NEIGH_REACHABLE);
	tick_by(NEIGH_REACHABLE_US + 1);
	assert_int_equal(state_of(0, net_ip4(PEER), mac), NEIGH_STALE);
	/* No answer: unicast three times, then broadcast, and another station may answer. */
	assert_int_equal(send_tcp(net, OURS, PEER), 0);
	expect_tcp(&port_a, mac_peer, OURS, PEER);
	tick_by(NEIGH_SCAN_US);
	tick_by(NEIGH_DELAY_US);
	for (int i = 0; i < NEIGH_PROBES; i++, tick_by(SECOND))
		expect_arp(&port_a, mac_peer, 1, OURS, PEER);
	expect_arp(&port_a, mac_all, 1, OURS, PEER);
	arp_frame(&f, our_mac(0), mac_evil, 0, 2, PEER, our_mac(0), OURS);
	give(net, 0, &f);
	assert_int_equal(state_of(0, net_ip4(PEER), mac), NEIGH_REACHABLE);
	assert_memory_equal(mac, mac_evil, 6);
	tick_by(2 * NEIGH_REACHABLE_US);
	tick_by(NEIGH_FORGET_US);
	assert_int_equal(state_of(0, net_ip4(IP(10, 0, 1, 3)), mac), NEIGH_NONE);
	assert_int_equal(state_of(0, net_ip4(PEER), mac), NEIGH_NONE);
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
	assert_int_equal(state_of(0, net_ip4(PEER), mac), NEIGH_NONE);
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
	now += NET_DEFEND_US;
	COUNTS(SL_E_NET_ARP_SPOOF, give(net, 0, &f));
	expect_arp(&port_a, mac_all, 1, OURS, OURS);
	/* A live neighbour is not replaced by a request or an announcement, it is asked. */
	learn_peer(PEER, OURS, 0);
	arp_frame(&f, mac_all, mac_evil, 0, 1, PEER, NULL, OURS);
	COUNTS(SL_E_NET_ARP_SPOOF, give(net, 0, &f));
	expect_arp(&port_a, mac_peer, 1, OURS, PEER);
	refuses(SL_E_NET_ARP_SPOOF, &f); /* asked already */
	arp_frame(&f, our_mac(0), mac_peer, 0, 2, PEER, our_mac(0), OURS);
	give(net, 0, &f);
	assert_int_equal(state_of(0, net_ip4(PEER), mac), NEIGH_REACHABLE);
	arp_frame(&f, mac_all, mac_evil, 0, 1, PEER, NULL, PEER);
	COUNTS(SL_E_NET_ARP_SPOOF, give(net, 0, &f));
	expect_arp(&port_a, mac_peer, 1, OURS, PEER);
	assert_int_equal(state_of(0, net_ip4(PEER), mac), NEIGH_PROBE);
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
	struct neigh_key key = {net_ip4(IP(172, 16, 0, 2)), 0};
	struct rte_mbuf *m;

	(void)state;
	assert_int_equal(sl_net_shared_new(&wide, 1, NULL, 0, &s, NULL, 0), 0);
	assert_int_equal(sl_net_new(s, &cfg, &n), 0);
	for (int i = 0; i < 10; i++, now += SECOND)
		(void)sl_net_tick(n, now);
	sl_net_flush(n);
	drain_ports();
	for (uint32_t i = 0; i < 10000; i++) {
		arp_frame(&f, mac_all, mac_evil, 0, 1, IP(172, 16, 0, 2) + i, NULL, IP(172, 16, 0, 1));
		m = rig_mbuf(f.b, f.n);
		sl_net_input(n, 0, &m, 1, now);
		sl_net_flush(n);
		m = rig_take(&port_b);
		assert_non_null(m); /* answered all the same */
		rte_pktmbuf_free(m);
	}
	assert_int_equal(neigh_read(&s->neigh, &key, mac), NEIGH_STALE);
	sl_net_free(n);
	sl_net_shared_free(s);
}

/* Worker 0 has died: the next one answers, asks and announces, and knows what it knew. */
static void test_other_worker_leads(void **state)
{
	struct rig_frame f;
	uint8_t mac[6];
	int announced = 0;

	(void)state;
	learn_peer(PEER, OURS, 0);
	assert_int_equal(send_tcp(net1, OURS_VLAN, PEER_VLAN),
	                 0); /* asked for, and worker 0 did not hear it */
	sl_net_dead(net1, 1);
	for (int i = 0; i < 40; i++, now += SECOND / 10) {
		(void)sl_net_tick(net1, now);
		sl_net_flush(net1);
		while (left(&port_a, &f) || left(&port_b, &f))
			announced += sl_get_be32(f.b + f.ip + 14) == sl_get_be32(f.b + f.ip + 24);
	}
	assert_int_equal(announced, 4 * NET_ANNOUNCEMENTS);
	for (uint16_t i = 0; i < 4; i++)
		assert_int_equal(sl_net_if_state(shared, i), SL_NET_IF_READY);
	assert_int_equal(state_of(0, net_ip4(PEER), mac), NEIGH_STALE);
	arp_frame(&f, mac_all, mac_peer, 0, 1, PEER, NULL, OURS);
	give(net1, 0, &f);
	expect_arp(&port_a, mac_peer, 2, OURS, PEER);
	assert_int_equal(send_tcp(net1, OURS, PEER), 0);
	expect_tcp(&port_a, mac_peer, OURS, PEER);
	drain_ports();
	/* Through the rings: what is not of a connection comes to it. */
	rig_put(&port_a, rig_mbuf(f.b, f.n));
	assert_int_equal(sl_net_poll(net1, now), 1);
	sl_net_flush(net1);
	expect_arp(&port_a, mac_peer, 2, OURS, PEER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_probes_and_announces, net_setup, net_teardown),
	        cmocka_unit_test_setup_teardown(test_conflict_at_start, net_setup, net_teardown),
	        cmocka_unit_test_setup_teardown(test_conflict_of_one_of_two, net_setup, net_teardown),
	        cmocka_unit_test_setup_teardown(test_answers_and_learns, net_setup, net_teardown),
	        cmocka_unit_test_setup_teardown(test_probe_for_ours, net_setup, net_teardown),
	        cmocka_unit_test_setup_teardown(test_resolves, net_setup, net_teardown),
	        cmocka_unit_test_setup_teardown(test_gives_up, net_setup, net_teardown),
	        cmocka_unit_test_setup_teardown(test_waiting_is_bounded, net_setup, net_teardown),
	        cmocka_unit_test_setup_teardown(test_asking_is_bounded, net_setup, net_teardown),
	        cmocka_unit_test_setup_teardown(test_asking_has_room, net_setup, net_teardown),
	        cmocka_unit_test_setup_teardown(test_other_worker_resolves, net_setup, net_teardown),
	        cmocka_unit_test_setup_teardown(test_ages, net_setup, net_teardown),
	        cmocka_unit_test_setup_teardown(test_spoofs, net_setup, net_teardown),
	        cmocka_unit_test_setup_teardown(test_malformed, net_setup, net_teardown),
	        cmocka_unit_test_setup_teardown(test_flood, net_setup, net_teardown),
	        /* The last one: the ports know it from then on. */
	        cmocka_unit_test_setup_teardown(test_other_worker_leads, net_setup, net_teardown),
	};
	int failed;

	net_rig_start();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	net_rig_stop();
	return failed;
}
