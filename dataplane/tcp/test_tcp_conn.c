/* Hand-made segments: opening, closing, resets, TIME_WAIT, limits. */
#include <stdlib.h>

#include "test_tcp_util.h"

static const char *state_of(const struct peer *p)
{
	struct sl_tcp_info info;

	sl_tcp_get_info(p->e.c, &info);
	return info.state;
}

static void expect(struct peer *p, uint8_t flags, uint32_t seq, uint32_t ack)
{
	assert_true(peer_rx(p));
	assert_int_equal(p->got.flags & ~F_PSH, flags);
	assert_int_equal(p->got.seq, seq);
	assert_int_equal(p->got.ack, ack);
}

static void send_seg(struct peer *p, uint8_t flags, uint32_t seq, uint32_t ack)
{
	peer_tx(p, flags, seq, ack, NULL, 0);
}

static void test_passive_options(void **state)
{
	struct peer p;

	peer_init(&p, NULL);
	p.ts = p.sack = true;
	p.wscale = 7;
	peer_connect(&p);
	assert_true(p.e.c->ts_ok && p.e.c->sack_ok && p.e.c->wscale_ok);
	assert_int_equal(p.e.c->snd_shift, 7);
	assert_int_equal(p.e.c->snd_wnd, 65535U << 7);
	assert_int_equal(p.e.c->mss, test_mss());
	assert_string_equal(state_of(&p), "ESTABLISHED");
	peer_fini(&p);

	peer_init(&p, NULL); /* a peer without options gets none */
	peer_connect(&p);
	assert_false(p.e.c->ts_ok || p.e.c->sack_ok || p.e.c->wscale_ok);
	peer_fini(&p);
}

/* No MSS option: 536; data and urgent pointer in a SYN are ignored. */
static void test_syn_plain_with_data(void **state)
{
	struct peer p;

	peer_init(&p, NULL);
	peer_tx(&p, F_SYN | F_URG, p.seq, 0, "hello", 5);
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.flags, F_SYN | F_ACK);
	assert_int_equal(p.got.ack, p.seq + 1);
	assert_true(p.got.o.has_mss && !p.got.o.has_wscale && !p.got.o.has_ts && !p.got.o.has_sack_permitted);
	peer_tx(&p, F_ACK, p.seq + 1, p.got.seq + 1, "hello", 5);
	assert_int_equal(sl_tcp_readable(p.e.c), 5);
	assert_int_equal(
	        p.e.c->mss,
	        u32_min(test.family == SL_AF_INET6 ? TCP_MSS_DEFAULT_V6 : TCP_MSS_DEFAULT, test_mss()));
	peer_fini(&p);
}

static void test_active_options(void **state)
{
	struct peer p;

	peer_init(&p, NULL);
	p.ts = p.sack = true;
	p.wscale = 2;
	p.mss = 500;
	peer_accept(&p);
	assert_true(p.e.c->ts_ok && p.e.c->sack_ok);
	assert_int_equal(p.e.c->mss, 500);
	assert_int_equal(p.e.events, SL_TCP_EV_CONNECTED);
	peer_fini(&p);
}

static void test_refused(void **state)
{
	struct sl_endpoint to;
	struct peer p;

	peer_init(&p, NULL);
	to = peer_endpoint(&p);
	assert_int_equal(sl_tcp_connect(p.h.t, &to, &p.e, p.now, &p.e.c), 0);
	sl_tcp_flush(p.h.t, p.now);
	assert_true(peer_rx(&p));
	p.dport = p.got.sport;
	send_seg(&p, F_RST, p.got.seq + 1, 0);         /* without ACK: means nothing here */
	send_seg(&p, F_RST | F_ACK, 0, p.got.seq + 9); /* ACK of what was not sent */
	assert_int_equal(p.e.err, 0);
	send_seg(&p, F_RST | F_ACK, 0, p.got.seq + 1);
	assert_int_equal(p.e.err, SL_E_TCP_REFUSED);
	assert_int_equal(sl_tcp_error(p.e.c), SL_E_TCP_REFUSED);
	peer_none(&p);
	peer_fini(&p);
}

/* RFC 9293, figure 8 */
static void test_simultaneous_open(void **state)
{
	struct sl_endpoint to;
	struct peer p;
	uint32_t iss;

	peer_init(&p, NULL);
	to = peer_endpoint(&p);
	assert_int_equal(sl_tcp_connect(p.h.t, &to, &p.e, p.now, &p.e.c), 0);
	sl_tcp_flush(p.h.t, p.now);
	assert_true(peer_rx(&p));
	iss = p.got.seq;
	p.dport = p.got.sport;
	send_seg(&p, F_SYN, p.seq, 0);
	expect(&p, F_SYN | F_ACK, iss, p.seq + 1);
	assert_string_equal(state_of(&p), "SYN-RECEIVED");
	send_seg(&p, F_SYN | F_ACK, p.seq, iss + 1);
	assert_string_equal(state_of(&p), "ESTABLISHED");
	assert_true(p.e.events & SL_TCP_EV_CONNECTED);
	peer_fini(&p);
}

