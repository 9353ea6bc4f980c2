/*
 * When a target's catalog is asked for, who waits for it, and what becomes of the question. The connection,
 * the flow and inspection are played; the rows are policies/catalog's to test.
 */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "catalog.h"
#include "sl_postgres.h"

#define AGE_US    (60 * 1000000ull)
#define SECOND_US 1000000ull

/* ---- what is played ---- */

enum answer {
	SILENT,
	ROWS,   /* the whole answer, then the end of the connection */
	BROKEN, /* the connection ends before the answer is whole */
	REFUSED,
};

#define HELD_MAX 16

static struct {
	struct sl_flow_host host; /* of the last question */
	enum answer answer;
	uint32_t nb_connects, nb_open; /* connections; flows that are open */
	uint64_t given_back;
	struct sl_catalog *set; /* what inspection was given last; it holds them: */
	struct sl_catalog *held[HELD_MAX];
	uint32_t nb_held;
	struct sl_snapshot snapshot;
	struct sl_resource resource;
	bool none_wanted;
} played;

struct sl_inspect {
	struct sl_catalog_wanted want;
};

const struct sl_decoder sl_postgres_decoder = {.name = "postgres", .state_bytes = 64};

int sl_flow_open(struct sl_flow *f, const struct sl_decoder *dec, void *dec_state,
                 const struct sl_decoder_cfg *cfg, const struct sl_flow_host *host, struct sl_buf_pool *pool)
{
	(void)f;
	(void)dec_state;
	(void)pool;
	assert_ptr_equal(dec, &sl_postgres_decoder);
	assert_true(cfg->message_max > 0);
	played.host = *host;
	played.nb_open++;
	return SL_OK;
}

void sl_flow_close(struct sl_flow *f)
{
	(void)f;
	played.nb_open--;
}

void sl_flow_set_stream(struct sl_flow *f, enum sl_side side, struct sl_stream s)
{
	(void)f;
	(void)s;
	assert_int_equal(side, SL_TARGET);
}

int sl_flow_login(struct sl_flow *f, const struct sl_login *l)
{
	(void)f;
	assert_true(sl_span_is(l->user, "gateway"));
	assert_true(sl_span_is(l->secret, "secret of the target"));
	assert_true(l->query.n > 0);
	return SL_OK;
}

int sl_flow_run(struct sl_flow *f)
{
	struct sl_event ev = {.kind = SL_EV_CATALOG, .catalog = {.end = true}};
	struct sl_event error = {.kind = SL_EV_ERROR, .error = {.text = SL_SPAN_LIT("permission denied")}};
	struct sl_verdict v;

	(void)f;
	switch (played.answer) {
	case ROWS:
		assert_int_equal(played.host.event(played.host.ctx, &ev, &v), SL_OK);
		return SL_CLOSED;
	case BROKEN:
		return SL_CLOSED;
	case REFUSED:
		assert_int_equal(played.host.event(played.host.ctx, &error, &v), SL_OK);
		return SL_E_PROTO_TARGET;
	default:
		return SL_OK;
	}
}

int sl_tcp_connect(struct sl_tcp *t, const struct sl_endpoint *to, void *user, uint64_t now_us,
                   struct sl_tcp_conn **out)
{
	static char connection;

