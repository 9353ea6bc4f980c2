/* Transcripts of what masks need of the decoder: marks, texts of errors and notices, COPY. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "test_pg_harness.h"
#include "test_pg_text.h"

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

/* Rows that are looked at as a whole: what is clean is asked for no further, and rows of which nothing is
 * replaced stay; beside runs of rows that nobody wants, which end where another message comes. */
static void test_rows_in_one(void **state)
{
	(void)state;
	run(PGH_LOGIN
	    "C: Q q\n!: COMMAND 1 simple q\n>T: Q q\n"
	    "T: T a clean ssn clean2 nul b\nT: D 1,2,3,4,5,6\nT: D 1,2,NULL,4,NULL,\nT: D 1,NULL,,4,,6\n"
	    "T: N NOTICE 00000 x\nT: D ,,NULL,,NULL,NULL\nT: C SELECT 4\nT: Z I\n"
	    "!: ROWMETA 1 6\n!: FIELD ssn=3\n!: FIELD nul=5\n!: FIELD ssn=\n!: FIELD nul=\n"
	    "!: RESULT 1 SELECT 4 rows=4 masked=4\n"
	    ">C: T a:25:0 clean:25:0 ssn:25:0 clean2:25:0 nul:25:0 b:25:0\n>C: D 1,2,#,4,NULL,6\n"
	    ">C: D 1,2,NULL,4,NULL,\n>C: D 1,NULL,#,4,NULL,6\n>C: N NOTICE 00000 x\n"
	    ">C: D ,,NULL,,NULL,NULL\n>C: C SELECT 4\n>C: Z I\n"
	    "C: Q q\n!: COMMAND 2 simple q\n>T: Q q\n"
	    "T: T a\nT: D 1\nT: D 2\nT: D 3\nT: N NOTICE 00000 x\nT: D 4\nT: D NULL\nT: C SELECT 5\nT: Z I\n"
	    "!: ROWMETA 2 1\n!: RESULT 2 SELECT 5 rows=5 masked=0\n"
	    ">C: T a:25:0\n>C: D 1\n>C: D 2\n>C: D 3\n>C: N NOTICE 00000 x\n>C: D 4\n>C: D NULL\n"
	    ">C: C SELECT 5\n>C: Z I\n");
	/* a value in it that cannot be read ends the result, whole or in parts */
	run(PGH_LOGIN "C: Q q\n!: COMMAND 1 simple q\n>T: Q q\n"
	              "T: T clean ssn bad\nT: D 1,2,NULL\nT: D 1,2,3\nT: D 1,2,NULL\nT: C SELECT 3\nT: Z I\n"
	              "!: ROWMETA 1 3\n!: FIELD ssn=2\n!: FIELD ssn=2\n!: FIELD bad=3\n"
	              "!: RESULT 1  rows=1 masked=1 failed 42501\n"
	              ">C: T clean:25:0 ssn:25:0 bad:25:0\n>C: D 1,#,NULL\n>C: E ERROR 42501 a value of this "
	              "result cannot be masked\n>C: Z I\n");
}

