#include "sl_scram.h"

#include <stdio.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "sl_counter.h"
#include "sl_secret.h"

#define BASE64_MAX(n) (4 * (((n) + 2) / 3))

int sl_scram_hmac(const uint8_t key[SL_SCRAM_KEY], struct sl_span data, uint8_t out[SL_SCRAM_KEY])
{
	unsigned int n = SL_SCRAM_KEY;

	if (HMAC(EVP_sha256(), key, SL_SCRAM_KEY, data.p, data.n, out, &n) == NULL || n != SL_SCRAM_KEY)
		return sl_fail(SL_E_SCRAM_CRYPTO);
	return SL_OK;
}

int sl_scram_base64(struct sl_span in, uint8_t *out, size_t cap)
{
	uint8_t tmp[BASE64_MAX(SL_SCRAM_SALT_MAX)];
	size_t pad = 0;
	int n;

	if (in.n == 0 || in.n % 4 != 0 || in.n > sizeof(tmp))
		return -1;
	while (pad < 2 && in.p[in.n - 1 - pad] == '=')
		pad++;
	for (size_t i = 0; i < in.n - pad; i++) {
		uint8_t c = in.p[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		      c == '+' || c == '/'))
			return -1;
	}
	n = EVP_DecodeBlock(tmp, in.p, (int)in.n);
	if (n >= (int)pad && (size_t)n - pad <= cap)
		memcpy(out, tmp, (size_t)n - pad);
	else
		n = -1;
	sl_cleanse(tmp, sizeof(tmp));
	return n < 0 ? -1 : n - (int)pad;
}

int sl_scram_attribute(struct sl_span *b, char name, struct sl_span *value)
{
	size_t n = 2;

	if (b->n < 2 || b->p[0] != (uint8_t)name || b->p[1] != '=')
		return -1;
	while (n < b->n && b->p[n] != ',')
		n++;
	*value = sl_span(b->p + 2, n - 2);
	*b = n < b->n ? sl_span(b->p + n + 1, b->n - n - 1) : SL_SPAN_EMPTY;
	return 0;
}

bool sl_scram_nonce_ok(struct sl_span nonce)
{
	for (size_t i = 0; i < nonce.n; i++)
		if (nonce.p[i] < 0x21 || nonce.p[i] > 0x7e || nonce.p[i] == ',')
			return false;
	return nonce.n > 0;
}

/* ---- the verifier ---- */

int sl_scram_verifier_make(struct sl_span password, struct sl_span salt, uint32_t iterations,
                           struct sl_scram_verifier *out)
{
	uint8_t salted[SL_SCRAM_KEY], client_key[SL_SCRAM_KEY];
	int rc = SL_E_SCRAM_CRYPTO;

	memset(out, 0, sizeof(*out));
	if (password.n == 0 || salt.n == 0 || salt.n > SL_SCRAM_SALT_MAX || iterations == 0)
		return sl_fail(SL_E_INVAL);
	out->iterations = iterations;
	out->salt_n = (uint32_t)salt.n;
	memcpy(out->salt, salt.p, salt.n);
	if (PKCS5_PBKDF2_HMAC((const char *)password.p, (int)password.n, salt.p, (int)salt.n, (int)iterations,
	                      EVP_sha256(), SL_SCRAM_KEY, salted) == 1 &&
	    sl_scram_hmac(salted, SL_SPAN_LIT("Client Key"), client_key) == SL_OK &&
	    sl_scram_hmac(salted, SL_SPAN_LIT("Server Key"), out->server_key) == SL_OK &&
	    EVP_Digest(client_key, SL_SCRAM_KEY, out->stored_key, NULL, EVP_sha256(), NULL) == 1)
		rc = SL_OK;
	sl_cleanse(salted, sizeof(salted));
	sl_cleanse(client_key, sizeof(client_key));
	return rc == SL_OK ? SL_OK : sl_fail(rc);
}

