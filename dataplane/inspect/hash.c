/*
 * OpenSSL 3.0's EVP interface allocates a context for each digest, and a statement has one. The plain
 * functions are deprecated, kept for exactly this use, and the same code underneath.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>

#include "inspect_priv.h"

void hash_bytes(struct sl_span bytes, uint8_t out[32])
{
	SHA256_CTX c;

	SHA256_Init(&c);
	if (bytes.n > 0)
		SHA256_Update(&c, bytes.p, bytes.n);
	SHA256_Final(out, &c);
}

/* Inner (0x36) or outer (0x5c) half of HMAC (RFC 2104): so far. */
static void keyed(SHA256_CTX *c, const uint8_t key[32], uint8_t pad)
{
	uint8_t block[SHA256_CBLOCK];

	memset(block, pad, sizeof(block));
	for (int i = 0; i < 32; i++)
		block[i] ^= key[i];
	SHA256_Init(c);
	SHA256_Update(c, block, sizeof(block));
	OPENSSL_cleanse(block, sizeof(block));
}

/*
 * All of the text, also what is neither recorded nor shown. Who reads the record could try passwords against
 * a plain hash of it: with a password in it the hash has a key.
 */
void hash_statement(const struct statement *st, const struct sl_param *params, uint32_t nb,
                    const uint8_t key[32], uint8_t out[32])
{
	SHA256_CTX c;

	if (st->nb_cuts > 0)
		keyed(&c, key, 0x36);
	else
		SHA256_Init(&c);
	if (st->text.n > 0)
		SHA256_Update(&c, st->text.p, st->text.n);
	for (uint32_t i = 0; i < nb; i++) {
		/* A header for each, so that no two statements give the same bytes: text holds no NUL,
		 * headers start with one. */
		uint8_t head[7] = {0, params[i].value.p == NULL, params[i].format};

		/* The length that it has in all: one that was not read whole is no shorter one. */
		sl_put_be32(head + 3, (uint32_t)params[i].value.n + params[i].more);
		SHA256_Update(&c, head, sizeof(head));
		if (params[i].value.n > 0)
			SHA256_Update(&c, params[i].value.p, params[i].value.n);
	}
	SHA256_Final(out, &c);
	if (st->nb_cuts == 0)
		return;
	keyed(&c, key, 0x5c);
	SHA256_Update(&c, out, 32);
	SHA256_Final(out, &c);
}

void hash_hex(const uint8_t hash[32], char out[65])
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < 32; i++) {
		out[2 * i] = digits[hash[i] >> 4];
		out[2 * i + 1] = digits[hash[i] & 15];
	}
	out[64] = '\0';
}
