#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "mgmt_priv.h"
#include "sl_counter.h"
#include "sl_fault.h"
#include "sl_log.h"
#include "wipe.h"

#define RETRY_INTERVAL_US                                                                                    \
	20000              /* between attempts to send what found no room, should a wake-up be missed        \
	                    */
#define POLL_BURST    16   /* messages of one worker in a turn: each may be a commit of the store */
#define LAST_TURNS    4    /* of the loop, when all is closed */
#define END_MARGIN_MS 1000 /* beyond the grace: workers stop at its end and then say so */
#define BEAT_S        1    /* between signs of life for the watchdog */

/* ---- messages from the workers ---- */

static void end_when_all_stopped(struct sl_mgmt *m)
{
	for (uint32_t i = 0; i < m->nb_workers; i++)
		if (!m->lanes[i].stopped && !m->lanes[i].gone)
			return;
	event_base_loopbreak(m->base);
}

static void on_stopped(struct sl_mgmt *m, uint32_t worker)
{
	m->lanes[worker].stopped = true;
	end_when_all_stopped(m);
}

/*
 * To the worker that it names; its own cancel requests a worker handles itself. They come from clients that
 * nobody knows: what would wait behind too much is lost, which a client must reckon with anyway.
 */
static void pass_cancel(struct sl_mgmt *m, uint32_t from, const struct sl_msg *msg)
{
	uint32_t to = msg->flow.worker;

	if (to >= m->nb_workers || to == from)
		return;
	if (m->lanes[to].nb >= MG_BACKLOG_MAX / 2)
		(void)sl_fail(SL_E_LIMIT);
	else
		mg_out_send(m, to, msg);
}

static void on_message(struct sl_mgmt *m, uint32_t worker, const struct sl_msg *msg)
{
	switch (msg->type) {
	case SL_MSG_AUTH:
		mg_auth(m, msg);
		break;
	case SL_MSG_HOLD:
		mg_approvals_hold(m->approvals, msg, mg_wall_us());
		break;
	case SL_MSG_HOLD_GONE:
		mg_approvals_gone(m->approvals, &msg->approval, mg_wall_us());
		break;
	case SL_MSG_SESSION_END:
		mg_sessions_end(m->sessions, &msg->flow);
		mg_approvals_session_end(m->approvals, &msg->session);
		break;
	case SL_MSG_LOCKED:
		mg_locks_add(m->locks, &msg->locked);
		break;
	case SL_MSG_SNAPSHOT_FREE:
		mg_policy_release(msg->snapshot);
		break;
	case SL_MSG_CANCEL:
		pass_cancel(m, worker, msg);
		break;
	case SL_MSG_TCP_PAGE:
	case SL_MSG_TCP_TRACE:
		mg_tcp_answer(m->tcp, msg);
		break;
	case SL_MSG_STOPPED:
		on_stopped(m, worker);
		break;
	default:
		sl_fail(SL_E_INVAL);
		break;
	}
}

/* True: there may be more. */
static bool poll_worker(struct sl_mgmt *m, uint32_t worker)
{
	struct sl_msg *msg;
	uint32_t n;

	/* Its client had left when the answer came. */
	while ((msg = sl_bus_mgmt_refused(m->bus, worker)) != NULL) {
		if (msg->type == SL_MSG_AUTH_OK)
			mg_sessions_end(m->sessions, &msg->flow);
		sl_bus_mgmt_done(m->bus, worker, msg);
	}
	/* A worker that does not read its answers gets no more of them: its questions wait in its own ring.
	 */
	for (n = 0; n < POLL_BURST && m->lanes[worker].nb < MG_BACKLOG_MAX; n++) {
		msg = sl_bus_mgmt_recv(m->bus, worker);
		if (msg == NULL)
			break;
		/* The ring is the worker's: what it says of others is not believed. */
		if (msg->type != SL_MSG_CANCEL)
			msg->flow.worker = worker;
		on_message(m, worker, msg);
		sl_bus_mgmt_done(m->bus, worker, msg);
	}
	return n == POLL_BURST;
}