static void test_accept_refuses(void **state)
{
	struct peer p;
	uint32_t iss;

	peer_init(&p, NULL);
	p.h.refuse = true;
	send_seg(&p, F_SYN, p.seq, 0);
	assert_true(peer_rx(&p));
	iss = p.got.seq;
	send_seg(&p, F_ACK, p.seq + 1, iss + 1);
	expect(&p, F_RST | F_ACK, iss + 1, p.seq + 1);
	peer_fini(&p);
}

/* RFC 9293, 3.5.2, group 1 */
static void test_rst_generation(void **state)
{
	struct peer p;

	peer_init(&p, NULL);
	p.dport = 9; /* nobody listens */
	peer_tx(&p, F_SYN, 77, 0, "abc", 3);
	expect(&p, F_RST | F_ACK, 0, 81);
	send_seg(&p, F_ACK, 77, 5555);
	expect(&p, F_RST, 5555, 0);
	send_seg(&p, F_RST | F_ACK, 77, 5555);
	peer_none(&p);
	p.dport = 5432;
	send_seg(&p, F_ACK, 77, 5555); /* ACK to a listener */
	expect(&p, F_RST, 5555, 0);
	send_seg(&p, F_SYN | F_FIN, 77, 0);
	send_seg(&p, F_FIN, 77, 0);
	send_seg(&p, 0, 77, 0);
	peer_none(&p);
	send_seg(&p, F_SYN, p.seq, 0); /* a wrong ACK in SYN-RECEIVED */
	assert_true(peer_rx(&p));
	send_seg(&p, F_ACK, p.seq + 1, p.got.seq + 99);
	expect(&p, F_RST, p.got.seq + 99, 0);
	assert_null(p.e.c);
	peer_fini(&p);
}

static void test_synack_again(void **state)
{
	struct peer p;
	uint32_t iss;

	peer_init(&p, NULL);
	send_seg(&p, F_SYN, p.seq, 0);
	assert_true(peer_rx(&p));
	iss = p.got.seq;
	send_seg(&p, F_SYN, p.seq, 0); /* the SYN again */
	expect(&p, F_SYN | F_ACK, iss, p.seq + 1);
	peer_run(&p, 900000);
	peer_none(&p);
	peer_run(&p, 200000);
	expect(&p, F_SYN | F_ACK, iss, p.seq + 1);
	peer_run(&p, 61000000); /* 1, 2, 4, 8, 16, 32 s */
	assert_int_equal(peer_drain(&p), 4);
	assert_int_equal(sl_tcp_nb_conns(p.h.t), 0);
	assert_int_equal(p.h.t->syn.nb, 1);
	peer_run(&p, 2000000);
	peer_none(&p);
	assert_int_equal(p.h.t->syn.nb, 0);
	peer_fini(&p);
}

static void test_syn_retries(void **state)
{
	static const uint32_t at_s[] = {1, 3, 7, 15, 31, 63};
	struct sl_endpoint to;
	struct peer p;
	uint64_t start;

	peer_init(&p, NULL);
	to = peer_endpoint(&p);
	assert_int_equal(sl_tcp_connect(p.h.t, &to, &p.e, p.now, &p.e.c), 0);
	start = p.now;
	peer_run(&p, 1000);
	assert_int_equal(peer_drain(&p), 1);
	for (size_t i = 0; i < sizeof(at_s) / sizeof(at_s[0]); i++) {
		peer_run(&p, start + at_s[i] * TCP_S - 2000 - p.now);
		peer_none(&p);
		peer_run(&p, 4000);
		assert_int_equal(peer_drain(&p), 1);
	}
	peer_run(&p, 70 * TCP_S);
	assert_int_equal(p.e.err, SL_E_TCP_TIMEOUT);
	peer_fini(&p);
}

static void lost_syn(struct peer *p, bool ts)
{
	peer_init(p, NULL);
	p->ts = ts;
	peer_asked(p);
	peer_run(p, TCP_RTO_INIT + 10 * TCP_MS);
	assert_true(peer_rx(p));
	peer_run(p, 40 * TCP_MS);
	peer_accept_last(p);
}

/* RFC 6298, 5.7; an echoed timestamp says which SYN was answered. */
static void test_syn_lost_rto(void **state)
{
	struct peer p;

	lost_syn(&p, false);
	assert_int_equal(p.e.c->srtt_us, 0);
	assert_int_equal(p.e.c->rto_us, 3 * TCP_S);
	peer_fini(&p);
	lost_syn(&p, true);
	assert_in_range(p.e.c->srtt_us, 48 * TCP_MS, 52 * TCP_MS);
	assert_int_equal(p.e.c->rto_us, p.e.c->srtt_us + TCP_RTO_MIN);
	assert_int_equal(p.e.c->cwnd, tcp_smss(p.e.c));
	peer_fini(&p);
}

/* A SYN is due again and there is no buffer for it: the answer to the first one is as good as before. */
static void test_syn_waits_for_buffer(void **state)
{
	static struct rte_mbuf *held[8192];
	uint32_t n = 0;
	struct peer p;

	(void)state;
	peer_init(&p, NULL);
	peer_asked(&p);
	while (n < RTE_DIM(held) && (held[n] = rte_pktmbuf_alloc(test_pool)) != NULL)
		n++;
	peer_run(&p, TCP_RTO_INIT + 10 * TCP_MS);
	peer_none(&p);
	while (n > 0)
		rte_pktmbuf_free(held[--n]);
	peer_accept_last(&p);
	peer_none(&p);
	peer_fini(&p);
}

