/* Hand-made segments: data, acknowledgement, loss and recovery, windows, options. */
#include <stdlib.h>

#include "test_tcp_util.h"

#define MSS ((uint32_t)test_mss())

static uint8_t zeros[64 * MSS_MAX];

static void expect(struct peer *p, uint32_t seq, uint32_t ack, uint32_t len)
{
	assert_true(peer_rx(p));
	assert_int_equal(p->got.flags & ~F_PSH, F_ACK);
	assert_int_equal(p->got.seq, seq);
	assert_int_equal(p->got.ack, ack);
	assert_int_equal(p->got.len, len);
}

static void expect_ack(struct peer *p, uint32_t ack)
{
	expect(p, p->e.c->snd_nxt, ack, 0);
}

static void data_in(struct peer *p, uint32_t at, const char *text)
{
	peer_tx(p, F_ACK | F_PSH, p->seq + at, p->ack, text, (uint32_t)strlen(text));
}

static void write_out(struct peer *p, uint32_t n)
{
	assert_int_equal(sl_tcp_write(p->e.c, sl_span(zeros, n)), n);
	sl_tcp_flush(p->h.t, p->now);
}

static void expect_read(struct peer *p, const char *text)
{
	struct sl_span v[8];
	uint32_t nb = sl_tcp_peek(p->e.c, v, 8);
	size_t n = strlen(text), at = 0;

	assert_int_equal(sl_tcp_readable(p->e.c), n);
	for (uint32_t i = 0; i < nb; at += v[i++].n)
		assert_memory_equal(v[i].p, text + at, v[i].n);
	assert_int_equal(at, n);
	sl_tcp_consume(p->e.c, n);
}

/* The round-trip time is `us`. */
static void rtt_is(struct peer *p, uint32_t us)
{
	p->e.c->srtt_us = 0;
	tcp_rtt_sample(p->e.c, us);
}

/* Two segments or 40 ms; at once at the start. */
static void test_delayed_ack(void **state)
{
	struct peer p;
	uint32_t at = 0;

	peer_init(&p, NULL);
	peer_connect(&p);
	for (uint32_t i = 0; i < TCP_QUICKACK_SEGMENTS; i++, at++) {
		data_in(&p, at, "q");
		expect_ack(&p, p.seq + at + 1);
	}
	data_in(&p, at, "1");
	peer_run(&p, 39000);
	peer_none(&p);
	peer_run(&p, 2000);
	expect_ack(&p, p.seq + at + 1);
	data_in(&p, at + 1, "2");
	peer_none(&p);
	data_in(&p, at + 2, "3");
	expect_ack(&p, p.seq + at + 3);
	data_in(&p, at + 3, "4"); /* an answer carries it */
	write_out(&p, 10);
	expect(&p, p.ack, p.seq + at + 4, 10);
	peer_run(&p, 100000);
	peer_none(&p);
	peer_fini(&p);
}

/* The second segment first: from then on the path is known to lose something. */
static void swapped(struct peer *p)
{
	peer_tx(p, F_ACK | F_PSH, p->seq + 1, p->ack, "2", 1);
	peer_tx(p, F_ACK | F_PSH, p->seq, p->ack, "1", 1);
	p->seq += 2;
	expect_ack(p, p->seq - 2);
	expect_ack(p, p->seq);
	peer_none(p);
}

/* A peer that has more to say (no PSH) is not kept waiting for long; on a short path that has losses it hears
 * it again. */
static void test_ack_without_push(void **state)
{
	for (int how = 0; how < 4; how++) {
		bool lossy = how >= 2;
		struct peer p;

		peer_init(&p, NULL);
		p.sack = how % 2 == 1;
		peer_connect(&p);
		if (lossy)
			swapped(&p);
		p.e.c->quickack = 0;
		peer_tx(&p, F_ACK, p.seq, p.ack, "1", 1);
		peer_none(&p);
		peer_run(&p, TCP_DELACK_MORE + TCP_MS);
		expect_ack(&p, p.seq + 1);
		for (uint32_t i = 0; i < (p.sack && lossy ? TCP_ACK_AGAIN : 0); i++) {
			uint64_t us = 0;

			for (; !peer_rx(&p); us += TCP_MS / 2)
				peer_run(&p, TCP_MS / 2);
			assert_in_range(us, (TCP_ACK_AGAIN_US << i) - TCP_MS,
			                (TCP_ACK_AGAIN_US << i) + TCP_MS);
			assert_int_equal(p.got.ack, p.seq + 1);
		}
		peer_run(&p, TCP_S);
		peer_none(&p);
		/* The end of what it has to say ends that, too. */
		peer_tx(&p, F_ACK, p.seq + 1, p.ack, "2", 1);
		peer_tx(&p, F_ACK | F_PSH, p.seq + 2, p.ack, "3", 1);
		expect_ack(&p, p.seq + 3);
		peer_run(&p, TCP_S);
		peer_none(&p);
		/* A full segment is not the end. */
		p.e.c->quickack = 1;
		peer_tx(&p, F_ACK | F_PSH, p.seq + 3, p.ack, zeros, TCP_MSS_DEFAULT);
		expect_ack(&p, p.seq + 3 + TCP_MSS_DEFAULT);
		peer_run(&p, TCP_S);
		assert_int_equal(peer_drain(&p), p.sack && lossy ? TCP_ACK_AGAIN : 0);
		peer_fini(&p);
	}
}