static void poll_bus(struct sl_mgmt *m)
{
	const struct timeval retry = {.tv_usec = RETRY_INTERVAL_US}, at_once = {0};
	bool waiting = false, more = false;

	if (mg_gone_look(m) && m->draining)
		end_when_all_stopped(m);
	mg_out_flush(m);
	for (uint32_t i = 0; i < m->nb_workers; i++) {
		more = poll_worker(m, i) || more;
		waiting = waiting || m->lanes[i].nb > 0;
	}
	/* Behind: what else waits (the API, a stop, timers) has its turn before the workers have the next
	 * one. */
	if (more)
		event_del(m->ev_bus);
	else
		event_add(m->ev_bus, NULL);
	if (more || waiting)
		event_add(m->ev_retry, more ? &at_once : &retry);
}

static void on_bus(evutil_socket_t fd, short what, void *arg)
{
	uint64_t nb;

	/* Read first: what is sent after this makes it readable again. */
	while (read(fd, &nb, sizeof(nb)) < 0 && errno == EINTR)
		;
	poll_bus(arg);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	poll_bus(arg);
}

/* The watchdog looks at this thread when a worker has died; whose last word may have been lost. */
static void on_beat(evutil_socket_t fd, short what, void *arg)
{
	sl_fault_helper_beat(SL_FAULT_MGMT);
	poll_bus(arg);
}

/* ---- stopping ---- */

void sl_mgmt_stop(struct sl_mgmt *m, uint32_t grace_ms)
{
	const uint64_t one = 1;
	int saved = errno;
	ssize_t n;

	atomic_store(&m->grace_ms, grace_ms);
	do {
		n = write(m->stop_fd, &one, sizeof(one));
	} while (n < 0 && errno == EINTR);
	errno = saved;
}

/* A second stop can bring the deadline forward, so that an impatient operator is heard, and never puts it
 * off. */
static void on_stop(evutil_socket_t fd, short what, void *arg)
{
	struct sl_mgmt *m = arg;
	uint32_t grace_ms = atomic_load(&m->grace_ms);
	uint64_t now = mg_mono_us(), until = now + grace_ms * UINT64_C(1000), end_us, nb;
	struct sl_msg *msg = calloc(1, sizeof(*msg));
	struct timeval limit;

	while (read(fd, &nb, sizeof(nb)) < 0 && errno == EINTR)
		;
	sl_log(SL_LOG_INFO, "mgmt", "stopping: workers have %u ms to drain", grace_ms);
	if (!m->draining || until < m->drain_us)
		m->drain_us = until;
	m->draining = true;
	if (msg == NULL) {
		event_base_loopbreak(m->base);
		return;
	}
	msg->type = SL_MSG_DRAIN;
	msg->deadline_us = m->drain_us;
	for (uint32_t i = 0; i < m->nb_workers; i++) {
		msg->flow.worker = i;
		mg_out_send(m, i, msg);
	}
	free(msg);
	poll_bus(m);
	end_us = (m->drain_us > now ? m->drain_us - now : 0) + END_MARGIN_MS * UINT64_C(1000);
	limit = (struct timeval){.tv_sec = (time_t)(end_us / 1000000),
	                         .tv_usec = (suseconds_t)(end_us % 1000000)};
	event_add(m->ev_end, &limit);
	end_when_all_stopped(m); /* where none lives */
}

static void on_end(evutil_socket_t fd, short what, void *arg)
{
	struct sl_mgmt *m = arg;

	sl_log(SL_LOG_WARN, "mgmt", "not all workers have stopped in time");
	event_base_loopbreak(m->base);
}

/* ---- what the parts ask of the core ---- */

