/* Limits and breakers on flows: commands, sessions, rows in leases, locks; what is recorded of them. */
#include "test_util.h"

#define POLICY(limits)                                                                                       \
	"kind: Resource\nversion: 1\nmetadata: {name: shop}\nspec:\n  protocol: postgres\n"                  \
	"  address: 10.99.2.2:5432\n  credential: shop-app\n  tls: {mode: 'off'}\n"                          \
	"---\n{kind: Role, version: 1, metadata: {name: agent}, spec: {groups: [agents], resources: "        \
	"[shop], "                                                                                           \
	"allow: [read]}}\n---\n{kind: Role, version: 1, metadata: {name: other}, spec: {groups: [others], "  \
	"resources: [shop], allow: [read]}}\n" limits
#define LIMIT(name, spec)   "---\n{kind: Limit, version: 1, metadata: {name: " name "}, spec: {" spec "}}\n"
#define BREAKER(name, spec) "---\n{kind: Breaker, version: 1, metadata: {name: " name "}, spec: {" spec "}}\n"

#define NOW_US UINT64_C(1000)
#define S      UINT64_C(1000000)

static void at(struct fx *f, uint64_t us)
{
	sl_inspect_worker_time(f->w, NOW_US + us, T_WALL_US + us);
}

static void allowed(struct fx *f, const char *text)
{
	assert_int_equal(command(f, text), SL_OK);
	assert_int_equal(f->v.action, SL_ACT_ALLOW);
}

static void denied(struct fx *f, const char *text, enum sl_reason_code code, const char *part)
{
	assert_int_equal(command(f, text), SL_OK);
	expect_denied(f, code, part);
}

/* Asks for the rows of a result until `rows` of `size` bytes have passed or it is cut. Returns how many did;
 * in `events` how often it asked. */
static uint64_t pass_rows(struct fx *f, uint64_t rows, uint64_t size, uint32_t *events)
{
	struct sl_event ev = {.kind = SL_EV_ROWS, .cmd = f->cmd};
	uint64_t left_rows = 0, left_bytes = 0, n = 0;

	*events = 0;
	for (; n < rows; n++) {
		if (left_rows == 0 || left_bytes < size) {
			ev.rows.rows = n;
			ev.rows.bytes = n * size;
			ev.rows.next = size;
			assert_int_equal(sl_inspect_event(f->in, &ev, &f->v, NULL), SL_OK);
			++*events;
			if (f->v.action == SL_ACT_DENY)
				break;
			left_rows = f->v.rows;
			left_bytes = f->v.bytes;
			assert_true(left_rows > 0 && left_bytes >= size);
		}
		left_rows--;
		left_bytes -= size;
	}
	return n;
}

static void result_of(struct fx *f, uint64_t rows, uint64_t bytes)
{
	struct sl_event ev = {.kind = SL_EV_RESULT, .cmd = f->cmd};

	ev.result.tag = SL_SPAN_LIT("SELECT");
	ev.result.rows = rows;
	ev.result.bytes = bytes;
	assert_int_equal(sl_inspect_event(f->in, &ev, &f->v, NULL), SL_OK);
}