/* On a long path the peer's own timers are not what costs. */
static void test_ack_once_on_long_path(void **state)
{
	struct peer p;

	peer_init(&p, NULL);
	p.sack = true;
	peer_connect(&p);
	swapped(&p);
	rtt_is(&p, 100 * 1000);
	peer_tx(&p, F_ACK, p.seq, p.ack, "1", 1);
	expect_ack(&p, p.seq + 1);
	peer_run(&p, TCP_S);
	peer_none(&p);
	peer_fini(&p);
}

/* Behind a loss the peer's window is small: each segment is acknowledged at once for a while. */
static void test_quick_acks_after_loss(void **state)
{
	struct peer p;

	peer_init(&p, NULL);
	p.sack = true;
	peer_connect(&p);
	p.e.c->quickack = 0;
	data_in(&p, 1, "b");
	expect_ack(&p, p.seq);
	data_in(&p, 0, "a");
	expect_ack(&p, p.seq + 2);
	for (uint32_t i = 0; i < TCP_QUICKACK_LOSS; i++) {
		data_in(&p, 2 + i, "c");
		expect_ack(&p, p.seq + 3 + i);
	}
	data_in(&p, 2 + TCP_QUICKACK_LOSS, "d");
	peer_none(&p);
	peer_run(&p, 50000);
	expect_ack(&p, p.seq + 3 + TCP_QUICKACK_LOSS);
	peer_fini(&p);
}

/* The first bytes win, in every way to overlap. */
static void test_overlap(void **state)
{
	struct peer p;

	peer_init(&p, NULL);
	p.sack = true;
	peer_connect(&p);
	data_in(&p, 4, "EFGH");
	data_in(&p, 2, "xxxxxxxx"); /* 2..10: fills 2..4 and 8..10 */
	data_in(&p, 4, "yyyyyy");
	assert_int_equal(sl_tcp_readable(p.e.c), 0);
	data_in(&p, 0, "ABzzzzzzzzKL");
	expect_read(&p, "ABxxEFGHxxKL");
	data_in(&p, 6, "old bytes"); /* 12 are known, 3 are new */
	expect_read(&p, "tes");
	peer_drain(&p);
	peer_fini(&p);
}

static void test_sack_blocks(void **state)
{
	struct peer p;

	peer_init(&p, NULL);
	p.sack = true;
	peer_connect(&p);
	data_in(&p, 10, "aa");
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.ack, p.seq);
	assert_int_equal(p.got.o.nb_sack, 1);
	assert_int_equal(p.got.o.sack[0].start, p.seq + 10);
	assert_int_equal(p.got.o.sack[0].end, p.seq + 12);
	data_in(&p, 20, "bb");
	assert_true(peer_rx(&p));
	data_in(&p, 12, "cc"); /* the block that changed last comes first */
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.o.nb_sack, 2);
	assert_int_equal(p.got.o.sack[0].start, p.seq + 10);
	assert_int_equal(p.got.o.sack[0].end, p.seq + 14);
	assert_int_equal(p.got.o.sack[1].start, p.seq + 20);
	for (uint32_t i = 3; i < 40; i++)
		data_in(&p, i * 10, "dd");
	while (peer_rx(&p))
		;
	assert_int_equal(p.got.o.nb_sack, 4);
	assert_int_equal(p.got.o.sack[0].start, p.seq + 390);
	assert_int_equal(p.got.o.sack[1].start, p.seq + 380);
	data_in(&p, 0, "0123456789");
	assert_int_equal(sl_tcp_readable(p.e.c), 14);
	peer_drain(&p);
	peer_fini(&p);
}

/* More pieces than are kept: bounded, and what comes in order still gets through. */
static void test_ooo_bound(void **state)
{
	struct sl_tcp_cfg tune = {.rx_buf_bytes = 8U << 20};
	struct peer p;
	struct sl_tcp_info info;

	peer_init(&p, &tune);
	peer_connect(&p);
	for (uint32_t i = 1; i < TCP_OOO_RUNS + 100; i++)
		data_in(&p, 2 * i, "x");
	sl_tcp_get_info(p.e.c, &info);
	assert_int_equal(info.ooo_bytes, TCP_OOO_RUNS);
	for (uint32_t i = 0; i < TCP_OOO_RUNS + 100; i++)
		data_in(&p, 2 * i, "ab");
	assert_int_equal(sl_tcp_readable(p.e.c), 2 * (TCP_OOO_RUNS + 100));
	sl_tcp_consume(p.e.c, 2 * (TCP_OOO_RUNS + 100));
	peer_drain(&p);
	peer_fini(&p);
}

