#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <ctype.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "clock.h"
#include "fetch.h"
#include "rest.h"
#include "route.h"
#include "sl_counter.h"
#include "sl_log.h"
#include "sl_mgmt.h"
#include "sl_policy.h"
#include "test_https.h"
#include "test_keys.h"
#include "wipe.h"
#include "test_gateway.h"

#define REPLY_MAX (8u << 20)

/* ---- the provider ---- */

_Atomic unsigned idp_slow_ms;

static void on_idp_request(struct evhttp_request *req, void *ctx)
{
	struct provider *p = ctx;
	const char *uri = evhttp_request_get_uri(req);

	usleep(idp_slow_ms * 1000);
	test_https_reply(req, 200, strcmp(uri, "/jwks") == 0 ? p->jwks : p->discovery);
}

static void *idp_thread(void *arg)
{
	struct provider *p = arg;

	event_base_loop(p->base, EVLOOP_NO_EXIT_ON_EMPTY);
	return NULL;
}

static void on_idp_stop(evutil_socket_t fd, short what, void *arg)
{
	event_base_loopbreak(arg);
}

static int stop_pipe[2];
static struct event *stop_event;

static void idp_start(struct provider *p)
{
	char uri[128];
	json_t *d;

	p->base = event_base_new();
	test_certificate(&p->cert, &p->key);
	p->server = test_https_new(p->base, p->cert, p->key, on_idp_request, p);
	snprintf(p->issuer, sizeof(p->issuer), "https://127.0.0.1:%u", test_https_listen(p->server, 0));
	snprintf(uri, sizeof(uri), "%s/jwks", p->issuer);
	d = json_pack("{s:s,s:s}", "issuer", p->issuer, "jwks_uri", uri);
	p->discovery = json_dumps(d, 0);
	json_decref(d);
	p->sign = test_key_new("EdDSA", 0);
	p->jwks = test_jwks(test_jwk(p->sign, "EdDSA", "k"));
	assert_int_equal(pipe(stop_pipe), 0);
	stop_event = event_new(p->base, stop_pipe[0], EV_READ, on_idp_stop, p->base);
	event_add(stop_event, NULL);
	assert_int_equal(pthread_create(&p->thread, NULL, idp_thread, p), 0);
}

static void idp_stop(struct provider *p)
{
	assert_int_equal(write(stop_pipe[1], "x", 1), 1);
	pthread_join(p->thread, NULL);
	event_free(stop_event);
	close(stop_pipe[0]);
	close(stop_pipe[1]);
	test_https_free(p->server);
	event_base_loop(p->base, EVLOOP_NONBLOCK);
	event_base_free(p->base);
	free(p->discovery);
	free(p->jwks);
	free(p->cert);
	free(p->key);
	EVP_PKEY_free(p->sign);
}

/* ---- the gateway ---- */

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

void policy_text(struct world *w, const char *more, char *out, size_t cap)
{
	snprintf(out, cap,
	         "kind: IdentityProvider\nversion: 1\nmetadata:\n  name: lab\nspec:\n  issuer: %s\n  "
	         "audience: sluice\n"
	         "  caFile: %s\n  algorithms: [EdDSA]\n  api:\n    viewer: [noc]\n    operator: [ops]\n    "
	         "approver: [owners]\n"
	         "    admin: [admins]\n---\n"
	         "kind: Resource\nversion: 1\nmetadata:\n  name: shop\nspec:\n  protocol: postgres\n  "
	         "address: 10.0.0.2:5432\n"
	         "  credential: shop-app\n  databases: [shop]\n  tls:\n    mode: \"off\"\n---\n"
	         "kind: Role\nversion: 1\nmetadata:\n  name: agent\nspec:\n  groups: [agents]\n  resources: "
	         "[shop]\n  allow: [read]\n%s",
	         w->idp.issuer, w->path[P_CA], more);
}

_Atomic uint64_t dead_workers;

static uint64_t tell_dead(void)
{
	return dead_workers;
}

static long status_json(void *ctx, char *out, size_t cap)
{
	return snprintf(out, cap, "{\"ports\":[{\"device\":\"test\"}],\"version\":\"forged\"}");
}

static void *mgmt_thread(void *arg)
{
	sl_counters_register("mgmt");
	assert_int_equal(sl_mgmt_run(arg), SL_OK);
	return NULL;
}

/* One that nobody listens on now. */
static uint16_t free_port(void)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &n), 0);
	close(fd);
	return ntohs(sin.sin_port);
}

