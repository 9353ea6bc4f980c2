/*
 * Small helpers over jansson: bytes that came from outside into JSON strings. No I/O. Any thread.
 */
#ifndef MG_JSON_H
#define MG_JSON_H

#include <jansson.h>

#include "sl_id.h"
#include "sl_span.h"

/* Bytes as text: as they are when they are UTF-8, else with each byte that is not part of valid UTF-8 as
 * "\xNN". NULL: no memory. */
json_t *mg_json_text(struct sl_span bytes);
json_t *mg_json_hex(struct sl_span bytes);
json_t *mg_json_base64(struct sl_span bytes);
json_t *mg_json_id(const struct sl_id *id);

#endif
