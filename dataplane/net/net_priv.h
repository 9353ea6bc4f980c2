/* What the files of this folder share. Addresses are struct net_ip in here, struct sl_addr at the edges. */
#ifndef SL_NET_PRIV_H
#define SL_NET_PRIV_H

#include <rte_ether.h>
#include <rte_ip.h>

#include "neigh.h"
#include "net_ip.h"
#include "reass.h"
#include "sl_counter.h"
#include "sl_fault.h"
#include "sl_net.h"

#define NET_LINKS_MAX    SL_NET_IFS_MAX
#define NET_ADDRS_MAX    (SL_NET_IFS_MAX + NET_LINKS_MAX) /* and a link-local one on each link */
#define NET_TX_QUEUE     64   /* packets per port that wait for the flush; full: sent at once */
#define NET_LATE_US      5000 /* a worker that polls after so long was away: it reads more than one burst, */
#define NET_LATE_BURSTS  64   /* of each port so many at most */
#define NET_WAIT_SLOTS   64   /* neighbours per worker that packets wait for */
#define NET_WAIT_PACKETS 16   /* packets that wait for one neighbour */
#define NET_WAIT_POLL_US                                                                                     \
	1000 /* how often a worker without ARP looks whether its neighbours have resolved                    \
	      */
#define NET_TTL        64
#define NET_HOPS_NDP   255  /* RFC 4861: what comes with less has passed a router */
#define NET_ECHO_RATE  1000 /* echo replies per second and worker */
#define NET_ECHO_BURST 200
#define NET_ERROR_RATE                                                                                       \
	100 /* ICMP errors of ours per second and worker (RFC 1812 4.3.2.8, RFC 4443 2.4 f)                  \
	     */
#define NET_ERROR_BURST    50
#define NET_IP4_MTU_MIN    68   /* RFC 791 */
#define NET_IP6_MTU_MIN    1280 /* RFC 8200 */
#define NET_IP4_LEN        ((uint16_t)sizeof(struct rte_ipv4_hdr))
#define NET_IP6_LEN        ((uint16_t)sizeof(struct rte_ipv6_hdr))
#define NET_EXT6_BYTES_MAX 256 /* of all extension headers of a packet: as the port counts them */
#define NET_ECN_MASK       0x03
#define NET_TCP_HDR_MIN    20
#define NET_ETHER_MAX      (RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN)

/* Neighbours (RFC 4861 10). */
#define NEIGH_PROBES         3        /* of each kind */
#define NEIGH_PROBE_US       1000000  /* between two of them */
#define NEIGH_REACHABLE_US   30000000 /* times 0.5 to 1.5 */
#define NEIGH_DELAY_US       5000000  /* from the first use of a stale one to the first question */
#define NEIGH_FORGET_US      60000000 /* stale and not used for so long */
#define NEIGH_FAILED_US      3000000  /* nothing is sent, and nobody asked, for so long after a failure */
#define NEIGH_SCAN_US        100000   /* the table is looked through so often */
#define NEIGH_INCOMPLETE_MAX 512      /* asked for at a time: what a scan of our subnets can start */
#define NEIGH_PATIENCE_US    50000    /* for an answer, when others want the place */

/* Addresses of our own: probed, announced, defended (RFC 5227, RFC 4862). */
#define NET_ACD_PROBES    3        /* ARP; RFC 5227 has 1 to 2 s between them, this is a wire */
#define NET_ACD_PROBE_US  250000   /* also from the last one until the address is used */
#define NET_DAD_PROBES    1        /* RFC 4862: DupAddrDetectTransmits */
#define NET_DAD_PROBE_US  1000000  /* RFC 4861: RETRANS_TIMER */
#define NET_ANNOUNCEMENTS 2        /* RFC 5227: ANNOUNCE_NUM */
#define NET_ANNOUNCE_US   2000000  /* RFC 5227: ANNOUNCE_INTERVAL */
#define NET_DEFEND_US     10000000 /* RFC 5227: DEFEND_INTERVAL */
#define NET_CONFLICT_US   60000000 /* until an address that was taken is tried again */
#define NET_LINK_WAIT_US  10000000 /* probes wait for the port's link, but not longer */

