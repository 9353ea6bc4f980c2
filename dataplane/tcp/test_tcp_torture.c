/*
 * Two stacks of random settings over a wire that changes at random, with users that pause, hold, cork and
 * read in crumbs, in virtual time. Then the wire and the users behave: everything arrives, nothing waits
 * longer than the timers say, and nothing is left in the books. A failure tells the seed: `seed=` starts with
 * that run.
 */
#include "test_tcp_util.h"

#define RUNS     150
#define STORM_US (20 * TCP_S)
#define CALM_US  (3000 * TCP_S)
#define COUNT(v) ((uint32_t)(sizeof(v) / sizeof((v)[0])))

static uint64_t rnd;

static uint32_t below(uint32_t n)
{
	return (uint32_t)(test_rand(&rnd) % n);
}

static bool one_in(uint32_t n)
{
	return below(n) == 0;
}

/* ---- the storm ---- */

static struct sl_tcp_cfg random_tune(void)
{
	static const uint32_t bufs[] = {0, 0, 0, 9000, 12000, 16384, 20000, 65536, 100000};
	static const uint32_t maxes[] = {0, 0, 300000, 4 * 1024 * 1024};
	struct sl_tcp_cfg t = {.max_conns = 64, .max_time_wait = 64};

	t.rx_buf_bytes = bufs[below(COUNT(bufs))];
	t.tx_buf_bytes = bufs[below(COUNT(bufs))];
	if (t.rx_buf_bytes == 0)
		t.rx_buf_max = maxes[below(COUNT(maxes))];
	if (t.tx_buf_bytes == 0)
		t.tx_buf_max = maxes[below(COUNT(maxes))];
	if (one_in(4))
		t.max_total_bytes = (20 + below(60)) * 4096;
	if (one_in(5))
		t.mss = (uint16_t)(TCP_MSS_MIN + below(1000));
	t.no_timestamps = one_in(4);
	t.ecn = one_in(2);
	t.pacing = one_in(2);
	t.keepalive_idle_s = one_in(2) ? 60 : 0;
	if (one_in(8)) {
		t.syn_cookies = SL_TCP_COOKIES_ALWAYS;
		t.mss = 0;
	}
	return t;
}

static struct wire_cfg random_wire(void)
{
	static const uint32_t delays[] = {50, 200, 1000, 5000, 20000, 100000};
	static const uint32_t rates[] = {0, 0, 0, 1, 10, 100};
	static const uint32_t percent[] = {0, 0, 0, 1, 2, 5, 10, 30};
	struct wire_cfg w = {.delay_us = delays[below(COUNT(delays))]};

	w.jitter_us = one_in(2) ? below((uint32_t)w.delay_us * 2) : 0;
	w.loss = one_in(12) ? 100 : percent[below(COUNT(percent))];
	w.dup = percent[below(COUNT(percent))];
	w.reorder = percent[below(COUNT(percent))];
	w.ce = percent[below(COUNT(percent))];
	w.mbit = rates[below(COUNT(rates))];
	return w;
}

static void read_crumb(struct end *e)
{
	struct sl_span v;

	if (sl_tcp_peek(e->c, &v, 1) == 0)
		return;
	v.n = 1 + below((uint32_t)v.n);
	e->rx_digest = digest(e->rx_digest, v.p, v.n);
	e->received += v.n;
	sl_tcp_consume(e->c, v.n);
}

static void misbehave(struct end *e)
{
	if (e->c == NULL)
		return;
	switch (below(12)) {
	case 0:
		e->read_paused = !e->read_paused;
		break;
	case 1:
		sl_tcp_hold(e->c, one_in(2));
		break;
	case 2:
		sl_tcp_set_cork(e->c, one_in(2));
		break;
	case 3:
		sl_tcp_set_nodelay(e->c, one_in(2));
		break;
	case 4:
		sl_tcp_set_more(e->c, one_in(2));
		break;
	default:
		read_crumb(e);
		break;
	}
}

static void behave(struct end *e)
{
	e->read_paused = false;
	if (e->c == NULL)
		return;
	sl_tcp_hold(e->c, false);
	sl_tcp_set_cork(e->c, false);
	sl_tcp_set_nodelay(e->c, true);
	sl_tcp_set_more(e->c, false);
}

/* ---- one run ---- */

struct run {
	struct sim s;
	struct end a, b;
	struct sl_tcp_listener *l;
	uint64_t storm_end, next_change;
	/* Of the calm: when something moved last, how long nothing may, and what has come to each end before
	 * it. */
	bool calm;
	uint64_t began, moved, bound, before, start_a, start_b;
};

