/* Bursts: what is merged, what ends a run, and that nobody can tell from what comes out. */
#include <stdio.h>
#include <stdlib.h>

#include "test_tcp_util.h"

#define LEN       300 /* of a segment: not copied */
#define BURST_MAX 40  /* more than one round of the stack */
#define OPT_NOP   1
#define OPT_SACK  5

static struct seg segs[BURST_MAX];
static uint64_t merged_before;

static uint8_t byte_at(uint32_t seq)
{
	return (uint8_t)(seq * 7 + seq / 255);
}

/* A segment of the peer's stream from its SND.NXT + at. */
static struct seg *seg_at(const struct peer *p, uint32_t i, uint32_t at, uint32_t len)
{
	struct seg *s = &segs[i];

	memset(s, 0, sizeof(*s));
	s->seq = p->seq + at;
	s->ack = p->ack;
	s->flags = F_ACK;
	s->wnd = 65535;
	s->sport = p->sport;
	s->dport = p->dport;
	s->len = len;
	for (uint32_t k = 0; k < len; k++)
		s->data[k] = byte_at(s->seq + k);
	if (p->ts)
		s->nb_opts = tcp_options_ts(p->ts_val, p->ts_ecr, s->opts);
	return s;
}

static void in_row(const struct peer *p, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		(void)seg_at(p, i, i * LEN, LEN);
}

static void burst(struct peer *p, uint16_t n)
{
	struct rte_mbuf *m[BURST_MAX];
	struct sl_net_segment ip[BURST_MAX];

	for (uint16_t i = 0; i < n; i++)
		m[i] = peer_segment(p, &segs[i], &ip[i]);
	merged_before = sl_counter_sum(SL_C_TCP_MERGED);
	sl_tcp_input(p->h.t, m, ip, n, p->now);
	sl_tcp_flush(p->h.t, p->now);
}

static uint64_t merged(void)
{
	return sl_counter_sum(SL_C_TCP_MERGED) - merged_before;
}

/* Reads n bytes of the stream from `from` on, and no more are there. */
static void expect_bytes(struct peer *p, uint32_t from, uint32_t n)
{
	struct sl_span v[8];
	uint32_t nb, got = 0;

	assert_int_equal(sl_tcp_readable(p->e.c), n);
	while ((nb = sl_tcp_peek(p->e.c, v, 8)) > 0) {
		size_t part = 0;

		for (uint32_t i = 0; i < nb; i++) {
			for (size_t k = 0; k < v[i].n; k++)
				assert_int_equal(v[i].p[k], byte_at(from + got++));
			part += v[i].n;
		}
		sl_tcp_consume(p->e.c, part);
	}
	assert_int_equal(got, n);
}

static void start(struct peer *p, bool ts, bool ecn)
{
	struct sl_tcp_cfg tune = {.ecn = ecn};

	peer_init(p, &tune);
	p->ts = ts;
	p->sack = true;
	p->ecn = ecn;
	peer_connect(p);
}

static void stop(struct peer *p)
{
	peer_drain(p);
	peer_fini(p);
}

static void test_run(void **state)
{
	struct sl_tcp_piece v[BURST_MAX];
	struct peer p;
	uint32_t nb;

	(void)state;
	start(&p, true, false);
	in_row(&p, BURST_MAX);
	segs[3].flags |= F_PSH;
	burst(&p, BURST_MAX);
	assert_int_equal(merged(), BURST_MAX - 2); /* two rounds */
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.ack, p.seq + BURST_MAX * LEN);
	peer_none(&p); /* one ACK for all */
	nb = sl_tcp_peek_pieces(p.e.c, v, BURST_MAX);
	for (uint32_t i = 0; i < nb && !test.offload; i++) { /* where each packet was received; no chains */
		assert_int_equal(v[i].len, LEN);
		assert_ptr_equal(v[i].m->pool, test_rx_pool);
	}
	expect_bytes(&p, p.seq, BURST_MAX * LEN);
	stop(&p);
}

/* The ACK policy sees segments, not runs. */
static void test_acks(void **state)
{
	struct peer p;

	(void)state;
	start(&p, false, false);
	in_row(&p, 16);
	burst(&p, 16); /* the quick ACKs */
	p.seq += 16 * LEN;
	(void)peer_drain(&p);
	in_row(&p, 1);
	segs[0].flags |= F_PSH;
	burst(&p, 1);
	p.seq += LEN;
	peer_none(&p); /* delayed */
	peer_run(&p, 50000);
	assert_int_equal(peer_drain(&p), 1);
	in_row(&p, 2);
	burst(&p, 2);
	assert_int_equal(merged(), 1);
	assert_true(peer_rx(&p)); /* two segments: at once */
	assert_int_equal(p.got.ack, p.seq + 2 * LEN);
	stop(&p);
}

