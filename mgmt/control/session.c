#include "session.h"

#include <stdlib.h>
#include <string.h>

#include "sl_counter.h"

#define BUCKETS 4096 /* power of two */

struct live {
	struct live *next;
	struct sl_flow_ref flow;
	struct sl_id session;
};

struct mg_sessions {
	struct live *bucket[BUCKETS]; /* by worker and flow index */
	uint32_t nb;
};

static uint32_t bucket_of(const struct sl_flow_ref *flow)
{
	return (flow->index * 2654435761u + flow->worker * 40503u) & (BUCKETS - 1);
}

static struct live **find(struct mg_sessions *s, const struct sl_flow_ref *flow)
{
	struct live **at = &s->bucket[bucket_of(flow)];

	while (*at != NULL && ((*at)->flow.worker != flow->worker || (*at)->flow.index != flow->index))
		at = &(*at)->next;
	return at;
}

static void drop(struct mg_sessions *s, struct live **at)
{
	struct live *l = *at;

	*at = l->next;
	s->nb--;
	free(l);
}

struct mg_sessions *mg_sessions_new(void)
{
	return calloc(1, sizeof(struct mg_sessions));
}

void mg_sessions_free(struct mg_sessions *s)
{
	if (s == NULL)
		return;
	for (uint32_t i = 0; i < BUCKETS; i++)
		while (s->bucket[i] != NULL)
			drop(s, &s->bucket[i]);
	free(s);
}

/* Generations go round. */
static bool later(const struct sl_flow_ref *a, const struct sl_flow_ref *b)
{
	return (int32_t)(a->generation - b->generation) > 0;
}

int mg_sessions_add(struct mg_sessions *s, const struct sl_flow_ref *flow, const struct sl_id *session)
{
	struct live **at = find(s, flow), *l;

	/* Logins take their time, each its own: the answer to a client that has left may be the later one. */
	if (*at != NULL && later(&(*at)->flow, flow))
		return SL_E_EXISTS;
	if (*at != NULL)
		drop(s, at);
	if (s->nb >= MG_LIVE_MAX)
		return sl_fail(SL_E_LIMIT);
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return sl_fail(SL_E_NOMEM);
	l->flow = *flow;
	l->session = *session;
	at = &s->bucket[bucket_of(flow)];
	l->next = *at;
	*at = l;
	s->nb++;
	return SL_OK;
}

void mg_sessions_end(struct mg_sessions *s, const struct sl_flow_ref *flow)
{
	struct live **at = find(s, flow);

	if (*at != NULL && (*at)->flow.generation == flow->generation)
		drop(s, at);
}

uint32_t mg_sessions_worker_gone(struct mg_sessions *s, uint32_t worker)
{
	uint32_t before = s->nb;

	for (uint32_t i = 0; i < BUCKETS; i++) {
		struct live **at = &s->bucket[i];

		while (*at != NULL) {
			if ((*at)->flow.worker == worker)
				drop(s, at);
			else
				at = &(*at)->next;
		}
	}
	return before - s->nb;
}

/* Walks all: asked by people only. */
const struct sl_flow_ref *mg_sessions_find(const struct mg_sessions *s, const struct sl_id *session)
{
	for (uint32_t i = 0; i < BUCKETS; i++)
		for (const struct live *l = s->bucket[i]; l != NULL; l = l->next)
			if (memcmp(&l->session, session, sizeof(*session)) == 0)
				return &l->flow;
	return NULL;
}

uint32_t mg_sessions_nb(const struct mg_sessions *s)
{
	return s->nb;
}
