/* Opening and closing. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "pd.h"

#define BACKLOG_DEFAULT 128

static bool is_mapped(const struct sockaddr_in6 *a)
{
	return IN6_IS_ADDR_V4MAPPED(&a->sin6_addr);
}

/* From a socket address; the unspecified address is family NONE. 0, or an errno. */
static int endpoint_of(int domain, const struct sockaddr *addr, socklen_t len, struct sl_endpoint *out)
{
	memset(out, 0, sizeof(*out));
	if (domain == AF_INET && len >= sizeof(struct sockaddr_in) && addr->sa_family == AF_INET) {
		const struct sockaddr_in *a = (const void *)addr;

		out->port = ntohs(a->sin_port);
		if (a->sin_addr.s_addr != INADDR_ANY)
			out->addr = sl_addr_v4(&a->sin_addr);
		return 0;
	}
	if (domain == AF_INET6 && len >= sizeof(struct sockaddr_in6) && addr->sa_family == AF_INET6) {
		const struct sockaddr_in6 *a = (const void *)addr;

		out->port = ntohs(a->sin6_port);
		if (is_mapped(a)) {
			out->addr = sl_addr_v4(a->sin6_addr.s6_addr + 12);
		} else if (!IN6_IS_ADDR_UNSPECIFIED(&a->sin6_addr)) {
			out->addr.family = SL_AF_INET6;
			memcpy(out->addr.b, &a->sin6_addr, 16);
		}
		return 0;
	}
	return EINVAL;
}

static void endpoint_to(int domain, const struct sl_endpoint *e, struct sockaddr *addr, socklen_t *len)
{
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(e->port)};
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(e->port)};
	socklen_t n = domain == AF_INET ? sizeof(a4) : sizeof(a6);

	if (addr == NULL || len == NULL)
		return;
	memcpy(&a4.sin_addr, e->addr.b, 4);
	if (e->addr.family == SL_AF_INET) {
		memset(a6.sin6_addr.s6_addr + 10, 0xff, 2);
		memcpy(a6.sin6_addr.s6_addr + 12, e->addr.b, 4);
	} else {
		memcpy(&a6.sin6_addr, e->addr.b, 16);
	}
	memcpy(addr, domain == AF_INET ? (const void *)&a4 : (const void *)&a6, n < *len ? n : *len);
	*len = n;
}

