/*
 * sluiced's configuration file: YAML, read once at start. docs/configuration.md lists every key. Unknown
 * keys, wrong types and missing ones are errors with file, line and column.
 */
#ifndef CONFIG_H
#define CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "sl_addr.h"
#include "sl_net.h"
#include "sl_port.h"
#include "sl_tcp.h"
#include "sl_worker.h"

#define CONFIG_EAL_MAX   64
#define CONFIG_ADDRS_MAX 8 /* addresses of a port, of both families together */

struct config_port {
	const char *device;
	struct sl_prefix addresses[CONFIG_ADDRS_MAX];
	uint32_t nb_addresses;
	uint64_t vlan, mtu;
	bool software_checksum;
	bool impaired; /* a bad network is played on it: */
	struct sl_port_impair impair;
};

struct config_route {
	struct sl_prefix to;
	struct sl_addr via;
	const char *device; /* the port that a link-local `via` is on; NULL: none was said */
	uint32_t port;      /* its row, when device is not NULL */
};

struct config_listener {
	const char *name, *protocol, *resource;
	struct sl_endpoint address;
	struct sl_endpoint target; /* of the test service relay */
	const char *cert_file, *key_file;
	bool insecure;
	uint32_t max_conns; /* caps of each worker; 0: none */
	uint64_t max_bytes;
};

struct config {
	const char *eal[CONFIG_EAL_MAX];
	uint32_t nb_eal;
	uint64_t workers, main_core;
	uint64_t cores[SL_STORE_WORKERS_MAX];
	uint32_t nb_cores;
	bool full_poll;
	bool exit_on_fault; /* of a worker; else it is contained */
	uint64_t mbufs,
	        stack_mbufs;   /* per worker: to receive into; for what the stack itself holds and sends */
	uint32_t backlog;      /* half-open connections of a listener */
	struct sl_tcp_cfg tcp; /* the bounds and timers; the worker adds the rest */
	struct config_port ports[SL_NET_PORTS_MAX];
	uint32_t nb_ports;
	struct config_route routes[SL_NET_ROUTES_MAX];
	uint32_t nb_routes;
	struct config_listener listeners[SL_WORKER_LISTENERS_MAX];
	uint32_t nb_listeners;
	const char *mgmt_listen, *mgmt_cert, *mgmt_key, *master_key, *bootstrap;
	const char *store_path, *sign_key;
	uint64_t store_bytes;
	uint64_t max_sessions, max_unauthenticated, session_memory, message_bytes, login_timeout_s,
	        reply_bytes;
	uint32_t catalog_age_s;
	bool record_replies;
	struct sl_yaml_doc *doc; /* the strings above live in it */
};

/* 0; SL_E_CONFIG with "file:line:column: what" in err. */
int config_load(const char *file, struct config *out, char *err, size_t err_cap);
void config_free(struct config *c);

#endif
