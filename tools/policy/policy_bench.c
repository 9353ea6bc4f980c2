/*
 * What a statement costs to judge: reading it, and reading and judging it under policies of 10 to 10,000
 * rules; what one `kind: Limit` adds. One JSON object a line. Usage: policy_bench [SECONDS-EACH]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sl_eval.h"
#include "sl_policy.h"
#include "sl_usage.h"
#include "sqltext.h"

#define RULE_BYTES_MAX 256
#define BATCH          1200 /* between two looks at the clock, which is a system call */
#define PLENTY         (SL_USAGE_MAX / 2)
#define LEASE          64

/* About 200 bytes each, as applications send them. */
static const char *const statements[] = {
        "SELECT o.id, o.total, o.created_at, c.name, c.email FROM orders o JOIN customers c ON c.id = "
        "o.customer_id "
        "WHERE o.status = 'open' AND o.created_at > now() - interval '7 days' ORDER BY o.created_at DESC "
        "LIMIT 50",
        "UPDATE inventory SET quantity = quantity - 3, reserved = reserved + 3, updated_at = now(), "
        "updated_by = 'svc-17' "
        "WHERE warehouse_id = 42 AND sku = 'AB-10023-X' AND quantity >= 3 AND discontinued IS NOT TRUE",
        "INSERT INTO events (id, kind, payload, actor, created_at) VALUES "
        "('7f0b6b1e-6f0a-4c6e-9b7e-2d8f0a1c2b3d', "
        "'order.paid', '{\"order\": 1234567, \"amount\": 129.90, \"currency\": \"EUR\"}', 'svc-checkout', "
        "now())",
        "WITH recent AS (SELECT customer_id, count(*) AS n FROM orders WHERE created_at > '2026-01-01' GROUP "
        "BY 1) "
        "SELECT c.id, c.name, r.n FROM customers c JOIN recent r ON r.customer_id = c.id WHERE r.n > 10 "
        "ORDER BY 3",
        "DELETE FROM sessions WHERE expires_at < now() AND user_id IN (SELECT id FROM users WHERE "
        "last_seen_at < now() - "
        "interval '180 days' AND plan = 'free') AND id <> '00000000-0000-0000-0000-000000000000'",
        "SELECT date_trunc('hour', t.at) AS hour, avg(t.value)::numeric(10,2), max(t.value), min(t.value) "
        "FROM telemetry t "
        "WHERE t.device = 'd-2291' AND t.at BETWEEN '2026-10-01' AND '2026-10-02' GROUP BY 1 ORDER BY 1",
};
#define NB_STATEMENTS (sizeof(statements) / sizeof(statements[0]))

static const char head[] = "{kind: Resource, version: 1, metadata: {name: shop}, spec: {protocol: postgres, "
                           "address: '192.0.2.1:5432', "
                           "credential: c, tls: {mode: 'off'}}}\n---\n"
                           "{kind: Role, version: 1, metadata: {name: app}, spec: {groups: [app], resources: "
                           "[shop], allow: [write, set]}}\n---\n"
                           "{kind: Role, version: 1, metadata: {name: other}, spec: {groups: [other], "
                           "resources: [shop], allow: [any]}}\n---\n";

/* Of ten rules four name relations, two are for another role, one has a wildcard, one names a function, and
 * two (of at most 1,000 rules; one in ten of the first 5,000 beyond) have a pattern. None applies: nothing
 * may be cut short. */
