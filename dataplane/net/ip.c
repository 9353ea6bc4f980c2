/* What IPv4 and IPv6 share: the way up to TCP and ICMP, and the way out as an end host. */
#include "net_priv.h"

#include <netinet/in.h>

#define IP4_DF       0x4000
#define IP_PACKET    65535u /* the largest that a header can say, with its own length in IPv4 */
#define FLOW_MASK    0xfffff
#define VTC_VERSION  0x60000000
#define VTC_TC_SHIFT 20

/* Gives the segments that were collected to TCP. */
void net_ip_flush(struct sl_net *net, uint64_t now_us)
{
	uint16_t n = net->up.nb;

	net->up.nb = 0;
	if (n > 0)
		net->cfg.tcp_input(net->cfg.ctx, net->up.m, net->up.seg, n, now_us);
}

/* Padding of short frames. A chain has none: see sl_port_rx(). */
int net_ip_trim(struct net_pkt *p, struct rte_mbuf *m)
{
	if (m->pkt_len > p->l3_len && rte_pktmbuf_trim(m, (uint16_t)(m->pkt_len - p->l3_len)) != 0)
		return SL_E_NET_SHORT;
	p->l3_len = m->data_len;
	return SL_OK;
}

static void to_tcp(struct sl_net *net, const struct net_pkt *p, struct rte_mbuf *m, uint64_t now_us)
{
	struct sl_net_segment *seg = &net->up.seg[net->up.nb];

	if (m->data_len < NET_TCP_HDR_MIN) {
		(void)net_drop(m, SL_E_TCP_HEADER);
		return;
	}
	if (net->cfg.tcp_input == NULL) {
		(void)net_drop(m, SL_E_NET_IP_PROTO);
		return;
	}
	seg->src = net_addr_of(&p->src);
	seg->dst = net_addr_of(&p->dst);
	seg->ecn = p->ecn;
	seg->ttl = p->ttl;
	seg->ifidx = (uint16_t)(p->on - net->s->ifs);
	net->up.m[net->up.nb++] = m;
	if (net->up.nb == SL_PORT_BURST)
		net_ip_flush(net, now_us);
}

void net_ip_deliver(struct sl_net *net, const struct net_pkt *p, struct rte_mbuf *m, uint64_t now_us)
{
	bool ip4 = net_ip_is4(&p->dst);

	if (p->proto == IPPROTO_TCP && p->on != NULL)
		to_tcp(net, p, m, now_us);
	else if (p->proto == IPPROTO_ICMP && ip4)
		net_icmp4_input(net, p, m, now_us);
	else if (p->proto == IPPROTO_ICMPV6 && !ip4)
		net_icmp6_input(net, p, m, now_us);
	else
		(void)net_drop(m, SL_E_NET_IP_PROTO);
}

int net_hop_find(const struct sl_net_shared *s, const struct net_if *from, const struct net_ip *dst,
                 struct net_hop *out)
{
	if (!net_ip_is_unicast(dst) || net_if_of(s, dst) != NULL)
		return SL_E_NET_NO_ROUTE;
	if (net_ip_is_link_local(dst)) {
		if (from == NULL || net_ip_is4(&from->addr))
			return SL_E_NET_NO_ROUTE;
		out->link = from->link;
		out->next = *dst;
		out->route = NULL;
		return SL_OK;
	}
	out->route = net_route_find(s, dst, &out->next);
	if (out->route == NULL || net_ip_is_subnet_end(&s->ifs[out->route->ifidx], &out->next))
		return SL_E_NET_NO_ROUTE;
	out->link = out->route->link;
	return SL_OK;
}

static bool ip4_header(struct rte_mbuf *m, const struct net_if *from, const struct net_ip *dst, uint8_t proto,
                       uint8_t ecn)
{
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)rte_pktmbuf_prepend(m, NET_IP4_LEN);

	if (ip == NULL)
		return false;
	ip->version_ihl = 0x45;
	ip->type_of_service = ecn & NET_ECN_MASK;
	ip->total_length = rte_cpu_to_be_16((uint16_t)m->pkt_len);
	ip->packet_id = 0; /* RFC 6864: without meaning in a packet that is never fragmented */
	ip->fragment_offset = rte_cpu_to_be_16(IP4_DF);
	ip->time_to_live = NET_TTL;
	ip->next_proto_id = proto;
	ip->hdr_checksum = 0;
	ip->src_addr = rte_cpu_to_be_32(net_ip_host4(&from->addr));
	ip->dst_addr = rte_cpu_to_be_32(net_ip_host4(dst));
	m->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
	m->l3_len = NET_IP4_LEN;
	return true;
}

bool net_ip6_header(struct rte_mbuf *m, const struct net_ip6_out *o)
{
	uint32_t len = m->pkt_len;
	struct rte_ipv6_hdr *ip = (struct rte_ipv6_hdr *)rte_pktmbuf_prepend(m, NET_IP6_LEN);

	if (ip == NULL)
		return false;
	ip->vtc_flow = rte_cpu_to_be_32(VTC_VERSION | (uint32_t)(o->ecn & NET_ECN_MASK) << VTC_TC_SHIFT |
	                                (o->flow & FLOW_MASK));
	ip->payload_len = rte_cpu_to_be_16((uint16_t)len);
	ip->proto = o->proto;
	ip->hop_limits = o->hops;
	memcpy(ip->src_addr, o->src.w, sizeof(o->src.w));
	memcpy(ip->dst_addr, o->dst.w, sizeof(o->dst.w));
	m->ol_flags |= RTE_MBUF_F_TX_IPV6;
	m->l3_len = NET_IP6_LEN;
	return true;
}

