#include "neigh.h"

#include <string.h>

#include "sl_fault.h"

#define LINK_SHIFT  56
#define STATE_SHIFT 48

enum neigh_request_state {
	REQUEST_FREE = 0,
	REQUEST_WRITING, /* a worker has it and fills it in */
	REQUEST_READY,
};

static uint64_t pack(uint8_t link, enum neigh_state state, const uint8_t mac[6])
{
	uint64_t v = 0;

	for (int i = 0; i < 6; i++)
		v = v << 8 | mac[i];
	return v | (uint64_t)state << STATE_SHIFT | (uint64_t)link << LINK_SHIFT;
}

static enum neigh_state unpack(uint64_t v, uint8_t mac[6])
{
	enum neigh_state state = (enum neigh_state)(v >> STATE_SHIFT & 0xff);

	for (int i = 5; i >= 0; i--, v >>= 8)
		mac[i] = (uint8_t)v;
	return state;
}

static bool is(uint64_t w0, uint64_t w1, uint64_t value, const struct neigh_key *key)
{
	return w0 == key->ip.w[0] && w1 == key->ip.w[1] && value >> LINK_SHIFT == key->link &&
	       (value >> STATE_SHIFT & 0xff) != NEIGH_NONE;
}

/* Keyed, so that a host of the subnet cannot choose addresses that all fall into one bucket. */
static uint32_t hash(const struct neigh_table *t, const struct neigh_key *key)
{
	uint64_t x = (key->ip.w[0] ^ t->hash_key) + key->link;

	x ^= x >> 32;
	x *= UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 29) + key->ip.w[1];
	x ^= x >> 32;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 30 ^ t->hash_key) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)(x >> 32);
}

static struct neigh *bucket(struct neigh_table *t, const struct neigh_key *key)
{
	return t->entry[hash(t, key) & (NEIGH_BUCKETS - 1)];
}

void neigh_init(struct neigh_table *t, uint64_t hash_key)
{
	t->hash_key = hash_key;
	TAILQ_INIT(&t->incomplete);
}

enum neigh_state neigh_read(struct neigh_table *t, const struct neigh_key *key, uint8_t mac[6])
{
	struct neigh *b = bucket(t, key);

	for (int i = 0; i < NEIGH_WAYS; i++) {
		struct neigh *n = &b[i];
		uint32_t before;
		uint64_t w0;
		uint64_t w1;
		uint64_t v;

		do {
			before = atomic_load_explicit(&n->seq, memory_order_acquire);
			w0 = atomic_load_explicit(&n->ip[0], memory_order_acquire);
			w1 = atomic_load_explicit(&n->ip[1], memory_order_acquire);
			v = atomic_load_explicit(&n->value, memory_order_acquire);
		} while ((before & 1) != 0 || before != atomic_load_explicit(&n->seq, memory_order_relaxed));
		if (!is(w0, w1, v, key))
			continue;
		if (!atomic_load_explicit(&n->used, memory_order_relaxed))
			atomic_store_explicit(&n->used, true, memory_order_relaxed);
		return unpack(v, mac);
	}
	return NEIGH_NONE;
}

/*
 * The place is claimed first, then filled in, then given over with release: worker 0 takes it with acquire
 * and frees it with release. A place that is taken by whatever request is "ask again later".
 */
bool neigh_request(struct neigh_table *t, const struct neigh_key *key)
{
	struct neigh_request *r = &t->request[hash(t, key) & (NEIGH_REQUESTS - 1)];
	uint32_t state = REQUEST_FREE;

	sl_fault_shared_begin(); /* a place that stays half filled is lost */
	if (!atomic_compare_exchange_strong_explicit(&r->state, &state, REQUEST_WRITING, memory_order_acquire,
	                                             memory_order_relaxed)) {
		sl_fault_shared_end();
		/* Who has seen that somebody asks may have died before it took what. */
		if (state == REQUEST_READY)
			atomic_store_explicit(&t->requested, true, memory_order_release);
		return false;
	}
	atomic_store_explicit(&r->link, key->link, memory_order_relaxed);
	atomic_store_explicit(&r->ip[0], key->ip.w[0], memory_order_relaxed);
	atomic_store_explicit(&r->ip[1], key->ip.w[1], memory_order_relaxed);
	atomic_store_explicit(&r->state, REQUEST_READY, memory_order_release);
	atomic_store_explicit(&t->requested, true, memory_order_release);
	sl_fault_shared_end();
	return true;
}