static void start(struct run *r, uint64_t seed)
{
	static const uint32_t laps[] = {0, 0x80000000, 0xffffffff, 0x7fffffff, 0x40000000};
	struct sl_tcp_cfg ta, tb;
	struct sl_endpoint to;
	struct sim *s = &r->s;

	memset(r, 0, sizeof(*r));
	rnd = seed;
	ta = random_tune();
	tb = random_tune();
	s->now = 1000000 + below(100000000);
	s->wire.seed = seed;
	s->wire.a = &s->a;
	s->wire.b = &s->b;
	host_init(&s->a, &s->wire, "10.0.0.1", &ta);
	host_init(&s->b, &s->wire, "10.0.0.2", &tb);
	s->wire.cfg = random_wire();
	s->wire.cfg.loss = u32_min(s->wire.cfg.loss, 30);
	r->a.tx_seed = 1;
	r->b.tx_seed = 2;
	r->a.to_send = one_in(8) ? below(3) : below(one_in(3) ? 1500000 : 150000);
	r->b.to_send = one_in(8) ? below(3) : below(one_in(3) ? 1500000 : 150000);
	s->b.accept_end = &r->b;
	to = (struct sl_endpoint){s->b.addr, 5432};
	assert_int_equal(sl_tcp_listen(s->b.t, &to, 0, &s->b, &r->l), 0);
	assert_int_equal(sl_tcp_connect(s->a.t, &to, &r->a, s->now, &r->a.c), 0);
	if (one_in(2)) { /* the sequence numbers soon pass a mark */
		struct sl_tcp_conn *c = r->a.c;

		c->iss = c->snd_una = c->snd_nxt = c->recover = laps[below(COUNT(laps))] - below(200000);
		tcp_sndq_start(c);
	}
	r->storm_end = s->now + STORM_US;
}

static void storm(struct run *r)
{
	if (r->s.now >= r->next_change) {
		r->s.wire.cfg = random_wire();
		r->next_change = r->s.now + 1000 + below(one_in(2) ? 50000 : 1500000);
	}
	if (one_in(4))
		misbehave(one_in(2) ? &r->a : &r->b);
}

static void calm_down(struct run *r)
{
	r->calm = true;
	r->s.wire.cfg = (struct wire_cfg){.delay_us = 2000};
	behave(&r->a);
	behave(&r->b);
	r->began = r->moved = r->s.now;
	r->bound = 2 * TCP_RTO_MAX + 10 * TCP_S; /* timeouts that have doubled run out first */
	r->start_a = r->a.received;
	r->start_b = r->b.received;
}

static void check_books(const struct host *h)
{
	const struct sl_tcp_conn *c;
	uint64_t sum = 0;

	TAILQ_FOREACH(c, &h->t->all, list)
	{
		sum += tcp_conn_mem(c);
		assert_true(c->board.sacked_bytes + c->board.lost_bytes <= c->snd_nxt - c->snd_una);
		assert_true(c->cwnd > 0 || c->state < TCP_ESTABLISHED);
	}
	assert_true(sum == h->t->mem_used);
}

static uint64_t rto_of(const struct end *e)
{
	return e->c != NULL && e->err == 0 ? tcp_rto(e->c) : 0;
}

/* In the calm something moves before the timers say that it must, once both directions have begun to. */
static void check_progress(struct run *r)
{
	const struct end *a = &r->a, *b = &r->b;
	uint64_t done = a->received + b->received + a->eof + b->eof + (a->c == NULL) + (b->c == NULL) +
	                r->s.b.nb_accepted;

	if (done != r->before) {
		r->moved = r->s.now;
		if ((a->received != r->start_a || a->eof) && (b->received != r->start_b || b->eof))
			r->bound = 2 * (rto_of(a) > rto_of(b) ? rto_of(a) : rto_of(b)) + 2 * TCP_S;
	}
	r->before = done;
	assert_true(r->s.now - r->moved <= r->bound);
	assert_true(r->s.now - r->began <= CALM_US);
}

static void to_the_end(struct run *r)
{
	while (r->a.c != NULL || r->b.c != NULL || r->s.b.nb_accepted == 0) {
		if (r->s.now < r->storm_end)
			storm(r);
		else if (!r->calm)
			calm_down(r);
		sim_step(&r->s, 1000000);
		if (r->calm || one_in(2))
			end_pump(&r->a);
		if (r->calm || one_in(2))
			end_pump(&r->b);
		check_books(&r->s.a);
		check_books(&r->s.b);
		if (r->a.err != 0 || r->b.err != 0)
			return; /* a wire that loses all for long ends it */
		if (r->calm)
			check_progress(r);
	}
	end_pump(&r->a);
	end_pump(&r->b);
	assert_int_equal(r->b.received, r->a.to_send);
	assert_int_equal(r->a.received, r->b.to_send);
	assert_true(r->a.tx_digest == r->b.rx_digest);
	assert_true(r->b.tx_digest == r->a.rx_digest);
}

static void finish(struct run *r)
{
	struct sim *s = &r->s;
	uint64_t end = s->now + 700 * TCP_S;

	s->b.refuse = true;
	if (r->a.c != NULL)
		sl_tcp_abort(r->a.c, s->now);
	if (r->b.c != NULL)
		sl_tcp_abort(r->b.c, s->now);
	while (s->now < end && sl_tcp_nb_conns(s->a.t) + sl_tcp_nb_conns(s->b.t) + s->b.t->syn.nb > 0)
		sim_step(s, 1000000);
	sl_tcp_unlisten(s->b.t, r->l);
	sim_fini(s);
}

static void test_torture(void **state)
{
	static struct run r;

	for (uint64_t seed = test.seed; seed < test.seed + RUNS; seed++) {
		print_message("run of seed=%lu\n", seed);
		start(&r, seed);
		to_the_end(&r);
		finish(&r);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_torture),
	};

	if (test_setup(argc, argv) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
