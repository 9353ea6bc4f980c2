/*
 * Faults of workers. The workers are threads of one process. When the code of one makes a fault (SIGSEGV,
 * SIGBUS, SIGILL, SIGFPE), that worker is taken out and the others go on: the handler, on a stack of its own,
 * marks the worker dead, writes one line to the log and stays there for ever. It never returns into the code
 * that failed, frees nothing and changes nothing else. Who serves what the dead worker had served find it in
 * sl_fault_dead().
 *
 * The process ends instead, by the signal's default action, when
 * - the thread is no worker, or the worker does not run (start, stop);
 * - the worker is inside a section that it shares with others (sl_fault_shared_begin());
 * - the handler itself makes a fault;
 * - no other worker runs any more;
 * - containment is off, as it is in builds with address or thread sanitizers, which have handlers of their
 *   own.
 * SIGABRT (checks of the heap and the stack, assertions) is not contained. A signal that somebody sent rather
 * than the code's own is taken the same way, but waits for the end of a shared section.
 *
 * A worker can die with a lock that the others want (of the heap, of a ring with several producers): they
 * would wait for ever. sl_fault_watch() finds that.
 */
#ifndef SL_FAULT_H
#define SL_FAULT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SL_FAULT_WORKERS_MAX 64

/* The watchdog looks so often, and gives up after so many looks in a row without a sign of life. It counts
 * looks, not time: a process that was stopped, or a machine that slept, costs one look. */
#ifndef SL_FAULT_TICK_MS /* a test's are shorter */
#define SL_FAULT_TICK_MS 500
#endif
#define SL_FAULT_TICKS_WORKER 20 /* 10 s */
#define SL_FAULT_TICKS_HELPER 60 /* 30 s: these may wait for a slow disk */

/* Threads that workers depend on. They are watched once a worker is dead: before, nothing of a worker can
 * hold them. */
enum sl_fault_helper {
	SL_FAULT_MGMT,
	SL_FAULT_STORE,
	SL_FAULT_HELPERS,
};

#define SL_FAULT_THREADS (SL_FAULT_WORKERS_MAX + SL_FAULT_HELPERS)

/* A thread's own, but for `asked`, which its signal handler writes, and for the watchdog, which reads. */
struct sl_fault_slot {
	_Alignas(64) _Atomic uint64_t beats;
	_Atomic uint32_t shared; /* how deep in shared sections */
	_Atomic int asked;       /* a signal that came in a shared section; 0: none */
	int32_t worker;          /* -1: not a worker */
	_Atomic int signal;      /* what it died of */
};

/* The calling thread's; one for all that are no workers. */
extern _Thread_local struct sl_fault_slot *sl_fault_self;

/* False in builds with sanitizers. */
bool sl_fault_can_contain(void);

/*
 * contain: faults of workers are contained from now on. wake_fd: an eventfd that becomes readable when a
 * worker has died, -1: none. Once, by the main thread, before the first worker runs.
 */
void sl_fault_start(bool contain, int wake_fd);

/* The calling thread is this worker from now on (0 to SL_FAULT_WORKERS_MAX - 1), and beats. 0, or SL_E_NOMEM:
 * no room for the handler's stack. */
int sl_fault_enter(uint32_t worker);
/* It has ended in order. */
void sl_fault_leave(void);

/* A set bit for each dead worker. What a dead one wrote before can be read after this. Any thread. */
uint64_t sl_fault_dead(void);
/* A set bit for each worker that runs. Any thread. */
uint64_t sl_fault_running(void);
/* The signal's name, "SIGSEGV"; of a dead worker. Any thread. */
const char *sl_fault_signal(uint32_t worker);

/* The lowest of nb workers that is not in `dead`: it does what only one can do, and what the dead ones did.
 */
static inline uint32_t sl_fault_lead(uint64_t dead)
{
	return ~dead == 0 ? 0 : (uint32_t)__builtin_ctzll(~dead);
}

/* Takes the worker out as a fault would. Does not return but in what is no worker. */
void sl_fault_asked(void);

/* A sign of life; once per loop of a worker. */
static inline void sl_fault_beat(void)
{
	struct sl_fault_slot *s = sl_fault_self;

	atomic_store_explicit(&s->beats, atomic_load_explicit(&s->beats, memory_order_relaxed) + 1,
	                      memory_order_relaxed);
	if (__builtin_expect(atomic_load_explicit(&s->asked, memory_order_relaxed) != 0, 0))
		sl_fault_asked();
}

/* Of a helper. Its thread. */
void sl_fault_helper_beat(enum sl_fault_helper who);

/*
 * Around code that a worker must not leave half done, because another worker goes on with it: a driver's
 * queue, a lock or ring of several producers, a table with one writer. They nest. Cheap enough for each
 * burst.
 */
static inline void sl_fault_shared_begin(void)
{
	_Atomic uint32_t *n = &sl_fault_self->shared;

	atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
}

static inline void sl_fault_shared_end(void)
{
	_Atomic uint32_t *n = &sl_fault_self->shared;

	atomic_signal_fence(memory_order_seq_cst);
	atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) - 1, memory_order_relaxed);
}

/*
 * Copies n bytes that a dead worker has left. False: they are not there. Its memory may be damaged: no
 * pointer in it may be followed but through this.
 */
bool sl_fault_read(void *to, const void *from, size_t n);

/* What the watchdog remembers; zero at first. */
struct sl_fault_watch {
	uint64_t beats[SL_FAULT_THREADS];
	uint32_t still[SL_FAULT_THREADS];
};

/*
 * One look, each SL_FAULT_TICK_MS. -1; or who has not moved for too long: a worker's number, or
 * SL_FAULT_WORKERS_MAX + enum sl_fault_helper. Its thread must be one that takes no lock and allocates
 * nothing: it would wait with the others.
 */
int sl_fault_watch(struct sl_fault_watch *w);
/* Says so in the log, in the same careful way, and aborts. */
_Noreturn void sl_fault_give_up(int who);

#endif
