#include "pgvalue.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "sl_addr.h"

#define DAY_US         86400000000ll
#define EPOCH_DAYS     730425 /* from 0000-03-01 to 2000-01-01, in the calendar that has always been */
#define NUMERIC_NAN    0xc000
#define NUMERIC_PINF   0xd000
#define NUMERIC_NINF   0xf000
#define NUMERIC_NEG    0x4000
#define NUMERIC_SCALE  0x3fff /* the most digits behind the point */
#define ARRAY_DIMS_MAX 6      /* MAXDIM */
#define ELEMENT_MAX    512    /* bytes of an array's element that are shown */
#define INET_V4        2      /* PGSQL_AF_INET */
#define INET_V6        3

struct out {
	char *p;
	size_t n, cap;
	bool cut;
};

static void put(struct out *o, const void *p, size_t n)
{
	if (n > o->cap - o->n) {
		n = o->cap - o->n;
		o->cut = true;
	}
	if (n > 0)
		memcpy(o->p + o->n, p, n);
	o->n += n;
}

static void put_str(struct out *o, const char *s)
{
	put(o, s, strlen(s));
}

static void put_char(struct out *o, char c)
{
	put(o, &c, 1);
}

static void put_hex(struct out *o, const uint8_t *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n && !o->cut; i++) {
		put_char(o, digits[p[i] >> 4]);
		put_char(o, digits[p[i] & 15]);
	}
}

static void put_int(struct out *o, long long v)
{
	char b[24];
	int n = snprintf(b, sizeof(b), "%lld", v);

	put(o, b, (size_t)n);
}

static uint64_t be64(const uint8_t *p)
{
	return (uint64_t)sl_get_be32(p) << 32 | sl_get_be32(p + 4);
}

/* ---- one value of a type ---- */

static bool text(struct out *o, struct sl_span v)
{
	put(o, v.p, v.n);
	return true;
}

static bool boolean(struct out *o, struct sl_span v)
{
	if (v.n != 1)
		return false;
	put_char(o, v.p[0] != 0 ? 't' : 'f');
	return true;
}

static bool bytea(struct out *o, struct sl_span v)
{
	put_str(o, "\\x");
	put_hex(o, v.p, v.n);
	return true;
}

static bool integer(struct out *o, struct sl_span v)
{
	if (v.n == 2)
		put_int(o, (int16_t)sl_get_be16(v.p));
	else if (v.n == 4)
		put_int(o, (int32_t)sl_get_be32(v.p));
	else if (v.n == 8)
		put_int(o, (int64_t)be64(v.p));
	return v.n == 2 || v.n == 4 || v.n == 8;
}

static bool int_n(struct out *o, struct sl_span v, size_t n)
{
	return v.n == n && integer(o, v);
}

static bool int2(struct out *o, struct sl_span v)
{
	return int_n(o, v, 2);
}

static bool int4(struct out *o, struct sl_span v)
{
	return int_n(o, v, 4);
}

static bool int8(struct out *o, struct sl_span v)
{
	return int_n(o, v, 8);
}

static bool oid(struct out *o, struct sl_span v)
{
	if (v.n != 4)
		return false;
	put_int(o, sl_get_be32(v.p));
	return true;
}

/* The shortest text that is read as the same number. */
static void put_float(struct out *o, double d, int from, int to, bool single)
{
	char b[40];

	if (isnan(d) || isinf(d)) {
		put_str(o, isnan(d) ? "NaN" : d > 0 ? "Infinity" : "-Infinity");
		return;
	}
	for (int digits = from; digits <= to; digits++) {
		(void)snprintf(b, sizeof(b), "%.*g", digits, d);
		if (single ? strtof(b, NULL) == (float)d : strtod(b, NULL) == d)
			break;
	}
	put_str(o, b);
}

static bool float4(struct out *o, struct sl_span v)
{
	uint32_t bits;
	float f;

	if (v.n != 4)
		return false;
	bits = sl_get_be32(v.p);
	memcpy(&f, &bits, sizeof(f));
	put_float(o, (double)f, 6, 9, true);
	return true;
}

static bool float8(struct out *o, struct sl_span v)
{
	uint64_t bits;
	double d;

	if (v.n != 8)
		return false;
	bits = be64(v.p);
	memcpy(&d, &bits, sizeof(d));
	put_float(o, d, 15, 17, false);
	return true;
}

