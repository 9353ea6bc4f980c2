/* The receive queue: what is copied and what stays where it is, which bytes win, what is dropped when places
 * or memory run out, and what the peer is told of it. */
#include <stdlib.h>

#include "test_tcp_util.h"

#define STREAM     600000
#define CHAIN_LEAD 108U /* payload in the first mbuf of a chain, behind 20 bytes of header */
#define SMALL      100U

static uint8_t stream[STREAM], other[STREAM];

static void fill_streams(void)
{
	uint64_t seed = test.seed;

	for (size_t i = 0; i < sizeof(stream); i++) {
		stream[i] = (uint8_t)test_rand(&seed);
		other[i] = (uint8_t)~stream[i];
	}
}

/* Sends bytes [off, off + n) of the stream. */
static void put_from(struct peer *p, const uint8_t *from, uint32_t off, uint32_t n)
{
	peer_tx(p, F_ACK, p->seq + off, p->ack, from + off, n);
}

static void put(struct peer *p, uint32_t off, uint32_t n)
{
	put_from(p, stream, off, n);
	peer_drain(p);
}

/* Bytes to send so that n lie in one mbuf that is not a chain's first. */
static uint32_t in_one(uint32_t n)
{
	return test.offload ? n + CHAIN_LEAD : n;
}

/* What can be read is [off, off + n) of `want`; reads it. */
static void take(struct peer *p, const uint8_t *want, uint32_t off, uint32_t n)
{
	struct sl_span v;

	assert_true(sl_tcp_readable(p->e.c) >= n);
	while (n > 0) {
		uint32_t part;

		assert_int_equal(sl_tcp_peek(p->e.c, &v, 1), 1);
		part = u32_min(n, (uint32_t)v.n);
		assert_memory_equal(v.p, want + off, part);
		sl_tcp_consume(p->e.c, part);
		off += part;
		n -= part;
	}
}

static uint32_t rx_used(void)
{
	return rte_mempool_in_use_count(test_rx_pool);
}

static uint32_t own_size(void)
{
	return (uint32_t)sizeof(struct rte_mbuf) + rte_pktmbuf_data_room_size(test_pool);
}

static uint32_t nb_runs(const struct peer *p)
{
	return p->e.c->ooo != NULL ? p->e.c->ooo->nb : 0;
}

/* ---- copy or reference ---- */

static void test_small_copied(void **state)
{
	uint32_t room = rte_pktmbuf_data_room_size(test_pool), n = 0;
	struct sl_span v[4];
	struct peer p;

	peer_init(&p, NULL);
	peer_connect(&p);
	while (n + SMALL <= room) {
		put(&p, n, SMALL);
		n += SMALL;
		assert_int_equal(rx_used(), 0);
		assert_int_equal(p.h.t->nb_rcv_own, 1);
		assert_int_equal(sl_tcp_peek(p.e.c, v, 4), 1);
		assert_int_equal(v[0].n, n);
		assert_int_equal(p.h.t->mem_used, own_size());
	}
	put(&p, n, SMALL); /* its last bytes go to a second one */
	n += SMALL;
	assert_int_equal(p.h.t->nb_rcv_own, 2);
	assert_int_equal(sl_tcp_peek(p.e.c, v, 4), 2);
	assert_int_equal(v[0].n, room);
	take(&p, stream, 0, room + 10); /* partly read: what follows still goes behind it */
	put(&p, n, SMALL);
	assert_int_equal(p.h.t->nb_rcv_own, 1);
	take(&p, stream, room + 10, n + SMALL - room - 10);
	assert_int_equal(p.h.t->nb_rcv_own, 0);
	assert_int_equal(p.h.t->mem_used, 0);
	peer_fini(&p);
}

