/* A session credential in memory, and as the document that the store keeps. */
#ifndef MG_SESSION_CRED_PRIV_H
#define MG_SESSION_CRED_PRIV_H

#include "session_cred.h"

#define SCRED_RESOURCES_BYTES (MG_SCRED_RESOURCES_MAX * SL_BUS_NAME_MAX)

struct scred {
	struct scred *next; /* in its bucket */
	char id[SL_LOGIN_ID_MAX];
	bool revoked; /* the store still has it: it could not be written */
	uint64_t created_us, expires_us;
	struct sl_scram_verifier verifier;
	json_t *resources;       /* array of names */
	struct sl_identity *who; /* as long as its groups and claims are, no longer */
};

/* An identity without the room that it does not use; NULL: no memory, or malformed. */
struct sl_identity *scred_identity_pack(const struct sl_identity *who);
void scred_identity_unpack(const struct sl_identity *packed, struct sl_identity *out);

/* NULL: no memory, or text that is not UTF-8. */
json_t *scred_doc(const struct scred *s);
/* NULL: malformed, or no memory. */
struct scred *scred_read(const char *id, struct sl_span text);
void scred_free(struct scred *s);

#endif
