/*
 * Neighbour discovery (RFC 4861) and duplicate detection (RFC 4862) as a host with fixed addresses: neither
 * router advertisements nor redirects are taken. What is believed is what arp.c believes: the sender of a
 * solicitation for one of our addresses, and the answer to one of ours; a link-layer option must name the
 * station that the frame came from.
 */
#include "net_priv.h"

#include <netinet/in.h>

#define NDP_LEN        24 /* of both messages without options */
#define NDP_NS         135
#define NDP_NA         136
#define NDP_NA_SOLICIT 0x40
#define NDP_NA_OVERRID 0x20
#define NDP_OPT_SLLA   1
#define NDP_OPT_TLLA   2
#define NDP_OPT_LEN    8  /* of a link-layer address option for Ethernet */
#define NDP_OPTS_MAX   16 /* in one message */

struct ndp {
	struct net_ip target;
	bool solicited;
	const uint8_t *lla; /* of the option that belongs to the message; NULL: none */
};

/* Options (RFC 4861 4.6): none of no length, none past the end, the link-layer address at most once. */
static bool parse_options(const uint8_t *o, uint32_t len, uint8_t wanted, struct ndp *d)
{
	for (int n = 0; len > 0; n++) {
		uint32_t l = len >= 2 ? (uint32_t)o[1] * 8 : 0;

		if (l == 0 || l > len || n == NDP_OPTS_MAX)
			return false;
		if (o[0] == wanted) {
			if (l != NDP_OPT_LEN || d->lla != NULL)
				return false;
			d->lla = o + 2;
		}
		o += l;
		len -= l;
	}
	return true;
}

/* RFC 4861 7.1.1 and 7.1.2; RFC 6980: not in fragments. */
static int parse(const struct net_pkt *p, const uint8_t *icmp, uint32_t len, struct ndp *d)
{
	bool ns = icmp[0] == NDP_NS;

	memset(d, 0, sizeof(*d));
	if (len < NDP_LEN || p->ttl != NET_HOPS_NDP || icmp[1] != 0 || p->fragment)
		return SL_E_NET_NDP;
	d->target = net_ip6(icmp + 8);
	d->solicited = !ns && (icmp[4] & NDP_NA_SOLICIT) != 0;
	if (!net_ip_is_unicast(&d->target) || net_ip_is4(&d->target) ||
	    !parse_options(icmp + NDP_LEN, len - NDP_LEN, ns ? NDP_OPT_SLLA : NDP_OPT_TLLA, d))
		return SL_E_NET_NDP;
	if (d->lla != NULL && memcmp(d->lla, p->eth_src, 6) != 0)
		return SL_E_NET_NDP_SPOOF;
	if (ns && net_ip_is_zero(&p->src)) {
		const struct net_ip group = net_ip_solicited_node(&d->target);

		if (!net_ip_eq(&p->dst, &group) || d->lla != NULL)
			return SL_E_NET_NDP;
	}
	if (d->solicited && p->on == NULL) /* an answer to us is not for a group */
		return SL_E_NET_NDP;
	return SL_OK;
}

/* Sends a message with a link-layer option (0: without one) to a station. */
static void send_ndp(struct sl_net *net, uint8_t link, const struct net_ip6_out *o, uint8_t type,
                     uint8_t flags, const struct net_ip *target, uint8_t option, const uint8_t dst_mac[6])
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(net->cfg.pool);
	uint16_t len = option != 0 ? NDP_LEN + NDP_OPT_LEN : NDP_LEN;
	uint8_t *d = m != NULL ? (uint8_t *)rte_pktmbuf_append(m, len) : NULL;
	uint16_t sum;

	if (d == NULL) {
		(void)net_drop(m, SL_E_NET_NO_MBUF);
		return;
	}
	memset(d, 0, len);
	d[0] = type;
	d[4] = flags;
	memcpy(d + 8, target->w, sizeof(target->w));
	if (option != 0) {
		d[NDP_LEN] = option;
		d[NDP_LEN + 1] = NDP_OPT_LEN / 8;
		memcpy(d + NDP_LEN + 2, net->s->links[link].mac.addr_bytes, 6);
	}
	sum = net_icmp6_sum(&o->src, &o->dst, d, len);
	memcpy(d + 2, &sum, sizeof(sum));
	if (!net_ip6_header(m, o)) {
		(void)net_drop(m, SL_E_INVAL);
		return;
	}
	(void)net_ether_output(net, link, m, dst_mac, RTE_ETHER_TYPE_IPV6);
}

/* RFC 2464 7. */
static void group_mac(const struct net_ip *group, uint8_t mac[6])
{
	mac[0] = 0x33;
	mac[1] = 0x33;
	memcpy(mac + 2, net_ip_bytes(group) + 12, 4);
}

/* The address to ask from: one of the target's subnet, or the link-local one. */
static const struct net_if *asker(const struct sl_net_shared *s, const struct neigh_key *key)
{
	const struct net_if *i = net_if_ready_for(s, key->link, &key->ip);

	if (i != NULL)
		return i;
	for (uint16_t k = 0; k < s->nb_ifs; k++) {
		i = &s->ifs[k];
		if (i->link == key->link && net_ip_is_link_local(&i->addr) && net_if_ready(i))
			return i;
	}
	return NULL;
}

