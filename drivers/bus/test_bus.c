#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "sl_bus.h"
#include "sl_counter.h"
#include "spsc.h"

#define NB_MSGS   8
#define EXCHANGES 20000
#define REFUSED   10 /* one of so many answers is */

static bool readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

static bool all_zero(const void *p, size_t n)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < n; i++) {
		if (b[i] != 0)
			return false;
	}
	return true;
}

static void test_bounds(void **state)
{
	struct sl_bus *b = sl_bus_new(2, NB_MSGS);
	struct sl_msg *m[NB_MSGS];

	(void)state;
	assert_null(sl_bus_new(0, NB_MSGS));
	assert_null(sl_bus_new(1, 0));
	assert_null(sl_bus_new(1, 7));
	assert_null(sl_bus_new(1, 1u << 31));
	assert_non_null(b);
	assert_int_equal(sl_bus_workers(b), 2);
	for (int i = 0; i < NB_MSGS; i++) {
		m[i] = sl_bus_worker_new(b, 1);
		assert_non_null(m[i]);
		assert_true(all_zero(m[i], sizeof(*m[i])));
		m[i]->type = SL_MSG_SESSION_END;
		m[i]->flow.index = (uint32_t)i;
	}
	assert_null(sl_bus_worker_new(b, 1));
	assert_null(sl_bus_worker_new(b, 2)); /* no such worker */
	assert_null(sl_bus_mgmt_recv(b, 2));
	for (int i = 0; i < NB_MSGS; i++)
		sl_bus_worker_send(b, 1, m[i]);
	assert_null(sl_bus_mgmt_recv(b, 0)); /* another worker's */
	for (int i = 0; i < NB_MSGS; i++) {
		struct sl_msg *r = sl_bus_mgmt_recv(b, 1);

		assert_ptr_equal(r, m[i]);
		assert_int_equal(r->flow.index, i);
		assert_null(sl_bus_worker_new(b, 1)); /* not free before it is done */
	}
	assert_null(sl_bus_mgmt_recv(b, 1));
	for (int i = 0; i < NB_MSGS; i++)
		sl_bus_mgmt_done(b, 1, m[i]);
	for (int i = 0; i < NB_MSGS; i++)
		assert_non_null(sl_bus_worker_new(b, 1));
	assert_null(sl_bus_worker_new(b, 1));
	sl_bus_free(b);
	sl_bus_free(NULL);
}

static void test_cleared(void **state)
{
	struct sl_bus *b = sl_bus_new(1, 1);
	struct sl_msg *m = sl_bus_worker_new(b, 0);

	(void)state;
	m->type = SL_MSG_AUTH;
	memset(m->auth.token, 's', sizeof(m->auth.token));
	m->auth.token_n = 5; /* shorter than what was written: the rest is cleared too */
	sl_bus_worker_send(b, 0, m);
	m = sl_bus_mgmt_recv(b, 0);
	assert_memory_equal(m->auth.token, "sssss", 5);
	sl_bus_mgmt_done(b, 0, m);
	assert_true(all_zero(m, sizeof(*m)));

	m = sl_bus_mgmt_new(b, 0);
	m->type = SL_MSG_AUTH_OK;
	assert_int_equal(sl_secret_set(&m->auth_ok.secret, SL_SPAN_LIT("hunter2")), 0);
	sl_bus_mgmt_send(b, 0, m);
	m = sl_bus_worker_recv(b, 0);
	assert_int_equal(m->auth_ok.secret.n, 7);
	sl_bus_worker_done(b, 0, m);
	assert_true(all_zero(m, sizeof(*m)));
	sl_bus_free(b);
}

