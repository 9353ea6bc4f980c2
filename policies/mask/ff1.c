/* The names are those of SP 800-38G, algorithm 7. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "ff1.h"

#include <openssl/aes.h>
#include <openssl/crypto.h>
#include <string.h>

#define ROUNDS     10
#define BLOCK      16
#define HALF_BYTES 40 /* b at most */

_Static_assert(sizeof(AES_KEY) <= sizeof(((struct ff1_key *)0)->schedule), "a key schedule has room");

/* ---- numbers ---- */

bool big_mul_add(struct big *b, uint32_t mul, uint32_t add)
{
	uint64_t carry = add;

	for (uint32_t i = 0; i < b->n; i++) {
		carry += (uint64_t)b->w[i] * mul;
		b->w[i] = (uint32_t)carry;
		carry >>= 32;
	}
	if (carry != 0) {
		if (b->n == BIG_WORDS)
			return false;
		b->w[b->n++] = (uint32_t)carry;
	}
	return true;
}

uint32_t big_div(struct big *b, uint32_t div)
{
	uint64_t rest = 0;

	for (uint32_t i = b->n; i-- > 0;) {
		rest = rest << 32 | b->w[i];
		b->w[i] = (uint32_t)(rest / div);
		rest %= div;
	}
	while (b->n > 0 && b->w[b->n - 1] == 0)
		b->n--;
	return (uint32_t)rest;
}

uint32_t big_bits(const struct big *b)
{
	return b->n == 0 ? 0 : 32 * b->n - (uint32_t)__builtin_clz(b->w[b->n - 1]);
}

int big_cmp(const struct big *a, const struct big *b)
{
	if (a->n != b->n)
		return a->n < b->n ? -1 : 1;
	for (uint32_t i = a->n; i-- > 0;) {
		if (a->w[i] != b->w[i])
			return a->w[i] < b->w[i] ? -1 : 1;
	}
	return 0;
}

/* ---- FF1 ---- */

bool ff1_key_set(struct ff1_key *k, const uint8_t *key, unsigned int nb_bits)
{
	return AES_set_encrypt_key(key, (int)nb_bits, (AES_KEY *)(void *)k->schedule) == 0;
}

void ff1_key_clear(struct ff1_key *k)
{
	OPENSSL_cleanse(k, sizeof(*k));
}

struct ff1 {
	const AES_KEY *aes;
	uint32_t radix;
	uint32_t chunk, per_chunk; /* the largest power of the radix in a word, and which it is */
	uint32_t b, d;
	size_t pad; /* zeros between the tweak and the round's number */
	const uint8_t *tweak;
	size_t tweak_n;
	uint8_t p[BLOCK]; /* encrypted */
};

struct half {
	uint8_t v[FF1_NUMERALS_MAX / 2];
	uint32_t n;
};

static void num(const struct ff1 *f, const struct half *h, struct big *out)
{
	out->n = 0;
	for (uint32_t i = 0; i < h->n;) {
		uint32_t mul = 1, add = 0;

		for (uint32_t k = 0; k < f->per_chunk && i < h->n; k++, i++) {
			mul *= f->radix;
			add = add * f->radix + h->v[i];
		}
		(void)big_mul_add(out, mul, add);
	}
}

/* The CBC-MAC goes on over one byte after the other. */
struct mac {
	const AES_KEY *aes;
	uint8_t r[BLOCK];
	uint32_t at;
};

static void mac_byte(struct mac *m, uint8_t c)
{
	m->r[m->at++] ^= c;
	if (m->at == BLOCK) {
		AES_encrypt(m->r, m->r, m->aes);
		m->at = 0;
	}
}

static void prf(const struct ff1 *f, uint8_t i, const struct big *b, uint8_t r[BLOCK])
{
	struct mac m = {.aes = f->aes};

	memcpy(m.r, f->p, BLOCK);
	for (size_t k = 0; k < f->tweak_n; k++)
		mac_byte(&m, f->tweak[k]);
	for (size_t k = 0; k < f->pad; k++)
		mac_byte(&m, 0);
	mac_byte(&m, i);
	for (uint32_t k = f->b; k-- > 0;)
		mac_byte(&m, k / 4 < b->n ? (uint8_t)(b->w[k / 4] >> 8 * (k % 4)) : 0);
	memcpy(r, m.r, BLOCK);
}

