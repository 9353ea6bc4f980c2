/* A timeout or a recovery that was for nothing is found out and taken back, and one that was not stays. */
#include "test_tcp_util.h"

#define SEG       ((uint32_t)tcp_smss(p->e.c))
#define FLIGHT    10U /* the initial window */
#define QUEUED    14U
#define RTT       (100 * TCP_MS)
#define UNLIMITED (1U << 30) /* no loss has set ssthresh */

static uint8_t zeros[QUEUED * MSS_MAX];

/* The initial window is in flight, four segments wait. */
static void begin(struct peer *p, bool timestamps, bool sack)
{
	peer_init(p, NULL);
	p->ts = timestamps;
	p->sack = sack;
	peer_connect(p);
	p->e.c->srtt_us = 0;
	tcp_rtt_sample(p->e.c, RTT);
	assert_int_equal(sl_tcp_write(p->e.c, sl_span(zeros, QUEUED * SEG)), QUEUED * SEG);
	sl_tcp_flush(p->h.t, p->now);
	assert_int_equal(peer_drain(p), FLIGHT);
	assert_int_equal(p->e.c->cwnd, FLIGHT * SEG);
	p->ts_ecr = p->got.o.ts_val;
}

static void ack_segs(struct peer *p, uint32_t n)
{
	p->ack += n * SEG;
	peer_tx(p, F_ACK, p->seq, p->ack, NULL, 0);
}

static void next_is(struct peer *p, uint32_t at)
{
	assert_true(peer_rx(p));
	assert_int_equal(p->got.seq, at);
	assert_int_equal(p->got.len, SEG);
}

/* Nothing is heard; the first segment goes again. Without SACK nothing probes before. */
static void time_out(struct peer *p)
{
	peer_run(p, tcp_rto(p->e.c) + 2 * TCP_MS);
	assert_int_equal(p->e.c->ca_state, TCP_CA_LOSS);
	assert_int_equal(p->e.c->cwnd, SEG);
	next_is(p, p->ack);
	peer_none(p);
}

/* The window is that of before, nothing is taken for lost, and what goes is new. */
static void was_spurious(struct peer *p)
{
	assert_int_equal(p->e.c->ca_state, TCP_CA_OPEN);
	assert_in_range(p->e.c->cwnd, FLIGHT * SEG, FLIGHT * SEG + 2 * SEG);
	assert_int_equal(p->e.c->ssthresh, UNLIMITED);
	assert_int_equal(p->e.c->board.lost_bytes, 0);
	assert_int_equal(p->e.c->retransmits, 1);
	while (peer_rx(p))
		assert_true(seq_le(p->iss + 1 + FLIGHT * SEG, p->got.seq));
}

static void the_end(struct peer *p)
{
	p->now += RTT;
	p->ack = p->e.c->snd_nxt;
	peer_tx(p, F_ACK, p->seq, p->ack, NULL, 0);
	assert_int_equal(p->e.c->ca_state, TCP_CA_OPEN);
	peer_drain(p);
	peer_fini(p);
}

/* RFC 5682, 2.1: behind the first ACK new data is tried; the next ACK is for what was sent once only. */
static void test_frto(void **state)
{
	struct peer peer, *p = &peer;

	begin(p, false, false);
	time_out(p);
	ack_segs(p, 1);
	assert_int_equal(p->e.c->ca_state, TCP_CA_LOSS);
	next_is(p, p->ack + 9 * SEG);
	next_is(p, p->ack + 10 * SEG);
	peer_none(p);
	ack_segs(p, 1);
	was_spurious(p);
	the_end(p);
}

/* Or the next one is a duplicate: the loss was real, and what seems lost goes again. */
static void test_frto_real(void **state)
{
	struct peer peer, *p = &peer;

	begin(p, false, false);
	time_out(p);
	ack_segs(p, 1);
	assert_int_equal(peer_drain(p), 2);
	ack_segs(p, 0);
	assert_int_equal(p->e.c->ca_state, TCP_CA_LOSS);
	assert_int_equal(p->e.c->ssthresh, 7 * SEG);
	next_is(p, p->ack);
	peer_none(p);
	ack_segs(p, 0);
	next_is(p, p->ack + SEG);
	assert_int_equal(p->e.c->retransmits, 3);
	peer_drain(p);
	the_end(p);
}

