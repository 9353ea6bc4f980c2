/*
 * The target's messages in the session: each must be one that the head of the queue of expected replies
 * allows, or one of those that may come at any time.
 */
#include "pg_priv.h"

#define TAG_MAX 256

static int unexpected(struct pg *d)
{
	return pg_target_broken(d, "unexpected message of the target");
}

/* Sends the message on, unless it answers a question of our own or its result was refused. */
static int out(struct pg *d, const struct pg_msg *m, const struct pg_entry *e)
{
	if (d->drop || (e != NULL && (e->flags & PG_QF_OURS)))
		d->t_skip = m->size;
	else
		d->t_left = m->size;
	return SL_OK;
}

static void portal_ran(struct pg *d, const struct pg_entry *e, bool suspended)
{
	struct pg_named *p = pg_portal_at(d, e->slot, e->seq);

	if (p == NULL)
		return;
	p->running = false;
	p->suspended = suspended;
}

/* '1', '2', '3', 'n': no content, and done with the head. */
static int complete(struct pg *d, const struct pg_msg *m, struct pg_entry *e)
{
	if (m->size != PG_HEADER)
		return unexpected(d);
	if (m->type == '1' && e->kind == PG_Q_PARSE)
		pg_stmt_confirm(d, e->slot, e->seq);
	else if (m->type == '2' && e->kind == PG_Q_BIND)
		pg_portal_confirm(d, e->slot, e->seq);
	else if (m->type == '3' && e->kind == PG_Q_CLOSE_STMT)
		pg_stmt_close(d, e->slot, e->seq);
	else if (m->type == '3' && e->kind == PG_Q_CLOSE_PORTAL)
		pg_portal_close(d, e->slot, e->seq);
	else if (m->type == 'n' && e->kind == PG_Q_DESC_PORTAL)
		pg_rows_reset(d);
	else if (!(m->type == 'n' && e->kind == PG_Q_DESC_STMT && d->got_t))
		return unexpected(d);
	(void)out(d, m, e);
	pg_queue_pop(d);
	return SL_OK;
}

static int parameter_description(struct pg *d, const struct pg_msg *m, struct pg_entry *e)
{
	struct sl_span b = m->body;
	uint16_t nb;

	if (e->kind != PG_Q_DESC_STMT || d->got_t || m->size > PG_HEADER + 2 + 4 * PG_PARAMS_MAX)
		return unexpected(d);
	/* A larger one is not looked at: the types stay unknown. */
	if (m->size - 1 <= d->cfg.message_max) {
		if (m->all.n < m->size)
			return SL_MORE;
		if (pg_get_16(&b, &nb) < 0 || b.n != 4 * (size_t)nb)
			return pg_target_broken(d, "malformed ParameterDescription");
		pg_stmt_types(d, e->slot, e->seq, b);
	}
	d->got_t = true;
	return out(d, m, e);
}

static int row_description(struct pg *d, const struct pg_msg *m, struct pg_entry *e)
{
	int rc;

	if (e->kind == PG_Q_DESC_STMT && d->got_t) {
		(void)out(d, m, e);
		pg_queue_pop(d);
		return SL_OK;
	}
	if (e->kind != PG_Q_DESC_PORTAL && (e->kind != PG_Q_SIMPLE || d->rows.have || d->got_error))
		return unexpected(d);
	if (m->size - 1 > d->cfg.message_max)
		return pg_fatal(d, SL_TARGET, SL_E_FLOW_MESSAGE_SIZE, "54000",
		                "RowDescription larger than this gateway reads");
	if (m->all.n < m->size)
		return SL_MORE;
	rc = pg_rows_describe(d, m, e);
	if (rc != SL_OK)
		return rc;
	(void)out(d, m, e);
	if (e->kind == PG_Q_DESC_PORTAL)
		pg_queue_pop(d);
	return SL_OK;
}

