/*
 * What the tests of the flow share: streams in memory and a toy decoder, whose messages are a length byte and
 * a body. The body's first letter says what is wanted: 'd' is denied, 'h' is held, 'u' asks for an upgrade,
 * 'U' for one that begins with it, 'r' waits until the target has said something,
 * 'x' says goodbye, 'l' and 'w' are heads of long messages (their second and third byte are a length): the
 * bytes that follow are passed as they come, or read whole; anything else is allowed. What the target says is
 * passed as it comes, but for bytes '#', which become '*', and '!', which is an error.
 */
#ifndef TEST_FLOW_UTIL_H
#define TEST_FLOW_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "sl_flow.h"

#define WIRE_MAX   (4 * 1024 * 1024)
#define WIRE_RX    32   /* mbufs that a wire shows at most */
#define WIRE_PIECE 1460 /* bytes in one of them at most */

/*
 * A stream in memory. by_ref: its bytes come in mbufs, as those of TCP do, and those that it is given by
 * reference are held until wire_ack().
 */
struct wire {
	uint8_t *in, *out;
	size_t in_n, in_at, out_n;
	size_t out_room; /* how much more it takes */
	size_t cut;      /* bytes a read, or an mbuf, at most */
	int end;
	int err;
	bool shut, by_ref;
	struct rte_mbuf *rx[WIRE_RX]; /* of the bytes from in_at on */
	uint32_t nb_rx, rx_off;       /* and how far the first one is consumed */
	size_t rx_n;                  /* bytes in them */
	struct rte_mbuf **held;       /* of what was written by reference */
	size_t nb_held, ref_bytes;
};

struct toy {
	struct sl_io io;
	uint64_t cmd;
	size_t left; /* of a long message */
	bool parked, resumed, allowed, heard;
};

#define BENCH_SHOWN 8

struct bench {
	struct wire client, target, inside; /* inside: what stands for TLS on a leg */
	struct toy toy;
	struct sl_flow flow;
	struct sl_buf_pool *pool;
	uint64_t recorded, durable;
	uint32_t nb_events, again; /* answer so many events with SL_AGAIN */
	uint8_t *tapped;
	size_t tapped_n;
	int upgrades;
	size_t early_n; /* bytes that the last one was given */
	bool no_blocks;
	bool no_layer; /* an upgrade fails */
	bool show_at_events;
	size_t shown[BENCH_SHOWN]; /* bytes tapped when the n-th event came */
};

/* Whether the wires of the next bench are by reference. */
extern bool test_by_ref;
extern const struct sl_stream_ops wire_ops, wire_ref_ops;
extern const struct sl_decoder toy_decoder;
extern struct rte_mempool *test_mbufs;

int test_eal(void);
int setup(void **state);
int teardown(void **state);
/* The same without a look at what others hold. */
void bench_close(struct bench *b);
/* The peer has acknowledged all: what was taken by reference is given back. */
void wire_ack(struct wire *w);
void say(struct wire *w, const char *body);
void say_raw(struct wire *w, const char *text);
/* n bytes that differ from their neighbours. */
void say_bulk(struct wire *w, size_t n);
void say_long(struct wire *w, uint16_t n);
void say_whole(struct wire *w, uint16_t n);
void assert_out(const struct wire *w, const char *expected);

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
