/*
 * A peer without manners against one stack: the input brings a connection into one of its states, then it is
 * a program of segments, ICMP errors, time steps and calls of the user. Sequence and acknowledgement numbers
 * are given relative to the state of the connection, so that short inputs get deep.
 *
 * After each step the stack's own books must balance, what was sent must be the bytes that were written, and
 * bytes that the user could read must not have changed; at the end nothing may be left in any pool.
 */
#include <stdlib.h>

#include <rte_eal.h>

#include "tcp_books.h"

#define NB_CONNS   4
#define NB_WIRE    4
#define NB_STARVED 12 /* mbufs that are left when the pool runs dry */
#define STEPS_MAX  400
#define BURST_MAX  6
#define SPANS_MAX  4096
#define SEEN_MAX   (512U << 10)
#define POOL_MBUFS 1023
#define IP4_BYTES  20
#define IP6_BYTES  40
#define MTU        1500
#define PORT       5432

/* A packet that the port has not sent yet, with the payload that it must still have then. */
struct on_wire {
	struct rte_mbuf *m;
	uint32_t at, hdr;
};

struct fuzz {
	const uint8_t *p;
	size_t n;
	uint64_t now;
	struct sl_tcp *t;
	struct sl_tcp_listener *l;
	struct sl_tcp_conn *c[NB_CONNS];
	size_t nb_seen[NB_CONNS]; /* bytes of seen[] */
	struct tcp_tuple last;    /* the 4-tuple of the connection last touched */
	struct sl_addr ours, theirs;
	uint32_t last_seq, last_ack; /* what its peer would send: as of our last segment */
	struct on_wire wire[NB_WIRE];
	uint32_t at_wire;
	struct rte_mbuf *eaten[POOL_MBUFS];
	uint32_t nb_eaten;
	bool ipv6, offload, wire_fails, held;
};

static struct rte_mempool *pool, *rx_pool;
static uint8_t seen[NB_CONNS][SEEN_MAX]; /* what was readable at the last look */

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

/* ---- what the stack sends ---- */

/* The byte that the user writes at an offset of the stream. */
static uint8_t pattern(uint32_t at)
{
	return (uint8_t)(at * 31 + (at >> 8));
}

static void pattern_check(const struct rte_mbuf *m, uint32_t from, uint32_t at)
{
	for (; m != NULL; m = m->next) {
		const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);

		for (uint32_t i = from; i < m->data_len; i++, at++)
			require(p[i] == pattern(at), "sent bytes that were not written there");
		from = from > m->data_len ? from - m->data_len : 0;
	}
}

static void wire_put(struct fuzz *f, struct rte_mbuf *m, uint32_t hdr, uint32_t at)
{
	struct on_wire *w = &f->wire[f->at_wire++ % NB_WIRE];

	if (w->m != NULL) {
		pattern_check(w->m, w->hdr, w->at);
		rte_pktmbuf_free(w->m);
	}
	*w = (struct on_wire){m, at, hdr};
}

static void size_check(const struct fuzz *f, const struct rte_mbuf *m, uint32_t hdr)
{
	uint32_t ip = f->ipv6 ? IP6_BYTES : IP4_BYTES;

	require(m->pkt_len >= hdr && hdr >= 20 && hdr <= TCP_HDR_MAX && m->data_len >= hdr,
	        "segment without its header");
	if (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) {
		require(f->offload && m->tso_segsz > 0 && m->tso_segsz + hdr + ip <= MTU &&
		                m->pkt_len + ip <= UINT16_MAX,
		        "super-segment of a wrong size");
		return;
	}
	require(m->pkt_len + ip <= MTU, "segment of a wrong size");
	require(f->offload || m->nb_segs == 1, "a chain for a port that takes none");
}

