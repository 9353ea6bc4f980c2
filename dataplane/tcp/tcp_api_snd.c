/* The user's calls about sending. */
#include "tcp_priv.h"

bool tcp_can_write(const struct sl_tcp_conn *c)
{
	if (c->fin_queued)
		return false;
	return c->state == TCP_SYN_SENT || c->state == TCP_SYN_RCVD || c->state == TCP_ESTABLISHED ||
	       c->state == TCP_CLOSE_WAIT;
}

/* Out of memory for all: woken by the tick when there is some again. */
static void starve(struct sl_tcp_conn *c)
{
	if (c->on_starved)
		return;
	TAILQ_INSERT_TAIL(&c->t->starved, c, starved);
	c->on_starved = true;
	(void)sl_fail(tcp_mem_err(c));
}

/* `done` of `n` bytes were taken, for which there was `space`. */
static size_t written(struct sl_tcp_conn *c, size_t n, size_t space, size_t done)
{
	if (done < n)
		c->want_write = true;
	if (done < n && done < space)
		starve(c);
	if (done > 0)
		tcp_conn_want_out(c);
	return done;
}

size_t sl_tcp_write(struct sl_tcp_conn *c, struct sl_span bytes)
{
	size_t space = sl_tcp_space(c);
	uint32_t n = (uint32_t)(bytes.n < space ? bytes.n : space);

	if (!tcp_can_write(c))
		return 0;
	return written(c, bytes.n, space, n > 0 ? tcp_sndq_put(c, bytes.p, n) : 0);
}

size_t sl_tcp_write_piece(struct sl_tcp_conn *c, const struct sl_tcp_piece *p)
{
	size_t space = sl_tcp_space(c);
	uint32_t n = (uint32_t)(p->len < space ? p->len : space), done;

	if (!tcp_can_write(c))
		return 0;
	if (n >= TCP_COPY_BELOW && tcp_sndq_put_ref(c, p->m, p->off, n))
		done = n;
	else
		done = tcp_sndq_put(c, rte_pktmbuf_mtod_offset(p->m, const uint8_t *, p->off), n);
	return written(c, p->len, space, done);
}

size_t sl_tcp_space(const struct sl_tcp_conn *c)
{
	uint32_t size = tcp_tx_buf(c);

	return tcp_can_write(c) && tx_bytes(c) < size ? size - tx_bytes(c) : 0;
}

size_t sl_tcp_unacked(const struct sl_tcp_conn *c)
{
	return tx_bytes(c);
}

void sl_tcp_set_nodelay(struct sl_tcp_conn *c, bool on)
{
	if (!on && !c->nagle)
		c->snd_sml = c->snd_nxt; /* what is in flight may end in a small one */
	c->nagle = !on;
	if (on)
		tcp_conn_want_out(c);
}

void sl_tcp_set_cork(struct sl_tcp_conn *c, bool on)
{
	c->cork = on;
	if (!on)
		tcp_conn_want_out(c);
}

void sl_tcp_set_more(struct sl_tcp_conn *c, bool on)
{
	c->more = on;
}

void sl_tcp_set_user_timeout(struct sl_tcp_conn *c, uint32_t ms)
{
	c->user_timeout_ms = ms;
	c->impatient = ms != 0;
	if (c->tmr_rtx != 0 && ms != 0)
		tcp_rtx_arm(c, c->t->now_us);
}
