/*
 * The data of a COPY to the client under masks: text, CSV and binary as PostgreSQL 15 writes them (manual,
 * COPY, "File Formats"). Its bytes are one stream, whatever messages they come in. Each message is read
 * whole; a masked field that ends in it is judged and edited in place, and one that goes on in the next
 * message is held back until it is whole. All else passes by reference.
 *
 * Nothing of the state moves past the end of a field before that field was judged, so that SL_AGAIN needs no
 * undoing.
 */
#include "pg_priv.h"

static const uint8_t signature[11] = {'P', 'G', 'C', 'O', 'P', 'Y', '\n', 0xff, '\r', '\n', 0};

void pg_copy_free(struct pg *d)
{
	struct pg_copy *c = d->rows.copy;

	if (c == NULL)
		return;
	pg_give(d, c->carry, c->carry_size);
	pg_give(d, c, sizeof(*c));
	d->rows.copy = NULL;
}

/* Stays so: the event of it may have had no room. */
static int malformed(struct pg *d)
{
	d->rows.copy->broken = true;
	return pg_target_broken(d, "the data of a COPY is not as its statement says");
}

/* ---- CopyOutResponse ---- */

static int parse(struct pg *d, struct sl_span b, uint16_t *nb, bool *binary)
{
	struct sl_span overall;
	uint16_t format;

	if (pg_get_bytes(&b, 1, &overall) < 0 || overall.p[0] > 1 || pg_get_16(&b, nb) < 0 ||
	    b.n != 2 * (size_t)*nb || *nb > PG_COLUMNS_MAX)
		return SL_E_PROTO_TARGET;
	*binary = overall.p[0] == 1;
	for (uint16_t i = 0; i < *nb; i++) {
		(void)pg_get_16(&b, &format);
		if (format != overall.p[0])
			return SL_E_PROTO_TARGET;
		d->tmp->meta.columns[i] = (struct sl_column){.format = overall.p[0]};
	}
	return SL_OK;
}

/* The formats that the decoder can read back. */
static bool readable(const struct sl_copy *f)
{
	if (f->binary)
		return true;
	if (f->delimiter == '\0' || f->delimiter == '\n' || f->delimiter == '\r' ||
	    f->null_n > SL_COPY_NULL_MAX)
		return false;
	if (!f->csv)
		return f->delimiter != '\\';
	return f->quote != '\0' && f->escape != '\0' && f->quote != f->delimiter && f->quote != '\n' &&
	       f->escape != '\n' && f->escape != f->delimiter;
}

static bool begin(struct pg *d, uint16_t nb, const struct sl_copy *format)
{
	struct pg_rows *r = &d->rows;

	pg_rows_keep(d, nb);
	r->nb_columns = nb;
	if (r->nb_wanted == 0)
		return !r->refused;
	r->copy = pg_take(d, sizeof(*r->copy));
	if (r->copy == NULL || !readable(format))
		return false;
	*r->copy = (struct pg_copy){.format = *format};
	r->copy->format.kept = SL_SPAN_EMPTY;
	r->copy->state = format->binary ? PG_COPY_BINARY : PG_COPY_START;
	r->copy->header = format->header && !format->binary;
	return true;
}

int pg_copy_describe(struct pg *d, const struct pg_msg *m, const struct pg_entry *e)
{
	struct sl_copy format = {0};
	struct sl_verdict v;
	uint16_t nb;
	int rc;

	if (parse(d, m->body, &nb, &format.binary) < 0)
		return pg_target_broken(d, "malformed CopyOutResponse");
	if (d->keep != NULL && d->keep->cmd == e->cmd)
		format.kept = sl_span(d->keep->bytes, d->keep->n);
	rc = pg_rows_meta(d, nb, &format, e, &v);
	if (rc != SL_OK)
		return rc;
	pg_rows_reset(d);
	if (v.action != SL_ACT_ALLOW)
		return pg_rows_refuse(d, "this COPY cannot be masked", &v.reason);
	if (!begin(d, nb, &format))
		return pg_rows_refuse(d, "this COPY cannot be masked", NULL);
	return SL_OK;
}

/* ---- one field ---- */

static bool wanted(const struct pg_rows *r)
{
	return !r->copy->header && r->next < r->nb_wanted && r->mask->wanted[r->next].index == r->col;
}

