#include "catalog.h"
#include "worker_service.h"

#include <stdio.h>
#include <stdlib.h>

#include "sl_postgres.h"

static const struct sl_decoder *const decoders[] = {
        &sl_postgres_decoder,
};

static const struct sl_decoder *decoder_of(const char *name)
{
	for (size_t i = 0; i < sizeof(decoders) / sizeof(decoders[0]); i++) {
		if (strcmp(decoders[i]->name, name) == 0)
			return decoders[i];
	}
	return NULL;
}

bool sl_worker_protocol(const char *name)
{
	return decoder_of(name) != NULL || worker_service_known(name);
}

const char *sl_worker_alpn(const char *name)
{
	const struct sl_decoder *dec = decoder_of(name);

	return dec != NULL ? dec->alpn : NULL;
}

/* ---- what the flow asks of its host ---- */

/* Room to record whatever one feed may bring. */
static bool may_record(const struct session *s)
{
	return sl_store_blocks_free(s->w->cfg.store, s->w->cfg.worker) >= FEED_BLOCKS_MIN;
}

/*
 * An event of a command's reply. When one of another command's came in this feed already, what was passed up
 * to here is that one's: it is recorded before the command changes. SL_AGAIN: no room for that.
 */
static int reply_of(struct session *s, uint64_t cmd)
{
	bool behind = s->replied && cmd != s->cmd;
	int rc;

	if (cmd == 0)
		return SL_OK;
	if (behind && !may_record(s))
		return SL_AGAIN;
	rc = behind ? sl_flow_show(&s->flow) : SL_OK;
	if (rc != SL_OK)
		return rc;
	s->cmd = cmd;
	s->replied = true;
	return SL_OK;
}

static int host_event(void *ctx, const struct sl_event *ev, struct sl_verdict *v)
{
	struct session *s = ctx;
	int rc;

	switch (ev->kind) {
	case SL_EV_AUTH:
		return login_auth(s, &ev->auth, v);
	case SL_EV_CANCEL:
		return command_cancel(s->w, ev->cancel.pid, ev->cancel.key);
	case SL_EV_COMMAND:
		return command_event(s, ev, v);
	case SL_EV_SESSION:
		rc = catalog_ready(s);
		if (rc == SL_OK)
			rc = sl_inspect_event(s->inspect, ev, v, NULL);
		if (rc == SL_OK && v->action == SL_ACT_ALLOW) {
			s->state = SESSION_OPEN;
			s->opened = true;
			s->greeting = true;
			s->cancel_key_n = ev->session.cancel_key_n;
			sl_count(SL_C_SESSIONS);
			s->deadline_us = 0;
			login_free(s);
		}
		break;
	default:
		rc = reply_of(s, ev->cmd);
		/* A portal that goes on under a newer policy. */
		if (rc == SL_OK && ev->kind == SL_EV_ROWMETA && sl_inspect_outlived(s->inspect, ev->cmd))
			rc = catalog_ready(s);
		if (rc == SL_OK)
			rc = sl_inspect_event(s->inspect, ev, v, NULL);
		if (rc == SL_OK && ev->kind == SL_EV_ROWS && v->action == SL_ACT_DENY)
			command_cut(s);
		break;
	}
	worker_give_back(s->w, sl_inspect_released(s->w->inspect));
	return rc;
}

static int host_upgrade(void *ctx, enum sl_side side, bool direct, struct sl_span early)
{
	return login_upgrade(ctx, side, direct, early);
}

static size_t host_channel_binding(void *ctx, enum sl_side side, uint8_t *out)
{
	return login_channel_binding(ctx, side, out);
}

/*
 * may_feed made sure that there are blocks: when there are none all the same, the bytes must not go
 * unrecorded. But for the greeting: it holds the session's cancel key, and answers no command.
 */
static int host_tap(void *ctx, struct sl_span bytes)
{
	struct session *s = ctx;

	if (s->state != SESSION_OPEN || s->greeting)
		return SL_OK;
	return sl_inspect_reply(s->inspect, s->cmd, bytes) == SL_OK ? SL_OK : sl_fail(SL_E_STORE_WRITE);
}

