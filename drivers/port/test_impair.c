/* The impairment: what happens to numbered packets, in a time of our own. */
#include "test_rig.h"

#include "port_priv.h"
#include "sl_counter.h"

#define PACKETS 20000
#define BYTES   64

static uint64_t clock_us;

static uint64_t test_clock(const struct port_impair *s)
{
	(void)s;
	return clock_us;
}

/* What came out of a run: the numbers in their order, and how many bits are not as they were sent. */
struct outcome {
	uint32_t number[2 * PACKETS];
	uint32_t nb;
	uint32_t damaged;
};

static struct outcome first, second;

static struct port_impair *shim(const struct sl_port_impair *cfg)
{
	struct port_impair *s;

	assert_null(impair_check(cfg));
	s = impair_new(cfg, &rig_pool, 1);
	assert_non_null(s);
	clock_us = 1000;
	s->now_us = test_clock;
	s->start_us = clock_us;
	return s;
}

static struct rte_mbuf *numbered(uint32_t i)
{
	uint8_t b[BYTES];

	memset(b, 0x5a, sizeof(b));
	for (int k = 0; k < 3; k++) /* three times, so that one turned bit does not hide which it is */
		sl_put_be32(b + 4 * k, i);
	return rig_mbuf(b, sizeof(b));
}

static void note(struct outcome *o, struct rte_mbuf *m)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t a = sl_get_be32(d), b = sl_get_be32(d + 4), c = sl_get_be32(d + 8);
	uint32_t i = (a & b) | (a & c) | (b & c);
	struct rte_mbuf *was = numbered(i);
	const uint8_t *w = rte_pktmbuf_mtod(was, const uint8_t *);
	int bits = 0;

	for (int k = 0; k < BYTES; k++)
		bits += __builtin_popcount((unsigned)(d[k] ^ w[k]));
	assert_true(bits <= 1);
	o->damaged += (uint32_t)bits;
	o->number[o->nb++] = i;
	rte_pktmbuf_free(was);
	rte_pktmbuf_free(m);
}

static void take_all(struct port_impair *s, struct outcome *o)
{
	struct rte_mbuf *m[32];
	uint16_t n;

	while ((n = impair_take(s, IMPAIR_RX, 0, m, 32)) > 0) {
		for (uint16_t i = 0; i < n; i++)
			note(o, m[i]);
	}
}

/* A packet each gap_us. */
static void run(const struct sl_port_impair *cfg, uint32_t nb, uint32_t gap_us, struct outcome *o)
{
	struct port_impair *s = shim(cfg);
	struct rte_mbuf *m;

	memset(o, 0, sizeof(*o));
	for (uint32_t i = 0; i < nb; i++) {
		m = numbered(i);
		impair_put(s, IMPAIR_RX, 0, &m, 1);
		take_all(s, o);
		clock_us += gap_us;
	}
	clock_us += 10 * 1000 * 1000;
	take_all(s, o);
	impair_free(s);
	rig_no_leak();
}

static bool in_order(const struct outcome *o)
{
	for (uint32_t i = 1; i < o->nb; i++) {
		if (o->number[i] < o->number[i - 1])
			return false;
	}
	return true;
}

static void about(uint64_t got, double expected)
{
	assert_true((double)got > expected * 0.8 && (double)got < expected * 1.2);
}

static void test_nothing(void **state)
{
	struct sl_port_impair cfg = {.seed = (uint64_t)rand()};

	(void)state;
	run(&cfg, 1000, 1, &first);
	assert_int_equal(first.nb, 1000);
	assert_true(in_order(&first));
	assert_int_equal(first.damaged, 0);
}

