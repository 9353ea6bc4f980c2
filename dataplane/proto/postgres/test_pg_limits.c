/* The named bounds: over each there is a clear answer, and the session goes on where it can. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "pg_priv.h"
#include "test_pg_harness.h"

#define TRANSCRIPT_BYTES (4u << 20)

struct script {
	char *b;
	size_t n;
};

static void say(struct script *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct script *s, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(s->b + s->n, TRANSCRIPT_BYTES - s->n, fmt, ap);
	va_end(ap);
	assert_true(n >= 0 && s->n + (size_t)n < TRANSCRIPT_BYTES);
	s->n += (size_t)n;
}

static struct script begin(void)
{
	struct script s = {malloc(TRANSCRIPT_BYTES), 0};

	say(&s, "%s", PGH_LOGIN);
	return s;
}

static void end(struct script *s, uint32_t message_max)
{
	const struct pgh_opts o = {.message_max = message_max};

	pgh_run(s->b, &o);
	free(s->b);
}

static void test_state_size(void **state)
{
	(void)state;
	print_message("state: %zu bytes\n", sl_postgres_decoder.state_bytes);
	assert_true(sl_postgres_decoder.state_bytes <= 4096);
}

/* Without a block: no prepared statements, no rows under a mask; all else goes on, denials and holds too. */
static void test_no_blocks(void **state)
{
	struct script s = begin();

	(void)state;
	say(&s, "C: P s|q\nC: S\n>C: E ERROR 53400 too many prepared statements for this gateway\n>C: Z I\n");
	say(&s, "C: Q DENY me\n!: COMMAND 1 simple DENY me\n"
	        "!: RESULT 1  rows=0 masked=0 failed local 42501\n>C: E ERROR 42501 denied D=event EV\n>C: Z "
	        "I\n");
	say(&s, "C: Q HOLD me\n!: COMMAND 2 simple HOLD me\n=: park\nR: wait\n>C: N NOTICE 00000 held "
	        "D=event EV\n=: park\n"
	        "R: deny refused no!\n!: RESULT 2  rows=0 masked=0 failed local 42501\n"
	        ">C: E ERROR 42501 no! D=event EV\n>C: Z I\n");
	say(&s, "C: Q ssn\n!: COMMAND 3 simple ssn\n>T: Q ssn\nT: T ssn\n!: ROWMETA 3 1\n>C: T ssn:25:0\n"
	        "T: D secret\nT: C SELECT 1\nT: Z I\n!: RESULT 3  rows=0 masked=0 failed 42501\n"
	        ">C: E ERROR 42501 too many columns of this result would have to be masked\n>C: Z I\n");
	say(&s, "C: Q ok\n!: COMMAND 4 simple ok\n>T: Q ok\nT: C OK\nT: Z I\n!: RESULT 4 OK rows=0 masked=0\n"
	        ">C: C OK\n>C: Z I\n");
	pgh_run(s.b, &(const struct pgh_opts){.no_blocks = true});
	free(s.b);
}

static void test_names(void **state)
{
	struct script s = begin();
	char name[65];

	(void)state;
	memset(name, 'n', 64);
	name[64] = '\0';
	say(&s,
	    "C: P %s|q\nC: S\n>C: E ERROR 42622 prepared statement name is longer than 63 bytes\n>C: Z I\n",
	    name);
	say(&s, "C: D S|%s\nC: S\n>C: E ERROR 42622 name is longer than 63 bytes\n>C: Z I\n", name);
	say(&s, "C: C P|%s\nC: S\n>C: E ERROR 42622 name is longer than 63 bytes\n>C: Z I\n", name);
	say(&s, "C: Q ok\n!: COMMAND 1 simple ok\n>T: Q ok\n");
	end(&s, 0);
}

/* 256 statements, then one more: an error; after a Close there is room again. */
static void test_statements(void **state)
{
	struct script s = begin();

	(void)state;
	for (int i = 0; i < PG_STMTS_MAX; i++)
		say(&s, "C: P s%d|q\n", i);
	say(&s, "C: S\n");
	for (int i = 0; i < PG_STMTS_MAX; i++)
		say(&s, "!: COMMAND %d prepare q\n>T: P s%d|q\n", i + 1, i);
	say(&s, ">T: S\n");
	for (int i = 0; i < PG_STMTS_MAX; i++)
		say(&s, "T: 1\n");
	say(&s, "T: Z I\n");
	for (int i = 0; i < PG_STMTS_MAX; i++)
		say(&s, ">C: 1\n");
	say(&s, ">C: Z I\n");
	say(&s,
	    "C: P more|q\nC: S\n>C: E ERROR 53400 too many prepared statements for this gateway\n>C: Z I\n");
	say(&s, "C: C S|s7\nC: S\n>T: C S|s7\n>T: S\nT: 3\nT: Z I\n>C: 3\n>C: Z I\n");
	say(&s, "C: P more|q\n!: COMMAND %d prepare q\n>T: P more|q\n", PG_STMTS_MAX + 1);
	end(&s, 0);
}

