/*
 * What is refused: overlaps of any kind but a fragment that came twice (with its datagram, RFC 5722), a first
 * fragment without the whole TCP header (RFC 1858, RFC 7112), what does not fit a buffer, other protocols
 * than TCP and ICMP, and what is over a quota: then the oldest of the same source gives way, or of all.
 */
#include "reass.h"

#include <netinet/in.h>

#include "net_priv.h"

#define ICMP_HDR_MIN 8
#define ECN_CE       3

static uint64_t life_us(const struct net_pkt *p)
{
	return net_ip_is4(&p->src) ? REASS_IP4_US : REASS_IP6_US;
}

static void release(struct net_reass *r, struct reass_slot *s)
{
	rte_pktmbuf_free(s->m);
	memset(s, 0, sizeof(*s));
	r->nb--;
}

/* The datagram is bad: what came is given back, what comes is dropped. */
static int kill(struct reass_slot *s, int err)
{
	rte_pktmbuf_free(s->m);
	s->m = NULL;
	s->dead = true;
	return err;
}

static bool same(const struct reass_slot *s, const struct net_pkt *p, const struct net_frag *f)
{
	return s->used && s->id == f->id && s->link == p->link && s->proto == f->proto &&
	       net_ip_eq(&s->src, &p->src) && net_ip_eq(&s->dst, &p->dst);
}

/* A place for a new datagram of this source; may cost an older one. */
static struct reass_slot *place(struct net_reass *r, const struct net_pkt *p)
{
	struct reass_slot *oldest = NULL;
	struct reass_slot *own = NULL;
	struct reass_slot *unused = NULL;
	uint32_t of_source = 0;

	for (uint32_t i = 0; i < REASS_SLOTS; i++) {
		struct reass_slot *s = &r->slot[i];

		if (!s->used) {
			unused = s;
			continue;
		}
		if (oldest == NULL || s->until_us < oldest->until_us)
			oldest = s;
		if (!net_ip_eq(&s->src, &p->src))
			continue;
		of_source++;
		if (own == NULL || s->until_us < own->until_us)
			own = s;
	}
	if (of_source < REASS_SOURCE && unused != NULL)
		return unused;
	if (of_source >= REASS_SOURCE)
		oldest = own;
	release(r, oldest);
	(void)sl_fail(SL_E_NET_REASS_LIMIT);
	return oldest;
}

static struct reass_slot *begin(struct sl_net *net, const struct net_pkt *p, const struct net_frag *f,
                                uint64_t now_us)
{
	struct net_reass *r = &net->reass;
	struct rte_mbuf *m = rte_pktmbuf_alloc(net->cfg.pool);
	struct reass_slot *s;

	if (m == NULL)
		return NULL;
	s = place(r, p);
	*s = (struct reass_slot){.src = p->src,
	                         .dst = p->dst,
	                         .id = f->id,
	                         .proto = f->proto,
	                         .link = p->link,
	                         .used = true,
	                         .until_us = now_us + life_us(p),
	                         .m = m};
	if (r->nb++ == 0)
		r->scan_us = now_us + REASS_SCAN_US;
	return s;
}

/* What can be said of a fragment alone (RFC 8200 4.5 has the same for IPv6). */
static int check(const struct net_frag *f)
{
	uint32_t header = ICMP_HDR_MIN;

	if (f->proto != IPPROTO_TCP && f->proto != IPPROTO_ICMP && f->proto != IPPROTO_ICMPV6)
		return SL_E_NET_IP_PROTO;
	if (f->len == 0 || (f->more && f->len % 8 != 0) || (uint32_t)f->off + f->len > UINT16_MAX)
		return SL_E_NET_IP_FRAGMENT;
	if (f->off != 0)
		return SL_OK;
	if (f->proto == IPPROTO_TCP) {
		header = NET_TCP_HDR_MIN;
		if (f->len >= header)
			header = RTE_MAX(header, (uint32_t)(f->data[12] >> 4) * 4);
	}
	return f->len >= header ? SL_OK : SL_E_NET_REASS_TINY;
}

