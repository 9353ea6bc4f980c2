/* Segments in (RFC 9293, 3.10.7): read, checked, given to the connection, TIME_WAIT block or listener that
 * they are for. */
#include <rte_ip.h>

#include "tcp_priv.h"
#include "tcp_reseq.h"

/* One's complement sum of the pseudo-header (RFC 9293, 3.1). */
static uint32_t pseudo_sum(const struct sl_net_segment *ip, uint32_t len)
{
	uint32_t n = ip->src.family == SL_AF_INET6 ? 16 : 4, sum = IPPROTO_TCP + (len >> 16) + (len & 0xffff);

	for (uint32_t i = 0; i < n; i += 2)
		sum += (uint32_t)sl_get_be16(ip->src.b + i) + sl_get_be16(ip->dst.b + i);
	return sum;
}

/* Sum of the whole packet. DPDK 22.11's rte_raw_cksum_mbuf() loses carries in chains of odd lengths. */
static uint32_t packet_sum(const struct rte_mbuf *m)
{
	uint32_t sum = 0, done = 0;

	for (; m != NULL; done += m->data_len, m = m->next) {
		uint16_t part =
		        rte_be_to_cpu_16(rte_raw_cksum(rte_pktmbuf_mtod(m, const void *), m->data_len));

		sum += done & 1 ? rte_bswap16(part) : part; /* it began in the second half of a word */
	}
	return sum;
}

