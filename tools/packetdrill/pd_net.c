/* Raw IP packets in and out. */
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>

#include "sl_counter.h"
#include "pd.h"

#define TTL       64
#define QUOTE_TCP 8 /* bytes of the quoted TCP header that an ICMP error must hold */

static void put_v4(uint8_t *p, uint32_t n, const struct sl_addr *src, const struct sl_addr *dst, uint8_t ecn)
{
	struct rte_ipv4_hdr ip = {
	        .version_ihl = 0x45,
	        .type_of_service = ecn,
	        .total_length = rte_cpu_to_be_16((uint16_t)n),
	        .fragment_offset = rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG),
	        .time_to_live = TTL,
	        .next_proto_id = IPPROTO_TCP,
	};

	memcpy(&ip.src_addr, src->b, 4);
	memcpy(&ip.dst_addr, dst->b, 4);
	ip.hdr_checksum = rte_ipv4_cksum(&ip);
	memcpy(p, &ip, sizeof(ip));
}

static void put_v6(uint8_t *p, uint32_t n, const struct sl_addr *src, const struct sl_addr *dst, uint8_t ecn)
{
	struct rte_ipv6_hdr ip = {
	        .vtc_flow = rte_cpu_to_be_32(6U << 28 | (uint32_t)ecn << 20),
	        .payload_len = rte_cpu_to_be_16((uint16_t)(n - sizeof(ip))),
	        .proto = IPPROTO_TCP,
	        .hop_limits = TTL,
	};

	memcpy(ip.src_addr, src->b, 16);
	memcpy(ip.dst_addr, dst->b, 16);
	memcpy(p, &ip, sizeof(ip));
}

static void put_tcp_checksum(uint8_t *ip, uint32_t hdr)
{
	struct rte_tcp_hdr *th = (struct rte_tcp_hdr *)(ip + hdr);

	th->cksum = 0;
	if (hdr == sizeof(struct rte_ipv4_hdr))
		th->cksum = rte_ipv4_udptcp_cksum((struct rte_ipv4_hdr *)ip, th);
	else
		th->cksum = rte_ipv6_udptcp_cksum((struct rte_ipv6_hdr *)ip, th);
}

static void copy_out(const struct rte_mbuf *m, uint32_t off, uint32_t n, uint8_t *to)
{
	const void *from = rte_pktmbuf_read(m, off, n, to);

	if (from != to)
		memcpy(to, from, n);
}

/* The header, and `n` bytes of payload from `at` on: what belongs to the end stands in the last part only. */
static void put_part(const struct rte_mbuf *m, uint32_t at, uint32_t n, uint8_t *to)
{
	struct rte_tcp_hdr *th = (struct rte_tcp_hdr *)to;

	copy_out(m, 0, m->l4_len, to);
	if (n > 0)
		copy_out(m, m->l4_len + at, n, to + m->l4_len);
	th->sent_seq = rte_cpu_to_be_32(rte_be_to_cpu_32(th->sent_seq) + at);
	if (m->l4_len + at + n < m->pkt_len)
		th->tcp_flags &= (uint8_t) ~(RTE_TCP_PSH_FLAG | RTE_TCP_FIN_FLAG);
	if (at > 0)
		th->tcp_flags &= (uint8_t)~RTE_TCP_CWR_FLAG;
}

/* A segment of the stack, a chain or larger than the MTU as it may be: the tool gets it as one packet, or cut
 * as the interface would. */
