/*
 * A flow: two legs (client, target), one decoder between them, and the bounded queues that tie them together.
 *
 *   client stream -> decoder.feed -> target queue -(barrier)-> target stream
 *   target stream -> decoder.feed -> client queue -(tap)-----> client stream
 *
 * Bytes that the decoder has not consumed stay where they are, in TCP or in the leg's input buffer: a slow
 * side closes the other side's window, memory does not grow. Bytes to the target wait at the barrier until
 * the record that allowed them is durable. Bytes to the client go through the host's tap (the recorder)
 * before they are sent. A flow never forwards a byte that its decoder did not pass, and never changes one.
 *
 * By reference. A leg whose stream shows its mbufs (plain TCP) feeds the decoder with the bytes where they
 * arrived, piece by piece. What is passed of a piece goes into the other side's queue as a reference to the
 * mbuf, once neighbours that were passed one by one are one again, and from there to the stream: to TCP by
 * reference, to a layer by the layer's own reading. Copied are: less than SL_QUEUE_REF_MIN bytes in a row;
 * what would pin too much (sl_queue.h, sl_buf.h); what the decoder adds; all that comes out of a layer. A
 * message that the decoder must see whole and that is cut by the end of a piece is shown from the input
 * buffer, with as much of what follows as it needs; the bytes behind it are shown where they lie again. Which
 * way bytes take makes no difference to the decoder, nor to what goes out.
 *
 * The flow knows no policy, no store and no bus: its host does (the worker). One thread.
 */
#ifndef SL_FLOW_H
#define SL_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "sl_buf.h"
#include "sl_decoder.h"
#include "sl_mem.h"
#include "sl_queue.h"
#include "sl_stream.h"

/* Bytes that may wait towards one side before the flow stops reading the other. */
#define SL_FLOW_QUEUE_SOFT (256 * 1024)
/* The same while buffers are short (sl_buf.h): so much is left for each of those that do read. */
#define SL_FLOW_QUEUE_SHORT (32 * 1024)
/* Barriers that are told apart; more are merged into the last one, which only makes it stricter. */
#define SL_FLOW_BARRIERS 64

struct sl_flow_host {
	void *ctx;
	/* As sl_io.event. */
	int (*event)(void *ctx, const struct sl_event *ev, struct sl_verdict *v);
	/*
	 * Puts TLS on that leg. Nothing waits in the leg's queues: what came before has gone in clear.
	 * direct: TLS begins with the connection, and `early` was taken from the stream already. 0, < 0.
	 */
	int (*upgrade)(void *ctx, enum sl_side side, bool direct, struct sl_span early);
	/* As sl_io.channel_binding. */
	size_t (*channel_binding)(void *ctx, enum sl_side side, uint8_t *out);
	/* Bytes about to go to the client, in pieces. SL_OK, or < 0: they must not go, the flow ends. */
	int (*tap)(void *ctx, struct sl_span bytes);
	/* True when there is room to record whatever one feed may bring. */
	bool (*may_feed)(void *ctx);
	/* What must be durable before bytes passed from now on may go to the target. */
	uint64_t (*barrier)(void *ctx);
	/* What is durable now. */
	uint64_t (*durable)(void *ctx);
	/* Where the decoder's blocks come from; NULL: it gets none. */
	struct sl_mem *mem;
};

struct sl_flow_leg {
	struct sl_stream stream; /* ops NULL: not connected (yet, or any more) */
	struct sl_buf *in;       /* bytes taken from the stream and not consumed; NULL: none */
	size_t want;             /* bytes that the decoder is to be shown in one span; 0: as they lie */
	struct sl_queue out;     /* towards this side */
	struct sl_span passed;   /* at its end, not in it yet: what this feed has passed in a row */
	int end;      /* SL_OK open; SL_CLOSED the peer sends nothing more; < 0 the stream is dead */
	bool upgrade; /* the decoder asked for a layer; before it is on nothing more is fed or sent */
	bool direct;  /* and TLS begins with the bytes that were not consumed */
	size_t clear; /* this much of the queue was added before it asked */
	bool parked;  /* feed returned SL_PARK */
	bool shut;    /* we said that we will send nothing more */
	uint64_t nb_in, nb_out; /* bytes from and to the stream */
	uint64_t nb_used;       /* consumed by the decoder */
};

struct sl_flow {
	struct sl_flow_leg leg[2];
	const struct sl_decoder *dec;
	void *dec_state;
	struct sl_io io;
	struct sl_flow_host host;
	struct sl_buf_pool *pool;
	size_t message_max;
	size_t taken;         /* bytes of blocks that the decoder holds */
	struct rte_mbuf *fed; /* during a feed: in which the bytes lie; NULL: in a buffer */
	uint64_t target_total,
	        target_released; /* bytes ever queued for the target; and those past the barrier */
	struct {
		uint64_t offset, number;
	} barrier[SL_FLOW_BARRIERS];
	uint32_t barrier_head, nb_barriers;
	bool feeding; /* inside a call of the decoder's feed */
	bool starved; /* in this step records, blocks, buffers or messages were short */
	bool closed;  /* the decoder said that the session is over in order */
};

/*
 * Starts a flow in zeroed memory; dec_state is zeroed memory of dec->state_bytes that outlives it. 0, < 0.
 */
int sl_flow_open(struct sl_flow *f, const struct sl_decoder *dec, void *dec_state,
                 const struct sl_decoder_cfg *cfg, const struct sl_flow_host *host, struct sl_buf_pool *pool);
/* Gives a leg its stream; the stream above a layer replaces the one below. */
void sl_flow_set_stream(struct sl_flow *f, enum sl_side side, struct sl_stream s);

/*
 * Moves everything that can move now, in both directions. SL_OK: waits for the streams. SL_AGAIN: waits for
 * room in the records, for buffers or for durability (run again when the store or the pool has moved on).
 * SL_CLOSED: the session is over in order. < 0: it is over by error. After SL_CLOSED and < 0 call
 * sl_flow_bye().
 */
int sl_flow_run(struct sl_flow *f);

/*
 * Shows the tap what it has not seen of what goes to the client. The flow does so when a feed or a call is
 * over; the host may call it in event(), to tell what was said before from what comes behind. SL_OK, < 0.
 */
int sl_flow_show(struct sl_flow *f);

/* A large buffer (sl_buf.h) keeps a message of that side's that is not whole yet, or that waits for room; not
 * one that is parked. */
bool sl_flow_has_large(const struct sl_flow *f, enum sl_side side);

/* A parked command or login was decided. Then run. */
int sl_flow_resume(struct sl_flow *f, const struct sl_verdict *v);
/* The target's stream is open: log in there. Then run. */
int sl_flow_login(struct sl_flow *f, const struct sl_login *l);

/*
 * The last word: the decoder may tell the client why (reason NULL: it was told), nothing more is fed (what
 * still comes is thrown away), what waits for the target is dropped. Then sl_flow_drain() until it is not
 * SL_MORE.
 */
void sl_flow_bye(struct sl_flow *f, const struct sl_reason *reason);
/* Sends the rest of the client's queue and closes the stream. SL_OK all gone; SL_MORE still some; < 0 the
 * client is gone. */
int sl_flow_drain(struct sl_flow *f);

/* Gives all buffers back; clears the decoder. Streams are the host's. */
void sl_flow_close(struct sl_flow *f);

/* True while bytes for the target wait at the barrier. */
bool sl_flow_at_barrier(const struct sl_flow *f);

#endif
