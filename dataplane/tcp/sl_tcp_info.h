/*
 * Looking at connections from outside: one by one, the columns of `ss -ti`, and what happened to each last.
 * Each connection keeps its latest events in a small ring; when something abnormal happens the ring is copied
 * to the stack's archive, where it outlives the connection (SL_TCP_ARCHIVE rings; the oldest goes).
 *
 * Worker thread only, as all of sl_tcp.h.
 */
#ifndef SL_TCP_INFO_H
#define SL_TCP_INFO_H

#include "sl_tcp.h"

#define SL_TCP_TRACE_EVENTS 32  /* of a connection's ring */
#define SL_TCP_ARCHIVE      256 /* rings in a stack's archive */

/*
 * Identity of a connection: worker (8 bits), index (24), generation (32). Never used again by the same
 * worker, until a generation has wrapped.
 */
uint64_t sl_tcp_id(const struct sl_tcp_conn *c);
/* NULL: no such connection any more. */
struct sl_tcp_conn *sl_tcp_find(struct sl_tcp *t, uint64_t id);
/* The connections one after the other, from *cursor 0; those that come or go meanwhile may be missed. NULL:
 * end. */
struct sl_tcp_conn *sl_tcp_next(struct sl_tcp *t, uint64_t *cursor);
/* The same in bounded time: looks at *steps places at most, and takes off what it used. NULL: the end, or
 * with *steps 0 perhaps only a pause. */
struct sl_tcp_conn *sl_tcp_next_within(struct sl_tcp *t, uint64_t *cursor, uint32_t *steps);

/* Numbers as in `ss -ti`. Times that have not been measured are 0. */
struct sl_tcp_info {
	uint64_t id;
	const char *state;
	struct sl_endpoint local, remote;
	bool passive; /* accepted */
	bool held;    /* the user has not let go */

	uint32_t rto_us, srtt_us, rttvar_us, min_rtt_us, ato_us;
	uint32_t mss, pmtu, rcv_mss, adv_mss;
	uint32_t snd_cwnd_bytes, ssthresh_bytes, snd_wnd, rcv_wnd;
	uint64_t bytes_sent, bytes_acked, bytes_received, bytes_retrans, retransmits;
	uint64_t segs_out, segs_in, data_segs_out, data_segs_in;
	uint32_t last_snd_ms, last_rcv_ms, last_ack_ms; /* ago */
	uint32_t rcv_space, rx_queue_bytes, tx_queue_bytes, not_sent_bytes, unacked_bytes, ooo_bytes;
	uint32_t unacked_segs, lost_segs, sacked_segs, retrans_segs, reordering;
	uint64_t delivered, delivery_rate; /* segments; bytes per second */
	uint64_t pacing_rate;              /* bytes per second; 0: it sends what the window allows at once */
	const char *ca_state;
	bool ts, sack, wscale, ecn, ecn_seen;
	uint8_t snd_wscale, rcv_wscale;
	const char *timer; /* the next one: "on" (retransmission), "keepalive", "timewait", "persist", ... or
	                      "off" */
	uint32_t timer_ms; /* until it is due */
	uint32_t backoff, nb_probes;
	uint32_t mem_bytes; /* of this connection: buffers by true size, and the list of what flies */
};
void sl_tcp_get_info(const struct sl_tcp_conn *c, struct sl_tcp_info *out);

/* The stack as a whole. */
struct sl_tcp_stats {
	uint32_t nb_conns, nb_half_open, nb_time_wait, nb_sources;
	uint32_t nb_orphans; /* of the connections: released by the user, and not yet at their end */
	uint64_t mem_bytes, mem_max;
	uint32_t conn_bytes;     /* memory of a connection that holds no data */
	uint64_t conn_mem_bytes; /* taken for connections, used or not */
	uint64_t cookies_sent, cookies_good, cookies_bad;
	uint64_t nb_archived; /* rings ever */
};
void sl_tcp_get_stats(const struct sl_tcp *t, struct sl_tcp_stats *out);

/* Events of one kind in a row may be one entry: `count` more came, b is their sum. */
struct sl_tcp_trace_event {
	uint64_t at_us;
	uint16_t event, count;
	uint32_t a, b;
};

/*
 * The latest events of a connection, oldest first, nb at most: from its ring while it lives, else from the
 * archive. Returns how many; 0: not known.
 */
uint32_t sl_tcp_trace_read(struct sl_tcp *t, uint64_t id, struct sl_tcp_trace_event *out, uint32_t nb);
/* From the archive only: how it was when the abnormal thing happened last. */
uint32_t sl_tcp_trace_read_archived(struct sl_tcp *t, uint64_t id, struct sl_tcp_trace_event *out,
                                    uint32_t nb);
/* "rto" */
const char *sl_tcp_trace_name(uint16_t event);
/* "rto rto_ms=200 tries=1", cut to cap with its 0; returns out. */
const char *sl_tcp_trace_text(const struct sl_tcp_trace_event *e, char *out, size_t cap);

struct sl_tcp_archived {
	uint64_t id, at_us;
	struct sl_endpoint local, remote;
	const char *state;
	uint16_t event; /* that was abnormal */
	uint16_t nb_events;
};
/* The archive, newest first, nb at most. Returns how many. */
uint32_t sl_tcp_trace_archive(const struct sl_tcp *t, struct sl_tcp_archived *out, uint32_t nb);

#endif