/* Where the fragment belongs among those that are there. 1: it is there already; 0 and *at; < 0. */
static int find_place(const struct reass_slot *s, const struct net_frag *f, uint32_t *at)
{
	uint32_t from = f->off;
	uint32_t to = from + f->len;
	uint32_t i = 0;

	while (i < s->nb && s->range[i].from < from)
		i++;
	*at = i;
	if (i < s->nb && s->range[i].from == from && s->range[i].to == to) {
		const uint8_t *had = rte_pktmbuf_mtod_offset(s->m, const uint8_t *, from);

		return memcmp(had, f->data, f->len) == 0 && f->more == (s->total == 0 || to < s->total)
		               ? 1
		               : SL_E_NET_REASS_OVERLAP;
	}
	if ((i > 0 && s->range[i - 1].to > from) || (i < s->nb && s->range[i].from < to))
		return SL_E_NET_REASS_OVERLAP;
	if (s->total != 0 &&
	    (!f->more || to >= s->total)) /* a second end, or something at or behind the end */
		return SL_E_NET_REASS_OVERLAP;
	if (!f->more && s->nb > 0 && s->range[s->nb - 1].to > to)
		return SL_E_NET_REASS_OVERLAP;
	return s->nb == REASS_FRAGS ? SL_E_NET_REASS_LIMIT : SL_OK;
}

static void insert(struct reass_slot *s, const struct net_pkt *p, const struct net_frag *f, uint32_t at)
{
	memcpy(rte_pktmbuf_mtod_offset(s->m, uint8_t *, f->off), f->data, f->len);
	memmove(&s->range[at + 1], &s->range[at], (s->nb - at) * sizeof(s->range[0]));
	s->range[at] = (struct reass_range){f->off, (uint16_t)(f->off + f->len)};
	s->nb++;
	s->have = (uint16_t)(s->have + f->len);
	s->ecn_seen |= (uint8_t)(1u << p->ecn);
	if (!f->more)
		s->total = (uint32_t)f->off + f->len;
	if (f->off == 0) {
		s->first = true;
		s->ttl = p->ttl;
	}
}

/* RFC 3168 5.3: congestion that one fragment met, the datagram met. False: only some can be marked at all. */
static bool ecn_of(const struct reass_slot *s, uint8_t *ecn)
{
	bool ce = (s->ecn_seen & 1 << ECN_CE) != 0;

	if (ce && (s->ecn_seen & 1) != 0)
		return false;
	if (ce)
		*ecn = ECN_CE;
	else if ((s->ecn_seen & 1) != 0)
		*ecn = 0;
	else
		*ecn = (s->ecn_seen & 2) != 0 ? 1 : 2;
	return true;
}

static int complete(struct sl_net *net, struct net_pkt *p, struct reass_slot *s, struct rte_mbuf **whole)
{
	struct rte_mbuf *m = s->m;

	if (!ecn_of(s, &p->ecn))
		return kill(s, SL_E_NET_IP_FRAGMENT);
	m->data_len = (uint16_t)s->total;
	m->pkt_len = s->total;
	p->ttl = s->ttl;
	p->proto = s->proto;
	p->fragment = true;
	p->l3_len = 0; /* nothing to quote */
	s->m = NULL;
	release(&net->reass, s);
	*whole = m;
	return SL_OK;
}

int net_reass_add(struct sl_net *net, struct net_pkt *p, const struct net_frag *f, struct rte_mbuf **whole,
                  uint64_t now_us)
{
	struct reass_slot *s = NULL;
	int rc = check(f);
	uint32_t at;

	*whole = NULL;
	if (rc != SL_OK)
		return rc;
	for (uint32_t i = 0; i < REASS_SLOTS && net->reass.nb > 0 && s == NULL; i++) {
		if (same(&net->reass.slot[i], p, f))
			s = &net->reass.slot[i];
	}
	if (s == NULL)
		s = begin(net, p, f, now_us);
	if (s == NULL)
		return SL_E_NET_NO_MBUF;
	if (s->dead)
		return SL_E_NET_REASS_OVERLAP;
	if ((uint32_t)f->off + f->len > rte_pktmbuf_tailroom(s->m))
		return kill(s, SL_E_NET_REASS_SIZE);
	rc = find_place(s, f, &at);
	if (rc < 0)
		return kill(s, rc);
	if (rc > 0)
		return SL_OK;
	insert(s, p, f, at);
	return s->total != 0 && s->have == s->total ? complete(net, p, s, whole) : SL_OK;
}

