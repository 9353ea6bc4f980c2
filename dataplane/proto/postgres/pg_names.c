/*
 * Statements and portals. The target alone decides what a name means: a Parse may fail, or be dropped because
 * something before it failed. So a new one stands beside the old one of its name, pending, until the target's
 * reply says which one holds; and a Bind that names a statement which is pending from an earlier segment
 * waits (pg_client.c). Inside one segment it need not: when that Parse does not come to be, neither does the
 * Bind.
 *
 * SQL shares the names: DECLARE makes a portal, and FETCH and EXECUTE are statements whose rows hang on a
 * name. A portal is not taken for the one that was bound once SQL could have opened a cursor in its place.
 * And where the cursor or statement that a FETCH or EXECUTE names may have gone or changed since, it is
 * neither described nor run: PostgreSQL describes a cursor that is not there by a NULL pointer, and sends the
 * rows of another as values of the types that the first one had.
 */
#include "pg_priv.h"

static bool name_is(const struct pg_named *e, struct sl_span name)
{
	return e->used && e->name_n == name.n && (name.n == 0 || memcmp(e->name, name.p, name.n) == 0);
}

static uint16_t find(const struct pg_names *t, struct sl_span name)
{
	uint16_t best = PG_NO_SLOT;

	for (uint16_t i = 0; i < t->nb; i++) {
		if (!name_is(&t->v[i], name))
			continue;
		if (best == PG_NO_SLOT || t->v[i].seq > t->v[best].seq)
			best = i;
	}
	return best;
}

uint16_t pg_stmt_find(const struct pg *d, struct sl_span name)
{
	return find(&d->stmts, name);
}

uint16_t pg_portal_find(const struct pg *d, struct sl_span name)
{
	return find(&d->portals, name);
}

struct pg_named *pg_stmt(const struct pg *d, uint16_t slot)
{
	return &d->stmts.v[slot];
}

struct pg_named *pg_portal(const struct pg *d, uint16_t slot)
{
	return &d->portals.v[slot];
}

static struct pg_named *at(const struct pg_names *t, uint16_t slot, uint64_t seq)
{
	if (slot >= t->nb || !t->v[slot].used || t->v[slot].seq != seq)
		return NULL;
	return &t->v[slot];
}

static uint16_t free_slot(struct pg *d, struct pg_names *t, bool *waiting)
{
	uint16_t nb = t->nb;

	*waiting = false;
	for (uint16_t i = 0; i < nb; i++) {
		if (!t->v[i].used)
			return i;
		if (t->v[i].pending)
			*waiting = true;
	}
	return pg_names_grow(d, t) ? nb : PG_NO_SLOT;
}

uint16_t pg_stmt_free_slot(struct pg *d, bool *waiting)
{
	return free_slot(d, &d->stmts, waiting);
}

uint16_t pg_portal_free_slot(struct pg *d, bool *waiting)
{
	return free_slot(d, &d->portals, waiting);
}

/* ---- texts ---- */

static size_t text_size(const struct pg_text *t)
{
	return t->n + 4u * t->nb_types;
}

struct pg_text *pg_text_keep(struct pg *d, struct sl_span sql, struct sl_span types, bool unread)
{
	size_t size = sql.n + types.n;
	struct pg_text *t;

	if (sql.n > PG_TEXT_BYTES - d->text_live || types.n > PG_TYPES_BYTES - d->types_live)
		return NULL;
	t = pg_take(d, sizeof(*t) + size);
	if (t == NULL)
		return NULL;
	t->n = (uint32_t)sql.n;
	t->nb_types = (uint16_t)(types.n / 4);
	t->refs = 1;
	t->unread = unread;
	if (sql.n > 0)
		memcpy(t->bytes, sql.p, sql.n);
	if (types.n > 0)
		memcpy(t->bytes + sql.n, types.p, types.n);
	d->text_live += (uint32_t)sql.n;
	d->types_live += (uint32_t)types.n;
	return t;
}

