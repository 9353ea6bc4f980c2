/* Test services behind a listener (only in builds with -Dtest_services=true). */
#include "sl_service.h"
#include "worker_service.h"

bool worker_service_known(const char *protocol)
{
	return sl_service_find(protocol) != SL_SERVICE_NONE;
}

int worker_services_new(struct sl_worker *w)
{
	return sl_services_new(w->tcp, w->cfg.max_sessions, &w->services);
}

void worker_services_free(struct sl_worker *w)
{
	sl_services_free(w->services);
}

bool worker_service_accept(struct sl_worker *w, const struct sl_worker_listener *l, struct sl_tcp_conn *c,
                           void **user)
{
	enum sl_service_kind kind = sl_service_find(l->protocol);

	if (kind == SL_SERVICE_NONE)
		return false;
	*user = w->draining ? NULL : sl_service_accept(w->services, kind, &l->target, c);
	return true;
}

bool worker_service_notify(struct sl_worker *w, void *user, uint32_t events)
{
	if (!sl_service_owns(w->services, user))
		return false;
	sl_service_notify(w->services, user, events);
	return true;
}

uint32_t worker_services_run(struct sl_worker *w)
{
	return sl_services_run(w->services, w->now_us);
}

void worker_services_end(struct sl_worker *w)
{
	sl_services_end(w->services, w->now_us);
}
