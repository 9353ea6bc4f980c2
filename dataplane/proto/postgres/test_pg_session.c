/* Transcripts of sessions: query, denial, hold, masking, COPY. Each is replayed whole, in bytes, at every cut
 * and at random. */
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

static void test_simple(void **state)
{
	(void)state;
	run(PGH_LOGIN "C: Q select 1\n!: COMMAND 1 simple select 1\n>T: Q select 1\n"
	              "T: T a:23\nT: D 1\nT: D NULL\nT: C SELECT 2\nT: Z I\n"
	              "!: ROWMETA 1 1\n!: RESULT 1 SELECT 2 rows=2 masked=0\n"
	              ">C: T a:23:0\n>C: D 1\n>C: D NULL\n>C: C SELECT 2\n>C: Z I\n"
	              "C: Q \n!: COMMAND 2 simple \n>T: Q \nT: I\nT: Z I\n!: RESULT 2  rows=0 masked=0\n>C: "
	              "I\n>C: Z I\n"
	              "C: X\n>T: X\n=: closed\nF: T\n=: closed\n");
	/* several statements, one command, a result each; an error ends it */
	run(PGH_LOGIN "C: Q a;b\n!: COMMAND 1 simple a;b\n>T: Q a;b\n"
	              "T: C INSERT 0 1\nT: E ERROR 22012 division by zero\nT: Z I\n"
	              "!: RESULT 1 INSERT 0 1 rows=0 masked=0\n!: RESULT 1  rows=0 masked=0 failed 22012\n"
	              ">C: C INSERT 0 1\n>C: E ERROR 22012 division by zero\n>C: Z I\n");
	/* what may come at any time */
	run(PGH_LOGIN "T: N NOTICE 00000 hello\nT: A news\nT: S TimeZone=UTC\n"
	              ">C: N NOTICE 00000 hello\n>C: A news\n>C: S TimeZone=UTC\n");
}

static void test_p23_denied_simple(void **state)
{
	(void)state;
	/* idle: nothing reaches the target; the next one works */
	run(PGH_LOGIN
	    "C: Q DENY me\n!: COMMAND 1 simple DENY me\n!: RESULT 1  rows=0 masked=0 failed local 42501\n"
	    ">C: E ERROR 42501 denied D=event EV\n>C: Z I\n"
	    "C: Q ok\n!: COMMAND 2 simple ok\n>T: Q ok\nT: C OK\nT: Z I\n!: RESULT 2 OK rows=0 masked=0\n"
	    ">C: C OK\n>C: Z I\n");
	/* in a transaction: it is aborted at the target as well */
	run(PGH_LOGIN
	    "C: Q begin\n!: COMMAND 1 simple begin\n>T: Q begin\n"
	    "T: C BEGIN\nT: Z T\n!: RESULT 1 BEGIN rows=0 masked=0\n>C: C BEGIN\n>C: Z T\n"
	    "C: Q DENY me\n!: COMMAND 2 simple DENY me\n>T: Q SLUICE DENIED\n"
	    "T: E ERROR 42601 syntax error\nT: Z E\n!: RESULT 2  rows=0 masked=0 failed local 42501\n"
	    ">C: E ERROR 42501 denied D=event EV\n>C: Z E\n"
	    /* and in the failed transaction it is answered here */
	    "C: Q DENY again\n!: COMMAND 3 simple DENY again\n!: RESULT 3  rows=0 masked=0 failed local "
	    "42501\n"
	    ">C: E ERROR 42501 denied D=event EV\n>C: Z E\n");
}

static void test_p15_batch(void **state)
{
	(void)state;
	run(PGH_LOGIN "C: Q SELECT 1; DENY TABLE x\n!: COMMAND 1 simple SELECT 1; DENY TABLE x\n"
	              "!: RESULT 1  rows=0 masked=0 failed local 42501\n>C: E ERROR 42501 denied D=event "
	              "EV\n>C: Z I\n");
}

static void test_p24_denied_behind_rows(void **state)
{
	(void)state;
	run(PGH_LOGIN
	    "C: Q slow\nC: Q DENY\nC: Q ok\n!: COMMAND 1 simple slow\n!: COMMAND 2 simple DENY\n!: COMMAND 3 "
	    "simple ok\n"
	    ">T: Q slow\n>T: Q SLUICE DENIED\n>T: Q ok\n"
	    "T: T a\nT: D 1\n!: ROWMETA 1 1\n>C: T a:25:0\n>C: D 1\n"
	    "T: D 2\nT: C SELECT 2\nT: Z I\nT: E ERROR 42601 syntax error\nT: Z I\nT: C OK\nT: Z I\n"
	    "!: RESULT 1 SELECT 2 rows=2 masked=0\n!: RESULT 2  rows=0 masked=0 failed local 42501\n"
	    "!: RESULT 3 OK rows=0 masked=0\n"
	    ">C: D 2\n>C: C SELECT 2\n>C: Z I\n>C: E ERROR 42501 denied D=event EV\n>C: Z I\n>C: C OK\n>C: Z "
	    "I\n");
}

static void test_p21_extended(void **state)
{
	(void)state;
	run(PGH_LOGIN "C: P s|select $1|23\nC: B |s|7\nC: D P|\nC: E |0\nC: S\n"
	              "!: COMMAND 1 prepare select $1\n!: COMMAND 2 execute select $1|7:23\n"
	              ">T: P s|select $1\n>T: B |s|7\n>T: D P|\n>T: E |0\n>T: S\n"
	              "T: 1\nT: 2\nT: T a:23\nT: D 7\nT: C SELECT 1\nT: Z I\n"
	              "!: ROWMETA 2 1\n!: RESULT 2 SELECT 1 rows=1 masked=0\n"
	              ">C: 1\n>C: 2\n>C: T a:23:0\n>C: D 7\n>C: C SELECT 1\n>C: Z I\n"
	              /* again, without Describe: we ask, and keep the answer */
	              "C: B |s|NULL\nC: E |0\nC: S\n!: COMMAND 3 execute select $1|NULL\n"
	              ">T: B |s|NULL\n>T: D P|\n>T: E |0\n>T: S\n"
	              "T: 2\nT: T a:23\nT: D NULL\nT: C SELECT 1\nT: Z I\n"
	              "!: ROWMETA 3 1\n!: RESULT 3 SELECT 1 rows=1 masked=0\n>C: 2\n>C: D NULL\n>C: C SELECT "
	              "1\n>C: Z I\n");
	/* portal suspended and continued: one command */
	run(PGH_LOGIN
	    "C: Q begin\n!: COMMAND 1 simple begin\n>T: Q begin\n"
	    "T: C BEGIN\nT: Z T\n!: RESULT 1 BEGIN rows=0 masked=0\n>C: C BEGIN\n>C: Z T\n"
	    "C: P |q\nC: B p|\nC: E p|1\nC: S\n!: COMMAND 2 prepare q\n!: COMMAND 3 execute q\n"
	    ">T: P |q\n>T: B p|\n>T: D P|p\n>T: E p|1\n>T: S\n"
	    "T: 1\nT: 2\nT: T a\nT: D x\nT: s\nT: Z T\n!: ROWMETA 3 1\n!: RESULT 3  rows=1 masked=0\n"
	    ">C: 1\n>C: 2\n>C: D x\n>C: s\n>C: Z T\n"
	    "C: E p|1\nC: S\n>T: D P|p\n>T: E p|1\n>T: S\n"
	    "T: T a\nT: D y\nT: C SELECT 1\nT: Z T\n!: ROWMETA 3 1\n!: RESULT 3 SELECT 1 rows=1 masked=0\n"
	    ">C: D y\n>C: C SELECT 1\n>C: Z T\n"
	    /* a third one runs it anew */
	    "C: E p|1\nC: S\n!: COMMAND 4 execute q\n>T: D P|p\n>T: E p|1\n>T: S\n");
	/* Describe of a statement, Close, Flush */
	run(PGH_LOGIN "C: P s|q\nC: D S|s\nC: H\n!: COMMAND 1 prepare q\n>T: P s|q\n>T: D S|s\n>T: H\n"
	              "T: 1\nT: t\nT: T a\n>C: 1\n>C: t\n>C: T a:25:0\n"
	              "C: C S|s\nC: S\n>T: C S|s\n>T: S\nT: 3\nT: Z I\n>C: 3\n>C: Z I\n"
	              "C: Q ok\n!: COMMAND 2 simple ok\n>T: Q ok\n");
}

static void test_parameter_types(void **state)
{
	(void)state;
	/* what Parse left open the target says */
	run(PGH_LOGIN "C: P s|q\nC: D S|s\nC: S\n!: COMMAND 1 prepare q\n>T: P s|q\n>T: D S|s\n>T: S\n"
	              "T: 1\nT: t 23 1700\nT: n\nT: Z I\n>C: 1\n>C: t\n>C: n\n>C: Z I\n"
	              "C: B |s|7|8|9\nC: S\n!: COMMAND 2 execute q|7:23|8:1700|9:0\n>T: B |s|7|8|9\n>T: S\n"
	              "T: 2\nT: Z I\n>C: 2\n>C: Z I\n"
	              /* of one that is not known any more, of none, and the same again */
	              "C: D S|s\nC: C S|s\nC: D S|none\nC: S\n>T: D S|s\n>T: C S|s\n>T: D S|none\n>T: S\n"
	              "T: t 23 1700\nT: n\nT: 3\nT: E ERROR 26000 none\nT: Z I\n>C: t\n>C: n\n>C: 3\n>C: E "
	              "ERROR 26000 none\n>C: Z "
	              "I\n");
	run(PGH_LOGIN "C: P s|q\nC: D S|s\nC: H\n!: COMMAND 1 prepare q\n>T: P s|q\n>T: D S|s\n>T: H\n"
	              "T: 1\n>C: 1\nT: x 7400000009000100000017 0000\n!: ERROR proto_target\n"
	              ">C: E FATAL 08006 malformed ParameterDescription\n=: proto_target\n");
}

