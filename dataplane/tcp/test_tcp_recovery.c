/*
 * What a connection makes of losses and marks at places that are easily missed: initial sequence numbers in
 * the upper half, 2 GiB behind the last loss, peers without SACK, a rest before bytes that wait, a loss
 * beside a mark, a probe that is lost with others, a timer that ran for something else.
 */
#include "test_tcp_util.h"

#define SEG ((uint32_t)tcp_smss(p->e.c))
#define WND 65535
#define RTT 20000
#define FAR 0x80000010U /* more bytes than sequence numbers compare over */

static uint8_t zeros[64 * MSS_MAX];
static struct rte_mbuf *taken[65536];

static void put(struct peer *p, uint32_t n)
{
	assert_int_equal(sl_tcp_write(p->e.c, sl_span(zeros, n)), n);
	sl_tcp_flush(p->h.t, p->now);
}

static void told(struct peer *p, uint8_t flags, uint32_t ack)
{
	struct seg s = {
	        .seq = p->seq, .ack = ack, .flags = flags, .wnd = WND, .sport = p->sport, .dport = p->dport};

	peer_send(p, &s);
}

/* FAR bytes go to the peer, which takes them all, so many segments at a time. */
static void go_far(struct peer *p, uint32_t nb)
{
	const struct sl_tcp_ops *before = peer_deaf(p);
	struct sl_tcp_conn *c = p->e.c;
	uint32_t from = c->snd_una;

	while (c->snd_una - from < FAR) {
		assert_int_equal(sl_tcp_write(c, sl_span(zeros, nb * SEG)), nb * SEG);
		while (c->snd_una != c->snd_end) {
			sl_tcp_flush(p->h.t, p->now);
			p->now += 100;
			sl_tcp_tick(p->h.t, p->now);
			p->ack = c->snd_nxt;
			peer_ack(p, p->ack, WND, NULL, 0);
		}
	}
	assert_int_equal(c->retransmits, 0);
	p->h.t->cfg.ops = before;
}

static void ecn_connect(struct peer *p, uint16_t port, bool sack)
{
	struct sl_tcp_cfg tune = {.ecn = true};

	peer_init(p, &tune);
	p->ecn = true;
	p->sack = sack;
	p->wscale = 10;
	p->sport = port;
	peer_connect(p);
	assert_true(p->e.c->ecn_ok);
}

static void ecn_ts_connect(struct peer *p)
{
	struct sl_tcp_cfg tune = {.ecn = true};

	peer_init(p, &tune);
	p->ecn = p->sack = p->ts = true;
	p->wscale = 10;
	peer_connect(p);
	p->ts_ecr = tcp_ts_now(p->e.c->ts_offset, p->now);
}

static void sack_with_ts(struct peer *p, const struct tcp_range *r, uint32_t ecr)
{
	struct seg s = {.seq = p->seq,
	                .ack = p->ack,
	                .flags = F_ACK,
	                .wnd = WND,
	                .sport = p->sport,
	                .dport = p->dport};

	s.nb_opts = tcp_options_ts(p->ts_val, ecr, s.opts);
	memcpy(s.opts + s.nb_opts, (uint8_t[]){1, 1, 5, 10}, 4);
	sl_put_be32(s.opts + s.nb_opts + 4, r->start);
	sl_put_be32(s.opts + s.nb_opts + 8, r->end);
	s.nb_opts += 12;
	peer_send(p, &s);
}

/* A mark is heeded (RFC 3168, 6.1.2). */
static void marked(struct peer *p)
{
	put(p, 10 * SEG);
	peer_drain(p);
	p->now += RTT;
	p->ack += 5 * SEG;
	told(p, F_ACK | F_ECE, p->ack);
	assert_int_equal(p->e.c->ca_state, TCP_CA_CWR);
	peer_drain(p);
}

/* Whatever the initial sequence number is. */
static void test_mark_any_isn(void **state)
{
	struct peer peer, *p = &peer;
	uint32_t upper = 0;

	(void)state;
	for (uint16_t i = 0; i < 40; i++) {
		ecn_connect(p, (uint16_t)(30000 + i * 7), false);
		upper += p->iss >> 31;
		marked(p);
		peer_fini(p);
	}
	assert_true(upper > 5 && upper < 35);
}

static void test_mark_far(void **state)
{
	struct peer peer, *p = &peer;

	(void)state;
	ecn_connect(p, 40000, false);
	go_far(p, 40);
	marked(p);
	peer_fini(p);
}

/* Without SACK three duplicates are a loss, however far behind the last one (RFC 6582, 4.1). */
static void test_duplicates_far(void **state)
{
	struct peer peer, *p = &peer;

	(void)state;
	peer_init(p, NULL);
	p->wscale = 10;
	peer_connect(p);
	go_far(p, 40);
	put(p, 14 * SEG);
	assert_true(peer_drain(p) > 3);
	for (int i = 0; i < 3; i++)
		peer_ack(p, p->ack, WND, NULL, 0);
	peer_drain(p);
	assert_int_equal(p->e.c->ca_state, TCP_CA_RECOVERY);
	peer_fini(p);
}

