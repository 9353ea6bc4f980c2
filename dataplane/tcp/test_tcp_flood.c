/* Floods: SYNs that nobody finishes, ACKs that nobody asked for; cookies; caps. */
#include <stdlib.h>

#include "test_tcp_util.h"

#define FLOOD 10000

static uint64_t errors(int err)
{
	return sl_counter_err_sum(err);
}

/* One of very many hosts. */
static struct sl_addr host_number(uint32_t i)
{
	struct sl_addr a = test_addr("10.9.0.0");

	if (test.family == SL_AF_INET6)
		sl_put_be32(a.b + 4, i);
	else
		sl_put_be32(a.b, UINT32_C(0x0b000000) + i);
	return a;
}

static void send_from(struct peer *p, const struct sl_addr *from, const struct seg *s)
{
	struct sl_addr mine = p->addr;

	p->addr = *from;
	peer_send(p, s);
	p->addr = mine;
}

static struct seg syn_of(struct peer *p, uint32_t seq)
{
	struct seg s = {.seq = seq, .flags = F_SYN, .wnd = 65535, .sport = p->sport, .dport = p->dport};

	s.nb_opts = peer_syn_options(p, s.opts);
	return s;
}

static void syn_from(struct peer *p, const struct sl_addr *from, uint32_t seq)
{
	struct seg s = syn_of(p, seq);

	send_from(p, from, &s);
}

/* 10,000 SYNs of as many hosts: bounded, each answered once, and a new client gets in all the same. */
static void test_flood(void **state)
{
	static struct sl_tcp_cfg tune = {.max_conns = 64};
	struct sl_tcp_stats st;
	struct peer p;
	uint64_t sent;

	peer_init(&p, &tune);
	p.ts = p.sack = true;
	p.wscale = 7;
	sent = p.wire.nb_sent;
	for (uint32_t i = 0; i < FLOOD; i++) {
		struct sl_addr from = host_number(i);

		syn_from(&p, &from, i);
		assert_int_equal(p.wire.nb_sent - sent, i + 1); /* one for one */
		assert_int_equal(peer_drain(&p), 1);
	}
	sl_tcp_get_stats(p.h.t, &st);
	assert_int_equal(st.nb_half_open, 8);
	assert_int_equal(st.nb_sources, 8);
	assert_int_equal(st.nb_conns, 0);
	assert_int_equal(st.cookies_sent, FLOOD - 8);
	peer_connect(&p);
	assert_non_null(p.e.c);
	assert_true(p.e.c->ts_ok && p.e.c->sack_ok && p.e.c->wscale_ok);
	assert_int_equal(p.e.c->snd_shift, 7);
	peer_tx(&p, F_ACK, p.seq, p.ack, "hello", 5);
	assert_int_equal(sl_tcp_readable(p.e.c), 5);
	sl_tcp_consume(p.e.c, 5);
	peer_drain(&p);
	sent = p.wire.nb_sent;
	peer_run(&p, 30 * TCP_S); /* what is sent again is bounded, and ends */
	assert_true(p.wire.nb_sent - sent <= 8 * TCP_SYNACK_RETRIES);
	peer_drain(&p);
	peer_run(&p, 64 * TCP_S);
	assert_int_equal(p.h.t->syn.nb, 0);
	peer_drain(&p);
	peer_fini(&p);
}

/* Half of the backlog taken: fewer SYN-ACKs to addresses that do not answer. */
static void test_fewer_retries(void **state)
{
	struct peer p;

	peer_init(&p, NULL);
	for (uint32_t i = 0; i < 7; i++) {
		struct sl_addr from = host_number(i);

		syn_from(&p, &from, i);
	}
	peer_drain(&p);
	peer_run(&p, 3500000); /* 1, 3 s */
	assert_int_equal(peer_drain(&p), 7 * TCP_SYNACK_RETRIES_FULL);
	peer_run(&p, 5 * TCP_S); /* three are given up, then there is room */
	assert_int_equal(p.h.t->syn.nb, 4);
	peer_run(&p, 60 * TCP_S);
	assert_int_equal(p.h.t->syn.nb, 0);
	peer_drain(&p);
	peer_fini(&p);
}

/* The last of a source's half-open connections are cookies while others still have a place. */
static void test_source_half_open(void **state)
{
	struct sl_tcp_cfg tune = {.max_conns = 64, .max_half_open_per_source = 3};
	struct sl_addr other;
	struct peer p;

	peer_init(&p, &tune);
	for (uint16_t i = 0; i < 5; i++) {
		p.sport++;
		syn_from(&p, &p.addr, 1);
	}
	assert_int_equal(p.h.t->syn.nb, 3);
	assert_int_equal(p.h.t->cookies.nb_sent, 2);
	other = host_number(1);
	syn_from(&p, &other, 1);
	assert_int_equal(p.h.t->syn.nb, 4);
	assert_int_equal(p.h.t->sources.nb, 2);
	peer_drain(&p);
	peer_fini(&p);
}

