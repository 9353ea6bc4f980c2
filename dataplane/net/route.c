/* Our addresses and routes of both families: few of them, looked through in order. */
#include "net_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SCOPE_LINK   2 /* RFC 4291 2.7, RFC 6724 3.1 */
#define SCOPE_GLOBAL 14

__attribute__((format(printf, 3, 4))) static int refuse(char *err, size_t cap, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (err != NULL && cap > 0)
		(void)vsnprintf(err, cap, fmt, ap);
	va_end(ap);
	return sl_fail(SL_E_CONFIG);
}

static bool ip4_is_unicast(uint32_t ip)
{
	return ip >> 24 != 0 && ip >> 24 != 127 && ip >> 28 < 0xe;
}

bool net_ip_is_unicast(const struct net_ip *ip)
{
	if (net_ip_is4(ip))
		return ip4_is_unicast(net_ip_host4(ip));
	/* ::/96 has ::, ::1 and the IPv4-compatible addresses. */
	return !net_ip_is_multicast6(ip) && (ip->w[0] != 0 || rte_be_to_cpu_64(ip->w[1]) >> 32 != 0);
}

bool net_ip_is_subnet_end(const struct net_if *i, const struct net_ip *ip)
{
	uint32_t mask = net_ip_host4(&i->mask);
	uint32_t host = net_ip_host4(ip) & ~mask;

	if (!net_ip_is4(&i->addr) || i->bits >= NET_IP4_BITS + 31 || !net_ip_same_net(ip, &i->addr, &i->mask))
		return false;
	return host == 0 || host == ~mask;
}

const struct net_if *net_if_of(const struct sl_net_shared *s, const struct net_ip *ip)
{
	for (uint16_t i = 0; i < s->nb_ifs; i++) {
		if (net_ip_eq(&s->ifs[i].addr, ip))
			return &s->ifs[i];
	}
	return NULL;
}

const struct net_if *net_if_on(const struct sl_net_shared *s, uint8_t link, const struct net_ip *ip)
{
	for (uint16_t i = 0; i < s->nb_ifs; i++) {
		if (s->ifs[i].link == link && net_ip_eq(&s->ifs[i].addr, ip))
			return &s->ifs[i];
	}
	return NULL;
}

const struct net_if *net_if_for(const struct sl_net_shared *s, uint8_t link, const struct net_ip *ip)
{
	for (uint16_t i = 0; i < s->nb_ifs; i++) {
		if (s->ifs[i].link == link && net_ip_same_net(ip, &s->ifs[i].addr, &s->ifs[i].mask))
			return &s->ifs[i];
	}
	return NULL;
}

const struct net_if *net_if_ready_for(const struct sl_net_shared *s, uint8_t link, const struct net_ip *ip)
{
	for (uint16_t i = 0; i < s->nb_ifs; i++) {
		const struct net_if *f = &s->ifs[i];

		if (f->link == link && net_if_ready(f) && net_ip_same_net(ip, &f->addr, &f->mask))
			return f;
	}
	return NULL;
}

const struct net_route *net_route_find(const struct sl_net_shared *s, const struct net_ip *dst,
                                       struct net_ip *next_hop)
{
	bool ip4 = net_ip_is4(dst);

	for (uint16_t i = 0; i < s->nb_routes; i++) {
		const struct net_route *r = &s->routes[i];

		if (r->ip4 != ip4 || !net_ip_same_net(dst, &r->dst, &r->mask))
			continue;
		*next_hop = net_ip_is_zero(&r->via) ? *dst : r->via;
		return r;
	}
	return NULL;
}

/*
 * A source must be a single station's address, not ours, not a subnet's end, and not of a subnet that is
 * connected to another link only.
 */
