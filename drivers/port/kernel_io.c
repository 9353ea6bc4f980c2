/* Kernel interfaces: frames in and out. See kernel.h. */
#include "kernel.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <rte_tcp.h>

#include "port_priv.h"
#include "sl_counter.h"

#define TCP_SUM_AT offsetof(struct rte_tcp_hdr, cksum)
/* What the kernel writes into a slot in front of a frame. */
#define SLOT_FRONT (sizeof(struct tpacket2_hdr) + sizeof(struct virtio_net_hdr))

static void count(_Atomic uint64_t *n, uint64_t more)
{
	atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + more, memory_order_relaxed);
}

/* ---- receiving ---- */

/*
 * A sum that is still to be filled in is one of a sender on this machine, or of segments that the kernel has
 * verified and put together: nothing on the way can have damaged the packet. Of which header it is decides
 * what it is good for: TCP's only.
 */
int kernel_rx_flags(const struct virtio_net_hdr *v, uint32_t len, bool wire, uint64_t *ol_flags)
{
	bool unfilled = (v->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0;

	*ol_flags = 0;
	if (wire)
		return unfilled || v->gso_type != VIRTIO_NET_HDR_GSO_NONE ? SL_E_PORT_RX_OFFLOAD : SL_OK;
	if (unfilled && (uint32_t)v->csum_start + v->csum_offset + sizeof(uint16_t) > len)
		return SL_E_PORT_RX_HEADER;
	if (unfilled ? v->csum_offset == TCP_SUM_AT : (v->flags & VIRTIO_NET_HDR_F_DATA_VALID) != 0)
		*ol_flags = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	return SL_OK;
}

/* An empty chain with room for len bytes; NULL: the pool is too empty, or len too much. */
static struct rte_mbuf *chain_new(struct rte_mempool *pool, uint32_t len)
{
	uint32_t room = (uint32_t)rte_pktmbuf_data_room_size(pool) - RTE_PKTMBUF_HEADROOM;
	uint32_t nb = (len + room - 1) / room;
	struct rte_mbuf *s[KERNEL_CHAIN_MAX];

	if (nb == 0 || nb > KERNEL_CHAIN_MAX || rte_pktmbuf_alloc_bulk(pool, s, nb) != 0)
		return NULL;
	for (uint32_t i = 0; i < nb; i++) {
		s[i]->next = i + 1 < nb ? s[i + 1] : NULL;
		s[i]->data_len = (uint16_t)RTE_MIN(len, room);
		len -= s[i]->data_len;
		s[0]->pkt_len += s[i]->data_len;
	}
	s[0]->nb_segs = (uint16_t)nb;
	return s[0];
}

/* From the slot. */
static void fill_chain(struct rte_mbuf *m, const uint8_t *from)
{
	for (; m != NULL; m = m->next) {
		memcpy(rte_pktmbuf_mtod(m, void *), from, m->data_len);
		from += m->data_len;
	}
}

/* The next frame of the socket's queue, into m, or dropped with m NULL. False: it is not the one that the
 * slot said. */
static bool read_large(int fd, struct rte_mbuf *m, uint32_t len)
{
	struct virtio_net_hdr v;
	struct iovec iov[KERNEL_CHAIN_MAX + 1] = {{&v, sizeof(v)}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 1};

	ssize_t n;

	for (; m != NULL; m = m->next)
		iov[msg.msg_iovlen++] = (struct iovec){rte_pktmbuf_mtod(m, void *), m->data_len};
	n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_TRUNC);
	if (n < 0 && errno != EAGAIN) /* the interface went down: that is told once, before what waits */
		n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_TRUNC);
	return n == (ssize_t)(sizeof(v) + len);
}

/* The slot's frame is whole, in the slot or in the socket's queue, as both of their lengths say. */
static int check_slot(const struct kernel_queue *q, const struct tpacket2_hdr *h)
{
	if (h->tp_mac < SLOT_FRONT || (uint32_t)h->tp_mac + h->tp_snaplen > q->slot_bytes ||
	    h->tp_len < RTE_ETHER_HDR_LEN || h->tp_snaplen > h->tp_len)
		return SL_E_PORT_RX_HEADER;
	if (h->tp_len > KERNEL_FRAME_MAX ||
	    (h->tp_snaplen < h->tp_len && (h->tp_status & TP_STATUS_COPY) == 0))
		return SL_E_PORT_RX_TRUNCATED;
	return SL_OK;
}

/* The kernel takes off the outer tag, of whatever kind. A service tag (802.1ad) is nobody's VLAN here. */
static bool tag_is_ours(const struct tpacket2_hdr *h)
{
	if ((h->tp_status & TP_STATUS_VLAN_VALID) == 0)
		return true;
	return (h->tp_status & TP_STATUS_VLAN_TPID_VALID) != 0 && h->tp_vlan_tpid == ETH_P_8021Q;
}

static int take_frame(struct kernel_queue *q, const struct tpacket2_hdr *h, struct rte_mempool *pool,
                      struct rte_mbuf **out)
{
	const uint8_t *frame = (const uint8_t *)h + h->tp_mac;
	bool large = (h->tp_status & TP_STATUS_COPY) != 0;
	int rc = check_slot(q, h);
	struct virtio_net_hdr v;
	struct rte_mbuf *m = NULL;
	uint64_t flags = 0;

