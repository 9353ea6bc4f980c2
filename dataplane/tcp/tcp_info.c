/* Connections as seen from outside: ids, the walk over all of them, their numbers. */
#include "tcp_pace.h"

const char *tcp_state_name(uint8_t state)
{
	static const char *const names[] = {
	        [TCP_CLOSED] = "CLOSED",         [TCP_SYN_SENT] = "SYN-SENT",
	        [TCP_SYN_RCVD] = "SYN-RECEIVED", [TCP_ESTABLISHED] = "ESTABLISHED",
	        [TCP_FIN_WAIT_1] = "FIN-WAIT-1", [TCP_FIN_WAIT_2] = "FIN-WAIT-2",
	        [TCP_CLOSE_WAIT] = "CLOSE-WAIT", [TCP_CLOSING] = "CLOSING",
	        [TCP_LAST_ACK] = "LAST-ACK",     [TCP_TIME_WAIT] = "TIME-WAIT",
	};

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "?";
}

uint64_t sl_tcp_id(const struct sl_tcp_conn *c)
{
	return (uint64_t)c->t->cfg.worker << 56 | (uint64_t)c->index << 32 | c->generation;
}

struct sl_tcp_conn *sl_tcp_find(struct sl_tcp *t, uint64_t id)
{
	struct sl_tcp_conn *c = tcp_conn_at(t, (uint32_t)(id >> 32) & TCP_INDEX_MASK);

	return c != NULL && c->in_use && sl_tcp_id(c) == id ? c : NULL;
}

struct sl_tcp_conn *sl_tcp_next_within(struct sl_tcp *t, uint64_t *cursor, uint32_t *steps)
{
	while (*steps > 0 && *cursor < t->nb_conn_slabs * TCP_CONN_SLAB) {
		struct sl_tcp_conn *c = tcp_conn_at(t, (uint32_t)(*cursor)++);

		--*steps;
		if (c->in_use)
			return c;
	}
	return NULL;
}

struct sl_tcp_conn *sl_tcp_next(struct sl_tcp *t, uint64_t *cursor)
{
	uint32_t steps = UINT32_MAX; /* more than there are places */

	return sl_tcp_next_within(t, cursor, &steps);
}

static const char *ca_name(uint8_t ca_state)
{
	switch (ca_state) {
	case TCP_CA_OPEN:
		return "open";
	case TCP_CA_CWR:
		return "cwr";
	case TCP_CA_RECOVERY:
		return "recovery";
	case TCP_CA_LOSS:
		return "loss";
	default:
		return "?";
	}
}

static uint32_t ms_ago(uint64_t then_us, uint64_t now_us)
{
	return then_us == 0 || then_us > now_us ? 0 : (uint32_t)((now_us - then_us) / TCP_MS);
}

static void put_timer(const struct sl_tcp_conn *c, struct sl_tcp_info *out)
{
	static const char *const names[TCP_TMR_COUNT] = {
	        [TCP_TMR_RTX] = "on",         [TCP_TMR_LOSS] = "loss",   [TCP_TMR_DELACK] = "delack",
	        [TCP_TMR_KEEP] = "keepalive", [TCP_TMR_LIFE] = "linger", [TCP_TMR_RESEQ] = "reorder",
	        [TCP_TMR_PACE] = "pacing",
	};
	uint64_t first = UINT64_MAX;

	out->timer = "off";
	for (int i = 0; i < TCP_TMR_COUNT; i++) {
		uint64_t at = tcp_timer_at(c, (enum tcp_timer_id)i);

		if (at == 0 || at >= first)
			continue;
		first = at;
		out->timer = names[i] != NULL ? names[i] : "other";
		if (i == TCP_TMR_RTX && c->snd_una == c->snd_nxt)
			out->timer = "persist";
	}
	if (first != UINT64_MAX && first > c->t->now_us)
		out->timer_ms = (uint32_t)((first - c->t->now_us) / TCP_MS);
}

/* From the sequence numbers, and how often they have come round. */
static void put_bytes(const struct sl_tcp_conn *c, struct sl_tcp_info *out)
{
	uint64_t una = (uint64_t)c->una_laps << 32 | c->snd_una,
	         rcv = (uint64_t)c->rcv_laps << 32 | c->rcv_nxt;
	uint32_t sent = c->snd_nxt - c->snd_una;

	out->bytes_retrans = c->bytes_retrans;
	if (c->snd_una == c->iss || c->irs == c->rcv_nxt) /* our SYN, or theirs, is still on its way */
		return;
	out->bytes_received = rcv - (uint32_t)(c->irs + 1) - c->fin_rcvd;
	if (fin_sent(c) && sent > 0)
		sent--;
	else if (fin_sent(c))
		una--; /* the FIN is acknowledged */
	out->bytes_acked = una - (uint32_t)(c->iss + 1);
	out->bytes_sent = out->bytes_acked + sent + c->bytes_retrans;
}

