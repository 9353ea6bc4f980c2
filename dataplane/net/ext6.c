/*
 * IPv6 extension headers (RFC 8200 4) in the order that the standard recommends, each at most once, options
 * as RFC 8504 5.3 lets a host limit them. Anything else refuses the packet: what is needed to reach a TCP
 * port fits easily, and no middle box may read a packet another way than we do.
 */
#include "net_priv.h"

#include <netinet/in.h>

#define EXT_OPTS_MAX   8 /* options that are not padding, in one header */
#define PAD_MAX        7 /* bytes of padding in a row: more is a hiding place */
#define OPT_PAD1       0
#define OPT_PADN       1
#define OPT_ALERT      5 /* router alert (RFC 2711): nothing to do for a host */
#define OPT_ACTION     0xc0
#define OPT_SKIP       0x00
#define OPT_DISCARD    0x40
#define OPT_REPORT     0x80 /* and 0xc0: but not about packets to a group */
#define ROUTING_TYPE_0 0
#define NEXT_NONE      59

#define ICMP6_PARAM        4
#define ICMP6_PARAM_FIELD  0
#define ICMP6_PARAM_NEXT   1
#define ICMP6_PARAM_OPTION 2

static int report(struct net_ext6 *x, uint8_t code, uint32_t at, int err)
{
	x->report_type = ICMP6_PARAM;
	x->report_code = code;
	x->report_arg = at;
	return err;
}

/* An option that we do not know; `at`: where it is (RFC 8200 4.2). 0: it is skipped. */
static int unknown_option(struct net_ext6 *x, uint8_t type, uint32_t at)
{
	switch (type & OPT_ACTION) {
	case OPT_SKIP:
		return SL_OK;
	case OPT_DISCARD:
		return SL_E_NET_IP6_EXT;
	case OPT_REPORT:
		x->even_group = true;
		break;
	default:
		break;
	}
	return report(x, ICMP6_PARAM_OPTION, at, SL_E_NET_IP6_EXT);
}

/* PadN's bytes are zero (RFC 8200 4.2), and few. */
static bool padding_good(const uint8_t *p, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (p[i] != 0)
			return false;
	}
	return true;
}

/* The options from `at` to `end`, which are within the packet. */
static int options(struct net_ext6 *x, const uint8_t *ip, uint32_t at, uint32_t end)
{
	uint32_t nb = 0;
	uint32_t pad = 0;

	while (at < end) {
		uint8_t type = ip[at];
		uint32_t len = 1;
		int rc = SL_OK;

		if (type != OPT_PAD1) {
			if (end - at < 2 || (uint32_t)ip[at + 1] + 2 > end - at)
				return report(x, ICMP6_PARAM_FIELD, at, SL_E_NET_IP6_EXT);
			len = (uint32_t)ip[at + 1] + 2;
		}
		pad = type == OPT_PAD1 || type == OPT_PADN ? pad + len : 0;
		if (pad > PAD_MAX || (type == OPT_PADN && !padding_good(ip + at + 2, len - 2)))
			return SL_E_NET_IP6_EXT;
		if (pad == 0 && ++nb > EXT_OPTS_MAX)
			return SL_E_NET_IP6_EXT;
		if (pad == 0 && type != OPT_ALERT)
			rc = unknown_option(x, type, at);
		if (rc != SL_OK)
			return rc;
		at += len;
	}
	return SL_OK;
}

/* Type 0 is forbidden (RFC 5095); the others pass when their way ends here. */
static int routing(struct net_ext6 *x, const uint8_t *ip, uint32_t at)
{
	if (ip[at + 2] != ROUTING_TYPE_0 && ip[at + 3] == 0)
		return SL_OK;
	return report(x, ICMP6_PARAM_FIELD, at + 2, SL_E_NET_IP6_ROUTING);
}

/* The rank of a header of this kind behind x->rank; NET_EXT6_NONE: no extension header. */
static enum net_ext6_rank rank_of(const struct net_ext6 *x)
{
	switch (x->proto) {
	case IPPROTO_HOPOPTS:
		return NET_EXT6_HOP;
	case IPPROTO_ROUTING:
		return NET_EXT6_ROUTING;
	case IPPROTO_FRAGMENT:
		return NET_EXT6_FRAGMENT;
	case IPPROTO_DSTOPTS:
		return x->rank < NET_EXT6_DEST_FIRST ? NET_EXT6_DEST_FIRST : NET_EXT6_DEST_LAST;
	default:
		return NET_EXT6_NONE;
	}
}

/* One header of options or routing: its length and content, and what is next. */
static int one(struct net_ext6 *x, const uint8_t *ip, uint32_t len, enum net_ext6_rank rank)
{
	uint32_t at = x->at;
	uint32_t n;
	int rc;

	if (len - at < 8)
		return SL_E_NET_SHORT;
	n = ((uint32_t)ip[at + 1] + 1) * 8;
	if (n > len - at)
		return SL_E_NET_SHORT;
	if (at + n > NET_IP6_LEN + NET_EXT6_BYTES_MAX)
		return SL_E_NET_IP6_EXT;
	rc = rank == NET_EXT6_ROUTING ? routing(x, ip, at) : options(x, ip, at + 2, at + n);
	if (rc != SL_OK)
		return rc;
	x->proto = ip[at];
	x->proto_at = at;
	x->at = at + n;
	x->rank = (uint8_t)rank;
	return SL_OK;
}

int net_ext6_walk(const uint8_t *ip, uint32_t len, struct net_ext6 *x)
{
	for (;;) {
		enum net_ext6_rank rank = rank_of(x);
		int rc;

		if (rank == NET_EXT6_NONE)
			break;
		/* Hop-by-hop behind anything else is an unknown next header (RFC 8200 4). */
		if (rank <= (enum net_ext6_rank)x->rank)
			return report(x, ICMP6_PARAM_NEXT, x->proto_at, SL_E_NET_IP6_EXT);
		if (rank == NET_EXT6_FRAGMENT)
			return SL_OK;
		rc = one(x, ip, len, rank);
		if (rc != SL_OK)
			return rc;
	}
	if (x->proto == IPPROTO_TCP || x->proto == IPPROTO_ICMPV6)
		return SL_OK;
	if (x->proto == NEXT_NONE)
		return SL_E_NET_IP_PROTO;
	return report(x, ICMP6_PARAM_NEXT, x->proto_at, SL_E_NET_IP_PROTO);
}
