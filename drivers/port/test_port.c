#include "test_rig.h"

#include <pthread.h>
#include <stdatomic.h>

#include "port_priv.h"
#include "sl_counter.h"

#define IP(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

static struct rig_port one;  /* one worker */
static struct rig_port two;  /* two workers over one queue */
static struct rig_port tiny; /* a device that takes few packets */
static const uint8_t dst_mac[6] = {0x02, 0, 0, 0, 0, 1};

static void test_open_refuses(void **state)
{
	struct rte_mempool *small = rte_pktmbuf_pool_create("small", 63, 0, 0, 1024, SOCKET_ID_ANY);
	struct sl_port_cfg cfg = {.device = "no_such_device", .nb_workers = 1};
	struct sl_port *p;
	char err[128];

	(void)state;
	assert_int_equal(sl_port_open(&cfg, &rig_pool, &p, err, sizeof(err)), SL_E_PORT_OPEN);
	assert_null(p);
	assert_string_equal(err, "no_such_device: no such device");
	cfg.nb_workers = 0;
	assert_int_equal(sl_port_open(&cfg, &rig_pool, &p, err, sizeof(err)), SL_E_PORT_OPEN);
	cfg.nb_workers = PORT_WORKERS_MAX + 1;
	assert_int_equal(sl_port_open(&cfg, &rig_pool, &p, NULL, 0), SL_E_PORT_OPEN);
	assert_non_null(small);
	sl_port_close(one.port);
	cfg.device = one.name;
	cfg.nb_workers = 1;
	assert_int_equal(sl_port_open(&cfg, &small, &p, err, sizeof(err)), SL_E_PORT_OPEN);
	assert_non_null(strstr(err, "too small"));
	rte_mempool_free(small);
	/* What was closed, or failed, can be opened again. */
	assert_int_equal(sl_port_open(&cfg, &rig_pool, &one.port, err, sizeof(err)), 0);
	sl_port_close(NULL);
}

static void test_caps(void **state)
{
	const struct sl_port_caps *c = sl_port_caps(one.port);

	(void)state;
	assert_int_equal(c->nb_rx_queues, 1);
	assert_int_equal(c->nb_tx_queues, 1);
	assert_false(c->tx_tcp_csum);
	assert_true(c->mtu >= 1500);
	assert_true(sl_port_link(one.port));
	assert_string_equal(sl_port_name(one.port), one.name);
	assert_int_equal(sl_port_caps(two.port)->nb_tx_queues, 1);
	assert_true(two.port->tx_shared);
}

/* A TCP segment with random content, as the layers above hand it over, cut at random into segments.
 */
static struct rte_mbuf *random_segment(bool v6, uint8_t *expect, size_t *expect_n, uint16_t vlan,
                                       int max_segs)
{
	uint8_t payload[1440];
	uint8_t ends[32];
	struct rig_frame f;
	struct rte_mbuf *head;
	struct rte_mbuf *m;
	size_t n = (size_t)rand() % sizeof(payload);
	size_t at;

	for (size_t i = 0; i < sizeof(ends); i++)
		ends[i] = (uint8_t)rand();
	for (size_t i = 0; i < n; i++)
		payload[i] = (uint8_t)rand();
	rig_ether(&f, dst_mac, RIG_MAC_PEER, vlan, v6 ? 0x86dd : 0x0800);
	if (v6)
		rig_tcp6(&f, ends, ends + 16, (uint16_t)rand(), (uint16_t)rand(), payload, n);
	else
		rig_tcp(&f, (uint32_t)rand(), (uint32_t)rand(), (uint16_t)rand(), (uint16_t)rand(), payload,
		        n);
	at = f.ip + (v6 ? 60 : 40);
	memcpy(expect, f.b, f.n);
	*expect_n = f.n;
	memset(f.b + at - 4, 0xa5, 2); /* rubbish in both checksums must not matter */
	if (!v6)
		memset(f.b + f.ip + 10, 0x5a, 2);
	head = rig_mbuf(f.b, at);
	while (at < f.n) {
		size_t part = max_segs-- > 1 ? 1 + (size_t)rand() % (f.n - at) : f.n - at;

		m = rig_mbuf(f.b + at, part);
		assert_int_equal(rte_pktmbuf_chain(head, m), 0);
		at += part;
	}
	head->ol_flags = RTE_MBUF_F_TX_TCP_CKSUM;
	head->ol_flags |= v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
	head->l2_len = f.ip & 0x7f;
	head->l3_len = v6 ? 40 : 20;
	head->l4_len = 20;
	return head;
}