uint64_t net_reass_tick(struct sl_net *net, uint64_t now_us)
{
	struct net_reass *r = &net->reass;

	if (r->nb == 0)
		return UINT64_MAX;
	if (r->scan_us > now_us)
		return r->scan_us;
	for (uint32_t i = 0; i < REASS_SLOTS; i++) {
		if (!r->slot[i].used || r->slot[i].until_us > now_us)
			continue;
		if (!r->slot[i].dead)
			(void)sl_fail(SL_E_NET_REASS_TIMEOUT);
		release(r, &r->slot[i]);
	}
	r->scan_us = now_us + REASS_SCAN_US;
	return r->nb == 0 ? UINT64_MAX : r->scan_us;
}

void net_reass_free(struct sl_net *net)
{
	for (uint32_t i = 0; i < REASS_SLOTS; i++)
		rte_pktmbuf_free(net->reass.slot[i].m);
}

/* The headers of a whole packet in front of a payload, as if it had come in one frame. False: no room. */
static bool frame(const struct sl_net *net, const struct net_pkt *p, struct rte_mbuf *m)
{
	const struct net_link *l = &net->s->links[p->link];
	uint16_t n = l->vlan != 0 ? RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN : RTE_ETHER_HDR_LEN;
	bool ip4 = net_ip_is4(&p->src);
	uint8_t *d;

	if (ip4) {
		struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)rte_pktmbuf_prepend(m, NET_IP4_LEN);

		if (ip == NULL)
			return false;
		memset(ip, 0, sizeof(*ip));
		ip->version_ihl = 0x45;
		ip->type_of_service = p->ecn;
		ip->total_length = rte_cpu_to_be_16((uint16_t)m->pkt_len);
		ip->time_to_live = p->ttl;
		ip->next_proto_id = p->proto;
		ip->src_addr = rte_cpu_to_be_32(net_ip_host4(&p->src));
		ip->dst_addr = rte_cpu_to_be_32(net_ip_host4(&p->dst));
		ip->hdr_checksum = rte_ipv4_cksum(ip);
	} else {
		const struct net_ip6_out o = {p->src, p->dst, 0, p->proto, p->ttl, p->ecn};

		if (!net_ip6_header(m, &o))
			return false;
	}
	d = (uint8_t *)rte_pktmbuf_prepend(m, n);
	if (d == NULL)
		return false;
	memcpy(d, l->mac.addr_bytes, 6);
	memcpy(d + 6, p->eth_src, 6);
	if (l->vlan != 0) {
		sl_put_be16(d + 12, RTE_ETHER_TYPE_VLAN);
		sl_put_be16(d + 14, l->vlan);
	}
	sl_put_be16(d + n - 2, ip4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6);
	net_mbuf_reuse(m); /* nobody has verified it */
	return true;
}

bool net_reass_hand_over(struct sl_net *net, const struct net_pkt *p, const struct sl_endpoint *src,
                         const struct sl_endpoint *dst, struct rte_mbuf *m)
{
	struct sl_port *port = net->s->links[p->link].port;
	uint16_t owner = sl_port_owner(port, src, dst);

	if (owner == net->cfg.worker)
		return false;
	if (frame(net, p, m))
		sl_port_handoff(port, owner, m);
	else
		(void)net_drop(m, SL_E_INVAL);
	return true;
}

void net_reass_deliver(struct sl_net *net, const struct net_pkt *p, struct rte_mbuf *m, uint64_t now_us)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);

	if (p->proto == IPPROTO_TCP) {
		struct sl_endpoint src = {net_addr_of(&p->src), sl_get_be16(d)};
		struct sl_endpoint dst = {net_addr_of(&p->dst), sl_get_be16(d + 2)};

		if (net_reass_hand_over(net, p, &src, &dst, m))
			return;
	}
	net_ip_deliver(net, p, m, now_us);
}
