/*
 * What clients that have not said who they are hold of a worker's large buffers, with the real flow and
 * decoder: the streams are played.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "sl_flow.h"
#include "sl_postgres.h"

#define MESSAGE_MAX (1024 * 1024)
/* As sl_worker_new() and the configuration have it. */
#define SESSIONS        4096u
#define NB_LARGE        (SESSIONS / 16 + 16)
#define UNAUTHENTICATED (SESSIONS / 4 + 1)
/* A password message of the longest token, and what its sender has sent of it. */
#define PASSWORD_BYTES (1 + 4 + 16384 + 1)
#define SENT           (PASSWORD_BYTES - 1)

struct client {
	struct sl_flow flow;
	uint8_t *in;
	size_t n, at;
	void *dec_state;
};

static struct client clients[UNAUTHENTICATED];
static uint8_t *scratch;
static struct sl_mem *mem;

static int wire_pump(void *st)
{
	(void)st;
	return SL_OK;
}

static long wire_read(void *st, uint8_t *buf, size_t cap, int *end)
{
	struct client *c = st;
	size_t n = c->n - c->at < cap ? c->n - c->at : cap;

	(void)end;
	memcpy(buf, c->in + c->at, n);
	c->at += n;
	return (long)n;
}

static size_t wire_write(void *st, struct sl_span b)
{
	(void)st;
	return b.n;
}

static void wire_nothing(void *st)
{
	(void)st;
}

static const struct sl_stream_ops wire_ops = {
        .pump = wire_pump,
        .read = wire_read,
        .write = wire_write,
        .shutdown = wire_nothing,
        .discard = wire_nothing,
        .free = wire_nothing,
};

static int host_event(void *ctx, const struct sl_event *ev, struct sl_verdict *v)
{
	(void)ctx;
	(void)ev;
	v->action = SL_ACT_PARK;
	return SL_OK;
}

static int host_tap(void *ctx, struct sl_span bytes)
{
	(void)ctx;
	(void)bytes;
	return SL_OK;
}

static bool host_may_feed(void *ctx)
{
	(void)ctx;
	return true;
}

static uint64_t host_number(void *ctx)
{
	(void)ctx;
	return 0;
}

static void client_open(struct client *c, struct sl_buf_pool *pool)
{
	static const char start[] = "\0\0\0\x24\0\3\0\0user\0shop\0database\0shop\0\0";
	const struct sl_decoder_cfg cfg = {.message_max = MESSAGE_MAX, .scratch = scratch};
	const struct sl_flow_host host = {.ctx = c,
	                                  .event = host_event,
	                                  .tap = host_tap,
	                                  .may_feed = host_may_feed,
	                                  .barrier = host_number,
	                                  .durable = host_number,
	                                  .mem = mem};

	memset(c, 0, sizeof(*c));
	c->dec_state = calloc(1, sl_postgres_decoder.state_bytes);
	c->in = malloc(sizeof(start) - 1 + SENT);
	assert_non_null(c->dec_state);
	assert_non_null(c->in);
	memcpy(c->in, start, sizeof(start) - 1);
	c->in[3] = sizeof(start) - 1;
	c->n = sizeof(start) - 1;
	assert_int_equal(sl_flow_open(&c->flow, &sl_postgres_decoder, c->dec_state, &cfg, &host, pool),
	                 SL_OK);
	sl_flow_set_stream(&c->flow, SL_CLIENT, (struct sl_stream){&wire_ops, c});
	assert_int_equal(sl_flow_run(&c->flow), SL_OK); /* it is asked for the token, */
	assert_true(c->flow.leg[SL_CLIENT].nb_out > 0);
	c->in[c->n] = 'p'; /* and says nearly all of it */
	sl_put_be32(c->in + c->n + 1, PASSWORD_BYTES - 1);
	memset(c->in + c->n + 5, 'x', SENT - 5);
	c->n += SENT;
	for (int i = 0; i < 10; i++)
		assert_true(sl_flow_run(&c->flow) >= 0);
}

static void client_close(struct client *c)
{
	sl_flow_close(&c->flow);
	free(c->dec_state);
	free(c->in);
}

/* Long statements and rows of those who are known are read whole in large buffers: connections without a
 * login, however many there may be, leave some. */
static void test_without_a_login(void **state)
{
	struct sl_buf_pool *pool = sl_buf_pool_new(MESSAGE_MAX + SL_BUF_SMALL,
	                                           sl_buf_wanted(SESSIONS, MESSAGE_MAX), NB_LARGE, 0);
	struct sl_buf *large;

	(void)state;
	scratch = malloc(sl_postgres_decoder.scratch_bytes + 1);
	mem = sl_mem_new((size_t)SESSIONS * 64 * 1024);
	assert_non_null(pool);
	assert_non_null(mem);
	assert_non_null(scratch);
	for (uint32_t i = 0; i < NB_LARGE; i++)
		client_open(&clients[i], pool);
	large = sl_buf_large(pool);
	assert_non_null(large);
	sl_buf_put(pool, large);
	for (uint32_t i = 0; i < NB_LARGE; i++)
		client_close(&clients[i]);
	assert_int_equal(sl_buf_in_use(pool), 0);
	sl_buf_pool_free(pool);
	sl_mem_free(mem);
	free(scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_without_a_login),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
