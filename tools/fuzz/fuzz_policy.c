/*
 * The policy loader: any text. It compiles or says what is wrong; what compiles can judge statements and mask
 * values. The same text again without memory somewhere on the way: then that is what is said, and nothing is
 * left behind (the leak sanitizer looks).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sl_eval.h"
#include "sl_mask.h"
#include "sl_policy.h"
#include "sl_yaml.h"

#define CHECK(cond)                                                                                          \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			abort();                                                                             \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define TEXT_MAX    16384
#define FAIL_WITHIN 24 /* allocations, of which one fails */

static unsigned fail_at; /* 0: never; counts down */

void *__real_malloc(size_t n);
void *__real_calloc(size_t nb, size_t n);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t nb, size_t n);
void *__wrap_realloc(void *p, size_t n);

static bool fails(void)
{
	return fail_at > 0 && --fail_at == 0;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t nb, size_t n)
{
	return fails() ? NULL : __real_calloc(nb, n);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

/* Each reader of a plain value, over each one that there is; also those that policies have no use for. */
static void read_values(const struct sl_yaml_node *n)
{
	uint64_t v;
	bool b;

	for (; n != NULL; n = n->next) {
		CHECK(n->line > 0 && n->column > 0);
		if (n->type != SL_YAML_SCALAR) {
			read_values(n->first);
			continue;
		}
		CHECK(sl_yaml_bool(n, &b) != SL_OK || strcmp(n->scalar, b ? "true" : "false") == 0);
		(void)sl_yaml_uint(n, &v);
		(void)sl_yaml_duration_s(n, &v);
		(void)sl_yaml_duration_us(n, &v);
		(void)sl_yaml_ppm(n, &v);
		(void)sl_yaml_bytes(n, &v);
	}
}

static void read_document(struct sl_span text)
{
	struct sl_yaml_doc *docs;
	struct sl_yaml_error err;

	if (sl_yaml_parse(text, &docs, &err) != SL_OK) {
		CHECK(docs == NULL && err.text[0] != '\0');
		return;
	}
	for (struct sl_yaml_doc *d = docs; d != NULL; d = d->next)
		read_values(d->root);
	sl_yaml_free(docs);
}

/* Which one fails is the text's own choice, so that a finding can be had again. */
static unsigned choose(const uint8_t *data, size_t n)
{
	unsigned h = 0;

	for (size_t i = 0; i < n; i++)
		h = h * 31 + data[i];
	return h % FAIL_WITHIN + 1;
}

static void short_of_memory(const struct sl_policy_source *src, unsigned nth)
{
	struct sl_policy_error err;
	struct sl_snapshot *s;

	fail_at = nth;
	if (sl_policy_compile(src, 1, 1, 1, &s, &err) == SL_OK)
		sl_policy_free(s);
	else
		CHECK(s == NULL && err.text[0] != '\0');
	fail_at = 0;
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
	struct sl_masker m = {.snapshot = s, .who = &p};
	struct sl_mask_value v = {.type = 25, .value = text};
	struct sl_eval_result r;
	uint8_t out[256];
	size_t n;

	(void)sl_eval_bind(s, &who, s->nb_resources > 0 ? &s->resources[0] : &anywhere, SL_SPAN_LIT("shop"),
	                   &p);
	sl_sql_scan(text, &sql);
	sl_eval_statement(s, &p, 0, UINT64_C(1000000000000000), text, &sql, &r);
	CHECK(r.message != NULL && r.rule < (int32_t)s->nb_rules);
	CHECK(p.role_bits != 0 || r.decision != SL_DEC_ALLOW || s->nb_rules > 0);
	v.mask = sl_eval_column(s, &p, &col);
	(void)sl_mask(&m, &v, out, sizeof(out), &n);
	CHECK(n <= sizeof(out));
	v.mask = SL_MASK_CONTENT;
	(void)sl_mask(&m, &v, out, sizeof(out), &n);
	CHECK(n <= sizeof(out));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct sl_policy_source src = {"fuzz.yaml", {data, n}};
	struct sl_policy_error err;
	struct sl_snapshot *s;
	char line[1024];

	if (n > TEXT_MAX)
		return 0;
	read_document(src.text);
	if (sl_policy_compile_keyed(&src, 1, 1, 1, &sl_policy_test_keys, &s, &err) == SL_OK) {
		use(s);
		sl_policy_free(s);
	} else {
		CHECK(s == NULL && err.text[0] != '\0');
		CHECK(sl_policy_error_str(&err, line, sizeof(line)) == line && line[0] != '\0');
	}
	short_of_memory(&src, choose(data, n));
	return 0;
}
