/*
 * Bytes in and out of a connection. The stack sends what it is given (Nagle off); holding small segments back
 * (Nagle with Minshall's rule, TCP_CORK, MSG_MORE) is done here, in front of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pd.h"

#define SPANS     16
#define IOV_MAX_N 1024
#define TS_BYTES  12
#define CORK_US   200000U /* what a caller that said "more" may hold back when nothing is in flight */

struct io {
	struct iovec *iov;
	size_t nb, n; /* n: bytes in all */
};

static int io_init(struct io *io, const struct iovec *iov, size_t nb)
{
	*io = (struct io){(struct iovec *)iov, nb, 0};
	if (nb > IOV_MAX_N)
		return EINVAL;
	for (size_t i = 0; i < nb; i++)
		io->n += iov[i].iov_len;
	return 0;
}

/* ---- holding back ---- */

size_t pd_queued(const struct pd_file *f)
{
	return f->nb_held + (f->c != NULL ? sl_tcp_unacked(f->c) : 0);
}

size_t pd_full_segment(const struct pd_file *f)
{
	struct sl_tcp_info info;
	uint32_t options;

	sl_tcp_get_info(f->c, &info);
	options = info.ts ? TS_BYTES : 0;
	return info.mss > options ? info.mss - options : 1;
}

static uint64_t rto_of(const struct pd_file *f)
{
	struct sl_tcp_info info;

	sl_tcp_get_info(f->c, &info);
	return info.rto_us > 0 ? info.rto_us : CORK_US;
}

/* Bytes of the `have` that are held which may go now. */
static size_t may_go(const struct pd_file *f, size_t have)
{
	size_t mss = pd_full_segment(f), whole = have - have % mss;
	uint64_t acked = f->pushed - sl_tcp_unacked(f->c);

	if (f->more || f->cork)
		return whole;
	if (f->nodelay || f->small_end <= acked)
		return have;
	return whole;
}

static void held_drop(struct pd_file *f, size_t n)
{
	f->nb_held -= n;
	memmove(f->held, f->held + n, f->nb_held);
	if (f->nb_held == 0)
		f->held_until_us = 0;
}

void pd_push(struct pd_file *f, bool all)
{
	size_t n, took;

	if (f->c == NULL || f->gone || f->nb_held == 0 || f->connecting)
		return;
	n = all ? f->nb_held : may_go(f, f->nb_held);
	sl_tcp_set_more(f->c, f->wrote_more);
	took = n > 0 ? sl_tcp_write(f->c, sl_span(f->held, n)) : 0;
	f->pushed += took;
	if (took % pd_full_segment(f) != 0)
		f->small_end = f->pushed;
	held_drop(f, took);
	if (f->nb_held > 0 && f->held_until_us == 0 && sl_tcp_unacked(f->c) == 0)
		f->held_until_us = f->pd->now_us + rto_of(f);
}

static int held_add(struct pd_file *f, const void *p, size_t n)
{
	if (f->nb_held + n > f->held_cap) {
		size_t cap = (f->nb_held + n) * 2;
		uint8_t *q = realloc(f->held, cap);

		if (q == NULL)
			return ENOBUFS;
		f->held = q;
		f->held_cap = cap;
	}
	memcpy(f->held + f->nb_held, p, n);
	f->nb_held += n;
	return 0;
}

/* ---- writing ---- */

bool pd_writable(const struct pd_file *f)
{
	return f->gone || f->wr_shut || (!f->connecting && pd_queued(f) < f->sndbuf);
}

/* A writer that waits goes on when a third of the buffer is free. */
static bool can_write_on(void *arg)
{
	const struct pd_file *f = arg;

	return f->gone || f->wr_shut || (!f->connecting && pd_queued(f) + pd_queued(f) / 2 <= f->sndbuf);
}

static int write_error(struct pd_file *f)
{
	if (f->kind != PD_CONN)
		return f->kind == PD_EPOLL ? EINVAL : EPIPE;
	if (f->err != 0)
		return pd_take_err(f);
	return f->wr_shut || f->gone ? EPIPE : 0;
}

/* As the kernel has it: bytes wait in buffers of whole segments for half of the peer's window; the last one
 * may always be filled, a further one begun while there is any room. */
static size_t room(const struct pd_file *f)
{
	size_t mss = pd_full_segment(f), each, last;
	struct sl_tcp_info info;

	sl_tcp_get_info(f->c, &info);
	each = info.snd_wnd / 2 < PD_CHUNK_BYTES ? info.snd_wnd / 2 : PD_CHUNK_BYTES;
	each = each > mss ? each - each % mss : mss;
	last = (f->nb_held + info.not_sent_bytes) % each;
	return last > 0 || pd_queued(f) < f->sndbuf ? each - last : 0;
}

