/* The clock, waiting, and what starts and ends it all. */
#include <dlfcn.h>
#include <errno.h>
#include <getopt.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_log.h>
#include <rte_mbuf.h>

#include "pd.h"

#define TX_MBUFS   8191U
#define RX_MBUFS   255U
#define MAX_CONNS  256U
#define MTU4       1500
#define MTU6       1520 /* the same MSS as with IPv4, which the tool's scripts expect */
#define EPOCH_US   UINT64_C(1000000000)
#define PORT_FIRST 20000

static struct pd *current;
/* This thread was woken in a call and has not asked for the time since. */
static _Thread_local bool is_guest;

struct pd *pd_current(void)
{
	return current;
}

/* A thread that was woken is back: the clock may go on. */
static void guest_is_back(struct pd *pd)
{
	if (!is_guest)
		return;
	is_guest = false;
	if (pd->nb_guests > 0)
		pd->nb_guests--;
	pthread_cond_broadcast(&pd->guests_gone);
}

/* What was woken at this time must see this time. A tool that never asks for it does not stop us for long. */
static void wait_for_guests(struct pd *pd)
{
	struct timespec until;

	if (pd->nb_guests == 0)
		return;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PD_GUEST_WAIT_MS / 1000;
	while (pd->nb_guests > 0) {
		if (pthread_cond_timedwait(&pd->guests_gone, &pd->lock, &until) == ETIMEDOUT)
			pd->nb_guests = 0;
	}
}

struct pd *pd_enter(void *userdata)
{
	struct pd *pd = userdata;

	pthread_mutex_lock(&pd->lock);
	guest_is_back(pd);
	wait_for_guests(pd);
	return pd;
}

void pd_leave(struct pd *pd)
{
	pthread_mutex_unlock(&pd->lock);
}

static void wake_waiters(struct pd *pd)
{
	struct pd_waiter *w;

	LIST_FOREACH(w, &pd->waiters, link)
	{
		if (w->woken || (!w->ready(w->arg) && w->deadline_us > pd->now_us))
			continue;
		w->woken = true;
		pd->nb_guests++;
		pthread_cond_signal(&w->cond);
	}
}

static void push_all(struct pd *pd)
{
	for (int i = 0; i < PD_FDS_MAX; i++) {
		struct pd_file *f = pd->files[i];

		if (f == NULL || f->kind != PD_CONN || f->c == NULL || f->nb_held == 0)
			continue;
		if (f->held_until_us != 0 && f->held_until_us <= pd->now_us) {
			f->wrote_more = false; /* more has not come */
			pd_push(f, true);
		} else {
			pd_push(f, false);
		}
	}
}

void pd_settle(struct pd *pd)
{
	if (pd->tcp != NULL) {
		sl_tcp_flush(pd->tcp, pd->now_us);
		push_all(pd);
		sl_tcp_flush(pd->tcp, pd->now_us);
	}
	wake_waiters(pd);
}

uint64_t pd_next_event(struct pd *pd)
{
	uint64_t next = pd->tcp != NULL ? sl_tcp_tick(pd->tcp, pd->now_us) : UINT64_MAX;
	struct pd_waiter *w;

	for (int i = 0; i < PD_FDS_MAX; i++) {
		const struct pd_file *f = pd->files[i];

		if (f != NULL && f->nb_held > 0 && f->held_until_us != 0 && f->held_until_us < next)
			next = f->held_until_us;
	}
	LIST_FOREACH(w, &pd->waiters, link)
	{
		if (!w->woken && w->deadline_us < next)
			next = w->deadline_us;
	}
	return next;
}

void pd_advance(struct pd *pd, uint64_t to_us)
{
	while (pd->now_us < to_us) {
		uint64_t next = pd_next_event(pd);

		wait_for_guests(pd);
		if (next > to_us)
			next = to_us;
		pd->now_us = next > pd->now_us ? next : pd->now_us + 1;
		if (pd->tcp != NULL)
			(void)sl_tcp_tick(pd->tcp, pd->now_us);
		pd_settle(pd);
	}
}

