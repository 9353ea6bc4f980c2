#include <stdio.h>
#include <stdlib.h>

#include <event2/buffer.h>

#include "clock.h"
#include "json.h"
#include "rest_priv.h"
#include "sl_counter.h"

#ifndef SL_VERSION
#define SL_VERSION "unknown"
#endif

#define STATUS_MAX (256 * 1024) /* of what the gateway's own status callback writes */

static uint64_t started_us;

__attribute__((constructor)) static void note_start(void)
{
	started_us = mg_mono_us();
}

/* ---- health ---- */

void mg_get_health(struct request *q)
{
	json_t *reasons = json_array();

	if (q->cfg->health != NULL)
		q->cfg->health(q->cfg->health_ctx, reasons);
	mg_reply_json(q, 200,
	              json_pack("{s:s,s:o}", "status", json_array_size(reasons) == 0 ? "ok" : "degraded",
	                        "reasons", reasons));
}

/* ---- status ---- */

static json_t *thread_json(struct sl_counters *c)
{
	json_t *counters = json_object(), *levels = json_object(), *errors = json_object();

	for (int i = 0; i < SL_COUNTER_COUNT; i++)
		json_object_set_new(
		        counters, sl_counter_name((enum sl_counter_id)i),
		        json_integer((json_int_t)atomic_load_explicit(&c->counter[i], memory_order_relaxed)));
	for (int i = 0; i < SL_LEVEL_COUNT; i++)
		json_object_set_new(
		        levels, sl_level_name((enum sl_level_id)i),
		        json_integer((json_int_t)atomic_load_explicit(&c->level[i], memory_order_relaxed)));
	for (int i = 1; i < SL_ERR_COUNT; i++) {
		uint64_t v = atomic_load_explicit(&c->err[i], memory_order_relaxed);

		if (v > 0)
			json_object_set_new(errors, sl_err_name(-i), json_integer((json_int_t)v));
	}
	return json_pack("{s:o,s:o,s:o,s:o}", "thread", mg_json_text(sl_span_str(c->thread)), "counters",
	                 counters, "levels", levels, "errors", errors);
}

/* What the rest of the gateway has to say (ports, connections): a JSON object of its own. */
static json_t *gateway_json(const struct mg_rest_cfg *cfg)
{
	char *buf = cfg->status == NULL ? NULL : malloc(STATUS_MAX);
	long n = buf == NULL ? -1 : cfg->status(cfg->status_ctx, buf, STATUS_MAX);
	json_t *v = n <= 0 || n > STATUS_MAX ? NULL : json_loadb(buf, (size_t)n, 0, NULL);

	free(buf);
	return v;
}

void mg_get_status(struct request *q)
{
	const struct mg_rest_cfg *cfg = q->cfg;
	json_t *threads = json_array(), *gateway = gateway_json(cfg), *body;

	for (struct sl_counters *c = sl_counters_all(); c != NULL; c = c->next)
		json_array_append_new(threads, thread_json(c));
	body = json_pack("{s:s,s:I,s:i,s:s,s:I,s:i,s:i,s:o}", "version", SL_VERSION, "uptime_s",
	                 (json_int_t)((mg_mono_us() - started_us) / 1000000), "workers", (int)cfg->nb_workers,
	                 "store", sl_store_failed(cfg->store) ? "failed" : "ok", "policy_version",
	                 (json_int_t)mg_policy_current(cfg->policy)->version, "live_sessions",
	                 (int)mg_sessions_nb(cfg->sessions), "pending_approvals",
	                 (int)mg_approvals_nb_pending(cfg->approvals), "threads", threads);
	if (body != NULL && json_is_object(gateway))
		json_object_update_missing(body, gateway);
	json_decref(gateway);
	mg_reply_json(q, 200, body);
}

/* ---- metrics ---- */

static void levels_text(struct evbuffer *buf)
{
	for (int i = 0; i < SL_LEVEL_COUNT; i++) {
		const char *name = sl_level_name((enum sl_level_id)i);

		evbuffer_add_printf(buf, "# HELP sl_%s %s\n# TYPE sl_%s gauge\nsl_%s %llu\n", name,
		                    sl_level_text((enum sl_level_id)i), name, name,
		                    (unsigned long long)sl_level_sum((enum sl_level_id)i));
	}
}

void mg_get_metrics(struct request *q)
{
	struct evbuffer *buf = evbuffer_new();
	size_t n;

	if (buf == NULL) {
		mg_reply_problem(q, 503, sl_err_text(sl_fail(SL_E_NOMEM)), NULL);
		return;
	}
	for (int i = 0; i < SL_COUNTER_COUNT; i++) {
		const char *name = sl_counter_name((enum sl_counter_id)i);

		evbuffer_add_printf(buf,
		                    "# HELP sl_%s_total %s\n# TYPE sl_%s_total counter\nsl_%s_total %llu\n",
		                    name, sl_counter_text((enum sl_counter_id)i), name, name,
		                    (unsigned long long)sl_counter_sum((enum sl_counter_id)i));
	}
	evbuffer_add_printf(buf, "# HELP sl_error_total errors by name\n# TYPE sl_error_total counter\n");
	for (int i = 1; i < SL_ERR_COUNT; i++)
		evbuffer_add_printf(buf, "sl_error_total{name=\"%s\"} %llu\n", sl_err_name(-i),
		                    (unsigned long long)sl_counter_err_sum(-i));
	levels_text(buf);
	evbuffer_add_printf(buf,
	                    "# HELP sl_live_sessions sessions that are open\n# TYPE sl_live_sessions "
	                    "gauge\nsl_live_sessions %u\n"
	                    "# HELP sl_pending_approvals commands that wait for a person\n# TYPE "
	                    "sl_pending_approvals gauge\n"
	                    "sl_pending_approvals %u\n"
	                    "# HELP sl_locked_identities identities that a breaker has locked\n# TYPE "
	                    "sl_locked_identities gauge\nsl_locked_identities %u\n",
	                    mg_sessions_nb(q->cfg->sessions), mg_approvals_nb_pending(q->cfg->approvals),
	                    mg_locks_nb(q->cfg->locks));
	n = evbuffer_get_length(buf);
	mg_reply_bytes(q, 200, "text/plain; version=0.0.4; charset=utf-8",
	               sl_span(evbuffer_pullup(buf, -1), n));
	evbuffer_free(buf);
}

/* ---- the rest ---- */

void mg_get_openapi(struct request *q)
{
	mg_reply_bytes(q, 200, "application/json", sl_span(mg_openapi_json, mg_openapi_json_n));
}

static json_t *resource_json(const struct sl_resource *r)
{
	char address[SL_ENDPOINT_STR_MAX];
	json_t *databases = json_array();

	for (uint32_t i = 0; i < r->databases.nb; i++)
		json_array_append_new(databases, json_string(r->databases.v[i]));
	return json_pack("{s:s,s:s,s:s,s:s,s:s?,s:o}", "name", r->name, "protocol", r->protocol, "address",
	                 sl_endpoint_str(&r->address, address), "tls",
	                 r->tls_mode == SL_TARGET_TLS_OFF ? "off" : "require", "credential", r->credential,
	                 "databases", databases);
}

void mg_get_resources(struct request *q)
{
	const struct sl_snapshot *s = mg_policy_current(q->cfg->policy);
	json_t *list = json_array();

	for (uint32_t i = 0; i < s->nb_resources; i++)
		json_array_append_new(list, resource_json(&s->resources[i]));
	mg_reply_json(q, 200, list);
}
