#include "net_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

__attribute__((format(printf, 3, 4))) static int refuse(char *err, size_t cap, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (err != NULL && cap > 0)
		(void)vsnprintf(err, cap, fmt, ap);
	va_end(ap);
	return sl_fail(SL_E_CONFIG);
}

static uint32_t mask_of(uint8_t bits)
{
	return bits == 0 ? 0 : UINT32_MAX << (32 - bits);
}

bool net_ip_is_unicast(uint32_t ip)
{
	return ip >> 24 != 0 && ip >> 24 != 127 && ip >> 28 < 0xe;
}

bool net_ip_is_subnet_end(const struct net_if *i, uint32_t ip)
{
	if (i->bits >= 31 || ((ip ^ i->addr) & i->mask) != 0)
		return false;
	return (ip & ~i->mask) == 0 || (ip & ~i->mask) == ~i->mask;
}

const struct net_if *net_local_if(const struct sl_net_shared *s, const struct net_if *on, uint32_t ip)
{
	if (on->addr == ip)
		return on;
	for (uint16_t i = 0; i < s->nb_ifs; i++) {
		if (s->ifs[i].addr == ip && s->ifs[i].link == on->link)
			return &s->ifs[i];
	}
	return NULL;
}

bool net_ip_is_ours(const struct sl_net_shared *s, uint32_t ip)
{
	for (uint16_t i = 0; i < s->nb_ifs; i++) {
		if (s->ifs[i].addr == ip)
			return true;
	}
	return false;
}

const struct net_route *net_route_find(const struct sl_net_shared *s, uint32_t dst, uint32_t *next_hop)
{
	for (uint16_t i = 0; i < s->nb_routes; i++) {
		const struct net_route *r = &s->routes[i];

		if ((dst & r->mask) != r->dst)
			continue;
		*next_hop = r->via != 0 ? r->via : dst;
		return r;
	}
	return NULL;
}

static int add(struct sl_net_shared *s, const struct net_route *r, char *err, size_t cap)
{
	uint16_t at = 0;

	while (at < s->nb_routes && s->routes[at].bits >= r->bits) {
		const struct net_route *o = &s->routes[at];

		if (o->bits == r->bits && o->dst == r->dst) {
			/* Two addresses of ours in one subnet of one link: the first one's route serves both.
			 */
			if (o->via == 0 && r->via == 0 && s->ifs[o->ifidx].link == s->ifs[r->ifidx].link)
				return SL_OK;
			return refuse(err, cap, "two routes or interfaces for the same subnet");
		}
		at++;
	}
	memmove(&s->routes[at + 1], &s->routes[at], (size_t)(s->nb_routes - at) * sizeof(*r));
	s->routes[at] = *r;
	s->nb_routes++;
	return SL_OK;
}

static const struct net_if *connected(const struct sl_net_shared *s, uint32_t ip)
{
	const struct net_if *best = NULL;

	for (uint16_t i = 0; i < s->nb_ifs; i++) {
		const struct net_if *f = &s->ifs[i];

		if (((ip ^ f->addr) & f->mask) == 0 && (best == NULL || f->bits > best->bits))
			best = f;
	}
	return best;
}

static int add_static(struct sl_net_shared *s, const struct sl_net_route_cfg *c, char *err, size_t cap)
{
	char text[SL_ADDR_STR_MAX];
	const struct net_if *out;
	struct net_route r;

	if (c->dst.addr.family != SL_AF_INET || c->via.family != SL_AF_INET || c->dst.bits > 32)
		return refuse(err, cap, "route to %s: only IPv4 in this version",
		              sl_addr_str(&c->dst.addr, text));
	r.bits = c->dst.bits;
	r.mask = mask_of(r.bits);
	r.dst = net_ip_of(&c->dst.addr) & r.mask;
	r.via = net_ip_of(&c->via);
	out = connected(s, r.via);
	if (out == NULL || !net_ip_is_unicast(r.via) || net_ip_is_subnet_end(out, r.via))
		return refuse(err, cap, "route via %s: no interface has it in its subnet",
		              sl_addr_str(&c->via, text));
	if (net_local_if(s, out, r.via) != NULL)
		return refuse(err, cap, "route via %s: that is our own address", sl_addr_str(&c->via, text));
	r.ifidx = (uint8_t)(out - s->ifs);
	return add(s, &r, err, cap);
}

int net_routes_build(struct sl_net_shared *s, const struct sl_net_route_cfg *routes, uint16_t nb, char *err,
                     size_t cap)
{
	int rc;

	if (nb > SL_NET_ROUTES_MAX)
		return refuse(err, cap, "more than %d routes", SL_NET_ROUTES_MAX);
	for (uint16_t i = 0; i < s->nb_ifs; i++) {
		const struct net_if *f = &s->ifs[i];
		struct net_route r = {f->addr & f->mask, f->mask, 0, f->bits, (uint8_t)i};

		rc = add(s, &r, err, cap);
		if (rc != SL_OK)
			return rc;
	}
	for (uint16_t i = 0; i < nb; i++) {
		rc = add_static(s, &routes[i], err, cap);
		if (rc != SL_OK)
			return rc;
	}
	return SL_OK;
}
