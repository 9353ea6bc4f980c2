/* Packets of this worker that wait for a neighbour's address. */
#include "net_priv.h"

static struct net_wait *find(struct sl_net *net, uint8_t ifidx, uint32_t ip)
{
	struct net_wait *unused = NULL;

	for (uint16_t i = 0; i < NET_WAIT_SLOTS; i++) {
		struct net_wait *w = &net->wait[i];

		if (w->nb == 0) {
			if (unused == NULL)
				unused = w;
			continue;
		}
		if (w->ip == ip && w->ifidx == ifidx)
			return w;
	}
	if (unused != NULL) {
		unused->ip = ip;
		unused->ifidx = ifidx;
		unused->head = 0;
	}
	return unused;
}

static struct rte_mbuf *pop(struct net_wait *w)
{
	struct rte_mbuf *m = w->m[w->head];

	w->head = (uint8_t)((w->head + 1) % NET_WAIT_PACKETS);
	w->nb--;
	return m;
}

int net_wait_add(struct sl_net *net, uint8_t ifidx, uint32_t ip, struct rte_mbuf *m, uint64_t now_us)
{
	struct net_wait *w = find(net, ifidx, ip);

	if (w == NULL)
		return net_drop(m, SL_E_NET_NO_NEIGHBOUR);
	if (w->nb == NET_WAIT_PACKETS)
		(void)net_drop(pop(w), SL_E_NET_NO_NEIGHBOUR);
	else if (w->nb == 0)
		net->nb_wait++;
	w->m[(w->head + w->nb) % NET_WAIT_PACKETS] = m;
	w->nb++;
	net_arp_resolve(net, ifidx, ip, now_us);
	return SL_OK;
}

static void look_at(struct sl_net *net, struct net_wait *w, uint64_t now_us)
{
	uint8_t mac[6];

	switch (neigh_read(&net->s->neigh, neigh_key(w->ifidx, w->ip), mac)) {
	case NEIGH_REACHABLE:
	case NEIGH_PROBE:
		while (w->nb > 0)
			(void)net_ether_output(net, &net->s->ifs[w->ifidx], pop(w), mac, RTE_ETHER_TYPE_IPV4);
		break;
	case NEIGH_FAILED:
		while (w->nb > 0)
			(void)net_drop(pop(w), SL_E_NET_NO_NEIGHBOUR);
		break;
	case NEIGH_NONE: /* not asked for yet, or pushed out meanwhile */
		net_arp_resolve(net, w->ifidx, w->ip, now_us);
		return;
	case NEIGH_INCOMPLETE:
		return;
	}
	net->nb_wait--;
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
