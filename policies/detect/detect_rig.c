#include "detect_rig.h"

#include <stdio.h>
#include <stdlib.h>

#define FORM_BITS    2 /* of an id; the rest is the detector's number */
#define PATTERNS_MAX 512

_Static_assert(SL_DETECT_FORMS_MAX <= 1 << FORM_BITS, "a form's number fits");

struct rig {
	struct sl_match_db *db;
	struct sl_match_scratch *scratch;
	struct sl_match_pattern patterns[PATTERNS_MAX];
	char expr[PATTERNS_MAX][SL_DETECT_EXPR_MAX];
	size_t done[PATTERNS_MAX]; /* by detector: where its last find ends */
	/* of one scan */
	struct sl_span value, column;
	struct sl_detect_memo memo;
	bool forgets;
	struct rig_find *out;
	uint32_t cap, nb;
};

struct rig *rig_new(void)
{
	struct rig *r = calloc(1, sizeof(*r));
	uint32_t n = 0;
	char err[160];
	int bad = -1;

	for (uint32_t d = 0; r != NULL && d < sl_detect_count(); d++) {
		for (uint32_t f = 0; f < sl_detect_forms(d) && n < PATTERNS_MAX; f++, n++) {
			r->patterns[n].id = d << FORM_BITS | f;
			sl_detect_pattern(d, f, r->expr[n], &r->patterns[n]);
		}
	}
	if (r == NULL || sl_match_compile(r->patterns, n, &r->db, &bad, err, sizeof(err)) != SL_OK ||
	    sl_match_scratch_new(r->db, &r->scratch) != SL_OK) {
		fprintf(stderr, "pattern %d (%s): %s\n", bad, r != NULL && bad >= 0 ? r->expr[bad] : "?",
		        err);
		rig_free(r);
		return NULL;
	}
	return r;
}

void rig_free(struct rig *r)
{
	if (r == NULL)
		return;
	sl_match_scratch_free(r->scratch);
	sl_match_free(r->db);
	free(r);
}

void rig_forgets(struct rig *r, bool forgets)
{
	r->forgets = forgets;
}

static int on_end(void *ctx, uint32_t id, size_t from, size_t to)
{
	struct rig *r = ctx;
	uint32_t d = id >> FORM_BITS;
	struct sl_detect_spot s;

	(void)from;
	if (r->forgets)
		sl_detect_begin(&r->memo);
	if (to <= r->done[d] ||
	    !sl_detect_check(d, id & ((1 << FORM_BITS) - 1), r->value, to, r->column, &r->memo, &s))
		return 0;
	r->done[d] = s.to;
	if (r->nb < r->cap)
		r->out[r->nb++] = (struct rig_find){d, s};
	return 0;
}

uint32_t rig_scan(struct rig *r, struct sl_span value, struct sl_span column, struct rig_find *out,
                  uint32_t cap)
{
	memset(r->done, 0, sizeof(r->done));
	sl_detect_begin(&r->memo);
	r->value = value;
	r->column = column;
	r->out = out;
	r->cap = cap;
	r->nb = 0;
	return sl_match_scan(r->db, r->scratch, value, on_end, r) == SL_OK ? r->nb : RIG_FAILED;
}
