/*
 * A peer without manners against one stack: the input is a program of segments, ICMP errors, time steps and
 * calls of the user. Sequence and acknowledgement numbers are given relative to the state of the connection,
 * so that short inputs get deep. After each step the stack's own books must balance; at the end nothing may
 * be left in any pool.
 */
#include <stdio.h>
#include <stdlib.h>

#include <rte_eal.h>

#include "tcp_priv.h"

#define NB_CONNS  4
#define STEPS_MAX 400

struct fuzz {
	const uint8_t *p;
	size_t n;
	uint64_t now;
	struct sl_tcp *t;
	struct sl_tcp_listener *l;
	struct sl_tcp_conn *c[NB_CONNS];
	struct tcp_tuple last; /* the 4-tuple of the connection last touched */
	struct sl_addr ours, theirs;
	uint32_t last_seq, last_ack; /* what we know when the connection is gone */
};

static struct rte_mempool *pool;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "fuzz_tcp: %s\n", what);
	abort();
}

static uint8_t u8(struct fuzz *f)
{
	if (f->n == 0)
		return 0;
	f->n--;
	return *f->p++;
}

static uint32_t u16(struct fuzz *f)
{
	uint32_t hi = u8(f);

	return hi << 8 | u8(f);
}

static uint32_t u32(struct fuzz *f)
{
	uint32_t hi = u16(f);

	return hi << 16 | u16(f);
}

static int on_output(void *ctx, struct rte_mbuf *m, const struct sl_addr *src, const struct sl_addr *dst,
                     uint8_t ecn, uint64_t now_us)
{
	require(m->pkt_len >= 20 && m->pkt_len <= 1480, "segment of a wrong size");
	rte_pktmbuf_free(m);
	return 0;
}

static void *on_accept(void *ctx, struct sl_tcp_listener *l, void *listener_user, struct sl_tcp_conn *c)
{
	struct fuzz *f = ctx;

	for (int i = 0; i < NB_CONNS; i++) {
		if (f->c[i] == NULL) {
			f->c[i] = c;
			return f;
		}
	}
	return NULL;
}

static int on_route(void *ctx, const struct sl_addr *dst, struct sl_net_path *out)
{
	const struct fuzz *f = ctx;

	memset(out, 0, sizeof(*out));
	out->src = f->ours;
	out->mtu = 1500;
	return 0;
}

static const struct sl_tcp_ops ops = {on_output, on_accept, NULL, on_route, NULL};

/* A number near `base`: by a small step, by segments, by windows, or anywhere. */
static uint32_t near(struct fuzz *f, uint32_t base)
{
	uint8_t how = u8(f);

	switch (how % 6) {
	case 0:
	case 1:
		return base;
	case 2:
		return base + (uint32_t)(int8_t)u8(f);
	case 3:
		return base + (uint32_t)(int16_t)u16(f);
	case 4:
		return base + ((uint32_t)(int8_t)u8(f) << 12);
	default:
		return base + u32(f);
	}
}

static uint32_t put_options(struct fuzz *f, const struct sl_tcp_conn *c, uint8_t *o)
{
	uint8_t which = u8(f);
	uint32_t n = 0;

	if (which & 1)
		n += tcp_options_ts(near(f, c != NULL ? c->ts_recent : 1), u32(f), o);
	if (which & 2) {
		o[n++] = 2;
		o[n++] = 4;
		o[n++] = u8(f);
		o[n++] = u8(f);
	}
	if (which & 4) {
		o[n++] = 3;
		o[n++] = 3;
		o[n++] = u8(f);
		o[n++] = 1;
		o[n++] = 4;
		o[n++] = 2;
	}
	if (which & 8 && n <= 20) {
		o[n++] = 5;
		o[n++] = 18;
		for (int i = 0; i < 4; i++, n += 4)
			sl_put_be32(o + n, near(f, c != NULL ? (i & 1 ? c->snd_nxt : c->snd_una) : 0));
	}
	while (which & 16 && n < 40 && f->n > 0)
		o[n++] = u8(f);
	while (n % 4 != 0)
		o[n++] = which & 32 ? 0 : 1;
	return n;
}

static struct sl_tcp_conn *target(struct fuzz *f, uint8_t which)
{
	struct sl_tcp_conn *c = NULL;

	switch (which % 4) {
	case 0: /* a half-open or other connection, by age */
		c = TAILQ_LAST(&f->t->all, tcp_conn_list);
		break;
	case 1:
		c = f->c[which / 4 % NB_CONNS];
		break;
	case 2:
		break; /* the tuple of before: TIME_WAIT, or gone */
	default:
		memset(&f->last, 0, sizeof(f->last));
		memcpy(f->last.laddr, f->ours.b, 16);
		memcpy(f->last.raddr, f->theirs.b, 16);
		f->last.family = SL_AF_INET;
		f->last.lport = which & 0x80 ? 9 : 5432;
		f->last.rport = (uint16_t)(1000 + which / 4 % 16);
		break;
	}
	if (c != NULL && c->state != TCP_CLOSED) {
		f->last = c->tuple;
		f->last_seq = c->rcv_nxt;
		f->last_ack = c->snd_nxt;
		return c;
	}
	return NULL;
}