/* 8 statements of 65,000 bytes leave 4,288 of the 512 KB. */
static void test_texts(void **state)
{
	struct script s = begin();
	char *big = malloc(65001);

	(void)state;
	memset(big, 'q', 65000);
	big[65000] = '\0';
	for (int i = 1; i <= 8; i++)
		say(&s,
		    "C: P s%d|%s\nC: S\n!: COMMAND %d prepare %s\n>T: P s%d|%s\n>T: S\nT: 1\nT: Z I\n>C: "
		    "1\n>C: Z I\n",
		    i, big, i, big, i, big);
	say(&s,
	    "C: P more|%.4300s\nC: S\n>C: E ERROR 53400 prepared statements too large for this gateway\n>C: "
	    "Z "
	    "I\n",
	    big);
	/* the gap that a Close leaves is found again, and the other text stays what it was */
	say(&s, "C: P t|HOLD t\nC: C S|s1\nC: S\n!: COMMAND 9 prepare HOLD t\n>T: P t|HOLD t\n>T: C "
	        "S|s1\n>T: S\n"
	        "T: 1\nT: 3\nT: Z I\n>C: 1\n>C: 3\n>C: Z I\n");
	say(&s,
	    "C: P more|%s\nC: S\n!: COMMAND 10 prepare %s\n>T: P more|%s\n>T: S\nT: 1\nT: Z I\n>C: 1\n>C: Z "
	    "I\n",
	    big, big, big);
	say(&s, "C: B |t\n!: COMMAND 11 execute HOLD t\n=: park\nR: wait\n>C: N NOTICE 00000 held D=event "
	        "EV\n=: park\n");
	pgh_run(s.b, &(const struct pgh_opts){.message_max = 1 << 18});
	free(s.b);
	free(big);
}

#define ONE_STATEMENT                                                                                        \
	"C: P s|q\nC: S\n!: COMMAND 1 prepare q\n>T: P s|q\n>T: S\nT: 1\nT: Z I\n>C: 1\n>C: Z I\n"

/* As many as the protocol can say. */
static void test_parameters(void **state)
{
	struct script s = begin();

	(void)state;
	say(&s, ONE_STATEMENT "C: B |s");
	for (int i = 0; i < PG_PARAMS_MAX; i++)
		say(&s, "|1");
	say(&s, "\n!: COMMAND 2 execute q");
	for (int i = 0; i < PG_PARAMS_MAX; i++)
		say(&s, "|1:0");
	say(&s, "\n>T: B |s");
	for (int i = 0; i < PG_PARAMS_MAX; i++)
		say(&s, "|1");
	say(&s, "\n");
	pgh_run(s.b, &(const struct pgh_opts){.message_max = 1 << 20});
	free(s.b);
}

/* Over the message limit a Bind is judged by its first bytes (here 1,024) and passed on as it comes. */
static void test_large_bind(void **state)
{
	char big[3001], cut[1007];
	struct script s = begin();

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	memset(cut, 'y', sizeof(cut) - 1);
	cut[sizeof(cut) - 1] = '\0';
	say(&s, ONE_STATEMENT);
	say(&s, "C: B |s|7|%s|last\nC: E |0\nC: S\n!: COMMAND 2 execute q|7:0|%.1003s:0+1997 and 1 more\n",
	    big, big);
	say(&s, ">T: B |s|7|%s|last\n>T: D P|\n>T: E |0\n>T: S\n", big);
	say(&s, "T: 2\nT: n\nT: C INSERT 0 1\nT: Z I\n!: RESULT 2 INSERT 0 1 rows=0 masked=0\n>C: 2\n>C: C "
	        "INSERT 0 1\n>C: Z I\n");
	/* the head ends inside the second one's length */
	say(&s, "C: B |s|%s|%s\nC: S\n!: COMMAND 3 execute q|%s:0 and 1 more\n>T: B |s|%s|%s\n>T: S\n", cut,
	    big, cut, cut, big);
	say(&s, "T: 2\nT: Z I\n>C: 2\n>C: Z I\n");
	/* refused: none of it goes */
	say(&s, "C: B |none|%s\nC: S\n>C: E ERROR 26000 prepared statement does not exist\n>C: Z I\n", big);
	end(&s, 1024);
	/* and while it is held it stays where it is */
	s = begin();
	say(&s,
	    "C: P s|HOLD\nC: S\n!: COMMAND 1 prepare HOLD\n>T: P s|HOLD\n>T: S\nT: 1\nT: Z I\n>C: 1\n>C: Z "
	    "I\n");
	say(&s,
	    "C: B |s|%s\nC: S\n!: COMMAND 2 execute HOLD|%.1008s:0+1992\n=: park\nR: wait\n>C: N NOTICE "
	    "00000 held "
	    "D=event EV\n=: park\nR: allow\n>T: B |s|%s\n>T: S\n",
	    big, big, big);
	end(&s, 1024);
}

