/* What fuzzing has found, each as the shortest way to it. */
#include "test_tcp_util.h"

/* A packet of mbufs of `part` bytes each. */
static struct rte_mbuf *chain_of(const uint8_t *p, uint32_t n, uint32_t part)
{
	struct rte_mbuf *head = NULL;

	for (uint32_t at = 0; at < n; at += part) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(test_rx_pool);

		part = u32_min(part, n - at);
		assert_non_null(m);
		memcpy(rte_pktmbuf_append(m, (uint16_t)part), p + at, part);
		if (head == NULL)
			head = m;
		else
			assert_int_equal(rte_pktmbuf_chain(head, m), 0);
	}
	return head;
}

/* The checksum of a packet that came in pieces, of odd lengths too, is the same as in one. */
static void test_checksum_of_chains(void **state)
{
	struct sl_net_segment ip = {.src = test_addr("10.0.0.2"), .dst = test_addr("10.0.0.1")};
	uint8_t b[60] = {3, 0xe8, 0x15, 0x38, [12] = 5 << 4, [13] = RTE_TCP_ACK_FLAG};
	struct tcp_seg s;

	memset(b + 20, 0xfd, sizeof(b) - 20); /* a sum of many carries */
	wire_checksum(b, sizeof(b), &ip.src, &ip.dst);
	for (uint32_t part = 1; part <= sizeof(b); part++) {
		struct rte_mbuf *m = chain_of(b, sizeof(b), part);

		assert_int_equal(tcp_parse(m, &ip, &s), SL_OK);
		rte_pktmbuf_mtod(m, uint8_t *)[0] ^= 1;
		assert_int_equal(tcp_parse(m, &ip, &s), SL_E_TCP_CSUM);
		rte_pktmbuf_free(m);
	}
}

/* A probe for a larger MTU is of new bytes; behind a FIN there are none. */
static void test_no_mtu_probe_behind_fin(void **state)
{
	struct peer p;

	peer_init(&p, NULL);
	p.sack = true;
	peer_connect(&p);
	p.e.c->pmtu.limit = p.e.c->pmtu.high = p.e.c->path_mss;
	p.e.c->path_mss = (uint16_t)(p.e.c->path_mss - test.mss / 4);
	tcp_conn_set_mss(p.e.c);
	assert_int_equal(sl_tcp_write(p.e.c, sl_span("last", 4)), 4);
	sl_tcp_shutdown(p.e.c);
	sl_tcp_flush(p.h.t, p.now);
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.len, 4);
	p.e.c->pmtu.next_us = p.now;
	p.e.c->pmtu.first = true;
	p.e.c->cwnd = 64 * test.mss; /* room enough for a probe, whatever the segments' size */
	assert_int_not_equal(tcp_pmtu_probe(p.e.c, p.now), 0);
	tcp_conn_want_out(p.e.c);
	sl_tcp_flush(p.h.t, p.now);
	peer_none(&p);
	peer_fini(&p);
}

/* The wheel's only entry, at a time that no longer counts; the timer is due 64 ms later, and the worker comes
 * between the two: the entry moves to the same slot of the next round, and that is the end of it. */
static void test_entry_moves_to_its_own_slot(void **state)
{
	struct peer p;
	uint64_t at;

	peer_init(&p, NULL);
	p.h.t->cfg.keepalive_idle_s = 0;
	peer_connect(&p);
	peer_run(&p, 10 * TCP_S);
	assert_int_equal(p.h.t->wheel.nb, 0);
	at = (p.now / TCP_MS + 10) * TCP_MS;
	tcp_timer_set(p.e.c, TCP_TMR_RTX, at);
	tcp_timer_set(p.e.c, TCP_TMR_RTX, at + TCP_WHEEL_SLOTS * TCP_MS);
	p.now = at + (TCP_WHEEL_SLOTS - 2) * TCP_MS;
	(void)sl_tcp_tick(p.h.t, p.now);
	assert_int_equal(p.h.t->wheel.nb, 1);
	assert_int_equal(tcp_timer_at(p.e.c, TCP_TMR_RTX), at + TCP_WHEEL_SLOTS * TCP_MS);
	peer_fini(&p);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_checksum_of_chains),
	        cmocka_unit_test(test_no_mtu_probe_behind_fin),
	        cmocka_unit_test(test_entry_moves_to_its_own_slot),
	};

	if (test_setup(argc, argv) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
