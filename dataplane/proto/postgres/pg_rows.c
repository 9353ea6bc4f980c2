/*
 * Rows under a mask. RowDescription says which columns are wanted; a DataRow of such a result is read whole,
 * each wanted value is judged, and the row goes out with its replaced values and a new length. What is not
 * wanted is passed by reference.
 *
 * A result that cannot be masked is refused: an ErrorResponse takes the place of the rest of it, and the
 * target's replies are swallowed up to ReadyForQuery.
 */
#include "pg_priv.h"

void pg_rows_reset(struct pg *d)
{
	struct pg_rows *r = &d->rows;

	pg_row_free(d);
	pg_mask_free(d);
	pg_copy_free(d);
	r->have = r->refused = r->look = false;
	r->nb_columns = r->col = r->next = 0;
	r->rows = r->bytes = 0;
	r->left_rows = r->left_bytes = r->counted = 0;
	r->metered = false;
	r->masked = 0;
	r->judging = r->emitting = false;
}

static int parse_columns(struct pg *d, struct sl_span b, uint16_t *nb)
{
	uint16_t n, attr, size, format;
	uint32_t modifier;

	if (pg_get_16(&b, &n) < 0 || n > PG_COLUMNS_MAX)
		return SL_E_PROTO_TARGET;
	for (uint16_t i = 0; i < n; i++) {
		struct sl_column *c = &d->tmp->meta.columns[i];

		if (pg_get_str(&b, &c->name) < 0 || pg_get_32(&b, &c->table) < 0 ||
		    pg_get_16(&b, &attr) < 0 || pg_get_32(&b, &c->type) < 0 || pg_get_16(&b, &size) < 0 ||
		    pg_get_32(&b, &modifier) < 0 || pg_get_16(&b, &format) < 0 || format > 1)
			return SL_E_PROTO_TARGET;
		c->attr = attr;
		c->format = (uint8_t)format;
	}
	*nb = n;
	return b.n == 0 ? SL_OK : SL_E_PROTO_TARGET;
}

static size_t kept_name(const struct sl_column *c)
{
	return c->name.n < PG_NAME_MAX ? c->name.n : PG_NAME_MAX;
}

/* The block for what ROWMETA wants. NULL: too much, or no memory; 0 columns never come here. */
static struct pg_mask *mask_take(struct pg *d, uint16_t nb, uint32_t *nb_wanted)
{
	size_t names = 0, bytes;
	struct pg_mask *m;

	*nb_wanted = 0;
	for (uint16_t i = 0; i < nb; i++) {
		if (d->tmp->meta.want[i] == 0)
			continue;
		++*nb_wanted;
		names += kept_name(&d->tmp->meta.columns[i]);
	}
	if (*nb_wanted == 0 || *nb_wanted > PG_WANTED_MAX || names > PG_COLNAME_BYTES)
		return NULL;
	bytes = sizeof(*m) + *nb_wanted * sizeof(m->wanted[0]) + names;
	m = pg_take(d, bytes);
	if (m != NULL)
		m->bytes = (uint32_t)bytes;
	return m;
}

void pg_rows_keep(struct pg *d, uint16_t nb)
{
	struct pg_rows *r = &d->rows;
	uint32_t nb_wanted, k = 0;
	size_t at = 0;
	char *names;

	r->mask = mask_take(d, nb, &nb_wanted);
	if (r->mask == NULL) {
		r->refused = nb_wanted > 0;
		return;
	}
	r->nb_wanted = (uint16_t)nb_wanted;
	names = (char *)&r->mask->wanted[nb_wanted];
	for (uint16_t i = 0; i < nb; i++) {
		const struct sl_column *c = &d->tmp->meta.columns[i];
		size_t n = kept_name(c);

		if (d->tmp->meta.want[i] == 0)
			continue;
		r->mask->wanted[k++] = (struct pg_wanted){
		        .index = i,
		        .want = d->tmp->meta.want[i],
		        .attr = c->attr,
		        .table = c->table,
		        .type = c->type,
		        .format = c->format,
		        .name_off = (uint16_t)at,
		        .name_n = (uint8_t)n,
		};
		if (n > 0)
			memcpy(names + at, c->name.p, n);
		at += n;
	}
}

