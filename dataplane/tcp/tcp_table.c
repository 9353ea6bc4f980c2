/* The table of connections: buckets of a cache line, chained where more than five meet. */
#include <stdlib.h>

#include "tcp_priv.h"

static struct tcp_bucket *more_of(const struct sl_tcp *t, const struct tcp_bucket *b)
{
	return b->more != 0 ? &t->table.bucket[b->more] : NULL;
}

/* As all buckets but the last one of a chain are full, chains need no more than this beyond the table. */
static uint32_t nb_beyond(const struct sl_tcp *t)
{
	return t->cfg.max_conns / TCP_BUCKET_PLACES + 1;
}

int tcp_table_init(struct sl_tcp *t)
{
	struct tcp_table *tab = &t->table;
	uint32_t nb = 16;

	while (nb < t->cfg.max_conns / (TCP_BUCKET_PLACES - 1))
		nb *= 2;
	tab->mask = nb - 1;
	tab->nb = nb + nb_beyond(t);
	tab->used = nb;
	tab->mem = calloc((size_t)tab->nb + 1, sizeof(struct tcp_bucket));
	if (tab->mem == NULL)
		return sl_fail(SL_E_NOMEM);
	tab->bucket = RTE_PTR_ALIGN(tab->mem, TCP_LINE);
	return SL_OK;
}

void tcp_table_fini(struct sl_tcp *t)
{
	free(t->table.mem);
}

static struct tcp_bucket *bucket_new(struct tcp_table *tab, struct tcp_bucket *behind)
{
	uint32_t i = tab->free;

	if (i != 0)
		tab->free = tab->bucket[i].more;
	else if (tab->used < tab->nb)
		i = tab->used++;
	else
		return NULL;
	memset(&tab->bucket[i], 0, sizeof(tab->bucket[i]));
	behind->more = i;
	return &tab->bucket[i];
}

int tcp_table_add(struct sl_tcp *t, struct sl_tcp_conn *c)
{
	struct tcp_bucket *b = &t->table.bucket[c->hash & t->table.mask];
	uint32_t i = 0;

	while (more_of(t, b) != NULL)
		b = more_of(t, b);
	while (i < TCP_BUCKET_PLACES && b->conn[i] != 0)
		i++;
	if (i == TCP_BUCKET_PLACES) {
		b = bucket_new(&t->table, b);
		i = 0;
	}
	if (b == NULL)
		return sl_fail(SL_E_NOMEM);
	b->hash[i] = c->hash;
	b->conn[i] = c->index + 1;
	t->table.changes++;
	c->hashed = true;
	return SL_OK;
}

/* The last entry of the chain goes to the place that is free now. */
void tcp_table_del(struct sl_tcp *t, struct sl_tcp_conn *c)
{
	struct tcp_bucket *b = &t->table.bucket[c->hash & t->table.mask], *last, *before = NULL;
	uint32_t i = 0, k = TCP_BUCKET_PLACES - 1;

	if (!c->hashed)
		return;
	while (b->conn[i] != c->index + 1) {
		if (++i < TCP_BUCKET_PLACES)
			continue;
		before = b;
		b = more_of(t, b);
		i = 0;
	}
	for (last = b; more_of(t, last) != NULL; last = more_of(t, last))
		before = last;
	while (last->conn[k] == 0)
		k--;
	b->hash[i] = last->hash[k];
	b->conn[i] = last->conn[k];
	last->conn[k] = 0;
	if (k == 0 && before != NULL) {
		last->more = t->table.free;
		t->table.free = before->more;
		before->more = 0;
	}
	t->table.changes++;
	c->hashed = false;
}

struct sl_tcp_conn *tcp_table_find(const struct sl_tcp *t, uint64_t hash)
{
	const struct tcp_bucket *b = &t->table.bucket[hash & t->table.mask];

	for (; b != NULL; b = more_of(t, b)) {
		for (uint32_t i = 0; i < TCP_BUCKET_PLACES && b->conn[i] != 0; i++) {
			if (b->hash[i] == hash)
				return tcp_conn_at(t, b->conn[i] - 1);
		}
	}
	return NULL;
}
