/*
 * Congestion control: CUBIC (RFC 9438) in integers, slow start and initial window (RFC 5681, RFC 6928),
 * growth only when the window was the limit, restart after idle. Windows are in bytes, the cubic's time in
 * milliseconds.
 */
#include "tcp_priv.h"

/* beta = 0.7, C = 0.4, alpha of the Reno estimate 3 * (1 - beta) / (1 + beta) = 9/17. */
#define BETA_NUM    7U
#define BETA_DEN    10U
#define ALPHA_NUM   9U
#define ALPHA_DEN   17U
#define T_MAX_MS    50000
#define CWND_MAX    (1U << 30)
#define CUBIC_C_10  4 /* tenths */
#define IW_BYTES    14600U
#define UNUSED_SPAN (300 * TCP_S)

/* Integer cube root, by bits. */
uint32_t tcp_cbrt(uint64_t x)
{
	uint64_t y = 0;

	for (int s = 63; s >= 0; s -= 3) {
		uint64_t b;

		y <<= 1;
		b = 3 * y * (y + 1) + 1;
		if (x >> s >= b) {
			x -= b << s;
			y++;
		}
	}
	return (uint32_t)y;
}

/* RFC 6928 */
uint32_t tcp_cc_initial(const struct sl_tcp_conn *c)
{
	return u32_min(TCP_IW_SEGMENTS * tcp_smss(c), u32_max(2U * tcp_smss(c), IW_BYTES));
}

void tcp_cc_init(struct sl_tcp_conn *c)
{
	memset(&c->cubic, 0, sizeof(c->cubic));
	c->hystart.done = false;
	tcp_hystart_restart(c);
	c->cwnd = c->syn_lost ? tcp_smss(c) : tcp_cc_initial(c);
	c->ssthresh = CWND_MAX;
}

/* A new epoch of congestion avoidance: where the curve's plateau is and how far away (RFC 9438, 4.2). */
static void epoch_start(struct sl_tcp_conn *c, uint64_t now_us)
{
	struct tcp_cubic *q = &c->cubic;

	q->epoch_us = now_us;
	q->w_est = c->cwnd;
	q->w_est_acc = 0;
	q->cwnd_acc = 0;
	q->origin = u32_max(q->w_max, c->cwnd);
	/* K = cbrt((origin - cwnd) / C) seconds; in ms: cbrt(segments * 2.5 * 10^9). */
	q->k_ms = tcp_cbrt((uint64_t)(q->origin - c->cwnd) * UINT64_C(2500000) / tcp_smss(c) * 1000);
}

/* W_cubic(t) in bytes: origin + C * (t - K)^3 segments. */
static uint32_t w_cubic(const struct sl_tcp_conn *c, uint64_t t_us)
{
	int64_t d = (int64_t)(t_us / TCP_MS) - (int64_t)c->cubic.k_ms;
	int64_t w;

	if (d > T_MAX_MS)
		d = T_MAX_MS;
	if (d < -T_MAX_MS)
		d = -T_MAX_MS;
	w = (int64_t)c->cubic.origin + d * d * d / 100000 * CUBIC_C_10 * tcp_smss(c) / 100000;
	if (w < (int64_t)tcp_smss(c))
		w = tcp_smss(c);
	return w > CWND_MAX ? CWND_MAX : (uint32_t)w;
}

/* The Reno-friendly region (4.3). */
static void w_est_grow(struct sl_tcp_conn *c, uint32_t acked)
{
	struct tcp_cubic *q = &c->cubic;
	uint64_t num = (uint64_t)acked * tcp_smss(c);
	uint64_t step;

	if (q->w_est < q->cwnd_prior)
		num = num * ALPHA_NUM / ALPHA_DEN;
	num += q->w_est_acc;
	step = num / c->cwnd;
	q->w_est_acc = (uint32_t)(num % c->cwnd);
	q->w_est = u32_min(q->w_est + (uint32_t)u32_min((uint32_t)step, CWND_MAX), CWND_MAX);
}