/* A sender that changes its mind gives the message back with its own done. */
static void test_unsent(void **state)
{
	struct sl_bus *b = sl_bus_new(1, 2);
	uint64_t before = sl_counter_err_sum(SL_E_INVAL);
	struct sl_msg other;
	struct sl_msg *m;

	(void)state;
	for (int i = 0; i < 10; i++) {
		m = sl_bus_mgmt_new(b, 0);
		assert_non_null(m);
		m->type = SL_MSG_AUTH_OK;
		assert_int_equal(sl_secret_set(&m->auth_ok.secret, SL_SPAN_LIT("hunter2")), 0);
		sl_bus_mgmt_done(b, 0, m);
		assert_true(all_zero(m, sizeof(*m)));
		m = sl_bus_worker_new(b, 0);
		assert_non_null(m);
		sl_bus_worker_done(b, 0, m);
	}
	assert_null(sl_bus_worker_recv(b, 0));
	assert_null(sl_bus_mgmt_recv(b, 0));
	sl_bus_mgmt_done(b, 0, NULL);
	assert_int_equal(sl_counter_err_sum(SL_E_INVAL), before);
	/* What is no message of the bus is refused and counted. */
	memset(&other, 0, sizeof(other));
	sl_bus_mgmt_done(b, 0, &other);
	sl_bus_worker_done(b, 0, &other);
	sl_bus_mgmt_send(b, 0, &other);
	sl_bus_worker_send(b, 0, &other);
	assert_int_equal(sl_counter_err_sum(SL_E_INVAL), before + 4);
	assert_null(sl_bus_worker_recv(b, 0));
	assert_null(sl_bus_mgmt_recv(b, 0));
	sl_bus_free(b);
}

/* What comes back refused says for which flow, and nothing else; it is free again when it has been looked at.
 */
static void test_refused(void **state)
{
	struct sl_bus *b = sl_bus_new(2, NB_MSGS);
	uint64_t before = sl_counter_err_sum(SL_E_INVAL), n;
	bool seen[NB_MSGS] = {false};
	struct sl_msg *m, *own = sl_bus_worker_new(b, 1);

	(void)state;
	for (uint32_t i = 0; i < NB_MSGS; i++) {
		m = sl_bus_mgmt_new(b, 1);
		m->type = SL_MSG_AUTH_OK;
		m->flow = (struct sl_flow_ref){1, i, 7};
		assert_int_equal(sl_secret_set(&m->auth_ok.secret, SL_SPAN_LIT("hunter2")), 0);
		sl_bus_mgmt_send(b, 1, m);
	}
	assert_null(sl_bus_mgmt_refused(b, 1));
	for (uint32_t i = 0; i < NB_MSGS; i++) {
		m = sl_bus_worker_recv(b, 1);
		if (i % 2 == 0)
			sl_bus_worker_refuse(b, 1, m);
		else
			sl_bus_worker_done(b, 1, m);
	}
	sl_bus_worker_kick(b, 1);
	assert_int_equal(read(sl_bus_mgmt_fd(b), &n, sizeof(n)), sizeof(n));
	/* Those that were not refused can be used; the others are not lost by that. */
	for (uint32_t i = 0; i < NB_MSGS / 2; i++)
		assert_non_null(sl_bus_mgmt_new(b, 1));
	assert_null(sl_bus_mgmt_new(b, 1));
	assert_null(sl_bus_mgmt_refused(b, 0));
	for (uint32_t i = 0; i < NB_MSGS / 2; i++) {
		m = sl_bus_mgmt_refused(b, 1);
		assert_int_equal(m->type, SL_MSG_AUTH_OK);
		assert_int_equal(m->flow.worker, 1);
		assert_int_equal(m->flow.generation, 7);
		assert_in_range(m->flow.index, 0, NB_MSGS - 1);
		assert_false(seen[m->flow.index] || m->flow.index % 2 != 0);
		seen[m->flow.index] = true;
		assert_true(all_zero(&m->auth_ok, sizeof(m->auth_ok)));
		sl_bus_mgmt_done(b, 1, m);
	}
	assert_null(sl_bus_mgmt_refused(b, 1));
	for (uint32_t i = 0; i < NB_MSGS / 2; i++) {
		m = sl_bus_mgmt_new(b, 1);
		assert_non_null(m);
		assert_true(all_zero(m, sizeof(*m)));
	}
	assert_int_equal(sl_counter_err_sum(SL_E_INVAL), before);
	/* The worker's own, and one of another worker. */
	own->type = SL_MSG_AUTH;
	sl_bus_worker_refuse(b, 1, own);
	m = sl_bus_mgmt_new(b, 0);
	m->type = SL_MSG_AUTH_OK;
	sl_bus_worker_refuse(b, 1, m);
	assert_int_equal(sl_counter_err_sum(SL_E_INVAL), before + 2);
	/* Of one that has died nothing is taken. */
	sl_bus_mgmt_send(b, 0, m);
	sl_bus_worker_refuse(b, 0, sl_bus_worker_recv(b, 0));
	sl_bus_worker_gone(b, 0);
	assert_null(sl_bus_mgmt_refused(b, 0));
	sl_bus_free(b);
}