/* RFC 6298, 5.7 for a SYN-ACK. */
static void test_synack_lost_rto(void **state)
{
	for (int ts = 0; ts < 2; ts++) {
		struct peer p;

		peer_init(&p, NULL);
		p.ts = ts;
		peer_syn(&p);
		peer_run(&p, TCP_RTO_INIT + 10 * TCP_MS);
		assert_true(peer_rx(&p)); /* again */
		p.ts_ecr = p.got.o.ts_val;
		peer_run(&p, 40 * TCP_MS);
		peer_tx(&p, F_ACK, p.seq, p.ack, NULL, 0);
		assert_non_null(p.e.c);
		assert_int_equal(p.e.c->srtt_us != 0, ts);
		assert_int_equal(p.e.c->rto_us, ts ? p.e.c->srtt_us + TCP_RTO_MIN : 3 * TCP_S);
		peer_fini(&p);
	}
}

static void test_close_by_us(void **state)
{
	struct peer p;

	peer_init(&p, NULL);
	peer_connect(&p);
	assert_int_equal(sl_tcp_write(p.e.c, SL_SPAN_LIT("bye")), 3);
	sl_tcp_shutdown(p.e.c);
	assert_int_equal(sl_tcp_write(p.e.c, SL_SPAN_LIT("x")), 0);
	sl_tcp_flush(p.h.t, p.now);
	expect(&p, F_ACK | F_FIN, p.ack, p.seq); /* data and FIN in one */
	assert_int_equal(p.got.len, 3);
	assert_string_equal(state_of(&p), "FIN-WAIT-1");
	send_seg(&p, F_ACK, p.seq, p.ack + 4);
	assert_string_equal(state_of(&p), "FIN-WAIT-2");
	peer_tx(&p, F_ACK, p.seq, p.ack + 4, "half", 4); /* half-close: the peer goes on */
	assert_int_equal(sl_tcp_readable(p.e.c), 4);
	assert_true(peer_rx(&p));
	send_seg(&p, F_ACK | F_FIN, p.seq + 4, p.ack + 4);
	expect(&p, F_ACK, p.ack + 4, p.seq + 5);
	assert_string_equal(state_of(&p), "TIME-WAIT");
	assert_false(sl_tcp_eof(p.e.c));
	sl_tcp_consume(p.e.c, 4);
	assert_true(sl_tcp_eof(p.e.c));
	assert_true(p.e.events & SL_TCP_EV_EOF);
	assert_int_equal(p.h.t->tw_nb, 1);
	sl_tcp_release(p.e.c);
	p.e.c = NULL;
	peer_fini(&p);
}

static uint32_t nb_orphans(const struct peer *p)
{
	struct sl_tcp_stats stats;

	sl_tcp_get_stats(p->h.t, &stats);
	return stats.nb_orphans;
}

static void test_close_by_peer(void **state)
{
	struct peer p;

	peer_init(&p, NULL);
	peer_connect(&p);
	peer_tx(&p, F_ACK | F_FIN, p.seq, p.ack, "last", 4);
	expect(&p, F_ACK, p.ack, p.seq + 5);
	assert_string_equal(state_of(&p), "CLOSE-WAIT");
	assert_int_equal(sl_tcp_write(p.e.c, SL_SPAN_LIT("mine")), 4);
	sl_tcp_flush(p.h.t, p.now);
	expect(&p, F_ACK, p.ack, p.seq + 5);
	send_seg(&p, F_ACK, p.seq + 5, p.ack + 4);
	sl_tcp_consume(p.e.c, 4);
	sl_tcp_release(p.e.c);
	sl_tcp_flush(p.h.t, p.now);
	expect(&p, F_ACK | F_FIN, p.ack + 4, p.seq + 5);
	assert_int_equal(sl_tcp_nb_conns(p.h.t), 1); /* LAST-ACK, alone */
	assert_int_equal(nb_orphans(&p), 1);
	send_seg(&p, F_ACK, p.seq + 5, p.ack + 5);
	sl_tcp_tick(p.h.t, p.now);
	assert_int_equal(sl_tcp_nb_conns(p.h.t), 0);
	assert_int_equal(nb_orphans(&p), 0);
	assert_int_equal(p.h.t->tw_nb, 0);
	p.e.c = NULL;
	peer_fini(&p);
}

static void test_simultaneous_close(void **state)
{
	struct peer p;

	peer_init(&p, NULL);
	peer_connect(&p);
	sl_tcp_shutdown(p.e.c);
	sl_tcp_flush(p.h.t, p.now);
	expect(&p, F_ACK | F_FIN, p.ack, p.seq);
	send_seg(&p, F_ACK | F_FIN, p.seq, p.ack);
	expect(&p, F_ACK, p.ack + 1, p.seq + 1);
	assert_string_equal(state_of(&p), "CLOSING");
	send_seg(&p, F_ACK, p.seq + 1, p.ack + 1);
	assert_string_equal(state_of(&p), "TIME-WAIT");
	peer_fini(&p);
}

