/*
 * Patterns: a set of PCRE-like expressions compiled by Hyperscan into one immutable database (block mode),
 * and a scan of a span against all of them at once. Compiled on the management core; scanned by workers, each
 * with its own scratch.
 */
#ifndef SL_MATCH_H
#define SL_MATCH_H

#include <stdint.h>

#include "sl_err.h"
#include "sl_span.h"

struct sl_match_db;
struct sl_match_scratch;

enum sl_match_flags {
	SL_MATCH_CASELESS = 1,
	SL_MATCH_DOTALL = 2,
	SL_MATCH_MULTILINE = 4,
	SL_MATCH_START = 8, /* report where the match starts (dearer) */
	SL_MATCH_ONCE = 16, /* report the first match only */
};

struct sl_match_pattern {
	const char *expression;
	uint32_t id;    /* given back on a match; need not be unique */
	uint32_t flags; /* enum sl_match_flags */
};

/*
 * Compiles. 0 and *out (owned by the caller); SL_E_POLICY_PATTERN with *bad_index (the pattern's place, or
 * -1) and a text in err (err_cap bytes). n may be 0: the database then matches nothing. Management core.
 */
int sl_match_compile(const struct sl_match_pattern *patterns, uint32_t n, struct sl_match_db **out,
                     int *bad_index, char *err, size_t err_cap);
void sl_match_free(struct sl_match_db *db);

/* Scratch for one thread that scans this database. 0, SL_E_NOMEM. Not on the statement path. */
int sl_match_scratch_new(const struct sl_match_db *db, struct sl_match_scratch **out);
void sl_match_scratch_free(struct sl_match_scratch *s);

/* One match: [from, to) in the span; from is 0 unless SL_MATCH_START. Returns non-zero to stop the scan. */
typedef int (*sl_match_fn)(void *ctx, uint32_t id, size_t from, size_t to);

/*
 * Scans bytes; no allocation. 0 when it ran to the end or was stopped by fn; < 0 when the engine failed,
 * which the caller must treat as "could not be read" and refuse. The thread that owns the scratch.
 */
int sl_match_scan(const struct sl_match_db *db, struct sl_match_scratch *s, struct sl_span bytes,
                  sl_match_fn fn, void *ctx);

#endif
