/* Segments out: when, how much, and their bytes. */
#include "tcp_pace.h"

#define SEND_OK   1
#define SEND_NONE 0

/* The window's header field; moves the edge up to which data is taken. Rounded down: the field says no more
 * than there is. */
static uint16_t window_field(struct sl_tcp_conn *c, bool syn)
{
	uint8_t shift = syn ? 0 : c->rcv_shift;
	uint32_t field = u32_min(tcp_window_now(c) >> shift, UINT16_MAX);

	if (c->no_room) /* the edge stays: what comes before it is taken once there is memory */
		return 0;
	c->rcv_adv = seq_max(c->rcv_adv, c->rcv_nxt + (field << shift));
	return (uint16_t)field;
}

static struct rte_mbuf *seg_alloc(const struct sl_tcp *t, uint32_t len, uint8_t **p)
{
	struct rte_mbuf *m = tcp_mbuf_alloc(t);

	if (m == NULL) {
		(void)sl_fail(SL_E_NOMEM);
		return NULL;
	}
	*p = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)len);
	if (*p == NULL) {
		rte_pktmbuf_free(m);
		(void)sl_fail(SL_E_NOMEM);
		return NULL;
	}
	return m;
}

static void seg_send(struct sl_tcp *t, struct rte_mbuf *m, uint32_t hdr_len, const struct tcp_tuple *u,
                     uint8_t ecn, uint64_t now_us)
{
	struct sl_addr src = tcp_addr(u->laddr, u->family), dst = tcp_addr(u->raddr, u->family);

	m->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
	m->ol_flags |= u->family == SL_AF_INET6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4;
	m->l4_len = hdr_len & 0xff;
	/* What the wire loses is sent again: the result is of no use here. */
	(void)t->cfg.ops->output(t->cfg.ctx, m, &src, &dst, ecn, now_us);
}

static void put_header(uint8_t *p, const struct tcp_tuple *u, uint32_t seq, uint32_t ack, uint8_t flags,
                       uint16_t wnd, uint32_t hdr_len)
{
	sl_put_be16(p, u->lport);
	sl_put_be16(p + 2, u->rport);
	sl_put_be32(p + 4, seq);
	sl_put_be32(p + 8, flags & RTE_TCP_ACK_FLAG ? ack : 0);
	p[12] = (uint8_t)(hdr_len / 4 << 4);
	p[13] = flags;
	sl_put_be16(p + 14, wnd);
	memset(p + 16, 0, 4);
}

static uint32_t payload_max(const struct sl_tcp_conn *c)
{
	return c->mss - tcp_options_data_len(c);
}

/* Header and payload in one mbuf. */
static struct rte_mbuf *build_linear(struct sl_tcp_conn *c, uint32_t hdr_len, const struct tcp_piece *from,
                                     uint32_t at, uint32_t n)
{
	uint8_t *p;
	struct rte_mbuf *m = seg_alloc(c->t, hdr_len + n, &p);

	if (m != NULL && n > 0)
		tcp_sndq_copy(from, at, n, p + hdr_len);
	return m;
}

/* Header in an mbuf of its own, then the pieces by reference. */
static struct rte_mbuf *build_chain(struct sl_tcp_conn *c, uint32_t hdr_len, const struct tcp_piece *from,
                                    uint32_t at, uint32_t n, bool tso)
{
	uint8_t *p;
	struct rte_mbuf *m = seg_alloc(c->t, hdr_len, &p);

	if (m == NULL)
		return NULL;
	if (!tcp_sndq_attach(c->t, from, at, n, m)) {
		rte_pktmbuf_free(m);
		(void)sl_fail(SL_E_NOMEM);
		return NULL;
	}
	if (tso) {
		m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
		m->tso_segsz = (uint16_t)payload_max(c);
	}
	return m;
}

