/*
 * Half-open connections (SYN-RECEIVED of a passive open): entries of a table of fixed size. A SYN-ACK is sent
 * for each SYN, and again by timer a few times; how often depends on how full the backlog is, since an
 * address that does not answer may be a victim's. Entries wait for their timer in one queue for each number
 * of retries, in order by themselves.
 */
#include <stdlib.h>

#include "tcp_priv.h"

int tcp_syn_init(struct sl_tcp *t)
{
	struct tcp_syn_cache *sc = &t->syn;
	uint32_t nb_buckets = 16;

	sc->max = t->cfg.max_half_open;
	while (nb_buckets < sc->max)
		nb_buckets *= 2;
	sc->mask = nb_buckets - 1;
	sc->e = calloc(sc->max, sizeof(*sc->e));
	sc->buckets = calloc(nb_buckets, sizeof(*sc->buckets));
	return sc->e != NULL && sc->buckets != NULL ? SL_OK : sl_fail(SL_E_NOMEM);
}

void tcp_syn_fini(struct sl_tcp *t)
{
	free(t->syn.e);
	free(t->syn.buckets);
}

static uint32_t id_of(const struct sl_tcp *t, const struct tcp_syn *e)
{
	return (uint32_t)(e - t->syn.e) + 1;
}

static struct tcp_syn *at(const struct sl_tcp *t, uint32_t id)
{
	return id != 0 ? &t->syn.e[id - 1] : NULL;
}

struct tcp_syn *tcp_syn_find(const struct sl_tcp *t, const struct tcp_tuple *u, uint64_t hash)
{
	struct tcp_syn *e;

	if (t->syn.nb == 0)
		return NULL;
	e = at(t, t->syn.buckets[(uint32_t)hash & t->syn.mask]);
	while (e != NULL && (e->hash != (uint32_t)hash || memcmp(&e->tuple, u, sizeof(*u)) != 0))
		e = at(t, e->hash_next);
	return e;
}

static void queue_append(struct sl_tcp *t, struct tcp_syn *e, uint64_t now_us)
{
	struct tcp_syn_queue *q = &t->syn.queue[e->retries];
	uint32_t id = id_of(t, e);

	e->due_ms = (uint32_t)((now_us + (TCP_RTO_INIT << e->retries)) / TCP_MS);
	e->next = 0;
	e->prev = q->last;
	if (q->last != 0)
		at(t, q->last)->next = id;
	else
		q->first = id;
	q->last = id;
}

static void queue_remove(struct sl_tcp *t, struct tcp_syn *e)
{
	struct tcp_syn_queue *q = &t->syn.queue[e->retries];

	if (e->prev != 0)
		at(t, e->prev)->next = e->next;
	else
		q->first = e->next;
	if (e->next != 0)
		at(t, e->next)->prev = e->prev;
	else
		q->last = e->prev;
}

struct tcp_syn *tcp_syn_new(struct sl_tcp *t, struct sl_tcp_listener *l, const struct tcp_tuple *u,
                            uint32_t source, uint64_t now_us)
{
	struct tcp_syn_cache *sc = &t->syn;
	uint32_t id, *bucket;
	struct tcp_syn *e;

	if (sc->free != 0) {
		id = sc->free;
		sc->free = at(t, id)->hash_next;
	} else if (sc->used < sc->max) {
		id = ++sc->used;
	} else {
		return NULL;
	}
	e = at(t, id);
	memset(e, 0, sizeof(*e));
	e->tuple = *u;
	e->listener = l;
	e->source = source;
	e->hash = (uint32_t)tcp_tuple_hash(t, u);
	bucket = &sc->buckets[e->hash & sc->mask];
	e->hash_next = *bucket;
	*bucket = id;
	queue_append(t, e, now_us);
	sc->nb++;
	l->nb_half_open++;
	tcp_source_at(t, source)->nb_half_open++;
	return e;
}

void tcp_syn_del(struct sl_tcp *t, struct tcp_syn *e)
{
	struct tcp_syn_cache *sc = &t->syn;
	uint32_t id = id_of(t, e), *p = &sc->buckets[e->hash & sc->mask];

	while (*p != id)
		p = &at(t, *p)->hash_next;
	*p = e->hash_next;
	queue_remove(t, e);
	e->listener->nb_half_open--;
	tcp_source_at(t, e->source)->nb_half_open--;
	tcp_source_put(t, e->source);
	e->listener = NULL;
	e->hash_next = sc->free;
	sc->free = id;
	sc->nb--;
}

void tcp_syn_drop_listener(struct sl_tcp *t, const struct sl_tcp_listener *l)
{
	for (uint32_t id = 1; id <= t->syn.used && l->nb_half_open > 0; id++) {
		struct tcp_syn *e = at(t, id);
		struct tcp_bare b = {.flags = RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG};

		if (e->listener != l)
			continue;
		b.seq = e->iss + 1;
		b.ack = e->irs + 1;
		tcp_send_bare(t, &e->tuple, &b, t->now_us);
		tcp_syn_del(t, e);
	}
}

void tcp_synack_send(struct sl_tcp *t, const struct tcp_tuple *u, const struct tcp_synack *a, uint64_t now_us)
{
	struct tcp_bare b = {.seq = a->iss,
	                     .ack = a->irs + 1,
	                     .flags = RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG | (a->ecn ? RTE_TCP_ECE_FLAG : 0),
	                     .wnd = (uint16_t)u32_min(t->cfg.rx_buf_bytes, UINT16_MAX)};

	b.nb_opts = (uint8_t)tcp_options_syn_put(&a->opts, b.opts);
	tcp_send_bare(t, u, &b, now_us);
}

