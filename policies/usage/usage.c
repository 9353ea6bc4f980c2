#include "sl_usage.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "sl_counter.h"
#include "sl_siphash.h"
#include "sl_snapshot.h"

#define SHARD       64u  /* entries: a look-up reads all of them */
#define TRIES       1000 /* at a shard's lock */
#define NS_PER_US   1000u
#define US_PER_S    UINT64_C(1000000)
#define MINUTE_US   (60 * US_PER_S)
#define DAY_US      (86400 * US_PER_S)
#define SLICES      5 /* of a denials' window: one more than the quarters, which are never quite whole */
#define SLICE_BITS  8
#define SLICE_MAX   255u
#define STAMP_BITS  24 /* of a window or slice number */
#define STAMP_MASK  ((1u << STAMP_BITS) - 1)
#define COUNT_BITS  40
#define FLAG_LOCKED 1u
#define SLICE_SHIFT 8 /* of the slice's seconds in the flags */
#define NOBODY      0u

_Static_assert(SLICES *SLICE_BITS == COUNT_BITS, "slices and a stamp fill a word");
_Static_assert(SL_LIMIT_WINDOWS == SL_USAGE_WINDOWS, "the windows of a limit");

/* One cache line. The key changes only while `users` is 0 and the shard's lock is held. */
struct entry {
	struct sl_usage_key key;
	_Atomic uint64_t rate; /* theoretical arrival time in ns; of a breaker: stamp and slices of denials */
	_Atomic uint64_t window[SL_USAGE_WINDOWS]; /* stamp, count */
	_Atomic uint32_t users;
	_Atomic uint32_t flags; /* FLAG_LOCKED; from SLICE_SHIFT on the seconds of a slice, 0 no breaker */
};

_Static_assert(sizeof(struct entry) == 64, "an entry is a cache line");

struct shard {
	_Alignas(64) _Atomic uint32_t lock; /* who is at it: worker + 2, 1 the management core */
};

struct sl_usage {
	uint64_t secret[2]; /* of the choice of shards */
	uint32_t nb_entries, nb_shards, nb_workers;
	struct entry *entries;
	struct shard *shards;
	_Atomic uint32_t **held; /* [worker][entry]: written by the worker alone */
};

static uint64_t load(const _Atomic uint64_t *w)
{
	return atomic_load_explicit(w, memory_order_relaxed);
}

static bool swap(_Atomic uint64_t *w, uint64_t *old, uint64_t new)
{
	return atomic_compare_exchange_weak_explicit(w, old, new, memory_order_relaxed, memory_order_relaxed);
}

/* ---- life ---- */

static uint32_t round_up(uint32_t n)
{
	uint32_t size = SL_USAGE_ENTRIES_MIN;

	while (size < n && size < SL_USAGE_ENTRIES_MAX)
		size *= 2;
	return size;
}

struct sl_usage *sl_usage_new(uint32_t nb_workers, uint32_t nb_entries)
{
	struct sl_usage *u = calloc(1, sizeof(*u));
	bool good;

	if (u == NULL)
		return NULL;
	u->nb_entries = round_up(nb_entries);
	u->nb_shards = u->nb_entries / SHARD;
	u->nb_workers = nb_workers;
	u->entries = aligned_alloc(64, u->nb_entries * sizeof(*u->entries));
	u->shards = aligned_alloc(64, u->nb_shards * sizeof(*u->shards));
	u->held = calloc(nb_workers, sizeof(*u->held));
	good = u->entries != NULL && u->shards != NULL && u->held != NULL &&
	       getrandom(u->secret, sizeof(u->secret), 0) == (ssize_t)sizeof(u->secret);
	for (uint32_t i = 0; good && i < nb_workers; i++) {
		u->held[i] = calloc(u->nb_entries, sizeof(*u->held[i]));
		good = u->held[i] != NULL;
	}
	if (!good) {
		sl_usage_free(u);
		return NULL;
	}
	memset(u->entries, 0, u->nb_entries * sizeof(*u->entries));
	memset(u->shards, 0, u->nb_shards * sizeof(*u->shards));
	return u;
}

void sl_usage_free(struct sl_usage *u)
{
	if (u == NULL)
		return;
	for (uint32_t i = 0; u->held != NULL && i < u->nb_workers; i++)
		free(u->held[i]);
	free(u->held);
	free(u->shards);
	free(u->entries);
	free(u);
}

/* ---- windows ---- */

uint64_t sl_usage_window_us(uint32_t window)
{
	return window == SL_ROWS_MINUTE || window == SL_BYTES_MINUTE ? MINUTE_US : DAY_US;
}