static void policy_changed(void *ctx, const struct sl_snapshot *snap)
{
	struct sl_mgmt *m = ctx;

	/* A provider that cannot be used is logged; the others go on. */
	(void)mg_oidc_policy(m->oidc, snap);
	mg_auth_policy(m, snap);
	sl_log(SL_LOG_INFO, "mgmt", "policy version %llu is in force", (unsigned long long)snap->version);
}

static void health(void *ctx, json_t *reasons)
{
	struct sl_mgmt *m = ctx;
	bool slow = false;

	for (uint32_t i = 0; i < m->nb_workers; i++)
		slow = slow || m->lanes[i].nb > 0;
	if (sl_store_failed(m->store))
		json_array_append_new(reasons, json_string("the store cannot be written"));
	if (mg_oidc_nb_down(m->oidc) > 0)
		json_array_append_new(reasons, json_string("an identity provider has no usable keys"));
	if (slow)
		json_array_append_new(reasons, json_string("a worker does not take its messages"));
	mg_gone_health(m, reasons);
	if (m->draining)
		json_array_append_new(reasons, json_string("the gateway is stopping"));
}

static bool worker_busy(void *ctx, uint32_t worker)
{
	const struct sl_mgmt *m = ctx;

	return m->lanes[worker].nb > 0 || m->lanes[worker].stopped || m->lanes[worker].gone;
}

/* ---- life ---- */

/* Salts must stay what they are over a restart: their key follows from the master key. */
static int open_screds(struct sl_mgmt *m)
{
	uint8_t salt_key[SL_SCRAM_KEY];
	struct mg_screds_cfg cfg = {.base = m->base,
	                            .store = m->store,
	                            .salt_key = salt_key,
	                            .nb_workers = m->nb_workers,
	                            .send = mg_out_send,
	                            .ctx = m};
	int rc = mg_creds_derive(m->creds, "session credential salt", salt_key);

	m->throttle = mg_throttle_new();
	if (rc == SL_OK && m->throttle == NULL)
		rc = sl_fail(SL_E_NOMEM);
	if (rc == SL_OK)
		rc = mg_screds_new(&cfg, &m->screds);
	sl_cleanse(salt_key, sizeof(salt_key));
	return rc;
}

/* Before any worker runs. */
static int open_usage(struct sl_mgmt *m, const struct sl_mgmt_cfg *cfg, char *err, size_t err_cap)
{
	int rc;

	m->usage_table = cfg->usage;
	rc = mg_locks_new(m->store, cfg->usage, m->nb_workers, mg_out_send, m, &m->locks);

	if (rc != SL_OK)
		snprintf(err, err_cap, "locks cannot be read: %s", sl_err_text(rc));
	if (rc != SL_OK)
		return rc;
	rc = mg_usage_new(m->base, m->store, cfg->usage, &m->usage);
	if (rc != SL_OK)
		snprintf(err, err_cap, "what limits have used cannot be read: %s", sl_err_text(rc));
	return rc;
}

/* Keys of masks follow from the master key and their names, so that equal names join over restarts and
 * policies. */
static int mask_key(void *ctx, const char *name, uint8_t out[SL_MASK_KEY_BYTES])
{
	const struct sl_mgmt *m = ctx;
	char use[MG_USE_MAX + 1];

	_Static_assert(SL_MASK_KEY_BYTES == MG_DERIVED_BYTES, "one block of HKDF is a key");
	if (snprintf(use, sizeof(use), "mask key %s", name) >= (int)sizeof(use))
		return sl_fail(SL_E_INVAL);
	return mg_creds_derive(m->creds, use, out);
}

