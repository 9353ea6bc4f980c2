/* Masks of columns over statements: what is refused and held, what the reply is told, COPY, texts. */
#include "test_util.h"

#include "sl_protect.h"

static const char policy[] =
        "kind: Resource\nversion: 1\nmetadata: {name: shop}\nspec:\n  protocol: postgres\n"
        "  address: 10.99.2.2:5432\n  credential: shop-app\n  databases: [shop]\n  tls: {mode: 'off'}\n"
        "---\nkind: Role\nversion: 1\nmetadata: {name: agent}\nspec:\n  groups: [agents]\n"
        "  resources: [shop]\n  databases: ['*']\n  allow: [any]\n"
        "---\nkind: Mask\nversion: 1\nmetadata: {name: ssn}\nspec:\n  action: redact\n  secret: true\n"
        "  columns: [people.ssn]\n"
        "---\nkind: Mask\nversion: 1\nmetadata: {name: pay}\nspec:\n  action: redact\n  inference: hold\n"
        "  columns: [people.pay]\n";
static const char decides[] =
        "kind: Resource\nversion: 1\nmetadata: {name: shop}\nspec:\n  protocol: postgres\n"
        "  address: 10.99.2.2:5432\n  credential: shop-app\n  databases: [shop]\n  tls: {mode: 'off'}\n"
        "---\nkind: Role\nversion: 1\nmetadata: {name: agent}\nspec:\n  groups: [agents]\n"
        "  resources: [shop]\n  databases: ['*']\n  allow: [any]\n"
        "---\nkind: Mask\nversion: 1\nmetadata: {name: ssn}\nspec:\n  action: redact\n"
        "  inference: allow\n  columns: [people.ssn]\n";
static const char content[] =
        "kind: Resource\nversion: 1\nmetadata: {name: shop}\nspec:\n  protocol: postgres\n"
        "  address: 10.99.2.2:5432\n  credential: shop-app\n  databases: [shop]\n  tls: {mode: 'off'}\n"
        "---\nkind: Role\nversion: 1\nmetadata: {name: agent}\nspec:\n  groups: [agents]\n"
        "  resources: [shop]\n  databases: ['*']\n  allow: [any]\n"
        "---\nkind: Mask\nversion: 1\nmetadata: {name: card}\nspec:\n  action: redact\n  text: '[card]'\n"
        "  pattern: '\\b4[0-9]{15}\\b'\n";

static const struct fx_column people[] = {
        {100, 1, "public", "people", "id"},
        {100, 2, "public", "people", "name"},
        {100, 3, "public", "people", "ssn"},
        {100, 4, "public", "people", "pay"},
};

static void up(struct fx *f, const char *yaml)
{
	fx_up(f, yaml);
	f->columns = people;
	f->nb_columns = sizeof(people) / sizeof(people[0]);
	session(f, "agents");
}

static void down(struct fx *f)
{
	close_flow(f);
	fx_down(f);
}

static void allowed(struct fx *f, const char *text, uint32_t marks)
{
	assert_int_equal(command(f, text), SL_OK);
	if (f->v.action != SL_ACT_ALLOW)
		fail_msg("%s: %.*s", text, (int)f->v.reason.message.n, (const char *)f->v.reason.message.p);
	if ((f->v.mark & (SL_PROTECT_DERIVED | SL_PROTECT_QUIET)) != marks)
		fail_msg("%s: marks %x", text, f->v.mark);
}

static void denied(struct fx *f, const char *text)
{
	assert_int_equal(command(f, text), SL_OK);
	if (f->v.action != SL_ACT_DENY)
		fail_msg("%s is not denied", text);
}

static uint16_t want_of(struct fx *f, uint32_t mark, uint32_t table, uint16_t attr, const char *name)
{
	struct sl_column c = {.name = sl_span_str(name), .table = table, .attr = attr, .type = 25};
	struct sl_event ev = {.kind = SL_EV_ROWMETA, .cmd = f->cmd, .mark = mark};
	uint16_t want = 0;

	ev.rowmeta.columns = &c;
	ev.rowmeta.nb_columns = 1;
	ev.rowmeta.want = &want;
	assert_int_equal(sl_inspect_event(f->in, &ev, &f->v, NULL), SL_OK);
	return want;
}

