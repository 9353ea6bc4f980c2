/* What a segment may move that is not simply the next one: the window when it is an older one, TS.Recent when
 * its ACK is wrong or the rest was long, anything at all when it stands at the edge. */
#include "test_tcp_util.h"

#define MSS ((uint32_t)test_mss())

static uint8_t zeros[64 * MSS_MAX];

static void data_in(struct peer *p, uint32_t at, const char *text)
{
	peer_tx(p, F_ACK | F_PSH, p->seq + at, p->ack, text, (uint32_t)strlen(text));
	peer_drain(p);
}

static void write_out(struct peer *p, uint32_t n)
{
	assert_int_equal(sl_tcp_write(p->e.c, sl_span(zeros, n)), n);
	sl_tcp_flush(p->h.t, p->now);
}

static void connect_with_timestamps(struct peer *p)
{
	peer_init(p, NULL);
	p->ts = true;
	peer_connect(p);
}

/* ---- timestamps ---- */

/*
 * A segment whose ACK cannot be true, or that has none, is dropped (RFC 5961, 5) and leaves nothing behind: a
 * blind sender who hits the window could else put TS.Recent so far ahead that PAWS drops all that the true
 * peer sends, and feed the clock of the keep-alive.
 */
static void test_blind_timestamp(void **state)
{
	static const uint8_t flags[] = {F_ACK, 0, F_ACK | F_PSH};
	struct peer p;

	for (uint32_t i = 0; i < 3; i++) {
		uint32_t before = i < 2 ? 400 : 0; /* bytes that were there already */
		uint64_t heard;

		connect_with_timestamps(&p);
		data_in(&p, 0, "good");
		heard = p.now;
		peer_run(&p, TCP_S);
		p.ts_val += 0x60000000;
		peer_tx(&p, flags[i], p.seq + 4 - before, p.ack + 0x40000000, zeros, 1000);
		peer_drain(&p);
		assert_int_equal(sl_tcp_readable(p.e.c), 4);
		assert_int_equal(p.e.c->last_recv_us, heard);
		p.ts_val -= 0x60000000 - 1;
		data_in(&p, 4, "more");
		assert_int_equal(sl_tcp_readable(p.e.c), 8);
		peer_fini(&p);
	}
}

/*
 * Behind 24 days of silence the first segment is believed whatever its timestamp says (RFC 7323, 5.5). That
 * is TS.Recent from then on, whether or not the segment fills a gap: the second one would be dropped for
 * ever.
 */
static void test_timestamp_after_rest(void **state)
{
	struct peer p;

	for (uint32_t lost = 0; lost < 2; lost++) {
		connect_with_timestamps(&p);
		data_in(&p, 0, "before");
		p.now += 30 * UINT64_C(86400) * TCP_S;
		p.ts_val += 30U * 86400 * 1000; /* more than 2^31 ahead: it seems to lie behind */
		sl_tcp_tick(p.h.t, p.now);
		data_in(&p, lost > 0 ? 11 : 6, "after");
		p.now += TCP_S;
		p.ts_val += 1000;
		data_in(&p, lost > 0 ? 6 : 11, "again");
		assert_int_equal(sl_tcp_readable(p.e.c), 16);
		peer_fini(&p);
	}
}

/* ---- the peer's window ---- */

/*
 * An ACK that moves SND.UNA says where the window ends, also when its segment is one that was sent again and
 * so lies before the last one: with the old window the edge would move beyond what the peer takes.
 */
static void test_window_of_older_segment(void **state)
{
	struct peer p;
	struct seg s;

	peer_init(&p, NULL);
	peer_connect(&p);
	write_out(&p, 2 * MSS);
	peer_drain(&p);
	data_in(&p, 4, "behind"); /* what was before it is lost */
	s = (struct seg){.seq = p.seq,
	                 .ack = p.ack + 2 * MSS,
	                 .flags = F_ACK | F_PSH,
	                 .wnd = 100,
	                 .sport = p.sport,
	                 .dport = p.dport,
	                 .len = 4};
	peer_send(&p, &s); /* again; it has got all, and its user reads no more */
	peer_drain(&p);
	assert_int_equal(sl_tcp_unacked(p.e.c), 0);
	write_out(&p, 2 * MSS);
	while (peer_rx(&p))
		assert_true(seq_le(p.got.seq + p.got.len, p.ack + 2 * MSS + 100));
	peer_fini(&p);
}

