/* Drives the shared object as a script tool does: through its one symbol, with raw packets of our making. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "sl_packetdrill.h"

#define LOCAL_PORT  8080
#define REMOTE_PORT 40000
#define F_FIN       1
#define F_SYN       2
#define F_RST       4
#define F_PSH       8
#define F_ACK       16
#define F_ECN       (64 + 128)

static const char *library;
static struct sl_packetdrill ifc;
static const uint8_t local[4] = {192, 168, 0, 1}, remote[4] = {192, 0, 2, 1};

struct seg {
	uint32_t seq, ack;
	uint16_t sport, dport, wnd, len;
	uint8_t flags;
	long long at;
};

static uint32_t sum(const uint8_t *p, size_t n, uint32_t s)
{
	for (size_t i = 0; i < n; i++)
		s += (uint32_t)p[i] << (i % 2 == 0 ? 8 : 0);
	return s;
}

static uint16_t fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

static uint32_t get(const uint8_t *p, int n)
{
	uint32_t v = 0;

	for (int i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

/* The sum over pseudo header and segment. */
static uint32_t tcp_sum(const uint8_t *ip, size_t n)
{
	return sum(ip + 12, 8, IPPROTO_TCP + (uint32_t)n) + sum(ip + 20, n, 0);
}

static void inject(const struct seg *s)
{
	uint8_t p[2000] = {0x45};
	size_t n = 20U + s->len, mss = (s->flags & F_SYN) ? 4 : 0;

	n += mss;
	put16(p + 2, (uint32_t)(20 + n));
	p[8] = 64;
	p[9] = IPPROTO_TCP;
	memcpy(p + 12, remote, 4);
	memcpy(p + 16, local, 4);
	put16(p + 10, fold(sum(p, 20, 0)));
	put16(p + 20, s->sport);
	put16(p + 22, s->dport);
	put32(p + 24, s->seq);
	put32(p + 28, s->ack);
	p[32] = (uint8_t)((20 + mss) / 4 << 4);
	p[33] = s->flags;
	put16(p + 34, s->wnd);
	if (mss > 0)
		memcpy(p + 40, "\x02\x04\x03\xe8", 4);
	memset(p + 40 + mss, 'x', s->len);
	put16(p + 36, fold(tcp_sum(p, n)));
	assert_int_equal(ifc.netdev_send(ifc.userdata, p, 20 + n), 0);
}

/* The next packet; time moves on until there is one. */
static struct seg next_packet(void)
{
	static uint8_t p[65536];
	struct seg s = {0};
	size_t n;
	int rc;

	do {
		n = sizeof(p);
		rc = ifc.netdev_receive(ifc.userdata, p, &n, &s.at);
	} while (rc != 0);
	assert_true(n >= 40);
	assert_int_equal(p[0], 0x45);
	assert_int_equal(get(p + 2, 2), n);
	assert_int_equal(get(p + 6, 2), 0x4000); /* DF */
	assert_int_equal(fold(sum(p, 20, 0)), 0);
	assert_int_equal(fold(tcp_sum(p, n - 20)), 0);
	s.sport = (uint16_t)get(p + 20, 2);
	s.dport = (uint16_t)get(p + 22, 2);
	s.seq = get(p + 24, 4);
	s.ack = get(p + 28, 4);
	s.flags = p[33];
	s.wnd = (uint16_t)get(p + 34, 2);
	s.len = (uint16_t)(n - 20 - (p[32] >> 4) * 4U);
	return s;
}

static long long now_us(void)
{
	struct timeval tv;

	assert_int_equal(ifc.gettimeofday(ifc.userdata, &tv, NULL), 0);
	return (long long)tv.tv_sec * 1000000 + tv.tv_usec;
}

static int setup(void **state)
{
	void (*init)(const char *, struct sl_packetdrill *);
	void *so = dlopen(library, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);

	if (so == NULL) {
		(void)fprintf(stderr, "%s\n", dlerror());
		return -1;
	}
	init = (void (*)(const char *, struct sl_packetdrill *))dlsym(so, "packetdrill_interface_init");
	if (init == NULL)
		return -1;
	memset(&ifc, 0, sizeof(ifc));
	init("mtu4=1500,local4=192.168.0.1", &ifc);
	*state = so;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ifc.free(ifc.userdata);
	return 0;
}

static struct sockaddr_in addr_of(const uint8_t ip[4], uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

	memcpy(&a.sin_addr, ip, 4);
	return a;
}

