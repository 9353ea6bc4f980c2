/*
 * The neighbour table, one for all workers: IPv4 address on an interface to MAC address. Worker 0 writes, all
 * read.
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

#define NEIGH_BUCKETS  256 /* power of two */
#define NEIGH_WAYS     8
#define NEIGH_REQUESTS 64 /* places for other workers' requests; power of two */

#define NEIGH_PROBES       3        /* of each kind */
#define NEIGH_PROBE_US     1000000  /* between two of them */
#define NEIGH_REACHABLE_US 60000000 /* known for so long before it is asked again */
#define NEIGH_FAILED_US    3000000  /* nothing is sent, and nobody asked, for so long after a failure */
#define NEIGH_SCAN_US      100000   /* the table is looked through so often */

enum neigh_state {
	NEIGH_NONE = 0,
	NEIGH_INCOMPLETE, /* asked by broadcast, no answer yet */
	NEIGH_REACHABLE,
	NEIGH_PROBE, /* old or doubted: asked by unicast, used meanwhile */
	NEIGH_FAILED,
};

struct neigh {
	_Alignas(64) _Atomic uint32_t seq;
	_Atomic bool used;      /* set by readers, cleared by worker 0 */
	_Atomic uint64_t key;   /* 0: free */
	_Atomic uint64_t value; /* state and MAC */
	/* Worker 0's own. */
	uint64_t due_us; /* next probe, or end of the state */
	uint8_t probes;  /* sent in this state */
};

struct neigh_table {
	struct neigh entry[NEIGH_BUCKETS][NEIGH_WAYS];
	_Atomic uint64_t request[NEIGH_REQUESTS]; /* keys; 0: free place */
	_Atomic bool requested;
	_Atomic uint32_t changes; /* counts changes of a state or address */
	uint64_t hash_key;
};

uint64_t neigh_key(uint8_t ifidx, uint32_t ip);
uint8_t neigh_key_ifidx(uint64_t key);
uint32_t neigh_key_ip(uint64_t key);

/* The state of a neighbour, NEIGH_NONE when unknown, and its MAC when REACHABLE or PROBE. Any worker. */
enum neigh_state neigh_read(struct neigh_table *t, uint64_t key, uint8_t mac[6]);
/* Asks worker 0 to resolve. False: no place now, ask again later. Any worker. */
bool neigh_request(struct neigh_table *t, uint64_t key);

/* The rest: worker 0 only. */
struct neigh *neigh_find(struct neigh_table *t, uint64_t key);
/*
 * A place for a new neighbour, NULL when there is none. A free one; else a failed one or, when `evict`, the
 * one that was confirmed the longest ago. What others only tell us of themselves (evict false) pushes out
 * nothing alive.
 */
struct neigh *neigh_add(struct neigh_table *t, uint64_t key, bool evict);
void neigh_set(struct neigh_table *t, struct neigh *n, uint64_t key, enum neigh_state state,
               const uint8_t mac[6]);
enum neigh_state neigh_own_state(const struct neigh *n, uint8_t mac[6]);

#endif
