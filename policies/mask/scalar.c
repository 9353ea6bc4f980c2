/* The actions on numbers, uuid, bytea, and on what else is neither text, time nor made of other values. */
#include "mask_priv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define UUID_BYTES    16
#define NUMERIC_SIGN  0x4000
#define NUMERIC_BASE  10000
#define NUMERIC_HEAD  8      /* bytes in front of the groups */
#define NUMERIC_SCALE 0x3fff /* the most digits behind the point */
#define FLOAT_TEXT    64     /* bytes of a float's text */

static uint64_t be64(const uint8_t *p)
{
	return (uint64_t)sl_get_be32(p) << 32 | sl_get_be32(p + 4);
}

static void out_be(struct out *w, uint64_t v, size_t n)
{
	while (n-- > 0)
		out_byte(w, (uint8_t)(v >> 8 * n));
}

/* Bytes of the kind in binary; 0: not fixed. */
static size_t width(enum kind k)
{
	static const uint8_t sizes[KINDS] = {
	        [KIND_INT2] = 2, [KIND_INT4] = 4,   [KIND_OID] = 4,
	        [KIND_INT8] = 8, [KIND_FLOAT4] = 4, [KIND_FLOAT8] = 8,
	};

	return sizes[k];
}

/* ---- numbers in binary to text, and back ---- */

static double float_value(struct sl_span v)
{
	uint64_t bits;
	uint32_t low;
	double d;
	float f;

	if (v.n == 4) {
		low = sl_get_be32(v.p);
		memcpy(&f, &low, sizeof(f));
		return (double)f;
	}
	bits = be64(v.p);
	memcpy(&d, &bits, sizeof(d));
	return d;
}

/* Whole numbers keep their digits up to 2^63; the rest has too few to be looked for. */
static size_t float_text(struct sl_span v, char *text, size_t cap)
{
	double d = float_value(v);

	if (!isfinite(d) || fabs(d) >= 9.2e18)
		d = 0;
	return (size_t)snprintf(text, cap, "%lld", (long long)d);
}

static unsigned int group(struct sl_span v, long i)
{
	size_t at = NUMERIC_HEAD + 2 * (size_t)i;

	return i < 0 || at + 2 > v.n ? 0 : sl_get_be16(v.p + at);
}

/* 0: no number, or longer than cap. */
static size_t numeric_text(struct sl_span v, char *text, size_t cap)
{
	long weight, scale;
	size_t n = 0;

	if (v.n < NUMERIC_HEAD || v.n != NUMERIC_HEAD + 2u * sl_get_be16(v.p))
		return 0;
	weight = (int16_t)sl_get_be16(v.p + 2);
	scale = sl_get_be16(v.p + 6);
	if ((sl_get_be16(v.p + 4) & ~NUMERIC_SIGN) != 0 || scale > NUMERIC_SCALE ||
	    (size_t)((weight > 0 ? weight : 0) * 4 + scale + 16) > cap)
		return 0;
	for (long i = 0; i < sl_get_be16(v.p); i++)
		if (group(v, i) >= NUMERIC_BASE)
			return 0;
	if (sl_get_be16(v.p + 4) != 0)
		text[n++] = '-';
	n += (size_t)snprintf(text + n, cap - n, "%u", weight < 0 ? 0 : group(v, 0));
	for (long i = 1; i <= weight; i++)
		n += (size_t)snprintf(text + n, cap - n, "%04u", group(v, i));
	if (scale > 0)
		text[n++] = '.';
	for (long i = weight + 1, left = scale; left > 0; i++, left -= 4) {
		char four[8];

		(void)snprintf(four, sizeof(four), "%04u", group(v, i));
		memcpy(text + n, four, (size_t)(left < 4 ? left : 4));
		n += (size_t)(left < 4 ? left : 4);
	}
	return n;
}

