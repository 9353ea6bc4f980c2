/* Commands and their records, holds, scarce blocks, policy changes, a session's life. */
#include "test_util.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#define RESOURCE                                                                                             \
	"kind: Resource\nversion: 1\nmetadata: {name: shop}\nspec:\n  protocol: postgres\n"                  \
	"  address: 10.99.2.2:5432\n  credential: shop-app\n  databases: [shop]\n  tls: {mode: 'off'}\n"

#define ROLE(name, group, allow)                                                                             \
	"---\nkind: Role\nversion: 1\nmetadata: {name: " name "}\nspec:\n  groups: [" group                  \
	"]\n  resources: [shop]\n"                                                                           \
	"  databases: ['*']\n  allow: [" allow "]\n"

#define RULE(name, spec) "---\nkind: Rule\nversion: 1\nmetadata: {name: " name "}\nspec:\n" spec
#define MASK(name, spec) "---\nkind: Mask\nversion: 1\nmetadata: {name: " name "}\nspec:\n" spec

static const char policy_one[] = RESOURCE ROLE("agent", "agents",
                                               "read, insert, update, delete, set, alter, grant")
        RULE("no-delete-all", "  action: deny\n  kinds: [update, delete]\n  withoutWhere: true\n  message: "
                              "UPDATE and DELETE need a WHERE clause\n")
                RULE("approve-updates",
                     "  action: hold\n  kinds: [update]\n  approvers: [db-owners, leads]\n  expires: 120s\n"
                     "  message: updates need approval\n");

/* The same without the right to insert, and with another message. */
static const char policy_two[] = RESOURCE ROLE("agent", "agents", "read");
static const char policy_other_role[] = RESOURCE ROLE("other", "others", "read");
static const char policy_masked[] =
        RESOURCE ROLE("agent", "agents", "read") MASK("ssn", "  action: redact\n  columns: [ssn]\n");

static void test_allow_and_deny(void **state)
{
	uint64_t commands = sl_counter_sum(SL_C_COMMANDS), denied = sl_counter_sum(SL_C_DENIED);
	struct fx f;
	uint64_t barrier;

	(void)state;
	fx_up(&f, policy_one);
	session(&f, "agents");
	barrier = sl_inspect_barrier(f.in);
	assert_true(barrier > 0);
	assert_int_equal(command(&f, "SELECT 1"), SL_OK);
	assert_int_equal(f.v.action, SL_ACT_ALLOW);
	assert_true(sl_inspect_barrier(f.in) > barrier);
	assert_int_equal(result(&f, 1, "SELECT 3"), SL_OK);
	assert_int_equal(command(&f, "DELETE FROM t"), SL_OK);
	expect_denied(&f, SL_RSN_POLICY, "UPDATE and DELETE need a WHERE clause");
	expect_event_id(&f, 3);
	assert_int_equal(command(&f, "DROP TABLE t"), SL_OK);
	expect_denied(&f, SL_RSN_POLICY, "drop");
	assert_int_equal(command_with(&f, SL_PHASE_OTHER, "function call 715", NULL, 0), SL_OK);
	expect_denied(&f, SL_RSN_POLICY, "");
	assert_int_equal(command_with(&f, SL_PHASE_OTHER, "what is this", NULL, 0), SL_OK);
	expect_denied(&f, SL_RSN_POLICY, "");
	assert_int_equal(command_with(&f, SL_PHASE_OTHER, "copy fail", NULL, 0), SL_OK);
	assert_int_equal(f.v.action, SL_ACT_ALLOW);
	close_flow(&f);
	assert_int_equal(sl_counter_sum(SL_C_COMMANDS), commands + 6);
	assert_int_equal(sl_counter_sum(SL_C_DENIED), denied + 4);

	assert_int_equal(read_records(&f), 9);
	assert_int_equal(num(&f, 0, "k"), SL_REC_SESSION);
	expect_text(&f, 0, "u", "agent seven");
	expect_text(&f, 0, "iss", "https://idp.example");
	expect_text(&f, 0, "r", "shop");
	expect_text(&f, 0, "tu", "shop_app");
	expect_text(&f, 0, "c", "10.1.2.3:45678");
	assert_int_equal(value(&f, 0, "g").nb_items, 1);
	assert_int_equal(num(&f, 1, "k"), SL_REC_COMMAND);
	assert_int_equal(num(&f, 1, "cmd"), 1);
	assert_int_equal(num(&f, 1, "pv"), 1);
	assert_int_equal(num(&f, 1, "l"), 8);
	expect_text(&f, 1, "x", "SELECT 1");
	expect_text(&f, 1, "v", "allow");
	expect_text(&f, 1, "sk", "select");
	expect_text(&f, 1, "ph", "simple");
	expect_text(&f, 1, "ru", NULL);
	/* sha256 of "SELECT 1" */
	expect_text(&f, 1, "h", "e004ebd5b5532a4b85984a62f8ad48a81aa3460c1ca07701f386135d72cdecf5");
	assert_int_equal(num(&f, 2, "k"), SL_REC_RESULT);
	expect_text(&f, 2, "o", "SELECT 3");
	expect_text(&f, 3, "v", "deny");
	expect_text(&f, 3, "ru", "no-delete-all");
	expect_text(&f, 4, "ru", NULL);
	expect_text(&f, 5, "x", "function call 715");
	assert_int_equal(num(&f, 8, "k"), SL_REC_END);
	expect_text(&f, 8, "rs", "client closed");
	assert_int_equal(num(&f, 8, "nc"), 6);
	assert_int_equal(num(&f, 8, "nd"), 4);
	assert_int_equal(num(&f, 8, "bi"), 100);
	fx_down(&f);
}

static void decide(struct fx *f, enum sl_decision d, const char *note, int want)
{
	struct sl_msg_decision m;

	memset(&m, 0, sizeof(m));
	m.approval = f->hold.approval;
	m.decision = d;
	strcpy(m.by, "owner");
	strcpy(m.note, note);
	assert_int_equal(sl_inspect_decision(f->in, &m, &f->v), want);
}