/* One packet of a synchronized connection. */
struct packet {
	uint32_t seq, n; /* payload: [seq, seq + n) */
	const struct tcp_piece *from;
	uint8_t flags;
	bool by_ref;    /* a chain of references to the pieces, else a copy */
	bool is_new;    /* sent for the first time */
	bool push;      /* the peer shall not wait for more, whatever follows */
	uint16_t probe; /* it tries this MSS; 0: it is no probe */
};

/* The marks of new data, and of no other segment (RFC 3168, 6.1.2, 6.1.4, 6.1.5). Returns the IP header's. */
static uint8_t mark_ecn(struct sl_tcp_conn *c, const struct packet *o, uint8_t *flags)
{
	if (!c->ecn_ok || !o->is_new || o->n == 0)
		return 0;
	if (c->cwr_due) {
		*flags |= RTE_TCP_CWR_FLAG;
		c->cwr_due = false;
	}
	return TCP_ECN_ECT0;
}

/*
 * How much of its payload the packet can carry: as many full segments as a chain of bounded length holds, or
 * one segment by reference, or what fits one mbuf.
 */
static void fit_packet(const struct sl_tcp_conn *c, struct packet *o)
{
	uint32_t at = o->seq, max = payload_max(c), got;

	if (c->path_multi_seg && o->n > max) {
		got = tcp_sndq_span(o->from, at, o->n, TCP_TSO_SEGS_MAX);
		o->by_ref = got > max || got == o->n;
		if (o->by_ref && got < o->n)
			o->n = got / max * max;
		if (o->by_ref)
			return;
		o->n = max;
	}
	o->by_ref = c->path_multi_seg && o->n >= TCP_COPY_BELOW &&
	            tcp_sndq_span(o->from, at, o->n, TCP_TX_SEGS_MAX) == o->n;
	if (!o->by_ref)
		o->n = u32_min(o->n, c->t->seg_bytes_max - (uint32_t)sizeof(struct rte_tcp_hdr) -
		                             tcp_options_data_len(c));
}

/* At the end of what was written; and of several segments, which the receiver's NIC or stack gathers up to a
 * PSH: it should not wait for more. */
static bool ends_pushed(const struct sl_tcp_conn *c, const struct packet *o)
{
	return o->push || (o->seq + o->n == c->snd_end && !c->more) ||
	       (o->n > payload_max(c) && o->probe == 0);
}

static int send_packet(struct sl_tcp_conn *c, const struct packet *o, uint64_t now_us)
{
	uint32_t hdr_len = (uint32_t)sizeof(struct rte_tcp_hdr) + tcp_options_data_len(c);
	uint32_t at = o->seq;
	uint8_t flags = o->flags | RTE_TCP_ACK_FLAG | (c->ece ? RTE_TCP_ECE_FLAG : 0), *p;
	struct rte_mbuf *m;
	uint8_t ecn;

	if (o->by_ref)
		m = build_chain(c, hdr_len, o->from, at, o->n, o->n > payload_max(c) && o->probe == 0);
	else
		m = build_linear(c, hdr_len, o->from, at, o->n);
	if (m == NULL)
		return SL_E_NOMEM;
	c->stat.segs_out++;
	if (o->n > 0) {
		uint32_t cut = o->probe == 0 && o->n > payload_max(c) ? (o->n - 1) / payload_max(c) : 0;

		c->stat.segs_out += cut;
		c->stat.data_segs_out += cut + 1;
		c->last_send_us = now_us;
		if (ends_pushed(c, o))
			flags |= RTE_TCP_PSH_FLAG;
	}
	ecn = mark_ecn(c, o, &flags);
	p = rte_pktmbuf_mtod(m, uint8_t *);
	(void)tcp_options_data(c, now_us, p + sizeof(struct rte_tcp_hdr));
	put_header(p, &c->tuple, o->seq, c->rcv_nxt, flags, window_field(c, false), hdr_len);
	tcp_ack_is_sent(c, now_us);
	seg_send(c->t, m, hdr_len, &c->tuple, ecn, now_us);
	return SEND_OK;
}

