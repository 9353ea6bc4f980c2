/*
 * The send queue of a connection: all bytes written and not yet acknowledged, as a FIFO of pieces of mbufs.
 * A piece holds one reference of its mbuf until its last byte is acknowledged, so that a retransmission sends
 * the same bytes again, and so that a port which still holds an old copy of them does no harm.
 *
 * Places in it are sequence numbers.
 */
#ifndef TCP_SNDQ_H
#define TCP_SNDQ_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

struct sl_tcp;
struct sl_tcp_conn;

struct tcp_piece {
	struct tcp_piece *next;
	struct rte_mbuf *m; /* one segment: its chain is not looked at */
	uint32_t at;        /* sequence number of the first byte */
	uint32_t off;       /* of the first byte in the mbuf's buffer (not from data_off, which may move) */
	uint32_t len;
	bool own;     /* ours alone: what is behind the piece may be written */
	bool counted; /* of cfg.pool, among nb_own: ours, or what a receive queue had copied there */
};

struct tcp_sndq {
	struct tcp_piece *head, *tail;
	struct tcp_piece *next; /* where the next new segment starts, or before; NULL: the head */
	uint32_t first;         /* the first byte held; behind the last one: snd_end of the connection */
	uint32_t pinned;        /* bytes of buffers that the pieces hold, by true size */
};

/* Empty, behind our SYN. */
void tcp_sndq_start(struct sl_tcp_conn *c);
/* The last quarter of the stack's memory, and of half its mbufs, is for connections that hold nothing. */
bool tcp_sndq_available(const struct sl_tcp_conn *c);
/* Copies bytes to the end, into what room the last mbuf has, then into new ones. Returns how many. */
uint32_t tcp_sndq_put(struct sl_tcp_conn *c, const uint8_t *p, uint32_t n);
/* Takes one more reference of m's bytes [off, off + n) of its data. False: no memory, or too much pinned; of
 * the stack's own pool also when tcp_sndq_available() says no. */
bool tcp_sndq_put_ref(struct sl_tcp_conn *c, struct rte_mbuf *m, uint32_t off, uint32_t n);
/* Forgets the first n bytes. */
void tcp_sndq_drop(struct sl_tcp_conn *c, uint32_t n);
void tcp_sndq_clear(struct sl_tcp_conn *c);
/* The piece that holds the byte `at`, looked for from `from` (NULL: the head) on; at < end. */
struct tcp_piece *tcp_sndq_find(const struct tcp_sndq *q, struct tcp_piece *from, uint32_t at);
/* Bytes from `at`, at most n, that lie in no more than nb pieces. */
uint32_t tcp_sndq_span(const struct tcp_piece *p, uint32_t at, uint32_t n, uint32_t nb);
void tcp_sndq_copy(const struct tcp_piece *p, uint32_t at, uint32_t n, uint8_t *to);
/* Chains indirect mbufs for [at, at + n) to head. False: no mbuf; head keeps what it has then. */
bool tcp_sndq_attach(struct sl_tcp *t, const struct tcp_piece *p, uint32_t at, uint32_t n,
                     struct rte_mbuf *head);

#endif
