/*
 * The client's messages in the session. Each is judged where it must be, leaves its entry in the queue of
 * expected replies, and is passed on; or it is refused, and the refusal takes its place in the order of
 * replies.
 *
 * What a handler decides is one of: pass the message (c_left), drop it (c_skip), wait (SL_AGAIN, SL_PARK),
 * end the flow (< 0).
 */
#include <stdio.h>

#include "pg_priv.h"

/* The replies of what went before are needed: makes sure that the target sends them. */
static int wait_replies(struct pg *d)
{
	int rc = pg_send_flush(d);

	return rc < 0 ? rc : SL_AGAIN;
}

static int pass(struct pg *d, const struct pg_msg *m)
{
	d->c_left = m->size;
	d->judged = PG_J_NONE;
	return SL_OK;
}

static int pass_extended(struct pg *d, const struct pg_msg *m)
{
	d->segment_up = true;
	d->flushed = false;
	return pass(d, m);
}

static int drop(struct pg *d, const struct pg_msg *m)
{
	if (d->judged == PG_J_DENIED)
		pg_say_free(d, d->judged_say);
	d->c_skip = m->size;
	d->judged = PG_J_NONE;
	return SL_OK;
}

static void segment_end(struct pg *d)
{
	d->seg++;
	d->segment_up = false;
	d->segment_ran = false;
	d->flushed = false;
	d->described = PG_NO_SLOT;
}

/* ---- refusal ---- */

static int refuse_here(struct pg *d, const struct pg_msg *m, bool simple)
{
	const struct pg_say *s = d->says[d->judged_say];
	const struct pg_entry e = {.cmd = d->judged_cmd, .mark = d->judged_mark};
	struct sl_ev_result r = {.failed = true, .local = true};
	int rc;

	if (!pg_client_free(d))
		return SL_AGAIN;
	r.sqlstate = sl_span_str(s->sqlstate);
	r.message = sl_span(s->message, s->message_n);
	rc = pg_result(d, &r, &e);
	if (rc != SL_OK)
		return rc;
	rc = pg_write_say(d, 'E', "ERROR", s);
	if (rc == SL_OK && simple)
		rc = pg_write_ready(d);
	if (rc < 0)
		return rc;
	if (!simple)
		d->discard = d->discard_local = true;
	return drop(d, m);
}

/*
 * The message in hand is refused, with what judged_say says. Where the target's transaction state is known
 * and an error cannot change it, all happens here. Else a statement of our own that fails goes upstream in
 * the message's place: the target aborts its transaction as it would have for an error of its own, its
 * ErrorResponse marks the turn, and ours replaces it.
 */
static int refuse(struct pg *d, const struct pg_msg *m)
{
	bool simple = m->type == 'Q' || m->type == 'F';
	struct pg_entry *e;
	int rc;

	if (pg_queue_n(d) == 0 && !d->segment_up && d->tx != 'T')
		return refuse_here(d, m, simple);
	rc = simple ? pg_send_query(d, SL_SPAN_LIT(PG_FAILING_SQL)) : pg_send_failing_parse(d);
	if (rc < 0)
		return rc;
	e = pg_queue_push(d, simple ? PG_Q_SIMPLE : PG_Q_PARSE, d->judged_cmd, d->judged_mark);
	e->flags = PG_QF_DENIED;
	e->slot = d->judged_say;
	e->seq = d->seg;
	if (simple) {
		segment_end(d);
	} else {
		d->segment_up = true;
		d->flushed = false;
		d->discard = true;
		d->discard_local = false;
	}
	d->c_skip = m->size;
	d->judged = PG_J_NONE;
	return SL_OK;
}

/* An error of the gateway's own that leaves the session usable. */
static int local_error(struct pg *d, const struct pg_msg *m, const char *sqlstate, const char *text)
{
	if (d->judged == PG_J_NONE)
		d->judged_cmd = d->judged_mark = 0;
	d->judged_say = pg_say_new(d);
	if (d->judged_say == PG_NO_SLOT)
		return wait_replies(d);
	pg_say_set(d->says[d->judged_say], sqlstate, sl_span_str(text), SL_SPAN_EMPTY, SL_SPAN_EMPTY);
	d->judged = PG_J_DENIED;
	return refuse(d, m);
}

