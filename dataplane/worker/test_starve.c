/*
 * A login that has to wait for room in the records goes on when there is room; who waits for a large buffer
 * gets one. The flow, inspection, the bus and TCP are played.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "catalog.h"
#include "sl_postgres.h"
#include "worker_service.h"

static struct {
	struct sl_flow_host host;
	struct sl_msg msg;
	struct sl_resource resource;
	bool no_room; /* for records */
	bool large;   /* the flow keeps half of a message */
	uint32_t nb_connects, nb_logins, nb_refused, nb_done;
} played;

struct sl_inspect {
	int nothing;
};

static char connections[2];

static int no_open(void *st, const struct sl_decoder_cfg *cfg, const struct sl_io *io)
{
	(void)st;
	(void)cfg;
	(void)io;
	return SL_OK;
}

const struct sl_decoder sl_postgres_decoder = {.name = "postgres", .state_bytes = 64, .open = no_open};

int sl_flow_open(struct sl_flow *f, const struct sl_decoder *dec, void *dec_state,
                 const struct sl_decoder_cfg *cfg, const struct sl_flow_host *host, struct sl_buf_pool *pool)
{
	(void)dec_state;
	(void)cfg;
	(void)pool;
	f->dec = dec;
	played.host = *host;
	return SL_OK;
}

/* The client is parked: the flow waits for nothing but its streams. */
int sl_flow_run(struct sl_flow *f)
{
	(void)f;
	return SL_OK;
}

void sl_flow_set_stream(struct sl_flow *f, enum sl_side side, struct sl_stream s)
{
	f->leg[side].stream = s;
}

int sl_flow_show(struct sl_flow *f)
{
	(void)f;
	return SL_OK;
}

int sl_flow_resume(struct sl_flow *f, const struct sl_verdict *v)
{
	(void)f;
	(void)v;
	return SL_OK;
}

int sl_flow_login(struct sl_flow *f, const struct sl_login *l)
{
	(void)f;
	(void)l;
	return SL_OK;
}

void sl_flow_bye(struct sl_flow *f, const struct sl_reason *reason)
{
	(void)reason;
	f->closed = true;
}

int sl_flow_drain(struct sl_flow *f)
{
	(void)f;
	return SL_OK;
}

void sl_flow_close(struct sl_flow *f)
{
	(void)f;
}

bool sl_flow_has_large(const struct sl_flow *f, enum sl_side side)
{
	(void)f;
	return side == SL_CLIENT && played.large;
}

size_t sl_inspect_bytes(void)
{
	return sizeof(struct sl_inspect);
}

void sl_inspect_open(struct sl_inspect *in, struct sl_inspect_worker *w, const struct sl_endpoint *client,
                     const char *protocol, bool client_tls)
{
	(void)in;
	(void)w;
	(void)client;
	(void)protocol;
	(void)client_tls;
}

int sl_inspect_login(struct sl_inspect *in, const struct sl_identity *who, struct sl_span resource,
                     struct sl_span database, struct sl_span target_user, struct sl_span app,
                     const struct sl_resource **res)
{
	(void)in;
	(void)who;
	(void)resource;
	(void)database;
	(void)target_user;
	(void)app;
	if (played.no_room)
		return SL_AGAIN;
	played.nb_logins++;
	*res = &played.resource;
	return SL_OK;
}

int sl_inspect_refused(struct sl_inspect *in, int err, struct sl_span user, struct sl_span resource,
                       struct sl_span text)
{
	(void)in;
	(void)err;
	(void)user;
	(void)resource;
	(void)text;
	if (played.no_room)
		return SL_AGAIN;
	played.nb_refused++;
	return SL_OK;
}

int sl_inspect_close(struct sl_inspect *in, int err, struct sl_span why, uint64_t nb_in, uint64_t nb_out)
{
	(void)in;
	(void)err;
	(void)why;
	(void)nb_in;
	(void)nb_out;
	return SL_OK;
}

void sl_inspect_free(struct sl_inspect *in)
{
	(void)in;
}

struct sl_id sl_inspect_session(const struct sl_inspect *in)
{
	(void)in;
	return (struct sl_id){0};
}

struct sl_snapshot *sl_inspect_released(struct sl_inspect_worker *w)
{
	(void)w;
	return NULL;
}

int sl_inspect_event(struct sl_inspect *in, const struct sl_event *ev, struct sl_verdict *v,
                     struct sl_msg_hold *hold)
{
	(void)in;
	(void)ev;
	(void)v;
	(void)hold;
	return SL_OK;
}

int sl_inspect_reply(struct sl_inspect *in, uint64_t cmd, struct sl_span bytes)
{
	(void)in;
	(void)cmd;
	(void)bytes;
	return SL_OK;
}

uint64_t sl_inspect_barrier(const struct sl_inspect *in)
{
	(void)in;
	return 0;
}

bool sl_inspect_outlived(const struct sl_inspect *in, uint64_t cmd)
{
	(void)in;
	(void)cmd;
	return false;
}

