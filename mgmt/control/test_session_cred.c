/* Session credentials over a real store: making, proving, ending; and the count of failed logins. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <openssl/evp.h>

#include "session_cred.h"
#include "sl_log.h"
#include "test_store.h"
#include "throttle.h"

#define NOW  (UINT64_C(1700000000) * 1000000)
#define HOUR (UINT64_C(3600) * 1000000)
#define AUTH SL_SPAN_LIT("n=,r=a,r=ab,s=x,i=4096,c=biws,r=ab")

struct world {
	struct test_dir dir;
	struct event_base *base;
	struct sl_store *store;
	struct mg_screds *c;
	struct sl_msg sent[4];
	uint32_t nb_sent;
};

static void on_send(void *ctx, uint32_t worker, const struct sl_msg *msg)
{
	struct world *w = ctx;

	assert_int_equal(msg->flow.worker, worker);
	w->sent[w->nb_sent++ % 4] = *msg;
}

static void open_all(struct world *w)
{
	static const uint8_t key[SL_SCRAM_KEY] = {1, 2, 3};
	struct mg_screds_cfg screds = {
	        .base = w->base, .salt_key = key, .nb_workers = 2, .send = on_send, .ctx = w};

	w->store = test_dir_open(&w->dir);
	screds.store = w->store;
	assert_int_equal(mg_screds_new(&screds, &w->c), SL_OK);
}

static void close_all(struct world *w)
{
	mg_screds_free(w->c);
	sl_store_close(w->store);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	sl_log_set_level(SL_LOG_ERROR);
	test_dir_make(&w->dir);
	w->base = event_base_new();
	open_all(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	close_all(w);
	event_base_free(w->base);
	test_dir_remove(&w->dir);
	free(w);
	return 0;
}

static struct sl_identity *caller(const char *sub)
{
	static struct sl_identity who;
	static const char lists[] = "agents\0dev\0team=blue\0";

	memset(&who, 0, sizeof(who));
	snprintf(who.issuer, sizeof(who.issuer), "https://idp");
	snprintf(who.subject, sizeof(who.subject), "%s", sub);
	snprintf(who.name, sizeof(who.name), "%s", sub);
	snprintf(who.provider, sizeof(who.provider), "lab");
	who.nb_groups = 2;
	who.groups_n = 11;
	who.claims_n = 10;
	memcpy(who.groups, lists, 21);
	who.expires_us = NOW + 2 * HOUR;
	return &who;
}

static int issue(struct world *w, const char *sub, uint64_t ttl_s, uint64_t now, struct mg_scred_issued *out)
{
	json_t *list = json_pack("[s,s]", "shop", "crm");
	int err = mg_screds_issue(w->c, caller(sub), list, ttl_s, now, out);

	json_decref(list);
	return err;
}

/* What a client makes of the password and the salt that it is given. */
static void prove(const char *password, const uint8_t *salt, struct sl_span auth, uint8_t proof[SL_SCRAM_KEY])
{
	uint8_t salted[32], client[32], stored[32], sig[32];

	assert_int_equal(PKCS5_PBKDF2_HMAC(password, (int)strlen(password), salt, SL_SCRAM_SALT,
	                                   SL_SCRAM_ITERATIONS, EVP_sha256(), 32, salted),
	                 1);
	assert_int_equal(sl_scram_hmac(salted, SL_SPAN_LIT("Client Key"), client), SL_OK);
	assert_int_equal(EVP_Digest(client, 32, stored, NULL, EVP_sha256(), NULL), 1);
	assert_int_equal(sl_scram_hmac(stored, auth, sig), SL_OK);
	for (int i = 0; i < 32; i++)
		proof[i] = client[i] ^ sig[i];
}

static int login(struct world *w, const char *id, const char *password, const char *resource, uint64_t now,
                 struct sl_identity *who)
{
	uint8_t salt[SL_SCRAM_SALT], proof[SL_SCRAM_KEY], signature[SL_SCRAM_KEY];

	memset(who, 0, sizeof(*who));
	assert_int_equal(mg_screds_salt(w->c, sl_span_str(id), salt), SL_OK);
	prove(password, salt, AUTH, proof);
	return mg_screds_check(w->c, sl_span_str(id), AUTH, proof, resource, now, signature, who);
}

