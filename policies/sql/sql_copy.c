/* COPY's options: see sl_sql_copy.h. */
#include <string.h>

#include "sl_sql_copy.h"
#include "sql_lex_priv.h"

struct reader {
	struct sql_lexer lx;
	struct sql_token t;
	bool failed;
	bool has_delimiter, has_null, has_quote, has_escape;
	struct sl_sql_copy *out;
};

static void next(struct reader *r)
{
	(void)sql_lex(&r->lx, &r->t, 1);
	if (r->t.type == TOK_BAD)
		r->failed = true;
}

static bool is_char(const struct reader *r, uint8_t c)
{
	return r->t.type == TOK_CHAR && r->t.c == c;
}

static bool take_char(struct reader *r, uint8_t c)
{
	if (!is_char(r, c))
		return false;
	next(r);
	return true;
}

static bool is_kw(const struct reader *r, enum sql_keyword kw)
{
	return r->t.type == TOK_WORD && r->t.kw == kw;
}

static bool take_kw(struct reader *r, enum sql_keyword kw)
{
	if (!is_kw(r, kw))
		return false;
	next(r);
	return true;
}

static bool ends(const struct reader *r)
{
	return r->failed || r->t.type == TOK_END;
}

/* ---- values ---- */

/* One character behind a backslash in E''. 0: not one that is taken. */
static uint8_t escape_of(uint8_t c)
{
	static const char from[] = "btnfr\\'\"", to[] = "\b\t\n\f\r\\'\"";
	const char *at = c != '\0' ? strchr(from, c) : NULL;

	return at == NULL ? 0 : (uint8_t)to[at - from];
}

/* 'text' and E'text'; the dollar and Unicode forms are not taken. */
static bool literal(struct sl_span s, char *out, size_t cap, size_t *n)
{
	bool e = s.n > 0 && (s.p[0] == 'E' || s.p[0] == 'e');
	size_t i = e ? 2 : 1;

	*n = 0;
	if (s.n < i + 1 || s.p[i - 1] != '\'' || s.p[s.n - 1] != '\'')
		return false;
	for (; i + 1 < s.n; i++) {
		uint8_t c = s.p[i];

		if (c == '\'' && s.p[++i] != '\'')
			return false; /* continued on another line */
		if (e && c == '\\')
			c = i + 2 < s.n ? escape_of(s.p[++i]) : 0;
		if (c == 0 || *n == cap)
			return false;
		out[(*n)++] = (char)c;
	}
	return i + 1 == s.n;
}

static void string(struct reader *r, char *out, size_t cap, size_t *n)
{
	*n = 0;
	if (r->t.type != TOK_STRING || !literal(r->t.text, out, cap, n))
		r->failed = true;
	next(r);
	/* Two literals on two lines are one. */
	if (r->t.type == TOK_STRING)
		r->failed = true;
}

static void byte(struct reader *r, uint8_t *out, bool *has)
{
	char c = '\0';
	size_t n;

	string(r, &c, 1, &n);
	if (n != 1)
		r->failed = true;
	*out = (uint8_t)c;
	*has = true;
}

static void null_text(struct reader *r)
{
	size_t n;

	string(r, r->out->null, sizeof(r->out->null), &n);
	r->out->null_n = (uint8_t)n;
	r->has_null = true;
}

/* A word, or a word in quotes of either kind, in lower case. */
static void word(struct reader *r, char *out, size_t cap)
{
	struct sl_span s = r->t.text;
	size_t n = 0;

	if (r->t.type == TOK_STRING) {
		string(r, out, cap - 1, &n);
	} else if (r->t.type == TOK_WORD || r->t.type == TOK_NUMBER || r->t.type == TOK_QUOTED) {
		if (r->t.type == TOK_QUOTED)
			s = sl_span_sub(s, 1, s.n - 2);
		n = s.n < cap ? s.n : cap - 1;
		if (n > 0)
			memcpy(out, s.p, n);
		next(r);
	} else {
		r->failed = true;
	}
	for (size_t i = 0; i < n; i++)
		out[i] = (char)sql_fold((uint8_t)out[i]);
	out[n] = '\0';
}

static void format(struct reader *r)
{
	char w[16];

	word(r, w, sizeof(w));
	r->out->csv = strcmp(w, "csv") == 0;
	r->out->binary = strcmp(w, "binary") == 0;
	if (!r->out->csv && !r->out->binary && strcmp(w, "text") != 0)
		r->failed = true;
}

static void encoding(struct reader *r)
{
	char w[16];

	word(r, w, sizeof(w));
	if (strcmp(w, "utf8") != 0 && strcmp(w, "utf-8") != 0)
		r->failed = true;
}

static void boolean(struct reader *r, bool *out)
{
	static const char *const on[] = {"true", "on", "1"}, *const off[] = {"false", "off", "0"};
	char w[16];

	*out = true;
	if (is_char(r, ',') || is_char(r, ')'))
		return;
	word(r, w, sizeof(w));
	for (size_t i = 0; i < sizeof(on) / sizeof(on[0]); i++) {
		if (strcmp(w, on[i]) == 0)
			return;
		if (strcmp(w, off[i]) == 0) {
			*out = false;
			return;
		}
	}
	r->failed = true;
}