static int too_large(struct pg *d)
{
	return pg_fatal(d, SL_CLIENT, SL_E_FLOW_MESSAGE_SIZE, "54000",
	                "message larger than this gateway reads");
}

/* ---- judging ---- */

/* The notice is kept: the command may be decided at once, and then the client has not waited. */
static int park(struct pg *d, const struct sl_verdict *v, uint16_t notice)
{
	int rc;

	d->judged = PG_J_PARKED;
	pg_say_reason(d->says[notice], &v->reason, "waiting for approval");
	memcpy(d->says[notice]->sqlstate, "00000", 5);
	d->judged_notice = notice;
	rc = pg_send_flush(d);
	if (rc == SL_OK)
		rc = pg_pump(d);
	return rc < 0 ? rc : SL_PARK;
}

int pg_waits(struct pg *d)
{
	int rc;

	if (d->judged_notice == PG_NO_SLOT)
		return SL_OK; /* said before */
	pg_queue_push(d, PG_Q_NOTICE, d->judged_cmd, d->judged_mark)->slot = d->judged_notice;
	d->judged_notice = PG_NO_SLOT;
	rc = pg_pump(d);
	return rc < 0 ? rc : SL_OK;
}

/* Two places before the question, so that each answer to it can be told: one for the denial (judged_say), one
 * for the notice of a hold. */
static bool reserve_says(struct pg *d, uint16_t *notice)
{
	d->judged_say = pg_say_new(d);
	*notice = d->judged_say == PG_NO_SLOT ? PG_NO_SLOT : pg_say_new(d);
	if (*notice != PG_NO_SLOT)
		return true;
	pg_say_free(d, d->judged_say);
	return false;
}

static bool is_ascii(struct sl_span text)
{
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] >= 0x80)
			return false;
	return true;
}

/*
 * Are its tokens the same whatever standard_conforming_strings and client_encoding are? With the former off a
 * backslash in front of a quote keeps a literal open, and in other encodings a byte beyond ASCII can take the
 * next one with it: then it matters what that one is outside of a name.
 */
static bool reads_alike(struct sl_span text)
{
	for (size_t i = 0; i + 1 < text.n; i++) {
		uint8_t c = text.p[i], next = text.p[i + 1];

		if ((c == '\\' && next == '\'') ||
		    (c >= 0x80 && next != 0 && strchr("@[\\]^`{|}~", next) != NULL))
			return false;
	}
	return true;
}

/*
 * Something of this text runs in the segment, which may change settings. What drivers put in front of a
 * client's own statement does not; a Parse has one statement, so its first word says what it is, unless SQL
 * that is under way has given its name to another.
 */
static void segment_runs(struct pg *d, const struct pg_text *text)
{
	static const char *const words[] = {"begin", "start", "savepoint", "release"};
	struct sl_span sql = pg_text_sql(text);
	size_t n = 0;

	while (n < sql.n && (sql.p[n] | 0x20) >= 'a' && (sql.p[n] | 0x20) <= 'z')
		n++;
	if (n == sql.n || sql.p[n] == ' ')
		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			if (pg_span_ieq(sl_span(sql.p, n), words[i]) && !pg_queue_has_ready(d))
				return;
	d->segment_ran = true;
}

/*
 * The target tells of changed settings before its ReadyForQuery and not earlier (PostgreSQL 14 and later),
 * and what is under way may have changed those that texts are read by. One that hangs on them waits for that
 * word. Behind what runs in its own segment it cannot, for the Sync may come later: *unread. SL_OK, SL_AGAIN,
 * < 0.
 */
static int settle(struct pg *d, struct sl_span text, bool *unread)
{
	*unread = false;
	if ((!d->segment_ran && pg_queue_n(d) == 0) || reads_alike(text))
		return SL_OK;
	*unread = d->segment_ran;
	return d->segment_ran || !pg_queue_has_ready(d) ? SL_OK : wait_replies(d);
}

