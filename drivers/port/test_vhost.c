/*
 * Offloads on a real device: a virtio-user port and a vhost port in this process, joined by shared memory as
 * a guest and its host are. Needs huge pages: asks the kernel for some and gives them back.
 */
#include "test_cross.h"

#include <unistd.h>

#include <rte_bus_vdev.h>
#include <rte_ethdev.h>

#include "port_priv.h"
#include "sl_counter.h"

#define PAGES_FILE "/proc/sys/vm/nr_hugepages"
#define PAGES      192 /* of 2 MB */
#define SKIP       77  /* meson's word for it */

static struct sl_port *guest; /* virtio-user: TSO, LRO, checksums */
static struct sl_port *host;  /* vhost: checksums, chains */
static char path[64];
static long pages_before = -1;
static pid_t owner;

static long pages_read(void)
{
	FILE *f = fopen(PAGES_FILE, "r");
	long n = -1;

	if (f != NULL && fscanf(f, "%ld", &n) != 1)
		n = -1;
	if (f != NULL)
		fclose(f);
	return n;
}

static bool pages_write(long n)
{
	FILE *f = fopen(PAGES_FILE, "w");
	bool ok = f != NULL && fprintf(f, "%ld\n", n) > 0;

	if (f != NULL && fclose(f) != 0)
		ok = false;
	return ok;
}

static void clean_up(void)
{
	if (getpid() != owner)
		return;
	(void)unlink(path);
	if (pages_before >= 0)
		(void)pages_write(pages_before);
}

static void leave(const char *why)
{
	printf("SKIPPED: no huge pages for a virtio pair: %s\n", why);
	exit(SKIP);
}

static void start_eal(void)
{
	static char *args[] = {(char *)"test",
	                       (char *)"--in-memory",
	                       (char *)"--single-file-segments",
	                       (char *)"--no-pci",
	                       (char *)"-m",
	                       (char *)"256",
	                       (char *)"--no-telemetry",
	                       (char *)"-l",
	                       (char *)"0",
	                       (char *)"--log-level=*:error",
	                       (char *)"--log-level=lib.vhost*:error"};

	owner = getpid();
	pages_before = pages_read();
	if (pages_before < 0 || !pages_write(pages_before + PAGES)) {
		pages_before = -1;
		leave(PAGES_FILE " cannot be written");
	}
	atexit(clean_up);
	if (pages_read() < pages_before + PAGES)
		leave("the kernel has no memory for them");
	if (rte_eal_init((int)(sizeof(args) / sizeof(args[0])), args) < 0)
		leave(rte_strerror(rte_errno));
	rig_pool = rte_pktmbuf_pool_create("rig", RIG_POOL, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (rig_pool == NULL)
		leave("no memory for packets");
}

static struct sl_port *open_port(const char *device)
{
	struct sl_port_cfg cfg = {.device = device, .nb_workers = 1};
	struct sl_port *p = NULL;
	char err[200] = "";

	if (sl_port_open(&cfg, &rig_pool, &p, err, sizeof(err)) != 0) {
		fprintf(stderr, "%s\n", err);
		exit(1);
	}
	return p;
}

/* A packet of each side shows that the other one is there. */
static void wait_ready(void)
{
	time_t end = time(NULL) + 20;
	struct rte_mbuf *m;
	bool up = false;
	bool down = false;

	while (!up || !down) {
		if (time(NULL) > end) {
			fprintf(stderr, "the pair does not come up\n");
			exit(1);
		}
		m = rig_mbuf("0123456789abcdef0123456789abcdef", 32);
		sl_port_tx(guest, 0, &m, 1);
		m = rig_mbuf("0123456789abcdef0123456789abcdef", 32);
		sl_port_tx(host, 0, &m, 1);
		usleep(1000);
		while (sl_port_rx(host, 0, &m, 1) == 1) {
			rte_pktmbuf_free(m);
			up = true;
		}
		while (sl_port_rx(guest, 0, &m, 1) == 1) {
			rte_pktmbuf_free(m);
			down = true;
		}
	}
}

static void open_pair(void)
{
	char args[128];

	snprintf(path, sizeof(path), "/tmp/sl_test_vhost.%d", (int)getpid());
	snprintf(args, sizeof(args), "iface=%s,queues=1,tso=1", path);
	if (rte_vdev_init("net_vhost0", args) != 0)
		exit(1);
	host = open_port("net_vhost0");
	snprintf(args, sizeof(args), "path=%s,queues=1,queue_size=256", path);
	if (rte_vdev_init("net_virtio_user0", args) != 0)
		exit(1);
	guest = open_port("net_virtio_user0");
	wait_ready();
}

static void test_caps(void **state)
{
	const struct sl_port_caps *g = sl_port_caps(guest);
	const struct sl_port_caps *h = sl_port_caps(host);

	(void)state;
	assert_true(g->tso && g->tx_tcp_csum && g->multi_seg && g->rx_tcp_csum && g->lro);
	assert_false(g->tx_ip_csum);
	assert_true(h->multi_seg && h->tx_tcp_csum && !h->tso);
}

static void test_tso(void **state)
{
	(void)state;
	for (int i = 0; i < 200; i++) {
		size_t n = 1461 + (size_t)rand() % (PAYLOAD_MAX - 1461);

		(void)cross(guest, host, cross_packet(i % 2 == 0, n, 256 + (size_t)rand() % 1700, 1440),
		            i % 2 == 0, n);
	}
	assert_int_equal(cross(guest, host, cross_packet(false, PAYLOAD_MAX, 2000, 1460), false, PAYLOAD_MAX),
	                 1);
}

/* The vhost port has no TSO: what reaches it all the same is cut in software, and the device sums it. */
static void test_software_segments(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++) {
		size_t n = 1461 + (size_t)rand() % (PAYLOAD_MAX - 1461);
		bool v6 = i % 2 == 0;

		assert_int_equal(cross(host, guest, cross_packet(v6, n, 1000, 1440), v6, n),
		                 (n + 1439) / 1440);
	}
}

