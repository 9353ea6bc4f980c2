/* Packets larger than the wire's or than a buffer: cut on the way out and on the way in. */
#include "test_rig.h"

#include <rte_tcp.h>

#include "port_priv.h"
#include "sl_counter.h"

#define BYTES 9000

static struct rig_port one;
static uint8_t stream[BYTES];
static uint8_t arrived[BYTES];
static const uint8_t dst_mac[6] = {0x02, 0, 0, 0, 0, 1};
static const uint8_t v6_a[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
static const uint8_t v6_b[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 2};

/* A TCP packet of n bytes of the stream in a chain: the first buffer holds the headers and `first` bytes. */
static struct rte_mbuf *chain(bool v6, uint8_t flags, size_t n, size_t first, size_t piece)
{
	size_t l3 = v6 ? 40 : 20;
	struct rig_frame f;
	struct rte_mbuf *m;

	rig_ether(&f, dst_mac, RIG_MAC_PEER, 0, v6 ? 0x86dd : 0x0800);
	if (v6)
		rig_tcp6(&f, v6_a, v6_b, 1000, 2000, stream, first);
	else
		rig_tcp(&f, 0x0a000001, 0x0a000002, 1000, 2000, stream, first);
	sl_put_be16(f.b + 14 + (v6 ? 4 : 2), (uint16_t)((v6 ? 0 : l3) + 20 + n));
	f.b[14 + l3 + 13] = flags;
	m = rig_mbuf(f.b, f.n);
	for (size_t at = first; at < n; at += piece) {
		size_t part = n - at < piece ? n - at : piece;

		assert_int_equal(rte_pktmbuf_chain(m, rig_mbuf(stream + at, part)), 0);
	}
	m->l2_len = 14;
	m->l3_len = l3 & 0x1ff;
	m->l4_len = 20;
	return m;
}

/* One part: of one buffer, its lengths and flags right. Returns its bytes. */
static size_t take_part(struct rte_mbuf *m, bool v6, size_t total, uint8_t flags)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
	size_t hdr = v6 ? 74 : 54;
	size_t at = sl_get_be32(d + hdr - 16) - 0x01020304;
	size_t n = m->pkt_len - hdr;

	assert_int_equal(m->nb_segs, 1);
	assert_null(m->next);
	assert_int_equal(m->pkt_len, m->data_len);
	assert_true(n > 0 && at + n <= total);
	assert_int_equal(sl_get_be16(d + 14 + (v6 ? 4 : 2)), n + (v6 ? 20 : 40));
	if (at + n < total)
		flags &= (uint8_t) ~(RTE_TCP_PSH_FLAG | RTE_TCP_FIN_FLAG);
	if (at > 0)
		flags &= (uint8_t)~RTE_TCP_CWR_FLAG;
	assert_int_equal(d[hdr - 7], flags);
	memcpy(arrived + at, d + hdr, n);
	rte_pktmbuf_free(m);
	return n;
}

#define FLAGS (RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG | RTE_TCP_FIN_FLAG | RTE_TCP_CWR_FLAG | RTE_TCP_ECE_FLAG)

static void test_sent(void **state)
{
	(void)state;
	for (int i = 0; i < 300; i++) {
		size_t n = 1461 + (size_t)rand() % (BYTES - 1461);
		bool v6 = i % 2 == 0;
		struct rte_mbuf *m = chain(v6, FLAGS, n, (size_t)rand() % 100, 20 + (size_t)rand() % 1500);
		struct rte_mbuf *shared = m->next;
		size_t got = 0;

		m->tso_segsz = (uint16_t)(500 + rand() % 900);
		m->ol_flags = RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM |
		              (v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM);
		rte_mbuf_refcnt_update(shared, 1);
		sl_port_tx(one.port, 0, &m, 1);
		while ((m = rig_take(&one)) != NULL) {
			struct port_hdr h;

			assert_int_equal(m->ol_flags & (RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_L4_MASK), 0);
			assert_true(port_parse(m, &h));
			assert_int_equal(port_tcp_sum(m, &h), 0xffff);
			got += take_part(m, v6, n, FLAGS);
		}
		assert_int_equal(got, n);
		assert_memory_equal(arrived, stream, n);
		assert_int_equal(rte_mbuf_refcnt_read(shared), 1);
		rte_pktmbuf_free_seg(shared);
	}
	rig_no_leak();
}