static int open_parts(struct sl_mgmt *m, const struct sl_mgmt_cfg *cfg, char *err, size_t err_cap)
{
	const struct mg_policy_cfg policy = {.store = m->store,
	                                     .jobs = m->jobs,
	                                     .nb_workers = m->nb_workers,
	                                     .mask_keys = {mask_key, m},
	                                     .send = mg_out_send,
	                                     .changed = policy_changed,
	                                     .ctx = m};
	struct mg_rest_cfg rest = {.base = m->base,
	                           .listen = cfg->listen,
	                           .cert_file = cfg->cert_file,
	                           .key_file = cfg->key_file,
	                           .store = m->store,
	                           .oidc = m->oidc,
	                           .jobs = m->jobs,
	                           .tcp = m->tcp,
	                           .send = mg_out_send,
	                           .send_ctx = m,
	                           .status = cfg->status,
	                           .status_ctx = cfg->status_ctx,
	                           .health = health,
	                           .health_ctx = m,
	                           .nb_workers = m->nb_workers};
	int rc = mg_creds_new(cfg->master_key_file, m->store, &m->creds, err, err_cap);

	if (rc == SL_OK) {
		rc = mg_approvals_new(m->base, m->store, mg_out_send, m, &m->approvals);
		if (rc != SL_OK)
			snprintf(err, err_cap, "approvals cannot be read: %s", sl_err_text(rc));
	}
	if (rc == SL_OK) {
		rc = open_screds(m);
		if (rc != SL_OK)
			snprintf(err, err_cap, "session credentials cannot be read: %s", sl_err_text(rc));
	}
	if (rc == SL_OK)
		rc = open_usage(m, cfg, err, err_cap);
	if (rc == SL_OK)
		rc = mg_policy_new(&policy, cfg->policy_bootstrap, &m->policy, err, err_cap);
	if (rc != SL_OK)
		return rc;
	rest.policy = m->policy;
	rest.approvals = m->approvals;
	rest.creds = m->creds;
	rest.screds = m->screds;
	rest.locks = m->locks;
	rest.sessions = m->sessions;
	return mg_rest_new(&rest, &m->rest, err, err_cap);
}

static int open_loop(struct sl_mgmt *m)
{
	const struct timeval beat = {.tv_sec = BEAT_S};

	m->base = event_base_new();
	if (m->base != NULL && event_base_priority_init(m->base, 2) != 0)
		return sl_fail(SL_E_NOMEM);
	m->lanes = calloc(m->nb_workers, sizeof(*m->lanes));
	m->sessions = mg_sessions_new();
	if (m->base == NULL || m->lanes == NULL || m->sessions == NULL || m->stop_fd < 0)
		return sl_fail(SL_E_NOMEM);
	for (uint32_t i = 0; i < m->nb_workers; i++)
		m->lanes[i].tail = &m->lanes[i].head;
	m->ev_bus = event_new(m->base, sl_bus_mgmt_fd(m->bus), EV_READ | EV_PERSIST, on_bus, m);
	/* Workers first: a request that comes behind what one of them said is answered by it. */
	if (m->ev_bus != NULL)
		(void)event_priority_set(m->ev_bus, 0);
	m->ev_stop = event_new(m->base, m->stop_fd, EV_READ | EV_PERSIST, on_stop, m);
	m->ev_retry = event_new(m->base, -1, 0, on_retry, m);
	m->ev_end = event_new(m->base, -1, 0, on_end, m);
	m->ev_beat = event_new(m->base, -1, EV_PERSIST, on_beat, m);
	if (m->ev_bus == NULL || m->ev_stop == NULL || m->ev_retry == NULL || m->ev_end == NULL ||
	    m->ev_beat == NULL || event_add(m->ev_beat, &beat) != 0 || event_add(m->ev_bus, NULL) != 0 ||
	    event_add(m->ev_stop, NULL) != 0)
		return sl_fail(SL_E_NOMEM);
	m->tcp = mg_tcp_new(m->base, mg_out_send, worker_busy, m);
	if (m->tcp == NULL)
		return sl_fail(SL_E_NOMEM);
	if (mg_jobs_new(m->base, &m->jobs) != SL_OK)
		return SL_E_NOMEM;
	return mg_oidc_new(m->base, NULL, &m->oidc);
}