static void test_login(void **state)
{
	struct world *w = *state;
	struct mg_scred_issued a;
	struct sl_identity who, *is;
	struct sl_span resource = SL_SPAN_EMPTY, id = SL_SPAN_EMPTY;
	char name[64];

	assert_int_equal(issue(w, "bot", 600, NOW, &a), SL_OK);
	assert_int_equal(strlen(a.password), MG_SCRED_PASSWORD);
	assert_int_equal(a.expires_us, NOW + UINT64_C(600000000));
	snprintf(name, sizeof(name), "shop~%s", a.id);
	assert_true(sl_credential_name_split(sl_span_str(name), &resource, &id));
	assert_true(sl_span_is(resource, "shop") && sl_span_is(id, a.id));
	assert_int_equal(login(w, a.id, a.password, "crm", NOW + 1, &who), SL_OK);
	is = caller("bot");
	assert_string_equal(who.subject, "bot");
	assert_string_equal(who.issuer, is->issuer);
	assert_string_equal(who.provider, "lab");
	assert_string_equal(who.credential, a.id);
	assert_int_equal(who.nb_groups, 2);
	assert_int_equal(who.groups_n, is->groups_n);
	assert_int_equal(who.claims_n, is->claims_n);
	assert_memory_equal(who.groups, is->groups, 21);
	assert_int_equal(who.expires_us, a.expires_us);
	assert_int_equal(login(w, a.id, a.password, "hr", NOW + 1, &who), SL_E_CRED_RESOURCE);
	assert_string_equal(who.subject, "");
	assert_int_equal(login(w, a.id, "wrong", "shop", NOW + 1, &who), SL_E_SCRAM_PROOF);
	assert_int_equal(login(w, "000000000000", a.password, "shop", NOW + 1, &who), SL_E_CRED_UNKNOWN);
	/* the last microsecond, and the one behind it */
	assert_int_equal(login(w, a.id, a.password, "shop", a.expires_us - 1, &who), SL_OK);
	assert_int_equal(login(w, a.id, a.password, "shop", a.expires_us, &who), SL_E_CRED_UNKNOWN);
}

/* The salt tells nothing: it is the same before there is a credential, while there is one, and after. */
static void test_salt(void **state)
{
	struct world *w = *state;
	struct mg_scred_issued a;
	uint8_t before[SL_SCRAM_SALT], after[SL_SCRAM_SALT], other[SL_SCRAM_SALT];

	assert_int_equal(issue(w, "bot", 600, NOW, &a), SL_OK);
	assert_int_equal(mg_screds_salt(w->c, sl_span_str(a.id), before), SL_OK);
	assert_int_equal(mg_screds_revoke(w->c, a.id, NULL, NOW), SL_OK);
	assert_int_equal(mg_screds_salt(w->c, sl_span_str(a.id), after), SL_OK);
	assert_memory_equal(before, after, SL_SCRAM_SALT);
	assert_int_equal(mg_screds_salt(w->c, SL_SPAN_LIT("000000000000"), other), SL_OK);
	assert_memory_not_equal(before, other, SL_SCRAM_SALT);
	close_all(w);
	open_all(w);
	assert_int_equal(mg_screds_salt(w->c, sl_span_str(a.id), after), SL_OK);
	assert_memory_equal(before, after, SL_SCRAM_SALT);
}

static void test_time(void **state)
{
	struct world *w = *state;
	struct mg_scred_issued a;

	/* never beyond the token */
	assert_int_equal(issue(w, "bot", 4 * 3600, NOW, &a), SL_OK);
	assert_int_equal(a.expires_us, NOW + 2 * HOUR);
	assert_int_equal(issue(w, "bot", MG_SCRED_TTL_MIN_S - 1, NOW, &a), SL_E_INVAL);
	assert_int_equal(issue(w, "bot", MG_SCRED_TTL_MAX_S + 1, NOW, &a), SL_E_INVAL);
	assert_int_equal(issue(w, "bot", 600, NOW + 2 * HOUR, &a), SL_E_INVAL);
	assert_string_equal(a.password, "");
}

static void test_resources(void **state)
{
	static const char *const bad[] = {"[]",      "[\"\"]",         "[1]", "[\"a~b\"]",    "[\"a b\"]",
	                                  "[\"*\"]", "[\"a\\u0000\"]", "{}",  "[\"a\",null]", "\"shop\""};
	struct world *w = *state;
	struct mg_scred_issued a;
	json_t *list;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		list = json_loads(bad[i], JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		assert_non_null(list);
		assert_int_equal(mg_screds_issue(w->c, caller("bot"), list, 600, NOW, &a), SL_E_INVAL);
		json_decref(list);
	}
	list = json_array();
	for (int i = 0; i <= MG_SCRED_RESOURCES_MAX; i++)
		json_array_append_new(list, json_string("r"));
	assert_int_equal(mg_screds_issue(w->c, caller("bot"), list, 600, NOW, &a), SL_E_INVAL);
	json_decref(list);
	assert_int_equal(mg_screds_nb(w->c), 0);
}

