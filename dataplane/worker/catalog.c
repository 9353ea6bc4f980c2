#include "catalog.h"

#include <stdio.h>
#include <stdlib.h>

#include "sl_catalog_build.h"
#include "sl_log.h"
#include "sl_postgres.h"

#define CATALOG_TIMEOUT_US (10 * 1000000ull) /* from the first SYN to the last row */
#define CATALOG_RETRY_US   (1000 * 1000ull)  /* behind one that failed; who waits then is told so */
#define CATALOG_AGAIN_US   (1000 * 1000ull)  /* behind a change: what was not committed yet is, by then */
#define CATALOG_DOUBT_US                                                                                     \
	(1000 * 1000ull)   /* younger ones are not asked for again for a name they do not have */
#define CATALOG_STALE    5 /* ages: older ones serve nobody */
#define CATALOG_SWEEP_US (1000 * 1000ull)

/* A question under way. */
struct fetch {
	struct peer peer;
	struct catalog *c;
	struct sl_worker *w;
	struct sl_flow flow;
	struct sl_stream layer;
	struct sl_tls_ctx *tls;
	struct sl_snapshot *snapshot; /* counted */
	struct sl_login login;
	char user[SL_BUS_NAME_MAX]; /* its own: the next login may bring another credential */
	struct sl_secret secret;
	struct sl_catalog_builder *builder;
	struct sl_catalog *made;
	uint64_t version, changes, begun_us;
	bool open, logged_in, ready;
	char why[128];
	char query[SL_CATALOG_QUERY_MAX];
	_Alignas(64) uint8_t dec_state[];
};

struct catalog {
	uint32_t users; /* sessions */
	char resource[SL_BUS_NAME_MAX], database[SL_BUS_NAME_MAX];
	struct sl_catalog *now;    /* NULL: none yet */
	uint64_t version, changes; /* that it was made under */
	uint64_t fetched_us;       /* when it was asked for */
	uint64_t refresh_us;       /* when the next one is */
	uint64_t retry_us;         /* not before, after a failure */
	bool failed;
	struct sl_endpoint target;
	char user[SL_BUS_NAME_MAX];
	struct sl_secret secret; /* only while there are users */
	struct fetch *fetch;     /* NULL: none under way */
};

/* ---- the flow's host ---- */

static int on_row(struct fetch *f, const struct sl_ev_catalog *ev)
{
	struct sl_catalog_builder *b = f->builder;

	_Static_assert(SL_CATALOG_ROW == SL_CATALOG_COLUMNS, "a row of the decoder is one of the catalog");
	if (b == NULL)
		return sl_fail(SL_E_PROTO_STATE);
	if (!ev->end)
		return sl_catalog_row(b, ev->col);
	f->builder = NULL;
	return sl_catalog_end(b, &f->made);
}

static int host_event(void *ctx, const struct sl_event *ev, struct sl_verdict *v)
{
	struct fetch *f = ctx;

	(void)v;
	if (ev->kind == SL_EV_ERROR) {
		(void)sl_span_cstr(ev->error.text, f->why, sizeof(f->why));
		return SL_OK;
	}
	return ev->kind == SL_EV_CATALOG ? on_row(f, &ev->catalog) : sl_fail(SL_E_PROTO_STATE);
}

static int host_upgrade(void *ctx, enum sl_side side, bool direct, struct sl_span early)
{
	struct fetch *f = ctx;
	int err;

	if (side != SL_TARGET || f->tls == NULL || f->layer.ops != NULL)
		return sl_fail(SL_E_PROTO_UNSUPPORTED);
	err = sl_layer_tls_new(f->tls, sl_stream_tcp(f->peer.conn), &f->layer);
	if (err == SL_OK && direct)
		err = sl_layer_tls_direct(f->layer, early);
	if (err == SL_OK)
		sl_flow_set_stream(&f->flow, SL_TARGET, f->layer);
	return err;
}

