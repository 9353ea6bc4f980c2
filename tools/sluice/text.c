#include "text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#define CELL_WIDTH_MAX 60
#define BELOW_INDENT   "    "
#define PIECE_MAX      16 /* bytes of one character as it is shown */

/*
 * One UTF-8 character: its bytes, 0 when what stands there is not one (RFC 3629: no overlong forms, no
 * surrogates).
 */
static size_t utf8_take(struct sl_span s, size_t at, uint32_t *cp)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	uint8_t c = s.p[at];
	size_t n = c < 0x80             ? 1
	           : (c & 0xe0) == 0xc0 ? 2
	           : (c & 0xf0) == 0xe0 ? 3
	           : (c & 0xf8) == 0xf0 ? 4
	                                : 0;

	if (n == 0 || n > s.n - at)
		return 0;
	*cp = n == 1 ? c : c & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((s.p[at + i] & 0xc0) != 0x80)
			return 0;
		*cp = *cp << 6 | (s.p[at + i] & 0x3fu);
	}
	if (*cp < least[n] || *cp > 0x10ffff || (*cp >= 0xd800 && *cp <= 0xdfff))
		return 0;
	return n;
}

/* Characters that a reader does not see, or that change what is seen around them. */
static bool hidden(uint32_t cp)
{
	static const struct {
		uint32_t from, to;
	} ranges[] = {
	        {0x00, 0x1f},     {0x7f, 0x9f},        {0xad, 0xad},     {0x61c, 0x61c},   {0x115f, 0x1160},
	        {0x180e, 0x180e}, {0x200b, 0x200f},    {0x2028, 0x202e}, {0x2060, 0x206f}, {0x3164, 0x3164},
	        {0xfe00, 0xfe0f}, {0xfeff, 0xfeff},    {0xffa0, 0xffa0}, {0xfff0, 0xfffb}, {0xe0000, 0xe0fff},
	        {0xe000, 0xf8ff}, {0xf0000, 0x10ffff},
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		if (cp >= ranges[i].from && cp <= ranges[i].to)
			return true;
	}
	return false;
}

/* The next character as it is shown; *n is its length. Returns the bytes of s that it stands for. */
static size_t piece(struct sl_span s, size_t at, char out[PIECE_MAX], size_t *columns)
{
	uint32_t cp = 0;
	size_t n = utf8_take(s, at, &cp);

	if (n == 0)
		snprintf(out, PIECE_MAX, "\\x%02x", s.p[at]);
	else if (cp == '\n' || cp == '\t' || cp == '\r')
		snprintf(out, PIECE_MAX, "\\%c", cp == '\n' ? 'n' : cp == '\t' ? 't' : 'r');
	else if (cp < 0xa0 && hidden(cp))
		snprintf(out, PIECE_MAX, "\\x%02x", cp);
	else if (hidden(cp))
		snprintf(out, PIECE_MAX, "\\u{%x}", cp);
	else {
		memcpy(out, s.p + at, n);
		out[n] = '\0';
		*columns = 1;
		return n;
	}
	*columns = strlen(out);
	return n == 0 ? 1 : n;
}

size_t text_line(FILE *out, struct sl_span s, size_t width)
{
	size_t columns = 0, wide = 0;
	char shown[PIECE_MAX];

	if (width > 0 && width < 4)
		width = 4;
	for (size_t at = 0; at < s.n; columns += wide) {
		size_t n = piece(s, at, shown, &wide), ignored;
		char next[PIECE_MAX];

		/* Room for "..." is kept unless this is the last character and it fits. */
		if (width > 0 && columns + wide > width - 3 && (at + n < s.n || columns + wide > width)) {
			bool fits = columns + wide <= width;

			for (size_t k = at + n, c = columns + wide; fits && k < s.n; c += ignored) {
				k += piece(s, k, next, &ignored);
				fits = c + ignored <= width;
			}
			if (!fits) {
				if (out != NULL)
					fputs("...", out);
				return columns + 3;
			}
		}
		if (out != NULL)
			fputs(shown, out);
		at += n;
	}
	return columns;
}

char *text_clean(struct sl_span s, size_t width)
{
	char *p = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&p, &n);

	if (f == NULL)
		return NULL;
	text_line(f, s, width);
	return fclose(f) == 0 ? p : NULL;
}

