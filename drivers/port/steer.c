/*
 * Which worker a packet belongs to: what the device's own hash says where it has our key and table, the block
 * of our port where it has rules for them, else a hash in software. In software the hash is symmetric (both
 * directions of a connection give the same worker) and keyed with random bits of this start, so that a peer
 * cannot choose its ports to load one worker.
 */
#include "port_priv.h"

#include <netinet/in.h>

#define ICMP_DEST_UNREACH  3
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAM_PROBLEM 12
#define ICMP6_ERROR_MAX    127 /* RFC 4443: errors are below, informational messages above */
#define ICMP_HDR_LEN       8
#define TCP_PORTS_LEN      4

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

/*
 * Each of the living draws a number for the flow, and the highest has it (rendezvous hashing): when another
 * one dies nobody else's draw changes, so that connections of today stay where they are.
 */
uint16_t port_living(const struct sl_port *p, uint16_t owner, uint64_t h)
{
	uint64_t alive = ~port_dead(p) & (UINT64_MAX >> (64 - p->nb_workers));
	uint64_t highest = 0;

	if (likely((alive >> owner & 1) != 0))
		return owner;
	for (; alive != 0; alive &= alive - 1) {
		uint16_t w = (uint16_t)__builtin_ctzll(alive);
		/* Not the bits of h that may have chosen the owner. */
		uint64_t drawn = mix(mix(h ^ p->hash_key[1]) + w);

		if (drawn >= highest) {
			highest = drawn;
			owner = w;
		}
	}
	return owner;
}

void sl_port_dead(struct sl_port *p, uint64_t workers)
{
	atomic_fetch_or(&p->dead, workers & (UINT64_MAX >> (64 - p->nb_workers)));
}

/* An end of a connection in 64 bits. */
static uint64_t fold(const struct sl_port *p, const struct sl_endpoint *e)
{
	uint64_t w[2];

	memcpy(w, e->addr.b, sizeof(w));
	w[0] = mix(w[0] ^
	           p->hash_key[0]); /* before the port: else what is the same of both together folds alike */
	if (e->addr.family == SL_AF_INET6)
		w[0] = mix(w[0] + w[1]);
	return mix(w[0] ^ e->port);
}

static uint16_t soft_owner(const struct sl_port *p, const struct sl_endpoint *src,
                           const struct sl_endpoint *dst)
{
	uint64_t a = fold(p, src), b = fold(p, dst);
	uint64_t h = mix(RTE_MIN(a, b) ^ p->hash_key[0]);

	h = mix((h + RTE_MAX(a, b)) ^ p->hash_key[1]);
	return port_living(p, (uint16_t)((h >> 32) * p->nb_workers >> 32), h);
}

uint16_t sl_port_owner(const struct sl_port *p, const struct sl_endpoint *src, const struct sl_endpoint *dst)
{
	switch (p->steering) {
	case SL_PORT_STEER_ONE:
		return 0;
	case SL_PORT_STEER_RSS:
		return port_rss_owner(p, src, dst);
	case SL_PORT_STEER_RULES:
		if (dst->port >= PORT_PICK_FIRST)
			return port_living(p, port_block_owner(p, dst->port), dst->port);
		break;
	case SL_PORT_STEER_SOFT:
		break;
	}
	return soft_owner(p, src, dst);
}

enum sl_port_steering sl_port_steering(const struct sl_port *p)
{
	return p->steering;
}

/* The first port from the guess on that the hash gives to the worker. */
static uint16_t soft_pick(const struct sl_port *p, uint16_t worker, const struct sl_endpoint *local,
                          const struct sl_endpoint *remote)
{
	struct sl_endpoint l = *local;

	for (uint32_t i = 0; i < (uint32_t)PORT_PICK_TRIES * p->nb_workers; i++) {
		if (l.port >= PORT_PICK_FIRST && soft_owner(p, remote, &l) == worker)
			return l.port;
		l.port = l.port < PORT_PICK_FIRST || l.port == UINT16_MAX ? PORT_PICK_FIRST
		                                                          : (uint16_t)(l.port + 1);
	}
	return 0;
}

