/* The plain functions: EVP allocates a context for each digest (see dataplane/inspect/hash.c). */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#include <string.h>

#include "sl_usage.h"

struct sl_usage_key sl_usage_key_of(const char *const *parts, uint32_t nb)
{
	uint8_t hash[SHA256_DIGEST_LENGTH];
	struct sl_usage_key key;
	SHA256_CTX c;

	SHA256_Init(&c);
	for (uint32_t i = 0; i < nb; i++)
		SHA256_Update(&c, parts[i], strlen(parts[i]) + 1);
	SHA256_Final(hash, &c);
	memcpy(&key.a, hash, sizeof(key.a));
	memcpy(&key.b, hash + sizeof(key.a), sizeof(key.b));
	return key;
}

struct sl_usage_key sl_usage_identity(const char *issuer, const char *subject)
{
	const char *parts[] = {"identity", issuer, subject};

	return sl_usage_key_of(parts, 3);
}