static uint32_t stamp_of(uint64_t at_us, uint64_t length_us)
{
	return (uint32_t)(at_us / length_us) & STAMP_MASK;
}

/*
 * What a word counts at this stamp. A word that is one ahead is of a thread whose clock is a little further:
 * it holds. One further ahead is from before the clock was set back: it does not.
 */
static uint64_t count_at(uint64_t word, uint32_t *stamp)
{
	uint32_t is = (uint32_t)(word >> COUNT_BITS);

	if (is != *stamp && is != ((*stamp + 1) & STAMP_MASK))
		return 0;
	*stamp = is;
	return word & SL_USAGE_MAX;
}

uint64_t sl_usage_left(const struct sl_usage *u, uint32_t entry, uint32_t window, uint64_t wall_us,
                       uint64_t max)
{
	uint32_t stamp = stamp_of(wall_us, sl_usage_window_us(window));
	uint64_t used = count_at(load(&u->entries[entry].window[window]), &stamp);

	return used < max ? max - used : 0;
}

bool sl_usage_spend(struct sl_usage *u, uint32_t entry, uint32_t window, uint64_t wall_us, uint64_t n,
                    uint64_t max)
{
	_Atomic uint64_t *w = &u->entries[entry].window[window];
	uint64_t old = load(w), used;
	uint32_t stamp;

	do {
		stamp = stamp_of(wall_us, sl_usage_window_us(window));
		used = count_at(old, &stamp);
		if (max < SL_USAGE_MAX && (n > max || used > max - n))
			return false;
		used = n < SL_USAGE_MAX - used ? used + n : SL_USAGE_MAX;
	} while (!swap(w, &old, (uint64_t)stamp << COUNT_BITS | used));
	return true;
}

void sl_usage_give(struct sl_usage *u, uint32_t entry, uint32_t window, uint64_t wall_us, uint64_t n)
{
	_Atomic uint64_t *w = &u->entries[entry].window[window];
	uint64_t old = load(w), used;
	uint32_t stamp;

	do {
		stamp = stamp_of(wall_us, sl_usage_window_us(window));
		used = count_at(old, &stamp);
		if (used == 0)
			return;
		used = n < used ? used - n : 0;
	} while (!swap(w, &old, (uint64_t)stamp << COUNT_BITS | used));
}

/* ---- rate ---- */

bool sl_usage_rate(struct sl_usage *u, uint32_t entry, uint64_t mono_us, uint64_t interval_ns, uint32_t burst)
{
	_Atomic uint64_t *w = &u->entries[entry].rate;
	uint64_t now = mono_us * NS_PER_US, tat = load(w), from;

	do {
		from = tat > now ? tat : now;
		if (from - now > (burst - 1) * interval_ns)
			return false;
	} while (!swap(w, &tat, from + interval_ns));
	return true;
}

void sl_usage_rate_undo(struct sl_usage *u, uint32_t entry, uint64_t interval_ns)
{
	atomic_fetch_sub_explicit(&u->entries[entry].rate, interval_ns, memory_order_relaxed);
}

/* ---- denials ---- */

static uint32_t slice_s(const struct entry *e)
{
	return atomic_load_explicit(&e->flags, memory_order_relaxed) >> SLICE_SHIFT;
}

/* The slices as they stand at this stamp: those that have passed fall off at the high end. */
static uint64_t slices_at(uint64_t word, uint32_t *stamp)
{
	uint32_t is = (uint32_t)(word >> COUNT_BITS), passed = (*stamp - is) & STAMP_MASK;

	if (is == ((*stamp + 1) & STAMP_MASK)) {
		*stamp = is;
		passed = 0;
	}
	return passed < SLICES ? word << (passed * SLICE_BITS) & SL_USAGE_MAX : 0;
}

static uint32_t sum(uint64_t slices)
{
	uint32_t n = 0;

	for (; slices != 0; slices >>= SLICE_BITS)
		n += slices & SLICE_MAX;
	return n < SLICE_MAX ? n : SLICE_MAX;
}

uint32_t sl_usage_denied(struct sl_usage *u, uint32_t entry, uint64_t wall_us)
{
	struct entry *e = &u->entries[entry];
	uint32_t s = slice_s(e), stamp;
	uint64_t old = load(&e->rate), slices;

	if (s == 0)
		return 0;
	do {
		stamp = stamp_of(wall_us, s * US_PER_S);
		slices = slices_at(old, &stamp);
		slices += (slices & SLICE_MAX) < SLICE_MAX;
	} while (!swap(&e->rate, &old, (uint64_t)stamp << COUNT_BITS | slices));
	return sum(slices);
}