static int on_output(void *ctx, struct rte_mbuf *m, const struct sl_addr *src, const struct sl_addr *dst,
                     uint8_t ecn, uint64_t now_us)
{
	struct fuzz *f = ctx;
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t hdr = (uint32_t)(p[12] >> 4) * 4, seq = sl_get_be32(p + 4), n;
	struct tcp_tuple u = {.lport = sl_get_be16(p), .rport = sl_get_be16(p + 2), .family = src->family};
	struct tcp_opts opts;
	const struct sl_tcp_conn *c;

	size_check(f, m, hdr);
	require(tcp_options_parse(p + 20, hdr - 20, &opts) == SL_OK, "options that nobody can read");
	memcpy(u.laddr, src->b, sizeof(u.laddr));
	memcpy(u.raddr, dst->b, sizeof(u.raddr));
	n = m->pkt_len - hdr + ((p[13] & RTE_TCP_SYN_FLAG) != 0) + ((p[13] & RTE_TCP_FIN_FLAG) != 0);
	f->last = u;
	f->last_seq = p[13] & RTE_TCP_ACK_FLAG ? sl_get_be32(p + 8) : 0;
	f->last_ack = seq + n;
	c = tcp_table_find(f->t, tcp_tuple_hash(f->t, &u));
	if (c != NULL && m->pkt_len > hdr) {
		require(seq_lt(c->iss, seq) && seq_le(seq + n, tx_last_seq(c)), "sent what was not written");
		pattern_check(m, hdr, seq - c->iss - 1);
		wire_put(f, m, hdr, seq - c->iss - 1);
	} else {
		require(m->pkt_len == hdr, "payload without a connection");
		wire_put(f, m, hdr, 0);
	}
	return f->wire_fails && f->at_wire % 3 == 0 ? SL_E_NET_NO_NEIGHBOUR : SL_OK;
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
	out->mtu = MTU;
	out->tso = out->multi_seg = f->offload;
	return 0;
}

static const struct sl_tcp_ops ops = {on_output, on_accept, NULL, on_route, NULL};

/* ---- segments in ---- */

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

/* In one mbuf, or in a chain that is cut at `cut`. NULL: no mbuf. */
static struct rte_mbuf *packet(const uint8_t *p, uint32_t n, uint32_t cut)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(rx_pool), *rest;
	uint32_t first = cut >= 20 && cut < n ? cut : n;
	uint8_t *to;

	if (m == NULL)
		return NULL;
	m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	to = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)first);
	require(to != NULL, "mbuf too small");
	memcpy(to, p, first);
	if (first == n)
		return m;
	rest = rte_pktmbuf_alloc(rx_pool);
	to = rest != NULL ? (uint8_t *)rte_pktmbuf_append(rest, (uint16_t)(n - first)) : NULL;
	if (to == NULL) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	memcpy(to, p + first, n - first);
	require(rte_pktmbuf_chain(m, rest) == 0, "no chain");
	return m;
}

static void put_header(const struct fuzz *f, uint8_t *p, uint32_t seq, uint32_t ack, uint8_t flags,
                       uint32_t n_opts)
{
	memset(p, 0, 20);
	sl_put_be16(p, f->last.rport);
	sl_put_be16(p + 2, f->last.lport);
	sl_put_be32(p + 4, seq);
	sl_put_be32(p + 8, ack);
	p[12] = (uint8_t)((20 + n_opts) / 4 << 4);
	p[13] = flags;
}

static void target_new(struct fuzz *f, uint16_t lport, uint16_t rport)
{
	memset(&f->last, 0, sizeof(f->last));
	memcpy(f->last.laddr, f->ours.b, 16);
	memcpy(f->last.raddr, f->theirs.b, 16);
	f->last.family = f->ours.family;
	f->last.lport = lport;
	f->last.rport = rport;
}

static struct sl_tcp_conn *target(struct fuzz *f, uint8_t which)
{
	struct sl_tcp_conn *c = NULL;