static void same_bytes(const struct rte_mbuf *m, const uint8_t *expect, size_t n)
{
	uint8_t got[2048];

	assert_int_equal(m->pkt_len, n);
	assert_memory_equal(rte_pktmbuf_read(m, 0, (uint32_t)n, got), expect, n);
}

static void test_tx_checksums(void **state)
{
	uint8_t expect[2048];
	struct rte_mbuf *m;
	size_t n;

	(void)state;
	for (int i = 0; i < 3000; i++) {
		m = random_segment(i % 7 > 3, expect, &n, i % 3 == 0 ? 100 : 0, 1 + i % 5);
		sl_port_tx(one.port, 0, &m, 1);
		m = rig_take(&one);
		assert_non_null(m);
		same_bytes(m, expect, n);
		rte_pktmbuf_free(m);
	}
	rig_no_leak();
}

/* A device that cannot send chains gets one segment, also when the data is shared or has no room behind it.
 */
static void test_tx_flatten(void **state)
{
	static struct sl_port p = {.nb_workers = 1, .seg_max = 1}; /* on a line of its own, as a port is */
	uint8_t expect[2048];
	struct rte_mbuf *m;
	struct rte_mbuf *shared;
	size_t n;

	(void)state;
	p.pool[0] = rig_pool;
	for (int i = 0; i < 500; i++) {
		m = random_segment(i % 3 == 0, expect, &n, 0, 4);
		shared = m->next != NULL ? m->next : m;
		rte_mbuf_refcnt_update(shared, 1); /* as the retransmission queue would hold it */
		if (i % 2 == 0) {                  /* no tailroom */
			uint8_t *d = rte_pktmbuf_mtod(m, uint8_t *);

			m->data_off = (uint16_t)(m->buf_len - m->data_len);
			memmove(rte_pktmbuf_mtod(m, uint8_t *), d, m->data_len);
		}
		m = port_tx_fix(&p, 0, m);
		assert_non_null(m);
		assert_int_equal(m->nb_segs, 1);
		same_bytes(m, expect, n);
		rte_pktmbuf_free(m);
		rte_pktmbuf_free_seg(shared);
	}
	rig_no_leak();
}

static void test_tx_refuses(void **state)
{
	uint64_t before = sl_counter_err_sum(SL_E_PORT_TX_INVALID);
	uint8_t expect[2048];
	struct rte_mbuf *m[8];
	size_t n;

	(void)state;
	for (int i = 0; i < 8; i++)
		m[i] = random_segment(i > 4, expect, &n, 0, 1);
	m[0]->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
	m[1]->ol_flags &= ~RTE_MBUF_F_TX_IPV4;
	m[2]->l3_len = 16;
	m[3]->l2_len = 60; /* points behind the headers */
	m[4]->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_UDP_CKSUM;
	m[5]->l3_len = 20;
	sl_put_be16(rte_pktmbuf_mtod_offset(m[6], uint8_t *, 14 + 4),
	            1500); /* payload longer than the packet */
	sl_put_be16(rte_pktmbuf_mtod_offset(m[7], uint8_t *, 14 + 4), 19); /* shorter than TCP's header */
	sl_port_tx(one.port, 0, m, 8);
	assert_null(rig_take(&one));
	assert_int_equal(sl_counter_err_sum(SL_E_PORT_TX_INVALID), before + 8);
	rig_no_leak();
}

