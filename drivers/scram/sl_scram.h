/*
 * SCRAM-SHA-256 (RFC 5802, RFC 7677): what both roles compute, the grammar that they share, and the server's
 * side of an exchange. The exchange is split in two, so that the verifier may stay on another core: the part
 * that reads messages (sl_scram_server) needs no secret, the part that judges the proof (sl_scram_check)
 * reads no message.
 *
 * No I/O, no clock, no randomness of its own. Any thread. OpenSSL's HMAC may allocate: a few times per login.
 */
#ifndef SL_SCRAM_H
#define SL_SCRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sl_err.h"
#include "sl_span.h"

#define SL_SCRAM_KEY         32 /* SHA-256 */
#define SL_SCRAM_SALT        16 /* of verifiers that are made here */
#define SL_SCRAM_SALT_MAX    64 /* that is read */
#define SL_SCRAM_ITERATIONS  4096
#define SL_SCRAM_NONCE       18  /* random bytes of a nonce that is made here; base64 makes them 24 */
#define SL_SCRAM_NONCE_MAX   128 /* characters of a client's nonce */
#define SL_SCRAM_FIRST_MAX   512 /* client-first-message */
#define SL_SCRAM_FINAL_MAX   1024
#define SL_SCRAM_BINDING_MAX 64   /* channel binding data: a hash */
#define SL_SCRAM_AUTH_MAX    2048 /* AuthMessage */
#define SL_SCRAM_TEXT_MAX    256  /* a verifier as text */

#define SL_SCRAM_SHA256      "SCRAM-SHA-256"
#define SL_SCRAM_SHA256_PLUS "SCRAM-SHA-256-PLUS"
#define SL_SCRAM_BINDING     "tls-server-end-point" /* RFC 5929, section 4 */

/* ---- shared ---- */

/* 0, or SL_E_SCRAM_CRYPTO. */
int sl_scram_hmac(const uint8_t key[SL_SCRAM_KEY], struct sl_span data, uint8_t out[SL_SCRAM_KEY]);
/* Strict base64: whole groups, padding at the end only. The number of bytes, at most cap, or -1. */
int sl_scram_base64(struct sl_span in, uint8_t *out, size_t cap);
/* Takes "x=value" up to the next comma or the end off *b. 0, or -1: it is not there. */
int sl_scram_attribute(struct sl_span *b, char name, struct sl_span *value);
/* A nonce: printable ASCII without the comma, not empty. */
bool sl_scram_nonce_ok(struct sl_span nonce);

/* ---- the verifier ---- */

struct sl_scram_verifier {
	uint32_t iterations;
	uint32_t salt_n;
	uint8_t salt[SL_SCRAM_SALT_MAX];
	uint8_t stored_key[SL_SCRAM_KEY];
	uint8_t server_key[SL_SCRAM_KEY];
};

/* From a password (its bytes, as SASLprep would leave them) with this salt: a millisecond. 0,
 * SL_E_SCRAM_CRYPTO. */
int sl_scram_verifier_make(struct sl_span password, struct sl_span salt, uint32_t iterations,
                           struct sl_scram_verifier *out);
/* As PostgreSQL writes it: SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>. Its length, or -1. */
long sl_scram_verifier_text(const struct sl_scram_verifier *v, char *out, size_t cap);
/* 0, or SL_E_SCRAM_MALFORMED. */
int sl_scram_verifier_parse(struct sl_span text, struct sl_scram_verifier *out);
/*
 * Judges a ClientProof over an AuthMessage, in constant time. 0 and the ServerSignature; SL_E_SCRAM_PROOF;
 * SL_E_SCRAM_CRYPTO.
 */
int sl_scram_check(const struct sl_scram_verifier *v, struct sl_span auth_message,
                   const uint8_t proof[SL_SCRAM_KEY], uint8_t signature[SL_SCRAM_KEY]);

/* ---- the server's messages ---- */

struct sl_scram_server {
	struct sl_span
	        binding; /* tls-server-end-point data; empty: PLUS is not offered. Kept by the caller */
	bool plus;       /* the mechanism that the client chose */
	uint8_t gs2;     /* 'n', 'y', 'p' */
	uint16_t bare_n, nonce_n, first_n;
	char bare[SL_SCRAM_FIRST_MAX]; /* client-first-message-bare */
	char nonce[SL_SCRAM_NONCE_MAX + 24];
	char first[SL_SCRAM_NONCE_MAX + 160]; /* server-first-message */
};

/*
 * Reads the client-first-message. The user name in it is not used (the protocol around has named the user).
 * 0; SL_E_SCRAM_MALFORMED; SL_E_SCRAM_BINDING: a binding other than what the mechanism stands for, or the
 * client says that the server offers none where it does (a downgrade); SL_E_SCRAM_AUTHZID: it wants to be
 * somebody else.
 */
int sl_scram_server_open(struct sl_scram_server *s, struct sl_span binding, bool plus,
                         struct sl_span client_first);
/* Makes the server-first-message: s->first, s->first_n. 0, or SL_E_SCRAM_MALFORMED (salt too long). */
int sl_scram_server_first(struct sl_scram_server *s, const uint8_t nonce[SL_SCRAM_NONCE], struct sl_span salt,
                          uint32_t iterations);
/*
 * Reads the client-final-message: fills the proof and the AuthMessage (auth has SL_SCRAM_AUTH_MAX bytes).
 * Returns its length; SL_E_SCRAM_MALFORMED, SL_E_SCRAM_BINDING (other binding data), SL_E_SCRAM_NONCE.
 */
long sl_scram_server_final(const struct sl_scram_server *s, struct sl_span client_final, char *auth,
                           uint8_t proof[SL_SCRAM_KEY]);
/* server-final-message: "v=" and the signature. Its length; out has SL_SCRAM_SERVER_FINAL_MAX bytes. */
#define SL_SCRAM_SERVER_FINAL_MAX 64
size_t sl_scram_server_last(const uint8_t signature[SL_SCRAM_KEY], char *out);

#endif
