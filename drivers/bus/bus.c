#include "sl_bus.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "sl_counter.h"
#include "spsc.h"

#define BUS_WORKERS_MAX 256
#define BUS_MSGS_MAX    65536

/*
 * One direction of one worker. A message is at every moment in exactly one place: in `free`, with the sender,
 * in `sent`, or with the receiver. Both queues hold as many as there are messages, so a push finds room
 * unless a caller gives the same message away twice.
 */
struct lane {
	struct sl_msg *msgs;
	uint32_t nb_msgs;
	struct spsc sent;     /* sender -> receiver */
	struct spsc returned; /* receiver -> sender, cleared; of one that was refused the type and flow are
	                         left */
	/* The sender's own, no other thread looks here: free ones, and refused ones that it has not looked
	 * at. */
	struct sl_msg **unsent, **refused;
	uint32_t nb_unsent, nb_refused;
};

struct link {
	struct lane up;                 /* worker -> management */
	struct lane down;               /* management -> worker */
	_Alignas(SPSC_LINE) bool dirty; /* worker only: something was sent or returned since the last kick */
	_Alignas(SPSC_LINE) bool gone;  /* management only: the worker has died */
};

struct sl_bus {
	uint32_t nb_workers;
	int fd;
	struct link link[];
};

static bool is_power_of_two(uint32_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

static void lane_fini(struct lane *l)
{
	if (l->msgs != NULL)
		sl_cleanse(l->msgs, (size_t)l->nb_msgs * sizeof(*l->msgs));
	free(l->msgs);
	free(l->unsent);
	free(l->refused);
	spsc_fini(&l->sent);
	spsc_fini(&l->returned);
}

static bool lane_init(struct lane *l, uint32_t nb_msgs)
{
	l->nb_msgs = nb_msgs;
	l->msgs = calloc(nb_msgs, sizeof(*l->msgs));
	l->unsent = calloc(nb_msgs, sizeof(*l->unsent));
	l->refused = calloc(nb_msgs, sizeof(*l->refused));
	if (l->msgs == NULL || l->unsent == NULL || l->refused == NULL || !spsc_init(&l->sent, nb_msgs) ||
	    !spsc_init(&l->returned, nb_msgs))
		return false;
	for (uint32_t i = nb_msgs; i > 0; i--)
		l->unsent[l->nb_unsent++] = &l->msgs[i - 1];
	return true;
}

static bool lane_has(const struct lane *l, const struct sl_msg *m)
{
	return m >= l->msgs && m < l->msgs + l->nb_msgs;
}

/* What has come back, sorted. */
static void lane_take_back(struct lane *l)
{
	struct sl_msg *m;

	while ((m = spsc_pop(&l->returned)) != NULL) {
		if (m->type != 0)
			l->refused[l->nb_refused++] = m;
		else
			l->unsent[l->nb_unsent++] = m;
	}
}

static struct sl_msg *lane_new(struct lane *l)
{
	if (l->nb_unsent == 0)
		lane_take_back(l);
	return l->nb_unsent > 0 ? l->unsent[--l->nb_unsent] : NULL;
}

static void lane_send(struct lane *l, struct sl_msg *m)
{
	if (!lane_has(l, m) || !spsc_push(&l->sent, m))
		(void)sl_fail(SL_E_INVAL);
}

/* The whole message is cleared, whatever its type says: rare enough, and no arm of the union can be
 * forgotten. */
static void lane_return(struct lane *l, struct sl_msg *m)
{
	sl_cleanse(m, sizeof(*m));
	if (!spsc_push(&l->returned, m))
		(void)sl_fail(SL_E_INVAL);
}

static void lane_unsend(struct lane *l, struct sl_msg *m)
{
	sl_cleanse(m, sizeof(*m));
	if (l->nb_unsent < l->nb_msgs)
		l->unsent[l->nb_unsent++] = m;
	else
		(void)sl_fail(SL_E_INVAL);
}

/* `in`: the lane that the caller receives from; `out`: the one that it sends on. */
static void lanes_done(struct lane *in, struct lane *out, struct sl_msg *m)
{
	if (m == NULL)
		return;
	if (lane_has(in, m))
		lane_return(in, m);
	else if (lane_has(out, m))
		lane_unsend(out, m);
	else
		(void)sl_fail(SL_E_INVAL);
}

struct sl_bus *sl_bus_new(uint32_t nb_workers, uint32_t nb_msgs)
{
	struct sl_bus *b;
	size_t bytes;

	if (nb_workers == 0 || nb_workers > BUS_WORKERS_MAX || !is_power_of_two(nb_msgs) ||
	    nb_msgs > BUS_MSGS_MAX)
		return NULL;
	bytes = sizeof(*b) + nb_workers * sizeof(b->link[0]);
	b = aligned_alloc(SPSC_LINE, (bytes + SPSC_LINE - 1) / SPSC_LINE * SPSC_LINE);
	if (b == NULL)
		return NULL;
	memset(b, 0, bytes);
	b->nb_workers = nb_workers;
	b->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (b->fd < 0)
		goto fail;
	for (uint32_t i = 0; i < nb_workers; i++) {
		if (!lane_init(&b->link[i].up, nb_msgs) || !lane_init(&b->link[i].down, nb_msgs))
			goto fail;
	}
	return b;
fail:
	sl_bus_free(b);
	return NULL;
}

void sl_bus_free(struct sl_bus *b)
{
	if (b == NULL)
		return;
	for (uint32_t i = 0; i < b->nb_workers; i++) {
		lane_fini(&b->link[i].up);
		lane_fini(&b->link[i].down);
	}
	if (b->fd >= 0)
		(void)close(b->fd);
	free(b);
}

uint32_t sl_bus_workers(const struct sl_bus *b)
{
	return b->nb_workers;
}

int sl_bus_mgmt_fd(const struct sl_bus *b)
{
	return b->fd;
}

struct sl_msg *sl_bus_worker_new(struct sl_bus *b, uint32_t worker)
{
	return worker < b->nb_workers ? lane_new(&b->link[worker].up) : NULL;
}

void sl_bus_worker_send(struct sl_bus *b, uint32_t worker, struct sl_msg *m)
{
	if (worker >= b->nb_workers) {
		(void)sl_fail(SL_E_INVAL);
		return;
	}
	lane_send(&b->link[worker].up, m);
	b->link[worker].dirty = true;
}

struct sl_msg *sl_bus_worker_recv(struct sl_bus *b, uint32_t worker)
{
	return worker < b->nb_workers ? spsc_pop(&b->link[worker].down.sent) : NULL;
}

void sl_bus_worker_done(struct sl_bus *b, uint32_t worker, struct sl_msg *m)
{
	if (worker >= b->nb_workers) {
		(void)sl_fail(SL_E_INVAL);
		return;
	}
	lanes_done(&b->link[worker].down, &b->link[worker].up, m);
	/* Management may be waiting for a free message: it must learn that there is one. */
	b->link[worker].dirty = true;
}

void sl_bus_worker_refuse(struct sl_bus *b, uint32_t worker, struct sl_msg *m)
{
	const enum sl_msg_type type = m->type;
	const struct sl_flow_ref flow = m->flow;
	struct lane *l;

	if (worker >= b->nb_workers || type == 0 || !lane_has(&b->link[worker].down, m)) {
		(void)sl_fail(SL_E_INVAL);
		return;
	}
	l = &b->link[worker].down;
	sl_cleanse(m, sizeof(*m));
	m->type = type;
	m->flow = flow;
	if (!spsc_push(&l->returned, m))
		(void)sl_fail(SL_E_INVAL);
	b->link[worker].dirty = true;
}

/*
 * One write for all that was sent or given back since the last kick. EAGAIN says that the counter is at its
 * maximum: readable already. EINTR cannot be returned by a write that does not block; trying again costs
 * nothing.
 */
void sl_bus_worker_kick(struct sl_bus *b, uint32_t worker)
{
	const uint64_t one = 1;
	ssize_t n;

	if (worker >= b->nb_workers || !b->link[worker].dirty)
		return;
	do {
		n = write(b->fd, &one, sizeof(one));
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN) {
		(void)sl_fail(SL_E_SYS);
		return; /* still dirty: tried again in the next loop */
	}
	b->link[worker].dirty = false;
}

static bool is_there(const struct sl_bus *b, uint32_t worker)
{
	return worker < b->nb_workers && !b->link[worker].gone;
}

void sl_bus_worker_gone(struct sl_bus *b, uint32_t worker)
{
	struct link *l;

	if (!is_there(b, worker))
		return;
	l = &b->link[worker];
	l->gone = true;
	sl_cleanse(l->up.msgs, (size_t)l->up.nb_msgs * sizeof(*l->up.msgs));
	sl_cleanse(l->down.msgs, (size_t)l->down.nb_msgs * sizeof(*l->down.msgs));
}

struct sl_msg *sl_bus_mgmt_new(struct sl_bus *b, uint32_t worker)
{
	return is_there(b, worker) ? lane_new(&b->link[worker].down) : NULL;
}

void sl_bus_mgmt_send(struct sl_bus *b, uint32_t worker, struct sl_msg *m)
{
	if (worker >= b->nb_workers) {
		(void)sl_fail(SL_E_INVAL);
		return;
	}
	lane_send(&b->link[worker].down, m);
}

struct sl_msg *sl_bus_mgmt_refused(struct sl_bus *b, uint32_t worker)
{
	struct lane *l;

	if (!is_there(b, worker))
		return NULL;
	l = &b->link[worker].down;
	lane_take_back(l);
	return l->nb_refused > 0 ? l->refused[--l->nb_refused] : NULL;
}

struct sl_msg *sl_bus_mgmt_recv(struct sl_bus *b, uint32_t worker)
{
	return is_there(b, worker) ? spsc_pop(&b->link[worker].up.sent) : NULL;
}

void sl_bus_mgmt_done(struct sl_bus *b, uint32_t worker, struct sl_msg *m)
{
	if (worker >= b->nb_workers) {
		(void)sl_fail(SL_E_INVAL);
		return;
	}
	lanes_done(&b->link[worker].up, &b->link[worker].down, m);
}