static bool host_may_feed(void *ctx)
{
	struct session *s = ctx;

	s->greeting = false;
	s->replied = false;
	return may_record(s);
}

static uint64_t host_barrier(void *ctx)
{
	struct session *s = ctx;

	return sl_inspect_barrier(s->inspect);
}

static uint64_t host_durable(void *ctx)
{
	struct session *s = ctx;

	return sl_store_durable(s->w->cfg.store, s->w->cfg.worker);
}

const struct sl_flow_host session_flow_host = {
        .event = host_event,
        .upgrade = host_upgrade,
        .channel_binding = host_channel_binding,
        .tap = host_tap,
        .may_feed = host_may_feed,
        .barrier = host_barrier,
        .durable = host_durable,
};

/* ---- life ---- */

/* What any decoder wants for one call. */
size_t session_scratch_bytes(void)
{
	size_t most = 0;

	for (size_t i = 0; i < sizeof(decoders) / sizeof(decoders[0]); i++)
		most = decoders[i]->scratch_bytes > most ? decoders[i]->scratch_bytes : most;
	return most;
}

static size_t align64(size_t n)
{
	return (n + 63) & ~(size_t)63;
}

/* One block holds the session, its inspection and its decoder; blocks are used again. */
static struct session *session_alloc(struct sl_worker *w, const struct sl_decoder *dec)
{
	size_t inspect_at = align64(sizeof(struct session)),
	       dec_at = inspect_at + align64(sl_inspect_bytes());
	size_t bytes = dec_at + align64(dec->state_bytes);
	struct session *s = w->pool;

	if (s != NULL && s->bytes >= bytes) {
		w->pool = s->next;
		bytes = s->bytes;
	} else {
		s = aligned_alloc(64, bytes);
		if (s == NULL)
			return NULL;
	}
	memset(s, 0, bytes);
	s->bytes = bytes;
	s->inspect = (struct sl_inspect *)((uint8_t *)s + inspect_at);
	s->dec_state = (uint8_t *)s + dec_at;
	return s;
}

void session_free_pool(struct sl_worker *w)
{
	while (w->pool != NULL) {
		struct session *s = w->pool;

		w->pool = s->next;
		free(s);
	}
}

struct sl_flow_ref session_ref(const struct session *s)
{
	return (struct sl_flow_ref){s->w->cfg.worker, s->index, s->generation};
}

struct session *session_find(struct sl_worker *w, const struct sl_flow_ref *ref)
{
	struct session *s = ref->index < w->cfg.max_sessions ? w->sessions[ref->index] : NULL;

	return s != NULL && s->generation == ref->generation ? s : NULL;
}

void session_ready(struct session *s)
{
	if (s->ready)
		return;
	s->ready = true;
	TAILQ_INSERT_TAIL(&s->w->ready, s, ready_link);
	s->w->nb_ready++;
}

void session_unready(struct session *s)
{
	if (!s->ready)
		return;
	s->ready = false;
	TAILQ_REMOVE(&s->w->ready, s, ready_link);
	s->w->nb_ready--;
}

static void set_starving(struct session *s, bool starving)
{
	if (s->starving == starving)
		return;
	s->starving = starving;
	if (starving)
		TAILQ_INSERT_TAIL(&s->w->starving, s, starve_link);
	else
		TAILQ_REMOVE(&s->w->starving, s, starve_link);
}

/* Of a side that has a large buffer, since when it has it for this message. */
static void set_half(struct session *s, enum sl_side side, bool has)
{
	struct half *h = &s->half[side];
	uint64_t used = s->flow.leg[side].nb_used;

	if (has == (h->since_us != 0) && (!has || h->used == used))
		return;
	if (h->since_us != 0)
		TAILQ_REMOVE(&s->w->halves, h, link);
	*h = (struct half){.session = s, .since_us = has ? s->w->now_us : 0, .used = used};
	if (has)
		TAILQ_INSERT_TAIL(&s->w->halves, h, link);
}

/*
 * Large buffers are few. While there is one for everybody a message may take its time; when others wait for
 * one, whose message is not whole for long gives its own up.
 */
