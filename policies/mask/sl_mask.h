/*
 * Values: what becomes of one under a mask. What takes its place is valid for its type in its format, so that
 * the client's driver goes on; SQL NULL never comes here. docs/policy.md has the table of actions and types.
 * Worker thread; no allocation.
 */
#ifndef SL_MASK_H
#define SL_MASK_H

#include "sl_catalog.h"
#include "sl_eval.h"

enum sl_masked {
	SL_MASKED_PASS = 0, /* the value stays (content: nothing was found in it) */
	SL_MASKED_NEW,      /* out holds the new value */
	SL_MASKED_NULL,
	SL_MASKED_REFUSE, /* it cannot be read, or the new one does not fit: it must not pass */
};

#define SL_MASK_JSON_STEPS_MAX                                                                               \
	256 /* of all JSON paths of a mask together; with more, documents are masked whole */

#define SL_MASK_CONTENT (-1) /* whatever the content patterns and detectors of the caller find */

struct sl_mask_look;

struct sl_mask_value {
	int32_t mask;   /* index in the snapshot, or SL_MASK_CONTENT */
	bool derived;   /* something computed from what the mask hides: all of it goes, whatever the action */
	uint8_t format; /* 0 text, 1 binary */
	uint32_t type;  /* its OID; 0 not known */
	struct sl_span column; /* its name in the reply */
	struct sl_span value;
	const struct sl_mask_look *look; /* what sl_mask_look() said of this very value; NULL: it did not */
};

struct sl_mask_finds;

struct sl_masker {
	const struct sl_snapshot *snapshot;
	const struct sl_principal *who;
	const struct sl_catalog *catalog; /* NULL: types that are not built in are not known */
	uint32_t worker;
	uint8_t *scratch; /* of the worker, scratch_n bytes */
	size_t scratch_n;
	struct sl_mask_finds *finds; /* of the worker: what the last look found. NULL: it is not kept */
};

/* *n: bytes written, with SL_MASKED_NEW; never more than cap. */
enum sl_masked sl_mask(const struct sl_masker *m, const struct sl_mask_value *v, uint8_t *out, size_t cap,
                       size_t *n);

/*
 * A look for content at many values in one go, for rows of short texts: an engine's call costs more than the
 * few bytes it reads. Only of types for which sl_mask_plain_type() holds. clean: sl_mask() with
 * SL_MASK_CONTENT would say PASS. Not clean: it may, or may not; what was found is in the masker's `finds`
 * when it is `known`, and sl_mask() does not look again when it is given the look. That is good until the
 * next look with the same `finds`, and for the same snapshot and caller.
 */
struct sl_mask_look {
	struct sl_span value, column;
	bool clean, known;  /* out */
	uint16_t first, nb; /* out: the places of its finds */
};

#define SL_MASK_FINDS_MAX 256 /* of one look; values whose finds have no room are not known */

struct sl_mask_find {
	size_t from, to;
	uint32_t mask;
};

struct sl_mask_finds {
	const struct sl_snapshot *snapshot;
	const struct sl_principal *who;
	uint32_t nb;
	struct sl_mask_find v[SL_MASK_FINDS_MAX];
};

void sl_mask_look(const struct sl_masker *m, struct sl_mask_look *v, uint32_t nb);

/* Is a value of the type looked through as it lies? */
bool sl_mask_plain_type(const struct sl_catalog *catalog, uint32_t type, uint8_t format);

/* Can a value of the type hold what content patterns and detectors look for? catalog may be NULL. */
bool sl_mask_content_type(const struct sl_catalog *catalog, uint32_t type, uint8_t format);

/* How many steps the JSON path has ($.a.b, $.items[*].card, $..ssn, $["a b"][0]); 0: it cannot be read. */
uint32_t sl_mask_json_steps(const char *path);

#endif
