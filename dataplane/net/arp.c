/*
 * ARP (RFC 826, RFC 5227). What is believed: the sender of a request for one of our addresses, and the answer
 * to a request of ours; nud.c has the rest.
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
	struct net_ip spa;
	struct net_ip tpa;
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
	a->spa = net_ip4(sl_get_be32(d + 14));
	memcpy(a->tha, d + 18, 6);
	a->tpa = net_ip4(sl_get_be32(d + 24));
	return a->op == ARP_REQUEST || a->op == ARP_REPLY ? SL_OK : SL_E_NET_ARP;
}

static void send_arp(struct sl_net *net, uint8_t link, uint16_t op, const uint8_t dst[6],
                     const struct net_ip *spa, const uint8_t tha[6], const struct net_ip *tpa)
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
	memcpy(d + 8, net->s->links[link].mac.addr_bytes, 6);
	if (spa != NULL)
		sl_put_be32(d + 14, net_ip_host4(spa));
	memcpy(d + 18, tha, 6);
	if (tpa != NULL)
		sl_put_be32(d + 24, net_ip_host4(tpa));
	(void)net_ether_output(net, link, m, dst, RTE_ETHER_TYPE_ARP);
}

void net_arp_ask(struct sl_net *net, const struct neigh_key *key, const uint8_t *mac)
{
	const struct net_if *i = net_if_ready_for(net->s, key->link, &key->ip);

	if (i != NULL)
		send_arp(net, key->link, ARP_REQUEST, mac != NULL ? mac : broadcast, &i->addr, unknown,
		         &key->ip);
}

void net_arp_probe(struct sl_net *net, const struct net_if *i)
{
	send_arp(net, i->link, ARP_REQUEST, broadcast, NULL, unknown, &i->addr);
}

void net_arp_announce(struct sl_net *net, const struct net_if *i)
{
	send_arp(net, i->link, ARP_REQUEST, broadcast, &i->addr, unknown, &i->addr);
}

static int judged(enum nud_verdict v)
{
	switch (v) {
	case NUD_OK:
		return SL_OK;
	case NUD_UNASKED:
		return SL_E_NET_ARP;
	case NUD_DOUBTED:
		break;
	}
	return SL_E_NET_ARP_SPOOF;
}

/* Somebody else speaks as an address of ours. */
static int claimed(struct sl_net *net, const struct net_if *i, const struct arp *a, uint64_t now_us)
{
	switch (atomic_load_explicit(&i->state, memory_order_relaxed)) {
	case SL_NET_IF_TENTATIVE:
		net_own_conflict(net, i, a->sha, now_us);
		return SL_E_NET_ARP;
	case SL_NET_IF_READY:
		net_own_defend(net, i, now_us);
		return SL_E_NET_ARP_SPOOF;
	default:
		return SL_E_NET_ARP; /* we gave it up */
	}
}

/* A probe of RFC 5227 for an address of ours: it is taken; or both of us want it, and neither gets it. */
static int probed(struct sl_net *net, const struct net_if *i, const struct arp *a, uint64_t now_us)
{
	if (net_if_ready(i)) {
		send_arp(net, i->link, ARP_REPLY, a->sha, &i->addr, a->sha, NULL);
		return SL_OK;
	}
	return claimed(net, i, a, now_us);
}

/* The packet is for an address of ours, `mine`, that is ready. */
static int handle_ours(struct sl_net *net, const struct net_pkt *p, const struct net_if *mine,
                       const struct arp *a, uint64_t now_us)
{
	struct neigh_key key = {a->spa, p->link};
	int rc;

	if (a->op == ARP_REPLY) {
		if (p->cast != NET_UNICAST ||
		    memcmp(a->tha, net->s->links[p->link].mac.addr_bytes, sizeof(a->tha)) != 0)
			return SL_E_NET_ARP;
		return judged(net_nud_heard(net, &key, a->sha, NUD_REPLY, now_us));
	}
	rc = judged(net_nud_heard(net, &key, a->sha, NUD_REQUEST, now_us));
	if (rc == SL_OK)
		send_arp(net, p->link, ARP_REPLY, a->sha, &mine->addr, a->sha, &a->spa);
	return rc;
}

static int handle(struct sl_net *net, const struct net_pkt *p, const struct arp *a, uint64_t now_us)
{
	const struct net_ip nobody = net_ip4(0);
	const struct net_if *mine = net_if_on(net->s, p->link, &a->tpa);
	const struct net_if *of = net_if_for(net->s, p->link, &a->spa);
	const struct net_if *conflict = net_if_on(net->s, p->link, &a->spa);
	struct neigh_key key = {a->spa, p->link};

	if (memcmp(a->sha, p->eth_src, sizeof(a->sha)) != 0)
		return SL_E_NET_ARP_SPOOF;
	if (conflict != NULL)
		return claimed(net, conflict, a, now_us);
	if (net_ip_eq(&a->spa, &nobody))
		return a->op == ARP_REQUEST && mine != NULL ? probed(net, mine, a, now_us) : SL_E_NET_ARP;
	if (of == NULL || !net_ip_is_unicast(&a->spa) || net_ip_is_subnet_end(of, &a->spa))
		return SL_E_NET_ARP_SPOOF;
	if (mine != NULL && net_if_ready(mine))
		return handle_ours(net, p, mine, a, now_us);
	/* An announcement still says that a neighbour we know may have another address now. */
	if (!net_ip_eq(&a->spa, &a->tpa))
		return SL_E_NET_ARP;
	return judged(net_nud_overheard(net, &key, a->sha, now_us));
}

void net_arp_input(struct sl_net *net, const struct net_pkt *p, struct rte_mbuf *m, uint64_t now_us)
{
	struct arp a;
	int rc = net->leads ? parse(m, &a) : SL_E_NET_ARP; /* the table has one writer */

	rte_pktmbuf_free(m);
	if (rc == SL_OK)
		rc = handle(net, p, &a, now_us);
	if (rc < 0)
		(void)sl_fail(rc);
}
