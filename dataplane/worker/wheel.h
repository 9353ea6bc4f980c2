/*
 * Deadlines of sessions, coarse and free of cost while nothing is due: a ring of slots of WHEEL_STEP_US. An
 * entry that lies beyond the ring waits in its last slot and is looked at once per round. One thread.
 */
#ifndef WHEEL_H
#define WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define WHEEL_STEP_US  (UINT64_C(1) << 17) /* 131 ms: how much later than asked an entry may come */
#define WHEEL_SLOTS    1024                /* a round is 134 s; a power of two */
#define WHEEL_RUN_MAX  256                 /* entries that a run looks at; the others wait for the next one */
#define WHEEL_NO_ENTRY UINT64_MAX

struct wheel_entry {
	TAILQ_ENTRY(wheel_entry) link;
	uint64_t due_us;
	uint64_t step; /* whose slot it is in; 0: in none */
};

struct wheel {
	TAILQ_HEAD(wheel_slot, wheel_entry) slot[WHEEL_SLOTS];
	uint64_t step; /* done with */
};

void wheel_init(struct wheel *w, uint64_t now_us);
/* The entry, zeroed at first, comes out at due_us or up to a step later; WHEEL_NO_ENTRY: never. Replaces what
 * was set. */
void wheel_set(struct wheel *w, struct wheel_entry *e, uint64_t due_us);
void wheel_remove(struct wheel *w, struct wheel_entry *e);
/* Takes out what is due and calls fn with it, which may set and remove any entry. True: some is due still. */
bool wheel_run(struct wheel *w, uint64_t now_us, void (*fn)(void *ctx, struct wheel_entry *e), void *ctx);

#endif
