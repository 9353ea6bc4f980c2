/*
 * Messages between the workers and the management core: one single-producer single-consumer ring each way per
 * worker, of fixed messages from fixed pools. No message is ever dropped: when a pool or ring is full the
 * sender gets NULL and waits. Names of things on another core are handles (index + generation), never
 * pointers, except for the policy snapshot, which is immutable and counted.
 */
#ifndef SL_BUS_H
#define SL_BUS_H

#include <stdbool.h>
#include <stdint.h>

#include "sl_addr.h"
#include "sl_err.h"
#include "sl_id.h"
#include "sl_login_name.h"
#include "sl_secret.h"
#include "sl_span.h"

#define SL_BUS_NAME_MAX     128   /* names of users, resources, databases, issuers: bytes with NUL */
#define SL_BUS_TOKEN_MAX    16384 /* a bearer token */
#define SL_BUS_TEXT_MAX     4096  /* a statement's start, in an approval request */
#define SL_BUS_GROUPS_MAX   64
#define SL_BUS_GROUPS_BYTES 4096

/* A flow on a worker. */
struct sl_flow_ref {
	uint32_t worker;
	uint32_t index;
	uint32_t generation; /* never 0 */
};

enum sl_msg_type {
	/* worker -> management */
	SL_MSG_AUTH = 1,      /* who is this? */
	SL_MSG_HOLD,          /* a command waits for approval */
	SL_MSG_HOLD_GONE,     /* its client cancelled or went away */
	SL_MSG_SESSION_END,   /* a session that was authenticated has ended */
	SL_MSG_SNAPSHOT_FREE, /* the worker dropped its last use of a snapshot: release one count */
	SL_MSG_LOCKED,        /* a breaker has locked an identity */
	SL_MSG_CANCEL,        /* cancel request for a flow of another worker (passed on by management) */
	SL_MSG_STOPPED,       /* the worker has drained and stopped */
	SL_MSG_TCP_PAGE,      /* answers to TCP_QUERY: some connections, */
	SL_MSG_TCP_TRACE,     /* or what happened to one */
	/* management -> worker */
	SL_MSG_AUTH_OK,
	SL_MSG_AUTH_NO,
	SL_MSG_AUTH_SALT, /* the first step of a session credential's login goes on */
	SL_MSG_DECISION,  /* a hold's end */
	SL_MSG_ASKED,     /* a hold waits for people (`approval`): its client may be told */
	SL_MSG_SNAPSHOT,  /* judge by this policy from now on */
	/* end this session; flow.generation 0: all sessions of identity.credential, when that is "" all of
	 * the identity's issuer and subject, when that is "" too all of its issuer and provider */
	SL_MSG_KILL,
	SL_MSG_DRAIN,     /* accept nothing new; stop when the last session ends or at deadline_us */
	SL_MSG_TCP_QUERY, /* look at TCP connections; a worker without a free message does not answer */
};

/*
 * Who the caller is. Fixed size, by value. `groups` holds NUL-ended strings one after the other: groups_n
 * bytes of groups, and behind them claims_n bytes of the claims that the provider's document asks for, as
 * "name=value".
 */
struct sl_identity {
	char issuer[SL_BUS_NAME_MAX * 2];
	char subject[SL_BUS_NAME_MAX];
	char name[SL_BUS_NAME_MAX];       /* for people: preferred_username, email or sub */
	char provider[SL_BUS_NAME_MAX];   /* the IdentityProvider's name in the policy */
	char credential[SL_LOGIN_ID_MAX]; /* id of the session credential that it came by; "" a token */
	uint64_t expires_us;              /* wall time; the session ends then */
	uint16_t nb_groups;
	uint16_t groups_n, claims_n;
	char groups[SL_BUS_GROUPS_BYTES];
};

struct sl_msg_auth {
	struct sl_id session; /* that it is for: by this an operator ends it */
	enum sl_auth_step step;
	char credential[SL_LOGIN_ID_MAX];
	uint8_t proof[SL_AUTH_PROOF_N];
	struct sl_endpoint client;
	char listener[SL_BUS_NAME_MAX];
	char resource[SL_BUS_NAME_MAX]; /* by listener or user name */
	char database[SL_BUS_NAME_MAX];
	bool tls; /* the token came inside TLS */
	uint32_t token_n;
	uint8_t token[SL_BUS_TOKEN_MAX]; /* cleared by whoever frees the message */
};

struct sl_msg_auth_ok {
	struct sl_identity identity;
	char resource[SL_BUS_NAME_MAX];
	char target_user[SL_BUS_NAME_MAX];
	struct sl_secret secret;            /* the target's password; cleared with the message */
	uint8_t signature[SL_AUTH_PROOF_N]; /* to PROOF: ServerSignature */
};

struct sl_msg_auth_salt {
	uint32_t iterations, salt_n;
	uint8_t salt[SL_AUTH_SALT_MAX];
};

struct sl_msg_auth_no {
	int err;    /* the reason, from the error table: for the record, never told in detail to the caller */
	bool retry; /* not the caller's fault: provider or store down */
	char text[256]; /* what the caller is told */
};