/* What the value "x" becomes; NULL: the column is not wanted. */
static const char *masked(struct fx *f, uint32_t mark, uint32_t table, uint16_t attr)
{
	static char out[64];
	uint16_t want = want_of(f, mark, table, attr, "c");
	struct sl_event ev = {.kind = SL_EV_FIELD, .cmd = f->cmd, .mark = mark};

	if (want == 0)
		return NULL;
	ev.field.want = want;
	ev.field.column =
	        (struct sl_column){.name = SL_SPAN_LIT("c"), .table = table, .attr = attr, .type = 25};
	ev.field.value = SL_SPAN_LIT("x");
	assert_int_equal(sl_inspect_event(f->in, &ev, &f->v, NULL), SL_OK);
	if (f->v.action != SL_ACT_REPLACE)
		return f->v.action == SL_ACT_DENY ? "denied" : "passed";
	sl_span_cstr(f->v.replace, out, sizeof(out));
	return out;
}

/* What the client reads of an error; "=": all as it is. */
static const char *report(struct fx *f, uint64_t cmd, uint32_t mark, const char *state, const char *message,
                          const char *detail)
{
	static char out[128];
	struct sl_event ev = {.kind = SL_EV_REPORT, .cmd = cmd, .mark = mark};

	ev.report.kind = SL_REPORT_ERROR;
	ev.report.sqlstate = sl_span_str(state);
	ev.report.text[SL_REPORT_MESSAGE] = sl_span_str(message);
	ev.report.text[SL_REPORT_DETAIL] = sl_span_str(detail);
	assert_int_equal(sl_inspect_event(f->in, &ev, &f->v, NULL), SL_OK);
	if (f->v.action == SL_ACT_ALLOW)
		return "=";
	assert_int_equal(f->v.action, SL_ACT_REPLACE);
	sl_span_cstr(f->v.replace, out, sizeof(out));
	return out;
}

static void test_columns(void **state)
{
	uint32_t mark;
	struct fx f;

	(void)state;
	up(&f, policy);
	allowed(&f, "SELECT id, name FROM people", 0);
	assert_null(masked(&f, f.v.mark, 100, 1));
	assert_string_equal(masked(&f, 0, 100, 3), "***");
	/* what comes of nothing, in a statement that has nothing to hide and in one that has */
	assert_null(masked(&f, 0, 0, 0));
	allowed(&f, "SELECT id, upper(ssn) FROM people", SL_PROTECT_DERIVED | SL_PROTECT_QUIET);
	mark = f.v.mark;
	assert_string_equal(masked(&f, mark, 0, 0), "***");
	assert_null(masked(&f, mark, 100, 1));
	/* a whole row has a table and no column */
	assert_string_equal(masked(&f, 0, 100, 0), "***");
	down(&f);
}

static void test_refused(void **state)
{
	struct fx f;

	(void)state;
	up(&f, policy);
	denied(&f, "SELECT id FROM people WHERE ssn LIKE '1%'");
	denied(&f, "CREATE TABLE copy AS SELECT * FROM people");
	assert_int_equal(command_with(&f, SL_PHASE_OTHER, "function call", NULL, 0), SL_OK);
	assert_int_equal(f.v.action, SL_ACT_DENY);
	/* held by the mask that says so, once */
	assert_int_equal(command(&f, "SELECT id FROM people WHERE pay > 1"), SL_OK);
	assert_int_equal(f.v.action, SL_ACT_PARK);
	assert_int_equal(f.hold.nb_needs, 1);
	assert_string_equal(f.hold.needs[0].rule, "Mask/pay");
	down(&f);
}

