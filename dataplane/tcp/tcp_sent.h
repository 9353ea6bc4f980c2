/*
 * What was sent and is not yet acknowledged: one entry for each packet, in the order of sequence numbers.
 * Each entry is in one of three states:
 *
 *   flying   counted in the pipe; on the list `flying`, in the order of transmission (what RACK walks)
 *   lost     not in the pipe; on the list `lost`, in the order of sequence numbers, waits to be sent again
 *   SACKed   the peer has it; neighbours that are SACKed are one entry
 *
 * so that an ACK costs what it tells that is new, whatever is in flight. An entry of several segments (TSO,
 * or cut smaller later) is split where the peer has only some of them. There are tcp_sent_max() entries at
 * most, whatever segments a peer makes us send and whatever it SACKs of them; they are counted as memory of
 * the connection.
 *
 * Where a SACK block lies is looked for from the last post in front of it. Posts are entries that a search
 * has marked on its way, where it met none for TCP_POSTS_APART: so each entry is walked over once, and from
 * then on a block that tells nothing costs about that many steps, wherever it lies and whatever was asked
 * before.
 */
#ifndef TCP_SENT_H
#define TCP_SENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct sl_tcp;
struct sl_tcp_conn;
struct tcp_piece;
struct tcp_seg;

enum tcp_sent_flags {
	TCP_SENT_SACKED = 1,
	TCP_SENT_LOST = 2,
	TCP_SENT_RXT = 4,      /* what flies is a retransmission */
	TCP_SENT_EVER_RXT = 8, /* it was sent more than once */
	TCP_SENT_FIN = 16,     /* the last sequence number is the FIN's */
	TCP_SENT_PROBE = 32,   /* larger than the MSS, to see whether it gets through */
	TCP_SENT_POST = 64,    /* it is among the posts */
};

struct tcp_sent {
	TAILQ_ENTRY(tcp_sent) order;
	TAILQ_ENTRY(tcp_sent) state;
	struct tcp_piece *piece; /* where the first byte lies; NULL: a FIN alone */
	uint64_t xmit_us;        /* of the last transmission */
	uint32_t seq, end;
	uint32_t nb_segs;
	uint16_t seg_bytes; /* payload of the segments that it went out in */
	uint8_t flags;
};
_Static_assert(sizeof(struct tcp_sent) <= 64, "an entry is a cache line");
TAILQ_HEAD(tcp_sent_list, tcp_sent);

struct tcp_block {
	uint32_t start, end;
};

#define TCP_POSTS 255U
#define TCP_POSTS_APART                                                                                      \
	64U /* entries from one to the next; more where half of TCP_POSTS would be too few                   \
	     */

/* There are some on a board only when a search on it went far. */
struct tcp_posts {
	uint32_t nb;
	struct tcp_sent *at[TCP_POSTS]; /* in the order of sequence numbers */
};
_Static_assert(sizeof(struct tcp_posts) <= 2048, "posts are small beside a board that has some");

struct tcp_board {
	struct tcp_sent_list all, flying;
	uint32_t nb; /* entries */
	uint32_t sacked_bytes, lost_bytes;
	/* From here on only when something is lost or SACKed. */
	uint32_t rxt_bytes; /* of flying retransmissions */
	struct tcp_sent_list lost;
	struct tcp_sent *high; /* the highest SACKed entry, or NULL */
	uint32_t sacked_segs;
	uint8_t nb_seen;
	struct tcp_block seen[4]; /* the last ACK's blocks */
};

/* What an ACK has told, collected on the way through it. */
struct tcp_acked {
	uint32_t prior_una;
	uint32_t acked, sacked; /* bytes newly acknowledged; newly SACKed */
	uint32_t delivered;     /* bytes that are with the peer now and were not, as far as we knew */
	uint32_t lost_before;   /* bytes ever found lost, when the ACK came */
	uint64_t first_us; /* when the oldest of the newly acknowledged was sent; 0: all were sent twice */
	uint64_t sack_first_us; /* the same for the newly SACKed */
	uint32_t rtt_us;        /* from what was sent once; 0: none */
	bool advanced;          /* SND.UNA moved */
	bool rxt_acked;         /* something that was sent twice was acknowledged */
	bool orig_delivered;    /* something was delivered that was sent once, before the recovery point */
	bool dup;               /* a duplicate ACK in the sense of RFC 5681 */
	bool dsack, dsack_tlp;  /* a D-SACK; one about the loss probe */
	bool ece;
	bool recovered; /* a recovery ended with it */
	bool cwnd_set;  /* and left the window where it belongs; after a timeout slow start goes on */
	bool has_ts;
	uint32_t ts_ecr;
};

void tcp_sent_init(struct sl_tcp_conn *c);
void tcp_sent_clear(struct sl_tcp_conn *c);
/* Enters what has just gone out, from seq to end; e is from the pool. */
void tcp_sent_add(struct sl_tcp_conn *c, struct tcp_sent *e, uint64_t now_us);
/* Entries that there may be. The head of the queue may be split beyond, so that it can always go again. */
uint32_t tcp_sent_max(const struct sl_tcp_conn *c);
/* Cuts e at seq; the second part follows it. NULL: no memory, or no further entry. */
struct tcp_sent *tcp_sent_split(struct sl_tcp_conn *c, struct tcp_sent *e, uint32_t seq);
/* The entry that seq lies in, looked for from `from` on, which is not behind it; NULL: it was not sent. */
struct tcp_sent *tcp_sent_find(struct sl_tcp_conn *c, struct tcp_sent *from, uint32_t seq);
/* All below `ack` is acknowledged. Call before the send queue lets the bytes go. */
void tcp_sent_ack(struct sl_tcp_conn *c, uint32_t ack, struct tcp_acked *a, uint64_t now_us);
/* Returns the entry that e is part of now. */
struct tcp_sent *tcp_sent_sacked(struct sl_tcp_conn *c, struct tcp_sent *e, struct tcp_acked *a,
                                 uint64_t now_us);
void tcp_sent_lost(struct sl_tcp_conn *c, struct tcp_sent *e);
/* It went out again. */
void tcp_sent_again(struct sl_tcp_conn *c, struct tcp_sent *e, uint64_t now_us);
/* What waits as lost was never lost: it flies on. Returns how many entries. */
uint32_t tcp_sent_unlose(struct sl_tcp_conn *c);
/* The peer has taken back all that it had SACKed. */
void tcp_sent_renege(struct sl_tcp_conn *c);
/* Bytes that the network may still hold. */
uint32_t tcp_pipe(const struct sl_tcp_conn *c);

#endif