/* RFC 2525: bytes that nobody read, or that come after the release, reset. */
static void test_release_unread(void **state)
{
	struct peer p;

	peer_init(&p, NULL);
	peer_connect(&p);
	peer_tx(&p, F_ACK, p.seq, p.ack, "unread", 6);
	assert_true(peer_rx(&p));
	sl_tcp_release(p.e.c);
	p.e.c = NULL;
	expect(&p, F_RST | F_ACK, p.ack, p.seq + 6);
	peer_fini(&p);

	peer_init(&p, NULL);
	peer_connect(&p);
	sl_tcp_release(p.e.c);
	p.e.c = NULL;
	sl_tcp_flush(p.h.t, p.now);
	expect(&p, F_ACK | F_FIN, p.ack, p.seq);
	peer_tx(&p, F_ACK, p.seq, p.ack + 1, "late", 4);
	expect(&p, F_RST, p.ack + 1, 0);
	peer_fini(&p);

	/* Our FIN has not arrived: the RST is where the peer waits for it (RFC 5961, 3.2). */
	peer_init(&p, NULL);
	peer_connect(&p);
	sl_tcp_release(p.e.c);
	p.e.c = NULL;
	sl_tcp_flush(p.h.t, p.now);
	expect(&p, F_ACK | F_FIN, p.ack, p.seq);
	peer_tx(&p, F_ACK, p.seq, p.ack, "late", 4);
	expect(&p, F_RST, p.ack, 0);
	peer_fini(&p);
}

/* A released connection whose peer does not close: 60 s. */
static void test_fin_wait_2_timer(void **state)
{
	struct peer p;

	peer_init(&p, NULL);
	peer_connect(&p);
	sl_tcp_release(p.e.c);
	p.e.c = NULL;
	sl_tcp_flush(p.h.t, p.now);
	assert_true(peer_rx(&p));
	send_seg(&p, F_ACK, p.seq, p.ack + 1);
	peer_run(&p, 59 * TCP_S);
	assert_int_equal(sl_tcp_nb_conns(p.h.t), 1);
	peer_none(&p);
	peer_run(&p, 2 * TCP_S);
	assert_int_equal(sl_tcp_nb_conns(p.h.t), 0);
	expect(&p, F_RST | F_ACK, p.ack + 1, p.seq);
	peer_fini(&p);
}

/* RFC 5961, 3.2 and 4.2, and the limit of challenge ACKs. */
static void test_blind_reset(void **state)
{
	struct peer p;

	peer_init(&p, NULL);
	peer_connect(&p);
	send_seg(&p, F_RST, p.seq + 1, 0);
	expect(&p, F_ACK, p.ack, p.seq);
	send_seg(&p, F_RST, p.seq - 1, 0);
	send_seg(&p, F_RST, p.seq + 1000000, 0);
	peer_none(&p);
	send_seg(&p, F_SYN, p.seq + 5, 0);
	expect(&p, F_ACK, p.ack, p.seq);
	send_seg(&p, F_SYN, p.seq + 1000000, 0);
	expect(&p, F_ACK, p.ack, p.seq);
	for (int i = 0; i < 50; i++)
		send_seg(&p, F_SYN, p.seq, 0);
	assert_int_equal(peer_drain(&p), TCP_CHALLENGE_MAX - 3);
	peer_run(&p, TCP_S);
	send_seg(&p, F_RST, p.seq + 1, 0);
	expect(&p, F_ACK, p.ack, p.seq);
	assert_int_equal(p.e.err, 0);
	send_seg(&p, F_RST, p.seq, 0);
	assert_int_equal(p.e.err, SL_E_TCP_RESET);
	assert_int_equal(sl_tcp_write(p.e.c, SL_SPAN_LIT("x")), 0);
	peer_none(&p);
	peer_fini(&p);
}

/* RFC 5961, 5.2 */
static void test_ack_range(void **state)
{
	struct peer p;

	peer_init(&p, NULL);
	peer_connect(&p);
	peer_tx(&p, F_ACK, p.seq, p.ack + 1, "x", 1); /* never sent */
	expect(&p, F_ACK, p.ack, p.seq);
	peer_tx(&p, F_ACK, p.seq, p.ack - 70000, "x", 1); /* too old */
	expect(&p, F_ACK, p.ack, p.seq);
	assert_int_equal(sl_tcp_readable(p.e.c), 0);
	peer_tx(&p, 0, p.seq, p.ack, "x", 1); /* no ACK at all */
	assert_int_equal(sl_tcp_readable(p.e.c), 0);
	peer_tx(&p, F_ACK, p.seq, p.ack - 1000, "x", 1); /* old, but within the largest window */
	assert_int_equal(sl_tcp_readable(p.e.c), 1);
	peer_fini(&p);
}

static void into_time_wait(struct peer *p)
{
	uint32_t before = p->h.t->tw_nb;

	peer_connect(p);
	sl_tcp_release(p->e.c);
	p->e.c = NULL;
	sl_tcp_flush(p->h.t, p->now);
	assert_true(peer_rx(p));
	send_seg(p, F_ACK | F_FIN, p->seq, p->ack + 1);
	expect(p, F_ACK, p->ack + 1, p->seq + 1);
	assert_int_equal(p->h.t->tw_nb, before + 1);
}

