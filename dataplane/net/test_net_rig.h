/* What the tests of this folder share: two ports, four interfaces, virtual time, ARP packets. */
#ifndef SL_NET_TEST_RIG_H
#define SL_NET_TEST_RIG_H

#include "test_rig.h"

#include "net_priv.h"

#define IP(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))
#define SECOND         UINT64_C(1000000)

/* Interfaces: 0 and 1 on port a (untagged, VLAN 100), 2 on port b, 3 a second address on the link of 0. */
#define OURS      IP(10, 0, 1, 1)
#define OURS_VLAN IP(10, 0, 2, 1)
#define OURS_B    IP(10, 0, 3, 1)
#define OURS_2    IP(10, 9, 0, 1)
#define PEER      IP(10, 0, 1, 2)
#define PEER_VLAN IP(10, 0, 2, 2)
#define GATEWAY_B IP(10, 0, 3, 254)

static const uint8_t mac_all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const uint8_t mac_peer[6] = {0x02, 0, 0, 0, 0, 0x99};
static const uint8_t mac_evil[6] = {0x02, 0, 0, 0, 0, 0x66};

static struct rig_port port_a;
static struct rig_port port_b;
static struct sl_net_shared *shared;
static struct sl_net *net;  /* worker 0 */
static struct sl_net *net1; /* worker 1 */
static uint64_t now = 1000 * SECOND;

/* What came up. */
static struct {
	int nb_tcp;
	struct sl_net_segment seg;
	uint8_t tcp[2048];
	size_t tcp_n;
	uint64_t flags;
	int nb_icmp;
	struct sl_net_icmp_error icmp;
} up;

static inline void on_tcp(void *ctx, struct rte_mbuf **m, const struct sl_net_segment *seg, uint16_t n,
                          uint64_t now_us)
{
	assert_ptr_equal(ctx, &up);
	assert_int_equal(now_us, now);
	assert_true(n > 0);
	up.nb_tcp += n;
	up.seg = seg[n - 1];
	up.tcp_n = m[n - 1]->pkt_len;
	up.flags = m[n - 1]->ol_flags;
	memcpy(up.tcp, rte_pktmbuf_mtod(m[n - 1], void *), m[n - 1]->data_len);
	rte_pktmbuf_free_bulk(m, n);
}

static inline void on_icmp(void *ctx, const struct sl_net_icmp_error *e, uint64_t now_us)
{
	assert_ptr_equal(ctx, &up);
	assert_int_equal(now_us, now);
	up.nb_icmp++;
	up.icmp = *e;
}

static inline struct sl_prefix prefix(const char *s)
{
	struct sl_prefix p;

	assert_int_equal(sl_prefix_parse(s, &p), 0);
	return p;
}

static inline struct sl_addr addr(uint32_t ip)
{
	struct net_ip n = net_ip4(ip);

	return net_addr_of(&n);
}

static inline const struct net_link *link_of_if(uint16_t ifidx)
{
	return &shared->links[shared->ifs[ifidx].link];
}

static inline void drain_ports(void)
{
	struct rte_mbuf *m;

	sl_net_flush(net);
	sl_net_flush(net1);
	while ((m = rig_take(&port_a)) != NULL || (m = rig_take(&port_b)) != NULL)
		rte_pktmbuf_free(m);
}

static inline int net_setup(void **state)
{
	struct sl_net_if_cfg ifs[4] = {
	        {port_a.port, prefix("10.0.1.1/24"), 0},
	        {port_a.port, prefix("10.0.2.1/24"), 100},
	        {port_b.port, prefix("10.0.3.1/24"), 0},
	        {port_a.port, prefix("10.9.0.1/30"), 0},
	};
	struct sl_net_route_cfg routes[] = {
	        {prefix("0.0.0.0/0"), addr(GATEWAY_B), 0},
	        {prefix("192.168.0.0/16"), addr(PEER), 0},
	        {prefix("192.168.7.0/24"), addr(PEER_VLAN), 0},
	};
	struct sl_net_cfg cfg = {0, rig_pool, on_tcp, on_icmp, &up};
	char err[200] = "";

	(void)state;
	memset(&up, 0, sizeof(up));
	if (sl_net_shared_new(ifs, 4, routes, 3, &shared, err, sizeof(err)) != 0) {
		fprintf(stderr, "%s\n", err);
		return -1;
	}
	if (sl_net_new(shared, &cfg, &net) != 0)
		return -1;
	cfg.worker = 1;
	if (sl_net_new(shared, &cfg, &net1) != 0)
		return -1;
	/* The probes and announcements at start are over. */
	for (int i = 0; i < 80; i++, now += SECOND / 10)
		(void)sl_net_tick(net, now);
	drain_ports();
	return 0;
}

