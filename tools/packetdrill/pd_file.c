/* Descriptors and what stands behind them; what the stack tells about connections. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "pd.h"

struct pd_file *pd_file(struct pd *pd, int fd)
{
	for (int i = 0; fd >= 0 && i < PD_FDS_MAX; i++) {
		if (pd->files[i] != NULL && pd->files[i]->fd == fd)
			return pd->files[i];
	}
	return NULL;
}

struct pd_file *pd_file_new(struct pd *pd, enum pd_kind kind, int domain)
{
	struct pd_file *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	f->pd = pd;
	f->kind = kind;
	f->fd = -1;
	f->domain = domain;
	f->rcv_timeo_us = UINT64_MAX;
	f->snd_timeo_us = UINT64_MAX;
	f->sndbuf = PD_SNDBUF_MAX;
	f->rcvbuf = PD_RCVBUF;
	STAILQ_INIT(&f->accepted);
	return f;
}

/* The number is a real one, so that nothing else in the process gets it and close() works. */
int pd_file_open(struct pd_file *f)
{
	struct pd *pd = f->pd;
	int fd = eventfd(0, EFD_CLOEXEC), slot = -1;
	struct pd_file *old;

	if (fd < 0)
		return errno;
	/* The tool has closed the number behind our back. */
	old = pd_file(pd, fd);
	if (old != NULL) {
		old->fd = -1;
		pd_file_free(old);
	}
	for (int i = 0; i < PD_FDS_MAX && slot < 0; i++) {
		if (pd->files[i] == NULL)
			slot = i;
	}
	if (slot < 0) {
		(void)close(fd);
		return EMFILE;
	}
	f->fd = fd;
	pd->files[slot] = f;
	return 0;
}

static void let_go(struct pd_file *f)
{
	struct pd *pd = f->pd;

	if (f->l != NULL)
		sl_tcp_unlisten(pd->tcp, f->l);
	f->l = NULL;
	if (f->c == NULL)
		return;
	if (f->linger && f->linger_s == 0) {
		sl_tcp_abort(f->c, pd->now_us);
	} else {
		pd_push(f, true);
		sl_tcp_release(f->c);
	}
	f->c = NULL;
}

void pd_file_free(struct pd_file *f)
{
	struct pd *pd = f->pd;
	struct pd_file *child;

	while ((child = STAILQ_FIRST(&f->accepted)) != NULL) {
		STAILQ_REMOVE_HEAD(&f->accepted, next);
		/* Nobody has seen it: as the kernel does, it is reset. */
		child->linger = true;
		pd_file_free(child);
	}
	let_go(f);
	f->gone = true;
	f->connecting = false;
	for (int i = 0; i < PD_FDS_MAX; i++) {
		if (pd->files[i] == f)
			pd->files[i] = NULL;
	}
	if (f->fd >= 0)
		(void)close(f->fd);
	f->fd = -1;
	f->kind = PD_FRESH;
	if (f->nb_holds > 0) {
		f->err = EBADF;
		return;
	}
	free(f->held);
	free(f);
}

void pd_file_hold(struct pd_file *f)
{
	f->nb_holds++;
}

void pd_file_drop(struct pd_file *f)
{
	bool closed = f->fd < 0;

	f->nb_holds--;
	if (closed)
		pd_file_free(f);
}

void *pd_on_accept(void *ctx, struct sl_tcp_listener *l, void *listener_user, struct sl_tcp_conn *c)
{
	struct pd_file *lf = listener_user;
	struct pd_file *f = pd_file_new(ctx, PD_CONN, lf->domain);

	(void)l;
	if (f == NULL)
		return NULL;
	f->c = c;
	f->nodelay = lf->nodelay;
	f->cork = lf->cork;
	f->linger = lf->linger;
	f->linger_s = lf->linger_s;
	f->sndbuf = lf->sndbuf;
	f->rcvbuf = lf->rcvbuf;
	f->maxseg = lf->maxseg;
	f->rcv_timeo_us = lf->rcv_timeo_us;
	f->snd_timeo_us = lf->snd_timeo_us;
	memcpy(f->opts, lf->opts, sizeof(f->opts));
	f->nb_opts = lf->nb_opts;
	f->user_timeout_ms = lf->user_timeout_ms;
	pd_apply_options(f);
	STAILQ_INSERT_TAIL(&lf->accepted, f, next);
	lf->nb_events++;
	return f;
}

static int to_errno(int err)
{
	switch (err) {
	case SL_E_TCP_REFUSED:
		return ECONNREFUSED;
	case SL_E_TCP_TIMEOUT:
		return ETIMEDOUT;
	case SL_E_TCP_UNREACHABLE:
		return EHOSTUNREACH;
	case SL_E_TCP_ABORTED:
		return ECONNABORTED;
	case SL_E_NOMEM:
		return ENOBUFS;
	default:
		return ECONNRESET;
	}
}

void pd_on_notify(void *ctx, struct sl_tcp_conn *c, void *user, uint32_t events)
{
	struct pd_file *f = user;

	(void)ctx;
	if (f == NULL)
		return;
	f->nb_events++;
	if (events & SL_TCP_EV_CONNECTED)
		f->connecting = false;
	if (events & SL_TCP_EV_ERROR) {
		f->connecting = false;
		f->gone = true;
		f->err = to_errno(sl_tcp_error(c));
	}
}

int pd_take_err(struct pd_file *f)
{
	int err = f->err;

	f->err = 0;
	return err;
}

void pd_answered(struct pd *pd, uint16_t local_port, uint16_t remote_port)
{
	for (int i = 0; i < PD_FDS_MAX; i++) {
		struct pd_file *f = pd->files[i];

		if (f != NULL && f->c != NULL && f->more && f->local.port == local_port &&
		    sl_tcp_remote(f->c).port == remote_port)
			f->more = false;
	}
}

void pd_expect(struct pd *pd, uint16_t port)
{
	pd->route_mss = 0;
	for (int i = 0; i < PD_FDS_MAX; i++) {
		const struct pd_file *f = pd->files[i];

		if (f != NULL && f->kind == PD_LISTENER && f->local.port == port)
			pd->route_mss = (uint16_t)f->maxseg;
	}
}
