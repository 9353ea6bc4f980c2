/* Approvals, credentials and live sessions on a real store. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "approval.h"
#include "clock.h"
#include "credential.h"
#include "session.h"
#include "sl_log.h"
#include "sl_snapshot.h"
#include "test_store.h"

#define SENT_MAX 2048

struct world {
	struct test_dir dir;
	char key_path[128];
	struct event_base *base;
	struct sl_store *store;
	struct mg_approvals *approvals;
	struct sl_id_maker ids;
	struct {
		struct sl_msg_decision d;
		char stored_state[16]; /* of the approval when the message was sent */
		uint32_t worker;
	} sent[SENT_MAX];
	unsigned nb_sent, nb_asked;
};

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

	if (msg->type == SL_MSG_ASKED) {
		w->nb_asked++;
		return;
	}
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
	test_dir_make(&w->dir);
	snprintf(w->key_path, sizeof(w->key_path), "%s/master.key", w->dir.path);
	w->ids.salt = 7;
	w->base = event_base_new();
	w->store = test_dir_open(&w->dir);
	open_approvals(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	mg_approvals_free(w->approvals);
	sl_store_close(w->store);
	event_base_free(w->base);
	test_dir_remove(&w->dir);
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

/* One more need. groups: NUL-ended one after the other. */
static struct sl_msg_need *need(struct sl_msg_hold *h, const char *rule, const char *groups, size_t n)
{
	struct sl_msg_need *one = &h->needs[h->nb_needs++];

	snprintf(one->rule, sizeof(one->rule), "%s", rule);
	memcpy(one->approvers, groups, n);
	one->approvers_n = (uint16_t)n;
	return one;
}

/* A hold by agent "bot" of issuer "i" in this session; without needs: approvers "dba" and "owners", or none.
 * Returns its id. */
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
	if (how->nb_needs == 0)
		need(&m->hold, "approve-updates", "dba\0owners", with_approvers ? 11 : 0);
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
	struct sl_msg_hold how = {.cmd = 0};
	struct world *w = *state;
	uint64_t later = mg_wall_us() + 60000000;
	struct sl_id id;

	need(&how, "two", "dba", 4)->quorum = 2;
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
	struct sl_msg_hold how = {.policy_version = 3, .resource = "shop"};
	struct world *w = *state;
	uint64_t later = mg_wall_us() + 60000000;
	struct sl_id first, other = sl_id_make(&w->ids, mg_wall_us());
	char note[64], text[SL_ID_STR_MAX];

	need(&how, "asked-once", "dba", 4)->grant = SL_GRANT_SESSION;
	how.session = sl_id_make(&w->ids, mg_wall_us());
	first = hold_in(w, true, later, &how);
	assert_int_equal(decide(w, &first, true, "i", "carol", "dba"), SL_OK);
	hold_in(w, true, later, &how);
	assert_int_equal(w->nb_sent, 2);
	assert_int_equal(w->sent[1].d.decision, SL_DECISION_APPROVED);
	assert_string_equal(w->sent[1].d.by, "carol");
	assert_string_equal(w->sent[1].stored_state, "approved");
	assert_int_equal(w->nb_asked, 1); /* the second never waited */
	snprintf(note, sizeof(note), "granted with approval %s", sl_id_str(&first, text));
	assert_string_equal(w->sent[1].d.note, note);
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
	struct sl_msg_hold how = {.cmd = 0};
	struct world *w = *state;
	struct sl_msg *late = calloc(1, sizeof(*late));
	uint64_t later = mg_wall_us() + 60000000;
	struct sl_id session = sl_id_make(&w->ids, mg_wall_us()), id;

	need(&how, "asked-once", "dba", 4)->grant = SL_GRANT_WINDOW;
	how.needs[0].grant_s = 60;
	how.session = session;
	id = hold_in(w, true, later, &how);
	assert_int_equal(decide(w, &id, true, "i", "carol", "dba"), SL_OK);
	how.session = sl_id_make(&w->ids, mg_wall_us()); /* a window is for all sessions of the caller */
	hold_in(w, true, later, &how);
	assert_int_equal(w->nb_sent, 2);
	late->type = SL_MSG_HOLD;
	late->hold = how;
	identity(&late->hold.identity, "i", "bot", "agents");
	late->hold.approval = sl_id_make(&w->ids, mg_wall_us());
	mg_approvals_hold(w->approvals, late, mg_wall_us() + 61000000); /* over */
	assert_int_equal(mg_approvals_nb_pending(w->approvals), 1);
	free(late);
	how.needs[0].grant = SL_GRANT_SESSION;
	id = hold_in(w, true, later, &how);
	assert_int_equal(decide(w, &id, true, "i", "carol", "dba"), SL_OK);
	mg_approvals_session_end(w->approvals, &how.session);
	hold_in(w, true, later, &how);
	assert_int_equal(mg_approvals_nb_pending(w->approvals), 2);
}