static inline int net_teardown(void **state)
{
	(void)state;
	drain_ports();
	sl_net_free(net);
	sl_net_free(net1);
	sl_net_shared_free(shared);
	rig_no_leak();
	return 0;
}

static inline void give(struct sl_net *n, uint16_t ifidx, const struct rig_frame *f)
{
	struct rte_mbuf *m = rig_mbuf(f->b, f->n);

	sl_net_input(n, ifidx, &m, 1, now);
	sl_net_flush(n);
}

static inline const uint8_t *our_mac(uint16_t ifidx)
{
	return link_of_if(ifidx)->mac.addr_bytes;
}

static inline void arp_frame(struct rig_frame *f, const uint8_t dst[6], const uint8_t src[6], uint16_t vlan,
                             uint16_t op, uint32_t spa, const uint8_t tha[6], uint32_t tpa)
{
	uint8_t *a;

	rig_ether(f, dst, src, vlan, 0x0806);
	a = f->b + f->n;
	sl_put_be16(a, 1);
	sl_put_be16(a + 2, 0x0800);
	a[4] = 6;
	a[5] = 4;
	sl_put_be16(a + 6, op);
	memcpy(a + 8, src, 6);
	sl_put_be32(a + 14, spa);
	if (tha != NULL)
		memcpy(a + 18, tha, 6);
	sl_put_be32(a + 24, tpa);
	f->n += 46;
}

/* The next frame that left the port as bytes; false: none. */
static inline bool left(struct rig_port *p, struct rig_frame *f)
{
	struct rte_mbuf *m = rig_take(p);

	if (m == NULL)
		return false;
	memset(f, 0, sizeof(*f));
	f->n = m->pkt_len;
	assert_true(f->n <= sizeof(f->b));
	memcpy(f->b, rte_pktmbuf_read(m, 0, m->pkt_len, f->b), m->pkt_len);
	f->ip = sl_get_be16(f->b + 12) == 0x8100 ? 18 : 14;
	rte_pktmbuf_free(m);
	return true;
}

static int nb_external_freed;

static inline void on_external_free(void *buf, void *opaque)
{
	(void)buf;
	(void)opaque;
	nb_external_freed++;
}

/* An echo request in a buffer that is not the mbuf's own, as some drivers receive them. The answer leaves
 * port a in it; then the buffer and the mbuf are given back, each to where it came from. */
static inline void echo_in_external(uint16_t ifidx, const struct rig_frame *f)
{
	static uint8_t buf[4096] __rte_cache_aligned;
	uint16_t len = sizeof(buf);
	struct rte_mbuf_ext_shared_info *info =
	        rte_pktmbuf_ext_shinfo_init_helper(buf, &len, on_external_free, NULL);
	struct rte_mbuf *m = rte_pktmbuf_alloc(rig_pool);
	void *own;

	assert_true(info != NULL && m != NULL);
	own = m->buf_addr;
	rte_pktmbuf_attach_extbuf(m, buf, RTE_BAD_IOVA, len, info);
	rte_pktmbuf_reset_headroom(m);
	memcpy(rte_pktmbuf_append(m, (uint16_t)f->n), f->b, f->n);
	m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	m->tso_segsz = 1460; /* as with LRO */
	nb_external_freed = 0;
	sl_net_input(net, ifidx, &m, 1, now);
	sl_net_flush(net);
	m = rig_take(&port_a);
	assert_non_null(m);
	assert_int_equal(m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK, 0);
	assert_int_equal(m->tso_segsz, 0);
	rte_pktmbuf_free(m);
	assert_int_equal(nb_external_freed, 1);
	assert_ptr_equal(m->buf_addr, own);
}

static inline void expect_nothing(void)
{
	struct rig_frame f;

	sl_net_flush(net);
	sl_net_flush(net1);
	assert_false(left(&port_a, &f));
	assert_false(left(&port_b, &f));
}

