#include "test_net6_rig.h"

static bool six; /* the family of the run */
static uint16_t sport = 40000;

static struct net_ip peer(uint32_t n)
{
	struct net_ip ip = ip6("2001:db8:1::99:0");

	if (!six)
		return net_ip4(IP(10, 0, 1, 2) + n);
	ip.w[1] = rte_cpu_to_be_64(rte_be_to_cpu_64(ip.w[1]) + n);
	return ip;
}

static struct net_ip ours(void)
{
	return six ? ip6(OURS6) : net_ip4(OURS);
}

/* A TCP segment with n bytes behind its header, and a correct checksum. */
static size_t segment(uint8_t *t, uint32_t from, size_t n)
{
	struct net_ip src = peer(from);
	struct net_ip dst = ours();
	uint32_t sum = 6 + (uint32_t)(20 + n);

	memset(t, 0, 20);
	sl_put_be16(t, sport);
	sl_put_be16(t + 2, 5432);
	t[12] = 0x50;
	t[13] = 0x10;
	for (size_t i = 0; i < n; i++)
		t[20 + i] = (uint8_t)rand();
	for (size_t i = six ? 0 : 12; i < 16; i += 2)
		sum += (uint32_t)sl_get_be16(net_ip_bytes(&src) + i) + sl_get_be16(net_ip_bytes(&dst) + i);
	sl_put_be16(t + 16, rig_sum(sum, t, 20 + n));
	return 20 + n;
}

struct frag {
	uint32_t from, id;
	uint16_t off;
	bool more;
	uint8_t proto; /* 0: TCP */
	uint8_t ecn;
};

static void frag_frame(struct rig_frame *f, const struct frag *g, const uint8_t *data, size_t n)
{
	uint8_t proto = g->proto != 0 ? g->proto : 6;
	struct net_ip src = peer(g->from);
	struct net_ip dst = ours();
	uint8_t b[2000] = {0};

	rig_ether(f, our_mac(0), mac_peer, 0, six ? 0x86dd : 0x0800);
	if (!six) {
		rig_ip(f, net_ip_host4(&src), net_ip_host4(&dst), proto, data, n);
		f->b[f->ip + 1] = g->ecn;
		sl_put_be16(f->b + f->ip + 4, (uint16_t)g->id);
		sl_put_be16(f->b + f->ip + 6, (uint16_t)((g->more ? 0x2000 : 0) | g->off / 8));
		rig_ip_sum(f);
		return;
	}
	b[0] = proto;
	sl_put_be16(b + 2, (uint16_t)(g->off | (g->more ? 1 : 0)));
	sl_put_be32(b + 4, g->id);
	memcpy(b + 8, data, n);
	rig_ip6(f, net_ip_bytes(&src), net_ip_bytes(&dst), 44, b, n + 8);
	f->b[f->ip + 1] = (uint8_t)(g->ecn << 4);
}

static void send_frag(const struct frag *g, const uint8_t *data, size_t n)
{
	struct rig_frame f;

	frag_frame(&f, g, data, n);
	give(net, 0, &f);
}

/* The same, and it counts this error once. */
static void bad_frag(int err, const struct frag *g, const uint8_t *data, size_t n)
{
	COUNTS(err, send_frag(g, data, n));
}

static void whole(const uint8_t *t, size_t n)
{
	assert_int_equal(up.nb_tcp, 1);
	assert_int_equal(up.tcp_n, n);
	assert_memory_equal(up.tcp, t, n);
	assert_int_equal(up.flags & RTE_MBUF_F_RX_L4_CKSUM_MASK, RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN);
	up.nb_tcp = 0;
	assert_int_equal(net->reass.nb, 0);
}

/* A source port whose connection belongs to this worker. */
static void choose_owner(uint16_t worker)
{
	struct net_ip p = peer(0);
	struct net_ip o = ours();
	struct sl_endpoint src = {net_addr_of(&p), 40000};
	struct sl_endpoint dst = {net_addr_of(&o), 5432};

	while (sl_port_owner(port_a.port, &src, &dst) != worker)
		src.port++;
	sport = src.port;
}

