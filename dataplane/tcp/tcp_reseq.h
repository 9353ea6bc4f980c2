/* Gaps in what came that the peer is not told of, on paths that let packets overtake each other
 * (tcp_reseq.c). */
#ifndef TCP_RESEQ_H
#define TCP_RESEQ_H

#include "tcp_priv.h"

/* For so long, and up to a tick more, a gap may be filled by what comes late, where that has been seen so
 * often. */
#define TCP_RESEQ      TCP_MS
#define TCP_LATE_LEAST 2U
#define TCP_LATE_MOST  16U

/* Whether the peer is not to hear of the gaps in what came: no duplicate ACK, no SACK block. */
static inline bool tcp_reseq_hides(const struct sl_tcp_conn *c)
{
	return c->tmr_reseq != 0 && c->has_ooo;
}
/* A segment went behind a gap; first: behind the only one. */
void tcp_reseq_out_of_order(struct sl_tcp_conn *c, const struct tcp_seg *s, bool first, uint64_t now_us);
/* One came to the place of RCV.NXT, where a gap was. */
void tcp_reseq_filled(struct sl_tcp_conn *c, const struct tcp_seg *s, uint64_t now_us);
/* All of a segment was there already. */
void tcp_reseq_duplicate(struct sl_tcp_conn *c, const struct tcp_seg *s);
/* The time is over: the gap is told, and counts against what was learned. */
void tcp_reseq_expired(struct sl_tcp_conn *c, uint64_t now_us);

#endif
