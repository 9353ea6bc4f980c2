/* What the files of this program share: see README.md. One worker thread owns all of struct stack but `stop`.
 */
#ifndef STACK_H
#define STACK_H

#include <stdatomic.h>

#include "load.h"
#include "sl_net.h"
#include "sl_service.h"
#include "sl_tcp.h"

#define STACK_PORTS_MAX  4
#define STACK_ADDRS_MAX  4
#define STACK_LISTEN_MAX 16
#define STACK_ROUTES_MAX 8

enum role {
	ROLE_SERVE, /* services behind listeners */
	ROLE_DRIVE, /* the same, and a load */
	ROLE_WIRE,  /* frames from one port to the other, no TCP */
	ROLE_FLOOD, /* frames out of the first port, counted where they come back */
};

struct port_opt {
	const char *device;
	struct sl_prefix addr[STACK_ADDRS_MAX];
	uint16_t nb_addrs;
};

struct listen_opt {
	enum sl_service_kind kind;
	struct sl_endpoint local, target;
};

struct options {
	enum role role;
	struct port_opt ports[STACK_PORTS_MAX];
	uint16_t nb_ports;
	struct listen_opt listen[STACK_LISTEN_MAX];
	uint16_t nb_listen;
	struct sl_net_route_cfg routes[STACK_ROUTES_MAX];
	uint16_t nb_routes;
	struct load_cfg load;
	unsigned core, main_core;
	uint32_t mbufs, mbuf_bytes, max_conns, buf_bytes, frame_bytes, interval_ms;
	uint32_t backlog;
	uint64_t seconds; /* 0: until a signal */
	uint16_t mtu, mss;
	bool adaptive, stages, software_checksum;
	bool impaired; /* the first port, both ways */
	struct sl_port_impair impair;
};

struct stack {
	struct options opt;
	struct rte_mempool *pool;
	struct sl_port *ports[STACK_PORTS_MAX];
	struct sl_net_shared *shared;
	struct sl_net *net;
	struct sl_tcp *tcp;
	struct sl_services *services;
	struct load *load;
	uint64_t tsc_scale, now_us, next_net_us, next_tcp_us, last_work_us;
	uint64_t frames_out, frames_in; /* flood */
	uint32_t mbufs_free;            /* at the start, when all queues are filled */
	atomic_bool stop, done;         /* asked to end; the load has ended by itself */
};

/* worker.c: the worker thread, by role. */
int worker_open(struct stack *s, char *err, size_t cap);
void worker_close(struct stack *s);
int worker_run(void *stack);
/* report.c: one line of JSON. Main thread. */
void report(struct stack *s, const char *what);

#endif
