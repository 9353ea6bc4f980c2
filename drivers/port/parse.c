/* Where the headers of a received packet are: what steering, checksums and cutting need to know. */
#include "port_priv.h"

#include <netinet/in.h>

#define IPV4_FRAG_MASK   0x3fff /* MF and the offset */
#define IPV4_FRAG_OFFSET 0x1fff
#define IPV6_FRAG_OFFSET 0xfff8
#define EXT_UNIT         8 /* RFC 8200: lengths of extension headers count these, the first one not */
#define EXT_MAX          8 /* headers looked through; what lies behind more is not looked for */
#define EXT_BYTES_MAX    256

static bool parse_v4(const struct rte_mbuf *m, struct port_hdr *h)
{
	const struct rte_ipv4_hdr *ip = port_v4(m, h);
	uint16_t frag, ip_len, hdr_len;

	if (m->data_len < h->l3_off + sizeof(*ip))
		return false;
	hdr_len = rte_ipv4_hdr_len(ip);
	ip_len = rte_be_to_cpu_16(ip->total_length);
	frag = rte_be_to_cpu_16(ip->fragment_offset);
	h->proto = ip->next_proto_id;
	h->fragment = (frag & IPV4_FRAG_MASK) != 0;
	h->first = (frag & IPV4_FRAG_OFFSET) == 0;
	h->l4_off = (uint16_t)(h->l3_off + hdr_len);
	h->l4_len = (uint16_t)(ip_len - hdr_len);
	return ip->version_ihl >> 4 == 4 && hdr_len >= sizeof(*ip) && m->data_len >= h->l4_off &&
	       ip_len >= hdr_len && m->pkt_len >= (uint32_t)h->l3_off + ip_len;
}

static bool is_extension(uint8_t proto)
{
	return proto == IPPROTO_HOPOPTS || proto == IPPROTO_ROUTING || proto == IPPROTO_FRAGMENT ||
	       proto == IPPROTO_DSTOPTS;
}

/* One extension header; false: it does not fit what is left, or the first segment. */
static bool skip_extension(const struct rte_mbuf *m, struct port_hdr *h)
{
	const uint8_t *e = rte_pktmbuf_mtod_offset(m, const uint8_t *, h->l4_off);
	uint16_t len;

	if (h->l4_len < EXT_UNIT || m->data_len < h->l4_off + EXT_UNIT)
		return false;
	len = (uint16_t)(h->proto == IPPROTO_FRAGMENT ? EXT_UNIT : (e[1] + 1) * EXT_UNIT);
	if (len > h->l4_len || m->data_len < h->l4_off + len)
		return false;
	if (h->proto == IPPROTO_FRAGMENT) {
		uint16_t frag = sl_get_be16(e + 2);

		h->fragment = (frag & (IPV6_FRAG_OFFSET | 1)) != 0; /* not an atomic one (RFC 6946) */
		h->first = (frag & IPV6_FRAG_OFFSET) == 0;
	}
	h->proto = e[0];
	h->l4_off = (uint16_t)(h->l4_off + len);
	h->l4_len = (uint16_t)(h->l4_len - len);
	return true;
}

static bool parse_v6(const struct rte_mbuf *m, struct port_hdr *h)
{
	const struct rte_ipv6_hdr *ip = port_v6(m, h);

	if (m->data_len < h->l3_off + sizeof(*ip))
		return false;
	h->proto = ip->proto;
	h->fragment = false;
	h->first = true;
	h->l4_off = (uint16_t)(h->l3_off + sizeof(*ip));
	h->l4_len = rte_be_to_cpu_16(ip->payload_len);
	if ((rte_be_to_cpu_32(ip->vtc_flow) >> 28) != 6 || m->pkt_len < (uint32_t)h->l4_off + h->l4_len)
		return false;
	for (int i = 0; i < EXT_MAX && is_extension(h->proto) && h->first; i++) {
		if (!skip_extension(m, h) || h->l4_off - h->l3_off - (int)sizeof(*ip) > EXT_BYTES_MAX)
			return false;
	}
	return true;
}

bool port_parse(const struct rte_mbuf *m, struct port_hdr *h)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
	uint16_t type;

	if (m->data_len < RTE_ETHER_HDR_LEN)
		return false;
	h->l3_off = RTE_ETHER_HDR_LEN;
	type = sl_get_be16(d + RTE_ETHER_HDR_LEN - 2);
	if (type == RTE_ETHER_TYPE_VLAN) {
		h->l3_off += RTE_VLAN_HLEN;
		if (m->data_len < h->l3_off)
			return false;
		type = sl_get_be16(d + h->l3_off - 2);
	}
	h->v6 = type == RTE_ETHER_TYPE_IPV6;
	if (h->v6)
		return parse_v6(m, h);
	return type == RTE_ETHER_TYPE_IPV4 && parse_v4(m, h);
}
