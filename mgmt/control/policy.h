/*
 * Policy versions: table "policy" of the store holds every version that was ever in force, with who applied
 * it and when. The newest is compiled at the start and published to the workers; a new one is compiled in a
 * thread of its own, stored, and published. The management thread.
 */
#ifndef MG_POLICY_H
#define MG_POLICY_H

#include <jansson.h>

#include "approval.h"
#include "job.h"
#include "sl_policy.h"
#include "sl_store.h"

#define MG_POLICY_LIST_MAX 1000

struct mg_policy;

struct mg_policy_cfg {
	struct sl_store *store;
	struct mg_jobs *jobs;
	uint32_t nb_workers;
	struct sl_policy_keys mask_keys; /* derive() runs in the thread that compiles */
	mg_send_fn send;
	/* A snapshot comes into force; the one before is given back after the call. */
	void (*changed)(void *ctx, const struct sl_snapshot *snap);
	void *ctx; /* of both */
};

/*
 * Loads and publishes the newest version; the documents of the bootstrap directory (or NULL) when there is
 * none. An error, with the reason in err, when it does not compile or there is no policy at all: the gateway
 * must not start then.
 */
int mg_policy_new(const struct mg_policy_cfg *cfg, const char *bootstrap, struct mg_policy **out, char *err,
                  size_t err_cap);
void mg_policy_free(struct mg_policy *p);

const struct sl_snapshot *mg_policy_current(const struct mg_policy *p);

/* 0 with the version, or < 0 with the error's place when it is one of the documents (text "" else). */
typedef void (*mg_policy_fn)(void *ctx, int err, uint64_t version, const struct sl_policy_error *where);
/*
 * Compiles and, when not a dry run, stores and publishes. fn is called later from the loop. The text is
 * copied. SL_E_EXISTS while another one is at it, SL_E_LIMIT, SL_E_NOMEM: fn is not called then.
 */
int mg_policy_apply(struct mg_policy *p, struct sl_span text, const char *who, bool dry_run, mg_policy_fn fn,
                    void *ctx);

/* SL_MSG_SNAPSHOT_FREE: one count comes back. */
void mg_policy_release(struct sl_snapshot *snap);

/* Appends {version, applied_by, applied_at_us, sha256}, newest first. */
int mg_policy_list(struct mg_policy *p, json_t *array);
/* {version, applied_by, applied_at_us, sha256, documents}; version 0: the current one. */
int mg_policy_get(struct mg_policy *p, uint64_t version, json_t **out);

#endif