static int send_empty(struct sl_tcp_conn *c, uint32_t seq, uint64_t now_us)
{
	struct packet o = {.seq = seq};
	int err = send_packet(c, &o, now_us);

	if (err >= 0)
		TCP_TRACE(c, ACK_OUT, c->rcv_nxt, 1);
	return err;
}

int tcp_send_ack(struct sl_tcp_conn *c, uint64_t now_us)
{
	return send_empty(c, c->snd_nxt, now_us);
}

void tcp_send_challenge(struct sl_tcp_conn *c, uint64_t now_us)
{
	if (now_us - c->challenge_us >= TCP_CHALLENGE_SPAN) {
		c->challenge_us = now_us;
		c->nb_challenge = 0;
	}
	if (c->nb_challenge >= TCP_CHALLENGE_MAX)
		return;
	c->nb_challenge++;
	TCP_TRACE(c, CHALLENGE, c->rcv_nxt, c->nb_challenge);
	(void)tcp_send_ack(c, now_us);
}

/* For keep-alive and zero window: an old sequence number, which the peer must answer (RFC 9293, 3.8.4). */
void tcp_send_probe(struct sl_tcp_conn *c, uint64_t now_us)
{
	(void)send_empty(c, c->snd_una - 1, now_us);
}

static int send_syn(struct sl_tcp_conn *c, uint64_t now_us)
{
	bool answer = c->state == TCP_SYN_RCVD;
	uint8_t flags = RTE_TCP_SYN_FLAG | (answer ? RTE_TCP_ACK_FLAG : 0);
	uint8_t opts[TCP_HDR_MAX - sizeof(struct rte_tcp_hdr)], *p;
	uint32_t n = tcp_options_syn(c, c->adv_mss, answer, now_us, opts);
	uint32_t hdr_len = (uint32_t)sizeof(struct rte_tcp_hdr) + n;
	struct rte_mbuf *m = seg_alloc(c->t, hdr_len, &p);

	if (m == NULL)
		return SL_E_NOMEM;
	memcpy(p + sizeof(struct rte_tcp_hdr), opts, n);
	if (answer && c->ecn_ok) {
		flags |= RTE_TCP_ECE_FLAG;
	} else if (!answer && c->t->cfg.ecn && !c->syn_lost) {
		/* Only the first: some path may drop it for these bits (RFC 3168, 6.1.1.1). */
		flags |= RTE_TCP_ECE_FLAG | RTE_TCP_CWR_FLAG;
		c->ecn_asked = true;
	}
	put_header(p, &c->tuple, c->iss, c->rcv_nxt, flags, window_field(c, true), hdr_len);
	c->snd_nxt = c->iss + 1;
	c->syn_due = false;
	c->rtt_timing = !c->syn_lost;
	c->rtt_us = now_us;
	if (!c->syn_lost)
		c->progress_us = now_us;
	seg_send(c->t, m, hdr_len, &c->tuple, 0, now_us);
	tcp_rtx_timer_update(c, false, now_us);
	return SEND_OK;
}

/* Bytes from seq that the peer's window takes. */
static uint32_t window_from(const struct sl_tcp_conn *c, uint32_t seq)
{
	uint32_t edge = c->snd_una + c->snd_wnd;

	return seq_lt(seq, edge) ? edge - seq : 0;
}

/* What goes out while the window is being reduced (RFC 6937). */
static void prr_count(struct sl_tcp_conn *c, uint32_t n)
{
	if (c->ca_state != TCP_CA_OPEN)
		c->prr.out += n;
}

/* The largest packet that the port cuts: half of the window, so that ACKs keep coming, what the port takes,
 * and what may go at a time. */
