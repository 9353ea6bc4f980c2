/* When and how much is sent: the timeout, the probe in its place, growth of the window, PSH; RSTs. */
#include "test_tcp_util.h"

#define MSS      ((uint32_t)test_mss())
#define RTT      100000U
#define IW       (10 * (uint32_t)test_mss())
#define WND      65535
#define NB_LATER 5 /* round trips that change nothing more */

static uint8_t zeros[16 * MSS_MAX];

static void write_out(struct peer *p, uint32_t n)
{
	assert_int_equal(sl_tcp_write(p->e.c, sl_span(zeros, n)), n);
	sl_tcp_flush(p->h.t, p->now);
}

static void ack_in(struct peer *p, uint32_t ack, uint16_t wnd)
{
	struct seg s = {
	        .seq = p->seq, .ack = ack, .flags = F_ACK, .wnd = wnd, .sport = p->sport, .dport = p->dport};

	peer_send(p, &s);
}

/* The round-trip time is `us`. */
static void rtt_is(struct peer *p, uint32_t us)
{
	p->e.c->srtt_us = 0;
	tcp_rtt_sample(p->e.c, us);
}

/* The peer has [from, to) of what it waits for. */
static void sack_in(struct peer *p, uint32_t from, uint32_t to)
{
	struct seg s = {.seq = p->seq,
	                .ack = p->ack,
	                .flags = F_ACK,
	                .wnd = WND,
	                .sport = p->sport,
	                .dport = p->dport,
	                .nb_opts = 12,
	                .opts = {1, 1, 5, 10}};

	sl_put_be32(s.opts + 4, p->ack + from);
	sl_put_be32(s.opts + 8, p->ack + to);
	peer_send(p, &s);
}

/* A round trip of n bytes. */
static void round_trip(struct peer *p, uint32_t n)
{
	write_out(p, n);
	assert_true(peer_drain(p) > 0);
	p->now += RTT;
	p->ack += n;
	ack_in(p, p->ack, WND);
}

static void connect_with(struct peer *p, bool sack)
{
	peer_init(p, NULL);
	p->sack = sack;
	peer_connect(p);
}

/* The minimum is of the part for the variance (RFC 6298, 2.3, with its G): it is not SRTT alone that is
 * waited for. */
static void test_rto(void **state)
{
	struct peer p;

	connect_with(&p, false);
	for (int i = 0; i < NB_LATER * 8; i++)
		round_trip(&p, MSS);
	assert_in_range(p.e.c->srtt_us, RTT - RTT / 50, RTT);
	assert_true(4 * p.e.c->rttvar_us < TCP_RTO_MIN);
	assert_int_equal(p.e.c->rto_us, p.e.c->srtt_us + TCP_RTO_MIN);
	peer_fini(&p);
}

/* A lone segment's probe would come behind the timeout: it comes in its place, and the timeout after it (RFC
 * 8985, 7.2). */
static void test_probe_for_timeout(void **state)
{
	struct peer p;
	uint32_t rto;

	connect_with(&p, true);
	round_trip(&p, MSS);
	rto = p.e.c->rto_us;
	assert_true(2 * p.e.c->srtt_us + TCP_TLP_ACK_DELAY > rto);
	write_out(&p, 10);
	assert_int_equal(peer_drain(&p), 1);
	peer_run(&p, rto - 1000);
	peer_none(&p);
	peer_run(&p, 3000);
	assert_int_equal(peer_drain(&p), 1);
	assert_true(p.e.c->tlp_open);
	assert_int_equal(p.e.c->ca_state, TCP_CA_OPEN);
	assert_int_equal(p.e.c->rto_shift, 0);
	peer_run(&p, rto - 5000);
	peer_none(&p);
	peer_run(&p, 5000);
	assert_int_equal(peer_drain(&p), 1);
	assert_int_equal(p.e.c->ca_state, TCP_CA_LOSS);
	peer_run(&p, 2 * rto - 5000);
	peer_none(&p);
	peer_run(&p, 8000);
	assert_int_equal(peer_drain(&p), 1);
	peer_fini(&p);
}

