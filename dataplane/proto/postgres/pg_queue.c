/*
 * The replies that the client still expects, in order. Replies of the target take the head; what the gateway
 * says itself waits in the queue for its turn.
 */
#include "pg_priv.h"

_Static_assert((PG_QUEUE_MAX & (PG_QUEUE_MAX - 1)) == 0, "the ring's indices wrap at a power of two");

struct pg_entry *pg_queue_at(const struct pg *d, uint32_t i)
{
	return &d->queue[i & (d->q_size - 1)];
}

uint32_t pg_queue_n(const struct pg *d)
{
	return d->q_tail - d->q_head;
}

struct pg_entry *pg_queue_head(struct pg *d)
{
	return pg_queue_n(d) > 0 ? pg_queue_at(d, d->q_head) : NULL;
}

/* pg_queue_ready() has made sure of PG_QUEUE_SLACK. */
struct pg_entry *pg_queue_push(struct pg *d, enum pg_reply kind, uint64_t cmd, uint32_t mark)
{
	struct pg_entry *e = pg_queue_at(d, d->q_tail++);

	*e = (struct pg_entry){.kind = (uint8_t)kind, .slot = PG_NO_SLOT, .cmd = cmd, .mark = mark};
	return e;
}

void pg_queue_pop(struct pg *d)
{
	d->q_head++;
	d->got_t = false;
	d->got_error = false;
	d->got_reply = false;
}

bool pg_queue_has_sync(const struct pg *d)
{
	for (uint32_t i = d->q_head; i != d->q_tail; i++)
		if (pg_queue_at(d, i)->kind == PG_Q_SYNC)
			return true;
	return false;
}

bool pg_queue_has_ready(const struct pg *d)
{
	for (uint32_t i = d->q_head; i != d->q_tail; i++) {
		uint8_t kind = pg_queue_at(d, i)->kind;

		if (kind == PG_Q_SYNC || kind == PG_Q_SIMPLE || kind == PG_Q_FUNCTION)
			return true;
	}
	return false;
}

int pg_result(struct pg *d, const struct sl_ev_result *r, const struct pg_entry *e)
{
	struct sl_event ev = {.kind = SL_EV_RESULT, .result = *r};
	struct sl_verdict v;

	if (e->cmd == 0)
		return SL_OK;
	return pg_event_for(d, e, &ev, &v);
}

static int result_skipped(struct pg *d, const struct pg_entry *e)
{
	struct sl_ev_result r = {.failed = true};

	if (e->cmd == d->failed_cmd)
		return SL_OK; /* its failure is what the others are skipped for */
	r.message = SL_SPAN_LIT("not run: something before it in the pipeline failed");
	if (e->flags & PG_QF_DENIED) {
		const struct pg_say *s = d->says[e->slot];

		r.local = true;
		r.sqlstate = sl_span_str(s->sqlstate);
		r.message = sl_span(s->message, s->message_n);
	}
	return pg_result(d, &r, e);
}

/* The target drops this one without an answer. */
static int skip(struct pg *d, struct pg_entry *e)
{
	struct pg_named *portal = e->kind == PG_Q_EXECUTE ? pg_portal_at(d, e->slot, e->seq) : NULL;
	int rc = SL_OK;

	if ((e->flags & PG_QF_DENIED) || e->kind == PG_Q_EXECUTE || e->kind == PG_Q_SIMPLE ||
	    e->kind == PG_Q_FUNCTION)
		rc = result_skipped(d, e);
	if (rc != SL_OK)
		return rc;
	if (e->flags & PG_QF_DENIED)
		pg_say_free(d, e->slot);
	else if (e->kind == PG_Q_PARSE)
		pg_stmt_fail(d, e->slot, e->seq);
	else if (e->kind == PG_Q_BIND)
		pg_portal_fail(d, e->slot, e->seq);
	else if (portal != NULL)
		portal->running = false;
	pg_queue_pop(d);
	return SL_OK;
}

static int notice(struct pg *d, struct pg_entry *e)
{
	int rc = SL_OK;

	if (!d->q_skip && !d->drop)
		rc = pg_write_say(d, 'N', "NOTICE", d->says[e->slot]);
	if (rc < 0)
		return rc;
	pg_say_free(d, e->slot);
	pg_queue_pop(d);
	return SL_OK;
}

int pg_pump(struct pg *d)
{
	struct pg_entry *e;
	int rc;

	while ((e = pg_queue_head(d)) != NULL) {
		if (e->kind == PG_Q_NOTICE) {
			if (!pg_client_free(d))
				return SL_OK;
			if (d->io.room(d->io.ctx, SL_CLIENT) < SL_DEC_ROOM_MIN)
				return SL_AGAIN;
			rc = notice(d, e);
		} else if (d->q_skip && e->kind != PG_Q_SYNC) {
			rc = skip(d, e);
		} else {
			d->q_skip = false;
			return SL_OK;
		}
		if (rc != SL_OK)
			return rc;
	}
	if (d->q_skip) {
		/* No Sync is on its way: what the client sends before it would be dropped by the target too.
		 */
		d->q_skip = false;
		d->discard = true;
		d->discard_local = false;
	}
	return SL_OK;
}
