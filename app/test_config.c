#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"

static const char good[] = "workers: 2\n"
                           "cores: [1, 0]\n"
                           "poll: full\n"
                           "eal: [\"--no-huge\", \"-m\", \"64\"]\n"
                           "ports:\n"
                           "  - { device: p0, address: 10.0.1.1/24, vlan: 7 }\n"
                           "  - { device: p1, address: 10.0.2.1/24 }\n"
                           "routes:\n"
                           "  - { to: 0.0.0.0/0, via: 10.0.1.254 }\n"
                           "listeners:\n"
                           "  - name: pg\n"
                           "    protocol: postgres\n"
                           "    address: 10.0.1.1:5432\n"
                           "    tls: { certFile: /c, keyFile: /k }\n"
                           "management:\n"
                           "  listen: 127.0.0.1:8443\n"
                           "  tls: { certFile: /c, keyFile: /k }\n"
                           "  masterKeyFile: /m\n"
                           "store: { path: /s, signKeyFile: /sk, size: 1G }\n";

static int load(const char *text, struct config *c, char *err, size_t cap)
{
	char file[] = "/tmp/sluice-config-XXXXXX";
	int fd = mkstemp(file), rc;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	rc = config_load(file, c, err, cap);
	unlink(file);
	return rc;
}

static void test_good(void **state)
{
	static struct config c;
	char err[512] = "";

	(void)state;
	assert_int_equal(load(good, &c, err, sizeof(err)), 0);
	assert_int_equal(c.workers, 2);
	assert_int_equal(c.nb_cores, 2);
	assert_int_equal(c.cores[0], 1);
	assert_true(c.full_poll);
	assert_int_equal(c.nb_eal, 3);
	assert_string_equal(c.eal[2], "64");
	assert_int_equal(c.nb_ports, 2);
	assert_int_equal(c.ports[0].vlan, 7);
	assert_int_equal(c.ports[1].nb_addresses, 1);
	assert_int_equal(c.ports[1].addresses[0].bits, 24);
	assert_int_equal(c.nb_routes, 1);
	assert_int_equal(c.routes[0].to.bits, 0);
	assert_int_equal(c.nb_listeners, 1);
	assert_int_equal(c.listeners[0].address.port, 5432);
	assert_string_equal(c.listeners[0].key_file, "/k");
	assert_string_equal(c.master_key, "/m");
	assert_int_equal(c.store_bytes, 1 << 30);
	/* What was not said has its default. */
	assert_int_equal(c.max_sessions, 4096);
	assert_int_equal(c.max_unauthenticated, 1025);
	assert_int_equal(c.session_memory, 256 << 20);
	assert_int_equal(c.stack_mbufs, 16384);
	assert_int_equal(c.tcp.keepalive_idle_s, 60);
	assert_int_equal(c.message_bytes, 1 << 20);
	assert_true(c.record_replies);
	assert_false(c.exit_on_fault);
	config_free(&c);
}

/* Replaces one line of the good text and expects an error that names the place and the matter. */
static void expect_error(const char *line, const char *by, const char *wanted)
{
	static struct config c;
	char text[4096], err[512] = "";
	const char *at = strstr(good, line);

	assert_non_null(at);
	snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - good), good, by, at + strlen(line));
	assert_int_equal(load(text, &c, err, sizeof(err)), SL_E_CONFIG);
	if (strstr(err, wanted) == NULL)
		fail_msg("error is '%s', not about '%s'", err, wanted);
}

