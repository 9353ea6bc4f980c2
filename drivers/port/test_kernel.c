/*
 * Kernel interfaces: two ports on the ends of a veth pair, in a network namespace of the test's own. What one
 * sends the other gets as it comes through the kernel.
 */
#include "test_cross.h"

#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>

#include "kernel.h"
#include "port_priv.h"
#include "sl_counter.h"

#define PATIENT 5 /* seconds that a packet on its way may take */

static struct sl_port *a;
static struct sl_port *b;

static void run(const char *command)
{
	if (system(command) != 0) { /* NOLINT(cert-env33-c): ours, no input */
		fprintf(stderr, "failed: %s\n", command);
		exit(1);
	}
}

/* Before EAL has threads. Without root a user namespace is enough, where the machine lets us have one. */
static void own_network(void)
{
	if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
		perror("a network namespace of our own");
		exit(1);
	}
	run("echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6");
	run("ip link add ka type veth peer name kb");
	run("ip link set ka up && ip link set kb up");
}

static struct sl_port *open_as(const struct sl_port_cfg *cfg)
{
	struct rte_mempool *pools[] = {rig_pool, rig_pool, rig_pool, rig_pool};
	struct sl_port *p = NULL;
	char err[200] = "";

	if (sl_port_open(cfg, pools, &p, err, sizeof(err)) != 0)
		fprintf(stderr, "%s\n", err);
	assert_non_null(p);
	return p;
}

static int open_pair(void **state)
{
	(void)state;
	a = open_as(&(struct sl_port_cfg){.device = "kernel:ka", .nb_workers = 1});
	b = open_as(&(struct sl_port_cfg){.device = "kernel:kb", .nb_workers = 1});
	return 0;
}

static int close_pair(void **state)
{
	(void)state;
	sl_port_close(a);
	sl_port_close(b);
	a = b = NULL;
	rig_no_leak();
	return 0;
}

static void reopen_b(const struct sl_port_cfg *cfg)
{
	sl_port_close(b);
	b = open_as(cfg);
}

/* The next packet for the worker. */
static struct rte_mbuf *wait_for(struct sl_port *p, uint16_t worker)
{
	time_t end = time(NULL) + PATIENT;
	struct rte_mbuf *m = NULL;

	while (sl_port_rx(p, worker, &m, 1) == 0)
		assert_true(time(NULL) <= end);
	return m;
}

static void nothing_for(struct sl_port *p)
{
	struct rte_mbuf *m = NULL;

	for (int i = 0; i < 100; i++)
		assert_int_equal(sl_port_rx(p, 0, &m, 1), 0);
}

static uint64_t errors(int code)
{
	return sl_counter_err_sum(code);
}

static void send_one(struct sl_port *p, struct rte_mbuf *m)
{
	sl_port_tx(p, 0, &m, 1);
}

static void test_caps(void **state)
{
	const struct sl_port_caps *c = sl_port_caps(a);

	(void)state;
	assert_true(c->tso && c->tx_tcp_csum && c->rx_tcp_csum && c->multi_seg && c->lro);
	assert_false(c->tx_ip_csum || c->rss);
	assert_int_equal(c->mtu, 1500);
	assert_true(sl_port_link(a));
	assert_string_equal(sl_port_name(a), "kernel:ka");
}

/* Sums that nobody fills in, segments that nobody cuts: of all sizes, both families, both ways. */
static void test_large(void **state)
{
	(void)state;
	for (int i = 0; i < 200; i++) {
		size_t n = 1461 + (size_t)rand() % (PAYLOAD_MAX - 1461);
		bool v6 = i % 2 == 0;
		struct sl_port *from = i % 4 < 2 ? a : b;

		assert_int_equal(cross(from, from == a ? b : a,
		                       cross_packet(v6, n, 900 + (size_t)rand() % 1100, 1440), v6, n),
		                 1);
	}
	assert_int_equal(cross(a, b, cross_packet(false, PAYLOAD_MAX, 2048, 1460), false, PAYLOAD_MAX), 1);
}