static void test_fin_out_of_order(void **state)
{
	struct peer p;

	peer_init(&p, NULL);
	peer_connect(&p);
	peer_tx(&p, F_ACK | F_FIN, p.seq + 3, p.ack, "def", 3);
	assert_false(p.e.events & SL_TCP_EV_EOF);
	data_in(&p, 6, "no byte comes behind a FIN");
	data_in(&p, 0, "abc");
	expect_read(&p, "abcdef");
	assert_true(sl_tcp_eof(p.e.c));
	peer_drain(&p);
	peer_fini(&p);

	peer_init(&p, NULL); /* a FIN in front of bytes that are there already is a lie */
	peer_connect(&p);
	data_in(&p, 5, "fgh");
	peer_tx(&p, F_ACK | F_FIN, p.seq + 3, p.ack, NULL, 0);
	data_in(&p, 0, "abcde");
	expect_read(&p, "abcdefgh");
	assert_false(sl_tcp_eof(p.e.c));
	peer_drain(&p);
	peer_fini(&p);
}

static void test_urgent_in_line(void **state)
{
	struct peer p;
	struct seg s;

	peer_init(&p, NULL);
	peer_connect(&p);
	s = (struct seg){.seq = p.seq,
	                 .ack = p.ack,
	                 .flags = F_ACK | F_URG,
	                 .wnd = 1000,
	                 .sport = p.sport,
	                 .dport = p.dport,
	                 .len = 3};
	memcpy(s.data, "a!b", 3);
	peer_send(&p, &s);
	expect_read(&p, "a!b");
	peer_drain(&p);
	peer_fini(&p);
}

static void test_readable_events(void **state)
{
	struct peer p;

	peer_init(&p, NULL);
	peer_connect(&p);
	data_in(&p, 0, "a");
	data_in(&p, 1, "b");
	assert_int_equal(p.e.nb_readable, 2);
	data_in(&p, 0, "ab"); /* nothing new */
	data_in(&p, 5, "z");  /* nothing in order */
	assert_int_equal(p.e.nb_readable, 2);
	peer_drain(&p);
	peer_fini(&p);
}

/* RFC 7323: PAWS, its exceptions, and TS.Recent. */
static void test_paws(void **state)
{
	struct peer p;
	struct seg s;

	peer_init(&p, NULL);
	p.ts = true;
	peer_connect(&p);
	p.ts_val += 100;
	data_in(&p, 0, "new");
	expect_ack(&p, p.seq + 3);
	assert_int_equal(p.got.o.ts_ecr, p.ts_val);
	p.ts_val -= 50;
	data_in(&p, 3, "old");
	expect_ack(&p, p.seq + 3);
	assert_int_equal(sl_tcp_readable(p.e.c), 3);
	s = (struct seg){.seq = p.seq + 3,
	                 .ack = p.ack,
	                 .flags = F_ACK,
	                 .wnd = 9,
	                 .sport = p.sport,
	                 .dport = p.dport,
	                 .len = 1};
	peer_send(&p, &s); /* no timestamp at all */
	peer_none(&p);
	assert_int_equal(sl_tcp_readable(p.e.c), 3);
	p.ts_val += 60;
	data_in(&p, 10, "gap"); /* beyond the last ACK: TS.Recent stays */
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.o.ts_ecr, p.ts_val - 10);
	p.ts_val -= 200;
	p.now += TCP_PAWS_MAX_AGE + TCP_S; /* the clock may have wrapped */
	data_in(&p, 3, "late");
	assert_int_equal(sl_tcp_readable(p.e.c), 7);
	s.flags = F_RST; /* RST needs none */
	s.seq = p.seq + 7;
	s.len = 0;
	peer_send(&p, &s);
	assert_int_equal(p.e.err, SL_E_TCP_RESET);
	peer_drain(&p);
	peer_fini(&p);
}

/*
 * A segment that fills a gap again sets TS.Recent; what was sent before it, and was overtaken by it, is a few
 * ticks older and new all the same. TS.Recent does not go back for it.
 */
static void test_paws_reordering(void **state)
{
	struct peer p;

	peer_init(&p, NULL);
	p.ts = true;
	peer_connect(&p);
	p.ts_val += 100;
	data_in(&p, 0, "again");
	expect_ack(&p, p.seq + 5);
	p.ts_val -= TCP_PAWS_SLACK;
	data_in(&p, 5, "before");
	expect_ack(&p, p.seq + 11);
	assert_int_equal(p.got.o.ts_ecr, p.ts_val + TCP_PAWS_SLACK);
	p.ts_val--;
	data_in(&p, 11, "old");
	expect_ack(&p, p.seq + 11);
	assert_int_equal(sl_tcp_readable(p.e.c), 11);
	peer_drain(&p);
	peer_fini(&p);
}