/* One whose lengths do not add up is never finished. */
static void test_large_bind_malformed(void **state)
{
	static const struct {
		const char *tail;
		int passed;
	} cases[] = {
	        {"00000010 61", 1124},         /* a length behind the head runs past the end */
	        {"00000001 61 0001", 1126},    /* a format is missing */
	        {"00000001 61 0000 00", 1127}, /* a byte too many */
	};
	struct script s;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		static const int sizes[] = {1124, 1126, 1127};

		s = begin();
		say(&s, ONE_STATEMENT "C: x 42 %08x 00 7300 0000 0002 00000450", sizes[i]);
		for (int k = 0; k < 0x450; k++)
			say(&s, " 62");
		say(&s, " %s\n!: COMMAND 2 execute q|", cases[i].tail);
		for (int k = 0; k < 1008; k++)
			say(&s, "b");
		say(&s,
		    ":0+96 and 1 more\n!: ERROR proto_malformed\n>C: E FATAL 08P01 malformed Bind "
		    "message\n>T: "
		    "part B %d\n=: proto_malformed\n",
		    cases[i].passed);
		end(&s, 1024);
	}
	/* in the head: at once */
	s = begin();
	say(&s, ONE_STATEMENT "C: x 42 00000471 00 7300 0000 0001 00000500");
	for (int k = 0; k < 0x462; k++)
		say(&s, " 62");
	say(&s, "\n!: ERROR proto_malformed\n>C: E FATAL 08P01 malformed Bind message\n=: proto_malformed\n");
	end(&s, 1024);
	/* names that do not end: not a message that can be judged */
	s = begin();
	say(&s, "C: x 42 00000471");
	for (int k = 0; k < 0x46d; k++)
		say(&s, " 62");
	say(&s, "\n!: ERROR flow_message_size\n>C: E FATAL 54000 message larger than this gateway reads\n=: "
	        "flow_message_size\n");
	end(&s, 1024);
}

static void test_portals(void **state)
{
	struct script s = begin();

	(void)state;
	/* more Binds in one pipeline than there are slots: the client waits for replies, which a Flush of
	 * ours brings */
	say(&s, "C: P s|q\n");
	for (int i = 0; i <= PG_PORTALS_MAX; i++)
		say(&s, "C: B |s\n");
	say(&s, "C: S\n!: COMMAND 1 prepare q\n>T: P s|q\n");
	for (int i = 0; i < PG_PORTALS_MAX; i++)
		say(&s, "!: COMMAND %d execute q\n>T: B |s\n", i + 2);
	say(&s,
	    ">T: H\n=: again\nT: 1\nT: 2\nT: 2\n!: COMMAND %d execute q\n>C: 1\n>C: 2\n>C: 2\n>T: B |s\n>T: "
	    "S\n",
	    PG_PORTALS_MAX + 2);
	end(&s, 0);
}

static void test_queue_full(void **state)
{
	struct script s = begin();
	const int n = PG_QUEUE_MAX - PG_QUEUE_SLACK + 1;

	(void)state;
	for (int i = 0; i < n + 1; i++)
		say(&s, "C: S\n");
	for (int i = 0; i < n; i++)
		say(&s, ">T: S\n");
	say(&s, "=: again\nT: Z I\n>C: Z I\n>T: S\n");
	end(&s, 0);
}