static void test_hold(void **state)
{
	struct fx f;
	char text[256], id[SL_ID_STR_MAX];

	(void)state;
	fx_up(&f, policy_one);
	session(&f, "agents");
	/* Prepared: put off. */
	assert_int_equal(command_with(&f, SL_PHASE_PREPARE, "UPDATE t SET a = $1 WHERE b = $2", NULL, 0),
	                 SL_OK);
	assert_int_equal(f.v.action, SL_ACT_ALLOW);
	/* Executed: held. */
	const struct sl_param params[] = {{.value = SL_SPAN_LIT("it's \"x\"\n"), .type = 25},
	                                  {.value = SL_SPAN_EMPTY}};

	assert_int_equal(command_with(&f, SL_PHASE_EXECUTE, "UPDATE t SET a = $1 WHERE b = $2", params, 2),
	                 SL_OK);
	assert_int_equal(f.v.action, SL_ACT_PARK);
	assert_int_equal(f.v.reason.code, SL_RSN_HELD);
	expect_event_id(&f, 2);
	snprintf(text, sizeof(text), "held for approval %s: updates need approval",
	         sl_id_str(&f.hold.approval, id));
	assert_true(sl_span_is(f.v.reason.message, text));
	assert_int_equal(f.hold.cmd, 2);
	assert_int_equal(f.hold.nb_needs, 1);
	assert_string_equal(f.hold.needs[0].rule, "approve-updates");
	assert_string_equal(f.hold.message, "updates need approval");
	assert_string_equal(f.hold.resource, "shop");
	assert_string_equal(f.hold.identity.subject, "agent-7");
	assert_int_equal(f.hold.expires_us, T_WALL_US + 120 * UINT64_C(1000000));
	assert_int_equal(f.hold.needs[0].approvers_n, sizeof("db-owners") + sizeof("leads"));
	assert_memory_equal(f.hold.needs[0].approvers, "db-owners\0leads", sizeof("db-owners\0leads"));
	assert_int_equal(f.hold.text_total, 32);
	assert_true(sl_span_is(sl_span(f.hold.text, f.hold.text_n),
	                       "UPDATE t SET a = $1 WHERE b = $2\n$1 = \"it's \\\"x\\\"\\x0a\"\n$2 = NULL"));
	/* Nothing else while it is held; and only its own approval ends it. */
	struct sl_id approval = f.hold.approval;

	assert_int_equal(command(&f, "SELECT 1"), SL_E_PROTO_STATE);
	f.hold.approval = approval;
	f.hold.approval.b[15] ^= 1;
	decide(&f, SL_DECISION_APPROVED, "", SL_E_INVAL);
	f.hold.approval.b[15] ^= 1;
	decide(&f, SL_DECISION_APPROVED, "fine", SL_OK);
	assert_int_equal(f.v.action, SL_ACT_ALLOW);
	decide(&f, SL_DECISION_APPROVED, "twice", SL_E_INVAL);
	assert_int_equal(result(&f, 2, "UPDATE 1"), SL_OK);

	for (int i = 0; i < 3; i++) {
		static const enum sl_decision ds[] = {SL_DECISION_DENIED, SL_DECISION_EXPIRED,
		                                      SL_DECISION_CANCELLED};
		static const enum sl_reason_code codes[] = {SL_RSN_REFUSED, SL_RSN_EXPIRED, SL_RSN_CANCELLED};

		assert_int_equal(command(&f, "UPDATE t SET a = 1 WHERE b = 2"), SL_OK);
		assert_int_equal(f.v.action, SL_ACT_PARK);
		decide(&f, ds[i], "not\nnow", SL_OK);
		expect_denied(&f, codes[i], i == 0 ? "not now" : "");
		expect_event_id(&f, 6 + 2 * (uint64_t)i);
	}
	close_flow(&f);
	read_records(&f);
	expect_text(&f, 1, "v", "allow");
	expect_text(&f, 1, "ru", "approve-updates");
	expect_text(&f, 2, "v", "hold");
	assert_int_equal(value(&f, 2, "pa").nb_items, 2);
	struct sl_span rest = value(&f, 2, "pa").s;
	assert_true(sl_span_is(sl_record_next(&rest).s, "it's \"x\"\n"));
	assert_int_equal(sl_record_next(&rest).type, SL_RV_NIL);
	assert_int_equal(num(&f, 3, "k"), SL_REC_DECISION);
	expect_text(&f, 3, "o", "approved");
	expect_text(&f, 3, "by", "owner");
	assert_int_equal(value(&f, 2, "ap").s.n, 26);
	assert_true(sl_span_eq(value(&f, 2, "ap").s, value(&f, 3, "ap").s));
	expect_text(&f, 6, "o", "denied");
	assert_int_equal(num(&f, f.nb_recs - 1, "nd"), 3);
	fx_down(&f);
}

/* Two rules: both are asked for, in the shorter of their times, and the record names both. */
static void test_two_holds(void **state)
{
	static const char policy[] = RESOURCE ROLE("agent", "agents", "read, update")
	        RULE("broad", "  action: hold\n  kinds: [update]\n  approvers: [team]\n  expires: 300s\n"
	                      "  grant: session\n")
	                RULE("strict", "  action: hold\n  relations: [accounts]\n  approvers: [owners]\n"
	                               "  expires: 60s\n  quorum: 2\n  grant: 30m\n");
	struct fx f;

	(void)state;
	fx_up(&f, policy);
	session(&f, "agents");
	assert_int_equal(command_with(&f, SL_PHASE_PREPARE, "UPDATE accounts SET a = 1 WHERE b = 2", NULL, 0),
	                 SL_OK);
	assert_int_equal(command(&f, "UPDATE accounts SET a = 1 WHERE b = 2"), SL_OK);
	assert_int_equal(f.v.action, SL_ACT_PARK);
	assert_int_equal(f.hold.nb_needs, 2);
	assert_string_equal(f.hold.needs[0].rule, "broad");
	assert_string_equal(f.hold.needs[0].approvers, "team");
	assert_int_equal(f.hold.needs[0].quorum, 1);
	assert_int_equal(f.hold.needs[0].grant, SL_GRANT_SESSION);
	assert_string_equal(f.hold.needs[1].rule, "strict");
	assert_string_equal(f.hold.needs[1].approvers, "owners");
	assert_int_equal(f.hold.needs[1].quorum, 2);
	assert_int_equal(f.hold.needs[1].grant, SL_GRANT_WINDOW);
	assert_int_equal(f.hold.needs[1].grant_s, 1800);
	assert_int_equal(f.hold.expires_us, T_WALL_US + 60 * UINT64_C(1000000));
	decide(&f, SL_DECISION_DENIED, "", SL_OK);
	close_flow(&f);
	read_records(&f);
	for (uint32_t i = 1; i <= 2; i++) {
		struct sl_span rest = value(&f, i, "hr").s;

		expect_text(&f, i, "ru", "broad");
		assert_int_equal(value(&f, i, "hr").nb_items, 2);
		assert_true(sl_span_is(sl_record_next(&rest).s, "broad"));
		assert_true(sl_span_is(sl_record_next(&rest).s, "strict"));
	}
	fx_down(&f);
}

