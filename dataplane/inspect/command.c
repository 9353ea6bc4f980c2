/*
 * Commands: judged, recorded, answered, in this order. Nothing of the flow changes before the record is
 * written, so that the same event can come again when there was no room for it.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "inspect_priv.h"
#include "pgvalue.h"
#include "sl_counter.h"
#include "sl_log.h"

#define APPROVAL_TEXT_MAX 128 /* bytes of one parameter in what an approver reads */
#define APPROVAL_LINE_MAX 192 /* and of its line */

struct judgement {
	enum sl_decision_kind decision;
	const struct sl_rule *rule; /* NULL: none */
	const char *message;        /* "" none */
	enum sl_reason_code code;   /* of a denial */
	struct sl_eval_result eval; /* as the policy said it */
	struct limit_over over;     /* and what limits say */
	bool put_off;               /* its hold, to the execution of what it prepares under a name */
	uint32_t nb_needs;          /* of a hold: rules and limits that must be satisfied */
	const struct sl_rule *needs[SL_BUS_NEEDS_MAX];
	struct protection masks; /* what masks of columns say, and how the reply is to be read */
};

static struct sl_span cstr(const char *s)
{
	return s != NULL ? sl_span_str(s) : SL_SPAN_EMPTY;
}

void deny(struct sl_inspect *in, struct sl_verdict *v, enum sl_reason_code code, int err, const char *message)
{
	snprintf(in->message, sizeof(in->message), "%s", message);
	*v = (struct sl_verdict){.action = SL_ACT_DENY};
	v->reason.code = code;
	v->reason.err = err;
	v->reason.message = sl_span_str(in->message);
}

/* The client reads one line: control characters of a rule's or an approver's text become spaces. */
static void one_line(char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = ' ';
}

/* ---- what the policy and we say ---- */

/* Protocol commands without a statement. Those that only go on with, or end, what was judged already may
 * pass. */
static bool op_harmless(struct sl_span op)
{
	static const char *const ops[] = {"copy fail", "close"};

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		if (sl_span_is(op, ops[i]))
			return true;
	return false;
}

static bool is_function_call(struct sl_span op)
{
	static const char name[] = "function call";

	return sl_span_is(sl_span_sub(op, 0, sizeof(name) - 1), name);
}

/* What was read may not be what the target reads. */
static void make_opaque(struct sl_sql *sql)
{
	sql->kinds |= SL_SQL_BIT(SL_SQL_OPAQUE);
	sql->complete = false;
	for (uint32_t i = 0; i < sql->nb_stmts; i++)
		sql->stmts[i].kinds |= SL_SQL_BIT(SL_SQL_OPAQUE);
}

/* NULL, or why the statement cannot be recorded without what must not be in a record. */
static const char *scan(struct sl_inspect *in, const struct sl_ev_command *c)
{
	struct sl_sql *sql = &in->w->sql;

	if (c->phase != SL_PHASE_OTHER) {
		sl_sql_scan(c->text, sql);
		if (c->unread)
			make_opaque(sql);
		if (c->unread && !statement_set_unread(&in->w->stmt, c->text))
			return "a password in a text whose backslashes the target may read otherwise";
		return statement_set(&in->w->stmt, c->text, sql->kinds)
		               ? NULL
		               : "too many passwords in one query string";
	}
	/* No text to scan: one statement of a kind that only the protocol has. A function's number says
	 * nothing about what it does: rules about functions cannot be kept, so it is as dangerous as what
	 * cannot be read. */
	memset(sql, 0, sizeof(*sql));
	sql->nb_stmts = 1;
	sql->complete = true;
	sql->kinds = SL_SQL_BIT(SL_SQL_OPAQUE);
	sql->stmts[0].main = SL_SQL_OPAQUE;
	if (is_function_call(c->op)) {
		sql->kinds |= SL_SQL_BIT(SL_SQL_FUNCTION_CALL);
		sql->stmts[0].main = SL_SQL_FUNCTION_CALL;
	}
	sql->stmts[0].kinds = sql->kinds;
	(void)statement_set(&in->w->stmt, c->op, 0);
	return NULL;
}

static const char *refused_set(const struct sl_sql *sql)
{
	for (uint32_t i = 0; i < sql->nb_stmts; i++) {
		const char *why = NULL;

		if ((sql->stmts[i].kinds & SL_SQL_BIT(SL_SQL_SET)) != 0)
			why = set_refused(sql->stmts[i].text);
		if (why != NULL)
			return why;
	}
	return NULL;
}

