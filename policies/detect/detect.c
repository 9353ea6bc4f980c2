/* From the table to expressions, and from an expression's end to a find. */
#include <stdio.h>

#include "detect_priv.h"

uint32_t sl_detect_count(void)
{
	return detect_table_n;
}

const char *sl_detect_name(uint32_t detector)
{
	return detect_table[detector].name;
}

const char *sl_detect_what(uint32_t detector)
{
	return detect_table[detector].what;
}

int32_t sl_detect_find(struct sl_span name)
{
	for (uint32_t i = 0; i < detect_table_n; i++)
		if (sl_span_is(name, detect_table[i].name))
			return (int32_t)i;
	return -1;
}

uint32_t sl_detect_forms(uint32_t detector)
{
	const struct detector *d = &detect_table[detector];
	uint32_t n = 0;

	while (n < SL_DETECT_FORMS_MAX && (d->forms[n].shape != NULL || d->forms[n].expr != NULL))
		n++;
	return n;
}

/* ---- expressions ---- */

static void put(char *expr, size_t *n, const char *text)
{
	size_t len = strlen(text);

	if (*n + len < SL_DETECT_EXPR_MAX) { /* the tables are tested to fit */
		memcpy(expr + *n, text, len);
		*n += len;
	}
	expr[*n] = '\0';
}

/* 999-99-9999 becomes \b[0-9]{3}-[0-9]{2}-[0-9]{4}\b */
static void from_shape(const char *shape, char *expr)
{
	size_t n = 0, run;

	put(expr, &n, "\\b");
	for (; *shape != '\0'; shape += run) {
		char count[16];

		for (run = 1; shape[run] == shape[0]; run++)
			;
		switch (*shape) {
		case '9':
			put(expr, &n, "[0-9]");
			break;
		case 'A':
			put(expr, &n, "[A-Za-z]");
			break;
		case 'X':
			put(expr, &n, "[0-9A-Za-z]");
			break;
		case '_':
			put(expr, &n, "[ -]");
			break;
		default:
			put(expr, &n, (char[]){'\\', *shape, '\0'});
			break;
		}
		snprintf(count, sizeof(count), "{%zu}", run);
		if (run > 1)
			put(expr, &n, count);
	}
	put(expr, &n, "\\b");
}

void sl_detect_pattern(uint32_t detector, uint32_t form, char *expr, struct sl_match_pattern *out)
{
	const struct form *f = &detect_table[detector].forms[form];
	size_t n = 0;

	if (f->shape != NULL)
		from_shape(f->shape, expr);
	else
		put(expr, &n, f->expr);
	out->expression = expr;
	out->flags = SL_MATCH_DOTALL | (f->caseless ? (uint32_t)SL_MATCH_CASELESS : 0);
}

bool sl_detect_crosses(uint32_t detector, uint32_t form)
{
	return detect_table[detector].forms[form].crosses;
}

/* ---- finds ---- */

/* A bit for each byte below 128; no class has others. test_detect.c spells them out. */
static const uint64_t classes[BYTES_CLASSES][2] = {
        [BYTES_ALNUM] = {UINT64_C(0x03ff000000000000), UINT64_C(0x07fffffe07fffffe)},
        [BYTES_WORD] = {UINT64_C(0x03ff200000000000), UINT64_C(0x07fffffe87fffffe)},
        [BYTES_B64] = {UINT64_C(0x23ff880000000000), UINT64_C(0x07fffffe07fffffe)},
        [BYTES_TOKEN] = {UINT64_C(0x03ff600000000000), UINT64_C(0x07fffffe87fffffe)},
        [BYTES_EMAIL] = {UINT64_C(0x03ff68a000000000), UINT64_C(0x07fffffe87ffffff)},
        [BYTES_PHONE] = {UINT64_C(0x03ffeb0100000000), UINT64_C(0x0000000000000000)},
        [BYTES_IP] = {UINT64_C(0x07ff400000000000), UINT64_C(0x0000007e0000007e)},
        [BYTES_MAC] = {UINT64_C(0x07ff200000000000), UINT64_C(0x0000007e0000007e)},
        [BYTES_HASH] = {UINT64_C(0x23ffd81000000000), UINT64_C(0x07fffffe07fffffe)},
        [BYTES_MRZ] = {UINT64_C(0x13ff000000000000), UINT64_C(0x0000000007fffffe)},
};

