#include "sql_lex_priv.h"

#include <string.h>

#ifdef __SSSE3__
#include <tmmintrin.h>
#endif

#define COLD __attribute__((noinline)) /* keeps what is rare out of the loop's registers and stack */

enum {
	C_BAD = 0,
	C_SPACE,
	C_IDENT, /* starts an identifier */
	C_DIGIT,
	C_QUOTE,
	C_DQUOTE,
	C_DOLLAR,
	C_CHAR, /* punctuation and operators */
	C_DOT,
	C_MINUS,
	C_SLASH,
};

/* NUL, other control characters (vertical tab among them), backslash and braces are in no token of
 * PostgreSQL 15. */
/* clang-format off */
static const uint8_t char_class[256] = {
	['\t'] = C_SPACE, ['\n'] = C_SPACE, ['\f'] = C_SPACE, ['\r'] = C_SPACE, [' '] = C_SPACE,
	['A' ... 'Z'] = C_IDENT, ['a' ... 'z'] = C_IDENT, ['_'] = C_IDENT, [128 ... 255] = C_IDENT,
	['0' ... '9'] = C_DIGIT, ['\''] = C_QUOTE, ['"'] = C_DQUOTE, ['$'] = C_DOLLAR,
	['!'] = C_CHAR, ['#'] = C_CHAR, ['%'] = C_CHAR, ['&'] = C_CHAR, ['('] = C_CHAR, [')'] = C_CHAR,
	['*'] = C_CHAR, ['+'] = C_CHAR, [','] = C_CHAR, ['-'] = C_MINUS, ['.'] = C_DOT, ['/'] = C_SLASH,
	[':'] = C_CHAR, [';'] = C_CHAR, ['<'] = C_CHAR, ['='] = C_CHAR, ['>'] = C_CHAR, ['?'] = C_CHAR,
	['@'] = C_CHAR, ['['] = C_CHAR, [']'] = C_CHAR, ['^'] = C_CHAR, ['`'] = C_CHAR, ['|'] = C_CHAR,
	['~'] = C_CHAR,
};
/* clang-format on */

/* What an identifier goes on with. */
static const bool ident_cont[256] = {
        ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['_'] = true,
        ['0' ... '9'] = true, ['$'] = true,         [128 ... 255] = true,
};

/* 0: SQL_FLAG_PLAIN */
static const uint8_t char_flags[256] = {
        [';'] = SQL_FLAG_ENDS,  [')'] = SQL_FLAG_ENDS,
        [']'] = SQL_FLAG_ENDS,  [','] = SQL_FLAG_COMMA | SQL_FLAG_PLAIN,
        ['('] = SQL_FLAG_OPENS, ['['] = SQL_FLAG_OPENS,
        [':'] = SQL_FLAG_OPENS,
};

const struct sql_token sql_no_token = {.type = TOK_END, .flags = SQL_FLAG_ENDS};

/* The byte at p + n, or 0 past the end (0 is in no token). */
static inline uint8_t at(const uint8_t *p, const uint8_t *end, size_t n)
{
	return (size_t)(end - p) > n ? p[n] : 0;
}

/* All that skips gives the place behind, or NULL when what it skips does not end. */
static const uint8_t *skip_line_comment(const uint8_t *p, const uint8_t *end)
{
	while (p < end && *p != '\n' && *p != '\r')
		p++;
	return p;
}

/* From behind the opening; they nest. */
static const uint8_t *skip_block_comment(const uint8_t *p, const uint8_t *end)
{
	size_t depth = 1;

	while (p < end) {
		if (*p == '*' && at(p, end, 1) == '/') {
			p += 2;
			if (--depth == 0)
				return p;
		} else if (*p == '/' && at(p, end, 1) == '*') {
			p += 2;
			depth++;
		} else {
			p++;
		}
	}
	return NULL;
}

/* White space and comments. */
COLD static const uint8_t *skip_comments(const uint8_t *p, const uint8_t *end)
{
	while (p < end) {
		if (char_class[*p] == C_SPACE) {
			p++;
		} else if (*p == '-' && at(p, end, 1) == '-') {
			p = skip_line_comment(p, end);
		} else if (*p == '/' && at(p, end, 1) == '*') {
			p = skip_block_comment(p + 2, end);
			if (p == NULL)
				return NULL;
		} else {
			break;
		}
	}
	return p;
}

