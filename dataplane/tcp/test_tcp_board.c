/*
 * The board of what was sent, with a peer that wants it large, in crumbs and out of order: how many entries
 * there are, that they are counted, and that its lists keep their orders.
 */
#include <stdlib.h>

#include "test_tcp_util.h"

#define SEG  ((uint32_t)tcp_smss(p->e.c))
#define WND  65535
#define FULL 3500000U /* bytes in flight: near the largest send buffer */
#define RTT  20000

static uint8_t zeros[60000];

static void ack_all(struct peer *p)
{
	p->now += RTT;
	p->ts_ecr = tcp_ts_now(p->e.c->ts_offset, p->now - RTT);
	p->ack = p->e.c->snd_nxt;
	peer_tx(p, F_ACK, p->seq, p->ack, NULL, 0);
}

/* As much is in flight as the gateway lets go, to a peer that has taken all until now. */
static void fill(struct peer *p, uint16_t mss, bool ts)
{
	struct sl_tcp_cfg tune = {.max_conns = 8, .max_total_bytes = 64 << 20};
	uint32_t before;

	peer_init(p, &tune);
	p->mss = mss;
	p->sack = true;
	p->ts = ts;
	p->wscale = 14;
	peer_connect(p);
	(void)peer_deaf(p);
	/* Three bytes out of order: our segments carry SACK blocks, and less data. */
	for (uint32_t i = 1; ts && i <= 3; i++)
		peer_tx(p, F_ACK, p->seq + 10 * i, p->ack, "x", 1);
	do {
		before = p->e.c->snd_nxt - p->e.c->snd_una;
		ack_all(p);
		while (sl_tcp_write(p->e.c, sl_span(zeros, sizeof(zeros))) == sizeof(zeros))
			;
		sl_tcp_flush(p->h.t, p->now);
	} while (p->e.c->snd_nxt - p->e.c->snd_una != before && p->e.c->snd_nxt - p->e.c->snd_una < FULL);
}

/* The board is whole: its bounds, its counts, and the orders of its lists. */
static void check_board(const struct peer *p)
{
	const struct sl_tcp_conn *c = p->e.c;
	const struct tcp_board *b = &c->board;
	const struct tcp_sent *e, *last = NULL;
	uint32_t nb = 0, lost = 0, at = c->snd_una;

	assert_true(b->nb <= tcp_sent_max(c) + 1);
	TAILQ_FOREACH(e, &b->all, order)
	{
		assert_int_equal(e->seq, at);
		at = e->end;
		nb++;
	}
	assert_int_equal(at, c->snd_nxt);
	assert_int_equal(nb, b->nb);
	TAILQ_FOREACH(e, &b->lost, state)
	{
		assert_true(e->flags & TCP_SENT_LOST && (last == NULL || seq_lt(last->seq, e->seq)));
		lost += e->end - e->seq;
		last = e;
	}
	assert_int_equal(lost, b->lost_bytes);
	last = NULL;
	TAILQ_FOREACH(e, &b->flying, state)
	{
		assert_true((e->flags & (TCP_SENT_LOST | TCP_SENT_SACKED)) == 0);
		assert_true(last == NULL || last->xmit_us <= e->xmit_us);
		last = e;
	}
}

static void sacked(struct peer *p, const struct tcp_range *r, uint32_t nb)
{
	struct seg s = {.seq = p->seq,
	                .ack = p->ack,
	                .flags = F_ACK,
	                .wnd = WND,
	                .sport = p->sport,
	                .dport = p->dport};

	p->now += RTT;
	if (p->ts)
		s.nb_opts = tcp_options_ts(p->ts_val, tcp_ts_now(p->e.c->ts_offset, p->now - RTT), s.opts);
	memcpy(s.opts + s.nb_opts, (uint8_t[]){1, 1, 5, (uint8_t)(2 + 8 * nb)}, 4);
	for (uint32_t i = 0; i < nb; i++) {
		sl_put_be32(s.opts + s.nb_opts + 4 + 8 * i, r[i].start);
		sl_put_be32(s.opts + s.nb_opts + 8 + 8 * i, r[i].end);
	}
	s.nb_opts += 4 + 8 * nb;
	peer_send(p, &s);
	check_board(p);
	sl_tcp_flush(p->h.t, p->now);
	check_board(p);
}

static void fini(struct peer *p)
{
	sl_tcp_abort(p->e.c, p->now);
	p->e.c = NULL;
	peer_fini(p);
}

/* However small a peer makes our segments, the entries are few, and counted with the buffers. */
static void test_small_segments(void **state)
{
	struct peer peer, *p = &peer;
	struct sl_tcp_info info;

	(void)state;
	for (int ts = 0; ts < 2; ts++) {
		fill(p, TCP_MSS_MIN, ts != 0);
		check_board(p);
		assert_true(p->e.c->board.nb > 1);
		sl_tcp_get_info(p->e.c, &info);
		assert_true(info.mem_bytes >=
		            p->e.c->sndq.pinned + p->e.c->board.nb * sizeof(struct tcp_sent));
		fini(p);
	}
}

