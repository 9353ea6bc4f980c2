/*
 * SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677) as their client, and PostgreSQL's MD5 answer. The
 * gs2 header is "p" with a binding; "y" where we could have bound and the target did not offer to, which a
 * target that did offer it refuses: somebody in between has taken the offer away; "n" else.
 *
 * Run once per login; OpenSSL may allocate here.
 */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "pg_priv.h"
#include "sl_scram.h"
#include "sl_secret.h"

#define SHA_BYTES       SL_SCRAM_KEY
#define SCRAM_NONCE_MAX 256
#define SCRAM_GS2_MAX   24 /* "p=tls-server-end-point,," */
#define SCRAM_BIND_MAX  (SCRAM_GS2_MAX + SL_DEC_BINDING_MAX)

static const char hex_digits[] = "0123456789abcdef";

static const char *gs2_header(const struct pg_scram *s)
{
	return s->gs2 == 'p' ? "p=tls-server-end-point,," : s->gs2 == 'y' ? "y,," : "n,,";
}

size_t pg_scram_first(struct pg_scram *s, const uint8_t nonce[18], char *out, size_t cap)
{
	int n;

	(void)EVP_EncodeBlock((uint8_t *)s->nonce, nonce, 18);
	(void)snprintf(s->first_bare, sizeof(s->first_bare), "n=,r=%s", s->nonce);
	n = snprintf(out, cap, "%s%s", gs2_header(s), s->first_bare);
	return n < 0 || (size_t)n >= cap ? 0 : (size_t)n;
}

struct server_first {
	struct sl_span nonce;
	uint8_t salt[SL_SCRAM_SALT_MAX];
	int salt_n;
	int iterations;
};

static int iterations(struct sl_span s)
{
	int n = 0;

	if (s.n == 0 || s.n > 7 || s.p[0] == '0')
		return -1;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return -1;
		n = n * 10 + (s.p[i] - '0');
	}
	return n >= PG_SCRAM_MIN_ITER && n <= PG_SCRAM_MAX_ITER ? n : -1;
}

static int parse_server_first(const struct pg_scram *s, struct sl_span b, struct server_first *f)
{
	size_t own = strlen(s->nonce);
	struct sl_span salt, iter;

	if (sl_scram_attribute(&b, 'r', &f->nonce) < 0 || sl_scram_attribute(&b, 's', &salt) < 0 ||
	    sl_scram_attribute(&b, 'i', &iter) < 0 || b.n > 0)
		return SL_E_PROTO_TARGET_AUTH;
	if (f->nonce.n <= own || f->nonce.n > SCRAM_NONCE_MAX || memcmp(f->nonce.p, s->nonce, own) != 0)
		return SL_E_PROTO_TARGET_AUTH;
	for (size_t i = 0; i < f->nonce.n; i++)
		if (f->nonce.p[i] < 0x21 || f->nonce.p[i] > 0x7e)
			return SL_E_PROTO_TARGET_AUTH;
	f->salt_n = sl_scram_base64(salt, f->salt, sizeof(f->salt));
	f->iterations = iterations(iter);
	return f->salt_n > 0 && f->iterations > 0 ? SL_OK : SL_E_PROTO_TARGET_AUTH;
}

/* ClientProof and ServerSignature of RFC 5802, section 3. */
static int proofs(struct sl_span secret, const struct server_first *f, const char *auth, size_t auth_n,
                  uint8_t proof[SHA_BYTES], uint8_t signature[SHA_BYTES])
{
	uint8_t salted[SHA_BYTES], client_key[SHA_BYTES], stored[SHA_BYTES], server_key[SHA_BYTES],
	        sig[SHA_BYTES];
	int rc = SL_E_PROTO_TARGET_AUTH;

	if (PKCS5_PBKDF2_HMAC((const char *)secret.p, (int)secret.n, f->salt, f->salt_n, f->iterations,
	                      EVP_sha256(), SHA_BYTES, salted) != 1)
		goto out;
	if (sl_scram_hmac(salted, SL_SPAN_LIT("Client Key"), client_key) != SL_OK ||
	    sl_scram_hmac(salted, SL_SPAN_LIT("Server Key"), server_key) != SL_OK)
		goto out;
	if (EVP_Digest(client_key, SHA_BYTES, stored, NULL, EVP_sha256(), NULL) != 1)
		goto out;
	if (sl_scram_hmac(stored, sl_span(auth, auth_n), sig) != SL_OK ||
	    sl_scram_hmac(server_key, sl_span(auth, auth_n), signature) != SL_OK)
		goto out;
	for (int i = 0; i < SHA_BYTES; i++)
		proof[i] = client_key[i] ^ sig[i];
	rc = SL_OK;
out:
	sl_cleanse(salted, sizeof(salted));
	sl_cleanse(client_key, sizeof(client_key));
	sl_cleanse(stored, sizeof(stored));
	sl_cleanse(server_key, sizeof(server_key));
	sl_cleanse(sig, sizeof(sig));
	return rc;
}