void pg_text_unref(struct pg *d, struct pg_text *t)
{
	if (--t->refs > 0)
		return;
	d->text_live -= t->n;
	d->types_live -= 4u * t->nb_types;
	pg_give(d, t, sizeof(*t) + text_size(t));
}

struct sl_span pg_text_sql(const struct pg_text *t)
{
	return sl_span(t->bytes, t->n);
}

uint32_t pg_text_type(const struct pg_text *t, uint32_t i)
{
	return i < t->nb_types ? sl_get_be32(t->bytes + t->n + 4 * (size_t)i) : 0;
}

static bool same_types(const struct pg_text *t, struct sl_span types)
{
	return types.n == 4u * t->nb_types &&
	       (types.n == 0 || memcmp(t->bytes + t->n, types.p, types.n) == 0);
}

/* Portals that stand already keep what they have. Where there is no room for the types they stay unknown. */
void pg_stmt_types(struct pg *d, uint16_t slot, uint64_t seq, struct sl_span types)
{
	struct pg_named *e = at(&d->stmts, slot, seq);
	struct pg_text *t;

	if (e == NULL || same_types(e->text, types))
		return;
	t = pg_text_keep(d, pg_text_sql(e->text), types, e->text->unread);
	if (t == NULL)
		return;
	pg_text_unref(d, e->text);
	e->text = t;
}

/* ---- both tables ---- */

static void make(struct pg *d, struct pg_named *e, struct sl_span name, struct pg_text *text)
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
	e->cmd = d->judged_cmd;
	e->mark = d->judged_mark;
	e->acts = d->acts;
	e->names = d->judged_names;
	e->gone = d->judged_gone;
	e->gone_seq = d->judged_gone_seq;
}

static void drop(struct pg *d, struct pg_named *e)
{
	pg_text_unref(d, e->text);
	e->text = NULL;
	e->used = false;
	e->pending = false;
}

static void drop_older(struct pg *d, struct pg_names *t, const struct pg_named *than)
{
	struct sl_span name = sl_span(than->name, than->name_n);

	for (uint16_t i = 0; i < t->nb; i++)
		if (name_is(&t->v[i], name) && t->v[i].seq < than->seq)
			drop(d, &t->v[i]);
}

struct pg_named *pg_stmt_at(const struct pg *d, uint16_t slot, uint64_t seq)
{
	return at(&d->stmts, slot, seq);
}

struct pg_named *pg_portal_at(const struct pg *d, uint16_t slot, uint64_t seq)
{
	return at(&d->portals, slot, seq);
}

static void confirm(struct pg *d, struct pg_names *t, uint16_t slot, uint64_t seq)
{
	struct pg_named *e = at(t, slot, seq);

	if (e == NULL)
		return;
	e->pending = false;
	drop_older(d, t, e);
}

static void fail(struct pg *d, struct pg_names *t, uint16_t slot, uint64_t seq)
{
	struct pg_named *e = at(t, slot, seq);

	if (e != NULL)
		drop(d, e);
}

static void close_name(struct pg *d, struct pg_names *t, uint16_t slot, uint64_t seq)
{
	struct pg_named *e = at(t, slot, seq);

	if (e == NULL)
		return;
	drop_older(d, t, e);
	drop(d, e);
}

void pg_stmt_make(struct pg *d, uint16_t slot, struct sl_span name, struct pg_text *text)
{
	make(d, pg_stmt(d, slot), name, text);
}

void pg_portal_make(struct pg *d, uint16_t slot, struct sl_span name, struct pg_text *text)
{
	text->refs++;
	make(d, pg_portal(d, slot), name, text);
}

/* Cursors can end with the segment, too: where it is a transaction. */
bool pg_stmt_stale(const struct pg *d, uint16_t slot)
{
	const struct pg_named *e = pg_stmt(d, slot);

	return (e->names & SL_NAMES_LATE) != 0 && (e->acts != d->acts || e->seg != d->seg);
}

