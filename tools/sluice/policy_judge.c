/* Judging statements here, by the evaluator that the gateway has: policy test and policy explain. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "policy_files.h"
#include "policy_masks.h"
#include "sl_eval.h"
#include "sl_policy.h"

#define LIST_BYTES_MAX 4096 /* groups or claims of a caller */

static const char *const verdict_names[] = {
        [SL_DEC_ALLOW] = "allow", [SL_DEC_DENY] = "deny", [SL_DEC_HOLD] = "hold"};
static const char *const action_names[] = {
        [SL_RULE_DENY] = "deny", [SL_RULE_HOLD] = "hold", [SL_RULE_ALLOW] = "allow", [SL_RULE_LOG] = "log"};

struct sl_snapshot *policy_compile(const struct policy_file *files, unsigned int nb)
{
	struct sl_policy_source *src = calloc(nb, sizeof(*src));
	struct sl_policy_error err = {.line = 0};
	struct sl_snapshot *s = NULL;
	char text[1200];

	if (src == NULL)
		return NULL;
	for (unsigned int i = 0; i < nb; i++) {
		src[i].file = files[i].name;
		src[i].text = sl_span(files[i].text, files[i].n);
	}
	if (sl_policy_compile_keyed(src, nb, 1, 1, &sl_policy_test_keys, &s, &err) != SL_OK)
		complain("%s", sl_policy_error_str(&err, text, sizeof(text)));
	free(src);
	return s;
}

void policy_done(struct sl_snapshot *s)
{
	if (s != NULL && sl_snapshot_unref(s))
		sl_policy_free(s);
}

/* A caller put together: lists are NUL-ended strings one after the other. */
struct asker {
	struct sl_caller who;
	char groups[LIST_BYTES_MAX], claims[LIST_BYTES_MAX];
	size_t groups_n, claims_n;
	const struct sl_resource *resource;
	struct sl_span database;
	uint64_t wall_us;
};

static bool add(char *list, size_t *n, const char *text)
{
	size_t len = strlen(text) + 1;

	if (len > LIST_BYTES_MAX - *n)
		return false;
	memcpy(list + *n, text, len);
	*n += len;
	return true;
}

static uint64_t now_us(void)
{
	return (uint64_t)time(NULL) * 1000000;
}

/* A provider that the token's issuer belongs to speaks for itself. */
static void finish(const struct sl_snapshot *s, struct asker *a)
{
	a->who.groups = sl_span(a->groups, a->groups_n);
	a->who.claims = sl_span(a->claims, a->claims_n);
	for (uint32_t i = 0; i < s->nb_idps && a->who.issuer.n == 0; i++) {
		if (sl_span_is(a->who.provider, s->idps[i].name))
			a->who.issuer = sl_span_str(s->idps[i].issuer);
	}
	if (a->wall_us == 0)
		a->wall_us = now_us();
}

/* What the verdict is, by rules and roles and then by masks. */
struct judged {
	struct sl_eval_result r;
	enum sl_decision_kind decision; /* with what masks say */
	int32_t mask;                   /* that makes it so; -1: none */
	const char *message;
};

/* Deny beats hold beats allow; what rules say comes first. */
static void add_masks(const struct sl_protect *m, struct judged *j)
{
	if (j->decision == SL_DEC_DENY || m->decision == SL_DEC_ALLOW ||
	    (j->decision == SL_DEC_HOLD && m->decision == SL_DEC_HOLD))
		return;
	j->decision = m->decision;
	j->mask = m->mask;
	j->message = m->message;
}

/* One statement judged; false: the caller has no role there, and nothing is judged. Masks judge it when
 * there are tables. */
static bool judge(const struct sl_snapshot *s, const struct asker *a, const struct sl_policy_table *tables,
                  uint32_t nb_tables, const char *statement, struct sl_sql *sql, sl_eval_each_fn each,
                  void *ctx, struct judged *j)
{
	static struct sl_protect protect;
	struct sl_eval_result *r = &j->r;
	struct sl_principal p;

	*j = (struct judged){.decision = SL_DEC_DENY, .mask = -1};
	if (!sl_eval_bind(s, &a->who, a->resource, a->database, &p)) {
		*r = (struct sl_eval_result){.decision = SL_DEC_DENY, .rule = -1};
		j->message = r->message = "the caller has no role on this resource and database";
		return false;
	}
	sl_sql_scan(sl_span_str(statement), sql);
	sl_eval_explain(s, &p, 0, a->wall_us, sl_span_str(statement), sql, each, ctx, r);
	j->decision = r->decision;
	j->message = r->message;
	if (nb_tables > 0) {
		policy_protect(s, &p, tables, nb_tables, sl_span_str(statement), sql, &protect);
		add_masks(&protect, j);
	}
	return true;
}

