/* Clients that hold buffers by small pieces: what is left is enough for the others. */
#include "test_tcp_util.h"

#define ENDS   160U
#define WAIT   150U /* of them wait for memory */
#define MEMORY (1U << 20)

static struct end ends[ENDS];
static uint8_t data[150];

/* One more connection of the peer's, at `e`; the peer speaks for it from now on. */
static void connect_as(struct peer *p, struct end *e, uint16_t port)
{
	p->h.accept_end = e;
	p->sport = port;
	p->seq = 1000;
	peer_syn(p);
	peer_tx(p, F_ACK, p->seq, p->ack, NULL, 0);
	assert_non_null(e->c);
	peer_drain(p);
}

static void end_all(struct peer *p)
{
	for (uint32_t i = 0; i < ENDS; i++) {
		if (ends[i].c != NULL)
			sl_tcp_abort(ends[i].c, p->now);
	}
	p->e.c = NULL;
	peer_drain(p);
	peer_fini(p);
}

static void begin(struct peer *p, uint64_t memory)
{
	struct sl_tcp_cfg tune = {.max_conns = ENDS, .max_total_bytes = memory, .max_conns_per_source = ENDS};

	memset(ends, 0, sizeof(ends));
	peer_init(p, &tune);
	p->sack = true;
}

/* Forty connections take a buffer for each of their bytes, all of them behind gaps. */
static void hoard(struct peer *p)
{
	for (uint16_t n = 0; n < 40; n++) {
		connect_as(p, &ends[n], (uint16_t)(41000 + n));
		for (uint32_t k = 0; k < 250; k++) {
			peer_tx(p, F_ACK, p->seq + 2 + 2 * k, p->ack, "x", 1);
			p->now += 10;
			peer_drain(p);
		}
	}
}

/* Single bytes behind gaps take a buffer each, long before they are many bytes. Data in order still comes. */
static void test_ranges_of_a_byte(void **state)
{
	struct peer peer, *p = &peer;
	size_t got;

	(void)state;
	begin(p, 0);
	hoard(p);
	assert_true(p->h.t->nb_rcv_own <= test_pool->size / TCP_OWN_SHARE / 4 * 3 + 1);
	connect_as(p, &ends[50], 50000);
	p->now += 10000;
	peer_tx(p, F_ACK | F_PSH, p->seq, p->ack, "hello", 5);
	got = sl_tcp_readable(ends[50].c);
	assert_int_equal(got, 5);
	end_all(p);
}

/* Nor is it cut where it needs none of these buffers: bursts of large segments come as they are. */
static void test_large_beside_small(void **state)
{
	static uint8_t large[1200];
	struct peer peer, *p = &peer;
	struct end *e = &ends[50];

	(void)state;
	begin(p, 0);
	hoard(p);
	connect_as(p, e, 50000);
	p->now += 10000;
	for (int i = 0; i < 20; i++) {
		for (int k = 0; k < 2; k++) {
			peer_tx(p, F_ACK | F_PSH, p->seq, p->ack, large, sizeof(large));
			p->seq += sizeof(large);
		}
		assert_int_equal(sl_tcp_readable(e->c), 2 * sizeof(large));
		sl_tcp_consume(e->c, 2 * sizeof(large));
		peer_drain(p);
	}
	end_all(p);
}

/*
 * What a target sends in small segments is copied into buffers of the stack, and goes on by reference to
 * clients that do not read: it is counted there, and enough is left to answer a SYN with.
 */
static void test_readers_of_nothing(void **state)
{
	struct seg s = {.seq = 5, .flags = F_SYN, .wnd = 65535, .sport = 50000};
	struct end *target = &ends[ENDS - 1];
	struct peer peer, *p = &peer;
	struct sl_tcp_piece piece[4];
	uint32_t seq, ack, nb = 0;
	bool refused = false;

	(void)state;
	begin(p, 0);
	connect_as(p, target, 41000);
	seq = p->seq;
	ack = p->ack;
	for (; nb < 45 && !refused; nb++) {
		connect_as(p, &ends[nb], (uint16_t)(42000 + nb));
		p->sport = 41000;
		for (uint32_t k = 0; k < 240 && !refused; k++) {
			peer_tx(p, F_ACK, seq, ack, data, sizeof(data));
			peer_tx(p, F_ACK | F_PSH, seq + sizeof(data), ack, data, sizeof(data));
			seq += (uint32_t)sl_tcp_readable(target->c);
			refused = sl_tcp_peek_pieces(target->c, piece, 4) != 1 || piece[0].len != 300 ||
			          sl_tcp_write_piece(ends[nb].c, &piece[0]) != 300;
			if (!refused)
				sl_tcp_consume(target->c, 300);
			sl_tcp_flush(p->h.t, p->now);
			peer_drain(p);
			p->now += 10;
		}
	}
	assert_true(refused);
	assert_true(rte_mempool_in_use_count(test_pool) <= test_pool->size / 4 * 3 + 64);
	s.dport = p->dport;
	s.nb_opts = peer_syn_options(p, s.opts);
	peer_send(p, &s);
	assert_true(peer_rx(p));
	end_all(p);
}

