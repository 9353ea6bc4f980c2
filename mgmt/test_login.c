/* Session credentials from outside: the API that hands them out, and the logins of a worker's clients. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <openssl/evp.h>

#include "clock.h"
#include "sl_log.h"
#include "sl_scram.h"
#include "session_cred.h"
#include "test_gateway.h"
#include "throttle.h"

#define URL     "/v1/session-credentials"
#define MESSAGE "n=,r=abc,r=abcdef,s=x,i=4096,c=biws,r=abcdef"

static struct reply make(struct world *w, const char *sub, const char *body)
{
	char *token = token_for(w, sub, "agents");
	struct reply r = call(w, "POST", URL, token, JSON_TYPE, body);

	free(token);
	return r;
}

/* ---- a worker's client ---- */

static void send_step(struct world *w, enum sl_auth_step step, const char *id, const char *resource,
                      const uint8_t *proof)
{
	struct sl_msg *m = sl_bus_worker_new(w->bus, 0);

	assert_non_null(m);
	m->type = SL_MSG_AUTH;
	m->flow = (struct sl_flow_ref){0, 3, 9};
	m->auth.step = step;
	snprintf(m->auth.credential, sizeof(m->auth.credential), "%s", id);
	assert_int_equal(sl_endpoint_parse("10.9.0.1:4000", &m->auth.client), SL_OK);
	snprintf(m->auth.resource, sizeof(m->auth.resource), "%s", resource);
	if (proof != NULL) {
		memcpy(m->auth.proof, proof, SL_AUTH_PROOF_N);
		m->auth.token_n = sizeof(MESSAGE) - 1;
		memcpy(m->auth.token, MESSAGE, m->auth.token_n);
	}
	worker_send(w, m);
}

static void prove(const char *password, const struct sl_msg_auth_salt *s, uint8_t *proof, uint8_t *signature)
{
	uint8_t salted[32], client[32], server[32], stored[32], sig[32];

	assert_int_equal(PKCS5_PBKDF2_HMAC(password, (int)strlen(password), s->salt, (int)s->salt_n,
	                                   (int)s->iterations, EVP_sha256(), 32, salted),
	                 1);
	assert_int_equal(sl_scram_hmac(salted, SL_SPAN_LIT("Client Key"), client), SL_OK);
	assert_int_equal(sl_scram_hmac(salted, SL_SPAN_LIT("Server Key"), server), SL_OK);
	assert_int_equal(EVP_Digest(client, 32, stored, NULL, EVP_sha256(), NULL), 1);
	assert_int_equal(sl_scram_hmac(stored, SL_SPAN_LIT(MESSAGE), sig), SL_OK);
	assert_int_equal(sl_scram_hmac(server, SL_SPAN_LIT(MESSAGE), signature), SL_OK);
	for (int i = 0; i < 32; i++)
		proof[i] = client[i] ^ sig[i];
}

/* Both steps; the answer to the second, which is to be given back. */
static struct sl_msg *login(struct world *w, const char *id, const char *password, const char *resource,
                            enum sl_msg_type want, uint8_t *signature)
{
	uint8_t proof[32];
	struct sl_msg *m;

	send_step(w, SL_AUTH_SALT, id, resource, NULL);
	m = worker_wait(w, SL_MSG_AUTH_SALT);
	assert_int_equal(m->flow.index, 3);
	assert_int_equal(m->flow.generation, 9);
	assert_int_equal(m->auth_salt.iterations, SL_SCRAM_ITERATIONS);
	assert_int_equal(m->auth_salt.salt_n, SL_SCRAM_SALT);
	prove(password, &m->auth_salt, proof, signature);
	sl_bus_worker_done(w->bus, 0, m);
	send_step(w, SL_AUTH_PROOF, id, resource, proof);
	return worker_wait(w, want);
}

static void refused(struct world *w, const char *id, const char *password, const char *resource, int err,
                    const char *text)
{
	uint8_t signature[32];
	struct sl_msg *m = login(w, id, password, resource, SL_MSG_AUTH_NO, signature);

	assert_int_equal(m->auth_no.err, err);
	assert_string_equal(m->auth_no.text, text);
	sl_bus_worker_done(w->bus, 0, m);
}

