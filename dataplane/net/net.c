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

/* 0 and the port's place, or SL_E_CONFIG. */
static int port_index(struct sl_net_shared *s, struct sl_port *port, uint8_t *out, char *err, size_t cap)
{
	uint16_t p = 0;

	while (p < s->nb_ports && s->ports[p] != port)
		p++;
	if (p == SL_NET_PORTS_MAX)
		return refuse(err, cap, "more than %d ports", SL_NET_PORTS_MAX);
	if (p == s->nb_ports)
		s->ports[s->nb_ports++] = port;
	*out = (uint8_t)p;
	return SL_OK;
}

static int link_index(struct sl_net_shared *s, const struct sl_net_if_cfg *c, uint8_t *out, char *err,
                      size_t cap)
{
	struct net_link *l;
	uint8_t port_idx = 0;
	int rc = port_index(s, c->port, &port_idx, err, cap);

	if (rc != SL_OK)
		return rc;
	for (uint16_t i = 0; i < s->nb_links; i++) {
		*out = (uint8_t)i;
		if (s->links[i].port_idx == port_idx && s->links[i].vlan == c->vlan)
			return SL_OK;
	}
	*out = (uint8_t)s->nb_links;
	l = &s->links[s->nb_links++];
	l->port = c->port;
	l->port_idx = port_idx;
	l->vlan = c->vlan;
	l->mtu = sl_port_caps(c->port)->mtu;
	l->mac = sl_port_mac(c->port);
	return SL_OK;
}

/* The subnet-router anycast address (RFC 4291 2.6.1) is not one of a station; 127 and 128 bits have none. */
static bool is_router_anycast(const struct net_if *f)
{
	const struct net_ip net = net_ip_and(&f->addr, &f->mask);

	return !net_ip_is4(&f->addr) && f->bits < 127 && net_ip_eq(&net, &f->addr);
}

static int add_if(struct sl_net_shared *s, const struct sl_net_if_cfg *c, char *err, size_t cap)
{
	bool ip4 = c->address.addr.family == SL_AF_INET;
	struct net_if *f = &s->ifs[s->nb_ifs];
	char text[SL_ADDR_STR_MAX];
	uint16_t mtu_min = ip4 ? NET_IP4_MTU_MIN : NET_IP6_MTU_MIN;
	int rc;

	(void)sl_addr_str(&c->address.addr, text);
	if (c->address.addr.family == SL_AF_NONE || c->address.bits == 0 ||
	    c->address.bits > (ip4 ? 32 : 128) || c->vlan > 4094)
		return refuse(err, cap, "interface address %s: prefix length or VLAN out of range", text);
	f->addr = net_ip_of(&c->address.addr);
	f->bits = (uint8_t)(c->address.bits + (ip4 ? NET_IP4_BITS : 0));
	f->mask = net_ip_mask(f->bits);
	if (!net_ip_is_unicast(&f->addr) || net_ip_is_subnet_end(f, &f->addr) || is_router_anycast(f) ||
	    net_ip_is_link_local(&f->addr) || (!ip4 && net_ip_is4(&f->addr)))
		return refuse(err, cap, "interface address %s/%u is not one of a station", text,
		              c->address.bits);
	if (net_if_of(s, &f->addr) != NULL)
		return refuse(err, cap, "interface address %s is there twice", text);
	rc = link_index(s, c, &f->link, err, cap);
	if (rc != SL_OK)
		return rc;
	if (s->links[f->link].mtu < mtu_min)
		return refuse(err, cap, "interface address %s: the port's MTU of %u is too small", text,
		              s->links[f->link].mtu);
	s->links[f->link].ip6 = s->links[f->link].ip6 || !ip4;
	s->nb_ifs++;
	return SL_OK;
}

/*
 * A link with IPv6 has a link-local address (RFC 4291 2.5.6): the one of the MAC address (appendix A), but a
 * VLAN's has its number in the middle, so that each of our links has its own.
 */