/* What its rows are to be read by cannot be kept: it does not run. */
static int unkept(struct pg *d)
{
	pg_say_set(d->says[d->judged_say], "53400", SL_SPAN_LIT("one COPY under masks at a time"),
	           SL_SPAN_EMPTY, SL_SPAN_EMPTY);
	d->judged = PG_J_DENIED;
	return SL_OK;
}

/*
 * Raises COMMAND unless it was raised for this message before. SL_OK: judged is ALLOWED or DENIED.
 */
static int judge(struct pg *d, const struct sl_ev_command *c)
{
	struct sl_event ev = {.kind = SL_EV_COMMAND, .cmd = d->next_cmd + 1, .command = *c};
	struct sl_verdict v;
	uint16_t notice;
	bool kept;
	int rc;

	if (d->judged != PG_J_NONE)
		return d->judged == PG_J_PARKED ? SL_PARK : SL_OK;
	if (!reserve_says(d, &notice))
		return wait_replies(d);
	ev.command.unread |= d->scs_was_off || (!d->server_utf8 && !is_ascii(c->text));
	rc = pg_event(d, &ev, &v);
	if (rc == SL_OK) {
		d->judged_cmd = d->last_cmd = ++d->next_cmd;
		d->judged_mark = v.mark;
		d->judged_names = v.names;
		d->judged_far = (v.names & SL_NAMES_FETCH) != 0 && pg_portals_stale(d, v.name);
		d->judged_gone = (v.names & SL_NAMES_DEALLOCATE) != 0 && v.name.n > 0
		                         ? pg_stmt_find(d, v.name)
		                         : PG_NO_SLOT;
		if (d->judged_gone != PG_NO_SLOT)
			d->judged_gone_seq = pg_stmt(d, d->judged_gone)->seq;
	}
	kept = rc != SL_OK || v.keep.n == 0 || pg_keep(d, d->judged_cmd, v.keep);
	/* The text in hand may go with it. */
	if (rc == SL_OK && (v.names & SL_NAMES_PREPARE) != 0 && c->phase != SL_PHASE_PREPARE)
		pg_stmts_taken(d, v.name);
	/* A held one runs into the refusal of its rows. */
	if (rc == SL_OK && v.action == SL_ACT_PARK)
		return park(d, &v, notice);
	pg_say_free(d, notice);
	if (rc == SL_OK && v.action == SL_ACT_ALLOW && !kept)
		return unkept(d);
	if (rc != SL_OK || v.action == SL_ACT_ALLOW) {
		pg_say_free(d, d->judged_say);
		if (rc == SL_OK)
			d->judged = PG_J_ALLOWED;
		return rc;
	}
	pg_say_reason(d->says[d->judged_say], &v.reason, "denied by policy");
	d->judged = PG_J_DENIED;
	return SL_OK;
}

/* Something runs at the target. */
static void runs(struct pg *d, uint8_t names)
{
	d->acts++;
	if ((names & SL_NAMES_OPEN) != 0)
		d->opened = d->acts;
}

/*
 * The command in hand goes by a name, and that may be one of Parse or Bind that goes by a name in turn: what
 * that is described by can have gone long ago.
 */
static bool runs_fetch(const struct pg *d)
{
	return d->judged_far || ((d->judged_names & SL_NAMES_EXECUTE) != 0 && pg_stmts_fetch(d));
}

static int refuse_fetch(struct pg *d, const struct pg_msg *m)
{
	return local_error(d, m, "0A000", "by the name of another FETCH, perhaps: close that first");
}