static void test_kick(void **state)
{
	struct sl_bus *b = sl_bus_new(2, 4);
	int fd = sl_bus_mgmt_fd(b);
	uint64_t n = 0;

	(void)state;
	sl_bus_worker_kick(b, 0);
	assert_false(readable(fd));
	sl_bus_worker_send(b, 0, sl_bus_worker_new(b, 0));
	sl_bus_worker_send(b, 0, sl_bus_worker_new(b, 0));
	sl_bus_worker_kick(b, 1); /* has sent nothing */
	assert_false(readable(fd));
	sl_bus_worker_kick(b, 0);
	sl_bus_worker_kick(b, 0);
	assert_true(readable(fd));
	assert_int_equal(read(fd, &n, sizeof(n)), sizeof(n));
	assert_int_equal(n, 1); /* one write for both */
	assert_false(readable(fd));
	/* A message given back wakes too: management may be waiting for one. */
	sl_bus_mgmt_send(b, 1, sl_bus_mgmt_new(b, 1));
	sl_bus_worker_done(b, 1, sl_bus_worker_recv(b, 1));
	sl_bus_worker_kick(b, 1);
	assert_true(readable(fd));
	sl_bus_free(b);
}

/* A worker that has died says and gets nothing more, and nothing of it stays in memory. */
static void test_gone(void **state)
{
	struct sl_bus *b = sl_bus_new(2, 4);
	struct sl_msg *up = sl_bus_worker_new(b, 0), *half = sl_bus_worker_new(b, 0),
	              *down = sl_bus_mgmt_new(b, 0), *other = sl_bus_worker_new(b, 1);

	(void)state;
	memset(up->auth.token, 't', sizeof(up->auth.token));
	memset(half, 'h', sizeof(*half)); /* it died before it sent this one */
	memset(&down->auth_ok.secret, 's', sizeof(down->auth_ok.secret));
	sl_bus_worker_send(b, 0, up);
	sl_bus_mgmt_send(b, 0, down);
	sl_bus_worker_send(b, 1, other);
	sl_bus_worker_gone(b, 0);
	sl_bus_worker_gone(b, 0);
	sl_bus_worker_gone(b, 7);
	assert_true(all_zero(up, sizeof(*up)));
	assert_true(all_zero(half, sizeof(*half)));
	assert_true(all_zero(down, sizeof(*down)));
	assert_null(sl_bus_mgmt_recv(b, 0));
	assert_null(sl_bus_mgmt_new(b, 0));
	assert_ptr_equal(sl_bus_mgmt_recv(b, 1), other);
	assert_non_null(sl_bus_mgmt_new(b, 1));
	sl_bus_free(b);
}

static void test_spsc_wraps(void **state)
{
	struct spsc q = {0};
	int v[4];

	(void)state;
	assert_true(spsc_init(&q, 4));
	/* Counters that pass 2^32 must not matter. */
	q.tail = q.head = q.head_seen = q.tail_seen = UINT32_MAX - 1;
	for (int round = 0; round < 3; round++) {
		assert_null(spsc_pop(&q));
		for (int i = 0; i < 4; i++)
			assert_true(spsc_push(&q, &v[i]));
		assert_false(spsc_push(&q, &v[0]));
		for (int i = 0; i < 4; i++)
			assert_ptr_equal(spsc_pop(&q), &v[i]);
	}
	spsc_fini(&q);
}

/* The worker asks EXCHANGES questions with a payload, the management thread answers each; both check the
 * payloads. */
struct peer {
	struct sl_bus *b;
	uint64_t bad;
};

static uint8_t pattern(uint32_t i)
{
	return (uint8_t)(i * 31u + 7u);
}

