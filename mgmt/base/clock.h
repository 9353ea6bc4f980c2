/* The two clocks in microseconds: wall time for people and tokens, monotonic time for waiting. */
#ifndef MG_CLOCK_H
#define MG_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t mg_clock_us(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static inline uint64_t mg_wall_us(void)
{
	return mg_clock_us(CLOCK_REALTIME);
}

static inline uint64_t mg_mono_us(void)
{
	return mg_clock_us(CLOCK_MONOTONIC);
}

#endif
