/* Faults in children of the test: what is contained and what ends the process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sl_fault.h"

#define WAIT_MS 10000

enum act {
	NOTHING,
	READ_NULL,
	READ_NULL_SHARED,
	OVERFLOW,
	TRAP,
	ABORT,
	WAIT_SHARED, /* stays in a shared section until it is told */
};

struct worker {
	pthread_t thread;
	uint32_t number;
	_Atomic int act; /* done once */
	_Atomic bool go;
	_Atomic int tid;
	_Atomic uint64_t loops;
	_Atomic bool inside;
};

static struct worker workers[2];
static int wake;

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL);
}

/* Not at address 0: a compiler makes of that what it likes. */
static volatile int *nowhere(void)
{
	volatile uintptr_t a = 16;

	return (volatile int *)a;
}

__attribute__((noinline)) static int deep(volatile int *n)
{
	volatile char room[4096];

	room[0] = (char)*n;
	(*n)++;
	return *n > 0 ? deep(n) + room[0] : 0;
}

static void perform(struct worker *w)
{
	volatile int n = 1;

	switch (atomic_exchange(&w->act, NOTHING)) {
	case READ_NULL:
		(void)*nowhere();
		break;
	case READ_NULL_SHARED:
		sl_fault_shared_begin();
		sl_fault_shared_begin();
		sl_fault_shared_end();
		(void)*nowhere();
		sl_fault_shared_end();
		break;
	case OVERFLOW:
		(void)deep(&n);
		break;
	case TRAP:
		raise(SIGILL);
		break;
	case ABORT:
		abort();
	case WAIT_SHARED:
		sl_fault_shared_begin();
		atomic_store(&w->inside, true);
		while (!atomic_load(&w->go))
			nap();
		sl_fault_shared_end();
		break;
	default:
		break;
	}
}

static void *run(void *arg)
{
	struct worker *w = arg;

	if (sl_fault_enter(w->number) != 0)
		_exit(90);
	atomic_store(&w->tid, (int)syscall(SYS_gettid));
	for (;;) {
		sl_fault_beat();
		atomic_fetch_add(&w->loops, 1);
		perform(w);
		nap();
	}
	return NULL;
}

static void start(bool contain)
{
	const struct rlimit none = {0, 0};

	/* The test program's own handlers are not meant. */
	for (int sig = 1; sig < 32; sig++)
		signal(sig, SIG_DFL);
	(void)setrlimit(RLIMIT_CORE, &none);
	wake = eventfd(0, EFD_NONBLOCK);
	sl_fault_start(contain, wake);
	for (uint32_t i = 0; i < 2; i++) {
		workers[i].number = i;
		if (pthread_create(&workers[i].thread, NULL, run, &workers[i]) != 0)
			_exit(91);
		while (atomic_load(&workers[i].tid) == 0)
			nap();
	}
}

static bool died(uint64_t mask)
{
	for (int i = 0; i < WAIT_MS && sl_fault_dead() != mask; i++)
		nap();
	return sl_fault_dead() == mask;
}

/* It goes through its loop. */
static bool lives(uint32_t i)
{
	uint64_t n = atomic_load(&workers[i].loops);

	for (int k = 0; k < WAIT_MS && atomic_load(&workers[i].loops) < n + 5; k++)
		nap();
	return atomic_load(&workers[i].loops) >= n + 5;
}

static void wait_for_end(void)
{
	for (int i = 0; i < WAIT_MS; i++)
		nap();
	_exit(92);
}

/* In a child: `body` returns 0, or the process ends before. */
static int in_child(int (*body)(void))
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(body());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void assert_ended(int status, int sig)
{
	if (sl_fault_can_contain() || sig == SIGABRT) {
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), sig);
		return;
	}
	/* A sanitizer reports, and ends the process in a way of its own. */
	assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) < 90);
	assert_int_not_equal(status, 0);
}