int sl_mgmt_new(const struct sl_mgmt_cfg *cfg, struct sl_mgmt **out, char *err, size_t err_cap)
{
	struct sl_mgmt *m;
	int rc;

	*out = NULL;
	err[0] = '\0';
	mg_wipe_init();
	if (cfg->nb_workers == 0 || cfg->nb_workers > sl_bus_workers(cfg->bus)) {
		snprintf(err, err_cap, "the bus has not as many workers");
		return sl_fail(SL_E_INVAL);
	}
	m = calloc(1, sizeof(*m));
	if (m == NULL)
		return sl_fail(SL_E_NOMEM);
	m->bus = cfg->bus;
	m->store = cfg->store;
	m->nb_workers = cfg->nb_workers;
	m->dead = cfg->dead;
	m->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	rc = open_loop(m);
	if (rc == SL_OK)
		rc = open_parts(m, cfg, err, err_cap);
	if (rc != SL_OK) {
		if (err[0] == '\0')
			snprintf(err, err_cap, "management core: %s", sl_err_text(rc));
		sl_mgmt_free(m);
		return rc;
	}
	*out = m;
	return SL_OK;
}

int sl_mgmt_run(struct sl_mgmt *m)
{
	sigset_t pipe_only;
	int rc;

	/* OpenSSL writes to sockets that the peer may have closed. */
	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe_only, NULL);
	poll_bus(m);
	rc = event_base_dispatch(m->base);
	mg_rest_stop(m->rest);
	return rc < 0 ? sl_fail(SL_E_SYS) : SL_OK;
}

/*
 * What workers said after the loop had ended, or had left to say when the time of a stop was up: a lock must
 * outlive it; what they gave back is counted. The rest ends with the process.
 */
static void take_last_messages(struct sl_mgmt *m)
{
	struct sl_msg *msg;

	(void)mg_gone_look(m); /* the word of one that has died since is not believed */
	for (uint32_t i = 0; i < m->nb_workers; i++) {
		while ((msg = sl_bus_mgmt_recv(m->bus, i)) != NULL) {
			if (msg->type == SL_MSG_SNAPSHOT_FREE)
				mg_policy_release(msg->snapshot);
			else if (msg->type == SL_MSG_LOCKED && m->locks != NULL)
				mg_locks_add(m->locks, &msg->locked);
			sl_bus_mgmt_done(m->bus, i, msg);
		}
	}
}

static void free_event(struct event *ev)
{
	if (ev != NULL)
		event_free(ev);
}

/* In this order: what may answer a request goes before the API, what the answers need goes after it. */
void sl_mgmt_free(struct sl_mgmt *m)
{
	if (m == NULL)
		return;
	sl_store_verify_bar(m->store); /* nobody waits for one that reads everything */
	mg_jobs_free(m->jobs);
	sl_store_verify_unbar(m->store);
	mg_oidc_free(m->oidc);
	mg_tcp_free(m->tcp);
	mg_rest_free(m->rest);
	if (m->lanes != NULL)
		take_last_messages(m);
	mg_out_free(m);
	mg_policy_free(m->policy);
	mg_approvals_free(m->approvals);
	mg_usage_free(m->usage);
	mg_locks_free(m->locks);
	mg_sessions_free(m->sessions);
	mg_screds_free(m->screds);
	mg_throttle_free(m->throttle);
	free(m->providers);
	mg_creds_free(m->creds);
	free_event(m->ev_bus);
	free_event(m->ev_stop);
	free_event(m->ev_retry);
	free_event(m->ev_end);
	free_event(m->ev_beat);
	if (m->base != NULL) {
		/* Connections that were closed above are freed by the loop, which goes round for that. */
		for (int i = 0; i < LAST_TURNS; i++)
			(void)event_base_loop(m->base, EVLOOP_NONBLOCK);
		event_base_free(m->base);
	}
	if (m->stop_fd >= 0)
		close(m->stop_fd);
	free(m);
}
