/*
 * What the files of this folder share. Reading order: tcp_input.c (RFC 9293, 3.10.7), tcp_ack.c, tcp_reass.c,
 * tcp_output.c, tcp_timer.c; the rest are their tools.
 *
 * Life of a connection: conn_new() -> hashed, timers -> conn_detach() (off the hash table and the wheel; what
 * the user may still read stays) -> released by the user and detached: on the list of the dead -> freed by
 * conn_reap() at the next call from outside. Nothing is freed in the middle of a call, so a callback can
 * never leave a dangling pointer.
 */
#ifndef TCP_PRIV_H
#define TCP_PRIV_H

#include <sys/queue.h>

#include <rte_prefetch.h>
#include <rte_tcp.h>

#include "sl_counter.h"
#include "sl_tcp.h"
#include "tcp_rcvq.h"
#include "tcp_sent.h"
#include "tcp_seq.h"
#include "tcp_sndq.h"
#include "tcp_syn.h"
#include "tcp_trace.h"

/* Limits and constants. Times are in microseconds unless the name says otherwise. */
#define TCP_MS                UINT64_C(1000)
#define TCP_S                 UINT64_C(1000000)
#define TCP_RTO_INIT          TCP_S       /* RFC 6298 (2.1) */
#define TCP_RTO_INIT_SYN_LOST (3 * TCP_S) /* RFC 6298 (5.7) */
#define TCP_RTO_MIN           (200 * TCP_MS)
#define TCP_RTO_MAX           (60 * TCP_S)
#define TCP_SYN_RETRIES       6               /* 127 s in all */
#define TCP_RTX_RETRIES       12              /* R2 of RFC 9293: 5 minutes at the smallest RTO */
#define TCP_RATE_PAUSE        (1000 * TCP_MS) /* a delivery rate over more than this says nothing */
#define TCP_DELACK            (40 * TCP_MS)
#define TCP_DELACK_MORE       TCP_MS /* the same for a segment without PSH */
#define TCP_DELACK_SEGMENTS   2
#define TCP_QUICKACK_SEGMENTS 16U    /* acknowledged at once when a connection is new, */
#define TCP_QUICKACK_LOSS     100U   /* and behind one that came out of order: the peer's window is small */
#define TCP_ACK_AGAIN         2U     /* a peer that had more to say and fell silent is told again so often, */
#define TCP_ACK_AGAIN_US      TCP_MS /* first after this time, which doubles */
#define TCP_TIME_WAIT_SPAN    (60 * TCP_S)
#define TCP_ORPHAN_IDLE       (60 * TCP_S)  /* a released connection without progress, FIN_WAIT_2 among it */
#define TCP_ORPHAN_MAX        (600 * TCP_S) /* a released connection in all */
#define TCP_PAWS_MAX_AGE      (24 * 24 * 3600 * TCP_S)
#define TCP_PAWS_SLACK        8U /* ticks that a timestamp may be older than TS.Recent: see paws_good() */
#define TCP_STARVED_RETRY     TCP_MS
#define TCP_CHALLENGE_MAX     10 /* challenge ACKs of a connection in TCP_CHALLENGE_SPAN */
#define TCP_CHALLENGE_SPAN    TCP_S
#define TCP_DUPTHRESH         3
#define TCP_MIN_RTT_SPAN      (60 * TCP_S) /* the smallest round-trip time is that of one to two of these */
#define TCP_REO_NEAR_STEP     64U          /* us that each D-SACK adds on a short path, */
#define TCP_REO_NEAR_MAX      2000U /* us up to which its window for reordering may exceed a round trip */
#define TCP_REO_PERSIST       16    /* recoveries that a larger reordering window lasts (RFC 8985) */
#define TCP_TLP_ACK_DELAY     (200 * TCP_MS) /* what a peer may wait with the ACK of a lone segment */
#define TCP_TLP_MIN           TCP_MS
#define TCP_TLP_AGAIN_MAX     (TCP_RTO_MIN / 8) /* probes no later than this go in recovery too, */
#define TCP_TLP_MAX           3U                /* and so many without an answer, each after twice the time */
#define TCP_RENEGE_WAIT       (10U * 1000)      /* us: a peer seems to have dropped what it had SACKed */
#define TCP_SENT_MIN          64U  /* small segments that may be in flight with the smallest window, */
#define TCP_SENT_FACTOR       4U   /* and per full segment of the window; */
#define TCP_SENT_BYTES        512U /* of the largest send buffer there is one packet at most in flight */
#define TCP_SENT_RUNS         20U  /* of their merge sort */
#define TCP_IW_SEGMENTS       10
#define TCP_MSS_DEFAULT       536 /* the peer sent no MSS option */
#define TCP_MSS_DEFAULT_V6    1220
#define TCP_MSS_MIN           48  /* the smallest the peer can make us use */
#define TCP_PMTU_MIN          552 /* ICMP cannot lower the path MTU below this */
#define TCP_WND_SHIFT_MAX     14
#define TCP_BUF_DEFAULT       (256U * 1024)
#define TCP_RX_BUF_GROWN      (6U * 1024 * 1024) /* up to which buffers grow, unless told otherwise */
#define TCP_TX_BUF_GROWN      (4U * 1024 * 1024)
#define TCP_TUNE_MEM_SHARE    4U          /* of the free memory that one receive buffer may grow to */
#define TCP_TUNE_SPAN_MIN     1000U       /* us: shorter round trips are measured several at a time */
#define TCP_TUNE_RTT_MAX      (4 * TCP_S) /* a longer round trip is none */
#define TCP_BUF_MIN           512U
#define TCP_BUF_MAX           (64U * 1024 * 1024)
#define TCP_TOTAL_DEFAULT     (UINT64_C(1) << 30)
#define TCP_POOL_SLAB         64U  /* objects of a pool taken from the heap at a time, */
#define TCP_RUNS_SLAB         4U   /* and of blocks of 2 and of 24 KiB */
#define TCP_COPY_BELOW        256U /* payload that is copied rather than referenced */
#define TCP_PIN_FACTOR        2U   /* buffers that a send queue may pin by reference, in tx_buf_bytes */
#define TCP_TX_SEGS_MAX       8U   /* pieces of a segment that goes out by reference */
#define TCP_TSO_SEGS_MAX      32U  /* of a super-segment */
#define TCP_TSO_BYTES_MAX     (UINT16_MAX - 40U - TCP_HDR_MAX) /* IPv6's header counted */
#define TCP_CONN_SLAB         32U
#define TCP_LINE              64U   /* of the cache */
#define TCP_CONN_BYTES        1536U /* a connection without buffers: two of them and a relay in 4 KiB */
#define TCP_CONNS_MAX         (1U << 22)
#define TCP_INDEX_MASK        ((1U << 24) - 1) /* of a connection's id */
#define TCP_HOLD_MSS          3U               /* a held flow keeps at least two segments open, */
#define TCP_HOLD_EXTRA        (256U * 1024)    /* until this much came over the receive buffer */
#define TCP_WND_STEP_MAX      (128U * 1024)
#define TCP_WND_AGAIN         5U /* a window that opens again is told so often, unless data comes, */
#define TCP_WND_AGAIN_US      (200 * TCP_MS) /* first after this time, which doubles */
#define TCP_BACKLOG_DEFAULT   128U
#define TCP_LISTEN_BUCKETS    64U
#define TCP_PORT_FIRST        16384U
#define TCP_PORT_COUNT        (65536U - TCP_PORT_FIRST)
#define TCP_PORT_COUNTERS     256U   /* RFC 6056, algorithm 4 */
#define TCP_PORT_TRIES        256U   /* of one connect: */
#define TCP_PORT_ROW          16U    /* so many one behind the other, */
#define TCP_PORT_STRIDE       30377U /* then so far apart: the golden section, and prime to TCP_PORT_COUNT */
#define TCP_KEEP_INTVL_S      10
#define TCP_KEEP_PROBES       6
#define TCP_HDR_MAX           60U
#define TCP_ECN_FLAGS         (RTE_TCP_ECE_FLAG | RTE_TCP_CWR_FLAG)
#define TCP_ECN_ECT0          2   /* in the IP header (RFC 3168) */
#define TCP_ECN_CE            3   /* the mark in the IP header (RFC 3168) */
#define TCP_BURST             32U /* segments that are worked on together */
#define TCP_BURST_PLACES      64U
#define TCP_CONN_HOT_LINES    2U /* of a connection: what each segment that comes is judged and taken by, */
#define TCP_CONN_SEND_LINES   5U /* and with them what sending takes */
#define TCP_BUCKET_PLACES     5U /* of the table of connections */
#define TCP_WHEEL_LEVELS      4
#define TCP_WHEEL_SLOTS       64