/* Its bytes, in the message or, when it began in an earlier one, in tmp. */
static bool whole_field(struct pg *d, const struct pg_msg *m, struct sl_span *raw)
{
	struct pg_copy *c = d->rows.copy;
	struct sl_span part = sl_span(m->all.p + c->start, d->rows.off - c->start);

	*raw = part;
	if (c->carry_n == 0)
		return part.n <= PG_COPY_TMP;
	if (part.n > PG_COPY_TMP - c->carry_n)
		return false;
	memcpy(d->tmp->bytes, c->carry, c->carry_n);
	if (part.n > 0)
		memcpy(d->tmp->bytes + c->carry_n, part.p, part.n);
	*raw = sl_span(d->tmp->bytes, c->carry_n + part.n);
	return true;
}

static bool is_null(const struct pg_copy *c, struct sl_span raw)
{
	return raw.n == c->format.null_n && (raw.n == 0 || memcmp(raw.p, c->format.null, raw.n) == 0);
}

/* Backslash sequences of the text format that the target writes. */
static uint8_t unescaped(uint8_t b)
{
	switch (b) {
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	case 'v':
		return '\v';
	default:
		return b;
	}
}

/* The value that a field of the text formats stands for; it may lie in tmp, in place of the field. */
static struct sl_span decoded(struct pg *d, struct sl_span raw)
{
	const struct sl_copy *f = &d->rows.copy->format;
	bool quoted = f->csv && raw.n >= 2 && raw.p[0] == f->quote;
	size_t n = 0;

	if (f->csv ? !quoted : raw.n == 0 || memchr(raw.p, '\\', raw.n) == NULL)
		return raw;
	for (size_t i = quoted, end = raw.n - quoted; i < end; i++) {
		uint8_t b = raw.p[i];

		if (!f->csv && b == '\\' && i + 1 < end)
			b = unescaped(raw.p[++i]);
		else if (f->csv && b == f->escape && i + 1 < end &&
		         (raw.p[i + 1] == f->quote || raw.p[i + 1] == f->escape))
			b = raw.p[++i];
		d->tmp->bytes[n++] = b;
	}
	return sl_span(d->tmp->bytes, n);
}

static uint8_t escaped(uint8_t b)
{
	static const char letters[] = "btnvfr"; /* 8 to 13 */

	return b >= '\b' && b <= '\r' ? (uint8_t)letters[b - '\b'] : b;
}

/* Counts when `to` is NULL. */
static size_t encode_text(const struct sl_copy *f, struct sl_span v, uint8_t *to)
{
	size_t n = 0;

	for (size_t i = 0; i < v.n; i++) {
		uint8_t b = v.p[i];
		bool special = b == '\\' || b == f->delimiter || (b >= '\b' && b <= '\r');

		if (to != NULL && special) {
			to[n] = '\\';
			to[n + 1] = escaped(b);
		} else if (to != NULL) {
			to[n] = b;
		}
		n += special ? 2 : 1;
	}
	return n;
}

static bool csv_quotes(const struct pg_copy *c, struct sl_span v)
{
	if (is_null(c, v) || sl_span_is(v, "\\."))
		return true;
	for (size_t i = 0; i < v.n; i++)
		if (v.p[i] == c->format.delimiter || v.p[i] == c->format.quote || v.p[i] == '\n' ||
		    v.p[i] == '\r' || v.p[i] == ' ')
			return true;
	return false;
}

static size_t encode_csv(const struct sl_copy *f, bool quotes, struct sl_span v, uint8_t *to)
{
	size_t n = quotes;

	if (to != NULL && quotes)
		to[0] = f->quote;
	for (size_t i = 0; i < v.n; i++) {
		if (quotes && (v.p[i] == f->quote || v.p[i] == f->escape)) {
			if (to != NULL)
				to[n] = f->escape;
			n++;
		}
		if (to != NULL)
			to[n] = v.p[i];
		n++;
	}
	if (to != NULL && quotes)
		to[n] = f->quote;
	return n + quotes;
}

