/*
 * Failed logins, counted per source address and per credential: past a number of them in a window, further
 * attempts are not looked at. What is not there is counted like what is. Bounded: a table of fixed size, in
 * which the least failed gives way. The management thread; time is a parameter (monotonic).
 */
#ifndef MG_THROTTLE_H
#define MG_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#include "sl_addr.h"
#include "sl_span.h"

#define MG_THROTTLE_SOURCE_MAX     100               /* failures of a source (an IPv4 address, an IPv6 /64) */
#define MG_THROTTLE_CREDENTIAL_MAX 20                /* and of a credential, */
#define MG_THROTTLE_WINDOW_US      (60ull * 1000000) /* in this time */
#define MG_THROTTLE_SLOTS          4096              /* sources and credentials that are counted at a time */

struct mg_throttle;

struct mg_throttle *mg_throttle_new(void); /* NULL: out of memory */
void mg_throttle_free(struct mg_throttle *t);
bool mg_throttle_blocked(const struct mg_throttle *t, const struct sl_addr *source, struct sl_span credential,
                         uint64_t now_us);
void mg_throttle_failed(struct mg_throttle *t, const struct sl_addr *source, struct sl_span credential,
                        uint64_t now_us);

#endif
