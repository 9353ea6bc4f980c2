/*
 * The server's side of SCRAM, and verifiers as text. First byte: bit 0 a binding is offered, bit 1 PLUS was
 * chosen, bit 2 the rest is a verifier, bit 3 the nonce of this exchange is put behind "r=" of the second
 * message, so that what is behind it is reached. Then a client-first-message, a line end, a
 * client-final-message; each in a heap block of its own size.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sl_scram.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz_scram: %s\n", what);
	abort();
}

static uint8_t *block(const uint8_t *p, size_t n)
{
	uint8_t *b = malloc(n > 0 ? n : 1);

	must(b != NULL, "memory");
	if (n > 0)
		memcpy(b, p, n);
	return b;
}

static void verifier(struct sl_span text)
{
	struct sl_scram_verifier v, again;
	char out[SL_SCRAM_TEXT_MAX];
	long n;

	if (sl_scram_verifier_parse(text, &v) != SL_OK)
		return;
	n = sl_scram_verifier_text(&v, out, sizeof(out));
	must(n > 0, "a verifier that was read can be written");
	must(sl_scram_verifier_parse(sl_span(out, (size_t)n), &again) == SL_OK, "and read again");
	must(memcmp(&v, &again, sizeof(v)) == 0, "as the same");
}

static void last_message(const struct sl_scram_server *s, struct sl_span final)
{
	char auth[SL_SCRAM_AUTH_MAX];
	uint8_t proof[SL_SCRAM_KEY], signature[SL_SCRAM_KEY];
	struct sl_scram_verifier v = {.iterations = 1};
	long n = sl_scram_server_final(s, final, auth, proof);

	if (n < 0)
		return;
	must(n < SL_SCRAM_AUTH_MAX, "AuthMessage has its bound");
	must((size_t)n > s->bare_n && memcmp(auth, s->bare, s->bare_n) == 0,
	     "it begins with the first message");
	must(memmem(final.p, final.n, s->nonce, s->nonce_n) != NULL, "only this exchange's nonce is taken");
	must(memmem(final.p, final.n, ",p=", 3) != NULL, "only with a proof");
	must(sl_scram_check(&v, sl_span(auth, (size_t)n), proof, signature) != SL_OK,
	     "nobody knows that password");
}

/* Puts the nonce where "r=" is. */
static size_t with_nonce(const struct sl_scram_server *s, const uint8_t *p, size_t n, uint8_t *out)
{
	const uint8_t *at = n < 2 ? NULL : memmem(p, n, "r=", 2);
	size_t head = at == NULL ? n : (size_t)(at - p) + 2;

	memcpy(out, p, head);
	memcpy(out + head, s->nonce, s->nonce_n);
	memcpy(out + head + s->nonce_n, p + head, n - head);
	return n + s->nonce_n;
}

static void exchange(uint8_t how, const uint8_t *p, size_t n)
{
	static const uint8_t nonce[SL_SCRAM_NONCE] = {1};
	const uint8_t *end = n == 0 ? NULL : memchr(p, '\n', n);
	size_t first_n = end == NULL ? n : (size_t)(end - p), final_n = end == NULL ? 0 : n - first_n - 1;
	struct sl_span binding =
	        (how & 1) != 0 ? SL_SPAN_LIT("0123456789abcdef0123456789abcdef") : SL_SPAN_EMPTY;
	uint8_t *first = block(p, first_n), *final = NULL, buf[4096];
	struct sl_scram_server s;

	if (final_n < 3072 &&
	    sl_scram_server_open(&s, binding, (how & 2) != 0, sl_span(first, first_n)) == SL_OK) {
		must(s.gs2 != 'p' || binding.n > 0, "a binding that was not offered");
		must(s.gs2 != 'y' || binding.n == 0, "a downgrade");
		must(sl_scram_server_first(&s, nonce, SL_SPAN_LIT("salt"), 4096) == SL_OK,
		     "server-first-message");
		if ((how & 8) != 0) {
			final_n = with_nonce(&s, final_n > 0 ? end + 1 : p, final_n, buf);
			final = block(buf, final_n);
		} else {
			final = block(final_n > 0 ? end + 1 : p, final_n);
		}
		last_message(&s, sl_span(final, final_n));
	}
	free(first);
	free(final);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	uint8_t *p;

	if (n == 0 || n > 4096)
		return 0;
	p = block(data + 1, n - 1);
	if ((data[0] & 4) != 0)
		verifier(sl_span(p, n - 1));
	else
		exchange(data[0], p, n - 1);
	free(p);
	return 0;
}
