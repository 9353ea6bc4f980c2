/* What the user calls: the stack itself, active opens, and the two streams of a connection. */
#include <stdlib.h>

#include "sl_secret.h"
#include "sl_siphash.h"
#include "tcp_priv.h"

static uint32_t buf_size(uint32_t asked)
{
	if (asked == 0)
		return TCP_BUF_DEFAULT;
	return u32_max(u32_min(asked, TCP_BUF_MAX), TCP_BUF_MIN);
}

/* A size that is given without a maximum is one. */
static uint32_t buf_max(uint32_t asked, uint32_t max, uint32_t grown)
{
	if (max == 0)
		max = asked != 0 ? asked : grown;
	return u32_max(buf_size(max), buf_size(asked));
}

static int init_memory(struct sl_tcp *t)
{
	uint32_t room = rte_pktmbuf_data_room_size(t->cfg.pool);
	uint64_t total = t->cfg.max_total_bytes != 0 ? t->cfg.max_total_bytes : TCP_TOTAL_DEFAULT;
	int err;

	if (room < RTE_PKTMBUF_HEADROOM + TCP_HDR_MAX + TCP_MSS_MIN)
		return sl_fail(SL_E_INVAL);
	t->seg_bytes_max = room - RTE_PKTMBUF_HEADROOM;
	t->cfg.max_total_bytes = total;
	t->nb_own_max = t->cfg.pool->size / 2; /* the other half is for segments on their way */
	tcp_pool_init(&t->pieces, sizeof(struct tcp_piece), TCP_POOL_SLAB);
	tcp_pool_init(&t->sents, sizeof(struct tcp_sent), TCP_POOL_SLAB);
	tcp_pool_init(&t->posts, sizeof(struct tcp_posts), TCP_RUNS_SLAB);
	tcp_pool_init(&t->rpieces, sizeof(struct tcp_rpiece), TCP_POOL_SLAB);
	tcp_pool_init(&t->ooo, sizeof(struct tcp_ooo), TCP_POOL_SLAB);
	tcp_pool_init(&t->runs, TCP_OOO_RUNS * sizeof(struct tcp_run), TCP_RUNS_SLAB);
	err = tcp_table_init(t);
	if (err == SL_OK)
		err = tcp_conn_slabs_init(t);
	if (err == SL_OK)
		err = tcp_archive_init(t);
	if (err == SL_OK)
		err = tcp_syn_init(t);
	if (err == SL_OK)
		err = tcp_sources_init(t);
	return err == SL_OK ? tcp_tw_init(t) : err;
}

static void init_counters(struct sl_tcp *t)
{
	/* Where the walk through the ports starts must not be guessed either. */
	for (uint32_t i = 0; i < TCP_PORT_COUNTERS; i++)
		t->port_counters[i] = (uint32_t)sl_siphash(t->key, &i, sizeof(i));
}

