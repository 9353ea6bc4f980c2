/*
 * The wire of the tests, and the port in front of it. Out: checks what the stack promises sl_net_output(),
 * cuts super-segments as a NIC with TSO does, fills in checksums. In: mbufs of a receive pool of its own, in
 * chains and with the checksum vouched for when offloads are on, else linear and unsaid.
 */
#include "test_tcp_util.h"

#include <rte_ip.h>

#define CHAIN_FIRST 128 /* bytes of a received chain's first mbuf, and of the others */
#define CHAIN_NEXT  900
#define IP_MAX      65535U
#define ECN_ECT     3 /* either of the two marks of a sender that can do ECN */
#define ECN_CE      3

static bool chance(struct wire *w, uint32_t percent)
{
	return test_rand(&w->seed) % 100 < percent;
}

static void fill_checksum(uint8_t *p, uint32_t n, const struct sl_addr *src, const struct sl_addr *dst)
{
	struct rte_tcp_hdr *th = (struct rte_tcp_hdr *)(void *)p;

	th->cksum = 0;
	if (src->family == SL_AF_INET6) {
		struct rte_ipv6_hdr ip = {.proto = IPPROTO_TCP};

		memcpy(ip.src_addr, src->b, 16);
		memcpy(ip.dst_addr, dst->b, 16);
		ip.payload_len = rte_cpu_to_be_16((uint16_t)n);
		th->cksum = rte_ipv6_udptcp_cksum(&ip, th);
	} else {
		struct rte_ipv4_hdr ip = {.next_proto_id = IPPROTO_TCP, .version_ihl = 0x45};

		memcpy(&ip.src_addr, src->b, 4);
		memcpy(&ip.dst_addr, dst->b, 4);
		ip.total_length = rte_cpu_to_be_16((uint16_t)(n + 20));
		th->cksum = rte_ipv4_udptcp_cksum(&ip, th);
	}
}

static struct rte_mbuf *rx_linear(const uint8_t *p, uint32_t n)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(test_rx_pool);
	char *to;

	if (m == NULL)
		return NULL;
	to = rte_pktmbuf_append(m, (uint16_t)n);
	assert_non_null(to);
	memcpy(to, p, n);
	return m;
}

static struct rte_mbuf *rx_chain(const uint8_t *p, uint32_t n)
{
	struct rte_mbuf *head = NULL;

	for (uint32_t at = 0, part; at < n || head == NULL; at += part) {
		struct rte_mbuf *m;

		part = u32_min(n - at, at == 0 ? CHAIN_FIRST : CHAIN_NEXT);
		m = rx_linear(p + at, part);
		if (m == NULL) {
			rte_pktmbuf_free(head);
			return NULL;
		}
		if (head == NULL)
			head = m;
		else
			assert_int_equal(rte_pktmbuf_chain(head, m), 0);
	}
	return head;
}

struct rte_mbuf *wire_receive(const uint8_t *p, uint32_t n, bool bad_csum)
{
	struct rte_mbuf *m;

	if (!test.offload)
		return rx_linear(p, n);
	m = rx_chain(p, n);
	if (m != NULL)
		m->ol_flags |= bad_csum ? RTE_MBUF_F_RX_L4_CKSUM_BAD : RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	return m;
}

void wire_checksum(uint8_t *p, uint32_t n, const struct sl_addr *src, const struct sl_addr *dst)
{
	fill_checksum(p, n, src, dst);
}

static bool before(const struct packet *a, const struct packet *b)
{
	return a->at < b->at || (a->at == b->at && a->order < b->order);
}

static void wire_put(struct wire *w, const struct packet *p, const uint8_t *bytes, uint32_t n)
{
	struct packet q = *p;
	uint32_t i = w->n;

	if (w->n == WIRE_MAX)
		return;
	q.order = w->order++;
	q.m = wire_receive(bytes, n, false);
	if (q.m == NULL)
		return;
	w->n++;
	for (; i > 0 && before(&q, &w->q[(i - 1) / 2]); i = (i - 1) / 2)
		w->q[i] = w->q[(i - 1) / 2];
	w->q[i] = q;
}

/* Takes the first away. */
static void wire_pop(struct wire *w)
{
	const struct packet *last = &w->q[--w->n];
	uint32_t i = 0, k;

	while ((k = 2 * i + 1) < w->n) {
		if (k + 1 < w->n && before(&w->q[k + 1], &w->q[k]))
			k++;
		if (!before(&w->q[k], last))
			break;
		w->q[i] = w->q[k];
		i = k;
	}
	w->q[i] = *last;
}

/* Behind what is being sent, at the wire's rate. */
static uint64_t serialized(struct wire *w, const struct packet *p, uint32_t n)
{
	uint64_t *free_ns = &w->free_ns[sl_addr_eq(&p->dst, &w->a->addr)];

	if (*free_ns < p->at * 1000)
		*free_ns = p->at * 1000;
	*free_ns += (uint64_t)n * 8000 / w->cfg.mbit;
	return *free_ns / 1000;
}