static void raw_opts(struct peer *p, const uint8_t *o, uint32_t n)
{
	struct seg s = {.seq = p->seq, .flags = F_SYN, .wnd = 1000, .sport = p->sport, .dport = p->dport};

	memset(s.opts, 1, sizeof(s.opts));
	memcpy(s.opts, o, n);
	s.nb_opts = (n + 3) / 4 * 4;
	peer_send(p, &s);
}

static void test_option_hygiene(void **state)
{
	static const struct {
		uint8_t n, o[20];
		bool good;
	} cases[] = {
	        {4, {2, 4, 5, 180}, true},
	        {4, {2, 3, 5, 180}, false},
	        {4, {2, 0, 5, 180}, false},
	        {4, {2, 1, 5, 180}, false},
	        {4, {2, 40, 5, 180}, false},
	        {8, {2, 4, 5, 180, 2, 4, 5, 180}, false},
	        {4, {1, 3, 3, 30}, true},
	        {8, {3, 3, 1, 3, 3, 1, 1, 1}, false},
	        {4, {1, 1, 1, 2}, false},
	        {4, {4, 2, 4, 2}, false},
	        {4, {4, 3, 0, 1}, false},
	        {4, {8, 4, 0, 0}, false},
	        {4, {0, 2, 0, 99}, true},
	        {4, {5, 2, 1, 1}, false},
	        {8, {5, 6, 1, 1, 1, 1, 1, 1}, false},
	        {4, {34, 2, 1, 1}, true}, /* TFO: skipped */
	        {4, {254, 4, 1, 1}, true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct peer p;
		bool answered;

		peer_init(&p, NULL);
		raw_opts(&p, cases[i].o, cases[i].n);
		answered = peer_rx(&p);
		if (answered != cases[i].good)
			fail_msg("case %zu", i);
		if (i == 6)
			assert_int_equal(p.h.t->syn.e[0].wscale, TCP_WND_SHIFT_MAX);
		peer_fini(&p);
	}
}

static void test_bad_segments(void **state)
{
	struct seg s = {.seq = 1, .flags = F_SYN, .wnd = 1000, .sport = 40000, .dport = 5432};
	struct peer p;
	struct sl_net_segment ip = {0};
	struct rte_mbuf *m;

	peer_init(&p, NULL);
	s.bad_csum = true;
	peer_send(&p, &s);
	s.bad_csum = false;
	s.sport = 0;
	peer_send(&p, &s);
	peer_none(&p);
	ip.src = ip.dst = p.h.addr;
	for (uint16_t n = 0; n < 20; n++) {
		m = rte_pktmbuf_alloc(test_pool);
		memset(rte_pktmbuf_append(m, n), 0, n);
		sl_tcp_input(p.h.t, &m, &ip, 1, p.now);
	}
	for (uint16_t off = 0; off < 16;
	     off++) { /* the port says the checksum is good: the offset is checked all the same */
		m = rte_pktmbuf_alloc(test_pool);
		m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
		memset(rte_pktmbuf_append(m, 24), 0, 24);
		rte_pktmbuf_mtod(m, uint8_t *)[12] = (uint8_t)(off << 4);
		sl_tcp_input(p.h.t, &m, &ip, 1, p.now);
	}
	m = rte_pktmbuf_alloc(test_pool);
	m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_BAD;
	memset(rte_pktmbuf_append(m, 20), 0, 20);
	sl_tcp_input(p.h.t, &m, &ip, 1, p.now);
	peer_none(&p);
	peer_fini(&p);
}

/* The payload may lie in any number of mbufs, and the header across two. */
static void test_chained_mbuf(void **state)
{
	struct sl_net_segment ip = {0};
	struct peer p;

	peer_init(&p, NULL);
	peer_connect(&p);
	ip.src = peer_endpoint(&p).addr;
	ip.dst = p.h.addr;
	for (uint16_t cut = 1; cut < 26; cut++) {
		uint8_t b[26] = {0};
		struct rte_mbuf *m = rte_pktmbuf_alloc(test_pool), *m2 = rte_pktmbuf_alloc(test_pool);

		sl_put_be16(b, p.sport);
		sl_put_be16(b + 2, p.dport);
		sl_put_be32(b + 4, p.seq);
		sl_put_be32(b + 8, p.ack);
		b[12] = 5 << 4;
		b[13] = F_ACK;
		sl_put_be16(b + 14, 1000);
		memcpy(b + 20, "chains", 6);
		m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
		memcpy(rte_pktmbuf_append(m, cut), b, cut);
		memcpy(rte_pktmbuf_append(m2, (uint16_t)(26 - cut)), b + cut, 26U - cut);
		assert_int_equal(rte_pktmbuf_chain(m, m2), 0);
		sl_tcp_input(p.h.t, &m, &ip, 1, p.now);
		expect_read(&p, "chains");
		p.seq += 6;
	}
	sl_tcp_flush(p.h.t, p.now);
	peer_drain(&p);
	peer_fini(&p);
}

/* Our window shuts, the peer probes it, and it opens again. */
static void test_receive_window(void **state)
{
	struct sl_tcp_cfg tune = {.rx_buf_bytes = 4096};
	struct peer p;

	peer_init(&p, &tune);
	peer_connect(&p);
	peer_tx(&p, F_ACK, p.seq, p.ack, zeros, 2000);
	peer_tx(&p, F_ACK, p.seq + 2000, p.ack, zeros, 2000);
	assert_int_equal(peer_drain(&p), 2);
	assert_int_equal(p.got.wnd, 96);
	peer_tx(&p, F_ACK, p.seq + 4000, p.ack, zeros, 200); /* 96 fit */
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.ack, p.seq + 4096);
	assert_int_equal(p.got.wnd, 0);
	peer_tx(&p, F_ACK, p.seq + 4096, p.ack, zeros, 1); /* a probe */
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.ack, p.seq + 4096);
	assert_int_equal(sl_tcp_readable(p.e.c), 4096);
	sl_tcp_consume(p.e.c, 500); /* a crumb: not worth an update (silly window) */
	sl_tcp_flush(p.h.t, p.now);
	peer_none(&p);
	peer_tx(&p, F_ACK, p.seq + 4096, p.ack, zeros, 1);
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.wnd, 0);
	sl_tcp_consume(p.e.c, 2500);
	sl_tcp_flush(p.h.t, p.now);
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.wnd, 3000);
	sl_tcp_consume(p.e.c, 5000);
	peer_fini(&p);
}