static int data_row(struct pg *d, const struct pg_msg *m, struct pg_entry *e)
{
	struct pg_rows *r = &d->rows;
	int rc;

	if ((e->kind != PG_Q_SIMPLE && e->kind != PG_Q_EXECUTE) || !r->have || d->got_error)
		return unexpected(d);
	rc = d->drop || r->refused ? SL_OK : pg_rows_meter(d, m, e);
	if (rc != SL_OK)
		return rc;
	if (d->drop)
		return out(d, m, e);
	if (r->nb_wanted == 0 && !r->refused) {
		r->metered = false;
		r->rows++;
		r->bytes += m->size;
		(void)out(d, m, e);
		d->t_left += pg_rows_run(d, m->behind);
		return SL_OK;
	}
	if (r->refused || m->size - 1 > d->cfg.message_max) {
		d->t_skip = m->size;
		return pg_rows_refuse(d,
		                      r->refused ? "too many columns of this result would have to be masked"
		                                 : "a row of this result is too large to be masked",
		                      NULL);
	}
	if (m->all.n < m->size)
		return SL_MORE;
	return pg_rows_judge(d, m, e);
}

/* "COPY 12": its number, else what was counted. */
static uint64_t tag_rows(struct sl_span tag, uint64_t counted)
{
	uint64_t n = 0;

	if (tag.n < 6 || tag.n > 24 || memcmp(tag.p, "COPY ", 5) != 0)
		return counted;
	for (size_t i = 5; i < tag.n; i++) {
		if (tag.p[i] < '0' || tag.p[i] > '9')
			return counted;
		n = n * 10 + (uint64_t)(tag.p[i] - '0');
	}
	return n;
}

static int result_done(struct pg *d, const struct pg_entry *e, struct sl_span tag)
{
	struct sl_ev_result r = {
	        .tag = tag, .rows = d->rows.rows, .bytes = d->rows.bytes, .masked = d->rows.masked};

	if (!d->drop)
		r.rows = tag_rows(tag, r.rows);
	if (d->drop) {
		r.tag = SL_SPAN_EMPTY;
		r.failed = true;
		r.sqlstate = d->cut ? SL_SPAN_LIT("53400") : SL_SPAN_LIT("42501");
		r.message = d->cut ? SL_SPAN_LIT("the rest of the reply was withheld: over a limit")
		                   : SL_SPAN_LIT("the reply was withheld: it could not be masked");
	}
	return pg_result(d, &r, e);
}

/* SQL can remove statements that were made by Parse, and make others of their name: then what is known of
 * them is stale. */
static void tag_effects(struct pg *d, const struct pg_entry *e, struct sl_span tag)
{
	if (sl_span_is(tag, "DEALLOCATE")) {
		const struct pg_named *p = e->kind == PG_Q_EXECUTE ? pg_portal_at(d, e->slot, e->seq) : NULL;

		d->sql_deallocated = true;
		/* What the client has made in that place since is pending. */
		if (e->kind == PG_Q_SIMPLE && e->slot != PG_NO_SLOT && !pg_stmt(d, e->slot)->pending)
			pg_stmt_close(d, e->slot, pg_stmt(d, e->slot)->seq);
		if (p != NULL)
			pg_stmt_close(d, p->gone, p->gone_seq);
	} else if (sl_span_is(tag, "DEALLOCATE ALL") || sl_span_is(tag, "DISCARD ALL")) {
		pg_stmts_gone(d);
		if (e->kind == PG_Q_SIMPLE && d->lost_seg <= e->seq)
			d->lost_late = false;
	} else if (sl_span_is(tag, "PREPARE") && d->sql_deallocated) {
		pg_stmts_forget(d);
	}
}

/* CommandComplete, EmptyQueryResponse, PortalSuspended. */
static int command_complete(struct pg *d, const struct pg_msg *m, struct pg_entry *e)
{
	struct sl_span b = m->body, tag = SL_SPAN_EMPTY;
	int rc;

	if ((e->kind != PG_Q_SIMPLE && e->kind != PG_Q_EXECUTE) || d->copy_in || d->got_error ||
	    (m->type == 's' && e->kind != PG_Q_EXECUTE))
		return unexpected(d);
	if (m->size > PG_HEADER + TAG_MAX)
		return unexpected(d);
	if (m->all.n < m->size)
		return SL_MORE;
	if (m->type == 'C' ? pg_get_str(&b, &tag) < 0 || b.n != 0 : b.n != 0)
		return pg_target_broken(d, "malformed CommandComplete");
	rc = result_done(d, e, tag);
	if (rc != SL_OK)
		return rc;
	tag_effects(d, e, tag);
	pg_rows_reset(d);
	(void)out(d, m, e);
	if (e->kind == PG_Q_EXECUTE) {
		portal_ran(d, e, m->type == 's');
		pg_queue_pop(d);
	}
	return SL_OK;
}