size_t number_text(enum kind kind, struct sl_span v, char *text, size_t cap)
{
	if (kind == KIND_NUMERIC)
		return numeric_text(v, text, cap);
	if (width(kind) == 0 || v.n != width(kind))
		return 0;
	if (kind == KIND_FLOAT4 || kind == KIND_FLOAT8)
		return float_text(v, text, cap);
	if (kind == KIND_OID)
		return (size_t)snprintf(text, cap, "%u", sl_get_be32(v.p));
	return (size_t)snprintf(text, cap, "%lld",
	                        v.n == 2   ? (long long)(int16_t)sl_get_be16(v.p)
	                        : v.n == 4 ? (long long)(int32_t)sl_get_be32(v.p)
	                                   : (long long)be64(v.p));
}

/* A number as it is written: sign, digits, perhaps a point and digits. */
struct decimal {
	char text[NUMBER_MAX];
	size_t n;
	size_t from;  /* of the first digit, behind a sign */
	size_t point; /* where the point is; n: there is none */
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool read_decimal(struct decimal *d)
{
	size_t digits = 0;

	d->from = d->n > 0 && d->text[0] == '-';
	d->point = d->n;
	for (size_t i = d->from; i < d->n; i++) {
		if (is_digit(d->text[i]))
			digits++;
		else if (d->text[i] == '.' && d->point == d->n && digits > 0)
			d->point = i;
		else
			return false;
	}
	return digits > 0 && d->point != d->n - 1;
}

/* Without zeros that PostgreSQL would not print in front. */
static void trim(struct decimal *d)
{
	size_t zeros = 0;

	while (d->from + zeros + 1 < d->point && d->text[d->from + zeros] == '0')
		zeros++;
	memmove(d->text + d->from, d->text + d->from + zeros, d->n - d->from - zeros);
	d->n -= zeros;
	d->point -= zeros;
}

static bool whole_in_range(const struct decimal *d, enum kind kind, int64_t *out)
{
	uint64_t most = kind == KIND_INT2   ? INT16_MAX
	                : kind == KIND_INT4 ? INT32_MAX
	                : kind == KIND_OID  ? UINT32_MAX
	                                    : INT64_MAX;
	bool minus = d->from == 1;
	uint64_t u = 0;

	for (size_t i = d->from; i < d->n; i++) {
		uint64_t digit = (uint64_t)(d->text[i] - '0');

		if (!is_digit(d->text[i]) || u > (most - digit) / 10)
			return false;
		u = u * 10 + digit;
	}
	*out = minus ? -(int64_t)u : (int64_t)u;
	return true;
}

/* Four digits from place `at`, counted from the first of all; there are zeros beyond both ends. */
static uint16_t group_at(const struct decimal *d, long at)
{
	long whole = (long)(d->point - d->from), value = 0;

	for (long k = at; k < at + 4; k++) {
		long i = (long)d->from + k + (k >= whole); /* over the point */

		value = value * 10 + (k < 0 || i >= (long)d->n ? 0 : d->text[i] - '0');
	}
	return (uint16_t)value;
}

/* The groups on both sides of the point, without those of zeros at the ends. */
static void put_numeric(const struct decimal *d, struct out *w)
{
	size_t whole = d->point - d->from, scale = d->point < d->n ? d->n - d->point - 1 : 0;
	long weight = (long)((whole + 3) / 4) - 1, nb = weight + 1 + (long)((scale + 3) / 4), first = 0;
	long start = (long)whole - 4 * (weight + 1); /* the first group's place */

	while (first < nb && group_at(d, start + 4 * first) == 0)
		first++;
	while (nb > first && group_at(d, start + 4 * (nb - 1)) == 0)
		nb--;
	out_be(w, (uint64_t)(nb - first), 2);
	out_be(w, nb == first ? 0 : (uint64_t)(weight - first) & 0xffff, 2);
	out_be(w, nb > first && d->from == 1 ? NUMERIC_SIGN : 0, 2);
	out_be(w, scale, 2);
	for (long g = first; g < nb; g++)
		out_be(w, group_at(d, start + 4 * g), 2);
}

/* False: it is none of the type's. */
static bool put_decimal(const struct decimal *d, enum kind kind, uint8_t format, struct out *w)
{
	int64_t whole = 0;

	if (kind != KIND_NUMERIC && !whole_in_range(d, kind, &whole))
		return false;
	if (format == 0)
		out_put(w, d->text, d->n);
	else if (kind == KIND_NUMERIC)
		put_numeric(d, w);
	else
		out_be(w, (uint64_t)whole, width(kind));
	return true;
}

/* ---- the actions on them ---- */

/* Digits that do not stay become 0; the sign goes. */
static void partial_decimal(const struct sl_mask *m, struct decimal *d)
{
	size_t keep = (size_t)m->keep_first + m->keep_last, digits = 0, k = 0;

	memmove(d->text, d->text + d->from, d->n - d->from);
	d->n -= d->from;
	d->point -= d->from;
	d->from = 0;
	for (size_t i = 0; i < d->n; i++)
		digits += is_digit(d->text[i]);
	for (size_t i = 0; i < d->n; i++) {
		if (!is_digit(d->text[i]))
			continue;
		if (digits <= keep || (k >= m->keep_first && k < digits - m->keep_last))
			d->text[i] = '0';
		k++;
	}
}

/* Equal numbers have one form, whatever their type: 007.50 and 7.5. */
static uint64_t hash_decimal(const struct sl_mask *m, struct decimal *d)
{
	uint8_t h[32];

	trim(d);
	while (d->point < d->n && (d->text[d->n - 1] == '0' || d->n - 1 == d->point))
		d->n--;
	if (d->n - d->from == 1 && d->text[d->from] == '0') /* -0 */
		mask_hmac(m->key, 'n', SL_SPAN_LIT("0"), h);
	else
		mask_hmac(m->key, 'n', sl_span(d->text, d->n), h);
	return be64(h);
}

static bool put_number_hash(const struct sl_mask *m, enum kind kind, uint8_t format, struct decimal *d,
                            struct out *w)
{
	uint64_t h = hash_decimal(m, d);