/* y: the first d bytes of R and of what follows from it, as a number. */
static void stretch(const struct ff1 *f, const uint8_t r[BLOCK], struct big *y)
{
	uint8_t s[HALF_BYTES + 2 * BLOCK];
	uint32_t made = BLOCK;

	memcpy(s, r, BLOCK);
	for (uint8_t j = 1; made < f->d; j++, made += BLOCK) {
		memcpy(s + made, r, BLOCK);
		s[made + BLOCK - 1] ^= j;
		AES_encrypt(s + made, s + made, f->aes);
	}
	y->n = f->d / 4; /* d is a multiple of 4 */
	for (uint32_t i = 0; i < y->n; i++) {
		const uint8_t *p = s + f->d - 4 * (i + 1);

		y->w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	}
	while (y->n > 0 && y->w[y->n - 1] == 0)
		y->n--;
}

/* a becomes (a + y) mod radix^m, numeral by numeral from the last one. */
static void add(const struct ff1 *f, struct half *a, struct big *y)
{
	uint32_t carry = 0, part = 0, left = 0;

	for (uint32_t i = a->n; i-- > 0;) {
		uint32_t sum;

		if (left == 0) {
			part = big_div(y, f->chunk);
			left = f->per_chunk;
		}
		sum = a->v[i] + part % f->radix + carry;
		part /= f->radix;
		left--;
		carry = sum >= f->radix;
		a->v[i] = (uint8_t)(sum - carry * f->radix);
	}
}

static bool prepare(struct ff1 *f, uint32_t u, uint32_t v, uint32_t n)
{
	struct big most = {.n = 0};

	for (f->chunk = f->radix, f->per_chunk = 1; (uint64_t)f->chunk * f->radix <= UINT32_MAX;
	     f->per_chunk++)
		f->chunk *= f->radix;
	for (uint32_t i = 0; i < v; i++)
		if (!big_mul_add(&most, f->radix, f->radix - 1))
			return false;
	f->b = (big_bits(&most) + 7) / 8;
	f->d = 4 * ((f->b + 3) / 4) + 4;
	f->pad = (BLOCK - (f->tweak_n + f->b + 1) % BLOCK) % BLOCK;
	memcpy(f->p,
	       (uint8_t[BLOCK]){1, 2, 1, (uint8_t)(f->radix >> 16), (uint8_t)(f->radix >> 8),
	                        (uint8_t)f->radix, ROUNDS, (uint8_t)u, (uint8_t)(n >> 24), (uint8_t)(n >> 16),
	                        (uint8_t)(n >> 8), (uint8_t)n, (uint8_t)(f->tweak_n >> 24),
	                        (uint8_t)(f->tweak_n >> 16), (uint8_t)(f->tweak_n >> 8), (uint8_t)f->tweak_n},
	       BLOCK);
	AES_encrypt(f->p, f->p, f->aes);
	return f->b <= HALF_BYTES;
}

bool ff1_encrypt(const struct ff1_key *k, uint32_t radix, const uint8_t *tweak, size_t tweak_n, uint8_t *x,
                 uint32_t n)
{
	struct ff1 f = {.aes = (const AES_KEY *)(const void *)k->schedule,
	                .radix = radix,
	                .tweak = tweak,
	                .tweak_n = tweak_n};
	uint32_t u = n / 2, v = n - u;
	struct half half[2];
	struct half *a = &half[0], *b = &half[1];

	if (radix < 2 || radix > 256 || n < 2 || n > FF1_NUMERALS_MAX || !prepare(&f, u, v, n))
		return false;
	memcpy(a->v, x, u);
	memcpy(b->v, x + u, v);
	a->n = u;
	b->n = v;
	for (uint8_t i = 0; i < ROUNDS; i++) {
		struct half *c = a;
		uint8_t r[BLOCK];
		struct big number;

		num(&f, b, &number);
		prf(&f, i, &number, r);
		stretch(&f, r, &number);
		add(&f, a, &number);
		a = b;
		b = c;
	}
	memcpy(x, a->v, a->n);
	memcpy(x + a->n, b->v, b->n);
	return true;
}
