/* Dates and times, cut to a unit. In text only as ISO 8601 is printed (DateStyle ISO); in binary all of them.
 */
#include "mask_priv.h"

#define DAY_US        INT64_C(86400000000)
#define HOUR_US       INT64_C(3600000000)
#define EPOCH_DAYS    730425 /* from 0000-03-01 to 2000-01-01, in the Gregorian calendar */
#define ERA_DAYS      146097 /* of 400 years */
#define TIMESTAMP_MIN (INT64_C(-2451545) * DAY_US) /* about 4714 BC: the server has none before */

static void out_be(struct out *w, uint64_t v, size_t n)
{
	while (n-- > 0)
		out_byte(w, (uint8_t)(v >> 8 * n));
}

static int64_t floor_to(int64_t v, int64_t unit)
{
	int64_t rest = v % unit;

	return v - rest - (rest < 0 ? unit : 0);
}

/* The first day of its year or month; years begin in March, so that a leap day is the last of one. */
static int64_t first_day(int64_t days, bool of_year)
{
	int64_t z = days + EPOCH_DAYS, era = floor_to(z, ERA_DAYS) / ERA_DAYS, doe = z - era * ERA_DAYS;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), month = (5 * doy + 2) / 153; /* 0: March */
	int64_t day = doy - (153 * month + 2) / 5;

	if (!of_year)
		return days - day;
	/* January and February stand at the end of the year before. */
	if (month >= 10)
		return days - (doy - 306);
	return first_day(days - doy - 1, true); /* the last of February: it is of the same year */
}

static bool cut_binary(enum sl_mask_unit unit, enum kind kind, struct sl_span v, struct out *w)
{
	int64_t t, days;

	if (kind == KIND_DATE) {
		if (v.n != 4)
			return false;
		t = (int32_t)sl_get_be32(v.p);
		if (t != INT32_MIN && t < TIMESTAMP_MIN / DAY_US)
			return false;
		if (unit <= SL_MASK_MONTH && t != INT32_MAX && t != INT32_MIN)
			t = first_day(t, unit == SL_MASK_YEAR);
		out_be(w, (uint64_t)t, 4);
		return true;
	}
	if (v.n != (kind == KIND_TIMETZ ? 12 : 8))
		return false;
	t = (int64_t)((uint64_t)sl_get_be32(v.p) << 32 | sl_get_be32(v.p + 4));
	if (kind == KIND_TIME || kind == KIND_TIMETZ) {
		out_be(w, (uint64_t)(unit == SL_MASK_HOUR ? floor_to(t, HOUR_US) : 0), 8);
		out_put(w, v.p + 8, v.n - 8);
		return true;
	}
	if (t != INT64_MAX && t != INT64_MIN) {
		if (t < TIMESTAMP_MIN)
			return false;
		days = floor_to(t, DAY_US) / DAY_US;
		t = unit == SL_MASK_HOUR  ? floor_to(t, HOUR_US)
		    : unit == SL_MASK_DAY ? days * DAY_US
		                          : first_day(days, unit == SL_MASK_YEAR) * DAY_US;
	}
	out_be(w, (uint64_t)t, 8);
	return true;
}

/* ---- text ---- */

static bool digits_at(struct sl_span v, size_t at, size_t n)
{
	for (size_t i = at; i < at + n; i++)
		if (i >= v.n || v.p[i] < '0' || v.p[i] > '9')
			return false;
	return true;
}

static bool is_at(struct sl_span v, size_t at, char c)
{
	return at < v.n && v.p[at] == (uint8_t)c;
}

/* hh:mm:ss with a fraction, from *at; *at stands behind it then. */
static bool clock_cut(enum sl_mask_unit unit, struct sl_span v, size_t *at, struct out *w)
{
	size_t i = *at;

	if (!digits_at(v, i, 2) || !is_at(v, i + 2, ':') || !digits_at(v, i + 3, 2))
		return false;
	if (unit == SL_MASK_HOUR)
		out_put(w, v.p + i, 2);
	else
		out_text(w, "00");
	out_text(w, ":00:00");
	i += 5;
	if (is_at(v, i, ':') && digits_at(v, i + 1, 2))
		i += 3;
	if (is_at(v, i, '.') && digits_at(v, i + 1, 1)) {
		for (i++; digits_at(v, i, 1);)
			i++;
	}
	*at = i;
	return true;
}

/* What may follow: a zone's offset (+hh, +hh:mm, +hh:mm:ss, Z), and BC. */
static bool tail_cut(struct sl_span v, size_t at, struct out *w)
{
	size_t i = at;

	if (is_at(v, i, '+') || is_at(v, i, '-')) {
		if (!digits_at(v, i + 1, 2))
			return false;
		for (i += 3; is_at(v, i, ':') && digits_at(v, i + 1, 2);)
			i += 3;
	} else if (is_at(v, i, 'Z')) {
		i++;
	}
	if (i + 3 == v.n && memcmp(v.p + i, " BC", 3) == 0)
		i += 3;
	out_put(w, v.p + at, i - at);
	return i == v.n;
}

static bool date_cut(enum sl_mask_unit unit, struct sl_span v, size_t *at, struct out *w)
{
	size_t year = 0;

	while (year < 7 && digits_at(v, year, 1))
		year++;
	if (year < 4 || !is_at(v, year, '-') || !digits_at(v, year + 1, 2) || !is_at(v, year + 3, '-') ||
	    !digits_at(v, year + 4, 2))
		return false;
	out_put(w, v.p, year + 1);
	if (unit == SL_MASK_YEAR)
		out_text(w, "01");
	else
		out_put(w, v.p + year + 1, 2);
	out_byte(w, '-');
	if (unit <= SL_MASK_MONTH)
		out_text(w, "01");
	else
		out_put(w, v.p + year + 4, 2);
	*at = year + 6;
	return true;
}

bool time_cut_text(enum sl_mask_unit unit, struct sl_span v, struct out *w)
{
	size_t before = w->n, at = 0;
	bool ok = date_cut(unit, v, &at, w);

	if (ok && (is_at(v, at, ' ') || is_at(v, at, 'T')) && digits_at(v, at + 1, 1)) {
		out_byte(w, v.p[at++]);
		ok = clock_cut(unit, v, &at, w);
	}
	ok = ok && tail_cut(v, at, w);
	if (!ok)
		w->n = before;
	return ok;
}

bool time_cut(enum sl_mask_unit unit, enum kind kind, uint8_t format, struct sl_span v, struct out *w)
{
	size_t at = 0;

	if (format == 1)
		return cut_binary(unit, kind, v, w);
	if (kind == KIND_TIME || kind == KIND_TIMETZ)
		return clock_cut(unit, v, &at, w) && tail_cut(v, at, w);
	if (sl_span_is(v, "infinity") || sl_span_is(v, "-infinity")) {
		out_put(w, v.p, v.n);
		return true;
	}
	return time_cut_text(unit, v, w);
}