static void refuse(struct judgement *j, enum sl_reason_code code, const char *message)
{
	j->decision = SL_DEC_DENY;
	j->rule = NULL;
	j->message = message;
	j->code = code;
}

static void ask_policy(struct sl_inspect *in, struct sl_span text, struct judgement *j)
{
	const struct sl_snapshot *s = in->now.slot->s;
	struct sl_eval_result *r = &j->eval;

	sl_eval_statement(s, &in->now.p, in->w->cfg.worker, in->w->wall_us, text, &in->w->sql, r);
	j->decision = r->decision;
	j->code = SL_RSN_POLICY;
	j->rule = r->rule >= 0 && (uint32_t)r->rule < s->nb_rules ? &s->rules[r->rule] : NULL;
	j->message = r->decision == SL_DEC_ALLOW ? "" : r->message;
	for (uint32_t i = 0; r->decision == SL_DEC_HOLD && i < r->nb_holds; i++)
		j->needs[j->nb_needs++] = &s->rules[r->holds[i]];
}

/* The groups that may approve. False when they do not fit: fewer would be another rule, and none would mean
 * anybody. */
static bool approvers(const struct sl_rule *rule, char *out, size_t cap, uint16_t *n)
{
	size_t at = 0;

	for (uint32_t i = 0; i < rule->approvers.nb; i++) {
		size_t len = strlen(rule->approvers.v[i]) + 1;

		if (len > cap - at)
			return false;
		if (out != NULL)
			memcpy(out + at, rule->approvers.v[i], len);
		at += len;
	}
	*n = (uint16_t)at;
	return true;
}

_Static_assert(SL_EVAL_HOLDS_MAX <= SL_BUS_NEEDS_MAX, "a request has room for all rules that hold");

/* NULL, or why nobody can be asked. */
static const char *unaskable(const struct judgement *j)
{
	uint16_t n;

	for (uint32_t i = 0; i < j->nb_needs; i++) {
		if (!approvers(j->needs[i], NULL, sizeof(((struct sl_msg_need *)0)->approvers), &n))
			return "a rule that holds this names more approvers than a request can carry";
	}
	return j->nb_needs > 0 ? NULL : "statement not allowed by policy";
}

/* All parameters are here. An approval stands for a hash over all of them. */
static bool whole(const struct sl_ev_command *c)
{
	return c->nb_more == 0 && (c->nb_params == 0 || c->params[c->nb_params - 1].more == 0);
}

/* NULL, or why no approver could know what would run. */
static const char *unapprovable(const struct sl_inspect *in, const struct sl_ev_command *c)
{
	if (!whole(c))
		return "its parameters are too large to be read whole: nobody can approve them";
	return in->w->stmt.hides ? "what is hidden as a password may be run: nobody can approve it" : NULL;
}

/* A mask that holds is one more that must be satisfied. */
static void hold_by_mask(struct judgement *j, const struct sl_mask *mask)
{
	if (j->nb_needs == SL_BUS_NEEDS_MAX) {
		refuse(j, SL_RSN_POLICY, "more rules and masks hold it than can be asked for");
		return;
	}
	j->needs[j->nb_needs++] = &mask->rule;
	if (j->decision == SL_DEC_HOLD)
		return;
	j->decision = SL_DEC_HOLD;
	j->rule = &mask->rule;
	j->message = j->masks.message;
}

static void judge_masks(struct sl_inspect *in, const struct sl_ev_command *c, struct judgement *j)
{
	const struct sl_snapshot *s = in->now.slot->s;
	const struct sl_mask *mask;

	protect_command(in, c, &j->masks);
	mask = j->masks.mask >= 0 && (uint32_t)j->masks.mask < s->nb_masks ? &s->masks[j->masks.mask] : NULL;
	if (mask != NULL && mask->rule.message != NULL && mask->rule.message[0] != '\0')
		j->masks.message = mask->rule.message;
	if (j->masks.decision == SL_DEC_HOLD && mask != NULL) {
		hold_by_mask(j, mask);
	} else if (j->masks.decision != SL_DEC_ALLOW) {
		refuse(j, SL_RSN_POLICY, j->masks.message);
		j->rule = mask != NULL ? &mask->rule : NULL;
	}
}

