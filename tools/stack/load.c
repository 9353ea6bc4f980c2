#include "load.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "sl_counter.h"

#define LOAD_SPANS    16
#define LOAD_BLOCK    65536
#define LOAD_SUB_BITS 4 /* slots of the histogram for each doubling: 16 */
/* Opens in one loop at most; one in all until the first has succeeded, for the neighbour's sake. */
#define LOAD_OPEN_BURST 32

struct load_conn {
	TAILQ_ENTRY(load_conn) link; /* ready, or closed */
	TAILQ_ENTRY(load_conn) rest;
	struct sl_tcp_conn *conn; /* NULL: not open */
	uint64_t asked_us;
	uint32_t got;
	bool ready, connected, failed, waiting; /* waiting: for a reply */
	bool opening, resting;
};

struct load {
	struct sl_tcp *tcp;
	struct load_cfg cfg;
	struct load_conn *conns;
	TAILQ_HEAD(, load_conn) ready, closed;
	TAILQ_HEAD(, load_conn) resting; /* LOAD_RR: nothing was asked, who rested longest first */
	uint32_t nb_ready, nb_closed, at, under_way;
	uint32_t next_remote;
	uint64_t phase_began_us;
	struct load_stats stats;
	uint8_t block[LOAD_BLOCK];
};

static const struct {
	const char *name;
	enum load_kind kind;
} kinds[] = {
        {"rr", LOAD_RR},           {"connect", LOAD_CONNECT}, {"send", LOAD_SEND},
        {"receive", LOAD_RECEIVE}, {"conns", LOAD_CONNS},
};

enum load_kind load_find(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].name, name) == 0)
			return kinds[i].kind;
	}
	return LOAD_NONE;
}

const char *load_phase_name(enum load_phase p)
{
	static const char *const names[] = {
	        [PHASE_OPEN] = "open",   [PHASE_IDLE] = "idle", [PHASE_USE] = "use",
	        [PHASE_CLOSE] = "close", [PHASE_DONE] = "done",
	};

	return names[p];
}

/* ---- latency ---- */

static uint32_t hist_slot(uint64_t us)
{
	uint32_t exp;

	if (us < 1u << LOAD_SUB_BITS)
		return (uint32_t)us;
	exp = 63 - (uint32_t)__builtin_clzll(us) - LOAD_SUB_BITS;
	exp = (exp << LOAD_SUB_BITS) + (uint32_t)(us >> exp);
	return exp < LOAD_HIST_SLOTS ? exp : LOAD_HIST_SLOTS - 1;
}

static uint64_t hist_value(uint32_t slot)
{
	uint32_t exp;

	if (slot < 2u << LOAD_SUB_BITS)
		return slot;
	exp = (slot >> LOAD_SUB_BITS) - 1;
	return (uint64_t)(slot - (exp << LOAD_SUB_BITS)) << exp;
}

uint64_t load_quantile(const struct load_stats *st, double q)
{
	uint64_t all = 0, sum = 0;

	for (uint32_t i = 0; i < LOAD_HIST_SLOTS; i++)
		all += st->hist[i];
	for (uint32_t i = 0; i < LOAD_HIST_SLOTS && all > 0; i++) {
		sum += st->hist[i];
		if ((double)sum >= q * (double)all)
			return hist_value(i);
	}
	return 0;
}

/* ---- life ---- */

int load_new(struct sl_tcp *t, const struct load_cfg *cfg, struct load **out)
{
	struct load *l = calloc(1, sizeof(*l));

	*out = l;
	if (l == NULL)
		return sl_fail(SL_E_NOMEM);
	l->tcp = t;
	l->cfg = *cfg;
	TAILQ_INIT(&l->ready);
	TAILQ_INIT(&l->closed);
	TAILQ_INIT(&l->resting);
	memset(l->block, 'q', sizeof(l->block));
	l->conns = calloc(cfg->conns, sizeof(*l->conns));
	if (l->conns == NULL) {
		free(l);
		*out = NULL;
		return sl_fail(SL_E_NOMEM);
	}
	for (uint32_t i = 0; i < cfg->conns; i++)
		TAILQ_INSERT_TAIL(&l->closed, &l->conns[i], link);
	l->nb_closed = cfg->conns;
	return SL_OK;
}

void load_free(struct load *l)
{
	if (l == NULL)
		return;
	free(l->conns);
	free(l);
}

bool load_owns(const struct load *l, const void *user)
{
	uintptr_t at = (uintptr_t)user, from = (uintptr_t)l->conns;

	return at >= from && at < from + l->cfg.conns * sizeof(*l->conns);
}