static int client_query(struct pg *d, const struct pg_msg *m)
{
	struct sl_ev_command c = {.phase = SL_PHASE_SIMPLE, .op = SL_SPAN_LIT("query")};
	struct pg_entry *e;
	struct sl_span b = m->body;
	int rc;

	if (pg_get_str(&b, &c.text) < 0 || b.n != 0)
		return pg_broken(d, "malformed Query message");
	rc = settle(d, c.text, &c.unread);
	if (rc == SL_OK)
		rc = judge(d, &c);
	if (rc != SL_OK)
		return rc;
	if (d->judged == PG_J_DENIED)
		return refuse(d, m);
	if (runs_fetch(d))
		return refuse_fetch(d, m);
	e = pg_queue_push(d, PG_Q_SIMPLE, d->judged_cmd, d->judged_mark);
	/* While it was held the table may have gone. */
	e->slot = pg_stmt_at(d, d->judged_gone, d->judged_gone_seq) != NULL ? d->judged_gone : PG_NO_SLOT;
	e->seq = d->seg;
	runs(d, d->judged_names);
	d->queried = d->acts;
	segment_end(d);
	return pass(d, m);
}

static int client_function(struct pg *d, const struct pg_msg *m)
{
	struct sl_ev_command c = {.phase = SL_PHASE_OTHER};
	char op[sizeof("function call 4294967295")];
	struct pg_bind call;
	uint32_t function;
	int rc = pg_call_read(d, m, &call, &function);

	if (rc < 0)
		return pg_broken(d, "malformed FunctionCall message");
	c.op = sl_span(op, (size_t)snprintf(op, sizeof(op), "function call %u", (unsigned)function));
	c.params = d->tmp->params;
	c.nb_params = call.nb_read;
	rc = judge(d, &c);
	if (rc != SL_OK)
		return rc;
	if (d->judged == PG_J_DENIED)
		return refuse(d, m);
	pg_queue_push(d, PG_Q_FUNCTION, d->judged_cmd, d->judged_mark)->seq = d->seg;
	runs(d, 0);
	segment_end(d);
	return pass(d, m);
}

static int client_parse(struct pg *d, const struct pg_msg *m)
{
	struct sl_ev_command c = {.phase = SL_PHASE_PREPARE, .op = SL_SPAN_LIT("parse")};
	struct sl_span b = m->body, name, types;
	struct pg_text *text;
	struct pg_entry *e;
	uint16_t n, slot;
	bool waiting;
	int rc;

	if (pg_get_str(&b, &name) < 0 || pg_get_str(&b, &c.text) < 0 || pg_get_16(&b, &n) < 0 ||
	    pg_get_bytes(&b, 4 * (size_t)n, &types) < 0 || b.n != 0)
		return pg_broken(d, "malformed Parse message");
	if (name.n > PG_NAME_MAX)
		return local_error(d, m, "42622", "prepared statement name is longer than 63 bytes");
	slot = pg_stmt_free_slot(d, &waiting);
	if (slot == PG_NO_SLOT && waiting)
		return wait_replies(d);
	if (slot == PG_NO_SLOT)
		return local_error(d, m, "53400", "too many prepared statements for this gateway");
	if (c.text.n > PG_TEXT_BYTES - d->text_live || types.n > PG_TYPES_BYTES - d->types_live)
		return local_error(d, m, "53400", "prepared statements too large for this gateway");
	c.named = name.n > 0;
	rc = settle(d, c.text, &c.unread);
	if (rc == SL_OK)
		rc = judge(d, &c);
	if (rc != SL_OK)
		return rc;
	if (d->judged == PG_J_DENIED)
		return refuse(d, m);
	if (runs_fetch(d))
		return refuse_fetch(d, m);
	text = pg_text_keep(d, c.text, types, c.unread);
	if (text == NULL)
		return local_error(d, m, "53400", "prepared statements too large for this gateway");
	pg_stmt_make(d, slot, name, text);
	e = pg_queue_push(d, PG_Q_PARSE, d->judged_cmd, d->judged_mark);
	e->slot = slot;
	e->seq = pg_stmt(d, slot)->seq;
	return pass_extended(d, m);
}

/* True when the entry's meaning hangs on a reply that has not come: see pg_names.c. */
static bool undecided(const struct pg *d, const struct pg_named *e)
{
	return e->pending && e->seg != d->seg;
}