static void test_orders(void **state)
{
	uint8_t t[2000];
	struct rig_frame f;

	(void)state;
	choose_owner(0);
	for (uint32_t round = 0; round < 500; round++) {
		size_t n = segment(t, 0, 100 + (size_t)rand() % 1700);
		struct frag g[REASS_FRAGS];
		size_t len[REASS_FRAGS];
		uint32_t nb = 0;
		uint16_t off = 0;

		while (off < n) {
			size_t step = (off == 0 ? 64 : 8) + (size_t)rand() % 60 * 8;

			if (n - off < step || nb == REASS_FRAGS - 1)
				step = n - off;
			g[nb] = (struct frag){.id = round, .off = off, .more = off + step < n, .ecn = 2};
			len[nb++] = step;
			off = (uint16_t)(off + step);
		}
		if (nb == 1)
			continue;
		for (uint32_t i = 0; i < nb; i++) { /* shuffled, some twice */
			uint32_t k = i + (uint32_t)rand() % (nb - i);
			struct frag x = g[k];
			size_t l = len[k];

			g[k] = g[i];
			len[k] = len[i];
			g[i] = x;
			len[i] = l;
			frag_frame(&f, &x, t + x.off, l);
			if (rand() % 4 == 0 && i + 1 < nb)
				give(net, 0, &f);
			assert_int_equal(up.nb_tcp, 0);
			give(net, 0, &f);
		}
		whole(t, n);
		assert_int_equal(up.seg.ecn, 2);
		assert_int_equal(up.seg.ttl, 64);
	}
	assert_int_equal(net->reass.nb, 0);
	expect_nothing();
}

static void test_overlap_drops_all(void **state)
{
	static const struct {
		uint16_t off, len;
		bool more;
	} second[] = {
	        {56, 64, true}, /* over the end of the first */
	        {0, 72, true},  /* longer than the first */
	        {0, 56, true},  /* shorter */
	        {8, 48, true},  /* inside */
	        {16, 8, false}, /* an end inside */
	};
	uint8_t t[400];
	uint32_t id = 1000;

	(void)state;
	choose_owner(0);
	for (size_t i = 0; i < sizeof(second) / sizeof(second[0]); i++, id++) {
		size_t n = segment(t, 0, 200);
		struct frag a = {.id = id, .more = true};
		struct frag b = {.id = id, .off = second[i].off, .more = second[i].more};
		struct frag rest = {.id = id, .off = 64};

		send_frag(&a, t, 64);
		if (second[i].off == 0)
			bad_frag(SL_E_NET_REASS_OVERLAP, &b, t, second[i].len);
		else
			bad_frag(SL_E_NET_REASS_OVERLAP, &b, t + second[i].off, second[i].len);
		bad_frag(SL_E_NET_REASS_OVERLAP, &rest, t + 64, n - 64); /* it stays dead */
		assert_int_equal(up.nb_tcp, 0);
	}
	/* The same place with other bytes. */
	{
		struct frag a = {.id = id, .more = true};

		(void)segment(t, 0, 200);
		send_frag(&a, t, 64);
		t[30] ^= 1;
		bad_frag(SL_E_NET_REASS_OVERLAP, &a, t, 64);
	}
	/* The same bytes, but as the end. */
	{
		struct frag a = {.id = id + 1, .off = 64, .more = true};

		send_frag(&a, t, 64);
		a.more = false;
		bad_frag(SL_E_NET_REASS_OVERLAP, &a, t, 64);
	}
	/* Two ends; something behind the end, before and after it is known. */
	for (uint16_t k = 0; k < 3; k++) {
		struct frag end = {.id = id + 2 + k, .off = 64};
		struct frag late = {.id = id + 2 + k, .off = (uint16_t)(k == 0 ? 128 : 136), .more = k == 2};

		if (k == 1) {
			late.more = true;
			send_frag(&late, t, 16);
			bad_frag(SL_E_NET_REASS_OVERLAP, &end, t, 16);
			continue;
		}
		send_frag(&end, t, 16);
		bad_frag(SL_E_NET_REASS_OVERLAP, &late, t, 16);
	}
	assert_int_equal(net->reass.nb, REASS_SOURCE);
	tick_by(REASS_IP6_US + SECOND);
	assert_int_equal(net->reass.nb, 0);
}

