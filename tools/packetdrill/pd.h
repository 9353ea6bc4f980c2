/*
 * The socket layer of the shared object: descriptors, blocking and the virtual clock above one stack.
 *
 * One lock for everything. Every call of the table is pd_enter() ... pd_leave(). All functions below want the
 * lock held.
 */
#ifndef PD_H
#define PD_H

#include <errno.h>
#include <pthread.h>
#include <sys/queue.h>

#include "sl_packetdrill.h"
#include "sl_tcp.h"
#include "sl_tcp_info.h"

#define PD_FDS_MAX       64         /* sockets and epoll sets of a script */
#define PD_EPOLL_MAX     32         /* descriptors in an epoll set */
#define PD_OPTS_MAX      24         /* options of a socket that are only remembered */
#define PD_PACKETS_MAX   4096       /* packets out that the tool has not taken */
#define PD_TSO_SEGS      2          /* Linux makes such packets at the rates of scripts */
#define PD_PACKET_BYTES  65535U     /* largest IP packet */
#define PD_STEP_US       10000U     /* netdev_receive moves the time on by this at most */
#define PD_SILENCE_US    600000000U /* after this without a packet netdev_receive says that none will come */
#define PD_GUEST_WAIT_MS 1000       /* real time that a woken call has to come back */
#define PD_SNDBUF_MAX    (4U << 20)
#define PD_RCVBUF        (15U << 20) /* gives a window scale of 8 */
#define PD_CHUNK_BYTES   65536U      /* a writer that has room at all may write this much */

struct pd;

enum pd_kind {
	PD_FRESH,
	PD_LISTENER,
	PD_CONN, /* connecting, connected or dead */
	PD_EPOLL,
};

struct pd_opt {
	int level, name;
	int value;
};

struct pd_watch {
	int fd;
	struct epoll_event ev;
	uint64_t seen; /* the socket's count of events that was reported last (edge triggered) */
	bool off;      /* one shot, spent */
};

struct pd_file {
	struct pd *pd;
	enum pd_kind kind;
	int fd; /* an eventfd that holds the number; -1 in an accept queue */
	int domain;
	bool bound, nonblock, rd_shut, wr_shut, connecting, nodelay, cork, more;
	bool wrote_more; /* the last bytes written came with MSG_MORE: they are not pushed at the peer */
	bool gone;       /* the connection is dead, or the file closed */
	uint32_t nb_holds;
	int err; /* errno that the next call gives */
	struct sl_endpoint local;
	struct sl_tcp_listener *l;
	struct sl_tcp_conn *c;
	STAILQ_HEAD(, pd_file) accepted;
	STAILQ_ENTRY(pd_file) next;
	struct pd_file *listener;
	uint32_t backlog;
	uint64_t nb_events;

	/* Bytes that are held back from the stack: Nagle, TCP_CORK, MSG_MORE. */
	uint8_t *held;
	size_t nb_held, held_cap;
	uint64_t held_until_us; /* 0: no limit */
	uint64_t pushed;        /* bytes given to the stack */
	uint64_t small_end;     /* where the last small segment ended */

	bool linger;
	int linger_s;
	uint32_t sndbuf, rcvbuf, maxseg, user_timeout_ms;
	uint64_t rcv_timeo_us, snd_timeo_us;
	struct pd_opt opts[PD_OPTS_MAX];
	int nb_opts;

	struct pd_watch watch[PD_EPOLL_MAX];
	int nb_watch;
};

/* A call that waits. */
struct pd_waiter {
	bool (*ready)(void *arg);
	void *arg;
	uint64_t deadline_us; /* UINT64_MAX: none */
	bool woken;
	pthread_cond_t cond;
	LIST_ENTRY(pd_waiter) link;
};

struct pd_packet {
	STAILQ_ENTRY(pd_packet) next;
	uint64_t at_us;
	uint32_t n;
	uint8_t bytes[];
};

struct pd {
	pthread_mutex_t lock;
	pthread_cond_t guests_gone;
	pthread_t driver;
	uint64_t now_us, last_packet_us;
	uint32_t nb_guests; /* calls that were woken and have not come back for the time */
	struct sl_tcp *tcp;
	struct rte_mempool *rx_pool, *tx_pool;
	struct pd_file *files[PD_FDS_MAX];
	LIST_HEAD(, pd_waiter) waiters;
	STAILQ_HEAD(, pd_packet) out;
	uint32_t nb_out;
	uint16_t mtu4, mtu6, route_mss; /* route_mss: TCP_MAXSEG of the socket that opens now; 0 none */
	struct sl_addr local4, local6;
	uint16_t tso_segs;
	bool gso_off; /* of the interface: packets of several segments are cut before the tool gets them */
	uint16_t next_port;
};

/* pd_main.c */
struct pd *pd_enter(void *userdata);
void pd_leave(struct pd *pd);
/* Lets the stack work at the current time and wakes the calls that can go on. */
void pd_settle(struct pd *pd);
/* Moves the clock on, timer by timer. */
void pd_advance(struct pd *pd, uint64_t to_us);
/* The next time at which something happens by itself; UINT64_MAX: none. */
uint64_t pd_next_event(struct pd *pd);
/*
 * Waits until ready(arg), at most until deadline_us. The driving thread moves the clock on itself, any other
 * one sleeps. 0; or the errno ETIMEDOUT, or EDEADLK when nothing can happen any more.
 */