bool detect_in_class(enum byte_class class, uint8_t c)
{
	return c < 128 && (classes[class][c >> 6] >> (c & 63) & 1) != 0;
}

/* A number does not go on beyond its ends: no letter or digit, and no separator with a digit behind it. */
static bool stands_alone(struct sl_span v, size_t from, size_t to)
{
	if (from > 0 && is_alnum(v.p[from - 1]))
		return false;
	if (from > 1 && strchr("-./", v.p[from - 1]) != NULL && v.p[from - 1] != 0 && is_digit(v.p[from - 2]))
		return false;
	if (to < v.n && is_alnum(v.p[to]))
		return false;
	return to + 1 >= v.n || v.p[to] == 0 || strchr("-./", v.p[to]) == NULL || !is_digit(v.p[to + 1]);
}

/* The text without what stands between its groups, in upper case. */
static size_t compact(struct sl_span text, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++)
		if (is_alnum(text.p[i]))
			out[n++] = (char)(is_alpha(text.p[i]) ? text.p[i] & ~0x20 : text.p[i]);
	out[n] = '\0';
	return n;
}

/* The number of this length in front of the end: many detectors ask for the same. */
static void number_of(struct sl_span v, size_t from, size_t end, struct sl_detect_memo *m)
{
	if (m->has_number && m->number_from == from && m->number_to == end)
		return;
	m->has_number = true;
	m->number_from = from;
	m->number_to = end;
	m->alone = stands_alone(v, from, end);
	m->number_n = m->alone ? compact(sl_span(v.p + from, end - from), m->number) : 0;
}

static bool find_shape(const struct detector *d, const struct form *f, struct sl_span v, size_t end,
                       struct sl_detect_memo *m, struct sl_detect_spot *s)
{
	size_t len = strlen(f->shape);

	if (len > end || len >= sizeof(m->number))
		return false;
	*s = (struct sl_detect_spot){end - len, end};
	number_of(v, s->from, s->to, m);
	return m->alone && (d->check == NULL || d->check(m->number, m->number_n));
}

_Static_assert(BYTES_CLASSES <= SL_DETECT_CLASSES, "a run of each class can be kept");

/* Of what is kept of a run, is as much in front of the end as any form asks for? */
static bool has_run(const struct sl_detect_memo *m, uint8_t class, struct sl_span v, size_t end)
{
	size_t from = m->run_from[class];

	if ((m->runs >> class & 1) == 0 || end <= from || end > m->run_to[class])
		return false;
	return from == 0 || end - from > SL_DETECT_SPAN_MAX || !detect_in_class(class, v.p[from - 1]);
}

/*
 * The bytes of the class around the end, one more than max on each side at most. Runs go on from what is
 * known of them, so that no byte is looked at again for each of the ends in a run.
 */
static void run_of(uint8_t class, struct sl_span v, size_t end, size_t max, struct sl_detect_memo *m,
                   struct sl_detect_spot *s)
{
	bool known = has_run(m, class, v, end);
	size_t from = known ? m->run_from[class] : end - 1, to = known ? m->run_to[class] : end;

	while (!known && from > 0 && end - from <= SL_DETECT_SPAN_MAX &&
	       detect_in_class(class, v.p[from - 1]))
		from--;
	while (to < v.n && to <= end + SL_DETECT_SPAN_MAX && detect_in_class(class, v.p[to]))
		to++;
	m->run_from[class] = from;
	m->run_to[class] = to;
	m->runs = (m->runs & ~(1u << class)) | (uint32_t)detect_in_class(class, v.p[end - 1]) << class;
	s->from = end - from > max + 1 ? end - max - 1 : from;
	s->to = to > end + max + 1 ? end + max + 1 : to;
}