static bool shows(const struct fx *f, const char *part)
{
	return memmem(f->hold.text, f->hold.text_n, part, strlen(part)) != NULL;
}

/* What an approver is not shown, the approver is told of. */
static void test_hold_params(void **state)
{
	static struct sl_param params[64];
	char value[200], *text = malloc(SL_BUS_TEXT_MAX + 1);
	struct fx f;

	(void)state;
	assert_non_null(text);
	memset(value, 'v', sizeof(value));
	for (int i = 0; i < 64; i++)
		params[i] = (struct sl_param){.value = sl_span(value, sizeof(value))};
	fx_up(&f, policy_one);
	session(&f, "agents");
	assert_int_equal(command_with(&f, SL_PHASE_EXECUTE, "UPDATE t SET a = $1 WHERE b = $2", params, 64),
	                 SL_OK);
	assert_true(shows(&f, "...\" (200 bytes)\n$2"));
	assert_true(shows(&f, " more parameters)"));
	assert_false(shows(&f, "$64"));
	decide(&f, SL_DECISION_CANCELLED, "", SL_OK);
	/* no room for any: of a text that just fits, and of one that does not */
	for (size_t n = SL_BUS_TEXT_MAX - 192; n <= SL_BUS_TEXT_MAX; n += 192) {
		memset(text, ' ', n);
		memcpy(text, "UPDATE t SET a = $1 WHERE b", 27);
		text[n] = '\0';
		assert_int_equal(command_with(&f, SL_PHASE_EXECUTE, text, params, 64), SL_OK);
		assert_true(shows(&f, "(64 more parameters)") || f.hold.text_total > f.hold.text_n);
		assert_true(f.hold.text_n <= sizeof(f.hold.text));
		decide(&f, SL_DECISION_CANCELLED, "", SL_OK);
	}
	close_flow(&f);
	fx_down(&f);
	free(text);
}

/* The caller's login runs out while the command is held: an approval is too late. */
static void test_hold_outlives_login(void **state)
{
	const char *groups[] = {"agents", NULL};
	struct sl_event ev = {.kind = SL_EV_SESSION};
	struct sl_identity who = identity(groups);
	const struct sl_resource *res;
	struct fx f;

	(void)state;
	who.expires_us = T_WALL_US + 5;
	fx_up(&f, policy_one);
	flow_new(&f);
	assert_int_equal(sl_inspect_login(f.in, &who, SL_SPAN_LIT("shop"), SL_SPAN_LIT("shop"), SL_SPAN_EMPTY,
	                                  SL_SPAN_EMPTY, &res),
	                 SL_OK);
	assert_int_equal(sl_inspect_event(f.in, &ev, &f.v, NULL), SL_OK);
	assert_int_equal(command(&f, "UPDATE t SET a = 1 WHERE b = 2"), SL_OK);
	assert_int_equal(f.v.action, SL_ACT_PARK);
	sl_inspect_worker_time(f.w, 2000, T_WALL_US + 5);
	decide(&f, SL_DECISION_APPROVED, "fine", SL_OK);
	expect_denied(&f, SL_RSN_AUTH, "login has expired");
	close_flow(&f);
	read_records(&f);
	expect_text(&f, 2, "o", "denied");
	expect_text(&f, 2, "by", "sluice");
	fx_down(&f);
}

/* Parse under one policy, Execute under the next: judged when it is to run, by the policy of then. */
static void test_policy_between(void **state)
{
	static const char lax[] = RESOURCE ROLE("agent", "agents", "read, insert, update");
	struct fx f;

	(void)state;
	fx_up(&f, lax);
	session(&f, "agents");
	assert_int_equal(command_with(&f, SL_PHASE_PREPARE, "UPDATE t SET a = 1", NULL, 0), SL_OK);
	assert_int_equal(f.v.action, SL_ACT_ALLOW);
	assert_int_equal(command_with(&f, SL_PHASE_PREPARE, "UPDATE t SET a = 1 WHERE b", NULL, 0), SL_OK);
	assert_int_equal(f.v.action, SL_ACT_ALLOW);
	apply(&f, policy_one);
	assert_int_equal(command_with(&f, SL_PHASE_EXECUTE, "UPDATE t SET a = 1", NULL, 0), SL_OK);
	expect_denied(&f, SL_RSN_POLICY, "need a WHERE clause");
	assert_int_equal(command_with(&f, SL_PHASE_EXECUTE, "UPDATE t SET a = 1 WHERE b", NULL, 0), SL_OK);
	assert_int_equal(f.v.action, SL_ACT_PARK);
	assert_int_equal(f.hold.policy_version, 2);
	decide(&f, SL_DECISION_CANCELLED, "", SL_OK);
	apply(&f, policy_two);
	assert_int_equal(command_with(&f, SL_PHASE_EXECUTE, "UPDATE t SET a = 1 WHERE b", NULL, 0), SL_OK);
	expect_denied(&f, SL_RSN_POLICY, "update");
	close_flow(&f);
	fx_down(&f);
}

