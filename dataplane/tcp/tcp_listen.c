/* Listeners, and the passive open: a SYN makes a half-open entry or a cookie, the ACK to it a connection. */
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
	l->next = *bucket;
	*bucket = l;
	*out = l;
	return SL_OK;
}

void sl_tcp_listener_caps(struct sl_tcp_listener *l, uint32_t max_conns, uint64_t max_bytes)
{
	l->max_conns = max_conns;
	l->max_bytes = max_bytes;
}

/* Its connections live on, and are still counted in it: the last one frees it. */
void sl_tcp_unlisten(struct sl_tcp *t, struct sl_tcp_listener *l)
{
	struct sl_tcp_listener **p = &t->listeners[l->local.port % TCP_LISTEN_BUCKETS];

	tcp_syn_drop_listener(t, l);
	while (*p != l)
		p = &(*p)->next;
	*p = l->next;
	l->gone = true;
	l->next = t->listeners_gone;
	t->listeners_gone = l;
	tcp_listener_put(t, l);
}

void tcp_listener_put(struct sl_tcp *t, struct sl_tcp_listener *l)
{
	struct sl_tcp_listener **p = &t->listeners_gone;

	if (!l->gone || l->nb_conns > 0)
		return;
	while (*p != l)
		p = &(*p)->next;
	*p = l->next;
	free(l);
}

static void free_list(struct sl_tcp_listener *l)
{
	while (l != NULL) {
		struct sl_tcp_listener *next = l->next;

		free(l);
		l = next;
	}
}

void tcp_listeners_fini(struct sl_tcp *t)
{
	for (uint32_t i = 0; i < TCP_LISTEN_BUCKETS; i++)
		free_list(t->listeners[i]);
	free_list(t->listeners_gone);
}

/* RFC 9293, 3.7.1 */
static uint16_t default_mss(const struct tcp_tuple *u)
{
	return u->family == SL_AF_INET6 ? TCP_MSS_DEFAULT_V6 : TCP_MSS_DEFAULT;
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
	c->wscale_ok = o->has_wscale;
	c->snd_shift = o->wscale;
	if (!o->has_wscale)
		c->rcv_shift = 0;
	c->sack_ok = o->has_sack_permitted;
	c->ts_ok = o->has_ts;
	c->ts_recent = o->ts_val;
	c->last_recv_us = now_us;
	c->peer_mss = o->has_mss ? o->mss : default_mss(&c->tuple);
	tcp_conn_set_mss(c);
	/* RFC 3168, 6.1.1: ECE and CWR ask for ECN, ECE alone answers. */
	if (s->flags & RTE_TCP_ACK_FLAG)
		c->ecn_ok = c->ecn_asked && (s->flags & TCP_ECN_FLAGS) == RTE_TCP_ECE_FLAG;
	else
		c->ecn_ok = c->t->cfg.ecn && (s->flags & TCP_ECN_FLAGS) == TCP_ECN_FLAGS;
}

/* What the peer said in its SYN, whether an entry or a cookie has kept it. */
struct opening {
	struct tcp_seg syn;
	uint32_t iss, source;
	uint32_t rtt_us; /* since our SYN-ACK; 0: not known */
};

/*
 * The connection, as it was when the SYN-ACK had been sent: the segment that finishes the handshake goes
 * through SYN-RECEIVED of RFC 9293 like any other. NULL: no place; the peer is told.
 */
