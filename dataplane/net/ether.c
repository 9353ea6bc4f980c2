/* Ethernet and 802.1Q. */
#include "net_priv.h"

#define VLAN_ID_MASK 0x0fff

static bool mac_is_mine(const struct net_if *i, const uint8_t mac[6])
{
	return memcmp(i->mac.addr_bytes, mac, 6) == 0;
}

static bool mac_is_broadcast(const uint8_t mac[6])
{
	static const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

	return memcmp(mac, all, 6) == 0;
}

/* A station's own address: not a group, not zero (IEEE 802.3). */
static bool mac_is_station(const uint8_t mac[6])
{
	static const uint8_t zero[6] = {0};

	return (mac[0] & 1) == 0 && memcmp(mac, zero, 6) != 0;
}

/* The interface of this port that the VLAN belongs to; a frame with only a priority (id 0) counts as
 * untagged. */
static const struct net_if *if_of_vlan(const struct sl_net_shared *s, const struct net_if *on, uint16_t vlan)
{
	if (on->vlan == vlan)
		return &s->ifs[on->link];
	for (uint16_t i = 0; i < s->nb_ifs; i++) {
		if (s->ifs[i].port_idx == on->port_idx && s->ifs[i].vlan == vlan)
			return &s->ifs[i];
	}
	return NULL;
}

void net_ether_input(struct sl_net *net, uint16_t ifidx, struct rte_mbuf *m, uint64_t now_us)
{
	const struct net_if *i = &net->s->ifs[ifidx];
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
	uint16_t vlan = 0;
	uint16_t type;
	uint16_t n = RTE_ETHER_HDR_LEN;
	uint8_t src[6];
	bool to_us;

	if (m->data_len < RTE_ETHER_HDR_LEN) {
		(void)net_drop(m, SL_E_NET_SHORT);
		return;
	}
	type = sl_get_be16(d + 12);
	if ((m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0) {
		vlan = m->vlan_tci & VLAN_ID_MASK;
	} else if (type == RTE_ETHER_TYPE_VLAN) {
		n += RTE_VLAN_HLEN;
		if (m->data_len < n) {
			(void)net_drop(m, SL_E_NET_SHORT);
			return;
		}
		vlan = sl_get_be16(d + 14) & VLAN_ID_MASK;
		type = sl_get_be16(d + 16);
	}
	i = if_of_vlan(net->s, i, vlan);
	if (i == NULL) {
		(void)net_drop(m, SL_E_NET_VLAN);
		return;
	}
	to_us = mac_is_mine(i, d);
	memcpy(src, d + 6, sizeof(src));
	if (!to_us && !mac_is_broadcast(d)) {
		(void)net_drop(m, SL_E_NET_DST_MAC);
		return;
	}
	if (!mac_is_station(src) || mac_is_mine(i, src)) {
		(void)net_drop(m, SL_E_NET_SRC_MAC);
		return;
	}
	(void)rte_pktmbuf_adj(m, n);
	if (type == RTE_ETHER_TYPE_ARP)
		net_arp_input(net, i, m, src, to_us, now_us);
	else if (type != RTE_ETHER_TYPE_IPV4)
		(void)net_drop(m, SL_E_NET_ETHERTYPE);
	else if (!to_us) /* RFC 1122 3.3.6: a unicast packet in a broadcast frame is nobody's */
		(void)net_drop(m, SL_E_NET_IP_DST);
	else
		net_ip_input(net, i, m, now_us);
}

int net_ether_output(struct sl_net *net, const struct net_if *i, struct rte_mbuf *m, const uint8_t dst[6],
                     uint16_t type)
{
	uint16_t n = i->vlan != 0 ? RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN : RTE_ETHER_HDR_LEN;
	struct net_txq *q = &net->txq[i->port_idx];
	uint8_t *d = (uint8_t *)rte_pktmbuf_prepend(m, n);

	if (d == NULL)
		return net_drop(m, SL_E_INVAL);
	memcpy(d, dst, 6);
	memcpy(d + 6, i->mac.addr_bytes, 6);
	if (i->vlan != 0) {
		sl_put_be16(d + 12, RTE_ETHER_TYPE_VLAN);
		sl_put_be16(d + 14, i->vlan);
	}
	sl_put_be16(d + n - 2, type);
	m->l2_len = i->vlan != 0 ? RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN : RTE_ETHER_HDR_LEN;
	q->m[q->nb++] = m;
	if (q->nb == NET_TX_QUEUE) {
		sl_port_tx(i->port, net->cfg.worker, q->m, q->nb);
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
