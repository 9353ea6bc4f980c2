/*
 * The catalogs of targets that masks of columns need (policies/catalog): one for each resource and database
 * in use on a worker, asked for over a connection of the gateway's own with the resource's credential. Kept
 * for limits.catalogAge; then a new one is fetched while the old one serves. One that is out of date for
 * another reason (another policy, a change of the catalog that the gateway saw) serves nobody: logins and
 * statements wait for the new one.
 */
#ifndef WORKER_CATALOG_H
#define WORKER_CATALOG_H

#include "worker_priv.h"

/* Behind the login at inspection: keeps the credential, and asks at once when there is no good catalog. */
int catalog_login(struct session *s, struct sl_span user, struct sl_span secret);
/* Before SESSION and COMMAND: SL_OK inspection has what it needs; SL_AGAIN not yet; < 0 the flow must end. */
int catalog_ready(struct session *s);
/* The session ends. */
void catalog_leave(struct session *s);

/* What TCP told of a connection. */
void catalog_notify(struct fetch *f, uint32_t events);
/* While there are any. Returns what was done. */
uint32_t catalogs_run(struct sl_worker *w);
void catalogs_free(struct sl_worker *w);

#endif
