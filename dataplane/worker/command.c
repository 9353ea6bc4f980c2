#include "catalog.h"

/* What the client sends behind a held command waits in TCP, which must know that it may be for long. */
static void set_held(struct session *s, bool held)
{
	s->held = held;
	if (s->peer[SL_CLIENT].conn != NULL)
		sl_tcp_hold(s->peer[SL_CLIENT].conn, held);
}

int command_event(struct session *s, const struct sl_event *ev, struct sl_verdict *v)
{
	struct sl_worker *w = s->w;
	struct sl_msg_hold *hold = NULL;
	int rc;

	if (s->cutting > 0)
		return SL_AGAIN;
	rc = catalog_ready(s);
	if (rc != SL_OK)
		return rc;
	if (w->hold_msg == NULL)
		w->hold_msg = sl_bus_worker_new(w->cfg.bus, w->cfg.worker);
	if (w->hold_msg != NULL)
		hold = &w->hold_msg->hold;
	rc = sl_inspect_event(s->inspect, ev, v, hold);
	worker_give_back(w, sl_inspect_released(w->inspect));
	if (rc != SL_OK || v->action != SL_ACT_PARK)
		return rc;
	if (hold == NULL) /* inspection parks nothing that cannot be told to anybody */
		return sl_fail(SL_E_INVAL);
	w->hold_msg->type = SL_MSG_HOLD;
	w->hold_msg->flow = session_ref(s);
	set_held(s, true);
	s->approval = hold->approval;
	s->hold_end_us = hold->expires_us + HOLD_MARGIN_US;
	sl_bus_worker_send(w->cfg.bus, w->cfg.worker, w->hold_msg);
	w->hold_msg = NULL;
	return SL_OK;
}

void command_decide(struct session *s, const struct sl_msg_decision *d)
{
	if (!s->held || memcmp(&s->approval, &d->approval, sizeof(s->approval)) != 0)
		return;
	set_held(s, false);
	s->hold_ended = true;
	s->decision = *d;
	session_ready(s);
}

void command_asked(struct session *s, const struct sl_id *approval)
{
	const struct sl_verdict waits = {.action = SL_ACT_PARK, .reason = {.code = SL_RSN_HELD}};
	int rc;

	if (!s->held || memcmp(&s->approval, approval, sizeof(s->approval)) != 0 ||
	    s->state == SESSION_CLOSING)
		return;
	rc = sl_flow_resume(&s->flow, &waits);
	if (rc < 0)
		session_end(s, rc, SL_RSN_PROTOCOL, sl_err_text(rc));
	session_ready(s);
}

/* The management core ends holds; should its word be lost, a hold ends here, as a denial. */
void command_hold_deadline(struct session *s)
{
	struct sl_msg_decision d = {.approval = s->approval, .decision = SL_DECISION_EXPIRED};

	if (s->held && s->w->wall_us >= s->hold_end_us)
		command_decide(s, &d);
}

/* The client took its command back: the approvers must not be asked any more. */
static int say_gone(struct session *s)
{
	struct sl_worker *w = s->w;
	struct sl_msg *m = sl_bus_worker_new(w->cfg.bus, w->cfg.worker);

	if (m == NULL)
		return SL_AGAIN;
	m->type = SL_MSG_HOLD_GONE;
	m->flow = session_ref(s);
	m->approval = s->approval;
	sl_bus_worker_send(w->cfg.bus, w->cfg.worker, m);
	return SL_OK;
}

int command_decide_step(struct session *s)
{
	struct sl_verdict v = {0};
	int rc;

	if (s->decision.decision == SL_DECISION_CANCELLED && !s->gone_said) {
		if (say_gone(s) == SL_AGAIN)
			return SL_AGAIN;
		s->gone_said = true;
	}
	rc = sl_inspect_decision(s->inspect, &s->decision, &v);
	if (rc == SL_AGAIN)
		return SL_AGAIN;
	s->hold_ended = false;
	s->gone_said = false;
	if (s->state == SESSION_CLOSING)
		return SL_OK;
	if (rc == SL_OK)
		rc = sl_flow_resume(&s->flow, &v);
	if (rc < 0)
		session_end(s, rc, SL_RSN_PROTOCOL, sl_err_text(rc));
	return SL_OK;
}

/* ---- cancel ---- */