static size_t encode(const struct pg_copy *c, struct sl_span v, bool quoted, uint8_t *to)
{
	const struct sl_copy *f = &c->format;

	if (f->binary) {
		if (to != NULL) {
			sl_put_be32(to, v.p == NULL ? UINT32_MAX : (uint32_t)v.n);
			if (v.p != NULL && v.n > 0)
				memcpy(to + 4, v.p, v.n);
		}
		return 4 + v.n;
	}
	if (v.p == NULL) {
		if (to != NULL)
			memcpy(to, f->null, f->null_n);
		return f->null_n;
	}
	if (!f->csv)
		return encode_text(f, v, to);
	return encode_csv(f, quoted || csv_quotes(c, v), v, to);
}

static int too_large(struct pg *d)
{
	return pg_rows_refuse(d, "the masked values of this COPY are too large for this gateway", NULL);
}

/* Puts the bytes in the place of what the message in hand has of the field. */
static int put_raw(struct pg *d, struct sl_span bytes)
{
	struct pg_copy *c = d->rows.copy;
	uint8_t *to = NULL;

	if (pg_edits_grow(d, PG_COPY_EDITS_MAX))
		to = pg_rows_edit(d, c->start, d->rows.off - c->start, bytes.n);
	if (to == NULL)
		return too_large(d);
	if (bytes.n > 0)
		memcpy(to, bytes.p, bytes.n);
	c->carry_n = 0;
	return SL_OK;
}

static int replace(struct pg *d, struct sl_span by, bool quoted)
{
	struct pg_copy *c = d->rows.copy;
	size_t n = by.n <= PG_REPLACE_BYTES ? encode(c, by, quoted, NULL) : SIZE_MAX;
	uint8_t *to = NULL;

	if (pg_edits_grow(d, PG_COPY_EDITS_MAX))
		to = pg_rows_edit(d, c->start, d->rows.off - c->start, n);
	if (to == NULL)
		return too_large(d);
	(void)encode(c, by, quoted, to);
	d->rows.masked++;
	c->carry_n = 0;
	return SL_OK;
}

/* The field that ends at `off` is whole. SL_OK: it was judged if it is wanted (drop: the result was refused).
 */
static int field_end(struct pg *d, const struct pg_msg *m, const struct pg_entry *e, bool null)
{
	struct pg_copy *c = d->rows.copy;
	struct sl_span raw, value;
	struct sl_verdict v;
	bool quoted;
	int rc;

	if (!wanted(&d->rows))
		return SL_OK;
	if (!whole_field(d, m, &raw))
		return too_large(d);
	if (!c->format.binary)
		null = is_null(c, raw);
	if (null)
		return c->carry_n > 0 ? put_raw(d, raw) : SL_OK;
	quoted = c->format.csv && raw.n > 0 && raw.p[0] == c->format.quote;
	value = c->format.binary ? sl_span_sub(raw, 4, raw.n) : decoded(d, raw);
	rc = pg_rows_field(d, d->rows.next, value, 0, e, &v);
	if (rc != SL_OK)
		return rc;
	if (v.action == SL_ACT_REPLACE)
		return replace(d, v.replace, quoted);
	if (v.action != SL_ACT_ALLOW)
		return pg_rows_refuse(d, "a value of this COPY cannot be masked", &v.reason);
	if (c->carry_n == 0)
		return SL_OK;
	(void)whole_field(d, m, &raw); /* decoded() may have written over it */
	return put_raw(d, raw);
}

/* The message ends within a masked field: what it has of it stays here. */
static int hold_back(struct pg *d, const struct pg_msg *m)
{
	struct pg_copy *c = d->rows.copy;
	uint32_t n = m->size - c->start;

	if (n == 0)
		return SL_OK;
	if (n > PG_COPY_CARRY_MAX - c->carry_n)
		return too_large(d);
	if (c->carry == NULL) {
		c->carry = pg_take(d, PG_COPY_CARRY_MAX);
		c->carry_size = c->carry != NULL ? PG_COPY_CARRY_MAX : 0;
	}
	if (c->carry == NULL || !pg_edits_grow(d, PG_COPY_EDITS_MAX) ||
	    pg_rows_edit(d, c->start, n, 0) == NULL)
		return too_large(d);
	memcpy(c->carry + c->carry_n, m->all.p + c->start, n);
	c->carry_n += n;
	return SL_OK;
}

/* ---- text and CSV ---- */