static void test_closed_statement(void **state)
{
	(void)state;
	run(PGH_LOGIN "C: P s|q\nC: C S|s\nC: S\n!: COMMAND 1 prepare q\n>T: P s|q\n>T: C S|s\n>T: S\n"
	              "T: 1\nT: 3\nT: Z I\n>C: 1\n>C: 3\n>C: Z I\n"
	              "C: B |s\nC: E |0\nC: S\n>C: E ERROR 26000 prepared statement does not exist\n>C: Z I\n"
	              "C: E nope|0\nC: S\n>C: E ERROR 34000 portal does not exist\n>C: Z I\n");
}

#define PARSED(name)                                                                                         \
	"C: P " name "|q\nC: S\n!: COMMAND 1 prepare q\n>T: P " name                                         \
	"|q\n>T: S\nT: 1\nT: Z I\n>C: 1\n>C: Z I\n"
#define DEALLOCATES(sql)                                                                                     \
	"C: Q " sql "\n!: COMMAND 2 simple " sql "\n>T: Q " sql "\nT: C DEALLOCATE\nT: Z I\n"                \
	"!: RESULT 2 DEALLOCATE rows=0 masked=0\n>C: C DEALLOCATE\n>C: Z I\n"
#define GONE  "C: B |s\nC: S\n>C: E ERROR 26000 prepared statement does not exist\n>C: Z I\n"
#define THERE "C: B |s\n!: COMMAND 3 execute q\n>T: B |s\n"

/* There is room again for what SQL has removed, where it says so plainly. */
static void test_deallocated(void **state)
{
	(void)state;
	run(PGH_LOGIN PARSED("s") DEALLOCATES("DEALLOCATE s") GONE);
	run(PGH_LOGIN PARSED("s") DEALLOCATES("DEALLOCATE other") THERE);
	run(PGH_LOGIN PARSED("s") DEALLOCATES("DEALLOCATE") THERE);
	/* one that is made again in the same flight */
	run(PGH_LOGIN PARSED(
	        "s") "C: Q DEALLOCATE s\nC: P s|new\nC: S\n!: COMMAND 2 simple DEALLOCATE s\n"
	             "!: COMMAND 3 prepare new\n>T: Q DEALLOCATE s\n>T: P s|new\n>T: S\n"
	             "T: C DEALLOCATE\nT: Z I\nT: 1\nT: Z I\n!: RESULT 2 DEALLOCATE rows=0 masked=0\n"
	             ">C: C DEALLOCATE\n>C: Z I\n>C: 1\n>C: Z I\n"
	             "C: B |s\n!: COMMAND 4 execute new\n>T: B |s\n");
}

#define DEALLOCATED(more, sent, said, tag, read)                                                             \
	PARSED("s")                                                                                          \
	"C: P |DEALLOCATE s\nC: B |\n" more "C: E |0\nC: S\n"                                                \
	"!: COMMAND 2 prepare DEALLOCATE s\n!: COMMAND 3 execute DEALLOCATE s\n" said                        \
	">T: P |DEALLOCATE s\n>T: B |\n" sent ">T: D P|\n>T: E |0\n>T: S\nT: 1\nT: 2\n" read "T: n\n"        \
	"T: " tag "\nT: Z I\n"

/* The same by the extended protocol, as psycopg does it in a pipeline. */
static void test_deallocated_extended(void **state)
{
	(void)state;
	run(PGH_LOGIN DEALLOCATED("", "", "", "C DEALLOCATE",
	                          "") "!: RESULT 3 DEALLOCATE rows=0 masked=0\n"
	                              ">C: 1\n>C: 2\n>C: C DEALLOCATE\n>C: Z I\n" GONE);
	/* one that the target refuses */
	run(PGH_LOGIN DEALLOCATED("", "", "", "E ERROR 26000 x",
	                          "") "!: RESULT 3  rows=0 masked=0 failed 26000\n"
	                              ">C: 1\n>C: 2\n>C: E ERROR 26000 x\n>C: Z I\n"
	                              "C: B |s\n!: COMMAND 4 execute q\n>T: B |s\n");
	/* one that is closed and made again before it runs */
	run(PGH_LOGIN DEALLOCATED("C: C S|s\nC: P s|new\n", ">T: C S|s\n>T: P s|new\n",
	                          "!: COMMAND 4 prepare new\n", "C DEALLOCATE",
	                          "T: 3\nT: 1\n") "!: RESULT 3 DEALLOCATE rows=0 masked=0\n"
	                                          ">C: 1\n>C: 2\n>C: 3\n>C: 1\n>C: C DEALLOCATE\n>C: Z I\n"
	                                          "C: B |s\n!: COMMAND 5 execute new\n>T: B |s\n");
}

#define NINE_PARSED                                                                                          \
	"C: P a|q\nC: P b|q\nC: P c|q\nC: P d|q\nC: P e|q\nC: P f|q\nC: P g|q\nC: P h|q\nC: P sHOLD|q\nC: "  \
	"S\n"                                                                                                \
	"!: COMMAND 1 prepare q\n!: COMMAND 2 prepare q\n!: COMMAND 3 prepare q\n!: COMMAND 4 prepare q\n"   \
	"!: COMMAND 5 prepare q\n!: COMMAND 6 prepare q\n!: COMMAND 7 prepare q\n!: COMMAND 8 prepare q\n"   \
	"!: COMMAND 9 prepare q\n"                                                                           \
	">T: P a|q\n>T: P b|q\n>T: P c|q\n>T: P d|q\n>T: P e|q\n>T: P f|q\n>T: P g|q\n>T: P h|q\n>T: P "     \
	"sHOLD|q\n>T: S\n"

/* One that is held while the statements it was read beside fail, so that the table of names goes back. */
static void test_deallocate_held(void **state)
{
	(void)state;
	run(PGH_LOGIN NINE_PARSED "C: Q DEALLOCATE sHOLD\n!: COMMAND 10 simple DEALLOCATE sHOLD\n=: park\n"
	                          "T: E ERROR 42601 x\nT: Z I\n!: RESULT 1  rows=0 masked=0 failed 42601\n"
	                          ">C: E ERROR 42601 x\n>C: Z I\n=: park\n"
	                          "R: allow\n>T: Q DEALLOCATE sHOLD\nT: C DEALLOCATE\nT: Z I\n"
	                          "!: RESULT 10 DEALLOCATE rows=0 masked=0\n>C: C DEALLOCATE\n>C: Z I\n");
}

/* Which statement or portal a Close removes is known when the one of that name, in flight, has its reply. */
static void test_closed_in_flight(void **state)
{
	(void)state;
	run(PGH_LOGIN PARSED("s") "C: P x|bad\nC: C S|s\nC: P s|new\nC: S\nC: C S|s\nC: S\n"
	                          "!: COMMAND 2 prepare bad\n!: COMMAND 3 prepare new\n"
	                          ">T: P x|bad\n>T: C S|s\n>T: P s|new\n>T: S\n=: again\n"
	                          "T: E ERROR 42601 x\nT: Z I\n!: RESULT 2  rows=0 masked=0 failed 42601\n"
	                          ">C: E ERROR 42601 x\n>C: Z I\n>T: C S|s\n>T: S\nT: 3\nT: Z I\n>C: 3\n>C: "
	                          "Z I\n" GONE);
}

#define TAKEN                                                                                                \
	">T: P sluice_denied|SLUICE DENIED\n>T: S\n"                                                         \
	"T: C PREPARE\nT: Z I\n!: RESULT 2 PREPARE rows=0 masked=0\n>C: C PREPARE\n>C: Z I\n"                \
	"T: E ERROR 42601 x\nT: Z I\n>C: E ERROR 26000 prepared statement does not exist\n>C: Z I\n"