int pd_socket(void *userdata, int domain, int type, int protocol)
{
	struct pd *pd = pd_enter(userdata);
	struct pd_file *f = NULL;
	int err = 0, fd = -1;

	if (domain != AF_INET && domain != AF_INET6)
		err = EAFNOSUPPORT;
	else if ((type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != SOCK_STREAM)
		err = ESOCKTNOSUPPORT;
	else if (protocol != 0 && protocol != IPPROTO_TCP)
		err = EPROTONOSUPPORT;
	else
		err = pd_stack(pd);
	if (err == 0) {
		f = pd_file_new(pd, PD_FRESH, domain);
		err = f != NULL ? pd_file_open(f) : ENOMEM;
	}
	if (err != 0 && f != NULL)
		pd_file_free(f);
	if (err == 0) {
		f->nonblock = (type & SOCK_NONBLOCK) != 0;
		fd = f->fd;
	}
	pd_leave(pd);
	return err == 0 ? fd : pd_fail(err);
}

int pd_bind(void *userdata, int fd, const struct sockaddr *addr, socklen_t len)
{
	struct pd *pd = pd_enter(userdata);
	struct pd_file *f = pd_file(pd, fd);
	int err = EBADF;

	if (f != NULL)
		err = f->kind != PD_FRESH || f->bound ? EINVAL : endpoint_of(f->domain, addr, len, &f->local);
	if (err == 0) {
		f->bound = true;
		if (f->local.port == 0)
			f->local.port = pd->next_port++;
	}
	pd_leave(pd);
	return err == 0 ? 0 : pd_fail(err);
}

int pd_listen(void *userdata, int fd, int backlog)
{
	struct pd *pd = pd_enter(userdata);
	struct pd_file *f = pd_file(pd, fd);
	int err = 0;

	if (f == NULL) {
		err = EBADF;
	} else if (f->kind == PD_FRESH) {
		if (!f->bound)
			f->local.port = pd->next_port++;
		f->bound = true;
		f->backlog = backlog > 0 ? (uint32_t)backlog : BACKLOG_DEFAULT;
		/* One more, as the kernel counts. */
		if (sl_tcp_listen(pd->tcp, &f->local, f->backlog + 1, f, &f->l) < 0)
			err = EADDRINUSE;
		else
			f->kind = PD_LISTENER;
	} else if (f->kind != PD_LISTENER) {
		err = EINVAL;
	}
	pd_leave(pd);
	return err == 0 ? 0 : pd_fail(err);
}

static bool can_accept(void *arg)
{
	const struct pd_file *f = arg;

	return f->kind != PD_LISTENER || !STAILQ_EMPTY(&f->accepted);
}

static uint64_t deadline(const struct pd *pd, uint64_t timeo_us)
{
	return timeo_us == UINT64_MAX ? UINT64_MAX : pd->now_us + timeo_us;
}

static int take_child(struct pd_file *f, struct pd_file **out)
{
	struct pd_file *child = STAILQ_FIRST(&f->accepted);
	int err = child != NULL ? pd_file_open(child) : EINVAL;

	if (err != 0)
		return err;
	STAILQ_REMOVE_HEAD(&f->accepted, next);
	child->local = sl_tcp_local(child->c);
	child->bound = true;
	*out = child;
	return 0;
}

int pd_accept(void *userdata, int fd, struct sockaddr *addr, socklen_t *len)
{
	struct pd *pd = pd_enter(userdata);
	struct pd_file *f = pd_file(pd, fd), *child = NULL;
	int err = 0;

	if (f == NULL)
		err = EBADF;
	else if (f->kind != PD_LISTENER)
		err = EINVAL;
	else if (STAILQ_EMPTY(&f->accepted) && f->nonblock)
		err = EAGAIN;
	if (err == 0) {
		pd_file_hold(f);
		if (pd_wait(pd, can_accept, f, deadline(pd, f->rcv_timeo_us)) != 0)
			err = EAGAIN;
		else
			err = take_child(f, &child);
		pd_file_drop(f);
	}
	if (err == 0) {
		struct sl_endpoint remote = sl_tcp_remote(child->c);

		endpoint_to(child->domain, &remote, addr, len);
		fd = child->fd;
	}
	pd_leave(pd);
	return err == 0 ? fd : pd_fail(err);
}

static bool connect_ended(void *arg)
{
	return !((const struct pd_file *)arg)->connecting;
}

static int connect_start(struct pd *pd, struct pd_file *f, const struct sl_endpoint *to)
{
	int err;

	/* The stack picks the port: a bound one cannot be kept. */
	if (f->bound)
		return EOPNOTSUPP;
	pd->route_mss = (uint16_t)f->maxseg;
	err = sl_tcp_connect(pd->tcp, to, f, pd->now_us, &f->c);
	pd->route_mss = 0;
	if (err < 0)
		return err == SL_E_TCP_NO_PORT ? EADDRNOTAVAIL : ENETUNREACH;
	f->kind = PD_CONN;
	pd_apply_options(f);
	f->connecting = true;
	f->local = sl_tcp_local(f->c);
	pd_settle(pd);
	return 0;
}

static int connect_again(struct pd_file *f)
{
	if (f->kind != PD_CONN)
		return EINVAL;
	if (f->connecting)
		return EALREADY;
	return f->err != 0 ? pd_take_err(f) : EISCONN;
}

int pd_connect(void *userdata, int fd, const struct sockaddr *addr, socklen_t len)
{
	struct pd *pd = pd_enter(userdata);
	struct pd_file *f = pd_file(pd, fd);
	struct sl_endpoint to;
	int err;

	if (f == NULL) {
		err = EBADF;
	} else if (f->kind != PD_FRESH) {
		err = connect_again(f);
	} else {
		err = endpoint_of(f->domain, addr, len, &to);
		if (err == 0)
			err = connect_start(pd, f, &to);
		if (err == 0 && f->nonblock)
			err = EINPROGRESS;
		if (err == 0) {
			pd_file_hold(f);
			err = pd_wait(pd, connect_ended, f, deadline(pd, f->snd_timeo_us));
			err = err == 0 ? pd_take_err(f) : EINPROGRESS;
			pd_file_drop(f);
		}
	}
	pd_leave(pd);
	return err == 0 ? 0 : pd_fail(err);
}

int pd_close(void *userdata, int fd)
{
	struct pd *pd = pd_enter(userdata);
	struct pd_file *f = pd_file(pd, fd);

	if (f != NULL) {
		pd_file_free(f);
		pd_settle(pd);
	}
	pd_leave(pd);
	return f != NULL ? 0 : pd_fail(EBADF);
}

int pd_shutdown(void *userdata, int fd, int how)
{
	struct pd *pd = pd_enter(userdata);
	struct pd_file *f = pd_file(pd, fd);
	int err = 0;

	if (f == NULL)
		err = EBADF;
	else if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
		err = EINVAL;
	else if (f->kind != PD_CONN || f->gone)
		err = ENOTCONN;
	if (err == 0) {
		if (how != SHUT_WR)
			f->rd_shut = true;
		if (how != SHUT_RD && !f->wr_shut) {
			pd_push(f, true);
			f->wr_shut = true;
			sl_tcp_shutdown(f->c);
		}
		f->nb_events++;
		pd_settle(pd);
	}
	pd_leave(pd);
	return err == 0 ? 0 : pd_fail(err);
}
