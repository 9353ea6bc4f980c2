#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oidc.h"
#include "sl_log.h"
#include "test_https.h"
#include "test_keys.h"

#define WALL_S    1750000000L
#define MINUTE_US (60ull * 1000000)

/* The provider of the test, and what went over the wire. */
struct world {
	struct event_base *base;
	struct mg_oidc *oidc;
	struct test_https *server;
	uint16_t port;
	char issuer[64];
	char *cert, *key;
	EVP_PKEY *sign;
	char *jwks, *discovery;
	int jwks_status;
	bool hang;
	unsigned nb_discovery, nb_jwks, nb_other;
	uint64_t mono_us;
	const char *algs[1];
	struct sl_idp idp;
	struct sl_snapshot snap;
	/* answers */
	unsigned nb_answers, nb_ok;
	int last_err;
	char subject[SL_BUS_NAME_MAX];
};

static void on_request(struct evhttp_request *req, void *ctx)
{
	struct world *w = ctx;
	const char *uri = evhttp_request_get_uri(req);

	if (w->hang)
		return;
	if (strcmp(uri, "/.well-known/openid-configuration") == 0) {
		w->nb_discovery++;
		test_https_reply(req, 200, w->discovery);
	} else if (strcmp(uri, "/jwks") == 0) {
		w->nb_jwks++;
		if (w->jwks_status == 302)
			evhttp_add_header(evhttp_request_get_output_headers(req), "Location", "/elsewhere");
		test_https_reply(req, w->jwks_status, w->jwks);
	} else {
		w->nb_other++;
		test_https_reply(req, 200, w->jwks);
	}
}

static uint64_t mono(void *ctx)
{
	return ((struct world *)ctx)->mono_us;
}

static uint64_t wall(void *ctx)
{
	return (uint64_t)WALL_S * 1000000;
}

static void set_discovery(struct world *w, const char *issuer, const char *jwks_uri)
{
	json_t *d = json_pack("{s:s,s:s}", "issuer", issuer, "jwks_uri", jwks_uri);

	free(w->discovery);
	w->discovery = json_dumps(d, 0);
	json_decref(d);
}

static void set_key(struct world *w, const char *kid)
{
	free(w->jwks);
	EVP_PKEY_free(w->sign);
	w->sign = test_key_new("ES256", 0);
	w->jwks = test_jwks(test_jwk(w->sign, "ES256", kid));
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct mg_oidc_clock clock = {mono, wall, w};
	char uri[128];

	sl_log_set_level(SL_LOG_ERROR);
	w->mono_us = 1000 * MINUTE_US;
	w->base = event_base_new();
	test_certificate(&w->cert, &w->key);
	w->server = test_https_new(w->base, w->cert, w->key, on_request, w);
	w->port = test_https_listen(w->server, 0);
	snprintf(w->issuer, sizeof(w->issuer), "https://127.0.0.1:%u", w->port);
	snprintf(uri, sizeof(uri), "%s/jwks", w->issuer);
	set_discovery(w, w->issuer, uri);
	set_key(w, "one");
	w->jwks_status = 200;
	w->algs[0] = "ES256";
	w->idp = (struct sl_idp){.name = "lab",
	                         .issuer = w->issuer,
	                         .audience = "sluice",
	                         .ca_pem = w->cert,
	                         .algorithms = {w->algs, 1},
	                         .leeway_s = 30};
	w->snap.idps = &w->idp;
	w->snap.nb_idps = 1;
	assert_int_equal(mg_oidc_new(w->base, &clock, &w->oidc), SL_OK);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	mg_oidc_free(w->oidc);
	test_https_free(w->server);
	event_base_loop(w->base, EVLOOP_NONBLOCK);
	event_base_free(w->base);
	EVP_PKEY_free(w->sign);
	free(w->cert);
	free(w->key);
	free(w->jwks);
	free(w->discovery);
	free(w);
	return 0;
}

static void on_answer(void *ctx, int err, const struct sl_identity *who, const struct sl_idp *idp)
{
	struct world *w = ctx;

	w->nb_answers++;
	w->nb_ok += err == SL_OK;
	w->last_err = err;
	if (err == SL_OK) {
		assert_ptr_equal(idp, &w->idp);
		snprintf(w->subject, sizeof(w->subject), "%s", who->subject);
	} else {
		assert_null(who);
	}
}

static void ask(struct world *w, const char *kid)
{
	char *token = test_sign(w->sign, "ES256", kid, test_claims(w->issuer, "alice", NULL, WALL_S));

	mg_oidc_verify(w->oidc, sl_span_str(token), on_answer, w);
	free(token);
}

/* Runs the loop until there are this many answers; 8 s at most. */
static void run_until(struct world *w, unsigned nb)
{
	for (int i = 0; i < 800 && w->nb_answers < nb; i++) {
		const struct timeval step = {.tv_usec = 10000};

		event_base_loopexit(w->base, &step);
		event_base_dispatch(w->base);
	}
	assert_int_equal(w->nb_answers, nb);
}