/* Without a second thread nobody else would move the clock on. */
static int wait_driving(struct pd *pd, bool (*ready)(void *arg), void *arg, uint64_t deadline_us)
{
	while (!ready(arg)) {
		uint64_t next = pd_next_event(pd);

		if (pd->now_us >= deadline_us)
			return ETIMEDOUT;
		if (next == UINT64_MAX && deadline_us == UINT64_MAX)
			return EDEADLK;
		pd_advance(pd, next < deadline_us ? next : deadline_us);
	}
	return 0;
}

int pd_wait(struct pd *pd, bool (*ready)(void *arg), void *arg, uint64_t deadline_us)
{
	struct pd_waiter w = {.ready = ready, .arg = arg, .deadline_us = deadline_us};

	pd_settle(pd);
	if (ready(arg))
		return 0;
	if (pthread_equal(pthread_self(), pd->driver))
		return wait_driving(pd, ready, arg, deadline_us);
	while (!ready(arg)) {
		if (pd->now_us >= deadline_us)
			return ETIMEDOUT;
		guest_is_back(pd);
		w.woken = false;
		pthread_cond_init(&w.cond, NULL);
		LIST_INSERT_HEAD(&pd->waiters, &w, link);
		while (!w.woken)
			pthread_cond_wait(&w.cond, &pd->lock);
		LIST_REMOVE(&w, link);
		pthread_cond_destroy(&w.cond);
		is_guest = true;
	}
	return 0;
}

static const struct sl_tcp_ops tcp_ops = {
        .output = pd_output, .accept = pd_on_accept, .notify = pd_on_notify, .route = pd_route};

/* Scripts set what they need of the kernel: where the stack has the same setting, it takes it from there. */
static long setting(const char *name, long otherwise)
{
	char path[64], line[32], *end;
	FILE *f;
	long v = otherwise;

	(void)snprintf(path, sizeof(path), "/proc/sys/net/ipv4/%s", name);
	f = fopen(path, "re");
	if (f == NULL)
		return otherwise;
	if (fgets(line, sizeof(line), f) != NULL) {
		v = strtol(line, &end, 10);
		v = end == line ? otherwise : v;
	}
	(void)fclose(f);
	return v;
}

/* Whether segmentation was switched off for the interface that scripts configure. */
static bool gso_is_off(void)
{
	struct ethtool_value v = {.cmd = ETHTOOL_GGSO};
	struct ifreq r = {.ifr_name = "tun0"};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool off;

	if (fd < 0)
		return false;
	r.ifr_data = (char *)&v;
	off = ioctl(fd, SIOCETHTOOL, &r) == 0 && v.data == 0;
	(void)close(fd);
	return off;
}

int pd_stack(struct pd *pd)
{
	struct sl_tcp_cfg cfg = {
	        .pool = pd->tx_pool,
	        .ops = &tcp_ops,
	        .ctx = pd,
	        .max_conns = MAX_CONNS,
	        .rx_buf_bytes = PD_RCVBUF,
	        .tx_buf_bytes = 2 * PD_SNDBUF_MAX,
	        .secret = "packetdrill",
	};

	if (pd->tx_pool == NULL || pd->rx_pool == NULL)
		return ENODEV;
	pd->tso_segs = (uint16_t)setting("tcp_min_tso_segs", PD_TSO_SEGS);
	pd->gso_off = gso_is_off();
	cfg.ecn = setting("tcp_ecn", 0) != 0;
	cfg.no_timestamps = setting("tcp_timestamps", 1) == 0;
	if (pd->tcp == NULL && sl_tcp_new(&cfg, &pd->tcp) < 0)
		return ENOMEM;
	return 0;
}

static int usleep_virtual(void *userdata, useconds_t us)
{
	struct pd *pd = pd_enter(userdata);

	pd_advance(pd, pd->now_us + (us > 0 ? us : 1));
	pd_leave(pd);
	return 0;
}