static int listener(void)
{
	struct sockaddr_in a = addr_of(local, LOCAL_PORT);
	int fd = ifc.socket(ifc.userdata, AF_INET, SOCK_STREAM, IPPROTO_TCP), one = 1;

	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) >= 0); /* a real descriptor */
	assert_int_equal(ifc.setsockopt(ifc.userdata, fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	assert_int_equal(ifc.bind(ifc.userdata, fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(ifc.listen(ifc.userdata, fd, 1), 0);
	return fd;
}

/* The three packets of a passive open; gives the state of the peer. */
static struct seg handshake(void)
{
	struct seg peer = {
	        .seq = 1000, .sport = REMOTE_PORT, .dport = LOCAL_PORT, .wnd = 65535, .flags = F_SYN};
	struct seg got;

	inject(&peer);
	got = next_packet();
	assert_int_equal(got.flags, F_SYN | F_ACK);
	assert_int_equal(got.ack, 1001);
	assert_int_equal(got.wnd, 65535);
	peer.seq++;
	peer.ack = got.seq + 1;
	peer.flags = F_ACK;
	inject(&peer);
	return peer;
}

static void test_table_is_full(void **state)
{
	const void *const *p = (const void *const *)&ifc;

	(void)state;
	for (size_t i = 0; i < sizeof(ifc) / sizeof(*p); i++)
		assert_non_null(p[i]);
	assert_null(dlsym(*state, "pd_socket"));
	assert_null(dlsym(*state, "sl_tcp_new"));
}

static void test_clock(void **state)
{
	long long a = now_us(), b = now_us(), at = 0;
	uint8_t p[100];
	size_t n = sizeof(p);

	(void)state;
	assert_true(b > a);
	assert_int_equal(ifc.usleep(ifc.userdata, 5000), 0);
	assert_in_range(now_us() - b, 5000, 5002);
	b = now_us();
	assert_int_equal(ifc.netdev_receive(ifc.userdata, p, &n, &at), -1);
	assert_int_equal(n, 0);
	assert_true(now_us() > b + 1);
}

static void test_passive_session(void **state)
{
	int lfd = listener(), fd;
	struct seg peer = handshake(), got;
	char buf[4000] = {0};
	struct tcp_info info;
	socklen_t len = sizeof(info);
	int inq = -1;

	(void)state;
	fd = ifc.accept(ifc.userdata, lfd, NULL, NULL);
	assert_true(fd >= 0);
	peer.len = 500;
	peer.flags = F_ACK | F_PSH;
	inject(&peer);
	peer.seq += 500;
	assert_int_equal(ifc.ioctl(ifc.userdata, fd, SIOCINQ, &inq), 0);
	assert_int_equal(inq, 500);
	assert_int_equal(ifc.read(ifc.userdata, fd, buf, sizeof(buf)), 500);
	assert_int_equal(buf[499], 'x');
	got = next_packet();
	assert_int_equal(got.ack, peer.seq);

	assert_int_equal(ifc.write(ifc.userdata, fd, buf, 700), 700);
	got = next_packet();
	assert_int_equal(got.len, 700);
	assert_int_equal(got.flags, F_ACK | F_PSH);
	peer.ack += 700;
	peer.len = 0;
	peer.flags = F_ACK;
	inject(&peer);
	assert_int_equal(ifc.getsockopt(ifc.userdata, fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	assert_int_equal(len, sizeof(info));
	assert_int_equal(info.tcpi_state, 1);
	assert_int_equal(info.tcpi_snd_mss, 1000);
	assert_int_equal(info.tcpi_snd_cwnd, 10);
	assert_int_equal(info.tcpi_bytes_received, 500);

	assert_int_equal(ifc.close(ifc.userdata, fd), 0);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	got = next_packet();
	assert_int_equal(got.flags & F_FIN, F_FIN);
	assert_int_equal(ifc.read(ifc.userdata, fd, buf, 1), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(ifc.close(ifc.userdata, lfd), 0);
}

static void test_lost_segment_comes_again(void **state)
{
	int lfd = listener(), fd;
	struct seg got, again;

	(void)state;
	(void)handshake();
	fd = ifc.accept(ifc.userdata, lfd, NULL, NULL);
	assert_int_equal(ifc.send(ifc.userdata, fd, "hello", 5, 0), 5);
	got = next_packet();
	again = next_packet();
	assert_int_equal(again.seq, got.seq);
	assert_int_equal(again.len, 5);
	assert_true(again.at > got.at);
}

static void test_small_writes_wait(void **state)
{
	int lfd = listener(), fd, on = 1;
	struct seg peer = handshake(), got;

	(void)state;
	fd = ifc.accept(ifc.userdata, lfd, NULL, NULL);
	assert_int_equal(ifc.setsockopt(ifc.userdata, fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on)), 0);
	assert_int_equal(ifc.write(ifc.userdata, fd, "abc", 3), 3);
	assert_int_equal(ifc.write(ifc.userdata, fd, "def", 3), 3);
	on = 0;
	assert_int_equal(ifc.setsockopt(ifc.userdata, fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on)), 0);
	got = next_packet();
	assert_int_equal(got.len, 6);
	/* Nagle: the next small one waits for the answer to this. */
	assert_int_equal(ifc.write(ifc.userdata, fd, "ghi", 3), 3);
	peer.ack += 6;
	inject(&peer);
	got = next_packet();
	assert_int_equal(got.len, 3);
	assert_int_equal(got.seq, peer.ack);
}

struct call {
	int fd, rc;
	long long ended;
};

static void *accept_thread(void *arg)
{
	struct call *call = arg;

	call->rc = ifc.accept(ifc.userdata, call->fd, NULL, NULL);
	call->ended = now_us();
	return NULL;
}

static void *poll_thread(void *arg)
{
	struct call *call = arg;
	struct pollfd p = {.fd = call->fd, .events = POLLIN};

	call->rc = ifc.poll(ifc.userdata, &p, 1, 50);
	call->ended = now_us();
	return NULL;
}

/* Long enough for the other thread to have gone to sleep in its call. */
static pthread_t begin(void *(*fn)(void *), struct call *call)
{
	pthread_t t;

	assert_int_equal(pthread_create(&t, NULL, fn, call), 0);
	(void)usleep(100000);
	return t;
}

static void test_blocking_calls(void **state)
{
	struct call call = {.fd = listener()};
	pthread_t t = begin(accept_thread, &call);
	long long woken;
	struct seg peer;

	(void)state;
	ifc.usleep(ifc.userdata, 100000);
	peer = handshake();
	woken = now_us();
	/* However far the clock goes on: the call has ended when the packet came. */
	ifc.usleep(ifc.userdata, 1000000);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_true(call.rc >= 0);
	assert_in_range(call.ended, woken - 10, woken + 10);

	call.fd = call.rc;
	t = begin(poll_thread, &call);
	woken = now_us() + 50000;
	ifc.usleep(ifc.userdata, 1000000);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(call.rc, 0);
	assert_in_range(call.ended, woken - 10, woken + 10);
	peer.flags = F_ACK | F_RST;
	inject(&peer);
}

static void test_connect(void **state)
{
	struct sockaddr_in a = addr_of(remote, 80);
	int fd = ifc.socket(ifc.userdata, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), ep, err = -1;
	struct epoll_event ev = {.events = EPOLLOUT}, out;
	socklen_t len = sizeof(err);
	struct seg got, peer = {.seq = 7000, .sport = 80, .wnd = 1000, .flags = F_SYN | F_ACK};

	(void)state;
	assert_int_equal(ifc.connect(ifc.userdata, fd, (struct sockaddr *)&a, sizeof(a)), -1);
	assert_int_equal(errno, EINPROGRESS);
	ep = ifc.epoll_create(ifc.userdata, 1);
	assert_true(ep >= 0);
	assert_int_equal(ifc.epoll_ctl(ifc.userdata, ep, EPOLL_CTL_ADD, fd, &ev), 0);
	assert_int_equal(ifc.epoll_wait(ifc.userdata, ep, &out, 1, 0), 0);
	got = next_packet();
	assert_int_equal(got.flags & ~F_ECN, F_SYN); /* which this machine's tcp_ecn asks for or not */
	peer.dport = got.sport;
	peer.ack = got.seq + 1;
	inject(&peer);
	got = next_packet();
	assert_int_equal(got.flags, F_ACK);
	assert_int_equal(ifc.epoll_wait(ifc.userdata, ep, &out, 1, 0), 1);
	assert_int_equal(out.events, EPOLLOUT);
	assert_int_equal(ifc.getsockopt(ifc.userdata, fd, SOL_SOCKET, SO_ERROR, &err, &len), 0);
	assert_int_equal(err, 0);
	peer.seq++;
	peer.flags = F_RST | F_ACK;
	inject(&peer);
	assert_int_equal(ifc.read(ifc.userdata, fd, &err, 4), -1);
	assert_int_equal(errno, ECONNRESET);
	assert_int_equal(ifc.read(ifc.userdata, fd, &err, 4), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_table_is_full, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_clock, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_passive_session, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_lost_segment_comes_again, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_small_writes_wait, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_blocking_calls, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_connect, setup, teardown),
	};

	if (argc != 2)
		return 2;
	library = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
