/*
 * HyStart++ (RFC 9406): a round-trip time that grows ends the first slow start before a queue overflows, by
 * way of a conservative slow start which finds out whether it was only jitter. No limit on the growth per
 * ACK, as paths that are long enough to be judged are paced (4.3).
 */
#include "tcp_priv.h"

#define RTT_SAMPLES        8
#define RTT_THRESH_MIN     (4U * 1000)
#define RTT_THRESH_MAX     (16U * 1000)
#define RTT_DIVISOR        8
#define CSS_GROWTH_DIVISOR 4
#define CSS_ROUNDS         5

static void slow_start_ends(struct sl_tcp_conn *c)
{
	c->hystart.done = true;
	c->ssthresh = c->cwnd;
	TCP_TRACE(c, HYSTART, c->cwnd, c->hystart.min_us);
}

static void new_round(struct sl_tcp_conn *c)
{
	struct tcp_hystart *h = &c->hystart;

	h->last_min_us = h->min_us;
	h->min_us = 0;
	h->nb_samples = 0;
	h->round_end = c->snd_nxt;
	if (h->css && ++h->css_rounds >= CSS_ROUNDS)
		slow_start_ends(c);
}

static void judge(struct tcp_hystart *h)
{
	uint32_t thresh = u32_min(u32_max(h->last_min_us / RTT_DIVISOR, RTT_THRESH_MIN), RTT_THRESH_MAX);

	if (h->nb_samples < RTT_SAMPLES || h->last_min_us == 0)
		return;
	if (h->css) {
		h->css = h->min_us >= h->base_us;
	} else if (h->min_us >= h->last_min_us + thresh) {
		h->css = true;
		h->base_us = h->min_us;
		h->css_rounds = 0;
	}
}

void tcp_hystart_restart(struct sl_tcp_conn *c)
{
	bool done = c->hystart.done;

	memset(&c->hystart, 0, sizeof(c->hystart));
	c->hystart.round_end = c->snd_una;
	c->hystart.done = done;
}

uint32_t tcp_hystart_acked(struct sl_tcp_conn *c, uint32_t acked, uint32_t rtt_us)
{
	struct tcp_hystart *h = &c->hystart;

	if (h->done)
		return acked;
	if (seq_lt(h->round_end, c->snd_una)) /* what ends a round was sent in the one before */
		new_round(c);
	if (rtt_us != 0) {
		if (h->min_us == 0 || rtt_us < h->min_us)
			h->min_us = rtt_us;
		if (h->nb_samples < RTT_SAMPLES)
			h->nb_samples++;
		judge(h);
	}
	return h->css ? acked / CSS_GROWTH_DIVISOR : acked;
}
