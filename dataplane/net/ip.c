/* IPv4 (RFC 791, RFC 1122) as an end host: nothing is forwarded, reassembled or fragmented here. */
#include "net_priv.h"

#include <netinet/in.h>

#define IP_LEN          ((uint16_t)sizeof(struct rte_ipv4_hdr))
#define IP_FRAGMENT     0x3fff /* MF and the offset */
#define IP_DF           0x4000
#define ECN_MASK        0x03
#define TCP_HDR_MIN     20
#define IP_VERSION(v)   ((v) >> 4)
#define IP_HDR_BYTES(v) (((v)&0x0f) * 4)

/* The header's own form. The packet's first segment holds at least the header when this returns 0. */
static int check_header(const struct rte_mbuf *m, const struct rte_ipv4_hdr *ip)
{
	uint64_t sum = m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;
	uint16_t len;

	if (m->data_len < IP_LEN)
		return SL_E_NET_SHORT;
	if (IP_VERSION(ip->version_ihl) != 4)
		return SL_E_NET_IP_VERSION;
	if (IP_HDR_BYTES(ip->version_ihl) < IP_LEN)
		return SL_E_NET_IP_HEADER;
	if (IP_HDR_BYTES(ip->version_ihl) > IP_LEN)
		return SL_E_NET_IP_OPTIONS;
	len = rte_be_to_cpu_16(ip->total_length);
	if (len < IP_LEN)
		return SL_E_NET_IP_HEADER;
	if (len > m->pkt_len)
		return SL_E_NET_SHORT;
	if (sum == RTE_MBUF_F_RX_IP_CKSUM_BAD)
		return SL_E_NET_IP_CSUM;
	if (sum == RTE_MBUF_F_RX_IP_CKSUM_UNKNOWN && rte_raw_cksum(ip, IP_LEN) != 0xffff)
		return SL_E_NET_IP_CSUM;
	if ((rte_be_to_cpu_16(ip->fragment_offset) & IP_FRAGMENT) != 0)
		return SL_E_NET_IP_FRAGMENT;
	return SL_OK;
}

/*
 * A source must be a single station's address, not ours, not a subnet's end, and not of a subnet that is
 * connected to another link: only a forger sends that.
 */
static int check_source(const struct sl_net_shared *s, const struct net_if *on, uint32_t src)
{
	if (!net_ip_is_unicast(src))
		return SL_E_NET_IP_SRC;
	for (uint16_t k = 0; k < s->nb_ifs; k++) {
		const struct net_if *f = &s->ifs[k];

		if (src == f->addr || net_ip_is_subnet_end(f, src))
			return SL_E_NET_IP_SRC;
	}
	if (((src ^ on->addr) & on->mask) != 0) {
		uint32_t hop = 0;
		const struct net_route *r = net_route_find(s, src, &hop);

		if (r != NULL && r->via == 0 && s->ifs[r->ifidx].link != on->link)
			return SL_E_NET_IP_SRC;
	}
	return SL_OK;
}

/* Gives the segments that were collected to TCP. */
void net_ip_flush(struct sl_net *net, uint64_t now_us)
{
	uint16_t n = net->up.nb;

	net->up.nb = 0;
	if (n > 0)
		net->cfg.tcp_input(net->cfg.ctx, net->up.m, net->up.seg, n, now_us);
}

static void to_tcp(struct sl_net *net, const struct net_if *on, const struct rte_ipv4_hdr *ip,
                   struct rte_mbuf *m, uint64_t now_us)
{
	struct sl_net_segment *seg = &net->up.seg[net->up.nb];

	seg->src = sl_addr_v4(&ip->src_addr);
	seg->dst = sl_addr_v4(&ip->dst_addr);
	seg->ecn = ip->type_of_service & ECN_MASK;
	seg->ttl = ip->time_to_live;
	seg->ifidx = (uint16_t)(on - net->s->ifs);
	(void)rte_pktmbuf_adj(m, IP_LEN);
	if (m->data_len < TCP_HDR_MIN) {
		(void)net_drop(m, SL_E_TCP_HEADER);
		return;
	}
	if (net->cfg.tcp_input == NULL) {
		(void)net_drop(m, SL_E_NET_IP_PROTO);
		return;
	}
	net->up.m[net->up.nb++] = m;
	if (net->up.nb == SL_PORT_BURST)
		net_ip_flush(net, now_us);
}

/* TTL is not looked at: RFC 1122 3.2.1.7 forbids a host to drop for it. TCP gets it. */
void net_ip_input(struct sl_net *net, const struct net_if *i, struct rte_mbuf *m, uint64_t now_us)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	const struct net_if *on = NULL;
	int rc = check_header(m, ip);
	uint32_t src;

	if (rc == SL_OK)
		rc = check_source(net->s, i, rte_be_to_cpu_32(ip->src_addr));
	if (rc == SL_OK) {
		on = net_local_if(net->s, i, rte_be_to_cpu_32(ip->dst_addr));
		if (on == NULL)
			rc = SL_E_NET_IP_DST;
	}
	/* Padding of short frames; what lies beyond the last segment would be a chain that no port makes. */
	if (rc == SL_OK && m->pkt_len > rte_be_to_cpu_16(ip->total_length) &&
	    rte_pktmbuf_trim(m, (uint16_t)(m->pkt_len - rte_be_to_cpu_16(ip->total_length))) != 0)
		rc = SL_E_NET_SHORT;
	if (rc != SL_OK) {
		(void)net_drop(m, rc);
		return;
	}
	switch (ip->next_proto_id) {
	case IPPROTO_TCP:
		to_tcp(net, on, ip, m, now_us);
		break;
	case IPPROTO_ICMP:
		src = rte_be_to_cpu_32(ip->src_addr);
		(void)rte_pktmbuf_adj(m, IP_LEN);
		net_icmp_input(net, src, on->addr, m, now_us);
		break;
	default:
		(void)net_drop(m, SL_E_NET_IP_PROTO);
		break;
	}
}

