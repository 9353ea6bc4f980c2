/*
 * Needs: what each rule that holds a command asks for, and how far that is met. They are kept in the
 * approval's document under `rules`, in the order of the hold; an approval counts for each rule whose
 * approvers its giver is one of. The management thread.
 */
#ifndef MG_NEED_H
#define MG_NEED_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "grant.h"
#include "sl_bus.h"

/* From 1 to SL_BUS_NEEDS_MAX needs, each with a name and an end of its approvers' list. */
bool mg_needs_ok(const struct sl_msg_hold *h);

/* May this person decide on any of them? Nobody may who asked for it. */
bool mg_needs_may(const struct sl_msg_hold *h, const struct sl_identity *who);

/*
 * The `rules` of a document. approvals: the array of that document. Each rule has what it asks for, and
 * `approved`, `needed` (what is missing yet), `granted_by` and `granted_with`. NULL: out of memory. *missing
 * is true while any needs something.
 */
json_t *mg_needs_json(const struct sl_msg_hold *h, const json_t *approvals, struct mg_grants *grants,
                      uint64_t wall_us, bool *missing);

/* The names of the rules that an approval of this person counts for: an array. NULL: out of memory. */
json_t *mg_needs_counting(const struct sl_msg_hold *h, const struct sl_identity *who);

/* All needs are met: keeps what the rules grant. What was met by a grant is not granted anew. */
void mg_needs_grant(const struct sl_msg_hold *h, const json_t *approvals, struct mg_grants *grants,
                    uint64_t wall_us);

/* Of a document whose needs are all met by grants: who granted, and with which approvals, in words. */
void mg_needs_granted(const json_t *rules, char *by, size_t by_cap, char *note, size_t note_cap);

#endif
