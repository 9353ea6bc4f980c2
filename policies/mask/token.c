/* Tokens: values encrypted so that they keep their form. What has too few of them is hashed instead. */
#include "ff1.h"
#include "mask_priv.h"
#include "sl_secret.h"

#define DOMAIN_MIN 1000000 /* values that have the same form, at least (SP 800-38G rev. 1, 5.1) */
#define CHARS_MAX  128     /* digits and letters of one value */
#define WALK_MAX   1000    /* tries to come back into the domain; one in nine succeeds at worst */

_Static_assert(CHARS_MAX * 5 <= FF1_NUMERALS_MAX, "a letter is less than five bits");

static uint32_t radix_of(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return 10;
	return (c | 0x20) >= 'a' && (c | 0x20) <= 'z' ? 26 : 0;
}

static uint8_t numeral_of(uint8_t c)
{
	return (uint8_t)(radix_of(c) == 10 ? c - '0' : (c | 0x20) - 'a');
}

/* The character of the same class and case. */
static uint8_t character(uint8_t like, uint32_t numeral)
{
	if (radix_of(like) == 10)
		return (uint8_t)('0' + numeral);
	return (uint8_t)((like & 0x20) | ('A' + numeral));
}

static void token_key(const struct sl_mask *m, struct ff1_key *k)
{
	uint8_t key[32];

	mask_hmac(m->key, 'F', SL_SPAN_EMPTY, key); /* one key, one use */
	(void)ff1_key_set(k, key, 256);
	sl_cleanse(key, sizeof(key));
}

/* Of digits and letters together: one number of mixed radix, encrypted in binary until it is one again. */
static bool walk_mixed(const struct ff1_key *k, uint8_t *c, uint32_t n)
{
	struct big value = {.n = 0}, most = {.n = 0}, x = {.n = 0};
	uint8_t bits[FF1_NUMERALS_MAX];
	uint32_t nb;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t radix = radix_of(c[i]);

		if (!big_mul_add(&value, radix, numeral_of(c[i])) || !big_mul_add(&most, radix, radix - 1))
			return false;
	}
	nb = big_bits(&most);
	for (uint32_t i = 0; i < nb; i++) {
		uint32_t at = nb - 1 - i;

		bits[i] = at / 32 < value.n ? value.w[at / 32] >> at % 32 & 1 : 0;
	}
	for (uint32_t tries = 0;; tries++) {
		if (tries == WALK_MAX || !ff1_encrypt(k, 2, NULL, 0, bits, nb))
			return false;
		x.n = 0;
		for (uint32_t i = 0; i < nb; i++)
			if (!big_mul_add(&x, 2, bits[i]))
				return false;
		if (big_cmp(&x, &most) <= 0)
			break;
	}
	for (uint32_t i = n; i-- > 0;)
		c[i] = character(c[i], big_div(&x, radix_of(c[i])));
	return true;
}

static bool encrypt(const struct sl_mask *m, uint8_t *c, uint32_t n, uint32_t radix)
{
	struct ff1_key k;
	uint8_t x[CHARS_MAX];
	bool ok;

	token_key(m, &k);
	if (radix == 0) {
		ok = walk_mixed(&k, c, n);
	} else {
		for (uint32_t i = 0; i < n; i++)
			x[i] = numeral_of(c[i]);
		ok = ff1_encrypt(&k, radix, NULL, 0, x, n);
		for (uint32_t i = 0; ok && i < n; i++)
			c[i] = character(c[i], x[i]);
	}
	ff1_key_clear(&k);
	return ok;
}

bool token_text(const struct sl_mask *m, struct sl_span v, struct out *w)
{
	uint8_t c[CHARS_MAX];
	uint32_t n = 0, digits = 0, at = 0;
	uint64_t domain = 1;

	for (size_t i = 0; i < v.n; i++) {
		uint32_t radix = radix_of(v.p[i]);

		if (v.p[i] >= 0x80 || (radix != 0 && n == CHARS_MAX))
			return false;
		if (radix == 0)
			continue;
		c[n++] = v.p[i];
		digits += radix == 10;
		domain = domain < DOMAIN_MIN ? domain * radix : domain;
	}
	if (domain < DOMAIN_MIN || !encrypt(m, c, n, digits == n ? 10 : digits == 0 ? 26 : 0))
		return false;
	for (size_t i = 0; i < v.n; i++)
		out_byte(w, radix_of(v.p[i]) != 0 ? c[at++] : v.p[i]);
	return true;
}

bool token_digits(const struct sl_mask *m, char *digits, size_t n, bool (*fits)(const void *ctx),
                  const void *ctx)
{
	struct ff1_key k;
	uint8_t x[CHARS_MAX];
	bool ok = n >= 6 && n <= CHARS_MAX;

	_Static_assert(DOMAIN_MIN == 1000000, "six digits have as many values");
	for (size_t i = 0; ok && i < n; i++)
		x[i] = (uint8_t)(digits[i] - '0');
	token_key(m, &k);
	for (uint32_t tries = 0; ok; tries++) {
		ok = tries < WALK_MAX && ff1_encrypt(&k, 10, NULL, 0, x, (uint32_t)n);
		for (size_t i = 0; ok && i < n; i++)
			digits[i] = (char)('0' + x[i]);
		if (ok && fits(ctx))
			break;
	}
	ff1_key_clear(&k);
	return ok;
}

bool token_bytes(const struct sl_mask *m, uint8_t *b, size_t n)
{
	uint8_t x[64];
	struct ff1_key k;
	bool ok = 2 * n <= sizeof(x);

	for (size_t i = 0; ok && i < 2 * n; i++)
		x[i] = i % 2 == 0 ? b[i / 2] >> 4 : b[i / 2] & 15;
	token_key(m, &k);
	ok = ok && ff1_encrypt(&k, 16, NULL, 0, x, (uint32_t)(2 * n));
	ff1_key_clear(&k);
	for (size_t i = 0; ok && i < n; i++)
		b[i] = (uint8_t)(x[2 * i] << 4 | x[2 * i + 1]);
	return ok;
}