/* Behind SQL's PREPARE a Bind does not go by what Parse had made under the name. */
static void test_prepared_in_flight(void **state)
{
	(void)state;
	run(PGH_LOGIN PARSED("s") "C: Q PREPARE s\nC: B |s\nC: S\n!: COMMAND 2 simple PREPARE s\n"
	                          ">T: Q PREPARE s\n" TAKEN);
	/* nor by one that has no reply yet */
	run(PGH_LOGIN "C: P s|q\nC: S\nC: Q PREPARE s\nC: B |s\nC: S\n!: COMMAND 1 prepare q\n"
	              "!: COMMAND 2 simple PREPARE s\n>T: P s|q\n>T: S\n>T: Q PREPARE s\n"
	              ">T: P sluice_denied|SLUICE DENIED\n>T: S\nT: 1\nT: Z I\n>C: 1\n>C: Z I\n"
	              "T: C PREPARE\nT: Z I\n!: RESULT 2 PREPARE rows=0 masked=0\n>C: C PREPARE\n>C: Z I\n"
	              "T: E ERROR 42601 x\nT: Z I\n>C: E ERROR 26000 prepared statement does not exist\n"
	              ">C: Z I\n");
	/* others stay; where the name is not plain, none does */
	run(PGH_LOGIN PARSED("s") "C: Q PREPARE other\n!: COMMAND 2 simple PREPARE other\n"
	                          ">T: Q PREPARE other\n" THERE);
	run(PGH_LOGIN PARSED("s") "C: Q PREPARE\nC: B |s\nC: S\n!: COMMAND 2 simple PREPARE\n"
	                          ">T: Q PREPARE\n" TAKEN);
	/* by the protocol's own way */
	run(PGH_LOGIN PARSED("s") "C: P |PREPARE s\nC: B |\nC: B |s\nC: S\n"
	                          "!: COMMAND 2 prepare PREPARE s\n!: COMMAND 3 execute PREPARE s\n"
	                          ">T: P |PREPARE s\n>T: B |\n>T: P sluice_denied|SLUICE DENIED\n>T: S\n");
	/* and where others were made since it was bound, and perhaps removed */
	run(PGH_LOGIN "C: P |PREPARE s\nC: B p|\nC: P s|q\nC: B |s\nC: E |0\nC: E p|0\nC: B |s\nC: S\n"
	              "!: COMMAND 1 prepare PREPARE s\n!: COMMAND 2 execute PREPARE s\n"
	              "!: COMMAND 3 prepare q\n!: COMMAND 4 execute q\n"
	              ">T: P |PREPARE s\n>T: B p|\n>T: P s|q\n>T: B |s\n>T: D P|\n>T: E |0\n>T: D P|p\n"
	              ">T: E p|0\n>T: P sluice_denied|SLUICE DENIED\n>T: S\n");
	/* a statement that takes its own name */
	run(PGH_LOGIN "C: P s|PREPARE s\nC: B |s\nC: S\n!: COMMAND 1 prepare PREPARE s\n"
	              "!: COMMAND 2 execute PREPARE s\n>T: P s|PREPARE s\n"
	              ">T: P sluice_denied|SLUICE DENIED\n>T: S\n");
}

/* EXECUTE is refused while a statement of FETCH has a name: behind DEALLOCATE ALL there is none. */
static void test_execute_behind_deallocate_all(void **state)
{
	(void)state;
	run(PGH_LOGIN "C: P s|FETCH\nC: S\n!: COMMAND 1 prepare FETCH\n>T: P s|FETCH\n>T: S\n"
	              "T: 1\nT: Z I\n>C: 1\n>C: Z I\n"
	              "C: Q DEALLOCATE ALL\n!: COMMAND 2 simple DEALLOCATE ALL\n>T: Q DEALLOCATE ALL\n"
	              "T: C DEALLOCATE ALL\nT: Z I\n!: RESULT 2 DEALLOCATE ALL rows=0 masked=0\n"
	              ">C: C DEALLOCATE ALL\n>C: Z I\n"
	              "C: Q EXECUTE x\n!: COMMAND 3 simple EXECUTE x\n>T: Q EXECUTE x\n");
}

/* Which statements and portals have a name. */
static void test_named(void **state)
{
	(void)state;
	run(PGH_LOGIN "C: P s|NAMED\nC: B p|s\nC: E p|0\nC: E p|0\nC: S\n!: COMMAND 1 prepare NAMED\n"
	              "!: COMMAND 2 execute NAMED\n>T: P s|NAMED\n>T: B p|s\n>T: D P|p\n>T: E p|0\n>T: H\n"
	              "=: again\nT: 1\nT: 2\nT: n\nT: C OK\n!: RESULT 2 OK rows=0 masked=0\n"
	              "!: COMMAND 3 execute NAMED\n>C: 1\n>C: 2\n>C: C OK\n>T: D P|p\n>T: E p|0\n>T: S\n");
	run(PGH_LOGIN "C: P s|NAMED\nC: S\n!: COMMAND 1 prepare NAMED\n>T: P s|NAMED\n>T: S\n"
	              "T: 1\nT: Z I\n>C: 1\n>C: Z I\nC: B |s\nC: S\n!: COMMAND 2 execute NAMED\n"
	              "!: RESULT 2  rows=0 masked=0 failed local 42501\n"
	              ">C: E ERROR 42501 denied D=event EV\n>C: Z I\n");
	run(PGH_LOGIN "C: P |NAMED\nC: S\n!: COMMAND 1 prepare NAMED\n"
	              "!: RESULT 1  rows=0 masked=0 failed local 42501\n"
	              ">C: E ERROR 42501 denied D=event EV\n>C: Z I\n");
}

#define BEGUN                                                                                                \
	PGH_LOGIN "C: Q begin\n!: COMMAND 1 simple begin\n>T: Q begin\n"                                     \
	          "T: C BEGIN\nT: Z T\n!: RESULT 1 BEGIN rows=0 masked=0\n>C: C BEGIN\n>C: Z T\n"
#define SIMPLE(cmd, sql, tag)                                                                                \
	"C: Q " sql "\n!: COMMAND " cmd " simple " sql "\n>T: Q " sql "\n"                                   \
	"T: C " tag "\nT: Z T\n!: RESULT " cmd " " tag " rows=0 masked=0\n>C: C " tag "\n>C: Z T\n"
#define REFUSED(code, text)                                                                                  \
	">T: P sluice_denied|SLUICE DENIED\n>T: S\nT: E ERROR 42601 syntax error\nT: Z E\n"                  \
	">C: E ERROR " code " " text "\n>C: Z E\n"
#define NO_PORTAL    REFUSED("34000", "portal does not exist")
#define NO_STATEMENT REFUSED("26000", "prepared statement does not exist")

/* SQL has opened a cursor, perhaps in the portal's place: an Execute is not the Bind's command any more. */
static void test_portal_of_sql(void **state)
{
	(void)state;
	run(BEGUN "C: P |q\nC: B p|\nC: S\n!: COMMAND 2 prepare q\n!: COMMAND 3 execute q\n"
	          ">T: P |q\n>T: B p|\n>T: S\nT: 1\nT: 2\nT: Z T\n>C: 1\n>C: 2\n>C: Z T\n" SIMPLE(
	                  "4", "close p", "CLOSE CURSOR") SIMPLE("5", "DECLARE p", "DECLARE CURSOR")
	    /* not even described */
	    "C: E p|0\nC: S\n" NO_PORTAL
	    "C: D P|p\nC: S\n>C: E ERROR 34000 portal does not exist\n>C: Z E\n");
	/* the same in one pipeline, without a reply; and one that is bound behind it */
	run(BEGUN "C: P |q\nC: B p|\nC: P |DECLARE p\nC: B |\nC: E |0\nC: B r|\nC: E p|0\nC: S\n"
	          "!: COMMAND 2 prepare q\n!: COMMAND 3 execute q\n!: COMMAND 4 prepare DECLARE p\n"
	          "!: COMMAND 5 execute DECLARE p\n!: COMMAND 6 execute DECLARE p\n"
	          ">T: P |q\n>T: B p|\n>T: P |DECLARE p\n>T: B |\n>T: D P|\n>T: E |0\n>T: B r|\n"
	          ">T: P sluice_denied|SLUICE DENIED\n>T: S\n"
	          "T: 1\nT: 2\nT: 1\nT: 2\nT: n\nT: C DECLARE CURSOR\nT: 2\nT: E ERROR 42601 x\nT: Z E\n"
	          "!: RESULT 5 DECLARE CURSOR rows=0 masked=0\n"
	          ">C: 1\n>C: 2\n>C: 1\n>C: 2\n>C: C DECLARE CURSOR\n>C: 2\n"
	          ">C: E ERROR 34000 portal does not exist\n>C: Z E\n");
	run(BEGUN SIMPLE(
	        "2", "DECLARE c",
	        "DECLARE CURSOR") "C: P |q\nC: B p|\nC: E p|1\nC: S\n!: COMMAND 3 prepare q\n!: COMMAND 4 "
	                          "execute q\n"
	                          ">T: P |q\n>T: B p|\n>T: D P|p\n>T: E p|1\n>T: S\n"
	                          "T: 1\nT: 2\nT: T a\nT: D x\nT: s\nT: Z T\n!: ROWMETA 4 1\n!: RESULT 4  "
	                          "rows=1 masked=0\n"
	                          ">C: 1\n>C: 2\n>C: D x\n>C: s\n>C: Z T\n" SIMPLE(
	                                  "5", "close c",
	                                  "CLOSE CURSOR") "C: E p|1\nC: S\n>T: D P|p\n>T: E p|1\n>T: S\n");
}

#define UNNAMED                                                                                              \
	BEGUN "C: P |q\nC: B |\nC: S\n!: COMMAND 2 prepare q\n!: COMMAND 3 execute q\n"                      \
	      ">T: P |q\n>T: B |\n>T: S\nT: 1\nT: 2\nT: Z T\n>C: 1\n>C: 2\n>C: Z T\n"
#define NO_FETCH                                                                                             \
	"T: E ERROR 34000 no cursor\nT: Z E\n!: RESULT 4  rows=0 masked=0 failed 34000\n"                    \
	">C: E ERROR 34000 no cursor\n>C: Z E\n"

