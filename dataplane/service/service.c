#include "sl_service.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "sl_counter.h"

#define SERVICE_PIECES     32
#define SERVICE_SOURCE_LEN 16384
/* Bytes that one direction of a session may move in one go: others wait for the loop too. */
#define SERVICE_TURN_BYTES (256 * 1024)

struct leg {
	struct sl_tcp_conn *conn; /* NULL: none, or gone */
	bool connected;
	bool fin_sent;
	bool failed;
};

struct service_session {
	TAILQ_ENTRY(service_session) link; /* in the ready list, or free */
	struct leg leg[2];                 /* the accepted connection; relay: the target's */
	const struct sl_endpoint *target;
	uint8_t kind; /* SL_SERVICE_NONE: free */
	bool ready;
	bool answered; /* once */
};

_Static_assert(sizeof(struct service_session) <= 128, "two legs with these are to be small");

struct sl_services {
	struct sl_tcp *tcp;
	struct service_session *sessions;
	uint32_t nb_max, nb_ready;
	TAILQ_HEAD(, service_session) ready, free;
	struct sl_service_stats stats;
	uint8_t source[SERVICE_SOURCE_LEN];
};

static const struct {
	const char *name;
	enum sl_service_kind kind;
} services[] = {
        {"echo", SL_SERVICE_ECHO}, {"discard", SL_SERVICE_DISCARD}, {"source", SL_SERVICE_SOURCE},
        {"once", SL_SERVICE_ONCE}, {"relay", SL_SERVICE_RELAY},
};

enum sl_service_kind sl_service_find(const char *protocol)
{
	for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
		if (strcmp(services[i].name, protocol) == 0)
			return services[i].kind;
	}
	return SL_SERVICE_NONE;
}

int sl_services_new(struct sl_tcp *t, uint32_t max_sessions, struct sl_services **out)
{
	struct sl_services *s = calloc(1, sizeof(*s));

	*out = s;
	if (s == NULL)
		return sl_fail(SL_E_NOMEM);
	s->tcp = t;
	s->nb_max = max_sessions;
	TAILQ_INIT(&s->ready);
	TAILQ_INIT(&s->free);
	for (size_t i = 0; i < sizeof(s->source); i++)
		s->source[i] = (uint8_t)(' ' + i % 95);
	s->sessions = calloc(max_sessions, sizeof(*s->sessions));
	if (s->sessions == NULL) {
		free(s);
		*out = NULL;
		return sl_fail(SL_E_NOMEM);
	}
	for (uint32_t i = 0; i < max_sessions; i++)
		TAILQ_INSERT_TAIL(&s->free, &s->sessions[i], link);
	return SL_OK;
}

void sl_services_free(struct sl_services *s)
{
	if (s == NULL)
		return;
	free(s->sessions);
	free(s);
}

static void set_ready(struct sl_services *s, struct service_session *x)
{
	if (x->ready)
		return;
	x->ready = true;
	TAILQ_INSERT_TAIL(&s->ready, x, link);
	s->nb_ready++;
}

void *sl_service_accept(struct sl_services *s, enum sl_service_kind kind, const struct sl_endpoint *target,
                        struct sl_tcp_conn *c)
{
	struct service_session *x = TAILQ_FIRST(&s->free);

	if (x == NULL) {
		(void)sl_fail(SL_E_FLOW_LIMIT);
		return NULL;
	}
	TAILQ_REMOVE(&s->free, x, link);
	*x = (struct service_session){
	        .kind = (uint8_t)kind,
	        .target = target,
	        .leg[0] = {.conn = c, .connected = true},
	};
	s->stats.opened++;
	s->stats.nb_sessions++;
	set_ready(s, x);
	return &x->leg[0];
}

bool sl_service_owns(const struct sl_services *s, const void *user)
{
	uintptr_t at = (uintptr_t)user, from = (uintptr_t)s->sessions;

	return at >= from && at < from + s->nb_max * sizeof(*s->sessions);
}

void sl_service_notify(struct sl_services *s, void *user, uint32_t events)
{
	size_t off = (size_t)((uint8_t *)user - (uint8_t *)s->sessions);
	struct service_session *x = &s->sessions[off / sizeof(*x)];
	struct leg *leg = user, *other = leg == &x->leg[0] ? &x->leg[1] : &x->leg[0];

	if ((events & SL_TCP_EV_CONNECTED) != 0)
		leg->connected = true;
	if ((events & SL_TCP_EV_ERROR) != 0)
		leg->failed = true;
	if (other->conn != NULL)
		sl_tcp_prefetch(other->conn);
	set_ready(s, x);
}

/* Bytes of one leg into another (echo: the same), by reference where that pays. True: more could be moved at
 * once. */