static int gettimeofday_virtual(void *userdata, struct timeval *tv, struct timezone *tz)
{
	struct pd *pd = pd_enter(userdata);

	(void)tz;
	pd_advance(pd, pd->now_us + 1);
	tv->tv_sec = (time_t)(pd->now_us / 1000000);
	tv->tv_usec = (suseconds_t)(pd->now_us % 1000000);
	pd_leave(pd);
	return 0;
}

static void free_all(void *userdata)
{
	struct pd *pd = userdata;

	if (pd == NULL)
		return;
	pthread_mutex_lock(&pd->lock);
	for (int i = 0; i < PD_FDS_MAX; i++) {
		if (pd->files[i] != NULL)
			pd_file_free(pd->files[i]);
	}
	sl_tcp_free(pd->tcp);
	pd_net_clear(pd);
	rte_mempool_free(pd->rx_pool);
	rte_mempool_free(pd->tx_pool);
	if (current == pd)
		current = NULL;
	pthread_mutex_unlock(&pd->lock);
	pthread_mutex_destroy(&pd->lock);
	pthread_cond_destroy(&pd->guests_gone);
	free(pd);
}

/*
 * The tool loads us with RTLD_DEEPBIND: DPDK's optind is then the C library's, while getopt() looks at the
 * program's copy of it. DPDK reads its arguments twice and sets optind back before each time, in vain. So
 * getopt's own is set here, and the first reading is ended by "--", from which the second goes on. optarg has
 * the same fault: no option takes an argument.
 */
static int eal_init(void)
{
	char *argv[] = {"packetdrill", "--", "--no-huge", "--no-pci", "--no-shconf", "--no-telemetry"};
	const int nb = sizeof(argv) / sizeof(argv[0]);
	void *program = dlopen(NULL, RTLD_LAZY);
	int *index = program != NULL ? dlsym(program, "optind") : NULL, was, rc;

	rte_log_set_global_level(RTE_LOG_ERR);
	if (index != NULL && index != &optind) {
		was = *index;
		*index = 1;
		rc = rte_eal_init(nb, argv);
		*index = was;
	} else {
		argv[1] = argv[0];
		rc = rte_eal_init(nb - 1, argv + 1);
	}
	if (program != NULL)
		(void)dlclose(program);
	return rc;
}

/* One EAL for the process, with the one processor where we are; the thread keeps its own affinity. */
static int eal_start(void)
{
	static bool started;
	cpu_set_t all, one;
	int rc;

	if (started)
		return 0;
	CPU_ZERO(&one);
	CPU_SET((unsigned int)sched_getcpu(), &one);
	if (sched_getaffinity(0, sizeof(all), &all) != 0 || sched_setaffinity(0, sizeof(one), &one) != 0)
		return -1;
	rc = eal_init();
	(void)sched_setaffinity(0, sizeof(all), &all);
	if (rc < 0)
		return -1;
	started = true;
	return 0;
}

static int take_flag(struct pd *pd, const char *name, const char *value)
{
	if (strcmp(name, "mtu4") == 0)
		pd->mtu4 = (uint16_t)strtoul(value, NULL, 10);
	else if (strcmp(name, "mtu6") == 0)
		pd->mtu6 = (uint16_t)strtoul(value, NULL, 10);
	else if (strcmp(name, "local4") == 0)
		return sl_addr_parse(value, &pd->local4);
	else if (strcmp(name, "local6") == 0)
		return sl_addr_parse(value, &pd->local6);
	else
		return -1;
	return 0;
}

