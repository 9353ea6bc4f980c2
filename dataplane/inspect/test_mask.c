/* Masks: which columns are read, and what becomes of their values. */
#include "test_util.h"

#define RESOURCE                                                                                             \
	"kind: Resource\nversion: 1\nmetadata: {name: shop}\nspec:\n  protocol: postgres\n"                  \
	"  address: 10.99.2.2:5432\n  credential: shop-app\n  databases: [shop]\n  tls: {mode: 'off'}\n"
#define ROLE(name, group)                                                                                    \
	"---\nkind: Role\nversion: 1\nmetadata: {name: " name "}\nspec:\n  groups: [" group                  \
	"]\n  resources: [shop]\n"                                                                           \
	"  databases: ['*']\n  allow: [read]\n"
#define MASK(name, spec) "---\nkind: Mask\nversion: 1\nmetadata: {name: " name "}\nspec:\n" spec

static const char columns_policy[] = RESOURCE ROLE("agent", "agents") ROLE("fraud-desk", "fraud") MASK(
        "ssn", "  action: redact\n  text: '***-**'\n  columns: [ssn, '*.customers.tax_id']\n")
        MASK("email", "  action: partial\n  keepFirst: 1\n  keepLast: 4\n  columns: [email]\n") MASK(
                "card",
                "  action: partial\n  keepLast: 4\n  columns: [card_number]\n  exceptRoles: [fraud-desk]\n")
                MASK("gone", "  action: 'null'\n  columns: [gone]\n");

static const char content_policy[] = RESOURCE ROLE("agent", "agents")
        MASK("card-anywhere", "  action: redact\n  text: '[card]'\n  pattern: '\\b4[0-9]{15}\\b'\n");

static const char detectors_policy[] =
        RESOURCE ROLE("agent", "agents") MASK("found", "  action: redact\n  detectors: ['*']\n")
                MASK("card-anywhere", "  action: redact\n  text: '[card]'\n  pattern: 'x.*4[0-9]{15}\\b'\n");
/* What begins a text: in a row of texts that would be something else. */
static const char anchored_policy[] =
        RESOURCE ROLE("agent", "agents") MASK("first", "  action: redact\n  pattern: '^secret'\n");

static const char plain_policy[] = RESOURCE ROLE("agent", "agents");

enum {
	INT2 = 21,
	INT4 = 23,
	INT8 = 20,
	TEXT = 25,
	VARCHAR = 1043,
	JSON = 114,
	JSONB = 3802,
	NUMERIC = 1700,
	BYTEA = 17,
	FLOAT4 = 700,
	FLOAT8 = 701,
	DATE = 1082,
	BOOL = 16,
	UUID = 2950,
	TEXT_ARRAY = 1009,
	CHAR = 18
};

static struct sl_column col(const char *name, uint32_t type, uint8_t format)
{
	return (struct sl_column){.name = sl_span_str(name), .type = type, .format = format};
}

static uint16_t want_of(struct fx *f, const struct sl_column *c)
{
	struct sl_event ev = {.kind = SL_EV_ROWMETA, .cmd = f->cmd};
	struct sl_column column = *c;
	uint16_t want = 0;

	ev.rowmeta.columns = &column;
	ev.rowmeta.nb_columns = 1;
	ev.rowmeta.want = &want;
	assert_int_equal(sl_inspect_event(f->in, &ev, &f->v, NULL), SL_OK);
	return want;
}

static int field_want(struct fx *f, uint16_t want, const struct sl_column *c, struct sl_span value)
{
	struct sl_event ev = {.kind = SL_EV_FIELD, .cmd = f->cmd};

	ev.field.want = want;
	ev.field.column = *c;
	ev.field.value = value;
	return sl_inspect_event(f->in, &ev, &f->v, NULL);
}

/* With what the row's look gave for the value. */
static int field_seen(struct fx *f, const struct sl_row_value *v, const struct sl_column *c)
{
	struct sl_event ev = {.kind = SL_EV_FIELD, .cmd = f->cmd};

	ev.field.want = v->want;
	ev.field.seen = v->seen;
	ev.field.column = *c;
	ev.field.value = v->value;
	return sl_inspect_event(f->in, &ev, &f->v, NULL);
}

