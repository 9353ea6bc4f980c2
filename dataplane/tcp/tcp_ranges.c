/* Sets of sequence ranges: what the receiver has out of order, and what the peer has SACKed. Bounded, pooled.
 */
#include <stdlib.h>

#include "tcp_priv.h"

#define RANGES_SLAB 16

static bool pool_grow(struct sl_tcp *t)
{
	struct tcp_slab *slab = malloc(sizeof(*slab) + RANGES_SLAB * sizeof(struct tcp_ranges));
	struct tcp_ranges *set;

	if (slab == NULL)
		return false;
	slab->next = t->range_slabs;
	t->range_slabs = slab;
	set = (struct tcp_ranges *)(slab + 1);
	for (uint32_t i = 0; i < RANGES_SLAB; i++) {
		set[i].next_free = t->free_ranges;
		t->free_ranges = &set[i];
	}
	t->nb_ranges_made += RANGES_SLAB;
	return true;
}

static struct tcp_ranges *take(struct sl_tcp *t)
{
	struct tcp_ranges *set;

	if (t->free_ranges == NULL && !pool_grow(t))
		return NULL;
	set = t->free_ranges;
	t->free_ranges = set->next_free;
	set->nb = 0;
	t->nb_ranges_used++;
	return set;
}

void tcp_ranges_clear(struct sl_tcp *t, struct tcp_ranges **set)
{
	if (*set == NULL)
		return;
	(*set)->next_free = t->free_ranges;
	t->free_ranges = *set;
	t->nb_ranges_used--;
	*set = NULL;
}

void tcp_ranges_fini(struct sl_tcp *t)
{
	while (t->range_slabs != NULL) {
		struct tcp_slab *s = t->range_slabs;

		t->range_slabs = s->next;
		free(s);
	}
}

bool tcp_ranges_add(struct sl_tcp *t, struct tcp_ranges **pset, uint32_t start, uint32_t end)
{
	struct tcp_ranges *set = *pset != NULL ? *pset : take(t);
	uint32_t i = 0, j;

	if (set == NULL)
		return false;
	*pset = set;
	while (i < set->nb && seq_lt(set->r[i].end, start))
		i++;
	/* [i, j) touch or overlap the new one. */
	for (j = i; j < set->nb && seq_le(set->r[j].start, end); j++)
		;
	if (i == j) {
		if (set->nb == TCP_RANGES_MAX)
			return false;
		memmove(&set->r[i + 1], &set->r[i], (set->nb - i) * sizeof(set->r[0]));
		set->r[i] = (struct tcp_range){start, end};
		set->nb++;
		return true;
	}
	set->r[i].start = seq_min(set->r[i].start, start);
	set->r[i].end = seq_max(set->r[j - 1].end, end);
	memmove(&set->r[i + 1], &set->r[j], (set->nb - j) * sizeof(set->r[0]));
	set->nb -= j - i - 1;
	return true;
}

void tcp_ranges_trim(struct sl_tcp *t, struct tcp_ranges **pset, uint32_t seq)
{
	struct tcp_ranges *set = *pset;
	uint32_t gone = 0;

	if (set == NULL)
		return;
	while (gone < set->nb && seq_le(set->r[gone].end, seq))
		gone++;
	set->nb -= gone;
	if (set->nb == 0) {
		tcp_ranges_clear(t, pset);
		return;
	}
	memmove(&set->r[0], &set->r[gone], set->nb * sizeof(set->r[0]));
	set->r[0].start = seq_max(set->r[0].start, seq);
}

uint32_t tcp_ranges_bytes(const struct tcp_ranges *set)
{
	uint32_t n = 0;

	for (uint32_t i = 0; set != NULL && i < set->nb; i++)
		n += set->r[i].end - set->r[i].start;
	return n;
}

const struct tcp_range *tcp_ranges_find(const struct tcp_ranges *set, uint32_t seq)
{
	for (uint32_t i = 0; set != NULL && i < set->nb; i++) {
		if (seq_le(set->r[i].start, seq) && seq_lt(seq, set->r[i].end))
			return &set->r[i];
	}
	return NULL;
}
