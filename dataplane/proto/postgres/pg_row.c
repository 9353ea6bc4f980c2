/*
 * A short row under a mask, in one go: its wanted values are shown together (ROW), those that are left one by
 * one (FIELD), and when one of them is replaced the new row is put together and goes out as one piece. What
 * is long, grows long or meets a client that reads slowly goes by way of pg_rows.c.
 *
 * Nothing is kept over a call: a row that has to wait is judged again from its beginning.
 */
#include "pg_priv.h"

struct made {
	uint8_t *p;
	size_t n;
	bool full;
};

static void put(struct made *o, const uint8_t *p, size_t n)
{
	if (o->full || n > PG_SHORT_OUT - o->n) {
		o->full = true;
		return;
	}
	if (n > 0)
		memcpy(o->p + o->n, p, n);
	o->n += n;
}

/* Its wanted values, into tmp. *nb of them. */
static int split(struct pg *d, const struct pg_msg *m, uint32_t *nb)
{
	const struct pg_rows *r = &d->rows;
	const struct pg_wanted *w = r->mask->wanted;
	const char *names = (const char *)&w[r->nb_wanted];
	struct sl_span b = m->body, value;
	uint16_t columns, next = 0;
	uint32_t len;

	*nb = 0;
	if (pg_get_16(&b, &columns) < 0 || columns != r->nb_columns)
		return pg_target_broken(d, "DataRow does not match its RowDescription");
	for (uint16_t i = 0; i < columns; i++) {
		bool wanted = next < r->nb_wanted && w[next].index == i;

		if (pg_get_32(&b, &len) < 0 || (len != UINT32_MAX && pg_get_bytes(&b, len, &value) < 0))
			return pg_target_broken(d, "malformed DataRow");
		if (wanted && len != UINT32_MAX) {
			d->tmp->row.index[*nb] = next;
			d->tmp->row.values[(*nb)++] = (struct sl_row_value){
			        .want = w[next].want,
			        .column = sl_span(names + w[next].name_off, w[next].name_n),
			        .value = value,
			};
		}
		next = (uint16_t)(next + wanted);
	}
	return b.n == 0 ? SL_OK : pg_target_broken(d, "malformed DataRow");
}

static int look(struct pg *d, uint32_t nb, const struct pg_entry *e)
{
	struct sl_event ev = {.kind = SL_EV_ROW};
	struct sl_verdict v;

	if (!d->rows.look || nb == 0)
		return SL_OK;
	ev.row.values = d->tmp->row.values;
	ev.row.nb = nb;
	return pg_event_for(d, e, &ev, &v);
}

/* The row up to the value, and what takes its place. *from: behind it. */
static void replace(struct made *o, struct sl_span row, size_t *from, struct sl_span value, struct sl_span by)
{
	size_t at = (size_t)(value.p - row.p);
	uint8_t len[4];

	sl_put_be32(len, by.p == NULL ? UINT32_MAX : (uint32_t)by.n);
	put(o, row.p + *from, at - sizeof(len) - *from);
	put(o, len, sizeof(len));
	if (by.p != NULL)
		put(o, by.p, by.n);
	*from = at + value.n;
}

/* *masked values were replaced, and o has the row. SL_OK; or the result was refused: drop is set. */
static int judge(struct pg *d, const struct pg_msg *m, const struct pg_entry *e, uint32_t nb, struct made *o,
                 uint32_t *masked)
{
	const struct sl_row_value *values = d->tmp->row.values;
	struct sl_verdict v;
	size_t from = 0;
	int rc;

	for (uint32_t i = 0; i < nb && !o->full; i++) {
		if (values[i].clean)
			continue;
		rc = pg_rows_field(d, d->tmp->row.index[i], values[i].value, values[i].seen, e, &v);
		if (rc != SL_OK)
			return rc;
		if (v.action == SL_ACT_REPLACE) {
			replace(o, m->all, &from, values[i].value, v.replace);
			++*masked;
		} else if (v.action != SL_ACT_ALLOW) {
			return pg_rows_refuse(d, "a value of this result cannot be masked", &v.reason);
		}
	}
	if (*masked > 0)
		put(o, m->all.p + from, m->size - from);
	return SL_OK;
}

int pg_row_short(struct pg *d, const struct pg_msg *m, const struct pg_entry *e, bool *done)
{
	struct pg_rows *r = &d->rows;
	struct made o = {.p = d->tmp->row.out};
	uint32_t nb, masked = 0;
	int rc;

	if (m->size > PG_SHORT_ROW || d->io.room(d->io.ctx, SL_CLIENT) < PG_SHORT_OUT)
		return SL_OK;
	*done = true;
	rc = split(d, m, &nb);
	if (rc == SL_OK)
		rc = look(d, nb, e);
	if (rc == SL_OK)
		rc = judge(d, m, e, nb, &o, &masked);
	if (rc != SL_OK)
		return rc;
	*done = !o.full;
	if (o.full)
		return SL_OK;
	if (d->drop || masked > 0)
		d->t_skip = m->size;
	else
		d->t_left = m->size;
	if (d->drop)
		return SL_OK;
	r->metered = false;
	r->rows++;
	r->masked += masked;
	r->bytes += masked > 0 ? o.n : m->size;
	if (masked == 0)
		return SL_OK;
	sl_put_be32(o.p + 1, (uint32_t)(o.n - 1));
	return pg_add(d, SL_CLIENT, o.p, o.n);
}
