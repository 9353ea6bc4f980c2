/* Keys, tokens and passwords. */
#include "detect_priv.h"

#define PEM_LINE_MAX 80
#define PEM_MAX      (64u << 10) /* behind it no end is looked for: all the rest goes */

/* ---- tokens with a checksum ---- */

/* CRC-32 (IEEE 802.3) without a table: tokens are short. */
static uint32_t crc32_of(const char *t, size_t n)
{
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < n; i++) {
		crc ^= (uint8_t)t[i];
		for (unsigned k = 0; k < 8; k++)
			crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xedb88320 : 0);
	}
	return ~crc;
}

/* Prefix, underscore, 30 characters, and the CRC of those in six digits of base 62: GitHub's and npm's
 * tokens. */
bool check_crc62(const char *t, size_t n)
{
	static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	const char *body = memchr(t, '_', n);
	uint32_t crc;

	if (body == NULL || n - (size_t)(body + 1 - t) != 36)
		return false;
	crc = crc32_of(body + 1, 30);
	for (size_t i = 36; i-- > 30; crc /= 62)
		if (body[1 + i] != letters[crc % 62])
			return false;
	return true;
}

/* Random strings have digits and letters of both cases: names and words seldom do. */
bool check_mixed(const char *t, size_t n)
{
	unsigned digits = 0, upper = 0, lower = 0;

	for (size_t i = 0; i < n; i++) {
		digits += is_digit((uint8_t)t[i]);
		upper += t[i] >= 'A' && t[i] <= 'Z';
		lower += t[i] >= 'a' && t[i] <= 'z';
	}
	return digits >= 2 && upper >= 2 && lower >= 2;
}

/* ---- what stands behind something ---- */

static bool ends_value(uint8_t c)
{
	return c <= ' ' || c == '"' || c == '\'' || c == ';' || c == ',' || c == '&' || c == '<' ||
	       c == '>' || c == 0x7f;
}

/* The expression ended with the first byte of the secret: what goes on without a break is it. */
bool narrow_behind(struct sl_span v, size_t end, struct sl_detect_spot *s)
{
	s->from = end - 1;
	for (s->to = end; s->to < v.n && s->to - s->from < SL_DETECT_SPAN_MAX && !ends_value(v.p[s->to]);
	     s->to++)
		;
	return true;
}

/* key = "value": the expression ended with the first byte of the value, which may be a quote. */
bool narrow_assigned(struct sl_span v, size_t end, struct sl_detect_spot *s)
{
	uint8_t quote = v.p[end - 1];

	if (quote != '"' && quote != '\'')
		return narrow_behind(v, end, s) && s->to - s->from >= 4;
	s->from = end;
	for (s->to = end; s->to < v.n && s->to - s->from < SL_DETECT_SPAN_MAX && v.p[s->to] != quote; s->to++)
		s->to += v.p[s->to] == '\\' && s->to + 1 < v.n;
	return s->to - s->from >= 4;
}

/* scheme://user:password@host; the expression ended behind the "://" and one byte. Only the password is it.
 */
bool narrow_url_password(struct sl_span v, size_t end, struct sl_detect_spot *s)
{
	size_t at = end - 1, colon = 0, last_at = 0;

	for (; at < v.n && at < end + SL_DETECT_SPAN_MAX && v.p[at] > ' ' && v.p[at] != '/' &&
	       v.p[at] != '"' && v.p[at] != '<' && v.p[at] != '>';
	     at++) {
		if (v.p[at] == ':' && colon == 0)
			colon = at;
		if (v.p[at] == '@')
			last_at = at;
	}
	if (colon == 0 || last_at <= colon + 1)
		return false;
	s->from = colon + 1;
	s->to = last_at;
	return true;
}

/* The expression ended with the first byte of the find; the run goes on. */
bool narrow_from_end(struct sl_span v, size_t end, struct sl_detect_spot *s)
{
	s->from = end - 1;
	return true;
}

