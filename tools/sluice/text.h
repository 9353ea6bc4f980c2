/*
 * Text for people's terminals. Everything that came from a session, a server or a file goes through here: no
 * byte of it reaches the terminal as a control character or an escape sequence, and none can change the order
 * in which text is read.
 */
#ifndef SLUICE_TEXT_H
#define SLUICE_TEXT_H

#include <stdbool.h>
#include <stdio.h>

#include "sl_span.h"

#define TIME_STR_MAX 40

/*
 * Writes at most `width` columns (0: no bound) of the text as one line: printable UTF-8 as it is, control
 * characters as \n, \t, \x1b, invisible and direction-changing code points as \u{202e}, bytes that are not
 * UTF-8 as \xff. Cut text ends with "...". Returns the columns written. With out NULL it only counts.
 */
size_t text_line(FILE *out, struct sl_span s, size_t width);
/* The same as a malloc'd string; NULL out of memory. */
char *text_clean(struct sl_span s, size_t width);
/* Several lines, each behind `indent`; at most max bytes of the text. */
void text_block(FILE *out, const char *indent, struct sl_span s, size_t max);
/* "2026-11-21T09:50:12+0000" in local time; "-" for 0. Returns out. */
const char *text_time(uint64_t us, char out[TIME_STR_MAX]);
/* "812 B", "1.2 KiB" ... Returns out. */
const char *text_bytes(uint64_t n, char out[TIME_STR_MAX]);

/* ---- tables: columns as wide as their widest cell ---- */
struct table;

struct table *table_new(const char *const *heads, unsigned int nb);
/* The next cell, cleaned and bounded. NULL prints as "-". */
void table_text(struct table *t, const char *s);
void table_span(struct table *t, struct sl_span s);
__attribute__((format(printf, 2, 3))) void table_fmt(struct table *t, const char *fmt, ...);
/* A line of its own, whole and indented, below the row that was just filled. */
void table_below(struct table *t, const char *s);
void table_print(const struct table *t, FILE *out);
void table_free(struct table *t);

#endif