uint16_t sl_port_pick(const struct sl_port *p, uint16_t worker, const struct sl_endpoint *local,
                      const struct sl_endpoint *remote)
{
	switch (p->steering) {
	case SL_PORT_STEER_ONE:
		return local->port;
	case SL_PORT_STEER_RSS:
		return port_rss_pick(p, worker, local, remote);
	case SL_PORT_STEER_RULES:
		return port_block_pick(p, worker, local->port);
	case SL_PORT_STEER_SOFT:
		break;
	}
	return soft_pick(p, worker, local, remote);
}

/* Who has what is of no connection. */
static uint16_t lead(const struct sl_port *p)
{
	return (uint16_t)sl_fault_lead(port_dead(p));
}

static struct sl_addr addr_of(bool v6, const uint8_t *b)
{
	struct sl_addr a = {{0}, SL_AF_INET6};

	if (!v6)
		return sl_addr_v4(b);
	memcpy(a.b, b, sizeof(a.b));
	return a;
}

/* The owner of the connection that an IP header and the ports behind it name. sent: the packet is one of
 * ours, as an error quotes it. */
static uint16_t owner_of_tuple(const struct sl_port *p, bool v6, const uint8_t *ip, const uint8_t *ports,
                               bool sent)
{
	struct sl_endpoint src = {addr_of(v6, v6 ? ip + 8 : ip + 12), sl_get_be16(ports)};
	struct sl_endpoint dst = {addr_of(v6, v6 ? ip + 24 : ip + 16), sl_get_be16(ports + 2)};

	return sent ? sl_port_owner(p, &dst, &src) : sl_port_owner(p, &src, &dst);
}

/*
 * An ICMP error belongs to the connection whose packet it quotes. Whether it is well formed is not asked
 * here. What we send has no IPv4 options that would matter and no extension headers.
 */
static uint16_t owner_of_quoted(const struct sl_port *p, bool v6, const uint8_t *icmp, uint32_t n)
{
	const uint8_t *ip = icmp + ICMP_HDR_LEN;
	uint32_t len = v6 ? sizeof(struct rte_ipv6_hdr) : sizeof(struct rte_ipv4_hdr);

	if (n < ICMP_HDR_LEN + len)
		return lead(p);
	if (!v6)
		len = rte_ipv4_hdr_len((const struct rte_ipv4_hdr *)ip);
	if (ip[v6 ? 6 : 9] != IPPROTO_TCP || n < ICMP_HDR_LEN + len + TCP_PORTS_LEN)
		return lead(p);
	return owner_of_tuple(p, v6, ip, ip + len, true);
}

static bool is_icmp_error(bool v6, uint8_t type)
{
	if (v6)
		return type <= ICMP6_ERROR_MAX;
	return type == ICMP_DEST_UNREACH || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAM_PROBLEM;
}

/* Fragments are put together by the leading worker, which gives the whole to its owner (sl_port_handoff). */
uint16_t port_steer(const struct sl_port *p, const struct rte_mbuf *m)
{
	struct port_hdr h;
	const uint8_t *l4;
	uint32_t n;

	if (!port_parse(m, &h) || h.fragment)
		return lead(p);
	l4 = rte_pktmbuf_mtod_offset(m, const uint8_t *, h.l4_off);
	n = RTE_MIN((uint32_t)m->data_len - h.l4_off, (uint32_t)h.l4_len);
	if (h.proto == IPPROTO_TCP && n >= TCP_PORTS_LEN)
		return owner_of_tuple(p, h.v6, rte_pktmbuf_mtod_offset(m, const uint8_t *, h.l3_off), l4,
		                      false);
	if (h.proto == (h.v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) && n > 0 && is_icmp_error(h.v6, l4[0]))
		return owner_of_quoted(p, h.v6, l4, n);
	return lead(p);
}