/* A port and a VLAN: one broadcast domain. */
struct net_link {
	struct sl_port *port;
	uint8_t port_idx;
	bool ip6;
	uint16_t vlan;
	uint16_t mtu;
	struct rte_ether_addr mac;
};

/* An address of ours. */
struct net_if {
	struct net_ip addr;
	struct net_ip mask;
	uint8_t bits; /* of the 128 */
	uint8_t link;
	_Atomic uint8_t state; /* enum sl_net_if_state; worker 0 writes */
};

struct net_route {
	struct net_ip dst;
	struct net_ip mask;
	struct net_ip via; /* zero: on the link */
	uint8_t bits;
	uint8_t link;
	uint8_t ifidx; /* the address of ours that IPv4 sends from */
	bool ip4;
};

struct sl_net_shared {
	struct net_if ifs[NET_ADDRS_MAX]; /* the configured ones first, then the link-local ones */
	struct net_link links[NET_LINKS_MAX];
	struct sl_port *ports[SL_NET_PORTS_MAX];
	struct net_route routes[SL_NET_ROUTES_MAX + SL_NET_IFS_MAX]; /* longest prefix first */
	uint16_t nb_ifs;
	uint16_t nb_links;
	uint16_t nb_ports;
	uint16_t nb_routes;
	uint64_t flow_key; /* of the flow label */
	struct neigh_table neigh;
};

/* Packets of this worker that wait for a neighbour; the oldest is at `head`. nb 0: the slot is free. */
struct net_wait {
	struct neigh_key key;
	uint8_t head;
	uint8_t nb;
	uint64_t since_us;
	struct rte_mbuf *m[NET_WAIT_PACKETS];
};

struct net_txq {
	struct rte_mbuf *m[NET_TX_QUEUE];
	uint16_t nb;
};

/* What only worker 0 has: the life of an address of ours on its link. */
struct net_own {
	uint64_t due_us;    /* next probe, announcement, or look at the link */
	uint64_t defend_us; /* no defence before this time */
	uint64_t begun_us;  /* when it was first to be probed; 0: not yet */
	uint8_t probes;
	uint8_t announced;
};

/*
 * Token bucket kept as the time at which it was last full minus what was taken: one token is 1 / rate
 * seconds, at most `burst` of them are saved up.
 */
struct net_bucket {
	uint64_t taken_us;
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
	bool leads; /* writes the neighbour table, owns our addresses: worker 0, or the lowest alive */
	struct net_txq txq[SL_NET_PORTS_MAX]; /* by port */
	struct net_up up;
	struct net_wait wait[NET_WAIT_SLOTS];
	uint16_t nb_wait;
	uint64_t polled_us;
	uint64_t wait_look_us; /* when the waiting packets are looked at without a change of the table */
	uint32_t neigh_seen;   /* the table's change count at the last look */
	struct net_bucket echo;
	struct net_bucket errors;
	struct net_reass reass;
	/* Worker 0's own. */
	uint64_t scan_us; /* when the neighbour table is to be looked through again */
	uint64_t link_us; /* when the links are to be looked at again */
	uint64_t random;
	bool link_up[NET_LINKS_MAX];
	struct net_own own[NET_ADDRS_MAX];
};

enum net_cast {
	NET_UNICAST,
	NET_MULTICAST,
	NET_BROADCAST,
};

/* What is known of a received packet on its way up. */
struct net_pkt {
	struct net_ip src, dst;
	const struct net_if *on; /* the address of ours that it is for; NULL: a group */
	const uint8_t *l3;       /* the IP header: what an error of ours quotes */
	uint32_t l3_len;         /* how much of the packet is there in one piece */
	enum net_cast cast;      /* of the frame */
	uint8_t link;
	uint8_t proto;
	uint8_t ttl;
	uint8_t ecn;
	bool claims_ours; /* its source is an address of ours: only NDP may hear that */
	bool fragment;    /* a part of a datagram, or it had a fragment header */
	uint8_t eth_src[6];
};