#define SL_BUS_NEEDS_MAX 4 /* rules that can hold one command; with more it is denied */

/* What one rule that holds a command asks for. */
struct sl_msg_need {
	char rule[SL_BUS_NAME_MAX];
	uint32_t quorum;      /* approvals that it takes, from 1 */
	uint8_t grant;        /* enum sl_grant: for what else the approval counts */
	uint32_t grant_s;     /* seconds, for SL_GRANT_WINDOW */
	char approvers[1024]; /* groups that may approve, NUL-ended one after the other; none: any approver */
	uint16_t approvers_n;
};

/* Each of its needs must be met before the command may run. */
struct sl_msg_hold {
	struct sl_id session;
	uint64_t cmd;
	char event_id[48];
	char resource[SL_BUS_NAME_MAX];
	char database[SL_BUS_NAME_MAX];
	char message[256]; /* of the first rule */
	uint64_t policy_version;
	uint64_t expires_us;   /* wall time: the shortest of the rules */
	struct sl_id approval; /* made by the worker; the text form is what the client sees */
	uint32_t nb_needs;     /* from 1; in document order */
	struct sl_msg_need needs[SL_BUS_NEEDS_MAX];
	uint8_t statement_sha256[32]; /* of the whole statement with its parameters; keyed when passwords are
	                                 cut out of it */
	uint32_t text_total;
	uint32_t text_n;
	uint8_t text[SL_BUS_TEXT_MAX];
	struct sl_identity identity;
};

enum sl_decision {
	SL_DECISION_APPROVED = 1,
	SL_DECISION_DENIED,
	SL_DECISION_EXPIRED,
	SL_DECISION_CANCELLED,
	SL_DECISION_UNASKED, /* the approval could not be kept: nobody has refused it */
};

struct sl_msg_decision {
	struct sl_id approval;
	enum sl_decision decision;
	char by[SL_BUS_NAME_MAX];
	char note[256];
};

/* What the caller is told. */
#define SL_LOCKED_TEXT "your identity is locked until an operator releases it"

/* The lock holds already (sl_usage.h): this is for the store and for people. */
struct sl_msg_locked {
	struct sl_id session;
	char event_id[48]; /* of the last denial */
	char resource[SL_BUS_NAME_MAX];
	char breaker[SL_BUS_NAME_MAX];
	uint32_t denials, window_s;
	uint64_t wall_us;
	struct sl_identity identity;
};

#define SL_BUS_TCP_ROWS   40 /* connections in a page */
#define SL_BUS_TCP_EVENTS 32 /* of a trace */
#define SL_BUS_TCP_TEXT   96 /* an event in words, with NUL */

/* A connection as in struct sl_tcp_info of the TCP stack, with its names: flags, then numbers by their size.
 */
/* clang-format off */
#define SL_BUS_TCP_FLAGS(X) \
	X(passive) X(held) X(ts) X(sack) X(wscale) X(ecn) X(ecn_seen)
#define SL_BUS_TCP_U8(X) \
	X(snd_wscale) X(rcv_wscale)
#define SL_BUS_TCP_U32(X) \
	X(rto_us) X(srtt_us) X(rttvar_us) X(min_rtt_us) X(ato_us) X(mss) X(pmtu) X(rcv_mss) \
	X(adv_mss) X(snd_cwnd_bytes) X(ssthresh_bytes) X(snd_wnd) X(rcv_wnd) X(last_snd_ms) \
	X(last_rcv_ms) X(last_ack_ms) X(rcv_space) X(rx_queue_bytes) X(tx_queue_bytes) \
	X(not_sent_bytes) X(unacked_bytes) X(ooo_bytes) X(unacked_segs) X(lost_segs) X(sacked_segs) \
	X(retrans_segs) X(reordering) X(timer_ms) X(backoff) X(nb_probes) X(mem_bytes)
#define SL_BUS_TCP_U64(X) \
	X(bytes_sent) X(bytes_acked) X(bytes_received) X(bytes_retrans) X(retransmits) X(segs_out) \
	X(segs_in) X(data_segs_out) X(data_segs_in) X(delivered) X(delivery_rate) X(pacing_rate)
/* clang-format on */

struct sl_msg_tcp_row {
	uint64_t id;
	struct sl_endpoint local, remote;
	char state[16], ca_state[16], timer[16];
#define SL_BUS_TCP_FIELD(f) bool f;
	SL_BUS_TCP_FLAGS(SL_BUS_TCP_FIELD)
#undef SL_BUS_TCP_FIELD
#define SL_BUS_TCP_FIELD(f) uint8_t f;
	SL_BUS_TCP_U8(SL_BUS_TCP_FIELD)
#undef SL_BUS_TCP_FIELD
#define SL_BUS_TCP_FIELD(f) uint32_t f;
	SL_BUS_TCP_U32(SL_BUS_TCP_FIELD)
#undef SL_BUS_TCP_FIELD
#define SL_BUS_TCP_FIELD(f) uint64_t f;
	SL_BUS_TCP_U64(SL_BUS_TCP_FIELD)
#undef SL_BUS_TCP_FIELD
};