static void set_ready(struct load *l, struct load_conn *x)
{
	if (x->ready || x->conn == NULL)
		return;
	x->ready = true;
	TAILQ_INSERT_TAIL(&l->ready, x, link);
	l->nb_ready++;
}

void load_notify(struct load *l, void *user, uint32_t events)
{
	struct load_conn *x = user;

	if ((events & SL_TCP_EV_CONNECTED) != 0)
		x->connected = true;
	if ((events & SL_TCP_EV_ERROR) != 0)
		x->failed = true;
	set_ready(l, x);
}

const struct load_stats *load_stats(const struct load *l)
{
	return &l->stats;
}

bool load_done(const struct load *l)
{
	return l->stats.phase == PHASE_DONE;
}

static uint32_t may_open(const struct load *l)
{
	if (l->stats.opened == 0)
		return l->stats.open == 0 ? 1 : 0;
	return LOAD_OPEN_BURST;
}

/* False: none can be opened now (ports, memory). */
static bool open_one(struct load *l, uint64_t now_us)
{
	struct load_conn *x = TAILQ_FIRST(&l->closed);
	const struct sl_endpoint *to = &l->cfg.remote[l->next_remote];
	int err = sl_tcp_connect(l->tcp, to, x, now_us, &x->conn);

	l->next_remote = (l->next_remote + 1) % l->cfg.nb_remotes;
	if (err < 0) {
		x->conn = NULL;
		l->stats.first_failure_err =
		        l->stats.first_failure_err == 0 ? (uint64_t)-err : l->stats.first_failure_err;
		return false;
	}
	TAILQ_REMOVE(&l->closed, x, link);
	l->nb_closed--;
	x->ready = x->connected = x->failed = x->waiting = false;
	x->opening = true;
	x->got = 0;
	x->asked_us = now_us;
	l->under_way++;
	l->stats.open++;
	return true;
}

static void close_one(struct load *l, struct load_conn *x, bool failed)
{
	if (failed) {
		l->stats.failed++;
		if (l->stats.first_failure_err == 0)
			l->stats.first_failure_err = (uint64_t)-sl_tcp_error(x->conn);
	}
	sl_tcp_release(x->conn);
	x->conn = NULL;
	if (x->resting)
		TAILQ_REMOVE(&l->resting, x, rest);
	else if (l->cfg.kind == LOAD_RR && (x->opening || x->waiting))
		l->under_way--;
	x->resting = false;
	if (x->ready) {
		TAILQ_REMOVE(&l->ready, x, link);
		l->nb_ready--;
		x->ready = false;
	}
	TAILQ_INSERT_TAIL(&l->closed, x, link);
	l->nb_closed++;
	l->stats.closed++;
	l->stats.open--;
}

/* ---- what a connection does ---- */

/* A request is small beside the send buffer: it is taken whole. */
static void ask(struct load *l, struct load_conn *x, uint64_t now_us)
{
	x->got = 0;
	x->asked_us = now_us;
	x->waiting = true;
	if (sl_tcp_write(x->conn, (struct sl_span){l->block, l->cfg.bytes}) != l->cfg.bytes)
		x->failed = true;
}

/* True: the reply is whole. */
static bool take_reply(struct load *l, struct load_conn *x, uint64_t now_us)
{
	size_t n = sl_tcp_readable(x->conn);

	sl_tcp_consume(x->conn, n);
	x->got += (uint32_t)n;
	l->stats.bytes += n;
	if (!x->waiting || x->got < l->cfg.bytes)
		return false;
	x->waiting = false;
	l->stats.replies++;
	l->stats.hist[hist_slot(now_us - x->asked_us)]++;
	return true;
}

static void send_all(struct load *l, struct load_conn *x)
{
	struct sl_span block = {l->block, sizeof(l->block)};
	size_t n;

	do {
		n = sl_tcp_write(x->conn, block);
		l->stats.bytes += n;
	} while (n == block.n);
}

static void rest(struct load *l, struct load_conn *x)
{
	x->resting = true;
	TAILQ_INSERT_TAIL(&l->resting, x, rest);
}

static void ask_rested(struct load *l, uint64_t now_us)
{
	struct load_conn *x;

	while (l->under_way < l->cfg.at_once && (x = TAILQ_FIRST(&l->resting)) != NULL) {
		TAILQ_REMOVE(&l->resting, x, rest);
		x->resting = false;
		l->under_way++;
		ask(l, x, now_us);
	}
}

static void step_conns(struct load *l, struct load_conn *x, uint64_t now_us)
{
	if (take_reply(l, x, now_us)) {
		l->under_way--;
		return;
	}
	/* A new one proves with a first exchange that both legs are there. */
	if (!x->waiting && x->got == 0)
		ask(l, x, now_us);
}

