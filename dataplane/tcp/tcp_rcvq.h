/*
 * What a connection has received: mbufs, in order and out of order. Payload stays where the port put it;
 * short payload, and any payload while the port's pool runs low, is copied into mbufs of the stack's own, one
 * behind the other, so that neither a peer of small segments nor a user that does not read can pin a port's
 * pool.
 *
 * The bytes out of order are runs: pieces without a gap between them. A byte that is there is never replaced.
 *
 * Memory is counted by true size (the buffers, not the bytes in them) for the connection and for the stack.
 */
#ifndef TCP_RCVQ_H
#define TCP_RCVQ_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#define TCP_PINNED_SHARE                                                                                     \
	4U                 /* when more than one in so many mbufs of a pool is held, all payload is copied; */
#define TCP_FULL_SHARE  2U /* from here on nothing of it is held */
#define TCP_OWN_SHARE   4U /* of cfg.pool that receive queues may take */
#define TCP_TIGHT_PARTS 3U /* of 8 of a pool: from here on nothing more is held behind a gap */
#define TCP_POOL_SAMPLE UINT64_C(1000) /* microseconds between two looks at a pool */
#define TCP_POOL_BITS   7U
#define TCP_POOLS       (1U << TCP_POOL_BITS) /* that are looked at: two of each of 64 workers */
#define TCP_OOO_FEW     32U                   /* runs of a connection, */
#define TCP_OOO_RUNS    1024U                 /* with a block of its own for them */
#define TCP_SACK_RECENT 4U
/* True size that a connection may hold by reference, in receive buffers: full segments of 1,460 bytes
 * take 1.6. */
#define TCP_RCVQ_TRUE_SHARE 2U

struct sl_tcp;
struct sl_tcp_conn;
struct tcp_seg;

/* Bytes [off, off + len) of the data of one mbuf segment, with one reference to it. */
struct tcp_rpiece {
	struct tcp_rpiece *next;
	struct rte_mbuf *m;
	uint32_t off, len;
	bool own; /* made here: further bytes may be written behind */
};

struct tcp_rlist {
	struct tcp_rpiece *first, *last;
};

struct tcp_run {
	uint32_t start, end;
	struct tcp_rlist list;
};

/*
 * Pooled: held only while there is something out of order. As each run has at least one buffer, which is
 * counted, the block for many is a small part of what they hold.
 */
struct tcp_ooo {
	uint32_t nb, bytes;
	uint32_t nb_recent;
	uint32_t recent[TCP_SACK_RECENT]; /* where segments came last, for the order of SACK blocks */
	struct tcp_run
	        *run; /* by sequence number, apart from each other, all behind RCV.NXT: few, or a block */
	struct tcp_run few[TCP_OOO_FEW];
};

struct tcp_rcvq {
	struct tcp_rlist list; /* in order */
	uint32_t bytes;        /* in order */
	uint32_t true_bytes;   /* in order and not */
};

/* How full a pool that packets come from is. */
struct tcp_rx_pool {
	const struct rte_mempool *mp;
	uint64_t sampled_us;
	uint32_t floor; /* the least that was ever seen in use: what the port's rings hold */
	bool pressed, tight, full;
};

/*
 * Takes the payload of a segment that starts at RCV.NXT, and what was waiting for it. Returns the sequence
 * number up to which everything is there now; short of the segment's end when memory is.
 */
uint32_t tcp_rcvq_in_order(struct sl_tcp_conn *c, struct tcp_seg *s);
/* Takes what is new of a segment behind RCV.NXT. False: nothing, for want of memory or places. */
bool tcp_rcvq_out_of_order(struct sl_tcp_conn *c, const struct tcp_seg *s);
/* The first n bytes are done with; n is at most q->bytes. */
void tcp_rcvq_drop(struct sl_tcp_conn *c, uint32_t n);
/* Gives up what is out of order. */
void tcp_rcvq_cut(struct sl_tcp_conn *c);
void tcp_rcvq_clear(struct sl_tcp_conn *c);
/* The run that holds seq, or NULL. */
const struct tcp_run *tcp_rcvq_run(const struct sl_tcp_conn *c, uint32_t seq);
/* Frees a chain whose segments others may hold: each is on its own from now on. */
void tcp_chain_free(struct rte_mbuf *m);

#endif
