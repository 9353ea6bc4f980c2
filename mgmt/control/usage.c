#include "usage.h"

#include <stdlib.h>

#include "clock.h"
#include "sl_counter.h"
#include "sl_log.h"

#define TABLE      "usage"
#define KEY        "day"
#define INTERVAL_S 60
#define DAY_US     (86400 * UINT64_C(1000000))
#define FORMAT     1

/* As it is written: the day, then an array. This machine's own byte order: it never leaves it. */
struct head {
	uint32_t format, entry_bytes;
	uint64_t day;
};

struct mg_usage {
	struct sl_store *store;
	struct sl_usage *usage;
	struct event *timer;
	bool wrote; /* something is in the store, or was */
};

static struct sl_usage_time now(void)
{
	return (struct sl_usage_time){mg_mono_us(), mg_wall_us()};
}

/* Nothing used, and nothing written that would have to go: no write. */
static void save(struct mg_usage *k)
{
	size_t cap = sizeof(struct head) + MG_USAGE_DAYS_MAX * sizeof(struct sl_usage_day);
	uint64_t wall_us = mg_wall_us();
	struct head head = {FORMAT, sizeof(struct sl_usage_day), wall_us / DAY_US};
	uint8_t *buf = malloc(cap);
	uint32_t nb;
	int rc;

	if (buf == NULL) {
		sl_fail(SL_E_NOMEM);
		return;
	}
	memcpy(buf, &head, sizeof(head));
	nb = sl_usage_days(k->usage, wall_us, (struct sl_usage_day *)(void *)(buf + sizeof(head)),
	                   MG_USAGE_DAYS_MAX);
	if (nb > 0 || k->wrote) {
		rc = sl_store_put(k->store, TABLE, SL_SPAN_LIT(KEY),
		                  sl_span(buf, sizeof(head) + nb * sizeof(struct sl_usage_day)));
		if (rc != SL_OK)
			sl_log(SL_LOG_ERROR, "usage", "what limits of the day have used cannot be kept: %s",
			       sl_err_text(rc));
		k->wrote = nb > 0;
	}
	free(buf);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	save(arg);
}

static int restore(struct mg_usage *k, const uint8_t *value, size_t n)
{
	struct sl_usage_day d;
	struct head head;
	int rc = SL_OK;

	if (n < sizeof(head))
		return sl_fail(SL_E_STORE_CORRUPT);
	memcpy(&head, value, sizeof(head));
	if (head.format != FORMAT || head.entry_bytes != sizeof(d) || (n - sizeof(head)) % sizeof(d) != 0)
		return sl_fail(SL_E_STORE_CORRUPT);
	k->wrote = true;
	if (head.day != mg_wall_us() / DAY_US)
		return SL_OK;
	for (size_t at = sizeof(head); at < n && rc == SL_OK; at += sizeof(d)) {
		memcpy(&d, value + at, sizeof(d));
		rc = sl_usage_restore(k->usage, &d, now());
	}
	return rc;
}

int mg_usage_new(struct event_base *base, struct sl_store *store, struct sl_usage *usage,
                 struct mg_usage **out)
{
	const struct timeval interval = {.tv_sec = INTERVAL_S};
	struct mg_usage *k;
	uint8_t *value;
	size_t n;
	int rc;

	*out = NULL;
	if (usage == NULL)
		return SL_OK;
	k = calloc(1, sizeof(*k));
	if (k == NULL)
		return sl_fail(SL_E_NOMEM);
	*out = k;
	k->store = store;
	k->usage = usage;
	k->timer = event_new(base, -1, EV_PERSIST, on_timer, k);
	if (k->timer == NULL || event_add(k->timer, &interval) != 0)
		return sl_fail(SL_E_NOMEM);
	rc = sl_store_get(store, TABLE, SL_SPAN_LIT(KEY), &value, &n);
	if (rc == SL_E_NOTFOUND)
		return SL_OK;
	if (rc != SL_OK)
		return rc;
	/* Not worth a gateway that does not start. */
	rc = restore(k, value, n);
	if (rc != SL_OK)
		sl_log(SL_LOG_ERROR, "usage", "limits of the day begin anew: %s", sl_err_text(rc));
	free(value);
	return SL_OK;
}

void mg_usage_free(struct mg_usage *k)
{
	if (k == NULL)
		return;
	save(k);
	if (k->timer != NULL)
		event_free(k->timer);
	free(k);
}
