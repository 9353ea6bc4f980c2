/* The peer's SACK option (RFC 2018), D-SACK in it (RFC 2883), onto the board of what was sent. */
#include "tcp_priv.h"

/*
 * SACKs the segments of [start, end) that are whole in it; start lies in e. What the peer has of a segment
 * but not all of it counts as missing: so a peer cannot cut the board into crumbs. Returns where start lies
 * now: the next block is looked for from there.
 */
static struct tcp_sent *tag(struct sl_tcp_conn *c, struct tcp_sent *e, uint32_t start, uint32_t end,
                            struct tcp_acked *a, uint64_t now_us)
{
	struct tcp_sent *first = e;

	while (e != NULL && seq_lt(e->seq, end)) {
		uint32_t cut = e->seq;

		if (e->flags & TCP_SENT_SACKED) {
			e = TAILQ_NEXT(e, order);
			continue;
		}
		if (seq_lt(e->seq, start)) /* the part in front is missing */
			cut += (start - e->seq + e->seg_bytes - 1) / e->seg_bytes * e->seg_bytes;
		else if (seq_lt(end, e->end)) /* the part behind is */
			cut += (end - e->seq) / e->seg_bytes * e->seg_bytes;
		if (cut != e->seq && seq_lt(cut, e->end))
			(void)tcp_sent_split(c, e, cut);
		if (!seq_lt(e->seq, start) && seq_le(e->end, end)) {
			bool was_first = e == first;

			e = tcp_sent_sacked(c, e, a,
			                    now_us); /* its neighbour in front may have taken it in */
			first = was_first ? e : first;
		}
		e = TAILQ_NEXT(e, order);
	}
	return first;
}

/* Data that arrived twice: at the place of the first block (RFC 2883, 4). */
static bool is_dsack(const struct sl_tcp_conn *c, const struct tcp_seg *s)
{
	const struct tcp_range *b = s->opts.sack;

	if (!seq_lt(b[0].start, b[0].end) || seq_lt(c->snd_nxt, b[0].end))
		return false;
	if (seq_lt(b[0].start, s->ack))
		return seq_le(b[0].end, s->ack);
	return s->opts.nb_sack > 1 && seq_le(b[1].start, b[0].start) && seq_le(b[0].end, b[1].end);
}

/* RFC 3708, RFC 8985 (7.4.2): a duplicate accounts for one that was sent again for nothing. */
static void take_dsack(struct sl_tcp_conn *c, const struct tcp_range *b, struct tcp_acked *a)
{
	struct tcp_undo *u = &c->undo;
	uint32_t segs = (b->end - b->start + tcp_smss(c) - 1) / tcp_smss(c);

	a->dsack = true;
	if (c->tlp_open && b->end == c->tlp_end)
		a->dsack_tlp = true;
	if (c->undo_armed && u->nb_rxt > 0 && seq_lt(u->una, b->end))
		u->nb_rxt -= (int32_t)u32_min(segs, (uint32_t)u->nb_rxt);
}

static bool seen_before(const struct tcp_board *b, const struct tcp_range *r)
{
	for (uint32_t i = 0; i < b->nb_seen; i++) {
		if (b->seen[i].start == r->start && b->seen[i].end == r->end)
			return true;
	}
	return false;
}

/* The blocks that can be true and are new, in ascending order. */
static uint32_t new_blocks(const struct sl_tcp_conn *c, const struct tcp_seg *s, uint32_t from,
                           struct tcp_range *out)
{
	uint32_t nb = 0;

	for (uint32_t i = from; i < s->opts.nb_sack; i++) {
		struct tcp_range r = s->opts.sack[i];
		uint32_t k = nb;

		/* Below the cumulative ACK: old; what was never sent: a lie. */
		if (!seq_lt(r.start, r.end) || !seq_lt(seq_max(s->ack, c->snd_una), r.start) ||
		    seq_lt(c->snd_nxt, r.end) || seen_before(&c->board, &r))
			continue;
		for (; k > 0 && seq_lt(r.start, out[k - 1].start); k--)
			out[k] = out[k - 1];
		out[k] = r;
		nb++;
	}
	return nb;
}

void tcp_sack_input(struct sl_tcp_conn *c, const struct tcp_seg *s, struct tcp_acked *a, uint64_t now_us)
{
	struct tcp_board *b = &c->board;
	struct tcp_sent *at = TAILQ_FIRST(&b->all);
	struct tcp_range r[4];
	uint32_t from = 0, nb;

	if (s->opts.nb_sack == 0)
		return;
	if (is_dsack(c, s)) {
		take_dsack(c, &s->opts.sack[0], a);
		from = 1;
	}
	nb = new_blocks(c, s, from, r);
	for (uint32_t i = 0; i < nb; i++) {
		if (b->high != NULL && seq_le(b->high->seq, r[i].start))
			at = b->high;
		at = tcp_sent_find(c, at, r[i].start);
		at = tag(c, at, r[i].start, r[i].end, a, now_us);
	}
	b->nb_seen = 0;
	for (uint32_t i = from; i < s->opts.nb_sack; i++)
		b->seen[b->nb_seen++] = (struct tcp_block){s->opts.sack[i].start, s->opts.sack[i].end};
}
