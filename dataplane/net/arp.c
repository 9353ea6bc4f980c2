/*
 * ARP (RFC 826, RFC 5227). What is believed: the sender of a request for one of our addresses, and the answer
 * to a request of ours. A known neighbour's address is never replaced while it is alive: who claims it makes
 * us ask the old one first, and only when that does not answer, everybody.
 */
#include "net_priv.h"

#define ARP_LEN     28
#define ARP_PADDED  46 /* the smallest Ethernet payload */
#define ARP_HRD     1
#define ARP_REQUEST 1
#define ARP_REPLY   2

struct arp {
	uint16_t op;
	uint8_t sha[6];
	uint8_t tha[6];
	uint32_t spa;
	uint32_t tpa;
};

static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const uint8_t unknown[6] = {0};

static int parse(const struct rte_mbuf *m, struct arp *a)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);

	if (m->data_len < ARP_LEN)
		return SL_E_NET_SHORT;
	if (sl_get_be16(d) != ARP_HRD || sl_get_be16(d + 2) != RTE_ETHER_TYPE_IPV4 || d[4] != 6 || d[5] != 4)
		return SL_E_NET_ARP;
	a->op = sl_get_be16(d + 6);
	memcpy(a->sha, d + 8, 6);
	a->spa = sl_get_be32(d + 14);
	memcpy(a->tha, d + 18, 6);
	a->tpa = sl_get_be32(d + 24);
	return a->op == ARP_REQUEST || a->op == ARP_REPLY ? SL_OK : SL_E_NET_ARP;
}

static void send_arp(struct sl_net *net, const struct net_if *i, uint16_t op, const uint8_t dst[6],
                     uint32_t spa, const uint8_t tha[6], uint32_t tpa)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(net->cfg.pool);
	uint8_t *d;

	if (m == NULL) {
		(void)sl_fail(SL_E_NET_NO_MBUF);
		return;
	}
	d = (uint8_t *)rte_pktmbuf_append(m, ARP_PADDED);
	if (d == NULL) {
		(void)net_drop(m, SL_E_NET_NO_MBUF);
		return;
	}
	memset(d, 0, ARP_PADDED);
	sl_put_be16(d, ARP_HRD);
	sl_put_be16(d + 2, RTE_ETHER_TYPE_IPV4);
	d[4] = 6;
	d[5] = 4;
	sl_put_be16(d + 6, op);
	memcpy(d + 8, i->mac.addr_bytes, 6);
	sl_put_be32(d + 14, spa);
	memcpy(d + 18, tha, 6);
	sl_put_be32(d + 24, tpa);
	(void)net_ether_output(net, i, m, dst, RTE_ETHER_TYPE_ARP);
}

/* The interface of this link whose subnet has the address; NULL: none. */
static const struct net_if *if_of_subnet(const struct sl_net_shared *s, uint16_t link, uint32_t ip)
{
	for (uint16_t i = link; i < s->nb_ifs; i++) {
		if (s->ifs[i].link == link && ((ip ^ s->ifs[i].addr) & s->ifs[i].mask) == 0)
			return &s->ifs[i];
	}
	return NULL;
}

static void ask(struct sl_net *net, uint8_t link, uint32_t ip, const uint8_t to[6])
{
	const struct net_if *i = if_of_subnet(net->s, link, ip);

	if (i != NULL)
		send_arp(net, i, ARP_REQUEST, to, i->addr, unknown, ip);
}

/* The next probe of a neighbour in INCOMPLETE (mac: broadcast) or PROBE. */
static void probe(struct sl_net *net, struct neigh *n, const uint8_t mac[6], uint64_t now_us)
{
	uint64_t key = atomic_load_explicit(&n->key, memory_order_relaxed);

	n->probes++;
	n->due_us = now_us + NEIGH_PROBE_US;
	ask(net, neigh_key_ifidx(key), neigh_key_ip(key), mac);
}

static void set(struct sl_net *net, struct neigh *n, uint64_t key, enum neigh_state state,
                const uint8_t mac[6], uint64_t due_us)
{
	neigh_set(&net->s->neigh, n, key, state, mac);
	n->due_us = due_us;
}

static void resolve(struct sl_net *net, uint64_t key, uint64_t now_us)
{
	struct neigh *n = neigh_find(&net->s->neigh, key);

	if (n != NULL)
		return; /* being asked, known, or failed a moment ago */
	n = neigh_add(&net->s->neigh, key, true);
	set(net, n, key, NEIGH_INCOMPLETE, NULL, now_us);
	probe(net, n, broadcast, now_us);
}