static void test_errors(void **state)
{
	(void)state;
	expect_error("workers: 2\n", "workers: two\n", ":1:");
	expect_error("workers: 2\n", "workers: 0\n", "'workers' must be 1 to");
	expect_error("workers: 2\n", "wokers: 2\n", "unknown key 'wokers' (did you mean 'workers'?)");
	expect_error("workers: 2\n", "workers: 2\ntcp: { keepalive: 5s }\n", "did you mean 'keepAlive'");
	expect_error("workers: 2\n", "workers: 2\ntcp: { receiveBuffer: 1K }\n", ":2:");
	expect_error("workers: 2\n", "workers: 2\ntcp: { receiveBuffer: 1K }\n", "from 16384 to 67108864");
	expect_error("workers: 2\n", "workers: 2\nmbufs: 5\n", "'mbufs' must be a whole number from 1024");
	expect_error("10.0.1.1:5432\n", "10.0.1.9:5432\n", "no port has the address 10.0.1.9");
	expect_error("10.0.1.1:5432\n", "'[fd00::1]:5432'\n", "no port has the address fd00::1");
	expect_error("via: 10.0.1.254", "via: 10.0.9.254", "must be a neighbour");
	expect_error("via: 10.0.1.254", "via: fd00::1", "of one family");
	expect_error("device: p1", "device: p0", "'ports[1].device' is 'p0', as is 'ports[0].device'");
	expect_error("device: p1", "device: 'kernel:no-such'",
	             "'ports[1].device': kernel:no-such: the kernel has no interface");
	expect_error("device: p1", "device: 'kernel:a-name-too-long-by-far'", "1 to 15 characters");
	expect_error("device: p1", "device: 'kernel:lo'", "kernel:lo");
	expect_error("via: 10.0.1.254", "via: 10.0.1.254, device: p0", "for a link-local 'via' only");
	expect_error("to: 0.0.0.0/0, via: 10.0.1.254", "to: '::/0', via: fe80::1", "needs 'device'");
	expect_error("to: 0.0.0.0/0, via: 10.0.1.254", "to: '::/0', via: fe80::1, device: p9", "no port has");
	expect_error("to: 0.0.0.0/0, via: 10.0.1.254", "to: '::/0', via: fe80::1, device: p1",
	             "has no IPv6 address");
	expect_error("address: 10.0.2.1/24", "addresses: 10.0.2.1/24", "must be a list");
	expect_error("address: 10.0.2.1/24", "addresses: []", "must be a list");
	expect_error("address: 10.0.2.1/24", "addresses: [10.0.2.1]", "with its prefix length");
	expect_error("address: 10.0.2.1/24", "address: 10.0.2.1/24, addresses: [10.0.2.2/24]", "or a list");
	expect_error("address: 10.0.2.1/24", "mtu: 1500", "a port needs 'address'");
	expect_error("cores: [1, 0]\n", "cores: [1]\n", "one core for each worker");
	expect_error("poll: full\n", "poll: never\n", "adaptive or full");
	expect_error("poll: full\n", "onWorkerFault: never\n", "contain or exit");
	expect_error("vlan: 7", "vlan: 5000", "'vlan' must be a whole number from 0 to 4094");
	expect_error("10.0.2.1/24", "10.0.2.1", "'address' must be an address with its prefix");
	expect_error("10.0.1.1:5432\n", "10.0.1.1\n", "'address' must be an address with a port");
	expect_error("protocol: postgres", "protocol: gopher", "no protocol 'gopher'");
	expect_error("    tls: { certFile: /c, keyFile: /k }\n", "", "needs 'tls'");
	expect_error("    tls: { certFile: /c, keyFile: /k }\n", "    tls: { certFile: /c }\n",
	             "'keyFile' is missing");
	expect_error("  masterKeyFile: /m\n", "", "'masterKeyFile' is missing");
	expect_error("size: 1G", "size: big", "'size' must be a size");
	expect_error("store: { path: /s", "stores: { path: /s", "unknown key 'stores'");
	expect_error("ports:\n", "ports: 3\nx:\n", "unknown key 'x'");
	expect_error("workers: 2\n", "---\na: 1\n---\nworkers: 2\n", "one document");
}