static void test_commands(void **state)
{
	struct fx f;

	(void)state;
	fx_up(&f, POLICY(LIMIT("pace", "commands: {perSecond: 10, burst: 2}")));
	session(&f, "agents");
	allowed(&f, "SELECT 1");
	allowed(&f, "SELECT 1");
	denied(&f, "SELECT 1", SL_RSN_LIMIT, "Limit/pace: more than 10 commands a second");
	assert_true(sl_span_is(f.v.reason.hint, "send them more slowly"));
	assert_int_equal(f.v.reason.err, SL_E_POLICY_LIMIT);
	/* What the policy denies is not counted; preparing is not counted, running is. */
	at(&f, S / 10);
	denied(&f, "DROP TABLE t", SL_RSN_POLICY, "drop");
	assert_int_equal(command_with(&f, SL_PHASE_PREPARE, "SELECT 1", NULL, 0), SL_OK);
	assert_int_equal(f.v.action, SL_ACT_ALLOW);
	assert_int_equal(command_with(&f, SL_PHASE_EXECUTE, "SELECT 1", NULL, 0), SL_OK);
	assert_int_equal(f.v.action, SL_ACT_ALLOW);
	denied(&f, "SELECT 1", SL_RSN_LIMIT, "Limit/pace");
	/* Without room for the record nothing is counted. */
	at(&f, 2 * S / 10);
	take_blocks(&f, 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(command(&f, "SELECT 1"), SL_AGAIN);
	give_blocks(&f);
	allowed(&f, "SELECT 1");
	denied(&f, "SELECT 1", SL_RSN_LIMIT, "Limit/pace");
	close_flow(&f);
	read_records(&f);
	expect_text(&f, 3, "v", "deny");
	expect_text(&f, 3, "ru", "Limit/pace");
	fx_down(&f);
}

static void test_messages_and_shadow(void **state)
{
	struct fx f;

	(void)state;
	fx_up(&f, POLICY(LIMIT("quiet", "commands: {perSecond: 1}, shadow: true")
	                         LIMIT("said", "commands: {perSecond: 1, burst: 2}, message: slow down")));
	session(&f, "agents");
	allowed(&f, "SELECT 1");
	allowed(&f, "SELECT 2");
	denied(&f, "SELECT 3", SL_RSN_LIMIT, "slow down");
	close_flow(&f);
	read_records(&f);
	expect_text(&f, 1, "sv", NULL);
	expect_text(&f, 2, "v", "allow");
	expect_text(&f, 2, "sv", "deny");
	expect_text(&f, 2, "sr", "Limit/quiet");
	expect_text(&f, 3, "ru", "Limit/said");
	fx_down(&f);
}

static void test_sessions(void **state)
{
	const char *agents[] = {"agents", NULL};
	struct sl_inspect *first, *second;
	struct fx f;

	(void)state;
	fx_up(&f, POLICY(LIMIT("few", "sessions: 2")));
	session(&f, "agents");
	first = f.in;
	f.in = NULL;
	session(&f, "agents");
	second = f.in;
	f.in = NULL;
	assert_int_equal(login(&f, agents), SL_E_POLICY_LIMIT);
	assert_string_equal(sl_inspect_why(f.in), "Limit/few: more than 2 sessions at a time");
	assert_int_equal(sl_inspect_refused(f.in, SL_E_POLICY_LIMIT, SL_SPAN_LIT("u"), SL_SPAN_LIT("shop"),
	                                    SL_SPAN_LIT("t")),
	                 SL_OK);
	/* A policy that would have refused them does not end those that are there. */
	apply(&f, POLICY(LIMIT("few", "sessions: 1")));
	sl_inspect_free(f.in);
	free(f.in);
	f.in = second;
	allowed(&f, "SELECT 1");
	result_of(&f, 1, 10);
	close_flow(&f);
	sl_inspect_free(second);
	free(second);
	f.in = NULL;
	assert_int_equal(login(&f, agents), SL_E_POLICY_LIMIT);
	sl_inspect_free(f.in);
	free(f.in);
	f.in = first;
	close_flow(&f);
	sl_inspect_free(first);
	free(first);
	f.in = NULL;
	session(&f, "agents");
	close_flow(&f);
	fx_down(&f);
}

/* Cut at exactly the row that is one too many, and what a result did not use is there for the next. */
static void test_cut_rows(void **state)
{
	uint64_t cuts = sl_counter_sum(SL_C_CUT);
	uint32_t events, last;
	struct fx f;

	(void)state;
	fx_up(&f, POLICY(LIMIT("rows", "rows: {perMinute: 5000}, over: cut")));
	session(&f, "agents");
	allowed(&f, "SELECT 1");
	assert_int_equal(pass_rows(&f, 100, 50, &events), 100);
	assert_in_range(events, 1, 3);
	result_of(&f, 100, 5000);
	allowed(&f, "SELECT 2");
	assert_int_equal(pass_rows(&f, 10000, 50, &events), 4900);
	expect_denied(&f, SL_RSN_LIMIT, "Limit/rows: more than 5000 rows a minute");
	assert_in_range(events, 20, 500);
	result_of(&f, 4900, 4900 * 50);
	assert_int_equal(sl_counter_sum(SL_C_CUT), cuts + 1);
	/* Used up: the next one does not begin, but a transaction can be ended. */
	denied(&f, "SELECT 3", SL_RSN_LIMIT, "Limit/rows");
	assert_true(sl_span_is(f.v.reason.hint, "it begins anew with the next minute"));
	allowed(&f, "ROLLBACK");
	at(&f, 60 * S);
	allowed(&f, "SELECT 4");
	assert_int_equal(pass_rows(&f, 5001, 1, &events), 5000);
	result_of(&f, 5000, 5000);
	close_flow(&f);
	read_records(&f);
	last = f.nb_recs;
	for (uint32_t i = 0; i < last; i++) {
		if (value(&f, i, "o").type == SL_RV_STR && sl_span_is(value(&f, i, "o").s, "cut")) {
			expect_text(&f, i, "m", "Limit/rows: cut behind 4900 rows, 245000 bytes");
			last = i;
		}
	}
	assert_true(last < f.nb_recs);
	fx_down(&f);
}

static void test_cut_bytes(void **state)
{
	uint32_t events;
	struct fx f;

	(void)state;
	fx_up(&f, POLICY(LIMIT("bytes", "bytes: {perDay: 1M}, over: cut")));
	session(&f, "agents");
	allowed(&f, "SELECT 1");
	/* 1048576 / 1000: never a byte more, and not a row less than fits. */
	assert_int_equal(pass_rows(&f, 5000, 1000, &events), 1048);
	result_of(&f, 1048, 1048000);
	allowed(&f, "SELECT 2"); /* 576 bytes are left */
	assert_int_equal(pass_rows(&f, 10, 577, &events), 0);
	result_of(&f, 0, 0);
	allowed(&f, "SELECT 3");
	assert_int_equal(pass_rows(&f, 10, 288, &events), 2);
	result_of(&f, 2, 576);
	denied(&f, "SELECT 4", SL_RSN_LIMIT, "more than 1048576 bytes a day");
	close_flow(&f);
	fx_down(&f);
}

/* Two flows of one caller share; each other caller has his own; per resource all share. */
static void test_shared(void **state)
{
	struct sl_inspect *first;
	uint32_t events;
	struct fx f;

	(void)state;
	fx_up(&f, POLICY(LIMIT("mine", "rows: {perDay: 1000}, over: cut, roles: [agent]")
	                         LIMIT("ours", "rows: {perDay: 1500}, over: cut, per: resource")));
	session(&f, "agents");
	allowed(&f, "SELECT 1");
	assert_int_equal(pass_rows(&f, 600, 10, &events), 600);
	result_of(&f, 600, 6000);
	first = f.in;
	f.in = NULL;
	session(&f, "agents");
	allowed(&f, "SELECT 1");
	assert_int_equal(pass_rows(&f, 1000, 10, &events), 400);
	expect_denied(&f, SL_RSN_LIMIT, "Limit/mine");
	result_of(&f, 400, 4000);
	close_flow(&f);
	session(&f, "others");
	allowed(&f, "SELECT 1");
	assert_int_equal(pass_rows(&f, 1000, 10, &events), 500);
	expect_denied(&f, SL_RSN_LIMIT, "Limit/ours");
	result_of(&f, 500, 5000);
	close_flow(&f);
	sl_inspect_free(f.in);
	free(f.in);
	f.in = first;
	close_flow(&f);
	fx_down(&f);
}

/* With deny the result that goes over passes whole, and is counted whole; the next command is denied. */
static void test_over_deny(void **state)
{
	uint32_t events;
	struct fx f;

	(void)state;
	fx_up(&f, POLICY(LIMIT("rows", "rows: {perMinute: 1000, perDay: 10000}")));
	session(&f, "agents");
	allowed(&f, "SELECT 1");
	assert_int_equal(pass_rows(&f, 50000, 10, &events), 50000);
	assert_in_range(events, 50, 1000);
	result_of(&f, 50000, 500000);
	denied(&f, "SELECT 2", SL_RSN_LIMIT, "more than 1000 rows a minute");
	at(&f, 61 * S);
	denied(&f, "SELECT 2", SL_RSN_LIMIT, "more than 10000 rows a day");
	close_flow(&f);
	fx_down(&f);
}

static void test_over_hold(void **state)
{
	struct sl_msg_decision d = {.decision = SL_DECISION_APPROVED};
	struct fx f;

	(void)state;
	fx_up(&f, POLICY(LIMIT("pace",
	                       "commands: {perSecond: 1}, over: hold, approvers: [leads], expires: 30s")));
	session(&f, "agents");
	allowed(&f, "SELECT 1");
	assert_int_equal(command(&f, "SELECT 2"), SL_OK);
	assert_int_equal(f.v.action, SL_ACT_PARK);
	d.approval = f.hold.approval;
	assert_int_equal(f.hold.expires_us, T_WALL_US + 30 * S);
	assert_int_equal(sl_inspect_decision(f.in, &d, &f.v), SL_OK);
	assert_int_equal(f.v.action, SL_ACT_ALLOW);
	close_flow(&f);
	read_records(&f);
	expect_text(&f, 2, "v", "hold");
	expect_text(&f, 2, "ru", "Limit/pace");
	fx_down(&f);
}

/* Rules and limits that hold a command are asked together; too many of them deny it. */
static void test_hold_with_rules(void **state)
{
	static const char rule[] =
	        "---\n{kind: Rule, version: 1, metadata: {name: ask}, spec: {action: hold, kinds: "
	        "[delete], approvers: [owners], expires: 2m}}\n";
	char policy[8192] = POLICY("");
	struct fx f;

	(void)state;
	strcat(policy, rule);
	for (int i = 0; i < 4; i++)
		snprintf(policy + strlen(policy), sizeof(policy) - strlen(policy),
		         LIMIT("a%d", "commands: {perSecond: 1, burst: %d}, over: hold, approvers: [leads], "
		                      "expires: 1m"),
		         i, i == 0 ? 1 : 2);
	fx_up(&f, policy);
	session(&f, "agents");
	allowed(&f, "SELECT 1");
	assert_int_equal(command(&f, "DELETE FROM t WHERE a = 1"), SL_OK);
	assert_int_equal(f.v.action, SL_ACT_PARK);
	assert_int_equal(f.hold.nb_needs, 2);
	assert_string_equal(f.hold.needs[0].rule, "ask");
	assert_string_equal(f.hold.needs[1].rule, "Limit/a0");
	assert_string_equal(f.hold.needs[1].approvers, "leads");
	assert_int_equal(f.hold.expires_us, T_WALL_US + 60 * S);
	assert_int_equal(sl_inspect_decision(f.in,
	                                     &(struct sl_msg_decision){.approval = f.hold.approval,
	                                                               .decision = SL_DECISION_APPROVED},
	                                     &f.v),
	                 SL_OK);
	denied(&f, "DELETE FROM t WHERE a = 2", SL_RSN_LIMIT, "approval cannot be asked");
	/* Without the rule there is room for four. */
	assert_int_equal(command(&f, "SELECT 2"), SL_OK);
	assert_int_equal(f.hold.nb_needs, 4);
	close_flow(&f);
	read_records(&f);
	expect_text(&f, 2, "ru", "ask");
	assert_int_equal(value(&f, 2, "hr").nb_items, 2);
	fx_down(&f);
}

static void test_breaker(void **state)
{
	const char *agents[] = {"agents", NULL};
	struct sl_usage_key key = sl_usage_identity("https://idp.example", "agent-7");
	struct sl_usage_time now = {NOW_US, T_WALL_US};
	struct sl_msg_locked locked;
	struct sl_inspect *first;
	struct fx f;

	(void)state;
	fx_up(&f,
	      POLICY(BREAKER("three", "denials: 3, window: 1m") LIMIT("pace", "commands: {perSecond: 1}")));
	session(&f, "agents");
	first = f.in;
	f.in = NULL;
	session(&f, "agents");
	allowed(&f, "SELECT 1");
	for (int i = 0; i < 5; i++)
		denied(&f, "SELECT 1", SL_RSN_LIMIT, "Limit/pace"); /* does not count */
	denied(&f, "DROP TABLE a", SL_RSN_POLICY, "drop");
	denied(&f, "DROP TABLE a", SL_RSN_POLICY, "drop");
	assert_false(sl_inspect_locked(f.in));
	denied(&f, "DROP TABLE a", SL_RSN_POLICY, "drop");
	assert_true(sl_inspect_tripped(f.in));
	sl_inspect_trip_take(f.in, &locked);
	assert_false(sl_inspect_tripped(f.in));
	assert_string_equal(locked.breaker, "Breaker/three");
	assert_string_equal(locked.identity.subject, "agent-7");
	assert_true(locked.denials == 3 && locked.window_s == 60 && locked.wall_us == T_WALL_US);
	/* Whatever comes now, here and in the other session, is denied; nobody logs in. */
	denied(&f, "SELECT 1", SL_RSN_LOCKED, SL_LOCKED_TEXT);
	denied(&f, "ROLLBACK", SL_RSN_LOCKED, SL_LOCKED_TEXT);
	close_flow(&f);
	assert_int_equal(login(&f, agents), SL_E_POLICY_LOCKED);
	sl_inspect_free(f.in);
	free(f.in);
	f.in = first;
	f.cmd = 0;
	assert_true(sl_inspect_locked(f.in));
	denied(&f, "SELECT 1", SL_RSN_LOCKED, SL_LOCKED_TEXT);
	/* Released: it counts from 0 again. */
	assert_int_equal(sl_usage_set_lock(f.usage, key, false, now), SL_OK);
	denied(&f, "DROP TABLE a", SL_RSN_POLICY, "drop");
	assert_false(sl_inspect_locked(f.in));
	close_flow(&f);
	session(&f, "agents");
	close_flow(&f);
	fx_down(&f);
}

#define ASK                                                                                                  \
	"---\n{kind: Rule, version: 1, metadata: {name: ask}, "                                              \
	"spec: {action: hold, kinds: [delete], approvers: [owners], expires: 2m}}\n"

/* An approval is nothing to a caller that was locked while its command was held, and no denial to count. */
static void test_breaker_held(void **state)
{
	struct sl_usage_key key = sl_usage_identity("https://idp.example", "agent-7");
	struct sl_usage_time now = {NOW_US, T_WALL_US};
	struct sl_msg_decision d = {.decision = SL_DECISION_APPROVED};
	struct sl_inspect *first;
	struct fx f;

	(void)state;
	fx_up(&f, POLICY(BREAKER("two", "denials: 2, window: 1m") ASK));
	session(&f, "agents");
	assert_int_equal(command(&f, "DELETE FROM t WHERE a = 1"), SL_OK);
	assert_int_equal(f.v.action, SL_ACT_PARK);
	d.approval = f.hold.approval;
	first = f.in;
	f.in = NULL;
	session(&f, "agents"); /* the same identity, another session */
	denied(&f, "DROP TABLE a", SL_RSN_POLICY, "drop");
	denied(&f, "DROP TABLE a", SL_RSN_POLICY, "drop");
	assert_true(sl_inspect_tripped(f.in));
	close_flow(&f);
	sl_inspect_free(f.in);
	free(f.in);
	f.in = first;
	f.cmd = 1;
	assert_int_equal(sl_inspect_decision(f.in, &d, &f.v), SL_OK);
	assert_int_equal(f.v.action, SL_ACT_DENY);
	assert_int_equal(f.v.reason.code, SL_RSN_LOCKED);
	assert_int_equal(f.v.reason.err, SL_E_POLICY_LOCKED);
	assert_int_equal(sl_usage_set_lock(f.usage, key, false, now), SL_OK);
	denied(&f, "DROP TABLE a", SL_RSN_POLICY, "drop");
	assert_false(sl_inspect_tripped(f.in));
	close_flow(&f);
	fx_down(&f);
}

/* Who asks for an approver and cannot have one, for want of room or of a disk, was refused by nobody: that is
 * no denial to count. */
static void test_breaker_unasked(void **state)
{
	struct sl_msg_decision d = {.by = "sluice", .note = "too many approvals are pending"};
	struct fx f;

	(void)state;
	fx_up(&f, POLICY(BREAKER("two", "denials: 2, window: 1m") ASK));
	session(&f, "agents");
	for (int i = 0; i < 4; i++) {
		assert_int_equal(command(&f, "DELETE FROM t WHERE a = 1"), SL_OK);
		assert_int_equal(f.v.action, SL_ACT_PARK);
		d.approval = f.hold.approval;
		d.decision = i < 2 ? SL_DECISION_UNASKED : SL_DECISION_DENIED;
		assert_int_equal(sl_inspect_decision(f.in, &d, &f.v), SL_OK);
		assert_int_equal(f.v.action, SL_ACT_DENY);
		assert_int_equal(f.v.reason.code, SL_RSN_REFUSED);
		assert_non_null(strstr((const char *)f.v.reason.message.p, d.note));
		assert_int_equal(sl_inspect_tripped(f.in), i == 3);
	}
	close_flow(&f);
	fx_down(&f);
}

/* Denials further apart than the window do not add up; a breaker in shadow locks nobody. */
static void test_breaker_window(void **state)
{
	struct fx f;

	(void)state;
	fx_up(&f, POLICY(BREAKER("slow", "denials: 2, window: 1m")
	                         BREAKER("shy", "denials: 1, window: 1m, shadow: true")));
	session(&f, "agents");
	for (uint64_t i = 0; i < 5; i++) {
		at(&f, i * 80 * S);
		denied(&f, "DROP TABLE a", SL_RSN_POLICY, "drop");
		assert_false(sl_inspect_locked(f.in));
	}
	at(&f, 4 * 80 * S + 59 * S);
	denied(&f, "DROP TABLE a", SL_RSN_POLICY, "drop");
	assert_true(sl_inspect_locked(f.in) && sl_inspect_tripped(f.in));
	close_flow(&f);
	fx_down(&f);
}

/* A policy that comes in the middle: the result goes on under the one that let it through, and the next
 * command is under the new one. */
static void test_policy_change(void **state)
{
	uint32_t events;
	struct fx f;

	(void)state;
	fx_up(&f, POLICY(LIMIT("rows", "rows: {perDay: 1000}, over: cut")));
	session(&f, "agents");
	allowed(&f, "SELECT 1");
	assert_int_equal(pass_rows(&f, 10, 10, &events), 10);
	apply(&f, POLICY(LIMIT("rows", "rows: {perDay: 20}, over: cut")));
	assert_int_equal(pass_rows(&f, 500, 10, &events), 500);
	result_of(&f, 500, 5000);
	denied(&f, "SELECT 2", SL_RSN_LIMIT, "more than 20 rows a day");
	apply(&f, POLICY(""));
	allowed(&f, "SELECT 3");
	assert_int_equal(pass_rows(&f, 100000, 10, &events), 100000);
	assert_int_equal(events, 1);
	result_of(&f, 100000, 1000000);
	close_flow(&f);
	fx_down(&f);
}

/* More limits than a flow has room for, and a table that is not there: nobody gets in uncounted. */
static void test_no_room(void **state)
{
	const char *agents[] = {"agents", NULL};
	char policy[16384] = POLICY("");
	struct fx f;

	(void)state;
	for (int i = 0; i < 33; i++) {
		size_t n = strlen(policy);

		snprintf(policy + n, sizeof(policy) - n,
		         "---\n{kind: Limit, version: 1, metadata: {name: l%d}, spec: {sessions: 9}}\n", i);
	}
	fx_up(&f, policy);
	assert_int_equal(login(&f, agents), SL_E_LIMIT);
	sl_inspect_free(f.in);
	fx_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_commands),        cmocka_unit_test(test_messages_and_shadow),
	        cmocka_unit_test(test_sessions),        cmocka_unit_test(test_cut_rows),
	        cmocka_unit_test(test_cut_bytes),       cmocka_unit_test(test_shared),
	        cmocka_unit_test(test_over_deny),       cmocka_unit_test(test_over_hold),
	        cmocka_unit_test(test_hold_with_rules), cmocka_unit_test(test_breaker),
	        cmocka_unit_test(test_breaker_held),    cmocka_unit_test(test_breaker_unasked),
	        cmocka_unit_test(test_breaker_window),  cmocka_unit_test(test_policy_change),
	        cmocka_unit_test(test_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
