/*
 * Ticks of a core's counter in microseconds, with one multiplication and no division: each turn of a worker's
 * loop asks. Any thread.
 */
#ifndef SL_TICKS_H
#define SL_TICKS_H

#include <stdint.h>

/* Microseconds in a tick of a counter with hz ticks in a second, times 2^64; hz is above 1,000,000. */
static inline uint64_t sl_ticks_scale(uint64_t hz)
{
	return (uint64_t)(((unsigned __int128)1000000 << 64) / hz);
}

/* Never more than ticks / hz is, and less by two microseconds at most; it does not fall while ticks rise. */
static inline uint64_t sl_ticks_us(uint64_t ticks, uint64_t scale)
{
	return (uint64_t)((unsigned __int128)ticks * scale >> 64);
}

#endif