/* "<rule>:<needed>[ granted by X];" of each rule, and the state in front. */
static void expect_rules(struct world *w, const struct sl_id *id, const char *want)
{
	char got[512];
	json_t *doc, *one;
	size_t i, n;

	assert_int_equal(mg_approvals_get(w->approvals, id, &doc), SL_OK);
	n = (size_t)snprintf(got, sizeof(got), "%s", json_string_value(json_object_get(doc, "state")));
	json_array_foreach(json_object_get(doc, "rules"), i, one)
	{
		const char *by = json_string_value(json_object_get(one, "granted_by"));

		n += (size_t)snprintf(got + n, sizeof(got) - n, " %s:%d%s%s",
		                      json_string_value(json_object_get(one, "name")),
		                      (int)json_integer_value(json_object_get(one, "needed")),
		                      by != NULL ? "," : "", by != NULL ? by : "");
	}
	json_decref(doc);
	assert_string_equal(got, want);
}

/* Approves; the rules afterwards. */
static void approve(struct world *w, const struct sl_id *id, const char *sub, const char *groups, size_t n,
                    const char *want)
{
	struct sl_identity who;
	json_t *doc = NULL;

	identity(&who, "i", sub, NULL);
	memcpy(who.groups, groups, n);
	who.groups_n = (uint16_t)n;
	for (size_t i = 0; i < n; i++)
		who.nb_groups = (uint16_t)(who.nb_groups + (groups[i] == '\0'));
	assert_int_equal(mg_approvals_decide(w->approvals, id, true, &who, "", mg_wall_us(), &doc), SL_OK);
	json_decref(doc);
	expect_rules(w, id, want);
}

#define GROUPS(g) g, sizeof(g)

/* Two rules hold it: each needs its own people. */
static void test_two_rules(void **state)
{
	struct sl_msg_hold how = {.policy_version = 3};
	struct world *w = *state;
	uint64_t later = mg_wall_us() + 60000000;
	struct sl_id id;

	need(&how, "broad", GROUPS("team"));
	need(&how, "strict", GROUPS("owners"))->quorum = 2;
	id = hold_in(w, true, later, &how);
	expect_rules(w, &id, "pending broad:1 strict:2");
	assert_int_equal(decide(w, &id, true, "i", "mallory", "others"), SL_E_POLICY_DENIED);
	approve(w, &id, "tim", GROUPS("team"), "pending broad:0 strict:2");
	/* more of the broad rule's people do nothing for the strict one */
	approve(w, &id, "tom", GROUPS("team"), "pending broad:0 strict:2");
	assert_int_equal(decide(w, &id, true, "i", "tim", "owners"), SL_E_EXISTS);
	approve(w, &id, "olga", GROUPS("owners"), "pending broad:0 strict:1");
	assert_int_equal(w->nb_sent, 0);
	approve(w, &id, "oleg", GROUPS("owners"), "approved broad:0 strict:0");
	assert_int_equal(w->nb_sent, 1);
	assert_int_equal(w->sent[0].d.decision, SL_DECISION_APPROVED);
	/* one person in both groups counts for both, once for each */
	id = hold_in(w, true, later, &how);
	approve(w, &id, "both", GROUPS("team\0owners"), "pending broad:0 strict:1");
	assert_int_equal(decide(w, &id, true, "i", "both", "owners"), SL_E_EXISTS);
	approve(w, &id, "olga", GROUPS("owners"), "approved broad:0 strict:0");
	/* one who may approve for either may deny all */
	id = hold_in(w, true, later, &how);
	approve(w, &id, "olga", GROUPS("owners"), "pending broad:1 strict:1");
	assert_int_equal(decide(w, &id, false, "i", "tim", "team"), SL_OK);
	assert_int_equal(w->sent[2].d.decision, SL_DECISION_DENIED);
	/* the requester is never among them, whatever the groups */
	id = hold_in(w, true, later, &how);
	assert_int_equal(decide(w, &id, true, "i", "bot", "team"), SL_E_POLICY_DENIED);
	assert_int_equal(decide(w, &id, true, "i", "bot", "owners"), SL_E_POLICY_DENIED);
}