static inline void expect_arp(struct rig_port *p, const uint8_t dst[6], uint16_t op, uint32_t spa,
                              uint32_t tpa)
{
	struct rig_frame f;
	const uint8_t *a;

	assert_true(left(p, &f));
	a = f.b + f.ip;
	assert_memory_equal(f.b, dst, 6);
	assert_int_equal(sl_get_be16(a - 2), 0x0806);
	assert_int_equal(f.n, f.ip + 46);
	assert_memory_equal(a, "\0\1\x08\0\6\4", 6);
	assert_int_equal(sl_get_be16(a + 6), op);
	assert_memory_equal(a + 8, f.b + 6, 6);
	assert_int_equal(sl_get_be32(a + 14), spa);
	assert_int_equal(sl_get_be32(a + 24), tpa);
}

/* The peer asks for one of our addresses, which also tells us who it is. */
static inline void learn_peer(uint32_t peer, uint32_t ours, uint16_t ifidx)
{
	struct rig_port *p = link_of_if(ifidx)->port == port_a.port ? &port_a : &port_b;
	struct rig_frame f;

	arp_frame(&f, mac_all, mac_peer, link_of_if(ifidx)->vlan, 1, peer, NULL, ours);
	give(net, ifidx, &f);
	expect_arp(p, mac_peer, 2, ours, peer);
}

/* Sends a segment with one byte of payload. */
static inline int send_tcp(struct sl_net *n, uint32_t src, uint32_t dst)
{
	uint8_t t[21] = {0x13, 0x88, 0x15, 0x38, 0, 0, 0, 1, 0, 0,  0,
	                 0,    0x50, 0x10, 0x10, 0, 0, 0, 0, 0, 'x'};
	struct sl_addr s = addr(src);
	struct sl_addr d = addr(dst);
	int rc = sl_net_output(n, rig_mbuf(t, sizeof(t)), &s, &d, 6, 2, now);

	sl_net_flush(n);
	return rc;
}

static inline void expect_tcp(struct rig_port *p, const uint8_t dst[6], uint32_t src_ip, uint32_t dst_ip)
{
	struct rig_frame f;
	uint16_t sum;

	assert_true(left(p, &f));
	assert_memory_equal(f.b, dst, 6);
	assert_int_equal(f.n, f.ip + 41);
	assert_int_equal(f.b[f.ip], 0x45);
	assert_int_equal(f.b[f.ip + 1], 2); /* ECN */
	assert_int_equal(sl_get_be16(f.b + f.ip + 6), 0x4000);
	assert_int_equal(sl_get_be32(f.b + f.ip + 12), src_ip);
	assert_int_equal(sl_get_be32(f.b + f.ip + 16), dst_ip);
	assert_int_equal(rig_sum(0, f.b + f.ip, 20), 0);
	sum = sl_get_be16(f.b + f.ip + 36);
	sl_put_be16(f.b + f.ip + 36, 0);
	assert_int_equal(sum, rig_tcp_sum(f.b + f.ip, 41));
}

static inline void net_rig_start(void)
{
	rig_eal();
	(void)rig_seed();
	rig_open(&port_a, "a", 2);
	rig_open(&port_b, "b", 2);
}

static inline void net_rig_stop(void)
{
	sl_port_close(port_a.port);
	sl_port_close(port_b.port);
	(void)rte_eal_cleanup();
}

static inline void tick_by(uint64_t us)
{
	now += us;
	(void)sl_net_tick(net, now);
	(void)sl_net_tick(net1, now);
	sl_net_flush(net);
	sl_net_flush(net1);
}

static inline enum neigh_state state_of(uint8_t link, struct net_ip ip, uint8_t mac[6])
{
	struct neigh_key key = {ip, link};
	struct neigh *n = neigh_find(&shared->neigh, &key);

	return n == NULL ? NEIGH_NONE : neigh_own_state(n, mac);
}

/* Runs `what` and checks that exactly one more of the error was counted. */
#define COUNTS(error, what)                                                                                  \
	do {                                                                                                 \
		uint64_t before_ = sl_counter_err_sum(error);                                                \
		what;                                                                                        \
		if (sl_counter_err_sum(error) != before_ + 1)                                                \
			print_error("line %d: %s was not counted once\n", __LINE__, #error);                 \
		assert_int_equal(sl_counter_err_sum(error), before_ + 1);                                    \
	} while (0)

#endif