static void test_chains(void **state)
{
	uint64_t bad = sl_counter_err_sum(SL_E_PORT_TX_REFUSED) + sl_counter_err_sum(SL_E_PORT_TX_INVALID);

	(void)state;
	for (int i = 0; i < 500; i++) {
		size_t n = 1 + (size_t)rand() % 1440;
		struct sl_port *from = i % 3 == 0 ? host : guest;

		assert_int_equal(cross(from, from == host ? guest : host,
		                       cross_packet(i % 2 == 0, n, 1 + (size_t)rand() % 700, 0), i % 2 == 0,
		                       n),
		                 1);
	}
	assert_int_equal(sl_counter_err_sum(SL_E_PORT_TX_REFUSED) + sl_counter_err_sum(SL_E_PORT_TX_INVALID),
	                 bad);
}

/* What the peer damages on the way is told, though the device verifies. */
static void test_damaged(void **state)
{
	uint32_t at = 14 + 20 + 25;
	struct rte_mbuf *m;
	struct rte_mbuf *r = NULL;
	struct rig_frame f;

	(void)state;
	rig_ether(&f, cross_dst, RIG_MAC_PEER, 0, 0x0800);
	rig_tcp(&f, 0x0a000001, 0x0a000002, 1000, 2000, cross_bytes, 500);
	f.b[at] ^= 0x10;
	m = rig_mbuf(f.b, f.n);
	sl_port_tx(host, 0, &m, 1); /* asks for no checksum: it goes as it is */
	for (int i = 0; i < 1000000 && sl_port_rx(guest, 0, &r, 1) == 0; i++)
		;
	assert_non_null(r);
	assert_int_equal(r->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK, RTE_MBUF_F_RX_L4_CKSUM_BAD);
	rte_pktmbuf_free(r);
}

/* An idle port asks the driver for what was sent; one that cannot give it is not asked again. */
static void test_cleanup(void **state)
{
	struct rte_mbuf *m;

	(void)state;
	for (int i = 0; i < 10; i++)
		(void)cross(guest, host, cross_packet(false, 1000, 500, 0), false, 1000);
	for (int i = 0; i < 2 * PORT_CLEAN_POLLS; i++) {
		assert_int_equal(sl_port_rx(guest, 0, &m, 1), 0);
		assert_int_equal(sl_port_rx(host, 0, &m, 1), 0);
	}
	assert_int_equal(guest->w[0].idle_polls, PORT_CLEAN_POLLS);
	assert_false(guest->tx_cleanup);
	assert_true(host->tx_cleanup);
}

static void test_stats(void **state)
{
	struct sl_port_stats s;

	(void)state;
	assert_int_equal(sl_port_stats(guest, &s), 0);
	assert_true(s.tx_packets > 0 && s.rx_packets > 0 && s.tx_bytes > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_caps),    cmocka_unit_test(test_tso),
	        cmocka_unit_test(test_chains),  cmocka_unit_test(test_software_segments),
	        cmocka_unit_test(test_damaged), cmocka_unit_test(test_cleanup),
	        cmocka_unit_test(test_stats),
	};
	int failed;

	start_eal();
	rig_seed();
	cross_stream();
	open_pair();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	sl_port_close(guest);
	sl_port_close(host);
	return failed;
}
