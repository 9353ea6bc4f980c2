/* Ethernet and 802.1Q. */
#include "net_priv.h"

#define VLAN_ID_MASK 0x0fff

static enum net_cast cast_of(const uint8_t mac[6])
{
	static const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

	if ((mac[0] & 1) == 0)
		return NET_UNICAST;
	return memcmp(mac, all, 6) == 0 ? NET_BROADCAST : NET_MULTICAST;
}

/* A station's own address: not a group, not zero (IEEE 802.3). */
static bool mac_is_station(const uint8_t mac[6])
{
	static const uint8_t zero[6] = {0};

	return (mac[0] & 1) == 0 && memcmp(mac, zero, 6) != 0;
}

/* The link that the VLAN of this port is; a frame with only a priority (id 0) counts as untagged. */
static const struct net_link *link_of(const struct sl_net_shared *s, uint8_t port_idx, uint16_t vlan)
{
	for (uint16_t l = 0; l < s->nb_links; l++) {
		if (s->links[l].port_idx == port_idx && s->links[l].vlan == vlan)
			return &s->links[l];
	}
	return NULL;
}

/* The frame's own form: length, VLAN, stations. 0, and the payload's type and place. */
static int parse(const struct sl_net_shared *s, uint8_t port_idx, const struct rte_mbuf *m, struct net_pkt *p,
                 uint16_t *type, uint16_t *off)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
	const struct net_link *l;
	uint16_t vlan = 0;

	if (m->data_len < RTE_ETHER_HDR_LEN)
		return SL_E_NET_SHORT;
	*type = sl_get_be16(d + 12);
	*off = RTE_ETHER_HDR_LEN;
	if ((m->ol_flags & RTE_MBUF_F_RX_QINQ_STRIPPED) != 0)
		return SL_E_NET_VLAN; /* the tag that is left is inside another one */
	if ((m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0) {
		vlan = m->vlan_tci & VLAN_ID_MASK;
	} else if (*type == RTE_ETHER_TYPE_VLAN) {
		*off += RTE_VLAN_HLEN;
		if (m->data_len < *off)
			return SL_E_NET_SHORT;
		vlan = sl_get_be16(d + 14) & VLAN_ID_MASK;
		*type = sl_get_be16(d + 16);
	}
	l = link_of(s, port_idx, vlan);
	if (l == NULL)
		return SL_E_NET_VLAN;
	p->link = (uint8_t)(l - s->links);
	p->cast = cast_of(d);
	memcpy(p->eth_src, d + 6, sizeof(p->eth_src));
	if (p->cast == NET_UNICAST && memcmp(l->mac.addr_bytes, d, 6) != 0)
		return SL_E_NET_DST_MAC;
	/* The groups of IPv6 are the only ones that we are in (RFC 2464 7). */
	if (p->cast == NET_MULTICAST && (*type != RTE_ETHER_TYPE_IPV6 || d[0] != 0x33 || d[1] != 0x33))
		return SL_E_NET_DST_MAC;
	if (!mac_is_station(p->eth_src) || memcmp(l->mac.addr_bytes, p->eth_src, 6) == 0)
		return SL_E_NET_SRC_MAC;
	return SL_OK;
}

void net_ether_input(struct sl_net *net, uint8_t port_idx, struct rte_mbuf *m, uint64_t now_us)
{
	struct net_pkt p;
	uint16_t type;
	uint16_t off;
	int rc;

	memset(&p, 0, sizeof(p));
	rc = parse(net->s, port_idx, m, &p, &type, &off);
	if (rc != SL_OK) {
		(void)net_drop(m, rc);
		return;
	}
	p.l3 = (const uint8_t *)rte_pktmbuf_adj(m, off);
	if (type == RTE_ETHER_TYPE_ARP)
		net_arp_input(net, &p, m, now_us);
	else if (type == RTE_ETHER_TYPE_IPV6 && net->s->links[p.link].ip6)
		net_ip6_input(net, &p, m, now_us);
	else if (type != RTE_ETHER_TYPE_IPV4)
		(void)net_drop(m, SL_E_NET_ETHERTYPE);
	else if (p.cast !=
	         NET_UNICAST) /* RFC 1122 3.3.6: a unicast packet in a broadcast frame is nobody's */
		(void)net_drop(m, SL_E_NET_IP_DST);
	else
		net_ip4_input(net, &p, m, now_us);
}

int net_ether_output(struct sl_net *net, uint8_t link, struct rte_mbuf *m, const uint8_t dst[6],
                     uint16_t type)
{
	const struct net_link *l = &net->s->links[link];
	uint16_t n = l->vlan != 0 ? RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN : RTE_ETHER_HDR_LEN;
	struct net_txq *q = &net->txq[l->port_idx];
	uint8_t *d = (uint8_t *)rte_pktmbuf_prepend(m, n);

	if (d == NULL)
		return net_drop(m, SL_E_INVAL);
	memcpy(d, dst, 6);
	memcpy(d + 6, l->mac.addr_bytes, 6);
	if (l->vlan != 0) {
		sl_put_be16(d + 12, RTE_ETHER_TYPE_VLAN);
		sl_put_be16(d + 14, l->vlan);
	}
	sl_put_be16(d + n - 2, type);
	m->l2_len = (uint64_t)n & 0x7f;
	q->m[q->nb++] = m;
	if (q->nb == NET_TX_QUEUE) {
		sl_port_tx(l->port, net->cfg.worker, q->m, q->nb);
		q->nb = 0;
	}
	return SL_OK;
}

void sl_net_flush(struct sl_net *net)
{
	for (uint16_t p = 0; p < net->s->nb_ports; p++) {
		struct net_txq *q = &net->txq[p];

		if (q->nb == 0)
			continue;
		sl_port_tx(net->s->ports[p], net->cfg.worker, q->m, q->nb);
		q->nb = 0;
	}
}