/* A Query that fails in a transaction leaves a portal without a name that PostgreSQL dies of. */
static void test_portal_of_query(void **state)
{
	(void)state;
	run(UNNAMED "C: Q no\n!: COMMAND 4 simple no\n>T: Q no\n" NO_FETCH
	            "C: E |0\nC: S\n>C: E ERROR 34000 portal does not exist\n>C: Z E\n");
	/* the same in one pipeline; and one whose own reply has not come */
	run(UNNAMED "C: Q no\nC: E |0\nC: S\n!: COMMAND 4 simple no\n>T: Q no\n"
	            ">T: P sluice_denied|SLUICE DENIED\n>T: S\n" NO_FETCH
	            "T: E ERROR 25P02 x\nT: Z E\n>C: E ERROR 34000 portal does not exist\n>C: Z E\n");
	run(BEGUN "C: P |q\nC: B |\nC: Q no\nC: E |0\nC: S\n"
	          "!: COMMAND 2 prepare q\n!: COMMAND 3 execute q\n!: COMMAND 4 simple no\n"
	          ">T: P |q\n>T: B |\n>T: Q no\n>T: P sluice_denied|SLUICE DENIED\n>T: S\n"
	          "T: 1\nT: 2\n>C: 1\n>C: 2\n" NO_FETCH
	          "T: E ERROR 25P02 x\nT: Z E\n>C: E ERROR 34000 portal does not exist\n>C: Z E\n");
}

#define BOUND                                                                                                \
	BEGUN "C: P |FETCH\nC: B f|\nC: S\n!: COMMAND 2 prepare FETCH\n!: COMMAND 3 execute FETCH\n"         \
	      ">T: P |FETCH\n>T: B f|\n>T: S\nT: 1\nT: 2\nT: Z T\n>C: 1\n>C: 2\n>C: Z T\n"

/* PostgreSQL dies of the description of a FETCH whose cursor has gone. */
static void test_fetch_bound(void **state)
{
	(void)state;
	run(BOUND SIMPLE("4", "close c", "CLOSE CURSOR") "C: E f|0\nC: S\n" NO_PORTAL);
	run(BOUND SIMPLE("4", "select", "SELECT 1") "C: D P|f\nC: S\n" NO_PORTAL);
	run(BOUND "C: C P|c\nC: E f|0\nC: S\n>T: C P|c\n>T: P sluice_denied|SLUICE DENIED\n>T: S\n"
	          "T: 3\nT: E ERROR 42601 syntax error\nT: Z E\n"
	          ">C: 3\n>C: E ERROR 34000 portal does not exist\n>C: Z E\n");
	/* one pipeline, without names: what closes the cursor was bound first */
	run(BEGUN "C: P |close c\nC: B x|\nC: P |FETCH\nC: B |\nC: E x|0\nC: E |0\nC: S\n"
	          "!: COMMAND 2 prepare close c\n!: COMMAND 3 execute close c\n!: COMMAND 4 prepare FETCH\n"
	          "!: COMMAND 5 execute FETCH\n>T: P |close c\n>T: B x|\n>T: P |FETCH\n>T: B |\n"
	          ">T: D P|x\n>T: E x|0\n>T: P sluice_denied|SLUICE DENIED\n>T: S\n"
	          "T: 1\nT: 2\nT: 1\nT: 2\nT: n\nT: C CLOSE CURSOR\nT: E ERROR 42601 x\nT: Z E\n"
	          "!: RESULT 3 CLOSE CURSOR rows=0 masked=0\n>C: 1\n>C: 2\n>C: 1\n>C: 2\n>C: C CLOSE CURSOR\n"
	          ">C: E ERROR 34000 portal does not exist\n>C: Z E\n");
	/* a FETCH of the portal would be described by the cursor, too, unless it has been closed */
	run(BOUND SIMPLE("4", "FETCH f", "FETCH 0") SIMPLE(
	        "5", "FETCH c", "FETCH 0") "C: Q FETCH f\n!: COMMAND 6 simple FETCH f\n>T: Q SLUICE DENIED\n"
	                                   "T: E ERROR 42601 syntax error\nT: Z E\n!: RESULT 6  rows=0 "
	                                   "masked=0 failed local 0A000\n"
	                                   ">C: E ERROR 0A000 by the name of another FETCH, perhaps: close "
	                                   "that first\n>C: Z E\n");
	run(BOUND SIMPLE("4", "close c", "CLOSE CURSOR") "C: P |FETCH\nC: S\n!: COMMAND 5 prepare FETCH\n"
	                                                 ">T: P sluice_denied|SLUICE DENIED\n>T: S\n"
	                                                 "T: E ERROR 42601 syntax error\nT: Z E\n!: RESULT 5 "
	                                                 " rows=0 masked=0 failed local 0A000\n"
	                                                 ">C: E ERROR 0A000 by the name of another FETCH, "
	                                                 "perhaps: close that first\n>C: Z E\n");
	run(BOUND SIMPLE("4", "close c",
	                 "CLOSE CURSOR") "C: C P|f\nC: S\n>T: C P|f\n>T: S\nT: 3\nT: Z T\n>C: 3\n>C: Z T\n"
	                                 "C: Q FETCH f\n!: COMMAND 5 simple FETCH f\n>T: Q FETCH f\n");
	/* what stands in front of it in its text can close the cursor */
	run(BOUND "C: E f|1\nC: S\n>T: D P|f\n>T: E f|1\n>T: S\nT: T a\nT: D x\nT: s\nT: Z T\n"
	          "!: ROWMETA 3 1\n!: RESULT 3  rows=1 masked=0\n>C: D x\n>C: s\n>C: Z T\n"
	          "C: Q close c; FETCH\n!: COMMAND 4 simple close c; FETCH\n>T: Q SLUICE DENIED\n"
	          "T: E ERROR 42601 syntax error\nT: Z E\n!: RESULT 4  rows=0 masked=0 failed local 0A000\n"
	          ">C: E ERROR 0A000 by the name of another FETCH, perhaps: close that first\n>C: Z E\n");
	/* in parts, with nothing between but Sync */
	run(BOUND "C: E f|1\nC: S\n>T: D P|f\n>T: E f|1\n>T: S\nT: T a\nT: D x\nT: s\nT: Z T\n"
	          "!: ROWMETA 3 1\n!: RESULT 3  rows=1 masked=0\n>C: D x\n>C: s\n>C: Z T\n"
	          "C: D P|f\nC: E f|1\nC: S\n>T: D P|f\n>T: E f|1\n>T: S\n");
}