static void test_tx_full(void **state)
{
	uint64_t full = sl_counter_err_sum(SL_E_NET_TX_FULL);
	uint64_t sent = sl_counter_sum(SL_C_TX_PACKETS);
	struct rte_mbuf *m[100];
	unsigned left = 0;

	(void)state;
	for (int i = 0; i < 100; i++)
		m[i] = rig_mbuf("0123456789abcdef", 16);
	sl_port_tx(tiny.port, 0, m, 100);
	for (struct rte_mbuf *o = rig_take(&tiny); o != NULL; o = rig_take(&tiny)) {
		rte_pktmbuf_free(o);
		left++;
	}
	assert_true(left > 0 && left < 100);
	assert_int_equal(sl_counter_err_sum(SL_E_NET_TX_FULL) - full, 100 - left);
	assert_int_equal(sl_counter_sum(SL_C_TX_PACKETS) - sent, left);
	rig_no_leak();
}

static struct rte_mbuf *receive_one(struct rig_port *r, const struct rig_frame *f, uint64_t ol_flags)
{
	struct rte_mbuf *m = rig_mbuf(f->b, f->n);

	m->ol_flags = ol_flags;
	rig_put(r, m);
	assert_int_equal(sl_port_rx(r->port, 0, &m, 1), 1);
	return m;
}

static void expect_sums(const struct rig_frame *f, uint64_t dev_flags, uint64_t ip, uint64_t l4)
{
	struct rte_mbuf *m = receive_one(&one, f, dev_flags);

	assert_int_equal(m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK, ip);
	assert_int_equal(m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK, l4);
	rte_pktmbuf_free(m);
}

static void test_rx_verify(void **state)
{
	const uint64_t ip_good = RTE_MBUF_F_RX_IP_CKSUM_GOOD;
	const uint64_t ip_bad = RTE_MBUF_F_RX_IP_CKSUM_BAD;
	const uint64_t l4_good = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	const uint64_t l4_bad = RTE_MBUF_F_RX_L4_CKSUM_BAD;
	struct rig_frame f;
	size_t at;

	(void)state;
	for (int i = 0; i < 300; i++) {
		rig_ether(&f, dst_mac, RIG_MAC_PEER, i % 2 == 0 ? 7 : 0, 0x0800);
		rig_tcp(&f, IP(10, 0, 0, 2), IP(10, 0, 0, 1), (uint16_t)rand(), 5432, f.b, (size_t)i % 60);
		expect_sums(&f, 0, ip_good, l4_good);
		/* Any one bit that flips in the segment shows. */
		at = f.ip + 20 + (size_t)rand() % (f.n - f.ip - 20);
		f.b[at] ^= (uint8_t)(1u << (rand() % 8));
		expect_sums(&f, 0, ip_good, l4_bad);
	}
	rig_tcp(&f, IP(10, 0, 0, 2), IP(10, 0, 0, 1), 1, 2, "abc", 3);
	f.b[f.n] = 0x77; /* Ethernet padding is no part of the segment */
	f.n += 9;
	expect_sums(&f, 0, ip_good, l4_good);
	f.b[f.ip + 8]--; /* TTL: the IP header's sum only */
	expect_sums(&f, 0, ip_bad, l4_good);
	/* What the device has said stands. */
	expect_sums(&f, ip_good, ip_good, l4_good);
	expect_sums(&f, ip_good | l4_bad, ip_good, l4_bad);
	expect_sums(&f, RTE_MBUF_F_RX_IP_CKSUM_NONE | RTE_MBUF_F_RX_L4_CKSUM_NONE, ip_good, l4_good);
	rig_no_leak();
}