static int judge_bind(struct pg *d, const struct pg_bind *b, uint16_t stmt)
{
	struct sl_ev_command c = {.phase = SL_PHASE_EXECUTE, .op = SL_SPAN_LIT("execute")};
	const struct pg_named *s = pg_stmt(d, stmt);
	int rc;

	for (uint32_t i = 0; i < b->nb_read; i++)
		d->tmp->params[i].type = pg_text_type(s->text, i);
	c.text = pg_text_sql(s->text);
	c.unread = s->text->unread;
	c.named = b->portal.n > 0;
	c.params = d->tmp->params;
	c.nb_params = b->nb_read;
	c.nb_more = b->nb_params - b->nb_read;
	rc = d->judged == PG_J_NONE ? SL_MORE : SL_OK;
	if (rc == SL_MORE)
		d->judged_seq = s->seq;
	return judge(d, &c);
}

static int pass_bind(struct pg *d, const struct pg_msg *m)
{
	if (m->all.n < m->size)
		pg_follow_begin(&d->follow);
	return pass_extended(d, m);
}

static int client_bind(struct pg *d, const struct pg_msg *m)
{
	struct pg_entry *e;
	struct pg_bind b;
	uint16_t stmt, slot;
	bool waiting;
	int rc = pg_bind_read(d, m, &b);

	if (rc == SL_E_FLOW_MESSAGE_SIZE)
		return too_large(d);
	if (rc < 0)
		return pg_broken(d, "malformed Bind message");
	if (b.portal.n > PG_NAME_MAX || b.stmt.n > PG_NAME_MAX)
		return local_error(d, m, "42622", "name is longer than 63 bytes");
	stmt = pg_stmt_find(d, b.stmt);
	if (stmt == PG_NO_SLOT)
		return local_error(d, m, "26000", "prepared statement does not exist");
	if (undecided(d, pg_stmt(d, stmt)))
		return wait_replies(d);
	slot = pg_portal_free_slot(d, &waiting);
	if (slot == PG_NO_SLOT && waiting)
		return wait_replies(d);
	if (slot == PG_NO_SLOT)
		return local_error(d, m, "53400", "too many portals for this gateway");
	rc = judge_bind(d, &b, stmt);
	if (rc != SL_OK)
		return rc;
	if (d->judged == PG_J_DENIED)
		return refuse(d, m);
	/* Has the statement changed while the Bind waited, or does it PREPARE another of its own name? */
	if (pg_stmt_at(d, stmt, d->judged_seq) == NULL)
		return local_error(d, m, "26000", "prepared statement does not exist");
	if (runs_fetch(d))
		return refuse_fetch(d, m);
	runs(d, 0); /* functions, in what it is planned with */
	pg_portal_make(d, slot, b.portal, pg_stmt(d, stmt)->text);
	e = pg_queue_push(d, PG_Q_BIND, d->judged_cmd, d->judged_mark);
	e->slot = slot;
	e->seq = pg_portal(d, slot)->seq;
	segment_runs(d, pg_portal(d, slot)->text);
	return pass_bind(d, m);
}

/*
 * A first Execute of a portal, and one that goes on with suspended rows, belong to the Bind's command. Any
 * other runs anew.
 */
static int judge_execute(struct pg *d, struct pg_named *p)
{
	struct sl_ev_command c = {.phase = SL_PHASE_EXECUTE, .op = SL_SPAN_LIT("execute")};
	int rc;

	if (p->running)
		return wait_replies(d);
	if (!p->executed || p->suspended)
		return SL_OK;
	c.text = pg_text_sql(p->text);
	c.unread = p->text->unread;
	c.named = p->name_n > 0;
	rc = judge(d, &c);
	if (rc == SL_OK && d->judged == PG_J_ALLOWED) {
		p->cmd = d->judged_cmd;
		p->mark = d->judged_mark;
	}
	return rc;
}

/*
 * Rows are read by what the target has just said about the portal: unless the client itself asked for it
 * right before, we ask. (An older description could be of another portal of the same name by now.)
 */
