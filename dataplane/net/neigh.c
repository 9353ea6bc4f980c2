#include "neigh.h"

#include <string.h>

#define KEY_VALID   (UINT64_C(1) << 63)
#define STATE_SHIFT 48

uint64_t neigh_key(uint8_t ifidx, uint32_t ip)
{
	return KEY_VALID | (uint64_t)ifidx << 32 | ip;
}

uint8_t neigh_key_ifidx(uint64_t key)
{
	return (uint8_t)(key >> 32);
}

uint32_t neigh_key_ip(uint64_t key)
{
	return (uint32_t)key;
}

static uint64_t pack(enum neigh_state state, const uint8_t mac[6])
{
	uint64_t v = 0;

	for (int i = 0; i < 6; i++)
		v = v << 8 | mac[i];
	return v | (uint64_t)state << STATE_SHIFT;
}

static enum neigh_state unpack(uint64_t v, uint8_t mac[6])
{
	for (int i = 5; i >= 0; i--, v >>= 8)
		mac[i] = (uint8_t)v;
	return (enum neigh_state)(v & 0xff);
}

/* Keyed, so that a host of the subnet cannot choose addresses that all fall into one bucket. */
static uint32_t hash(const struct neigh_table *t, uint64_t key)
{
	uint64_t x = key ^ t->hash_key;

	x ^= x >> 32;
	x *= UINT64_C(0x9e3779b97f4a7c15);
	x ^= x >> 29;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	return (uint32_t)(x >> 32);
}

static struct neigh *bucket(struct neigh_table *t, uint64_t key)
{
	return t->entry[hash(t, key) & (NEIGH_BUCKETS - 1)];
}

enum neigh_state neigh_read(struct neigh_table *t, uint64_t key, uint8_t mac[6])
{
	struct neigh *b = bucket(t, key);

	for (int i = 0; i < NEIGH_WAYS; i++) {
		struct neigh *n = &b[i];
		uint32_t before;
		uint64_t k;
		uint64_t v;

		do {
			before = atomic_load_explicit(&n->seq, memory_order_acquire);
			k = atomic_load_explicit(&n->key, memory_order_acquire);
			v = atomic_load_explicit(&n->value, memory_order_acquire);
		} while ((before & 1) != 0 || before != atomic_load_explicit(&n->seq, memory_order_relaxed));
		if (k != key)
			continue;
		if (!atomic_load_explicit(&n->used, memory_order_relaxed))
			atomic_store_explicit(&n->used, true, memory_order_relaxed);
		return unpack(v, mac);
	}
	return NEIGH_NONE;
}

bool neigh_request(struct neigh_table *t, uint64_t key)
{
	_Atomic uint64_t *place = &t->request[hash(t, key) & (NEIGH_REQUESTS - 1)];
	uint64_t old = 0;

	if (!atomic_compare_exchange_strong(place, &old, key) && old != key)
		return false;
	atomic_store_explicit(&t->requested, true, memory_order_release);
	return true;
}

struct neigh *neigh_find(struct neigh_table *t, uint64_t key)
{
	struct neigh *b = bucket(t, key);

	for (int i = 0; i < NEIGH_WAYS; i++) {
		if (atomic_load_explicit(&b[i].key, memory_order_relaxed) == key)
			return &b[i];
	}
	return NULL;
}

enum neigh_state neigh_own_state(const struct neigh *n, uint8_t mac[6])
{
	return unpack(atomic_load_explicit(&n->value, memory_order_relaxed), mac);
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
	case NEIGH_REACHABLE:
	case NEIGH_PROBE:
		break;
	}
	return atomic_load_explicit(&n->used, memory_order_relaxed) ? 4 : 3;
}

struct neigh *neigh_add(struct neigh_table *t, uint64_t key, bool evict)
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

void neigh_set(struct neigh_table *t, struct neigh *n, uint64_t key, enum neigh_state state,
               const uint8_t mac[6])
{
	static const uint8_t none[6] = {0};
	uint32_t seq = atomic_load_explicit(&n->seq, memory_order_relaxed);

	atomic_store_explicit(&n->seq, seq + 1, memory_order_relaxed);
	atomic_store_explicit(&n->key, state == NEIGH_NONE ? 0 : key, memory_order_release);
	atomic_store_explicit(&n->value, pack(state, mac != NULL ? mac : none), memory_order_release);
	atomic_store_explicit(&n->seq, seq + 2, memory_order_release);
	n->probes = 0;
	atomic_fetch_add_explicit(&t->changes, 1, memory_order_release);
}