static void test_bad_fragments(void **state)
{
	uint8_t t[2000] = {0};
	struct frag g = {.id = 1, .more = true};

	(void)state;
	(void)segment(t, 0, 1000);
	bad_frag(SL_E_NET_IP_FRAGMENT, &g, t, 63);
	bad_frag(SL_E_NET_IP_FRAGMENT, &g, t, 0);
	bad_frag(SL_E_NET_REASS_TINY, &g, t, 8);
	bad_frag(SL_E_NET_REASS_TINY, &g, t, 16);
	t[12] = 0xf0; /* options that are not there */
	bad_frag(SL_E_NET_REASS_TINY, &g, t, 56);
	g.off = 65528;
	g.more = false;
	bad_frag(SL_E_NET_IP_FRAGMENT, &g, t, 16);
	assert_int_equal(net->reass.nb, 0); /* none of them took a place */
	g = (struct frag){.id = 2, .more = true, .proto = 17};
	bad_frag(SL_E_NET_IP_PROTO, &g, t, 64);
	g = (struct frag){.id = 3, .off = 4096};
	bad_frag(SL_E_NET_REASS_SIZE, &g, t, 64); /* does not fit a buffer */
	g = (struct frag){.id = 4, .off = 8};
	send_frag(&g, t, 8); /* in front of it only a header that is not whole */
	g = (struct frag){.id = 4, .more = true};
	bad_frag(SL_E_NET_REASS_TINY, &g, t, 8);
	t[12] = 0x50;
	bad_frag(SL_E_NET_REASS_OVERLAP, &g, t, 24);
	drain_ports();
	assert_int_equal(up.nb_tcp, 0);
}

static void test_too_many(void **state)
{
	uint8_t t[1000];
	struct frag g = {.id = 7, .more = true};

	(void)state;
	(void)segment(t, 0, 500);
	send_frag(&g, t, 24);
	for (int i = 1; i < REASS_FRAGS; i++) {
		g.off = (uint16_t)(24 + i * 16);
		send_frag(&g, t, 8);
	}
	g.off = (uint16_t)(24 + REASS_FRAGS * 16);
	bad_frag(SL_E_NET_REASS_LIMIT, &g, t, 8);
	assert_true(rte_mempool_avail_count(rig_pool) == RIG_POOL); /* it is dead, and holds nothing */
}

static void test_quotas(void **state)
{
	uint8_t t[1000];
	struct frag g = {.more = true};
	size_t n;

	(void)state;
	choose_owner(0);
	n = segment(t, 0, 100);
	/* One source pushes out its own oldest one. */
	g.from = 1;
	send_frag(&g, t, 64);
	g.from = 0;
	for (g.id = 0; g.id < REASS_SOURCE; g.id++, now++)
		send_frag(&g, t, 64);
	COUNTS(SL_E_NET_REASS_LIMIT, send_frag(&g, t, 64));
	assert_int_equal(net->reass.nb, REASS_SOURCE + 1);
	g = (struct frag){.id = REASS_SOURCE - 1, .off = 64};
	send_frag(&g, t + 64, n - 64);
	assert_int_equal(up.nb_tcp, 1);
	assert_memory_equal(up.tcp, t, n);
	/* Many sources share what there is, and the oldest gives way. */
	for (uint32_t from = 2; net->reass.nb < REASS_SLOTS; from++, now++) {
		g = (struct frag){.from = from, .id = 9, .more = true};
		send_frag(&g, t, 64);
	}
	g.from = 200;
	COUNTS(SL_E_NET_REASS_LIMIT, send_frag(&g, t, 64));
	assert_int_equal(net->reass.nb, REASS_SLOTS);
}

static void test_times_out(void **state)
{
	uint64_t life = six ? REASS_IP6_US : REASS_IP4_US;
	uint8_t t[1000];
	struct frag a = {.id = 5, .more = true};
	struct frag b = {.id = 5, .off = 64};
	size_t n;

	(void)state;
	choose_owner(0);
	n = segment(t, 0, 100);
	send_frag(&a, t, 64);
	tick_by(life - 2 * SECOND);
	assert_int_equal(net->reass.nb, 1);
	COUNTS(SL_E_NET_REASS_TIMEOUT, tick_by(4 * SECOND));
	assert_int_equal(net->reass.nb, 0);
	assert_int_equal(rte_mempool_avail_count(rig_pool), RIG_POOL);
	send_frag(&b, t + 64, n - 64);
	assert_int_equal(up.nb_tcp, 0);
	send_frag(&a, t, 64);
	whole(t, n);
	/* Other datagrams are not mixed in: another identification, source, protocol. */
	send_frag(&a, t, 64);
	b.id = 6;
	send_frag(&b, t + 64, n - 64);
	b = (struct frag){.id = 5, .off = 64, .from = 1};
	send_frag(&b, t + 64, n - 64);
	b = (struct frag){.id = 5, .off = 64, .proto = six ? 58 : 1};
	send_frag(&b, t + 64, n - 64);
	assert_int_equal(up.nb_tcp, 0);
	assert_int_equal(net->reass.nb, 4);
}

