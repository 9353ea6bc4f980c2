/* What the files of this folder share. */
#ifndef SL_PORT_PRIV_H
#define SL_PORT_PRIV_H

#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_ring.h>
#include <rte_spinlock.h>

#include "impair.h"
#include "sl_fault.h"
#include "sl_port.h"

#define PORT_WORKERS_MAX   64
#define PORT_HANDOFF_SLOTS 2048 /* per worker; a power of two */
#define PORT_DESC_MAX      4096
#define PORT_CHAIN_SHARE   4   /* of the transmit ring that one chain may take */
#define PORT_TX_TRIES      16  /* of a burst that the device takes only in part */
#define PORT_CUT_HDR_MAX   448 /* Ethernet, VLAN, IPv6 with extension headers, TCP with options */
#define PORT_CLEAN_POLLS   16  /* idle polls behind the last packet sent before its buffer is asked back */

/* The ports that connections of ours come from; aligned to every size of block and of RSS table. */
#define PORT_PICK_FIRST   16384
#define PORT_PICK_COUNT   (65536 - PORT_PICK_FIRST)
#define PORT_PICK_TRIES   16 /* per worker, in software */
#define PORT_BLOCK_MIN    64 /* ports of a flow rule */
#define PORT_BLOCKS_EACH  8  /* per worker, at least, unless they get smaller than that */
#define PORT_RSS_KEY      40 /* bytes: what two IPv6 addresses and ports need */
#define PORT_RSS_INPUT    36
#define PORT_RSS_RETA_MIN 64 /* below, rte_thash finds no key whose sequence is long enough */
#define PORT_RSS_RETA_MAX 4096

struct rte_thash_ctx;
struct rte_thash_subtuple_helper;

struct port_rss {
	uint32_t table[2 * PORT_RSS_INPUT][16]; /* by half byte of the input */
	uint32_t reta_size;
	uint8_t key[PORT_RSS_KEY];
	struct rte_thash_ctx *ctx;
	struct rte_thash_subtuple_helper *help_v4, *help_v6;
};

/*
 * A kind of device. The calls have the thread of their sl_port_ namesakes; rx, tx, prepare and clean are the
 * worker's of the queue, or under its lock.
 */
struct port_dev_ops {
	/* Finds the device by p->name, chooses what of it is used (p->caps and what else sl_port says of the
	 * device) and readies its queues. 0, or port_refuse(). */
	int (*open)(struct sl_port *p, const struct sl_port_cfg *cfg, char *err, size_t cap);
	/* Packets from now on; p->mac is known. May find a better p->steering than in software. */
	int (*start)(struct sl_port *p, char *err, size_t cap);
	void (*close)(struct sl_port *p); /* however far it came */
	uint16_t (*rx)(struct sl_port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n);
	/* How many of the first were taken. */
	uint16_t (*tx)(struct sl_port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n);
	/* How many of the first could be sent; only where p->tx_prepares. */
	uint16_t (*prepare)(struct sl_port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n);
	/* Gives sent buffers back; false: it cannot. Only where p->tx_cleanup. */
	bool (*clean)(struct sl_port *p, uint16_t queue);
	void (*multicast)(struct sl_port *p);
	bool (*link)(const struct sl_port *p);
	int (*stats)(const struct sl_port *p, struct sl_port_stats *out);
};
extern const struct port_dev_ops port_ethdev;
extern const struct port_dev_ops port_kernel;

struct kernel_dev;

/* What only one worker touches. */
struct port_worker {
	uint32_t idle_polls; /* since the last packet sent; PORT_CLEAN_POLLS: nothing to ask back */
	uint16_t took;       /* see sl_port_took() */
	uint16_t next_dead;  /* the dead worker that is looked after first */
} __rte_cache_aligned;

/* How a worker that rests is woken. `resting` belongs to whoever sets it to false, and rings if that was not
 * the worker itself. */
struct port_rest {
	_Atomic bool resting;
	int queue_fd; /* readable while packets wait in its queue; -1: none, or it has no queue */
	int bell_fd;  /* an eventfd; -1: one worker, nobody hands anything over */
} __rte_cache_aligned;

struct sl_port {
	const struct port_dev_ops *dev;
	struct kernel_dev *kernel; /* of port_kernel; NULL: none yet */
	uint16_t id;               /* of port_ethdev, as the next one */
	bool started;
	int socket; /* of the memory near the device */
	uint16_t nb_workers;
	bool tx_shared; /* fewer transmit queues than workers: each queue has a lock */
	struct sl_port_caps caps;
	bool tx_prepares;     /* the driver has to see packets before it is given them */
	bool tx_cleanup;      /* the driver gives sent buffers back when asked */
	bool tso_sum_has_len; /* of a large segment's pseudo-header */
	uint16_t seg_max;     /* segments of a chain that the device sends, */
	uint16_t tso_seg_max; /* and that it cuts */
	uint64_t hash_key[2];
	enum sl_port_steering steering;
	_Atomic uint64_t dead; /* workers */
	uint16_t block_size;   /* with rules */
	struct port_rss *rss;  /* with RSS */
	uint64_t rss_hashes;   /* that the device computes, RTE_ETH_RSS_* */
	struct rte_flow **rules;
	uint32_t nb_rules;
	char name[RTE_ETH_NAME_MAX_LEN];
	struct rte_ether_addr mac;
	struct rte_mempool *pool[PORT_WORKERS_MAX];
	struct rte_ring *handoff[PORT_WORKERS_MAX];
	rte_spinlock_t tx_lock[PORT_WORKERS_MAX];
	struct port_impair *impair; /* NULL: none */
	bool can_wait;              /* each queue has a descriptor */
	struct port_rest rest[PORT_WORKERS_MAX];
	struct port_worker w[PORT_WORKERS_MAX];
};

