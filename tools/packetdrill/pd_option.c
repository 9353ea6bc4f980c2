/* Socket options, fcntl and ioctl. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

#include "pd.h"

#define BUF_MIN     2048U
#define MAXSEG_MIN  88
#define MAXSEG_MAX  32767
#define MEMINFO_N   9 /* SO_MEMINFO: 32-bit numbers */
#define MEMINFO_RCV 1
#define MEMINFO_SND 3
#define MEMINFO_QUE 5
#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif
#ifndef TCP_CC_INFO
#define TCP_CC_INFO 26
#endif

static const char cc_name[16] = "cubic";

/* Options that are taken and given back, and change nothing in the stack. */
static const struct {
	int level, name;
} remembered[] = {
        {SOL_SOCKET, SO_REUSEADDR},
        {SOL_SOCKET, SO_REUSEPORT},
        {SOL_SOCKET, SO_KEEPALIVE},
        {SOL_SOCKET, SO_PRIORITY},
        {SOL_SOCKET, SO_MARK},
        {SOL_SOCKET, SO_OOBINLINE},
        {SOL_TCP, TCP_QUICKACK},
        {SOL_TCP, TCP_KEEPIDLE},
        {SOL_TCP, TCP_KEEPINTVL},
        {SOL_TCP, TCP_KEEPCNT},
        {SOL_TCP, TCP_SYNCNT},
        {SOL_TCP, TCP_DEFER_ACCEPT},
        {SOL_TCP, TCP_LINGER2},
        {SOL_IP, IP_TOS},
        {SOL_IP, IP_TTL},
        {SOL_IP, IP_MTU_DISCOVER},
        {SOL_IP, IP_RECVERR},
        {SOL_IPV6, IPV6_V6ONLY},
        {SOL_IPV6, IPV6_TCLASS},
        {SOL_IPV6, IPV6_UNICAST_HOPS},
        {SOL_IPV6, IPV6_MTU_DISCOVER},
        {SOL_IPV6, IPV6_RECVERR},
};

static bool is_remembered(int level, int name)
{
	for (size_t i = 0; i < sizeof(remembered) / sizeof(remembered[0]); i++) {
		if (remembered[i].level == level && remembered[i].name == name)
			return true;
	}
	return false;
}

static int remember(struct pd_file *f, int level, int name, int value)
{
	int i = 0;

	if (!is_remembered(level, name))
		return ENOPROTOOPT;
	while (i < f->nb_opts && (f->opts[i].level != level || f->opts[i].name != name))
		i++;
	if (i == PD_OPTS_MAX)
		return ENOBUFS;
	if (i == f->nb_opts)
		f->nb_opts++;
	f->opts[i] = (struct pd_opt){level, name, value};
	return 0;
}

static int recall(const struct pd_file *f, int level, int name, int *value)
{
	*value = 0;
	for (int i = 0; i < f->nb_opts; i++) {
		if (f->opts[i].level == level && f->opts[i].name == name)
			*value = f->opts[i].value;
	}
	return is_remembered(level, name) ? 0 : ENOPROTOOPT;
}

/* The kernel doubles what is asked: half is for its own use. */
static uint32_t buffer_size(int asked, uint32_t most)
{
	uint32_t n = asked > 0 ? (uint32_t)asked : 0;

	n = n > most / 2 ? most : 2 * n;
	return n < BUF_MIN ? BUF_MIN : n;
}

void pd_apply_options(struct pd_file *f)
{
	if (f->c != NULL && !f->gone)
		sl_tcp_set_user_timeout(f->c, f->user_timeout_ms);
}

static int set_linger(struct pd_file *f, const void *value, socklen_t len)
{
	struct linger l;

	if (len < sizeof(l))
		return EINVAL;
	memcpy(&l, value, sizeof(l));
	f->linger = l.l_onoff != 0;
	f->linger_s = l.l_linger;
	return 0;
}

static int set_timeout(uint64_t *out, const void *value, socklen_t len)
{
	struct timeval tv;

	if (len < sizeof(tv))
		return EINVAL;
	memcpy(&tv, value, sizeof(tv));
	if (tv.tv_sec < 0 || tv.tv_usec < 0 || tv.tv_usec >= 1000000)
		return EDOM;
	*out = (uint64_t)tv.tv_sec * 1000000 + (uint64_t)tv.tv_usec;
	if (*out == 0)
		*out = UINT64_MAX;
	return 0;
}