bool sl_inspect_tripped(const struct sl_inspect *in)
{
	(void)in;
	return false;
}

void sl_inspect_trip_take(struct sl_inspect *in, struct sl_msg_locked *out)
{
	(void)in;
	(void)out;
}

const char *sl_inspect_why(const struct sl_inspect *in)
{
	(void)in;
	return "";
}

struct sl_msg *sl_bus_worker_new(struct sl_bus *b, uint32_t worker)
{
	(void)b;
	(void)worker;
	return &played.msg;
}

void sl_bus_worker_send(struct sl_bus *b, uint32_t worker, struct sl_msg *m)
{
	(void)b;
	(void)worker;
	assert_ptr_equal(m, &played.msg);
}

void sl_bus_worker_done(struct sl_bus *b, uint32_t worker, struct sl_msg *m)
{
	(void)b;
	(void)worker;
	assert_ptr_equal(m, &played.msg);
	played.nb_done++;
}

uint32_t sl_store_blocks_free(struct sl_store *s, uint32_t worker)
{
	(void)s;
	(void)worker;
	return played.no_room ? 0 : 2048;
}

uint64_t sl_store_durable(const struct sl_store *s, uint32_t worker)
{
	(void)s;
	(void)worker;
	return 0;
}

struct sl_stream sl_stream_tcp(struct sl_tcp_conn *c)
{
	return (struct sl_stream){.st = c};
}

struct sl_endpoint sl_tcp_remote(const struct sl_tcp_conn *c)
{
	assert_non_null(c);
	return (struct sl_endpoint){.port = 40000};
}

int sl_tcp_error(const struct sl_tcp_conn *c)
{
	assert_non_null(c);
	return SL_OK;
}

void sl_tcp_release(struct sl_tcp_conn *c)
{
	assert_non_null(c);
}

void sl_tcp_abort(struct sl_tcp_conn *c, uint64_t now_us)
{
	assert_non_null(c);
	(void)now_us;
}

int sl_tcp_connect(struct sl_tcp *t, const struct sl_endpoint *to, void *user, uint64_t now_us,
                   struct sl_tcp_conn **out)
{
	(void)t;
	(void)to;
	(void)user;
	(void)now_us;
	*out = (struct sl_tcp_conn *)(void *)&connections[1];
	played.nb_connects++;
	return SL_OK;
}

int sl_layer_tls_new(struct sl_tls_ctx *ctx, struct sl_stream below, struct sl_stream *out)
{
	(void)ctx;
	(void)below;
	(void)out;
	return SL_E_NOMEM;
}

int sl_layer_tls_direct(struct sl_stream layer, struct sl_span early)
{
	(void)layer;
	(void)early;
	return SL_E_NOMEM;
}

const struct sl_tls *sl_layer_tls_session(struct sl_stream layer)
{
	(void)layer;
	return NULL;
}

size_t sl_tls_end_point(const struct sl_tls *t, uint8_t out[SL_TLS_END_POINT_MAX])
{
	(void)t;
	(void)out;
	return 0;
}

int catalog_login(struct session *s, struct sl_span user, struct sl_span secret)
{
	(void)s;
	(void)user;
	(void)secret;
	return SL_OK;
}

int catalog_ready(struct session *s)
{
	(void)s;
	return SL_OK;
}

void catalog_leave(struct session *s)
{
	(void)s;
}

int command_event(struct session *s, const struct sl_event *ev, struct sl_verdict *v)
{
	(void)s;
	(void)ev;
	(void)v;
	return SL_OK;
}

int command_cancel(struct sl_worker *w, uint32_t pid, struct sl_span key)
{
	(void)w;
	(void)pid;
	(void)key;
	return SL_OK;
}

bool command_cancel_target(struct session *s)
{
	(void)s;
	return false;
}

void command_cut(struct session *s)
{
	(void)s;
}

void command_decide(struct session *s, const struct sl_msg_decision *d)
{
	(void)s;
	(void)d;
}

int command_decide_step(struct session *s)
{
	(void)s;
	return SL_OK;
}

bool worker_service_known(const char *protocol)
{
	(void)protocol;
	return false;
}

void worker_arm(struct session *s)
{
	(void)s;
}

void worker_give_back(struct sl_worker *w, struct sl_snapshot *s)
{
	(void)w;
	assert_null(s);
}

void worker_random(void *out, size_t n)
{
	memset(out, 7, n);
}

/* ---- a worker and a session that has shown its token ---- */

static struct sl_worker w;
static struct session *sessions[1];
static uint32_t generations[1], free_index[1];
static const struct sl_worker_listener listener = {.protocol = "postgres", .name = "pg", .insecure = true};

/* What the worker does for a session that is ready. */
static void run_ready(void)
{
	while (!TAILQ_EMPTY(&w.ready)) {
		struct session *s = TAILQ_FIRST(&w.ready);

		session_unready(s);
		session_run(s);
	}
}