/*
 * While the target reads CopyData it ignores Flush and Sync: those that the client had sent before it knew
 * get no reply. Anything else that was sent ahead would be read as a broken COPY.
 */
static int copy_in_response(struct pg *d, const struct pg_msg *m, struct pg_entry *e)
{
	if ((e->kind != PG_Q_SIMPLE && e->kind != PG_Q_EXECUTE) || d->copy_in || d->got_error || d->drop ||
	    d->discard)
		return unexpected(d);
	while (pg_queue_n(d) > 1 && pg_queue_at(d, d->q_tail - 1)->kind == PG_Q_SYNC)
		d->q_tail--;
	if (pg_queue_n(d) > 1)
		return pg_fatal(d, SL_CLIENT, SL_E_PROTO_STATE, "08P01",
		                "messages sent ahead of a COPY from stdin");
	d->copy_in = true;
	if (e->kind == PG_Q_EXECUTE)
		d->segment_up = true;
	return out(d, m, e);
}

static int copy_out_response(struct pg *d, const struct pg_msg *m, struct pg_entry *e)
{
	int rc;

	if ((e->kind != PG_Q_SIMPLE && e->kind != PG_Q_EXECUTE) || d->copy_in || d->got_error)
		return unexpected(d);
	if (m->size > PG_HEADER + 3 + 2 * PG_COLUMNS_MAX)
		return unexpected(d);
	if (m->all.n < m->size)
		return SL_MORE;
	rc = pg_copy_describe(d, m, e);
	if (rc != SL_OK)
		return rc;
	d->copy_out = true;
	return out(d, m, e);
}

static int copy_data(struct pg *d, const struct pg_msg *m, struct pg_entry *e)
{
	int rc = SL_OK;

	if (!d->copy_out)
		return unexpected(d);
	if (m->type == 'c') {
		if (!d->drop && !pg_copy_whole(d))
			return pg_target_broken(d, "the data of a COPY ends within a row");
		d->copy_out = false;
		return out(d, m, e);
	}
	if (!d->drop)
		rc = pg_rows_meter(d, m, e);
	if (rc != SL_OK)
		return rc;
	if (d->drop)
		return out(d, m, e);
	if (d->rows.copy == NULL) {
		d->rows.metered = false;
		d->rows.rows++;
		d->rows.bytes += m->size;
		return out(d, m, e);
	}
	if (m->size - 1 > d->cfg.message_max) {
		d->t_skip = m->size;
		return pg_rows_refuse(d, "a row of this COPY is too large to be masked", NULL);
	}
	return m->all.n < m->size ? SL_MORE : pg_copy_judge(d, m, e);
}

static int function_response(struct pg *d, const struct pg_msg *m, struct pg_entry *e)
{
	struct sl_ev_result r = {.tag = SL_SPAN_LIT("FUNCTION CALL")};
	bool wanted = false;
	int rc = SL_OK;

	if (e->kind != PG_Q_FUNCTION || d->got_reply || d->got_error)
		return unexpected(d);
	if (!d->rows.refused) { /* two events for one message: the first one is not raised again */
		rc = pg_rows_opaque(d, "function", e, &wanted);
		if (rc != SL_OK)
			return rc;
		d->rows.refused = true;
		if (wanted)
			rc = pg_rows_refuse(d, "the result of a function call cannot be masked", NULL);
		if (rc < 0)
			return rc;
	}
	if (!d->drop)
		rc = pg_rows_meter(d, m, e);
	if (rc != SL_OK)
		return rc;
	r.bytes = d->drop ? 0 : m->size;
	r.failed = d->drop;
	rc = pg_result(d, &r, e);
	if (rc != SL_OK)
		return rc;
	d->got_reply = true;
	return out(d, m, e);
}