static void put_target(struct world *w)
{
	assert_int_equal(status_as(w, "admins", "PUT", "/v1/credentials/shop-app", JSON_TYPE,
	                           "{\"username\":\"app\",\"password\":\"pw\"}"),
	                 204);
}

static void accepted(struct world *w, const char *id, const char *password)
{
	uint8_t signature[32];
	struct sl_msg *m = login(w, id, password, "shop", SL_MSG_AUTH_OK, signature);

	assert_memory_equal(m->auth_ok.signature, signature, 32);
	assert_string_equal(m->auth_ok.identity.subject, "bot");
	assert_string_equal(m->auth_ok.identity.credential, id);
	assert_string_equal(m->auth_ok.identity.groups, "agents");
	assert_string_equal(m->auth_ok.target_user, "app");
	assert_true(m->auth_ok.identity.expires_us <= mg_wall_us() + UINT64_C(300000000));
	sl_bus_worker_done(w->bus, 0, m);
}

static void test_login(void **state)
{
	struct world *w = *state;
	struct reply r = make(w, "bot", "{\"resources\":[\"shop\",\"crm\"],\"ttl_s\":300}");
	char id[32], password[64];
	struct sl_msg *m;

	put_target(w);
	assert_int_equal(r.status, 201);
	snprintf(id, sizeof(id), "%s", str(&r, "id"));
	snprintf(password, sizeof(password), "%s", str(&r, "password"));
	assert_int_equal(strlen(password), MG_SCRED_PASSWORD);
	assert_memory_equal(str(&r, "username"), "shop~", 5);
	assert_string_equal(str(&r, "username") + 5, id);
	done(&r);
	accepted(w, id, password);
	refused(w, id, "wrong", "shop", SL_E_SCRAM_PROOF, "authentication failed");
	refused(w, "aaaaaaaaaaaa", password, "shop", SL_E_CRED_UNKNOWN, "authentication failed");
	refused(w, id, password, "hr", SL_E_CRED_RESOURCE, "no such resource or not allowed");
	refused(w, id, password, "crm", SL_E_NOTFOUND, "no such resource or not allowed");
	/* a name that is none */
	send_step(w, SL_AUTH_SALT, "short", "shop", NULL);
	m = worker_wait(w, SL_MSG_AUTH_SALT); /* as any other */
	sl_bus_worker_done(w->bus, 0, m);
	/* over a restart */
	stop_mgmt(w);
	start_mgmt(w);
	accepted(w, id, password);
}

static void test_provider_gone(void **state)
{
	struct world *w = *state;
	struct reply r = make(w, "bot", "{\"resources\":[\"shop\"]}");
	char id[32], password[64], *text = malloc(16384), *name;
	struct sl_msg *m;

	put_target(w);
	snprintf(id, sizeof(id), "%s", str(&r, "id"));
	snprintf(password, sizeof(password), "%s", str(&r, "password"));
	done(&r);
	policy_text(w, "", text, 16384);
	name = strstr(text, "name: lab");
	memcpy(name, "name: bal", 9);
	assert_int_equal(status_as(w, "admins", "POST", "/v1/policies", YAML_TYPE, text), 200);
	/* whoever came by it is told to go, each worker once; whoever comes is refused */
	m = worker_wait(w, SL_MSG_KILL);
	assert_int_equal(m->flow.generation, 0);
	assert_string_equal(m->identity.provider, "lab");
	assert_string_equal(m->identity.issuer, w->idp.issuer);
	assert_string_equal(m->identity.subject, "");
	sl_bus_worker_done(w->bus, 0, m);
	refused(w, id, password, "shop", SL_E_CRED_PROVIDER, "authentication failed");
	free(text);
}