static void put_stat(const struct sl_tcp_conn *c, struct sl_tcp_info *out)
{
	const struct tcp_stat *st = &c->stat;
	uint64_t now_us = c->t->now_us;

	put_bytes(c, out);
	out->retransmits = c->retransmits;
	out->segs_out = st->segs_out;
	out->segs_in = st->segs_in;
	out->data_segs_out = st->data_segs_out;
	out->data_segs_in = st->data_segs_in;
	out->last_snd_ms = ms_ago(c->last_send_us, now_us);
	out->last_rcv_ms = ms_ago(c->last_recv_us, now_us);
	out->last_ack_ms = ms_ago(st->last_ack_us, now_us);
	out->rcv_mss = st->rcv_mss;
	out->min_rtt_us = tcp_min_rtt(c);
	out->reordering = u32_max(c->rack.reo_segs, TCP_DUPTHRESH);
	out->delivered = st->delivered;
	out->delivery_rate = st->delivery_rate;
	out->pacing_rate = tcp_pace_rate(c);
	out->sacked_segs = c->board.sacked_segs;
	if (c->mss != 0) {
		if (state_synchronized(c->state))
			out->unacked_segs = (c->snd_nxt - c->snd_una + tcp_smss(c) - 1) / tcp_smss(c);
		out->lost_segs = (c->board.lost_bytes + tcp_smss(c) - 1) / tcp_smss(c);
		out->retrans_segs = (c->board.rxt_bytes + tcp_smss(c) - 1) / tcp_smss(c);
	}
}

static void put_queues(const struct sl_tcp_conn *c, struct sl_tcp_info *out)
{
	out->unacked_bytes = tx_bytes(c);
	out->tx_queue_bytes = tx_bytes(c);
	if (state_synchronized(c->state) && seq_lt(c->snd_nxt, c->snd_end))
		out->not_sent_bytes = c->snd_end - c->snd_nxt;
	out->rx_queue_bytes = (uint32_t)sl_tcp_readable(c);
	out->ooo_bytes = c->ooo != NULL ? c->ooo->bytes : 0;
	out->rcv_space = tcp_rcv_wnd(c) + out->rx_queue_bytes;
	out->rcv_wnd = tcp_rcv_wnd(c);
	out->snd_wnd = c->snd_wnd;
	out->mem_bytes = tcp_conn_mem(c);
}

static void put_options(const struct sl_tcp_conn *c, struct sl_tcp_info *out)
{
	out->ts = c->ts_ok;
	out->sack = c->sack_ok;
	out->wscale = c->wscale_ok;
	out->snd_wscale = c->snd_shift;
	out->rcv_wscale = c->rcv_shift;
	out->mss = c->mss;
	out->adv_mss = c->adv_mss;
	out->pmtu = c->path_mss + (c->tuple.family == SL_AF_INET6 ? 60U : 40U);
}

void sl_tcp_get_info(const struct sl_tcp_conn *c, struct sl_tcp_info *out)
{
	memset(out, 0, sizeof(*out));
	out->id = sl_tcp_id(c);
	out->state = tcp_state_name(c->state);
	out->local = sl_tcp_local(c);
	out->remote = sl_tcp_remote(c);
	out->passive = c->passive;
	out->held = c->held;
	out->ca_state = ca_name(c->ca_state);
	out->snd_cwnd_bytes = c->cwnd;
	out->ssthresh_bytes = c->ssthresh;
	out->srtt_us = c->srtt_us;
	out->rttvar_us = c->rttvar_us;
	out->rto_us = (uint32_t)tcp_rto(c);
	out->ato_us = TCP_DELACK;
	out->backoff = c->rto_shift;
	out->nb_probes = c->nb_keep;
	put_stat(c, out);
	put_queues(c, out);
	put_options(c, out);
	put_timer(c, out);
}

void sl_tcp_get_stats(const struct sl_tcp *t, struct sl_tcp_stats *out)
{
	memset(out, 0, sizeof(*out));
	out->nb_conns = t->nb_conns;
	out->nb_time_wait = t->tw_nb;
	out->nb_orphans = t->nb_orphans;
	out->nb_half_open = t->syn.nb;
	out->nb_sources = t->sources.nb;
	out->cookies_sent = t->cookies.nb_sent;
	out->cookies_good = t->cookies.nb_good;
	out->cookies_bad = t->cookies.nb_bad;
	out->mem_bytes = t->mem_used;
	out->mem_max = t->cfg.max_total_bytes;
	out->conn_bytes = (uint32_t)tcp_conn_bytes(t);
	out->conn_mem_bytes = (uint64_t)t->nb_conn_slabs * TCP_CONN_SLAB * tcp_conn_bytes(t);
	out->nb_archived = t->archive.nb;
}
