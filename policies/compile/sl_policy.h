/*
 * Policy documents: YAML with `kind / version / metadata / spec`, several to a file. Compiled as a whole into
 * a snapshot. Errors have file, line, column and a hint; unknown keys are refused. Management core and tools.
 */
#ifndef SL_POLICY_H
#define SL_POLICY_H

#include "sl_snapshot.h"

#define SL_POLICY_BYTES_MAX (4u << 20) /* of all documents together */

struct sl_policy_error {
	char file[256];
	uint32_t line, column; /* from 1; 0 unknown */
	char text[512];
	char hint[256]; /* "" none */
};

struct sl_policy_source {
	const char *file; /* for errors */
	struct sl_span text;
};

/*
 * Where the keys of masks come from: for a name the same SL_MASK_KEY_BYTES each time. 0, or < 0. The thread
 * that compiles.
 */
struct sl_policy_keys {
	int (*derive)(void *ctx, const char *name, uint8_t out[SL_MASK_KEY_BYTES]);
	void *ctx;
};

extern const struct sl_policy_keys sl_policy_test_keys; /* known to everybody: tools and tests only */

/*
 * Compiles. 0 with *out, one count, the caller's; SL_E_POLICY_SYNTAX, SL_E_POLICY_PATTERN, SL_E_LIMIT with
 * *err. nb_workers: scratches to make. keys NULL: documents that need one are refused.
 */
int sl_policy_compile_keyed(const struct sl_policy_source *sources, uint32_t nb, uint64_t version,
                            uint32_t nb_workers, const struct sl_policy_keys *keys, struct sl_snapshot **out,
                            struct sl_policy_error *err);
/* The same without keys. */
int sl_policy_compile(const struct sl_policy_source *sources, uint32_t nb, uint64_t version,
                      uint32_t nb_workers, struct sl_snapshot **out, struct sl_policy_error *err);
/* Only when the last count is gone. */
void sl_policy_free(struct sl_snapshot *s);

/* "file:line:column: text (hint)" */
const char *sl_policy_error_str(const struct sl_policy_error *e, char *out, size_t cap);

#endif
