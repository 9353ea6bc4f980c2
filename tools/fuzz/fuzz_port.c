/*
 * Packets as devices hand them to a port: in chains of buffers (LRO, scattering), and with the header of a
 * kernel interface in front. One input is such a header, and a row of records: how, what the first buffer
 * takes, what each further one takes, a byte of length, the frame.
 */
#include "net_world.h"

#include "kernel.h"

#define HOW_FOR_US  4  /* the destination is put right */
#define HOW_ROOM    8  /* the first buffer could take more */
#define HOW_LENGTHS 16 /* IP's length is put right, when the frame is one without VLAN */

static void kernel_header(struct world_input *in)
{
	struct virtio_net_hdr v;
	uint8_t b[sizeof(v)] = {0};
	uint64_t flags = 0;
	uint32_t len;
	bool wire;
	int rc;

	(void)world_bytes(in, b, sizeof(b));
	memcpy(&v, b, sizeof(v));
	len = (uint32_t)world_byte(in) << 8 | world_byte(in);
	wire = world_byte(in) % 2 == 1;
	rc = kernel_rx_flags(&v, len, wire, &flags);
	must(rc == SL_OK || rc == (wire ? SL_E_PORT_RX_OFFLOAD : SL_E_PORT_RX_HEADER),
	     "what a kernel's header can be");
	must(flags == 0 || (rc == SL_OK && flags == RTE_MBUF_F_RX_L4_CKSUM_GOOD),
	     "what it can say of a packet");
	must(rc != SL_OK || wire || (v.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0 ||
	             (uint32_t)v.csum_start + v.csum_offset + 2 <= len,
	     "a sum that is not filled in lies in the packet");
}

/* A buffer with n bytes; without room, they are its last ones. */
static struct rte_mbuf *buffer(const uint8_t *d, size_t n, bool room)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(world.pool);
	char *to;

	must(m != NULL, "there is a buffer for a part");
	if (!room)
		m->data_off = (uint16_t)(m->buf_len - n);
	to = rte_pktmbuf_append(m, (uint16_t)n);
	must(to != NULL, "a part fits its buffer");
	memcpy(to, d, n);
	return m;
}

static void put_length(uint8_t *f, size_t n)
{
	if (n >= RTE_ETHER_HDR_LEN + NET_IP4_LEN && sl_get_be16(f + 12) == RTE_ETHER_TYPE_IPV4)
		sl_put_be16(f + RTE_ETHER_HDR_LEN + 2, (uint16_t)(n - RTE_ETHER_HDR_LEN));
	else if (n >= RTE_ETHER_HDR_LEN + NET_IP6_LEN && sl_get_be16(f + 12) == RTE_ETHER_TYPE_IPV6)
		sl_put_be16(f + RTE_ETHER_HDR_LEN + 4, (uint16_t)(n - RTE_ETHER_HDR_LEN - NET_IP6_LEN));
}

static void chain(const uint8_t *f, size_t n, unsigned how, size_t first, size_t each)
{
	struct rte_mbuf *m = buffer(f, RTE_MIN(first, n), (how & HOW_ROOM) != 0);

	for (size_t at = first; at < n; at += each)
		must(rte_pktmbuf_chain(m, buffer(f + at, RTE_MIN(each, n - at), true)) == 0,
		     "a chain can be made");
	if ((how & WORLD_CHECKED) != 0)
		m->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	world.left = 0;
	must(rte_ring_enqueue(world.in, m) == 0, "room in the ring");
	for (int w = 0; w < WORLD_WORKERS; w++)
		(void)sl_net_poll(world.net[w], world.now_us);
	world_take_out();
	must(world.left <= WORLD_ANSWERS, "one packet does not bring about many");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world_input in = {data, size};
	uint8_t f[256 * 6];

	world_begin();
	kernel_header(&in);
	while (in.n >= 4) {
		uint8_t how = world_byte(&in);
		size_t first = world_byte(&in);
		size_t each = 16 + (size_t)world_byte(&in);
		size_t n = world_bytes(&in, f, (size_t)world_byte(&in) * 6);

		if ((how & HOW_FOR_US) != 0 && n >= 6)
			memcpy(f, world.mac.addr_bytes, 6);
		if ((how & HOW_LENGTHS) != 0)
			put_length(f, n);
		chain(f, n, how, first, each);
		world_pass(1000);
	}
	world_end();
	return 0;
}
