/*
 * Grants: what an approval allows besides the command that it was asked for, where the rule says so. A grant
 * is for one rule of one policy version, one caller, resource and database, and for one session or for a
 * time. In memory only: after a restart people are asked again. The management thread.
 */
#ifndef MG_GRANT_H
#define MG_GRANT_H

#include <stdbool.h>
#include <stdint.h>

#include "sl_bus.h"

#define MG_GRANTS_MAX 4096 /* at a time; the next approvals count for their command only */

struct mg_grants;

struct mg_grants *mg_grants_new(void); /* NULL: out of memory */
void mg_grants_free(struct mg_grants *g);

/* Who granted, and with which approval. */
struct mg_granted {
	char by[SL_BUS_NAME_MAX];
	struct sl_id approval;
};

/* This need of a hold was met by `by`: keeps what its rule grants, if anything. */
void mg_grants_add(struct mg_grants *g, const struct sl_msg_hold *h, const struct sl_msg_need *need,
                   const char *by, uint64_t wall_us);
/* The grant that covers this need of a hold; NULL none. Good until the next call. */
const struct mg_granted *mg_grants_find(struct mg_grants *g, const struct sl_msg_hold *h,
                                        const struct sl_msg_need *need, uint64_t wall_us);
/* The worker (the maker of their sessions' ids) has died: the grants of its sessions go. */
void mg_grants_worker_gone(struct mg_grants *g, uint32_t worker);
/* The session's grants go. */
void mg_grants_session_end(struct mg_grants *g, const struct sl_id *session);

#endif
