/* What the files of this folder share. IPv4 addresses are in host order in here, in network order at the
 * edges. */
#ifndef SL_NET_PRIV_H
#define SL_NET_PRIV_H

#include <rte_ether.h>
#include <rte_ip.h>

#include "neigh.h"
#include "sl_counter.h"
#include "sl_net.h"

#define NET_TX_QUEUE     64 /* packets per port that wait for the flush; full: sent at once */
#define NET_WAIT_SLOTS   64 /* neighbours per worker that packets wait for */
#define NET_WAIT_PACKETS 16 /* packets that wait for one neighbour */
#define NET_WAIT_POLL_US                                                                                     \
	1000 /* how often a worker without ARP looks whether its neighbours have resolved                    \
	      */
#define NET_TTL           64
#define NET_ICMP_RATE     1000 /* echo replies per second */
#define NET_ICMP_BURST    200
#define NET_IP_MTU_MIN    68       /* RFC 791 */
#define NET_ARP_ANNOUNCE  2        /* RFC 5227: ANNOUNCE_NUM */
#define NET_ANNOUNCE_US   2000000  /* RFC 5227: ANNOUNCE_INTERVAL */
#define NET_ARP_DEFEND_US 10000000 /* RFC 5227: DEFEND_INTERVAL */
#define NET_HDR_MAX       (RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN + sizeof(struct rte_ipv4_hdr))

struct net_if {
	struct sl_port *port;
	uint32_t addr;
	uint32_t mask;
	uint8_t bits;
	uint8_t port_idx;
	uint16_t vlan;
	uint16_t mtu;
	uint16_t link; /* the first interface of the same port and VLAN: one broadcast domain */
	struct rte_ether_addr mac;
};

struct net_route {
	uint32_t dst;
	uint32_t mask;
	uint32_t via; /* 0: on the link */
	uint8_t bits;
	uint8_t ifidx;
};

struct sl_net_shared {
	struct net_if ifs[SL_NET_PORTS_MAX];
	struct sl_port *ports[SL_NET_PORTS_MAX];
	uint16_t port_if[SL_NET_PORTS_MAX];                            /* the port's first interface */
	struct net_route routes[SL_NET_ROUTES_MAX + SL_NET_PORTS_MAX]; /* longest prefix first */
	uint16_t nb_ifs;
	uint16_t nb_ports;
	uint16_t nb_routes;
	struct neigh_table neigh;
};

/* Packets of this worker that wait for a neighbour; the oldest is at `head`. nb 0: the slot is free. */
struct net_wait {
	uint32_t ip;
	uint8_t ifidx;
	uint8_t head;
	uint8_t nb;
	struct rte_mbuf *m[NET_WAIT_PACKETS];
};

struct net_txq {
	struct rte_mbuf *m[NET_TX_QUEUE];
	uint16_t nb;
};

/* What only worker 0 has: the state of our own addresses in ARP. */
struct net_arp_own {
	uint64_t announce_us; /* when the next announcement is due */
	uint64_t defend_us;   /* no defence before this time */
	uint8_t announced;
};

/* Segments of the burst at hand on their way up. */
struct net_up {
	struct rte_mbuf *m[SL_PORT_BURST];
	struct sl_net_segment seg[SL_PORT_BURST];
	uint16_t nb;
};

struct sl_net {
	struct sl_net_shared *s;
	struct sl_net_cfg cfg;
	struct net_txq txq[SL_NET_PORTS_MAX]; /* by port */
	struct net_up up;
	struct net_wait wait[NET_WAIT_SLOTS];
	uint16_t nb_wait;
	uint64_t wait_look_us;   /* when the waiting packets are looked at without a change of the table */
	uint32_t neigh_seen;     /* the table's change count at the last look */
	uint64_t icmp_tokens_us; /* token bucket in time: full when it is NET_ICMP_BURST tokens behind now */
	uint64_t arp_scan_us;    /* when the neighbour table is to be looked through again */
	struct net_arp_own own[SL_NET_PORTS_MAX]; /* by interface */
};

static inline uint32_t net_ip_of(const struct sl_addr *a)
{
	return sl_get_be32(a->b);
}

static inline struct sl_addr net_addr_of(uint32_t ip)
{
	uint8_t b[4];

	sl_put_be32(b, ip);
	return sl_addr_v4(b);
}

/* Drops a packet: counts the reason, frees, returns the error. */
static inline int net_drop(struct rte_mbuf *m, int err)
{
	rte_pktmbuf_free(m);
	return sl_fail(err);
}

/* route.c */
int net_routes_build(struct sl_net_shared *s, const struct sl_net_route_cfg *routes, uint16_t nb, char *err,
                     size_t cap);
bool net_ip_is_ours(const struct sl_net_shared *s, uint32_t ip);
/* NULL: none. *next_hop is the neighbour to send to. */
const struct net_route *net_route_find(const struct sl_net_shared *s, uint32_t dst, uint32_t *next_hop);
/* The interface on the same link that has this address of ours; NULL: none. */
const struct net_if *net_local_if(const struct sl_net_shared *s, const struct net_if *on, uint32_t ip);
/* An address that a single station can have: not 0/8, loopback, multicast, class E or broadcast. */
bool net_ip_is_unicast(uint32_t ip);
/* The subnet's own or broadcast address (RFC 922; subnets of 31 and 32 bits have none, RFC 3021). */
bool net_ip_is_subnet_end(const struct net_if *i, uint32_t ip);

/* ether.c */
void net_ether_input(struct sl_net *net, uint16_t ifidx, struct rte_mbuf *m, uint64_t now_us);
/* Adds the Ethernet header and queues. Takes m; 0 or < 0. */
int net_ether_output(struct sl_net *net, const struct net_if *i, struct rte_mbuf *m, const uint8_t dst[6],
                     uint16_t type);

/* ip.c */
void net_ip_input(struct sl_net *net, const struct net_if *i, struct rte_mbuf *m, uint64_t now_us);
void net_ip_flush(struct sl_net *net, uint64_t now_us);

/* icmp.c: the mbuf's data starts at the ICMP header. */
void net_icmp_input(struct sl_net *net, uint32_t src, uint32_t dst, struct rte_mbuf *m, uint64_t now_us);

/* arp.c */
void net_arp_input(struct sl_net *net, const struct net_if *i, struct rte_mbuf *m, const uint8_t eth_src[6],
                   bool to_us, uint64_t now_us);
/* Timers of the neighbour table and of our own addresses; requests of other workers. Worker 0. Returns the
 * next time. */
uint64_t net_arp_tick(struct sl_net *net, uint64_t now_us);
/* Requests of other workers only. Worker 0. */
void net_arp_serve(struct sl_net *net, uint64_t now_us);
/* Starts to resolve. Worker 0 does it at once, another worker asks it to. */
void net_arp_resolve(struct sl_net *net, uint8_t ifidx, uint32_t ip, uint64_t now_us);

/* wait.c */
/* Keeps m until the neighbour is known. Takes m; 0 or < 0. */
int net_wait_add(struct sl_net *net, uint8_t ifidx, uint32_t ip, struct rte_mbuf *m, uint64_t now_us);
/* Sends what has a neighbour now, drops what will get none. */
void net_wait_look(struct sl_net *net, uint64_t now_us);
void net_wait_free(struct sl_net *net);

#endif