struct sl_mgmt *new_mgmt(struct world *w, char *err, size_t cap)
{
	char listen[32];
	struct sl_mgmt_cfg cfg = {.listen = listen,
	                          .cert_file = w->path[P_CERT],
	                          .key_file = w->path[P_KEY],
	                          .master_key_file = w->path[P_MASTER],
	                          .policy_bootstrap = w->path[P_POLICY],
	                          .bus = w->bus,
	                          .store = w->store,
	                          .nb_workers = sl_bus_workers(w->bus),
	                          .dead = tell_dead,
	                          .status = status_json};
	struct sl_mgmt *m = NULL;

	/* Another program may have taken it meanwhile. */
	for (int i = 0; i < 10 && m == NULL && (i == 0 || strstr(err, "already in use") != NULL); i++) {
		w->port = free_port();
		snprintf(listen, sizeof(listen), "127.0.0.1:%u", w->port);
		(void)sl_mgmt_new(&cfg, &m, err, cap);
	}
	return m;
}

void start_mgmt(struct world *w)
{
	char err[1024] = "";

	w->mgmt = new_mgmt(w, err, sizeof(err));
	if (w->mgmt == NULL)
		fail_msg("%s", err);
	assert_int_equal(pthread_create(&w->thread, NULL, mgmt_thread, w->mgmt), 0);
}

void open_store(struct world *w)
{
	struct sl_store_cfg cfg = {.path = w->path[P_STORE],
	                           .sign_key = w->path[P_SIGN],
	                           .map_bytes = 256 << 20,
	                           .nb_workers = 1,
	                           .blocks_per_worker = 64,
	                           .batch_max = 32};
	char err[256];

	assert_int_equal(sl_store_open(&cfg, &w->store, err, sizeof(err)), SL_OK);
}

