/*
 * The life of an address of ours: it is probed for (RFC 5227 2.1 for IPv4, RFC 4862 5.4 for IPv6) and not
 * used before nobody has answered; then announced, and defended. One that another station has is not used; it
 * is tried again once a minute. Worker 0.
 */
#include "net_priv.h"

#include "sl_log.h"

static struct net_own *own_of(struct sl_net *net, const struct net_if *i)
{
	return &net->own[i - net->s->ifs];
}

static void set_state(struct sl_net *net, const struct net_if *i, enum sl_net_if_state state)
{
	atomic_store_explicit(&net->s->ifs[i - net->s->ifs].state, (uint8_t)state, memory_order_release);
}

void net_own_conflict(struct sl_net *net, const struct net_if *i, const uint8_t mac[6], uint64_t now_us)
{
	struct sl_addr a = net_addr_of(&i->addr);
	struct net_own *own = own_of(net, i);
	char text[SL_ADDR_STR_MAX];

	(void)sl_fail(SL_E_NET_ADDR_CONFLICT);
	sl_log(SL_LOG_ERROR, "net",
	       "address %s is in use by station %02x:%02x:%02x:%02x:%02x:%02x: not used, tried again in %u s",
	       sl_addr_str(&a, text), mac[0], mac[1], mac[2], mac[3], mac[4], mac[5],
	       (unsigned)(NET_CONFLICT_US / 1000000));
	set_state(net, i, SL_NET_IF_CONFLICT);
	own->due_us = now_us + NET_CONFLICT_US;
	own->probes = 0;
}

static void announce(struct sl_net *net, const struct net_if *i)
{
	if (net_ip_is4(&i->addr))
		net_arp_announce(net, i);
	else
		net_ndp_announce(net, i);
}

void net_own_defend(struct sl_net *net, const struct net_if *i, uint64_t now_us)
{
	struct net_own *own = own_of(net, i);

	if (now_us < own->defend_us)
		return;
	own->defend_us = now_us + NET_DEFEND_US;
	announce(net, i);
}

/* A probe that no cable carries tells nothing: the port's link is waited for, for a while. */
static bool wait_for_link(struct sl_net *net, const struct net_if *i, uint64_t now_us)
{
	struct net_own *own = own_of(net, i);

	if (own->begun_us == 0)
		own->begun_us = now_us;
	if (own->probes > 0 || net->link_up[i->link] || now_us - own->begun_us >= NET_LINK_WAIT_US)
		return false;
	own->due_us = now_us + NEIGH_SCAN_US;
	return true;
}

static void probe(struct sl_net *net, const struct net_if *i, uint64_t now_us)
{
	struct net_own *own = own_of(net, i);
	bool ip4 = net_ip_is4(&i->addr);

	if (wait_for_link(net, i, now_us))
		return;
	if (own->probes == (ip4 ? NET_ACD_PROBES : NET_DAD_PROBES)) {
		set_state(net, i, SL_NET_IF_READY);
		own->announced = 0;
		return;
	}
	own->probes++;
	own->due_us = now_us + (ip4 ? NET_ACD_PROBE_US : NET_DAD_PROBE_US);
	if (ip4)
		net_arp_probe(net, i);
	else
		net_ndp_probe(net, i);
}

static void timer(struct sl_net *net, const struct net_if *i, uint64_t now_us)
{
	struct net_own *own = own_of(net, i);

	if (own->due_us > now_us)
		return;
	if (atomic_load_explicit(&i->state, memory_order_relaxed) == SL_NET_IF_CONFLICT)
		set_state(net, i, SL_NET_IF_TENTATIVE);
	if (!net_if_ready(i))
		probe(net, i, now_us);
	if (!net_if_ready(i))
		return;
	if (own->announced == NET_ANNOUNCEMENTS) {
		own->due_us = UINT64_MAX;
		return;
	}
	announce(net, i);
	own->announced++;
	own->due_us = now_us + NET_ANNOUNCE_US;
}

/* A link that comes back may be another one: our addresses are announced on it. */
static void look_at_links(struct sl_net *net, uint64_t now_us)
{
	const struct sl_net_shared *s = net->s;

	if (now_us < net->link_us)
		return;
	net->link_us = now_us + NEIGH_SCAN_US;
	for (uint16_t l = 0; l < s->nb_links; l++) {
		bool was = net->link_up[l];

		net->link_up[l] = sl_port_link(s->links[l].port);
		if (was || !net->link_up[l])
			continue;
		for (uint16_t k = 0; k < s->nb_ifs; k++) {
			if (s->ifs[k].link != l || !net_if_ready(&s->ifs[k]))
				continue;
			net->own[k].announced = 0;
			net->own[k].due_us = now_us;
		}
	}
}

uint64_t net_own_tick(struct sl_net *net, uint64_t now_us)
{
	uint64_t next;

	look_at_links(net, now_us);
	next = net->link_us;
	for (uint16_t k = 0; k < net->s->nb_ifs; k++) {
		timer(net, &net->s->ifs[k], now_us);
		if (net->own[k].due_us < next)
			next = net->own[k].due_us;
	}
	return next;
}