/* Drops a packet: counts the reason, frees, returns the error. */
static inline int net_drop(struct rte_mbuf *m, int err)
{
	rte_pktmbuf_free(m);
	return sl_fail(err);
}

static inline bool net_if_ready(const struct net_if *i)
{
	return atomic_load_explicit(&i->state, memory_order_acquire) == SL_NET_IF_READY;
}

/* net.c */
bool net_bucket_take(struct net_bucket *b, uint64_t rate, uint64_t burst, uint64_t now_us);
uint64_t net_random(struct sl_net *net);

/* route.c */
int net_routes_build(struct sl_net_shared *s, const struct sl_net_route_cfg *routes, uint16_t nb, char *err,
                     size_t cap);
/* The row of an address of ours in whatever state; NULL: not ours. A link-local one may be there for each
 * link: the first. */
const struct net_if *net_if_of(const struct sl_net_shared *s, const struct net_ip *ip);
/* The same, on this link. */
const struct net_if *net_if_on(const struct sl_net_shared *s, uint8_t link, const struct net_ip *ip);
/* An address of this link whose subnet has ip, NULL: none. */
const struct net_if *net_if_for(const struct sl_net_shared *s, uint8_t link, const struct net_ip *ip);
/* The same of those that are ready: what a neighbour is spoken to from. */
const struct net_if *net_if_ready_for(const struct sl_net_shared *s, uint8_t link, const struct net_ip *ip);
/* NULL: none. *next_hop is the neighbour to send to. */
const struct net_route *net_route_find(const struct sl_net_shared *s, const struct net_ip *dst,
                                       struct net_ip *next_hop);
/* The address to send from (RFC 6724 in the small), NULL: none is ready. */
const struct net_if *net_source_for(const struct sl_net_shared *s, const struct net_route *r,
                                    const struct net_ip *dst);
/* An address that a single station can have: no group, loopback, class E, broadcast, 0/8 or ::/96. */
bool net_ip_is_unicast(const struct net_ip *ip);
/* The subnet's own or broadcast address (RFC 922; subnets of 31 and 32 bits have none, RFC 3021). IPv6 has
 * none. */
bool net_ip_is_subnet_end(const struct net_if *i, const struct net_ip *ip);
/* 0, or SL_E_NET_IP_SRC: who sends that from this link forges. */
int net_source_check(const struct sl_net_shared *s, uint8_t link, const struct net_ip *src);

/* ether.c */
void net_ether_input(struct sl_net *net, uint8_t port_idx, struct rte_mbuf *m, uint64_t now_us);
/* Adds the Ethernet header and queues. Takes m; 0 or < 0. */
int net_ether_output(struct sl_net *net, uint8_t link, struct rte_mbuf *m, const uint8_t dst[6],
                     uint16_t type);

/* ip.c: what both families share. */
/* Cuts off what is behind the packet; p->l3_len is the packet's whole length, then what the first segment has
 * of it. 0 or < 0. */
int net_ip_trim(struct net_pkt *p, struct rte_mbuf *m);
/* The L4 part: m's data starts behind the IP headers. */
void net_ip_deliver(struct sl_net *net, const struct net_pkt *p, struct rte_mbuf *m, uint64_t now_us);
void net_ip_flush(struct sl_net *net, uint64_t now_us);
/* Sends an IP payload from this address of ours. Takes m; 0 or < 0. */
int net_ip_output(struct sl_net *net, const struct net_if *from, const struct net_ip *dst, uint8_t proto,
                  uint8_t ecn, struct rte_mbuf *m, uint64_t now_us);