/* The i-th group of four decimal digits; those that are not there are 0. */
static unsigned group(struct sl_span digits, long i)
{
	return i < 0 || (size_t)i >= digits.n / 2 ? 0 : sl_get_be16(digits.p + 2 * i);
}

static void put_group(struct out *o, unsigned g, size_t nb)
{
	char b[8];

	(void)snprintf(b, sizeof(b), "%04u", g);
	put(o, b, nb < 4 ? nb : 4);
}

static bool numeric_special(struct out *o, uint16_t sign)
{
	const char *name = sign == NUMERIC_NAN    ? "NaN"
	                   : sign == NUMERIC_PINF ? "Infinity"
	                   : sign == NUMERIC_NINF ? "-Infinity"
	                                          : NULL;

	if (name != NULL)
		put_str(o, name);
	return name != NULL;
}

static bool numeric(struct out *o, struct sl_span v)
{
	struct sl_span digits = sl_span_sub(v, 8, v.n);
	uint16_t nb, sign, scale;
	long weight;

	if (v.n < 8)
		return false;
	nb = sl_get_be16(v.p);
	weight = (int16_t)sl_get_be16(v.p + 2);
	sign = sl_get_be16(v.p + 4);
	scale = sl_get_be16(v.p + 6);
	if (digits.n != 2u * nb || scale > NUMERIC_SCALE)
		return false;
	for (long i = 0; i < nb; i++)
		if (group(digits, i) > 9999)
			return false;
	if (numeric_special(o, sign))
		return true;
	if (sign != 0 && sign != NUMERIC_NEG)
		return false;
	if (sign == NUMERIC_NEG)
		put_char(o, '-');
	put_int(o, weight < 0 ? 0 : group(digits, 0));
	for (long i = 1; i <= weight && !o->cut; i++)
		put_group(o, group(digits, i), 4);
	if (scale > 0)
		put_char(o, '.');
	for (long i = weight + 1, left = scale; left > 0 && !o->cut; i++, left -= 4)
		put_group(o, group(digits, i), (size_t)left);
	return true;
}

static bool uuid(struct out *o, struct sl_span v)
{
	static const uint8_t parts[] = {4, 2, 2, 2, 6};
	size_t at = 0;

	if (v.n != 16)
		return false;
	for (size_t i = 0; i < sizeof(parts); at += parts[i++]) {
		if (i > 0)
			put_char(o, '-');
		put_hex(o, v.p + at, parts[i]);
	}
	return true;
}

static bool jsonb(struct out *o, struct sl_span v)
{
	return v.n > 0 && v.p[0] == 1 && text(o, sl_span_sub(v, 1, v.n));
}

static bool inet(struct out *o, struct sl_span v)
{
	struct sl_addr a = {0};
	char b[SL_ADDR_STR_MAX];
	size_t n;

	if (v.n < 4 || (v.p[0] != INET_V4 && v.p[0] != INET_V6))
		return false;
	n = v.p[0] == INET_V4 ? 4 : 16;
	if (v.n != 4 + n || v.p[3] != n || v.p[1] > 8 * n)
		return false;
	a.family = n == 4 ? SL_AF_INET : SL_AF_INET6;
	memcpy(a.b, v.p + 4, n);
	put_str(o, sl_addr_str(&a, b));
	if (v.p[1] < 8 * n || v.p[2] != 0) {
		put_char(o, '/');
		put_int(o, v.p[1]);
	}
	return true;
}

/* ---- times ---- */

static void put_date(struct out *o, int64_t days, bool *bc)
{
	int64_t z = days + EPOCH_DAYS, era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t doe = z - era * 146097, yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
	int64_t day = doy - (153 * mp + 2) / 5 + 1, month = mp < 10 ? mp + 3 : mp - 9;
	int64_t year = yoe + era * 400 + (month <= 2);
	char b[48];

	*bc = year <= 0;
	(void)snprintf(b, sizeof(b), "%04lld-%02lld-%02lld", (long long)(*bc ? 1 - year : year),
	               (long long)month, (long long)day);
	put_str(o, b);
}

