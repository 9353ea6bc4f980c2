#include "sl_fault.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "sl_err.h"

#define STACK_BYTES                                                                                          \
	(64 * 1024)     /* of the handler: the kernel's frame with all vector registers, and a line          \
	                 */
#define MODULES_MAX 128 /* mapped files with code */
#define MODULE_NAME 40
#define LINE_BYTES  256
#define NOWHERE     UINTPTR_MAX /* a program counter that says nothing */
#define CONTAINED   "contained: its sessions end, the others go on; a restart is advised"
#define LAST        "no worker is left: the gateway ends"

/* Code that is mapped: what a program counter is told relative to. Read by the handler, written at start. */
struct module {
	uintptr_t start, end, base;
	char name[MODULE_NAME];
};

static struct sl_fault_slot slots[SL_FAULT_THREADS];
static struct sl_fault_slot no_worker = {.worker = -1};
_Thread_local struct sl_fault_slot *sl_fault_self = &no_worker;

static _Atomic uint64_t running, dead;
static int wake_fd = -1;
static struct module modules[MODULES_MAX];
static uint32_t nb_modules;

static const int contained[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};

static const char *signal_name(int sig)
{
	switch (sig) {
	case SIGSEGV:
		return "SIGSEGV";
	case SIGBUS:
		return "SIGBUS";
	case SIGILL:
		return "SIGILL";
	case SIGFPE:
		return "SIGFPE";
	default:
		return "no signal";
	}
}

/* ---- a line for the log, with nothing that a signal handler may not call ---- */

struct line {
	char b[LINE_BYTES];
	size_t n;
};

static void put(struct line *l, const char *s)
{
	while (*s != '\0' && l->n < LINE_BYTES - 1)
		l->b[l->n++] = *s++;
}

/* At least `width` digits. */
static void put_number(struct line *l, uint64_t v, unsigned base, unsigned width)
{
	static const char digits[] = "0123456789abcdef";
	char b[64];
	size_t at = sizeof(b);

	b[--at] = '\0';
	do {
		b[--at] = digits[v % base];
		v /= base;
		width = width > 0 ? width - 1 : 0;
	} while (at > 0 && (v > 0 || width > 0));
	put(l, b + at);
}

/* Year, month and day of a count of days since 1970: the Gregorian calendar in years that begin in March. */
static void put_date(struct line *l, uint64_t days)
{
	uint64_t n = days + 719468, era = n / 146097, of_era = n % 146097;
	uint64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	uint64_t of_year = of_era - (365 * year + year / 4 - year / 100);
	uint64_t month = (5 * of_year + 2) / 153;
	uint64_t day = of_year - (153 * month + 2) / 5 + 1;

	month = month < 10 ? month + 3 : month - 9;
	put_number(l, year + era * 400 + (month <= 2), 10, 4);
	put(l, "-");
	put_number(l, month, 10, 2);
	put(l, "-");
	put_number(l, day, 10, 2);
}

static void begin(struct line *l)
{
	struct timespec ts = {0};
	uint64_t s;

	l->n = 0;
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	s = (uint64_t)ts.tv_sec;
	put_date(l, s / 86400);
	put(l, "T");
	put_number(l, s / 3600 % 24, 10, 2);
	put(l, ":");
	put_number(l, s / 60 % 60, 10, 2);
	put(l, ":");
	put_number(l, s % 60, 10, 2);
	put(l, ".");
	put_number(l, (uint64_t)ts.tv_nsec / 1000, 10, 6);
	put(l, "Z error fault ");
}

/* Not written when nobody takes it: who reads the log must not keep a dying thread. */
static void end(struct line *l)
{
	struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};

	l->b[l->n++] = '\n';
	if (poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) != 0)
		(void)syscall(SYS_write, STDERR_FILENO, l->b, l->n);
}

static void put_place(struct line *l, uintptr_t pc)
{
	for (uint32_t i = 0; i < nb_modules; i++) {
		const struct module *m = &modules[i];

		if (pc < m->start || pc >= m->end)
			continue;
		put(l, m->name);
		put(l, "+0x");
		put_number(l, pc - m->base, 16, 1);
		return;
	}
	put(l, "no code");
}

