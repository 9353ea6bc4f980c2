/* The worker thread: the same loop as dataplane/worker's, without sessions, store and bus. */
#include "stack.h"

#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_pause.h>

#include "sl_counter.h"
#include "sl_ticks.h"
#include "stage.h"

#define IDLE_SPIN_US    60
#define IDLE_SLEEP_US   50
#define FLOOD_ETHERTYPE 0x88b5 /* IEEE 802, for experiments */
#define FLOOD_BURST     32
#define TCP_PROTO       6

static struct {
	const struct listen_opt *opt;
	struct sl_tcp_listener *l;
} listeners[STACK_LISTEN_MAX];

/* ---- TCP's callbacks ---- */

static void net_tcp(void *ctx, struct rte_mbuf **m, const struct sl_net_segment *seg, uint16_t n,
                    uint64_t now_us)
{
	struct stack *s = ctx;
	enum stage was = stage_enter(STAGE_TCP_IN);

	sl_tcp_input(s->tcp, m, seg, n, now_us);
	(void)stage_enter(was);
}

static void net_icmp(void *ctx, const struct sl_net_icmp_error *e, uint64_t now_us)
{
	struct stack *s = ctx;

	sl_tcp_icmp_error(s->tcp, e, now_us);
}

static int tcp_output(void *ctx, struct rte_mbuf *m, const struct sl_addr *src, const struct sl_addr *dst,
                      uint8_t ecn, uint64_t now_us)
{
	struct stack *s = ctx;
	enum stage was = stage_enter(STAGE_NET_OUT);
	int rc = sl_net_output(s->net, m, src, dst, TCP_PROTO, ecn, now_us);

	(void)stage_enter(was);
	return rc;
}

static void *tcp_accept(void *ctx, struct sl_tcp_listener *l, void *user, struct sl_tcp_conn *c)
{
	const struct listen_opt *opt = user;
	struct stack *s = ctx;

	(void)l;
	return sl_service_accept(s->services, opt->kind, &opt->target, c);
}

static void tcp_notify(void *ctx, struct sl_tcp_conn *c, void *user, uint32_t events)
{
	struct stack *s = ctx;

	(void)c;
	if (sl_service_owns(s->services, user))
		sl_service_notify(s->services, user, events);
	else
		load_notify(s->load, user, events);
}

static int tcp_route(void *ctx, const struct sl_addr *dst, struct sl_net_path *out)
{
	struct stack *s = ctx;

	return sl_net_path(s->net, dst, out);
}

static const struct sl_tcp_ops tcp_ops = {
        .output = tcp_output,
        .accept = tcp_accept,
        .notify = tcp_notify,
        .route = tcp_route,
};

/* ---- start and end ---- */

static int open_net(struct stack *s, char *err, size_t cap)
{
	struct sl_net_if_cfg ifs[STACK_PORTS_MAX * STACK_ADDRS_MAX];
	struct sl_net_cfg net = {
	        .pool = s->pool,
	        .tcp_input = net_tcp,
	        .icmp_error = net_icmp,
	        .ctx = s,
	};
	uint16_t nb = 0;
	int rc;

	for (uint16_t i = 0; i < s->opt.nb_ports; i++) {
		for (uint16_t a = 0; a < s->opt.ports[i].nb_addrs; a++)
			ifs[nb++] = (struct sl_net_if_cfg){s->ports[i], s->opt.ports[i].addr[a], 0};
	}
	rc = sl_net_shared_new(ifs, nb, s->opt.routes, s->opt.nb_routes, &s->shared, err, cap);
	return rc < 0 ? rc : sl_net_new(s->shared, &net, &s->net);
}

