/*
 * What a packet-level script tool (packetdrill) expects of a TCP stack in a shared object: one exported
 * function fills this table. The order and the types of the members are the tool's; the declaration is ours.
 *
 * The calls are those of the kernel's socket API and behave like them: -1 and errno. `userdata` goes in as
 * the first argument of each. Two threads call: one drives (netdev_*, usleep and calls that do not wait), a
 * second one makes the calls that the script expects to block.
 *
 * Time is virtual. It moves on only inside calls: usleep() by what was asked, gettimeofday() by 1 us,
 * netdev_receive() up to the next timer when no packet is there; and not at all while a call that was woken
 * has not come back to ask for the time.
 */
#ifndef SL_PACKETDRILL_H
#define SL_PACKETDRILL_H

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>

struct sl_packetdrill {
	void *userdata;
	void (*free)(void *userdata);
	int (*socket)(void *userdata, int domain, int type, int protocol);
	int (*bind)(void *userdata, int fd, const struct sockaddr *addr, socklen_t len);
	int (*listen)(void *userdata, int fd, int backlog);
	int (*accept)(void *userdata, int fd, struct sockaddr *addr, socklen_t *len);
	int (*connect)(void *userdata, int fd, const struct sockaddr *addr, socklen_t len);
	ssize_t (*read)(void *userdata, int fd, void *buf, size_t n);
	ssize_t (*readv)(void *userdata, int fd, const struct iovec *iov, int nb);
	ssize_t (*recv)(void *userdata, int fd, void *buf, size_t n, int flags);
	ssize_t (*recvfrom)(void *userdata, int fd, void *buf, size_t n, int flags, struct sockaddr *addr,
	                    socklen_t *len);
	ssize_t (*recvmsg)(void *userdata, int fd, struct msghdr *msg, int flags);
	ssize_t (*write)(void *userdata, int fd, const void *buf, size_t n);
	ssize_t (*writev)(void *userdata, int fd, const struct iovec *iov, int nb);
	ssize_t (*send)(void *userdata, int fd, const void *buf, size_t n, int flags);
	ssize_t (*sendto)(void *userdata, int fd, const void *buf, size_t n, int flags,
	                  const struct sockaddr *addr, socklen_t len);
	ssize_t (*sendmsg)(void *userdata, int fd, const struct msghdr *msg, int flags);
	int (*fcntl)(void *userdata, int fd, int cmd, ...);
	int (*ioctl)(void *userdata, int fd, unsigned long request, ...);
	int (*close)(void *userdata, int fd);
	int (*shutdown)(void *userdata, int fd, int how);
	int (*getsockopt)(void *userdata, int fd, int level, int name, void *value, socklen_t *len);
	int (*setsockopt)(void *userdata, int fd, int level, int name, const void *value, socklen_t len);
	int (*poll)(void *userdata, struct pollfd *fds, nfds_t nb, int timeout_ms);
	/* A raw IP packet for the stack. 0, or -1. */
	int (*netdev_send)(void *userdata, const void *packet, size_t n);
	/*
	 * The next raw IP packet of the stack: *n is the size of the buffer, then of the packet. 0; or -1 and
	 * *n == 0 when there was none: time has moved on, ask again. 0 and *n == 0: none will come any more.
	 */
	int (*netdev_receive)(void *userdata, void *packet, size_t *n, long long *time_us);
	int (*usleep)(void *userdata, useconds_t us);
	int (*gettimeofday)(void *userdata, struct timeval *tv, struct timezone *tz);
	int (*epoll_create)(void *userdata, int size);
	int (*epoll_ctl)(void *userdata, int epfd, int op, int fd, struct epoll_event *event);
	int (*epoll_wait)(void *userdata, int epfd, struct epoll_event *events, int max, int timeout_ms);
	int (*pipe)(void *userdata, int fds[2]);
	int (*splice)(void *userdata, int fd_in, loff_t *off_in, int fd_out, loff_t *off_out, size_t n,
	              unsigned int flags);
};

/*
 * Makes a stack and fills *ifc. `flags` (NULL: none) is a list "name=value,...": mtu4, mtu6 (default 1500,
 * 1520), local4, local6 (source of active opens). On failure a text goes to stderr and socket() fails with
 * ENODEV.
 */
void packetdrill_interface_init(const char *flags, struct sl_packetdrill *ifc);

#endif