static const char *rule_name(const struct sl_snapshot *s, int32_t rule)
{
	return rule >= 0 ? s->rules[rule].name : "";
}

/* Schedules as they are at the caller's time. */
static uint64_t limits_of(const struct sl_snapshot *s, const struct asker *a)
{
	struct sl_principal p;
	uint64_t bits;

	if (!sl_eval_bind(s, &a->who, a->resource, a->database, &p))
		return 0;
	bits = p.limit_bits;
	for (uint32_t i = 0; i < s->nb_limits; i++) {
		if (s->limits[i].rule.when != NULL && !sl_schedule_open(s->limits[i].rule.when, a->wall_us))
			bits &= ~(UINT64_C(1) << i);
	}
	return bits;
}

/* ---- test ---- */

static bool asker_of_test(const struct sl_snapshot *s, const struct sl_policy_test *t, struct asker *a)
{
	memset(a, 0, sizeof(*a));
	a->who.subject = sl_span_str(t->subject);
	a->who.issuer = sl_span_str(t->issuer);
	a->who.provider = sl_span_str(t->provider);
	a->database = sl_span_str(t->database);
	a->resource = sl_snapshot_resource(s, sl_span_str(t->resource));
	a->wall_us = t->wall_us;
	for (uint32_t i = 0; i < t->groups.nb; i++) {
		if (!add(a->groups, &a->groups_n, t->groups.v[i]))
			return false;
	}
	for (uint32_t i = 0; i < t->claims.nb; i++) {
		if (!add(a->claims, &a->claims_n, t->claims.v[i]))
			return false;
	}
	if (t->source[0] != '\0' && sl_addr_parse(t->source, &a->who.source) != SL_OK)
		return false;
	finish(s, a);
	return true;
}

static bool logged(const struct sl_snapshot *s, const struct sl_eval_result *r, const char *rule)
{
	for (uint32_t i = 0; i < r->nb_logs; i++) {
		if (strcmp(s->rules[r->logs[i]].name, rule) == 0)
			return true;
	}
	return false;
}

/* Is it the rule that decided, or one of those that hold? "": none decided. */
static bool by_rule(const struct sl_snapshot *s, const struct judged *j, const char *rule)
{
	const struct sl_eval_result *r = &j->r;

	for (uint32_t i = 0; r->decision == SL_DEC_HOLD && i < r->nb_holds; i++) {
		if (strcmp(s->rules[r->holds[i]].name, rule) == 0)
			return true;
	}
	return strcmp(rule_name(s, r->rule), rule) == 0;
}

/* "mask m", or "a rule", or all that hold: "a, b". */
static void print_by(const struct sl_snapshot *s, const struct judged *j)
{
	const struct sl_eval_result *r = &j->r;

	if (j->mask >= 0)
		printf("mask %s", s->masks[j->mask].name);
	else if (r->decision != SL_DEC_HOLD || r->nb_holds == 0)
		printf("%s", r->rule >= 0 ? s->rules[r->rule].name : "no rule");
	else
		for (uint32_t i = 0; i < r->nb_holds; i++)
			printf("%s%s", i > 0 ? ", " : "", s->rules[r->holds[i]].name);
}

