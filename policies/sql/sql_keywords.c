/*
 * Key words are found by a hash table that is filled before main() begins. Most words are none: their first
 * and last letter and their length say so for nearly all of them.
 */
#include <string.h>

#include "sql_lex_priv.h"

#define BUCKETS     2048U /* a power of two, several times the number of words */
#define BUCKET_BITS 11
#define WORD_MAX    17 /* current_timestamp */

struct keyword {
	char word[WORD_MAX + 1]; /* in capitals, as the table of the header has them */
	uint8_t n;
};

#define KEYWORD_ROW(w, c) [KW_##w] = {#w, sizeof(#w) - 1},
static const struct keyword keywords[KW_COUNT] = {SQL_KEYWORD_TABLE(KEYWORD_ROW)};
#undef KEYWORD_ROW

#define KEYWORD_CLASS(w, c) [KW_##w] = #c[0],
const char sql_keyword_classes[KW_COUNT] = {[KW_IDENTIFIER] = 'U', SQL_KEYWORD_TABLE(KEYWORD_CLASS)};
#undef KEYWORD_CLASS

/*
 * A word of up to 17 bytes, folded: a bit makes lower case of upper case, and no letter of anything else that
 * a word may hold but '_', which no other byte becomes.
 */
struct folded {
	uint64_t a, b;
	uint8_t last; /* the 17th */
	uint8_t n;
};

static struct folded words[KW_COUNT];
static uint16_t buckets[BUCKETS]; /* 0: free */
static uint32_t lengths[32][32];  /* by the first and the last letter: a bit for each length of a key word */

/* n bytes, at most 8, as a number; what lies behind them up to `end` may be read. */
static uint64_t load(const uint8_t *p, size_t n, const uint8_t *end)
{
	uint64_t x = 0;

	if (end - p < 8) {
		memcpy(&x, p, n < 8 ? n : 8);
	} else {
		memcpy(&x, p, 8);
		if (n < 8)
			x &= (UINT64_C(1) << 8 * n) - 1;
	}
	return x | UINT64_C(0x2020202020202020);
}

static struct folded fold(const uint8_t *p, size_t n, const uint8_t *end)
{
	struct folded f = {load(p, n, end), 0, 0, (uint8_t)n};

	if (n > 8)
		f.b = load(p + 8, n - 8, end);
	if (n > 16)
		f.last = p[16] | 0x20;
	return f;
}

static uint32_t bucket_of(const struct folded *f)
{
	return (uint32_t)((f->a * UINT64_C(0x9e3779b97f4a7c15) + f->b * UINT64_C(0xc2b2ae3d27d4eb4f) +
	                   f->n) >>
	                  (64 - BUCKET_BITS));
}

__attribute__((constructor)) static void fill(void)
{
	for (int k = 1; k < KW_COUNT; k++) {
		const uint8_t *w = (const uint8_t *)keywords[k].word;
		struct folded f = fold(w, keywords[k].n, w + keywords[k].n);
		uint32_t i = bucket_of(&f);

		while (buckets[i] != 0)
			i = (i + 1) % BUCKETS;
		words[k] = f;
		buckets[i] = (uint16_t)k;
		lengths[w[0] & 31][w[f.n - 1] & 31] |= UINT32_C(1) << f.n;
	}
}

enum sql_keyword sql_keyword_find(struct sl_span word, const uint8_t *end)
{
	struct folded f;

	if (word.n > WORD_MAX || (lengths[word.p[0] & 31][word.p[word.n - 1] & 31] >> word.n & 1) == 0)
		return KW_IDENTIFIER;
	f = fold(word.p, word.n, end);
	for (uint32_t i = bucket_of(&f); buckets[i] != 0; i = (i + 1) % BUCKETS) {
		const struct folded *w = &words[buckets[i]];

		if (w->a == f.a && w->b == f.b && w->n == f.n && w->last == f.last)
			return (enum sql_keyword)buckets[i];
	}
	return KW_IDENTIFIER;
}