struct cookie_case {
	bool ts, sack, ecn;
	uint8_t wscale;
	uint16_t mss, mss_want;
};

/* Everything that the SYN said comes back with the ACK; without timestamps the MSS alone. */
static void test_cookie_options(void **state)
{
	static const struct cookie_case cases[] = {
	        {true, true, true, 7, 1460, 1460},  {true, false, false, 255, 1400, 1400},
	        {true, true, false, 0, 1380, 1300}, {true, false, true, 14, 536, 536},
	        {false, true, true, 7, 1460, 1460}, {false, false, false, 255, 200, 128},
	        {true, true, true, 1, 9000, 8940},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sl_tcp_cfg tune = {.max_conns = 8, .syn_cookies = SL_TCP_COOKIES_ALWAYS, .ecn = true};
		const struct cookie_case *k = &cases[i];
		struct peer p;

		for (uint32_t ms = 0; ms < 200; ms += 13) { /* any lowest bits of the clock */
			peer_init(&p, &tune);
			p.now += ms * TCP_MS;
			p.ts = k->ts;
			p.sack = k->sack;
			p.wscale = k->wscale;
			p.mss = k->mss;
			p.ecn = k->ecn;
			peer_connect(&p);
			assert_int_equal(p.h.t->syn.nb, 0);
			assert_int_equal(p.e.c->ts_ok, k->ts);
			assert_int_equal(p.e.c->sack_ok, k->ts && k->sack);
			assert_int_equal(p.e.c->ecn_ok, k->ts && k->ecn);
			assert_int_equal(p.e.c->wscale_ok, k->ts && k->wscale != 255);
			if (k->ts && k->wscale != 255)
				assert_int_equal(p.e.c->snd_shift, k->wscale);
			assert_int_equal(p.e.c->mss, u32_min(k->mss_want, test_mss()));
			assert_true(seq_le(p.ts_ecr, tcp_ts_now(p.e.c->ts_offset, p.now)));
			peer_fini(&p);
		}
	}
}

static void ack_of_cookie(struct peer *p, uint32_t seq, uint32_t ack)
{
	peer_tx(p, F_ACK, seq, ack, "x", 1);
}

/* Wrong, old, of another: RST and a counter, no state. Good ones: once they are, with the data that comes
 * along. */
static void test_cookie_wrong(void **state)
{
	struct sl_tcp_cfg tune = {.max_conns = 8, .syn_cookies = SL_TCP_COOKIES_ALWAYS};
	uint64_t bad = errors(SL_E_TCP_COOKIE);
	struct peer p;
	struct seg s;
	uint32_t iss;

	peer_init(&p, &tune);
	s = syn_of(&p, p.seq);
	peer_send(&p, &s);
	assert_true(peer_rx(&p));
	iss = p.got.seq;
	ack_of_cookie(&p, p.seq + 1, iss + 2);
	ack_of_cookie(&p, p.seq + 2, iss + 1);
	ack_of_cookie(&p, p.seq + 1, (iss ^ 0x80) + 1); /* the other secret */
	ack_of_cookie(&p, p.seq + 1, (iss ^ 0x10) + 1); /* another MSS */
	p.sport++;
	ack_of_cookie(&p, p.seq + 1, iss + 1);
	p.sport--;
	assert_int_equal(errors(SL_E_TCP_COOKIE) - bad, 5);
	for (int i = 0; i < 5; i++) {
		assert_true(peer_rx(&p));
		assert_int_equal(p.got.flags, F_RST);
	}
	peer_none(&p);
	assert_null(p.e.c);
	ack_of_cookie(&p, p.seq + 1, iss + 1);
	assert_non_null(p.e.c);
	assert_int_equal(sl_tcp_readable(p.e.c), 1);
	sl_tcp_consume(p.e.c, 1);
	peer_drain(&p);
	peer_fini(&p);
}