enum tcp_state {
	TCP_CLOSED,
	TCP_SYN_SENT,
	TCP_SYN_RCVD,
	TCP_ESTABLISHED,
	TCP_FIN_WAIT_1,
	TCP_FIN_WAIT_2,
	TCP_CLOSE_WAIT,
	TCP_CLOSING,
	TCP_LAST_ACK,
	TCP_TIME_WAIT,
};

enum tcp_ca_state {
	TCP_CA_OPEN,
	TCP_CA_CWR,      /* the window is being reduced because of ECN */
	TCP_CA_RECOVERY, /* fast recovery */
	TCP_CA_LOSS,     /* after a retransmission timeout */
};

enum tcp_timer_id {
	TCP_TMR_RTX,  /* retransmission, or persist when nothing is in flight */
	TCP_TMR_LOSS, /* enum tcp_loss_timer */
	TCP_TMR_DELACK,
	TCP_TMR_KEEP,
	TCP_TMR_LIFE,  /* a released connection's end */
	TCP_TMR_RESEQ, /* while it runs, gaps in what came are not told to the peer */
	TCP_TMR_PACE,  /* new bytes may go again */
	TCP_TMR_COUNT,
};

enum tcp_loss_timer {
	TCP_LOSS_NONE,
	TCP_LOSS_REO, /* time for reordering */
	TCP_LOSS_TLP, /* a loss probe */
};

/* Sequence numbers [start, end). */
struct tcp_range {
	uint32_t start, end;
};

struct tcp_cubic {
	uint64_t epoch_us; /* 0: no epoch */
	uint32_t w_max;    /* bytes */
	uint32_t origin;   /* bytes: the plateau */
	uint32_t k_ms;
	uint32_t w_est;               /* bytes: what Reno would have */
	uint32_t w_est_acc, cwnd_acc; /* parts smaller than a byte times the window */
	uint32_t cwnd_prior;
};

/* HyStart++ (RFC 9406): the end of the first slow start by the round-trip time. */
struct tcp_hystart {
	uint32_t round_end;                    /* the round ends when this is acknowledged */
	uint32_t last_min_us, min_us, base_us; /* of the round before, of this one, when CSS began */
	uint8_t nb_samples, css_rounds;
	bool css;  /* conservative slow start */
	bool done; /* slow start has ended once */
};

struct tcp_prr {
	uint32_t delivered, out, prior_cwnd;
	bool owes_rxt; /* the first retransmission has not gone out */
};

/* What it takes to take a reduction back. */
struct tcp_undo {
	uint64_t rxt_us, next_us; /* the first retransmission, 0: none; not again before */
	uint32_t una;
	int32_t nb_rxt; /* segments sent again and not reported as duplicates; -1: none was sent */
	uint32_t cwnd, ssthresh;
	struct tcp_cubic cubic;
};

/* The search for a larger path MTU (tcp_pmtu.c); sizes are MSS. */
struct tcp_pmtu {
	uint64_t next_us; /* no probe before; 0: there is nothing to search */
	uint16_t limit;   /* what the interface would take; 0: that is used */
	uint16_t high;    /* nothing above is tried in this search */
	uint16_t probe;   /* in flight; 0: none */
	bool first;       /* a search starts at the top */
};

struct tcp_rack {
	uint64_t xmit_us, min_rtt_us; /* of the latest-sent segment that was delivered; min_rtt[0] began */
	uint32_t end, rtt_us, fack, dsack_end;
	uint32_t min_rtt[2];
	uint8_t reo_mult, reo_persist;
	bool reordering : 1, has_fack : 1, dsack_round : 1;
	uint16_t reo_segs; /* over how many segments one came late, at most: to be looked at only */
};

/* What the user takes in a round trip: how large the receive buffer should be (tcp_tune.c). */
struct tcp_tune {
	uint64_t at_us, turn_us; /* the measure began; the window's turn did */
	uint32_t turn_seq;       /* it ends when this is received */
	uint32_t from;           /* the sequence number up to which the user had taken when it began */
	uint32_t rtt_us;         /* as the receiver sees it; 0: not known */
	uint32_t most;           /* bytes in a round trip, at most so far */
};

/* Numbers that only sl_tcp_get_info() wants; kept by whoever sees the thing happen. */
struct tcp_stat {
	uint64_t last_ack_us;
	uint64_t rate_us;                   /* the round trip that is measured began, */
	uint32_t rate_bytes, delivery_rate; /* and what it has delivered; bytes per second, cut to 32 bits */
	uint32_t delivered, rcv_mss;
	uint32_t segs_out, segs_in, data_segs_out, data_segs_in;
};

/*
 * What all segments touch comes first, in lines of the cache: what judges a segment (one) and takes its data
 * (one), what sends (one, and the list of what flies), what an ACK moves. Then what is needed once a segment
 * goes out (addresses), what only the opening, losses and the end touch, and at last what is only written:
 * the counts and the trace. Where in its line a field is means nothing. test_tcp_hot.c counts the lines.
 *
 * Times without a unit in their name are milliseconds of the stack's clock, cut to 32 bits.
 */