static bool find_expr(const struct detector *d, const struct form *f, struct sl_span v, size_t end,
                      struct sl_detect_memo *m, struct sl_detect_spot *s)
{
	size_t max = f->max != 0 ? f->max : SL_DETECT_SPAN_MAX;
	uint32_t detector = (uint32_t)(d - detect_table);

	*s = (struct sl_detect_spot){end - 1, end};
	if (f->ends == ENDS_MISSES && m->missed == detector && end > m->missed_from && end <= m->missed_to)
		return false;
	if (f->ends == ENDS_RUN)
		run_of(f->bytes, v, end, max, m, s);
	if (d->narrow != NULL && !d->narrow(v, end, s)) {
		if (f->ends == ENDS_MISSES && s->to > end) {
			m->missed = detector;
			m->missed_from = end;
			m->missed_to = s->to;
		}
		return false;
	}
	if (s->to - s->from < f->min || s->to - s->from > max)
		return d->narrow != NULL && f->max == 0 && s->to > s->from;
	return d->check == NULL || d->check((const char *)v.p + s->from, s->to - s->from);
}

/* ---- words ---- */

uint32_t sl_detect_letters(struct sl_span text)
{
	uint32_t letters = 0;
	bool inside = false;

	for (size_t i = 0; i < text.n; i++) {
		bool alpha = is_alpha(text.p[i]);

		if (alpha && !inside)
			letters |= 1u << ((text.p[i] | 0x20) - 'a');
		inside = alpha;
	}
	return letters;
}

bool sl_detect_has_word(struct sl_span text, struct sl_span w)
{
	const char *word = (const char *)w.p;
	size_t n = w.n;

	for (size_t i = 0; i + n <= text.n; i++) {
		size_t k = 0;

		if (i > 0 && is_alpha(text.p[i - 1]))
			continue;
		while (k < n &&
		       (word[k] == ' ' ? !is_alnum(text.p[i + k]) : (text.p[i + k] | 0x20) == word[k]))
			k++;
		if (k == n && (i + n == text.n || !is_alpha(text.p[i + n])))
			return true;
	}
	return false;
}

static bool in_context(const char *words, struct sl_span v, size_t from, struct sl_span column,
                       struct sl_detect_memo *m)
{
	size_t back = from < SL_DETECT_CONTEXT_MAX ? from : SL_DETECT_CONTEXT_MAX;
	struct sl_span before = sl_span(v.p + from - back, back);

	if (!m->has_column)
		m->column_letters = sl_detect_letters(column);
	if (!m->has_before || m->before_to != from)
		m->before_letters = sl_detect_letters(before);
	m->has_column = m->has_before = true;
	m->before_to = from;
	for (const char *w = words; w != NULL && *w != '\0';) {
		size_t n = strcspn(w, "|");

		if ((sl_detect_may_have(m->column_letters, w) && sl_detect_has_word(column, sl_span(w, n))) ||
		    (sl_detect_may_have(m->before_letters, w) && sl_detect_has_word(before, sl_span(w, n))))
			return true;
		w += n + (w[n] == '|');
	}
	return false;
}

bool sl_detect_check(uint32_t detector, uint32_t form, struct sl_span value, size_t end,
                     struct sl_span column, struct sl_detect_memo *memo, struct sl_detect_spot *out)
{
	const struct detector *d = &detect_table[detector];
	const struct form *f = &d->forms[form];
	struct sl_detect_spot s = {0, 0};

	if (end == 0 || end > value.n)
		return false;
	if (!(f->shape != NULL ? find_shape(d, f, value, end, memo, &s)
	                       : find_expr(d, f, value, end, memo, &s)))
		return false;
	if (f->weak && !in_context(d->context, value, s.from, column, memo))
		return false;
	*out = s;
	return true;
}
