#include "pg_render.h"

#include <stdlib.h>

#include "text.h"

#define HEADER_BYTES 5 /* type and length */

struct column {
	char *name;
	bool binary;
};

struct pg_render {
	FILE *out;
	const char *indent;
	unsigned long rows_max;

	/* The message at hand, when its bytes came in parts. */
	uint8_t *msg;
	size_t nb_msg, cap;
	uint64_t skip;   /* bytes of a message too large to be read, still to come */
	uint64_t unread; /* bytes counted and not yet reported */
	bool lost;       /* out of step: only a gap in the records or their end brings it back */

	/* The result at hand. */
	struct column column[PG_RENDER_SHOWN_MAX];
	unsigned int nb_columns, nb_all; /* shown; and how many there are */
	bool described;                  /* by RowDescription */
	char **cell;                     /* rows_shown * nb_columns */
	size_t nb_cells, cell_cap;
	unsigned long nb_rows, nb_shown;
	uint64_t copy_lines;
};

/* A reader over one message's body; once it fails it stays failed. */
struct body {
	struct sl_span s;
	bool bad;
};

static struct sl_span take(struct body *b, size_t n)
{
	struct sl_span got;

	if (b->bad || n > b->s.n) {
		b->bad = true;
		return SL_SPAN_EMPTY;
	}
	got = sl_span(b->s.p, n);
	b->s = sl_span(b->s.p + n, b->s.n - n);
	return got;
}

static uint16_t take16(struct body *b)
{
	struct sl_span s = take(b, 2);

	return b->bad ? 0 : sl_get_be16(s.p);
}

static uint32_t take32(struct body *b)
{
	struct sl_span s = take(b, 4);

	return b->bad ? 0 : sl_get_be32(s.p);
}

static struct sl_span take_string(struct body *b)
{
	const uint8_t *end = b->bad || b->s.n == 0 ? NULL : memchr(b->s.p, 0, b->s.n);
	struct sl_span s;

	if (end == NULL) {
		b->bad = true;
		return SL_SPAN_EMPTY;
	}
	s = take(b, (size_t)(end - b->s.p));
	(void)take(b, 1);
	return s;
}

struct pg_render *pg_render_new(FILE *out, const char *indent, unsigned long rows_max)
{
	struct pg_render *r = calloc(1, sizeof(*r));

	if (r != NULL) {
		r->out = out;
		r->indent = indent;
		r->rows_max = rows_max;
	}
	return r;
}

static void report_unread(struct pg_render *r)
{
	if (r->unread > 0)
		fprintf(r->out, "%s[%llu bytes]\n", r->indent, (unsigned long long)r->unread);
	r->unread = 0;
}

/* ---- rows ---- */

static void clear_columns(struct pg_render *r)
{
	for (unsigned int i = 0; i < r->nb_columns; i++)
		free(r->column[i].name);
	r->nb_columns = 0;
	r->nb_all = 0;
	r->described = false;
}

static void clear_rows(struct pg_render *r)
{
	for (size_t i = 0; i < r->nb_cells; i++)
		free(r->cell[i]);
	r->nb_cells = 0;
	r->nb_rows = 0;
	r->nb_shown = 0;
}