int sl_tcp_new(const struct sl_tcp_cfg *cfg, struct sl_tcp **out)
{
	struct sl_tcp *t;
	int err;

	if (cfg->pool == NULL || cfg->ops == NULL || cfg->ops->output == NULL || cfg->ops->accept == NULL ||
	    cfg->ops->route == NULL || cfg->max_conns == 0 || cfg->max_conns > TCP_CONNS_MAX ||
	    cfg->max_time_wait > TCP_CONNS_MAX)
		return sl_fail(SL_E_INVAL);
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return sl_fail(SL_E_NOMEM);
	t->cfg = *cfg;
	t->cfg.rx_buf_bytes = buf_size(cfg->rx_buf_bytes);
	t->cfg.tx_buf_bytes = buf_size(cfg->tx_buf_bytes);
	t->cfg.rx_buf_max = buf_max(cfg->rx_buf_bytes, cfg->rx_buf_max, TCP_RX_BUF_GROWN);
	t->cfg.tx_buf_max = buf_max(cfg->tx_buf_bytes, cfg->tx_buf_max, TCP_TX_BUF_GROWN);
	if (cfg->max_time_wait == 0)
		t->cfg.max_time_wait = cfg->max_conns;
	if (cfg->keepalive_intvl_s == 0)
		t->cfg.keepalive_intvl_s = TCP_KEEP_INTVL_S;
	if (cfg->keepalive_probes == 0)
		t->cfg.keepalive_probes = TCP_KEEP_PROBES;
	if (cfg->max_half_open == 0)
		t->cfg.max_half_open = TCP_HALF_OPEN_DEFAULT;
	t->cfg.max_half_open = u32_min(t->cfg.max_half_open, TCP_HALF_OPEN_MAX);
	if (cfg->max_half_open_per_source == 0)
		t->cfg.max_half_open_per_source = TCP_HALF_OPEN_SOURCE;
	memcpy(t->key, cfg->secret, sizeof(t->key));
	sl_cleanse(t->cfg.secret, sizeof(t->cfg.secret));
	TAILQ_INIT(&t->all);
	TAILQ_INIT(&t->free_conns);
	TAILQ_INIT(&t->starved);
	TAILQ_INIT(&t->dead);
	tcp_timers_init(t);
	init_counters(t);
	err = init_memory(t);
	if (err < 0) {
		sl_tcp_free(t);
		return err;
	}
	*out = t;
	return SL_OK;
}

static void free_queues(struct tcp_conn_list *list)
{
	struct sl_tcp_conn *c;

	TAILQ_FOREACH(c, list, list)
	{
		tcp_sndq_clear(c);
		tcp_rcvq_clear(c);
	}
}

void sl_tcp_free(struct sl_tcp *t)
{
	if (t == NULL)
		return;
	free_queues(&t->all);
	free_queues(&t->dead);
	tcp_listeners_fini(t);
	tcp_pool_fini(&t->pieces);
	tcp_pool_fini(&t->sents);
	tcp_pool_fini(&t->posts);
	tcp_pool_fini(&t->rpieces);
	tcp_pool_fini(&t->ooo);
	tcp_pool_fini(&t->runs);
	tcp_conn_slabs_fini(t);
	tcp_archive_fini(t);
	tcp_syn_fini(t);
	tcp_sources_fini(t);
	tcp_tw_fini(t);
	tcp_table_fini(t);
	sl_cleanse(t->key, sizeof(t->key));
	free(t);
}

int sl_tcp_connect(struct sl_tcp *t, const struct sl_endpoint *remote, void *user, uint64_t now_us,
                   struct sl_tcp_conn **out)
{
	struct tcp_tuple u = {.rport = remote->port, .family = remote->addr.family};
	struct sl_tcp_conn *c;
	struct sl_net_path path;
	uint16_t mss;
	int err;

	tcp_touch(t, now_us);
	if (remote->port == 0)
		return sl_fail(SL_E_INVAL);
	if (t->nb_conns >= t->cfg.max_conns)
		return sl_fail(SL_E_TCP_CONN_LIMIT);
	memcpy(u.raddr, remote->addr.b, sizeof(u.raddr));
	err = tcp_path_mss(t, &u, &path, &mss);
	if (err < 0)
		return err;
	memcpy(u.laddr, path.src.b, sizeof(u.laddr));
	err = tcp_pick_port(t, &u);
	if (err < 0)
		return err;
	c = tcp_conn_new(t, &u);
	if (c == NULL)
		return sl_fail(SL_E_NOMEM);
	c->held = true;
	c->user = user;
	c->state = TCP_SYN_SENT;
	c->path_mss = mss;
	c->adv_mss = mss;
	tcp_conn_set_path(c, &path);
	c->peer_mss = TCP_MSS_DEFAULT;
	tcp_conn_set_mss(c);
	c->iss = tcp_isn(t, &u, now_us);
	c->snd_una = c->iss;
	tcp_sndq_start(c);
	c->snd_nxt = c->iss;
	c->syn_due = true;
	c->recover = c->iss;
	TCP_TRACE(c, OPEN, 0, c->mss);
	tcp_conn_want_out(c);
	*out = c;
	return SL_OK;
}

void sl_tcp_set_user(struct sl_tcp_conn *c, void *user)
{
	c->user = user;
}