static bool executes(const struct sl_sql *sql)
{
	for (uint32_t i = 0; i < sql->nb_stmts; i++)
		if (sql->stmts[i].executes)
			return true;
	return false;
}

static void judge(struct sl_inspect *in, const struct sl_ev_command *c, const char *unreadable,
                  struct judgement *j)
{
	const char *why = NULL;

	*j = (struct judgement){.message = ""};
	if (!in->now.has_role) {
		refuse(j, SL_RSN_POLICY, "the policy allows you nothing here any more");
		return;
	}
	if (in->who->expires_us != 0 && in->w->wall_us >= in->who->expires_us) {
		refuse(j, SL_RSN_AUTH, "your login has expired: log in again");
		return;
	}
	if (sl_inspect_locked(in)) {
		refuse(j, SL_RSN_LOCKED, SL_LOCKED_TEXT);
		return;
	}
	if (unreadable != NULL) {
		refuse(j, SL_RSN_POLICY, unreadable);
		return;
	}
	if (c->phase == SL_PHASE_OTHER && op_harmless(c->op)) {
		j->decision = SL_DEC_ALLOW;
		return;
	}
	ask_policy(in, c->text, j);
	if (j->decision != SL_DEC_DENY)
		judge_masks(in, c, j);
	if (j->decision == SL_DEC_DENY)
		return;
	if ((in->w->sql.kinds & SL_SQL_BIT(SL_SQL_SET)) != 0)
		why = refused_set(&in->w->sql);
	if (in->put_off && executes(&in->w->sql))
		why = "EXECUTE could run what is held: execute prepared statements by the protocol";
	if (why == NULL && j->decision == SL_DEC_HOLD)
		why = unaskable(j);
	if (why == NULL && j->decision == SL_DEC_HOLD)
		why = unapprovable(in, c);
	if (why != NULL)
		refuse(j, SL_RSN_POLICY, why);
}

/* Limits are asked for together with the rules that hold the command. False: they are too many, name too
 * many approvers, or nobody could read all of the command. */
static bool hold_by_limits(struct sl_inspect *in, const struct sl_ev_command *c, struct judgement *j)
{
	const struct limit_over *o = &j->over;

	if (o->nb_holds > SL_BUS_NEEDS_MAX - j->nb_needs)
		return false;
	for (uint32_t i = 0; i < o->nb_holds; i++)
		j->needs[j->nb_needs++] = &o->holds[i]->rule;
	if (j->decision != SL_DEC_HOLD) {
		j->decision = SL_DEC_HOLD;
		j->rule = j->needs[0];
		j->message = in->w->over;
	}
	return unapprovable(in, c) == NULL && unaskable(j) == NULL;
}

/* What the policy does not deny may be over a limit. Denials of a limit are none that a breaker counts. */
static void judge_limits(struct sl_inspect *in, const struct sl_ev_command *c, struct judgement *j)
{
	const struct limit_over *o = &j->over;

	if (j->decision == SL_DEC_DENY || in->limits.nb == 0)
		return;
	limit_command(in, c, &j->over);
	if (o->deny != NULL) {
		refuse(j, SL_RSN_LIMIT, in->w->over);
		j->rule = &o->deny->rule;
	} else if (o->nb_holds > 0 && !hold_by_limits(in, c, j)) {
		refuse(j, SL_RSN_LIMIT, "it is over a limit, and approval cannot be asked for");
		j->rule = &o->holds[0]->rule;
		limit_undo(in, o);
		j->over.counted = 0;
	}
	if (o->deny != NULL || o->nb_holds > 0)
		sl_count(SL_C_LIMITED);
}

/* ---- holds ---- */

static void copy_name(char *out, size_t cap, const char *s)
{
	snprintf(out, cap, "%s", s != NULL ? s : "");
}

/* One parameter in a line of its own: values in quotes, so that none can pass for another. */
static size_t hold_param(const struct sl_param *p, uint32_t number, char *out, size_t cap)
{
	char value[APPROVAL_TEXT_MAX], plain[APPROVAL_TEXT_MAX], bytes[32] = "";
	struct sl_span text = p->value;
	bool cut = false;

	if (p->value.p == NULL)
		return (size_t)snprintf(out, cap, "\n$%u = NULL", number);
	if (p->format != 0) {
		long k = pgvalue_text(p->type, text, plain, sizeof(plain), &cut);

		if (k < 0 || cut)
			return (size_t)snprintf(out, cap, "\n$%u = (%zu binary bytes)", number, p->value.n);
		text = sl_span(plain, (size_t)k);
	}
	if (text.n > APPROVAL_TEXT_MAX / 2)
		snprintf(bytes, sizeof(bytes), " (%zu bytes)", text.n);
	return (size_t)snprintf(out, cap, "\n$%u = \"%s\"%s", number,
	                        sl_log_quote(text, value, sizeof(value)), bytes);
}

