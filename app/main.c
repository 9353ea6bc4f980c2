/*
 * sluiced: start-up (configuration, EAL, ports, store, workers, management core), run, drain, stop. The order
 * of gateway_start() is the order of dependence; gateway_stop() goes back the same way.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include "config.h"
#include "sl_bus.h"
#include "sl_counter.h"
#include "sl_fault.h"
#include "sl_log.h"
#include "sl_mgmt.h"
#include "sl_port.h"
#include "sl_secret.h"
#include "sl_store.h"
#include "sl_tls.h"
#include "sl_worker.h"
#include "watch.h"

#define BUS_MESSAGES      256
#define BLOCKS_PER_WORKER 2048
#define USAGE_PER_SESSION 4 /* entries in the table of what limits count */
#define DRAIN_GRACE_MS    5000
#define MBUF_CACHE        256
#define MEMORY_BYTES      (UINT64_C(1) << 40) /* more than will ever be mapped */

struct gateway {
	struct config cfg;
	struct rte_mempool *rx_pools[SL_STORE_WORKERS_MAX], *pools[SL_STORE_WORKERS_MAX];
	struct sl_port *ports[SL_NET_PORTS_MAX];
	struct sl_net_shared *net;
	struct sl_store *store;
	struct sl_usage *usage;
	struct sl_bus *bus;
	struct sl_mgmt *mgmt;
	struct sl_worker_listener listeners[SL_WORKER_LISTENERS_MAX];
	struct sl_worker *workers[SL_STORE_WORKERS_MAX];
	bool eal, launched;
	char err[512];
};

/*
 * All that is touched stays in memory, now and later, but the store (drivers/store/env.c). Where there is a
 * limit to what may be locked nothing is: an mmap() that meets it would fail in the middle of things.
 */
static bool lock_memory(void)
{
	const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
	void *p;

	/* With CAP_IPC_LOCK it need not be allowed. */
	(void)setrlimit(RLIMIT_MEMLOCK, &all);
	if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0)
		return false;
	p = mmap(NULL, MEMORY_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p != MAP_FAILED)
		return munmap(p, MEMORY_BYTES) == 0;
	(void)munlockall();
	return false;
}

/*
 * No core dump, no swap, no other process of this user looking in: this memory holds the targets' credentials
 * (D14). Nor is code taken away that an idle gateway has not run for a while: who comes first would wait for
 * the disk.
 */
static void harden(void)
{
	const struct rlimit none = {0, 0};

	if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		sl_log(SL_LOG_WARN, "app", "core dumps could not be turned off");
	if (!lock_memory())
		sl_log(SL_LOG_WARN, "app",
		       "memory could not be locked: secrets may get into swap; CAP_IPC_LOCK or "
		       "LimitMEMLOCK=infinity is missing");
	umask(077);
}

/* "--lcores 0@0,1@1,2@0": EAL thread 0 is the management core, thread i + 1 is worker i. */
static void lcores_text(const struct config *c, char *out, size_t cap)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	int n = snprintf(out, cap, "0@%lu", (unsigned long)c->main_core);

	for (uint32_t i = 0; i < c->workers && n > 0 && (size_t)n < cap; i++) {
		unsigned long core =
		        c->nb_cores != 0 ? c->cores[i] : (c->main_core + 1 + i) % (unsigned long)online;

		n += snprintf(out + n, cap - (size_t)n, ",%u@%lu", i + 1, core);
	}
}

static int start_eal(struct gateway *g)
{
	char lcores[1024], *argv[CONFIG_EAL_MAX + 8];
	char prog[] = "sluiced", opt_lcores[] = "--lcores", opt_main[] = "--main-lcore=0";
	int argc = 0;

	lcores_text(&g->cfg, lcores, sizeof(lcores));
	argv[argc++] = prog;
	argv[argc++] = opt_lcores;
	argv[argc++] = lcores;
	argv[argc++] = opt_main;
	for (uint32_t i = 0; i < g->cfg.nb_eal; i++) {
		argv[argc] = strdup(g->cfg.eal[i]); /* EAL keeps them */
		if (argv[argc++] == NULL)
			return SL_E_NOMEM;
	}
	argv[argc] = NULL;
	if (rte_eal_init(argc, argv) < 0) {
		snprintf(g->err, sizeof(g->err), "EAL did not start: %s", rte_strerror(rte_errno));
		return SL_E_PORT_OPEN;
	}
	g->eal = true;
	return SL_OK;
}