static int ready_for_query(struct pg *d, const struct pg_msg *m, struct pg_entry *e)
{
	bool due = e->kind == PG_Q_SYNC ||
	           (e->kind == PG_Q_SIMPLE && !d->copy_in && !d->copy_out && !d->rows.have) ||
	           (e->kind == PG_Q_FUNCTION && (d->got_reply || d->got_error));
	uint8_t tx;

	if (m->size != PG_HEADER + 1 || !due || ((e->flags & PG_QF_DENIED) && !d->got_error))
		return unexpected(d);
	if (m->all.n < m->size)
		return SL_MORE;
	tx = m->body.p[0];
	if (tx != 'I' && tx != 'T' && tx != 'E')
		return pg_target_broken(d, "malformed ReadyForQuery");
	d->tx = tx;
	if (tx == 'I')
		pg_portals_end(d, e->seq);
	pg_rows_reset(d);
	d->drop = d->cut = false;
	pg_queue_pop(d);
	if (tx == 'I' && pg_queue_n(d) == 0)
		pg_trim(d);
	return out(d, m, NULL);
}

/* ---- ErrorResponse ---- */

static int denied_error(struct pg *d, const struct pg_msg *m, struct pg_entry *e)
{
	const struct pg_say *s = d->says[e->slot];
	struct sl_ev_result r = {.failed = true, .local = true};
	int rc;

	r.sqlstate = sl_span_str(s->sqlstate);
	r.message = sl_span(s->message, s->message_n);
	rc = pg_result(d, &r, e);
	if (rc != SL_OK)
		return rc;
	if (!d->drop)
		rc = pg_write_say(d, 'E', "ERROR", s);
	if (rc < 0)
		return rc;
	pg_say_free(d, e->slot);
	d->t_skip = m->size;
	return SL_OK;
}

/* What the error does to the queue: before ReadyForQuery nothing more comes; in a pipeline, nothing up to
 * Sync. */
static void error_effects(struct pg *d, struct pg_entry *e)
{
	d->copy_in = d->copy_out = false;
	pg_rows_reset(d);
	d->failed_cmd = e->cmd;
	if (e->kind == PG_Q_SIMPLE || e->kind == PG_Q_FUNCTION || e->kind == PG_Q_SYNC) {
		d->got_error = true;
		return;
	}
	if (e->kind == PG_Q_PARSE && !(e->flags & PG_QF_DENIED))
		pg_stmt_fail(d, e->slot, e->seq);
	else if (e->kind == PG_Q_BIND)
		pg_portal_fail(d, e->slot, e->seq);
	else if (e->kind == PG_Q_EXECUTE)
		portal_ran(d, e, false);
	d->q_skip = true;
	pg_queue_pop(d);
}

static int error_reply(struct pg *d, const struct pg_msg *m, struct pg_entry *e, const struct pg_fields *f)
{
	struct sl_ev_result r = {
	        .failed = true, .rows = d->rows.rows, .bytes = d->rows.bytes, .masked = d->rows.masked};
	int rc;

	r.sqlstate = f->sqlstate;
	r.message = f->text[SL_REPORT_MESSAGE];
	rc = d->resulted ? SL_OK : pg_result(d, &r, e);
	if (rc != SL_OK)
		return rc;
	d->resulted = true; /* two events for one message: the first one is not raised again */
	if (d->drop)
		d->t_skip = m->size;
	else /* also for a Describe of our own: the error stands for the Execute behind it */
		rc = pg_report(d, m, e, SL_REPORT_ERROR);
	if (rc == SL_OK)
		d->resulted = false;
	return rc;
}

static int error_response(struct pg *d, const struct pg_msg *m, struct pg_entry *e)
{
	struct pg_fields f;
	bool fatal;
	int rc;

	if (m->size - 1 > d->cfg.message_max)
		return pg_fatal(d, SL_TARGET, SL_E_FLOW_MESSAGE_SIZE, "54000",
		                "error of the target is larger than this gateway reads");
	if (m->all.n < m->size)
		return SL_MORE;
	if (pg_get_fields(m->body, &f) < 0)
		return pg_target_broken(d, "malformed ErrorResponse");
	fatal = sl_span_is(f.severity, "FATAL") || sl_span_is(f.severity, "PANIC");
	if (e == NULL || d->got_error) {
		if (!fatal)
			return unexpected(d);
		rc = pg_report(d, m, NULL, SL_REPORT_ERROR);
		d->fatal = rc == SL_OK;
		return rc;
	}
	if ((e->flags & PG_QF_DENIED) && !fatal)
		rc = denied_error(d, m, e);
	else
		rc = error_reply(d, m, e, &f);
	if (rc != SL_OK)
		return rc;
	d->fatal = fatal;
	error_effects(d, e);
	return SL_OK;
}

