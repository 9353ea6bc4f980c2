/*
 * OpenSSL 3.0's EVP interface allocates a context for each digest, and a statement has one. The plain
 * functions are deprecated, kept for exactly this use, and the same code underneath.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include "inspect_priv.h"

void hash_bytes(struct sl_span bytes, uint8_t out[32])
{
	SHA256_CTX c;

	SHA256_Init(&c);
	if (bytes.n > 0)
		SHA256_Update(&c, bytes.p, bytes.n);
	SHA256_Final(out, &c);
}

void hash_statement(const struct statement *st, const struct sl_param *params, uint32_t nb, uint8_t out[32])
{
	SHA256_CTX c;

	SHA256_Init(&c);
	for (uint32_t i = 0; i < st->nb; i++)
		if (st->part[i].n > 0)
			SHA256_Update(&c, st->part[i].p, st->part[i].n);
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