/* Parameters under the text, for the approver, who is told when there are more than fit. */
static void hold_params(struct sl_msg_hold *hold, const struct sl_ev_command *c)
{
	size_t cap = sizeof(hold->text), n = hold->text_n;
	uint32_t i = 0;

	for (; i < c->nb_params && n + 2 * APPROVAL_LINE_MAX <= cap; i++)
		n += hold_param(&c->params[i], i + 1, (char *)hold->text + n, cap - n);
	if (i < c->nb_params || c->nb_more > 0)
		n += (size_t)snprintf((char *)hold->text + n, cap - n, "\n(%u more parameters)",
		                      c->nb_params - i + c->nb_more);
	hold->text_n = (uint32_t)n;
}

/* What each rule asks for; the command must be decided in the shortest of their times. */
static void fill_needs(struct sl_inspect *in, const struct judgement *j, struct sl_msg_hold *hold)
{
	uint32_t expires_s = UINT32_MAX;

	hold->nb_needs = j->nb_needs;
	for (uint32_t i = 0; i < j->nb_needs; i++) {
		const struct sl_rule *rule = j->needs[i];
		struct sl_msg_need *need = &hold->needs[i];

		copy_name(need->rule, sizeof(need->rule), rule->name);
		need->quorum = rule->quorum;
		need->grant = (uint8_t)rule->grant;
		need->grant_s = rule->grant_s;
		(void)approvers(rule, need->approvers, sizeof(need->approvers), &need->approvers_n);
		expires_s = rule->expires_s < expires_s ? rule->expires_s : expires_s;
	}
	hold->expires_us = in->w->wall_us + (uint64_t)expires_s * 1000000;
}

static void fill_hold(struct sl_inspect *in, const struct sl_event *ev, const struct judgement *j,
                      const uint8_t hash[32], const struct sl_id *approval, struct sl_msg_hold *hold)
{
	const struct statement *st = &in->w->stmt;
	struct statement_at at = {0};
	/* Room for the line that says how many parameters are not shown. */
	size_t max = sizeof(hold->text) - (ev->command.nb_params > 0 ? APPROVAL_LINE_MAX : 0);
	struct sl_span text = statement_take(st, &at, max, in->w->chunk);

	hold->session = in->id;
	hold->cmd = ev->cmd;
	copy_name(hold->event_id, sizeof(hold->event_id), in->event_id);
	copy_name(hold->resource, sizeof(hold->resource), in->resource);
	copy_name(hold->database, sizeof(hold->database), in->database);
	copy_name(hold->message, sizeof(hold->message), j->message);
	hold->policy_version = in->now.version;
	hold->approval = *approval;
	fill_needs(in, j, hold);
	memcpy(hold->statement_sha256, hash, sizeof(hold->statement_sha256));
	hold->text_total = (uint32_t)(st->total < UINT32_MAX ? st->total : UINT32_MAX);
	if (text.n > 0)
		memcpy(hold->text, text.p, text.n);
	hold->text_n = (uint32_t)text.n;
	if (at.done == st->total)
		hold_params(hold, &ev->command);
	memcpy(&hold->identity, in->who, identity_bytes(in->who));
}

/* ---- the verdict ---- */

static const char *const verdict_names[] = {
        [SL_DEC_ALLOW] = "allow", [SL_DEC_DENY] = "deny", [SL_DEC_HOLD] = "hold"};

static int denial_err(enum sl_reason_code code)
{
	switch (code) {
	case SL_RSN_AUTH:
		return SL_E_AUTH;
	case SL_RSN_LIMIT:
		return SL_E_POLICY_LIMIT;
	case SL_RSN_LOCKED:
		return SL_E_POLICY_LOCKED;
	default:
		return SL_E_POLICY_DENIED;
	}
}