/* A cookie is good for one to two minutes; when none was sent for two an ACK is not even looked at. */
static void test_cookie_age(void **state)
{
	struct sl_tcp_cfg tune = {.max_conns = 8, .syn_cookies = SL_TCP_COOKIES_ALWAYS};
	static const struct {
		uint32_t age_s;
		bool good;
	} cases[] = {{1, true}, {59, true}, {61, true}, {119, false}, {121, false}, {600, false}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t bad = errors(SL_E_TCP_COOKIE), none = errors(SL_E_TCP_NO_CONN);
		struct peer p;
		struct seg s;

		peer_init(&p, &tune);
		p.now = 10 * TCP_COOKIE_SPAN + 10 * TCP_S;
		s = syn_of(&p, p.seq);
		peer_send(&p, &s);
		assert_true(peer_rx(&p));
		p.now += cases[i].age_s * TCP_S;
		ack_of_cookie(&p, p.seq + 1, p.got.seq + 1);
		assert_int_equal(p.e.c != NULL, cases[i].good);
		assert_int_equal(errors(SL_E_TCP_COOKIE) - bad, !cases[i].good && cases[i].age_s <= 120);
		assert_int_equal(errors(SL_E_TCP_NO_CONN) - none, cases[i].age_s > 120);
		peer_drain(&p);
		if (p.e.c != NULL)
			sl_tcp_consume(p.e.c, 1);
		peer_fini(&p);
	}
}

static struct tcp_tuple tuple_of(const struct peer *p)
{
	struct tcp_tuple u = {.lport = p->dport, .rport = p->sport, .family = p->addr.family};

	memcpy(u.laddr, p->h.addr.b, sizeof(u.laddr));
	memcpy(u.raddr, p->addr.b, sizeof(u.raddr));
	return u;
}

/* Of a connection of the peer, in which all in front of snd_nxt was sent. */
static void put_time_wait(struct peer *p, uint32_t snd_nxt, uint32_t rcv_nxt)
{
	struct sl_tcp_conn old = {.t = p->h.t, .tuple = tuple_of(p), .snd_nxt = snd_nxt, .rcv_nxt = rcv_nxt};

	tcp_tw_add(p->h.t, &old, p->now);
	assert_int_equal(p->h.t->tw_nb, 1);
}

/* A cookie that is not above what the TIME_WAIT has sent is not given, however often the SYN comes. */
static void test_cookie_in_time_wait(void **state)
{
	struct sl_tcp_cfg tune = {.max_conns = 8, .max_time_wait = 8, .syn_cookies = SL_TCP_COOKIES_ALWAYS};
	struct peer p;
	struct seg s;

	peer_init(&p, &tune);
	s = syn_of(&p, p.seq);
	peer_send(&p, &s);
	assert_true(peer_rx(&p)); /* the same SYN has the same cookie, within a minute */
	put_time_wait(&p, p.got.seq + 100000, p.seq - 1000);
	for (int i = 0; i < 3; i++) {
		peer_send(&p, &s);
		peer_none(&p);
	}
	ack_of_cookie(&p, p.seq + 1, p.got.seq + 1); /* as an old one */
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.flags, F_ACK);
	assert_int_equal(p.h.t->tw_nb, 1);
	assert_null(p.e.c);
	peer_fini(&p);
}

/* One that is above is given; but only who got it has shown that the TIME_WAIT may go. */
static void test_cookie_ends_time_wait(void **state)
{
	struct sl_tcp_cfg tune = {.max_conns = 8, .max_time_wait = 8, .syn_cookies = SL_TCP_COOKIES_ALWAYS};
	struct peer p;
	uint32_t iss;
	struct seg s;

	peer_init(&p, &tune);
	s = syn_of(&p, p.seq);
	peer_send(&p, &s);
	assert_true(peer_rx(&p));
	iss = p.got.seq;
	put_time_wait(&p, iss - 100000, p.seq - 1000);
	for (int i = 0; i < 2; i++) {
		peer_send(&p, &s);
		assert_true(peer_rx(&p));
		assert_int_equal(p.got.flags, F_SYN | F_ACK);
		assert_int_equal(p.got.seq, iss);
		assert_int_equal(p.h.t->tw_nb, 1);
	}
	peer_tx(&p, F_ACK, p.seq - 1000, iss - 100000, NULL, 0); /* of the old connection */
	peer_tx(&p, F_ACK, p.seq + 1, iss + 2, NULL, 0);         /* a guess */
	peer_tx(&p, F_RST, p.seq + 1, 0, NULL, 0);
	peer_none(&p);
	assert_int_equal(p.h.t->tw_nb, 1);
	assert_null(p.e.c);
	p.h.route_err = SL_E_NET_NO_ROUTE;
	peer_tx(&p, F_ACK, p.seq + 1, iss + 1, NULL, 0);
	peer_drain(&p);
	assert_int_equal(p.h.t->tw_nb, 1);
	p.h.route_err = 0;
	ack_of_cookie(&p, p.seq + 1, iss + 1);
	assert_non_null(p.e.c);
	assert_int_equal(p.h.t->tw_nb, 0);
	assert_int_equal(sl_tcp_readable(p.e.c), 1);
	sl_tcp_consume(p.e.c, 1);
	peer_drain(&p);
	peer_fini(&p);
}

