/*
 * How many cache lines of a connection the three things touch that it does all the time: data in order that
 * comes, is delivered and acknowledged; a segment that is sent; an ACK that moves SND.UNA, nothing lost.
 */
#include <stdlib.h>

#include "test_hot.h"
#include "test_tcp_util.h"

#define WARM  40  /* rounds before anything is counted */
#define ROUND 100 /* microseconds */
#define REPLY 500 /* bytes */

#define LINE(field) (UINT64_C(1) << offsetof(struct sl_tcp_conn, field) / TCP_LINE)

/* By the first field of each. */
#define JUDGED   LINE(t)
#define TAKEN    LINE(rcvq)
#define SENT     LINE(sndq)
#define MOVED    LINE(rack)
#define FLYING   LINE(srtt_us)
#define TO_WHOM  LINE(tuple)
#define WRITTEN  LINE(stat)
#define HOT_BOTH (JUDGED | TAKEN)

static uint8_t bytes[MSS_MAX];

static void watch(const struct peer *p)
{
	memset(hot.touched, 0, sizeof(hot.touched));
	hot.base = (const uint8_t *)p->e.c;
}

/* Nothing but these lines and one or two of the trace may have been touched. */
static void nothing_but(const char *what, uint64_t lines)
{
	uint32_t nb = 0, sum = 0, ring = 0;

	hot.base = NULL;
	for (uint32_t l = 0; l < HOT_BYTES / TCP_LINE; l++) {
		uint32_t n = 0;

		for (uint32_t i = 0; i < TCP_LINE; i++)
			n += hot.touched[l * TCP_LINE + i];
		sum += n;
		nb += n > 0;
		if (n > 0 && UINT64_C(1) << l >= LINE(trace.ring))
			ring++;
		else if (n > 0 && !(lines & UINT64_C(1) << l))
			fail_msg("%s touches line %u", what, l);
	}
	print_message("%s: %u bytes in %u lines, %u of them of the trace\n", what, sum, nb, ring);
	assert_true(sum > 0 && ring <= 2);
}

static void receive(struct peer *p)
{
	struct sl_span v[4];
	uint32_t n = test_mss() - 12U;

	peer_tx(p, F_ACK | F_PSH, p->seq, p->ack, bytes, n);
	p->seq += n;
	while (sl_tcp_peek(p->e.c, v, 4) > 0)
		sl_tcp_consume(p->e.c, v[0].n);
}

static void reply(struct peer *p)
{
	assert_int_equal(sl_tcp_write(p->e.c, sl_span(bytes, REPLY)), REPLY);
	sl_tcp_flush(p->h.t, p->now);
}

static void acked(struct peer *p)
{
	p->ack += REPLY;
	peer_tx(p, F_ACK, p->seq, p->ack, NULL, 0);
	sl_tcp_flush(p->h.t, p->now);
}

static void warm_up(struct peer *p)
{
	peer_init(p, NULL);
	p->ts = p->sack = true;
	p->wscale = 7;
	peer_connect(p);
	for (int i = 0; i < WARM; i++) {
		receive(p);
		reply(p);
		assert_true(peer_drain(p) > 0);
		peer_run(p, ROUND);
		acked(p);
		peer_run(p, ROUND);
	}
	/* A measure of the receive buffer may end, as it does once in a millisecond; and their ACK goes. */
	receive(p);
	receive(p);
	sl_tcp_flush(p->h.t, p->now);
	peer_drain(p);
}

/* A request, its reply, and the ACK of that. */
static void test_exchange(void **state)
{
	struct peer p;

	warm_up(&p);
	watch(&p);
	receive(&p);
	nothing_but("data in order, delivered", HOT_BOTH | WRITTEN);
	watch(&p);
	reply(&p);
	nothing_but("a segment sent", HOT_BOTH | SENT | MOVED | FLYING | TO_WHOM | WRITTEN);
	(void)peer_drain(&p);
	peer_run(&p, ROUND);
	watch(&p);
	acked(&p);
	nothing_but("an ACK that moves SND.UNA", HOT_BOTH | SENT | MOVED | FLYING | WRITTEN);
	peer_fini(&p);
}

/* Data that goes one way: every second segment is acknowledged. */
static void test_one_way(void **state)
{
	struct peer p;

	warm_up(&p);
	watch(&p);
	receive(&p);
	receive(&p);
	sl_tcp_flush(p.h.t, p.now);
	nothing_but("two segments and their ACK", HOT_BOTH | TO_WHOM | WRITTEN);
	assert_int_equal(peer_drain(&p), 1);
	peer_fini(&p);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_exchange), cmocka_unit_test(test_one_way)};

	if (test_setup(argc, argv) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