int pd_output(void *ctx, struct rte_mbuf *m, const struct sl_addr *src, const struct sl_addr *dst,
              uint8_t ecn, uint64_t now_us)
{
	struct pd *pd = ctx;
	bool v6 = src->family == SL_AF_INET6;
	uint32_t hdr = v6 ? sizeof(struct rte_ipv6_hdr) : sizeof(struct rte_ipv4_hdr), at = 0;
	uint32_t data = m->pkt_len - m->l4_len, each = pd->gso_off && m->tso_segsz != 0 ? m->tso_segsz : data;

	do {
		uint32_t part = data - at < each ? data - at : each, n = hdr + m->l4_len + part;
		struct pd_packet *p = NULL;

		if (n <= PD_PACKET_BYTES && pd->nb_out < PD_PACKETS_MAX)
			p = malloc(sizeof(*p) + n);
		if (p == NULL) {
			rte_pktmbuf_free(m);
			return sl_fail(SL_E_NET_TX_FULL);
		}
		p->at_us = now_us;
		p->n = n;
		put_part(m, at, part, p->bytes + hdr);
		if (v6)
			put_v6(p->bytes, n, src, dst, ecn);
		else
			put_v4(p->bytes, n, src, dst, ecn);
		put_tcp_checksum(p->bytes, hdr);
		STAILQ_INSERT_TAIL(&pd->out, p, next);
		pd->nb_out++;
		at += part;
	} while (at < data);
	rte_pktmbuf_free(m);
	return 0;
}

int pd_route(void *ctx, const struct sl_addr *dst, struct sl_net_path *out)
{
	const struct pd *pd = ctx;
	bool v6 = dst->family == SL_AF_INET6;
	uint16_t headers = v6 ? 60 : 40;

	memset(out, 0, sizeof(*out));
	out->src = v6 ? pd->local6 : pd->local4;
	out->mtu = v6 ? pd->mtu6 : pd->mtu4;
	if (pd->route_mss != 0 && pd->route_mss + headers < out->mtu)
		out->mtu = (uint16_t)(pd->route_mss + headers);
	out->tso = true;
	out->tso_segs = pd->tso_segs;
	out->multi_seg = true;
	return 0;
}

static void tcp_in(struct pd *pd, const uint8_t *p, uint32_t n, const struct sl_net_segment *seg)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pd->rx_pool);
	void *to = m != NULL ? rte_pktmbuf_append(m, (uint16_t)n) : NULL;

	if (to == NULL) {
		rte_pktmbuf_free(m);
		return;
	}
	memcpy(to, p, n);
	if (n >= 4) {
		pd_expect(pd, sl_get_be16(p + 2));
		pd_answered(pd, sl_get_be16(p + 2), sl_get_be16(p));
	}
	sl_tcp_input(pd->tcp, &m, seg, 1, pd->now_us);
	pd->route_mss = 0;
}

/* The header that an ICMP error quotes, and the first bytes of its TCP header. */
static bool quote(const uint8_t *p, uint32_t n, struct sl_net_icmp_error *e)
{
	uint32_t hdr;

	if (n >= sizeof(struct ip) && p[0] >> 4 == 4) {
		hdr = (uint32_t)(p[0] & 0xf) * 4;
		e->src = sl_addr_v4(p + 12);
		e->dst = sl_addr_v4(p + 16);
		if (p[9] != IPPROTO_TCP)
			return false;
	} else if (n >= sizeof(struct ip6_hdr) && p[0] >> 4 == 6) {
		hdr = sizeof(struct ip6_hdr);
		e->src.family = SL_AF_INET6;
		memcpy(e->src.b, p + 8, 16);
		e->dst.family = SL_AF_INET6;
		memcpy(e->dst.b, p + 24, 16);
		if (p[6] != IPPROTO_TCP)
			return false;
	} else {
		return false;
	}
	if (n < hdr + QUOTE_TCP)
		return false;
	e->sport = sl_get_be16(p + hdr);
	e->dport = sl_get_be16(p + hdr + 2);
	e->seq = sl_get_be32(p + hdr + 4);
	return true;
}