static void test_sticky(void **state)
{
	struct fx f;

	(void)state;
	up(&f, policy);
	allowed(&f, "COMMIT", 0);
	allowed(&f, "DECLARE c CURSOR FOR SELECT upper(ssn) FROM people",
	        SL_PROTECT_DERIVED | SL_PROTECT_QUIET);
	allowed(&f, "SELECT 1", 0);
	allowed(&f, "FETCH c", SL_PROTECT_DERIVED | SL_PROTECT_QUIET);
	assert_string_equal(masked(&f, f.v.mark, 0, 0), "***");
	allowed(&f, "COMMIT", SL_PROTECT_QUIET);
	assert_int_equal(command_with(&f, SL_PHASE_EXECUTE, "SELECT 1", NULL, 0), SL_OK);
	assert_int_equal(f.v.mark, 0);
	/* behind an SQL PREPARE a Bind may meet what it has made */
	allowed(&f, "PREPARE p AS SELECT upper(ssn) FROM people", SL_PROTECT_DERIVED | SL_PROTECT_QUIET);
	assert_int_equal(command_with(&f, SL_PHASE_EXECUTE, "SELECT 1", NULL, 0), SL_OK);
	assert_string_equal(masked(&f, f.v.mark, 0, 0), "***");
	down(&f);
}

static void acts(struct fx *f, enum sl_phase phase, const char *sql, enum sl_action action)
{
	assert_int_equal(command_with(f, phase, sql, NULL, 0), SL_OK);
	if (f->v.action != action)
		fail_msg("%s: %d", sql, (int)f->v.action);
}

/* A hold is put off from Parse to Bind: SQL EXECUTE is no way round it. */
static void test_hold_put_off(void **state)
{
	const char *held = "SELECT id FROM people WHERE pay > 1";
	struct fx f;

	(void)state;
	up(&f, policy);
	/* SQL knows no unnamed one */
	acts(&f, SL_PHASE_PREPARE, held, SL_ACT_ALLOW);
	acts(&f, SL_PHASE_SIMPLE, "EXECUTE p", SL_ACT_ALLOW);
	f.named = true;
	acts(&f, SL_PHASE_PREPARE, "SELECT id FROM people", SL_ACT_ALLOW);
	acts(&f, SL_PHASE_SIMPLE, "EXECUTE p", SL_ACT_ALLOW);
	acts(&f, SL_PHASE_PREPARE, held, SL_ACT_ALLOW);
	acts(&f, SL_PHASE_SIMPLE, "EXECUTE p", SL_ACT_DENY);
	acts(&f, SL_PHASE_SIMPLE, "EXPLAIN (ANALYZE) EXECUTE p", SL_ACT_DENY);
	acts(&f, SL_PHASE_EXECUTE, "EXECUTE p", SL_ACT_DENY);
	acts(&f, SL_PHASE_SIMPLE, "DEALLOCATE ALL", SL_ACT_ALLOW);
	down(&f);
	/* one that was bound before would run it as well */
	up(&f, policy);
	f.named = false;
	acts(&f, SL_PHASE_EXECUTE, "EXECUTE p", SL_ACT_ALLOW);
	acts(&f, SL_PHASE_PREPARE, held, SL_ACT_ALLOW);
	f.named = true;
	acts(&f, SL_PHASE_PREPARE, held, SL_ACT_PARK);
	down(&f);
}

/* The protocol's portals are SQL's cursors, its named statements those of EXECUTE; ones without a name are
 * not. */
static void test_names_of_the_protocol(void **state)
{
	static const char computed[] = "SELECT upper(ssn) FROM people";
	const struct {
		enum sl_phase phase;
		bool named;
		const char *goes_on;
	} rows[] = {
	        {SL_PHASE_PREPARE, true, "EXECUTE s"},
	        {SL_PHASE_EXECUTE, true, "FETCH ALL FROM p"},
	        {SL_PHASE_PREPARE, false, "EXECUTE s"},
	        {SL_PHASE_EXECUTE, false, "FETCH ALL FROM p"},
	};
	struct fx f;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		up(&f, policy);
		f.named = rows[i].named;
		assert_int_equal(command_with(&f, rows[i].phase, computed, NULL, 0), SL_OK);
		assert_string_equal(masked(&f, f.v.mark, 0, 0), "***");
		allowed(&f, rows[i].goes_on, SL_PROTECT_QUIET | (rows[i].named ? SL_PROTECT_DERIVED : 0));
		if (rows[i].named)
			assert_string_equal(masked(&f, f.v.mark, 0, 0), "***");
		else
			assert_null(masked(&f, f.v.mark, 0, 0));
		down(&f);
	}
}