int pg_rows_meta(struct pg *d, uint16_t nb, struct sl_copy *copy, const struct pg_entry *e,
                 struct sl_verdict *v)
{
	struct sl_event ev = {.kind = SL_EV_ROWMETA};

	memset(d->tmp->meta.want, 0, nb * sizeof(d->tmp->meta.want[0]));
	ev.rowmeta.columns = d->tmp->meta.columns;
	ev.rowmeta.nb_columns = nb;
	ev.rowmeta.want = d->tmp->meta.want;
	ev.rowmeta.copy = copy;
	return pg_event_for(d, e, &ev, v);
}

int pg_rows_describe(struct pg *d, const struct pg_msg *m, const struct pg_entry *e)
{
	struct sl_verdict v;
	uint16_t nb;
	int rc;

	if (parse_columns(d, m->body, &nb) < 0)
		return pg_target_broken(d, "malformed RowDescription");
	rc = pg_rows_meta(d, nb, NULL, e, &v);
	if (rc != SL_OK)
		return rc;
	pg_rows_reset(d);
	d->rows.have = true;
	d->rows.nb_columns = nb;
	d->rows.look = v.look;
	pg_rows_keep(d, nb);
	/* Told when a row comes: this may be a Describe that no Execute follows. */
	d->rows.refused |= v.action != SL_ACT_ALLOW;
	return SL_OK;
}

int pg_rows_opaque(struct pg *d, const char *name, const struct pg_entry *e, bool *wanted)
{
	struct sl_verdict v;
	int rc;

	d->tmp->meta.columns[0] = (struct sl_column){.name = sl_span_str(name)};
	rc = pg_rows_meta(d, 1, NULL, e, &v);
	*wanted = rc == SL_OK && (d->tmp->meta.want[0] != 0 || v.action != SL_ACT_ALLOW);
	return rc;
}

int pg_rows_refuse(struct pg *d, const char *text, const struct sl_reason *reason)
{
	const struct pg_entry *e = pg_queue_head(d);
	struct pg_say s = {0};
	int rc;

	if (d->drop)
		return SL_OK;
	if (reason != NULL)
		pg_say_reason(&s, reason, text);
	else
		pg_say_set(&s, "42501", sl_span_str(text), SL_SPAN_EMPTY, SL_SPAN_EMPTY);
	rc = pg_write_say(d, 'E', "ERROR", &s);
	if (rc < 0)
		return rc;
	d->drop = true;
	d->rows.judging = false;
	pg_row_free(d);
	if (e != NULL && e->kind == PG_Q_EXECUTE && !pg_queue_has_sync(d)) {
		d->discard = true;
		d->discard_local = false;
	}
	return SL_OK;
}

int pg_rows_meter(struct pg *d, const struct pg_msg *m, const struct pg_entry *e)
{
	struct pg_rows *r = &d->rows;
	struct sl_event ev = {.kind = SL_EV_ROWS};
	struct sl_verdict v;
	int rc;

	if (r->metered)
		return SL_OK;
	if (r->left_rows == 0 || r->left_bytes < m->size) {
		ev.rows.rows = r->rows;
		ev.rows.bytes = r->counted;
		ev.rows.next = m->size;
		rc = pg_event_for(d, e, &ev, &v);
		if (rc != SL_OK)
			return rc;
		if (v.action != SL_ACT_ALLOW || v.rows == 0 || v.bytes < m->size) {
			d->cut = true;
			return pg_rows_refuse(d, "the result is over a limit of the policy", &v.reason);
		}
		r->left_rows = v.rows;
		r->left_bytes = v.bytes;
	}
	r->left_rows--;
	r->left_bytes -= m->size;
	r->counted += m->size;
	r->metered = true;
	return SL_OK;
}

uint32_t pg_rows_run(struct pg *d, struct sl_span b)
{
	struct pg_rows *r = &d->rows;
	uint64_t rows = 0, bytes = 0;

	while (b.n - bytes >= PG_HEADER && b.p[bytes] == 'D') {
		uint64_t size = (uint64_t)sl_get_be32(b.p + bytes + 1) + 1;

		if (size < PG_HEADER || size > b.n - bytes || rows == r->left_rows ||
		    bytes + size > r->left_bytes)
			break;
		bytes += size;
		rows++;
	}
	r->left_rows -= rows;
	r->left_bytes -= bytes;
	r->counted += bytes;
	r->rows += rows;
	r->bytes += bytes;
	return (uint32_t)bytes;
}

