/*
 * Neighbours of both families (RFC 4861 7.3, which serves ARP as well): who is known, who is asked, who is
 * believed. A neighbour's address is never replaced while it is alive: who claims it makes us ask the old one
 * first, and only when that does not answer, everybody. Worker 0 alone, but for net_nud_resolve().
 */
#include "net_priv.h"

static void set(struct sl_net *net, struct neigh *n, const struct neigh_key *key, enum neigh_state state,
                const uint8_t *mac, uint64_t due_us)
{
	neigh_set(&net->s->neigh, n, key, state, mac);
	n->due_us = due_us;
}

static void set_reachable(struct sl_net *net, struct neigh *n, const struct neigh_key *key,
                          const uint8_t *mac, uint64_t now_us)
{
	uint64_t for_us = NEIGH_REACHABLE_US / 2 + net_random(net) % NEIGH_REACHABLE_US;

	set(net, n, key, NEIGH_REACHABLE, mac, now_us + for_us);
}

/* due: at the next look through the table, which sees whether it was used. */
static void set_stale(struct sl_net *net, struct neigh *n, const struct neigh_key *key, const uint8_t *mac,
                      uint64_t now_us)
{
	atomic_store_explicit(&n->used, false, memory_order_relaxed);
	set(net, n, key, NEIGH_STALE, mac, now_us);
	n->forget_us = now_us + NEIGH_FORGET_US;
}

/* The next question: to everybody in INCOMPLETE (mac NULL), to the neighbour itself in PROBE. */
static void ask(struct sl_net *net, struct neigh *n, const struct neigh_key *key, const uint8_t *mac,
                uint64_t now_us)
{
	n->probes++;
	n->due_us = now_us + NEIGH_PROBE_US;
	if (net_ip_is4(&key->ip))
		net_arp_ask(net, key, mac);
	else
		net_ndp_ask(net, key, mac);
}

static void set_incomplete(struct sl_net *net, struct neigh *n, const struct neigh_key *key, uint64_t now_us)
{
	set(net, n, key, NEIGH_INCOMPLETE, NULL, now_us);
	ask(net, n, key, NULL, now_us);
}

static void set_probe(struct sl_net *net, struct neigh *n, const struct neigh_key *key, const uint8_t *mac,
                      uint64_t now_us)
{
	set(net, n, key, NEIGH_PROBE, mac, now_us);
	ask(net, n, key, mac, now_us);
}

static void give_up(struct sl_net *net, struct neigh *n, const struct neigh_key *key, uint64_t now_us)
{
	set(net, n, key, NEIGH_FAILED, NULL, now_us + NEIGH_FAILED_US);
}

/*
 * Who was asked first counts as not there, once it has had the time to answer: to refuse the new one would
 * leave all places to whoever makes us ask for stations that do not exist, to take each at once would make a
 * broadcast of each packet of a flood. It fails, so that packets which wait for it do not make us ask at once
 * again.
 */
static bool make_room(struct sl_net *net, uint64_t now_us)
{
	struct neigh *first = TAILQ_FIRST(&net->s->neigh.incomplete);
	struct neigh_key key = neigh_own_key(first);

	(void)sl_fail(SL_E_NET_NEIGH_LIMIT);
	if (first->probes == 1 && now_us + NEIGH_PROBE_US < first->due_us + NEIGH_PATIENCE_US)
		return false;
	give_up(net, first, &key, now_us);
	return true;
}

static void resolve(struct sl_net *net, const struct neigh_key *key, uint64_t now_us)
{
	struct neigh *n = neigh_find(&net->s->neigh, key);

	if (n != NULL)
		return; /* being asked, known, or failed a moment ago */
	if (net->s->neigh.nb_incomplete >= NEIGH_INCOMPLETE_MAX && !make_room(net, now_us))
		return; /* asked for with the next packet */
	n = neigh_add(&net->s->neigh, key, true);
	set_incomplete(net, n, key, now_us);
}

void net_nud_resolve(struct sl_net *net, const struct neigh_key *key, uint64_t now_us)
{
	if (net->leads)
		resolve(net, key, now_us);
	else
		(void)neigh_request(&net->s->neigh, key); /* no place now: asked again with the next look */
}

/* Somebody else claims a neighbour's address: is the one that we know still there? */
static enum nud_verdict doubt(struct sl_net *net, struct neigh *n, const struct neigh_key *key,
                              uint64_t now_us)
{
	uint8_t known[6];

	if (neigh_own_state(n, known) != NEIGH_PROBE)
		set_probe(net, n, key, known, now_us);
	return NUD_DOUBTED;
}

