/*
 * Each way in which libpq talks to a server, one after the other: prints "WAY ok" for each. The connection is
 * in PGHOST and so on.
 */
#include <libpq-fe.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROWS      2000
#define PIPELINED 50

static PGconn *conn;

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, PQerrorMessage(conn));
	exit(1);
}

static void say(const char *way)
{
	printf("%s ok\n", way);
	fflush(stdout);
}

/* Takes the result: it must be of that status and, where a value is given, have it in its first field. */
static void expect(PGresult *r, ExecStatusType status, const char *value)
{
	if (PQresultStatus(r) != status)
		die(PQresStatus(PQresultStatus(r)));
	if (value != NULL && (PQntuples(r) != 1 || strcmp(PQgetvalue(r, 0, 0), value) != 0))
		die("another value than expected");
	PQclear(r);
}

static void plain(void)
{
	expect(PQexec(conn, "select 'ä'"), PGRES_TUPLES_OK, "ä");
	expect(PQexec(conn, "select 1; select 2"), PGRES_TUPLES_OK, "2");
	expect(PQexec(conn, "select 1 / 0"), PGRES_FATAL_ERROR, NULL);
	expect(PQexec(conn, ""), PGRES_EMPTY_QUERY, NULL);
	say("plain");
}

static void prepared(void)
{
	const char *params[1] = {"21"};

	expect(PQprepare(conn, "twice", "select $1::int * 2", 1, NULL), PGRES_COMMAND_OK, NULL);
	for (int i = 0; i < 3; i++)
		expect(PQexecPrepared(conn, "twice", 1, params, NULL, NULL, 0), PGRES_TUPLES_OK, "42");
	expect(PQdescribePrepared(conn, "twice"), PGRES_COMMAND_OK, NULL);
	say("prepared");
}

static void binary(void)
{
	static const uint8_t minus_seven[8] = {255, 255, 255, 255, 255, 255, 255, 249};
	const char *params[1] = {(const char *)minus_seven};
	const int lengths[1] = {sizeof(minus_seven)}, formats[1] = {1};
	PGresult *r = PQexecParams(conn, "select $1::int8", 1, NULL, params, lengths, formats, 1);

	if (PQresultStatus(r) != PGRES_TUPLES_OK || PQgetlength(r, 0, 0) != 8 ||
	    memcmp(PQgetvalue(r, 0, 0), minus_seven, 8) != 0)
		die("binary");
	PQclear(r);
	say("binary");
}

/* The results up to the synchronisation: PIPELINED values, of which number `fails` is an error and all behind
 * it are skipped. */
static void pipeline_results(int fails)
{
	char want[16];

	for (int i = 0; i < PIPELINED; i++) {
		snprintf(want, sizeof(want), "%d", 100 / (i - fails == 0 ? 1 : i - fails));
		expect(PQgetResult(conn),
		       i < fails    ? PGRES_TUPLES_OK
		       : i == fails ? PGRES_FATAL_ERROR
		                    : PGRES_PIPELINE_ABORTED,
		       i < fails ? want : NULL);
		if (PQgetResult(conn) != NULL)
			die("more than one result");
	}
	expect(PQgetResult(conn), PGRES_PIPELINE_SYNC, NULL);
}

static void pipelined(void)
{
	const int fails[] = {PIPELINED, 10, PIPELINED};

	if (PQenterPipelineMode(conn) != 1)
		die("pipeline mode");
	for (size_t k = 0; k < 3; k++) {
		for (int i = 0; i < PIPELINED; i++) {
			char n[16];
			const char *params[1] = {n};

			snprintf(n, sizeof(n), "%d", i - fails[k]);
			if (PQsendQueryParams(conn, "select 100 / $1::int", 1, NULL, params, NULL, NULL, 0) !=
			    1)
				die("send");
		}
		if (PQpipelineSync(conn) != 1)
			die("sync");
	}
	for (size_t k = 0; k < 3; k++)
		pipeline_results(fails[k]);
	if (PQexitPipelineMode(conn) != 1)
		die("end of the pipeline mode");
	say("pipelined");
}

static void copy(void)
{
	char line[64], *got;

	expect(PQexec(conn, "create temp table lines (i int, t text)"), PGRES_COMMAND_OK, NULL);
	expect(PQexec(conn, "copy lines from stdin"), PGRES_COPY_IN, NULL);
	for (int i = 0; i < ROWS; i++) {
		int n = snprintf(line, sizeof(line), "%d\tzeile ä %d\n", i, i);

		if (PQputCopyData(conn, line, n) != 1)
			die("copy data");
	}
	if (PQputCopyEnd(conn, NULL) != 1)
		die("end of copy");
	expect(PQgetResult(conn), PGRES_COMMAND_OK, NULL);
	while (PQgetResult(conn) != NULL)
		;
	expect(PQexec(conn, "copy lines from stdin"), PGRES_COPY_IN, NULL);
	if (PQputCopyEnd(conn, "not this time") != 1)
		die("end of copy");
	expect(PQgetResult(conn), PGRES_FATAL_ERROR, NULL);
	while (PQgetResult(conn) != NULL)
		;
	expect(PQexec(conn, "copy (select * from lines order by i) to stdout"), PGRES_COPY_OUT, NULL);
	for (int i = 0; i < ROWS; i++) {
		snprintf(line, sizeof(line), "%d\tzeile ä %d\n", i, i);
		if (PQgetCopyData(conn, &got, 0) <= 0 || strcmp(got, line) != 0)
			die("copied line");
		PQfreemem(got);
	}
	if (PQgetCopyData(conn, &got, 0) != -1)
		die("more lines than there are");
	expect(PQgetResult(conn), PGRES_COMMAND_OK, NULL);
	while (PQgetResult(conn) != NULL)
		;
	say("copy");
}

static void cancel(void)
{
	PGcancel *c = PQgetCancel(conn);
	char why[256];
	PGresult *r;

	if (PQsendQuery(conn, "select pg_sleep(30)") != 1)
		die("send");
	usleep(300 * 1000);
	if (c == NULL || PQcancel(c, why, sizeof(why)) != 1)
		die("cancel");
	PQfreeCancel(c);
	r = PQgetResult(conn);
	if (PQresultStatus(r) != PGRES_FATAL_ERROR ||
	    strcmp(PQresultErrorField(r, PG_DIAG_SQLSTATE), "57014") != 0)
		die("not cancelled");
	PQclear(r);
	while (PQgetResult(conn) != NULL)
		;
	expect(PQexec(conn, "select 1"), PGRES_TUPLES_OK, "1");
	say("cancel");
}

/* Row by row. */
static void single_row(void)
{
	PGresult *r;
	int rows = 0;

	if (PQsendQuery(conn, "select generate_series(1, 1000)") != 1 || PQsetSingleRowMode(conn) != 1)
		die("single row");
	while ((r = PQgetResult(conn)) != NULL) {
		rows += PQntuples(r);
		PQclear(r);
	}
	if (rows != 1000)
		die("rows");
	say("single-row");
}

int main(void)
{
	conn = PQconnectdb("");
	if (PQstatus(conn) != CONNECTION_OK)
		die("connect");
	plain();
	prepared();
	binary();
	pipelined();
	copy();
	single_row();
	cancel();
	PQfinish(conn);
	return 0;
}
