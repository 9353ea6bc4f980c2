/*
 * The policy in use. A worker holds one count of each snapshot that it knows: the current one, and older ones
 * while commands run that they let through, or logins that work with a resource of theirs. A flow is bound to
 * a snapshot by its version; it pins it only while such a command's result is not in, so that an idle session
 * never keeps an old policy in memory.
 *
 * Each command is judged by the worker's current snapshot, and its rows are masked by the same one: `now` is
 * the binding of the newest commands, `before` that of older ones still running. A third version that comes
 * while both have commands running takes the place of `now`, `now` that of `before`, and rows of the oldest
 * commands are then masked by the older of the two that stay.
 */
#include <string.h>

#include "inspect_priv.h"
#include "sl_counter.h"
#include "sl_log.h"

/* ---- the worker's snapshots ---- */

static void slot_release(struct sl_inspect_worker *w, struct slot *slot)
{
	slot->released = true;
	w->nb_released++;
}

static struct slot *slot_free(struct sl_inspect_worker *w)
{
	for (uint32_t i = 0; i < SNAPSHOTS_MAX; i++)
		if (w->slots[i].s == NULL)
			return &w->slots[i];
	return NULL;
}

struct sl_snapshot *sl_inspect_worker_policy(struct sl_inspect_worker *w, struct sl_snapshot *s)
{
	struct slot *old = w->current, *slot;
	struct sl_snapshot *back = NULL;

	if (old != NULL && old->nb_pins == 0) {
		back = old->s;
		old->s = NULL;
	}
	w->current = NULL;
	slot = s != NULL ? slot_free(w) : NULL;
	if (slot == NULL) {
		/* Never seen unless commands of SNAPSHOTS_MAX versions run at once. Without a policy
		 * everything is denied. */
		if (s != NULL)
			sl_log(SL_LOG_ERROR, "inspect",
			       "too many policy versions in use: all commands are denied");
		return s != NULL ? s : back;
	}
	*slot = (struct slot){.s = s};
	w->current = slot;
	return back;
}

struct sl_snapshot *sl_inspect_released(struct sl_inspect_worker *w)
{
	struct sl_snapshot *s;

	for (uint32_t i = 0; w->nb_released > 0 && i < SNAPSHOTS_MAX; i++) {
		if (!w->slots[i].released)
			continue;
		s = w->slots[i].s;
		w->slots[i] = (struct slot){0};
		w->nb_released--;
		return s;
	}
	return NULL;
}

/* ---- a flow's bindings ---- */

static void binding_clear(struct binding *b)
{
	sl_catalog_unref(b->catalog);
	*b = (struct binding){0};
}

static void unpin(struct sl_inspect *in, struct binding *b)
{
	if (!b->pinned)
		return;
	b->pinned = false;
	if (--b->slot->nb_pins == 0 && b->slot != in->w->current)
		slot_release(in->w, b->slot);
}

void policy_pin(struct sl_inspect *in, uint64_t cmd)
{
	struct binding *b = &in->now;

	b->last_cmd = cmd;
	if (b->pinned)
		return;
	b->pinned = true;
	b->slot->nb_pins++;
}

void policy_unpin(struct sl_inspect *in, uint64_t cmd)
{
	if (in->before.slot != NULL && cmd >= in->before.last_cmd) {
		unpin(in, &in->before);
		binding_clear(&in->before);
	}
	if (cmd >= in->now.last_cmd)
		unpin(in, &in->now);
}

void policy_drop(struct sl_inspect *in)
{
	unpin(in, &in->before);
	unpin(in, &in->now);
	binding_clear(&in->before);
	binding_clear(&in->now);
}

bool policy_usable(const struct sl_inspect *in, const struct binding *b)
{
	const struct slot *current = in->w->current;

	/* An unpinned one may have left the worker, and its slot may hold another snapshot by now. */
	return b->slot != NULL &&
	       (b->pinned || (b->slot == current && current->s != NULL && current->s->version == b->version));
}

const struct binding *policy_for(const struct sl_inspect *in, uint64_t cmd)
{
	if (cmd != 0 && in->before.slot != NULL && cmd <= in->before.last_cmd)
		return &in->before;
	return &in->now;
}

const struct binding *policy_gen(const struct sl_inspect *in, uint8_t gen)
{
	if (policy_usable(in, &in->now) && in->now.gen == gen)
		return &in->now;
	if (policy_usable(in, &in->before) && in->before.gen == gen)
		return &in->before;
	return NULL;
}

static void bind(struct sl_inspect *in, struct slot *slot)
{
	const struct sl_resource *res = sl_snapshot_resource(slot->s, sl_span_str(in->resource));
	struct sl_caller who = {.subject = sl_span_str(in->who->subject),
	                        .issuer = sl_span_str(in->who->issuer),
	                        .provider = sl_span_str(in->who->provider),
	                        .groups = sl_span(in->who->groups, in->who->groups_n),
	                        .claims = sl_span(in->who->groups + in->who->groups_n, in->who->claims_n),
	                        .source = in->source};
	struct binding *b = &in->now;

	binding_clear(b);
	b->slot = slot;
	b->version = slot->s->version;
	b->gen = in->next_gen++ & POLICY_GEN;
	if (res != NULL)
		b->has_role = sl_eval_bind(slot->s, &who, res, sl_span_str(in->database), &b->p);
	b->hides = b->has_role && b->p.any_column_mask;
	protect_bound(in);
}

bool policy_blind(const struct binding *b)
{
	return b->hides && b->catalog == NULL;
}

int policy_bind(struct sl_inspect *in)
{
	struct slot *current = in->w->current;
	int rc;

	if (current == NULL || current->s == NULL)
		return sl_fail(SL_E_POLICY_DENIED);
	if (policy_usable(in, &in->now) && in->now.slot == current)
		return SL_OK;
	if (in->now.pinned) {
		unpin(in, &in->before);
		binding_clear(&in->before);
		in->before = in->now; /* with its pin and its catalog */
		in->before.sticky = in->sticky;
		in->now = (struct binding){0};
	}
	bind(in, current);
	rc = in->began ? limit_bind(in, false) : SL_OK;
	if (rc != SL_OK)
		binding_clear(&in->now);
	return rc;
}
