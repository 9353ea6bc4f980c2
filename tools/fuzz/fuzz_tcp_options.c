/*
 * TCP headers and options from outside. The options are read twice, by the stack and by a reader of our own
 * that knows nothing of it: both must agree on what is refused and on what was said. The whole segment then
 * goes to a stack, in one mbuf and in chains, as a SYN to a listener and to an established connection.
 */
#include <stdlib.h>

#include <rte_eal.h>

#include "tcp_books.h"

#define PORT           5432
#define PEER_PORT      1000
#define SEGMENT_MAX    256
#define OPTIONS_MAX    40
#define COOKIE_MSS_MIN 128 /* a cookie has no place for a smaller one */

struct said {
	bool refused;
	int mss, wscale, nb_sack; /* -1: not said */
	bool sack_permitted, ts;
	uint32_t ts_val, ts_ecr, edge[8];
};

struct fuzz {
	struct sl_tcp *t;
	struct sl_tcp_conn *c;
	struct sl_addr ours, theirs;
	uint32_t iss; /* of the last SYN-ACK */
	uint32_t nb_out;
	bool cookies;
};

static struct rte_mempool *pool;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- a second reader ---- */

static uint32_t be(const uint8_t *p, int n)
{
	uint32_t v = 0;

	while (n-- > 0)
		v = v << 8 | *p++;
	return v;
}

/* One option of a fixed length. False: refused. */
static bool fixed(const uint8_t *p, int len, struct said *o)
{
	int want = p[0] == 2 ? 4 : p[0] == 3 ? 3 : p[0] == 4 ? 2 : 10;
	bool twice = p[0] == 2   ? o->mss >= 0
	             : p[0] == 3 ? o->wscale >= 0
	             : p[0] == 4 ? o->sack_permitted
	                         : o->ts;

	if (len != want || twice)
		return false;
	if (p[0] == 2)
		o->mss = (int)be(p + 2, 2);
	if (p[0] == 3)
		o->wscale = p[2] < 14 ? p[2] : 14;
	if (p[0] == 4)
		o->sack_permitted = true;
	if (p[0] == 8) {
		o->ts = true;
		o->ts_val = be(p + 2, 4);
		o->ts_ecr = be(p + 6, 4);
	}
	return true;
}

static bool sack(const uint8_t *p, int len, struct said *o)
{
	if (o->nb_sack >= 0 || (len != 10 && len != 18 && len != 26 && len != 34))
		return false;
	o->nb_sack = len / 8;
	for (int i = 0; i < 2 * o->nb_sack; i++)
		o->edge[i] = be(p + 2 + 4 * i, 4);
	return true;
}

static struct said read_options(const uint8_t *p, size_t n)
{
	struct said o = {.mss = -1, .wscale = -1, .nb_sack = -1};
	const uint8_t *end = p + n;

	while (p < end && *p != 0) {
		bool good = true;

		if (*p == 1) {
			p++;
			continue;
		}
		if (end - p == 1 || p[1] < 2 || p[1] > end - p) {
			o.refused = true;
			break;
		}
		if (p[0] == 2 || p[0] == 3 || p[0] == 4 || p[0] == 8)
			good = fixed(p, p[1], &o);
		else if (p[0] == 5)
			good = sack(p, p[1], &o);
		if (!good) {
			o.refused = true;
			break;
		}
		p += p[1];
	}
	return o;
}

static void compare(const uint8_t *p, size_t n)
{
	uint8_t *alone = malloc(n > 0 ? n : 1); /* reading beyond is seen */
	struct said want = read_options(p, n);
	struct tcp_opts got;
	int rc;

	require(alone != NULL, "no memory");
	if (n > 0)
		memcpy(alone, p, n);
	rc = tcp_options_parse(alone, (uint32_t)n, &got);
	free(alone);
	require((rc != SL_OK) == want.refused, "options refused by one reader only");
	if (rc != SL_OK)
		return;
	require(got.has_mss == (want.mss >= 0) && (!got.has_mss || got.mss == want.mss), "MSS");
	require(got.has_wscale == (want.wscale >= 0) && (!got.has_wscale || got.wscale == want.wscale),
	        "window scale");
	require(got.has_sack_permitted == want.sack_permitted, "SACK permitted");
	require(got.has_ts == want.ts && got.ts_val == want.ts_val && got.ts_ecr == want.ts_ecr,
	        "timestamps");
	require(got.nb_sack == (want.nb_sack < 0 ? 0 : want.nb_sack), "number of SACK blocks");
	for (int i = 0; i < got.nb_sack; i++)
		require(got.sack[i].start == want.edge[2 * i] && got.sack[i].end == want.edge[2 * i + 1],
		        "SACK block");
}

