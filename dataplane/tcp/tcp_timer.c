/*
 * Timers. A connection has a few of its own and one entry in a hierarchical wheel of 1 ms (4 levels of 64
 * slots), at the earliest of them. A timer that moves to later leaves the entry where it is: when it fires
 * too early it is entered again. So the restart of the retransmission timer at each ACK costs one store.
 * A tick does a bounded amount of work: when thousands are due at a time, packets are looked at in between.
 */
#include "tcp_priv.h"
#include "tcp_reseq.h"

#define WHEEL_MASK     (TCP_WHEEL_SLOTS - 1)
#define WHEEL_SPAN_MAX ((UINT64_C(1) << 6 * TCP_WHEEL_LEVELS) - 1)
/* Of a tick: the moves and expirations that it does at most, each counted by what it costs about. */
#define WORK_MAX    256U
#define WORK_MOVE   1U
#define WORK_EXPIRE 16U
#define STARVED_MAX 64U /* writers without memory that a tick looks at */
/* Times are compared in 32 bits; who wants to wait longer looks at the clock again then. */
#define TIMER_SPAN_MAX ((UINT64_C(1) << 30) * TCP_MS)

void tcp_timers_init(struct sl_tcp *t)
{
	for (int l = 0; l < TCP_WHEEL_LEVELS; l++) {
		for (int s = 0; s < TCP_WHEEL_SLOTS; s++)
			LIST_INIT(&t->wheel.slot[l][s]);
	}
}

/* Up: never early. */
static uint64_t to_ms(uint64_t us)
{
	return us / TCP_MS + (us % TCP_MS != 0);
}

/* As it is kept in a connection, where 0 says that there is none. */
static uint32_t cut(uint64_t ms)
{
	return (uint32_t)ms != 0 ? (uint32_t)ms : 1;
}

static void wheel_link(struct tcp_wheel *w, struct sl_tcp_conn *c, uint64_t ms)
{
	uint64_t delta = ms - w->now_ms;
	uint8_t level = 0;

	while (level < TCP_WHEEL_LEVELS - 1 && delta >> 6 * (level + 1) != 0)
		level++;
	c->wheel_ms = cut(ms);
	c->wheel_level = level;
	c->wheel_slot = (uint8_t)(ms >> 6 * level & WHEEL_MASK);
	LIST_INSERT_HEAD(&w->slot[level][c->wheel_slot], c, wheel);
	w->bits[level] |= UINT64_C(1) << c->wheel_slot;
	w->nb++;
}

void tcp_timer_remove(struct sl_tcp_conn *c)
{
	struct tcp_wheel *w = &c->t->wheel;

	if (c->wheel_ms == 0)
		return;
	LIST_REMOVE(c, wheel);
	if (LIST_EMPTY(&w->slot[c->wheel_level][c->wheel_slot]))
		w->bits[c->wheel_level] &= ~(UINT64_C(1) << c->wheel_slot);
	w->nb--;
	c->wheel_ms = 0;
}

/* Enters c at ms, not before the wheel's next millisecond. */
static void wheel_enter(struct sl_tcp_conn *c, uint64_t ms)
{
	struct tcp_wheel *w = &c->t->wheel;

	/* Not while it turns: what enters could come to lie in the slot that is being emptied, 64 ms later.
	 */
	if (w->nb == 0 && !w->turning)
		w->now_ms = c->t->now_us / TCP_MS;
	if (ms <= w->now_ms)
		ms = w->now_ms + 1;
	if (ms - w->now_ms > WHEEL_SPAN_MAX)
		ms = w->now_ms + WHEEL_SPAN_MAX;
	if (c->wheel_ms != 0 && (int32_t)(c->wheel_ms - (uint32_t)ms) <= 0)
		return;
	tcp_timer_remove(c);
	wheel_link(w, c, ms);
}

void tcp_timer_set(struct sl_tcp_conn *c, enum tcp_timer_id id, uint64_t when_us)
{
	uint64_t last = c->t->now_us + TIMER_SPAN_MAX;
	uint64_t ms = to_ms(when_us < last ? when_us : last);

	*tcp_timer(c, id) = cut(ms);
	wheel_enter(c, ms);
}

uint64_t tcp_timer_at(const struct sl_tcp_conn *c, enum tcp_timer_id id)
{
	uint32_t at = *tcp_timer((struct sl_tcp_conn *)(uintptr_t)c, id);
	uint64_t now_ms = c->t->now_us / TCP_MS;

	return at != 0 ? (now_ms + (uint64_t)(int64_t)(int32_t)(at - (uint32_t)now_ms)) * TCP_MS : 0;
}