/* ---- what ends a run ---- */

enum breaker {
	B_NONE,
	B_PSH,
	B_URG,
	B_ECE,
	B_CWR,
	B_CE,
	B_ECT,
	B_WINDOW,
	B_ACK,
	B_SACK,
	B_NO_TS,
	B_TS_OLD,
	B_TS_NEW,
	B_GAP,
	B_EMPTY,
	B_BAD_CSUM,
	B_FIN_LAST,
	B_SYN,
	B_RST,
	B_COUNT
};

/* Of five segments in a row the third is different. How many are merged, how many bytes arrive in order. */
static const struct {
	const char *name;
	uint32_t merged, bytes;
} expect[B_COUNT] = {
        [B_NONE] = {"none", 4, 5 * LEN},
        [B_PSH] = {"PSH", 4, 5 * LEN},
        [B_URG] = {"URG", 2, 5 * LEN},
        [B_ECE] = {"ECE", 2, 5 * LEN},
        [B_CWR] = {"CWR", 2, 5 * LEN},
        [B_CE] = {"CE", 2, 5 * LEN},
        [B_ECT] = {"ECT", 2, 5 * LEN},
        [B_WINDOW] = {"window", 2, 5 * LEN},
        [B_ACK] = {"ACK", 3, 5 * LEN},
        [B_SACK] = {"SACK", 2, 5 * LEN},
        [B_NO_TS] = {"no timestamp", 2, 2 * LEN},
        [B_TS_OLD] = {"old timestamp", 2, 2 * LEN},
        [B_TS_NEW] = {"new timestamp", 3, 5 * LEN},
        [B_GAP] = {"gap", 3, 2 * LEN},
        [B_EMPTY] = {"no payload", 2, 2 * LEN},
        [B_BAD_CSUM] = {"damaged", 2, 2 * LEN},
        [B_FIN_LAST] = {"FIN", 3, 5 * LEN},
        [B_SYN] = {"SYN", 2, 2 * LEN},
        [B_RST] = {"RST", 2, 0},
};

static void write_byte(struct peer *p)
{
	assert_int_equal(sl_tcp_write(p->e.c, sl_span("x", 1)), 1);
	sl_tcp_flush(p->h.t, p->now);
	assert_int_equal(peer_drain(p), 1);
}

static void change_header(struct peer *p, enum breaker b)
{
	struct seg *s = &segs[2];

	switch (b) {
	case B_PSH:
		s->flags |= F_PSH;
		break;
	case B_URG:
		s->flags |= F_URG;
		break;
	case B_ECE:
		s->flags |= F_ECE;
		break;
	case B_CWR:
		s->flags |= F_CWR;
		break;
	case B_CE:
		s->ecn = TCP_ECN_CE;
		break;
	case B_ECT:
		s->ecn = TCP_ECN_ECT0;
		break;
	case B_WINDOW:
		s->wnd = 60000;
		break;
	case B_ACK:
		for (int i = 2; i < 5; i++)
			segs[i].ack = p->ack + 1;
		break;
	case B_FIN_LAST:
		segs[4].flags |= F_FIN;
		break;
	case B_SYN:
		s->flags |= F_SYN;
		break;
	case B_RST:
		s->flags |= F_RST;
		break;
	default:
		break;
	}
}

static void change_rest(struct peer *p, enum breaker b)
{
	struct seg *s = &segs[2];

	switch (b) {
	case B_SACK:
		s->opts[s->nb_opts++] = OPT_NOP;
		s->opts[s->nb_opts++] = OPT_NOP;
		s->opts[s->nb_opts++] = OPT_SACK;
		s->opts[s->nb_opts++] = 10;
		sl_put_be32(s->opts + s->nb_opts, p->ack - 10);
		sl_put_be32(s->opts + s->nb_opts + 4, p->ack - 5);
		s->nb_opts += 8;
		break;
	case B_NO_TS:
		s->nb_opts = 0;
		break;
	case B_TS_OLD:
		(void)tcp_options_ts(p->ts_val - TCP_PAWS_SLACK - 1, p->ts_ecr, s->opts);
		break;
	case B_TS_NEW:
		for (int i = 2; i < 5; i++)
			(void)tcp_options_ts(p->ts_val + 1, p->ts_ecr, segs[i].opts);
		break;
	case B_GAP:
		for (int i = 2; i < 5; i++)
			(void)seg_at(p, (uint32_t)i, ((uint32_t)i + 1) * LEN, LEN);
		break;
	case B_EMPTY:
		s->len = 0;
		break;
	case B_BAD_CSUM:
		s->bad_csum = true;
		break;
	default:
		break;
	}
}

