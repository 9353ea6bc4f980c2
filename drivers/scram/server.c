/*
 * The server's side: client-first-message, server-first-message, client-final-message, server-final-message
 * (RFC 5802, section 7).
 */
#include <stdio.h>

#include <openssl/evp.h>

#include "sl_counter.h"
#include "sl_scram.h"

#define GS2_PLUS "p=" SL_SCRAM_BINDING ",,"

static int malformed(void)
{
	return sl_fail(SL_E_SCRAM_MALFORMED);
}

/*
 * gs2-header: the client's flag must be what the mechanism that it chose stands for. 'y' says "I could bind
 * the channel, but you do not": where we do offer it, somebody took it out of our list.
 */
static int read_gs2(struct sl_scram_server *s, struct sl_span *b)
{
	struct sl_span name;

	if (b->n < 3)
		return malformed();
	s->gs2 = b->p[0];
	if (s->gs2 == 'p') {
		if (sl_scram_attribute(b, 'p', &name) < 0)
			return malformed();
		if (!s->plus || !sl_span_is(name, SL_SCRAM_BINDING))
			return sl_fail(SL_E_SCRAM_BINDING);
	} else if ((s->gs2 == 'n' || s->gs2 == 'y') && b->p[1] == ',') {
		if (s->plus || (s->gs2 == 'y' && s->binding.n > 0))
			return sl_fail(SL_E_SCRAM_BINDING);
		*b = sl_span(b->p + 2, b->n - 2);
	} else {
		return malformed();
	}
	if (b->n > 2 && b->p[0] == 'a' && b->p[1] == '=')
		return sl_fail(SL_E_SCRAM_AUTHZID);
	if (b->n == 0 || b->p[0] != ',')
		return malformed();
	*b = sl_span(b->p + 1, b->n - 1);
	return SL_OK;
}

int sl_scram_server_open(struct sl_scram_server *s, struct sl_span binding, bool plus,
                         struct sl_span client_first)
{
	struct sl_span b = client_first, user, nonce;
	int rc;

	memset(s, 0, sizeof(*s));
	if (b.n == 0 || b.n > SL_SCRAM_FIRST_MAX || memchr(b.p, 0, b.n) != NULL ||
	    binding.n > SL_SCRAM_BINDING_MAX || (plus && binding.n == 0))
		return malformed();
	s->binding = binding;
	s->plus = plus;
	rc = read_gs2(s, &b);
	if (rc != SL_OK)
		return rc;
	s->bare_n = (uint16_t)b.n;
	memcpy(s->bare, b.p, b.n);
	/* A mandatory extension ("m=") would stand first: none is known, and RFC 5802 wants it refused. */
	if (sl_scram_attribute(&b, 'n', &user) < 0 || sl_scram_attribute(&b, 'r', &nonce) < 0 ||
	    nonce.n > SL_SCRAM_NONCE_MAX || !sl_scram_nonce_ok(nonce))
		return malformed();
	s->nonce_n = (uint16_t)nonce.n;
	memcpy(s->nonce, nonce.p, nonce.n);
	return SL_OK;
}

int sl_scram_server_first(struct sl_scram_server *s, const uint8_t nonce[SL_SCRAM_NONCE], struct sl_span salt,
                          uint32_t iterations)
{
	char text[4 * SL_SCRAM_NONCE / 3 + 1], salt64[4 * ((SL_SCRAM_SALT_MAX + 2) / 3) + 1];
	int n;

	if (salt.n == 0 || salt.n > SL_SCRAM_SALT_MAX || s->nonce_n == 0 || s->nonce_n > SL_SCRAM_NONCE_MAX)
		return malformed();
	n = EVP_EncodeBlock((uint8_t *)text, nonce, SL_SCRAM_NONCE);
	memcpy(s->nonce + s->nonce_n, text, (size_t)n);
	s->nonce_n = (uint16_t)(s->nonce_n + n);
	(void)EVP_EncodeBlock((uint8_t *)salt64, salt.p, (int)salt.n);
	n = snprintf(s->first, sizeof(s->first), "r=%.*s,s=%s,i=%u", (int)s->nonce_n, s->nonce, salt64,
	             iterations);
	if (n < 0 || (size_t)n >= sizeof(s->first))
		return malformed();
	s->first_n = (uint16_t)n;
	return SL_OK;
}