/* ---- a stack ---- */

static int on_output(void *ctx, struct rte_mbuf *m, const struct sl_addr *src, const struct sl_addr *dst,
                     uint8_t ecn, uint64_t now_us)
{
	struct fuzz *f = ctx;
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t hdr = (uint32_t)(p[12] >> 4) * 4;

	require(m->pkt_len >= hdr && hdr >= 20 && m->pkt_len <= 1480, "segment of a wrong size");
	require(!read_options(p + 20, hdr - 20).refused, "options that nobody can read");
	if (p[13] == (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG))
		f->iss = be(p + 4, 4);
	f->nb_out++;
	rte_pktmbuf_free(m);
	return 0;
}

static void *on_accept(void *ctx, struct sl_tcp_listener *l, void *listener_user, struct sl_tcp_conn *c)
{
	struct fuzz *f = ctx;

	if (f->c != NULL)
		return NULL;
	f->c = c;
	return f;
}

static int on_route(void *ctx, const struct sl_addr *dst, struct sl_net_path *out)
{
	const struct fuzz *f = ctx;

	*out = (struct sl_net_path){.src = f->ours, .mtu = 1500};
	return 0;
}

static const struct sl_tcp_ops ops = {on_output, on_accept, NULL, on_route, NULL};

static uint16_t checksum(const struct fuzz *f, const uint8_t *p, size_t n)
{
	size_t addr = f->ours.family == SL_AF_INET6 ? 16 : 4;
	uint32_t sum = 6 + (uint32_t)n;

	for (size_t i = 0; i < addr; i += 2)
		sum += be(f->ours.b + i, 2) + be(f->theirs.b + i, 2);
	for (size_t i = 0; i < n; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Cut into mbufs of `part` bytes; 0: one. The checksum is ours to get right, the stack's to verify. */
static void inject(struct fuzz *f, uint8_t *p, size_t n, size_t part, uint64_t now)
{
	struct sl_net_segment ip = {.src = f->theirs, .dst = f->ours, .ttl = 64};
	struct rte_mbuf *head = NULL;

	if (n >= 20) {
		memset(p + 16, 0, 2);
		sl_put_be16(p + 16, checksum(f, p, n));
	}
	for (size_t at = 0; head == NULL || at < n; at += part) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

		require(m != NULL, "no mbuf");
		part = part == 0 || part > n - at ? n - at : part;
		memcpy(rte_pktmbuf_append(m, (uint16_t)part), p + at, part);
		if (head == NULL)
			head = m;
		else
			require(rte_pktmbuf_chain(head, m) == 0, "no chain");
		if (part == 0)
			break;
	}
	sl_tcp_input(f->t, &head, &ip, 1, now);
	sl_tcp_flush(f->t, now);
	tcp_books_check(f->t, false);
}

static size_t segment(uint8_t *to, uint8_t flags, uint32_t seq, uint32_t ack, const uint8_t *opts,
                      size_t n_opts)
{
	size_t n = (n_opts + 3) / 4 * 4;

	memset(to, 0, 20 + n);
	sl_put_be16(to, PEER_PORT);
	sl_put_be16(to + 2, PORT);
	sl_put_be32(to + 4, seq);
	sl_put_be32(to + 8, ack);
	to[12] = (uint8_t)((20 + n) / 4 << 4);
	to[13] = flags;
	sl_put_be16(to + 14, 1000);
	if (n_opts > 0)
		memcpy(to + 20, opts, n_opts);
	return 20 + n;
}

/* A SYN with these options; an answer exactly when they are good; the connection that comes of it gets them
 * again with data. */
static void to_stack(struct fuzz *f, const uint8_t *opts, size_t n, size_t part)
{
	uint8_t b[SEGMENT_MAX], padded[OPTIONS_MAX] = {0};
	uint64_t now = 10 * TCP_S;
	struct said said;
	bool refused;

	memcpy(padded, opts, n);
	said = read_options(padded, (n + 3) / 4 * 4);
	refused = said.refused || (f->cookies && said.mss >= 0 && said.mss < COOKIE_MSS_MIN);
	inject(f, b, segment(b, RTE_TCP_SYN_FLAG, 100, 0, opts, n), part, now);
	require(f->nb_out == (refused ? 0 : 1), "a SYN answered wrongly");
	if (refused)
		return;
	now += TCP_MS;
	inject(f, b, segment(b, RTE_TCP_ACK_FLAG, 101, f->iss + 1, opts, n), part, now);
	for (int i = 0; i < 3; i++) {
		size_t len = segment(b, RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG, 101 + (uint32_t)i, f->iss + 1,
		                     opts, n);

		b[len] = 'x';
		inject(f, b, len + 1, part, now);
		if (f->c != NULL && i == 0)
			require(sl_tcp_write(f->c, sl_span("reply", 5)) <= 5, "took more than there was");
	}
}

static void finish(struct fuzz *f, struct sl_tcp_listener *l)
{
	uint64_t now = 11 * TCP_S;

	if (f->c != NULL)
		sl_tcp_abort(f->c, now);
	sl_tcp_unlisten(f->t, l);
	for (int i = 0; i < 2000 && sl_tcp_nb_conns(f->t) > 0; i++) {
		now += TCP_S;
		(void)sl_tcp_tick(f->t, now);
		sl_tcp_flush(f->t, now);
	}
	tcp_books_empty(f->t);
	sl_tcp_free(f->t);
	require(rte_mempool_in_use_count(pool) == 0, "mbufs leaked");
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char *eal[] = {"fuzz_tcp_options", "--no-huge",          "--no-pci", "--no-shconf", "-m", "64",
	               "--no-telemetry",   "--log-level=*:error"};

	if (rte_eal_init((int)(sizeof(eal) / sizeof(eal[0])), eal) < 0)
		exit(1);
	pool = rte_pktmbuf_pool_create("fuzz", 2 * SEGMENT_MAX - 1, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	if (pool == NULL)
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

/* The first byte: family, what follows (options, or a whole segment), and where a chain is cut. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz f = {0};
	struct sl_tcp_cfg cfg = {
	        .pool = pool, .ops = &ops, .ctx = &f, .max_conns = 8, .max_time_wait = 4, .max_half_open = 8};
	struct sl_endpoint local = {.port = PORT};
	struct sl_tcp_listener *l;
	uint8_t b[SEGMENT_MAX];
	size_t part;

	if (size == 0)
		return 0;
	compare(data + 1, size - 1);
	f.cookies = data[0] & 128;
	cfg.syn_cookies = f.cookies ? SL_TCP_COOKIES_ALWAYS : SL_TCP_COOKIES_AUTO;
	f.ours = address(data[0] & 1, 1);
	f.theirs = address(data[0] & 1, 2);
	part = data[0] >> 2 & 0x1f;
	require(sl_tcp_new(&cfg, &f.t) == 0, "no stack");
	require(sl_tcp_listen(f.t, &local, 4, &f, &l) == 0, "no listener");
	size = size - 1 < SEGMENT_MAX ? size - 1 : SEGMENT_MAX;
	if (data[0] & 2) {
		memcpy(b, data + 1, size);
		inject(&f, b, size, part, 10 * TCP_S);
	} else {
		to_stack(&f, data + 1, size < OPTIONS_MAX ? size : OPTIONS_MAX, part);
	}
	finish(&f, l);
	return 0;
}
