/*
 * Receive-side scaling with a key and a table of ours: the owner of a connection is what the device itself
 * computes, so that packets arrive where they belong. The Toeplitz hash is linear: the sum (exclusive or) of
 * what each half byte of the input adds, which a table per half byte knows.
 *
 * A packet of a connection that we open has our port as its destination: rte_thash makes a key in which that
 * port's low bits reach every entry of the table, and finds the port for a wanted one.
 */
#include "port_priv.h"

#include <stdlib.h>
#include <stdio.h>
#include <sys/random.h>

#include <rte_thash.h>

#define RSS_DST_PORT_V4 (8 * 10) /* bits of the input in front of our port: addresses, the peer's port */
#define RSS_DST_PORT_V6 (8 * 34)
#define RSS_PORT_BITS   16

static uint32_t toeplitz(const struct port_rss *r, const uint8_t *in, uint32_t n)
{
	uint32_t h = 0;

	for (uint32_t i = 0; i < n; i++)
		h ^= r->table[2 * i][in[i] >> 4] ^ r->table[2 * i + 1][in[i] & 15];
	return h;
}

/* The 32 bits of the key from bit `at` on. */
static uint32_t key_bits(const uint8_t *key, uint32_t at)
{
	uint64_t w = 0;

	for (uint32_t i = 0; i < 5; i++)
		w = w << 8 | (at / 8 + i < PORT_RSS_KEY ? key[at / 8 + i] : 0);
	return (uint32_t)(w >> (8 - at % 8));
}

void port_rss_table(struct port_rss *r, const uint8_t key[PORT_RSS_KEY])
{
	for (uint32_t i = 0; i < 2 * PORT_RSS_INPUT; i++) {
		for (uint32_t v = 0; v < 16; v++) {
			r->table[i][v] = 0;
			for (uint32_t bit = 0; bit < 4; bit++) {
				if ((v & (8u >> bit)) != 0)
					r->table[i][v] ^= key_bits(key, 4 * i + bit);
			}
		}
	}
}

/* The input of the hash: addresses and ports as the packet has them. Returns its length. */
static uint32_t tuple_of(const struct sl_endpoint *src, const struct sl_endpoint *dst,
                         uint8_t in[PORT_RSS_INPUT])
{
	uint32_t n = src->addr.family == SL_AF_INET6 ? 16 : 4;

	memcpy(in, src->addr.b, n);
	memcpy(in + n, dst->addr.b, n);
	sl_put_be16(in + 2 * n, src->port);
	sl_put_be16(in + 2 * n + 2, dst->port);
	return 2 * n + 4;
}

uint32_t port_rss_hash(const struct port_rss *r, const struct sl_endpoint *src, const struct sl_endpoint *dst)
{
	uint8_t in[PORT_RSS_INPUT] = {0};

	return toeplitz(r, in, tuple_of(src, dst, in));
}

uint16_t port_rss_owner(const struct sl_port *p, const struct sl_endpoint *src, const struct sl_endpoint *dst)
{
	uint32_t h = port_rss_hash(p->rss, src, dst);

	return port_living(p, (uint16_t)((h & (p->rss->reta_size - 1)) % p->nb_workers), h);
}

/*
 * Of the entries of the table that lead to the worker the guess takes one, so that the guesses of a block of
 * ports find all of its ports that are good.
 */
uint16_t port_rss_pick(const struct sl_port *p, uint16_t worker, const struct sl_endpoint *local,
                       const struct sl_endpoint *remote)
{
	const struct port_rss *r = p->rss;
	uint32_t entries = (r->reta_size - worker + p->nb_workers - 1) / p->nb_workers;
	uint32_t wanted = worker + local->port % entries * p->nb_workers;
	uint8_t in[PORT_RSS_INPUT] = {0};
	uint32_t n = tuple_of(remote, local, in);

	if (rte_thash_adjust_tuple(r->ctx, n > 12 ? r->help_v6 : r->help_v4, in, n, wanted, 1, NULL, NULL) !=
	    0)
		return 0;
	return sl_get_be16(in + n - 2);
}

void port_rss_free(struct port_rss *r)
{
	if (r != NULL && r->ctx != NULL)
		rte_thash_free_ctx(r->ctx);
	free(r);
}

/* NULL: the table's size is none that can be used, or no memory. */
struct port_rss *port_rss_new(uint16_t port_id, uint32_t reta_size)
{
	struct port_rss *r = calloc(1, sizeof(*r));
	char name[32];

	if (r == NULL || !rte_is_power_of_2(reta_size) || reta_size < PORT_RSS_RETA_MIN ||
	    reta_size > PORT_RSS_RETA_MAX ||
	    getrandom(r->key, sizeof(r->key), 0) != (ssize_t)sizeof(r->key)) {
		free(r);
		return NULL;
	}
	r->reta_size = reta_size;
	(void)snprintf(name, sizeof(name), "sl_rss_%u", port_id);
	r->ctx = rte_thash_init_ctx(name, PORT_RSS_KEY, rte_log2_u32(reta_size), r->key, 0);
	if (r->ctx != NULL && rte_thash_add_helper(r->ctx, "v4", RSS_PORT_BITS, RSS_DST_PORT_V4) == 0 &&
	    rte_thash_add_helper(r->ctx, "v6", RSS_PORT_BITS, RSS_DST_PORT_V6) == 0) {
		r->help_v4 = rte_thash_get_helper(r->ctx, "v4");
		r->help_v6 = rte_thash_get_helper(r->ctx, "v6");
		memcpy(r->key, rte_thash_get_key(r->ctx), sizeof(r->key));
		port_rss_table(r, r->key);
		return r;
	}
	port_rss_free(r);
	return NULL;
}

static int set_table(uint16_t id, const struct port_rss *r, uint16_t nb_queues)
{
	struct rte_eth_rss_reta_entry64 t[PORT_RSS_RETA_MAX / RTE_ETH_RETA_GROUP_SIZE];

	memset(t, 0, sizeof(t));
	for (uint32_t i = 0; i < r->reta_size; i++) {
		struct rte_eth_rss_reta_entry64 *e = &t[i / RTE_ETH_RETA_GROUP_SIZE];

		e->mask |= UINT64_C(1) << (i % RTE_ETH_RETA_GROUP_SIZE);
		e->reta[i % RTE_ETH_RETA_GROUP_SIZE] = (uint16_t)(i % nb_queues);
	}
	return rte_eth_dev_rss_reta_update(id, t, (uint16_t)r->reta_size);
}

/*
 * A device that does not take the table or the key, or that says it has another key, is left to spread as it
 * likes; then the owner is decided in software.
 */
bool port_rss_apply(uint16_t id, struct port_rss *r, uint16_t nb_queues, uint64_t hashes)
{
	uint8_t now[PORT_RSS_KEY];
	struct rte_eth_rss_conf conf = {.rss_key = r->key, .rss_key_len = PORT_RSS_KEY, .rss_hf = hashes};
	int rc = rte_eth_dev_rss_hash_update(id, &conf);

	if ((rc != 0 && rc != -ENOTSUP) || set_table(id, r, nb_queues) != 0)
		return false;
	memset(now, 0, sizeof(now));
	conf = (struct rte_eth_rss_conf){.rss_key = now, .rss_key_len = PORT_RSS_KEY};
	rc = rte_eth_dev_rss_hash_conf_get(id, &conf);
	return rc == -ENOTSUP || (rc == 0 && memcmp(now, r->key, sizeof(now)) == 0);
}
