/* Paths that let packets overtake each other: when a gap is told to the peer, and when not. */
#include "tcp_reseq.h"
#include "test_tcp_util.h"

/* A segment of `text`, sent `ts` ms after the first one. */
static void put_at(struct peer *p, uint32_t at, const char *text, uint32_t ts)
{
	uint32_t base = p->ts_val;

	p->ts_val += ts;
	peer_tx(p, F_ACK | F_PSH, p->seq + at, p->ack, text, (uint32_t)strlen(text));
	p->ts_val = base;
}

static void expect_ack(struct peer *p, uint32_t at, uint32_t nb_sack)
{
	assert_true(peer_rx(p));
	assert_int_equal(p->got.ack, p->seq + at);
	assert_int_equal(p->got.len, 0);
	assert_int_equal(p->got.o.nb_sack, p->sack ? nb_sack : 0);
}

static void start(struct peer *p, bool ts, bool sack)
{
	peer_init(p, NULL);
	p->ts = ts;
	p->sack = sack;
	peer_connect(p);
}

/* The next two bytes, the second first; the first was sent before it. Told: the peer hears of the gap. */
static void overtaken(struct peer *p, bool told)
{
	put_at(p, 1, "b", 1);
	if (told)
		expect_ack(p, 0, 1);
	peer_none(p);
	put_at(p, 0, "a", 0);
	expect_ack(p, 2, 0);
	peer_none(p);
	p->seq += 2;
	p->ts_val++;
}

static void learn(struct peer *p)
{
	for (uint32_t i = 0; i < TCP_LATE_LEAST; i++)
		overtaken(p, true);
}

/* What is filled by something older was only late; then such gaps are nobody's business. */
static void test_learned(void **state)
{
	for (int sack = 0; sack < 2; sack++) {
		struct peer p;

		start(&p, true, sack == 1);
		learn(&p);
		for (uint32_t i = 0; i < 2 * TCP_LATE_MOST; i++)
			overtaken(&p, false);
		assert_int_equal(p.e.c->late, TCP_LATE_MOST);
		assert_int_equal(tcp_timer_at(p.e.c, TCP_TMR_RESEQ), 0);
		peer_run(&p, 100 * TCP_MS);
		peer_none(&p);
		peer_fini(&p);
	}
}

/* Lost bytes come again with a newer timestamp: nothing is learned from them, however often. */
static void test_losses_teach_nothing(void **state)
{
	struct peer p;

	start(&p, true, true);
	for (uint32_t i = 0; i < 50; i++) {
		put_at(&p, 1, "b", 0);
		expect_ack(&p, 0, 1);
		put_at(&p, 2, "c", 1);
		expect_ack(&p, 0, 1);
		put_at(&p, 0, "a", 1); /* in the same tick as the last one */
		expect_ack(&p, 3, 0);
		p.seq += 3;
		p.ts_val++;
	}
	assert_int_equal(p.e.c->late, 0);
	peer_fini(&p);
}

/* A gap that stays open is told within two milliseconds, and from then on as ever; it counts against what was
 * learned. */
static void test_lost_after_all(void **state)
{
	struct peer p;
	uint64_t us = 0;

	start(&p, true, true);
	learn(&p);
	overtaken(&p, false);
	overtaken(&p, false);
	assert_int_equal(p.e.c->late, 4);
	put_at(&p, 2, "c", 1);
	put_at(&p, 3, "d", 1);
	put_at(&p, 5, "f", 1);
	peer_none(&p);
	for (; !peer_rx(&p); us += TCP_MS / 4)
		peer_run(&p, TCP_MS / 4);
	assert_in_range(us, TCP_RESEQ - TCP_MS / 4, TCP_RESEQ + TCP_MS);
	assert_int_equal(p.got.ack, p.seq);
	assert_int_equal(p.got.o.nb_sack, 2);
	assert_int_equal(p.got.o.sack[0].start, p.seq + 5);
	assert_int_equal(p.got.o.sack[1].start, p.seq + 2);
	assert_int_equal(p.got.o.sack[1].end, p.seq + 4);
	assert_int_equal(p.e.c->late, 2);
	put_at(&p, 7, "h", 1); /* each one that follows says it again */
	expect_ack(&p, 0, 3);
	put_at(&p, 0, "a", 2); /* sent again: of what lies behind, the peer knows, and hears on */
	expect_ack(&p, 1, 3);
	put_at(&p, 8, "i", 2);
	expect_ack(&p, 1, 3);
	put_at(&p, 1, "b", 2);
	expect_ack(&p, 4, 2);
	put_at(&p, 4, "e", 0); /* but this one was late, and so may be the next */
	expect_ack(&p, 6, 0);
	put_at(&p, 6, "g", 0);
	expect_ack(&p, 9, 0);
	peer_run(&p, 100 * TCP_MS);
	peer_none(&p);
	peer_fini(&p);
}

