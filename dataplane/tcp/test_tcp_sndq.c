/* The send queue: bytes copied and bytes referenced come out in order, in packets as the port can take them.
 */
#include <stdlib.h>

#include "test_tcp_util.h"

#define STREAM 400000

static uint8_t stream[STREAM];

static void fill_stream(void)
{
	uint64_t seed = test.seed;

	for (size_t i = 0; i < sizeof(stream); i++)
		stream[i] = (uint8_t)test_rand(&seed);
}

static uint32_t rx_buf_len(void)
{
	return rte_pktmbuf_data_room_size(test_rx_pool);
}

static void ack_in(struct peer *p, uint32_t ack, uint16_t wnd)
{
	struct seg s = {
	        .seq = p->seq, .ack = ack, .flags = F_ACK, .wnd = wnd, .sport = p->sport, .dport = p->dport};

	peer_send(p, &s);
}

/* A received mbuf with `lead` bytes of something else in front. */
static struct rte_mbuf *received(const uint8_t *bytes, uint32_t n, uint32_t lead)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(test_rx_pool);
	uint8_t *to;

	assert_non_null(m);
	to = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(lead + n));
	assert_non_null(to);
	memset(to, 0xee, lead);
	memcpy(to + lead, bytes, n);
	return m;
}

/* Takes what was sent, compares, acknowledges. Returns the new end of what the peer has. */
static uint64_t take_all(struct peer *p, uint64_t have)
{
	uint64_t before = have;

	while (peer_rx(p)) {
		if (p->got.len == 0)
			continue;
		assert_int_equal(p->got.seq, p->iss + 1 + (uint32_t)have);
		assert_memory_equal(p->got.data, stream + have, p->got.len);
		have += p->got.len;
	}
	if (have != before)
		ack_in(p, p->iss + 1 + (uint32_t)have, 65535);
	return have;
}

/* One write of random kind and size; returns what was taken. */
static size_t write_some(struct peer *p, uint64_t at, uint64_t *seed)
{
	uint64_t left = STREAM - at, n = test_rand(seed) % 1400 + 1;
	uint32_t lead = (uint32_t)(test_rand(seed) % 60);
	struct sl_tcp_piece piece;
	size_t took;

	n = n < left ? n : left;
	if (test_rand(seed) % 3 == 0)
		return sl_tcp_write(p->e.c, sl_span(stream + at, (size_t)n));
	piece = (struct sl_tcp_piece){received(stream + at, (uint32_t)n, lead), lead, (uint32_t)n};
	took = sl_tcp_write_piece(p->e.c, &piece);
	rte_pktmbuf_adj(piece.m, (uint16_t)lead); /* the reader moves on: of no concern to the queue */
	rte_pktmbuf_free(piece.m);
	return took;
}

static void test_mixed_stream(void **state)
{
	uint64_t seed = test.seed, sent = 0, have = 0, calls = 0;
	struct peer p;

	peer_init(&p, NULL);
	peer_connect(&p);
	while (have < STREAM) {
		for (uint64_t k = test_rand(&seed) % 40; k > 0 && sent < STREAM; k--)
			sent += write_some(&p, sent, &seed);
		sl_tcp_flush(p.h.t, p.now);
		p.now += 1000;
		have = take_all(&p, have);
		assert_int_equal(sl_tcp_unacked(p.e.c) >= sent - have, true);
		assert_true(calls++ < 100000);
	}
	if (test.offload) {
		assert_true(p.wire.nb_chained > 0);
		assert_true(p.wire.nb_super > 0);
	}
	peer_fini(&p);
}

