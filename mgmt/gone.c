/*
 * A worker has died (sl_fault.h). What it had is ended as it would be by a restart, while the others go on:
 * its live sessions, what they wait for, what was granted for them. What it had still to say is not believed.
 */
#include <jansson.h>

#include "clock.h"
#include "mgmt_priv.h"
#include "sl_counter.h"
#include "sl_fault.h"
#include "sl_log.h"

static void gone(struct sl_mgmt *m, uint32_t worker)
{
	uint32_t sessions, holds;

	m->lanes[worker].gone = true;
	mg_out_drop(m, worker);
	sl_bus_worker_gone(m->bus, worker);
	sessions = mg_sessions_worker_gone(m->sessions, worker);
	holds = mg_approvals_worker_gone(m->approvals, worker, mg_wall_us());
	sl_store_worker_gone(m->store, worker);
	if (m->usage_table != NULL)
		sl_usage_worker_gone(m->usage_table, worker);
	sl_count(SL_C_WORKERS_DIED);
	sl_log(SL_LOG_ERROR, "mgmt",
	       "worker %u has died (%s): %u sessions ended, %u approvals denied; the other workers go on, a "
	       "restart is advised",
	       worker, sl_fault_signal(worker), sessions, holds);
}

bool mg_gone_look(struct sl_mgmt *m)
{
	uint64_t dead = m->dead == NULL ? 0 : m->dead();
	bool any = false;

	for (uint32_t i = 0; dead != 0 && i < m->nb_workers; i++) {
		if ((dead >> i & 1) == 0 || m->lanes[i].gone)
			continue;
		gone(m, i);
		any = true;
	}
	return any;
}

void mg_gone_health(const struct sl_mgmt *m, json_t *reasons)
{
	for (uint32_t i = 0; i < m->nb_workers; i++) {
		if (m->lanes[i].gone)
			json_array_append_new(
			        reasons,
			        json_sprintf(
			                "worker %u has died: its sessions have ended; a restart is advised",
			                i));
	}
}