static int ask_wait(struct world *w, const char *kid)
{
	unsigned nb = w->nb_answers + 1;

	ask(w, kid);
	run_until(w, nb);
	return w->last_err;
}

static void start(struct world *w)
{
	assert_int_equal(mg_oidc_policy(w->oidc, &w->snap), SL_OK);
}

static void test_prefetch_and_accept(void **state)
{
	struct world *w = *state;

	start(w);
	assert_int_equal(mg_oidc_nb_down(w->oidc), 1);
	assert_int_equal(ask_wait(w, "one"), SL_OK);
	assert_string_equal(w->subject, "alice");
	assert_int_equal(w->nb_discovery, 1);
	assert_int_equal(w->nb_jwks, 1);
	assert_int_equal(mg_oidc_nb_down(w->oidc), 0);
	/* from now on without the network, and at once */
	for (int i = 0; i < 50; i++)
		ask(w, "one");
	assert_int_equal(w->nb_ok, 51);
	assert_int_equal(w->nb_jwks, 1);
}

static void test_unknown_issuer_asks_nobody(void **state)
{
	struct world *w = *state;
	char *token = test_sign(w->sign, "ES256", "one",
	                        test_claims("https://evil.example", "alice", NULL, WALL_S));

	start(w);
	assert_int_equal(ask_wait(w, "one"), SL_OK);
	mg_oidc_verify(w->oidc, sl_span_str(token), on_answer, w);
	assert_int_equal(w->last_err, SL_E_JWT_ISSUER);
	assert_int_equal(mg_oidc_nb_fetches(w->oidc), 1);
	free(token);
}

static void test_discovery_of_another_issuer(void **state)
{
	struct world *w = *state;
	char uri[128];

	snprintf(uri, sizeof(uri), "%s/jwks", w->issuer);
	set_discovery(w, "https://evil.example", uri);
	start(w);
	assert_int_equal(ask_wait(w, "one"), SL_E_IDP_DOWN);
	assert_int_equal(w->nb_jwks, 0);
}

static void test_jwks_uri_must_be_https(void **state)
{
	struct world *w = *state;
	char uri[128];

	snprintf(uri, sizeof(uri), "http://127.0.0.1:%u/jwks", w->port);
	set_discovery(w, w->issuer, uri);
	start(w);
	assert_int_equal(ask_wait(w, "one"), SL_E_IDP_DOWN);
	assert_int_equal(w->nb_jwks, 0);
}

static void test_redirect_not_followed(void **state)
{
	struct world *w = *state;

	w->jwks_status = 302;
	start(w);
	assert_int_equal(ask_wait(w, "one"), SL_E_IDP_DOWN);
	assert_int_equal(w->nb_jwks, 1);
	assert_int_equal(w->nb_other, 0);
}

static void test_answer_bounded(void **state)
{
	struct world *w = *state;

	free(w->jwks);
	w->jwks = malloc(MG_FETCH_BODY_MAX + 2);
	memset(w->jwks, ' ', MG_FETCH_BODY_MAX + 1);
	w->jwks[MG_FETCH_BODY_MAX + 1] = '\0';
	start(w);
	assert_int_equal(ask_wait(w, "one"), SL_E_IDP_DOWN);
}

static void test_certificate_of_another_root(void **state)
{
	struct world *w = *state;
	char *cert, *key;

	test_certificate(&cert, &key);
	w->idp.ca_pem = cert;
	start(w);
	assert_int_equal(ask_wait(w, "one"), SL_E_IDP_DOWN);
	assert_int_equal(w->nb_discovery, 0);
	free(cert);
	free(key);
}

/* The right root, but the certificate does not name this address. */
static void test_certificate_of_another_host(void **state)
{
	struct world *w = *state;
	char url[128];

	snprintf(url, sizeof(url), "https://127.0.0.2:%u/.well-known/openid-configuration", w->port);
	w->idp.discovery_url = url;
	start(w);
	assert_int_equal(ask_wait(w, "one"), SL_E_IDP_DOWN);
	assert_int_equal(w->nb_discovery, 0);
}

/* A03: tokens with unknown key ids do not storm the provider; a new key is found. */
static void test_unknown_kid_storm(void **state)
{
	struct world *w = *state;

	start(w);
	assert_int_equal(ask_wait(w, "one"), SL_OK);
	for (int i = 0; i < 100; i++)
		ask(w, "two");
	assert_int_equal(w->last_err, SL_E_JWT_KEY);
	assert_int_equal(w->nb_answers, 101);
	assert_int_equal(w->nb_jwks, 1);
	w->mono_us += MG_JWKS_REFRESH_US;
	for (int i = 0; i < 100; i++)
		ask(w, "three");
	run_until(w, 201);
	assert_int_equal(w->last_err, SL_E_JWT_KEY);
	assert_int_equal(w->nb_jwks, 2);
	ask(w, "three");
	assert_int_equal(w->nb_answers, 202);
	/* the known key still works while all this goes on, and a rotation is followed */
	ask(w, "one");
	assert_int_equal(w->last_err, SL_OK);
	w->mono_us += MG_JWKS_REFRESH_US;
	set_key(w, "two");
	assert_int_equal(ask_wait(w, "two"), SL_OK);
	assert_int_equal(w->nb_jwks, 3);
}

