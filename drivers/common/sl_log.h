/*
 * The log: one line an event to standard error, `time level module message`, for the operator. Never called
 * per packet or per statement in a worker: those count (sl_counter.h) and record (the store). Values that
 * came from outside are written with sl_log_quote(), so that no byte of theirs can end the line or forge
 * another. Secrets are never logged. Any thread.
 */
#ifndef SL_LOG_H
#define SL_LOG_H

#include "sl_span.h"

enum sl_log_level {
	SL_LOG_ERROR,
	SL_LOG_WARN,
	SL_LOG_INFO,
	SL_LOG_DEBUG,
};

void sl_log_set_level(enum sl_log_level level);
__attribute__((format(printf, 3, 4))) void sl_log(enum sl_log_level level, const char *module,
                                                  const char *fmt, ...);

/*
 * Writes `in` into `out` (cap bytes, at least 8) as printable ASCII: backslash escapes for control and
 * non-ASCII bytes, quotes and backslashes, cut with "..." when it does not fit. Returns out.
 */
const char *sl_log_quote(struct sl_span in, char *out, size_t cap);

#endif
