/* Paths into documents: $.name, $.*, $..name, $[3], $[*], $["name"], and what follows from them. */
#include "json_priv.h"

#include <stdlib.h>

#define INDEX_DIGITS_MAX 9

static bool fold_eq(struct sl_span a, struct sl_span b)
{
	for (size_t i = 0; a.n == b.n && i < a.n; i++) {
		uint8_t x = a.p[i], y = b.p[i];

		x |= x >= 'A' && x <= 'Z' ? 0x20 : 0;
		y |= y >= 'A' && y <= 'Z' ? 0x20 : 0;
		if (x != y)
			return false;
	}
	return a.n == b.n;
}

/* "name" between quotes of either kind, at *s; NULL in case of an error. */
static const char *quoted(const char *s, struct json_step *step)
{
	const char *end = strchr(s + 1, *s);

	if (end == NULL)
		return NULL;
	step->kind = STEP_NAME;
	step->name = sl_span(s + 1, (size_t)(end - s - 1));
	return end + 1;
}

static const char *bracket(const char *s, struct json_step *step)
{
	if (*s == '*') {
		step->kind = STEP_ANY_INDEX;
		s++;
	} else if (*s == '"' || *s == '\'') {
		s = quoted(s, step);
	} else {
		size_t n = strspn(s, "0123456789");

		if (n == 0 || n > INDEX_DIGITS_MAX)
			return NULL;
		step->kind = STEP_INDEX;
		step->index = (uint32_t)strtoul(s, NULL, 10);
		s += n;
	}
	return s != NULL && *s == ']' ? s + 1 : NULL;
}

static const char *name(const char *s, struct json_step *step)
{
	size_t n = strcspn(s, ".[]\"'");

	if (*s == '"')
		return quoted(s, step);
	if (n == 0)
		return NULL;
	step->kind = n == 1 && *s == '*' ? STEP_ANY_NAME : STEP_NAME;
	step->name = sl_span(s, n);
	return s + n;
}

/* One step from s; where it ends, NULL: it is none. */
static const char *read_step(const char *s, struct json_step *step)
{
	*step = (struct json_step){.kind = STEP_NAME};
	if (*s == '[')
		return bracket(s + 1, step);
	if (*s != '.')
		return NULL;
	step->descend = s[1] == '.';
	s += step->descend ? 2 : 1;
	return step->descend && *s == '[' ? bracket(s + 1, step) : name(s, step);
}

static bool read_path(const char *s, struct json_paths *out)
{
	uint32_t before = out->nb;

	if (*s++ != '$')
		return false;
	while (s != NULL && *s != '\0') {
		if (out->nb == SL_MASK_JSON_STEPS_MAX)
			return false;
		s = read_step(s, &out->v[out->nb++]);
	}
	if (s == NULL || out->nb == before)
		return false;
	out->v[out->nb - 1].last = true;
	return true;
}

bool json_paths_read(const struct sl_strings *list, struct json_paths *out)
{
	out->nb = 0;
	for (uint32_t i = 0; i < list->nb; i++)
		if (!read_path(list->v[i], out))
			return false;
	return true;
}

uint32_t sl_mask_json_steps(const char *path)
{
	struct json_paths p = {.nb = 0};

	return read_path(path, &p) ? p.nb : 0;
}

/* ---- states ---- */

static bool has(const struct json_states *s, uint32_t i)
{
	return s->w[i / 64] >> i % 64 & 1;
}

static void set(struct json_states *s, uint32_t i)
{
	s->w[i / 64] |= UINT64_C(1) << i % 64;
}

void json_begin(const struct json_paths *p, struct json_states *s)
{
	memset(s, 0, sizeof(*s));
	for (uint32_t i = 0; i < p->nb; i++)
		if (i == 0 || p->v[i - 1].last)
			set(s, i);
}

static bool of_array(const struct json_step *s)
{
	return s->kind == STEP_INDEX || s->kind == STEP_ANY_INDEX;
}

bool json_enter(const struct json_paths *p, struct json_states *s, uint8_t first)
{
	bool ends = false;

	/* What is no array counts as one of a single element. */
	for (uint32_t i = 0; i < p->nb && first != '['; i++) {
		if (!has(s, i) || !of_array(&p->v[i]))
			continue;
		ends |= p->v[i].last;
		if (!p->v[i].last)
			set(s, i + 1);
	}
	return ends;
}

static bool step_on(const struct json_paths *p, uint32_t i, struct json_states *below)
{
	if (!p->v[i].last)
		set(below, i + 1);
	return p->v[i].last;
}

bool json_member(const struct json_paths *p, const struct json_states *s, struct sl_span name,
                 struct json_states *below)
{
	bool ends = false;

	memset(below, 0, sizeof(*below));
	for (uint32_t i = 0; i < p->nb; i++) {
		const struct json_step *step = &p->v[i];

		if (!has(s, i))
			continue;
		if (step->descend)
			set(below, i);
		if (step->kind == STEP_ANY_NAME || (step->kind == STEP_NAME && fold_eq(step->name, name)))
			ends |= step_on(p, i, below);
	}
	return ends;
}

bool json_element(const struct json_paths *p, const struct json_states *s, uint32_t index,
                  struct json_states *below)
{
	bool ends = false;

	memset(below, 0, sizeof(*below));
	for (uint32_t i = 0; i < p->nb; i++) {
		const struct json_step *step = &p->v[i];

		if (!has(s, i))
			continue;
		if (step->descend || !of_array(step))
			set(below, i); /* a name goes through the arrays on its way */
		if (step->kind == STEP_ANY_INDEX || (step->kind == STEP_INDEX && step->index == index))
			ends |= step_on(p, i, below);
	}
	return ends;
}