static void test_time_wait(void **state)
{
	struct peer p;

	peer_init(&p, NULL);
	into_time_wait(&p);
	sl_tcp_tick(p.h.t, p.now);
	assert_int_equal(sl_tcp_nb_conns(p.h.t), 0);
	send_seg(&p, F_RST, p.seq + 1, 0); /* RFC 1337 */
	assert_int_equal(p.h.t->tw_nb, 1);
	send_seg(&p, F_ACK, p.seq + 1, p.ack + 1);
	peer_none(&p);
	peer_run(&p, 30 * TCP_S);
	send_seg(&p, F_ACK | F_FIN, p.seq, p.ack + 1); /* our last ACK was lost: 2 MSL begin anew */
	expect(&p, F_ACK, p.ack + 1, p.seq + 1);
	peer_run(&p, 59 * TCP_S);
	assert_int_equal(p.h.t->tw_nb, 1);
	peer_run(&p, 2 * TCP_S);
	assert_int_equal(p.h.t->tw_nb, 0);
	peer_fini(&p);
}

/* RFC 6191, and by sequence number without timestamps. */
static void test_time_wait_reuse(void **state)
{
	struct peer p;
	uint32_t old;

	peer_init(&p, NULL);
	into_time_wait(&p);
	old = p.ack + 1;
	send_seg(&p, F_SYN, p.seq - 5, 0);
	expect(&p, F_ACK, p.ack + 1, p.seq + 1);
	send_seg(&p, F_SYN, p.seq + 100, 0);
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.flags, F_SYN | F_ACK);
	assert_true(seq_lt(old, p.got.seq));
	assert_int_equal(p.h.t->tw_nb, 0);
	peer_fini(&p);

	peer_init(&p, NULL);
	p.ts = true;
	into_time_wait(&p);
	p.ts_val -= 10;
	send_seg(&p, F_SYN, p.seq + 100, 0); /* an old duplicate, whatever its number */
	expect(&p, F_ACK, p.ack + 1, p.seq + 1);
	p.ts_val += 11;
	send_seg(&p, F_SYN, p.seq - 100, 0);
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.flags, F_SYN | F_ACK);
	peer_fini(&p);
}

static void test_time_wait_cap(void **state)
{
	struct sl_tcp_cfg tune = {.max_conns = 16, .max_time_wait = 4};
	struct peer p;

	peer_init(&p, &tune);
	for (uint16_t i = 0; i < 10; i++) {
		peer_connect(&p);
		sl_tcp_shutdown(p.e.c);
		sl_tcp_flush(p.h.t, p.now);
		assert_true(peer_rx(&p));
		send_seg(&p, F_ACK | F_FIN, p.seq, p.ack + 1);
		assert_true(peer_rx(&p));
		sl_tcp_release(p.e.c);
		p.e.c = NULL;
		p.sport++;
		p.seq = 1000 * i;
	}
	assert_int_equal(p.h.t->tw_nb, 4);
	peer_run(&p, 61 * TCP_S);
	assert_int_equal(p.h.t->tw_nb, 0);
	peer_fini(&p);
}

/* Hundreds that end together do so by several ticks. */
static void test_time_wait_many(void **state)
{
	struct sl_tcp_cfg tune = {.max_conns = 16, .max_time_wait = 600};
	struct peer p;

	peer_init(&p, &tune);
	for (uint32_t i = 0; i < 600; i++) {
		into_time_wait(&p);
		p.sport++;
		p.seq = 1000 * i;
	}
	assert_int_equal(p.h.t->tw_nb, 600);
	p.now += 61 * TCP_S;
	assert_int_equal(sl_tcp_tick(p.h.t, p.now), p.now);
	assert_true(p.h.t->tw_nb < 600 && p.h.t->tw_nb >= 300);
	assert_int_equal(sl_tcp_tick(p.h.t, p.now), p.now);
	assert_true(sl_tcp_tick(p.h.t, p.now) > p.now);
	assert_int_equal(p.h.t->tw_nb, 0);
	peer_fini(&p);
}

static void test_conn_limit(void **state)
{
	struct sl_tcp_cfg tune = {.max_conns = 2};
	struct sl_endpoint to;
	struct sl_tcp_conn *c[3];
	struct peer p;

	peer_init(&p, &tune);
	to = peer_endpoint(&p);
	assert_int_equal(sl_tcp_connect(p.h.t, &to, &p.e, p.now, &c[0]), 0);
	assert_int_equal(sl_tcp_connect(p.h.t, &to, &p.e, p.now, &c[1]), 0);
	assert_int_equal(sl_tcp_connect(p.h.t, &to, &p.e, p.now, &c[2]), SL_E_TCP_CONN_LIMIT);
	sl_tcp_flush(p.h.t, p.now);
	assert_int_equal(peer_drain(&p), 2);
	send_seg(&p, F_SYN, p.seq, 0);
	peer_none(&p);
	sl_tcp_abort(c[0], p.now);
	sl_tcp_abort(c[1], p.now);
	peer_fini(&p);
}

static uint32_t nb_asked; /* for ports, by the stack */

static bool only_20000(uint16_t port)
{
	return port == 20000;
}

