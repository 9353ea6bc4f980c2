/*
 * For tests: the whole management core with real parts around it. The store and the bus are real (the test is
 * the worker), the identity provider is an HTTPS server in a thread of its own, the client speaks TLS.
 */
#ifndef MG_TEST_GATEWAY_H
#define MG_TEST_GATEWAY_H

#include <pthread.h>

#include <jansson.h>
#include <openssl/ssl.h>

#include "sl_mgmt.h"
#include "sl_policy.h"

struct provider { /* in its own thread */
	struct event_base *base;
	struct test_https *server;
	pthread_t thread;
	char issuer[64], *discovery, *jwks, *cert, *key;
	EVP_PKEY *sign;
};

struct world {
	char dir[64], path[8][128];
	struct provider idp;
	struct sl_store *store;
	struct sl_bus *bus;
	struct sl_mgmt *mgmt;
	pthread_t thread;
	uint16_t port;
	SSL_CTX *tls;
	char *cert;
	struct sl_snapshot *snap; /* what the worker was given last */
	uint64_t snap_version;
	struct sl_id_maker ids;
};

extern _Atomic uint64_t dead_workers; /* what the core is told */
extern _Atomic unsigned idp_slow_ms;  /* what the provider takes for an answer */

enum {
	P_STORE,
	P_SIGN,
	P_MASTER,
	P_CERT,
	P_KEY,
	P_POLICY,
	P_CA,
	P_YAML
};

struct reply {
	int status;
	char *head; /* malloc'd: everything; lower case is not made of it */
	char *body; /* inside */
	json_t *json;
};

#define JSON_TYPE "application/json"
#define YAML_TYPE "application/yaml"

int setup(void **state);
int teardown(void **state);
void start_mgmt(struct world *w);
void stop_mgmt(struct world *w);
struct sl_mgmt *new_mgmt(struct world *w, char *err, size_t cap);
void open_store(struct world *w);
void policy_text(struct world *w, const char *more, char *out, size_t cap);
void give_back(struct world *w);
struct sl_msg *worker_wait(struct world *w, enum sl_msg_type type);
void worker_send(struct world *w, struct sl_msg *m);
char *token_at(struct world *w, const char *sub, const char *group, long now);
char *token_for(struct world *w, const char *sub, const char *group);
struct reply raw(struct world *w, const char *bytes, size_t n);
void done(struct reply *r);
struct reply call(struct world *w, const char *method, const char *path, const char *token, const char *type,
                  const char *body);
int status_of(struct world *w, const char *method, const char *path, const char *token, const char *type,
              const char *body);
SSL *dial(struct world *w);
void hang_up(SSL *ssl);
struct reply as(struct world *w, const char *group, const char *method, const char *path, const char *type,
                const char *body);
int status_as(struct world *w, const char *group, const char *method, const char *path, const char *type,
              const char *body);
const char *str(const struct reply *r, const char *name);

#endif