/* What goes out by reference is not copied: one buffer, and it lives as long as somebody needs it. */
static void test_reference_lives(void **state)
{
	struct sl_tcp_piece piece;
	struct peer p;

	peer_init(&p, NULL);
	peer_connect(&p);
	piece = (struct sl_tcp_piece){received(stream, 500, 10), 10, 500};
	assert_int_equal(sl_tcp_write_piece(p.e.c, &piece), 500);
	assert_int_equal(rte_mbuf_refcnt_read(piece.m), 2);
	rte_pktmbuf_free(piece.m);
	assert_int_equal(rte_mempool_in_use_count(test_rx_pool), 1);
	sl_tcp_flush(p.h.t, p.now);
	assert_int_equal(peer_drain(&p), 1);
	assert_int_equal(rte_mempool_in_use_count(test_rx_pool), 1);
	peer_run(&p, 2 * TCP_S); /* again, the same bytes */
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.len, 500);
	assert_memory_equal(p.got.data, stream, 500);
	peer_drain(&p);
	ack_in(&p, p.ack + 500, 65535);
	assert_int_equal(rte_mempool_in_use_count(test_rx_pool), 0);
	/* Small ones are copied. */
	piece = (struct sl_tcp_piece){received(stream, TCP_COPY_BELOW - 1, 0), 0, TCP_COPY_BELOW - 1};
	assert_int_equal(sl_tcp_write_piece(p.e.c, &piece), TCP_COPY_BELOW - 1);
	assert_int_equal(rte_mbuf_refcnt_read(piece.m), 1);
	rte_pktmbuf_free(piece.m);
	peer_fini(&p);
}

/* References pin whole buffers: past a bound of true size they are copied, and memory is counted. */
static void test_pin_bound(void **state)
{
	struct sl_tcp_cfg tune = {.tx_buf_bytes = 16384};
	uint32_t taken = 0, most;
	struct peer p;

	peer_init(&p, &tune);
	peer_connect(&p);
	ack_in(&p, p.ack, 0);
	most = TCP_PIN_FACTOR * 16384 + 16384 + 2 * (uint32_t)test_pool->elt_size;
	while (taken < 16384) {
		uint32_t n = u32_min(300, 16384 - taken);
		struct sl_tcp_piece piece = {received(stream + taken, n, 0), 0, n};

		assert_int_equal(sl_tcp_write_piece(p.e.c, &piece), n);
		rte_pktmbuf_free(piece.m);
		taken += n;
		assert_true(p.e.c->sndq.pinned <= most);
		assert_int_equal(p.h.t->mem_used, p.e.c->sndq.pinned);
	}
	assert_int_equal(sl_tcp_space(p.e.c), 0);
	assert_int_equal(rte_mempool_in_use_count(test_rx_pool),
	                 u32_min(16384 / 300, TCP_PIN_FACTOR * 16384 / rx_buf_len()));
	peer_fini(&p);
}

/* No mbuf for the references of a chain: nothing is lost, nothing is leaked. */
static void test_no_mbuf_for_chain(void **state)
{
	static struct rte_mbuf *held[8192];
	uint64_t have = 0;
	struct peer p;
	uint32_t n = 0;

	peer_init(&p, NULL);
	peer_connect(&p);
	assert_int_equal(sl_tcp_write(p.e.c, sl_span(stream, 30000)), 30000);
	while (n < 8192 && (held[n] = rte_pktmbuf_alloc(test_pool)) != NULL)
		n++;
	for (uint32_t left = 0; left < 6 && n > 0; left++) {
		sl_tcp_flush(p.h.t, p.now);
		have = take_all(&p, have);
		rte_pktmbuf_free(held[--n]);
	}
	while (n > 0)
		rte_pktmbuf_free(held[--n]);
	while (have < 30000) {
		sl_tcp_flush(p.h.t, p.now);
		have = take_all(&p, have);
	}
	peer_fini(&p);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_mixed_stream),
	        cmocka_unit_test(test_reference_lives),
	        cmocka_unit_test(test_pin_bound),
	        cmocka_unit_test(test_no_mbuf_for_chain),
	};

	if (test_setup(argc, argv) < 0)
		return 1;
	fill_stream();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