/* A value has the same answer with what its row's look gave and without. */
static void check_seen(struct fx *f, const struct sl_row_value *v, const struct sl_column *c)
{
	static uint8_t text[512];
	enum sl_action action;
	size_t n;

	assert_int_equal(field_seen(f, v, c), SL_OK);
	action = f->v.action;
	n = f->v.replace.n;
	assert_true(n <= sizeof(text));
	memcpy(text, n > 0 ? f->v.replace.p : text, n);
	assert_int_equal(field_want(f, v->want, c, v->value), SL_OK);
	assert_int_equal(action, f->v.action);
	assert_true(action != SL_ACT_REPLACE || sl_span_eq(f->v.replace, sl_span(text, n)));
}

#define PASS   ((const char *)1)
#define DENIED ((const char *)2)

/* What the client sees of the value: PASS, NULL, DENIED or the text. */
static void expect_span(struct fx *f, struct sl_column c, struct sl_span value, const char *want)
{
	uint16_t w = want_of(f, &c);

	if (w == 0) {
		if (want != PASS)
			fail_msg("column %.*s (type %u format %u) is not wanted", (int)c.name.n,
			         (const char *)c.name.p, c.type, c.format);
		return;
	}
	assert_int_equal(field_want(f, w, &c, value), SL_OK);
	if (want == PASS) {
		assert_int_equal(f->v.action, SL_ACT_ALLOW);
	} else if (want == DENIED) {
		assert_int_equal(f->v.action, SL_ACT_DENY);
		assert_int_equal(f->v.reason.code, SL_RSN_UNREADABLE);
		assert_true(f->v.reason.event_id.n > 27);
	} else {
		assert_int_equal(f->v.action, SL_ACT_REPLACE);
		if (want == NULL)
			assert_null(f->v.replace.p);
		else if (!sl_span_is(f->v.replace, want))
			fail_msg("\"%.*s\" is not \"%s\"", (int)f->v.replace.n, (const char *)f->v.replace.p,
			         want);
		else
			assert_non_null(f->v.replace.p);
	}
}

static void expect_bytes(struct fx *f, struct sl_column c, struct sl_span value, struct sl_span want)
{
	uint16_t w = want_of(f, &c);

	assert_int_not_equal(w, 0);
	assert_int_equal(field_want(f, w, &c, value), SL_OK);
	assert_int_equal(f->v.action, SL_ACT_REPLACE);
	assert_true(sl_span_eq(f->v.replace, want));
}

static void expect(struct fx *f, const char *name, uint32_t type, uint8_t format, const char *value,
                   const char *want)
{
	expect_span(f, col(name, type, format), sl_span_str(value), want);
}

