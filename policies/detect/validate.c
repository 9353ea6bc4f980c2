/* Validators by name, for detectors that a policy defines itself. */
#include "detect_priv.h"

#define TEXT_MAX 64 /* of letters and digits, with a NUL: no number that has a check is longer */

enum {
	LUHN,
	MOD97,
	OF_DETECTORS
};

static const char *const names[OF_DETECTORS] = {[LUHN] = "luhn", [MOD97] = "mod97"};

/* Those of detectors whose forms are shapes: only for them it is known what the check may rely on. */
static bool has_shapes(const struct detector *d)
{
	return d->check != NULL && d->forms[0].shape != NULL;
}

int32_t sl_detect_validator(struct sl_span name)
{
	int32_t d = sl_detect_find(name);

	for (int32_t i = 0; i < OF_DETECTORS; i++)
		if (sl_span_is(name, names[i]))
			return i;
	return d >= 0 && has_shapes(&detect_table[d]) ? OF_DETECTORS + d : -1;
}

/* Letters in upper case and digits, NUL-ended; 0: more than any check takes. */
static size_t compact(struct sl_span text, char out[TEXT_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++) {
		if (!is_alnum(text.p[i]))
			continue;
		if (n == TEXT_MAX - 1)
			return 0;
		out[n++] = (char)(is_alpha(text.p[i]) ? text.p[i] & ~0x20 : text.p[i]);
	}
	out[n] = '\0';
	return n;
}

static bool all_digits(const char *t, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!is_digit((uint8_t)t[i]))
			return false;
	return true;
}

/* ISO/IEC 7064 MOD 97-10 over the text with its first four characters behind the rest (ISO 13616). */
static bool is_mod97(const char *t, size_t n)
{
	unsigned sum = 0;

	for (size_t i = 0; i < n; i++) {
		uint8_t c = (uint8_t)t[(i + 4) % n];

		sum = is_digit(c) ? sum * 10 + (c - '0') : sum * 100 + (c - 'A' + 10u);
		sum %= 97;
	}
	return sum == 1;
}

static bool fits_shape(const char *shape, const char *t, size_t n)
{
	size_t at = 0;

	for (; *shape != '\0'; shape++) {
		uint8_t want = (uint8_t)*shape, c = (uint8_t)t[at];

		if (!is_alnum(want))
			continue;
		if (at == n)
			return false;
		if ((want == '9' && !is_digit(c)) || (want == 'A' && !is_alpha(c)) ||
		    (want != '9' && want != 'A' && want != 'X' && (want & ~0x20) != c && want != c))
			return false;
		at++;
	}
	return at == n;
}

static bool fits_detector(const struct detector *d, const char *t, size_t n)
{
	for (uint32_t f = 0; f < SL_DETECT_FORMS_MAX && d->forms[f].shape != NULL; f++)
		if (fits_shape(d->forms[f].shape, t, n))
			return d->check(t, n);
	return false;
}

bool sl_detect_validate(int32_t validator, struct sl_span text)
{
	char t[TEXT_MAX] = "";
	size_t n = compact(text, t);

	if (n == 0 || validator < 0 || validator >= OF_DETECTORS + (int32_t)detect_table_n)
		return false;
	switch (validator) {
	case LUHN:
		return n > 1 && all_digits(t, n) && check_luhn(t, n);
	case MOD97:
		return n > 4 && is_mod97(t, n);
	default:
		return fits_detector(&detect_table[validator - OF_DETECTORS], t, n);
	}
}