static int describe_first(struct pg *d, uint16_t slot, struct sl_span name)
{
	const struct pg_named *p = pg_portal(d, slot);
	struct pg_entry *e;
	int rc;

	if (d->described == slot && d->described_seq == p->seq)
		return SL_OK;
	rc = pg_send_describe_portal(d, name);
	if (rc < 0)
		return rc;
	e = pg_queue_push(d, PG_Q_DESC_PORTAL, p->cmd, p->mark);
	e->flags = PG_QF_OURS;
	e->slot = slot;
	e->seq = p->seq;
	return SL_OK;
}

static int client_execute(struct pg *d, const struct pg_msg *m)
{
	struct sl_span b = m->body, name;
	struct pg_named *p;
	struct pg_entry *e;
	uint32_t max;
	uint16_t slot;
	int rc;

	if (pg_get_str(&b, &name) < 0 || pg_get_32(&b, &max) < 0 || b.n != 0)
		return pg_broken(d, "malformed Execute message");
	slot = pg_portal_find(d, name);
	if (slot == PG_NO_SLOT)
		return local_error(d, m, "34000", "portal does not exist");
	p = pg_portal(d, slot);
	if (d->judged == PG_J_NONE && pg_portal_stale(d, slot))
		return local_error(d, m, "34000", "portal does not exist");
	if (undecided(d, p))
		return wait_replies(d);
	rc = judge_execute(d, p);
	if (rc != SL_OK)
		return rc;
	if (d->judged == PG_J_DENIED)
		return refuse(d, m);
	rc = describe_first(d, slot, name);
	if (rc < 0)
		return rc;
	/* Its name was taken from others when it was judged; since then others may have been made and
	 * removed. */
	if ((p->names & SL_NAMES_PREPARE) != 0 && p->acts != d->acts)
		pg_stmts_taken(d, SL_SPAN_EMPTY);
	e = pg_queue_push(d, PG_Q_EXECUTE, p->cmd, p->mark);
	e->slot = slot;
	e->seq = p->seq;
	segment_runs(d, p->text);
	p->running = p->executed = true;
	p->suspended = false;
	runs(d, p->names);
	p->acts = d->acts;
	d->described = PG_NO_SLOT;
	return pass_extended(d, m);
}

static int describe_stmt(struct pg *d, const struct pg_msg *m, struct sl_span name)
{
	uint16_t slot = pg_stmt_find(d, name);
	struct pg_entry *e;

	if (slot != PG_NO_SLOT && undecided(d, pg_stmt(d, slot)))
		return wait_replies(d);
	if (slot == PG_NO_SLOT ? d->lost_late : pg_stmt_stale(d, slot))
		return local_error(d, m, "26000", "prepared statement does not exist");
	e = pg_queue_push(d, PG_Q_DESC_STMT, 0, 0);
	e->slot = slot;
	e->seq = slot == PG_NO_SLOT ? 0 : pg_stmt(d, slot)->seq;
	return pass_extended(d, m);
}

/* One that is not known is a cursor of SQL, or none. */
static int describe_portal(struct pg *d, const struct pg_msg *m, struct sl_span name)
{
	uint16_t slot = pg_portal_find(d, name);
	struct pg_entry *e;

	if (slot != PG_NO_SLOT && pg_portal_stale(d, slot))
		return local_error(d, m, "34000", "portal does not exist");
	if (slot != PG_NO_SLOT && undecided(d, pg_portal(d, slot)))
		return wait_replies(d);
	e = pg_queue_push(d, PG_Q_DESC_PORTAL, 0, 0);
	d->described = slot;
	if (slot != PG_NO_SLOT) {
		d->described_seq = pg_portal(d, slot)->seq;
		e->cmd = pg_portal(d, slot)->cmd;
		e->mark = pg_portal(d, slot)->mark;
	}
	return pass_extended(d, m);
}