uint32_t sl_tcp_peek(struct sl_tcp_conn *c, struct sl_span *v, uint32_t nb)
{
	uint32_t n = 0;

	for (const struct tcp_rpiece *p = c->rcvq.list.first; p != NULL && n < nb; p = p->next)
		v[n++] = sl_span(rte_pktmbuf_mtod_offset(p->m, const uint8_t *, p->off), p->len);
	return n;
}

uint32_t sl_tcp_peek_pieces(struct sl_tcp_conn *c, struct sl_tcp_piece *v, uint32_t nb)
{
	uint32_t n = 0;

	for (const struct tcp_rpiece *p = c->rcvq.list.first; p != NULL && n < nb; p = p->next)
		v[n++] = (struct sl_tcp_piece){p->m, p->off, p->len};
	return n;
}

size_t sl_tcp_readable(const struct sl_tcp_conn *c)
{
	return c->rcvq.bytes;
}

void sl_tcp_consume(struct sl_tcp_conn *c, size_t n)
{
	uint32_t bytes = n < c->rcvq.bytes ? (uint32_t)n : c->rcvq.bytes;

	tcp_rcvq_drop(c, bytes);
	tcp_tune_consumed(c);
	tcp_window_opened(c);
}

bool sl_tcp_eof(const struct sl_tcp_conn *c)
{
	return c->fin_rcvd && c->rcvq.bytes == 0;
}

void sl_tcp_shutdown(struct sl_tcp_conn *c)
{
	if (!tcp_can_write(c))
		return;
	TCP_TRACE(c, SHUTDOWN, c->snd_end - c->snd_nxt, c->snd_nxt - c->snd_una);
	c->fin_queued = true;
	c->want_write = false;
	tcp_conn_want_out(c);
}

void sl_tcp_release(struct sl_tcp_conn *c)
{
	struct sl_tcp *t = c->t;
	bool unread = sl_tcp_readable(c) > 0;

	TCP_TRACE(c, RELEASE, sl_tcp_readable(c), tx_bytes(c));
	c->held = false;
	if (c->state == TCP_CLOSED || c->state == TCP_TIME_WAIT) {
		tcp_conn_let_go(c);
	} else if (c->state == TCP_SYN_SENT) {
		tcp_conn_finish(c, SL_OK);
	} else if (unread) {
		tcp_send_rst_conn(c, t->now_us);
		tcp_conn_finish(c, SL_E_TCP_ABORTED);
	} else {
		sl_tcp_shutdown(c);
		tcp_conn_let_go(c);
		c->orphan_until_us = t->now_us + TCP_ORPHAN_MAX;
		t->nb_orphans++;
		tcp_orphan_restart(c, t->now_us);
	}
}

void sl_tcp_abort(struct sl_tcp_conn *c, uint64_t now_us)
{
	TCP_TRACE(c, ABORT, sl_tcp_readable(c), tx_bytes(c));
	c->held = false;
	if (c->state == TCP_CLOSED || c->state == TCP_TIME_WAIT) {
		tcp_conn_let_go(c);
		return;
	}
	if (c->state != TCP_SYN_SENT)
		tcp_send_rst_conn(c, now_us);
	tcp_conn_finish(c, SL_E_TCP_ABORTED);
}

int sl_tcp_error(const struct sl_tcp_conn *c)
{
	return c->err;
}

struct sl_endpoint sl_tcp_local(const struct sl_tcp_conn *c)
{
	return (struct sl_endpoint){tcp_addr(c->tuple.laddr, c->tuple.family), c->tuple.lport};
}

struct sl_endpoint sl_tcp_remote(const struct sl_tcp_conn *c)
{
	return (struct sl_endpoint){tcp_addr(c->tuple.raddr, c->tuple.family), c->tuple.rport};
}

uint32_t sl_tcp_nb_conns(const struct sl_tcp *t)
{
	return t->nb_conns;
}

void sl_tcp_prefetch(const struct sl_tcp_conn *c)
{
	tcp_fetch_out(c);
}
