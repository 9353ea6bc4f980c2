#include "port_priv.h"

#include <netinet/in.h>
#include <rte_pause.h>
#include <rte_tcp.h>

#include "sl_counter.h"

#define WANTS_SUMS (RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_L4_MASK)

/* What the flags and lengths of a packet to send say; false: they do not fit it. */
static bool tx_headers(const struct rte_mbuf *m, struct port_hdr *h)
{
	uint32_t l4_off = (uint32_t)m->l2_len + m->l3_len;
	uint64_t l4 = m->ol_flags & RTE_MBUF_F_TX_L4_MASK;
	size_t ip_min = sizeof(struct rte_ipv4_hdr);
	uint32_t ip_len;

	h->v6 = (m->ol_flags & RTE_MBUF_F_TX_IPV6) != 0;
	if (h->v6)
		ip_min = sizeof(struct rte_ipv6_hdr);
	else if ((m->ol_flags & RTE_MBUF_F_TX_IPV4) == 0)
		return false;
	if (m->l3_len < ip_min || m->data_len < l4_off)
		return false;
	h->fragment = false;
	h->first = true;
	h->proto = IPPROTO_TCP; /* where it has a checksum that is asked for */
	h->l3_off = m->l2_len;
	h->l4_off = (uint16_t)l4_off;
	if (l4 == RTE_MBUF_F_TX_L4_NO_CKSUM)
		return true;
	ip_len = h->v6 ? (uint32_t)rte_be_to_cpu_16(port_v6(m, h)->payload_len) + sizeof(struct rte_ipv6_hdr)
	               : rte_be_to_cpu_16(port_v4(m, h)->total_length);
	h->l4_len = (uint16_t)(ip_len - m->l3_len);
	return l4 == RTE_MBUF_F_TX_TCP_CKSUM && m->data_len >= l4_off + sizeof(struct rte_tcp_hdr) &&
	       ip_len >= m->l3_len + sizeof(struct rte_tcp_hdr) && m->l2_len + ip_len <= m->pkt_len;
}

/*
 * Checksums as the packet asks for them. Where the device computes TCP's, it wants the sum of the
 * pseudo-header in the field and a zero in IP's (what Intel's devices need, and no other minds). Of a large
 * segment a DPDK device wants that sum without the length, the kernel with it. False: the flags do not fit
 * the packet.
 */
