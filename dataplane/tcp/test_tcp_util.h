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

#define WIRE_MAX   4096
#define WIRE_BURST 32
#define MSS_MAX    8960

/*
 * What a test program runs under, from its arguments: `family=4|6 offload=0|1 mss=536|1460|8960 seed=N`, each
 * with a default (4, 0, 1460). With offloads the path has TSO and takes chains, and what comes in is chained
 * and its checksum vouched for. The link's MTU is mss + 40 in both families, so that IPv6 has 20 bytes less:
 * test_mss().
 */
struct test_params {
	uint8_t family;
	bool offload;
	uint16_t mss;
	uint64_t seed;
};
extern struct test_params test;

/* A connection's user in the tests. */
struct end {
	struct sl_tcp_conn *c;
	uint64_t to_send, sent, received, tx_digest, rx_digest;
	uint32_t tx_seed;
	uint32_t events; /* all that were notified */
	uint32_t nb_readable;
	bool read_paused, shut, eof;
	bool tx_refused; /* the last write took nothing */
	int err;
};

/* A stack with what the callbacks need. */
struct host {
	struct sl_tcp *t;
	struct sl_addr addr;
	struct wire *wire;
	uint16_t mtu;
	bool tso, multi_seg; /* of its paths */
	bool refuse;
	struct end *accept_end; /* given to the next accepted connection */
	uint32_t nb_accepted;
	int route_err;
	bool (*port_ok)(uint16_t port);
};

/* What a wire does to packets, in percent and microseconds. */
struct wire_cfg {
	uint32_t loss, dup, reorder, ce; /* ce: marked, of those that can be */
	uint64_t delay_us, jitter_us;
	uint32_t mbit; /* rate of each direction, with an endless queue; 0: no limit */
};

struct packet {
	struct rte_mbuf *m;
	struct sl_addr src, dst;
	uint8_t ecn;
	uint64_t at;
	uint64_t order;
};

struct wire {
	struct wire_cfg cfg;
	uint64_t seed, nb_sent, order;
	uint64_t free_ns[2];           /* when each direction has sent what it has */
	uint64_t nb_super, nb_chained; /* packets handed to the port for TSO; in chains */
	uint32_t n;
	struct packet q[WIRE_MAX]; /* a heap: the next to arrive is the first */
	bool capture;              /* packets wait in q for the test instead of being delivered */
	struct host *a, *b;
};

struct sim {
	uint64_t now;
	struct wire wire;
	struct host a, b;
};

extern struct rte_mempool *test_pool;    /* the stacks' own */
extern struct rte_mempool *test_rx_pool; /* the ports' */

/* Reads the arguments and starts EAL. 0, or < 0. test_eal(): with the defaults. */
int test_setup(int argc, char **argv);
int test_eal(void);
/* The MSS that the link leaves, and bytes of IP and TCP headers together. */
uint16_t test_mss(void);
uint32_t test_headers(void);
/* An IPv4 address in the family of the run: 10.0.0.9 is fd00::10.0.0.9 there. */
struct sl_addr test_addr(const char *v4);
struct sl_endpoint test_endpoint(const char *v4, uint16_t port);
uint64_t test_rand(uint64_t *seed);
void host_init(struct host *h, struct wire *w, const char *addr, const struct sl_tcp_cfg *tune);
void sim_init(struct sim *s, const struct wire_cfg *cfg, const struct sl_tcp_cfg *tune, uint64_t seed);
/* Frees the stacks; asserts that nothing is left in the pools. */
void sim_fini(struct sim *s);
void sim_step(struct sim *s, uint64_t max_us);
void end_pump(struct end *e);
void host_check_empty(struct host *h);
int wire_output(void *ctx, struct rte_mbuf *m, const struct sl_addr *src, const struct sl_addr *dst,
                uint8_t ecn, uint64_t now_us);
/* A packet (TCP header and payload) as the port would hand it up. */
struct rte_mbuf *wire_receive(const uint8_t *p, uint32_t n, bool bad_csum);
void wire_checksum(uint8_t *p, uint32_t n, const struct sl_addr *src, const struct sl_addr *dst);
void wire_deliver(struct wire *w, uint64_t now);
void wire_clear(struct wire *w);
uint64_t digest(uint64_t d, const uint8_t *p, size_t n);

/* One stack against the test itself. */
struct seg {
	uint32_t seq, ack;
	uint8_t flags, ecn;
	uint16_t wnd;
	uint16_t sport, dport;
	struct tcp_opts o;
	uint8_t opts[40];
	uint32_t nb_opts;
	uint8_t data[MSS_MAX + 40];
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
	struct sl_addr addr;   /* the peer's */
	uint16_t sport, dport; /* the peer's, ours */
	uint32_t seq, ack;     /* the peer's SND.NXT, and what it has of ours */
	uint32_t iss;          /* ours */
	uint16_t mss;
	bool ts, sack;
	bool ecn;       /* asked for by its SYN; what is agreed is seen in got.flags */
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
#define F_ECE 64
#define F_CWR 128

void peer_init(struct peer *p, const struct sl_tcp_cfg *tune);
void peer_fini(struct peer *p);
struct sl_endpoint peer_endpoint(const struct peer *p);
/* A segment as the port would hand it up. */
struct rte_mbuf *peer_segment(const struct peer *p, const struct seg *s, struct sl_net_segment *ip);
/* Sends a segment as it is; then one with the peer's seq and ack. */
void peer_send(struct peer *p, const struct seg *s);
void peer_tx(struct peer *p, uint8_t flags, uint32_t seq, uint32_t ack, const void *data, uint32_t n);
/* An ACK without data, with nb SACK blocks. */
void peer_ack(struct peer *p, uint32_t ack, uint16_t wnd, const struct tcp_range *sack, uint32_t nb);
/* Takes the oldest segment that the stack sent, into p->got. False: none. */
bool peer_rx(struct peer *p);
void peer_none(struct peer *p);
/* The options of its SYN. Returns their length. */
uint32_t peer_syn_options(const struct peer *p, uint8_t *o);
/* Handshakes: the peer opens; the stack opens. */
void peer_connect(struct peer *p);
/* What goes to the peer is thrown away from now on; returns the ops as they were. */
const struct sl_tcp_ops *peer_deaf(struct peer *p);
void peer_accept(struct peer *p);
/* The first two segments; the stack's SYN, which is in p->got; the answer to the last one that was taken. */
void peer_syn(struct peer *p);
void peer_asked(struct peer *p);
void peer_accept_last(struct peer *p);
/* Lets time pass, with ticks; flushes. */
void peer_run(struct peer *p, uint64_t us);
uint32_t peer_drain(struct peer *p);

#endif