/* ---- at any time ---- */

static int parameter_status(struct pg *d, const struct pg_msg *m)
{
	int rc;

	if (m->size > PG_PARAMSTAT_MAX)
		return unexpected(d);
	if (m->all.n < m->size)
		return SL_MORE;
	rc = pg_parameter_status(d, m->body);
	if (rc == SL_OK)
		d->t_left = m->size;
	return rc;
}

/* Never relayed: the client has a key of the gateway's. */
static int backend_key(struct pg *d, const struct pg_msg *m)
{
	int rc;

	if (m->size > PG_HEADER + 4 + PG_KEY_MAX)
		return unexpected(d);
	if (m->all.n < m->size)
		return SL_MORE;
	rc = pg_key_keep(d, m->body);
	if (rc == SL_OK)
		d->t_skip = m->size;
	return rc;
}

static const struct {
	uint8_t type;
	int (*handle)(struct pg *d, const struct pg_msg *m, struct pg_entry *e);
} messages[] = {
        {'1', complete},
        {'2', complete},
        {'3', complete},
        {'n', complete},
        {'t', parameter_description},
        {'T', row_description},
        {'D', data_row},
        {'C', command_complete},
        {'I', command_complete},
        {'s', command_complete},
        {'G', copy_in_response},
        {'H', copy_out_response},
        {'d', copy_data},
        {'c', copy_data},
        {'V', function_response},
        {'Z', ready_for_query},
};

static int reply(struct pg *d, const struct pg_msg *m, struct pg_entry *e)
{
	if (e == NULL || ((e->flags & PG_QF_DENIED) && m->type != 'Z'))
		return unexpected(d);
	if (d->copy_out && m->type != 'd' && m->type != 'c')
		return unexpected(d);
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
		if (messages[i].type == m->type)
			return messages[i].handle(d, m, e);
	return unexpected(d);
}

/* The rest of the message in hand. */
static int stream(struct pg *d, struct sl_span b, size_t *used)
{
	size_t n = b.n, room;
	int rc;

	if (d->t_skip > 0) {
		n = n < d->t_skip ? n : d->t_skip;
		d->t_skip -= (uint32_t)n;
		*used = n;
		return SL_OK;
	}
	n = n < d->t_left ? n : d->t_left;
	room = d->io.room(d->io.ctx, SL_CLIENT);
	n = n < room ? n : room;
	if (n == 0)
		return SL_AGAIN;
	rc = d->io.pass(d->io.ctx, SL_CLIENT, sl_span_sub(b, 0, n));
	if (rc < 0)
		return rc;
	d->t_left -= (uint32_t)n;
	*used = n;
	return SL_OK;
}

static int message(struct pg *d, const struct pg_msg *m)
{
	struct pg_entry *e = pg_queue_head(d);

	if (m->size == 0)
		return pg_target_broken(d, "message of an impossible length from the target");
	if (d->fatal)
		return pg_target_broken(d, "the target goes on behind a fatal error");
	if (d->io.room(d->io.ctx, SL_CLIENT) < SL_DEC_ROOM_MIN)
		return SL_AGAIN;
	switch (m->type) {
	case 'N':
		return pg_notice(d, m, e);
	case 'A':
		return pg_notification(d, m);
	case 'S':
		return parameter_status(d, m);
	case 'K':
		return backend_key(d, m);
	case 'E':
		return error_response(d, m, e);
	default:
		return reply(d, m, e);
	}
}

int pg_target_step(struct pg *d, struct sl_span b, size_t *used)
{
	struct pg_msg m;
	int rc;

	if (d->t_skip > 0 || d->t_left > 0)
		return b.n == 0 ? SL_MORE : stream(d, b, used);
	if (d->rows.emitting)
		return b.n == 0 && d->rows.skip > 0 ? SL_MORE : pg_rows_emit(d, b, used);
	rc = pg_pump(d);
	if (rc != SL_OK)
		return rc;
	if (b.n == 0)
		return SL_MORE;
	rc = pg_header(b, &m);
	return rc != SL_OK ? rc : message(d, &m);
}
