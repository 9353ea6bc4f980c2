/*
 * The board of what was sent, with a peer that wants it large, in crumbs and out of order: how many entries
 * there are, that they are counted, and that its lists keep their orders.
 */
#include <stdlib.h>
#include <time.h>

#include "test_tcp_util.h"

#define SEG  ((uint32_t)tcp_smss(p->e.c))
#define WND  65535
#define FULL 3500000U /* bytes in flight: near the largest send buffer */
#define RTT  20000
#define MANY 8000U /* entries: near the most that there may be */

static uint8_t zeros[60000];

static void ack_all(struct peer *p)
{
	p->now += RTT;
	p->ts_ecr = tcp_ts_now(p->e.c->ts_offset, p->now - RTT);
	p->ack = p->e.c->snd_nxt;
	peer_tx(p, F_ACK, p->seq, p->ack, NULL, 0);
}

/* As much is in flight as the gateway lets go, to a peer that has taken all until now. What is in flight may
 * stay the same for some round trips while the window grows. */
static void fill_scaled(struct peer *p, uint16_t mss, bool ts, uint8_t wscale)
{
	struct sl_tcp_cfg tune = {.max_conns = 8, .max_total_bytes = 64 << 20};
	uint32_t before, same = 0;

	peer_init(p, &tune);
	p->mss = mss;
	p->sack = true;
	p->ts = ts;
	p->wscale = wscale;
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
		same = p->e.c->snd_nxt - p->e.c->snd_una == before ? same + 1 : 0;
	} while (same < 20 && p->e.c->snd_nxt - p->e.c->snd_una < FULL && p->e.c->board.nb < MANY);
}

static void fill(struct peer *p, uint16_t mss, bool ts)
{
	fill_scaled(p, mss, ts, 14);
}