static void avoidance(struct sl_tcp_conn *c, uint32_t acked, uint64_t now_us)
{
	struct tcp_cubic *q = &c->cubic;
	uint32_t target;
	uint64_t num;

	if (q->epoch_us == 0)
		epoch_start(c, now_us);
	w_est_grow(c, acked);
	target = w_cubic(c, now_us - q->epoch_us + c->srtt_us);
	target = u32_min(u32_max(target, c->cwnd), c->cwnd + c->cwnd / 2);
	num = (uint64_t)(target - c->cwnd) * acked + q->cwnd_acc;
	q->cwnd_acc = (uint32_t)(num % c->cwnd);
	c->cwnd += (uint32_t)(num / c->cwnd);
	c->cwnd = u32_min(u32_max(c->cwnd, q->w_est), CWND_MAX);
}

void tcp_cc_acked(struct sl_tcp_conn *c, uint32_t acked, uint32_t rtt_us, uint64_t now_us)
{
	bool slow_start = c->cwnd < c->ssthresh;

	/* In slow start more than half of the window in flight is enough. */
	if (!c->cwnd_limited && !(slow_start && c->cwnd < 2 * c->cwnd_out))
		return;
	if (slow_start) {
		uint32_t grow = tcp_hystart_acked(c, acked, rtt_us),
		         step = u32_min(grow, c->ssthresh - c->cwnd);

		c->cwnd += step;
		acked = grow - step;
		if (acked == 0)
			return;
	}
	if (c->ca_state == TCP_CA_OPEN)
		avoidance(c, acked, now_us);
}

/* Multiplicative decrease and fast convergence (4.6, 4.7). */
void tcp_cc_reduce(struct sl_tcp_conn *c)
{
	struct tcp_cubic *q = &c->cubic;

	q->epoch_us = 0;
	q->cwnd_prior = c->cwnd;
	if (c->cwnd < q->w_max)
		q->w_max = (uint32_t)((uint64_t)c->cwnd * (BETA_DEN + BETA_NUM) / (2 * BETA_DEN));
	else
		q->w_max = c->cwnd;
	c->ssthresh = u32_max((uint32_t)((uint64_t)c->cwnd * BETA_NUM / BETA_DEN), 2 * tcp_smss(c));
	c->hystart.done = true;
}

/* Half of the window goes, down to the initial one; where it was is remembered for slow start. */
static void decay(struct sl_tcp_conn *c)
{
	uint32_t floor = u32_min(c->cwnd, tcp_cc_initial(c));

	if (c->ssthresh < CWND_MAX)
		c->ssthresh = u32_max(c->ssthresh, c->cwnd / 4 * 3);
	c->cwnd = u32_max(c->cwnd / 2, floor);
	c->cubic.epoch_us = 0;
	tcp_hystart_restart(c); /* round-trip times of a window that is gone say nothing about this one */
}

/*
 * Before something is sent: a window that nothing has filled for some time says little about the path. After
 * an idle time it is halved for each timeout that passed (RFC 5681, 4.1 would have it at the initial window
 * at once); one that the application does not use, for each five minutes (RFC 7661, 4.4.3).
 */
void tcp_cc_idle(struct sl_tcp_conn *c, uint64_t now_us)
{
	if (c->cwnd_limited || c->cwnd_used_us == 0)
		c->cwnd_used_us = now_us;
	if (c->snd_una == c->snd_nxt && c->last_send_us != 0) {
		uint64_t idle = now_us - c->last_send_us;

		for (; idle > c->rto_us && c->cwnd > tcp_cc_initial(c); idle -= c->rto_us)
			decay(c);
		if (idle > c->rto_us)
			c->cubic.epoch_us = 0;
	}
	if (now_us - c->cwnd_used_us >= UNUSED_SPAN) {
		c->cwnd_used_us = now_us;
		if (c->cwnd > tcp_cc_initial(c))
			decay(c);
	}
}
