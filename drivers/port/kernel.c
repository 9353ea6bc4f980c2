/* Kernel interfaces: opening, what they can do, closing. See kernel.h. */
#include "kernel.h"

#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include "port_priv.h"
#include "sl_counter.h"

const char *port_kernel_name(const char *device)
{
	size_t n = strlen(KERNEL_PREFIX);

	return strncmp(device, KERNEL_PREFIX, n) == 0 ? device + n : NULL;
}

/* ---- the interface ---- */

/* Asks or tells the kernel about the interface; 0, or an errno. */
static int ask(const char *name, int fd, unsigned long what, struct ifreq *r)
{
	(void)snprintf(r->ifr_name, sizeof(r->ifr_name), "%s", name);
	return ioctl(fd, what, r) == 0 ? 0 : errno;
}

/* An Ethernet interface that is up. */
static int find_interface(const char *device, int fd, struct rte_ether_addr *mac, char *err, size_t cap)
{
	const char *name = port_kernel_name(device);
	struct ifreq r = {0};
	int rc;

	if (name[0] == '\0' || strlen(name) >= IFNAMSIZ)
		return port_refuse(err, cap, "%s: an interface's name has 1 to %d characters", device,
		                   IFNAMSIZ - 1);
	rc = ask(name, fd, SIOCGIFFLAGS, &r);
	if (rc == ENODEV)
		return port_refuse(err, cap, "%s: the kernel has no interface '%s' here", device, name);
	if (rc != 0)
		return port_refuse(err, cap, "%s: %s", device, strerror(rc));
	if ((r.ifr_flags & IFF_UP) == 0)
		return port_refuse(err, cap, "%s: the interface is down (ip link set %s up)", device, name);
	rc = ask(name, fd, SIOCGIFHWADDR, &r);
	if (rc != 0 || r.ifr_hwaddr.sa_family != ARPHRD_ETHER)
		return port_refuse(err, cap, "%s: the interface is not Ethernet", device);
	memcpy(mac->addr_bytes, r.ifr_hwaddr.sa_data, RTE_ETHER_ADDR_LEN);
	return SL_OK;
}

int sl_port_check(const char *device, char *err, size_t err_cap)
{
	struct rte_ether_addr mac;
	int fd, rc;

	if (port_kernel_name(device) == NULL)
		return SL_OK;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return port_refuse(err, err_cap, "%s: %s", device, strerror(errno));
	rc = find_interface(device, fd, &mac, err, err_cap);
	close(fd);
	return rc;
}

static int find_mtu(struct sl_port *p, int fd, uint16_t wanted, char *err, size_t cap)
{
	const char *name = port_kernel_name(p->name);
	struct ifreq r = {0};
	int rc;

	if (wanted != 0) {
		r.ifr_mtu = wanted;
		rc = ask(name, fd, SIOCSIFMTU, &r);
		if (rc != 0)
			return port_refuse(err, cap, "%s: MTU %u: %s", p->name, wanted, strerror(rc));
	}
	rc = ask(name, fd, SIOCGIFMTU, &r);
	if (rc != 0 || r.ifr_mtu <= 0)
		return port_refuse(err, cap, "%s: MTU: %s", p->name, strerror(rc));
	p->caps.mtu = (uint16_t)RTE_MIN(r.ifr_mtu, UINT16_MAX);
	return SL_OK;
}

/* ---- sockets ---- */

static bool set(int fd, int option, int value)
{
	return setsockopt(fd, SOL_PACKET, option, &value, sizeof(value)) == 0;
}

/* As much as asked for where we may, else as much as every socket may have. */
static void set_buffer(int fd, int force, int plain, int bytes)
{
	if (setsockopt(fd, SOL_SOCKET, force, &bytes, sizeof(bytes)) != 0)
		(void)setsockopt(fd, SOL_SOCKET, plain, &bytes, sizeof(bytes));
}

/* In a fan-out the kernel shows us frames of our own whatever PACKET_IGNORE_OUTGOING says. */
static bool no_own_frames(int fd)
{
	struct sock_filter code[] = {
	        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)),
	        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 0, 1),
	        BPF_STMT(BPF_RET | BPF_K, 0),
	        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	struct sock_fprog filter = {RTE_DIM(code), code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) == 0;
}

