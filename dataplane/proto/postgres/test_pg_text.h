/*
 * PostgreSQL messages written as text, one a line, for transcripts: "Q select 1", "B
 * portal|statement|7|NULL", "K 1 2" and "K 1 2+28" (a cancel key's bytes behind the fourth are 0xee), "D
 * 1,NULL", "T id:23 name:25:1" (name, type, format), "startup 3.0 user=a", "pi MECHANISM text" and "pr text"
 * (SASL responses), "x 00ff" (raw bytes), "H 3 1" (CopyOutResponse: columns, binary; "H": one in text), "E
 * ERROR 42601 text|D=detail" (further fields by their letters), "d a\\0a" (bytes in hex behind a backslash,
 * "\\5c" for one). pgt_build reads it, pgt_render writes it.
 */
#ifndef TEST_PG_TEXT_H
#define TEST_PG_TEXT_H

#include <stdbool.h>

#include "sl_decoder.h"

#define PGT_TEXT_MAX (4u << 20)

struct text {
	size_t n;
	char *b; /* PGT_TEXT_MAX bytes */
};

/* CopyData messages of the target's that follow one another are written as one. */
extern bool pgt_join_copy;

void pgt_put(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Bytes as they are, and in hex what is not printable. */
void pgt_bytes(struct text *t, const uint8_t *p, size_t n);
/* A cancel key: its first four bytes as a number, and how many there are behind them. */
void pgt_key(struct text *t, const uint8_t *p, size_t n);
/* The next part of *s up to sep. *s moves on, to NULL behind the last one. */
char *pgt_part(char **s, char sep);
/* Builds the message of a line as `from` sends it; returns its size. */
size_t pgt_build(enum sl_side from, const char *line, uint8_t *out);
/* Renders what went to a side. *started: the side has seen messages with a type. */
void pgt_render(enum sl_side to, const uint8_t *p, size_t n, bool *started, struct text *t);

#endif
