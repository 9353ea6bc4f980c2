/*
 * TCP (RFC 9293) in user space: one stack per worker, no locks, no clock and no Ethernet inside. Time comes
 * in with each call (monotonic microseconds), packets go out through a callback.
 *
 * Ownership: a connection belongs to its stack. The user holds a pointer from accept or connect until
 * sl_tcp_release() or sl_tcp_abort(), after which it must not touch it; the stack then finishes alone (FIN,
 * retransmission, TIME_WAIT). All calls from the stack's worker thread.
 *
 * Deviations from the RFCs are listed in docs/tcp.md.
 */
#ifndef SL_TCP_H
#define SL_TCP_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include "sl_addr.h"
#include "sl_err.h"
#include "sl_net.h"
#include "sl_span.h"

struct sl_tcp;
struct sl_tcp_conn;
struct sl_tcp_listener;

/* What happened; bits of the notify callback. */
enum sl_tcp_event {
	SL_TCP_EV_CONNECTED = 1, /* an active open has finished */
	SL_TCP_EV_READABLE = 2,  /* sl_tcp_peek() has bytes that it had not */
	SL_TCP_EV_WRITABLE = 4,  /* there is room again after sl_tcp_write() took less than all */
	SL_TCP_EV_EOF = 8,       /* the peer's FIN: no byte comes after what peek gives */
	SL_TCP_EV_ERROR =
	        16, /* the connection is dead; sl_tcp_error() says why; only release is left to do */
};

struct sl_tcp_ops {
	/* Sends a segment: m starts at the TCP header; takes it. The stack wants its checksum filled in. */
	int (*output)(void *ctx, struct rte_mbuf *m, const struct sl_addr *src, const struct sl_addr *dst,
	              uint8_t ecn, uint64_t now_us);
	/* A new connection on a listener, in ESTABLISHED. Returns the user pointer of it; NULL refuses it
	 * (RST). */
	void *(*accept)(void *ctx, struct sl_tcp_listener *l, void *listener_user, struct sl_tcp_conn *c);
	/* Something happened on a connection. Called inside input and tick: only note it; do not call into
	 * the stack. */
	void (*notify)(void *ctx, struct sl_tcp_conn *c, void *user, uint32_t events);
	/* The way towards dst. 0, or < 0. */
	int (*route)(void *ctx, const struct sl_addr *dst, struct sl_net_path *out);
	/* True when replies from remote to local would reach this worker. NULL: always true. */
	bool (*port_ok)(void *ctx, const struct sl_endpoint *local, const struct sl_endpoint *remote);
	/* The port at or near local->port, which is a guess, for which that is true; 0: none near. NULL: the
	 * guess itself. */
	uint16_t (*port_near)(void *ctx, const struct sl_endpoint *local, const struct sl_endpoint *remote);
};

enum sl_tcp_cookies {
	SL_TCP_COOKIES_AUTO, /* when there is no place for a half-open connection */
	SL_TCP_COOKIES_NEVER,
	SL_TCP_COOKIES_ALWAYS,
};

struct sl_tcp_cfg {
	/* For segments out, and for what is copied of segments in; better not one that a port receives into.
	 */
	struct rte_mempool *pool;
	const struct sl_tcp_ops *ops;
	void *ctx;
	uint32_t max_conns;     /* all states but TIME_WAIT */
	uint32_t max_time_wait; /* 48 bytes each; 0: as many as max_conns */
	/* Buffers of a connection, to begin with (default 256 KiB) and as they may grow where the path is
	 * long (6 and 4 MiB by default; when only the former is given, they keep that size). */
	uint32_t rx_buf_bytes, tx_buf_bytes;
	uint32_t rx_buf_max, tx_buf_max;
	uint16_t mss;               /* 0: from the MTU */
	bool ecn;                   /* offer and accept ECN (RFC 3168) */
	bool pacing;                /* spread windows over round trips that are long enough */
	bool no_timestamps;         /* neither offered nor taken (RFC 7323) */
	uint32_t keepalive_idle_s;  /* default 60; 0 off */
	uint32_t keepalive_intvl_s; /* default 10 */
	uint32_t keepalive_probes;  /* default 6 */
	uint32_t user_timeout_ms;   /* of new connections; 0: none */
	uint64_t max_total_bytes;   /* buffers of all connections together, default 1 GiB */
	uint8_t worker;             /* goes into ids */