struct sl_tcp_conn {
	/* Judged. */
	struct sl_tcp *t;
	void *user;
	uint32_t snd_una, snd_nxt, snd_wnd, snd_wl1;
	uint32_t snd_end; /* behind the last byte written: the FIN's place */
	uint32_t rcv_nxt, rcv_adv, last_ack_sent;
	uint32_t ts_recent, ts_offset;
	bool ts_ok : 1, sack_ok : 1, wscale_ok : 1;
	bool held : 1; /* the user has the pointer */
	bool on_out : 1;
	bool ack_now : 1;
	bool fin_queued : 1; /* by shutdown or release */
	bool fin_rcvd : 1;   /* in order */
	bool fin_ooo : 1;    /* fin_rcv_seq is known, bytes before it are missing */
	bool want_write : 1; /* a write took less than all */
	bool cwnd_limited : 1;
	bool probe_now : 1; /* the persist timer ran out: send what the window takes, or a probe */
	bool on_hold : 1;   /* the user does not read for a while, and the peer shall not notice */
	bool ecn_ok : 1;    /* agreed at the handshake (RFC 3168) */
	bool ece : 1;       /* a CE mark came: ECE goes with each ACK until CWR comes */
	bool cwr_due : 1;   /* the next new segment says that the window was reduced */
	bool frto : 1;      /* the timeout may have been spurious (RFC 5682) */
	bool frto_new : 1;  /* new data goes before what seems lost */
	bool tlp_open : 1, tlp_is_rxt : 1;
	bool nagle : 1, cork : 1, more : 1;
	bool path_multi_seg : 1, path_tso : 1; /* what the port on the way can do */
	bool has_dsack : 1;                    /* dsack is to be reported with the next ACK (RFC 2883) */
	bool has_ooo : 1;                      /* ooo is there */
	bool counted : 1;                      /* for its listener and its source */
	bool impatient : 1;                    /* user_timeout_ms is set */
	bool soft : 1;                         /* soft_err is set */
	bool near : 1;                         /* round trips are short beside what timers wait */
	bool undo_armed : 1;                   /* undo is what it takes to take the last reduction back */
	uint8_t state : 4, ca_state : 4;       /* enum tcp_state, enum tcp_ca_state */
	uint8_t snd_shift, rcv_shift;
	uint8_t events;

	/* Taken. */
	struct tcp_rcvq rcvq;
	uint32_t rx_buf;      /* size of the receive buffer now */
	uint32_t tune_ecr;    /* the echoed timestamp that was measured last */
	uint64_t tune_due_us; /* when the measure of what the user takes ends */
	uint64_t last_recv_us;
	uint32_t tmr_delack, wheel_ms; /* 0: off, not in the wheel */
	uint16_t adv_mss;              /* the MSS option we send */
	uint8_t delack_segs, quickack;
	uint8_t nb_keep;
	/* Window updates, and ACKs to a silent peer, left to send without being asked; probes without an
	 * answer; the path has lost or disordered something already. */
	uint8_t wnd_again : 3, ack_again : 2, nb_tlp : 2;
	bool lossy : 1;
	uint8_t nb_rtx;
	uint8_t rto_shift : 4, loss_timer : 3; /* enum tcp_loss_timer */
	bool no_room : 1; /* bytes inside the window were dropped: it is told as shut until some are read */

	/* Sent. */
	struct tcp_sndq sndq;
	uint32_t cwnd;
	uint32_t mss; /* of a segment we send, options counted in it */
	uint32_t tmr_rtx, tmr_loss;
	uint64_t last_send_us;
	uint64_t progress_us; /* when what is in flight began to wait, or the peer last took some */

	/* Acknowledged. */
	struct tcp_rack rack;
	uint64_t cwnd_used_us; /* when the window was last the limit */
	uint32_t cwnd_out;     /* most bytes in flight in the round that ends at cwnd_round */
	uint32_t cwnd_round;

	/* In flight: a line, and the rest of the board. */
	uint32_t srtt_us, rttvar_us, rto_us;
	uint32_t ssthresh;
	struct tcp_board board;

	/* Only when the congestion window is the limit, or with Nagle. */
	struct tcp_cubic cubic;
	struct tcp_hystart hystart;
	uint32_t max_snd_wnd;

	/* To whom. */
	struct tcp_tuple tuple;
	uint64_t hash; /* of it: the key in the table */
	struct tcp_pmtu pmtu;

	/* Opening, losses, the end, and what is seldom moved. */
	struct tcp_ooo *ooo;
	struct tcp_range dsack;
	struct tcp_tune tune;
	struct sl_tcp_listener *listener; /* of an accepted one */
	uint32_t source;                  /* of an accepted one */
	uint64_t pace_us;                 /* when new bytes may go again (tcp_pace.c) */
	uint32_t ooo_ts;                  /* the latest timestamp of what lies behind a gap */
	uint8_t late;                     /* how sure it is that packets come late here (tcp_reseq.c) */
	bool gap_seen;                    /* since something came twice */
	uint32_t tlp_end;                 /* behind the loss probe */
	uint32_t cwr_end;                 /* ECE is heeded again when this is acknowledged */
	uint32_t lost_total;              /* bytes ever found lost */
	uint32_t iss, irs, fin_rcv_seq;
	uint32_t recover;            /* RecoveryPoint */
	uint32_t snd_sml;            /* end of the last small segment (Nagle) */
	uint32_t una_laps, rcv_laps; /* how often SND.UNA and RCV.NXT have come round */
	uint16_t path_mss, peer_mss;
	uint16_t path_tso_segs; /* of a packet that the port cuts; 0: no limit */
	bool hashed : 1, on_starved : 1, dead : 1, passive : 1;
	bool rtt_timing : 1;            /* rtt_us is when our only SYN went out */
	bool syn_due : 1, syn_lost : 1; /* one is to go out; more than one had to */
	bool ecn_asked : 1;             /* our SYN offered it */
	bool in_use : 1;
	uint8_t dupacks, nb_challenge;
	int32_t err, soft_err;
	uint32_t user_timeout_ms;
	uint64_t rtt_us, challenge_us, orphan_until_us;
	uint64_t retransmits, bytes_retrans;
	struct tcp_posts *posts; /* of the board; NULL: none */
	struct tcp_prr prr;
	struct tcp_undo undo;
	uint32_t tmr_keep, tmr_life, tmr_reseq, tmr_pace;
	LIST_ENTRY(sl_tcp_conn) wheel;
	uint8_t wheel_level, wheel_slot;
	TAILQ_ENTRY(sl_tcp_conn) starved, list; /* list: of all, of the dead, or of the free */
	uint32_t index, generation;             /* of the id: stay when the connection is freed */

	/* Only written. */
	_Alignas(TCP_LINE) struct tcp_stat stat;
	struct tcp_trace trace;
};
_Static_assert(offsetof(struct sl_tcp_conn, rcvq) == TCP_LINE, "what judges a segment is one line");
_Static_assert(offsetof(struct sl_tcp_conn, sndq) == TCP_CONN_HOT_LINES * TCP_LINE,
               "what takes data is one line");
