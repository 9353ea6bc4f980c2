/*
 * Key words are found by a perfect hash: a word's hash gives its group, the group's shift and the hash its
 * slot, and no slot has two words. Each group's shift, and the multiplier under which all groups find one,
 * are looked for before main() begins.
 */
#include <string.h>

#include "sql_lex_priv.h"

#define WORD_MAX  17 /* current_timestamp, the only one over SQL_FOLDED_BYTES */
#define GROUP_MAX 16 /* words; more are another multiplier's */

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

#define KEYWORD_LONG(w, c) +(sizeof(#w) - 1 > SQL_FOLDED_BYTES)
_Static_assert((SQL_KEYWORD_TABLE(KEYWORD_LONG)) == 1, "sql_keyword_find_long() knows one");
#undef KEYWORD_LONG

/* What sql_expr.c looks at more closely: phrases, CASE and its words, joins. */
static const enum sql_keyword special[] = {
        KW_AS,     KW_DISTINCT, KW_WITHIN, KW_SIMILAR, KW_YEAR,  KW_DAY,   KW_HOUR,
        KW_MINUTE, KW_WITH,     KW_CASE,   KW_WHEN,    KW_THEN,  KW_ELSE,  KW_END,
        KW_JOIN,   KW_LEFT,     KW_RIGHT,  KW_FULL,    KW_INNER, KW_CROSS, KW_NATURAL,
};

/* Reserved words that expressions are made of; any other one ends the clause. */
static const enum sql_keyword plain[] = {
        KW_ALL,
        KW_AND,
        KW_ANY,
        KW_ARRAY,
        KW_ASC,
        KW_ASYMMETRIC,
        KW_BOTH,
        KW_CAST,
        KW_COLLATE,
        KW_CURRENT_CATALOG,
        KW_CURRENT_DATE,
        KW_CURRENT_ROLE,
        KW_CURRENT_TIME,
        KW_CURRENT_TIMESTAMP,
        KW_CURRENT_USER,
        KW_DEFAULT,
        KW_DESC,
        KW_DISTINCT,
        KW_FALSE,
        KW_IN,
        KW_LEADING,
        KW_LOCALTIME,
        KW_LOCALTIMESTAMP,
        KW_NOT,
        KW_NULL,
        KW_OR,
        KW_PLACING,
        KW_SESSION_USER,
        KW_SOME,
        KW_SYMMETRIC,
        KW_TRAILING,
        KW_TRUE,
        KW_UNIQUE,
        KW_USER,
        KW_VARIADIC,
};

struct sql_keyword_index sql_keywords;

static struct sql_folded folded(const struct keyword *k)
{
	uint8_t bytes[SQL_FOLDED_BYTES] = {0};
	struct sql_folded f;

	for (uint8_t i = 0; i < k->n; i++)
		bytes[i] = (uint8_t)k->word[i] | 0x20;
	memcpy(&f, bytes, sizeof(f));
	return f;
}

/* Gives the words of a group free slots, all by the same shift. False when none does. */
static bool place(struct sql_keyword_index *x, const uint16_t *group, uint32_t nb)
{
	uint32_t slots[GROUP_MAX];

	for (uint32_t shift = 0; shift < SQL_KEYWORD_SLOTS; shift++) {
		uint32_t i = 0;

		for (; i < nb; i++) {
			uint64_t hash = sql_keyword_hash(x->word[group[i]], x->multiplier);

			x->shift[hash >> 56] = (uint16_t)shift;
			slots[i] = sql_keyword_slot(hash, x->shift);
			if (x->slot[slots[i]] != KW_IDENTIFIER)
				break;
			x->slot[slots[i]] = group[i];
		}
		if (i == nb)
			return true;
		while (i > 0)
			x->slot[slots[--i]] = KW_IDENTIFIER;
	}
	return false;
}

/* All groups, the largest ones first. */
static bool fill(struct sql_keyword_index *x)
{
	static uint16_t groups[SQL_KEYWORD_GROUPS][GROUP_MAX];
	uint32_t nb[SQL_KEYWORD_GROUPS] = {0};

	memset(x->slot, 0, sizeof(x->slot));
	for (int k = 1; k < KW_COUNT; k++) {
		uint64_t g = sql_keyword_hash(x->word[k], x->multiplier) >> 56;

		if (keywords[k].n > SQL_FOLDED_BYTES)
			continue;
		if (nb[g] == GROUP_MAX)
			return false;
		groups[g][nb[g]++] = (uint16_t)k;
	}
	for (uint32_t size = GROUP_MAX; size > 0; size--) {
		for (uint32_t g = 0; g < SQL_KEYWORD_GROUPS; g++) {
			if (nb[g] == size && !place(x, groups[g], size))
				return false;
		}
	}
	return true;
}

__attribute__((constructor)) static void index_keywords(void)
{
	struct sql_keyword_index *x = &sql_keywords;

	for (int k = 0; k < KW_COUNT; k++) {
		struct sql_token t = {.type = TOK_WORD, .kw = (enum sql_keyword)k, .flags = SQL_FLAG_WORD};

		if (keywords[k].n <= SQL_FOLDED_BYTES)
			x->word[k] = folded(&keywords[k]);
		if (sql_keyword_classes[k] != 'R')
			t.flags |= SQL_FLAG_NAME;
		for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++)
			t.flags |= special[i] == t.kw ? SQL_FLAG_SPECIAL : 0;
		for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
			t.flags |= plain[i] == t.kw ? SQL_FLAG_PLAIN : 0;
		x->head[k] = t.head;
	}
	for (x->multiplier = UINT64_C(0x9e3779b97f4a7c15); !fill(x);)
		x->multiplier += UINT64_C(0x3c6ef372fe94f82a);
}

enum sql_keyword sql_keyword_find_long(struct sl_span word)
{
	const struct keyword *k = &keywords[KW_CURRENT_TIMESTAMP];

	if (word.n != k->n)
		return KW_IDENTIFIER;
	for (size_t i = 0; i < word.n; i++) {
		if (((uint8_t)k->word[i] | 0x20) != (word.p[i] | 0x20))
			return KW_IDENTIFIER;
	}
	return KW_CURRENT_TIMESTAMP;
}