static const uint8_t v6_a[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
static const uint8_t v6_b[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 2};

static void test_rx_verify_v6(void **state)
{
	/* Hop-by-hop options, then destination options of 16 bytes. */
	static const uint8_t ext[24] = {60, 0, 1, 4, 0, 0, 0, 0, 6, 1, 1, 12};
	struct rig_frame f;

	(void)state;
	for (size_t i = 0; i < 300; i++) {
		size_t at;

		rig_ether(&f, dst_mac, RIG_MAC_PEER, i % 2 == 0 ? 7 : 0, 0x86dd);
		rig_tcp6_ext(&f, v6_a, v6_b, (uint16_t)rand(), 5432, 0, ext, i % 3 == 0 ? sizeof(ext) : 0,
		             f.b, i % 60);
		memset(f.b + f.n, 0x77, 4); /* Ethernet padding is no part of the segment */
		f.n += 4;
		expect_sums(&f, 0, 0, RTE_MBUF_F_RX_L4_CKSUM_GOOD);
		at = f.ip + 40 + (i % 3 == 0 ? sizeof(ext) : 0);
		at += (size_t)rand() % (f.n - 4 - at);
		f.b[at] ^= (uint8_t)(1u << (rand() % 8));
		expect_sums(&f, 0, 0, RTE_MBUF_F_RX_L4_CKSUM_BAD);
		expect_sums(&f, RTE_MBUF_F_RX_L4_CKSUM_GOOD, 0, RTE_MBUF_F_RX_L4_CKSUM_GOOD);
	}
	for (size_t n = f.n - 5; n > 0; n--) {
		struct rig_frame cut = f;

		cut.n = n;
		expect_sums(&cut, 0, 0, 0);
	}
	rig_no_leak();
}

/* What cannot be judged is left unsaid; nothing reads past the packet. */
static void test_rx_odd_packets(void **state)
{
	struct rig_frame f;

	(void)state;
	rig_ether(&f, dst_mac, RIG_MAC_PEER, 0, 0x0800);
	rig_tcp(&f, IP(10, 0, 0, 2), IP(10, 0, 0, 1), 1, 2, "abcd", 4);
	for (size_t n = f.n - 1; n > 0; n--) {
		struct rig_frame cut = f;

		cut.n = n; /* shorter than its header says */
		expect_sums(&cut, 0, 0, 0);
	}
	f.b[f.ip + 6] = 0x20; /* a first fragment */
	rig_ip_sum(&f);
	expect_sums(&f, 0, RTE_MBUF_F_RX_IP_CKSUM_GOOD, 0);
	f.b[f.ip] = 0x44; /* header length 16 */
	expect_sums(&f, 0, 0, 0);
	f.b[f.ip] = 0x65; /* version 6 */
	expect_sums(&f, 0, 0, 0);
	rig_no_leak();
}

static uint16_t owner_of(const struct rig_frame *f)
{
	struct sl_endpoint src = {sl_addr_v4(f->b + f->ip + 12), sl_get_be16(f->b + f->ip + 20)};
	struct sl_endpoint dst = {sl_addr_v4(f->b + f->ip + 16), sl_get_be16(f->b + f->ip + 22)};

	return sl_port_owner(two.port, &src, &dst);
}

static void flow(struct rig_frame *f, uint16_t sport)
{
	rig_ether(f, dst_mac, RIG_MAC_PEER, 0, 0x0800);
	rig_tcp(f, IP(10, 0, 0, 2), IP(10, 0, 0, 1), sport, 5432, "x", 1);
}

static void test_handoff(void **state)
{
	uint64_t handed = sl_counter_sum(SL_C_HANDOFF_PACKETS);
	struct rte_mbuf *m[64];
	unsigned own[2] = {0, 0};
	unsigned got[2] = {0, 0};
	struct rig_frame f;
	uint16_t n;

	(void)state;
	for (uint16_t i = 0; i < 500; i++) {
		flow(&f, i);
		own[owner_of(&f)]++;
		rig_put(&two, rig_mbuf(f.b, f.n));
	}
	for (int i = 0; i < 100; i++) {
		uint16_t w = (uint16_t)(i % 2);

		n = sl_port_rx(two.port, w, m, 32);
		for (uint16_t k = 0; k < n; k++) {
			memcpy(f.b, rte_pktmbuf_mtod(m[k], void *), m[k]->pkt_len);
			assert_int_equal(owner_of(&f), w);
			/* Verified by whoever gets it. */
			assert_int_equal(m[k]->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK,
			                 RTE_MBUF_F_RX_L4_CKSUM_GOOD);
			rte_pktmbuf_free(m[k]);
		}
		got[w] += n;
	}
	assert_int_equal(got[0], own[0]);
	assert_int_equal(got[1], own[1]);
	assert_int_equal(sl_counter_sum(SL_C_HANDOFF_PACKETS) - handed, own[1]);
	rig_no_leak();
}

static void test_handoff_full(void **state)
{
	uint64_t full = sl_counter_err_sum(SL_E_NET_HANDOFF_FULL);
	unsigned sent = 0;
	struct rig_frame f;
	struct rte_mbuf *m[32];
	unsigned got = 0;
	uint16_t port = 0;
	uint16_t n;

	(void)state;
	do {
		flow(&f, port++);
	} while (owner_of(&f) != 1);
	while (sent < PORT_HANDOFF_SLOTS + 100) {
		for (int i = 0; i < 32; i++, sent++)
			rig_put(&two, rig_mbuf(f.b, f.n));
		assert_int_equal(sl_port_rx(two.port, 0, m, 32), 0);
		assert_int_equal(sl_port_took(two.port, 0), 32); /* not idle */
	}
	assert_int_equal(sl_port_rx(two.port, 0, m, 32), 0);
	assert_int_equal(sl_port_took(two.port, 0), 0);
	while ((n = sl_port_rx(two.port, 1, m, 32)) > 0) {
		assert_int_equal(sl_port_took(two.port, 1), n);
		got += n;
		rte_pktmbuf_free_bulk(m, n);
	}
	assert_true(got < sent);
	assert_int_equal(sl_counter_err_sum(SL_E_NET_HANDOFF_FULL) - full, sent - got);
	rig_no_leak();
}

/* Two workers at the same time: every packet arrives once, at its owner. */
static struct {
	atomic_uint got[2];
	atomic_uint wrong;
	atomic_bool stop;
} shared;

static void *worker(void *arg)
{
	uint16_t w = (uint16_t)(uintptr_t)arg;
	struct rte_mbuf *m[32];
	struct rig_frame f = {.ip = 14};

	sl_counters_register(w == 0 ? "w0" : "w1");
	while (!atomic_load(&shared.stop)) {
		uint16_t n = sl_port_rx(two.port, w, m, 32);

		for (uint16_t i = 0; i < n; i++) {
			memcpy(f.b, rte_pktmbuf_mtod(m[i], void *), m[i]->pkt_len);
			if (owner_of(&f) != w)
				atomic_fetch_add(&shared.wrong, 1);
		}
		sl_port_tx(two.port, w, m, n); /* both into the one transmit queue */
		atomic_fetch_add(&shared.got[w], n);
	}
	return NULL;
}

static void test_two_threads(void **state)
{
	const unsigned total = 20000;
	unsigned sent = 0;
	unsigned back = 0;
	struct rte_mbuf *m;
	struct rig_frame f;
	pthread_t t[2];
	time_t end = time(NULL) + 60;

	(void)state;
	for (uintptr_t w = 0; w < 2; w++)
		assert_int_equal(pthread_create(&t[w], NULL, worker, (void *)w), 0);
	while (back < total && time(NULL) < end) {
		if (sent < total && sent - back < 256) {
			flow(&f, (uint16_t)sent++);
			rig_put(&two, rig_mbuf(f.b, f.n));
		}
		while ((m = rig_take(&two)) != NULL) {
			rte_pktmbuf_free(m);
			back++;
		}
	}
	atomic_store(&shared.stop, true);
	for (int w = 0; w < 2; w++)
		assert_int_equal(pthread_join(t[w], NULL), 0);
	assert_int_equal(back, total);
	assert_int_equal(atomic_load(&shared.wrong), 0);
	assert_int_equal(atomic_load(&shared.got[0]) + atomic_load(&shared.got[1]), total);
	assert_true(atomic_load(&shared.got[1]) > total / 3);
	rig_no_leak();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_open_refuses), cmocka_unit_test(test_caps),
	        cmocka_unit_test(test_tx_checksums), cmocka_unit_test(test_tx_flatten),
	        cmocka_unit_test(test_tx_refuses),   cmocka_unit_test(test_tx_full),
	        cmocka_unit_test(test_rx_verify),    cmocka_unit_test(test_rx_odd_packets),
	        cmocka_unit_test(test_rx_verify_v6), cmocka_unit_test(test_handoff),
	        cmocka_unit_test(test_handoff_full), cmocka_unit_test(test_two_threads),
	};
	int failed;

	rig_eal();
	(void)rig_seed();
	rig_open(&one, "one", 1);
	rig_open(&two, "two", 2);
	rig_open_sized(&tiny, "tiny", 1, 16);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	sl_port_close(one.port);
	sl_port_close(two.port);
	sl_port_close(tiny.port);
	(void)rte_eal_cleanup();
	return failed;
}