static void test_limit(void **state)
{
	struct world *w = *state;
	struct mg_scred_issued a;

	for (int i = 0; i < MG_SCREDS_OF_IDENTITY; i++)
		assert_int_equal(issue(w, "bot", 600, NOW, &a), SL_OK);
	assert_int_equal(issue(w, "bot", 600, NOW, &a), SL_E_CRED_LIMIT);
	assert_int_equal(issue(w, "other", 600, NOW, &a), SL_OK);
	/* those that are over do not count, swept or not */
	assert_int_equal(issue(w, "bot", 600, NOW + 700000000, &a), SL_OK);
	assert_int_equal(mg_screds_nb(w->c), MG_SCREDS_OF_IDENTITY + 2);
	mg_screds_sweep(w->c, NOW + 700000000);
	assert_int_equal(mg_screds_nb(w->c), 1);
}

/* Nor do they in the number of all. */
static void test_limit_of_all(void **state)
{
	struct world *w = *state;
	struct mg_scred_issued a;

	for (int i = 0; i < MG_SCREDS_MAX; i++)
		assert_int_equal(issue(w, i < MG_SCREDS_OF_IDENTITY ? "bot" : "other", 600, NOW, &a), SL_OK);
	assert_int_equal(issue(w, "third", 600, NOW, &a), SL_E_CRED_LIMIT);
	assert_int_equal(issue(w, "third", 600, NOW + 700000000, &a), SL_OK);
}

static int find_text(void *ctx, struct sl_span key, struct sl_span value)
{
	return memmem(value.p, value.n, ctx, strlen(ctx)) != NULL;
}

static void test_restart(void **state)
{
	struct world *w = *state;
	struct mg_scred_issued a, b, gone;
	struct sl_identity who;

	assert_int_equal(issue(w, "bot", 600, NOW, &a), SL_OK);
	assert_int_equal(issue(w, "bot", 3600, NOW, &b), SL_OK);
	assert_int_equal(issue(w, "bot", 600, NOW, &gone), SL_OK);
	assert_int_equal(mg_screds_revoke(w->c, gone.id, NULL, NOW), SL_OK);
	/* the store has the verifier, and no password */
	assert_int_equal(sl_store_each(w->store, "session_credential", false, find_text, a.password), SL_OK);
	assert_int_equal(sl_store_put(w->store, "session_credential", SL_SPAN_LIT("junk"), SL_SPAN_LIT("{}")),
	                 SL_OK);
	assert_int_equal(sl_store_put(w->store, "session_credential", SL_SPAN_LIT("aaaaaaaaaaaa"),
	                              SL_SPAN_LIT("{\"format\":1}")),
	                 SL_OK);
	close_all(w);
	sl_log_set_level((enum sl_log_level) - 1);
	open_all(w); /* what cannot be read is not used, and is in nobody's way */
	sl_log_set_level(SL_LOG_ERROR);
	assert_int_equal(mg_screds_nb(w->c), 2);
	assert_int_equal(login(w, a.id, a.password, "shop", NOW + 1, &who), SL_OK);
	assert_int_equal(who.nb_groups, 2);
	assert_memory_equal(who.groups, caller("bot")->groups, 21);
	assert_int_equal(who.claims_n, 10);
	assert_string_equal(who.credential, a.id);
	assert_int_equal(login(w, gone.id, gone.password, "shop", NOW + 1, &who), SL_E_CRED_UNKNOWN);
	mg_screds_sweep(w->c, NOW + 700000000);
	assert_int_equal(mg_screds_nb(w->c), 1);
	close_all(w);
	sl_log_set_level((enum sl_log_level) - 1);
	open_all(w);
	sl_log_set_level(SL_LOG_ERROR);
	assert_int_equal(mg_screds_nb(w->c), 1);
}