	/* Half-open connections, of all listeners and of a source; beyond, and beyond a listener's backlog:
	 * cookies. */
	uint32_t max_half_open;            /* default 16384 */
	uint32_t max_half_open_per_source; /* default 256 */
	uint8_t syn_cookies;               /* enum sl_tcp_cookies */
	/* A source is an IPv4 address or an IPv6 /64. */
	uint32_t max_conns_per_source; /* accepted ones; 0: no cap */
	uint64_t max_bytes_per_source; /* in the buffers of its accepted connections; 0: no cap */
	uint8_t secret[16];            /* for ISNs (RFC 6528), ports (RFC 6056), timestamps */
};

int sl_tcp_new(const struct sl_tcp_cfg *cfg, struct sl_tcp **out);
/* Frees all memory; sends nothing. */
void sl_tcp_free(struct sl_tcp *t);

/*
 * Tells the peers of a stack whose worker has died that their connections are over: this stack sends each a
 * RST. `dead` is of the same configuration, its thread runs no more, and its memory may be damaged: what
 * makes no sense in it is passed over. Looks at up to `budget` places from *from on, and moves it;
 * UINT32_MAX: that was all. Returns how many were sent. This stack's thread.
 */
uint32_t sl_tcp_reset_dead(struct sl_tcp *t, const struct sl_tcp *dead, uint32_t *from, uint32_t budget,
                           uint64_t now_us);

/* A burst of segments in; takes the mbufs. ol_flags say whether the checksum is good (not said: it is
 * verified here). */
void sl_tcp_input(struct sl_tcp *t, struct rte_mbuf **m, const struct sl_net_segment *seg, uint16_t n,
                  uint64_t now_us);
void sl_tcp_icmp_error(struct sl_tcp *t, const struct sl_net_icmp_error *e, uint64_t now_us);
/*
 * Runs timers that are due, 16 at most, so that packets do not wait for those of thousands of connections.
 * Returns the time of the next one (UINT64_MAX: none; now_us: some are due still, call again without rest);
 * good until the next call of input, flush or connect, which may arm an earlier one: tick after flush, or at
 * each loop (it is cheap).
 */
uint64_t sl_tcp_tick(struct sl_tcp *t, uint64_t now_us);
/* Connections wait for milliseconds to send on: a rest must not let the next tick come later than it asked
 * for. */
bool sl_tcp_paces(const struct sl_tcp *t);
/*
 * The connection is about to be written to: what that touches is fetched into the cache meanwhile. For who
 * has the next one in hand while there is other work; with tens of thousands of connections none is there by
 * itself.
 */
void sl_tcp_prefetch(const struct sl_tcp_conn *c);
/* Sends what writes, reads and input have made ready (data, ACKs, window updates); once per poll loop. */
void sl_tcp_flush(struct sl_tcp *t, uint64_t now_us);

/* Listens on an address of ours (family NONE: any) and port. 0, SL_E_EXISTS. */
int sl_tcp_listen(struct sl_tcp *t, const struct sl_endpoint *local, uint32_t backlog, void *user,
                  struct sl_tcp_listener **out);
/* Caps on its accepted connections and on the bytes in their buffers; 0: none. Bytes are counted for those
 * that are accepted from then on. */
void sl_tcp_listener_caps(struct sl_tcp_listener *l, uint32_t max_conns, uint64_t max_bytes);
/* Half-open connections are reset; accepted ones live on. */
void sl_tcp_unlisten(struct sl_tcp *t, struct sl_tcp_listener *l);

/* Opens a connection. The result comes as CONNECTED or ERROR. 0; SL_E_TCP_NO_PORT, SL_E_TCP_CONN_LIMIT, no
 * route. */
