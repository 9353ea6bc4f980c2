/*
 * Backend messages of PostgreSQL's protocol 3.0 (manual 55.7) as text for people: rows as aligned tables,
 * errors and notices as psql would word them. The bytes come from records, cut at any place, and may be
 * hostile: what cannot be read is shown as a count of bytes, nothing is trusted, memory is bounded.
 */
#ifndef SLUICE_PG_RENDER_H
#define SLUICE_PG_RENDER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "sl_span.h"

#define PG_RENDER_MESSAGE_MAX (2u << 20) /* of one message that is read; larger ones are counted */
#define PG_RENDER_COLUMNS_MAX 1664       /* PostgreSQL's own bound of a row */
#define PG_RENDER_SHOWN_MAX   64         /* columns shown of a row */
#define PG_RENDER_CELL_MAX    40         /* columns of the terminal of one value */

struct pg_render;

/* Lines go to out, each behind indent (kept). rows_max: rows shown of each result. NULL out of memory. */
struct pg_render *pg_render_new(FILE *out, const char *indent, unsigned long rows_max);
/* The next bytes of the stream. */
void pg_render_feed(struct pg_render *r, struct sl_span bytes);
/* n bytes of the stream are not there: the next ones start with a new message. */
void pg_render_skipped(struct pg_render *r, uint64_t n);
/* Prints rows that wait for the end of their result, and counts a message that is not whole. */
void pg_render_flush(struct pg_render *r);
/* Flushes and frees. */
void pg_render_free(struct pg_render *r);

#endif