static void icmp_in(struct pd *pd, const uint8_t *p, uint32_t n, bool v6)
{
	struct sl_net_icmp_error e = {0};
	uint32_t mtu;

	if (n < 8 || !quote(p + 8, n - 8, &e))
		return;
	e.type = p[0];
	e.code = p[1];
	mtu = v6 ? sl_get_be32(p + 4) : sl_get_be16(p + 6);
	e.mtu = (uint16_t)(mtu < UINT16_MAX ? mtu : UINT16_MAX);
	sl_tcp_icmp_error(pd->tcp, &e, pd->now_us);
}

static int packet_in(struct pd *pd, const uint8_t *p, uint32_t n)
{
	struct sl_net_segment seg = {0};
	uint32_t hdr, total;
	uint8_t proto;

	if (n >= sizeof(struct ip) && p[0] >> 4 == 4) {
		hdr = (uint32_t)(p[0] & 0xf) * 4;
		total = sl_get_be16(p + 2);
		seg.src = sl_addr_v4(p + 12);
		seg.dst = sl_addr_v4(p + 16);
		seg.ecn = p[1] & 3;
		seg.ttl = p[8];
		proto = p[9];
	} else if (n >= sizeof(struct ip6_hdr) && p[0] >> 4 == 6) {
		hdr = sizeof(struct ip6_hdr);
		total = hdr + sl_get_be16(p + 4);
		seg.src.family = SL_AF_INET6;
		memcpy(seg.src.b, p + 8, 16);
		seg.dst.family = SL_AF_INET6;
		memcpy(seg.dst.b, p + 24, 16);
		seg.ecn = p[1] >> 4 & 3;
		seg.ttl = p[7];
		proto = p[6];
	} else {
		return EINVAL;
	}
	if (hdr < sizeof(struct ip) || total > n || hdr > total)
		return EINVAL;
	if (proto == IPPROTO_TCP)
		tcp_in(pd, p + hdr, total - hdr, &seg);
	else if (proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6)
		icmp_in(pd, p + hdr, total - hdr, proto == IPPROTO_ICMPV6);
	return 0;
}

int pd_netdev_send(void *userdata, const void *packet, size_t n)
{
	struct pd *pd = pd_enter(userdata);
	int err = n <= PD_PACKET_BYTES ? pd_stack(pd) : EMSGSIZE;

	if (err == 0)
		err = packet_in(pd, packet, (uint32_t)n);
	pd->last_packet_us = pd->now_us;
	pd_settle(pd);
	pd_leave(pd);
	return err == 0 ? 0 : pd_fail(err);
}

static int take_packet(struct pd *pd, void *packet, size_t *n, long long *time_us)
{
	struct pd_packet *p = STAILQ_FIRST(&pd->out);
	size_t len = p->n < *n ? p->n : *n;

	STAILQ_REMOVE_HEAD(&pd->out, next);
	pd->nb_out--;
	memcpy(packet, p->bytes, len);
	*n = len;
	*time_us = (long long)p->at_us;
	free(p);
	return 0;
}

int pd_netdev_receive(void *userdata, void *packet, size_t *n, long long *time_us)
{
	struct pd *pd = pd_enter(userdata);
	int rc;

	if (STAILQ_EMPTY(&pd->out)) {
		uint64_t next = pd_next_event(pd), most = pd->now_us + PD_STEP_US;

		pd_advance(pd, next > pd->now_us && next < most ? next : most);
	}
	if (!STAILQ_EMPTY(&pd->out)) {
		rc = take_packet(pd, packet, n, time_us);
		pd->last_packet_us = pd->now_us;
	} else {
		*n = 0;
		*time_us = (long long)pd->now_us;
		rc = pd->now_us - pd->last_packet_us > PD_SILENCE_US ? 0 : -1;
		errno = EAGAIN;
	}
	pd_leave(pd);
	return rc;
}

void pd_net_clear(struct pd *pd)
{
	struct pd_packet *p;

	while ((p = STAILQ_FIRST(&pd->out)) != NULL) {
		STAILQ_REMOVE_HEAD(&pd->out, next);
		free(p);
	}
	pd->nb_out = 0;
}
