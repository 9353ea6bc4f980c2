/* TCP options: MSS, window scale, SACK permitted, SACK, timestamps. Others are skipped by their length. */
#include "tcp_priv.h"
#include "tcp_reseq.h"

enum {
	OPT_END = 0,
	OPT_NOP = 1,
	OPT_MSS = 2,
	OPT_WSCALE = 3,
	OPT_SACK_PERMITTED = 4,
	OPT_SACK = 5,
	OPT_TS = 8,
};

static int parse_mss(const uint8_t *p, uint32_t len, struct tcp_opts *o)
{
	if (len != 4 || o->has_mss)
		return SL_E_TCP_OPTIONS;
	o->has_mss = true;
	o->mss = sl_get_be16(p + 2);
	return SL_OK;
}

static int parse_wscale(const uint8_t *p, uint32_t len, struct tcp_opts *o)
{
	if (len != 3 || o->has_wscale)
		return SL_E_TCP_OPTIONS;
	o->has_wscale = true;
	o->wscale = p[2] > TCP_WND_SHIFT_MAX ? TCP_WND_SHIFT_MAX : p[2]; /* RFC 7323, 2.3 */
	return SL_OK;
}

static int parse_ts(const uint8_t *p, uint32_t len, struct tcp_opts *o)
{
	if (len != 10 || o->has_ts)
		return SL_E_TCP_OPTIONS;
	o->has_ts = true;
	o->ts_val = sl_get_be32(p + 2);
	o->ts_ecr = sl_get_be32(p + 6);
	return SL_OK;
}

static int parse_sack(const uint8_t *p, uint32_t len, struct tcp_opts *o)
{
	uint32_t nb = (len - 2) / 8;

	if (len < 10 || (len - 2) % 8 != 0 || nb > 4 || o->nb_sack > 0)
		return SL_E_TCP_OPTIONS;
	for (uint32_t i = 0; i < nb; i++)
		o->sack[i] = (struct tcp_range){sl_get_be32(p + 2 + i * 8), sl_get_be32(p + 6 + i * 8)};
	o->nb_sack = (uint8_t)nb;
	return SL_OK;
}

static int parse_one(const uint8_t *p, uint32_t len, struct tcp_opts *o)
{
	switch (p[0]) {
	case OPT_MSS:
		return parse_mss(p, len, o);
	case OPT_WSCALE:
		return parse_wscale(p, len, o);
	case OPT_SACK_PERMITTED:
		if (len != 2 || o->has_sack_permitted)
			return SL_E_TCP_OPTIONS;
		o->has_sack_permitted = true;
		return SL_OK;
	case OPT_SACK:
		return parse_sack(p, len, o);
	case OPT_TS:
		return parse_ts(p, len, o);
	default:
		return SL_OK;
	}
}

int tcp_options_parse(const uint8_t *p, uint32_t n, struct tcp_opts *out)
{
	uint32_t at = 0;

	memset(out, 0, sizeof(*out));
	while (at < n && p[at] != OPT_END) {
		uint32_t len;

		if (p[at] == OPT_NOP) {
			at++;
			continue;
		}
		if (n - at < 2)
			return SL_E_TCP_OPTIONS;
		len = p[at + 1];
		if (len < 2 || len > n - at || parse_one(p + at, len, out) != SL_OK)
			return SL_E_TCP_OPTIONS;
		at += len;
	}
	return SL_OK;
}

uint32_t tcp_ts_now(uint32_t offset, uint64_t now_us)
{
	return (uint32_t)(now_us / TCP_MS) + offset;
}

uint32_t tcp_options_ts(uint32_t val, uint32_t ecr, uint8_t *p)
{
	p[0] = OPT_NOP;
	p[1] = OPT_NOP;
	p[2] = OPT_TS;
	p[3] = 10;
	sl_put_be32(p + 4, val);
	sl_put_be32(p + 8, ecr);
	return 12;
}