static bool fill_sums(const struct sl_port *p, struct rte_mbuf *m)
{
	struct rte_tcp_hdr *tcp;
	struct port_hdr h;

	if (!tx_headers(m, &h))
		return false;
	if (!h.v6 && (m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM) != 0) {
		struct rte_ipv4_hdr *ip = port_v4(m, &h);

		ip->hdr_checksum = 0;
		if (!p->caps.tx_ip_csum) {
			ip->hdr_checksum = (uint16_t)~rte_raw_cksum(ip, m->l3_len);
			m->ol_flags &= ~RTE_MBUF_F_TX_IP_CKSUM;
		}
	}
	if ((m->ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_L4_NO_CKSUM)
		return true;
	tcp = rte_pktmbuf_mtod_offset(m, struct rte_tcp_hdr *, h.l4_off);
	if (p->caps.tx_tcp_csum) {
		uint64_t like = p->tso_sum_has_len ? 0 : m->ol_flags;

		tcp->cksum = h.v6 ? rte_ipv6_phdr_cksum(port_v6(m, &h), like)
		                  : rte_ipv4_phdr_cksum(port_v4(m, &h), like);
		return true;
	}
	tcp->cksum = 0;
	tcp->cksum = (uint16_t)~port_tcp_sum(m, &h);
	m->ol_flags &= ~(uint64_t)RTE_MBUF_F_TX_L4_MASK;
	return true;
}

/* One segment of the same packet; NULL when there is no buffer that is large enough. */
static struct rte_mbuf *flatten(struct rte_mempool *pool, struct rte_mbuf *m)
{
	struct rte_mbuf *flat;
	char *to;

	if (RTE_MBUF_DIRECT(m) && rte_mbuf_refcnt_read(m) == 1 && rte_pktmbuf_linearize(m) == 0)
		return m;
	flat = rte_pktmbuf_alloc(pool);
	if (flat == NULL)
		return NULL;
	to = m->pkt_len <= UINT16_MAX ? rte_pktmbuf_append(flat, (uint16_t)m->pkt_len) : NULL;
	if (to == NULL) {
		rte_pktmbuf_free(flat);
		return NULL;
	}
	for (const struct rte_mbuf *s = m; s != NULL; s = s->next) {
		memcpy(to, rte_pktmbuf_mtod(s, const char *), s->data_len);
		to += s->data_len;
	}
	flat->ol_flags = m->ol_flags & ~(RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL);
	flat->tx_offload = m->tx_offload;
	rte_pktmbuf_free(m);
	return flat;
}

static struct rte_mbuf *lose(struct rte_mbuf *m, int err)
{
	(void)sl_fail(err);
	rte_pktmbuf_free(m);
	return NULL;
}

static bool is_large(const struct rte_mbuf *m)
{
	return (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0;
}

struct rte_mbuf *port_tx_fix(const struct sl_port *p, uint16_t worker, struct rte_mbuf *m)
{
	if (unlikely(m->nb_segs > p->seg_max) && !is_large(m)) {
		struct rte_mbuf *flat = flatten(p->pool[worker], m);

		if (flat == NULL)
			return lose(m, SL_E_NET_NO_MBUF);
		m = flat;
	}
	if ((m->ol_flags & WANTS_SUMS) != 0 && !fill_sums(p, m))
		return lose(m, SL_E_PORT_TX_INVALID);
	return m;
}

static void send_cut(struct sl_port *p, uint16_t worker, struct rte_mbuf *m);

/*
 * What the driver itself has to ready for its offloads. A large segment that it refuses (chains that its
 * descriptors cannot express) is cut here, another packet is dropped; the rest goes on.
 */
static uint16_t prepare(struct sl_port *p, uint16_t worker, struct rte_mbuf **m, uint16_t n)
{
	uint16_t q = (uint16_t)(worker % p->caps.nb_tx_queues);
	uint16_t ok = 0;

	if (!p->tx_prepares)
		return n;
	while (ok < n) {
		struct rte_mbuf *refused;

		ok = (uint16_t)(ok + p->dev->prepare(p, q, m + ok, (uint16_t)(n - ok)));
		if (ok == n)
			break;
		refused = m[ok];
		n--;
		memmove(&m[ok], &m[ok + 1], (size_t)(n - ok) * sizeof(m[0]));
		if (is_large(refused))
			send_cut(p, worker, refused);
		else
			(void)lose(refused, SL_E_PORT_TX_REFUSED);
	}
	return n;
}

/* Returns how many of the n the device took. */
static uint16_t burst(struct sl_port *p, uint16_t q, struct rte_mbuf **m, uint16_t n)
{
	uint16_t sent = p->dev->tx(p, q, m, n);

	for (int i = 0; sent < n && i < PORT_TX_TRIES; i++) {
		rte_pause();
		sent = (uint16_t)(sent + p->dev->tx(p, q, m + sent, (uint16_t)(n - sent)));
	}
	return sent;
}

/* Only a queue that is shared has a lock; who fails with it in hand ends the process. */
static void lock(struct sl_port *p, uint16_t q)
{
	if (!p->tx_shared)
		return;
	sl_fault_shared_begin();
	rte_spinlock_lock(&p->tx_lock[q]);
}

static void unlock(struct sl_port *p, uint16_t q)
{
	if (!p->tx_shared)
		return;
	rte_spinlock_unlock(&p->tx_lock[q]);
	sl_fault_shared_end();
}

static void send_ready(struct sl_port *p, uint16_t worker, struct rte_mbuf **m, uint16_t n)
{
	uint16_t q = (uint16_t)(worker % p->caps.nb_tx_queues);
	uint64_t bytes = 0;
	uint16_t sent;

	n = prepare(p, worker, m, n);
	for (uint16_t i = 0; i < n; i++)
		bytes += m[i]->pkt_len;
	lock(p, q);
	sent = burst(p, q, m, n);
	unlock(p, q);
	for (uint16_t i = sent; i < n; i++) {
		bytes -= m[i]->pkt_len;
		(void)sl_fail(SL_E_NET_TX_FULL);
		rte_pktmbuf_free(m[i]);
	}
	p->w[worker].idle_polls = 0;
	sl_count_n(SL_C_TX_PACKETS, sent);
	sl_count_n(SL_C_TX_BYTES, bytes);
}

void port_tx_clean(struct sl_port *p, uint16_t worker)
{
	uint16_t q = (uint16_t)(worker % p->caps.nb_tx_queues);

	lock(p, q);
	if (!p->dev->clean(p, q))
		p->tx_cleanup = false;
	unlock(p, q);
}

void port_tx_due(struct sl_port *p, uint16_t worker)
{
	struct rte_mbuf *m[SL_PORT_BURST];
	uint16_t n;

	do {
		n = impair_take(p->impair, IMPAIR_TX, worker, m, SL_PORT_BURST);
		if (n > 0)
			send_ready(p, worker, m, n);
	} while (n == SL_PORT_BURST);
}

static void send_some(struct sl_port *p, uint16_t worker, struct rte_mbuf **m, uint16_t n)
{
	if (unlikely(p->impair != NULL))
		impair_put(p->impair, IMPAIR_TX, worker, m, n);
	else
		send_ready(p, worker, m, n);
}

/* Packets on their way to the device, a burst at a time. */
struct outbox {
	struct rte_mbuf *m[SL_PORT_BURST];
	uint16_t nb;
};

static void outbox_flush(struct sl_port *p, uint16_t worker, struct outbox *o)
{
	uint16_t n = o->nb;

	o->nb = 0;
	if (n > 0)
		send_some(p, worker, o->m, n);
}

static void outbox_add(struct sl_port *p, uint16_t worker, struct outbox *o, struct rte_mbuf *m)
{
	struct rte_mbuf *fixed = port_tx_fix(p, worker, m);

	if (fixed == NULL)
		return;
	o->m[o->nb++] = fixed;
	if (o->nb == SL_PORT_BURST)
		outbox_flush(p, worker, o);
}

/* Cuts a large segment by copying. */
static void cut_into(struct sl_port *p, uint16_t worker, struct outbox *o, struct rte_mbuf *m)
{
	struct rte_mbuf *part;
	struct port_cut c;
	struct port_hdr h;

	if (!tx_headers(m, &h) || !port_cut_start(&c, m, &h)) {
		(void)lose(m, SL_E_PORT_TX_INVALID);
		return;
	}
	while ((part = port_cut_next(&c, p->pool[worker])) != NULL)
		outbox_add(p, worker, o, part);
	if (c.left > 0)
		(void)sl_fail(SL_E_PORT_TX_SEGMENT);
	rte_pktmbuf_free(m);
}

/* Its sums were filled in, or left to the device, for the whole: each part wants its own. */
static void send_cut(struct sl_port *p, uint16_t worker, struct rte_mbuf *m)
{
	struct outbox o = {.nb = 0};

	if ((m->ol_flags & RTE_MBUF_F_TX_IPV4) != 0)
		m->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
	cut_into(p, worker, &o, m);
	outbox_flush(p, worker, &o);
}

void sl_port_tx(struct sl_port *p, uint16_t worker, struct rte_mbuf **m, uint16_t n)
{
	struct outbox o = {.nb = 0};

	for (uint16_t i = 0; i < n; i++) {
		if (is_large(m[i]) && m[i]->nb_segs > p->tso_seg_max)
			cut_into(p, worker, &o, m[i]);
		else
			outbox_add(p, worker, &o, m[i]);
	}
	outbox_flush(p, worker, &o);
	if (unlikely(p->impair != NULL))
		port_tx_due(p, worker);
}
