/*
 * The thread that takes signals and watches the workers (sl_fault.h). It takes no lock and allocates nothing,
 * so that it still runs when all else waits for something that a dead worker holds.
 */
#ifndef WATCH_H
#define WATCH_H

#include "sl_mgmt.h"

/* Before the first thread is made: all others inherit it. SIGTERM and SIGINT are for the watch's thread. */
void watch_block_signals(void);
/* Starts it; SIGTERM and SIGINT drain the gateway. 0, SL_E_SYS. */
int watch_start(struct sl_mgmt *mgmt, uint32_t grace_ms);
/* Waits until no worker runs, and looks at them as long: one that hangs ends the process. Then it ends. */
void watch_end(void);

#endif