static bool pump(struct sl_services *s, struct leg *from, struct leg *to)
{
	struct sl_tcp_piece v[SERVICE_PIECES];
	size_t moved = 0;

	while (moved < SERVICE_TURN_BYTES) {
		uint32_t nb = sl_tcp_peek_pieces(from->conn, v, SERVICE_PIECES);
		size_t want = 0, took = 0;

		for (uint32_t i = 0; i < nb && took == want; i++) {
			want += v[i].len;
			took += sl_tcp_write_piece(to->conn, &v[i]);
		}
		if (took > 0)
			sl_tcp_consume(from->conn, took);
		moved += took;
		if (nb == 0 || took < want)
			break;
	}
	s->stats.bytes += moved;
	if (!to->fin_sent && sl_tcp_eof(from->conn)) {
		sl_tcp_shutdown(to->conn);
		to->fin_sent = true;
	}
	return moved >= SERVICE_TURN_BYTES;
}

static void swallow(struct sl_services *s, struct leg *leg)
{
	size_t n = sl_tcp_readable(leg->conn);

	s->stats.bytes += n;
	sl_tcp_consume(leg->conn, n);
}

static void end_session(struct sl_services *s, struct service_session *x, bool failed, uint64_t now_us)
{
	for (int i = 0; i < 2; i++) {
		struct leg *leg = &x->leg[i];

		if (leg->conn == NULL)
			continue;
		if (failed && !leg->failed)
			sl_tcp_abort(leg->conn, now_us);
		else
			sl_tcp_release(leg->conn);
	}
	s->stats.closed++;
	s->stats.nb_sessions--;
	if (failed)
		s->stats.failed++;
	if (x->ready) {
		TAILQ_REMOVE(&s->ready, x, link);
		s->nb_ready--;
	}
	*x = (struct service_session){.kind = SL_SERVICE_NONE};
	/* The block that was used last is the one that is still in the cache. */
	TAILQ_INSERT_HEAD(&s->free, x, link);
}

/* > 0: goes on; SL_CLOSED: ended in order; < 0: by error. */
static int run_relay(struct sl_services *s, struct service_session *x, uint64_t now_us, bool *more)
{
	struct leg *client = &x->leg[0], *target = &x->leg[1];

	if (target->conn == NULL) {
		int err = sl_tcp_connect(s->tcp, x->target, target, now_us, &target->conn);

		return err < 0 ? err : SL_MORE;
	}
	if (!target->connected)
		return SL_MORE;
	*more = pump(s, client, target);
	*more |= pump(s, target, client);
	return client->fin_sent && target->fin_sent ? SL_CLOSED : SL_MORE;
}

static int run_source(struct sl_services *s, struct leg *leg)
{
	struct sl_span block = {s->source, sizeof(s->source)};

	swallow(s, leg);
	if (sl_tcp_eof(leg->conn))
		return SL_CLOSED;
	while (sl_tcp_write(leg->conn, block) == block.n)
		;
	return SL_MORE;
}

static int run_once(struct sl_services *s, struct service_session *x)
{
	struct leg *leg = &x->leg[0];

	if (!x->answered && sl_tcp_readable(leg->conn) > 0) {
		(void)pump(s, leg, leg);
		x->answered = true;
	}
	swallow(s, leg); /* what nobody reads would make the close a reset */
	return x->answered || sl_tcp_eof(leg->conn) ? SL_CLOSED : SL_MORE;
}

static int step(struct sl_services *s, struct service_session *x, uint64_t now_us, bool *more)
{
	struct leg *leg = &x->leg[0];

	if (leg->failed || x->leg[1].failed)
		return SL_E_TCP_ABORTED;
	switch ((enum sl_service_kind)x->kind) {
	case SL_SERVICE_ECHO:
		*more = pump(s, leg, leg);
		return leg->fin_sent ? SL_CLOSED : SL_MORE;
	case SL_SERVICE_DISCARD:
		swallow(s, leg);
		return sl_tcp_eof(leg->conn) ? SL_CLOSED : SL_MORE;
	case SL_SERVICE_SOURCE:
		return run_source(s, leg);
	case SL_SERVICE_ONCE:
		return run_once(s, x);
	case SL_SERVICE_RELAY:
		return run_relay(s, x, now_us, more);
	default:
		return SL_E_INVAL;
	}
}

uint32_t sl_services_run(struct sl_services *s, uint64_t now_us)
{
	uint32_t n = s->nb_ready;

	for (uint32_t i = 0; i < n; i++) {
		struct service_session *x = TAILQ_FIRST(&s->ready);
		bool more = false;
		int rc;

		TAILQ_REMOVE(&s->ready, x, link);
		s->nb_ready--;
		x->ready = false;
		rc = step(s, x, now_us, &more);
		if (rc == SL_CLOSED || rc < 0)
			end_session(s, x, rc < 0, now_us);
		else if (more)
			set_ready(s, x);
	}
	return n;
}

void sl_services_end(struct sl_services *s, uint64_t now_us)
{
	for (uint32_t i = 0; i < s->nb_max; i++) {
		if (s->sessions[i].kind != SL_SERVICE_NONE)
			end_session(s, &s->sessions[i], true, now_us);
	}
}

struct sl_service_stats sl_services_stats(const struct sl_services *s)
{
	return s->stats;
}