static void test_mark_extended(void **state)
{
	(void)state;
	/* a portal keeps it over its Executes; another one has its own */
	run(PGH_LOGIN "C: P s|MARK\nC: P |q\nC: B a|s\nC: B b|\nC: E a|1\nC: E b|0\nC: E a|0\nC: S\n"
	              "!: COMMAND 1 prepare MARK\n!: COMMAND 2 prepare q\n!: COMMAND 3 execute MARK\n"
	              "!: COMMAND 4 execute q\n"
	              ">T: P s|MARK\n>T: P |q\n>T: B a|s\n>T: B b|\n>T: D P|a\n>T: E a|1\n>T: D P|b\n>T: E "
	              "b|0\n>T: H\n=: "
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

/* ---- reports ---- */

static void test_reports(void **state)
{
	static const struct pgh_opts opts = {.reports = true};

	(void)state;
	/* what is shown, of an error and of a notice, and that the rest of a hidden one stays */
	pgh_run(PGH_LOGIN
	        "C: Q MARK a\n!: COMMAND 1 simple MARK a\n>T: Q MARK a\n"
	        "T: N NOTICE 00000 HIDE|D=b|H=c|W=d|q=e|t=f|P=7\nT: N NOTICE 42P07 is there|D=more\n"
	        "!: REPORT 1 2 00000 mark|HIDE|b|c|d|e\n!: REPORT 1 2 42P07 mark|is there|more|||\n"
	        ">C: N NOTICE 00000 hidden t=f P=7\n>C: N NOTICE 42P07 is there D=more\n"
	        "T: E ERROR 22012 x|D=HIDE|t=NAMES|X=unknown\nT: Z I\n"
	        "!: RESULT 1  rows=0 masked=0 failed 22012 mark\n!: REPORT 1 1 22012 mark|x|HIDE|||\n"
	        ">C: E ERROR 22012 hidden t=NAMES\n>C: Z I\n"
	        "C: Q b\n!: COMMAND 2 simple b\n>T: Q b\n"
	        "T: E ERROR P0001 x|q=HIDE NAMES|t=table\nT: Z I\n"
	        "!: RESULT 2  rows=0 masked=0 failed P0001\n!: REPORT 2 1 P0001|x||||HIDE NAMES\n"
	        ">C: E ERROR P0001 hidden\n>C: Z I\n",
	        &opts);
	/* of no command: between them, at Sync, and the last word */
	pgh_run(PGH_LOGIN
	        "T: N WARNING 01000 HIDE\n!: REPORT 0 2 01000|HIDE||||\n>C: N WARNING 01000 hidden\n"
	        "C: P |MARK\nC: B |\nC: E |0\nC: S\n!: COMMAND 1 prepare MARK\n"
	        "!: COMMAND 2 execute MARK\n>T: P |MARK\n>T: B |\n>T: D P|\n>T: E |0\n>T: S\n"
	        "T: 1\nT: 2\nT: n\nT: C UPDATE 1\nT: E ERROR 23503 x|D=HIDE\nT: Z I\n"
	        "!: RESULT 2 UPDATE 1 rows=0 masked=0 mark\n"
	        "!: RESULT 2  rows=0 masked=0 failed 23503\n!: REPORT 0 1 23503|x|HIDE|||\n"
	        ">C: 1\n>C: 2\n>C: C UPDATE 1\n>C: E ERROR 23503 hidden\n>C: Z I\n"
	        "T: E FATAL 57P01 HIDE\n!: REPORT 0 1 57P01|HIDE||||\n>C: E FATAL 57P01 hidden\n",
	        &opts);
	/* an error of Parse has the mark of its text; what stands for a denied one is none */
	pgh_run(PGH_LOGIN "C: P |MARK\nC: S\n!: COMMAND 1 prepare MARK\n>T: P |MARK\n>T: S\n"
	                  "T: E ERROR 42601 HIDE\nT: Z I\n!: RESULT 1  rows=0 masked=0 failed 42601 mark\n"
	                  "!: REPORT 1 1 42601 mark|HIDE||||\n>C: E ERROR 42601 hidden\n>C: Z I\n"
	                  "C: Q begin\n!: COMMAND 2 simple begin\n>T: Q begin\nT: C BEGIN\nT: Z T\n"
	                  "!: RESULT 2 BEGIN rows=0 masked=0\n>C: C BEGIN\n>C: Z T\n"
	                  "C: Q DENY\n!: COMMAND 3 simple DENY\n>T: Q SLUICE DENIED\n"
	                  "T: E ERROR 42601 x\nT: Z E\n!: RESULT 3  rows=0 masked=0 failed local 42501\n"
	                  ">C: E ERROR 42501 denied D=event EV\n>C: Z E\n",
	        &opts);
}

static void test_notifications(void **state)
{
	static const struct pgh_opts opts = {.reports = true};
	static const struct pgh_opts small = {.reports = true, .message_max = 64};

	(void)state;
	pgh_run(PGH_LOGIN
	        "T: A payload\nT: A HIDE me\n!: REPORT 0 3 |payload||||\n!: REPORT 0 3 |HIDE me||||\n"
	        ">C: A payload\n>C: A hidden\n",
	        &opts);
	/* larger than is read: all of it goes */
	pgh_run(PGH_LOGIN
	        "T: N NOTICE 00000 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n"
	        "T: N NOTICE 00000 y\n!: REPORT 0 2 unread |||||\n!: REPORT 0 2 00000|y||||\n"
	        ">C: N NOTICE 00000 y\n",
	        &small);
}

/* ---- COPY ---- */

#define COPY_BEGIN "C: Q KEEP copy\n!: COMMAND 1 simple KEEP copy\n>T: Q KEEP copy\n"

/* The stream in two messages, cut at each of its bytes: fields and output stay the same. */
static void run_copy(const char *columns, const char *stream, const char *fields, const char *out,
                     const char *masked, const struct pgh_opts *opts)
{
	static char t[16384], first[4096], second[4096];

	pgt_join_copy = true;
	for (size_t cut = 0; stream[cut] != '\0'; cut += stream[cut] == '\\' ? 3 : 1) {
		snprintf(first, sizeof(first), "%.*s", (int)cut, stream);
		snprintf(second, sizeof(second), "%s", stream + cut);
		snprintf(t, sizeof(t),
		         PGH_LOGIN COPY_BEGIN "T: H %s\n!: ROWMETA 1 %c kept KEEP copy\n>C: H\n"
		                              "T: d %s\nT: d %s\nT: c\nT: C COPY 2\nT: Z I\n%s"
		                              "!: RESULT 1 COPY 2 rows=2 masked=%s\n"
		                              ">C: d %s\n>C: c\n>C: C COPY 2\n>C: Z I\n",
		         columns, columns[0], first, second, fields, masked, out);
		pgh_run(t, opts);
	}
	pgt_join_copy = false;
}

static void test_copy_text(void **state)
{
	static const struct pgh_opts opts = {.copy_want = "1",
	                                     .copy = {.delimiter = '\t', .null_n = 2, .null = "\\N"}};
	static const struct pgh_opts odd = {.copy_want = "02",
	                                    .copy = {.delimiter = '|', .header = true, .null_n = 0}};

	(void)state;
	/* PostgreSQL's own escapes, NULL, what stays, an escape that the new value needs */
	run_copy("3",
	         "1\\09a\\5ctb\\5c\\5cc\\09x\\0a2\\09\\5cN\\09\\5cN\\0a3\\09keep\\09\\0a4\\09esc\\09y\\0a5\\0"
	         "9\\09\\5c\\09\\0a6\\09nul\\09z\\0a",
	         "!: FIELD =a\\09b\\c\n!: FIELD =keep\n!: FIELD =esc\n!: FIELD =\n!: FIELD =nul\n",
	         "1\\09<a\\tb\\\\c>\\09x\\0a2\\09\\N\\09\\N\\0a3\\09keep\\09\\0a"
	         "4\\09a\\tb\\nc\\\\d\"e,f\\09y\\0a5\\09<>\\09\\\\09\\0a6\\09\\N\\09z\\0a",
	         "4", &opts);
	/* another delimiter, a header, NULL as nothing; the last column of a row */
	run_copy("3", "a|b|c\\0ax\\5c|y|2|z\\0a|3|keep\\0a", "!: FIELD =x|y\n!: FIELD =z\n!: FIELD =keep\n",
	         "a|b|c\\0a<x\\|y>|2|<z>\\0a|3|keep\\0a", "2", &odd);
}

static void test_copy_csv(void **state)
{
	static const struct pgh_opts opts = {
	        .copy_want = "1",
	        .copy = {.csv = true, .header = true, .delimiter = ',', .quote = '"', .escape = '"'}};
	static const struct pgh_opts odd = {.copy_want = "1",
	                                    .copy = {.csv = true,
	                                             .delimiter = ';',
	                                             .quote = '\'',
	                                             .escape = '\\',
	                                             .null_n = 4,
	                                             .null = "NULL"}};

	(void)state;
	run_copy(
	        "2",
	        "a,\"b\"\"\\0ac\"\\0a1,plain\\0a2,\"q\"\"u,o\\0at\"\\0a3,\\0a4,\"\"\\0a5,keep\\0a6,esc\\0a7,"
	        "nul\\0a\"8,\"\"\",nul\\0a",
	        "!: FIELD =plain\n!: FIELD =q\"u,o\\0at\n!: FIELD =\n!: FIELD =keep\n!: FIELD =esc\n!: FIELD "
	        "=nul\n!: FIELD =nul\n",
	        "a,\"b\"\"\\0ac\"\\0a1,<plain>\\0a2,\"<q\"\"u,o\\0at>\"\\0a3,\\0a4,\"<>\"\\0a5,keep\\0a6,"
	        "\"a\\09b\\0ac\\d\"\"e,f\"\\0a7,"
	        "\\0a\"8,\"\"\",\\0a",
	        "6", &opts);
	run_copy("2", "1;NULL\\0a2;'NULL'\\0a3;'a\\5c'b\\5c\\5c'\\0a4;nul\\0a",
	         "!: FIELD =NULL\n!: FIELD =a'b\\\n!: FIELD =nul\n",
	         "1;NULL\\0a2;'<NULL>'\\0a3;'<a\\'b\\\\>'\\0a4;NULL\\0a", "3", &odd);
}

#define COPY_HEAD "PGCOPY\\0a\\ff\\0d\\0a\\00\\00\\00\\00\\00\\00\\00\\00\\02xx"

static void test_copy_binary(void **state)
{
	static const struct pgh_opts opts = {.copy_want = "12"};

	(void)state;
	run_copy("3 1",
	         COPY_HEAD "\\00\\03\\00\\00\\00\\01a\\00\\00\\00\\03nul\\ff\\ff\\ff\\ff"
	                   "\\00\\03\\ff\\ff\\ff\\ff\\00\\00\\00\\00\\00\\00\\00\\04keep\\ff\\ff",
	         "!: FIELD =nul\n!: FIELD =\n!: FIELD =keep\n",
	         COPY_HEAD "\\00\\03\\00\\00\\00\\01a\\ff\\ff\\ff\\ff\\ff\\ff\\ff\\ff"
	                   "\\00\\03\\ff\\ff\\ff\\ff\\00\\00\\00\\02<>\\00\\00\\00\\04keep\\ff\\ff",
	         "2", &opts);
}

/* One row a message, as PostgreSQL sends them: the messages stay. */
static void test_copy_messages(void **state)
{
	static const struct pgh_opts opts = {.copy_want = "0",
	                                     .copy = {.delimiter = '\t', .null_n = 2, .null = "\\N"}};
	static const struct pgh_opts refused = {.mask_copy = true};

	(void)state;
	pgh_run(PGH_LOGIN COPY_BEGIN "T: H 1\nT: d one\\0a\nT: d keep\\0a\nT: c\nT: C COPY 2\nT: Z I\n"
	                             "!: ROWMETA 1 1 kept KEEP copy\n!: FIELD =one\n!: FIELD =keep\n!: "
	                             "RESULT 1 COPY 2 rows=2 masked=1\n"
	                             ">C: H\n>C: d <one>\\0a\n>C: d keep\\0a\n>C: c\n>C: C COPY 2\n>C: Z I\n",
	        &opts);
	/* a value that cannot be masked: nothing of its row */
	pgh_run(PGH_LOGIN COPY_BEGIN
	        "T: H 1\nT: d one\\0a\nT: d bad\\0a\nT: d two\\0a\nT: c\nT: C COPY 3\nT: Z I\n"
	        "!: ROWMETA 1 1 kept KEEP copy\n!: FIELD =one\n!: FIELD =bad\n!: RESULT 1  rows=1 masked=1 "
	        "failed 42501\n"
	        ">C: H\n>C: d <one>\\0a\n>C: E ERROR 42501 a value of this COPY cannot be masked\n>C: Z I\n",
	        &opts);
	pgh_run(PGH_LOGIN COPY_BEGIN
	        "T: H 1\nT: d one\\0a\nT: c\nT: C COPY 1\nT: Z I\n"
	        "!: ROWMETA 1 1 kept KEEP copy\n!: RESULT 1  rows=0 masked=0 failed 42501\n"
	        ">C: E ERROR 42501 COPY denied D=event EV\n>C: Z I\n",
	        &refused);
	/* not what the statement said: a column too many, the end in a row, another header */
	pgh_run(PGH_LOGIN COPY_BEGIN "T: H 1\nT: d one\\09two\\0a\n!: ROWMETA 1 1 kept KEEP copy\n"
	                             "!: ERROR proto_target\n>C: H\n"
	                             ">C: E FATAL 08006 the data of a COPY is not as its statement says\n"
	                             "=: proto_target\n",
	        &opts);
	pgh_run(PGH_LOGIN COPY_BEGIN "T: H 1\nT: d one\nT: c\n!: ROWMETA 1 1 kept KEEP copy\n"
	                             "!: ERROR proto_target\n>C: H\n>C: d\n"
	                             ">C: E FATAL 08006 the data of a COPY ends within a row\n"
	                             "=: proto_target\n",
	        &opts);
	pgh_run(PGH_LOGIN COPY_BEGIN
	        "T: H 1 1\nT: d PGCOPY\\0a\\ff\\0d\\0a\\00\\00\\01\\00\\00\\00\\00\\00\\00\n"
	        "!: ROWMETA 1 1 kept KEEP copy\n!: ERROR proto_target\n>C: H\n"
	        ">C: E FATAL 08006 the data of a COPY is not as its statement says\n"
	        "=: proto_target\n",
	        &opts);
}

/* What is kept belongs to one command. */
static void test_copy_kept(void **state)
{
	static const struct pgh_opts opts = {.copy_want = "0",
	                                     .copy = {.delimiter = '\t', .null_n = 2, .null = "\\N"}};

	(void)state;
	pgh_run(PGH_LOGIN
	        "C: P a|KEEP a\nC: B a|a\nC: E a|0\nC: B b|a\nC: S\n!: COMMAND 1 prepare KEEP a\n"
	        "!: COMMAND 2 execute KEEP a\n!: COMMAND 3 execute KEEP a\n"
	        ">T: P a|KEEP a\n>T: B a|a\n>T: D P|a\n>T: E a|0\n>T: P sluice_denied|SLUICE DENIED\n>T: S\n"
	        "T: 1\nT: 2\nT: n\nT: H\nT: d one\\0a\nT: c\nT: C COPY 1\nT: E ERROR 42601 x\nT: Z I\n"
	        "!: ROWMETA 2 1 kept KEEP a\n!: FIELD =one\n!: RESULT 2 COPY 1 rows=1 masked=1\n"
	        "!: RESULT 3  rows=0 masked=0 failed local 53400\n"
	        ">C: 1\n>C: 2\n>C: H\n>C: d <one>\\0a\n>C: c\n>C: C COPY 1\n"
	        ">C: E ERROR 53400 one COPY under masks at a time\n>C: Z I\n"
	        "C: Q KEEP b\n!: COMMAND 4 simple KEEP b\n>T: Q KEEP b\n"
	        "T: H\nT: c\nT: C COPY 0\nT: Z I\n!: ROWMETA 4 1 kept KEEP b\n!: RESULT 4 COPY 0 rows=0 "
	        "masked=0\n"
	        ">C: H\n>C: c\n>C: C COPY 0\n>C: Z I\n"
	        "C: Q c\n!: COMMAND 5 simple c\n>T: Q c\n"
	        "T: H\nT: c\nT: C COPY 0\nT: Z I\n!: ROWMETA 5 1\n!: RESULT 5 COPY 0 rows=0 masked=0\n"
	        ">C: H\n>C: c\n>C: C COPY 0\n>C: Z I\n",
	        &opts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_mark_simple),   cmocka_unit_test(test_rows_in_one),
	        cmocka_unit_test(test_mark_extended), cmocka_unit_test(test_reports),
	        cmocka_unit_test(test_notifications), cmocka_unit_test(test_copy_text),
	        cmocka_unit_test(test_copy_csv),      cmocka_unit_test(test_copy_binary),
	        cmocka_unit_test(test_copy_messages), cmocka_unit_test(test_copy_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
