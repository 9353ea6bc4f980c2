/* ICMP errors about our segments (RFC 5927): believed only when the quoted sequence number is in flight. */
#include "tcp_priv.h"

#define ICMP_UNREACHABLE      3
#define ICMP_UNREACH_PROTO    2
#define ICMP_UNREACH_PORT     3
#define ICMP_UNREACH_NEEDFRAG 4
#define ICMP6_UNREACHABLE     1
#define ICMP6_UNREACH_PORT    4
#define ICMP6_TOO_BIG         2
#define ICMP6_PARAMETER       4
#define ICMP6_PARAM_HEADER    1 /* the next header is not known: there is no TCP */

enum icmp_meaning {
	ICMP_NOTHING,
	ICMP_TOO_BIG,
	ICMP_REFUSED,
	ICMP_NO_WAY,
};

static enum icmp_meaning meaning_v4(uint8_t type, uint8_t code)
{
	if (type != ICMP_UNREACHABLE)
		return ICMP_NOTHING;
	switch (code) {
	case ICMP_UNREACH_NEEDFRAG:
		return ICMP_TOO_BIG;
	case ICMP_UNREACH_PROTO:
	case ICMP_UNREACH_PORT:
		return ICMP_REFUSED;
	default:
		return ICMP_NO_WAY;
	}
}

static enum icmp_meaning meaning_v6(uint8_t type, uint8_t code)
{
	switch (type) {
	case ICMP6_TOO_BIG:
		return ICMP_TOO_BIG;
	case ICMP6_UNREACHABLE:
		return code == ICMP6_UNREACH_PORT ? ICMP_REFUSED : ICMP_NO_WAY;
	case ICMP6_PARAMETER:
		return code == ICMP6_PARAM_HEADER ? ICMP_REFUSED : ICMP_NOTHING;
	default:
		return ICMP_NOTHING;
	}
}

static void unreachable(struct sl_tcp_conn *c, int err)
{
	if (c->state == TCP_SYN_SENT)
		tcp_conn_finish(c, err);
	else
		tcp_soft_error(c, err);
}

void sl_tcp_icmp_error(struct sl_tcp *t, const struct sl_net_icmp_error *e, uint64_t now_us)
{
	struct tcp_tuple u = {.lport = e->sport, .rport = e->dport, .family = e->src.family};
	enum icmp_meaning what;
	struct sl_tcp_conn *c;

	tcp_touch(t, now_us);
	memcpy(u.laddr, e->src.b, sizeof(u.laddr));
	memcpy(u.raddr, e->dst.b, sizeof(u.raddr));
	c = tcp_table_find(t, tcp_tuple_hash(t, &u));
	if (c == NULL)
		return;
	if (seq_lt(e->seq, c->snd_una) || !seq_lt(e->seq, c->snd_nxt)) {
		(void)sl_fail(SL_E_TCP_ICMP);
		return;
	}
	what = u.family == SL_AF_INET6 ? meaning_v6(e->type, e->code) : meaning_v4(e->type, e->code);
	if (what == ICMP_NOTHING)
		return;
	TCP_TRACE(c, ICMP, e->type << 8 | e->code, e->mtu);
	if (what == ICMP_TOO_BIG)
		tcp_pmtu_too_big(c, e->mtu, now_us);
	else
		unreachable(c, what == ICMP_REFUSED ? SL_E_TCP_REFUSED : SL_E_TCP_UNREACHABLE);
	tcp_notify(c);
}
