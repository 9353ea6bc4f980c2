#include "grant.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sl_log.h"
#include "sl_snapshot.h"

struct grant {
	struct grant *next;
	uint64_t policy_version;
	uint64_t until_us; /* 0: with its session */
	struct sl_id session;
	char rule[SL_BUS_NAME_MAX], resource[SL_BUS_NAME_MAX], database[SL_BUS_NAME_MAX];
	char issuer[SL_BUS_NAME_MAX * 2], subject[SL_BUS_NAME_MAX];
	struct mg_granted what;
};

struct mg_grants {
	struct grant *first;
	uint32_t nb;
};

struct mg_grants *mg_grants_new(void)
{
	return calloc(1, sizeof(struct mg_grants));
}

static void drop(struct mg_grants *g, struct grant **at)
{
	struct grant *old = *at;

	*at = old->next;
	free(old);
	g->nb--;
}

void mg_grants_free(struct mg_grants *g)
{
	if (g == NULL)
		return;
	while (g->first != NULL)
		drop(g, &g->first);
	free(g);
}

static void drop_old(struct mg_grants *g, uint64_t wall_us)
{
	struct grant **at = &g->first;

	while (*at != NULL) {
		if ((*at)->until_us != 0 && wall_us >= (*at)->until_us)
			drop(g, at);
		else
			at = &(*at)->next;
	}
}

static bool covers(const struct grant *t, const struct sl_msg_hold *h, const struct sl_msg_need *need)
{
	return t->policy_version == h->policy_version && strcmp(t->rule, need->rule) == 0 &&
	       strcmp(t->resource, h->resource) == 0 && strcmp(t->database, h->database) == 0 &&
	       strcmp(t->issuer, h->identity.issuer) == 0 && strcmp(t->subject, h->identity.subject) == 0 &&
	       (t->until_us != 0 || memcmp(t->session.b, h->session.b, sizeof(t->session.b)) == 0);
}

void mg_grants_add(struct mg_grants *g, const struct sl_msg_hold *h, const struct sl_msg_need *need,
                   const char *by, uint64_t wall_us)
{
	struct grant *t;

	if (need->grant != SL_GRANT_SESSION && need->grant != SL_GRANT_WINDOW)
		return;
	drop_old(g, wall_us);
	t = g->nb < MG_GRANTS_MAX ? calloc(1, sizeof(*t)) : NULL;
	if (t == NULL) {
		sl_log(SL_LOG_WARN, "approval", "too many grants: an approval counts for its command only");
		return;
	}
	t->policy_version = h->policy_version;
	t->until_us = need->grant == SL_GRANT_WINDOW ? wall_us + (uint64_t)need->grant_s * 1000000 : 0;
	t->session = h->session;
	snprintf(t->rule, sizeof(t->rule), "%s", need->rule);
	snprintf(t->resource, sizeof(t->resource), "%s", h->resource);
	snprintf(t->database, sizeof(t->database), "%s", h->database);
	snprintf(t->issuer, sizeof(t->issuer), "%s", h->identity.issuer);
	snprintf(t->subject, sizeof(t->subject), "%s", h->identity.subject);
	snprintf(t->what.by, sizeof(t->what.by), "%s", by);
	t->what.approval = h->approval;
	t->next = g->first;
	g->first = t;
	g->nb++;
}

const struct mg_granted *mg_grants_find(struct mg_grants *g, const struct sl_msg_hold *h,
                                        const struct sl_msg_need *need, uint64_t wall_us)
{
	drop_old(g, wall_us);
	for (const struct grant *t = g->first; t != NULL; t = t->next) {
		if (covers(t, h, need))
			return &t->what;
	}
	return NULL;
}

void mg_grants_worker_gone(struct mg_grants *g, uint32_t worker)
{
	struct grant **at = &g->first;

	while (*at != NULL) {
		if ((*at)->until_us == 0 && sl_id_maker_of(&(*at)->session) == (int)worker)
			drop(g, at);
		else
			at = &(*at)->next;
	}
}

void mg_grants_session_end(struct mg_grants *g, const struct sl_id *session)
{
	struct grant **at = &g->first;

	while (*at != NULL) {
		if ((*at)->until_us == 0 && memcmp((*at)->session.b, session->b, sizeof(session->b)) == 0)
			drop(g, at);
		else
			at = &(*at)->next;
	}
}
