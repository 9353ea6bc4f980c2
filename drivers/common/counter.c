#include "sl_counter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Threads that never registered (tests, short-lived helpers) share this block: their counts may race and be
 * lost. */
static struct sl_counters spare = {.thread = "other"};
static _Atomic(struct sl_counters *) all = &spare;
_Thread_local struct sl_counters *sl_counters_self = &spare;

static const char *const texts[SL_COUNTER_COUNT] = {
#define ROW(id, txt) [id] = txt,
        SL_COUNTER_TABLE(ROW)
#undef ROW
};

static char names[SL_COUNTER_COUNT][40];

__attribute__((constructor)) static void fill_names(void)
{
	static const char *const ids[SL_COUNTER_COUNT] = {
#define ROW(id, txt) [id] = #id,
	        SL_COUNTER_TABLE(ROW)
#undef ROW
	};

	for (size_t i = 0; i < SL_COUNTER_COUNT; i++) {
		const char *s = ids[i] + sizeof("SL_C_") - 1;
		size_t n = 0;

		for (; s[n] != '\0' && n < sizeof(names[i]) - 1; n++)
			names[i][n] = (char)(s[n] >= 'A' && s[n] <= 'Z' ? s[n] + 32 : s[n]);
	}
}

void sl_counters_register(const char *thread)
{
	struct sl_counters *c = aligned_alloc(64, (sizeof(*c) + 63) / 64 * 64);

	if (c == NULL) {
		fprintf(stderr, "sluice: out of memory for the counters of thread %s\n", thread);
		abort();
	}
	memset(c, 0, sizeof(*c));
	snprintf(c->thread, sizeof(c->thread), "%s", thread);
	c->next = atomic_load(&all);
	while (!atomic_compare_exchange_weak(&all, &c->next, c))
		;
	sl_counters_self = c;
}

struct sl_counters *sl_counters_all(void)
{
	return atomic_load(&all);
}

uint64_t sl_counter_sum(enum sl_counter_id id)
{
	uint64_t sum = 0;

	for (struct sl_counters *c = sl_counters_all(); c != NULL; c = c->next)
		sum += atomic_load_explicit(&c->counter[id], memory_order_relaxed);
	return sum;
}

uint64_t sl_counter_err_sum(int err)
{
	uint64_t sum = 0;

	if (err >= 0 || -err >= SL_ERR_COUNT)
		return 0;
	for (struct sl_counters *c = sl_counters_all(); c != NULL; c = c->next)
		sum += atomic_load_explicit(&c->err[-err], memory_order_relaxed);
	return sum;
}

const char *sl_counter_name(enum sl_counter_id id)
{
	return names[id];
}

const char *sl_counter_text(enum sl_counter_id id)
{
	return texts[id];
}