/* Where packets to an address go: 0, or SL_E_NET_NO_ROUTE. */
struct net_hop {
	uint8_t link;
	struct net_ip next;
	const struct net_route *route; /* NULL: link-local */
};
int net_hop_find(const struct sl_net_shared *s, const struct net_if *from, const struct net_ip *dst,
                 struct net_hop *out);

/* ip4.c, ip6.c: m's data starts at the IP header; p says link, frame and eth_src. */
void net_ip4_input(struct sl_net *net, struct net_pkt *p, struct rte_mbuf *m, uint64_t now_us);
void net_ip6_input(struct sl_net *net, struct net_pkt *p, struct rte_mbuf *m, uint64_t now_us);
struct net_ip6_out {
	struct net_ip src, dst;
	uint32_t flow;
	uint8_t proto, hops, ecn;
};
/* Puts the header in front. False: no room. */
bool net_ip6_header(struct rte_mbuf *m, const struct net_ip6_out *o);

/*
 * ext6.c: the extension headers of a packet (RFC 8200 4). Walks from the IPv6 header at m's data to the
 * upper layer or to a fragment header. `at` is where the next one starts, `proto` what it is, `proto_at`
 * where that is said. 0, or why the packet is refused; then `report` is the ICMPv6 error that it deserves.
 */
#define NET_IP6_REPORT_NONE 0
enum net_ext6_rank { /* a header must have a higher rank than the one in front of it */
	NET_EXT6_NONE = 0,
	NET_EXT6_HOP,
	NET_EXT6_DEST_FIRST, /* for the stations of a routing header */
	NET_EXT6_ROUTING,
	NET_EXT6_FRAGMENT,
	NET_EXT6_DEST_LAST,
};
struct net_ext6 {
	uint32_t at;
	uint32_t proto_at;
	uint8_t proto;
	uint8_t rank;        /* enum net_ext6_rank of the last header */
	bool even_group;     /* the error is also sent about packets to a group */
	uint8_t report_type; /* NET_IP6_REPORT_NONE: none */
	uint8_t report_code;
	uint32_t report_arg; /* the pointer */
};
int net_ext6_walk(const uint8_t *ip, uint32_t len, struct net_ext6 *x);

/* A received mbuf will be sent: what was said of the packet goes, what says whose its buffer is stays. */
static inline void net_mbuf_reuse(struct rte_mbuf *m)
{
	m->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
	m->tx_offload = 0;
}

/* icmp.c, icmp6.c: the mbuf's data starts at the ICMP header. */
void net_icmp4_input(struct sl_net *net, const struct net_pkt *p, struct rte_mbuf *m, uint64_t now_us);
void net_icmp6_input(struct sl_net *net, const struct net_pkt *p, struct rte_mbuf *m, uint64_t now_us);
/* An error that was read goes to the worker whose connection it quotes, in most cases this one. Takes m. */
void net_icmp_tell(struct sl_net *net, const struct net_pkt *p, const struct sl_net_icmp_error *e,
                   struct rte_mbuf *m, uint64_t now_us);
/* An error about a packet that was received, where the rules allow one. The packet stays with the caller. */
void net_icmp4_error(struct sl_net *net, const struct net_pkt *p, uint8_t type, uint8_t code,
                     uint64_t now_us);
void net_icmp6_error(struct sl_net *net, const struct net_pkt *p, uint8_t type, uint8_t code, uint32_t arg,
                     bool even_group, uint64_t now_us);
/* The checksum over pseudo-header and message: 0 over a correct one; to fill in when the field is zero.
 * Network order. */
uint16_t net_icmp6_sum(const struct net_ip *src, const struct net_ip *dst, const void *icmp, uint16_t len);

/* reass.c */
struct net_frag {
	uint32_t id;
	uint16_t off;
	uint8_t proto;
	bool more;
	const uint8_t *data;
	uint32_t len;
};
/*
 * Takes a copy of a fragment. 0: *whole is the datagram's payload and p tells of it, or NULL: more is to
 * come; < 0: why it is dropped.
 */