static void test_columns_by_name(void **state)
{
	uint64_t masked = sl_counter_sum(SL_C_FIELDS_MASKED);
	struct fx f;

	(void)state;
	fx_up(&f, columns_policy);
	session(&f, "agents");
	assert_int_equal(command(&f, "SELECT * FROM customers"), SL_OK);
	expect(&f, "name", TEXT, 0, "Ann", PASS);
	expect(&f, "ssn", TEXT, 0, "123-45-6789", "***-**");
	expect(&f, "SSN", VARCHAR, 1, "123-45-6789", "***-**");
	expect(&f, "email", TEXT, 0, "ann@example.com", "a**********.com");
	expect(&f, "email", TEXT, 0, "a@b", "***");
	expect(&f, "email", TEXT, 0, "", "");
	expect(&f, "card_number", TEXT, 0, "4111111111111111", "************1111");
	expect(&f, "gone", TEXT, 0, "x", NULL);
	assert_int_equal(sl_counter_sum(SL_C_FIELDS_MASKED), masked + 7);
	/* A masked value is valid for its type. */
	expect(&f, "ssn", INT4, 0, "123456789", "0");
	expect_bytes(&f, col("ssn", INT8, 1), SL_SPAN_LIT("\1\1\1\1\1\1\1\1"),
	             SL_SPAN_LIT("\0\0\0\0\0\0\0\0"));
	expect(&f, "ssn", NUMERIC, 0, "12", "0");
	expect(&f, "ssn", DATE, 0, "2020-01-01", "2000-01-01");
	expect(&f, "ssn", BOOL, 0, "t", "f");
	expect(&f, "ssn", UUID, 0, "x", "00000000-0000-0000-0000-000000000000");
	expect(&f, "ssn", BYTEA, 0, "\\x00", "\\x");
	expect(&f, "ssn", JSON, 0, "{}", "\"***-**\"");
	expect(&f, "ssn", JSONB, 1, "\x01{}", "\x01\"***-**\"");
	expect(&f, "ssn", TEXT_ARRAY, 0, "{a}", "{***-**}");
	expect(&f, "ssn", TEXT_ARRAY, 1, "x", DENIED);
	expect(&f, "ssn", CHAR, 1, "x", "*");
	expect(&f, "ssn", 99999, 0, "x", NULL);
	/* A column of the table that a mask names, of which the origin is not known: hidden rather than
	 * shown. */
	expect(&f, "tax_id", TEXT, 0, "1", "***-**");
	close_flow(&f);
	/* A role that a mask excepts. */
	session(&f, "fraud");
	expect(&f, "card_number", TEXT, 0, "4111111111111111", PASS);
	expect(&f, "ssn", TEXT, 0, "123-45-6789", "***-**");
	close_flow(&f);
	fx_down(&f);
}

static struct sl_column alias(const char *name, uint32_t table, uint16_t attr)
{
	struct sl_column c = col(name, TEXT, 0);

	c.table = table;
	c.attr = attr;
	return c;
}

static void test_origins(void **state)
{
	static const struct fx_column columns[] = {
	        {16400, 3, "public", "customers", "ssn"},
	        {16400, 4, "public", "customers", "tax_id"},
	        {16400, 5, "public", "customers", "note"},
	        {16500, 4, "public", "orders", "tax_id"},
	};
	struct fx f;

	(void)state;
	fx_up(&f, columns_policy);
	f.columns = columns;
	f.nb_columns = 4;
	session(&f, "agents");
	assert_int_equal(command(&f, "SELECT ssn AS x FROM customers"), SL_OK);
	expect_span(&f, alias("x", 16400, 3), SL_SPAN_LIT("v"), "***-**");
	expect_span(&f, alias("x", 16400, 4), SL_SPAN_LIT("v"), "***-**");
	expect_span(&f, alias("tax_id", 16500, 4), SL_SPAN_LIT("v"), PASS); /* another table's */
	expect_span(&f, alias("x", 16400, 5), SL_SPAN_LIT("v"), PASS);
	expect_span(&f, alias("x", 16401, 3), SL_SPAN_LIT("v"), PASS);
	expect_span(&f, alias("ssn", 16401, 3), SL_SPAN_LIT("v"), "***-**"); /* by its name alone */
	close_flow(&f);
	fx_down(&f);
}

#define CARD "4111111111111111"

static void test_content_text(void **state)
{
	struct fx f;

	(void)state;
	fx_up(&f, content_policy);
	session(&f, "agents");
	assert_int_equal(command(&f, "SELECT * FROM notes"), SL_OK);
	expect(&f, "note", TEXT, 0, "nothing here", PASS);
	expect(&f, "note", TEXT, 0, "pay " CARD " now", "pay [card] now");
	expect(&f, "note", VARCHAR, 0, CARD, "[card]");
	expect(&f, "note", 0, 0, CARD, "[card]");
	expect(&f, "note", INT8, 0, CARD, "0");
	expect(&f, "note", INT8, 0, "12", PASS);
	expect(&f, "note", NUMERIC, 0, CARD, "0");
	expect(&f, "note", JSON, 0, "{\"a\":\"" CARD "\"}", "{\"a\":\"[card]\"}");
	expect(&f, "note", JSONB, 0, "{\"a\":1}", PASS);
	expect(&f, "note", TEXT_ARRAY, 0, "{" CARD "}", "{[card]}");
	expect(&f, "note", 99999, 0, "(" CARD ")", NULL);
	expect(&f, "note", DATE, 0, "2020-01-01", PASS);
	expect(&f, "note", BYTEA, 0, "\\x34313131313131313131313131313131", "\\x");
	expect(&f, "note", BYTEA, 0, CARD, "\\x");
	expect(&f, "note", BYTEA, 0, "\\x00ff", PASS);
	expect(&f, "note", BYTEA, 0, "\\x0", DENIED);
	expect(&f, "note", BYTEA, 0, "\\xzz", DENIED);
	close_flow(&f);
	read_records(&f);
	expect_text(&f, 2, "o", "unreadable");
	fx_down(&f);
}