	(void)t;
	(void)now_us;
	assert_true(sl_endpoint_eq(to, &played.resource.address));
	assert_int_equal(((struct peer *)user)->kind, PEER_CATALOG);
	*out = (struct sl_tcp_conn *)(void *)&connection;
	played.nb_connects++;
	return SL_OK;
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

struct sl_stream sl_stream_tcp(struct sl_tcp_conn *c)
{
	return (struct sl_stream){.st = c};
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

int sl_inspect_wants_catalog(struct sl_inspect *in, struct sl_catalog_wanted *out)
{
	*out = in->want;
	return played.none_wanted ? 0 : 1;
}

void sl_inspect_set_catalog(struct sl_inspect *in, struct sl_catalog *c)
{
	in->want.has = c;
	played.set = c;
	assert_true(played.nb_held < HELD_MAX);
	played.held[played.nb_held++] = sl_catalog_ref(c);
}

void worker_give_back(struct sl_worker *w, struct sl_snapshot *s)
{
	(void)w;
	assert_false(sl_snapshot_unref(s)); /* the test has one */
	played.given_back++;
}

void worker_random(void *out, size_t n)
{
	memset(out, 7, n);
}

/* ---- a worker and its sessions ---- */

static struct sl_worker w;

struct caller {
	struct session s;
	struct sl_inspect in;
};

static void worker_up(void)
{
	memset(&w, 0, sizeof(w));
	memset(&played, 0, sizeof(played));
	w.cfg.catalog_age_us = AGE_US;
	w.cfg.message_max = 1 << 20;
	w.now_us = 1000 * SECOND_US;
	atomic_init(&played.snapshot.refs, 1);
	played.snapshot.version = 1;
	played.snapshot.resources = &played.resource;
	played.snapshot.nb_resources = 1;
	played.resource.name = "shop";
	played.resource.address = (struct sl_endpoint){.port = 5432};
}

static void worker_down(void)
{
	catalogs_free(&w);
	while (played.nb_held > 0)
		sl_catalog_unref(played.held[--played.nb_held]);
	assert_int_equal(w.nb_fetches, 0);
	assert_int_equal(played.nb_open, 0);
	assert_int_equal(atomic_load(&played.snapshot.refs), 1);
}

static int login(struct caller *c, const char *database)
{
	memset(c, 0, sizeof(*c));
	c->in.want = (struct sl_catalog_wanted){
	        .resource = "shop", .database = database, .snapshot = &played.snapshot};
	c->s.w = &w;
	c->s.inspect = &c->in;
	c->s.target = played.resource.address;
	return catalog_login(&c->s, SL_SPAN_LIT("gateway"), SL_SPAN_LIT("secret of the target"));
}

/* The target answers what is asked now, in this way. */
static void answer(enum answer how)
{
	assert_int_equal(w.nb_fetches, 1);
	played.answer = how;
	catalog_notify(played.host.ctx, SL_TCP_EV_CONNECTED);
	assert_int_equal(catalogs_run(&w), 1);
	assert_int_equal(w.nb_fetches, 0);
	played.answer = SILENT;
}

static void served(struct caller *c)
{
	assert_int_equal(catalog_ready(&c->s), SL_OK);
	assert_ptr_equal(c->in.want.has, played.set);
	assert_non_null(c->in.want.has);
}

static void waits(struct caller *c, uint32_t nb_connects)
{
	assert_int_equal(catalog_ready(&c->s), SL_AGAIN);
	assert_int_equal(played.nb_connects, nb_connects);
}

static void refused(struct caller *c)
{
	assert_int_equal(catalog_ready(&c->s), SL_E_POLICY_CATALOG);
}

/* ---- tests ---- */

/* One question for all who wait for the same database, another for another one. */
static void test_shared(void **state)
{
	struct caller a, b, other;

	(void)state;
	worker_up();
	assert_int_equal(login(&a, "shop"), SL_OK);
	waits(&a, 1);
	assert_int_equal(login(&b, "shop"), SL_OK);
	waits(&b, 1);
	answer(ROWS);
	served(&a);
	served(&b);
	assert_int_equal(played.given_back, 1);
	assert_int_equal(login(&other, "hr"), SL_OK);
	waits(&other, 2);
	served(&a);
	answer(ROWS);
	served(&other);
	assert_ptr_not_equal(a.in.want.has, other.in.want.has);
	worker_down();
}

/* The credential changes between a question and its login: that goes with the one that it began with. */
static void test_credential_changes(void **state)
{
	struct caller a, b;

	(void)state;
	worker_up();
	assert_int_equal(login(&a, "shop"), SL_OK);
	waits(&a, 1);
	(void)memset(&b, 0, sizeof(b));
	b.in.want = a.in.want;
	b.s.w = &w;
	b.s.inspect = &b.in;
	b.s.target = played.resource.address;
	assert_int_equal(catalog_login(&b.s, SL_SPAN_LIT("gw"), SL_SPAN_LIT("newer")), SL_OK);
	answer(ROWS);
	served(&a);
	served(&b);
	worker_down();
}

/* Nobody is masked, or only since the login: there is no credential to ask with. */
static void test_not_wanted(void **state)
{
	struct caller a;

	(void)state;
	worker_up();
	played.none_wanted = true;
	assert_int_equal(login(&a, "shop"), SL_OK);
	assert_null(a.s.catalog);
	assert_int_equal(catalog_ready(&a.s), SL_OK);
	played.none_wanted = false;
	assert_int_equal(catalog_ready(&a.s), SL_E_POLICY_CHANGED);
	assert_int_equal(played.nb_connects, 0);
	worker_down();
}

/* An old one serves while a new one is asked for, a very old one nobody. */
static void test_age(void **state)
{
	struct caller a;

	(void)state;
	worker_up();
	assert_int_equal(login(&a, "shop"), SL_OK);
	waits(&a, 1);
	answer(ROWS);
	served(&a);
	w.now_us += AGE_US - 1;
	served(&a);
	assert_int_equal(played.nb_connects, 1);
	w.now_us += 1;
	served(&a);
	assert_int_equal(played.nb_connects, 2);
	answer(BROKEN);
	served(&a); /* the old one still */
	w.now_us += 4 * AGE_US - 1;
	served(&a);
	w.now_us += 1;
	answer(BROKEN);
	refused(&a);
	w.now_us += SECOND_US;
	waits(&a, 4);
	answer(ROWS);
	served(&a);
	worker_down();
}

/* Behind a change: a catalog that was asked for before it does not know of it. */
static void test_change(void **state)
{
	struct caller a, b;

	(void)state;
	worker_up();
	assert_int_equal(login(&a, "shop"), SL_OK);
	waits(&a, 1);
	sl_catalog_changed("shop");
	assert_int_equal(login(&b, "shop"), SL_OK);
	waits(&b, 1);
	answer(ROWS);
	served(&a); /* began to wait before the change */
	waits(&b, 2);
	sl_catalog_changed("shop"); /* later ones hold nobody up who waits already */
	answer(ROWS);
	served(&b);
	waits(&a, 3);
	answer(ROWS);
	served(&a);
	/* What was not committed yet when it was asked for: once more a second later, and then no more. */
	w.now_us += SECOND_US;
	served(&a);
	assert_int_equal(played.nb_connects, 4);
	answer(ROWS);
	w.now_us += SECOND_US;
	served(&a);
	assert_int_equal(played.nb_connects, 4);
	worker_down();
}

static void test_policy(void **state)
{
	struct caller a;

	(void)state;
	worker_up();
	assert_int_equal(login(&a, "shop"), SL_OK);
	answer(ROWS);
	served(&a);
	played.snapshot.version = 2;
	waits(&a, 2);
	answer(ROWS);
	served(&a);
	worker_down();
}

/* A name that the catalog does not have: one that is a second old is asked for again, a younger one will do.
 */
static void test_doubt(void **state)
{
	struct caller a;

	(void)state;
	worker_up();
	assert_int_equal(login(&a, "shop"), SL_OK);
	answer(ROWS);
	served(&a);
	a.in.want.doubted = true;
	served(&a);
	w.now_us += SECOND_US + 1;
	waits(&a, 2);
	answer(ROWS);
	served(&a);
	assert_int_equal(played.nb_connects, 2);
	worker_down();
}

/* Each way to fail refuses who waits; the next try is a second later, but a login's at once. */
static void test_failures(void **state)
{
	static const enum answer ways[] = {BROKEN, REFUSED};
	struct caller a;
	uint32_t n = 0;

	(void)state;
	worker_up();
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		assert_int_equal(login(&a, "shop"), SL_OK);
		waits(&a, ++n);
		answer(ways[i]);
		refused(&a);
		w.now_us += SECOND_US - 1;
		refused(&a);
		assert_int_equal(played.nb_connects, n);
		w.now_us += 1;
		waits(&a, ++n);
		answer(ways[i]);
		refused(&a);
		catalog_leave(&a.s);
	}
	assert_int_equal(login(&a, "shop"), SL_OK);
	waits(&a, ++n);
	w.now_us += 10 * SECOND_US - 1;
	(void)catalogs_run(&w);
	waits(&a, n);
	w.now_us += 1;
	(void)catalogs_run(&w);
	refused(&a);
	w.now_us += SECOND_US;
	played.snapshot.nb_resources = 0;
	refused(&a);
	assert_int_equal(played.nb_connects, n);
	w.now_us += SECOND_US;
	played.snapshot.nb_resources = 1;
	played.resource.address.port = 5433;
	refused(&a);
	assert_int_equal(played.nb_connects, n);
	catalog_leave(&a.s);
	worker_down();
}

/* The only one there is; NULL: none. */
static struct catalog *only_one(void)
{
	struct catalog *found = NULL;