/* Takes what there is room for; returns how much, or -errno. */
static ssize_t write_some(struct pd_file *f, const uint8_t *p, size_t n)
{
	size_t may = f->c != NULL ? room(f) : PD_CHUNK_BYTES;
	int err;

	n = n < may ? n : may;
	if (n == 0)
		return 0;
	err = held_add(f, p, n);
	if (err != 0)
		return -err;
	pd_push(f, false);
	sl_tcp_flush(f->pd->tcp, f->pd->now_us);
	return (ssize_t)n;
}

static ssize_t write_all(struct pd_file *f, const uint8_t *p, size_t n, bool wait)
{
	struct pd *pd = f->pd;
	uint64_t until = f->snd_timeo_us == UINT64_MAX ? UINT64_MAX : pd->now_us + f->snd_timeo_us;
	size_t done = 0;

	while (done < n) {
		int err = write_error(f);
		ssize_t r = err == 0 ? write_some(f, p + done, n - done) : -err;

		if (r < 0)
			return done > 0 ? (ssize_t)done : r;
		done += (size_t)r;
		if (r > 0)
			continue;
		if (!wait || pd_wait(pd, can_write_on, f, until) != 0)
			return done > 0 ? (ssize_t)done : -EAGAIN;
	}
	return (ssize_t)done;
}

static ssize_t send_io(void *userdata, int fd, const struct io *io, int flags)
{
	struct pd *pd = pd_enter(userdata);
	struct pd_file *f = pd_file(pd, fd);
	ssize_t rc = 0;

	if (f == NULL)
		rc = -EBADF;
	else if (flags & ~(MSG_DONTWAIT | MSG_MORE | MSG_NOSIGNAL | MSG_EOR))
		rc = -EOPNOTSUPP;
	else
		rc = -write_error(f);
	if (rc == 0) {
		bool wait = !f->nonblock && !(flags & MSG_DONTWAIT);
		size_t done = 0;

		f->more = (flags & MSG_MORE) != 0;
		pd_file_hold(f);
		for (size_t i = 0; i < io->nb && rc >= 0; i++) {
			if (i + 1 < io->nb)
				f->more = true;
			else
				f->more = (flags & MSG_MORE) != 0;
			f->wrote_more = f->more;
			rc = write_all(f, io->iov[i].iov_base, io->iov[i].iov_len, wait);
			done += rc > 0 ? (size_t)rc : 0;
			if (rc >= 0 && (size_t)rc < io->iov[i].iov_len)
				break;
		}
		rc = done > 0 ? (ssize_t)done : rc;
		pd_settle(pd);
		pd_file_drop(f);
	}
	pd_leave(pd);
	return rc >= 0 ? rc : pd_fail((int)-rc);
}

ssize_t pd_sendmsg(void *userdata, int fd, const struct msghdr *msg, int flags)
{
	struct io io;
	int err = io_init(&io, msg->msg_iov, msg->msg_iovlen);

	return err == 0 ? send_io(userdata, fd, &io, flags) : pd_fail(err);
}

ssize_t pd_send(void *userdata, int fd, const void *buf, size_t n, int flags)
{
	struct iovec v = {(void *)(uintptr_t)buf, n};
	struct io io = {&v, 1, n};

	return send_io(userdata, fd, &io, flags);
}

ssize_t pd_sendto(void *userdata, int fd, const void *buf, size_t n, int flags, const struct sockaddr *addr,
                  socklen_t len)
{
	/* A connected stream has one peer. */
	(void)addr;
	(void)len;
	return pd_send(userdata, fd, buf, n, flags);
}

ssize_t pd_write(void *userdata, int fd, const void *buf, size_t n)
{
	return pd_send(userdata, fd, buf, n, 0);
}

ssize_t pd_writev(void *userdata, int fd, const struct iovec *iov, int nb)
{
	struct io io;
	int err = nb < 0 ? EINVAL : io_init(&io, iov, (size_t)nb);

	return err == 0 ? send_io(userdata, fd, &io, 0) : pd_fail(err);
}

/* ---- reading ---- */

bool pd_readable(const struct pd_file *f)
{
	if (f->kind == PD_LISTENER)
		return !STAILQ_EMPTY(&f->accepted);
	return f->kind != PD_CONN || f->gone || f->rd_shut || sl_tcp_readable(f->c) > 0 || sl_tcp_eof(f->c);
}

static bool can_read(void *arg)
{
	return pd_readable(arg);
}

/* Copies to the vector from its byte `at` on; returns how much. */
static size_t scatter(const struct io *io, size_t at, const uint8_t *p, size_t n)
{
	size_t done = 0;

	for (size_t i = 0; i < io->nb && done < n; i++) {
		size_t len = io->iov[i].iov_len, part;

		if (at >= len) {
			at -= len;
			continue;
		}
		part = len - at < n - done ? len - at : n - done;
		memcpy((uint8_t *)io->iov[i].iov_base + at, p + done, part);
		done += part;
		at = 0;
	}
	return done;
}

static size_t take(struct pd_file *f, const struct io *io, bool peek)
{
	size_t done = 0;

	while (done < io->n) {
		struct sl_span v[SPANS];
		uint32_t nb = sl_tcp_peek(f->c, v, SPANS);
		size_t round = 0;

		for (uint32_t i = 0; i < nb; i++)
			round += scatter(io, done + round, v[i].p, v[i].n);
		done += round;
		if (peek || round == 0)
			break;
		sl_tcp_consume(f->c, round);
	}
	return done;
}

