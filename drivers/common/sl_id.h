/*
 * Identifiers. 128 bits: 48 bits of wall time in milliseconds, 8 of the maker's number, 24 of a salt drawn at
 * start, 48 of a counter; printed as 26 characters of Crockford base 32, so that they sort by time as text
 * too. A worker makes them without a system call. They are names, not secrets.
 */
#ifndef SL_ID_H
#define SL_ID_H

#include <stdint.h>

#define SL_ID_STR_MAX 27 /* 26 characters and NUL */

struct sl_id {
	uint8_t b[16]; /* big endian: memcmp() orders by time */
};

struct sl_id_maker {
	uint32_t salt; /* 24 bits, random at start */
	uint8_t maker; /* the worker's number; 255 is the management core */
	uint64_t next;
};

struct sl_id sl_id_make(struct sl_id_maker *m, uint64_t wall_us);
/* The maker's number of an id. */
static inline int sl_id_maker_of(const struct sl_id *id)
{
	return id->b[6];
}
/* Print into SL_ID_STR_MAX bytes; returns out. */
const char *sl_id_str(const struct sl_id *id, char *out);
/* 0, or SL_E_INVAL. Takes lower case too. */
int sl_id_parse(const char *s, struct sl_id *out);

#endif