/* A SYN that is refused leaves the TIME_WAIT: the one that is taken then knows which ISN is too low. */
static void test_refused_in_time_wait(void **state)
{
	struct sl_tcp_cfg tune = {.max_conns = 8, .max_time_wait = 8};
	uint64_t limit = errors(SL_E_TCP_LISTENER_LIMIT);
	struct tcp_tuple u;
	uint32_t floor;
	struct peer p;
	struct seg s;

	peer_init(&p, &tune);
	sl_tcp_listener_caps(p.l, 1, 0);
	peer_connect(&p);
	p.sport++;
	s = syn_of(&p, 5000);
	u = tuple_of(&p);
	floor = tcp_isn(p.h.t, &u, p.now) + 100000;
	put_time_wait(&p, floor, 4000);
	peer_send(&p, &s);
	assert_int_equal(errors(SL_E_TCP_LISTENER_LIMIT) - limit, 1);
	sl_tcp_abort(p.e.c, p.now);
	p.e.c = NULL;
	peer_drain(&p);
	p.h.route_err = SL_E_NET_NO_ROUTE;
	peer_send(&p, &s);
	peer_none(&p);
	assert_int_equal(p.h.t->tw_nb, 1);
	p.h.route_err = 0;
	peer_send(&p, &s);
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.flags, F_SYN | F_ACK);
	assert_true(seq_lt(floor, p.got.seq));
	assert_int_equal(p.h.t->tw_nb, 0);
	peer_fini(&p);
}

static void test_cookies_never(void **state)
{
	struct sl_tcp_cfg tune = {.max_conns = 64, .syn_cookies = SL_TCP_COOKIES_NEVER};
	uint64_t refused = errors(SL_E_TCP_BACKLOG);
	struct peer p;

	peer_init(&p, &tune);
	for (uint32_t i = 0; i < 20; i++) {
		struct sl_addr from = host_number(i);

		syn_from(&p, &from, 1);
	}
	assert_int_equal(peer_drain(&p), 8);
	assert_int_equal(errors(SL_E_TCP_BACKLOG) - refused, 12);
	peer_fini(&p);
}

/* ACKs that nobody asked for: RSTs within a rate for each source, and other sources still get theirs. */
static void test_ack_flood(void **state)
{
	uint64_t held = errors(SL_E_TCP_RST_LIMIT);
	struct sl_addr other = host_number(77);
	struct seg s = {.seq = 1, .ack = 2, .flags = F_ACK, .sport = 9, .dport = 9};
	struct peer p;

	peer_init(&p, NULL);
	for (int i = 0; i < 1000; i++)
		peer_send(&p, &s);
	assert_int_equal(peer_drain(&p), TCP_RST_BURST_MS / TCP_RST_COST_MS);
	assert_int_equal(errors(SL_E_TCP_RST_LIMIT) - held, 1000 - TCP_RST_BURST_MS / TCP_RST_COST_MS);
	send_from(&p, &other, &s);
	assert_int_equal(peer_drain(&p), 1);
	p.now += 100 * TCP_MS;
	for (int i = 0; i < 1000; i++)
		peer_send(&p, &s);
	assert_int_equal(peer_drain(&p), 100 / TCP_RST_COST_MS);
	peer_fini(&p);
}

/* What a half-open connection answers to (RFC 9293, 3.10.7.4; RFC 5961). */
static void test_half_open_segments(void **state)
{
	struct peer p;
	struct seg s;
	uint32_t iss;

	peer_init(&p, NULL);
	s = syn_of(&p, p.seq);
	peer_send(&p, &s);
	assert_true(peer_rx(&p));
	iss = p.got.seq;
	peer_tx(&p, F_RST, p.seq + 100, 0, NULL, 0); /* in the window only */
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.flags, F_ACK);
	assert_int_equal(p.got.seq, iss + 1);
	assert_int_equal(p.got.ack, p.seq + 1);
	peer_tx(&p, F_RST, p.seq + 100, 0, NULL, 0); /* not twice a second */
	peer_tx(&p, F_RST, p.seq - 100, 0, NULL, 0);
	peer_tx(&p, F_SYN, p.seq + 5, 0, NULL, 0);
	peer_tx(&p, 0, p.seq + 1, 0, NULL, 0);
	peer_tx(&p, F_FIN, p.seq + 1, 0, NULL, 0);
	peer_none(&p);
	p.now += 1100000;
	peer_tx(&p, F_SYN, p.seq + 5, 0, NULL, 0); /* another SYN: a challenge, too */
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.flags, F_ACK);
	peer_tx(&p, F_ACK, p.seq - 9, iss + 1, NULL, 0); /* out of the window */
	peer_none(&p);
	peer_tx(&p, F_ACK, p.seq + 1, iss, NULL, 0);
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.flags, F_RST);
	assert_int_equal(p.h.t->syn.nb, 1);
	peer_tx(&p, F_RST, p.seq + 1, 0, NULL, 0);
	assert_int_equal(p.h.t->syn.nb, 0);
	peer_none(&p);
	peer_fini(&p);
}