int setup(void **state)
{
	static const char *const names[] = {"store",   "sign.key", "master.key", "api.pem",
	                                    "api.key", "policy.d", "ca.pem",     "policy.d/10-all.yaml"};
	struct world *w = calloc(1, sizeof(*w));
	char *key, text[4096];

	sl_log_set_level(SL_LOG_ERROR);
	mg_wipe_init();
	snprintf(w->dir, sizeof(w->dir), "/tmp/sl-mgmt-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		snprintf(w->path[i], sizeof(w->path[i]), "%s/%s", w->dir, names[i]);
	idp_start(&w->idp);
	test_certificate(&w->cert, &key);
	write_file(w->path[P_CERT], w->cert);
	write_file(w->path[P_KEY], key);
	write_file(w->path[P_CA], w->idp.cert);
	assert_int_equal(mkdir(w->path[P_POLICY], 0700), 0);
	policy_text(w, "", text, sizeof(text));
	write_file(w->path[P_YAML], text);
	free(key);
	open_store(w);
	w->bus = sl_bus_new(1, 8);
	w->ids.salt = 3;
	w->tls = mg_fetch_tls(w->cert);
	start_mgmt(w);
	sl_bus_worker_done(w->bus, 0, worker_wait(w, SL_MSG_SNAPSHOT));
	*state = w;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

void give_back(struct world *w)
{
	struct sl_msg *m;

	if (w->snap == NULL)
		return;
	m = sl_bus_worker_new(w->bus, 0);
	m->type = SL_MSG_SNAPSHOT_FREE;
	m->snapshot = w->snap;
	w->snap = NULL;
	sl_bus_worker_send(w->bus, 0, m);
	sl_bus_worker_kick(w->bus, 0);
}

/* Stops as the application does; the worker answers the drain. */
void stop_mgmt(struct world *w)
{
	struct sl_msg *m;

	sl_mgmt_stop(w->mgmt, 2000);
	m = worker_wait(w, SL_MSG_DRAIN);
	assert_true(m->deadline_us > mg_mono_us());
	sl_bus_worker_done(w->bus, 0, m);
	give_back(w);
	m = sl_bus_worker_new(w->bus, 0);
	m->type = SL_MSG_STOPPED;
	sl_bus_worker_send(w->bus, 0, m);
	sl_bus_worker_kick(w->bus, 0);
	pthread_join(w->thread, NULL);
	sl_mgmt_free(w->mgmt);
	w->mgmt = NULL;
}

int teardown(void **state)
{
	struct world *w = *state;

	stop_mgmt(w);
	sl_bus_free(w->bus);
	sl_store_close(w->store);
	idp_stop(&w->idp);
	SSL_CTX_free(w->tls);
	free(w->cert);
	nftw(w->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(w);
	return 0;
}

/* ---- this test as the worker ---- */

/* The next message of this type; a snapshot on the way is taken, as a worker does. */
struct sl_msg *worker_wait(struct world *w, enum sl_msg_type type)
{
	for (int i = 0; i < 1000; i++) {
		struct sl_msg *m = sl_bus_worker_recv(w->bus, 0);

		if (m == NULL) {
			usleep(5000);
			continue;
		}
		if (m->type == SL_MSG_SNAPSHOT) {
			give_back(w);
			w->snap = m->snapshot;
			w->snap_version = w->snap->version;
		}
		if (m->type == type)
			return m;
		sl_bus_worker_done(w->bus, 0, m);
	}
	fail_msg("no message of type %d", type);
	return NULL;
}

void worker_send(struct world *w, struct sl_msg *m)
{
	sl_bus_worker_send(w->bus, 0, m);
	sl_bus_worker_kick(w->bus, 0);
}

/* ---- this test as the client ---- */

char *token_at(struct world *w, const char *sub, const char *group, long now)
{
	json_t *groups = group == NULL ? NULL : json_pack("[s]", group);

	return test_sign(w->idp.sign, "EdDSA", "k", test_claims(w->idp.issuer, sub, groups, now));
}

char *token_for(struct world *w, const char *sub, const char *group)
{
	return token_at(w, sub, group, (long)(mg_wall_us() / 1000000));
}

SSL *dial(struct world *w)
{
	struct sockaddr_in sin = {
	        .sin_family = AF_INET, .sin_port = htons(w->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	SSL *ssl = SSL_new(w->tls);

	assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), "127.0.0.1");
	SSL_set_fd(ssl, fd);
	if (SSL_connect(ssl) != 1) {
		close(fd);
		SSL_free(ssl);
		return NULL;
	}
	return ssl;
}

void hang_up(SSL *ssl)
{
	int fd = SSL_get_fd(ssl);

	SSL_free(ssl);
	close(fd);
}

/* Sends the bytes on a connection of their own and reads to its end. */
struct reply raw(struct world *w, const char *bytes, size_t n)
{
	struct reply r = {.head = calloc(1, REPLY_MAX)};
	SSL *ssl = dial(w);
	size_t at = 0;
	int got;

	assert_non_null(ssl);
	(void)SSL_write(ssl, bytes, (int)n); /* may be cut off on purpose */
	while (at < REPLY_MAX - 1 && (got = SSL_read(ssl, r.head + at, (int)(REPLY_MAX - 1 - at))) > 0)
		at += (size_t)got;
	ERR_clear_error();
	hang_up(ssl);
	r.status = strncmp(r.head, "HTTP/1.1 ", 9) == 0 ? (int)strtol(r.head + 9, NULL, 10) : 0;
	r.body = strstr(r.head, "\r\n\r\n");
	r.body = r.body == NULL ? r.head + at : r.body + 4;
	r.json = json_loads(r.body, 0, NULL);
	return r;
}

void done(struct reply *r)
{
	json_decref(r->json);
	free(r->head);
}

struct reply call(struct world *w, const char *method, const char *path, const char *token, const char *type,
                  const char *body)
{
	size_t n = body == NULL ? 0 : strlen(body), cap = n + 20000;
	char *text = malloc(cap);
	struct reply r;
	int len = snprintf(text, cap, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", method,
	                   path);

	if (token != NULL)
		len += snprintf(text + len, cap - (size_t)len, "Authorization: Bearer %s\r\n", token);
	if (type != NULL)
		len += snprintf(text + len, cap - (size_t)len, "Content-Type: %s\r\n", type);
	if (body != NULL)
		len += snprintf(text + len, cap - (size_t)len, "Content-Length: %zu\r\n", n);
	len += snprintf(text + len, cap - (size_t)len, "\r\n%s", body == NULL ? "" : body);
	r = raw(w, text, (size_t)len);
	free(text);
	return r;
}

int status_of(struct world *w, const char *method, const char *path, const char *token, const char *type,
              const char *body)
{
	struct reply r = call(w, method, path, token, type, body);
	int status = r.status;

	done(&r);
	return status;
}

/* A call by somebody of this group. */
struct reply as(struct world *w, const char *group, const char *method, const char *path, const char *type,
                const char *body)
{
	char *token = token_for(w, group, group);
	struct reply r = call(w, method, path, token, type, body);

	free(token);
	return r;
}

int status_as(struct world *w, const char *group, const char *method, const char *path, const char *type,
              const char *body)
{
	struct reply r = as(w, group, method, path, type, body);
	int status = r.status;

	done(&r);
	return status;
}

const char *str(const struct reply *r, const char *name)
{
	const char *s = json_string_value(json_object_get(r->json, name));

	return s == NULL ? "(none)" : s;
}
