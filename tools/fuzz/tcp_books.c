#include "tcp_books.h"

#include <stdio.h>
#include <stdlib.h>

void require(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "TCP: %s\n", what);
	abort();
}

/* The head may be cut beyond the bound: when the MSS falls, or SACK blocks take of it. */
#define SPLITS_MAX 16U

struct totals {
	uint64_t bytes;
	uint32_t pieces, own;                 /* of send queues */
	uint32_t rpieces, ooo, many, rcv_own; /* of receive queues */
	uint32_t sent;
};

static uint32_t list_bytes(const struct tcp_rlist *l, uint64_t *true_bytes, struct totals *sum)
{
	uint32_t n = 0;

	for (const struct tcp_rpiece *p = l->first; p != NULL; p = p->next) {
		require(p->len > 0 && p->off + p->len <= p->m->data_len, "piece outside of its mbuf");
		require(p->next != NULL || p == l->last, "list without its end");
		n += p->len;
		*true_bytes += sizeof(*p->m) + p->m->buf_len;
		sum->rpieces++;
		sum->rcv_own += p->own;
	}
	return n;
}

static void check_sndq(const struct sl_tcp_conn *c, struct totals *sum)
{
	uint32_t bytes = 0;

	for (const struct tcp_piece *p = c->sndq.head; p != NULL; p = p->next) {
		require(p->at + p->len == c->snd_end || p->next != NULL, "queue ends early");
		require(p->next == NULL || p->at + p->len == p->next->at, "hole in the send queue");
		bytes += p->m->buf_len;
		sum->pieces++;
		sum->own += p->counted;
		require(p->counted == (p->m->pool == c->t->cfg.pool) && (p->counted || !p->own),
		        "a buffer of the stack that is not counted");
	}
	require(bytes == c->sndq.pinned, "send queue miscounted");
	sum->bytes += bytes;
}

/* The board covers what is in flight without a hole, and each entry is where its flags say. */
static void check_board(const struct sl_tcp_conn *c, struct totals *sum)
{
	const struct tcp_board *b = &c->board;
	const struct tcp_sent *e, *high = NULL;
	uint32_t at = c->snd_una, nb = 0, nb_state = 0, sacked = 0, segs = 0, lost = 0, rxt = 0;

	TAILQ_FOREACH(e, &b->all, order)
	{
		uint32_t n = e->end - e->seq;

		require(e->seq == at && n > 0 && n < 1U << 31, "hole or overlap on the board");
		require((e->flags & (TCP_SENT_SACKED | TCP_SENT_LOST)) != (TCP_SENT_SACKED | TCP_SENT_LOST),
		        "SACKed and lost");
		at = e->end;
		nb++;
		if (e->flags & TCP_SENT_SACKED) {
			sacked += n;
			segs += e->nb_segs;
			high = e;
		} else if (e->flags & TCP_SENT_LOST) {
			lost += n;
		} else if (e->flags & TCP_SENT_RXT) {
			rxt += n;
		}
	}
	require(nb == 0 || at == c->snd_nxt, "the board does not end at SND.NXT");
	require(nb == b->nb && sacked == b->sacked_bytes && lost == b->lost_bytes && rxt == b->rxt_bytes &&
	                segs == b->sacked_segs,
	        "board miscounted");
	require(b->high == NULL || b->high == high, "not the highest SACKed entry");
	TAILQ_FOREACH(e, &b->flying, state)
	{
		require(!(e->flags & (TCP_SENT_SACKED | TCP_SENT_LOST)), "does not fly");
		nb_state++;
	}
	TAILQ_FOREACH(e, &b->lost, state)
	{
		require((e->flags & TCP_SENT_LOST) != 0, "not lost");
		require(TAILQ_NEXT(e, state) == NULL || seq_lt(e->seq, TAILQ_NEXT(e, state)->seq),
		        "lost in disorder");
		nb_state++;
	}
	TAILQ_FOREACH(e, &b->all, order) nb_state += (e->flags & TCP_SENT_SACKED) != 0;
	require(nb_state == nb, "entries on no list");
	require(nb <= tcp_sent_max(c) + SPLITS_MAX, "the board is over its bound");
	sum->sent += nb;
	sum->bytes += nb * sizeof(*e);
}