/*
 * Behind a literal's closing quote: a literal goes on after white space (and line comments) that holds a
 * newline. Returns the place behind the next opening quote, NULL when the literal ends here.
 */
static const uint8_t *literal_goes_on(const uint8_t *p, const uint8_t *end)
{
	bool newline = false;

	while (p < end) {
		if (*p == '\n' || *p == '\r') {
			newline = true;
			p++;
		} else if (char_class[*p] == C_SPACE) {
			p++;
		} else if (*p == '-' && at(p, end, 1) == '-') {
			p = skip_line_comment(p, end);
		} else {
			return *p == '\'' && newline ? p + 1 : NULL;
		}
	}
	return NULL;
}

/* From behind the opening quote to behind the closing one. */
static const uint8_t *skip_quoted(const uint8_t *p, const uint8_t *end, uint8_t quote, bool backslash)
{
	if (!backslash) {
		while ((p = memchr(p, quote, (size_t)(end - p))) != NULL && at(p, end, 1) == quote)
			p += 2;
		return p == NULL ? NULL : p + 1;
	}
	while (p < end) {
		if (*p == quote) {
			if (at(p, end, 1) != quote)
				return p + 1;
			p += 2;
		} else if (*p == '\\') {
			if (end - p < 2)
				return NULL;
			p += 2;
		} else {
			p++;
		}
	}
	return NULL;
}

static const uint8_t *skip_literal(const uint8_t *p, const uint8_t *end, bool backslash)
{
	const uint8_t *next;

	for (;;) {
		p = skip_quoted(p, end, '\'', backslash);
		if (p == NULL)
			return NULL;
		next = literal_goes_on(p, end);
		if (next == NULL)
			return p;
		p = next;
	}
}

/* A token from p on; behind NULL: it does not end. Gives the place behind it, `end` then. */
static inline const uint8_t *put(struct sql_token *t, struct sql_token head, const uint8_t *p,
                                 const uint8_t *behind, const uint8_t *end)
{
	t->head = head.head;
	if (behind == NULL) {
		t->head = (struct sql_token){.type = TOK_BAD}.head;
		behind = end;
	}
	t->text = sl_span(p, (size_t)(behind - p));
	return behind;
}

#define HEAD(t)       ((struct sql_token){.type = (t)})
#define HEAD_NAME(t)  ((struct sql_token){.type = (t), .flags = SQL_FLAG_WORD | SQL_FLAG_NAME})
#define HEAD_PLAIN(t) ((struct sql_token){.type = (t), .flags = SQL_FLAG_PLAIN})

/* $1, $tag$...$tag$; anything else that begins with a dollar sign is no token. */
COLD static const uint8_t *lex_dollar(struct sql_token *t, const uint8_t *start, const uint8_t *end)
{
	const uint8_t *p = start + 1;
	const uint8_t *body;

	if (char_class[at(p, end, 0)] == C_DIGIT) {
		while (p < end && char_class[*p] == C_DIGIT)
			p++;
		return put(t, HEAD(TOK_PARAM), start, p, end);
	}
	while (p < end && (char_class[*p] == C_IDENT || char_class[*p] == C_DIGIT))
		p++;
	if (at(p, end, 0) != '$')
		return put(t, HEAD(TOK_BAD), start, NULL, end);
	body = ++p;
	p = memmem(body, (size_t)(end - body), start, (size_t)(body - start));
	return put(t, HEAD_PLAIN(TOK_STRING), start, p == NULL ? NULL : p + (body - start), end);
}

COLD static const uint8_t *lex_number(struct sql_token *t, const uint8_t *start, const uint8_t *end)
{
	const uint8_t *p = start;
	const uint8_t *e;

	while (p < end && char_class[*p] == C_DIGIT)
		p++;
	if (at(p, end, 0) == '.' && at(p, end, 1) != '.') {
		p++;
		while (p < end && char_class[*p] == C_DIGIT)
			p++;
	}
	if (sql_fold(at(p, end, 0)) == 'e') {
		e = p + 1;
		if (at(e, end, 0) == '+' || at(e, end, 0) == '-')
			e++;
		if (char_class[at(e, end, 0)] == C_DIGIT) {
			while (e < end && char_class[*e] == C_DIGIT)
				e++;
			p = e;
		}
	}
	return put(t, HEAD_PLAIN(TOK_NUMBER), start, p, end);
}

/* ---- words ---- */

