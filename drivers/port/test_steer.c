/* Which worker gets a packet. */
#include "test_rig.h"

#include <poll.h>
#include <sys/eventfd.h>

#include "port_priv.h"
#include "sl_counter.h"

#define IP(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

static struct rig_port one;  /* one worker */
static struct rig_port two;  /* two workers over one queue */
static struct rig_port four; /* the same with four, of which some die */
static const uint8_t dst_mac[6] = {0x02, 0, 0, 0, 0, 1};
static const uint8_t v6_a[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
static const uint8_t v6_b[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 2};

static struct sl_endpoint end_of(uint32_t ip, uint16_t port)
{
	return (struct sl_endpoint){sl_addr_v4(&ip), port};
}

static void test_owner(void **state)
{
	unsigned count[2] = {0, 0};

	(void)state;
	for (int i = 0; i < 4000; i++) {
		struct sl_endpoint a = end_of((uint32_t)rand(), (uint16_t)i);
		struct sl_endpoint b = end_of((uint32_t)rand(), 5432);
		uint16_t w = sl_port_owner(two.port, &a, &b);

		assert_true(w < 2);
		assert_int_equal(sl_port_owner(two.port, &b, &a), w); /* symmetric */
		assert_int_equal(sl_port_owner(one.port, &a, &b), 0);
		count[w]++;
	}
	assert_true(count[0] > 1700 && count[1] > 1700);
	/* The ports of one pair of hosts alone spread too. */
	memset(count, 0, sizeof(count));
	for (uint16_t i = 0; i < 4000; i++) {
		struct sl_endpoint a = end_of(IP(10, 0, 0, 2), (uint16_t)(i + 32768));
		struct sl_endpoint b = end_of(IP(10, 0, 0, 1), 5432);

		count[sl_port_owner(two.port, &a, &b)]++;
	}
	assert_true(count[0] > 1700 && count[1] > 1700);
	/* Nor can a peer with many addresses choose ports for them that load one worker. */
	memset(count, 0, sizeof(count));
	for (uint16_t i = 0; i < 256; i++) {
		struct sl_endpoint a = end_of(rte_cpu_to_be_32(IP(10, i, 0, 2)), (uint16_t)(0x8000 ^ i << 8));
		struct sl_endpoint b = end_of(rte_cpu_to_be_32(IP(10, 0, 0, 1)), 5432);

		count[sl_port_owner(two.port, &a, &b)]++;
	}
	assert_true(count[0] > 80 && count[1] > 80);
}

static uint16_t owner_of(const struct rig_frame *f)
{
	struct sl_endpoint src = {sl_addr_v4(f->b + f->ip + 12), sl_get_be16(f->b + f->ip + 20)};
	struct sl_endpoint dst = {sl_addr_v4(f->b + f->ip + 16), sl_get_be16(f->b + f->ip + 22)};

	return sl_port_owner(two.port, &src, &dst);
}

static void flow(struct rig_frame *f, uint16_t sport)
{
	rig_ether(f, dst_mac, RIG_MAC_PEER, 0, 0x0800);
	rig_tcp(f, IP(10, 0, 0, 2), IP(10, 0, 0, 1), sport, 5432, "x", 1);
}

/* ARP and ICMP are worker 0's, but an ICMP error goes to the owner of the connection that it quotes. */
static void test_steer_others(void **state)
{
	uint8_t icmp[8 + 28] = {3, 1};
	struct rte_mbuf *m;
	struct rig_frame f;
	struct rig_frame e;

	(void)state;
	for (uint16_t port = 1; port < 200; port++) {
		flow(&f, port); /* what we sent has its ends the other way round; the hash is symmetric */
		memcpy(icmp + 8, f.b + f.ip, 28);
		rig_ether(&e, dst_mac, RIG_MAC_PEER, 0, 0x0800);
		rig_ip(&e, IP(10, 0, 0, 254), IP(10, 0, 0, 1), 1, icmp, sizeof(icmp));
		m = rig_mbuf(e.b, e.n);
		assert_int_equal(port_steer(two.port, m), owner_of(&f));
		rte_pktmbuf_free(m);
		for (size_t n = e.n - 1; n > 0; n -= 5) { /* cut short: worker 0 drops it */
			m = rig_mbuf(e.b, n);
			assert_int_equal(port_steer(two.port, m), 0);
			rte_pktmbuf_free(m);
			if (n < 6)
				break;
		}
		e.b[e.ip + 20] = 8; /* echo */
		m = rig_mbuf(e.b, e.n);
		assert_int_equal(port_steer(two.port, m), 0);
		rte_pktmbuf_free(m);
		f.b[f.ip + 7] = 1; /* a later fragment has no ports */
		m = rig_mbuf(f.b, f.n);
		assert_int_equal(port_steer(two.port, m), 0);
		rte_pktmbuf_free(m);
	}
	rig_ether(&e, dst_mac, RIG_MAC_PEER, 0, 0x0806);
	m = rig_mbuf(e.b, 60);
	assert_int_equal(port_steer(two.port, m), 0);
	rte_pktmbuf_free(m);
	rig_no_leak();
}

/* The owner of a frame's connection when it is of the worker with the number that steering gives. */
static uint16_t steered(const struct rig_frame *f)
{
	struct rte_mbuf *m = rig_mbuf(f->b, f->n);
	uint16_t w = port_steer(two.port, m);

	rte_pktmbuf_free(m);
	return w;
}

static uint16_t owner_v6(const uint8_t src[16], uint16_t sport, const uint8_t dst[16], uint16_t dport)
{
	struct sl_endpoint a = {{{0}, SL_AF_INET6}, sport};
	struct sl_endpoint b = {{{0}, SL_AF_INET6}, dport};

	memcpy(a.addr.b, src, 16);
	memcpy(b.addr.b, dst, 16);
	assert_int_equal(sl_port_owner(two.port, &a, &b), sl_port_owner(two.port, &b, &a));
	return sl_port_owner(two.port, &a, &b);
}

static void test_steer_v6(void **state)
{
	unsigned count[2] = {0, 0};
	uint8_t src[16];
	struct rig_frame f;

	(void)state;
	for (uint16_t i = 0; i < 2000; i++) {
		uint16_t w;

		for (int k = 0; k < 16; k++)
			src[k] = (uint8_t)rand();
		rig_ether(&f, dst_mac, RIG_MAC_PEER, i % 5 == 0 ? 100 : 0, 0x86dd);
		rig_tcp6(&f, src, v6_b, i, 5432, "x", 1);
		w = steered(&f);
		assert_int_equal(w, owner_v6(src, i, v6_b, 5432));
		count[w]++;
	}
	assert_true(count[0] > 800 && count[1] > 800);
	rig_no_leak();
}

/* Extension headers are looked through, within bounds; fragments are worker 0's, atomic ones are none. */
static void test_steer_extensions(void **state)
{
	uint8_t ext[400] = {0};
	struct rig_frame f;
	uint16_t port = 0;
	uint16_t w;

	(void)state;
	do
		w = owner_v6(v6_a, ++port, v6_b, 5432);
	while (w == 0);
	for (size_t n = 1; n <= 12; n++) {
		for (size_t i = 0; i < n; i++)
			ext[8 * i] = i + 1 < n ? 60 : 6;
		rig_ether(&f, dst_mac, RIG_MAC_PEER, 0, 0x86dd);
		rig_tcp6_ext(&f, v6_a, v6_b, port, 5432, 60, ext, 8 * n, "x", 1);
		assert_int_equal(steered(&f), n <= 8 ? w : 0);
	}
	memset(ext, 0, sizeof(ext));
	ext[0] = 6;
	ext[1] = 31; /* 256 bytes */
	rig_tcp6_ext(&f, v6_a, v6_b, port, 5432, 0, ext, 256, "x", 1);
	assert_int_equal(steered(&f), w);
	ext[1] = 32;
	rig_tcp6_ext(&f, v6_a, v6_b, port, 5432, 0, ext, 264, "x", 1);
	assert_int_equal(steered(&f), 0);
	ext[1] = 200; /* beyond the packet */
	rig_tcp6_ext(&f, v6_a, v6_b, port, 5432, 0, ext, 264, "x", 1);
	assert_int_equal(steered(&f), 0);
	memset(ext, 0, sizeof(ext));
	ext[0] = 6;
	rig_tcp6_ext(&f, v6_a, v6_b, port, 5432, 44, ext, 8, "x", 1);
	assert_int_equal(steered(&f), w); /* atomic: offset 0, none more */
	ext[3] = 1;
	rig_tcp6_ext(&f, v6_a, v6_b, port, 5432, 44, ext, 8, "x", 1);
	assert_int_equal(steered(&f), 0);
	ext[3] = 8;
	rig_tcp6_ext(&f, v6_a, v6_b, port, 5432, 44, ext, 8, "x", 1);
	assert_int_equal(steered(&f), 0);
	rig_no_leak();
}

static void test_steer_icmp6(void **state)
{
	uint8_t icmp[8 + 44] = {0};
	struct rig_frame f;
	struct rig_frame e;

	(void)state;
	for (uint16_t port = 1; port < 200; port++) {
		rig_ether(&f, dst_mac, RIG_MAC_PEER, 0, 0x86dd);
		rig_tcp6(&f, v6_b, v6_a, 5432, port, "x", 1); /* one of ours */
		memcpy(icmp + 8, f.b + f.ip, 44);
		rig_ether(&e, dst_mac, RIG_MAC_PEER, 0, 0x86dd);
		for (uint8_t type = 1; type <= 4;
		     type++) { /* RFC 4443: unreachable, too big, time, parameter */
			icmp[0] = type;
			rig_ip6(&e, v6_a, v6_b, 58, icmp, sizeof(icmp));
			assert_int_equal(steered(&e), owner_v6(v6_a, port, v6_b, 5432));
		}
		for (size_t n = sizeof(icmp) - 1; n < sizeof(icmp); n--) {
			rig_ip6(&e, v6_a, v6_b, 58, icmp, n);
			assert_int_equal(steered(&e), 0);
		}
		for (unsigned type = 128; type < 256; type++) { /* echo, neighbour discovery */
			icmp[0] = (uint8_t)type;
			rig_ip6(&e, v6_a, v6_b, 58, icmp, sizeof(icmp));
			assert_int_equal(steered(&e), 0);
		}
	}
	rig_no_leak();
}

/* A frame whose owner another worker has found out. */
static void test_give(void **state)
{
	uint64_t wrong = sl_counter_err_sum(SL_E_INVAL);
	struct rte_mbuf *m;
	struct rig_frame f;

	(void)state;
	flow(&f, 1);
	sl_port_handoff(two.port, 1, rig_mbuf(f.b, f.n));
	assert_int_equal(sl_port_rx(two.port, 0, &m, 1), 0);
	assert_int_equal(sl_port_rx(two.port, 1, &m, 1), 1);
	assert_int_equal(m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK, RTE_MBUF_F_RX_L4_CKSUM_GOOD);
	rte_pktmbuf_free(m);
	sl_port_handoff(two.port, 2, rig_mbuf(f.b, f.n));
	sl_port_handoff(one.port, 0, rig_mbuf(f.b, f.n));
	assert_int_equal(sl_counter_err_sum(SL_E_INVAL) - wrong, 2);
	rig_no_leak();
}

#define DEAD_FLOWS 4000

static struct sl_endpoint peer_of(int i)
{
	return end_of(IP(10, 0, 0, 2), (uint16_t)(i + 20000));
}

static uint16_t owner_in_four(int i)
{
	struct sl_endpoint gateway = end_of(IP(10, 0, 0, 1), 5432), peer = peer_of(i);
	uint16_t w = sl_port_owner(four.port, &peer, &gateway);

	assert_int_equal(sl_port_owner(four.port, &gateway, &peer), w);
	return w;
}

static void flow_of(struct rig_frame *f, int i)
{
	flow(f, (uint16_t)(i + 20000));
}

/* Takes what the worker gets; all of it must be for it. */
static unsigned take_own(uint16_t worker)
{
	struct rte_mbuf *m[SL_PORT_BURST];
	unsigned got = 0;
	uint16_t n;

	while ((n = sl_port_rx(four.port, worker, m, SL_PORT_BURST)) > 0) {
		got += n;
		for (uint16_t i = 0; i < n; i++) {
			assert_int_equal(port_steer(four.port, m[i]), worker);
			assert_int_equal(m[i]->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK,
			                 RTE_MBUF_F_RX_L4_CKSUM_GOOD);
		}
		rte_pktmbuf_free_bulk(m, n);
	}
	return got;
}

/* Workers 0 and 2 die: 1 and 3 keep what they have, and share the rest. Worker 0 had the queue. */
static void test_dead(void **state)
{
	struct sl_endpoint gateway = end_of(IP(10, 0, 0, 1), 5432), local = end_of(IP(10, 0, 0, 1), 30000);
	unsigned new_owner[4] = {0}, handed = 0, got;
	uint16_t before[DEAD_FLOWS];
	struct rig_frame f;
	struct rte_mbuf *m;

	(void)state;
	for (int i = 0; i < DEAD_FLOWS; i++)
		before[i] = owner_in_four(i);
	for (int i = 0; handed < 10; i++) { /* waits in the ring of 2 */
		if (before[i] != 2)
			continue;
		flow_of(&f, i);
		sl_port_handoff(four.port, 2, rig_mbuf(f.b, f.n));
		handed++;
	}
	sl_port_dead(four.port, 1);
	sl_port_dead(four.port, 4);
	for (int i = 0; i < DEAD_FLOWS; i++) {
		uint16_t now = owner_in_four(i);

		if (before[i] == 1 || before[i] == 3)
			assert_int_equal(now, before[i]);
		else
			new_owner[now]++;
	}
	assert_int_equal(new_owner[0] + new_owner[2], 0);
	assert_true(new_owner[1] > 700 && new_owner[3] > 700);
	rig_ether(&f, dst_mac, RIG_MAC_PEER, 0, 0x0806);
	m = rig_mbuf(f.b, 60);
	assert_int_equal(port_steer(four.port, m), 1);
	rte_pktmbuf_free(m);
	for (uint16_t w = 1; w < 4; w = (uint16_t)(w + 2)) {
		local.port = sl_port_pick(four.port, w, &local, &gateway);
		assert_int_not_equal(local.port, 0);
		assert_int_equal(sl_port_owner(four.port, &gateway, &local), w);
	}
	for (int i = 0; i < 40; i++) {
		flow_of(&f, i);
		rig_put(&four, rig_mbuf(f.b, f.n));
	}
	got = take_own(3); /* nothing yet: 1 polls */
	assert_int_equal(got, 0);
	got = take_own(1);
	got += take_own(3);
	assert_int_equal(got, 50);
	rig_no_leak();
}

static bool rung(uint16_t worker)
{
	struct pollfd fd = {.fd = two.port->rest[worker].bell_fd, .events = POLLIN};

	return poll(&fd, 1, 0) == 1;
}

static void hand_one(uint16_t worker)
{
	struct rig_frame f;

	flow(&f, 1);
	sl_port_handoff(two.port, worker, rig_mbuf(f.b, f.n));
}

static void take_one(uint16_t worker)
{
	struct rte_mbuf *m[4];
	uint16_t n = sl_port_rx(two.port, worker, m, 4);

	assert_int_equal(n, 1);
	rte_pktmbuf_free_bulk(m, n);
}

/* What is handed to a worker that rests wakes it, once, and what came before keeps it from resting. */
static void test_rest(void **state)
{
	int fds[SL_PORT_WAIT_FDS];

	(void)state;
	assert_int_equal(sl_port_wait_fds(two.port, 1, fds), 0); /* no descriptor tells of the queue */
	assert_true(sl_port_rest(one.port, 0));
	sl_port_wake(one.port, 0);
	hand_one(1); /* awake */
	assert_false(rung(1));
	assert_false(sl_port_rest(two.port, 1));
	sl_port_wake(two.port, 1);
	take_one(1);
	assert_true(sl_port_rest(two.port, 1));
	assert_false(rung(1));
	hand_one(1);
	assert_true(rung(1));
	sl_port_wake(two.port, 1);
	assert_false(rung(1));
	take_one(1);
	hand_one(1);
	assert_false(rung(1));
	assert_false(rung(0));
	take_one(1);
	rig_no_leak();
}

/* Its queue, if it has one, and its bell. */
static void test_wait_fds(void **state)
{
	int fds[SL_PORT_WAIT_FDS];

	(void)state;
	two.port->can_wait = true;
	two.port->rest[0].queue_fd = 1000;
	assert_int_equal(sl_port_wait_fds(two.port, 0, fds), 2);
	assert_int_equal(fds[0], 1000);
	assert_int_equal(fds[1], two.port->rest[0].bell_fd);
	assert_int_equal(sl_port_wait_fds(two.port, 1, fds), 1); /* it polls no queue */
	assert_int_equal(fds[0], two.port->rest[1].bell_fd);
	two.port->can_wait = false;
	two.port->rest[0].queue_fd = -1;
}

/* Who rings is interrupted between its two steps, and the worker wakes for another reason meanwhile. */
static void test_late_bell(void **state)
{
	struct port_rest *r = &two.port->rest[1];

	(void)state;
	assert_true(sl_port_rest(two.port, 1));
	assert_true(atomic_exchange(&r->resting, false)); /* port_ring_bell(): the first step */
	sl_port_wake(two.port, 1);
	assert_int_equal(eventfd_write(r->bell_fd, 1), 0); /* the second */
	assert_true(sl_port_rest(two.port, 1));
	sl_port_wake(two.port, 1);
	assert_false(rung(1)); /* else no rest lasts any more */
	/* It is stilled by rings as before. */
	assert_true(sl_port_rest(two.port, 1));
	port_ring_bell(two.port, 1);
	assert_true(rung(1));
	sl_port_wake(two.port, 1);
	assert_false(rung(1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_owner),       cmocka_unit_test(test_steer_others),
	        cmocka_unit_test(test_steer_v6),    cmocka_unit_test(test_steer_extensions),
	        cmocka_unit_test(test_steer_icmp6), cmocka_unit_test(test_give),
	        cmocka_unit_test(test_rest),        cmocka_unit_test(test_wait_fds),
	        cmocka_unit_test(test_late_bell),   cmocka_unit_test(test_dead),
	};

	rig_eal();
	rig_seed();
	rig_open(&one, "one", 1);
	rig_open(&two, "two", 2);
	rig_open(&four, "four", 4);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
