/* The front: a worker's and a flow's life, and each event to the file that knows it. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inspect_priv.h"
#include "sl_counter.h"
#include "sl_secret.h"

#define REPLY_BYTES_DEFAULT (1024u * 1024)
#define BLOCKS_MIN          8 /* of a worker in the store */

/* ---- the worker ---- */

int sl_inspect_worker_new(const struct sl_inspect_worker_cfg *cfg, struct sl_inspect_worker **out)
{
	struct sl_inspect_worker *w;
	uint32_t nb_blocks;

	*out = NULL;
	if (cfg->store == NULL || cfg->worker >= SL_STORE_WORKERS_MAX)
		return sl_fail(SL_E_INVAL);
	nb_blocks = sl_store_blocks_free(cfg->store, cfg->worker); /* nothing is on the way yet */
	if (nb_blocks < BLOCKS_MIN)
		return sl_fail(SL_E_INVAL);
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return sl_fail(SL_E_NOMEM);
	w->cfg = *cfg;
	w->nb_blocks = nb_blocks;
	if (w->cfg.reply_bytes_max == 0)
		w->cfg.reply_bytes_max = REPLY_BYTES_DEFAULT;
	w->session_ids = (struct sl_id_maker){.salt = cfg->id_salt, .maker = (uint8_t)cfg->worker};
	/* The same maker's number: approvals count from the other end of the 48 bits. */
	w->approval_ids = (struct sl_id_maker){
	        .salt = cfg->id_salt, .maker = (uint8_t)cfg->worker, .next = UINT64_C(1) << 47};
	*out = w;
	return SL_OK;
}

void sl_inspect_worker_free(struct sl_inspect_worker *w)
{
	if (w == NULL)
		return;
	sl_cleanse(w, sizeof(*w));
	free(w);
}

void sl_inspect_worker_time(struct sl_inspect_worker *w, uint64_t now_us, uint64_t wall_us)
{
	w->now_us = now_us;
	w->wall_us = wall_us;
}

/* ---- a flow ---- */

size_t sl_inspect_bytes(void)
{
	return sizeof(struct sl_inspect);
}

void sl_inspect_open(struct sl_inspect *in, struct sl_inspect_worker *w, const struct sl_endpoint *client,
                     const char *protocol, bool client_tls)
{
	in->w = w;
	in->id = sl_id_make(&w->session_ids, w->wall_us);
	sl_id_str(&in->id, in->id_str);
	sl_endpoint_str(client, in->client);
	snprintf(in->protocol, sizeof(in->protocol), "%s", protocol);
	in->source = client->addr;
	in->client_tls = client_tls;
	in->limits.identity = SL_USAGE_NONE;
}

static void free_identity(struct sl_inspect *in)
{
	if (in->who != NULL)
		sl_cleanse(in->who, identity_bytes(in->who));
	free(in->who);
	in->who = NULL;
}

/* An allocation per login: few callers have as many groups as fit. */
static bool keep_identity(struct sl_inspect *in, const struct sl_identity *who)
{
	size_t n = identity_bytes(who);

	free_identity(in);
	in->who = malloc(n);
	if (in->who != NULL)
		memcpy(in->who, who, n);
	return in->who != NULL;
}

int sl_inspect_login(struct sl_inspect *in, const struct sl_identity *who, struct sl_span resource,
                     struct sl_span database, struct sl_span target_user, struct sl_span app,
                     const struct sl_resource **res)
{
	int rc;

	*res = NULL;
	if (in->began || in->ended || who->groups_n + who->claims_n > (int)sizeof(who->groups))
		return sl_fail(SL_E_INVAL);
	if (sl_store_failed(in->w->cfg.store))
		return sl_fail(SL_E_STORE_WRITE);
	if (sl_span_cstr(resource, in->resource, sizeof(in->resource)) < 0 ||
	    sl_span_cstr(database, in->database, sizeof(in->database)) < 0)
		return sl_fail(SL_E_NOTFOUND);
	if (!keep_identity(in, who))
		return sl_fail(SL_E_NOMEM);
	policy_drop(in);
	rc = policy_bind(in);
	if (rc != SL_OK)
		return rc;
	*res = sl_snapshot_resource(in->now.slot->s, resource);
	if (*res == NULL)
		return sl_fail(SL_E_NOTFOUND);
	if (!in->now.has_role)
		return sl_fail(SL_E_POLICY_DENIED);
	rc = limit_bind(in, true);
	if (rc == SL_OK)
		rc = record_session(in, target_user, app);
	in->began = rc == SL_OK;
	if (rc != SL_OK)
		limit_drop(in);
	else
		policy_pin(in, 0); /* *res lives in the snapshot */
	return rc;
}

int sl_inspect_refused(struct sl_inspect *in, int err, struct sl_span user, struct sl_span resource,
                       struct sl_span text)
{
	int rc;

	if (in->began || in->ended)
		return sl_fail(SL_E_INVAL);
	rc = record_refused(in, err, user, resource, text);
	/* While the store fails no block comes free: a refused login has done nothing, and is not kept
	 * waiting for it. */
	if (rc == SL_AGAIN && sl_store_failed(in->w->cfg.store)) {
		(void)sl_fail(SL_E_STORE_WRITE);
		rc = SL_OK;
	}
	in->ended = rc == SL_OK;
	return rc;
}