static void test_fetch_parsed(void **state)
{
	(void)state;
	run(BEGUN
	    "C: P s|FETCH\nC: D S|s\nC: S\n!: COMMAND 2 prepare FETCH\n>T: P s|FETCH\n>T: D S|s\n>T: S\n"
	    "T: 1\nT: t\nT: T a\nT: Z T\n>C: 1\n>C: t\n>C: T a:25:0\n>C: Z T\n"
	    /* its Bind looks the name up anew */
	    SIMPLE("3", "close c", "CLOSE CURSOR") "C: B |s\nC: D P|\nC: E |0\nC: S\n!: COMMAND 4 execute "
	                                           "FETCH\n>T: B |s\n>T: D P|\n>T: E |0\n>T: S\n"
	                                           "T: 2\nT: T a\nT: C FETCH 0\nT: Z T\n!: ROWMETA 4 1\n!: "
	                                           "RESULT 4 FETCH 0 rows=0 masked=0\n"
	                                           ">C: 2\n>C: T a:25:0\n>C: C FETCH 0\n>C: Z T\nC: D "
	                                           "S|s\nC: S\n" NO_STATEMENT);
	/* a segment can be a transaction, with which cursors end */
	run(BEGUN
	    "C: P s|FETCH\nC: S\nC: D S|s\nC: S\n!: COMMAND 2 prepare FETCH\n>T: P s|FETCH\n>T: S\n=: again\n"
	    "T: 1\nT: Z T\n>C: 1\n>C: Z T\n" NO_STATEMENT);
	/* one that is forgotten, because SQL may have made another of its name */
	run(BEGUN "C: P s|FETCH\nC: S\n!: COMMAND 2 prepare FETCH\n>T: P s|FETCH\n>T: S\nT: 1\nT: Z T\n>C: "
	          "1\n>C: Z T\n" SIMPLE("3", "deallocate", "DEALLOCATE")
	                  SIMPLE("4", "prepare", "PREPARE") "C: D S|s\nC: S\n" NO_STATEMENT);
	/* SQL runs it by its name, or describes it: also what was parsed before */
	run(BEGUN "C: P s|FETCH\nC: S\n!: COMMAND 2 prepare FETCH\n>T: P s|FETCH\n>T: S\nT: 1\nT: Z T\n>C: "
	          "1\n>C: Z T\n"
	          "C: Q EXECUTE s\n!: COMMAND 3 simple EXECUTE s\n>T: Q SLUICE DENIED\n"
	          "T: E ERROR 42601 syntax error\nT: Z E\n!: RESULT 3  rows=0 masked=0 failed local 0A000\n"
	          ">C: E ERROR 0A000 by the name of another FETCH, perhaps: close that first\n>C: Z E\n"
	          "C: P |EXECUTE s\nC: S\n!: COMMAND 4 prepare EXECUTE s\n!: RESULT 4  rows=0 masked=0 "
	          "failed local 0A000\n"
	          ">C: E ERROR 0A000 by the name of another FETCH, perhaps: close that first\n>C: Z E\n");
	/* closed, as the client was told */
	run(BEGUN
	    "C: P s|FETCH\nC: C S|s\nC: S\n!: COMMAND 2 prepare FETCH\n>T: P s|FETCH\n>T: C S|s\n>T: S\n"
	    "T: 1\nT: 3\nT: Z T\n>C: 1\n>C: 3\n>C: Z T\n"
	    "C: Q EXECUTE s\n!: COMMAND 3 simple EXECUTE s\n>T: Q EXECUTE s\n");
	/* what cannot be read may fetch, too */
	run(BEGUN
	    "C: P s|EXECUTE FETCH\nC: S\n!: COMMAND 2 prepare EXECUTE FETCH\n>T: P s|EXECUTE FETCH\n>T: S\n"
	    "T: 1\nT: Z T\n>C: 1\n>C: Z T\nC: Q EXECUTE s\n!: COMMAND 3 simple EXECUTE s\n>T: Q SLUICE "
	    "DENIED\n"
	    "T: E ERROR 42601 syntax error\nT: Z E\n!: RESULT 3  rows=0 masked=0 failed local 0A000\n"
	    ">C: E ERROR 0A000 by the name of another FETCH, perhaps: close that first\n>C: Z E\n");
	run(PGH_LOGIN
	    "C: P x|EXECUTE s\nC: P s|FETCH\nC: B |x\nC: S\n!: COMMAND 1 prepare EXECUTE s\n"
	    "!: COMMAND 2 prepare FETCH\n!: COMMAND 3 execute EXECUTE s\n"
	    ">T: P x|EXECUTE s\n>T: P s|FETCH\n>T: P sluice_denied|SLUICE DENIED\n>T: S\n"
	    "T: 1\nT: 1\nT: E ERROR 42601 x\nT: Z I\n!: RESULT 3  rows=0 masked=0 failed local 0A000\n"
	    ">C: 1\n>C: 1\n>C: E ERROR 0A000 by the name of another FETCH, perhaps: close that first\n>C: Z "
	    "I\n");
	/* without names nothing can be run by one */
	run(BEGUN "C: P |FETCH\nC: P x|EXECUTE q\nC: B |x\nC: E |0\nC: S\n!: COMMAND 2 prepare FETCH\n"
	          "!: COMMAND 3 prepare EXECUTE q\n!: COMMAND 4 execute EXECUTE q\n"
	          ">T: P |FETCH\n>T: P x|EXECUTE q\n>T: B |x\n>T: D P|\n>T: E |0\n>T: S\n");
}

static void test_p19_denied_parse(void **state)
{
	(void)state;
	/* all here: nothing upstream */
	run(PGH_LOGIN
	    "C: P |DENY\nC: B |\nC: E |0\nC: P |other\nC: S\n!: COMMAND 1 prepare DENY\n"
	    "!: RESULT 1  rows=0 masked=0 failed local 42501\n>C: E ERROR 42501 denied D=event EV\n>C: Z I\n"
	    "C: Q ok\n!: COMMAND 2 simple ok\n>T: Q ok\n");
	/* behind messages that went upstream: a failing Parse stands in */
	run(PGH_LOGIN
	    "C: P |ins\nC: B |\nC: E |0\nC: P |DENY\nC: B |\nC: E |0\nC: S\n"
	    "!: COMMAND 1 prepare ins\n!: COMMAND 2 execute ins\n!: COMMAND 3 prepare DENY\n"
	    ">T: P |ins\n>T: B |\n>T: D P|\n>T: E |0\n>T: P sluice_denied|SLUICE DENIED\n>T: S\n"
	    "T: 1\nT: 2\nT: n\nT: C INSERT 0 1\nT: E ERROR 42601 syntax error\nT: Z I\n"
	    "!: RESULT 2 INSERT 0 1 rows=0 masked=0\n!: RESULT 3  rows=0 masked=0 failed local 42501\n"
	    ">C: 1\n>C: 2\n>C: C INSERT 0 1\n>C: E ERROR 42501 denied D=event EV\n>C: Z I\n");
	/* something before it fails at the target: one error, and that of the target */
	run(PGH_LOGIN
	    "C: P |bad\nC: P |DENY\nC: S\n!: COMMAND 1 prepare bad\n!: COMMAND 2 prepare DENY\n"
	    ">T: P |bad\n>T: P sluice_denied|SLUICE DENIED\n>T: S\n"
	    "T: E ERROR 42601 syntax error\nT: Z I\n"
	    "!: RESULT 1  rows=0 masked=0 failed 42601\n!: RESULT 2  rows=0 masked=0 failed local 42501\n"
	    ">C: E ERROR 42601 syntax error\n>C: Z I\n");
	/* in a transaction */
	run(PGH_LOGIN
	    "C: Q begin\n!: COMMAND 1 simple begin\n>T: Q begin\n"
	    "T: C BEGIN\nT: Z T\n!: RESULT 1 BEGIN rows=0 masked=0\n>C: C BEGIN\n>C: Z T\n"
	    "C: P |DENY\nC: B |\nC: S\n!: COMMAND 2 prepare DENY\n>T: P sluice_denied|SLUICE DENIED\n>T: S\n"
	    "T: E ERROR 42601 x\nT: Z E\n!: RESULT 2  rows=0 masked=0 failed local 42501\n"
	    ">C: E ERROR 42501 denied D=event EV\n>C: Z E\n");
}

static void test_discard_to_sync(void **state)
{
	(void)state;
	/* the target fails before Sync is sent: what follows is dropped, unjudged, as the target would */
	run(PGH_LOGIN "C: P |bad\nC: H\n!: COMMAND 1 prepare bad\n>T: P |bad\n>T: H\n"
	              "T: E ERROR 42601 x\n!: RESULT 1  rows=0 masked=0 failed 42601\n>C: E ERROR 42601 x\n"
	              "C: B |\nC: E |0\nC: Q DENY\nC: S\n>T: S\nT: Z I\n>C: Z I\n");
}

static void test_stale_parse(void **state)
{
	(void)state;
	/*
	 * A Parse that the target drops, because something before it failed, leaves the old statement in
	 * place: a Bind behind the Sync must not be judged by the new text.
	 */
	run(PGH_LOGIN
	    "C: P s|HOLD update\nC: S\n!: COMMAND 1 prepare HOLD update\n>T: P s|HOLD update\n>T: S\n"
	    "T: 1\nT: Z I\n>C: 1\n>C: Z I\n"
	    "C: P |bad\nC: C S|s\nC: P s|harmless\nC: S\nC: B |s\nC: E |0\nC: S\n"
	    "!: COMMAND 2 prepare bad\n!: COMMAND 3 prepare harmless\n"
	    ">T: P |bad\n>T: C S|s\n>T: P s|harmless\n>T: S\n=: again\n"
	    "T: E ERROR 42601 x\nT: Z I\n!: RESULT 2  rows=0 masked=0 failed 42601\n!: COMMAND 4 execute "
	    "HOLD update\n"
	    ">C: E ERROR 42601 x\n>C: Z I\n=: park\nR: wait\n>C: N NOTICE 00000 held D=event EV\n=: park\n");
}

/* What a name means does not change with the age of the session. */
static void test_long_session(void **state)
{
	(void)state;
	run(PGH_LOGIN
	    "C: P |q\nC: S\n!: COMMAND 1 prepare q\n>T: P |q\n>T: S\nT: 1\nT: Z I\n>C: 1\n>C: Z I\nN:\n"
	    "C: P |new\nC: S\n!: COMMAND 2 prepare new\n>T: P |new\n>T: S\nT: 1\nT: Z I\n>C: 1\n>C: Z I\n"
	    "C: B |\n!: COMMAND 3 execute new\n>T: B |\n");
	run(PGH_LOGIN "N:\nC: P |q\nC: B p|\nC: E p|0\n!: COMMAND 1 prepare q\n!: COMMAND 2 execute q\n"
	              ">T: P |q\n>T: B p|\n>T: D P|p\n>T: E p|0\n");
}

