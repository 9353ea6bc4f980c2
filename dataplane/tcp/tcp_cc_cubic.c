/*
 * Congestion control: CUBIC (RFC 9438) in integers, slow start and initial window (RFC 5681, RFC 6928),
 * growth only when the window was the limit, restart after idle. Windows are in bytes, the cubic's time in
 * milliseconds.
 */
#include "tcp_priv.h"

/* beta = 0.7, C = 0.4, alpha of the Reno estimate 3 * (1 - beta) / (1 + beta) = 9/17. */
#define BETA_NUM   7U
#define BETA_DEN   10U
#define ALPHA_NUM  9U
#define ALPHA_DEN  17U
#define T_MAX_MS   50000
#define CWND_MAX   (1U << 30)
#define CUBIC_C_10 4 /* tenths */

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

static uint32_t initial_window(const struct sl_tcp_conn *c)
{
	if (c->syn_lost)
		return c->mss;
	return u32_min(TCP_IW_SEGMENTS * c->mss, u32_max(2U * c->mss, 14600));
}

void tcp_cc_init(struct sl_tcp_conn *c)
{
	memset(&c->cubic, 0, sizeof(c->cubic));
	c->cwnd = initial_window(c);
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
	q->k_ms = tcp_cbrt((uint64_t)(q->origin - c->cwnd) * UINT64_C(2500000) / c->mss * 1000);
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
	w = (int64_t)c->cubic.origin + d * d * d / 100000 * CUBIC_C_10 * c->mss / 100000;
	if (w < (int64_t)c->mss)
		w = c->mss;
	return w > CWND_MAX ? CWND_MAX : (uint32_t)w;
}

/* The Reno-friendly region (4.3). */
static void w_est_grow(struct sl_tcp_conn *c, uint32_t acked)
{
	struct tcp_cubic *q = &c->cubic;
	uint64_t num = (uint64_t)acked * c->mss;
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

void tcp_cc_acked(struct sl_tcp_conn *c, uint32_t acked, uint64_t now_us)
{
	if (!c->cwnd_limited || c->ca_state == TCP_CA_RECOVERY)
		return;
	if (c->cwnd < c->ssthresh) {
		uint32_t room = c->ssthresh - c->cwnd, step = u32_min(acked, room);

		c->cwnd += step;
		acked -= step;
		if (acked == 0)
			return;
	}
	if (c->ca_state == TCP_CA_OPEN)
		avoidance(c, acked, now_us);
}

/* Multiplicative decrease and fast convergence (4.6, 4.7). */
static void decrease(struct sl_tcp_conn *c)
{
	struct tcp_cubic *q = &c->cubic;

	q->epoch_us = 0;
	q->cwnd_prior = c->cwnd;
	if (c->cwnd < q->w_max)
		q->w_max = (uint32_t)((uint64_t)c->cwnd * (BETA_DEN + BETA_NUM) / (2 * BETA_DEN));
	else
		q->w_max = c->cwnd;
	c->ssthresh = u32_max((uint32_t)((uint64_t)c->cwnd * BETA_NUM / BETA_DEN), 2 * c->mss);
}

void tcp_cc_loss(struct sl_tcp_conn *c)
{
	decrease(c);
	c->cwnd = c->ssthresh;
}

void tcp_cc_timeout(struct sl_tcp_conn *c)
{
	/* A second timeout for the same data does not lower ssthresh again (RFC 5681, 3.1). */
	if (c->ca_state != TCP_CA_LOSS)
		decrease(c);
	c->cwnd = c->mss;
}

/* Restart after idle (RFC 5681, 4.1). */
void tcp_cc_idle(struct sl_tcp_conn *c, uint64_t now_us)
{
	if (c->snd_una == c->snd_nxt && now_us - c->last_send_us > c->rto_us) {
		c->cwnd = u32_min(c->cwnd, u32_min(TCP_IW_SEGMENTS * c->mss, u32_max(2U * c->mss, 14600)));
		c->cubic.epoch_us = 0;
	}
}
