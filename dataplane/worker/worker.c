#include "catalog.h"
#include "sl_fault.h"
#include "sl_ticks.h"
#include "tcp_answer.h"
#include "worker_service.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_pause.h>

/*
 * Backing off. After the last work a worker spins for a while (a reply is often near), then sleeps a little
 * longer each time, to a bound that keeps what only a look can find (the management core's messages, on some
 * ports packets) within a millisecond. Where ports can tell of packets, a packet ends all but the shortest
 * sleeps: those it may wait for, so that packets that are close together do not wake the worker one by one.
 */
#define IDLE_SPIN_US       60
#define IDLE_SLEEP_MIN_US  20
#define IDLE_DEAF_US       100 /* a sleep that is longer ends with a packet */
#define IDLE_SLEEP_MAX_US  800
#define IDLE_REST_AFTER_US (20 * 1000)
#define IDLE_REST_US       (10 * 1000)
#define TURN_NS            100000 /* the least that Linux gives */
#define IDLE_SLEEP_WAIT_US 20     /* while something waits for the store or the management core */

/* Of the smaller pool. Send queues have half of the stack's, receive queues a quarter: an eighth is left for
 * segments. */
#define PINNED_SHARE 8

#define CLOCK_SYNC_US   (1000 * 1000)
#define CLOCK_STEP_US   (1000 * 1000) /* from here on somebody has set the wall clock */
#define GIVE_BACK_US    1000
#define LEVELS_US       1000000
#define BACKLOG_DEFAULT 1024
#define STARVE_RETRY_US 500
#define READY_BURST     64 /* sessions that run before timers, packets and the watchdog have their turn */

void worker_random(void *out, size_t n)
{
	uint8_t *p = out;

	while (n > 0) {
		ssize_t got = getrandom(p, n, 0);

		if (got <= 0)
			continue; /* interrupted before the pool was ready, at boot only */
		p += got;
		n -= (size_t)got;
	}
}