static void test_hold_without_message(void **state)
{
	struct sl_event ev = {.kind = SL_EV_COMMAND, .cmd = 1};
	struct fx f;

	(void)state;
	fx_up(&f, policy_one);
	session(&f, "agents");
	ev.command.phase = SL_PHASE_SIMPLE;
	ev.command.text = SL_SPAN_LIT("UPDATE t SET a = 1 WHERE b = 2");
	assert_int_equal(sl_inspect_event(f.in, &ev, &f.v, NULL), SL_AGAIN);
	assert_int_equal(read_records(&f), 1);
	assert_int_equal(command(&f, "UPDATE t SET a = 1 WHERE b = 2"), SL_OK);
	decide(&f, SL_DECISION_CANCELLED, "", SL_OK);
	close_flow(&f);
	fx_down(&f);
}

/* ---- records of long things ---- */

static char *long_select(size_t n)
{
	char *text = malloc(n + 1);

	assert_non_null(text);
	memset(text, 'x', n);
	memcpy(text, "SELECT '", 8);
	for (size_t i = 8; i + 2 < n - 1; i += 2)
		memcpy(text + i, "\xc3\xa4", 2); /* two bytes each, so that cuts matter */
	text[n - 1] = '\'';
	text[n] = '\0';
	return text;
}

static void test_long_text(void **state)
{
	static const size_t sizes[] = {6143, 6144, 6145, 12288, 12289, 50000, 150000};
	struct fx f;

	(void)state;
	fx_up(&f, policy_one);
	for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		char *text = long_select(sizes[k]), *got = calloc(1, sizes[k] + 1);
		size_t n = 0;

		assert_non_null(got);
		session(&f, "agents");
		settle(&f);
		assert_int_equal(command(&f, text), SL_OK);
		assert_int_equal(f.v.action, SL_ACT_ALLOW);
		read_records(&f);
		assert_int_equal(num(&f, 1, "l"), sizes[k]);
		for (uint32_t i = 1; i < f.nb_recs; i++) {
			struct sl_span x = value(&f, i, "x").s;

			assert_int_equal(num(&f, i, "k"), i == 1 ? SL_REC_COMMAND : SL_REC_MORE);
			assert_true(x.n <= SL_RECORD_TEXT_MAX && x.n > 0);
			assert_int_not_equal(x.p[0] & 0xc0, 0x80);
			if (i > 1)
				assert_int_equal(num(&f, i, "z"), i + 1 == f.nb_recs);
			memcpy(got + n, x.p, x.n);
			n += x.n;
		}
		assert_string_equal(got, text);
		assert_int_equal(result(&f, 1, "SELECT 1"), SL_OK);
		close_flow(&f);
		free(got);
		free(text);
	}
	/* Longer than half of the blocks: the start only. */
	char *text = long_select((T_BLOCKS / 2 + 2) * (size_t)SL_RECORD_TEXT_MAX);

	session(&f, "agents");
	assert_int_equal(command(&f, text), SL_OK);
	assert_int_equal(read_records(&f), 2);
	assert_int_equal(num(&f, 1, "l"), strlen(text));
	assert_int_equal(value(&f, 1, "h").s.n, 64);
	assert_true(value(&f, 1, "x").s.n > SL_RECORD_TEXT_MAX / 2);
	assert_memory_equal(value(&f, 1, "x").s.p, text, value(&f, 1, "x").s.n);
	close_flow(&f);
	free(text);
	fx_down(&f);
}

static void test_params(void **state)
{
	static uint8_t big[5000];
	struct sl_param params[100];
	struct sl_span rest, item;
	struct fx f;

	(void)state;
	memset(big, 'b', sizeof(big));
	for (size_t i = 0; i < 100; i++)
		params[i] = (struct sl_param){.value = sl_span(big, 100), .type = 25};
	params[0] = (struct sl_param){.value = sl_span("\x00\x00\x00\x2a", 4), .format = 1, .type = 23};
	params[1] = (struct sl_param){.value = sl_span(big, sizeof(big)), .type = 25};
	params[2] = (struct sl_param){.value = sl_span(big, sizeof(big)), .type = 17, .format = 1};
	params[3] = (struct sl_param){.value = sl_span(big, 0), .type = 25};
	fx_up(&f, policy_one);
	session(&f, "agents");
	assert_int_equal(command_with(&f, SL_PHASE_EXECUTE, "SELECT $1", params, 100), SL_OK);
	/* The hash covers what the record leaves out. */
	params[99].value.n = 99;
	assert_int_equal(command_with(&f, SL_PHASE_EXECUTE, "SELECT $1", params, 100), SL_OK);
	assert_int_equal(read_records(&f), 3);
	assert_false(sl_span_eq(value(&f, 1, "h").s, value(&f, 2, "h").s));
	rest = value(&f, 1, "pa").s;
	assert_true(sl_span_is(sl_record_next(&rest).s, "42"));
	item = sl_record_next(&rest).s;
	assert_true(item.n < 512);
	assert_memory_equal(item.p + item.n - 15, "...[5000 bytes]", 15);
	item = sl_record_next(&rest).s;
	assert_memory_equal(item.p, "\\x6262", 6);
	assert_memory_equal(item.p + item.n - 15, "...[5000 bytes]", 15);
	item = sl_record_next(&rest).s;
	assert_int_equal(item.n, 0);
	for (uint32_t i = 4; i < value(&f, 1, "pa").nb_items; i++)
		item = sl_record_next(&rest).s;
	assert_memory_equal(item.p + item.n - 16, "more parameters]", 16);
	close_flow(&f);
	fx_down(&f);
}

