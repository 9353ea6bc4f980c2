/*
 * Counters. Each thread has one block, written by that thread alone with relaxed stores and read by the
 * management core at any time. A block has a counter for each row of the error table and each row of the
 * table here. Blocks are registered once at thread start and never freed before exit, so sums never go back.
 * Beside them stand levels: what is in use of a thread's bounded pools, as the thread saw it last.
 */
#ifndef SL_COUNTER_H
#define SL_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

#include "sl_err.h"

#define SL_COUNTER_TABLE(X)                                                                                  \
	X(SL_C_RX_PACKETS, "packets received")                                                               \
	X(SL_C_RX_BYTES, "bytes received")                                                                   \
	X(SL_C_TX_PACKETS, "packets sent")                                                                   \
	X(SL_C_TX_BYTES, "bytes sent")                                                                       \
	X(SL_C_HANDOFF_PACKETS, "packets handed to the worker that owns their flow")                         \
	X(SL_C_IMPAIR_DUPLICATED, "packets doubled by the impairment that was asked for")                    \
	X(SL_C_IMPAIR_REORDERED, "packets overtaken by it")                                                  \
	X(SL_C_IMPAIR_CORRUPTED, "packets damaged by it")                                                    \
	X(SL_C_TCP_ACCEPTED, "TCP connections accepted")                                                     \
	X(SL_C_TCP_CONNECTED, "TCP connections opened to targets")                                           \
	X(SL_C_TCP_CLOSED, "TCP connections closed")                                                         \
	X(SL_C_TCP_MERGED, "TCP segments merged with the one before")                                        \
	X(SL_C_TCP_RETRANSMITS, "TCP segments sent again")                                                   \
	X(SL_C_TCP_RECOVERIES, "TCP recoveries from loss without a timeout")                                 \
	X(SL_C_TCP_LOSS_PROBES, "TCP loss probes (TLP)")                                                     \
	X(SL_C_TCP_SPURIOUS, "TCP recoveries and timeouts taken back: nothing was lost")                     \
	X(SL_C_TCP_BLACK_HOLES, "TCP paths that seemed to swallow large segments in silence")                \
	X(SL_C_TCP_RTO, "TCP retransmission timeouts")                                                       \
	X(SL_C_TCP_COOKIES_SENT, "SYN cookies sent")                                                         \
	X(SL_C_TCP_COOKIES_GOOD, "TCP connections accepted by a SYN cookie")                                 \
	X(SL_C_FLOW_REF_BYTES, "bytes passed between the legs of flows by reference")                        \
	X(SL_C_FLOW_COPY_BYTES, "bytes passed between them by copy")                                         \
	X(SL_C_TLS_HANDSHAKES, "TLS handshakes finished")                                                    \
	X(SL_C_SESSIONS, "sessions opened")                                                                  \
	X(SL_C_SESSIONS_ENDED, "sessions ended")                                                             \
	X(SL_C_CATALOGS, "catalogs of targets read, for masks of columns")                                   \
	X(SL_C_AUTH_FAILED, "logins refused")                                                                \
	X(SL_C_COMMANDS, "commands judged")                                                                  \
	X(SL_C_ALLOWED, "commands allowed")                                                                  \
	X(SL_C_DENIED, "commands denied")                                                                    \
	X(SL_C_HELD, "commands held for approval")                                                           \
	X(SL_C_LIMITED, "commands denied or held because of a limit")                                        \
	X(SL_C_CUT, "results cut because of a limit")                                                        \
	X(SL_C_LOCKS, "identities locked by a breaker")                                                      \
	X(SL_C_ROWS, "rows sent to clients")                                                                 \
	X(SL_C_FIELDS_MASKED, "fields masked")                                                               \
	X(SL_C_RECORDS, "records written")                                                                   \
	X(SL_C_RECORD_BYTES, "bytes of records written")                                                     \
	X(SL_C_COMMITS, "store commits")                                                                     \
	X(SL_C_LOOPS_BUSY, "worker loops that found work")                                                   \
	X(SL_C_LOOPS_IDLE, "worker loops that found none")                                                   \
	X(SL_C_SLEEPS, "worker sleeps")                                                                      \
	X(SL_C_WORKERS_DIED, "workers that died of a fault that was contained")

#define SL_LEVEL_TABLE(X)                                                                                    \
	X(SL_L_RX_MBUFS, "packet buffers in use that the worker's queues receive into")                      \
	X(SL_L_STACK_MBUFS, "packet buffers in use of those that the worker sends and copies with")          \
	X(SL_L_RECORD_BLOCKS, "record blocks on the way to the disk")

enum sl_level_id {
#define SL_LEVEL_ID(name, text) name,
	SL_LEVEL_TABLE(SL_LEVEL_ID)
#undef SL_LEVEL_ID
	SL_LEVEL_COUNT
};

enum sl_counter_id {
#define SL_COUNTER_ID(name, text) name,
	SL_COUNTER_TABLE(SL_COUNTER_ID)
#undef SL_COUNTER_ID
	SL_COUNTER_COUNT
};

struct sl_counters {
	char thread[16];
	_Atomic uint64_t counter[SL_COUNTER_COUNT];
	_Atomic uint64_t level[SL_LEVEL_COUNT];
	_Atomic uint64_t err[SL_ERR_COUNT];
	struct sl_counters *next;
};

/* The calling thread's block; a shared spare one before sl_counters_register(). Never NULL. */
extern _Thread_local struct sl_counters *sl_counters_self;

/* Registers a block for the calling thread under a short name. Once per thread; aborts the start when out of
 * memory. */
void sl_counters_register(const char *thread);
/* The list of all blocks, for reading. Any thread. */
struct sl_counters *sl_counters_all(void);
/* Sum over all threads. Any thread. */
uint64_t sl_counter_sum(enum sl_counter_id id);
uint64_t sl_counter_err_sum(int err);
uint64_t sl_level_sum(enum sl_level_id id);
/* The level's name without "SL_L_", in lower case, and its text. */
const char *sl_level_name(enum sl_level_id id);
const char *sl_level_text(enum sl_level_id id);
/* The counter's name without "SL_C_", in lower case, and its text. */
const char *sl_counter_name(enum sl_counter_id id);
const char *sl_counter_text(enum sl_counter_id id);

static inline void sl_count_n(enum sl_counter_id id, uint64_t n)
{
	_Atomic uint64_t *c = &sl_counters_self->counter[id];

	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline void sl_level_set(enum sl_level_id id, uint64_t n)
{
	atomic_store_explicit(&sl_counters_self->level[id], n, memory_order_relaxed);
}

static inline void sl_count(enum sl_counter_id id)
{
	sl_count_n(id, 1);
}

/* Counts the error and returns it: `return sl_fail(SL_E_TCP_SEQ);` */
static inline int sl_fail(int err)
{
	_Atomic uint64_t *c = &sl_counters_self->err[-err];

	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + 1, memory_order_relaxed);
	return err;
}

#endif
