#include "wheel.h"

static struct wheel_slot *slot_of(struct wheel *w, uint64_t step)
{
	return &w->slot[step & (WHEEL_SLOTS - 1)];
}

/* The first step that begins at or behind the time: never early. */
static uint64_t step_of(const struct wheel *w, uint64_t due_us)
{
	uint64_t step = due_us / WHEEL_STEP_US + (due_us % WHEEL_STEP_US != 0);

	if (step <= w->step)
		return w->step + 1;
	/* The slot of the current step is left out, so that a run ends: nothing comes back into it. */
	return step - w->step < WHEEL_SLOTS ? step : w->step + WHEEL_SLOTS - 1;
}

void wheel_init(struct wheel *w, uint64_t now_us)
{
	for (uint32_t i = 0; i < WHEEL_SLOTS; i++)
		TAILQ_INIT(&w->slot[i]);
	w->step = now_us / WHEEL_STEP_US;
}

void wheel_remove(struct wheel *w, struct wheel_entry *e)
{
	if (e->step != 0)
		TAILQ_REMOVE(slot_of(w, e->step), e, link);
	e->step = 0;
}

void wheel_set(struct wheel *w, struct wheel_entry *e, uint64_t due_us)
{
	uint64_t step;

	e->due_us = due_us;
	if (due_us == WHEEL_NO_ENTRY) {
		wheel_remove(w, e);
		return;
	}
	step = step_of(w, due_us);
	/* One that is put off stays: it is looked at when its slot comes, and most are put off again before.
	 */
	if (e->step != 0 && e->step <= step)
		return;
	wheel_remove(w, e);
	e->step = step;
	TAILQ_INSERT_TAIL(slot_of(w, step), e, link);
}

bool wheel_run(struct wheel *w, uint64_t now_us, void (*fn)(void *ctx, struct wheel_entry *e), void *ctx)
{
	uint64_t until = now_us / WHEEL_STEP_US;
	uint32_t budget = WHEEL_RUN_MAX;

	/* Behind a stop of more than a round each slot is looked at once. */
	if (until > w->step + WHEEL_SLOTS)
		w->step = until - WHEEL_SLOTS;
	/* Nothing enters the slot of w->step: what the last run left in it is all there is. */
	for (;; w->step++) {
		struct wheel_slot *slot = slot_of(w, w->step);
		struct wheel_entry *e;

		while ((e = TAILQ_FIRST(slot)) != NULL) {
			if (budget-- == 0)
				return true;
			TAILQ_REMOVE(slot, e, link);
			e->step = 0;
			if (e->due_us > now_us)
				wheel_set(w, e, e->due_us);
			else
				fn(ctx, e);
		}
		if (w->step >= until)
			return false;
	}
}