static void test_hold(void **state)
{
	(void)state;
	run(PGH_LOGIN "C: Q HOLD\nC: Q next\n!: COMMAND 1 simple HOLD\n=: park\nR: wait\n>C: N NOTICE 00000 "
	              "held D=event EV\n=: park\n"
	              "R: allow\n!: COMMAND 2 simple next\n>T: Q HOLD\n>T: Q next\n"
	              "T: C UPDATE 1\nT: Z I\nT: C N\nT: Z I\n!: RESULT 1 UPDATE 1 rows=0 masked=0\n"
	              "!: RESULT 2 N rows=0 masked=0\n>C: C UPDATE 1\n>C: Z I\n>C: C N\n>C: Z I\n");
	/* let through at once: nobody hears that it was held */
	run(PGH_LOGIN
	    "C: Q HOLD\n!: COMMAND 1 simple HOLD\n=: park\nR: allow\n>T: Q HOLD\n"
	    "T: C UPDATE 1\nT: Z I\n!: RESULT 1 UPDATE 1 rows=0 masked=0\n>C: C UPDATE 1\n>C: Z I\n");
	run(PGH_LOGIN "C: Q HOLD\n!: COMMAND 1 simple HOLD\n=: park\nR: wait\n>C: N NOTICE 00000 held "
	              "D=event EV\n=: park\n"
	              "R: deny refused no!\n!: RESULT 1  rows=0 masked=0 failed local 42501\n"
	              ">C: E ERROR 42501 no! D=event EV\n>C: Z I\n");
	run(PGH_LOGIN "C: Q HOLD\n!: COMMAND 1 simple HOLD\n=: park\nR: wait\n>C: N NOTICE 00000 held "
	              "D=event EV\n=: park\n"
	              "R: deny cancelled stopped\n!: RESULT 1  rows=0 masked=0 failed local 57014\n"
	              ">C: E ERROR 57014 stopped D=event EV\n>C: Z I\n");
	/* the store is gone */
	run(PGH_LOGIN "C: Q HOLD\n!: COMMAND 1 simple HOLD\n=: park\nR: wait\n>C: N NOTICE 00000 held "
	              "D=event EV\n=: park\n"
	              "R: deny unavailable later\n!: RESULT 1  rows=0 masked=0 failed local 58030\n"
	              ">C: E ERROR 58030 later D=event EV\n>C: Z I\n");
}

static void test_hold_in_pipeline(void **state)
{
	(void)state;
	/* what is before it needs a Flush to be answered; the notice has its turn behind that; the rest waits
	 */
	run(PGH_LOGIN
	    "C: P |one\nC: B |\nC: D P|\nC: E |0\nC: P |HOLD\nC: B |\nC: E |0\nC: S\n"
	    "!: COMMAND 1 prepare one\n!: COMMAND 2 execute one\n!: COMMAND 3 prepare HOLD\n!: "
	    "COMMAND 4 execute HOLD\n"
	    ">T: P |one\n>T: B |\n>T: D P|\n>T: E |0\n>T: P |HOLD\n>T: H\n=: park\n"
	    "R: wait\n=: park\nT: 1\nT: 2\nT: T a\n!: ROWMETA 2 1\n>C: 1\n>C: 2\n>C: T a:25:0\n=: park\n"
	    "T: D 1\nT: C SELECT 1\nT: 1\n!: RESULT 2 SELECT 1 rows=1 masked=0\n"
	    ">C: D 1\n>C: C SELECT 1\n>C: 1\n>C: N NOTICE 00000 held D=event EV\n=: park\n"
	    "R: allow\n>T: B |\n>T: D P|\n>T: E |0\n>T: S\n"
	    "T: 2\nT: n\nT: C UPDATE 1\nT: Z I\n!: RESULT 4 UPDATE 1 rows=0 masked=0\n>C: 2\n>C: C "
	    "UPDATE 1\n>C: Z I\n");
	/* denied at last: the pipeline before it is undone by a failing Parse */
	run(PGH_LOGIN
	    "C: P |HOLD\nC: B |\nC: E |0\nC: S\n!: COMMAND 1 prepare HOLD\n!: COMMAND 2 execute HOLD\n"
	    ">T: P |HOLD\n>T: H\n=: park\nR: wait\n=: park\n"
	    "T: 1\n>C: 1\n>C: N NOTICE 00000 held D=event EV\n=: park\n"
	    "R: deny refused no!\n>T: P sluice_denied|SLUICE DENIED\n>T: S\n"
	    "T: E ERROR 42601 x\nT: Z I\n!: RESULT 2  rows=0 masked=0 failed local 42501\n"
	    ">C: E ERROR 42501 no! D=event EV\n>C: Z I\n");
	/* what was before it fails while it waits: approved or not, it never runs */
	run(PGH_LOGIN
	    "C: P |HOLD\nC: B |\nC: E |0\nC: S\n!: COMMAND 1 prepare HOLD\n!: COMMAND 2 execute HOLD\n"
	    ">T: P |HOLD\n>T: H\n=: park\n"
	    "T: E ERROR 42P01 no such table\n!: RESULT 1  rows=0 masked=0 failed 42P01\n"
	    ">C: E ERROR 42P01 no such table\n=: park\n"
	    "R: allow\n>T: S\nT: Z I\n>C: Z I\n");
}

/* A text that is read in another way by other settings, behind what may have changed them. */
static void test_texts_in_flight(void **state)
{
	(void)state;
	/* it waits for the word of the target, which comes with its ReadyForQuery */
	run(PGH_LOGIN "C: Q f()\nC: Q '\\'\n!: COMMAND 1 simple f()\n>T: Q f()\n=: again\n"
	              "T: C SELECT 1\nT: S standard_conforming_strings=off\nT: Z I\n"
	              "!: RESULT 1 SELECT 1 rows=0 masked=0\n!: COMMAND 2 simple unread '\\'\n"
	              ">C: C SELECT 1\n>C: S standard_conforming_strings=off\n>C: Z I\n>T: Q '\\'\n");
	run(PGH_LOGIN "C: P |f()\nC: B |\nC: E |0\nC: S\nC: P |'\\'\nC: S\n"
	              "!: COMMAND 1 prepare f()\n!: COMMAND 2 execute f()\n"
	              ">T: P |f()\n>T: B |\n>T: D P|\n>T: E |0\n>T: S\n=: again\n"
	              "T: 1\nT: 2\nT: n\nT: C SELECT 1\nT: Z I\n"
	              "!: RESULT 2 SELECT 1 rows=0 masked=0\n!: COMMAND 3 prepare '\\'\n"
	              ">C: 1\n>C: 2\n>C: C SELECT 1\n>C: Z I\n>T: P |'\\'\n>T: S\n");
	/* in one segment no word comes: it is unread, and so is what is bound to it later */
	run(PGH_LOGIN "C: P |f()\nC: B |\nC: E |0\nC: P s|'\\'\nC: P |'\\n'\nC: S\nC: Q '\\'\n"
	              "!: COMMAND 1 prepare f()\n!: COMMAND 2 execute f()\n!: COMMAND 3 prepare unread '\\'\n"
	              "!: COMMAND 4 prepare '\\n'\n"
	              ">T: P |f()\n>T: B |\n>T: D P|\n>T: E |0\n>T: P s|'\\'\n>T: P |'\\n'\n>T: S\n"
	              "=: again\n"
	              "T: 1\nT: 2\nT: n\nT: C SELECT 1\nT: 1\nT: 1\nT: Z I\n"
	              "!: RESULT 2 SELECT 1 rows=0 masked=0\n!: COMMAND 5 simple '\\'\n"
	              ">C: 1\n>C: 2\n>C: C SELECT 1\n>C: 1\n>C: 1\n>C: Z I\n>T: Q '\\'\n"
	              "T: C SELECT 1\nT: Z I\n!: RESULT 5 SELECT 1 rows=0 masked=0\n>C: C SELECT 1\n>C: Z I\n"
	              "C: D S|s\nC: S\n>T: D S|s\n>T: S\nT: t 23\nT: n\nT: Z I\n>C: t\n>C: n\n>C: Z I\n"
	              "C: B |s\n!: COMMAND 6 execute unread '\\'\n>T: B |s\n");
	/* nor does what drivers begin a transaction with change them */
	run(PGH_LOGIN "C: P |BEGIN\nC: B |\nC: E |0\nC: P |'\\'\nC: P |begin_()\nC: B |\nC: P |'\\'\n"
	              "!: COMMAND 1 prepare BEGIN\n!: COMMAND 2 execute BEGIN\n!: COMMAND 3 prepare '\\'\n"
	              "!: COMMAND 4 prepare begin_()\n!: COMMAND 5 execute begin_()\n"
	              "!: COMMAND 6 prepare unread '\\'\n"
	              ">T: P |BEGIN\n>T: B |\n>T: D P|\n>T: E |0\n>T: P |'\\'\n>T: P |begin_()\n>T: B |\n>T: "
	              "P |'\\'\n");
	/* bytes beyond ASCII, where another encoding could take the next one with them */
	run(PGH_LOGIN "T: S server_encoding=UTF8\n>C: S server_encoding=UTF8\n"
	              "C: P |q\nC: B |\nC: E |0\nC: P |'\xc3\xa9', \xc3\xa9t\xc3\xa9\nC: P |E'\xc3\xa9\\'\n"
	              "!: COMMAND 1 prepare q\n!: COMMAND 2 execute q\n"
	              "!: COMMAND 3 prepare '\xc3\xa9', \xc3\xa9t\xc3\xa9\n"
	              "!: COMMAND 4 prepare unread E'\xc3\xa9\\'\n"
	              ">T: P |q\n>T: B |\n>T: D P|\n>T: E |0\n"
	              ">T: P |'\xc3\xa9', \xc3\xa9t\xc3\xa9\n>T: P |E'\xc3\xa9\\'\n");
	/* drivers that prepare ahead, or go on behind what has ended, do not wait */
	run(PGH_LOGIN
	    "C: P a|q\nC: D S|a\nC: P b|'\\'\nC: S\n!: COMMAND 1 prepare q\n!: COMMAND 2 prepare '\\'\n"
	    ">T: P a|q\n>T: D S|a\n>T: P b|'\\'\n>T: S\n");
}