/* With nothing new to send there is nothing to try (2.1, 2.b): slow start, as after any timeout. */
static void test_frto_nothing_new(void **state)
{
	struct peer peer, *p = &peer;

	begin(p, false, false);
	ack_segs(p, 4); /* the four that waited go, nothing is left */
	assert_int_equal(peer_drain(p), QUEUED - FLIGHT);
	time_out(p);
	ack_segs(p, 1);
	next_is(p, p->ack);
	next_is(p, p->ack + SEG);
	peer_none(p);
	assert_int_equal(p->e.c->cwnd, 2 * SEG);
	the_end(p);
}

/* RFC 3522: the ACK echoes the time of the first transmission, or of the second. */
static void timestamps(bool of_the_first)
{
	struct peer peer, *p = &peer;
	uint32_t first;

	begin(p, true, false);
	first = p->ts_ecr;
	time_out(p);
	assert_true(seq_lt(first, p->got.o.ts_val));
	p->ts_ecr = of_the_first ? first : p->got.o.ts_val;
	ack_segs(p, 1);
	if (of_the_first)
		was_spurious(p);
	else
		assert_int_equal(p->e.c->ca_state, TCP_CA_LOSS);
	peer_drain(p);
	the_end(p);
}

static void test_timestamps(void **state)
{
	timestamps(true);
	timestamps(false);
}

static void sack(struct peer *p, uint32_t from, uint32_t to)
{
	struct tcp_range r = {p->iss + 1 + from * SEG, p->iss + 1 + to * SEG};

	peer_ack(p, p->ack, UINT16_MAX, &r, 1);
}

/* RFC 3708: all that was sent again had arrived already, one duplicate less, and the reduction stays. */
static void duplicates(uint32_t nb)
{
	struct peer peer, *p = &peer;
	uint32_t reduced;

	begin(p, false, true);
	p->now += RTT;
	sack(p, 4, FLIGHT); /* the first four were overtaken, by far */
	assert_int_equal(p->e.c->ca_state, TCP_CA_RECOVERY);
	peer_run(p, RTT / 2);
	peer_drain(p);
	assert_int_equal(p->e.c->retransmits, 4);
	p->ack = p->e.c->snd_nxt;
	peer_ack(p, p->ack, UINT16_MAX, NULL, 0);
	assert_int_equal(p->e.c->ca_state, TCP_CA_OPEN);
	reduced = p->e.c->cwnd;
	assert_true(reduced < FLIGHT * SEG);
	sack(p, 0, nb);
	if (nb == 4)
		assert_in_range(p->e.c->cwnd, FLIGHT * SEG, FLIGHT * SEG + 2 * SEG);
	else
		assert_int_equal(p->e.c->cwnd, reduced);
	assert_int_equal(p->e.c->ssthresh == UNLIMITED, nb == 4);
	peer_drain(p);
	peer_fini(p);
}

static void test_duplicates(void **state)
{
	duplicates(4);
	duplicates(3);
}

/* RFC 8985, 6.2, step 4: the first duplicate already says that the window for reordering is too small. */
static void test_first_duplicate(void **state)
{
	for (uint32_t nb = 0; nb < 2; nb++) {
		struct peer peer, *p = &peer;
		uint64_t due;

		begin(p, false, true);
		p->now += RTT;
		ack_segs(p, 1);
		if (nb > 0)
			sack(p, 0, 1);
		sack(p, 2, 3);
		due = p->now + (1 + nb) * RTT / 4;
		assert_int_equal(p->e.c->loss_timer, TCP_LOSS_REO);
		assert_in_range(tcp_timer_at(p->e.c, TCP_TMR_LOSS), due, due + TCP_MS);
		peer_drain(p);
		peer_fini(p);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_frto),
	        cmocka_unit_test(test_frto_real),
	        cmocka_unit_test(test_frto_nothing_new),
	        cmocka_unit_test(test_timestamps),
	        cmocka_unit_test(test_duplicates),
	        cmocka_unit_test(test_first_duplicate),
	};

	if (test_setup(argc, argv) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
