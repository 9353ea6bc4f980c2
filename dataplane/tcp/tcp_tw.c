/*
 * TIME_WAIT without its connection: 48 bytes each, a fixed number of them; when all are taken the oldest
 * goes. They are kept by age, so the next to expire is always the first.
 */
#include <stdlib.h>

#include "tcp_priv.h"

#define TW_TICK_MAX 256 /* that a tick ends at most; packets are looked at before the others */

_Static_assert(sizeof(struct tcp_tw) == 48, "a TIME_WAIT block has grown");

static uint32_t *bucket_of(struct sl_tcp *t, uint64_t tag)
{
	return &t->tw_buckets[(uint32_t)tag & t->tw_mask];
}

int tcp_tw_init(struct sl_tcp *t)
{
	uint32_t n = t->cfg.max_time_wait, nb_buckets = 16;

	if (n == 0)
		return SL_OK;
	while (nb_buckets < n)
		nb_buckets *= 2;
	t->tw = calloc(n, sizeof(*t->tw));
	t->tw_buckets = calloc(nb_buckets, sizeof(*t->tw_buckets));
	if (t->tw == NULL || t->tw_buckets == NULL)
		return sl_fail(SL_E_NOMEM);
	t->tw_mask = nb_buckets - 1;
	return SL_OK;
}

void tcp_tw_fini(struct sl_tcp *t)
{
	free(t->tw);
	free(t->tw_buckets);
}

static void age_unlink(struct sl_tcp *t, struct tcp_tw *w)
{
	if (w->prev != 0)
		t->tw[w->prev - 1].next = w->next;
	else
		t->tw_oldest = w->next;
	if (w->next != 0)
		t->tw[w->next - 1].prev = w->prev;
	else
		t->tw_newest = w->prev;
}

static void age_append(struct sl_tcp *t, struct tcp_tw *w)
{
	uint32_t id = (uint32_t)(w - t->tw) + 1;

	w->next = 0;
	w->prev = t->tw_newest;
	if (t->tw_newest != 0)
		t->tw[t->tw_newest - 1].next = id;
	else
		t->tw_oldest = id;
	t->tw_newest = id;
}

void tcp_tw_del(struct sl_tcp *t, struct tcp_tw *w)
{
	uint32_t id = (uint32_t)(w - t->tw) + 1;
	uint32_t *p = bucket_of(t, w->tag);

	while (*p != id)
		p = &t->tw[*p - 1].hash_next;
	*p = w->hash_next;
	age_unlink(t, w);
	w->hash_next = t->tw_free;
	t->tw_free = id;
	t->tw_nb--;
}

static struct tcp_tw *tw_take(struct sl_tcp *t)
{
	struct tcp_tw *w;

	if (t->tw_nb == t->cfg.max_time_wait)
		tcp_tw_del(t, &t->tw[t->tw_oldest - 1]);
	t->tw_nb++;
	if (t->tw_free == 0)
		return &t->tw[t->tw_used++];
	w = &t->tw[t->tw_free - 1];
	t->tw_free = w->hash_next;
	return w;
}

static void tw_restart(struct sl_tcp *t, struct tcp_tw *w, uint64_t now_us)
{
	w->expires_ms = (uint32_t)((now_us + TCP_TIME_WAIT_SPAN) / TCP_MS);
}

void tcp_tw_add(struct sl_tcp *t, const struct sl_tcp_conn *c, uint64_t now_us)
{
	uint64_t tag = tcp_tuple_hash(t, &c->tuple);
	struct tcp_tw *w;
	uint32_t *bucket;

	if (t->cfg.max_time_wait == 0)
		return;
	w = tw_take(t);
	memset(w, 0, sizeof(*w));
	w->tag = tag;
	w->snd_nxt = c->snd_nxt;
	w->rcv_nxt = c->rcv_nxt;
	w->ts_ok = c->ts_ok;
	w->ts_recent = c->ts_recent;
	w->ts_offset = c->ts_offset;
	w->rcv_wnd_field = (uint16_t)u32_min(tcp_rcv_wnd(c) >> c->rcv_shift, UINT16_MAX);
	tw_restart(t, w, now_us);
	bucket = bucket_of(t, tag);
	w->hash_next = *bucket;
	*bucket = (uint32_t)(w - t->tw) + 1;
	age_append(t, w);
}

struct tcp_tw *tcp_tw_find(struct sl_tcp *t, uint64_t tag)
{
	uint32_t id;

	if (t->tw_nb == 0)
		return NULL;
	for (id = *bucket_of(t, tag); id != 0; id = t->tw[id - 1].hash_next) {
		if (t->tw[id - 1].tag == tag)
			return &t->tw[id - 1];
	}
	return NULL;
}

/* RFC 6191: the timestamp decides when both sides have them, else the sequence number. */
bool tcp_tw_may_reopen(const struct tcp_tw *w, const struct tcp_seg *s)
{
	const uint8_t kinds = RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG | RTE_TCP_FIN_FLAG | RTE_TCP_RST_FLAG;

	if ((s->flags & kinds) != RTE_TCP_SYN_FLAG)
		return false;
	if (w->ts_ok && s->opts.has_ts && s->opts.ts_val != w->ts_recent)
		return seq_lt(w->ts_recent, s->opts.ts_val);
	return seq_lt(w->rcv_nxt, s->seq);
}

bool tcp_tw_iss_good(const struct tcp_tw *w, uint32_t iss)
{
	return seq_lt(w->snd_nxt, iss);
}

void tcp_tw_input(struct sl_tcp *t, struct tcp_tw *w, const struct tcp_seg *s, uint64_t now_us)
{
	if (s->flags & RTE_TCP_RST_FLAG) /* RFC 1337 */
		return;
	/* Bare ACKs are not answered: two ends in TIME_WAIT that disagree would answer each other for ever.
	 */
	if (seg_len(s) == 0)
		return;
	if ((s->flags & RTE_TCP_FIN_FLAG) && s->seq + seg_len(s) == w->rcv_nxt) {
		tw_restart(t, w, now_us);
		age_unlink(t, w);
		age_append(t, w);
	}
	tcp_send_tw_ack(t, w, s, now_us);
}

uint64_t tcp_tw_tick(struct sl_tcp *t, uint64_t now_us)
{
	uint32_t now_ms = (uint32_t)(now_us / TCP_MS), budget = TW_TICK_MAX;

	while (t->tw_oldest != 0) {
		struct tcp_tw *w = &t->tw[t->tw_oldest - 1];
		int32_t left = (int32_t)(w->expires_ms - now_ms);

		if (left > 0)
			return (now_us / TCP_MS + (uint64_t)left) * TCP_MS;
		if (budget-- == 0)
			return now_us;
		tcp_tw_del(t, w);
	}
	return UINT64_MAX;
}