/* Addresses of both families, routes and listeners on them; the bounds of TCP. */
static void test_two_families(void **state)
{
	static const char text[] =
	        "ports:\n"
	        "  - { device: p0, addresses: [10.0.1.1/24, 'fd00:1::1/64', 'fd00:2::1/64'] }\n"
	        "  - { device: p1, addresses: [10.0.2.1/24, 'fd00:3::1/64'] }\n"
	        "routes:\n"
	        "  - { to: '::/0', via: 'fd00:1::fe' }\n"
	        "  - { to: 'fd00:9::/64', via: 'fe80::1', device: p1 }\n"
	        "listeners:\n"
	        "  - { name: a, protocol: postgres, address: '[fd00:2::1]:5432', insecure: true }\n"
	        "  - { name: b, protocol: postgres, address: 10.0.1.1:5432, insecure: true,\n"
	        "      maxConnections: 20, memory: 3M }\n"
	        "management:\n"
	        "  { listen: '127.0.0.1:1', tls: { certFile: /c, keyFile: /k }, masterKeyFile: /m }\n"
	        "store: { path: /s, signKeyFile: /sk }\n"
	        "limits: { sessions: 100, unauthenticated: 7, sessionMemory: 8M }\n"
	        "tcp: { keepAlive: 0, keepAliveProbes: 3, receiveBuffer: 1M, memory: 2G, maxConnections: 9,\n"
	        "  maxHalfOpen: 10, maxHalfOpenPerSource: 11, maxConnectionsPerSource: 12,\n"
	        "  memoryPerSource: 13M }\n";
	static struct config c;
	char err[512] = "";

	(void)state;
	if (load(text, &c, err, sizeof(err)) != SL_OK)
		fail_msg("%s", err);
	assert_int_equal(c.ports[0].nb_addresses, 3);
	assert_int_equal(c.ports[0].addresses[1].addr.family, SL_AF_INET6);
	assert_int_equal(c.ports[0].addresses[2].bits, 64);
	assert_int_equal(c.routes[0].to.addr.family, SL_AF_INET6);
	assert_null(c.routes[0].device);
	assert_int_equal(c.routes[1].port, 1);
	assert_int_equal(c.listeners[0].address.port, 5432);
	assert_int_equal(c.max_unauthenticated, 7);
	assert_int_equal(c.session_memory, 8 << 20);
	assert_int_equal(c.tcp.keepalive_idle_s, 0);
	assert_int_equal(c.tcp.keepalive_probes, 3);
	assert_int_equal(c.tcp.rx_buf_bytes, 1 << 20);
	assert_int_equal(c.tcp.max_total_bytes, 2ull << 30);
	assert_int_equal(c.tcp.max_conns, 9);
	assert_int_equal(c.tcp.max_half_open, 10);
	assert_int_equal(c.tcp.max_half_open_per_source, 11);
	assert_int_equal(c.tcp.max_conns_per_source, 12);
	assert_int_equal(c.tcp.max_bytes_per_source, 13 << 20);
	assert_int_equal(c.listeners[0].max_conns, 0);
	assert_int_equal(c.listeners[0].max_bytes, 0);
	assert_int_equal(c.listeners[1].max_conns, 20);
	assert_int_equal(c.listeners[1].max_bytes, 3 << 20);
	config_free(&c);
}

/* A port without the key has none; rates and times in the units of the port. */
static void test_impairment(void **state)
{
	static struct config c;
	char err[512] = "", text[4096];
	const char *line = "  - { device: p1, address: 10.0.2.1/24 }\n", *at = strstr(good, line);
	const struct sl_port_impair *i = &c.ports[1].impair;

	(void)state;
	assert_non_null(at);
	snprintf(
	        text, sizeof(text), "%.*s%s%stcp: { userTimeout: 2500ms, backlog: 64, ecn: false }\n",
	        (int)(at - good), good,
	        "  - device: p1\n    address: 10.0.2.1/24\n    impairment:\n      seed: 7\n      queue: 100\n"
	        "      receive: { drop: 1%, duplicate: 0.5%, reorder: 30ppm, reorderBy: 5ms, corrupt: 0.01% "
	        "}\n"
	        "      send: { delay: 20ms, jitter: 250us }\n"
	        "      cut: { after: 10s, for: 1500ms, every: 1m }\n",
	        at + strlen(line));
	if (load(text, &c, err, sizeof(err)) != SL_OK)
		fail_msg("%s", err);
	assert_false(c.ports[0].impaired);
	assert_true(c.ports[1].impaired);
	assert_int_equal(i->seed, 7);
	assert_int_equal(i->queue_packets, 100);
	assert_int_equal(i->rx.drop_ppm, 10000);
	assert_int_equal(i->rx.duplicate_ppm, 5000);
	assert_int_equal(i->rx.reorder_ppm, 30);
	assert_int_equal(i->rx.reorder_us, 5000);
	assert_int_equal(i->rx.corrupt_ppm, 100);
	assert_int_equal(i->tx.drop_ppm, 0);
	assert_int_equal(i->tx.delay_us, 20000);
	assert_int_equal(i->tx.jitter_us, 250);
	assert_int_equal(i->cut_after_ms, 10000);
	assert_int_equal(i->cut_for_ms, 1500);
	assert_int_equal(i->cut_every_ms, 60000);
	assert_int_equal(c.tcp.user_timeout_ms, 2500);
	assert_int_equal(c.backlog, 64);
	assert_false(c.tcp.ecn);
	config_free(&c);
}

