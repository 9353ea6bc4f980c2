/*
 * The management core's questions about TCP connections, answered in one message each: copies of numbers, no
 * pointers. Worker thread; a question costs QUERY_STEPS places and SL_BUS_TCP_ROWS connections at most.
 */
#ifndef TCP_ANSWER_H
#define TCP_ANSWER_H

#include "sl_bus.h"
#include "sl_tcp_info.h"

#define QUERY_STEPS 1024 /* places for connections, used or not, that one question looks at */

/* Makes *out, which is zeroed, the answer. wall_offset_us: from the stack's clock to wall time. */
void tcp_query_answer(struct sl_tcp *t, const struct sl_msg_tcp_query *q, uint64_t wall_offset_us,
                      struct sl_msg *out);

#endif