static struct sl_tcp_conn *conn_of(struct sl_tcp *t, struct sl_tcp_listener *l, const struct opening *o,
                                   const struct tcp_seg *s, uint64_t now_us)
{
	struct sl_net_path path;
	struct sl_tcp_conn *c = NULL;
	uint16_t mss;
	int err = tcp_path_mss(t, &s->tuple, &path, &mss);

	if (err == SL_OK)
		err = tcp_caps_admit(t, l, o->source);
	if (err == SL_OK) {
		c = tcp_conn_new(t, &s->tuple);
		err = c != NULL ? SL_OK : sl_fail(SL_E_NOMEM);
	}
	if (err < 0 || c == NULL) {
		tcp_send_rst_closed(t, s, now_us);
		return NULL;
	}
	tcp_caps_enter(c, l, o->source);
	c->state = TCP_SYN_RCVD;
	c->passive = true;
	tcp_conn_set_path(c, &path);
	c->path_mss = mss;
	c->adv_mss = mss;
	tcp_take_syn_options(c, &o->syn, now_us);
	c->iss = o->iss;
	c->snd_una = o->iss;
	tcp_sndq_start(c);
	c->snd_nxt = o->iss + 1;
	c->recover = o->iss;
	c->rtt_timing = o->rtt_us != 0;
	c->rtt_us = now_us - o->rtt_us;
	TCP_TRACE(c, OPEN, 1, c->mss);
	tcp_rtx_timer_update(c, false, now_us); /* in case that the segment says less than it seems */
	return c;
}

static struct sl_tcp_conn *from_entry(struct sl_tcp *t, struct tcp_syn *e, const struct tcp_seg *s,
                                      uint64_t now_us)
{
	struct sl_tcp_listener *l = e->listener;
	struct opening o = {.iss = e->iss};
	struct sl_tcp_conn *c;

	o.source = tcp_source_get(t, &s->tuple);
	o.syn.seq = e->irs;
	o.syn.wnd = e->wnd;
	o.syn.flags = RTE_TCP_SYN_FLAG | (e->ecn ? TCP_ECN_FLAGS : 0);
	o.syn.opts.has_mss = true;
	o.syn.opts.mss = e->peer_mss;
	o.syn.opts.has_wscale = e->has_wscale;
	o.syn.opts.wscale = e->wscale;
	o.syn.opts.has_sack_permitted = e->sack;
	o.syn.opts.has_ts = e->ts;
	o.syn.opts.ts_val = e->ts_recent;
	if (!e->again)
		o.rtt_us = u32_max((uint32_t)now_us - e->last_us, 1);
	c = conn_of(t, l, &o, s, now_us);
	if (c != NULL)
		c->syn_lost = e->retries > 0;
	tcp_syn_del(t, e);
	return c;
}

/* What an ACK to a listener says when it is one to a cookie. 0, or why it is none. */
static int cookie_of(struct sl_tcp *t, const struct sl_tcp_listener *l, const struct tcp_seg *s,
                     uint64_t now_us, struct tcp_cookie *k)
{
	if (l->cookies_until_us < now_us)
		return SL_E_TCP_NO_CONN;
	return tcp_cookie_check(t, s, now_us, k) ? SL_OK : SL_E_TCP_COOKIE;
}

static struct sl_tcp_conn *from_cookie(struct sl_tcp *t, struct sl_tcp_listener *l, const struct tcp_seg *s,
                                       const struct tcp_cookie *k, uint64_t now_us)
{
	struct opening o = {.iss = s->ack - 1};
	struct sl_tcp_conn *c;

	o.source = tcp_source_get(t, &s->tuple);
	if (o.source == 0) {
		(void)sl_fail(SL_E_TCP_CONN_LIMIT);
		tcp_send_rst_closed(t, s, now_us);
		return NULL;
	}
	o.syn.seq = s->seq - 1;
	o.syn.wnd = s->wnd;
	o.syn.flags = RTE_TCP_SYN_FLAG | (k->ecn ? TCP_ECN_FLAGS : 0);
	o.syn.opts.has_mss = true;
	o.syn.opts.mss = k->mss;
	o.syn.opts.has_wscale = k->has_wscale;
	o.syn.opts.wscale = k->wscale;
	o.syn.opts.has_sack_permitted = k->sack;
	o.syn.opts.has_ts = s->opts.has_ts;
	o.syn.opts.ts_val = s->opts.ts_val;
	c = conn_of(t, l, &o, s, now_us);
	tcp_source_put(t, o.source);
	return c;
}

