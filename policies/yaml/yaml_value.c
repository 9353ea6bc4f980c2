/* Scalars to values. */
#include <string.h>

#include "sl_counter.h"
#include "sl_yaml.h"

struct unit {
	const char *suffix;
	uint64_t factor;
};

static bool is_plain_scalar(const struct sl_yaml_node *n)
{
	return n != NULL && n->type == SL_YAML_SCALAR && n->plain;
}

/* Leading decimal digits; *rest is what follows. */
static int digits(const char *s, uint64_t *out, const char **rest)
{
	uint64_t v = 0;
	const char *p = s;

	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return sl_fail(SL_E_POLICY_SYNTAX);
	}
	*rest = p;
	*out = v;
	return p == s ? sl_fail(SL_E_POLICY_SYNTAX) : SL_OK;
}

static int with_unit(const struct sl_yaml_node *n, const struct unit *units, uint64_t *out)
{
	const char *rest;
	uint64_t v;

	if (!is_plain_scalar(n) || digits(n->scalar, &v, &rest) != SL_OK)
		return sl_fail(SL_E_POLICY_SYNTAX);
	for (const struct unit *u = units; u->suffix != NULL; u++) {
		if (strcmp(rest, u->suffix) != 0)
			continue;
		return __builtin_mul_overflow(v, u->factor, out) ? sl_fail(SL_E_POLICY_SYNTAX) : SL_OK;
	}
	return sl_fail(SL_E_POLICY_SYNTAX);
}

int sl_yaml_bool(const struct sl_yaml_node *n, bool *out)
{
	if (!is_plain_scalar(n))
		return sl_fail(SL_E_POLICY_SYNTAX);
	if (strcmp(n->scalar, "true") == 0)
		*out = true;
	else if (strcmp(n->scalar, "false") == 0)
		*out = false;
	else
		return sl_fail(SL_E_POLICY_SYNTAX);
	return SL_OK;
}

int sl_yaml_uint(const struct sl_yaml_node *n, uint64_t *out)
{
	static const struct unit none[] = {{"", 1}, {NULL, 0}};

	return with_unit(n, none, out);
}

int sl_yaml_duration_s(const struct sl_yaml_node *n, uint64_t *out)
{
	static const struct unit seconds[] = {{"", 1},     {"s", 1},     {"m", 60},
	                                      {"h", 3600}, {"d", 86400}, {NULL, 0}};
	static const struct unit milliseconds[] = {{"ms", 1}, {NULL, 0}};
	uint64_t ms;

	if (is_plain_scalar(n) && strstr(n->scalar, "ms") != NULL) {
		if (with_unit(n, milliseconds, &ms) != SL_OK)
			return SL_E_POLICY_SYNTAX;
		*out = ms / 1000 + (ms % 1000 != 0);
		return SL_OK;
	}
	return with_unit(n, seconds, out);
}

int sl_yaml_duration_us(const struct sl_yaml_node *n, uint64_t *out)
{
	static const struct unit units[] = {
	        {"us", 1},           {"ms", 1000},         {"", 1000000},         {"s", 1000000},
	        {"m", 60 * 1000000}, {"h", 3600000000ull}, {"d", 86400000000ull}, {NULL, 0}};

	return with_unit(n, units, out);
}

#define PPM_DECIMALS 4 /* of a percentage */

int sl_yaml_ppm(const struct sl_yaml_node *n, uint64_t *out)
{
	static const struct unit ppm[] = {{"ppm", 1}, {"%", 10000}, {NULL, 0}};
	uint64_t v, scale = 10000;
	const char *p;

	if (!is_plain_scalar(n) || strchr(n->scalar, '.') == NULL)
		return with_unit(n, ppm, out);
	if (digits(n->scalar, &v, &p) != SL_OK || *p++ != '.' || v > UINT32_MAX)
		return sl_fail(SL_E_POLICY_SYNTAX);
	v *= scale;
	for (int i = 0; i < PPM_DECIMALS && *p >= '0' && *p <= '9'; i++)
		v += (uint64_t)(*p++ - '0') * (scale /= 10);
	*out = v;
	return strcmp(p, "%") == 0 && p[-1] != '.' ? SL_OK : sl_fail(SL_E_POLICY_SYNTAX);
}

int sl_yaml_bytes(const struct sl_yaml_node *n, uint64_t *out)
{
	static const struct unit bytes[] = {
	        {"", 1}, {"K", 1024}, {"M", 1024 * 1024}, {"G", 1024 * 1024 * 1024}, {NULL, 0}};

	return with_unit(n, bytes, out);
}
