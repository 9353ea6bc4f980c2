/* Who may do what: binding a caller to a snapshot, and judging a query string. */
#include "eval_priv.h"

#include "sl_counter.h"

#define BIT(k)       SL_SQL_BIT(SL_SQL_##k)
#define RULE_WORDS   (SL_POLICY_RULES_MAX / 64)
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

static void set_bit(uint64_t *words, uint32_t i)
{
	words[i / 64] |= UINT64_C(1) << (i % 64);
}

static bool any_glob(const struct sl_strings *globs, struct sl_span text)
{
	for (uint32_t i = 0; i < globs->nb; i++) {
		if (sl_glob_match(globs->v[i], text))
			return true;
	}
	return false;
}

static bool globs_allow(const struct sl_strings *globs, struct sl_span text)
{
	return globs->nb == 0 || any_glob(globs, text);
}

static bool in_group(const struct sl_caller *who, const char *group)
{
	struct sl_span wanted = sl_span_str(group);
	const uint8_t *p = who->groups.p;
	size_t left = who->groups.n;

	while (left > 0) {
		const uint8_t *nul = memchr(p, 0, left);
		size_t n = nul != NULL ? (size_t)(nul - p) : left;

		if (sl_span_eq(wanted, sl_span(p, n)))
			return true;
		p += nul != NULL ? n + 1 : n;
		left -= nul != NULL ? n + 1 : n;
	}
	return false;
}

static bool has_role(const struct sl_role *r, const struct sl_caller *who)
{
	for (uint32_t i = 0; i < r->groups.nb; i++) {
		if (strcmp(r->groups.v[i], "*") == 0 || in_group(who, r->groups.v[i]))
			return true;
	}
	for (uint32_t i = 0; i < r->subjects.nb; i++) {
		if (sl_span_is(who->subject, r->subjects.v[i]))
			return true;
	}
	return false;
}

static void bind_rules(const struct sl_snapshot *s, struct sl_span resource, struct sl_principal *out)
{
	for (uint32_t i = 0; i < s->nb_rules; i++) {
		const struct sl_rule *r = &s->rules[i];

		if (r->roles.nb > 0 && (r->role_bits & out->role_bits) == 0)
			continue;
		if (!globs_allow(&r->resources, resource))
			continue;
		set_bit(out->rule_bits, i);
		if (r->has_pattern) {
			set_bit(out->pattern_bits, i);
			out->any_pattern = true;
		}
	}
}

static void bind_masks(const struct sl_snapshot *s, struct sl_span resource, struct sl_principal *out)
{
	for (uint32_t i = 0; i < s->nb_masks; i++) {
		const struct sl_mask *m = &s->masks[i];

		if (m->roles.nb > 0 && (m->role_bits & out->role_bits) == 0)
			continue;
		if ((m->except_bits & out->role_bits) != 0 || !globs_allow(&m->resources, resource))
			continue;
		set_bit(out->mask_bits, i);
		out->any_mask = true;
		out->any_content_mask |= m->has_pattern;
	}
}

/* A resource names its databases exactly; none named: any. */
static bool has_database(const struct sl_resource *res, struct sl_span database)
{
	for (uint32_t i = 0; i < res->databases.nb; i++) {
		if (sl_span_is(database, res->databases.v[i]))
			return true;
	}
	return res->databases.nb == 0;
}

bool sl_eval_bind(const struct sl_snapshot *s, const struct sl_caller *who, const struct sl_resource *res,
                  struct sl_span database, struct sl_principal *out)
{
	struct sl_span resource = sl_span_str(res->name);

	memset(out, 0, sizeof(*out));
	out->snapshot_version = s->version;
	if (!has_database(res, database))
		return false;
	for (uint32_t i = 0; i < s->nb_roles; i++) {
		const struct sl_role *r = &s->roles[i];

		if (!any_glob(&r->resources, resource) || !globs_allow(&r->databases, database) ||
		    !has_role(r, who))
			continue;
		out->role_bits |= UINT64_C(1) << i;
		out->kinds |= r->kinds;
	}
	bind_rules(s, resource, out);
	bind_masks(s, resource, out);
	return out->role_bits != 0;
}

struct matched {
	uint64_t bits[RULE_WORDS];
};

static int on_match(void *ctx, uint32_t id, size_t from, size_t to)
{
	struct matched *m = ctx;

	(void)from;
	(void)to;
	if (id < SL_POLICY_RULES_MAX)
		set_bit(m->bits, id);
	return 0;
}

