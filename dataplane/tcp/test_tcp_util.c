#include "test_tcp_util.h"

#include <stdio.h>
#include <stdlib.h>

#include <rte_eal.h>

#define POOL_MBUFS     8191
#define POOL_MBUFS_BIG 6143 /* of mbufs that hold a jumbo frame */

struct rte_mempool *test_pool, *test_rx_pool;
struct test_params test = {.family = 4, .mss = 1460, .seed = 20261121};

static struct rte_mempool *make_pool(const char *name, bool jumbo)
{
	uint16_t room = RTE_MBUF_DEFAULT_BUF_SIZE;

	if (jumbo)
		room = RTE_PKTMBUF_HEADROOM + MSS_MAX + 40;
	return rte_pktmbuf_pool_create(name, jumbo ? POOL_MBUFS_BIG : POOL_MBUFS, 0, 0, room, 0);
}

int test_eal(void)
{
	static char *argv[] = {"test", "--no-huge", "--no-pci",       "--no-shconf",
	                       "-m",   "256",       "--no-telemetry", "--log-level=*:error"};
	bool jumbo = test.mss > 1460;

	if (test_pool != NULL)
		return 0;
	if (rte_eal_init((int)(sizeof(argv) / sizeof(argv[0])), argv) < 0)
		return -1;
	test_pool = make_pool("test", jumbo);
	test_rx_pool = make_pool("test_rx", jumbo && !test.offload);
	return test_pool == NULL || test_rx_pool == NULL ? -1 : 0;
}

static int read_arg(const char *arg)
{
	static const char *const names[] = {"family=", "offload=", "mss=", "seed="};
	const char *value = strchr(arg, '=');
	uint64_t v = value != NULL ? strtoull(value + 1, NULL, 0) : 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strncmp(arg, names[i], strlen(names[i])) != 0)
			continue;
		switch (i) {
		case 0:
			test.family = (uint8_t)v;
			return v == SL_AF_INET || v == SL_AF_INET6 ? 0 : -1;
		case 1:
			test.offload = v != 0;
			return 0;
		case 2:
			test.mss = (uint16_t)v;
			return v >= 128 && v <= MSS_MAX ? 0 : -1;
		default:
			test.seed = v;
			return 0;
		}
	}
	return -1;
}

int test_setup(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (read_arg(argv[i]) < 0) {
			fprintf(stderr, "%s: [family=4|6] [offload=0|1] [mss=N] [seed=N]\n", argv[0]);
			return -1;
		}
	}
	print_message("family=%u offload=%d mss=%u seed=%lu\n", test.family, test.offload, test.mss,
	              (unsigned long)test.seed);
	return test_eal();
}

uint32_t test_headers(void)
{
	return test.family == SL_AF_INET6 ? 60 : 40;
}

uint16_t test_mss(void)
{
	return (uint16_t)(test.mss + 40 - test_headers());
}

struct sl_addr test_addr(const char *v4)
{
	char text[SL_ADDR_STR_MAX];
	struct sl_addr a;

	snprintf(text, sizeof(text), "%s%s", test.family == SL_AF_INET6 ? "fd00::" : "", v4);
	assert_int_equal(sl_addr_parse(text, &a), 0);
	return a;
}

struct sl_endpoint test_endpoint(const char *v4, uint16_t port)
{
	return (struct sl_endpoint){test_addr(v4), port};
}

