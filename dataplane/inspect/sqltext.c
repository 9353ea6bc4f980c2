#include "sqltext.h"

#include <string.h>

#define REDACTED SL_SPAN_LIT("'***'")

/* Statements that can hold a password, and those whose inside is not known. */
#define PASSWORD_KINDS                                                                                       \
	(SL_SQL_BIT(SL_SQL_CREATE) | SL_SQL_BIT(SL_SQL_ALTER) | SL_SQL_BIT(SL_SQL_DO) |                      \
	 SL_SQL_BIT(SL_SQL_OPAQUE) | SL_SQL_BIT(SL_SQL_CALL) | SL_SQL_BIT(SL_SQL_PREPARE) |                  \
	 SL_SQL_BIT(SL_SQL_ADMIN))

/* ---- characters and white space (PostgreSQL manual 4.1) ---- */

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

static bool is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_ident(uint8_t c)
{
	return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '$' ||
	       c >= 0x80;
}

static bool at_word(struct sl_span s, size_t at, const char *word)
{
	size_t n = strlen(word);

	if (s.n - at < n || (at > 0 && is_ident(s.p[at - 1])) || (at + n < s.n && is_ident(s.p[at + n])))
		return false;
	for (size_t i = 0; i < n; i++)
		if (lower(s.p[at + i]) != (uint8_t)word[i])
			return false;
	return true;
}

/* Behind a block comment that starts at `at`; they nest. */
static size_t skip_block(struct sl_span s, size_t at)
{
	size_t depth = 1;

	for (at += 2; at + 1 < s.n; at++) {
		if (s.p[at] == '/' && s.p[at + 1] == '*') {
			depth++;
			at++;
		} else if (s.p[at] == '*' && s.p[at + 1] == '/') {
			at++;
			if (--depth == 0)
				return at + 1;
		}
	}
	return s.n;
}

/* Behind white space and comments. */
static size_t skip_space(struct sl_span s, size_t at)
{
	while (at < s.n) {
		if (is_space(s.p[at])) {
			at++;
		} else if (s.n - at >= 2 && s.p[at] == '-' && s.p[at + 1] == '-') {
			while (at < s.n && s.p[at] != '\n' && s.p[at] != '\r')
				at++;
		} else if (s.n - at >= 2 && s.p[at] == '/' && s.p[at + 1] == '*') {
			at = skip_block(s, at);
		} else {
			break;
		}
	}
	return at;
}

/* ---- passwords ---- */

/* Behind a literal in quotes whose opening quote is at `at`. */
static size_t skip_quoted(struct sl_span s, size_t at, bool backslash)
{
	uint8_t quote = s.p[at];

	for (at++; at < s.n; at++) {
		if (backslash && s.p[at] == '\\')
			at++;
		else if (s.p[at] == quote && (at + 1 >= s.n || s.p[at + 1] != quote))
			return at + 1;
		else if (s.p[at] == quote)
			at++;
	}
	return s.n;
}

/* The length of the $tag$ at `at`, 0 when there is none. */
static size_t dollar_tag(struct sl_span s, size_t at)
{
	size_t end = at + 1;

	if (s.p[at] != '$' || (end < s.n && s.p[end] >= '0' && s.p[end] <= '9'))
		return 0;
	while (end < s.n && s.p[end] != '$' && is_ident(s.p[end]))
		end++;
	return end < s.n && s.p[end] == '$' ? end + 1 - at : 0;
}

static size_t skip_dollar(struct sl_span s, size_t at, size_t tag)
{
	for (size_t i = at + tag; i + tag <= s.n; i++)
		if (s.p[i] == '$' && memcmp(s.p + i, s.p + at, tag) == 0)
			return i + tag;
	return s.n;
}

/* Whether the literal with the tag at `at` that ends at `to` is finished; else all of it is its body. */
static bool closes(struct sl_span s, size_t at, size_t tag, size_t to)
{
	return to >= at + 2 * tag && memcmp(s.p + to - tag, s.p + at, tag) == 0;
}