/* Nothing comes before the timer of now and `wait`, but for the time since it was set and the wheel's grain.
 */
static void run_to_timeout(struct peer *p, uint64_t wait)
{
	uint64_t due = tcp_timer_at(p->e.c, TCP_TMR_RTX);

	assert_in_range(due, p->now + wait - 3000, p->now + wait + TCP_MS);
	peer_run(p, due - p->now - 1000);
	peer_none(p);
	peer_run(p, 2001);
}

/* The peer's window shuts: probes that back off, and no end while they are answered. */
static void test_zero_window(void **state)
{
	struct peer p;

	peer_init(&p, NULL);
	peer_connect(&p);
	peer_ack(&p, p.ack, 0, NULL, 0);
	write_out(&p, 100);
	peer_none(&p);
	for (uint32_t i = 0; i < 40; i++) {
		uint64_t wait = (uint64_t)p.e.c->rto_us << (i < 12 ? i : 12);

		if (wait > TCP_RTO_MAX)
			wait = TCP_RTO_MAX;
		run_to_timeout(&p, wait);
		expect(&p, p.ack - 1, p.seq, 0);
		peer_ack(&p, p.ack, 0, NULL, 0);
	}
	assert_int_equal(p.e.err, 0);
	peer_ack(&p, p.ack, 60, NULL,
	         0); /* less than all, and not half of the largest: waits for the timer */
	peer_none(&p);
	peer_run(&p, 300000);
	expect(&p, p.ack, p.seq, 60);
	peer_ack(&p, p.ack + 60, 1000, NULL, 0);
	expect(&p, p.ack + 60, p.seq, 40);
	peer_ack(&p, p.ack + 100, 0, NULL, 0);
	write_out(&p, 10); /* probes without an answer end it */
	peer_run(&p, 1000 * TCP_S);
	assert_int_equal(p.e.err, SL_E_TCP_TIMEOUT);
	peer_drain(&p);
	peer_fini(&p);
}

/* RFC 6298: the timeout doubles; after the last one the connection ends. */
static void test_rto(void **state)
{
	struct peer p;
	uint64_t rto, sum = 0;
	uint32_t len;

	peer_init(&p, NULL);
	peer_connect(&p);
	rto = p.e.c->rto_us;
	assert_in_range(rto, TCP_RTO_MIN, TCP_RTO_MIN + p.e.c->srtt_us);
	write_out(&p, 3 * MSS);
	assert_int_equal(peer_drain(&p), 3);
	for (int i = 0; i < TCP_RTX_RETRIES; i++) {
		run_to_timeout(&p, rto);
		/* One segment: cwnd is one. Smaller ones might get past a black hole. */
		if (test.family == SL_AF_INET6)
			len = i < 2 ? MSS : u32_min(MSS, 1220);
		else
			len = i < 2 ? MSS : u32_min(MSS, i < 5 ? 1024 : 536);
		expect(&p, p.ack, p.seq, len);
		sum += rto;
		rto = rto * 2 < TCP_RTO_MAX ? rto * 2 : TCP_RTO_MAX;
	}
	assert_true(sum > 100 * TCP_S); /* R2 */
	peer_run(&p, rto + 5000);
	assert_int_equal(p.e.err, SL_E_TCP_TIMEOUT);
	peer_drain(&p);
	peer_fini(&p);
}