static void test_small(void **state)
{
	(void)state;
	for (int i = 0; i < 300; i++) {
		size_t n = 1 + (size_t)rand() % 1440;
		bool v6 = i % 2 == 0;

		assert_int_equal(cross(i % 3 == 0 ? b : a, i % 3 == 0 ? a : b,
		                       cross_packet(v6, n, 1 + (size_t)rand() % 700, 0), v6, n),
		                 1);
	}
}

static struct rte_mbuf *tagged(bool v6, size_t n, uint16_t segsz, uint16_t tpid)
{
	struct rte_mbuf *m = cross_packet(v6, n, 1500, segsz);
	uint8_t *d;

	assert_non_null(rte_pktmbuf_prepend(m, 4));
	d = rte_pktmbuf_mtod(m, uint8_t *);
	memmove(d, d + 4, 12);
	sl_put_be16(d + 12, tpid);
	sl_put_be16(d + 14, 7);
	m->l2_len = 18;
	return m;
}

/* Tagged frames of ours: their offloads count from behind the tag, which the receiver's kernel takes off. */
static void test_vlan(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		size_t n = i < 2 ? 30000 : 600;
		bool v6 = i % 2 == 0;

		assert_int_equal(cross(a, b, tagged(v6, n, i < 2 ? 1440 : 0, 0x8100), v6, n), 1);
	}
}

/* The kernel takes service tags (802.1ad) off as well: they are no VLAN of ours. What comes behind a large
 * frame that is dropped is not mixed up with it. */
static void test_service_tag(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		uint64_t dropped = errors(SL_E_NET_VLAN);
		size_t n = i < 2 ? 30000 : 600;
		bool v6 = i % 2 == 0;

		send_one(a, tagged(v6, n + 100, i < 2 ? 1440 : 0, 0x88a8));
		assert_int_equal(cross(a, b, cross_packet(v6, n, 1500, i < 2 ? 1440 : 0), v6, n), 1);
		assert_int_equal(errors(SL_E_NET_VLAN) - dropped, 1);
	}
}

/* A device that cuts and sums nothing: the kernel does it in front of it. */
static void test_no_offloads(void **state)
{
	size_t n = 20000;

	(void)state;
	run("ethtool -K ka tx off tso off gso off >/dev/null");
	for (int i = 0; i < 2; i++)
		assert_int_equal(cross(a, b, cross_packet(i == 0, n, 1500, 1440), i == 0, n),
		                 (n + 1439) / 1440);
	assert_int_equal(cross(a, b, cross_packet(false, 700, 300, 0), false, 700), 1);
	run("ethtool -K ka tx on tso on gso on >/dev/null");
}

/* Port a's frame with a vnet header in front as the kernel gives it to others. */
static void see(struct sl_port *from, int fd, struct rte_mbuf *m, struct virtio_net_hdr *v, uint8_t *frame,
                size_t cap, size_t *n)
{
	struct iovec iov[2] = {{v, sizeof(*v)}, {frame, cap}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	ssize_t got;

	send_one(from, m);
	assert_int_equal(poll(&ready, 1, PATIENT * 1000), 1);
	got = recvmsg(fd, &msg, 0);
	assert_true(got > (ssize_t)sizeof(*v));
	*n = (size_t)got - sizeof(*v);
}

static int raw_socket(const char *name, bool vnet)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET,
	                         .sll_protocol = rte_cpu_to_be_16(0x0800),
	                         .sll_ifindex = (int)if_nametoindex(name)};
	int fd = socket(AF_PACKET, SOCK_RAW, 0), on = vnet;

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)), 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)(const void *)&to, sizeof(to)), 0);
	return fd;
}