void sl_usage_denied_reset(struct sl_usage *u, uint32_t entry)
{
	atomic_store_explicit(&u->entries[entry].rate, 0, memory_order_relaxed);
}

/* ---- locks of identities ---- */

bool sl_usage_lock(struct sl_usage *u, uint32_t entry)
{
	return (atomic_fetch_or_explicit(&u->entries[entry].flags, FLAG_LOCKED, memory_order_relaxed) &
	        FLAG_LOCKED) == 0;
}

bool sl_usage_locked(const struct sl_usage *u, uint32_t entry)
{
	return (atomic_load_explicit(&u->entries[entry].flags, memory_order_relaxed) & FLAG_LOCKED) != 0;
}

/* ---- the table ---- */

static bool shard_take(struct sl_usage *u, uint32_t shard, uint32_t who)
{
	for (uint32_t i = 0; i < TRIES; i++) {
		uint32_t nobody = NOBODY;

		if (atomic_compare_exchange_weak_explicit(&u->shards[shard].lock, &nobody, who,
		                                          memory_order_acquire, memory_order_relaxed))
			return true;
	}
	return false;
}

static void shard_put(struct sl_usage *u, uint32_t shard)
{
	atomic_store_explicit(&u->shards[shard].lock, NOBODY, memory_order_release);
}

/* Keys follow from names, which may be chosen: nobody is to choose a shard. */
static uint32_t shard_of(const struct sl_usage *u, struct sl_usage_key key)
{
	return (uint32_t)sl_siphash(u->secret, &key.a, sizeof(key.a)) & (u->nb_shards - 1);
}

static bool denials_over(const struct entry *e, uint64_t wall_us)
{
	uint32_t stamp = stamp_of(wall_us, slice_s(e) * US_PER_S);

	return slices_at(load(&e->rate), &stamp) == 0;
}

/* Nobody uses it, and what it counts has run out: a new one could not be told from it. */
static bool gives_way(const struct entry *e, struct sl_usage_time now)
{
	if (atomic_load_explicit(&e->users, memory_order_acquire) != 0 ||
	    (atomic_load_explicit(&e->flags, memory_order_relaxed) & FLAG_LOCKED) != 0)
		return false;
	for (uint32_t i = 0; i < SL_USAGE_WINDOWS; i++) {
		uint32_t stamp = stamp_of(now.wall_us, sl_usage_window_us(i));

		if (count_at(load(&e->window[i]), &stamp) != 0)
			return false;
	}
	return slice_s(e) != 0 ? denials_over(e, now.wall_us) : load(&e->rate) <= now.mono_us * NS_PER_US;
}

static void begin(struct entry *e, struct sl_usage_key key, uint32_t denials_s)
{
	uint32_t slice = denials_s == 0 ? 0 : (denials_s + SLICES - 2) / (SLICES - 1);

	e->key = key;
	atomic_store_explicit(&e->rate, 0, memory_order_relaxed);
	for (uint32_t i = 0; i < SL_USAGE_WINDOWS; i++)
		atomic_store_explicit(&e->window[i], 0, memory_order_relaxed);
	atomic_store_explicit(&e->flags, slice << SLICE_SHIFT, memory_order_relaxed);
}

/* With the shard's lock. NULL: no entry left. */
static struct entry *find(struct sl_usage *u, struct sl_usage_key key, uint32_t denials_s,
                          struct sl_usage_time now)
{
	struct entry *first = &u->entries[shard_of(u, key) * SHARD], *room = NULL;

	for (uint32_t i = 0; i < SHARD; i++) {
		struct entry *e = &first[i];

		if (e->key.a == key.a && e->key.b == key.b)
			return e;
		if (room == NULL && gives_way(e, now))
			room = e;
	}
	if (room != NULL)
		begin(room, key, denials_s);
	return room;
}

int sl_usage_take(struct sl_usage *u, uint32_t worker, struct sl_usage_key key, uint32_t denials_s,
                  uint32_t users_max, struct sl_usage_time now, uint32_t *entry)
{
	uint32_t shard = shard_of(u, key);
	struct entry *e;
	int rc = SL_OK;

	if (!shard_take(u, shard, worker + 2))
		return SL_AGAIN;
	e = find(u, key, denials_s, now);
	if (e == NULL) {
		rc = sl_fail(SL_E_LIMIT);
	} else if (users_max != 0 && atomic_load_explicit(&e->users, memory_order_relaxed) >= users_max) {
		rc = sl_fail(SL_E_POLICY_LIMIT);
	} else {
		*entry = (uint32_t)(e - u->entries);
		atomic_fetch_add_explicit(&u->held[worker][*entry], 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&e->users, 1, memory_order_relaxed);
	}
	shard_put(u, shard);
	return rc;
}

