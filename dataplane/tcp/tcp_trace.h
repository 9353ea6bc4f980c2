/*
 * The trace ring of a connection: 16 bytes an event, always on.
 *
 *     TCP_TRACE(c, RTX, seq, len);
 *
 * To add a kind of event, add a row here. Kinds: NORMAL; RUN: the same one again adds to the entry (count,
 * and b is summed up; a stays that of the first); ALARM: something abnormal, the ring is archived (at most
 * once a second and connection).
 */
#ifndef TCP_TRACE_H
#define TCP_TRACE_H

#include "sl_tcp_info.h"

/* id, kind, name, what a is, what b is ("": nothing) */
#define TCP_TRACE_TABLE(X)                                                                                   \
	X(OPEN, NORMAL, "open", "passive", "mss")                                                            \
	X(ESTABLISHED, NORMAL, "established", "mss", "options")                                              \
	X(TX, RUN, "tx", "seq", "bytes")                                                                     \
	X(RX, RUN, "rx", "seq", "bytes")                                                                     \
	X(ACKED, RUN, "acked", "ack", "bytes")                                                               \
	X(ACK_OUT, RUN, "ack_out", "ack", "times")                                                           \
	X(RTX, RUN, "rtx", "seq", "bytes")                                                                   \
	X(TLP, NORMAL, "tlp", "seq", "bytes")                                                                \
	X(PROBE, NORMAL, "probe", "tries", "window")                                                         \
	X(KEEPALIVE, NORMAL, "keepalive", "tries", "idle_ms")                                                \
	X(DUPACK, RUN, "dupack", "ack", "times")                                                             \
	X(OOO, RUN, "ooo", "seq", "bytes")                                                                   \
	X(GAP, NORMAL, "gap", "rcv_nxt", "late")                                                             \
	X(WND_SHUT, NORMAL, "peer_window_shut", "ack", "unsent")                                             \
	X(WND_OPEN, NORMAL, "peer_window_open", "ack", "window")                                             \
	X(HOLD, NORMAL, "hold", "on", "unread")                                                              \
	X(RECOVERY, NORMAL, "recovery", "cwnd", "ssthresh")                                                  \
	X(RECOVERED, NORMAL, "recovered", "cwnd", "ssthresh")                                                \
	X(HYSTART, NORMAL, "hystart", "cwnd", "rtt_us")                                                      \
	X(RCVBUF, NORMAL, "receive_buffer", "bytes", "rtt_us")                                               \
	X(ECN_CE, RUN, "ecn_ce", "seq", "times")                                                             \
	X(ECN_ECE, NORMAL, "ecn_ece", "cwnd", "ssthresh")                                                    \
	X(PMTU, NORMAL, "pmtu", "old_mss", "mss")                                                            \
	X(SHUTDOWN, NORMAL, "shutdown", "unsent", "unacked")                                                 \
	X(RELEASE, NORMAL, "release", "unread", "unacked")                                                   \
	X(ABORT, NORMAL, "abort", "unread", "unacked")                                                       \
	X(FIN_IN, NORMAL, "fin_in", "seq", "state")                                                          \
	X(FIN_OUT, NORMAL, "fin_out", "seq", "state")                                                        \
	X(NO_MEM, RUN, "no_memory", "wanted", "times")                                                       \
	X(RTO, ALARM, "rto", "rto_ms", "tries")                                                              \
	X(UNDO, ALARM, "undo", "cwnd", "ssthresh")                                                           \
	X(RENEGED, ALARM, "reneged", "ack", "sacked")                                                        \
	X(BLACK_HOLE, ALARM, "black_hole", "old_mss", "mss")                                                 \
	X(CHALLENGE, ALARM, "challenge", "rcv_nxt", "times")                                                 \
	X(BAD_ACK, ALARM, "bad_ack", "ack", "snd_nxt")                                                       \
	X(BAD_SEQ, ALARM, "bad_seq", "seq", "rcv_nxt")                                                       \
	X(PAWS, ALARM, "paws", "ts", "ts_recent")                                                            \
	X(OOO_DROP, ALARM, "ooo_drop", "seq", "bytes")                                                       \
	X(ICMP, ALARM, "icmp", "type_code", "mtu")                                                           \
	X(RST_IN, ALARM, "rst_in", "seq", "state")                                                           \
	X(RST_OUT, ALARM, "rst_out", "seq", "state")                                                         \
	X(TIMEOUT, ALARM, "timeout", "tries", "stalled_ms")                                                  \
	X(FAILED, ALARM, "failed", "error", "state")

