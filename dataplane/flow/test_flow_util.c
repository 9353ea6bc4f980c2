#include "test_flow_util.h"

#include <rte_eal.h>
#include <sys/mman.h>

#define MBUFS 8191

bool test_by_ref;
struct rte_mempool *test_mbufs;

int test_eal(void)
{
	static char *argv[] = {"test", "--no-huge", "--no-pci",       "--no-shconf",
	                       "-m",   "64",        "--no-telemetry", "--log-level=*:error"};

	if (rte_eal_init((int)(sizeof(argv) / sizeof(argv[0])), argv) < 0)
		return -1;
	test_mbufs = rte_pktmbuf_pool_create("test", MBUFS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	return test_mbufs == NULL ? -1 : 0;
}

/* ---- a stream in memory ---- */

static int wire_pump(void *st)
{
	return ((struct wire *)st)->err;
}

/* The bytes from in_at on are put into mbufs, at places that differ. */
static void rx_fill(struct wire *w)
{
	while (w->nb_rx < WIRE_RX && w->in_at + w->rx_n < w->in_n) {
		size_t n = w->in_n - w->in_at - w->rx_n;
		struct rte_mbuf *m = rte_pktmbuf_alloc(test_mbufs);

		assert_non_null(m);
		n = n < w->cut ? n : w->cut;
		n = n < WIRE_PIECE ? n : WIRE_PIECE;
		assert_non_null(rte_pktmbuf_append(m, (uint16_t)(n + 60)));
		assert_non_null(rte_pktmbuf_adj(m, (uint16_t)(n % 31)));
		memcpy(rte_pktmbuf_mtod_offset(m, uint8_t *, n % 30), w->in + w->in_at + w->rx_n, n);
		m->dynfield1[0] = (uint32_t)n;
		w->rx[w->nb_rx++] = m;
		w->rx_n += n;
	}
}

static long wire_peek(void *st, struct sl_tcp_piece *v, uint32_t nb, int *end)
{
	struct wire *w = st;
	uint32_t n = 0;

	rx_fill(w);
	for (; n < w->nb_rx && n < nb; n++) {
		uint32_t skip = n == 0 ? w->rx_off : 0, len = w->rx[n]->dynfield1[0];

		v[n] = (struct sl_tcp_piece){w->rx[n], len % 30 + skip, len - skip};
	}
	if (n > 0)
		return (long)n;
	if (w->end == SL_OK)
		return 0;
	*end = w->end;
	return -1;
}

static void wire_consume(void *st, size_t n)
{
	struct wire *w = st;

	for (rx_fill(w); n > 0 && w->nb_rx > 0; rx_fill(w)) {
		uint32_t len = w->rx[0]->dynfield1[0] - w->rx_off, part = n < len ? (uint32_t)n : len;

		w->rx_off += part;
		w->rx_n -= part;
		w->in_at += part;
		n -= part;
		if (part < len)
			break;
		rte_pktmbuf_free_seg(w->rx[0]);
		memmove(&w->rx[0], &w->rx[1], --w->nb_rx * sizeof(w->rx[0]));
		w->rx_off = 0;
	}
}

static size_t wire_write(void *st, struct sl_span b);

/* By reference, as TCP does; what is short is copied. */
static size_t wire_write_piece(void *st, const struct sl_tcp_piece *p)
{
	struct wire *w = st;
	size_t n = wire_write(st, sl_span(rte_pktmbuf_mtod_offset(p->m, const uint8_t *, p->off), p->len));

	assert_true(p->off + p->len <= p->m->data_len);
	if (n < SL_QUEUE_REF_MIN)
		return n;
	rte_mbuf_refcnt_update(p->m, 1);
	w->held = realloc(w->held, (w->nb_held + 1) * sizeof(w->held[0]));
	assert_non_null(w->held);
	w->held[w->nb_held++] = p->m;
	w->ref_bytes += n;
	return n;
}

void wire_ack(struct wire *w)
{
	while (w->nb_held > 0)
		rte_pktmbuf_free_seg(w->held[--w->nb_held]);
}

static long wire_read(void *st, uint8_t *buf, size_t cap, int *end)
{
	struct wire *w = st;
	size_t n = w->in_n - w->in_at;

	n = n < cap ? n : cap;
	n = n < w->cut ? n : w->cut;
	if (n > 0) {
		memcpy(buf, w->in + w->in_at, n);
		if (w->by_ref) {
			rx_fill(w);
			n = n < w->rx_n ? n : w->rx_n;
			wire_consume(w, n);
		} else {
			w->in_at += n;
		}
		return (long)n;
	}
	if (w->end != SL_OK && w->in_at == w->in_n && cap > 0) {
		*end = w->end;
		return -1;
	}
	return 0;
}

static size_t wire_write(void *st, struct sl_span b)
{
	struct wire *w = st;
	size_t n = b.n < w->out_room ? b.n : w->out_room;

	assert_true(w->out_n + n <= WIRE_MAX);
	memcpy(w->out + w->out_n, b.p, n);
	w->out_n += n;
	w->out_room -= n;
	return n;
}

static void wire_shutdown(void *st)
{
	((struct wire *)st)->shut = true;
}

static void wire_discard(void *st)
{
	struct wire *w = st;

	if (w->by_ref)
		wire_consume(w, SIZE_MAX);
	else
		w->in_at = w->in_n;
}

static void wire_free(void *st)
{
	(void)st;
}

const struct sl_stream_ops wire_ops = {
        .pump = wire_pump,
        .read = wire_read,
        .write = wire_write,
        .shutdown = wire_shutdown,
        .discard = wire_discard,
        .free = wire_free,
};

const struct sl_stream_ops wire_ref_ops = {
        .pump = wire_pump,
        .read = wire_read,
        .write = wire_write,
        .shutdown = wire_shutdown,
        .discard = wire_discard,
        .free = wire_free,
        .peek = wire_peek,
        .consume = wire_consume,
        .write_piece = wire_write_piece,
};

/* Room of which only what is used takes memory: malloc() may be told to fill it. */
static uint8_t *room_new(void)
{
	void *p = mmap(NULL, WIRE_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static void wire_open(struct wire *w, bool by_ref)
{
	w->in = room_new();
	w->out = room_new();
	w->cut = SIZE_MAX;
	w->out_room = SIZE_MAX / 2;
	w->by_ref = by_ref;
}

static void wire_close(struct wire *w)
{
	wire_consume(w, SIZE_MAX);
	wire_ack(w);
	free(w->held);
	munmap(w->in, WIRE_MAX);
	munmap(w->out, WIRE_MAX);
}

/* ---- the toy decoder ---- */

static int toy_open(void *st, const struct sl_decoder_cfg *cfg, const struct sl_io *io)
{
	(void)cfg;
	((struct toy *)st)->io = *io;
	return SL_OK;
}

static int toy_message(struct toy *t, struct sl_span m)
{
	struct sl_event ev = {
	        .kind = SL_EV_COMMAND, .cmd = t->cmd + 1, .command.text = sl_span_sub(m, 1, m.n)};
	struct sl_verdict v;
	int rc;

	if (t->io.room(t->io.ctx, SL_TARGET) < SL_DEC_ROOM_MIN ||
	    t->io.room(t->io.ctx, SL_CLIENT) < SL_DEC_ROOM_MIN)
		return SL_AGAIN;
	if (t->resumed) {
		v.action = t->allowed ? SL_ACT_ALLOW : SL_ACT_DENY;
		t->resumed = false;
	} else {
		rc = t->io.event(t->io.ctx, &ev, &v);
		if (rc != SL_OK)
			return rc;
		t->cmd++;
	}
	if (v.action == SL_ACT_PARK)
		return SL_PARK;
	if (v.action == SL_ACT_DENY)
		return t->io.add(t->io.ctx, SL_CLIENT, SL_SPAN_LIT("no"));
	rc = t->io.pass(t->io.ctx, SL_TARGET, m);
	if (rc == SL_OK && m.p[1] == 'u') {
		rc = t->io.add(t->io.ctx, SL_CLIENT, SL_SPAN_LIT("S"));
		rc = rc == SL_OK ? t->io.upgrade(t->io.ctx, SL_CLIENT) : rc;
		rc = rc == SL_OK ? t->io.add(t->io.ctx, SL_CLIENT, SL_SPAN_LIT("inside")) : rc;
	}
	return rc;
}

/* What is said in a row of other bytes goes in two parts, as a decoder may that knows messages. */
static int pass_parts(struct toy *t, struct sl_span b)
{
	int rc = t->io.pass(t->io.ctx, SL_CLIENT, sl_span_sub(b, 0, b.n / 3));

	return rc < 0 ? rc : t->io.pass(t->io.ctx, SL_CLIENT, sl_span_sub(b, b.n / 3, b.n));
}

static int toy_target(struct toy *t, struct sl_span b, size_t *consumed)
{
	size_t room = t->io.room(t->io.ctx, SL_CLIENT), at = 0, n;
	int rc = SL_OK;

	b.n = b.n < room ? b.n : room;
	while (rc == SL_OK && at < b.n) {
		const uint8_t *hash = memchr(b.p + at, '#', b.n - at);

		if (b.p[at] == '!')
			return SL_E_PROTO_TARGET;
		if (hash == NULL)
			hash = memchr(b.p + at, '!', b.n - at);
		n = hash == NULL ? b.n - at : (size_t)(hash - b.p) - at;

		rc = pass_parts(t, sl_span_sub(b, at, n));
		at += n;
		if (rc != SL_OK || hash == NULL || *hash == '!')
			continue;
		rc = t->io.add(t->io.ctx, SL_CLIENT, SL_SPAN_LIT("*"));
		at++;
	}
	*consumed = at;
	return rc;
}

/* The bytes behind the head of a long message. */
static int toy_long(struct toy *t, struct sl_span b, size_t *n)
{
	size_t room = t->io.room(t->io.ctx, SL_TARGET);
	int rc;

	*n = b.n < t->left ? b.n : t->left;
	*n = *n < room ? *n : room;
	if (*n == 0)
		return SL_AGAIN;
	rc = t->io.pass(t->io.ctx, SL_TARGET, sl_span_sub(b, 0, *n));
	t->left -= *n;
	return rc;
}

static int toy_step(struct toy *t, struct sl_span b, size_t *consumed)
{
	struct sl_span m = b;
	size_t n = 0;
	int rc;

	if (t->left > 0) {
		rc = toy_long(t, b, &n);
		*consumed += n;
		return rc;
	}
	if (m.n < (size_t)m.p[0] + 1)
		return SL_MORE;
	m.n = (size_t)m.p[0] + 1;
	if (m.n < 2)
		return SL_E_PROTO_MALFORMED;
	if (m.p[1] == 'U') {
		rc = t->io.upgrade_direct(t->io.ctx, SL_CLIENT);
		return rc == SL_OK ? SL_AGAIN : rc;
	}
	if (m.p[1] == 'r' && !t->heard)
		return SL_AGAIN;
	if (m.p[1] == 'w') /* the bytes behind it are read whole */
		m.n += sl_get_be16(m.p + 2);
	if (b.n < m.n)
		return SL_MORE;
	rc = toy_message(t, m);
	if (rc != SL_OK)
		return rc;
	*consumed += m.n;
	if (m.p[1] == 'l')
		t->left = sl_get_be16(m.p + 2);
	if (m.p[1] == 'x')
		return SL_CLOSED;
	return m.p[1] == 'u' ? SL_AGAIN : SL_OK;
}

static int toy_feed(void *st, enum sl_side from, struct sl_span b, size_t *consumed)
{
	struct toy *t = st;

	*consumed = 0;
	t->heard = t->heard || from == SL_TARGET;
	if (from == SL_TARGET)
		return toy_target(t, b, consumed);
	while (*consumed < b.n) {
		int rc = toy_step(t, sl_span_sub(b, *consumed, b.n), consumed);

		if (rc != SL_OK)
			return rc == SL_AGAIN && *consumed > 0 ? SL_OK : rc;
	}
	return SL_OK;
}

static int toy_resume(void *st, const struct sl_verdict *v)
{
	struct toy *t = st;

	t->resumed = true;
	t->allowed = v->action == SL_ACT_ALLOW;
	return SL_OK;
}

static int toy_login(void *st, const struct sl_login *l)
{
	struct toy *t = st;
	int rc = l->tls_direct ? t->io.upgrade_direct(t->io.ctx, SL_TARGET) : SL_OK;

	return rc == SL_OK ? t->io.add(t->io.ctx, SL_TARGET, SL_SPAN_LIT("login")) : rc;
}

static int toy_inject(void *st, enum sl_inject what, const struct sl_reason *r)
{
	struct toy *t = st;

	(void)what;
	return t->io.add(t->io.ctx, SL_CLIENT, r->message);
}

static int toy_eof(void *st, enum sl_side from)
{
	(void)st;
	return from == SL_TARGET ? SL_E_PROTO_TARGET : SL_OK;
}

static void toy_close(void *st)
{
	(void)st;
}

const struct sl_decoder toy_decoder = {
        .name = "toy",
        .state_bytes = sizeof(struct toy),
        .open = toy_open,
        .feed = toy_feed,
        .resume = toy_resume,
        .login = toy_login,
        .inject = toy_inject,
        .eof = toy_eof,
        .close = toy_close,
};

/* ---- the host ---- */

static int host_event(void *ctx, const struct sl_event *ev, struct sl_verdict *v)
{
	struct bench *b = ctx;

	if (b->again > 0) {
		b->again--;
		return SL_AGAIN;
	}
	if (b->show_at_events) {
		assert_int_equal(sl_flow_show(&b->flow), SL_OK);
		b->shown[b->nb_events % BENCH_SHOWN] = b->tapped_n;
	}
	b->nb_events++;
	b->recorded++;
	assert_int_equal(ev->cmd, b->nb_events);
	if (ev->command.text.p[0] == 'd')
		v->action = SL_ACT_DENY;
	if (ev->command.text.p[0] == 'h')
		v->action = SL_ACT_PARK;
	return SL_OK;
}

static int host_upgrade(void *ctx, enum sl_side side, bool direct, struct sl_span early)
{
	struct bench *b = ctx;

	assert_true(direct || early.n == 0);
	if (b->no_layer)
		return SL_E_NOMEM;
	b->upgrades++;
	b->early_n = early.n;
	/* Layers do not show mbufs. */
	sl_flow_set_stream(&b->flow, side, (struct sl_stream){&wire_ops, &b->inside});
	return SL_OK;
}

static size_t host_binding(void *ctx, enum sl_side side, uint8_t *out)
{
	(void)ctx;
	(void)side;
	(void)out;
	return 0;
}

static int host_tap(void *ctx, struct sl_span bytes)
{
	struct bench *b = ctx;

	/* What the tap sees has not been sent. */
	assert_true(b->tapped_n >= b->client.out_n);
	memcpy(b->tapped + b->tapped_n, bytes.p, bytes.n);
	b->tapped_n += bytes.n;
	return SL_OK;
}

static bool host_may_feed(void *ctx)
{
	return !((struct bench *)ctx)->no_blocks;
}

static uint64_t host_barrier(void *ctx)
{
	return ((struct bench *)ctx)->recorded;
}

static uint64_t host_durable(void *ctx)
{
	return ((struct bench *)ctx)->durable;
}

int setup(void **state)
{
	const struct sl_stream_ops *ops = test_by_ref ? &wire_ref_ops : &wire_ops;
	struct bench *b = calloc(1, sizeof(*b));
	struct sl_decoder_cfg cfg = {.message_max = 65536};
	struct sl_flow_host host = {b,        host_event,    host_upgrade, host_binding,
	                            host_tap, host_may_feed, host_barrier, host_durable,
	                            NULL};

	assert_non_null(b);
	wire_open(&b->client, test_by_ref);
	wire_open(&b->target, test_by_ref);
	wire_open(&b->inside, false);
	b->tapped = room_new();
	b->durable = UINT64_MAX;
	b->pool = sl_buf_pool_new(65536 + SL_BUF_SMALL, 128, 2, 8 * 1024 * 1024);
	assert_int_equal(sl_flow_open(&b->flow, &toy_decoder, &b->toy, &cfg, &host, b->pool), 0);
	sl_flow_set_stream(&b->flow, SL_CLIENT, (struct sl_stream){ops, &b->client});
	sl_flow_set_stream(&b->flow, SL_TARGET, (struct sl_stream){ops, &b->target});
	*state = b;
	return 0;
}

void bench_close(struct bench *b)
{
	/* All that went to the client was tapped, in order. */
	assert_true(b->client.out_n <= b->tapped_n);
	assert_memory_equal(b->client.out, b->tapped, b->client.out_n);
	sl_flow_close(&b->flow);
	assert_int_equal(sl_buf_in_use(b->pool), 0);
	assert_int_equal(sl_buf_pinned(b->pool), 0);
	sl_buf_pool_free(b->pool);
	wire_close(&b->client);
	wire_close(&b->target);
	wire_close(&b->inside);
	munmap(b->tapped, WIRE_MAX);
	free(b);
}

int teardown(void **state)
{
	bench_close(*state);
	assert_int_equal(rte_mempool_in_use_count(test_mbufs), 0);
	return 0;
}

void say(struct wire *w, const char *body)
{
	w->in[w->in_n++] = (uint8_t)strlen(body);
	memcpy(w->in + w->in_n, body, strlen(body));
	w->in_n += strlen(body);
}

void say_raw(struct wire *w, const char *text)
{
	memcpy(w->in + w->in_n, text, strlen(text));
	w->in_n += strlen(text);
}

void assert_out(const struct wire *w, const char *expected)
{
	assert_int_equal(w->out_n, strlen(expected));
	assert_memory_equal(w->out, expected, w->out_n);
}

void say_bulk(struct wire *w, size_t n)
{
	for (size_t i = 0; i < n; i++)
		w->in[w->in_n + i] = (uint8_t)('a' + (i * 7 + i / 251) % 26);
	w->in_n += n;
}

void say_long(struct wire *w, uint16_t n)
{
	const uint8_t head[] = {3, 'l', (uint8_t)(n >> 8), (uint8_t)n};

	memcpy(w->in + w->in_n, head, sizeof(head));
	w->in_n += sizeof(head);
	say_bulk(w, n);
}

void say_whole(struct wire *w, uint16_t n)
{
	size_t head = w->in_n;

	say_long(w, n);
	w->in[head + 1] = 'w';
}