static int set_socket(struct pd_file *f, int name, int v, const void *value, socklen_t len)
{
	switch (name) {
	case SO_LINGER:
		return set_linger(f, value, len);
	case SO_RCVTIMEO:
		return set_timeout(&f->rcv_timeo_us, value, len);
	case SO_SNDTIMEO:
		return set_timeout(&f->snd_timeo_us, value, len);
	case SO_SNDBUF:
	case SO_SNDBUFFORCE:
		f->sndbuf = buffer_size(v, 2 * PD_SNDBUF_MAX);
		return 0;
	case SO_RCVBUF:
	case SO_RCVBUFFORCE:
		f->rcvbuf = buffer_size(v, PD_RCVBUF);
		return 0;
	default:
		return remember(f, SOL_SOCKET, name, v);
	}
}

static int set_tcp(struct pd_file *f, int name, int v, const void *value, socklen_t len)
{
	switch (name) {
	case TCP_NODELAY:
		f->nodelay = v != 0;
		/* Even what is corked goes. */
		if (v != 0)
			pd_push(f, true);
		return 0;
	case TCP_CORK:
		f->cork = v != 0;
		if (v == 0)
			pd_push(f, false);
		return 0;
	case TCP_MAXSEG:
		if (v != 0 && (v < MAXSEG_MIN || v > MAXSEG_MAX))
			return EINVAL;
		f->maxseg = (uint32_t)v;
		return 0;
	case TCP_USER_TIMEOUT:
		if (v < 0)
			return EINVAL;
		f->user_timeout_ms = (uint32_t)v;
		pd_apply_options(f);
		return 0;
	case TCP_CONGESTION:
		return len >= 5 && memcmp(value, cc_name, 5) == 0 ? 0 : ENOENT;
	default:
		return remember(f, SOL_TCP, name, v);
	}
}

int pd_setsockopt(void *userdata, int fd, int level, int name, const void *value, socklen_t len)
{
	struct pd *pd = pd_enter(userdata);
	struct pd_file *f = pd_file(pd, fd);
	int v = 0, err;

	if (len >= sizeof(v))
		memcpy(&v, value, sizeof(v));
	else if (len > 0)
		v = *(const uint8_t *)value;
	if (f == NULL)
		err = EBADF;
	else if (f->kind == PD_EPOLL)
		err = ENOTSOCK;
	else if (level == SOL_SOCKET)
		err = set_socket(f, name, v, value, len);
	else if (level == SOL_TCP)
		err = set_tcp(f, name, v, value, len);
	else
		err = remember(f, level, name, v);
	if (err == 0)
		pd_settle(pd);
	pd_leave(pd);
	return err == 0 ? 0 : pd_fail(err);
}

static int give(void *value, socklen_t *len, const void *from, size_t n)
{
	if (n < *len)
		*len = (socklen_t)n;
	memcpy(value, from, *len);
	return 0;
}

static int give_int(void *value, socklen_t *len, int v)
{
	return give(value, len, &v, sizeof(v));
}

static int give_timeout(void *value, socklen_t *len, uint64_t us)
{
	struct timeval tv = {0};

	if (us != UINT64_MAX) {
		tv.tv_sec = (time_t)(us / 1000000);
		tv.tv_usec = (suseconds_t)(us % 1000000);
	}
	return give(value, len, &tv, sizeof(tv));
}

static int get_socket(struct pd_file *f, int name, void *value, socklen_t *len)
{
	struct linger l = {f->linger, f->linger_s};
	uint32_t mem[MEMINFO_N] = {0};
	int v, err;

	switch (name) {
	case SO_ERROR:
		return give_int(value, len, pd_take_err(f));
	case SO_TYPE:
		return give_int(value, len, SOCK_STREAM);
	case SO_PROTOCOL:
		return give_int(value, len, IPPROTO_TCP);
	case SO_DOMAIN:
		return give_int(value, len, f->domain);
	case SO_ACCEPTCONN:
		return give_int(value, len, f->kind == PD_LISTENER);
	case SO_SNDBUF:
		return give_int(value, len, (int)f->sndbuf);
	case SO_RCVBUF:
		return give_int(value, len, (int)f->rcvbuf);
	case SO_LINGER:
		return give(value, len, &l, sizeof(l));
	case SO_RCVTIMEO:
		return give_timeout(value, len, f->rcv_timeo_us);
	case SO_SNDTIMEO:
		return give_timeout(value, len, f->snd_timeo_us);
	case SO_MEMINFO:
		mem[0] = f->c != NULL ? (uint32_t)sl_tcp_readable(f->c) : 0;
		mem[MEMINFO_RCV] = f->rcvbuf;
		mem[MEMINFO_SND] = f->sndbuf;
		mem[MEMINFO_QUE] = (uint32_t)pd_queued(f);
		return give(value, len, mem, sizeof(mem));
	default:
		err = recall(f, SOL_SOCKET, name, &v);
		return err == 0 ? give_int(value, len, v) : err;
	}
}

