/*
 * A worker: one core's poll loop and all that it owns: TCP stack, sessions, buffers, inspection. Nothing is
 * shared between workers but what the ports, the neighbour table, the bus and the store offer for it.
 */
#ifndef SL_WORKER_H
#define SL_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mempool.h>

#include "sl_addr.h"
#include "sl_bus.h"
#include "sl_net.h"
#include "sl_store.h"
#include "sl_tcp.h"
#include "sl_tls.h"
#include "sl_usage.h"

#define SL_WORKER_LISTENERS_MAX 64

struct sl_worker;

struct sl_worker_listener {
	const char *name;
	const char *protocol; /* "postgres" */
	struct sl_endpoint address;
	const char *resource;      /* NULL: the client's user name names it */
	struct sl_tls_ctx *tls;    /* NULL: none */
	bool insecure;             /* a token in clear text is taken */
	uint32_t max_conns;        /* accepted ones at a time, of each worker; 0: no cap */
	uint64_t max_bytes;        /* in their buffers, of each worker; 0: no cap */
	struct sl_endpoint target; /* of the test service relay, in builds that have it */
};

struct sl_worker_cfg {
	uint32_t worker, nb_workers;
	/* All of them once they run: whether they have stopped, and what one that has died leaves. NULL:
	 * none. */
	struct sl_worker *const *workers;
	struct sl_bus *bus;
	struct sl_store *store;
	struct sl_usage *usage; /* the same for all workers */
	struct sl_net_shared *net;
	struct rte_mempool *pool;    /* the stack's own: what it sends and what it copies */
	struct rte_mempool *rx_pool; /* what the ports receive into */
	struct sl_tcp_cfg tcp; /* its bounds and timers (0: the worker's default); the rest is the worker's */
	uint32_t backlog;      /* half-open connections of a listener; 0: 1024 */
	const struct sl_worker_listener *listeners; /* live as long as the worker */
	uint32_t nb_listeners;
	uint32_t max_sessions;
	uint32_t max_unauthenticated; /* connections whose client has not said who it is */
	size_t message_max;
	size_t session_memory; /* what the tables of all sessions of the worker may take */
	uint64_t login_timeout_us;
	uint64_t catalog_age_us; /* a target's catalog is asked for again, for masks; 0: 60 s */
	uint64_t reply_bytes_max;
	bool record_replies;
	bool full_poll;
	uint32_t id_salt;
	uint8_t secret[16]; /* for TCP; the same for all workers */
};

/* Does this build have a decoder for the protocol? */
bool sl_worker_protocol(const char *name);
/* Its name in TLS (RFC 7301), or NULL. */
const char *sl_worker_alpn(const char *name);

/* Main thread, before the worker runs. 0, < 0 with the reason in err. */
int sl_worker_new(const struct sl_worker_cfg *cfg, struct sl_worker **out, char *err, size_t err_cap);
/* The poll loop, in the worker's own thread, until all workers were drained (SL_MSG_DRAIN), or for ever when
 * the worker dies of a fault that is contained (sl_fault.h): then nothing of it may be freed. 0, or < 0: it
 * has not begun. */
int sl_worker_run(struct sl_worker *w);
/* After run has returned. */
void sl_worker_free(struct sl_worker *w);

#endif