static void test_large_referenced(void **state)
{
	uint32_t big = in_one(TCP_COPY_BELOW), less = in_one(TCP_COPY_BELOW - 1);
	struct sl_tcp_piece v[4];
	struct peer p;
	uint32_t nb;

	peer_init(&p, NULL);
	peer_connect(&p);
	put(&p, 0, big);
	assert_int_equal(rx_used(), 1);
	nb = sl_tcp_peek_pieces(p.e.c, v, 4);
	assert_int_equal(nb, test.offload ? 2 : 1);
	assert_ptr_equal(v[nb - 1].m->pool, test_rx_pool);
	assert_int_equal(v[nb - 1].len, TCP_COPY_BELOW);
	assert_int_equal(rte_mbuf_refcnt_read(v[nb - 1].m), 1);
	put(&p, big, less);
	assert_int_equal(rx_used(), 1);
	put(&p, big + less + 500, big); /* out of order too */
	assert_int_equal(rx_used(), 2);
	put(&p, big + less, 500);
	take(&p, stream, 0, big + less + 500 + big);
	assert_int_equal(rx_used(), 0);
	peer_fini(&p);
}

/* A port's pool that runs low keeps its mbufs. */
static void test_pressed_pool(void **state)
{
	static struct rte_mbuf *held[8192];
	uint32_t n = 0, big = in_one(TCP_COPY_BELOW);
	struct peer p;

	peer_init(&p, NULL);
	peer_connect(&p);
	put(&p, 0, big);
	assert_int_equal(rx_used(), 1);
	while (n < test_rx_pool->size / TCP_PINNED_SHARE + 8)
		assert_non_null(held[n++] = rte_pktmbuf_alloc(test_rx_pool));
	p.now += TCP_POOL_SAMPLE;
	put(&p, big, big);
	assert_int_equal(rx_used(), n + 1);
	while (n > 0)
		rte_pktmbuf_free(held[--n]);
	p.now += TCP_POOL_SAMPLE;
	put(&p, 2 * big, big);
	assert_int_equal(rx_used(), 2);
	take(&p, stream, 0, 3 * big);
	peer_fini(&p);
}

