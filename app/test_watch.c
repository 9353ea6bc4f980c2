/* The watchdog's own thread, in children of the test: a worker that hangs ends the process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sl_err.h"
#include "sl_fault.h"
#include "watch.h"

#define MS         (1000 * 1000L)
#define LIMIT_MS   (SL_FAULT_TICKS_WORKER * SL_FAULT_TICK_MS)
#define GRACE_MS   1234
#define PATIENCE   20 /* of LIMIT_MS, on a busy machine */
#define NB_WORKERS 2

enum hang {
	NO_HANG,
	SPIN,  /* in its own code */
	BLOCK, /* for a lock that nobody gives back */
};

static _Atomic uint32_t asked_grace_ms;
static _Atomic bool stop;
static _Atomic uint32_t nb_in; /* workers that run */
static _Atomic int hang_now;   /* enum hang, of the last worker */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* In the place of the management core. */
void sl_mgmt_stop(struct sl_mgmt *m, uint32_t grace_ms)
{
	(void)m;
	atomic_store(&asked_grace_ms, grace_ms);
}

static void nap(long ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * MS}, NULL);
}

static void *worker(void *arg)
{
	uint32_t number = (uint32_t)(uintptr_t)arg;

	if (sl_fault_enter(number) != SL_OK)
		_exit(90);
	atomic_fetch_add(&nb_in, 1);
	while (!atomic_load(&stop)) {
		int hang = number == NB_WORKERS - 1 ? atomic_load(&hang_now) : NO_HANG;

		sl_fault_beat();
		if (hang == BLOCK)
			pthread_mutex_lock(&lock);
		while (hang == SPIN)
			hang = atomic_load(&hang_now);
		nap(1);
	}
	sl_fault_leave();
	return NULL;
}

static pthread_t threads[NB_WORKERS];

static void start(void)
{
	const struct rlimit none = {0, 0};

	/* The test program's own handlers are not meant. */
	for (int sig = 1; sig < 32; sig++)
		signal(sig, SIG_DFL);
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)pthread_mutex_lock(&lock);
	watch_block_signals();
	sl_fault_start(false, -1);
	for (uintptr_t i = 0; i < NB_WORKERS; i++) {
		if (pthread_create(&threads[i], NULL, worker, (void *)i) != 0)
			_exit(91);
	}
	while (atomic_load(&nb_in) < NB_WORKERS)
		nap(1);
	if (watch_start(NULL, GRACE_MS) != SL_OK)
		_exit(92);
}

/* In a child, which says on `out` what it says on its standard error. Returns its status. */
static int in_child(int (*body)(void), char *out, size_t cap)
{
	int status = 0, said[2];
	size_t n = 0;
	ssize_t got;
	pid_t pid;

	assert_int_equal(pipe(said), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)dup2(said[1], STDERR_FILENO);
		close(said[0]);
		close(said[1]);
		_exit(body());
	}
	close(said[1]);
	while (n < cap - 1 && (got = read(said[0], out + n, cap - 1 - n)) > 0)
		n += (size_t)got;
	out[n] = '\0';
	close(said[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static int hangs(enum hang how)
{
	start();
	nap(LIMIT_MS / 2);
	atomic_store(&hang_now, (int)how);
	nap(PATIENCE * (long)LIMIT_MS);
	return 93; /* nobody has noticed */
}

static int body_spin(void)
{
	return hangs(SPIN);
}

static int body_block(void)
{
	return hangs(BLOCK);
}

/* While the gateway stops. */
static int body_end(void)
{
	start();
	atomic_store(&hang_now, (int)SPIN);
	alarm(PATIENCE * LIMIT_MS / 1000 + 1);
	watch_end();
	return 95; /* nobody has waited */
}

static void test_hang_ends_process(void **state)
{
	int (*const bodies[])(void) = {body_spin, body_block, body_end};

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		char said[4096];
		int status = in_child(bodies[i], said, sizeof(said));

		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGABRT);
		assert_non_null(strstr(said, "worker 1 has stood still"));
	}
}

/* Workers that move live on for longer than the limit; one that has left is not missed; SIGTERM drains. */
static int body_lives(void)
{
	start();
	nap(LIMIT_MS * 3L / 2);
	kill(getpid(), SIGTERM);
	for (int i = 0; i < PATIENCE && atomic_load(&asked_grace_ms) == 0; i++)
		nap(LIMIT_MS);
	if (atomic_load(&asked_grace_ms) != GRACE_MS)
		return 94;
	atomic_store(&stop, true);
	nap(LIMIT_MS * 3L / 2);
	watch_end();
	for (int i = 0; i < NB_WORKERS; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

static void test_moving_workers_live(void **state)
{
	char said[4096];
	int status = in_child(body_lives, said, sizeof(said));

	(void)state;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_hang_ends_process),
	        cmocka_unit_test(test_moving_workers_live),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