/* An entry with timestamps takes no ACK without one, nor with an old one. FIN may come with the ACK. */
static void test_half_open_ts(void **state)
{
	struct peer p;
	struct seg s;
	uint32_t iss;

	peer_init(&p, NULL);
	p.ts = true;
	s = syn_of(&p, p.seq);
	peer_send(&p, &s);
	assert_true(peer_rx(&p));
	iss = p.got.seq;
	p.ts = false;
	peer_tx(&p, F_ACK, p.seq + 1, iss + 1, NULL, 0);
	p.ts = true;
	p.ts_val -= 5;
	peer_tx(&p, F_ACK, p.seq + 1, iss + 1, NULL, 0);
	assert_null(p.e.c);
	p.ts_val += 5;
	peer_tx(&p, F_ACK | F_FIN, p.seq + 1, iss + 1, "bye", 3);
	assert_non_null(p.e.c);
	assert_int_equal(sl_tcp_readable(p.e.c), 3);
	sl_tcp_consume(p.e.c, 3);
	assert_true(sl_tcp_eof(p.e.c));
	peer_drain(&p);
	peer_fini(&p);
}

/* Caps of a listener and of a source: the SYN is dropped, and counted; room again when one ends. */
static void test_caps(void **state)
{
	struct sl_tcp_cfg tune = {.max_conns = 64, .max_conns_per_source = 3};
	uint64_t by_source = errors(SL_E_TCP_SOURCE_LIMIT), by_listener = errors(SL_E_TCP_LISTENER_LIMIT);
	struct sl_tcp_conn *c[5] = {0};
	struct peer p;

	peer_init(&p, &tune);
	sl_tcp_listener_caps(p.l, 4, 0);
	for (int i = 0; i < 3; i++) {
		p.e.c = NULL;
		p.sport++;
		p.seq = 1000;
		peer_connect(&p);
		c[i] = p.e.c;
	}
	p.sport++;
	syn_from(&p, &p.addr, 1);
	peer_none(&p);
	assert_int_equal(errors(SL_E_TCP_SOURCE_LIMIT) - by_source, 1);
	p.addr = host_number(1);
	p.seq = 1000;
	peer_connect(&p);
	c[3] = p.e.c;
	p.addr = host_number(2);
	syn_from(&p, &p.addr, 1);
	peer_none(&p);
	assert_int_equal(errors(SL_E_TCP_LISTENER_LIMIT) - by_listener, 1);
	assert_int_equal(p.h.t->sources.nb, 2);
	sl_tcp_abort(c[0], p.now);
	peer_drain(&p);
	syn_from(&p, &p.addr, 1);
	assert_int_equal(peer_drain(&p), 1);
	for (int i = 1; i < 4; i++)
		sl_tcp_abort(c[i], p.now);
	p.e.c = NULL;
	peer_fini(&p);
}

/* Full segments in order until one is not taken whole, or `most` bytes were. Returns how many were. */
static uint32_t fill(struct peer *p, struct sl_tcp_conn *c, uint32_t most)
{
	static const uint8_t data[MSS_MAX];
	uint32_t start = c->rcv_nxt, before = start - 1;

	p->sport = c->tuple.rport;
	p->dport = c->tuple.lport;
	p->addr = tcp_addr(c->tuple.raddr, c->tuple.family);
	while (c->rcv_nxt != before && c->rcv_nxt - start < most) {
		before = c->rcv_nxt;
		peer_tx(p, F_ACK, before, c->snd_nxt, data, c->mss);
		peer_drain(p);
	}
	return c->rcv_nxt - start;
}

/* A connection whose user is e. */
static struct sl_tcp_conn *connect_from(struct peer *p, const struct sl_addr *from, uint16_t dport,
                                        struct end *e)
{
	p->addr = *from;
	p->dport = dport;
	p->sport++;
	p->seq = 1000;
	peer_connect(p);
	*e = (struct end){.c = p->e.c};
	sl_tcp_set_user(e->c, e);
	p->e.c = NULL;
	return e->c;
}

/* Of about so many buffers that packets come in. */
static uint64_t cap_bytes(uint32_t nb)
{
	return (uint64_t)nb * (sizeof(struct rte_mbuf) + rte_pktmbuf_data_room_size(test_rx_pool));
}