static int put_rule(char *out, size_t cap, unsigned int i, unsigned int nb)
{
	unsigned int kind = i % 10;
	const char *form = "{kind: Rule, version: 1, metadata: {name: r%u}, spec: {action: deny, relations: "
	                   "[private.t%u]}}\n---\n";

	if (kind == 4 || kind == 5)
		form = "{kind: Rule, version: 1, metadata: {name: r%u}, spec: {action: deny, roles: [other], "
		       "kinds: [drop], "
		       "relations: ['t%u*']}}\n---\n";
	if (kind == 6)
		form = "{kind: Rule, version: 1, metadata: {name: r%u}, spec: {action: hold, kinds: "
		       "[truncate, drop], "
		       "relations: ['app_%u_*']}}\n---\n";
	if (kind == 7)
		form = "{kind: Rule, version: 1, metadata: {name: r%u}, spec: {action: deny, functions: "
		       "[danger_%u]}}\n---\n";
	if (kind == 8 && (nb <= 1000 || i < 5000))
		form = "{kind: Rule, version: 1, metadata: {name: r%u}, spec: {action: deny, pattern: "
		       "'secret_%u\\b.*\\bfrom\\b'}}\n---\n";
	if (kind == 9 && (nb <= 1000 || i < 5000))
		form = "{kind: Rule, version: 1, metadata: {name: r%u}, spec: {action: hold, pattern: "
		       "'\\bpayroll_%u\\b'}}\n---\n";
	return snprintf(out, cap, form, i, i);
}

static struct sl_snapshot *policy(unsigned int nb, double *ms)
{
	size_t cap = sizeof(head) + (size_t)nb * RULE_BYTES_MAX, n = sizeof(head) - 1;
	struct sl_policy_source src = {.file = "bench"};
	struct sl_policy_error err;
	struct sl_snapshot *s = NULL;
	struct timespec from, to;
	char *text = malloc(cap);
	char why[1200];