static uint64_t timespec_us(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static uint64_t tsc_us(const struct sl_worker *w)
{
	return sl_ticks_us(rte_rdtsc(), w->tsc_scale);
}

/* The loop's clock counts from the same moment as CLOCK_MONOTONIC, in which the management core gives
 * deadlines. */
static void clock_start(struct sl_worker *w)
{
	w->tsc_scale = sl_ticks_scale(rte_get_tsc_hz());
	w->tsc_offset_us = timespec_us(CLOCK_MONOTONIC) - tsc_us(w);
}

static void clock_update(struct sl_worker *w)
{
	w->now_us = tsc_us(w) + w->tsc_offset_us;
	if (w->now_us >= w->next_clock_us) {
		uint64_t offset = timespec_us(CLOCK_REALTIME) - w->now_us;

		w->arm_all |= offset - w->wall_offset_us + CLOCK_STEP_US > 2 * CLOCK_STEP_US;
		w->wall_offset_us = offset;
		w->next_clock_us = w->now_us + CLOCK_SYNC_US;
	}
	w->wall_us = w->now_us + w->wall_offset_us;
	sl_inspect_worker_time(w->inspect, w->now_us, w->wall_us);
}

/* ---- TCP and the net below it ---- */

static void net_tcp(void *ctx, struct rte_mbuf **m, const struct sl_net_segment *seg, uint16_t n,
                    uint64_t now_us)
{
	struct sl_worker *w = ctx;

	sl_tcp_input(w->tcp, m, seg, n, now_us);
}

static void net_icmp(void *ctx, const struct sl_net_icmp_error *e, uint64_t now_us)
{
	struct sl_worker *w = ctx;

	sl_tcp_icmp_error(w->tcp, e, now_us);
}

static int tcp_output(void *ctx, struct rte_mbuf *m, const struct sl_addr *src, const struct sl_addr *dst,
                      uint8_t ecn, uint64_t now_us)
{
	struct sl_worker *w = ctx;

	return sl_net_output(w->net, m, src, dst, 6, ecn, now_us);
}

static void *tcp_accept(void *ctx, struct sl_tcp_listener *l, void *listener_user, struct sl_tcp_conn *c)
{
	void *user;

	(void)l;
	if (worker_service_accept(ctx, listener_user, c, &user))
		return user;
	return session_accept(ctx, listener_user, c);
}

static void tcp_notify(void *ctx, struct sl_tcp_conn *c, void *user, uint32_t events)
{
	struct peer *p = user;
	struct session *s;

	(void)c;
	if (worker_service_notify(ctx, user, events))
		return;
	if (p->kind == PEER_CANCEL) {
		((struct cancel *)p->owner)->ready = true;
		return;
	}
	if (p->kind == PEER_CATALOG) {
		catalog_notify(p->owner, events);
		return;
	}
	s = p->owner;
	if (s->peer[!p->side].conn != NULL)
		sl_tcp_prefetch(s->peer[!p->side].conn);
	if (p->side == SL_TARGET && (events & SL_TCP_EV_CONNECTED) != 0)
		s->target_open = true;
	session_ready(s);
}

static int tcp_route(void *ctx, const struct sl_addr *dst, struct sl_net_path *out)
{
	struct sl_worker *w = ctx;

	return sl_net_path(w->net, dst, out);
}

/* Replies from the target must reach this worker: the port knows which of ours make them. */
static uint16_t tcp_port_near(void *ctx, const struct sl_endpoint *local, const struct sl_endpoint *remote)
{
	struct sl_worker *w = ctx;
	struct sl_net_path path;

	if (w->cfg.nb_workers == 1 || sl_net_path(w->net, &remote->addr, &path) < 0)
		return local->port;
	return sl_port_pick(path.port, (uint16_t)w->cfg.worker, local, remote);
}

static const struct sl_tcp_ops tcp_ops = {
        .output = tcp_output,
        .accept = tcp_accept,
        .notify = tcp_notify,
        .route = tcp_route,
        .port_near = tcp_port_near,
};

/* ---- start ---- */

static int sessions_new(struct sl_worker *w)
{
	uint32_t n = w->cfg.max_sessions;

	w->sessions = calloc(n, sizeof(struct session *));
	w->generations = calloc(n, sizeof(uint32_t));
	w->free_index = calloc(n, sizeof(uint32_t));
	if (w->sessions == NULL || w->generations == NULL || w->free_index == NULL)
		return SL_E_NOMEM;
	for (uint32_t i = 0; i < n; i++)
		w->free_index[w->nb_free++] = n - 1 - i;
	return SL_OK;
}

static int stack_new(struct sl_worker *w)
{
	const struct sl_worker_cfg *cfg = &w->cfg;
	struct sl_tcp_cfg tcp = cfg->tcp;
	struct sl_net_cfg net = {
	        .worker = (uint16_t)cfg->worker,
	        .pool = cfg->pool,
	        .tcp_input = net_tcp,
	        .icmp_error = net_icmp,
	        .ctx = w,
	};
	int err;

	tcp.pool = cfg->pool;
	tcp.ops = &tcp_ops;
	tcp.ctx = w;
	if (tcp.max_conns == 0)
		tcp.max_conns = 2 * cfg->max_sessions + CANCELS_MAX + CATALOGS_MAX;
	if (tcp.max_time_wait == 0)
		tcp.max_time_wait = 4 * cfg->max_sessions;
	memcpy(tcp.secret, cfg->secret, sizeof(tcp.secret));
	err = sl_tcp_new(&tcp, &w->tcp);
	return err < 0 ? err : sl_net_new(cfg->net, &net, &w->net);
}

static int listen_all(struct sl_worker *w)
{
	uint32_t backlog = w->cfg.backlog != 0 ? w->cfg.backlog : BACKLOG_DEFAULT;

	for (uint32_t i = 0; i < w->cfg.nb_listeners; i++) {
		const struct sl_worker_listener *l = &w->cfg.listeners[i];
		union {
			const void *c;
			void *v;
		} user = {.c = l};
		int err = sl_tcp_listen(w->tcp, &l->address, backlog, user.v, &w->listeners[i]);

		if (err < 0)
			return err;
		sl_tcp_listener_caps(w->listeners[i], l->max_conns, l->max_bytes);
	}
	return SL_OK;
}

/* What the queues of flows may hold of the mbufs that bytes come in. TCP has bounds of its own. */
static size_t pinned_max(const struct sl_worker_cfg *cfg)
{
	uint32_t n = cfg->pool->size;

	if (cfg->rx_pool != NULL && cfg->rx_pool->size < n)
		n = cfg->rx_pool->size;
	return (size_t)(n / PINNED_SHARE) * rte_pktmbuf_data_room_size(cfg->pool);
}

int sl_worker_new(const struct sl_worker_cfg *cfg, struct sl_worker **out, char *err, size_t err_cap)
{
	struct sl_inspect_worker_cfg icfg = {
	        .worker = cfg->worker,
	        .store = cfg->store,
	        .usage = cfg->usage,
	        .id_salt = cfg->id_salt,
	        .reply_bytes_max = cfg->reply_bytes_max,
	        .record_replies = cfg->record_replies,
	};
	struct sl_worker *w;
	int rc;

	if (cfg->nb_listeners > SL_WORKER_LISTENERS_MAX || cfg->max_sessions == 0 ||
	    cfg->max_sessions > 0xffffff) {
		snprintf(err, err_cap, "too many listeners or sessions");
		return SL_E_LIMIT;
	}
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return SL_E_NOMEM;
	w->cfg = *cfg;
	if (w->cfg.catalog_age_us == 0)
		w->cfg.catalog_age_us = CATALOG_AGE_US;
	w->nb_blocks = sl_store_blocks_free(cfg->store, cfg->worker); /* nothing is on the way yet */
	TAILQ_INIT(&w->starving);
	TAILQ_INIT(&w->halves);
	TAILQ_INIT(&w->waiting);
	TAILQ_INIT(&w->ready);
	rc = sl_inspect_worker_new(&icfg, &w->inspect);
	if (rc == SL_OK)
		rc = sessions_new(w);
	if (rc == SL_OK)
		rc = stack_new(w);
	if (rc == SL_OK)
		rc = worker_services_new(w);
	if (rc == SL_OK) {
		w->bufs = sl_buf_pool_new(cfg->message_max + SL_BUF_SMALL,
		                          sl_buf_wanted(cfg->max_sessions, cfg->message_max),
		                          cfg->max_sessions / 16 + 16, pinned_max(cfg));
		w->mem = sl_mem_new(cfg->session_memory);
		w->scratch = malloc(session_scratch_bytes());
		rc = w->bufs == NULL || w->mem == NULL || w->scratch == NULL ? SL_E_NOMEM : listen_all(w);
	}
	if (rc < 0) {
		snprintf(err, err_cap, "worker %u: %s", cfg->worker, sl_err_text(rc));
		sl_worker_free(w);
		return rc;
	}
	*out = w;
	return SL_OK;
}

void sl_worker_free(struct sl_worker *w)
{
	if (w == NULL)
		return;
	if (w->hold_msg != NULL)
		sl_bus_worker_done(w->cfg.bus, w->cfg.worker, w->hold_msg);
	session_free_pool(w);
	if (w->bufs != NULL)
		catalogs_free(w);
	sl_buf_pool_free(w->bufs);
	worker_services_free(w);
	sl_mem_free(w->mem);
	free(w->scratch);
	if (w->net != NULL)
		sl_net_free(w->net);
	if (w->tcp != NULL)
		sl_tcp_free(w->tcp);
	if (w->inspect != NULL)
		sl_inspect_worker_free(w->inspect);
	free(w->sessions);
	free(w->generations);
	free(w->free_index);
	free(w);
}

/* ---- messages ---- */

/* Counts of snapshots go back to the management core, which frees them; kept here while no message is free.
 */
void worker_give_back(struct sl_worker *w, struct sl_snapshot *s)
{
	for (; s != NULL; s = sl_inspect_released(w->inspect)) {
		if (w->nb_to_free == sizeof(w->to_free) / sizeof(w->to_free[0])) {
			sl_fail(SL_E_LIMIT); /* no message for so long: it stays in memory, which is safe */
			return;
		}
		w->to_free[w->nb_to_free++] = s;
	}
	while (w->nb_to_free > 0) {
		struct sl_msg *m = sl_bus_worker_new(w->cfg.bus, w->cfg.worker);

		if (m == NULL)
			return;
		m->type = SL_MSG_SNAPSHOT_FREE;
		m->snapshot = w->to_free[--w->nb_to_free];
		sl_bus_worker_send(w->cfg.bus, w->cfg.worker, m);
	}
}

/* The caller; of a login whose answer lies here unread too, so that an order behind that answer counts. */
static const struct sl_identity *caller_of(const struct session *s)
{
	const struct sl_msg *answer = s->login != NULL ? s->login->answer : NULL;
	const struct sl_identity *who = sl_inspect_identity(s->inspect);

	return who == NULL && answer != NULL && answer->type == SL_MSG_AUTH_OK ? &answer->auth_ok.identity
	                                                                       : who;
}

static bool is_of(const struct session *s, const struct sl_identity *who)
{
	const struct sl_identity *is = caller_of(s);

	if (is == NULL || strcmp(is->issuer, who->issuer) != 0)
		return false;
	if (who->subject[0] == '\0')
		return strcmp(is->provider, who->provider) == 0;
	return strcmp(is->subject, who->subject) == 0 &&
	       (who->credential[0] == '\0' || strcmp(is->credential, who->credential) == 0);
}

static const char *kill_reason(const struct sl_identity *who)
{
	if (who->subject[0] == '\0')
		return "the policy has no longer this identity provider";
	return who->credential[0] != '\0' ? "the session credential was revoked"
	                                  : "session ended by an operator";
}

static void kill_sessions(struct sl_worker *w, const struct sl_msg *m)
{
	struct session *s = session_find(w, &m->flow);

	if (s != NULL)
		session_end(s, SL_E_FLOW_KILLED, SL_RSN_SHUTDOWN, "session ended by an operator");
	for (uint32_t i = 0; m->flow.generation == 0 && i < w->cfg.max_sessions; i++) {
		s = w->sessions[i];
		if (s == NULL || !is_of(s, &m->identity))
			continue;
		if (sl_inspect_locked(s->inspect))
			session_end(s, SL_E_POLICY_LOCKED, SL_RSN_SHUTDOWN, "your identity was locked");
		else
			session_end(s, SL_E_FLOW_KILLED, SL_RSN_SHUTDOWN, kill_reason(&m->identity));
	}
}

static void drain(struct sl_worker *w, uint64_t deadline_us)
{
	w->draining = true;
	w->drain_deadline_us = deadline_us;
	worker_services_end(w);
	for (uint32_t i = 0; i < w->cfg.nb_listeners; i++) {
		if (w->listeners[i] != NULL)
			sl_tcp_unlisten(w->tcp, w->listeners[i]);
		w->listeners[i] = NULL;
	}
	w->arm_all = true;
}

/* Not worth waiting for a message: the management core gives up on the question and says so. */
static void tcp_query(struct sl_worker *w, const struct sl_msg_tcp_query *q)
{
	struct sl_msg *m = sl_bus_worker_new(w->cfg.bus, w->cfg.worker);

	if (m == NULL) {
		sl_fail(SL_E_LIMIT);
		return;
	}
	tcp_query_answer(w->tcp, q, w->wall_offset_us, m);
	sl_bus_worker_send(w->cfg.bus, w->cfg.worker, m);
}

/* Takes the message. */
static void on_message(struct sl_worker *w, struct sl_msg *m)
{
	struct session *s = session_find(w, &m->flow);

	switch (m->type) {
	case SL_MSG_AUTH_OK:
	case SL_MSG_AUTH_NO:
	case SL_MSG_AUTH_SALT:
		if (s != NULL) {
			login_answer(s, m);
			return;
		}
		/* The client has left; the management core may count its session as live already. */
		sl_bus_worker_refuse(w->cfg.bus, w->cfg.worker, m);
		return;
	case SL_MSG_DECISION:
		if (s != NULL)
			command_decide(s, &m->decision);
		break;
	case SL_MSG_ASKED:
		if (s != NULL)
			command_asked(s, &m->approval);
		break;
	case SL_MSG_SNAPSHOT:
		worker_give_back(w, sl_inspect_worker_policy(w->inspect, m->snapshot));
		break;
	case SL_MSG_KILL:
		kill_sessions(w, m);
		break;
	case SL_MSG_CANCEL:
		(void)command_cancel(w, m->cancel.pid, sl_span(m->cancel.key, m->cancel.key_n));
		break;
	case SL_MSG_DRAIN:
		drain(w, m->deadline_us);
		break;
	case SL_MSG_TCP_QUERY:
		tcp_query(w, &m->tcp_query);
		break;
	default:
		sl_fail(SL_E_INVAL);
		break;
	}
	sl_bus_worker_done(w->cfg.bus, w->cfg.worker, m);
}

static uint32_t poll_bus(struct sl_worker *w)
{
	struct sl_msg *m;
	uint32_t n;

	for (n = 0; n < 64; n++) {
		m = sl_bus_worker_recv(w->cfg.bus, w->cfg.worker);
		if (m == NULL)
			break;
		on_message(w, m);
	}
	return n;
}

/* ---- the loop ---- */

/* What waits for the store: when it has moved on, or now and then for what it does not tell (pools,
 * messages). */
static uint32_t poll_store(struct sl_worker *w)
{
	uint64_t durable = sl_store_durable(w->cfg.store, w->cfg.worker);
	bool moved = durable != w->durable_seen;
	struct session *s;

	w->durable_seen = durable;
	if (TAILQ_EMPTY(&w->starving) || (!moved && w->now_us < w->next_starve_us))
		return 0;
	w->next_starve_us = w->now_us + STARVE_RETRY_US;
	session_half_messages(w);
	TAILQ_FOREACH(s, &w->starving, starve_link)
	session_ready(s);
	return moved ? 1 : 0;
}

/* Those that are ready now, or the first of them; what they make ready runs in the next loop. */
static uint32_t run_ready(struct sl_worker *w)
{
	uint32_t n = w->nb_ready < READY_BURST ? w->nb_ready : READY_BURST;

	for (uint32_t i = 0; i < n && !TAILQ_EMPTY(&w->ready); i++) {
		struct session *s = TAILQ_FIRST(&w->ready);

		session_unready(s);
		session_run(s);
	}
	return n;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t wall_to_loop(const struct sl_worker *w, uint64_t wall_us)
{
	return wall_us > w->wall_offset_us ? wall_us - w->wall_offset_us : 0;
}

void worker_arm(struct session *s)
{
	struct sl_worker *w = s->w;
	uint64_t due = s->deadline_us != 0 ? s->deadline_us : WHEEL_NO_ENTRY;
	uint64_t expires = s->state == SESSION_OPEN ? sl_inspect_expires_us(s->inspect) : 0;

	if (expires != 0)
		due = earlier(due, wall_to_loop(w, expires));
	if (s->held)
		due = earlier(due, wall_to_loop(w, s->hold_end_us));
	if (w->draining && s->state != SESSION_CLOSING)
		due = earlier(due, w->drain_deadline_us);
	wheel_set(&w->deadlines, &s->deadline, due);
}

static void check_deadline(struct sl_worker *w, struct session *s)
{
	uint64_t expires = sl_inspect_expires_us(s->inspect);

	command_hold_deadline(s);
	if (w->draining && w->now_us >= w->drain_deadline_us)
		session_end(s, SL_E_FLOW_KILLED, SL_RSN_SHUTDOWN, "the gateway is shutting down");
	else if (s->state == SESSION_OPEN && expires != 0 && w->wall_us >= expires)
		session_end(s, SL_E_JWT_EXPIRED, SL_RSN_SHUTDOWN, "the token has expired");
	else if (s->deadline_us == 0 || w->now_us < s->deadline_us)
		return;
	else if (s->state == SESSION_CONNECT || s->state == SESSION_TARGET)
		session_end(s, SL_E_TCP_TIMEOUT, SL_RSN_UNAVAILABLE, "the target did not answer in time");
	else if (s->state == SESSION_CLIENT || s->state == SESSION_AUTH)
		session_end(s, SL_E_FLOW_LOGIN_TIMEOUT, SL_RSN_PROTOCOL, "login took too long");
	session_ready(s);
}

static void on_deadline(void *ctx, struct wheel_entry *e)
{
	struct session *s = RTE_PTR_SUB(e, offsetof(struct session, deadline));

	check_deadline(ctx, s);
	worker_arm(s);
}

/* All sessions: the wall clock was set, or a drain has begun. */
static void arm_all(struct sl_worker *w)
{
	for (uint32_t i = 0; i < w->cfg.max_sessions; i++) {
		if (w->sessions[i] != NULL)
			worker_arm(w->sessions[i]);
	}
}

/* For who watches the gateway; after the worker's death they stay as they were. */
static void note_levels(struct sl_worker *w)
{
	w->next_levels_us = w->now_us + LEVELS_US;
	sl_level_set(SL_L_RX_MBUFS, rte_mempool_in_use_count(w->cfg.rx_pool));
	sl_level_set(SL_L_STACK_MBUFS, rte_mempool_in_use_count(w->cfg.pool));
	sl_level_set(SL_L_RECORD_BLOCKS, w->nb_blocks - sl_store_blocks_free(w->cfg.store, w->cfg.worker));
}

/* Costs nothing for a session that is not due. */
static void housekeep(struct sl_worker *w)
{
	if (w->arm_all)
		arm_all(w);
	w->arm_all = false;
	w->deadlines_left = wheel_run(&w->deadlines, w->now_us, on_deadline, w);
	if (w->now_us >= w->next_levels_us)
		note_levels(w);
	if (w->nb_to_free == 0 || w->now_us < w->next_give_us)
		return;
	w->next_give_us = w->now_us + GIVE_BACK_US;
	worker_give_back(w, NULL);
}

/* A dead worker's queues have no descriptor here. */
static bool can_wait(const struct sl_worker *w)
{
	return w->nb_wait > 0 && w->dead == 0;
}

/* For a packet, `us` at most. */
static void wait_for_packet(struct sl_worker *w, uint64_t us)
{
	for (uint16_t i = 0; i < w->nb_wait; i++)
		w->wait[i].revents = 0;
	if (sl_net_rest(w->net))
		(void)ppoll(w->wait, w->nb_wait, &(struct timespec){.tv_nsec = (long)us * 1000}, NULL);
	sl_net_wake(w->net);
	/* An interface that is down is an error that stays, which must not become a loop without rest. */
	for (uint16_t i = 0; i < w->nb_wait; i++) {
		if ((w->wait[i].revents & ~POLLIN) != 0) {
			nanosleep(&(struct timespec){.tv_nsec = IDLE_SLEEP_MAX_US * 1000L}, NULL);
			return;
		}
	}
}

/*
 * Deep rest, where the ports can tell of packets. What cannot wake the worker (TCP's timers, the management
 * core) may come later by IDLE_REST_US, which lets the keep-alives of thousands of sessions go together.
 * Packets that concern no session (answers to keep-alives, ARP) do not end it, and are not kept waiting
 * either.
 */
static bool may_rest(const struct sl_worker *w, uint64_t idle_us)
{
	return can_wait(w) && TAILQ_EMPTY(&w->starving) && !sl_tcp_paces(w->tcp) &&
	       (w->resting || idle_us >= IDLE_REST_AFTER_US);
}

static void back_off(struct sl_worker *w)
{
	uint64_t idle_us = w->now_us - w->last_work_us;
	uint64_t us;

	sl_count(SL_C_LOOPS_IDLE);
	/* Timers and deadlines that are due still: a loop runs a few, so that packets do not wait for
	 * thousands. */
	if (w->next_tcp_us <= w->now_us || w->deadlines_left)
		return;
	if (w->cfg.full_poll || idle_us < IDLE_SPIN_US) {
		rte_pause();
		return;
	}
	sl_count(SL_C_SLEEPS);
	if (may_rest(w, idle_us)) {
		w->resting = true;
		wait_for_packet(w, IDLE_REST_US);
		return;
	}
	us = idle_us / 4 < IDLE_SLEEP_MIN_US ? IDLE_SLEEP_MIN_US : idle_us / 4;
	if (us > IDLE_SLEEP_MAX_US)
		us = IDLE_SLEEP_MAX_US;
	if (!TAILQ_EMPTY(&w->starving))
		us = IDLE_SLEEP_WAIT_US;
	if (w->next_tcp_us > w->now_us && w->next_tcp_us - w->now_us < us)
		us = w->next_tcp_us - w->now_us;
	if (us > IDLE_DEAF_US && can_wait(w))
		wait_for_packet(w, us);
	else
		nanosleep(&(struct timespec){.tv_nsec = (long)us * 1000}, NULL);
}

/* What was done, packets that made no session ready aside. */
static uint32_t loop(struct sl_worker *w)
{
	uint64_t dead;
	uint32_t n;

	clock_update(w);
	dead = sl_fault_dead();
	if (unlikely(dead != w->dead))
		worker_heir_note(w, dead);
	w->nb_packets = sl_net_poll(w->net, w->now_us);
	n = poll_bus(w);
	n += poll_store(w);
	if (w->now_us >= w->next_net_us)
		w->next_net_us = sl_net_tick(w->net, w->now_us);
	n += run_ready(w);
	n += worker_services_run(w);
	if (w->nb_fetches > 0 || w->now_us >= w->next_catalog_us)
		n += catalogs_run(w);
	if (w->nb_cancels > 0)
		command_cancel_sweep(w);
	if (unlikely(w->to_reset != 0))
		n += worker_heir_run(w);
	housekeep(w);
	/* Who is answered now may speak to the management core before this thread goes on: it must have heard
	 * what the answer says (that a hold is over, say). */
	sl_bus_worker_kick(w->cfg.bus, w->cfg.worker);
	/* Sending arms timers, so that the next one is known only behind the flush; what a timer sends goes
	 * with it. */
	sl_tcp_flush(w->tcp, w->now_us);
	w->next_tcp_us = sl_tcp_tick(w->tcp, w->now_us);
	sl_tcp_flush(w->tcp, w->now_us);
	sl_net_flush(w->net);
	sl_store_kick(w->cfg.store, w->cfg.worker);
	sl_bus_worker_kick(w->cfg.bus, w->cfg.worker);
	return n;
}

/* That no session is left. */
static int say_stopped(struct sl_worker *w)
{
	struct sl_msg *m = sl_bus_worker_new(w->cfg.bus, w->cfg.worker);

	if (m == NULL)
		return SL_AGAIN;
	m->type = SL_MSG_STOPPED;
	m->flow.worker = w->cfg.worker;
	sl_bus_worker_send(w->cfg.bus, w->cfg.worker, m);
	sl_bus_worker_kick(w->cfg.bus, w->cfg.worker);
	return SL_OK;
}

/* A worker that has none of the sessions left is still needed: packets of the others' come in through its
 * queues, and the leading one finds their neighbours. */
static bool all_stopped(const struct sl_worker *w)
{
	uint64_t running = sl_fault_running();

	for (uint32_t i = 0; w->cfg.workers != NULL && i < w->cfg.nb_workers; i++) {
		if ((running >> i & 1) != 0 && !atomic_load(&w->cfg.workers[i]->stopped))
			return false;
	}
	return true;
}

/*
 * The sessions of all workers have ended and the management core knows; or the time for it is over, with a
 * store that cannot be written, say: then those that are left get their GAP record at the next start.
 */
static bool finished(struct sl_worker *w)
{
	if (!w->draining)
		return false;
	if (!atomic_load(&w->stopped) && w->nb_sessions == 0 && say_stopped(w) == SL_OK)
		atomic_store(&w->stopped, true);
	if (atomic_load(&w->stopped) && all_stopped(w))
		return true;
	return w->now_us >= w->drain_deadline_us + 2 * LINGER_US;
}

static void find_wait(struct sl_worker *w)
{
	int fds[SL_NET_PORTS_MAX * SL_PORT_WAIT_FDS];

	w->nb_wait = sl_net_wait_fds(w->net, fds, RTE_DIM(fds));
	for (uint16_t i = 0; i < w->nb_wait; i++)
		w->wait[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
}

/* As in linux/sched/types.h, whose other names are those of glibc's sched.h. */
struct sched_attributes {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

/*
 * Who asks for short turns gets the core sooner when it wakes up, while its share is that of the others
 * (EEVDF, Linux 6.12; kernels before that take the call and do nothing). On a core of its own it changes
 * nothing.
 */
static void ask_for_short_turns(void)
{
	struct sched_attributes a = {.size = sizeof(a)};

	if (syscall(SYS_sched_getattr, 0, &a, sizeof(a), 0) != 0 || a.policy != SCHED_OTHER)
		return;
	a.runtime = TURN_NS;
	(void)syscall(SYS_sched_setattr, 0, &a, 0);
}

int sl_worker_run(struct sl_worker *w)
{
	char name[16];
	int rc;

	snprintf(name, sizeof(name), "worker%u", w->cfg.worker);
	sl_counters_register(name);
	rc = sl_fault_enter(w->cfg.worker);
	if (rc < 0)
		return sl_fail(rc);
	clock_start(w);
	clock_update(w);
	wheel_init(&w->deadlines, w->now_us);
	/* Sleeps of tens of microseconds are only that short with a small slack. */
	prctl(PR_SET_TIMERSLACK, 1000UL, 0, 0, 0);
	ask_for_short_turns();
	find_wait(w);
	while (!finished(w)) {
		uint32_t done;

		sl_fault_beat();
		done = loop(w);
		if (done > 0 || (w->nb_packets > 0 && !w->resting)) {
			w->last_work_us = w->now_us;
			w->resting = false;
			sl_count(SL_C_LOOPS_BUSY);
		} else {
			back_off(w);
		}
	}
	/* The FINs of the last sessions; what is lost of them the peers find out by themselves. */
	sl_tcp_flush(w->tcp, w->now_us);
	sl_net_flush(w->net);
	sl_fault_leave();
	return SL_OK;
}