/* One SYN-ACK, nothing kept. A cookie has no place for an ISN above the one before (RFC 6191): then the peer
 * tries again. The TIME_WAIT that knows of it stays, as this may not be the last SYN, or its sender a liar.
 */
static void answer_by_cookie(struct sl_tcp *t, struct sl_tcp_listener *l, const struct tcp_seg *s,
                             uint16_t mss, const struct tcp_tw *w, uint64_t now_us)
{
	const struct tcp_opts *o = &s->opts;
	struct tcp_cookie k = {.mss = o->has_mss ? o->mss : default_mss(&s->tuple),
	                       .wscale = o->wscale,
	                       .has_wscale = o->has_wscale,
	                       .sack = o->has_sack_permitted,
	                       .ecn = tcp_syn_wants_ecn(t, s)};
	struct tcp_synack a = {.irs = s->seq};
	uint32_t ts_val = tcp_ts_now(tcp_ts_offset(t, &s->tuple), now_us);

	if (t->cfg.syn_cookies == SL_TCP_COOKIES_NEVER ||
	    !tcp_cookie_make(t, &s->tuple, s->seq, &k, o->has_ts, now_us, &a.iss, &ts_val) ||
	    (w != NULL && !tcp_tw_iss_good(w, a.iss))) {
		(void)sl_fail(SL_E_TCP_BACKLOG);
		return;
	}
	l->cookies_until_us = now_us + 2 * TCP_COOKIE_SPAN;
	a.ecn = o->has_ts && k.ecn;
	a.opts = (struct tcp_syn_opts){.mss = mss,
	                               .has_wscale = o->has_ts && k.has_wscale,
	                               .wscale = tcp_rcv_shift(t),
	                               .sack = o->has_ts && k.sack,
	                               .ts = o->has_ts,
	                               .ts_val = ts_val,
	                               .ts_ecr = o->ts_val};
	tcp_synack_send(t, &s->tuple, &a, now_us);
}

/* The source may have another half-open connection here. */
static bool source_has_room(struct sl_tcp *t, uint32_t source)
{
	const struct tcp_source *x = tcp_source_at(t, source);

	return x == NULL || x->nb_half_open < t->cfg.max_half_open_per_source;
}

static struct tcp_syn *new_entry(struct sl_tcp *t, struct sl_tcp_listener *l, const struct tcp_seg *s,
                                 uint64_t now_us)
{
	uint32_t source;
	struct tcp_syn *e;

	if (t->cfg.syn_cookies == SL_TCP_COOKIES_ALWAYS || l->nb_half_open >= l->backlog ||
	    !source_has_room(t, tcp_source_find(t, &s->tuple)))
		return NULL;
	source = tcp_source_get(t, &s->tuple);
	if (source == 0)
		return NULL;
	e = tcp_syn_new(t, l, &s->tuple, source, now_us);
	if (e == NULL)
		tcp_source_put(t, source);
	return e;
}

/* w: the TIME_WAIT in whose place it comes, or NULL. It stays when the SYN is refused. */
static void open_passive(struct sl_tcp *t, struct sl_tcp_listener *l, const struct tcp_seg *s,
                         struct tcp_tw *w, uint64_t now_us)
{
	const struct tcp_opts *o = &s->opts;
	struct sl_net_path path;
	struct tcp_syn *e;
	uint16_t mss;

