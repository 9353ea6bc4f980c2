/* What a segment may move that is not simply the next one: the window when it is an older one, TS.Recent when
 * its ACK is wrong or the rest was long, anything at all when it stands at the edge. */
#include "test_tcp_util.h"

static uint8_t zeros[64 * MSS_MAX];

static void data_in(struct peer *p, uint32_t at, const char *text)
{
	peer_tx(p, F_ACK | F_PSH, p->seq + at, p->ack, text, (uint32_t)strlen(text));
	peer_drain(p);
}

static void connect_with_timestamps(struct peer *p)
{
	peer_init(p, NULL);
	p->ts = true;
	peer_connect(p);
}

/* ---- timestamps ---- */

/*
 * A segment whose ACK cannot be true, or that has none, is dropped (RFC 5961, 5) and leaves nothing behind: a
 * blind sender who hits the window could else put TS.Recent so far ahead that PAWS drops all that the true
 * peer sends, and feed the clock of the keep-alive.
 */
static void test_blind_timestamp(void **state)
{
	static const uint8_t flags[] = {F_ACK, 0, F_ACK | F_PSH};
	struct peer p;

	for (uint32_t i = 0; i < 3; i++) {
		uint32_t before = i < 2 ? 400 : 0; /* bytes that were there already */
		uint64_t heard;

		connect_with_timestamps(&p);
		data_in(&p, 0, "good");
		heard = p.now;
		peer_run(&p, TCP_S);
		p.ts_val += 0x60000000;
		peer_tx(&p, flags[i], p.seq + 4 - before, p.ack + 0x40000000, zeros, 1000);
		peer_drain(&p);
		assert_int_equal(sl_tcp_readable(p.e.c), 4);
		assert_int_equal(p.e.c->last_recv_us, heard);
		p.ts_val -= 0x60000000 - 1;
		data_in(&p, 4, "more");
		assert_int_equal(sl_tcp_readable(p.e.c), 8);
		peer_fini(&p);
	}
}

/*
 * Behind 24 days of silence the first segment is believed whatever its timestamp says (RFC 7323, 5.5). That
 * is TS.Recent from then on, whether or not the segment fills a gap: the second one would be dropped for
 * ever.
 */
static void test_timestamp_after_rest(void **state)
{
	struct peer p;

	for (uint32_t lost = 0; lost < 2; lost++) {
		connect_with_timestamps(&p);
		data_in(&p, 0, "before");
		p.now += 30 * UINT64_C(86400) * TCP_S;
		p.ts_val += 30U * 86400 * 1000; /* more than 2^31 ahead: it seems to lie behind */
		sl_tcp_tick(p.h.t, p.now);
		data_in(&p, lost > 0 ? 11 : 6, "after");
		p.now += TCP_S;
		p.ts_val += 1000;
		data_in(&p, lost > 0 ? 6 : 11, "again");
		assert_int_equal(sl_tcp_readable(p.e.c), 16);
		peer_fini(&p);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_blind_timestamp),
	        cmocka_unit_test(test_timestamp_after_rest),
	};

	if (test_setup(argc, argv) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
