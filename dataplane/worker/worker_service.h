/* The test services' place in the worker. Without -Dtest_services=true there is nothing behind these calls.
 */
#ifndef WORKER_SERVICE_H
#define WORKER_SERVICE_H

#include "worker_priv.h"

#ifdef SL_TEST_SERVICES

bool worker_service_known(const char *protocol);
int worker_services_new(struct sl_worker *w);
void worker_services_free(struct sl_worker *w);
/* False: no service is behind this listener. Else *user is what accept returns. */
bool worker_service_accept(struct sl_worker *w, const struct sl_worker_listener *l, struct sl_tcp_conn *c,
                           void **user);
bool worker_service_notify(struct sl_worker *w, void *user, uint32_t events);
uint32_t worker_services_run(struct sl_worker *w);
void worker_services_end(struct sl_worker *w);

#else

static inline bool worker_service_known(const char *protocol)
{
	return false;
}

static inline int worker_services_new(struct sl_worker *w)
{
	return SL_OK;
}

static inline void worker_services_free(struct sl_worker *w)
{
}

static inline bool worker_service_accept(struct sl_worker *w, const struct sl_worker_listener *l,
                                         struct sl_tcp_conn *c, void **user)
{
	return false;
}

static inline bool worker_service_notify(struct sl_worker *w, void *user, uint32_t events)
{
	return false;
}

static inline uint32_t worker_services_run(struct sl_worker *w)
{
	return 0;
}

static inline void worker_services_end(struct sl_worker *w)
{
}

#endif

#endif
