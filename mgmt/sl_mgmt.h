/*
 * The management core: one thread with an event loop (libevent) on kernel sockets of the management network.
 * It answers the workers' questions (who is this? may this run?), keeps policy, credentials and approvals in
 * the store, serves the REST API.
 */
#ifndef SL_MGMT_H
#define SL_MGMT_H

#include <stdbool.h>
#include <stdint.h>

#include "sl_bus.h"
#include "sl_store.h"
#include "sl_usage.h"

struct sl_mgmt;

struct sl_mgmt_cfg {
	const char *listen;               /* "10.0.0.1:8443": REST API over TLS */
	const char *cert_file, *key_file; /* of the API */
	const char *master_key_file;      /* 32 random bytes as 64 hex digits, mode 0600: seals credentials */
	const char *policy_bootstrap; /* a directory of *.yaml: applied when the store has no policy yet; or
	                                 NULL */
	struct sl_bus *bus;
	struct sl_store *store;
	struct sl_usage *usage; /* shared with the workers; NULL: no limits */
	uint32_t nb_workers;
	/* Workers that have died, a set bit each; more with every call. NULL: none does. */
	uint64_t (*dead)(void);
	/* Called in the management thread for GET /v1/ports and the like: writes a JSON object; returns its
	 * length or -1. May be NULL. */
	long (*status)(void *ctx, char *out, size_t cap);
	void *status_ctx;
};

/* Loads policy and keys, opens the API socket. 0, < 0 with the reason in err. */
int sl_mgmt_new(const struct sl_mgmt_cfg *cfg, struct sl_mgmt **out, char *err, size_t err_cap);
/* Runs the loop in the calling thread until sl_mgmt_stop(). */
int sl_mgmt_run(struct sl_mgmt *m);
/* Any thread and signal handlers: the workers are drained (SL_MSG_DRAIN) with this grace, then the loop ends.
 */
void sl_mgmt_stop(struct sl_mgmt *m, uint32_t grace_ms);
void sl_mgmt_free(struct sl_mgmt *m);

#endif