void net_arp_resolve(struct sl_net *net, uint8_t ifidx, uint32_t ip, uint64_t now_us)
{
	uint64_t key = neigh_key(ifidx, ip);

	if (net->cfg.worker == 0)
		resolve(net, key, now_us);
	else
		(void)neigh_request(&net->s->neigh, key); /* no place now: asked again with the next look */
}

/* Somebody else claims a neighbour's address: is the one that we know still there? */
static int doubt(struct sl_net *net, struct neigh *n, uint64_t key, uint64_t now_us)
{
	uint8_t known[6];

	if (neigh_own_state(n, known) == NEIGH_REACHABLE) {
		set(net, n, key, NEIGH_PROBE, known, now_us);
		probe(net, n, known, now_us);
	}
	return SL_E_NET_ARP_SPOOF;
}

/* What a station says of itself. solicited: we asked. 0, or why it is not believed. */
static int learn(struct sl_net *net, uint64_t key, const uint8_t mac[6], bool solicited, uint64_t now_us)
{
	struct neigh *n = neigh_find(&net->s->neigh, key);
	uint8_t known[6];

	if (n == NULL) {
		if (solicited)
			return SL_E_NET_ARP; /* we did not */
		n = neigh_add(&net->s->neigh, key, false);
		if (n != NULL)
			set(net, n, key, NEIGH_REACHABLE, mac, now_us + NEIGH_REACHABLE_US);
		return SL_OK;
	}
	switch (neigh_own_state(n, known)) {
	case NEIGH_REACHABLE:
	case NEIGH_PROBE:
		if (memcmp(known, mac, sizeof(known)) != 0)
			return doubt(net, n, key, now_us);
		break;
	case NEIGH_FAILED:
		if (solicited)
			return SL_E_NET_ARP; /* too late: nothing waits any more */
		break;
	case NEIGH_NONE:
	case NEIGH_INCOMPLETE:
		break;
	}
	set(net, n, key, NEIGH_REACHABLE, mac, now_us + NEIGH_REACHABLE_US);
	return SL_OK;
}

/* Another station uses our address: say whose it is, but not more often than RFC 5227 2.4 (c) allows. */
static void defend(struct sl_net *net, const struct net_if *i, uint64_t now_us)
{
	struct net_arp_own *own = &net->own[i - net->s->ifs];

	if (now_us < own->defend_us)
		return;
	own->defend_us = now_us + NET_ARP_DEFEND_US;
	send_arp(net, i, ARP_REQUEST, broadcast, i->addr, unknown, i->addr);
}

/* A packet that is not for us still says that a neighbour we know may have another address now. */
static int overhear(struct sl_net *net, uint64_t key, const struct arp *a, uint64_t now_us)
{
	struct neigh *n = neigh_find(&net->s->neigh, key);
	uint8_t known[6];

	if (a->spa != a->tpa || n == NULL || neigh_own_state(n, known) == NEIGH_INCOMPLETE ||
	    neigh_own_state(n, known) == NEIGH_FAILED || memcmp(known, a->sha, sizeof(known)) == 0)
		return SL_E_NET_ARP;
	return doubt(net, n, key, now_us);
}

static int handle(struct sl_net *net, const struct net_if *on, const struct arp *a, const uint8_t eth_src[6],
                  bool to_us, uint64_t now_us)
{
	const struct net_if *mine = net_local_if(net->s, on, a->tpa);
	const struct net_if *of = if_of_subnet(net->s, on->link, a->spa);
	const struct net_if *conflict = net_local_if(net->s, on, a->spa);
	uint64_t key = neigh_key((uint8_t)on->link, a->spa);
	int rc;

	if (memcmp(a->sha, eth_src, 6) != 0)
		return SL_E_NET_ARP_SPOOF;
	if (conflict != NULL) {
		defend(net, conflict, now_us);
		return SL_E_NET_ARP_SPOOF;
	}
	if (a->op == ARP_REQUEST && a->spa == 0 &&
	    mine != NULL) { /* RFC 5227 probe for our address: it is taken */
		send_arp(net, mine, ARP_REPLY, eth_src, mine->addr, a->sha, 0);
		return SL_OK;
	}
	if (of == NULL || !net_ip_is_unicast(a->spa) || net_ip_is_subnet_end(of, a->spa))
		return a->spa == 0 ? SL_E_NET_ARP : SL_E_NET_ARP_SPOOF;
	if (mine == NULL)
		return overhear(net, key, a, now_us);
	if (a->op == ARP_REPLY) {
		if (!to_us || memcmp(a->tha, on->mac.addr_bytes, 6) != 0)
			return SL_E_NET_ARP;
		return learn(net, key, a->sha, true, now_us);
	}
	rc = learn(net, key, a->sha, false, now_us);
	if (rc == SL_OK)
		send_arp(net, mine, ARP_REPLY, eth_src, mine->addr, a->sha, a->spa);
	return rc;
}