/* On a path that only loses, what was once learned goes away. */
static void test_forgotten(void **state)
{
	struct peer p;

	start(&p, true, true);
	learn(&p);
	for (uint32_t left = TCP_LATE_LEAST; left > 0; left /= 2) {
		bool told = left < TCP_LATE_LEAST;

		put_at(&p, 1, "b", 0);
		if (!told)
			peer_run(&p, 2 * TCP_MS);
		expect_ack(&p, 0, 1);
		put_at(&p, 0, "a", 3);
		expect_ack(&p, 2, 0);
		p.seq += 2;
		p.ts_val += 3;
	}
	assert_int_equal(p.e.c->late, TCP_LATE_LEAST / 2);
	peer_fini(&p);
}

/* Two gaps: the second has its own time, from when it is the one in front. */
static void test_next_gap(void **state)
{
	struct peer p;

	start(&p, true, true);
	learn(&p);
	put_at(&p, 1, "b", 1);
	put_at(&p, 3, "d", 1);
	peer_none(&p);
	peer_run(&p, TCP_RESEQ - TCP_MS / 2);
	put_at(&p, 0, "a", 0);
	expect_ack(&p, 2, 0);
	peer_run(&p, TCP_RESEQ - 1);
	peer_none(&p);
	put_at(&p, 2, "c", 0);
	expect_ack(&p, 4, 0);
	peer_run(&p, 100 * TCP_MS);
	peer_none(&p);
	peer_fini(&p);
}

/* What is written meanwhile carries an ACK that says nothing of the gap, and gives it no more time. */
static void test_writes_meanwhile(void **state)
{
	struct peer p;
	uint64_t us = 0;

	start(&p, true, true);
	learn(&p);
	put_at(&p, 1, "b", 1);
	for (bool told = false; !told; us += TCP_MS / 4) {
		peer_run(&p, TCP_MS / 4);
		assert_int_equal(sl_tcp_write(p.e.c, sl_span("x", 1)), 1);
		sl_tcp_flush(p.h.t, p.now);
		while (peer_rx(&p)) {
			assert_int_equal(p.got.ack, p.seq);
			told = told || p.got.o.nb_sack == 1;
		}
	}
	assert_in_range(us, TCP_RESEQ - TCP_MS / 4, TCP_RESEQ + 2 * TCP_MS);
	peer_fini(&p);
}

/* A duplicate is reported when that says nothing of a gap that is not told. */
static void test_duplicates(void **state)
{
	struct peer p;

	start(&p, true, true);
	learn(&p);
	put_at(&p, 2, "c", 1);
	put_at(&p, 2, "c", 1); /* behind the gap */
	peer_none(&p);
	put_at(&p, -1U, "z", 1); /* in front of it */
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.o.nb_sack, 1);
	assert_int_equal(p.got.o.sack[0].start, p.seq - 1);
	put_at(&p, 0, "ab", 0);
	expect_ack(&p, 3, 0);
	peer_fini(&p);
}

/* Without timestamps: bytes that come again behind a gap were late, or sent again because they seemed lost. A
 * single byte may be a keep-alive, and what comes twice without a gap is another thing. */
static void test_without_timestamps(void **state)
{
	struct peer p;

	start(&p, false, true);
	put_at(&p, 0, "abcd", 0);
	for (uint32_t i = 0; i < 5; i++)
		put_at(&p, 0, "abcd", 0);
	assert_int_equal(p.e.c->late, 0);
	p.seq += 4;
	for (uint32_t i = 0; i < TCP_LATE_LEAST; i++) {
		peer_drain(&p);
		put_at(&p, 2, "cd", 0);
		expect_ack(&p, 0, 1);
		put_at(&p, 0, "ab", 0);
		put_at(&p, 3, "d", 0);
		assert_int_equal(p.e.c->late, i);
		for (int k = 0; k < 3; k++)
			put_at(&p, 0, "ab", 0);
		p.seq += 4;
	}
	assert_int_equal(p.e.c->late, TCP_LATE_LEAST);
	peer_drain(&p);
	put_at(&p, 2, "gh", 0);
	peer_none(&p);
	put_at(&p, 0, "ef", 0);
	expect_ack(&p, 4, 0);
	peer_fini(&p);
}