static uint32_t tso_bytes(const struct sl_tcp_conn *c)
{
	uint32_t max = payload_max(c), n = u32_min(TCP_TSO_BYTES_MAX, c->cwnd / 2 / max * max);

	if (tcp_paces(c))
		n = u32_min(n, tcp_pace_bytes(c) / max * max);
	return c->path_tso_segs == 0 ? n : u32_min(n, c->path_tso_segs * max);
}

/* What e holds goes out again: a segment of it, or as many as `room` bytes are where the port cuts them. > 0
 * sent, 0 it cannot be split further, < 0 no memory. */
static int resend(struct sl_tcp_conn *c, struct tcp_sent *e, uint32_t room, uint64_t now_us)
{
	uint32_t data = e->end - e->seq - (e->flags & TCP_SENT_FIN ? 1 : 0), max = payload_max(c), nb_segs;
	struct packet o = {.seq = e->seq, .n = u32_min(data, max), .from = e->piece};
	int err;

	if (e->flags & TCP_SENT_PROBE) { /* lost, alone or with others */
		tcp_pmtu_probe_done(c, false, now_us);
		e->flags &= (uint8_t)~TCP_SENT_PROBE;
	}
	if (c->path_tso && data > max)
		o.n = u32_min(data, u32_max(u32_min(room, tso_bytes(c)) / max * max, max));
	if (o.n > 0)
		fit_packet(c, &o);
	if (o.n < data && tcp_sent_split(c, e, e->seq + o.n) == NULL)
		return c->board.nb < tcp_sent_max(c) ? sl_fail(SL_E_NOMEM) : SEND_NONE;
	if (e->flags & TCP_SENT_FIN)
		o.flags = RTE_TCP_FIN_FLAG;
	err = send_packet(c, &o, now_us);
	if (err < 0)
		return err;
	nb_segs = o.n > max ? (o.n - 1) / max + 1 : 1;
	e->seg_bytes = (uint16_t)max;
	sl_count_n(SL_C_TCP_RETRANSMITS, nb_segs);
	c->lossy = true;
	c->retransmits += nb_segs;
	c->bytes_retrans += o.n;
	prr_count(c, o.n);
	tcp_pace_sent(c, o.n, now_us);
	c->prr.owes_rxt = false;
	tcp_undo_sent_again(c, nb_segs, now_us);
	tcp_sent_again(c, e, now_us);
	TCP_TRACE(c, RTX, e->seq, o.n);
	return SEND_OK;
}

/* The first of what is lost. > 0 sent, 0 nothing (more) to do, < 0 no memory. */
static int send_lost(struct sl_tcp_conn *c, uint32_t *pipe, uint64_t now_us)
{
	struct tcp_sent *e;
	uint32_t len, wnd, room;
	int err;

	if (c->board.lost_bytes == 0)
		return SEND_NONE;
	e = TAILQ_FIRST(&c->board.lost);
	len = u32_min(e->end - e->seq, payload_max(c));
	wnd = window_from(c, e->seq);
	if (e->seq != c->snd_una && len > wnd) /* the peer has shrunk its window */
		return SEND_NONE;
	if (*pipe > 0 && *pipe + len > c->cwnd) {
		c->cwnd_limited = true;
		return SEND_NONE;
	}
	room = c->cwnd > *pipe ? u32_min(c->cwnd - *pipe, wnd) : 0;
	err = resend(c, e, room, now_us);
	if (err <= 0)
		return err;
	*pipe += e->end - e->seq;
	tcp_rtx_timer_update(c, e->seq == c->snd_una, now_us);
	return SEND_OK;
}

/* A segment that is not full waits: for the rest (cork), or for the ACK of the small one before it (RFC 9293,
 * 3.7.4, in the gentler form that large writes do not wait). */
static bool waits_for_more(const struct sl_tcp_conn *c)
{
	if (c->fin_queued || c->probe_now)
		return false;
	return c->cork || (c->nagle && seq_lt(c->snd_una, c->snd_sml));
}