static void answer(struct sl_inspect *in, const struct sl_event *ev, const struct judgement *j,
                   const struct sl_id *approval, struct sl_verdict *v)
{
	char id[SL_ID_STR_MAX];

	*v = (struct sl_verdict){.action = SL_ACT_ALLOW, .mark = j->masks.mark, .keep = j->masks.keep};
	if (j->decision != SL_DEC_DENY) {
		protect_remember(in, &j->masks);
		in->put_off |= j->put_off;
		in->bound_execute |= ev->command.phase == SL_PHASE_EXECUTE && executes(&in->w->sql);
	}
	if (j->decision == SL_DEC_ALLOW) {
		sl_count(SL_C_ALLOWED);
		if (ev->command.phase != SL_PHASE_PREPARE)
			policy_pin(in, ev->cmd);
		return;
	}
	if (j->decision == SL_DEC_DENY) {
		sl_count(SL_C_DENIED);
		in->nb_denied++;
		v->action = SL_ACT_DENY;
		v->reason.code = j->code;
		v->reason.err = denial_err(j->code);
		v->reason.hint = cstr(j->over.deny != NULL ? j->over.hint : NULL);
		if (j->message != in->message)
			copy_name(in->message, sizeof(in->message), j->message);
	} else {
		sl_count(SL_C_HELD);
		policy_pin(in, ev->cmd);
		in->hold.on = true;
		in->hold.cmd = ev->cmd;
		in->hold.approval = *approval;
		v->action = SL_ACT_PARK;
		v->reason.code = SL_RSN_HELD;
		snprintf(in->message, sizeof(in->message), "held for approval %s: %s",
		         sl_id_str(approval, id), j->message);
	}
	one_line(in->message);
	v->reason.event_id = sl_span_str(in->event_id);
	v->reason.message = sl_span_str(in->message);
}

/* The store cannot take a record: the command does not run. This denial itself is only counted. */
static int unrecordable(struct sl_inspect *in, struct sl_verdict *v)
{
	sl_count(SL_C_COMMANDS);
	sl_count(SL_C_DENIED);
	in->nb_commands++;
	in->nb_denied++;
	deny(in, v, SL_RSN_UNAVAILABLE, sl_fail(SL_E_STORE_WRITE),
	     "the gateway cannot record this command: try again later");
	return SL_OK;
}

/* What the record says of rules that did not decide. */
static void put_side_effects(const struct sl_inspect *in, const struct judgement *j,
                             struct command_record *rec)
{
	const struct sl_eval_verdict *v = &j->eval.shadow;
	const struct sl_rule *rule;

	rec->s = in->now.slot->s;
	rec->nb_logs = j->eval.nb_logs;
	rec->logs = j->eval.logs;
	rec->nb_holds = j->decision != SL_DEC_DENY ? j->nb_needs : 0;
	rec->holds = j->needs;
	if (j->over.shadow != NULL && j->decision == SL_DEC_ALLOW) {
		rec->shadow = verdict_names[j->over.shadow->over == SL_OVER_HOLD ? SL_DEC_HOLD : SL_DEC_DENY];
		rec->shadow_rule = cstr(j->over.shadow->rule.name);
	}
	if (!j->eval.differs)
		return;
	rule = v->rule >= 0 ? &rec->s->rules[v->rule] : NULL;
	rec->shadow = verdict_names[v->decision];
	rec->shadow_rule = rule != NULL ? cstr(rule->name) : SL_SPAN_EMPTY;
}

/*
 * May the target's catalog be another one when the command has ended? What was changed inside of a
 * transaction is seen by others when that ends.
 */
static bool changes_catalog(struct sl_inspect *in, uint64_t kinds)
{
	const uint64_t ddl = SL_SQL_BIT(SL_SQL_CREATE) | SL_SQL_BIT(SL_SQL_ALTER) | SL_SQL_BIT(SL_SQL_DROP) |
	                     SL_SQL_BIT(SL_SQL_CALL) | SL_SQL_BIT(SL_SQL_DO) | SL_SQL_BIT(SL_SQL_OPAQUE) |
	                     SL_SQL_BIT(SL_SQL_FUNCTION_CALL);

	if ((kinds & ddl) != 0) {
		in->changed_catalog = true;
		return true;
	}
	return in->changed_catalog && (kinds & SL_SQL_BIT(SL_SQL_TRANSACTION)) != 0;
}

/* Whatever else cannot be read: a Parse has one statement, and nothing that stands in front of its first word
 * is read in more than one way. */
