/*
 * Statements and portals. The target alone decides what a name means: a Parse may fail, or be dropped because
 * something before it failed. So a new one stands beside the old one of its name, pending, until the target's
 * reply says which one holds; and a Bind that names a statement which is pending from an earlier segment
 * waits (pg_client.c). Inside one segment it need not: when that Parse does not come to be, neither does the
 * Bind.
 */
#include "pg_priv.h"

static bool name_is(const struct pg_named *e, struct sl_span name)
{
	return e->used && e->name_n == name.n && (name.n == 0 || memcmp(e->name, name.p, name.n) == 0);
}

uint16_t pg_find(const struct pg_named *tab, uint32_t n, struct sl_span name)
{
	uint16_t best = PG_NO_SLOT;

	for (uint32_t i = 0; i < n; i++) {
		if (!name_is(&tab[i], name))
			continue;
		if (best == PG_NO_SLOT || (int32_t)(tab[i].seq - tab[best].seq) > 0)
			best = (uint16_t)i;
	}
	return best;
}

uint16_t pg_stmt_find(const struct pg *d, struct sl_span name)
{
	return pg_find(d->stmts, PG_STMTS_MAX, name);
}

uint16_t pg_portal_find(const struct pg *d, struct sl_span name)
{
	return pg_find(d->portals, PG_PORTALS_MAX, name);
}

static uint16_t free_slot(const struct pg_named *tab, uint32_t n, bool *waiting)
{
	*waiting = false;
	for (uint32_t i = 0; i < n; i++) {
		if (!tab[i].used)
			return (uint16_t)i;
		if (tab[i].pending)
			*waiting = true;
	}
	return PG_NO_SLOT;
}

uint16_t pg_stmt_free_slot(const struct pg *d, bool *waiting)
{
	return free_slot(d->stmts, PG_STMTS_MAX, waiting);
}

uint16_t pg_portal_free_slot(const struct pg *d, bool *waiting)
{
	return free_slot(d->portals, PG_PORTALS_MAX, waiting);
}

/* ---- texts ---- */

static size_t text_size(const struct pg_text *t)
{
	return t->n + 4u * t->nb_types;
}

/*
 * Closes the gaps. Run only when the end is reached and gaps are what is missing, so its cost is spread over
 * as many bytes of new text as it frees. Texts without a byte have nothing to move: their offset means
 * nothing.
 */
static void text_compact(struct pg *d)
{
	uint32_t at = 0, from = 0;

	for (;;) {
		uint16_t i = PG_NO_SLOT;
		struct pg_text *t;

		for (uint16_t k = 0; k < PG_TEXTS_MAX; k++)
			if (d->texts[k].refs > 0 && text_size(&d->texts[k]) > 0 && d->texts[k].off >= from &&
			    (i == PG_NO_SLOT || d->texts[k].off < d->texts[i].off))
				i = k;
		if (i == PG_NO_SLOT)
			break;
		t = &d->texts[i];
		from = t->off + (uint32_t)text_size(t);
		memmove(d->text_bytes + at, d->text_bytes + t->off, text_size(t));
		t->off = at;
		at += (uint32_t)text_size(t);
	}
	d->text_used = at;
}

uint16_t pg_text_keep(struct pg *d, struct sl_span sql, struct sl_span types)
{
	size_t need = sql.n + types.n;
	uint16_t i = 0;
	struct pg_text *t;

	while (i < PG_TEXTS_MAX && d->texts[i].refs > 0)
		i++;
	if (i == PG_TEXTS_MAX || need > PG_TEXT_BYTES - d->text_live)
		return PG_NO_SLOT;
	if (need > PG_TEXT_BYTES - d->text_used)
		text_compact(d);
	t = &d->texts[i];
	t->off = need > 0 ? d->text_used : 0;
	t->n = (uint32_t)sql.n;
	t->nb_types = (uint16_t)(types.n / 4);
	t->refs = 1;
	if (sql.n > 0)
		memcpy(d->text_bytes + t->off, sql.p, sql.n);
	if (types.n > 0)
		memcpy(d->text_bytes + t->off + sql.n, types.p, types.n);
	d->text_used += (uint32_t)need;
	d->text_live += (uint32_t)need;
	return i;
}

void pg_text_ref(struct pg *d, uint16_t text)
{
	d->texts[text].refs++;
}

void pg_text_unref(struct pg *d, uint16_t text)
{
	struct pg_text *t = &d->texts[text];

	if (--t->refs > 0)
		return;
	d->text_live -= (uint32_t)text_size(t);
	if (d->text_live == 0)
		d->text_used = 0;
	else if (t->off + text_size(t) == d->text_used)
		d->text_used = t->off;
}