static bool some_in_a_row(uint16_t port)
{
	return port >= 20000 && port < 20000 + TCP_PORT_COUNT / 100;
}

static bool no_port(uint16_t port)
{
	nb_asked++;
	return false;
}

/* A lone free port is found by some of the calls: each looks at others, and at no more than so many. */
static void test_ports(void **state)
{
	struct sl_endpoint to;
	struct sl_tcp_conn *c[8], *x = NULL;
	uint32_t refused = 0;
	struct peer p;
	int err;

	peer_init(&p, NULL);
	to = peer_endpoint(&p);
	for (int i = 0; i < 8; i++) {
		assert_int_equal(sl_tcp_connect(p.h.t, &to, &p.e, p.now, &c[i]), 0);
		assert_true(sl_tcp_local(c[i]).port >= TCP_PORT_FIRST);
		for (int k = 0; k < i; k++)
			assert_int_not_equal(sl_tcp_local(c[i]).port, sl_tcp_local(c[k]).port);
	}
	p.h.port_ok = only_20000;
	while ((err = sl_tcp_connect(p.h.t, &to, &p.e, p.now, &x)) == SL_E_TCP_NO_PORT && refused < 400)
		refused++;
	assert_int_equal(err, 0);
	assert_int_equal(sl_tcp_local(x).port, 20000);
	assert_true(sl_endpoint_eq(&to, &(struct sl_endpoint){sl_tcp_remote(x).addr, sl_tcp_remote(x).port}));
	p.h.port_ok = no_port;
	nb_asked = 0;
	assert_int_equal(sl_tcp_connect(p.h.t, &to, &p.e, p.now, &p.e.c), SL_E_TCP_NO_PORT);
	assert_int_equal(nb_asked, TCP_PORT_TRIES);
	p.h.port_ok = NULL;
	p.h.route_err = SL_E_NET_NO_ROUTE;
	assert_int_equal(sl_tcp_connect(p.h.t, &to, &p.e, p.now, &p.e.c), SL_E_NET_NO_ROUTE);
	for (int i = 0; i < 8; i++)
		sl_tcp_abort(c[i], p.now);
	sl_tcp_abort(x, p.now);
	p.e.c = NULL;
	peer_fini(&p);
}

/* Few ports are free, and lie in a row: each call finds one. */
static void test_ports_in_a_row(void **state)
{
	struct sl_tcp_cfg tune = {.max_conns = 400};
	struct sl_tcp_conn *c[100];
	struct sl_endpoint to;
	struct peer p;

	peer_init(&p, &tune);
	to = peer_endpoint(&p);
	p.h.port_ok = some_in_a_row;
	for (uint32_t i = 0; i < RTE_DIM(c); i++) {
		assert_int_equal(sl_tcp_connect(p.h.t, &to, &p.e, p.now, &c[i]), 0);
		assert_true(some_in_a_row(sl_tcp_local(c[i]).port));
	}
	for (uint32_t i = 0; i < RTE_DIM(c); i++)
		sl_tcp_abort(c[i], p.now);
	p.e.c = NULL;
	peer_fini(&p);
}

/* One after the other for one destination; who knows those says nothing of another's (RFC 6056, 3.3.4). */
static void test_ports_of_others(void **state)
{
	struct sl_tcp_conn *c[16];
	struct sl_endpoint to;
	struct peer p;
	uint32_t near = 0;

	peer_init(&p, NULL);
	to = peer_endpoint(&p);
	for (int i = 0; i < 16; i++) {
		assert_int_equal(sl_tcp_connect(p.h.t, &to, &p.e, p.now, &c[i]), 0);
		near += i > 0 && abs(sl_tcp_local(c[i]).port - sl_tcp_local(c[i - 1]).port) < 64;
		to.port++;
	}
	assert_true(near < 4); /* by chance one in 400 */
	for (int i = 0; i < 16; i++)
		sl_tcp_abort(c[i], p.now);
	peer_fini(&p);
}

static void test_listen(void **state)
{
	struct sl_endpoint any = {.port = 5432}, one = {.port = 5432}, bad = {0};
	struct sl_tcp_listener *l, *l2;
	struct tcp_tuple u = {.lport = 5432, .family = test.family};
	struct peer p;

	peer_init(&p, NULL);
	one.addr = p.h.addr;
	memcpy(u.laddr, p.h.addr.b, 16);
	assert_int_equal(sl_tcp_listen(p.h.t, &any, 0, NULL, &l), SL_E_EXISTS);
	assert_int_equal(sl_tcp_listen(p.h.t, &bad, 0, NULL, &l), SL_E_INVAL);
	assert_int_equal(sl_tcp_listen(p.h.t, &one, 0, NULL, &l), 0);
	assert_ptr_equal(tcp_listener_find(p.h.t, &u), l);
	u.laddr[3] = 77;
	assert_ptr_equal(tcp_listener_find(p.h.t, &u), p.l);
	sl_tcp_unlisten(p.h.t, l);
	send_seg(&p, F_SYN, p.seq, 0);
	assert_true(peer_rx(&p));
	any.port = 5433;
	assert_int_equal(sl_tcp_listen(p.h.t, &any, 0, NULL, &l2), 0);
	sl_tcp_unlisten(p.h.t, p.l); /* a half-open connection goes with it */
	p.l = l2;
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.flags, F_RST | F_ACK);
	peer_fini(&p);
}

