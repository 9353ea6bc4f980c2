/* What the files of this folder share. See README.md for the path of a packet through them. */
#ifndef WORKER_PRIV_H
#define WORKER_PRIV_H

#include <poll.h>
#include <sys/queue.h>

#include "sl_counter.h"
#include "sl_flow.h"
#include "sl_inspect.h"
#include "sl_layer_tls.h"
#include "sl_worker.h"
#include "wheel.h"

#define CONNECT_TIMEOUT_US (10 * 1000000ull) /* to open and log in at the target */
#define LINGER_US          (5 * 1000000ull)  /* for a client to take its last bytes */
#define HOLD_MARGIN_US     (5 * 1000000ull) /* beyond an approval's expiry, which the management core keeps */
#define CANCELS_MAX        64               /* cancel requests under way to targets */
#define CANCEL_TIMEOUT_US  (5 * 1000000ull)
#define CANCEL_BYTES_MAX   272               /* PostgreSQL: 12, and a key of up to 256 */
#define CATALOG_AGE_US     (60 * 1000000ull) /* unless the configuration says so */
#define CATALOGS_MAX       64                /* of resources and databases at a time */
#define HALF_MESSAGE_US    (10 * 1000000ull) /* that one may keep a large buffer, once others wait for one */
#define EVICT_SHARE        32 /* of the sessions: the places that connections without a login leave free */

/*
 * Free record blocks without which nothing is fed: what one feed can bring to the client at most is a full
 * queue and one message that was read whole.
 */
#define FEED_BLOCKS_MIN 256

enum session_state {
	SESSION_CLIENT = 1, /* the client starts up and says who it is */
	SESSION_AUTH,       /* the management core decides who that is */
	SESSION_CONNECT,    /* TCP to the target */
	SESSION_TARGET,     /* login there */
	SESSION_OPEN,
	SESSION_CLOSING, /* the last bytes to the client, the last record */
};

enum peer_kind {
	PEER_SESSION,
	PEER_CANCEL,
	PEER_CATALOG,
};

/* What a TCP connection's user pointer points to. */
struct peer {
	enum peer_kind kind;
	enum sl_side side;
	struct sl_tcp_conn *conn; /* NULL: none */
	void *owner;
};

/* A message of one side's that is not whole, or cannot go on. */
struct half {
	TAILQ_ENTRY(half) link;
	struct session *session;
	uint64_t since_us; /* it has a large buffer since then, and is in that list; 0: it has none */
	uint64_t used;     /* what that side's decoder had consumed by then */
};

/* What is only needed until the session is open. */
struct login {
	char user[SL_BUS_NAME_MAX], database[SL_BUS_NAME_MAX], resource[SL_BUS_NAME_MAX],
	        app[SL_BUS_NAME_MAX];
	char credential[SL_LOGIN_ID_MAX]; /* "": it is a token */
	struct sl_msg *answer;            /* AUTH_OK, AUTH_SALT or AUTH_NO that could not be recorded yet */
	struct sl_login to_target;
	char target_user[SL_BUS_NAME_MAX];
	struct sl_secret secret;
};

struct catalog;
struct fetch;

struct session {
	struct sl_worker *w;
	struct session *next; /* in the list of blocks to use again */
	TAILQ_ENTRY(session) ready_link;
	uint32_t index, generation;
	enum session_state state;
	TAILQ_ENTRY(session) starve_link;
	TAILQ_ENTRY(session) waiting_link;
	struct half half[2];
	bool waiting;  /* has not said who it is: is in that list */
	bool evicted;  /* gave way to a newer connection: no last word */
	bool ready;    /* is in the ready list */
	bool starving; /* waits for records, messages, buffers or durability: is in that list */
	struct peer peer[2];
	struct sl_stream layer[2]; /* TLS, where there is one */
	struct sl_flow flow;
	const struct sl_worker_listener *listener;
	const struct sl_resource *resource; /* good until SESSION_OPEN */
	struct sl_endpoint target;
	struct catalog *catalog; /* NULL: no mask hides a column from the caller */
	bool catalog_waits;      /* the event in hand waits for one that was asked for behind this change: */
	uint64_t catalog_need;
	uint64_t catalog_since_us; /* and that is not older than this */
	struct login *login;
	bool authenticated; /* management counts it as live */
	bool opened;        /* the target had accepted the login */
	bool greeting;      /* in this feed: what it brings tells the client so */
	bool end_recorded;
	bool gone_said;  /* the approvers were told */
	bool hold_ended; /* a decision waits to be recorded */
	bool held;
	bool target_open; /* TCP to the target is established */
	bool undrained;   /* the client did not take its last bytes: reset it */
	uint32_t cutting; /* cancels of ours on their way to the target: no new command before they are there
	                   */
	bool running;     /* when it ended, the target was still at work */
	uint64_t hold_end_us; /* wall time: denied here when nobody has said anything by then */
	struct sl_id approval;
	struct sl_msg_decision decision;
	uint64_t cmd; /* of the reply that is being passed */
	bool replied; /* it was named in this feed */
	uint64_t deadline_us;
	struct wheel_entry deadline; /* the next of all that can come */
	uint8_t cancel_key[SL_CANCEL_KEY_MAX];
	uint8_t cancel_key_n; /* bytes of it that the client has; 0: none yet */
	int end_err;
	char end_why[96];
	struct sl_inspect *inspect;
	void *dec_state;
	size_t bytes; /* of the whole block, with what inspect and dec_state point to */
};

struct cancel {
	struct peer peer;
	uint8_t bytes[CANCEL_BYTES_MAX];
	size_t n;
	uint64_t deadline_us;
	struct sl_flow_ref cuts; /* the session that waits for it; generation 0: none */
	bool used, ready;
};