/* Behind one literal that starts at `at`, in any of its forms; `at` when none does. */
static size_t skip_literal(struct sl_span s, size_t at)
{
	size_t tag;

	if (s.p[at] == '\'')
		return skip_quoted(s, at, false);
	if (lower(s.p[at]) == 'e' && s.n - at > 1 && s.p[at + 1] == '\'')
		return skip_quoted(s, at + 1, true);
	if (lower(s.p[at]) == 'u' && s.n - at > 2 && s.p[at + 1] == '&' && s.p[at + 2] == '\'')
		return skip_quoted(s, at + 2, false);
	tag = dollar_tag(s, at);
	return tag > 0 ? skip_dollar(s, at, tag) : at;
}

/* PASSWORD of a role and of OPTIONS, SSLPASSWORD of OPTIONS; CONNECTION of a subscription, whose literal can
 * hold one. Its length, 0 none. */
static size_t keyword_at(struct sl_span s, size_t at)
{
	uint8_t c = lower(s.p[at]);

	if (c == 'p' && at_word(s, at, "password"))
		return sizeof("password") - 1;
	if (c == 's' && at_word(s, at, "sslpassword"))
		return sizeof("sslpassword") - 1;
	if (c == 'c' && at_word(s, at, "connection"))
		return sizeof("connection") - 1;
	return 0;
}

/* What the literals of a statement are. */
enum form {
	FORM_OTHER,
	FORM_SECRET, /* values of a role, a user mapping, a server, a subscription: never run */
	FORM_CODE,   /* of DO and of what makes a function: run, and `password=` is an assignment or a test */
};

struct cutter {
	struct statement *st;
	size_t done; /* up to here it is in st */
	enum form form;
};

/* Behind a word and what is blank behind it; `at` when it is another one. */
static size_t skip_word(struct sl_span s, size_t at, const char *word)
{
	return at_word(s, at, word) ? skip_space(s, at + strlen(word)) : at;
}

static bool at_any_word(struct sl_span s, size_t at, const char *const *words)
{
	for (; *words != NULL; words++)
		if (at_word(s, at, *words))
			return true;
	return false;
}

/* By its first words. */
static enum form form_of(struct sl_span s, size_t at)
{
	static const char *const secret[] = {"role", "user", "group", "server", "subscription", NULL};
	static const char *const code[] = {"function", "procedure", NULL};
	size_t to = skip_word(s, at, "create");

	if (at_word(s, at, "do"))
		return FORM_CODE;
	to = to == at ? skip_word(s, at, "alter") : to;
	if (to == at)
		return FORM_OTHER;
	to = skip_word(s, skip_word(s, to, "or"), "replace");
	if (at_any_word(s, to, secret))
		return FORM_SECRET;
	return at_any_word(s, to, code) ? FORM_CODE : FORM_OTHER;
}

static void add_part(struct statement *st, struct sl_span part)
{
	if (part.n == 0)
		return;
	st->part[st->nb++] = part;
	st->total += part.n;
}

/* False: too many. */
static bool cut(struct cutter *c, size_t from, size_t to, bool secret)
{
	if (++c->st->nb_cuts > STATEMENT_CUTS_MAX)
		return false;
	c->st->hides = c->st->hides || !secret;
	add_part(c->st, sl_span(c->st->text.p + c->done, from - c->done));
	add_part(c->st, REDACTED);
	c->done = to;
	return true;
}

/* White space only: comments could be read again and again, from each keyword in them. */
static size_t skip_blanks(struct sl_span s, size_t at)
{
	while (at < s.n && is_space(s.p[at]))
		at++;
	return at;
}

/*
 * Where the secret behind a keyword lies that ends at `at`, inside of a literal that ends at `to`: PASSWORD
 * ''x'' of a statement that is executed, password=x or password=''x'' of a connection string. False: none.
 */