enum sees {
	SEES_IN, /* a byte of the field */
	SEES_FIELD,
	SEES_ROW,
	SEES_BAD,
};

static enum sees sees_end(const struct sl_copy *f, uint8_t b)
{
	return b == '\n' ? SEES_ROW : b == f->delimiter ? SEES_FIELD : SEES_IN;
}

static enum sees see_text(const struct pg_copy *c, uint8_t b, enum pg_copy_state *next)
{
	*next = PG_COPY_PLAIN;
	if (c->state == PG_COPY_BACKSLASH)
		return SEES_IN;
	if (b == '\\')
		*next = PG_COPY_BACKSLASH;
	return sees_end(&c->format, b);
}

static enum sees see_csv(const struct pg_copy *c, uint8_t b, enum pg_copy_state *next)
{
	const struct sl_copy *f = &c->format;

	switch (c->state) {
	case PG_COPY_START:
		*next = b == f->quote ? PG_COPY_QUOTED : PG_COPY_PLAIN;
		return sees_end(f, b);
	case PG_COPY_QUOTED:
		*next = b == f->escape ? PG_COPY_ESCAPE : b == f->quote ? PG_COPY_CLOSED : PG_COPY_QUOTED;
		return SEES_IN;
	case PG_COPY_ESCAPE:
		*next = PG_COPY_QUOTED;
		if (b == f->quote || b == f->escape || f->escape != f->quote)
			return SEES_IN;
		return sees_end(f, b) == SEES_IN ? SEES_BAD : sees_end(f, b);
	case PG_COPY_CLOSED:
		return sees_end(f, b) == SEES_IN ? SEES_BAD : sees_end(f, b);
	default:
		*next = PG_COPY_PLAIN;
		return b == f->quote ? SEES_BAD : sees_end(f, b);
	}
}

static int judge_text(struct pg *d, const struct pg_msg *m, const struct pg_entry *e)
{
	struct pg_rows *r = &d->rows;
	struct pg_copy *c = r->copy;
	enum pg_copy_state next = PG_COPY_START;
	enum sees sees;
	int rc;

	while (r->off < m->size) {
		uint8_t b = m->all.p[r->off];
		bool last = r->col + 1 == r->nb_columns;

		sees = c->format.csv ? see_csv(c, b, &next) : see_text(c, b, &next);
		if (sees == SEES_IN) {
			c->state = next;
			r->off++;
			continue;
		}
		if (sees == SEES_BAD || last != (sees == SEES_ROW))
			return malformed(d);
		rc = field_end(d, m, e, false);
		if (rc != SL_OK || d->drop)
			return rc;
		r->next = last ? 0 : (uint16_t)(r->next + wanted(r));
		r->col = last ? 0 : (uint16_t)(r->col + 1);
		c->header = c->header && !last;
		c->state = PG_COPY_START;
		c->start = ++r->off;
	}
	return wanted(r) ? hold_back(d, m) : SL_OK;
}

/* ---- binary ---- */

/* Collects a number of n bytes. False: the message ends before. */
static bool collect(struct pg_rows *r, const struct pg_msg *m, uint8_t n)
{
	struct pg_copy *c = r->copy;

	while (c->word_n < n && r->off < m->size)
		c->word[c->word_n++] = m->all.p[r->off++];
	if (c->word_n < n)
		return false;
	c->word_n = 0;
	return true;
}

static int binary_header(struct pg *d, const struct pg_msg *m)
{
	struct pg_copy *c = d->rows.copy;

	if (!collect(&d->rows, m, PG_COPY_HEAD))
		return SL_OK;
	if (memcmp(c->word, signature, sizeof(signature)) != 0 || sl_get_be32(c->word + 11) != 0)
		return malformed(d);
	c->left = sl_get_be32(c->word + 15);
	c->state = PG_COPY_EXTENSION;
	return SL_OK;
}

static void binary_extension(struct pg_rows *r, const struct pg_msg *m)
{
	uint32_t n = m->size - r->off;

	n = n < r->copy->left ? n : r->copy->left;
	r->off += n;
	r->copy->left -= n;
	if (r->copy->left == 0)
		r->copy->state = PG_COPY_TUPLE;
}