static int pass_on(struct sl_worker *w, uint32_t pid, struct sl_span key)
{
	struct sl_msg *m;

	if (key.n > sizeof(m->cancel.key))
		return SL_OK; /* nobody's */
	m = sl_bus_worker_new(w->cfg.bus, w->cfg.worker);
	if (m == NULL)
		return SL_AGAIN;
	m->type = SL_MSG_CANCEL;
	m->flow.worker = pid >> 24;
	m->cancel.pid = pid;
	m->cancel.key_n = (uint8_t)key.n;
	if (key.n > 0)
		memcpy(m->cancel.key, key.p, key.n);
	sl_bus_worker_send(w->cfg.bus, w->cfg.worker, m);
	return SL_OK;
}

/* In the same time, whatever the key. */
static bool key_is(const struct session *s, struct sl_span key)
{
	uint8_t differ = 0;

	if (s->cancel_key_n == 0 || key.n != s->cancel_key_n)
		return false;
	for (size_t i = 0; i < key.n; i++)
		differ |= key.p[i] ^ s->cancel_key[i];
	return differ == 0;
}

/*
 * As in PostgreSQL, whoever shows the right key may cancel, and a wrong one is met with silence. The key has
 * as many random bytes as the client's protocol takes, and is good for one session.
 */
int command_cancel(struct sl_worker *w, uint32_t pid, struct sl_span key)
{
	uint32_t worker = pid >> 24, index = pid & 0xffffff;
	struct session *s;

	if (worker >= w->cfg.nb_workers)
		return SL_OK;
	if (worker != w->cfg.worker)
		return pass_on(w, pid, key);
	s = index < w->cfg.max_sessions ? w->sessions[index] : NULL;
	if (s == NULL || s->state != SESSION_OPEN || !key_is(s, key))
		return SL_OK;
	if (s->held) {
		struct sl_msg_decision d = {.approval = s->approval, .decision = SL_DECISION_CANCELLED};

		command_decide(s, &d);
	} else {
		command_cancel_target(s);
	}
	return SL_OK;
}

static struct cancel *cancel_new(struct session *s)
{
	struct sl_worker *w = s->w;
	struct cancel *c = NULL;

	if (s->flow.dec->cancel_request == NULL || s->target.port == 0)
		return NULL;
	for (uint32_t i = 0; i < CANCELS_MAX && c == NULL; i++) {
		if (!w->cancels[i].used)
			c = &w->cancels[i];
	}
	if (c == NULL) {
		sl_fail(SL_E_LIMIT);
		return NULL;
	}
	memset(c, 0, sizeof(*c));
	c->n = s->flow.dec->cancel_request(s->dec_state, c->bytes, sizeof(c->bytes));
	if (c->n == 0)
		return NULL;
	c->peer = (struct peer){PEER_CANCEL, SL_TARGET, NULL, c};
	if (sl_tcp_connect(w->tcp, &s->target, &c->peer, w->now_us, &c->peer.conn) < 0)
		return NULL;
	c->used = true;
	c->deadline_us = w->now_us + CANCEL_TIMEOUT_US;
	w->nb_cancels++;
	return c;
}

bool command_cancel_target(struct session *s)
{
	return cancel_new(s) != NULL;
}

void command_cut(struct session *s)
{
	struct cancel *c = cancel_new(s);

	if (c == NULL)
		return; /* the rest of the result comes, and is dropped */
	c->cuts = session_ref(s);
	s->cutting++;
}

static void cancel_free(struct sl_worker *w, struct cancel *c)
{
	struct session *s = c->cuts.generation != 0 ? session_find(w, &c->cuts) : NULL;

	if (s != NULL) {
		s->cutting--;
		session_ready(s);
	}
	sl_tcp_release(c->peer.conn);
	sl_cleanse(c, sizeof(*c));
	w->nb_cancels--;
}

/* The target answers a cancel request by closing. */
void command_cancel_run(struct sl_worker *w, struct cancel *c)
{
	c->ready = false;
	if (c->n > 0 && sl_tcp_error(c->peer.conn) == 0 &&
	    sl_tcp_write(c->peer.conn, sl_span(c->bytes, c->n)) == c->n)
		c->n = 0;
	if (sl_tcp_error(c->peer.conn) < 0 || sl_tcp_eof(c->peer.conn))
		cancel_free(w, c);
}

void command_cancel_sweep(struct sl_worker *w)
{
	for (uint32_t i = 0; i < CANCELS_MAX && w->nb_cancels > 0; i++) {
		struct cancel *c = &w->cancels[i];

		if (c->used && c->ready)
			command_cancel_run(w, c);
		if (c->used && w->now_us >= c->deadline_us)
			cancel_free(w, c);
	}
}