/* One packet of the wire's size goes through what the wire does to packets. */
static void wire_carry(struct wire *w, struct packet *p, uint8_t *bytes, uint32_t n)
{
	fill_checksum(bytes, n, &p->src, &p->dst);
	w->nb_sent++;
	if (w->cfg.mbit > 0)
		p->at = serialized(w, p, n);
	if (w->cfg.jitter_us > 0)
		p->at += test_rand(&w->seed) % w->cfg.jitter_us;
	if (chance(w, w->cfg.reorder))
		p->at += 3 * w->cfg.delay_us / 2 + 1000;
	if (chance(w, w->cfg.loss))
		return;
	if ((p->ecn & ECN_ECT) != 0 && chance(w, w->cfg.ce))
		p->ecn = ECN_CE;
	if (chance(w, w->cfg.dup)) {
		struct packet copy = *p;

		copy.at += 700;
		wire_put(w, &copy, bytes, n);
	}
	wire_put(w, p, bytes, n);
}

/* What sl_net_output() and the port may rely on. */
static void check_output(const struct host *h, const struct rte_mbuf *m, const struct sl_addr *src)
{
	uint32_t ip_len = src->family == SL_AF_INET6 ? 40 : 20, hdr;
	bool tso = (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0;

	assert_int_equal(src->family, test.family);
	assert_true(m->ol_flags & RTE_MBUF_F_TX_TCP_CKSUM);
	assert_true(m->ol_flags & (test.family == 6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4));
	assert_true(rte_pktmbuf_headroom(m) >= 64);
	assert_int_equal(rte_mbuf_refcnt_read(m), 1);
	assert_true(RTE_MBUF_DIRECT(m));
	hdr = (uint32_t)(rte_pktmbuf_mtod(m, uint8_t *)[12] >> 4) * 4;
	assert_int_equal(m->l4_len, hdr);
	assert_true(rte_pktmbuf_data_len(m) >= hdr);
	assert_true(m->nb_segs == 1 || h->multi_seg);
	rte_mbuf_sanity_check(m, 1);
	if (!tso) {
		assert_true(m->pkt_len + ip_len <= h->mtu);
		return;
	}
	assert_true(h->tso);
	assert_true(m->tso_segsz > 0 && m->tso_segsz + hdr + ip_len <= h->mtu);
	assert_true(m->pkt_len + ip_len <= IP_MAX);
}

/* Cuts n bytes of payload behind the header in `whole` into segments of segsz (RFC 9293 knows nothing of it;
 * NICs: FIN and PSH on the last one, CWR on the first). */
static void segment(struct wire *w, const struct packet *p, const uint8_t *whole, uint32_t hdr, uint32_t n,
                    uint32_t segsz)
{
	static uint8_t one[IP_MAX];
	uint32_t seq = sl_get_be32(whole + 4), at = 0;

	do {
		uint32_t part = u32_min(n - at, segsz);
		struct packet q = *p;

		memcpy(one, whole, hdr);
		memcpy(one + hdr, whole + hdr + at, part);
		sl_put_be32(one + 4, seq + at);
		if (at + part < n)
			one[13] &= (uint8_t) ~(F_FIN | F_PSH);
		if (at > 0)
			one[13] &= (uint8_t)~F_CWR;
		wire_carry(w, &q, one, hdr + part);
		at += part;
	} while (at < n);
}

int wire_output(void *ctx, struct rte_mbuf *m, const struct sl_addr *src, const struct sl_addr *dst,
                uint8_t ecn, uint64_t now_us)
{
	static uint8_t whole[IP_MAX];
	struct host *h = ctx;
	struct packet p = {.src = *src, .dst = *dst, .ecn = ecn, .at = now_us + h->wire->cfg.delay_us};
	uint32_t hdr = m->l4_len, n = m->pkt_len - hdr, at = 0, segsz = n;

	check_output(h, m, src);
	if (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) {
		segsz = m->tso_segsz;
		h->wire->nb_super++;
	}
	if (m->nb_segs > 1)
		h->wire->nb_chained++;
	for (const struct rte_mbuf *s = m; s != NULL; at += rte_pktmbuf_data_len(s), s = s->next)
		memcpy(whole + at, rte_pktmbuf_mtod(s, uint8_t *), rte_pktmbuf_data_len(s));
	rte_pktmbuf_free(m);
	segment(h->wire, &p, whole, hdr, n, segsz);
	return 0;
}

void wire_clear(struct wire *w)
{
	for (uint32_t i = 0; i < w->n; i++)
		rte_pktmbuf_free(w->q[i].m);
	w->n = 0;
}

static uint16_t take_burst(struct wire *w, const struct host *h, uint64_t now, struct rte_mbuf **m,
                           struct sl_net_segment *seg)
{
	const struct packet *p = &w->q[0];
	uint16_t n = 0;

	while (n < WIRE_BURST && w->n > 0 && p->at <= now && sl_addr_eq(&p->dst, &h->addr)) {
		seg[n] = (struct sl_net_segment){.src = p->src, .dst = p->dst, .ttl = 64, .ecn = p->ecn};
		m[n++] = p->m;
		wire_pop(w);
	}
	return n;
}

/* What has arrived by now, in bursts. */
void wire_deliver(struct wire *w, uint64_t now)
{
	struct rte_mbuf *m[WIRE_BURST];
	struct sl_net_segment seg[WIRE_BURST];
	uint16_t a, b;

	do {
		a = take_burst(w, w->a, now, m, seg);
		if (a > 0)
			sl_tcp_input(w->a->t, m, seg, a, now);
		b = take_burst(w, w->b, now, m, seg);
		if (b > 0)
			sl_tcp_input(w->b->t, m, seg, b, now);
	} while (a + b > 0);
}