void text_block(FILE *out, const char *indent, struct sl_span s, size_t max)
{
	size_t left = s.n > max ? s.n - max : 0;

	s.n -= left;
	while (s.n > 0 && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r') && left == 0)
		s.n--;
	for (size_t at = 0; at < s.n || at == 0;) {
		const uint8_t *end = at < s.n ? memchr(s.p + at, '\n', s.n - at) : NULL;
		size_t n = end == NULL ? s.n - at : (size_t)(end - (s.p + at));

		fputs(indent, out);
		if (n > 0)
			text_line(out, sl_span(s.p + at, s.p[at + n - 1] == '\r' ? n - 1 : n), 0);
		fputc('\n', out);
		at += n + 1;
	}
	if (left > 0)
		fprintf(out, "%s[%zu more bytes]\n", indent, left);
}

const char *text_time(uint64_t us, char out[TIME_STR_MAX])
{
	time_t t = (time_t)(us / 1000000);
	struct tm tm;

	if (us == 0 || localtime_r(&t, &tm) == NULL ||
	    strftime(out, TIME_STR_MAX, "%Y-%m-%dT%H:%M:%S%z", &tm) == 0)
		snprintf(out, TIME_STR_MAX, "-");
	return out;
}

const char *text_bytes(uint64_t n, char out[TIME_STR_MAX])
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
	double v = (double)n / 1024;
	size_t u = 0;

	if (n < 1024) {
		snprintf(out, TIME_STR_MAX, "%llu B", (unsigned long long)n);
		return out;
	}
	for (; v >= 1024 && u + 1 < sizeof(units) / sizeof(units[0]); u++)
		v /= 1024;
	snprintf(out, TIME_STR_MAX, "%.1f %s", v, units[u]);
	return out;
}

/* ---- tables ---- */

struct cell {
	char *text;
	char *below; /* a line below the row that this cell ends; NULL: none */
};

struct table {
	const char *const *heads;
	unsigned int nb;
	struct cell *cell;
	size_t nb_cells, cap;
};

struct table *table_new(const char *const *heads, unsigned int nb)
{
	struct table *t = calloc(1, sizeof(*t));

	if (t != NULL)
		*t = (struct table){.heads = heads, .nb = nb};
	return t;
}

/* Takes the string. What does not fit into memory any more is left out: the table ends there. */
static void add(struct table *t, char *s)
{
	if (t != NULL && s != NULL && t->nb_cells == t->cap) {
		size_t cap = t->cap == 0 ? 64 : 2 * t->cap;
		struct cell *cell = reallocarray(t->cell, cap, sizeof(*cell));

		if (cell != NULL) {
			t->cell = cell;
			t->cap = cap;
		}
	}
	if (t == NULL || s == NULL || t->nb_cells == t->cap) {
		free(s);
		return;
	}
	t->cell[t->nb_cells++] = (struct cell){.text = s};
}

void table_span(struct table *t, struct sl_span s)
{
	add(t, text_clean(s, CELL_WIDTH_MAX));
}

void table_text(struct table *t, const char *s)
{
	table_span(t, sl_span_str(s == NULL || s[0] == '\0' ? "-" : s));
}

void table_fmt(struct table *t, const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) >= 0)
		add(t, s);
	va_end(ap);
}

void table_below(struct table *t, const char *s)
{
	struct cell *last;

	if (t == NULL || t->nb_cells == 0 || t->nb_cells % t->nb != 0)
		return;
	last = &t->cell[t->nb_cells - 1];
	free(last->below);
	last->below = text_clean(sl_span_str(s), 0);
}

static size_t columns_of(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void print_cell(FILE *out, const char *s, size_t width, bool last)
{
	size_t n = columns_of(s);

	fputs(s, out);
	for (; !last && n < width + 2; n++)
		fputc(' ', out);
	if (last)
		fputc('\n', out);
}

void table_print(const struct table *t, FILE *out)
{
	size_t *width;

	if (t == NULL || (width = calloc(t->nb, sizeof(*width))) == NULL)
		return;
	for (unsigned int c = 0; c < t->nb; c++)
		width[c] = strlen(t->heads[c]);
	for (size_t i = 0; i < t->nb_cells; i++) {
		size_t n = columns_of(t->cell[i].text);

		if (n > width[i % t->nb])
			width[i % t->nb] = n;
	}
	for (unsigned int c = 0; c < t->nb; c++)
		print_cell(out, t->heads[c], width[c], c + 1 == t->nb);
	for (size_t i = 0; i < t->nb_cells; i++) {
		print_cell(out, t->cell[i].text, width[i % t->nb], (i + 1) % t->nb == 0);
		if (t->cell[i].below != NULL)
			fprintf(out, "%s%s\n", BELOW_INDENT, t->cell[i].below);
	}
	free(width);
}

void table_free(struct table *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->nb_cells; i++) {
		free(t->cell[i].text);
		free(t->cell[i].below);
	}
	free(t->cell);
	free(t);
}