_Static_assert(offsetof(struct sl_tcp_conn, rack) == 3 * TCP_LINE, "what sends is one line");
_Static_assert(offsetof(struct sl_tcp_conn, srtt_us) == 4 * TCP_LINE, "what an ACK moves is one line");
_Static_assert(offsetof(struct sl_tcp_conn, board.lost) == TCP_CONN_SEND_LINES * TCP_LINE,
               "what is in flight is one line");
_Static_assert(offsetof(struct sl_tcp_conn, tuple) == 7 * TCP_LINE, "addresses are one line");
_Static_assert(offsetof(struct sl_tcp_conn, trace.ring) == offsetof(struct sl_tcp_conn, stat) + TCP_LINE,
               "counts are one line");
_Static_assert(offsetof(struct sl_tcp_conn, tmr_keep) / TCP_LINE ==
                       offsetof(struct sl_tcp_conn, wheel_slot) / TCP_LINE,
               "what a timer that fires touches beside these is one line");
_Static_assert(TCP_TLP_MAX <= 3 && TCP_ACK_AGAIN <= 3 && TCP_WND_AGAIN <= 7, "counted in a few bits");
_Static_assert(sizeof(struct sl_tcp_conn) <= TCP_CONN_BYTES, "an idle connection has grown");

/* What segments that come touch; and what goes out, beside these. */
static inline void tcp_fetch_in(const struct sl_tcp_conn *c)
{
	for (uint32_t line = 0; line < TCP_CONN_SEND_LINES; line++)
		rte_prefetch0((const uint8_t *)c + line * TCP_LINE);
	rte_prefetch0(&c->stat);
}

static inline void tcp_fetch_out(const struct sl_tcp_conn *c)
{
	tcp_fetch_in(c);
	rte_prefetch0(&c->tuple);
}

LIST_HEAD(tcp_wheel_slot, sl_tcp_conn);
TAILQ_HEAD(tcp_conn_list, sl_tcp_conn);

struct sl_tcp_listener {
	struct sl_endpoint local;
	uint32_t backlog, nb_half_open;
	uint32_t nb_conns, max_conns; /* max: 0: no cap */
	uint64_t bytes, max_bytes;    /* in buffers of its connections */
	uint64_t cookies_until_us;    /* cookies that are still good may have been sent until then */
	bool gone;                    /* unlistened: lives until its last connection ends */
	void *user;
	struct sl_tcp_listener *next;
};

/*
 * TIME_WAIT in 48 bytes. The 4-tuple is kept as its 64-bit keyed hash: nobody without the secret can make two
 * collide, and replies take their addresses from the segment that asked.
 */
struct tcp_tw {
	uint64_t tag;
	uint32_t snd_nxt, rcv_nxt;
	uint32_t ts_recent, ts_offset;
	uint32_t expires_ms; /* since the stack's epoch */
	uint32_t hash_next;  /* index + 1; 0: none */
	uint32_t prev, next; /* by age; index + 1 */
	uint32_t ts_ok : 1, rcv_wnd_field : 16;
	uint32_t unused;
};

struct tcp_wheel {
	uint64_t now_ms;
	uint32_t nb;
	bool turning; /* now_ms is not the time, but the slot that is worked on, by several ticks when it is
	                 full */
	uint64_t bits[TCP_WHEEL_LEVELS];
	struct tcp_wheel_slot slot[TCP_WHEEL_LEVELS][TCP_WHEEL_SLOTS];
};

struct tcp_slab {
	struct tcp_slab *next;
};

/* Objects of one size. */
struct tcp_pool {
	void *free; /* linked through the first bytes */
	struct tcp_slab *slabs;
	uint32_t each, nb_used, slab; /* slab: objects taken from the heap at a time */
};

/*
 * Where a connection is, by the keyed hash of its 4-tuple: one line of the cache, so that a connection is
 * only touched when it is the one. All of a chain but its last one are full.
 */
struct tcp_bucket {
	uint64_t hash[TCP_BUCKET_PLACES];
	uint32_t conn[TCP_BUCKET_PLACES]; /* index + 1; 0: none, nor behind */
	uint32_t more;                    /* the next bucket of the chain; 0: none */
};
_Static_assert(sizeof(struct tcp_bucket) == TCP_LINE, "a bucket is a line");

struct tcp_table {
	void *mem;
	struct tcp_bucket *bucket; /* mask + 1, then those that chains go on in */
	uint32_t mask, nb, used;
	uint32_t changes; /* additions and removals ever */
	uint32_t free;    /* of those: through `more`; 0: none */
};

/* Connections that have something to send, first come first served. Each is in it once at most. */
struct tcp_out {
	struct sl_tcp_conn **ring;
	uint32_t mask, first, nb;
};

struct sl_tcp {
	struct sl_tcp_cfg cfg;
	uint64_t now_us; /* of the last call */
	uint64_t key[2];
	uint32_t seg_bytes_max; /* header and payload that fit an mbuf */
	struct tcp_table table;
	uint32_t nb_conns, nb_orphans; /* orphans: released, and not yet at their end */
	struct tcp_conn_list all, starved, dead, free_conns;
	struct tcp_out out;
	bool busy;                    /* inside input or tick */
	struct tcp_slab **conn_slabs; /* by index / TCP_CONN_SLAB */
	uint32_t nb_conn_slabs;
	struct tcp_archive archive;
	uint64_t mem_used;           /* buffers in the queues of all connections, by true size */
	struct tcp_pool pieces;      /* struct tcp_piece */
	uint32_t nb_own, nb_own_max; /* mbufs of cfg.pool in send queues */
	struct tcp_pool rpieces;     /* struct tcp_rpiece */
	struct tcp_pool ooo;         /* struct tcp_ooo */
	struct tcp_pool runs;        /* blocks of TCP_OOO_RUNS */
	uint32_t nb_rcv_own;         /* mbufs of cfg.pool in receive queues */
	struct tcp_rx_pool rx_pool[TCP_POOLS];
	struct tcp_pool sents, posts; /* struct tcp_sent, struct tcp_posts */
	struct tcp_wheel wheel;
	uint64_t paced_until_us; /* the end of the last wait for which TCP_TMR_PACE was set */
	struct sl_tcp_listener *listeners[TCP_LISTEN_BUCKETS], *listeners_gone;
	struct tcp_syn_cache syn;
	struct tcp_sources sources;
	struct tcp_cookies cookies;
	struct tcp_rst_bucket rst_bucket[TCP_RST_BUCKETS];
	struct tcp_tw *tw;
	uint32_t *tw_buckets;
	uint32_t tw_mask, tw_free, tw_used, tw_nb, tw_oldest, tw_newest;
	uint32_t port_counters[TCP_PORT_COUNTERS];
};

