/*
 * Caps: how many connections and bytes there may be in all, of a listener, of a source address and of a
 * connection. Sources are kept while they have something here, in a table that holds as many as there can be
 * connections and half-open ones. An IPv6 source is its /64: who has one address of it has all.
 */
#include <stdlib.h>

#include "tcp_priv.h"

_Static_assert(sizeof(struct tcp_source) <= 40, "a source has grown");

#define SOURCE_PREFIX6 8 /* bytes of an IPv6 address that count */

int tcp_sources_init(struct sl_tcp *t)
{
	struct tcp_sources *so = &t->sources;
	uint32_t nb_buckets = 16;

	so->max = t->cfg.max_conns + t->cfg.max_half_open;
	while (nb_buckets < so->max)
		nb_buckets *= 2;
	so->mask = nb_buckets - 1;
	so->e = calloc(so->max, sizeof(*so->e));
	so->buckets = calloc(nb_buckets, sizeof(*so->buckets));
	return so->e != NULL && so->buckets != NULL ? SL_OK : sl_fail(SL_E_NOMEM);
}

void tcp_sources_fini(struct sl_tcp *t)
{
	free(t->sources.e);
	free(t->sources.buckets);
}

static void key_of(const struct tcp_tuple *u, uint8_t key[16])
{
	memset(key, 0, 16);
	memcpy(key, u->raddr, u->family == SL_AF_INET6 ? SOURCE_PREFIX6 : sizeof(u->raddr));
}

uint32_t tcp_source_hash(const struct sl_tcp *t, const struct tcp_tuple *u)
{
	struct tcp_tuple x = {.family = u->family};

	key_of(u, x.raddr);
	return tcp_address_hash(t, &x);
}

static uint32_t *bucket_of(struct sl_tcp *t, const struct tcp_tuple *u)
{
	return &t->sources.buckets[tcp_source_hash(t, u) & t->sources.mask];
}

struct tcp_source *tcp_source_at(struct sl_tcp *t, uint32_t id)
{
	return id != 0 ? &t->sources.e[id - 1] : NULL;
}

uint32_t tcp_source_find(struct sl_tcp *t, const struct tcp_tuple *u)
{
	uint8_t key[16];
	uint32_t id;

	key_of(u, key);
	for (id = *bucket_of(t, u); id != 0; id = tcp_source_at(t, id)->hash_next) {
		const struct tcp_source *x = tcp_source_at(t, id);

		if (x->family == u->family && memcmp(x->addr, key, sizeof(key)) == 0)
			return id;
	}
	return 0;
}

uint32_t tcp_source_get(struct sl_tcp *t, const struct tcp_tuple *u)
{
	struct tcp_sources *so = &t->sources;
	uint32_t id = tcp_source_find(t, u), *bucket;
	struct tcp_source *x;

	if (id != 0)
		return id;
	if (so->free != 0) {
		id = so->free;
		so->free = tcp_source_at(t, id)->hash_next;
	} else if (so->used < so->max) {
		id = ++so->used;
	} else {
		return 0;
	}
	x = tcp_source_at(t, id);
	memset(x, 0, sizeof(*x));
	x->family = u->family;
	key_of(u, x->addr);
	bucket = bucket_of(t, u);
	x->hash_next = *bucket;
	*bucket = id;
	so->nb++;
	return id;
}

void tcp_source_put(struct sl_tcp *t, uint32_t id)
{
	struct tcp_sources *so = &t->sources;
	struct tcp_source *x = tcp_source_at(t, id);
	struct tcp_tuple u = {0};
	uint32_t *p;

	if (x == NULL || x->nb_conns > 0 || x->nb_half_open > 0)
		return;
	u.family = x->family;
	memcpy(u.raddr, x->addr, sizeof(u.raddr));
	p = bucket_of(t, &u);
	while (*p != id)
		p = &tcp_source_at(t, *p)->hash_next;
	*p = x->hash_next;
	x->hash_next = so->free;
	so->free = id;
	so->nb--;
}

int tcp_caps_admit(struct sl_tcp *t, const struct sl_tcp_listener *l, uint32_t source)
{
	const struct tcp_source *x = tcp_source_at(t, source);

	if (t->nb_conns >= t->cfg.max_conns)
		return sl_fail(SL_E_TCP_CONN_LIMIT);
	if (l->max_conns != 0 && l->nb_conns >= l->max_conns)
		return sl_fail(SL_E_TCP_LISTENER_LIMIT);
	if (x != NULL && t->cfg.max_conns_per_source != 0 && x->nb_conns >= t->cfg.max_conns_per_source)
		return sl_fail(SL_E_TCP_SOURCE_LIMIT);
	return SL_OK;
}

void tcp_caps_enter(struct sl_tcp_conn *c, struct sl_tcp_listener *l, uint32_t source)
{
	c->listener = l;
	c->source = source;
	c->counted = l->max_bytes != 0 || c->t->cfg.max_bytes_per_source != 0;
	l->nb_conns++;
	tcp_source_at(c->t, source)->nb_conns++;
}

void tcp_caps_leave(struct sl_tcp_conn *c)
{
	struct sl_tcp_listener *l = c->listener;

	c->counted = false;
	if (l != NULL) {
		l->nb_conns--;
		c->listener = NULL;
		tcp_listener_put(c->t, l);
	}
	if (c->source != 0) {
		tcp_source_at(c->t, c->source)->nb_conns--;
		tcp_source_put(c->t, c->source);
		c->source = 0;
	}
}