bool neigh_request_take(struct neigh_table *t, uint32_t i, struct neigh_key *key)
{
	struct neigh_request *r = &t->request[i];

	if (atomic_load_explicit(&r->state, memory_order_acquire) != REQUEST_READY)
		return false;
	key->link = atomic_load_explicit(&r->link, memory_order_relaxed);
	key->ip.w[0] = atomic_load_explicit(&r->ip[0], memory_order_relaxed);
	key->ip.w[1] = atomic_load_explicit(&r->ip[1], memory_order_relaxed);
	atomic_store_explicit(&r->state, REQUEST_FREE, memory_order_release);
	return true;
}

struct neigh *neigh_find(struct neigh_table *t, const struct neigh_key *key)
{
	struct neigh *b = bucket(t, key);

	for (int i = 0; i < NEIGH_WAYS; i++) {
		if (is(atomic_load_explicit(&b[i].ip[0], memory_order_relaxed),
		       atomic_load_explicit(&b[i].ip[1], memory_order_relaxed),
		       atomic_load_explicit(&b[i].value, memory_order_relaxed), key))
			return &b[i];
	}
	return NULL;
}

enum neigh_state neigh_own_state(const struct neigh *n, uint8_t mac[6])
{
	return unpack(atomic_load_explicit(&n->value, memory_order_relaxed), mac);
}

struct neigh_key neigh_own_key(const struct neigh *n)
{
	struct neigh_key k;

	k.ip.w[0] = atomic_load_explicit(&n->ip[0], memory_order_relaxed);
	k.ip.w[1] = atomic_load_explicit(&n->ip[1], memory_order_relaxed);
	k.link = (uint8_t)(atomic_load_explicit(&n->value, memory_order_relaxed) >> LINK_SHIFT);
	return k;
}

/* How much a place is worth keeping: 0 free. */
static int worth(const struct neigh *n)
{
	uint8_t mac[6];

	switch (neigh_own_state(n, mac)) {
	case NEIGH_NONE:
		return 0;
	case NEIGH_FAILED:
		return 1;
	case NEIGH_INCOMPLETE:
		return 2;
	case NEIGH_STALE:
		return 3;
	case NEIGH_REACHABLE:
	case NEIGH_DELAY:
	case NEIGH_PROBE:
		break;
	}
	return atomic_load_explicit(&n->used, memory_order_relaxed) ? 5 : 4;
}

struct neigh *neigh_add(struct neigh_table *t, const struct neigh_key *key, bool evict)
{
	struct neigh *b = bucket(t, key);
	struct neigh *best = &b[0];

	for (int i = 1; i < NEIGH_WAYS; i++) {
		int w = worth(&b[i]);

		if (w < worth(best) || (w == worth(best) && b[i].due_us < best->due_us))
			best = &b[i];
	}
	return worth(best) <= 1 || evict ? best : NULL;
}

static void note_incomplete(struct neigh_table *t, struct neigh *n, bool was, bool is_now)
{
	if (was)
		TAILQ_REMOVE(&t->incomplete, n, incomplete_link);
	if (is_now)
		TAILQ_INSERT_TAIL(&t->incomplete, n, incomplete_link);
	t->nb_incomplete += is_now;
	t->nb_incomplete -= was;
}

void neigh_set(struct neigh_table *t, struct neigh *n, const struct neigh_key *key, enum neigh_state state,
               const uint8_t mac[6])
{
	static const uint8_t none[6] = {0};
	uint32_t seq = atomic_load_explicit(&n->seq, memory_order_relaxed);
	uint64_t value = state == NEIGH_NONE ? 0 : pack(key->link, state, mac != NULL ? mac : none);
	uint8_t old[6];

	/* Half done, it would keep every reader and the next writer. */
	sl_fault_shared_begin();
	note_incomplete(t, n, neigh_own_state(n, old) == NEIGH_INCOMPLETE, state == NEIGH_INCOMPLETE);
	atomic_store_explicit(&n->seq, seq + 1, memory_order_relaxed);
	atomic_store_explicit(&n->ip[0], key->ip.w[0], memory_order_release);
	atomic_store_explicit(&n->ip[1], key->ip.w[1], memory_order_release);
	atomic_store_explicit(&n->value, value, memory_order_release);
	atomic_store_explicit(&n->seq, seq + 2, memory_order_release);
	n->probes = 0;
	atomic_fetch_add_explicit(&t->changes, 1, memory_order_release);
	sl_fault_shared_end();
}
