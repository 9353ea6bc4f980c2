/* Statements made at random from a grammar: what people do not write, but callers may. Same seed, same
 * statements. */
#ifndef GENERATE_H
#define GENERATE_H

#include <stddef.h>
#include <stdint.h>

/* Fills out with one statement, cut when it does not fit. Any thread. */
void generate(uint64_t *seed, char *out, size_t cap);

#endif
