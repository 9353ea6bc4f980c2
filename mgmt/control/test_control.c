/* Approvals, credentials and live sessions on a real store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "approval.h"
#include "sl_snapshot.h"
#include "clock.h"
#include "credential.h"
#include "session.h"
#include "sl_log.h"

#define SENT_MAX 2048

struct world {
	char dir[64], store_path[128], key_path[128], sign_path[128];
	struct event_base *base;
	struct sl_store *store;
	struct mg_approvals *approvals;
	struct sl_id_maker ids;
	struct {
		struct sl_msg_decision d;
		char stored_state[16]; /* of the approval when the message was sent */
		uint32_t worker;
	} sent[SENT_MAX];
	unsigned nb_sent;
};

static void open_store(struct world *w)
{
	struct sl_store_cfg cfg = {.path = w->store_path,
	                           .sign_key = w->sign_path,
	                           .map_bytes = 64 << 20,
	                           .nb_workers = 1,
	                           .blocks_per_worker = 64,
	                           .batch_max = 32};
	char err[256];

	assert_int_equal(sl_store_open(&cfg, &w->store, err, sizeof(err)), SL_OK);
}

static void read_state(struct world *w, const struct sl_id *id, char *out, size_t cap)
{
	uint8_t *value = NULL;
	size_t n = 0;
	json_t *doc;

	out[0] = '\0';
	if (sl_store_get(w->store, "approval", sl_span(id->b, sizeof(id->b)), &value, &n) != SL_OK)
		return;
	doc = json_loadb((char *)value, n, 0, NULL);
	snprintf(out, cap, "%s", json_string_value(json_object_get(doc, "state")));
	json_decref(doc);
	free(value);
}

static void on_send(void *ctx, uint32_t worker, const struct sl_msg *msg)
{
	struct world *w = ctx;

	assert_int_equal(msg->type, SL_MSG_DECISION);
	assert_true(w->nb_sent < SENT_MAX);
	w->sent[w->nb_sent].d = msg->decision;
	w->sent[w->nb_sent].worker = worker;
	read_state(w, &msg->decision.approval, w->sent[w->nb_sent].stored_state, 16);
	w->nb_sent++;
}