static uintptr_t program_counter(const void *context)
{
	const ucontext_t *u = context;

#if defined(__x86_64__)
	return (uintptr_t)u->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
	return (uintptr_t)u->uc_mcontext.pc;
#else
	(void)u;
	return 0;
#endif
}

static void say(const struct sl_fault_slot *s, int sig, uintptr_t pc, const char *what)
{
	struct line l;

	begin(&l);
	if (s->worker >= 0) {
		put(&l, "worker ");
		put_number(&l, (uint64_t)s->worker, 10, 1);
	} else {
		put(&l, "a thread that is no worker");
	}
	put(&l, ": ");
	put(&l, signal_name(sig));
	if (pc != NOWHERE) {
		put(&l, " at ");
		put_place(&l, pc);
	}
	put(&l, ": ");
	put(&l, what);
	end(&l);
}

/* ---- the handler ---- */

/* Sent by kill() and the like, not by the code that runs. */
static bool was_sent(const siginfo_t *si)
{
	return si->si_code <= 0;
}

/* False: nobody would be left. */
static bool take_out(struct sl_fault_slot *s, int sig)
{
	const uint64_t one = 1, bit = UINT64_C(1) << s->worker;
	uint64_t was;

	atomic_store(&s->signal, sig);
	was = atomic_fetch_or(&dead, bit);
	if ((atomic_load(&running) & ~(was | bit)) == 0)
		return false;
	if (wake_fd >= 0) /* one that is full is readable */
		(void)syscall(SYS_write, wake_fd, &one, sizeof(one));
	return true;
}

static _Noreturn void park(void)
{
	sigset_t all;

	sigfillset(&all);
	for (;;)
		(void)sigsuspend(&all);
}

/* The default action, which ends the process. */
static void die(int sig)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};

	(void)sigaction(sig, &dfl, NULL);
	(void)syscall(SYS_tgkill, getpid(), (pid_t)syscall(SYS_gettid),
	              sig); /* pending until the handler ends */
}

static void on_fault(int sig, siginfo_t *si, void *context)
{
	struct sl_fault_slot *s = sl_fault_self;
	uintptr_t pc = program_counter(context);
	const char *why = "the gateway ends";

	if (s->worker >= 0 && atomic_load(&s->shared) > 0) {
		if (was_sent(si)) {
			atomic_store(&s->asked, sig);
			return;
		}
		why = "in what it shares with others: the gateway ends";
	} else if (s->worker >= 0) {
		if (take_out(s, sig)) {
			say(s, sig, pc, CONTAINED);
			park();
		}
		why = LAST;
	}
	say(s, sig, pc, why);
	die(sig);
}

void sl_fault_asked(void)
{
	struct sl_fault_slot *s = sl_fault_self;
	int sig = atomic_load(&s->asked);

	if (s->worker < 0 || sig == 0)
		return;
	if (take_out(s, sig)) {
		say(s, sig, NOWHERE, CONTAINED);
		park();
	}
	say(s, sig, NOWHERE, LAST);
	die(sig);
}

/* ---- start and end ---- */

static int note_module(struct dl_phdr_info *info, size_t size, void *arg)
{
	const char *name = info->dlpi_name, *slash = strrchr(name, '/');

	(void)size;
	(void)arg;
	name = name[0] == '\0' ? program_invocation_short_name : slash != NULL ? slash + 1 : name;
	for (ElfW(Half) i = 0; i < info->dlpi_phnum && nb_modules < MODULES_MAX; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		struct module *m = &modules[nb_modules];

		if (p->p_type != PT_LOAD || (p->p_flags & PF_X) == 0)
			continue;
		m->base = info->dlpi_addr;
		m->start = m->base + p->p_vaddr;
		m->end = m->start + p->p_memsz;
		(void)memccpy(m->name, name, '\0', sizeof(m->name) - 1);
		nb_modules++;
	}
	return 0;
}

bool sl_fault_can_contain(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
	return false;
#else
	return true;
#endif
#else
	return true;
#endif
}

void sl_fault_start(bool contain, int fd)
{
	struct sigaction act = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	wake_fd = fd;
	if (!contain || !sl_fault_can_contain())
		return;
	nb_modules = 0;
	(void)dl_iterate_phdr(note_module, NULL);
	/* All are blocked meanwhile: a fault in the handler cannot be delivered, and ends the process. */
	sigfillset(&act.sa_mask);
	for (size_t i = 0; i < sizeof(contained) / sizeof(contained[0]); i++)
		(void)sigaction(contained[i], &act, NULL);
}

