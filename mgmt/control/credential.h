/*
 * Target credentials, sealed with AES-256-GCM (NIST SP 800-38D) under the master key: table "credential" of
 * the store, key the name. User name and secret are sealed together; the name, the format and the time of
 * change are authenticated with them, so that a sealed value does not open under another name. The management
 * thread.
 */
#ifndef MG_CREDENTIAL_H
#define MG_CREDENTIAL_H

#include <jansson.h>

#include "sl_bus.h"
#include "sl_store.h"

#define MG_CREDENTIALS_MAX 4096

struct mg_creds;

/* Reads the master key, or makes the file when there is none and the store has no credentials. SL_E_CONFIG
 * with the reason in err. */
int mg_creds_new(const char *key_file, struct sl_store *store, struct mg_creds **out, char *err,
                 size_t err_cap);
void mg_creds_free(struct mg_creds *c);
/* A key for another use, that follows from the master key and cannot be turned back into it. 0, SL_E_SEAL,
 * SL_E_INVAL (a use longer than MG_USE_MAX). Any thread. */
#define MG_USE_MAX       127
#define MG_DERIVED_BYTES 32
int mg_creds_derive(const struct mg_creds *c, const char *use, uint8_t out[MG_DERIVED_BYTES]);

/* Letters, digits, '.', '_', '-'; 1 to SL_BUS_NAME_MAX - 1 bytes. */
bool mg_creds_name_ok(const char *name);
/* 0; SL_E_INVAL, SL_E_LIMIT (lengths), SL_E_SEAL, the store's. */
int mg_creds_put(struct mg_creds *c, const char *name, struct sl_span username, struct sl_span secret,
                 uint64_t wall_us);
/* Opens one. user: SL_BUS_NAME_MAX bytes. SL_E_NOTFOUND, SL_E_SEAL. */
int mg_creds_get(struct mg_creds *c, const char *name, char *user, struct sl_secret *secret);
int mg_creds_del(struct mg_creds *c, const char *name);
/* Appends {name, username, updated_us} of each to the array; one that does not open has "username": null and
 * "problem". */
int mg_creds_list(struct mg_creds *c, json_t *array);

#endif