/* RFC 3168 5.3. */
static void test_ecn(void **state)
{
	static const struct {
		uint8_t a, b, want;
	} c[] = {{0, 0, 0}, {1, 1, 1}, {2, 2, 2}, {2, 3, 3}, {3, 1, 3}, {3, 3, 3}, {2, 0, 0}};
	uint8_t t[1000];
	struct frag a = {.id = 20, .more = true};
	struct frag b = {.id = 20, .off = 64};
	size_t n;

	(void)state;
	choose_owner(0);
	n = segment(t, 0, 100);
	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		a.ecn = c[i].a;
		b.ecn = c[i].b;
		send_frag(&b, t + 64, n - 64);
		send_frag(&a, t, 64);
		whole(t, n);
		assert_int_equal(up.seg.ecn, c[i].want);
	}
	a.ecn = 3;
	b.ecn = 0;
	send_frag(&a, t, 64);
	bad_frag(SL_E_NET_IP_FRAGMENT, &b, t + 64, n - 64);
}

/* The port gives fragments to worker 0; the connection may be another one's. */
static void test_hand_over(void **state)
{
	uint8_t t[1000];
	struct frag a = {.id = 30, .more = true, .ecn = 3};
	struct frag b = {.id = 30, .off = 64, .ecn = 2};
	struct rig_frame f;
	size_t n;

	(void)state;
	choose_owner(1);
	n = segment(t, 0, 900);
	frag_frame(&f, &a, t, 64);
	rig_put(&port_a, rig_mbuf(f.b, f.n));
	frag_frame(&f, &b, t + 64, n - 64);
	rig_put(&port_a, rig_mbuf(f.b, f.n));
	assert_int_equal(sl_net_poll(net1, now), 0);
	assert_int_equal(sl_net_poll(net, now), 2);
	assert_int_equal(up.nb_tcp, 0);
	assert_int_equal(sl_net_poll(net1, now), 1);
	assert_int_equal(up.nb_tcp, 1);
	assert_int_equal(up.tcp_n, n);
	assert_memory_equal(up.tcp, t, n);
	assert_int_equal(up.seg.ecn, 3);
	assert_int_equal(up.seg.ttl, 64);
	assert_int_equal(up.flags & RTE_MBUF_F_RX_L4_CKSUM_MASK, RTE_MBUF_F_RX_L4_CKSUM_GOOD);
	/* A wrong checksum shows. */
	t[60] ^= 1;
	a.id = b.id = 31;
	send_frag(&a, t, 64);
	send_frag(&b, t + 64, n - 64);
	assert_int_equal(sl_net_poll(net1, now), 1);
	assert_int_equal(up.flags & RTE_MBUF_F_RX_L4_CKSUM_MASK, RTE_MBUF_F_RX_L4_CKSUM_BAD);
}

/* An ICMP error in fragments tells the worker that has the connection which it quotes. */
static void test_error_hand_over(void **state)
{
	struct frag a = {.id = 40, .more = true, .proto = six ? 58 : 1};
	struct frag b = {.id = 40, .off = 64, .proto = six ? 58 : 1};
	struct net_ip src = ours();
	struct net_ip dst = peer(0);
	uint8_t e[8 + 40 + 80] = {0};
	size_t ip = six ? 40 : 20, n = 8 + ip + 80;
	uint16_t sum;

	(void)state;
	choose_owner(1);
	e[0] = six ? 2 : 3; /* too big: 1400 */
	e[1] = six ? 0 : 4;
	sl_put_be16(e + 6, 1400);
	e[8] = six ? 0x60 : 0x45;
	if (six) {
		e[8 + 6] = 6;
		memcpy(e + 8 + 8, net_ip_bytes(&src), 16);
		memcpy(e + 8 + 24, net_ip_bytes(&dst), 16);
	} else {
		e[8 + 9] = 6;
		memcpy(e + 8 + 12, net_ip_bytes(&src) + 12, 4);
		memcpy(e + 8 + 16, net_ip_bytes(&dst) + 12, 4);
	}
	sl_put_be16(e + 8 + ip, 5432);
	sl_put_be16(e + 8 + ip + 2, sport);
	sum = six ? net_icmp6_sum(&dst, &src, e, (uint16_t)n) : (uint16_t)~rte_raw_cksum(e, n);
	memcpy(e + 2, &sum, sizeof(sum));
	up.nb_icmp = 0;
	send_frag(&a, e, 64);
	send_frag(&b, e + 64, n - 64);
	assert_int_equal(up.nb_icmp, 0); /* worker 0 does not know the connection */
	(void)sl_net_poll(net1, now);
	assert_int_equal(up.nb_icmp, 1);
	assert_int_equal(up.icmp.dport, sport);
	assert_int_equal(up.icmp.mtu, 1400);
}