void session_half_messages(struct sl_worker *w)
{
	struct half *h = TAILQ_FIRST(&w->halves);

	if (h != NULL && sl_buf_no_large(w->bufs) && w->now_us - h->since_us >= HALF_MESSAGE_US)
		session_end(h->session, sl_fail(SL_E_FLOW_MESSAGE_TIME), SL_RSN_PROTOCOL,
		            sl_err_text(SL_E_FLOW_MESSAGE_TIME));
}

void session_waits_no_more(struct session *s)
{
	if (!s->waiting)
		return;
	s->waiting = false;
	TAILQ_REMOVE(&s->w->waiting, s, waiting_link);
	s->w->nb_waiting--;
}

/*
 * Clients that have not said who they are cannot keep others out: when there are too many, the oldest goes.
 * One that is at work says it within a few round trips. (It is only marked: a connection cannot be dropped
 * inside the stack's accept. What a burst brings meanwhile the margin holds.)
 */
static void evict(struct sl_worker *w)
{
	struct session *s = TAILQ_FIRST(&w->waiting);
	uint32_t margin = w->cfg.max_sessions / EVICT_SHARE;

	if (s == NULL || (w->nb_waiting < w->cfg.max_unauthenticated && w->nb_free > margin))
		return;
	s->evicted = true;
	session_end(s, sl_fail(SL_E_FLOW_UNAUTH), SL_RSN_NONE, "no login, and others wait");
}

void *session_accept(struct sl_worker *w, const struct sl_worker_listener *l, struct sl_tcp_conn *c)
{
	const struct sl_decoder *dec = decoder_of(l->protocol);
	struct sl_decoder_cfg cfg = {
	        .client_tls_offered = l->tls != NULL,
	        .client_tls_required = !l->insecure,
	        .message_max = w->cfg.message_max,
	        .scratch = w->scratch,
	};
	struct sl_flow_host host = session_flow_host;
	struct sl_endpoint client = sl_tcp_remote(c);
	struct session *s;

	evict(w);
	if (w->draining || w->nb_free == 0 || dec == NULL) {
		sl_fail(SL_E_FLOW_LIMIT);
		return NULL;
	}
	s = session_alloc(w, dec);
	if (s == NULL) {
		sl_fail(SL_E_NOMEM);
		return NULL;
	}
	s->w = w;
	s->index = w->free_index[--w->nb_free];
	if (++w->generations[s->index] == 0)
		w->generations[s->index] = 1;
	s->generation = w->generations[s->index];
	s->state = SESSION_CLIENT;
	s->listener = l;
	s->deadline_us = w->now_us + w->cfg.login_timeout_us;
	s->peer[SL_CLIENT] = (struct peer){PEER_SESSION, SL_CLIENT, c, s};
	s->peer[SL_TARGET] = (struct peer){PEER_SESSION, SL_TARGET, NULL, s};
	w->sessions[s->index] = s;
	w->nb_sessions++;
	s->waiting = true;
	TAILQ_INSERT_TAIL(&w->waiting, s, waiting_link);
	w->nb_waiting++;
	sl_inspect_open(s->inspect, w->inspect, &client, l->protocol, l->tls != NULL);
	host.ctx = s;
	host.mem = w->mem;
	if (sl_flow_open(&s->flow, dec, s->dec_state, &cfg, &host, w->bufs) < 0)
		session_end(s, SL_E_INVAL, SL_RSN_NONE, "the decoder could not be opened");
	sl_flow_set_stream(&s->flow, SL_CLIENT, sl_stream_tcp(c));
	session_ready(s);
	return &s->peer[SL_CLIENT];
}

static void drop_stream(struct session *s, enum sl_side side, bool abort)
{
	struct peer *p = &s->peer[side];

	if (s->layer[side].ops != NULL)
		s->layer[side].ops->free(s->layer[side].st);
	s->layer[side] = (struct sl_stream){0};
	sl_flow_set_stream(&s->flow, side, (struct sl_stream){0});
	if (p->conn == NULL)
		return;
	if (abort)
		sl_tcp_abort(p->conn, s->w->now_us);
	else
		sl_tcp_release(p->conn);
	p->conn = NULL;
}