/* A grant of the broad rule does nothing for the strict one. */
static void test_grant_of_one_rule(void **state)
{
	struct sl_msg_hold broad = {.policy_version = 3}, both = {.policy_version = 3};
	struct world *w = *state;
	uint64_t now = mg_wall_us(), later = now + 60000000;
	struct sl_id id;

	need(&broad, "broad", GROUPS("team"))->grant = SL_GRANT_WINDOW;
	broad.needs[0].grant_s = 3600;
	both = broad;
	need(&both, "strict", GROUPS("owners"))->grant = SL_GRANT_SESSION;
	id = hold_in(w, true, later, &broad);
	approve(w, &id, "tim", GROUPS("team"), "approved broad:0");
	hold_in(w, true, later, &broad);
	assert_int_equal(w->nb_sent, 2);
	id = hold_in(w, true, later, &both);
	assert_int_equal(w->nb_sent, 2);
	expect_rules(w, &id, "pending broad:0,tim strict:1");
	approve(w, &id, "tom", GROUPS("team"), "pending broad:0,tim strict:1");
	approve(w, &id, "olga", GROUPS("owners"), "approved broad:0,tim strict:0");
	assert_int_equal(w->nb_sent, 3);
	/* both are granted now: nobody is asked, and both are named */
	id = hold_in(w, true, later, &both);
	expect_rules(w, &id, "approved broad:0,tom strict:0,olga"); /* the newest grant is named */
	assert_int_equal(w->nb_sent, 4);
	assert_string_equal(w->sent[3].d.by, "tom, olga");
	/* the session's grant ends, the other one stays */
	mg_approvals_session_end(w->approvals, &both.session);
	id = hold_in(w, true, later, &both);
	expect_rules(w, &id, "pending broad:0,tom strict:1");
}

/* What an approval waits for can come back: a grant that ends meanwhile counts no more. */
static void test_grant_ends_meanwhile(void **state)
{
	struct sl_msg_hold how = {.policy_version = 3};
	struct sl_identity olga, tim;
	struct world *w = *state;
	uint64_t now = mg_wall_us();
	struct sl_id id;
	json_t *doc = NULL;

	identity(&olga, "i", "olga", "owners");
	identity(&tim, "i", "tim", "team");
	need(&how, "broad", GROUPS("team"))->grant = SL_GRANT_WINDOW;
	how.needs[0].grant_s = 10;
	id = hold_in(w, true, now + 60000000, &how);
	assert_int_equal(decide(w, &id, true, "i", "tim", "team"), SL_OK);
	need(&how, "strict", GROUPS("owners"));
	id = hold_in(w, true, now + 60000000, &how);
	expect_rules(w, &id, "pending broad:0,tim strict:1");
	assert_int_equal(mg_approvals_decide(w->approvals, &id, true, &olga, "", now + 20000000, &doc),
	                 SL_OK);
	json_decref(doc);
	expect_rules(w, &id, "pending broad:1 strict:0");
	assert_int_equal(mg_approvals_decide(w->approvals, &id, true, &tim, "", now + 21000000, &doc), SL_OK);
	json_decref(doc);
	expect_rules(w, &id, "approved broad:0 strict:0");
}

/* A hold that asks for nothing, or for more than there is room for, is denied and not kept. */
static void test_bad_needs(void **state)
{
	struct world *w = *state;
	struct sl_msg *m = calloc(1, sizeof(*m));

	m->type = SL_MSG_HOLD;
	m->hold.expires_us = mg_wall_us() + 60000000;
	identity(&m->hold.identity, "i", "bot", NULL);
	for (unsigned i = 0; i < 4; i++) {
		m->hold.approval = sl_id_make(&w->ids, mg_wall_us());
		m->hold.nb_needs = i == 0 ? 0 : i == 1 ? SL_BUS_NEEDS_MAX + 1 : 1;
		if (i == 3) { /* a list without its end */
			snprintf(m->hold.needs[0].rule, sizeof(m->hold.needs[0].rule), "x");
			memset(m->hold.needs[0].approvers, 'a', sizeof(m->hold.needs[0].approvers));
			m->hold.needs[0].approvers_n = sizeof(m->hold.needs[0].approvers);
		}
		mg_approvals_hold(w->approvals, m, mg_wall_us());
		assert_int_equal(w->nb_sent, i + 1);
		assert_int_equal(w->sent[i].d.decision, SL_DECISION_UNASKED);
	}
	assert_int_equal(mg_approvals_nb_pending(w->approvals), 0);
	assert_int_equal(w->nb_asked, 0);
	free(m);
}