/*
 * How many new bytes may go now, in one packet; the sender's silly-window avoidance (RFC 9293, 3.8.6.2.1):
 * full segments, or all there is, or half of the largest window seen, or after the persist timer. Several
 * segments only where the port cuts them.
 */
static uint32_t new_bytes(const struct sl_tcp_conn *c, uint32_t avail, uint32_t room)
{
	uint32_t max = payload_max(c), wnd = window_from(c, c->snd_nxt), n = u32_min(avail, wnd);

	if (c->path_tso && n > max) {
		n = u32_min(n, u32_max(u32_min(room, tso_bytes(c)), max));
		return n == avail && !waits_for_more(c) ? n : n / max * max;
	}
	n = u32_min(n, max);
	if (n == max || (n == avail && !waits_for_more(c)) || (n < avail && n >= (c->max_snd_wnd + 1) / 2))
		return n;
	return c->probe_now ? n : 0;
}

static bool board_full(const struct sl_tcp_conn *c)
{
	return c->board.nb >= tcp_sent_max(c);
}

/* A window full of tiny segments would cost more memory than it carries bytes, whether they are the user's or
 * the peer's MSS makes them. */
static bool too_many_small(const struct sl_tcp_conn *c)
{
	uint32_t full = c->cwnd / u32_max(tcp_smss(c), TCP_MSS_DEFAULT);

	return c->board.nb >= TCP_SENT_MIN && c->board.nb >= TCP_SENT_FACTOR * full;
}

static void fin_goes_out(struct sl_tcp_conn *c)
{
	TCP_TRACE(c, FIN_OUT, c->snd_nxt, c->state);
	c->snd_nxt++;
	if (c->state == TCP_ESTABLISHED)
		c->state = TCP_FIN_WAIT_1;
	else if (c->state == TCP_CLOSE_WAIT)
		c->state = TCP_LAST_ACK;
}

/* The packet has gone out for the first time. */
static void new_is_sent(struct sl_tcp_conn *c, struct tcp_sent *e, const struct packet *o, uint64_t now_us)
{
	bool fin = (o->flags & RTE_TCP_FIN_FLAG) != 0;

	*e = (struct tcp_sent){
	        .piece = o->n > 0 ? c->sndq.next : NULL,
	        .seq = o->seq,
	        .end = o->seq + o->n + (fin ? 1 : 0),
	        .seg_bytes = (uint16_t)payload_max(c),
	        .flags = fin ? TCP_SENT_FIN : 0,
	};
	if (o->probe != 0) {
		e->flags |= TCP_SENT_PROBE;
		e->seg_bytes = (uint16_t)o->n;
		tcp_pmtu_probe_sent(c, o->probe);
	}
	if (c->board.nb == 0) {
		c->progress_us = now_us;
		tcp_timer_off(c,
		              TCP_TMR_RTX); /* the persist timer: the callers start that of RFC 6298 (5.1) */
	}
	tcp_sent_add(c, e, now_us);
	if (c->nagle && o->n % e->seg_bytes != 0) /* the last part was not a full segment */
		c->snd_sml = o->seq + o->n;
	c->snd_nxt += o->n;
	if (fin)
		fin_goes_out(c);
	c->probe_now = false;
	prr_count(c, o->n);
	tcp_pace_sent(c, o->n, now_us);
	TCP_TRACE(c, TX, o->seq, o->n);
}

/* New bytes, `room` at most when that is more than a segment. Returns as send_lost(). */
static int send_new_packet(struct sl_tcp_conn *c, struct packet *o, uint64_t now_us)
{
	struct tcp_sent *e = tcp_pool_take(&c->t->sents);
	int err;

	if (e == NULL)
		return sl_fail(SL_E_NOMEM);
	err = send_packet(c, o, now_us);
	if (err < 0)
		tcp_pool_give(&c->t->sents, e);
	else
		new_is_sent(c, e, o, now_us);
	return err;
}

