/*
 * HMAC-SHA-256 (RFC 2104) for masked values. OpenSSL 3.0's EVP interface allocates where a key
 * is taken in, and each value has its mask's key. The plain functions are deprecated, kept for exactly this
 * use, and the same code underneath.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "mask_priv.h"

struct hmac {
	SHA256_CTX c;
	uint8_t pad[SHA256_CBLOCK];
};

_Static_assert(SL_MASK_KEY_BYTES <= SHA256_CBLOCK, "the key is no longer than a block");

static void begin(struct hmac *h, const uint8_t key[SL_MASK_KEY_BYTES], char domain)
{
	for (size_t i = 0; i < sizeof(h->pad); i++)
		h->pad[i] = (i < SL_MASK_KEY_BYTES ? key[i] : 0) ^ 0x36;
	SHA256_Init(&h->c);
	SHA256_Update(&h->c, h->pad, sizeof(h->pad));
	SHA256_Update(&h->c, &domain, 1);
}

static void end(struct hmac *h, uint8_t out[32])
{
	SHA256_Final(out, &h->c);
	for (size_t i = 0; i < sizeof(h->pad); i++)
		h->pad[i] ^= 0x36 ^ 0x5c;
	SHA256_Init(&h->c);
	SHA256_Update(&h->c, h->pad, sizeof(h->pad));
	SHA256_Update(&h->c, out, 32);
	SHA256_Final(out, &h->c);
	OPENSSL_cleanse(h, sizeof(*h));
}

void mask_hmac(const uint8_t key[SL_MASK_KEY_BYTES], char domain, struct sl_span v, uint8_t out[32])
{
	struct hmac h;

	begin(&h, key, domain);
	if (v.n > 0)
		SHA256_Update(&h.c, v.p, v.n);
	end(&h, out);
}

void mask_hmac_hex(const uint8_t key[SL_MASK_KEY_BYTES], char domain, struct sl_span v, uint8_t out[32])
{
	static const char digits[] = "0123456789abcdef";
	struct hmac h;

	begin(&h, key, domain);
	for (size_t i = 0; i < v.n; i++) {
		char two[2] = {digits[v.p[i] >> 4], digits[v.p[i] & 15]};

		SHA256_Update(&h.c, two, 2);
	}
	end(&h, out);
}