static void test_revoke(void **state)
{
	struct world *w = *state;
	struct reply r = make(w, "bot", "{\"resources\":[\"shop\"],\"ttl_s\":300}");
	char path[64], id[32], password[64], *other = token_for(w, "other", "agents"),
	                                     *token = token_for(w, "bot", "agents");
	struct sl_msg *m;

	put_target(w);
	snprintf(id, sizeof(id), "%s", str(&r, "id"));
	snprintf(password, sizeof(password), "%s", str(&r, "password"));
	snprintf(path, sizeof(path), URL "/%s", id);
	done(&r);
	accepted(w, id, password);
	assert_int_equal(status_of(w, "DELETE", path, other, NULL, NULL), 404);
	assert_int_equal(status_of(w, "DELETE", path, token, NULL, NULL), 204);
	m = worker_wait(w, SL_MSG_KILL);
	assert_int_equal(m->flow.generation, 0);
	assert_string_equal(m->identity.credential, id);
	assert_string_equal(m->identity.subject, "bot");
	sl_bus_worker_done(w->bus, 0, m);
	assert_int_equal(status_of(w, "DELETE", path, token, NULL, NULL), 404);
	refused(w, id, password, "shop", SL_E_CRED_UNKNOWN, "authentication failed");
	/* an operator may end anybody's */
	r = make(w, "bot", "{\"resources\":[\"shop\"]}");
	snprintf(path, sizeof(path), URL "/%s", str(&r, "id"));
	done(&r);
	assert_int_equal(status_as(w, "noc", "DELETE", path, NULL, NULL), 404);
	assert_int_equal(status_as(w, "ops", "DELETE", path, NULL, NULL), 204);
	free(token);
	free(other);
}

static void test_bodies(void **state)
{
	static const char *const bad[] = {"{}",
	                                  "{\"resources\":[]}",
	                                  "{\"resources\":\"shop\"}",
	                                  "{\"resources\":[\"a~b\"]}",
	                                  "{\"resources\":[1]}",
	                                  "{\"resources\":[\"shop\"],\"ttl_s\":59}",
	                                  "{\"resources\":[\"shop\"],\"ttl_s\":43201}",
	                                  "{\"resources\":[\"shop\"],\"ttl_s\":-1}",
	                                  "{\"resources\":[\"shop\"],\"ttl_s\":\"60\"}",
	                                  "{\"resources\":[\"shop\"],\"ttl_s\":60.5}",
	                                  "{\"resources\":[\"shop\"],\"groups\":[\"admins\"]}",
	                                  "[]"};
	struct world *w = *state;
	struct reply r;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		r = make(w, "bot", bad[i]);
		if (r.status != 400)
			fail_msg("%s gave %d", bad[i], r.status);
		done(&r);
	}
	for (int i = 0; i < MG_SCREDS_OF_IDENTITY; i++) {
		r = make(w, "bot", "{\"resources\":[\"shop\"]}");
		assert_int_equal(r.status, 201);
		done(&r);
	}
	r = make(w, "bot", "{\"resources\":[\"shop\"]}");
	assert_int_equal(r.status, 409);
	done(&r);
	assert_int_equal(status_of(w, "POST", URL, NULL, JSON_TYPE, "{\"resources\":[\"shop\"]}"), 401);
}

static void test_list(void **state)
{
	struct world *w = *state;
	struct reply a = make(w, "bot", "{\"resources\":[\"shop\"]}"),
	             b = make(w, "other", "{\"resources\":[\"crm\"]}"), r;
	char *token = token_for(w, "bot", "agents");

	r = call(w, "GET", URL, token, NULL, NULL);
	assert_int_equal(r.status, 200);
	assert_int_equal(json_array_size(json_object_get(r.json, "session_credentials")), 1);
	assert_null(strstr(r.body, str(&a, "password")));
	assert_null(strstr(r.body, "SCRAM"));
	assert_null(strstr(r.body, str(&b, "id")));
	done(&r);
	assert_int_equal(status_of(w, "GET", URL "?all=1", token, NULL, NULL), 403);
	assert_int_equal(status_of(w, "GET", URL "?all=x", token, NULL, NULL), 400);
	r = as(w, "ops", "GET", URL "?all=1", NULL, NULL);
	assert_int_equal(json_array_size(json_object_get(r.json, "session_credentials")), 2);
	done(&r);
	free(token);
	done(&a);
	done(&b);
}

/* Wrong passwords: after so many nobody looks at them any more, right ones included; by name, there or not.
 */