/* A port may be told to take frames that no buffer of the usual size holds. */
static uint16_t buffer_bytes(const struct gateway *g)
{
	uint16_t most = sl_port_buf_bytes(0);

	for (uint32_t i = 0; i < g->cfg.nb_ports; i++) {
		uint16_t n = sl_port_buf_bytes((uint16_t)g->cfg.ports[i].mtu);

		most = n > most ? n : most;
	}
	return most;
}

static int pool_new(struct gateway *g, const char *what, uint32_t worker, uint64_t n,
                    struct rte_mempool **out)
{
	char name[32];

	snprintf(name, sizeof(name), "%s%u", what, worker);
	*out = rte_pktmbuf_pool_create(name, (unsigned)n, MBUF_CACHE, 0, buffer_bytes(g),
	                               (int)rte_socket_id());
	if (*out != NULL)
		return SL_OK;
	snprintf(g->err, sizeof(g->err), "no memory for %lu packet buffers (%s) of worker %u: %s",
	         (unsigned long)n, what, worker, rte_strerror(rte_errno));
	return SL_E_NOMEM;
}

/* What is received can be pinned by a slow reader: the stack's own buffers are in a pool that it cannot
 * empty. */
static int start_pools(struct gateway *g)
{
	int err = SL_OK;

	for (uint32_t i = 0; i < g->cfg.workers && err == SL_OK; i++) {
		err = pool_new(g, "receive", i, g->cfg.mbufs, &g->rx_pools[i]);
		if (err == SL_OK)
			err = pool_new(g, "stack", i, g->cfg.stack_mbufs, &g->pools[i]);
	}
	return err;
}

static int start_ports(struct gateway *g)
{
	struct sl_net_if_cfg ifs[SL_NET_PORTS_MAX * CONFIG_ADDRS_MAX];
	uint16_t first_row[SL_NET_PORTS_MAX] = {0};
	uint16_t nb_ifs = 0;
	struct sl_net_route_cfg routes[SL_NET_ROUTES_MAX];

	for (uint32_t i = 0; i < g->cfg.nb_ports; i++) {
		const struct config_port *p = &g->cfg.ports[i];
		struct sl_port_cfg cfg = {
		        .device = p->device,
		        .nb_workers = (uint16_t)g->cfg.workers,
		        .mtu = (uint16_t)p->mtu,
		        .software_checksum = p->software_checksum,
		        .impair = p->impaired ? &p->impair : NULL,
		};
		int err = sl_port_open(&cfg, g->rx_pools, &g->ports[i], g->err, sizeof(g->err));

		if (err < 0)
			return err;
		first_row[i] = nb_ifs;
		if (p->impaired)
			sl_log(SL_LOG_WARN, "app",
			       "port %s plays a bad network (impairment, seed %" PRIu64 ")", p->device,
			       p->impair.seed);
		for (uint32_t k = 0; k < p->nb_addresses; k++)
			ifs[nb_ifs++] =
			        (struct sl_net_if_cfg){g->ports[i], p->addresses[k], (uint16_t)p->vlan};
	}
	for (uint32_t i = 0; i < g->cfg.nb_routes; i++) {
		const struct config_route *c = &g->cfg.routes[i];
		uint16_t interface = c->device == NULL ? 0 : (uint16_t)(1 + first_row[c->port]);

		routes[i] = (struct sl_net_route_cfg){c->to, c->via, interface};
	}
	return sl_net_shared_new(ifs, nb_ifs, routes, (uint16_t)g->cfg.nb_routes, &g->net, g->err,
	                         sizeof(g->err));
}

static int start_store(struct gateway *g)
{
	struct sl_store_cfg cfg = {
	        .path = g->cfg.store_path,
	        .sign_key = g->cfg.sign_key,
	        .map_bytes = g->cfg.store_bytes,
	        .nb_workers = (uint32_t)g->cfg.workers,
	        .blocks_per_worker = BLOCKS_PER_WORKER,
	        .batch_max = BLOCKS_PER_WORKER,
	};

	return sl_store_open(&cfg, &g->store, g->err, sizeof(g->err));
}

