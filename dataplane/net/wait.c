/* Packets of this worker that wait for a neighbour's address. */
#include "net_priv.h"

static struct rte_mbuf *pop(struct net_wait *w)
{
	struct rte_mbuf *m = w->m[w->head];

	w->head = (uint8_t)((w->head + 1) % NET_WAIT_PACKETS);
	w->nb--;
	return m;
}

static void drop_all(struct sl_net *net, struct net_wait *w)
{
	while (w->nb > 0)
		(void)net_drop(pop(w), SL_E_NET_NO_NEIGHBOUR);
	net->nb_wait--;
}

/*
 * The slot of a neighbour, or one for it. When all are taken the one that has waited longest gives way: a
 * neighbour that is there answers within a millisecond, those of a scan never do.
 */
static struct net_wait *slot_of(struct sl_net *net, const struct neigh_key *key, uint64_t now_us)
{
	struct net_wait *best = &net->wait[0];

	for (uint16_t i = 0; i < NET_WAIT_SLOTS; i++) {
		struct net_wait *w = &net->wait[i];

		if (w->nb > 0 && net_ip_eq(&w->key.ip, &key->ip) && w->key.link == key->link)
			return w;
		if (best->nb > 0 && (w->nb == 0 || w->since_us < best->since_us))
			best = w;
	}
	if (best->nb > 0)
		drop_all(net, best);
	best->key = *key;
	best->head = 0;
	best->since_us = now_us;
	net->nb_wait++;
	return best;
}

int net_wait_add(struct sl_net *net, const struct neigh_key *key, struct rte_mbuf *m, uint64_t now_us)
{
	struct net_wait *w = slot_of(net, key, now_us);

	if (w->nb == NET_WAIT_PACKETS)
		(void)net_drop(pop(w), SL_E_NET_NO_NEIGHBOUR);
	w->m[(w->head + w->nb) % NET_WAIT_PACKETS] = m;
	w->nb++;
	net_nud_resolve(net, key, now_us);
	return SL_OK;
}

static void look_at(struct sl_net *net, struct net_wait *w, uint64_t now_us)
{
	uint16_t type = net_ip_is4(&w->key.ip) ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6;
	uint8_t mac[6];

	switch (neigh_read(&net->s->neigh, &w->key, mac)) {
	case NEIGH_REACHABLE:
	case NEIGH_STALE:
	case NEIGH_DELAY:
	case NEIGH_PROBE:
		while (w->nb > 0)
			(void)net_ether_output(net, w->key.link, pop(w), mac, type);
		net->nb_wait--;
		break;
	case NEIGH_FAILED:
		drop_all(net, w);
		break;
	case NEIGH_NONE: /* not asked for yet, or pushed out meanwhile */
		net_nud_resolve(net, &w->key, now_us);
		break;
	case NEIGH_INCOMPLETE:
		break;
	}
}

void net_wait_look(struct sl_net *net, uint64_t now_us)
{
	if (net->nb_wait == 0)
		return;
	for (uint16_t i = 0; i < NET_WAIT_SLOTS; i++) {
		if (net->wait[i].nb > 0)
			look_at(net, &net->wait[i], now_us);
	}
}

void net_wait_free(struct sl_net *net)
{
	for (uint16_t i = 0; i < NET_WAIT_SLOTS; i++) {
		while (net->wait[i].nb > 0)
			rte_pktmbuf_free(pop(&net->wait[i]));
	}
	net->nb_wait = 0;
}
