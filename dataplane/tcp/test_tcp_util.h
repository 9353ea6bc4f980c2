/* What the tests of this folder share: two stacks and a bad wire in virtual time, and hand-made segments for
 * one stack. */
#ifndef TEST_TCP_UTIL_H
#define TEST_TCP_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tcp_priv.h"

#define WIRE_MAX 4096

/* A connection's user in the tests. */
struct end {
	struct sl_tcp_conn *c;
	uint64_t to_send, sent, received, tx_digest, rx_digest;
	uint32_t tx_seed;
	uint32_t events; /* all that were notified */
	uint32_t nb_readable;
	bool read_paused, shut, eof;
	int err;
};

/* A stack with what the callbacks need. */
struct host {
	struct sl_tcp *t;
	struct sl_addr addr;
	struct wire *wire;
	uint16_t mtu;
	bool refuse;
	struct end *accept_end; /* given to the next accepted connection */
	uint32_t nb_accepted;
	int route_err;
	bool (*port_ok)(uint16_t port);
};

/* What a wire does to packets, in percent and microseconds. */
struct wire_cfg {
	uint32_t loss, dup, reorder;
	uint64_t delay_us, jitter_us;
};

struct packet {
	struct rte_mbuf *m;
	struct sl_addr src, dst;
	uint64_t at;
	uint64_t order;
};

struct wire {
	struct wire_cfg cfg;
	uint64_t seed, nb_sent, order;
	uint32_t n;
	struct packet q[WIRE_MAX];
	bool capture; /* packets wait in q for the test instead of being delivered */
	struct host *a, *b;
};

struct sim {
	uint64_t now;
	struct wire wire;
	struct host a, b;
};

extern struct rte_mempool *test_pool;

int test_eal(void);
uint64_t test_rand(uint64_t *seed);
void host_init(struct host *h, struct wire *w, const char *addr, const struct sl_tcp_cfg *tune);
void sim_init(struct sim *s, const struct wire_cfg *cfg, const struct sl_tcp_cfg *tune, uint64_t seed);
/* Frees the stacks; asserts that nothing is left in the pools. */
void sim_fini(struct sim *s);
void sim_step(struct sim *s, uint64_t max_us);
void end_pump(struct end *e);
void host_check_empty(struct host *h);
void wire_clear(struct wire *w);
uint64_t digest(uint64_t d, const uint8_t *p, size_t n);

/* One stack against the test itself. */
struct seg {
	uint32_t seq, ack;
	uint8_t flags;
	uint16_t wnd;
	uint16_t sport, dport;
	struct tcp_opts o;
	uint8_t opts[40];
	uint32_t nb_opts;
	uint8_t data[2048];
	uint32_t len;
	bool raw_opts;
	bool bad_csum, no_ts;
};

struct peer {
	uint64_t now;
	struct wire wire;
	struct host h;
	struct end e;
	struct sl_tcp_listener *l;
	uint16_t sport, dport; /* the peer's, ours */
	uint32_t seq, ack;     /* the peer's SND.NXT, and what it has of ours */
	uint32_t iss;          /* ours */
	uint16_t mss;
	bool ts, sack;
	uint8_t wscale; /* 255: none */
	uint32_t ts_val, ts_ecr;
	struct seg got;
};

#define F_FIN 1
#define F_SYN 2
#define F_RST 4
#define F_PSH 8
#define F_ACK 16
#define F_URG 32

void peer_init(struct peer *p, const struct sl_tcp_cfg *tune);
void peer_fini(struct peer *p);
/* Sends a segment as it is; then one with the peer's seq and ack. */
void peer_send(struct peer *p, const struct seg *s);
void peer_tx(struct peer *p, uint8_t flags, uint32_t seq, uint32_t ack, const void *data, uint32_t n);
/* Takes the oldest segment that the stack sent, into p->got. False: none. */
bool peer_rx(struct peer *p);
void peer_none(struct peer *p);
/* Handshakes: the peer opens; the stack opens. */
void peer_connect(struct peer *p);
void peer_accept(struct peer *p);
/* Lets time pass, with ticks; flushes. */
void peer_run(struct peer *p, uint64_t us);
uint32_t peer_drain(struct peer *p);

#endif