static void test_sent_refused(void **state)
{
	uint64_t invalid = sl_counter_err_sum(SL_E_PORT_TX_INVALID);
	uint64_t uncut = sl_counter_err_sum(SL_E_PORT_TX_SEGMENT);
	struct rte_mbuf *m[4];

	(void)state;
	for (int i = 0; i < 4; i++) {
		m[i] = chain(false, i == 1 ? RTE_TCP_SYN_FLAG : RTE_TCP_ACK_FLAG, 5000, 0, 1000);
		m[i]->tso_segsz = 1460;
		m[i]->ol_flags = RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IPV4;
	}
	m[0]->tso_segsz = 0;
	rte_pktmbuf_mtod(m[2], uint8_t *)[14 + 20 + 12] = 0xf0; /* more header than there is */
	m[3]->tso_segsz = 4000;                                 /* no buffer holds it */
	sl_port_tx(one.port, 0, m, 4);
	assert_null(rig_take(&one));
	assert_int_equal(sl_counter_err_sum(SL_E_PORT_TX_INVALID) - invalid, 3);
	assert_int_equal(sl_counter_err_sum(SL_E_PORT_TX_SEGMENT) - uncut, 1);
	rig_no_leak();
}

static struct rte_mbuf *played[SL_PORT_BURST]; /* what the device was given */
static uint16_t nb_played;

static uint16_t played_tx(struct sl_port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n)
{
	(void)p;
	(void)queue;
	for (uint16_t i = 0; i < n; i++)
		played[nb_played++] = m[i];
	return n;
}