static void add_link_local(struct sl_net_shared *s, uint8_t link)
{
	const struct net_link *l = &s->links[link];
	const uint8_t *mac = l->mac.addr_bytes;
	struct net_if *f = &s->ifs[s->nb_ifs];
	uint8_t b[16] = {0xfe, 0x80};
	uint16_t middle = 0xfffe ^ l->vlan;

	memcpy(b + 8, mac, 3);
	b[8] ^= 2;
	memcpy(b + 13, mac + 3, 3);
	do {
		sl_put_be16(b + 11, middle--);
		f->addr = net_ip6(b);
	} while (net_if_of(s, &f->addr) != NULL);
	f->bits = 64;
	f->mask = net_ip_mask(f->bits);
	f->link = link;
	s->nb_ifs++;
}

static int build(struct sl_net_shared *s, const struct sl_net_if_cfg *ifs, uint16_t nb_ifs,
                 const struct sl_net_route_cfg *routes, uint16_t nb_routes, char *err, size_t cap)
{
	uint64_t keys[2];

	if (getrandom(keys, sizeof(keys), 0) != (ssize_t)sizeof(keys))
		return refuse(err, cap, "no randomness");
	neigh_init(&s->neigh, keys[0]);
	s->flow_key = keys[1];
	for (uint16_t i = 0; i < nb_ifs; i++) {
		int rc = add_if(s, &ifs[i], err, cap);

		if (rc != SL_OK)
			return rc;
	}
	for (uint16_t l = 0; l < s->nb_links; l++) {
		if (!s->links[l].ip6)
			continue;
		add_link_local(s, (uint8_t)l);
		sl_port_multicast(s->links[l].port);
	}
	return net_routes_build(s, routes, nb_routes, err, cap);
}