/* Works out the next new packet, of `room` bytes at most when that is more than a segment. False: none. */
static bool next_new(struct sl_tcp_conn *c, uint32_t room, struct packet *o)
{
	uint32_t avail;

	if (!seq_lt(c->snd_nxt, tx_last_seq(c)))
		return false;
	avail = c->snd_end - c->snd_nxt;
	*o = (struct packet){.seq = c->snd_nxt, .n = new_bytes(c, avail, room), .is_new = true};
	if (o->n > 0) {
		o->from = c->sndq.next = tcp_sndq_find(&c->sndq, c->sndq.next, o->seq);
		fit_packet(c, o);
	}
	if (c->fin_queued && o->n == avail && window_from(c, o->seq) > o->n)
		o->flags = RTE_TCP_FIN_FLAG;
	return o->n > 0 || o->flags != 0;
}

/* A probe for a larger MTU, when one is due and new data fills it and some segments behind it. */
static bool next_probe(struct sl_tcp_conn *c, uint32_t room, struct packet *o, uint64_t now_us)
{
	uint32_t mss = tcp_pmtu_probe(c, now_us), n;

	if (mss == 0 || !seq_lt(c->snd_nxt, c->snd_end))
		return false;
	n = mss - tcp_options_data_len(c);
	if (n > room || n > window_from(c, c->snd_nxt) || c->snd_end - c->snd_nxt < n + 2 * payload_max(c))
		return false;
	c->sndq.next = tcp_sndq_find(&c->sndq, c->sndq.next, c->snd_nxt);
	*o = (struct packet){
	        .seq = c->snd_nxt, .n = n, .from = c->sndq.next, .is_new = true, .probe = (uint16_t)mss};
	o->by_ref = c->path_multi_seg && tcp_sndq_span(o->from, o->seq, n, TCP_TX_SEGS_MAX) == n;
	return o->by_ref || n + TCP_HDR_MAX <= c->t->seg_bytes_max;
}

static int send_new(struct sl_tcp_conn *c, uint32_t *pipe, uint64_t now_us)
{
	uint32_t room = c->cwnd > *pipe ? c->cwnd - *pipe : 0;
	struct packet o;
	int err;

	if (board_full(c) || (!next_probe(c, room, &o, now_us) && !next_new(c, room, &o)))
		return SEND_NONE;
	if (*pipe > 0 && (*pipe + o.n > c->cwnd || too_many_small(c))) {
		c->cwnd_limited = true;
		return SEND_NONE;
	}
	if (tcp_pace_waits(c, now_us))
		return SEND_NONE;
	err = send_new_packet(c, &o, now_us);
	if (err < 0)
		return err;
	*pipe += o.n;
	tcp_rtx_timer_update(c, false, now_us);
	return SEND_OK;
}

/* The last segment that the peer may not have, up to a segment of it. NULL: there is none, or no memory. */
static struct tcp_sent *last_missing(struct sl_tcp_conn *c)
{
	struct tcp_sent *e = TAILQ_LAST(&c->board.all, tcp_sent_list);
	uint32_t max = payload_max(c), data;

	if (e != NULL && e->flags & TCP_SENT_SACKED) /* its neighbour is not */
		e = TAILQ_PREV(e, tcp_sent_list, order);
	if (e == NULL)
		return NULL;
	data = e->end - e->seq - (e->flags & TCP_SENT_FIN ? 1 : 0);
	return data > max ? tcp_sent_split(c, e, e->seq + (data - 1) / max * max) : e;
}

/*
 * RFC 8985, 7.3: new data if the peer's window takes some, else the last segment again; in recovery what is
 * known to be lost comes first. A probe of new data has PSH where time is short and losses are known: there
 * it is seldom data that is missing, mostly an ACK, and a peer would delay that of a lone segment.
 */