/* After a timeout the rest is sent again in slow start, and nothing that was acknowledged. */
static void test_rto_recovers(void **state)
{
	struct peer p;

	peer_init(&p, NULL);
	peer_connect(&p);
	write_out(&p, 6 * MSS);
	assert_int_equal(peer_drain(&p), 6);
	peer_run(&p, p.e.c->rto_us + 2000);
	expect(&p, p.ack, p.seq, MSS);
	peer_ack(&p, p.ack + MSS, 65535, NULL, 0);
	expect(&p, p.ack + MSS, p.seq, MSS);
	expect(&p, p.ack + 2 * MSS, p.seq, MSS);
	peer_none(&p);
	peer_ack(&p, p.ack + 6 * MSS, 65535, NULL, 0);
	peer_run(&p, TCP_S);
	peer_none(&p);
	assert_int_equal(sl_tcp_unacked(p.e.c), 0);
	peer_fini(&p);
}

/* RFC 6582: three duplicate ACKs, limited transmit before (RFC 3042), partial ACKs after. */
static void test_newreno(void **state)
{
	struct peer p;
	uint32_t cwnd;

	peer_init(&p, NULL);
	peer_connect(&p);
	write_out(&p, 20 * MSS);
	assert_int_equal(peer_drain(&p), 10); /* IW10 */
	cwnd = p.e.c->cwnd;
	assert_int_equal(cwnd, 10 * MSS);
	peer_ack(&p, p.ack, 65535, NULL, 0);
	expect(&p, p.ack + 10 * MSS, p.seq, MSS); /* limited transmit */
	peer_ack(&p, p.ack, 65535, NULL, 0);
	expect(&p, p.ack + 11 * MSS, p.seq, MSS);
	peer_ack(&p, p.ack, 65535, NULL, 0);
	expect(&p, p.ack, p.seq, MSS); /* fast retransmit */
	peer_none(&p);
	assert_int_equal(p.e.c->ssthresh, cwnd * 7 / 10);
	assert_int_equal(p.e.c->cwnd, 9 * MSS);        /* PRR: 8 in flight, and the retransmission */
	peer_ack(&p, p.ack + 4 * MSS, 65535, NULL, 0); /* partial */
	expect(&p, p.ack + 4 * MSS, p.seq, MSS);
	peer_drain(&p);
	peer_ack(&p, p.e.c->snd_nxt, 65535, NULL, 0);
	assert_int_equal(p.e.c->ca_state, TCP_CA_OPEN);
	assert_int_equal(p.e.c->cwnd, cwnd * 7 / 10);
	peer_fini(&p);
}

/* Duplicate ACKs that are none: with data, with another window, with nothing in flight. */
static void test_not_dup_acks(void **state)
{
	struct peer p;

	peer_init(&p, NULL);
	peer_connect(&p);
	for (int i = 0; i < 5; i++)
		peer_ack(&p, p.ack, 65535, NULL, 0);
	peer_none(&p);
	write_out(&p, 10 * MSS);
	assert_int_equal(peer_drain(&p), 10);
	for (uint16_t i = 0; i < 5; i++)
		peer_ack(&p, p.ack, (uint16_t)(65000 - i), NULL, 0);
	for (uint32_t i = 0; i < 5; i++)
		data_in(&p, i, "d");
	while (peer_rx(&p))
		assert_int_equal(p.got.len, 0);
	assert_int_equal(p.e.c->ca_state, TCP_CA_OPEN);
	peer_fini(&p);
}

/* Holes are sent again in order and once, what is SACKed is not; PRR says when (RFC 8985, RFC 6937). */
static void test_sack_recovery(void **state)
{
	struct peer p;
	struct tcp_range r[2];
	uint32_t s;

	peer_init(&p, NULL);
	p.sack = true;
	peer_connect(&p);
	s = p.ack;
	write_out(&p, 10 * MSS);
	assert_int_equal(peer_drain(&p), 10);
	p.now += 10000;
	/* Lost: 0, 3. */
	r[0] = (struct tcp_range){s + MSS, s + 2 * MSS};
	peer_ack(&p, s, 65535, r, 1);
	peer_none(&p);
	r[0].end = s + 3 * MSS;
	peer_ack(&p, s, 65535, r, 1);
	peer_none(&p);
	r[1] = r[0];
	r[0] = (struct tcp_range){s + 4 * MSS, s + 5 * MSS};
	peer_ack(&p, s, 65535, r, 2); /* more than two segments above: lost */
	expect(&p, s, p.seq, MSS);
	assert_int_equal(p.e.c->board.lost_bytes, MSS);
	peer_none(&p); /* hole 3 is lost too: all after it arrived; the window is not there yet */
	r[0].end = s + 8 * MSS;
	peer_ack(&p, s, 65535, r, 2);
	expect(&p, s + 3 * MSS, p.seq, MSS);
	peer_none(&p);
	r[0].end = s + 10 * MSS;
	peer_ack(&p, s, 65535, r, 2);
	peer_none(&p); /* each hole once */
	peer_ack(&p, s + 3 * MSS, 65535, r, 1);
	assert_int_equal(p.e.c->ca_state, TCP_CA_RECOVERY);
	peer_ack(&p, s + 10 * MSS, 65535, NULL, 0);
	assert_int_equal(p.e.c->ca_state, TCP_CA_OPEN);
	assert_int_equal(p.e.c->board.sacked_bytes, 0);
	peer_run(&p, TCP_S);
	peer_none(&p);
	peer_fini(&p);
}