/* Nothing is in flight, so Nagle has nothing to wait for. */
static void test_nagle_far(void **state)
{
	struct peer peer, *p = &peer;

	(void)state;
	peer_init(p, NULL);
	p->wscale = 10;
	peer_connect(p);
	sl_tcp_set_nodelay(p->e.c, false);
	put(p, 10);
	assert_int_equal(peer_drain(p), 1);
	p->ack += 10;
	peer_ack(p, p->ack, WND, NULL, 0);
	go_far(p, 40);
	put(p, 10);
	assert_true(peer_rx(p));
	peer_fini(p);
}

/* Small requests for long, then a large transfer: its slow start is still ended by the round-trip time (RFC
 * 9406). */
static void test_round_far(void **state)
{
	struct peer peer, *p = &peer;
	struct sl_tcp_conn *c;

	(void)state;
	peer_init(p, NULL);
	p->wscale = 10;
	peer_connect(p);
	c = p->e.c;
	go_far(p, 4);
	assert_true(!c->hystart.done && c->cwnd < 20 * SEG);
	assert_true(seq_le(c->hystart.round_end, c->snd_una));
	peer_fini(p);
}

/* One window with a loss and a mark is paid for once: CWR goes with what is sent next (RFC 3168, 6.1.2). */
static void test_mark_beside_loss(void **state)
{
	struct peer peer, *p = &peer;
	uint32_t before, cwr = 0;

	(void)state;
	ecn_connect(p, 40000, true);
	p->e.c->srtt_us = 0;
	tcp_rtt_sample(p->e.c, 100000);
	put(p, 30 * SEG);
	assert_true(peer_drain(p) > 0);
	p->now += 100000;
	/* The first is lost; of the mark is told from the sixth on, until CWR comes. */
	for (uint32_t i = 2; i <= 10; i++) {
		struct seg s = {.seq = p->seq,
		                .ack = p->ack,
		                .flags = F_ACK | (i >= 6 ? F_ECE : 0),
		                .wnd = WND,
		                .sport = p->sport,
		                .dport = p->dport,
		                .nb_opts = 12,
		                .opts = {1, 1, 5, 10}};

		sl_put_be32(s.opts + 4, p->ack + SEG);
		sl_put_be32(s.opts + 8, p->ack + i * SEG);
		peer_send(p, &s);
	}
	assert_int_equal(p->e.c->ca_state, TCP_CA_RECOVERY);
	before = p->e.c->ssthresh;
	while (peer_rx(p))
		cwr += (p->got.flags & F_CWR) != 0;
	assert_true(cwr == 1);
	p->now += 100000;
	p->ack = p->e.c->recover;
	told(p, F_ACK | F_ECE, p->ack);
	p->ack += SEG;
	told(p, F_ACK, p->ack);
	peer_drain(p);
	assert_int_equal(p->e.c->ssthresh, before);
	peer_fini(p);
}

/* A reduction that is taken back before CWR went is none (RFC 3522). */
static void test_no_mark_after_undo(void **state)
{
	struct peer peer, *p = &peer;
	struct tcp_range r;
	uint32_t then;

	(void)state;
	ecn_ts_connect(p);
	put(p, 10 * SEG); /* and nothing behind it that could carry CWR */
	peer_drain(p);
	then = p->ts_ecr;
	p->now += RTT;
	r = (struct tcp_range){p->ack + SEG, p->ack + 9 * SEG};
	sack_with_ts(p, &r, then);
	p->now += 10 * RTT;
	sl_tcp_tick(p->h.t, p->now);
	sl_tcp_flush(p->h.t, p->now);
	assert_true(p->e.c->retransmits > 0 && p->e.c->cwr_due);
	peer_drain(p);
	p->now += RTT;
	p->ack += 10 * SEG;
	p->ts_ecr = then; /* the original came, late */
	peer_tx(p, F_ACK, p->seq, p->ack, NULL, 0);
	assert_int_equal(p->e.c->ca_state, TCP_CA_OPEN);
	put(p, SEG);
	assert_true(peer_rx(p));
	assert_int_equal(p->got.flags & F_CWR, 0);
	peer_drain(p);
	peer_fini(p);
}

/* Without SACK: the ACK of what a timeout sent again covers what had come before it. The loss was real. */
static void test_timeout_real(void **state)
{
	struct peer peer, *p = &peer;

	(void)state;
	peer_init(p, NULL);
	peer_connect(p);
	put(p, 14 * SEG);
	assert_true(peer_drain(p) > 0);
	peer_run(p, tcp_rto(p->e.c) + 2 * TCP_MS);
	assert_int_equal(p->e.c->ca_state, TCP_CA_LOSS);
	assert_true(peer_rx(p));
	assert_int_equal(p->got.seq, p->ack);
	/* The second and third had come; the fourth is missing, too. */
	peer_ack(p, p->ack + 3 * SEG, WND, NULL, 0);
	assert_int_equal(p->e.c->ca_state, TCP_CA_LOSS);
	assert_int_equal(p->e.c->ssthresh, 7 * SEG);
	peer_drain(p);
	peer_fini(p);
}

/* Bytes that are written after a rest longer than the user timeout, and wait: it begins with them (RFC 5482).
 */