/* What a name means is looked up when it is needed, not when the FETCH or EXECUTE was bound. */
static void test_names_looked_up_late(void **state)
{
	static const struct {
		const char *harmless, *late, *away, *anew;
	} rows[] = {
	        {"DECLARE c CURSOR FOR SELECT upper(name) FROM people", "FETCH ALL FROM c", "CLOSE c",
	         "DECLARE c CURSOR FOR SELECT upper(ssn) FROM people"},
	        {"PREPARE q AS SELECT upper(name) FROM people", "EXECUTE q", "DEALLOCATE q",
	         "PREPARE q AS SELECT upper(ssn) FROM people"},
	};
	uint32_t late;
	struct fx f;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		up(&f, policy);
		allowed(&f, rows[i].harmless, 0);
		assert_int_equal(command_with(&f, SL_PHASE_EXECUTE, rows[i].late, NULL, 0), SL_OK);
		late = f.v.mark;
		assert_null(masked(&f, late, 0, 0));
		assert_int_equal(command(&f, rows[i].away), SL_OK);
		allowed(&f, rows[i].anew, SL_PROTECT_DERIVED | SL_PROTECT_QUIET);
		assert_string_equal(masked(&f, late, 0, 0), "***");
		assert_string_equal(report(&f, f.cmd, late, "42P01", "no table 123-45", ""),
		                    "syntax error or access rule violated (text withheld by a mask)");
		down(&f);
	}
}

/* A function of the target can open a cursor by the name of a portal, which was there before. */
static void test_cursors_of_functions(void **state)
{
	uint32_t portal, unnamed;
	struct fx f;

	(void)state;
	up(&f, decides);
	assert_int_equal(command_with(&f, SL_PHASE_EXECUTE, "SELECT 1", NULL, 0), SL_OK);
	unnamed = f.v.mark;
	f.named = true;
	assert_int_equal(command_with(&f, SL_PHASE_EXECUTE, "SELECT 1", NULL, 0), SL_OK);
	portal = f.v.mark;
	assert_null(masked(&f, portal, 0, 0));
	allowed(&f, "SELECT 1 WHERE opens('p')", SL_PROTECT_QUIET);
	assert_null(masked(&f, f.v.mark, 0, 0));
	allowed(&f, "FETCH ALL FROM p", SL_PROTECT_DERIVED | SL_PROTECT_QUIET);
	assert_string_equal(masked(&f, f.v.mark, 0, 0), "***");
	assert_string_equal(masked(&f, portal, 0, 0), "***");
	assert_null(masked(&f, unnamed, 0, 0));
	down(&f);
}

/* Under a policy that hides more, what was opened before can carry what it hides; one that hides the same
 * changes nothing. */
static void test_another_policy(void **state)
{
	static const char only_pay[] =
	        "kind: Resource\nversion: 1\nmetadata: {name: shop}\nspec:\n  protocol: postgres\n"
	        "  address: 10.99.2.2:5432\n  credential: shop-app\n  databases: [shop]\n  tls: {mode: "
	        "'off'}\n"
	        "---\nkind: Role\nversion: 1\nmetadata: {name: agent}\nspec:\n  groups: [agents]\n"
	        "  resources: [shop]\n  databases: ['*']\n  allow: [any]\n"
	        "---\nkind: Mask\nversion: 1\nmetadata: {name: pay}\nspec:\n  action: redact\n"
	        "  columns: [people.pay]\n";
	static const char *const before[] = {"", only_pay, policy};
	uint32_t portal;
	struct fx f;

	(void)state;
	for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
		const char *same = before[i] == policy ? NULL : "***";
		char none[sizeof(only_pay)];

		(void)snprintf(none, sizeof(none), "%.*s",
		               (int)(strstr(only_pay, "---\nkind: Mask") - only_pay), only_pay);
		up(&f, before[i][0] == '\0' ? none : before[i]);
		allowed(&f, "DECLARE c CURSOR FOR SELECT upper(name) FROM people", 0);
		assert_int_equal(result(&f, f.cmd, "DECLARE CURSOR"), SL_OK);
		assert_int_equal(
		        command_with(&f, SL_PHASE_EXECUTE, "SELECT upper(name) FROM people", NULL, 0), SL_OK);
		portal = f.v.mark;
		assert_int_equal(result(&f, f.cmd, ""), SL_OK); /* suspended */
		apply(&f, policy);
		gather(&f);
		allowed(&f, "FETCH c", same == NULL ? 0 : SL_PROTECT_DERIVED | SL_PROTECT_QUIET);
		if (same == NULL)
			assert_null(masked(&f, f.v.mark, 0, 0));
		else
			assert_string_equal(masked(&f, f.v.mark, 0, 0), "***");
		if (same == NULL)
			assert_null(masked(&f, portal, 0, 0));
		else
			assert_string_equal(masked(&f, portal, 0, 0), "***");
		assert_null(masked(&f, portal, 100, 1));
		allowed(&f, "SELECT upper(name) FROM people", 0);
		assert_null(masked(&f, f.v.mark, 0, 0));
		down(&f);
	}
}