/* Packets of many pools in turn, as other workers hand them over: what is known of each lasts. */
static void test_many_pools(void **state)
{
	struct rte_mempool *mp[9], *was = test_rx_pool;
	uint32_t big = in_one(TCP_COPY_BELOW), next = 0;
	static struct end ends[16];
	struct peer p;

	for (uint32_t i = 0; i < RTE_DIM(mp); i++) {
		char name[] = "many0";

		name[4] = (char)('0' + i);
		mp[i] = rte_pktmbuf_pool_create(name, 255, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
		assert_non_null(mp[i]);
	}
	memset(ends, 0, sizeof(ends));
	peer_init(&p, NULL);
	for (uint32_t i = 0; i < RTE_DIM(ends); i++) {
		p.h.accept_end = &ends[i];
		p.sport = (uint16_t)(41000 + i);
		p.seq = 1000;
		peer_syn(&p);
		peer_tx(&p, F_ACK, p.seq, p.ack, NULL, 0);
		assert_non_null(ends[i].c);
		for (uint32_t k = 0; k < 100; k++) {
			test_rx_pool = mp[next++ % RTE_DIM(mp)];
			put(&p, k * big, big);
			assert_true(rx_used() <= test_rx_pool->size / TCP_PINNED_SHARE + 2);
			p.now += TCP_POOL_SAMPLE / 4;
		}
		assert_int_equal(sl_tcp_readable(ends[i].c), 100 * big);
	}
	for (uint32_t i = 0; i < RTE_DIM(ends); i++)
		sl_tcp_abort(ends[i].c, p.now);
	peer_drain(&p);
	test_rx_pool = was;
	peer_fini(&p);
	for (uint32_t i = 0; i < RTE_DIM(mp); i++)
		rte_mempool_free(mp[i]);
}

/* The last place is found wherever it is; a pool that comes when all are taken keeps its mbufs. */
static void test_pool_places(void **state)
{
	static const struct rte_mempool others[TCP_POOLS];
	uint32_t big = in_one(TCP_COPY_BELOW);
	struct peer p;

	for (uint32_t left = 0; left <= TCP_POOLS; left++) {
		peer_init(&p, NULL);
		peer_connect(&p);
		for (uint32_t i = 0; i < TCP_POOLS; i++)
			p.h.t->rx_pool[i].mp = i != left ? &others[i] : NULL;
		put(&p, 0, big);
		assert_int_equal(rx_used(), left < TCP_POOLS ? 1 : 0);
		if (left < TCP_POOLS)
			assert_ptr_equal(p.h.t->rx_pool[left].mp, test_rx_pool);
		take(&p, stream, 0, big);
		peer_fini(&p);
	}
}

/* Who takes references has the bytes for as long as it likes; the queue counts them no more. */
static void test_references_outlive(void **state)
{
	uint32_t big = in_one(1000), end = big + SMALL, nb, at = 0;
	struct sl_tcp_piece v[8];
	struct peer p;

	peer_init(&p, NULL);
	peer_connect(&p);
	put(&p, 0, big);
	put(&p, big, SMALL);
	nb = sl_tcp_peek_pieces(p.e.c, v, 8);
	for (uint32_t i = 0; i < nb; i++)
		rte_mbuf_refcnt_update(v[i].m, 1);
	sl_tcp_consume(p.e.c, big + SMALL / 2);
	put(&p, end, SMALL); /* behind what is read in part */
	take(&p, stream, big + SMALL / 2, SMALL / 2 + SMALL);
	assert_int_equal(p.h.t->mem_used, 0);
	assert_int_equal(p.h.t->nb_rcv_own, 0);
	put(&p, end + SMALL, SMALL); /* not into an mbuf that was let go */
	for (uint32_t i = 0; i < nb; i++) {
		assert_int_equal(rte_mbuf_refcnt_read(v[i].m), 1);
		assert_memory_equal(rte_pktmbuf_mtod_offset(v[i].m, uint8_t *, v[i].off), stream + at,
		                    v[i].len);
		at += v[i].len;
		rte_pktmbuf_free_seg(v[i].m);
	}
	assert_int_equal(at, end);
	take(&p, stream, end + SMALL, SMALL);
	peer_fini(&p);
}

/* ---- out of order ---- */

static void test_first_bytes_win(void **state)
{
	static uint8_t want[4000];
	struct peer p;

	peer_init(&p, NULL);
	peer_connect(&p);
	memcpy(want, stream, sizeof(want));
	put(&p, 1000, 300);
	put_from(&p, other, 800, 700); /* around it: both ends are new */
	memcpy(want + 800, other + 800, 200);
	memcpy(want + 1300, other + 1300, 200);
	put_from(&p, other, 2000, 600);
	memcpy(want + 2000, other + 2000, 600);
	put(&p, 1400, 1400); /* from inside of one over the whole of another */
	assert_int_equal(nb_runs(&p), 1);
	assert_int_equal(sl_tcp_readable(p.e.c), 0);
	put(&p, 0, 1400); /* in order, over a run's begin */
	assert_int_equal(sl_tcp_readable(p.e.c), 2800);
	put_from(&p, other, 2700, 200); /* an old part in front */
	memcpy(want + 2800, other + 2800, 100);
	take(&p, want, 0, 2900);
	peer_fini(&p);
}

struct model {
	uint8_t want[64000];
	bool have[64000];
	uint32_t next, read;
};

/* A segment of either stream somewhere around what is expected. */
static void random_segment(struct peer *p, struct model *m, uint64_t *seed)
{
	uint32_t from = m->next > 3000 ? m->next - 3000 : 0, n = (uint32_t)(test_rand(seed) % 1400 + 1);
	uint32_t off = from + (uint32_t)(test_rand(seed) % 12000);
	const uint8_t *bytes = test_rand(seed) % 2 ? stream : other;

	if (test_rand(seed) % 4 == 0)
		off = m->next;
	if (off + n > sizeof(m->want))
		return;
	put_from(p, bytes, off, n);
	for (uint32_t i = off > m->next ? off : m->next; i < off + n; i++) {
		if (!m->have[i])
			m->want[i] = bytes[i];
		m->have[i] = true;
	}
	while (m->next < sizeof(m->want) && m->have[m->next])
		m->next++;
}

static void test_random_overlaps(void **state)
{
	static struct model m;
	uint64_t seed = test.seed;
	uint32_t rounds = 0;
	struct peer p;

	peer_init(&p, NULL);
	peer_connect(&p);
	while (m.next < sizeof(m.want) - 1400 && rounds++ < 20000) {
		uint32_t n;

		random_segment(&p, &m, &seed);
		peer_drain(&p);
		p.now += 100;
		assert_int_equal(sl_tcp_readable(p.e.c), m.next - m.read);
		assert_int_equal(p.h.t->mem_used, p.e.c->rcvq.true_bytes);
		n = (uint32_t)(test_rand(&seed) % (m.next - m.read + 1));
		if (test_rand(&seed) % 4 == 0) {
			take(&p, m.want, m.read, n);
			m.read += n;
		}
	}
	assert_true(rounds < 20000);
	take(&p, m.want, m.read, m.next - m.read);
	peer_fini(&p);
}

/* Few runs have their place at once, many take a block for them; behind that the highest give way. */
static void test_run_limit(void **state)
{
	struct sl_tcp_cfg tune = {.rx_buf_bytes = 8U << 20};
	uint32_t end = 100 + 10 * TCP_OOO_RUNS, last;
	const struct tcp_ooo *o;
	struct peer p;

	peer_init(&p, &tune);
	peer_connect(&p);
	for (uint32_t i = 0; i < TCP_OOO_FEW; i++)
		put(&p, 100 + 10 * i, 2);
	assert_int_equal(p.h.t->runs.nb_used, 0);
	for (uint32_t i = TCP_OOO_FEW; i < TCP_OOO_RUNS; i++)
		put(&p, 100 + 10 * i, 2);
	assert_int_equal(p.h.t->runs.nb_used, 1);
	o = p.e.c->ooo;
	last = p.seq + 100 + 10 * (TCP_OOO_RUNS - 1);
	assert_int_equal(o->nb, TCP_OOO_RUNS);
	put(&p, end, 2); /* higher than all: no place */
	assert_int_equal(o->nb, TCP_OOO_RUNS);
	assert_int_equal(o->run[TCP_OOO_RUNS - 1].start, last);
	put(&p, 102, 2); /* behind a run: needs no place, costs nobody his */
	assert_int_equal(o->nb, TCP_OOO_RUNS);
	assert_int_equal(o->run[0].end, p.seq + 104);
	assert_int_equal(o->run[TCP_OOO_RUNS - 1].start, last);
	put(&p, 50, 2); /* lower: the highest gives way */
	assert_int_equal(o->nb, TCP_OOO_RUNS);
	assert_int_equal(o->run[0].start, p.seq + 50);
	assert_int_equal(o->run[TCP_OOO_RUNS - 1].start, last - 10);
	assert_int_equal(o->bytes, 2 * TCP_OOO_RUNS + 2);
	assert_int_equal(p.h.t->nb_rcv_own, TCP_OOO_RUNS);
	for (uint32_t off = 0; off < end; off += 1000)
		put(&p, off, u32_min(1000, end - off));
	assert_null(p.e.c->ooo);
	assert_int_equal(p.h.t->runs.nb_used, 0);
	take(&p, stream, 0, end);
	peer_fini(&p);
}

/* Buffers count, not the bytes in them: small segments with gaps, then small ones in turn with large ones. */
static void test_true_size_cap(void **state)
{
	struct sl_tcp_cfg tune = {.rx_buf_bytes = 32768};
	uint32_t cap = TCP_RCVQ_TRUE_SHARE * 32768, off = 0;
	struct peer p;

	peer_init(&p, &tune);
	peer_connect(&p);
	for (uint32_t i = 0; i < 100; i++) {
		put(&p, 20000 - 100 * i, 1); /* each lower than all before */
		assert_true(p.e.c->rcvq.true_bytes <= cap + own_size());
		assert_int_equal(p.h.t->mem_used, p.e.c->rcvq.true_bytes);
		assert_int_equal(p.e.c->ooo->run[0].start, p.seq + 20000 - 100 * i);
	}
	assert_true(nb_runs(&p) <= cap / own_size() + 1);
	while (off < 30000) {
		uint32_t n = off / SMALL % 2 ? SMALL : in_one(TCP_COPY_BELOW);

		put(&p, off, n);
		off += n;
		assert_true(p.e.c->rcvq.true_bytes <= cap + 32768 + 2 * own_size());
		assert_int_equal(p.h.t->mem_used, p.e.c->rcvq.true_bytes);
	}
	take(&p, stream, 0, (uint32_t)sl_tcp_readable(p.e.c));
	assert_int_equal(p.h.t->mem_used, 0);
	peer_fini(&p);
}

/* ---- what the peer is told ---- */

/* The next packet is an ACK whose options are these blocks and nothing else, byte for byte. */
static void expect_sack(struct peer *p, uint32_t ack, uint32_t nb, const uint32_t (*blocks)[2])
{
	const uint8_t *b, head[4] = {1, 1, 5, (uint8_t)(2 + 8 * nb)};
	uint8_t copy[60];

	assert_int_equal(p->wire.n, 1);
	b = rte_pktmbuf_read(p->wire.q[0].m, 0, 20 + (nb > 0 ? 4 + 8 * nb : 0), copy);
	assert_non_null(b);
	assert_int_equal((b[12] >> 4) * 4, 20 + (nb > 0 ? 4 + 8 * nb : 0));
	assert_int_equal(sl_get_be32(b + 8), p->seq + ack);
	if (nb > 0)
		assert_memory_equal(b + 20, head, 4);
	for (uint32_t i = 0; i < nb; i++) {
		assert_int_equal(sl_get_be32(b + 24 + 8 * i), p->seq + blocks[i][0]);
		assert_int_equal(sl_get_be32(b + 28 + 8 * i), p->seq + blocks[i][1]);
	}
	peer_drain(p);
}

#define EXPECT(p, ack, nb, ...) expect_sack(p, ack, nb, (const uint32_t[][2]){__VA_ARGS__})

static void test_dsack(void **state)
{
	struct peer p;

	peer_init(&p, NULL);
	p.sack = true;
	peer_connect(&p);
	put(&p, 0, 300);
	put_from(&p, stream, 0, 300); /* all of it again */
	EXPECT(&p, 300, 1, {0, 300});
	put_from(&p, stream, 100, 50);
	EXPECT(&p, 300, 1, {100, 150});
	put_from(&p, stream, 200, 200); /* half of it again */
	EXPECT(&p, 400, 1, {200, 300});
	put_from(&p, stream, 400, 100); /* said once */
	expect_sack(&p, 500, 0, NULL);
	put_from(&p, stream, 600, 100);
	EXPECT(&p, 500, 1, {600, 700});
	put_from(&p, other, 600, 100); /* out of order, again: then the run that it is in (RFC 2883, 4) */
	EXPECT(&p, 500, 2, {600, 700}, {600, 700});
	put_from(&p, stream, 650, 150);
	EXPECT(&p, 500, 2, {650, 700}, {600, 800});
	put_from(&p, stream, 900, 100);
	EXPECT(&p, 500, 2, {900, 1000}, {600, 800});
	put_from(&p, stream, 0, 100); /* below, with runs above */
	EXPECT(&p, 500, 3, {0, 100}, {900, 1000}, {600, 800});
	put_from(&p, stream, 500, 350); /* in order over a run */
	EXPECT(&p, 850, 2, {600, 800}, {900, 1000});
	put_from(&p, stream, 850, 50);
	expect_sack(&p, 1000, 0, NULL);
	take(&p, stream, 0, 1000);
	peer_fini(&p);
}

/* Nothing of the kind for a peer that did not ask. */
static void test_no_sack(void **state)
{
	struct peer p;

	peer_init(&p, NULL);
	peer_connect(&p);
	put(&p, 0, 300);
	put_from(&p, stream, 0, 300);
	expect_sack(&p, 300, 0, NULL);
	put_from(&p, stream, 600, 100);
	expect_sack(&p, 300, 0, NULL);
	peer_fini(&p);
}

/* RFC 2018, 4: the block of the segment that came last, then those before, as many as there is room for. */
static void test_sack_order(void **state)
{
	struct peer p;

	peer_init(&p, NULL);
	p.sack = true;
	peer_connect(&p);
	put_from(&p, stream, 5000, 100);
	EXPECT(&p, 0, 1, {5000, 5100});
	put_from(&p, stream, 1000, 100);
	EXPECT(&p, 0, 2, {1000, 1100}, {5000, 5100});
	put_from(&p, stream, 3000, 100);
	EXPECT(&p, 0, 3, {3000, 3100}, {1000, 1100}, {5000, 5100});
	put_from(&p, stream, 9000, 100);
	EXPECT(&p, 0, 4, {9000, 9100}, {3000, 3100}, {1000, 1100}, {5000, 5100});
	put_from(&p, stream, 7000, 100);
	EXPECT(&p, 0, 4, {7000, 7100}, {9000, 9100}, {3000, 3100}, {1000, 1100});
	put_from(&p, stream, 3100, 100);
	EXPECT(&p, 0, 4, {3000, 3200}, {7000, 7100}, {9000, 9100}, {1000, 1100});
	put_from(&p, stream, 7100, 1900); /* two become one */
	EXPECT(&p, 0, 4, {7000, 9100}, {3000, 3200}, {1000, 1100}, {5000, 5100});
	put_from(&p, stream, 0, 1000);
	EXPECT(&p, 1100, 3, {7000, 9100}, {3000, 3200}, {5000, 5100});
	peer_fini(&p);
}

/* ---- the window ---- */

/* Room at the peer now, by what it was told: *edge is moved by each ACK that there is. */
static uint32_t told(struct peer *p, uint32_t sent, uint32_t *edge)
{
	peer_run(p, 60 * TCP_MS);
	while (peer_rx(p))
		*edge = p->got.ack + ((uint32_t)p->got.wnd << p->e.c->rcv_shift) - p->seq;
	return *edge - sent;
}

/* Sends full segments until the window is shut. Returns where that is. */
static uint32_t fill_window(struct peer *p, uint32_t off, uint32_t *edge)
{
	uint32_t mss = test_mss(), room;

	while ((room = told(p, off, edge)) >= mss && off + mss <= STREAM) {
		put_from(p, stream, off, mss);
		off += mss;
	}
	return off;
}

static void test_hold(void **state)
{
	uint32_t mss = test_mss(), size = 8 * mss, off, edge;
	struct sl_tcp_cfg tune = {.rx_buf_bytes = size};
	struct peer p;

	peer_init(&p, &tune);
	p.wscale = 0;
	peer_connect(&p);
	edge = p.e.c->rcv_adv - p.seq;
	off = fill_window(&p, 0, &edge);
	assert_true(off <= size);
	sl_tcp_hold(p.e.c, true);
	while (off < size + TCP_HOLD_EXTRA - 3 * mss) {
		uint32_t room = told(&p, off, &edge);

		assert_true(room >= 2 * mss);
		assert_true(room <= 4 * mss);
		put_from(&p, stream, off, mss);
		off += mss;
	}
	off = fill_window(&p, off, &edge); /* the quota's end */
	assert_true(off >= size + TCP_HOLD_EXTRA);
	assert_true(off <= size + TCP_HOLD_EXTRA + 3 * mss);
	sl_tcp_hold(p.e.c, false);
	assert_true(told(&p, off, &edge) < mss);
	take(&p, stream, 0, off);
	assert_true(told(&p, off, &edge) >= size - 2 * mss);
	peer_fini(&p);
}

/* Without an answer a window that opens is told again and again, for the word may be lost; data is an answer.
 */
static void test_told_again(void **state)
{
	uint32_t mss = test_mss(), off = 0, edge;
	struct sl_tcp_cfg tune = {.rx_buf_bytes = 8 * mss};
	struct peer p;

	peer_init(&p, &tune);
	p.wscale = 0;
	peer_connect(&p);
	edge = p.e.c->rcv_adv - p.seq;
	for (uint32_t i = 0; i < 2; i++) {
		off = fill_window(&p, off, &edge);
		peer_none(&p);
		take(&p, stream, off - (uint32_t)sl_tcp_readable(p.e.c), (uint32_t)sl_tcp_readable(p.e.c));
		sl_tcp_flush(p.h.t, p.now);
		assert_true(peer_rx(&p));
		assert_true((uint32_t)p.got.wnd << p.e.c->rcv_shift >= 4 * mss);
		edge = p.got.ack + ((uint32_t)p.got.wnd << p.e.c->rcv_shift) - p.seq;
		peer_none(&p);
		peer_run(&p, TCP_WND_AGAIN_US + TCP_MS);
		assert_int_equal(peer_drain(&p), 1);
		if (i == 0) {
			put_from(&p, stream, off, mss);
			off += mss;
			peer_run(&p, 100 * TCP_MS);
			assert_true(peer_drain(&p) <= 1);
		}
		peer_run(&p, 20 * TCP_S);
		assert_int_equal(peer_drain(&p), i == 0 ? 0 : TCP_WND_AGAIN - 1);
	}
	peer_fini(&p);
}

/* ---- short memory ---- */

/* Writes until nothing more is taken: memory is short. */
static void write_all(struct peer *p)
{
	while (sl_tcp_write(p->e.c, sl_span(stream, 1000)) > 0)
		;
	assert_true(tcp_pressure(p->e.c));
}

/*
 * When memory is short a connection that has nothing to read takes what comes: the whole segment, in however
 * many buffers it lies. (A buffer of it for each timeout of the peer would be some bytes a minute.)
 */
static void test_whole_segment_under_pressure(void **state)
{
	struct sl_tcp_cfg tune = {.max_total_bytes = 40 * 4096};
	uint32_t mss = test_mss();
	struct peer p;

	peer_init(&p, &tune);
	peer_connect(&p);
	write_all(&p);
	put(&p, 0, mss);
	assert_int_equal(sl_tcp_readable(p.e.c), mss);
	put(&p, mss, mss); /* but no second one */
	assert_int_equal(sl_tcp_readable(p.e.c), mss);
	peer_fini(&p);
}

/*
 * A peer whose data is dropped for want of memory, inside the window that it was told, hears that the window
 * is shut, and of it when there is room again: else it would wait for its own timeout, which has doubled as
 * long as the memory was short. Some bytes read make no room while memory is as short as before. What comes
 * in the old window is good at any time.
 */
static void test_told_of_memory(void **state)
{
	struct sl_tcp_cfg tune = {.max_total_bytes = 40 * 4096};
	uint32_t mss = test_mss(), edge, n;
	struct peer p;

	peer_init(&p, &tune);
	peer_connect(&p);
	write_all(&p);
	put(&p, 0, SMALL);
	edge = p.e.c->rcv_adv;
	put_from(&p, stream, SMALL, mss);
	while (peer_rx(&p))
		;
	n = (uint32_t)sl_tcp_readable(p.e.c); /* a chain's first bytes fit behind what is there */
	assert_true(n < SMALL + mss);
	assert_int_equal(p.got.wnd, 0);
	assert_int_equal(p.e.c->rcv_adv, edge);
	peer_run(&p, 100 * TCP_MS);
	peer_drain(&p);
	take(&p, stream, 0, n / 2);
	sl_tcp_flush(p.h.t, p.now);
	peer_none(&p);
	take(&p, stream, n / 2, n - n / 2);
	for (uint32_t i = 0; i < 2; i++) { /* the word may be lost */
		sl_tcp_flush(p.h.t, p.now);
		assert_true(peer_rx(&p));
		assert_int_equal(p.got.ack, p.seq + n);
		assert_int_not_equal(p.got.wnd, 0);
		peer_none(&p);
		p.now += TCP_WND_AGAIN_US + TCP_MS;
		sl_tcp_tick(p.h.t, p.now);
	}
	peer_drain(&p);
	put(&p, SMALL, mss);
	take(&p, stream, n, SMALL + mss - n);
	peer_fini(&p);
}

/* The peer's own timeout comes first, when there is memory again: its data is taken, and the window is open.
 */
static void test_memory_back(void **state)
{
	struct sl_tcp_cfg tune = {.max_total_bytes = 40 * 4096};
	uint32_t mss = test_mss();
	struct peer p;

	peer_init(&p, &tune);
	peer_connect(&p);
	write_all(&p);
	put(&p, 0, SMALL);
	put(&p, SMALL, mss);
	assert_true(sl_tcp_readable(p.e.c) < SMALL + mss);
	p.h.t->cfg.max_total_bytes = TCP_TOTAL_DEFAULT;
	put_from(&p, stream, SMALL, mss);
	peer_run(&p, 100 * TCP_MS);
	while (peer_rx(&p))
		;
	assert_int_equal(sl_tcp_readable(p.e.c), SMALL + mss);
	assert_int_not_equal(p.got.wnd, 0);
	/* One that has ended has nobody to tell. */
	p.h.t->cfg.max_total_bytes = tune.max_total_bytes;
	put(&p, SMALL + mss, mss);
	peer_tx(&p, F_RST, p.seq + SMALL + mss, p.ack, NULL, 0);
	assert_int_equal(p.e.err, SL_E_TCP_RESET);
	take(&p, stream, 0, SMALL + mss);
	sl_tcp_flush(p.h.t, p.now);
	peer_none(&p);
	peer_fini(&p);
}

/* The last word of a window that has opened leaves no timer behind that an ACK would wait for: half a second
 * is the most that one may (RFC 9293, 3.8.6.3). */
static void test_told_again_then_data(void **state)
{
	uint32_t mss = test_mss(), off, edge;
	struct sl_tcp_cfg tune = {.rx_buf_bytes = 32 * mss};
	struct peer p;

	peer_init(&p, &tune);
	p.wscale = 0;
	peer_connect(&p);
	edge = p.e.c->rcv_adv - p.seq;
	off = fill_window(&p, 0, &edge);
	p.e.c->quickack = 0;
	take(&p, stream, 0, (uint32_t)sl_tcp_readable(p.e.c));
	sl_tcp_flush(p.h.t, p.now);
	assert_int_equal(p.e.c->wnd_again, TCP_WND_AGAIN - 1);
	peer_run(&p, 3500 * TCP_MS); /* at 0, 0.2, 0.6, 1.4 and 3.0 s; the last repeat is due at 6.2 */
	assert_int_equal(p.e.c->wnd_again, 0);
	peer_drain(&p);
	peer_tx(&p, F_ACK | F_PSH, p.seq + off, p.ack, stream + off, 10);
	peer_run(&p, TCP_DELACK + TCP_MS);
	assert_true(peer_rx(&p));
	assert_int_equal(p.got.ack, p.seq + off + 10);
	peer_drain(&p);
	peer_fini(&p);
}

/* Ends with everything in the queue: in order, out of order, copied and referenced. */
static void test_all_returned(void **state)
{
	struct peer p;

	for (uint32_t how = 0; how < 3; how++) {
		peer_init(&p, NULL);
		peer_connect(&p);
		put(&p, 0, 1400);
		put(&p, 1400, SMALL);
		put(&p, 3000, 1400);
		put(&p, 6000, SMALL);
		put(&p, 2900, 1700);
		assert_true(rx_used() > 0);
		if (how == 1)
			peer_tx(&p, F_RST, p.seq + 1500, p.ack, NULL, 0);
		if (how > 0) {
			sl_tcp_release(p.e.c);
			p.e.c = NULL;
		}
		peer_fini(&p); /* asserts that both pools are full again */
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_small_copied),
	        cmocka_unit_test(test_large_referenced),
	        cmocka_unit_test(test_pressed_pool),
	        cmocka_unit_test(test_references_outlive),
	        cmocka_unit_test(test_first_bytes_win),
	        cmocka_unit_test(test_random_overlaps),
	        cmocka_unit_test(test_run_limit),
	        cmocka_unit_test(test_true_size_cap),
	        cmocka_unit_test(test_dsack),
	        cmocka_unit_test(test_no_sack),
	        cmocka_unit_test(test_sack_order),
	        cmocka_unit_test(test_hold),
	        cmocka_unit_test(test_told_again),
	        cmocka_unit_test(test_all_returned),
	        cmocka_unit_test(test_many_pools),
	        cmocka_unit_test(test_pool_places),
	        cmocka_unit_test(test_whole_segment_under_pressure),
	        cmocka_unit_test(test_told_of_memory),
	        cmocka_unit_test(test_memory_back),
	        cmocka_unit_test(test_told_again_then_data),
	};

	if (test_setup(argc, argv) < 0)
		return 1;
	fill_streams();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
