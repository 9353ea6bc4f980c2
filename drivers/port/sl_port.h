/*
 * Ports: any DPDK ethdev, or an interface of the kernel, behind one small interface. A port is opened with
 * one queue pair per worker where the device has them. What the device cannot do (checksums, RSS) is done
 * here in software, so that nobody above asks which device it is. The mbuf is the packet type of the whole
 * data plane.
 */
#ifndef SL_PORT_H
#define SL_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_ether.h>
#include <rte_mbuf.h>

#include "sl_addr.h"
#include "sl_err.h"
#include "sl_span.h"

#define SL_PORT_BURST 32

struct sl_port;

/*
 * A bad network, for tests and the lab: what happens to packets in one direction, each with a chance of its
 * own in parts per million. A delay keeps the order of the packets; the ones picked for it are overtaken by
 * those behind them.
 */
struct sl_port_impair_dir {
	uint32_t drop_ppm, duplicate_ppm, reorder_ppm, corrupt_ppm /* one bit of the frame is turned */;
	uint32_t delay_us,
	        jitter_us;   /* each packet waits delay_us and 0 to jitter_us more; a minute at most */
	uint32_t reorder_us; /* how much longer a packet that is overtaken waits, 0: 1000 */
};

/*
 * The same packets with the same seed meet the same fate. A port with this uses no offload of its device, so
 * that everything acts on packets as they are on the wire. What is lost is counted: SL_E_PORT_IMPAIRED,
 * SL_E_PORT_IMPAIR_FULL, SL_E_PORT_CUT.
 */
struct sl_port_impair {
	uint64_t seed;
	struct sl_port_impair_dir rx, tx;
	uint32_t queue_packets; /* that wait, per worker and direction; 0: 4096, at most 65536 */
	/* The link is down from cut_after_ms after the start for cut_for_ms (0: never), and again each
	 * cut_every_ms (0: once). */
	uint32_t cut_after_ms, cut_for_ms, cut_every_ms;
};

struct sl_port_cfg {
	/* "kernel:IFNAME", an interface of the kernel that is up; or the name of an ethdev ("0000:03:00.0",
	 * "net_memif0"), made by EAL arguments before. */
	const char *device;
	uint16_t nb_workers;
	uint16_t rx_desc, tx_desc;           /* 0: the device's own default, at most 4096 */
	uint16_t mtu;                        /* 0: leave as it is */
	bool software_checksum;              /* do not use the device's checksum offloads */
	const struct sl_port_impair *impair; /* NULL: none; copied */
};

struct sl_port_caps {
	bool tx_ip_csum, tx_tcp_csum; /* the device does it */
	bool rx_ip_csum, rx_tcp_csum;
	bool tso; /* the device cuts large segments: only with tx_tcp_csum and multi_seg, for both families */
	bool lro, scatter; /* the device may receive packets in several buffers; see sl_port_rx() */
	bool multi_seg, rss;
	bool rx_intr; /* not used in this version, always false */
	uint16_t nb_rx_queues,
	        nb_tx_queues; /* as set up; fewer than nb_workers: queues are shared out, see below */
	uint16_t mtu;
};

/* What can be known of a device before EAL starts: 0, or SL_E_PORT_OPEN with the reason in err. Any thread.
 */
int sl_port_check(const char *device, char *err, size_t err_cap);
/* Opens and starts. 0, or SL_E_PORT_OPEN with the reason in err. Main thread, before workers start. */
int sl_port_open(const struct sl_port_cfg *cfg, struct rte_mempool *const *pools /* per worker */,
                 struct sl_port **out, char *err, size_t err_cap);
void sl_port_close(struct sl_port *p);
const struct sl_port_caps *sl_port_caps(const struct sl_port *p);
struct rte_ether_addr sl_port_mac(const struct sl_port *p);
const char *sl_port_name(const struct sl_port *p);
/* The size of the buffers that a pool needs for frames of this MTU where the device does not scatter them. */
uint16_t sl_port_buf_bytes(uint16_t mtu);

/* What the device has counted; 0 where it does not. Our own drops are in the error table's counters. */
struct sl_port_stats {
	uint64_t rx_packets, rx_bytes;
	uint64_t rx_missed;    /* its queue was full: the workers are too slow */
	uint64_t rx_errors;    /* damaged on the wire */
	uint64_t rx_no_buffer; /* the pool was empty */
	uint64_t tx_packets, tx_bytes, tx_errors;
};
/* 0, or SL_E_SYS. Management thread. */
int sl_port_stats(const struct sl_port *p, struct sl_port_stats *out);
/* Asks the device for frames to groups too (IPv6 needs them). A device that cannot choose gets them anyway.
 */
void sl_port_multicast(struct sl_port *p);
/* Link is up. Any thread. */
bool sl_port_link(const struct sl_port *p);