	h &= kind == KIND_INT2 ? INT16_MAX : kind == KIND_INT4 || kind == KIND_OID ? INT32_MAX : INT64_MAX;
	d->n = (size_t)snprintf(d->text, sizeof(d->text), "%llu", (unsigned long long)h);
	d->from = 0;
	d->point = d->n;
	return put_decimal(d, kind, format, w);
}

struct token {
	struct decimal *d;
	enum kind kind;
	char digits[NUMBER_MAX];
	bool first; /* the first digit is not 0, and stays so */
};

static void set_digits(const struct token *t)
{
	size_t k = 0;

	for (size_t i = t->d->from; i < t->d->n; i++)
		if (is_digit(t->d->text[i]))
			t->d->text[i] = t->digits[k++];
}

static bool token_fits(const void *ctx)
{
	const struct token *t = ctx;
	int64_t whole;

	if (t->first && t->digits[0] == '0')
		return false;
	set_digits(t);
	return t->kind == KIND_NUMERIC || whole_in_range(t->d, t->kind, &whole);
}

static bool put_number_token(const struct sl_mask *m, enum kind kind, uint8_t format, struct decimal *d,
                             struct out *w)
{
	struct decimal was = *d;
	struct token t = {.d = d, .kind = kind};
	size_t n = 0;

	for (size_t i = d->from; i < d->n; i++)
		if (is_digit(d->text[i]))
			t.digits[n++] = d->text[i];
	t.first = t.digits[0] != '0';
	if (token_digits(m, t.digits, n, token_fits, &t))
		return put_decimal(d, kind, format, w);
	*d = was;
	return put_number_hash(m, kind, format, d, w);
}

static bool put_number(const struct sl_mask *m, enum kind kind, uint8_t format, struct sl_span v,
                       struct out *w)
{
	struct decimal d = {.n = 0};

