/*
 * Everything that must not be guessed from outside: the hash of 4-tuples, initial sequence numbers (RFC
 * 6528), local ports (RFC 6056), timestamp offsets (RFC 7323, 5.4). All from SipHash-2-4 under the secret of
 * the configuration, each use with a domain of its own.
 */
#include "sl_siphash.h"
#include "tcp_priv.h"

enum domain {
	DOMAIN_TABLE = 1,
	DOMAIN_ISN,
	DOMAIN_PORT,
	DOMAIN_PORT_COUNTER,
	DOMAIN_TS,
	DOMAIN_ADDRESS,
	DOMAIN_COOKIE,
};

static uint64_t hash_for(const struct sl_tcp *t, enum domain d, const struct tcp_tuple *u)
{
	struct tcp_tuple x = *u;

	x.zero[0] = (uint8_t)d;
	return sl_siphash(t->key, &x, sizeof(x));
}

uint64_t tcp_tuple_hash(const struct sl_tcp *t, const struct tcp_tuple *u)
{
	return hash_for(t, DOMAIN_TABLE, u);
}

/* ISN = M + F(tuple, secret): M ticks each 4 microseconds. */
uint32_t tcp_isn(const struct sl_tcp *t, const struct tcp_tuple *u, uint64_t now_us)
{
	return (uint32_t)(now_us / 4) + (uint32_t)hash_for(t, DOMAIN_ISN, u);
}

uint32_t tcp_ts_offset(const struct sl_tcp *t, const struct tcp_tuple *u)
{
	return (uint32_t)hash_for(t, DOMAIN_TS, u);
}

uint32_t tcp_address_hash(const struct sl_tcp *t, const struct tcp_tuple *u)
{
	return (uint32_t)hash_for(t, DOMAIN_ADDRESS, u);
}

void tcp_cookie_secret(const struct sl_tcp *t, uint64_t span, uint64_t key[2])
{
	uint64_t in[3] = {DOMAIN_COOKIE, span, 0};

	key[0] = sl_siphash(t->key, in, sizeof(in));
	in[2] = 1;
	key[1] = sl_siphash(t->key, in, sizeof(in));
}

/* The guess goes to the nearest port whose replies reach this worker. */
static bool port_good(struct sl_tcp *t, struct tcp_tuple *u)
{
	struct sl_endpoint local = {tcp_addr(u->laddr, u->family), u->lport};
	struct sl_endpoint remote = {tcp_addr(u->raddr, u->family), u->rport};

	if (t->cfg.ops->port_near != NULL)
		u->lport = t->cfg.ops->port_near(t->cfg.ctx, &local, &remote);
	return u->lport >= TCP_PORT_FIRST;
}

static bool port_free(struct sl_tcp *t, const struct tcp_tuple *u)
{
	struct sl_endpoint local = {tcp_addr(u->laddr, u->family), u->lport};
	struct sl_endpoint remote = {tcp_addr(u->raddr, u->family), u->rport};
	uint64_t h;

	if (tcp_port_listened(t, u->lport))
		return false;
	if (t->cfg.ops->port_ok != NULL && !t->cfg.ops->port_ok(t->cfg.ctx, &local, &remote))
		return false;
	h = tcp_tuple_hash(t, u);
	return tcp_table_find(t, h) == NULL && tcp_tw_find(t, h) == NULL;
}

/*
 * As many as a worker has the time for; the next call looks at others. Taken ports lie in rows, which strides
 * get over: a row of free ones that is a hundredth of all is found.
 */
int tcp_pick_port(struct sl_tcp *t, struct tcp_tuple *u)
{
	uint32_t offset, *counter;

	u->lport = 0;
	offset = (uint32_t)hash_for(t, DOMAIN_PORT, u);
	counter = &t->port_counters[hash_for(t, DOMAIN_PORT_COUNTER, u) % TCP_PORT_COUNTERS];
	for (uint32_t i = 0; i < TCP_PORT_TRIES; i++) {
		u->lport = (uint16_t)(TCP_PORT_FIRST + (offset + *counter) % TCP_PORT_COUNT);
		*counter += i < TCP_PORT_ROW ? 1 : TCP_PORT_STRIDE;
		if (port_good(t, u) && port_free(t, u))
			return SL_OK;
	}
	return sl_fail(SL_E_TCP_NO_PORT);
}