/* The next millisecond at which a slot fires or a higher slot must be spread out. */
static uint64_t wheel_next(const struct tcp_wheel *w)
{
	uint64_t best = UINT64_MAX;

	for (int l = 0; l < TCP_WHEEL_LEVELS; l++) {
		uint64_t block = (w->now_ms >> 6 * l) + 1, at;
		unsigned int r = (unsigned int)(block & WHEEL_MASK);
		uint64_t bits = w->bits[l];

		if (bits == 0)
			continue;
		bits = r == 0 ? bits : bits >> r | bits << (64 - r);
		at = (block + (uint64_t)__builtin_ctzll(bits)) << 6 * l;
		if (at < best)
			best = at;
	}
	return best;
}

static bool spend(uint32_t *work, uint32_t n)
{
	if (*work < n)
		return false;
	*work -= n;
	return true;
}

/* Spreads a slot out that begins at now_ms. False: some of it is left. */
static bool cascade(struct tcp_wheel *w, int level, uint32_t *work)
{
	struct tcp_wheel_slot *slot = &w->slot[level][w->now_ms >> 6 * level & WHEEL_MASK];
	struct sl_tcp_conn *c;

	while ((c = LIST_FIRST(slot)) != NULL) {
		uint64_t ms = w->now_ms + (uint64_t)(int64_t)(int32_t)(c->wheel_ms - (uint32_t)w->now_ms);

		if (!spend(work, WORK_MOVE))
			return false;
		tcp_timer_remove(c);
		wheel_link(w, c, ms);
	}
	return true;
}

void tcp_keepalive_start(struct sl_tcp_conn *c, uint64_t now_us)
{
	c->nb_keep = 0;
	c->last_recv_us = now_us;
	if (c->t->cfg.keepalive_idle_s != 0)
		tcp_timer_set(c, TCP_TMR_KEEP, now_us + c->t->cfg.keepalive_idle_s * TCP_S);
}

void tcp_give_up(struct sl_tcp_conn *c, uint64_t now_us)
{
	TCP_TRACE(c, TIMEOUT, c->nb_rtx > c->nb_keep ? c->nb_rtx : c->nb_keep,
	          (now_us - c->last_recv_us) / TCP_MS);
	if (state_synchronized(c->state))
		tcp_send_rst_conn(c, now_us);
	tcp_conn_finish(c, c->soft ? c->soft_err : SL_E_TCP_TIMEOUT);
}

static void on_syn_timeout(struct sl_tcp_conn *c, uint64_t now_us)
{
	if (tcp_rtx_hopeless(c, c->passive ? TCP_SYNACK_RETRIES : TCP_SYN_RETRIES, now_us)) {
		tcp_give_up(c, now_us);
		return;
	}
	sl_count(SL_C_TCP_RTO);
	sl_count(SL_C_TCP_RETRANSMITS);
	TCP_TRACE(c, RTO, tcp_rto(c) / TCP_MS, c->nb_rtx + 1);
	tcp_rtx_back_off(c);
	c->retransmits++;
	c->syn_due = c->syn_lost = true;
	tcp_rtx_arm(c, now_us);
	tcp_output(c, now_us);
}

static void on_rtx(struct sl_tcp_conn *c, uint64_t now_us)
{
	if (c->state == TCP_SYN_SENT || c->state == TCP_SYN_RCVD)
		on_syn_timeout(c, now_us);
	else
		tcp_rtx_expired(c, now_us);
}

static void on_delack(struct sl_tcp_conn *c, uint64_t now_us)
{
	c->ack_now = true;
	tcp_output(c, now_us);
}

static void on_keepalive(struct sl_tcp_conn *c, uint64_t now_us)
{
	const struct sl_tcp_cfg *cfg = &c->t->cfg;
	uint64_t due = c->last_recv_us + cfg->keepalive_idle_s * TCP_S;

	/* While something is in flight or held back, its own timer finds a dead peer. */
	if (c->snd_una != c->snd_nxt || c->tmr_rtx != 0)
		due = now_us + cfg->keepalive_intvl_s * TCP_S;
	if (now_us < due) {
		tcp_timer_set(c, TCP_TMR_KEEP, due);
		return;
	}
	if (c->nb_keep >= cfg->keepalive_probes) {
		tcp_give_up(c, now_us);
		return;
	}
	c->nb_keep++;
	TCP_TRACE(c, KEEPALIVE, c->nb_keep, (now_us - c->last_recv_us) / TCP_MS);
	tcp_send_probe(c, now_us);
	tcp_timer_set(c, TCP_TMR_KEEP, now_us + cfg->keepalive_intvl_s * TCP_S);
}

static void on_pace(struct sl_tcp_conn *c, uint64_t now_us)
{
	tcp_output(c, now_us);
}

static void on_life(struct sl_tcp_conn *c, uint64_t now_us)
{
	tcp_send_rst_conn(c, now_us);
	tcp_conn_finish(c, SL_E_TCP_TIMEOUT);
}

