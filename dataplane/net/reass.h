/*
 * Reassembly (RFC 791, RFC 815, RFC 8200 4.5, RFC 5722): a datagram is put together in one buffer of the
 * worker's pool, so that it is in one piece and never holds the buffers that its fragments came in. The port
 * gives all fragments to worker 0; the whole goes to the worker that owns its connection.
 */
#ifndef SL_NET_REASS_H
#define SL_NET_REASS_H

#include <rte_mbuf.h>

#include "net_ip.h"

#define REASS_SLOTS   64 /* datagrams at a time, per worker */
#define REASS_SOURCE  8  /* of one source */
#define REASS_FRAGS   16 /* fragments of one datagram */
#define REASS_IP4_US  30000000
#define REASS_IP6_US  60000000 /* RFC 8200 4.5 */
#define REASS_SCAN_US 1000000

struct reass_range {
	uint16_t from, to;
};

/* A datagram. dead: it was found bad, and its other fragments are to be dropped until its time is over. */
struct reass_slot {
	struct net_ip src, dst;
	uint32_t id;
	uint8_t proto, link;
	bool used, dead, first;
	uint8_t ttl;      /* of the first fragment */
	uint8_t ecn_seen; /* bit n: a fragment had the ECN bits n */
	uint8_t nb;
	uint16_t have;  /* bytes */
	uint32_t total; /* 0: the last fragment has not come yet */
	uint64_t until_us;
	struct rte_mbuf *m; /* the payload */
	struct reass_range range[REASS_FRAGS];
};

struct net_reass {
	struct reass_slot slot[REASS_SLOTS];
	uint16_t nb;      /* used ones */
	uint64_t scan_us; /* when they are to be looked at */
};

#endif
