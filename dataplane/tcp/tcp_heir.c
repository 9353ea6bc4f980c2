/*
 * The connections of a stack whose worker has died: their peers are told. Most of them would notice when they
 * send next, but one that waits for us (a target in the middle of a transaction) would hold what it holds for
 * long. Of the dead stack's memory nothing is believed, and no pointer followed, that was not checked: its
 * worker may have written anywhere.
 */
#include "sl_fault.h"
#include "tcp_priv.h"

/* The copy makes sense: a connection of that stack in that place that its peer knows of. */
static bool is_connection(const struct sl_tcp *dead, const struct sl_tcp_conn *c, uint32_t index)
{
	const struct tcp_tuple *u = &c->tuple;

	return c->in_use && c->t == dead && c->index == index && c->state > TCP_CLOSED &&
	       c->state < TCP_TIME_WAIT && (u->family == SL_AF_INET || u->family == SL_AF_INET6) &&
	       u->lport != 0 && u->rport != 0;
}

/*
 * With what the peer expects next where it has all that we sent. Where it has not, it answers with a
 * challenge ACK (RFC 5961, 3.2), to which this stack, which has no such connection, sends the RST that it
 * believes.
 */
static void reset(struct sl_tcp *t, const struct sl_tcp_conn *c, uint64_t now_us)
{
	struct tcp_bare b = {
	        .seq = c->snd_nxt, .ack = c->rcv_nxt, .flags = RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG};

	if (c->state == TCP_SYN_SENT)
		b.flags = RTE_TCP_RST_FLAG; /* there is nothing to acknowledge yet */
	if (c->ts_ok)
		b.nb_opts = (uint8_t)tcp_options_ts(tcp_ts_now(c->ts_offset, now_us), c->ts_recent, b.opts);
	tcp_send_bare(t, &c->tuple, &b, now_us);
}

uint32_t sl_tcp_reset_dead(struct sl_tcp *t, const struct sl_tcp *dead, uint32_t *from, uint32_t budget,
                           uint64_t now_us)
{
	uint32_t sent = 0, i = *from;
	struct sl_tcp_conn c;

	tcp_touch(t, now_us);
	for (; budget > 0 && i < t->cfg.max_conns; budget--, i++) {
		if (!tcp_conn_read(t, dead, i, &c))
			continue;
		if (is_connection(dead, &c, i)) {
			reset(t, &c, now_us);
			sent++;
		}
	}
	*from = i < t->cfg.max_conns ? i : UINT32_MAX;
	return sent;
}