static void put_clock(struct out *o, int64_t us)
{
	long long s = us / 1000000, rest = us % 1000000;
	char b[64];
	int n = snprintf(b, sizeof(b), "%02lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);

	if (rest != 0) {
		n += snprintf(b + n, sizeof(b) - (size_t)n, ".%06lld", rest);
		while (b[n - 1] == '0')
			n--;
	}
	put(o, b, (size_t)n);
}

static bool date(struct out *o, struct sl_span v)
{
	int32_t days;
	bool bc;

	if (v.n != 4)
		return false;
	days = (int32_t)sl_get_be32(v.p);
	if (days == INT32_MAX || days == INT32_MIN) {
		put_str(o, days > 0 ? "infinity" : "-infinity");
		return true;
	}
	put_date(o, days, &bc);
	put_str(o, bc ? " BC" : "");
	return true;
}

static bool stamp(struct out *o, struct sl_span v, const char *zone)
{
	int64_t us, days, clock;
	bool bc;

	if (v.n != 8)
		return false;
	us = (int64_t)be64(v.p);
	if (us == INT64_MAX || us == INT64_MIN) {
		put_str(o, us > 0 ? "infinity" : "-infinity");
		return true;
	}
	/* In this order: the begin of the earliest day cannot be represented. */
	days = us / DAY_US;
	clock = us % DAY_US;
	if (clock < 0) {
		days--;
		clock += DAY_US;
	}
	put_date(o, days, &bc);
	put_char(o, ' ');
	put_clock(o, clock);
	put_str(o, zone);
	put_str(o, bc ? " BC" : "");
	return true;
}

static bool timestamp(struct out *o, struct sl_span v)
{
	return stamp(o, v, "");
}

static bool timestamptz(struct out *o, struct sl_span v)
{
	return stamp(o, v, "+00");
}

static bool time_of_day(struct out *o, struct sl_span v)
{
	int64_t us;

	if (v.n != 8)
		return false;
	us = (int64_t)be64(v.p);
	if (us < 0 || us > DAY_US)
		return false;
	put_clock(o, us);
	return true;
}

/* The zone counts seconds to the west. */
static bool timetz(struct out *o, struct sl_span v)
{
	int32_t west;
	uint32_t s;
	char b[16];

	if (v.n != 12 || !time_of_day(o, sl_span_sub(v, 0, 8)))
		return false;
	west = (int32_t)sl_get_be32(v.p + 8);
	if (west < -86400 || west > 86400)
		return false;
	s = (uint32_t)(west < 0 ? -west : west);
	(void)snprintf(b, sizeof(b), "%c%02u:%02u:%02u", west > 0 ? '-' : '+', s / 3600 % 100, s / 60 % 60,
	               s % 60);
	put(o, b, s % 60 != 0 ? 9 : s / 60 % 60 != 0 ? 6 : 3);
	return true;
}

static void put_unit(struct out *o, const char *before, long long n, const char *unit)
{
	put_str(o, before);
	put_int(o, n);
	put_str(o, unit);
	if (n != 1)
		put_char(o, 's');
}

static bool interval(struct out *o, struct sl_span v)
{
	size_t before = o->n;
	int64_t us;
	int32_t days, months;

	if (v.n != 16)
		return false;
	us = (int64_t)be64(v.p);
	days = (int32_t)sl_get_be32(v.p + 8);
	months = (int32_t)sl_get_be32(v.p + 12);
	if (us == INT64_MIN)
		return false;
	if (months / 12 != 0)
		put_unit(o, "", months / 12, " year");
	if (months % 12 != 0)
		put_unit(o, o->n > before ? " " : "", months % 12, " mon");
	if (days != 0)
		put_unit(o, o->n > before ? " " : "", days, " day");
	if (us != 0 || o->n == before) {
		put_str(o, o->n > before ? " " : "");
		put_str(o, us < 0 ? "-" : "");
		put_clock(o, us < 0 ? -us : us);
	}
	return true;
}

/* ---- the types ---- */

static const struct type {
	uint32_t oid, array;
	bool quoted; /* in an array */
	bool (*put)(struct out *o, struct sl_span v);
} types[] = {
        {16, 1000, false, boolean},      {17, 1001, true, bytea},         {18, 1002, true, text}, /* "char" */
        {19, 1003, true, text},                                                                   /* name */
        {20, 1016, false, int8},         {21, 1005, false, int2},         {23, 1007, false, int4},
        {25, 1009, true, text},          {26, 1028, false, oid},          {114, 199, true, text}, /* json */
        {142, 143, true, text},                                                                   /* xml */
        {650, 651, true, inet},                                                                   /* cidr */
        {700, 1021, false, float4},      {701, 1022, false, float8},      {705, 0, true, text}, /* unknown */
        {869, 1041, true, inet},         {1042, 1014, true, text},                              /* char(n) */
        {1043, 1015, true, text},                                                               /* varchar */
        {1082, 1182, true, date},        {1083, 1183, true, time_of_day}, {1114, 1115, true, timestamp},
        {1184, 1185, true, timestamptz}, {1186, 1187, true, interval},    {1266, 1270, true, timetz},
        {1700, 1231, false, numeric},    {2950, 2951, false, uuid},       {3802, 3807, true, jsonb},
};

/* An element between quotes. What is longer than the room for one is cut like the whole. */
static bool put_quoted(struct out *o, const struct type *t, struct sl_span v)
{
	char raw[ELEMENT_MAX];
	struct out in = {raw, 0, sizeof(raw), false};

	if (!t->put(&in, v))
		return false;
	put_char(o, '"');
	for (size_t i = 0; i < in.n; i++) {
		if (raw[i] == '"' || raw[i] == '\\')
			put_char(o, '\\');
		put_char(o, raw[i]);
	}
	put_char(o, '"');
	o->cut = o->cut || in.cut;
	return true;
}

struct dims {
	uint32_t nb, size[ARRAY_DIMS_MAX], at[ARRAY_DIMS_MAX];
};

/* The comma and the braces before an element. */
static void put_opening(struct out *o, const struct dims *d, bool first)
{
	uint32_t fresh = 0; /* dimensions that begin here, the innermost first */

	while (fresh < d->nb && d->at[d->nb - 1 - fresh] == 0)
		fresh++;
	if (!first)
		put_char(o, ',');
	for (uint32_t i = 0; i < fresh; i++)
		put_char(o, '{');
}

static void put_closing(struct out *o, struct dims *d)
{
	for (uint32_t i = d->nb; i-- > 0;) {
		if (++d->at[i] < d->size[i])
			return;
		d->at[i] = 0;
		put_char(o, '}');
	}
}

static bool take32(struct sl_span *b, uint32_t *v)
{
	if (b->p == NULL || b->n < 4)
		return false;
	*v = sl_get_be32(b->p);
	*b = sl_span(b->p + 4, b->n - 4);
	return true;
}

/* Its dimensions. False: no array; 0 dimensions: an empty one. */
static bool read_dims(struct sl_span *b, const struct type *t, struct dims *d, uint64_t *nb_elements)
{
	uint32_t flags, oid_of, lower;

	if (!take32(b, &d->nb) || !take32(b, &flags) || !take32(b, &oid_of) || oid_of != t->oid ||
	    d->nb > ARRAY_DIMS_MAX)
		return false;
	*nb_elements = d->nb > 0;
	for (uint32_t i = 0; i < d->nb; i++) {
		if (!take32(b, &d->size[i]) || !take32(b, &lower) || d->size[i] == 0 ||
		    d->size[i] > INT32_MAX / *nb_elements)
			return false;
		*nb_elements *= d->size[i];
	}
	return true;
}

static bool element(struct out *o, const struct type *t, struct sl_span *b)
{
	uint32_t len;
	struct sl_span v;

	if (!take32(b, &len))
		return false;
	if (len == UINT32_MAX) {
		put_str(o, "NULL");
		return true;
	}
	if (len > b->n)
		return false;
	v = sl_span(b->p, len);
	*b = sl_span(b->p + len, b->n - len);
	return t->quoted ? put_quoted(o, t, v) : t->put(o, v);
}

static bool array(struct out *o, const struct type *t, struct sl_span b)
{
	struct dims d = {0};
	uint64_t nb;

	if (!read_dims(&b, t, &d, &nb))
		return false;
	if (nb == 0)
		put_str(o, "{}");
	for (uint64_t i = 0; i < nb && !o->cut; i++) {
		put_opening(o, &d, i == 0);
		if (!element(o, t, &b))
			return false;
		put_closing(o, &d);
	}
	return o->cut || b.n == 0;
}

long pgvalue_text(uint32_t type, struct sl_span value, char *out, size_t cap, bool *cut)
{
	struct out o = {out, 0, cap, false};
	bool ok = false;

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (type == types[i].oid)
			ok = types[i].put(&o, value);
		else if (type != 0 && type == types[i].array)
			ok = array(&o, &types[i], value);
	}
	*cut = o.cut;
	return ok ? (long)o.n : -1;
}