/* A listener's buffers: who does not read takes 3/4 at most, the rest is for others; other listeners do not
 * notice. */
static void test_listener_bytes(void **state)
{
	static const uint8_t data[256 * 1024];
	struct sl_tcp_cfg tune = {.max_conns = 64};
	uint64_t cap = cap_bytes(20), before = errors(SL_E_TCP_BYTES_LIMIT);
	struct sl_endpoint any = {.port = 5433};
	struct sl_addr from[2] = {host_number(1), host_number(2)};
	struct sl_tcp_listener *other;
	struct sl_tcp_conn *c[3];
	struct end e[3];
	struct peer p;

	peer_init(&p, &tune);
	p.wscale = 7;
	assert_int_equal(sl_tcp_listen(p.h.t, &any, 8, &p.h, &other), 0);
	sl_tcp_listener_caps(p.l, 0, cap);
	c[0] = connect_from(&p, &from[0], 5432, &e[0]);
	c[1] = connect_from(&p, &from[1], 5432, &e[1]);
	c[2] = connect_from(&p, &from[0], 5433, &e[2]);
	assert_true(fill(&p, c[0], UINT32_MAX) > 0);
	assert_true(errors(SL_E_TCP_BYTES_LIMIT) > before);
	assert_int_equal(p.l->bytes, tcp_conn_mem(c[0]));
	assert_true(p.l->bytes <= cap && p.l->bytes > cap / 2);
	assert_true(fill(&p, c[1], UINT32_MAX) > 0);
	assert_true(p.l->bytes <= cap);
	assert_int_equal(p.l->bytes, tcp_conn_mem(c[0]) + tcp_conn_mem(c[1]));
	assert_true(fill(&p, c[2], 4 * c[2]->mss) >= 4 * c[2]->mss);
	assert_true(tcp_conn_mem(c[2]) > 0);
	assert_int_equal(other->bytes, 0); /* nothing is counted where there is no cap */

	/* Writers wait, and hear of it when there is room. */
	assert_true(sl_tcp_write(c[0], sl_span(data, sizeof(data))) < sizeof(data));
	assert_true(p.l->bytes <= cap);
	e[0].events = 0;
	for (int i = 0; i < 3; i++)
		sl_tcp_consume(c[i], sl_tcp_readable(c[i]));
	p.now += 2 * TCP_MS;
	sl_tcp_tick(p.h.t, p.now);
	assert_true(e[0].events & SL_TCP_EV_WRITABLE);
	for (int i = 0; i < 3; i++)
		sl_tcp_abort(c[i], p.now);
	assert_int_equal(p.l->bytes, 0);
	assert_int_equal(other->bytes, 0);
	sl_tcp_unlisten(p.h.t, other);
	peer_fini(&p);
}

/* The same for a source, whatever it connects to. */
static void test_source_bytes(void **state)
{
	uint64_t cap = cap_bytes(20), before = errors(SL_E_TCP_BYTES_LIMIT);
	struct sl_tcp_cfg tune = {.max_conns = 64, .max_bytes_per_source = cap};
	struct sl_addr from[2] = {host_number(1), host_number(2)};
	struct sl_tcp_conn *c[3];
	struct end e[3];
	struct tcp_source *x;
	struct peer p;

	peer_init(&p, &tune);
	p.wscale = 7;
	c[0] = connect_from(&p, &from[0], 5432, &e[0]);
	c[1] = connect_from(&p, &from[0], 5432, &e[1]);
	c[2] = connect_from(&p, &from[1], 5432, &e[2]);
	x = tcp_source_at(p.h.t, c[0]->source);
	assert_int_equal(c[0]->source, c[1]->source);
	assert_true(fill(&p, c[0], UINT32_MAX) > 0);
	assert_true(errors(SL_E_TCP_BYTES_LIMIT) > before);
	assert_true(fill(&p, c[1], UINT32_MAX) > 0);
	assert_int_equal(x->bytes, tcp_conn_mem(c[0]) + tcp_conn_mem(c[1]));
	assert_true(x->bytes <= cap);
	assert_true(fill(&p, c[2], c[2]->mss) >= c[2]->mss);
	sl_tcp_consume(c[0], sl_tcp_readable(c[0]));
	assert_true(fill(&p, c[0], c[0]->mss) >= c[0]->mss);
	for (int i = 0; i < 3; i++)
		sl_tcp_abort(c[i], p.now);
	peer_fini(&p);
}

/* A peer that says an MSS of one byte: segments of the smallest size we make, a window's worth of them; no
 * cookie says so little, so under pressure it is not answered. */