static bool find_inside(struct sl_span s, size_t at, size_t to, enum form form, size_t *from, size_t *end)
{
	bool assigned;

	at = skip_blanks(s, at);
	assigned = at < to && s.p[at] == '=';
	if (assigned && form == FORM_CODE)
		return false;
	if (assigned)
		at = skip_blanks(s, at + 1);
	*from = *end = at;
	if (at + 4 <= to && s.p[at] == '\'' && s.p[at + 1] == '\'') {
		for (*end = at + 2; *end + 2 < to && memcmp(s.p + *end, "\'\'", 2) != 0;)
			++*end;
		if (*end + 2 < to)
			*end += 2;
		else
			*end = s.p[to - 1] == '\''
			               ? to - 1
			               : to; /* to the closing quote, or all of an unfinished one */
		return true;
	}
	if (!assigned)
		return false;
	while (*end < to && !is_space(s.p[*end]) && s.p[*end] != '\'')
		++*end;
	return *end > at;
}

/* The password of an address whose first colon is at `at`: postgresql://user:x@host. False: none. */
static bool find_in_url(struct sl_span s, size_t at, size_t *from, size_t *end)
{
	if (s.p[at] != ':' || s.n - at < 3 || s.p[at + 1] != '/' || s.p[at + 2] != '/')
		return false;
	*from = *end = 0;
	for (at += 3; at < s.n && !is_space(s.p[at]) && strchr("/?#'\"", s.p[at]) == NULL; at++) {
		if (s.p[at] == ':' && *from == 0)
			*from = at + 1;
		else if (s.p[at] == '@' && *from > 0)
			*end = at;
	}
	return *end > *from;
}

static bool find_secret(struct sl_span s, size_t at, enum form form, size_t *from, size_t *end)
{
	size_t n = keyword_at(s, at);

	if (n > 0)
		return find_inside(s, at + n, s.n, form, from, end);
	return form != FORM_CODE && find_in_url(s, at, from, end);
}

/*
 * Secrets inside of a plain literal. Never beyond the literal's end, so that no text of the outer statement
 * can be hidden by one.
 */
static bool cut_inside(struct cutter *c, size_t from, size_t to)
{
	struct sl_span s = sl_span(c->st->text.p, to);
	size_t open, close;

	for (size_t at = from + 1; at < to; at++) {
		if (!find_secret(s, at, c->form, &open, &close))
			continue;
		if (!cut(c, open, close, false))
			return false;
		at = close - 1;
	}
	return true;
}

/* The literal behind a keyword, with its continuations ('a' 'b'). */
static size_t skip_continued(struct sl_span s, size_t at, size_t to)
{
	bool backslash = lower(s.p[at]) == 'e';

	for (size_t more = skip_space(s, to); more < s.n && s.p[more] == '\''; more = skip_space(s, to))
		to = skip_quoted(s, more, backslash);
	return to;
}

/* Behind what stands at `at` and is no literal: a quoted identifier, a word, a character. */
static size_t skip_other(struct sl_span s, size_t at)
{
	size_t to = at + 1;

	if (s.p[at] == '"')
		return skip_quoted(s, at, false);
	if (is_ident(s.p[at]))
		while (to < s.n && is_ident(s.p[to]))
			to++;
	return to;
}

#define BODY_DEPTH_MAX 4 /* dollar-quoted bodies in one another */

/* Walks the tokens in [at, end). */
static bool cut_tokens(struct cutter *c, size_t at, size_t end, int depth)
{
	struct sl_span s = sl_span(c->st->text.p, end);
	bool armed = false, ok = true, first = depth == 0;

	while (ok && (at = skip_space(s, at)) < end) {
		size_t to = skip_literal(s, at), tag = dollar_tag(s, at);

		if (first)
			c->form = form_of(s, at);
		first = depth == 0 && s.p[at] == ';';
		if (to > at && armed) {
			to = skip_continued(s, at, to);
			ok = cut(c, at, to, depth == 0 && c->form == FORM_SECRET);
		} else if (to > at && tag > 0 && depth < BODY_DEPTH_MAX) {
			ok = cut_tokens(c, at + tag, closes(s, at, tag, to) ? to - tag : to, depth + 1);
		} else if (to > at) {
			ok = cut_inside(c, at, to);
		} else {
			to = skip_other(s, at);
		}
		/* OPTIONS ("password" 'x') too: the name may be quoted. */
		armed = keyword_at(s, s.p[at] == '"' && at + 1 < end ? at + 1 : at) > 0;
		at = to;
	}
	return ok;
}