static void test_abort(void **state)
{
	struct peer p;

	peer_init(&p, NULL);
	peer_connect(&p);
	assert_int_equal(sl_tcp_write(p.e.c, SL_SPAN_LIT("never sent")), 10);
	sl_tcp_abort(p.e.c, p.now);
	p.e.c = NULL;
	expect(&p, F_RST | F_ACK, p.ack, p.seq);
	sl_tcp_flush(p.h.t, p.now);
	peer_none(&p);
	peer_fini(&p);
}

static void test_keepalive(void **state)
{
	struct sl_tcp_cfg tune = {.keepalive_idle_s = 60, .keepalive_intvl_s = 10, .keepalive_probes = 3};
	struct peer p;

	peer_init(&p, &tune);
	peer_connect(&p);
	peer_run(&p, 59 * TCP_S);
	peer_none(&p);
	peer_run(&p, 2 * TCP_S);
	expect(&p, F_ACK, p.ack - 1, p.seq);
	send_seg(&p, F_ACK, p.seq, p.ack); /* answered */
	peer_run(&p, 58 * TCP_S);
	peer_none(&p);
	peer_run(&p, 27 * TCP_S);
	assert_int_equal(peer_drain(&p), 3);
	assert_int_equal(p.e.err, 0);
	peer_run(&p, 10 * TCP_S);
	assert_int_equal(p.e.err, SL_E_TCP_TIMEOUT);
	assert_true(peer_rx(&p));
	assert_true(p.got.flags & F_RST);
	send_seg(&p, F_ACK, p.seq - 1, p.ack); /* the peer's own probe, to nobody now */
	assert_true(peer_rx(&p));
	peer_fini(&p);
}

/* The peer's keep-alive is answered. */
static void test_keepalive_answer(void **state)
{
	struct peer p;

	peer_init(&p, NULL);
	peer_connect(&p);
	send_seg(&p, F_ACK, p.seq - 1, p.ack);
	expect(&p, F_ACK, p.ack, p.seq);
	peer_fini(&p);
}

/* What came back for a segment of ours: the type and code are those of the family. */
static void icmp(struct peer *p, uint8_t type, uint8_t code, uint16_t mtu, uint32_t seq)
{
	struct sl_net_icmp_error e = {
	        .sport = p->dport, .dport = p->sport, .seq = seq, .type = type, .code = code, .mtu = mtu};

	e.src = p->h.addr;
	e.dst = peer_endpoint(p).addr;
	sl_tcp_icmp_error(p->h.t, &e, p->now);
	sl_tcp_flush(p->h.t, p->now);
}

static void too_big(struct peer *p, uint32_t mss, uint32_t seq)
{
	bool six = test.family == SL_AF_INET6;

	icmp(p, six ? 2 : 3, six ? 0 : 4, (uint16_t)(mss + (six ? 60 : 40)), seq);
}

static void no_route(struct peer *p, uint32_t seq)
{
	icmp(p, test.family == SL_AF_INET6 ? 1 : 3, test.family == SL_AF_INET6 ? 0 : 1, 0, seq);
}

/* The path takes less: what was lost goes again in parts of that size, and never is it believed to be smaller
 * than a host must take (RFC 1191: 552 here; RFC 8200: 1280). */
static void test_icmp_mtu(void **state)
{
	uint32_t floor = test.family == SL_AF_INET6 ? 1280 - 60 : TCP_PMTU_MIN - 40, old = test_mss(), at;
	uint32_t less = old > floor ? floor + (old - floor) / 2 : floor, total = 2 * old + 80;
	uint8_t *data = calloc(1, total);
	struct peer p;

	assert_non_null(data);
	peer_init(&p, NULL);
	peer_connect(&p);
	assert_int_equal(sl_tcp_write(p.e.c, sl_span(data, total)), total);
	sl_tcp_flush(p.h.t, p.now);
	total = p.e.c->snd_nxt - p.e.c->snd_una; /* the first window may be two segments */
	assert_in_range(peer_drain(&p), 2, 3);
	too_big(&p, less, p.ack - 1); /* not in flight */
	too_big(&p, less, p.ack + total);
	peer_none(&p);
	too_big(&p, less, p.ack);
	/* What fits, the last 80 bytes, was not lost; but of a super-segment nobody knows. */
	for (at = 0; less < old && at < (test.offload ? total : total / old * old); at += p.got.len) {
		uint32_t left = old - at % old;

		expect(&p, F_ACK, p.ack + at, p.seq);
		assert_in_range(p.got.len, 1, less);
		if (!test.offload)
			assert_int_equal(p.got.len, left < less ? left : less);
	}
	peer_none(&p);
	too_big(&p, old - 1 > less ? old - 1 : old, p.ack); /* never up */
	peer_none(&p);
	too_big(&p, 68, p.ack); /* nor below the bound */
	if (old > floor) {
		assert_true(peer_rx(&p));
		assert_int_equal(p.got.len, floor);
	}
	assert_int_equal(p.e.c->mss, old > floor ? floor : old);
	peer_drain(&p);
	peer_fini(&p);
	free(data);
}