/* 0; or the process ends where nothing can be contained. */
static void assert_contained(int status)
{
	if (!sl_fault_can_contain()) {
		assert_int_not_equal(status, 0);
		return;
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int contains(enum act act, const char *name)
{
	uint64_t woken = 0;

	start(true);
	atomic_store(&workers[0].act, (int)act);
	if (!died(1))
		return 1;
	if (!lives(1) || sl_fault_running() != 2 || sl_fault_lead(sl_fault_dead()) != 1)
		return 2;
	if (read(wake, &woken, sizeof(woken)) != sizeof(woken) || woken != 1)
		return 3;
	return strcmp(sl_fault_signal(0), name) == 0 ? 0 : 4;
}

static int body_null(void)
{
	return contains(READ_NULL, "SIGSEGV");
}

static int body_overflow(void)
{
	return contains(OVERFLOW, "SIGSEGV");
}

static int body_raised(void)
{
	return contains(TRAP, "SIGILL");
}

static void test_contained(void **state)
{
	(void)state;
	assert_contained(in_child(body_null));
	assert_contained(in_child(body_overflow));
	assert_contained(in_child(body_raised));
}

static int body_last(void)
{
	start(true);
	atomic_store(&workers[0].act, READ_NULL);
	if (!died(1))
		return 1;
	atomic_store(&workers[1].act, READ_NULL);
	wait_for_end();
	return 2;
}

static int body_shared(void)
{
	start(true);
	atomic_store(&workers[0].act, READ_NULL_SHARED);
	wait_for_end();
	return 2;
}

static int body_off(void)
{
	start(false);
	atomic_store(&workers[0].act, READ_NULL);
	wait_for_end();
	return 2;
}

static int body_main(void)
{
	start(true);
	(void)*nowhere();
	return 2;
}

static int body_abort(void)
{
	start(true);
	atomic_store(&workers[0].act, ABORT);
	wait_for_end();
	return 2;
}

static void test_process_ends(void **state)
{
	(void)state;
	assert_ended(in_child(body_last), SIGSEGV);
	assert_ended(in_child(body_shared), SIGSEGV);
	assert_ended(in_child(body_off), SIGSEGV);
	assert_ended(in_child(body_main), SIGSEGV);
	assert_ended(in_child(body_abort), SIGABRT);
}

/* What somebody sends may come at any moment: it does not cut a shared section. */
static int body_sent(void)
{
	start(true);
	atomic_store(&workers[1].act, WAIT_SHARED);
	while (!atomic_load(&workers[1].inside))
		nap();
	if (syscall(SYS_tgkill, getpid(), atomic_load(&workers[1].tid), SIGSEGV) != 0)
		return 1;
	for (int i = 0; i < 50; i++)
		nap();
	if (sl_fault_dead() != 0)
		return 2;
	atomic_store(&workers[1].go, true);
	return died(2) && lives(0) ? 0 : 3;
}

static void test_sent_waits(void **state)
{
	(void)state;
	assert_contained(in_child(body_sent));
}

static void test_read(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *two = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t out[16];

	(void)state;
	assert_ptr_not_equal(two, MAP_FAILED);
	assert_int_equal(munmap(two + page, page), 0);
	memset(two, 7, page);
	assert_true(sl_fault_read(out, two + page - sizeof(out), sizeof(out)));
	assert_int_equal(out[15], 7);
	assert_false(sl_fault_read(out, two + page - sizeof(out) + 1, sizeof(out))); /* a part only */
	assert_false(sl_fault_read(out, two + page, sizeof(out)));
	assert_false(sl_fault_read(out, NULL, sizeof(out)));
	munmap(two, page);
}

static void test_lead(void **state)
{
	(void)state;
	assert_int_equal(sl_fault_lead(0), 0);
	assert_int_equal(sl_fault_lead(2), 0);
	assert_int_equal(sl_fault_lead(3), 2);
	assert_int_equal(sl_fault_lead(~(UINT64_C(1) << 63)), 63);
}

/* This thread is the worker: it moves when the test says so. */
static void test_watch(void **state)
{
	struct sl_fault_watch w = {{0}, {0}};

	(void)state;
	for (int i = 0; i < 5 * SL_FAULT_TICKS_WORKER; i++)
		assert_int_equal(sl_fault_watch(&w), -1); /* nobody runs */
	assert_int_equal(sl_fault_enter(3), 0);
	for (int i = 0; i < 5 * SL_FAULT_TICKS_WORKER; i++) {
		sl_fault_beat();
		assert_int_equal(sl_fault_watch(&w), -1);
	}
	for (int i = 1; i < SL_FAULT_TICKS_WORKER; i++)
		assert_int_equal(sl_fault_watch(&w), -1);
	sl_fault_beat(); /* just in time */
	for (int i = 0; i < SL_FAULT_TICKS_WORKER; i++)
		assert_int_equal(sl_fault_watch(&w), -1);
	assert_int_equal(sl_fault_watch(&w), 3);
	sl_fault_leave();
	for (int i = 0; i < 5 * SL_FAULT_TICKS_WORKER; i++)
		assert_int_equal(sl_fault_watch(&w), -1);
}

/* Helpers are watched when a worker is dead. */
static int body_helpers(void)
{
	struct sl_fault_watch w = {{0}, {0}};

	start(true);
	for (int i = 0; i < 2 * SL_FAULT_TICKS_HELPER; i++) {
		if (!lives(0) || !lives(1) || sl_fault_watch(&w) != -1)
			return 1;
	}
	atomic_store(&workers[0].act, READ_NULL);
	if (!died(1))
		return 2;
	for (int i = 0; i < 2 * SL_FAULT_TICKS_HELPER; i++) {
		sl_fault_helper_beat(SL_FAULT_MGMT);
		if (i < SL_FAULT_TICKS_HELPER)
			sl_fault_helper_beat(SL_FAULT_STORE);
		if (!lives(1))
			return 3;
		if (sl_fault_watch(&w) != -1)
			return i + 1 == 2 * SL_FAULT_TICKS_HELPER ? 0 : 4;
	}
	return 5;
}

static void test_watch_helpers(void **state)
{
	(void)state;
	assert_contained(in_child(body_helpers));
}

static int body_give_up(void)
{
	start(true);
	sl_fault_give_up(SL_FAULT_WORKERS_MAX + SL_FAULT_STORE);
}

static void test_give_up(void **state)
{
	(void)state;
	assert_ended(in_child(body_give_up), SIGABRT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_contained),     cmocka_unit_test(test_process_ends),
	        cmocka_unit_test(test_sent_waits),    cmocka_unit_test(test_read),
	        cmocka_unit_test(test_lead),          cmocka_unit_test(test_watch),
	        cmocka_unit_test(test_watch_helpers), cmocka_unit_test(test_give_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
