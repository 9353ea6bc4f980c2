/*
 * The Internet checksum (RFC 1071) over packets. DPDK 22.11's rte_raw_cksum_mbuf() is not used: it loses
 * carries in a chain whose segments have odd lengths (it swaps the bytes of a sum that was cut to 16 bits,
 * not folded).
 */
#include "port_priv.h"

static uint16_t fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/*
 * Words of 32 bits into a sum of 64: 2^32 of them fit. Four at a time, so that the additions do not wait for
 * each other.
 */
static uint16_t sum_bytes(const uint8_t *p, size_t n)
{
	uint64_t a[4] = {0, 0, 0, 0};
	uint32_t w[4];

	for (; n >= sizeof(w); n -= sizeof(w), p += sizeof(w)) {
		memcpy(w, p, sizeof(w));
		a[0] += w[0];
		a[1] += w[1];
		a[2] += w[2];
		a[3] += w[3];
	}
	memset(w, 0, sizeof(w));
	if (n > 0)
		memcpy(w, p, n); /* the missing bytes of the last word count as zero */
	return fold(a[0] + a[1] + a[2] + a[3] + w[0] + w[1] + w[2] + w[3]);
}

/* Sum of len bytes from off; they are within the packet. */
static uint16_t sum_packet(const struct rte_mbuf *m, uint32_t off, uint32_t len)
{
	uint32_t done = 0;
	uint64_t sum = 0;

	for (; m != NULL && done < len; m = m->next) {
		uint32_t n;
		uint16_t part;

		if (off >= m->data_len) {
			off -= m->data_len;
			continue;
		}
		n = RTE_MIN((uint32_t)m->data_len - off, len - done);
		part = sum_bytes(rte_pktmbuf_mtod_offset(m, const uint8_t *, off), n);
		sum += (done & 1) != 0 ? rte_bswap16(part) : part; /* it began in the second half of a word */
		done += n;
		off = 0;
	}
	return fold(sum);
}

uint16_t port_tcp_sum(const struct rte_mbuf *m, const struct rte_ipv4_hdr *ip, uint32_t l4_off)
{
	uint32_t ip_len = rte_be_to_cpu_16(ip->total_length);
	uint32_t l3_len = rte_ipv4_hdr_len(ip);

	if (ip_len < l3_len || l4_off + (ip_len - l3_len) > m->pkt_len)
		return 0;
	return fold((uint64_t)sum_packet(m, l4_off, ip_len - l3_len) + rte_ipv4_phdr_cksum(ip, 0));
}