/* A slot holds a frame of the MTU, if it is not a giant one, behind what the kernel writes in front. */
static uint32_t slot_size(uint16_t mtu)
{
	uint32_t front = sizeof(struct tpacket2_hdr) + sizeof(struct sockaddr_ll) + 3 * TPACKET_ALIGNMENT;
	uint32_t n = front + (uint32_t)sizeof(struct virtio_net_hdr) + port_frame_bytes(mtu);

	return RTE_MIN(RTE_MAX(rte_align32pow2(n), KERNEL_SLOT_MIN), KERNEL_SLOT_MAX);
}

static bool make_ring(struct kernel_queue *q, uint16_t mtu)
{
	struct tpacket_req req = {.tp_block_size = KERNEL_BLOCK,
	                          .tp_block_nr = KERNEL_RING_BYTES / KERNEL_BLOCK};
	int version = TPACKET_V2;
	void *ring;

	q->slot_bytes = req.tp_frame_size = slot_size(mtu);
	q->nb_slots = req.tp_frame_nr = KERNEL_RING_BYTES / q->slot_bytes;
	if (!set(q->fd, PACKET_VERSION, version) ||
	    setsockopt(q->fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req)) != 0)
		return false;
	ring = mmap(NULL, KERNEL_RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, q->fd, 0);
	if (ring == MAP_FAILED)
		return false;
	q->ring = ring;
	return true;
}

static bool bind_to(int fd, const char *name)
{
	struct sockaddr_ll a = {.sll_family = AF_PACKET,
	                        .sll_protocol = rte_cpu_to_be_16(ETH_P_ALL),
	                        .sll_ifindex = (int)if_nametoindex(name)};

	return a.sll_ifindex != 0 && bind(fd, (const struct sockaddr *)(const void *)&a, sizeof(a)) == 0;
}

/* The sockets of one port share what comes; the kernel finds the first one a number that nobody has. */
static bool join(const struct kernel_dev *d, const struct kernel_queue *q)
{
	int group = 0;
	socklen_t n = sizeof(group);

	if (d->nb_queues == 1)
		return true;
	if (q == &d->queue[0])
		return set(q->fd, PACKET_FANOUT, (PACKET_FANOUT_HASH | PACKET_FANOUT_FLAG_UNIQUEID) << 16);
	return getsockopt(d->queue[0].fd, SOL_PACKET, PACKET_FANOUT, &group, &n) == 0 &&
	       set(q->fd, PACKET_FANOUT, (group & 0xffff) | PACKET_FANOUT_HASH << 16);
}

static int open_queue(struct sl_port *p, struct kernel_queue *q, char *err, size_t cap)
{
	const char *what = "packet socket";

	if (q->fd < 0)
		q->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (q->fd < 0)
		return port_refuse(err, cap, "%s: %s: %s", p->name, what, strerror(errno));
	set_buffer(q->fd, SO_RCVBUFFORCE, SO_RCVBUF, KERNEL_RCVBUF);
	set_buffer(q->fd, SO_SNDBUFFORCE, SO_SNDBUF, KERNEL_SNDBUF);
	if (!set(q->fd, PACKET_VNET_HDR, 1))
		what = "PACKET_VNET_HDR";
	else if (!set(q->fd, PACKET_IGNORE_OUTGOING, 1))
		what = "PACKET_IGNORE_OUTGOING";
	else if (p->kernel->nb_queues > 1 && !no_own_frames(q->fd))
		what = "SO_ATTACH_FILTER";
	else if (!set(q->fd, PACKET_COPY_THRESH, 1))
		what = "PACKET_COPY_THRESH";
	else if (!make_ring(q, p->caps.mtu))
		what = "PACKET_RX_RING";
	else
		return SL_OK;
	return port_refuse(err, cap, "%s: %s: %s", p->name, what, strerror(errno));
}

/* ---- the device ---- */

static void set_caps(struct sl_port *p, bool wire)
{
	struct sl_port_caps *c = &p->caps;

	c->rx_tcp_csum = c->tx_tcp_csum = c->tso = c->lro = !wire;
	c->scatter = c->multi_seg = true;
	c->nb_rx_queues = c->nb_tx_queues = p->nb_workers;
	p->seg_max = KERNEL_TX_SEGS;
	p->tso_seg_max = wire ? 0 : KERNEL_TX_SEGS;
	p->tso_sum_has_len = true;
}