static int start_listeners(struct gateway *g)
{
	for (uint32_t i = 0; i < g->cfg.nb_listeners; i++) {
		const struct config_listener *c = &g->cfg.listeners[i];
		struct sl_worker_listener *l = &g->listeners[i];

		*l = (struct sl_worker_listener){
		        .name = c->name,
		        .protocol = c->protocol,
		        .address = c->address,
		        .resource = c->resource,
		        .insecure = c->insecure,
		        .target = c->target,
		        .max_conns = c->max_conns,
		        .max_bytes = c->max_bytes,
		};
		if (c->cert_file != NULL) {
			struct sl_tls_server_cfg tls = {.cert_file = c->cert_file,
			                                .key_file = c->key_file,
			                                .alpn = sl_worker_alpn(c->protocol)};
			int err = sl_tls_server_new(&tls, &l->tls, g->err, sizeof(g->err));

			if (err < 0)
				return err;
		}
		if (c->insecure)
			sl_log(SL_LOG_WARN, "app", "listener %s takes tokens in clear text", c->name);
	}
	return SL_OK;
}

/* Room for what all sessions can be counted under, most of it shared by sessions of one caller. */
static struct sl_usage *new_usage(const struct gateway *g)
{
	uint64_t n = g->cfg.workers * g->cfg.max_sessions * USAGE_PER_SESSION;

	return sl_usage_new((uint32_t)g->cfg.workers,
	                    n < SL_USAGE_ENTRIES_MAX ? (uint32_t)n : SL_USAGE_ENTRIES_MAX);
}

static int start_workers(struct gateway *g)
{
	struct sl_worker_cfg cfg = {
	        .nb_workers = (uint32_t)g->cfg.workers,
	        .workers = g->workers,
	        .bus = g->bus,
	        .store = g->store,
	        .net = g->net,
	        .listeners = g->listeners,
	        .nb_listeners = g->cfg.nb_listeners,
	        .max_sessions = (uint32_t)g->cfg.max_sessions,
	        .max_unauthenticated = (uint32_t)g->cfg.max_unauthenticated,
	        .session_memory = g->cfg.session_memory,
	        .tcp = g->cfg.tcp,
	        .backlog = g->cfg.backlog,
	        .message_max = g->cfg.message_bytes,
	        .login_timeout_us = g->cfg.login_timeout_s * 1000000,
	        .catalog_age_us = g->cfg.catalog_age_s * UINT64_C(1000000),
	        .reply_bytes_max = g->cfg.reply_bytes,
	        .record_replies = g->cfg.record_replies,
	        .full_poll = g->cfg.full_poll,
	};

	cfg.usage = g->usage = new_usage(g);
	if (g->usage == NULL) {
		snprintf(g->err, sizeof(g->err), "out of memory");
		return SL_E_NOMEM;
	}
	if (getrandom(cfg.secret, sizeof(cfg.secret), 0) != sizeof(cfg.secret) ||
	    getrandom(&cfg.id_salt, sizeof(cfg.id_salt), 0) != sizeof(cfg.id_salt)) {
		snprintf(g->err, sizeof(g->err), "no random numbers to be had");
		return SL_E_SYS;
	}
	for (uint32_t i = 0; i < g->cfg.workers; i++) {
		int err;

		cfg.worker = i;
		cfg.pool = g->pools[i];
		cfg.rx_pool = g->rx_pools[i];
		err = sl_worker_new(&cfg, &g->workers[i], g->err, sizeof(g->err));
		if (err < 0)
			return err;
	}
	sl_cleanse(cfg.secret, sizeof(cfg.secret));
	return SL_OK;
}

/* A text that grows in a buffer; over once it does not fit. */
struct text {
	char *at;
	size_t n, cap;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (t->n >= t->cap)
		return;
	va_start(ap, fmt);
	n = vsnprintf(t->at + t->n, t->cap - t->n, fmt, ap);
	va_end(ap);
	t->n = n < 0 ? t->cap : t->n + (size_t)n;
}