/*
 * PostgreSQL 15 runs a Query as the portal without a name. One that fails in a transaction stays there, with
 * statements whose memory is free: an Execute would read that.
 */
bool pg_portal_stale(const struct pg *d, uint16_t slot)
{
	const struct pg_named *e = pg_portal(d, slot);

	return ((e->names & SL_NAMES_LATE) != 0 && e->acts != d->acts) ||
	       (e->name_n > 0 ? d->opened : d->queried) > e->acts;
}

/* Without a plain name there can be other statements in front of the FETCH: nothing is still as it was bound.
 */
bool pg_portals_stale(const struct pg *d, struct sl_span name)
{
	for (uint16_t i = 0; i < d->portals.nb; i++) {
		const struct pg_named *e = &d->portals.v[i];

		if (!e->used || e->name_n == 0 || (e->names & SL_NAMES_LATE) == 0)
			continue;
		if (name.n == 0 || (name_is(e, name) && e->acts != d->acts))
			return true;
	}
	return false;
}

/* Also when it is only known that there may be one. */
bool pg_stmts_fetch(const struct pg *d)
{
	for (uint16_t i = 0; i < d->stmts.nb; i++) {
		const struct pg_named *e = &d->stmts.v[i];

		if (e->used && e->name_n > 0 && (e->names & SL_NAMES_FETCH) != 0)
			return true;
	}
	return d->lost_late;
}

void pg_stmt_confirm(struct pg *d, uint16_t slot, uint64_t seq)
{
	confirm(d, &d->stmts, slot, seq);
}

void pg_portal_confirm(struct pg *d, uint16_t slot, uint64_t seq)
{
	confirm(d, &d->portals, slot, seq);
}

void pg_stmt_fail(struct pg *d, uint16_t slot, uint64_t seq)
{
	fail(d, &d->stmts, slot, seq);
}

void pg_portal_fail(struct pg *d, uint16_t slot, uint64_t seq)
{
	fail(d, &d->portals, slot, seq);
}

void pg_stmt_close(struct pg *d, uint16_t slot, uint64_t seq)
{
	close_name(d, &d->stmts, slot, seq);
}

void pg_portal_close(struct pg *d, uint16_t slot, uint64_t seq)
{
	close_name(d, &d->portals, slot, seq);
}

void pg_portals_end(struct pg *d, uint64_t seg)
{
	for (uint16_t i = 0; i < d->portals.nb; i++) {
		struct pg_named *e = &d->portals.v[i];

		if (e->used && !e->pending && e->seg <= seg)
			drop(d, e);
	}
}

/* It may live at the target. */
static void lose(struct pg *d, struct pg_named *e)
{
	if ((e->names & SL_NAMES_LATE) != 0) {
		d->lost_late = true;
		d->lost_seg = d->seg;
	}
	drop(d, e);
}

void pg_stmts_gone(struct pg *d)
{
	for (uint16_t i = 0; i < d->stmts.nb; i++) {
		struct pg_named *e = &d->stmts.v[i];

		if (e->used && !e->pending && e->name_n > 0)
			drop(d, e);
	}
}

void pg_stmts_forget(struct pg *d)
{
	for (uint16_t i = 0; i < d->stmts.nb; i++) {
		struct pg_named *e = &d->stmts.v[i];

		if (e->used && !e->pending && e->name_n > 0)
			lose(d, e);
	}
}

/* Those that have no reply yet, too: which of them holds could change what the name is again. */
void pg_stmts_taken(struct pg *d, struct sl_span name)
{
	char own[PG_NAME_MAX]; /* the name may be of a text that goes */

	if (name.n > sizeof(own))
		name.n = 0;
	if (name.n > 0)
		memcpy(own, name.p, name.n);
	name = sl_span(own, name.n);
	for (uint16_t i = 0; i < d->stmts.nb; i++) {
		struct pg_named *e = &d->stmts.v[i];

		if (e->used && e->name_n > 0 && (name.n == 0 || name_is(e, name)))
			lose(d, e);
	}
}
