/*
 * Judging a query string: candidates from the index, one after the other in no order, into a fold that keeps
 * the first rule that denies, all that hold, and what is not allowed yet.
 */
#include "eval_priv.h"

#include <string.h>

#include "sl_counter.h"

#define BIT(k)       SL_SQL_BIT(SL_SQL_##k)
#define NO_RULE      UINT32_MAX
#define KIND_TEXT(k) "the policy does not allow this statement: " k

/* By the first kind that nothing allows. */
static const char *const denied_by_default[SL_SQL_KIND_COUNT] = {
        [SL_SQL_EMPTY] = KIND_TEXT("empty"),
        [SL_SQL_SELECT] = KIND_TEXT("select"),
        [SL_SQL_INSERT] = KIND_TEXT("insert"),
        [SL_SQL_UPDATE] = KIND_TEXT("update"),
        [SL_SQL_DELETE] = KIND_TEXT("delete"),
        [SL_SQL_MERGE] = KIND_TEXT("merge"),
        [SL_SQL_TRUNCATE] = KIND_TEXT("truncate"),
        [SL_SQL_CREATE] = KIND_TEXT("create"),
        [SL_SQL_ALTER] = KIND_TEXT("alter"),
        [SL_SQL_DROP] = KIND_TEXT("drop"),
        [SL_SQL_GRANT] = KIND_TEXT("grant"),
        [SL_SQL_SET] = KIND_TEXT("set"),
        [SL_SQL_SHOW] = KIND_TEXT("show"),
        [SL_SQL_COPY_FROM] = KIND_TEXT("copy-from"),
        [SL_SQL_COPY_TO] = KIND_TEXT("copy-to"),
        [SL_SQL_COPY_SERVER] = KIND_TEXT("copy-server"),
        [SL_SQL_TRANSACTION] = KIND_TEXT("transaction"),
        [SL_SQL_PREPARE] = KIND_TEXT("prepare"),
        [SL_SQL_EXECUTE] = KIND_TEXT("execute"),
        [SL_SQL_CURSOR] = KIND_TEXT("cursor"),
        [SL_SQL_EXPLAIN] = KIND_TEXT("explain"),
        [SL_SQL_CALL] = KIND_TEXT("call"),
        [SL_SQL_DO] = KIND_TEXT("do"),
        [SL_SQL_LISTEN] = KIND_TEXT("listen"),
        [SL_SQL_LOCK] = KIND_TEXT("lock"),
        [SL_SQL_MAINTAIN] = KIND_TEXT("maintain"),
        [SL_SQL_ADMIN] = KIND_TEXT("admin (it acts beyond the database's tables)"),
        [SL_SQL_FUNCTION_CALL] = KIND_TEXT("function-call"),
        [SL_SQL_OPAQUE] = KIND_TEXT("opaque (it cannot be read to the end, or may hide another statement)"),
};

static const char too_many_holds[] = "more rules hold this statement than can be asked for at once";

static uint64_t kinds_of(const struct sl_sql *sql, const struct sl_sql_stmt *stmt)
{
	return sql->complete && stmt->kinds != 0 ? stmt->kinds : stmt->kinds | BIT(OPAQUE);
}

/* Do the conditions of a rule that denies, holds or logs hold for this statement? One that is opaque may be
 * of any kind. */
static bool restricts(const struct sl_rule *r, const struct sl_sql *sql, const struct sl_sql_stmt *stmt)
{
	uint64_t kinds = kinds_of(sql, stmt);

	if (kinds & BIT(OPAQUE))
		return true;
	if (r->kinds != 0 && (r->kinds & kinds) == 0)
		return false;
	return (!r->without_where || stmt->no_where) &&
	       eval_names_touched(r, sql, (uint32_t)(stmt - sql->stmts));
}

static bool restricts_any(const struct sl_rule *r, const struct sl_sql *sql)
{
	for (uint32_t i = 0; i < sql->nb_stmts; i++) {
		if (restricts(r, sql, &sql->stmts[i]))
			return true;
	}
	return false;
}

