/* Transcripts of what masks need of the decoder: marks, texts of errors and notices, COPY. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "test_pg_harness.h"

static void run(const char *transcript)
{
	pgh_run(transcript, NULL);
}

/* A command's mark comes back with what its reply raises, and with nothing of another one's. */
static void test_mark_simple(void **state)
{
	(void)state;
	run(PGH_LOGIN "C: Q MARK a;b\nC: Q c\n!: COMMAND 1 simple MARK a;b\n!: COMMAND 2 simple c\n"
	              ">T: Q MARK a;b\n>T: Q c\n"
	              "T: T ssn\nT: D 1\nT: C SELECT 1\nT: T x\nT: C SELECT 0\nT: Z I\n"
	              "!: ROWMETA 1 1 mark\n!: FIELD ssn=1 mark\n!: RESULT 1 SELECT 1 rows=1 masked=1 mark\n"
	              "!: ROWMETA 1 1 mark\n!: RESULT 1 SELECT 0 rows=0 masked=0 mark\n"
	              ">C: T ssn:25:0\n>C: D #\n>C: C SELECT 1\n>C: T x:25:0\n>C: C SELECT 0\n>C: Z I\n"
	              "T: T ssn\nT: D 1\nT: C SELECT 1\nT: Z I\n"
	              "!: ROWMETA 2 1\n!: FIELD ssn=1\n!: RESULT 2 SELECT 1 rows=1 masked=1\n"
	              ">C: T ssn:25:0\n>C: D #\n>C: C SELECT 1\n>C: Z I\n");
	/* through a hold, allowed and refused */
	run(PGH_LOGIN "C: Q HOLD MARK\n!: COMMAND 1 simple HOLD MARK\n=: park\n"
	              "R: allow\n>T: Q HOLD MARK\nT: E ERROR 22012 x\nT: Z I\n"
	              "!: RESULT 1  rows=0 masked=0 failed 22012 mark\n>C: E ERROR 22012 x\n>C: Z I\n"
	              "C: Q HOLD MARK\n!: COMMAND 2 simple HOLD MARK\n=: park\n"
	              "R: deny refused no\n!: RESULT 2  rows=0 masked=0 failed local 42501 mark\n"
	              ">C: E ERROR 42501 no D=event EV\n>C: Z I\n");
}

static void test_mark_extended(void **state)
{
	(void)state;
	/* a portal keeps it over its Executes; another one has its own */
	run(PGH_LOGIN
	    "C: P s|MARK\nC: P |q\nC: B a|s\nC: B b|\nC: E a|1\nC: E b|0\nC: E a|0\nC: S\n"
	    "!: COMMAND 1 prepare MARK\n!: COMMAND 2 prepare q\n!: COMMAND 3 execute MARK\n"
	    "!: COMMAND 4 execute q\n"
	    ">T: P s|MARK\n>T: P |q\n>T: B a|s\n>T: B b|\n>T: D P|a\n>T: E a|1\n>T: D P|b\n>T: E b|0\n>T: H\n=: "
	    "again\n"
	    "T: 1\nT: 1\nT: 2\nT: 2\nT: T ssn\nT: D 1\nT: s\nT: T ssn\nT: D 2\nT: C SELECT 1\n"
	    "!: ROWMETA 3 1 mark\n!: FIELD ssn=1 mark\n!: RESULT 3  rows=1 masked=1 mark\n"
	    "!: ROWMETA 4 1\n!: FIELD ssn=2\n!: RESULT 4 SELECT 1 rows=1 masked=1\n"
	    ">C: 1\n>C: 1\n>C: 2\n>C: 2\n>C: D #\n>C: s\n>C: D #\n>C: C SELECT 1\n"
	    ">T: D P|a\n>T: E a|0\n>T: S\n"
	    "T: T ssn\nT: D 3\nT: C SELECT 1\nT: Z I\n"
	    "!: ROWMETA 3 1 mark\n!: FIELD ssn=3 mark\n!: RESULT 3 SELECT 1 rows=1 masked=1 mark\n"
	    ">C: D #\n>C: C SELECT 1\n>C: Z I\n");
	/* what is refused behind it in the pipeline is not its */
	run(PGH_LOGIN "C: P |MARK\nC: B |\nC: S\n!: COMMAND 1 prepare MARK\n!: COMMAND 2 execute MARK\n"
	              ">T: P |MARK\n>T: B |\n>T: S\n"
	              "T: E ERROR 42601 x\n!: RESULT 1  rows=0 masked=0 failed 42601 mark\n"
	              ">C: E ERROR 42601 x\nT: Z I\n>C: Z I\n"
	              "C: Q DENY\n!: COMMAND 3 simple DENY\n!: RESULT 3  rows=0 masked=0 failed local 42501\n"
	              ">C: E ERROR 42501 denied D=event EV\n>C: Z I\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_mark_simple),
	        cmocka_unit_test(test_mark_extended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