/* In the order and with the padding of Linux: what middleboxes and fingerprints know best. */
uint32_t tcp_options_syn_put(const struct tcp_syn_opts *o, uint8_t *p)
{
	uint32_t n = 4;

	p[0] = OPT_MSS;
	p[1] = 4;
	sl_put_be16(p + 2, o->mss);
	if (o->ts)
		n += tcp_options_ts(o->ts_val, o->ts_ecr, p + n);
	if (o->sack && o->ts) {
		/* In the place of the timestamp's padding. */
		p[4] = OPT_SACK_PERMITTED;
		p[5] = 2;
	} else if (o->sack) {
		p[n] = OPT_NOP;
		p[n + 1] = OPT_NOP;
		p[n + 2] = OPT_SACK_PERMITTED;
		p[n + 3] = 2;
		n += 4;
	}
	if (o->has_wscale) {
		p[n] = OPT_NOP;
		p[n + 1] = OPT_WSCALE;
		p[n + 2] = 3;
		p[n + 3] = o->wscale;
		n += 4;
	}
	return n;
}

uint32_t tcp_options_syn(const struct sl_tcp_conn *c, uint16_t mss, bool answer, uint64_t now_us, uint8_t *p)
{
	struct tcp_syn_opts o = {
	        .mss = mss,
	        .has_wscale = !answer || c->wscale_ok,
	        .wscale = c->rcv_shift,
	        .sack = !answer || c->sack_ok,
	        .ts = answer ? c->ts_ok : !c->t->cfg.no_timestamps,
	        .ts_val = tcp_ts_now(c->ts_offset, now_us),
	        .ts_ecr = answer ? c->ts_recent : 0,
	};

	return tcp_options_syn_put(&o, p);
}

static const struct tcp_run *block(const struct sl_tcp_conn *c, uint32_t i)
{
	const struct tcp_ooo *o = c->ooo;

	return i < o->nb_recent ? tcp_rcvq_run(c, o->recent[i]) : &o->run[i - o->nb_recent];
}

static bool shows_gaps(const struct sl_tcp_conn *c)
{
	return c->has_ooo && !tcp_reseq_hides(c);
}

/* A duplicate behind a gap needs the block that it lies in (RFC 2883, 4.2): alone it would say that it came.
 */
static bool shows_dsack(const struct sl_tcp_conn *c)
{
	return c->has_dsack && (seq_le(c->dsack.end, c->rcv_nxt) || shows_gaps(c));
}

/*
 * Blocks to report: a duplicate (RFC 2883, 4), then where data came last (RFC 2018, 4), then the older ones,
 * then any others.
 */
static uint32_t choose_blocks(const struct sl_tcp_conn *c, uint32_t max, struct tcp_range *out)
{
	const struct tcp_ooo *o = shows_gaps(c) ? c->ooo : NULL;
	uint32_t nb = 0, first = 0;

	if (shows_dsack(c)) {
		out[nb++] = c->dsack;
		first = 1;
	}
	for (uint32_t i = 0; o != NULL && i < o->nb_recent + o->nb && nb < max; i++) {
		const struct tcp_run *r = block(c, i);
		uint32_t k = first;

		while (r != NULL && k < nb && out[k].start != r->start)
			k++;
		if (r != NULL && k == nb)
			out[nb++] = (struct tcp_range){r->start, r->end};
	}
	return nb;
}

static uint32_t nb_sack_blocks(const struct sl_tcp_conn *c)
{
	uint32_t nb = shows_dsack(c);

	if (!c->sack_ok)
		return 0;
	if (shows_gaps(c))
		nb += c->ooo->nb;
	return u32_min(nb, c->ts_ok ? 3 : 4);
}

uint32_t tcp_options_data_len(const struct sl_tcp_conn *c)
{
	uint32_t nb = nb_sack_blocks(c);

	return (c->ts_ok ? 12U : 0U) + (nb > 0 ? 4 + nb * 8 : 0);
}

uint32_t tcp_options_data(const struct sl_tcp_conn *c, uint64_t now_us, uint8_t *p)
{
	struct tcp_range blocks[4];
	uint32_t n = 0, nb = nb_sack_blocks(c);

	if (c->ts_ok)
		n += tcp_options_ts(tcp_ts_now(c->ts_offset, now_us), c->ts_recent, p);
	if (nb == 0)
		return n;
	nb = choose_blocks(c, nb, blocks);
	p[n] = OPT_NOP;
	p[n + 1] = OPT_NOP;
	p[n + 2] = OPT_SACK;
	p[n + 3] = (uint8_t)(2 + nb * 8);
	n += 4;
	for (uint32_t i = 0; i < nb; i++, n += 8) {
		sl_put_be32(p + n, blocks[i].start);
		sl_put_be32(p + n + 4, blocks[i].end);
	}
	return n;
}