static void *worker_thread(void *arg)
{
	struct peer *p = arg;
	uint32_t asked = 0;
	uint32_t answered = 0;
	struct sl_msg *m;

	sl_counters_register("bus-worker");
	while (answered < EXCHANGES) {
		m = asked < EXCHANGES ? sl_bus_worker_new(p->b, 0) : NULL;
		if (m != NULL) {
			m->type = SL_MSG_AUTH;
			m->flow.index = asked;
			m->auth.token_n = 1 + asked % 300;
			memset(m->auth.token, pattern(asked), m->auth.token_n);
			sl_bus_worker_send(p->b, 0, m);
			asked++;
		}
		while ((m = sl_bus_worker_recv(p->b, 0)) != NULL) {
			if (m->type != SL_MSG_AUTH_OK || m->flow.index != answered ||
			    m->auth_ok.secret.b[0] != pattern(answered) || m->auth_ok.secret.b[1] != 0)
				p->bad++;
			if (answered % REFUSED == 0)
				sl_bus_worker_refuse(p->b, 0, m);
			else
				sl_bus_worker_done(p->b, 0, m);
			answered++;
		}
		sl_bus_worker_kick(p->b, 0);
	}
	return NULL;
}

static void answer(struct peer *p, struct sl_msg *ask, struct sl_msg *m)
{
	uint8_t c = pattern(ask->flow.index);

	for (uint32_t i = 0; i < ask->auth.token_n; i++)
		p->bad += ask->auth.token[i] != c;
	p->bad += ask->auth.token[ask->auth.token_n] != 0;
	m->type = SL_MSG_AUTH_OK;
	m->flow = ask->flow;
	if (sl_secret_set(&m->auth_ok.secret, sl_span(&c, 1)) != 0)
		p->bad++;
	sl_bus_mgmt_done(p->b, 0, ask);
	sl_bus_mgmt_send(p->b, 0, m);
}

/* Each once, in any order. */
static uint32_t take_refused(struct peer *p, bool *seen)
{
	struct sl_msg *m;
	uint32_t n;

	for (n = 0; (m = sl_bus_mgmt_refused(p->b, 0)) != NULL; n++) {
		p->bad += m->type != SL_MSG_AUTH_OK || m->flow.index >= EXCHANGES || seen[m->flow.index];
		if (m->flow.index < EXCHANGES)
			seen[m->flow.index] = true;
		sl_bus_mgmt_done(p->b, 0, m);
	}
	return n;
}

static void test_two_threads(void **state)
{
	static bool seen[EXCHANGES];
	struct peer w = {.b = sl_bus_new(1, NB_MSGS)};
	struct peer g = {.b = w.b};
	struct pollfd pfd = {.fd = sl_bus_mgmt_fd(w.b), .events = POLLIN};
	struct sl_msg *m;
	struct sl_msg *ask = NULL;
	uint32_t done = 0, refused = 0;
	uint64_t n;
	pthread_t t;

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, worker_thread, &w), 0);
	while (done < EXCHANGES) {
		/* A lost wake-up shows as this time-out. */
		assert_int_equal(poll(&pfd, 1, 20000), 1);
		assert_int_equal(read(pfd.fd, &n, sizeof(n)), sizeof(n));
		refused += take_refused(&g, seen);
		for (;;) {
			if (ask == NULL)
				ask = sl_bus_mgmt_recv(w.b, 0);
			m = ask != NULL ? sl_bus_mgmt_new(w.b, 0) : NULL;
			if (m == NULL)
				break; /* nothing asked, or none free: the next kick says when */
			answer(&g, ask, m);
			ask = NULL;
			done++;
		}
	}
	assert_int_equal(pthread_join(t, NULL), 0);
	refused += take_refused(&g, seen);
	assert_int_equal(refused, EXCHANGES / REFUSED);
	assert_int_equal(w.bad, 0);
	assert_int_equal(g.bad, 0);
	sl_bus_free(w.b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_bounds),     cmocka_unit_test(test_cleared),
	        cmocka_unit_test(test_unsent),     cmocka_unit_test(test_refused),
	        cmocka_unit_test(test_kick),       cmocka_unit_test(test_gone),
	        cmocka_unit_test(test_spsc_wraps), cmocka_unit_test(test_two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
