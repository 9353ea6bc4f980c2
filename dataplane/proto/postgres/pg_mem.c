/*
 * Blocks of the flow's: what is only needed for a while, or by few sessions. Everything that is taken here is
 * named in pg_free_all().
 */
#include "pg_priv.h"

#define GROW 4 /* how much larger the next block is */

void *pg_take(struct pg *d, size_t bytes)
{
	return d->io.take(d->io.ctx, bytes);
}

void pg_give(struct pg *d, void *p, size_t bytes)
{
	if (p != NULL)
		d->io.give(d->io.ctx, p, bytes);
}

/* ---- the queue ---- */

static void queue_move(struct pg *d, struct pg_entry *to, uint32_t size)
{
	for (uint32_t i = d->q_head; i != d->q_tail; i++)
		to[i & (size - 1)] = *pg_queue_at(d, i);
	if (d->queue != d->own_queue)
		pg_give(d, d->queue, d->q_size * sizeof(*d->queue));
	d->queue = to;
	d->q_size = size;
}

bool pg_queue_ready(struct pg *d)
{
	uint32_t size = d->q_size * GROW;
	struct pg_entry *to;

	if (pg_queue_n(d) + PG_QUEUE_SLACK <= d->q_size)
		return true;
	if (d->q_size == PG_QUEUE_MAX)
		return false;
	if (size > PG_QUEUE_MAX)
		size = PG_QUEUE_MAX;
	to = pg_take(d, size * sizeof(*to));
	if (to == NULL)
		return false;
	queue_move(d, to, size);
	return true;
}

/* ---- names ---- */

bool pg_names_grow(struct pg *d, struct pg_names *t)
{
	uint32_t nb = t->nb == 0 ? PG_NAMED_FIRST : t->nb * GROW;
	struct pg_named *v;

	if (t->nb == t->max)
		return false;
	if (nb > t->max)
		nb = t->max;
	v = pg_take(d, nb * sizeof(*v));
	if (v == NULL)
		return false;
	memset(v, 0, nb * sizeof(*v));
	if (t->nb > 0)
		memcpy(v, t->v, t->nb * sizeof(*v));
	pg_give(d, t->v, t->nb * sizeof(*v));
	t->v = v;
	t->nb = (uint16_t)nb;
	return true;
}

static void names_trim(struct pg *d, struct pg_names *t)
{
	if (t->nb <= PG_NAMED_FIRST)
		return;
	for (uint16_t i = 0; i < t->nb; i++)
		if (t->v[i].used)
			return;
	pg_give(d, t->v, t->nb * sizeof(*t->v));
	t->v = NULL;
	t->nb = 0;
}

void pg_trim(struct pg *d)
{
	if (d->queue != d->own_queue && pg_queue_n(d) == 0)
		queue_move(d, d->own_queue, PG_QUEUE_OWN);
	names_trim(d, &d->stmts);
	names_trim(d, &d->portals);
	if (d->keep != NULL && (d->judged == PG_J_NONE || d->judged_cmd != d->keep->cmd))
		pg_keep_free(d);
}

/* ---- rows under a mask ---- */

bool pg_row_grow(struct pg *d, uint32_t need)
{
	struct pg_rows *r = &d->rows;
	uint32_t size = r->replaced_size == 0 ? PG_REPLACE_FIRST : r->replaced_size;
	uint8_t *to;

	while (size < need)
		size *= GROW;
	if (size > PG_REPLACE_BYTES)
		size = PG_REPLACE_BYTES;
	to = pg_take(d, size);
	if (to == NULL)
		return false;
	if (r->used > 0)
		memcpy(to, r->replaced, r->used);
	pg_give(d, r->replaced, r->replaced_size);
	r->replaced = to;
	r->replaced_size = size;
	return true;
}

void pg_row_free(struct pg *d)
{
	struct pg_rows *r = &d->rows;

	pg_give(d, r->edits, r->edits_max * sizeof(*r->edits));
	pg_give(d, r->replaced, r->replaced_size);
	r->edits = NULL;
	r->edits_max = 0;
	r->replaced = NULL;
	r->replaced_size = r->used = 0;
}

void pg_mask_free(struct pg *d)
{
	if (d->rows.mask != NULL)
		pg_give(d, d->rows.mask, d->rows.mask->bytes);
	d->rows.mask = NULL;
	d->rows.nb_wanted = 0;
}

bool pg_edits_grow(struct pg *d, uint32_t max)
{
	struct pg_rows *r = &d->rows;
	uint32_t nb = r->edits_max == 0 ? r->nb_wanted + 1u : r->edits_max * 2;
	struct pg_edit *to;

	if (r->nb_edits < r->edits_max)
		return true;
	if (r->edits_max >= max)
		return false;
	to = pg_take(d, nb * sizeof(*to));
	if (to == NULL)
		return false;
	if (r->nb_edits > 0)
		memcpy(to, r->edits, r->nb_edits * sizeof(*to));
	pg_give(d, r->edits, r->edits_max * sizeof(*to));
	r->edits = to;
	r->edits_max = nb;
	return true;
}

/* ---- what verdicts give to keep ---- */

void pg_keep_free(struct pg *d)
{
	if (d->keep != NULL)
		pg_give(d, d->keep, sizeof(*d->keep) + d->keep->n);
	d->keep = NULL;
}

bool pg_keep(struct pg *d, uint64_t cmd, struct sl_span bytes)
{
	for (uint32_t i = d->q_head; d->keep != NULL && i != d->q_tail; i++)
		if (pg_queue_at(d, i)->cmd == d->keep->cmd)
			return false;
	if (bytes.n > SL_KEEP_MAX)
		return false;
	pg_keep_free(d);
	d->keep = pg_take(d, sizeof(*d->keep) + bytes.n);
	if (d->keep == NULL)
		return false;
	d->keep->cmd = cmd;
	d->keep->n = (uint32_t)bytes.n;
	memcpy(d->keep->bytes, bytes.p, bytes.n);
	return true;
}

/* ---- the end ---- */

void pg_start_free(struct pg *d)
{
	pg_give(d, d->start, sizeof(*d->start));
	d->start = NULL;
}

static void names_free(struct pg *d, struct pg_names *t)
{
	for (uint16_t i = 0; i < t->nb; i++) {
		if (t->v[i].used)
			pg_text_unref(d, t->v[i].text);
	}
	pg_give(d, t->v, t->nb * sizeof(*t->v));
	t->v = NULL;
	t->nb = 0;
}

void pg_free_all(struct pg *d)
{
	pg_start_free(d);
	pg_key_free(d);
	pg_row_free(d);
	pg_mask_free(d);
	pg_copy_free(d);
	pg_keep_free(d);
	for (uint16_t i = 0; i < PG_SAYS_MAX; i++)
		if (d->says[i] != NULL)
			pg_say_free(d, i);
	names_free(d, &d->portals);
	names_free(d, &d->stmts);
	if (d->queue != d->own_queue)
		pg_give(d, d->queue, d->q_size * sizeof(*d->queue));
	d->queue = d->own_queue;
	d->q_size = PG_QUEUE_OWN;
	d->q_head = d->q_tail = 0;
}
