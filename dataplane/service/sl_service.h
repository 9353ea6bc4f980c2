/*
 * Test services: what a listener can speak that is no target's protocol. They show the stack alone, without
 * TLS, policy and records, and are therefore only in builds with -Dtest_services=true.
 *
 *   echo     gives back what comes, and its FIN behind it
 *   discard  reads and forgets
 *   source   sends for as long as the peer reads
 *   once     gives back the first bytes that come and closes
 *   relay    a second connection to the listener's target, bytes both ways: backpressure by the windows, a
 * FIN passed on behind the bytes before it, a reset passed on at once
 *
 * One instance per worker, called from the worker's thread only. A connection that sl_service_accept() took
 * has a user pointer of this module: sl_service_owns() tells, so that the worker's notify callback knows
 * where to go. Allocates at start only.
 */
#ifndef SL_SERVICE_H
#define SL_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "sl_tcp.h"

enum sl_service_kind {
	SL_SERVICE_NONE,
	SL_SERVICE_ECHO,
	SL_SERVICE_DISCARD,
	SL_SERVICE_SOURCE,
	SL_SERVICE_ONCE,
	SL_SERVICE_RELAY,
};

struct sl_service_stats {
	uint32_t nb_sessions;
	uint64_t opened, closed, failed; /* failed: ended by an error of either leg */
	uint64_t bytes;                  /* taken from connections */
};

struct sl_services;

/* The service of that name; NONE: there is none. */
enum sl_service_kind sl_service_find(const char *protocol);

/* Sessions (at most max_sessions) live on the connections of t. */
int sl_services_new(struct sl_tcp *t, uint32_t max_sessions, struct sl_services **out);
/* Before the stack is freed. */
void sl_services_free(struct sl_services *s);

/* For the stack's accept callback: the connection's user pointer, or NULL to refuse it. target (relay only)
 * must outlive the session. */
void *sl_service_accept(struct sl_services *s, enum sl_service_kind kind, const struct sl_endpoint *target,
                        struct sl_tcp_conn *c);
/* Is this user pointer one of a service's connections? */
bool sl_service_owns(const struct sl_services *s, const void *user);
/* For the stack's notify callback: only notes it. */
void sl_service_notify(struct sl_services *s, void *user, uint32_t events);
/* Does what has become possible; once per poll loop. Returns the number of sessions it looked at. */
uint32_t sl_services_run(struct sl_services *s, uint64_t now_us);
/* Resets all sessions. */
void sl_services_end(struct sl_services *s, uint64_t now_us);
struct sl_service_stats sl_services_stats(const struct sl_services *s);

#endif