static int kernel_open(struct sl_port *p, const struct sl_port_cfg *cfg, char *err, size_t cap)
{
	size_t bytes = sizeof(struct kernel_dev) + cfg->nb_workers * sizeof(struct kernel_queue);
	/* The impairment works on what is on the wire. */
	bool wire = cfg->software_checksum || cfg->impair != NULL;
	int rc = SL_OK;

	p->kernel = aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_ALIGN_CEIL(bytes, RTE_CACHE_LINE_SIZE));
	if (p->kernel == NULL)
		return port_refuse(err, cap, "%s: out of memory", p->name);
	memset(p->kernel, 0, bytes);
	p->kernel->nb_queues = cfg->nb_workers;
	for (uint16_t i = 0; i < cfg->nb_workers; i++) {
		p->kernel->queue[i].fd = -1;
		p->kernel->queue[i].wire = wire;
	}
	p->kernel->queue[0].fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (p->kernel->queue[0].fd < 0)
		return port_refuse(err, cap, "%s: packet socket: %s", p->name, strerror(errno));
	rc = find_interface(p->name, p->kernel->queue[0].fd, &p->mac, err, cap);
	if (rc == SL_OK)
		rc = find_mtu(p, p->kernel->queue[0].fd, cfg->mtu, err, cap);
	for (uint16_t i = 0; i < cfg->nb_workers && rc == SL_OK; i++)
		rc = open_queue(p, &p->kernel->queue[i], err, cap);
	set_caps(p, wire);
	return rc;
}

static int kernel_start(struct sl_port *p, char *err, size_t cap)
{
	const char *name = port_kernel_name(p->name);

	for (uint16_t i = 0; i < p->kernel->nb_queues; i++) {
		struct kernel_queue *q = &p->kernel->queue[i];

		if (!bind_to(q->fd, name) || !join(p->kernel, q))
			return port_refuse(err, cap, "%s: queue %u: %s", p->name, i, strerror(errno));
		p->rest[i].queue_fd = q->fd;
	}
	/* What the impairment holds back no descriptor tells. */
	p->can_wait = p->impair == NULL;
	return SL_OK;
}

static void kernel_close(struct sl_port *p)
{
	if (p->kernel == NULL)
		return;
	for (uint16_t i = 0; i < p->kernel->nb_queues; i++) {
		struct kernel_queue *q = &p->kernel->queue[i];

		if (q->ring != NULL)
			(void)munmap(q->ring, KERNEL_RING_BYTES);
		if (q->fd >= 0)
			close(q->fd);
	}
	free(p->kernel);
	p->kernel = NULL;
}

static void kernel_multicast(struct sl_port *p)
{
	struct packet_mreq r = {.mr_ifindex = (int)if_nametoindex(port_kernel_name(p->name)),
	                        .mr_type = PACKET_MR_ALLMULTI};

	(void)setsockopt(p->kernel->queue[0].fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &r, sizeof(r));
}

static bool kernel_link(const struct sl_port *p)
{
	struct ifreq r = {0};

	return ask(port_kernel_name(p->name), p->kernel->queue[0].fd, SIOCGIFFLAGS, &r) == 0 &&
	       (r.ifr_flags & IFF_UP) != 0 && (r.ifr_flags & IFF_RUNNING) != 0;
}

static uint64_t count_of(const _Atomic uint64_t *n)
{
	return atomic_load_explicit(n, memory_order_relaxed);
}

static int kernel_stats(const struct sl_port *p, struct sl_port_stats *out)
{
	for (uint16_t i = 0; i < p->kernel->nb_queues; i++) {
		const struct kernel_counts *c = &p->kernel->queue[i].counts;
		struct tpacket_stats s = {0};
		socklen_t n = sizeof(s);

		if (getsockopt(p->kernel->queue[i].fd, SOL_PACKET, PACKET_STATISTICS, &s, &n) != 0)
			return sl_fail(SL_E_SYS);
		p->kernel->missed += s.tp_drops;
		out->rx_packets += count_of(&c->rx_packets);
		out->rx_bytes += count_of(&c->rx_bytes);
		out->rx_errors += count_of(&c->rx_errors);
		out->rx_no_buffer += count_of(&c->rx_no_buffer);
		out->tx_packets += count_of(&c->tx_packets);
		out->tx_bytes += count_of(&c->tx_bytes);
		out->tx_errors += count_of(&c->tx_errors);
	}
	out->rx_missed = p->kernel->missed;
	return SL_OK;
}

const struct port_dev_ops port_kernel = {
        .open = kernel_open,
        .start = kernel_start,
        .close = kernel_close,
        .rx = kernel_rx,
        .tx = kernel_tx,
        .multicast = kernel_multicast,
        .link = kernel_link,
        .stats = kernel_stats,
};
