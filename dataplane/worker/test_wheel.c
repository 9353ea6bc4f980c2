/* Deadlines: never early, at most a step late, in any order of setting, putting off and removing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "wheel.h"

#define NB     200
#define ROUNDS 200000

struct item {
	struct wheel_entry e; /* first: an entry is its item */
	uint64_t due_us;      /* as asked for; WHEEL_NO_ENTRY: not */
	uint64_t fired;
};

struct world {
	struct wheel wheel;
	struct item item[NB];
	uint64_t now_us, late_us; /* how long the wheel was not run */
};

static void on_due(void *ctx, struct wheel_entry *e)
{
	struct world *w = ctx;
	struct item *i = (struct item *)(void *)e;

	assert_true(i->due_us <= w->now_us);
	assert_true(w->now_us - i->due_us <= WHEEL_STEP_US + w->late_us);
	i->due_us = WHEEL_NO_ENTRY;
	i->fired++;
	/* What is called may touch others, and set itself again. */
	if (i->fired % 3 == 0) {
		struct item *other = &w->item[(i->fired + (uint64_t)(i - w->item)) % NB];

		wheel_remove(&w->wheel, &other->e);
		other->due_us = WHEEL_NO_ENTRY;
	}
	if (i->fired % 2 == 0) {
		i->due_us = w->now_us + (i->fired % 5) * WHEEL_STEP_US;
		wheel_set(&w->wheel, &i->e, i->due_us);
	}
}

static void step(struct world *w)
{
	struct item *i = &w->item[rand() % NB];

	switch (rand() % 4) {
	case 0:
		wheel_remove(&w->wheel, &i->e);
		i->due_us = WHEEL_NO_ENTRY;
		break;
	case 1: /* near, or past already */
		i->due_us = w->now_us - 1000 + (uint64_t)rand() % 2000000;
		wheel_set(&w->wheel, &i->e, i->due_us);
		w->late_us = w->late_us < 1000 ? 1000 : w->late_us;
		break;
	case 2: /* rounds away */
		i->due_us = w->now_us + (uint64_t)rand() % 1000 * 1000000;
		wheel_set(&w->wheel, &i->e, i->due_us);
		break;
	default:
		w->late_us = rand() % 1000 == 0 ? 400000000 : (uint64_t)rand() % 300000;
		w->now_us += w->late_us;
		wheel_run(&w->wheel, w->now_us, on_due, w);
		w->late_us = 1000;
		break;
	}
}

static void test_random(void **state)
{
	static struct world w;
	unsigned int seed = (unsigned int)time(NULL);
	uint64_t fired = 0;

	(void)state;
	print_message("seed %u\n", seed);
	srand(seed);
	w.now_us = 5000000;
	wheel_init(&w.wheel, w.now_us);
	for (uint32_t i = 0; i < NB; i++)
		w.item[i].due_us = WHEEL_NO_ENTRY;
	for (uint32_t i = 0; i < ROUNDS; i++)
		step(&w);
	/* Nothing is lost: what is set comes. */
	for (uint32_t i = 0; i < 2 * WHEEL_SLOTS * 8; i++) {
		w.now_us += WHEEL_STEP_US;
		w.late_us = WHEEL_STEP_US + 1000;
		wheel_run(&w.wheel, w.now_us, on_due, &w);
	}
	for (uint32_t i = 0; i < NB; i++) {
		assert_true(w.item[i].due_us == WHEEL_NO_ENTRY ||
		            w.item[i].due_us > w.now_us - WHEEL_STEP_US);
		fired += w.item[i].fired;
	}
	assert_true(fired > NB);
}

static void test_put_off(void **state)
{
	static struct world w;
	struct item *i = &w.item[0];

	(void)state;
	w.now_us = 1;
	wheel_init(&w.wheel, w.now_us);
	i->due_us = 10 * WHEEL_STEP_US;
	wheel_set(&w.wheel, &i->e, i->due_us);
	i->due_us = 20 * WHEEL_STEP_US;
	wheel_set(&w.wheel, &i->e, i->due_us);
	w.now_us = 15 * WHEEL_STEP_US;
	wheel_run(&w.wheel, w.now_us, on_due, &w);
	assert_int_equal(i->fired, 0);
	i->due_us = 17 * WHEEL_STEP_US; /* and sooner again */
	wheel_set(&w.wheel, &i->e, i->due_us);
	w.now_us = 17 * WHEEL_STEP_US;
	wheel_run(&w.wheel, w.now_us, on_due, &w);
	assert_int_equal(i->fired, 1);
	wheel_set(&w.wheel, &i->e, WHEEL_NO_ENTRY);
	wheel_remove(&w.wheel, &i->e);
	w.now_us = 5000 * WHEEL_STEP_US;
	wheel_run(&w.wheel, w.now_us, on_due, &w);
	assert_int_equal(i->fired, 1);
}

static void count_due(void *ctx, struct wheel_entry *e)
{
	(void)e;
	(*(uint32_t *)ctx)++;
}

/* Thousands in one slot: a few at a run, in their order; what is set meanwhile comes behind. */
static void test_many(void **state)
{
	enum {
		MANY = 3 * WHEEL_RUN_MAX
	};
	static struct wheel wheel;
	static struct wheel_entry e[MANY], late;
	uint64_t now_us = 10 * WHEEL_STEP_US;
	uint32_t nb = 0;

	(void)state;
	wheel_init(&wheel, 1);
	for (uint32_t i = 0; i < MANY; i++)
		wheel_set(&wheel, &e[i], now_us - 1);
	assert_true(wheel_run(&wheel, now_us, count_due, &nb));
	assert_int_equal(nb, WHEEL_RUN_MAX);
	wheel_set(&wheel, &late, 1);
	wheel_remove(&wheel, &e[MANY - 1]);
	wheel_run(&wheel, now_us, count_due, &nb);
	assert_int_equal(nb, 2 * WHEEL_RUN_MAX);
	assert_false(wheel_run(&wheel, now_us, count_due, &nb));
	assert_int_equal(nb, MANY - 1);
	assert_true(late.step != 0);
	wheel_run(&wheel, now_us + WHEEL_STEP_US, count_due, &nb);
	assert_int_equal(nb, MANY);
	assert_int_equal(late.step, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_random),
	        cmocka_unit_test(test_put_off),
	        cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