static void test_denials_pending(void **state)
{
	struct script s = begin();

	(void)state;
	/* as many as can wait, then the client waits */
	say(&s, "C: Q q\n");
	for (int i = 0; i < PG_SAYS_MAX; i++)
		say(&s, "C: Q DENY\n");
	say(&s, "!: COMMAND 1 simple q\n>T: Q q\n");
	for (int i = 0; i < PG_SAYS_MAX - 1; i++)
		say(&s, "!: COMMAND %d simple DENY\n>T: Q SLUICE DENIED\n", i + 2);
	say(&s,
	    "=: again\nT: C OK\nT: Z I\nT: E ERROR 42601 x\nT: Z I\n!: RESULT 1 OK rows=0 masked=0\n"
	    "!: RESULT 2  rows=0 masked=0 failed local 42501\n!: COMMAND %d simple DENY\n>T: Q SLUICE "
	    "DENIED\n"
	    ">C: C OK\n>C: Z I\n>C: E ERROR 42501 denied D=event EV\n>C: Z I\n",
	    PG_SAYS_MAX + 1);
	end(&s, 0);
}

static void test_large_rows(void **state)
{
	struct script s = begin();
	char *big = malloc(9001);

	(void)state;
	memset(big, 'v', 9000);
	big[9000] = '\0';
	/* passes by count where nothing is wanted; is refused where a value of it must be read */
	say(&s,
	    "C: Q q\n!: COMMAND 1 simple q\n>T: Q q\nT: T a\nT: D %s\nT: C SELECT 1\nT: Z I\n!: ROWMETA 1 1\n"
	    "!: RESULT 1 SELECT 1 rows=1 masked=0\n>C: T a:25:0\n>C: D %s\n>C: C SELECT 1\n>C: Z I\n",
	    big, big);
	say(&s,
	    "C: Q q\n!: COMMAND 2 simple q\n>T: Q q\nT: T ssn\nT: D %s\nT: D 1\nT: C SELECT 2\nT: Z I\n!: "
	    "ROWMETA 2 1\n"
	    "!: RESULT 2  rows=0 masked=0 failed 42501\n>C: T ssn:25:0\n"
	    ">C: E ERROR 42501 a row of this result is too large to be masked\n>C: Z I\n",
	    big);
	free(big);
	end(&s, 8192);
}

/* All columns that a result can have may be masked; their names have a bound together. */
static void test_many_masked(void **state)
{
	const int n = PG_COLNAME_BYTES / PG_NAME_MAX + 1;
	struct script s = begin();
	char name[PG_NAME_MAX + 1];

	(void)state;
	memset(name, 'n', PG_NAME_MAX);
	memcpy(name, "ssn", 3);
	name[PG_NAME_MAX] = '\0';
	say(&s, "C: Q q\n!: COMMAND 1 simple q\n>T: Q q\nT: T");
	for (int i = 0; i < n; i++)
		say(&s, " %s", name);
	say(&s,
	    "\nT: D 1\nT: C SELECT 1\nT: Z I\n!: ROWMETA 1 %d\n!: RESULT 1  rows=0 masked=0 failed "
	    "42501\n>C: T",
	    n);
	for (int i = 0; i < n; i++)
		say(&s, " %s:25:0", name);
	say(&s, "\n>C: E ERROR 42501 too many columns of this result would have to be masked\n>C: Z I\n");
	say(&s, "C: Q r\n!: COMMAND 2 simple r\n>T: Q r\nT: T");
	for (int i = 0; i < PG_COLUMNS_MAX; i++)
		say(&s, " ssn");
	say(&s, "\n!: ROWMETA 2 %d\n>C: T", PG_COLUMNS_MAX);
	for (int i = 0; i < PG_COLUMNS_MAX; i++)
		say(&s, " ssn:25:0");
	say(&s, "\nT: D 1");
	for (int i = 1; i < PG_COLUMNS_MAX; i++)
		say(&s, ",1");
	say(&s, "\n");
	for (int i = 0; i < PG_COLUMNS_MAX; i++)
		say(&s, "!: FIELD ssn=1\n");
	say(&s, ">C: D #");
	for (int i = 1; i < PG_COLUMNS_MAX; i++)
		say(&s, ",#");
	say(&s, "\n");
	pgh_run(s.b, &(const struct pgh_opts){.message_max = 1 << 18});
	free(s.b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_state_size),      cmocka_unit_test(test_no_blocks),
	        cmocka_unit_test(test_names),           cmocka_unit_test(test_statements),
	        cmocka_unit_test(test_texts),           cmocka_unit_test(test_parameters),
	        cmocka_unit_test(test_large_bind),      cmocka_unit_test(test_large_bind_malformed),
	        cmocka_unit_test(test_portals),         cmocka_unit_test(test_queue_full),
	        cmocka_unit_test(test_denials_pending), cmocka_unit_test(test_large_rows),
	        cmocka_unit_test(test_many_masked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
