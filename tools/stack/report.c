#include "stack.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>

#include "sl_counter.h"
#include "stage.h"

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static uint64_t rss_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long resident = 0;
	char line[128], *second;

	if (f == NULL)
		return 0;
	/* The second number is the pages that are resident. */
	if (fgets(line, sizeof(line), f) != NULL && (second = strchr(line, ' ')) != NULL)
		resident = strtoul(second, NULL, 10);
	fclose(f);
	return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void report_cycles(void)
{
	printf(",\"cycles\":{\"busy\":%lu,\"idle\":%lu,\"sleep\":%lu},\"loops\":{\"busy\":%lu,\"idle\":%lu,"
	       "\"sleeps\":%lu}",
	       stages.busy_cycles, stages.idle_cycles, stages.sleep_cycles, stages.loops_busy,
	       stages.loops_idle, stages.sleeps);
	if (!stages.on)
		return;
	printf(",\"stages\":{");
	for (int i = 0; i < STAGE_COUNT; i++)
		printf("%s\"%s\":%lu", i > 0 ? "," : "", stage_name((enum stage)i), stages.cycles[i]);
	printf("}");
}

static void report_counters(void)
{
	bool first = true;

	printf(",\"counters\":{");
	for (int i = 0; i < SL_COUNTER_COUNT; i++) {
		uint64_t n = sl_counter_sum((enum sl_counter_id)i);

		if (n == 0)
			continue;
		printf("%s\"%s\":%lu", first ? "" : ",", sl_counter_name((enum sl_counter_id)i), n);
		first = false;
	}
	printf("},\"errors\":{");
	first = true;
	for (int i = 1; i < SL_ERR_COUNT; i++) {
		uint64_t n = sl_counter_err_sum(-i);

		if (n == 0)
			continue;
		printf("%s\"%s\":%lu", first ? "" : ",", sl_err_name(-i), n);
		first = false;
	}
	printf("}");
}

static void report_load(const struct load *l)
{
	const struct load_stats *st = load_stats(l);

	printf(",\"load\":{\"phase\":\"%s\",\"round\":%u,\"opened\":%lu,\"closed\":%lu,\"failed\":%lu,"
	       "\"open\":%lu,"
	       "\"replies\":%lu,\"bytes\":%lu,\"p50_us\":%lu,\"p99_us\":%lu,\"p999_us\":%lu,\"failure\":\"%"
	       "s\","
	       "\"phase_us\":[",
	       load_phase_name(st->phase), st->round, st->opened, st->closed, st->failed, st->open,
	       st->replies, st->bytes, load_quantile(st, 0.5), load_quantile(st, 0.99),
	       load_quantile(st, 0.999), sl_err_name(-(int)st->first_failure_err));
	for (int i = 0; i < PHASE_DONE; i++)
		printf("%s%lu", i > 0 ? "," : "", st->phase_us[i]);
	printf("]}");
}

void report(struct stack *s, const char *what)
{
	struct mallinfo2 heap = mallinfo2();

	printf("{\"what\":\"%s\",\"t\":%.6f,\"tsc_hz\":%lu", what, now_s(), rte_get_tsc_hz());
	report_cycles();
	report_counters();
	if (s->services != NULL) {
		struct sl_service_stats st = sl_services_stats(s->services);

		printf(",\"services\":{\"sessions\":%u,\"opened\":%lu,\"closed\":%lu,\"failed\":%lu,"
		       "\"bytes\":%lu},"
		       "\"conns\":%u",
		       st.nb_sessions, st.opened, st.closed, st.failed, st.bytes, sl_tcp_nb_conns(s->tcp));
	}
	if (s->load != NULL)
		report_load(s->load);
	if (s->opt.role == ROLE_FLOOD)
		printf(",\"frames_out\":%lu,\"frames_in\":%lu", s->frames_out, s->frames_in);
	printf(",\"mbufs\":{\"all\":%u,\"at_start\":%u,\"free\":%u},\"rss_bytes\":%lu,\"heap_bytes\":%lu}\n",
	       s->opt.mbufs, s->mbufs_free, rte_mempool_avail_count(s->pool), rss_bytes(),
	       (uint64_t)(heap.uordblks + heap.hblkhd));
	fflush(stdout);
}