/* What a probe of a silence on a path of `rtt` is, and that after the probes the timeout comes. */
static void probes(uint32_t rtt, bool in_recovery, uint32_t want)
{
	struct peer p;
	uint32_t nb = 0, at = 0;

	connect_with(&p, true);
	rtt_is(&p, rtt);
	write_out(&p, 14 * MSS);
	assert_true(peer_drain(&p) > 0); /* the window: 10 segments */
	p.now += rtt;
	if (in_recovery) {
		sack_in(&p, MSS, 4 * MSS); /* the first is lost; so is what is sent again, or its ACK */
		assert_int_equal(p.e.c->ca_state, TCP_CA_RECOVERY);
		assert_true(peer_drain(&p) > 0);
	}
	for (; p.e.c->ca_state != TCP_CA_LOSS; at += 1000) {
		assert_true(at < TCP_S);
		peer_run(&p, 1000);
		if (p.e.c->ca_state != TCP_CA_LOSS && peer_rx(&p)) {
			nb++;
			assert_int_equal(p.got.len, MSS);
			/* New data, and at once an answer to it. */
			if (rtt < RTT && seq_lt(p.ack + 9 * MSS, p.got.seq))
				assert_int_equal((p.got.flags & F_PSH) != 0, in_recovery);
		}
	}
	assert_int_equal(nb, want);
	peer_fini(&p);
}

/* RFC 8985, 7, and beyond where time is short: in recovery, too, and more than one. */
static void test_probes(void **state)
{
	probes(RTT, false, 1);
	probes(RTT, true, 0);
	probes(300, false, 1);
	probes(300, true, TCP_TLP_MAX);
}

/* With one segment in flight and more waiting, nothing is gained by waiting for a delayed ACK. */
static void test_probe_of_lone_segment(void **state)
{
	struct peer p;

	connect_with(&p, true);
	rtt_is(&p, 300);
	p.e.c->cwnd = MSS;
	write_out(&p, 2 * MSS);
	assert_int_equal(peer_drain(&p), 1);
	peer_run(&p, 3000);
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.seq, p.ack + MSS);
	p.now += 300;
	ack_in(&p, p.ack + 2 * MSS, WND); /* only the ACK was lost: the window stays */
	assert_int_equal(p.e.c->ca_state, TCP_CA_OPEN);
	assert_true(p.e.c->cwnd >= MSS);
	peer_run(&p, TCP_S);
	peer_none(&p);
	write_out(&p, MSS); /* nothing waits behind it */
	assert_int_equal(peer_drain(&p), 1);
	peer_run(&p, TCP_TLP_ACK_DELAY / 2);
	peer_none(&p);
	peer_fini(&p);
}

/* In slow start the window grows while more than half of it is in flight (RFC 7661), else not. */
static void test_growth(void **state)
{
	struct peer p;

	connect_with(&p, true);
	assert_int_equal(p.e.c->cwnd, IW);
	for (int i = 0; i < NB_LATER; i++)
		round_trip(&p, 5 * MSS);
	assert_int_equal(p.e.c->cwnd, IW);
	round_trip(&p, 6 * MSS);
	assert_int_equal(p.e.c->cwnd, IW + 6 * MSS);
	round_trip(&p, 6 * MSS);
	assert_int_equal(p.e.c->cwnd, IW + 6 * MSS);
	peer_fini(&p);
}

/* The ACK that ends a timeout is one of slow start: the window was one segment. */
static void test_growth_after_timeout(void **state)
{
	struct peer p;

	connect_with(&p, false);
	round_trip(&p, MSS);
	write_out(&p, MSS);
	assert_int_equal(peer_drain(&p), 1);
	peer_run(&p, p.e.c->rto_us + 2000);
	assert_int_equal(peer_drain(&p), 1);
	assert_int_equal(p.e.c->cwnd, MSS);
	p.now += RTT;
	ack_in(&p, p.ack + MSS, WND);
	assert_int_equal(p.e.c->ca_state, TCP_CA_OPEN);
	assert_int_equal(p.e.c->cwnd, 2 * MSS);
	assert_int_equal(p.e.c->ssthresh, 7 * MSS);
	write_out(&p, 4 * MSS);
	assert_int_equal(peer_drain(&p), p.wire.nb_super > 0 ? 1 : 2);
	peer_fini(&p);
}

