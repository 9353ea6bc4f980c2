#include <stdlib.h>

#include "mgmt_priv.h"
#include "sl_counter.h"

/* Into the worker's ring, or false when it has no room. */
static bool send_now(struct sl_mgmt *m, uint32_t worker, const struct sl_msg *msg)
{
	struct sl_msg *out = sl_bus_mgmt_new(m->bus, worker);

	if (out == NULL)
		return false;
	*out = *msg;
	sl_bus_mgmt_send(m->bus, worker, out);
	return true;
}

void mg_out_send(void *ctx, uint32_t worker, const struct sl_msg *msg)
{
	struct sl_mgmt *m = ctx;
	struct mg_lane *lane;
	struct mg_out *o;

	if (worker >= m->nb_workers) {
		sl_fail(SL_E_INVAL);
		return;
	}
	lane = &m->lanes[worker];
	if (lane->gone) {
		if (msg->type == SL_MSG_SNAPSHOT)
			mg_policy_release(msg->snapshot);
		return;
	}
	if (lane->nb == 0 && send_now(m, worker, msg))
		return;
	o = malloc(sizeof(*o));
	if (o == NULL) { /* what the worker waits for has a time limit on its side */
		sl_fail(SL_E_NOMEM);
		return;
	}
	o->next = NULL;
	o->msg = *msg;
	*lane->tail = o;
	lane->tail = &o->next;
	lane->nb++;
}

static void pop(struct mg_lane *lane)
{
	struct mg_out *o = lane->head;

	lane->head = o->next;
	if (lane->head == NULL)
		lane->tail = &lane->head;
	lane->nb--;
	sl_cleanse(o, sizeof(*o));
	free(o);
}

void mg_out_flush(struct sl_mgmt *m)
{
	for (uint32_t i = 0; i < m->nb_workers; i++)
		while (m->lanes[i].head != NULL && send_now(m, i, &m->lanes[i].head->msg))
			pop(&m->lanes[i]);
}

void mg_out_drop(struct sl_mgmt *m, uint32_t worker)
{
	struct mg_lane *lane = &m->lanes[worker];

	while (lane->head != NULL) {
		if (lane->head->msg.type == SL_MSG_SNAPSHOT)
			mg_policy_release(lane->head->msg.snapshot);
		pop(lane);
	}
}

void mg_out_free(struct sl_mgmt *m)
{
	for (uint32_t i = 0; i < m->nb_workers && m->lanes != NULL; i++)
		mg_out_drop(m, i);
	free(m->lanes);
	m->lanes = NULL;
}