struct tcp_opts {
	uint32_t ts_val, ts_ecr;
	uint16_t mss;
	uint8_t wscale;
	bool has_mss, has_wscale, has_sack_permitted, has_ts;
	uint8_t nb_sack;
	struct tcp_range sack[4];
};

/* A segment that came in, in host order; `m` holds it whole, payload at `data_at`; NULL: taken. */
struct tcp_seg {
	struct rte_mbuf *m;
	const struct sl_net_segment *ip;
	struct tcp_tuple tuple;
	uint32_t seq, ack;
	uint32_t len;     /* payload bytes (those left after trimming) */
	uint32_t data_at; /* offset of the payload in m */
	uint32_t wnd;     /* as in the header: not scaled */
	uint16_t parts;   /* segments of the peer in it: those of a burst are merged */
	uint8_t flags;
	struct tcp_opts opts;
};

/* A segment to work on, or several of one connection that continue each other (tcp_merge.c). */
struct tcp_run_of {
	struct tcp_seg seg;
	struct rte_mbuf *tail; /* of seg.m */
	uint64_t hash;
	struct sl_tcp_conn *c; /* whose it is, unless the table has changed since */
};

struct tcp_burst {
	uint16_t nb;
	uint8_t latest[TCP_BURST_PLACES]; /* index + 1 of a connection's last run; 0: none */
	struct tcp_run_of run[TCP_BURST];
};

/*
 * Every buffer that a connection's queues take or give back is counted here, by its true size: for the stack,
 * and for its listener and its source where one of them has a cap.
 */
static inline void tcp_mem_take(struct sl_tcp_conn *c, uint32_t n)
{
	c->t->mem_used += n;
	if (!c->counted)
		return;
	c->listener->bytes += n;
	c->t->sources.e[c->source - 1].bytes += n;
}

static inline void tcp_mem_give(struct sl_tcp_conn *c, uint32_t n)
{
	c->t->mem_used -= n;
	if (!c->counted)
		return;
	c->listener->bytes -= n;
	c->t->sources.e[c->source - 1].bytes -= n;
}

/* What is left of a cap (0: there is none). */
static inline uint64_t tcp_cap_left(uint64_t used, uint64_t max)
{
	if (max == 0)
		return UINT64_MAX;
	return used < max ? max - used : 0;
}

/* More than 3/4 of it is taken. */
static inline bool tcp_cap_pressed(uint64_t used, uint64_t max)
{
	return max != 0 && used >= max / 4 * 3;
}

/* Bytes of buffers that the connection may still take: in all, of its listener's and of its source's. */
static inline uint64_t tcp_mem_room(const struct sl_tcp_conn *c)
{
	const struct sl_tcp *t = c->t;
	uint64_t room = tcp_cap_left(t->mem_used, t->cfg.max_total_bytes), part;

	if (!c->counted)
		return room;
	part = tcp_cap_left(c->listener->bytes, c->listener->max_bytes);
	room = part < room ? part : room;
	part = tcp_cap_left(t->sources.e[c->source - 1].bytes, t->cfg.max_bytes_per_source);
	return part < room ? part : room;
}

/* The listener or the source comes to the end of what it may hold. */
static inline bool tcp_capped(const struct sl_tcp_conn *c)
{
	const struct sl_tcp *t = c->t;

	return c->counted &&
	       (tcp_cap_pressed(c->listener->bytes, c->listener->max_bytes) ||
	        tcp_cap_pressed(t->sources.e[c->source - 1].bytes, t->cfg.max_bytes_per_source));
}

/* So does the stack, or one of these. */
static inline bool tcp_pressure(const struct sl_tcp_conn *c)
{
	return tcp_cap_pressed(c->t->mem_used, c->t->cfg.max_total_bytes) || tcp_capped(c);
}

/* Why there was no buffer. */
static inline int tcp_mem_err(const struct sl_tcp_conn *c)
{
	return tcp_capped(c) ? SL_E_TCP_BYTES_LIMIT : SL_E_NOMEM;
}

/* SEG.LEN of RFC 9293: SYN and FIN count. */
static inline uint32_t seg_len(const struct tcp_seg *s)
{
	return s->len + ((s->flags & RTE_TCP_SYN_FLAG) != 0) + ((s->flags & RTE_TCP_FIN_FLAG) != 0);
}

/* Data or FIN may still come from the peer. */
static inline bool state_receives(uint8_t state)
{
	return state == TCP_ESTABLISHED || state == TCP_FIN_WAIT_1 || state == TCP_FIN_WAIT_2;
}

static inline bool state_synchronized(uint8_t state)
{
	return state >= TCP_ESTABLISHED && state < TCP_TIME_WAIT;
}

static inline uint32_t tx_bytes(const struct sl_tcp_conn *c)
{
	return c->snd_end - c->sndq.first;
}

/* Bytes of the buffers that its queues hold, and of the board of what is in flight. */
static inline uint32_t tcp_conn_mem(const struct sl_tcp_conn *c)
{
	return c->sndq.pinned + c->rcvq.true_bytes + c->board.nb * (uint32_t)sizeof(struct tcp_sent) +
	       (c->posts != NULL ? (uint32_t)sizeof(struct tcp_posts) : 0);
}

/* Sequence number behind all that there is to send, the FIN counted. */
static inline uint32_t tx_last_seq(const struct sl_tcp_conn *c)
{
	return c->snd_end + (c->fin_queued ? 1 : 0);
}

/* Payload of a full segment, but for SACK blocks: the unit of the congestion window. */
static inline uint32_t tcp_smss(const struct sl_tcp_conn *c)
{
	return c->mss - (c->ts_ok ? 12 : 0);
}

static inline bool fin_sent(const struct sl_tcp_conn *c)
{
	return c->fin_queued && seq_lt(c->snd_end, c->snd_nxt);
}

/* tcp_secret.c */
uint64_t tcp_tuple_hash(const struct sl_tcp *t, const struct tcp_tuple *u);
uint32_t tcp_isn(const struct sl_tcp *t, const struct tcp_tuple *u, uint64_t now_us);
uint32_t tcp_ts_offset(const struct sl_tcp *t, const struct tcp_tuple *u);
/* Of the family and raddr alone. */
uint32_t tcp_address_hash(const struct sl_tcp *t, const struct tcp_tuple *u);
/* The key of cookies in a span of time. */
void tcp_cookie_secret(const struct sl_tcp *t, uint64_t span, uint64_t key[2]);
/* Picks lport (RFC 6056, algorithm 4). 0, SL_E_TCP_NO_PORT: none of TCP_PORT_TRIES is free. */
int tcp_pick_port(struct sl_tcp *t, struct tcp_tuple *u);

/* tcp_pool.c */
void tcp_pool_init(struct tcp_pool *p, size_t each, uint32_t slab);
void *tcp_pool_take(struct tcp_pool *p); /* NULL: no memory; not cleared */
void tcp_pool_give(struct tcp_pool *p, void *obj);
void tcp_pool_fini(struct tcp_pool *p);
struct rte_mbuf *tcp_mbuf_alloc(const struct sl_tcp *t); /* of cfg.pool; NULL: it is empty */