struct sl_msg_tcp_query {
	uint64_t request; /* comes back with the answer */
	bool trace;       /* of `id`; else a page of connections */
	uint64_t id;
	uint64_t after; /* 0, or `next` of the page before */
	uint32_t limit; /* at most SL_BUS_TCP_ROWS come */
};

struct sl_msg_tcp_page {
	uint64_t request;
	uint64_t next; /* 0: that was all. A page may have fewer rows than asked, even none, and be followed.
	                */
	uint32_t nb;
	struct sl_msg_tcp_row row[SL_BUS_TCP_ROWS];
};

struct sl_msg_tcp_trace {
	uint64_t request;
	bool live;   /* the connection is there: row is filled in */
	uint32_t nb; /* 0 and not live: not known */
	struct sl_msg_tcp_row row;
	struct {
		uint64_t at_us; /* wall time */
		char text[SL_BUS_TCP_TEXT];
	} event[SL_BUS_TCP_EVENTS];
};

struct sl_msg {
	enum sl_msg_type type;
	struct sl_flow_ref flow;
	union {
		struct sl_msg_auth auth;
		struct sl_msg_auth_ok auth_ok;
		struct sl_msg_auth_no auth_no;
		struct sl_msg_auth_salt auth_salt;
		struct sl_msg_hold hold;
		struct sl_id approval; /* HOLD_GONE, ASKED */
		struct sl_id session;  /* SESSION_END, KILL */
		struct sl_msg_decision decision;
		struct sl_msg_locked locked;
		struct sl_identity identity; /* KILL of an identity */
		struct {
			uint32_t pid;
			uint8_t key_n;
			uint8_t key[32];
		} cancel;
		void *snapshot;       /* struct sl_snapshot, counted: SNAPSHOT, SNAPSHOT_FREE */
		uint64_t deadline_us; /* DRAIN: monotonic */
		struct sl_msg_tcp_query tcp_query;
		struct sl_msg_tcp_page tcp_page;
		struct sl_msg_tcp_trace tcp_trace;
	};
};

_Static_assert(sizeof(struct sl_msg_tcp_page) <= sizeof(struct sl_msg_auth),
               "a page makes no message larger");
_Static_assert(sizeof(struct sl_msg_hold) <= sizeof(struct sl_msg_auth), "a hold makes no message larger");

struct sl_bus;

/* nb_msgs: messages per worker and direction, power of two. NULL when out of memory. */
struct sl_bus *sl_bus_new(uint32_t nb_workers, uint32_t nb_msgs);
void sl_bus_free(struct sl_bus *b);
uint32_t sl_bus_workers(const struct sl_bus *b);

/*
 * The message is zeroed. NULL: none free now. Each end has its own pool; the receiver gives the message back
 * with the matching _done(), which clears it. A sender that does not send after all gives it back with its
 * own _done().
 */
struct sl_msg *sl_bus_worker_new(struct sl_bus *b, uint32_t worker);          /* worker */
void sl_bus_worker_send(struct sl_bus *b, uint32_t worker, struct sl_msg *m); /* worker */
struct sl_msg *sl_bus_worker_recv(struct sl_bus *b, uint32_t worker);         /* worker; NULL none */
void sl_bus_worker_done(struct sl_bus *b, uint32_t worker, struct sl_msg *m); /* worker */
/*
 * Gives a message back that was received for a flow that is not there any more, instead of _done(): type and
 * flow stay in it, the rest is cleared. So management learns of it without a message of the worker's, which
 * may all be waiting to be taken.
 */
void sl_bus_worker_refuse(struct sl_bus *b, uint32_t worker, struct sl_msg *m); /* worker */
/* Makes the eventfd readable if the worker sent or gave back a message since its last kick; once per poll
 * loop. */
void sl_bus_worker_kick(struct sl_bus *b, uint32_t worker);

struct sl_msg *sl_bus_mgmt_new(struct sl_bus *b, uint32_t worker);          /* management */
void sl_bus_mgmt_send(struct sl_bus *b, uint32_t worker, struct sl_msg *m); /* management */
struct sl_msg *sl_bus_mgmt_recv(struct sl_bus *b, uint32_t worker);         /* management; NULL none */
void sl_bus_mgmt_done(struct sl_bus *b, uint32_t worker, struct sl_msg *m); /* management */
/* One of management's own that the worker has refused, to be given back with _done(); NULL: none now. */
struct sl_msg *sl_bus_mgmt_refused(struct sl_bus *b, uint32_t worker); /* management */
/*
 * The worker has died (sl_fault.h): its thread runs no more. All messages of both lanes are cleared, tokens
 * and credentials among them; nobody reads what was in them, and what a SNAPSHOT counts stays counted. From
 * then on sl_bus_mgmt_new() and sl_bus_mgmt_recv() give NULL for it.
 */
void sl_bus_worker_gone(struct sl_bus *b, uint32_t worker); /* management */
/* An eventfd that turns readable when a worker has sent; the event loop watches it, reads it, then drains all
 * rings. */
int sl_bus_mgmt_fd(const struct sl_bus *b);

#endif