static void test_tiny_mss(void **state)
{
	struct sl_tcp_cfg tune = {.max_conns = 8, .syn_cookies = SL_TCP_COOKIES_ALWAYS};
	uint64_t refused = errors(SL_E_TCP_BACKLOG);
	static const uint8_t data[64 * 1024];
	struct peer p;

	peer_init(&p, NULL);
	p.mss = 1;
	peer_connect(&p);
	assert_int_equal(p.e.c->mss, TCP_MSS_MIN);
	sl_tcp_write(p.e.c, sl_span(data, sizeof(data)));
	sl_tcp_flush(p.h.t, p.now);
	assert_int_equal(p.e.c->snd_nxt - p.e.c->snd_una, TCP_IW_SEGMENTS * TCP_MSS_MIN);
	assert_true(p.e.c->board.nb <= TCP_IW_SEGMENTS);
	peer_drain(&p);
	peer_fini(&p);

	peer_init(&p, &tune);
	p.mss = 1;
	syn_from(&p, &p.addr, 1);
	peer_none(&p);
	assert_int_equal(errors(SL_E_TCP_BACKLOG) - refused, 1);
	peer_fini(&p);
}

/* Idle connections ask for nothing until their keep-alive; a timer that moves on leaves its entry where it
 * is. */
static void test_idle(void **state)
{
	struct sl_tcp_cfg tune = {.max_conns = 64};
	struct sl_addr from = host_number(1);
	struct sl_tcp_conn *c[16];
	struct end e[16];
	uint64_t at;
	struct peer p;

	peer_init(&p, &tune);
	for (int i = 0; i < 16; i++)
		c[i] = connect_from(&p, &from, 5432, &e[i]);
	peer_run(&p, TCP_S);
	assert_true(sl_tcp_tick(p.h.t, p.now) - p.now > 50 * TCP_S);
	sl_tcp_write(c[15], sl_span((const uint8_t *)"x", 1));
	sl_tcp_flush(p.h.t, p.now);
	assert_int_equal(peer_drain(&p), 1);
	at = c[15]->wheel_ms;
	for (uint32_t i = 1; i < 100; i++) {
		p.now += TCP_MS;
		peer_tx(&p, F_ACK, p.seq, p.ack + i, NULL, 0);
		sl_tcp_write(c[15], sl_span((const uint8_t *)"x", 1));
		sl_tcp_flush(p.h.t, p.now);
		assert_int_equal(peer_drain(&p), 1);
		assert_true(tcp_timer_at(c[15], TCP_TMR_RTX) > p.now);
		assert_int_equal(c[15]->wheel_ms, at);
	}
	for (int i = 0; i < 16; i++)
		sl_tcp_abort(c[i], p.now);
	peer_fini(&p);
}

/* Keep-alives of hundreds that fall due together: a tick sends a few and wants to be called again at once,
 * who sends something meanwhile is answered, and each goes once. */
static void test_idle_many(void **state)
{
	enum {
		MANY = 400
	};
	static struct end e[MANY];
	struct sl_tcp_cfg tune = {.max_conns = MANY, .keepalive_idle_s = 60};
	struct sl_addr from = host_number(1);
	uint32_t nb_ticks = 0, nb_pauses = 0;
	uint64_t end;
	struct peer p;

	peer_init(&p, &tune);
	end = p.now + 59 * TCP_S;
	for (int i = 0; i < MANY; i++)
		connect_from(&p, &from, 5432, &e[i]);
	while (p.now < end) { /* the wheel spreads out what is far away, a part at a time */
		uint64_t next = sl_tcp_tick(p.h.t, p.now);

		assert_true(next >= p.now);
		nb_pauses += next == p.now;
		p.now = next;
		peer_none(&p);
	}
	assert_true(nb_pauses > 0);
	p.now = end + TCP_S + TCP_MS;
	while (sl_tcp_tick(p.h.t, p.now) == p.now) {
		sl_tcp_flush(p.h.t, p.now);
		assert_true(peer_drain(&p) <= 16 + 1); /* an ACK of what came, and probes */
		peer_tx(&p, F_ACK | F_PSH, p.seq, p.ack, "x", 1);
		p.seq++;
		assert_int_equal(sl_tcp_readable(e[MANY - 1].c), ++nb_ticks);
	}
	assert_true(nb_ticks >= MANY / 16 - 1);
	for (int i = 0; i < MANY; i++) {
		if (i < MANY - 1) /* who has just sent something needs none */
			assert_int_equal(e[i].c->nb_keep, 1);
		sl_tcp_abort(e[i].c, p.now);
	}
	peer_fini(&p);
}