/* What one packet held is sent again as few, where the port cuts them; each segment once, and counted. */
static void test_lost_packet(void **state)
{
	struct peer p;
	uint64_t nb_super;

	connect_with(&p, true);
	round_trip(&p, MSS);
	write_out(&p, 4 * MSS);
	assert_int_equal(peer_drain(&p), 4);
	write_out(&p, 6 * MSS);
	assert_int_equal(peer_drain(&p), 6);
	p.now += RTT;
	nb_super = p.wire.nb_super;
	sack_in(&p, 4 * MSS, 10 * MSS);
	sl_tcp_flush(p.h.t, p.now);
	for (uint32_t i = 0; i < 4; i++) {
		assert_true(peer_rx(&p));
		assert_int_equal(p.got.seq, p.ack + i * MSS);
		assert_int_equal(p.got.len, MSS);
	}
	peer_none(&p);
	assert_int_equal(p.wire.nb_super - nb_super, test.offload ? 1 : 0); /* half a window: 3 */
	assert_int_equal(p.e.c->retransmits, 4);
	assert_int_equal(p.e.c->undo.nb_rxt, 4);
	assert_int_equal(tcp_pipe(p.e.c), 4 * MSS);
	p.now += RTT;
	sack_in(&p, 2 * MSS, 10 * MSS); /* of the three the third arrives */
	assert_int_equal(tcp_pipe(p.e.c), 2 * MSS);
	p.ack += 10 * MSS;
	ack_in(&p, p.ack, WND);
	assert_int_equal(p.e.c->ca_state, TCP_CA_OPEN);
	assert_int_equal(tcp_pipe(p.e.c), 0);
	peer_fini(&p);
}

/* While the peer's window is shut nothing can be sent, and no window decays; when it opens, it has. */
static void test_shut_is_not_idle(void **state)
{
	struct peer p;
	uint32_t cwnd;

	connect_with(&p, true);
	round_trip(&p, 10 * MSS);
	cwnd = p.e.c->cwnd;
	assert_int_equal(cwnd, 2 * IW);
	ack_in(&p, p.ack, 0);
	write_out(&p, 4 * MSS);
	peer_run(&p, 3 * TCP_S);
	assert_true(peer_drain(&p) > 0); /* probes */
	assert_int_equal(p.e.c->cwnd, cwnd);
	ack_in(&p, p.ack, WND);
	assert_true(peer_rx(&p));
	assert_int_equal(p.e.c->cwnd, IW);
	peer_drain(&p);
	peer_fini(&p);
}

/* Only the end of what was written, where each segment is a packet. */
static void test_psh(void **state)
{
	struct peer p;
	uint32_t at = 0;

	connect_with(&p, true);
	write_out(&p, 4 * MSS);
	while (peer_rx(&p)) {
		at += p.got.len;
		if (p.got.len <= MSS)
			assert_int_equal((p.got.flags & F_PSH) != 0, at == 4 * MSS);
	}
	assert_int_equal(at, 4 * MSS);
	sl_tcp_set_more(p.e.c, true);
	write_out(&p, 10);
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.flags, F_ACK);
	sl_tcp_set_more(p.e.c, false);
	write_out(&p, 10);
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.flags, F_ACK | F_PSH);
	peer_fini(&p);
}

/* With a timestamp where timestamps were agreed (RFC 7323, 3.2), none without. */
static void test_rst_timestamp(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct peer p;

		peer_init(&p, NULL);
		p.ts = i == 1;
		peer_connect(&p);
		sl_tcp_abort(p.e.c, p.now);
		p.e.c = NULL;
		assert_true(peer_rx(&p));
		assert_int_equal(p.got.flags, F_RST | F_ACK);
		assert_int_equal(p.got.o.has_ts, i == 1);
		if (i == 1)
			assert_int_equal(p.got.o.ts_ecr, p.ts_val);
		peer_fini(&p);
	}
}