/* What poll_store() does when the store has moved on. */
static void store_moved(void)
{
	struct session *s;

	TAILQ_FOREACH(s, &w.starving, starve_link)
	session_ready(s);
}

static struct session *at_auth(void)
{
	struct sl_event ev = {.kind = SL_EV_AUTH,
	                      .auth = {.user = SL_SPAN_LIT("shop"),
	                               .database = SL_SPAN_LIT("shop"),
	                               .token = SL_SPAN_LIT("token"),
	                               .step = SL_AUTH_TOKEN}};
	struct sl_verdict v = {0};
	struct session *s;

	memset(&w, 0, sizeof(w));
	memset(&played, 0, sizeof(played));
	w.cfg.max_sessions = 1;
	w.cfg.max_unauthenticated = 1;
	w.cfg.login_timeout_us = 30 * 1000000ull;
	w.cfg.nb_workers = 1;
	w.sessions = sessions;
	w.generations = generations;
	w.free_index = free_index;
	w.nb_free = 1;
	w.now_us = 1000 * 1000000ull;
	TAILQ_INIT(&w.ready);
	TAILQ_INIT(&w.starving);
	TAILQ_INIT(&w.waiting);
	TAILQ_INIT(&w.halves);
	wheel_init(&w.deadlines, w.now_us);
	assert_non_null(session_accept(&w, &listener, (struct sl_tcp_conn *)(void *)&connections[0]));
	s = sessions[0];
	assert_int_equal(played.host.event(played.host.ctx, &ev, &v), SL_OK);
	assert_int_equal(v.action, SL_ACT_PARK);
	assert_int_equal(s->state, SESSION_AUTH);
	run_ready();
	return s;
}

static void end(struct session *s)
{
	session_end(s, SL_OK, SL_RSN_NONE, "the test is over");
	run_ready();
	assert_null(sessions[0]);
	session_free_pool(&w);
}

/* ---- tests ---- */

/* The management core has said yes; the record of it must wait, and so does the login: until there is room.
 */
static void test_accepted_without_room(void **state)
{
	struct session *s = at_auth();

	(void)state;
	played.no_room = true;
	played.msg.type = SL_MSG_AUTH_OK;
	login_answer(s, &played.msg);
	run_ready();
	assert_int_equal(s->state, SESSION_AUTH);
	assert_int_equal(played.nb_connects, 0);
	played.no_room = false;
	store_moved();
	run_ready();
	assert_int_equal(played.nb_logins, 1);
	assert_int_equal(played.nb_connects, 1);
	assert_int_equal(s->state, SESSION_CONNECT);
	end(s);
}

static void test_refused_without_room(void **state)
{
	struct session *s = at_auth();

	(void)state;
	played.no_room = true;
	played.msg.type = SL_MSG_AUTH_NO;
	played.msg.auth_no.err = SL_E_JWT_EXPIRED;
	login_answer(s, &played.msg);
	run_ready();
	assert_int_equal(played.nb_refused, 0);
	played.no_room = false;
	store_moved();
	run_ready();
	assert_int_equal(played.nb_refused, 1);
	if (sessions[0] != NULL)
		end(s);
	session_free_pool(&w);
}

/* Half of a message keeps its buffer for as long as there is another; then for ten seconds in all. */
static void test_half_message(void **state)
{
	struct session *s = at_auth();
	struct sl_buf *its, *other;

	(void)state;
	w.bufs = sl_buf_pool_new(1 << 20, 8, 2, 0);
	assert_non_null(w.bufs);
	its = sl_buf_large(w.bufs);
	played.large = true;
	session_ready(s);
	run_ready();
	w.now_us += 60 * 1000000ull;
	session_half_messages(&w);
	assert_int_not_equal(s->state, SESSION_CLOSING);
	s->flow.leg[SL_TARGET].nb_used = 1000; /* the other side's */
	session_ready(s);
	run_ready();
	assert_true(s->half[SL_CLIENT].since_us < w.now_us);
	s->flow.leg[SL_CLIENT].nb_used = 1000; /* this is another message */
	session_ready(s);
	run_ready();
	other = sl_buf_large(w.bufs);
	w.now_us += 10 * 1000000ull - 1;
	session_half_messages(&w);
	assert_int_not_equal(s->state, SESSION_CLOSING);
	w.now_us++;
	session_half_messages(&w);
	assert_int_equal(s->state, SESSION_CLOSING);
	assert_int_equal(s->end_err, SL_E_FLOW_MESSAGE_TIME);
	assert_true(TAILQ_EMPTY(&w.halves));
	session_half_messages(&w);
	run_ready();
	assert_null(sessions[0]);
	sl_buf_put(w.bufs, its);
	sl_buf_put(w.bufs, other);
	sl_buf_pool_free(w.bufs);
	session_free_pool(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_accepted_without_room),
	        cmocka_unit_test(test_refused_without_room),
	        cmocka_unit_test(test_half_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