static void one_breaker(enum breaker b)
{
	struct peer p;
	uint32_t from;

	start(&p, true, false);
	from = p.seq;
	if (b == B_ACK)
		write_byte(&p);
	in_row(&p, 5);
	change_header(&p, b);
	change_rest(&p, b);
	burst(&p, 5);
	if (merged() != expect[b].merged)
		fail_msg("%s: %lu merged, not %u", expect[b].name, (unsigned long)merged(), expect[b].merged);
	if (b == B_RST) {
		assert_int_equal(p.e.err, SL_E_TCP_RESET);
	} else {
		if (sl_tcp_readable(p.e.c) != expect[b].bytes)
			fail_msg("%s: %lu bytes, not %u", expect[b].name,
			         (unsigned long)sl_tcp_readable(p.e.c), expect[b].bytes);
		expect_bytes(&p, from, expect[b].bytes);
	}
	if (b == B_FIN_LAST)
		assert_true(sl_tcp_eof(p.e.c));
	if (b == B_ACK)
		assert_int_equal(sl_tcp_unacked(p.e.c), 0);
	stop(&p);
}

static void test_breakers(void **state)
{
	(void)state;
	for (int b = 0; b < B_COUNT; b++)
		one_breaker((enum breaker)b);
}

/* ---- what the ends see ---- */

static void test_ecn(void **state)
{
	struct peer p;

	(void)state;
	start(&p, true, true);
	in_row(&p, 4);
	for (int i = 0; i < 4; i++)
		segs[i].ecn = TCP_ECN_ECT0;
	burst(&p, 4);
	assert_int_equal(merged(), 3);
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.flags & F_ECE, 0);
	p.seq += 4 * LEN;
	in_row(&p, 4);
	for (int i = 0; i < 4; i++)
		segs[i].ecn = i == 2 ? TCP_ECN_CE : TCP_ECN_ECT0;
	burst(&p, 4);
	assert_int_equal(merged(), 1);
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.flags & F_ECE, F_ECE);
	stop(&p);
}

/* What is echoed is the timestamp of the first segment that was not acknowledged (RFC 7323, 4.3). */
static void test_timestamp(void **state)
{
	struct peer p;

	(void)state;
	start(&p, true, false);
	in_row(&p, 4);
	for (uint32_t i = 0; i < 4; i++)
		(void)tcp_options_ts(p.ts_val + 1 + i / 2, p.ts_ecr, segs[i].opts);
	burst(&p, 4);
	assert_int_equal(merged(), 2);
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.o.ts_ecr, p.ts_val + 1);
	stop(&p);
}

/* A run that begins with what is there: reported as a duplicate, the rest is taken. */
static void test_old_start(void **state)
{
	struct peer p;

	(void)state;
	start(&p, false, false);
	in_row(&p, 2);
	burst(&p, 2);
	(void)peer_drain(&p);
	in_row(&p, 4);
	burst(&p, 4);
	assert_int_equal(merged(), 3);
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.ack, p.seq + 4 * LEN);
	assert_int_equal(p.got.o.nb_sack, 1);
	assert_int_equal(p.got.o.sack[0].start, p.seq);
	assert_int_equal(p.got.o.sack[0].end, p.seq + 2 * LEN);
	expect_bytes(&p, p.seq, 4 * LEN);
	stop(&p);
}

/* The end of a handshake and data in the same burst; segments of others in between, places shared or not. */
static void test_mixed(void **state)
{
	for (int shared = 0; shared < 2; shared++) {
		uint64_t closed = sl_counter_err_sum(SL_E_TCP_NO_CONN);
		struct peer p;

		(void)state;
		start(&p, false, false);
		for (uint32_t i = 0; i < 8; i++) {
			(void)seg_at(&p, i, i / 2 * LEN, LEN);
			if (i % 2 == 1)
				segs[i].sport = (uint16_t)(p.sport + (shared ? TCP_BURST_PLACES : 1));
		}
		burst(&p, 8);
		assert_int_equal(merged(), shared ? 0 : 6);
		assert_true(sl_counter_err_sum(SL_E_TCP_NO_CONN) > closed);
		expect_bytes(&p, p.seq, 4 * LEN);
		stop(&p);
	}
}

