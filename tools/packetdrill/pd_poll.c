/* poll and epoll over our descriptors. */
#include <errno.h>
#include <string.h>

#include "pd.h"

static uint32_t state_of(const struct pd_file *f)
{
	uint32_t ev = 0;

	if (f->kind == PD_FRESH)
		return EPOLLOUT | EPOLLHUP;
	if (f->kind == PD_EPOLL)
		return 0;
	if (pd_readable(f))
		ev |= EPOLLIN | EPOLLRDNORM;
	if (f->kind == PD_LISTENER)
		return ev;
	if (f->rd_shut || f->gone || sl_tcp_eof(f->c))
		ev |= EPOLLRDHUP;
	if (pd_writable(f))
		ev |= EPOLLOUT | EPOLLWRNORM;
	if (f->gone || (f->wr_shut && (f->rd_shut || sl_tcp_eof(f->c))))
		ev |= EPOLLHUP;
	if (f->err != 0)
		ev |= EPOLLERR;
	return ev;
}

static uint64_t deadline_of(const struct pd *pd, int timeout_ms)
{
	return timeout_ms < 0 ? UINT64_MAX : pd->now_us + (uint64_t)timeout_ms * 1000;
}

struct poll_call {
	struct pd *pd;
	struct pollfd *fds;
	nfds_t nb;
	int nb_ready;
};

static bool poll_ready(void *arg)
{
	struct poll_call *call = arg;

	call->nb_ready = 0;
	for (nfds_t i = 0; i < call->nb; i++) {
		struct pollfd *p = &call->fds[i];
		const struct pd_file *f = pd_file(call->pd, p->fd);
		uint32_t wanted = (uint32_t)(uint16_t)p->events | POLLERR | POLLHUP;

		p->revents = 0;
		if (p->fd >= 0)
			p->revents = f == NULL ? POLLNVAL : (short)(state_of(f) & wanted);
		if (p->revents != 0)
			call->nb_ready++;
	}
	return call->nb_ready > 0;
}

int pd_poll(void *userdata, struct pollfd *fds, nfds_t nb, int timeout_ms)
{
	struct pd *pd = pd_enter(userdata);
	struct poll_call call = {pd, fds, nb, 0};

	if (!poll_ready(&call) && timeout_ms != 0)
		(void)pd_wait(pd, poll_ready, &call, deadline_of(pd, timeout_ms));
	pd_leave(pd);
	return call.nb_ready;
}

int pd_epoll_create(void *userdata, int size)
{
	struct pd *pd = pd_enter(userdata);
	struct pd_file *f = size > 0 ? pd_file_new(pd, PD_EPOLL, 0) : NULL;
	int err = size <= 0 ? EINVAL : ENOMEM, fd = -1;

	if (f != NULL)
		err = pd_file_open(f);
	if (err == 0)
		fd = f->fd;
	else if (f != NULL)
		pd_file_free(f);
	pd_leave(pd);
	return err == 0 ? fd : pd_fail(err);
}

static struct pd_watch *find_watch(struct pd_file *ep, int fd)
{
	for (int i = 0; i < ep->nb_watch; i++) {
		if (ep->watch[i].fd == fd)
			return &ep->watch[i];
	}
	return NULL;
}

static int change(struct pd_file *ep, int op, int fd, const struct epoll_event *event)
{
	struct pd_watch *w = find_watch(ep, fd);

	switch (op) {
	case EPOLL_CTL_ADD:
		if (w != NULL)
			return EEXIST;
		if (ep->nb_watch == PD_EPOLL_MAX)
			return ENOSPC;
		w = &ep->watch[ep->nb_watch++];
		break;
	case EPOLL_CTL_MOD:
		if (w == NULL)
			return ENOENT;
		break;
	case EPOLL_CTL_DEL:
		if (w == NULL)
			return ENOENT;
		*w = ep->watch[--ep->nb_watch];
		return 0;
	default:
		return EINVAL;
	}
	/* Set anew, it reports once what is there already. */
	*w = (struct pd_watch){.fd = fd, .ev = *event, .seen = UINT64_MAX};
	return 0;
}

int pd_epoll_ctl(void *userdata, int epfd, int op, int fd, struct epoll_event *event)
{
	struct pd *pd = pd_enter(userdata);
	struct pd_file *ep = pd_file(pd, epfd);
	int err;

	if (ep == NULL || pd_file(pd, fd) == NULL)
		err = EBADF;
	else if (ep->kind != PD_EPOLL || epfd == fd)
		err = EINVAL;
	else
		err = change(ep, op, fd, event);
	pd_leave(pd);
	return err == 0 ? 0 : pd_fail(err);
}

/* What is to be reported of one descriptor now. */
static uint32_t watch_events(const struct pd *pd, const struct pd_watch *w)
{
	const struct pd_file *f = pd_file((struct pd *)(uintptr_t)pd, w->fd);

	if (f == NULL || w->off || ((w->ev.events & EPOLLET) != 0 && w->seen == f->nb_events))
		return 0;
	return state_of(f) & (w->ev.events | EPOLLERR | EPOLLHUP);
}

static bool epoll_ready(void *arg)
{
	const struct pd_file *ep = arg;

	for (int i = 0; i < ep->nb_watch; i++) {
		if (watch_events(ep->pd, &ep->watch[i]) != 0)
			return true;
	}
	return ep->gone;
}

static int report(struct pd_file *ep, struct epoll_event *events, int max)
{
	int n = 0;

	for (int i = 0; i < ep->nb_watch && n < max; i++) {
		struct pd_watch *w = &ep->watch[i];
		uint32_t ev = watch_events(ep->pd, w);

		if (ev == 0)
			continue;
		events[n].events = ev;
		events[n++].data = w->ev.data;
		w->seen = pd_file(ep->pd, w->fd)->nb_events;
		w->off = (w->ev.events & EPOLLONESHOT) != 0;
	}
	return n;
}

int pd_epoll_wait(void *userdata, int epfd, struct epoll_event *events, int max, int timeout_ms)
{
	struct pd *pd = pd_enter(userdata);
	struct pd_file *ep = pd_file(pd, epfd);
	int rc = -1, err = 0;

	if (ep == NULL)
		err = EBADF;
	else if (ep->kind != PD_EPOLL || max <= 0)
		err = EINVAL;
	if (err == 0) {
		pd_file_hold(ep);
		if (!epoll_ready(ep) && timeout_ms != 0)
			(void)pd_wait(pd, epoll_ready, ep, deadline_of(pd, timeout_ms));
		rc = report(ep, events, max);
		pd_file_drop(ep);
	}
	pd_leave(pd);
	return err == 0 ? rc : pd_fail(err);
}