void tcp_syn_answer(struct sl_tcp *t, struct tcp_syn *e, uint64_t now_us)
{
	struct tcp_synack a = {.iss = e->iss, .irs = e->irs, .ecn = e->ecn};
	struct sl_net_path path;
	uint16_t mss;

	if (tcp_path_mss(t, &e->tuple, &path, &mss) < 0)
		return;
	a.opts = (struct tcp_syn_opts){.mss = mss,
	                               .has_wscale = e->has_wscale,
	                               .wscale = tcp_rcv_shift(t),
	                               .sack = e->sack,
	                               .ts = e->ts,
	                               .ts_val = tcp_ts_now(tcp_ts_offset(t, &e->tuple), now_us),
	                               .ts_ecr = e->ts_recent};
	e->last_us = (uint32_t)now_us;
	tcp_synack_send(t, &e->tuple, &a, now_us);
}

/* RFC 5961: at most once a second. */
static void challenge(struct sl_tcp *t, struct tcp_syn *e, uint64_t now_us)
{
	struct tcp_bare b = {.seq = e->iss + 1,
	                     .ack = e->irs + 1,
	                     .flags = RTE_TCP_ACK_FLAG,
	                     .wnd = (uint16_t)u32_min(t->cfg.rx_buf_bytes, UINT16_MAX)};

	if (e->again && (uint32_t)now_us - e->last_us < TCP_CHALLENGE_SPAN)
		return;
	e->again = true;
	e->last_us = (uint32_t)now_us;
	if (e->has_wscale)
		b.wnd >>= tcp_rcv_shift(t);
	if (e->ts)
		b.nb_opts = (uint8_t)tcp_options_ts(tcp_ts_now(tcp_ts_offset(t, &e->tuple), now_us),
		                                    e->ts_recent, b.opts);
	tcp_send_bare(t, &e->tuple, &b, now_us);
}

static bool in_window(const struct sl_tcp *t, const struct tcp_syn *e, uint32_t seq)
{
	return seq - (e->irs + 1) < u32_min(t->cfg.rx_buf_bytes, UINT16_MAX);
}

/* The checks of RFC 9293, 3.10.7.4 up to the ACK field. True: this segment finishes the handshake. */
bool tcp_syn_input(struct sl_tcp *t, struct tcp_syn *e, const struct tcp_seg *s, uint64_t now_us)
{
	uint8_t kind = s->flags & (RTE_TCP_RST_FLAG | RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG);

	if (kind == RTE_TCP_SYN_FLAG && s->seq == e->irs) { /* our SYN-ACK was lost */
		e->again = true;
		tcp_syn_answer(t, e, now_us);
		return false;
	}
	if ((kind & RTE_TCP_RST_FLAG) && s->seq == e->irs + 1) {
		(void)sl_fail(SL_E_TCP_RESET);
		tcp_syn_del(t, e);
		return false;
	}
	if (kind & (RTE_TCP_RST_FLAG | RTE_TCP_SYN_FLAG)) {
		if (!(kind & RTE_TCP_RST_FLAG) || in_window(t, e, s->seq)) {
			(void)sl_fail(SL_E_TCP_RST_CHALLENGE);
			challenge(t, e, now_us);
		} else {
			(void)sl_fail(SL_E_TCP_SEQ);
		}
		return false;
	}
	if (kind != RTE_TCP_ACK_FLAG)
		return false;
	if (e->ts && (!s->opts.has_ts || seq_lt(s->opts.ts_val, e->ts_recent))) {
		(void)sl_fail(SL_E_TCP_PAWS);
		return false;
	}
	if (!in_window(t, e, s->seq)) {
		(void)sl_fail(SL_E_TCP_SEQ);
		challenge(t, e, now_us);
		return false;
	}
	if (s->ack != e->iss + 1) {
		(void)sl_fail(SL_E_TCP_ACK);
		tcp_send_rst_for(t, s, now_us);
		return false;
	}
	return true;
}

static void on_due(struct sl_tcp *t, struct tcp_syn *e, uint64_t now_us)
{
	uint8_t max = e->listener->nb_half_open > e->listener->backlog / 2 ? TCP_SYNACK_RETRIES_FULL
	                                                                   : TCP_SYNACK_RETRIES;

	if (e->retries >= max) {
		(void)sl_fail(SL_E_TCP_HALF_OPEN);
		tcp_syn_del(t, e);
		return;
	}
	queue_remove(t, e);
	e->retries++;
	queue_append(t, e, now_us);
	e->again = true;
	sl_count(SL_C_TCP_RETRANSMITS);
	tcp_syn_answer(t, e, now_us);
}

uint64_t tcp_syn_tick(struct sl_tcp *t, uint64_t now_us)
{
	uint32_t now_ms = (uint32_t)(now_us / TCP_MS), budget = TCP_SYN_TICK_MAX;
	uint64_t next = UINT64_MAX;

	for (uint32_t i = 0; t->syn.nb > 0 && i <= TCP_SYNACK_RETRIES; i++) {
		struct tcp_syn *e;

		while ((e = at(t, t->syn.queue[i].first)) != NULL) {
			int32_t left = (int32_t)(e->due_ms - now_ms);
			uint64_t when =
			        left > 0 ? (now_us / TCP_MS + (uint64_t)left) * TCP_MS : now_us + TCP_MS;

			if (left > 0 || budget == 0) {
				next = when < next ? when : next;
				break;
			}
			budget--;
			on_due(t, e, now_us);
		}
	}
	return next;
}