/* Neither offered nor taken. */
static void test_no_timestamps(void **state)
{
	struct sl_tcp_cfg tune = {.no_timestamps = true};
	struct peer p;

	peer_init(&p, &tune);
	p.ts = true;
	peer_connect(&p);
	assert_false(p.e.c->ts_ok);
	write_out(&p, 10);
	assert_true(peer_rx(&p));
	assert_false(p.got.o.has_ts);
	peer_fini(&p);

	peer_init(&p, &tune);
	peer_accept(&p);
	assert_false(p.e.c->ts_ok);
	peer_fini(&p);
}

/* A small segment waits for the ACK of the one before it, a full one does not (RFC 9293, 3.7.4). */
static void test_nagle(void **state)
{
	struct peer p;

	connect_with(&p, true);
	sl_tcp_set_nodelay(p.e.c, false);
	write_out(&p, 10);
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.len, 10);
	write_out(&p, 20);
	peer_none(&p);
	write_out(&p, MSS);
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.len, MSS);
	peer_none(&p);
	p.ack += 10;
	ack_in(&p, p.ack, WND); /* of the small one */
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.len, 20);
	write_out(&p, 30);
	peer_none(&p);
	sl_tcp_set_nodelay(p.e.c, true);
	sl_tcp_flush(p.h.t, p.now);
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.len, 30);
	peer_fini(&p);
}

/* What is corked goes in full segments, the rest when the cork is off, or with the FIN. */
static void cork(bool shut)
{
	struct peer p;

	connect_with(&p, true);
	sl_tcp_set_cork(p.e.c, true);
	write_out(&p, 10);
	peer_none(&p);
	write_out(&p, MSS);
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.len, MSS);
	peer_none(&p);
	if (shut)
		sl_tcp_shutdown(p.e.c);
	else
		sl_tcp_set_cork(p.e.c, false);
	sl_tcp_flush(p.h.t, p.now);
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.len, 10);
	assert_int_equal(p.got.flags & F_FIN, shut ? F_FIN : 0);
	peer_fini(&p);
}

static void test_cork(void **state)
{
	cork(false);
	cork(true);
}

/* The sender's silly window (RFC 9293, 3.8.6.2.1): a crumb of a large window goes after the persist timer
 * only. */
static void test_crumb(void **state)
{
	struct peer p;

	connect_with(&p, true);
	round_trip(&p, MSS);
	ack_in(&p, p.ack, 100);
	write_out(&p, MSS);
	peer_run(&p, p.e.c->rto_us - 2000);
	peer_none(&p);
	peer_run(&p, 4000);
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.len, 100);
	peer_none(&p);
	peer_fini(&p);
}

/* RFC 5482: the end comes by the clock, however often was tried; and not while probes are answered. */
static void test_user_timeout(void **state)
{
	struct peer p;

	connect_with(&p, true);
	round_trip(&p, MSS);
	sl_tcp_set_user_timeout(p.e.c, 3000);
	ack_in(&p, p.ack, 0);
	write_out(&p, 10);
	for (int i = 0; i < 10; i++) {
		peer_run(&p, TCP_S);
		peer_drain(&p);
		ack_in(&p, p.ack, 0);
	}
	assert_int_equal(p.e.err, 0);
	peer_run(&p, 3 * TCP_S - 10000);
	assert_int_equal(p.e.err, 0);
	peer_run(&p, 20000);
	assert_int_equal(p.e.err, SL_E_TCP_TIMEOUT);
	peer_drain(&p);
	peer_fini(&p);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_rto),           cmocka_unit_test(test_probe_for_timeout),
	        cmocka_unit_test(test_probes),        cmocka_unit_test(test_probe_of_lone_segment),
	        cmocka_unit_test(test_growth),        cmocka_unit_test(test_growth_after_timeout),
	        cmocka_unit_test(test_lost_packet),   cmocka_unit_test(test_shut_is_not_idle),
	        cmocka_unit_test(test_psh),           cmocka_unit_test(test_rst_timestamp),
	        cmocka_unit_test(test_no_timestamps), cmocka_unit_test(test_nagle),
	        cmocka_unit_test(test_cork),          cmocka_unit_test(test_crumb),
	        cmocka_unit_test(test_user_timeout),
	};

	if (test_setup(argc, argv) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