static int take_flags(struct pd *pd, const char *flags)
{
	char *copy = strdup(flags != NULL ? flags : ""), *save = NULL;
	int rc = copy == NULL ? -1 : 0;

	for (char *p = rc == 0 ? strtok_r(copy, ",", &save) : NULL; p != NULL;
	     p = strtok_r(NULL, ",", &save)) {
		char *eq = strchr(p, '=');

		if (eq == NULL) {
			rc = -1;
			break;
		}
		*eq = '\0';
		if (take_flag(pd, p, eq + 1) != 0)
			rc = -1;
	}
	free(copy);
	return rc;
}

static int start(struct pd *pd, const char *flags)
{
	char name[RTE_MEMPOOL_NAMESIZE];

	if (take_flags(pd, flags) != 0) {
		(void)fprintf(stderr, "sluice_packetdrill: bad flags\n");
		return -1;
	}
	if (eal_start() != 0) {
		(void)fprintf(stderr, "sluice_packetdrill: DPDK does not start\n");
		return -1;
	}
	(void)snprintf(name, sizeof(name), "pd_tx_%p", (void *)pd);
	pd->tx_pool = rte_pktmbuf_pool_create(name, TX_MBUFS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	(void)snprintf(name, sizeof(name), "pd_rx_%p", (void *)pd);
	/* A whole packet in one mbuf, however large. */
	pd->rx_pool = rte_pktmbuf_pool_create(name, RX_MBUFS, 0, 0, UINT16_MAX, 0);
	if (pd->tx_pool == NULL || pd->rx_pool == NULL) {
		(void)fprintf(stderr, "sluice_packetdrill: no memory for packets\n");
		return -1;
	}
	return 0;
}

static struct pd *pd_new(const char *flags)
{
	struct pd *pd = calloc(1, sizeof(*pd));

	if (pd == NULL) {
		(void)fprintf(stderr, "sluice_packetdrill: out of memory\n");
		exit(EXIT_FAILURE);
	}
	pthread_mutex_init(&pd->lock, NULL);
	pthread_cond_init(&pd->guests_gone, NULL);
	pd->driver = pthread_self();
	pd->now_us = EPOCH_US;
	pd->last_packet_us = EPOCH_US;
	pd->mtu4 = MTU4;
	pd->mtu6 = MTU6;
	pd->next_port = PORT_FIRST;
	(void)sl_addr_parse("192.168.0.1", &pd->local4);
	(void)sl_addr_parse("fd3d:a0b:17d6::1", &pd->local6);
	LIST_INIT(&pd->waiters);
	STAILQ_INIT(&pd->out);
	(void)start(pd, flags);
	return pd;
}

__attribute__((visibility("default"))) void packetdrill_interface_init(const char *flags,
                                                                       struct sl_packetdrill *ifc)
{
	struct pd *pd = pd_new(flags);

	*ifc = (struct sl_packetdrill){
	        .userdata = pd,
	        .free = free_all,
	        .socket = pd_socket,
	        .bind = pd_bind,
	        .listen = pd_listen,
	        .accept = pd_accept,
	        .connect = pd_connect,
	        .read = pd_read,
	        .readv = pd_readv,
	        .recv = pd_recv,
	        .recvfrom = pd_recvfrom,
	        .recvmsg = pd_recvmsg,
	        .write = pd_write,
	        .writev = pd_writev,
	        .send = pd_send,
	        .sendto = pd_sendto,
	        .sendmsg = pd_sendmsg,
	        .fcntl = pd_fcntl,
	        .ioctl = pd_ioctl,
	        .close = pd_close,
	        .shutdown = pd_shutdown,
	        .getsockopt = pd_getsockopt,
	        .setsockopt = pd_setsockopt,
	        .poll = pd_poll,
	        .netdev_send = pd_netdev_send,
	        .netdev_receive = pd_netdev_receive,
	        .usleep = usleep_virtual,
	        .gettimeofday = gettimeofday_virtual,
	        .epoll_create = pd_epoll_create,
	        .epoll_ctl = pd_epoll_ctl,
	        .epoll_wait = pd_epoll_wait,
	        .pipe = pd_pipe,
	        .splice = pd_splice,
	};
	current = pd;
	pd_rebind();
}