static size_t host_channel_binding(void *ctx, enum sl_side side, uint8_t *out)
{
	struct fetch *f = ctx;
	const struct sl_tls *t =
	        side == SL_TARGET && f->layer.ops != NULL ? sl_layer_tls_session(f->layer) : NULL;

	return t != NULL ? sl_tls_end_point(t, out) : 0;
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

/* The gateway's own question about the catalog is nothing that a caller does: it has no record. */
static uint64_t host_no_barrier(void *ctx)
{
	(void)ctx;
	return 0;
}

/* ---- asking ---- */

static const enum sl_binding bindings[] = {
        [SL_TARGET_BINDING_PREFER] = SL_BINDING_PREFER,
        [SL_TARGET_BINDING_REQUIRE] = SL_BINDING_REQUIRE,
        [SL_TARGET_BINDING_OFF] = SL_BINDING_OFF,
};

static void fetch_free(struct fetch *f)
{
	struct sl_worker *w = f->w;

	sl_flow_close(&f->flow);
	if (f->layer.ops != NULL)
		f->layer.ops->free(f->layer.st);
	if (f->peer.conn != NULL)
		sl_tcp_release(f->peer.conn);
	sl_catalog_abort(f->builder);
	sl_catalog_unref(f->made);
	worker_give_back(w, f->snapshot);
	f->c->fetch = NULL;
	if (f->c->users == 0)
		sl_secret_clear(&f->c->secret);
	w->nb_fetches--;
	sl_cleanse(f, sizeof(*f));
	free(f);
}

static int login_set(struct fetch *f, const struct sl_resource *res)
{
	struct sl_login *l = &f->login;

	if (sl_secret_set(&f->secret, sl_secret_span(&f->c->secret)) < 0)
		return sl_fail(SL_E_SEAL);
	memcpy(f->user, f->c->user, sizeof(f->user));
	l->user = sl_span_str(f->user);
	l->secret = sl_secret_span(&f->secret);
	l->database = sl_span_str(f->c->database);
	l->tls_required = l->tls_offered = res->tls_mode == SL_TARGET_TLS_REQUIRE;
	l->tls_direct = res->tls_direct;
	l->binding = bindings[res->binding];
	l->minor = res->minor;
	worker_random(l->nonce, sizeof(l->nonce));
	f->tls = res->tls;
	return SL_OK;
}

static int fetch_open(struct fetch *f, const struct sl_snapshot *s)
{
	struct sl_worker *w = f->w;
	struct sl_decoder_cfg cfg = {.message_max = w->cfg.message_max, .scratch = w->scratch};
	struct sl_flow_host host = {
	        .ctx = f,
	        .event = host_event,
	        .upgrade = host_upgrade,
	        .channel_binding = host_channel_binding,
	        .tap = host_tap,
	        .may_feed = host_may_feed,
	        .barrier = host_no_barrier,
	        .durable = host_no_barrier,
	        .mem = w->mem,
	};
	/* A row must fit a message, and a character has up to four bytes. */
	uint32_t rule_max = (uint32_t)(w->cfg.message_max / 8 < SL_CATALOG_RULE_MAX ? w->cfg.message_max / 8
	                                                                            : SL_CATALOG_RULE_MAX);
	long n = sl_catalog_query(s, rule_max, f->query, sizeof(f->query));
	int rc;

	if (n < 0)
		return SL_E_LIMIT;
	f->login.query = sl_span(f->query, (size_t)n);
	f->builder = sl_catalog_begin(s);
	if (f->builder == NULL)
		return sl_fail(SL_E_NOMEM);
	rc = sl_flow_open(&f->flow, &sl_postgres_decoder, f->dec_state, &cfg, &host, w->bufs);
	if (rc < 0)
		return rc;
	rc = sl_tcp_connect(w->tcp, &f->c->target, &f->peer, w->now_us, &f->peer.conn);
	if (rc < 0)
		f->peer.conn = NULL;
	return rc;
}

static void failed(struct catalog *c, struct sl_worker *w, const char *why)
{
	sl_fail(SL_E_POLICY_CATALOG);
	sl_log(SL_LOG_WARN, "catalog", "resource %s, database %s: %s", c->resource, c->database, why);
	c->failed = true;
	c->retry_us = w->now_us + CATALOG_RETRY_US;
}

static void fetch_begin(struct sl_worker *w, struct catalog *c, struct sl_snapshot *s)
{
	const struct sl_resource *res = sl_snapshot_resource(s, sl_span_str(c->resource));
	size_t bytes = sizeof(struct fetch) + sl_postgres_decoder.state_bytes;
	struct fetch *f;
	int rc;

	if (res == NULL || !sl_endpoint_eq(&res->address, &c->target)) {
		failed(c, w, "the resource has moved");
		return;
	}
	bytes = (bytes + 63) & ~(size_t)63;
	f = aligned_alloc(64, bytes);
	if (f == NULL) {
		failed(c, w, sl_err_text(SL_E_NOMEM));
		return;
	}
	memset(f, 0, bytes);
	f->w = w;
	f->c = c;
	f->peer = (struct peer){PEER_CATALOG, SL_TARGET, NULL, f};
	f->snapshot = sl_snapshot_ref(s);
	f->version = s->version;
	f->changes = sl_catalog_changes(c->resource);
	f->begun_us = w->now_us;
	c->fetch = f;
	w->nb_fetches++;
	rc = login_set(f, res);
	if (rc == SL_OK)
		rc = fetch_open(f, s);
	if (rc < 0) {
		failed(c, w, sl_err_text(rc));
		fetch_free(f);
	}
}

/* What was asked for is there. */
static void fetch_done(struct fetch *f)
{
	struct catalog *c = f->c;
	bool changed = c->now != NULL && c->changes != f->changes;

	sl_catalog_unref(c->now);
	c->now = f->made;
	f->made = NULL;
	c->version = f->version;
	c->changes = f->changes;
	c->fetched_us = f->begun_us;
	c->refresh_us = f->begun_us + (changed ? CATALOG_AGAIN_US : f->w->cfg.catalog_age_us);
	c->failed = false;
	sl_count(SL_C_CATALOGS);
}

/* 1 over, one way or the other; 0 not yet. */
static int fetch_step(struct fetch *f)
{
	int rc = sl_tcp_error(f->peer.conn);

	if (rc == SL_OK && !f->open)
		return 0;
	if (rc == SL_OK && !f->logged_in) {
		sl_flow_set_stream(&f->flow, SL_TARGET, sl_stream_tcp(f->peer.conn));
		rc = sl_flow_login(&f->flow, &f->login);
		f->logged_in = true;
	}
	if (rc == SL_OK)
		rc = sl_flow_run(&f->flow);
	f->ready = rc == SL_AGAIN;
	if (rc == SL_OK || rc == SL_AGAIN || rc == SL_MORE)
		return 0;
	if (rc == SL_CLOSED && f->made != NULL)
		fetch_done(f);
	else
		failed(f->c, f->w,
		       f->why[0] != '\0' ? f->why
		       : rc < 0          ? sl_err_text(rc)
		                         : "the target closed the connection");
	return 1;
}

void catalog_notify(struct fetch *f, uint32_t events)
{
	if ((events & SL_TCP_EV_CONNECTED) != 0)
		f->open = true;
	f->ready = true;
}

/* ---- the worker's catalogs ---- */

static void entry_free(struct catalog *c)
{
	sl_catalog_unref(c->now);
	sl_cleanse(c, sizeof(*c));
	free(c);
}

/* Those that nobody uses and that are too old for the next one. */
static void sweep(struct sl_worker *w)
{
	for (uint32_t i = 0; i < CATALOGS_MAX; i++) {
		struct catalog *c = w->catalogs[i];

		if (c == NULL || c->users > 0 || c->fetch != NULL ||
		    w->now_us < c->fetched_us + w->cfg.catalog_age_us)
			continue;
		entry_free(c);
		w->catalogs[i] = NULL;
	}
}

uint32_t catalogs_run(struct sl_worker *w)
{
	uint32_t n = 0;

	for (uint32_t i = 0; w->nb_fetches > 0 && i < CATALOGS_MAX; i++) {
		struct catalog *c = w->catalogs[i];
		struct fetch *f = c != NULL ? c->fetch : NULL;

		if (f == NULL)
			continue;
		if (c->users == 0) { /* nobody waits for it any more */
			fetch_free(f);
			continue;
		}
		if (f->ready) {
			n++;
			if (fetch_step(f) == 1) {
				fetch_free(f);
				continue;
			}
		}
		if (w->now_us >= f->begun_us + CATALOG_TIMEOUT_US) {
			failed(c, w, "the target did not answer in time");
			fetch_free(f);
		}
	}
	if (w->now_us >= w->next_catalog_us) {
		w->next_catalog_us = w->now_us + CATALOG_SWEEP_US;
		sweep(w);
	}
	return n;
}

void catalogs_free(struct sl_worker *w)
{
	for (uint32_t i = 0; i < CATALOGS_MAX; i++) {
		if (w->catalogs[i] == NULL)
			continue;
		if (w->catalogs[i]->fetch != NULL)
			fetch_free(w->catalogs[i]->fetch);
		entry_free(w->catalogs[i]);
		w->catalogs[i] = NULL;
	}
}

static struct catalog *catalog_new(struct sl_worker *w, const struct sl_catalog_wanted *want)
{
	struct catalog **place = NULL;

	for (uint32_t i = 0; i < CATALOGS_MAX; i++) {
		struct catalog *c = w->catalogs[i];

		if (c == NULL || (place == NULL && c->users == 0 && c->fetch == NULL))
			place = &w->catalogs[i];
	}
	if (place == NULL)
		return NULL;
	if (*place != NULL)
		entry_free(*place);
	*place = calloc(1, sizeof(**place));
	if (*place != NULL) {
		snprintf((*place)->resource, sizeof((*place)->resource), "%s", want->resource);
		snprintf((*place)->database, sizeof((*place)->database), "%s", want->database);
	}
	return *place;
}

static struct catalog *catalog_find(struct sl_worker *w, const struct sl_catalog_wanted *want)
{
	for (uint32_t i = 0; i < CATALOGS_MAX; i++) {
		struct catalog *c = w->catalogs[i];

		if (c != NULL && strcmp(c->resource, want->resource) == 0 &&
		    strcmp(c->database, want->database) == 0)
			return c;
	}
	return catalog_new(w, want);
}

/* ---- sessions ---- */

/* need: the change that it must know of. Later ones need not hold up what waits already. since: when it must
 * have been asked for at the earliest. */
static bool good(const struct sl_worker *w, const struct catalog *c, const struct sl_snapshot *s,
                 uint64_t need, uint64_t since)
{
	return c->now != NULL && c->version == s->version && c->changes >= need && c->fetched_us >= since &&
	       w->now_us < c->fetched_us + CATALOG_STALE * w->cfg.catalog_age_us;
}

static void ask(struct sl_worker *w, struct catalog *c, const struct sl_snapshot *s)
{
	union {
		const struct sl_snapshot *c;
		struct sl_snapshot *v;
	} snapshot = {.c = s};

	if (c->fetch == NULL && (!c->failed || w->now_us >= c->retry_us))
		fetch_begin(w, c, snapshot.v);
}

int catalog_login(struct session *s, struct sl_span user, struct sl_span secret)
{
	struct sl_catalog_wanted want;
	int rc = sl_inspect_wants_catalog(s->inspect, &want);
	struct catalog *c;

	if (rc != 1)
		return rc;
	c = catalog_find(s->w, &want);
	if (c == NULL)
		return sl_fail(SL_E_LIMIT);
	catalog_leave(s);
	s->catalog = c;
	c->users++;
	c->target = s->target;
	if (sl_span_cstr(user, c->user, sizeof(c->user)) < 0 || sl_secret_set(&c->secret, secret) < 0)
		return sl_fail(SL_E_SEAL);
	c->failed = false; /* a login may try at once: its credential can be a newer one */
	if (!good(s->w, c, want.snapshot, sl_catalog_changes(c->resource), 0))
		ask(s->w, c, want.snapshot);
	return SL_OK;
}

int catalog_ready(struct session *s)
{
	struct sl_worker *w = s->w;
	struct catalog *c = s->catalog;
	struct sl_catalog_wanted want;
	int rc = sl_inspect_wants_catalog(s->inspect, &want);

	if (rc != 1)
		return rc;
	if (c == NULL) /* no mask hid anything when it logged in: there is no credential to ask with */
		return sl_fail(SL_E_POLICY_CHANGED);
	if (!s->catalog_waits) {
		s->catalog_need = sl_catalog_changes(c->resource);
		s->catalog_since_us =
		        want.doubted && w->now_us > CATALOG_DOUBT_US ? w->now_us - CATALOG_DOUBT_US : 0;
	}
	s->catalog_waits = !good(w, c, want.snapshot, s->catalog_need, s->catalog_since_us);
	if (!s->catalog_waits) {
		if (w->now_us >= c->refresh_us)
			ask(w, c, want.snapshot);
		if (want.has != c->now)
			sl_inspect_set_catalog(s->inspect, c->now);
		return SL_OK;
	}
	ask(w, c, want.snapshot);
	return c->fetch != NULL ? SL_AGAIN : sl_fail(SL_E_POLICY_CATALOG);
}

void catalog_leave(struct session *s)
{
	struct catalog *c = s->catalog;

	s->catalog = NULL;
	if (c != NULL && --c->users == 0 && c->fetch == NULL)
		sl_secret_clear(&c->secret);
}