/* Nor do duplicates of a peer without SACK, each of which makes room for a segment, or probes go beyond. */
static void test_duplicates(void **state)
{
	struct sl_tcp_cfg tune = {.max_conns = 8, .tx_buf_bytes = 65536, .tx_buf_max = 65536};
	struct peer peer, *p = &peer;

	(void)state;
	peer_init(p, &tune);
	p->mss = 100;
	p->wscale = 14;
	peer_connect(p);
	for (int i = 0; i < 400; i++) {
		(void)sl_tcp_write(p->e.c, sl_span(zeros, sizeof(zeros)));
		sl_tcp_flush(p->h.t, p->now);
		p->now += RTT;
		if (i < 200)
			p->ack = p->e.c->snd_nxt;
		peer_ack(p, p->ack, WND, NULL, 0);
		wire_clear(&p->wire);
		check_board(p);
	}
	fini(p);
}

/* The window of an ordinary peer is not made smaller by that. */
static void test_ordinary_segments(void **state)
{
	struct peer peer, *p = &peer;

	(void)state;
	fill(p, test_mss(), true);
	assert_true(p->e.c->snd_nxt - p->e.c->snd_una >= FULL);
	check_board(p);
	fini(p);
}

/* The upper half has come; of the rest, which is sent again, only the last: all others are lost again. */
static void lost_again(uint16_t mss)
{
	struct peer peer, *p = &peer;
	const struct tcp_sent *last;
	struct tcp_range r[2];
	uint64_t retransmits;
	struct sl_tcp_conn *c;

	fill(p, mss, false);
	c = p->e.c;
	r[0] = (struct tcp_range){c->snd_nxt - (c->snd_nxt - c->snd_una) / SEG / 2 * SEG, c->snd_nxt};
	sacked(p, r, 1);
	retransmits = c->retransmits;
	assert_true(retransmits > 1);
	last = TAILQ_LAST(&c->board.flying, tcp_sent_list);
	assert_true(last->flags & TCP_SENT_RXT);
	r[1] = (struct tcp_range){last->seq, last->end};
	sacked(p, r, 2);
	assert_true(c->retransmits > retransmits);
	/* And it turns out that nothing was lost: they fly on, in the order in which they went out. */
	tcp_sent_unlose(c);
	check_board(p);
	assert_int_equal(c->board.lost_bytes, 0);
	fini(p);
}

static void test_lost_again(void **state)
{
	(void)state;
	lost_again(test_mss());
	lost_again(TCP_MSS_MIN);
}

/* Blocks that SACK every other segment and parts of them, from both ends: the board is not cut into more than
 * there may be, and the head can be sent again always. */
static void crumbs(uint16_t mss)
{
	struct peer peer, *p = &peer;
	struct sl_tcp_conn *c;
	struct tcp_range r[4];
	uint64_t sent;

	fill(p, mss, false);
	c = p->e.c;
	for (uint32_t i = 0; i < 3000 && (8 * i + 8) * SEG < c->snd_nxt - c->snd_una; i++) {
		uint32_t from = i % 2 == 0 ? c->snd_una + 4 * i * SEG : c->snd_nxt - 4 * i * SEG;

		for (uint32_t k = 0; k < 4; k++)
			r[k] = (struct tcp_range){from + 2 * k * SEG + SEG / 2, from + (2 * k + 2) * SEG + 1};
		if (seq_lt(c->snd_nxt, r[3].end))
			continue;
		sacked(p, r, 4);
	}
	sent = c->retransmits;
	assert_true(c->board.sacked_bytes > 0);
	peer_run(p, 2 * tcp_rto(c));
	check_board(p);
	assert_true(c->retransmits > sent);
	fini(p);
}

static void test_crumbs(void **state)
{
	(void)state;
	crumbs(test_mss());
	crumbs(TCP_MSS_MIN);
}

/* Blocks of one ACK that overlap, lie in each other, and come in any order say what each of them says. */
static void test_blocks_overlap(void **state)
{
	struct peer peer, *p = &peer;
	struct sl_tcp_conn *c;
	struct tcp_range r[4];
	uint32_t at;

	(void)state;
	fill(p, test_mss(), false);
	c = p->e.c;
	at = c->snd_una;
	r[0] = (struct tcp_range){at + 6 * SEG, at + 9 * SEG};
	r[1] = (struct tcp_range){at + SEG, at + 3 * SEG + 1}; /* ends in the middle of the fourth, */
	r[2] = (struct tcp_range){at + 2 * SEG, at + 4 * SEG}; /* which this one has whole */
	r[3] = (struct tcp_range){at + 7 * SEG, at + 8 * SEG};
	sacked(p, r, 4);
	assert_int_equal(c->board.sacked_bytes, 6 * SEG);
	fini(p);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_small_segments),
	        cmocka_unit_test(test_duplicates),
	        cmocka_unit_test(test_ordinary_segments),
	        cmocka_unit_test(test_lost_again),
	        cmocka_unit_test(test_crumbs),
	        cmocka_unit_test(test_blocks_overlap),
	};

	if (test_setup(argc, argv) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
