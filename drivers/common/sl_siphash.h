/*
 * SipHash-2-4 (Aumasson and Bernstein, 2012): a hash that nobody who does not know the key can make collide.
 * Any thread; n bytes are read, in the machine's order of words, which on x86 is the algorithm's.
 */
#ifndef SL_SIPHASH_H
#define SL_SIPHASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t sl_sip_rotl(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

static inline void sl_sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = sl_sip_rotl(v[1], 13) ^ v[0];
	v[0] = sl_sip_rotl(v[0], 32);
	v[2] += v[3];
	v[3] = sl_sip_rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = sl_sip_rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = sl_sip_rotl(v[1], 17) ^ v[2];
	v[2] = sl_sip_rotl(v[2], 32);
}

static inline void sl_sip_word(uint64_t v[4], uint64_t m)
{
	v[3] ^= m;
	sl_sip_round(v);
	sl_sip_round(v);
	v[0] ^= m;
}

static inline uint64_t sl_siphash(const uint64_t key[2], const void *data, size_t n)
{
	uint64_t v[4] = {
	        key[0] ^ UINT64_C(0x736f6d6570736575),
	        key[1] ^ UINT64_C(0x646f72616e646f6d),
	        key[0] ^ UINT64_C(0x6c7967656e657261),
	        key[1] ^ UINT64_C(0x7465646279746573),
	};
	const uint8_t *p = data;
	size_t left = n;
	uint64_t m;

	for (; left >= 8; left -= 8, p += 8) {
		memcpy(&m, p, 8);
		sl_sip_word(v, m);
	}
	m = 0;
	if (left > 0)
		memcpy(&m, p, left);
	sl_sip_word(v, m | (uint64_t)(n & 0xff) << 56);
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sl_sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

#endif
