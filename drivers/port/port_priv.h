/* What the files of this folder share. */
#ifndef SL_PORT_PRIV_H
#define SL_PORT_PRIV_H

#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_ring.h>
#include <rte_spinlock.h>

#include "sl_port.h"

#define PORT_WORKERS_MAX   64
#define PORT_HANDOFF_SLOTS 2048 /* per worker; a power of two */
#define PORT_DESC_MAX      4096
#define PORT_TX_TRIES      16 /* of a burst that the device takes only in part */

struct sl_port {
	uint16_t id;
	uint16_t nb_workers;
	bool started;
	bool tx_shared; /* fewer transmit queues than workers: each queue has a lock */
	struct sl_port_caps caps;
	uint64_t tx_offloads; /* as set up, RTE_ETH_TX_OFFLOAD_* */
	uint64_t hash_key[2];
	char name[RTE_ETH_NAME_MAX_LEN];
	struct rte_ether_addr mac;
	struct rte_mempool *pool[PORT_WORKERS_MAX];
	struct rte_ring *handoff[PORT_WORKERS_MAX];
	rte_spinlock_t tx_lock[PORT_WORKERS_MAX];
};

/* Where the headers of a received IPv4 packet are. Everything that is said here was found inside the first
 * segment. */
struct port_ip {
	struct rte_ipv4_hdr *ip;
	uint16_t l3_off;
	uint16_t l3_len;
	uint16_t ip_len; /* the header's total length; within the packet */
	bool first;      /* not a fragment, or the first one */
	bool fragment;
};

/* False: no IPv4, or its header does not fit or lies about its length. */
bool port_parse(const struct rte_mbuf *m, struct port_ip *out);
/*
 * The ones' complement sum over the pseudo-header and the TCP segment at l4_off, its checksum field included;
 * a segment with a correct checksum gives 0xffff. 0 when the segment is not within the packet: never a
 * correct one.
 */
uint16_t port_tcp_sum(const struct rte_mbuf *m, const struct rte_ipv4_hdr *ip, uint32_t l4_off);
/* The worker that a received packet belongs to. */
uint16_t port_steer(const struct sl_port *p, const struct rte_mbuf *m);
/* Says in ol_flags whether the checksums are good where the device has not. */
void port_verify(struct rte_mbuf *m);
/* Readies a packet for this device: checksums, one segment. Returns the mbuf to send, or NULL: freed and
 * counted. */
struct rte_mbuf *port_tx_fix(const struct sl_port *p, uint16_t worker, struct rte_mbuf *m);

#endif
