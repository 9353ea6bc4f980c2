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

#define TRANSCRIPT_BYTES (1u << 20)

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

/* 200 statements of 1,300 bytes leave 2,144 of the 256 KB. */
static void test_texts(void **state)
{
	struct script s = begin();
	char big[3001];

	(void)state;
	memset(big, 'q', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	for (int i = 1; i <= 200; i++)
		say(&s,
		    "C: P s%d|%.1300s\nC: S\n!: COMMAND %d prepare %.1300s\n>T: P s%d|%.1300s\n>T: S\nT: "
		    "1\nT: Z "
		    "I\n>C: 1\n>C: Z I\n",
		    i, big, i, big, i, big);
	say(&s,
	    "C: P more|%s\nC: S\n>C: E ERROR 53400 prepared statements too large for this gateway\n>C: Z I\n",
	    big);
	/* the gap that a Close leaves is found again, and the other text stays what it was */
	say(&s, "C: P t|HOLD t\nC: C S|s1\nC: S\n!: COMMAND 201 prepare HOLD t\n>T: P t|HOLD t\n>T: C "
	        "S|s1\n>T: S\n"
	        "T: 1\nT: 3\nT: Z I\n>C: 1\n>C: 3\n>C: Z I\n");
	say(&s,
	    "C: P more|%s\nC: S\n!: COMMAND 202 prepare %s\n>T: P more|%s\n>T: S\nT: 1\nT: Z I\n>C: 1\n>C: Z "
	    "I\n",
	    big, big, big);
	say(&s, "C: B |t\n!: COMMAND 203 execute HOLD t\n=: park\nR: wait\n>C: N NOTICE 00000 held D=event "
	        "EV\n=: park\n");
	pgh_run(s.b, &(const struct pgh_opts){.message_max = 1 << 18});
	free(s.b);
}

static void test_parameters(void **state)
{
	struct script s = begin();

	(void)state;
	say(&s, "C: P s|q\nC: S\n!: COMMAND 1 prepare q\n>T: P s|q\n>T: S\nT: 1\nT: Z I\n>C: 1\n>C: Z I\nC: "
	        "B |s");
	for (int i = 0; i <= PG_PARAMS_MAX; i++)
		say(&s, "|1");
	say(&s, "\nC: S\n>C: E ERROR 54000 more parameters than this gateway reads\n>C: Z I\n");
	end(&s, 0);
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

static void test_many_masked(void **state)
{
	struct script s = begin();

	(void)state;
	say(&s, "C: Q q\n!: COMMAND 1 simple q\n>T: Q q\nT: T");
	for (int i = 0; i <= PG_WANTED_MAX; i++)
		say(&s, " ssn");
	say(&s,
	    "\nT: D 1\nT: C SELECT 1\nT: Z I\n!: ROWMETA 1 %d\n!: RESULT 1  rows=0 masked=0 failed "
	    "42501\n>C: T",
	    PG_WANTED_MAX + 1);
	for (int i = 0; i <= PG_WANTED_MAX; i++)
		say(&s, " ssn:25:0");
	say(&s, "\n>C: E ERROR 42501 too many columns of this result would have to be masked\n>C: Z I\n");
	end(&s, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_state_size),      cmocka_unit_test(test_no_blocks),
	        cmocka_unit_test(test_names),           cmocka_unit_test(test_statements),
	        cmocka_unit_test(test_texts),           cmocka_unit_test(test_parameters),
	        cmocka_unit_test(test_portals),         cmocka_unit_test(test_queue_full),
	        cmocka_unit_test(test_denials_pending), cmocka_unit_test(test_large_rows),
	        cmocka_unit_test(test_many_masked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
