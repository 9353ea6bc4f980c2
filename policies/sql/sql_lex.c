#include "sql_lex_priv.h"

#include <string.h>

enum {
	C_BAD = 0,
	C_SPACE,
	C_IDENT, /* starts an identifier */
	C_DIGIT,
	C_QUOTE,
	C_DQUOTE,
	C_DOLLAR,
	C_CHAR, /* punctuation and operators */
};

/* NUL, other control characters (vertical tab among them), backslash and braces are in no token of
 * PostgreSQL 15. */
/* clang-format off */
static const uint8_t char_class[256] = {
	['\t'] = C_SPACE, ['\n'] = C_SPACE, ['\f'] = C_SPACE, ['\r'] = C_SPACE, [' '] = C_SPACE,
	['A' ... 'Z'] = C_IDENT, ['a' ... 'z'] = C_IDENT, ['_'] = C_IDENT, [128 ... 255] = C_IDENT,
	['0' ... '9'] = C_DIGIT, ['\''] = C_QUOTE, ['"'] = C_DQUOTE, ['$'] = C_DOLLAR,
	['!'] = C_CHAR, ['#'] = C_CHAR, ['%'] = C_CHAR, ['&'] = C_CHAR, ['('] = C_CHAR, [')'] = C_CHAR,
	['*'] = C_CHAR, ['+'] = C_CHAR, [','] = C_CHAR, ['-'] = C_CHAR, ['.'] = C_CHAR, ['/'] = C_CHAR,
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

/* The byte at p + n, or 0 past the end (0 is in no token). */
static uint8_t at(const struct sql_lexer *lx, const uint8_t *p, size_t n)
{
	return (size_t)(lx->end - p) > n ? p[n] : 0;
}

static const uint8_t *skip_line_comment(const struct sql_lexer *lx, const uint8_t *p)
{
	while (p < lx->end && *p != '\n' && *p != '\r')
		p++;
	return p;
}

/* From behind the opening; they nest. NULL when it does not end. */
static const uint8_t *skip_block_comment(const struct sql_lexer *lx, const uint8_t *p)
{
	size_t depth = 1;

	while (p < lx->end) {
		if (*p == '*' && at(lx, p, 1) == '/') {
			p += 2;
			if (--depth == 0)
				return p;
		} else if (*p == '/' && at(lx, p, 1) == '*') {
			p += 2;
			depth++;
		} else {
			p++;
		}
	}
	return NULL;
}

/* White space and comments. False when a comment does not end. */
static bool skip_space(struct sql_lexer *lx)
{
	const uint8_t *p = lx->p;

	while (p < lx->end) {
		if (char_class[*p] == C_SPACE) {
			p++;
		} else if (*p == '-' && at(lx, p, 1) == '-') {
			p = skip_line_comment(lx, p);
		} else if (*p == '/' && at(lx, p, 1) == '*') {
			p = skip_block_comment(lx, p + 2);
			if (p == NULL)
				return false;
		} else {
			break;
		}
	}
	lx->p = p;
	return true;
}

/*
 * Behind a literal's closing quote: a literal goes on after white space (and line comments) that holds a
 * newline. Returns the place behind the next opening quote, NULL when the literal ends here.
 */
static const uint8_t *literal_goes_on(const struct sql_lexer *lx, const uint8_t *p)
{
	bool newline = false;

	while (p < lx->end) {
		if (*p == '\n' || *p == '\r') {
			newline = true;
			p++;
		} else if (char_class[*p] == C_SPACE) {
			p++;
		} else if (*p == '-' && at(lx, p, 1) == '-') {
			p = skip_line_comment(lx, p);
		} else {
			return *p == '\'' && newline ? p + 1 : NULL;
		}
	}
	return NULL;
}

/* From behind the opening quote to behind the closing one. NULL when it does not end. */
static const uint8_t *skip_quoted(const struct sql_lexer *lx, const uint8_t *p, uint8_t quote, bool backslash)
{
	if (!backslash) {
		while ((p = memchr(p, quote, (size_t)(lx->end - p))) != NULL && at(lx, p, 1) == quote)
			p += 2;
		return p == NULL ? NULL : p + 1;
	}
	while (p < lx->end) {
		if (*p == quote) {
			if (at(lx, p, 1) != quote)
				return p + 1;
			p += 2;
		} else if (*p == '\\') {
			if (lx->end - p < 2)
				return NULL;
			p += 2;
		} else {
			p++;
		}
	}
	return NULL;
}

static const uint8_t *skip_literal(const struct sql_lexer *lx, const uint8_t *p, bool backslash)
{
	const uint8_t *next;

	for (;;) {
		p = skip_quoted(lx, p, '\'', backslash);
		if (p == NULL)
			return NULL;
		next = literal_goes_on(lx, p);
		if (next == NULL)
			return p;
		p = next;
	}
}

static void finish(struct sql_lexer *lx, struct sql_token *t, enum sql_token_type type, const uint8_t *start,
                   const uint8_t *end)
{
	if (end == NULL) {
		type = TOK_BAD;
		end = lx->end;
	}
	t->type = type;
	t->text = sl_span(start, (size_t)(end - start));
	lx->p = end;
}

/* $1, $tag$...$tag$; anything else that begins with a dollar sign is no token. */
static void lex_dollar(struct sql_lexer *lx, struct sql_token *t, const uint8_t *start)
{
	const uint8_t *p = start + 1;
	const uint8_t *body;

	if (char_class[at(lx, p, 0)] == C_DIGIT) {
		while (p < lx->end && char_class[*p] == C_DIGIT)
			p++;
		finish(lx, t, TOK_PARAM, start, p);
		return;
	}
	while (p < lx->end && (char_class[*p] == C_IDENT || char_class[*p] == C_DIGIT))
		p++;
	if (at(lx, p, 0) != '$') {
		finish(lx, t, TOK_BAD, start, NULL);
		return;
	}
	body = ++p;
	p = memmem(body, (size_t)(lx->end - body), start, (size_t)(body - start));
	finish(lx, t, TOK_STRING, start, p == NULL ? NULL : p + (body - start));
}

static void lex_number(struct sql_lexer *lx, struct sql_token *t, const uint8_t *start)
{
	const uint8_t *p = start;
	const uint8_t *e;

	while (p < lx->end && char_class[*p] == C_DIGIT)
		p++;
	if (at(lx, p, 0) == '.' && at(lx, p, 1) != '.') {
		p++;
		while (p < lx->end && char_class[*p] == C_DIGIT)
			p++;
	}
	if (sql_fold(at(lx, p, 0)) == 'e') {
		e = p + 1;
		if (at(lx, e, 0) == '+' || at(lx, e, 0) == '-')
			e++;
		if (char_class[at(lx, e, 0)] == C_DIGIT) {
			while (e < lx->end && char_class[*e] == C_DIGIT)
				e++;
			p = e;
		}
	}
	finish(lx, t, TOK_NUMBER, start, p);
}

/* Literals with a letter before the quote. True when it was one. */
static bool lex_prefixed(struct sql_lexer *lx, struct sql_token *t, const uint8_t *start)
{
	uint8_t c = sql_fold(*start);
	uint8_t next = at(lx, start, 1);

	if (next == '\'' && (c == 'e' || c == 'b' || c == 'x' || c == 'n')) {
		finish(lx, t, TOK_STRING, start, skip_literal(lx, start + 2, c == 'e'));
		return true;
	}
	if (c != 'u' || next != '&')
		return false;
	next = at(lx, start, 2);
	if (next == '\'') {
		finish(lx, t, TOK_STRING, start, skip_literal(lx, start + 3, false));
		return true;
	}
	if (next == '"') {
		finish(lx, t, TOK_UESC, start, skip_quoted(lx, start + 3, '"', false));
		return true;
	}
	return false;
}

static void lex_word(struct sql_lexer *lx, struct sql_token *t, const uint8_t *start)
{
	const uint8_t *p = start + 1;

	if (lex_prefixed(lx, t, start))
		return;
	while (p < lx->end && ident_cont[*p])
		p++;
	finish(lx, t, TOK_WORD, start, p);
	t->kw = sql_keyword_find(t->text, lx->end);
}

void sql_lex_next(struct sql_lexer *lx, struct sql_token *t)
{
	const uint8_t *p;

	t->kw = KW_IDENTIFIER;
	t->c = 0;
	if (!skip_space(lx)) {
		finish(lx, t, TOK_BAD, lx->p, NULL);
		return;
	}
	p = lx->p;
	if (p == lx->end) {
		finish(lx, t, TOK_END, p, p);
		return;
	}
	switch (char_class[*p]) {
	case C_IDENT:
		lex_word(lx, t, p);
		break;
	case C_DIGIT:
		lex_number(lx, t, p);
		break;
	case C_QUOTE:
		finish(lx, t, TOK_STRING, p, skip_literal(lx, p + 1, false));
		break;
	case C_DQUOTE:
		finish(lx, t, TOK_QUOTED, p, skip_quoted(lx, p + 1, '"', false));
		break;
	case C_DOLLAR:
		lex_dollar(lx, t, p);
		break;
	case C_CHAR:
		if (*p == '.' && char_class[at(lx, p, 1)] == C_DIGIT) {
			lex_number(lx, t, p);
			break;
		}
		t->c = *p;
		finish(lx, t, TOK_CHAR, p, p + 1);
		break;
	default:
		finish(lx, t, TOK_BAD, p, NULL);
		break;
	}
}