static void test_handshake_and_data(void **state)
{
	struct seg syn = {.flags = F_SYN, .wnd = 65535};
	struct peer p;

	(void)state;
	peer_init(&p, NULL);
	syn.seq = p.seq;
	syn.sport = p.sport;
	syn.dport = p.dport;
	syn.nb_opts = peer_syn_options(&p, syn.opts);
	peer_send(&p, &syn);
	assert_true(peer_rx(&p));
	p.seq++;
	p.ack = p.got.seq + 1;
	in_row(&p, 4);
	segs[0].len = 0;
	for (uint32_t i = 1; i < 4; i++)
		(void)seg_at(&p, i, (i - 1) * LEN, LEN);
	burst(&p, 4);
	assert_int_equal(merged(), 2);
	assert_non_null(p.e.c);
	expect_bytes(&p, p.seq, 3 * LEN);
	stop(&p);
}

/* ---- in bursts or one by one ---- */

/* The same random segments of a stream, some again, some late. Returns how far the peer was acknowledged. */
static uint32_t random_stream(uint64_t seed, bool one_by_one)
{
	uint32_t at[BURST_MAX], len[BURST_MAX], n = BURST_MAX, pos = 0;
	struct peer p;

	start(&p, seed % 2 == 0, false);
	for (uint32_t i = 0; i < n; i++) {
		len[i] = 1 + (uint32_t)test_rand(&seed) % (2 * LEN);
		at[i] = pos;
		if (i > 0 && test_rand(&seed) % 8 == 0)
			at[i] = at[test_rand(&seed) % i];
		else if (test_rand(&seed) % 12 != 0) /* else lost */
			pos += len[i];
	}
	for (uint32_t i = 0; i < n; i++)
		(void)seg_at(&p, i, at[i], len[i]);
	for (uint32_t i = 0; i + 1 < n; i++) {
		if (test_rand(&seed) % 6 == 0) {
			static struct seg t;

			t = segs[i];
			segs[i] = segs[i + 1];
			segs[i + 1] = t;
		}
	}
	if (!one_by_one)
		burst(&p, (uint16_t)n);
	for (uint32_t i = 0; one_by_one && i < n; i++)
		peer_send(&p, &segs[i]);
	peer_run(&p, 50000);
	pos = 0;
	while (peer_rx(&p))
		pos = p.got.ack - p.seq;
	expect_bytes(&p, p.seq, pos);
	stop(&p);
	return pos;
}

static void test_random(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 60; i++) {
		uint32_t a = random_stream(test.seed + i, true), b = random_stream(test.seed + i, false);

		if (a != b)
			fail_msg("seed %lu: %u bytes one by one, %u in a burst",
			         (unsigned long)(test.seed + i), a, b);
	}
}

/* What the device has put together: as many as our MSS says that there were at least. */
static void test_by_device(void **state)
{
	struct sl_tcp_cfg tune = {.mss = 500};
	struct sl_tcp_info before, after;
	struct peer p;

	(void)state;
	peer_init(&p, &tune);
	peer_connect(&p);
	p.e.c->quickack = 0;
	sl_tcp_get_info(p.e.c, &before);
	(void)seg_at(&p, 0, 0, 500);
	burst(&p, 1);
	peer_none(&p);
	(void)seg_at(&p, 0, 500, 1300);
	burst(&p, 1);
	assert_true(peer_rx(&p)); /* two segments are acknowledged at once */
	assert_int_equal(p.got.ack, p.seq + 1800);
	p.e.c->quickack = 2;
	(void)seg_at(&p, 0, 1800, 501);
	burst(&p, 1);
	assert_true(peer_rx(&p));
	assert_int_equal(p.e.c->quickack, 0);
	sl_tcp_get_info(p.e.c, &after);
	assert_int_equal(after.data_segs_in - before.data_segs_in, 6);
	assert_true(after.rcv_mss <= 500);
	expect_bytes(&p, p.seq, 2301);
	stop(&p);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_run),       cmocka_unit_test(test_acks),
	        cmocka_unit_test(test_breakers),  cmocka_unit_test(test_ecn),
	        cmocka_unit_test(test_timestamp), cmocka_unit_test(test_old_start),
	        cmocka_unit_test(test_mixed),     cmocka_unit_test(test_handshake_and_data),
	        cmocka_unit_test(test_random),    cmocka_unit_test(test_by_device),
	};

	if (test_setup(argc, argv) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
