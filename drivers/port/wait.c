/* Waiting for a packet without polling: what an idle worker does. */
#include <dirent.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_packet.h>

#include <rte_atomic.h>

#include "port_priv.h"
#include "sl_counter.h"

/* The socket is bound to the interface. */
static bool is_socket_of(int fd, unsigned int if_index)
{
	struct sockaddr_ll a = {0};
	socklen_t n = sizeof(a);

	return getsockname(fd, (struct sockaddr *)(void *)&a, &n) == 0 && a.sll_family == AF_PACKET &&
	       (unsigned int)a.sll_ifindex == if_index;
}

/*
 * The driver keeps its packet sockets to itself, so they are looked for among all descriptors. It opens one
 * for each queue, in their order and one right behind the other, and the kernel gives the lowest number that
 * is free: the lower number is the lower queue. Returns how many there are, of which the first `cap` are
 * written.
 */
static uint16_t find_sockets(unsigned int if_index, int *fds, uint16_t cap)
{
	DIR *d = opendir("/proc/self/fd");
	uint16_t nb = 0;

	if (d == NULL)
		return 0;
	for (const struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
		int fd = (int)strtol(e->d_name, NULL, 10);
		uint16_t at = nb;

		if (e->d_name[0] == '.' || !is_socket_of(fd, if_index))
			continue;
		if (nb++ >= cap)
			continue;
		for (; at > 0 && fds[at - 1] > fd; at--)
			fds[at] = fds[at - 1];
		fds[at] = fd;
	}
	closedir(d);
	return nb;
}

void port_find_wait(struct sl_port *p, const struct rte_eth_dev_info *info)
{
	int fds[PORT_WORKERS_MAX];
	uint16_t nb = p->caps.nb_rx_queues;

	/* What the impairment holds back no descriptor tells. */
	if (p->impair != NULL || info->if_index == 0 || info->driver_name == NULL ||
	    strcmp(info->driver_name, "net_af_packet") != 0)
		return;
	if (nb > PORT_WORKERS_MAX || find_sockets(info->if_index, fds, PORT_WORKERS_MAX) != nb)
		return;
	for (uint16_t q = 0; q < nb; q++)
		p->rest[q].queue_fd = fds[q];
	p->can_wait = true;
}

/* ---- the bells ---- */

void port_bells_init(struct sl_port *p)
{
	for (uint16_t w = 0; w < PORT_WORKERS_MAX; w++)
		p->rest[w].queue_fd = p->rest[w].bell_fd = -1;
}

int port_bells_make(struct sl_port *p)
{
	for (uint16_t w = 0; w < p->nb_workers; w++) {
		p->rest[w].bell_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (p->rest[w].bell_fd < 0)
			return sl_fail(SL_E_SYS);
	}
	return SL_OK;
}

void port_bells_free(struct sl_port *p)
{
	for (uint16_t w = 0; w < PORT_WORKERS_MAX; w++) {
		if (p->rest[w].bell_fd >= 0)
			close(p->rest[w].bell_fd);
	}
}

/*
 * The packet is in the ring before `resting` is read here, and `resting` is set before the ring is looked at
 * in sl_port_rest(): with a full barrier between the two on either side one of them sees what the other did.
 */
void port_ring_bell(struct sl_port *p, uint16_t worker)
{
	struct port_rest *r = &p->rest[worker];

	rte_smp_mb();
	if (likely(!atomic_load_explicit(&r->resting, memory_order_relaxed)))
		return;
	if (atomic_exchange(&r->resting, false))
		(void)eventfd_write(r->bell_fd, 1); /* once for each rest: it cannot overflow */
}

uint16_t sl_port_wait_fds(const struct sl_port *p, uint16_t worker, int fds[SL_PORT_WAIT_FDS])
{
	uint16_t n = 0;

	if (!p->can_wait)
		return 0;
	if (p->rest[worker].queue_fd >= 0)
		fds[n++] = p->rest[worker].queue_fd;
	if (p->rest[worker].bell_fd >= 0)
		fds[n++] = p->rest[worker].bell_fd;
	return n;
}

bool sl_port_rest(struct sl_port *p, uint16_t worker)
{
	if (p->handoff[worker] == NULL)
		return true;
	atomic_store_explicit(&p->rest[worker].resting, true, memory_order_relaxed);
	rte_smp_mb();
	return rte_ring_empty(p->handoff[worker]) != 0;
}

void sl_port_wake(struct sl_port *p, uint16_t worker)
{
	eventfd_t rung;

	if (p->handoff[worker] == NULL)
		return;
	if (!atomic_exchange(&p->rest[worker].resting, false))
		(void)eventfd_read(p->rest[worker].bell_fd, &rung);
}