int net_reass_add(struct sl_net *net, struct net_pkt *p, const struct net_frag *f, struct rte_mbuf **whole,
                  uint64_t now_us);
/* Gives a whole payload to its owner, this worker or another: of an ICMP error that shows when it has been
 * read (net_icmp_tell()). Takes m. */
void net_reass_deliver(struct sl_net *net, const struct net_pkt *p, struct rte_mbuf *m, uint64_t now_us);
/* True: the connection, seen from the peer, is another worker's, who gets the packet. Then m is taken, its
 * data starts behind the IP headers. */
bool net_reass_hand_over(struct sl_net *net, const struct net_pkt *p, const struct sl_endpoint *src,
                         const struct sl_endpoint *dst, struct rte_mbuf *m);
uint64_t net_reass_tick(struct sl_net *net, uint64_t now_us);
void net_reass_free(struct sl_net *net);

/* arp.c */
void net_arp_input(struct sl_net *net, const struct net_pkt *p, struct rte_mbuf *m, uint64_t now_us);
/* mac NULL: everybody is asked. */
void net_arp_ask(struct sl_net *net, const struct neigh_key *key, const uint8_t *mac);
void net_arp_probe(struct sl_net *net, const struct net_if *i);
void net_arp_announce(struct sl_net *net, const struct net_if *i);

/* ndp.c: the message at icmp, checksum verified. */
void net_ndp_input(struct sl_net *net, const struct net_pkt *p, const uint8_t *icmp, uint32_t len,
                   uint64_t now_us);
void net_ndp_ask(struct sl_net *net, const struct neigh_key *key, const uint8_t *mac);
void net_ndp_probe(struct sl_net *net, const struct net_if *i);
void net_ndp_announce(struct sl_net *net, const struct net_if *i);

/* own.c: addresses of ours. Worker 0. */
/* Another station has the address that is being probed. */
void net_own_conflict(struct sl_net *net, const struct net_if *i, const uint8_t mac[6], uint64_t now_us);
/* Another station uses an address of ours. */
void net_own_defend(struct sl_net *net, const struct net_if *i, uint64_t now_us);
uint64_t net_own_tick(struct sl_net *net, uint64_t now_us);

/* nud.c: neighbours of both families. */
enum nud_heard {
	NUD_REQUEST, /* the sender of a question to us */
	NUD_REPLY,   /* the answer to a question of ours */
	NUD_HINT,    /* an announcement */
};
enum nud_verdict {
	NUD_OK,
	NUD_UNASKED, /* says something that we did not ask for: ignored */
	NUD_DOUBTED, /* another address than the one of a live neighbour: that one is asked */
};
/* Starts to resolve. Worker 0 does it at once, another worker asks it to. */
void net_nud_resolve(struct sl_net *net, const struct neigh_key *key, uint64_t now_us);
/* What a station says of itself. mac NULL (IPv6): it says that it is there. Worker 0. */
enum nud_verdict net_nud_heard(struct sl_net *net, const struct neigh_key *key, const uint8_t *mac,
                               enum nud_heard how, uint64_t now_us);
/* A neighbour that we know may have another address now. Worker 0. */
enum nud_verdict net_nud_overheard(struct sl_net *net, const struct neigh_key *key, const uint8_t mac[6],
                                   uint64_t now_us);
/* Requests of other workers. Worker 0. */
void net_nud_serve(struct sl_net *net, uint64_t now_us);
/* Timers of the table. Worker 0. Returns the next time. */
uint64_t net_nud_tick(struct sl_net *net, uint64_t now_us);

/* wait.c */
/* Keeps m until the neighbour is known. Takes m; 0 or < 0. */
int net_wait_add(struct sl_net *net, const struct neigh_key *key, struct rte_mbuf *m, uint64_t now_us);
/* Sends what has a neighbour now, drops what will get none. */
void net_wait_look(struct sl_net *net, uint64_t now_us);
void net_wait_free(struct sl_net *net);

#endif
