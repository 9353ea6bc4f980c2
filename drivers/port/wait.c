/* Waiting for a packet without polling: what an idle worker does. */
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_atomic.h>

#include "port_priv.h"
#include "sl_counter.h"

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

/* That the interface went down makes its socket readable until somebody has heard of it. */
static void clear_error(int fd)
{
	int error;
	socklen_t n = sizeof(error);

	(void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n);
}

void sl_port_wake(struct sl_port *p, uint16_t worker)
{
	struct port_rest *r = &p->rest[worker];
	eventfd_t rung;

	if (p->can_wait && r->queue_fd >= 0)
		clear_error(r->queue_fd);
	if (p->handoff[worker] == NULL)
		return;
	/* Whoever rang may be between its two steps still: then the bell is stilled at the next wake. */
	atomic_store(&r->resting, false);
	(void)eventfd_read(r->bell_fd, &rung);
}