static void session_free(struct session *s)
{
	struct sl_worker *w = s->w;

	set_starving(s, false);
	set_half(s, SL_CLIENT, false);
	set_half(s, SL_TARGET, false);
	session_unready(s);
	session_waits_no_more(s);
	wheel_remove(&w->deadlines, &s->deadline);
	sl_flow_close(&s->flow);
	drop_stream(s, SL_CLIENT, s->undrained);
	drop_stream(s, SL_TARGET, false);
	login_free(s);
	catalog_leave(s);
	sl_inspect_free(s->inspect);
	w->sessions[s->index] = NULL;
	w->free_index[w->nb_free++] = s->index;
	w->nb_sessions--;
	s->next = w->pool;
	w->pool = s;
}

void session_end(struct session *s, int err, enum sl_reason_code code, const char *why)
{
	struct sl_reason reason = {.code = code, .err = err, .message = sl_span_str(why)};
	struct sl_stream *target = &s->flow.leg[SL_TARGET].stream;

	if (s->state == SESSION_CLOSING)
		return;
	session_waits_no_more(s);
	set_half(s, SL_CLIENT, false);
	set_half(s, SL_TARGET, false);
	s->running = s->state == SESSION_OPEN && !s->flow.closed;
	snprintf(s->end_why, sizeof(s->end_why), "%s", why);
	s->end_err = err;
	if (s->held) {
		struct sl_msg_decision d = {.approval = s->approval, .decision = SL_DECISION_CANCELLED};

		snprintf(d.note, sizeof(d.note), "%s", why);
		command_decide(s, &d);
	}
	sl_flow_bye(&s->flow, code == SL_RSN_NONE ? NULL : &reason);
	s->state = SESSION_CLOSING;
	s->deadline_us = s->w->now_us + LINGER_US;
	if (s->running)
		command_cancel_target(s);
	if (target->ops != NULL)
		target->ops->shutdown(target->st);
	session_ready(s);
}

/* Tells the management core that a session it counts is gone. SL_AGAIN: no message free. */
static int say_ended(struct session *s)
{
	struct sl_worker *w = s->w;
	struct sl_msg *m;

	if (!s->authenticated)
		return SL_OK;
	m = sl_bus_worker_new(w->cfg.bus, w->cfg.worker);
	if (m == NULL)
		return SL_AGAIN;
	m->type = SL_MSG_SESSION_END;
	m->flow = session_ref(s);
	m->session = sl_inspect_session(s->inspect);
	sl_bus_worker_send(w->cfg.bus, w->cfg.worker, m);
	s->authenticated = false;
	return SL_OK;
}

/* A breaker tripped: the lock holds, the management core keeps it and ends the identity's other sessions. */
static int say_locked(struct session *s)
{
	struct sl_worker *w = s->w;
	struct sl_msg *m;

	if (!sl_inspect_tripped(s->inspect))
		return SL_OK;
	m = sl_bus_worker_new(w->cfg.bus, w->cfg.worker);
	if (m == NULL)
		return SL_AGAIN;
	m->type = SL_MSG_LOCKED;
	m->flow = session_ref(s);
	sl_inspect_trip_take(s->inspect, &m->locked);
	sl_bus_worker_send(w->cfg.bus, w->cfg.worker, m);
	return SL_OK;
}

/* SL_OK: all is said, recorded and gone. */
static int closing_step(struct session *s)
{
	struct sl_worker *w = s->w;
	int rc;

	if (s->hold_ended && command_decide_step(s) == SL_AGAIN)
		return SL_AGAIN;
	if (!s->end_recorded) {
		rc = sl_inspect_close(s->inspect, s->end_err, sl_span_str(s->end_why),
		                      s->flow.leg[SL_CLIENT].nb_in, s->flow.leg[SL_CLIENT].nb_out);
		worker_give_back(w, sl_inspect_released(w->inspect));
		if (rc == SL_AGAIN)
			return SL_AGAIN;
		s->end_recorded = true;
		if (s->opened)
			sl_count(SL_C_SESSIONS_ENDED);
	}
	if (say_locked(s) == SL_AGAIN || say_ended(s) == SL_AGAIN)
		return SL_AGAIN;
	rc = s->evicted ? SL_E_FLOW_UNAUTH : sl_flow_drain(&s->flow);
	if (rc == SL_MORE && w->now_us < s->deadline_us)
		return SL_MORE;
	s->undrained = rc != SL_OK;
	return SL_OK;
}