static uint16_t played_prepare(struct sl_port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n)
{
	(void)p;
	(void)queue;
	for (uint16_t i = 0; i < n; i++) {
		if ((m[i]->ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0)
			return i;
	}
	return n;
}

/* A driver refuses a large segment whose sums were readied already: the parts' are right, whoever fills in
 * IPv4's. */
static void test_refused_by_driver(void **state)
{
	struct port_dev_ops ops = *one.port->dev;
	struct sl_port *p = one.port;

	(void)state;
	ops.tx = played_tx;
	ops.prepare = played_prepare;
	for (int i = 0; i < 4; i++) {
		struct sl_port was = *p;
		bool v6 = i < 2;
		struct rte_mbuf *m = chain(v6, FLAGS, 5000, 0, 1000);
		size_t got = 0;

		m->tso_segsz = 1460;
		m->ol_flags = RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM |
		              (v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM);
		p->dev = &ops;
		p->tx_prepares = true;
		p->caps.multi_seg = p->caps.tso = p->caps.tx_tcp_csum = true;
		p->caps.tx_ip_csum = i % 2 == 0;
		p->seg_max = p->tso_seg_max = 64;
		nb_played = 0;
		sl_port_tx(p, 0, &m, 1);
		*p = was;
		assert_int_equal(nb_played, 4);
		for (uint16_t k = 0; k < nb_played; k++) {
			uint64_t asked =
			        played[k]->ol_flags & (RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_L4_MASK);

			assert_int_equal(asked, RTE_MBUF_F_TX_TCP_CKSUM |
			                                (!v6 && i % 2 == 0 ? RTE_MBUF_F_TX_IP_CKSUM : 0));
			if (!v6 && i % 2 != 0)
				assert_int_equal(
				        rig_sum(0, rte_pktmbuf_mtod_offset(played[k], uint8_t *, 14), 20), 0);
			got += take_part(played[k], v6, 5000, FLAGS);
		}
		assert_int_equal(got, 5000);
		assert_memory_equal(arrived, stream, 5000);
	}
	rig_no_leak();
}

static const uint64_t good = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;

/* One packet: headers in the first buffer, n bytes of the stream in all, nothing behind them. */
static void take_whole(struct rte_mbuf *m, bool v6, size_t n)
{
	size_t hdr = v6 ? 74 : 54, left = 0;
	uint16_t nb = 0;

	assert_int_equal(m->ol_flags & good, good);
	assert_int_equal(m->pkt_len, hdr + n);
	assert_true(m->data_len >= hdr);
	assert_int_equal(sl_get_be16(rte_pktmbuf_mtod(m, const uint8_t *) + 14 + (v6 ? 4 : 2)),
	                 n + (v6 ? 20 : 40));
	for (const struct rte_mbuf *s = m; s != NULL; s = s->next, nb++)
		left += s->data_len;
	assert_int_equal(nb, m->nb_segs);
	assert_int_equal(left, m->pkt_len);
	if (rte_pktmbuf_read(m, (uint32_t)hdr, (uint32_t)n, arrived) != arrived) /* in one buffer */
		memcpy(arrived, rte_pktmbuf_mtod_offset(m, const uint8_t *, hdr), n);
	assert_memory_equal(arrived, stream, n);
	rte_pktmbuf_free(m);
}

static void test_received(void **state)
{
	(void)state;
	for (int i = 0; i < 300; i++) {
		size_t n = 3000 + (size_t)rand() % (BYTES - 3000);
		size_t first = i % 4 == 0 ? 0 : (size_t)rand() % 1400;
		struct rte_mbuf *m;
		bool v6 = i % 2 == 0;

		m = chain(v6, FLAGS, n, first, 100 + (size_t)rand() % 1900);
		m->ol_flags = good | RTE_MBUF_F_RX_LRO;
		if (i % 5 == 0) { /* Ethernet padding in buffers of its own, or in the last one */
			assert_int_equal(rte_pktmbuf_chain(m, rig_mbuf("\0\0\0\0", 4)), 0);
			assert_int_equal(rte_pktmbuf_chain(m, rig_mbuf("\0\0", 2)), 0);
		} else if (i % 5 == 1) {
			assert_non_null(rte_pktmbuf_append(m, 3));
		}
		rig_put(&one, m);
		assert_int_equal(sl_port_rx(one.port, 0, &m, 1), 1);
		take_whole(m, v6, n);
	}
	rig_no_leak();
}

/* Nothing is said of the checksum: it is verified over the whole chain first. */
static void test_received_unverified(void **state)
{
	uint64_t bad = sl_counter_err_sum(SL_E_TCP_CSUM);
	struct rte_mbuf *m = chain(false, RTE_TCP_ACK_FLAG, 6000, 1000, 2000);
	struct rte_mbuf *r[8];
	struct port_hdr h;
	uint16_t *sum;

	(void)state;
	rte_pktmbuf_mtod(m, uint8_t *)[14 + 10] = 0;
	rte_pktmbuf_mtod(m, uint8_t *)[14 + 11] = 0;
	sum = rte_pktmbuf_mtod_offset(m, uint16_t *, 14);
	sum[5] = (uint16_t)~rte_raw_cksum(sum, 20);
	assert_true(port_parse(m, &h));
	rte_pktmbuf_mtod_offset(m, struct rte_tcp_hdr *, 34)->cksum = 0;
	rte_pktmbuf_mtod_offset(m, struct rte_tcp_hdr *, 34)->cksum = (uint16_t)~port_tcp_sum(m, &h);
	rig_put(&one, rte_pktmbuf_copy(m, rig_pool, 0, UINT32_MAX));
	assert_int_equal(sl_port_rx(one.port, 0, r, 8), 1);
	take_whole(r[0], false, 6000);
	rte_pktmbuf_mtod(m->next, uint8_t *)[77] ^= 1;
	rig_put(&one, m);
	assert_int_equal(sl_port_rx(one.port, 0, r, 8), 0);
	assert_int_equal(sl_counter_err_sum(SL_E_TCP_CSUM) - bad, 1);
	rig_no_leak();
}

static void test_received_odd(void **state)
{
	uint64_t lost = sl_counter_err_sum(SL_E_PORT_RX_CHAIN);
	struct rte_mbuf *m;
	struct rte_mbuf *r[8];

	(void)state;
	m = chain(false, RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG, 5000, 0, 2000); /* no SYN is that large */
	m->ol_flags = good;
	rig_put(&one, m);
	m = chain(false, RTE_TCP_ACK_FLAG, 5000, 0, 2000);
	m->ol_flags = good;
	rte_pktmbuf_mtod(m, uint8_t *)[14 + 9] = 17; /* UDP */
	rig_put(&one, m);
	m = chain(false, RTE_TCP_ACK_FLAG, 5000, 0, 2000);
	m->ol_flags = good;
	rte_pktmbuf_mtod(m, uint8_t *)[14 + 6] = 0x20; /* a fragment */
	rig_put(&one, m);
	assert_int_equal(sl_port_rx(one.port, 0, r, 8), 0);
	assert_int_equal(sl_counter_err_sum(SL_E_PORT_RX_CHAIN) - lost, 3);
	m = chain(false, RTE_TCP_ACK_FLAG, 900, 100, 100); /* fits a buffer */
	m->ol_flags = good;
	rig_put(&one, m);
	assert_int_equal(sl_port_rx(one.port, 0, r, 8), 1);
	assert_int_equal(r[0]->nb_segs, 1);
	take_whole(r[0], false, 900);
	sl_port_close(one.port);
	rig_no_leak();
}

static void test_buffers(void **state)
{
	(void)state;
	assert_int_equal(sl_port_buf_bytes(1500), RTE_MBUF_DEFAULT_BUF_SIZE);
	assert_true(sl_port_buf_bytes(9000) >= 9000 + 22 + RTE_PKTMBUF_HEADROOM);
	assert_true(sl_port_buf_bytes(9216) < 10000);
	assert_int_equal(sl_port_buf_bytes(65535), UINT16_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_sent),
	        cmocka_unit_test(test_sent_refused),
	        cmocka_unit_test(test_refused_by_driver),
	        cmocka_unit_test(test_received),
	        cmocka_unit_test(test_received_unverified),
	        cmocka_unit_test(test_buffers),
	        cmocka_unit_test(test_received_odd),
	};

	rig_eal();
	rig_seed();
	for (size_t i = 0; i < sizeof(stream); i++)
		stream[i] = (uint8_t)rand();
	rig_open(&one, "one", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