static enum nud_verdict heard_alive(struct sl_net *net, struct neigh *n, const struct neigh_key *key,
                                    const uint8_t *mac, enum nud_heard how, uint64_t now_us)
{
	uint8_t known[6];

	(void)neigh_own_state(n, known);
	if (mac != NULL && memcmp(known, mac, sizeof(known)) != 0)
		return doubt(net, n, key, now_us);
	if (how == NUD_REPLY)
		set_reachable(net, n, key, known, now_us);
	return NUD_OK;
}

enum nud_verdict net_nud_heard(struct sl_net *net, const struct neigh_key *key, const uint8_t *mac,
                               enum nud_heard how, uint64_t now_us)
{
	struct neigh *n = neigh_find(&net->s->neigh, key);
	uint8_t known[6];
	enum neigh_state state = NEIGH_NONE;

	if (n != NULL)
		state = neigh_own_state(n, known);
	if (neigh_usable(state))
		return heard_alive(net, n, key, mac, how, now_us);
	if (mac == NULL || (state != NEIGH_INCOMPLETE && how != NUD_REQUEST))
		return NUD_UNASKED; /* also too late: nothing waits any more */
	if (n == NULL)
		n = neigh_add(&net->s->neigh, key, false);
	if (n == NULL)
		return NUD_OK; /* no place; it will be asked when it is needed */
	if (how == NUD_REPLY)
		set_reachable(net, n, key, mac, now_us);
	else
		set_stale(net, n, key, mac, now_us);
	return NUD_OK;
}

enum nud_verdict net_nud_overheard(struct sl_net *net, const struct neigh_key *key, const uint8_t mac[6],
                                   uint64_t now_us)
{
	struct neigh *n = neigh_find(&net->s->neigh, key);
	uint8_t known[6];

	if (n == NULL || !neigh_usable(neigh_own_state(n, known)) || memcmp(known, mac, sizeof(known)) == 0)
		return NUD_UNASKED;
	return doubt(net, n, key, now_us);
}

static void timer_stale(struct sl_net *net, struct neigh *n, const struct neigh_key *key, const uint8_t *mac,
                        uint64_t now_us)
{
	if (atomic_load_explicit(&n->used, memory_order_relaxed))
		set(net, n, key, NEIGH_DELAY, mac, now_us + NEIGH_DELAY_US);
	else if (n->forget_us <= now_us)
		set(net, n, key, NEIGH_NONE, NULL, 0);
}

static void timer(struct sl_net *net, struct neigh *n, uint64_t now_us)
{
	struct neigh_key key = neigh_own_key(n);
	uint8_t mac[6];

	switch (neigh_own_state(n, mac)) {
	case NEIGH_NONE:
		break;
	case NEIGH_INCOMPLETE:
		if (n->probes < NEIGH_PROBES)
			ask(net, n, &key, NULL, now_us);
		else
			give_up(net, n, &key, now_us);
		break;
	case NEIGH_REACHABLE:
		set_stale(net, n, &key, mac, now_us);
		break;
	case NEIGH_STALE:
		timer_stale(net, n, &key, mac, now_us);
		break;
	case NEIGH_DELAY:
		set_probe(net, n, &key, mac, now_us);
		break;
	case NEIGH_PROBE:
		if (n->probes < NEIGH_PROBES)
			ask(net, n, &key, mac, now_us);
		else
			set_incomplete(net, n, &key, now_us);
		break;
	case NEIGH_FAILED:
		set(net, n, &key, NEIGH_NONE, NULL, 0);
		break;
	}
}

static void scan(struct sl_net *net, uint64_t now_us)
{
	for (uint32_t b = 0; b < NEIGH_BUCKETS; b++) {
		for (uint32_t w = 0; w < NEIGH_WAYS; w++) {
			struct neigh *n = &net->s->neigh.entry[b][w];

			if (n->due_us <= now_us)
				timer(net, n, now_us);
		}
	}
}

void net_nud_serve(struct sl_net *net, uint64_t now_us)
{
	struct neigh_table *t = &net->s->neigh;
	struct neigh_key key;

	if (!atomic_load_explicit(&t->requested, memory_order_relaxed) ||
	    !atomic_exchange_explicit(&t->requested, false, memory_order_acquire))
		return;
	for (uint32_t i = 0; i < NEIGH_REQUESTS; i++) {
		if (neigh_request_take(t, i, &key))
			resolve(net, &key, now_us);
	}
}

uint64_t net_nud_tick(struct sl_net *net, uint64_t now_us)
{
	net_nud_serve(net, now_us);
	if (net->scan_us <= now_us) {
		scan(net, now_us);
		net->scan_us = now_us + NEIGH_SCAN_US;
	}
	return net->scan_us;
}