static void test_throttle(void **state)
{
	static const char *const names[] = {NULL, "bbbbbbbbbbbb"};
	struct world *w = *state;
	struct reply r = make(w, "bot", "{\"resources\":[\"shop\"]}");
	struct sl_msg *m;

	put_target(w);
	for (size_t k = 0; k < 2; k++) {
		const char *id = names[k] != NULL ? names[k] : str(&r, "id");

		for (int i = 0; i < MG_THROTTLE_CREDENTIAL_MAX; i++)
			refused(w, id, "wrong", "shop", k == 0 ? SL_E_SCRAM_PROOF : SL_E_CRED_UNKNOWN,
			        "authentication failed");
		send_step(w, SL_AUTH_SALT, id, "shop", NULL);
		m = worker_wait(w, SL_MSG_AUTH_NO);
		assert_int_equal(m->auth_no.err, SL_E_AUTH_THROTTLED);
		assert_true(m->auth_no.retry);
		sl_bus_worker_done(w->bus, 0, m);
	}
	done(&r);
}

/* D14: the password is in the one reply; not in the log, the metrics, the list or the store's files. */
static void test_canary(void **state)
{
	struct world *w = *state;
	char path[160], *text = calloc(1, 1 << 20), command[512], password[64], id[32];
	int saved = dup(2), fd;
	struct reply r;

	snprintf(path, sizeof(path), "%s/log", w->dir);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0 && saved >= 0);
	put_target(w);
	assert_int_equal(dup2(fd, 2), 2);
	sl_log_set_level(SL_LOG_DEBUG);
	r = make(w, "bot", "{\"resources\":[\"shop\"],\"ttl_s\":300}");
	snprintf(password, sizeof(password), "%s", str(&r, "password"));
	snprintf(id, sizeof(id), "%s", str(&r, "id"));
	done(&r);
	accepted(w, id, password);
	sl_log_set_level(SL_LOG_ERROR);
	assert_int_equal(dup2(saved, 2), 2);
	assert_true(pread(fd, text, (1 << 20) - 1, 0) > 0);
	assert_non_null(strstr(text, id)); /* what was made, by whom */
	assert_null(strstr(text, password));
	r = as(w, "noc", "GET", "/v1/metrics", NULL, NULL);
	assert_null(strstr(r.body, password));
	done(&r);
	snprintf(command, sizeof(command), "grep -rqaF %s %s", password, w->path[P_STORE]);
	assert_int_not_equal(system(command), 0);
	snprintf(command, sizeof(command), "grep -rqaF %s %s", id, w->path[P_STORE]);
	assert_int_equal(system(command), 0);
	close(saved);
	close(fd);
	free(text);
}

/*
 * A client brings a token while the provider's keys are fetched, and leaves; its place on the worker is taken
 * by one that logs in by a session credential, which waits for nobody. The answer to the first comes last:
 * the second is live all the same.
 */
static void test_late_answer(void **state)
{
	struct world *w = *state;
	struct reply r = make(w, "bot", "{\"resources\":[\"shop\"],\"ttl_s\":300}");
	char id[32], password[64], *token = token_for(w, "bot", "agents");
	struct sl_msg *m;

	put_target(w);
	snprintf(id, sizeof(id), "%s", str(&r, "id"));
	snprintf(password, sizeof(password), "%s", str(&r, "password"));
	done(&r);
	stop_mgmt(w);
	idp_slow_ms = 200;
	start_mgmt(w);
	m = sl_bus_worker_new(w->bus, 0);
	m->type = SL_MSG_AUTH;
	m->flow = (struct sl_flow_ref){0, 3, 8}; /* the generation before that of accepted() */
	snprintf(m->auth.resource, sizeof(m->auth.resource), "shop");
	m->auth.token_n = (uint32_t)strlen(token);
	memcpy(m->auth.token, token, m->auth.token_n);
	worker_send(w, m);
	accepted(w, id, password);
	m = worker_wait(w, SL_MSG_AUTH_NO);
	assert_int_equal(m->flow.generation, 8);
	sl_bus_worker_done(w->bus, 0, m);
	idp_slow_ms = 0;
	r = as(w, "noc", "GET", "/v1/status", NULL, NULL);
	assert_int_equal(json_integer_value(json_object_get(r.json, "live_sessions")), 1);
	done(&r);
	free(token);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	        T(test_login), T(test_provider_gone), T(test_revoke), T(test_bodies),
	        T(test_list),  T(test_throttle),      T(test_canary), T(test_late_answer),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