static int maxseg_of(const struct pd_file *f)
{
	if (f->c == NULL)
		return f->maxseg != 0 ? (int)f->maxseg : 536;
	return (int)pd_full_segment(f);
}

static int get_tcp(struct pd_file *f, int name, void *value, socklen_t *len)
{
	int v, err;

	switch (name) {
	case TCP_INFO:
		pd_info(f, value, *len);
		return 0;
	case TCP_CC_INFO:
		/* The kernel's CUBIC has none either. */
		*len = 0;
		return 0;
	case TCP_NODELAY:
		return give_int(value, len, f->nodelay);
	case TCP_CORK:
		return give_int(value, len, f->cork);
	case TCP_MAXSEG:
		return give_int(value, len, maxseg_of(f));
	case TCP_USER_TIMEOUT:
		return give_int(value, len, (int)f->user_timeout_ms);
	case TCP_CONGESTION:
		return give(value, len, cc_name, sizeof(cc_name));
	default:
		err = recall(f, SOL_TCP, name, &v);
		return err == 0 ? give_int(value, len, v) : err;
	}
}

int pd_getsockopt(void *userdata, int fd, int level, int name, void *value, socklen_t *len)
{
	struct pd *pd = pd_enter(userdata);
	struct pd_file *f = pd_file(pd, fd);
	int v, err;

	if (f == NULL) {
		err = EBADF;
	} else if (f->kind == PD_EPOLL) {
		err = ENOTSOCK;
	} else if (level == SOL_SOCKET) {
		err = get_socket(f, name, value, len);
	} else if (level == SOL_TCP) {
		err = get_tcp(f, name, value, len);
	} else {
		err = recall(f, level, name, &v);
		if (err == 0)
			err = give_int(value, len, v);
	}
	pd_leave(pd);
	return err == 0 ? 0 : pd_fail(err);
}

int pd_fcntl(void *userdata, int fd, int cmd, ...)
{
	struct pd *pd = pd_enter(userdata);
	struct pd_file *f = pd_file(pd, fd);
	int rc = 0, err = 0, arg = 0;
	va_list ap;

	if (cmd == F_SETFL || cmd == F_SETFD) {
		va_start(ap, cmd);
		arg = va_arg(ap, int);
		va_end(ap);
	}
	if (f == NULL)
		err = EBADF;
	else if (cmd == F_SETFL)
		f->nonblock = (arg & O_NONBLOCK) != 0;
	else if (cmd == F_GETFL)
		rc = O_RDWR | (f->nonblock ? O_NONBLOCK : 0);
	else if (cmd == F_GETFD || cmd == F_SETFD)
		rc = fcntl(fd, cmd, arg);
	else
		err = EINVAL;
	pd_leave(pd);
	return err == 0 ? rc : pd_fail(err);
}

static int queue_bytes(const struct pd_file *f, unsigned long request, int *out)
{
	if (f->kind != PD_CONN)
		return EINVAL;
	if (request == SIOCINQ)
		*out = (int)sl_tcp_readable(f->c);
	else
		*out = (int)pd_queued(f);
	return 0;
}

int pd_ioctl(void *userdata, int fd, unsigned long request, ...)
{
	struct pd *pd = pd_enter(userdata);
	struct pd_file *f = pd_file(pd, fd);
	int err = 0, *arg;
	va_list ap;

	va_start(ap, request);
	arg = va_arg(ap, int *);
	va_end(ap);
	if (f == NULL)
		err = EBADF;
	else if (request == SIOCINQ || request == SIOCOUTQ)
		err = queue_bytes(f, request, arg);
	else if (request == FIONBIO)
		f->nonblock = *arg != 0;
	else
		err = ENOTTY;
	pd_leave(pd);
	return err == 0 ? 0 : pd_fail(err);
}