/* A03: keys live for their time, longer while the provider is down, and then no more. */
static void test_provider_down(void **state)
{
	struct world *w = *state;

	start(w);
	assert_int_equal(ask_wait(w, "one"), SL_OK);
	w->mono_us += 9 * MINUTE_US;
	ask(w, "one");
	assert_int_equal(w->nb_jwks, 1);
	w->mono_us += 2 * MINUTE_US;
	assert_int_equal(ask_wait(w, "one"), SL_OK); /* fetched again */
	assert_int_equal(w->nb_jwks, 2);
	test_https_stop(w->server);
	w->mono_us += 59 * MINUTE_US;
	assert_int_equal(ask_wait(w, "one"), SL_OK);
	w->mono_us += 2 * MINUTE_US;
	assert_int_equal(ask_wait(w, "one"), SL_E_IDP_DOWN);
	assert_int_equal(mg_oidc_nb_down(w->oidc), 1);
	ask(w, "one"); /* the next attempt is not made at once */
	assert_int_equal(w->last_err, SL_E_IDP_DOWN);
	w->mono_us += MG_JWKS_RETRY_US;
	assert_int_equal(test_https_listen(w->server, w->port), w->port);
	assert_int_equal(ask_wait(w, "one"), SL_OK);
}

static void test_queue_bounded(void **state)
{
	struct world *w = *state;

	start(w);
	for (int i = 0; i < MG_OIDC_WAITERS_MAX + 44; i++)
		ask(w, "one");
	assert_int_equal(w->nb_answers, 44);
	assert_int_equal(w->last_err, SL_E_LIMIT);
	run_until(w, MG_OIDC_WAITERS_MAX + 44);
	assert_int_equal(w->nb_ok, MG_OIDC_WAITERS_MAX);
}

static void test_silent_provider(void **state)
{
	struct world *w = *state;

	w->hang = true;
	start(w);
	assert_int_equal(ask_wait(w, "one"), SL_E_IDP_DOWN);
}

static void test_policy_changes(void **state)
{
	struct world *w = *state;
	struct sl_idp again = w->idp;
	struct sl_snapshot none = {0}, same = {.idps = &again, .nb_idps = 1};

	start(w);
	assert_int_equal(ask_wait(w, "one"), SL_OK);
	/* the same provider keeps its keys */
	assert_int_equal(mg_oidc_policy(w->oidc, &same), SL_OK);
	start(w);
	ask(w, "one");
	assert_int_equal(w->last_err, SL_OK);
	assert_int_equal(mg_oidc_nb_fetches(w->oidc), 1);
	/* one that goes leaves nobody waiting */
	w->mono_us += 20 * MINUTE_US;
	ask(w, "one");
	assert_int_equal(w->nb_answers, 2);
	assert_int_equal(mg_oidc_policy(w->oidc, &none), SL_OK);
	assert_int_equal(w->nb_answers, 3);
	assert_int_equal(w->last_err, SL_E_IDP_DOWN);
	ask(w, "one");
	assert_int_equal(w->last_err, SL_E_JWT_ISSUER);
}

static void test_bad_roots(void **state)
{
	struct world *w = *state;

	w->idp.ca_pem = "no certificate";
	assert_int_equal(mg_oidc_policy(w->oidc, &w->snap), SL_E_TLS_CONFIG);
	ask(w, "one");
	assert_int_equal(w->last_err, SL_E_JWT_ISSUER);
}

static void test_urls(void **state)
{
	static const char *const bad[] = {"",
	                                  "http://a/",
	                                  "https://",
	                                  "https:///x",
	                                  "ftp://a/",
	                                  "/x",
	                                  "https://u:p@a/",
	                                  "https://a/#f",
	                                  "https://a:0/",
	                                  "https://a:99999/",
	                                  "https://a b/"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(mg_fetch_url_ok(bad[i]));
	assert_true(mg_fetch_url_ok("https://idp.example"));
	assert_true(mg_fetch_url_ok("https://[::1]:8443/a?b=c"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	        T(test_prefetch_and_accept),
	        T(test_unknown_issuer_asks_nobody),
	        T(test_discovery_of_another_issuer),
	        T(test_jwks_uri_must_be_https),
	        T(test_redirect_not_followed),
	        T(test_answer_bounded),
	        T(test_certificate_of_another_root),
	        T(test_certificate_of_another_host),
	        T(test_unknown_kid_storm),
	        T(test_provider_down),
	        T(test_queue_bounded),
	        T(test_silent_provider),
	        T(test_policy_changes),
	        T(test_bad_roots),
	        cmocka_unit_test(test_urls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