static int client_describe(struct pg *d, const struct pg_msg *m)
{
	struct sl_span b = m->body, name;
	uint8_t what = b.n > 0 ? b.p[0] : 0;

	b = sl_span_sub(b, 1, b.n);
	if ((what != 'S' && what != 'P') || pg_get_str(&b, &name) < 0 || b.n != 0)
		return pg_broken(d, "malformed Describe message");
	if (name.n > PG_NAME_MAX)
		return local_error(d, m, "42622", "name is longer than 63 bytes");
	return what == 'S' ? describe_stmt(d, m, name) : describe_portal(d, m, name);
}

static int client_close(struct pg *d, const struct pg_msg *m)
{
	struct sl_span b = m->body, name;
	uint8_t what = b.n > 0 ? b.p[0] : 0;
	const struct pg_named *n = NULL;
	struct pg_entry *e;
	uint16_t slot;

	b = sl_span_sub(b, 1, b.n);
	if ((what != 'S' && what != 'P') || pg_get_str(&b, &name) < 0 || b.n != 0)
		return pg_broken(d, "malformed Close message");
	if (name.n > PG_NAME_MAX)
		return local_error(d, m, "42622", "name is longer than 63 bytes");
	slot = what == 'S' ? pg_stmt_find(d, name) : pg_portal_find(d, name);
	if (slot != PG_NO_SLOT)
		n = what == 'S' ? pg_stmt(d, slot) : pg_portal(d, slot);
	/* Else the one before it would be taken to live when this one fails. */
	if (n != NULL && undecided(d, n))
		return wait_replies(d);
	runs(d, 0);
	e = pg_queue_push(d, what == 'S' ? PG_Q_CLOSE_STMT : PG_Q_CLOSE_PORTAL, 0, 0);
	e->slot = slot;
	e->seq = n != NULL ? n->seq : 0;
	if (what == 'P')
		d->described = PG_NO_SLOT;
	return pass_extended(d, m);
}

static int client_flush(struct pg *d, const struct pg_msg *m)
{
	if (m->size != PG_HEADER)
		return pg_broken(d, "malformed Flush message");
	if (d->copy_in)
		return drop(d, m);
	d->flushed = true;
	return pass(d, m);
}

static int client_sync(struct pg *d, const struct pg_msg *m)
{
	int rc;

	if (m->size != PG_HEADER)
		return pg_broken(d, "malformed Sync message");
	if (d->copy_in)
		return drop(d, m);
	if (d->discard && d->discard_local) {
		if (!pg_client_free(d))
			return SL_AGAIN;
		rc = pg_write_ready(d);
		if (rc < 0)
			return rc;
		d->discard = d->discard_local = false;
		segment_end(d);
		return drop(d, m);
	}
	d->discard = false;
	pg_queue_push(d, PG_Q_SYNC, d->last_cmd, 0)->seq = d->seg;
	segment_end(d);
	return pass(d, m);
}

/*
 * CopyData, CopyDone, CopyFail. Outside of a COPY the target would ignore them (they are what was under way
 * when a COPY failed), and so does the gateway. While a reply is due that may begin a COPY they wait.
 */
static int client_copy(struct pg *d, const struct pg_msg *m)
{
	if (d->copy_in) {
		if (m->type != 'd')
			d->copy_in = false;
		return pass(d, m);
	}
	return pg_queue_n(d) > 0 ? wait_replies(d) : drop(d, m);
}

static int client_terminate(struct pg *d, const struct pg_msg *m)
{
	if (m->size != PG_HEADER)
		return pg_broken(d, "malformed Terminate message");
	d->terminated = true;
	return pass(d, m);
}

static const struct client_message {
	uint8_t type;
	bool whole, small;
	int (*handle)(struct pg *d, const struct pg_msg *m);
} messages[] = {
        {'Q', true, false, client_query},     {'P', true, false, client_parse},
        {'B', true, false, client_bind},      {'E', true, true, client_execute},
        {'D', true, true, client_describe},   {'C', true, true, client_close},
        {'H', false, true, client_flush},     {'S', false, true, client_sync},
        {'F', true, false, client_function},  {'d', false, false, client_copy},
        {'c', false, true, client_copy},      {'f', true, false, client_copy},
        {'X', false, true, client_terminate},
};

