/*
 * Ethernet, ARP, NDP, IPv4, IPv6, ICMP: one instance per worker over the shared ports. Packets come in from
 * sl_port_rx(); TCP segments go up through a callback; TCP sends through sl_net_output().
 *
 * Addresses are fixed: no DHCP, no router advertisements, no redirects. An address is probed for at start and
 * used when nobody has answered, after NET_ACD_PROBES * NET_ACD_PROBE_US (IPv4, 0.75 s) or NET_DAD_PROBE_US
 * (IPv6, 1 s) of net_priv.h; one that another station has is not used, and tried again once a minute.
 *
 * ARP (RFC 826, RFC 5227) and NDP (RFC 4861, RFC 4862): only worker 0 receives them (sl_net_dead() names
 * another). It answers for our
 * addresses, keeps the neighbour table, and passes changes to the other workers' instances through a table
 * with one writer (worker 0) and relaxed readers (seqlock per entry); a worker that needs a resolution asks
 * worker 0 by a flag in that table. Packets that wait for a neighbour are kept, bounded per neighbour, then
 * dropped oldest first.
 */
#ifndef SL_NET_H
#define SL_NET_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include "sl_addr.h"
#include "sl_err.h"
#include "sl_port.h"

#define SL_NET_PORTS_MAX  16
#define SL_NET_IFS_MAX    64 /* addresses in all */
#define SL_NET_ROUTES_MAX 64

/*
 * An address of ours on a port and VLAN. Rows with the same port and VLAN are one link with several addresses
 * of either family. A link with an IPv6 address gets a link-local one by itself.
 */
struct sl_net_if_cfg {
	struct sl_port *port;
	struct sl_prefix address; /* ours, with the subnet's length; no link-local one */
	uint16_t vlan;            /* 802.1Q id, 0: untagged */
};

struct sl_net_route_cfg {
	struct sl_prefix dst;
	struct sl_addr via;
	uint16_t interface; /* 1 + row of the link that a link-local `via` is on; 0: the only one with IPv6 */
};

struct sl_net_shared; /* addresses, routes and the neighbour table, one for all workers */
struct sl_net;        /* a worker's instance */

/* A TCP segment that came in: the mbuf's data starts at the TCP header and ends with the segment (IP padding
 * cut off). */
struct sl_net_segment {
	struct sl_addr src, dst;
	uint8_t ecn;    /* the two ECN bits of the IP header (RFC 3168) */
	uint8_t ttl;    /* or hop limit */
	uint16_t ifidx; /* the row of dst; link-local ones come behind the configured ones */
};

/* The TCP segments of a burst in the order of their arrival, 1 to SL_PORT_BURST; takes the mbufs. */
typedef void (*sl_net_tcp_fn)(void *ctx, struct rte_mbuf **m, const struct sl_net_segment *seg, uint16_t n,
                              uint64_t now_us);
/* What an ICMP error means, the same for both families. */
enum sl_net_error {
	SL_NET_ERROR_UNREACHABLE, /* network or host: may pass (RFC 1122 4.2.3.9) */
	SL_NET_ERROR_REFUSED,     /* protocol, port, or forbidden by an administrator */
	SL_NET_ERROR_TOO_BIG,     /* the path takes packets of up to `mtu` bytes; 0: it does not say (IPv4) */
	SL_NET_ERROR_EXPIRED,     /* TTL or hop limit, or reassembly */
	SL_NET_ERROR_PARAMETER,   /* a field of our header was not understood */
};

/* An ICMP error about a TCP segment of ours (type and code, the quoted header's addresses, ports, sequence
 * number). */
struct sl_net_icmp_error {
	struct sl_addr src, dst; /* of the quoted packet: src is ours */
	uint16_t sport, dport;
	uint32_t seq;
	uint8_t type, code; /* as in the message of that family */
	uint16_t mtu;       /* IPv6: at least 1280 */
	enum sl_net_error error;
};
typedef void (*sl_net_icmp_fn)(void *ctx, const struct sl_net_icmp_error *e, uint64_t now_us);

struct sl_net_cfg {
	uint16_t worker;
	struct rte_mempool *pool;
	sl_net_tcp_fn tcp_input;
	sl_net_icmp_fn icmp_error;
	void *ctx; /* of both */
};

