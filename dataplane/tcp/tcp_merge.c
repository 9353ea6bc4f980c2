/*
 * Segments of a burst that continue each other become one before TCP looks at them, so that the checks, the
 * ACK and the window are worked on once. Only what would have been the same each time is merged: data in
 * order that carries nothing but the same ACK and window. Whatever could mean more (SYN, FIN, RST, URG, ECN's
 * bits and marks, SACK, an ACK that moves) ends the run and is a segment of its own; the order within a
 * connection stays.
 *
 * No connection is looked up here: nothing that the first segment of a burst ends is pointed at by a later
 * one.
 */
#include "tcp_priv.h"

/* Nothing to do but to take its payload. */
static bool is_plain(const struct tcp_seg *s)
{
	return (s->flags & ~RTE_TCP_PSH_FLAG) == RTE_TCP_ACK_FLAG && s->len > 0 && s->opts.nb_sack == 0 &&
	       !s->opts.has_mss && !s->opts.has_wscale && !s->opts.has_sack_permitted &&
	       s->ip->ecn != TCP_ECN_CE;
}

/* The same timestamps: what PAWS says of one it says of the other. */
static bool same_times(const struct tcp_opts *a, const struct tcp_opts *b)
{
	return a->has_ts == b->has_ts && (!a->has_ts || (a->ts_val == b->ts_val && a->ts_ecr == b->ts_ecr));
}

static bool continues(const struct tcp_run_of *r, const struct tcp_seg *s)
{
	const struct tcp_seg *a = &r->seg;

	return s->seq == a->seq + a->len && s->ack == a->ack && s->wnd == a->wnd && is_plain(a) &&
	       is_plain(s) && same_times(&a->opts, &s->opts) && a->ip->ecn == s->ip->ecn &&
	       s->data_at <= s->m->data_len && memcmp(&a->tuple, &s->tuple, sizeof(a->tuple)) == 0;
}

/* The payload goes behind the run's, in the mbufs that it came in. */
static void join(struct tcp_run_of *r, const struct tcp_seg *s)
{
	struct tcp_seg *a = &r->seg;

	(void)rte_pktmbuf_adj(s->m, (uint16_t)s->data_at);
	r->tail->next = s->m;
	r->tail = rte_pktmbuf_lastseg(s->m);
	a->m->nb_segs = (uint16_t)(a->m->nb_segs + s->m->nb_segs);
	a->m->pkt_len += s->len;
	a->len += s->len;
	a->flags = s->flags; /* PSH counts at the end */
	a->parts++;
	sl_count(SL_C_TCP_MERGED);
}

void tcp_burst_add(struct tcp_burst *b, struct rte_mbuf *m, const struct sl_net_segment *ip)
{
	struct tcp_run_of *r = &b->run[b->nb];
	struct tcp_seg *s = &r->seg;
	uint8_t *latest;

	if (tcp_parse(m, ip, s) != SL_OK) {
		tcp_chain_free(m);
		return;
	}
	/* By ports alone: where two connections meet, the later one's segments start a new run. */
	latest = &b->latest[(s->tuple.rport ^ s->tuple.lport) % TCP_BURST_PLACES];
	if (*latest != 0 && continues(&b->run[*latest - 1], s)) {
		join(&b->run[*latest - 1], s);
		return;
	}
	r->tail = rte_pktmbuf_lastseg(m);
	*latest = (uint8_t)++b->nb;
}