int sl_tcp_connect(struct sl_tcp *t, const struct sl_endpoint *remote, void *user, uint64_t now_us,
                   struct sl_tcp_conn **out);
void sl_tcp_set_user(struct sl_tcp_conn *c, void *user);

/* Received bytes in order, as up to nb spans, good until consume or release. Returns the number of spans
 * filled: a span is a packet's payload at most, so there may be many more. */
uint32_t sl_tcp_peek(struct sl_tcp_conn *c, struct sl_span *v, uint32_t nb);

/* Bytes of an mbuf: [off, off + len) of the data of this one segment (a chain is not followed). */
struct sl_tcp_piece {
	struct rte_mbuf *m;
	uint32_t off, len;
};

/*
 * The same bytes with the mbufs that they lie in. Lent until consume or release; who wants them longer takes
 * a reference to the segment (rte_mbuf_refcnt_update(m, 1), rte_pktmbuf_free_seg(m)). Nothing of the mbuf may
 * be changed, and nothing in it outside of the piece read: the stack may write behind it.
 */
uint32_t sl_tcp_peek_pieces(struct sl_tcp_conn *c, struct sl_tcp_piece *v, uint32_t nb);
/* Bytes that peek could give in all. */
size_t sl_tcp_readable(const struct sl_tcp_conn *c);
/* n bytes are done with; opens the window. */
void sl_tcp_consume(struct sl_tcp_conn *c, size_t n);
/*
 * The user will not read for a while (a command waits for approval), or reads again. A peer that finds the
 * window shut for long gives up: until the hold ends, some of it stays open, and up to 256 KiB more than the
 * receive buffer are taken.
 */
void sl_tcp_hold(struct sl_tcp_conn *c, bool on);
/* True when the peer's FIN was received and all bytes before it consumed. */
bool sl_tcp_eof(const struct sl_tcp_conn *c);

/* Copies bytes into the send buffer; returns how many it took (0..n). Sent at flush. */
size_t sl_tcp_write(struct sl_tcp_conn *c, struct sl_span bytes);
/*
 * As sl_tcp_write(), but takes a reference of the mbuf (its own: the caller's stays the caller's) instead of
 * copying, where that pays. The bytes must not change as long as the mbuf has other owners.
 */
size_t sl_tcp_write_piece(struct sl_tcp_conn *c, const struct sl_tcp_piece *p);
/* Room in the send buffer now. */
size_t sl_tcp_space(const struct sl_tcp_conn *c);
/* Bytes written and not yet acknowledged. */
size_t sl_tcp_unacked(const struct sl_tcp_conn *c);
/* Off: a segment that is not full waits while a small one is in flight (Nagle). Default on: what is written
 * by a flush goes with it. */
void sl_tcp_set_nodelay(struct sl_tcp_conn *c, bool on);
/* On: only full segments go, until it is off again or the stream is shut. */
void sl_tcp_set_cork(struct sl_tcp_conn *c, bool on);
/* On: what was written is not the end of something, and goes without PSH. Holds nothing back. */
void sl_tcp_set_more(struct sl_tcp_conn *c, bool on);
/* Gives up when what was sent waits for so long (RFC 5482); 0: after retransmissions by count. From
 * sl_tcp_cfg. */
void sl_tcp_set_user_timeout(struct sl_tcp_conn *c, uint32_t ms);
/* FIN behind what was written; receiving goes on. */
void sl_tcp_shutdown(struct sl_tcp_conn *c);
/* Lets go: the stack sends what was written, FIN, and forgets; RST when received bytes were not consumed (RFC
 * 2525). */
void sl_tcp_release(struct sl_tcp_conn *c);
/* RST now. */
void sl_tcp_abort(struct sl_tcp_conn *c, uint64_t now_us);

int sl_tcp_error(const struct sl_tcp_conn *c);
struct sl_endpoint sl_tcp_local(const struct sl_tcp_conn *c);
struct sl_endpoint sl_tcp_remote(const struct sl_tcp_conn *c);

/* More about a connection, and about all of them: sl_tcp_info.h. */
uint32_t sl_tcp_nb_conns(const struct sl_tcp *t);

#endif