/* The route to dst if something may be sent there: a single station that is not ourselves. */
static const struct net_route *route_to(const struct sl_net_shared *s, const struct sl_addr *dst,
                                        uint32_t *next_hop)
{
	uint32_t ip = net_ip_of(dst);
	const struct net_route *r;

	if (dst->family != SL_AF_INET || !net_ip_is_unicast(ip) || net_ip_is_ours(s, ip))
		return NULL;
	r = net_route_find(s, ip, next_hop);
	if (r == NULL || net_ip_is_subnet_end(&s->ifs[r->ifidx], *next_hop))
		return NULL;
	return r;
}

static void fill_header(struct rte_ipv4_hdr *ip, uint16_t len, const struct sl_addr *src,
                        const struct sl_addr *dst, uint8_t proto, uint8_t ecn)
{
	ip->version_ihl = 0x45;
	ip->type_of_service = ecn & ECN_MASK;
	ip->total_length = rte_cpu_to_be_16(len);
	ip->packet_id = 0; /* RFC 6864: without meaning in a packet that is never fragmented */
	ip->fragment_offset = rte_cpu_to_be_16(IP_DF);
	ip->time_to_live = NET_TTL;
	ip->next_proto_id = proto;
	ip->hdr_checksum = 0;
	memcpy(&ip->src_addr, src->b, 4);
	memcpy(&ip->dst_addr, dst->b, 4);
}

static int send_to(struct sl_net *net, const struct net_if *i, uint32_t next_hop, struct rte_mbuf *m,
                   uint64_t now_us)
{
	uint8_t mac[6];

	switch (neigh_read(&net->s->neigh, neigh_key((uint8_t)i->link, next_hop), mac)) {
	case NEIGH_REACHABLE:
	case NEIGH_PROBE:
		return net_ether_output(net, i, m, mac, RTE_ETHER_TYPE_IPV4);
	case NEIGH_FAILED:
		return net_drop(m, SL_E_NET_NO_NEIGHBOUR);
	case NEIGH_NONE:
	case NEIGH_INCOMPLETE:
		break;
	}
	return net_wait_add(net, (uint8_t)i->link, next_hop, m, now_us);
}

int sl_net_output(struct sl_net *net, struct rte_mbuf *m, const struct sl_addr *src,
                  const struct sl_addr *dst, uint8_t proto, uint8_t ecn, uint64_t now_us)
{
	uint32_t next_hop = 0;
	const struct net_route *r = route_to(net->s, dst, &next_hop);
	const struct net_if *i;
	struct rte_ipv4_hdr *ip;
	uint8_t offset = 0;

	if (r == NULL || src->family != SL_AF_INET)
		return net_drop(m, SL_E_NET_NO_ROUTE);
	i = &net->s->ifs[r->ifidx];
	/* What the port cuts may be larger: each of its segments fits. */
	if (m->pkt_len + IP_LEN > (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG ? UINT16_MAX : i->mtu))
		return net_drop(m, SL_E_NET_MTU);
	if (proto == IPPROTO_TCP) {
		if (m->data_len < TCP_HDR_MIN)
			return net_drop(m, SL_E_INVAL);
		offset = (uint8_t)(*rte_pktmbuf_mtod_offset(m, const uint8_t *, 12) >> 4);
	}
	ip = (struct rte_ipv4_hdr *)rte_pktmbuf_prepend(m, IP_LEN);
	if (ip == NULL)
		return net_drop(m, SL_E_INVAL);
	fill_header(ip, (uint16_t)m->pkt_len, src, dst, proto, ecn);
	m->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
	if (proto == IPPROTO_TCP)
		m->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
	m->l3_len = IP_LEN;
	m->l4_len = (uint8_t)(offset * 4);
	return send_to(net, i, next_hop, m, now_us);
}

int sl_net_path(const struct sl_net *net, const struct sl_addr *dst, struct sl_net_path *out)
{
	const struct sl_port_caps *caps;
	uint32_t next_hop = 0;
	const struct net_route *r = route_to(net->s, dst, &next_hop);
	const struct net_if *i;

	if (r == NULL)
		return sl_fail(SL_E_NET_NO_ROUTE);
	i = &net->s->ifs[r->ifidx];
	caps = sl_port_caps(i->port);
	out->src = net_addr_of(i->addr);
	out->mtu = i->mtu;
	out->tso = caps->tso;
	out->multi_seg = caps->multi_seg;
	out->port = i->port;
	return SL_OK;
}