	if (text == NULL)
		return NULL;
	memcpy(text, head, n);
	for (unsigned int i = 0; i < nb; i++)
		n += (size_t)put_rule(text + n, cap - n, i, nb);
	src.text = sl_span(text, n);
	(void)clock_gettime(CLOCK_MONOTONIC, &from);
	if (sl_policy_compile_keyed(&src, 1, 1, 1, &sl_policy_test_keys, &s, &err) != SL_OK)
		fprintf(stderr, "%s\n", sl_policy_error_str(&err, why, sizeof(why)));
	(void)clock_gettime(CLOCK_MONOTONIC, &to);
	*ms = (double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6;
	free(text);
	return s;
}

/* What this thread has used of its core: what others did there meanwhile is not the statement's. */
static double since(const struct timespec *from)
{
	struct timespec to;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
	return (double)(to.tv_sec - from->tv_sec) + (double)(to.tv_nsec - from->tv_nsec) / 1e9;
}

/*
 * Nanoseconds of one statement; s NULL: it is only read. What inspection does between a command and its
 * verdict (dataplane/inspect/command.c): it is read, made ready for the record without its passwords, and
 * judged; what a limit adds is measured apart. The record itself is not in it, nor are masks of columns
 * (mask_bench).
 */
static double cost(const struct sl_snapshot *s, const struct sl_principal *p, double seconds)
{
	static struct sl_sql sql;
	struct sl_span texts[NB_STATEMENTS]; /* a command comes with its length */
	static struct statement record;
	struct sl_eval_result r = {.decision = SL_DEC_DENY, .message = "too many passwords"};
	struct timespec from;
	uint64_t nb = 0;
	double t = 0;

	for (size_t i = 0; i < NB_STATEMENTS; i++)
		texts[i] = sl_span_str(statements[i]);
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	while (t < seconds) {
		for (size_t n = 0; n < BATCH; n++) {
			struct sl_span text = texts[n % NB_STATEMENTS];

			sl_sql_scan(text, &sql);
			if (s != NULL && statement_set(&record, text, sql.kinds))
				sl_eval_statement(s, p, 0, 0, text, &sql, &r);
			if (!sql.complete || (s != NULL && r.decision != SL_DEC_ALLOW)) {
				fprintf(stderr, "statement %zu is not allowed: %s\n", n % NB_STATEMENTS,
				        s != NULL ? r.message : "opaque");
				return -1;
			}
		}
		nb += BATCH;
		t = since(&from);
	}
	return t * 1e9 / (double)nb;
}

static int measure(unsigned int nb, double seconds)
{
	struct sl_caller who = {.subject = SL_SPAN_LIT("s"), .groups = SL_SPAN_LIT("app")};
	struct sl_principal p;
	struct sl_snapshot *s;
	double ms = 0, ns;

	s = policy(nb, &ms);
	if (s == NULL || !sl_eval_bind(s, &who, &s->resources[0], SL_SPAN_LIT("shop"), &p)) {
		sl_policy_free(s);
		return -1;
	}
	ns = cost(s, &p, seconds);
	printf("{\"rules\": %u, \"ns\": %.0f, \"compile_ms\": %.0f}\n", nb, ns, ms);
	sl_policy_free(s);
	return ns < 0 ? -1 : 0;
}

/* What inspection asks of the table for a command under a limit of commands, and of rows and bytes by the
 * minute and by the day (dataplane/inspect/limit.c): whether it may go. */
static bool limit_command(struct sl_usage *u, uint32_t entry, uint64_t now_us)
{
	bool ok = sl_usage_rate(u, entry, now_us, 1, 1u << 30);

	for (uint32_t w = 0; w < SL_USAGE_WINDOWS; w++)
		ok = ok && sl_usage_left(u, entry, w, now_us, PLENTY) > 0;
	return ok;
}

/* And for its result: a lease, of which what was not used goes back. */
static bool limit_result(struct sl_usage *u, uint32_t entry, uint64_t now_us)
{
	bool ok = true;

	for (uint32_t w = 0; w < SL_USAGE_WINDOWS; w++)
		ok = ok && sl_usage_left(u, entry, w, now_us, PLENTY) > 0 &&
		     sl_usage_spend(u, entry, w, now_us, LEASE, PLENTY);
	for (uint32_t w = 0; w < SL_USAGE_WINDOWS; w++)
		sl_usage_give(u, entry, w, now_us, LEASE - 1);
	return ok;
}

/* Nanoseconds of one call. The clock of the table moves on as the workers' does, once in a burst. */
static double limit_cost(bool (*step)(struct sl_usage *, uint32_t, uint64_t), struct sl_usage *u,
                         uint32_t entry, double seconds)
{
	uint64_t nb = 0, now_us = UINT64_C(1700000000000000);
	struct timespec from;
	double t = 0;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	while (t < seconds) {
		for (unsigned int i = 0; i < BATCH; i++) {
			if (!step(u, entry, now_us))
				return -1;
		}
		nb += BATCH;
		now_us += BATCH;
		t = since(&from);
	}
	return t * 1e9 / (double)nb;
}

static int measure_limit(double seconds)
{
	const struct sl_usage_time now = {UINT64_C(1700000000000000), UINT64_C(1700000000000000)};
	struct sl_usage *u = sl_usage_new(1, SL_USAGE_ENTRIES_MIN);
	double command = -1, result = -1;
	uint32_t entry;

	if (u != NULL && sl_usage_take(u, 0, sl_usage_identity("i", "s"), 0, 0, now, &entry) == SL_OK) {
		command = limit_cost(limit_command, u, entry, seconds);
		result = limit_cost(limit_result, u, entry, seconds);
		printf("{\"limit_command_ns\": %.1f, \"limit_result_ns\": %.1f}\n", command, result);
	}
	sl_usage_free(u);
	return command < 0 || result < 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
	static const unsigned int sizes[] = {10, 100, 1000, 10000};
	double seconds = argc > 1 ? strtod(argv[1], NULL) : 1;
	size_t bytes = 0;

	if (!(seconds > 0))
		return 2;
	for (size_t i = 0; i < NB_STATEMENTS; i++)
		bytes += strlen(statements[i]);
	printf("{\"rules\": 0, \"ns\": %.0f, \"bytes\": %zu}\n", cost(NULL, NULL, seconds),
	       bytes / NB_STATEMENTS);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		if (measure(sizes[i], seconds) < 0)
			return 1;
	}
	return measure_limit(seconds) < 0;
}