/* "*", or names in parentheses, or (the old form) names: which columns are quoted shows in the data. */
static void columns(struct reader *r)
{
	bool parens;

	if (take_char(r, '*'))
		return;
	parens = take_char(r, '(');
	do {
		if (r->t.type != TOK_WORD && r->t.type != TOK_QUOTED && r->t.type != TOK_UESC)
			r->failed = true;
		next(r);
	} while (!r->failed && take_char(r, ','));
	if (parens && !take_char(r, ')'))
		r->failed = true;
}

/* ---- the two forms ---- */

static void option_new(struct reader *r)
{
	bool ignored;
	char w[16];

	word(r, w, sizeof(w));
	if (strcmp(w, "format") == 0)
		format(r);
	else if (strcmp(w, "delimiter") == 0)
		byte(r, &r->out->delimiter, &r->has_delimiter);
	else if (strcmp(w, "null") == 0)
		null_text(r);
	else if (strcmp(w, "header") == 0)
		boolean(r, &r->out->header);
	else if (strcmp(w, "quote") == 0)
		byte(r, &r->out->quote, &r->has_quote);
	else if (strcmp(w, "escape") == 0)
		byte(r, &r->out->escape, &r->has_escape);
	else if (strcmp(w, "force_quote") == 0)
		columns(r);
	else if (strcmp(w, "encoding") == 0)
		encoding(r);
	else if (strcmp(w, "freeze") == 0)
		boolean(r, &ignored);
	else
		r->failed = true;
}

static void options_new(struct reader *r)
{
	do
		option_new(r);
	while (!r->failed && take_char(r, ','));
	if (!take_char(r, ')'))
		r->failed = true;
}

static void option_old(struct reader *r)
{
	if (take_kw(r, KW_BINARY)) {
		r->out->binary = true;
	} else if (take_kw(r, KW_CSV)) {
		r->out->csv = true;
	} else if (take_kw(r, KW_HEADER)) {
		r->out->header = true;
	} else if (take_kw(r, KW_FREEZE)) {
		return;
	} else if (take_kw(r, KW_DELIMITER)) {
		(void)take_kw(r, KW_AS);
		byte(r, &r->out->delimiter, &r->has_delimiter);
	} else if (take_kw(r, KW_NULL)) {
		(void)take_kw(r, KW_AS);
		null_text(r);
	} else if (take_kw(r, KW_QUOTE)) {
		(void)take_kw(r, KW_AS);
		byte(r, &r->out->quote, &r->has_quote);
	} else if (take_kw(r, KW_ESCAPE)) {
		(void)take_kw(r, KW_AS);
		byte(r, &r->out->escape, &r->has_escape);
	} else if (take_kw(r, KW_FORCE) && take_kw(r, KW_QUOTE)) {
		columns(r);
	} else if (take_kw(r, KW_ENCODING)) {
		encoding(r);
	} else {
		r->failed = true;
	}
}

/* Up to TO STDOUT, over the relation and its columns, or the query. */
static bool find_place(struct reader *r)
{
	uint32_t depth = 0;

	next(r);
	if (!take_kw(r, KW_COPY))
		return false;
	if (take_kw(r, KW_BINARY))
		r->out->binary = true;
	while (!ends(r)) {
		if (is_char(r, '('))
			depth++;
		else if (is_char(r, ')') && depth-- == 0)
			return false;
		if (depth == 0 && take_kw(r, KW_TO))
			return take_kw(r, KW_STDOUT) || take_kw(r, KW_STDIN);
		next(r);
	}
	return false;
}

static void defaults(struct reader *r)
{
	struct sl_sql_copy *o = r->out;

	if (!r->has_delimiter)
		o->delimiter = o->csv ? ',' : '\t';
	if (!r->has_null && !o->csv) {
		memcpy(o->null, "\\N", 2);
		o->null_n = 2;
	}
	if (!r->has_quote)
		o->quote = '"';
	if (!r->has_escape)
		o->escape = o->quote;
}

bool sl_sql_copy_read(struct sl_span stmt, struct sl_sql_copy *out)
{
	struct reader r = {.lx = sql_lexer(stmt), .out = out};

	memset(out, 0, sizeof(*out));
	if (stmt.n == 0 || !find_place(&r))
		return false;
	if (take_kw(&r, KW_USING) && !is_kw(&r, KW_DELIMITERS))
		return false;
	if (take_kw(&r, KW_DELIMITERS))
		byte(&r, &out->delimiter, &r.has_delimiter);
	(void)take_kw(&r, KW_WITH);
	if (take_char(&r, '('))
		options_new(&r);
	else
		while (!ends(&r) && !is_char(&r, ';'))
			option_old(&r);
	(void)take_char(&r, ';');
	if (r.failed || r.t.type != TOK_END || (out->binary && out->csv))
		return false;
	defaults(&r);
	return true;
}
