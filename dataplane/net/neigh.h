/*
 * The neighbour table, one for all workers and both families: address on a link to MAC address. One worker
 * writes, all read: worker 0, as it is called here, or the lowest alive when that one has died.
 *
 * Each entry has a sequence lock. The writer makes `seq` odd, stores the fields with release, makes it even
 * again with release. A reader loads `seq` with acquire, the fields with acquire, then `seq` again: a field
 * that it read from a later write brings the odd `seq` with it, so that the second look differs and it reads
 * again. There is no fence, so that thread sanitizers follow the argument.
 *
 * Entries live in buckets of fixed places and never move, so a reader needs nothing but the bucket.
 */
#ifndef SL_NET_NEIGH_H
#define SL_NET_NEIGH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "net_ip.h"

#define NEIGH_BUCKETS  256 /* power of two */
#define NEIGH_WAYS     8
#define NEIGH_REQUESTS 64 /* places for other workers' requests; power of two */

/* The states of RFC 4861 7.3.2, and one for who did not answer. */
enum neigh_state {
	NEIGH_NONE = 0,
	NEIGH_INCOMPLETE, /* everybody was asked, no answer yet */
	NEIGH_REACHABLE,  /* answered a short while ago */
	NEIGH_STALE,      /* known, but nobody has looked for a while */
	NEIGH_DELAY,      /* the same, and used: it will be asked */
	NEIGH_PROBE,      /* being asked itself; used meanwhile */
	NEIGH_FAILED,
};

struct neigh_key {
	struct net_ip ip;
	uint8_t link;
};

struct neigh {
	_Alignas(64) _Atomic uint32_t seq;
	_Atomic bool used; /* set by readers, cleared by worker 0 */
	uint8_t probes;    /* worker 0's own: sent in this state */
	_Atomic uint64_t ip[2];
	_Atomic uint64_t value; /* link, state, MAC; 0: free */
	/* Worker 0's own. */
	uint64_t due_us;    /* next probe, or end of the state */
	uint64_t forget_us; /* STALE: unused until then, it goes */
	TAILQ_ENTRY(neigh) incomplete_link;
};

/* A worker's wish to have a neighbour resolved. */
struct neigh_request {
	_Atomic uint32_t state; /* enum neigh_request_state in neigh.c */
	_Atomic uint8_t link;
	_Atomic uint64_t ip[2];
};

struct neigh_table {
	struct neigh entry[NEIGH_BUCKETS][NEIGH_WAYS];
	struct neigh_request request[NEIGH_REQUESTS];
	_Atomic bool requested;
	_Atomic uint32_t changes; /* counts changes of a state or address */
	uint64_t hash_key;
	/* Worker 0's own. */
	TAILQ_HEAD(, neigh) incomplete; /* who was asked first is in front */
	uint32_t nb_incomplete;
};

/* An empty table in memory that is zero. Main thread. */
void neigh_init(struct neigh_table *t, uint64_t hash_key);

/* Packets may be sent to it. */
static inline bool neigh_usable(enum neigh_state s)
{
	return s >= NEIGH_REACHABLE && s <= NEIGH_PROBE;
}

/* The state of a neighbour, NEIGH_NONE when unknown, and its MAC when usable. Any worker. */
enum neigh_state neigh_read(struct neigh_table *t, const struct neigh_key *key, uint8_t mac[6]);
/* Asks worker 0 to resolve. False: no place now, ask again later. Any worker. */
bool neigh_request(struct neigh_table *t, const struct neigh_key *key);

/* The rest: worker 0 only. */
/* Takes the request in place i (0 to NEIGH_REQUESTS - 1). False: there is none. */
bool neigh_request_take(struct neigh_table *t, uint32_t i, struct neigh_key *key);
struct neigh *neigh_find(struct neigh_table *t, const struct neigh_key *key);
/*
 * A place for a new neighbour, NULL when there is none. A free one; else a failed one or, when `evict`, one
 * that is being asked for, or the one that was confirmed the longest ago. What others only tell us of
 * themselves (evict false) pushes out nothing alive.
 */
struct neigh *neigh_add(struct neigh_table *t, const struct neigh_key *key, bool evict);
void neigh_set(struct neigh_table *t, struct neigh *n, const struct neigh_key *key, enum neigh_state state,
               const uint8_t mac[6]);
enum neigh_state neigh_own_state(const struct neigh *n, uint8_t mac[6]);
struct neigh_key neigh_own_key(const struct neigh *n);

#endif