/* The flow is over by error: who broke it, and what does the client hear? */
static void flow_failed(struct session *s, int err)
{
	const struct sl_flow_leg *target = &s->flow.leg[SL_TARGET], *client = &s->flow.leg[SL_CLIENT];

	if (client->end != SL_OK)
		session_end(s, err, SL_RSN_NONE, "the client closed the connection");
	else if (err == SL_E_TLS_VERIFY)
		session_end(s, err, SL_RSN_UNAVAILABLE, "the target's certificate was not accepted");
	else if (err == SL_E_TLS_ALPN && s->state == SESSION_CLIENT)
		session_end(s, err, SL_RSN_NONE, sl_err_text(err)); /* nobody who would understand a word */
	else if (err == SL_E_TLS_ALPN)
		session_end(s, err, SL_RSN_UNAVAILABLE,
		            "the target does not agree on the protocol inside TLS");
	else if (err == SL_E_PROTO_TARGET_AUTH)
		session_end(s, err, SL_RSN_UNAVAILABLE, "the target refused the stored credential");
	else if (err == SL_E_POLICY_CATALOG)
		session_end(s, err, SL_RSN_UNAVAILABLE, sl_err_text(err));
	else if (target->end != SL_OK)
		session_end(s, err, SL_RSN_UNAVAILABLE, "the target closed the connection");
	else if (err == SL_E_STORE_WRITE)
		session_end(s, err, SL_RSN_UNAVAILABLE, "the gateway cannot record this session");
	else
		session_end(s, err, SL_RSN_PROTOCOL, sl_err_text(err));
}

/*
 * Nothing moves any more, and TCP has given the client up, though what came last was not read: it waits for
 * room towards the client, for a decision, or for replies. (What the target will take as soon as it reads
 * still goes.)
 */
static bool client_lost(const struct session *s)
{
	const struct sl_tcp_conn *c = s->peer[SL_CLIENT].conn;
	const struct sl_flow_leg *leg = s->flow.leg;

	return (s->held || leg[SL_CLIENT].out.bytes > 0 || leg[SL_TARGET].out.bytes == 0) && c != NULL &&
	       sl_tcp_error(c) < 0;
}

static void run_flow(struct session *s)
{
	int rc;

	if (s->hold_ended && command_decide_step(s) == SL_AGAIN) {
		set_starving(s, true);
		return;
	}
	rc = sl_flow_run(&s->flow);
	set_starving(s, say_locked(s) == SL_AGAIN || rc == SL_AGAIN);
	for (enum sl_side side = SL_CLIENT; side <= SL_TARGET; side++)
		set_half(s, side, s->state != SESSION_CLOSING && sl_flow_has_large(&s->flow, side));
	if (rc == SL_CLOSED)
		session_end(s, SL_OK, SL_RSN_NONE, "closed by the client");
	else if (rc < 0)
		flow_failed(s, rc);
	else if (rc == SL_OK && client_lost(s))
		session_end(s, sl_tcp_error(s->peer[SL_CLIENT].conn), SL_RSN_NONE,
		            "the client closed the connection");
}

void session_run(struct session *s)
{
	if (s->state == SESSION_AUTH || s->state == SESSION_CONNECT)
		login_step(s);
	if (s->state != SESSION_CLOSING)
		run_flow(s);
	/* An answer that is still there found no room in the records: no stream tells when there is. */
	if (s->state == SESSION_AUTH && s->login->answer != NULL)
		set_starving(s, true);
	if (s->state == SESSION_CLOSING) {
		int rc = closing_step(s);

		set_starving(s, rc == SL_AGAIN);
		if (rc == SL_OK) {
			session_free(s);
			return;
		}
	}
	worker_arm(s);
}