	if (format == 1)
		d.n = number_text(kind, v, d.text, sizeof(d.text));
	else if (v.n <= sizeof(d.text) && v.n > 0)
		memcpy(d.text, v.p, d.n = v.n);
	if (!read_decimal(&d))
		return false;
	switch (m->action) {
	case SL_MASK_PARTIAL:
		partial_decimal(m, &d);
		trim(&d);
		return put_decimal(&d, kind, format, w);
	case SL_MASK_HASH:
		return put_number_hash(m, kind, format, &d, w);
	case SL_MASK_TOKENISE:
		return put_number_token(m, kind, format, &d, w);
	default:
		return false;
	}
}

/* A whole number that the type holds exactly. */
static bool put_float_hash(const struct sl_mask *m, enum kind kind, uint8_t format, struct sl_span v,
                           struct out *w)
{
	char text[FLOAT_TEXT];
	uint8_t bytes[8], h[32];
	uint64_t bits;
	double d;
	float f;

	if (format == 0) {
		if (sl_span_cstr(v, text, sizeof(text)) < 0)
			return false;
		d = kind == KIND_FLOAT4 ? (double)strtof(text, NULL) : strtod(text, NULL);
	} else {
		if (v.n != width(kind))
			return false;
		d = float_value(v);
	}
	d = isnan(d) ? (double)NAN : d == 0 ? 0 : d;
	memcpy(&bits, &d, sizeof(bits));
	memcpy(bytes, &bits, sizeof(bytes));
	mask_hmac(m->key, 'f', sl_span(bytes, sizeof(bytes)), h);
	d = (double)(be64(h) >> (kind == KIND_FLOAT4 ? 40 : 11));
	f = (float)d;
	if (format == 0) {
		out_put(w, text, (size_t)snprintf(text, sizeof(text), "%.0f", d));
	} else if (kind == KIND_FLOAT4) {
		uint32_t low;

		memcpy(&low, &f, sizeof(low));
		out_be(w, low, 4);
	} else {
		memcpy(&bits, &d, sizeof(bits));
		out_be(w, bits, 8);
	}
	return true;
}

/* ---- uuid ---- */

static int nibble(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* As the server prints it: 8-4-4-4-12 digits. */
static bool read_uuid(uint8_t format, struct sl_span v, uint8_t b[UUID_BYTES])
{
	size_t n = 0;

	if (format == 1) {
		if (v.n == UUID_BYTES)
			memcpy(b, v.p, UUID_BYTES);
		return v.n == UUID_BYTES;
	}
	for (size_t i = 0; i < v.n && v.n == 36; i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (v.p[i] != '-')
				return false;
			continue;
		}
		if (nibble(v.p[i]) < 0)
			return false;
		b[n / 2] = (uint8_t)(n % 2 == 0 ? nibble(v.p[i]) << 4 : b[n / 2] | nibble(v.p[i]));
		n++;
	}
	return n == 2 * UUID_BYTES;
}

static void put_uuid(const uint8_t b[UUID_BYTES], uint8_t format, struct out *w)
{
	static const uint8_t parts[] = {4, 2, 2, 2, 6};
	size_t at = 0;

	if (format == 1) {
		out_put(w, b, UUID_BYTES);
		return;
	}
	for (size_t i = 0; i < sizeof(parts); at += parts[i++]) {
		if (i > 0)
			out_byte(w, '-');
		out_hex(w, b + at, parts[i]);
	}
}

static bool uuid_action(const struct sl_mask *m, uint8_t format, struct sl_span v, struct out *w)
{
	uint8_t b[UUID_BYTES] = {0}, h[32];

	if (!read_uuid(format, v, b))
		return false;
	if (m->action == SL_MASK_PARTIAL) {
		for (size_t i = 0; i < 2 * UUID_BYTES; i++) {
			bool stays = (size_t)m->keep_first + m->keep_last < 2 * UUID_BYTES &&
			             (i < m->keep_first || i >= 2 * UUID_BYTES - m->keep_last);

			if (!stays)
				b[i / 2] &= i % 2 == 0 ? 0x0f : 0xf0;
		}
	} else if (m->action == SL_MASK_HASH) {
		mask_hmac(m->key, 'u', sl_span(b, UUID_BYTES), h);
		memcpy(b, h, UUID_BYTES);
		b[6] = (b[6] & 0x0f) | 0x80; /* RFC 9562: version 8, made in a way of one's own */
		b[8] = (b[8] & 0x3f) | 0x80;
	} else if (m->action != SL_MASK_TOKENISE || !token_bytes(m, b, UUID_BYTES)) {
		return false;
	}
	put_uuid(b, format, w);
	return true;
}

/* ---- bytea ---- */

static bool bytea_hash(const struct sl_mask *m, uint8_t format, struct sl_span v, struct out *w)
{
	uint8_t h[32];

	/* In text the digits are hashed, so that no room is needed; in binary the same digits are made. */
	if (format == 0 && (v.n < 2 || v.p[0] != '\\' || v.p[1] != 'x'))
		return false;
	if (format == 0)
		mask_hmac(m->key, 'b', sl_span_sub(v, 2, v.n), h);
	else
		mask_hmac_hex(m->key, 'b', v, h);
	if (format == 1) {
		out_put(w, h, HASH_TEXT_BYTES);
	} else {
		out_text(w, "\\x");
		out_hex(w, h, HASH_TEXT_BYTES);
	}
	return true;
}

/* ---- all ---- */

/* As many zeros as it has bits: its type says how many they are. */
static enum sl_masked bit_zeros(uint8_t format, struct sl_span v, struct out *w)
{
	if (format == 0) {
		out_fill(w, '0', v.n);
		return mask_done(w);
	}
	if (v.n < 4)
		return SL_MASKED_REFUSE;
	out_put(w, v.p, 4);
	out_fill(w, 0, v.n - 4);
	return mask_done(w);
}

static bool acts(const struct sl_mask *m, enum kind kind, uint8_t format, struct sl_span v, struct out *w)
{
	bool keyed = m->action == SL_MASK_HASH || m->action == SL_MASK_TOKENISE;

	if (m->action == SL_MASK_REDACT || (keyed && m->key == NULL))
		return false;
	switch (kind) {
	case KIND_INT2:
	case KIND_INT4:
	case KIND_INT8:
	case KIND_OID:
	case KIND_NUMERIC:
		return put_number(m, kind, format, v, w);
	case KIND_FLOAT4:
	case KIND_FLOAT8:
		return keyed && put_float_hash(m, kind, format, v, w);
	case KIND_UUID:
		return uuid_action(m, format, v, w);
	case KIND_BYTEA:
		return keyed && bytea_hash(m, format, v, w);
	case KIND_DATE:
	case KIND_TIME:
	case KIND_TIMETZ:
	case KIND_TIMESTAMP:
	case KIND_TIMESTAMPTZ:
		return m->action == SL_MASK_DATE && time_cut(m->unit, kind, format, v, w);
	default:
		return false;
	}
}

static enum sl_masked redacted(const struct type *t, uint8_t format, struct sl_span v, struct out *w)
{
	if (t->kind == KIND_BIT)
		return v.n > 0 ? bit_zeros(format, v, w) : SL_MASKED_NULL;
	if (t->kind == KIND_ENUM && t->label.n > 0) {
		out_put(w, t->label.p, t->label.n);
		return mask_done(w);
	}
	return type_redacted(t->kind, format, w) ? mask_done(w) : SL_MASKED_NULL;
}

enum sl_masked scalar_action(const struct sl_mask *m, const struct type *t, uint8_t format, struct sl_span v,
                             struct out *w)
{
	size_t before = w->n;

	if (acts(m, t->kind, format, v, w))
		return mask_done(w);
	w->n = before;
	return redacted(t, format, v, w);
}