/* RFC 6437: the same for all packets of a connection, and nobody's to guess. ports: 0 where there are none.
 */
static uint32_t flow_label(uint64_t key, const struct net_ip *src, const struct net_ip *dst, uint32_t ports)
{
	const uint64_t in[5] = {src->w[0], src->w[1], dst->w[0], dst->w[1], ports};
	uint64_t h = key;

	for (int i = 0; i < 5; i++) {
		h = (h ^ in[i]) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 32;
	}
	h = (h ^ key) * UINT64_C(0xbf58476d1ce4e5b9);
	return (uint32_t)(h >> 40) & FLOW_MASK;
}

/* What is to be sent must fit the link, or be cut by the port into what does. */
static bool fits(const struct rte_mbuf *m, uint32_t headers, uint16_t mtu)
{
	if ((m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) == 0)
		return m->pkt_len + headers <= mtu;
	return m->pkt_len + headers <= IP_PACKET && m->tso_segsz > 0 &&
	       m->tso_segsz + headers + m->l4_len <= mtu;
}

static int send_to(struct sl_net *net, const struct net_hop *hop, struct rte_mbuf *m, uint64_t now_us)
{
	struct neigh_key key = {hop->next, hop->link};
	uint16_t type = net_ip_is4(&hop->next) ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6;
	enum neigh_state state;
	uint8_t mac[6];

	state = neigh_read(&net->s->neigh, &key, mac);
	if (neigh_usable(state))
		return net_ether_output(net, hop->link, m, mac, type);
	if (state == NEIGH_FAILED)
		return net_drop(m, SL_E_NET_NO_NEIGHBOUR);
	return net_wait_add(net, &key, m, now_us);
}

/* The TCP header's length, and its ports. False: there is none. */
static bool tcp_header(struct rte_mbuf *m, uint32_t *ports)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);

	if (m->data_len < NET_TCP_HDR_MIN)
		return false;
	*ports = sl_get_be32(d);
	m->l4_len = (uint64_t)(d[12] >> 4) * 4;
	m->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
	return true;
}

int net_ip_output(struct sl_net *net, const struct net_if *from, const struct net_ip *dst, uint8_t proto,
                  uint8_t ecn, struct rte_mbuf *m, uint64_t now_us)
{
	bool ip4 = net_ip_is4(dst);
	uint32_t ports = 0;
	struct net_hop hop;
	struct net_ip6_out o;

	if (from == NULL || !net_if_ready(from) || net_ip_is4(&from->addr) != ip4 ||
	    net_hop_find(net->s, from, dst, &hop) != SL_OK)
		return net_drop(m, SL_E_NET_NO_ROUTE);
	if (proto == IPPROTO_TCP && !tcp_header(m, &ports))
		return net_drop(m, SL_E_INVAL);
	if (!fits(m, ip4 ? NET_IP4_LEN : NET_IP6_LEN, net->s->links[hop.link].mtu))
		return net_drop(m, SL_E_NET_MTU);
	if (ip4) {
		if (!ip4_header(m, from, dst, proto, ecn))
			return net_drop(m, SL_E_INVAL);
		return send_to(net, &hop, m, now_us);
	}
	o = (struct net_ip6_out){.src = from->addr,
	                         .dst = *dst,
	                         .flow = flow_label(net->s->flow_key, &from->addr, dst, ports),
	                         .proto = proto,
	                         .hops = NET_TTL,
	                         .ecn = ecn};
	if (!net_ip6_header(m, &o))
		return net_drop(m, SL_E_INVAL);
	return send_to(net, &hop, m, now_us);
}

int sl_net_output(struct sl_net *net, struct rte_mbuf *m, const struct sl_addr *src,
                  const struct sl_addr *dst, uint8_t proto, uint8_t ecn, uint64_t now_us)
{
	struct net_ip from = net_ip_of(src);
	struct net_ip to = net_ip_of(dst);

	return net_ip_output(net, net_if_of(net->s, &from), &to, proto, ecn, m, now_us);
}

int sl_net_path(const struct sl_net *net, const struct sl_addr *dst, struct sl_net_path *out)
{
	struct net_ip to = net_ip_of(dst);
	const struct sl_port_caps *caps;
	const struct net_link *l;
	const struct net_if *from;
	struct net_hop hop;

	if (net_hop_find(net->s, NULL, &to, &hop) != SL_OK)
		return sl_fail(SL_E_NET_NO_ROUTE);
	from = net_source_for(net->s, hop.route, &to);
	if (from == NULL)
		return sl_fail(SL_E_NET_NO_ROUTE);
	l = &net->s->links[hop.link];
	caps = sl_port_caps(l->port);
	/* No port bounds how many segments it makes of a packet: tso_segs is 0. */
	*out = (struct sl_net_path){.src = net_addr_of(&from->addr),
	                            .mtu = l->mtu,
	                            .tso = caps->tso,
	                            .multi_seg = caps->multi_seg,
	                            .port = l->port};
	return SL_OK;
}
