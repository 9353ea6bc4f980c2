#include "throttle.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#define WAYS      8 /* places that one key may be in */
#define KEY_BYTES 16

struct slot {
	uint64_t key; /* 0: free */
	uint64_t since_us;
	uint32_t failures;
};

struct mg_throttle {
	uint8_t secret[KEY_BYTES]; /* nobody can choose keys that fall together */
	struct slot slot[MG_THROTTLE_SLOTS];
};

struct mg_throttle *mg_throttle_new(void)
{
	struct mg_throttle *t = calloc(1, sizeof(*t));

	if (t != NULL && RAND_bytes(t->secret, sizeof(t->secret)) != 1) {
		free(t);
		t = NULL;
	}
	return t;
}

void mg_throttle_free(struct mg_throttle *t)
{
	free(t);
}

/* Never 0. When it cannot be computed, all share one place: the bound holds, for everybody. */
static uint64_t key_of(const struct mg_throttle *t, char kind, struct sl_span what)
{
	uint8_t in[64] = {(uint8_t)kind}, out[32];
	unsigned int n = sizeof(out);
	uint64_t key;

	what = sl_span_sub(what, 0, sizeof(in) - 1);
	if (what.n > 0)
		memcpy(in + 1, what.p, what.n);
	if (HMAC(EVP_sha256(), t->secret, sizeof(t->secret), in, 1 + what.n, out, &n) == NULL)
		return 1;
	memcpy(&key, out, sizeof(key));
	return key != 0 ? key : 1;
}

static struct sl_span source_span(const struct sl_addr *a)
{
	return sl_span(a->b, a->family == SL_AF_INET ? 4 : 8);
}

static bool old(const struct slot *s, uint64_t now_us)
{
	return s->key == 0 || now_us - s->since_us >= MG_THROTTLE_WINDOW_US;
}

static const struct slot *find(const struct mg_throttle *t, uint64_t key, uint64_t now_us)
{
	for (uint32_t i = 0; i < WAYS; i++) {
		const struct slot *s = &t->slot[(key + i) % MG_THROTTLE_SLOTS];

		if (s->key == key && !old(s, now_us))
			return s;
	}
	return NULL;
}

static uint32_t failures(const struct mg_throttle *t, uint64_t key, uint64_t now_us)
{
	const struct slot *s = find(t, key, now_us);

	return s == NULL ? 0 : s->failures;
}

bool mg_throttle_blocked(const struct mg_throttle *t, const struct sl_addr *source, struct sl_span credential,
                         uint64_t now_us)
{
	return failures(t, key_of(t, 's', source_span(source)), now_us) >= MG_THROTTLE_SOURCE_MAX ||
	       failures(t, key_of(t, 'c', credential), now_us) >= MG_THROTTLE_CREDENTIAL_MAX;
}

static void count(struct mg_throttle *t, uint64_t key, uint64_t now_us)
{
	struct slot *at = (struct slot *)(uintptr_t)find(t, key, now_us);

	for (uint32_t i = 0; at == NULL && i < WAYS; i++) {
		struct slot *s = &t->slot[(key + i) % MG_THROTTLE_SLOTS];

		if (old(s, now_us))
			at = s;
	}
	if (at == NULL) {
		at = &t->slot[key % MG_THROTTLE_SLOTS];
		for (uint32_t i = 1; i < WAYS; i++) {
			struct slot *s = &t->slot[(key + i) % MG_THROTTLE_SLOTS];

			if (s->failures < at->failures)
				at = s;
		}
	}
	if (at->key != key || old(at, now_us))
		*at = (struct slot){.key = key, .since_us = now_us};
	at->failures++;
}

void mg_throttle_failed(struct mg_throttle *t, const struct sl_addr *source, struct sl_span credential,
                        uint64_t now_us)
{
	count(t, key_of(t, 's', source_span(source)), now_us);
	count(t, key_of(t, 'c', credential), now_us);
}