/* SG, 22 characters, 43 characters, with dots between. */
bool narrow_sendgrid(struct sl_span v, size_t end, struct sl_detect_spot *s)
{
	s->from = end - 69;
	s->to = end;
	return true;
}

/* Digits, a colon and 35 characters. */
bool narrow_telegram(struct sl_span v, size_t end, struct sl_detect_spot *s)
{
	s->to = end;
	s->from = end - 36;
	while (s->from > 0 && is_digit(v.p[s->from - 1]))
		s->from--;
	return true;
}

/* crypt(5): from the $ of the scheme on. Of bcrypt the expression saw all, of the others the beginning. */
bool narrow_hash(struct sl_span v, size_t end, struct sl_detect_spot *s)
{
	size_t at = end, dollars = 0;
	bool bcrypt;

	while (at > s->from && dollars < 3)
		dollars += v.p[--at] == '$';
	bcrypt = v.n - at > 2 && v.p[at + 1] == '2';
	if (bcrypt)
		s->to = end;
	s->from = at;
	return dollars == 3;
}

/* ---- JSON Web Tokens ---- */

static int base64url(uint8_t c)
{
	static const int8_t values[128] = {
	        -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
	        -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
	        -1, 62, -1, -1, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, -1, -1, -1, -1, -1, -1, -1, 0,
	        1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22,
	        23, 24, 25, -1, -1, -1, -1, 63, -1, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38,
	        39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, -1, -1, -1, -1, -1,
	};

	return c < 128 ? values[c] : -1;
}

/*
 * RFC 7515: three parts; the first one is the Base64url of JSON that names an algorithm. Of JWE there are
 * five. Without a dot in all of the run no token begins in it: s->to says so far.
 */
bool narrow_jwt(struct sl_span v, size_t end, struct sl_detect_spot *s)
{
	char head[257];
	size_t n = 0, dots = 0, at;
	uint32_t bits = 0;
	unsigned have = 0;

	s->from = end - 4; /* eyJ and one byte */
	for (at = s->from; at < v.n && v.p[at] != '.' && n < sizeof(head) - 1; at++) {
		int x = base64url(v.p[at]);

		if (x < 0) {
			s->to = at;
			return false;
		}
		bits = bits << 6 | (uint32_t)x;
		have += 6;
		if (have >= 8) {
			have -= 8;
			head[n++] = (char)(bits >> have);
		}
	}
	if (memmem(head, n, "\"alg\"", 5) == NULL)
		return false;
	for (s->to = at; s->to < v.n && (v.p[s->to] == '.' || base64url(v.p[s->to]) >= 0); s->to++)
		dots += v.p[s->to] == '.';
	at = s->to;
	while (s->to > s->from && v.p[s->to - 1] == '.') { /* of the sentence, or an empty signature */
		s->to--;
		dots--;
	}
	if (dots == 0)
		s->to = at;
	return dots > 0;
}

/* ---- private keys ---- */

/*
 * RFC 7468: from the first hyphen of the BEGIN line to the end of the END line, or of the value when that is
 * cut off. In JSON the line ends are written as \n.
 */
bool narrow_private_key(struct sl_span v, size_t end, struct sl_detect_spot *s)
{
	static const char mark[] = "-----END ";
	size_t back = end > PEM_LINE_MAX ? end - PEM_LINE_MAX : 0, from = end;
	const uint8_t *p;

	while (from > back && !(v.n - from >= 11 && memcmp(v.p + from, "-----BEGIN ", 11) == 0))
		from--;
	if (v.n - from < 11 || memcmp(v.p + from, "-----BEGIN ", 11) != 0)
		return false;
	s->from = from;
	s->to = v.n;
	p = memmem(v.p + end, v.n - end < PEM_MAX ? v.n - end : PEM_MAX, mark, sizeof(mark) - 1);
	if (p != NULL) {
		size_t at = (size_t)(p - v.p) + sizeof(mark) - 1;
		const uint8_t *dashes = memmem(v.p + at, v.n - at, "-----", 5);

		if (dashes != NULL)
			s->to = (size_t)(dashes - v.p) + 5;
	}
	return true;
}