/* Where the headers of a packet are. Everything that is said here was found inside the first segment. */
struct port_hdr {
	bool v6;
	bool fragment; /* a part of a packet */
	bool first;    /* no part, or the first one */
	uint8_t proto; /* of what lies at l4_off */
	uint16_t l3_off;
	uint16_t l4_off; /* behind IPv4 options or IPv6 extension headers */
	uint16_t l4_len; /* by the IP header; within the packet */
};

static inline struct rte_ipv4_hdr *port_v4(const struct rte_mbuf *m, const struct port_hdr *h)
{
	return rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, h->l3_off);
}

static inline struct rte_ipv6_hdr *port_v6(const struct rte_mbuf *m, const struct port_hdr *h)
{
	return rte_pktmbuf_mtod_offset(m, struct rte_ipv6_hdr *, h->l3_off);
}

/* Writes why the port cannot be opened. Returns SL_E_PORT_OPEN. */
__attribute__((format(printf, 3, 4))) int port_refuse(char *err, size_t cap, const char *fmt, ...);
/* Of a frame on the wire, at most. */
static inline uint32_t port_frame_bytes(uint16_t mtu)
{
	return (uint32_t)mtu + RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN + RTE_VLAN_HLEN;
}
/* What the smallest of the pools' buffers hold behind their headroom. */
uint32_t port_buffer_room(const struct sl_port *p);
/* The interface's name of "kernel:NAME"; NULL: the device is another. */
const char *port_kernel_name(const char *device);
/* False: no IP, or its headers do not fit or lie about their length. */
bool port_parse(const struct rte_mbuf *m, struct port_hdr *h);
/*
 * The ones' complement sum over the pseudo-header and the TCP segment, its checksum field included; a segment
 * with a correct checksum gives 0xffff. 0 when the segment is not within the packet: never a correct one.
 */
uint16_t port_tcp_sum(const struct rte_mbuf *m, const struct port_hdr *h);
/* The owner that a table or hash names; when it is dead, one of the living by `h`, a number that spreads what
 * it owned: the same one for as long as that one lives. */
uint16_t port_living(const struct sl_port *p, uint16_t owner, uint64_t h);
static inline uint64_t port_dead(const struct sl_port *p)
{
	return atomic_load_explicit(&p->dead, memory_order_relaxed);
}
/* The worker that a received packet belongs to. */
uint16_t port_steer(const struct sl_port *p, const struct rte_mbuf *m);
/* Says in ol_flags whether the checksums are good where the device has not. */
void port_verify(struct rte_mbuf *m);
/* A packet that is being cut: its headers, and how far it has come. */
struct port_cut {
	struct port_hdr h;
	bool first;
	uint8_t flags; /* TCP's */
	uint16_t hdr_len;
	uint32_t seq;
	uint32_t at;   /* of the next byte in m */
	uint32_t left; /* bytes of payload */
	const struct rte_mbuf *m;
	uint8_t hdr[PORT_CUT_HDR_MAX];
};

/* Starts to cut a packet to send at its tso_segsz; false: it is none that can be cut. m stays the caller's.
 */
bool port_cut_start(struct port_cut *c, struct rte_mbuf *m, const struct port_hdr *h);
/* The next part; NULL: c->left is 0, or no buffer holds it. */
struct rte_mbuf *port_cut_next(struct port_cut *c, struct rte_mempool *pool);
/*
 * A received chain whose checksums were judged: made flat if it fits a buffer, left as it is if it is a TCP
 * segment with its headers in the first buffer. False: freed and counted.
 */
bool port_rx_fix(struct rte_mbuf *m);
/* Readies a packet for this device: checksums, one segment. Returns the mbuf to send, or NULL: freed and
 * counted. */
struct rte_mbuf *port_tx_fix(const struct sl_port *p, uint16_t worker, struct rte_mbuf *m);
/* The bells of the workers, none yet: before anything can fail; then made, 0 or SL_E_SYS; then closed. */
void port_bells_init(struct sl_port *p);
int port_bells_make(struct sl_port *p);
void port_bells_free(struct sl_port *p);
/* Something was put in the worker's hand-off ring. */
void port_ring_bell(struct sl_port *p, uint16_t worker);
/* Asks the driver for the buffers that it has sent. */
void port_tx_clean(struct sl_port *p, uint16_t worker);
/* Sends what the impairment has held long enough. */
void port_tx_due(struct sl_port *p, uint16_t worker);

/* rss.c */
struct port_rss *port_rss_new(uint16_t port_id, uint32_t reta_size);
void port_rss_free(struct port_rss *r);
void port_rss_table(struct port_rss *r, const uint8_t key[PORT_RSS_KEY]);
uint32_t port_rss_hash(const struct port_rss *r, const struct sl_endpoint *src,
                       const struct sl_endpoint *dst);
uint16_t port_rss_owner(const struct sl_port *p, const struct sl_endpoint *src,
                        const struct sl_endpoint *dst);
uint16_t port_rss_pick(const struct sl_port *p, uint16_t worker, const struct sl_endpoint *local,
                       const struct sl_endpoint *remote);
/* Gives the started device the key and the table; false: it is not known to use them. */
bool port_rss_apply(uint16_t id, struct port_rss *r, uint16_t nb_queues, uint64_t hashes);

/* rules.c */
uint16_t port_block_size(uint16_t nb_workers);
uint16_t port_block_owner(const struct sl_port *p, uint16_t port);
uint16_t port_block_pick(const struct sl_port *p, uint16_t worker, uint16_t guess);
/* False: the device does not take them all; it has none then. */
bool port_rules_make(struct sl_port *p);
void port_rules_free(struct sl_port *p);

#endif
