/*
 * Fragments of a few datagrams of both families, in any order, overlapping or not. Each byte of a datagram is
 * a function of its place and identification; a record can say that its bytes are other ones, or that it is
 * the end. What goes up must be what the pattern says, but for the datagrams that somebody lied about.
 */
#include "net_world.h"

#define IDS        16
#define UNIT       8
#define IP4_MORE   0x2000
#define HOW_SIX    4
#define HOW_MORE   8
#define HOW_LIE    16
#define HOW_ICMP   32
#define HOW_LATER  64
#define HOW_SOURCE 128

static bool lied[IDS];

static uint8_t pattern(uint32_t id, size_t at, bool six)
{
	/* The TCP header is a header: its length, and the identification as the source port. */
	if (at == 12)
		return 0x50;
	if (at < 2)
		return at == 0 ? 0 : (uint8_t)id;
	return (uint8_t)(at * 7 + (at >> 8) + id * 31 + (six ? 100 : 0));
}

static void seen(const struct rte_mbuf *m, const struct sl_net_segment *seg)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
	bool six = seg->src.family == SL_AF_INET6;
	uint32_t id = d[1] % IDS;

	if (lied[id])
		return;
	for (uint32_t i = 0; i < m->data_len; i++)
		must(d[i] == pattern(id, i, six), "a whole datagram has the bytes of its fragments");
}

struct record {
	uint8_t how;
	uint32_t id;
	uint32_t at; /* bytes */
	uint16_t n;
};

static size_t headers(uint8_t *f, const struct record *r)
{
	bool more = (r->how & HOW_MORE) != 0;
	bool six = (r->how & HOW_SIX) != 0;
	uint8_t proto = (r->how & HOW_ICMP) == 0 ? IPPROTO_TCP : six ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	size_t at = world_ether(f, false, 2, false, six ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4);
	struct net_ip src = six ? world_ip(WORLD_PEER6) : net_ip4(WORLD_PEER4);
	struct net_ip dst = six ? world_ip(WORLD_OURS6) : net_ip4(WORLD_OURS4);
	uint8_t *ip = f + at;
	uint16_t sum;

	if ((r->how & HOW_SOURCE) != 0)
		src.w[1] = rte_cpu_to_be_64(rte_be_to_cpu_64(src.w[1]) + 1 + r->id % 8);
	memset(ip, 0, NET_IP6_LEN + UNIT);
	if (six) {
		ip[0] = 0x60;
		sl_put_be16(ip + 4, (uint16_t)(UNIT + r->n));
		ip[6] = IPPROTO_FRAGMENT;
		ip[7] = 64;
		memcpy(ip + 8, src.w, 16);
		memcpy(ip + 24, dst.w, 16);
		ip[40] = proto;
		sl_put_be16(ip + 42, (uint16_t)(r->at | more));
		sl_put_be32(ip + 44, r->id);
		return at + NET_IP6_LEN + UNIT;
	}
	ip[0] = 0x45;
	sl_put_be16(ip + 2, (uint16_t)(NET_IP4_LEN + r->n));
	sl_put_be16(ip + 4, (uint16_t)r->id);
	sl_put_be16(ip + 6, (uint16_t)(r->at / UNIT | (more ? IP4_MORE : 0)));
	ip[8] = 64;
	ip[9] = proto;
	sl_put_be32(ip + 12, net_ip_host4(&src));
	sl_put_be32(ip + 16, net_ip_host4(&dst));
	sum = world_sum(ip, NET_IP4_LEN);
	memcpy(ip + 10, &sum, 2);
	return at + NET_IP4_LEN;
}

static void fragment(struct world_input *in)
{
	uint8_t f[WORLD_FRAME];
	struct record r = {.how = world_byte(in)};
	uint8_t place = world_byte(in);
	uint8_t length = world_byte(in);
	bool six = (r.how & HOW_SIX) != 0;
	size_t at;

	r.id = place % IDS;
	r.at = (uint32_t)(place / IDS) * (length & 0x80 ? 1000 : 64);
	r.n = (uint16_t)((length & 0x3f) * UNIT + ((r.how & HOW_MORE) == 0 ? length >> 6 & 1 : 0));
	at = headers(f, &r);
	for (uint16_t i = 0; i < r.n; i++)
		f[at + i] = pattern(r.id, r.at + i, six);
	if ((r.how & HOW_LIE) != 0 && r.n > 2) {
		f[at + 2 + world_byte(in) % (r.n - 2u)] ^= 0x11; /* the identification stays */
		lied[r.id] = true;
	}
	world_frame(f, at + r.n, r.how);
	world_pass((r.how & HOW_LATER) != 0 ? WORLD_SECOND * 4 : 10);
	world_check();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world_input in = {data, size};

	memset(lied, 0, sizeof(lied));
	world.seen = seen;
	world_begin();
	while (in.n >= 3)
		fragment(&in);
	world_end();
	return 0;
}
