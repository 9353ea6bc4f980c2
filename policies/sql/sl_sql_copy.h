/*
 * The options of COPY ... TO STDOUT: how the target will write the data. PostgreSQL 15's grammar, the new
 * form in parentheses and the old ones. What is not understood to the end is not guessed.
 */
#ifndef SL_SQL_COPY_H
#define SL_SQL_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include "sl_span.h"

#define SL_SQL_COPY_NULL_MAX 64

struct sl_sql_copy {
	bool binary, csv, header;
	uint8_t delimiter, quote, escape; /* the latter two in CSV */
	uint8_t null_n;
	char null[SL_SQL_COPY_NULL_MAX]; /* what stands for NULL */
};

/* stmt: the text of one statement (struct sl_sql_stmt). False: it is not a COPY to the client, or cannot be
 * read. Any thread. */
bool sl_sql_copy_read(struct sl_span stmt, struct sl_sql_copy *out);

#endif
