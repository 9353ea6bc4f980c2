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

/* FNV-1a, 64 bits: the table is of our own rules, so nobody can choose what collides in it. */
uint64_t sl_rule_name_hash(struct sl_span name, bool function)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325) ^ (function ? 1 : 0);

	for (size_t i = 0; i < name.n; i++)
		h = (h ^ fold(name.p[i])) * UINT64_C(0x100000001b3);
	h ^= h >> 32;
	return h != 0 ? h : 1;
}