static void test_mask_simple(void **state)
{
	(void)state;
	run(PGH_LOGIN
	    "C: Q q\n!: COMMAND 1 simple q\n>T: Q q\n"
	    "T: T id:23 ssn long nul keep last\nT: D 1,123-45,ab,secret,kept,z\nT: D "
	    "2,NULL,NULL,NULL,NULL,NULL\n"
	    "T: D 3,,,,,\nT: C SELECT 3\nT: Z I\n"
	    "!: ROWMETA 1 6\n!: FIELD ssn=123-45\n!: FIELD long=ab\n!: FIELD nul=secret\n!: FIELD keep=kept\n"
	    "!: FIELD ssn=\n!: FIELD long=\n!: FIELD nul=\n!: FIELD keep=\n"
	    "!: RESULT 1 SELECT 3 rows=3 masked=6\n"
	    ">C: T id:23:0 ssn:25:0 long:25:0 nul:25:0 keep:25:0 last:25:0\n"
	    ">C: D 1,#,xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx,NULL,kept,z\n>C: D "
	    "2,NULL,NULL,NULL,NULL,NULL\n"
	    ">C: D 3,#,xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx,NULL,,\n>C: C SELECT 3\n>C: Z I\n");
	/* the second statement's columns are its own */
	run(PGH_LOGIN "C: Q a;b\n!: COMMAND 1 simple a;b\n>T: Q a;b\n"
	              "T: T ssn\nT: D 1\nT: C SELECT 1\nT: T x\nT: D 1\nT: C SELECT 1\nT: Z I\n"
	              "!: ROWMETA 1 1\n!: FIELD ssn=1\n!: RESULT 1 SELECT 1 rows=1 masked=1\n!: ROWMETA 1 1\n"
	              "!: RESULT 1 SELECT 1 rows=1 masked=0\n>C: T ssn:25:0\n>C: D #\n>C: C SELECT 1\n"
	              ">C: T x:25:0\n>C: D 1\n>C: C SELECT 1\n>C: Z I\n");
}

static void test_p27_unreadable(void **state)
{
	(void)state;
	/* a value that cannot be masked: the rest of the reply is withheld */
	run(PGH_LOGIN
	    "C: Q a;b\n!: COMMAND 1 simple a;b\n>T: Q a;b\n"
	    "T: T bad\nT: D NULL\nT: D 1\nT: D 2\nT: C SELECT 3\nT: C OTHER\nT: Z I\n"
	    "!: ROWMETA 1 1\n!: FIELD bad=1\n!: RESULT 1  rows=1 masked=0 failed 42501\n"
	    "!: RESULT 1  rows=0 masked=0 failed 42501\n"
	    ">C: T bad:25:0\n>C: D NULL\n>C: E ERROR 42501 a value of this result cannot be masked\n>C: Z I\n"
	    "C: Q ok\n!: COMMAND 2 simple ok\n>T: Q ok\n");
	/* binary format of a masked column, extended: dropped to Sync */
	run(PGH_LOGIN "C: P |q\nC: Bb |\nC: E |0\nC: P |after\nC: S\n"
	              "!: COMMAND 1 prepare q\n!: COMMAND 2 execute q\n!: COMMAND 3 prepare after\n"
	              ">T: P |q\n>T: B |\n>T: D P|\n>T: E |0\n>T: P |after\n>T: S\n"
	              "T: 1\nT: 2\nT: T ssn:23:1\nT: D 1234\nT: C SELECT 1\nT: 1\nT: Z I\n"
	              "!: ROWMETA 2 1\n!: FIELD ssn=1234\n!: RESULT 2  rows=0 masked=0 failed 42501\n"
	              ">C: 1\n>C: 2\n>C: E ERROR 42501 a value of this result cannot be masked\n>C: Z I\n");
	/* the same without a Sync yet: what comes before it is dropped unjudged */
	run(PGH_LOGIN "C: P |q\nC: Bb |\nC: E |0\nC: H\n!: COMMAND 1 prepare q\n!: COMMAND 2 execute q\n"
	              ">T: P |q\n>T: B |\n>T: D P|\n>T: E |0\n>T: H\n"
	              "T: 1\nT: 2\nT: T ssn:23:1\nT: D 1234\nT: C SELECT 1\n"
	              "!: ROWMETA 2 1\n!: FIELD ssn=1234\n!: RESULT 2  rows=0 masked=0 failed 42501\n"
	              ">C: 1\n>C: 2\n>C: E ERROR 42501 a value of this result cannot be masked\n"
	              "C: P |DENY\nC: S\n>T: S\nT: Z I\n>C: Z I\n");
	/* cursors: FETCH brings its own description */
	run(PGH_LOGIN "C: Q fetch c\n!: COMMAND 1 simple fetch c\n>T: Q fetch c\n"
	              "T: T ssn:25:1\nT: D 1\nT: C FETCH 1\nT: Z T\n!: ROWMETA 1 1\n!: FIELD ssn=1\n"
	              "!: RESULT 1  rows=0 masked=0 failed 42501\n>C: T ssn:25:1\n"
	              ">C: E ERROR 42501 a value of this result cannot be masked\n>C: Z T\n");
}

static void test_mask_described(void **state)
{
	(void)state;
	/* the client's own Describe holds for the Execute right behind it */
	run(PGH_LOGIN
	    "C: P |q\nC: B |\nC: D P|\nC: E |0\nC: S\n!: COMMAND 1 prepare q\n!: COMMAND 2 execute q\n"
	    ">T: P |q\n>T: B |\n>T: D P|\n>T: E |0\n>T: S\n"
	    "T: 1\nT: 2\nT: T ssn\nT: D 1\nT: C SELECT 1\nT: Z I\n"
	    "!: ROWMETA 2 1\n!: FIELD ssn=1\n!: RESULT 2 SELECT 1 rows=1 masked=1\n"
	    ">C: 1\n>C: 2\n>C: T ssn:25:0\n>C: D #\n>C: C SELECT 1\n>C: Z I\n");
	/* two portals, crossed: each Execute is described anew where its own Describe is not the last */
	run(PGH_LOGIN "C: P |q\nC: B a|\nC: D P|a\nC: B b|\nC: D P|b\nC: E a|0\nC: E b|0\nC: S\n"
	              "!: COMMAND 1 prepare q\n!: COMMAND 2 execute q\n!: COMMAND 3 execute q\n"
	              ">T: P |q\n>T: B a|\n>T: D P|a\n>T: B b|\n>T: D P|b\n>T: D P|a\n>T: E a|0\n>T: D "
	              "P|b\n>T: E b|0\n>T: S\n"
	              "T: 1\nT: 2\nT: T ssn\nT: 2\nT: T x\nT: T ssn\nT: D 1\nT: C SELECT 1\nT: T x\nT: D "
	              "1\nT: C SELECT 1\nT: Z I\n"
	              "!: ROWMETA 2 1\n!: ROWMETA 3 1\n!: ROWMETA 2 1\n!: FIELD ssn=1\n!: RESULT 2 SELECT 1 "
	              "rows=1 masked=1\n"
	              "!: ROWMETA 3 1\n!: RESULT 3 SELECT 1 rows=1 masked=0\n"
	              ">C: 1\n>C: 2\n>C: T ssn:25:0\n>C: 2\n>C: T x:25:0\n>C: D #\n>C: C SELECT 1\n>C: D "
	              "1\n>C: C SELECT 1\n>C: Z I\n");
	/* our Describe fails: its error is the Execute's */
	run(PGH_LOGIN
	    "C: P |q\nC: B |\nC: E |0\nC: S\n!: COMMAND 1 prepare q\n!: COMMAND 2 execute q\n"
	    ">T: P |q\n>T: B |\n>T: D P|\n>T: E |0\n>T: S\n"
	    "T: 1\nT: 2\nT: E ERROR 34000 no portal\nT: Z I\n!: RESULT 2  rows=0 masked=0 failed 34000\n"
	    ">C: 1\n>C: 2\n>C: E ERROR 34000 no portal\n>C: Z I\n");
}

