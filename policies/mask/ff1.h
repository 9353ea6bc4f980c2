/*
 * FF1 of NIST SP 800-38G: encrypts a string of numerals of a radix to one of the same length, with AES-256
 * (in tests also shorter keys). Only encryption: nothing here ever gives the value back. No allocation.
 */
#ifndef FF1_H
#define FF1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FF1_NUMERALS_MAX 640 /* of radix 2; of others as long as half of them has 320 bits */

struct ff1_key {
	_Alignas(16) uint8_t schedule[256]; /* AES_KEY */
};

/* nb_bits: 128, 192 or 256. */
bool ff1_key_set(struct ff1_key *k, const uint8_t *key, unsigned int nb_bits);
void ff1_key_clear(struct ff1_key *k);

/* x: n numerals, each below the radix (2 to 256), in place. False: n or the radix is out of bounds. */
bool ff1_encrypt(const struct ff1_key *k, uint32_t radix, const uint8_t *tweak, size_t tweak_n, uint8_t *x,
                 uint32_t n);

/* ---- numbers of many words, the lowest first ---- */

#define BIG_WORDS 21 /* 640 bits, and one word more for what is multiplied */

struct big {
	uint32_t w[BIG_WORDS];
	uint32_t n; /* words in use */
};

/* False: it grew beyond its words. */
bool big_mul_add(struct big *b, uint32_t mul, uint32_t add);
uint32_t big_div(struct big *b, uint32_t div); /* the rest */
uint32_t big_bits(const struct big *b);
int big_cmp(const struct big *a, const struct big *b);

#endif