/* tcp_api_snd.c */
bool tcp_can_write(const struct sl_tcp_conn *c);

/* tcp_options.c */
/* 0, SL_E_TCP_OPTIONS: bad length, or an option twice. */
int tcp_options_parse(const uint8_t *p, uint32_t n, struct tcp_opts *out);
/* Options of a SYN or SYN-ACK; of any other segment. Returns the length, a multiple of 4. */
struct tcp_syn_opts {
	uint16_t mss;
	uint8_t wscale;
	bool has_wscale, sack, ts;
	uint32_t ts_val, ts_ecr;
};
uint32_t tcp_options_syn_put(const struct tcp_syn_opts *o, uint8_t *p);
uint32_t tcp_options_syn(const struct sl_tcp_conn *c, uint16_t mss, bool answer, uint64_t now_us, uint8_t *p);
uint32_t tcp_options_data(const struct sl_tcp_conn *c, uint64_t now_us, uint8_t *p);
uint32_t tcp_options_data_len(const struct sl_tcp_conn *c);
uint32_t tcp_options_ts(uint32_t val, uint32_t ecr, uint8_t *p);
uint32_t tcp_ts_now(uint32_t offset, uint64_t now_us);

/* tcp_timer.c */
void tcp_timers_init(struct sl_tcp *t);
void tcp_timer_set(struct sl_tcp_conn *c, enum tcp_timer_id id, uint64_t when_us);
static inline uint32_t *tcp_timer(struct sl_tcp_conn *c, enum tcp_timer_id id)
{
	static const uint16_t at[TCP_TMR_COUNT] = {
	        [TCP_TMR_RTX] = offsetof(struct sl_tcp_conn, tmr_rtx),
	        [TCP_TMR_LOSS] = offsetof(struct sl_tcp_conn, tmr_loss),
	        [TCP_TMR_DELACK] = offsetof(struct sl_tcp_conn, tmr_delack),
	        [TCP_TMR_KEEP] = offsetof(struct sl_tcp_conn, tmr_keep),
	        [TCP_TMR_LIFE] = offsetof(struct sl_tcp_conn, tmr_life),
	        [TCP_TMR_RESEQ] = offsetof(struct sl_tcp_conn, tmr_reseq),
	        [TCP_TMR_PACE] = offsetof(struct sl_tcp_conn, tmr_pace),
	};

	return (uint32_t *)(void *)((uint8_t *)c + at[id]);
}
static inline void tcp_timer_off(struct sl_tcp_conn *c, enum tcp_timer_id id)
{
	*tcp_timer(c, id) = 0;
}
void tcp_timer_remove(struct sl_tcp_conn *c);
/* When it is due; 0: it is off. */
uint64_t tcp_timer_at(const struct sl_tcp_conn *c, enum tcp_timer_id id);
void tcp_keepalive_start(struct sl_tcp_conn *c, uint64_t now_us);
/* The peer is gone: RST, and the user hears of it. */
void tcp_give_up(struct sl_tcp_conn *c, uint64_t now_us);

/* tcp_rtx.c */
void tcp_rtx_timer_update(struct sl_tcp_conn *c, bool restart, uint64_t now_us);
void tcp_rtx_back_off(struct sl_tcp_conn *c);
uint64_t tcp_rto(const struct sl_tcp_conn *c);
/* Starts the timer, at one timeout from now or when the user's patience ends. */
void tcp_rtx_arm(struct sl_tcp_conn *c, uint64_t now_us);
/* The peer has not answered for the user timeout (RFC 5482), or too often without one. */
bool tcp_rtx_hopeless(const struct sl_tcp_conn *c, uint32_t retries, uint64_t now_us);
void tcp_rtx_expired(struct sl_tcp_conn *c, uint64_t now_us);
void tcp_loss_expired(struct sl_tcp_conn *c, uint64_t now_us);

/* tcp_rtt.c */
void tcp_rtt_init(struct sl_tcp_conn *c);
void tcp_rtt_sample(struct sl_tcp_conn *c, uint64_t rtt_us);
/* By an echoed timestamp, in milliseconds. False: it cannot be one of ours. */
bool tcp_rtt_sample_ts(struct sl_tcp_conn *c, uint32_t ts_ecr, uint64_t now_us);

/* tcp_cc_cubic.c, tcp_cc_hystart.c */
void tcp_cc_init(struct sl_tcp_conn *c);
uint32_t tcp_cc_initial(const struct sl_tcp_conn *c); /* the initial window (RFC 6928) */
/* `acked` bytes were acknowledged: the window may grow. rtt_us: of this ACK, 0: none. */
void tcp_cc_acked(struct sl_tcp_conn *c, uint32_t acked, uint32_t rtt_us, uint64_t now_us);
void tcp_cc_reduce(struct sl_tcp_conn *c); /* congestion: sets ssthresh; the window is the caller's */
void tcp_cc_idle(struct sl_tcp_conn *c, uint64_t now_us);
uint32_t tcp_cbrt(uint64_t x);
/* Slow start: by how much the window grows for `acked` bytes; may end it by setting ssthresh. */
void tcp_hystart_restart(struct sl_tcp_conn *c);
uint32_t tcp_hystart_acked(struct sl_tcp_conn *c, uint32_t acked, uint32_t rtt_us);

/* tcp_sack.c */
void tcp_sack_input(struct sl_tcp_conn *c, const struct tcp_seg *s, struct tcp_acked *a, uint64_t now_us);

/* tcp_rack.c */
uint32_t tcp_min_rtt(const struct sl_tcp_conn *c);
void tcp_rack_delivered(struct sl_tcp_conn *c, const struct tcp_sent *e, const struct tcp_acked *a,
                        uint64_t now_us);
void tcp_rack_adapt(struct sl_tcp_conn *c, const struct tcp_acked *a);
/* Marks what is lost. Returns when to look again; 0: nothing to wait for. */
uint64_t tcp_rack_detect(struct sl_tcp_conn *c, uint64_t now_us);
void tcp_rack_timeout(struct sl_tcp_conn *c, uint64_t now_us);
void tcp_tlp_schedule(struct sl_tcp_conn *c, uint64_t now_us);
bool tcp_tlp_ack(struct sl_tcp_conn *c, const struct tcp_seg *s, const struct tcp_acked *a);
void tcp_loss_timer_off(struct sl_tcp_conn *c);

/* tcp_prr.c */
void tcp_prr_start(struct sl_tcp_conn *c);
void tcp_prr_ack(struct sl_tcp_conn *c, const struct tcp_acked *a);
void tcp_prr_end(struct sl_tcp_conn *c);

