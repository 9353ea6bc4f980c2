/*
 * The client's side: connections opened to remote endpoints, what they do with them, and how it went. Worker
 * thread, as in sl_service.h; the main thread reads the statistics.
 */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "sl_tcp.h"

#define LOAD_REMOTES_MAX 16
#define LOAD_HIST_SLOTS  320 /* 16 for each doubling, from 1 us to some seconds */

enum load_kind {
	LOAD_NONE,
	LOAD_RR,      /* request and reply; the connection that rested longest is next (service echo) */
	LOAD_CONNECT, /* open, one exchange, the server closes, again (service once) */
	LOAD_SEND,    /* bytes out for as long as they are taken (service discard) */
	LOAD_RECEIVE, /* bytes in (service source) */
	LOAD_CONNS,   /* all opened, all idle, all used, all closed; and so for some rounds (service echo) */
};

enum load_phase {
	PHASE_OPEN,
	PHASE_IDLE,
	PHASE_USE,
	PHASE_CLOSE,
	PHASE_DONE,
};

struct load_cfg {
	enum load_kind kind;
	struct sl_endpoint remote[LOAD_REMOTES_MAX]; /* taken in turn */
	uint16_t nb_remotes;
	uint32_t conns, bytes; /* of a request */
	uint32_t at_once;      /* LOAD_RR, LOAD_CONNS: opens or requests under way */
	uint32_t hold_s, rounds;
	bool stay; /* the program ends by a signal only */
};

struct load_stats {
	uint64_t opened, closed, failed, replies, bytes;
	uint64_t open; /* now */
	uint64_t first_failure_err;
	enum load_phase phase;
	uint32_t round;
	uint64_t phase_us[PHASE_DONE]; /* how long each took, last round */
	uint64_t hist[LOAD_HIST_SLOTS];
};

struct load;

enum load_kind load_find(const char *name);
const char *load_phase_name(enum load_phase p);
int load_new(struct sl_tcp *t, const struct load_cfg *cfg, struct load **out);
void load_free(struct load *l);
bool load_owns(const struct load *l, const void *user);
void load_notify(struct load *l, void *user, uint32_t events);
/* Once per poll loop. Returns how many connections it looked at. */
uint32_t load_run(struct load *l, uint64_t now_us);
bool load_done(const struct load *l);
const struct load_stats *load_stats(const struct load *l);
/* The latency in us below which that share of the replies came. */
uint64_t load_quantile(const struct load_stats *st, double q);

#endif