int net_source_check(const struct sl_net_shared *s, uint8_t link, const struct net_ip *src)
{
	const struct net_route *r;
	struct net_ip hop;
	bool here = false;

	if (!net_ip_is_unicast(src))
		return SL_E_NET_IP_SRC;
	for (uint16_t k = 0; k < s->nb_ifs; k++) {
		const struct net_if *f = &s->ifs[k];

		if (net_ip_eq(src, &f->addr) || net_ip_is_subnet_end(f, src))
			return SL_E_NET_IP_SRC;
		here = here || (f->link == link && net_ip_same_net(src, &f->addr, &f->mask));
	}
	if (here || net_ip_is_link_local(src))
		return SL_OK;
	r = net_route_find(s, src, &hop);
	if (r != NULL && net_ip_is_zero(&r->via) && r->link != link)
		return SL_E_NET_IP_SRC;
	return SL_OK;
}

static int scope_of(const struct net_ip *ip)
{
	return net_ip_is_link_local(ip) ? SCOPE_LINK : SCOPE_GLOBAL;
}

/* The labels of RFC 6724 2.1 that tell apart what we can have: unique local ones and the rest. */
static int label_of(const struct net_ip *ip)
{
	return (net_ip_bytes(ip)[0] & 0xfe) == 0xfc ? 13 : 1;
}

static int common_bits(const struct net_ip *a, const struct net_ip *b)
{
	uint64_t x = rte_be_to_cpu_64(a->w[0] ^ b->w[0]);
	uint64_t y = rte_be_to_cpu_64(a->w[1] ^ b->w[1]);

	if (x != 0)
		return __builtin_clzll(x);
	return y != 0 ? 64 + __builtin_clzll(y) : 128;
}

/* RFC 6724 5, rules 2, 6 and 8; the others need addresses that come and go. */
static bool better(const struct net_if *a, const struct net_if *b, const struct net_ip *dst)
{
	int want = label_of(dst);

	if (scope_of(&a->addr) != scope_of(&b->addr))
		return scope_of(&a->addr) < scope_of(&b->addr) ? scope_of(&a->addr) >= scope_of(dst)
		                                               : scope_of(&b->addr) < scope_of(dst);
	if ((label_of(&a->addr) == want) != (label_of(&b->addr) == want))
		return label_of(&a->addr) == want;
	return common_bits(&a->addr, dst) > common_bits(&b->addr, dst);
}

const struct net_if *net_source_for(const struct sl_net_shared *s, const struct net_route *r,
                                    const struct net_ip *dst)
{
	const struct net_if *own = &s->ifs[r->ifidx];
	const struct net_if *best = NULL;

	/* The route's own address, or while another station has that one a second one of its subnet. */
	if (r->ip4)
		return net_if_ready(own)
		               ? own
		               : net_if_ready_for(s, r->link, net_ip_is_zero(&r->via) ? dst : &r->via);
	for (uint16_t i = 0; i < s->nb_ifs; i++) {
		const struct net_if *f = &s->ifs[i];

		if (f->link == r->link && !net_ip_is4(&f->addr) && net_if_ready(f) &&
		    (best == NULL || better(f, best, dst)))
			best = f;
	}
	/* A router would not carry a link-local source (RFC 4291 2.5.6). */
	if (best != NULL && scope_of(&best->addr) < scope_of(dst))
		return NULL;
	return best;
}