static bool run_case(const struct sl_snapshot *s, const struct sl_policy_test *t, const struct asker *a,
                     const struct sl_policy_case *k)
{
	static struct sl_sql sql;
	struct judged j;
	const struct sl_eval_result *r = &j.r;
	const char *verdict, *shadow, *mask;
	bool good;

	judge(s, a, t->tables, t->nb_tables, k->statement, &sql, NULL, NULL, &j);
	verdict = verdict_names[j.decision];
	shadow = verdict_names[r->differs ? r->shadow.decision : r->decision];
	mask = j.mask >= 0 ? s->masks[j.mask].name : "";
	good = strcmp(verdict, k->expect) == 0 && (k->rule == NULL || by_rule(s, &j, k->rule)) &&
	       (k->shadow == NULL || strcmp(shadow, k->shadow) == 0) &&
	       (k->log == NULL || logged(s, r, k->log)) && (k->mask == NULL || strcmp(mask, k->mask) == 0);
	if (good)
		return true;
	printf("%s:%u: %s: %s by ", t->file, k->line, t->name, verdict);
	print_by(s, &j);
	printf(", expected %s%s%s", k->expect, k->rule != NULL ? " by " : "",
	       k->rule == NULL      ? ""
	       : k->rule[0] != '\0' ? k->rule
	                            : "no rule");
	if (k->shadow != NULL && strcmp(shadow, k->shadow) != 0)
		printf("; in shadow %s, expected %s", shadow, k->shadow);
	if (k->log != NULL && !logged(s, r, k->log))
		printf("; not logged by %s", k->log);
	if (k->mask != NULL && strcmp(mask, k->mask) != 0)
		printf(", expected of mask %s", k->mask[0] != '\0' ? k->mask : "none");
	printf(": %s\n", j.message);
	text_block(stdout, "    ", sl_span_str(k->statement), LIST_BYTES_MAX);
	return false;
}

/* Exactly the limits that the test names are for its caller. */
static bool run_limits(const struct sl_snapshot *s, const struct sl_policy_test *t, const struct asker *a)
{
	uint64_t bits = limits_of(s, a);
	bool good = true;

	for (uint32_t i = 0; i < s->nb_limits; i++) {
		bool is = (bits >> i & 1) != 0, expected = false;

		for (uint32_t k = 0; k < t->limits.nb; k++)
			expected |= strcmp(t->limits.v[k], s->limits[i].rule.name) == 0;
		if (is == expected)
			continue;
		good = false;
		printf("%s: %s: %s %s\n", t->file, t->name, s->limits[i].rule.name,
		       is ? "applies, and is not expected" : "does not apply");
	}
	return good;
}

/* Values of the test; how many are as expected. */
static unsigned int run_values(const struct sl_snapshot *s, const struct sl_policy_test *t,
                               const struct asker *a)
{
	struct sl_principal p;
	unsigned int good = 0;

	if (t->nb_values > 0 && !sl_eval_bind(s, &a->who, a->resource, a->database, &p)) {
		printf("%s: %s: the caller has no role on this resource and database\n", t->file, t->name);
		return 0;
	}
	for (uint32_t i = 0; i < t->nb_values; i++)
		good += policy_value(s, &p, t, &t->values[i]);
	return good;
}

static void run_test(const struct sl_snapshot *s, const struct sl_policy_test *t, unsigned int *good,
                     unsigned int *bad)
{
	static struct asker a;
	bool fits = asker_of_test(s, t, &a);
	unsigned int values = fits ? run_values(s, t, &a) : 0;

	for (uint32_t k = 0; k < t->nb_cases; k++)
		*(fits && run_case(s, t, &a, &t->cases[k]) ? good : bad) += 1;
	*good += values;
	*bad += t->nb_values - values;
	if (fits && t->has_limits)
		*(run_limits(s, t, &a) ? good : bad) += 1;
	if (!fits)
		complain("%s: %s: the identity does not fit", t->file, t->name);
}

int cmd_policy_test(struct cli *c)
{
	struct policy_file *f = policy_files_load(c->arg, (unsigned int)c->nb_args);
	struct sl_snapshot *s = f != NULL ? policy_compile(f, (unsigned int)c->nb_args) : NULL;
	unsigned int good = 0, bad = 0;

	for (uint32_t i = 0; s != NULL && i < s->nb_tests; i++)
		run_test(s, &s->tests[i], &good, &bad);
	if (f != NULL)
		policy_files_free(f, (unsigned int)c->nb_args);
	if (s == NULL)
		return f == NULL ? EXIT_USAGE : EXIT_CORRUPT;
	policy_done(s);
	printf("%u passed, %u failed\n", good, bad);
	if (good + bad == 0)
		complain("there is no Test document in these files");
	return good > 0 && bad == 0 ? EXIT_DONE : EXIT_FAILED;
}

/* ---- explain ---- */