void tcp_send_tlp(struct sl_tcp_conn *c, uint64_t now_us)
{
	struct tcp_sent *e = TAILQ_FIRST(&c->board.lost);
	struct packet o;

	c->nb_tlp++;
	if (e == NULL && !board_full(c) && next_new(c, payload_max(c), &o)) {
		o.push = c->near && c->lossy;
		if (send_new_packet(c, &o, now_us) < 0)
			return;
		c->tlp_is_rxt = false;
	} else {
		if (e == NULL)
			e = last_missing(c);
		if (e == NULL || resend(c, e, 0, now_us) <= 0)
			return;
		c->tlp_is_rxt = true;
	}
	c->tlp_open = true;
	c->tlp_end = c->snd_nxt;
	sl_count(SL_C_TCP_LOSS_PROBES);
	TCP_TRACE(c, TLP, c->tlp_end, c->tlp_is_rxt);
}

/*
 * Whether the window is what limits us, which is what lets it grow (RFC 7661): judged over a round trip, as
 * one ACK's worth says little.
 */
static void judge_cwnd(struct sl_tcp_conn *c, bool was, bool sent, uint32_t pipe)
{
	bool limited = c->cwnd_limited || pipe + tcp_smss(c) > c->cwnd;

	c->cwnd_limited = was;
	if (!limited && !sent)
		return;
	if (limited || seq_le(c->cwnd_round, c->snd_una) || (!was && pipe > c->cwnd_out)) {
		c->cwnd_out = pipe;
		c->cwnd_round = c->snd_nxt;
		c->cwnd_limited = limited;
	}
}

/* What is lost first, then new data; the other way round while a timeout is doubted (RFC 5682, 2.b). */
static int send_stream(struct sl_tcp_conn *c, uint64_t now_us)
{
	bool doubted = c->ca_state == TCP_CA_LOSS && c->frto_new;
	bool was_limited = c->cwnd_limited;
	uint32_t pipe, before = c->snd_nxt;
	bool again = false;
	int r = SEND_OK;

	if (c->snd_una == tx_last_seq(c))
		return SEND_NONE;
	if (window_from(c, c->snd_nxt) > 0)
		tcp_cc_idle(c, now_us);
	pipe = tcp_pipe(c);
	c->cwnd_limited = false;
	while (doubted && (r = send_new(c, &pipe, now_us)) > 0)
		;
	doubted = doubted && seq_lt(c->recover, c->snd_nxt);
	while (!doubted && r >= 0 && (r = send_lost(c, &pipe, now_us)) > 0)
		again = true;
	while (r == SEND_NONE && (r = send_new(c, &pipe, now_us)) > 0)
		r = SEND_NONE;
	judge_cwnd(c, was_limited, c->snd_nxt != before, pipe);
	tcp_rtx_timer_update(c, false, now_us);
	if (c->snd_nxt != before || again)
		tcp_tlp_schedule(c, now_us);
	return r;
}

void tcp_output(struct sl_tcp_conn *c, uint64_t now_us)
{
	int r = SEND_NONE;

	switch (c->state) {
	case TCP_CLOSED:
	case TCP_TIME_WAIT:
		return;
	case TCP_SYN_SENT:
	case TCP_SYN_RCVD:
		if (c->syn_due)
			r = send_syn(c, now_us);
		else if (c->ack_now)
			r = tcp_send_ack(c, now_us);
		break;
	default:
		r = send_stream(c, now_us);
		if (r >= 0 && c->ack_now)
			r = tcp_send_ack(c, now_us);
		break;
	}
	if (r < 0)
		tcp_conn_want_out(c);
}

/* Those that find no mbuf enter the list again, behind the last of this round. */
void sl_tcp_flush(struct sl_tcp *t, uint64_t now_us)
{
	struct tcp_out *o = &t->out;

	tcp_touch(t, now_us);
	for (uint32_t n = o->nb; n > 0; n--) {
		struct sl_tcp_conn *c = o->ring[o->first++ & o->mask];

		o->nb--;
		c->on_out = false;
		tcp_output(c, now_us); /* nothing for one that has ended meanwhile */
	}
}
