/* Connections: made, found, ended, freed; the stack's own memory. */
#include <stdlib.h>

#include "sl_fault.h"
#include "tcp_priv.h"

struct sl_addr tcp_addr(const uint8_t b[16], uint8_t family)
{
	struct sl_addr a;

	memcpy(a.b, b, sizeof(a.b));
	a.family = family;
	return a;
}

/* Each call from outside starts here: the time it brings, and the graves of the call before. */
void tcp_touch(struct sl_tcp *t, uint64_t now_us)
{
	if (now_us > t->now_us)
		t->now_us = now_us;
	if (!t->busy) /* else from a callback, with a connection in hand */
		tcp_conn_reap(t);
}

size_t tcp_conn_bytes(const struct sl_tcp *t)
{
	(void)t;
	return (sizeof(struct sl_tcp_conn) + TCP_LINE - 1) / TCP_LINE * TCP_LINE;
}

static uint32_t slabs_max(const struct sl_tcp *t)
{
	return (t->cfg.max_conns + TCP_CONN_SLAB - 1) / TCP_CONN_SLAB;
}

int tcp_conn_slabs_init(struct sl_tcp *t)
{
	uint32_t nb = 1;

	while (nb < slabs_max(t) * TCP_CONN_SLAB)
		nb *= 2;
	t->out.mask = nb - 1;
	t->out.ring = calloc(nb, sizeof(struct sl_tcp_conn *));
	t->conn_slabs = calloc(slabs_max(t), sizeof(struct tcp_slab *));
	return t->conn_slabs != NULL && t->out.ring != NULL ? SL_OK : sl_fail(SL_E_NOMEM);
}

struct sl_tcp_conn *tcp_conn_at(const struct sl_tcp *t, uint32_t index)
{
	uint8_t *slab;

	if (index / TCP_CONN_SLAB >= t->nb_conn_slabs)
		return NULL;
	slab = (uint8_t *)t->conn_slabs[index / TCP_CONN_SLAB];
	return (struct sl_tcp_conn *)(void *)(slab + index % TCP_CONN_SLAB * tcp_conn_bytes(t));
}

bool tcp_conn_read(const struct sl_tcp *t, const struct sl_tcp *damaged, uint32_t index,
                   struct sl_tcp_conn *out)
{
	uint32_t at = index / TCP_CONN_SLAB, nb = 0;
	struct tcp_slab **slabs = NULL, *slab = NULL;

	if (!sl_fault_read(&nb, &damaged->nb_conn_slabs, sizeof(nb)) || at >= nb || at >= slabs_max(t) ||
	    !sl_fault_read(&slabs, &damaged->conn_slabs, sizeof(slabs)) ||
	    !sl_fault_read(&slab, slabs + at, sizeof(slab)))
		return false;
	return sl_fault_read(out, (const uint8_t *)slab + index % TCP_CONN_SLAB * tcp_conn_bytes(t),
	                     sizeof(*out));
}

static bool slab_grow(struct sl_tcp *t)
{
	size_t each = tcp_conn_bytes(t);
	struct tcp_slab *slab = aligned_alloc(TCP_LINE, TCP_CONN_SLAB * each);
	uint8_t *mem = (uint8_t *)slab;

	if (slab == NULL)
		return false;
	t->conn_slabs[t->nb_conn_slabs] = slab;
	for (uint32_t i = 0; i < TCP_CONN_SLAB; i++, mem += each) {
		struct sl_tcp_conn *c = (struct sl_tcp_conn *)(void *)mem;

		c->index = t->nb_conn_slabs * TCP_CONN_SLAB + i;
		c->generation = 0;
		c->in_use = false;
		c->on_out = false;
		TAILQ_INSERT_HEAD(&t->free_conns, c, list);
	}
	t->nb_conn_slabs++;
	return true;
}

void tcp_conn_slabs_fini(struct sl_tcp *t)
{
	for (uint32_t i = 0; i < t->nb_conn_slabs; i++)
		free(t->conn_slabs[i]);
	free(t->conn_slabs);
	free(t->out.ring);
}

uint8_t tcp_rcv_shift(const struct sl_tcp *t)
{
	uint8_t shift = 0;

	while (shift < TCP_WND_SHIFT_MAX && t->cfg.rx_buf_max >> shift > UINT16_MAX)
		shift++;
	return shift;
}

struct sl_tcp_conn *tcp_conn_new(struct sl_tcp *t, const struct tcp_tuple *u)
{
	struct sl_tcp_conn *c;
	uint64_t hash = tcp_tuple_hash(t, u);
	uint32_t index, generation;
	bool on_out;

	if (t->nb_conns >= t->cfg.max_conns || (TAILQ_EMPTY(&t->free_conns) && !slab_grow(t)))
		return NULL;
	c = TAILQ_FIRST(&t->free_conns);
	index = c->index;
	generation = c->generation + 1;
	c->hash = hash;
	if (tcp_table_add(t, c) < 0)
		return NULL;
	TAILQ_REMOVE(&t->free_conns, c, list);
	on_out = c->on_out; /* its predecessor may still be in the ring of those that want to send */
	memset(c, 0, tcp_conn_bytes(t));
	c->index = index;
	c->generation = generation;
	c->in_use = true;
	c->on_out = on_out;
	c->hash = hash;
	c->hashed = true;
	c->trace.last_us = t->now_us;
	c->t = t;
	c->tuple = *u;
	c->quickack = TCP_QUICKACK_SEGMENTS;
	c->ts_offset = tcp_ts_offset(t, u);
	c->ssthresh = UINT32_MAX;
	c->rack.reo_mult = 1;
	c->rcv_shift = tcp_rcv_shift(t);
	tcp_rtt_init(c);
	tcp_tune_init(c);
	tcp_sent_init(c);
	c->user_timeout_ms = t->cfg.user_timeout_ms;
	c->impatient = c->user_timeout_ms != 0;
	TAILQ_INSERT_TAIL(&t->all, c, list);
	t->nb_conns++;
	return c;
}