/* tcp_pmtu.c */
void tcp_pmtu_too_big(struct sl_tcp_conn *c, uint32_t mtu, uint64_t now_us);
void tcp_pmtu_timeout(struct sl_tcp_conn *c, uint64_t now_us);
uint32_t tcp_pmtu_probe(const struct sl_tcp_conn *c, uint64_t now_us);
void tcp_pmtu_probe_sent(struct sl_tcp_conn *c, uint32_t mss);
void tcp_pmtu_probe_done(struct sl_tcp_conn *c, bool arrived, uint64_t now_us);

/* tcp_recovery.c */
void tcp_recovery_ack(struct sl_tcp_conn *c, struct tcp_acked *a, uint64_t now_us);
void tcp_recovery_timeout(struct sl_tcp_conn *c, uint64_t now_us);
void tcp_recovery_reo_timeout(struct sl_tcp_conn *c, uint64_t now_us);
void tcp_recovery_tlp_repaired(struct sl_tcp_conn *c);
/* Segments in flight that are larger than mss count as lost. */
void tcp_recovery_mtu_fell(struct sl_tcp_conn *c);
void tcp_undo_sent_again(struct sl_tcp_conn *c, uint32_t nb_segs, uint64_t now_us);

/* tcp_conn.c */
struct sl_tcp_conn *tcp_conn_new(struct sl_tcp *t, const struct tcp_tuple *u);
int tcp_conn_slabs_init(struct sl_tcp *t);
void tcp_conn_slabs_fini(struct sl_tcp *t);
size_t tcp_conn_bytes(const struct sl_tcp *t); /* of one, buffers not counted */
/* The connection with that index, in use or not; NULL: none was made yet. */
struct sl_tcp_conn *tcp_conn_at(const struct sl_tcp *t, uint32_t index);
/* A copy of that of a stack that may be damaged, and is of the same configuration as t. False: there is none
 * to be had. */
bool tcp_conn_read(const struct sl_tcp *t, const struct sl_tcp *damaged, uint32_t index,
                   struct sl_tcp_conn *out);
/* Off the tables; ends with `err` (0: in order). The user hears of errors. */
void tcp_conn_finish(struct sl_tcp_conn *c, int err);
void tcp_conn_let_go(struct sl_tcp_conn *c); /* the user has no pointer any more */
void tcp_conn_reap(struct sl_tcp *t);
void tcp_conn_time_wait(struct sl_tcp_conn *c, uint64_t now_us);
void tcp_conn_want_out(struct sl_tcp_conn *c);
/* Our window scale. */
uint8_t tcp_rcv_shift(const struct sl_tcp *t);
/* What the port towards the peer can do. */
static inline void tcp_conn_set_path(struct sl_tcp_conn *c, const struct sl_net_path *path)
{
	c->path_multi_seg = path->multi_seg;
	c->path_tso = path->multi_seg && path->tso;
	c->path_tso_segs = path->tso_segs;
}
/* Works out mss from the path's and the peer's. */
void tcp_conn_set_mss(struct sl_tcp_conn *c);
/* MSS for the path to the peer: cfg.mss or from the MTU. 0, or < 0. */
int tcp_path_mss(struct sl_tcp *t, const struct tcp_tuple *u, struct sl_net_path *path, uint16_t *mss);
static inline void tcp_soft_error(struct sl_tcp_conn *c, int err)
{
	c->soft_err = err;
	c->soft = true;
}
static inline void tcp_rcv_advance(struct sl_tcp_conn *c, uint32_t to)
{
	if (to < c->rcv_nxt)
		c->rcv_laps++;
	c->rcv_nxt = to;
}
static inline void tcp_post(struct sl_tcp_conn *c, uint32_t events)
{
	c->events = (uint8_t)(c->events | events);
}
void tcp_notify(struct sl_tcp_conn *c);
void tcp_touch(struct sl_tcp *t, uint64_t now_us);
void tcp_orphan_restart(struct sl_tcp_conn *c, uint64_t now_us);
struct sl_addr tcp_addr(const uint8_t b[16], uint8_t family);

/* tcp_table.c */
int tcp_table_init(struct sl_tcp *t);
void tcp_table_fini(struct sl_tcp *t);
/* 0, or < 0: no memory. */
int tcp_table_add(struct sl_tcp *t, struct sl_tcp_conn *c);
void tcp_table_del(struct sl_tcp *t, struct sl_tcp_conn *c);
/* A connection is known by the 64 bits of its hash alone: what has the same without being it would be a blind
 * guess, and meets the checks of one. */
struct sl_tcp_conn *tcp_table_find(const struct sl_tcp *t, uint64_t hash);

/* tcp_info.c */
const char *tcp_state_name(uint8_t state);

/* tcp_tw.c */
int tcp_tw_init(struct sl_tcp *t);
void tcp_tw_fini(struct sl_tcp *t);
void tcp_tw_add(struct sl_tcp *t, const struct sl_tcp_conn *c, uint64_t now_us);
struct tcp_tw *tcp_tw_find(struct sl_tcp *t, uint64_t tag);
void tcp_tw_del(struct sl_tcp *t, struct tcp_tw *w);
/* A SYN that may open the connection anew. */
bool tcp_tw_may_reopen(const struct tcp_tw *w, const struct tcp_seg *s);
/* RFC 6191: what was sent before must lie in front of a new connection's ISS. */
bool tcp_tw_iss_good(const struct tcp_tw *w, uint32_t iss);
/* Any other segment. */
void tcp_tw_input(struct sl_tcp *t, struct tcp_tw *w, const struct tcp_seg *s, uint64_t now_us);
/* Forgets those whose time has come. Returns when the next one is due. */
uint64_t tcp_tw_tick(struct sl_tcp *t, uint64_t now_us);

/* tcp_listen.c */
struct sl_tcp_listener *tcp_listener_find(const struct sl_tcp *t, const struct tcp_tuple *u);
bool tcp_port_listened(const struct sl_tcp *t, uint16_t port);
/*
 * A segment for no connection that there is: half-open ones, TIME_WAIT, listeners. Returns the connection
 * that it makes, in SYN-RECEIVED, for which it is then input; NULL: done with it.
 */
struct sl_tcp_conn *tcp_passive_input(struct sl_tcp *t, const struct tcp_seg *s, uint64_t hash,
                                      uint64_t now_us);
void tcp_listeners_fini(struct sl_tcp *t);
/* Frees a listener that is gone with its last connection. */
void tcp_listener_put(struct sl_tcp *t, struct sl_tcp_listener *l);
void tcp_take_syn_options(struct sl_tcp_conn *c, const struct tcp_seg *s, uint64_t now_us);

/* tcp_syn.c */
int tcp_syn_init(struct sl_tcp *t);
void tcp_syn_fini(struct sl_tcp *t);
struct tcp_syn *tcp_syn_find(const struct sl_tcp *t, const struct tcp_tuple *u, uint64_t hash);
/* NULL: the table is full. */
struct tcp_syn *tcp_syn_new(struct sl_tcp *t, struct sl_tcp_listener *l, const struct tcp_tuple *u,
                            uint32_t source, uint64_t now_us);