/* ---- events ---- */

static int on_result(struct sl_inspect *in, const struct sl_event *ev)
{
	const struct sl_ev_result *r = &ev->result;
	const struct binding *b = policy_for(in, ev->cmd);
	/* An error's text can quote values that a mask hides. */
	bool with_text = b->has_role && !b->p.any_mask && !b->p.any_content_mask;
	int rc = record_result(in, ev->cmd, r, with_text);

	if (rc != SL_OK)
		return rc;
	sl_count_n(SL_C_ROWS, r->rows);
	if (!r->local)
		protect_ended(in, ev->cmd, r->failed);
	if ((ev->mark & MARK_CATALOG) != 0 && !r->local) {
		sl_catalog_changed(in->resource);
		if (sl_span_is(r->tag, "COMMIT"))
			in->changed_catalog = false;
	}
	limit_result(in, r);
	/* A refusal of ours may be told before older commands have ended. */
	if (!r->local || ev->cmd == in->now.last_cmd)
		policy_unpin(in, ev->cmd);
	return SL_OK;
}

int sl_inspect_event(struct sl_inspect *in, const struct sl_event *ev, struct sl_verdict *v,
                     struct sl_msg_hold *hold)
{
	memset(v, 0, sizeof(*v));
	if (!in->began && ev->kind != SL_EV_ERROR && ev->kind != SL_EV_NOTE)
		return sl_fail(SL_E_PROTO_STATE);
	if (in->ended)
		return sl_fail(SL_E_INVAL);
	switch (ev->kind) {
	case SL_EV_COMMAND:
		return command_judge(in, ev, v, hold);
	case SL_EV_RESULT:
		return on_result(in, ev);
	case SL_EV_ROWMETA:
		return mask_rowmeta(in, ev, v);
	case SL_EV_ROWS:
		return limit_rows(in, ev, v);
	case SL_EV_ROW:
		return mask_row(in, ev, v);
	case SL_EV_FIELD:
		return mask_field(in, ev, v);
	case SL_EV_SESSION:
		return mask_session(in, v);
	case SL_EV_REPORT:
		return mask_report(in, ev, v);
	case SL_EV_ERROR:
		return in->began ? record_note(in, sl_span_str(sl_err_name(ev->error.err)), ev->error.text)
		                 : SL_OK;
	case SL_EV_NOTE:
		return in->began ? record_note(in, ev->note.code, ev->note.text) : SL_OK;
	case SL_EV_AUTH:
	case SL_EV_CANCEL:
	case SL_EV_CATALOG:
		break;
	}
	return sl_fail(SL_E_INVAL);
}

int sl_inspect_reply(struct sl_inspect *in, uint64_t cmd, struct sl_span bytes)
{
	if (!in->began || in->ended || !in->w->cfg.record_replies)
		return SL_OK;
	return record_reply(in, cmd, bytes);
}

uint64_t sl_inspect_barrier(const struct sl_inspect *in)
{
	return in->barrier;
}

int sl_inspect_close(struct sl_inspect *in, int err, struct sl_span why, uint64_t bytes_in,
                     uint64_t bytes_out)
{
	int rc = SL_OK;

	if (in->w == NULL)
		return SL_OK;
	if (in->began && !in->ended) {
		rc = record_skipped(in);
		if (rc == SL_OK)
			rc = record_end(in, err, why, bytes_in, bytes_out);
		if (rc == SL_AGAIN)
			return rc;
	}
	in->ended = true;
	limit_drop(in);
	policy_drop(in);
	return rc;
}

void sl_inspect_free(struct sl_inspect *in)
{
	if (in->w != NULL) {
		limit_drop(in);
		policy_drop(in);
	}
	free_identity(in);
}

int sl_inspect_wants_catalog(struct sl_inspect *in, struct sl_catalog_wanted *out)
{
	int rc = in->began && !in->ended ? policy_bind(in) : SL_OK;

	if (rc != SL_OK || !in->began || in->ended || !in->now.has_role || !in->now.hides)
		return rc;
	*out = (struct sl_catalog_wanted){
	        .resource = in->resource,
	        .database = in->database,
	        .snapshot = in->now.slot->s,
	        .has = in->now.catalog,
	        .doubted = in->doubts,
	};
	return 1;
}

bool sl_inspect_outlived(const struct sl_inspect *in, uint64_t cmd)
{
	const struct binding *b = policy_for(in, cmd);

	return !policy_usable(in, b) || policy_blind(b);
}

void sl_inspect_set_catalog(struct sl_inspect *in, struct sl_catalog *c)
{
	struct sl_catalog *old = in->now.catalog;

	in->now.catalog = sl_catalog_ref(c);
	sl_catalog_unref(old);
}

struct sl_id sl_inspect_session(const struct sl_inspect *in)
{
	return in->id;
}

uint64_t sl_inspect_expires_us(const struct sl_inspect *in)
{
	return in->who == NULL ? 0 : in->who->expires_us;
}

const struct sl_identity *sl_inspect_identity(const struct sl_inspect *in)
{
	return in->began ? in->who : NULL;
}