static int binary_tuple(struct pg *d, const struct pg_msg *m)
{
	struct pg_rows *r = &d->rows;
	uint16_t nb;

	if (!collect(r, m, 2))
		return SL_OK;
	nb = sl_get_be16(r->copy->word);
	if (nb != UINT16_MAX && nb != r->nb_columns)
		return malformed(d);
	r->copy->state = nb == UINT16_MAX ? PG_COPY_END : PG_COPY_LENGTH;
	return SL_OK;
}

static void binary_next(struct pg_rows *r)
{
	bool last = r->col + 1 == r->nb_columns;

	r->next = last ? 0 : (uint16_t)(r->next + wanted(r));
	r->col = last ? 0 : (uint16_t)(r->col + 1);
	r->copy->state = last ? PG_COPY_TUPLE : PG_COPY_LENGTH;
}

static int binary_length(struct pg *d, const struct pg_msg *m, const struct pg_entry *e)
{
	struct pg_rows *r = &d->rows;
	struct pg_copy *c = r->copy;
	uint32_t n;
	int rc;

	if (c->word_n == 0)
		c->start = r->off;
	if (!collect(r, m, 4))
		return SL_OK;
	n = sl_get_be32(c->word);
	if (n > INT32_MAX && n != UINT32_MAX)
		return malformed(d);
	c->left = n;
	c->state = PG_COPY_VALUE;
	if (n != UINT32_MAX)
		return SL_OK;
	rc = field_end(d, m, e, true);
	if (rc == SL_OK)
		binary_next(r);
	return rc;
}

static int binary_value(struct pg *d, const struct pg_msg *m, const struct pg_entry *e)
{
	struct pg_rows *r = &d->rows;
	uint32_t n = m->size - r->off;
	int rc;

	n = n < r->copy->left ? n : r->copy->left;
	r->off += n;
	r->copy->left -= n;
	if (r->copy->left > 0)
		return SL_OK;
	rc = field_end(d, m, e, false);
	if (rc == SL_OK && !d->drop)
		binary_next(r);
	return rc;
}

static int binary_step(struct pg *d, const struct pg_msg *m, const struct pg_entry *e)
{
	switch (d->rows.copy->state) {
	case PG_COPY_BINARY:
		return binary_header(d, m);
	case PG_COPY_EXTENSION:
		binary_extension(&d->rows, m);
		return SL_OK;
	case PG_COPY_TUPLE:
		return binary_tuple(d, m);
	case PG_COPY_LENGTH:
		return binary_length(d, m, e);
	case PG_COPY_VALUE:
		return binary_value(d, m, e);
	default:
		return malformed(d);
	}
}

static int judge_binary(struct pg *d, const struct pg_msg *m, const struct pg_entry *e)
{
	struct pg_rows *r = &d->rows;
	struct pg_copy *c = r->copy;
	int rc;

	while (r->off < m->size ||
	       ((c->state == PG_COPY_VALUE || c->state == PG_COPY_EXTENSION) && c->left == 0)) {
		rc = binary_step(d, m, e);
		if (rc != SL_OK || d->drop)
			return rc;
	}
	if (wanted(r) && ((c->state == PG_COPY_LENGTH && c->word_n > 0) || c->state == PG_COPY_VALUE))
		return hold_back(d, m);
	return SL_OK;
}

/* ---- a message ---- */

bool pg_copy_whole(const struct pg *d)
{
	const struct pg_copy *c = d->rows.copy;

	if (c == NULL)
		return true;
	return c->carry_n == 0 && c->word_n == 0 && d->rows.col == 0 &&
	       (c->state == PG_COPY_START || c->state == PG_COPY_TUPLE || c->state == PG_COPY_END);
}

int pg_copy_judge(struct pg *d, const struct pg_msg *m, const struct pg_entry *e)
{
	struct pg_rows *r = &d->rows;
	int rc;

	if (r->copy->broken)
		return malformed(d);
	if (!r->judging) {
		r->judging = true;
		r->nb_edits = r->used = 0;
		r->off = r->copy->start = PG_HEADER;
	}
	rc = r->copy->format.binary ? judge_binary(d, m, e) : judge_text(d, m, e);
	if (rc != SL_OK)
		return rc;
	if (d->drop) {
		d->t_skip = m->size;
		return SL_OK;
	}
	return pg_rows_out(d, m);
}
