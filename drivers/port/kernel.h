/*
 * Kernel interfaces: packet sockets (packet(7)) that know the offloads of the kernel. A port "kernel:IFNAME"
 * has one socket for each worker. In front of each frame goes a struct virtio_net_hdr (PACKET_VNET_HDR):
 * which checksum is still to be filled in, and at which size a large segment is to be cut. kernel.c opens and
 * closes, kernel_io.c moves frames.
 *
 * Received frames of wire size come through a ring that is shared with the kernel (PACKET_RX_RING,
 * TPACKET_V2): whether there are any costs no system call. What is larger than a slot (segments that the
 * sender's stack has not cut, or that the kernel has put together) waits whole in the socket's receive queue
 * as well (PACKET_COPY_THRESH), in the order of the slots that have its beginning, and is read from there
 * into a chain of mbufs: one copy, and slots can be small and many. Sent frames go by sendmmsg(2), a burst at
 * a time, out of the mbufs as they lie: one copy.
 */
#ifndef SL_PORT_KERNEL_H
#define SL_PORT_KERNEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include <linux/virtio_net.h>

#include "sl_port.h"

#define KERNEL_PREFIX     "kernel:"
#define KERNEL_RING_BYTES (4u << 20) /* of a queue's ring, of slots of these sizes: */
#define KERNEL_SLOT_MIN   2048u
#define KERNEL_SLOT_MAX   16384u
#define KERNEL_BLOCK      65536u /* what the kernel allocates in one piece */
/* Large frames that wait for the worker, and frames that wait for the interface; the kernel counts its own
 * overhead too. A burst of the largest frames is half of it. */
#define KERNEL_RCVBUF    (16 << 20)
#define KERNEL_SNDBUF    (16 << 20)
#define KERNEL_FRAME_MAX (UINT16_MAX + RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN)
#define KERNEL_CHAIN_MAX 64   /* mbufs of a received frame */
#define KERNEL_RX_SEGS   512  /* and of a burst, but for its last frame */
#define KERNEL_TX_SEGS   128  /* mbufs of a frame to send */
#define KERNEL_TX_IOVECS 1024 /* of a burst */

/* What has come and gone, as sl_port_stats. Each is written by one thread at a time. */
struct kernel_counts {
	_Atomic uint64_t rx_packets, rx_bytes, rx_errors, rx_no_buffer, tx_packets, tx_bytes, tx_errors;
};

struct kernel_queue {
	int fd;
	uint8_t *ring; /* slots one behind the other */
	uint32_t nb_slots, slot_bytes;
	uint32_t slot; /* the next one */
	bool wire;     /* frames must be as on the wire: no offloads */
	struct kernel_counts counts;
	/* A burst that is sent. */
	struct mmsghdr msg[SL_PORT_BURST];
	struct virtio_net_hdr vnet[SL_PORT_BURST];
	struct iovec iov[KERNEL_TX_IOVECS];
} __rte_cache_aligned;

struct kernel_dev {
	uint16_t nb_queues;
	uint64_t missed; /* the kernel forgets how many when asked: management thread */
	struct kernel_queue queue[];
};

/* What the header in front of a received frame of len bytes says: the flags of its mbuf. 0, or the error that
 * the frame is dropped with. */
int kernel_rx_flags(const struct virtio_net_hdr *v, uint32_t len, bool wire, uint64_t *ol_flags);
/* The header of a frame to send, from its mbuf's flags and lengths. */
void kernel_tx_header(const struct rte_mbuf *m, struct virtio_net_hdr *v);
uint16_t kernel_rx(struct sl_port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n);
uint16_t kernel_tx(struct sl_port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n);

#endif