static struct sl_span be(uint64_t v, size_t n)
{
	static uint8_t b[8];

	for (size_t i = 0; i < n; i++)
		b[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
	return sl_span(b, n);
}

static struct sl_span be_double(double d)
{
	uint64_t u;

	memcpy(&u, &d, sizeof(u));
	return be(u, 8);
}

static void test_content_binary(void **state)
{
	struct fx f;

	(void)state;
	fx_up(&f, content_policy);
	session(&f, "agents");
	assert_int_equal(command(&f, "SELECT * FROM notes"), SL_OK);
	expect(&f, "note", TEXT, 1, "pay " CARD, "pay [card]");
	expect_bytes(&f, col("note", INT8, 1), be(UINT64_C(4111111111111111), 8),
	             SL_SPAN_LIT("\0\0\0\0\0\0\0\0"));
	expect_span(&f, col("note", INT8, 1), be(UINT64_C(12), 8), PASS);
	expect_span(&f, col("note", INT4, 1), be(7, 4), PASS);
	expect_span(&f, col("note", INT2, 1), be(7, 2), PASS);
	expect_span(&f, col("note", INT4, 1), be(7, 3), DENIED);
	expect_bytes(&f, col("note", FLOAT8, 1), be_double(4111111111111111.0),
	             SL_SPAN_LIT("\0\0\0\0\0\0\0\0"));
	expect_span(&f, col("note", FLOAT8, 1), be_double(1.5), PASS);
	expect_span(&f, col("note", FLOAT8, 1), be_double(1e300), PASS);
	expect_span(&f, col("note", FLOAT4, 1), be(0x3fc00000, 4), PASS);
	expect(&f, "note", NUMERIC, 1, "whatever", DENIED);
	expect(&f, "note", JSON, 1, "{\"a\":\"" CARD "\"}", "{\"a\":\"[card]\"}");
	expect(&f, "note", JSONB, 1, "\x01{\"a\":\"" CARD "\"}", "\x01{\"a\":\"[card]\"}");
	expect(&f, "note", JSONB, 1, "\x01{}", PASS);
	expect(&f, "note", JSONB, 1, "\x02{}", DENIED);
	expect(&f, "note", BYTEA, 1, "x " CARD, "");
	expect(&f, "note", TEXT_ARRAY, 1, "whatever", DENIED);
	expect(&f, "note", 0, 1, "whatever", DENIED);
	expect(&f, "note", DATE, 1, "abcd", PASS);
	expect(&f, "note", TEXT, 2, "x", DENIED);
	/* No room to record that: again, later. */
	struct sl_column c = col("note", NUMERIC, 1);
	uint16_t w = want_of(&f, &c);

	take_blocks(&f, 0);
	assert_int_equal(field_want(&f, w, &c, SL_SPAN_LIT("x")), SL_AGAIN);
	give_blocks(&f);
	assert_int_equal(field_want(&f, w, &c, SL_SPAN_LIT("x")), SL_OK);
	assert_int_equal(f.v.action, SL_ACT_DENY);
	close_flow(&f);
	fx_down(&f);
}

static void test_large_values(void **state)
{
	size_t n = 400000;
	char *text = malloc(n + 1);
	struct fx f;

	(void)state;
	assert_non_null(text);
	memset(text, 'a', n);
	text[n] = '\0';
	fx_up(&f, content_policy);
	session(&f, "agents");
	assert_int_equal(command(&f, "SELECT * FROM notes"), SL_OK);
	expect(&f, "note", TEXT, 0, text, PASS);
	memcpy(text + 200000, " " CARD " ", 18);
	expect(&f, "note", TEXT, 0, text, DENIED);
	close_flow(&f);
	apply(&f, columns_policy);
	session(&f, "agents");
	expect(&f, "ssn", TEXT, 0, text, "***-**");
	expect(&f, "email", TEXT, 0, text, DENIED);
	close_flow(&f);
	free(text);
	fx_down(&f);
}

static void test_opaque_rows(void **state)
{
	struct sl_column copy = col("copy", 0, 0), function = col("function", 0, 0),
	                 real = col("copy", TEXT, 0);
	struct fx f;

	(void)state;
	fx_up(&f, plain_policy);
	session(&f, "agents");
	assert_int_equal(want_of(&f, &copy), 0);
	assert_int_equal(want_of(&f, &function), 0);
	close_flow(&f);
	apply(&f, columns_policy);
	session(&f, "agents");
	assert_int_not_equal(want_of(&f, &copy), 0);
	assert_int_not_equal(want_of(&f, &function), 0);
	assert_int_equal(want_of(&f, &real), 0);
	close_flow(&f);
	apply(&f, content_policy);
	session(&f, "agents");
	assert_int_not_equal(want_of(&f, &copy), 0);
	close_flow(&f);
	fx_down(&f);
}

/* Rows are masked by the policy that judged their command; those of a policy that has gone are planned anew.
 */
static void test_policy_swap(void **state)
{
	struct sl_column card = col("card_number", TEXT, 0), ssn = col("ssn", TEXT, 0);
	uint16_t want;
	struct fx f;

	(void)state;
	fx_up(&f, columns_policy);
	session(&f, "agents");
	assert_int_equal(command(&f, "SELECT * FROM customers"), SL_OK);
	want = want_of(&f, &card);
	assert_int_not_equal(want, 0);
	apply(&f, plain_policy);
	assert_int_equal(command(&f, "SELECT 1"), SL_OK);
	/* Command 1 goes on as it was judged, command 2 by the new policy. */
	f.cmd = 1;
	assert_int_equal(field_want(&f, want, &card, SL_SPAN_LIT("4111111111111111")), SL_OK);
	assert_true(sl_span_is(f.v.replace, "************1111"));
	expect_span(&f, ssn, SL_SPAN_LIT("1"), "***-**");
	f.cmd = 2;
	expect_span(&f, ssn, SL_SPAN_LIT("1"), PASS);
	assert_int_equal(result(&f, 1, "SELECT 1"), SL_OK);
	assert_int_equal(atomic_load(&f.policy[0]->refs), 0);
	/* A want of the policy that has gone: by the one there is. */
	assert_int_equal(field_want(&f, want, &card, SL_SPAN_LIT("4111111111111111")), SL_OK);
	assert_int_equal(f.v.action, SL_ACT_ALLOW);
	assert_int_equal(result(&f, 2, "SELECT 1"), SL_OK);
	close_flow(&f);
	/* The caller's role went while it described a statement: nothing is shown. */
	session(&f, "agents");
	apply(&f, RESOURCE ROLE("other", "others"));
	expect_span(&f, ssn, SL_SPAN_LIT("1"), DENIED);
	close_flow(&f);
	fx_down(&f);
}

#define ROW_N 24

/* xorshift64 */
static uint64_t rnd(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed >> 8;
}

/* A text, often with something to find in it, or a part of it at an end. */
static size_t random_text(uint64_t *seed, char *out)
{
	static const char *const parts[] = {"4111 1111 1111 1111",
	                                    "4111111111111111",
	                                    "ann@example.com",
	                                    "x",
	                                    "4111111111111111x",
	                                    "4111",
	                                    "1111-1111-1111",
	                                    "@example.com",
	                                    "ann",
	                                    "DE89 3704 0044 0532 0130 00",
	                                    "order 20261117-4432",
	                                    "192.0.2.77",
	                                    "ok",
	                                    "+49 30 901820",
	                                    "AKIAIOSFODNN7EXAMPLE",
	                                    "c4ca4238a0b923820dcc",
	                                    " ",
	                                    "-",
	                                    "password=hunter2hunter2",
	                                    "ssn 078-05-1120",
	                                    "0"};
	size_t n = 0;

	for (int i = (int)(rnd(seed) % 4); i > 0; i--) {
		const char *p = parts[rnd(seed) % (sizeof(parts) / sizeof(parts[0]))];

		memcpy(out + n, p, strlen(p));
		n += strlen(p);
	}
	return n;
}

/* What a look at the whole row lets through, FIELD lets through as well. */
static void test_row(void **state)
{
	static char text[ROW_N][128];
	struct sl_row_value v[ROW_N];
	struct sl_column note = col("note", TEXT, 0);
	struct sl_event ev = {.kind = SL_EV_ROW};
	uint64_t seed = 20261122;
	uint32_t nb_clean = 0, nb_left = 0, nb_found = 0;
	struct fx f;

	(void)state;
	fx_up(&f, detectors_policy);
	session(&f, "agents");
	assert_int_equal(command(&f, "SELECT * FROM notes"), SL_OK);
	ev.cmd = f.cmd;
	for (int round = 0; round < 400; round++) {
		uint16_t want = want_of(&f, &note);

		assert_true(want != 0 && f.v.look);
		for (uint32_t i = 0; i < ROW_N; i++)
			v[i] = (struct sl_row_value){
			        .want = want,
			        .column = note.name,
			        .value = sl_span((uint8_t *)text[i], random_text(&seed, text[i]))};
		ev.row.values = v;
		ev.row.nb = 1 + (uint32_t)(rnd(&seed) % ROW_N);
		assert_int_equal(sl_inspect_event(f.in, &ev, &f.v, NULL), SL_OK);
		for (uint32_t i = 0; i < ev.row.nb; i++) {
			assert_true(v[i].seen != 0);
			check_seen(&f, &v[i], &note);
			if (v[i].clean && f.v.action != SL_ACT_ALLOW)
				fail_msg("\"%.*s\" has a find (seed 20261122, round %d)", (int)v[i].value.n,
				         text[i], round);
			nb_clean += v[i].clean;
			nb_left += !v[i].clean;
			nb_found += f.v.action != SL_ACT_ALLOW;
		}
	}
	assert_true(nb_found > 500 && nb_clean > 500);
	assert_true(nb_left < nb_found + nb_found / 4); /* hardly one is looked at twice for nothing */
	close_flow(&f);
	apply(&f, anchored_policy);
	session(&f, "agents");
	v[0].want = want_of(&f, &note);
	assert_true(v[0].want != 0 && !f.v.look);
	v[0].value = SL_SPAN_LIT("no secret");
	v[1] = (struct sl_row_value){.want = v[0].want, .column = note.name, .value = SL_SPAN_LIT("secret")};
	v[0].clean = v[1].clean = false;
	ev.row.nb = 2;
	assert_int_equal(sl_inspect_event(f.in, &ev, &f.v, NULL), SL_OK);
	assert_true(!v[0].clean && !v[1].clean);
	/* of a policy that has gone, of another mask's: left to FIELD */
	apply(&f, columns_policy);
	assert_int_equal(command(&f, "SELECT 1"), SL_OK);
	assert_int_equal(sl_inspect_event(f.in, &ev, &f.v, NULL), SL_OK);
	assert_true(!v[0].clean && !v[1].clean);
	close_flow(&f);
	fx_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_columns_by_name), cmocka_unit_test(test_origins),
	        cmocka_unit_test(test_content_text),    cmocka_unit_test(test_content_binary),
	        cmocka_unit_test(test_large_values),    cmocka_unit_test(test_opaque_rows),
	        cmocka_unit_test(test_policy_swap),     cmocka_unit_test(test_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
