/* Listeners and the passive open up to the SYN-ACK. */
#include <stdlib.h>

#include "tcp_priv.h"

static bool listener_matches(const struct sl_tcp_listener *l, const struct tcp_tuple *u)
{
	if (l->local.port != u->lport)
		return false;
	return l->local.addr.family == SL_AF_NONE ||
	       (l->local.addr.family == u->family &&
	        memcmp(l->local.addr.b, u->laddr, sizeof(u->laddr)) == 0);
}

/* One with the address goes before one for any address. */
struct sl_tcp_listener *tcp_listener_find(const struct sl_tcp *t, const struct tcp_tuple *u)
{
	struct sl_tcp_listener *any = NULL;

	for (struct sl_tcp_listener *l = t->listeners[u->lport % TCP_LISTEN_BUCKETS]; l != NULL;
	     l = l->next) {
		if (!listener_matches(l, u))
			continue;
		if (l->local.addr.family != SL_AF_NONE)
			return l;
		any = l;
	}
	return any;
}

bool tcp_port_listened(const struct sl_tcp *t, uint16_t port)
{
	const struct sl_tcp_listener *l = t->listeners[port % TCP_LISTEN_BUCKETS];

	while (l != NULL && l->local.port != port)
		l = l->next;
	return l != NULL;
}

int sl_tcp_listen(struct sl_tcp *t, const struct sl_endpoint *local, uint32_t backlog, void *user,
                  struct sl_tcp_listener **out)
{
	struct sl_tcp_listener **bucket = &t->listeners[local->port % TCP_LISTEN_BUCKETS];
	struct sl_tcp_listener *l;

	if (local->port == 0)
		return sl_fail(SL_E_INVAL);
	for (l = *bucket; l != NULL; l = l->next) {
		if (sl_endpoint_eq(&l->local, local))
			return sl_fail(SL_E_EXISTS);
	}
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return sl_fail(SL_E_NOMEM);
	l->local = *local;
	l->backlog = backlog != 0 ? backlog : TCP_BACKLOG_DEFAULT;
	l->user = user;
	TAILQ_INIT(&l->half_open);
	l->next = *bucket;
	*bucket = l;
	*out = l;
	return SL_OK;
}

void sl_tcp_unlisten(struct sl_tcp *t, struct sl_tcp_listener *l)
{
	struct sl_tcp_listener **p = &t->listeners[l->local.port % TCP_LISTEN_BUCKETS];
	struct sl_tcp_conn *c;

	while ((c = TAILQ_FIRST(&l->half_open)) != NULL) {
		tcp_send_rst_conn(c, t->now_us);
		tcp_conn_finish(c, SL_E_TCP_ABORTED);
	}
	while (*p != l)
		p = &(*p)->next;
	*p = l->next;
	free(l);
}

void tcp_listeners_fini(struct sl_tcp *t)
{
	for (uint32_t i = 0; i < TCP_LISTEN_BUCKETS; i++) {
		while (t->listeners[i] != NULL) {
			struct sl_tcp_listener *l = t->listeners[i];

			t->listeners[i] = l->next;
			free(l);
		}
	}
}

/* What both opens learn from the peer's SYN: sequence, window (never scaled there), options. */
void tcp_take_syn_options(struct sl_tcp_conn *c, const struct tcp_seg *s, uint64_t now_us)
{
	const struct tcp_opts *o = &s->opts;

	c->irs = s->seq;
	c->rcv_nxt = s->seq + 1;
	c->rcv_adv = c->rcv_nxt + u32_min(c->t->cfg.rx_buf_bytes, UINT16_MAX);
	c->last_ack_sent = c->rcv_nxt;
	c->snd_wnd = s->wnd;
	c->max_snd_wnd = s->wnd;
	c->snd_wl1 = s->seq;
	c->snd_wl2 = s->ack;
	c->wscale_ok = o->has_wscale;
	c->snd_shift = o->wscale;
	if (!o->has_wscale)
		c->rcv_shift = 0;
	c->sack_ok = o->has_sack_permitted;
	c->ts_ok = o->has_ts;
	c->ts_recent = o->ts_val;
	c->ts_recent_us = now_us;
	c->peer_mss = o->has_mss ? o->mss : TCP_MSS_DEFAULT;
	tcp_conn_set_mss(c);
	/* RFC 3168, 6.1.1: ECE and CWR ask for ECN, ECE alone answers. */
	if (s->flags & RTE_TCP_ACK_FLAG)
		c->ecn_ok = c->ecn_asked && (s->flags & TCP_ECN_FLAGS) == RTE_TCP_ECE_FLAG;
	else
		c->ecn_ok = c->t->cfg.ecn && (s->flags & TCP_ECN_FLAGS) == TCP_ECN_FLAGS;
}

/* Makes room in the backlog, or among all connections, at the expense of the oldest half-open one. */
static int make_room(struct sl_tcp *t, struct sl_tcp_listener *l)
{
	bool full = t->nb_conns >= t->cfg.max_conns;

	if (l->nb_half_open < l->backlog && !full)
		return SL_OK;
	if (l->nb_half_open == 0)
		return sl_fail(SL_E_TCP_CONN_LIMIT);
	tcp_conn_finish(TAILQ_FIRST(&l->half_open), SL_E_TCP_BACKLOG);
	tcp_conn_reap(t);
	return SL_OK;
}

static void open_passive(struct sl_tcp *t, struct sl_tcp_listener *l, const struct tcp_seg *s,
                         const uint32_t *iss_floor, uint64_t now_us)
{
	struct sl_tcp_conn *c;
	struct sl_net_path path;
	uint16_t mss;

	if (tcp_path_mss(t, &s->tuple, &path, &mss) < 0 || make_room(t, l) != SL_OK)
		return;
	c = tcp_conn_new(t, &s->tuple);
	if (c == NULL) {
		(void)sl_fail(SL_E_NOMEM);
		return;
	}
	c->state = TCP_SYN_RCVD;
	c->passive = true;
	c->path_mss = mss;
	c->adv_mss = mss;
	tcp_conn_set_path(c, &path);
	tcp_take_syn_options(c, s, now_us);
	c->iss = tcp_isn(t, &s->tuple, now_us);
	if (iss_floor != NULL && !seq_lt(*iss_floor, c->iss))
		c->iss = *iss_floor + UINT16_MAX + 1;
	c->snd_una = c->iss;
	c->snd_nxt = c->iss;
	c->recover = c->iss;
	c->listener = l;
	c->on_half_open = true;
	TAILQ_INSERT_TAIL(&l->half_open, c, half_open);
	l->nb_half_open++;
	TCP_TRACE(c, OPEN, 1, c->mss);
	tcp_output(c, now_us);
}

/* RFC 9293, 3.10.7.2. Data and urgent pointer of a SYN are ignored: the peer sends data again. */
void tcp_listen_input(struct sl_tcp *t, struct sl_tcp_listener *l, const struct tcp_seg *s,
                      const uint32_t *iss_floor, uint64_t now_us)
{
	if (s->flags & RTE_TCP_RST_FLAG)
		return;
	if (s->flags & RTE_TCP_ACK_FLAG) {
		tcp_send_rst_for(t, s, now_us);
		return;
	}
	if ((s->flags & (RTE_TCP_SYN_FLAG | RTE_TCP_FIN_FLAG)) != RTE_TCP_SYN_FLAG)
		return;
	open_passive(t, l, s, iss_floor, now_us);
}