/* The order of the rules changes nothing: what is decided, and after whose approvals. */
static void test_order_of_rules(void **state)
{
	static const char *const names[] = {"a", "b", "c", "d"}, *const groups[] = {"g0", "g1", "g2", "g3"};
	struct world *w = *state;
	unsigned seed = (unsigned)mg_wall_us();

	print_message("seed %u\n", seed);
	for (int round = 0; round < 50; round++) {
		uint32_t nb = 1 + (uint32_t)rand_r(&seed) % SL_BUS_NEEDS_MAX, quorum[4], got[4] = {0};
		struct sl_msg_hold one = {.policy_version = 3}, two = {.policy_version = 3};
		struct sl_id ids[2];
		bool met = false;

		for (uint32_t i = 0; i < nb; i++) {
			quorum[i] = 1 + (uint32_t)rand_r(&seed) % 3;
			need(&one, names[i], groups[i], 3)->quorum = quorum[i];
		}
		for (uint32_t i = 0; i < nb; i++)
			two.needs[two.nb_needs++] = one.needs[nb - 1 - i];
		ids[0] = hold_in(w, true, UINT64_MAX, &one);
		ids[1] = hold_in(w, true, UINT64_MAX, &two);
		for (int k = 0; !met; k++) {
			uint32_t g = (uint32_t)rand_r(&seed) % nb;
			unsigned sent = w->nb_sent;
			char sub[16];

			snprintf(sub, sizeof(sub), "p%d", k);
			got[g]++;
			met = true;
			for (uint32_t i = 0; i < nb; i++)
				met = met && got[i] >= quorum[i];
			for (int d = 0; d < 2; d++) {
				struct sl_identity who;
				json_t *doc = NULL;

				identity(&who, "i", sub, groups[g]);
				assert_int_equal(mg_approvals_decide(w->approvals, &ids[d], true, &who, "",
				                                     mg_wall_us(), &doc),
				                 SL_OK);
				json_decref(doc);
			}
			assert_int_equal(w->nb_sent, met ? sent + 2 : sent);
		}
	}
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

/* The worker of the flow dies: what it waits for is denied, what its sessions were granted ends. */
static void test_worker_gone(void **state)
{
	struct sl_msg_hold how = {.policy_version = 3};
	struct world *w = *state;
	uint64_t later = mg_wall_us() + 60000000;
	struct sl_id first = hold(w), second;
	char text[16];

	assert_int_equal(mg_approvals_worker_gone(w->approvals, 2, mg_wall_us()), 0); /* another one */
	assert_int_equal(mg_approvals_nb_pending(w->approvals), 1);
	w->nb_sent = 0;
	assert_int_equal(mg_approvals_worker_gone(w->approvals, 3, mg_wall_us()), 1);
	assert_int_equal(mg_approvals_nb_pending(w->approvals), 0);
	read_state(w, &first, text, sizeof(text));
	assert_string_equal(text, "denied");
	assert_int_equal(decide(w, &first, true, "i", "carol", "dba"), SL_E_EXISTS);
	assert_int_equal(w->nb_sent, 0); /* there is nobody to be told */
	need(&how, "asked-once", "dba", 4)->grant = SL_GRANT_SESSION;
	w->ids.maker = 3;
	how.session = sl_id_make(&w->ids, mg_wall_us());
	second = hold_in(w, true, later, &how);
	assert_int_equal(decide(w, &second, true, "i", "carol", "dba"), SL_OK);
	(void)mg_approvals_worker_gone(w->approvals, 2, mg_wall_us());
	hold_in(w, true, later, &how); /* granted */
	assert_int_equal(mg_approvals_nb_pending(w->approvals), 0);
	(void)mg_approvals_worker_gone(w->approvals, 3, mg_wall_us());
	hold_in(w, true, later, &how);
	assert_int_equal(mg_approvals_nb_pending(w->approvals), 1);
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
	w->store = test_dir_open(&w->dir);
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
	static struct sl_msg_hold how;
	struct world *w = *state;
	struct sl_id last;
	char subject[16];
	json_t *list = json_array();

	for (int i = 0; i < MG_APPROVALS_MAX; i++) {
		if (i == MG_APPROVALS_OF_IDENTITY) { /* it leaves room for others */
			last = hold_in(w, true, mg_wall_us() + 60000000, &how);
			assert_int_equal(w->nb_sent, 1);
			assert_int_equal(w->sent[0].d.decision, SL_DECISION_UNASKED);
			assert_memory_equal(w->sent[0].d.approval.b, last.b, sizeof(last.b));
			w->nb_sent = 0;
		}
		snprintf(subject, sizeof(subject), "bot%d", i / MG_APPROVALS_OF_IDENTITY);
		identity(&how.identity, "i", subject, "agents");
		(void)hold_in(w, true, mg_wall_us() + 60000000, &how);
	}
	assert_int_equal(w->nb_sent, 0);
	last = hold(w);
	assert_int_equal(w->nb_sent, 1);
	assert_int_equal(w->sent[0].d.decision, SL_DECISION_UNASKED);
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
	need(&m->hold, "approve-updates", "dba", 4);
	m->hold.expires_us = mg_wall_us() + 60000000;
	identity(&m->hold.identity, "i", "bot", NULL);
	mg_approvals_hold(w->approvals, m, mg_wall_us());
	assert_int_equal(w->sent[1].d.decision, SL_DECISION_UNASKED);
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
	assert_int_equal(w->sent[0].d.decision, SL_DECISION_UNASKED);
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

/* What is sealed under a key that is not there is not left behind in silence: another key is somebody's
 * order. */
static void test_master_key_lost(void **state)
{
	struct world *w = *state;
	struct mg_creds *c = open_creds(w);
	struct stat st;

	assert_int_equal(mg_creds_put(c, "shop", SL_SPAN_LIT("app"), SL_SPAN_LIT("secret"), 1), SL_OK);
	mg_creds_free(c);
	assert_int_equal(unlink(w->key_path), 0);
	assert_null(open_creds(w));
	assert_int_not_equal(stat(w->key_path, &st), 0);
	write_key(w, HEX64, 0600);
	c = open_creds(w);
	assert_non_null(c);
	mg_creds_free(c);
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
	write_key(w, HEX64, 0600);
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
	struct sl_id alice = {{1}}, bob = {{2}}, carol = {{3}};

	assert_int_equal(mg_sessions_add(s, &a, &alice), SL_OK);
	assert_int_equal(mg_sessions_add(s, &c, &carol), SL_OK);
	assert_int_equal(mg_sessions_nb(s), 2);
	assert_memory_equal(mg_sessions_find(s, &alice), &a, sizeof(a));
	assert_memory_equal(mg_sessions_find(s, &carol), &c, sizeof(c));
	assert_null(mg_sessions_find(s, &bob));
	/* the flow's place is used again: neither the end of the old one nor its late login is the new one's
	 */
	assert_int_equal(mg_sessions_add(s, &b, &bob), SL_OK);
	assert_int_equal(mg_sessions_nb(s), 2);
	assert_null(mg_sessions_find(s, &alice));
	mg_sessions_end(s, &a);
	assert_int_equal(mg_sessions_add(s, &a, &alice), SL_E_EXISTS);
	assert_memory_equal(mg_sessions_find(s, &bob), &b, sizeof(b));
	assert_int_equal(mg_sessions_nb(s), 2);
	mg_sessions_end(s, &b);
	assert_int_equal(mg_sessions_nb(s), 1);
	/* generations begin anew after the last one */
	b.generation = UINT32_MAX;
	assert_int_equal(mg_sessions_add(s, &b, &bob), SL_OK);
	assert_int_equal(mg_sessions_add(s, &a, &alice), SL_OK);
	assert_int_equal(mg_sessions_worker_gone(s, 1), 1);
	assert_null(mg_sessions_find(s, &carol));
	assert_non_null(mg_sessions_find(s, &alice));
	assert_int_equal(mg_sessions_worker_gone(s, 7), 0);
	mg_sessions_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	        T(test_two_rules),
	        T(test_grant_of_one_rule),
	        T(test_grant_ends_meanwhile),
	        T(test_bad_needs),
	        T(test_order_of_rules),
	        T(test_quorum),
	        T(test_grants),
	        T(test_grant_ends),
	        T(test_approve),
	        T(test_deny),
	        T(test_who_may),
	        T(test_expiry),
	        T(test_gone),
	        T(test_worker_gone),
	        T(test_restart),
	        T(test_limit),
	        T(test_same_id),
	        T(test_store_fails),
	        T(test_master_key),
	        T(test_master_key_lost),
	        T(test_credentials),
	        cmocka_unit_test(test_sessions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
