#include "port_priv.h"

#include <netinet/in.h>

#include "sl_counter.h"

static void set_rx(struct rte_mbuf *m, uint64_t mask, uint64_t value)
{
	m->ol_flags = (m->ol_flags & ~mask) | value;
}

/* The sum of a correct header, checksum included, is all ones. */
static uint64_t judge_ip(const struct rte_mbuf *m, const struct port_hdr *h)
{
	if (h->v6)
		return RTE_MBUF_F_RX_IP_CKSUM_UNKNOWN; /* there is none */
	return rte_raw_cksum(port_v4(m, h), (size_t)h->l4_off - h->l3_off) == 0xffff
	               ? RTE_MBUF_F_RX_IP_CKSUM_GOOD
	               : RTE_MBUF_F_RX_IP_CKSUM_BAD;
}

static uint64_t judge_tcp(const struct rte_mbuf *m, const struct port_hdr *h)
{
	if (h->proto != IPPROTO_TCP || h->fragment)
		return RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN;
	return port_tcp_sum(m, h) == 0xffff ? RTE_MBUF_F_RX_L4_CKSUM_GOOD : RTE_MBUF_F_RX_L4_CKSUM_BAD;
}

void port_verify(struct rte_mbuf *m)
{
	uint64_t ip = m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;
	uint64_t l4 = m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
	struct port_hdr h;

	/* NONE: "the checksum is not in the packet, but its integrity is verified" (a virtio peer on the same
	 * host). */
	if (ip == RTE_MBUF_F_RX_IP_CKSUM_NONE)
		ip = RTE_MBUF_F_RX_IP_CKSUM_GOOD;
	if (l4 == RTE_MBUF_F_RX_L4_CKSUM_NONE)
		l4 = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	if (ip == RTE_MBUF_F_RX_IP_CKSUM_UNKNOWN || l4 == RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN) {
		if (!port_parse(m, &h))
			return;
		if (ip == RTE_MBUF_F_RX_IP_CKSUM_UNKNOWN)
			ip = judge_ip(m, &h);
		if (l4 == RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN)
			l4 = judge_tcp(m, &h);
	}
	set_rx(m, RTE_MBUF_F_RX_IP_CKSUM_MASK | RTE_MBUF_F_RX_L4_CKSUM_MASK, ip | l4);
}

/* What others handed to `to`, this worker or a dead one. */
static uint16_t take_handed(struct sl_port *p, uint16_t worker, uint16_t to, struct rte_mbuf **m, uint16_t n)
{
	if (p->handoff[to] == NULL)
		return 0;
	sl_fault_shared_begin();
	n = (uint16_t)rte_ring_sc_dequeue_burst(p->handoff[to], (void **)m, n, NULL);
	sl_fault_shared_end();
	p->w[worker].took = (uint16_t)(p->w[worker].took + n);
	return n;
}

/* Gives a packet to its owner's ring. */
static void hand_over(struct sl_port *p, uint16_t owner, struct rte_mbuf *m)
{
	int rc;

	sl_fault_shared_begin();
	rc = rte_ring_mp_enqueue(p->handoff[owner], m);
	sl_fault_shared_end();
	if (rc != 0) {
		(void)sl_fail(SL_E_NET_HANDOFF_FULL);
		rte_pktmbuf_free(m);
		return;
	}
	port_ring_bell(p, owner);
	sl_count(SL_C_HANDOFF_PACKETS);
}

void sl_port_handoff(struct sl_port *p, uint16_t worker, struct rte_mbuf *m)
{
	if (worker < p->nb_workers && p->nb_workers > 1) {
		hand_over(p, worker, m);
		return;
	}
	(void)sl_fail(SL_E_INVAL);
	rte_pktmbuf_free(m);
}

/* Keeps the packets of this worker at the front of m; returns how many. */
static uint16_t keep_own(struct sl_port *p, uint16_t worker, struct rte_mbuf **m, uint16_t n)
{
	uint16_t kept = 0;

	if (p->nb_workers == 1)
		return n;
	for (uint16_t i = 0; i < n; i++) {
		uint16_t owner = port_steer(p, m[i]);

		if (owner == worker)
			m[kept++] = m[i];
		else
			hand_over(p, owner, m[i]);
	}
	return kept;
}