static size_t columns_of(const char *s)
{
	size_t n = 0;

	for (; s != NULL && *s != '\0'; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void pad(FILE *out, const char *s, size_t width, bool last)
{
	size_t n = columns_of(s);

	fprintf(out, " %s", s == NULL ? "" : s);
	if (last)
		return;
	for (; n < width; n++)
		fputc(' ', out);
	fputs(" |", out);
}

static void print_rule(struct pg_render *r, const size_t *width)
{
	fputs(r->indent, r->out);
	for (unsigned int c = 0; c < r->nb_columns; c++) {
		for (size_t i = 0; i < width[c] + 2; i++)
			fputc('-', r->out);
		if (c + 1 < r->nb_columns)
			fputc('+', r->out);
	}
	fputc('\n', r->out);
}

static void print_rows(struct pg_render *r)
{
	size_t width[PG_RENDER_SHOWN_MAX] = {0};

	for (unsigned int c = 0; c < r->nb_columns; c++)
		width[c] = columns_of(r->column[c].name);
	for (size_t i = 0; i < r->nb_cells; i++) {
		size_t n = columns_of(r->cell[i]);

		if (n > width[i % r->nb_columns])
			width[i % r->nb_columns] = n;
	}
	fputs(r->indent, r->out);
	for (unsigned int c = 0; c < r->nb_columns; c++)
		pad(r->out, r->column[c].name, width[c], c + 1 == r->nb_columns);
	fputc('\n', r->out);
	print_rule(r, width);
	for (size_t i = 0; i < r->nb_cells; i++) {
		unsigned int c = (unsigned int)(i % r->nb_columns);

		if (c == 0)
			fputs(r->indent, r->out);
		pad(r->out, r->cell[i], width[c], c + 1 == r->nb_columns);
		if (c + 1 == r->nb_columns)
			fputc('\n', r->out);
	}
}

/* The result is complete, or something else comes: shows the rows gathered. */
static void end_rows(struct pg_render *r)
{
	if (r->nb_columns > 0 && (r->described || r->nb_shown > 0))
		print_rows(r);
	if (r->nb_all > r->nb_columns)
		fprintf(r->out, "%s[%u more columns]\n", r->indent, r->nb_all - r->nb_columns);
	if (r->nb_rows > r->nb_shown)
		fprintf(r->out, "%s[%lu more rows]\n", r->indent, r->nb_rows - r->nb_shown);
	if (r->copy_lines > r->rows_max)
		fprintf(r->out, "%s[%llu more COPY messages]\n", r->indent,
		        (unsigned long long)(r->copy_lines - r->rows_max));
	r->copy_lines = 0;
	clear_rows(r);
	clear_columns(r);
}

static void set_columns(struct pg_render *r, unsigned int nb)
{
	r->nb_all = nb;
	r->nb_columns = nb < PG_RENDER_SHOWN_MAX ? nb : PG_RENDER_SHOWN_MAX;
	for (unsigned int i = 0; i < r->nb_columns; i++)
		r->column[i] = (struct column){.name = NULL};
}

static bool on_row_description(struct pg_render *r, struct body *b)
{
	uint16_t nb = take16(b);

	end_rows(r);
	if (nb > PG_RENDER_COLUMNS_MAX)
		return false;
	set_columns(r, nb);
	r->described = true;
	for (unsigned int i = 0; i < nb && !b->bad; i++) {
		struct sl_span name = take_string(b);

		(void)take(b, 4 + 2 + 4 + 2 + 4); /* table, attribute, type, size, modifier */
		if (i < r->nb_columns) {
			r->column[i].name = text_clean(name, PG_RENDER_CELL_MAX);
			r->column[i].binary = take16(b) == 1;
		} else {
			(void)take16(b);
		}
	}
	return !b->bad && b->s.n == 0;
}

/* Rows of a statement that was described in an earlier round trip: the columns have no names here. */
static void unnamed_columns(struct pg_render *r, unsigned int nb)
{
	set_columns(r, nb);
	for (unsigned int i = 0; i < r->nb_columns; i++) {
		char name[32];

		snprintf(name, sizeof(name), "column %u", i + 1);
		r->column[i].name = strdup(name);
	}
}

static char *show_value(struct sl_span v, bool binary)
{
	char hex[2 + PG_RENDER_CELL_MAX + 4] = "\\x";
	size_t n = v.n < PG_RENDER_CELL_MAX / 2 ? v.n : PG_RENDER_CELL_MAX / 2;

	if (!binary)
		return text_clean(v, PG_RENDER_CELL_MAX);
	for (size_t i = 0; i < n; i++)
		snprintf(hex + 2 + 2 * i, 3, "%02x", v.p[i]);
	if (v.n > n)
		memcpy(hex + 2 + 2 * n, "...", 4);
	return strdup(hex);
}

static bool cells_room(struct pg_render *r)
{
	size_t cap = r->cell_cap == 0 ? 64 : r->cell_cap * 2;
	char **cell;

	if (r->nb_cells + r->nb_columns <= r->cell_cap)
		return true;
	while (cap < r->nb_cells + r->nb_columns)
		cap *= 2;
	cell = reallocarray(r->cell, cap, sizeof(*cell));
	if (cell == NULL)
		return false;
	r->cell = cell;
	r->cell_cap = cap;
	return true;
}

static bool on_data_row(struct pg_render *r, struct body *b)
{
	uint16_t nb = take16(b);
	bool show;

	if (nb > PG_RENDER_COLUMNS_MAX || b->bad)
		return false;
	if (r->nb_all != nb) {
		end_rows(r);
		unnamed_columns(r, nb);
	}
	show = r->nb_shown < r->rows_max && r->nb_columns > 0 && cells_room(r);
	r->nb_rows++;
	r->nb_shown += show ? 1 : 0;
	for (unsigned int i = 0; i < nb; i++) {
		uint32_t n = take32(b);
		struct sl_span v = n == UINT32_MAX ? SL_SPAN_EMPTY : take(b, n);

		if (show && i < r->nb_columns)
			r->cell[r->nb_cells++] = n == UINT32_MAX || b->bad
			                                 ? strdup(b->bad ? "?" : "NULL")
			                                 : show_value(v, r->column[i].binary);
	}
	return !b->bad && b->s.n == 0;
}

/* ---- the other messages ---- */

static bool on_complete(struct pg_render *r, struct body *b)
{
	struct sl_span tag = take_string(b);

	end_rows(r);
	if (b->bad || b->s.n > 0)
		return false;
	fputs(r->indent, r->out);
	text_line(r->out, tag, 0);
	fputc('\n', r->out);
	return true;
}

static void field_line(struct pg_render *r, const char *name, struct sl_span v)
{
	if (v.n == 0)
		return;
	fprintf(r->out, "%s%s: ", r->indent, name);
	text_line(r->out, v, 0);
	fputc('\n', r->out);
}

/* ErrorResponse and NoticeResponse: fields of a type byte and a string, then a zero. */
static bool on_notice(struct pg_render *r, struct body *b)
{
	struct sl_span severity = SL_SPAN_EMPTY, code = severity, message = severity, detail = severity,
	               hint = severity;

	end_rows(r);
	for (;;) {
		struct sl_span type = take(b, 1), v;

		if (b->bad)
			return false;
		if (type.p[0] == 0)
			break;
		v = take_string(b);
		switch (type.p[0]) {
		case 'S':
			severity = v;
			break;
		case 'C':
			code = v;
			break;
		case 'M':
			message = v;
			break;
		case 'D':
			detail = v;
			break;
		case 'H':
			hint = v;
			break;
		default:
			break;
		}
	}
	if (b->s.n > 0)
		return false;
	fputs(r->indent, r->out);
	text_line(r->out, severity, 20);
	fputc(' ', r->out);
	text_line(r->out, code, 12);
	fputs(": ", r->out);
	text_line(r->out, message, 0);
	fputc('\n', r->out);
	field_line(r, "DETAIL", detail);
	field_line(r, "HINT", hint);
	return true;
}

static bool on_notification(struct pg_render *r, struct body *b)
{
	struct sl_span channel, payload;

	(void)take32(b);
	channel = take_string(b);
	payload = take_string(b);
	if (b->bad || b->s.n > 0)
		return false;
	fprintf(r->out, "%snotification on ", r->indent);
	text_line(r->out, channel, 0);
	fputs(": ", r->out);
	text_line(r->out, payload, 0);
	fputc('\n', r->out);
	return true;
}

static bool on_copy_data(struct pg_render *r, struct body *b)
{
	struct sl_span line = b->s;

	if (r->copy_lines++ >= r->rows_max)
		return true;
	if (line.n > 0 && line.p[line.n - 1] == '\n')
		line.n--;
	fputs(r->indent, r->out);
	text_line(r->out, line, 0);
	fputc('\n', r->out);
	return true;
}

static bool on_copy_begin(struct pg_render *r, struct body *b, const char *what)
{
	end_rows(r);
	(void)b;
	fprintf(r->out, "%s%s\n", r->indent, what);
	return true;
}

/* One whole message. False: its body is not what its type says. */
static bool on_message(struct pg_render *r, uint8_t type, struct sl_span bytes)
{
	struct body b = {.s = bytes};

	switch (type) {
	case 'T':
		return on_row_description(r, &b);
	case 'D':
		return on_data_row(r, &b);
	case 'C':
		return on_complete(r, &b);
	case 'E':
	case 'N':
		return on_notice(r, &b);
	case 'A':
		return on_notification(r, &b);
	case 'd':
		return on_copy_data(r, &b);
	case 'G':
		return on_copy_begin(r, &b, "[COPY from the caller]");
	case 'H':
		return on_copy_begin(r, &b, "[COPY to the caller]");
	case 'W':
		return on_copy_begin(r, &b, "[COPY both ways]");
	case 's':
		return on_copy_begin(r, &b, "[more rows on request]");
	case 'c': /* CopyDone */
	case 'I': /* EmptyQueryResponse */
	case 'Z': /* ReadyForQuery */
		end_rows(r);
		return true;
	case '1': /* ParseComplete */
	case '2': /* BindComplete */
	case '3': /* CloseComplete */
	case 'n': /* NoData */
	case 't': /* ParameterDescription */
	case 'S': /* ParameterStatus */
	case 'K': /* BackendKeyData */
	case 'R': /* Authentication */
		return true;
	default:
		return false;
	}
}

static void message(struct pg_render *r, uint8_t type, struct sl_span body)
{
	if (on_message(r, type, body))
		return;
	r->unread += HEADER_BYTES + body.n;
	report_unread(r);
}

/* A backend message's type is a letter or a digit. What claims to be another is not one: the stream is out of
 * step. */
static bool header_sound(const uint8_t *p)
{
	bool letter =
	        (p[0] >= 'A' && p[0] <= 'Z') || (p[0] >= 'a' && p[0] <= 'z') || (p[0] >= '0' && p[0] <= '9');
	uint32_t n = sl_get_be32(p + 1);

	return letter && n >= 4 && n <= INT32_MAX;
}

/* Keeps bytes of a message that is not whole. */
static void keep(struct pg_render *r, struct sl_span s)
{
	if (s.n == 0)
		return;
	if (r->nb_msg + s.n > r->cap) {
		size_t cap = r->nb_msg + s.n > 4096 ? 2 * (r->nb_msg + s.n) : 4096;
		uint8_t *p = realloc(r->msg, cap);

		if (p == NULL) {
			r->unread += r->nb_msg + s.n;
			r->nb_msg = 0;
			r->lost = true;
			return;
		}
		r->msg = p;
		r->cap = cap;
	}
	memcpy(r->msg + r->nb_msg, s.p, s.n);
	r->nb_msg += s.n;
}

/* Takes bytes into the message at hand until it has `want`; false when they are too few. */
static bool fill(struct pg_render *r, struct sl_span *s, size_t want)
{
	size_t need = want > r->nb_msg ? want - r->nb_msg : 0, n = need < s->n ? need : s->n;

	keep(r, sl_span(s->p, n));
	*s = sl_span(s->p + n, s->n - n);
	return r->nb_msg >= want;
}

/* One step: a header, a body, or bytes that are only counted. False when all was used up. */
static bool step(struct pg_render *r, struct sl_span *s)
{
	uint64_t n;

	if (r->lost) {
		r->unread += s->n;
		return false;
	}
	if (r->skip > 0) {
		n = r->skip < s->n ? r->skip : s->n;
		r->skip -= n;
		r->unread += n;
		*s = sl_span(s->p + n, s->n - (size_t)n);
		if (r->skip == 0)
			report_unread(r);
		return s->n > 0;
	}
	if (!fill(r, s, HEADER_BYTES))
		return false;
	if (!header_sound(r->msg)) {
		r->unread += r->nb_msg;
		r->nb_msg = 0;
		r->lost = true;
		return true;
	}
	n = (uint64_t)sl_get_be32(r->msg + 1) + 1;
	if (n > PG_RENDER_MESSAGE_MAX) {
		end_rows(r);
		r->unread += r->nb_msg;
		r->skip = n - r->nb_msg;
		r->nb_msg = 0;
		return true;
	}
	if (!fill(r, s, (size_t)n))
		return false;
	message(r, r->msg[0], sl_span(r->msg + HEADER_BYTES, r->nb_msg - HEADER_BYTES));
	r->nb_msg = 0;
	return s->n > 0;
}

void pg_render_feed(struct pg_render *r, struct sl_span bytes)
{
	while (bytes.n > 0 && step(r, &bytes))
		;
}

void pg_render_flush(struct pg_render *r)
{
	end_rows(r);
	r->unread += r->nb_msg;
	r->nb_msg = 0;
	r->skip = 0;
	r->lost = false;
	report_unread(r);
}

void pg_render_skipped(struct pg_render *r, uint64_t n)
{
	pg_render_flush(r);
	if (n > 0)
		fprintf(r->out, "%s[%llu bytes over the recording limit]\n", r->indent,
		        (unsigned long long)n);
}

void pg_render_free(struct pg_render *r)
{
	if (r == NULL)
		return;
	pg_render_flush(r);
	free(r->cell);
	free(r->msg);
	free(r);
}