/* Literals with a letter before the quote, whose letter is at `start`. NULL: it is none. */
COLD static const uint8_t *lex_prefixed(struct sql_token *t, const uint8_t *start, const uint8_t *end)
{
	uint8_t c = sql_fold(*start), next = at(start, end, 1);

	if (next == '\'' && (c == 'e' || c == 'b' || c == 'x' || c == 'n'))
		return put(t, HEAD_PLAIN(TOK_STRING), start, skip_literal(start + 2, end, c == 'e'), end);
	next = c == 'u' && next == '&' ? at(start, end, 2) : 0;
	if (next == '\'')
		return put(t, HEAD_PLAIN(TOK_STRING), start, skip_literal(start + 3, end, false), end);
	if (next == '"')
		return put(t, HEAD_NAME(TOK_UESC), start, skip_quoted(start + 3, end, '"', false), end);
	return NULL;
}

/* A word of n bytes, at most 16, whose bytes are folded in f. */
static inline const uint8_t *put_word(struct sql_token *t, const uint8_t *start, size_t n,
                                      struct sql_folded f)
{
	t->head = sql_keywords.head[sql_keyword_find(f)];
	t->text = sl_span(start, n);
	return start + n;
}

/* Any word, byte by byte. */
COLD static const uint8_t *lex_word_slowly(struct sql_token *t, const uint8_t *start, const uint8_t *end)
{
	uint8_t bytes[SQL_FOLDED_BYTES] = {0};
	const uint8_t *p = start;
	struct sql_folded f;
	size_t n;

	for (; p < end && ident_cont[*p]; p++) {
		if (p - start < SQL_FOLDED_BYTES)
			bytes[p - start] = (uint8_t)(*p | 0x20);
	}
	n = (size_t)(p - start);
	if (n == 1 && (p = lex_prefixed(t, start, end)) != NULL)
		return p;
	if (n > SQL_FOLDED_BYTES) {
		t->head = sql_keywords.head[sql_keyword_find_long(sl_span(start, n))];
		t->text = sl_span(start, n);
		return start + n;
	}
	memcpy(&f, bytes, sizeof(f));
	return put_word(t, start, n, f);
}

#ifdef __SSSE3__
/*
 * A byte below 128 goes on with a word when the bits of its lower and upper four bits meet: 1 for digits, 2
 * for letters up to O, 4 for the others, 8 for '_', 16 for '$'.
 */
#define LOW_DIGIT  (1 | 2 | 4)
#define LOW_LETTER (2 | 4)

static inline unsigned int word_length(__m128i x)
{
	const __m128i low =
	        _mm_setr_epi8(1 | 4, LOW_DIGIT, LOW_DIGIT, LOW_DIGIT, LOW_DIGIT | 16, LOW_DIGIT, LOW_DIGIT,
	                      LOW_DIGIT, LOW_DIGIT, LOW_DIGIT, LOW_LETTER, 2, 2, 2, 2, 2 | 8);
	const __m128i high = _mm_setr_epi8(0, 0, 16, 1, 2, 4 | 8, 2, 4, 0, 0, 0, 0, 0, 0, 0, 0);
	const __m128i four = _mm_set1_epi8(0x0f);
	__m128i meet = _mm_and_si128(_mm_shuffle_epi8(low, _mm_and_si128(x, four)),
	                             _mm_shuffle_epi8(high, _mm_and_si128(_mm_srli_epi16(x, 4), four)));
	/* All ones where they do not; the sign of a byte from 128 on goes on with a word, too. */
	__m128i ends = _mm_andnot_si128(x, _mm_cmpeq_epi8(meet, _mm_setzero_si128()));

	return (unsigned int)__builtin_ctz((unsigned int)_mm_movemask_epi8(ends) | 1U << SQL_FOLDED_BYTES);
}