/* Blocks that cannot be: beyond what was sent, below the ACK, inside out, reneged. */
static void test_sack_lies(void **state)
{
	struct peer p;
	struct tcp_range r[4];
	uint32_t s;

	peer_init(&p, NULL);
	p.sack = true;
	peer_connect(&p);
	s = p.ack;
	write_out(&p, 5 * MSS);
	assert_int_equal(peer_drain(&p), 5);
	p.now += 50000;
	r[0] = (struct tcp_range){s + MSS, s + 50 * MSS};
	r[1] = (struct tcp_range){s - 100, s - 50};
	r[2] = (struct tcp_range){s + 3 * MSS, s + MSS};
	r[3] = (struct tcp_range){s, s + MSS};
	peer_ack(&p, s, 65535, r, 4);
	assert_int_equal(p.e.c->board.sacked_bytes, 0);
	r[0] = (struct tcp_range){s + MSS, s + 2 * MSS};
	peer_ack(&p, s, 65535, r, 1);
	assert_true(p.e.c->board.sacked_bytes > 0);
	peer_ack(&p, s + MSS, 65535, NULL, 0); /* it had more, it said; it may say so again */
	peer_run(&p, 9000);
	peer_none(&p);
	peer_run(&p, 3000);
	expect(&p, s + MSS, p.seq, MSS);
	assert_int_equal(p.e.c->board.sacked_bytes, 0);
	peer_fini(&p);
}

/* The RTO keeps the scoreboard (RFC 8985, 6.3): only what is missing is sent again. */
static void test_sack_and_rto(void **state)
{
	struct peer p;
	struct tcp_range r;

	peer_init(&p, NULL);
	p.sack = true;
	peer_connect(&p);
	write_out(&p, 3 * MSS);
	peer_drain(&p);
	r = (struct tcp_range){p.ack + MSS, p.ack + 2 * MSS};
	p.now += 100;
	peer_ack(&p, p.ack, 65535, &r, 1);
	peer_run(&p, 10000);
	expect(&p, p.ack, p.seq, MSS);               /* RACK: the one behind it arrived */
	for (uint32_t i = 0; i < TCP_TLP_MAX; i++) { /* on so short a path silence is probed first */
		peer_run(&p, TCP_TLP_AGAIN_MAX);
		(void)peer_drain(&p);
	}
	assert_int_equal(p.e.c->ca_state, TCP_CA_RECOVERY);
	peer_run(&p, 225000);
	expect(&p, p.ack, p.seq, MSS);
	assert_int_equal(p.e.c->board.sacked_bytes, MSS);
	peer_ack(&p, p.ack + 2 * MSS, 65535, NULL, 0);
	expect(&p, p.ack + 2 * MSS, p.seq, MSS);
	peer_none(&p);
	peer_fini(&p);
}

static void test_rtt(void **state)
{
	struct sl_tcp_info info;
	struct peer p;

	peer_init(&p, NULL);
	peer_connect(&p);
	write_out(&p, 100);
	peer_drain(&p);
	p.now += 100000;
	peer_ack(&p, p.ack + 100, 65535, NULL, 0);
	sl_tcp_get_info(p.e.c, &info);
	assert_in_range(info.srtt_us, 12000, 13000); /* 7/8 * ~0 + 100 ms / 8 */
	assert_in_range(info.rto_us, 200000, 250000);
	assert_string_equal(info.state, "ESTABLISHED");
	assert_int_equal(info.bytes_sent, 100);
	peer_fini(&p);
}

/* Small segments go at once (no Nagle), and one flush makes one segment of several writes. */
static void test_no_nagle(void **state)
{
	struct peer p;

	peer_init(&p, NULL);
	peer_connect(&p);
	write_out(&p, 10);
	expect(&p, p.ack, p.seq, 10);
	assert_int_equal(sl_tcp_write(p.e.c, SL_SPAN_LIT("ab")), 2);
	write_out(&p, 5);
	expect(&p, p.ack + 10, p.seq, 7);
	assert_true(p.got.flags & F_PSH);
	peer_fini(&p);
}

static void test_writable(void **state)
{
	struct sl_tcp_cfg tune = {.tx_buf_bytes = 4096};
	struct peer p;

	peer_init(&p, &tune);
	peer_connect(&p);
	assert_int_equal(sl_tcp_space(p.e.c), 4096);
	assert_int_equal(sl_tcp_write(p.e.c, sl_span(zeros, 10000)), 4096);
	assert_int_equal(sl_tcp_space(p.e.c), 0);
	assert_int_equal(sl_tcp_unacked(p.e.c), 4096);
	sl_tcp_flush(p.h.t, p.now);
	peer_drain(&p);
	peer_ack(&p, p.ack + 100, 65535, NULL, 0);
	assert_false(p.e.events & SL_TCP_EV_WRITABLE);
	peer_ack(&p, p.ack + 2000, 65535, NULL, 0);
	assert_true(p.e.events & SL_TCP_EV_WRITABLE);
	assert_int_equal(sl_tcp_space(p.e.c), 2000);
	peer_fini(&p);
}