/* Without the lock: one user fewer can only make room. Release: what it has counted is seen by who reuses the
 * entry. */
void sl_usage_put(struct sl_usage *u, uint32_t worker, uint32_t entry)
{
	atomic_fetch_sub_explicit(&u->held[worker][entry], 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&u->entries[entry].users, 1, memory_order_release);
}

void sl_usage_worker_gone(struct sl_usage *u, uint32_t worker)
{
	for (uint32_t i = 0; i < u->nb_shards; i++) {
		if (atomic_load_explicit(&u->shards[i].lock, memory_order_relaxed) == worker + 2)
			shard_put(u, i);
	}
	for (uint32_t i = 0; i < u->nb_entries; i++) {
		uint32_t n = atomic_exchange_explicit(&u->held[worker][i], 0, memory_order_relaxed);

		if (n > 0)
			atomic_fetch_sub_explicit(&u->entries[i].users, n, memory_order_release);
	}
}

uint32_t sl_usage_users(const struct sl_usage *u, uint32_t entry)
{
	return atomic_load_explicit(&u->entries[entry].users, memory_order_relaxed);
}

/* ---- the management core ---- */

/* With the entry's shard taken; NULL: none left, or its lock stays taken. Then nothing was taken. */
static struct entry *mgmt_find(struct sl_usage *u, struct sl_usage_key key, struct sl_usage_time now)
{
	struct entry *e;

	if (!shard_take(u, shard_of(u, key), 1))
		return NULL;
	e = find(u, key, 0, now);
	if (e == NULL)
		shard_put(u, shard_of(u, key));
	return e;
}

int sl_usage_set_lock(struct sl_usage *u, struct sl_usage_key key, bool locked, struct sl_usage_time now)
{
	struct entry *e = mgmt_find(u, key, now);

	if (e == NULL)
		return sl_fail(SL_E_LIMIT);
	if (locked)
		atomic_fetch_or_explicit(&e->flags, FLAG_LOCKED, memory_order_relaxed);
	else
		atomic_fetch_and_explicit(&e->flags, ~FLAG_LOCKED, memory_order_relaxed);
	shard_put(u, shard_of(u, key));
	return SL_OK;
}

static uint64_t used(const struct sl_usage *u, uint32_t entry, uint32_t window, uint64_t wall_us)
{
	return SL_USAGE_MAX - sl_usage_left(u, entry, window, wall_us, SL_USAGE_MAX);
}

static uint32_t days_of_shard(struct sl_usage *u, uint32_t shard, uint64_t wall_us, struct sl_usage_day *out,
                              uint32_t cap)
{
	uint32_t n = 0;

	for (uint32_t i = shard * SHARD; i < (shard + 1) * SHARD && n < cap; i++) {
		struct sl_usage_day d = {.key = u->entries[i].key,
		                         .rows = used(u, i, SL_ROWS_DAY, wall_us),
		                         .bytes = used(u, i, SL_BYTES_DAY, wall_us)};

		if (d.rows + d.bytes > 0)
			out[n++] = d;
	}
	return n;
}

/* A shard that stays taken is left out: it is there the next time. */
uint32_t sl_usage_days(struct sl_usage *u, uint64_t wall_us, struct sl_usage_day *out, uint32_t cap)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < u->nb_shards && n < cap; i++) {
		if (!shard_take(u, i, 1))
			continue;
		n += days_of_shard(u, i, wall_us, out + n, cap - n);
		shard_put(u, i);
	}
	return n;
}

int sl_usage_restore(struct sl_usage *u, const struct sl_usage_day *d, struct sl_usage_time now)
{
	struct entry *e = mgmt_find(u, d->key, now);
	uint32_t i;

	if (e == NULL)
		return sl_fail(SL_E_LIMIT);
	i = (uint32_t)(e - u->entries);
	(void)sl_usage_spend(u, i, SL_ROWS_DAY, now.wall_us, d->rows, SL_USAGE_MAX);
	(void)sl_usage_spend(u, i, SL_BYTES_DAY, now.wall_us, d->bytes, SL_USAGE_MAX);
	shard_put(u, shard_of(u, d->key));
	return SL_OK;
}