static void test_passwords_and_set(void **state)
{
	static const char *const refused[] = {"SET client_encoding TO gbk", "/* x */ SET NAMES 'SJIS'",
	                                      "SELECT 1; SET LOCAL client_encoding = 'BIG5'"};
	struct sl_event unread = {.kind = SL_EV_COMMAND, .cmd = 100};
	struct fx f;

	(void)state;
	fx_up(&f, policy_one);
	session(&f, "agents");
	assert_int_equal(command(&f, "ALTER ROLE a PASSWORD 'hunter2' LOGIN"), SL_OK);
	assert_int_equal(f.v.action, SL_ACT_ALLOW);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		assert_int_equal(command(&f, refused[i]), SL_OK);
		expect_denied(&f, SL_RSN_POLICY, "through this gateway");
	}
	assert_int_equal(command(&f, "SET search_path TO a; SELECT 1"), SL_OK);
	assert_int_equal(f.v.action, SL_ACT_ALLOW);
	assert_int_equal(command(&f, "DISCARD ALL"), SL_OK);
	assert_int_equal(f.v.action, SL_ACT_ALLOW);
	/* SET of what the reading rests on, and what the decoder does not vouch for: opaque */
	assert_int_equal(command(&f, "SET standard_conforming_strings = off"), SL_OK);
	assert_int_equal(f.v.action, SL_ACT_DENY);
	unread.command.phase = SL_PHASE_SIMPLE;
	unread.command.text = SL_SPAN_LIT("SELECT 1");
	unread.command.unread = true;
	assert_int_equal(sl_inspect_event(f.in, &unread, &f.v, NULL), SL_OK);
	assert_int_equal(f.v.action, SL_ACT_DENY);
	unread.cmd++;
	unread.command.text = SL_SPAN_LIT("ALTER ROLE a PASSWORD 'x\\'hidden'");
	assert_int_equal(sl_inspect_event(f.in, &unread, &f.v, NULL), SL_OK);
	assert_int_equal(f.v.action, SL_ACT_DENY);
	assert_non_null(memmem(f.v.reason.message.p, f.v.reason.message.n, "backslashes", 11));
	close_flow(&f);
	read_records(&f);
	expect_text(&f, 1, "x", "ALTER ROLE a PASSWORD '***' LOGIN");
	for (uint32_t i = 0; i < f.nb_recs; i++)
		assert_null(memmem(f.rec[i], f.rec_n[i], "hunter2", 7));
	fx_down(&f);
}

/*
 * What is taken for a password is not shown: nobody is asked to approve a command that may run it. DO is
 * shown with what it assigns, and a password of a role, a mapping, a server or a subscription is no command.
 */
static void test_approver_sees_all(void **state)
{
	static const struct {
		const char *text, *shown; /* NULL: denied */
	} cases[] = {
	        {"DO 'declare password text; begin password=''DROP TABLE orders''; execute password; end'",
	         "password=''DROP TABLE orders''"},
	        {"DO $$begin execute replace(substr('password=DROP_TABLE_orders', 10), '_', ' '); end$$",
	         "'password=DROP_TABLE_orders'"},
	        {"DO $$begin execute password 'DROP TABLE orders'; end$$", NULL},
	        {"DO LANGUAGE password 'begin drop table orders; end'", NULL},
	        {"CALL run(password 'DROP TABLE orders')", NULL},
	        {"CREATE ROLE a; CALL run(password 'DROP TABLE orders')", NULL},
	        {"ALTER SYSTEM SET archive_command = 'password=$(reboot)'", NULL},
	        {"CREATE ROLE a PASSWORD 'x'", "CREATE ROLE a PASSWORD '***'"},
	        {"SELECT 1; alter /**/ user a with password 'x'", "with password '***'"},
	        {"CREATE USER MAPPING FOR a SERVER s OPTIONS (password 'x')", "(password '***')"},
	        {"CREATE SUBSCRIPTION s CONNECTION 'host=h password=x' PUBLICATION p",
	         "CONNECTION '***' PUB"},
	};
	struct fx f;

	(void)state;
	fx_up(&f, RESOURCE ROLE("agent", "agents", "any")
	                  RULE("hold", "  action: hold\n  kinds: [do, call, create, alter, admin]\n"
	                               "  approvers: [leads]\n  expires: 60s\n"));
	session(&f, "agents");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(command(&f, cases[i].text), SL_OK);
		if (cases[i].shown == NULL) {
			expect_denied(&f, SL_RSN_POLICY, "nobody can approve it");
			continue;
		}
		assert_int_equal(f.v.action, SL_ACT_PARK);
		if (!shows(&f, cases[i].shown))
			fail_msg("an approver sees only: %.*s", (int)f.hold.text_n,
			         (const char *)f.hold.text);
		decide(&f, SL_DECISION_DENIED, "", SL_OK);
	}
	close_flow(&f);
	fx_down(&f);
}

/* A record without its passwords says so; its hash says which they were, but only to who has the store's key.
 */
static void test_hash_of_cut_text(void **state)
{
	static const char text[] = "ALTER ROLE a PASSWORD 'x'";
	uint8_t plain[32], keyed[32];
	char plain_hex[65], keyed_hex[65];
	struct fx f;

	(void)state;
	fx_up(&f, RESOURCE ROLE("agent", "agents", "any"));
	session(&f, "agents");
	assert_int_equal(command(&f, text), SL_OK);
	assert_int_equal(command(&f, "ALTER ROLE a PASSWORD 'y'"), SL_OK);
	assert_int_equal(command(&f, text), SL_OK);
	assert_int_equal(command(&f, "ALTER ROLE a NOLOGIN"), SL_OK);
	close_flow(&f);
	read_records(&f);
	for (uint32_t i = 1; i <= 3; i++) {
		expect_text(&f, i, "x", "ALTER ROLE a PASSWORD '***'");
		assert_int_equal(num(&f, i, "pc"), 1);
	}
	expect_text(&f, 4, "pc", NULL);
	assert_false(sl_span_eq(value(&f, 1, "h").s, value(&f, 2, "h").s));
	assert_true(sl_span_eq(value(&f, 1, "h").s, value(&f, 3, "h").s));
	EVP_Digest(text, sizeof(text) - 1, plain, NULL, EVP_sha256(), NULL);
	HMAC(EVP_sha256(), sl_store_text_key(f.store), 32, (const uint8_t *)text, sizeof(text) - 1, keyed,
	     NULL);
	for (int i = 0; i < 32; i++) {
		snprintf(plain_hex + 2 * i, 3, "%02x", plain[i]);
		snprintf(keyed_hex + 2 * i, 3, "%02x", keyed[i]);
	}
	assert_false(sl_span_is(value(&f, 1, "h").s, plain_hex));
	assert_true(sl_span_is(value(&f, 1, "h").s, keyed_hex));
	fx_down(&f);
}

