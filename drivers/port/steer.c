/*
 * Which worker a packet belongs to. The hash is symmetric (both directions of a connection give the same
 * worker) and keyed with random bits of this start, so that a peer cannot choose its ports to load one
 * worker.
 */
#include "port_priv.h"

#include <netinet/in.h>

#define ICMP_DEST_UNREACH   3
#define ICMP_TIME_EXCEEDED  11
#define ICMP_PARAM_PROBLEM  12
#define ICMP_HDR_LEN        8
#define TCP_PORTS_LEN       4
#define IPV4_FRAG_MASK      0x3fff /* MF and the offset */
#define IPV4_FRAG_OFFSET    0x1fff
#define IPV4_VERSION_OF(ip) ((ip)->version_ihl >> 4)

/* The finalizer of MurmurHash3 (Austin Appleby, public domain): every input bit changes half of the output
 * bits. */
static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= UINT64_C(0xff51afd7ed558ccd);
	x ^= x >> 33;
	x *= UINT64_C(0xc4ceb9fe1a85ec53);
	x ^= x >> 33;
	return x;
}

/* An end of a connection in 64 bits. */
static uint64_t fold(const struct sl_port *p, const struct sl_endpoint *e)
{
	uint64_t w[2];

	memcpy(w, e->addr.b, sizeof(w));
	if (e->addr.family == SL_AF_INET6)
		w[0] = mix(mix(w[0] ^ p->hash_key[0]) + w[1]);
	return mix(w[0] ^ e->port);
}

uint16_t sl_port_owner(const struct sl_port *p, const struct sl_endpoint *src, const struct sl_endpoint *dst)
{
	uint64_t a, b, h;

	if (p->nb_workers == 1)
		return 0;
	a = fold(p, src);
	b = fold(p, dst);
	h = mix(RTE_MIN(a, b) ^ p->hash_key[0]);
	h = mix((h + RTE_MAX(a, b)) ^ p->hash_key[1]);
	return (uint16_t)((h >> 32) * p->nb_workers >> 32);
}

bool port_parse(const struct rte_mbuf *m, struct port_ip *out)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t off = RTE_ETHER_HDR_LEN;
	uint16_t type;

	if (m->data_len < RTE_ETHER_HDR_LEN)
		return false;
	type = sl_get_be16(d + 12);
	if (type == RTE_ETHER_TYPE_VLAN) {
		off += RTE_VLAN_HLEN;
		if (m->data_len < off)
			return false;
		type = sl_get_be16(d + off - 2);
	}
	if (type != RTE_ETHER_TYPE_IPV4 || m->data_len < off + sizeof(struct rte_ipv4_hdr))
		return false;
	out->ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, off);
	out->l3_off = (uint16_t)off;
	out->l3_len = rte_ipv4_hdr_len(out->ip);
	out->ip_len = rte_be_to_cpu_16(out->ip->total_length);
	out->fragment = (rte_be_to_cpu_16(out->ip->fragment_offset) & IPV4_FRAG_MASK) != 0;
	out->first = (rte_be_to_cpu_16(out->ip->fragment_offset) & IPV4_FRAG_OFFSET) == 0;
	return IPV4_VERSION_OF(out->ip) == 4 && out->l3_len >= sizeof(struct rte_ipv4_hdr) &&
	       m->data_len >= off + out->l3_len && out->ip_len >= out->l3_len &&
	       m->pkt_len >= off + out->ip_len;
}

static uint16_t owner_of_tuple(const struct sl_port *p, const struct rte_ipv4_hdr *ip, const uint8_t *ports)
{
	struct sl_endpoint src = {sl_addr_v4(&ip->src_addr), sl_get_be16(ports)};
	struct sl_endpoint dst = {sl_addr_v4(&ip->dst_addr), sl_get_be16(ports + 2)};

	return sl_port_owner(p, &src, &dst);
}

/* An ICMP error belongs to the connection whose packet it quotes. Whether it is well formed is not asked
 * here. */
static uint16_t owner_of_icmp(const struct sl_port *p, const uint8_t *icmp, uint32_t n)
{
	const struct rte_ipv4_hdr *quoted = (const struct rte_ipv4_hdr *)(icmp + ICMP_HDR_LEN);
	uint32_t len;

	if (n < ICMP_HDR_LEN + sizeof(*quoted))
		return 0;
	if (icmp[0] != ICMP_DEST_UNREACH && icmp[0] != ICMP_TIME_EXCEEDED && icmp[0] != ICMP_PARAM_PROBLEM)
		return 0;
	len = rte_ipv4_hdr_len(quoted);
	if (quoted->next_proto_id != IPPROTO_TCP || n < ICMP_HDR_LEN + len + TCP_PORTS_LEN)
		return 0;
	return owner_of_tuple(p, quoted, icmp + ICMP_HDR_LEN + len);
}

uint16_t port_steer(const struct sl_port *p, const struct rte_mbuf *m)
{
	struct port_ip h;
	const uint8_t *l4;
	uint32_t n;

	if (!port_parse(m, &h) || !h.first)
		return 0;
	l4 = (const uint8_t *)h.ip + h.l3_len;
	n = RTE_MIN((uint32_t)m->data_len - h.l3_off - h.l3_len, (uint32_t)h.ip_len - h.l3_len);
	if (h.ip->next_proto_id == IPPROTO_TCP && n >= TCP_PORTS_LEN)
		return owner_of_tuple(p, h.ip, l4);
	if (h.ip->next_proto_id == IPPROTO_ICMP)
		return owner_of_icmp(p, l4, n);
	return 0;
}