/* What the session remembers is of the newest policy: a reply that is read by an older one has its masks. */
static void test_policy_behind(void **state)
{
	static const char card[] =
	        "---\nkind: Mask\nversion: 1\nmetadata: {name: card%d}\nspec:\n  action: redact\n"
	        "  text: '[card]'\n  pattern: '\\b4[0-9]{15}\\b'\n";
	const char *at = strstr(policy, "---\nkind: Mask");
	char more[4096], one[256], two[256];
	uint64_t cmd;
	uint32_t mark;
	struct fx f;

	(void)state;
	(void)snprintf(one, sizeof(one), card, 1);
	(void)snprintf(two, sizeof(two), card, 2);
	(void)snprintf(more, sizeof(more), "%.*s%s%s%s", (int)(at - policy), policy, one, two, at);
	for (int derived = 0; derived < 2; derived++) {
		up(&f, decides);
		allowed(&f, "FETCH c", 0);
		cmd = f.cmd;
		mark = f.v.mark;
		if (derived)
			allowed(&f, "DECLARE c CURSOR FOR SELECT upper(ssn) FROM people",
			        SL_PROTECT_DERIVED | SL_PROTECT_QUIET);
		apply(&f, more);
		gather(&f);
		allowed(&f, "SELECT 1", 0);
		f.cmd = cmd;
		if (derived)
			assert_string_equal(masked(&f, mark, 0, 0), "***");
		else
			assert_null(masked(&f, mark, 0, 0));
		down(&f);
	}
}

/* ---- COPY ---- */

static uint8_t kept[SL_KEEP_MAX];
static size_t nb_kept;

static void keep(struct fx *f)
{
	nb_kept = f->v.keep.n;
	assert_true(nb_kept > 0 && nb_kept <= sizeof(kept));
	memcpy(kept, f->v.keep.p, nb_kept);
}

/* Which columns are wanted, as "0010"; "" when it is refused. */
static const char *copied(struct fx *f, uint32_t nb, bool binary, struct sl_copy *copy)
{
	static char out[16];
	struct sl_column columns[8];
	uint16_t want[8] = {0};
	struct sl_event ev = {.kind = SL_EV_ROWMETA, .cmd = f->cmd};

	memset(columns, 0, sizeof(columns));
	*copy = (struct sl_copy){.binary = binary, .kept = sl_span(kept, nb_kept)};
	ev.rowmeta.columns = columns;
	ev.rowmeta.nb_columns = nb;
	ev.rowmeta.want = want;
	ev.rowmeta.copy = copy;
	assert_int_equal(sl_inspect_event(f->in, &ev, &f->v, NULL), SL_OK);
	out[0] = '\0';
	for (uint32_t i = 0; i < nb && f->v.action == SL_ACT_ALLOW; i++)
		snprintf(out + i, sizeof(out) - i, "%d", want[i] != 0);
	return out;
}

