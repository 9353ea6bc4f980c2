#include "sl_match.h"

#include <hs.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sl_counter.h"

struct sl_match_db {
	hs_database_t *hs; /* NULL: no pattern */
};

struct sl_match_scratch {
	hs_scratch_t *hs; /* NULL: for a database without patterns */
};

/* What hs_compile_multi() wants: one array per property. */
struct arrays {
	const char **expressions;
	unsigned *ids;
	unsigned *flags;
};

static unsigned hs_flags(uint32_t flags)
{
	unsigned f = 0;

	if (flags & SL_MATCH_CASELESS)
		f |= HS_FLAG_CASELESS;
	if (flags & SL_MATCH_DOTALL)
		f |= HS_FLAG_DOTALL;
	if (flags & SL_MATCH_MULTILINE)
		f |= HS_FLAG_MULTILINE;
	if (flags & SL_MATCH_START)
		f |= HS_FLAG_SOM_LEFTMOST;
	if (flags & SL_MATCH_ONCE)
		f |= HS_FLAG_SINGLEMATCH;
	return f;
}

static int compile_arrays(const struct sl_match_pattern *patterns, uint32_t n, const struct arrays *a,
                          struct sl_match_db *db, int *bad_index, char *err, size_t err_cap)
{
	hs_compile_error_t *why = NULL;

	for (uint32_t i = 0; i < n; i++) {
		a->expressions[i] = patterns[i].expression;
		a->ids[i] = patterns[i].id;
		a->flags[i] = hs_flags(patterns[i].flags);
	}
	if (hs_compile_multi(a->expressions, a->flags, a->ids, n, HS_MODE_BLOCK, NULL, &db->hs, &why) ==
	    HS_SUCCESS)
		return SL_OK;
	*bad_index = why != NULL ? why->expression : -1;
	snprintf(err, err_cap, "%s",
	         why != NULL && why->message != NULL ? why->message : "pattern engine failed");
	hs_free_compile_error(why);
	db->hs = NULL;
	return sl_fail(SL_E_POLICY_PATTERN);
}

static int compile_all(const struct sl_match_pattern *patterns, uint32_t n, struct sl_match_db *db,
                       int *bad_index, char *err, size_t err_cap)
{
	struct arrays a = {
	        .expressions = calloc(n, sizeof(*a.expressions)),
	        .ids = calloc(n, sizeof(*a.ids)),
	        .flags = calloc(n, sizeof(*a.flags)),
	};
	int rc;

	if (a.expressions == NULL || a.ids == NULL || a.flags == NULL) {
		snprintf(err, err_cap, "out of memory");
		rc = sl_fail(SL_E_NOMEM);
	} else {
		rc = compile_arrays(patterns, n, &a, db, bad_index, err, err_cap);
	}
	free(a.expressions);
	free(a.ids);
	free(a.flags);
	return rc;
}

int sl_match_compile(const struct sl_match_pattern *patterns, uint32_t n, struct sl_match_db **out,
                     int *bad_index, char *err, size_t err_cap)
{
	struct sl_match_db *db;
	int rc;

	*out = NULL;
	*bad_index = -1;
	if (err_cap > 0)
		err[0] = '\0';
	/* Built for SSSE3 at least; on a lesser processor the engine would end the process on the first scan.
	 */
	if (hs_valid_platform() != HS_SUCCESS) {
		snprintf(err, err_cap, "this processor lacks SSSE3, which the pattern engine needs");
		return sl_fail(SL_E_POLICY_PATTERN);
	}
	db = calloc(1, sizeof(*db));
	if (db == NULL)
		return sl_fail(SL_E_NOMEM);
	rc = n > 0 ? compile_all(patterns, n, db, bad_index, err, err_cap) : SL_OK;
	if (rc != SL_OK) {
		free(db);
		return rc;
	}
	*out = db;
	return SL_OK;
}

void sl_match_free(struct sl_match_db *db)
{
	if (db == NULL)
		return;
	hs_free_database(db->hs);
	free(db);
}

int sl_match_scratch_new(const struct sl_match_db *db, struct sl_match_scratch **out)
{
	struct sl_match_scratch *s = calloc(1, sizeof(*s));

	*out = NULL;
	if (s == NULL)
		return sl_fail(SL_E_NOMEM);
	if (db->hs != NULL && hs_alloc_scratch(db->hs, &s->hs) != HS_SUCCESS) {
		free(s);
		return sl_fail(SL_E_NOMEM);
	}
	*out = s;
	return SL_OK;
}

void sl_match_scratch_free(struct sl_match_scratch *s)
{
	if (s == NULL)
		return;
	hs_free_scratch(s->hs);
	free(s);
}

struct scan {
	sl_match_fn fn;
	void *ctx;
};

static int on_match(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *arg)
{
	const struct scan *scan = arg;

	(void)flags;
	return scan->fn(scan->ctx, id, (size_t)from, (size_t)to);
}

int sl_match_scan(const struct sl_match_db *db, struct sl_match_scratch *s, struct sl_span bytes,
                  sl_match_fn fn, void *ctx)
{
	struct scan scan = {fn, ctx};
	hs_error_t rc;

	if (db == NULL || s == NULL)
		return sl_fail(SL_E_INVAL);
	if (db->hs == NULL)
		return SL_OK;
	if (s->hs == NULL)
		return sl_fail(SL_E_INVAL);
	if (bytes.n > UINT_MAX)
		return sl_fail(SL_E_LIMIT);
	/* The engine refuses a NULL pointer even for no bytes. */
	rc = hs_scan(db->hs, bytes.n > 0 ? (const char *)bytes.p : "", (unsigned)bytes.n, 0, s->hs, on_match,
	             &scan);
	if (rc != HS_SUCCESS && rc != HS_SCAN_TERMINATED)
		return sl_fail(SL_E_INVAL);
	return SL_OK;
}