int sl_net_shared_new(const struct sl_net_if_cfg *ifs, uint16_t nb_ifs, const struct sl_net_route_cfg *routes,
                      uint16_t nb_routes, struct sl_net_shared **out, char *err, size_t err_cap)
{
	struct sl_net_shared *s;
	int rc;

	*out = NULL;
	if (nb_ifs == 0 || nb_ifs > SL_NET_IFS_MAX)
		return refuse(err, err_cap, "1 to %d interfaces", SL_NET_IFS_MAX);
	s = aligned_alloc(_Alignof(struct sl_net_shared), sizeof(*s));
	if (s == NULL)
		return refuse(err, err_cap, "out of memory");
	memset(s, 0, sizeof(*s));
	rc = build(s, ifs, nb_ifs, routes, nb_routes, err, err_cap);
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

enum sl_net_if_state sl_net_if_state(const struct sl_net_shared *s, uint16_t ifidx)
{
	return atomic_load_explicit(&s->ifs[ifidx].state, memory_order_acquire);
}

int sl_net_new(struct sl_net_shared *shared, const struct sl_net_cfg *cfg, struct sl_net **out)
{
	struct sl_net *net = calloc(1, sizeof(*net));

	*out = net;
	if (net == NULL)
		return sl_fail(SL_E_NOMEM);
	net->s = shared;
	net->cfg = *cfg;
	net->leads = cfg->worker == 0;
	net->random = shared->flow_key | 1;
	return SL_OK;
}

void sl_net_free(struct sl_net *net)
{
	if (net == NULL)
		return;
	net_wait_free(net);
	net_reass_free(net);
	for (uint16_t p = 0; p < SL_NET_PORTS_MAX; p++)
		rte_pktmbuf_free_bulk(net->txq[p].m, net->txq[p].nb);
	free(net);
}

void sl_net_dead(struct sl_net *net, uint64_t workers)
{
	for (uint16_t p = 0; p < net->s->nb_ports; p++)
		sl_port_dead(net->s->ports[p], workers);
	net->leads = net->cfg.worker == sl_fault_lead(workers);
}

/* xorshift64: spreads timers, keeps no secret. */
uint64_t net_random(struct sl_net *net)
{
	uint64_t x = net->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	net->random = x;
	return x >> 11;
}

bool net_bucket_take(struct net_bucket *b, uint64_t rate, uint64_t burst, uint64_t now_us)
{
	const uint64_t token_us = 1000000 / rate;
	const uint64_t full_us = token_us * burst;
	uint64_t oldest = now_us > full_us ? now_us - full_us : 0;

	if (b->taken_us < oldest)
		b->taken_us = oldest;
	if (b->taken_us + token_us > now_us)
		return false;
	b->taken_us += token_us;
	return true;
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

static void input(struct sl_net *net, uint8_t port_idx, struct rte_mbuf **m, uint16_t n, uint64_t now_us)
{
	for (uint16_t i = 0; i < n; i++)
		net_ether_input(net, port_idx, m[i], now_us);
	net_ip_flush(net, now_us);
	follow_table(net, now_us);
}

void sl_net_input(struct sl_net *net, uint16_t ifidx, struct rte_mbuf **m, uint16_t n, uint64_t now_us)
{
	const struct sl_net_shared *s = net->s;

	if (ifidx >= s->nb_ifs) {
		(void)sl_fail(SL_E_INVAL);
		rte_pktmbuf_free_bulk(m, n);
		return;
	}
	input(net, s->links[s->ifs[ifidx].link].port_idx, m, n, now_us);
}

/* Returns how many were there, other workers' too: behind those may be our own. */
static uint16_t poll_port(struct sl_net *net, uint16_t p, uint64_t now_us)
{
	struct rte_mbuf *m[SL_PORT_BURST];
	uint16_t n = sl_port_rx(net->s->ports[p], net->cfg.worker, m, SL_PORT_BURST);

	input(net, (uint8_t)p, m, n, now_us);
	return sl_port_took(net->s->ports[p], net->cfg.worker);
}

uint32_t sl_net_poll(struct sl_net *net, uint64_t now_us)
{
	/* Timers that have become due meanwhile must not run before what came in meanwhile is read. */
	uint32_t bursts = now_us - net->polled_us > NET_LATE_US ? NET_LATE_BURSTS : 1;
	uint32_t total = 0;

	net->polled_us = now_us;
	if (net->leads)
		net_nud_serve(net, now_us);
	for (uint16_t p = 0; p < net->s->nb_ports; p++) {
		uint32_t i = 0;
		uint16_t n;

		do {
			n = poll_port(net, p, now_us);
			total += n;
		} while (n > 0 && ++i < bursts);
	}
	follow_table(net, now_us);
	return total;
}

uint64_t sl_net_tick(struct sl_net *net, uint64_t now_us)
{
	uint64_t next = UINT64_MAX;

	if (net->leads) {
		next = net_own_tick(net, now_us);
		next = RTE_MIN(next, net_nud_tick(net, now_us));
	}
	next = RTE_MIN(next, net_reass_tick(net, now_us));
	if (net->nb_wait == 0)
		return next;
	follow_table(net, now_us);
	return RTE_MIN(next, now_us + NET_WAIT_POLL_US);
}

bool sl_net_is_local(const struct sl_net *net, const struct sl_addr *addr)
{
	struct net_ip ip = net_ip_of(addr);

	return net_if_of(net->s, &ip) != NULL;
}

bool sl_net_ready(const struct sl_net *net)
{
	for (uint16_t i = 0; i < net->s->nb_ifs; i++) {
		if (atomic_load_explicit(&net->s->ifs[i].state, memory_order_acquire) == SL_NET_IF_TENTATIVE)
			return false;
	}
	return true;
}

uint16_t sl_net_wait_fds(const struct sl_net *net, int *fds, uint16_t cap)
{
	const struct sl_net_shared *s = net->s;
	uint16_t nb = 0;

	for (uint16_t p = 0; p < s->nb_ports; p++) {
		int of_port[SL_PORT_WAIT_FDS];
		uint16_t n = sl_port_wait_fds(s->ports[p], net->cfg.worker, of_port);

		if (n == 0 || nb + n > cap)
			return 0;
		memcpy(&fds[nb], of_port, n * sizeof(fds[0]));
		nb = (uint16_t)(nb + n);
	}
	return nb;
}

bool sl_net_rest(struct sl_net *net)
{
	bool empty = true;

	for (uint16_t p = 0; p < net->s->nb_ports; p++)
		empty = sl_port_rest(net->s->ports[p], net->cfg.worker) && empty;
	return empty;
}

void sl_net_wake(struct sl_net *net)
{
	for (uint16_t p = 0; p < net->s->nb_ports; p++)
		sl_port_wake(net->s->ports[p], net->cfg.worker);
}