static bool is_query(const struct sl_ev_command *c, enum sl_sql_kind main)
{
	return c->phase != SL_PHASE_SIMPLE &&
	       (main == SL_SQL_SELECT || main == SL_SQL_INSERT || main == SL_SQL_UPDATE ||
	        main == SL_SQL_DELETE || main == SL_SQL_MERGE);
}

static uint8_t prepares(const struct sl_sql_stmt *s)
{
	return (s->kinds & SL_SQL_BIT(SL_SQL_PREPARE)) != 0 ? SL_NAMES_PREPARE : 0;
}

/* What it does by names of cursors and prepared statements: bits of enum sl_names. */
static uint8_t names_of(const struct sl_ev_command *c, const struct sl_sql *sql)
{
	uint8_t names = 0;

	if (!sql->complete)
		return is_query(c, sql->stmts[0].main)
		               ? 0
		               : SL_NAMES_LATE | SL_NAMES_OPEN | prepares(&sql->stmts[0]);
	for (uint32_t i = 0; i < sql->nb_stmts; i++) {
		const struct sl_sql_stmt *s = &sql->stmts[i];

		names |= s->executes ? SL_NAMES_EXECUTE | SL_NAMES_OPEN : 0;
		names |= s->fetches ? SL_NAMES_FETCH : 0;
		names |= s->declares ? SL_NAMES_OPEN : 0;
		names |= s->deallocates ? SL_NAMES_DEALLOCATE : 0;
		names |= prepares(s);
	}
	return names;
}

/* The name as the target has it; empty where that hangs on its encoding. */
static struct sl_span name_of(const struct sl_sql *sql, char out[SL_SQL_NAME_MAX])
{
	struct sl_span name = sql->stmts[0].name;

	if (sql->nb_stmts != 1 || !sql->complete)
		return SL_SPAN_EMPTY;
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] >= 0x80)
			return SL_SPAN_EMPTY;
	return sl_span(out, sl_sql_name_fold(name, out));
}

int command_judge(struct sl_inspect *in, const struct sl_event *ev, struct sl_verdict *v,
                  struct sl_msg_hold *hold)
{
	const struct sl_ev_command *c = &ev->command;
	struct command_record rec = {.cmd = ev->cmd, .phase = c->phase, .ev = c};
	struct judgement j;
	struct sl_id approval = {{0}};
	uint8_t hash[32];
	const char *bad;
	int rc;

	if (sl_store_failed(in->w->cfg.store))
		return unrecordable(in, v);
	/* What the client sends behind a held command stays in the decoder. */
	if (in->hold.on)
		return sl_fail(SL_E_PROTO_STATE);
	rc = policy_bind(in);
	if (rc == SL_OK && policy_blind(&in->now))
		rc = sl_fail(SL_E_POLICY_CHANGED);
	if (rc != SL_OK)
		return rc;
	bad = scan(in, c);
	if (protect_doubts(in, ev->cmd))
		return SL_AGAIN;
	judge(in, c, bad, &j);
	judge_limits(in, c, &j);
	/* A prepared statement that would be held is held when it is executed, unless SQL EXECUTE can do it.
	 */
	if (j.decision == SL_DEC_HOLD && c->phase == SL_PHASE_PREPARE && !(c->named && in->bound_execute)) {
		j.decision = SL_DEC_ALLOW;
		j.message = "held when it is executed";
		j.put_off = c->named;
	}
	if (j.decision == SL_DEC_HOLD && hold == NULL) {
		limit_undo(in, &j.over);
		return SL_AGAIN;
	}
	if (j.decision == SL_DEC_HOLD) {
		approval = sl_id_make(&in->w->approval_ids, in->w->wall_us);
		rec.approval = &approval;
	}
	hash_statement(&in->w->stmt, c->params, c->nb_params, sl_store_text_key(in->w->cfg.store), hash);
	rec.verdict = verdict_names[j.decision];
	rec.rule = j.rule != NULL ? cstr(j.rule->name) : SL_SPAN_EMPTY;
	rec.message = cstr(j.message);
	rec.policy_version = in->now.version;
	rec.kinds = in->w->sql.kinds;
	rec.hash = hash;
	put_side_effects(in, &j, &rec);
	(void)record_event_id(in);
	rc = record_command(in, &rec);
	if (rc != SL_OK) {
		limit_undo(in, &j.over);
		return rc;
	}
	if (j.decision == SL_DEC_DENY && j.code == SL_RSN_POLICY)
		limit_denied(in);
	sl_count(SL_C_COMMANDS);
	in->nb_commands++;
	answer(in, ev, &j, &approval, v);
	protect_begun(in, ev->cmd, j.decision == SL_DEC_ALLOW);
	if (changes_catalog(in, in->w->sql.kinds))
		v->mark |= MARK_CATALOG;
	v->names = names_of(c, &in->w->sql);
	v->name = name_of(&in->w->sql, in->w->name);
	if (j.decision == SL_DEC_HOLD)
		fill_hold(in, ev, &j, hash, &approval, hold);
	return SL_OK;
}