static void rested(bool cork)
{
	struct peer peer, *p = &peer;

	peer_init(p, NULL);
	peer_connect(p);
	sl_tcp_set_user_timeout(p->e.c, 5000);
	if (!cork)
		peer_ack(p, p->ack, 0, NULL, 0);
	peer_run(p, 20 * TCP_S);
	peer_none(p);
	if (cork)
		sl_tcp_set_cork(p->e.c, true);
	put(p, 10);
	peer_run(p, 100 * TCP_MS);
	assert_int_equal(p->e.err, 0);
	peer_drain(p);
	/* It does end, when nothing is heard. */
	if (!cork) {
		peer_run(p, 6 * TCP_S);
		assert_int_equal(p->e.err, SL_E_TCP_TIMEOUT);
		peer_drain(p);
	}
	peer_fini(p);
}

static void test_user_timeout_after_rest(void **state)
{
	(void)state;
	rested(false);
	rested(true);
}

/* What ran as the persist timer is not the retransmission timer of what goes out then (RFC 6298, 5.1). */
static void test_timer_of_its_own(void **state)
{
	struct peer peer, *p = &peer;
	uint32_t n = 0;

	(void)state;
	peer_init(p, NULL);
	peer_connect(p);
	assert_int_equal(sl_tcp_write(p->e.c, sl_span(zeros, 10)), 10);
	while (n < RTE_DIM(taken) && (taken[n] = rte_pktmbuf_alloc(test_pool)) != NULL)
		n++;
	sl_tcp_flush(p->h.t, p->now);
	peer_run(p, p->e.c->rto_us - 3000);
	rte_pktmbuf_free_bulk(taken, n);
	sl_tcp_flush(p->h.t, p->now);
	assert_true(peer_rx(p));
	peer_none(p);
	peer_run(p, 10000);
	assert_int_equal(p->e.c->retransmits, 0);
	peer_drain(p);
	peer_fini(p);
}

/* A probe for a larger MTU is lost together with a segment in front of it: there will be others (RFC
 * 4821, 7.5). */
static void test_probe_lost_with_other(void **state)
{
	struct peer peer, *p = &peer;
	struct sl_tcp_conn *c;
	struct tcp_range r;
	uint32_t nb = 0;

	(void)state;
	peer_init(p, NULL);
	p->sack = true;
	p->mss = 1460;
	peer_connect(p);
	c = p->e.c;
	tcp_pmtu_too_big(c, 1300, p->now);
	sl_tcp_flush(p->h.t, p->now);
	if (test.mss < 1300) { /* narrower already: nothing is looked for */
		assert_int_equal(c->pmtu.next_us, 0);
		peer_fini(p);
		return;
	}
	p->now = c->pmtu.next_us;
	sl_tcp_tick(p->h.t, p->now);
	peer_drain(p);
	p->ack = c->snd_nxt;
	peer_ack(p, p->ack, WND, NULL, 0);
	c->cwnd = 20 * SEG;
	put(p, SEG); /* too little behind it for a probe */
	put(p, 12 * SEG);
	assert_true(c->pmtu.probe != 0);
	peer_drain(p);
	p->now += RTT;
	r = (struct tcp_range){p->ack + SEG + c->pmtu.probe, c->snd_nxt};
	peer_ack(p, p->ack, WND, &r, 1);
	assert_int_equal(c->ca_state, TCP_CA_RECOVERY);
	for (int i = 0; i < 20 && c->snd_una != c->snd_nxt; i++) {
		p->now += RTT;
		while (peer_rx(p)) {
			if (p->got.seq == p->ack)
				p->ack += p->got.len;
		}
		if (seq_le(r.start, p->ack))
			p->ack = c->snd_nxt;
		peer_ack(p, p->ack, WND, &r, seq_lt(p->ack, r.start));
	}
	assert_int_equal(c->ca_state, TCP_CA_OPEN);
	assert_int_equal(c->pmtu.probe, 0);
	for (int i = 0; i < 100; i++) {
		p->now += 600 * TCP_S;
		sl_tcp_tick(p->h.t, p->now);
		put(p, 12 * SEG);
		while (c->snd_una != c->snd_end) {
			nb += c->pmtu.probe != 0;
			peer_drain(p);
			p->ack = c->snd_nxt;
			p->now += RTT;
			peer_ack(p, p->ack, WND, NULL, 0);
		}
	}
	peer_drain(p);
	assert_true(nb > 0);
	peer_fini(p);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_mark_any_isn),
	        cmocka_unit_test(test_mark_far),
	        cmocka_unit_test(test_duplicates_far),
	        cmocka_unit_test(test_nagle_far),
	        cmocka_unit_test(test_mark_beside_loss),
	        cmocka_unit_test(test_no_mark_after_undo),
	        cmocka_unit_test(test_round_far),
	        cmocka_unit_test(test_timeout_real),
	        cmocka_unit_test(test_user_timeout_after_rest),
	        cmocka_unit_test(test_timer_of_its_own),
	        cmocka_unit_test(test_probe_lost_with_other),
	};

	if (test_setup(argc, argv) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