int sl_net_shared_new(const struct sl_net_if_cfg *ifs, uint16_t nb_ifs, const struct sl_net_route_cfg *routes,
                      uint16_t nb_routes, struct sl_net_shared **out, char *err, size_t err_cap);
void sl_net_shared_free(struct sl_net_shared *s);
enum sl_net_if_state {
	SL_NET_IF_TENTATIVE = 0, /* is it free? Not used yet */
	SL_NET_IF_READY,
	SL_NET_IF_CONFLICT, /* another station has it: not used */
};
/* How an address of ours fares; ifidx is its row. Any thread. */
enum sl_net_if_state sl_net_if_state(const struct sl_net_shared *s, uint16_t ifidx);
int sl_net_new(struct sl_net_shared *shared, const struct sl_net_cfg *cfg, struct sl_net **out);
void sl_net_free(struct sl_net *net);

/*
 * Workers that have died, a set bit each (sl_port_dead() is called for all ports). The lowest worker alive
 * does what worker 0 did: ARP, NDP, fragments. What that one knew of neighbours and addresses is in the
 * shared table; our addresses are announced again. Every worker's own thread.
 */
void sl_net_dead(struct sl_net *net, uint64_t workers);

/* One poll: receives a burst from every port, handles it; more than one where the last poll was long ago.
 * Returns the number of packets, those that were handed to other workers among them. */
uint32_t sl_net_poll(struct sl_net *net, uint64_t now_us);
/* Handles packets as if received on interface ifidx; takes them. What the unit tests and fuzz targets call.
 */
void sl_net_input(struct sl_net *net, uint16_t ifidx, struct rte_mbuf **m, uint16_t n, uint64_t now_us);

/*
 * Sends an IP payload: the mbuf's data starts at the TCP header, with at least 64 bytes of headroom; adds IP
 * and Ethernet, resolves the neighbour, queues. ecn: the two bits. TCP's checksum is filled in on the way,
 * ICMP's is the caller's. A packet with RTE_MBUF_F_TX_TCP_SEG may be larger than
 * the MTU when its tso_segsz is not. The first segment must be the caller's alone and hold the TCP header:
 * headers and checksums are written there; further segments may be shared. Takes the mbuf in every case. 0
 * queued or waiting for its neighbour; < 0 dropped (SL_E_NET_NO_ROUTE, SL_E_NET_MTU, SL_E_NET_NO_NEIGHBOUR
 * ...).
 */
int sl_net_output(struct sl_net *net, struct rte_mbuf *m, const struct sl_addr *src,
                  const struct sl_addr *dst, uint8_t proto, uint8_t ecn, uint64_t now_us);
/* Sends what is queued; once per poll loop. */
void sl_net_flush(struct sl_net *net);
/* Timers (ages, probes, waiting packets). Returns the next time it wants to run. */
uint64_t sl_net_tick(struct sl_net *net, uint64_t now_us);

/* What a connection must know of the way to its peer. */
struct sl_net_path {
	struct sl_addr src; /* ours */
	uint16_t mtu;       /* of the interface */
	bool tso;           /* the port segments: a packet with tso_segsz may be larger than the MTU */
	bool multi_seg;     /* the port sends chains; else a chain costs a copy */
	uint16_t tso_segs; /* segments that it makes of a packet at most; 0: no limit but the packet's size */
	const struct sl_port *port;
};

/* 0, or SL_E_NET_NO_ROUTE. */
int sl_net_path(const struct sl_net *net, const struct sl_addr *dst, struct sl_net_path *out);
/* False while an address of ours is still being probed for, at start. */
bool sl_net_ready(const struct sl_net *net);
/* Descriptors that are readable while packets wait for this worker (sl_port_wait_fds()); how many, or 0: some
 * port must be polled. */
uint16_t sl_net_wait_fds(const struct sl_net *net, int *fds, uint16_t cap);
/* sl_port_rest() and sl_port_wake() of all ports. False: some port has a packet, do not wait; wake all the
 * same. */
bool sl_net_rest(struct sl_net *net);
void sl_net_wake(struct sl_net *net);
/* True when addr is one of ours. */
bool sl_net_is_local(const struct sl_net *net, const struct sl_addr *addr);

#endif