static void test_copy(void **state)
{
	struct sl_copy c;
	struct fx f;

	(void)state;
	up(&f, policy);
	allowed(&f, "COPY people TO STDOUT (FORMAT csv, HEADER)", SL_PROTECT_QUIET);
	keep(&f);
	assert_string_equal(copied(&f, 4, false, &c), "0011");
	assert_true(c.csv && c.header && c.delimiter == ',' && c.quote == '"' && c.escape == '"');
	/* not what was planned: another number of columns, another format, nothing kept */
	assert_string_equal(copied(&f, 5, false, &c), "");
	assert_string_equal(copied(&f, 4, true, &c), "");
	nb_kept = 0;
	assert_string_equal(copied(&f, 4, false, &c), "");
	allowed(&f, "COPY (SELECT id, ssn FROM people) TO STDOUT BINARY", SL_PROTECT_QUIET);
	keep(&f);
	assert_string_equal(copied(&f, 2, true, &c), "01");
	/* nothing hidden in it */
	allowed(&f, "COPY other TO STDOUT (FORMAT csv)", 0);
	keep(&f);
	assert_string_equal(copied(&f, 3, false, &c), "000");
	denied(&f, "COPY people TO STDOUT (NULL '123')");
	denied(&f, "COPY people TO STDOUT (ENCODING 'LATIN1')");
	denied(&f, "COPY people TO STDOUT; COPY people TO STDOUT");
	down(&f);
	/* content: every field of any table */
	up(&f, content);
	allowed(&f, "COPY other TO STDOUT", 0);
	keep(&f);
	assert_string_equal(copied(&f, 2, false, &c), "11");
	assert_true(!c.csv && c.delimiter == '\t' && c.null_n == 2);
	down(&f);
}

/* ---- texts ---- */

static void test_texts(void **state)
{
	struct sl_event ev = {.kind = SL_EV_REPORT};
	struct fx f;

	(void)state;
	up(&f, policy);
	allowed(&f, "SELECT 1", 0);
	assert_string_equal(report(&f, f.cmd, 0, "42P01", "no table x", "d"), "=");
	assert_string_equal(report(&f, f.cmd, 0, "22012", "division by zero", ""), "=");
	assert_string_equal(report(&f, f.cmd, 0, "23505", "duplicate key", "Key (a)=(1)"), "duplicate key");
	assert_false(f.v.nameless);
	assert_string_equal(report(&f, f.cmd, 0, "P0001", "ssn 123", ""),
	                    "raised by a function of the target (text withheld by a mask)");
	assert_true(f.v.nameless);
	assert_string_equal(report(&f, f.cmd, SL_PROTECT_QUIET, "42P01", "no table 123-45", ""),
	                    "syntax error or access rule violated (text withheld by a mask)");
	assert_string_equal(report(&f, 0, 0, "23503", "x", "Key (ssn)=(123)"),
	                    "foreign key constraint violated (text withheld by a mask)");
	assert_string_equal(report(&f, f.cmd, SL_PROTECT_QUIET, "99999", "x", ""), "text withheld by a mask");
	ev.report.kind = SL_REPORT_NOTIFICATION;
	ev.report.text[SL_REPORT_MESSAGE] = SL_SPAN_LIT("123-45-6789");
	assert_int_equal(sl_inspect_event(f.in, &ev, &f.v, NULL), SL_OK);
	assert_int_equal(f.v.action, SL_ACT_REPLACE);
	assert_int_equal(f.v.replace.n, 0);
	down(&f);
	up(&f, content);
	allowed(&f, "SELECT 1", 0);
	assert_string_equal(report(&f, f.cmd, 0, "P0001", "plain", ""), "=");
	assert_string_equal(report(&f, f.cmd, 0, "22P02", "bad", "no 4111111111111111"),
	                    "invalid text representation (text withheld by a mask)");
	down(&f);
}

static void ended(struct fx *f, const char *tag, bool failed)
{
	struct sl_event ev = {.kind = SL_EV_RESULT, .cmd = f->cmd};

	ev.result.tag = sl_span_str(tag);
	ev.result.failed = failed;
	settle(f);
	assert_int_equal(sl_inspect_event(f->in, &ev, &f->v, NULL), SL_OK);
}

/* A name that the catalog does not have is doubted once, and can be anything then. */
static void unknown(struct fx *f, const char *text)
{
	struct sl_catalog_wanted want;

	assert_int_equal(command(f, text), SL_AGAIN);
	assert_int_equal(sl_inspect_wants_catalog(f->in, &want), 1);
	assert_true(want.doubted);
	allowed(f, text, SL_PROTECT_QUIET | SL_PROTECT_DERIVED);
	assert_int_equal(sl_inspect_wants_catalog(f->in, &want), 1);
	assert_false(want.doubted);
	ended(f, "SELECT 1", false);
}