static int open_tcp(struct stack *s)
{
	struct sl_tcp_cfg tcp = {
	        .pool = s->pool,
	        .ops = &tcp_ops,
	        .ctx = s,
	        .max_conns = s->opt.max_conns,
	        .rx_buf_bytes = s->opt.buf_bytes,
	        .tx_buf_bytes = s->opt.buf_bytes,
	        .mss = s->opt.mss,
	        .keepalive_idle_s = 60,
	        .pacing = true,
	};
	int rc = SL_OK;

	if (getrandom(tcp.secret, sizeof(tcp.secret), 0) != (ssize_t)sizeof(tcp.secret))
		return SL_E_SYS;
	rc = sl_tcp_new(&tcp, &s->tcp);
	if (rc == SL_OK)
		rc = sl_services_new(s->tcp, s->opt.max_conns, &s->services);
	for (uint16_t i = 0; i < s->opt.nb_listen && rc == SL_OK; i++) {
		listeners[i].opt = &s->opt.listen[i];
		rc = sl_tcp_listen(s->tcp, &s->opt.listen[i].local, s->opt.backlog, &s->opt.listen[i],
		                   &listeners[i].l);
	}
	if (rc == SL_OK && s->opt.role == ROLE_DRIVE)
		rc = load_new(s->tcp, &s->opt.load, &s->load);
	return rc;
}

int worker_open(struct stack *s, char *err, size_t cap)
{
	int rc;

	for (uint16_t i = 0; i < s->opt.nb_ports; i++) {
		struct sl_port_cfg cfg = {
		        .device = s->opt.ports[i].device,
		        .nb_workers = 1,
		        .mtu = s->opt.mtu,
		        .software_checksum = s->opt.software_checksum,
		        .impair = s->opt.impaired && i == 0 ? &s->opt.impair : NULL,
		};

		rc = sl_port_open(&cfg, &s->pool, &s->ports[i], err, cap);
		if (rc < 0)
			return rc;
	}
	s->mbufs_free = rte_mempool_avail_count(s->pool);
	if (s->opt.role == ROLE_WIRE || s->opt.role == ROLE_FLOOD)
		return SL_OK;
	rc = open_net(s, err, cap);
	if (rc < 0)
		return rc;
	rc = open_tcp(s);
	if (rc < 0)
		snprintf(err, cap, "%s", sl_err_text(rc));
	return rc;
}

void worker_close(struct stack *s)
{
	for (uint16_t i = 0; i < s->opt.nb_listen; i++) {
		if (listeners[i].l != NULL)
			sl_tcp_unlisten(s->tcp, listeners[i].l);
	}
	if (s->tcp != NULL)
		sl_tcp_free(s->tcp);
	load_free(s->load);
	sl_services_free(s->services);
	if (s->net != NULL)
		sl_net_free(s->net);
	if (s->shared != NULL)
		sl_net_shared_free(s->shared);
	for (uint16_t i = 0; i < s->opt.nb_ports; i++)
		sl_port_close(s->ports[i]);
}

/* ---- the loops ---- */

static uint64_t tx_packets(void)
{
	return atomic_load_explicit(&sl_counters_self->counter[SL_C_TX_PACKETS], memory_order_relaxed);
}

/* True: there was something to do. */
static bool loop_tcp(struct stack *s)
{
	uint64_t sent = tx_packets();
	enum stage was = stage_enter(STAGE_NET_IN);
	uint32_t n = sl_net_poll(s->net, s->now_us);

	if (s->now_us >= s->next_net_us)
		s->next_net_us = sl_net_tick(s->net, s->now_us);
	(void)stage_enter(STAGE_APP);
	n += sl_services_run(s->services, s->now_us);
	if (s->load != NULL && sl_net_ready(s->net))
		n += load_run(s->load, s->now_us);
	(void)stage_enter(STAGE_TCP_OUT);
	sl_tcp_flush(s->tcp, s->now_us);
	s->next_tcp_us = sl_tcp_tick(s->tcp, s->now_us);
	sl_tcp_flush(s->tcp, s->now_us);
	(void)stage_enter(STAGE_NET_OUT);
	sl_net_flush(s->net);
	(void)stage_enter(was);
	return n > 0 || tx_packets() != sent;
}

