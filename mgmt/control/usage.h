/*
 * What the limits of a day have used, kept over a restart: written to the store every minute and at the end,
 * read at the start. What was used since the last time is lost when the gateway dies. The management thread.
 */
#ifndef MG_USAGE_H
#define MG_USAGE_H

#include <event2/event.h>

#include "sl_store.h"
#include "sl_usage.h"

#define MG_USAGE_DAYS_MAX 65536 /* entries that are kept */

struct mg_usage;

/* usage may be NULL: nothing to keep. */
int mg_usage_new(struct event_base *base, struct sl_store *store, struct sl_usage *usage,
                 struct mg_usage **out);
/* Writes once more. */
void mg_usage_free(struct mg_usage *k);

#endif