	switch (which % 4) {
	case 0: /* of any state, by age */
		c = TAILQ_LAST(&f->t->all, tcp_conn_list);
		break;
	case 1:
		c = f->c[which / 4 % NB_CONNS];
		break;
	case 2:
		break; /* the tuple of before: half-open, TIME_WAIT, or gone */
	default:
		target_new(f, which & 0x80 ? 9 : PORT, (uint16_t)(1000 + which / 4 % 16));
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

/* A burst: the segments behind the first carry on where it ended. */
static void step_segment(struct fuzz *f)
{
	struct sl_tcp_conn *c = target(f, u8(f));
	struct sl_net_segment ip[BURST_MAX];
	struct rte_mbuf *m[BURST_MAX];
	uint8_t flags = u8(f), bytes[20 + 64 + 1460];
	uint32_t seq = near(f, c != NULL ? c->rcv_nxt : f->last_seq), n_opts, n, nb = 0, want, cut;
	uint32_t ack = near(f, c != NULL ? (flags & 0x80 ? c->snd_una : c->snd_nxt) : f->last_ack);
	uint32_t wnd = u16(f);

	n_opts = put_options(f, c, bytes + 20);
	if (n_opts > 40)
		n_opts = 40;
	n = u8(f);
	cut = u8(f);
	want = cut & 1 ? 1 : cut / 2 % BURST_MAX + 1;
	n = n >= 250 ? 1460 : n;
	put_header(f, bytes, seq, ack, flags & 0x3f, n_opts);
	if (!(flags & 0x40))
		bytes[13] =
		        (uint8_t)((bytes[13] & ~(RTE_TCP_SYN_FLAG | RTE_TCP_RST_FLAG)) | RTE_TCP_ACK_FLAG);
	sl_put_be16(bytes + 14, (uint16_t)wnd);
	for (; nb < want; nb++) {
		memset(bytes + 20 + n_opts, (int)((n + nb + f->n) & 0xff), n);
		m[nb] = packet(bytes, 20 + n_opts + n, cut & 0x80 ? cut : 0);
		if (m[nb] == NULL)
			break;
		ip[nb] = (struct sl_net_segment){
		        .src = f->theirs, .dst = f->ours, .ttl = 64, .ecn = cut >> 5 & 3};
		seq += n;
		sl_put_be32(bytes + 4, seq);
	}
	if (nb > 0)
		sl_tcp_input(f->t, m, ip, (uint16_t)nb, f->now);
}

static void step_icmp(struct fuzz *f)
{
	struct sl_tcp_conn *c = target(f, u8(f));
	struct sl_net_icmp_error e = {.src = f->ours, .dst = f->theirs};
	uint8_t what;

	e.sport = f->last.lport;
	e.dport = f->last.rport;
	e.seq = near(f, c != NULL ? c->snd_una : f->last_ack - 1);
	what = u8(f);
	e.code = what % 16;
	e.type = f->ipv6 ? 1 + what / 16 % 4 : (what & 0x80 ? what / 16 : 3);
	e.error = (enum sl_net_error)(u8(f) % (SL_NET_ERROR_PARAMETER + 1));
	e.mtu = (uint16_t)u16(f);
	if (f->ipv6 && e.mtu < 1280)
		e.mtu = 1280; /* as net does */
	sl_tcp_icmp_error(f->t, &e, f->now);
}

/* ---- calls of the user ---- */

static void forget(struct fuzz *f, uint32_t i)
{
	f->c[i] = NULL;
	f->nb_seen[i] = 0;
}

static void step_read(struct fuzz *f, uint32_t i, size_t n)
{
	size_t had = f->nb_seen[i], readable = sl_tcp_readable(f->c[i]);

	n = n < readable ? n : readable;
	sl_tcp_consume(f->c[i], n);
	f->nb_seen[i] = had > n ? had - n : 0;
	memmove(seen[i], seen[i] + n, f->nb_seen[i]);
}

/* What could be read is what can be read. */
static void check_readable(struct fuzz *f, uint32_t i)
{
	static struct sl_span v[SPANS_MAX];
	uint32_t nb = sl_tcp_peek(f->c[i], v, SPANS_MAX);
	size_t at = 0;

	for (uint32_t k = 0; k < nb && at + v[k].n <= SEEN_MAX; at += v[k++].n) {
		size_t same = f->nb_seen[i] > at ? f->nb_seen[i] - at : 0;

		same = same < v[k].n ? same : v[k].n;
		require(memcmp(v[k].p, seen[i] + at, same) == 0, "bytes changed under the user");
		memcpy(seen[i] + at, v[k].p, v[k].n);
	}
	require(at >= f->nb_seen[i] || nb == SPANS_MAX, "readable bytes are gone");
	f->nb_seen[i] = at;
}

static void step_connect(struct fuzz *f)
{
	struct sl_endpoint to = {f->theirs, 40000};

	for (int i = 0; i < NB_CONNS; i++) {
		if (f->c[i] == NULL && sl_tcp_connect(f->t, &to, f, f->now, &f->c[i]) < 0)
			f->c[i] = NULL;
	}
}

static void step_write(struct sl_tcp_conn *c, uint32_t n)
{
	uint8_t bytes[8192];

	n %= sizeof(bytes);
	for (uint32_t i = 0; i < n; i++)
		bytes[i] = pattern(c->snd_end - c->iss - 1 + i);
	require(sl_tcp_write(c, sl_span(bytes, n)) <= n, "took more than there was");
}

static void step_write_piece(struct sl_tcp_conn *c, uint32_t off, uint32_t n)
{
	struct sl_tcp_piece piece = {.m = rte_pktmbuf_alloc(rx_pool), .off = off % 64, .len = n % 1900};
	uint8_t *p;

	if (piece.m == NULL || piece.len == 0) {
		rte_pktmbuf_free(piece.m);
		return;
	}
	p = (uint8_t *)rte_pktmbuf_append(piece.m, (uint16_t)(piece.off + piece.len));
	require(p != NULL, "mbuf too small");
	for (uint32_t i = 0; i < piece.len; i++)
		p[piece.off + i] = pattern(c->snd_end - c->iss - 1 + i);
	require(sl_tcp_write_piece(c, &piece) <= piece.len, "took more than there was");
	rte_pktmbuf_free(piece.m);
}

/* What only looks. */
static void step_look(struct fuzz *f, struct sl_tcp_conn *c)
{
	struct sl_tcp_trace_event e[64];
	struct sl_tcp_info info;
	struct sl_tcp_stats stats;
	char text[128];

	sl_tcp_get_info(c, &info);
	sl_tcp_get_stats(f->t, &stats);
	require(stats.mem_bytes == f->t->mem_used, "statistics differ");
	for (uint32_t i = 0, nb = sl_tcp_trace_read(f->t, info.id, e, 64); i < nb; i++)
		(void)sl_tcp_trace_text(&e[i], text, sizeof(text));
}

static void step_setting(struct fuzz *f, struct sl_tcp_conn *c, uint8_t what)
{
	switch (what % 4) {
	case 0:
		sl_tcp_hold(c, what & 4);
		f->held = true;
		break;
	case 1:
		sl_tcp_set_nodelay(c, what & 4);
		break;
	case 2:
		sl_tcp_set_cork(c, what & 4);
		break;
	default:
		sl_tcp_set_user_timeout(c, what * 100U);
		break;
	}
}

static void step_user(struct fuzz *f)
{
	uint8_t op = u8(f), i = op / 16 % NB_CONNS;
	struct sl_tcp_conn *c = f->c[i];

	if (op % 16 == 0)
		step_connect(f);
	if (c == NULL)
		return;
	switch (op % 16) {
	case 1:
	case 2:
		step_write(c, u16(f));
		break;
	case 3:
	case 4:
		step_write_piece(c, op, u16(f));
		break;
	case 5:
		step_read(f, i, u16(f));
		break;
	case 6:
		sl_tcp_shutdown(c);
		break;
	case 7:
		sl_tcp_release(c);
		forget(f, i);
		break;
	case 8:
		sl_tcp_abort(c, f->now);
		forget(f, i);
		break;
	case 9:
		step_look(f, c);
		break;
	case 10:
	case 11:
		step_setting(f, c, u8(f));
		break;
	default:
		step_read(f, i, sl_tcp_readable(c));
		break;
	}
}

/* ---- into each state ---- */

/* A segment of a peer that behaves, to the connection of `last`. */
static void behave(struct fuzz *f, uint8_t flags, uint32_t seq, uint32_t ack, bool options)
{
	uint8_t b[20 + 20] = {0};
	struct sl_net_segment ip = {.src = f->theirs, .dst = f->ours, .ttl = 64};
	struct rte_mbuf *m;
	uint32_t n = 0;

	if (options) {
		n = tcp_options_ts(1, 0, b + 20); /* timestamps, window scale 2, SACK */
		memcpy(b + 20 + n, "\x01\x03\x03\x02\x01\x01\x04\x02", 8);
		n += 8;
	}
	put_header(f, b, seq, ack, flags, n);
	sl_put_be16(b + 14, 50000);
	m = packet(b, 20 + n, 0);
	require(m != NULL, "no mbuf for a segment");
	sl_tcp_input(f->t, &m, &ip, 1, f->now);
	sl_tcp_flush(f->t, f->now);
}

static void handshake(struct fuzz *f, bool active, bool options)
{
	uint32_t seq = 7000;

	if (active) {
		struct sl_endpoint to = {f->theirs, 40000};

		require(sl_tcp_connect(f->t, &to, f, f->now, &f->c[0]) == SL_OK, "no active open");
		sl_tcp_flush(f->t, f->now);
		behave(f, RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG, seq, f->last_ack, options);
	} else {
		target_new(f, PORT, 1000);
		behave(f, RTE_TCP_SYN_FLAG, seq, 0, options);
		f->now += TCP_MS;
		/* Timestamps would have to be echoed: a peer that agreed on them stops here. */
		if (!options)
			behave(f, RTE_TCP_ACK_FLAG, seq + 1, f->last_ack, false);
	}
}

/* The peer has all that was sent. */
static void acknowledge(struct fuzz *f, struct sl_tcp_conn *c, uint8_t flags)
{
	for (int i = 0; i < 16 && c->state < TCP_TIME_WAIT && c->snd_una != tx_last_seq(c); i++) {
		f->last = c->tuple;
		behave(f, RTE_TCP_ACK_FLAG, c->rcv_nxt, c->snd_nxt, false);
	}
	if (flags != 0) {
		f->last = c->tuple;
		behave(f, flags, c->rcv_nxt, c->snd_nxt, false);
	}
}

/* From ESTABLISHED on, as RFC 9293's figure 5 has it. */
static void close_to(struct fuzz *f, struct sl_tcp_conn *c, uint8_t want)
{
	uint8_t fin = RTE_TCP_FIN_FLAG | RTE_TCP_ACK_FLAG;

	if (want == TCP_CLOSE_WAIT || want == TCP_LAST_ACK)
		acknowledge(f, c, fin);
	if (want == TCP_CLOSE_WAIT)
		return;
	sl_tcp_shutdown(c);
	sl_tcp_flush(f->t, f->now);
	if (want == TCP_FIN_WAIT_2 || want == TCP_TIME_WAIT)
		acknowledge(f, c, want == TCP_TIME_WAIT ? fin : 0);
	if (want == TCP_CLOSING) {
		f->last = c->tuple;
		behave(f, fin, c->rcv_nxt, c->snd_una, false);
	}
}

static void bring(struct fuzz *f, uint8_t how)
{
	uint8_t want = how % (TCP_TIME_WAIT + 1);
	bool active = how / 16 & 1, data = how / 32 & 1, options = how / 64 & 1;
	struct sl_tcp_conn *c;

	if (want == TCP_CLOSED)
		return;
	if (want == TCP_SYN_SENT) {
		step_connect(f);
		sl_tcp_flush(f->t, f->now);
		require(f->c[0]->state == TCP_SYN_SENT, "not in SYN-SENT");
		return;
	}
	if (want == TCP_SYN_RCVD) {
		target_new(f, PORT, 1000);
		behave(f, RTE_TCP_SYN_FLAG, 7000, 0, options);
		return;
	}
	handshake(f, active, options && want == TCP_ESTABLISHED);
	c = f->c[0];
	if (c == NULL) /* half-open: with timestamps the third segment is the program's */
		return;
	require(c->state == TCP_ESTABLISHED, "not in ESTABLISHED");
	if (data)
		step_write(c, 5000);
	sl_tcp_flush(f->t, f->now);
	if (want != TCP_ESTABLISHED)
		close_to(f, c, want);
	require(c->state == want, "not in the state that was asked for");
}

/* ---- the program ---- */

static void eat(struct fuzz *f)
{
	while (rte_mempool_avail_count(pool) > NB_STARVED && f->nb_eaten < POOL_MBUFS)
		f->eaten[f->nb_eaten++] = rte_pktmbuf_alloc(pool);
}

static void eat_no_more(struct fuzz *f)
{
	while (f->nb_eaten > 0)
		rte_pktmbuf_free(f->eaten[--f->nb_eaten]);
}

static void step_time(struct fuzz *f)
{
	uint32_t n = u16(f);

	f->now += (uint64_t)n * (n & 1 ? 10 : 10000) + 1;
	(void)sl_tcp_tick(f->t, f->now);
}

static void step(struct fuzz *f)
{
	switch (u8(f) % 16) {
	case 8:
	case 9:
	case 10:
		step_user(f);
		break;
	case 11:
	case 12:
		step_time(f);
		break;
	case 13:
		step_icmp(f);
		break;
	case 14:
		if (f->nb_eaten == 0)
			eat(f);
		else
			eat_no_more(f);
		break;
	default:
		step_segment(f);
		break;
	}
	sl_tcp_flush(f->t, f->now);
	tcp_books_check(f->t, f->held);
	for (uint32_t i = 0; i < NB_CONNS; i++) {
		if (f->c[i] != NULL)
			check_readable(f, i);
	}
}

static void finish(struct fuzz *f)
{
	eat_no_more(f);
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
	tcp_books_check(f->t, f->held);
	tcp_books_empty(f->t);
	sl_tcp_free(f->t);
	for (int i = 0; i < NB_WIRE; i++)
		rte_pktmbuf_free(f->wire[i].m);
	require(rte_mempool_in_use_count(pool) == 0 && rte_mempool_in_use_count(rx_pool) == 0,
	        "mbufs leaked");
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char *eal[] = {"fuzz_tcp", "--no-huge", "--no-pci",       "--no-shconf",
	               "-m",       "64",        "--no-telemetry", "--log-level=*:error"};

	if (rte_eal_init((int)(sizeof(eal) / sizeof(eal[0])), eal) < 0)
		exit(1);
	pool = rte_pktmbuf_pool_create("fuzz", POOL_MBUFS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	rx_pool = rte_pktmbuf_pool_create("fuzz_rx", 255, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	if (pool == NULL || rx_pool == NULL)
		exit(1);
	return 0;
}

static struct sl_addr address(bool ipv6, uint8_t last)
{
	struct sl_addr a = {.b = {10, 0, 0, last}, .family = SL_AF_INET};

	if (ipv6)
		a = (struct sl_addr){.b = {0xfd, [15] = last}, .family = SL_AF_INET6};
	return a;
}

static void open_stack(struct fuzz *f, uint8_t shape, bool cookies)
{
	struct sl_tcp_cfg cfg = {.pool = pool, .ops = &ops, .ctx = f, .max_conns = 8, .max_time_wait = 4};
	struct sl_endpoint local = {.port = PORT};

	cfg.rx_buf_bytes = shape & 1 ? 4000 : shape & 32 ? 200000 : 40000;
	cfg.tx_buf_bytes = shape & 2 ? 3000 : 60000;
	if ((shape & 33) == 33) { /* buffers that grow */
		cfg.rx_buf_max = 100000;
		cfg.tx_buf_max = 90000;
	}
	cfg.max_total_bytes = shape & 4 ? 8 * 4096 : 1 << 20;
	cfg.keepalive_idle_s = 60;
	cfg.ecn = shape & 64;
	cfg.pacing = !cfg.ecn;
	cfg.max_half_open = 8;
	cfg.max_half_open_per_source = 3;
	cfg.syn_cookies = cookies ? SL_TCP_COOKIES_ALWAYS : SL_TCP_COOKIES_AUTO;
	f->ipv6 = shape & 8;
	f->offload = shape & 16;
	f->wire_fails = shape & 128;
	f->ours = address(f->ipv6, 1);
	f->theirs = address(f->ipv6, 2);
	require(sl_tcp_new(&cfg, &f->t) == 0, "no stack");
	require(sl_tcp_listen(f->t, &local, 4, f, &f->l) == 0, "no listener");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz f;
	uint8_t shape, how;

	f = (struct fuzz){.p = data, .n = size, .now = 10 * TCP_S};
	shape = u8(&f);
	how = u8(&f);
	open_stack(&f, shape, how & 0x80);
	bring(&f, how & 0x7f);
	for (int i = 0; i < STEPS_MAX && f.n > 0; i++)
		step(&f);
	finish(&f);
	return 0;
}
