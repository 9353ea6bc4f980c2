/*
 * Work that takes longer than the event loop may stand still (compiling a policy, verifying the store): it
 * runs in a thread of its own and reports back to the loop. Few at a time; what is refused is to be asked
 * again by the caller.
 */
#ifndef MG_JOB_H
#define MG_JOB_H

#include <pthread.h>
#include <stdint.h>

#include <event2/event.h>

#include "sl_err.h"

#define MG_JOBS_MAX 4

struct mg_jobs;

struct mg_job {
	void (*run)(struct mg_job *job);  /* in its thread; touches nothing of the loop's */
	void (*done)(struct mg_job *job); /* in the loop; frees the job */
	/* private */
	struct mg_jobs *jobs;
	struct mg_job *next;
	pthread_t thread;
};

int mg_jobs_new(struct event_base *base, struct mg_jobs **out);
/* Waits for what runs; done is called for all. */
void mg_jobs_free(struct mg_jobs *j);
/* 0; SL_E_LIMIT when `max` of all run (at most MG_JOBS_MAX; fewer for what leaves room), SL_E_SYS: the job is
 * still the caller's then. */
int mg_jobs_start(struct mg_jobs *j, uint32_t max, struct mg_job *job);

#endif
