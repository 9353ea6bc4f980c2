/* Documents: what json.c, path.c and their callers share. */
#ifndef JSON_PRIV_H
#define JSON_PRIV_H

#include "mask_priv.h"

#define STATE_WORDS (SL_MASK_JSON_STEPS_MAX / 64)

enum json_step_kind {
	STEP_NAME,
	STEP_ANY_NAME,
	STEP_INDEX,
	STEP_ANY_INDEX,
};

struct json_step {
	struct sl_span name;
	uint32_t index;
	uint8_t kind; /* enum json_step_kind */
	bool descend; /* at any depth */
	bool last;
};

struct json_paths {
	uint32_t nb;
	struct json_step v[SL_MASK_JSON_STEPS_MAX];
};

/* Which steps are looked for at a place: all paths at once. */
struct json_states {
	uint64_t w[STATE_WORDS];
};

/* path.c. False: they cannot be read, or are too many. */
bool json_paths_read(const struct sl_strings *list, struct json_paths *out);
void json_begin(const struct json_paths *p, struct json_states *s);
/* Each returns whether a path ends there. */
bool json_enter(const struct json_paths *p, struct json_states *s,
                uint8_t first); /* a value that begins so */
bool json_member(const struct json_paths *p, const struct json_states *s, struct sl_span name,
                 struct json_states *below);
bool json_element(const struct json_paths *p, const struct json_states *s, uint32_t index,
                  struct json_states *below);

enum json_result {
	JSON_PASS, /* nothing in it is hidden */
	JSON_NEW,
	JSON_NULL,
	JSON_NONE, /* it is no document that can be read */
	JSON_REFUSE,
};

/* json.c. mask NULL: content only. */
enum json_result json_mask(struct job *j, const struct sl_mask *mask, struct sl_span v, struct out *w);
void json_put_string(struct out *w, struct sl_span v);
/* What stands for a document, or a part of one, that is masked whole; not for SL_MASK_NULL. */
void json_whole(const struct sl_mask *m, struct sl_span raw, struct out *w);

#endif
