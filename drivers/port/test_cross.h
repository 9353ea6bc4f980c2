/*
 * For tests of devices with offloads: TCP segments of any size go from one port to another, are cut on the
 * way or not, and every byte must arrive once and where its sequence number says.
 */
#ifndef SL_PORT_TEST_CROSS_H
#define SL_PORT_TEST_CROSS_H

#include "test_rig.h"

#include <rte_ip.h>
#include <rte_tcp.h>

#define PAYLOAD_MAX 65000 /* a whole IP packet's, nearly */

static uint8_t cross_bytes[PAYLOAD_MAX];
static uint8_t arrived[PAYLOAD_MAX];
static const uint8_t cross_dst[6] = {0x02, 0, 0, 0, 0, 1};
static const uint8_t v6_a[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
static const uint8_t v6_b[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 2};

static inline void cross_stream(void)
{
	for (size_t i = 0; i < sizeof(cross_bytes); i++)
		cross_bytes[i] = (uint8_t)rand();
}

/* n of the bytes as TCP gives them: headers, then the payload in pieces that are shared. */
static inline struct rte_mbuf *cross_packet(bool v6, size_t n, size_t piece, uint16_t segsz)
{
	uint8_t flags = RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG | RTE_TCP_CWR_FLAG;
	struct rte_mbuf *m;
	struct rig_frame f;
	size_t l3 = v6 ? 40 : 20;

	rig_ether(&f, cross_dst, RIG_MAC_PEER, 0, v6 ? 0x86dd : 0x0800);
	if (v6)
		rig_tcp6(&f, v6_a, v6_b, 1000, 2000, NULL, 0);
	else
		rig_tcp(&f, 0x0a000001, 0x0a000002, 1000, 2000, NULL, 0);
	sl_put_be16(f.b + 14 + (v6 ? 4 : 2), (uint16_t)((v6 ? 0 : l3) + 20 + n));
	f.b[14 + l3 + 13] = flags;
	m = rig_mbuf(f.b, f.n);
	for (size_t at = 0; at < n; at += piece) {
		size_t part = n - at < piece ? n - at : piece;

		assert_int_equal(rte_pktmbuf_chain(m, rig_mbuf(cross_bytes + at, part)), 0);
	}
	m->l2_len = 14;
	m->l3_len = l3 & 0x1ff;
	m->l4_len = 20;
	m->ol_flags = RTE_MBUF_F_TX_TCP_CKSUM |
	              (v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM);
	if (segsz > 0) {
		m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
		m->tso_segsz = segsz;
	}
	return m;
}

/* One received segment: good, its lengths right; its bytes go where its sequence number says. */
static inline size_t take_segment(struct rte_mbuf *m, bool v6, size_t total)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
	size_t hdr = v6 ? 74 : 54;
	size_t at = sl_get_be32(d + hdr - 16) - 0x01020304;
	size_t n = m->pkt_len - hdr;

	assert_true(m->data_len >= hdr && (m->nb_segs > 1) == (m->pkt_len > m->data_len));
	assert_int_equal(m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK, RTE_MBUF_F_RX_L4_CKSUM_GOOD);
	if (!v6)
		assert_int_equal(m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK, RTE_MBUF_F_RX_IP_CKSUM_GOOD);
	assert_int_equal(sl_get_be16(d + 14 + (v6 ? 4 : 2)), n + (v6 ? 20 : 40));
	assert_true(n > 0 && at + n <= total);
	assert_int_equal((d[hdr - 7] & RTE_TCP_PSH_FLAG) != 0, at + n == total);
	assert_int_equal((d[hdr - 7] & RTE_TCP_CWR_FLAG) != 0, at == 0);
	d = rte_pktmbuf_read(m, (uint32_t)hdr, (uint32_t)n, arrived + at);
	assert_non_null(d);
	if (d != arrived + at) /* it is in one buffer */
		memcpy(arrived + at, d, n);
	rte_pktmbuf_free(m);
	return n;
}

/* All of a packet over, whatever it is cut into; returns into how many segments. */
static inline unsigned cross(struct sl_port *from, struct sl_port *to, struct rte_mbuf *m, bool v6, size_t n)
{
	time_t end = time(NULL) + 10;
	struct rte_mbuf *r[8];
	unsigned segments = 0;
	size_t got = 0;

	memset(arrived, 0, n);
	sl_port_tx(from, 0, &m, 1);
	while (got < n) {
		uint16_t k = sl_port_rx(to, 0, r, 8);

		assert_true(time(NULL) <= end);
		for (uint16_t i = 0; i < k; i++)
			got += take_segment(r[i], v6, n);
		segments += k;
	}
	assert_int_equal(got, n);
	assert_memory_equal(arrived, cross_bytes, n);
	return segments;
}

#endif