static void test_copy(void **state)
{
	static const struct pgh_opts mask = {.mask_copy = true};

	(void)state;
	run(PGH_LOGIN "C: Q copy in\n!: COMMAND 1 simple copy in\n>T: Q copy in\nT: G\n>C: G\n"
	              "C: d one\nC: H\nC: S\nC: d two\nC: c\n>T: d one\n>T: d two\n>T: c\n"
	              "T: C COPY 2\nT: Z I\n!: RESULT 1 COPY 2 rows=2 masked=0\n>C: C COPY 2\n>C: Z I\n");
	/* fails: what is still under way is dropped */
	run(PGH_LOGIN
	    "C: Q copy in\n!: COMMAND 1 simple copy in\n>T: Q copy in\nT: G\n>C: G\nC: d one\n>T: d one\n"
	    "T: E ERROR 22P02 bad\nT: Z I\n!: RESULT 1  rows=0 masked=0 failed 22P02\n>C: E ERROR 22P02 "
	    "bad\n>C: Z I\n"
	    "C: d two\nC: c\nC: Q ok\n!: COMMAND 2 simple ok\n>T: Q ok\n");
	/* sent ahead: waits for the target's word */
	run(PGH_LOGIN "C: Q copy in\nC: d one\nC: c\n!: COMMAND 1 simple copy in\n>T: Q copy in\n=: again\n"
	              "T: G\n>C: G\n>T: d one\n>T: c\n");
	/* extended; the Sync that was sent along is ignored by the target */
	run(PGH_LOGIN "C: P |copy in\nC: B |\nC: E |0\nC: S\n!: COMMAND 1 prepare copy in\n!: COMMAND 2 "
	              "execute copy in\n"
	              ">T: P |copy in\n>T: B |\n>T: D P|\n>T: E |0\n>T: S\nT: 1\nT: 2\nT: n\nT: G\n>C: "
	              "1\n>C: 2\n>C: G\n"
	              "C: d one\nC: f stop\nC: S\n>T: d one\n>T: f stop\n>T: S\n"
	              "T: E ERROR 57014 stop\nT: Z I\n!: RESULT 2  rows=0 masked=0 failed 57014\n>C: E ERROR "
	              "57014 stop\n>C: Z I\n");
	run(PGH_LOGIN "C: Q copy out\n!: COMMAND 1 simple copy out\n>T: Q copy out\nT: H\nT: d one\nT: d "
	              "two\nT: c\nT: C COPY 2\n"
	              "T: Z I\n!: ROWMETA 1 1\n!: RESULT 1 COPY 2 rows=2 masked=0\n"
	              ">C: H\n>C: d one\n>C: d two\n>C: c\n>C: C COPY 2\n>C: Z I\n");
	/* P27: COPY of what would have to be masked */
	pgh_run(PGH_LOGIN
	        "C: Q copy out\n!: COMMAND 1 simple copy out\n>T: Q copy out\nT: H\nT: d one\nT: d two\nT: "
	        "c\n"
	        "T: C COPY 2\nT: Z I\n!: ROWMETA 1 1\n!: RESULT 1  rows=0 masked=0 failed 42501\n"
	        ">C: E ERROR 42501 COPY denied D=event EV\n>C: Z I\n",
	        &mask);
	run(PGH_LOGIN
	    "C: Q copy both\n!: COMMAND 1 simple copy both\n>T: Q copy both\nT: W\n!: ERROR proto_target\n"
	    ">C: E FATAL 08006 unexpected message of the target\n=: proto_target\n");
	run(PGH_LOGIN "C: Q copy in\n!: COMMAND 1 simple copy in\n>T: Q copy in\nT: G\n>C: G\nC: Q DROP\n!: "
	              "ERROR proto_state\n"
	              ">C: E FATAL 08P01 unexpected message during COPY from stdin\n=: proto_state\n");
}

static void test_p22_function_call(void **state)
{
	(void)state;
	run(PGH_LOGIN "C: F 715|a|\n!: COMMAND 1 other function call 715|a:0|:0\n"
	              "!: RESULT 1  rows=0 masked=0 failed local 42501\n"
	              ">C: E ERROR 42501 denied D=event EV\n>C: Z I\n");
	/* an argument that is not there, bytes behind the end, formats for other arguments */
	run(PGH_LOGIN "C: x 460000000e0000000100000001ffff\n!: ERROR proto_malformed\n"
	              ">C: E FATAL 08P01 malformed FunctionCall message\n=: proto_malformed\n");
}

static void test_bye(void **state)
{
	(void)state;
	run(PGH_LOGIN "B: shutdown the end\n>C: E FATAL 57P01 the end\n");
}

/* Over a limit: complete rows, an error, nothing else of the result; the session goes on. */
static void test_cut(void **state)
{
	const struct pgh_opts two = {.rows_max = 2, .rows_lease = 1},
	                      lease = {.rows_max = 2, .rows_lease = 2};

	(void)state;
	pgh_run(PGH_LOGIN
	        "C: Q big\n!: COMMAND 1 simple big\n>T: Q big\n"
	        "T: T a\nT: D 1\nT: D 2\nT: D 3\nT: D 4\nT: C SELECT 4\nT: Z I\n"
	        "!: ROWMETA 1 1\n!: ROWS 1 0 12\n!: ROWS 1 1 12\n!: ROWS 1 2 12\n"
	        "!: RESULT 1  rows=2 masked=0 failed 53400\n"
	        ">C: T a:25:0\n>C: D 1\n>C: D 2\n>C: E ERROR 53400 over D=event EV\n>C: Z I\n"
	        "C: Q next\n!: COMMAND 2 simple next\n>T: Q next\nT: T a\nT: D 1\nT: C SELECT 1\nT: Z I\n"
	        "!: ROWMETA 2 1\n!: ROWS 2 0 12\n!: RESULT 2 SELECT 1 rows=1 masked=0\n"
	        ">C: T a:25:0\n>C: D 1\n>C: C SELECT 1\n>C: Z I\n",
	        &two);
	/* The target took the cancel; in a transaction, which has failed then. */
	pgh_run(PGH_LOGIN "C: Q big\n!: COMMAND 1 simple big\n>T: Q big\n"
	                  "T: T a\nT: D 1\nT: D 2\nT: D 3\nT: E ERROR 57014 canceling\nT: Z E\n"
	                  "!: ROWMETA 1 1\n!: ROWS 1 0 12\n!: ROWS 1 2 12\n"
	                  "!: RESULT 1  rows=2 masked=0 failed 57014\n"
	                  ">C: T a:25:0\n>C: D 1\n>C: D 2\n>C: E ERROR 53400 over D=event EV\n>C: Z E\n",
	        &lease);
	/* In a pipeline what stands behind it up to Sync does not run. */
	pgh_run(PGH_LOGIN
	        "C: P |q\nC: B |\nC: D P|\nC: E |0\nC: S\n"
	        "!: COMMAND 1 prepare q\n!: COMMAND 2 execute q\n"
	        ">T: P |q\n>T: B |\n>T: D P|\n>T: E |0\n>T: S\n"
	        "T: 1\nT: 2\nT: T a\nT: D 1\nT: D 2\nT: D 3\nT: E ERROR 57014 canceling\nT: Z I\n"
	        "!: ROWMETA 2 1\n!: ROWS 2 0 12\n!: ROWS 2 2 12\n"
	        "!: RESULT 2  rows=2 masked=0 failed 57014\n"
	        ">C: 1\n>C: 2\n>C: T a:25:0\n>C: D 1\n>C: D 2\n>C: E ERROR 53400 over D=event EV\n>C: Z I\n",
	        &lease);
	/* COPY, and rows that are masked. */
	pgh_run(PGH_LOGIN
	        "C: Q copy t to stdout\n!: COMMAND 1 simple copy t to stdout\n>T: Q copy t to stdout\n"
	        "T: H\nT: d one\nT: d two\nT: d three\nT: c\nT: C COPY 3\nT: Z I\n"
	        "!: ROWMETA 1 1\n!: ROWS 1 0 8\n!: ROWS 1 2 10\n!: RESULT 1  rows=2 masked=0 failed 53400\n"
	        ">C: H\n>C: d one\n>C: d two\n>C: E ERROR 53400 over D=event EV\n>C: Z I\n",
	        &lease);
	pgh_run(PGH_LOGIN "C: Q big\n!: COMMAND 1 simple big\n>T: Q big\n"
	                  "T: T ssn\nT: D 1\nT: D 2\nT: D 3\nT: C SELECT 3\nT: Z I\n"
	                  "!: ROWMETA 1 1\n!: ROWS 1 0 12\n!: FIELD ssn=1\n!: FIELD ssn=2\n!: ROWS 1 2 12\n"
	                  "!: RESULT 1  rows=2 masked=2 failed 53400\n"
	                  ">C: T ssn:25:0\n>C: D #\n>C: D #\n>C: E ERROR 53400 over D=event EV\n>C: Z I\n",
	        &lease);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_simple),
	        cmocka_unit_test(test_p23_denied_simple),
	        cmocka_unit_test(test_p15_batch),
	        cmocka_unit_test(test_p24_denied_behind_rows),
	        cmocka_unit_test(test_cut),
	        cmocka_unit_test(test_p21_extended),
	        cmocka_unit_test(test_parameter_types),
	        cmocka_unit_test(test_closed_statement),
	        cmocka_unit_test(test_deallocated),
	        cmocka_unit_test(test_deallocated_extended),
	        cmocka_unit_test(test_deallocate_held),
	        cmocka_unit_test(test_closed_in_flight),
	        cmocka_unit_test(test_prepared_in_flight),
	        cmocka_unit_test(test_execute_behind_deallocate_all),
	        cmocka_unit_test(test_named),
	        cmocka_unit_test(test_portal_of_sql),
	        cmocka_unit_test(test_portal_of_query),
	        cmocka_unit_test(test_fetch_bound),
	        cmocka_unit_test(test_fetch_parsed),
	        cmocka_unit_test(test_p19_denied_parse),
	        cmocka_unit_test(test_discard_to_sync),
	        cmocka_unit_test(test_stale_parse),
	        cmocka_unit_test(test_long_session),
	        cmocka_unit_test(test_hold),
	        cmocka_unit_test(test_hold_in_pipeline),
	        cmocka_unit_test(test_texts_in_flight),
	        cmocka_unit_test(test_mask_simple),
	        cmocka_unit_test(test_p27_unreadable),
	        cmocka_unit_test(test_mask_described),
	        cmocka_unit_test(test_copy),
	        cmocka_unit_test(test_p22_function_call),
	        cmocka_unit_test(test_bye),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
