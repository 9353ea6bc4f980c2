/*
 * The sender's scoreboard (RFC 6675): what the peer has SACKed, what is lost, what is in flight, what to send
 * again. Without SACK the same questions are answered from the count of duplicate ACKs (RFC 6582), so that
 * tcp_output.c has one way of sending for both.
 */
#include "tcp_priv.h"

uint32_t tcp_sack_update(struct sl_tcp_conn *c, const struct tcp_seg *s)
{
	uint32_t before = tcp_ranges_bytes(c->sacked);

	for (uint32_t i = 0; i < s->opts.nb_sack; i++) {
		struct tcp_range b = s->opts.sack[i];

		/* Blocks below the cumulative ACK are D-SACK (RFC 2883); what was never sent is a lie. */
		if (!seq_lt(b.start, b.end) || !seq_lt(seq_max(s->ack, c->snd_una), b.start) ||
		    seq_lt(c->snd_nxt, b.end))
			continue;
		/* No place: SACK is advice, the range will be sent again. */
		(void)tcp_ranges_add(c->t, &c->sacked, b.start, b.end);
	}
	return tcp_ranges_bytes(c->sacked) - before;
}

/* What lies above a hole: enough of it SACKed, and the hole is lost (IsLost() of RFC 6675). */
static bool lost_below(const struct sl_tcp_conn *c, uint32_t nb_above, uint32_t bytes_above)
{
	return nb_above >= TCP_DUPTHRESH || bytes_above > (TCP_DUPTHRESH - 1) * c->mss;
}

bool tcp_sack_is_lost(const struct sl_tcp_conn *c, uint32_t seq)
{
	uint32_t nb = 0, bytes = 0;

	if (seq_lt(seq, c->lost_to))
		return true;
	for (uint32_t i = 0; c->sacked != NULL && i < c->sacked->nb; i++) {
		const struct tcp_range *r = &c->sacked->r[i];

		if (seq_lt(seq, r->start)) {
			nb++;
			bytes += r->end - r->start;
		}
	}
	return lost_below(c, nb, bytes);
}

static uint32_t high_rxt(const struct sl_tcp_conn *c)
{
	return c->ca_state == TCP_CA_OPEN ? c->snd_una : seq_max(c->high_rxt, c->snd_una);
}

static uint32_t part_below(uint32_t start, uint32_t end, uint32_t seq)
{
	return seq_lt(start, seq) ? seq_min(end, seq) - start : 0;
}

/* SetPipe() of RFC 6675: walks the holes from the top, so that what lies above is known. */
uint32_t tcp_sack_pipe(const struct sl_tcp_conn *c)
{
	uint32_t nb = c->sacked != NULL ? c->sacked->nb : 0;
	uint32_t rxt = high_rxt(c), top = c->snd_nxt, pipe = 0, bytes = 0, emulated;

	for (uint32_t i = 0; i <= nb; i++) {
		uint32_t start = i < nb ? c->sacked->r[nb - 1 - i].end : c->snd_una;

		if (!lost_below(c, i, bytes))
			pipe += top - start - part_below(start, top, c->lost_to);
		pipe += part_below(start, top, rxt);
		if (i < nb) {
			top = c->sacked->r[nb - 1 - i].start;
			bytes += start - top;
		}
	}
	if (c->sack_ok)
		return pipe;
	emulated = (uint32_t)c->dupacks * c->mss;
	return pipe > emulated ? pipe - emulated : 0;
}

bool tcp_sack_next(const struct sl_tcp_conn *c, bool lost_only, uint32_t *seq, uint32_t *len)
{
	uint32_t nb = c->sacked != NULL ? c->sacked->nb : 0;
	uint32_t bytes = tcp_ranges_bytes(c->sacked), start = high_rxt(c);

	for (uint32_t i = 0; i <= nb; i++) {
		uint32_t end = i < nb ? c->sacked->r[i].start : c->snd_nxt;
		bool lost = i < nb && (!lost_only || lost_below(c, nb - i, bytes));

		if (!lost)
			end = seq_min(end, c->lost_to);
		if (seq_lt(start, end)) {
			*seq = start;
			*len = end - start;
			return true;
		}
		if (i < nb) {
			bytes -= c->sacked->r[i].end - c->sacked->r[i].start;
			start = seq_max(start, c->sacked->r[i].end);
		}
	}
	return false;
}

void tcp_sack_lose_all(struct sl_tcp_conn *c)
{
	c->lost_to = c->snd_nxt;
	c->high_rxt = c->snd_una;
	c->recover = c->snd_nxt;
	c->rtt_timing = false;
	c->dupacks = 0;
}