static void open_approvals(struct world *w)
{
	assert_int_equal(mg_approvals_new(w->base, w->store, on_send, w, &w->approvals), SL_OK);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	sl_log_set_level(SL_LOG_ERROR);
	snprintf(w->dir, sizeof(w->dir), "/tmp/sl-mgmt-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->store_path, sizeof(w->store_path), "%s/store", w->dir);
	snprintf(w->key_path, sizeof(w->key_path), "%s/master.key", w->dir);
	snprintf(w->sign_path, sizeof(w->sign_path), "%s/sign.key", w->dir);
	w->ids.salt = 7;
	w->base = event_base_new();
	open_store(w);
	open_approvals(w);
	*state = w;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int teardown(void **state)
{
	struct world *w = *state;

	mg_approvals_free(w->approvals);
	sl_store_close(w->store);
	event_base_free(w->base);
	nftw(w->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(w);
	return 0;
}

/* ---- approvals ---- */

static void identity(struct sl_identity *who, const char *iss, const char *sub, const char *group)
{
	memset(who, 0, sizeof(*who));
	snprintf(who->issuer, sizeof(who->issuer), "%s", iss);
	snprintf(who->subject, sizeof(who->subject), "%s", sub);
	snprintf(who->name, sizeof(who->name), "%s", sub);
	if (group != NULL) {
		who->nb_groups = 1;
		who->groups_n = (uint16_t)(strlen(group) + 1);
		snprintf(who->groups, sizeof(who->groups), "%s", group);
	}
}

/* A hold by agent "bot" of issuer "i" in this session; approvers "dba" or none. Returns its id. */
static struct sl_id hold_in(struct world *w, bool with_approvers, uint64_t expires_us,
                            const struct sl_msg_hold *how)
{
	static const char text[] = "update \xff\x1b[2J t set a";
	struct sl_msg *m = calloc(1, sizeof(*m));
	struct sl_id id;

	m->hold = *how;
	m->type = SL_MSG_HOLD;
	m->flow = (struct sl_flow_ref){3, 5, 7};
	m->hold.approval = sl_id_make(&w->ids, mg_wall_us());
	m->hold.cmd = 4;
	m->hold.expires_us = expires_us;
	snprintf(m->hold.rule, sizeof(m->hold.rule), "approve-updates");
	if (with_approvers) {
		memcpy(m->hold.approvers, "dba\0owners", 11);
		m->hold.approvers_n = 11;
	}
	m->hold.text_n = sizeof(text) - 1;
	m->hold.text_total = 5000;
	memcpy(m->hold.text, text, sizeof(text) - 1);
	if (m->hold.identity.subject[0] == '\0')
		identity(&m->hold.identity, "i", "bot", "agents");
	id = m->hold.approval;
	mg_approvals_hold(w->approvals, m, mg_wall_us());
	free(m);
	return id;
}

static struct sl_id hold_for(struct world *w, bool with_approvers, uint64_t expires_us)
{
	static struct sl_msg_hold how;

	how.session = sl_id_make(&w->ids, mg_wall_us());
	return hold_in(w, with_approvers, expires_us, &how);
}

static struct sl_id hold(struct world *w)
{
	return hold_for(w, true, mg_wall_us() + 60000000);
}

static int decide(struct world *w, const struct sl_id *id, bool approve, const char *iss, const char *sub,
                  const char *group)
{
	struct sl_identity who;
	json_t *doc = NULL;
	int err;

	identity(&who, iss, sub, group);
	err = mg_approvals_decide(w->approvals, id, approve, &who, "fine", mg_wall_us(), &doc);
	if (err == SL_OK)
		assert_string_equal(json_string_value(json_object_get(doc, "state")),
		                    approve ? "approved" : "denied");
	else
		assert_null(doc);
	json_decref(doc);
	return err;
}

static void test_approve(void **state)
{
	struct world *w = *state;
	struct sl_id id = hold(w);
	json_t *list = json_array(), *a;

	assert_int_equal(mg_approvals_nb_pending(w->approvals), 1);
	assert_int_equal(mg_approvals_list(w->approvals, true, NULL, 10, list), SL_OK);
	assert_int_equal(json_array_size(list), 1);
	a = json_array_get(list, 0);
	assert_string_equal(json_string_value(json_object_get(a, "state")), "pending");
	assert_string_equal(json_string_value(json_object_get(a, "user")), "bot");
	assert_string_equal(json_string_value(json_object_get(a, "statement")),
	                    "update \\xff\x1b[2J t set a");
	assert_int_equal(json_integer_value(json_object_get(a, "statement_bytes")), 5000);
	assert_true(json_is_true(json_object_get(a, "statement_truncated")));
	json_decref(list);
	assert_int_equal(decide(w, &id, true, "i", "carol", "dba"), SL_OK);
	/* one message, and the store had it before */
	assert_int_equal(w->nb_sent, 1);
	assert_int_equal(w->sent[0].d.decision, SL_DECISION_APPROVED);
	assert_int_equal(w->sent[0].worker, 3);
	assert_string_equal(w->sent[0].d.by, "carol");
	assert_string_equal(w->sent[0].d.note, "fine");
	assert_string_equal(w->sent[0].stored_state, "approved");
	/* once */
	assert_int_equal(decide(w, &id, true, "i", "carol", "dba"), SL_E_EXISTS);
	assert_int_equal(decide(w, &id, false, "i", "dave", "dba"), SL_E_EXISTS);
	assert_int_equal(w->nb_sent, 1);
	assert_int_equal(mg_approvals_nb_pending(w->approvals), 0);
}

static int one_of_two(struct world *w, const struct sl_id *id, const char *sub, const char *want)
{
	struct sl_identity who;
	json_t *doc = NULL;
	int err;

	identity(&who, "i", sub, "dba");
	err = mg_approvals_decide(w->approvals, id, true, &who, "", mg_wall_us(), &doc);
	if (err == SL_OK)
		assert_string_equal(json_string_value(json_object_get(doc, "state")), want);
	json_decref(doc);
	return err;
}

static void test_quorum(void **state)
{
	static struct sl_msg_hold how = {.quorum = 2};
	struct world *w = *state;
	uint64_t later = mg_wall_us() + 60000000;
	struct sl_id id;

	how.session = sl_id_make(&w->ids, mg_wall_us());
	id = hold_in(w, true, later, &how);
	assert_int_equal(one_of_two(w, &id, "carol", "pending"), SL_OK);
	assert_int_equal(w->nb_sent, 0);
	assert_int_equal(one_of_two(w, &id, "carol", ""), SL_E_EXISTS);
	assert_int_equal(one_of_two(w, &id, "bot", ""), SL_E_POLICY_DENIED);
	assert_int_equal(mg_approvals_nb_pending(w->approvals), 1);
	assert_int_equal(one_of_two(w, &id, "dave", "approved"), SL_OK);
	assert_int_equal(w->nb_sent, 1);
	assert_int_equal(w->sent[0].d.decision, SL_DECISION_APPROVED);
	assert_string_equal(w->sent[0].stored_state, "approved");
	/* one who refuses is enough, behind approvals too */
	id = hold_in(w, true, later, &how);
	assert_int_equal(one_of_two(w, &id, "carol", "pending"), SL_OK);
	assert_int_equal(decide(w, &id, false, "i", "erin", "dba"), SL_OK);
	assert_int_equal(w->sent[1].d.decision, SL_DECISION_DENIED);
}

/* Asked once; the same rule then holds nothing of the same caller. */
static void test_grants(void **state)
{
	static struct sl_msg_hold how = {.grant = SL_GRANT_SESSION, .policy_version = 3, .resource = "shop"};
	struct world *w = *state;
	uint64_t later = mg_wall_us() + 60000000;
	struct sl_id id, other = sl_id_make(&w->ids, mg_wall_us());

	how.session = sl_id_make(&w->ids, mg_wall_us());
	id = hold_in(w, true, later, &how);
	assert_int_equal(decide(w, &id, true, "i", "carol", "dba"), SL_OK);
	id = hold_in(w, true, later, &how);
	assert_int_equal(w->nb_sent, 2);
	assert_int_equal(w->sent[1].d.decision, SL_DECISION_APPROVED);
	assert_string_equal(w->sent[1].d.by, "carol");
	assert_string_equal(w->sent[1].stored_state, "approved");
	assert_int_equal(mg_approvals_nb_pending(w->approvals), 0);
	/* neither in another session, nor under another policy, nor for another caller or resource */
	how.policy_version = 4;
	hold_in(w, true, later, &how);
	how.policy_version = 3;
	snprintf(how.resource, sizeof(how.resource), "bank");
	hold_in(w, true, later, &how);
	snprintf(how.resource, sizeof(how.resource), "shop");
	identity(&how.identity, "i", "bot2", "agents");
	hold_in(w, true, later, &how);
	identity(&how.identity, "i", "bot", "agents");
	how.session = other;
	hold_in(w, true, later, &how);
	assert_int_equal(mg_approvals_nb_pending(w->approvals), 4);
	assert_int_equal(w->nb_sent, 2);
}

static void test_grant_ends(void **state)
{
	static struct sl_msg_hold how = {.grant = SL_GRANT_WINDOW, .grant_s = 60};
	struct world *w = *state;
	struct sl_msg *late = calloc(1, sizeof(*late));
	uint64_t later = mg_wall_us() + 60000000;
	struct sl_id session = sl_id_make(&w->ids, mg_wall_us()), id;

	how.session = session;
	id = hold_in(w, true, later, &how);
	assert_int_equal(decide(w, &id, true, "i", "carol", "dba"), SL_OK);
	how.session = sl_id_make(&w->ids, mg_wall_us()); /* a window is for all sessions of the caller */
	hold_in(w, true, later, &how);
	assert_int_equal(w->nb_sent, 2);
	late->type = SL_MSG_HOLD;
	late->hold = how;
	snprintf(late->hold.rule, sizeof(late->hold.rule), "approve-updates");
	identity(&late->hold.identity, "i", "bot", "agents");
	late->hold.approval = sl_id_make(&w->ids, mg_wall_us());
	mg_approvals_hold(w->approvals, late, mg_wall_us() + 61000000); /* over */
	assert_int_equal(mg_approvals_nb_pending(w->approvals), 1);
	free(late);
	how.grant = SL_GRANT_SESSION;
	id = hold_in(w, true, later, &how);
	assert_int_equal(decide(w, &id, true, "i", "carol", "dba"), SL_OK);
	mg_approvals_session_end(w->approvals, &how.session);
	hold_in(w, true, later, &how);
	assert_int_equal(mg_approvals_nb_pending(w->approvals), 2);
}

static void test_deny(void **state)
{
	struct world *w = *state;
	struct sl_id id = hold(w);

	assert_int_equal(decide(w, &id, false, "i", "carol", "owners"), SL_OK);
	assert_int_equal(w->sent[0].d.decision, SL_DECISION_DENIED);
	assert_string_equal(w->sent[0].stored_state, "denied");
	assert_int_equal(decide(w, &id, true, "i", "carol", "dba"), SL_E_EXISTS);
}

/* C06: nobody approves a request of its own, whatever its groups. */
static void test_who_may(void **state)
{
	struct world *w = *state;
	struct sl_id id = hold(w), open = hold_for(w, false, mg_wall_us() + 60000000), none = {{9}};

	assert_int_equal(decide(w, &id, true, "i", "bot", "dba"), SL_E_POLICY_DENIED);
	assert_int_equal(decide(w, &id, false, "i", "bot", "dba"), SL_E_POLICY_DENIED);
	assert_int_equal(decide(w, &id, true, "i", "carol", "other"), SL_E_POLICY_DENIED);
	assert_int_equal(decide(w, &id, true, "i", "carol", NULL), SL_E_POLICY_DENIED);
	assert_int_equal(decide(w, &open, true, "i", "bot", "dba"), SL_E_POLICY_DENIED);
	assert_int_equal(w->nb_sent, 0);
	assert_int_equal(mg_approvals_nb_pending(w->approvals), 2);
	/* the same subject of another issuer is somebody else; a rule without approvers takes any */
	assert_int_equal(decide(w, &id, true, "j", "bot", "dba"), SL_OK);
	assert_int_equal(decide(w, &open, true, "i", "carol", NULL), SL_OK);
	assert_int_equal(decide(w, &none, true, "i", "carol", "dba"), SL_E_NOTFOUND);
}

static void run_for(struct world *w, int ms)
{
	const struct timeval t = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	event_base_loopexit(w->base, &t);
	event_base_dispatch(w->base);
}

static void test_expiry(void **state)
{
	struct world *w = *state;
	struct sl_id id = hold_for(w, true, mg_wall_us() + 100000), late = hold(w);

	usleep(150000); /* over its time, its timer not run yet */
	assert_int_equal(decide(w, &id, true, "i", "carol", "dba"), SL_E_EXISTS);
	assert_int_equal(w->nb_sent, 0);
	run_for(w, 500);
	assert_int_equal(w->nb_sent, 1);
	assert_memory_equal(w->sent[0].d.approval.b, id.b, sizeof(id.b));
	assert_int_equal(w->sent[0].d.decision, SL_DECISION_EXPIRED);
	assert_string_equal(w->sent[0].stored_state, "expired");
	assert_int_equal(decide(w, &id, true, "i", "carol", "dba"), SL_E_EXISTS);
	assert_int_equal(decide(w, &late, true, "i", "carol", "dba"), SL_OK);
}

static void test_gone(void **state)
{
	struct world *w = *state;
	struct sl_id id = hold(w);
	char text[16];

	mg_approvals_gone(w->approvals, &id, mg_wall_us());
	read_state(w, &id, text, sizeof(text));
	assert_string_equal(text, "cancelled");
	assert_int_equal(decide(w, &id, true, "i", "carol", "dba"), SL_E_EXISTS);
	mg_approvals_gone(w->approvals, &id, mg_wall_us());
	assert_int_equal(w->nb_sent, 0);
}

/* C07: what was pending when the gateway stopped is never run. */
static void test_restart(void **state)
{
	struct world *w = *state;
	struct sl_id pending = hold(w), done = hold(w);
	char text[16];

	assert_int_equal(decide(w, &done, true, "i", "carol", "dba"), SL_OK);
	mg_approvals_free(w->approvals);
	sl_store_close(w->store);
	open_store(w);
	open_approvals(w);
	read_state(w, &pending, text, sizeof(text));
	assert_string_equal(text, "expired");
	read_state(w, &done, text, sizeof(text));
	assert_string_equal(text, "approved");
	assert_int_equal(decide(w, &pending, true, "i", "carol", "dba"), SL_E_EXISTS);
	assert_int_equal(mg_approvals_nb_pending(w->approvals), 0);
}

static void test_limit(void **state)
{
	struct world *w = *state;
	struct sl_id last;
	json_t *list = json_array();

	for (int i = 0; i < MG_APPROVALS_MAX; i++)
		(void)hold(w);
	assert_int_equal(w->nb_sent, 0);
	last = hold(w);
	assert_int_equal(w->nb_sent, 1);
	assert_int_equal(w->sent[0].d.decision, SL_DECISION_DENIED);
	assert_memory_equal(w->sent[0].d.approval.b, last.b, sizeof(last.b));
	assert_int_equal(decide(w, &last, true, "i", "carol", "dba"), SL_E_NOTFOUND);
	assert_int_equal(mg_approvals_list(w->approvals, false, NULL, 10, list), SL_OK);
	assert_int_equal(json_array_size(list), 10);
	json_decref(list);
}

/* An id that was used before is not opened again: an approval is good once. */
static void test_same_id(void **state)
{
	struct world *w = *state;
	struct sl_id id = hold(w);
	struct sl_msg *m = calloc(1, sizeof(*m));

	assert_int_equal(decide(w, &id, true, "i", "carol", "dba"), SL_OK);
	m->type = SL_MSG_HOLD;
	m->hold.approval = id;
	m->hold.expires_us = mg_wall_us() + 60000000;
	identity(&m->hold.identity, "i", "bot", NULL);
	mg_approvals_hold(w->approvals, m, mg_wall_us());
	assert_int_equal(w->sent[1].d.decision, SL_DECISION_DENIED);
	assert_int_equal(mg_approvals_nb_pending(w->approvals), 0);
	free(m);
}

/* A10: no decision goes out that is not on disk. The disk refuses every write here. */
static void test_store_fails(void **state)
{
	struct world *w = *state;
	struct sl_id id = hold(w);
	struct rlimit old, none;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	assert_int_equal(decide(w, &id, true, "i", "carol", "dba"), SL_E_STORE_WRITE);
	assert_int_equal(w->nb_sent, 0);
	assert_int_equal(mg_approvals_nb_pending(w->approvals), 1);
	/* a new hold cannot be kept: denied at once */
	(void)hold(w);
	assert_int_equal(w->nb_sent, 1);
	assert_int_equal(w->sent[0].d.decision, SL_DECISION_DENIED);
	/* once it can be written again, the first one can be decided */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(decide(w, &id, true, "i", "carol", "dba"), SL_OK);
	assert_string_equal(w->sent[1].stored_state, "approved");
}

/* ---- credentials ---- */

static struct mg_creds *open_creds(struct world *w)
{
	struct mg_creds *c = NULL;
	char err[256] = "";

	if (mg_creds_new(w->key_path, w->store, &c, err, sizeof(err)) != SL_OK)
		assert_string_not_equal(err, "");
	return c;
}

static void write_key(struct world *w, const char *text, mode_t mode)
{
	FILE *f;

	unlink(w->key_path);
	f = fopen(w->key_path, "w");
	fputs(text, f);
	fclose(f);
	chmod(w->key_path, mode);
}

#define HEX64 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void test_master_key(void **state)
{
	struct world *w = *state;
	struct mg_creds *c = open_creds(w);
	char other[160];
	struct stat st;

	assert_non_null(c);
	assert_int_equal(stat(w->key_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(st.st_size, 65);
	mg_creds_free(c);
	write_key(w, HEX64 "\n", 0600);
	c = open_creds(w);
	assert_non_null(c);
	mg_creds_free(c);
	write_key(w, HEX64 "\n", 0640);
	assert_null(open_creds(w));
	write_key(w, HEX64 "\n", 0604);
	assert_null(open_creds(w));
	write_key(w, HEX64 "0\n", 0600);
	assert_null(open_creds(w));
	write_key(w, "g0112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", 0600);
	assert_null(open_creds(w));
	write_key(w, "", 0600);
	assert_null(open_creds(w));
	/* a link could be changed by whoever owns its directory */
	snprintf(other, sizeof(other), "%s.real", w->key_path);
	write_key(w, HEX64, 0600);
	assert_int_equal(rename(w->key_path, other), 0);
	assert_int_equal(symlink(other, w->key_path), 0);
	assert_null(open_creds(w));
}

static bool contains(struct sl_span hay, const char *needle)
{
	return memmem(hay.p, hay.n, needle, strlen(needle)) != NULL;
}

static void test_credentials(void **state)
{
	struct world *w = *state;
	struct mg_creds *c = open_creds(w);
	struct sl_secret secret;
	char user[SL_BUS_NAME_MAX], big[SL_SECRET_MAX + 2];
	uint8_t *one = NULL, *two = NULL;
	size_t one_n, two_n;
	json_t *list = json_array();
	char *text;

	assert_int_equal(mg_creds_get(c, "shop", user, &secret), SL_E_NOTFOUND);
	assert_int_equal(mg_creds_put(c, "shop", SL_SPAN_LIT("app-user"), SL_SPAN_LIT("canary-secret"), 77),
	                 SL_OK);
	assert_int_equal(mg_creds_get(c, "shop", user, &secret), SL_OK);
	assert_string_equal(user, "app-user");
	assert_true(sl_span_is(sl_secret_span(&secret), "canary-secret"));
	/* sealed anew each time, and nothing shows */
	assert_int_equal(sl_store_get(w->store, "credential", SL_SPAN_LIT("shop"), &one, &one_n), SL_OK);
	assert_int_equal(mg_creds_put(c, "shop", SL_SPAN_LIT("app-user"), SL_SPAN_LIT("canary-secret"), 77),
	                 SL_OK);
	assert_int_equal(sl_store_get(w->store, "credential", SL_SPAN_LIT("shop"), &two, &two_n), SL_OK);
	assert_int_equal(one_n, two_n);
	assert_memory_not_equal(one, two, one_n);
	assert_false(contains(sl_span(one, one_n), "canary"));
	assert_false(contains(sl_span(one, one_n), "app-user"));
	/* under another name, or with any byte changed, it does not open */
	assert_int_equal(sl_store_put(w->store, "credential", SL_SPAN_LIT("crm"), sl_span(one, one_n)),
	                 SL_OK);
	assert_int_equal(mg_creds_get(c, "crm", user, &secret), SL_E_SEAL);
	for (size_t i = 0; i < one_n; i++) {
		one[i] ^= 1;
		assert_int_equal(
		        sl_store_put(w->store, "credential", SL_SPAN_LIT("bad"), sl_span(one, one_n)), SL_OK);
		assert_int_equal(mg_creds_get(c, "bad", user, &secret), SL_E_SEAL);
		one[i] ^= 1;
	}
	for (size_t n = 0; n < one_n; n += 7) {
		assert_int_equal(sl_store_put(w->store, "credential", SL_SPAN_LIT("cut"), sl_span(one, n)),
		                 SL_OK);
		assert_int_equal(mg_creds_get(c, "cut", user, &secret), SL_E_SEAL);
	}
	assert_int_equal(mg_creds_list(c, list), SL_OK);
	text = json_dumps(list, 0);
	assert_non_null(strstr(text, "app-user"));
	assert_null(strstr(text, "canary"));
	free(text);
	json_decref(list);
	/* bounds */
	memset(big, 'x', sizeof(big));
	assert_int_equal(mg_creds_put(c, "b", SL_SPAN_LIT("u"), sl_span(big, SL_SECRET_MAX), 1), SL_OK);
	assert_int_equal(mg_creds_get(c, "b", user, &secret), SL_OK);
	assert_int_equal(secret.n, SL_SECRET_MAX);
	assert_int_equal(mg_creds_put(c, "b", SL_SPAN_LIT("u"), sl_span(big, SL_SECRET_MAX + 1), 1),
	                 SL_E_LIMIT);
	assert_int_equal(mg_creds_put(c, "b", sl_span(big, SL_BUS_NAME_MAX), SL_SPAN_LIT("p"), 1),
	                 SL_E_LIMIT);
	assert_int_equal(mg_creds_put(c, "b", sl_span("a\0b", 3), SL_SPAN_LIT("p"), 1), SL_E_INVAL);
	assert_int_equal(mg_creds_put(c, "../b", SL_SPAN_LIT("u"), SL_SPAN_LIT("p"), 1), SL_E_INVAL);
	assert_int_equal(mg_creds_del(c, "shop"), SL_OK);
	assert_int_equal(mg_creds_del(c, "shop"), SL_E_NOTFOUND);
	mg_creds_free(c);
	/* another master key opens nothing */
	unlink(w->key_path);
	c = open_creds(w);
	assert_int_equal(mg_creds_get(c, "b", user, &secret), SL_E_SEAL);
	mg_creds_free(c);
	free(one);
	free(two);
}

/* ---- live sessions ---- */

static void test_sessions(void **state)
{
	struct mg_sessions *s = mg_sessions_new();
	struct sl_flow_ref a = {0, 1, 1}, b = {0, 1, 2}, c = {1, 1, 1};
	struct sl_endpoint ea, ec;

	assert_int_equal(sl_endpoint_parse("10.0.0.1:1000", &ea), SL_OK);
	assert_int_equal(sl_endpoint_parse("10.0.0.2:1000", &ec), SL_OK);
	assert_int_equal(mg_sessions_add(s, &a, &ea, "alice", "shop", 1), SL_OK);
	assert_int_equal(mg_sessions_add(s, &c, &ec, "carol", "shop", 1), SL_OK);
	assert_int_equal(mg_sessions_nb(s), 2);
	assert_string_equal(mg_sessions_find(s, "10.0.0.1:1000", "shop")->user, "alice");
	assert_null(mg_sessions_find(s, "10.0.0.1:1000", "crm"));
	assert_null(mg_sessions_find(s, "10.0.0.3:1000", "shop"));
	/* the flow's place is used again: the end of the old one is no end of the new one */
	assert_int_equal(mg_sessions_add(s, &b, &ea, "bob", "shop", 1), SL_OK);
	assert_int_equal(mg_sessions_nb(s), 2);
	mg_sessions_end(s, &a);
	assert_int_equal(mg_sessions_nb(s), 2);
	mg_sessions_end(s, &b);
	assert_int_equal(mg_sessions_nb(s), 1);
	mg_sessions_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	        T(test_quorum),     T(test_grants),      T(test_grant_ends),
	        T(test_approve),    T(test_deny),        T(test_who_may),
	        T(test_expiry),     T(test_gone),        T(test_restart),
	        T(test_limit),      T(test_same_id),     T(test_store_fails),
	        T(test_master_key), T(test_credentials), cmocka_unit_test(test_sessions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