/* ---- one row ---- */

int pg_rows_field(struct pg *d, uint16_t place, struct sl_span value, uint16_t seen, const struct pg_entry *e,
                  struct sl_verdict *v)
{
	const struct pg_wanted *w = &d->rows.mask->wanted[place];
	const char *names = (const char *)&d->rows.mask->wanted[d->rows.nb_wanted];
	struct sl_event ev = {.kind = SL_EV_FIELD};

	ev.field.want = w->want;
	ev.field.seen = seen;
	ev.field.value = value;
	ev.field.column.name = sl_span(names + w->name_off, w->name_n);
	ev.field.column.table = w->table;
	ev.field.column.attr = w->attr;
	ev.field.column.type = w->type;
	ev.field.column.format = w->format;
	return pg_event_for(d, e, &ev, v);
}

uint8_t *pg_rows_edit(struct pg *d, uint32_t off, uint32_t del, size_t n)
{
	struct pg_rows *r = &d->rows;
	uint8_t *to;

	if (r->nb_edits >= r->edits_max || n > PG_REPLACE_BYTES || r->used > PG_REPLACE_BYTES - n)
		return NULL;
	if ((r->replaced == NULL || r->used + n > r->replaced_size) &&
	    !pg_row_grow(d, (uint32_t)(r->used + n)))
		return NULL;
	r->edits[r->nb_edits++] = (struct pg_edit){.off = off, .del = del, .at = r->used, .ins = (uint32_t)n};
	to = r->replaced + r->used;
	r->used += (uint32_t)n;
	return to;
}

/* Keeps the new value, with its length before it. False: there is no room for it. */
static bool edit(struct pg *d, uint32_t off, uint32_t len, struct sl_span by)
{
	uint8_t *to = by.n > PG_REPLACE_BYTES ? NULL : pg_rows_edit(d, off, 4 + len, 4 + by.n);

	if (to == NULL)
		return false;
	sl_put_be32(to, by.p == NULL ? UINT32_MAX : (uint32_t)by.n);
	if (by.p != NULL && by.n > 0)
		memcpy(to + 4, by.p, by.n);
	return true;
}

/* One wanted value. SL_OK: judged (or the result was refused: drop is set). */
static int judge_value(struct pg *d, struct sl_span value, const struct pg_entry *e)
{
	struct pg_rows *r = &d->rows;
	struct sl_verdict v;
	int rc = pg_rows_field(d, r->next, value, 0, e, &v);

	if (rc != SL_OK)
		return rc;
	if (v.action == SL_ACT_REPLACE) {
		if (!edit(d, r->off, (uint32_t)value.n, v.replace))
			return pg_rows_refuse(d, "the row's masked values are too large for this gateway",
			                      NULL);
	} else if (v.action != SL_ACT_ALLOW) {
		return pg_rows_refuse(d, "a value of this result cannot be masked", &v.reason);
	}
	return SL_OK;
}

static int judge_columns(struct pg *d, const struct pg_msg *m, const struct pg_entry *e)
{
	struct pg_rows *r = &d->rows;
	uint32_t len;
	int rc;

	for (; r->col < r->nb_columns; r->col++) {
		struct sl_span b = sl_span_sub(m->all, r->off, m->size), value = SL_SPAN_EMPTY;
		bool wanted = r->next < r->nb_wanted && r->mask->wanted[r->next].index == r->col;

		if (pg_get_32(&b, &len) < 0 || (len != UINT32_MAX && pg_get_bytes(&b, len, &value) < 0))
			return pg_target_broken(d, "malformed DataRow");
		if (wanted && len != UINT32_MAX) {
			rc = judge_value(d, value, e);
			if (rc != SL_OK || d->drop)
				return rc;
		}
		r->next = (uint16_t)(r->next + wanted);
		r->off += 4 + (uint32_t)value.n;
	}
	return r->off == m->size ? SL_OK : pg_target_broken(d, "malformed DataRow");
}

