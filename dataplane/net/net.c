#include "net_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

__attribute__((format(printf, 3, 4))) static int refuse(char *err, size_t cap, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (err != NULL && cap > 0)
		(void)vsnprintf(err, cap, fmt, ap);
	va_end(ap);
	return sl_fail(SL_E_CONFIG);
}

static uint8_t port_index(struct sl_net_shared *s, struct sl_port *port)
{
	for (uint16_t p = 0; p < s->nb_ports; p++) {
		if (s->ports[p] == port)
			return (uint8_t)p;
	}
	s->ports[s->nb_ports] = port;
	s->port_if[s->nb_ports] = s->nb_ifs;
	return (uint8_t)s->nb_ports++;
}

static uint16_t link_of(const struct sl_net_shared *s, const struct net_if *f, uint16_t self)
{
	for (uint16_t i = 0; i < self; i++) {
		if (s->ifs[i].port_idx == f->port_idx && s->ifs[i].vlan == f->vlan)
			return i;
	}
	return self;
}

static int add_if(struct sl_net_shared *s, const struct sl_net_if_cfg *c, char *err, size_t cap)
{
	struct net_if *f = &s->ifs[s->nb_ifs];
	char text[SL_ADDR_STR_MAX];

	(void)sl_addr_str(&c->address.addr, text);
	if (c->address.addr.family != SL_AF_INET)
		return refuse(err, cap, "interface address %s: only IPv4 in this version", text);
	if (c->address.bits == 0 || c->address.bits > 32 || c->vlan > 4094)
		return refuse(err, cap, "interface address %s: prefix length or VLAN out of range", text);
	f->port = c->port;
	f->addr = net_ip_of(&c->address.addr);
	f->bits = c->address.bits;
	f->mask = UINT32_MAX << (32 - f->bits);
	f->vlan = c->vlan;
	f->mtu = sl_port_caps(c->port)->mtu;
	f->mac = sl_port_mac(c->port);
	if (!net_ip_is_unicast(f->addr) || net_ip_is_subnet_end(f, f->addr))
		return refuse(err, cap, "interface address %s/%u is not one of a station", text, f->bits);
	if (net_ip_is_ours(s, f->addr))
		return refuse(err, cap, "interface address %s is there twice", text);
	if (f->mtu < NET_IP_MTU_MIN)
		return refuse(err, cap, "interface address %s: the port's MTU of %u is too small", text,
		              f->mtu);
	f->port_idx = port_index(s, c->port);
	f->link = link_of(s, f, s->nb_ifs);
	s->nb_ifs++;
	return SL_OK;
}

int sl_net_shared_new(const struct sl_net_if_cfg *ifs, uint16_t nb_ifs, const struct sl_net_route_cfg *routes,
                      uint16_t nb_routes, struct sl_net_shared **out, char *err, size_t err_cap)
{
	struct sl_net_shared *s;
	int rc = SL_OK;

	*out = NULL;
	if (nb_ifs == 0 || nb_ifs > SL_NET_PORTS_MAX)
		return refuse(err, err_cap, "1 to %d interfaces", SL_NET_PORTS_MAX);
	s = aligned_alloc(_Alignof(struct sl_net_shared), sizeof(*s));
	if (s == NULL)
		return refuse(err, err_cap, "out of memory");
	memset(s, 0, sizeof(*s));
	if (getrandom(&s->neigh.hash_key, sizeof(s->neigh.hash_key), 0) != (ssize_t)sizeof(s->neigh.hash_key))
		rc = refuse(err, err_cap, "no randomness");
	for (uint16_t i = 0; i < nb_ifs && rc == SL_OK; i++)
		rc = add_if(s, &ifs[i], err, err_cap);
	if (rc == SL_OK)
		rc = net_routes_build(s, routes, nb_routes, err, err_cap);
	if (rc != SL_OK) {
		free(s);
		return rc;
	}
	*out = s;
	return SL_OK;
}

void sl_net_shared_free(struct sl_net_shared *s)
{
	free(s);
}

int sl_net_new(struct sl_net_shared *shared, const struct sl_net_cfg *cfg, struct sl_net **out)
{
	struct sl_net *net = calloc(1, sizeof(*net));

	*out = net;
	if (net == NULL)
		return sl_fail(SL_E_NOMEM);
	net->s = shared;
	net->cfg = *cfg;
	return SL_OK;
}

void sl_net_free(struct sl_net *net)
{
	if (net == NULL)
		return;
	net_wait_free(net);
	for (uint16_t p = 0; p < SL_NET_PORTS_MAX; p++)
		rte_pktmbuf_free_bulk(net->txq[p].m, net->txq[p].nb);
	free(net);
}

/*
 * Looks after waiting packets when the neighbour table has changed since the last time, and once in a while
 * all the same: a request for which worker 0 had no place is made again.
 */
static void follow_table(struct sl_net *net, uint64_t now_us)
{
	uint32_t changes;

	if (net->nb_wait == 0)
		return;
	changes = atomic_load_explicit(&net->s->neigh.changes, memory_order_acquire);
	if (changes == net->neigh_seen && now_us < net->wait_look_us)
		return;
	net->neigh_seen = changes;
	net->wait_look_us = now_us + NET_WAIT_POLL_US;
	net_wait_look(net, now_us);
}

void sl_net_input(struct sl_net *net, uint16_t ifidx, struct rte_mbuf **m, uint16_t n, uint64_t now_us)
{
	if (ifidx >= net->s->nb_ifs) {
		(void)sl_fail(SL_E_INVAL);
		rte_pktmbuf_free_bulk(m, n);
		return;
	}
	for (uint16_t i = 0; i < n; i++)
		net_ether_input(net, ifidx, m[i], now_us);
	net_ip_flush(net, now_us);
	follow_table(net, now_us);
}

uint32_t sl_net_poll(struct sl_net *net, uint64_t now_us)
{
	struct rte_mbuf *m[SL_PORT_BURST];
	struct sl_net_shared *s = net->s;
	uint32_t total = 0;

	if (net->cfg.worker == 0)
		net_arp_serve(net, now_us);
	for (uint16_t p = 0; p < s->nb_ports; p++) {
		uint16_t n = sl_port_rx(s->ports[p], net->cfg.worker, m, SL_PORT_BURST);

		/* Any interface of the port: frames find their VLAN's themselves. */
		sl_net_input(net, s->port_if[p], m, n, now_us);
		total += n;
	}
	follow_table(net, now_us);
	return total;
}

uint64_t sl_net_tick(struct sl_net *net, uint64_t now_us)
{
	uint64_t next = UINT64_MAX;

	if (net->cfg.worker == 0)
		next = net_arp_tick(net, now_us);
	if (net->nb_wait == 0)
		return next;
	follow_table(net, now_us);
	return RTE_MIN(next, now_us + NET_WAIT_POLL_US);
}

bool sl_net_is_local(const struct sl_net *net, const struct sl_addr *addr)
{
	return addr->family == SL_AF_INET && net_ip_is_ours(net->s, net_ip_of(addr));
}