/* Does an ALLOW or HOLD rule take this statement's kinds out of the default deny? Neither ever does for an
 * opaque one. */
static bool grants(const struct sl_rule *r, const struct sl_sql *sql, const struct sl_sql_stmt *stmt)
{
	if (r->action == SL_RULE_HOLD)
		return restricts(r, sql, stmt);
	/* A pattern sees the whole string: with several statements it may have matched in another one. */
	return r->action == SL_RULE_ALLOW && (!r->has_pattern || sql->nb_stmts == 1) &&
	       eval_names_within(r, sql, (uint32_t)(stmt - sql->stmts));
}

/* What becomes of the string, as far as it is known. */
struct side {
	uint32_t deny;                      /* the first such rule, NO_RULE */
	uint32_t nb_holds;                  /* over SL_EVAL_HOLDS_MAX: more than there is room for */
	uint32_t holds[SL_EVAL_HOLDS_MAX];  /* in document order */
	uint64_t missing[SL_SQL_STMTS_MAX]; /* of each statement: kinds that nothing allows yet */
};

struct fold {
	const struct sl_snapshot *s;
	const struct sl_principal *p;
	const struct sl_sql *sql;
	uint64_t wall_us;
	sl_eval_each_fn each;
	void *ctx;
	struct side real, would; /* would: the rules in shadow too */
	bool any_shadow;
	struct sl_eval_result *out;
};

static void put_log(struct sl_eval_result *out, uint32_t rule)
{
	for (uint32_t i = 0; i < out->nb_logs; i++) {
		if (out->logs[i] == (int32_t)rule)
			return;
	}
	if (out->nb_logs < SL_EVAL_LOGS_MAX)
		out->logs[out->nb_logs++] = (int32_t)rule;
}

/* The kinds that this rule takes out of the default deny, statement by statement. */
static void grant(struct side *to, const struct sl_rule *r, const struct sl_sql *sql)
{
	for (uint32_t i = 0; i < sql->nb_stmts; i++) {
		if ((r->kinds & to->missing[i]) != 0 && !(kinds_of(sql, &sql->stmts[i]) & BIT(OPAQUE)) &&
		    grants(r, sql, &sql->stmts[i]))
			to->missing[i] &= ~r->kinds | SL_SQL_KINDS_ROLE_ONLY;
	}
}

/* One more rule that holds, in its place. A rule may come more than once: of several lists. */
static void put_hold(struct side *to, uint32_t rule)
{
	uint32_t at = 0, nb = to->nb_holds < SL_EVAL_HOLDS_MAX ? to->nb_holds : SL_EVAL_HOLDS_MAX;

	while (at < nb && to->holds[at] < rule)
		at++;
	if (to->nb_holds > SL_EVAL_HOLDS_MAX || (at < nb && to->holds[at] == rule))
		return;
	to->nb_holds++;
	if (to->nb_holds > SL_EVAL_HOLDS_MAX)
		return;
	memmove(&to->holds[at + 1], &to->holds[at], (nb - at) * sizeof(to->holds[0]));
	to->holds[at] = rule;
}

static void take_effect(struct side *to, const struct sl_rule *r, uint32_t i, const struct sl_sql *sql)
{
	if (r->action == SL_RULE_DENY)
		to->deny = i < to->deny ? i : to->deny;
	if (r->action == SL_RULE_HOLD)
		put_hold(to, i);
	if (r->action == SL_RULE_HOLD || r->action == SL_RULE_ALLOW)
		grant(to, r, sql);
}

/* Does it allow some statement of the string? */
static bool allows_any(const struct sl_rule *r, const struct sl_sql *sql)
{
	for (uint32_t i = 0; i < sql->nb_stmts; i++) {
		if ((r->kinds & sql->stmts[i].kinds) != 0 && grants(r, sql, &sql->stmts[i]))
			return true;
	}
	return false;
}