static void test_echo(void **state)
{
	uint8_t icmp[1200] = {six ? 128 : 8, 0};
	struct net_ip src = peer(0);
	struct net_ip dst = ours();
	uint32_t sum = six ? 58 + (uint32_t)sizeof(icmp) : 0;
	struct frag a = {.id = 40, .more = true, .proto = six ? 58 : 1};
	struct frag b = {.id = 40, .off = 800, .proto = six ? 58 : 1};
	struct rig_frame r;

	(void)state;
	if (six)
		learn_peer6(src, dst, 1);
	else
		learn_peer(net_ip_host4(&src), OURS, 0);
	for (size_t i = 8; i < sizeof(icmp); i++)
		icmp[i] = (uint8_t)(i * 3);
	for (int i = 0; six && i < 16; i += 2)
		sum += (uint32_t)sl_get_be16(net_ip_bytes(&src) + i) + sl_get_be16(net_ip_bytes(&dst) + i);
	sl_put_be16(icmp + 2, rig_sum(sum, icmp, sizeof(icmp)));
	send_frag(&b, icmp + 800, 400);
	expect_nothing();
	send_frag(&a, icmp, 800);
	assert_true(left(&port_a, &r));
	assert_int_equal(r.n, r.ip + (six ? 40 : 20) + sizeof(icmp));
	assert_memory_equal(r.b + r.ip + (six ? 44 : 24), icmp + 4, sizeof(icmp) - 4);
}

/* RFC 6980: neighbour discovery in fragments is not taken, not even in a whole one. */
static void test_ndp_not_in_fragments(void **state)
{
	struct net_ip target = ip6(OURS6);
	struct rig_frame f;
	uint8_t mac[6];

	(void)state;
	ndp_frame(&f, 1, mac_evil, ip6(PEER6), target, 135, 0, target, mac_evil);
	memmove(f.b + f.ip + 48, f.b + f.ip + 40, 32);
	memcpy(f.b + f.ip + 40, "\x3a\0\0\0\1\2\3\4", 8);
	f.b[f.ip + 6] = 44;
	sl_put_be16(f.b + f.ip + 4, 40);
	f.n += 8;
	refused6(SL_E_NET_NDP, 1, &f);
	f.b[f.ip + 43] = 1; /* in two */
	sl_put_be16(f.b + f.ip + 4, 32);
	give(net, 1, &f);
	memmove(f.b + f.ip + 48, f.b + f.ip + 72, 8);
	f.b[f.ip + 43] = 24;
	sl_put_be16(f.b + f.ip + 4, 16);
	refused6(SL_E_NET_NDP, 1, &f);
	assert_int_equal(state_of(0, ip6(PEER6), mac), NEIGH_NONE);
	/* And none to a group. */
	ndp_frame(&f, 1, mac_evil, ip6(PEER6), net_ip_all_nodes(), 135, 0, target, mac_evil);
	memcpy(f.b + f.ip + 40, "\x3a\0\0\1\1\2\3\4", 8);
	f.b[f.ip + 6] = 44;
	refused6(SL_E_NET_IP_DST, 1, &f);
}

static int setup4(void **state)
{
	six = false;
	return net6_setup(state);
}

static int setup6(void **state)
{
	six = true;
	return net6_setup(state);
}

#define T4(name)                                                                                             \
	{                                                                                                    \
#name " 4", name, setup4, net_teardown, NULL                                                 \
	}
#define T6(name)                                                                                             \
	{                                                                                                    \
#name " 6", name, setup6, net_teardown, NULL                                                 \
	}
#define T(name) T4(name), T6(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(test_orders),
	        T(test_overlap_drops_all),
	        T(test_bad_fragments),
	        T(test_too_many),
	        T(test_quotas),
	        T(test_times_out),
	        T(test_ecn),
	        T(test_hand_over),
	        T(test_echo),
	        T(test_error_hand_over),
	        T6(test_ndp_not_in_fragments),
	};
	int failed;

	net_rig_start();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	net_rig_stop();
	return failed;
}