static void step(struct load *l, struct load_conn *x, uint64_t now_us)
{
	bool opening = x->opening;

	if (x->failed || sl_tcp_eof(x->conn)) {
		bool reply = l->cfg.kind == LOAD_CONNECT && !x->failed && !x->waiting && x->got > 0;

		if (l->cfg.kind == LOAD_CONNS && (x->waiting || !x->connected))
			l->under_way--;
		close_one(l, x, !reply);
		return;
	}
	if (!x->connected)
		return;
	x->opening = false;
	l->stats.opened += opening;
	switch (l->cfg.kind) {
	case LOAD_RR:
		if (opening || take_reply(l, x, now_us)) {
			l->under_way--;
			rest(l, x);
		}
		break;
	case LOAD_CONNECT:
		if (!take_reply(l, x, now_us) && !x->waiting && x->got == 0)
			ask(l, x, now_us);
		if (sl_tcp_eof(x->conn))
			set_ready(l, x);
		break;
	case LOAD_SEND:
		send_all(l, x);
		break;
	case LOAD_RECEIVE:
		l->stats.bytes += sl_tcp_readable(x->conn);
		sl_tcp_consume(x->conn, sl_tcp_readable(x->conn));
		break;
	case LOAD_CONNS:
		step_conns(l, x, now_us);
		break;
	default:
		break;
	}
}

/* ---- LOAD_CONNS: phases ---- */

static void next_phase(struct load *l, uint64_t now_us)
{
	struct load_stats *st = &l->stats;

	if (l->phase_began_us != 0)
		st->phase_us[st->phase] = now_us - l->phase_began_us;
	l->phase_began_us = now_us;
	l->at = 0;
	if (st->phase != PHASE_CLOSE) {
		st->phase++;
		return;
	}
	st->round++;
	st->phase = st->round < l->cfg.rounds ? PHASE_OPEN : PHASE_DONE;
}

static void phase_use(struct load *l, uint64_t now_us)
{
	for (; l->at < l->cfg.conns && l->under_way < l->cfg.at_once; l->at++) {
		struct load_conn *x = &l->conns[l->at];

		if (x->conn == NULL)
			continue;
		l->under_way++;
		ask(l, x, now_us);
	}
	if (l->at == l->cfg.conns && l->under_way == 0)
		next_phase(l, now_us);
}

static void phase_close(struct load *l, uint64_t now_us)
{
	for (uint32_t i = 0; l->at < l->cfg.conns && i < LOAD_OPEN_BURST; l->at++) {
		if (l->conns[l->at].conn == NULL)
			continue;
		close_one(l, &l->conns[l->at], false);
		i++;
	}
	/* The other side needs a while behind our last FIN. */
	if (l->at == l->cfg.conns && sl_tcp_nb_conns(l->tcp) == 0)
		next_phase(l, now_us);
}

static void run_phase(struct load *l, uint64_t now_us)
{
	if (l->phase_began_us == 0)
		l->phase_began_us = now_us;
	switch (l->stats.phase) {
	case PHASE_OPEN:
		for (uint32_t i = may_open(l); i > 0 && l->nb_closed > 0 && l->under_way < l->cfg.at_once;
		     i--) {
			if (l->stats.failed > 0 || !open_one(l, now_us))
				break;
		}
		if (l->under_way == 0 && (l->nb_closed == 0 || l->stats.failed > 0))
			next_phase(l, now_us);
		break;
	case PHASE_IDLE:
		if (now_us - l->phase_began_us >= l->cfg.hold_s * 1000000ull)
			next_phase(l, now_us);
		break;
	case PHASE_USE:
		phase_use(l, now_us);
		break;
	case PHASE_CLOSE:
		phase_close(l, now_us);
		break;
	default:
		break;
	}
}

uint32_t load_run(struct load *l, uint64_t now_us)
{
	uint32_t n = l->nb_ready;

	for (uint32_t i = 0; i < n; i++) {
		struct load_conn *x = TAILQ_FIRST(&l->ready);

		if (x == NULL)
			break;
		TAILQ_REMOVE(&l->ready, x, link);
		l->nb_ready--;
		x->ready = false;
		step(l, x, now_us);
	}
	if (l->cfg.kind == LOAD_CONNS) {
		run_phase(l, now_us);
		return n;
	}
	for (uint32_t i = may_open(l); i > 0 && l->nb_closed > 0; i--) {
		if (l->cfg.kind == LOAD_RR && l->under_way >= l->cfg.at_once)
			break;
		if (!open_one(l, now_us))
			break;
	}
	ask_rested(l, now_us);
	return n;
}