/* channel-binding: base64 of the gs2-header as it was sent, and of the binding data behind it. */
static bool binding_ok(const struct sl_scram_server *s, struct sl_span value)
{
	uint8_t raw[sizeof(GS2_PLUS) + SL_SCRAM_BINDING_MAX];
	char want[4 * ((sizeof(raw) + 2) / 3) + 1];
	size_t n = sizeof(GS2_PLUS) - 1;

	if (s->gs2 != 'p')
		return sl_span_is(value, s->gs2 == 'n' ? "biws" : "eSws");
	memcpy(raw, GS2_PLUS, n);
	memcpy(raw + n, s->binding.p, s->binding.n);
	(void)EVP_EncodeBlock((uint8_t *)want, raw, (int)(n + s->binding.n));
	return sl_span_is(value, want);
}

/* Extensions stand between the nonce and the proof, and mean nothing here; the proof is the last. */
static int read_proof(struct sl_span b, struct sl_span *without_proof, uint8_t proof[SL_SCRAM_KEY])
{
	const uint8_t *begin = without_proof->p;
	struct sl_span value;

	while (b.n > 0 && b.p[0] != 'p') {
		char name = (char)b.p[0];

		if (!((name >= 'a' && name <= 'z') || (name >= 'A' && name <= 'Z')) || name == 'm' ||
		    sl_scram_attribute(&b, name, &value) < 0)
			return malformed();
	}
	if (b.n == 0 || b.p == begin)
		return malformed();
	*without_proof = sl_span(begin, (size_t)(b.p - begin) - 1); /* the comma before it */
	if (sl_scram_attribute(&b, 'p', &value) < 0 || b.n > 0 ||
	    sl_scram_base64(value, proof, SL_SCRAM_KEY) != SL_SCRAM_KEY)
		return malformed();
	return SL_OK;
}

long sl_scram_server_final(const struct sl_scram_server *s, struct sl_span client_final, char *auth,
                           uint8_t proof[SL_SCRAM_KEY])
{
	struct sl_span b = client_final, binding, nonce, without = client_final;
	int n, rc;

	if (s->first_n == 0 || b.n == 0 || b.n > SL_SCRAM_FINAL_MAX || memchr(b.p, 0, b.n) != NULL ||
	    b.p[b.n - 1] == ',')
		return malformed();
	if (sl_scram_attribute(&b, 'c', &binding) < 0 || sl_scram_attribute(&b, 'r', &nonce) < 0)
		return malformed();
	if (!binding_ok(s, binding))
		return sl_fail(SL_E_SCRAM_BINDING);
	if (!sl_span_eq(nonce, sl_span(s->nonce, s->nonce_n)))
		return sl_fail(SL_E_SCRAM_NONCE);
	rc = read_proof(b, &without, proof);
	if (rc != SL_OK)
		return rc;
	n = snprintf(auth, SL_SCRAM_AUTH_MAX, "%.*s,%.*s,%.*s", (int)s->bare_n, s->bare, (int)s->first_n,
	             s->first, (int)without.n, (const char *)without.p);
	return n < 0 || n >= SL_SCRAM_AUTH_MAX ? malformed() : n;
}

size_t sl_scram_server_last(const uint8_t signature[SL_SCRAM_KEY], char *out)
{
	memcpy(out, "v=", 2);
	return 2 + (size_t)EVP_EncodeBlock((uint8_t *)out + 2, signature, SL_SCRAM_KEY);
}