/* Writes "c=" and base64 of the gs2 header and, for "p", the binding. Its length. */
static size_t binding_text(const struct pg_scram *s, char out[2 + 4 * ((SCRAM_BIND_MAX + 2) / 3) + 1])
{
	uint8_t b[SCRAM_BIND_MAX];
	const char *gs2 = gs2_header(s);
	size_t n = strlen(gs2);

	memcpy(b, gs2, n);
	if (s->gs2 == 'p') {
		memcpy(b + n, s->binding, s->binding_n);
		n += s->binding_n;
	}
	memcpy(out, "c=", 2);
	return 2 + (size_t)EVP_EncodeBlock((uint8_t *)out + 2, b, (int)n);
}

int pg_scram_final(struct pg_scram *s, struct sl_span secret, struct sl_span server_first, char *out,
                   size_t cap)
{
	struct server_first f = {0};
	uint8_t proof[SHA_BYTES];
	char auth[PG_SCRAM_AUTH_MAX], c[2 + 4 * ((SCRAM_BIND_MAX + 2) / 3) + 1];
	int n, bare, rc;

	if (secret.n == 0 || parse_server_first(s, server_first, &f) != SL_OK)
		return SL_E_PROTO_TARGET_AUTH;
	(void)binding_text(s, c);
	bare = snprintf(out, cap, "%s,r=%.*s", c, (int)f.nonce.n, (const char *)f.nonce.p);
	if (bare < 0 || (size_t)bare + 3 + 44 + 1 > cap)
		return SL_E_PROTO_TARGET_AUTH;
	n = snprintf(auth, sizeof(auth), "%s,%.*s,%s", s->first_bare, (int)server_first.n,
	             (const char *)server_first.p, out);
	if (n < 0 || (size_t)n >= sizeof(auth))
		return SL_E_PROTO_TARGET_AUTH;
	rc = proofs(secret, &f, auth, (size_t)n, proof, s->server_signature);
	if (rc != SL_OK)
		return rc;
	memcpy(out + bare, ",p=", 3);
	n = EVP_EncodeBlock((uint8_t *)out + bare + 3, proof, SHA_BYTES);
	sl_cleanse(proof, sizeof(proof));
	return bare + 3 + n;
}

int pg_scram_verify(const struct pg_scram *s, struct sl_span b)
{
	uint8_t sig[SHA_BYTES];
	struct sl_span v;

	if (sl_scram_attribute(&b, 'v', &v) < 0 || b.n > 0 ||
	    sl_scram_base64(v, sig, sizeof(sig)) != SHA_BYTES)
		return SL_E_PROTO_TARGET_AUTH;
	return CRYPTO_memcmp(sig, s->server_signature, SHA_BYTES) == 0 ? SL_OK : SL_E_PROTO_TARGET_AUTH;
}

static int md5_hex(const void *a, size_t na, const void *b, size_t nb, char out[33])
{
	uint8_t sum[16];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_md5(), NULL) == 1 &&
	         EVP_DigestUpdate(ctx, a, na) == 1 && EVP_DigestUpdate(ctx, b, nb) == 1 &&
	         EVP_DigestFinal_ex(ctx, sum, NULL) == 1;

	EVP_MD_CTX_free(ctx);
	if (!ok)
		return SL_E_PROTO_TARGET_AUTH;
	for (int i = 0; i < 16; i++) {
		out[2 * i] = hex_digits[sum[i] >> 4];
		out[2 * i + 1] = hex_digits[sum[i] & 15];
	}
	out[32] = '\0';
	return SL_OK;
}

int pg_md5_answer(struct sl_span user, struct sl_span secret, const uint8_t salt[4], char out[36])
{
	char inner[33];
	int rc = md5_hex(secret.p, secret.n, user.p, user.n, inner);

	if (rc == SL_OK)
		rc = md5_hex(inner, 32, salt, 4, out + 3);
	memcpy(out, "md5", 3);
	sl_cleanse(inner, sizeof(inner));
	return rc;
}