void net_arp_input(struct sl_net *net, const struct net_if *i, struct rte_mbuf *m, const uint8_t eth_src[6],
                   bool to_us, uint64_t now_us)
{
	struct arp a;
	int rc = net->cfg.worker == 0 ? parse(m, &a) : SL_E_NET_ARP; /* the table has one writer */

	rte_pktmbuf_free(m);
	if (rc == SL_OK)
		rc = handle(net, i, &a, eth_src, to_us, now_us);
	if (rc < 0)
		(void)sl_fail(rc);
}

static void timer(struct sl_net *net, struct neigh *n, uint64_t now_us)
{
	uint64_t key = atomic_load_explicit(&n->key, memory_order_relaxed);
	uint8_t mac[6];

	switch (neigh_own_state(n, mac)) {
	case NEIGH_NONE:
		break;
	case NEIGH_INCOMPLETE:
		if (n->probes < NEIGH_PROBES)
			probe(net, n, broadcast, now_us);
		else
			set(net, n, key, NEIGH_FAILED, NULL, now_us + NEIGH_FAILED_US);
		break;
	case NEIGH_REACHABLE:
		if (!atomic_exchange_explicit(&n->used, false, memory_order_relaxed)) {
			set(net, n, key, NEIGH_NONE, NULL, 0);
			break;
		}
		set(net, n, key, NEIGH_PROBE, mac, now_us);
		probe(net, n, mac, now_us);
		break;
	case NEIGH_PROBE:
		if (n->probes < NEIGH_PROBES) {
			probe(net, n, mac, now_us);
			break;
		}
		set(net, n, key, NEIGH_INCOMPLETE, NULL, now_us);
		probe(net, n, broadcast, now_us);
		break;
	case NEIGH_FAILED:
		set(net, n, key, NEIGH_NONE, NULL, 0);
		break;
	}
}

static void scan(struct sl_net *net, uint64_t now_us)
{
	for (uint32_t b = 0; b < NEIGH_BUCKETS; b++) {
		for (uint32_t w = 0; w < NEIGH_WAYS; w++) {
			struct neigh *n = &net->s->neigh.entry[b][w];

			if (atomic_load_explicit(&n->key, memory_order_relaxed) != 0 && n->due_us <= now_us)
				timer(net, n, now_us);
		}
	}
}

void net_arp_serve(struct sl_net *net, uint64_t now_us)
{
	struct neigh_table *t = &net->s->neigh;

	if (!atomic_load_explicit(&t->requested, memory_order_relaxed) ||
	    !atomic_exchange_explicit(&t->requested, false, memory_order_acquire))
		return;
	for (uint32_t i = 0; i < NEIGH_REQUESTS; i++) {
		uint64_t key = atomic_exchange_explicit(&t->request[i], 0, memory_order_acquire);

		if (key != 0)
			resolve(net, key, now_us);
	}
}

static uint64_t announce(struct sl_net *net, uint64_t now_us)
{
	uint64_t next = UINT64_MAX;

	for (uint16_t i = 0; i < net->s->nb_ifs; i++) {
		struct net_arp_own *own = &net->own[i];
		const struct net_if *f = &net->s->ifs[i];

		if (own->announced == NET_ARP_ANNOUNCE)
			continue;
		if (own->announce_us <= now_us) {
			send_arp(net, f, ARP_REQUEST, broadcast, f->addr, unknown, f->addr);
			own->announce_us = now_us + NET_ANNOUNCE_US;
			own->announced++;
		}
		if (own->announced < NET_ARP_ANNOUNCE && own->announce_us < next)
			next = own->announce_us;
	}
	return next;
}

uint64_t net_arp_tick(struct sl_net *net, uint64_t now_us)
{
	uint64_t next = announce(net, now_us);

	net_arp_serve(net, now_us);
	if (net->arp_scan_us <= now_us) {
		scan(net, now_us);
		net->arp_scan_us = now_us + NEIGH_SCAN_US;
	}
	return next < net->arp_scan_us ? next : net->arp_scan_us;
}