/* ---- scarce blocks ---- */

static void test_again(void **state)
{
	struct sl_event note = {.kind = SL_EV_NOTE}, error = {.kind = SL_EV_ERROR};
	uint64_t commands = sl_counter_sum(SL_C_COMMANDS), barrier;
	char *text = long_select(20000); /* 4 records */
	struct fx f;

	(void)state;
	fx_up(&f, policy_one);
	session(&f, "agents");
	read_records(&f);
	barrier = sl_inspect_barrier(f.in);
	for (uint32_t left = 0; left < 4; left++) {
		take_blocks(&f, left);
		assert_int_equal(command(&f, text), SL_AGAIN);
		assert_int_equal(sl_store_blocks_free(f.store, 0), left);
		give_blocks(&f);
	}
	assert_int_equal(read_records(&f), 1);
	assert_int_equal(sl_inspect_barrier(f.in), barrier);
	assert_int_equal(sl_counter_sum(SL_C_COMMANDS), commands);
	take_blocks(&f, 4);
	assert_int_equal(command(&f, text), SL_OK);
	assert_int_equal(sl_store_blocks_free(f.store, 0), 0);
	give_blocks(&f);
	assert_int_equal(read_records(&f), 5);
	assert_int_equal(sl_counter_sum(SL_C_COMMANDS), commands + 1);

	assert_int_equal(command(&f, "UPDATE t SET a = 1 WHERE b = 2"), SL_OK);
	take_blocks(&f, 0);
	decide(&f, SL_DECISION_APPROVED, "", SL_AGAIN);
	assert_int_equal(result(&f, 1, "SELECT 1"), SL_AGAIN);
	assert_int_equal(sl_inspect_event(f.in, &note, &f.v, NULL), SL_AGAIN);
	assert_int_equal(sl_inspect_event(f.in, &error, &f.v, NULL), SL_AGAIN);
	assert_int_equal(sl_inspect_reply(f.in, 1, SL_SPAN_LIT("x")), SL_AGAIN);
	assert_int_equal(sl_inspect_close(f.in, SL_OK, SL_SPAN_EMPTY, 0, 0), SL_AGAIN);
	give_blocks(&f);
	decide(&f, SL_DECISION_APPROVED, "", SL_OK);
	assert_int_equal(result(&f, 1, "SELECT 1"), SL_OK);
	assert_int_equal(sl_inspect_event(f.in, &note, &f.v, NULL), SL_OK);
	assert_int_equal(sl_inspect_event(f.in, &error, &f.v, NULL), SL_OK);
	assert_int_equal(sl_inspect_reply(f.in, 1, SL_SPAN_LIT("x")), SL_OK);
	close_flow(&f);
	assert_int_equal(read_records(&f), 5 + 1 + 1 + 1 + 2 + 1 + 1);
	free(text);

	take_blocks(&f, 0);
	const char *groups[] = {"agents", NULL};

	assert_int_equal(login(&f, groups), SL_AGAIN);
	assert_int_equal(sl_inspect_refused(f.in, SL_E_AUTH, SL_SPAN_EMPTY, SL_SPAN_EMPTY, SL_SPAN_EMPTY),
	                 SL_AGAIN);
	give_blocks(&f);
	assert_int_equal(sl_inspect_refused(f.in, SL_E_AUTH, SL_SPAN_EMPTY, SL_SPAN_EMPTY, SL_SPAN_EMPTY),
	                 SL_OK);
	assert_int_equal(sl_inspect_close(f.in, SL_OK, SL_SPAN_EMPTY, 0, 0), SL_OK);
	fx_down(&f);
}

/* ---- logins ---- */

static void test_logins(void **state)
{
	const char *agents[] = {"agents", "others", NULL}, *nobody[] = {"nobody", NULL};
	struct sl_identity who = identity(agents);
	const struct sl_resource *res;
	struct fx f;

	(void)state;
	fx_up(&f, NULL);
	assert_int_equal(login(&f, agents), SL_E_POLICY_DENIED); /* no policy at all */
	apply(&f, policy_one);
	assert_int_equal(login(&f, nobody), SL_E_POLICY_DENIED);
	assert_int_equal(sl_inspect_refused(f.in, SL_E_POLICY_DENIED, SL_SPAN_LIT("agent\nseven"),
	                                    SL_SPAN_LIT("shop"), SL_SPAN_LIT("no role")),
	                 SL_OK);
	assert_int_equal(sl_inspect_close(f.in, SL_OK, SL_SPAN_EMPTY, 0, 0), SL_OK);
	assert_int_equal(read_records(&f), 1);
	assert_int_equal(num(&f, 0, "k"), SL_REC_REFUSED);
	expect_text(&f, 0, "rs", "policy_denied");
	expect_text(&f, 0, "u", "agent\nseven");
	expect_text(&f, 0, "m", "no role");
	flow_new(&f);
	assert_int_equal(sl_inspect_login(f.in, &who, SL_SPAN_LIT("nowhere"), SL_SPAN_EMPTY, SL_SPAN_EMPTY,
	                                  SL_SPAN_EMPTY, &res),
	                 SL_E_NOTFOUND);
	assert_int_equal(sl_inspect_login(f.in, &who, SL_SPAN_LIT("a\0b"), SL_SPAN_EMPTY, SL_SPAN_EMPTY,
	                                  SL_SPAN_EMPTY, &res),
	                 SL_E_NOTFOUND);
	/* Nothing before a login. */
	assert_int_equal(command(&f, "SELECT 1"), SL_E_PROTO_STATE);
	/* An identity that ran out. */
	who.expires_us = T_WALL_US + 5;
	assert_int_equal(sl_inspect_login(f.in, &who, SL_SPAN_LIT("shop"), SL_SPAN_LIT("shop"), SL_SPAN_EMPTY,
	                                  SL_SPAN_EMPTY, &res),
	                 SL_OK);
	assert_int_equal(sl_inspect_expires_us(f.in), T_WALL_US + 5);
	assert_int_equal(command(&f, "SELECT 1"), SL_OK);
	assert_int_equal(f.v.action, SL_ACT_ALLOW);
	assert_int_equal(result(&f, 1, "SELECT 1"), SL_OK);
	sl_inspect_worker_time(f.w, 2000, T_WALL_US + 5);
	assert_int_equal(command(&f, "SELECT 1"), SL_OK);
	expect_denied(&f, SL_RSN_AUTH, "expired");
	/* Refused after a login: never. */
	assert_int_equal(sl_inspect_refused(f.in, SL_E_AUTH, SL_SPAN_EMPTY, SL_SPAN_EMPTY, SL_SPAN_EMPTY),
	                 SL_E_INVAL);
	close_flow(&f);
	assert_int_equal(sl_inspect_close(f.in, SL_OK, SL_SPAN_EMPTY, 0, 0), SL_OK); /* once is enough */
	assert_int_equal(command(&f, "SELECT 1"), SL_E_INVAL);
	read_records(&f);
	assert_int_equal(value(&f, 0, "g").nb_items, 2);
	fx_down(&f);
}