	if (tcp_path_mss(t, &s->tuple, &path, &mss) < 0 ||
	    tcp_caps_admit(t, l, tcp_source_find(t, &s->tuple)) < 0)
		return;
	e = new_entry(t, l, s, now_us);
	if (e == NULL) {
		answer_by_cookie(t, l, s, mss, w, now_us);
		return;
	}
	e->irs = s->seq;
	e->iss = tcp_isn(t, &s->tuple, now_us);
	if (w != NULL) {
		if (!tcp_tw_iss_good(w, e->iss))
			e->iss = w->snd_nxt + UINT16_MAX + 1;
		tcp_tw_del(t, w);
	}
	e->wnd = (uint16_t)s->wnd;
	e->peer_mss = o->has_mss ? o->mss : default_mss(&s->tuple);
	e->has_wscale = o->has_wscale;
	e->wscale = o->wscale;
	e->sack = o->has_sack_permitted;
	e->ts = o->has_ts;
	e->ts_recent = o->ts_val;
	e->ecn = tcp_syn_wants_ecn(t, s);
	tcp_syn_answer(t, e, now_us);
}

/* RFC 9293, 3.10.7.2. Data and urgent pointer of a SYN are ignored: the peer sends data again. */
static struct sl_tcp_conn *listen_input(struct sl_tcp *t, struct sl_tcp_listener *l, const struct tcp_seg *s,
                                        uint64_t now_us)
{
	uint8_t kind = s->flags & (RTE_TCP_RST_FLAG | RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG);
	struct tcp_cookie k;
	int err = SL_E_TCP_NO_CONN;

	if (kind == RTE_TCP_ACK_FLAG) {
		err = cookie_of(t, l, s, now_us, &k);
		if (err == SL_OK)
			return from_cookie(t, l, s, &k, now_us);
	}
	if (kind == RTE_TCP_ACK_FLAG || kind == (RTE_TCP_ACK_FLAG | RTE_TCP_SYN_FLAG)) {
		(void)sl_fail(err);
		tcp_send_rst_closed(t, s, now_us);
	}
	if (kind == RTE_TCP_SYN_FLAG && !(s->flags & RTE_TCP_FIN_FLAG))
		open_passive(t, l, s, NULL, now_us);
	return NULL;
}

/*
 * It goes when a half-open entry or a connection is in its place. As it stays behind a cookie, the ACK to
 * that comes here: it is told from what is left of the old connection by a number that was never sent there.
 */
static struct sl_tcp_conn *time_wait_input(struct sl_tcp *t, struct tcp_tw *w, struct sl_tcp_listener *l,
                                           const struct tcp_seg *s, uint64_t now_us)
{
	uint8_t kind = s->flags & (RTE_TCP_RST_FLAG | RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG);
	struct sl_tcp_conn *c = NULL;
	struct tcp_cookie k;

	if (l != NULL && tcp_tw_may_reopen(w, s)) {
		open_passive(t, l, s, w, now_us);
	} else if (l != NULL && kind == RTE_TCP_ACK_FLAG && tcp_tw_iss_good(w, s->ack - 1) &&
	           cookie_of(t, l, s, now_us, &k) == SL_OK) {
		c = from_cookie(t, l, s, &k, now_us);
		if (c != NULL)
			tcp_tw_del(t, w);
	} else {
		tcp_tw_input(t, w, s, now_us);
	}
	return c;
}

struct sl_tcp_conn *tcp_passive_input(struct sl_tcp *t, const struct tcp_seg *s, uint64_t hash,
                                      uint64_t now_us)
{
	struct tcp_syn *e = tcp_syn_find(t, &s->tuple, hash);
	struct sl_tcp_listener *l;
	struct tcp_tw *w;

	if (e != NULL)
		return tcp_syn_input(t, e, s, now_us) ? from_entry(t, e, s, now_us) : NULL;
	l = tcp_listener_find(t, &s->tuple);
	w = tcp_tw_find(t, hash);
	if (w != NULL)
		return time_wait_input(t, w, l, s, now_us);
	if (l != NULL)
		return listen_input(t, l, s, now_us);
	(void)sl_fail(SL_E_TCP_NO_LISTENER);
	tcp_send_rst_closed(t, s, now_us);
	return NULL;
}