/* splitmix64 */
uint64_t test_rand(uint64_t *seed)
{
	uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t digest(uint64_t d, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		d = (d ^ p[i]) * UINT64_C(0x100000001b3);
	return d;
}

static void *on_accept(void *ctx, struct sl_tcp_listener *l, void *listener_user, struct sl_tcp_conn *c)
{
	struct host *h = ctx;
	struct end *e = h->accept_end;

	assert_ptr_equal(listener_user, h);
	if (h->refuse || e == NULL)
		return NULL;
	h->nb_accepted++;
	e->c = c;
	return e;
}

static void on_notify(void *ctx, struct sl_tcp_conn *c, void *user, uint32_t events)
{
	struct end *e = user;

	assert_ptr_equal(e->c, c);
	e->events |= events;
	if (events & SL_TCP_EV_READABLE)
		e->nb_readable++;
	if (events & SL_TCP_EV_ERROR)
		e->err = sl_tcp_error(c);
}

static int on_route(void *ctx, const struct sl_addr *dst, struct sl_net_path *out)
{
	struct host *h = ctx;

	if (h->route_err < 0)
		return h->route_err;
	*out = (struct sl_net_path){.src = h->addr, .mtu = h->mtu, .tso = h->tso, .multi_seg = h->multi_seg};
	return 0;
}

static bool on_port_ok(void *ctx, const struct sl_endpoint *local, const struct sl_endpoint *remote)
{
	struct host *h = ctx;

	return h->port_ok == NULL || h->port_ok(local->port);
}

static const struct sl_tcp_ops ops = {wire_output, on_accept, on_notify, on_route, on_port_ok};

void host_init(struct host *h, struct wire *w, const char *addr, const struct sl_tcp_cfg *tune)
{
	struct sl_tcp_cfg cfg = {.max_conns = 64, .max_time_wait = 64};

	if (tune != NULL)
		cfg = *tune;
	if (cfg.max_conns == 0)
		cfg.max_conns = 64;
	cfg.pool = test_pool;
	cfg.ops = &ops;
	cfg.ctx = h;
	memcpy(cfg.secret, addr, 8);
	h->wire = w;
	h->mtu = (uint16_t)(test.mss + 40);
	h->tso = h->multi_seg = test.offload;
	h->addr = test_addr(addr);
	assert_int_equal(sl_tcp_new(&cfg, &h->t), 0);
}

void host_check_empty(struct host *h)
{
	tcp_conn_reap(h->t);
	sl_tcp_flush(h->t, h->t->now_us); /* those that ended before their turn came */
	assert_int_equal(h->t->mem_used, 0);
	assert_int_equal(h->t->rpieces.nb_used, 0);
	assert_int_equal(h->t->ooo.nb_used, 0);
	assert_int_equal(h->t->sents.nb_used, 0);
	assert_int_equal(h->t->pieces.nb_used, 0);
	assert_int_equal(h->t->nb_rcv_own, 0);
	assert_int_equal(h->t->nb_own, 0);
	assert_int_equal(sl_tcp_nb_conns(h->t), 0);
	assert_int_equal(h->t->syn.nb, 0);
	assert_int_equal(h->t->sources.nb, 0);
	assert_int_equal(h->t->wheel.nb, 0);
	assert_int_equal(h->t->out.nb, 0);
}

void sim_init(struct sim *s, const struct wire_cfg *cfg, const struct sl_tcp_cfg *tune, uint64_t seed)
{
	memset(s, 0, sizeof(*s));
	s->now = 1000000;
	s->wire.cfg = *cfg;
	s->wire.seed = seed;
	s->wire.a = &s->a;
	s->wire.b = &s->b;
	host_init(&s->a, &s->wire, "10.0.0.1", tune);
	host_init(&s->b, &s->wire, "10.0.0.2", tune);
}

void sim_fini(struct sim *s)
{
	wire_clear(&s->wire);
	host_check_empty(&s->a);
	host_check_empty(&s->b);
	sl_tcp_free(s->a.t);
	sl_tcp_free(s->b.t);
	assert_int_equal(rte_mempool_in_use_count(test_pool), 0);
	assert_int_equal(rte_mempool_in_use_count(test_rx_pool), 0);
}

/* Sends what is ready, then goes to the next thing that happens (an arrival, a timer), at most max_us
 * further. */
void sim_step(struct sim *s, uint64_t max_us)
{
	uint64_t ta, tb, next = s->now + max_us;

	sl_tcp_flush(s->a.t, s->now);
	sl_tcp_flush(s->b.t, s->now);
	ta = sl_tcp_tick(s->a.t, s->now);
	tb = sl_tcp_tick(s->b.t, s->now);
	if (ta < next)
		next = ta;
	if (tb < next)
		next = tb;
	if (s->wire.n > 0 && s->wire.q[0].at < next)
		next = s->wire.q[0].at;
	s->now = next > s->now ? next : s->now + 1;
	wire_deliver(&s->wire, s->now);
	sl_tcp_tick(s->a.t, s->now);
	sl_tcp_tick(s->b.t, s->now);
}

static void pump_write(struct end *e)
{
	uint8_t buf[8192];

	while (e->sent < e->to_send) {
		uint64_t left = e->to_send - e->sent, most = e->tx_refused ? 64 : sizeof(buf);
		size_t n = (size_t)(left < most ? left : most), took;

		for (size_t i = 0; i < n; i++)
			buf[i] = (uint8_t)((e->sent + i) * 31 + (e->sent + i) / 251 + e->tx_seed);
		took = sl_tcp_write(e->c, sl_span(buf, n));
		e->tx_digest = digest(e->tx_digest, buf, took);
		e->sent += took;
		e->tx_refused = took == 0;
		if (took < n)
			return;
	}
}

static void pump_read(struct end *e)
{
	struct sl_span v[4];
	uint32_t nb;

	while ((nb = sl_tcp_peek(e->c, v, 4)) > 0) {
		size_t n = 0;

		for (uint32_t i = 0; i < nb; i++) {
			e->rx_digest = digest(e->rx_digest, v[i].p, v[i].n);
			n += v[i].n;
		}
		e->received += n;
		sl_tcp_consume(e->c, n);
	}
}

/* Writes what is to be sent, reads what has come, closes when both are done. */
void end_pump(struct end *e)
{
	if (e->c == NULL)
		return;
	pump_write(e);
	if (!e->read_paused)
		pump_read(e);
	if (e->sent == e->to_send && !e->shut) {
		sl_tcp_shutdown(e->c);
		e->shut = true;
	}
	if (sl_tcp_eof(e->c))
		e->eof = true;
	if ((e->shut && e->eof && sl_tcp_unacked(e->c) == 0) || e->err != 0) {
		sl_tcp_release(e->c);
		e->c = NULL;
	}
}

void peer_init(struct peer *p, const struct sl_tcp_cfg *tune)
{
	struct sl_endpoint any = {.port = 5432};

	memset(p, 0, sizeof(*p));
	p->now = 5000000;
	p->wire.capture = true;
	host_init(&p->h, &p->wire, "10.0.0.1", tune);
	p->h.accept_end = &p->e;
	assert_int_equal(sl_tcp_listen(p->h.t, &any, 8, &p->h, &p->l), 0);
	p->addr = test_addr("10.0.0.9");
	p->sport = 40000;
	p->dport = 5432;
	p->seq = 1000;
	p->mss = test_mss();
	p->wscale = 255;
	p->ts_val = 7000;
	sl_tcp_tick(p->h.t, p->now);
}

void peer_fini(struct peer *p)
{
	if (p->e.c != NULL)
		sl_tcp_abort(p->e.c, p->now);
	sl_tcp_unlisten(p->h.t, p->l);
	sl_tcp_flush(p->h.t, p->now);
	wire_clear(&p->wire);
	host_check_empty(&p->h);
	sl_tcp_free(p->h.t);
	assert_int_equal(rte_mempool_in_use_count(test_pool), 0);
	assert_int_equal(rte_mempool_in_use_count(test_rx_pool), 0);
}

struct sl_endpoint peer_endpoint(const struct peer *p)
{
	return (struct sl_endpoint){p->addr, p->sport};
}

struct rte_mbuf *peer_segment(const struct peer *p, const struct seg *s, struct sl_net_segment *ip)
{
	uint8_t b[TCP_HDR_MAX + sizeof(s->data)] = {0};
	uint32_t hdr = 20 + (s->nb_opts + 3) / 4 * 4;
	struct rte_mbuf *m;

	*ip = (struct sl_net_segment){
	        .src = peer_endpoint(p).addr, .dst = p->h.addr, .ttl = 64, .ecn = s->ecn};
	sl_put_be16(b, s->sport);
	sl_put_be16(b + 2, s->dport);
	sl_put_be32(b + 4, s->seq);
	sl_put_be32(b + 8, s->ack);
	b[12] = (uint8_t)(hdr / 4 << 4);
	b[13] = s->flags;
	sl_put_be16(b + 14, s->wnd);
	memcpy(b + 20, s->opts, s->nb_opts);
	memcpy(b + hdr, s->data, s->len);
	wire_checksum(b, hdr + s->len, &ip->src, &ip->dst);
	if (s->bad_csum)
		b[16] ^= 0x55;
	m = wire_receive(b, hdr + s->len, s->bad_csum);
	assert_non_null(m);
	return m;
}

void peer_send(struct peer *p, const struct seg *s)
{
	struct sl_net_segment ip;
	struct rte_mbuf *m = peer_segment(p, s, &ip);

	sl_tcp_input(p->h.t, &m, &ip, 1, p->now);
	sl_tcp_flush(p->h.t, p->now);
}

void peer_tx(struct peer *p, uint8_t flags, uint32_t seq, uint32_t ack, const void *data, uint32_t n)
{
	struct seg s = {
	        .seq = seq, .ack = ack, .flags = flags, .wnd = 65535, .sport = p->sport, .dport = p->dport};

	if (n > 0)
		memcpy(s.data, data, n);
	s.len = n;
	if (p->ts)
		s.nb_opts += tcp_options_ts(p->ts_val, p->ts_ecr, s.opts);
	peer_send(p, &s);
}

void peer_ack(struct peer *p, uint32_t ack, uint16_t wnd, const struct tcp_range *sack, uint32_t nb)
{
	struct seg s = {
	        .seq = p->seq, .ack = ack, .flags = F_ACK, .wnd = wnd, .sport = p->sport, .dport = p->dport};

	if (nb > 0) {
		s.opts[0] = s.opts[1] = 1;
		s.opts[2] = 5;
		s.opts[3] = (uint8_t)(2 + 8 * nb);
		s.nb_opts = 4 + 8 * nb;
	}
	for (uint32_t i = 0; i < nb; i++) {
		sl_put_be32(s.opts + 4 + 8 * i, sack[i].start);
		sl_put_be32(s.opts + 8 + 8 * i, sack[i].end);
	}
	peer_send(p, &s);
}

bool peer_rx(struct peer *p)
{
	struct wire *w = &p->wire;
	struct sl_net_segment ip = {0};
	struct tcp_seg s;
	struct rte_mbuf *m;

	if (w->n == 0)
		return false;
	m = w->q[0].m;
	ip.src = w->q[0].src;
	ip.dst = w->q[0].dst;
	ip.ecn = w->q[0].ecn;
	memmove(&w->q[0], &w->q[1], --w->n * sizeof(w->q[0]));
	memset(&p->got, 0, sizeof(p->got));
	assert_int_equal(tcp_parse(m, &ip, &s), 0);
	p->got.seq = s.seq;
	p->got.ack = s.ack;
	p->got.flags = s.flags;
	p->got.ecn = ip.ecn;
	p->got.wnd = (uint16_t)s.wnd;
	p->got.sport = s.tuple.rport;
	p->got.dport = s.tuple.lport;
	p->got.o = s.opts;
	p->got.len = s.len;
	assert_true(s.len <= sizeof(p->got.data));
	if (s.len > 0) {
		const void *data = rte_pktmbuf_read(m, s.data_at, s.len, p->got.data);

		if (data != p->got.data)
			memcpy(p->got.data, data, s.len);
	}
	rte_pktmbuf_free(m);
	return true;
}

void peer_none(struct peer *p)
{
	if (peer_rx(p))
		fail_msg("unexpected segment: flags %u seq %u ack %u len %u", p->got.flags, p->got.seq,
		         p->got.ack, p->got.len);
}

uint32_t peer_drain(struct peer *p)
{
	uint32_t n = 0;

	while (peer_rx(p))
		n++;
	return n;
}

uint32_t peer_syn_options(const struct peer *p, uint8_t *o)
{
	uint32_t n = 4;

	o[0] = 2;
	o[1] = 4;
	sl_put_be16(o + 2, p->mss);
	if (p->wscale != 255) {
		o[n++] = 1;
		o[n++] = 3;
		o[n++] = 3;
		o[n++] = p->wscale;
	}
	if (p->sack) {
		o[n++] = 1;
		o[n++] = 1;
		o[n++] = 4;
		o[n++] = 2;
	}
	if (p->ts)
		n += tcp_options_ts(p->ts_val, p->ts_ecr, o + n);
	return n;
}

void peer_syn(struct peer *p)
{
	struct seg s = {.seq = p->seq, .flags = F_SYN, .wnd = 65535, .sport = p->sport, .dport = p->dport};

	if (p->ecn)
		s.flags |= F_ECE | F_CWR;
	s.nb_opts = peer_syn_options(p, s.opts);
	peer_send(p, &s);
	assert_true(peer_rx(p));
	assert_int_equal(p->got.flags & ~F_ECE, F_SYN | F_ACK);
	assert_int_equal(p->got.ack, p->seq + 1);
	p->seq++;
	p->iss = p->got.seq;
	p->ack = p->got.seq + 1;
	p->ts_ecr = p->got.o.ts_val;
}

void peer_connect(struct peer *p)
{
	peer_syn(p);
	peer_tx(p, F_ACK, p->seq, p->ack, NULL, 0);
	assert_non_null(p->e.c);
	peer_none(p);
}

static int sink(void *ctx, struct rte_mbuf *m, const struct sl_addr *src, const struct sl_addr *dst,
                uint8_t ecn, uint64_t now_us)
{
	(void)ctx;
	(void)src;
	(void)dst;
	(void)ecn;
	(void)now_us;
	rte_pktmbuf_free(m);
	return 0;
}

const struct sl_tcp_ops *peer_deaf(struct peer *p)
{
	const struct sl_tcp_ops *before = p->h.t->cfg.ops;
	static struct sl_tcp_ops deaf;

	deaf = *before;
	deaf.output = sink;
	p->h.t->cfg.ops = &deaf;
	return before;
}

void peer_accept(struct peer *p)
{
	peer_asked(p);
	peer_accept_last(p);
}

void peer_asked(struct peer *p)
{
	struct sl_endpoint to = peer_endpoint(p);

	assert_int_equal(sl_tcp_connect(p->h.t, &to, &p->e, p->now, &p->e.c), 0);
	sl_tcp_flush(p->h.t, p->now);
	assert_true(peer_rx(p));
	assert_int_equal(p->got.flags, F_SYN);
}

void peer_accept_last(struct peer *p)
{
	struct seg s = {.seq = p->seq, .flags = F_SYN | F_ACK, .wnd = 65535, .sport = p->sport};

	p->dport = p->got.sport;
	p->iss = p->got.seq;
	p->ack = p->got.seq + 1;
	p->ts_ecr = p->got.o.ts_val;
	s.dport = p->dport;
	s.ack = p->ack;
	s.nb_opts = peer_syn_options(p, s.opts);
	peer_send(p, &s);
	p->seq++;
	assert_true(peer_rx(p));
	assert_int_equal(p->got.flags, F_ACK);
	assert_int_equal(p->got.ack, p->seq);
	assert_true(p->e.events & SL_TCP_EV_CONNECTED);
}

void peer_run(struct peer *p, uint64_t us)
{
	uint64_t end = p->now + us;

	while (p->now < end) {
		uint64_t next = sl_tcp_tick(p->h.t, p->now);

		sl_tcp_flush(p->h.t, p->now);
		next = next < end ? next : end;
		p->now = next > p->now ? next : p->now + 1;
	}
	sl_tcp_tick(p->h.t, p->now);
	sl_tcp_flush(p->h.t, p->now);
}