/* The end of the stream, in front of its last bytes. */
static void test_fin(void **state)
{
	struct peer p;

	start(&p, true, true);
	learn(&p);
	peer_tx(&p, F_ACK | F_FIN, p.seq + 1, p.ack, "b", 1);
	peer_none(&p);
	put_at(&p, 0, "a", 0);
	expect_ack(&p, 3, 0);
	assert_true(p.e.events & SL_TCP_EV_EOF);
	p.seq += 3;
	peer_fini(&p);
}

/* ---- the sender's part: how long RACK waits for what may only be late ---- */

static void write_segment(struct peer *p)
{
	static const uint8_t zeros[MSS_MAX];

	assert_int_equal(sl_tcp_write(p->e.c, sl_span(zeros, test_mss())), test_mss());
	sl_tcp_flush(p->h.t, p->now);
	peer_drain(p);
}

/*
 * One segment comes late_us after the next one, which takes rtt_us there and back; each round trip one more
 * is sent and SACKed. Returns whether the late one was sent again, which the peer tells by a D-SACK.
 */
static bool late_segment(struct peer *p, uint32_t rtt_us, uint32_t late_us)
{
	uint32_t head = p->e.c->snd_nxt, mss = test_mss();
	struct tcp_range r = {head + mss, head + mss};
	bool again = false;

	write_segment(p);
	for (uint32_t at = 0; at < late_us; at += rtt_us) {
		write_segment(p);
		p->now += rtt_us;
		r.end = p->e.c->snd_nxt;
		peer_ack(p, head, 65535, &r, 1);
		while (peer_rx(p))
			again = again || (p->got.len > 0 && p->got.seq == head);
	}
	peer_ack(p, r.end, 65535, NULL, 0);
	write_segment(p);
	if (again)
		peer_ack(p, r.end, 65535, &(struct tcp_range){head, head + mss}, 1);
	p->now += rtt_us;
	peer_ack(p, p->e.c->snd_nxt, 65535, NULL, 0);
	peer_drain(p);
	return again;
}

/* How many of 40 segments that come late are sent again, and how many of the last ten. */
static void count_again(uint32_t rtt_us, uint32_t late_us, uint32_t *all, uint32_t *last)
{
	struct peer p;

	*all = *last = 0;
	start(&p, false, true);
	p.e.c->srtt_us = 0;
	tcp_rtt_sample(p.e.c, rtt_us);
	assert_false(late_segment(&p, rtt_us, 1)); /* late, but not by much */
	assert_true(p.e.c->rack.reordering);
	for (uint32_t i = 0; i < 40; i++) {
		bool again = late_segment(&p, rtt_us, late_us);

		*all += again;
		*last += again && i >= 30;
	}
	peer_fini(&p);
}

/* On a short path several round trips are waited for; on a long one at most one (RFC 8985, 6.2). */
static void test_sender_waits(void **state)
{
	uint32_t all, last;

	count_again(100, 500, &all, &last);
	assert_in_range(all, 1, 10);
	assert_int_equal(last, 0);
	count_again(500, 3 * TCP_REO_NEAR_MAX, &all, &last);
	assert_int_equal(all, 40);
	count_again(50 * TCP_MS, 200 * TCP_MS, &all, &last);
	assert_int_equal(all, 40);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_learned),
	        cmocka_unit_test(test_losses_teach_nothing),
	        cmocka_unit_test(test_lost_after_all),
	        cmocka_unit_test(test_forgotten),
	        cmocka_unit_test(test_next_gap),
	        cmocka_unit_test(test_writes_meanwhile),
	        cmocka_unit_test(test_duplicates),
	        cmocka_unit_test(test_without_timestamps),
	        cmocka_unit_test(test_fin),
	        cmocka_unit_test(test_sender_waits),
	};

	if (test_setup(argc, argv) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