struct sl_worker {
	struct sl_worker_cfg cfg;
	struct sl_tcp *tcp;
	struct sl_net *net;
	struct sl_inspect_worker *inspect;
	struct sl_buf_pool *bufs;
	struct sl_services *services; /* NULL but in builds with test services */
	struct sl_mem *mem;           /* the decoders' tables */
	void *scratch;                /* and what is good for one call of theirs */
	struct sl_tcp_listener *listeners[SL_WORKER_LISTENERS_MAX];
	struct session **sessions; /* [max_sessions] */
	uint32_t *generations;
	uint32_t nb_sessions;
	struct wheel deadlines;
	bool deadlines_left; /* more are due than a run takes */
	uint32_t *free_index;
	uint32_t nb_free;
	struct session *pool; /* blocks to use again */
	TAILQ_HEAD(ready_list, session) ready;
	uint32_t nb_ready;
	TAILQ_HEAD(, session) starving;
	TAILQ_HEAD(, session) waiting; /* for the client's token, the oldest first */
	uint32_t nb_waiting;
	TAILQ_HEAD(, half) halves; /* those that have large buffers, the oldest first */
	struct catalog *catalogs[CATALOGS_MAX];
	uint32_t nb_fetches; /* of them under way */
	uint64_t next_catalog_us;
	struct cancel cancels[CANCELS_MAX];
	uint32_t nb_cancels;
	struct sl_msg *hold_msg;         /* kept for the next hold */
	struct sl_snapshot *to_free[16]; /* counts to be given back */
	uint32_t nb_to_free;
	uint64_t tsc_scale, tsc_offset_us;
	uint64_t now_us, wall_us, wall_offset_us, next_clock_us, next_give_us, next_starve_us;
	uint64_t next_levels_us;
	uint32_t nb_blocks; /* record blocks that there are for this worker */
	uint64_t next_tcp_us, next_net_us, last_work_us;
	uint32_t nb_packets; /* that the last loop received */
	struct pollfd
	        wait[SL_NET_PORTS_MAX * SL_PORT_WAIT_FDS]; /* the ports, when all of them can be waited for */
	uint16_t nb_wait;
	bool resting; /* waits for packets */
	uint64_t durable_seen;
	uint64_t dead;     /* the workers that are known to have died, a set bit each */
	uint64_t to_reset; /* those whose connections' peers this one tells, */
	uint64_t reset;    /* and has told */
	uint32_t reset_at, nb_reset;
	uint64_t next_reset_us;
	bool draining;
	_Atomic bool stopped; /* has said so; the others look */
	bool arm_all;         /* the deadlines of all sessions have moved */
	uint64_t drain_deadline_us;
};

/* session.c */
extern const struct sl_flow_host session_flow_host;
void *session_accept(struct sl_worker *w, const struct sl_worker_listener *l, struct sl_tcp_conn *c);
void session_ready(struct session *s);
void session_unready(struct session *s);
/* Does what can be done now. May free the session. */
void session_run(struct session *s);
/* Begins the end. err 0: in order. code SL_RSN_NONE: the client gets no last word. */
void session_end(struct session *s, int err, enum sl_reason_code code, const char *why);
struct session *session_find(struct sl_worker *w, const struct sl_flow_ref *ref);
struct sl_flow_ref session_ref(const struct session *s);
/* The client has said who it is, or ends. */
void session_half_messages(struct sl_worker *w);
void session_waits_no_more(struct session *s);
void session_free_pool(struct sl_worker *w);
size_t session_scratch_bytes(void);

/* login.c */
int login_auth(struct session *s, const struct sl_ev_auth *a, struct sl_verdict *v);
/* The management core's answer: takes the message. */
void login_answer(struct session *s, struct sl_msg *m);
/* Goes on with an answer, a connection. May end the session. */
void login_step(struct session *s);
int login_upgrade(struct session *s, enum sl_side side, bool direct, struct sl_span early);
size_t login_channel_binding(const struct session *s, enum sl_side side, uint8_t *out);
void login_free(struct session *s);

/* command.c */
int command_event(struct session *s, const struct sl_event *ev, struct sl_verdict *v);
/* People were asked: the client is told that it waits. */
void command_asked(struct session *s, const struct sl_id *approval);
/* The hold's end, from the management core or by the client's cancel. */
void command_decide(struct session *s, const struct sl_msg_decision *d);
/* Denies a hold that is long over its time. */
void command_hold_deadline(struct session *s);
/* Records the decision and lets the flow go on. SL_AGAIN: not yet. */
int command_decide_step(struct session *s);
/* CancelRequest: finds the flow, here or on another worker. */
int command_cancel(struct sl_worker *w, uint32_t pid, struct sl_span key);
/* Asks the target to stop what the session is doing there. False: it could not be asked. */
bool command_cancel_target(struct session *s);
/* The same because its result was cut: the next command waits until the target has been asked, so that it is
 * not the one that is stopped. */
void command_cut(struct session *s);
void command_cancel_run(struct sl_worker *w, struct cancel *c);
void command_cancel_sweep(struct sl_worker *w);

/* heir.c */
/* The set of the dead has changed. */
void worker_heir_note(struct sl_worker *w, uint64_t dead);
/* While to_reset is not empty. Returns what was sent. */
uint32_t worker_heir_run(struct sl_worker *w);

/* worker.c */
/* After anything that may bring a deadline forward. */
void worker_arm(struct session *s);
void worker_give_back(struct sl_worker *w, struct sl_snapshot *s);
void worker_random(void *out, size_t n);

#endif
