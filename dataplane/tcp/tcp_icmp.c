/* ICMP errors about our segments (RFC 5927): believed only when the quoted sequence number is in flight. */
#include "tcp_priv.h"

#define ICMP_UNREACHABLE      3
#define ICMP_UNREACH_PROTO    2
#define ICMP_UNREACH_PORT     3
#define ICMP_UNREACH_NEEDFRAG 4

/* The path takes less: what is in flight is cut anew, without blame for the congestion window (RFC
 * 1191, 6.4). */
static void path_mtu_fell(struct sl_tcp_conn *c, uint32_t mtu, uint64_t now_us)
{
	uint32_t mss = u32_max(mtu, TCP_PMTU_MIN) - 40;

	if (mss >= c->path_mss)
		return;
	c->path_mss = (uint16_t)mss;
	tcp_conn_set_mss(c);
	if (!state_synchronized(c->state))
		return;
	tcp_recovery_mtu_fell(c);
	tcp_rtx_timer_update(c, false, now_us);
	tcp_conn_want_out(c);
}

static void unreachable(struct sl_tcp_conn *c, uint8_t code)
{
	int err = code == ICMP_UNREACH_PORT || code == ICMP_UNREACH_PROTO ? SL_E_TCP_REFUSED
	                                                                  : SL_E_TCP_UNREACHABLE;

	if (c->state == TCP_SYN_SENT)
		tcp_conn_finish(c, err);
	else
		c->soft_err = err;
}

void sl_tcp_icmp_error(struct sl_tcp *t, const struct sl_net_icmp_error *e, uint64_t now_us)
{
	struct tcp_tuple u = {.lport = e->sport, .rport = e->dport, .family = e->src.family};
	struct sl_tcp_conn *c;

	tcp_touch(t, now_us);
	memcpy(u.laddr, e->src.b, sizeof(u.laddr));
	memcpy(u.raddr, e->dst.b, sizeof(u.raddr));
	c = tcp_conn_find(t, &u, tcp_tuple_hash(t, &u));
	if (c == NULL || e->src.family != SL_AF_INET || e->type != ICMP_UNREACHABLE)
		return;
	if (seq_lt(e->seq, c->snd_una) || !seq_lt(e->seq, c->snd_nxt))
		return;
	if (e->code == ICMP_UNREACH_NEEDFRAG)
		path_mtu_fell(c, e->mtu, now_us);
	else
		unreachable(c, e->code);
	tcp_notify(c);
}