/* ---- policy changes ---- */

static uint32_t refs(const struct fx *f, uint32_t i)
{
	return atomic_load(&f->policy[i]->refs);
}

static void test_policy_swap(void **state)
{
	struct fx f;

	(void)state;
	fx_up(&f, policy_one);
	session(&f, "agents");
	/* Idle: the old one goes at once. */
	apply(&f, policy_one);
	assert_int_equal(refs(&f, 0), 0);
	assert_int_equal(command(&f, "INSERT INTO t VALUES (1)"), SL_OK);
	assert_int_equal(f.v.action, SL_ACT_ALLOW);
	/* A command is running: the old one stays until its result is in. */
	apply(&f, policy_two);
	assert_int_equal(refs(&f, 1), 1);
	/* The next command is judged by the new one. */
	assert_int_equal(command(&f, "INSERT INTO t VALUES (1)"), SL_OK);
	expect_denied(&f, SL_RSN_POLICY, "insert");
	assert_int_equal(command(&f, "SELECT 1"), SL_OK);
	assert_int_equal(f.v.action, SL_ACT_ALLOW);
	assert_int_equal(refs(&f, 1), 1);
	assert_int_equal(result(&f, 1, "INSERT 0 1"), SL_OK);
	assert_int_equal(refs(&f, 1), 0);
	assert_int_equal(refs(&f, 2), 1);
	/* Two more while command 3 runs, with a command between them. */
	apply(&f, policy_one);
	assert_int_equal(command(&f, "SELECT 2"), SL_OK);
	apply(&f, policy_two);
	assert_int_equal(command(&f, "SELECT 3"), SL_OK);
	gather(&f);
	assert_int_equal(refs(&f, 2), 0); /* the oldest makes room */
	assert_int_equal(refs(&f, 3), 1);
	assert_int_equal(result(&f, 3, "SELECT 1"), SL_OK);
	assert_int_equal(result(&f, 4, "SELECT 1"), SL_OK);
	assert_int_equal(refs(&f, 3), 0);
	assert_int_equal(result(&f, 5, "SELECT 1"), SL_OK);
	assert_int_equal(refs(&f, 4), 1); /* the worker's own */
	/* The role is gone. */
	apply(&f, policy_other_role);
	assert_int_equal(command(&f, "SELECT 4"), SL_OK);
	expect_denied(&f, SL_RSN_POLICY, "allows you nothing");
	close_flow(&f);
	read_records(&f);
	assert_int_equal(num(&f, 1, "pv"), 2);
	assert_int_equal(num(&f, 2, "pv"), 3);
	assert_int_equal(num(&f, 3, "pv"), 3);
	assert_int_equal(num(&f, 5, "pv"), 4);
	assert_int_equal(num(&f, 6, "pv"), 5);
	fx_down(&f);
}

/* A flow that ends with a command running gives its snapshot back. */
static void test_policy_close(void **state)
{
	struct fx f;

	(void)state;
	fx_up(&f, policy_one);
	session(&f, "agents");
	assert_int_equal(command(&f, "SELECT 1"), SL_OK);
	apply(&f, policy_two);
	assert_int_equal(command(&f, "SELECT 2"), SL_OK);
	apply(&f, policy_one);
	assert_int_equal(refs(&f, 0), 1);
	assert_int_equal(refs(&f, 1), 1);
	close_flow(&f);
	assert_int_equal(refs(&f, 0), 0);
	assert_int_equal(refs(&f, 1), 0);
	fx_down(&f);
}

/* The resource that a login works with lives until the session is up, or over, whatever policy comes
 * meanwhile. */
static void test_policy_login(void **state)
{
	const char *groups[] = {"agents", NULL};
	struct sl_event ev = {.kind = SL_EV_SESSION};
	struct fx f;

	(void)state;
	fx_up(&f, policy_one);
	assert_int_equal(login(&f, groups), SL_OK);
	apply(&f, policy_two);
	apply(&f, policy_one);
	assert_int_equal(refs(&f, 0), 1);
	assert_int_equal(refs(&f, 1), 0);
	assert_int_equal(sl_inspect_event(f.in, &ev, &f.v, NULL), SL_OK);
	gather(&f);
	assert_int_equal(refs(&f, 0), 0);
	assert_int_equal(refs(&f, 2), 1);
	close_flow(&f);
	/* The target never answers. */
	assert_int_equal(login(&f, groups), SL_OK);
	apply(&f, policy_two);
	assert_int_equal(refs(&f, 2), 1);
	close_flow(&f);
	gather(&f);
	assert_int_equal(refs(&f, 2), 0);
	fx_down(&f);
}