/* A limit that is reached between SYN and ACK: a RST, and the entry is gone. */
static void test_cap_at_ack(void **state)
{
	struct sl_tcp_cfg tune = {.max_conns = 1};
	struct peer p;
	struct seg s;
	uint32_t iss;

	peer_init(&p, &tune);
	s = syn_of(&p, 500);
	peer_send(&p, &s);
	assert_true(peer_rx(&p));
	iss = p.got.seq;
	p.sport++;
	peer_connect(&p);
	p.sport--;
	peer_tx(&p, F_ACK, 501, iss + 1, NULL, 0);
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.flags, F_RST);
	assert_int_equal(p.h.t->syn.nb, 0);
	p.sport++;
	peer_fini(&p);
}

/* A listener goes while it has connections. */
static void test_unlisten_lives_on(void **state)
{
	struct sl_endpoint any = {.port = 1};
	struct sl_tcp_listener *l;
	struct peer p;

	peer_init(&p, NULL);
	assert_int_equal(sl_tcp_listen(p.h.t, &any, 8, &p.h, &l), 0);
	peer_connect(&p);
	sl_tcp_unlisten(p.h.t, p.l);
	p.l = l;
	peer_tx(&p, F_ACK, p.seq, p.ack, "still", 5);
	assert_int_equal(sl_tcp_readable(p.e.c), 5);
	assert_non_null(p.h.t->listeners_gone);
	sl_tcp_abort(p.e.c, p.now);
	p.e.c = NULL;
	tcp_conn_reap(p.h.t);
	assert_null(p.h.t->listeners_gone);
	peer_drain(&p);
	peer_fini(&p);
}

/* D09: 10,000 half-open and 10,000 idle connections; new ones still get in, and nothing is left in the end.
 */
static void test_many(void **state)
{
	static struct sl_tcp_cfg tune = {.max_conns = FLOOD + 10, .max_half_open = FLOOD};
	static struct sl_tcp_conn *c[FLOOD];
	struct sl_tcp_listener *l;
	struct sl_endpoint any = {.port = 5433};
	struct sl_tcp_stats st;
	struct peer p;

	peer_init(&p, &tune);
	assert_int_equal(sl_tcp_listen(p.h.t, &any, FLOOD, &p.h, &l), 0);
	for (uint32_t i = 0; i < FLOOD; i++) {
		p.addr = host_number(i / 100);
		p.sport = (uint16_t)(1024 + i % 100);
		p.seq = 1000 + i;
		p.e.c = NULL;
		peer_connect(&p);
		c[i] = p.e.c;
	}
	p.dport = 5433;
	for (uint32_t i = 0; i < FLOOD; i++) {
		struct sl_addr from = host_number(1000 + i);

		syn_from(&p, &from, i);
		peer_drain(&p);
	}
	sl_tcp_get_stats(p.h.t, &st);
	assert_int_equal(st.nb_half_open, FLOOD);
	assert_int_equal(st.nb_conns, FLOOD);
	for (int i = 0; i < 5; i++) {
		p.addr = host_number(100000);
		p.sport++;
		p.e.c = NULL;
		p.dport = i % 2 ? 5433 : 5432;
		peer_connect(&p);
		sl_tcp_abort(p.e.c, p.now);
		p.e.c = NULL;
		peer_drain(&p);
	}
	for (uint32_t i = 0; i < FLOOD; i++)
		sl_tcp_abort(c[i], p.now);
	sl_tcp_tick(p.h.t, p.now);
	wire_clear(&p.wire);
	sl_tcp_unlisten(p.h.t, l);
	wire_clear(&p.wire);
	assert_int_equal(p.h.t->syn.nb, 0);
	peer_fini(&p);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_flood),
	        cmocka_unit_test(test_fewer_retries),
	        cmocka_unit_test(test_source_half_open),
	        cmocka_unit_test(test_cookie_options),
	        cmocka_unit_test(test_cookie_wrong),
	        cmocka_unit_test(test_cookie_age),
	        cmocka_unit_test(test_cookie_in_time_wait),
	        cmocka_unit_test(test_cookie_ends_time_wait),
	        cmocka_unit_test(test_refused_in_time_wait),
	        cmocka_unit_test(test_cookies_never),
	        cmocka_unit_test(test_ack_flood),
	        cmocka_unit_test(test_half_open_segments),
	        cmocka_unit_test(test_half_open_ts),
	        cmocka_unit_test(test_caps),
	        cmocka_unit_test(test_listener_bytes),
	        cmocka_unit_test(test_source_bytes),
	        cmocka_unit_test(test_tiny_mss),
	        cmocka_unit_test(test_idle),
	        cmocka_unit_test(test_idle_many),
	        cmocka_unit_test(test_cap_at_ack),
	        cmocka_unit_test(test_unlisten_lives_on),
	        cmocka_unit_test(test_many),
	};

	if (test_setup(argc, argv) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