/* A candidate: its pattern, if it has one, has matched. */
static void consider(struct fold *f, uint32_t i)
{
	const struct sl_rule *r = &f->s->rules[i];

	if (!eval_rule_is_for(f->p, r) || (r->when != NULL && !sl_schedule_open(r->when, f->wall_us)))
		return;
	/* Behind a rule that denies already, one that denies says nothing new. */
	if (r->action == SL_RULE_DENY && !r->shadow && i > f->real.deny && f->each == NULL)
		return;
	if (!(r->action == SL_RULE_ALLOW ? allows_any(r, f->sql) : restricts_any(r, f->sql)))
		return;
	if (f->each != NULL)
		f->each(f->ctx, i);
	if (r->action == SL_RULE_LOG) {
		put_log(f->out, i);
		return;
	}
	if (!r->shadow)
		take_effect(&f->real, r, i, f->sql);
	f->any_shadow |= r->shadow;
	take_effect(&f->would, r, i, f->sql);
}

static int on_match(void *ctx, uint32_t id, size_t from, size_t to)
{
	struct fold *f = ctx;

	(void)from;
	(void)to;
	if (id < f->s->nb_rules)
		consider(f, id);
	return 0;
}

/* The hash folds; what else makes the catalog's name of a written one is rare. */
static uint64_t name_hash(struct sl_span name, bool function)
{
	char folded[SL_SQL_NAME_MAX];

	if (name.n > SL_SQL_NAME_MAX || (name.n > 0 && name.p[0] == '"'))
		name = sl_span(folded, sl_sql_name_fold(name, folded));
	return sl_rule_name_hash(name, function);
}

static void consider_named(struct fold *f, const struct sl_sql_name *n, bool function)
{
	const struct sl_rule_index *x = &f->s->index;
	uint64_t hash = name_hash(n->name, function);

	for (uint64_t at = hash;; at++) {
		const struct sl_rule_name *e = &x->names[at & x->names_mask];

		if (e->hash == 0)
			return;
		if (e->hash != hash)
			continue;
		for (uint32_t i = 0; i < e->nb; i++)
			consider(f, x->named_rules[e->first + i]);
		return;
	}
}

/* The rules without a pattern. */
static void consider_plain(struct fold *f, uint64_t kinds)
{
	const struct sl_rule_index *x = &f->s->index;

	if ((kinds & BIT(OPAQUE)) != 0 || f->each != NULL) {
		for (uint32_t i = 0; i < x->nb_plain; i++)
			consider(f, x->plain[i]);
		return;
	}
	kinds = (kinds & (BIT(KIND_COUNT) - 1)) | BIT(KIND_COUNT);
	for (uint64_t bits = kinds; bits != 0; bits &= bits - 1) {
		const struct sl_rule_list *l = &x->by_kind[__builtin_ctzll(bits)];

		for (uint32_t i = 0; i < l->nb; i++)
			consider(f, x->kind_rules[l->first + i]);
	}
	if (x->names == NULL)
		return;
	for (uint32_t i = 0; i < f->sql->nb_relations; i++)
		consider_named(f, &f->sql->relations[i].name, false);
	for (uint32_t i = 0; i < f->sql->nb_functions; i++)
		consider_named(f, &f->sql->functions[i].name, true);
}

/* The first kind of the first statement that nothing allows; SL_SQL_KIND_COUNT: none. */
static unsigned int first_missing(const struct side *d, uint32_t nb_stmts)
{
	for (uint32_t i = 0; i < nb_stmts; i++) {
		if (d->missing[i] != 0)
			return (unsigned int)__builtin_ctzll(d->missing[i]);
	}
	return SL_SQL_KIND_COUNT;
}

static struct sl_eval_verdict conclude(const struct side *d, uint32_t nb_stmts)
{
	if (d->deny != NO_RULE)
		return (struct sl_eval_verdict){SL_DEC_DENY, (int32_t)d->deny};
	if (first_missing(d, nb_stmts) != SL_SQL_KIND_COUNT)
		return (struct sl_eval_verdict){SL_DEC_DENY, -1};
	if (d->nb_holds > SL_EVAL_HOLDS_MAX)
		return (struct sl_eval_verdict){SL_DEC_DENY, -1};
	if (d->nb_holds > 0)
		return (struct sl_eval_verdict){SL_DEC_HOLD, (int32_t)d->holds[0]};
	return (struct sl_eval_verdict){SL_DEC_ALLOW, -1};
}