	if (rc == SL_OK && !tag_is_ours(h))
		rc = SL_E_NET_VLAN;
	if (rc == SL_OK) {
		memcpy(&v, frame - sizeof(v), sizeof(v));
		rc = kernel_rx_flags(&v, h->tp_len, q->wire, &flags);
	}
	if (rc == SL_OK) {
		m = chain_new(pool, h->tp_len);
		rc = m != NULL ? SL_OK : SL_E_NET_NO_MBUF;
	}
	if (large && !read_large(q->fd, m, h->tp_len) && rc == SL_OK)
		rc = SL_E_PORT_RX_TRUNCATED;
	if (rc != SL_OK) {
		rte_pktmbuf_free(m);
		return rc;
	}
	if (!large)
		fill_chain(m, frame);
	m->ol_flags = flags;
	if ((h->tp_status & TP_STATUS_VLAN_VALID) != 0) {
		m->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
		m->vlan_tci = h->tp_vlan_tci;
	}
	*out = m;
	return SL_OK;
}

static void count_lost(struct kernel_counts *c, int rc)
{
	count(rc == SL_E_NET_NO_MBUF ? &c->rx_no_buffer : &c->rx_errors, 1);
	(void)sl_fail(rc);
}

/* The kernel writes a slot whole before it gives it to us, and nothing of it while it is ours. */
uint16_t kernel_rx(struct sl_port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n)
{
	struct kernel_queue *q = &p->kernel->queue[queue];
	uint64_t bytes = 0;
	uint32_t segs = 0;
	uint16_t got = 0;

	for (uint16_t i = 0; i < n && segs < KERNEL_RX_SEGS; i++) {
		struct tpacket2_hdr *h =
		        (struct tpacket2_hdr *)(void *)(q->ring + (size_t)q->slot * q->slot_bytes);
		int rc;

		if ((__atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) == 0)
			break;
		rc = take_frame(q, h, p->pool[queue], &m[got]);
		__atomic_store_n(&h->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
		q->slot = q->slot + 1 == q->nb_slots ? 0 : q->slot + 1;
		if (rc != SL_OK) {
			count_lost(&q->counts, rc);
			continue;
		}
		bytes += m[got]->pkt_len;
		segs += m[got++]->nb_segs;
	}
	if (got > 0) {
		count(&q->counts.rx_packets, got);
		count(&q->counts.rx_bytes, bytes);
	}
	return got;
}

/* ---- sending ---- */

void kernel_tx_header(const struct rte_mbuf *m, struct virtio_net_hdr *v)
{
	uint16_t l4_off = (uint16_t)(m->l2_len + m->l3_len);
	const struct rte_tcp_hdr *tcp;

	memset(v, 0, sizeof(*v));
	if ((m->ol_flags & RTE_MBUF_F_TX_L4_MASK) != RTE_MBUF_F_TX_TCP_CKSUM)
		return;
	v->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	v->csum_start = l4_off;
	v->csum_offset = TCP_SUM_AT;
	if ((m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) == 0 ||
	    m->pkt_len <= (uint32_t)l4_off + m->l4_len + m->tso_segsz)
		return;
	tcp = rte_pktmbuf_mtod_offset(m, const struct rte_tcp_hdr *, l4_off);
	v->hdr_len = (uint16_t)(l4_off + m->l4_len);
	v->gso_size = m->tso_segsz;
	v->gso_type =
	        (m->ol_flags & RTE_MBUF_F_TX_IPV6) != 0 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
	if ((tcp->tcp_flags & RTE_TCP_CWR_FLAG) != 0)
		v->gso_type |= VIRTIO_NET_HDR_GSO_ECN;
}

/* Writes the messages of as many of the n frames as there is room for; returns how many. */
static uint16_t write_messages(struct kernel_queue *q, struct rte_mbuf *const *m, uint16_t n)
{
	uint16_t most = n < SL_PORT_BURST ? n : SL_PORT_BURST;
	uint32_t used = 0;
	uint16_t nb = 0;

	for (; nb < most; nb++) {
		struct msghdr *msg = &q->msg[nb].msg_hdr;

		if (m[nb]->nb_segs + 1u > KERNEL_TX_IOVECS - used)
			break;
		kernel_tx_header(m[nb], &q->vnet[nb]);
		msg->msg_iov = &q->iov[used];
		q->iov[used++] = (struct iovec){&q->vnet[nb], sizeof(q->vnet[nb])};
		for (struct rte_mbuf *s = m[nb]; s != NULL; s = s->next)
			q->iov[used++] = (struct iovec){rte_pktmbuf_mtod(s, void *), s->data_len};
		msg->msg_iovlen = (size_t)(&q->iov[used] - msg->msg_iov);
	}
	return nb;
}

/* The kernel has its own copies. */
static void sent(struct kernel_queue *q, struct rte_mbuf **m, uint16_t n)
{
	uint64_t bytes = 0;

	for (uint16_t i = 0; i < n; i++) {
		bytes += m[i]->pkt_len;
		rte_pktmbuf_free(m[i]);
	}
	count(&q->counts.tx_packets, n);
	count(&q->counts.tx_bytes, bytes);
}

static bool is_full(int error)
{
	return error == EAGAIN || error == ENOBUFS || error == ENOMEM;
}

/* A frame that is refused for another reason than room would be refused again: it goes, the next one is
 * tried. */
uint16_t kernel_tx(struct sl_port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n)
{
	struct kernel_queue *q = &p->kernel->queue[queue];
	uint16_t done = 0;

	while (done < n) {
		uint16_t nb = write_messages(q, m + done, (uint16_t)(n - done));
		int rc = sendmmsg(q->fd, q->msg, nb, MSG_DONTWAIT);

		if (rc > 0) {
			sent(q, m + done, (uint16_t)rc);
			done = (uint16_t)(done + rc);
			continue;
		}
		if (is_full(errno))
			break;
		count(&q->counts.tx_errors, 1);
		(void)sl_fail(SL_E_PORT_TX_REFUSED);
		rte_pktmbuf_free(m[done++]);
	}
	return done;
}