/* The target has people, and nothing else. */
static void up_with_people(struct fx *f)
{
	fx_up(f, policy);
	f->columns = people;
	f->nb_columns = sizeof(people) / sizeof(people[0]);
	f->only_these = true;
	session(f, "agents");
}

/* Tables that the session makes are known by their whole names, and no more than there is room for. */
static void test_made(void **state)
{
	static const char upper[] = "SELECT upper(a) FROM later";
	/* Names whose FNV-1a of 32 bits is the one of "later", a beginning, a longer one, another schema's.
	 */
	static const char *const others[] = {"mrevhlb", "late", "laterr", "s.later", "\"Later\""};
	const int room = SL_PROTECT_MADE_BYTES / (2 + SL_SQL_NAME_MAX);
	char text[256], name[SL_SQL_NAME_MAX + 1];
	struct fx f;

	(void)state;
	up_with_people(&f);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		(void)snprintf(text, sizeof(text), "CREATE TABLE %s (a text)", others[i]);
		allowed(&f, text, 0);
		ended(&f, "CREATE TABLE", false);
		unknown(&f, upper);
	}
	assert_int_equal(command(&f, "ROLLBACK"), SL_OK);
	ended(&f, "ROLLBACK", false);
	for (int i = 0; i <= room; i++) {
		(void)snprintf(name, sizeof(name), "%0*d", SL_SQL_NAME_MAX, i);
		(void)snprintf(text, sizeof(text), "CREATE TABLE \"%s\" (a text)", name);
		allowed(&f, text, 0);
		ended(&f, "CREATE TABLE", false);
		(void)snprintf(text, sizeof(text), "SELECT upper(a) FROM \"%s\"", name);
		if (i == room) {
			unknown(&f, text);
			break;
		}
		allowed(&f, text, 0);
		ended(&f, "SELECT 1", false);
	}
	down(&f);
}

static void test_unknown(void **state)
{
	static const char upper[] = "SELECT upper(a) FROM later";
	static const char *const makes[] = {"CREATE TEMP TABLE later (a text)", "SELECT 1 AS a INTO later"};
	static const char *const others[] = {"CREATE TABLE IF NOT EXISTS later (a text)",
	                                     "CREATE INDEX ON later (a)", "CREATE TABLE s.later (a text)"};
	static const char *const ends[] = {"ROLLBACK",
	                                   "COMMIT",
	                                   "DROP TABLE later",
	                                   "SET search_path = x",
	                                   "ALTER TABLE later RENAME TO b",
	                                   "ROLLBACK TO SAVEPOINT x"};
	struct fx f;

	(void)state;
	up_with_people(&f);
	allowed(&f, "SELECT upper(name) FROM people", 0);
	ended(&f, "SELECT 1", false);
	unknown(&f, upper);
	for (size_t i = 0; i < sizeof(makes) / sizeof(makes[0]); i++) {
		for (size_t k = 0; k < sizeof(ends) / sizeof(ends[0]); k++) {
			assert_int_equal(command(&f, "BEGIN"), SL_OK);
			ended(&f, "BEGIN", false);
			allowed(&f, makes[i], 0);
			ended(&f, "CREATE TABLE", false);
			allowed(&f, upper, 0); /* its own */
			ended(&f, "SELECT 1", false);
			assert_int_equal(command(&f, ends[k]), SL_OK);
			ended(&f, "DONE", false);
			unknown(&f, upper);
		}
		/* Before its result is in, and when that was an error. */
		allowed(&f, makes[i], 0);
		assert_int_equal(command(&f, upper), SL_AGAIN);
		allowed(&f, upper, SL_PROTECT_QUIET | SL_PROTECT_DERIVED);
		ended(&f, "", true);
		unknown(&f, upper);
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		allowed(&f, others[i], 0);
		ended(&f, "CREATE TABLE", false);
		unknown(&f, upper);
	}
	down(&f);
}