static void refuse(struct sl_eval_result *out, const char *message)
{
	*out = (struct sl_eval_result){.decision = SL_DEC_DENY, .rule = -1, .message = message};
}

/* The first rule that would hold it, too, with the rules in shadow; NO_RULE none. Both hold. */
static uint32_t first_more(const struct side *real, const struct side *would)
{
	for (uint32_t i = 0; i < would->nb_holds; i++) {
		if (i >= real->nb_holds || real->holds[i] != would->holds[i])
			return would->holds[i];
	}
	return NO_RULE;
}

static void say_shadow(struct fold *f, struct sl_eval_verdict v)
{
	struct sl_eval_result *out = f->out;
	uint32_t more;

	out->shadow = conclude(&f->would, f->sql->nb_stmts);
	out->differs = out->shadow.decision != v.decision || out->shadow.rule != v.rule;
	if (out->shadow.decision != SL_DEC_HOLD || v.decision != SL_DEC_HOLD)
		return;
	more = first_more(&f->real, &f->would);
	out->differs = more != NO_RULE;
	out->shadow.rule = more != NO_RULE ? (int32_t)more : v.rule;
}

static void say(struct fold *f)
{
	struct sl_eval_verdict v = conclude(&f->real, f->sql->nb_stmts);
	struct sl_eval_result *out = f->out;
	unsigned int kind;

	out->decision = v.decision;
	out->rule = v.rule;
	out->message = "";
	if (v.rule >= 0) {
		out->message = f->s->rules[v.rule].message;
	} else if (v.decision == SL_DEC_DENY) {
		kind = first_missing(&f->real, f->sql->nb_stmts);
		out->message = kind < SL_SQL_KIND_COUNT ? denied_by_default[kind] : too_many_holds;
	}
	out->nb_holds = v.decision == SL_DEC_HOLD ? f->real.nb_holds : 0;
	for (uint32_t i = 0; i < out->nb_holds; i++)
		out->holds[i] = (int32_t)f->real.holds[i];
	if (f->any_shadow)
		say_shadow(f, v);
}

void sl_eval_explain(const struct sl_snapshot *s, const struct sl_principal *p, uint32_t worker,
                     uint64_t wall_us, struct sl_span text, const struct sl_sql *sql, sl_eval_each_fn each,
                     void *ctx, struct sl_eval_result *out)
{
	struct fold f; /* not set to zero as a whole: it is a kilobyte for 64 statements */
	uint64_t kinds = 0;

	if (p->snapshot_version != s->version || worker >= s->nb_workers || sql->nb_stmts == 0 ||
	    sql->nb_stmts > SL_SQL_STMTS_MAX) {
		refuse(out, "the statement could not be judged");
		return;
	}
	f.s = s;
	f.p = p;
	f.sql = sql;
	f.wall_us = wall_us;
	f.each = each;
	f.ctx = ctx;
	f.out = out;
	f.any_shadow = false;
	out->nb_logs = 0;
	out->differs = false;
	out->nb_holds = 0;
	f.real.deny = f.would.deny = NO_RULE;
	f.real.nb_holds = f.would.nb_holds = 0;
	for (uint32_t i = 0; i < sql->nb_stmts; i++) {
		uint64_t k = kinds_of(sql, &sql->stmts[i]);

		kinds |= k;
		f.real.missing[i] = f.would.missing[i] = k & ~p->kinds;
	}
	if (p->any_pattern &&
	    sl_match_scan(s->statement_db, s->statement_scratch[worker], text, on_match, &f) != SL_OK) {
		refuse(out, "the statement's text could not be read");
		return;
	}
	consider_plain(&f, kinds);
	say(&f);
}

void sl_eval_statement(const struct sl_snapshot *s, const struct sl_principal *p, uint32_t worker,
                       uint64_t wall_us, struct sl_span text, const struct sl_sql *sql,
                       struct sl_eval_result *out)
{
	sl_eval_explain(s, p, worker, wall_us, text, sql, NULL, NULL, out);
}