static void test_impairment_errors(void **state)
{
	(void)state;
#define BAD(text, wanted) expect_error("vlan: 7", "impairment: { " text " }", wanted)
	BAD("drop: 1%", "unknown key 'drop'");
	BAD("receive: { drop: 101% }", "'drop' must be a rate like 1%, 0.25% or 30ppm from 0 to 1000000 ppm");
	BAD("receive: { drop: 0.5 }", "'drop' must be a rate");
	BAD("receive: { dropp: 1% }", "did you mean 'drop'");
	BAD("send: { delay: 61s }", "'delay' must be a duration like 250us or 10ms from 0 to 60000000 us");
	BAD("send: 3", "a map of keys");
	BAD("cut: { after: 1s }", "'for' is missing");
	BAD("cut: { for: 1500us }", "'for' must be a duration like 250ms or 10s");
	BAD("cut: { for: 2s, every: 2s }", "longer than 'for'");
	BAD("queue: 0", "'queue' must be a whole number from 1 to 65536");
	BAD("seed: abc", "'seed' must be a whole number");
#undef BAD
	expect_error("vlan: 7", "impairment: true", "a map of keys");
	expect_error("workers: 2\n", "workers: 2\ntcp: { backlog: 0 }\n", "'backlog' must be");
	expect_error("workers: 2\n", "workers: 2\ntcp: { userTimeout: 2d }\n", "to 86400000 ms");
	expect_error("workers: 2\n", "workers: 2\ntcp: { ecn: 1 }\n", "'ecn' must be true or false");
	expect_error("workers: 2\n", "workers: 2\ntcp: { maxHalfOpen: 0 }\n", "from 1 to 1048576");
	expect_error("workers: 2\n", "workers: 2\ntcp: { memoryPerSource: 0 }\n", "from 1048576 to");
}

static void test_insecure_listener_says_so(void **state)
{
	static struct config c;
	char text[4096], err[512] = "";
	const char *line = "    tls: { certFile: /c, keyFile: /k }\n", *at = strstr(good, line);

	(void)state;
	snprintf(text, sizeof(text), "%.*s    insecure: true\n%s", (int)(at - good), good, at + strlen(line));
	assert_int_equal(load(text, &c, err, sizeof(err)), 0);
	assert_true(c.listeners[0].insecure);
	config_free(&c);
}

static void test_no_file(void **state)
{
	static struct config c;
	char err[512] = "";

	(void)state;
	assert_int_equal(config_load("/nonexistent/x.yaml", &c, err, sizeof(err)), SL_E_CONFIG);
	assert_non_null(strstr(err, "/nonexistent/x.yaml"));
	assert_int_equal(load("", &c, err, sizeof(err)), SL_E_CONFIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_good),
	        cmocka_unit_test(test_errors),
	        cmocka_unit_test(test_two_families),
	        cmocka_unit_test(test_insecure_listener_says_so),
	        cmocka_unit_test(test_no_file),
	        cmocka_unit_test(test_impairment),
	        cmocka_unit_test(test_impairment_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