enum tcp_trace_id {
#define TCP_TRACE_ID(id, kind, name, a, b) TCP_TR_##id,
	TCP_TRACE_TABLE(TCP_TRACE_ID)
#undef TCP_TRACE_ID
	TCP_TR_COUNT
};

enum tcp_trace_kind {
	TCP_TRK_NORMAL,
	TCP_TRK_RUN,
	TCP_TRK_ALARM,
};

/* TCP_TRK_OF_<id>: the kind of a row, known when compiling. */
enum tcp_trace_kind_of {
#define TCP_TRACE_KIND(id, kind, name, a, b) TCP_TRK_OF_##id = TCP_TRK_##kind,
	TCP_TRACE_TABLE(TCP_TRACE_KIND)
#undef TCP_TRACE_KIND
};

struct tcp_trace_entry {
	uint32_t delta; /* since the entry before */
	uint8_t id;
	bool ms; /* delta is in milliseconds, else in microseconds */
	uint16_t count;
	uint32_t a, b;
};
_Static_assert(sizeof(struct tcp_trace_entry) == 16, "a trace entry has grown");
_Static_assert(TCP_TR_COUNT <= 256, "trace ids are one byte");

struct tcp_trace {
	uint64_t last_us;     /* of the newest entry */
	uint32_t nb;          /* entries ever */
	uint32_t archived_ms; /* when the ring was archived last; 0: never */
	struct tcp_trace_entry ring[SL_TCP_TRACE_EVENTS];
};

static inline void tcp_trace_put(struct tcp_trace *tr, uint64_t now_us, uint8_t id, bool run, uint32_t a,
                                 uint32_t b)
{
	struct tcp_trace_entry *e = &tr->ring[(tr->nb - 1) % SL_TCP_TRACE_EVENTS];
	uint64_t delta = now_us - tr->last_us;

	if (run && tr->nb > 0 && e->id == id && e->count < UINT16_MAX) {
		e->count++;
		e->b += b;
		return;
	}
	e = &tr->ring[tr->nb++ % SL_TCP_TRACE_EVENTS];
	tr->last_us = now_us;
	e->ms = delta > UINT32_MAX;
	e->delta = (uint32_t)(e->ms ? delta / 1000 : delta);
	e->id = id;
	e->count = 0;
	e->a = a;
	e->b = b;
}

/* Copies the ring to the archive, unless that was done within the last second. */
void tcp_trace_alarm(struct sl_tcp_conn *c, uint8_t id);

#define TCP_TRACE(c, event, a, b)                                                                            \
	do {                                                                                                 \
		tcp_trace_put(&(c)->trace, (c)->t->now_us, TCP_TR_##event,                                   \
		              (int)TCP_TRK_OF_##event == (int)TCP_TRK_RUN, (uint32_t)(a), (uint32_t)(b));    \
		if ((int)TCP_TRK_OF_##event == (int)TCP_TRK_ALARM)                                           \
			tcp_trace_alarm((c), TCP_TR_##event);                                                \
	} while (0)

struct tcp_trace_ring {
	uint64_t id, at_us;
	struct sl_endpoint local, remote;
	uint8_t state, event;
	struct tcp_trace trace;
};

/* The archive of a stack: rings one after the other, the oldest is written over. */
struct tcp_archive {
	struct tcp_trace_ring *ring; /* SL_TCP_ARCHIVE of them */
	uint64_t nb;                 /* ever */
};
int tcp_archive_init(struct sl_tcp *t);
void tcp_archive_fini(struct sl_tcp *t);

#endif