static bool loop_wire(struct stack *s)
{
	struct rte_mbuf *m[SL_PORT_BURST];
	bool busy = false;

	for (uint16_t i = 0; i < 2; i++) {
		uint16_t n = sl_port_rx(s->ports[i], 0, m, SL_PORT_BURST);

		for (uint16_t k = 0; k < n; k++)
			m[k]->ol_flags = 0; /* what was said of the received packet is no request */
		sl_port_tx(s->ports[1 - i], 0, m, n);
		busy = busy || n > 0;
	}
	return busy;
}

/* Past drivers/port: what the devices alone can do. */
static bool loop_flood(struct stack *s)
{
	struct rte_mbuf *m[FLOOD_BURST];
	uint16_t in_port, out_port, n, sent;

	if (rte_eth_dev_get_port_by_name(s->opt.ports[0].device, &out_port) != 0 ||
	    rte_eth_dev_get_port_by_name(s->opt.ports[s->opt.nb_ports - 1].device, &in_port) != 0)
		return false;
	n = rte_eth_rx_burst(in_port, 0, m, FLOOD_BURST);
	s->frames_in += n;
	rte_pktmbuf_free_bulk(m, n);
	if (rte_pktmbuf_alloc_bulk(s->pool, m, FLOOD_BURST) != 0)
		return n > 0;
	for (int i = 0; i < FLOOD_BURST; i++) {
		struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m[i], struct rte_ether_hdr *);

		memset(eth, 0x02, sizeof(*eth));
		eth->ether_type = rte_cpu_to_be_16(FLOOD_ETHERTYPE);
		m[i]->data_len = (uint16_t)s->opt.frame_bytes;
		m[i]->pkt_len = s->opt.frame_bytes;
	}
	sent = rte_eth_tx_burst(out_port, 0, m, FLOOD_BURST);
	s->frames_out += sent;
	rte_pktmbuf_free_bulk(m + sent, (unsigned)(FLOOD_BURST - sent));
	return n > 0 || sent > 0;
}

static void back_off(const struct stack *s)
{
	uint64_t began = rte_rdtsc(), us = IDLE_SLEEP_US;

	if (!s->opt.adaptive || s->now_us - s->last_work_us < IDLE_SPIN_US) {
		rte_pause();
		return;
	}
	if (s->next_tcp_us > s->now_us && s->next_tcp_us - s->now_us < us)
		us = s->next_tcp_us - s->now_us;
	nanosleep(&(struct timespec){.tv_nsec = (long)us * 1000}, NULL);
	stage_slept(rte_rdtsc() - began);
}

int worker_run(void *stack)
{
	struct stack *s = stack;
	bool (*loop)(struct stack *) = s->opt.role == ROLE_WIRE    ? loop_wire
	                               : s->opt.role == ROLE_FLOOD ? loop_flood
	                                                           : loop_tcp;

	sl_counters_register("worker0");
	prctl(PR_SET_TIMERSLACK, 1000UL, 0, 0, 0);
	s->tsc_scale = sl_ticks_scale(rte_get_tsc_hz());
	while (!atomic_load_explicit(&s->stop, memory_order_relaxed)) {
		bool busy;

		s->now_us = sl_ticks_us(rte_rdtsc(), s->tsc_scale);
		stage_begin();
		busy = loop(s);
		stage_end(busy);
		if (busy)
			s->last_work_us = s->now_us;
		else
			back_off(s);
		if (s->load != NULL && load_done(s->load))
			atomic_store_explicit(&s->done, true, memory_order_relaxed);
	}
	if (s->services != NULL) {
		sl_services_end(s->services, s->now_us);
		sl_tcp_flush(s->tcp, s->now_us);
		sl_net_flush(s->net);
	}
	return 0;
}
