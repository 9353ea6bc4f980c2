/*
 * The Internet checksum (RFC 1071) over packets. DPDK 22.11's rte_raw_cksum_mbuf() is not used: it loses
 * carries in a chain whose segments have odd lengths (it swaps the bytes of a sum that was cut to 16 bits,
 * not folded).
 */
#include "port_priv.h"

#include <netinet/in.h>

static uint16_t fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

#ifdef __x86_64__
#include <immintrin.h>

#define WIDE_BYTES 64U  /* at a time */
#define WIDE_MIN   128U /* below it does not pay */

static bool has_avx2;

RTE_INIT(sum_init)
{
	has_avx2 = __builtin_cpu_supports("avx2") != 0;
}

/* The same words, sixteen at a time: n is a multiple of WIDE_BYTES. */
__attribute__((target("avx2"))) static uint64_t sum_wide(const uint8_t *p, size_t n)
{
	const __m256i low = _mm256_set1_epi64x(UINT32_MAX);
	__m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
	uint64_t lane[4];

	for (; n > 0; n -= WIDE_BYTES, p += WIDE_BYTES) {
		__m256i v = _mm256_loadu_si256((const __m256i *)(const void *)p);
		__m256i w = _mm256_loadu_si256((const __m256i *)(const void *)(p + sizeof(v)));

		a = _mm256_add_epi64(a, _mm256_and_si256(v, low));
		b = _mm256_add_epi64(b, _mm256_srli_epi64(v, 32));
		c = _mm256_add_epi64(c, _mm256_and_si256(w, low));
		d = _mm256_add_epi64(d, _mm256_srli_epi64(w, 32));
	}
	a = _mm256_add_epi64(_mm256_add_epi64(a, b), _mm256_add_epi64(c, d));
	_mm256_storeu_si256((__m256i *)(void *)lane, a);
	return lane[0] + lane[1] + lane[2] + lane[3];
}
#endif

/*
 * Words of 32 bits into a sum of 64: 2^32 of them fit. Four at a time, so that the additions do not wait for
 * each other.
 */
static uint16_t sum_bytes(const uint8_t *p, size_t n)
{
	uint64_t a[4] = {0, 0, 0, 0};
	uint32_t w[4];

#ifdef __x86_64__
	if (n >= WIDE_MIN && has_avx2) {
		size_t wide = n - n % WIDE_BYTES;

		a[0] = sum_wide(p, wide);
		p += wide;
		n -= wide;
	}
#endif
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

static uint32_t pseudo_sum(const struct rte_mbuf *m, const struct port_hdr *h)
{
	struct {
		rte_be32_t len;
		uint8_t zero[3];
		uint8_t proto;
	} v6 = {rte_cpu_to_be_32(h->l4_len), {0}, IPPROTO_TCP};
	struct {
		uint8_t zero;
		uint8_t proto;
		rte_be16_t len;
	} v4 = {0, IPPROTO_TCP, rte_cpu_to_be_16(h->l4_len)};
	const uint8_t *ip = rte_pktmbuf_mtod_offset(m, const uint8_t *, h->l3_off);

	if (h->v6)
		return (uint32_t)sum_bytes(ip + 8, 32) + sum_bytes((const uint8_t *)&v6, sizeof(v6));
	return (uint32_t)sum_bytes(ip + 12, 8) + sum_bytes((const uint8_t *)&v4, sizeof(v4));
}

uint16_t port_tcp_sum(const struct rte_mbuf *m, const struct port_hdr *h)
{
	if ((uint32_t)h->l4_off + h->l4_len > m->pkt_len)
		return 0;
	return fold((uint64_t)sum_packet(m, h->l4_off, h->l4_len) + pseudo_sum(m, h));
}