/* Masks need a catalog that was made under the same policy: without it nothing runs. */
static void test_policy_masks_changed(void **state)
{
	struct sl_catalog_wanted want;
	struct fx f;

	(void)state;
	fx_up(&f, policy_two);
	session(&f, "agents");
	assert_int_equal(sl_inspect_wants_catalog(f.in, &want), 0);
	apply(&f, policy_masked);
	f.no_catalog = true;
	assert_int_equal(command(&f, "SELECT 1"), SL_E_POLICY_CHANGED);
	assert_int_equal(sl_inspect_wants_catalog(f.in, &want), 1);
	assert_null(want.has);
	assert_string_equal(want.resource, "shop");
	assert_string_equal(want.database, "shop");
	assert_ptr_equal(want.snapshot, f.policy[1]);
	f.no_catalog = false;
	assert_int_equal(command(&f, "SELECT 1"), SL_OK);
	assert_int_equal(sl_inspect_wants_catalog(f.in, &want), 1);
	assert_non_null(want.has);
	/* And masks that go need none. */
	apply(&f, policy_two);
	assert_int_equal(command(&f, "SELECT 1"), SL_OK);
	assert_int_equal(sl_inspect_wants_catalog(f.in, &want), 0);
	close_flow(&f);
	fx_down(&f);
}

/* ---- replies ---- */

static void test_reply(void **state)
{
	static uint8_t bytes[30000];
	struct fx f;
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7);
	fx_up(&f, policy_one); /* 20000 bytes a command */
	session(&f, "agents");
	assert_int_equal(sl_inspect_reply(f.in, 1, sl_span(bytes, 15000)), SL_OK);
	assert_int_equal(sl_inspect_reply(f.in, 1, sl_span(bytes + 15000, 15000)), SL_OK);
	assert_int_equal(sl_inspect_reply(f.in, 1, SL_SPAN_LIT("more")), SL_OK);
	assert_int_equal(sl_inspect_reply(f.in, 2, SL_SPAN_LIT("second")), SL_OK);
	assert_int_equal(sl_inspect_reply(f.in, 3, sl_span(bytes, 20001)), SL_OK);
	close_flow(&f);
	read_records(&f);
	for (uint32_t i = 1; i < f.nb_recs && num(&f, i, "cmd") == 1; i++) {
		struct sl_span d = value(&f, i, "d").s;

		assert_int_equal(num(&f, i, "k"), SL_REC_DATA);
		if (d.n == 0) {
			assert_int_equal(num(&f, i, "sk"), 10004);
			continue;
		}
		assert_memory_equal(d.p, bytes + n, d.n);
		n += d.n;
	}
	assert_int_equal(n, 20000);
	assert_int_equal(num(&f, f.nb_recs - 1, "k"), SL_REC_END);
	assert_int_equal(num(&f, f.nb_recs - 2, "sk"), 1);
	assert_int_equal(num(&f, f.nb_recs - 2, "cmd"), 3);
	fx_down(&f);
}

static void test_result_text(void **state)
{
	struct sl_event ev = {.kind = SL_EV_RESULT, .cmd = 1};
	char text[400];
	struct fx f;

	(void)state;
	memset(text, 'e', sizeof(text));
	ev.result.failed = true;
	ev.result.sqlstate = SL_SPAN_LIT("23505");
	ev.result.message = sl_span(text, sizeof(text));
	fx_up(&f, policy_two);
	session(&f, "agents");
	assert_int_equal(sl_inspect_event(f.in, &ev, &f.v, NULL), SL_OK);
	ev.result.local = true;
	assert_int_equal(sl_inspect_event(f.in, &ev, &f.v, NULL), SL_OK);
	close_flow(&f);
	read_records(&f);
	expect_text(&f, 1, "es", "23505");
	expect_text(&f, 1, "o", "error");
	assert_int_equal(value(&f, 1, "m").s.n, 200);
	expect_text(&f, 2, "o", "refused");
	/* Where a mask applies, the text could hold what it hides. */
	apply(&f, policy_masked);
	session(&f, "agents");
	assert_int_equal(sl_inspect_event(f.in, &ev, &f.v, NULL), SL_OK);
	close_flow(&f);
	read_records(&f);
	expect_text(&f, 1, "es", "23505");
	expect_text(&f, 1, "m", NULL);
	fx_down(&f);
}

/* Which function a number names is not known: a role that may do anything may call it, unless any rule denies
 * that caller something. A hold is of this one, with its arguments. */
static void test_function_call(void **state)
{
	static const char any[] = RESOURCE ROLE("agent", "agents", "any");
	static const char some[] = RESOURCE ROLE("agent", "agents", "any")
	        RULE("no-unlink", "  action: deny\n  functions: [lo_unlink]\n");
	static const char named[] = RESOURCE ROLE("agent", "agents", "read, function-call");
	static const char *const policies[] = {any, some, named};
	struct fx f;

	(void)state;
	for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
		fx_up(&f, policies[i]);
		session(&f, "agents");
		assert_int_equal(command_with(&f, SL_PHASE_OTHER, "function call 964", NULL, 0), SL_OK);
		if (i == 0)
			assert_int_equal(f.v.action, SL_ACT_ALLOW);
		else
			expect_denied(&f, SL_RSN_POLICY, "");
		close_flow(&f);
		fx_down(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_allow_and_deny),
	        cmocka_unit_test(test_function_call),
	        cmocka_unit_test(test_hold),
	        cmocka_unit_test(test_two_holds),
	        cmocka_unit_test(test_hold_params),
	        cmocka_unit_test(test_hold_outlives_login),
	        cmocka_unit_test(test_policy_between),
	        cmocka_unit_test(test_hold_without_message),
	        cmocka_unit_test(test_long_text),
	        cmocka_unit_test(test_params),
	        cmocka_unit_test(test_passwords_and_set),
	        cmocka_unit_test(test_approver_sees_all),
	        cmocka_unit_test(test_hash_of_cut_text),
	        cmocka_unit_test(test_again),
	        cmocka_unit_test(test_logins),
	        cmocka_unit_test(test_policy_swap),
	        cmocka_unit_test(test_policy_close),
	        cmocka_unit_test(test_policy_login),
	        cmocka_unit_test(test_policy_masks_changed),
	        cmocka_unit_test(test_reply),
	        cmocka_unit_test(test_result_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