long sl_scram_verifier_text(const struct sl_scram_verifier *v, char *out, size_t cap)
{
	char salt[BASE64_MAX(SL_SCRAM_SALT_MAX) + 1], stored[BASE64_MAX(SL_SCRAM_KEY) + 1],
	        server[BASE64_MAX(SL_SCRAM_KEY) + 1];
	int n;

	if (v->salt_n > SL_SCRAM_SALT_MAX)
		return -1;
	(void)EVP_EncodeBlock((uint8_t *)salt, v->salt, (int)v->salt_n);
	(void)EVP_EncodeBlock((uint8_t *)stored, v->stored_key, SL_SCRAM_KEY);
	(void)EVP_EncodeBlock((uint8_t *)server, v->server_key, SL_SCRAM_KEY);
	n = snprintf(out, cap, SL_SCRAM_SHA256 "$%u:%s$%s:%s", v->iterations, salt, stored, server);
	sl_cleanse(stored, sizeof(stored));
	sl_cleanse(server, sizeof(server));
	return n < 0 || (size_t)n >= cap ? -1 : n;
}

/* The part up to the separator, which is taken too. */
static bool part(struct sl_span *b, char sep, struct sl_span *out)
{
	const uint8_t *at = b->n == 0 ? NULL : memchr(b->p, sep, b->n);

	if (at == NULL)
		return false;
	*out = sl_span(b->p, (size_t)(at - b->p));
	*b = sl_span(at + 1, b->n - out->n - 1);
	return true;
}

static uint32_t decimal(struct sl_span s)
{
	uint32_t n = 0;

	if (s.n == 0 || s.n > 7 || s.p[0] == '0')
		return 0;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return 0;
		n = n * 10 + (uint32_t)(s.p[i] - '0');
	}
	return n;
}

int sl_scram_verifier_parse(struct sl_span text, struct sl_scram_verifier *out)
{
	struct sl_span name, iterations, salt, stored;
	int n;

	memset(out, 0, sizeof(*out));
	if (!part(&text, '$', &name) || !sl_span_is(name, SL_SCRAM_SHA256) ||
	    !part(&text, ':', &iterations) || !part(&text, '$', &salt) || !part(&text, ':', &stored))
		return sl_fail(SL_E_SCRAM_MALFORMED);
	out->iterations = decimal(iterations);
	n = sl_scram_base64(salt, out->salt, sizeof(out->salt));
	out->salt_n = n < 0 ? 0 : (uint32_t)n;
	if (out->iterations == 0 || out->salt_n == 0 ||
	    sl_scram_base64(stored, out->stored_key, SL_SCRAM_KEY) != SL_SCRAM_KEY ||
	    sl_scram_base64(text, out->server_key, SL_SCRAM_KEY) != SL_SCRAM_KEY)
		return sl_fail(SL_E_SCRAM_MALFORMED);
	return SL_OK;
}

int sl_scram_check(const struct sl_scram_verifier *v, struct sl_span auth_message,
                   const uint8_t proof[SL_SCRAM_KEY], uint8_t signature[SL_SCRAM_KEY])
{
	uint8_t key[SL_SCRAM_KEY], stored[SL_SCRAM_KEY];
	int rc = sl_scram_hmac(v->stored_key, auth_message, key); /* ClientSignature */

	if (rc == SL_OK)
		rc = sl_scram_hmac(v->server_key, auth_message, signature);
	for (size_t i = 0; i < SL_SCRAM_KEY; i++)
		key[i] ^= proof[i]; /* ClientKey, if the proof is right */
	if (rc == SL_OK && EVP_Digest(key, SL_SCRAM_KEY, stored, NULL, EVP_sha256(), NULL) != 1)
		rc = sl_fail(SL_E_SCRAM_CRYPTO);
	if (rc == SL_OK && CRYPTO_memcmp(stored, v->stored_key, SL_SCRAM_KEY) != 0)
		rc = sl_fail(SL_E_SCRAM_PROOF);
	if (rc != SL_OK)
		sl_cleanse(signature, SL_SCRAM_KEY);
	sl_cleanse(key, sizeof(key));
	return rc;
}
