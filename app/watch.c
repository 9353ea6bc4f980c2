#include "watch.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "sl_err.h"
#include "sl_fault.h"

#define STOP_SIGNAL SIGUSR1 /* ends the thread itself */
#define WAIT_NS     (1000 * 1000)

static struct {
	pthread_t thread;
	sigset_t set;
	struct sl_mgmt *mgmt;
	uint32_t grace_ms;
} watch;

static void *watch_main(void *arg)
{
	const struct timespec tick = {.tv_sec = SL_FAULT_TICK_MS / 1000,
	                              .tv_nsec = SL_FAULT_TICK_MS % 1000 * 1000000L};
	struct sl_fault_watch seen = {{0}, {0}};
	int sig;

	while ((sig = sigtimedwait(&watch.set, NULL, &tick)) != STOP_SIGNAL) {
		int who;

		if (sig > 0) {
			sl_mgmt_stop(watch.mgmt, watch.grace_ms);
			continue;
		}
		if (errno != EAGAIN) /* stopped and continued: no time has passed */
			continue;
		who = sl_fault_watch(&seen);
		if (who >= 0)
			sl_fault_give_up(who);
	}
	return arg;
}

void watch_block_signals(void)
{
	sigemptyset(&watch.set);
	sigaddset(&watch.set, SIGTERM);
	sigaddset(&watch.set, SIGINT);
	sigaddset(&watch.set, STOP_SIGNAL);
	pthread_sigmask(SIG_BLOCK, &watch.set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

int watch_start(struct sl_mgmt *mgmt, uint32_t grace_ms)
{
	watch.mgmt = mgmt;
	watch.grace_ms = grace_ms;
	return pthread_create(&watch.thread, NULL, watch_main, NULL) == 0 ? SL_OK : SL_E_SYS;
}

/* Not by EAL's means: it would wait for a dead one for ever. */
void watch_end(void)
{
	while (sl_fault_running() != 0)
		nanosleep(&(struct timespec){.tv_nsec = WAIT_NS}, NULL);
	pthread_kill(watch.thread, STOP_SIGNAL);
	pthread_join(watch.thread, NULL);
}