void net_ndp_ask(struct sl_net *net, const struct neigh_key *key, const uint8_t *mac)
{
	const struct net_if *i = asker(net->s, key);
	struct net_ip6_out o = {.proto = IPPROTO_ICMPV6, .hops = NET_HOPS_NDP};
	uint8_t to[6];

	if (i == NULL)
		return;
	o.src = i->addr;
	o.dst = key->ip;
	if (mac == NULL) {
		o.dst = net_ip_solicited_node(&key->ip);
		group_mac(&o.dst, to);
		mac = to;
	}
	send_ndp(net, key->link, &o, NDP_NS, 0, &key->ip, NDP_OPT_SLLA, mac);
}

void net_ndp_probe(struct sl_net *net, const struct net_if *i)
{
	struct net_ip6_out o = {
	        .dst = net_ip_solicited_node(&i->addr), .proto = IPPROTO_ICMPV6, .hops = NET_HOPS_NDP};
	uint8_t mac[6];

	group_mac(&o.dst, mac);
	send_ndp(net, i->link, &o, NDP_NS, 0, &i->addr, 0, mac);
}

static void advertise(struct sl_net *net, const struct net_if *i, const struct net_ip *dst, uint8_t flags,
                      const uint8_t mac[6])
{
	struct net_ip6_out o = {i->addr, *dst, 0, IPPROTO_ICMPV6, NET_HOPS_NDP, 0};

	send_ndp(net, i->link, &o, NDP_NA, (uint8_t)(flags | NDP_NA_OVERRID), &i->addr, NDP_OPT_TLLA, mac);
}

void net_ndp_announce(struct sl_net *net, const struct net_if *i)
{
	const struct net_ip all = net_ip_all_nodes();
	uint8_t mac[6];

	group_mac(&all, mac);
	advertise(net, i, &all, 0, mac);
}

static int judged(enum nud_verdict v)
{
	switch (v) {
	case NUD_OK:
		return SL_OK;
	case NUD_UNASKED:
		return SL_E_NET_NDP;
	case NUD_DOUBTED:
		break;
	}
	return SL_E_NET_NDP_SPOOF;
}

/* A solicitation for an address of ours. */
static int solicited(struct sl_net *net, const struct net_pkt *p, const struct net_if *mine,
                     const struct ndp *d, uint64_t now_us)
{
	struct neigh_key key = {p->src, p->link};
	bool probe = net_ip_is_zero(&p->src);
	int rc;

	if (atomic_load_explicit(&mine->state, memory_order_relaxed) == SL_NET_IF_TENTATIVE && probe) {
		net_own_conflict(net, mine, p->eth_src, now_us); /* both want it: neither gets it */
		return SL_E_NET_NDP;
	}
	if (!net_if_ready(mine))
		return SL_E_NET_NDP;
	if (probe) {
		net_ndp_announce(net, mine);
		return SL_OK;
	}
	if (net_if_for(net->s, p->link, &p->src) == NULL)
		return SL_E_NET_NDP_SPOOF; /* no neighbour */
	rc = judged(net_nud_heard(net, &key, d->lla, NUD_REQUEST, now_us));
	if (rc == SL_E_NET_NDP && d->lla == NULL)
		rc = SL_OK; /* it did not say its address; the frame did */
	if (rc == SL_OK)
		advertise(net, mine, &p->src, NDP_NA_SOLICIT, p->eth_src);
	return rc;
}

/* Another station says that it has an address of ours. */
static int claimed(struct sl_net *net, const struct net_pkt *p, const struct net_if *i, uint64_t now_us)
{
	switch (atomic_load_explicit(&i->state, memory_order_relaxed)) {
	case SL_NET_IF_TENTATIVE:
		net_own_conflict(net, i, p->eth_src, now_us);
		return SL_E_NET_NDP;
	case SL_NET_IF_READY:
		net_own_defend(net, i, now_us);
		return SL_E_NET_NDP_SPOOF;
	default:
		return SL_E_NET_NDP; /* we gave it up */
	}
}

void net_ndp_input(struct sl_net *net, const struct net_pkt *p, const uint8_t *icmp, uint32_t len,
                   uint64_t now_us)
{
	const struct net_if *mine;
	struct neigh_key key;
	struct ndp d;
	int rc = net->leads ? parse(p, icmp, len, &d) : SL_E_NET_NDP; /* the table has one writer */

	if (rc == SL_OK) {
		key = (struct neigh_key){d.target, p->link};
		mine = net_if_on(net->s, p->link, &d.target);
		if (icmp[0] == NDP_NS)
			rc = mine != NULL ? solicited(net, p, mine, &d, now_us) : SL_E_NET_NDP;
		else if (mine != NULL)
			rc = claimed(net, p, mine, now_us);
		else
			rc = judged(
			        net_nud_heard(net, &key, d.lla, d.solicited ? NUD_REPLY : NUD_HINT, now_us));
	}
	if (rc < 0)
		(void)sl_fail(rc);
}