	for (uint32_t i = 0; i < CATALOGS_MAX; i++) {
		if (w.catalogs[i] == NULL)
			continue;
		assert_null(found);
		found = w.catalogs[i];
	}
	return found;
}

static bool keeps_secret(void)
{
	static const char secret[] = "secret of the target";
	struct catalog *c = only_one();

	assert_non_null(c);
	return memmem(c, malloc_usable_size(c), secret, sizeof(secret) - 1) != NULL;
}

/* The credential is kept while somebody is there; a question that nobody waits for ends. */
static void test_leaving(void **state)
{
	struct caller a, b;

	(void)state;
	worker_up();
	assert_int_equal(login(&a, "shop"), SL_OK);
	assert_int_equal(login(&b, "shop"), SL_OK);
	answer(ROWS);
	catalog_leave(&a.s);
	assert_true(keeps_secret());
	served(&b);
	catalog_leave(&b.s);
	assert_false(keeps_secret());
	/* The catalog stays for the next caller, until it is too old for one. */
	assert_int_equal(login(&a, "shop"), SL_OK);
	served(&a);
	assert_int_equal(played.nb_connects, 1);
	catalog_leave(&a.s);
	w.now_us += AGE_US;
	(void)catalogs_run(&w);
	assert_null(only_one());
	assert_int_equal(login(&a, "shop"), SL_OK);
	waits(&a, 2);
	catalog_leave(&a.s);
	assert_true(keeps_secret()); /* the question is under way */
	(void)catalogs_run(&w);
	assert_int_equal(w.nb_fetches, 0);
	assert_int_equal(played.nb_open, 0);
	assert_false(keeps_secret());
	worker_down();
}

/* As many as there are places; one that nobody uses gives way. */
static void test_places(void **state)
{
	static struct caller c[CATALOGS_MAX + 1];
	static char name[CATALOGS_MAX + 1][8];

	(void)state;
	worker_up();
	for (uint32_t i = 0; i <= CATALOGS_MAX; i++) {
		(void)snprintf(name[i], sizeof(name[i]), "db%u", i);
		assert_int_equal(login(&c[i], name[i]), i < CATALOGS_MAX ? SL_OK : SL_E_LIMIT);
		if (i < CATALOGS_MAX)
			answer(ROWS);
	}
	catalog_leave(&c[5].s);
	assert_int_equal(login(&c[CATALOGS_MAX], name[CATALOGS_MAX]), SL_OK);
	answer(ROWS);
	served(&c[CATALOGS_MAX]);
	served(&c[6]);
	worker_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_credential_changes),
	        cmocka_unit_test(test_shared),
	        cmocka_unit_test(test_not_wanted),
	        cmocka_unit_test(test_age),
	        cmocka_unit_test(test_change),
	        cmocka_unit_test(test_policy),
	        cmocka_unit_test(test_doubt),
	        cmocka_unit_test(test_failures),
	        cmocka_unit_test(test_leaving),
	        cmocka_unit_test(test_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