int sl_fault_enter(uint32_t worker)
{
	long least = sysconf(_SC_MINSIGSTKSZ);
	stack_t st = {.ss_size = STACK_BYTES + (least > 0 ? (size_t)least : 0)};

	if (worker >= SL_FAULT_WORKERS_MAX)
		return SL_E_INVAL;
	st.ss_sp = mmap(NULL, st.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (st.ss_sp == MAP_FAILED)
		return SL_E_NOMEM;
	/* A sanitizer has put one there already, and gives it back itself. */
	if (!sl_fault_can_contain() || sigaltstack(&st, NULL) != 0)
		(void)munmap(st.ss_sp, st.ss_size);
	slots[worker].worker = (int32_t)worker;
	atomic_store(&slots[worker].shared, 0);
	atomic_store(&slots[worker].asked, 0);
	atomic_fetch_or(&running, UINT64_C(1) << worker);
	sl_fault_self = &slots[worker];
	return SL_OK;
}

/* The stack goes with the process: the thread may be EAL's and live on. */
void sl_fault_leave(void)
{
	struct sl_fault_slot *s = sl_fault_self;

	sl_fault_self = &no_worker;
	if (s->worker >= 0)
		atomic_fetch_and(&running, ~(UINT64_C(1) << s->worker));
}

uint64_t sl_fault_dead(void)
{
	return atomic_load_explicit(&dead, memory_order_acquire);
}

uint64_t sl_fault_running(void)
{
	return atomic_load(&running) & ~atomic_load(&dead);
}

const char *sl_fault_signal(uint32_t worker)
{
	return signal_name(worker < SL_FAULT_WORKERS_MAX ? atomic_load(&slots[worker].signal) : 0);
}

/* The kernel copies, and says where a fault would have been. */
bool sl_fault_read(void *to, const void *from, size_t n)
{
	struct iovec here = {to, n}, there = {(void *)(uintptr_t)from, n};

	return process_vm_readv(getpid(), &here, 1, &there, 1, 0) == (ssize_t)n;
}

/* ---- the watchdog ---- */

void sl_fault_helper_beat(enum sl_fault_helper who)
{
	atomic_fetch_add_explicit(&slots[SL_FAULT_WORKERS_MAX + who].beats, 1, memory_order_relaxed);
}

static bool stands_still(struct sl_fault_watch *w, uint32_t i, bool watched, uint32_t most)
{
	uint64_t beats = atomic_load_explicit(&slots[i].beats, memory_order_relaxed);

	if (!watched || beats != w->beats[i]) {
		w->beats[i] = beats;
		w->still[i] = 0;
		return false;
	}
	return ++w->still[i] >= most;
}

int sl_fault_watch(struct sl_fault_watch *w)
{
	uint64_t alive = sl_fault_running();
	bool helpers = sl_fault_dead() != 0;

	for (uint32_t i = 0; i < SL_FAULT_WORKERS_MAX; i++) {
		if (stands_still(w, i, (alive >> i & 1) != 0, SL_FAULT_TICKS_WORKER))
			return (int)i;
	}
	for (uint32_t i = SL_FAULT_WORKERS_MAX; i < SL_FAULT_THREADS; i++) {
		if (stands_still(w, i, helpers, SL_FAULT_TICKS_HELPER))
			return (int)i;
	}
	return -1;
}

_Noreturn void sl_fault_give_up(int who)
{
	struct line l;

	begin(&l);
	if (who < SL_FAULT_WORKERS_MAX) {
		put(&l, "worker ");
		put_number(&l, (uint64_t)who, 10, 1);
	} else {
		put(&l, who == SL_FAULT_WORKERS_MAX + SL_FAULT_MGMT ? "the management core" : "the store");
	}
	put(&l, " has stood still for ");
	put_number(&l,
	           (who < SL_FAULT_WORKERS_MAX ? SL_FAULT_TICKS_WORKER : SL_FAULT_TICKS_HELPER) *
	                   SL_FAULT_TICK_MS / 1000,
	           10, 1);
	put(&l, " s: the gateway ends");
	end(&l);
	abort();
}