static bool checksum_good(const struct rte_mbuf *m, const struct sl_net_segment *ip)
{
	uint64_t said = m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
	uint32_t sum;

	if (said != RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN)
		return said != RTE_MBUF_F_RX_L4_CKSUM_BAD;
	sum = pseudo_sum(ip, m->pkt_len) + packet_sum(m);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

static void read_header(const uint8_t *p, const struct sl_net_segment *ip, struct tcp_seg *s)
{
	struct tcp_tuple *u = &s->tuple;

	memset(u, 0, sizeof(*u));
	memcpy(u->laddr, ip->dst.b, sizeof(u->laddr));
	memcpy(u->raddr, ip->src.b, sizeof(u->raddr));
	u->rport = sl_get_be16(p);
	u->lport = sl_get_be16(p + 2);
	u->family = ip->dst.family;
	s->seq = sl_get_be32(p + 4);
	s->ack = sl_get_be32(p + 8);
	s->flags = p[13];
	s->wnd = sl_get_be16(p + 14);
}

int tcp_parse(struct rte_mbuf *m, const struct sl_net_segment *ip, struct tcp_seg *s)
{
	uint8_t copy[TCP_HDR_MAX];
	const uint8_t *p = rte_pktmbuf_read(m, 0, sizeof(struct rte_tcp_hdr), copy);
	uint32_t hdr_len;

	if (p == NULL)
		return sl_fail(SL_E_TCP_HEADER);
	hdr_len = (uint32_t)(p[12] >> 4) * 4;
	if (hdr_len < sizeof(struct rte_tcp_hdr) || hdr_len > m->pkt_len)
		return sl_fail(SL_E_TCP_HEADER);
	if (!checksum_good(m, ip))
		return sl_fail(SL_E_TCP_CSUM);
	p = rte_pktmbuf_read(m, 0, hdr_len, copy);
	if (p == NULL)
		return sl_fail(SL_E_TCP_HEADER);
	s->m = m;
	s->ip = ip;
	s->parts = 1;
	read_header(p, ip, s);
	if (s->tuple.lport == 0 || s->tuple.rport == 0)
		return sl_fail(SL_E_TCP_HEADER);
	s->data_at = hdr_len;
	s->len = m->pkt_len - hdr_len;
	if (tcp_options_parse(p + sizeof(struct rte_tcp_hdr), hdr_len - (uint32_t)sizeof(struct rte_tcp_hdr),
	                      &s->opts) != SL_OK)
		return sl_fail(SL_E_TCP_OPTIONS);
	return SL_OK;
}

/*
 * PAWS (RFC 7323, 5.3, R1), but not against a value that is too old to say anything (5.5), nor against one
 * that is a few ticks older. Where packets overtake each other, a segment that was sent again in front of a
 * gap sets TS.Recent, and what its peer sent in the meantime and is still on its way carries older values:
 * new data, which R1 alone would drop. What PAWS is for, a segment of 2^32 bytes before, cannot be a few
 * ticks old: the clock of the peer ticks at least once in 2^31 bytes (5.4).
 */
static bool paws_good(const struct sl_tcp_conn *c, const struct tcp_seg *s, uint64_t now_us)
{
	if (!c->ts_ok)
		return true;
	if (!s->opts.has_ts)
		return (s->flags & RTE_TCP_RST_FLAG) != 0;
	if (s->flags & RTE_TCP_RST_FLAG || !seq_lt(s->opts.ts_val + TCP_PAWS_SLACK, c->ts_recent))
		return true;
	return now_us - c->last_recv_us > TCP_PAWS_MAX_AGE;
}

/* RFC 9293, table 6, but that the edge itself is good for an empty segment: a peer that has filled the
 * window, and of that something was lost, has nowhere else to stand with its ACKs. */
static bool seq_acceptable(const struct sl_tcp_conn *c, const struct tcp_seg *s)
{
	uint32_t wnd = tcp_rcv_wnd(c), len = seg_len(s), edge = c->rcv_nxt + wnd;

	if (len == 0)
		return seq_le(c->rcv_nxt, s->seq) && seq_le(s->seq, edge);
	return wnd != 0 && seq_lt(s->seq, edge) && seq_lt(c->rcv_nxt, s->seq + len);
}

/* Cuts what was received before and what lies beyond the window. */
static void trim_to_window(struct sl_tcp_conn *c, struct tcp_seg *s)
{
	uint32_t edge = c->rcv_nxt + tcp_rcv_wnd(c);

	if (seq_lt(s->seq, c->rcv_nxt)) {
		uint32_t n = c->rcv_nxt - s->seq;

		if (s->len > 0) {
			tcp_dsack_note(c, s->seq, c->rcv_nxt);
			c->ack_now = true;
			tcp_conn_want_out(c);
		}
		s->seq += n;
		s->data_at += u32_min(n, s->len);
		s->len -= u32_min(n, s->len);
	}
	if (seq_lt(edge, s->seq + seg_len(s))) {
		s->len = u32_min(s->len, edge - s->seq);
		s->flags &= (uint8_t)~RTE_TCP_FIN_FLAG;
	}
}

/* RFC 5961, 3.2: only the exact sequence number resets. */
static void rst_input(struct sl_tcp_conn *c, const struct tcp_seg *s, uint64_t now_us)
{
	if (s->seq == c->rcv_nxt) {
		TCP_TRACE(c, RST_IN, s->seq, c->state);
		tcp_conn_finish(c,
		                c->state == TCP_SYN_RCVD && !c->passive ? SL_E_TCP_REFUSED : SL_E_TCP_RESET);
		return;
	}
	if (seq_acceptable(c, s)) {
		(void)sl_fail(SL_E_TCP_RST_CHALLENGE);
		tcp_send_challenge(c, now_us);
	} else {
		(void)sl_fail(SL_E_TCP_SEQ);
	}
}

/* Not in the window: the peer is told where we are. Data always, empty segments within the challenge limit.
 */
static void not_acceptable(struct sl_tcp_conn *c, const struct tcp_seg *s, uint64_t now_us)
{
	(void)sl_fail(SL_E_TCP_SEQ);
	TCP_TRACE(c, BAD_SEQ, s->seq, c->rcv_nxt);
	if (s->len > 0 && seq_le(s->seq + s->len, c->rcv_nxt)) {
		tcp_dsack_note(c, s->seq, s->seq + s->len);
		tcp_reseq_duplicate(c, s);
	}
	if (s->len > 0)
		(void)tcp_send_ack(c, now_us);
	else
		tcp_send_challenge(c, now_us);
}

static void become_established(struct sl_tcp_conn *c, const struct tcp_seg *s, uint64_t now_us)
{
	uint8_t shift;

	if (!c->wscale_ok)
		c->snd_shift = 0;
	shift = c->snd_shift;
	c->state = TCP_ESTABLISHED;
	TCP_TRACE(c, ESTABLISHED, c->mss, (c->ts_ok ? 1 : 0) | (c->sack_ok ? 2 : 0) | (c->wscale_ok ? 4 : 0));
	c->rto_shift = 0;
	c->nb_rtx = 0;
	c->snd_una = s->ack;
	c->snd_wnd = s->wnd << (s->flags & RTE_TCP_SYN_FLAG ? 0 : shift);
	c->max_snd_wnd = u32_max(c->max_snd_wnd, c->snd_wnd);
	c->snd_wl1 = s->seq;
	c->snd_sml = c->cwr_end = c->snd_una;
	if (c->rtt_timing) {
		c->rtt_timing = false;
		tcp_rtt_sample(c, now_us - c->rtt_us);
	} else if (c->syn_lost &&
	           !(c->ts_ok && s->opts.has_ts && tcp_rtt_sample_ts(c, s->opts.ts_ecr, now_us))) {
		c->rto_us = (uint32_t)TCP_RTO_INIT_SYN_LOST; /* RFC 6298 (5.7) */
	}
	tcp_cc_init(c);
	tcp_timer_off(c, TCP_TMR_RTX);
	tcp_keepalive_start(c, now_us);
	if (!c->held && c->orphan_until_us != 0) /* released before it was open */
		tcp_orphan_restart(c, now_us);
	if (tx_bytes(c) > 0 || c->fin_queued)
		tcp_conn_want_out(c);
}

/* The third segment of a passive open. False: nobody wants the connection. */
static bool accept_conn(struct sl_tcp_conn *c, uint64_t now_us)
{
	struct sl_tcp *t = c->t;
	struct sl_tcp_listener *l = c->listener;

	c->held = true;
	c->user = t->cfg.ops->accept(t->cfg.ctx, l, l->user, c);
	if (c->user == NULL && c->held) {
		c->held = false;
		tcp_send_rst_conn(c, now_us);
		tcp_conn_finish(c, SL_E_TCP_ABORTED);
	}
	if (c->state == TCP_CLOSED)
		return false;
	sl_count(SL_C_TCP_ACCEPTED);
	return true;
}

/* SYN_RCVD, fifth check. False: done with the segment. */
static bool syn_rcvd_ack(struct sl_tcp_conn *c, const struct tcp_seg *s, uint64_t now_us)
{
	if (!(s->flags & RTE_TCP_ACK_FLAG))
		return false;
	if (!seq_lt(c->snd_una, s->ack) || seq_lt(c->snd_nxt, s->ack)) {
		(void)sl_fail(SL_E_TCP_ACK);
		tcp_send_rst_for(c->t, s, now_us);
		return false;
	}
	become_established(c, s, now_us);
	if (c->passive)
		return accept_conn(c, now_us);
	sl_count(SL_C_TCP_CONNECTED);
	tcp_post(c, SL_TCP_EV_CONNECTED);
	return true;
}

/* The peer's SYN again: our SYN-ACK was lost, or the other half of a simultaneous open. False: done. */
static bool syn_rcvd_syn(struct sl_tcp_conn *c, struct tcp_seg *s, uint64_t now_us)
{
	if (!(s->flags & RTE_TCP_SYN_FLAG) || s->seq != c->irs || s->flags & RTE_TCP_RST_FLAG)
		return true;
	if (s->flags & RTE_TCP_ACK_FLAG) {
		s->flags &= (uint8_t)~RTE_TCP_SYN_FLAG;
		s->seq++;
		s->wnd >>= c->wscale_ok ? c->snd_shift : 0; /* the window of a SYN is never scaled */
		return true;
	}
	if (now_us - c->challenge_us >= TCP_CHALLENGE_SPAN) {
		c->challenge_us = now_us;
		c->syn_due = c->syn_lost = true;
		tcp_output(c, now_us);
	}
	return false;
}

/* RFC 9293, 3.10.7.3, fourth check on. */
static void syn_sent_syn(struct sl_tcp_conn *c, const struct tcp_seg *s, uint64_t now_us)
{
	bool acked = (s->flags & RTE_TCP_ACK_FLAG) != 0;

	tcp_take_syn_options(c, s, now_us);
	if (!acked) {
		/* Simultaneous open: SYN-ACK in the place of the SYN. */
		c->state = TCP_SYN_RCVD;
		c->syn_due = true;
		tcp_output(c, now_us);
		return;
	}
	become_established(c, s, now_us);
	c->ack_now = true;
	tcp_conn_want_out(c);
	sl_count(SL_C_TCP_CONNECTED);
	tcp_post(c, SL_TCP_EV_CONNECTED);
}

static void syn_sent_input(struct sl_tcp_conn *c, const struct tcp_seg *s, uint64_t now_us)
{
	if (s->flags & RTE_TCP_ACK_FLAG && (seq_le(s->ack, c->iss) || seq_lt(c->snd_nxt, s->ack))) {
		(void)sl_fail(SL_E_TCP_ACK);
		tcp_send_rst_for(c->t, s, now_us);
		return;
	}
	if (s->flags & RTE_TCP_RST_FLAG) {
		if (s->flags & RTE_TCP_ACK_FLAG)
			tcp_conn_finish(c, SL_E_TCP_REFUSED);
		return;
	}
	if ((s->flags & (RTE_TCP_SYN_FLAG | RTE_TCP_FIN_FLAG)) == RTE_TCP_SYN_FLAG)
		syn_sent_syn(c, s, now_us);
}

/* First to fourth check (RFC 9293, 3.10.7.4). False: done with the segment. */
static bool checks(struct sl_tcp_conn *c, struct tcp_seg *s, uint64_t now_us)
{
	if (c->state == TCP_SYN_RCVD && !syn_rcvd_syn(c, s, now_us))
		return false;
	if (!paws_good(c, s, now_us)) {
		(void)sl_fail(SL_E_TCP_PAWS);
		TCP_TRACE(c, PAWS, s->opts.ts_val, c->ts_recent);
		if (s->opts.has_ts)
			not_acceptable(c, s, now_us);
		return false;
	}
	if (s->flags & RTE_TCP_RST_FLAG) {
		rst_input(c, s, now_us);
		return false;
	}
	if (s->flags & RTE_TCP_SYN_FLAG) { /* RFC 5961, 4.2: whatever its sequence number */
		(void)sl_fail(SL_E_TCP_RST_CHALLENGE);
		tcp_send_challenge(c, now_us);
		return false;
	}
	if (!seq_acceptable(c, s)) {
		/* A shut window takes no data, but the ACK of a segment that stands right at it is good. */
		if (tcp_rcv_wnd(c) != 0 || s->seq != c->rcv_nxt) {
			not_acceptable(c, s, now_us);
			return false;
		}
		c->ack_now = true;
		tcp_conn_want_out(c);
	}
	trim_to_window(c, s);
	return true;
}

/* More than our MSS was several segments, which the device has put together. */
static void count_parts(const struct sl_tcp_conn *c, struct tcp_seg *s)
{
	uint32_t least = c->adv_mss > 0 ? (s->len + c->adv_mss - 1U) / c->adv_mss : 0;

	s->parts = (uint16_t)u32_max(s->parts, u32_min(least, UINT16_MAX));
}

static void count_in(struct sl_tcp_conn *c, const struct tcp_seg *s)
{
	c->stat.segs_in += s->parts;
	if (s->len == 0)
		return;
	c->stat.data_segs_in += s->parts;
	c->stat.rcv_mss = u32_max(c->stat.rcv_mss, s->len / s->parts);
}

static void conn_input(struct sl_tcp_conn *c, struct tcp_seg *s, uint64_t now_us)
{
	if (s->len > c->adv_mss)
		count_parts(c, s);
	count_in(c, s);
	if (c->state == TCP_SYN_SENT) {
		syn_sent_input(c, s, now_us);
		return;
	}
	if (!checks(c, s, now_us))
		return;
	if (c->state == TCP_SYN_RCVD && !syn_rcvd_ack(c, s, now_us))
		return;
	if (!tcp_ack_input(c, s, now_us))
		return;
	if (state_receives(c->state) && (s->len > 0 || s->flags & RTE_TCP_FIN_FLAG))
		tcp_data_input(c, s, now_us);
}

static void demux(struct sl_tcp *t, struct tcp_run_of *r, uint32_t changes, uint64_t now_us)
{
	struct tcp_seg *s = &r->seg;
	/* What an earlier segment of the burst has opened or ended, the look at the whole of it has not seen.
	 */
	struct sl_tcp_conn *c = changes == t->table.changes ? r->c : tcp_table_find(t, r->hash);

	s->opts.has_ts = s->opts.has_ts && !t->cfg.no_timestamps;
	if (c == NULL)
		c = tcp_passive_input(t, s, r->hash, now_us);
	if (c == NULL)
		return;
	conn_input(c, s, now_us);
	tcp_notify(c);
}

/* Where the trace goes on, and what the ACK gives back. */
static void fetch_sent(const struct sl_tcp_conn *c, const struct tcp_seg *s)
{
	rte_prefetch0(&c->trace.ring[c->trace.nb % SL_TCP_TRACE_EVENTS]);
	if (s->ack == c->snd_una)
		return;
	rte_prefetch0(TAILQ_FIRST(&c->board.all));
	rte_prefetch0(c->sndq.head);
}

static void fetch_piece(const struct sl_tcp_conn *c, const struct tcp_seg *s)
{
	if (s->ack == c->snd_una || c->sndq.head == NULL)
		return;
	rte_mbuf_prefetch_part1(c->sndq.head->m);
	rte_mbuf_prefetch_part2(c->sndq.head->m);
}

/* What the segments of a burst need is fetched for all of them before the first one is worked on. */
static void fetch(const struct sl_tcp *t, struct tcp_burst *b)
{
	for (uint16_t i = 0; i < b->nb; i++) {
		b->run[i].hash = tcp_tuple_hash(t, &b->run[i].seg.tuple);
		rte_prefetch0(&t->table.bucket[b->run[i].hash & t->table.mask]);
	}
	for (uint16_t i = 0; i < b->nb; i++) {
		const struct sl_tcp_conn *c = b->run[i].c = tcp_table_find(t, b->run[i].hash);

		if (c != NULL)
			tcp_fetch_in(c);
	}
	for (uint16_t i = 0; i < b->nb; i++) {
		if (b->run[i].c != NULL)
			fetch_sent(b->run[i].c, &b->run[i].seg);
	}
	for (uint16_t i = 0; i < b->nb; i++) {
		if (b->run[i].c != NULL)
			fetch_piece(b->run[i].c, &b->run[i].seg);
	}
}

static void burst_input(struct sl_tcp *t, struct tcp_burst *b, uint64_t now_us)
{
	uint32_t changes = t->table.changes;

	fetch(t, b);
	for (uint16_t i = 0; i < b->nb; i++) {
		demux(t, &b->run[i], changes, now_us);
		if (b->run[i].seg.m != NULL)
			tcp_chain_free(b->run[i].seg.m);
	}
}

void sl_tcp_input(struct sl_tcp *t, struct rte_mbuf **m, const struct sl_net_segment *seg, uint16_t n,
                  uint64_t now_us)
{
	struct tcp_burst b;

	tcp_touch(t, now_us);
	t->busy = true;
	for (uint32_t i = 0; i < n;) {
		uint32_t end = u32_min(n, i + TCP_BURST);

		b.nb = 0;
		memset(b.latest, 0, sizeof(b.latest));
		for (; i < end; i++)
			tcp_burst_add(&b, m[i], &seg[i]);
		burst_input(t, &b, now_us);
	}
	t->busy = false;
}