/* No mbuf: nothing is lost, the next flush tries again, and the tick asks for it soon. */
static void test_pool_empty(void **state)
{
	static struct rte_mbuf *held[8192];
	struct peer p;
	uint32_t n = 0;

	peer_init(&p, NULL);
	peer_connect(&p);
	assert_int_equal(sl_tcp_write(p.e.c, sl_span(zeros, 5000)), 5000);
	while (n < 8192 && (held[n] = rte_pktmbuf_alloc(test_pool)) != NULL)
		n++;
	sl_tcp_flush(p.h.t, p.now);
	sl_tcp_flush(p.h.t, p.now);
	peer_none(&p);
	assert_true(sl_tcp_tick(p.h.t, p.now) <= p.now + 1000);
	while (n > 0)
		rte_pktmbuf_free(held[--n]);
	sl_tcp_flush(p.h.t, p.now);
	for (uint32_t at = 0; at < 5000; at += p.got.len)
		assert_true(peer_rx(&p) && p.got.seq == p.ack + at);
	peer_fini(&p);
}

/* No memory: a write takes nothing, and is told when there are some again. */
static void test_memory_empty(void **state)
{
	struct sl_tcp_cfg tune = {.max_total_bytes = 8 * 4096};
	uint32_t each = test_pool->elt_size - (uint32_t)sizeof(struct rte_mbuf);
	uint32_t nb = (6 * 4096 + each - 1) / each;
	struct peer p;
	struct end e2 = {0};

	peer_init(&p, &tune);
	peer_connect(&p);
	assert_int_equal(sl_tcp_write(p.e.c, sl_span(zeros, 60000)),
	                 nb * each); /* the last quarter is for others */
	sl_tcp_flush(p.h.t, p.now);
	peer_drain(&p);
	e2 = p.e;
	p.h.accept_end = &p.e;
	p.e = (struct end){0};
	p.sport++;
	peer_connect(&p);
	assert_int_equal(sl_tcp_write(p.e.c, sl_span(zeros, 5000)), each);
	sl_tcp_tick(p.h.t, p.now);
	assert_false(p.e.events & SL_TCP_EV_WRITABLE);
	sl_tcp_abort(e2.c, p.now);
	sl_tcp_tick(p.h.t, p.now);
	assert_true(p.e.events & SL_TCP_EV_WRITABLE);
	peer_drain(&p);
	peer_fini(&p);
}

/* An idle connection holds no buffer memory. */
static void test_idle_memory(void **state)
{
	struct peer p;

	peer_init(&p, NULL);
	peer_connect(&p);
	for (uint32_t i = 0; i < 100; i++) {
		data_in(&p, 0, "some words to read");
		assert_int_equal(p.h.t->rpieces.nb_used, 1);
		sl_tcp_consume(p.e.c, 18);
		p.seq += 18;
		write_out(&p, 17);
		p.ack += 17;
		peer_ack(&p, p.ack, 65535, NULL, 0);
		assert_int_equal(p.h.t->mem_used, 0);
		peer_drain(&p);
	}
	peer_fini(&p);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_delayed_ack),
	        cmocka_unit_test(test_ack_without_push),
	        cmocka_unit_test(test_ack_once_on_long_path),
	        cmocka_unit_test(test_quick_acks_after_loss),
	        cmocka_unit_test(test_overlap),
	        cmocka_unit_test(test_sack_blocks),
	        cmocka_unit_test(test_ooo_bound),
	        cmocka_unit_test(test_fin_out_of_order),
	        cmocka_unit_test(test_urgent_in_line),
	        cmocka_unit_test(test_readable_events),
	        cmocka_unit_test(test_paws),
	        cmocka_unit_test(test_paws_reordering),
	        cmocka_unit_test(test_option_hygiene),
	        cmocka_unit_test(test_bad_segments),
	        cmocka_unit_test(test_chained_mbuf),
	        cmocka_unit_test(test_receive_window),
	        cmocka_unit_test(test_zero_window),
	        cmocka_unit_test(test_rto),
	        cmocka_unit_test(test_rto_recovers),
	        cmocka_unit_test(test_newreno),
	        cmocka_unit_test(test_not_dup_acks),
	        cmocka_unit_test(test_sack_recovery),
	        cmocka_unit_test(test_sack_lies),
	        cmocka_unit_test(test_sack_and_rto),
	        cmocka_unit_test(test_rtt),
	        cmocka_unit_test(test_no_nagle),
	        cmocka_unit_test(test_writable),
	        cmocka_unit_test(test_pool_empty),
	        cmocka_unit_test(test_memory_empty),
	        cmocka_unit_test(test_idle_memory),
	};

	if (test_setup(argc, argv) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