static void test_icmp_unreachable(void **state)
{
	struct sl_endpoint to;
	struct peer p;

	peer_init(&p, NULL);
	peer_connect(&p);
	assert_int_equal(sl_tcp_write(p.e.c, SL_SPAN_LIT("data")), 4);
	sl_tcp_flush(p.h.t, p.now);
	no_route(&p, p.ack);
	assert_int_equal(p.e.err, 0); /* soft */
	peer_run(&p, 600 * TCP_S);
	assert_int_equal(p.e.err, SL_E_TCP_UNREACHABLE);
	peer_fini(&p);

	peer_init(&p, NULL);
	to = peer_endpoint(&p);
	assert_int_equal(sl_tcp_connect(p.h.t, &to, &p.e, p.now, &p.e.c), 0);
	sl_tcp_flush(p.h.t, p.now);
	assert_true(peer_rx(&p));
	p.dport = p.got.sport;
	no_route(&p, p.got.seq + 1);
	assert_int_equal(p.e.err, 0);
	no_route(&p, p.got.seq);
	assert_int_equal(p.e.err, SL_E_TCP_UNREACHABLE);
	peer_fini(&p);
}

/* The type and code of the other family mean something else, or nothing. */
static void test_icmp_other_family(void **state)
{
	struct peer p;

	peer_init(&p, NULL);
	peer_connect(&p);
	assert_int_equal(sl_tcp_write(p.e.c, SL_SPAN_LIT("data")), 4);
	sl_tcp_flush(p.h.t, p.now);
	assert_true(peer_rx(&p));
	if (test.family == SL_AF_INET6)
		icmp(&p, 3, 4, 1300, p.ack);
	else
		icmp(&p, 2, 0, 600, p.ack);
	peer_none(&p);
	assert_int_equal(p.e.c->mss, test_mss());
	assert_int_equal(p.e.c->soft_err, 0);
	peer_fini(&p);
}

/* Both close at a time, and the peer's FIN and its ACK of ours come in one burst: its FIN is acknowledged,
 * though the connection is in TIME_WAIT when it is the turn of what goes out. */
static void test_simultaneous_close_in_a_burst(void **state)
{
	struct peer p;
	struct seg s = {0};
	struct sl_net_segment ip[2];
	struct rte_mbuf *m[2];

	(void)state;
	peer_init(&p, NULL);
	peer_connect(&p);
	sl_tcp_shutdown(p.e.c);
	sl_tcp_flush(p.h.t, p.now);
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.flags & F_FIN, F_FIN);
	s = (struct seg){.seq = p.seq,
	                 .ack = p.ack,
	                 .flags = F_FIN | F_ACK,
	                 .wnd = 65535,
	                 .sport = p.sport,
	                 .dport = p.dport};
	m[0] = peer_segment(&p, &s, &ip[0]);
	s.seq++;
	s.ack++;
	s.flags = F_ACK;
	m[1] = peer_segment(&p, &s, &ip[1]);
	sl_tcp_input(p.h.t, m, ip, 2, p.now);
	sl_tcp_flush(p.h.t, p.now);
	assert_int_equal(p.e.c->state, TCP_TIME_WAIT);
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.ack, s.seq);
	peer_fini(&p);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_passive_options),
	        cmocka_unit_test(test_syn_plain_with_data),
	        cmocka_unit_test(test_active_options),
	        cmocka_unit_test(test_refused),
	        cmocka_unit_test(test_simultaneous_open),
	        cmocka_unit_test(test_accept_refuses),
	        cmocka_unit_test(test_rst_generation),
	        cmocka_unit_test(test_synack_again),
	        cmocka_unit_test(test_syn_lost_rto),
	        cmocka_unit_test(test_syn_waits_for_buffer),
	        cmocka_unit_test(test_synack_lost_rto),
	        cmocka_unit_test(test_syn_retries),
	        cmocka_unit_test(test_close_by_us),
	        cmocka_unit_test(test_close_by_peer),
	        cmocka_unit_test(test_simultaneous_close),
	        cmocka_unit_test(test_release_unread),
	        cmocka_unit_test(test_fin_wait_2_timer),
	        cmocka_unit_test(test_blind_reset),
	        cmocka_unit_test(test_ack_range),
	        cmocka_unit_test(test_time_wait),
	        cmocka_unit_test(test_time_wait_reuse),
	        cmocka_unit_test(test_time_wait_cap),
	        cmocka_unit_test(test_time_wait_many),
	        cmocka_unit_test(test_conn_limit),
	        cmocka_unit_test(test_ports),
	        cmocka_unit_test(test_ports_in_a_row),
	        cmocka_unit_test(test_ports_of_others),
	        cmocka_unit_test(test_listen),
	        cmocka_unit_test(test_abort),
	        cmocka_unit_test(test_keepalive),
	        cmocka_unit_test(test_keepalive_answer),
	        cmocka_unit_test(test_icmp_mtu),
	        cmocka_unit_test(test_icmp_unreachable),
	        cmocka_unit_test(test_icmp_other_family),
	        cmocka_unit_test(test_simultaneous_close_in_a_burst),
	};

	if (test_setup(argc, argv) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