static int add(struct sl_net_shared *s, const struct net_route *r, char *err, size_t cap)
{
	uint16_t at = 0;

	while (at < s->nb_routes && s->routes[at].bits >= r->bits) {
		const struct net_route *o = &s->routes[at];

		if (o->bits == r->bits && o->ip4 == r->ip4 && net_ip_eq(&o->dst, &r->dst)) {
			/* Two addresses of ours in one subnet of one link: the first one's route serves both.
			 */
			if (net_ip_is_zero(&o->via) && net_ip_is_zero(&r->via) && o->link == r->link)
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

/* The address of ours whose subnet has the router. */
static const struct net_if *connected(const struct sl_net_shared *s, const struct net_ip *ip)
{
	const struct net_if *best = NULL;

	for (uint16_t i = 0; i < s->nb_ifs; i++) {
		const struct net_if *f = &s->ifs[i];

		if (net_ip_same_net(ip, &f->addr, &f->mask) && (best == NULL || f->bits > best->bits))
			best = f;
	}
	return best;
}

/* A link-local router is on the link of an interface that is named, or on the only one with IPv6. */
static const struct net_if *link_local_router(const struct sl_net_shared *s, const struct sl_net_route_cfg *c)
{
	const struct net_if *found = NULL;

	for (uint16_t i = 0; i < s->nb_ifs; i++) {
		const struct net_if *f = &s->ifs[i];

		if (!net_ip_is_link_local(&f->addr))
			continue;
		if (c->interface != 0 && f->link != s->ifs[c->interface - 1].link)
			continue;
		if (found != NULL && found->link != f->link)
			return NULL;
		found = f;
	}
	return found;
}

static int add_static(struct sl_net_shared *s, const struct sl_net_route_cfg *c, uint16_t nb_configured,
                      char *err, size_t cap)
{
	struct net_ip dst = net_ip_of(&c->dst.addr);
	char text[SL_ADDR_STR_MAX];
	const struct net_if *out;
	struct net_route r;

	memset(&r, 0, sizeof(r));
	r.ip4 = c->dst.addr.family == SL_AF_INET;
	r.via = net_ip_of(&c->via);
	(void)sl_addr_str(&c->via, text);
	if (c->dst.addr.family == SL_AF_NONE || c->dst.addr.family != c->via.family ||
	    c->dst.bits > (r.ip4 ? 32 : 128) || c->interface > nb_configured)
		return refuse(err, cap,
		              "route via %s: two families, or a prefix length or interface out of range",
		              text);
	r.bits = (uint8_t)(c->dst.bits + (r.ip4 ? NET_IP4_BITS : 0));
	r.mask = net_ip_mask(r.bits);
	r.dst = net_ip_and(&dst, &r.mask);
	out = net_ip_is_link_local(&r.via) ? link_local_router(s, c) : connected(s, &r.via);
	if (out == NULL && net_ip_is_link_local(&r.via))
		return refuse(err, cap, "route via %s: the interface must be named", text);
	if (out == NULL || !net_ip_is_unicast(&r.via) || net_ip_is_subnet_end(out, &r.via))
		return refuse(err, cap, "route via %s: no interface has it in its subnet", text);
	if (net_if_on(s, out->link, &r.via) != NULL)
		return refuse(err, cap, "route via %s: that is our own address", text);
	r.ifidx = (uint8_t)(out - s->ifs);
	r.link = out->link;
	return add(s, &r, err, cap);
}

int net_routes_build(struct sl_net_shared *s, const struct sl_net_route_cfg *routes, uint16_t nb, char *err,
                     size_t cap)
{
	uint16_t nb_configured = 0;
	int rc;

	if (nb > SL_NET_ROUTES_MAX)
		return refuse(err, cap, "more than %d routes", SL_NET_ROUTES_MAX);
	for (uint16_t i = 0; i < s->nb_ifs; i++) {
		const struct net_if *f = &s->ifs[i];
		struct net_route r = {.dst = net_ip_and(&f->addr, &f->mask),
		                      .mask = f->mask,
		                      .bits = f->bits,
		                      .link = f->link,
		                      .ifidx = (uint8_t)i,
		                      .ip4 = net_ip_is4(&f->addr)};

		if (net_ip_is_link_local(&f->addr)) /* each link has that subnet */
			continue;
		nb_configured++;
		rc = add(s, &r, err, cap);
		if (rc != SL_OK)
			return rc;
	}
	for (uint16_t i = 0; i < nb; i++) {
		rc = add_static(s, &routes[i], nb_configured, err, cap);
		if (rc != SL_OK)
			return rc;
	}
	return SL_OK;
}
