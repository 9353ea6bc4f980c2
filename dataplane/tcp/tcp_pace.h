/* The window spread over the round trip, where that is long enough for the timers (tcp_pace.c). */
#ifndef TCP_PACE_H
#define TCP_PACE_H

#include "tcp_priv.h"

static inline bool tcp_paces(const struct sl_tcp_conn *c)
{
	return c->t->cfg.pacing && !c->near && c->srtt_us != 0;
}
/* New bytes must wait; they are sent by TCP_TMR_PACE. */
bool tcp_pace_waits(struct sl_tcp_conn *c, uint64_t now_us);
/* n bytes have gone out, new ones or not. */
void tcp_pace_sent(struct sl_tcp_conn *c, uint32_t n, uint64_t now_us);
/* The most bytes of one packet. */
uint32_t tcp_pace_bytes(const struct sl_tcp_conn *c);
/* Bytes per second; 0: it does not wait. */
uint64_t tcp_pace_rate(const struct sl_tcp_conn *c);

#endif