/* What a statement does by names of cursors and prepared statements. */
static void test_names(void **state)
{
	static const struct {
		const char *sql;
		uint8_t names;
		const char *name; /* NULL: it can be any, or none */
	} rows[] = {
	        {"select 1", 0},
	        {"close c", 0},
	        {"prepare Q as select 1", SL_NAMES_PREPARE, "q"},
	        {"prepare \"Q\" (int) as delete from t where i = $1", SL_NAMES_PREPARE, "Q"},
	        {"prepare q as select 1; select 2", SL_NAMES_PREPARE},
	        {"prepare q as select 'x", SL_NAMES_PREPARE | SL_NAMES_LATE | SL_NAMES_OPEN},
	        {"prepare transaction 'x'", 0},
	        {"deallocate Q", SL_NAMES_DEALLOCATE, "q"},
	        {" deallocate prepare \"Q\" ; ", SL_NAMES_DEALLOCATE, "Q"},
	        {"deallocate q; select 1", SL_NAMES_DEALLOCATE},
	        {"deallocate all", 0, "all"},
	        {"FETCH ALL FROM C ", SL_NAMES_FETCH, "c"},
	        {"fetch from \"C 1\"", SL_NAMES_FETCH, "C 1"},
	        {"fetch 2 from \"C_1\" -- x", SL_NAMES_FETCH, "C_1"},
	        {"fetch c; -- f", SL_NAMES_FETCH, "c"},
	        {"fetch c /* f */", SL_NAMES_FETCH, "c"},
	        {"fetch U&\"c\"", SL_NAMES_FETCH},
	        {"fetch \"a\"\"b\"", SL_NAMES_FETCH, "a\"b"},
	        {"fetch \xc3\x89", SL_NAMES_FETCH},
	        {"fetch next", SL_NAMES_FETCH, "next"},
	        {"/* x */ move c", SL_NAMES_FETCH, "c"},
	        {"Declare c cursor for select 1", SL_NAMES_OPEN},
	        {"begin; declare c cursor for select 1; fetch c", SL_NAMES_OPEN | SL_NAMES_FETCH},
	        {"execute q", SL_NAMES_EXECUTE | SL_NAMES_OPEN},
	        {"explain analyze execute q", SL_NAMES_EXECUTE | SL_NAMES_OPEN},
	        {"explain execute q", 0},
	        {"create table t as execute q", SL_NAMES_EXECUTE | SL_NAMES_OPEN},
	        {"select 'x", SL_NAMES_LATE | SL_NAMES_OPEN},
	        {"fetch c 'x", SL_NAMES_LATE | SL_NAMES_OPEN},
	};
	struct fx f;

	(void)state;
	fx_up(&f, content);
	session(&f, "agents");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(command(&f, rows[i].sql), SL_OK);
		if (f.v.names != rows[i].names)
			fail_msg("%s: names %u", rows[i].sql, f.v.names);
		if (!sl_span_is(f.v.name, rows[i].name != NULL ? rows[i].name : ""))
			fail_msg("%s: of %.*s", rows[i].sql, (int)f.v.name.n, (const char *)f.v.name.p);
	}
	/* One statement alone is what its first word says, however it goes on. */
	assert_int_equal(command_with(&f, SL_PHASE_PREPARE, "select 'x", NULL, 0), SL_OK);
	assert_int_equal(f.v.names, 0);
	assert_int_equal(command_with(&f, SL_PHASE_PREPARE, "fetch c 'x", NULL, 0), SL_OK);
	assert_int_equal(f.v.names, SL_NAMES_LATE | SL_NAMES_OPEN);
	close_flow(&f);
	fx_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_columns),
	        cmocka_unit_test(test_refused),
	        cmocka_unit_test(test_sticky),
	        cmocka_unit_test(test_hold_put_off),
	        cmocka_unit_test(test_copy),
	        cmocka_unit_test(test_texts),
	        cmocka_unit_test(test_unknown),
	        cmocka_unit_test(test_made),
	        cmocka_unit_test(test_names_of_the_protocol),
	        cmocka_unit_test(test_names_looked_up_late),
	        cmocka_unit_test(test_cursors_of_functions),
	        cmocka_unit_test(test_another_policy),
	        cmocka_unit_test(test_policy_behind),
	        cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