static void conn_expire(struct sl_tcp_conn *c, uint64_t now_us)
{
	static void (*const on[TCP_TMR_COUNT])(struct sl_tcp_conn *, uint64_t) = {
	        [TCP_TMR_RTX] = on_rtx,       [TCP_TMR_LOSS] = tcp_loss_expired,
	        [TCP_TMR_DELACK] = on_delack, [TCP_TMR_KEEP] = on_keepalive,
	        [TCP_TMR_LIFE] = on_life,     [TCP_TMR_RESEQ] = tcp_reseq_expired,
	        [TCP_TMR_PACE] = on_pace,
	};
	uint64_t now_ms = now_us / TCP_MS;
	int32_t first = INT32_MAX;
	uint32_t at;

	for (int i = 0; i < TCP_TMR_COUNT && c->state != TCP_CLOSED; i++) {
		at = *tcp_timer(c, (enum tcp_timer_id)i);
		if (at == 0 || (int32_t)(at - (uint32_t)now_ms) > 0)
			continue;
		tcp_timer_off(c, (enum tcp_timer_id)i);
		on[i](c, now_us);
	}
	for (int i = 0; i < TCP_TMR_COUNT && c->state != TCP_CLOSED; i++) {
		at = *tcp_timer(c, (enum tcp_timer_id)i);
		if (at != 0 && (int32_t)(at - (uint32_t)now_ms) < first)
			first = (int32_t)(at - (uint32_t)now_ms);
	}
	if (first != INT32_MAX)
		wheel_enter(c, now_ms + (uint64_t)(int64_t)first);
	tcp_notify(c);
}

/* What is due at now_ms, into whose slots nothing enters meanwhile. False: some of it is left. */
static bool wheel_turn(struct sl_tcp *t, uint64_t now_us, uint32_t *work)
{
	struct tcp_wheel *w = &t->wheel;
	struct sl_tcp_conn *c, *next;

	for (int l = TCP_WHEEL_LEVELS - 1; l > 0; l--) {
		if ((w->now_ms & ((UINT64_C(1) << 6 * l) - 1)) == 0 && !cascade(w, l, work))
			return false;
	}
	while ((c = LIST_FIRST(&w->slot[0][w->now_ms & WHEEL_MASK])) != NULL) {
		if (!spend(work, WORK_EXPIRE))
			return false;
		next = LIST_NEXT(c, wheel);
		tcp_timer_remove(c);
		if (next != NULL) {
			rte_prefetch0(&next->wheel);
			tcp_fetch_out(next);
		}
		conn_expire(c, now_us);
	}
	return true;
}

/* It goes on where the last tick stopped. */
static void wheel_advance(struct sl_tcp *t, uint64_t now_us)
{
	struct tcp_wheel *w = &t->wheel;
	uint64_t to = now_us / TCP_MS, next;
	uint32_t work = WORK_MAX;

	while (w->nb > 0) {
		if (!w->turning) {
			next = wheel_next(w);
			if (next > to)
				break;
			w->now_ms = next;
			w->turning = true;
		}
		if (!wheel_turn(t, now_us, &work))
			return;
		w->turning = false;
	}
	w->turning = false;
	if (w->now_ms < to)
		w->now_ms = to;
}

/* Writers that found no memory: there may be some again. A few of them are looked at, those who still find
 * none behind the others the next time. */
static void wake_starved(struct sl_tcp *t)
{
	struct sl_tcp_conn *c, *turn = NULL; /* the first that waits on */

	for (uint32_t n = STARVED_MAX; n > 0 && (c = TAILQ_FIRST(&t->starved)) != NULL && c != turn; n--) {
		TAILQ_REMOVE(&t->starved, c, starved);
		if (!tcp_sndq_available(c)) {
			TAILQ_INSERT_TAIL(&t->starved, c, starved);
			turn = turn != NULL ? turn : c;
			continue;
		}
		c->on_starved = false;
		c->want_write = false;
		tcp_post(c, SL_TCP_EV_WRITABLE);
		tcp_notify(c);
	}
}

uint64_t sl_tcp_tick(struct sl_tcp *t, uint64_t now_us)
{
	uint64_t next, tw, syn;

	tcp_touch(t, now_us);
	t->busy = true;
	wheel_advance(t, now_us);
	tw = tcp_tw_tick(t, now_us);
	syn = tcp_syn_tick(t, now_us);
	if (!TAILQ_EMPTY(&t->starved))
		wake_starved(t);
	t->busy = false;
	if (t->wheel.turning)
		return now_us;
	next = t->wheel.nb > 0 ? wheel_next(&t->wheel) * TCP_MS : UINT64_MAX;
	if (t->out.nb > 0 || !TAILQ_EMPTY(&t->starved))
		next = next < now_us + TCP_STARVED_RETRY ? next : now_us + TCP_STARVED_RETRY;
	next = next < syn ? next : syn;
	return next < tw ? next : tw;
}

bool sl_tcp_paces(const struct sl_tcp *t)
{
	return t->paced_until_us >= t->now_us;
}