/*
 * What comes in large segments goes on by reference to clients that do not read, whatever the pool: it stops
 * at three quarters of the memory, but for a piece where nothing is queued, so that others still get their
 * data in.
 */
static void test_readers_of_nothing_large(void **state)
{
	static uint8_t large[500];
	struct end *target = &ends[ENDS - 1], *other = &ends[ENDS - 2];
	struct peer peer, *p = &peer;
	struct sl_tcp_piece piece[4];
	uint32_t seq, ack, nb;

	(void)state;
	begin(p, MEMORY);
	connect_as(p, target, 41000);
	seq = p->seq;
	ack = p->ack;
	for (uint32_t i = 0; i < 8; i++)
		connect_as(p, &ends[i], (uint16_t)(42000 + i));
	for (uint32_t i = 0; i < 8; i++) {
		p->sport = 41000;
		for (uint32_t k = 0; k < 400; k++) {
			size_t took = 0;

			peer_tx(p, F_ACK | F_PSH, seq, ack, large, sizeof(large));
			seq = target->c->rcv_nxt;
			nb = sl_tcp_peek_pieces(target->c, piece, 4);
			for (uint32_t v = 0; v < nb; v++)
				took += sl_tcp_write_piece(ends[i].c, &piece[v]);
			sl_tcp_consume(target->c, took);
			peer_drain(p);
			p->now += 10;
			if (took == 0)
				break;
		}
	}
	connect_as(p, other, 50000);
	peer_tx(p, F_ACK | F_PSH, p->seq, p->ack, large, sizeof(large));
	assert_int_equal(sl_tcp_readable(other->c), sizeof(large));
	end_all(p);
}

static uint32_t heard(void)
{
	uint32_t nb = 0;

	for (uint32_t i = 0; i < WAIT; i++)
		nb += (ends[i].events & SL_TCP_EV_WRITABLE) != 0;
	return nb;
}

/* Many writers find no memory: when there is some again they hear of it, a few in a tick, and none is
 * forgotten. */
static void test_many_wait(void **state)
{
	static uint8_t bulk[60000];
	struct peer peer, *p = &peer;
	uint32_t last, nb;

	(void)state;
	begin(p, MEMORY);
	for (uint16_t n = 0; n < ENDS; n++)
		connect_as(p, &ends[n], (uint16_t)(41000 + n));
	for (uint32_t i = ENDS; i-- > 0;) { /* those behind WAIT take most of it */
		while (sl_tcp_write(ends[i].c, sl_span(bulk, sizeof(bulk))) > 0)
			;
		ends[i].events = 0;
	}
	p->now += 2 * TCP_MS;
	sl_tcp_tick(p->h.t, p->now);
	assert_int_equal(heard(), 0);
	for (uint32_t i = WAIT; i < ENDS; i++) {
		sl_tcp_abort(ends[i].c, p->now);
		ends[i].c = NULL;
	}
	for (last = 0, nb = 0; nb < WAIT; last = nb) {
		p->now += 2 * TCP_MS;
		sl_tcp_tick(p->h.t, p->now);
		nb = heard();
		assert_true(nb > last && nb - last <= 64);
	}
	end_all(p);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_ranges_of_a_byte),   cmocka_unit_test(test_large_beside_small),
	        cmocka_unit_test(test_readers_of_nothing), cmocka_unit_test(test_readers_of_nothing_large),
	        cmocka_unit_test(test_many_wait),
	};

	if (test_setup(argc, argv) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