static void step_segment(struct fuzz *f)
{
	struct sl_tcp_conn *c = target(f, u8(f));
	struct sl_net_segment ip = {.src = f->theirs, .dst = f->ours, .ttl = 64};
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	uint8_t flags = u8(f), hdr[20] = {0}, opts[64], *p;
	uint32_t n_opts, n;

	if (m == NULL)
		return;
	sl_put_be16(hdr, f->last.rport);
	sl_put_be16(hdr + 2, f->last.lport);
	sl_put_be32(hdr + 4, near(f, c != NULL ? c->rcv_nxt : f->last_seq));
	sl_put_be32(hdr + 8, near(f, c != NULL ? (flags & 0x80 ? c->snd_una : c->snd_nxt) : f->last_ack));
	hdr[13] = flags & 0x3f;
	if (!(flags & 0x40))
		hdr[13] = (uint8_t)((hdr[13] & ~(RTE_TCP_SYN_FLAG | RTE_TCP_RST_FLAG)) | RTE_TCP_ACK_FLAG);
	sl_put_be16(hdr + 14, (uint16_t)u16(f));
	n_opts = put_options(f, c, opts);
	if (n_opts > 40)
		n_opts = 40;
	hdr[12] = (uint8_t)((20 + n_opts) / 4 << 4);
	n = u8(f);
	n = n >= 250 ? 1460 : n;
	m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	p = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(20 + n_opts + n));
	require(p != NULL, "mbuf too small");
	memcpy(p, hdr, 20);
	memcpy(p + 20, opts, n_opts);
	memset(p + 20 + n_opts, (int)(n & 0xff), n);
	sl_tcp_input(f->t, &m, &ip, 1, f->now);
}

static void step_icmp(struct fuzz *f)
{
	struct sl_tcp_conn *c = target(f, u8(f));
	struct sl_net_icmp_error e = {.src = f->ours, .dst = f->theirs, .type = 3};

	e.sport = f->last.lport;
	e.dport = f->last.rport;
	e.seq = near(f, c != NULL ? c->snd_una : 0);
	e.code = u8(f) % 16;
	e.mtu = (uint16_t)u16(f);
	sl_tcp_icmp_error(f->t, &e, f->now);
}

static void step_read(struct sl_tcp_conn *c, size_t n)
{
	struct sl_span v[8];
	uint32_t nb = sl_tcp_peek(c, v, 8);
	volatile uint8_t sum = 0;

	for (uint32_t i = 0; i < nb; i++) {
		for (size_t k = 0; k < v[i].n; k++)
			sum = (uint8_t)(sum + v[i].p[k]);
	}
	sl_tcp_consume(c, n);
}

static void step_connect(struct fuzz *f)
{
	struct sl_endpoint to = {f->theirs, 40000};

	for (int i = 0; i < NB_CONNS; i++) {
		if (f->c[i] == NULL && sl_tcp_connect(f->t, &to, f, f->now, &f->c[i]) < 0)
			f->c[i] = NULL;
	}
}

static void step_user(struct fuzz *f)
{
	static const uint8_t bytes[8192];
	uint8_t op = u8(f), i = op / 8 % NB_CONNS;
	struct sl_tcp_conn *c = f->c[i];

	if (op % 8 == 0)
		step_connect(f);
	if (c == NULL)
		return;
	switch (op % 8) {
	case 1:
	case 2:
		(void)sl_tcp_write(c, sl_span(bytes, u16(f) % sizeof(bytes)));
		break;
	case 3:
		step_read(c, u16(f));
		break;
	case 4:
		sl_tcp_shutdown(c);
		break;
	case 5:
		sl_tcp_release(c);
		f->c[i] = NULL;
		break;
	case 6:
		sl_tcp_abort(c, f->now);
		f->c[i] = NULL;
		break;
	default:
		step_read(c, sl_tcp_readable(c));
		break;
	}
}

struct totals {
	uint64_t bytes;
	uint32_t pieces, own;           /* of send queues */
	uint32_t rpieces, ooo, rcv_own; /* of receive queues */
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
		require(p->at + p->len == c->sndq.end || p->next != NULL, "queue ends early");
		require(p->next == NULL || p->at + p->len == p->next->at, "hole in the send queue");
		bytes += p->m->buf_len;
		sum->pieces++;
		sum->own += p->own;
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
	sum->sent += nb;
}

static void check_queue(const struct sl_tcp_conn *c, struct totals *sum)
{
	const struct tcp_ooo *o = c->rcvq.ooo;
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
	sum->bytes += true_bytes;
}

