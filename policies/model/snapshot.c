#include "sl_snapshot.h"

static uint8_t fold(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

const struct sl_resource *sl_snapshot_resource(const struct sl_snapshot *s, struct sl_span name)
{
	for (uint32_t i = 0; i < s->nb_resources; i++) {
		if (sl_span_is(name, s->resources[i].name))
			return &s->resources[i];
	}
	return NULL;
}

/* Behind the UTF-8 character at i; of other bytes behind that byte. */
static size_t behind(struct sl_span text, size_t i)
{
	bool lead = text.p[i++] >= 0xc0;

	while (lead && i < text.n && (text.p[i] & 0xc0) == 0x80)
		i++;
	return i;
}

/*
 * On a mismatch, goes back to the last star and lets it take one character more. A star further left never
 * has to be tried again, so a text of n characters costs at most n times the longest part between two stars,
 * which is bounded by the length of a glob in a policy.
 */
bool sl_glob_match(const char *glob, struct sl_span text)
{
	const char *star = NULL;
	size_t i = 0, star_i = 0;

	while (i < text.n) {
		if (*glob == '*') {
			star = ++glob;
			star_i = i;
		} else if (*glob == '?') {
			glob++;
			i = behind(text, i);
		} else if (*glob != '\0' && fold((uint8_t)*glob) == fold(text.p[i])) {
			glob++;
			i++;
		} else if (star != NULL) {
			glob = star;
			i = ++star_i;
		} else {
			return false;
		}
	}
	while (*glob == '*')
		glob++;
	return *glob == '\0';
}

/* Up to eight bytes as a number: with their number, the same for the same bytes only. */
static uint64_t bytes_of(const uint8_t *p, size_t n)
{
	uint64_t x;
	uint32_t a, b;

	if (n >= sizeof(x)) {
		memcpy(&x, p, sizeof(x));
		return x;
	}
	if (n < sizeof(a))
		return (uint64_t)p[0] | (uint64_t)p[n / 2] << 8 | (uint64_t)p[n - 1] << 16;
	memcpy(&a, p, sizeof(a));
	memcpy(&b, p + n - sizeof(b), sizeof(b));
	return a | (uint64_t)b << 32;
}

/*
 * Eight bytes at a time. The bit that makes lower case of upper case is set in all of them: names that differ
 * in it alone have the same hash, and are compared when a rule is looked at. The table is of our own rules,
 * so nobody can choose what collides in it.
 */
uint64_t sl_rule_name_hash(struct sl_span name, bool function)
{
	uint64_t h = name.n << 1 | (function ? 1 : 0);

	for (size_t i = 0; i < name.n; i += sizeof(h)) {
		h ^= bytes_of(name.p + i, name.n - i) | UINT64_C(0x2020202020202020);
		h *= UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 29;
	}
	return h != 0 ? h : 1;
}
