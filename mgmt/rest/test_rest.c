/* The API's server alone: what a client that takes its time gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "clock.h"
#include "rest.h"
#include "test_keys.h"
#include "wipe.h"

struct world {
	struct event_base *base;
	struct mg_rest *rest;
	uint16_t port;
	char cert[64], key[64];
};

static void write_file(char *path, const char *text)
{
	int fd;

	snprintf(path, 64, "/tmp/sl-rest-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char *cert, *key, listen[32], err[256] = "";
	struct mg_rest_cfg cfg = {.cert_file = w->cert, .key_file = w->key, .listen = listen, .timeout_s = 1};

	mg_wipe_init();
	test_certificate(&cert, &key);
	write_file(w->cert, cert);
	write_file(w->key, key);
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &n), 0);
	close(fd);
	w->port = ntohs(sin.sin_port);
	snprintf(listen, sizeof(listen), "127.0.0.1:%u", w->port);
	w->base = event_base_new();
	cfg.base = w->base;
	if (mg_rest_new(&cfg, &w->rest, err, sizeof(err)) != SL_OK)
		fail_msg("%s", err);
	free(cert);
	free(key);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	mg_rest_free(w->rest);
	event_base_free(w->base);
	unlink(w->cert);
	unlink(w->key);
	free(w);
	return 0;
}

static int dial(struct world *w)
{
	struct sockaddr_in sin = {
	        .sin_family = AF_INET, .sin_port = htons(w->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (connect(fd, (struct sockaddr *)&sin, sizeof(sin)) != 0)
		assert_int_equal(errno, EINPROGRESS);
	return fd;
}

static void run_for(struct world *w, int ms)
{
	const struct timeval t = {.tv_usec = ms * 1000};

	event_base_loopexit(w->base, &t);
	event_base_dispatch(w->base);
}

/* Runs until the server has closed; the time that took in ms, -1 when it had not after 5 s. Sends a byte now
 * and then. */
static long closed_after(struct world *w, int fd, const uint8_t *bytes, size_t n)
{
	uint64_t start = mg_mono_us();
	char buf[64];

	for (size_t i = 0; i < 50; i++) {
		ssize_t got;

		if (i < n)
			(void)send(fd, bytes + i, 1, MSG_NOSIGNAL);
		run_for(w, 100);
		got = recv(fd, buf, sizeof(buf), 0);
		if (got == 0 || (got < 0 && errno != EAGAIN))
			return (long)((mg_mono_us() - start) / 1000);
	}
	return -1;
}

/* H15: neither silence nor a drip of bytes holds a connection beyond its time. */
static void test_slow_clients(void **state)
{
	/* the start of a ClientHello that never ends */
	static const uint8_t hello[40] = {0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03};
	struct world *w = *state;
	int fd = dial(w);
	long ms = closed_after(w, fd, NULL, 0);

	assert_true(ms > 500 && ms < 3500);
	close(fd);
	fd = dial(w);
	ms = closed_after(w, fd, hello, sizeof(hello));
	assert_true(ms > 500 && ms < 3500);
	close(fd);
}

/* A full house of silent clients lasts no longer than that either. */
static void test_full_house(void **state)
{
	struct world *w = *state;
	int fds[MG_REST_CONNECTIONS_MAX + 8];

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		fds[i] = dial(w);
	assert_true(closed_after(w, fds[sizeof(fds) / sizeof(fds[0]) - 1], NULL, 0) > 1500);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		close(fds[i]);
	run_for(w, 100);
}

struct talker {
	SSL *ssl;
	int fd, nb_answers;
};

static void talker_up(struct world *w, SSL_CTX *tls, struct talker *t)
{
	t->fd = dial(w);
	t->ssl = SSL_new(tls);
	SSL_set_fd(t->ssl, t->fd);
	SSL_set_connect_state(t->ssl);
}

static void talker_down(struct talker *t)
{
	SSL_free(t->ssl);
	close(t->fd);
}

/* As far as it goes without waiting: the handshake, a request when `ask`, the answers. */
static void talk(struct talker *t, bool ask)
{
	static const char text[] = "GET /v1/health HTTP/1.1\r\nHost: a\r\n\r\n";
	char buf[2048];
	int n;

	if (SSL_do_handshake(t->ssl) == 1 && ask)
		(void)SSL_write(t->ssl, text, sizeof(text) - 1);
	while ((n = SSL_read(t->ssl, buf, sizeof(buf))) > 0)
		t->nb_answers += n > 12 && memcmp(buf + 9, "200", 3) == 0;
	ERR_clear_error();
}

/* Nor does a full house of those that ask for what needs no token, again and again. */
static void test_full_house_talks(void **state)
{
	struct world *w = *state;
	SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
	struct talker t[MG_REST_CONNECTIONS_MAX], late = {0};
	size_t nb = MG_REST_CONNECTIONS_MAX;

	memset(t, 0, sizeof(t));
	talker_up(w, tls, &t[0]);
	for (int i = 0; i < 20 && t[0].nb_answers < 2; i++) { /* with room it may go on as it likes */
		talk(&t[0], true);
		run_for(w, 20);
	}
	assert_true(t[0].nb_answers >= 2);
	for (size_t i = 1; i < nb; i++)
		talker_up(w, tls, &t[i]);
	for (int i = 0; i < 5; i++) { /* these are all in */
		for (size_t j = 1; j < nb; j++)
			talk(&t[j], false);
		run_for(w, 50);
	}
	talker_up(w, tls, &late);
	for (int i = 0; i < 20 && late.nb_answers == 0; i++) {
		for (size_t j = 0; j < nb; j++)
			talk(&t[j], true);
		talk(&late, true);
		run_for(w, 100);
	}
	assert_true(t[1].nb_answers > 0 && late.nb_answers > 0);
	for (size_t i = 0; i < nb; i++)
		talker_down(&t[i]);
	talker_down(&late);
	SSL_CTX_free(tls);
	run_for(w, 100);
}

/* Clear text is no request. */
static void test_clear_text(void **state)
{
	static const char text[] = "GET /v1/health HTTP/1.1\r\nHost: a\r\n\r\n";
	struct world *w = *state;
	char buf[256] = "";
	int fd = dial(w);

	run_for(w, 50);
	assert_int_equal(send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL), sizeof(text) - 1);
	run_for(w, 300);
	(void)recv(fd, buf, sizeof(buf) - 1, 0);
	assert_null(strstr(buf, "200"));
	assert_null(strstr(buf, "status"));
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_slow_clients, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_full_house, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_full_house_talks, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_clear_text, setup, teardown),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