static void test_rates(void **state)
{
	struct sl_port_impair cfg = {.seed = (uint64_t)rand()};
	uint64_t lost = sl_counter_err_sum(SL_E_PORT_IMPAIRED);
	uint64_t doubled = sl_counter_sum(SL_C_IMPAIR_DUPLICATED);
	uint64_t damaged = sl_counter_sum(SL_C_IMPAIR_CORRUPTED);
	uint64_t overtaken = sl_counter_sum(SL_C_IMPAIR_REORDERED);

	(void)state;
	cfg.rx = (struct sl_port_impair_dir){.drop_ppm = 50000,
	                                     .duplicate_ppm = 100000,
	                                     .reorder_ppm = 250000,
	                                     .corrupt_ppm = 30000,
	                                     .reorder_us = 40};
	cfg.tx.drop_ppm = 1000000; /* the other direction is none of this one's business */
	run(&cfg, PACKETS, 10, &first);
	lost = sl_counter_err_sum(SL_E_PORT_IMPAIRED) - lost;
	doubled = sl_counter_sum(SL_C_IMPAIR_DUPLICATED) - doubled;
	about(lost, PACKETS * 0.05);
	about(doubled, PACKETS * 0.95 * 0.1);
	about(sl_counter_sum(SL_C_IMPAIR_CORRUPTED) - damaged, PACKETS * 0.95 * 0.03);
	about(sl_counter_sum(SL_C_IMPAIR_REORDERED) - overtaken, PACKETS * 0.95 * 0.25);
	assert_int_equal(first.nb, PACKETS - lost + doubled);
	assert_true(first.damaged >= sl_counter_sum(SL_C_IMPAIR_CORRUPTED) - damaged);
	assert_false(in_order(&first));
}

/* The same seed does the same; another one something else; a rate more leaves the luck of the others alone.
 */
static void test_seed(void **state)
{
	struct sl_port_impair cfg = {.seed = 7, .rx = {.drop_ppm = 100000, .jitter_us = 50}};

	(void)state;
	run(&cfg, 2000, 3, &first);
	run(&cfg, 2000, 3, &second);
	assert_int_equal(first.nb, second.nb);
	assert_memory_equal(first.number, second.number, first.nb * sizeof(first.number[0]));
	cfg.rx.corrupt_ppm = 200000;
	run(&cfg, 2000, 3, &second);
	assert_true(second.damaged > 0);
	assert_memory_equal(first.number, second.number, first.nb * sizeof(first.number[0]));
	cfg.seed = 8;
	run(&cfg, 2000, 3, &second);
	assert_true(first.nb != second.nb ||
	            memcmp(first.number, second.number, first.nb * sizeof(first.number[0])) != 0);
}

static void test_delay(void **state)
{
	struct sl_port_impair cfg = {.rx = {.delay_us = 5000, .jitter_us = 2000}};
	struct port_impair *s = shim(&cfg);
	struct rte_mbuf *m[100];
	uint16_t early, late;

	(void)state;
	for (uint32_t i = 0; i < 100; i++)
		m[i] = numbered(i);
	impair_put(s, IMPAIR_RX, 0, m, 100);
	clock_us += 4999;
	assert_int_equal(impair_take(s, IMPAIR_RX, 0, m, 100), 0);
	clock_us += 1000;
	early = impair_take(s, IMPAIR_RX, 0, m, 100);
	rte_pktmbuf_free_bulk(m, early);
	clock_us += 1001;
	late = impair_take(s, IMPAIR_RX, 0, m, 100);
	rte_pktmbuf_free_bulk(m, late);
	assert_int_equal(early + late, 100);
	impair_free(s);
	run(&cfg, 2000, 7, &first); /* jitter alone changes no order */
	assert_int_equal(first.nb, 2000);
	assert_true(in_order(&first));
}

/* A full queue drops what comes, and counts it; what waits is freed with the port. */
static void test_full(void **state)
{
	struct sl_port_impair cfg = {.rx = {.delay_us = 5000}, .queue_packets = 10};
	uint64_t full = sl_counter_err_sum(SL_E_PORT_IMPAIR_FULL);
	struct port_impair *s = shim(&cfg);
	struct rte_mbuf *m[32];

	(void)state;
	for (uint32_t i = 0; i < 32; i++)
		m[i] = numbered(i);
	impair_put(s, IMPAIR_RX, 0, m, 32);
	assert_int_equal(sl_counter_err_sum(SL_E_PORT_IMPAIR_FULL) - full, 22);
	clock_us += 5000;
	assert_int_equal(impair_take(s, IMPAIR_RX, 0, m, 4), 4); /* no more than asked for */
	rte_pktmbuf_free_bulk(m, 4);
	impair_free(s);
	rig_no_leak();
}

