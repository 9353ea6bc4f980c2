/*
 * Values in PostgreSQL's binary format as the text that PostgreSQL would print, for records and for people
 * (PostgreSQL 15, the types' send and receive functions). Only types of the server itself are known, by their
 * numbers, which cannot be given to others.
 */
#ifndef PGVALUE_H
#define PGVALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "sl_span.h"

/*
 * Writes the value to out, at most cap bytes; *cut: it was longer. Returns the number of bytes, or -1: the
 * type is not known, or the bytes are no value of it. Allocates nothing; what it does is bounded by cap.
 */
long pgvalue_text(uint32_t type, struct sl_span value, char *out, size_t cap, bool *cut);

#endif