static void start(struct statement *st, struct sl_span text)
{
	st->text = text;
	st->nb_cuts = 0;
	st->hides = false;
	st->nb = 0;
	st->total = 0;
}

bool statement_set(struct statement *st, struct sl_span text, uint64_t kinds)
{
	struct cutter c = {.st = st};

	start(st, text);
	if ((kinds & PASSWORD_KINDS) != 0 && !cut_tokens(&c, 0, text.n, 0))
		return false;
	add_part(st, sl_span_sub(text, c.done, text.n));
	return true;
}

bool statement_set_unread(struct statement *st, struct sl_span text)
{
	size_t at = 0, from, end;

	start(st, text);
	if (text.n == 0 || memchr(text.p, '\\', text.n) == NULL)
		return true;
	while (at < text.n && keyword_at(text, at) == 0 && !find_in_url(text, at, &from, &end))
		at++;
	st->text = sl_span_sub(text, 0, at);
	add_part(st, st->text);
	return at == text.n;
}

/* ---- cutting ---- */

/* How much of the n bytes at p can be taken so that no character is cut by what follows them at p[n]. May be
 * 0. */
static size_t whole_characters(const uint8_t *p, size_t n)
{
	size_t lead = n;

	if (n == 0 || (p[n] & 0xc0) != 0x80)
		return n;
	while (lead > 0 && n - lead < 3 && (p[lead - 1] & 0xc0) == 0x80)
		lead--;
	/* Not UTF-8 when there is no leading byte where one must be. */
	return lead > 0 && p[lead - 1] >= 0xc0 ? lead - 1 : n;
}

struct sl_span statement_take(const struct statement *st, struct statement_at *at, size_t max, uint8_t *buf)
{
	struct sl_span out = SL_SPAN_EMPTY;

	while (out.n < max && at->part < st->nb) {
		struct sl_span part = st->part[at->part];
		size_t left = part.n - at->offset, n = left < max - out.n ? left : max - out.n;
		const uint8_t *p = part.p + at->offset;

		if (n < left) {
			size_t whole = whole_characters(p, n);

			n = whole > 0 || out.n > 0 ? whole : n;
		}
		if (out.n == 0)
			out = sl_span(p, n);
		else if (buf != NULL) {
			if (out.p != buf)
				memcpy(buf, out.p, out.n);
			memcpy(buf + out.n, p, n);
			out = sl_span(buf, out.n + n);
		} else {
			out.n += n;
		}
		at->offset += n;
		at->done += n;
		if (at->offset < part.n)
			break;
		at->part++;
		at->offset = 0;
	}
	return out;
}

/* ---- SET ---- */

#define WORD_MAX 64

struct lex {
	struct sl_span s;
	size_t at;
	bool bad;
};

enum token {
	TOK_END,
	TOK_WORD,    /* folded, quoted or not */
	TOK_LITERAL, /* a plain one, folded */
	TOK_OTHER,   /* one character, in word[0] */
};

/* Between quotes: no escapes are known here, so that what has any is not understood. */
static bool take_quoted(struct lex *l, char quote, char *word)
{
	size_t n = 0;

	for (l->at++; l->at < l->s.n && l->s.p[l->at] != (uint8_t)quote; l->at++) {
		if (n + 1 >= WORD_MAX || l->s.p[l->at] == '\0')
			return false;
		word[n++] = (char)lower(l->s.p[l->at]);
	}
	word[n] = '\0';
	l->at++;
	return l->at <= l->s.n && (l->at >= l->s.n || l->s.p[l->at] != (uint8_t)quote);
}