/* What we ask the kernel for: the pseudo-header's sum in the field, its length with it; IP's own sum done. */
static void test_header_out(void **state)
{
	static uint8_t frame[PAYLOAD_MAX + 100];
	int fd = raw_socket("kb", true);
	struct virtio_net_hdr v;
	size_t n;

	(void)state;
	see(a, fd, cross_packet(false, 30000, 2000, 1448), &v, frame, sizeof(frame), &n);
	assert_int_equal(n, 30000 + 54);
	assert_int_equal(v.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(v.csum_start, 34);
	assert_int_equal(v.csum_offset, 16);
	assert_int_equal(v.gso_type, VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN);
	assert_int_equal(v.gso_size, 1448);
	assert_int_equal(rig_sum(0, frame + 14, 20), 0);
	{
		uint32_t sum = 6 + 30020;

		for (int i = 26; i < 34; i += 2)
			sum += (uint32_t)frame[i] << 8 | frame[i + 1];
		assert_int_equal(sl_get_be16(frame + 50), (uint16_t)~rig_sum(sum, NULL, 0));
	}
	see(a, fd, cross_packet(false, 800, 300, 0), &v, frame, sizeof(frame), &n);
	assert_int_equal(n, 854);
	assert_int_equal(v.gso_type, VIRTIO_NET_HDR_GSO_NONE);
	close(fd);
	for (int i = 0; i < 2; i++)
		rte_pktmbuf_free(wait_for(b, 0));
	nothing_for(b);
}

/* Frames of others: as they are on the wire, damaged, tagged. */
static void test_from_wire(void **state)
{
	int fd = raw_socket("ka", false);
	struct rig_frame f;
	struct rte_mbuf *m;

	(void)state;
	rig_ether(&f, cross_dst, RIG_MAC_PEER, 0, 0x0800);
	rig_tcp(&f, 0x0a000001, 0x0a000002, 1000, 2000, cross_bytes, 500);
	assert_int_equal(send(fd, f.b, f.n, 0), f.n);
	m = wait_for(b, 0);
	assert_int_equal(m->pkt_len, f.n);
	assert_memory_equal(rte_pktmbuf_mtod(m, void *), f.b, f.n);
	assert_int_equal(m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK, RTE_MBUF_F_RX_L4_CKSUM_GOOD);
	rte_pktmbuf_free(m);
	f.b[100] ^= 1;
	assert_int_equal(send(fd, f.b, f.n, 0), f.n);
	m = wait_for(b, 0);
	assert_int_equal(m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK, RTE_MBUF_F_RX_L4_CKSUM_BAD);
	rte_pktmbuf_free(m);
	rig_ether(&f, cross_dst, RIG_MAC_PEER, 0x2007, 0x0800);
	rig_tcp(&f, 0x0a000001, 0x0a000002, 1000, 2000, cross_bytes, 500);
	assert_int_equal(send(fd, f.b, f.n, 0), f.n);
	m = wait_for(b, 0);
	assert_int_equal(m->pkt_len, f.n - 4);
	assert_int_equal(m->vlan_tci, 0x2007);
	assert_true((m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0);
	assert_int_equal(m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK, RTE_MBUF_F_RX_L4_CKSUM_GOOD);
	rte_pktmbuf_free(m);
	close(fd);
}

/* A queue holds so many frames; what is lost is counted by the kernel, and told once. */
static void test_overflow(void **state)
{
	uint32_t slots = KERNEL_RING_BYTES / KERNEL_SLOT_MIN, sent = slots + 500, got = 0;
	struct sl_port_stats s;
	struct rte_mbuf *m;

	(void)state;
	for (uint32_t i = 0; i < sent; i++)
		send_one(a, cross_packet(false, 100, 100, 0));
	usleep(20000);
	while (sl_port_rx(b, 0, &m, 1) == 1) {
		got++;
		rte_pktmbuf_free(m);
	}
	assert_int_equal(got, slots);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(sl_port_stats(b, &s), 0);
		assert_int_equal(s.rx_packets, got);
		assert_int_equal(s.rx_missed, sent - got);
	}
	assert_int_equal(sl_port_stats(a, &s), 0);
	assert_int_equal(s.tx_packets, sent);
	assert_int_equal(cross(a, b, cross_packet(true, 9000, 1000, 1440), true, 9000), 1);
}

/* More large frames than the socket's queue holds: the others are dropped and counted, none is taken for
 * another. */
static void test_large_overflow(void **state)
{
	uint64_t before = errors(SL_E_PORT_RX_TRUNCATED), lost = 0;
	time_t end = time(NULL) + PATIENT;
	uint32_t sent = 0, got = 0;
	struct rte_mbuf *m;

	(void)state;
	for (; sent < 1000; sent++)
		send_one(a, cross_packet(false, 60000, 2000, 1448));
	usleep(20000);
	memset(arrived, 0, sizeof(arrived));
	while (got < sent - lost) {
		if (sl_port_rx(b, 0, &m, 1) == 1) {
			(void)take_segment(m, false, 60000);
			got++;
		}
		lost = errors(SL_E_PORT_RX_TRUNCATED) - before;
		assert_true(time(NULL) <= end);
	}
	assert_true(lost > 0 && lost < sent);
	assert_int_equal(got, sent - lost);
	assert_memory_equal(arrived, cross_bytes, 60000);
	assert_int_equal(cross(a, b, cross_packet(false, 1000, 1000, 0), false, 1000), 1);
}

/* A pool without buffers costs the frames that come meanwhile. */
static void test_no_buffers(void **state)
{
	uint64_t lost = errors(SL_E_NET_NO_MBUF);
	static struct rte_mbuf *all[RIG_POOL];
	struct rte_mbuf *m;
	unsigned nb = 0;

	(void)state;
	send_one(a, cross_packet(false, 60000, 2000, 1448));
	send_one(a, cross_packet(false, 100, 100, 0));
	usleep(20000);
	for (; (m = rte_pktmbuf_alloc(rig_pool)) != NULL; nb++)
		all[nb] = m;
	nothing_for(b);
	rte_pktmbuf_free_bulk(all, nb);
	assert_int_equal(errors(SL_E_NET_NO_MBUF) - lost, 2);
	assert_int_equal(cross(a, b, cross_packet(false, 30000, 1000, 1448), false, 30000), 1);
}

/* One that the kernel does not take does not hold up the others. */
static void test_refused(void **state)
{
	uint64_t refused = errors(SL_E_PORT_TX_REFUSED);
	struct rte_mbuf *m[3] = {cross_packet(false, 10, 10, 0), cross_packet(false, 3000, 1000, 0),
	                         cross_packet(false, 20, 20, 0)};

	(void)state;
	sl_port_tx(a, 0, m, 3);
	assert_int_equal(errors(SL_E_PORT_TX_REFUSED) - refused, 1);
	for (uint32_t n = 10; n <= 20; n += 10) {
		m[0] = wait_for(b, 0);
		assert_int_equal(m[0]->pkt_len, 54 + n);
		rte_pktmbuf_free(m[0]);
	}
}

/* A port without offloads takes what is as on the wire, refuses the rest, and sends nothing else itself. */
static void test_wire_port(void **state)
{
	uint64_t lost = errors(SL_E_PORT_RX_OFFLOAD);
	struct virtio_net_hdr v;
	uint8_t frame[2000];
	size_t n;
	int fd;

	(void)state;
	reopen_b(&(struct sl_port_cfg){.device = "kernel:kb", .nb_workers = 1, .software_checksum = true});
	assert_false(sl_port_caps(b)->tso || sl_port_caps(b)->rx_tcp_csum || sl_port_caps(b)->tx_tcp_csum);
	send_one(a, cross_packet(false, 9000, 2000, 1448));
	send_one(a, cross_packet(false, 900, 900, 0));
	usleep(20000);
	nothing_for(b);
	assert_int_equal(errors(SL_E_PORT_RX_OFFLOAD) - lost, 2);
	assert_int_equal(cross(b, a, cross_packet(true, 9000, 1000, 1440), true, 9000), 7);
	fd = raw_socket("ka", true);
	see(b, fd, cross_packet(false, 901, 300, 0), &v, frame, sizeof(frame), &n);
	assert_int_equal(v.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM, 0);
	sl_put_be16(frame + 50, 0);
	assert_int_equal(n, 955);
	rte_pktmbuf_free(wait_for(a, 0));
	close(fd);
}

/* Several sockets of one port: every packet comes to the worker that owns it, once, and none of ours. */
static void test_queues(void **state)
{
	unsigned got[3] = {0}, all = 0;
	struct rte_mbuf *m;
	time_t end = time(NULL) + PATIENT;

	(void)state;
	reopen_b(&(struct sl_port_cfg){.device = "kernel:kb", .nb_workers = 3});
	assert_int_equal(sl_port_caps(b)->nb_rx_queues, 3);
	assert_int_equal(sl_port_steering(b), SL_PORT_STEER_SOFT);
	for (unsigned i = 0; i < 300; i++) {
		m = cross_packet(i % 2 == 0, i % 5 == 0 ? 2900 : 100, 1000, i % 5 == 0 ? 1440 : 0);
		sl_put_be16(rte_pktmbuf_mtod_offset(m, uint8_t *, 14 + m->l3_len), (uint16_t)(1000 + i));
		send_one(a, m);
		m = cross_packet(i % 2 == 0, 100, 1000, 0);
		sl_port_tx(b, (uint16_t)(i % 3), &m, 1);
	}
	while (all < 300) {
		for (uint16_t w = 0; w < 3; w++) {
			if (sl_port_rx(b, w, &m, 1) == 0)
				continue;
			assert_int_equal(m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK,
			                 RTE_MBUF_F_RX_L4_CKSUM_GOOD);
			assert_int_equal(port_steer(b, m), w);
			rte_pktmbuf_free(m);
			got[w]++;
			all++;
		}
		assert_true(time(NULL) <= end);
	}
	assert_true(got[0] > 0 && got[1] > 0 && got[2] > 0);
	for (int i = 0; i < 300; i++)
		rte_pktmbuf_free(wait_for(a, 0));
	nothing_for(a);
	nothing_for(b);
}

static void test_wait(void **state)
{
	int fds[SL_PORT_WAIT_FDS];
	struct pollfd ready;

	(void)state;
	assert_int_equal(sl_port_wait_fds(b, 0, fds), 1);
	ready = (struct pollfd){.fd = fds[0], .events = POLLIN};
	assert_int_equal(poll(&ready, 1, 0), 0);
	for (int i = 0; i < 2; i++) {
		send_one(a, cross_packet(false, i == 0 ? 100 : 9000, 1000, i == 0 ? 0 : 1448));
		assert_int_equal(poll(&ready, 1, PATIENT * 1000), 1);
		rte_pktmbuf_free(wait_for(b, 0));
		assert_int_equal(poll(&ready, 1, 0), 0);
	}
}

/* The interface goes down and comes back: what had come waits, and a worker that rests is not kept awake. */
static void test_down(void **state)
{
	struct pollfd ready;
	int fds[SL_PORT_WAIT_FDS];

	(void)state;
	send_one(a, cross_packet(false, 9000, 1000, 1448));
	send_one(a, cross_packet(false, 8000, 1000, 1448));
	usleep(20000);
	run("ip link set kb down && ip link set kb up");
	memset(arrived, 0, sizeof(arrived));
	assert_int_equal(take_segment(wait_for(b, 0), false, 9000), 9000);
	assert_memory_equal(arrived, cross_bytes, 9000);
	assert_int_equal(take_segment(wait_for(b, 0), false, 8000), 8000);
	assert_int_equal(sl_port_wait_fds(b, 0, fds), 1);
	ready = (struct pollfd){.fd = fds[0], .events = POLLIN};
	run("ip link set kb down");
	assert_int_equal(poll(&ready, 1, PATIENT * 1000), 1);
	nothing_for(b);
	assert_true(sl_port_rest(b, 0));
	sl_port_wake(b, 0);
	assert_int_equal(poll(&ready, 1, 0), 0);
	/* The other end sends when it has seen the carrier, which the kernel tells it later. */
	run("ip link set kb up && timeout 5 sh -c 'until ip link show ka | grep -q \"state UP\"; do sleep "
	    "0.01; done'");
	assert_int_equal(cross(a, b, cross_packet(true, 9000, 1000, 1440), true, 9000), 1);
}

static void refuses(const char *device, const char *why)
{
	struct sl_port_cfg cfg = {.device = device, .nb_workers = 1};
	struct sl_port *p;
	char err[200] = "";

	assert_int_equal(sl_port_open(&cfg, &rig_pool, &p, err, sizeof(err)), SL_E_PORT_OPEN);
	assert_non_null(strstr(err, why));
}

static void test_refusals(void **state)
{
	(void)state;
	refuses("kernel:nobody", "no interface 'nobody'");
	refuses("kernel:", "1 to 15 characters");
	refuses("kernel:sixteen-letters-", "1 to 15 characters");
	refuses("kernel:lo", "is down");
	run("ip link set lo up");
	refuses("kernel:lo", "not Ethernet");
}

/* What the kernel could say of a frame of 1000 bytes. */
static void test_flags(void **state)
{
	const struct {
		uint8_t flags, gso;
		uint16_t start, offset;
		bool wire;
		int rc;
		uint64_t ol_flags;
	} cases[] = {
	        {0, 0, 0, 0, false, SL_OK, 0},
	        {VIRTIO_NET_HDR_F_DATA_VALID, 0, 0, 0, false, SL_OK, RTE_MBUF_F_RX_L4_CKSUM_GOOD},
	        {VIRTIO_NET_HDR_F_NEEDS_CSUM, 0, 34, 16, false, SL_OK, RTE_MBUF_F_RX_L4_CKSUM_GOOD},
	        {VIRTIO_NET_HDR_F_NEEDS_CSUM, 0, 982, 16, false, SL_OK, RTE_MBUF_F_RX_L4_CKSUM_GOOD},
	        {VIRTIO_NET_HDR_F_NEEDS_CSUM, 0, 983, 16, false, SL_E_PORT_RX_HEADER, 0},
	        {VIRTIO_NET_HDR_F_NEEDS_CSUM, 0, 65535, 65535, false, SL_E_PORT_RX_HEADER, 0},
	        {VIRTIO_NET_HDR_F_NEEDS_CSUM, 0, 34, 6, false, SL_OK, 0}, /* UDP's */
	        {0, 0, 0, 0, true, SL_OK, 0},
	        {VIRTIO_NET_HDR_F_DATA_VALID, 0, 0, 0, true, SL_OK, 0},
	        {VIRTIO_NET_HDR_F_NEEDS_CSUM, 0, 34, 16, true, SL_E_PORT_RX_OFFLOAD, 0},
	        {0, VIRTIO_NET_HDR_GSO_TCPV4, 0, 0, true, SL_E_PORT_RX_OFFLOAD, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct virtio_net_hdr v = {.flags = cases[i].flags,
		                           .gso_type = cases[i].gso,
		                           .csum_start = cases[i].start,
		                           .csum_offset = cases[i].offset};
		uint64_t flags = 1;

		assert_int_equal(kernel_rx_flags(&v, 1000, cases[i].wire, &flags), cases[i].rc);
		assert_int_equal(flags, cases[i].ol_flags);
	}
}

#define PAIRED(test) cmocka_unit_test_setup_teardown(test, open_pair, close_pair)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        PAIRED(test_caps),
	        PAIRED(test_vlan),
	        PAIRED(test_service_tag),
	        PAIRED(test_large),
	        PAIRED(test_small),
	        PAIRED(test_no_offloads),
	        PAIRED(test_header_out),
	        PAIRED(test_from_wire),
	        PAIRED(test_overflow),
	        PAIRED(test_large_overflow),
	        PAIRED(test_no_buffers),
	        PAIRED(test_refused),
	        PAIRED(test_wire_port),
	        PAIRED(test_queues),
	        PAIRED(test_wait),
	        PAIRED(test_down),
	        cmocka_unit_test(test_refusals),
	        cmocka_unit_test(test_flags),
	};

	own_network();
	rig_eal();
	rig_seed();
	cross_stream();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