/* What a call gives that finds no bytes; -EAGAIN: it may wait. */
static ssize_t no_bytes(struct pd_file *f)
{
	if (f->err != 0)
		return -pd_take_err(f);
	return f->rd_shut || f->gone || sl_tcp_eof(f->c) ? 0 : -EAGAIN;
}

static ssize_t recv_bytes(struct pd_file *f, const struct io *io, int flags)
{
	struct pd *pd = f->pd;
	uint64_t until = f->rcv_timeo_us == UINT64_MAX ? UINT64_MAX : pd->now_us + f->rcv_timeo_us;
	bool wait = !f->nonblock && !(flags & MSG_DONTWAIT);
	size_t n;
	ssize_t rc;

	if (f->kind != PD_CONN)
		return f->kind == PD_EPOLL ? -EINVAL : -ENOTCONN;
	if (wait && !pd_readable(f))
		(void)pd_wait(pd, can_read, f, until);
	if (f->c == NULL)
		return -EBADF;
	n = take(f, io, (flags & MSG_PEEK) != 0);
	rc = n > 0 || io->n == 0 ? (ssize_t)n : no_bytes(f);
	pd_settle(pd);
	return rc;
}

static ssize_t recv_io(void *userdata, int fd, const struct io *io, int flags)
{
	struct pd *pd = pd_enter(userdata);
	struct pd_file *f = pd_file(pd, fd);
	ssize_t rc = -EBADF;

	if (flags & ~(MSG_DONTWAIT | MSG_PEEK | MSG_NOSIGNAL | MSG_WAITALL | MSG_TRUNC | MSG_CMSG_CLOEXEC)) {
		rc = -EOPNOTSUPP;
	} else if (f != NULL) {
		pd_file_hold(f);
		rc = recv_bytes(f, io, flags);
		pd_file_drop(f);
	}
	pd_leave(pd);
	return rc >= 0 ? rc : pd_fail((int)-rc);
}

ssize_t pd_recvmsg(void *userdata, int fd, struct msghdr *msg, int flags)
{
	struct io io;
	int err = io_init(&io, msg->msg_iov, msg->msg_iovlen);

	msg->msg_namelen = 0;
	msg->msg_controllen = 0;
	msg->msg_flags = 0;
	return err == 0 ? recv_io(userdata, fd, &io, flags) : pd_fail(err);
}

ssize_t pd_recv(void *userdata, int fd, void *buf, size_t n, int flags)
{
	struct iovec v = {buf, n};
	struct io io = {&v, 1, n};

	return recv_io(userdata, fd, &io, flags);
}

ssize_t pd_recvfrom(void *userdata, int fd, void *buf, size_t n, int flags, struct sockaddr *addr,
                    socklen_t *len)
{
	(void)addr;
	if (len != NULL)
		*len = 0;
	return pd_recv(userdata, fd, buf, n, flags);
}

ssize_t pd_read(void *userdata, int fd, void *buf, size_t n)
{
	return pd_recv(userdata, fd, buf, n, 0);
}

ssize_t pd_readv(void *userdata, int fd, const struct iovec *iov, int nb)
{
	struct io io;
	int err = nb < 0 ? EINVAL : io_init(&io, iov, (size_t)nb);

	return err == 0 ? recv_io(userdata, fd, &io, 0) : pd_fail(err);
}

/* ---- pipes: the kernel's; what is spliced between them and a socket is copied ---- */

int pd_pipe(void *userdata, int fds[2])
{
	(void)userdata;
	return pipe2(fds, O_CLOEXEC);
}

static bool is_ours(void *userdata, int fd)
{
	struct pd *pd = pd_enter(userdata);
	bool ours = pd_file(pd, fd) != NULL;

	pd_leave(pd);
	return ours;
}

int pd_splice(void *userdata, int fd_in, loff_t *off_in, int fd_out, loff_t *off_out, size_t n,
              unsigned int flags)
{
	int wait = flags & SPLICE_F_NONBLOCK ? MSG_DONTWAIT : 0, more = flags & SPLICE_F_MORE ? MSG_MORE : 0;
	uint8_t buf[16384]; /* no more than a pipe takes at once */
	ssize_t got, done;

	(void)off_in;
	(void)off_out;
	n = n < sizeof(buf) ? n : sizeof(buf);
	if (is_ours(userdata, fd_in)) {
		got = pd_recv(userdata, fd_in, buf, n, wait);
		done = got > 0 ? write(fd_out, buf, (size_t)got) : got;
	} else if (is_ours(userdata, fd_out)) {
		got = read(fd_in, buf, n);
		done = got > 0 ? pd_send(userdata, fd_out, buf, (size_t)got, wait | more) : got;
	} else {
		return pd_fail(EINVAL);
	}
	return (int)done;
}
