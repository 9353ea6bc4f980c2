/*
 * SYN cookies (RFC 4987, 3.6): the half-open state in our sequence number and timestamp. Bits of the ISN: 24
 * and 4 of a SipHash over the 4-tuple, the peer's ISN and what else is in the cookie; 1 for which of the two
 * secrets; 3 for the MSS. What does not fit goes into the lowest 6 bits of the timestamp that we send, and
 * comes back in its echo; a peer without timestamps goes without window scale, SACK and ECN.
 *
 * A secret is good for a minute, then for one more to verify. So a cookie cannot be gathered now and used
 * later.
 */
#include "sl_siphash.h"
#include "tcp_priv.h"

#define OPT_BITS     6U
#define OPT_MASK     ((1U << OPT_BITS) - 1)
#define OPT_NO_SCALE 15U
#define OPT_SACK     16U
#define OPT_ECN      32U
#define MAC_MASK     0xffffff0fU
#define SPAN_BIT     0x80U
#define MSS_SHIFT    4
#define MSS_BITS     7U

/* Of links that there are: rounded down to, so that no segment is too large. */
static const uint16_t mss_table[MSS_BITS + 1] = {128, 536, 1200, 1300, 1400, 1440, 1460, 8940};

static const uint64_t *secret_of(struct sl_tcp *t, uint64_t span)
{
	uint32_t i = span & 1;

	if (!t->cookies.secret[i].made || t->cookies.secret[i].span != span) {
		tcp_cookie_secret(t, span, t->cookies.secret[i].key);
		t->cookies.secret[i].span = span;
		t->cookies.secret[i].made = true;
	}
	return t->cookies.secret[i].key;
}

static uint32_t cookie_value(struct sl_tcp *t, const struct tcp_tuple *u, uint32_t irs, uint32_t mss_index,
                             uint32_t opts, uint64_t span)
{
	struct {
		struct tcp_tuple u;
		uint32_t irs, rest;
	} in = {*u, irs, mss_index << 8 | opts};
	uint32_t mac = (uint32_t)sl_siphash(secret_of(t, span), &in, sizeof(in));

	return (mac & MAC_MASK) | (span & 1 ? SPAN_BIT : 0) | mss_index << MSS_SHIFT;
}

static uint32_t opts_of(const struct tcp_cookie *k)
{
	return (k->has_wscale ? k->wscale : OPT_NO_SCALE) | (k->sack ? OPT_SACK : 0) | (k->ecn ? OPT_ECN : 0);
}

bool tcp_cookie_make(struct sl_tcp *t, const struct tcp_tuple *u, uint32_t irs, const struct tcp_cookie *k,
                     bool ts, uint64_t now_us, uint32_t *iss, uint32_t *ts_val)
{
	uint32_t i = MSS_BITS, opts = ts ? opts_of(k) : 0;

	while (i > 0 && mss_table[i] > k->mss)
		i--;
	if (mss_table[i] > k->mss)
		return false;
	*iss = cookie_value(t, u, irs, i, opts, now_us / TCP_COOKIE_SPAN);
	if (ts) {
		uint32_t real = *ts_val;

		*ts_val = (real & ~OPT_MASK) | opts;
		if (seq_lt(real, *ts_val)) /* never ahead of the clock */
			*ts_val -= OPT_MASK + 1;
	}
	t->cookies.nb_sent++;
	sl_count(SL_C_TCP_COOKIES_SENT);
	return true;
}

bool tcp_cookie_check(struct sl_tcp *t, const struct tcp_seg *s, uint64_t now_us, struct tcp_cookie *out)
{
	uint32_t iss = s->ack - 1, irs = s->seq - 1, i = iss >> MSS_SHIFT & MSS_BITS;
	uint32_t opts = s->opts.has_ts ? s->opts.ts_ecr & OPT_MASK : 0;
	uint64_t span = now_us / TCP_COOKIE_SPAN;

	if ((span & 1) != ((iss & SPAN_BIT) != 0))
		span--;
	if (cookie_value(t, &s->tuple, irs, i, opts, span) != iss) {
		t->cookies.nb_bad++;
		return false;
	}
	memset(out, 0, sizeof(*out));
	out->mss = mss_table[i];
	if (s->opts.has_ts) {
		out->has_wscale = (opts & OPT_NO_SCALE) != OPT_NO_SCALE;
		out->wscale = out->has_wscale ? opts & OPT_NO_SCALE : 0;
		out->sack = (opts & OPT_SACK) != 0;
		out->ecn = (opts & OPT_ECN) != 0;
	}
	t->cookies.nb_good++;
	sl_count(SL_C_TCP_COOKIES_GOOD);
	return true;
}
