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

static const char *const level_texts[SL_LEVEL_COUNT] = {
#define ROW(id, txt) [id] = txt,
        SL_LEVEL_TABLE(ROW)
#undef ROW
};

#define NAME_MAX_BYTES 40

static char names[SL_COUNTER_COUNT][NAME_MAX_BYTES], level_names[SL_LEVEL_COUNT][NAME_MAX_BYTES];

/* Without the prefix, "SL_C_" or "SL_L_", and in lower case. */
static void make_name(char *name, const char *id)
{
	size_t n = 0;

	for (id += sizeof("SL_C_") - 1; id[n] != '\0' && n < NAME_MAX_BYTES - 1; n++)
		name[n] = (char)(id[n] >= 'A' && id[n] <= 'Z' ? id[n] + 32 : id[n]);
}

__attribute__((constructor)) static void fill_names(void)
{
#define ROW(id, txt) make_name(names[id], #id);
	SL_COUNTER_TABLE(ROW)
#undef ROW
#define ROW(id, txt) make_name(level_names[id], #id);
	SL_LEVEL_TABLE(ROW)
#undef ROW
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

uint64_t sl_level_sum(enum sl_level_id id)
{
	uint64_t sum = 0;

	for (struct sl_counters *c = sl_counters_all(); c != NULL; c = c->next)
		sum += atomic_load_explicit(&c->level[id], memory_order_relaxed);
	return sum;
}

const char *sl_level_name(enum sl_level_id id)
{
	return id < SL_LEVEL_COUNT ? level_names[id] : "";
}

const char *sl_level_text(enum sl_level_id id)
{
	return id < SL_LEVEL_COUNT ? level_texts[id] : "";
}