static bool set_part(struct asker *a, const char *text)
{
	const char *value = strchr(text, '=');
	struct sl_span key;

	if (value == NULL)
		return false;
	key = sl_span(text, (size_t)(value++ - text));
	if (sl_span_is(key, "group"))
		return add(a->groups, &a->groups_n, value);
	if (sl_span_is(key, "claim"))
		return strchr(value, '=') != NULL && add(a->claims, &a->claims_n, value);
	if (sl_span_is(key, "source"))
		return sl_addr_parse(value, &a->who.source) == SL_OK;
	if (sl_span_is(key, "subject"))
		a->who.subject = sl_span_str(value);
	else if (sl_span_is(key, "provider"))
		a->who.provider = sl_span_str(value);
	else if (sl_span_is(key, "issuer"))
		a->who.issuer = sl_span_str(value);
	else
		return false;
	return true;
}

static int asker_of_options(const struct cli *c, const struct sl_snapshot *s, struct asker *a)
{
	struct tm tm = {0};
	const char *end;

	memset(a, 0, sizeof(*a));
	for (unsigned int i = 0; i < c->nb_as; i++) {
		if (!set_part(a, c->as[i])) {
			complain("%s: not a part of a caller", c->as[i]);
			return EXIT_USAGE;
		}
	}
	a->resource = sl_snapshot_resource(s, sl_span_str(c->resource));
	a->database = sl_span_str(c->database != NULL ? c->database : "postgres");
	if (a->resource == NULL) {
		complain("%s: no such resource in these files", c->resource);
		return EXIT_USAGE;
	}
	if (c->time != NULL) {
		end = strptime(c->time, "%Y-%m-%dT%H:%M:%SZ", &tm);
		if (end == NULL || *end != '\0') {
			complain("%s: write the time as 2030-01-31T18:00:00Z", c->time);
			return EXIT_USAGE;
		}
		a->wall_us = (uint64_t)timegm(&tm) * 1000000;
	}
	finish(s, a);
	return EXIT_DONE;
}

static void mark(void *ctx, uint32_t rule)
{
	bool *marks = ctx;

	marks[rule] = true;
}

static void print_name(const char *word, const struct sl_sql_name *n)
{
	printf(" %s ", word);
	if (n->schema.n > 0) {
		text_line(stdout, n->schema, 0);
		putchar('.');
	}
	text_line(stdout, n->name, 0);
}

static void print_access(uint8_t access)
{
	static const char *const names[] = {"read",     "insert", "update", "delete",
	                                    "truncate", "define", "lock"};

	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (access >> i & 1)
			printf(" (%s)", names[i]);
	}
}

static void print_statement(const struct sl_sql *sql, uint32_t i)
{
	printf("statement %u:", i + 1);
	for (int k = 0; k < SL_SQL_KIND_COUNT; k++) {
		if (sql->stmts[i].kinds & SL_SQL_BIT(k))
			printf(" %s", sl_sql_kind_name((enum sl_sql_kind)k));
	}
	if (sql->stmts[i].no_where)
		printf(", without WHERE");
	for (uint32_t r = 0; r < sql->nb_relations; r++) {
		if (sql->relations[r].stmt != i)
			continue;
		print_name("|", &sql->relations[r].name);
		print_access(sql->relations[r].access);
	}
	for (uint32_t f = 0; f < sql->nb_functions; f++) {
		if (sql->functions[f].stmt == i)
			print_name("| calls", &sql->functions[f].name);
	}
	putchar('\n');
}

static void print_roles(const struct sl_snapshot *s, const struct asker *a)
{
	struct sl_principal p;

	printf("roles:");
	if (sl_eval_bind(s, &a->who, a->resource, a->database, &p)) {
		for (uint32_t i = 0; i < s->nb_roles; i++) {
			if (p.role_bits >> i & 1)
				printf(" %s", s->roles[i].name);
		}
	} else {
		printf(" none");
	}
	putchar('\n');
	policy_print_masks(s, &p);
}

/* A bound with its name, behind the ones before. */
static void print_bound(uint64_t n, const char *what)
{
	if (n != 0)
		printf(", %llu %s", (unsigned long long)n, what);
}