/*
 * A peer that has no memory for what is in flight says so with a window of zero (Linux does since 6.6), and
 * answers what is sent again with the same. When the window opens the first of it goes at once, and the rest
 * as in any recovery: the timeout has doubled meanwhile, and says nothing of the path.
 */
static void test_window_shut_in_flight(void **state)
{
	struct peer p;

	peer_init(&p, NULL);
	peer_connect(&p);
	write_out(&p, 2 * MSS);
	assert_int_equal(peer_drain(&p), 2);
	peer_ack(&p, p.ack, 0, NULL, 0);
	for (uint32_t i = 0; i < 80; i++) {
		peer_run(&p, TCP_S);
		if (peer_drain(&p) > 0)
			peer_ack(&p, p.ack, 0, NULL, 0);
	}
	peer_drain(&p);
	assert_int_equal(p.e.err, 0);
	peer_ack(&p, p.ack, 65535, NULL, 0);
	sl_tcp_flush(p.h.t, p.now);
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.seq, p.ack);
	assert_true(p.got.len > 0);
	peer_none(&p);
	assert_true(tcp_timer_at(p.e.c, TCP_TMR_RTX) <= p.now + 2 * TCP_S);
	for (uint32_t i = 0; i < 20 && sl_tcp_unacked(p.e.c) > 0; i++) {
		peer_ack(&p, p.got.seq + p.got.len, 65535, NULL, 0);
		peer_run(&p, 10 * TCP_MS);
		while (peer_rx(&p))
			;
	}
	assert_int_equal(sl_tcp_unacked(p.e.c), 0);
	peer_fini(&p);
}

/* ---- our window ---- */

/*
 * A peer that has filled our window, and of that something was lost, has its SND.NXT right at the edge: there
 * its ACKs stand, and they count. A byte or a FIN there does not, nor an ACK behind it.
 */
static void test_ack_at_edge(void **state)
{
	struct sl_tcp_cfg tune = {.rx_buf_bytes = 4 * MSS};
	uint32_t edge;
	struct peer p;

	peer_init(&p, &tune);
	peer_connect(&p);
	write_out(&p, 2 * MSS);
	peer_drain(&p);
	edge = p.e.c->rcv_adv;
	for (uint32_t at = p.seq + MSS; seq_lt(at, edge); at += MSS) /* the first is lost */
		peer_tx(&p, F_ACK, at, p.ack, zeros, u32_min(MSS, edge - at));
	peer_drain(&p);
	peer_tx(&p, F_ACK, edge + 1, p.ack + MSS, NULL, 0);
	assert_int_equal(p.e.c->snd_una, p.ack);
	peer_tx(&p, F_ACK | F_FIN, edge, p.ack + MSS, NULL, 0);
	assert_int_equal(p.e.c->snd_una, p.ack);
	peer_tx(&p, F_ACK, edge, p.ack + MSS, "x", 1);
	assert_int_equal(p.e.c->snd_una, p.ack);
	peer_tx(&p, F_ACK, edge, p.ack + 2 * MSS, NULL, 0);
	assert_int_equal(sl_tcp_unacked(p.e.c), 0);
	peer_drain(&p);
	peer_tx(&p, F_RST, edge, 0, NULL, 0); /* never more than a question (RFC 5961, 3.2) */
	assert_int_equal(p.e.err, 0);
	peer_drain(&p);
	peer_fini(&p);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_blind_timestamp),
	        cmocka_unit_test(test_timestamp_after_rest),
	        cmocka_unit_test(test_window_of_older_segment),
	        cmocka_unit_test(test_window_shut_in_flight),
	        cmocka_unit_test(test_ack_at_edge),
	};

	if (test_setup(argc, argv) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