static const struct client_message *find_message(uint8_t type)
{
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
		if (messages[i].type == type)
			return &messages[i];
	return NULL;
}

static int check_size(struct pg *d, const struct client_message *h, const struct pg_msg *m)
{
	if (m->size == 0 || (h->small && m->size > PG_SMALL_MAX))
		return pg_broken(d, "message of an impossible length");
	if (h->whole && m->size - 1 > d->cfg.message_max && h->handle != client_bind)
		return too_large(d);
	return SL_OK;
}

static int dispatch(struct pg *d, const struct client_message *h, struct pg_msg *m)
{
	uint32_t need = h->handle == client_bind ? pg_bind_head(d, m->size) : m->size;

	if (d->copy_in && !(m->type == 'd' || m->type == 'c' || m->type == 'f' || m->type == 'H' ||
	                    m->type == 'S' || m->type == 'X'))
		return pg_fatal(d, SL_CLIENT, SL_E_PROTO_STATE, "08P01",
		                "unexpected message during COPY from stdin");
	if (d->discard && m->type != 'S' && m->type != 'X')
		return drop(d, m);
	if (h->whole && m->all.n < need)
		return SL_MORE;
	if (need < m->size) { /* the same head, however much more has come */
		m->all = sl_span_sub(m->all, 0, need);
		m->body = sl_span_sub(m->body, 0, need - PG_HEADER);
	}
	if (!pg_has_room(d))
		return SL_AGAIN;
	if (!pg_queue_ready(d))
		return wait_replies(d);
	if (d->judged == PG_J_DENIED)
		return refuse(d, m);
	return h->handle(d, m);
}

/* How many of these bytes of a Bind may go. One that does not add up stays without its last byte at least. */
static size_t followed(const struct pg *d, struct sl_span b)
{
	struct pg_follow follow = d->follow;
	size_t n = pg_follow(&follow, b);

	return n == d->c_left && !pg_follow_done(&follow) ? n - 1 : n;
}

/* The rest of the message in hand. */
static int stream(struct pg *d, struct sl_span b, size_t *used)
{
	size_t n = b.n, room;
	int rc;

	if (d->c_skip > 0) {
		n = n < d->c_skip ? n : d->c_skip;
		d->c_skip -= (uint32_t)n;
		*used = n;
		return SL_OK;
	}
	n = n < d->c_left ? n : d->c_left;
	room = d->io.room(d->io.ctx, SL_TARGET);
	n = n < room ? n : room;
	if (n == 0)
		return SL_AGAIN;
	if (d->follow.on) {
		n = followed(d, sl_span_sub(b, 0, n));
		if (n == 0)
			return pg_broken(d, "malformed Bind message");
	}
	rc = d->io.pass(d->io.ctx, SL_TARGET, sl_span_sub(b, 0, n));
	if (rc < 0)
		return rc;
	if (d->follow.on)
		(void)pg_follow(&d->follow, sl_span_sub(b, 0, n));
	d->c_left -= (uint32_t)n;
	d->follow.on = d->follow.on && d->c_left > 0;
	*used = n;
	if (d->c_left == 0 && d->terminated) {
		d->cs = PG_C_CLOSED;
		return SL_CLOSED;
	}
	return SL_OK;
}

int pg_client_step(struct pg *d, struct sl_span b, size_t *used)
{
	const struct client_message *h;
	struct pg_msg m;
	int rc;

	if (d->judged == PG_J_PARKED)
		return SL_PARK;
	if (b.n == 0)
		return SL_MORE;
	if (d->c_left > 0 || d->c_skip > 0)
		return stream(d, b, used);
	rc = pg_header(b, &m);
	if (rc != SL_OK)
		return rc;
	h = find_message(m.type);
	if (h == NULL)
		return pg_fatal(d, SL_CLIENT, SL_E_PROTO_STATE, "08P01", "message of an unknown type");
	rc = check_size(d, h, &m);
	return rc != SL_OK ? rc : dispatch(d, h, &m);
}
