/*
 * The policy loader: any text. It compiles or says what is wrong; what compiles can judge statements and mask
 * values.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sl_eval.h"
#include "sl_policy.h"

#define CHECK(cond)                                                                                          \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			abort();                                                                             \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Before a document may reach the file system or the pattern engine's costly corners: neither is what is
 * fuzzed here. */
static bool worth_it(const uint8_t *data, size_t n)
{
	return n < 16384 && memmem(data, n, "File", 4) == NULL;
}

static void use(const struct sl_snapshot *s)
{
	struct sl_resource anywhere = {.name = "shop"};
	struct sl_caller who = {.subject = SL_SPAN_LIT("x"), .groups = SL_SPAN_LIT("agents\0devs")};
	struct sl_span text = SL_SPAN_LIT("UPDATE t SET a = 'x'; SELECT 4111111111111111");
	struct sl_eval_column col = {SL_SPAN_LIT("ssn"), SL_SPAN_LIT("s"), SL_SPAN_LIT("t"),
	                             SL_SPAN_LIT("ssn")};
	static struct sl_principal p;
	static struct sl_sql sql;
	struct sl_eval_result r;
	uint8_t out[256];
	char query[4096];

	(void)sl_eval_bind(s, &who, s->nb_resources > 0 ? &s->resources[0] : &anywhere, SL_SPAN_LIT("shop"),
	                   &p);
	sl_sql_scan(text, &sql);
	sl_eval_statement(s, &p, 0, UINT64_C(1000000000000000), text, &sql, &r);
	CHECK(r.message != NULL && r.rule < (int32_t)s->nb_rules);
	CHECK(p.role_bits != 0 || r.decision != SL_DEC_ALLOW || s->nb_rules > 0);
	CHECK(sl_eval_mask(s, &p, 0, sl_eval_column(s, &p, &col), text, SL_SPAN_EMPTY, out, sizeof(out)) <=
	      (long)sizeof(out));
	CHECK(sl_eval_mask(s, &p, 0, -1, text, SL_SPAN_EMPTY, out, sizeof(out)) <= (long)sizeof(out));
	CHECK(sl_eval_origin_query(s, &p, query, sizeof(query)) < (long)sizeof(query));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct sl_policy_source src = {"fuzz.yaml", {data, n}};
	struct sl_policy_error err;
	struct sl_snapshot *s;
	char line[1024];

	if (!worth_it(data, n))
		return 0;
	if (sl_policy_compile(&src, 1, 1, 1, &s, &err) == SL_OK) {
		use(s);
		sl_policy_free(s);
	} else {
		CHECK(s == NULL && err.text[0] != '\0');
		sl_policy_error_str(&err, line, sizeof(line));
	}
	return 0;
}
