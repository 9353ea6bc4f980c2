/*
 * Usage: what has been used of the policy's limits, one table for all workers and the management core. An
 * entry belongs to one limit and one subject (an identity, a resource, a role), or is that of an identity
 * itself, where its lock is. Entries are of fixed number; one that nobody uses and whose counters have all
 * run out says nothing any more, and gives way to a new one.
 *
 * Taking and putting back an entry happens at login, at the end and when the policy changes, under a lock of
 * the entry's shard that is only ever tried. Everything else is for each command: one word, changed by
 * compare-and-swap or add, no lock, no allocation, no system call. Those words order nothing else, so all of
 * it is relaxed.
 *
 * A worker's entries are also counted in a table of its own, so that what it held comes free when it is gone.
 */
#ifndef SL_USAGE_H
#define SL_USAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "sl_err.h"

#define SL_USAGE_NONE        UINT32_MAX
#define SL_USAGE_ENTRIES_MIN 16384u
#define SL_USAGE_ENTRIES_MAX (1u << 20)
#define SL_USAGE_MAX         ((UINT64_C(1) << 40) - 1) /* what a window can count to */

struct sl_usage;

/* The first half of a SHA-256 over what the entry is of: nobody can choose a subject that meets another's. */
struct sl_usage_key {
	uint64_t a, b;
};

/* Of strings with their NULs, so that no two lists give the same. */
struct sl_usage_key sl_usage_key_of(const char *const *parts, uint32_t nb);
/* Of an identity's own entry. */
struct sl_usage_key sl_usage_identity(const char *issuer, const char *subject);

/* Both clocks of the caller: rates go by the monotonic one, windows and denials by wall time. */
struct sl_usage_time {
	uint64_t mono_us, wall_us;
};

/* nb_entries is rounded up to a power of two within the bounds. NULL: out of memory, or no random numbers. */
struct sl_usage *sl_usage_new(uint32_t nb_workers, uint32_t nb_entries);
void sl_usage_free(struct sl_usage *u);

/* ---- at login, at the end ---- */

/*
 * Finds or makes the entry and counts one user of it, unless it has users_max already (0: no bound).
 * denials_s: 0, or the window of a breaker's denials that the entry counts. SL_OK; SL_AGAIN: another thread
 * is at that shard; SL_E_POLICY_LIMIT: users_max; SL_E_LIMIT: no entry left. The worker's own thread.
 */
int sl_usage_take(struct sl_usage *u, uint32_t worker, struct sl_usage_key key, uint32_t denials_s,
                  uint32_t users_max, struct sl_usage_time now, uint32_t *entry);
/* The user is gone. */
void sl_usage_put(struct sl_usage *u, uint32_t worker, uint32_t entry);
/* The worker will not run again: what it held is put back. Any thread, when it has stopped. */
void sl_usage_worker_gone(struct sl_usage *u, uint32_t worker);
uint32_t sl_usage_users(const struct sl_usage *u, uint32_t entry);

/* ---- for each command ---- */

/*
 * A rate, by the generic cell rate algorithm (ITU-T I.371) in nanoseconds: one command in interval_ns, and
 * `burst` at once. True: it may go, and was counted. _undo takes the last one back.
 */
bool sl_usage_rate(struct sl_usage *u, uint32_t entry, uint64_t mono_us, uint64_t interval_ns,
                   uint32_t burst);
void sl_usage_rate_undo(struct sl_usage *u, uint32_t entry, uint64_t interval_ns);

/*
 * Fixed windows (0 to 3; which is a minute and which a day is enum sl_limit_window). window_us is the length;
 * windows begin at multiples of it since 1970. left: how much of max is not used. spend: takes n if that much
 * is left. give: takes back what was spent and not used, in the same window only.
 */
#define SL_USAGE_WINDOWS 4
uint64_t sl_usage_left(const struct sl_usage *u, uint32_t entry, uint32_t window, uint64_t wall_us,
                       uint64_t max);
bool sl_usage_spend(struct sl_usage *u, uint32_t entry, uint32_t window, uint64_t wall_us, uint64_t n,
                    uint64_t max);
void sl_usage_give(struct sl_usage *u, uint32_t entry, uint32_t window, uint64_t wall_us, uint64_t n);
/* Of a window in microseconds. */
uint64_t sl_usage_window_us(uint32_t window);

/*
 * Counts a denial; returns how many there were in the window that the entry was taken with. The window slides
 * in steps of a quarter: none of the last denials_s is forgotten, and none counts for more than 1.25 of it.
 * At most 255 are counted. _reset forgets them.
 */
uint32_t sl_usage_denied(struct sl_usage *u, uint32_t entry, uint64_t wall_us);
void sl_usage_denied_reset(struct sl_usage *u, uint32_t entry);

/* The lock of an identity. lock: true when this call locked it. A locked entry never gives way. */
bool sl_usage_lock(struct sl_usage *u, uint32_t entry);
bool sl_usage_locked(const struct sl_usage *u, uint32_t entry);

/* ---- the management core ---- */

/* Locks or unlocks the entry of this key, made when it is not there. SL_OK, SL_E_LIMIT (no entry left, or the
 * shard stays taken). */
int sl_usage_set_lock(struct sl_usage *u, struct sl_usage_key key, bool locked, struct sl_usage_time now);

/* What the windows of a day have used, to be kept over a restart. */
struct sl_usage_day {
	struct sl_usage_key key;
	uint64_t rows, bytes;
};
/* Up to `cap` entries with something used on the day of wall_us. Returns their number. */
uint32_t sl_usage_days(struct sl_usage *u, uint64_t wall_us, struct sl_usage_day *out, uint32_t cap);
/* Before the workers run: adds what was used. SL_OK, SL_E_LIMIT. */
int sl_usage_restore(struct sl_usage *u, const struct sl_usage_day *d, struct sl_usage_time now);

#endif