static void check_queue(const struct sl_tcp_conn *c, struct totals *sum)
{
	const struct tcp_ooo *o = c->ooo;
	uint64_t true_bytes = 0;
	uint32_t bytes = 0;

	require(list_bytes(&c->rcvq.list, &true_bytes, sum) == c->rcvq.bytes, "bytes in order miscounted");
	for (uint32_t i = 0; o != NULL && i < o->nb; i++) {
		const struct tcp_run *r = &o->run[i];

		require(seq_lt(i == 0 ? c->rcv_nxt : r[-1].end, r->start), "runs touch or overlap");
		require(list_bytes(&r->list, &true_bytes, sum) == r->end - r->start, "run miscounted");
		bytes += r->end - r->start;
	}
	require(o == NULL || (o->nb > 0 && o->bytes == bytes), "bytes out of order miscounted");
	require(true_bytes == c->rcvq.true_bytes, "true size miscounted");
	sum->ooo += o != NULL;
	sum->many += o != NULL && o->run != o->few;
	sum->bytes += true_bytes;
}

/* Who has how many connections and half-open ones. */
static void check_sources(const struct sl_tcp *t)
{
	uint32_t nb = 0, nb_conns = 0, nb_half_open = 0, nb_accepted = 0;
	const struct sl_tcp_conn *c;

	for (uint32_t i = 0; i <= t->sources.mask; i++) {
		for (uint32_t id = t->sources.buckets[i]; id != 0; id = t->sources.e[id - 1].hash_next) {
			const struct tcp_source *x = &t->sources.e[id - 1];

			require(x->nb_conns > 0 || x->nb_half_open > 0, "a source with nothing");
			nb++;
			nb_conns += x->nb_conns;
			nb_half_open += x->nb_half_open;
		}
	}
	TAILQ_FOREACH(c, &t->all, list) nb_accepted += c->source != 0;
	TAILQ_FOREACH(c, &t->dead, list) nb_accepted += c->source != 0;
	require(nb == t->sources.nb && nb_conns == nb_accepted, "sources miscounted");
	require(nb_half_open == t->syn.nb && t->syn.nb <= t->syn.max, "half-open connections miscounted");
}

void tcp_books_check(const struct sl_tcp *t, bool held)
{
	const struct sl_tcp_conn *c;
	struct totals sum = {0};

	TAILQ_FOREACH(c, &t->all, list)
	{
		check_sndq(c, &sum);
		check_board(c, &sum);
		check_queue(c, &sum);
		if (c->state == TCP_CLOSED || c->state == TCP_TIME_WAIT)
			continue;
		require(c->rx_buf <= t->cfg.rx_buf_max, "a receive buffer has grown too large");
		require(seq_le(c->snd_una, c->snd_nxt), "SND.UNA beyond SND.NXT");
		require(c->rcvq.bytes <= t->cfg.rx_buf_max + (held || c->on_hold ? TCP_HOLD_EXTRA : 0),
		        "receive buffer over its bound");
		require(tx_bytes(c) <= t->cfg.tx_buf_max, "send buffer over its bound");
		require(c->mss >= TCP_MSS_MIN && c->cwnd < 1U << 31, "MSS or window out of bounds");
		require(c->snd_una == c->snd_nxt || c->tmr_rtx != 0, "in flight without a timer");
		require(!c->no_room || c->rcvq.bytes > 0, "a shut window that no reading opens");
	}
	require(sum.rpieces == t->rpieces.nb_used && sum.ooo == t->ooo.nb_used &&
	                sum.rcv_own == t->nb_rcv_own,
	        "receive queues do not add up");
	require(sum.pieces == t->pieces.nb_used && sum.own == t->nb_own, "send queues do not add up");
	require(sum.bytes == t->mem_used, "memory does not add up");
	require(sum.sent == t->sents.nb_used, "boards do not add up");
	require(sum.many == t->runs.nb_used, "blocks of runs do not add up");
	require(t->nb_conns <= t->cfg.max_conns, "too many connections");
	check_sources(t);
}

void tcp_books_empty(const struct sl_tcp *t)
{
	require(sl_tcp_nb_conns(t) == 0, "a connection never ends");
	require(t->mem_used == 0 && t->nb_own == 0 && t->nb_rcv_own == 0, "buffer memory leaked");
	require(t->pieces.nb_used == 0 && t->rpieces.nb_used == 0 && t->ooo.nb_used == 0 &&
	                t->runs.nb_used == 0 && t->nb_orphans == 0 && t->sents.nb_used == 0,
	        "pool objects leaked");
	require(t->syn.nb == 0 && t->sources.nb == 0, "half-open connections or sources left");
}
