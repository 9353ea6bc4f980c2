/* Round-trip time and retransmission timeout (RFC 6298). */
#include "tcp_priv.h"

void tcp_rtt_init(struct sl_tcp_conn *c)
{
	c->srtt_us = 0;
	c->rttvar_us = 0;
	c->rto_us = (uint32_t)TCP_RTO_INIT;
}

/*
 * (2.2), (2.3). The minimum is of the part for the variance: on a path whose times hardly vary, SRTT and no
 * more would be over before the peer's delayed ACK.
 */
void tcp_rtt_sample(struct sl_tcp_conn *c, uint64_t rtt_us)
{
	uint32_t r = (uint32_t)(rtt_us > TCP_RTO_MAX ? TCP_RTO_MAX : rtt_us);
	uint32_t rto;

	if (r == 0)
		r = 1;
	if (c->srtt_us == 0) {
		c->srtt_us = r;
		c->rttvar_us = r / 2;
	} else {
		uint32_t diff = c->srtt_us > r ? c->srtt_us - r : r - c->srtt_us;

		c->rttvar_us = c->rttvar_us - c->rttvar_us / 4 + diff / 4;
		c->srtt_us = c->srtt_us - c->srtt_us / 8 + r / 8;
	}
	c->near = 2 * (uint64_t)c->srtt_us + TCP_TLP_MIN <= TCP_TLP_AGAIN_MAX;
	rto = c->srtt_us + u32_max(4 * c->rttvar_us, (uint32_t)TCP_RTO_MIN);
	c->rto_us = u32_min(rto, (uint32_t)TCP_RTO_MAX);
}

bool tcp_rtt_sample_ts(struct sl_tcp_conn *c, uint32_t ts_ecr, uint64_t now_us)
{
	uint32_t ms = tcp_ts_now(c->ts_offset, now_us) - ts_ecr;

	if (ts_ecr == 0 || ms > TCP_RTO_MAX / TCP_MS)
		return false;
	tcp_rtt_sample(c, u32_max(ms, 1) * TCP_MS);
	return true;
}