static void add_addresses(struct text *t, const struct gateway *g, const struct config_port *p,
                          uint16_t first_row)
{
	static const char *const states[] = {[SL_NET_IF_TENTATIVE] = "probing",
	                                     [SL_NET_IF_READY] = "ready",
	                                     [SL_NET_IF_CONFLICT] = "conflict"};

	add(t, "\"addresses\":[");
	for (uint32_t i = 0; i < p->nb_addresses; i++) {
		char addr[SL_ADDR_STR_MAX];

		add(t, "%s{\"address\":\"%s/%u\",\"state\":\"%s\"}", i > 0 ? "," : "",
		    sl_addr_str(&p->addresses[i].addr, addr), p->addresses[i].bits,
		    states[sl_net_if_state(g->net, (uint16_t)(first_row + i))]);
	}
	add(t, "]");
}

/* What GET /v1/status says about the ports. Management thread. */
static long status_json(void *ctx, char *out, size_t cap)
{
	const struct gateway *g = ctx;
	struct text t = {out, 0, cap};
	uint16_t row = 0;

	add(&t, "{\"workers\":%lu,\"dead_workers\":[", (unsigned long)g->cfg.workers);
	for (uint64_t dead = sl_fault_dead(); dead != 0; dead &= dead - 1)
		add(&t, "%u%s", sl_fault_lead(~dead), (dead & (dead - 1)) != 0 ? "," : "");
	add(&t, "],\"ports\":[");
	for (uint32_t i = 0; i < g->cfg.nb_ports; i++) {
		const struct sl_port_caps *caps = sl_port_caps(g->ports[i]);

		add(&t, "%s{\"name\":\"%s\",", i > 0 ? "," : "", sl_port_name(g->ports[i]));
		add_addresses(&t, g, &g->cfg.ports[i], row);
		row = (uint16_t)(row + g->cfg.ports[i].nb_addresses);
		add(&t,
		    ",\"link\":%s,\"rx_queues\":%u,\"tx_queues\":%u,\"mtu\":%u,\"tx_checksum\":\"%s\","
		    "\"rx_checksum\":\"%s\",\"tso\":%s,\"multi_segment\":%s,\"rss\":%s}",
		    sl_port_link(g->ports[i]) ? "true" : "false", caps->nb_rx_queues, caps->nb_tx_queues,
		    caps->mtu, caps->tx_tcp_csum ? "device" : "software",
		    caps->rx_tcp_csum ? "device" : "software", caps->tso ? "true" : "false",
		    caps->multi_seg ? "true" : "false", caps->rss ? "true" : "false");
	}
	add(&t, "]}");
	return t.n < cap ? (long)t.n : -1;
}

static int start_mgmt(struct gateway *g)
{
	struct sl_mgmt_cfg cfg = {
	        .usage = g->usage,
	        .listen = g->cfg.mgmt_listen,
	        .cert_file = g->cfg.mgmt_cert,
	        .key_file = g->cfg.mgmt_key,
	        .master_key_file = g->cfg.master_key,
	        .policy_bootstrap = g->cfg.bootstrap,
	        .bus = g->bus,
	        .store = g->store,
	        .nb_workers = (uint32_t)g->cfg.workers,
	        .dead = sl_fault_dead,
	        .status = status_json,
	        .status_ctx = g,
	};

	return sl_mgmt_new(&cfg, &g->mgmt, g->err, sizeof(g->err));
}

/* One that cannot begin would leave a queue that nobody reads: better no gateway, which its keeper sees. */
static int run_worker(void *w)
{
	int rc = sl_worker_run(w);

	if (rc < 0) {
		sl_log(SL_LOG_ERROR, "app", "a worker did not start: %s", sl_err_text(rc));
		_exit(EXIT_FAILURE);
	}
	return rc;
}

static int launch(struct gateway *g)
{
	sl_fault_start(!g->cfg.exit_on_fault, sl_bus_mgmt_fd(g->bus));
	for (uint32_t i = 0; i < g->cfg.workers; i++) {
		if (rte_eal_remote_launch(run_worker, g->workers[i], i + 1) != 0) {
			snprintf(g->err, sizeof(g->err), "worker %u did not start", i);
			return SL_E_SYS;
		}
	}
	g->launched = true;
	return SL_OK;
}

