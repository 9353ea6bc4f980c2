/*
 * Another worker has died: its share of the connections falls to those that live (sl_port_dead()), the lowest
 * of them has the work of worker 0, and tells the peers of the dead one's connections.
 */
#include "worker_priv.h"

#include "sl_fault.h"
#include "sl_log.h"

/* RSTs are sent slowly enough that they fit the ports' queues beside the traffic: 64,000 places a second. */
#define RESET_EVERY_US 1000
#define RESET_PLACES   64

void worker_heir_note(struct sl_worker *w, uint64_t dead)
{
	w->dead = dead;
	sl_net_dead(w->net, dead);
	w->next_net_us = 0;
	w->resting = false; /* it cannot wait from now on: packets are work again */
	/* Who leads now may have to do again what another leader began: a second RST harms nobody. */
	w->to_reset = sl_fault_lead(dead) == w->cfg.worker ? dead & ~w->reset : 0;
	w->reset_at = 0;
	w->nb_reset = 0;
}

static void reset_done(struct sl_worker *w, uint32_t which)
{
	w->reset |= UINT64_C(1) << which;
	w->to_reset &= ~w->reset;
	w->reset_at = 0;
	sl_log(SL_LOG_WARN, "worker", "%u connections of worker %u, which has died, were reset", w->nb_reset,
	       which);
	w->nb_reset = 0;
}

uint32_t worker_heir_run(struct sl_worker *w)
{
	uint32_t which = (uint32_t)__builtin_ctzll(w->to_reset), sent;
	struct sl_worker *const *all = w->cfg.workers;
	const struct sl_tcp *tcp = NULL;

	if (w->now_us < w->next_reset_us)
		return 0;
	w->next_reset_us = w->now_us + RESET_EVERY_US;
	if (all == NULL || which >= w->cfg.nb_workers ||
	    !sl_fault_read(&tcp, &all[which]->tcp, sizeof(tcp)) || tcp == NULL) {
		reset_done(w, which);
		return 0;
	}
	sent = sl_tcp_reset_dead(w->tcp, tcp, &w->reset_at, RESET_PLACES, w->now_us);
	w->nb_reset += sent;
	if (w->reset_at == UINT32_MAX)
		reset_done(w, which);
	return sent;
}