/* `queue` is another worker's only when that one is dead. */
static uint16_t receive(struct sl_port *p, uint16_t worker, uint16_t queue, struct rte_mbuf **m, uint16_t n)
{
	uint64_t bytes = 0;
	uint16_t room = n;

	sl_fault_shared_begin();
	n = p->dev->rx(p, queue, m, n);
	if (unlikely(p->impair != NULL)) {
		impair_put(p->impair, IMPAIR_RX, queue, m, n);
		n = impair_take(p->impair, IMPAIR_RX, queue, m, room);
	}
	sl_fault_shared_end();
	if (n == 0)
		return 0;
	p->w[worker].took = (uint16_t)(p->w[worker].took + n);
	for (uint16_t i = 0; i < n; i++)
		bytes += m[i]->pkt_len;
	sl_count_n(SL_C_RX_PACKETS, n);
	sl_count_n(SL_C_RX_BYTES, bytes);
	return keep_own(p, worker, m, n);
}

/* Keeps what those above can take at the front of m; returns how many. */
static uint16_t fix_chains(struct rte_mbuf **m, uint16_t n)
{
	uint16_t kept = 0;

	for (uint16_t i = 0; i < n; i++) {
		if (m[i]->nb_segs == 1 || port_rx_fix(m[i]))
			m[kept++] = m[i];
	}
	return kept;
}

/* Sent buffers that the device still holds pin what TCP and the other leg wait for: asked back when no
 * packet went out for a while. */
static void idle(struct sl_port *p, uint16_t worker)
{
	struct port_worker *w = &p->w[worker];

	if (!p->tx_cleanup || w->idle_polls >= PORT_CLEAN_POLLS)
		return;
	if (++w->idle_polls == PORT_CLEAN_POLLS)
		port_tx_clean(p, worker);
}

/*
 * A worker that polls a queue takes at most half of the burst from its ring, so that neither source starves
 * the other. Checksums are verified by the owner, not by the worker that polls: the work is spread like the
 * flows are.
 */
static uint16_t poll_own(struct sl_port *p, uint16_t worker, struct rte_mbuf **m, uint16_t n)
{
	bool polls = worker < p->caps.nb_rx_queues;
	uint16_t got = take_handed(p, worker, worker, m, polls ? (uint16_t)((n + 1) / 2) : n);

	if (polls && got < n)
		got = (uint16_t)(got + receive(p, worker, worker, m + got, (uint16_t)(n - got)));
	return got;
}

/* What comes for a dead worker: what was handed to it before the others knew, and what its queue gets. */
static uint16_t poll_dead(struct sl_port *p, uint16_t worker, uint16_t other, struct rte_mbuf **m, uint16_t n)
{
	uint16_t got = keep_own(p, worker, m, take_handed(p, worker, other, m, n));

	if (other < p->caps.nb_rx_queues && got < n)
		got = (uint16_t)(got + receive(p, worker, other, m + got, (uint16_t)(n - got)));
	return got;
}

/* The dead ones in turn, in half of the burst. */
static uint16_t poll(struct sl_port *p, uint16_t worker, struct rte_mbuf **m, uint16_t n)
{
	struct port_worker *w = &p->w[worker];
	uint64_t dead = port_dead(p);
	uint16_t got;

	if (likely(dead == 0) || worker != sl_fault_lead(dead))
		return poll_own(p, worker, m, n);
	got = poll_own(p, worker, m, (uint16_t)((n + 1) / 2));
	w->next_dead = (uint16_t)((w->next_dead + 1) % p->nb_workers);
	for (uint16_t i = 0; i < p->nb_workers && got < n; i++) {
		uint16_t other = (uint16_t)((w->next_dead + i) % p->nb_workers);

		if ((dead >> other & 1) != 0)
			got = (uint16_t)(got + poll_dead(p, worker, other, m + got, (uint16_t)(n - got)));
	}
	return got;
}

uint16_t sl_port_rx(struct sl_port *p, uint16_t worker, struct rte_mbuf **m, uint16_t n)
{
	bool chains = false;
	uint16_t got;

	p->w[worker].took = 0;
	if (unlikely(p->impair != NULL))
		port_tx_due(p, worker);
	got = poll(p, worker, m, n);
	if (got == 0)
		idle(p, worker);
	for (uint16_t i = 0; i < got; i++) {
		if (i + 2 < got)
			rte_prefetch0(rte_pktmbuf_mtod(m[i + 2], void *));
		port_verify(m[i]);
		chains |= m[i]->nb_segs > 1;
	}
	return chains ? fix_chains(m, got) : got;
}

uint16_t sl_port_took(const struct sl_port *p, uint16_t worker)
{
	return p->w[worker].took;
}