static void test_cut(void **state)
{
	struct sl_port_impair cfg = {.cut_after_ms = 10, .cut_for_ms = 5, .cut_every_ms = 20};
	struct port_impair *s = shim(&cfg);
	uint64_t begin = clock_us;

	(void)state;
	for (uint64_t ms = 0; ms < 100; ms++) {
		clock_us = begin + ms * 1000;
		assert_int_equal(impair_is_cut(s), ms >= 10 && (ms - 10) % 20 < 5);
	}
	s->cfg.cut_every_ms = 0;
	clock_us = begin + 14 * 1000;
	assert_true(impair_is_cut(s));
	clock_us = begin + 31 * 1000;
	assert_false(impair_is_cut(s));
	impair_free(s);
	cfg = (struct sl_port_impair){0};
	s = shim(&cfg);
	clock_us += 1000 * 1000;
	assert_false(impair_is_cut(s));
	impair_free(s);
}

static void test_check(void **state)
{
	struct sl_port_impair cfg = {.rx.drop_ppm = 1000001};

	(void)state;
	assert_non_null(impair_check(&cfg));
	cfg = (struct sl_port_impair){.tx.delay_us = IMPAIR_TIME_MAX_US + 1};
	assert_non_null(impair_check(&cfg));
	cfg = (struct sl_port_impair){.queue_packets = IMPAIR_QUEUE_MAX + 1};
	assert_non_null(impair_check(&cfg));
	cfg = (struct sl_port_impair){.cut_every_ms = 1};
	assert_non_null(impair_check(&cfg));
}

static void settle(struct port_impair *s)
{
	s->now_us = test_clock;
	clock_us = 1000;
	s->start_us = clock_us;
}

/* Through a port: both directions, and a damaged packet neither passes as good nor touches what is shared. */
static void test_port(void **state)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
	struct sl_port_impair cfg = {
	        .seed = 1, .rx = {.corrupt_ppm = 1000000}, .tx = {.corrupt_ppm = 1000000, .delay_us = 1000}};
	struct rte_mbuf *m;
	struct rte_mbuf *kept;
	struct rig_frame f;
	struct rig_port r;

	(void)state;
	rig_open_impaired(&r, "bad", &cfg);
	settle(r.port->impair);
	assert_true(sl_port_link(r.port));
	rig_ether(&f, mac, RIG_MAC_PEER, 0, 0x0800);
	rig_tcp(&f, 0x0a000002, 0x0a000001, 1, 2, "abcd", 4);
	for (int i = 0; i < 200; i++) {
		bool ip_part;

		rig_put(&r, rig_mbuf(f.b, f.n));
		assert_int_equal(sl_port_rx(r.port, 0, &m, 1), 1);
		ip_part = memcmp(rte_pktmbuf_mtod_offset(m, uint8_t *, 14), f.b + 14, f.n - 14) != 0;
		if (ip_part) {
			uint64_t good = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;

			assert_true((m->ol_flags & good) != good);
		}
		rte_pktmbuf_free(m);
	}
	m = rig_mbuf(f.b, f.n);
	kept = m;
	rte_mbuf_refcnt_update(kept, 1);
	sl_port_tx(r.port, 0, &m, 1);
	assert_null(rig_take(&r));
	clock_us += 1000;
	assert_int_equal(sl_port_rx(r.port, 0, &m, 1), 0); /* polling is what sends it */
	m = rig_take(&r);
	assert_non_null(m);
	assert_memory_equal(rte_pktmbuf_mtod(kept, void *), f.b, f.n);
	assert_memory_not_equal(rte_pktmbuf_mtod(m, void *), f.b, f.n);
	rte_pktmbuf_free(m);
	rte_pktmbuf_free(kept);
	sl_port_cut(r.port, true);
	assert_false(sl_port_link(r.port));
	rig_put(&r, rig_mbuf(f.b, f.n));
	assert_int_equal(sl_port_rx(r.port, 0, &m, 1), 0);
	sl_port_cut(r.port, false);
	rig_put(&r, rig_mbuf(f.b, f.n));
	assert_int_equal(sl_port_rx(r.port, 0, &m, 1), 1);
	sl_port_tx(r.port, 0, &m, 1); /* waits when the port closes */
	sl_port_close(r.port);
	rig_no_leak();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_nothing), cmocka_unit_test(test_rates), cmocka_unit_test(test_seed),
	        cmocka_unit_test(test_delay),   cmocka_unit_test(test_full),  cmocka_unit_test(test_cut),
	        cmocka_unit_test(test_check),   cmocka_unit_test(test_port),
	};

	rig_eal();
	rig_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