static enum token next(struct lex *l, char *word)
{
	size_t n = 0;
	uint8_t c;

	l->at = skip_space(l->s, l->at);
	word[0] = '\0';
	if (l->bad || l->at >= l->s.n)
		return TOK_END;
	c = l->s.p[l->at];
	if (c == '"' || c == '\'') {
		l->bad = !take_quoted(l, (char)c, word);
		return c == '"' ? TOK_WORD : TOK_LITERAL;
	}
	if (!is_ident(c) || c == '$') {
		word[0] = (char)c;
		word[1] = '\0';
		l->at++;
		return TOK_OTHER;
	}
	while (l->at < l->s.n && is_ident(l->s.p[l->at])) {
		if (n + 1 >= WORD_MAX)
			l->bad = true;
		else
			word[n++] = (char)lower(l->s.p[l->at]);
		l->at++;
	}
	word[n] = '\0';
	/* E'', U&"" and the like: a prefix that changes how what follows is read. */
	if (l->at < l->s.n && strchr("'\"&", l->s.p[l->at]) != NULL)
		l->bad = true;
	return TOK_WORD;
}

static bool in_list(const char *word, const char *const *list)
{
	for (; *list != NULL; list++)
		if (strcmp(word, *list) == 0)
			return true;
	return false;
}

/* The last token of a statement is a value of the list, and nothing is behind it but ';'. */
static bool last_value_in(struct lex *l, const char *const *list)
{
	char word[WORD_MAX];
	enum token t = next(l, word);

	if ((t != TOK_WORD && t != TOK_LITERAL) || l->bad || !in_list(word, list))
		return false;
	while ((t = next(l, word)) == TOK_OTHER && word[0] == ';')
		;
	return t == TOK_END && !l->bad;
}

/* "default" sets what the session was started with. */
static const char *const encodings[] = {"utf8", "utf-8", "utf_8", "unicode", "default", NULL};

static const char *set_parameter(struct lex *l, const char *name)
{
	char word[WORD_MAX];
	enum token t;

	if (strcmp(name, "client_encoding") != 0)
		return NULL;
	t = next(l, word);
	if (!(t == TOK_OTHER && word[0] == '=') && !(t == TOK_WORD && strcmp(word, "to") == 0))
		return "SET that is not understood is not allowed through this gateway";
	return last_value_in(l, encodings) ? NULL : "client_encoding must stay UTF8 through this gateway";
}

static const char *set_statement(struct lex *l)
{
	static const char unknown[] = "SET that is not understood is not allowed through this gateway";
	/* Forms with their own grammar, that touch nothing of ours: TIME ZONE, XML OPTION, ... */
	static const char *const harmless[] = {"time",        "schema",      "catalog",         "xml",
	                                       "constraints", "transaction", "characteristics", NULL};
	char word[WORD_MAX];
	size_t before = l->at;
	enum token t = next(l, word);

	/* SET SESSION x, SET LOCAL x; but a parameter can be called neither. */
	while (t == TOK_WORD && l->s.p[skip_space(l->s, before)] != '"' &&
	       (strcmp(word, "session") == 0 || strcmp(word, "local") == 0)) {
		before = l->at;
		t = next(l, word);
	}
	if (t != TOK_WORD || l->bad)
		return unknown;
	if (strcmp(word, "names") == 0)
		return last_value_in(l, encodings) ? NULL
		                                   : "client_encoding must stay UTF8 through this gateway";
	if (in_list(word, harmless))
		return NULL;
	return set_parameter(l, word);
}

const char *set_refused(struct sl_span stmt)
{
	struct lex l = {.s = stmt};
	char word[WORD_MAX];
	enum token t = next(&l, word);

	if (t == TOK_WORD && !l.bad && (strcmp(word, "reset") == 0 || strcmp(word, "discard") == 0))
		return NULL;
	if (t == TOK_WORD && !l.bad && strcmp(word, "set") == 0)
		return set_statement(&l);
	return "SET that is not understood is not allowed through this gateway";
}