/* ---- the end of a hold ---- */

struct outcome {
	const char *name;
	enum sl_reason_code code;
	const char *message;
};

static const struct outcome *outcome_of(enum sl_decision d)
{
	static const struct outcome outcomes[] = {
	        [SL_DECISION_APPROVED] = {"approved", SL_RSN_NONE, ""},
	        [SL_DECISION_DENIED] = {"denied", SL_RSN_REFUSED, "the approver refused this command"},
	        [SL_DECISION_EXPIRED] = {"expired", SL_RSN_EXPIRED, "nobody approved this command in time"},
	        [SL_DECISION_CANCELLED] = {"cancelled", SL_RSN_CANCELLED,
	                                   "cancelled while it was held for approval"},
	        [SL_DECISION_UNASKED] = {"denied", SL_RSN_REFUSED,
	                                 "nobody could be asked to approve this command"},
	};

	return d >= SL_DECISION_APPROVED && d <= SL_DECISION_UNASKED ? &outcomes[d] : NULL;
}

/* An approval is nothing to a caller whose login has run out, or who was locked, meanwhile. */
static const struct outcome *too_late(const struct sl_inspect *in, const struct sl_msg_decision **d,
                                      struct sl_msg_decision *instead)
{
	static const struct outcome expired = {"denied", SL_RSN_AUTH, "your login has expired: log in again"};
	static const struct outcome locked = {"denied", SL_RSN_LOCKED, SL_LOCKED_TEXT};
	bool late = in->who->expires_us != 0 && in->w->wall_us >= in->who->expires_us;

	if ((*d)->decision != SL_DECISION_APPROVED || (!late && !sl_inspect_locked(in)))
		return NULL;
	*instead = (struct sl_msg_decision){.approval = (*d)->approval, .decision = SL_DECISION_DENIED};
	copy_name(instead->by, sizeof(instead->by), "sluice");
	copy_name(instead->note, sizeof(instead->note),
	          late ? "approved, but the caller's login had expired"
	               : "approved, but the caller was locked");
	*d = instead;
	return late ? &expired : &locked;
}

int sl_inspect_decision(struct sl_inspect *in, const struct sl_msg_decision *d, struct sl_verdict *v)
{
	const struct outcome *o = outcome_of(d->decision), *late;
	struct sl_msg_decision instead;
	size_t note_n;
	int rc;

	if (o == NULL || !in->hold.on ||
	    memcmp(d->approval.b, in->hold.approval.b, sizeof(d->approval.b)) != 0)
		return sl_fail(SL_E_INVAL);
	late = too_late(in, &d, &instead);
	o = late != NULL ? late : o;
	/* No block at all while the store fails: an approval cannot be recorded, so it cannot be acted upon
	 * yet. */
	(void)record_event_id(in);
	rc = record_decision(in, in->hold.cmd, d, o->name);
	if (rc != SL_OK)
		return rc;
	in->hold.on = false;
	*v = (struct sl_verdict){.action = SL_ACT_ALLOW};
	if (d->decision == SL_DECISION_APPROVED) {
		sl_count(SL_C_ALLOWED);
		return SL_OK;
	}
	sl_count(SL_C_DENIED);
	in->nb_denied++;
	if (d->decision == SL_DECISION_DENIED && late == NULL)
		limit_denied(in);
	deny(in, v, o->code, denial_err(o->code), o->message);
	v->reason.event_id = sl_span_str(in->event_id);
	note_n = strnlen(d->note, sizeof(d->note));
	if (note_n > 0 && o->code == SL_RSN_REFUSED) {
		snprintf(in->message, sizeof(in->message), "%s: %.*s", o->message, (int)note_n, d->note);
		one_line(in->message);
		v->reason.message = sl_span_str(in->message);
	}
	return SL_OK;
}