/*
 * Receives up to n packets for this worker. Only packets that belong to it come back: those that the device
 * put in this worker's queue but that belong to another (no RSS, or RSS that does not suit) are handed to the
 * owner's ring, and those that others handed to this worker are in the burst. Owner of TCP packets:
 * sl_port_owner() of their 4-tuple; of ICMP and ICMPv6 errors: the owner of the connection that they
 * quote; of everything else (ARP, NDP, fragments, other ICMP): worker 0, or the lowest alive. Where the
 * device has fewer queues than there are workers, the first workers poll the queues.
 *
 * On return ol_flags say for each TCP packet of IPv4 and IPv6 whether its checksums are good
 * (RTE_MBUF_F_RX_IP_CKSUM_GOOD/BAD, _L4_CKSUM_GOOD/BAD), verified in software where the device did not.
 *
 * A packet is one mbuf segment, or it is a TCP segment whose headers are in the first one, its data in all,
 * with nothing behind it: what the device received in several buffers (LRO, frames larger than a buffer) is
 * made flat where it fits; what is neither then is dropped (SL_E_PORT_RX_CHAIN). Worker thread.
 *
 * 0 is "none for this worker", which is not "nothing came": it may have handed over a whole burst, with
 * packets of its own behind that. sl_port_took() is how many the last sl_port_rx() found for whomever, those
 * that it dropped among them; 0: now there is nothing. Worker thread.
 */
uint16_t sl_port_rx(struct sl_port *p, uint16_t worker, struct rte_mbuf **m, uint16_t n);
uint16_t sl_port_took(const struct sl_port *p, uint16_t worker);

/*
 * Sends; takes all mbufs. What the device does not take at once is tried again a bounded number of times,
 * then freed and counted (SL_E_NET_TX_FULL): TCP sends it again. A packet that wants checksums carries the
 * usual ol_flags (RTE_MBUF_F_TX_IPV4 | _IP_CKSUM or _IPV6, | _TCP_CKSUM, l2_len, l3_len, l4_len) with no
 * pseudo-header sum filled in; done here or by the device. Multi-segment packets are linearised where the
 * device cannot send them. Worker thread.
 */
void sl_port_tx(struct sl_port *p, uint16_t worker, struct rte_mbuf **m, uint16_t n);

/*
 * Gives a whole frame (Ethernet header in front) to the worker that owns it: it comes out of that worker's
 * sl_port_rx(), with its checksums verified. For packets whose owner shows only when their fragments are put
 * together. Takes m; a full ring drops it (SL_E_NET_HANDOFF_FULL). Worker thread.
 */
void sl_port_handoff(struct sl_port *p, uint16_t worker, struct rte_mbuf *m);

/*
 * Rest: a worker that has nothing to do waits in poll(2) for the descriptors that tell of its packets. One is
 * readable while packets wait in its receive queue, one when another worker has handed it a packet; neither
 * is read or closed by the caller. sl_port_wait_fds() returns how many there are, or 0: this port must be
 * polled, as all ethdevs must. Any thread, they do not change.
 *
 * sl_port_rest() comes before the wait: from now on a packet that is handed over rings. False: one is there
 * already, do not wait. sl_port_wake() ends it, after sl_port_rest() of either result. Worker thread.
 */
#define SL_PORT_WAIT_FDS 2
uint16_t sl_port_wait_fds(const struct sl_port *p, uint16_t worker, int fds[SL_PORT_WAIT_FDS]);
bool sl_port_rest(struct sl_port *p, uint16_t worker);
void sl_port_wake(struct sl_port *p, uint16_t worker);

/* Cuts the link of a port that was opened with an impairment, or mends it. Any thread. */
void sl_port_cut(struct sl_port *p, bool cut);

/* How the packets of a connection come to the worker that owns it, chosen at the start by what the port can
 * do. In each case a packet that arrives elsewhere is handed over: the rest is speed. */
enum sl_port_steering {
	SL_PORT_STEER_ONE,   /* there is one worker */
	SL_PORT_STEER_RSS,   /* the device's own hash, whose key and table are ours */
	SL_PORT_STEER_RULES, /* flow rules for blocks of our ports; other connections as in software */
	SL_PORT_STEER_SOFT,  /* a hash in software, and hand-off */
};
enum sl_port_steering sl_port_steering(const struct sl_port *p);

/*
 * The worker that owns a TCP 4-tuple, from the view of a packet that the gateway receives (src is the peer's
 * end); ports in host order. Any thread.
 */
uint16_t sl_port_owner(const struct sl_port *p, const struct sl_endpoint *src, const struct sl_endpoint *dst);

/*
 * Workers that have died, a set bit for each: more with every call, none comes back. What they owned is owned
 * by the others from now on, each connection by one of them; what the others own stays theirs. The lowest
 * worker alive polls the queues of the dead ones too, empties their rings, and has what worker 0 has. Any
 * thread; each call of the functions above and below sees it or does not.
 */
void sl_port_dead(struct sl_port *p, uint64_t workers);

/*
 * A port for a connection of ours from local to remote whose replies come to this worker: near local->port,
 * which is a guess in 16384 to 65535, and in that range; 0: none. Other guesses give other ports, and all
 * guesses together nearly all that the worker has. Whether it is free is not known here. Any thread.
 */
uint16_t sl_port_pick(const struct sl_port *p, uint16_t worker, const struct sl_endpoint *local,
                      const struct sl_endpoint *remote);

#endif