/* The board is whole: its bounds, its counts, and the orders of its lists. */
static void check_board(const struct peer *p)
{
	const struct sl_tcp_conn *c = p->e.c;
	const struct tcp_board *b = &c->board;
	const struct tcp_sent *e, *last = NULL;
	uint32_t nb = 0, lost = 0, posts = 0, at = c->snd_una;

	assert_true(b->nb <= tcp_sent_max(c) + 1);
	TAILQ_FOREACH(e, &b->all, order)
	{
		assert_int_equal(e->seq, at);
		at = e->end;
		nb++;
		if (e->flags & TCP_SENT_POST)
			assert_ptr_equal(c->posts->at[posts++], e);
	}
	assert_int_equal(posts, c->posts != NULL ? c->posts->nb : 0);
	assert_true(p->h.t->mem_used == tcp_conn_mem(c));
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

static uint32_t below(uint64_t *seed, uint32_t n)
{
	return (uint32_t)(test_rand(seed) % n);
}

/* What a block SACKs, by a walk over the whole board; false: the board is too full to say. */
static bool would_sack(const struct sl_tcp_conn *c, const struct tcp_range *r, uint32_t *bytes)
{
	const struct tcp_sent *e;

	TAILQ_FOREACH(e, &c->board.all, order)
	{
		uint32_t n = e->seg_bytes, from = e->seq, to = e->end;

		if (e->flags & TCP_SENT_SACKED || seq_le(e->end, r->start) || seq_le(r->end, e->seq))
			continue;
		if (seq_lt(from, r->start))
			from += (r->start - from + n - 1) / n * n;
		if (seq_lt(r->end, to))
			to = e->seq + (r->end - e->seq) / n * n;
		if (!seq_lt(from, to))
			continue;
		if ((from != e->seq || to != e->end) && c->board.nb + 8 > tcp_sent_max(c))
			return false;
		*bytes += to - from;
	}
	return true;
}

/* Blocks of any length anywhere say what they say, while the board is acknowledged, filled and sent again. */
static void anywhere(uint16_t mss)
{
	struct peer peer, *p = &peer;
	struct sl_tcp_conn *c;
	struct tcp_range r[4];
	uint64_t seed = test.seed;
	bool posts = false;

	fill(p, mss, false);
	c = p->e.c;
	for (uint32_t i = 0; i < 1000; i++) {
		uint32_t part = (c->snd_nxt - c->snd_una) / 4, want = c->board.sacked_bytes;
		bool known = true;

		for (uint32_t k = 0; k < 4; k++) {
			r[k].start = c->snd_una + k * part + 1 + below(&seed, part - 1);
			r[k].end = c->snd_una + (k + 1) * part;
			r[k].end = seq_min(r[k].end, r[k].start + 1 + below(&seed, 4 * SEG));
			known = would_sack(c, &r[k], &want) && known;
		}
		peer_ack(p, p->ack, 0, r, 4);
		check_board(p);
		if (known)
			assert_int_equal(c->board.sacked_bytes, want);
		posts = posts || c->posts != NULL;
		if (i % 8 != 0)
			continue;
		p->ack += below(&seed, u32_min(40 * SEG, part));
		p->now += RTT;
		peer_ack(p, p->ack, WND, NULL, 0);
		while (sl_tcp_write(c, sl_span(zeros, sizeof(zeros))) == sizeof(zeros))
			;
		sl_tcp_flush(p->h.t, p->now);
		wire_clear(&p->wire);
		check_board(p);
	}
	assert_true(posts || c->board.nb < 2 * TCP_POSTS_APART);
	p->ack = c->snd_nxt;
	peer_ack(p, p->ack, 0, NULL, 0);
	check_board(p);
	assert_null(c->posts);
	fini(p);
}

static void test_anywhere(void **state)
{
	(void)state;
	anywhere(test_mss());
	anywhere(TCP_MSS_MIN);
}

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static struct tcp_range last_of(const struct sl_tcp_conn *c, uint32_t nb_bytes)
{
	return (struct tcp_range){c->snd_nxt - nb_bytes, c->snd_nxt};
}

/*
 * All but the end seems lost; then each ACK says that what was sent again had come, by a D-SACK, and opens
 * the window for one more segment to be sent again. Returns what such an ACK costs, with n bytes left of what
 * is in flight.
 */
static uint64_t cost_of_dsacks(uint32_t n)
{
	struct peer peer, *p = &peer;
	struct sl_tcp_conn *c;
	struct tcp_range r[2];
	uint64_t all = 0, t0;

	fill_scaled(p, TCP_MSS_MIN, false, 3);
	c = p->e.c;
	if (n != 0) {
		p->ack = c->snd_nxt - n * SEG;
		peer_ack(p, p->ack, 0, NULL, 0);
	}
	p->now += RTT;
	r[1] = last_of(c, 10 * SEG);
	peer_ack(p, p->ack, 0, &r[1], 1);
	for (uint32_t i = 0; i < 100; i++) {
		r[0] = (struct tcp_range){r[1].start, r[1].start + 1 + i % SEG};
		p->now += 1000;
		t0 = cpu_ns();
		peer_ack(p, p->ack, (uint16_t)(SEG / 8 * (i + 2)), r, 2);
		all += cpu_ns() - t0;
	}
	check_board(p);
	print_message("  %u in flight: %lu ns for an ACK, sent again: %lu\n", c->board.nb,
	              (unsigned long)all / 100, (unsigned long)c->retransmits);
	fini(p);
	return all;
}

static void test_dsacks_cost(void **state)
{
	uint64_t few, many;

	(void)state;
	few = cost_of_dsacks(120);
	many = cost_of_dsacks(0);
	assert_true(many < 25 * few);
}

/* The same with one ACK again and again, behind a loss probe that went for nothing: it counts for each
 * recovery anew. */
static void test_dsack_again_cost(void **state)
{
	struct peer peer, *p = &peer;
	struct sl_tcp_conn *c;
	struct tcp_range r[2];
	uint64_t t0, ordinary, all;

	(void)state;
	fill(p, TCP_MSS_MIN, false);
	c = p->e.c;
	peer_ack(p, p->ack, 0, NULL, 0);
	t0 = cpu_ns();
	for (uint32_t i = 0; i < 100; i++)
		peer_ack(p, p->ack, 0, NULL, 0);
	ordinary = cpu_ns() - t0;
	peer_run(p, 3 * RTT);
	assert_true(c->tlp_open && c->tlp_is_rxt);
	r[1] = last_of(c, 10 * SEG);
	peer_ack(p, p->ack, 0, &r[1], 1);
	r[0] = (struct tcp_range){r[1].start, r[1].start + SEG};
	t0 = cpu_ns();
	for (uint32_t i = 0; i < 1000;
	     i++) { /* a second; no timeout, as a segment is acknowledged now and then */
		p->now += 1000;
		if (i % 100 == 99)
			p->ack += SEG;
		peer_ack(p, p->ack, 0, r, 2);
		(void)sl_tcp_tick(p->h.t, p->now);
	}
	all = (cpu_ns() - t0) / 10;
	print_message("  %u in flight: %lu ns for an ACK, %lu for an ordinary one; sent again: %lu\n",
	              c->board.nb, (unsigned long)all / 100, (unsigned long)ordinary / 100,
	              (unsigned long)c->retransmits);
	check_board(p);
	fini(p);
	assert_true(all < 50 * ordinary);
}

/* Which packets in front of the last one an ACK has a byte of, and how far on those of the next ACK are. */
struct parts {
	uint32_t nb, at[4], step;
};

/* The least that such an ACK costs, in nanoseconds: it says nothing, each time in other words. */
static uint64_t cost_of_parts(struct peer *p, const char *name, const struct parts *x)
{
	uint32_t all = p->e.c->board.nb - 1, i = 0;
	uint64_t cost = UINT64_MAX;
	struct tcp_range r[4];

	while (i < 2000) {
		uint64_t t0 = cpu_ns();

		do {
			for (uint32_t k = 0; k < x->nb; k++) {
				uint32_t packet = (x->at[k] + i * x->step) % all;

				r[k].start = p->e.c->snd_una + packet * SEG + 1 + i % 16;
				r[k].end = r[k].start + 1;
			}
			peer_ack(p, p->ack, 0, r, x->nb);
		} while (++i % 100 != 0);
		t0 = (cpu_ns() - t0) / 100;
		cost = t0 < cost ? t0 : cost;
	}
	print_message("  %u in flight: %lu ns for an ACK about %s\n", all + 1, (unsigned long)cost, name);
	return cost;
}

/* Blocks that say nothing, of parts of segments, in front of the last segment, which the peer has: wherever
 * they are, they cost about as much as at the first. */
static void test_parts_cost(void **state)
{
	struct parts one = {.nb = 1}, four = {.nb = 4, .at = {0, 1, 2, 3}};
	struct peer peer, *p = &peer;
	uint64_t few, many;
	struct tcp_range last;
	uint32_t n;

	(void)state;
	fill(p, TCP_MSS_MIN, false);
	n = p->e.c->board.nb;
	assert_true(n >= MANY);
	p->now += RTT;
	last = last_of(p->e.c, SEG);
	peer_ack(p, p->ack, 0, &last, 1);
	few = cost_of_parts(p, "the first", &one);
	many = cost_of_parts(p, "the last", &(struct parts){.nb = 1, .at = {n - 2}});
	assert_true(many < 10 * few);
	many = cost_of_parts(p, "first, middle, last", &(struct parts){.nb = 1, .step = n / 2 - 1});
	assert_true(many < 10 * few);
	few = cost_of_parts(p, "the first four", &four);
	four = (struct parts){.nb = 4, .at = {n / 8, n * 3 / 8, n * 5 / 8, n * 7 / 8}};
	many = cost_of_parts(p, "four far from each other", &four);
	assert_true(many < 10 * few);
	four.step = 7919;
	many = cost_of_parts(p, "four anywhere", &four);
	assert_true(many < 10 * few);
	check_board(p);
	assert_int_equal(p->e.c->board.sacked_bytes, SEG);
	assert_int_equal(p->e.c->board.nb, n);
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
	        cmocka_unit_test(test_anywhere),
	};
	/* With offloads an entry is many segments, and there are few. */
	const struct CMUnitTest costs[] = {
	        cmocka_unit_test(test_dsacks_cost),
	        cmocka_unit_test(test_dsack_again_cost),
	        cmocka_unit_test(test_parts_cost),
	};
	int failed;

	if (test_setup(argc, argv) < 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	return test.offload ? failed : failed + cmocka_run_group_tests(costs, NULL, NULL);
}