static inline __m128i load(const uint8_t *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* The bytes from p on, fewer than 16 up to the end of a text that has as many, and zeros. */
COLD static __m128i load_last(const uint8_t *p, const uint8_t *end)
{
	static const int8_t places[2 * SQL_FOLDED_BYTES] = {
	        0,
	        1,
	        2,
	        3,
	        4,
	        5,
	        6,
	        7,
	        8,
	        9,
	        10,
	        11,
	        12,
	        13,
	        14,
	        15,
	        [SQL_FOLDED_BYTES... 2 * SQL_FOLDED_BYTES - 1] = -1};
	ptrdiff_t missing = SQL_FOLDED_BYTES - (end - p);

	return _mm_shuffle_epi8(load(p - missing), load((const uint8_t *)places + missing));
}

/* The same, sixteen bytes at once. */
static inline const uint8_t *lex_word(struct sql_token *t, const uint8_t *start, const struct sql_lexer *lx)
{
	static const uint8_t keep[2 * SQL_FOLDED_BYTES] = {[0 ... SQL_FOLDED_BYTES - 1] = 0xff};
	__m128i x;
	unsigned int n;

	if (lx->end - start >= SQL_FOLDED_BYTES)
		x = load(start);
	else if (lx->wide)
		x = load_last(start, lx->end);
	else
		return lex_word_slowly(t, start, lx->end);
	n = word_length(x);
	if (n == SQL_FOLDED_BYTES || (n == 1 && lx->end - start > 1 && (start[1] == '\'' || start[1] == '&')))
		return lex_word_slowly(t, start, lx->end);
	x = _mm_and_si128(_mm_or_si128(x, _mm_set1_epi8(0x20)), load(keep + SQL_FOLDED_BYTES - n));
	return put_word(t, start, n,
	                (struct sql_folded){
	                        (uint64_t)_mm_cvtsi128_si64(x),
	                        (uint64_t)_mm_cvtsi128_si64(_mm_unpackhi_epi64(x, x)),
	                });
}
#else
static inline const uint8_t *lex_word(struct sql_token *t, const uint8_t *start, const struct sql_lexer *lx)
{
	return lex_word_slowly(t, start, lx->end);
}
#endif

/* ---- tokens ---- */

static uint64_t char_heads[256];

__attribute__((constructor)) static void fill_chars(void)
{
	for (unsigned int c = 0; c < 256; c++)
		char_heads[c] =
		        (struct sql_token){.type = TOK_CHAR,
		                           .c = (uint8_t)c,
		                           .flags = char_flags[c] != 0 ? char_flags[c] : SQL_FLAG_PLAIN}
		                .head;
}

static inline const uint8_t *lex_char(struct sql_token *t, const uint8_t *p)
{
	t->head = char_heads[*p];
	t->text = sl_span(p, 1);
	return p + 1;
}

/* Any token, with white space and comments in front of it. */
COLD static const uint8_t *lex_any(struct sql_token *t, const uint8_t *start, const struct sql_lexer *lx)
{
	const uint8_t *const end = lx->end, *p = skip_comments(start, end);

	if (p == NULL)
		return put(t, HEAD(TOK_BAD), start, NULL, end);
	if (p == end)
		return put(t, sql_no_token, p, p, end);
	switch (char_class[*p]) {
	case C_IDENT:
		return lex_word(t, p, lx);
	case C_CHAR:
	case C_MINUS:
	case C_SLASH:
		return lex_char(t, p);
	case C_DOT:
		return char_class[at(p, end, 1)] == C_DIGIT ? lex_number(t, p, end) : lex_char(t, p);
	case C_DIGIT:
		return lex_number(t, p, end);
	case C_QUOTE:
		return put(t, HEAD_PLAIN(TOK_STRING), p, skip_literal(p + 1, end, false), end);
	case C_DQUOTE:
		return put(t, HEAD_NAME(TOK_QUOTED), p, skip_quoted(p + 1, end, '"', false), end);
	case C_DOLLAR:
		return lex_dollar(t, p, end);
	default:
		return put(t, HEAD(TOK_BAD), p, NULL, end);
	}
}

/* Gives the place behind the token. Most are words and single characters, behind a blank or nothing. */
static inline const uint8_t *lex_one(struct sql_token *t, const uint8_t *p, const struct sql_lexer *lx)
{
	const uint8_t *start = p;
	uint8_t class;

	if (lx->end - p < 2) /* a blank and more, or a character and another */
		return lex_any(t, p, lx);
	class = char_class[*p];
	if (class == C_SPACE)
		class = char_class[*++start];
	if (class == C_IDENT)
		return lex_word(t, start, lx);
	if (class == C_CHAR || (class == C_DOT && start == p && char_class[p[1]] != C_DIGIT))
		return lex_char(t, start);
	return lex_any(t, p, lx);
}

uint32_t sql_lex(struct sql_lexer *lx, struct sql_token *t, uint32_t n)
{
	const struct sql_token *const first = t, *const last = t + n;
	const uint8_t *p = lx->p;

	do
		p = lex_one(t, p, lx);
	while (t++->type > TOK_BAD && t < last);
	lx->p = p;
	return (uint32_t)(t - first);
}