static void leave_lists(struct sl_tcp_conn *c)
{
	struct sl_tcp *t = c->t;

	tcp_table_del(t, c);
	tcp_timer_remove(c);
	for (int i = 0; i < TCP_TMR_COUNT; i++)
		tcp_timer_off(c, (enum tcp_timer_id)i);
	if (c->on_starved) {
		TAILQ_REMOVE(&t->starved, c, starved);
		c->on_starved = false;
	}
}

/* Off the wire; bytes that the user has not consumed stay until it lets go. */
static void detach(struct sl_tcp_conn *c)
{
	leave_lists(c);
	tcp_sent_clear(c);
	tcp_sndq_clear(c);
	tcp_rcvq_cut(c);
	if (c->orphan_until_us != 0)
		c->t->nb_orphans--;
	if (!c->held)
		tcp_conn_let_go(c);
}

void tcp_conn_finish(struct sl_tcp_conn *c, int err)
{
	if (c->state == TCP_CLOSED || c->state == TCP_TIME_WAIT)
		return;
	if (state_synchronized(c->state))
		sl_count(SL_C_TCP_CLOSED);
	if (err != SL_OK)
		TCP_TRACE(c, FAILED, -err, c->state);
	c->state = TCP_CLOSED;
	c->err = err;
	c->want_write = false;
	if (err != SL_OK) {
		(void)sl_fail(err);
		tcp_post(c, SL_TCP_EV_ERROR);
	}
	detach(c);
}

void tcp_conn_time_wait(struct sl_tcp_conn *c, uint64_t now_us)
{
	tcp_tw_add(c->t, c, now_us);
	sl_count(SL_C_TCP_CLOSED);
	c->state = TCP_TIME_WAIT;
	detach(c);
}

void tcp_conn_let_go(struct sl_tcp_conn *c)
{
	c->held = false;
	c->events = 0;
	tcp_rcvq_clear(c);
	if ((c->state != TCP_CLOSED && c->state != TCP_TIME_WAIT) || c->dead)
		return;
	c->dead = true;
	TAILQ_REMOVE(&c->t->all, c, list);
	TAILQ_INSERT_TAIL(&c->t->dead, c, list);
}

void tcp_conn_reap(struct sl_tcp *t)
{
	struct sl_tcp_conn *c;

	while ((c = TAILQ_FIRST(&t->dead)) != NULL) {
		TAILQ_REMOVE(&t->dead, c, list);
		c->in_use = false;
		tcp_caps_leave(c);
		TAILQ_INSERT_HEAD(&t->free_conns, c, list);
		t->nb_conns--;
	}
}

void tcp_conn_want_out(struct sl_tcp_conn *c)
{
	struct tcp_out *o = &c->t->out;

	if (c->on_out || c->state == TCP_CLOSED || c->state == TCP_TIME_WAIT)
		return;
	o->ring[(o->first + o->nb++) & o->mask] = c;
	c->on_out = true;
}

void tcp_notify(struct sl_tcp_conn *c)
{
	uint32_t events = c->events;

	c->events = 0;
	if (events != 0 && c->held && c->t->cfg.ops->notify != NULL)
		c->t->cfg.ops->notify(c->t->cfg.ctx, c, c->user, events);
}

int tcp_path_mss(struct sl_tcp *t, const struct tcp_tuple *u, struct sl_net_path *path, uint16_t *mss)
{
	struct sl_addr dst = tcp_addr(u->raddr, u->family);
	uint32_t headers = u->family == SL_AF_INET6 ? 60 : 40, m;
	int err = t->cfg.ops->route(t->cfg.ctx, &dst, path);

	if (err < 0)
		return err;
	m = path->mtu > headers + TCP_MSS_MIN ? path->mtu - headers : TCP_MSS_MIN;
	if (t->cfg.mss != 0)
		m = u32_min(m, u32_max(t->cfg.mss, TCP_MSS_MIN));
	if (!path->multi_seg)
		m = u32_min(m, t->seg_bytes_max - (uint32_t)sizeof(struct rte_tcp_hdr));
	*mss = (uint16_t)m;
	return SL_OK;
}

void tcp_conn_set_mss(struct sl_tcp_conn *c)
{
	c->mss = u32_max(u32_min(c->path_mss, c->peer_mss), TCP_MSS_MIN);
}

/* A released connection that makes progress lives on, but not for ever. */
void tcp_orphan_restart(struct sl_tcp_conn *c, uint64_t now_us)
{
	uint64_t when = now_us + TCP_ORPHAN_IDLE;

	tcp_timer_set(c, TCP_TMR_LIFE, when < c->orphan_until_us ? when : c->orphan_until_us);
}