static void print_limit(const struct sl_limit *l)
{
	static const char *const pers[] = {"identity", "resource", "role"};
	static const char *const overs[] = {"deny", "hold", "cut"};
	static const char *const windows[SL_LIMIT_WINDOWS] = {"rows a minute", "rows a day", "bytes a minute",
	                                                      "bytes a day"};

	if (l->breaker) {
		printf("%s applies: locks after %u denials in %u s%s\n", l->rule.name, l->denials,
		       l->window_s, l->rule.shadow ? ", in shadow" : "");
		return;
	}
	printf("%s applies: per %s", l->rule.name, pers[l->per]);
	print_bound(l->per_second, "commands a second");
	if (l->burst != l->per_second)
		print_bound(l->burst, "at once");
	print_bound(l->sessions, "sessions");
	for (unsigned int i = 0; i < SL_LIMIT_WINDOWS; i++)
		print_bound(l->window[i], windows[i]);
	printf("; over it: %s%s\n", overs[l->over], l->rule.shadow ? ", in shadow" : "");
}

static void print_verdict(const struct sl_snapshot *s, const char *what, enum sl_decision_kind decision,
                          int32_t rule, const char *why)
{
	printf("%s: %s", what, verdict_names[decision]);
	if (rule >= 0)
		printf(" by rule %s", s->rules[rule].name);
	if (why[0] != '\0')
		printf(" (%s)", why);
	putchar('\n');
}

/* The tables of the resource as the first Test document has them that names any. */
static const struct sl_policy_table *tables_of(const struct sl_snapshot *s,
                                               const struct sl_resource *resource, uint32_t *nb)
{
	*nb = 0;
	for (uint32_t i = 0; i < s->nb_tests && *nb == 0; i++) {
		if (sl_snapshot_resource(s, sl_span_str(s->tests[i].resource)) == resource)
			*nb = s->tests[i].nb_tables;
		if (*nb > 0)
			return s->tests[i].tables;
	}
	return NULL;
}

static void explain(const struct cli *c, const struct sl_snapshot *s, const struct asker *a, bool *marks)
{
	static struct sl_sql sql;
	const struct sl_policy_table *tables;
	struct judged j;
	const struct sl_eval_result *r = &j.r;
	uint32_t nb_tables;
	const char *why;
	uint64_t limits;

	print_roles(s, a);
	tables = tables_of(s, a->resource, &nb_tables);
	if (judge(s, a, tables, nb_tables, c->statement, &sql, mark, marks, &j)) {
		for (uint32_t i = 0; i < sql.nb_stmts; i++)
			print_statement(&sql, i);
		if (!sql.complete)
			puts("it cannot be read to its end: opaque");
	}
	for (uint32_t i = 0; i < s->nb_rules; i++) {
		if (marks[i])
			printf("rule %s applies: %s%s\n", s->rules[i].name, action_names[s->rules[i].action],
			       s->rules[i].shadow ? ", in shadow" : "");
	}
	limits = limits_of(s, a);
	for (uint32_t i = 0; i < s->nb_limits; i++) {
		if (limits >> i & 1)
			print_limit(&s->limits[i]);
	}
	if (nb_tables == 0)
		puts("masks of columns do not judge it: no Test document names the tables of the resource");
	if (j.mask >= 0)
		printf("mask %s: %s (%s)\n", s->masks[j.mask].name, verdict_names[j.decision], j.message);
	why = j.decision == SL_DEC_ALLOW ? "roles and rules allow each kind, and nothing denies or holds it"
	                                 : j.message;
	print_verdict(s, "verdict", j.decision, j.decision == r->decision ? r->rule : -1, why);
	if (r->differs)
		print_verdict(s, "in shadow", r->shadow.decision, r->shadow.rule, "");
}

int cmd_policy_explain(struct cli *c)
{
	struct policy_file *f;
	struct sl_snapshot *s;
	static struct asker a;
	bool *marks;
	int rc;

	if (c->resource == NULL || c->statement == NULL) {
		complain("policy explain needs --resource and --statement");
		return EXIT_USAGE;
	}
	f = policy_files_load(c->arg, (unsigned int)c->nb_args);
	if (f == NULL)
		return EXIT_USAGE;
	s = policy_compile(f, (unsigned int)c->nb_args);
	policy_files_free(f, (unsigned int)c->nb_args);
	if (s == NULL)
		return EXIT_CORRUPT;
	marks = calloc(s->nb_rules + 1, sizeof(*marks));
	rc = marks != NULL ? asker_of_options(c, s, &a) : EXIT_FAILED;
	if (rc == EXIT_DONE)
		explain(c, s, &a, marks);
	free(marks);
	policy_done(s);
	return rc;
}
