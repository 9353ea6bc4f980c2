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
	SL_MSG_CANCEL,        /* cancel request for a flow of another worker (passed on by management) */
	SL_MSG_STOPPED,       /* the worker has drained and stopped */
	/* management -> worker */
	SL_MSG_AUTH_OK,
	SL_MSG_AUTH_NO,
	SL_MSG_DECISION, /* a hold's end */
	SL_MSG_SNAPSHOT, /* judge by this policy from now on */
	SL_MSG_KILL,     /* end this session (flow.generation 0: all sessions of `identity.subject`) */
	SL_MSG_DRAIN,    /* accept nothing new; stop when the last session ends or at deadline_us */
};

/* Who the caller is. Fixed size, by value. Groups are NUL-ended strings one after the other in `groups`. */
struct sl_identity {
	char issuer[SL_BUS_NAME_MAX * 2];
	char subject[SL_BUS_NAME_MAX];
	char name[SL_BUS_NAME_MAX];     /* for people: preferred_username, email or sub */
	char provider[SL_BUS_NAME_MAX]; /* the IdentityProvider's name in the policy */
	uint64_t expires_us;            /* wall time; the session ends then */
	uint16_t nb_groups;
	uint16_t groups_n;
	char groups[SL_BUS_GROUPS_BYTES];
};

struct sl_msg_auth {
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
	struct sl_secret secret; /* the target's password; cleared with the message */
};

struct sl_msg_auth_no {
	int err;    /* the reason, from the error table: for the record, never told in detail to the caller */
	bool retry; /* not the caller's fault: provider or store down */
	char text[256]; /* what the caller is told */
};

struct sl_msg_hold {
	struct sl_id session;
	uint64_t cmd;
	char event_id[48];
	char resource[SL_BUS_NAME_MAX];
	char database[SL_BUS_NAME_MAX];
	char rule[SL_BUS_NAME_MAX];
	char message[256];
	uint64_t policy_version;
	uint64_t expires_us;   /* wall time */
	struct sl_id approval; /* made by the worker; the text form is what the client sees */
	char approvers[1024]; /* groups that may approve, NUL-ended one after the other; none: any approver */
	uint16_t approvers_n;
	uint8_t statement_sha256[32]; /* of the whole statement with its parameters */
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
};

struct sl_msg_decision {
	struct sl_id approval;
	enum sl_decision decision;
	char by[SL_BUS_NAME_MAX];
	char note[256];
};

struct sl_msg {
	enum sl_msg_type type;
	struct sl_flow_ref flow;
	union {
		struct sl_msg_auth auth;
		struct sl_msg_auth_ok auth_ok;
		struct sl_msg_auth_no auth_no;
		struct sl_msg_hold hold;
		struct sl_id approval; /* HOLD_GONE */
		struct sl_id session;  /* SESSION_END, KILL */
		struct sl_msg_decision decision;
		struct sl_identity identity; /* KILL of an identity */
		struct {
			uint32_t pid;
			uint32_t key;
		} cancel;
		void *snapshot;       /* struct sl_snapshot, counted: SNAPSHOT, SNAPSHOT_FREE */
		uint64_t deadline_us; /* DRAIN: monotonic */
	};
};

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
/* Makes the eventfd readable if the worker sent or gave back a message since its last kick; once per poll
 * loop. */
void sl_bus_worker_kick(struct sl_bus *b, uint32_t worker);

struct sl_msg *sl_bus_mgmt_new(struct sl_bus *b, uint32_t worker);          /* management */
void sl_bus_mgmt_send(struct sl_bus *b, uint32_t worker, struct sl_msg *m); /* management */
struct sl_msg *sl_bus_mgmt_recv(struct sl_bus *b, uint32_t worker);         /* management; NULL none */
void sl_bus_mgmt_done(struct sl_bus *b, uint32_t worker, struct sl_msg *m); /* management */
/* An eventfd that turns readable when a worker has sent; the event loop watches it, reads it, then drains all
 * rings. */
int sl_bus_mgmt_fd(const struct sl_bus *b);

#endif