static uint64_t kinds_of(const struct sl_sql *sql, const struct sl_sql_stmt *stmt)
{
	return sql->complete && stmt->kinds != 0 ? stmt->kinds : stmt->kinds | BIT(OPAQUE);
}

/* Do a deny or hold rule's conditions hold for this statement? One that is opaque may be of any kind. */
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

/* The kinds of this statement that neither the caller's roles nor the rules in `rules` allow. */
static uint64_t not_allowed(const struct sl_snapshot *s, const struct sl_principal *p, const uint64_t *rules,
                            const struct sl_sql *sql, const struct sl_sql_stmt *stmt)
{
	uint64_t kinds = kinds_of(sql, stmt);
	uint64_t missing = kinds & ~p->kinds;

	if (kinds & BIT(OPAQUE))
		return missing;
	for (uint32_t w = 0; w < RULE_WORDS; w++) {
		for (uint64_t bits = rules[w]; bits != 0 && missing != 0; bits &= bits - 1) {
			const struct sl_rule *r = &s->rules[w * 64 + (uint32_t)__builtin_ctzll(bits)];

			if ((r->kinds & missing) != 0 && grants(r, sql, stmt))
				missing &= ~r->kinds | SL_SQL_KINDS_ROLE_ONLY;
		}
	}
	return missing;
}

static void decide(struct sl_eval_result *out, enum sl_decision_kind decision, int32_t rule,
                   const char *message)
{
	out->decision = decision;
	out->rule = rule;
	out->message = message != NULL ? message : "";
}

/* The first DENY rule that applies, else the first HOLD rule. True when there is one. */
static bool by_rule(const struct sl_snapshot *s, const uint64_t *rules, const struct sl_sql *sql,
                    struct sl_eval_result *out)
{
	int32_t hold = -1;

	for (uint32_t w = 0; w < RULE_WORDS; w++) {
		for (uint64_t bits = rules[w]; bits != 0; bits &= bits - 1) {
			int32_t i = (int32_t)(w * 64 + (uint32_t)__builtin_ctzll(bits));
			const struct sl_rule *r = &s->rules[i];

			if (r->action == SL_RULE_ALLOW || (r->action == SL_RULE_HOLD && hold >= 0))
				continue;
			if (!restricts_any(r, sql))
				continue;
			if (r->action == SL_RULE_DENY) {
				decide(out, SL_DEC_DENY, i, r->message);
				return true;
			}
			hold = i;
		}
	}
	if (hold < 0)
		return false;
	decide(out, SL_DEC_HOLD, hold, s->rules[hold].message);
	return true;
}

/* True when some kind of some statement is allowed by nothing. */
static bool by_default(const struct sl_snapshot *s, const struct sl_principal *p, const uint64_t *rules,
                       const struct sl_sql *sql, struct sl_eval_result *out)
{
	for (uint32_t i = 0; i < sql->nb_stmts; i++) {
		uint64_t missing = not_allowed(s, p, rules, sql, &sql->stmts[i]);

		if (missing != 0) {
			/* Kinds off the table cannot come; the mask keeps the index inside of it in any case.
			 */
			missing &= (UINT64_C(1) << SL_SQL_KIND_COUNT) - 1;
			decide(out, SL_DEC_DENY, -1,
			       missing != 0 ? denied_by_default[__builtin_ctzll(missing)] : "unknown kind");
			return true;
		}
	}
	return false;
}

void sl_eval_statement(const struct sl_snapshot *s, const struct sl_principal *p, uint32_t worker,
                       struct sl_span text, const struct sl_sql *sql, struct sl_eval_result *out)
{
	struct matched rules = {{0}};
	bool held;

	if (p->snapshot_version != s->version || worker >= s->nb_workers || sql->nb_stmts == 0 ||
	    sql->nb_stmts > SL_SQL_STMTS_MAX) {
		decide(out, SL_DEC_DENY, -1, "the statement could not be judged");
		return;
	}
	if (p->any_pattern &&
	    sl_match_scan(s->statement_db, s->statement_scratch[worker], text, on_match, &rules) != SL_OK) {
		decide(out, SL_DEC_DENY, -1, "the statement's text could not be read");
		return;
	}
	for (uint32_t w = 0; w < RULE_WORDS; w++)
		rules.bits[w] = p->rule_bits[w] & (rules.bits[w] | ~p->pattern_bits[w]);
	held = by_rule(s, rules.bits, sql, out);
	if (held && out->decision == SL_DEC_DENY)
		return;
	if (by_default(s, p, rules.bits, sql, out))
		return;
	if (!held)
		decide(out, SL_DEC_ALLOW, -1, "");
}
