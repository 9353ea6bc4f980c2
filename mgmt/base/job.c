#include "job.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "sl_counter.h"

struct mg_jobs {
	pthread_mutex_t lock; /* of finished */
	struct mg_job *finished;
	struct event *ev;
	int fd;
	uint32_t nb_running; /* loop only */
};

static void *job_thread(void *arg)
{
	struct mg_job *job = arg;
	struct mg_jobs *j = job->jobs;
	const uint64_t one = 1;
	ssize_t n;

	job->run(job);
	pthread_mutex_lock(&j->lock);
	job->next = j->finished;
	j->finished = job;
	pthread_mutex_unlock(&j->lock);
	do {
		n = write(j->fd, &one, sizeof(one));
	} while (n < 0 && errno == EINTR);
	return NULL;
}

static void on_finished(evutil_socket_t fd, short what, void *arg)
{
	struct mg_jobs *j = arg;
	struct mg_job *list, *job;
	uint64_t nb;

	while (read(fd, &nb, sizeof(nb)) < 0 && errno == EINTR)
		;
	pthread_mutex_lock(&j->lock);
	list = j->finished;
	j->finished = NULL;
	pthread_mutex_unlock(&j->lock);
	while ((job = list) != NULL) {
		list = job->next;
		pthread_join(job->thread, NULL);
		j->nb_running--;
		job->done(job);
	}
}

int mg_jobs_new(struct event_base *base, struct mg_jobs **out)
{
	struct mg_jobs *j = calloc(1, sizeof(*j));

	*out = NULL;
	if (j == NULL)
		return sl_fail(SL_E_NOMEM);
	pthread_mutex_init(&j->lock, NULL);
	j->fd = eventfd(0, EFD_CLOEXEC);
	j->ev = j->fd < 0 ? NULL : event_new(base, j->fd, EV_READ | EV_PERSIST, on_finished, j);
	if (j->ev == NULL || event_add(j->ev, NULL) != 0) {
		mg_jobs_free(j);
		return sl_fail(SL_E_SYS);
	}
	*out = j;
	return SL_OK;
}

void mg_jobs_free(struct mg_jobs *j)
{
	if (j == NULL)
		return;
	/* The descriptor blocks: each turn waits until at least one more job has ended. */
	while (j->nb_running > 0)
		on_finished(j->fd, 0, j);
	if (j->ev != NULL)
		event_free(j->ev);
	if (j->fd >= 0)
		close(j->fd);
	pthread_mutex_destroy(&j->lock);
	free(j);
}

int mg_jobs_start(struct mg_jobs *j, uint32_t max, struct mg_job *job)
{
	sigset_t all, old;
	int err;

	if (j->nb_running >= max || j->nb_running >= MG_JOBS_MAX)
		return sl_fail(SL_E_LIMIT);
	job->jobs = j;
	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&job->thread, NULL, job_thread, job);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err != 0)
		return sl_fail(SL_E_SYS);
	j->nb_running++;
	return SL_OK;
}