int pd_wait(struct pd *pd, bool (*ready)(void *arg), void *arg, uint64_t deadline_us);
/* The stack, made when the first socket is. 0, or an errno. */
int pd_stack(struct pd *pd);
static inline int pd_fail(int err)
{
	errno = err;
	return -1;
}

/* pd_net.c */
int pd_output(void *ctx, struct rte_mbuf *m, const struct sl_addr *src, const struct sl_addr *dst,
              uint8_t ecn, uint64_t now_us);
int pd_route(void *ctx, const struct sl_addr *dst, struct sl_net_path *out);
int pd_netdev_send(void *userdata, const void *packet, size_t n);
int pd_netdev_receive(void *userdata, void *packet, size_t *n, long long *time_us);
void pd_net_clear(struct pd *pd);

/* pd_file.c */
/* The file behind a descriptor, or NULL. */
struct pd_file *pd_file(struct pd *pd, int fd);
struct pd_file *pd_file_new(struct pd *pd, enum pd_kind kind, int domain);
/* Gives it a descriptor. 0, or an errno. */
int pd_file_open(struct pd_file *f);
void pd_file_free(struct pd_file *f);
/* A call that waits holds the file: closed meanwhile, it stays until the call drops it. */
void pd_file_hold(struct pd_file *f);
void pd_file_drop(struct pd_file *f);
void *pd_on_accept(void *ctx, struct sl_tcp_listener *l, void *listener_user, struct sl_tcp_conn *c);
void pd_on_notify(void *ctx, struct sl_tcp_conn *c, void *user, uint32_t events);
/* Takes the pending error, once. */
int pd_take_err(struct pd_file *f);
/* Sets the TCP_MAXSEG that a segment to this port, about to go in, may open a connection with. */
void pd_expect(struct pd *pd, uint16_t port);
/* The peer has sent something: what MSG_MORE holds back is held no longer, as the kernel does. */
void pd_answered(struct pd *pd, uint16_t local_port, uint16_t remote_port);

/* pd_socket.c */
int pd_socket(void *userdata, int domain, int type, int protocol);
int pd_bind(void *userdata, int fd, const struct sockaddr *addr, socklen_t len);
int pd_listen(void *userdata, int fd, int backlog);
int pd_accept(void *userdata, int fd, struct sockaddr *addr, socklen_t *len);
int pd_connect(void *userdata, int fd, const struct sockaddr *addr, socklen_t len);
int pd_close(void *userdata, int fd);
int pd_shutdown(void *userdata, int fd, int how);

/* pd_stream.c */
ssize_t pd_read(void *userdata, int fd, void *buf, size_t n);
ssize_t pd_readv(void *userdata, int fd, const struct iovec *iov, int nb);
ssize_t pd_recv(void *userdata, int fd, void *buf, size_t n, int flags);
ssize_t pd_recvfrom(void *userdata, int fd, void *buf, size_t n, int flags, struct sockaddr *addr,
                    socklen_t *len);
ssize_t pd_recvmsg(void *userdata, int fd, struct msghdr *msg, int flags);
ssize_t pd_write(void *userdata, int fd, const void *buf, size_t n);
ssize_t pd_writev(void *userdata, int fd, const struct iovec *iov, int nb);
ssize_t pd_send(void *userdata, int fd, const void *buf, size_t n, int flags);
ssize_t pd_sendto(void *userdata, int fd, const void *buf, size_t n, int flags, const struct sockaddr *addr,
                  socklen_t len);
ssize_t pd_sendmsg(void *userdata, int fd, const struct msghdr *msg, int flags);
int pd_pipe(void *userdata, int fds[2]);
int pd_splice(void *userdata, int fd_in, loff_t *off_in, int fd_out, loff_t *off_out, size_t n,
              unsigned int flags);
/* Gives the stack what need not be held back any more; `all` flushes. */
void pd_push(struct pd_file *f, bool all);
bool pd_readable(const struct pd_file *f);
bool pd_writable(const struct pd_file *f);
/* Bytes written that the peer has not acknowledged, those held back among them. */
size_t pd_queued(const struct pd_file *f);
/* Payload of a full segment. */
size_t pd_full_segment(const struct pd_file *f);

/* pd_option.c */
int pd_getsockopt(void *userdata, int fd, int level, int name, void *value, socklen_t *len);
int pd_setsockopt(void *userdata, int fd, int level, int name, const void *value, socklen_t len);
/* The stack's own options, onto a connection that has just come to be. */
void pd_apply_options(struct pd_file *f);
int pd_fcntl(void *userdata, int fd, int cmd, ...);
int pd_ioctl(void *userdata, int fd, unsigned long request, ...);

/* pd_info.c: TCP_INFO in Linux's layout; fills n bytes. */
void pd_info(const struct pd_file *f, void *out, size_t n);

/* pd_poll.c */
int pd_poll(void *userdata, struct pollfd *fds, nfds_t nb, int timeout_ms);
int pd_epoll_create(void *userdata, int size);
int pd_epoll_ctl(void *userdata, int epfd, int op, int fd, struct epoll_event *event);
int pd_epoll_wait(void *userdata, int epfd, struct epoll_event *events, int max, int timeout_ms);

/* pd_rebind.c: the tool reads TCP_INFO past the table; see there. */
void pd_rebind(void);
/* The stack that the tool drives now, or NULL. */
struct pd *pd_current(void);

#endif
