/*
 * Where a loop's cycles go: time is charged to one stage at a time, the innermost. A loop that found nothing
 * to do is idle as a whole. One worker thread; the main thread reads the sums now and then (a torn sum is not
 * possible on the machines this is for).
 */
#ifndef STAGE_H
#define STAGE_H

#include <stdbool.h>
#include <stdint.h>

enum stage {
	STAGE_LOOP, /* what is in none of the others */
	STAGE_RX,
	STAGE_NET_IN,
	STAGE_TCP_IN,
	STAGE_APP,
	STAGE_TCP_OUT,
	STAGE_NET_OUT,
	STAGE_TX,
	STAGE_COUNT
};

struct stages {
	bool on; /* reading the time stamp counter for each packet costs: asked for only */
	uint64_t busy_cycles, idle_cycles, sleep_cycles;
	uint64_t loops_busy, loops_idle, sleeps;
	uint64_t cycles[STAGE_COUNT]; /* of busy loops */
};

extern struct stages stages;

const char *stage_name(enum stage s);
/* A loop begins, ends. */
void stage_begin(void);
void stage_end(bool busy);
/* After a sleep between two loops. */
void stage_slept(uint64_t cycles);
/* Returns the stage to go back to. */
enum stage stage_enter(enum stage s);

#endif