int pg_rows_out(struct pg *d, const struct pg_msg *m)
{
	struct pg_rows *r = &d->rows;
	uint64_t size = m->size;
	uint8_t head[PG_HEADER] = {m->type};

	r->judging = r->metered = false;
	r->rows++;
	for (uint32_t i = 0; i < r->nb_edits; i++)
		size = size + r->edits[i].ins - r->edits[i].del;
	r->bytes += size;
	if (r->nb_edits == 0) {
		pg_row_free(d);
		d->t_left = m->size;
		return SL_OK;
	}
	sl_put_be32(head + 1, (uint32_t)(size - 1));
	r->emitting = true;
	r->off = 0;
	r->edit = r->put = 0;
	r->total = m->size;
	r->skip = PG_HEADER;
	return pg_add(d, SL_CLIENT, head, sizeof(head));
}

/* The edits of a row, and room for its first new values. False: no memory now. */
static bool row_take(struct pg *d)
{
	struct pg_rows *r = &d->rows;

	r->used = 0;
	r->edits = pg_take(d, r->nb_wanted * sizeof(*r->edits));
	r->edits_max = r->edits != NULL ? r->nb_wanted : 0;
	if (r->edits != NULL && pg_row_grow(d, PG_REPLACE_FIRST))
		return true;
	pg_row_free(d);
	return false;
}

int pg_rows_judge(struct pg *d, const struct pg_msg *m, const struct pg_entry *e)
{
	struct pg_rows *r = &d->rows;
	bool done = false;
	int rc;

	if (!r->judging) {
		rc = pg_row_short(d, m, e, &done);
		if (done)
			return rc;
		if (m->body.n < 2 || sl_get_be16(m->body.p) != r->nb_columns)
			return pg_target_broken(d, "DataRow does not match its RowDescription");
		if (!row_take(d))
			return SL_AGAIN;
		r->judging = true;
		r->col = r->next = 0;
		r->nb_edits = 0;
		r->off = PG_HEADER + 2;
	}
	rc = judge_columns(d, m, e);
	if (rc != SL_OK)
		return rc;
	if (d->drop) {
		d->t_skip = m->size;
		return SL_OK;
	}
	r->masked += r->nb_edits;
	return pg_rows_out(d, m);
}

static void emit_end(struct pg *d)
{
	struct pg_rows *r = &d->rows;

	if (r->off < r->total || r->skip > 0 || r->edit < r->nb_edits)
		return;
	r->emitting = false;
	pg_row_free(d);
}

/* As much of a new value as there is room for; behind the last of it the old one is skipped. */
static int emit_edit(struct pg *d, const struct pg_edit *e, size_t room)
{
	struct pg_rows *r = &d->rows;
	uint32_t n = e->ins - r->put;
	int rc = SL_OK;

	n = n < room ? n : (uint32_t)room;
	if (n > 0)
		rc = pg_add(d, SL_CLIENT, r->replaced + e->at + r->put, n);
	r->put += n;
	if (rc != SL_OK || r->put < e->ins)
		return rc;
	r->skip = e->del;
	r->put = 0;
	r->edit++;
	emit_end(d);
	return SL_OK;
}

int pg_rows_emit(struct pg *d, struct sl_span b, size_t *used)
{
	struct pg_rows *r = &d->rows;
	const struct pg_edit *e = r->edit < r->nb_edits ? &r->edits[r->edit] : NULL;
	uint32_t end = e != NULL ? e->off : r->total;
	size_t n = b.n, room;
	int rc;

	if (r->skip > 0) {
		n = n < r->skip ? n : r->skip;
		r->skip -= (uint32_t)n;
	} else {
		room = d->io.room(d->io.ctx, SL_CLIENT);
		if (room == 0)
			return SL_AGAIN;
		if (e != NULL && r->off == end)
			return emit_edit(d, e, room);
		if (n == 0)
			return SL_MORE;
		n = n < end - r->off ? n : end - r->off;
		n = n < room ? n : room;
		rc = d->io.pass(d->io.ctx, SL_CLIENT, sl_span_sub(b, 0, n));
		if (rc < 0)
			return rc;
	}
	r->off += (uint32_t)n;
	*used = n;
	emit_end(d);
	return SL_OK;
}