static void check(const struct fuzz *f)
{
	const struct sl_tcp_conn *c;
	struct totals sum = {0};

	TAILQ_FOREACH(c, &f->t->all, list)
	{
		check_sndq(c, &sum);
		check_board(c, &sum);
		check_queue(c, &sum);
		if (c->state == TCP_CLOSED || c->state == TCP_TIME_WAIT)
			continue;
		require(seq_le(c->snd_una, c->snd_nxt), "SND.UNA beyond SND.NXT");
		require(c->rcvq.bytes <= f->t->cfg.rx_buf_bytes + (c->on_hold ? TCP_HOLD_EXTRA : 0),
		        "receive buffer over its bound");
		require(tx_bytes(c) <= f->t->cfg.tx_buf_bytes, "send buffer over its bound");
		require(c->mss >= TCP_MSS_MIN && c->cwnd < 1U << 31, "MSS or window out of bounds");
		require(c->snd_una == c->snd_nxt || c->tmr[TCP_TMR_RTX] != 0, "in flight without a timer");
	}
	require(sum.rpieces == f->t->rpieces.nb_used && sum.ooo == f->t->ooo.nb_used &&
	                sum.rcv_own == f->t->nb_rcv_own,
	        "receive queues do not add up");
	require(sum.pieces == f->t->pieces.nb_used && sum.own == f->t->nb_own, "send queues do not add up");
	require(sum.bytes == f->t->mem_used, "memory does not add up");
	require(sum.sent == f->t->sents.nb_used, "boards do not add up");
	require(f->t->nb_conns <= f->t->cfg.max_conns, "too many connections");
}

static void step(struct fuzz *f)
{
	switch (u8(f) % 8) {
	case 0:
	case 1:
	case 2:
	case 3:
		step_segment(f);
		break;
	case 4:
	case 5:
		step_user(f);
		break;
	case 6:
		f->now += (uint64_t)u16(f) * ((f->now & 1) != 0 ? 10 : 10000) + 1;
		(void)sl_tcp_tick(f->t, f->now);
		break;
	default:
		step_icmp(f);
		break;
	}
	sl_tcp_flush(f->t, f->now);
	check(f);
}

static void finish(struct fuzz *f)
{
	for (int i = 0; i < NB_CONNS; i++) {
		if (f->c[i] != NULL)
			sl_tcp_abort(f->c[i], f->now);
	}
	sl_tcp_unlisten(f->t, f->l);
	for (int i = 0; i < 2000 && sl_tcp_nb_conns(f->t) > 0; i++) {
		f->now += TCP_S;
		(void)sl_tcp_tick(f->t, f->now);
		sl_tcp_flush(f->t, f->now);
	}
	require(sl_tcp_nb_conns(f->t) == 0, "a connection never ends");
	require(f->t->mem_used == 0 && f->t->nb_own == 0 && f->t->nb_rcv_own == 0, "buffer memory leaked");
	require(f->t->pieces.nb_used == 0 && f->t->rpieces.nb_used == 0 && f->t->ooo.nb_used == 0 &&
	                f->t->sents.nb_used == 0,
	        "pool objects leaked");
	sl_tcp_free(f->t);
	require(rte_mempool_in_use_count(pool) == 0, "mbufs leaked");
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char *eal[] = {"fuzz_tcp", "--no-huge", "--no-pci",       "--no-shconf",
	               "-m",       "64",        "--no-telemetry", "--log-level=*:error"};

	if (rte_eal_init((int)(sizeof(eal) / sizeof(eal[0])), eal) < 0)
		exit(1);
	pool = rte_pktmbuf_pool_create("fuzz", 255, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	if (pool == NULL)
		exit(1);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz f = {.p = data, .n = size, .now = 10000000};
	struct sl_tcp_cfg cfg = {.pool = pool, .ops = &ops, .ctx = &f, .max_conns = 8, .max_time_wait = 4};
	struct sl_endpoint local = {.port = 5432};
	uint8_t shape = u8(&f);

	cfg.rx_buf_bytes = shape & 1 ? 4000 : 40000;
	cfg.tx_buf_bytes = shape & 2 ? 3000 : 60000;
	cfg.max_total_bytes = shape & 4 ? 8 * 4096 : 1 << 20;
	cfg.keepalive_idle_s = 60;
	f.ours = sl_addr_v4("\x0a\0\0\x01");
	f.theirs = sl_addr_v4("\x0a\0\0\x02");
	require(sl_tcp_new(&cfg, &f.t) == 0, "no stack");
	require(sl_tcp_listen(f.t, &local, 4, &f, &f.l) == 0, "no listener");
	for (int i = 0; i < STEPS_MAX && f.n > 0; i++)
		step(&f);
	finish(&f);
	return 0;
}