struct sl_span pg_text_sql(const struct pg *d, uint16_t text)
{
	return sl_span(d->text_bytes + d->texts[text].off, d->texts[text].n);
}

uint32_t pg_text_type(const struct pg *d, uint16_t text, uint32_t i)
{
	const struct pg_text *t = &d->texts[text];

	return i < t->nb_types ? sl_get_be32(d->text_bytes + t->off + t->n + 4 * (size_t)i) : 0;
}

/* ---- both tables ---- */

static void make(struct pg *d, struct pg_named *e, struct sl_span name, uint16_t text)
{
	memset(e, 0, sizeof(*e));
	e->used = true;
	e->pending = true;
	e->name_n = (uint8_t)name.n;
	if (name.n > 0)
		memcpy(e->name, name.p, name.n);
	e->text = text;
	e->seq = ++d->seq;
	e->seg = d->seg;
}

static void drop(struct pg *d, struct pg_named *e)
{
	pg_text_unref(d, e->text);
	e->used = false;
	e->pending = false;
}

static void drop_older(struct pg *d, struct pg_named *tab, uint32_t n, const struct pg_named *than)
{
	struct sl_span name = sl_span(than->name, than->name_n);

	for (uint32_t i = 0; i < n; i++)
		if (name_is(&tab[i], name) && (int32_t)(tab[i].seq - than->seq) < 0)
			drop(d, &tab[i]);
}

static struct pg_named *at(struct pg_named *tab, uint32_t n, uint16_t slot, uint32_t seq)
{
	if (slot >= n || !tab[slot].used || tab[slot].seq != seq)
		return NULL;
	return &tab[slot];
}

static void confirm(struct pg *d, struct pg_named *tab, uint32_t n, uint16_t slot, uint32_t seq)
{
	struct pg_named *e = at(tab, n, slot, seq);

	if (e == NULL)
		return;
	e->pending = false;
	drop_older(d, tab, n, e);
}

static void fail(struct pg *d, struct pg_named *tab, uint32_t n, uint16_t slot, uint32_t seq)
{
	struct pg_named *e = at(tab, n, slot, seq);

	if (e != NULL)
		drop(d, e);
}

static void close_name(struct pg *d, struct pg_named *tab, uint32_t n, uint16_t slot, uint32_t seq)
{
	struct pg_named *e = at(tab, n, slot, seq);

	if (e == NULL)
		return;
	drop_older(d, tab, n, e);
	drop(d, e);
}

void pg_stmt_make(struct pg *d, uint16_t slot, struct sl_span name, uint16_t text)
{
	make(d, &d->stmts[slot], name, text);
}

void pg_portal_make(struct pg *d, uint16_t slot, struct sl_span name, uint16_t text, uint64_t cmd)
{
	pg_text_ref(d, text);
	make(d, &d->portals[slot], name, text);
	d->portals[slot].cmd = cmd;
}

void pg_stmt_confirm(struct pg *d, uint16_t slot, uint32_t seq)
{
	confirm(d, d->stmts, PG_STMTS_MAX, slot, seq);
}

void pg_portal_confirm(struct pg *d, uint16_t slot, uint32_t seq)
{
	confirm(d, d->portals, PG_PORTALS_MAX, slot, seq);
}

void pg_stmt_fail(struct pg *d, uint16_t slot, uint32_t seq)
{
	fail(d, d->stmts, PG_STMTS_MAX, slot, seq);
}

void pg_portal_fail(struct pg *d, uint16_t slot, uint32_t seq)
{
	fail(d, d->portals, PG_PORTALS_MAX, slot, seq);
}

void pg_stmt_close(struct pg *d, uint16_t slot, uint32_t seq)
{
	close_name(d, d->stmts, PG_STMTS_MAX, slot, seq);
}

void pg_portal_close(struct pg *d, uint16_t slot, uint32_t seq)
{
	close_name(d, d->portals, PG_PORTALS_MAX, slot, seq);
}

void pg_portals_end(struct pg *d, uint32_t seg)
{
	for (uint32_t i = 0; i < PG_PORTALS_MAX; i++)
		if (d->portals[i].used && !d->portals[i].pending && (int32_t)(d->portals[i].seg - seg) <= 0)
			drop(d, &d->portals[i]);
}

void pg_stmts_forget(struct pg *d)
{
	for (uint32_t i = 0; i < PG_STMTS_MAX; i++)
		if (d->stmts[i].used && !d->stmts[i].pending && d->stmts[i].name_n > 0)
			drop(d, &d->stmts[i]);
}