static void test_revoke(void **state)
{
	struct world *w = *state;
	struct mg_scred_issued a, b, other;
	struct sl_identity who;

	assert_int_equal(issue(w, "bot", 600, NOW, &a), SL_OK);
	assert_int_equal(issue(w, "bot", 600, NOW, &b), SL_OK);
	assert_int_equal(issue(w, "other", 600, NOW, &other), SL_OK);
	assert_int_equal(mg_screds_revoke(w->c, a.id, caller("other"), NOW), SL_E_NOTFOUND);
	assert_int_equal(mg_screds_revoke(w->c, "nothing", NULL, NOW), SL_E_NOTFOUND);
	assert_int_equal(w->nb_sent, 0);
	assert_int_equal(mg_screds_revoke(w->c, a.id, caller("bot"), NOW), SL_OK);
	assert_int_equal(w->nb_sent, 2); /* each worker */
	assert_int_equal(w->sent[0].type, SL_MSG_KILL);
	assert_int_equal(w->sent[0].flow.generation, 0);
	assert_string_equal(w->sent[1].identity.credential, a.id);
	assert_string_equal(w->sent[1].identity.subject, "bot");
	assert_int_equal(mg_screds_revoke(w->c, a.id, NULL, NOW), SL_E_NOTFOUND);
	assert_int_equal(login(w, a.id, a.password, "shop", NOW, &who), SL_E_CRED_UNKNOWN);
	assert_int_equal(login(w, b.id, b.password, "shop", NOW, &who), SL_OK);
	assert_int_equal(login(w, other.id, other.password, "shop", NOW, &who), SL_OK);
}

static void test_list(void **state)
{
	struct world *w = *state;
	struct mg_scred_issued a, b;
	json_t *own = json_array(), *all = json_array(), *late = json_array();
	char *text;

	assert_int_equal(issue(w, "bot", 600, NOW, &a), SL_OK);
	assert_int_equal(issue(w, "other", 1200, NOW, &b), SL_OK);
	mg_screds_list(w->c, caller("bot"), NOW, own);
	mg_screds_list(w->c, NULL, NOW, all);
	mg_screds_list(w->c, NULL, NOW + 700000000, late);
	assert_int_equal(json_array_size(own), 1);
	assert_int_equal(json_array_size(all), 2);
	assert_int_equal(json_array_size(late), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(own, 0), "id")), a.id);
	text = json_dumps(all, 0);
	assert_null(strstr(text, a.password));
	assert_null(strstr(text, "SCRAM"));
	free(text);
	json_decref(own);
	json_decref(all);
	json_decref(late);
}

static void test_throttle(void **state)
{
	struct mg_throttle *t = mg_throttle_new();
	struct sl_endpoint a, b, net, net2;
	struct sl_span one = SL_SPAN_LIT("aaaaaaaaaaaa"), two = SL_SPAN_LIT("bbbbbbbbbbbb");
	char name[16];

	assert_int_equal(sl_endpoint_parse("10.0.0.1:1", &a), SL_OK);
	assert_int_equal(sl_endpoint_parse("10.0.0.2:1", &b), SL_OK);
	assert_int_equal(sl_endpoint_parse("[2001:db8::1]:1", &net), SL_OK);
	assert_int_equal(sl_endpoint_parse("[2001:db8::ffff]:1", &net2), SL_OK);
	for (int i = 0; i < MG_THROTTLE_CREDENTIAL_MAX; i++) {
		assert_false(mg_throttle_blocked(t, &a.addr, one, 5));
		mg_throttle_failed(t, &a.addr, one, 5);
	}
	/* the credential, from anywhere; another one goes on, until the source is full too */
	assert_true(mg_throttle_blocked(t, &b.addr, one, 5));
	assert_false(mg_throttle_blocked(t, &a.addr, two, 5));
	for (int i = MG_THROTTLE_CREDENTIAL_MAX; i < MG_THROTTLE_SOURCE_MAX; i++) {
		snprintf(name, sizeof(name), "%012d", i);
		mg_throttle_failed(t, &a.addr, sl_span_str(name), 6);
	}
	assert_true(mg_throttle_blocked(t, &a.addr, two, 6));
	assert_false(mg_throttle_blocked(t, &b.addr, two, 6));
	/* time mends it */
	assert_false(mg_throttle_blocked(t, &a.addr, one, 5 + MG_THROTTLE_WINDOW_US));
	/* an IPv6 caller has a whole network of addresses */
	for (int i = 0; i < MG_THROTTLE_SOURCE_MAX; i++) {
		snprintf(name, sizeof(name), "%012d", i);
		mg_throttle_failed(t, &net.addr, sl_span_str(name), 7);
	}
	assert_true(mg_throttle_blocked(t, &net2.addr, two, 7));
	/* more names than there is room for: nothing grows, and what failed most stays known */
	for (int i = 0; i < 100000; i++) {
		snprintf(name, sizeof(name), "%012d", i);
		mg_throttle_failed(t, &net.addr, sl_span_str(name), 8);
	}
	assert_true(mg_throttle_blocked(t, &net.addr, two, 8));
	mg_throttle_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	        T(test_login),   T(test_salt),
	        T(test_time),    T(test_resources),
	        T(test_limit),   T(test_limit_of_all),
	        T(test_restart), T(test_revoke),
	        T(test_list),    cmocka_unit_test(test_throttle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