static int gateway_start(struct gateway *g)
{
	int (*const steps[])(struct gateway *) = {start_eal,       start_pools,   start_ports, start_store,
	                                          start_listeners, start_workers, start_mgmt,  launch};

	g->bus = sl_bus_new((uint32_t)g->cfg.workers, BUS_MESSAGES);
	if (g->bus == NULL)
		return SL_E_NOMEM;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		int err = steps[i](g);

		if (err < 0)
			return err;
	}
	return SL_OK;
}

/* With a worker that has died its memory stays, and all that it may have half done: the process takes it
 * along.
 */
static void gateway_stop_damaged(struct gateway *g)
{
	sl_mgmt_free(g->mgmt);
	sl_store_close(g->store);
}

static void gateway_stop(struct gateway *g)
{
	watch_end();
	if (sl_fault_dead() != 0) {
		gateway_stop_damaged(g);
		return;
	}
	if (g->launched)
		rte_eal_mp_wait_lcore();
	sl_mgmt_free(g->mgmt);
	for (uint32_t i = 0; i < g->cfg.workers; i++)
		sl_worker_free(g->workers[i]);
	for (uint32_t i = 0; i < g->cfg.nb_listeners; i++)
		sl_tls_ctx_free(g->listeners[i].tls);
	sl_usage_free(g->usage);
	if (g->store != NULL)
		sl_store_close(g->store);
	if (g->net != NULL)
		sl_net_shared_free(g->net);
	for (uint32_t i = 0; i < g->cfg.nb_ports; i++) {
		if (g->ports[i] != NULL)
			sl_port_close(g->ports[i]);
	}
	sl_bus_free(g->bus);
	if (g->eal)
		rte_eal_cleanup();
	config_free(&g->cfg);
}

static int run(const char *file, bool check_only)
{
	static struct gateway g;
	int err = config_load(file, &g.cfg, g.err, sizeof(g.err));

	if (err == SL_OK && check_only) {
		config_free(&g.cfg);
		printf("%s is good\n", file);
		return EXIT_SUCCESS;
	}
	if (err == SL_OK) {
		sl_counters_register("main");
		harden();
		watch_block_signals();
		err = gateway_start(&g);
		if (err == SL_OK)
			err = watch_start(g.mgmt, DRAIN_GRACE_MS);
	}
	if (err < 0) {
		sl_log(SL_LOG_ERROR, "app", "%s: %s", sl_err_text(err), g.err);
		/* Whatever was opened goes with the process; workers, if any run, hold nothing that is not in
		 * the store. */
		_exit(EXIT_FAILURE);
	}
	sl_log(SL_LOG_INFO, "app", "%lu workers, %u ports, %u listeners, management on %s",
	       (unsigned long)g.cfg.workers, g.cfg.nb_ports, g.cfg.nb_listeners, g.cfg.mgmt_listen);
	fprintf(stderr, "sluiced: ready\n");
	err = sl_mgmt_run(g.mgmt);
	gateway_stop(&g);
	if (sl_fault_dead() != 0)
		_exit(err < 0 ? EXIT_FAILURE : EXIT_SUCCESS); /* nor do the libraries clean up */
	return err < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void usage(FILE *to)
{
	fprintf(to, "usage: sluiced --config FILE [--check] [--debug]\n"
	            "  --config FILE  the configuration (docs/configuration.md)\n"
	            "  --check        read the configuration, say what is wrong with it, and end\n"
	            "  --debug        log more\n");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	        {"config", required_argument, NULL, 'c'},
	        {"check", no_argument, NULL, 'k'},
	        {"debug", no_argument, NULL, 'd'},
	        {"help", no_argument, NULL, 'h'},
	        {0},
	};
	const char *file = NULL;
	bool check_only = false;
	int opt;

	while ((opt = getopt_long(argc, argv, "c:kdh", options, NULL)) != -1) {
		switch (opt) {
		case 'c':
			file = optarg;
			break;
		case 'k':
			check_only = true;
			break;
		case 'd':
			sl_log_set_level(SL_LOG_DEBUG);
			break;
		case 'h':
			usage(stdout);
			return EXIT_SUCCESS;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (file == NULL || optind != argc) {
		usage(stderr);
		return 2;
	}
	return run(file, check_only);
}
