/*
 * What is kept of a peer before it has shown that it receives what we send: a half-open entry of 96 bytes in
 * the place of a connection, or, under pressure, nothing at all (SYN cookies, RFC 4987). And who has how
 * much: sources.
 */
#ifndef TCP_SYN_H
#define TCP_SYN_H

#include <stdbool.h>
#include <stdint.h>

#define TCP_SYNACK_RETRIES      5   /* 63 s in all */
#define TCP_SYNACK_RETRIES_FULL 2   /* when half of the backlog is taken: 7 s */
#define TCP_SYN_TICK_MAX        256 /* SYN-ACKs sent again in one tick at most */
#define TCP_HALF_OPEN_DEFAULT   16384U
#define TCP_HALF_OPEN_MAX       (1U << 20)
#define TCP_HALF_OPEN_SOURCE    256U
#define TCP_COOKIE_SPAN         (60 * TCP_S) /* of a secret; a cookie is good for one to two of them */
#define TCP_RST_BUCKETS         256U
#define TCP_RST_COST_MS         20U   /* a RST to nobody's segment costs so much of its bucket: 50/s */
#define TCP_RST_BURST_MS        1000U /* and a bucket holds so much */

/* The 4-tuple as it is hashed and compared; unused bytes are zero. */
struct tcp_tuple {
	uint8_t laddr[16];
	uint8_t raddr[16];
	uint16_t lport, rport;
	uint8_t family;
	uint8_t zero[3];
};

struct tcp_syn {
	struct tcp_tuple tuple;
	struct sl_tcp_listener *listener;
	uint32_t hash;
	uint32_t irs, iss, ts_recent;
	uint32_t last_us;               /* of the last SYN-ACK, or of a challenge; wraps */
	uint32_t due_ms;                /* of the next SYN-ACK */
	uint32_t hash_next, prev, next; /* index + 1; by due time, among those with as many retries */
	uint32_t source;
	uint16_t peer_mss, wnd;
	uint8_t wscale;
	uint8_t retries : 4;
	bool ts : 1, sack : 1, has_wscale : 1, ecn : 1;
	bool again : 1; /* more than one SYN-ACK was sent: no sample of the round-trip time */
};
_Static_assert(sizeof(struct tcp_syn) <= 96, "a half-open connection has grown");

struct tcp_syn_queue {
	uint32_t first, last; /* index + 1 */
};

/* Half-open connections of all listeners. */
struct tcp_syn_cache {
	struct tcp_syn *e;
	uint32_t *buckets;
	uint32_t mask, max, nb, used, free;
	/* By retries so far: the time to the next one is the same for all of a queue, so it is in order. */
	struct tcp_syn_queue queue[TCP_SYNACK_RETRIES + 1];
};

/* An IPv4 address, or an IPv6 /64, that has connections or half-open ones here. */
struct tcp_source {
	uint8_t addr[16];
	uint8_t family;
	uint32_t nb_conns, nb_half_open;
	uint32_t hash_next; /* index + 1 */
	uint64_t bytes;     /* in buffers */
};

struct tcp_sources {
	struct tcp_source *e;
	uint32_t *buckets;
	uint32_t mask, max, nb, used, free;
};

struct tcp_cookies {
	struct {
		uint64_t span;
		uint64_t key[2];
		bool made;
	} secret[2]; /* by the span's lowest bit */
	uint64_t nb_sent, nb_good, nb_bad;
};

/* What a cookie and its timestamp say of the SYN. */
struct tcp_cookie {
	uint16_t mss;
	uint8_t wscale;
	bool has_wscale, sack, ecn;
};

/* How much of a bucket is spent, as of when. */
struct tcp_rst_bucket {
	uint32_t spent_ms, at_ms;
};

#endif