void tcp_syn_del(struct sl_tcp *t, struct tcp_syn *e);
/* Resets all of a listener. */
void tcp_syn_drop_listener(struct sl_tcp *t, const struct sl_tcp_listener *l);
bool tcp_syn_input(struct sl_tcp *t, struct tcp_syn *e, const struct tcp_seg *s, uint64_t now_us);
/* Sends the SYN-ACK of an entry. */
void tcp_syn_answer(struct sl_tcp *t, struct tcp_syn *e, uint64_t now_us);
/* Sends again what is due. Returns when the next one is. */
uint64_t tcp_syn_tick(struct sl_tcp *t, uint64_t now_us);
struct tcp_synack {
	uint32_t iss, irs;
	bool ecn;
	struct tcp_syn_opts opts;
};
void tcp_synack_send(struct sl_tcp *t, const struct tcp_tuple *u, const struct tcp_synack *a,
                     uint64_t now_us);
/* RFC 3168, 6.1.1 */
static inline bool tcp_syn_wants_ecn(const struct sl_tcp *t, const struct tcp_seg *s)
{
	return t->cfg.ecn && (s->flags & TCP_ECN_FLAGS) == TCP_ECN_FLAGS;
}

/* tcp_cookie.c */
/* False: the MSS is smaller than a cookie can say. *ts_val: the timestamp to send, of which the lowest bits
 * are changed. */
bool tcp_cookie_make(struct sl_tcp *t, const struct tcp_tuple *u, uint32_t irs, const struct tcp_cookie *k,
                     bool ts, uint64_t now_us, uint32_t *iss, uint32_t *ts_val);
/* Whether s, the segment behind a SYN-ACK, answers a cookie of the last one or two minutes. */
bool tcp_cookie_check(struct sl_tcp *t, const struct tcp_seg *s, uint64_t now_us, struct tcp_cookie *out);

/* tcp_source.c; sources are named by their index + 1, 0: none */
int tcp_sources_init(struct sl_tcp *t);
void tcp_sources_fini(struct sl_tcp *t);
uint32_t tcp_source_hash(const struct sl_tcp *t, const struct tcp_tuple *u);
struct tcp_source *tcp_source_at(struct sl_tcp *t, uint32_t id);
uint32_t tcp_source_find(struct sl_tcp *t, const struct tcp_tuple *u);
/* Finds or makes it; 0: no place. Who makes it and then does not use it puts it back. */
uint32_t tcp_source_get(struct sl_tcp *t, const struct tcp_tuple *u);
void tcp_source_put(struct sl_tcp *t, uint32_t id);
/* Whether one more connection is within the caps; 0, or counted. */
int tcp_caps_admit(struct sl_tcp *t, const struct sl_tcp_listener *l, uint32_t source);
void tcp_caps_enter(struct sl_tcp_conn *c, struct sl_tcp_listener *l, uint32_t source);
void tcp_caps_leave(struct sl_tcp_conn *c);

/* tcp_bare.c */
struct tcp_bare {
	uint32_t seq, ack;
	uint16_t wnd;
	uint8_t flags, nb_opts;
	uint8_t opts[40];
};
void tcp_send_bare(struct sl_tcp *t, const struct tcp_tuple *u, const struct tcp_bare *b, uint64_t now_us);
void tcp_send_rst_conn(struct sl_tcp_conn *c, uint64_t now_us);
void tcp_send_rst_for(struct sl_tcp *t, const struct tcp_seg *s, uint64_t now_us);
/* For what nobody here waits for: limited by rate. */
void tcp_send_rst_closed(struct sl_tcp *t, const struct tcp_seg *s, uint64_t now_us);
void tcp_send_tw_ack(struct sl_tcp *t, const struct tcp_tw *w, const struct tcp_seg *s, uint64_t now_us);

/* tcp_ack.c */
/* ACK field of a segment in a synchronized state (RFC 9293, fifth check). False: drop the segment. */
bool tcp_ack_input(struct sl_tcp_conn *c, const struct tcp_seg *s, uint64_t now_us);

/* tcp_reass.c */
void tcp_data_input(struct sl_tcp_conn *c, struct tcp_seg *s, uint64_t now_us);
/* Payload that was there before: reported with the next ACK (RFC 2883). */
void tcp_dsack_note(struct sl_tcp_conn *c, uint32_t start, uint32_t end);

/* tcp_window.c */
/* RCV.WND: the window that is open to the peer now. */
static inline uint32_t tcp_rcv_wnd(const struct sl_tcp_conn *c)
{
	return seq_lt(c->rcv_nxt, c->rcv_adv) ? c->rcv_adv - c->rcv_nxt : 0;
}

/* The window that a segment would announce now. Moves nothing. */
uint32_t tcp_window_now(const struct sl_tcp_conn *c);
/* The user has made room: tells the peer when it is worth it. */
void tcp_window_opened(struct sl_tcp_conn *c);
/* The ACK that every segment carries has told the peer all there is. */
void tcp_ack_is_sent(struct sl_tcp_conn *c, uint64_t now_us);

/* tcp_tune.c */
void tcp_tune_init(struct sl_tcp_conn *c);
/* A segment with data has come; before it moves RCV.NXT. */
void tcp_tune_received(struct sl_tcp_conn *c, const struct tcp_seg *s, uint64_t now_us);
void tcp_tune_consumed(struct sl_tcp_conn *c);
bool tcp_rcv_pressure(const struct sl_tcp_conn *c);
/* Size of the send buffer now. */
uint32_t tcp_tx_buf(const struct sl_tcp_conn *c);

/* tcp_output.c */
void tcp_output(struct sl_tcp_conn *c, uint64_t now_us);
int tcp_send_ack(struct sl_tcp_conn *c, uint64_t now_us);
/* ACK to a segment that was not acceptable: limited per connection (RFC 5961, 7). */
void tcp_send_challenge(struct sl_tcp_conn *c, uint64_t now_us);
void tcp_send_probe(struct sl_tcp_conn *c, uint64_t now_us);
/* A loss probe (RFC 8985, 7.3). */
void tcp_send_tlp(struct sl_tcp_conn *c, uint64_t now_us);
void tcp_send_rst_conn(struct sl_tcp_conn *c, uint64_t now_us);
void tcp_send_rst_for(struct sl_tcp *t, const struct tcp_seg *s, uint64_t now_us);
void tcp_send_tw_ack(struct sl_tcp *t, const struct tcp_tw *w, const struct tcp_seg *s, uint64_t now_us);

/* tcp_merge.c */
/* Takes m; what is no segment is counted. */
void tcp_burst_add(struct tcp_burst *b, struct rte_mbuf *m, const struct sl_net_segment *ip);

/* tcp_input.c */
/* Reads header and options. 0, or < 0: counted. */
int tcp_parse(struct rte_mbuf *m, const struct sl_net_segment *ip, struct tcp_seg *out);

#endif
